"""Reading a raster on the grid of a run (运行格网): aligned, nearest or bilinear, by window, also in another process."""

from __future__ import annotations

import errno
import math
import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.compiled import compiled
from spatial.errors import GridMismatch
from spatial.jobs.contract import Axis

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from spatial.store.raster import PublishedRaster

__all__ = ["GridRaster", "load_compiled"]

_CELL_TOLERANCE = 1e-3
"""Largest offset, in cells, by which a raster may lie beside the base grid and still count as aligned."""


def _bilinear(source: Any, i: Any, v: Any, j: Any, u: Any, out: Any) -> None:
    """Mean of the four nearest centres by distance; those without data take no part.

    NaN where the cell that holds the point has no data, so that a coast does not creep seawards.
    """
    between = np.empty(source.shape[1], np.float64)
    for r in range(out.shape[0]):
        top = i[r]
        down = v[r]
        hollow = False
        for c in range(source.shape[1]):
            between[c] = source[top, c] + down * (source[top + 1, c] - source[top, c])
            hollow = hollow or between[c] != between[c]
        for c in range(out.shape[1]):
            left = between[j[c]]
            out[r, c] = left + u[c] * (between[j[c] + 1] - left)
        if not hollow:
            continue
        for c in range(out.shape[1]):
            if out[r, c] == out[r, c]:
                continue
            across = u[c]
            own = source[top + (1 if down >= 0.5 else 0), j[c] + (1 if across >= 0.5 else 0)]
            if own != own:
                continue
            total = 0.0
            weights = 0.0
            for d in range(2):
                for e in range(2):
                    value = source[top + d, j[c] + e]
                    if value == value:
                        weight = (down if d else 1.0 - down) * (across if e else 1.0 - across)
                        total += value * weight
                        weights += weight
            out[r, c] = total / weights


def load_compiled() -> None:
    """Load the compiler's library and the kernel of bilinear reading, which takes a new process a second or more."""
    cells, weights = np.zeros(1, np.int64), np.zeros(1)
    compiled(_bilinear)(np.zeros((2, 2)), cells, weights, cells, weights, np.empty((1, 1), np.float32))


