"""OpenAPI paths of EDR: what rasters answer, once for all of them, and what each layer of stations answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from spatial.crs import CRS84, SERVED
from spatial.ogc.coverage_json import COVJSON
from spatial.ogc.coverages.formats import GEOTIFF, NETCDF
from spatial.ogc.edr.formats import HEADERS
from spatial.ogc.edr.queries import Query, formats_of, parameters_of_query, queries_of
from spatial.ogc.edr.request import UNITS
from spatial.ogc.edr.stations import parameters_of
from spatial.ogc.exchange import GEOJSON, JSON
from spatial.ogc.openapi_collections import COLLECTION, collection_parameter
from spatial.ogc.openapi_components import parameter, ref
from spatial.ogc.openapi_operations import get_operation
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
    served = _served(snapshot)
    if served:
        found["edrCollectionId"] = collection_parameter([p.layer.id for p in served], "（EDR）", " that EDR serves")
        found["edr-parameter-name"] = _names("；名称见数据集的 parameter_names", "; names: see the collection")
    for published in served:
        if not isinstance(published, PublishedRaster):
            readings = [f.name for f in parameters_of(published.layer)]
            found[_name_component(published)] = _names("", "", readings)
    answers: dict[str, Any] = {}
    for raster in (True, False):
        formats, own_answers = _formats_and_answers(raster=raster)
        found |= formats
        answers |= own_answers
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


def _content(query: Query, *, raster: bool) -> dict[str, Any]:
    known: dict[str, Any] = {
        COVJSON: {"schema": ref("schemas", "coverageJSON")},
        GEOJSON: {"schema": ref("schemas", "edrFeatureCollection")},
        "text/csv": {"schema": {"type": "string"}},
        NETCDF: {"schema": {"type": "string", "format": "binary"}},
        GEOTIFF: {"schema": {"type": "string", "format": "binary"}},
    }
    media = [form.media.partition("; charset")[0] for form in formats_of(query, raster=raster)]
    return {name: known[name] for name in media}


def _names(zh: str, en: str, names: list[str] | None = None) -> dict[str, Any]:
    """``parameter-name``, with its choices where `names` are given."""
    one = {"type": "string", **({"enum": names} if names else {})}
    schema = {"type": "array", "minItems": 1, "items": one}
    return parameter("parameter-name", f"返回的参数{zh}", f"parameters to return{en}", schema)


def _name_component(published: Published | None) -> str:
    return "edr-parameter-name" if published is None else f"edr-parameter-name-{published.layer.id}"


def _served(snapshot: Snapshot) -> list[Published]:
    return [published for published in snapshot.current() if queries_of(published)]


def _kind_component(part: str, query: Query, *, raster: bool) -> str:
    return f"edr-{'raster' if raster else 'station'}-{query}-{part}"


def _formats_and_answers(*, raster: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Component → ``f`` and answer of every query of rasters or of stations."""
    headers = {"Content-Crs": {"description": "坐标系 / CRS of the coordinates", "schema": {"type": "string"}}}
    formats, answers = {}, {}
    for query, (zh, en) in _TITLES.items():
        names = [f.name for f in formats_of(query, raster=raster)]
        schema = {"type": "string", "enum": names, "default": "CoverageJSON"}
        form = parameter("f", "返回格式", "Format of the answer", schema)
        formats[_kind_component("f", query, raster=raster)] = form
        answer = {"description": f"{zh} / {en}", "headers": headers, "content": _content(query, raster=raster)}
        answers[_kind_component("answer", query, raster=raster)] = answer
    return formats, answers


class _Described:
    """One layer of stations, or every raster: what its paths begin with and what its operations are called."""

    def __init__(self, published: Published | None = None) -> None:
        self.raster = published is None
        if published is None:
            self.path, self.tag, self.name = COLLECTION, "edr", "raster.edr"
            self.prefix: list[Any] = [ref("parameters", "rasterCollectionId")]
            self.zh = self.en = ""
        else:
            layer, title = published.layer, published.layer.display_title()
            self.path, self.tag, self.name = f"/collections/{layer.id}", layer.id, f"{layer.id}.edr"
            self.prefix = []
            self.zh, self.en = f"{title.zh}：", f"{title.en}: "
        self.asked = ref("parameters", _name_component(published))

    def query(self, query: Query, prefix: list[Any], suffix: str) -> dict[str, Any]:
        """A data query, or the readings of one station."""
        own = {
            "parameter-name": self.asked,
            "f": ref("parameters", _kind_component("f", query, raster=self.raster)),
            "lang": ref("parameters", "lang"),
        }
        asked = [
            own.get(name) or ref("parameters", _component_name(query, name))
            for name in parameters_of_query(query, raster=self.raster)
        ]
        zh, en = _TITLES[query]
        operation = get_operation(
            self.tag,
            f"{self.name}.{query}{suffix}",
            f"{self.zh}{zh}",
            f"{self.en}{en}",
            "Coverage",
            [*self.prefix, *prefix, *asked],
        )
        operation["responses"] |= {
            "200": ref("responses", _kind_component("answer", query, raster=self.raster)),
            "204": ref("responses", "EDRNoData"),
            "413": ref("responses", "EDRTooLarge"),
        }
        return {"get": operation}

    def locations(self, prefix: list[Any], suffix: str) -> dict[str, Any]:
        """The list of stations."""
        shared = ("edr-datetime", "edr-crs", "edr-f-locations-list", "lang")
        asked = [self.asked, *(ref("parameters", name) for name in shared)]
        operation = get_operation(
            self.tag,
            f"{self.name}.listLocations{suffix}",
            f"{self.zh}测站清单",
            f"{self.en}stations",
            "EDRLocations",
            [*self.prefix, *prefix, *asked],
        )
        return {"get": operation}

    def paths(self, queries: Sequence[Query]) -> dict[str, Any]:
        """Its queries, of the present version and of each."""
        found: dict[str, Any] = {}
        instance = ref("parameters", "edr-instance")
        for base, prefix, suffix in (
            (self.path, [], ""),
            (f"{self.path}/instances/{{instanceId}}", [instance], ".instance"),
        ):
            for query in queries:
                if query == "locations":
                    found[f"{base}/locations"] = self.locations(prefix, suffix)
                    one = [*prefix, ref("parameters", "edr-location")]
                    found[f"{base}/locations/{{locationId}}"] = self.query(query, one, suffix)
                else:
                    found[f"{base}/{query}"] = self.query(query, prefix, suffix)
        return found


def paths(snapshot: Snapshot) -> dict[str, Any]:
    """Paths of the layers that EDR serves: those of rasters once, those of every layer of stations."""
    served = _served(snapshot)
    rasters = [p for p in served if isinstance(p, PublishedRaster)]
    found: dict[str, Any] = _Described().paths(queries_of(rasters[0])) if rasters else {}
    for published in served:
        if not isinstance(published, PublishedRaster):
            found |= _Described(published).paths(queries_of(published))
    if served:
        collection = ref("parameters", "edrCollectionId")
        for address, parameters, name, answer in (
            (f"{COLLECTION}/instances", [], "getInstances", "EDRInstances"),
            (
                f"{COLLECTION}/instances/{{instanceId}}",
                [ref("parameters", "edr-instance")],
                "getInstance",
                "Collection",
            ),
        ):
            asked = [collection, *parameters, ref("parameters", "f"), ref("parameters", "lang")]
            found[address] = {"get": get_operation("edr", f"edr.{name}", "版本", "Versions", answer, asked)}
    return found
