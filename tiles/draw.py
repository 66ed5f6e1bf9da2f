"""Vector features as pictures (矢量绘制): polygons, lines and points with the symbols of a layer's style.

Map tiles of vector layers are the vector tile of the same address, drawn; maps draw features that were projected to their
pixels. Labels are not drawn: a text would be cut at the tile's edge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tiles.mvt import LINE, POINT, POLYGON, read_features
from tiles.render import encode
from tiles.styles import Categories, Graduated, Single, Style, Symbol, rgba, style_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spatial.catalog import Layer

__all__ = ["FINE", "Shape", "draw_shapes", "drawn_tile", "grouped", "new_canvas", "scaled_down"]

FINE = 2
"""Drawn this many times larger and averaged down, so that edges are smooth."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A feature on the canvas.

    Attributes
    ----------
    kind : int
        1 point, 2 line, 3 polygon.
    parts : list of float arrays (n, 2)
        Pixels of the canvas, (0, 0) at the upper left corner of the first one: points as one part, lines, rings.
    holes : tuple of bool
        For polygons, which parts are holes; may be empty if none is.
    """

    kind: int
    parts: list[NDArray[np.float64]]
    holes: tuple[bool, ...] = ()


def drawn_tile(layer: Layer, tile: bytes, *, ext: str, size: int = 256) -> bytes | None:
    """Encoded picture of a vector tile, or None if the style draws nothing of it."""
    fine = size * FINE

    def shapes() -> Iterable[tuple[Shape, Any]]:
        for feature in read_features(tile):
            parts = [part.astype(np.float64) * (fine / feature.extent) for part in feature.parts]
            holes: tuple[bool, ...] = ()
            if feature.kind == POLYGON:
                parts = [ring for ring in parts if len(ring) >= 3]
                holes = tuple(_signed_area(ring) < 0 for ring in parts)
            yield Shape(feature.kind, parts, holes), feature.properties

    canvas = new_canvas(size, size)
    for symbol, members in grouped(style_of(layer), shapes(), lambda properties, name: properties.get(name)).items():
        if members:
            draw_shapes(canvas, symbol, members, size // 256 * FINE)
    if not canvas[..., 3].any():
        return None
    return encode(scaled_down(canvas), ext, marked=layer.synthetic is not None)


def grouped[P](
    style: Style, shapes: Iterable[tuple[Shape, P]], value: Callable[[P, str], Any]
) -> dict[Symbol, list[Shape]]:
    """Shapes by the symbol that draws them, in drawing order; those without a symbol are left out.

    Parameters
    ----------
    value : callable
        Attributes of a shape and name of a field → value.
    """
    groups: dict[Symbol, list[Shape]] = {}
    if isinstance(style, Categories | Graduated):
        # Classes are drawn in their order, the default first and so below.
        groups = {symbol: [] for symbol in (style.default, *style.classes) if symbol is not None}
        for shape, properties in shapes:
            symbol = style.symbol(value(properties, style.field))
            if symbol is not None:
                groups[symbol].append(shape)
    elif isinstance(style, Single):
        groups = {style: [shape for shape, _ in shapes]}
    return groups


def new_canvas(width: int, height: int) -> NDArray[np.float32]:
    """An empty canvas for a picture: `FINE` times as large, premultiplied red, green, blue, alpha from 0 to 1."""
    return np.zeros((height * FINE, width * FINE, 4), np.float32)


def scaled_down(canvas: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Red, green, blue, alpha (0–255, not premultiplied) of the picture of a canvas."""
    parts = [canvas[i::FINE, j::FINE] for i in range(FINE) for j in range(FINE)]
    small = sum(parts[1:], start=parts[0]) * np.float32(1 / FINE**2)
    alpha = small[..., 3:]
    colours = np.concatenate([small[..., :3] / np.maximum(alpha, 1e-6), alpha], axis=-1)
    picture: NDArray[np.uint8] = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
    return picture


