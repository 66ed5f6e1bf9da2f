"""Class of surface water, trophic state, bloom, masks and checks of station data: tables, boundaries, laws, bad input."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analyses.water.quality.bloom import bloom_cells, bloom_share, macrophytes
from analyses.water.quality.masks import Reason, near_land, reasons
from analyses.water.quality.rules import bloom_rules, optical_rules, trophic_rules
from analyses.water.quality.station_checks import check_series, flatlines, spikes
from analyses.water.quality.station_rules import surface_water_rules
from analyses.water.quality.surface_water_class import (
    BELOW_FIVE,
    classify,
    drinking_water_faults,
    in_unit,
    target_share,
)
from analyses.water.quality.trophic import carlson, tli
from spatial.errors import GridMismatch, InvalidParameter, LayerDefinitionInvalid, LayerEmpty, QualityViolation

ROOT = Path(__file__).parents[2]
RAW = {
    stem: yaml.safe_load((ROOT / "layers" / "rules" / f"{stem}.yml").read_text("utf-8"))
    for stem in ("surface_water_class", "trophic_state", "bloom", "optical_quality")
}
WATER, TROPHIC = surface_water_rules(RAW), trophic_rules(RAW)
BLOOM, OPTICAL = bloom_rules(RAW), optical_rules(RAW)

# GB 3838-2002 table 1 once more, typed from the standard's table rather than read from the rule file.
TABLE = {
    "do": (7.5, 6, 5, 3, 2),
    "codmn": (2, 4, 6, 10, 15),
    "cod": (15, 15, 20, 30, 40),
    "bod5": (3, 3, 4, 6, 10),
    "nh3n": (0.15, 0.5, 1.0, 1.5, 2.0),
    "tp": (0.02, 0.1, 0.2, 0.3, 0.4),
    "cu": (0.01, 1, 1, 1, 1),
    "zn": (0.05, 1, 1, 2, 2),
    "fluoride": (1, 1, 1, 1.5, 1.5),
    "se": (0.01, 0.01, 0.01, 0.02, 0.02),
    "as": (0.05, 0.05, 0.05, 0.1, 0.1),
    "hg": (0.00005, 0.00005, 0.0001, 0.001, 0.001),
    "cd": (0.001, 0.005, 0.005, 0.005, 0.01),
    "cr6": (0.01, 0.05, 0.05, 0.05, 0.1),
    "pb": (0.01, 0.01, 0.05, 0.05, 0.1),
    "cyanide": (0.005, 0.05, 0.2, 0.2, 0.2),
    "phenol": (0.002, 0.002, 0.005, 0.01, 0.1),
    "oil": (0.05, 0.05, 0.05, 0.5, 1),
    "las": (0.2, 0.2, 0.2, 0.3, 0.3),
    "sulphide": (0.05, 0.1, 0.2, 0.5, 1),
}
LAKE_TP = (0.01, 0.025, 0.05, 0.1, 0.2)
LAKE_TN = (0.2, 0.5, 1.0, 1.5, 2.0)


def expected(limits: tuple[float, ...], value: float, *, least: bool) -> int:
    for k, limit in enumerate(limits, 1):
        if value >= limit if least else value <= limit:
            return k
    return BELOW_FIVE


def boundaries() -> list[Any]:
    rows = []
    for name, limits in [*TABLE.items(), ("tp-lake", LAKE_TP)]:
        id, lake = name.removesuffix("-lake"), name.endswith("-lake")
        for limit in sorted(set(limits)):
            for value in (limit, limit * (1 + 1e-6), limit * (1 - 1e-6)):
                rows.append(
                    pytest.param(id, lake, value, expected(limits, value, least=id == "do"), id=f"{name}-{value:g}")
                )
    return rows


@pytest.mark.parametrize(("indicator", "lake", "value", "code"), boundaries())
def test_every_class_boundary_on_both_sides(indicator: str, lake: bool, value: float, code: int) -> None:
    found = classify({indicator: value}, WATER, lake=lake)
    assert found.code == code
    assert found.by_indicator == {indicator: code}
    assert found.worst == ((indicator,) if code > 1 else ())


def test_ph_is_a_range_and_its_ends_belong_to_it() -> None:
    assert [classify({"ph": v}, WATER, lake=False).code for v in (6, 9, 5.99, 9.01)] == [1, 1, BELOW_FIVE, BELOW_FIVE]


def test_oxygen_of_ninety_percent_saturation_is_class_one() -> None:
    values = {"do": 6.5}
    assert classify(values, WATER, lake=False).code == 2
    assert classify(values, WATER, lake=False, oxygen_saturation_percent=89.9).code == 2
    assert classify(values, WATER, lake=False, oxygen_saturation_percent=90).code == 1


def test_what_enters_no_class() -> None:
    fine = {"do": 8.0, "nh3n": 0.1}
    bad = fine | {"tn": 9.0, "faecal_coliform": 90_000, "water_temp": 38.0}
    lake = classify(bad, WATER, lake=True)
    assert lake.code == 1
    assert lake.beside == {"tn": BELOW_FIVE, "faecal_coliform": BELOW_FIVE}
    assert any("总氮单独评价为劣Ⅴ类" in note.zh for note in lake.notes)
    assert classify(bad, WATER, lake=False).beside == {"faecal_coliform": BELOW_FIVE}
    with pytest.raises(InvalidParameter, match="no indicator that counts"):
        classify({"tn": 9.0, "water_temp": 20.0}, WATER, lake=True)


@pytest.mark.parametrize(("value", "code"), [(v, k) for k, v in enumerate(LAKE_TN, 1)] + [(2.001, BELOW_FIVE)])
def test_total_nitrogen_of_a_lake_is_graded_beside(value: float, code: int) -> None:
    assert classify({"nh3n": 0.1, "tn": value}, WATER, lake=True).beside == {"tn": code}


def test_the_worst_indicators_are_named_and_how_far_they_exceed() -> None:
    found = classify({"cod": 45.0, "nh3n": 2.5, "tp": 0.05}, WATER, lake=False)
    assert found.code == BELOW_FIVE
    assert found.worst == ("cod", "nh3n")
    assert found.exceeds == {"cod": 1.25, "nh3n": 1.5}  # over the limit of class III, 20 and 1.0
    assert "tp" not in found.exceeds
    assert "hg" in found.missing


@pytest.mark.parametrize(
    ("id", "value", "unit", "result"),
    [
        ("tp", 50, "µg/L", 0.05),
        ("tp", 50, "ug/L", 0.05),
        ("tp", 0.1533, "mg/L as PO4", 0.1533 * 0.3261),
        ("nh3n", 1, "mg/L as NH4", 0.7765),
        ("faecal_coliform", 20, "MPN/100mL", 200),
        ("do", 8, "mg/L", 8),
    ],
)
def test_units_are_converted(id: str, value: float, unit: str, result: float) -> None:
    assert in_unit(id, value, unit, WATER) == pytest.approx(result, rel=1e-9)


@pytest.mark.parametrize(("id", "unit"), [("tp", None), ("tp", "%"), ("nh3n", "mg/L as NO3"), ("tn", "kg"), ("do", "")])
def test_units_of_another_quantity_are_refused(id: str, unit: str | None) -> None:
    with pytest.raises(InvalidParameter) as error:
        in_unit(id, 1.0, unit, WATER)
    assert error.value.details["parameter"] == id


@pytest.mark.parametrize("values", [{"tp": 50.0}, {"ph": 71.0}, {"do": -1.0}, {"hg": 0.5}])
def test_values_that_no_water_has_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(QualityViolation, match="check the unit"):
        classify(values, WATER, lake=False)


def test_an_unknown_indicator_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="no indicator 'chl'"):
        classify({"chl": 3.0}, WATER, lake=True)


@given(
    st.fixed_dictionaries({n: st.floats(0.0, 1.0) for n in ("codmn", "cod", "nh3n", "tp", "fluoride")}),
    st.sampled_from(["codmn", "cod", "nh3n", "tp", "fluoride"]),
    st.floats(0.0, 1.0),
    st.booleans(),
)
def test_no_class_gets_better_when_an_indicator_gets_worse(
    share: dict[str, float], which: str, more: float, lake: bool
) -> None:
    top = {"codmn": 20, "cod": 50, "nh3n": 3, "tp": 0.6, "fluoride": 2}
    before = {n: share[n] * top[n] for n in share}
    after = before | {which: before[which] + more * top[which]}
    assert classify(after, WATER, lake=lake).code >= classify(before, WATER, lake=lake).code


@given(st.floats(0.0, 20.0), st.floats(0.0, 20.0))
def test_less_oxygen_is_never_better(a: float, b: float) -> None:
    low, high = sorted((a, b))
    assert classify({"do": low}, WATER, lake=False).code >= classify({"do": high}, WATER, lake=False).code


def test_drinking_water_sources_need_class_three_and_the_supplements() -> None:
    found = classify({"nh3n": 0.4, "tp": 0.25}, WATER, lake=False)
    assert drinking_water_faults(found, {"nitrate": 10.0, "fe": 0.31}, WATER) == ("tp", "fe")
    good = classify({"nh3n": 0.4, "tp": 0.2}, WATER, lake=False)
    assert drinking_water_faults(good, {"nitrate": 10.0}, WATER) == ()
    with pytest.raises(InvalidParameter, match="uranium"):
        drinking_water_faults(good, {"uranium": 1.0}, WATER)


def test_share_of_sections_that_reach_their_target() -> None:
    rows = [{"class": c, "target": t} for c, t in ((2, 2), (3, 2), (3, 3), (6, 4), (None, 2), (1, None))]
    found = target_share(rows)
    assert (found["sections"], found["assessed"], found["with_target"], found["reached"]) == (6, 5, 4, 2)
    assert found["reached_percent"] == 50.0
    assert found["good_percent"] == 80.0
    assert found["worse_than_five"] == 1
    assert target_share([])["reached_percent"] is None
    with pytest.raises(InvalidParameter, match="class 1–5"):
        target_share([{"class": 2, "target": 6}])


# Trophic state


def test_tli_by_hand() -> None:
    found = tli({"chl_a": 10.0, "tp": 0.05, "tn": 1.0, "sd": 1.0, "codmn": 4.0}, TROPHIC)
    assert found.partial["chl_a"] == pytest.approx(10 * (2.5 + 1.086 * math.log(10)))
    assert found.partial["tp"] == pytest.approx(45.7093, abs=1e-3)
    assert found.partial["tn"] == pytest.approx(54.53)
    assert found.partial["sd"] == pytest.approx(51.18)
    assert found.partial["codmn"] == pytest.approx(37.9793, abs=1e-3)
    weights = {k: round(v, 4) for k, v in found.weights.items()}
    assert weights == {"chl_a": 0.2663, "tp": 0.1879, "tn": 0.1790, "sd": 0.1834, "codmn": 0.1834}
    assert found.value == pytest.approx(48.0181, abs=1e-3)
    assert found.missing == ()


def test_weights_are_renormalised_and_it_is_said() -> None:
    found = tli({"chl_a": 10.0, "tp": 0.05, "tn": 1.0, "sd": None, "codmn": 4.0}, TROPHIC)
    assert {k: round(v, 4) for k, v in found.weights.items()} == {
        "chl_a": 0.3261, "tp": 0.2301, "tn": 0.2192, "codmn": 0.2246,
    }  # fmt: skip
    assert "透明度" in found.notes[0].zh
    remote = tli({"chl_a": 20.0, "sd": 0.5}, TROPHIC)
    assert remote.weights["chl_a"] == pytest.approx(1 / 1.6889)
    assert remote.missing == ("tp", "tn", "codmn")


@pytest.mark.parametrize(
    ("value", "code"),
    [(29.999, 1), (30.0, 2), (50.0, 2), (50.001, 3), (60.0, 3), (60.001, 4), (70.0, 4), (70.001, 5), (-3.0, 1)],
)
def test_trophic_classes_have_closed_upper_bounds(value: float, code: int) -> None:
    assert TROPHIC.classes.level(value).code == code


@pytest.mark.parametrize("code", [2, 3, 4])
def test_tli_exactly_on_a_boundary_through_the_formula(code: int) -> None:
    """The chlorophyll whose TLI is exactly the bound, with a Secchi depth of the same TLI."""
    bound = {2: 50.0, 3: 60.0, 4: 70.0}[code]
    chl, sd = math.exp((bound / 10 - 2.5) / 1.086), math.exp((5.118 - bound / 10) / 1.94)
    assert tli({"chl_a": chl, "sd": sd}, TROPHIC).level.code == code
    assert tli({"chl_a": chl * 1.001, "sd": sd}, TROPHIC).level.code == code + 1


@given(st.floats(0.02, 900.0), st.floats(1.001, 2.0), st.floats(0.01, 2.0), st.floats(0.05, 8.0))
def test_tli_rises_with_chlorophyll_and_falls_with_clarity(chl: float, more: float, tp: float, sd: float) -> None:
    base = tli({"chl_a": chl, "tp": tp, "sd": sd}, TROPHIC).value
    assert tli({"chl_a": chl * more, "tp": tp, "sd": sd}, TROPHIC).value > base
    assert tli({"chl_a": chl, "tp": tp, "sd": sd * more}, TROPHIC).value < base


@pytest.mark.parametrize(
    ("values", "error", "match"),
    [
        ({"chl_a": 10.0}, InvalidParameter, "at least 2"),
        ({"chl_a": 10.0, "cod": 20.0}, InvalidParameter, "not COD"),
        ({"chl_a": 10.0, "tp": 50.0}, QualityViolation, "check the unit"),  # µg/L
        ({"chl_a": 0.0, "tp": 0.05}, QualityViolation, "not within"),
        ({"chl_a": float("nan"), "tp": 0.05}, InvalidParameter, "at least 2"),
    ],
)
def test_bad_input_to_tli(values: dict[str, float], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        tli(values, TROPHIC)


def test_carlson_by_hand() -> None:
    found = carlson({"sd": 2.0, "chl_a": 7.3, "tp": 24.0}, TROPHIC)
    assert found == pytest.approx({"sd": 50.01, "chl_a": 50.10, "tp": 49.98}, abs=0.01)
    with pytest.raises(QualityViolation):
        carlson({"sd": 0.0}, TROPHIC)


# Bloom and masks


def test_bloom_share_and_grade_by_hand() -> None:
    lakes = np.zeros((10, 40), int)
    lakes[:, :20], lakes[:, 20:30] = 1, 2
    seen = lakes > 0
    seen[:, 20:26] = False  # 60 % of lake 2 under cloud
    bloom = np.zeros_like(seen)
    bloom[0, :20] = True
    bloom[:, 20:30] = True
    one, two = bloom_share(bloom, seen, lakes, np.full(10, 100.0), BLOOM)
    assert (one.water_m2, one.seen_m2, one.bloom_m2) == (20_000, 20_000, 2_000)
    assert one.bloom_percent == pytest.approx(10.0)
    assert one.grade is not None
    assert one.grade.code == 3  # 10 % belongs to the class above
    assert (two.clear_percent, two.bloom_percent, two.grade, two.reason) == (40.0, None, None, "coverage")
    with pytest.raises(GridMismatch):
        bloom_share(bloom, seen, lakes[:5], np.full(10, 100.0), BLOOM)


@pytest.mark.parametrize(
    ("percent", "code"), [(0, 1), (0.001, 2), (9.999, 2), (10, 3), (29.999, 3), (30, 4), (59.999, 4), (60, 5), (100, 5)]
)
def test_grades_of_bloom(percent: float, code: int) -> None:
    assert BLOOM.grades.level(percent).code == code


@given(st.integers(0, 400), st.integers(0, 400))
def test_more_bloom_is_never_a_lower_grade(a: int, b: int) -> None:
    few, many = sorted((a, b))
    lakes = np.ones((20, 20), int)
    grades = []
    for count in (few, many):
        bloom = (np.arange(400) < count).reshape(20, 20)
        found = bloom_share(bloom, lakes > 0, lakes, np.ones(20), BLOOM)[0].grade
        assert found is not None
        grades.append(found.code)
    assert grades[0] <= grades[1]


def test_what_persists_is_plants_and_one_scene_cannot_tell() -> None:
    fai = np.full((6, 1, 3), -0.01)
    ndvi = np.full((6, 1, 3), -0.2)
    fai[:, 0, 0], ndvi[:, 0, 0] = 0.05, 0.5  # plants on every date
    fai[2, 0, 1], ndvi[2, 0, 1] = 0.05, 0.5  # bloom on one
    fai[:3, 0, 2], ndvi[:, 0, 2] = np.nan, 0.5  # seen three times only
    found = macrophytes(fai, ndvi, BLOOM)
    assert found is not None
    assert found.tolist() == [[True, False, False]]
    assert macrophytes(fai[:1], ndvi[:1], BLOOM) is None
    with pytest.raises(GridMismatch):
        macrophytes(fai, ndvi[:3], BLOOM)


def test_bloom_needs_a_dark_red_band() -> None:
    assert bloom_cells(np.array([0.1, 0.1]), np.array([0.079, 0.08]), BLOOM).tolist() == [True, False]


def test_masks_give_the_first_reason() -> None:
    codes = np.full((9, 9), 1, np.uint8)
    codes[:, 0] = 0
    codes[0, 5], codes[1, 5], codes[2, 5], codes[3, 5], codes[4, 5] = 253, 252, 250, 251, 255
    swir1, red, fai = np.zeros((9, 9)), np.full((9, 9), 0.03), np.full((9, 9), -0.01)
    swir1[5, 5] = swir1[6, 5] = 0.0215
    fai[6, 5] = 0.02  # algae are bright too
    red[7, 5], red[8, 5] = 0.0864, -0.01
    plants = np.zeros((9, 9), bool)
    plants[0, 8] = True
    found = reasons(codes, OPTICAL, fai=fai, swir1=swir1, red=red, saturated_from=0.0864, plants=plants)
    assert found[:, 5].tolist() == [
        Reason.CLOUD, Reason.SNOW, Reason.TERRAIN_SHADOW, Reason.GLINT, Reason.NODATA, Reason.GLINT, Reason.JUDGED,
        Reason.SATURATED, Reason.NEGATIVE,
    ]  # fmt: skip
    assert found[5, :4].tolist() == [Reason.NOT_WATER, Reason.SHORE, Reason.SHORE, Reason.JUDGED]
    assert found[0, 8] == Reason.MACROPHYTES


def test_a_cloud_is_no_shore() -> None:
    codes = np.array([[1, 1, 253, 1, 1]], np.uint8)
    assert reasons(codes, OPTICAL).tolist() == [
        [Reason.JUDGED, Reason.JUDGED, Reason.CLOUD, Reason.JUDGED, Reason.JUDGED]
    ]
    assert near_land(np.zeros((3, 3), bool), 2).sum() == 0
    assert near_land(np.ones((1, 1), bool), 0).all()
    with pytest.raises(GridMismatch):
        reasons(codes, OPTICAL, red=np.zeros((2, 2)))


# Checks of station data


def series(values: Any, station: str = "A", start: str = "2024-01-05T08:00", **more: Any) -> pandas.DataFrame:
    time = pandas.date_range(start, periods=len(values), freq="30D", tz="Asia/Shanghai")
    return pandas.DataFrame({"station": station, "time": time, "tp": values, **more})


STEADY = [0.10, 0.11, 0.09, 0.105, 0.12, 0.095, 0.11, 0.10, 0.115, 0.09]


def flagged(found: Any, reason: str) -> list[tuple[Any, ...]]:
    return [(row["indicator"], row["value"]) for row in found.flags if row["reason"] == reason]


def test_a_clean_series_stays_as_it_is_in_utc() -> None:
    found = check_series(series(STEADY), {"tp": "mg/L"}, WATER)
    assert found.flags == ()
    assert found.frame["tp"].tolist() == STEADY
    assert str(found.frame["time"].iloc[0]) == "2024-01-05 00:00:00+00:00"


def test_a_spike_is_left_out_and_listed_but_an_event_is_not() -> None:
    values = [*STEADY]
    values[4] = 0.9
    found = check_series(series(values), {"tp": "mg/L"}, WATER)
    assert flagged(found, "spike") == [("tp", 0.9)]
    assert math.isnan(found.frame["tp"].iloc[4])
    values[5] = 0.8  # two in a row: an event
    assert flagged(check_series(series(values), {"tp": "mg/L"}, WATER), "spike") == []


def test_the_last_value_awaits_the_next() -> None:
    found = check_series(series([*STEADY, 0.9]), {"tp": "mg/L"}, WATER)
    assert flagged(found, "spike_unconfirmed") == [("tp", 0.9)]
    assert found.frame["tp"].iloc[-1] == 0.9
    assert not next(row for row in found.flags if row["reason"] == "spike_unconfirmed")["excluded"]


def test_a_flatline_keeps_its_first_value() -> None:
    values = [0.10, 0.11, 0.12, 0.12, 0.12, 0.12, 0.12, 0.10, 0.09, 0.1]
    found = check_series(series(values), {"tp": "mg/L"}, WATER)
    assert len(flagged(found, "flatline")) == 4
    assert found.frame["tp"].notna().tolist() == [True] * 3 + [False] * 4 + [True] * 3
    assert flatlines(np.array([1.0, 1.0, 1.0]), 4).sum() == 0


def test_duplicates_conflicts_range_text_and_gaps_are_told_apart() -> None:
    frame = series([*STEADY[:8], "0.01L", "<0.02", "n/a", 50.0, -1.0])
    again = pandas.DataFrame(
        {"station": ["A", "A"], "time": frame["time"].iloc[[0, 1]].tolist(), "tp": [STEADY[0], 0.2]}
    )
    late = pandas.DataFrame(
        {"station": ["A"], "time": [frame["time"].iloc[-1] + pandas.Timedelta(days=200)], "tp": [0.1]}
    )
    found = check_series(pandas.concat([frame, again, late], ignore_index=True), {"tp": "mg/L"}, WATER)
    assert found.counts() == {
        "below_detection": 2, "conflict": 1, "duplicate": 2, "gap": 1, "not_a_number": 1, "out_of_range": 2,
    }  # fmt: skip
    assert flagged(found, "below_detection") == [("tp", 0.005), ("tp", 0.01)]
    assert flagged(found, "not_a_number") == [("tp", "n/a")]
    assert flagged(found, "gap") == [(None, 200.0)]
    assert len(found.frame) == 14
    assert math.isnan(found.frame["tp"].iloc[1])


def test_units_of_a_series_are_converted_before_the_checks() -> None:
    found = check_series(series([v * 1000 for v in STEADY]), {"tp": "µg/L"}, WATER)
    assert found.flags == ()
    assert found.frame["tp"].tolist() == pytest.approx(STEADY)


def test_times_without_a_zone_are_refused_or_declared() -> None:
    frame = series(STEADY)
    frame["time"] = frame["time"].dt.tz_localize(None)
    with pytest.raises(InvalidParameter, match="no zone"):
        check_series(frame, {"tp": "mg/L"}, WATER)
    found = check_series(frame, {"tp": "mg/L"}, WATER, time_zone="Asia/Shanghai")
    assert str(found.frame["time"].iloc[0]) == "2024-01-05 00:00:00+00:00"
    with pytest.raises(InvalidParameter, match="unknown"):
        check_series(frame, {"tp": "mg/L"}, WATER, time_zone="Wuhan")


def test_unreadable_times_are_dropped_and_listed() -> None:
    frame = series(STEADY)
    frame["time"] = frame["time"].map(lambda t: t.isoformat())
    frame.loc[3, "time"] = "2024-13-45"
    found = check_series(frame, {"tp": "mg/L"}, WATER)
    assert found.counts() == {"time_unreadable": 1, "gap": 1}
    assert len(found.frame) == 9


def test_a_station_eight_hours_off_is_suspected() -> None:
    frames = [series(STEADY, name) for name in "ABC"] + [series(STEADY, "D", start="2024-01-05T16:00")]
    found = check_series(pandas.concat(frames, ignore_index=True), {"tp": "mg/L"}, WATER)
    assert [(row["station"], row["reason"], row["excluded"]) for row in found.flags] == [
        ("D", "time_zone_suspect", False)
    ]


def test_bad_tables_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="lacks the fields nh3n"):
        check_series(series(STEADY), {"tp": "mg/L", "nh3n": "mg/L"}, WATER)
    with pytest.raises(InvalidParameter, match="not declared"):
        check_series(series(STEADY), {"tp": None}, WATER)
    with pytest.raises(LayerEmpty):
        check_series(series([float("nan")] * 8), {"tp": "mg/L"}, WATER)


@given(st.lists(st.floats(0.05, 0.12), min_size=8, max_size=40))
def test_no_spike_within_the_factor(values: list[float]) -> None:
    """0.05 and 0.12 differ by less than the factor 2.5, however small the spread of the others."""
    assert not spikes(np.array(values), WATER.checks)[0].any()


@pytest.mark.parametrize(
    ("stem", "model", "break_it"),
    [
        (
            "surface_water_class",
            surface_water_rules,
            lambda d: d["indicators"]["list"][2].update(limits=[2, 3, 5, 6, 7.5]),
        ),
        ("surface_water_class", surface_water_rules, lambda d: d["indicators"]["list"][3].update(limits=[2, 4])),
        ("surface_water_class", surface_water_rules, lambda d: d["checks"].pop("source")),
        ("trophic_state", trophic_rules, lambda d: d["classes"]["list"].reverse()),
        ("trophic_state", trophic_rules, lambda d: d["tli"].update(least_indicators=0)),
        ("bloom", bloom_rules, lambda d: d["grades"]["list"][-1].update(to=90)),
    ],
)
def test_broken_rule_files_are_refused(stem: str, model: Any, break_it: Any) -> None:
    document = yaml.safe_load((ROOT / "layers" / "rules" / f"{stem}.yml").read_text("utf-8"))
    break_it(document)
    with pytest.raises(LayerDefinitionInvalid, match=stem):
        model({stem: document})
