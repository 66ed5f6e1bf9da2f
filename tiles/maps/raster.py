"""Rasters on the pixels of a map (栅格制图): values of a published COG at each pixel, in any served CRS, with the layer's style.

Where columns are meridians and rows parallels, rows and columns are resampled one after the other, as for tiles. In the
Gauss–Krüger zones every pixel is looked up at its own longitude and latitude; nothing is rotated or shifted as a whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.crs import STORAGE
from spatial.store.raster import SAFE_GDAL, PublishedRaster
from tiles.maps.grid import MapGrid
from tiles.raster import Method, resample, unreadable
from tiles.relief import cell_metres, shade
from tiles.render import band_number, channel_numbers, colourise, join_channels
from tiles.styles import Classes, Hillshade, Picture, RasterStyle

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["raster_colours"]

_MARGIN = 4
"""Cells read around the map: two for the cubic kernel, two for gaps that it fills."""
_METRES_A_DEGREE = 111_319.49


def raster_colours(
    raster: PublishedRaster, grid: MapGrid, style: RasterStyle, band: str | None = None
) -> NDArray[np.uint8] | None:
    """Red, green, blue, alpha of each pixel, shape (rows, columns, 4), or None where the raster has none.

    Raises
    ------
    InvalidParameter
        The layer has no such band.
    StoreUnavailable
        The file is missing or damaged.
    """
    number = band_number(raster.layer, band, style)
    if isinstance(style, Picture) and band is None:
        found = [_sampled(raster, channel, grid, classes=False) for channel in channel_numbers(raster.layer, style)]
        channels = [pair for pair in found if pair is not None and not pair[1].all()]
        return join_channels(*zip(*channels, strict=True)) if len(channels) == len(found) else None
    if isinstance(style, Classes):
        style = style.of_band(band)
    light = None
    if isinstance(style, Hillshade):
        lit = _relief(raster, number, grid, style)
        if lit is None:
            return None
        values, mask, light = lit
    else:
        sampled = _sampled(raster, number, grid, classes=isinstance(style, Classes))
        if sampled is None:
            return None
        values, mask = sampled
    if mask.all():
        return None
    return colourise(style, values, mask, light)


@dataclass(frozen=True, slots=True)
class _Cells:
    """A window of a raster, at the resolution of the map: values, gaps, and where its first cell begins."""

    values: NDArray[Any]
    mask: NDArray[np.bool_]
    west: float
    north: float
    cell: tuple[float, float]

    def columns(self, longitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        return (longitudes - self.west) / self.cell[0] - 0.5

    def rows(self, latitudes: NDArray[np.float64]) -> NDArray[np.float64]:
        return (self.north - latitudes) / self.cell[1] - 0.5


def _inside(raster: PublishedRaster, longitudes: Any, latitudes: Any) -> tuple[Any, Any]:
    west, south, east, north = raster.extent
    return (longitudes >= west) & (longitudes < east), (latitudes <= north) & (latitudes > south)


def _read(
    raster: PublishedRaster, band: int, longitudes: Any, latitudes: Any, target: float, *, classes: bool
) -> _Cells | None:
    """The cells around some places, not much finer than `target` degrees; the raster's own overviews serve the rest."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    if longitudes.size == 0 or latitudes.size == 0:
        return None
    west, south, east, north = raster.extent
    cell = ((east - west) / raster.width, (north - south) / raster.height)
    factor = 2 ** max(0, math.floor(math.log2(max(target / cell[0] * 1.001, 1e-9))))
    left = _aligned((float(longitudes.min()) - west) / cell[0], factor, -1)
    right = min(raster.width, _aligned((float(longitudes.max()) - west) / cell[0], factor, 1))
    top = _aligned((north - float(latitudes.max())) / cell[1], factor, -1)
    bottom = min(raster.height, _aligned((north - float(latitudes.min())) / cell[1], factor, 1))
    shape = (max(1, round((bottom - top) / factor)), max(1, round((right - left) / factor)))
    method = Resampling.nearest if factor == 1 else Resampling.mode if classes else Resampling.average
    try:
        with rasterio.Env(**SAFE_GDAL), rasterio.open(raster.path, driver="GTiff") as dataset:
            window = Window(left, top, right - left, bottom - top)
            found = dataset.read(band, window=window, out_shape=shape, resampling=method, masked=True)
    except RasterioError as error:
        raise unreadable(raster) from error
    values, mask = found.data, np.ma.getmaskarray(found)
    if values.dtype.kind == "f":
        mask = mask | ~np.isfinite(values)
    size = ((right - left) / shape[1] * cell[0], (bottom - top) / shape[0] * cell[1])
    return _Cells(values, mask, west + left * cell[0], north - top * cell[1], size)


def _aligned(position: float, factor: int, side: int) -> int:
    """A whole number of larger cells before (side −1) or after (+1) a position, with a margin; not below 0."""
    whole = math.floor(position / factor) + (side * _MARGIN if side < 0 else _MARGIN + 1)
    return max(0, whole * factor)


