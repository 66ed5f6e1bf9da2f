"""The water watch on a synthetic decade of a small lake, through store and runner, against its known truth."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shapely

from spatial.catalog import load_catalog
from spatial.errors import InvalidParameter, LayerEmpty, LayerNotFound
from spatial.intake import publish_layer
from spatial.jobs.result import RunResult
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore
from spatial.units import geodesic_areas


def generator() -> Any:
    """The program that makes the sample scenes, as a module."""
    path = PROJECT_ROOT / "data-samples" / "scripts" / "water_scenes.py"
    if "water_scenes" not in sys.modules:
        spec = importlib.util.spec_from_file_location("water_scenes", path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["water_scenes"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["water_scenes"])
    return sys.modules["water_scenes"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chenhu (沉湖), four scenes a year for six years; a polder of 20 ha from 2017-08 on; four bad scenes."""
    made = generator()
    lake = made.Lake(
        "small-scenes",
        "小湖（合成）",
        "Small lake (synthetic)",
        "沉湖",
        made._seasons(range(2015, 2021), (1, 4, 7, 10)),
        20.0,
        0.7,
        plots=(made.Plot("reclaimed", datetime(2017, 8, 1, tzinfo=UTC), 20.0, 0.4),),
        bad={3: "no-mask", 8: "all-cloud", 14: "half", 20: "twice"},
    )
    folder = tmp_path_factory.mktemp("scenes")
    made.make(lake, folder)
    return folder


