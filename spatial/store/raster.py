"""Rasters (栅格): one cloud-optimised GeoTIFF (COG) per published version, in EPSG:4490 with an explicit nodata value."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.catalog import Layer
from spatial.errors import CRSMismatch, LayerEmpty, NodataMissing, QualityViolation, SourceUnreadable, StoreUnavailable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = [
    "SAFE_GDAL",
    "PublishedRaster",
    "cells_at",
    "open_raster",
    "opened_raster",
    "publish_cog",
    "published_file",
    "reading",
    "sample",
    "write_cog",
]

SAFE_GDAL: dict[str, Any] = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_SKIP": "VRT",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.tiff",
}
"""GDAL options for opening rasters: no directory listing and no file formats that name other files."""


@dataclass(frozen=True, slots=True)
class PublishedRaster:
    """One published version of a raster layer.

    Attributes
    ----------
    layer : Layer
    version : str
    path : Path
        The COG; EPSG:4490, north up.
    extent : tuple of 4 floats
        West, south, east, north, degrees.
    width, height : int
        Pixels.
    dtype : str
    nodata : float
        NaN is allowed for floating-point rasters.
    statistics : tuple of (min, max)
        One pair a band, of the valid pixels.
    """

    layer: Layer
    version: str
    path: Path
    extent: tuple[float, float, float, float]
    width: int
    height: int
    dtype: str
    nodata: float
    statistics: tuple[tuple[float, float], ...]

    @property
    def grid(self) -> GeoBox:
        """Grid of the pixels."""
        from affine import Affine
        from odc.geo.geobox import GeoBox

        west, south, east, north = self.extent
        affine = Affine((east - west) / self.width, 0, west, 0, -(north - south) / self.height, north)
        return GeoBox((self.height, self.width), affine, "EPSG:4490")

    def location(self) -> dict[str, Any]:
        """JSON-able form without the layer (NaN as text, because JSON has none)."""
        document = asdict(self) | {"path": self.path.name, "nodata": str(self.nodata)}
        del document["layer"], document["version"]
        return document


def opened_raster(path: Path) -> Any:
    """A GeoTIFF opened with safe GDAL options; the caller closes it.

    Raises
    ------
    SourceUnreadable
        If the file is missing, damaged or no GeoTIFF.
    """
    import rasterio
    from rasterio.errors import RasterioError

    with rasterio.Env(**SAFE_GDAL):
        try:
            return rasterio.open(path, driver="GTiff")
        except RasterioError as error:
            raise SourceUnreadable(
                f"栅格 {path.name} 无法读取（缺失、损坏或不是 GeoTIFF）",
                f"raster {path.name} cannot be read (missing, damaged or no GeoTIFF)",
                file=path.name,
            ) from error


@contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """Open a GeoTIFF with safe GDAL options for the block; errors as of `opened_raster`."""
    import rasterio

    with rasterio.Env(**SAFE_GDAL), opened_raster(path) as dataset:
        yield dataset


@contextmanager
def reading(raster: PublishedRaster) -> Iterator[None]:
    """While a published file is read: if it is gone or damaged the layer is out of service, and the caller is not to blame.

    Raises
    ------
    StoreUnavailable
        503, for this layer only.
    """
    from rasterio.errors import RasterioError

    try:
        yield
    except (SourceUnreadable, RasterioError) as error:
        raise _gone(raster) from error


def _gone(raster: PublishedRaster) -> StoreUnavailable:
    name = raster.layer.id
    return StoreUnavailable(
        f"图层 {name} 版本 {raster.version} 的栅格文件缺失或损坏，其他图层不受影响；请管理员恢复文件",
        f"the file of layer {name}, version {raster.version}, is missing or damaged; other layers are not affected; "
        "the operator must restore it",
        layer=name,
        version=raster.version,
    )


def published_file(raster: PublishedRaster) -> Path:
    """The stored COG, to be sent as it is.

    Raises
    ------
    StoreUnavailable
        The file is gone.
    """
    if not raster.path.is_file():
        raise _gone(raster)
    return raster.path


def publish_cog(layer: Layer, version: str, source: Path, folder: Path, *, ready: bool = False) -> PublishedRaster:
    """Check a GeoTIFF against its layer and write it as a COG, aside first and then renamed.

    Parameters
    ----------
    ready : bool
        `source` was made by `write_cog` for this layer: it is copied and not encoded again.

    Raises
    ------
    CRSMismatch, NodataMissing, LayerEmpty, QualityViolation, SourceUnreadable
        Each names the layer and the remedy; nothing is left behind.
    """
    with open_raster(source) as dataset:
        _check(layer, dataset)
        statistics = _statistics(layer, dataset)
        height, width = dataset.shape
        left, bottom, right, top = dataset.bounds
        dtype, nodata = dataset.dtypes[0], float(dataset.nodata)
    target = folder / layer.id / f"{version}.tif"
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_suffix(f".{os.getpid()}.tmp")
    try:
        if ready:
            shutil.copyfile(source, aside)
        else:
            write_cog(source, aside, classes=any(band.domain for band in layer.bands))
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    return PublishedRaster(layer, version, target, (left, bottom, right, top), width, height, dtype, nodata, statistics)


def _check(layer: Layer, dataset: Any) -> None:
    from pyproj import CRS

    found = None if dataset.crs is None else CRS.from_user_input(dataset.crs)
    declared = CRS.from_user_input(layer.crs)
    if found is None or not found.equals(declared, ignore_axis_order=True):
        name = "无 / none" if found is None else found.name
        raise CRSMismatch(
            f"图层 {layer.id} 的栅格坐标系为 {name}，声明为 {layer.crs}；请写入正确坐标系或改正声明",
            f"layer {layer.id}: the raster's CRS is {name}, declared {layer.crs}; write the right CRS or correct the layer",
            layer=layer.id,
        )
    if not declared.is_geographic:
        raise CRSMismatch(
            f"图层 {layer.id}：栅格须为 EPSG:4490 经纬度格网，请先重投影到运行格网",
            f"layer {layer.id}: rasters must lie on an EPSG:4490 grid; reproject it to the run's grid first",
            layer=layer.id,
        )
    if dataset.nodata is None:
        raise NodataMissing(
            f"图层 {layer.id} 的栅格没有 nodata 值；请用 gdal_edit.py -a_nodata 指定",
            f"layer {layer.id}: the raster has no nodata value; set one with gdal_edit.py -a_nodata",
            layer=layer.id,
        )
    if dataset.count != len(layer.bands):
        raise QualityViolation(
            f"图层 {layer.id} 声明 {len(layer.bands)} 个波段，文件有 {dataset.count} 个",
            f"layer {layer.id} declares {len(layer.bands)} bands, the file has {dataset.count}",
            layer=layer.id,
        )
    if dataset.transform.b or dataset.transform.d or dataset.transform.e >= 0:
        raise QualityViolation(
            f"图层 {layer.id} 的栅格须北向上且无旋转", f"layer {layer.id}: the raster must be north up", layer=layer.id
        )


def _statistics(layer: Layer, dataset: Any) -> tuple[tuple[float, float], ...]:
    """Minimum and maximum of each band by blocks; checks the declared valid range on the way."""
    result = []
    for index, band in enumerate(layer.bands, start=1):
        low, high = math.inf, -math.inf
        for _, window in dataset.block_windows(index):
            extremes = _extremes(dataset.read(index, window=window), dataset.nodatavals[index - 1])
            if extremes is not None:
                low, high = min(low, extremes[0]), max(high, extremes[1])
        if low > high:
            raise LayerEmpty(
                f"图层 {layer.id} 的波段 {band.name} 没有有效像元",
                f"layer {layer.id}: band {band.name} has no valid pixel",
                layer=layer.id,
            )
        if low < band.valid_range[0] or high > band.valid_range[1]:
            found, allowed = (
                f"{low:g}–{high:g}",
                f"{band.valid_range[0]:g}–{band.valid_range[1]:g} {band.unit or ''}".strip(),
            )
            raise QualityViolation(
                f"图层 {layer.id} 波段 {band.name} 的值 {found} 超出有效范围 {allowed}；请核对单位",
                f"layer {layer.id}: band {band.name} has {found}, outside {allowed}; check the unit",
                layer=layer.id,
            )
        result.append((low, high))
    return tuple(result)


def _extremes(values: NDArray[Any], nodata: float | None) -> tuple[float, float] | None:
    """Minimum and maximum of the finite values that are not nodata, or None."""
    import numpy as np

    if nodata is not None and not math.isnan(nodata):
        values = values[values != np.asarray(nodata).astype(values.dtype)]
    if values.size == 0:
        return None
    # fmin and fmax pass over NaN without a copy.
    low, high = float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))
    if math.isinf(low) or math.isinf(high):
        return _extremes(values[np.isfinite(values)], None)
    return None if math.isnan(low) else (low, high)


def write_cog(source: Path, target: Path, *, classes: bool) -> None:
    """Write a GeoTIFF as a COG in EPSG:4490 with overviews: most frequent class, or mean. Pixels stay as they are."""
    import rasterio
    from rasterio.shutil import copy

    with rasterio.Env(**SAFE_GDAL), rasterio.open(source, driver="GTiff") as dataset:
        # CGCS2000 and WGS 84 share coordinates below a metre: the label is changed, the numbers stay (null transform).
        copy(
            dataset,
            target,
            driver="COG",
            compress="ZSTD",  # read several times as fast as DEFLATE, and written faster
            level=1,
            predictor="YES",
            blocksize=512,
            num_threads="2",
            bigtiff="IF_SAFER",
            overview_resampling="MODE" if classes else "AVERAGE",
            target_srs="EPSG:4490",
            resampling="NEAREST",
        )


def cells_at(raster: PublishedRaster, lon: Any, lat: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Row, column and "inside" of points (EPSG:4490): the one rule of which cell holds a point.

    A point on the border of two cells belongs to the one east or south of it; the east and south edges of the raster lie
    outside, its west and north edges inside.

    Parameters
    ----------
    lon, lat : array_like of float, degrees, same shape

    Returns
    -------
    rows, columns : int64, inside : bool, each of the shape of `lon`
        Rows and columns of points outside mean nothing.
    """
    import numpy as np

    west, south, east, north = raster.extent
    lon, lat = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    inside = (west <= lon) & (lon < east) & (south < lat) & (lat <= north)
    x = np.where(inside, lon, west)
    y = np.where(inside, lat, north)
    cols = ((x - west) / (east - west) * raster.width).astype(np.int64)
    rows = ((north - y) / (north - south) * raster.height).astype(np.int64)
    return np.minimum(rows, raster.height - 1), np.minimum(cols, raster.width - 1), inside


def sample(raster: PublishedRaster, lon: float, lat: float) -> list[float | None]:
    """Value of every band at a point (EPSG:4490), None where nodata or outside; `cells_at` says which cell."""
    import numpy as np
    from rasterio.windows import Window

    row, col, inside = cells_at(raster, lon, lat)
    if not inside:
        return [None] * len(raster.layer.bands)
    with open_raster(raster.path) as dataset:
        values = dataset.read(window=Window(int(col), int(row), 1, 1), masked=True)[:, 0, 0]
    return [None if np.ma.is_masked(v) or not np.isfinite(v) else float(v) for v in values]
