"""Synthetic geological hazards (合成的地质灾害): susceptibility classes and landslide points; seed 42.

One intensity serves both: slope × relief × rain × nearness of rivers, strongest in the Three Gorges and Enshi. Active
faults, ground motion and subsidence are left out on purpose: nothing open gives them, and they stay «not assessed».
"""

from __future__ import annotations

import zlib

import geopandas as gpd
import numpy as np
import shapely
from sample_files import write_features, write_raster
from sample_grid import SEED, counties, county_numbers, elevation, fine_grid, read_features, slope, water_cells
from scipy import ndimage

SHARES = (0.015, 0.055, 0.11, 0.17)
"""Share of the province in class 1 极高, 2 高, 3 较高, 4 中; the rest is 5 低."""
POINTS = 900
KINDS = (("landslide", 0.74), ("rockfall", 0.17), ("debris_flow", 0.09))
SIZES = (("small", 0.66), ("medium", 0.26), ("large", 0.08))


def intensity() -> np.ndarray:
    """Relative intensity of landslides on the 30″ grid, 0 on flat land and on water."""
    grid = fine_grid()
    steep = np.clip(slope() - 2.0, 0, 25) / 10
    height = elevation()
    relief = ndimage.maximum_filter(height, 5, mode="nearest") - ndimage.minimum_filter(height, 5, mode="nearest")
    rain = sum(grid.sampled("base/rain-monthly", band=month) for month in range(4, 11))
    rivers = grid.burned(read_features("base/rivers").geometry, touched=True) > 0
    near = 1 / (1 + grid.distance_km(rivers | water_cells()) / 4.0)
    region = (
        0.25 + 1.3 * grid.near(110.4, 31.0, 55) + 0.9 * grid.near(109.6, 30.2, 75) + 0.35 * grid.near(110.5, 32.4, 60)
    )
    # Landslides sit on the lower slopes: valleys are more exposed than ridges.
    low = ndimage.percentile_filter(height, 20, 9, mode="nearest")
    lower = np.clip(1.25 - (height - low) / 700, 0.35, 1.25)
    field = steep * np.clip(relief / 300, 0, 2.5) ** 0.5 * (rain / 900) ** 1.5 * near * region * lower
    return np.where(water_cells(), 0.0, field * np.exp(0.45 * grid.noise("geohazard", 3.0)))


def geohazard() -> None:
    """Classes by the share of the province that each takes, highest intensity first."""
    grid, field, inside = fine_grid(), intensity(), county_numbers() > 0
    smooth = ndimage.gaussian_filter(field, 0.8)
    order = np.argsort(-smooth[inside], kind="stable")
    covered = np.cumsum(grid.area[inside][order]) / grid.area[inside].sum()
    edges = smooth[inside][order][np.searchsorted(covered, np.cumsum(SHARES))]
    classes = np.full(grid.shape, 5, "uint8")
    for code in (4, 3, 2, 1):
        classes[smooth >= edges[code - 1]] = code
    write_raster("thematic/geohazard", classes, grid.transform, 0, ["susceptibility"])


def hazard_points() -> None:
    """Inhomogeneous Poisson points of the intensity, conditioned on their number; kind and size drawn by fixed shares."""
    grid, number = fine_grid(), county_numbers()
    random = np.random.default_rng([SEED, zlib.crc32(b"hazard-points")])
    weight = np.where(number > 0, intensity() * grid.area, 0.0).ravel()
    cell = np.sort(random.choice(weight.size, POINTS, p=weight / weight.sum()))
    row, col = np.divmod(cell, grid.cols)
    # A little inside the cell, so that a point at the border of the province keeps its county.
    lon = grid.transform.c + grid.transform.a * (col + random.uniform(0.05, 0.95, POINTS))
    lat = grid.transform.f + grid.transform.e * (row + random.uniform(0.05, 0.95, POINTS))
    points = shapely.points(np.round(lon, 6), np.round(lat, 6))
    frame = counties()
    which, found = shapely.STRtree(frame.geometry.to_numpy()).query(points, predicate="intersects")
    home = np.full(POINTS, -1)
    home[which] = found
    kept = home >= 0

    def drawn(table: tuple[tuple[str, float], ...]) -> np.ndarray:
        return random.choice([k for k, _ in table], POINTS, p=[p for _, p in table])

    result = gpd.GeoDataFrame(
        {
            "kind": drawn(KINDS)[kept],
            "size": drawn(SIZES)[kept],
            "county": frame.code.to_numpy()[home[kept]],
            "county_name": frame["name"].to_numpy()[home[kept]],
        },
        geometry=points[kept],
        crs=4490,
    )
    result.insert(0, "code", np.arange(1, len(result) + 1))
    write_features("thematic/hazard-points", result)


STEPS = (geohazard, hazard_points)
