"""Map tiles of vector layers (矢量图层的地图瓦片): the vector tile of the same address, drawn with the layer's style.

For clients that only take pictures (WMTS, CAD, 天地图-style). Labels are not drawn: a text would be cut at the tile's edge.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tiles.mvt import LINE, POINT, POLYGON, TileFeature, read_features
from tiles.render import encode
from tiles.styles import Categories, Graduated, Single, Symbol, rgba, style_of

if TYPE_CHECKING:
    from spatial.catalog import Layer

__all__ = ["drawn_tile"]

_FINE = 2
"""Drawn this many times larger and averaged down, so that edges are smooth."""


def drawn_tile(layer: Layer, tile: bytes, *, ext: str, size: int = 256) -> bytes | None:
    """Encoded picture of a vector tile, or None if the style draws nothing of it."""
    style = style_of(layer)
    groups: dict[Symbol, list[TileFeature]] = {}
    if isinstance(style, Categories | Graduated):
        # Classes are drawn in their order, the default first and so below.
        groups = {symbol: [] for symbol in (style.default, *style.classes) if symbol is not None}
        for feature in read_features(tile):
            symbol = style.symbol(feature.properties.get(style.field))
            if symbol is not None:
                groups[symbol].append(feature)
    elif isinstance(style, Single):
        groups = {style: list(read_features(tile))}
    scale = size // 256 * _FINE
    canvas = np.zeros((size * _FINE, size * _FINE, 4), np.float32)  # premultiplied, 0–1
    for symbol, features in groups.items():
        if features:
            _draw(canvas, symbol, features, scale)
    if not canvas[..., 3].any():
        return None
    small = canvas.reshape(size, _FINE, size, _FINE, 4).mean(axis=(1, 3))
    alpha = small[..., 3:]
    colours = np.concatenate([small[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=-1)
    return encode(np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8), ext)


def _draw(canvas: Any, symbol: Symbol, features: list[TileFeature], scale: int) -> None:
    size = canvas.shape[0]
    if symbol.fill:
        areas = [f for f in features if f.kind == POLYGON]
        points = [f for f in features if f.kind == POINT]
        if areas or points:
            mask = _areas(areas, size)
            _dots(mask, points, size, symbol.radius * scale)
            _blend(canvas, mask, symbol.fill)
    line = symbol.stroke or (symbol.fill if any(f.kind == LINE for f in features) else None)
    if line and symbol.width > 0:
        mask = _lines(
            [f for f in features if f.kind != POINT and (symbol.stroke or f.kind == LINE)], size, symbol, scale
        )
        points = [f for f in features if f.kind == POINT]
        if symbol.stroke and points:
            _dots(mask, points, size, symbol.radius * scale, round(max(1.0, symbol.width * scale)))
        _blend(canvas, mask, line)


def _pixels(part: Any, extent: int, size: int) -> list[tuple[float, float]]:
    return [(x, y) for x, y in (part * (size / extent) - 0.5).tolist()]


def _areas(features: list[TileFeature], size: int) -> Any:
    """Mask of polygons. Holes are cut per feature, so that a hole never erases a neighbour that fills it."""
    from PIL import Image, ImageChops, ImageDraw

    mask = Image.new("L", (size, size))
    pen = ImageDraw.Draw(mask)
    for feature in features:
        rings = [r for r in feature.parts if len(r) >= 3]
        holes = [_signed_area(r) < 0 for r in rings]
        if not any(holes):
            for ring in rings:
                pen.polygon(_pixels(ring, feature.extent, size), fill=255)
            continue
        own = Image.new("L", (size, size))
        own_pen = ImageDraw.Draw(own)
        for ring, hole in zip(rings, holes, strict=True):
            own_pen.polygon(_pixels(ring, feature.extent, size), fill=0 if hole else 255)
        mask.paste(ImageChops.lighter(mask, own))
    return mask


def _signed_area(ring: Any) -> float:
    """Twice the area of a ring; positive for exterior rings (y grows downwards).

    >>> _signed_area(np.array([[0, 0], [2, 0], [2, 2], [0, 2]]))
    8.0
    """
    x, y = ring[:, 0], ring[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _dots(mask: Any, features: list[TileFeature], size: int, radius: float, outline: int = 0) -> None:
    from PIL import ImageDraw

    pen = ImageDraw.Draw(mask)
    for feature in features:
        for part in feature.parts:
            for x, y in _pixels(part, feature.extent, size):
                box = (x - radius, y - radius, x + radius, y + radius)
                if outline:
                    pen.ellipse(box, outline=255, width=outline)
                else:
                    pen.ellipse(box, fill=255)


def _lines(features: list[TileFeature], size: int, symbol: Symbol, scale: int) -> Any:
    from PIL import Image, ImageDraw

    mask = Image.new("L", (size, size))
    pen = ImageDraw.Draw(mask)
    width = max(1, round(symbol.width * scale))
    for feature in features:
        for part in feature.parts:
            line = _pixels(part, feature.extent, size)
            if feature.kind == POLYGON:
                line.append(line[0])
            if len(line) > 1:
                pen.line(line, fill=255, width=width, joint="curve" if width > 2 else None)
    return mask


def _blend(canvas: Any, mask: Any, colour: str) -> None:
    """Lay a colour over the canvas where the mask is (source over, premultiplied)."""
    r, g, b, a = (v / 255 for v in rgba(colour))
    cover = (np.asarray(mask, np.float32) * (a / 255))[..., None]
    canvas *= 1 - cover
    canvas += cover * np.array([r, g, b, 1], np.float32)
