"""Features at a pixel as GML 2 and GML 3.1.1 (地理标记语言), which desktop clients ask for before they ask for JSON.

Geometries are in the CRS of the map. GML 2 names it ``EPSG:4490`` and is x first; GML 3.1.1 names it
``urn:ogc:def:crs:EPSG::4490`` and has the axis order of the CRS. Both write MultiPolygon and MultiLineString, which are of
version 3.1.1 too: QGIS knows the geometry of a feature by these names only. Source: OGC 02-069 (GML 2.1.2), OGC
03-105r1 (GML 3.1.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar
from xml.etree import ElementTree as ET

from spatial.crs import CRS84, ServedCRS, round_coordinates, to_wire, transform_geometries
from tiles.xml_text import legal_text

if TYPE_CHECKING:
    from tiles.maps.picture import MapLayer

__all__ = ["gml_document"]

_OURS = "urn:onemap:features"


def gml_document(found: Iterable[tuple[MapLayer, list[dict[str, Any]]]], crs: ServedCRS, *, third: bool) -> bytes:
    """Collection of the features of each layer, UTF-8 XML; GML 3.1.1 if `third`, else GML 2."""
    root = ET.Element(
        "wfs:FeatureCollection",
        {
            "xmlns:wfs": "http://www.opengis.net/wfs",
            "xmlns:gml": "http://www.opengis.net/gml",
            "xmlns:onemap": _OURS,
        },
    )
    writer = _Third(crs) if third else _Second(crs)
    for layer, features in found:
        for feature in features:
            member = ET.SubElement(root, "gml:featureMember")
            name = f"onemap:{_name(layer.published.layer.id)}"
            element = ET.SubElement(member, name, {writer.id: _name(str(feature["id"]))})
            writer.geometry(ET.SubElement(element, "onemap:geometry"), feature["geometry"])
            for key, value in feature["properties"].items():
                if value is not None:
                    ET.SubElement(element, f"onemap:{_name(key)}").text = _text(value)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _name(text: str) -> str:
    """Text as an XML name without a prefix.

    >>> _name("水位(m)"), _name("2nd")
    ('水位_m_', '_2nd')
    """
    name = re.sub(r"[^\w.-]", "_", text)
    return name if re.match(r"[^\W\d]", name) else f"_{name}"


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return legal_text(f"{value:.15g}" if isinstance(value, float) else str(value))


class _Second:
    """Geometries of GML 2."""

    id = "fid"

    def __init__(self, crs: ServedCRS) -> None:
        self.crs = crs
        # GML 2 has no CRS:84; EPSG:4326 is x first there.
        self.srs = "EPSG:4326" if crs is CRS84 else crs.name

    def geometry(self, parent: ET.Element, geometry: dict[str, Any] | None) -> None:
        """Write a GeoJSON geometry in longitude and latitude in the CRS of the map."""
        import shapely
        from shapely.geometry import shape

        if geometry is None:
            return
        moved = transform_geometries([shape(geometry)], CRS84, self.crs)
        [known] = self.ordered(round_coordinates(moved, self.crs.digits))
        self._write(parent, shapely.force_2d(known), {"srsName": self.srs})

    def ordered(self, geometries: Any) -> Any:
        """Geometries in the axis order of the document."""
        return geometries

    def _write(self, parent: ET.Element, geometry: Any, attributes: dict[str, str]) -> None:
        kind = geometry.geom_type
        if kind in self.parts:
            tag, member = self.parts[kind]
            whole = ET.SubElement(parent, f"gml:{tag}", attributes)
            for part in geometry.geoms:
                self._write(ET.SubElement(whole, f"gml:{member}"), part, {})
            return
        element = ET.SubElement(parent, f"gml:{kind}", attributes)
        if kind != "Polygon":
            self.positions(element, geometry.coords)
            return
        for ring, tag in ((geometry.exterior, self.rings[0]), *((r, self.rings[1]) for r in geometry.interiors)):
            self.positions(ET.SubElement(ET.SubElement(element, f"gml:{tag}"), "gml:LinearRing"), ring.coords)

    parts: ClassVar[dict[str, tuple[str, str]]] = {
        "MultiPoint": ("MultiPoint", "pointMember"),
        "MultiLineString": ("MultiLineString", "lineStringMember"),
        "MultiPolygon": ("MultiPolygon", "polygonMember"),
        "GeometryCollection": ("MultiGeometry", "geometryMember"),
    }
    rings = ("outerBoundaryIs", "innerBoundaryIs")

    def positions(self, element: ET.Element, positions: Any) -> None:
        """Write positions."""
        ET.SubElement(element, "gml:coordinates").text = " ".join(f"{x!r},{y!r}" for x, y in positions)


class _Third(_Second):
    """Geometries of GML 3.1.1."""

    id = "gml:id"
    rings = ("exterior", "interior")

    def __init__(self, crs: ServedCRS) -> None:
        super().__init__(crs)
        code = "OGC:1.3:CRS84" if crs is CRS84 else crs.name.replace(":", "::")
        self.srs = f"urn:ogc:def:crs:{code}"

    def ordered(self, geometries: Any) -> Any:
        """Geometries in the axis order of the CRS."""
        return to_wire(geometries, self.crs)

    def positions(self, element: ET.Element, positions: Any) -> None:
        """Write positions."""
        tag = "pos" if element.tag == "gml:Point" else "posList"
        ET.SubElement(element, f"gml:{tag}").text = " ".join(f"{v!r}" for position in positions for v in position)
