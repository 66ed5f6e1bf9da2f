"""Reading vector deliveries: what is accepted comes out in storage form, what is wrong is named and refused."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from spatial.catalog import Layer
from spatial.errors import CRSMismatch, LayerDefinitionInvalid, LayerEmpty, QualityViolation, SourceUnreadable
from spatial.intake import features
from spatial.settings import PROJECT_ROOT

WINDOW = features.read_window(PROJECT_ROOT / "layers")
SQUARES = [shapely.box(114, 30, 114.1, 30.1), shapely.box(114.1, 30, 114.2, 30.1)]


def read_features(layer, path, container_layer):
    return features.read_features(layer, path, container_layer, window=WINDOW)


def layer(**changes):
    document = {
        "id": "parcels",
        "title": {"zh": "地块", "en": "Parcels"},
        "description": {"zh": "测试", "en": "test"},
        "theme": ["base"],
        "kind": "vector",
        "source": {
            "uri": "parcels.gpkg",
            "version": "1",
            "sha256": "0" * 64,
            "licence": "CC0",
            "attribution": {"zh": "自制", "en": "own"},
            "origin": "test",
        },
        "fields": [
            {"name": "code", "type": "integer", "title": {"zh": "代码", "en": "Code"}, "nullable": False},
            {
                "name": "kind",
                "type": "string",
                "title": {"zh": "类", "en": "Kind"},
                "domain": {"a": {"zh": "甲", "en": "A"}, "b": {"zh": "乙", "en": "B"}},
            },
        ],
        "style": {"type": "single", "fill": "#ff0000"},
    }
    return Layer.model_validate(document | changes)


def write(path, geometry=None, crs=4490, **columns):
    columns = columns or {"code": [20, 10], "kind": ["a", "b"]}
    frame = gpd.GeoDataFrame(columns, geometry=SQUARES if geometry is None else geometry, crs=crs)
    frame.to_file(path, driver="GPKG", layer="parcels")
    return path


def test_clean_source_becomes_storage_form(tmp_path):
    frame = read_features(layer(), write(tmp_path / "p.gpkg"), "parcels")
    assert frame.crs.to_epsg() == 4490
    assert frame.index.tolist() == [1, 2]
    assert frame["code"].tolist() == [20, 10]


def test_ids_come_from_the_declared_field_in_order(tmp_path):
    frame = read_features(layer(id_field="code"), write(tmp_path / "p.gpkg"), None)
    assert frame.index.tolist() == [10, 20]
    assert frame.geometry.iloc[0].bounds[0] == 114.1


def test_gauss_krueger_delivery_is_stored_in_longitude_and_latitude(tmp_path):
    """The common field case: 3° zone with number, northing and easting on paper, x first in the file."""
    projected = gpd.GeoSeries(SQUARES, crs=4490).to_crs(4526)
    assert projected.total_bounds[0] > 38_000_000
    path = write(tmp_path / "p.gpkg", geometry=list(projected), crs=4526)
    frame = read_features(layer(crs="EPSG:4526"), path, None)
    assert frame.total_bounds == pytest.approx([114, 30, 114.2, 30.1], abs=2e-9)
    coordinates = shapely.get_coordinates(frame.geometry.array)
    assert (coordinates == np.round(coordinates, 9)).all()


def test_broken_polygon_is_repaired_and_mixed_parts_become_multi(tmp_path):
    bow_tie = shapely.Polygon([(114, 30), (114.1, 30.1), (114.1, 30), (114, 30.1)])
    frame = read_features(layer(), write(tmp_path / "p.gpkg", geometry=[bow_tie, SQUARES[1]]), None)
    assert frame.geometry.is_valid.all()
    assert set(frame.geom_type) == {"MultiPolygon"}


def test_naive_times_are_shanghai_times(tmp_path):
    fields = [{"name": "at", "type": "datetime", "title": {"zh": "时间", "en": "Time"}}]
    path = write(tmp_path / "p.gpkg", at=pd.to_datetime(["2024-07-01 08:00", "2024-07-01 00:30"]))
    frame = read_features(layer(fields=fields), path, None)
    assert [t.isoformat() for t in frame["at"]] == ["2024-07-01T00:00:00+00:00", "2024-06-30T16:30:00+00:00"]


CASES = {
    "no crs": ({"crs": None}, {}, CRSMismatch, "坐标系"),
    "another crs than declared": ({"crs": 3857}, {}, CRSMismatch, "Mercator"),
    "latitude first in the file": (
        {"geometry": [shapely.box(30, 114, 30.1, 114.1)] * 2, "crs": 4490},
        {},
        QualityViolation,
        "轴序",
    ),
    "field missing": ({"code": [1, 2]}, {}, QualityViolation, "kind"),
    "code outside its domain": ({"code": [1, 2], "kind": ["a", "z"]}, {}, QualityViolation, "值域"),
    "not an integer": ({"code": ["x", "2"], "kind": ["a", "b"]}, {}, QualityViolation, "integer"),
    "missing in a required field": ({"code": [1, None], "kind": ["a", "b"]}, {}, QualityViolation, "空值"),
    "id repeats": ({"code": [1, 1], "kind": ["a", "b"]}, {"id_field": "code"}, QualityViolation, "不重复"),
    "geometry missing": ({"geometry": [None, SQUARES[0]]}, {}, QualityViolation, "没有几何"),
    "mixed dimensions": ({"geometry": [shapely.Point(114, 30), SQUARES[0]]}, {}, QualityViolation, "几何类型"),
    "overlap in a coverage": (
        {"geometry": [SQUARES[0], shapely.box(114.05, 30, 114.2, 30.1)]},
        {"quality": {"coverage": True}},
        QualityViolation,
        "重叠",
    ),
    "fewer than required": ({}, {"quality": {"min_features": 3}}, QualityViolation, "少于"),
}


@pytest.mark.parametrize(("source", "definition", "kind", "says"), CASES.values(), ids=CASES)
def test_wrong_deliveries_are_refused_by_name(tmp_path, source, definition, kind, says):
    path = write(tmp_path / "p.gpkg", **source)
    with pytest.raises(kind, match=says) as caught:
        read_features(layer(**definition), path, None)
    assert caught.value.layer == "parcels"


def test_empty_and_damaged_sources(tmp_path):
    with pytest.raises(LayerEmpty):
        read_features(layer(), write(tmp_path / "e.gpkg", geometry=[], code=[], kind=[]), None)
    (tmp_path / "bad.gpkg").write_bytes(b"not a database")
    with pytest.raises(SourceUnreadable, match=r"bad\.gpkg"):
        read_features(layer(), tmp_path / "bad.gpkg", None)
    with pytest.raises(SourceUnreadable):
        read_features(layer(), write(tmp_path / "p.gpkg"), "no_such_layer")


@pytest.mark.parametrize("text", [None, "window: {}", "window: {west: 2, south: 0, east: 1, north: 1}", "[broken"])
def test_without_the_window_rule_nothing_is_read(tmp_path, text):
    (tmp_path / "rules").mkdir()
    if text is not None:
        (tmp_path / "rules" / "intake.yml").write_text(text, "utf-8")
    with pytest.raises(LayerDefinitionInvalid, match=r"intake\.yml"):
        features.read_window(tmp_path)


def test_the_window_holds_the_province_with_a_margin():
    province = gpd.read_file(PROJECT_ROOT / "data-samples" / "base" / "province.gpkg").total_bounds
    assert WINDOW[0] < province[0] - 0.3
    assert WINDOW[1] < province[1] - 0.3
    assert WINDOW[2] > province[2] + 0.3
    assert WINDOW[3] > province[3] + 0.3
