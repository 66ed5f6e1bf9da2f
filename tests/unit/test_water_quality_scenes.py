"""Water quality over a collection with known truth, through store and runner: series, bloom, refusals, bad scenes."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml

from analyses.water.extent.rules import water_extent_rules
from analyses.water.quality.rules import optical_rules
from analyses.water.quality.scene_source import inspect_optical, local_day
from spatial.catalog import load_catalog
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.intake import publish_layer
from spatial.jobs.contract import SceneBand, SceneRecord
from spatial.jobs.result import RunResult
from spatial.jobs.run import run_analysis
from spatial.scenes.collection import open_collection
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore

ID = "small-optical-scenes"
DATES = (
    *(datetime(2024, month, 8, 3, tzinfo=UTC) for month in (1, 3, 4, 5, 6, 7, 8)),
    datetime(2024, 8, 23, 3, tzinfo=UTC),
    *(datetime(2024, month, 8, 3, tzinfo=UTC) for month in (9, 10, 11, 12)),
)
BAD = {0: "all-cloud", 3: "twice", 9: "no-kind", 10: "no-rededge1", 11: "not-scaled"}


def generator() -> Any:
    """The program that makes the sample scenes, as a module."""
    name, path = "lake_optical_scenes", PROJECT_ROOT / "data-samples" / "scripts" / "lake_optical_scenes.py"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A year of Futou Lake (斧头湖) with five bad scenes; beside it, collections made from one of its clear scenes."""
    made, folder = generator(), tmp_path_factory.mktemp("scenes")
    made.make(made.Recipe(ID, "小湖（合成）", "Small lake (synthetic)", "斧头湖", DATES, bad=BAD), folder)
    variant(
        folder,
        "surface-scenes",
        lambda p: p.update({"onemap:reflectance": "surface"}) or p.pop("onemap:reflectance_bands"),
    )
    variant(
        folder, "toa-scenes", lambda p: p.update({"onemap:reflectance": "toa"}) or p.pop("onemap:reflectance_bands")
    )
    variant(folder, "water-only-scenes", lambda p: p.pop("onemap:reflectance_bands"))
    variant(folder, "no-sensor-scenes", lambda p: p.pop("onemap:sensor"))
    variant(folder, "unmasked-scenes", lambda p: None, without="scl")
    return folder


def variant(folder: Path, name: str, change: Callable[[dict[str, Any]], Any], without: str | None = None) -> None:
    """One scene of July with other properties."""
    source, target = folder / ID, folder / name
    scene = "small-optical-20240708"
    shutil.copytree(source / "data" / scene, target / "data" / scene)
    (target / "items").mkdir()
    item = json.loads((source / "items" / f"{scene}.json").read_text("utf-8"))
    change(item["properties"])
    if without:
        del item["assets"][without]
    item["collection"] = name
    (target / "items" / f"{scene}.json").write_text(json.dumps(item), "utf-8")
    document = json.loads((source / "collection.json").read_text("utf-8")) | {"id": name}
    (target / "collection.json").write_text(json.dumps(document), "utf-8")


@pytest.fixture(scope="module")
def store(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    settings = Settings(
        layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), scenes_path=scenes, store="duckdb"
    )
    opened = DataStore.open(settings)
    publish_layer(opened, load_catalog(settings.layers_dir)["lakes"])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def result(store: DataStore) -> RunResult:
    parameters = {"collection": ID, "stations": None, "estimates": ["turbidity_nechad"]}
    return run_analysis(store, "water-quality-scenes", parameters, publish=True)


@pytest.fixture(scope="module")
def truth(scenes: Path) -> dict[str, dict[str, Any]]:
    rows = json.loads((scenes / ID / "truth.json").read_text("utf-8"))["scenes"]
    return {row["scene"]: row for row in rows}


@pytest.fixture(scope="module")
def lake(result: RunResult) -> pd.DataFrame:
    frame = pd.DataFrame(result.tables["series"])
    return frame[frame["lake"] == "斧头湖"].set_index("scene")


