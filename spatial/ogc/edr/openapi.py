"""OpenAPI paths of EDR: per layer what it really answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.crs import CRS84, SERVED
from spatial.ogc.coverage_json import COVJSON
from spatial.ogc.coverages.formats import GEOTIFF, NETCDF
from spatial.ogc.edr.formats import HEADERS
from spatial.ogc.edr.queries import formats_of, parameters_of_query, queries_of
from spatial.ogc.edr.request import UNITS
from spatial.ogc.edr.stations import parameters_of
from spatial.ogc.exchange import GEOJSON, JSON
from spatial.ogc.openapi_components import parameter, ref
from spatial.ogc.openapi_operations import get_operation
from spatial.store.raster import PublishedRaster

if TYPE_CHECKING:
    from spatial.store.datastore import Published, Snapshot

__all__ = ["components", "paths"]

_TITLES = {
    "position": ("点位取值", "values at points"),
    "radius": ("半径内取值", "values within a distance"),
    "area": ("面域取值", "values in a polygon"),
    "cube": ("范围取值", "values in a box"),
    "trajectory": ("沿线取值", "values along a path"),
    "corridor": ("廊道取值", "values along a corridor"),
    "locations": ("单个测站", "one station"),
}
_COORDS = {
    "position": ("POINT 或 MULTIPOINT", "POINT or MULTIPOINT", "POINT(114.3 30.6)"),
    "radius": ("POINT", "POINT", "POINT(114.3 30.6)"),
    "area": ("POLYGON 或 MULTIPOLYGON", "POLYGON or MULTIPOLYGON", "POLYGON((114 30,115 30,115 31,114 31,114 30))"),
    "trajectory": ("LINESTRING 或 MULTILINESTRING", "LINESTRING or MULTILINESTRING", "LINESTRING(114 30,115 31)"),
    "corridor": ("LINESTRING 或 MULTILINESTRING", "LINESTRING or MULTILINESTRING", "LINESTRING(114 30,115 31)"),
}  # fmt: skip


def _component_name(query: str, name: str) -> str:
    return f"edr-{query}-{name}" if name in {"coords", "f"} else f"edr-{name}"


def components(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Parameters, answers and schemas that the paths share."""
    text: dict[str, Any] = {"type": "string"}
    units: dict[str, Any] = {"type": "string", "enum": list(UNITS)}
    count: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 999_999}
    crs = {"type": "string", "format": "uri", "enum": list(SERVED), "default": CRS84.uri}
    box: dict[str, Any] = {"type": "array", "minItems": 4, "maxItems": 6, "items": {"type": "number"}}
    box["example"] = [114.2, 30.5, 114.4, 30.7]
    length: dict[str, Any] = {"type": "string", "example": "5"}
    found: dict[str, Any] = {
        "edr-bbox": parameter("bbox", "范围，轴序见 crs", "box in the axis order of crs", box, required=True),
        "edr-resolution-x": parameter("resolution-x", "列数，0 为原分辨率", "columns; 0: native", count),
        "edr-resolution-y": parameter("resolution-y", "行数，0 为原分辨率", "rows; 0: native", count),
        "edr-within": parameter("within", "半径（椭球面距离）", "radius on the ellipsoid", length, required=True),
        "edr-within-units": parameter("within-units", "半径单位", "unit of within", units, required=True),
        "edr-corridor-width": parameter("corridor-width", "廊道总宽", "total width", length, required=True),
        "edr-width-units": parameter("width-units", "廊道宽度单位", "unit of corridor-width", units, required=True),
        "edr-corridor-height": parameter(
            "corridor-height", "廊道总高；数据在地面，无影响", "total height; the data lie on the ground: no effect", text
        ),
        "edr-height-units": parameter("height-units", "廊道高度单位", "unit of corridor-height", units),
        "edr-datetime": parameter(
            "datetime",
            "时刻或区间（RFC 3339；开端写 ..）；没有时间的图层不受影响",
            "instant or interval (RFC 3339; open end ..); no effect on layers without time",
            text,
        ),
        "edr-crs": parameter(
            "crs", "coords、bbox 与返回坐标的坐标系", "CRS of coords, bbox and the answer", crs
        ),
        "edr-header": parameter(
            "header", "CSV 表头：字段名、中文或英文", "head of the CSV: names, Chinese or English titles",
            {"type": "string", "enum": list(HEADERS), "default": "name"},
        ),
        "edr-location": parameter("locationId", "测站", "station", text, place="path", required=True),
        "edr-instance": parameter("instanceId", "版本", "version", text, place="path", required=True),
        "edr-f-locations-list": parameter(
            "f", "返回格式", "Format", {"type": "string", "enum": ["GeoJSON"], "default": "GeoJSON"}
        ),
    }  # fmt: skip
    for query, (zh, en, example) in _COORDS.items():
        found[f"edr-{query}-coords"] = parameter(
            "coords",
            f"WKT：{zh}，轴序见 crs，不带 Z、M",
            f"WKT: {en}, axis order of crs, no Z or M",
            {"type": "string", "example": example},
            required=True,
        )
    problem = {"application/problem+json": {"schema": ref("schemas", "exception")}}
    return {
        "parameters": found,
        "responses": {
            "EDRNoData": {"description": "没有数据 / no data there or then"},
            "EDRInstances": {
                "description": "历次版本 / the versions",
                "content": {
                    JSON: {"schema": {"type": "object", "required": ["instances", "links"]}},
                    "text/html": {"schema": {"type": "string"}},
                },
            },
            "EDRTooLarge": {"description": "数据过多，说明中有办法 / too much data; says what to do", "content": problem},
            "EDRLocations": {
                "description": "测站 / stations",
                "content": {GEOJSON: {"schema": ref("schemas", "edrFeatureCollection")}},
            },
        },
        "schemas": {"edrFeatureCollection": _feature_collection()},
    }  # fmt: skip


