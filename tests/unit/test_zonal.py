"""Areas by class and unit: hand oracles, additivity, and the geodesic area of the polygon itself."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
import shapely.affinity
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from shapely.ops import split

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
    assert areas.sum(axis=0) == pytest.approx(total_by_code(CODES, GRID), rel=1e-11)


def test_sum_is_the_geodesic_area_of_the_polygon() -> None:
    polygon = shapely.Point(110.5, 30.25).buffer(0.2)
    assert area_by_code(CODES, GRID, [polygon]).sum() == pytest.approx(geodesic_areas([polygon])[0], rel=1e-4)


def by_shapely(geometry: shapely.Geometry) -> np.ndarray:
    """Each cell cut with the geometry."""
    expected = np.zeros(256)
    west, north, step = 110.0, 30.5, 0.05
    for (row, col), code in np.ndenumerate(CODES):
        cell = shapely.box(west + step * col, north - step * (row + 1), west + step * (col + 1), north - step * row)
        expected[code] += shapely.intersection(cell, geometry).area / step**2 * cell_areas(GRID)[row]
    return expected


RING = shapely.Point(110.5, 30.25).buffer(0.2)
GEOMETRIES = {
    "disc": RING,
    "hole": RING - shapely.Point(110.52, 30.22).buffer(0.071),
    "hole beyond the grid": shapely.box(109, 29, 112, 31) - shapely.box(109.5, 30.3, 110.01, 31),
    "parts": shapely.MultiPolygon(
        [shapely.box(110.01, 30.01, 110.012, 30.012), RING, shapely.box(110.93, 30.3, 111.2, 30.9)]
    ),
    "out of every side": shapely.affinity.rotate(shapely.box(109.8, 29.8, 111.3, 30.6), 20),
    "on cell borders": shapely.box(110.05, 30.1, 110.5, 30.4),
    "clockwise": shapely.reverse(RING),
    "sliver": shapely.Polygon([(110.0, 30.2), (111.0, 30.200001), (111.0, 30.3), (110.5, 30.200002)]),
    "west of the grid only": shapely.box(109, 30, 110, 30.5),
    "within a cell": shapely.Point(110.025, 30.275).buffer(0.01),
    "mixed": shapely.GeometryCollection(
        [RING, shapely.LineString([(110, 30), (111, 30.5)]), shapely.Point(110.1, 30.1)]
    ),
    "empty": shapely.Polygon(),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_shares_are_those_of_the_cut_cells(name: str) -> None:
    assert area_by_code(CODES, GRID, [GEOMETRIES[name]])[0] == pytest.approx(
        by_shapely(GEOMETRIES[name]), rel=1e-9, abs=1
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_any_polygon(seed: int) -> None:
    points = np.random.default_rng(seed).uniform((109.8, 29.9), (111.2, 30.6), (7, 2))
    polygon = shapely.make_valid(shapely.Polygon(points))
    assert area_by_code(CODES, GRID, [polygon])[0] == pytest.approx(by_shapely(polygon), rel=1e-8, abs=10)


def test_against_exactextract() -> None:
    """An independent implementation; it keeps cover fractions as float32."""
    import geopandas
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    units = geopandas.GeoDataFrame(geometry=[RING], crs="EPSG:4490")
    box = {"xmin": 110.0, "ymin": 30.0, "xmax": 111.0, "ymax": 30.5, "srs_wkt": units.crs.to_wkt()}
    weights = np.repeat(cell_areas(GRID)[:, np.newaxis], CODES.shape[1], axis=1)
    found = exact_extract(
        NumPyRasterSource(CODES, **box, name="code"),
        units,
        ["values", "coverage", "weights"],
        weights=NumPyRasterSource(weights, **box, name="area"),
        output="pandas",
    )
    values, coverage, area = (found[name].iloc[0] for name in found.columns)
    theirs = np.bincount(values.astype(int), coverage * area, minlength=256)
    assert area_by_code(CODES, GRID, [RING])[0] == pytest.approx(theirs, rel=1e-6)


def test_overlapping_units_each_have_their_area() -> None:
    both = area_by_code(CODES, GRID, [RING, RING])
    assert np.array_equal(both[0], both[1])


def test_whole_grid_is_the_zone_on_the_ellipsoid() -> None:
    expected = geodesic_areas([shapely.box(*GRID.extent.boundingbox).segmentize(0.001)])[0]
    assert total_by_code(CODES, GRID).sum() == pytest.approx(expected, rel=1e-6)


def test_units() -> None:
    assert areas_in_units(15e6, "x") == {"x_km2": 15.0, "x_hm2": 1500.0, "x_mu": 22500.0}
