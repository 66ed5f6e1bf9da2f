"""The picture of a map (制图输出): layers laid over each other on one grid, background, mark of synthetic data, encoding.

The layers are drawn by strips, so that memory is set by the strip and not by the map.
"""

from __future__ import annotations

import asyncio
import io
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spatial.store.raster import PublishedRaster
from spatial.store.vector import PublishedTable
from tiles.draw import new_canvas, scaled_down
from tiles.maps.grid import MapGrid
from tiles.maps.raster import raster_colours
from tiles.maps.request import MapRequest
from tiles.maps.vector import Row, draw_features, placed, read_shapes
from tiles.mark import marked_map
from tiles.styles import Categories, Graduated, Single, Style, style_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spatial.store.datastore import DataStore, Published
    from tiles.raster import TilePool

__all__ = ["EXTENSIONS", "MapLayer", "drawn_map", "encode_picture"]

EXTENSIONS: dict[str, str] = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
"""Encodings of a map: file ending → media type."""
_STRIP_PIXELS = 262_144


@dataclass(frozen=True, slots=True)
class MapLayer:
    """One layer of a map, with the band of a raster that its style shows (None: the style's own)."""

    published: Published
    band: str | None = None

    @property
    def style(self) -> Style:
        """Checked style of the layer."""
        return style_of(self.published.layer)


async def drawn_map(
    datastore: DataStore, pool: TilePool, layers: Sequence[MapLayer], request: MapRequest, ext: str
) -> bytes:
    """Encoded picture of some layers, the first one at the bottom.

    Raises
    ------
    InvalidParameter, StoreUnavailable
    """
    rows: list[list[Row] | None] = []
    for layer in layers:
        published, style = layer.published, layer.style
        if isinstance(published, PublishedTable) and isinstance(style, Single | Categories | Graduated):
            rows.append(await read_shapes(datastore.vectors, published, request.grid, style, request.interval))
        else:
            rows.append(None)
    gone = threading.Event()
    try:
        return await pool.run(_picture, layers, rows, request, ext, gone)
    except asyncio.CancelledError:
        gone.set()
        raise


def _picture(
    layers: Sequence[MapLayer], rows: list[list[Row] | None], request: MapRequest, ext: str, gone: threading.Event
) -> bytes:
    """The encoded picture; empty if `gone` is set before it is complete, for nobody waits for it then."""
    grid = request.grid
    picture = np.zeros((grid.height, grid.width, 4), np.uint8)
    synthetic = False
    features = [placed(found, grid) if found and not gone.is_set() else None for found in rows]
    height = max(1, min(grid.height, _STRIP_PIXELS // grid.width))
    for top in range(0, grid.height, height):
        strip = grid.rows(top, min(top + height, grid.height))
        mixed = np.zeros((strip.height, strip.width, 4), np.float32)  # premultiplied, 0–1
        canvas = None  # vector layers that follow each other share one: their common edges have no seams
        for layer, placed_features in zip(layers, features, strict=True):
            if gone.is_set():
                return b""
            published, style = layer.published, layer.style
            drawn = False
            if isinstance(style, Single | Categories | Graduated):
                if placed_features is not None:
                    canvas = new_canvas(strip.width, strip.height) if canvas is None else canvas
                    drawn = draw_features(canvas, placed_features, style, top, request.pixel_ratio)
            elif isinstance(published, PublishedRaster):
                if canvas is not None:
                    _over(mixed, scaled_down(canvas))
                    canvas = None
                colours = raster_colours(published, strip, style, layer.band)
                if colours is not None and colours[..., 3].any():
                    _over(mixed, colours)
                    drawn = True
            synthetic = synthetic or (drawn and published.layer.synthetic is not None)
        if canvas is not None:
            _over(mixed, scaled_down(canvas))
        picture[top : top + strip.height] = _finished(mixed, request, strip, opaque=ext == "jpg")
    if synthetic:
        picture = marked_map(picture, request.pixel_ratio)
    return encode_picture(picture, ext)


def _over(mixed: NDArray[np.float32], colours: NDArray[np.uint8]) -> None:
    """Lay colours (not premultiplied) over what is there (premultiplied)."""
    alpha = colours[..., 3:].astype(np.float32) / 255
    mixed *= 1 - alpha
    mixed[..., :3] += colours[..., :3].astype(np.float32) / 255 * alpha
    mixed[..., 3:] += alpha


def _finished(mixed: NDArray[np.float32], request: MapRequest, strip: MapGrid, *, opaque: bool) -> NDArray[np.uint8]:
    """Red, green, blue, alpha (0–255) with the background under the layers."""
    ground, void = request.background.colour, request.background.void
    if opaque:  # an encoding without transparency
        ground, void = ground or (255, 255, 255), void or (255, 255, 255)
    alpha = mixed[..., 3:]
    if ground is not None:
        colours = mixed[..., :3] + (1 - alpha) * (np.array(ground, np.float32) / 255)
        alpha = np.ones_like(alpha)
    else:
        colours = mixed[..., :3] / np.maximum(alpha, 1e-6)
    mixed = np.concatenate([colours, alpha], axis=-1)
    out: NDArray[np.uint8] = np.rint(np.clip(mixed, 0, 1) * 255).astype(np.uint8)
    if ground != void:
        out[_void(strip)] = (0, 0, 0, 0) if void is None else (*void, 255)
    return out


def _void(grid: MapGrid) -> NDArray[np.bool_]:
    """True for pixels that lie outside the area of the CRS."""
    if grid.separable:
        west, south, east, north = (-180.0, -90.0, 180.0, 90.0)
        longitudes, latitudes = grid.axes()
        across = (longitudes < west) | (longitudes > east)
        return np.asarray(across[None, :] | ((latitudes < south) | (latitudes > north))[:, None])
    longitudes, latitudes = grid.positions()
    return ~(np.isfinite(longitudes) & np.isfinite(latitudes))


def encode_picture(colours: NDArray[np.uint8], ext: str) -> bytes:
    """Encode red, green, blue, alpha; a picture of at most 256 colours becomes a PNG with a palette."""
    from PIL import Image

    from tiles.render import encode

    if ext != "png":
        return encode(colours, ext)
    colours = np.ascontiguousarray(colours)
    counted = Image.fromarray(colours).getcolors(256)
    if counted is None:
        return encode(colours, ext)
    palette = np.array([colour for _, colour in counted], np.uint8)
    packed = palette.view(np.uint32)[:, 0]
    order = np.argsort(packed)
    index = order[np.searchsorted(packed, colours.view(np.uint32)[..., 0], sorter=order)].astype(np.uint8)
    picture = Image.fromarray(index)
    picture.putpalette(palette[:, :3].tobytes())
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1, transparency=palette[:, 3].tobytes())
    return out.getvalue()
