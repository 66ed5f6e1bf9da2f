"""Pictures of raster tiles (栅格瓦片渲染): values through the layer's style to PNG, WebP or JPEG; synthetic ones marked."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter
from spatial.store.raster import PublishedRaster
from tiles.mark import marked_palette, marked_tile
from tiles.matrix import Address
from tiles.raster import read_pixels
from tiles.relief import cell_metres, shade
from tiles.styles import Classes, Hillshade, Picture, RasterStyle, class_index, ramp_colours, raster_style, rgba

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from spatial.catalog import Layer

__all__ = [
    "FORMATS", "band_number", "channel_numbers", "colourise", "empty_picture", "encode", "join_channels", "raster_tile",
]  # fmt: skip

FORMATS: dict[str, str] = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
"""File ending → media type of a picture."""

_AMBIENT = 0.25
"""Share of a tint that even a slope in full shadow keeps."""


def band_number(layer: Layer, name: str | None, style: RasterStyle) -> int:
    """Number (from 1) of the band to draw: by name, else the style's, else the first.

    Raises
    ------
    InvalidParameter
        Lists the bands of the layer.
    """
    names = [band.name for band in layer.bands]
    wanted = name or style.band or names[0]
    if wanted not in names:
        raise InvalidParameter(
            f"图层 {layer.id} 没有波段 {wanted[:60]!r}，可用：{'、'.join(names)}",
            f"layer {layer.id} has no band {wanted[:60]!r}; use one of {', '.join(names)}",
            layer=layer.id,
            parameter="band",
            allowed=names,
        )
    return names.index(wanted) + 1


def raster_tile(
    raster: PublishedRaster, address: Address, *, band: str | None, ext: str, size: int = 256
) -> bytes | None:
    """Encoded picture of a tile, or None where the layer has no pixel."""
    style = raster_style(raster.layer)
    number = band_number(raster.layer, band, style)
    if isinstance(style, Picture) and band is None:
        return _picture_tile(raster, style, address, ext=ext, size=size)
    if isinstance(style, Classes):
        style = style.of_band(band)
    marked = raster.layer.synthetic is not None
    classes, relief = isinstance(style, Classes), isinstance(style, Hillshade)
    pixels = read_pixels(
        raster,
        number,
        address,
        size=size,
        border=1 if relief else 0,
        method="nearest" if classes else "cubic" if relief else "bilinear",
        classes=classes,
    )
    if pixels is None or pixels.mask.all():
        return None
    if isinstance(style, Classes):
        index = class_index(style, pixels.values, pixels.mask)
        if not index.any():
            return None
        return encode_palette(index, _palette(style), ext, marked=marked)
    if isinstance(style, Hillshade):
        dx, dy = cell_metres(pixels.longitudes, pixels.latitudes)
        light = shade(
            pixels.values,
            pixels.mask,
            dx,
            dy,
            azimuth=style.azimuth,
            altitude=style.altitude,
            z_factor=style.z_factor,
        )
        inner = (slice(1, -1), slice(1, -1))
        if pixels.mask[inner].all():
            return None
        return encode(colourise(style, pixels.values[inner], pixels.mask[inner], light), ext, marked=marked)
    return encode(colourise(style, pixels.values, pixels.mask), ext, marked=marked)


def _picture_tile(raster: PublishedRaster, style: Picture, address: Address, *, ext: str, size: int) -> bytes | None:
    """Red, green and blue as they stand."""
    found = []
    for number in channel_numbers(raster.layer, style):
        pixels = read_pixels(raster, number, address, size=size, border=0, method="bilinear", classes=False)
        if pixels is None or pixels.mask.all():
            return None
        found.append(pixels)
    colours = join_channels([p.values for p in found], [p.mask for p in found])
    return encode(colours, ext, marked=raster.layer.synthetic is not None)


def channel_numbers(layer: Layer, style: Picture) -> tuple[int, ...]:
    """Numbers (from 1) of the bands that are red, green and blue."""
    names = [band.name for band in layer.bands]
    return tuple(names.index(name) + 1 for name in style.channels)


def join_channels(values: Sequence[NDArray[Any]], masks: Sequence[NDArray[np.bool_]]) -> NDArray[np.uint8]:
    """Three channels of 0–255 as RGBA, shape (m, n, 4); a pixel that lacks one is (0, 0, 0, 0)."""
    colours = np.full((*values[0].shape, 4), 255, np.uint8)
    for place, channel in enumerate(values):
        colours[..., place] = np.rint(np.clip(channel, 0, 255))
    colours[np.logical_or.reduce(list(masks))] = 0
    return colours


def colourise(
    style: RasterStyle, values: NDArray[Any], mask: NDArray[np.bool_], light: NDArray[np.float32] | None = None
) -> NDArray[np.uint8]:
    """Red, green, blue, alpha of each pixel; shape (m, n, 4); masked pixels are (0, 0, 0, 0).

    A hillshade without tint is grey = 255 · s. With a tint, the tint's colour is multiplied by
    ``min(1, 0.25 + 0.75 · s / sin h)``: level ground keeps the colour that the legend shows.
    """
    if isinstance(style, Classes):
        return _palette(style)[class_index(style, values, mask)]
    if isinstance(style, Hillshade):
        assert light is not None
        colours = np.full((*values.shape, 4), 255, np.uint8)
        if style.tint is None:
            colours[..., :3] = np.rint(light * 255)[..., None]
        else:
            colours = ramp_colours(style.tint, values)
            share = np.minimum(1, _AMBIENT + (1 - _AMBIENT) * light / np.sin(np.radians(style.altitude)))
            colours[..., :3] = np.rint(colours[..., :3] * share[..., None])
    elif isinstance(style, Picture):
        return join_channels([values] * 3, [mask])
    else:
        colours = ramp_colours(style.stops, values)
    colours[mask] = 0
    return colours


def _palette(style: Classes) -> NDArray[np.uint8]:
    return np.array([(0, 0, 0, 0), *(rgba(c.color) for c in style.classes)], dtype=np.uint8)


def encode_palette(index: NDArray[np.uint8], palette: NDArray[np.uint8], ext: str, *, marked: bool = False) -> bytes:
    """Encode palette indices; a PNG keeps the palette, which is four times less to compress than RGBA.

    `marked`: with the mark of synthetic data; the picture is a square tile then.
    """
    if marked:
        toned = marked_palette(index, palette)
        if toned is None:
            return encode(palette[index], ext, exact=True, marked=True)
        index, palette = toned
    if ext != "png":
        return encode(palette[index], ext, exact=True)
    from PIL import Image

    picture = Image.fromarray(index)
    picture.putpalette(palette[:, :3].tobytes())
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1, transparency=palette[:, 3].tobytes())
    return out.getvalue()


def encode(colours: NDArray[np.uint8], ext: str, *, exact: bool = False, marked: bool = False) -> bytes:
    """Encode RGBA pixels: PNG with zlib level 1, WebP, or JPEG over white (it has no transparency).

    `marked`: with the mark of synthetic data; the picture is a square tile then.
    """
    from PIL import Image

    if marked:
        colours = marked_tile(colours)
    out = io.BytesIO()
    if ext == "jpg":
        alpha = colours[..., 3:].astype(np.uint16)
        flat = (colours[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
        Image.fromarray(flat.astype(np.uint8)).save(out, "JPEG", quality=85)
    elif ext == "webp":
        picture = Image.fromarray(np.ascontiguousarray(colours))
        if exact:
            picture.save(out, "WEBP", lossless=True, method=0)
        else:
            picture.save(out, "WEBP", quality=82, method=0)
    elif (colours[..., 3] == 255).all():
        Image.fromarray(np.ascontiguousarray(colours[..., :3])).save(out, "PNG", compress_level=1)
    else:
        Image.fromarray(np.ascontiguousarray(colours)).save(out, "PNG", compress_level=1)
    return out.getvalue()


@lru_cache(maxsize=8)
def empty_picture(ext: str, size: int = 256) -> bytes:
    """A picture with nothing on it (JPEG: white), for clients that must get a picture."""
    if ext == "png":
        return encode_palette(np.zeros((size, size), np.uint8), np.zeros((1, 4), np.uint8), "png")
    return encode(np.zeros((size, size, 4), np.uint8), ext, exact=True)
