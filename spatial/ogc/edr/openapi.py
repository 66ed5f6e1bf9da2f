"""OpenAPI paths of EDR, by kind: what rasters and stations answer alike, what only rasters and what only stations answer.

The readings of a layer of stations and the bands of a raster are listed by the document of the collection, as
``parameter_names``: written out here, a layer of stations cost 18 kB, and three hundred passed what YAML readers take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.crs import CRS84, SERVED
from spatial.ogc.coverage_json import COVJSON
from spatial.ogc.coverages.formats import GEOTIFF, NETCDF
from spatial.ogc.data_formats import DataFormat
from spatial.ogc.edr.formats import HEADERS
from spatial.ogc.edr.queries import (
    QUERIES,
    RASTER_QUERIES,
    STATION_QUERIES,
    Query,
    formats_of,
    parameters_of_query,
    queries_of,
)
from spatial.ogc.edr.request import UNITS
from spatial.ogc.exchange import GEOJSON, JSON
from spatial.ogc.openapi_collections import COLLECTION, collection_parameter
from spatial.ogc.openapi_components import parameter, ref
from spatial.ogc.openapi_operations import get_operation
from spatial.rfc3339 import DESCRIPTION
from spatial.store.raster import PublishedRaster

if TYPE_CHECKING:
    from spatial.store.datastore import Published, Snapshot

__all__ = ["components", "paths"]

_TITLES: dict[Query, tuple[str, str]] = {
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


_KINDS = {
    "any": ("edrCollectionId", "（EDR）", " that EDR serves"),
    "raster": ("edrRasterCollectionId", "（栅格）", " of a raster"),
    "station": ("edrStationCollectionId", "（测站）", " of stations"),
}
"""Kind of layers → component of the path's variable, with its Chinese and English description."""


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
        "edr-resolution-x": parameter("resolution-x", "列数，0 为原分辨率；限栅格", "columns; 0: native; rasters only", count),
        "edr-resolution-y": parameter("resolution-y", "行数，0 为原分辨率；限栅格", "rows; 0: native; rasters only", count),
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
            f"{DESCRIPTION[0]}；没有时间的图层不受影响",
            f"{DESCRIPTION[1]}; no effect on layers without time",
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
    for kind, (name, zh, en) in _KINDS.items():
        ids = [published.layer.id for published in _served(snapshot, kind)]
        if ids:
            found[name] = collection_parameter(ids, zh, en)
    found["edr-parameter-name"] = parameter(
        "parameter-name",
        "返回的参数；名称见数据集的 parameter_names",
        "parameters to return; names: see parameter_names of the collection",
        {"type": "array", "minItems": 1, "items": text},
    )
    formats, answers = _formats_and_answers()
    found |= formats
    problem = {"application/problem+json": {"schema": ref("schemas", "exception")}}
    return {
        "parameters": found,
        "responses": {
            **answers,
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


def _forms(query: Query) -> dict[str, tuple[DataFormat, set[str]]]:
    """Formats of a query by name, the default first, each with the kinds that have it."""
    found: dict[str, tuple[DataFormat, set[str]]] = {}
    for kind in _answering(query):
        for form in formats_of(query, raster=kind == "raster"):
            found.setdefault(form.name, (form, set()))[1].add(kind)
    return found


def _answering(query: Query) -> tuple[str, ...]:
    """Kinds of layers that answer a query."""
    return tuple(
        kind for kind, queries in (("raster", RASTER_QUERIES), ("station", STATION_QUERIES)) if query in queries
    )


def _content(query: Query) -> dict[str, Any]:
    known: dict[str, Any] = {
        COVJSON: {"schema": ref("schemas", "coverageJSON")},
        GEOJSON: {"schema": ref("schemas", "edrFeatureCollection")},
        "text/csv": {"schema": {"type": "string"}},
        NETCDF: {"schema": {"type": "string", "format": "binary"}},
        GEOTIFF: {"schema": {"type": "string", "format": "binary"}},
    }
    return {
        media: known[media] for media in (form.media.partition("; charset")[0] for form, _ in _forms(query).values())
    }


def _served(snapshot: Snapshot, kind: str = "any") -> list[Published]:
    """Layers that EDR serves: all, or those of one kind."""
    return [
        published
        for published in snapshot.current()
        if queries_of(published) and kind in ("any", "raster" if isinstance(published, PublishedRaster) else "station")
    ]


def _formats_and_answers() -> tuple[dict[str, Any], dict[str, Any]]:
    """Component → ``f`` and answer of every query."""
    headers = {"Content-Crs": {"description": "坐标系 / CRS of the coordinates", "schema": {"type": "string"}}}
    formats, answers = {}, {}
    for query, (zh, en) in _TITLES.items():
        forms = _forms(query)
        only = {
            kind: "、".join(name for name, (_, kinds) in forms.items() if kinds == {kind})
            for kind in ("raster", "station")
        }
        told = ("", "")
        if len(_answering(query)) > 1 and any(only.values()):
            told = (
                f"；{only['raster']} 只用于栅格，{only['station']} 只用于测站",
                f"; {only['raster'].replace('、', ', ')} of rasters only, {only['station']} of stations only",
            )
        schema = {"type": "string", "enum": list(forms), "default": "CoverageJSON"}
        formats[f"edr-{query}-f"] = parameter("f", f"返回格式{told[0]}", f"Format of the answer{told[1]}", schema)
        answers[f"edr-{query}-answer"] = {
            "description": f"{zh} / {en}",
            "headers": headers,
            "content": _content(query),
        }
    return formats, answers


def _query(query: Query, prefix: list[Any], suffix: str) -> dict[str, Any]:
    """A data query, or the readings of one station."""
    names = dict.fromkeys(
        name for kind in _answering(query) for name in parameters_of_query(query, raster=kind == "raster")
    )
    asked = [ref("parameters", "lang" if name == "lang" else _component_name(query, name)) for name in names]
    zh, en = _TITLES[query]
    operation = get_operation("edr", f"edr.{query}{suffix}", zh, en, "Coverage", [*prefix, *asked])
    operation["responses"] |= {
        "200": ref("responses", f"edr-{query}-answer"),
        "204": ref("responses", "EDRNoData"),
        "413": ref("responses", "EDRTooLarge"),
    }
    return {"get": operation}


def _locations(prefix: list[Any], suffix: str) -> dict[str, Any]:
    """The list of stations."""
    shared = ("edr-parameter-name", "edr-datetime", "edr-crs", "edr-f-locations-list", "lang")
    asked = [*prefix, *(ref("parameters", name) for name in shared)]
    return {"get": get_operation("edr", f"edr.listLocations{suffix}", "测站清单", "stations", "EDRLocations", asked)}


def paths(snapshot: Snapshot) -> dict[str, Any]:
    """Paths of the layers that EDR serves, each with the collections that it stands for."""
    there = {kind for kind in ("raster", "station") if _served(snapshot, kind)}
    if not there:
        return {}
    found: dict[str, Any] = {}
    instance = ref("parameters", "edr-instance")
    for base, given, suffix in (
        (COLLECTION, [], ""),
        (f"{COLLECTION}/instances/{{instanceId}}", [instance], ".instance"),
    ):
        for query in QUERIES:
            kinds = _answering(query)
            if not there & set(kinds):
                continue
            prefix = [ref("parameters", _KINDS["any" if len(kinds) > 1 else kinds[0]][0]), *given]
            if query == "locations":
                found[f"{base}/locations"] = _locations(prefix, suffix)
                one = [*prefix, ref("parameters", "edr-location")]
                found[f"{base}/locations/{{locationId}}"] = _query(query, one, suffix)
            else:
                found[f"{base}/{query}"] = _query(query, prefix, suffix)
    collection = ref("parameters", _KINDS["any"][0])
    for address, parameters, name, answer in (
        (f"{COLLECTION}/instances", [], "getInstances", "EDRInstances"),
        (f"{COLLECTION}/instances/{{instanceId}}", [instance], "getInstance", "Collection"),
    ):
        asked = [collection, *parameters, ref("parameters", "f"), ref("parameters", "lang")]
        found[address] = {"get": get_operation("edr", f"edr.{name}", "版本", "Versions", answer, asked)}
    return found
