"""Cells (像元值) of published rasters that stay open between questions: opening a file costs more than reading a cell."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.store.raster import PublishedRaster, opened_raster, reading, sample

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["CellReader"]


class CellReader:
    """Values of one cell, from files that stay open; safe in threads.

    A GDAL dataset serves one thread at a time, so each has a lock; its block cache answers the next question nearby.

    Parameters
    ----------
    most : int
        Files kept open.
    """

    def __init__(self, most: int = 24) -> None:
        self._most = most
        self._open: OrderedDict[Path, tuple[Any, threading.Lock]] = OrderedDict()
        self._lock = threading.Lock()

    def values(self, raster: PublishedRaster, lon: float, lat: float) -> Sequence[float | None]:
        """Value of every band in the cell that holds a point of the raster, None where nodata; as `sample` gives it.

        Raises
        ------
        StoreUnavailable
            The file is missing or damaged.
        """
        from rasterio.errors import RasterioError
        from rasterio.windows import Window

        west, south, east, north = raster.extent
        col = min(int((lon - west) / (east - west) * raster.width), raster.width - 1)
        row = min(int((north - lat) / (north - south) * raster.height), raster.height - 1)
        with reading(raster):
            dataset, lock = self._dataset(raster.path)
        try:
            with lock:
                found = dataset.read(window=Window(col, row, 1, 1))[:, 0, 0]
        except RasterioError:
            # Closed by another thread, or damaged: opened anew it answers, or says what is wrong.
            self._forget(raster.path)
            with reading(raster):
                return sample(raster, lon, lat)
        values = [float(v) for v in found]
        return [None if not math.isfinite(v) or v == raster.nodata else v for v in values]

    def _dataset(self, path: Path) -> tuple[Any, threading.Lock]:
        with self._lock:
            found = self._open.get(path)
            if found is None:
                found = self._open[path] = (opened_raster(path), threading.Lock())
                if len(self._open) > self._most:
                    self._close(self._open.popitem(last=False)[1])
            self._open.move_to_end(path)
            return found

    def _forget(self, path: Path) -> None:
        with self._lock:
            found = self._open.pop(path, None)
            if found is not None:
                self._close(found)

    @staticmethod
    def _close(found: tuple[Any, threading.Lock]) -> None:
        dataset, lock = found
        with lock:
            dataset.close()