@pytest.fixture(scope="module")
def store(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    settings = Settings(
        layers_dir=PROJECT_ROOT / "layers",
        var_dir=tmp_path_factory.mktemp("var"),
        scenes_path=scenes,
        store="duckdb",
    )
    opened = DataStore.open(settings)
    publish_layer(opened, load_catalog(settings.layers_dir)["lakes"])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def result(store: DataStore) -> RunResult:
    return run_analysis(store, "water-watch", {"collection": "small-scenes", "least_clear": 5}, publish=True)


@pytest.fixture(scope="module")
def truth(scenes: Path) -> dict[str, Any]:
    return dict(json.loads((scenes / "small-scenes" / "truth.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def lake(result: RunResult, truth: dict[str, Any]) -> pd.DataFrame:
    """Series of the lake beside the truth."""
    series = result.frame("series")
    series = series[series["name"] == "沉湖"]
    known = pd.DataFrame(truth["areas"])
    known["time"] = pd.to_datetime(known["time"])
    found = series.merge(known, on="time")
    return found.assign(truth_km2=found["lake_m2"] / 1e6)


def test_bad_scenes_are_listed_with_their_reason_and_left_out(result: RunResult) -> None:
    rows = {row["scene"]: row for row in result.tables["scenes"]}
    left = {name: row["codes"] for name, row in rows.items() if not row["used"]}
    assert sorted(map(tuple, left.values())) == [("all-cloud",), ("no-cloud-mask",)]
    assert sum("partial-tile" in row["codes"] for row in rows.values()) == 1
    assert all(row["reason_zh"] and row["reason_en"] for row in rows.values() if row["codes"])
    totals = result.tables["totals"][0]
    assert (totals["scenes"], totals["scenes_used"], totals["observations"], totals["days_merged"]) == (25, 23, 22, 1)


def test_every_date_has_a_value_near_the_truth(lake: pd.DataFrame) -> None:
    assert len(lake) == 22
    error = np.abs(lake["area_km2"] / lake["truth_km2"] - 1)
    clear = lake["flag"] == "observed"
    assert clear.sum() >= 5
    assert lake["area_km2"].notna().mean() >= 0.8
    assert error[clear].max() <= 0.02
    assert error[lake["seen_share"] >= 0.7].max() <= 0.05
    covered = (lake["area_low_km2"] <= lake["truth_km2"]) & (lake["truth_km2"] <= lake["area_high_km2"])
    assert covered.mean() >= 0.9


def test_the_polder_is_found_and_nothing_is_lost(result: RunResult, truth: dict[str, Any]) -> None:
    events = result.frame("events")
    assert not (events["kind"] == "lost").any()
    polders = events[events["kind"] == "reclaimed"]
    assert len(polders) == 1
    polder, plot = polders.iloc[0], shapely.geometry.shape(truth["plots"][0]["geometry"])
    found = polder.geometry
    shared = geodesic_areas(np.array([found.intersection(plot)]))[0]
    assert shared / geodesic_areas(np.array([plot]))[0] > 0.85
    assert shared / geodesic_areas(np.array([found]))[0] > 0.85
    assert str(polder["confirmed"]) > "2017-08-01"
    assert polder["two_observations"]
    assert pd.Timestamp(polder["time"]) > pd.Timestamp("2017-08-01", tz="UTC")


def test_an_event_names_its_scenes_and_dates(result: RunResult, scenes: Path, truth: dict[str, Any]) -> None:
    """Before: the last clear scene with water over the polder; after: the first clear one that confirms the loss."""
    import rasterio
    from rasterio.features import geometry_mask

    polder = next(row for _, row in result.frame("events").iterrows() if row["kind"] == "reclaimed")
    assert polder["scene_collection"] == "small-scenes"
    assert polder["body_kind"] == "lake"
    assert "按影像水位指数比较" in polder["evidence_zh"]
    assert "level_index" not in polder["evidence_zh"] + polder["evidence_en"]

    def water(scene: str) -> tuple[float, float]:
        with rasterio.open(scenes / "small-scenes" / "data" / scene / "scl.tif") as file:
            inside = ~geometry_mask([polder.geometry], file.shape, file.transform)
            codes = file.read(1)[inside]
        seen = ~np.isin(codes, [0, 3, 9])
        return float(seen.mean()), float((codes == 6).sum() / max(seen.sum(), 1))

    times = {row["scene"]: pd.Timestamp(row["time"]) for row in truth["areas"]}
    before, after = polder["scene_before"], polder["scene_after"]
    closed = pd.Timestamp("2017-08-01", tz="UTC")
    assert times[before] < closed < times[after]
    assert str(times[before].date()) == str(polder["before_date"])
    assert str(times[after].date()) == str(polder["after_date"])
    assert pd.Timestamp(polder["last_wet"]) < pd.Timestamp("2017-08-01")
    for scene, wet in ((before, True), (after, False)):
        seen, share = water(scene)
        assert seen >= 0.9
        assert (share > 0.5) is wet
    # No clear scene with water lies between, and none that confirms lies before: two clear looks are needed.
    looks = sorted(
        (times[name], name) for name in times if (scenes / "small-scenes" / "data" / name / "scl.tif").is_file()
    )
    clear_after = [name for at, name in looks if at > closed and water(name)[0] >= 0.9]
    assert after == clear_after[1]
    assert not [name for at, name in looks if times[before] < at < closed and water(name)[0] >= 0.9]


def test_counts_and_frequency_fit(result: RunResult) -> None:
    import rasterio

    with rasterio.open(result.rasters["frequency"]) as file:
        frequency, wet, clear, _ = file.read()
        assert file.descriptions == ("frequency", "wet", "clear", "recurrence")
    seen = clear > 0
    assert np.array_equal(np.rint(frequency[seen] * clear[seen] / 100), wet[seen])
    with rasterio.open(result.rasters["extent"]) as file:
        assert file.count == 22
        codes = file.read()
    assert np.array_equal(((codes == 1) | (codes == 2)).sum(axis=0)[seen], wet[seen])
    assert np.array_equal((codes < 250).sum(axis=0)[seen], clear[seen])


def test_what_is_published_bears_the_mark_of_synthetic_data(store: DataStore, result: RunResult) -> None:
    snapshot = store.snapshot()
    assert set(result.layers) == {"extent", "frequency", "transition", "bodies", "series", "events", "cards"}
    for layer_id in result.layers.values():
        layer = snapshot.catalog[layer_id]
        assert layer.synthetic is not None
        assert "合成" in layer.display_title().zh
        assert layer.theme == ("results", "water")
    series = snapshot.vector(result.layers["series"])
    assert (series.layer.kind, series.layer.station_field, series.layer.time_field) == ("stations", "body", "time")
    assert result.provenance["inputs"][0]["synthetic"]


def test_blocks_and_threads_change_nothing(store: DataStore, scenes: Path, result: RunResult) -> None:
    import rasterio

    from analyses.water.watch.analysis import WaterWatch

    before = WaterWatch.__init__.__defaults__
    try:
        WaterWatch.__init__.__defaults__ = (200,)
        again = run_analysis(store, "water-watch", {"collection": "small-scenes", "least_clear": 5})
    finally:
        WaterWatch.__init__.__defaults__ = before
    for name, path in result.rasters.items():
        with rasterio.open(path) as one, rasterio.open(again.rasters[name]) as other:
            assert np.array_equal(one.read(), other.read(), equal_nan=one.dtypes[0] == "float32")
    columns = ["body", "time", "area_km2", "area_low_km2", "flag"]
    pd.testing.assert_frame_equal(
        pd.DataFrame(result.frame("series")[columns]), pd.DataFrame(again.frame("series")[columns])
    )


@pytest.mark.parametrize(
    ("parameters", "error", "said"),
    [
        ({"collection": "nowhere"}, LayerNotFound, "small-scenes"),
        ({"collection": "small-scenes", "first": "2030-01-01"}, LayerEmpty, "none of 0"),
        ({"collection": "small-scenes", "bbox": (30.3, 113.7, 30.4, 113.9)}, InvalidParameter, "x first"),
        ({"collection": "small-scenes", "least_clear": 0}, InvalidParameter, "least_clear"),
        ({"collection": "small-scenes", "dated_maps": "some"}, InvalidParameter, "latest"),
    ],
)
def test_bad_parameters(store: DataStore, parameters: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        run_analysis(store, "water-watch", parameters)


def test_the_scene_that_confirms_a_reclamation_gives_one_alert_and_no_later_one_does(
    store: DataStore, scenes: Path, result: RunResult
) -> None:
    from spatial.watch.schedule import watch_collection

    wanted = {"least_clear": 4, "dated_maps": "none"}
    polder = next(row for row in result.tables["events"] if row["kind"] == "reclaimed")
    held = {path: path.read_text("utf-8") for path in (scenes / "small-scenes" / "items").glob("*.json")}
    confirming = next(path for path in held if path.stem == polder["scene_after"])
    later = [path for path in held if path.stem[-8:] > confirming.stem[-8:] or path.stem.endswith("-b")]
    try:
        for path in (confirming, *later):
            path.unlink()
        before = watch_collection(store, "small-scenes", wanted)
        assert not [alert for alert in before.alerts if alert["kind"] == "reclaimed"]
        confirming.write_text(held[confirming], "utf-8")
        now = watch_collection(store, "small-scenes", wanted)
        assert now.new_scenes == (confirming.stem,)
        (alert,) = now.alerts
        assert (alert["kind"], alert["name"], alert["scene_after"]) == ("reclaimed", "沉湖", confirming.stem)
        assert alert["scene_before"] == polder["scene_before"]
        assert not watch_collection(store, "small-scenes", wanted).ran
        for path in later:
            path.write_text(held[path], "utf-8")
        last = watch_collection(store, "small-scenes", wanted)
    finally:
        for path, text in held.items():
            path.write_text(text, "utf-8")
    assert not [alert for alert in last.alerts if alert["kind"] == "reclaimed"]
    snapshot = store.snapshot()

    def lake_id(layers: Any) -> str:
        frame = store.vectors.frame(snapshot.vector(layers["bodies"]))
        return str(frame[frame["name"] == "沉湖"]["body"].iloc[0])

    # The body keeps its id though its outline has changed.
    assert lake_id(before.layers) == lake_id(now.layers) == lake_id(last.layers)


def test_the_shore_is_watched_on_transects(store: DataStore) -> None:
    found = run_analysis(store, "shoreline-watch", {"collection": "small-scenes", "lake": "沉湖", "levels": None})
    totals = found.tables["totals"][0]
    transects = found.frame("transects")
    assert totals["transects"] == len(transects) > 100
    assert totals["assessed"] / totals["transects"] > 0.5
    assert not totals["at_equal_level"]
    # The level goes up and down with the season and has no trend: hardly a bank may be called retreating.
    assert totals["alerts"] <= 0.05 * totals["assessed"]
    rows = [row for row in found.tables["positions"] if row["median_m"] is not None]
    by_month = {month: [r["median_m"] for r in rows if r["time"][5:7] == month] for month in ("01", "07")}
    # A bank of 1 : 80 and a level that is 1.4 m higher in July: the edge lies about 110 m farther out.
    assert np.median(by_month["07"]) - np.median(by_month["01"]) == pytest.approx(80 * 1.4, rel=0.25)
    with pytest.raises(InvalidParameter, match="沉湖"):
        run_analysis(store, "shoreline-watch", {"collection": "small-scenes", "lake": "洪湖"})


def test_too_few_months_are_not_assessed_and_still_published(store: DataStore) -> None:
    import rasterio

    wanted = {"collection": "small-scenes", "least_clear": 1, "first": "2016-01-01", "last": "2016-06-30"}
    found = run_analysis(store, "water-watch", wanted, publish=True)
    with rasterio.open(found.rasters["transition"]) as file:
        codes = file.read(1)
    assert set(np.unique(codes)) <= {254, 255}
    assert (codes == 254).any()
    assert "transition" in found.layers
