"""Land along the Yangtze and the Han on the samples, end to end: planted changes, reach and bank, published layers."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from odc.geo.geobox import GeoBox
from pyproj import Geod

from analyses.water.shore.corridor_occupation import bank_zones
from spatial.catalog import load_catalog
from spatial.errors import InvalidParameter
from spatial.grid import cell_areas
from spatial.intake import publish_layer
from spatial.jobs.result import RunResult
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore

SAMPLES = PROJECT_ROOT / "data-samples"
TOWN, PADDY = 12, 1


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    settings = Settings(layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), store="duckdb")
    opened = DataStore.open(settings)
    catalog = load_catalog(settings.layers_dir)
    for name in ("land-use", "land-use-earlier", "yangtze-han", "river-reaches"):
        publish_layer(opened, catalog[name])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def result(store: DataStore) -> RunResult:
    return run_analysis(store, "corridor-change", {}, publish=True)


@pytest.fixture(scope="module")
def planted() -> pd.DataFrame:
    """Cells that were turned back and whose centre lies within a kilometre of the rivers' surface, by hand."""
    with rasterio.open(SAMPLES / "base" / "land-use.tif") as file:
        later, affine = file.read(1), file.transform
    with rasterio.open(SAMPLES / "base" / "land-use-earlier.tif") as file:
        earlier = file.read(1)
    rows, cols = np.nonzero((earlier > 0) & (earlier != later))
    area = cell_areas(GeoBox(later.shape, affine, "EPSG:4490"))
    rivers = shapely.union_all(geopandas.read_file(SAMPLES / "thematic" / "yangtze-han.gpkg").geometry.to_numpy())
    lon, lat = affine.c + (cols + 0.5) * affine.a, affine.f + (rows + 0.5) * affine.e
    near = [_metres(rivers, x, y) for x, y in zip(lon, lat, strict=True)]
    frame = pd.DataFrame(
        {
            "before": earlier[rows, cols],
            "after": later[rows, cols],
            "m": near,
            "km2": area[rows] / 1e6,
            "lon": lon,
            "lat": lat,
        }
    )
    return frame[(frame["m"] > 0) & (frame["m"] < 1000)]


def _metres(rivers: Any, lon: float, lat: float) -> float:
    """Geodesic distance to the nearest place of the surface; 0 inside."""
    here = shapely.Point(lon, lat)
    if rivers.contains(here):
        return 0.0
    shrunk = np.cos(np.deg2rad(lat))
    # The nearest place in a picture that is true to scale here, then the geodesic to it.
    near = shapely.transform(rivers.intersection(here.buffer(0.2)), lambda xy: xy * [shrunk, 1.0])
    if near.is_empty:
        return np.inf
    x, y = shapely.get_coordinates(shapely.ops.nearest_points(near, shapely.Point(lon * shrunk, lat))[0])[0]
    return float(Geod(ellps="GRS80").inv(lon, lat, x / shrunk, y)[2])


def test_exactly_the_planted_changes_are_found(result: RunResult, planted: pd.DataFrame) -> None:
    assert len(planted) > 40
    found = {(r["from"], r["to"]): r for r in result.tables["transition"] if r["from"] != r["to"] and r["cells"]}
    expected = planted.groupby(["before", "after"])["km2"].agg(["count", "sum"])
    assert set(found) == set(expected.index)
    for pair, row in expected.iterrows():
        assert found[pair]["cells"] == row["count"], pair


def test_occupation_by_reach_and_bank_adds_up_to_the_corridor(result: RunResult, planted: pd.DataFrame) -> None:
    rows = pd.DataFrame(result.tables["occupation"])
    common = result.tables["compared"][0]["common_km2"]
    assert rows["later_km2"].sum() == pytest.approx(common, rel=1e-6)
    assert rows["earlier_km2"].sum() == pytest.approx(common, rel=1e-6)
    shares = rows.groupby(["reach", "bank"], dropna=False)["share_percent"].sum()
    assert np.allclose(shares, 100, atol=0.01)
    town = rows[rows["class"] == TOWN]["change_km2"].sum()
    grown = planted.loc[planted["after"] == TOWN, "km2"].sum() - planted.loc[planted["before"] == TOWN, "km2"].sum()
    assert town == pytest.approx(grown, rel=1e-3)
    assert rows["reach"].notna().mean() > 0.9
    assert set(rows["bank"].dropna()) == {"left", "right"}
    assert {f["id"]: f["assessed"] for f in result.factors}["reaches"]


def test_banks_are_published_with_their_change(store: DataStore, result: RunResult, planted: pd.DataFrame) -> None:
    banks = result.frame("banks")
    yichang = banks[banks["reach"] == "长江宜昌段"]
    assert len(yichang) == 2
    assert yichang["built_change_km2"].sum() > 0
    jingzhou = banks[(banks["reach"] == "长江荆州段")]
    cleared = planted[(planted["before"] == TOWN) & (planted["after"] == PADDY)]["km2"].sum()
    grown = planted[(planted["after"] == TOWN) & planted["lon"].between(112.0, 112.5) & (planted["lat"] < 31)][
        "km2"
    ].sum()
    assert jingzhou["built_change_km2"].sum() == pytest.approx(grown - cleared, abs=0.01)
    assert "合成" in store.snapshot().vector(result.layers["banks"]).layer.display_title().zh


def test_left_is_left_of_the_flow() -> None:
    """The Yangtze at Wuhan flows north-east: Hankou stands on its left bank, Wuchang on its right."""
    reaches = geopandas.read_file(SAMPLES / "thematic" / "river-reaches.gpkg")
    zones = bank_zones(reaches, 6000.0, layer="river-reaches")
    assert zones is not None
    number = zones.of(np.array([114.27, 114.33]), np.array([30.60, 30.54]))
    assert [("left" if n % 2 else "right") for n in number] == ["left", "right"]
    assert {zones.reaches[(n - 1) // 2]["water"] for n in number} <= {"长江", "汉江"}


def test_without_a_register_there_is_one_zone(store: DataStore) -> None:
    found = run_analysis(store, "corridor-change", {"reaches": None, "distance_m": 500})
    rows = pd.DataFrame(found.tables["occupation"])
    assert rows["reach"].isna().all()
    assert not {f["id"]: f["assessed"] for f in found.factors}["reaches"]


def test_reaches_without_a_name_are_refused() -> None:
    frame = geopandas.GeoDataFrame({"x": [1]}, geometry=[shapely.LineString([(114, 30), (114.1, 30)])], crs=4490)
    with pytest.raises(InvalidParameter, match="name or code"):
        bank_zones(frame, 3000.0, layer="r")


def test_the_earlier_sample_is_made_again_byte_for_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SAMPLES / "scripts"))
    spec = importlib.util.spec_from_file_location("land_use_earlier", SAMPLES / "scripts" / "land_use_earlier.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "land_use_earlier", made)
    spec.loader.exec_module(made)
    kept: dict[str, np.ndarray] = {}
    monkeypatch.setattr(made, "write_raster", lambda name, values, *rest: kept.update({name: values}))
    made.land_use_earlier()
    with rasterio.open(SAMPLES / "base" / "land-use-earlier.tif") as file:
        assert np.array_equal(file.read(1), kept["base/land-use-earlier"])
