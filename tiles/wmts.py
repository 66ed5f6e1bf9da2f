"""WMTS 1.0.0: the capabilities document, and tile requests as key–value pairs (KVP).

The matrix sets are those of the service and 天地图's ``w`` and ``c``, whose matrix ids start at 1 for ``c``, so that a client
made for 天地图 needs nothing but the address, and those of our own in the Gauss–Krüger zones. The corner of a matrix is written
in the axis order of its CRS: EPSG:4490 latitude first, the zones northing first, CRS84 and EPSG:3857 x first (OGC 07-057r7,
§6.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple
from xml.etree import ElementTree as ET

from spatial.errors import InvalidParameter, LayerNotFound, SpatialError, TileOutOfRange, UserError, status
from spatial.grid import TILE_MATRIX_SETS
from spatial.store.datastore import Published
from spatial.store.raster import PublishedRaster
from tiles.custom_sets import CUSTOM_SETS, custom_set, matrix_set
from tiles.matrix import TIANDITU
from tiles.xml_text import legal_text

__all__ = ["TileRequest", "capabilities", "exception_report", "keywords", "operation", "tile_request"]

WMTS = "http://www.opengis.net/wmts/1.0"
OWS = "http://www.opengis.net/ows/1.1"
XLINK = "http://www.w3.org/1999/xlink"
for _prefix, _uri in (("", WMTS), ("ows", OWS), ("xlink", XLINK)):
    ET.register_namespace(_prefix, _uri)

_URNS = {3857: "urn:ogc:def:crs:EPSG::3857", 4326: "urn:ogc:def:crs:OGC:1.3:CRS84", 4490: "urn:ogc:def:crs:EPSG::4490"}
_FORMATS = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpg", "image/jpg": "jpg", "tiles": "png"}
"""Media type → file ending; 天地图 clients send ``tiles``."""
_OPERATIONS = {"getcapabilities": "GetCapabilities", "gettile": "GetTile"}
_LOCATORS = {
    "service": "Service",
    "request": "Request",
    "version": "Version",
    "acceptversions": "AcceptVersions",
    "layer": "Layer",
    "style": "Style",
    "tms": "TileMatrixSet",
    "tilematrixset": "TileMatrixSet",
    "z": "TileMatrix",
    "tilematrix": "TileMatrix",
    "x": "TileCol",
    "tilecol": "TileCol",
    "y": "TileRow",
    "tilerow": "TileRow",
    "format": "Format",
}
"""Parameter of an error → name in a WMTS request."""
_HTTP = {"OperationNotSupported": 501, "NoApplicableCode": 500}
"""Exception code → HTTP status (OGC 07-057r7); every other code is 400."""


class TileRequest(NamedTuple):
    """A GetTile request, its values still texts."""

    layer: str
    tms: str
    z: str
    row: str
    col: str
    ext: str
    band: str | None
    style: str = ""


def keywords(query: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Parameters with lower-case names: WMTS names are case-insensitive (OGC 06-121r3, §11.5.2)."""
    return {name.lower(): value for name, value in query}


def operation(query: Mapping[str, str]) -> str:
    """Operation that a KVP request asks for: ``GetCapabilities`` or ``GetTile``.

    Raises
    ------
    InvalidParameter
        Wrong service or version, no operation, or one that is not served.

    Examples
    --------
    >>> operation({"service": "WMTS", "request": "getTile", "version": "1.0.0"})
    'GetTile'
    """
    if query.get("service", "WMTS").upper() != "WMTS":
        raise InvalidParameter("参数 service 应为 WMTS", "service must be WMTS", parameter="service", allowed=["WMTS"])
    name = query.get("request", "")
    if not name:
        raise InvalidParameter(
            "缺少参数 request，可用：GetCapabilities、GetTile",
            "missing request; use GetCapabilities or GetTile",
            parameter="request",
            allowed=list(_OPERATIONS.values()),
            code="MissingParameterValue",
        )
    found = _OPERATIONS.get(name.lower())
    if found is None:
        raise InvalidParameter(
            f"不支持操作 request={name[:40]!r}，可用：GetCapabilities、GetTile",
            f"request={name[:40]!r} is not served; use GetCapabilities or GetTile",
            parameter=name[:40],
            allowed=list(_OPERATIONS.values()),
            code="OperationNotSupported",
        )
    versions = "acceptversions" if found == "GetCapabilities" else "version"
    given = query.get(versions, "")
    if given and "1.0.0" not in [v.strip() for v in given.split(",")]:
        raise InvalidParameter(
            f"WMTS 只有版本 1.0.0，收到 {versions}={given[:40]!r}",
            f"WMTS is served in version 1.0.0 only, got {versions}={given[:40]!r}",
            parameter=versions,
            allowed=["1.0.0"],
            code="VersionNegotiationFailed" if versions == "acceptversions" else "InvalidParameterValue",
        )
    return found


