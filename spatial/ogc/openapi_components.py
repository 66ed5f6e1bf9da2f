"""Components of the OpenAPI document: every schema, parameter and answer that its paths name; nothing is fetched elsewhere."""

from __future__ import annotations

from typing import Any

from spatial.crs import SERVED
from spatial.grid import TILE_MATRIX_SETS
from spatial.rfc3339 import DESCRIPTION

__all__ = ["components", "parameter", "ref"]

Schema = dict[str, Any]


def ref(kind: str, name: str) -> dict[str, str]:
    """Reference to a component of this document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def parameter(
    name: str, zh: str, en: str, schema: Schema, *, place: str = "query", required: bool = False
) -> dict[str, Any]:
    """A parameter object; lists are written with commas."""
    found: dict[str, Any] = {
        "name": name,
        "in": place,
        "description": f"{zh} / {en}",
        "required": required,
        "schema": schema,
    }
    if place == "query":
        found |= {"style": "form", "explode": False}
    elif place == "path":
        found["style"] = "simple"
    return found


def _object(properties: dict[str, Any], required: list[str] | None = None, **more: Any) -> Schema:
    found: Schema = {"type": "object", "properties": properties, **more}
    if required:
        found["required"] = required
    return found


def _array(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items, **more}


_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TIME: Schema = {"type": "string", "format": "date-time"}
_LINKS = _array(ref("schemas", "link"))


def _geometry(kind: str, coordinates: Schema) -> Schema:
    return _object({"type": {"type": "string", "enum": [kind]}, "coordinates": coordinates}, ["type", "coordinates"])


def _schemas() -> dict[str, Schema]:
    position = _array(_NUMBER, minItems=2)
    line = _array(position, minItems=2)
    ring = _array(position, minItems=4)
    polygon = _array(ring)
    kinds = {
        "pointGeoJSON": _geometry("Point", position),
        "multipointGeoJSON": _geometry("MultiPoint", _array(position)),
        "linestringGeoJSON": _geometry("LineString", line),
        "multilinestringGeoJSON": _geometry("MultiLineString", _array(line)),
        "polygonGeoJSON": _geometry("Polygon", polygon),
        "multipolygonGeoJSON": _geometry("MultiPolygon", _array(polygon)),
    }
    geometry = {"nullable": True, "oneOf": [ref("schemas", name) for name in kinds]}
    feature = _object(
        {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": {"type": "integer"},
            "geometry": geometry,
            "properties": {"type": "object", "nullable": True},
            "links": _LINKS,
        },
        ["type", "geometry", "properties"],
    )
    interval = _array({"type": "string", "format": "date-time", "nullable": True}, minItems=2, maxItems=2)
    extent = _object(
        {
            "spatial": _object(
                {
                    "bbox": _array(_array(_NUMBER, minItems=4, maxItems=6), minItems=1),
                    "crs": _TEXT,
                }
            ),
            "temporal": _object({"interval": _array(interval, minItems=1), "trs": _TEXT}),
        }
    )
    collection = _object(
        {
            "id": _TEXT,
            "title": _TEXT,
            "description": _TEXT,
            "keywords": _array(_TEXT),
            "attribution": _TEXT,
            "license": _TEXT,
            "extent": ref("schemas", "extent"),
            "version": _TEXT,
            "updated": {**_TIME, "nullable": True},
            "synthetic": {"type": "boolean"},
            "recipe": _TEXT,
            "derivedFrom": _array(_TEXT),
            "itemType": {"type": "string", "enum": ["feature", "coverage", "record"]},
            "itemCount": _COUNT,
            "geometryType": _TEXT,
            "layerDataType": {"type": "string", "enum": ["Raster"]},
            "width": _COUNT,
            "height": _COUNT,
            "crs": _array(_TEXT),
            "storageCrs": _TEXT,
            "links": _LINKS,
        },
        ["id", "links"],
    )
    exception = _object(
        {
            "type": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": _TEXT,
            "detail_zh": _TEXT,
            "detail_en": _TEXT,
            "layer": _TEXT,
            "parameter": _TEXT,
        },
        ["type", "title", "status", "detail"],
        additionalProperties=True,
    )
    return {
        **kinds,
        **_process_schemas(),
        "collection": collection,
        "collections": _object(
            {"links": _LINKS, "collections": _array(ref("schemas", "collection")), "numberReturned": _COUNT},
            ["links", "collections"],
        ),
        "confClasses": _object({"conformsTo": _array(_TEXT), "links": _LINKS}, ["conformsTo"]),
        "exception": exception,
        "extent": extent,
        "featureGeoJSON": feature,
        "featureCollectionGeoJSON": _object(
            {
                "type": {"type": "string", "enum": ["FeatureCollection"]},
                "features": _array(ref("schemas", "featureGeoJSON")),
                "links": _LINKS,
                "timeStamp": _TIME,
                "numberMatched": _COUNT,
                "numberReturned": _COUNT,
            },
            ["type", "features"],
        ),
        "jsonSchema": {"type": "object", "description": "JSON Schema 2020-12"},
        "landingPage": _object({"title": _TEXT, "description": _TEXT, "links": _LINKS}, ["links"]),
        "link": _object(
            {"href": _TEXT, "rel": _TEXT, "type": _TEXT, "hreflang": _TEXT, "title": _TEXT, "length": _COUNT},
            ["href", "rel"],
        ),
        "tileSet": _object(
            {"title": _TEXT, "dataType": _TEXT, "crs": _TEXT, "tileMatrixSetURI": _TEXT, "links": _LINKS}
        ),
        "tileSets": _object({"tilesets": _array(ref("schemas", "tileSet")), "links": _LINKS}),
        "tileMatrixSet": {"type": "object"},
        "tileMatrixSets": _object({"tileMatrixSets": _array({"type": "object"}), "links": _LINKS}),
    }


def _process_schemas() -> dict[str, Schema]:
    summary = {
        "id": _TEXT,
        "version": _TEXT,
        "title": _TEXT,
        "description": _TEXT,
        "keywords": _array(_TEXT),
        "jobControlOptions": _array({"type": "string", "enum": ["sync-execute", "async-execute", "dismiss"]}),
        "outputTransmission": _array({"type": "string", "enum": ["value", "reference"]}),
        "links": _LINKS,
    }
    return {
        "processSummary": _object(summary, ["id", "version"]),
        "process": _object({**summary, "inputs": {"type": "object"}, "outputs": {"type": "object"}}, ["id", "version"]),
        "processList": _object(
            {"processes": _array(ref("schemas", "processSummary")), "links": _LINKS}, ["processes", "links"]
        ),
        "statusInfo": _object(
            {
                "processID": _TEXT,
                "type": {"type": "string", "enum": ["process"]},
                "jobID": _TEXT,
                "status": {"type": "string", "enum": ["accepted", "running", "successful", "failed", "dismissed"]},
                "message": _TEXT,
                "created": _TIME,
                "started": _TIME,
                "finished": _TIME,
                "updated": _TIME,
                "progress": {"type": "integer", "minimum": 0, "maximum": 100},
                "parameters": {"type": "object"},
                "links": _LINKS,
            },
            ["jobID", "status", "type"],
        ),
        "jobList": _object({"jobs": _array(ref("schemas", "statusInfo")), "links": _LINKS}, ["jobs", "links"]),
        "results": {"type": "object", "additionalProperties": True},
    }


def _parameters(max_page: int) -> dict[str, Any]:
    crs = {"type": "string", "format": "uri", "enum": list(SERVED), "default": next(iter(SERVED))}
    bbox = {
        "type": "array",
        "minItems": 4,
        "maxItems": 6,
        "oneOf": [{"minItems": 4, "maxItems": 4}, {"minItems": 6, "maxItems": 6}],
        "items": {"type": "number"},
    }
    flag = {"type": "boolean", "default": False}
    query = [
        parameter(
            "f", "返回格式", "Format of the answer", {"type": "string", "enum": ["json", "html"], "default": "json"}
        ),
        parameter("lang", "语言", "Language of titles", {"type": "string", "enum": ["zh", "en"], "default": "zh"}),
        parameter(
            "limit",
            f"每页要素数；大于 {max_page} 时按 {max_page}",
            f"features a page; above {max_page} it is lowered to {max_page}",
            {"type": "integer", "minimum": 1, "maximum": max_page, "default": 10},
        ),
        parameter("offset", "跳过的条数", "entries to skip", {"type": "integer", "minimum": 0, "default": 0}),
        parameter(
            "after",
            "从此编号之后开始（next 链接使用）",
            "start after this id (used by next links)",
            {"type": "integer", "format": "int64"},
        ),
        parameter(
            "bbox",
            "范围：两角坐标，轴序见 bbox-crs（默认经度、纬度）",
            "two corners in the axis order of bbox-crs (default longitude, latitude)",
            bbox,
        ),
        parameter("bbox-crs", "bbox 的坐标系", "CRS of bbox", crs),
        parameter("crs", "返回坐标的坐标系", "CRS of the answer", crs),
        parameter(
            "datetime",
            f"{DESCRIPTION[0]}；没有时间字段的图层不受影响",
            f"{DESCRIPTION[1]}; no effect on layers without time",
            {"type": "string"},
        ),
        parameter("filter", "CQL2 过滤表达式", "CQL2 filter", {"type": "string"}),
        parameter(
            "filter-lang",
            "过滤语言（cql-text 是 cql2-text 的别名）",
            "language of filter (cql-text is an alias of cql2-text)",
            {"type": "string", "enum": ["cql2-text", "cql2-json", "cql-text"], "default": "cql2-text"},
        ),
        parameter("filter-crs", "过滤表达式中几何的坐标系", "CRS of geometries in filter", crs),
        parameter("skipGeometry", "不返回几何", "leave geometries out", flag),
        parameter(
            "resulttype",
            "hits 只返回数量",
            "hits: only the count",
            {"type": "string", "enum": ["results", "hits"], "default": "results"},
        ),
        parameter(
            "version", "数据版本；默认当前版本", "version of the data; default the current one", {"type": "string"}
        ),
    ]
    sets = {"type": "string", "enum": list(TILE_MATRIX_SETS)}
    path = [
        parameter(
            "featureId",
            "要素编号",
            "id of the feature",
            {"type": "integer", "format": "int64"},
            place="path",
            required=True,
        ),
        parameter("tileMatrixSetId", "瓦片矩阵集", "tile matrix set", sets, place="path", required=True),
        parameter("tileMatrix", "级别", "level", {"type": "string"}, place="path", required=True),
        parameter("tileRow", "行号", "row", {"type": "integer", "minimum": 0}, place="path", required=True),
        parameter("tileCol", "列号", "column", {"type": "integer", "minimum": 0}, place="path", required=True),
        parameter("jobId", "任务编号", "id of the job", {"type": "string"}, place="path", required=True),
    ]
    prefer = parameter(
        "Prefer",
        "异步执行时为 respond-async",
        "respond-async for asynchronous execution",
        {"type": "string"},
        place="header",
    )
    found = {p["name"]: p for p in (*query, *path, prefer)}
    # The block of the dataset's tiles adds its own sets for pictures.
    return found | {"mapTileMatrixSetId": found["tileMatrixSetId"]}


def _response(text: str, schema: Schema | None, kind: str = "application/json", *, html: bool = True) -> dict[str, Any]:
    content: dict[str, Any] = {} if schema is None else {kind: {"schema": schema}}
    if html:
        content["text/html"] = {"schema": {"type": "string"}}
    return {"description": text, "content": content}


def _responses() -> dict[str, Any]:
    headers = {
        "Content-Crs": {"description": "坐标系 / CRS of the coordinates", "schema": {"type": "string"}},
        "ETag": {"description": "版本标记 / entity tag", "schema": {"type": "string"}},
    }
    problem = {"application/problem+json": {"schema": ref("schemas", "exception")}}
    features = _response("要素集 / features", ref("schemas", "featureCollectionGeoJSON"), "application/geo+json")
    feature = _response("要素 / a feature", ref("schemas", "featureGeoJSON"), "application/geo+json")

    def error(text: str) -> dict[str, Any]:
        return {"description": text, "content": problem}

    return {
        "LandingPage": _response("服务首页 / landing page", ref("schemas", "landingPage")),
        "Conformance": _response("符合性声明 / conformance classes", ref("schemas", "confClasses")),
        "OpenAPI": _response(
            "接口定义 / the API definition", {"type": "object"}, "application/vnd.oai.openapi+json;version=3.0"
        ),
        "Collections": _response("数据集 / collections", ref("schemas", "collections")),
        "Collection": _response("数据集 / a collection", ref("schemas", "collection")),
        "Features": {**features, "headers": headers},
        "Feature": {**feature, "headers": headers},
        "Schema": _response("字段结构 / JSON Schema", ref("schemas", "jsonSchema"), "application/schema+json"),
        "TileSets": _response("瓦片集 / tilesets", ref("schemas", "tileSets"), html=False),
        "TileSet": _response("瓦片集 / a tileset", ref("schemas", "tileSet"), html=False),
        "TileMatrixSets": _response("瓦片矩阵集 / tile matrix sets", ref("schemas", "tileMatrixSets"), html=False),
        "TileMatrixSet": _response("瓦片矩阵集 / a tile matrix set", ref("schemas", "tileMatrixSet"), html=False),
        "NoTile": {"description": "瓦片内没有数据 / nothing in this tile"},
        "ProcessList": _response("分析处理 / processes", ref("schemas", "processList")),
        "Process": _response("处理说明 / a process", ref("schemas", "process")),
        "Results": _response("结果 / results", ref("schemas", "results"), html=False),
        "Output": {
            "description": "结果 / a result",
            "content": {
                "application/json": {"schema": {}},
                "image/tiff": {"schema": {"type": "string", "format": "binary"}},
                "text/plain": {"schema": {"type": "string"}},
                "text/html": {"schema": {"type": "string"}},
                "multipart/related": {"schema": {"type": "string", "format": "binary"}},
            },
            "headers": {"Link": {"description": "任务 / the job (rel=monitor)", "schema": {"type": "string"}}},
        },
        "Status": _response("任务状态 / status of a job", ref("schemas", "statusInfo")),
        "Accepted": {
            **_response(
                "已接受，异步执行 / accepted for asynchronous execution", ref("schemas", "statusInfo"), html=False
            ),
            "headers": {"Location": {"description": "任务地址 / address of the job", "schema": {"type": "string"}}},
        },
        "JobList": _response("任务 / jobs", ref("schemas", "jobList")),
        "NotModified": {"description": "未变化 / not modified"},
        "InvalidParameter": error("参数无效 / a parameter is invalid or unknown"),
        "NotFound": error("不存在 / not found"),
        "NotAcceptable": error("没有这种格式 / no such format"),
        "UnsupportedMediaType": error("请求体的类型不被接受 / the type of the body is not accepted"),
        "Unprocessable": error("数据不符合要求 / the data break a rule"),
        "References": {"description": "输出的地址在 Link 头中 / addresses of the outputs in Link headers"},
        "TooLarge": error("请求体过大 / body too large"),
        "Busy": error("队列已满 / queue full"),
        "Unavailable": error("暂不可用或尚未发布 / unavailable or not yet published"),
        "ServerError": error("服务错误 / server error"),
    }


def components(max_page: int) -> dict[str, Any]:
    """All components."""
    return {"schemas": _schemas(), "parameters": _parameters(max_page), "responses": _responses()}
