"""The mark of synthetic data (合成数据水印) in pictures: across a map, once in a tile.

A tile that shows anything of a synthetic layer bears one whole mark in its middle, over clear pixels too: parcels of a few
pixels would leave no word of a mark that only stood on them. It crosses no edge, so neighbours never cut it, and it lets
what lies below shine through. An empty tile stays empty: there the layer says nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tiles.legend import chinese_font

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MARK", "Overlay", "marked_map", "marked_palette", "marked_tile", "tile_overlay"]

MARK = "合成示例 SYNTHETIC"
_STEP = (330, 130)
"""Distance of two marks along and across their line, CSS pixels; the portal's."""
_TONES = 31
"""Tones of the mark in a picture with a palette, where the palette has room for them."""
_LEAST_TONES = 7
"""With fewer the letters have steps; the picture is coded without a palette then."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """The mark of a tile.

    Attributes
    ----------
    size : int
        Width and height of the tile, pixels.
    places : intp array (n,)
        Pixels that the mark covers, numbered row by row.
    colours : uint8 array (n, 4)
        Red, green, blue, alpha of the mark there.
    """

    size: int
    places: NDArray[np.intp]
    colours: NDArray[np.uint8]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where the mark changes a pixel, shape (size, size)."""
        found = np.zeros(self.size * self.size, np.bool_)
        found[self.places] = True
        return found.reshape(self.size, self.size)


@lru_cache(maxsize=4)
def tile_overlay(size: int) -> Overlay:
    """The mark of a tile of 256 or, for screens of double density, 512 pixels: the one that a map of its size has."""
    picture = marked_map(np.zeros((size, size, 4), np.uint8), size / 256).reshape(-1, 4)
    places = np.flatnonzero(picture[:, 3])
    return Overlay(size, places, picture[places])


def marked_tile(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Red, green, blue, alpha of a square tile with the mark laid over it; as it is if nothing is drawn there."""
    if not colours[..., 3].any():
        return colours
    overlay = tile_overlay(colours.shape[0])
    marked = colours.reshape(-1, 4).copy()
    marked[overlay.places] = _over(overlay.colours, marked[overlay.places])
    return marked.reshape(colours.shape)


def marked_palette(
    index: NDArray[np.uint8], palette: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Palette indices and palette (at most 256 colours) with the mark; None if the palette has no room for its tones.

    Each tone of the mark over each colour becomes a colour of the palette: the tile stays four times smaller than RGBA.
    """
    if not palette[:, 3][index].any():
        return index, palette
    count = len(palette)
    tones = min(_TONES, 256 // count - 1)
    if tones < _LEAST_TONES:
        return None
    overlay = tile_overlay(index.shape[0])
    colours, nearest = _toned(overlay.size, tones)
    marked = index.reshape(-1).copy()
    marked[overlay.places] += ((nearest + 1) * count).astype(np.uint8)
    mixed = _over(np.repeat(colours, count, axis=0), np.tile(palette, (len(colours), 1)))
    return marked.reshape(index.shape), np.concatenate([palette, mixed])


@lru_cache(maxsize=32)
def _toned(size: int, tones: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
    """The mark in a few tones: their colours, and the number of the tone of each of its pixels."""
    from PIL import Image

    colours = tile_overlay(size).colours
    few = Image.fromarray(colours[None]).quantize(tones, Image.Quantize.FASTOCTREE)
    raw = few.getpalette("RGBA") or []
    return np.array(raw, np.uint8).reshape(-1, 4), np.asarray(few)[0].astype(np.intp)


def _over(above: NDArray[np.uint8], below: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Source over, colours not premultiplied; shape (n, 4)."""
    top, ground = above[:, 3:].astype(np.float32), below[:, 3:].astype(np.float32)
    rest = ground * (1 - top / 255)
    alpha = top + rest
    colours = (above[:, :3] * top + below[:, :3] * rest) / np.maximum(alpha, 1e-6)
    return np.rint(np.concatenate([colours, alpha], axis=1)).astype(np.uint8)


def marked_map(picture: NDArray[np.uint8], ratio: float) -> NDArray[np.uint8]:
    """A picture with the mark of synthetic data across it; one mark always stands in the middle.

    Parameters
    ----------
    picture : uint8 array (m, n, 4)
        Red, green, blue, alpha.
    ratio : float
        Pixels in a CSS pixel.
    """
    from PIL import Image

    height, width = picture.shape[:2]
    size = max(7, round(min(22.0, min(width, height) / ratio / 7) * ratio))
    stamp = _stamp(size)
    base = Image.fromarray(picture)
    angle, factor = math.pi / 8, size / 22
    along = (math.cos(angle) * _STEP[0] * factor, -math.sin(angle) * _STEP[0] * factor)
    across = (math.sin(angle) * _STEP[1] * factor, math.cos(angle) * _STEP[1] * factor)
    reach = math.hypot(width, height) / 2 + max(stamp.size)
    # A tile has the one in its middle: of the others it would show ends, cut at its edges.
    alone = max(width, height) < _STEP[0] * factor
    for j in range(-math.ceil(reach / (_STEP[1] * factor)), math.ceil(reach / (_STEP[1] * factor)) + 1):
        for i in range(-math.ceil(reach / (_STEP[0] * factor)), math.ceil(reach / (_STEP[0] * factor)) + 1):
            shift = i + 0.5 * (j % 2)
            x = width / 2 + shift * along[0] + j * across[0] - stamp.width / 2
            y = height / 2 + shift * along[1] + j * across[1] - stamp.height / 2
            left, top = round(x), round(y)
            if alone and (i or j):
                continue
            if left < width and top < height and left + stamp.width > 0 and top + stamp.height > 0:
                part = stamp.crop((max(0, -left), max(0, -top), stamp.width, stamp.height))
                base.alpha_composite(part, (max(0, left), max(0, top)))
    marked: NDArray[np.uint8] = np.asarray(base)
    return marked


@lru_cache(maxsize=8)
def _stamp(size: int) -> Any:
    """The mark, turned, on nothing."""
    from PIL import Image, ImageDraw, ImageFont

    path = chinese_font()
    font: Any = ImageFont.truetype(path, size) if path else ImageFont.load_default(size)
    text = MARK if path else MARK.split()[-1]
    left, top, right, bottom = font.getbbox(text, stroke_width=2)
    flat = Image.new("RGBA", (math.ceil(right - left) + 4, math.ceil(bottom - top) + 4), (255, 255, 255, 0))
    pen = ImageDraw.Draw(flat)
    pen.text(
        (2 - left, 2 - top), text, font=font, fill=(153, 27, 27, 97), stroke_width=1, stroke_fill=(255, 255, 255, 115)
    )
    return flat.rotate(22.5, Image.Resampling.BICUBIC, expand=True)