def test_bad_scenes_are_listed_by_name_and_left_out(result: RunResult) -> None:
    rows = {row["scene"]: row for row in result.tables["scenes"]}
    left = {name[-8:]: row["codes"] for name, row in rows.items() if not row["used"]}
    assert left == {
        "20240108": ["all-cloud"],
        "240508-b": ["duplicate-date"],
        "20241008": ["refused"],
        "20241208": ["scale"],
    }
    assert rows["small-optical-20241108"]["codes"] == ["missing-band"]
    assert rows["small-optical-20241108"]["used"]
    assert "onemap:reflectance" in rows["small-optical-20241008"]["reason_en"]
    assert "digital numbers" in rows["small-optical-20241208"]["reason_en"]
    assert "NDCI" in rows["small-optical-20241108"]["reason_zh"]
    assert all(row["reason_zh"] and row["reason_en"] for row in rows.values() if row["codes"])


def test_median_ndci_is_the_planted_one(lake: pd.DataFrame, truth: dict[str, dict[str, Any]]) -> None:
    apart = [abs(row["ndci"] - truth[scene]["ndci"]) for scene, row in lake.iterrows() if row["ndci"] == row["ndci"]]
    assert len(apart) == 8  # of the open water, on the two dates with a bloom too
    assert max(apart) < 0.003
    known = lake.dropna(subset=["ndci"])
    assert (known["ndci_q1"] <= known["ndci"]).all()
    assert (known["ndci"] <= known["ndci_q3"]).all()
    # Chlorophyll was planted highest in August; the index ranks the dates as it does.
    calm = known[known["bloom_percent"] == 0]
    planted = [truth[scene]["chl_a"] for scene in calm.index]
    assert np.corrcoef(np.log(planted), calm["ndci"])[0, 1] > 0.99


def test_a_missing_band_leaves_its_index_out_on_that_date_only(lake: pd.DataFrame) -> None:
    row = lake.loc["small-optical-20241108"]
    assert row["ndci"] != row["ndci"]
    assert row["level"] != row["level"]
    assert row["fai"] == row["fai"]
    assert row["flags"] == "missing-band"


def test_bloom_share_and_grade_in_august_only_plants_are_none(
    lake: pd.DataFrame, truth: dict[str, dict[str, Any]], result: RunResult
) -> None:
    for scene, row in lake.iterrows():
        if row["bloom_percent"] == row["bloom_percent"]:
            assert row["bloom_percent"] == pytest.approx(truth[scene]["bloom_percent"], abs=2.5), scene
    august = lake[[name for name in lake.columns if name == "bloom_percent"]].loc["small-optical-20240808"]
    assert august["bloom_percent"] > 10
    assert lake.loc["small-optical-20240708", "grade"] == 1
    reasons = {row["title_en"]: row["cells"] for row in result.tables["reasons"]}
    assert reasons["macrophytes"] > 0
    assert {f["id"]: f["assessed"] for f in result.factors}["macrophytes"]


def test_a_bloom_is_an_alert_confirmed_by_the_second_look_with_its_two_scenes(result: RunResult) -> None:
    (alert,) = [row for row in result.tables["alerts"] if row["lake"] == "斧头湖"]
    assert (alert["state"], alert["observations"], alert["threshold_percent"]) == ("ended", 2, 10)
    assert (alert["time"][:10], alert["confirmed"][:10], alert["ended"][:10]) == (
        "2024-08-08",
        "2024-08-23",
        "2024-09-08",
    )
    assert (alert["scene_before"], alert["scene_after"]) == ("small-optical-20240708", "small-optical-20240808")
    assert alert["scene_collection"] == ID
    assert result.frame("alerts").geometry.geom_type.isin(["Polygon", "MultiPolygon"]).all()


