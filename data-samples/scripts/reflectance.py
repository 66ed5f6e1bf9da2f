"""Two synthetic scenes (合成的地表反射率), 2019 and 2024, with training polygons and a reference sample; seed 42.

No open surface reflectance of Hubei can be shipped. The window east of Wuhan (0.25°, 3″) is drawn from the synthetic land
use: borders bent by noise, spectra of the right order of magnitude, fields that differ from each other, a sensor that blurs
and adds noise, and clouds as no data. Between the two years some cropland becomes town and some polder becomes lake again.
"""

from __future__ import annotations

import zlib
from functools import cache

import geopandas as gpd
import numpy as np
import rasterio
import rasterio.features
import shapely
from land_use import BARE, DRYLAND, GRASS, ORCHARD, PADDY, SHRUB, TOWN, WATER, WETLAND
from sample_files import SAMPLES, write_features, write_raster
from sample_grid import SEED, Grid, stepped
from scipy import ndimage

CELL = 1 / 1200
"""3″ in degrees."""
GRID = Grid(rasterio.Affine(CELL, 0, 114.5, 0, -CELL, 30.7), 300, 300)
BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
SPECTRA = {
    1: (0.040, 0.070, 0.050, 0.340, 0.150, 0.070),
    2: (0.065, 0.095, 0.095, 0.290, 0.270, 0.175),
    3: (0.045, 0.075, 0.055, 0.320, 0.215, 0.115),
    4: (0.024, 0.050, 0.028, 0.410, 0.165, 0.065),
    5: (0.020, 0.035, 0.025, 0.230, 0.095, 0.042),
    6: (0.022, 0.042, 0.027, 0.310, 0.128, 0.054),
    7: (0.030, 0.062, 0.040, 0.390, 0.215, 0.095),
    8: (0.040, 0.064, 0.056, 0.265, 0.205, 0.115),
    9: (0.050, 0.088, 0.074, 0.340, 0.320, 0.195),
    10: (0.050, 0.062, 0.045, 0.025, 0.012, 0.008),
    11: (0.045, 0.066, 0.056, 0.165, 0.085, 0.042),
    12: (0.120, 0.140, 0.150, 0.210, 0.240, 0.210),
    13: (0.140, 0.190, 0.230, 0.290, 0.370, 0.330),
}
"""Class → reflectance of the six bands in summer: orders of magnitude of such surfaces, of no measured field."""
SPREAD = {TOWN: 0.20, BARE: 0.08, WATER: 0.10, WETLAND: 0.14}
"""Standard deviation of the brightness from place to place, as a share; 0.07 for plants."""
GAIN = {2019: 1.0, 2024: 1.03}
"""Brightness of the whole scene: no two dates are alike."""
CLOUDS = {2019: 0.025, 2024: 0.035}
"""Share of the cells without data."""
QUARRY = (114.7010, 30.5010, 0.9)
"""Longitude, latitude and radius (km) of the only bare land."""
RESTORED = (114.6300, 30.6500, 2.0)
"""Where a polder becomes lake again: longitude, latitude, radius (km)."""
GROWTH_KM2 = 22.0
POLYGONS, CHANGED_POLYGONS = 9, 3
"""Training polygons of a class that stayed, and of a change."""
REFERENCE_UNITS = 900


def _drawn() -> np.ndarray:
    """Land use of the 30″ grid with bent borders; fields and orchards told apart at the scale of a village."""
    with rasterio.open(SAMPLES / "base" / "land-use.tif") as dataset:
        use, transform = dataset.read(1), dataset.transform
    bend = 0.45 / 120 * np.stack([GRID.noise(f"scene-bend-{k}", 0.5) for k in "xy"])
    row = (GRID.lat + bend[0] - transform.f) / transform.e
    col = (GRID.lon + bend[1] - transform.c) / transform.a
    drawn = use[np.floor(row).astype(int), np.floor(col).astype(int)].astype(int)
    village = GRID.noise("scene-village", 0.6)
    drawn[(drawn == PADDY) & (village > 0.9)] = DRYLAND
    drawn[np.isin(drawn, [SHRUB, GRASS]) & (GRID.noise("scene-orchard", 0.6) > 1.2)] = ORCHARD
    drawn[drawn == BARE] = SHRUB
    drawn[_disc(QUARRY)] = BARE
    return drawn


def _disc(place: tuple[float, float, float]) -> np.ndarray:
    lon, lat, km = place
    return GRID.near(lon, lat, km) * np.exp(0.15 * GRID.noise("scene-disc", 0.4)) > np.exp(-0.5)


@cache
def land_cover() -> dict[int, np.ndarray]:
    """True class of each cell by year: what a perfect interpreter would say."""
    before = _drawn()
    after = before.copy()
    crops = np.isin(before, [PADDY, DRYLAND])
    after[crops & _disc(RESTORED)] = WATER
    score = -GRID.distance_km(before == TOWN) / 1.5 + 0.5 * GRID.noise("scene-growth", 0.7)
    order = np.flatnonzero(crops & (after == before))
    order = order[np.argsort(-score.ravel()[order], kind="stable")]
    covered = np.cumsum(GRID.area.ravel()[order])
    after.ravel()[order[: int(np.searchsorted(covered, GROWTH_KM2))]] = TOWN
    return {2019: before, 2024: after}