def _target(grid: MapGrid) -> float:
    """Degrees of longitude of a pixel in the middle."""
    if not grid.crs.projected:
        return grid.pixel[0]
    latitude = grid.geographic_centre[1]
    return grid.ground[0] / (_METRES_A_DEGREE * max(0.05, math.cos(math.radians(latitude))))


def _sampled(
    raster: PublishedRaster, band: int, grid: MapGrid, *, classes: bool, method: Method | None = None, border: int = 0
) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
    """Values on the pixels of a map and where they are missing; None if no pixel lies in the raster."""
    how: Method = method or ("nearest" if classes else "bilinear")
    if grid.separable:
        longitudes, latitudes = grid.axes(border)
        inside_x, inside_y = _inside(raster, longitudes, latitudes)
        cells = _read(raster, band, longitudes[inside_x], latitudes[inside_y], _target(grid), classes=classes)
        if cells is None:
            return None
        values, missing = resample(cells.values, cells.mask, cells.rows(latitudes), cells.columns(longitudes), how)
        return values, missing | ~(inside_y[:, None] & inside_x[None, :])
    longitudes, latitudes = grid.positions(border)
    inside_x, inside_y = _inside(raster, longitudes, latitudes)
    inside = inside_x & inside_y
    cells = _read(raster, band, longitudes[inside], latitudes[inside], _target(grid), classes=classes)
    if cells is None:
        return None
    rows, columns = (np.where(inside, v, 0) for v in (cells.rows(latitudes), cells.columns(longitudes)))
    values, missing = _looked_up(cells.values, cells.mask, rows, columns, how)
    return values, missing | ~inside


def _looked_up(
    values: NDArray[Any],
    mask: NDArray[np.bool_],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    method: Method,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values at fractional cell positions given one by one; a pixel is missing where its nearest cell is.

    Examples
    --------
    >>> v, m = _looked_up(np.array([[0, 4], [8, 12]]), np.zeros((2, 2), bool), np.array([[0.5]]), np.array([[0.25]]), "bilinear")
    >>> v.tolist(), m.tolist()
    ([[5.0]], [[False]])
    """
    height, width = values.shape
    near_rows = np.clip(np.floor(rows + 0.5).astype(np.intp), 0, height - 1)
    near_columns = np.clip(np.floor(columns + 0.5).astype(np.intp), 0, width - 1)
    missing = mask[near_rows, near_columns]
    if method == "nearest":
        return values[near_rows, near_columns], missing
    first_row, first_column = np.floor(rows).astype(np.intp), np.floor(columns).astype(np.intp)
    t, u = (rows - first_row).astype(np.float32), (columns - first_column).astype(np.float32)
    cells, valid = np.where(mask, 0, values).astype(np.float32), ~mask
    total, weight = np.zeros(rows.shape, np.float32), np.zeros(rows.shape, np.float32)
    for down, share in ((0, 1 - t), (1, t)):
        at_row = np.clip(first_row + down, 0, height - 1)
        for right, part in ((0, 1 - u), (1, u)):
            at_column = np.clip(first_column + right, 0, width - 1)
            w = share * part * valid[at_row, at_column]
            total += w * cells[at_row, at_column]
            weight += w
    return total / np.maximum(weight, 1e-9), missing


def _relief(
    raster: PublishedRaster, band: int, grid: MapGrid, style: Hillshade
) -> tuple[NDArray[Any], NDArray[np.bool_], NDArray[np.float32]] | None:
    """Elevation, gaps and light of each pixel."""
    if grid.separable:
        found = _sampled(raster, band, grid, classes=False, method="cubic", border=1)
        if found is None:
            return None
        values, mask = found
        longitudes, latitudes = grid.axes(1)
        if grid.extent[2] > 180 and not grid.crs.projected:
            longitudes = np.unwrap(longitudes, period=360)
        dx, dy = cell_metres(longitudes, latitudes)
        light = shade(values, mask, dx, dy, azimuth=style.azimuth, altitude=style.altitude, z_factor=style.z_factor)
        inner = (slice(1, -1), slice(1, -1))
        return values[inner], mask[inner], light
    # Lit where north is up, on pixels of the same size, and looked up from there: the sun stands where the style says.
    [box] = grid.geographic_boxes(2)[:1]
    width = math.ceil((box[2] - box[0]) / _target(grid))
    height = math.ceil((box[3] - box[1]) * _METRES_A_DEGREE / grid.ground[1])
    if not (0 < width * height < 16 * grid.width * grid.height + 1_000_000):
        return None  # a map far beyond its zone
    upright = MapGrid(STORAGE, box, width, height)
    lit = _relief(raster, band, upright, style)
    if lit is None:
        return None
    values, mask, light = lit
    longitudes, latitudes = grid.positions()
    inside = np.isfinite(longitudes) & np.isfinite(latitudes)
    rows = np.where(inside, (box[3] - latitudes) / upright.pixel[1] - 0.5, 0)
    columns = np.where(inside, (longitudes - box[0]) / upright.pixel[0] - 0.5, 0)
    heights, missing = _looked_up(values, mask, rows, columns, "bilinear")
    shone, _ = _looked_up(light, mask, rows, columns, "bilinear")
    return heights, missing | ~inside, shone.astype(np.float32)
