"""Decoding and drawing vector tiles, against mapbox-vector-tile as an independent encoder."""

import io

import mapbox_vector_tile
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from spatial.catalog import Attribute, Layer, Source
from tiles.draw import drawn_tile
from tiles.mvt import read_features

T = {"zh": "甲", "en": "a"}


def layer(style):
    source = Source(uri="x", version="1", sha256="0" * 64, licence="CC0-1.0", attribution=T, origin="test")
    field = Attribute(name="v", type="integer", title=T)
    return Layer(
        id="x", title=T, description=T, theme=("base",), kind="vector", source=source, fields=(field,), style=style
    )


def encode(*features):
    items = [{"geometry": g, "properties": p, "id": i} for i, (g, p) in enumerate(features)]
    return mapbox_vector_tile.encode(
        {"name": "x", "features": items}, default_options={"y_coord_down": True, "extents": 4096}
    )


def colours(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(-99, 5000), st.integers(-99, 5000)).map(shapely.Point),
            st.lists(
                st.tuples(st.integers(-99, 5000), st.integers(-99, 5000)), min_size=2, max_size=9, unique=True
            ).map(shapely.LineString),
        ),
        min_size=1,
        max_size=6,
    ),
    st.lists(st.one_of(st.text(max_size=9), st.booleans(), st.integers(-(2**40), 2**40), st.floats(-9, 9)), min_size=1),
)
def test_decodes_what_another_library_encoded(geometries, values):
    tile = encode(*((g, {"k": values[i % len(values)]}) for i, g in enumerate(geometries)))
    expected = mapbox_vector_tile.decode(tile, default_options={"y_coord_down": True})["x"]["features"]
    found = list(read_features(tile))
    assert [f.properties for f in found] == [e["properties"] for e in expected]
    for ours, theirs in zip(found, expected, strict=True):
        coordinates = shapely.get_coordinates(shapely.geometry.shape(theirs["geometry"]))
        assert np.concatenate(ours.parts).tolist() == coordinates.tolist()


def test_a_hole_does_not_erase_the_neighbour_that_fills_it():
    ring = shapely.box(0, 0, 4096, 4096) - shapely.box(1000, 1000, 3000, 3000)
    core = shapely.box(1500, 1500, 2500, 2500)
    style = {"type": "single", "fill": "#ff0000"}
    for order in ((ring, core), (core, ring)):
        image = colours(drawn_tile(layer(style), encode(*((g, {}) for g in order)), ext="png"))
        assert image[128, 128].tolist() == [255, 0, 0, 255]
        assert image[75, 128].tolist() == [0, 0, 0, 0]
        assert image[10, 10].tolist() == [255, 0, 0, 255]


def test_classes_by_value_default_and_nothing():
    style = {"type": "categories", "field": "v", "classes": [{"value": 1, "title": T, "fill": "#00ff0080"}]}
    left, right = shapely.box(0, 0, 2048, 4096), shapely.box(2048, 0, 4096, 4096)
    tile = encode((left, {"v": 1}), (right, {"v": 2}))
    image = colours(drawn_tile(layer(style), tile, ext="png"))
    assert image[100, 50].tolist() == [0, 255, 0, 128]
    assert image[100, 200, 3] == 0
    image = colours(drawn_tile(layer(style | {"default": {"fill": "#0000ff"}}), tile, ext="png"))
    assert image[100, 200].tolist() == [0, 0, 255, 255]
    assert drawn_tile(layer(style), encode((right, {"v": 2})), ext="png") is None


def test_overlapping_features_of_one_class_do_not_darken():
    style = {"type": "single", "fill": "#ff000080"}
    box = shapely.box(0, 0, 4096, 4096)
    image = colours(drawn_tile(layer(style), encode((box, {}), (box, {})), ext="png"))
    assert image[5, 5].tolist() == [255, 0, 0, 128]


@pytest.mark.parametrize("size", [256, 512])
def test_line_width_is_css_pixels(size):
    style = {"type": "single", "stroke": "#000000", "width": 4}
    line = shapely.LineString([(0, 2048), (4096, 2048)])
    image = colours(drawn_tile(layer(style), encode((line, {})), ext="png", size=size))
    assert image.shape[:2] == (size, size)
    assert abs(int((image[:, size // 2, 3] > 127).sum()) - 4 * size // 256) <= 1


def test_points_have_their_radius():
    style = {"type": "single", "fill": "#ff0000", "stroke": "#ffffff", "width": 1, "radius": 6}
    image = colours(drawn_tile(layer(style), encode((shapely.Point(2048, 2048), {})), ext="png"))
    rows = np.flatnonzero(image[:, 128, 3])
    assert 12 <= rows.max() - rows.min() + 1 <= 14
    assert image[128, 128].tolist() == [255, 0, 0, 255]
