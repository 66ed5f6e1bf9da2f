"""Served CRSs: spellings, axis order, exact numbers against PROJ and hand-computed values."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer

from spatial.crs import CRS84, SERVED, STORAGE, bbox_polygon, parse_crs, to_wire, transform_geometries
from spatial.errors import InvalidParameter, UnknownCRS

WUHAN = (114.3, 30.6)


@pytest.mark.parametrize("crs", SERVED.values(), ids=lambda c: c.name)
def test_axis_order_is_that_of_the_authority(crs):
    if crs is CRS84:
        assert not crs.latitude_first
    else:
        first = CRS.from_epsg(crs.srid).axis_info[0].direction
        assert crs.latitude_first == (first == "north")


@pytest.mark.parametrize("crs", SERVED.values(), ids=lambda c: c.name)
def test_every_usual_spelling_is_understood(crs):
    if crs is CRS84:
        spellings = ["CRS84", "OGC:CRS84", "[OGC:CRS84]", "urn:ogc:def:crs:OGC:1.3:CRS84", crs.uri]
    else:
        spellings = [
            f"EPSG:{crs.srid}",
            f"[EPSG:{crs.srid}]",
            f"urn:ogc:def:crs:EPSG::{crs.srid}",
            f"https://www.opengis.net/def/crs/EPSG/0/{crs.srid}",
            crs.uri,
        ]
    assert {parse_crs(s).uri for s in spellings} == {crs.uri}


@pytest.mark.parametrize("text", ["EPSG:4479", "4490", "EPSG:4490; drop", "", "http://evil/4490"])
def test_other_crs_is_refused_with_the_list(text):
    with pytest.raises(UnknownCRS) as caught:
        parse_crs(text)
    assert len(caught.value.details["allowed"]) == len(SERVED) == 12


def test_gauss_krueger_with_zone_number_differs_by_the_zone_prefix_only():
    point = shapely.points([WUHAN])
    with_zone = transform_geometries(point, STORAGE, parse_crs("EPSG:4526"))[0]
    without = transform_geometries(point, STORAGE, parse_crs("EPSG:4547"))[0]
    assert with_zone.x - without.x == pytest.approx(38_000_000, abs=1e-3)
    assert with_zone.y == pytest.approx(without.y, abs=1e-3)
    # Hand: 0.3° east of the central meridian 114°E, at 30.6°N: about 0.3·cos φ·111 320 m plus 500 km.
    assert without.x == pytest.approx(500_000 + 0.3 * 111_320 * math.cos(math.radians(30.6)), abs=60)


def test_wire_order_puts_latitude_or_northing_first():
    point = shapely.points([WUHAN])
    assert to_wire(point, CRS84)[0].coords[0] == WUHAN
    assert to_wire(point, STORAGE)[0].coords[0] == WUHAN[::-1]


@settings(deadline=None)
@given(st.floats(108.4, 116.1), st.floats(29.1, 33.2), st.sampled_from(list(SERVED.values())))
def test_transform_equals_proj_and_returns(lon, lat, crs):
    point = shapely.points([(lon, lat)])
    moved = transform_geometries(point, STORAGE, crs)
    if crs.projected:
        x, y = Transformer.from_crs(4490, crs.srid, always_xy=True).transform(lon, lat)
        assert moved[0].coords[0] == (round(x, 4), round(y, 4))
    back = transform_geometries(moved, crs, STORAGE)[0]
    assert back.x == pytest.approx(lon, abs=2e-9)
    assert back.y == pytest.approx(lat, abs=2e-9)


def test_bbox_is_read_in_the_axis_order_of_its_crs():
    expected = shapely.box(114, 30, 115, 31)
    assert bbox_polygon([114, 30, 115, 31], CRS84).equals(expected)
    assert bbox_polygon([30, 114, 31, 115], STORAGE).equals(expected)
    assert bbox_polygon([114, 30, 0, 115, 31, 9], CRS84).equals(expected)


def test_projected_bbox_covers_exactly_its_own_corners():
    crs = parse_crs("EPSG:4547")
    area = bbox_polygon([3_380_000, 500_000, 3_400_000, 540_000], crs)
    project = Transformer.from_crs(4490, 4547, always_xy=True).transform
    x, y = project(*np.array(area.exterior.coords).T)
    assert x.min() == pytest.approx(500_000, abs=0.01)
    assert x.max() == pytest.approx(540_000, abs=0.01)
    assert y.min() == pytest.approx(3_380_000, abs=0.01)
    assert y.max() == pytest.approx(3_400_000, abs=0.01)
    assert len(area.exterior.coords) > 100


@settings(deadline=None)
@given(
    st.floats(108.4, 116.1), st.floats(29.1, 33.2), st.sampled_from([crs for crs in SERVED.values() if crs.projected])
)
def test_a_box_of_the_rounded_coordinates_of_a_point_holds_the_point(lon, lat, crs):
    """A collection of one point has an extent without width; who sends it back finds the point."""
    point = shapely.Point(lon, lat)
    on_the_wire = to_wire(transform_geometries(np.array([point]), STORAGE, crs), crs)[0].coords[0]
    assert bbox_polygon([*on_the_wire, *on_the_wire], crs).covers(point)


def test_antimeridian_box_becomes_two():
    area = bbox_polygon([170, -10, -170, 10], CRS84)
    assert area.geom_type == "MultiPolygon"
    assert area.area == pytest.approx(400)


@pytest.mark.parametrize(
    ("bbox", "crs"),
    [
        ([114, 30, 115], CRS84),
        ([114, 31, 115, 30], CRS84),
        ([float("nan"), 30, 115, 31], CRS84),
        ([114, 30, 115, 91], CRS84),
        ([114, 30, 115, 31], STORAGE),  # longitude first where latitude is wanted: 114 is no latitude
        ([540_000, 3_400_000, 500_000, 3_380_000], parse_crs("EPSG:3857")),
    ],
)
def test_bad_boxes_are_refused(bbox, crs):
    with pytest.raises(InvalidParameter):
        bbox_polygon(bbox, crs)
