"""Writing the result rasters of a run block by block, aside, and turning them into COGs at the end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Band, Text

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["BlockOutputs", "WrittenRaster"]


@dataclass(frozen=True)
class WrittenRaster:
    """A finished result raster, still aside."""

    name: str
    path: Path
    bands: tuple[Band, ...]
    title: Text
    style: Mapping[str, Any]


class _BlockRaster:
    """One raster on the run's grid; cells never written are nodata (see `RasterOutput`)."""

    def __init__(self, dataset: Any, nodata: float, described: WrittenRaster) -> None:
        self.described = described
        self._dataset = dataset
        self._nodata = nodata
        self._lock = threading.Lock()

    def write(self, row: int, col: int, values: NDArray[Any], *, band: int = 1) -> None:
        """Write a block whose first cell is (row, col); NaN becomes nodata."""
        from rasterio.windows import Window

        height, width = values.shape
        rows, cols = self._dataset.shape
        if row < 0 or col < 0 or row + height > rows or col + width > cols:
            raise ValueError(f"block ({row}, {col}) {height}×{width} lies outside the grid {rows}×{cols}")
        if values.dtype.kind == "f" and not np.isnan(self._nodata):
            values = np.where(np.isnan(values), self._nodata, values)
        with self._lock:
            dtype = self._dataset.dtypes[band - 1]
            self._dataset.write(values.astype(dtype, copy=False), band, window=Window(col, row, width, height))

    def close(self) -> None:
        self._dataset.close()


class BlockOutputs:
    """Where an analysis puts its rasters (see `Outputs`): tiled GeoTIFFs in the scratch folder of the run."""

    def __init__(self, grid: GeoBox, scratch: Path) -> None:
        self._grid = grid
        self._scratch = scratch
        self._open: dict[str, _BlockRaster] = {}

    def raster(
        self, name: str, *, bands: tuple[Band, ...], dtype: str, nodata: float, title: Text, style: Mapping[str, Any]
    ) -> _BlockRaster:
        """Open the raster `name` on the run's grid."""
        import rasterio

        if name in self._open:
            raise ValueError(f"raster {name!r} is open already")
        path = self._scratch / f"{name}.tif"
        dataset = rasterio.open(
            path,
            "w",
            driver="GTiff",
            height=self._grid.shape.y,
            width=self._grid.shape.x,
            count=len(bands),
            dtype=dtype,
            nodata=nodata,
            crs="EPSG:4490",
            transform=self._grid.affine,
            tiled=True,
            blockxsize=512,
            blockysize=512,
            interleave="band",
            sparse_ok=True,  # a cell that nobody writes reads as nodata
            bigtiff="IF_SAFER",
        )
        for index, band in enumerate(bands, start=1):
            dataset.set_band_description(index, band.name)
            if band.unit:
                dataset.set_band_unit(index, band.unit)
        self._open[name] = _BlockRaster(dataset, nodata, WrittenRaster(name, path, bands, title, dict(style)))
        return self._open[name]

    def close(self) -> list[WrittenRaster]:
        """Close every raster; they can be read now."""
        for raster in self._open.values():
            raster.close()
        return [raster.described for raster in self._open.values()]
