"""Grids, tile matrix sets and ellipsoidal areas against hand numbers and an independent computation."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Geod

from spatial.errors import GridMismatch, TileOutOfRange
from spatial.grid import TILE_MATRIX_SETS, cell_areas, check_tile, require_same_grid, tile_bounds, tile_matrix_set
from spatial.units import Area, cell_row_areas, geodesic_areas

GRID = GeoBox((4, 6), Affine(0.5, 0, 108.0, 0, -0.5, 33.0), "EPSG:4490")


def test_cell_areas_agree_with_geodesic_polygons():
    """Edges along parallels are no geodesics; 0.01° cells make the difference vanish."""
    areas = cell_row_areas(31.0, 0.01, 0.01, 3)
    geod = Geod(a=6378137, rf=298.257222101)
    for row, area in enumerate(areas):
        north = 31.0 - 0.01 * row
        ring = shapely.segmentize(shapely.box(114, north - 0.01, 114.01, north), 0.0005)
        independent = abs(geod.geometry_area_perimeter(ring)[0])
        assert area == pytest.approx(independent, rel=1e-6)


@given(st.floats(-80, 80), st.integers(1, 6))
def test_area_is_additive(north, rows):
    whole = cell_row_areas(north, 0.5 * rows, 1.0, 1)[0]
    assert cell_row_areas(north, 0.5, 1.0, rows).sum() == pytest.approx(whole, rel=1e-12)


def test_geodesic_area_counts_holes_and_parts():
    outer, hole = shapely.box(114, 30, 115, 31), shapely.box(114.4, 30.4, 114.6, 30.6)
    ring, whole, inner = geodesic_areas([outer.difference(hole), outer, hole])
    assert ring == pytest.approx(whole - inner, rel=1e-12)
    two = geodesic_areas([shapely.union_all([hole, shapely.box(116, 30, 117, 31)])])[0]
    assert two > inner
    assert geodesic_areas([shapely.Point(114, 30), shapely.LineString([(0, 0), (1, 1)])]).tolist() == [0, 0]


def test_units_of_land_administration():
    area = Area(15_000.0)
    assert area.as_dict() == pytest.approx({"m2": 15000, "hm2": 1.5, "mu": 22.5, "km2": 0.015})


def test_cell_areas_of_a_grid_shrink_northwards():
    areas = cell_areas(GRID)
    assert areas.shape == (4,)
    assert (np.diff(areas) > 0).all()


def test_grid_mismatch_names_both_grids():
    other = GeoBox((4, 6), Affine(0.5, 0, 108.25, 0, -0.5, 33.0), "EPSG:4490")
    require_same_grid(GRID, GRID, layer="dem")
    with pytest.raises(GridMismatch, match=r"dem.*108\.25.*108\.0"):
        require_same_grid(GRID, other, layer="dem")


@pytest.mark.parametrize("tms", TILE_MATRIX_SETS)
@given(z=st.integers(0, 18), fx=st.floats(0, 0.999999), fy=st.floats(0, 0.999999))
def test_bounds_agree_with_morecantile(tms, z, fx, fy):
    matrix = tile_matrix_set(tms).tileMatrices[z]
    x, y = int(fx * matrix.matrixWidth), int(fy * matrix.matrixHeight)
    bounds = tile_matrix_set(tms).xy_bounds(x, y, z)
    assert tile_bounds(tms, z, x, y) == pytest.approx(
        (bounds.left, bounds.bottom, bounds.right, bounds.top), rel=1e-12, abs=1e-7
    )


def test_cgcs2000_quad_is_two_by_one_from_the_north_west():
    assert tile_bounds("CGCS2000Quad", 0, 0, 0) == (-180, -90, 0, 90)
    # Wuhan (114.3, 30.6) at level 10: column ⌊(114.3+180)/0.17578125⌋, row ⌊(90−30.6)/0.17578125⌋.
    west, south, east, north = tile_bounds("CGCS2000Quad", 10, 1674, 337)
    assert west <= 114.3 < east
    assert south < 30.6 <= north


@pytest.mark.parametrize(
    ("tms", "z", "x", "y"),
    [
        ("CGCS2000Quad", 0, 2, 0),
        ("CGCS2000Quad", 0, 0, 1),
        ("WebMercatorQuad", 30, 0, 0),
        ("WebMercatorQuad", 1, -1, 0),
    ],
)
def test_tiles_outside_the_matrix(tms, z, x, y):
    with pytest.raises(TileOutOfRange):
        check_tile(tms, z, x, y)


def test_unknown_matrix_set_lists_those_there_are():
    with pytest.raises(TileOutOfRange, match="CGCS2000Quad"):
        tile_matrix_set("EPSG3857")
