"""The analysis on the sample data of Hubei, through store and runner: does the map look like the province?

The bounds are those that open data can carry (30″ elevation, synthetic roads): docs/methods/urban-suitability.md, §7.
Shares are of land: whole lakes are 不适宜 by rule and would hide the mountains from the plain.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from analyses.suitability import UrbanSuitability
from spatial.catalog import load_catalog
from spatial.errors import InvalidParameter
from spatial.intake import publish_layer
from spatial.jobs.result import RunResult
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    settings = Settings(
        layers_dir=PROJECT_ROOT / "layers",
        var_dir=tmp_path_factory.mktemp("var"),
        store="duckdb",
    )
    opened = DataStore.open(settings)
    catalog = load_catalog(settings.layers_dir)
    for spec in UrbanSuitability.inputs:
        publish_layer(opened, catalog[spec.layer])
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=["province", "county"])
def result(request: pytest.FixtureRequest, store: DataStore, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    out = tmp_path_factory.mktemp("out") / "class.tif"
    return run_analysis(store, "urban-suitability", {"location_row": request.param}, out=out)


def land_share(result: RunResult, counties: pd.Series) -> float:
    """Share of 不适宜 on land, %, of these units."""
    rows = result.table("by_county").set_index("code").loc[counties.astype(str)]
    water = rows["water_surface_km2"].sum()
    return float(100 * (rows["unsuitable_km2"].sum() - water) / (rows["assessed_km2"].sum() - water))


@pytest.fixture(scope="module")
def units(store: DataStore) -> pd.DataFrame:
    import geopandas

    source = store.snapshot().catalog["counties"].source
    return geopandas.read_file(store.settings.data_dir / source.path, layer=source.container_layer)


def test_every_role_found_its_layer(result: RunResult) -> None:
    assert result.provenance["missing_inputs"] == []
    # One of two water indicators is chosen; no layer tells the quality of water.
    assert result.not_assessed == ["water-quota", "water-environment"]


def test_mountains_are_unsuitable_and_the_plain_is_not(result: RunResult, units: pd.DataFrame) -> None:
    share = {name: land_share(result, group["code"]) for name, group in units.groupby("prefecture")}
    assert share["神农架林区"] >= 65
    assert share["恩施土家族苗族自治州"] >= 30
    assert share["荆州市"] <= 2


def test_towns_stand_on_better_land_than_the_province(result: RunResult, store: DataStore) -> None:
    import geopandas

    source = store.snapshot().catalog["settlements"].source
    towns = geopandas.read_file(store.settings.data_dir / source.path, layer=source.container_layer)
    with rasterio.open(result.rasters["class"]) as raster:
        points = zip(towns.geometry.x, towns.geometry.y, strict=True)
        classes = np.array([values[0] for values in raster.sample(points, indexes=1)])
    classes = classes[classes > 0]
    assert classes.size > 900
    totals = result.table("totals").set_index("class")["percent"]
    assert 100 * (classes < 3).mean() >= 10 + totals[1] + totals[2]


def test_areas_are_the_whole_province(result: RunResult) -> None:
    rows = result.table("by_county")
    assert len(rows) == 103
    assert rows["assessed_km2"].sum() == pytest.approx(rows["unit_km2"].sum(), rel=1e-5)
    assert rows["assessed_km2"].sum() == pytest.approx(185_900, rel=0.002)  # the official figure
    assert result.table("totals")["km2"].sum() == pytest.approx(rows["assessed_km2"].sum(), rel=1e-7)


def test_a_window_equals_the_province(store: DataStore, result: RunResult, tmp_path: Path) -> None:
    """Every factor, and the classes without patches; patches end at the window, and a note says so."""
    row = {"location_row": result.provenance["parameters"]["location_row"]}
    window = {"bbox": (111.0, 30.2, 112.1, 31.0)}
    local = {"apply_patches": False}
    pairs = [
        ("factors", result, run_analysis(store, "urban-suitability", row | window, out=tmp_path / "a.tif")),
        (
            "class",
            run_analysis(store, "urban-suitability", row | local, out=tmp_path / "b.tif"),
            run_analysis(store, "urban-suitability", row | local | window, out=tmp_path / "c.tif"),
        ),
    ]
    for name, province, part in pairs:
        with rasterio.open(province.rasters[name]) as whole, rasterio.open(part.rasters[name]) as inner:
            place = inner_window(whole, inner)
            assert np.array_equal(whole.read(window=place), inner.read(), equal_nan=True)
    assert any("截断" in note["zh"] for note in pairs[0][2].notes)


def inner_window(whole: rasterio.DatasetReader, inner: rasterio.DatasetReader) -> rasterio.windows.Window:
    row, col = whole.index(inner.bounds.left + 1e-6, inner.bounds.top - 1e-6)
    return rasterio.windows.Window(col, row, inner.width, inner.height)


BOXES = {
    "outside the elevation model": ((100.0, 20.0, 101.0, 21.0), "不相交", "outside the base raster"),
    "outside the province": ((108.4, 33.0, 108.6, 33.2), "没有县级单元", "no county unit"),
    "no area": ((112.0, 30.0, 112.0, 30.0), "没有面积", "no area"),
    "reversed": ((113.0, 30.0, 112.0, 31.0), "次序颠倒", "reversed"),
    "metres": ((500000.0, 3300000.0, 510000.0, 3310000.0), "±180", "±180"),
    "smaller than a cell": ((112.0, 30.0, 112.001, 30.001), "小于一个像元", "smaller than a cell"),
}


@pytest.mark.parametrize("name", BOXES)
def test_a_wrong_box_is_said_in_both_languages(store: DataStore, tmp_path: Path, name: str) -> None:
    box, zh, en = BOXES[name]
    with pytest.raises(InvalidParameter) as caught:
        run_analysis(store, "urban-suitability", {"bbox": box}, out=tmp_path / "x.tif")
    assert zh in caught.value.zh
    assert en in caught.value.en
    assert caught.value.details["parameter"] == "bbox"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["outside the province", "reversed", "smaller than a cell"])
def test_a_wrong_box_on_the_command_line(store: DataStore, tmp_path: Path, name: str) -> None:
    box, zh, _ = BOXES[name]
    done = subprocess.run(
        [sys.executable, "-m", "spatial.cli", "run", "urban-suitability", "--bbox", ",".join(map(str, box))],
        env=os.environ
        | {
            "ONEMAP_VAR_DIR": str(store.settings.var_dir),
            "ONEMAP_STORE": "duckdb",
            "LANG": "zh_CN.UTF-8",
            "LC_ALL": "",
        },
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert zh in done.stderr
    assert done.stdout == ""
