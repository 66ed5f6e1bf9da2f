"""The sample grids and what the synthetic layers are made from: relief, climate, land cover and seeded noise.

Reads the sample files only, not the reference data, so that the synthetic layers can be made again from the repository.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cache, cached_property

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.features
from sample_files import SAMPLES
from scipy import ndimage

from spatial.units import cell_row_areas

SEED = 42


def read_features(name: str) -> gpd.GeoDataFrame:
    """Features of ``data-samples/<name>.gpkg``."""
    return gpd.read_file(SAMPLES / f"{name}.gpkg")


@cache
def _read(name: str) -> tuple[np.ndarray, rasterio.Affine]:
    with rasterio.open(SAMPLES / f"{name}.tif") as dataset:
        return dataset.read().astype(float), dataset.transform


def largest_remainder(weights: np.ndarray, total: int) -> np.ndarray:
    """Whole numbers in the proportion of `weights` that sum to `total` exactly (最大余数法); ties go to the first.

    >>> largest_remainder(np.array([1.0, 1.0, 1.0]), 100).tolist()
    [34, 33, 33]
    """
    quota = np.asarray(weights, float) / np.sum(weights) * total
    whole = np.floor(quota).astype(np.int64)
    order = np.argsort(-(quota - whole), kind="stable")
    whole[order[: total - int(whole.sum())]] += 1
    return whole


@dataclass(frozen=True)
class Grid:
    """A north-up grid in EPSG:4490: transform, rows and columns; x is longitude."""

    transform: rasterio.Affine
    rows: int
    cols: int

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows, self.cols

    @cached_property
    def lon(self) -> np.ndarray:
        """Longitude of the cell centres, one row."""
        return (self.transform.c + self.transform.a * (np.arange(self.cols) + 0.5))[None, :]

    @cached_property
    def lat(self) -> np.ndarray:
        """Latitude of the cell centres, one column."""
        return (self.transform.f + self.transform.e * (np.arange(self.rows) + 0.5))[:, None]

    @cached_property
    def area(self) -> np.ndarray:
        """Ellipsoidal area of the cells, km²."""
        rows = cell_row_areas(self.transform.f, -self.transform.e, self.transform.a, self.rows) / 1e6
        return np.broadcast_to(rows[:, None], self.shape)

    def noise(self, name: str, km: float) -> np.ndarray:
        """Smooth noise, mean 0 and variance 1, of the length scale `km`; its stream depends on the seed and `name` only."""
        random = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        cells = km / (111.0 * self.transform.a)
        field = ndimage.gaussian_filter(random.standard_normal(self.shape), cells, mode="reflect")
        return (field - field.mean()) / field.std()

    def sampled(self, name: str, band: int = 1, order: int = 1) -> np.ndarray:
        """A raster of ``data-samples`` at the cell centres: bilinear (`order` 1) or nearest (0)."""
        values, transform = _read(name)
        row = (self.lat - transform.f) / transform.e - 0.5
        col = (self.lon - transform.c) / transform.a - 0.5
        mesh = np.broadcast_arrays(row, col)
        return ndimage.map_coordinates(values[band - 1], mesh, order=order, mode="nearest")

    def averaged(self, fine: Grid, values: np.ndarray) -> np.ndarray:
        """Mean of the finer cells whose centre lies in each cell."""
        row = np.clip(np.floor((fine.lat - self.transform.f) / self.transform.e).astype(int), 0, self.rows - 1)
        col = np.clip(np.floor((fine.lon - self.transform.c) / self.transform.a).astype(int), 0, self.cols - 1)
        index = (row * self.cols + col).ravel()
        size = self.rows * self.cols
        total = np.bincount(index, np.asarray(values, float).ravel(), size)
        return (total / np.maximum(np.bincount(index, minlength=size), 1)).reshape(self.shape)

    def burned(self, geometries, values=None, touched: bool = False) -> np.ndarray:
        """Number of the geometry that holds each cell centre (`values`, else 1), 0 elsewhere."""
        numbers = np.ones(len(geometries), int) if values is None else values
        return rasterio.features.rasterize(
            [(g, int(v)) for g, v in zip(geometries, numbers, strict=True)],
            self.shape,
            transform=self.transform,
            dtype="int32",
            all_touched=touched,
        )

    def near(self, lon: float, lat: float, km: float) -> np.ndarray:
        """Gaussian bell of the standard deviation `km` about a point."""
        x = (self.lon - lon) * 111.32 * np.cos(np.radians(lat))
        return np.exp(-0.5 * ((x / km) ** 2 + ((self.lat - lat) * 111.0 / km) ** 2))

    def distance_km(self, mask: np.ndarray) -> np.ndarray:
        """Distance to the nearest true cell, km, at the scale of 31° N."""
        sampling = (111.0 * -self.transform.e, 111.32 * np.cos(np.radians(31.0)) * self.transform.a)
        return ndimage.distance_transform_edt(~mask, sampling=sampling)


def coarse_grid(cell: float) -> Grid:
    """The window of the sample land cover in cells of `cell` degrees."""
    origin = rasterio.Affine(cell, 0, 108.2, 0, -cell, 33.4)
    return Grid(origin, round(4.5 / cell), round(8.1 / cell))


@cache
def fine_grid() -> Grid:
    """The 30″ grid of the elevation model."""
    values, transform = _read("base/dem")
    return Grid(transform, *values.shape[1:])


@cache
def elevation() -> np.ndarray:
    """Elevation on the 30″ grid, m."""
    return _read("base/dem")[0][0]


@cache
def slope() -> np.ndarray:
    """Slope on the 30″ grid, degrees, by central differences in metres."""
    grid = fine_grid()
    dy = 111_000 * -grid.transform.e
    dx = 111_320 * np.cos(np.radians(grid.lat)) * grid.transform.a
    north_south, west_east = np.gradient(elevation())
    return np.degrees(np.arctan(np.hypot(north_south / dy, west_east / dx)))


@cache
def counties() -> gpd.GeoDataFrame:
    """County-level units in the order of their codes."""
    return read_features("base/counties").sort_values("code").reset_index(drop=True)


@cache
def county_numbers() -> np.ndarray:
    """1, 2, 3 … of the county (order of the codes) on the 30″ grid, 0 outside the province."""
    frame = counties()
    return fine_grid().burned(frame.geometry, np.arange(1, len(frame) + 1))


@cache
def water_cells() -> np.ndarray:
    """Cells of lakes, of the Yangtze and Han and of the land-cover class water, 30″."""
    grid = fine_grid()
    lakes = grid.burned(read_features("base/lakes").geometry) > 0
    rivers = grid.burned(read_features("thematic/yangtze-han").geometry) > 0
    return lakes | rivers | (grid.sampled("base/landcover", order=0) == 0)


def stepped(values: np.ndarray, step: float, low: float, high: float) -> np.ndarray:
    """Values rounded to a step and kept in a range, float32; no negative zero."""
    return (np.clip(np.round(np.asarray(values) / step) * step, low, high) + 0.0).astype("float32")
