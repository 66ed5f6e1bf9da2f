"""Capabilities document and exception report of WMS (能力文档、异常报告), versions 1.3.0 and 1.1.1, both languages.

Names are written with their prefixes, because ElementTree keeps one table of prefixes for the whole process.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

from spatial.crs import CRS84, SERVED, STORAGE, ServedCRS
from spatial.errors import LayerNotFound, SpatialError, UnknownCRS, UserError, status
from spatial.store.vector import PublishedTable
from tiles.legend import legend_document, legend_picture
from tiles.maps.grid import Extent, project_extent
from tiles.maps.request import MOST_SIDE
from tiles.style_choices import StyleChoice, layer_styles
from tiles.wms.request import FORMATS, INFO_FORMATS, MOST_LAYERS, crs_name
from tiles.xml_text import legal_text

if TYPE_CHECKING:
    from spatial.catalog import Theme
    from spatial.store.datastore import Published, Snapshot

__all__ = ["capabilities", "exception_report", "legend_bytes"]

_TITLE = "湖北一张图 / OneMap Hubei"
_ABSTRACT = (
    "湖北省国土空间一张图的地图服务；标注“合成示例”的图层不是真实数据。 / Maps of the one map of Hubei's territory; "
    "layers marked “synthetic sample” are not real data."
)


def _add(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    named = {name.replace("_", ":") if name.startswith("xlink") else name: value for name, value in attributes.items()}
    element = ET.SubElement(parent, tag, named)
    element.text = None if text is None else legal_text(text)
    return element


def _online(parent: ET.Element, address: str) -> None:
    _add(parent, "OnlineResource", xlink_type="simple", xlink_href=address)


def capabilities(snapshot: Snapshot, base: str, version: str) -> bytes:
    """Capabilities document of every published layer, UTF-8 XML."""
    new = version == "1.3.0"
    if new:
        names = {"xmlns": "http://www.opengis.net/wms", "xmlns:xlink": "http://www.w3.org/1999/xlink"}
        root = ET.Element("WMS_Capabilities", {"version": version, **names})
    else:
        root = ET.Element("WMT_MS_Capabilities", {"version": version})
    address = f"{base}/tiles/wms?"
    service = _add(root, "Service")
    _add(service, "Name", "WMS" if new else "OGC:WMS")
    _add(service, "Title", _TITLE)
    _add(service, "Abstract", _ABSTRACT)
    words = _add(service, "KeywordList")
    for word in ("湖北", "一张图", "CGCS2000", "Hubei"):
        _add(words, "Keyword", word)
    _online(service, f"{base}/")
    _add(service, "Fees", "none")
    _add(service, "AccessConstraints", "见各图层来源 / see the source of each layer")
    if new:
        for tag, value in (("LayerLimit", MOST_LAYERS), ("MaxWidth", MOST_SIDE), ("MaxHeight", MOST_SIDE)):
            _add(service, tag, str(value))
    capability = _add(root, "Capability")
    request = _add(capability, "Request")
    documents = ["text/xml"] if new else ["application/vnd.ogc.wms_xml", "text/xml"]
    for name, formats in (("GetCapabilities", documents), ("GetMap", FORMATS), ("GetFeatureInfo", INFO_FORMATS)):
        operation = _add(request, name)
        for media_type in formats:
            _add(operation, "Format", media_type)
        _online(_add(_add(_add(operation, "DCPType"), "HTTP"), "Get"), address)
    exception = _add(capability, "Exception")
    for name in ("XML", "INIMAGE", "BLANK") if new else _OLD_EXCEPTIONS:
        _add(exception, "Format", name)
    _layers(capability, snapshot, base, new=new)
    if not new:
        # The DTD of 1.1.1 has the name space here, and nowhere else.
        for element in root.iter("OnlineResource"):
            element.set("xmlns:xlink", "http://www.w3.org/1999/xlink")
    ET.indent(root, " ")
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


_OLD_EXCEPTIONS = ("application/vnd.ogc.se_xml", "application/vnd.ogc.se_inimage", "application/vnd.ogc.se_blank")


def _layers(capability: ET.Element, snapshot: Snapshot, base: str, *, new: bool) -> None:
    found = snapshot.current()
    top = _add(capability, "Layer")
    _add(top, "Title", _TITLE)
    _add(top, "Abstract", _ABSTRACT)
    for crs in SERVED.values():
        # CRS:84 is a name of 1.3.0; 1.1.1 has EPSG:4326 with longitude first for the same.
        if new or crs is not CRS84:
            _add(top, "CRS" if new else "SRS", crs_name(crs))
    if found:
        extents = [p.extent for p in found]
        west, south = min(e[0] for e in extents), min(e[1] for e in extents)
        _boxes(top, (west, south, max(e[2] for e in extents), max(e[3] for e in extents)), new=new)
    for theme in snapshot.catalog.themes:
        _theme(top, theme, (theme.id,), found, base, new=new)


def _theme(
    parent: ET.Element, theme: Theme, path: tuple[str, ...], found: Sequence[Published], base: str, *, new: bool
) -> None:
    """A branch of the layer tree with what is published below it; nothing for an empty branch."""
    below = [p for p in found if p.layer.theme[: len(path)] == path]
    if not below:
        return
    element = _add(parent, "Layer")
    _add(element, "Title", f"{theme.title.zh} / {theme.title.en}")
    for child in theme.children:
        _theme(element, child, (*path, child.id), below, base, new=new)
    for one in below:
        if one.layer.theme == path:
            _layer(element, one, base, new=new)


def _layer(parent: ET.Element, found: Published, base: str, *, new: bool) -> None:
    layer = found.layer
    title, notice = layer.display_title(), layer.source.attribution
    element = _add(parent, "Layer", queryable="1", opaque="0")
    _add(element, "Name", layer.id)
    _add(element, "Title", f"{title.zh} / {title.en}")
    _add(element, "Abstract", f"{layer.description.zh} / {layer.description.en} · {found.version}")
    if layer.keywords:
        words = _add(element, "KeywordList")
        for word in layer.keywords:
            _add(words, "Keyword", word)
    _boxes(element, found.extent, new=new)
    _time(element, found, new=new)
    attribution = _add(element, "Attribution")
    _add(attribution, "Title", f"{notice.zh} / {notice.en}")
    metadata = _add(element, "MetadataURL", type="ISO19115:2003" if new else "TC211")
    _add(metadata, "Format", "application/json")
    _online(metadata, f"{base}/ogc/collections/{layer.id}")
    for choice in layer_styles(found):
        style = _add(element, "Style")
        _add(style, "Name", choice.id)
        _add(style, "Title", f"{choice.title.zh} / {choice.title.en}")
        width, height = _legend_size(found, choice)
        legend = _add(style, "LegendURL", width=str(width), height=str(height))
        _add(legend, "Format", "image/png")
        query = {
            "SERVICE": "WMS",
            "VERSION": "1.3.0" if new else "1.1.1",
            "REQUEST": "GetLegendGraphic",
            "LAYER": layer.id,
            "STYLE": choice.id,
            "FORMAT": "image/png",
        }
        _online(legend, f"{base}/tiles/wms?{urlencode(query, safe='/')}")


def _boxes(element: ET.Element, extent: Extent, *, new: bool) -> None:
    west, south, east, north = (f"{v:.7f}" for v in extent)
    if new:
        box = _add(element, "EX_GeographicBoundingBox")
        for tag, value in (
            ("westBoundLongitude", west),
            ("eastBoundLongitude", east),
            ("southBoundLatitude", south),
            ("northBoundLatitude", north),
        ):
            _add(box, tag, value)
    else:
        _add(element, "LatLonBoundingBox", minx=west, miny=south, maxx=east, maxy=north)
    for crs in SERVED.values():
        if not new and crs is CRS84:
            continue
        found = _projected(extent, crs)
        if found is None:
            continue
        digits = 2 if crs.projected else 7
        texts = [f"{v:.{digits}f}" for v in found]
        if new and crs.latitude_first:
            texts = [texts[1], texts[0], texts[3], texts[2]]
        values = dict(zip(("minx", "miny", "maxx", "maxy"), texts, strict=True))
        _add(element, "BoundingBox", **({"CRS": crs_name(crs)} if new else {"SRS": crs_name(crs)}), **values)


@lru_cache(maxsize=4096)
def _projected(extent: Extent, crs: ServedCRS) -> Extent | None:
    return project_extent(extent, STORAGE, crs)


def _time(element: ET.Element, found: Published, *, new: bool) -> None:
    if not isinstance(found, PublishedTable) or found.time_extent is None:
        return
    whole = "/".join(_instant(t) for t in found.time_extent)
    text = f"{whole}/PT1S"
    if new:
        _add(element, "Dimension", text, name="time", units="ISO8601", default=whole)
    else:
        _add(element, "Dimension", name="time", units="ISO8601")
        _add(element, "Extent", text, name="time", default=whole)


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def legend_bytes(found: Published, band: str | None, language: str = "zh") -> bytes:
    """Legend picture of a style of a layer."""
    shape = found.geometry_type if isinstance(found, PublishedTable) else None
    return legend_picture(legend_document(found.layer, found.version, shape, band), language)


def _legend_size(found: Published, choice: StyleChoice) -> tuple[int, int]:
    key = f"{found.layer.style!r} {found.layer.title!r} {choice.title!r}"
    return _size(_Legend(found, choice.band), found.layer.id, found.version, key)


class _Legend:
    """A legend to be drawn once: two of them are equal, because what names them stands beside them."""

    def __init__(self, found: Published, band: str | None) -> None:
        self.found, self.band = found, band

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Legend) and self.band == other.band

    def __hash__(self) -> int:
        return hash(self.band)


@lru_cache(maxsize=512)
def _size(legend: _Legend, layer_id: str, version: str, key: str) -> tuple[int, int]:
    from PIL import Image

    size: tuple[int, int] = Image.open(io.BytesIO(legend_bytes(legend.found, legend.band))).size
    return size


# --- exceptions -----------------------------------------------------------------------------------------------------------


def exception_report(error: SpatialError, version: str) -> tuple[bytes, str, int]:
    """Service exception report: UTF-8 XML, its media type, and the HTTP status.

    A mistake of the caller is answered with 200, as WMS servers do: desktop programs show the text of a report only then.
    """
    root = ET.Element("ServiceExceptionReport", {"version": version})
    if version == "1.3.0":
        root.set("xmlns", "http://www.opengis.net/ogc")
    code = error.details.get("code") or _code(error, version)
    attributes: dict[str, Any] = {"code": str(code)} if code else {}
    if error.details.get("parameter") and version == "1.3.0":
        attributes["locator"] = str(error.details["parameter"]).upper()
    element = ET.SubElement(root, "ServiceException", attributes)
    element.text = legal_text(f"{error.zh} / {error.en}")
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    media_type = "text/xml" if version == "1.3.0" else "application/vnd.ogc.se_xml"
    return document, media_type, 200 if isinstance(error, UserError) else status(error)


def _code(error: SpatialError, version: str) -> str | None:
    if isinstance(error, UnknownCRS):
        return "InvalidCRS" if version == "1.3.0" else "InvalidSRS"
    if isinstance(error, LayerNotFound):
        return "LayerNotDefined"
    return "InvalidParameterValue" if isinstance(error, UserError) else "NoApplicableCode"
