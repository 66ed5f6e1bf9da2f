"""Flood on real data: the Elbe at Rosslau (areas, connectivity, daily levels) and the D8 directions of the Rhine.

The figures are regression values of a method known from hydflood and of pyflwdir on the ellipsoid; the data are not in the
repository (``ONEMAP_REFERENCE_DATA``).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio

from analyses.water.flood.connectivity import connect
from analyses.water.flood.hand import Drainage, drainage_of_directions
from analyses.water.flood.strips import Cells
from analyses.water.flood.surface import RatedProfiles, WaterSurface, surface_by_quantile

# discharge: lowest and highest level m, bathtub ha, largest 8-connected ha, parts, mean depth m
ELBE = {
    "MNQ": (54.05, 54.84, 18.21, 16.84, 7, 1.56),
    "MQ": (55.32, 56.16, 22.94, 22.67, 54, 2.35),
    "MHQ": (58.45, 59.21, 77.20, 75.42, 102, 2.26),
    "HQ2": (58.48, 59.24, 78.10, 77.49, 94, 2.26),
    "HQ10": (59.38, 60.04, 86.46, 85.96, 16, 2.86),
    "HQ100": (60.41, 61.09, 88.42, 88.38, 9, 3.80),
}
PRE_GAUGE_CM = 100.0


@pytest.fixture(scope="module")
def water(reference_data: Path) -> Path:
    folder = reference_data / "water"
    if not folder.is_dir():
        pytest.skip("参考数据中没有 water / the reference data hold no folder water")
    return folder


@cache
def elbe(folder: Path) -> tuple[np.ndarray, np.ndarray, RatedProfiles]:
    """Ground, station of each cell (m, NaN off the river's sections) and the profiles of 30 discharges."""

    def band(name: str) -> np.ndarray:
        with rasterio.open(folder / "elbe_flood" / name) as file:
            return np.asarray(file.read(1, masked=True).filled(np.nan))

    table = pd.read_csv(folder / "elbe_flood" / "flys_water_levels_elbe_km240-280.csv")
    table = table[table.station.between(256, 263)]
    wide = table.pivot(index="station", columns="name", values="w")
    wide = wide[wide.mean().sort_values().index]
    return (
        band("raster.dem.tif"),
        band("raster.csa.tif"),
        RatedProfiles(wide.index.to_numpy() * 1000.0, tuple(wide.columns), wide.to_numpy()),
    )


def flooded(folder: Path, surface: WaterSurface, block: int = 400) -> tuple[Any, np.ndarray, np.ndarray]:
    """What lies below a surface; the deepest cell stands for the river."""
    ground, station, _ = elbe(folder)
    depth = (surface.at(station) - ground.astype(np.float64)).astype(np.float32)
    row, col = np.unravel_index(np.nanargmax(depth), depth.shape)
    out = np.zeros(depth.shape, bool)

    def put(r: int, c: int, d: Any, part: Any) -> None:
        if part is not None:
            out[r : r + part.shape[0], c : c + part.shape[1]] = part

    found = connect(
        lambda r, c, h, w: np.ascontiguousarray(depth[r : r + h, c : c + w]),
        depth.shape,
        Cells.of(np.array([row]), np.array([col]), np.array([1])),
        np.ones(depth.shape[0]),
        put=put,
        block=block,
        threads=2,
    )
    return found, out, depth


@pytest.mark.parametrize("discharge", ELBE)
def test_elbe_areas_are_those_of_the_benchmark(water: Path, discharge: str) -> None:
    low, high, bathtub, largest, parts, mean = ELBE[discharge]
    surface = elbe(water)[2].profile(discharge)
    found, out, depth = flooded(water, surface)
    level = surface.at(elbe(water)[1])
    assert (np.nanmin(level), np.nanmax(level)) == pytest.approx((low, high), abs=0.011)
    assert found.below_area_m2 / 1e4 == pytest.approx(bathtub, rel=0.01)
    assert found.largest_m2 / 1e4 == pytest.approx(largest, rel=0.01)
    assert found.area_m2 == found.largest_m2 == out.sum(), "the river is the largest part"
    assert abs(found.parts - parts) <= 2
    assert float(depth[depth >= 0].mean()) == pytest.approx(mean, rel=0.01)


def test_elbe_grows_with_the_discharge(water: Path) -> None:
    before = np.zeros(elbe(water)[0].shape, bool)
    for name in elbe(water)[2].names[::4]:
        _, out, _ = flooded(water, elbe(water)[2].profile(name))
        assert (out >= before).all(), name
        before = out


def test_elbe_days_of_december_2016(water: Path) -> None:
    """Gauges Rosslau and Dessau, linear in the quantile of the discharge between them; cells off the sections do not count."""
    ground, station, profiles = elbe(water)
    stations = pd.read_csv(water / "elbe_flood" / "gauging_stations.csv").set_index("gauging_station")
    levels = pd.read_csv(water / "elbe_flood" / "gauging_data_2016-12.csv")
    days = np.zeros(ground.shape, np.uint8)
    hectares = {}
    for day, rows in levels[levels.gauging_station.isin(["ROSSLAU", "DESSAU"])].groupby("date"):
        pairs = [
            (
                stations.loc[r.gauging_station, "km_qps"] * 1000,
                stations.loc[r.gauging_station, "pnp"] + r.w / PRE_GAUGE_CM,
            )
            for r in rows.itertuples()
        ]
        wet = surface_by_quantile(profiles, pairs).at(station) >= ground
        days += wet
        hectares[day] = wet.sum() / 1e4
    area = pd.Series(hectares)
    assert len(area) == 31
    assert (area.mean(), area.min(), area.max()) == pytest.approx((19.91, 19.35, 23.47), rel=0.01)
    assert area.idxmax() == "2016-12-31"
    valid = np.isfinite(station)
    assert (~valid).sum() == 17_817
    assert (days == 31).sum() / 1e4 == pytest.approx(19.35, rel=0.01)
    assert (valid & (days == 0)).sum() / 1e4 == pytest.approx(74.75, rel=0.01)
    assert days[valid].mean() == pytest.approx(6.285, rel=0.01)


@pytest.fixture(scope="module")
def rhine(water: Path) -> tuple[Drainage, np.ndarray]:
    with rasterio.open(water / "rhine_d8" / "rhine_d8.tif") as file:
        found = drainage_of_directions(file.read(1), file.transform)
    with rasterio.open(water / "rhine_d8" / "rhine_elv0.tif") as file:
        return found, np.asarray(file.read(1, masked=True).filled(np.nan))


def test_rhine_whole_raster_on_the_ellipsoid(rhine: tuple[Drainage, np.ndarray]) -> None:
    assert rhine[0].upstream_km2.max() == pytest.approx(196_086, rel=0.001)


@pytest.mark.parametrize(("mouth", "km2"), [("Moselle", 28_075), ("Main", 27_121), ("Neckar", 13_861)])
def test_rhine_tributaries_at_their_mouths(rhine: tuple[Drainage, np.ndarray], mouth: str, km2: float) -> None:
    """The mouth is where a cell of that size flows into one that is at least 8,000 km² larger: no place is given."""
    up = rhine[0].upstream_km2.ravel()
    big = np.flatnonzero(up > 10_000)
    ends = big[up[rhine[0].flow.idxs_ds[big]] - up[big] > 8_000]
    nearest = up[ends][np.abs(up[ends] - km2).argmin()]
    assert nearest == pytest.approx(km2, rel=0.01), mouth


def test_rhine_hand_is_zero_on_streams_and_never_negative(rhine: tuple[Drainage, np.ndarray]) -> None:
    found, elevation = rhine
    hand = found.hand(elevation, 1000.0)
    streams = (found.upstream_km2 >= 1000) & np.isfinite(elevation)
    assert (hand[streams] == 0).all()
    assert np.nanmin(hand) == 0
    assert (found.upstream_km2 > 0).sum() == 349_847, "cells with a direction"
    assert (np.isfinite(hand) == ((found.upstream_km2 > 0) & np.isfinite(elevation))).all()
