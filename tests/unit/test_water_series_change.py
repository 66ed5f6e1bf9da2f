"""The analysis ``series-change``: planted shifts and exceedances are found and confirmed, seasons and noise are not alerts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import shapely
import yaml
from affine import Affine
from odc.geo.geobox import GeoBox

from analyses.water.series.place_change import PlaceSeries, seasonless, shift_rows
from analyses.water.series.rules import change_rules
from analyses.water.series.series_change import SeriesChange, SeriesChangeParameters
from spatial.catalog import load_catalog
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.intake import publish_layer
from spatial.jobs.contract import AnalysisResult, Inputs
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore

RULES = {"change_alerts": yaml.safe_load((PROJECT_ROOT / "layers" / "rules" / "change_alerts.yml").read_text("utf-8"))}
CHANGE = change_rules(RULES)
GRID = GeoBox((4, 4), Affine(0.1, 0, 114, 0, -0.1, 31), "EPSG:4490")
TIMES = pd.date_range("2019-01-15", periods=60, freq="MS", tz="UTC")
SEASON = np.cos(2 * np.pi * np.arange(60) / 12)
NOISE = np.random.default_rng(5).normal(0, 1, 60)


class Kept:
    def __init__(self) -> None:
        self.frames: dict[str, geopandas.GeoDataFrame] = {}

    def features(self, name: str, frame: geopandas.GeoDataFrame, *, fields: Any, **more: Any) -> None:
        assert {f.name for f in fields} <= set(frame.columns)
        self.frames[name] = frame


def run(frame: geopandas.GeoDataFrame, **parameters: Any) -> tuple[AnalysisResult, Kept]:
    inputs = Inputs(GRID, {}, {"series": frame}, RULES, {}, "/nonexistent")
    kept: Any = Kept()
    return SeriesChange().run(inputs, SeriesChangeParameters(**parameters), kept, lambda s, t: None), kept


def series(place: str = "甲", **columns: Any) -> geopandas.GeoDataFrame:
    points = [shapely.Point(114.2, 30.8)] * len(TIMES)
    return geopandas.GeoDataFrame({"station": place, "time": TIMES, **columns}, geometry=points, crs=4490)


def test_a_season_is_no_shift_and_a_step_is_one() -> None:
    calm = 10 + 4 * SEASON + 0.5 * NOISE
    step = calm + np.where(np.arange(60) >= 40, 3.0, 0.0)
    result, kept = run(series(calm=calm, step=step))
    alerts = [row for row in result.tables["alerts"] if row["quantity"] == "calm"]
    assert alerts == []
    found = [row for row in result.tables["alerts"] if row["quantity"] == "step"]
    first = found[0]
    assert (first["kind"], first["state"], first["seasonal"]) == ("rise", "confirmed", True)
    assert first["began"][:7] in {"2022-05", "2022-06", "2022-07"}
    assert first["observations"] >= 2
    trends = {row["quantity"]: row for row in result.tables["trends"]}
    assert trends["calm"]["direction"] == "none"
    assert trends["step"]["direction"] == "increasing"
    assert set(kept.frames) == {"trends", "alerts"}
    assert len(kept.frames["trends"]) == 2


def test_a_single_spike_is_suspected_only_until_a_second_value_stands_for_it() -> None:
    times = pd.DatetimeIndex(TIMES)
    quiet = 5 + 0.2 * NOISE
    spike = quiet.copy()
    spike[45] += 20
    rows, why = shift_rows(PlaceSeries("甲", "x", times, spike), CHANGE)
    assert why is None
    assert [row["state"] for row in rows if row["began"] == times[45]] == ["suspected"]
    lasting = spike.copy()
    lasting[46] += 20
    rows, _ = shift_rows(PlaceSeries("甲", "x", times, lasting), CHANGE)
    (row,) = [row for row in rows if row["began"] == times[45]]
    assert (row["state"], row["confirmed"]) == ("confirmed", times[46])


def test_exceedances_are_confirmed_by_two_observations_and_flags_confirm_nothing() -> None:
    values = np.full(60, 0.1) + 0.001 * NOISE
    values[[10, 11, 30, 40, 41]] = 0.3
    frame = series(tp=values, do=np.where(np.arange(60) == 20, 1.0, 8.0) + 0.01 * NOISE)
    frame["flags"] = [("spike" if k == 41 else "") for k in range(60)]
    result, _ = run(frame, thresholds={"tp": 0.2, "do": 5.0})
    above = [row for row in result.tables["alerts"] if row["kind"] == "above"]
    assert [(row["began"][:7], row["state"], row["observations"]) for row in above] == [
        ("2019-12", "ended", 2),
        ("2021-08", "dismissed", 1),
        ("2022-06", "dismissed", 1),
    ]
    below = [row for row in result.tables["alerts"] if row["kind"] == "below"]
    assert [(row["quantity"], row["began"][:7], row["state"]) for row in below] == [("do", "2020-10", "dismissed")]
    assert any("1 flagged" in row["reason"] for row in result.tables["left_out"])
    used, _ = run(frame, thresholds={"tp": 0.2}, use_flagged=True)
    assert [row["state"] for row in used.tables["alerts"] if row["kind"] == "above"] == ["ended", "dismissed", "ended"]


def test_the_harmonic_of_the_reference_is_taken_out_exactly() -> None:
    times = pd.date_range("2019-01-01", periods=48, freq="30D", tz="UTC")
    years = (times - times[0]).total_seconds().to_numpy() / (365.25 * 86_400)
    wave = 7 + 3 * np.cos(2 * np.pi * years) - 2 * np.sin(2 * np.pi * years)
    plain = seasonless(times, wave, 30, 1.5)
    assert plain is not None
    assert np.allclose(plain, 7)
    assert seasonless(times, wave, 8, 1.5) is None


def test_too_short_and_flat_series_are_listed_not_silently_calm() -> None:
    flat = series(x=np.full(60, 3.0), y=np.where(np.arange(60) < 5, 1.0 + np.arange(60), np.nan))
    result, _ = run(flat)
    reasons = {row["quantity"]: row["reason"] for row in result.tables["left_out"]}
    assert "does not vary" in reasons["x"]
    assert "at least 8 values" in reasons["y"]
    trends = {row["quantity"]: row["direction"] for row in result.tables["trends"]}
    assert trends["y"] == "not_assessed"


@pytest.mark.parametrize(
    ("change", "parameters", "error", "match"),
    [
        (lambda f: f.iloc[:0], {}, LayerEmpty, "no observation"),
        (lambda f: f, {"place_field": "lake"}, InvalidParameter, "no field lake"),
        (lambda f: f, {"quantities": ("station",)}, InvalidParameter, "station is a field of numbers|is a field"),
        (lambda f: f, {"quantities": ("x",), "thresholds": {"y": 1.0}}, InvalidParameter, "thresholds names y"),
        (lambda f: f.assign(time=f["time"].dt.tz_localize(None)), {}, InvalidParameter, "with a zone"),
        (lambda f: f.assign(x=np.nan, y=np.nan), {}, LayerEmpty, "could be tested"),
    ],
)
def test_what_cannot_be_tested_says_why(change: Any, parameters: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        run(change(series(x=NOISE, y=NOISE)), **parameters)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    settings = Settings(layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), store="duckdb")
    opened = DataStore.open(settings)
    publish_layer(opened, load_catalog(settings.layers_dir)["water-quality-sections"])
    yield opened
    opened.close()


def test_on_the_sample_the_planted_event_is_an_alert_of_two_months(store: DataStore) -> None:
    given = {"quantities": ["nh3n", "tp", "chl_a"], "thresholds": {"nh3n": 1.0}}
    result = run_analysis(store, "series-change", given, publish=True)
    over = [row for row in result.tables["alerts"] if row["kind"] == "above"]
    states = {(row["place"], row["began"][:7]): row["state"] for row in over}
    assert states["长江·黄石", "2023-03"] == "ended"  # two months of high ammonia
    assert states["长江·沙市", "2021-06"] == "dismissed"  # a spike
    directions = {(row["place"], row["quantity"]): row["direction"] for row in result.tables["trends"]}
    assert directions["汉江·仙桃", "tp"] == "increasing"
    assert directions["东湖·湖心", "chl_a"] == "decreasing"
    assert {"trends", "alerts"} <= set(result.layers)
