"""Shoreline: edges below the cell, retreat at equal level, natural share, the four zones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import shapely
import yaml
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from analyses.water.shore.shoreline import (
    ShorelineRules,
    edge_positions,
    index_contours,
    make_transects,
    shoreline_rules,
)
from analyses.water.shore.shoreline_change import CANNOT_SAY, bank_retreat, check_zones, natural_share
from spatial.errors import CRSMismatch, InvalidParameter, LayerDefinitionInvalid
from spatial.settings import PROJECT_ROOT
from spatial.units import geodesic_areas

GEOD = Geod(ellps="GRS80")
LAT = 30.0
STEP = 1 / 3600
"""1″: cells of 26.8 × 30.8 m."""
WEST, NORTH = 114.0, LAT + 60 * STEP
AFFINE = Affine(STEP, 0, WEST, 0, -STEP, NORTH)
ROWS, COLS = 120, 300


@pytest.fixture(scope="module")
def rules() -> ShorelineRules:
    text = (Path(PROJECT_ROOT) / "layers" / "rules" / "shoreline.yml").read_text("utf-8")
    return shoreline_rules({"shoreline": yaml.safe_load(text)})


def north_of(metres: float) -> float:
    """Latitude so many metres north of the baseline."""
    return float(GEOD.fwd(WEST + 0.04, LAT, 0.0, metres)[1])


def index(edge_m: float, slope: float = 100.0) -> np.ndarray:
    """MNDWI of a bank that runs west–east, land in the north: +0.8 in the water, −0.6 on land, linear across the edge.

    0.124 is reached exactly `edge_m` metres north of the baseline (30° N).
    """
    lat = NORTH - (np.arange(ROWS) + 0.5) * STEP
    beyond = np.array([GEOD.inv(WEST, LAT, WEST, y)[2] * np.sign(y - LAT) for y in lat]) - edge_m
    column = np.clip(0.124 - beyond / slope, -0.6, 0.8)
    return np.repeat(column[:, None], COLS, axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def transects(rules: ShorelineRules) -> Any:
    line = shapely.LineString([(WEST + 20 * STEP, LAT), (WEST + 280 * STEP, LAT)])
    return make_transects(line, rules.transects, cell_m=30.0)


def test_transects_stand_at_right_angles_in_metres(transects: Any, rules: ShorelineRules) -> None:
    assert np.allclose(np.diff(transects.chainage_m), rules.transects.spacing_m)
    # A geodesic between two points of a parallel departs from it; a hundredth of a degree here.
    assert np.abs((transects.azimuth + 180) % 360 - 180).max() < 0.02
    _, _, reach = GEOD.inv(transects.lon[:, 0], transects.lat[:, 0], transects.lon[:, -1], transects.lat[:, -1])
    assert np.allclose(reach, transects.distance_m[-1] - transects.distance_m[0], atol=1e-6)
    other = make_transects(
        shapely.LineString([(WEST + 20 * STEP, LAT), (WEST + 280 * STEP, LAT)]),
        rules.transects,
        cell_m=30.0,
        land_on="right",
    )
    assert np.allclose((other.azimuth - transects.azimuth) % 360, 180)
    assert transects.frame().crs.to_epsg() == 4490


@given(st.floats(-150, 150))
@settings(max_examples=40, deadline=None)
def test_the_edge_is_found_below_the_cell(edge_m: float) -> None:
    text = (Path(PROJECT_ROOT) / "layers" / "rules" / "shoreline.yml").read_text("utf-8")
    rule = shoreline_rules({"shoreline": yaml.safe_load(text)}).transects
    line = shapely.LineString([(WEST + 20 * STEP, LAT), (WEST + 280 * STEP, LAT)])
    found = edge_positions(make_transects(line, rule, cell_m=30.0), index(edge_m), AFFINE, threshold=0.124)
    assert np.isfinite(found).all()
    # Linear across the edge, so that only the bend at its ends can bias the interpolation.
    assert np.abs(found - edge_m).max() < 1.5


def test_what_a_cloud_hides_is_unknown(transects: Any) -> None:
    clouded = index(40.0)
    clouded[:, 100:140] = np.nan
    found = edge_positions(transects, clouded, AFFINE, threshold=0.124)
    lon = transects.origin[:, 0]
    under = (lon > WEST + 101 * STEP) & (lon < WEST + 139 * STEP)
    assert under.any()
    assert np.isnan(found[under]).all()
    clear = (lon < WEST + 98 * STEP) | (lon > WEST + 142 * STEP)
    assert np.abs(found[clear] - 40).max() < 1.5
    assert np.isnan(edge_positions(transects, np.full((ROWS, COLS), 0.5, np.float32), AFFINE, threshold=0.124)).all()


def test_contours_lie_where_the_edge_is() -> None:
    lines = index_contours(index(25.0), AFFINE, threshold=0.124)
    assert len(lines) == 1
    latitudes = shapely.get_coordinates(lines[0])[:, 1]
    assert np.abs(latitudes - north_of(25.0)).max() * 110_900 < 1.0
    assert index_contours(np.full((5, 5), np.nan, np.float32), AFFINE, threshold=0.124) == []


@pytest.mark.parametrize("rate", [0.0, 3.0, 12.0])
def test_retreat_is_found_at_equal_level(rules: ShorelineRules, rate: float) -> None:
    random = np.random.default_rng(7)
    years = np.sort(random.uniform(2015, 2025, 36))
    level = 24 + np.sin(2 * np.pi * years) + 0.2 * (years - 2015)
    positions = rate * (years - 2015)[:, None] + 60 * (level - 24)[:, None] + random.normal(0, 6, (36, 20))
    positions[random.random(positions.shape) < 0.3] = np.nan
    blind = bank_retreat(years, positions, rules.retreat)
    seen = bank_retreat(years, positions, rules.retreat, level_m=level)
    assert np.abs(seen.rate_m_per_year - rate).max() < 1.5
    assert np.abs(seen.level_slope - 60).max() < 8
    # A rise of the lake alone looks like a retreat of 12 m a year.
    assert np.median(blind.rate_m_per_year) > rate + 8
    assert seen.alert.all() == (rate == 12.0)
    assert seen.alert.any() == (rate == 12.0)


def test_few_dates_are_not_assessed(rules: ShorelineRules) -> None:
    found = bank_retreat(np.arange(5.0), np.zeros((5, 2)), rules.retreat)
    assert np.isnan(found.rate_m_per_year).all()
    assert not found.alert.any()
    with pytest.raises(InvalidParameter, match="one each"):
        bank_retreat(np.arange(4.0), np.zeros((5, 2)), rules.retreat)
    with pytest.raises(InvalidParameter, match="ascending"):
        bank_retreat(np.array([1.0, 1.0, 2.0]), np.zeros((3, 2)), rules.retreat)


def test_natural_share_counts_assessed_transects_only(transects: Any, rules: ShorelineRules) -> None:
    edge = np.zeros(len(transects.origin))
    edge[0] = np.nan
    middle = WEST + 150 * STEP

    def built(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
        return np.where(lon > middle, 1.0, 0.0)

    share, kind = natural_share(transects, edge, built, rules)
    west = transects.origin[:, 0] < middle
    assert kind[0] == -1
    assert (kind[1:] == west[1:].astype(int)).all()
    assert share == pytest.approx(west[1:].mean())
    assert natural_share(transects, edge, lambda lon, lat: np.full(lon.shape, np.nan), rules)[0] is None


def zones(**named: Any) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame({"zone": list(named)}, geometry=list(named.values()), crs=4490)


def test_the_strictest_zone_decides_and_missing_layers_never_conform(rules: ShorelineRules) -> None:
    layer = zones(
        protection=shapely.box(114.0, 30.0, 114.01, 30.01),
        development=shapely.box(114.01, 30.0, 114.02, 30.01),
    )
    both, inside, touching, outside = check_zones(
        [
            shapely.box(114.009, 30.002, 114.012, 30.004),
            shapely.box(114.012, 30.002, 114.013, 30.003),
            shapely.box(114.02, 30.0, 114.03, 30.01),
            shapely.box(115, 30, 115.01, 30.01),
        ],
        layer,
        rules,
    )
    assert (both.verdict, both.zone) == ("forbidden", "protection")
    expected = geodesic_areas(np.array([shapely.box(114.009, 30.002, 114.01, 30.004)]))[0]
    assert both.overlap_m2 == pytest.approx(expected, abs=0.01)
    assert (inside.verdict, inside.zone) == ("conform", "development")
    assert outside.verdict == CANNOT_SAY
    assert touching.verdict in {"touching", CANNOT_SAY}
    assert [v.verdict for v in check_zones([shapely.box(114, 30, 115, 31)], None, rules)] == [CANNOT_SAY]
    with pytest.raises(InvalidParameter, match="castle"):
        check_zones([], zones(castle=shapely.box(0, 0, 1, 1)), rules)
    with pytest.raises(CRSMismatch):
        check_zones([], layer.to_crs(4547), rules)


def test_bad_baselines_and_rules(rules: ShorelineRules) -> None:
    with pytest.raises(InvalidParameter, match="shorter"):
        make_transects(shapely.LineString([(114, 30), (114.0001, 30)]), rules.transects, cell_m=30)
    with pytest.raises(InvalidParameter, match="land_on"):
        make_transects(shapely.LineString([(114, 30), (114.1, 30)]), rules.transects, cell_m=30, land_on="up")
    with pytest.raises(LayerDefinitionInvalid, match=r"shoreline\.yml"):
        shoreline_rules({})
