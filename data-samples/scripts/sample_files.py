"""Reading the reference data and writing sample files, the same bytes at each run."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely

SAMPLES = Path(__file__).resolve().parents[1]
REFERENCE = Path(os.environ.get("ONEMAP_REFERENCE_DATA") or SAMPLES.parents[1] / "shared" / "data") / "hubei"
STAMP = "2026-11-22T00:00:00.000Z"
"""Time written into GeoPackages, so that their checksum depends on their content only."""


def read_reference(path: str, layer: str | None = None) -> gpd.GeoDataFrame:
    """Features of the reference pack, relabelled to EPSG:4490 (WGS 84 and CGCS2000 differ by less than a metre)."""
    return gpd.read_file(REFERENCE / path, layer=layer).set_crs(4490, allow_override=True)


def read_reference_raster(path: str) -> tuple[np.ndarray, rasterio.Affine, float | None]:
    """All bands, the transform and the nodata value of a raster of the reference pack."""
    with rasterio.open(REFERENCE / path) as dataset:
        return dataset.read(), dataset.transform, dataset.nodata


def write_features(name: str, frame: gpd.GeoDataFrame, *, digits: int = 6) -> Path:
    """Write ``data-samples/<name>.gpkg`` with one layer named after the file; coordinates rounded to `digits` of a degree."""
    path = SAMPLES / f"{name}.gpkg"
    path.unlink(missing_ok=True)
    geometry = shapely.transform(np.asarray(frame.geometry.array), lambda xy: np.round(xy, digits))
    broken = ~shapely.is_valid(geometry)
    geometry[broken] = shapely.make_valid(geometry[broken], method="structure", keep_collapsed=False)
    frame = frame.set_geometry(gpd.GeoSeries(geometry, index=frame.index, crs=4490))
    frame.to_file(path, driver="GPKG", layer=path.stem, engine="pyogrio")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE gpkg_contents SET last_change = ?", (STAMP,))
        connection.execute("DELETE FROM gpkg_ogr_contents WHERE 0")
    with sqlite3.connect(path) as connection:
        connection.isolation_level = None
        connection.execute("VACUUM")
    return path


def write_raster(
    name: str, values: np.ndarray, transform: rasterio.Affine, nodata: float, descriptions: list[str] | None = None
) -> Path:
    """Write ``data-samples/<name>.tif`` (bands, rows, columns), deflate, EPSG:4490."""
    path = SAMPLES / f"{name}.tif"
    values = values if values.ndim == 3 else values[np.newaxis]
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=values.shape[0],
        height=values.shape[1],
        width=values.shape[2],
        dtype=values.dtype,
        crs="EPSG:4490",
        transform=transform,
        nodata=nodata,
        compress="deflate",
        predictor=3 if values.dtype.kind == "f" else 2,
        tiled=True,
        blockxsize=256,
        blockysize=256,
    ) as dataset:
        dataset.write(values)
        for index, text in enumerate(descriptions or [], start=1):
            dataset.set_band_description(index, text)
    return path