def test_rasters_have_a_band_a_date_and_agree_with_the_series(result: RunResult, lake: pd.DataFrame) -> None:
    with rasterio.open(result.rasters["index"]) as file:
        assert file.count == 8  # of nine dates one has no red edge
        assert file.descriptions[5] == "d20240808"
        ndci = file.read(5)
    with rasterio.open(result.rasters["level"]) as file:
        level = file.read()
    assert set(np.unique(level)) <= {0, 1, 2, 3, 4, 5, 6, 7, 255}
    assert (level[5] == 7).sum() > 0
    assert not (level[4] == 7).any()
    assert np.isfinite(ndci).sum() >= lake.loc["small-optical-20240708", "pixels"]


def test_published_series_are_stations_with_time_and_the_mark(store: DataStore, result: RunResult) -> None:
    table = store.snapshot().vector(result.layers["series"])
    assert (table.layer.kind, table.layer.station_field, table.layer.time_field) == ("stations", "lake", "time")
    assert "合成" in table.layer.display_title().zh
    frame = result.frame("series")
    assert {"ndci", "ndci_q1", "clear_percent", "pixels", "bloom_percent", "grade", "flags"} <= set(frame.columns)
    assert frame["lake"].notna().all()


def run(store: DataStore, collection: str, **parameters: Any) -> RunResult:
    return run_analysis(store, "water-quality-scenes", {"collection": collection, "stations": None, **parameters})


def test_surface_reflectance_is_refused_by_name_and_stamped_when_accepted(store: DataStore) -> None:
    with pytest.raises(LayerEmpty, match=r"NDCI needs reflectance rho_w.*declared rho_s") as refused:
        run(store, "surface-scenes")
    assert "FAI needs reflectance rho_rc" in refused.value.en
    found = run(store, "surface-scenes", accept_surface_reflectance=True)
    assert "index of surface reflectance, not ρw" in found.notes[0]["en"]
    rows = [row for row in found.tables["series"] if row["lake"] == "斧头湖"]
    assert rows[0]["flags"] == "surface-reflectance"
    assert "not ρw" in {f["id"]: f["note"]["en"] for f in found.factors}["ndci"]
    with pytest.raises(InvalidParameter, match=r"cannot be computed: needs reflectance rho_w"):
        run(store, "surface-scenes", accept_surface_reflectance=True, estimates=["chl_mishra"])


def test_top_of_atmosphere_is_never_accepted(store: DataStore) -> None:
    with pytest.raises(LayerEmpty, match="no index can be fed"):
        run(store, "toa-scenes", accept_surface_reflectance=True)


def test_without_rayleigh_bands_there_is_an_index_but_no_bloom(store: DataStore) -> None:
    found = run(store, "water-only-scenes")
    assert {row["formula"] for row in found.tables["refused"]} == {"fai", "afai"}
    row = next(row for row in found.tables["series"] if row["lake"] == "斧头湖")
    assert (row["bloom_percent"], row["grade"]) == (None, None)
    assert row["ndci"] is not None