class GridRaster:
    """A published raster read on the run's grid (see `spatial.jobs.contract.RasterInput`).

    The value of a cell depends on the cell and the source only. Pickled, the reader carries its path: in another process,
    also on another host, it opens the file itself when it is first read.
    """

    def __init__(
        self, dataset: Any, raster: PublishedRaster, base: GeoBox, origin: tuple[int, int], method: str
    ) -> None:
        self.layer = raster.layer
        self.layer_id = raster.layer.id
        self.version = raster.version
        self.unit = raster.layer.bands[0].unit
        self._dataset = dataset
        self._path = raster.path.absolute()  # another process may stand in another folder
        self._method = method
        self._lock = threading.Lock()  # a GDAL dataset belongs to one thread at a time
        source, target = dataset.transform, base.affine
        # Source index of the centre of base cell i: i × step + start.
        self._row = Axis(target.e / source.e, (target.f + target.e / 2 - source.f) / source.e - 0.5, origin[0])
        self._col = Axis(target.a / source.a, (target.c + target.a / 2 - source.c) / source.a - 0.5, origin[1])
        if method == "exact":
            self._require_aligned(base, raster)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_dataset", "_lock"}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _dataset=None, _lock=threading.Lock())

    def _require_aligned(self, base: GeoBox, raster: PublishedRaster) -> None:
        span = max(*base.shape, *self._dataset.shape)
        for axis in (self._row, self._col):
            if abs(axis.step - 1) * span > _CELL_TOLERANCE or abs(axis.start - round(axis.start)) > _CELL_TOLERANCE:

                def name(g: GeoBox) -> str:
                    return f"{g.shape.x}×{g.shape.y} {tuple(round(v, 12) for v in g.affine[:6])}"

                raise GridMismatch(
                    f"图层 {self.layer_id} 的格网 {name(raster.grid)} 与运行格网 {name(base)} 不对齐，请先重采样",
                    f"layer {self.layer_id}: grid {name(raster.grid)} is not aligned with the run's grid {name(base)}; "
                    "resample it first",
                    layer=self.layer_id,
                )

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands; see `RasterInput.bands`."""
        return tuple(band.name for band in self.layer.bands)

    @property
    def source_shape(self) -> tuple[int, int]:
        """Rows and columns of the raster itself."""
        with self._lock:
            height, width = self._open().shape
        return int(height), int(width)

    def source(self, *, band: int = 1) -> NDArray[np.float32]:
        """The whole raster on its own grid; see `RasterInput.source`."""
        height, width = self.source_shape
        return self._fetch(0, height, 0, width, band).astype(np.float32)

    def axes(self) -> tuple[Axis, Axis]:
        """See `RasterInput.axes`."""
        return self._row, self._col

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> NDArray[np.float32]:
        """Window of the run's grid; see `RasterInput.read`."""
        rows = self._row.positions(row, height)
        cols = self._col.positions(col, width)
        if self._method == "bilinear":
            return self._interpolated(rows, cols, band)
        # Halves go up, as everywhere in GDAL: a centre on the border of two source cells takes the right or lower one.
        i, j = np.floor(rows + 0.5).astype(np.int64), np.floor(cols + 0.5).astype(np.int64)
        block = self._fetch(int(i[0]), int(i[-1]) + 1, int(j[0]), int(j[-1]) + 1, band).astype(np.float32, copy=False)
        return block if self._method == "exact" else block[np.ix_(i - i[0], j - j[0])]

    def _interpolated(self, rows: NDArray[np.float64], cols: NDArray[np.float64], band: int) -> NDArray[np.float32]:
        i, j = np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64)
        block = self._fetch(int(i[0]), int(i[-1]) + 2, int(j[0]), int(j[-1]) + 2, band).astype(np.float64, copy=False)
        out = np.empty((rows.size, cols.size), dtype=np.float32)
        compiled(_bilinear)(block, i - i[0], rows - i, j - j[0], cols - j, out)
        return out

    def _open(self) -> Any:
        """The dataset; opened here where the reader came by pickle."""
        if self._dataset is None:
            from spatial.store.raster import opened_raster

            if not self._path.is_file():
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self._path))
            self._dataset = opened_raster(self._path)
        return self._dataset

    def _fetch(self, row0: int, row1: int, col0: int, col1: int, band: int) -> NDArray[np.floating[Any]]:
        """Source cells ``[row0, row1) × [col0, col1)``, NaN for nodata and outside the raster.

        float32 where that holds every value of the file, else float64.
        """
        from rasterio.windows import Window

        with self._lock:
            dataset = self._open()
            height, width = dataset.shape
            r0, r1, c0, c1 = max(row0, 0), min(row1, height), max(col0, 0), min(col1, width)
            inside = r0 < r1 and c0 < c1
            values = dataset.read(band, window=Window(c0, r0, c1 - c0, r1 - r0)) if inside else None
            nodata, dtype = dataset.nodata, np.dtype(dataset.dtypes[band - 1])
            scale, offset = dataset.scales[band - 1], dataset.offsets[band - 1]
        scaled = (scale, offset) != (1.0, 0.0)
        kind = np.float32 if np.can_cast(dtype, np.float32) and not scaled else np.float64
        if values is None:
            return np.full((row1 - row0, col1 - col0), np.nan, kind)
        found: NDArray[np.floating[Any]] = values.astype(kind, copy=False)
        hollow = None
        if nodata is not None and not math.isnan(nodata):
            hollow = values == np.asarray(nodata).astype(dtype)
        if scaled:
            found = found * scale + offset
        if hollow is not None:
            found[hollow] = np.nan
        if (r0, r1, c0, c1) == (row0, row1, col0, col1):
            return found
        block = np.full((row1 - row0, col1 - col0), np.nan, kind)
        block[r0 - row0 : r1 - row0, c0 - col0 : c1 - col0] = found
        return block
