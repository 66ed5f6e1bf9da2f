"""Rasters as georeferenced `xarray.DataArray`, for people who work in Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import xarray

__all__ = ["open_cog"]


def open_cog(
    path: Path,
    *,
    name: str,
    bbox: tuple[float, float, float, float] | None = None,
    crs: str | None = None,
    resolution: float | None = None,
    categorical: bool = False,
) -> xarray.DataArray:
    """A GeoTIFF, or a part of it, as a DataArray with `odc.geo` georeference.

    Parameters
    ----------
    path : Path
    name : str
        Name of the array.
    bbox : four floats, optional
        West, south, east, north, degrees (CRS84); the cells that it touches.
    crs : str, optional
        Target CRS, for example ``EPSG:4547``; default the file's.
    resolution : float, optional
        Cell size in units of the target CRS; default close to the file's.
    categorical : bool
        Resample classes by nearest cell; other values bilinear (mean where the target is much coarser).

    Returns
    -------
    xarray.DataArray
        (y, x) or (band, y, x). Nodata is NaN for floating-point files, else kept and named in ``attrs["nodata"]``.
    """
    import numpy as np
    import odc.geo.xr  # noqa: F401 - registers the accessor
    import xarray as xr
    from odc.geo.geobox import GeoBox
    from odc.geo.xr import wrap_xr
    from rasterio.windows import Window

    from spatial.jobs.inputs import crop, window_of
    from spatial.store.raster import open_raster

    with open_raster(path) as dataset:
        full = GeoBox(dataset.shape, dataset.transform, dataset.crs)
        row, col, height, width = window_of(full, bbox)
        values = dataset.read(window=Window(col, row, width, height))
        nodata = dataset.nodata
        names = [d or f"band_{i}" for i, d in enumerate(dataset.descriptions, start=1)]
        units = list(dataset.units)
    if values.dtype.kind == "f" and nodata is not None:
        values = np.where(values == nodata, np.nan, values)
        nodata = float("nan")
    grid = crop(full, (row, col, height, width))
    arrays = []
    for index, band in enumerate(names):
        attrs: dict[str, Any] = {"units": units[index]} if units[index] else {}
        arrays.append(wrap_xr(values[index], grid, nodata=nodata, **attrs))
        arrays[-1].name = band
    array = arrays[0] if len(arrays) == 1 else xr.concat(arrays, dim=_bands(names))
    array.name = name
    if crs is not None or resolution is not None:
        options = {} if resolution is None else {"resolution": resolution}
        array = array.odc.reproject(crs or "EPSG:4490", resampling="nearest" if categorical else "bilinear", **options)
    return array


def _bands(names: list[str]) -> Any:
    import pandas as pd

    return pd.Index(names, name="band")
