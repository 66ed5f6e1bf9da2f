"""Styles: what is refused and how it says so; colours from the same object everywhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spatial.catalog import Attribute, Band, Layer, Source
from spatial.errors import LayerDefinitionInvalid
from spatial.settings import PROJECT_ROOT
from tiles.render import colourise
from tiles.styles import Classes, Graduated, Hillshade, Ramp, Stop, ramp_colours, rgba, style_of

T = {"zh": "甲", "en": "a"}
SOURCE = Source(uri="x.gpkg", version="1", sha256="0" * 64, licence="CC0-1.0", attribution=T, origin="test")


def vector(style, **more):
    fields = (
        Attribute(name="level", type="integer", title=T),
        Attribute(name="name", type="string", title=T),
    )
    common = {"id": "zones", "title": T, "description": T, "theme": ("base",), "kind": "vector", "source": SOURCE}
    return Layer(**common, fields=fields, style=style, **more)


def raster(style):
    bands = tuple(Band(name=n, title=T, valid_range=(0, 1)) for n in ("jan", "feb"))
    return Layer(
        id="rain", title=T, description=T, theme=("base",), kind="raster", source=SOURCE, bands=bands, style=style
    )


STOPS = [{"value": 0, "color": "#000000"}, {"value": 10, "color": "#ffffff"}]
CLASSES = [{"value": 1, "color": "#000000", "title": T}]


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (vector({"type": "singel"}), "did you mean single"),
        (raster({"type": "classes", "classes": CLASSES, "bands": {"fob": CLASSES}}), "did you mean feb"),
        (raster({"type": "classes", "classes": CLASSES, "bands": {"feb": CLASSES * 2}}), "stands twice"),
        (raster({"type": "classes", "classes": CLASSES, "bands": {"feb": []}}), "bands.feb"),
        (vector({}), "use one of single"),
        (vector({"type": "ramp", "stops": STOPS}), "no type 'ramp'"),
        (vector({"type": "single", "fil": "#000000"}), "did you mean fill"),
        (vector({"type": "single", "fill": "red"}), "fill: String should match"),
        (vector({"type": "single", "width": -1}), "width: Input should be greater"),
        (vector({"type": "categories", "field": "lvel", "classes": [{"value": 1, "title": T}]}), "did you mean level"),
        (vector({"type": "categories", "field": "level", "classes": []}), "classes"),
        (vector({"type": "categories", "field": "level", "classes": [{"value": 1, "title": T}] * 2}), "stands twice"),
        (vector({"type": "categories", "field": "level", "classes": [{"value": 1}]}), "classes.0.title"),
        (vector({"type": "single", "label": {"field": "nam"}}), "did you mean name"),
        (vector({"type": "single", "label": {"field": "name"}}, tile_fields=("level",)), "tile_fields"),
        (
            vector({"type": "graduated", "field": "name", "classes": [{"min": 0, "max": 1, "title": T}]}),
            "not numeric",
        ),
        (
            vector({"type": "graduated", "field": "level", "classes": [{"min": 1, "max": 1, "title": T}]}),
            "must be below",
        ),
        (
            vector(
                {
                    "type": "graduated",
                    "field": "level",
                    "classes": [{"min": 0, "max": 5, "title": T}, {"min": 4, "max": 9, "title": T}],
                }
            ),
            "must not overlap",
        ),
        (raster({"type": "ramp", "band": "fen", "stops": STOPS}), "did you mean feb"),
        (raster({"type": "ramp", "stops": STOPS[::-1]}), "must ascend"),
        (raster({"type": "ramp", "stops": STOPS[:1]}), "at least 2"),
        (raster({"type": "ramp", "stops": [*STOPS, {"value": float("nan"), "color": "#000000"}]}), "finite"),
        (raster({"type": "classes", "classes": [{"value": 1, "color": "#000000", "title": T}] * 2}), "stands twice"),
        (raster({"type": "hillshade", "azimut": 3}), "did you mean azimuth"),
        (raster({"type": "hillshade", "altitude": 0}), "greater than 0"),
        (raster({"type": "single", "fill": "#000000"}), "no type 'single'"),
    ],
)
def test_bad_styles_name_layer_place_and_remedy(layer, words):
    with pytest.raises(LayerDefinitionInvalid) as caught:
        style_of(layer)
    assert words in caught.value.en
    assert layer.id in caught.value.zh
    assert layer.id in caught.value.en


def test_symbols_by_value_and_interval():
    style = style_of(
        vector(
            {
                "type": "graduated",
                "field": "level",
                "classes": [{"max": 1, "title": T, "fill": "#000001"}, {"min": 1, "title": T, "fill": "#000002"}],
                "default": {"fill": "#000003"},
            }
        )
    )
    assert isinstance(style, Graduated)
    assert [style.symbol(v).fill for v in (-5, 0.999, 1, 7, None, "x", True)] == [
        *["#000001"] * 2,
        *["#000002"] * 2,
        *["#000003"] * 3,
    ]


def test_class_codes_not_listed_and_nodata_are_transparent():
    style = Classes(
        type="classes",
        classes=[{"value": 200, "color": "#0a0b0c", "title": T}, {"value": 3, "color": "#01020380", "title": T}],
    )
    values = np.array([[3, 200, 4], [3, 255, 0]], dtype=np.uint8)
    mask = np.array([[False, False, False], [True, False, False]])
    assert colourise(style, values, mask).tolist() == [
        [[1, 2, 3, 128], [10, 11, 12, 255], [0, 0, 0, 0]],
        [[0, 0, 0, 0]] * 3,
    ]


def test_float_codes_match_exactly_or_not_at_all():
    style = Classes(type="classes", classes=[{"value": 1, "color": "#ff0000", "title": T}])
    out = colourise(style, np.array([[1.0, 1.4, 0.9]]), np.zeros((1, 3), bool))
    assert out[0, :, 3].tolist() == [255, 0, 0]


def test_level_ground_keeps_the_colour_of_the_tint():
    style = Hillshade(type="hillshade", tint=[{"value": 0, "color": "#336699"}, {"value": 9, "color": "#ffffff"}])
    flat = np.full((1, 1), np.sin(np.radians(45)), np.float32)
    out = colourise(style, np.zeros((1, 1)), np.zeros((1, 1), bool), flat)
    assert out[0, 0].tolist() == [0x33, 0x66, 0x99, 255]


@given(
    st.lists(st.floats(-1e4, 1e4).map(lambda v: round(v, 2)), min_size=2, max_size=6, unique=True).map(sorted),
    st.floats(-2e4, 2e4),
)
def test_a_ramp_hits_its_stops_and_never_leaves_them(at, value):
    stops = [Stop(value=v, color=f"#{(i * 40):02x}10{255 - i * 40:02x}") for i, v in enumerate(at)]
    exact = ramp_colours(stops, np.array(at))
    assert [tuple(c) for c in exact.tolist()] == [rgba(s.color) for s in stops]
    one = ramp_colours(stops, np.array([value]))[0]
    assert exact.min(axis=0)[0] <= one[0] <= exact.max(axis=0)[0]


def test_every_layer_of_the_project_has_a_valid_style():
    from spatial.catalog import load_catalog

    catalog = load_catalog(PROJECT_ROOT / "layers")
    assert len(catalog) > 0
    for layer in catalog.values():
        style_of(layer)


def test_ramp_title_is_optional_and_stops_keep_alpha():
    style = style_of(raster({"type": "ramp", "stops": [{"value": 0, "color": "#00000000"}, STOPS[1]]}))
    assert isinstance(style, Ramp)
    assert ramp_colours(style.stops, np.array([0.0]))[0].tolist() == [0, 0, 0, 0]
