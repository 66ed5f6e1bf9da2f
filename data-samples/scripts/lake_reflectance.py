"""A synthetic scene of East Lake in Wuhan (合成的东湖水色影像): two kinds of reflectance, water map, plants; seed 42.

Only the outline is real (``base/lakes.gpkg``). Chlorophyll falls from the south-western bays to the open lake; a bloom lies in
one bay, plants in another, a cloud with its shadow over the middle. Orders of magnitude are right; it is from no satellite.
"""

from __future__ import annotations

import zlib

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.features import rasterize
from sample_files import SAMPLES, write_raster
from scipy import ndimage

SEED = 42
CELL = 2 / 3600
WEST, NORTH, ROWS, COLS = 114.36, 30.604, 152, 216
BLOOM = (114.385, 30.545, 0.006)
PLANTS = (114.3785, 30.5605, 0.0035)
CLOUD = (114.420, 30.560, 0.006)
"""Longitude, latitude and radius in degrees of latitude."""
WATER_BANDS = ("coastal", "blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir08")
RAYLEIGH_BANDS = ("red", "rededge2", "nir08", "swir1")
LAND = {
    "coastal": 0.05,
    "blue": 0.06,
    "green": 0.09,
    "red": 0.08,
    "rededge1": 0.13,
    "rededge2": 0.22,
    "rededge3": 0.26,
    "nir08": 0.28,
    "swir1": 0.20,
}


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def _smooth(name: str, sigma: float) -> np.ndarray:
    """A smooth field with mean 0 and standard deviation 1."""
    field = ndimage.gaussian_filter(_random(name).normal(size=(ROWS, COLS)), sigma)
    return (field - field.mean()) / field.std()


def _spot(place: tuple[float, float, float]) -> np.ndarray:
    """1 inside the circle with a ragged rim, bool."""
    lon, lat, radius = place
    x = WEST + (np.arange(COLS) + 0.5) * CELL
    y = NORTH - (np.arange(ROWS) + 0.5) * CELL
    distance = np.hypot((x[np.newaxis, :] - lon) * np.cos(np.radians(lat)), y[:, np.newaxis] - lat)
    return distance < radius * (1 + 0.25 * _smooth(f"rim-{lon}", 3))


def lake_reflectance() -> None:
    """Three rasters on one grid of 2″."""
    affine = rasterio.Affine(CELL, 0, WEST, 0, -CELL, NORTH)
    lakes = gpd.read_file(SAMPLES / "base" / "lakes.gpkg")
    water = rasterize(lakes.geometry, (ROWS, COLS), transform=affine, dtype="uint8").astype(bool)
    bloom, plants, cloud = (_spot(place) & keep for place, keep in ((BLOOM, water), (PLANTS, water), (CLOUD, True)))
    shadow = np.roll(cloud, (9, -7), axis=(0, 1)) & ~cloud
    slope = np.linspace(0.9, -0.7, COLS)[np.newaxis, :] + np.linspace(-0.3, 0.5, ROWS)[:, np.newaxis]
    chl = np.exp(np.log(22.0) + 0.55 * slope + 0.18 * _smooth("chl", 5))
    tsm = np.exp(np.log(14.0) + 0.25 * _smooth("tsm", 7))
    # Brightness follows sediment, the ratio 704 to 665 nm chlorophyll.
    red = 0.0016 * tsm
    ndci = 0.075 * np.log(chl / 9.0)
    rho = {
        "coastal": 0.55 * red / (1 + 0.02 * chl),
        "blue": 0.75 * red / (1 + 0.015 * chl),
        "green": 1.45 * red,
        "red": red,
        "rededge1": red * (1 + ndci) / (1 - ndci),
        "rededge2": 0.42 * red,
        "rededge3": 0.40 * red,
        "nir08": 0.30 * red,
    }
    rho["swir1"] = np.full((ROWS, COLS), 0.001)
    for name in rho:
        rho[name] = rho[name] * (1 + _random(f"noise-{name}").normal(0, 0.015, (ROWS, COLS)))
        rho[name] = np.where(water, rho[name], LAND[name] * np.exp(0.12 * _smooth(f"land-{name}", 1.5)))
    rho["rededge1"] = np.where(bloom, 0.055, rho["rededge1"])
    rayleigh = {name: rho[name] + np.where(water, 0.012, 0.004) for name in RAYLEIGH_BANDS}
    for where, near in ((bloom, 0.14), (plants, 0.24)):
        rayleigh["nir08"] = np.where(where, near, rayleigh["nir08"])
        rayleigh["rededge2"] = np.where(where, 0.8 * near, rayleigh["rededge2"])
        rayleigh["swir1"] = np.where(where, 0.04, rayleigh["swir1"])
        rayleigh["red"] = np.where(where, 0.035, rayleigh["red"])
    codes = np.where(water, 1, 0).astype("uint8")
    codes[bloom | plants] = 3
    codes[cloud | shadow] = 253
    for name, bands, values in (
        ("lake-water-reflectance", WATER_BANDS, rho),
        ("lake-rayleigh-reflectance", RAYLEIGH_BANDS, rayleigh),
    ):
        stack = np.stack([np.where(cloud, 0.45, values[band]) for band in bands])
        stored = np.round(stack * 4096) / 4096  # steps finer than the noise keep the file small
        write_raster(f"base/{name}", stored.astype("float32"), affine, -9999.0, list(bands))
    write_raster("base/lake-water-map", codes, affine, 255, ["class"])
    write_raster("base/lake-macrophytes", plants.astype("uint8"), affine, 255, ["plants"])


STEPS = (lake_reflectance,)