def exception_report(error: SpatialError) -> tuple[bytes, int]:
    """Answer of a KVP request that cannot be carried out: ``ows:ExceptionReport``, UTF-8 XML, and its HTTP status.

    The code is one of OGC 07-057r7, the locator the parameter that is wrong; the text is in both languages.
    """
    code = str(error.details.get("code") or _code(error))
    http = _HTTP.get(code, 400)
    if code == "NoApplicableCode" and status(error) > 500:
        http = status(error)
    root = ET.Element(f"{{{OWS}}}ExceptionReport", {"version": "1.0.0"})
    exception = _add(root, "ows:Exception", exceptionCode=code)
    parameter = "layer" if isinstance(error, LayerNotFound) else error.details.get("parameter")
    if parameter:
        exception.set("locator", _LOCATORS.get(str(parameter).lower(), str(parameter)))
    _add(exception, "ows:ExceptionText", _legal(f"{error.zh} / {error.en}"))
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document, http


def _code(error: SpatialError) -> str:
    if isinstance(error, TileOutOfRange):
        # A column or row beyond its matrix; a set or matrix that does not exist, or no number, is a wrong value.
        beyond = error.details.get("parameter") in {"x", "y"} and "value" not in error.details
        return "TileOutOfRange" if beyond else "InvalidParameterValue"
    return "InvalidParameterValue" if isinstance(error, UserError) else "NoApplicableCode"


def _legal(text: str) -> str:
    """Text without the characters that XML 1.0 cannot hold (a caller's value can have them)."""
    return legal_text(text)


def tile_request(query: Mapping[str, str]) -> TileRequest:
    """GetTile parameters of a KVP request.

    Raises
    ------
    InvalidParameter
        A parameter is missing or the format is not served.

    Examples
    --------
    >>> tile_request({"layer": "dem", "tilematrixset": "c", "tilematrix": "7", "tilerow": "2", "tilecol": "9"}).ext
    'png'
    """
    missing = [n for n in ("layer", "tilematrixset", "tilematrix", "tilerow", "tilecol") if not query.get(n)]
    if missing:
        raise InvalidParameter(
            f"WMTS GetTile 缺少参数 {'、'.join(missing)}",
            f"WMTS GetTile: missing {', '.join(missing)}",
            parameter=missing[0],
            code="MissingParameterValue",
        )
    form = query.get("format", "image/png").lower()
    if form not in _FORMATS:
        raise InvalidParameter(
            f"WMTS 不提供格式 {form[:60]!r}，可用：{'、'.join(_FORMATS)}",
            f"WMTS: no format {form[:60]!r}; use one of {', '.join(_FORMATS)}",
            parameter="format",
            allowed=list(_FORMATS),
        )
    # Some clients send the matrix id with the name of its set.
    z = query["tilematrix"].rpartition(":")[2]
    return TileRequest(
        query["layer"],
        query["tilematrixset"],
        z,
        query["tilerow"],
        query["tilecol"],
        _FORMATS[form],
        query.get("band") or None,
        query.get("style", ""),
    )


