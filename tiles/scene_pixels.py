"""Pixels of a band of a scene under a tile or a box (影像像元): any CRS of the file, nearest cell of the overview that fits.

The positions of a tile's pixel centres in the CRS of the file are exact on a lattice of control points and linear between them
(`_CONTROL`); the error is far below a pixel, and a warp by PROJ for every pixel would cost ten times the reading.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import SourceUnreadable
from spatial.store.raster import SAFE_GDAL
from tiles.matrix import Address
from tiles.raster import pixel_centres

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from spatial.scenes.collection import Asset

__all__ = ["read_band", "read_box"]

_CONTROL = 17
"""Control points along each side of a tile."""
_OPEN = 48
"""Files open in a thread."""


class _Files(threading.local):
    """Open files of one thread, least recently used first: a GDAL dataset must not be shared by threads."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, int, int], Any] = OrderedDict()

    def dataset(self, path: Path, level: int) -> Any:
        import rasterio

        key = (str(path), level, path.stat().st_mtime_ns)
        found = self._open.get(key)
        if found is None:
            options = {} if level < 0 else {"overview_level": level}
            with rasterio.Env(**SAFE_GDAL):
                found = rasterio.open(path, driver="GTiff", **options)
            self._open[key] = found
            if len(self._open) > _OPEN:
                self._open.popitem(last=False)[1].close()
        self._open.move_to_end(key)
        return found


_files = _Files()


@lru_cache(maxsize=64)
def _to_file(crs: str) -> Any:
    """Degrees (x first) → the CRS of a file; None where it is geographic: the numbers are the same."""
    from pyproj import CRS, Transformer

    target = CRS.from_wkt(crs)
    return None if target.is_geographic else Transformer.from_crs("EPSG:4326", target, always_xy=True)


def _along(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Linear between control points along the first axis: (_CONTROL, n) → (size, n)."""
    # No matrix product: the threads of a BLAS library would cost more than the work.
    place = np.arange(size) / (size - 1) * (_CONTROL - 1)
    first = np.minimum(place.astype(int), _CONTROL - 2)
    return np.asarray(values[first] + (place - first)[:, None] * (values[first + 1] - values[first]))


Positions = tuple["NDArray[np.float64]", "NDArray[np.float64]"]


def _in_file(crs: str, longitudes: NDArray[np.float64], latitudes: NDArray[np.float64]) -> Positions:
    """X and y of the crossings of meridians and parallels in the CRS of a file; 1-D vectors where it is geographic."""
    transformer = _to_file(crs)
    if transformer is None:
        return longitudes, latitudes
    columns, rows = np.arange(longitudes.size), np.arange(latitudes.size)
    across, down = np.meshgrid(
        np.interp(np.linspace(0, longitudes.size - 1, _CONTROL), columns, longitudes),
        np.interp(np.linspace(0, latitudes.size - 1, _CONTROL), rows, latitudes),
    )
    x, y = transformer.transform(across, down)
    return (
        _along(_along(x, latitudes.size).T, longitudes.size).T,
        _along(_along(y, latitudes.size).T, longitudes.size).T,
    )


@lru_cache(maxsize=64)
def _positions(crs: str, address: Address, size: int) -> Positions:
    """X and y of the pixel centres of a tile in the CRS of the file; 1-D vectors where it is geographic, else (size, size)."""
    return _in_file(crs, *pixel_centres(address, size, 0))


@lru_cache(maxsize=16)
def _box_positions(crs: str, box: tuple[float, float, float, float], width: int, height: int) -> Positions:
    """As `_positions`, of a box in degrees cut into `width` × `height` pixels."""
    west, south, east, north = box
    longitudes = np.float64(west) + (np.arange(width, dtype=np.float64) + 0.5) * ((east - west) / width)
    latitudes = np.float64(north) - (np.arange(height, dtype=np.float64) + 0.5) * ((north - south) / height)
    return _in_file(crs, longitudes, latitudes)


def _level(dataset: Any, spacing: float) -> int:
    """Coarsest overview whose cells are finer than the pixels, −1 for the file itself."""
    wanted = spacing / abs(dataset.transform.a) * 1.001
    level = -1
    for number, factor in enumerate(dataset.overviews(1)):
        if factor <= wanted:
            level = number
    return level


def read_band(asset: Asset, address: Address, size: int) -> NDArray[np.float32]:
    """Values of a band on the pixels of a tile: stored · scale + offset, float32, NaN outside and where there is no data.

    Raises
    ------
    SourceUnreadable
    """
    return _read(asset, (size, size), lambda crs: _positions(crs, address, size))


def read_box(asset: Asset, box: tuple[float, float, float, float], width: int, height: int) -> NDArray[np.float32]:
    """Values of a band on the pixels of a box (west, south, east, north, degrees), as `read_band`, (height, width).

    Raises
    ------
    SourceUnreadable
    """
    return _read(asset, (height, width), lambda crs: _box_positions(crs, box, width, height))


def _read(asset: Asset, shape: tuple[int, int], positions: Callable[[str], Positions]) -> NDArray[np.float32]:
    from rasterio.errors import RasterioError
    from rasterio.windows import Window

    out = np.full(shape, np.nan, dtype=np.float32)
    try:
        whole = _files.dataset(asset.path, -1)
        x, y = positions(whole.crs.to_wkt())
        spacing = float(np.abs(np.diff(x, axis=-1)).mean())
        dataset = _files.dataset(asset.path, _level(whole, spacing))
        a = dataset.transform
        cols = np.floor((x - a.c) / a.a).astype(np.int64)
        rows = np.floor((y - a.f) / a.e).astype(np.int64)
        if x.ndim == 1:
            rows, cols = np.broadcast_arrays(rows[:, None], cols[None, :])
        inside = (rows >= 0) & (rows < dataset.height) & (cols >= 0) & (cols < dataset.width)
        if not inside.any():
            return out
        top, left = int(rows[inside].min()), int(cols[inside].min())
        bottom, right = int(rows[inside].max()) + 1, int(cols[inside].max()) + 1
        cells = dataset.read(1, window=Window(left, top, right - left, bottom - top))
        nodata = dataset.nodata if dataset.nodata is not None else asset.nodata
    except (RasterioError, OSError) as error:
        # What the system says of a missing file names its folder, which is nobody's business.
        reason = getattr(error, "strerror", None) or error
        raise SourceUnreadable(
            f"影像文件 {asset.path.name} 不能读取：{reason}",
            f"scene file {asset.path.name} cannot be read: {reason}",
            file=asset.path.name,
        ) from error
    found = cells[rows[inside] - top, cols[inside] - left]
    values = found.astype(np.float32) * np.float32(asset.scale) + np.float32(asset.offset)
    if nodata is not None:
        values[found == nodata] = np.nan
    out[inside] = values
    return out
