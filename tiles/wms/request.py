"""Requests of WMS 1.3.0 and 1.1.1, read: layers, styles, CRS with its axis order, extent, size, background.

In 1.3.0 a ``BBOX`` has the axis order of its CRS: EPSG:4326 and EPSG:4490 latitude first, the Gauss–Krüger zones northing
first, CRS:84 and EPSG:3857 x first. In 1.1.1 every ``BBOX`` is x first. Parameters that WMS does not know are ignored, as
WMS says. Source: OGC 06-042 (WMS 1.3.0), OGC 01-068r3 (WMS 1.1.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spatial.crs import CRS84, SERVED, ServedCRS, parse_crs
from spatial.errors import InvalidParameter, LayerNotFound, NotFound, UnknownCRS
from spatial.store.vector import Interval
from tiles.maps.grid import Extent, MapGrid
from tiles.maps.picture import MapLayer
from tiles.maps.query import colour, interval, numbers, pixels
from tiles.maps.request import MOST_SIDE, Background, MapRequest, check_size
from tiles.style_choices import DEFAULT, layer_style, published

if TYPE_CHECKING:
    from spatial.store.datastore import Snapshot

__all__ = [
    "FORMATS",
    "INFO_FORMATS",
    "MOST_LAYERS",
    "InfoRequest",
    "crs_name",
    "keywords",
    "operation",
    "read_get_map",
    "read_info",
    "read_legend",
    "version_of",
]

MOST_LAYERS = 20
"""Most layers in one map (``LayerLimit``)."""
VERSIONS = ("1.3.0", "1.1.1")
OPERATIONS = ("GetCapabilities", "GetMap", "GetFeatureInfo", "GetLegendGraphic")
FORMATS = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpg"}
"""Media type of a map → file ending."""
INFO_FORMATS = (
    "application/json",
    "text/html",
    "text/plain",
    "application/vnd.ogc.gml",
    "application/vnd.ogc.gml/3.1.1",
    "text/xml",
)
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/png8": "image/png",
    "application/geo+json": "application/json",
    "application/vnd.ogc.gml/2.1.2": "application/vnd.ogc.gml",
    "application/gml+xml": "application/vnd.ogc.gml/3.1.1",
    "application/vnd.ogc.wms_xml": "text/xml",
    "application/xml": "text/xml",
}
_MOST_FEATURES = 50


def keywords(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters with lower-case names: names are case-insensitive in WMS."""
    return {name.lower(): value for name, value in query}


def version_of(query: Mapping[str, str]) -> str:
    """Version that answers: the highest that is not above the one asked for; 1.3.0 where none is named.

    A request with ``SRS`` and without ``VERSION`` is one of an old client.

    Examples
    --------
    >>> version_of({"version": "1.1.0"}), version_of({"srs": "EPSG:4326"}), version_of({"version": "1.4"})
    ('1.1.1', '1.1.1', '1.3.0')
    """
    wanted = query.get("version") or query.get("wmtver") or ("1.1.1" if "srs" in query else "1.3.0")
    parts = [int(p) if p.isascii() and p.isdigit() else 0 for p in wanted.split(".")[:3]]
    return "1.3.0" if parts >= [1, 3] else "1.1.1"


def operation(query: Mapping[str, str]) -> str:
    """Operation that a request asks for.

    Raises
    ------
    InvalidParameter
        Not a WMS request, or no operation of ours.
    """
    if query.get("service", "WMS").upper() != "WMS":
        raise _wrong("service", query["service"], ["WMS"])
    name = query.get("request")
    if not name:
        raise _missing("request")
    old = {"capabilities": "getcapabilities", "map": "getmap", "feature_info": "getfeatureinfo"}
    known = {o.lower(): o for o in OPERATIONS}
    found = known.get(old.get(name.lower(), name.lower()))
    if found is None:
        raise InvalidParameter(
            f"不支持操作 request={name[:40]!r}，可用：{'、'.join(OPERATIONS)}",
            f"request={name[:40]!r} is not served; use one of {', '.join(OPERATIONS)}",
            parameter="request",
            code="OperationNotSupported",
        )
    return found