def clouds(year: int) -> np.ndarray:
    """Cells without data."""
    field = GRID.noise(f"scene-cloud-{year}", 0.9)
    return field > np.quantile(field, 1 - CLOUDS[year])


def _scene(year: int) -> np.ndarray:
    """Reflectance float32 (6, rows, columns), -9999 under clouds; multiples of 1/1024 that a float32 holds exactly."""
    cover = land_cover()[year]
    spread = np.full(14, 0.07)
    spread[list(SPREAD)] = list(SPREAD.values())
    # Water near and far from the shore, young and old stands: brightness varies within a class, and so does greenness.
    bright = np.exp(spread[cover] * GRID.noise(f"scene-bright-{year}", 0.25))
    green = 0.07 * GRID.noise(f"scene-green-{year}", 0.35)
    roofs = np.random.default_rng([SEED, zlib.crc32(f"scene-roofs-{year}".encode())]).standard_normal(GRID.shape)
    bright = bright * np.where(cover == TOWN, np.exp(0.12 * roofs), 1.0)
    table = np.array([SPECTRA.get(code, (0,) * 6) for code in range(14)])
    random = np.random.default_rng([SEED, zlib.crc32(f"scene-noise-{year}".encode())])
    bands = []
    for index, name in enumerate(BANDS):
        values = table[cover, index] * bright * GAIN[year]
        if name == "nir":
            values = values * np.exp(np.where(cover == WATER, 0.0, green))
        # The sensor sees a little of the neighbours, then adds its own noise.
        seen = ndimage.gaussian_filter(values, 0.55, mode="nearest")
        seen = seen * (1 + 0.025 * random.standard_normal(GRID.shape)) + 0.003 * random.standard_normal(GRID.shape)
        bands.append(stepped(seen, 1 / 1024, 1 / 1024, 1))
    values = np.stack(bands)
    values[:, clouds(year)] = -9999
    return values


def surface_reflectance() -> None:
    """Both scenes."""
    for name, year in (("surface-reflectance", 2019), ("surface-reflectance-2024", 2024)):
        write_raster(f"base/{name}", _scene(year), GRID.transform, -9999, list(BANDS))


def _polygons(pure: np.ndarray, wanted: int, random: np.random.Generator, taken: np.ndarray) -> list[shapely.Geometry]:
    """Up to `wanted` blobs of 3 to 6 cells' radius inside a mask, apart from each other and from those taken."""
    found: list[shapely.Geometry] = []
    row, col = np.indices(GRID.shape)
    for cell in random.permutation(np.flatnonzero(pure)):
        if len(found) == wanted:
            break
        r, c = divmod(int(cell), GRID.cols)
        disc = (row - r) ** 2 + (col - c) ** 2 <= random.uniform(3, 6) ** 2
        parts, _ = ndimage.label(pure & disc)
        blob = parts == parts[r, c]
        if blob.sum() < 12 or (blob & taken).any():
            continue
        shapes = rasterio.features.shapes(blob.astype("uint8"), mask=blob, transform=GRID.transform)
        outline = shapely.geometry.shape(next(shapes)[0])
        # Hand-drawn outlines follow no cells, and do not leave the class.
        drawn = outline.simplify(1.2 * CELL).intersection(outline)
        found.append(max(getattr(drawn, "geoms", [drawn]), key=lambda part: part.area))
        taken |= ndimage.binary_dilation(blob, iterations=4)
    return found


def landcover_samples() -> None:
    """Training polygons where the class is pure, spread over the window; of bare land there is one only."""
    before, after = land_cover().values()
    random = np.random.default_rng([SEED, zlib.crc32(b"landcover-samples")])
    rows, taken = [], np.zeros(GRID.shape, bool)
    for pair in np.unique(before * 100 + after).tolist():
        first, second = divmod(pair, 100)
        pure = ndimage.binary_erosion(before * 100 + after == pair, iterations=1)
        wanted = 1 if first == BARE else POLYGONS if first == second else CHANGED_POLYGONS
        rows += [(first, second, shape) for shape in _polygons(pure, wanted, random, taken)]
    frame = gpd.GeoDataFrame(
        {
            "polygon": np.arange(1, len(rows) + 1),
            "class": [row[0] for row in rows],
            "class_2024": [row[1] for row in rows],
        },
        geometry=[row[2] for row in rows],
        crs=4490,
    )
    write_features("base/landcover-samples", frame)


def landcover_reference() -> None:
    """A simple random sample of cells without replacement, each with its true class in both years."""
    before, after = land_cover().values()
    random = np.random.default_rng([SEED, zlib.crc32(b"landcover-reference")])
    cell = np.sort(random.choice(before.size, REFERENCE_UNITS, replace=False))
    row, col = np.divmod(cell, GRID.cols)
    frame = gpd.GeoDataFrame(
        {
            "unit": np.arange(1, cell.size + 1),
            "class": before.ravel()[cell],
            "class_2024": after.ravel()[cell],
        },
        geometry=shapely.points(GRID.lon[0][col], GRID.lat[:, 0][row]),
        crs=4490,
    )
    write_features("base/landcover-reference", frame)


STEPS = (surface_reflectance, landcover_samples, landcover_reference)
