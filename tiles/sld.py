"""Styled Layer Descriptor 1.1 (SLD 样式) of our styles, for QGIS, GeoServer and other desktop and server programs.

One ``NamedLayer`` a layer; vector styles become rules with a filter each, in drawing order; rasters a colour map (classes:
``Categorize``, ramps: ``Interpolate``) or a shaded relief. No DOCTYPE, no references to other documents.

Source: OGC 05-078r4 (SLD 1.1), OGC 05-077r4 (Symbology Encoding 1.1), OGC 04-095 (Filter Encoding 1.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from spatial.store.vector import PublishedTable
from tiles.styles import (
    Categories,
    Category,
    Classes,
    Graduated,
    Hillshade,
    Interval,
    Picture,
    Ramp,
    RasterStyle,
    Single,
    Stop,
    Symbol,
    VectorStyle,
    rgba,
    style_of,
)
from tiles.xml_text import legal_text

if TYPE_CHECKING:
    from spatial.catalog import Layer, Text
    from spatial.store.datastore import Published
    from tiles.style_choices import StyleChoice

__all__ = ["sld_document"]

# Written with their prefixes: ElementTree keeps one table of prefixes for the whole process, and WMTS has its own names.
_NAMESPACES = {
    "xmlns": "http://www.opengis.net/sld",
    "xmlns:se": "http://www.opengis.net/se",
    "xmlns:ogc": "http://www.opengis.net/ogc",
    "xmlns:xlink": "http://www.w3.org/1999/xlink",
}
_CLEAR = "#ffffff00"


def sld_document(choice: StyleChoice) -> bytes:
    """SLD 1.1 of a style, UTF-8 XML."""
    root = ET.Element("StyledLayerDescriptor", {"version": "1.1.0", **_NAMESPACES})
    for published in choice.layers:
        layer = published.layer
        named = _add(root, "NamedLayer")
        _add(named, "se:Name", layer.id)
        _description(named, layer.display_title(), layer.source.attribution)
        user = _add(named, "UserStyle")
        _add(user, "se:Name", choice.id)
        _description(user, choice.title, None)
        _add(user, "IsDefault", "true" if choice.band is None else "false")
        drawn = _add(user, "se:FeatureTypeStyle")
        style = style_of(layer)
        if isinstance(style, Single | Categories | Graduated):
            _vector_rules(drawn, published, style)
        else:
            _raster_rule(drawn, layer, style, choice.band)
    ET.indent(root, " ")
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = None if text is None else legal_text(text)
    return element


def _description(parent: ET.Element, title: Text, abstract: Text | None) -> None:
    found = _add(parent, "se:Description")
    _add(found, "se:Title", f"{title.zh} / {title.en}")
    if abstract is not None:
        _add(found, "se:Abstract", f"{abstract.zh} / {abstract.en}")


def _vector_rules(parent: ET.Element, published: Published, style: VectorStyle) -> None:
    kind = published.geometry_type.removeprefix("Multi") if isinstance(published, PublishedTable) else "Polygon"
    layer = published.layer
    if isinstance(style, Single):
        _symbolizers(_rule(parent, "all", layer.display_title()), style, kind)
        return
    if style.default is not None:
        rule = _add(parent, "se:Rule")
        _add(rule, "se:Name", "other")
        described = _add(rule, "se:Description")
        _add(described, "se:Title", "其他 / Other")
        _add(rule, "se:ElseFilter")
        _symbolizers(rule, style.default, kind)
    classes: Sequence[Category | Interval] = style.classes
    for number, symbol in enumerate(classes):
        rule = _rule(parent, f"class-{number}", symbol.title)
        condition = _add(rule, "ogc:Filter")
        if isinstance(symbol, Category):
            _compare(condition, "PropertyIsEqualTo", style.field, _literal(symbol.value))
        else:
            _interval(condition, style.field, symbol)
        _symbolizers(rule, symbol, kind)


def _rule(parent: ET.Element, name: str, title: Text) -> ET.Element:
    rule = _add(parent, "se:Rule")
    _add(rule, "se:Name", name)
    _description(rule, title, None)
    return rule


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _compare(parent: ET.Element, comparison: str, field: str, value: str) -> None:
    found = _add(parent, f"ogc:{comparison}")
    _add(found, "ogc:PropertyName", field)
    _add(found, "ogc:Literal", value)


def _interval(parent: ET.Element, field: str, symbol: Interval) -> None:
    """``min <= field < max``; an open interval is any value that there is."""
    bounds = [
        (name, value)
        for name, value in (("PropertyIsGreaterThanOrEqualTo", symbol.min), ("PropertyIsLessThan", symbol.max))
        if value is not None
    ]
    if not bounds:
        present = _add(_add(parent, "ogc:Not"), "ogc:PropertyIsNull")
        _add(present, "ogc:PropertyName", field)
        return
    holder = _add(parent, "ogc:And") if len(bounds) > 1 else parent
    for name, value in bounds:
        _compare(holder, name, field, _literal(float(value)))


def _symbolizers(rule: ET.Element, symbol: Symbol, kind: str) -> None:
    line = symbol.stroke or (symbol.fill if kind == "LineString" else None)
    if kind == "Point":
        graphic = _add(_add(rule, "se:PointSymbolizer"), "se:Graphic")
        mark = _add(graphic, "se:Mark")
        _add(mark, "se:WellKnownName", "circle")
        _fill(mark, symbol.fill or _CLEAR)
        if symbol.stroke and symbol.width > 0:
            _stroke(mark, symbol.stroke, symbol.width)
        _add(graphic, "se:Size", f"{symbol.radius * 2:g}")
        return
    if kind == "LineString":
        # A rule must have a symbol; one without a stroke draws nothing.
        drawn = _add(rule, "se:LineSymbolizer")
        if line and symbol.width > 0:
            _stroke(drawn, line, symbol.width)
        return
    drawn = _add(rule, "se:PolygonSymbolizer")
    if symbol.fill:
        _fill(drawn, symbol.fill)
    if symbol.stroke and symbol.width > 0:
        _stroke(drawn, symbol.stroke, symbol.width)


def _fill(parent: ET.Element, colour: str) -> None:
    found = _add(parent, "se:Fill")
    _paint(found, "fill", colour)


def _stroke(parent: ET.Element, colour: str, width: float) -> None:
    found = _add(parent, "se:Stroke")
    _paint(found, "stroke", colour)
    _add(found, "se:SvgParameter", f"{width:g}", name="stroke-width")


def _paint(parent: ET.Element, name: str, colour: str) -> None:
    _add(parent, "se:SvgParameter", colour[:7], name=name)
    alpha = rgba(colour)[3]
    if alpha < 255:
        _add(parent, "se:SvgParameter", f"{alpha / 255:.3g}", name=f"{name}-opacity")


def _raster_rule(parent: ET.Element, layer: Layer, style: RasterStyle, band: str | None) -> None:
    names = [b.name for b in layer.bands]
    shown = band or style.band or names[0]
    rule = _rule(parent, shown, layer.display_title())
    raster = _add(rule, "se:RasterSymbolizer")
    _add(raster, "se:Opacity", "1")
    selected = _add(raster, "se:ChannelSelection")
    if isinstance(style, Picture) and band is None:
        for tag, name in zip(("Red", "Green", "Blue"), style.channels, strict=True):
            _add(_add(selected, f"se:{tag}Channel"), "se:SourceChannelName", str(names.index(name) + 1))
        return
    channel = _add(selected, "se:GrayChannel")
    _add(channel, "se:SourceChannelName", str(names.index(shown) + 1))
    if isinstance(style, Picture):
        return
    if isinstance(style, Classes):
        _categorize(raster, style.of_band(band))
    elif isinstance(style, Ramp):
        _interpolate(raster, style.stops)
    else:
        _relief(raster, style)


def _categorize(raster: ET.Element, style: Classes) -> None:
    """Colours of whole numbers: each holds from its code up to the next, codes without a class are clear.

    A threshold belongs to what follows it, as the standard has it where nothing is said; it spells the attribute in two ways.
    """
    found = _add(_add(raster, "se:ColorMap"), "se:Categorize", fallbackValue=_CLEAR)
    _add(found, "se:LookupValue", "Rasterdata")
    _add(found, "se:Value", _CLEAR)
    codes = sorted(style.classes, key=lambda c: c.value)
    for number, one in enumerate(codes):
        _add(found, "se:Threshold", str(one.value))
        _add(found, "se:Value", one.color)
        if number + 1 == len(codes) or codes[number + 1].value > one.value + 1:
            _add(found, "se:Threshold", str(one.value + 1))
            _add(found, "se:Value", _CLEAR)


def _interpolate(raster: ET.Element, stops: Sequence[Stop]) -> None:
    found = _add(_add(raster, "se:ColorMap"), "se:Interpolate", fallbackValue=_CLEAR, mode="linear", method="color")
    _add(found, "se:LookupValue", "Rasterdata")
    for stop in stops:
        point = _add(found, "se:InterpolationPoint")
        _add(point, "se:Data", f"{stop.value:.12g}")
        _add(point, "se:Value", stop.color)


def _relief(raster: ET.Element, style: Hillshade) -> None:
    if style.tint is not None:
        _interpolate(raster, style.tint)
    shaded = _add(raster, "se:ShadedRelief")
    _add(shaded, "se:BrightnessOnly", "false")
    _add(shaded, "se:ReliefFactor", f"{style.z_factor:g}")