def _missing(name: str) -> InvalidParameter:
    return InvalidParameter(
        f"WMS 缺少参数 {name.upper()}", f"WMS: {name.upper()} is missing", parameter=name, code="MissingParameterValue"
    )


def _wrong(name: str, text: str, allowed: Iterable[str], code: str = "InvalidParameterValue") -> InvalidParameter:
    listed = list(allowed)
    return InvalidParameter(
        f"WMS 参数 {name.upper()} 的值 {text[:60]!r} 无效，可用：{'、'.join(listed)}",
        f"WMS: {name.upper()}={text[:60]!r} is not served; use one of {', '.join(listed)}",
        parameter=name,
        code=code,
    )


def _need(query: Mapping[str, str], name: str) -> str:
    value = query.get(name)
    if not value:
        raise _missing(name)
    return value


def crs_name(crs: ServedCRS) -> str:
    """Name of a CRS in WMS: ``CRS:84``, ``EPSG:4490``.

    >>> crs_name(CRS84)
    'CRS:84'
    """
    return "CRS:84" if crs is CRS84 else crs.name


def _crs(text: str, version: str) -> ServedCRS:
    name = text.strip().upper()
    if name == "CRS:84":
        return CRS84
    try:
        return parse_crs("EPSG:3857" if name in {"EPSG:900913", "EPSG:102100"} else name)
    except UnknownCRS:
        code = "InvalidCRS" if version == "1.3.0" else "InvalidSRS"
        raise _wrong(
            "crs" if version == "1.3.0" else "srs", text, (crs_name(c) for c in SERVED.values()), code
        ) from None


def _grid(query: Mapping[str, str], version: str) -> MapGrid:
    crs = _crs(_need(query, "crs" if version == "1.3.0" else "srs"), version)
    values = numbers(_need(query, "bbox"), "bbox", (4,))
    first_x = not (version == "1.3.0" and crs.latitude_first)
    west, south, east, north = values if first_x else (values[1], values[0], values[3], values[2])
    if west >= east or south >= north:
        order = "x,y" if first_x else "纬度,经度 lat,lon" if not crs.projected else "北坐标,东坐标 northing,easting"
        raise InvalidParameter(
            f"BBOX 的下角点应小于上角点；{crs_name(crs)} 在 {version} 的轴序：{order}",
            f"BBOX: the lower corner must be below the upper one; order of {crs_name(crs)} in {version}: {order}",
            parameter="bbox",
            code="InvalidParameterValue",
        )
    width, height = (pixels(_need(query, name), name, MOST_SIDE) for name in ("width", "height"))
    check_size(width, height)
    extent: Extent = (west, south, east, north)
    return MapGrid(crs, _on_earth(extent, crs), width, height)


def _on_earth(extent: Extent, crs: ServedCRS) -> Extent:
    """A geographic extent moved by whole turns, so that its west lies between −180 and 180."""
    if crs.projected:
        return extent
    west, south, east, north = extent
    turns = (west + 180) // 360 * 360
    return west - turns, south, east - turns, north


def _layers(snapshot: Snapshot, names: str, styles: str) -> list[MapLayer]:
    ids = [name.strip() for name in names.split(",")]
    if len(ids) > MOST_LAYERS:
        raise InvalidParameter(
            f"一次最多 {MOST_LAYERS} 个图层", f"at most {MOST_LAYERS} layers at once", parameter="layers"
        )
    chosen = styles.split(",") if styles else [""] * len(ids)
    if len(chosen) != len(ids):
        raise InvalidParameter(
            f"STYLES 应为空或与 LAYERS 同为 {len(ids)} 个",
            f"STYLES must be empty or name as many styles as LAYERS: {len(ids)}",
            parameter="styles",
            code="StyleNotDefined",
        )
    found = []
    for layer_id, style in zip(ids, chosen, strict=True):
        try:
            one = published(snapshot, layer_id)
        except LayerNotFound as error:
            raise LayerNotFound(error.zh, error.en, layer=layer_id, code="LayerNotDefined") from None
        try:
            found.append(MapLayer(one, layer_style(one, style.strip() or DEFAULT).band))
        except NotFound as error:
            raise NotFound(error.zh, error.en, layer=layer_id, parameter="styles", code="StyleNotDefined") from None
    return found


