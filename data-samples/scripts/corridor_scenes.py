"""A synthetic stretch of the Yangtze at Wuhan (合成的武汉江段影像): optical and radar scenes with planted truth; seed 42.

The water surface, the management range and the shore of Donghu are those of the sample layers; everything on them is made:
a bank, a level that goes with the season, plants, fields, paddies, the disturbances of the four kinds (乱占、乱采、乱堆、乱建),
some with a permit, some outside the range, some too small, one that is taken away again, clouds; ships that pass, ships that
stay at one place, a pontoon; nets (围网) in a corner of the lake.

    python data-samples/scripts/corridor_scenes.py FOLDER

makes the collections ``corridor-scenes`` (optical, 10 m) and ``corridor-radar`` (VV, VH), each with ``truth.json``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine
from scipy import ndimage

SEED = 42
SAMPLES = Path(__file__).resolve().parents[1]
CELL = 1 / 3600 / 3
FINE = 3
"""Parts of a cell's side on which shores and plots are drawn."""
BOX = (114.300, 30.580, 114.400, 30.642)
BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
SCALE, STEP = 1e-4, 40
SPECTRA: dict[str, tuple[float, ...]] = {
    "river": (0.070, 0.100, 0.095, 0.060, 0.020, 0.014),
    "lake": (0.050, 0.070, 0.055, 0.032, 0.014, 0.010),
    "beach": (0.085, 0.110, 0.140, 0.190, 0.250, 0.220),
    "bare": (0.080, 0.105, 0.135, 0.200, 0.280, 0.235),
    "forest": (0.030, 0.055, 0.038, 0.320, 0.150, 0.070),
    "grass": (0.045, 0.075, 0.060, 0.300, 0.200, 0.110),
    "straw": (0.075, 0.095, 0.115, 0.170, 0.240, 0.190),
    "paddy": (0.050, 0.070, 0.060, 0.070, 0.045, 0.030),
    "town": (0.120, 0.130, 0.140, 0.185, 0.235, 0.205),
    "sand": (0.180, 0.220, 0.265, 0.310, 0.390, 0.350),
    "mud": (0.040, 0.050, 0.057, 0.075, 0.090, 0.065),
    "net": (0.070, 0.105, 0.085, 0.160, 0.080, 0.050),
    "cloud": (0.420, 0.420, 0.430, 0.450, 0.360, 0.280),
}
"""Reflectance of the right order of magnitude; from no satellite."""


def _day(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 3, 0, tzinfo=UTC)


OPTICAL = tuple(
    _day(*when)
    for when in (
        (2023, 2, 6), (2023, 5, 12), (2023, 7, 28), (2023, 10, 19), (2023, 12, 15), (2024, 2, 20),
        (2024, 5, 18), (2024, 8, 3), (2024, 10, 12), (2024, 11, 21), (2025, 1, 30), (2025, 4, 28),
    )
)  # fmt: skip
"""The first six are the year before."""
CLOUD = {1: 0.15, 3: 0.25, 6: 0.30, 7: 0.20, 9: 0.35, 10: 0.10}
RADAR = tuple(datetime(2024, 8, 6, 10, 30, tzinfo=UTC) + timedelta(days=12 * k) for k in range(12))
RIVER_LEVELS = (13.2, 17.0, 22.6, 17.8, 14.4, 13.9, 18.3, 23.4, 16.9, 14.0, 12.6, 16.2)
"""Level of the river on the optical dates, m; 2025-01-30 lies below all of the year before, 2024-08-03 above."""


@dataclass(frozen=True)
class Plot:
    """A planted disturbance (植入的扰动)."""

    id: str
    kind: str
    cover: str
    """What it looks like afterwards."""
    bank: float
    """Position along the river's right (positive) or left bank, share of the window's length 0–1, sign = bank."""
    aside_m: float
    """Distance of its middle from the bank line, landwards positive."""
    hectares: float
    since: date
    until: date | None = None
    expected: str = "found"
    """found, unconfirmed, or why not: small, outside, removed, seasonal (bare in winter anyway)."""
    permit: str = "none"
    """none, permitted, expired."""


