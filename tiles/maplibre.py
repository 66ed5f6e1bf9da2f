"""Styles for MapLibre and Mapbox GL (矢量瓦片样式): style JSON, version 8, on the server's own tiles; usable as it is.

Every class of a layer's style is a style layer of its own with a filter, in the order in which our own pictures draw them.
Labels are left out: they need glyph files, which this server does not have.

Source: MapLibre Style Specification, version 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from spatial.crs import STORAGE
from spatial.store.vector import PublishedTable
from tiles.metadata import tilejson_document
from tiles.styles import Categories, Graduated, Single, Symbol, VectorStyle, rgba, style_of

if TYPE_CHECKING:
    from spatial.store.datastore import Published
    from tiles.style_choices import StyleChoice

__all__ = ["maplibre_style"]

TMS = "WebMercatorQuad"
_NOTHING = 0.0


def maplibre_style(choice: StyleChoice, base: str) -> dict[str, Any]:
    """Style document of a style: sources with pinned addresses, and layers from below."""
    sources: dict[str, Any] = {}
    layers: list[dict[str, Any]] = []
    for published in choice.layers:
        layer = published.layer
        vector = isinstance(published, PublishedTable)
        tiles = tilejson_document(published, tms=TMS, ext="mvt" if vector else "png", base=base, band=choice.band)
        kept = {k: tiles[k] for k in ("tiles", "bounds", "minzoom", "maxzoom", "attribution", "scheme")}
        if vector:
            sources[layer.id] = {"type": "vector", **kept}
            layers += _vector_layers(published)
        else:
            sources[layer.id] = {"type": "raster", "tileSize": 256, **kept}
            layers.append({"id": layer.id, "type": "raster", "source": layer.id})
    extents = [p.extent for p in choice.layers]
    west, south = min(e[0] for e in extents), min(e[1] for e in extents)
    east, north = max(e[2] for e in extents), max(e[3] for e in extents)
    return {
        "version": 8,
        "name": f"{choice.title.zh} / {choice.title.en}",
        "metadata": {
            "onemap:style": choice.id,
            "onemap:synthetic": choice.synthetic,
            "onemap:crs": STORAGE.uri,
            "onemap:legends": {p.layer.id: f"{base}/tiles/{p.layer.id}/legend.json" for p in choice.layers},
        },
        "center": [round((west + east) / 2, 6), round((south + north) / 2, 6)],
        "zoom": 6,
        "sources": sources,
        "layers": layers,
    }


def _vector_layers(published: Published) -> list[dict[str, Any]]:
    layer, style = published.layer, style_of(published.layer)
    assert isinstance(style, Single | Categories | Graduated)
    kind = published.geometry_type if isinstance(published, PublishedTable) else "Polygon"
    found = []
    for number, (symbol, condition) in enumerate(_rules(style)):
        for name, paint in _paints(symbol, kind.removeprefix("Multi")):
            entry: dict[str, Any] = {
                "id": f"{layer.id}-{number}-{name}",
                "type": name,
                "source": layer.id,
                "source-layer": layer.id,
                "paint": paint,
            }
            if name == "line":
                entry["layout"] = {"line-join": "round", "line-cap": "round"}
            if condition is not None:
                entry["filter"] = condition
            found.append(entry)
    return found


def _rules(style: VectorStyle) -> Iterator[tuple[Symbol, list[Any] | None]]:
    """Symbols in drawing order, each with the filter expression of its features (None: all)."""
    if isinstance(style, Single):
        yield style, None
        return
    conditions = [_condition(style, c) for c in style.classes]
    if style.default is not None:
        yield style.default, ["!", ["any", *conditions]]
    yield from zip(style.classes, conditions, strict=True)


def _condition(style: Categories | Graduated, symbol: Any) -> list[Any]:
    value = ["get", style.field]
    if isinstance(style, Categories):
        return ["==", value, symbol.value]
    bounds: list[Any] = [["==", ["typeof", value], "number"]]
    number = ["to-number", value]
    if symbol.min is not None:
        bounds.append([">=", number, symbol.min])
    if symbol.max is not None:
        bounds.append(["<", number, symbol.max])
    return ["all", *bounds]


def _paints(symbol: Symbol, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Style layers of one symbol: type and paint."""
    if kind == "Point":
        paint: dict[str, Any] = {"circle-radius": symbol.radius}
        paint |= {"circle-color": _css(symbol.fill)} if symbol.fill else {"circle-opacity": _NOTHING}
        if symbol.stroke and symbol.width > 0:
            paint |= {"circle-stroke-color": _css(symbol.stroke), "circle-stroke-width": symbol.width}
        yield "circle", paint
        return
    if kind != "LineString" and symbol.fill and rgba(symbol.fill)[3]:
        yield "fill", {"fill-color": _css(symbol.fill), "fill-antialias": True}
    line = symbol.stroke or (symbol.fill if kind == "LineString" else None)
    if line and symbol.width > 0 and rgba(line)[3]:
        yield "line", {"line-color": _css(line), "line-width": symbol.width}


def _css(colour: str) -> str:
    """Colour as CSS says it.

    >>> _css("#ff8000"), _css("#00000080")
    ('#ff8000', 'rgba(0,0,0,0.502)')
    """
    r, g, b, a = rgba(colour)
    return colour[:7] if a == 255 else f"rgba({r},{g},{b},{a / 255:.3g})"