def _feature_collection() -> dict[str, Any]:
    text = {"type": "string"}
    properties = {
        "type": "object",
        "required": ["datetime", "label", "parameter-name", "edrqueryendpoint"],
        "properties": {
            "datetime": text,
            "label": text,
            "parameter-name": {"type": "array", "items": text},
            "edrqueryendpoint": text,
        },
        "additionalProperties": True,
    }
    feature = {
        "type": "object",
        "required": ["type", "geometry", "properties"],
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "id": text,
            "geometry": {"type": "object"},
            "properties": properties,
        },
    }
    return {
        "type": "object",
        "required": ["type", "features"],
        "properties": {
            "type": {"type": "string", "enum": ["FeatureCollection"]},
            "features": {"type": "array", "items": feature},
            "parameters": {"type": "array", "items": {"type": "object"}},
            "numberReturned": {"type": "integer", "minimum": 0},
            "numberMatched": {"type": "integer", "minimum": 0},
            "links": {"type": "array", "items": ref("schemas", "link")},
        },
    }


def _content(query: str, *, raster: bool) -> dict[str, Any]:
    known: dict[str, Any] = {
        COVJSON: {"schema": ref("schemas", "coverageJSON")},
        GEOJSON: {"schema": ref("schemas", "edrFeatureCollection")},
        "text/csv": {"schema": {"type": "string"}},
        NETCDF: {"schema": {"type": "string", "format": "binary"}},
        GEOTIFF: {"schema": {"type": "string", "format": "binary"}},
    }
    media = [form.media.partition("; charset")[0] for form in formats_of(query, raster=raster)]  # type: ignore[arg-type]
    return {name: known[name] for name in media}


