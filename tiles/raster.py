"""Pixels of a raster tile (栅格瓦片取样): values of a published COG on the pixel centres of a tile.

Every tile matrix set of the service is *separable* over longitude and latitude: a column of a tile is a meridian, a row
a parallel. So a tile needs no warp: its values are the COG's, taken at one vector of longitudes and one of latitudes.
Measured on a 30″ elevation model this takes 1–2 ms, GDAL's warp to EPSG:3857 38 ms (it sets up a transformation for
each tile). It is also exact: two neighbours compute the pixels that they share from the same cells, so there are no seams.
"""

from __future__ import annotations

import asyncio
import math
import os
import threading
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spatial.errors import StoreUnavailable
from spatial.grid import TILE_MATRIX_SETS, tile_bounds
from spatial.store.raster import SAFE_GDAL, PublishedRaster
from spatial.units import SEMI_MAJOR_M
from tiles.matrix import Address

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["TilePixels", "TilePool", "pixel_centres", "read_cells", "read_pixels", "resample", "unreadable"]

Method = Literal["nearest", "bilinear", "cubic"]
_OPEN_FILES = 24
_THREADS = str(min(4, os.cpu_count() or 1))
"""Threads that decode the blocks of one read."""
_COARSER = 1.25
"""How much wider than a pixel the cells of `read_cells` may be: a whole overview finer costs up to four times the bytes."""
_MARGIN = 5
"""Source cells read around a tile: two for the cubic kernel, two for filled gaps, one for rounding."""


@dataclass(frozen=True, slots=True)
class TilePixels:
    """Values on the pixel centres of a tile.

    Attributes
    ----------
    values : array (rows, columns)
    mask : bool array, the same shape
        True where there is no data.
    longitudes, latitudes : float64 arrays (columns,), (rows,)
        Pixel centres, degrees, EPSG:4490.
    """

    values: NDArray[Any]
    mask: NDArray[np.bool_]
    longitudes: NDArray[np.float64]
    latitudes: NDArray[np.float64]


