"""The benchmark's data are the same every time and never overlap; the README quotes the SQL that is run."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import shapely

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
COUNT = 1500


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    # Registered under its own name only while the test runs: `data` and `report` are common names.
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


def test_parcels_are_the_same_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load("data", monkeypatch)
    first, again, other = data.parcels(COUNT), data.parcels(COUNT), data.parcels(COUNT, seed=1)
    assert first.to_wkb().equals(again.to_wkb())
    assert not (first.to_wkb()["geometry"] == other.to_wkb()["geometry"]).any()
    assert list(first.index) == list(range(1, COUNT + 1))


def test_parcels_do_not_overlap_and_lie_in_hubei(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load("data", monkeypatch)
    frame = data.parcels(COUNT)
    geometry = frame.geometry.to_numpy()
    left, right = shapely.STRtree(geometry).query(geometry, predicate="intersects")
    assert (left == right).all()  # each meets itself only
    assert len(left) == COUNT
    assert shapely.is_valid(geometry).all()
    assert 28 < shapely.get_num_coordinates(geometry).mean() < 34
    assert len(frame.columns) - 1 == 11
    province = shapely.union_all(
        data.geopandas.read_file(data.ROOT / "data-samples" / "base" / "province.gpkg").geometry.values
    )
    shapely.prepare(province)
    assert shapely.contains_properly(province, geometry).all()


def test_points_are_the_same_every_time_and_lie_in_hubei(monkeypatch: pytest.MonkeyPatch) -> None:
    data = load("data", monkeypatch)
    first, again = data.points(COUNT), data.points(COUNT)
    assert first.to_wkb().equals(again.to_wkb())
    x, y = shapely.get_coordinates(first.geometry.values).T
    assert np.all((x > 108.3) & (x < 116.2) & (y > 29.0) & (y < 33.4))


def test_layers_fit_the_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial.store.published_frame import prepare

    data = load("data", monkeypatch)
    assert prepare(data.parcels_layer(), data.parcels(COUNT)).geometry_type == "Polygon"
    assert prepare(data.points_layer(), data.points(COUNT)).geometry_type == "Point"


def test_statements_name_the_published_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial.settings import Settings
    from spatial.store.published_frame import table_name

    data = load("data", monkeypatch)
    statements = load("cells", monkeypatch).statements()
    schema = Settings.model_fields["postgis_schema"].default
    tables = {f"{schema}.{table_name(layer.id, '1')}" for layer in (data.parcels_layer(), data.points_layer())}
    assert {name for text in statements.values() for name in re.findall(r"FROM (\w+\.\w+)", text)} == tables
    features = [text for name, text in statements.items() if name != "tile"]
    assert all("json_build_object" in text and "ST_AsGeoJSON(geom, 9)" in text for text in features)
    assert "ST_AsMVT(" in statements["tile"]


def test_readme_quotes_the_statements_and_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (BENCHMARKS / "README.md").read_text("utf-8")
    quoted = re.search(r"<!-- raw\.sql begin -->\n```sql\n(.*?)\n```\n<!-- raw\.sql end -->", readme, re.DOTALL)
    assert quoted is not None
    assert quoted[1] == (BENCHMARKS / "raw.sql").read_text("utf-8").strip()
    results = json.loads((BENCHMARKS / "results.json").read_text("utf-8"))
    assert load("report", monkeypatch).tables(results) in readme


def test_readme_quotes_the_analysis_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("report", "analysis_chain", "analysis_province"):
        load(name, monkeypatch)
    readme = (BENCHMARKS / "README.md").read_text("utf-8")
    for name, table in load("analysis_report", monkeypatch).tables().items():
        assert f"<!-- {name} begin -->\n{table}\n<!-- {name} end -->" in readme


def test_readme_quotes_the_water_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("report", "water_extent"):
        load(name, monkeypatch)
    readme = (BENCHMARKS / "README.md").read_text("utf-8")
    for name, table in load("water_report", monkeypatch).tables().items():
        assert f"<!-- {name} begin -->\n{table}\n<!-- {name} end -->" in readme


def test_windows_of_the_benchmark_province_have_their_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    from affine import Affine
    from odc.geo.geobox import GeoBox

    from spatial.jobs.inputs import window_of

    province = load("analysis_province", monkeypatch)
    affine = Affine(province.CELL, 0, province.WEST, 0, -province.CELL, province.NORTH)
    grid = GeoBox((province.ROWS, province.COLS), affine, "EPSG:4490")
    for size, (rows, cols) in province.SIZES.items():
        assert window_of(grid, province.bbox(size))[2:] == (rows, cols)