def _format(query: Mapping[str, str], name: str, allowed: Iterable[str], default: str | None) -> str:
    text = query.get(name) or default
    if not text:
        raise _missing(name)
    plain, _, rest = text.replace(" ", "+").lower().partition(";")
    plain = _ALIASES.get(plain.strip("+"), plain.strip("+"))
    if plain in {"text/xml", "application/vnd.ogc.gml"} and "gml/3" in rest:
        plain = "application/vnd.ogc.gml/3.1.1"
    if plain not in allowed:
        raise _wrong(name, text, allowed, "InvalidFormat")
    return plain


def read_get_map(query: Mapping[str, str], snapshot: Snapshot, version: str) -> tuple[list[MapLayer], MapRequest, str]:
    """Layers from below, the map, and the file ending of a GetMap request.

    Raises
    ------
    InvalidParameter, LayerNotFound, NotFound
        Their ``code`` is that of the service exception.
    """
    layers = _layers(snapshot, _need(query, "layers"), query.get("styles", ""))
    grid = _grid(query, version)
    ext = FORMATS[_format(query, "format", FORMATS, "image/png")]
    clear = query.get("transparent", "FALSE").upper()
    if clear not in {"TRUE", "FALSE"}:
        raise _wrong("transparent", clear, ["TRUE", "FALSE"])
    ground = None if clear == "TRUE" else colour(query.get("bgcolor") or "0xFFFFFF", "bgcolor")
    return layers, MapRequest(grid, Background(ground, ground), _time(query), _ratio(query)), ext


def _time(query: Mapping[str, str]) -> Interval | None:
    return interval(query["time"], "time") if query.get("time") else None


def _ratio(query: Mapping[str, str]) -> float:
    """Pixels in a CSS pixel, by the resolution that desktop programs send (96 dpi is 1)."""
    options = dict(p.split(":", 1) for p in query.get("format_options", "").split(";") if ":" in p)
    for text in (query.get("dpi"), query.get("map_resolution"), options.get("dpi")):
        if text and text.replace(".", "", 1).isascii() and text.replace(".", "", 1).isdigit():
            return min(4.0, max(0.5, float(text) / 96))
    return 1.0


@dataclass(frozen=True, slots=True)
class InfoRequest:
    """What is asked about: layers, the map, a pixel of it, how many features, the time, and the format of the answer."""

    layers: list[MapLayer]
    grid: MapGrid
    column: int
    row: int
    count: int
    format: str
    when: Interval | None = None


def read_info(query: Mapping[str, str], snapshot: Snapshot, version: str) -> InfoRequest:
    """A GetFeatureInfo request; raises like `read_get_map`."""
    shown = [m.published.layer.id for m in _layers(snapshot, _need(query, "layers"), query.get("styles", ""))]
    asked = _layers(snapshot, _need(query, "query_layers"), "")
    absent = next((m.published.layer.id for m in asked if m.published.layer.id not in shown), None)
    if absent is not None:
        raise _wrong("query_layers", absent, shown, "LayerNotQueryable")
    grid = _grid(query, version)
    place = []
    for name, size in zip(("i", "j") if version == "1.3.0" else ("x", "y"), (grid.width, grid.height), strict=True):
        text = _need(query, name)
        if not (text.isascii() and text.isdigit() and int(text) < size):
            raise _wrong(name, text, [f"0–{size - 1}"], "InvalidPoint")
        place.append(int(text))
    count = pixels(query.get("feature_count") or "1", "feature_count", 10**6)
    return InfoRequest(
        asked,
        grid,
        place[0],
        place[1],
        min(count, _MOST_FEATURES),
        _format(query, "info_format", INFO_FORMATS, "text/plain"),
        _time(query),
    )


def read_legend(query: Mapping[str, str], snapshot: Snapshot) -> MapLayer:
    """Layer of a GetLegendGraphic request; raises like `read_get_map`."""
    _format(query, "format", ("image/png",), "image/png")
    [found] = _layers(snapshot, _need(query, "layer").partition(",")[0], query.get("style", "").partition(",")[0])
    return found
