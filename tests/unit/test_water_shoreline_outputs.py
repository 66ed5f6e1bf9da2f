"""Zones of the stretches of a shore, and its water edges by year."""

from __future__ import annotations

from datetime import UTC, date, datetime

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import Geod

from analyses.water.shore.shoreline import ShorelineRules, Transects, make_transects, shoreline_rules
from analyses.water.shore.shoreline_outputs import contour_style, contours_frame, contours_of, zones_of
from spatial.jobs.inputs import load_rules
from spatial.settings import PROJECT_ROOT

STEP = 1 / 3600
AFFINE = Affine(STEP, 0, 114.0, 0, -STEP, 30.02)


@pytest.fixture(scope="module")
def rules() -> ShorelineRules:
    return shoreline_rules(load_rules(PROJECT_ROOT / "layers" / "rules")[0])


@pytest.fixture(scope="module")
def transects(rules: ShorelineRules) -> Transects:
    """A bank that runs east, land in the north."""
    return make_transects(shapely.LineString([(114.005, 30.0), (114.035, 30.0)]), rules.transects, cell_m=30)


def test_artificial_stretches_carry_their_zone_and_whether_it_allows_them(
    rules: ShorelineRules, transects: Transects
) -> None:
    count = len(transects.origin)
    edge = np.zeros(count)
    edge[-1] = np.nan
    artificial = np.ones(count, dtype=bool)
    artificial[1] = False
    zones = gpd.GeoDataFrame(
        {"zone": ["protection", "development"]},
        geometry=[shapely.box(114.0, 29.99, 114.012, 30.01), shapely.box(114.012, 29.99, 114.024, 30.01)],
        crs=4490,
    )
    zone, verdict = zones_of(transects, edge, artificial, zones, rules)
    lon = transects.origin[:, 0]
    assert [zone[k] for k in range(count - 1)] == [
        "protection" if x < 114.012 else "development" if x < 114.024 else None for x in lon[:-1]
    ]
    assert verdict[0] == "forbidden"
    assert verdict[1] is None
    assert verdict[int(np.argmin(np.abs(lon - 114.018)))] == "conform"
    assert verdict[-2] == verdict[-1] == "undetermined"  # outside all zones; edge unknown
    none = zones_of(transects, edge, artificial, None, rules)
    assert set(none[0]) == {None}
    assert [v for v in none[1] if v is not None] == ["undetermined"] * int(artificial.sum())


def test_water_edges_lie_where_the_index_falls(transects: Transects) -> None:
    rows = 30.02 - (np.arange(144) + 0.5) * STEP
    index = np.repeat(np.clip(0.124 - (rows - 30.001) * 400, -0.6, 0.8)[:, None], 160, axis=1).astype(np.float32)
    found = contours_of(index, AFFINE, transects, threshold=0.124, clear_share=0.95)
    assert found is not None
    assert shapely.get_coordinates(found)[:, 1] == pytest.approx(30.001, abs=1e-6)
    assert contours_of(index, AFFINE, transects, threshold=0.124, clear_share=0.5) is None
    far = contours_of(index, Affine(STEP, 0, 114.2, 0, -STEP, 30.02), transects, threshold=0.124, clear_share=1.0)
    assert far is None
    frame = contours_frame({2021: ("s", datetime(2021, 6, 1, tzinfo=UTC), found)})
    assert frame["time"].iloc[0].date() == date(2021, 6, 1)
    length = Geod(ellps="GRS80").geometry_length(found) / 1000
    assert frame["length_km"].iloc[0] == pytest.approx(length, abs=1e-3)
    assert [one["value"] for one in contour_style([2023, 2021])["classes"]] == [2021, 2023]
