"""Low water: days below lines by hand, forecasts, intakes and ships in one datum, refusals, laws; the sample through a store."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from analyses.water.flood.low_water import below_line, daily_means, forecast_below, intake_row, missing_days, ship_depth
from analyses.water.flood.low_water_analysis import LowWater, LowWaterParameters
from analyses.water.flood.rules import flood_rules
from analyses.water.flood.warning import low_water_grade
from spatial.catalog import load_catalog
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.intake import publish_layer
from spatial.jobs.contract import AnalysisResult, Inputs
from spatial.jobs.registry import check_parameters
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore

DATA = PROJECT_ROOT / "data-samples" / "thematic"
DOCUMENT = {"flood": yaml.safe_load((PROJECT_ROOT / "layers" / "rules" / "flood.yml").read_text("utf-8"))}
RULE = flood_rules(DOCUMENT).low_water
K = flood_rules(DOCUMENT).plans.certain_k
FILES = {"series": "low-water-levels", "lines": "low-water-lines", "gauges": "river-gauges", "intakes": "water-intakes"}
OFFSET = {
    "station": "沙市", "datum": "吴淞", "target": "1985", "add_m": -2.10, "uncertainty_m": 0.15, "source": "测试：假定的公函",
}  # fmt: skip


@cache
def frame(role: str) -> geopandas.GeoDataFrame:
    return geopandas.read_file(DATA / f"{FILES[role]}.gpkg")


class Memory:
    def __init__(self) -> None:
        self.frames: dict[str, geopandas.GeoDataFrame] = {}

    def raster(self, name: str, **options: Any) -> Any:
        raise AssertionError("no raster")

    def features(self, name: str, frame: geopandas.GeoDataFrame, *, fields: Any, **options: Any) -> None:
        assert {f.name for f in fields} <= set(frame.columns)
        self.frames[name] = frame


def assess(frames: dict[str, Any] | None = None, **parameters: Any) -> tuple[AnalysisResult, Memory]:
    checked = check_parameters(LowWaterParameters, parameters, process="low-water")
    features = {role: frame(role) for role in FILES if getattr(checked, role) is not None} | (frames or {})
    grid = GeoBox.from_bbox((108.0, 29.0, 116.0, 33.0), crs="EPSG:4490", resolution=1 / 120)
    made = Memory()
    return LowWater().run(Inputs(grid, {}, features, DOCUMENT, {}, ""), checked, made, lambda share, text: None), made


# --- by hand ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "grade", "below", "left", "near"),
    [
        (14.6, "normal", None, 0.4, False),
        (14.49, "normal", None, 0.29, True),
        (14.2, "normal", None, 0.0, True),
        (14.19, "drought", 0.01, 0.89, False),
        (13.3, "drought", 0.9, 0.0, True),
        (13.29, "ecological", 0.01, None, False),
    ],
)
def test_grades_on_each_side_of_each_line(
    level: float, grade: str, below: float | None, left: float | None, near: bool
) -> None:
    found = low_water_grade(level, {"drought_m": 14.2, "ecological_m": 13.3}, RULE)
    assert (found["grade"], found["below_m"], found["to_next_m"], found["near"]) == (grade, below, left, near)


def test_lines_out_of_order_or_missing() -> None:
    with pytest.raises(QualityViolation, match="above its ecological"):
        low_water_grade(14.0, {"station": "A", "drought_m": 13.0, "ecological_m": 14.0}, RULE)
    assert low_water_grade(14.0, {}, RULE) == {"grade": None, "missing": ["drought_m", "ecological_m"]}
    only = low_water_grade(12.0, {"ecological_m": 13.0}, RULE)
    assert (only["grade"], only["missing"]) == ("ecological", ["drought_m"])


def test_days_below_a_line_by_hand() -> None:
    days = [
        ("2024-10-01", 14.3),
        ("2024-10-02", 14.1),
        ("2024-10-03", 14.0),
        ("2024-10-04", 14.2),
        ("2024-10-06", 13.9),
    ]
    found = below_line(days, 14.2)
    assert (found["days_below"], found["first_day"], found["last_day"]) == (3, "2024-10-02", "2024-10-06")
    assert (found["runs"], found["longest_days"], found["now_below"], found["now_since"]) == (2, 2, True, "2024-10-06")
    assert (found["lowest_m"], found["lowest_day"], found["largest_short_m"]) == (13.9, "2024-10-06", 0.3)
    assert missing_days(days) == 1
    none = below_line(days, 13.0)
    assert (none["days_below"], none["first_day"], none["now_since"], none["largest_short_m"]) == (0, None, None, 0.0)


def test_days_are_those_of_beijing() -> None:
    times = [datetime(2024, 10, 1, 15, 59, tzinfo=UTC), datetime(2024, 10, 1, 16, 0, tzinfo=UTC)]
    assert daily_means(times, np.array([14.0, 13.0])) == [("2024-10-01", 14.0), ("2024-10-02", 13.0)]


@given(levels=st.lists(st.floats(10, 20), min_size=1, max_size=30), low=st.floats(10, 20), rise=st.floats(0, 3))
def test_a_higher_line_never_has_fewer_days_below(levels: list[float], low: float, rise: float) -> None:
    start = datetime(2024, 1, 1, 4, tzinfo=UTC)
    days = daily_means([start + timedelta(days=k) for k in range(len(levels))], np.array(levels))
    a, b = below_line(days, low), below_line(days, low + rise)
    assert b["days_below"] >= a["days_below"]
    assert a["days_below"] == sum(v < low for v in levels)
    assert a["days_below"] == 0 or b["first_day"] <= a["first_day"]


def test_a_forecast_is_marked_where_it_is_below_only_within_its_uncertainty() -> None:
    days = [("2024-11-21", 13.5), ("2024-11-22", 13.2)]
    found = [forecast_below(line, days, [0.1, 0.2], K)["certainty"] for line in (13.6, 13.3, 13.2, 13.1, 12.8)]
    assert found == ["sure", "within_uncertainty", "possible", "possible", "unlikely"]
    assert forecast_below(13.3, days, None, K)["certainty"] is None
    assert forecast_below(13.3, days, None, K)["reached"] == "2024-11-22"


def test_an_intake_by_hand() -> None:
    ahead = [("2024-11-21", 14.05), ("2024-11-22", 13.95)]
    states = [intake_row(low, 14.1, ahead, sd, K)["state"] for low, sd in (
        (14.2, None), (14.0, None), (13.9, None), (13.9, [0.1, 0.1]), (13.9, [0.01, 0.01])
    )]  # fmt: skip
    assert states == ["dry", "threatened", "ok", "uncertain", "ok"]
    assert intake_row(14.0, 14.1, [], None, K)["state"] == "ok"


def test_depth_for_ships_by_hand() -> None:
    lines = {"shoal_bed_m": 8.4, "kept_depth_m": 4.5}
    assert ship_depth(lines, 13.6, 12.7) == {
        "depth_m": 5.2, "forecast_depth_m": 4.3, "kept_depth_m": 4.5, "short_m": 0.2,
    }  # fmt: skip
    assert ship_depth({"shoal_bed_m": 8.4}, 13.6, None) is None


# --- the sample ------------------------------------------------------------------------------------------------------


def test_the_sample_by_its_own_table() -> None:
    result, made = assess()
    rows = {(r["station"], r["line"]): r for r in result.tables["stations"]}
    mine = frame("series")
    mine = mine[(mine.station == "汉口") & (mine.kind == "observed")]
    below = mine[mine.level_m < 14.2]
    hankou = rows["汉口", "drought"]
    assert hankou["days_below"] == len(below)
    assert hankou["first_day"] == below.time.iloc[0].tz_convert("Asia/Shanghai").date().isoformat()
    assert hankou["lowest_m"] == mine.level_m.min()
    eco = rows["汉口", "ecological"]
    assert (eco["days_below"], eco["forecast_reached"], eco["forecast_certainty"]) == (
        0,
        "2024-11-27",
        "within_uncertainty",
    )
    assert {r["station"] for r in result.tables["warning"]} == {"宜昌", "沙市", "螺山", "汉口", "黄石"}
    assert {r["grade"] for r in result.tables["warning"]} == {"drought"}
    assert set(made.frames) == {"gauges", "intakes"}
    assert len(made.frames["gauges"]) == 5
    assert len(result.tables["navigation"]) == 5
    # An intake in 1985 by the offset of Hankou: 13.57 − 1.80 − 0.04 fall.
    intakes = {r["name"]: r for r in result.tables["intakes"]}
    first = intakes["汉口一水厂取水口（合成）"]
    assert (first["level_m"], first["offset_m"]) == (11.73, -1.80)
    assert "mem" in first["offset_source"]


def test_what_has_no_datum_or_offset_is_listed_with_what_to_do() -> None:
    result, _ = assess()
    refused = {r["name"]: r for r in result.tables["refused"]}
    assert set(refused) == {"仙桃", "沙市水厂取水口（合成）"}
    assert {r["reason"] for r in refused.values()} == {"datum-missing"}
    assert "offsets" in refused["沙市水厂取水口（合成）"]["about"]["en"]
    assert any("仙桃" in n.zh for n in result.notes)
    given, _ = assess(offsets=[OFFSET])
    intake = next(r for r in given.tables["intakes"] if r["name"] == "沙市水厂取水口（合成）")
    assert intake["level_m"] == pytest.approx(29.44 - 2.10)
    assert "given for this run" in intake["offset_source"]
    assert next(r for r in given.tables["offsets"] if r["station"] == "沙市")["given_for_run"]
    assert {r["name"] for r in given.tables["refused"]} == {"仙桃"}


@pytest.mark.parametrize(
    ("frames", "parameters", "error", "match"),
    [
        (dict, {"stations": ["仙桃"]}, QualityViolation, "datum of station 仙桃"),
        (dict, {"stations": ["襄阳"]}, InvalidParameter, "no value of gauge 襄阳"),
        (dict, {"stations": ["武汉"]}, InvalidParameter, "0 gauges"),
        (dict, {"stations": ["汉口"], "lines": None}, QualityViolation, "no drought or ecological"),
        (dict, {"stations": ["汉口"], "issued": "2024-01-01T00:00:00Z"}, InvalidParameter, "2024-11-20"),
        (lambda: {"series": frame("series").iloc[:0]}, {}, LayerEmpty, "no feature"),
        (lambda: {"series": frame("series").drop(columns="level_m")}, {"stations": ["汉口"]}, QualityViolation, "lacks"),
        (lambda: {"series": frame("series").assign(time=frame("series").time.dt.tz_localize(None))}, {"stations": ["汉口"]},
         QualityViolation, "no usable value"),
        (lambda: {"lines": pd.concat([frame("lines")] * 2, ignore_index=True)}, {"stations": ["汉口"]},
         QualityViolation, "2 rows"),
        (lambda: {"lines": frame("lines").assign(drought_m=1.0)}, {"stations": ["汉口"]}, QualityViolation, "must lie above"),
        (lambda: {"lines": frame("lines").assign(datum="1985")}, {"stations": ["沙市"]}, QualityViolation, "add_m"),
    ],
)  # fmt: skip
def test_a_gauge_that_is_named_and_cannot_be_assessed_is_an_error(
    frames: Any, parameters: dict[str, Any], error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        assess(frames(), **parameters)


def test_bad_values_are_flagged_and_days_without_one_counted() -> None:
    bad = frame("series").copy()
    mine = bad.index[(bad.station == "汉口") & (bad.kind == "observed")]
    bad.loc[mine[40], "level_m"] = 3.0
    bad.loc[mine[41], "level_m"] = np.nan
    result, _ = assess({"series": bad}, stations=["汉口"])
    assert sorted(r["flag"] for r in result.tables["series_flags"]) == ["missing", "spike"]
    row = next(r for r in result.tables["stations"] if r["line"] == "drought")
    assert row["missing_days"] == 2
    assert row["lowest_m"] > 13


def test_lines_of_the_gauge_itself_need_no_datum() -> None:
    """Its own levels and its own lines stand in one datum, whichever that is."""
    gauges = frame("gauges").assign(drought_m=np.nan, ecological_m=np.nan)
    gauges.loc[gauges.name == "仙桃", ["drought_m", "ecological_m"]] = [24.2, 23.4]
    result, _ = assess({"gauges": gauges}, stations=["仙桃"], lines=None)
    assert result.tables["warning"][0]["grade"] is not None
    assert "navigation" not in result.tables


# --- through the store -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    found = Settings(layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), store="duckdb")
    opened = DataStore.open(found)
    catalog = load_catalog(found.layers_dir)
    for layer in FILES.values():
        publish_layer(opened, catalog[layer])
    yield opened
    opened.close()


def test_a_run_becomes_layers_with_their_mark(store: DataStore) -> None:
    result = run_analysis(store, "low-water", {}, publish=True, job_id="10a0a7e0-0000")
    assert set(result.layers) == {"gauges", "intakes"}
    snapshot = store.snapshot()
    for name in result.layers.values():
        assert "合成" in snapshot.vector(name).layer.display_title().zh
    assert result.tables["warning"][0]["station"] == "宜昌"