def _query(published: Published, query: str, prefix: list[Any], suffix: str) -> dict[str, Any]:
    layer = published.layer
    raster = isinstance(published, PublishedRaster)
    names = [b.name for b in layer.bands] if raster else [f.name for f in parameters_of(layer)]
    own = {
        "parameter-name": parameter(
            "parameter-name",
            "返回的参数",
            "parameters to return",
            {"type": "array", "minItems": 1, "items": {"type": "string", "enum": names}},
        ),
        "f": parameter(
            "f",
            "返回格式",
            "Format of the answer",
            {"type": "string", "enum": [f.name for f in formats_of(query, raster=raster)], "default": "CoverageJSON"},  # type: ignore[arg-type]
        ),
        "lang": ref("parameters", "lang"),
    }
    asked = [
        own.get(name) or ref("parameters", _component_name(query, name))
        for name in parameters_of_query(query, raster=raster)  # type: ignore[arg-type]
    ]
    title, (zh, en) = layer.display_title(), _TITLES[query]
    operation = get_operation(
        layer.id, f"{layer.id}.edr.{query}{suffix}", f"{title.zh}：{zh}", f"{title.en}: {en}", "Coverage", [*prefix, *asked]
    )  # fmt: skip
    headers = {"Content-Crs": {"description": "坐标系 / CRS of the coordinates", "schema": {"type": "string"}}}
    operation["responses"] |= {
        "200": {"description": f"{zh} / {en}", "headers": headers, "content": _content(query, raster=raster)},
        "204": ref("responses", "EDRNoData"),
        "413": ref("responses", "EDRTooLarge"),
    }
    return {"get": operation}


def _locations(published: Published, prefix: list[Any], suffix: str) -> dict[str, Any]:
    layer, title = published.layer, published.layer.display_title()
    names = {
        "type": "array",
        "minItems": 1,
        "items": {"type": "string", "enum": [f.name for f in parameters_of(layer)]},
    }
    asked = [
        parameter("parameter-name", "列出的参数", "parameters to list", names),
        ref("parameters", "edr-datetime"),
        ref("parameters", "edr-crs"),
        ref("parameters", "edr-f-locations-list"),
        ref("parameters", "lang"),
    ]
    operation = get_operation(
        layer.id,
        f"{layer.id}.edr.listLocations{suffix}",
        f"{title.zh}：测站清单",
        f"{title.en}: stations",
        "EDRLocations",
        [*prefix, *asked],
    )
    return {"get": operation}


def _layer_paths(published: Published) -> dict[str, Any]:
    layer = published.layer
    title = layer.display_title()
    path = f"/collections/{layer.id}"
    instance = ref("parameters", "edr-instance")
    found: dict[str, Any] = {}
    for base, prefix, suffix in ((path, [], ""), (f"{path}/instances/{{instanceId}}", [instance], ".instance")):
        for query in queries_of(published):
            if query == "locations":
                found[f"{base}/locations"] = _locations(published, prefix, suffix)
                one = [*prefix, ref("parameters", "edr-location")]
                found[f"{base}/locations/{{locationId}}"] = _query(published, query, one, suffix)
            else:
                found[f"{base}/{query}"] = _query(published, query, prefix, suffix)
    for address, parameters, name, answer in (
        (f"{path}/instances", [], "getInstances", "EDRInstances"),
        (f"{path}/instances/{{instanceId}}", [instance], "getInstance", "Collection"),
    ):
        asked = [*parameters, ref("parameters", "f"), ref("parameters", "lang")]
        operation = get_operation(
            layer.id, f"{layer.id}.edr.{name}", f"{title.zh}：版本", f"{title.en}: versions", answer, asked
        )
        found[address] = {"get": operation}
    return found


def paths(snapshot: Snapshot) -> dict[str, Any]:
    """Paths of every layer that EDR serves."""
    found: dict[str, Any] = {}
    for layer in snapshot.layers():
        published = snapshot.published(layer.id)
        if published is not None and queries_of(published):
            found |= _layer_paths(published)
    return found
