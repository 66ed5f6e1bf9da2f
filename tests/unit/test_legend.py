"""Legends say what the style draws, in two languages, and are pictures of a sane size."""

import io

import pytest
from PIL import Image

from spatial.catalog import Attribute, Band, Layer, Source, Synthetic
from tiles import legend
from tiles.legend import legend_document, legend_entries, legend_picture

T = {"zh": "级别", "en": "level"}
SOURCE = Source(uri="x", version="1", sha256="0" * 64, licence="CC0-1.0", attribution=T, origin="test")
STOPS = [{"value": 0, "color": "#00ff00"}, {"value": 3000, "color": "#804020"}]


def layer(kind, style, **more):
    parts = {
        "vector": {"fields": (Attribute(name="level", type="number", title=T, unit="km²"),)},
        "raster": {"bands": (Band(name="z", title={"zh": "高程", "en": "elevation"}, unit="m", valid_range=(0, 9)),)},
    }[kind]
    common = {"id": "x", "title": {"zh": "标题", "en": "title"}, "description": T, "theme": ("base",), "source": SOURCE}
    return Layer(**common, kind=kind, style=style, **parts, **more)


CATEGORIES = {
    "type": "categories",
    "field": "level",
    "classes": [{"value": 1, "title": T, "stroke": "#ff0000", "width": 2}],
    "default": {"fill": "#cccccc"},
}


@pytest.mark.parametrize(
    ("geometry", "shape"), [("MultiPolygon", "polygon"), ("MultiLineString", "line"), ("Point", "point")]
)
def test_vector_entries_have_the_shape_of_the_geometry(geometry, shape):
    entries = legend_entries(layer("vector", CATEGORIES), geometry)
    assert [e["shape"] for e in entries] == [shape, shape]
    assert entries[0]["color"] == "#ff0000"
    assert entries[0]["value"] == 1
    assert entries[1]["label"] == {"zh": "其他", "en": "Other"}


def test_single_style_is_named_by_the_layer():
    (entry,) = legend_entries(layer("vector", {"type": "single", "fill": "#0000ff"}), "Polygon")
    assert entry["label"] == {"zh": "标题", "en": "title"}
    assert entry["color"] == entry["fill"] == "#0000ff"


def test_graduated_entries_carry_bounds_and_unit():
    style = {"type": "graduated", "field": "level", "classes": [{"min": 1, "max": 2, "title": T, "fill": "#0000ff"}]}
    (entry,) = legend_entries(layer("vector", style), "Polygon")
    assert (entry["min"], entry["max"], entry["unit"]) == (1, 2, "km²")


def test_ramp_and_tint_carry_stops_and_unit():
    (ramp,) = legend_entries(layer("raster", {"type": "ramp", "stops": STOPS}))
    (tint,) = legend_entries(layer("raster", {"type": "hillshade", "tint": STOPS}))
    assert ramp["stops"] == tint["stops"] == STOPS
    assert ramp["unit"] == "m"
    assert ramp["label"] == {"zh": "高程", "en": "elevation"}


def test_synthetic_layers_say_so():
    made = layer("raster", {"type": "ramp", "stops": STOPS}, synthetic=Synthetic(seed=1, recipe=T))
    document = legend_document(made, "1")
    assert document["synthetic"] is True
    assert "合成" in document["title"]["zh"]
    assert "synthetic" in document["title"]["en"]


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize(
    ("kind", "style", "geometry"),
    [
        ("vector", CATEGORIES, "Polygon"),
        ("vector", CATEGORIES, "LineString"),
        ("vector", CATEGORIES, "Point"),
        ("raster", {"type": "ramp", "stops": STOPS}, None),
        ("raster", {"type": "hillshade"}, None),
        ("raster", {"type": "classes", "classes": [{"value": 1, "color": "#123456", "title": T}]}, None),
    ],
)
def test_picture_shows_the_colours(kind, style, geometry, language):
    document = legend_document(layer(kind, style), "1", geometry)
    picture = Image.open(io.BytesIO(legend_picture(document, language)))
    assert picture.width <= 900
    colours = {c for _, c in picture.getcolors(100_000)}
    expected = document["entries"][0]["color"]
    assert tuple(bytes.fromhex(expected[1:])) in colours


def test_without_a_chinese_font_the_picture_is_english(monkeypatch):
    monkeypatch.setattr(legend, "chinese_font", lambda: None)
    document = legend_document(layer("raster", {"type": "ramp", "stops": STOPS}), "1")
    assert legend_picture(document, "zh") == legend_picture(document, "en")
