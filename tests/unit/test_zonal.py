"""Areas by class and unit: hand oracles, additivity, and the geodesic area of the polygon itself."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from shapely.ops import split

from analyses import zonal
from analyses.zonal import area_by_code, areas_in_units, total_by_code
from spatial.grid import cell_areas
from spatial.units import geodesic_areas

GRID = GeoBox.from_bbox((110.0, 30.0, 111.0, 30.5), crs="EPSG:4490", resolution=0.05)
CODES = np.random.default_rng(4).integers(0, 8, GRID.shape.yx).astype(np.uint8)


def test_quarter_of_a_cell_by_hand() -> None:
    quarter = shapely.box(110.0, 30.475, 110.025, 30.5)
    areas = area_by_code(CODES, GRID, [quarter])
    assert areas[0].sum() == areas[0, CODES[0, 0]] == pytest.approx(cell_areas(GRID)[0] / 4, rel=1e-9)


def test_a_unit_outside_and_an_empty_list() -> None:
    assert area_by_code(CODES, GRID, [shapely.box(120, 30, 121, 31)]).sum() == 0
    assert area_by_code(CODES, GRID, []).shape == (0, 256)


@settings(max_examples=25, deadline=None)
@given(st.floats(30.01, 30.49), st.floats(30.01, 30.49), st.floats(110.1, 110.9))
def test_parts_add_up_to_the_whole(left: float, right: float, middle: float) -> None:
    whole = shapely.box(*GRID.extent.boundingbox)
    line = shapely.LineString([(109, left), (middle, (left + right) / 2), (112, right)])
    parts = list(split(whole, line).geoms)
    assert len(parts) == 2
    areas = area_by_code(CODES, GRID, parts)
    # exactextract keeps cover fractions as float32
    assert areas.sum(axis=0) == pytest.approx(total_by_code(CODES, GRID), rel=1e-7)


def test_sum_is_the_geodesic_area_of_the_polygon() -> None:
    polygon = shapely.Point(110.5, 30.25).buffer(0.2)
    assert area_by_code(CODES, GRID, [polygon]).sum() == pytest.approx(geodesic_areas([polygon])[0], rel=1e-4)


@pytest.mark.parametrize("strip", [1, 3, 256])
def test_strips_do_not_matter(monkeypatch: pytest.MonkeyPatch, strip: int) -> None:
    polygon = shapely.Point(110.5, 30.25).buffer(0.2)
    expected = area_by_code(CODES, GRID, [polygon])
    monkeypatch.setattr(zonal, "_STRIP", strip)
    assert area_by_code(CODES, GRID, [polygon]) == pytest.approx(expected, rel=1e-12)


def test_whole_grid_is_the_zone_on_the_ellipsoid() -> None:
    expected = geodesic_areas([shapely.box(*GRID.extent.boundingbox).segmentize(0.001)])[0]
    assert total_by_code(CODES, GRID).sum() == pytest.approx(expected, rel=1e-6)


def test_units() -> None:
    assert areas_in_units(15e6, "x") == {"x_km2": 15.0, "x_hm2": 1500.0, "x_mu": 22500.0}
