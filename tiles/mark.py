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
_TONES = (15, 7)
"""Tones of the mark in a tile: 15 look like all of it at half the bytes; 7 are for palettes that have no room for more."""


@dataclass(frozen=True, slots=True)
class Overlay:
    """The mark of a tile.

    Attributes
    ----------
    size : int
        Width and height of the tile, pixels.
    places : intp array (n,)
        Pixels that the mark covers, numbered row by row.
    tones : uint8 array (m, 4)
        Red, green, blue, alpha of each tone of the mark.
    tone : uint8 array (n,)
        Tone of each pixel.
    """

    size: int
    places: NDArray[np.intp]
    tones: NDArray[np.uint8]
    tone: NDArray[np.uint8]

    @property
    def mask(self) -> NDArray[np.bool_]:
        """True where the mark changes a pixel, shape (size, size)."""
        found = np.zeros(self.size * self.size, np.bool_)
        found[self.places] = True
        return found.reshape(self.size, self.size)


@lru_cache(maxsize=8)
def tile_overlay(size: int, tones: int = _TONES[0]) -> Overlay:
    """The mark of a tile of 256 or, for screens of double density, 512 pixels: the one that a map of its size has."""
    picture = marked_map(np.zeros((size, size, 4), np.uint8), size / 256).reshape(-1, 4)
    places = np.flatnonzero(picture[:, 3])
    found, tone = _toned(picture[places], tones)
    return Overlay(size, places, found, tone)


def _toned(colours: NDArray[np.uint8], count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A few tones that stand for colours, and the nearest one of each: an octree's, moved by Lloyd's algorithm.

    Distances are of premultiplied colours, as a hue hardly shows where little of it is laid on.
    """
    from PIL import Image

    few = Image.fromarray(colours[None]).quantize(count, Image.Quantize.FASTOCTREE)
    tone = np.asarray(few)[0]
    points = colours.astype(np.float64)
    points[:, :3] *= points[:, 3:] / 255
    for _ in range(20):
        kept = np.unique(tone)
        centres = np.array([points[tone == k].mean(axis=0) for k in kept])
        tone = ((points[:, None] - centres) ** 2).sum(axis=-1).argmin(axis=1)
    centres[:, :3] *= 255 / np.maximum(centres[:, 3:], 1)
    return np.rint(np.clip(centres, 0, 255)).astype(np.uint8), tone.astype(np.uint8)


def marked_tile(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Red, green, blue, alpha of a square tile with the mark laid over it; as it is if nothing is drawn there."""
    if not colours[..., 3].any():
        return colours
    overlay = tile_overlay(colours.shape[0])
    marked = colours.reshape(-1, 4).copy()
    marked[overlay.places] = _over(overlay.tones[overlay.tone], marked[overlay.places])
    return marked.reshape(colours.shape)


def marked_palette(
    index: NDArray[np.uint8], palette: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Palette indices and palette (at most 256 colours) with the mark; None if the palette has no room for its tones.

    Each tone of the mark over each colour becomes a colour of the palette: so the tile needs no RGBA, which costs four
    times as much to compress.
    """
    if not palette[:, 3][index].any():
        return index, palette
    count = len(palette)
    tones = next((n for n in _TONES if count * (n + 1) <= 256), None)
    if tones is None:
        return None
    overlay = tile_overlay(index.shape[0], tones)
    marked = index.reshape(-1).copy()
    marked[overlay.places] += (overlay.tone + np.uint8(1)) * np.uint8(count)
    mixed = _over(np.repeat(overlay.tones, count, axis=0), np.tile(palette, (len(overlay.tones), 1)))
    return marked.reshape(index.shape), np.concatenate([palette, mixed])


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
