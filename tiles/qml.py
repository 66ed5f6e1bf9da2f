"""QGIS layer style (QML 样式) of our styles, since QGIS reads SLD for vector layers only.

A document is of one layer. Vector styles become rules: an interval that is closed below and open above is none of the
classes that QGIS has. Rasters get a palette, a colour ramp, a shaded relief or three channels. Titles of fields become
aliases, labels (注记) are kept. Widths and sizes are in millimetres, a CSS pixel being 1/96 inch, so that print has them too.

Source: the files that QGIS 3.22 writes; what it cannot read: https://github.com/qgis/QGIS/issues/36347.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from spatial.store.vector import PublishedTable
from spatial.units import SEMI_MAJOR_M
from tiles.mark import MARK
from tiles.styles import (
    Categories,
    Category,
    Classes,
    Graduated,
    Hillshade,
    Label,
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
    from tiles.style_choices import StyleChoice

__all__ = ["qml_document"]

_PIXEL_MM = 25.4 / 96
_DEGREE_M = SEMI_MAJOR_M * math.pi / 180
_SCALE_AT_ZOOM_0 = 559_082_264.028
"""Scale denominator of WebMercatorQuad at zoom 0 (OGC 17-083r4, annex D)."""
_SYMBOLS = {
    "Point": ("marker", "SimpleMarker"),
    "LineString": ("line", "SimpleLine"),
    "Polygon": ("fill", "SimpleFill"),
}
_PLACEMENT = {"Point": "0", "LineString": "2", "Polygon": "4"}
"""Around a point, along a line, horizontal within a polygon."""


def qml_document(choice: StyleChoice) -> bytes:
    """QGIS style of a style that shows one layer, UTF-8 XML; `ValueError` for one that shows several."""
    [published] = choice.layers
    layer = published.layer
    style = style_of(layer)
    root = ET.Element("qgis", {"version": "3.22.0"})
    if isinstance(style, Single | Categories | Graduated):
        kind = published.geometry_type.removeprefix("Multi") if isinstance(published, PublishedTable) else "Polygon"
        kind = kind if kind in _SYMBOLS else "Polygon"
        _rules(root, style, kind, layer)
        _labels(root, style.label, kind)
        aliases = _add(root, "aliases")
        for number, field in enumerate(layer.fields):
            _add(aliases, "alias", index=str(number), field=field.name, name=_said(field.title))
        _add(root, "layerGeometryType", str(list(_SYMBOLS).index(kind)))
    else:
        _pipe(root, layer, style, choice.band)
    ET.indent(root, " ")
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    legal = {name.rstrip("_"): legal_text(value) for name, value in attributes.items()}
    element = ET.SubElement(parent, tag, legal)
    element.text = None if text is None else legal_text(text)
    return element


def _said(title: Text) -> str:
    return f"{title.zh} / {title.en}"


# --- vector layers ------------------------------------------------------------------------------------------------------


def _rules(root: ET.Element, style: VectorStyle, kind: str, layer: Layer) -> None:
    """A rule a class, drawn in its order: the default first and so below, as on our own maps."""
    drawn: list[tuple[Symbol, str | None, str]]
    if isinstance(style, Single):
        drawn = [(style, None, _said(layer.display_title()))]
    else:
        drawn = [(style.default, "ELSE", "其他 / Other")] if style.default is not None else []
        for one in style.classes:
            drawn.append((one, _condition(style.field, one), _said(one.title)))
    renderer = _add(root, "renderer-v2", type="RuleRenderer", symbollevels="1", forceraster="0", enableorderby="0")
    rules = _add(renderer, "rules", key="root")
    if not isinstance(style, Single):
        # A heading above the classes: the legend names the layer, and says of a synthetic one that it is.
        rules = _add(rules, "rule", key="layer", label=_said(layer.display_title()))
    symbols = _add(renderer, "symbols")
    for number, (symbol, condition, label) in enumerate(drawn):
        condition_of = {} if condition is None else {"filter": condition}
        _add(rules, "rule", key=f"rule-{number}", symbol=str(number), label=label, **condition_of)
        _symbol(symbols, str(number), symbol, kind, number)


def _condition(field: str, one: Any) -> str:
    r"""Expression that selects a class.

    Examples
    --------
    >>> _condition("name", Category(value="a'b", title={"zh": "甲", "en": "a"}))
    '"name" = \'a\'\'b\''
    """
    name = '"' + field.replace('"', '""') + '"'
    if isinstance(one, Category):
        return f"{name} = {_literal(one.value)}"
    parts = [f"{name} >= {one.min!r}"] if one.min is not None else []
    parts += [f"{name} < {one.max!r}"] if one.max is not None else []
    return " AND ".join(parts) or f"{name} IS NOT NULL"


def _literal(value: str | int | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # A backslash starts an escape in a text of QGIS.
        return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
    return repr(value)


def _symbol(parent: ET.Element, name: str, symbol: Symbol, kind: str, level: int) -> None:
    form, painter = _SYMBOLS[kind]
    line = symbol.stroke or (symbol.fill if kind == "LineString" else None)
    lined = line is not None and symbol.width > 0
    stroke, width, unit = _colour(line or _CLEAR), _millimetres(symbol.width), "MM"
    values: dict[str, str]
    if kind == "LineString":
        values = {"line_color": stroke, "line_width": width, "line_width_unit": unit}
        values |= {"line_style": "solid" if lined else "no", "joinstyle": "round", "capstyle": "round"}
    else:
        values = {"color": _colour(symbol.fill or _CLEAR), "style": "solid" if symbol.fill else "no"}
        values |= {"outline_color": stroke, "outline_width": width, "outline_width_unit": unit, "joinstyle": "round"}
        values |= {"outline_style": "solid" if lined else "no"}
        if kind == "Point":
            values |= {"name": "circle", "size": _millimetres(symbol.radius * 2), "size_unit": unit}
    element = _add(parent, "symbol", type=form, name=name, alpha="1")
    painted = _add(element, "layer", class_=painter, enabled="1", locked="0", pass_=str(level))
    options = _add(painted, "Option", type="Map")
    for key, value in values.items():
        _add(options, "Option", type="QString", name=key, value=value)
    # QGIS before 3.20 reads these, and ignores the others.
    for key, value in values.items():
        _add(painted, "prop", k=key, v=value)


_CLEAR = "#ffffff00"


def _colour(colour: str) -> str:
    return ",".join(str(v) for v in rgba(colour))


def _millimetres(pixels: float) -> str:
    return f"{pixels * _PIXEL_MM:.6g}"


def _labels(root: ET.Element, label: Label | None, kind: str) -> None:
    if label is None:
        return
    settings = _add(_add(root, "labeling", type="simple"), "settings")
    # 12 CSS pixels are 9 points.
    text = _add(settings, "text-style", fieldName=label.field, isExpression="0", fontSize="9", fontSizeUnit="Point")
    text.set("textColor", "34,34,34,255")
    halo = _add(text, "text-buffer", bufferDraw="1", bufferSize="0.5", bufferSizeUnits="MM")
    halo.set("bufferColor", "255,255,255,255")
    _add(settings, "placement", placement=_PLACEMENT[kind], dist="1", distUnits="MM")
    least = _SCALE_AT_ZOOM_0 / 2 ** (label.min_zoom - 0.5)
    _add(settings, "rendering", scaleVisibility="1", scaleMin="0", scaleMax=f"{least:.0f}", drawLabels="1")


# --- rasters ------------------------------------------------------------------------------------------------------------


def _pipe(root: ET.Element, layer: Layer, style: RasterStyle, band: str | None) -> None:
    names = [b.name for b in layer.bands]
    number = str(names.index(band or style.band or names[0]) + 1)
    pipe = _add(root, "pipe")
    common = {"opacity": "1", "alphaBand": "-1", "nodataColor": ""}

    def renderer(kind: str, **attributes: str) -> ET.Element:
        return _add(pipe, "rasterrenderer", type=kind, **common, **attributes)

    if isinstance(style, Classes):
        palette = _add(renderer("paletted", band=number), "colorPalette")
        mark = "" if layer.synthetic is None else f"{MARK} · "
        for one in style.of_band(band).classes:
            colour, alpha = one.color[:7], str(rgba(one.color)[3])
            _add(
                palette, "paletteEntry", value=str(one.value), color=colour, alpha=alpha, label=mark + _said(one.title)
            )
    elif isinstance(style, Ramp):
        _ramp(
            renderer("singlebandpseudocolor", band=number), style.stops, "" if layer.synthetic is None else f"{MARK} "
        )
    elif isinstance(style, Hillshade):
        # The published raster is in degrees, its heights in metres. QGIS shades in grey: it has no tint below.
        factor = f"{style.z_factor / _DEGREE_M:.9g}"
        sun = {"azimuth": f"{style.azimuth:g}", "angle": f"{style.altitude:g}"}
        renderer("hillshade", band=number, zfactor=factor, multidirection="0", **sun)
    elif band is None:
        _channels(renderer, style, names)
    else:
        grey = renderer("singlebandgray", grayBand=number, gradient="BlackToWhite")
        stretch = _add(grey, "contrastEnhancement")
        for tag, value in (("minValue", "0"), ("maxValue", "255"), ("algorithm", "StretchToMinimumMaximum")):
            _add(stretch, tag, value)
    _add(root, "blendMode", "0")


def _channels(renderer: Any, style: Picture, names: list[str]) -> None:
    bands = [str(names.index(name) + 1) for name in style.channels]
    renderer("multibandcolor", **dict(zip(("redBand", "greenBand", "blueBand"), bands, strict=True)))


def _ramp(renderer: ET.Element, stops: Sequence[Stop], mark: str) -> None:
    shader = _add(
        _add(renderer, "rastershader"),
        "colorrampshader",
        colorRampType="INTERPOLATED",
        classificationMode="1",
        clip="0",
        minimumValue=repr(stops[0].value),
        maximumValue=repr(stops[-1].value),
    )
    for stop in stops:
        value, alpha = repr(stop.value), str(rgba(stop.color)[3])
        _add(shader, "item", value=value, color=stop.color[:7], alpha=alpha, label=f"{stop.value:.12g}")
    _add(shader, "rampLegendSettings", useContinuousLegend="1", prefix=mark, suffix="", direction="0", orientation="2")
