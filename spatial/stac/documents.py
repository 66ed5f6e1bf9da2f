"""Documents of the STAC API that do not depend on a search: landing page, conformance, queryables, collections, OpenAPI."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version as package_version
from typing import Any

from spatial.stac.items import GEOJSON, JSON, RESULTS, STAC_VERSION, Gathered, collection_document
from spatial.stac.search import QUERYABLES

__all__ = ["CONFORMANCE", "TRANSACTION", "collections_document", "landing_document", "queryables_document"]

OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
SCHEMA = "application/schema+json"
_REL = "http://www.opengis.net/def/rel/ogc/1.0"
_OGC = "http://www.opengis.net/spec"
CONFORMANCE: tuple[str, ...] = (
    *(
        f"https://api.stacspec.org/v1.0.0/{c}"
        for c in ("core", "collections", "ogcapi-features", "item-search", "browseable")
    ),
    *(f"https://api.stacspec.org/v1.0.0/item-search#{c}" for c in ("sort", "fields", "query")),
    *(f"https://api.stacspec.org/v1.0.0/ogcapi-features#{c}" for c in ("sort", "fields")),
    *(f"https://api.stacspec.org/v1.0.0-rc.3/{c}#filter" for c in ("item-search", "ogcapi-features")),
    *(f"{_OGC}/ogcapi-features-1/1.0/conf/{c}" for c in ("core", "oas30", "geojson")),
    *(f"{_OGC}/ogcapi-features-3/1.0/conf/{c}" for c in ("filter", "features-filter")),
    *(
        f"{_OGC}/cql2/1.0/conf/{c}"
        for c in (
            "cql2-text",
            "cql2-json",
            "basic-cql2",
            "advanced-comparison-operators",
            "case-insensitive-comparison",
            "accent-insensitive-comparison",
            "basic-spatial-functions",
            "basic-spatial-functions-plus",
            "spatial-functions",
            "temporal-functions",
            "array-functions",
            "property-property",
            "arithmetic",
        )
    ),
)
"""Conformance classes that are implemented and tested."""
TRANSACTION = (
    "https://api.stacspec.org/v1.0.0/ogcapi-features/extensions/transaction",
    f"{_OGC}/ogcapi-features-4/1.0/conf/simpletx",
)
"""Declared where the operator has switched editing on."""

_TITLES = {
    "id": "编号 / Id",
    "collection": "集合 / Collection",
    "geometry": "范围 / Footprint",
    "datetime": "时间 / Time",
    "start_datetime": "起始时间 / Start",
    "end_datetime": "结束时间 / End",
    "created": "发布时间 / Published",
    "updated": "更新时间 / Updated",
    "title": "标题 / Title",
    "description": "说明 / Description",
    "keywords": "关键词 / Keywords",
    "version": "版本 / Version",
    "license": "许可 / Licence",
    "theme": "专题 / Theme",
    "grade": "密级 / Grade",
    "synthetic": "合成示例 / Synthetic sample",
    "derived_from": "输入图层 / Inputs",
    "bands": "波段 / Bands",
    "proj:epsg": "坐标系 EPSG 代码 / EPSG code",
    "proj:code": "坐标系 / CRS",
    "eo:cloud_cover": "云量（%） / Cloud cover, %",
    "gsd": "地面分辨率（m） / Ground sampling distance, m",
    "mission": "任务 / Mission",
    "platform": "平台 / Platform",
    "constellation": "星座 / Constellation",
    "instruments": "传感器 / Instruments",
}
_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "strings": {"type": "array", "items": {"type": "string"}},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "interval": {"type": "string", "format": "date-time"},
    "geometry": {"format": "geometry-polygon"},
}


@lru_cache(maxsize=1)
def software_version() -> str:
    """Version of this software."""
    return package_version("onemap-hubei")


def conformance(*, editing: bool) -> list[str]:
    """Conformance classes of this server."""
    return [*CONFORMANCE, *(TRANSACTION if editing else ())]


def _link(href: str, rel: str, kind: str, title: str, **more: Any) -> dict[str, Any]:
    return {"href": href, "rel": rel, "type": kind, "title": title, **more}


def landing_document(base: str, known: Gathered, *, editing: bool) -> dict[str, Any]:
    """The root catalogue."""
    root = f"{base}/stac"
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": "onemap-hubei",
        "title": "湖北一张图 STAC / OneMap Hubei STAC",
        "description": "栅格图层的各个版本与分析成果；标注“合成示例”的不是真实数据 / "
        "Every version of the raster layers, and results of analyses; what is titled «synthetic sample» is not real data",
        "conformsTo": conformance(editing=editing),
        "links": [
            _link(root, "self", JSON, "本目录 / This catalogue"),
            _link(root, "root", JSON, "根目录 / Root"),
            _link(f"{root}?f=html", "alternate", "text/html", "网页 / HTML"),
            _link(f"{root}/api", "service-desc", OPENAPI, "接口定义 / API definition"),
            _link(f"{root}/api?f=html", "service-doc", "text/html", "接口文档 / API documentation"),
            _link(f"{root}/conformance", "conformance", JSON, "符合性声明 / Conformance"),
            _link(f"{root}/collections", "data", JSON, "集合 / Collections"),
            _link(f"{root}/search", "search", GEOJSON, "检索 / Search", method="GET"),
            _link(f"{root}/search", "search", GEOJSON, "检索 / Search", method="POST"),
            _link(f"{root}/queryables", f"{_REL}/queryables", SCHEMA, "可查询字段 / Queryables"),
            _link(f"{base}/ogc", "related", JSON, "OGC API"),
            *(
                _link(f"{root}/collections/{name}", "child", JSON, collection_document(name, base, known)["title"])
                for name in known.collections
            ),
        ],
    }


def collections_document(base: str, known: Gathered) -> dict[str, Any]:
    """All collections."""
    root = f"{base}/stac"
    documents = [collection_document(name, base, known) for name in known.collections]
    return {
        "collections": documents,
        "links": [
            _link(f"{root}/collections", "self", JSON, "集合 / Collections"),
            _link(root, "root", JSON, "根目录 / Root"),
            _link(root, "parent", JSON, "根目录 / Root"),
        ],
        "numberMatched": len(documents),
        "numberReturned": len(documents),
    }


def queryables_document(address: str, grades: Iterable[str], collections: Iterable[str]) -> dict[str, Any]:
    """What ``filter`` may name."""
    properties = {name: {**_TYPES[kind], "title": _TITLES[name]} for name, kind in QUERYABLES.items()}
    properties["grade"]["enum"] = list(grades)
    properties["collection"]["enum"] = list(collections)
    return {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "$id": address,
        "type": "object",
        "title": "STAC 条目的可查询字段 / Queryables of STAC items",
        "properties": properties,
        "additionalProperties": False,
    }


# --- OpenAPI ----------------------------------------------------------------------------------------------------------

_TEXT = {"type": "string"}
_WORDS = {"type": "array", "items": _TEXT}


def _query(name: str, text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "description": text,
        "required": False,
        "schema": schema,
        "style": "form",
        "explode": False,
    }


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _TEXT}


def _parameters() -> dict[str, dict[str, Any]]:
    numbers = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}
    found = [
        _query("limit", "每页条目数 / items a page", {"type": "integer", "minimum": 1, "default": 10}),
        _query("bbox", "范围（经度、纬度） / longitude, latitude of two corners", numbers),
        _query(
            "datetime", "RFC 3339 时刻（须带时区）或区间，不收日期 / instant with its zone or interval, no dates", _TEXT
        ),
        _query("filter", "CQL2 过滤 / CQL2 filter", _TEXT),
        _query("filter-lang", "过滤语言 / language", {"type": "string", "enum": ["cql2-text", "cql2-json"]}),
        _query("filter-crs", "过滤几何的坐标系 / CRS of geometries in filter", {"type": "string", "format": "uri"}),
        _query("sortby", "排序字段，降序加 - / fields to sort by, - for descending", _WORDS),
        _query("fields", "返回或排除（-）的成员 / members to answer or leave out (-)", _WORDS),
        _query("token", "续页标记 / token of the next page", _TEXT),
        _query("collections", "集合 / collections", _WORDS),
        _query("ids", "条目编号 / ids of items", _WORDS),
        _query("intersects", "GeoJSON 几何 / GeoJSON geometry", _TEXT),
        _query("query", '条件，JSON / conditions, JSON: {"version": {"eq": "2026.1"}}', _TEXT),
        _query("f", "返回格式 / format", {"type": "string", "enum": ["json", "html"]}),
        _query("lang", "网页语言 / language of pages", {"type": "string", "enum": ["zh", "en"]}),
    ]
    return {known["name"]: known for known in found}


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _operation(
    name: str, text: str, kind: str, schema: dict[str, Any], parameters: list[dict[str, Any]], *, html: bool = True
) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {"schema": schema}}
    if html:
        content["text/html"] = {"schema": _TEXT}
    return {
        "operationId": name,
        "summary": text,
        "tags": ["STAC"],
        "parameters": [*parameters, _ref("parameters", "f"), _ref("parameters", "lang")] if html else parameters,
        "responses": {
            "200": {"description": text, "content": content},
            "304": {"description": "未变化 / not modified"},
            **_problems("400", "404", "500", "503"),
        },
    }


def _problems(*codes: str) -> dict[str, Any]:
    words = {
        "400": "参数无效 / invalid parameter",
        "401": "需要密钥 / the key is needed",
        "403": "不允许 / forbidden",
        "404": "不存在 / not found",
        "405": "未开放编辑 / editing is off",
        "412": "已被他人改动 / changed meanwhile",
        "413": "请求体过大 / body too large",
        "415": "请求体类型不受支持 / unsupported type of body",
        "422": "数据不合格 / the data break a rule",
        "500": "服务错误 / server error",
        "503": "暂不可用 / unavailable",
    }
    # With ``f=html`` an error is a page too.
    problem = {"application/problem+json": {"schema": _ref("schemas", "exception")}, "text/html": {"schema": _TEXT}}
    return {code: {"description": words[code], "content": problem} for code in codes}


def _edit(name: str, text: str, code: str, *, item: bool, body: str | None = "item") -> dict[str, Any]:
    codes = ("400", "401", "403", "404", "405", "412", "413", "415", "422", "500", "503")
    found: dict[str, Any] = {
        "operationId": name,
        "summary": text,
        "tags": ["STAC"],
        "parameters": [_path("itemId")] if item else [],
        "responses": {code: {"description": text}, **_problems(*codes)},
    }
    if code == "201":
        found["responses"][code]["content"] = {GEOJSON: {"schema": _ref("schemas", "item")}}
    if body is not None:
        kinds = ("application/merge-patch+json", JSON) if body == "patch" else (GEOJSON, JSON)
        schema = {"type": "object"} if body == "patch" else _ref("schemas", "item")
        found["requestBody"] = {"required": True, "content": {kind: {"schema": schema} for kind in kinds}}
    return found


def openapi_document(base: str, *, editing: bool) -> dict[str, Any]:
    """OpenAPI 3.0.3 of the STAC API, complete in itself."""
    parameters = _parameters()
    common = [_ref("parameters", n) for n in ("limit", "bbox", "datetime", "filter", "filter-lang", "filter-crs")]
    common += [_ref("parameters", n) for n in ("sortby", "fields", "token")]
    more = [_ref("parameters", n) for n in ("collections", "ids", "intersects", "query")]
    thing = {"type": "object"}
    page = _ref("schemas", "itemCollection")
    collection = _path("collectionId")
    search = _operation("getItemSearch", "检索条目 / Search items", GEOJSON, page, [*common, *more])
    posted = _operation("postItemSearch", "检索条目 / Search items", GEOJSON, page, [], html=False)
    del posted["responses"]["304"]
    posted["responses"] |= _problems("413", "415")
    posted["requestBody"] = {"required": True, "content": {JSON: {"schema": _ref("schemas", "searchBody")}}}
    paths: dict[str, Any] = {
        "/": {"get": _operation("getLandingPage", "根目录 / Root catalogue", JSON, thing, [])},
        "/conformance": {"get": _operation("getConformance", "符合性声明 / Conformance", JSON, thing, [])},
        "/queryables": {"get": _operation("getQueryables", "可查询字段 / Queryables", SCHEMA, thing, [])},
        "/search": {"get": search, "post": posted},
        "/collections": {"get": _operation("getCollections", "集合 / Collections", JSON, thing, [])},
        "/collections/{collectionId}": {
            "get": _operation("getCollection", "集合 / A collection", JSON, thing, [collection])
        },
        "/collections/{collectionId}/queryables": {
            "get": _operation("getCollectionQueryables", "可查询字段 / Queryables", SCHEMA, thing, [collection])
        },
        "/collections/{collectionId}/items": {
            "get": _operation("getItems", "条目 / Items", GEOJSON, page, [collection, *common])
        },
        "/collections/{collectionId}/items/{itemId}": {
            "get": _operation(
                "getItem", "条目 / An item", GEOJSON, _ref("schemas", "item"), [collection, _path("itemId")]
            )
        },
    }
    if editing:
        one = f"/collections/{RESULTS}/items/{{itemId}}"
        paths[f"/collections/{RESULTS}/items"] = {
            "post": _edit("postResult", "登记成果 / Register a result", "201", item=False)
        }
        paths[one] = {
            "put": _edit("putResult", "替换成果 / Replace a result", "204", item=True),
            "patch": _edit("patchResult", "修改成果 / Change a result", "204", item=True, body="patch"),
            "delete": _edit("deleteResult", "撤下成果 / Withdraw a result", "204", item=True, body=None),
        }
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "湖北一张图 STAC API / OneMap Hubei STAC API",
            "version": software_version(),
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": f"{base}/stac"}],
        "tags": [{"name": "STAC"}],
        "paths": paths,
        "components": {"parameters": parameters, "schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    numbers = {"type": "array", "items": {"type": "number"}}
    links = {"type": "array", "items": _ref("schemas", "link")}
    rule = {
        "type": "object",
        "required": ["field"],
        "properties": {"field": _TEXT, "direction": {"type": "string", "enum": ["asc", "desc"]}},
    }
    return {
        "link": {
            "type": "object",
            "required": ["href", "rel"],
            "properties": {"href": _TEXT, "rel": _TEXT, "type": _TEXT, "title": _TEXT, "method": _TEXT},
        },
        "item": {
            "type": "object",
            "required": ["type", "id"],
            "properties": {
                "type": {"type": "string", "enum": ["Feature"]},
                "stac_version": _TEXT,
                "stac_extensions": _WORDS,
                "id": _TEXT,
                "collection": _TEXT,
                "geometry": {"type": "object", "nullable": True},
                "bbox": numbers,
                "properties": {"type": "object"},
                "assets": {"type": "object", "additionalProperties": {"type": "object"}},
                "links": links,
            },
        },
        "itemCollection": {
            "type": "object",
            "required": ["type", "features"],
            "properties": {
                "type": {"type": "string", "enum": ["FeatureCollection"]},
                "features": {"type": "array", "items": {"type": "object"}},
                "links": links,
                "numberMatched": {"type": "integer"},
                "numberReturned": {"type": "integer"},
            },
        },
        "searchBody": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "limit": {"type": "integer", "minimum": 1},
                "bbox": {**numbers, "minItems": 4, "maxItems": 6},
                "datetime": _TEXT,
                "intersects": {"type": "object"},
                "query": {"type": "object", "additionalProperties": {"type": "object"}},
                "ids": _WORDS,
                "collections": _WORDS,
                "filter": {"type": "object"},
                "filter-lang": {"type": "string", "enum": ["cql2-json"]},
                "filter-crs": _TEXT,
                "sortby": {"type": "array", "items": rule},
                "fields": {"type": "object", "properties": {"include": _WORDS, "exclude": _WORDS}},
                "token": _TEXT,
            },
        },
        "exception": {
            "type": "object",
            "required": ["title", "status"],
            "properties": {"type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT},
        },
    }