def _add(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    prefix, _, local = tag.rpartition(":")
    element = ET.SubElement(parent, f"{{{OWS if prefix else WMTS}}}{local}", attributes)
    element.text = text
    return element


def capabilities(layers: Iterable[Published], *, base: str) -> bytes:
    """Capabilities document (能力文档) of the layers that can be drawn, UTF-8 XML."""
    root = ET.Element(f"{{{WMTS}}}Capabilities", {"version": "1.0.0"})
    about = _add(root, "ows:ServiceIdentification")
    _add(about, "ows:Title", "湖北一张图 / OneMap Hubei WMTS")
    _add(about, "ows:ServiceType", "OGC WMTS")
    _add(about, "ows:ServiceTypeVersion", "1.0.0")
    operations = _add(root, "ows:OperationsMetadata")
    for name in ("GetCapabilities", "GetTile"):
        http = _add(_add(_add(operations, "ows:Operation", name=name), "ows:DCP"), "ows:HTTP")
        get = _add(http, "ows:Get", **{f"{{{XLINK}}}href": f"{base}/tiles/wmts?"})
        allowed = _add(_add(get, "ows:Constraint", name="GetEncoding"), "ows:AllowedValues")
        _add(allowed, "ows:Value", "KVP")
    contents = _add(root, "Contents")
    for published in layers:
        _layer(contents, published, base)
    for tms in TILE_MATRIX_SETS:
        _matrix_set(contents, tms, tms, 0)
    for alias, (tms, ahead) in TIANDITU.items():
        _matrix_set(contents, alias, tms, ahead)
    for tms in CUSTOM_SETS:
        _matrix_set(contents, tms, tms, 0)
    _add(root, "ServiceMetadataURL", **{f"{{{XLINK}}}href": f"{base}/tiles/wmts/1.0.0/WMTSCapabilities.xml"})
    ET.indent(root, " ")
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _layer(contents: ET.Element, published: Published, base: str) -> None:
    layer = published.layer
    title = layer.display_title()
    element = _add(contents, "Layer")
    _add(element, "ows:Title", f"{title.zh} / {title.en}")
    notice = layer.source.attribution
    _add(
        element,
        "ows:Abstract",
        f"{layer.description.zh} / {layer.description.en} · {notice.zh} / {notice.en} · {published.version}",
    )
    if layer.keywords:
        words = _add(element, "ows:Keywords")
        for word in layer.keywords:
            _add(words, "ows:Keyword", word)
    west, south, east, north = published.extent
    box = _add(element, "ows:WGS84BoundingBox")
    _add(box, "ows:LowerCorner", f"{west:.7f} {south:.7f}")
    _add(box, "ows:UpperCorner", f"{east:.7f} {north:.7f}")
    _add(element, "ows:Identifier", layer.id)
    style = _add(element, "Style", isDefault="true")
    _add(style, "ows:Identifier", "default")
    legend = f"{base}/tiles/{layer.id}/legend.png"
    _add(style, "LegendURL", format="image/png", **{f"{{{XLINK}}}href": legend})
    for media_type in ("image/png", "image/webp", "image/jpeg"):
        _add(element, "Format", media_type)
    band = ""
    if isinstance(published, PublishedRaster) and len(layer.bands) > 1:
        dimension = _add(element, "Dimension")
        _add(dimension, "ows:Identifier", "band")
        _add(dimension, "Default", str(layer.style.get("band") or layer.bands[0].name))
        for name in (b.name for b in layer.bands):
            _add(dimension, "Value", name)
        band = "?band={band}"
    for tms in (*TILE_MATRIX_SETS, *TIANDITU, *CUSTOM_SETS):
        _add(_add(element, "TileMatrixSetLink"), "TileMatrixSet", tms)
    for media_type, ext in (("image/png", "png"), ("image/webp", "webp"), ("image/jpeg", "jpg")):
        template = (
            f"{base}/tiles/wmts/1.0.0/{layer.id}/{{Style}}/{{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}"
        )
        _add(element, "ResourceURL", format=media_type, resourceType="tile", template=f"{template}.{ext}{band}")


def _matrix_set(contents: ET.Element, name: str, tms: str, ahead: int) -> None:
    element = _add(contents, "TileMatrixSet")
    if ahead or name != tms:
        _add(element, "ows:Title", f"天地图 {name} 编号 / {tms} in Tianditu's numbering")
    own = tms in CUSTOM_SETS
    if own:
        _add(element, "ows:Title", custom_set(tms).title)
    _add(element, "ows:Identifier", name)
    code = CUSTOM_SETS[tms].replace(":", "::") if own else ""
    _add(element, "ows:SupportedCRS", f"urn:ogc:def:crs:{code}" if own else _URNS[TILE_MATRIX_SETS[tms]])
    if name == "WebMercatorQuad":
        _add(element, "WellKnownScaleSet", "urn:ogc:def:wkss:OGC:1.0:GoogleMapsCompatible")
    for matrix in matrix_set(tms).tileMatrices:
        item = _add(element, "TileMatrix")
        _add(item, "ows:Identifier", str(int(matrix.id) + ahead))
        _add(item, "ScaleDenominator", repr(float(matrix.scaleDenominator)))
        # The origin stands in the axis order of the CRS already (CGCS2000Quad: 90 -180).
        _add(item, "TopLeftCorner", " ".join(repr(float(v)) for v in matrix.pointOfOrigin))
        for tag, value in (
            ("TileWidth", matrix.tileWidth),
            ("TileHeight", matrix.tileHeight),
            ("MatrixWidth", matrix.matrixWidth),
            ("MatrixHeight", matrix.matrixHeight),
        ):
            _add(item, tag, str(value))