def pixel_centres(address: Address, size: int, border: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Longitudes of the columns and latitudes of the rows of a tile, with `border` more pixels on each side.

    Formula: linear in degrees; for Web Mercator λ = x / R, φ = atan(sinh(y / R)), R = 6 378 137 m.
    Source: EPSG Guidance Note 7-2, method 1024.

    Examples
    --------
    >>> lon, lat = pixel_centres(Address("CGCS2000Quad", 0, 1, 0), size=2)
    >>> lon.tolist(), lat.tolist()
    ([45.0, 135.0], [45.0, -45.0])
    """
    west, south, east, north = tile_bounds(*address)
    steps = (np.arange(-border, size + border) + 0.5) / size
    x, y = west + (east - west) * steps, north - (north - south) * steps
    if TILE_MATRIX_SETS[address.tms] != 3857:
        return x, y
    return np.degrees(x / SEMI_MAJOR_M), np.degrees(np.arctan(np.sinh(y / SEMI_MAJOR_M)))


def _taps(position: NDArray[np.float64], count: int, method: Method) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Source indices and weights of each output pixel along one axis, shape (taps, pixels); edges are repeated."""
    if method == "nearest":
        index = np.floor(position + 0.5).astype(np.intp)[None, :]
        weight = np.ones(index.shape, np.float32)
    elif method == "bilinear":
        first = np.floor(position).astype(np.intp)
        t = position - first
        index, weight = np.stack([first, first + 1]), np.stack([1 - t, t])
    else:
        first = np.floor(position).astype(np.intp)
        t = position - first
        index = np.stack([first - 1, first, first + 1, first + 2])
        weight = np.stack(
            [
                -0.5 * t**3 + t**2 - 0.5 * t,
                1.5 * t**3 - 2.5 * t**2 + 1,
                -1.5 * t**3 + 2 * t**2 + 0.5 * t,
                0.5 * t**3 - 0.5 * t**2,
            ]
        )
    return np.clip(index, 0, count - 1), weight.astype(np.float32)


def resample(
    values: NDArray[Any],
    mask: NDArray[np.bool_],
    rows: NDArray[np.float64],
    columns: NDArray[np.float64],
    method: Method,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values at fractional cell positions (0 is the centre of the first cell), and where they are missing.

    A pixel is missing where its nearest cell is; so the edge of the data keeps the shape of the cells, and a valid pixel
    never takes a share of a nodata value. ``cubic`` is the Catmull–Rom kernel.

    Parameters
    ----------
    values, mask : arrays (m, n)
    rows, columns : float64 arrays
        Positions along each axis.
    method : {"nearest", "bilinear", "cubic"}

    Returns
    -------
    tuple of arrays (len(rows), len(columns))
        ``nearest`` keeps the dtype, the others give float32.

    Source: R. Keys (1981), doi:10.1109/TASSP.1981.1163711, a = −1/2.

    Examples
    --------
    >>> v, m = resample(np.array([[0, 4], [8, 12]]), np.zeros((2, 2), bool), np.array([0, 0.5]), np.array([0.25]), "bilinear")
    >>> v.tolist()
    [[1.0], [5.0]]
    """
    near_rows, _ = _taps(rows, values.shape[0], "nearest")
    near_columns, _ = _taps(columns, values.shape[1], "nearest")
    missing = mask[near_rows[0]][:, near_columns[0]]
    if method == "nearest":
        return values[near_rows[0]][:, near_columns[0]], missing
    cells = _fill(values.astype(np.float32), mask, passes=1 if method == "bilinear" else 2)
    index, weight = _taps(rows, values.shape[0], method)
    along = sum(cells[i] * w[:, None] for i, w in zip(index, weight, strict=True))
    index, weight = _taps(columns, values.shape[1], method)
    out: NDArray[Any] = np.asarray(sum(along[:, i] * w for i, w in zip(index, weight, strict=True)))
    return out, missing


def _fill(values: NDArray[np.float32], mask: NDArray[np.bool_], passes: int) -> NDArray[np.float32]:
    """Missing cells beside valid ones get the mean of their valid neighbours, so that a kernel can reach over the edge."""
    if not mask.any():
        return values
    values, valid = np.where(mask, np.float32(0), values), ~mask
    for _ in range(passes):
        total, count = np.zeros_like(values), np.zeros_like(values)
        padded, known = np.pad(values * valid, 1), np.pad(valid, 1)
        height, width = values.shape
        for i in range(3):
            for j in range(3):
                total += padded[i : i + height, j : j + width]
                count += known[i : i + height, j : j + width]
        grow = ~valid & (count > 0)
        values = np.where(grow, total / np.maximum(count, 1), values)
        valid = valid | grow
    return values


def _level(raster: PublishedRaster, overviews: list[int], target: float) -> tuple[int, int]:
    """Overview (−1: full resolution) whose cells are just finer than a target cell, and a further whole reduction."""
    cell = (raster.extent[2] - raster.extent[0]) / raster.width
    wanted = target / cell * 1.001
    level, factor = -1, 1
    for i, overview in enumerate(overviews):
        if overview <= wanted:
            level, factor = i, overview
    # Beyond the coarsest overview the whole (small) image is averaged down, or low zooms would flicker.
    further = int(wanted / factor) if level == len(overviews) - 1 else 1
    return level, max(1, further)


def read_pixels(
    raster: PublishedRaster, band: int, address: Address, *, size: int, border: int, method: Method, classes: bool
) -> TilePixels | None:
    """Values of a band on the pixels of a tile, or None if no pixel centre lies in the raster's extent.

    Parameters
    ----------
    band : int
        From 1.
    size : int
        Pixels a side.
    border : int
        Further pixels around the tile.
    method : {"nearest", "bilinear", "cubic"}
    classes : bool
        The values are class codes: low zooms take the most frequent one instead of the mean.

    Raises
    ------
    StoreUnavailable
        The file is missing or damaged.
    """
    from rasterio.enums import Resampling
    from rasterio.errors import RasterioError
    from rasterio.windows import Window
    from rio_tiler.reader import read

    longitudes, latitudes = pixel_centres(address, size, border)
    west, south, east, north = raster.extent
    inside_x, inside_y = (longitudes >= west) & (longitudes < east), (latitudes <= north) & (latitudes > south)
    if not (inside_x.any() and inside_y.any()):
        return None
    try:
        files = _files()
        base = files.dataset(raster, -1)
        level, further = _level(raster, base.overviews(band), float(longitudes[1] - longitudes[0]))
        dataset = files.dataset(raster, level)
        if further > 1:
            height, width = max(1, dataset.height // further), max(1, dataset.width // further)
            image = read(
                dataset,
                indexes=band,
                height=height,
                width=width,
                resampling_method=(Resampling.mode if classes else Resampling.average).name,
            )
            top = left = 0
        else:
            height, width = dataset.height, dataset.width
        rows = (north - latitudes) / (north - south) * height - 0.5
        columns = (longitudes - west) / (east - west) * width - 0.5
        if further == 1:
            top, bottom = _span(rows[inside_y], height)
            left, right = _span(columns[inside_x], width)
            image = read(dataset, indexes=band, window=Window(left, top, right - left, bottom - top))
    except RasterioError as error:
        files.forget(raster)
        raise unreadable(raster) from error
    cells, gaps = image.array.data[0], np.ma.getmaskarray(image.array)[0]
    if cells.dtype.kind == "f":
        gaps = gaps | ~np.isfinite(cells)
    values, missing = resample(cells, gaps, rows - top, columns - left, method)
    missing = missing | ~(inside_y[:, None] & inside_x[None, :])
    return TilePixels(values, missing, longitudes, latitudes)


def read_cells(
    raster: PublishedRaster, bands: Sequence[int], longitudes: NDArray[np.float64], latitudes: NDArray[np.float64]
) -> NDArray[np.float32] | None:
    """Values of several bands in the cells that hold the points of a longitude and a latitude vector, in one read.

    The cells are those of the overview whose cells are at most a quarter wider than the points are apart; at a distance
    below 1.6 native cells, the native ones.

    Parameters
    ----------
    bands : sequence of int
        From 1.
    longitudes, latitudes : float64 arrays, degrees
        Each evenly spaced in its tile; one point each is allowed.

    Returns
    -------
    float32 (bands, latitudes, longitudes), NaN where there is no value or the point lies outside; None if all do.

    Raises
    ------
    StoreUnavailable
        The file is missing or damaged.
    """
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    west, south, east, north = raster.extent
    inside_x, inside_y = (longitudes >= west) & (longitudes < east), (latitudes <= north) & (latitudes > south)
    if not (inside_x.any() and inside_y.any()):
        return None
    apart = float(longitudes[1] - longitudes[0]) if longitudes.size > 1 else 0.0
    try:
        files = _files()
        level, _ = _level(raster, files.dataset(raster, -1).overviews(bands[0]), apart * _COARSER)
        dataset = files.dataset(raster, level)
        rows = _cell((north - latitudes) / (north - south), dataset.height)
        columns = _cell((longitudes - west) / (east - west), dataset.width)
        top, left = int(rows[inside_y].min()), int(columns[inside_x].min())
        height, width = int(rows[inside_y].max()) + 1 - top, int(columns[inside_x].max()) + 1 - left
        found = dataset.read(list(bands), window=Window(left, top, width, height), out_dtype="float32")
    except RasterioError as error:
        files.forget(raster)
        raise unreadable(raster) from error
    if not math.isnan(raster.nodata):
        found[found == np.float32(raster.nodata)] = np.nan
    rows, columns = (rows - top).clip(0, height - 1), (columns - left).clip(0, width - 1)
    values = found[:, rows[:, None], columns[None, :]]
    values[:, ~inside_y, :] = np.nan
    values[:, :, ~inside_x] = np.nan
    return np.asarray(values)


def _cell(share: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    return np.floor(share * count).astype(np.intp).clip(0, count - 1)


def unreadable(raster: PublishedRaster) -> StoreUnavailable:
    """The error for a raster whose file is missing or damaged: 503, and only for this layer."""
    return StoreUnavailable(
        f"图层 {raster.layer.id} 的栅格文件无法读取，请检查数据目录或重新发布",
        f"layer {raster.layer.id}: its raster file cannot be read; check the data folder or publish it again",
        layer=raster.layer.id,
    )


def _span(position: NDArray[np.float64], count: int) -> tuple[int, int]:
    return max(0, int(position.min()) - _MARGIN), min(count, int(position.max()) + 1 + _MARGIN)


class _OpenFiles(threading.local):
    """Open datasets of one thread, least recently used last: a GDAL dataset must not be shared by threads."""

    def __init__(self) -> None:
        import rasterio

        self._open: OrderedDict[tuple[str, int], Any] = OrderedDict()
        # Entered once for the life of the thread; nothing else runs in these threads.
        self._env = rasterio.Env(**SAFE_GDAL).__enter__()

    def dataset(self, raster: PublishedRaster, level: int) -> Any:
        """Dataset of a published COG, or of one of its overviews; only GeoTIFF, whatever the file holds."""
        import rasterio

        key = (str(raster.path), level)
        found = self._open.get(key)
        if found is None:
            options = {} if level < 0 else {"overview_level": level}
            found = rasterio.open(raster.path, driver="GTiff", NUM_THREADS=_THREADS, **options)
            self._open[key] = found
            if len(self._open) > _OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return found

    def forget(self, raster: PublishedRaster) -> None:
        """Close what is open of a file that gave an error."""
        for key in [k for k in self._open if k[0] == str(raster.path)]:
            self._open.pop(key).close()


_local: _OpenFiles | None = None
_local_lock = threading.Lock()


def _files() -> _OpenFiles:
    global _local
    with _local_lock:
        if _local is None:
            _local = _OpenFiles()
        return _local


class TilePool:
    """A bounded number of threads for blocking work on tiles, so that it never holds the event loop."""

    def __init__(self, threads: int | None = None) -> None:
        self._pool = ThreadPoolExecutor(threads or min(8, (os.cpu_count() or 2) + 1), thread_name_prefix="tile")
        # The first import of the raster libraries takes a second; it should not fall on the first tile.
        self._pool.submit(_warm)

    async def run[**P, T](self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Result of `work`, run in the pool."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(work, *args, **kwargs))


def _warm() -> None:
    import PIL.Image
    import rio_tiler.reader

    assert PIL.Image
    assert rio_tiler.reader