@pytest.mark.parametrize(
    ("collection", "parameters", "error", "match"),
    [
        ("no-sensor-scenes", {}, LayerEmpty, "onemap:sensor"),
        ("unmasked-scenes", {}, LayerEmpty, "no cloud mask"),
        (ID, {"first": "2030-01-01"}, LayerEmpty, "none of 0 scenes"),
        (ID, {"name_field": "nom"}, InvalidParameter, "no field nom"),
        (ID, {"estimates": ["secchi"]}, InvalidParameter, "coastal"),
    ],
)
def test_what_cannot_be_judged_says_why(
    store: DataStore, collection: str, parameters: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        run(store, collection, **parameters)


def test_an_unmasked_scene_can_be_taken_and_is_flagged(store: DataStore) -> None:
    found = run(store, "unmasked-scenes", accept_unmasked=True)
    row = next(row for row in found.tables["series"] if row["lake"] == "斧头湖")
    assert row["flags"] == "no-cloud-mask"


def test_the_collection_says_which_analysis_watches_it(scenes: Path) -> None:
    from spatial.cli.scenes import _watched

    collection = open_collection(scenes, ID)
    assert collection.analysis == "water-quality-scenes"
    assert ID not in _watched(scenes)


def test_a_day_is_one_in_china() -> None:
    assert local_day(datetime(2024, 8, 8, 17, tzinfo=UTC)) == "2024-08-09"


# Products as they come: what their metadata decide


RULES = {
    name: yaml.safe_load((PROJECT_ROOT / "layers" / "rules" / f"{name}.yml").read_text("utf-8"))
    for name in ("optical_quality", "water_extent")
}
OPTICAL, EXTENT = optical_rules(RULES), water_extent_rules(RULES)


class Products:
    """A collection of one scene in memory."""

    refused: tuple[tuple[str, str], ...] = ()
    version = "1"

    def __init__(self, platform: str, properties: dict[str, Any], bands: dict[str, int]) -> None:
        found = {name: SceneBand(nodata=0) for name in bands}
        self.layer: Any = SimpleNamespace(id="products")
        self.records = (SceneRecord("s", DATES[0], platform, found, properties),)
        self.values = bands

    def read(self, scene: int, band: str, row: int, col: int, height: int, width: int) -> Any:
        return np.full((height, width), self.values[band], dtype=np.uint16)


S2 = {"red": 1600, "rededge1": 1650, "rededge2": 1500, "nir08": 1400, "swir1": 1100, "scl": 6}
L2A = {"processing:level": "L2A", "s2:processing_baseline": "05.10", "earthsearch:boa_offset_applied": False}


def inspected(series: Products, **options: bool) -> Any:
    (scene,) = inspect_optical(series, (64, 64), OPTICAL, EXTENT, **options)
    return scene


def test_a_sen2cor_scene_is_surface_reflectance_with_its_offset() -> None:
    plain = inspected(Products("sentinel-2a", L2A, S2))
    assert (plain.kind, plain.usable, [f.code for f in plain.findings]) == ("rho_s", False, ["no-formula"])
    taken = inspected(Products("sentinel-2a", L2A, S2), accept_surface=True)
    assert (taken.usable, [f.code for f in taken.findings]) == (True, ["surface-reflectance"])
    red = taken.stand_ins[0].raster
    value = red.read(0, 0, 1, 1, band=red.bands.index("red") + 1)[0, 0]
    assert value == pytest.approx(0.06)  # 1600 × 0.0001 − 0.1
    assert {s.kind for s in taken.stand_ins} == {"rho_w", "rho_rc"}
    unknown = inspected(Products("sentinel-2a", {"processing:level": "L2A"}, S2), accept_surface=True)
    assert [f.code for f in unknown.findings] == ["refused"]


def test_a_landsat_scene_has_fai_but_no_ndci_and_its_own_water_bit() -> None:
    bands = {"red": 9000, "nir": 8000, "swir1": 7600, "qa_pixel": 1 << 7}
    scene = inspected(Products("landsat-8", {"processing:level": "L2SP"}, bands), accept_surface=True)
    assert scene.usable
    assert scene.water is not None
    assert (scene.water.codes((0, 0, 2, 2)) == 1).all()
    cloudy = bands | {"qa_pixel": (1 << 7) | (1 << 3)}
    hidden = inspected(Products("landsat-8", {"processing:level": "L2SP"}, cloudy))
    assert hidden.findings[0].code == "all-cloud"


@pytest.mark.parametrize(
    ("platform", "properties", "code"),
    [
        ("sentinel-2b", {"processing:level": "L1C", "s2:processing_baseline": "02.14"}, "no-formula"),
        ("sentinel-2b", {}, "refused"),
        ("gaofen-6", {"onemap:reflectance": "rho_w"}, "refused"),
        ("sentinel-2b", {"onemap:reflectance": "radiance"}, "refused"),
        ("sentinel-2b", {"onemap:reflectance": "rho_w", "onemap:reflectance_bands": {"rho": {"red": "r"}}}, "refused"),
    ],
)
def test_what_the_metadata_do_not_decide_is_not_guessed(platform: str, properties: dict[str, Any], code: str) -> None:
    scene = inspected(Products(platform, properties, S2), accept_surface=True)
    assert not scene.usable
    assert code in {f.code for f in scene.findings}
    assert all(f.text.zh and f.text.en for f in scene.findings)
