"""Writing the result rasters of a run block by block, aside, and turning them into COGs at the end."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Band, Text
from spatial.store.cog import TILE, creation_options, halve

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

    @property
    def half(self) -> Path:
        """The first overview, if the blocks lay so that it could be written with them."""
        return self.path.with_name(f"{self.path.stem}.half.tif")

    @property
    def classes(self) -> bool:
        """Whether its overviews are of classes (most frequent) or of values (one of the cells)."""
        return any(band.domain for band in self.bands)


class _BlockRaster:
    """One raster on the run's grid; cells never written are nodata (see `RasterOutput`)."""

    def __init__(self, dataset: Any, half: Any, nodata: float, described: WrittenRaster) -> None:
        self.described = described
        self._dataset = dataset
        self._half = half
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
        values = values.astype(self._dataset.dtypes[band - 1], copy=False)
        with self._lock:
            self._dataset.write(values, band, window=Window(col, row, width, height))
            if self._half is None:
                return
            whole = (height % 2 == 0 or row + height == rows) and (width % 2 == 0 or col + width == cols)
            if row % 2 or col % 2 or not whole:
                self._drop_half()  # four cells of an overview cell lie in two blocks: it is made at the end
                return
            small = halve(values, self._nodata, classes=self.described.classes)
            self._half.write(small, band, window=Window(col // 2, row // 2, small.shape[1], small.shape[0]))

    def _drop_half(self) -> None:
        self._half.close()
        self._half = None
        self.described.half.unlink()

    def close(self) -> None:
        self._dataset.close()
        if self._half is not None:
            self._half.close()


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
        described = WrittenRaster(name, self._scratch / f"{name}.tif", bands, title, dict(style))
        rows, cols = self._grid.shape.yx
        affine = self._grid.affine
        profile = {"count": len(bands), "dtype": dtype, "nodata": nodata, "crs": "EPSG:4490", **creation_options()}
        dataset = rasterio.open(described.path, "w", height=rows, width=cols, transform=affine, **profile)
        half = None
        if max(rows, cols) > TILE:
            size = {"height": -(-rows // 2), "width": -(-cols // 2)}
            half = rasterio.open(described.half, "w", transform=affine @ affine.scale(2), **size, **profile)
        for index, band in enumerate(bands, start=1):
            dataset.set_band_description(index, band.name)
            if band.unit:
                dataset.set_band_unit(index, band.unit)
        self._open[name] = _BlockRaster(dataset, half, nodata, described)
        return self._open[name]

    def close(self) -> list[WrittenRaster]:
        """Close every raster; they can be read now."""
        for raster in self._open.values():
            raster.close()
        return [raster.described for raster in self._open.values()]