PLOTS = (
    Plot("B1", "building", "town", 0.20, 250, 1.2, date(2024, 4, 1)),
    Plot("B2", "building", "town", -0.69, 300, 0.45, date(2024, 4, 1)),
    Plot("B3", "building", "town", 0.36, 260, 0.8, date(2024, 4, 1), permit="permitted"),
    Plot("B4", "building", "town", -0.48, 280, 0.6, date(2024, 7, 10), permit="expired"),
    Plot("B5", "building", "town", 0.52, -170, 0.4, date(2024, 4, 1)),
    Plot("D1", "dumping", "sand", -0.36, 240, 0.5, date(2024, 4, 1)),
    Plot("D2", "dumping", "sand", 0.62, 300, 0.3, date(2024, 7, 10)),
    Plot("O1", "occupation", "bare", 0.74, -180, 2.0, date(2024, 4, 1)),
    Plot("O2", "occupation", "bare", -0.62, 320, 1.0, date(2024, 4, 1)),
    Plot("E1", "extraction", "mud", -0.76, 290, 0.9, date(2024, 4, 1)),
    Plot("E1s", "extraction", "sand", -0.7765, 290, 0.3, date(2024, 4, 1)),
    Plot("E2", "extraction", "mud", 0.86, 280, 0.4, date(2024, 7, 10)),
    Plot("X1", "building", "town", 0.44, 900, 2.0, date(2024, 4, 1), expected="outside"),
    Plot("X2", "dumping", "sand", -0.42, 300, 0.05, date(2024, 4, 1), expected="small"),
    Plot("X3", "dumping", "sand", 0.28, 300, 0.5, date(2024, 9, 20), date(2024, 10, 30), expected="removed"),
    Plot("X4", "occupation", "bare", -0.87, 280, 0.8, date(2024, 4, 1), expected="seasonal"),
    Plot("U1", "dumping", "sand", -0.55, 270, 0.6, date(2025, 3, 1), expected="unconfirmed"),
)


@dataclass(frozen=True)
class Ship:
    """A ship that stays (驻留船只), or a pontoon: on which radar dates, and how far it drifts."""

    id: str
    along: float
    across: float
    """Position in the river, 0 = left bank, 1 = right bank."""
    dates: tuple[int, ...]
    drift_m: float
    length_m: float = 70.0


SHIPS = (
    Ship("S1", 0.25, 0.35, (1, 2, 3, 4, 5, 6), 25),
    Ship("S2", 0.55, 0.60, (4, 5, 6, 7), 30, 90),
    Ship("S3", 0.80, 0.30, (6, 7, 9, 10, 11), 25, 60),
    Ship("P1", 0.40, 0.85, tuple(range(12)), 2, 80),
)
PASSING = 6
"""Ships that pass, on each date."""