def draw_shapes(canvas: NDArray[np.float32], symbol: Symbol, shapes: list[Shape], scale: float) -> None:
    """Draw shapes with one symbol; where they overlap, its colour is laid on once.

    Parameters
    ----------
    scale : float
        Pixels of the canvas in a CSS pixel of the symbol.
    """
    size = (canvas.shape[1], canvas.shape[0])
    if symbol.fill and rgba(symbol.fill)[3]:
        areas = [s for s in shapes if s.kind == POLYGON]
        points = [s for s in shapes if s.kind == POINT]
        if areas or points:
            mask = _areas(areas, size)
            _dots(mask, points, symbol.radius * scale)
            _blend(canvas, mask, symbol.fill)
    line = symbol.stroke or (symbol.fill if any(s.kind == LINE for s in shapes) else None)
    if line and symbol.width > 0 and rgba(line)[3]:
        mask = _lines(
            [s for s in shapes if s.kind != POINT and (symbol.stroke or s.kind == LINE)], size, symbol.width * scale
        )
        points = [s for s in shapes if s.kind == POINT]
        if symbol.stroke and points:
            _dots(mask, points, symbol.radius * scale, round(max(1.0, symbol.width * scale)))
        _blend(canvas, mask, line)


def _pixels(part: Any) -> list[float]:
    """Coordinates as the pen wants them: x, y, x, y …, whole numbers at the middle of pixels."""
    flat: list[float] = (part - 0.5).ravel().tolist()
    return flat


def _areas(shapes: list[Shape], size: tuple[int, int]) -> Any:
    """Mask of polygons. Holes are cut per feature, so that a hole never erases a neighbour that fills it."""
    from PIL import Image, ImageChops, ImageDraw

    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    for shape in shapes:
        if not any(shape.holes):
            for ring in shape.parts:
                pen.polygon(_pixels(ring), fill=255)
            continue
        corners = np.concatenate(shape.parts)
        left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0).tolist()
        right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, size).tolist()
        if right <= left or bottom <= top:
            continue
        own = Image.new("L", (right - left, bottom - top))
        own_pen = ImageDraw.Draw(own)
        for ring, hole in zip(shape.parts, shape.holes, strict=True):
            own_pen.polygon(_pixels(ring - (left, top)), fill=0 if hole else 255)
        box = (left, top, right, bottom)
        mask.paste(ImageChops.lighter(mask.crop(box), own), box)
    return mask


def _signed_area(ring: Any) -> float:
    """Twice the area of a ring; positive for exterior rings of vector tiles (y grows downwards).

    >>> _signed_area(np.array([[0, 0], [2, 0], [2, 2], [0, 2]]))
    8.0
    """
    x, y = ring[:, 0], ring[:, 1]
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def _dots(mask: Any, shapes: list[Shape], radius: float, outline: int = 0) -> None:
    from PIL import ImageDraw

    pen = ImageDraw.Draw(mask)
    for shape in shapes:
        for part in shape.parts:
            for x, y in (part - 0.5).tolist():
                box = (x - radius, y - radius, x + radius, y + radius)
                if outline:
                    pen.ellipse(box, outline=255, width=outline)
                else:
                    pen.ellipse(box, fill=255)


def _lines(shapes: list[Shape], size: tuple[int, int], thickness: float) -> Any:
    from PIL import Image, ImageDraw

    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    width = max(1, round(thickness))
    for shape in shapes:
        for part in shape.parts:
            line = _pixels(part)
            if shape.kind == POLYGON:
                line += line[:2]
            if len(line) > 2:
                pen.line(line, fill=255, width=width, joint="curve" if width > 2 else None)
    return mask


def _blend(canvas: NDArray[np.float32], mask: Any, colour: str) -> None:
    """Lay a colour over the canvas where the mask is set (source over, premultiplied)."""
    r, g, b, a = (v / 255 for v in rgba(colour))
    pixels = canvas.reshape(-1, 4)
    covered = np.flatnonzero(np.asarray(mask))
    laid = np.array([r * a, g * a, b * a, a], np.float32)
    pixels[covered] = laid if a == 1 else pixels[covered] * np.float32(1 - a) + laid
