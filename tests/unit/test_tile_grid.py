"""A polygon that bears a grid stays what it is when it is rounded to it, wherever the grid begins."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.crs import STORAGE, parse_crs, transform_geometries
from spatial.store.tile_grid import KEPT, coarsest_grid, in_degrees


def _star(seed: int, vertices: int, roughness: float) -> shapely.Polygon:
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, vertices))
    radius = 100 * (1 - roughness * random.random(vertices))
    return shapely.Polygon(np.column_stack([radius * np.cos(angle), radius * np.sin(angle)]))


def _rounded(polygon: shapely.Geometry, unit: float, x: float, y: float) -> shapely.Geometry:
    return shapely.transform(polygon, lambda xy: np.rint((xy - (x, y)) / unit))


@settings(deadline=None, max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1),
    vertices=st.integers(3, 40),
    roughness=st.floats(0, 0.95),
    share=st.floats(0.05, 1),
    offset=st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
    hole=st.booleans(),
)
def test_what_bears_a_grid_stays_valid_on_it(seed, vertices, roughness, share, offset, hole):
    polygon = _star(seed, vertices, roughness)
    if hole:
        inner = shapely.transform(polygon, lambda xy: xy * 0.4)
        polygon = shapely.difference(polygon, inner)
    polygon = shapely.orient_polygons(polygon)
    unit = float(coarsest_grid([polygon])[0]) * share
    if unit < 1e-3:
        return  # bears none, or one so fine that nothing is rounded
    rounded = _rounded(polygon, unit, *(100 * v for v in offset))
    assert shapely.is_valid(rounded)
    assert shapely.equals_exact(shapely.orient_polygons(rounded), rounded)  # rings turn as before
    for ring in shapely.get_rings(rounded):
        assert (np.abs(np.diff(shapely.get_coordinates(ring), axis=0)).sum(axis=1) > 0).all()


def test_a_grid_a_little_coarser_can_break_a_polygon():
    """The bound is no mere caution: at twice the unit this notch closes."""
    notched = shapely.difference(shapely.box(0, 0, 100, 100), shapely.box(-1, 49.7, 90, 50.7))
    unit = float(coarsest_grid([notched])[0])
    assert unit == pytest.approx(1 / 1.5)
    assert shapely.is_valid(_rounded(notched, unit, 0, 0))
    broken = [not shapely.is_valid(_rounded(notched, 4 * unit, 0, y)) for y in np.linspace(0, 3, 13)]
    assert any(broken)


def test_dense_rings_are_left_to_the_encoder_until_the_grid_is_as_fine_as_they_are():
    """A circle of 720 vertices, clearance 0.87: thinning by half a unit must leave seven eighths of them."""
    circle = shapely.Point(0, 0).buffer(100, quad_segs=180)
    unit = float(coarsest_grid([circle])[0])
    clearance = shapely.minimum_clearance(circle) / 1.5
    assert 0 <= unit < clearance / 2
    if unit:
        left = shapely.get_num_coordinates(shapely.simplify(circle, unit / 2, preserve_topology=False))
        assert left >= KEPT * shapely.get_num_coordinates(circle)


def test_what_bears_no_grid():
    crossing = shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])
    side_by_side = shapely.multipolygons([shapely.box(0, 0, 3, 3), shapely.box(3, 0, 6, 3)])
    large = shapely.Point(0, 0).buffer(100, quad_segs=300)
    others = [None, shapely.Polygon(), shapely.Point(1, 1), shapely.LineString([(0, 0), (9, 0)])]
    assert coarsest_grid([crossing, side_by_side, large, *others]).tolist() == [0.0] * 7


def test_the_unit_is_never_rounded_up():
    shapes = [shapely.box(0, 0, side, side) for side in np.random.default_rng(5).uniform(1, 9, 5_000)]
    exact = shapely.minimum_clearance(shapes) / 1.5
    found = coarsest_grid(shapes)
    assert (found <= exact).all()
    assert np.allclose(found, exact, rtol=1e-6)


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1),
    vertices=st.integers(3, 40),
    size=st.floats(1e-4, 3),
    lat=st.floats(-75, 75),
)
def test_degrees_never_bear_more_than_their_own_clearance_allows(seed, vertices, size, lat):
    star = shapely.transform(_star(seed, vertices, 0.8), lambda xy: xy / 100 * size + (114, lat))
    metres = transform_geometries(np.array([star]), STORAGE, parse_crs("EPSG:3857"))
    found = in_degrees(coarsest_grid(metres), [star])[0]
    assert 0 <= found < shapely.minimum_clearance(star) / 2**0.5  # what validity on the grid needs
    if size < 0.01 and found:
        # Small parcels lose next to nothing by the bound beside what the plane itself allows.
        assert found > in_degrees(coarsest_grid(metres) * np.float32(0.99), [star])[0] > 0