class Ground:
    """What lies still in the window, on the fine grid where shores matter."""

    def __init__(self) -> None:
        west, south, east, north = BOX
        col0, col1 = round(west / CELL), round(east / CELL)
        row0, row1 = round((90 - north) / CELL), round((90 - south) / CELL)
        self.rows, self.cols = row1 - row0, col1 - col0
        self.affine = Affine(CELL, 0, col0 * CELL, 0, -CELL, 90 - row0 * CELL)
        self.fine = self.affine @ Affine.scale(1 / FINE)
        self.lon_m = 111_320.0 * np.cos(np.deg2rad((south + north) / 2))
        self.lat_m = 110_900.0
        self.box = shapely.box(*BOX)
        rivers = gpd.read_file(SAMPLES / "thematic" / "yangtze-han.gpkg")
        lakes = gpd.read_file(SAMPLES / "base" / "lakes.gpkg")
        river = rivers[rivers["name"] == "长江"].geometry.iloc[0].intersection(self.box)
        self.river = max(shapely.get_parts(river), key=shapely.area)
        self.lake = lakes[lakes["name"] == "东湖"].geometry.iloc[0].intersection(self.box)
        size = (self.rows * FINE, self.cols * FINE)
        random = np.random.default_rng([SEED, 3])
        rough = ndimage.zoom(random.normal(0, 1, (size[0] // 60 + 2, size[1] // 60 + 2)), 60, order=1)
        rough = rough[: size[0], : size[1]].astype(np.float32)
        # Distance to the bank by cell, negative in the river; between the cells it is interpolated.
        inside = rasterize([self.river], (self.rows, self.cols), transform=self.affine, dtype="uint8").astype(bool)
        metres = (CELL * self.lat_m, CELL * self.lon_m)
        away = ndimage.distance_transform_edt(~inside, sampling=metres)
        away -= ndimage.distance_transform_edt(inside, sampling=metres)
        away = (away - np.sign(away) * sum(metres) / 4).astype(np.float32)
        fine = ndimage.zoom(away, FINE, order=1, mode="nearest", grid_mode=True)
        # The bank line is the mean water, 16 m; a beach of 1 : 25 on both sides of it, a dike far behind.
        self.height = 16.0 + np.clip(fine / 25, -12, 9) + 0.15 * rough
        self.height = self.height.astype(np.float32)
        self.near_river = away < 200
        self.lake_part = self._mean(self._burn(self.lake).astype(np.float32))
        self._land(random, away)
        self.plots = [(plot, self._plot(plot)) for plot in PLOTS]
        self.parts = [self._part(shape) for _, shape in self.plots]
        self.polder_part = self._part(self.polder)
        for (plot, _), part in zip(self.plots, self.parts, strict=True):
            ground = ndimage.uniform_filter(part, 7) > 1e-4
            ground &= self.use < 2
            self.use[ground] = 1 if plot.expected == "seasonal" else 0
        self.low = self._mean(self.height) < 19.5

    def _burn(self, shape: Any) -> np.ndarray:
        size = (self.rows * FINE, self.cols * FINE)
        return rasterize([shape], size, transform=self.fine, dtype="uint8").astype(bool)

    def _mean(self, fine: np.ndarray) -> np.ndarray:
        found = np.zeros((self.rows, self.cols), np.float32)
        for down in range(FINE):
            for right in range(FINE):
                found += fine[down::FINE, right::FINE]
        return found / np.float32(FINE * FINE)

    def _part(self, shape: Any) -> np.ndarray:
        """Share of each cell that a small polygon covers."""
        west, south, east, north = shape.bounds
        left, top = (int(v) for v in ~self.affine @ (west, north))
        right, bottom = (int(v) + 1 for v in ~self.affine @ (east, south))
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, self.cols), min(bottom, self.rows)
        found = np.zeros((self.rows, self.cols), np.float32)
        if left < right and top < bottom:
            size = ((bottom - top) * FINE, (right - left) * FINE)
            here = self.affine @ Affine.translation(left, top) @ Affine.scale(1 / FINE)
            fine = rasterize([shape], size, transform=here, dtype="uint8").astype(np.float32)
            found[top:bottom, left:right] = fine.reshape(bottom - top, FINE, right - left, FINE).mean(axis=(1, 3))
        return found

    def _land(self, random: np.random.Generator, away: np.ndarray) -> None:
        shape = (self.rows, self.cols)
        rows, cols = np.indices(shape)
        number = (rows // 14) * 4099 + cols // 17
        draw = random.random(65_521)[number % 65_521]
        # 0 forest, 1 grass that dries in winter, 2 crop, 3 paddy, 4 town
        self.use = np.where(draw < 0.45, 0, 1).astype(np.uint8)
        behind = away > 620
        self.use[behind] = np.where(draw < 0.2, 0, np.where(draw < 0.5, 2, np.where(draw < 0.75, 3, 4)))[behind]
        self.tone = (0.93 + 0.14 * random.random(65_521)[(number * 31) % 65_521]).astype(np.float32)

    @cached_property
    def axis(self) -> shapely.LineString:
        """The middle of the river through the window, downstream."""
        reaches = gpd.read_file(SAMPLES / "thematic" / "river-reaches.gpkg")
        line = reaches[reaches["code"] == "CJ05"].geometry.iloc[0].intersection(self.box)
        return max(shapely.get_parts(line), key=shapely.length)

    def place(self, along: float, right_m: float) -> tuple[np.ndarray, np.ndarray]:
        """A point at a share of the axis and so far to its right, and the direction downstream (metres east, north)."""
        here = np.array(self.axis.interpolate(along, normalized=True).coords[0])
        ends = [np.array(self.axis.interpolate(along + d, normalized=True).coords[0]) for d in (-0.01, 0.01)]
        flow = (ends[1] - ends[0]) * (self.lon_m, self.lat_m)
        flow /= np.hypot(*flow)
        return here + np.array([flow[1], -flow[0]]) * right_m / (self.lon_m, self.lat_m), flow

    def half_width(self, along: float, side: float) -> float:
        """Distance from the axis to the bank, m."""
        _, flow = self.place(along, 0.0)
        middle = np.array(self.axis.interpolate(along, normalized=True).coords[0])
        steps = np.arange(100, 3000, 5)
        right = side * np.array([flow[1], -flow[0]]) / (self.lon_m, self.lat_m)
        xy = middle + steps[:, None] * right
        wet = shapely.contains_xy(self.river, xy[:, 0], xy[:, 1])
        if wet.all():
            raise AssertionError("the river has no bank here")
        return float(steps[int(np.argmin(wet))])

    def _plot(self, plot: Plot) -> shapely.Polygon:
        side = np.sign(plot.bank)
        along = abs(plot.bank)
        middle, flow = self.place(along, side * (self.half_width(along, side) + plot.aside_m))
        long = np.sqrt(plot.hectares * 1e4 * 1.5)
        wide = plot.hectares * 1e4 / long
        across = np.array([flow[1], -flow[0]])
        corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
        return shapely.Polygon(
            [middle + (flow * a * long + across * b * wide) / (self.lon_m, self.lat_m) for a, b in corners]
        )

    @cached_property
    def nets(self) -> list[shapely.LineString]:
        """Lines of the nets: a grid of 6 × 5 lines, 70 m apart, turned by 25°, in the lake."""
        middle = np.array([114.3905, 30.5885])
        turn = np.deg2rad(25)
        u, v = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        lines = []
        for first, second, count, length in ((u, v, 5, 350.0), (v, u, 6, 280.0)):
            for k in range(count):
                shift = (k - (count - 1) / 2) * 70
                ends = [first * s * length / 2 + second * shift for s in (-1, 1)]
                lines.append(shapely.LineString([middle + e / (self.lon_m, self.lat_m) for e in ends]))
        return lines

    @cached_property
    def net_part(self) -> np.ndarray:
        """Share of each cell that is net: floats and what grows on them, 3.5 m wide."""
        shapes = [line.buffer(1.75 / self.lon_m, cap_style="flat") for line in self.nets]
        return self._mean(rasterize(shapes, (self.rows * FINE, self.cols * FINE), transform=self.fine,
                                    dtype="uint8", all_touched=True).astype(np.float32)) * 0.5  # fmt: skip

    def shares(self, number: int, when: datetime) -> dict[str, np.ndarray]:
        """Share of each cover in each cell on a date."""
        day = when.date()
        wet = self.height < RIVER_LEVELS[number]
        parts: dict[str, np.ndarray] = {}
        taken = np.zeros((self.rows, self.cols), np.float32)
        filled = np.zeros_like(taken)
        for (plot, _), part in zip(self.plots, self.parts, strict=True):
            if plot.since <= day and (plot.until is None or day < plot.until):
                # Digging and piling goes on in the water too: a plot stands above the level.
                parts[plot.cover] = parts.get(plot.cover, 0) + part
                taken = taken + part
        if day >= date(2024, 4, 1):
            filled = self.polder_part
            parts["grass"] = filled
        left = 1 - np.minimum(taken + filled, 1)
        river = self._mean(wet.astype(np.float32)) * left
        lake = np.where(self.lake_part > 0, self.lake_part * left, 0) * (river == 0)
        net = np.minimum(self.net_part, lake) * (lake > 0.9)
        lake = lake - net
        dry = left - river - lake - net
        green = 0.5 + 0.5 * np.cos(2 * np.pi * (when.timetuple().tm_yday / 365.25 - 0.52))
        flooded = when.month in {5, 6, 7}
        beach = dry * self.low * self.near_river
        rest = dry - beach
        plants = {
            "forest": rest * (self.use == 0),
            "town": rest * (self.use == 4),
            "paddy": rest * (self.use == 3) * flooded,
        }
        fields = rest - sum(plants.values())
        plants["grass"] = fields * (0.15 + 0.8 * green)
        plants["straw"] = fields - plants["grass"]
        found = {"river": river, "lake": lake, "net": net, "beach": beach, **plants}
        for name, part in parts.items():
            found[name] = found.get(name, 0) + part
        return {name: np.asarray(part, dtype=np.float32) for name, part in found.items()}

    @cached_property
    def polder(self) -> shapely.Polygon:
        """A corner of the lake that was reclaimed and planted: 0.7 ha, fifty metres from the shore."""
        x, y, half = 114.3985, 30.5965, (42.0, 42.0)
        return shapely.box(
            x - half[0] / self.lon_m, y - half[1] / self.lat_m, x + half[0] / self.lon_m, y + half[1] / self.lat_m
        )


def _clouds(random: np.random.Generator, shape: tuple[int, int], share: float) -> tuple[np.ndarray, np.ndarray]:
    if share <= 0:
        return np.zeros(shape, bool), np.zeros(shape, bool)
    coarse = tuple(n // 40 + 3 for n in shape)
    noise = ndimage.zoom(ndimage.gaussian_filter(random.normal(0, 1, coarse), 1.0), 40, order=1)[: shape[0], : shape[1]]
    cloud = noise > np.quantile(noise, 1 - share)
    return cloud, np.roll(cloud, (20, -14), (0, 1)) & ~cloud


def optical(ground: Ground, number: int) -> dict[str, np.ndarray]:
    """Stored numbers by band and the scene classification (SCL codes) of a date."""
    when = OPTICAL[number]
    random = np.random.default_rng([SEED, 5, number])
    parts = ground.shares(number, when)
    shape = (ground.rows, ground.cols)
    cloud, shadow = _clouds(random, shape, CLOUD.get(number, 0.0))
    water = parts["river"] + parts["lake"]
    silt = 1 + 0.25 * ndimage.zoom(random.normal(0, 1, (shape[0] // 60 + 2, shape[1] // 60 + 2)), 60, order=1)
    silt = np.clip(silt[: shape[0], : shape[1]], 0.7, 1.3)
    bands = {}
    for place, band in enumerate(BANDS):
        value = sum(part * np.float32(SPECTRA[name][place]) for name, part in parts.items())
        value = value * np.where(water > 0.5, silt if place < 4 else 1.0, ground.tone)
        value = np.where(shadow, 0.4 * value, np.where(cloud, SPECTRA["cloud"][place], value))
        value = value + random.normal(0, 0.003, shape).astype(np.float32)
        bands[band] = (np.clip(np.rint(value / SCALE / STEP), 1, 250) * STEP).astype(np.uint16)
    scl = np.where(water > 0.5, 6, 4).astype(np.uint8)
    scl[shadow], scl[cloud] = 3, 9
    bands["scl"] = scl
    return bands


def ships_on(ground: Ground, number: int) -> list[tuple[str, np.ndarray, np.ndarray, float]]:
    """Name, place, direction (metres east, north) and length of every ship of a radar date."""
    random = np.random.default_rng([SEED, 7, number])
    found = []
    for ship in SHIPS:
        if number in ship.dates:
            left, right = ground.half_width(ship.along, -1), ground.half_width(ship.along, 1)
            place, flow = ground.place(ship.along, -left + ship.across * (left + right))
            drift = random.normal(0, ship.drift_m / np.sqrt(2), 2)
            found.append((ship.id, place + drift / (ground.lon_m, ground.lat_m), flow, ship.length_m))
    for k in range(PASSING):
        along = random.uniform(0.05, 0.95)
        left, right = ground.half_width(along, -1), ground.half_width(along, 1)
        place, flow = ground.place(along, -left + random.uniform(0.2, 0.8) * (left + right))
        found.append((f"T{k}", place, flow, float(random.uniform(50, 120))))
    return found


def radar(ground: Ground, number: int) -> dict[str, np.ndarray]:
    """VV and VH of a date in hundredths of a decibel, speckle of 4.4 looks."""
    random = np.random.default_rng([SEED, 9, number])
    shape = (ground.rows, ground.cols)
    level = 16.0 - 0.35 * number
    wet = np.maximum(ground._mean((ground.height < level).astype(np.float32)), ground.lake_part)
    ships = [
        shapely.LineString([place + flow * s * length / 2 / (ground.lon_m, ground.lat_m) for s in (-1, 1)]).buffer(
            9 / ground.lon_m, cap_style="flat"
        )
        for _, place, flow, length in ships_on(ground, number)
    ]
    part = np.minimum(sum(ground._part(ship) for ship in ships), 1)
    wind = 2.0 * np.sin(number)
    out = {}
    for name, water, land, ship in (("vv", -19.0, -9.0, 8.0), ("vh", -26.5, -15.5, -1.0)):
        power = wet * 10 ** ((water + wind) / 10) + (1 - wet) * 10 ** (land / 10)
        power = power * (1 - part) + part * 10 ** (ship / 10)
        power = power * random.gamma(4.4, 1 / 4.4, shape)
        out[name] = (np.rint(10 * np.log10(power) * 4) * 25).astype(np.int16)
    return out


def _cog(path: Path, values: np.ndarray, affine: Affine, nodata: int) -> None:
    profile = {"driver": "COG", "dtype": values.dtype, "count": 1, "crs": "EPSG:4490", "transform": affine}
    options = {"nodata": nodata, "compress": "ZSTD", "level": 3, "predictor": "YES", "overview_resampling": "nearest"}
    with rasterio.open(path, "w", height=values.shape[0], width=values.shape[1], **profile, **options) as file:
        file.write(values, 1)


def _item(ground: Ground, folder: Path, collection: str, when: datetime, bands: dict[str, np.ndarray]) -> str:
    name = f"{collection.removesuffix('-scenes')}-{when:%Y%m%d}"
    place = folder / "data" / name
    place.mkdir(parents=True, exist_ok=True)
    assets = {}
    for band, values in bands.items():
        nodata = -32768 if values.dtype == np.int16 else 0
        _cog(place / f"{band}.tif", values, ground.affine, nodata)
        told: dict[str, object] = {"nodata": nodata, "data_type": str(values.dtype)}
        if values.dtype == np.int16:
            told |= {"scale": 0.01, "offset": 0.0, "unit": "dB"}
        elif band != "scl":
            told |= {"scale": SCALE, "offset": 0.0, "unit": "1"}
        assets[band] = {
            "href": f"../data/{name}/{band}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "eo:bands": [{"name": band}],
            "raster:bands": [told],
        }
    west, north = ground.affine.c, ground.affine.f
    east, south = west + ground.cols * CELL, north - ground.rows * CELL
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    optical_scene = "scl" in bands
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "id": name,
        "collection": collection,
        "bbox": [west, south, east, north],
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "properties": {
            "datetime": when.isoformat().replace("+00:00", "Z"),
            "platform": "synthetic",
            "instruments": ["synthetic"],
            "gsd": 10,
            **({"eo:cloud_cover": round(100 * float(np.isin(bands["scl"], (3, 9)).mean()), 1),
                "onemap:reflectance": "surface"} if optical_scene else {}),
            "onemap:synthetic": True,
        },
        "assets": assets,
        "links": [{"rel": "collection", "href": "../collection.json", "type": "application/json"}],
    }  # fmt: skip
    (folder / "items").mkdir(exist_ok=True)
    (folder / "items" / f"{name}.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return name


def _collection(folder: Path, ground: Ground, collection: str, titles: tuple[str, str], names: list[str],
                times: tuple[datetime, ...]) -> None:  # fmt: skip
    west, north = ground.affine.c, ground.affine.f
    box = [west, north - ground.rows * CELL, west + ground.cols * CELL, north]
    recipe = {
        "zh": "样例水面、管理范围与湖岸之上由种子生成的岸滩、水位、植被、扰动、船只与围网",
        "en": "Banks, levels, plants, disturbances, ships and nets drawn from a seed on the sample surfaces, range and shores",
    }
    document = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": collection,
        "title": titles[0],
        "description": " / ".join(titles),
        "license": "ODbL-1.0",
        "providers": [
            {"name": "OneMap Hubei (synthetic)", "roles": ["producer"]},
            {"name": "© OpenStreetMap contributors (outline)", "roles": ["licensor"]},
        ],
        "extent": {
            "spatial": {"bbox": [box]},
            "temporal": {"interval": [[t.isoformat().replace("+00:00", "Z") for t in (times[0], times[-1])]]},
        },
        "summaries": {"gsd": [10], "platform": ["synthetic"]},
        "onemap:title": {"zh": titles[0], "en": titles[1]},
        "onemap:description": recipe,
        # What a watch over the collection runs; the radar series is read beside the optical one.
        "onemap:analysis": "corridor-candidates" if collection == "corridor-scenes" else "",
        "onemap:synthetic": {"seed": SEED, "recipe": recipe},
        "links": [{"rel": "item", "href": f"./items/{name}.json", "type": "application/geo+json"} for name in names],
    }
    (folder / "collection.json").write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", "utf-8")


def truth_of(ground: Ground) -> dict[str, Any]:
    """What was planted."""
    plots = [
        {**{k: (v.isoformat() if isinstance(v, date) else v) for k, v in vars(plot).items()},
         "geometry": shapely.geometry.mapping(shape)}
        for plot, shape in ground.plots
    ]  # fmt: skip
    plots.append({"id": "O3", "kind": "occupation", "cover": "grass", "hectares": 0.7, "since": "2024-04-01",
                  "expected": "found", "permit": "none", "geometry": shapely.geometry.mapping(ground.polder)})  # fmt: skip
    nets = shapely.convex_hull(shapely.union_all(ground.nets))
    ships = [
        {"date": when.date().isoformat(), "ship": name, "lon": float(place[0]), "lat": float(place[1])}
        for number, when in enumerate(RADAR)
        for name, place, _, _ in ships_on(ground, number)
    ]
    return {"plots": plots, "nets": shapely.geometry.mapping(nets), "ships": ships}


def permits(ground: Ground | None = None) -> list[dict[str, Any]]:
    """The two made-up permits on planted plots, for the layer of works permits: one valid, one that has ended."""
    ground = Ground() if ground is None else ground
    rows = []
    for plot, shape in ground.plots:
        if plot.permit != "none":
            grown = shape.buffer(12 / ground.lon_m, join_style="mitre")
            rows.append({"plot": plot.id, "valid": plot.permit == "permitted", "geometry": grown})
    return rows


def make(out: Path, said: Callable[[str], None] = lambda text: None) -> list[Path]:
    """Write both collections aside and rename them; one that is there already is left as it is."""
    jobs = (
        ("corridor-scenes", ("武汉江段光学影像（合成）", "Optical scenes of the Yangtze at Wuhan (synthetic)"), OPTICAL, optical),
        ("corridor-radar", ("武汉江段雷达影像（合成）", "Radar scenes of the Yangtze at Wuhan (synthetic)"), RADAR, radar),
    )  # fmt: skip
    ground: Ground | None = None
    for collection, titles, times, draw in jobs:
        if (out / collection / "collection.json").is_file():
            continue
        ground = Ground() if ground is None else ground
        aside = out / f".{collection}.tmp"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        still = ground

        def one(number: int, still: Ground = still, draw: Any = draw, aside: Path = aside, name: str = collection,
                times: tuple[datetime, ...] = times) -> str:  # fmt: skip
            return _item(still, aside, name, times[number], draw(still, number))

        with ThreadPoolExecutor(2) as pool:
            names = []
            for name in pool.map(one, range(len(times))):
                names.append(name)
                said(f"{collection} {len(names)}/{len(times)}")
        (aside / "truth.json").write_text(json.dumps(truth_of(ground), ensure_ascii=False) + "\n", "utf-8")
        _collection(aside, ground, collection, titles, names, times)
        aside.rename(out / collection)
    return [out / job[0] for job in jobs]


def main() -> None:
    """Write the collections."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    make(arguments.folder, lambda text: print(f"\r{text}  ", end="", file=sys.stderr, flush=True))
    print(file=sys.stderr)


if __name__ == "__main__":
    main()
