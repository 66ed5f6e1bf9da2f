"""The river chief's desk without a server: the machine of the workflow, rules, measures, assessment, photos."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from spatial.errors import InvalidFeature, InvalidParameter, LayerDefinitionInvalid, StepNotAllowed
from spatial.river_chief.assessment import DEFINITIONS, assess
from spatial.river_chief.requests import StepRequest
from spatial.river_chief.rules import DeskRules, read_desk_rules
from spatial.river_chief.workflow import allowed_steps, end_of_day, take_step
from spatial.store.case_store import Case, CaseEvent, Patrol

LAYERS = Path(__file__).resolve().parents[2] / "layers"
RULES = read_desk_rules(LAYERS)
NOW = datetime(2026, 7, 1, 4, tzinfo=UTC)
PLENTY = {(role, number): 9 for role in ("field", "rectified") for number in range(99)}


def _case(**more: Any) -> Case:
    held = {
        "id": 1, "version": 1, "state": "issued", "outcome": None, "kind": None, "severity": None, "title": "图斑",
        "description": "", "created": NOW, "entered": NOW, "updated": NOW, "due": None, "closed": None, "late_steps": 0,
        "round": 0, "water": None, "reach": None, "unit": "甲县", "chief": None, "place": {}, "source_layer": None,
        "source_version": None, "source_feature": None, "source_key": None, "before": {}, "after": {}, "geometry": {},
        "west": 0.0, "south": 0.0, "east": 0.0, "north": 0.0, "area_m2": 2000.0, "checks": {}, "rebound": False,
        "synthetic": False, "shown": 0,
    }  # fmt: skip
    return Case(**held | more)


def _take(case: Case, step: str, now: datetime = NOW, **words: Any) -> CaseEvent:
    given_ = StepRequest(**{"step": step, "note": "理由"} | words)
    return take_step(case, given_, RULES, PLENTY, actor="合成-甲", now=now)


GRAPH = {
    ("issued", "check", None): "checked",
    ("checked", "judge", True): "judged",
    ("checked", "judge", False): "closed",
    ("judged", "rectify", None): "rectifying",
    ("rectifying", "review", True): "reviewed",
    ("rectifying", "review", False): "rectifying",
    ("reviewed", "close", None): "closed",
    ("reviewed", "return", None): "rectifying",
}
MOVES = [(step, verdict) for step in ("check", "rectify", "close", "return") for verdict in (None,)]
MOVES += [(step, verdict) for step in ("judge", "review") for verdict in (True, False)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(MOVES), max_size=25))
def test_every_walk_stays_on_the_graph(walk: list[tuple[str, bool | None]]) -> None:
    case, history = _case(), []
    for step, verdict in walk:
        words: dict[str, Any] = {}
        if step == "judge":
            words = {"problem": verdict} | ({"kind": "dumping"} if verdict else {})
        if step == "review":
            words = {"passed": verdict}
        before = case.state
        target = GRAPH.get((before, step, verdict))
        if target is None:
            held = {name: getattr(case, name) for name in ("state", "due", "round", "kind", "severity", "late_steps")}
            with pytest.raises(StepNotAllowed) as refused:
                _take(case, step, **words)
            allowed = [s.id for s in allowed_steps(before, RULES)]
            assert refused.value.problem()["allowed"] == allowed
            assert refused.value.problem()["status"] == 409
            assert {name: getattr(case, name) for name in held} == held  # nothing half-done
            continue
        event = _take(case, step, **words)
        history.append(event)
        assert (event.from_state, event.to_state, case.state) == (before, target, target)
        assert (case.closed is not None) == (case.state == "closed") == (case.outcome is not None)
        assert (case.due is None) == (case.state == "closed")
    rounds = sum(event.to_state == "rectifying" for event in history)
    assert case.round == rounds
    if case.state == "closed":
        assert case.outcome == ("rectified" if rounds else "not_a_problem")


def test_photos_of_another_round_do_not_count() -> None:
    case = _case(state="rectifying", round=2)
    words = StepRequest(step="review", note="n", passed=True)
    with pytest.raises(StepNotAllowed, match="1 张照片"):
        take_step(case, words, RULES, {("rectified", 1): 5, ("field", 2): 5}, actor="甲", now=NOW)
    take_step(case, words, RULES, {("rectified", 2): 1}, actor="甲", now=NOW)
    assert case.state == "reviewed"


@pytest.mark.parametrize(
    ("area", "severity", "days"), [(5000.0, "major", 90), (4999.9, "serious", 60), (999.9, "ordinary", 30)]
)
def test_severity_suggests_itself_by_area_and_sets_the_days(area: float, severity: str, days: int) -> None:
    case = _case(state="checked", area_m2=area)
    _take(case, "judge", problem=True, kind="occupation")
    assert case.severity == severity
    _take(case, "rectify")
    assert case.due == end_of_day(NOW, days)


def test_days_of_the_reach_come_before_those_of_the_severity_and_a_given_day_before_both() -> None:
    case = _case(state="judged", severity="major", place={"rectify_days": 20})
    _take(case, "rectify")
    assert case.due == end_of_day(NOW, 20)
    other = _case(state="judged", severity="major", place={"rectify_days": 20})
    _take(other, "rectify", due="2026-07-05T00:00:00+08:00")
    assert other.due == datetime(2026, 7, 4, 16, tzinfo=UTC)
    for wrong in ("2026-06-30T00:00:00Z", "2096-07-01T00:00:00Z"):
        with pytest.raises(InvalidParameter):
            _take(_case(state="judged", severity="major"), "rectify", due=wrong)


def test_late_is_after_the_last_second() -> None:
    case = _case(due=NOW)
    assert not _take(case, "check").late
    case = _case(due=NOW)
    assert _take(case, "check", now=NOW + timedelta(seconds=1)).late
    assert case.late_steps == 1


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)), st.integers(1, 400))
def test_a_deadline_is_the_end_of_a_day_in_china(at: datetime, days: int) -> None:
    due = end_of_day(at, days)
    assert due.strftime("%H:%M:%S") == "15:59:59"
    assert timedelta(days=days) <= due - at + timedelta(seconds=1) <= timedelta(days=days + 1)


# -- rules -------------------------------------------------------------------------------------------------------------


def _changed(path: str, value: Any) -> dict[str, Any]:
    document = yaml.safe_load((LAYERS / "rules" / "river_chief.yml").read_text("utf-8"))
    node = document
    *way, last = path.split(".")
    for part in way:
        node = node[int(part) if part.isdigit() else part]
    node[int(last) if last.isdigit() else last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("steps.list.0.to", "nowhere"), ("steps.list.0.from", ["closed"]), ("steps.list.0.id", "fly"),
        ("steps.list.1.id", "check"), ("steps.list.0.role", None), ("states.list.0.id", "new"), ("states.list.0.days", 0),
        ("severities.list.2.from_m2", 10), ("severities.list.0.from_m2", 1), ("matching.permit_share", 1.5),
        ("kinds.source", ""), ("kinds.tag", "maybe"), ("attachments.types", ["image/svg+xml"]),
        ("attachments.max_bytes", 50_000_001), ("surplus", 1),
    ],
)  # fmt: skip
def test_rules_that_do_not_fit_are_refused(tmp_path: Path, path: str, value: Any) -> None:
    (tmp_path / "rules").mkdir()
    file = tmp_path / "rules" / "river_chief.yml"
    file.write_text(yaml.safe_dump(_changed(path, value), allow_unicode=True), "utf-8")
    with pytest.raises(LayerDefinitionInvalid):
        read_desk_rules(tmp_path)


def test_missing_rules_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(LayerDefinitionInvalid, match="river_chief"):
        read_desk_rules(tmp_path)


def test_every_rule_has_its_source() -> None:
    for name in ("states", "steps", "kinds", "severities", "matching", "layers", "attachments", "patrols"):
        assert getattr(RULES, name).source
        assert getattr(RULES, name).tag
    assert isinstance(RULES, DeskRules)
    assert not RULES.is_candidate_layer(RULES.layers.cases)
    assert RULES.is_candidate_layer("water-watch-alerts")
    assert not RULES.is_candidate_layer("works-permits")


# -- measures ----------------------------------------------------------------------------------------------------------


def test_distance_and_place_along_a_line_against_the_geodesic() -> None:
    import shapely
    from pyproj import Geod

    from spatial.river_chief.shapes import distance_m, locate

    geod = Geod(a=6378137.0, rf=298.257222101)
    line = shapely.LineString([(113, 30), (113, 31), (114, 31)])
    point = shapely.Point(113.4, 31.2)
    assert locate(line, point) == pytest.approx(
        geod.inv(113, 30, 113, 31)[2] + geod.inv(113, 31, 113.4, 31)[2], rel=2e-5
    )
    assert distance_m(line, point) == pytest.approx(geod.inv(113.4, 31, 113.4, 31.2)[2], rel=1e-4)
    assert distance_m(line, shapely.Point(113, 30.5)) == 0
    assert locate(line, shapely.Point(112, 29)) == 0


def test_overlap_adds_up() -> None:
    import shapely

    from spatial.river_chief.matching import overlap_m2
    from spatial.river_chief.shapes import area_m2

    whole = shapely.box(114, 30, 114.02, 30.02)
    left, right = shapely.box(113, 29, 114.008, 31), shapely.box(114.008, 29, 115, 31)
    # Edges are geodesics: the one along a parallel bulges by less when it is cut in two (0.008 m² of 4.3 km²).
    assert overlap_m2(whole, left) + overlap_m2(whole, right) == pytest.approx(area_m2(whole), rel=1e-8)
    assert overlap_m2(whole, shapely.box(114.02, 30, 114.04, 30.02)) == 0  # they only touch


def test_a_track_that_is_no_track() -> None:
    import shapely

    from spatial.river_chief.patrols import measure_track, seen_share

    with pytest.raises(InvalidFeature, match="长度为零"):
        measure_track(shapely.LineString([(114, 30), (114, 30)]), 1.0, RULES)
    reach = shapely.LineString([(114, 30), (114.5, 30)])
    assert seen_share(reach, reach, RULES) == 1
    assert seen_share(reach, shapely.LineString([(114, 30.1), (114.5, 30.1)]), RULES) == 0


# -- assessment --------------------------------------------------------------------------------------------------------


def _patrol(unit: str | None, metres: float) -> Patrol:
    return Patrol(unit=unit, length_m=metres, started=NOW)


def test_assessment_by_hand() -> None:
    later = NOW + timedelta(days=10)
    cases = [
        _case(id=1, state="closed", outcome="rectified", closed=NOW + timedelta(days=4), round=1),
        _case(id=2, state="closed", outcome="rectified", closed=NOW + timedelta(days=8), round=2, late_steps=1),
        _case(id=3, state="closed", outcome="not_a_problem", closed=NOW + timedelta(days=3)),
        _case(id=4, due=NOW + timedelta(days=7), rebound=True),
        _case(id=5, due=NOW + timedelta(days=70), unit=None),
    ]
    found = assess(cases, [_patrol("甲县", 1500.0), _patrol("乙县", 2500.0)], now=later)
    first = next(row for row in found["units"] if row["unit"] == "甲县")
    assert first == {
        "unit": "甲县", "cases": 4, "open": 1, "overdue": 1, "rectified": 2, "not_a_problem": 1, "closed_in_time": 2,
        "share_closed_in_time": 0.6667, "mean_days": 5.0, "rebounds": 1, "second_rectifications": 1, "patrols": 1,
        "patrol_km": 1.5,
    }  # fmt: skip
    assert [row["unit"] for row in found["units"]] == ["乙县", "甲县", None]
    assert set(found["total"]) == set(DEFINITIONS)
    # Law: what is counted adds up over the units.
    for name in ("cases", "open", "overdue", "rectified", "not_a_problem", "closed_in_time", "rebounds", "patrols"):
        assert sum(row[name] for row in found["units"]) == found["total"][name]
    assert assess(cases, [], now=later, start=later)["total"]["cases"] == 0
    assert assess(cases, [], now=later, end=NOW)["total"]["cases"] == 0


# -- state database ----------------------------------------------------------------------------------------------------


def test_the_migration_makes_what_the_model_says_and_can_be_undone(tmp_path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import inspect

    from spatial.store import case_store, state

    found = state.State(f"sqlite:///{tmp_path}/state.sqlite")
    tables = inspect(found.engine)
    for model in (case_store.Case, case_store.CaseEvent, case_store.Photo, case_store.Patrol):
        columns = {column["name"]: column["nullable"] for column in tables.get_columns(model.__tablename__)}
        assert columns == {column.name: column.nullable for column in model.__table__.columns}
    config = Config()
    config.set_main_option("script_location", str(Path(state.__file__).with_name("migrations")))
    with found.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
        connection.commit()
    assert "river_case" not in inspect(found.engine).get_table_names()
    found.close()


# -- sample layers -----------------------------------------------------------------------------------------------------


def test_the_sample_register_is_whole_and_clearly_made_up() -> None:
    import geopandas as gpd

    thematic = LAYERS.parent / "data-samples" / "thematic"
    reaches = gpd.read_file(thematic / "river-reaches.gpkg")
    assert reaches.chief.str.startswith("合成-").all()
    assert reaches.unit.str.contains("合成").all()
    assert reaches.code.is_unique
    assert {"长江", "汉江", "洪湖", "梁子湖"} <= set(reaches.water)
    for _, rows in reaches.groupby("water"):
        rows = rows.sort_values("from_m")
        assert rows.from_m.iloc[0] == 0
        assert all(a == b for (_, a), (b, _) in itertools.pairwise(zip(rows.from_m, rows.to_m, strict=True)))
        # Chainage is geodesic length; simplifying the line costs at most 1 %.
        assert ((rows.to_m - rows.from_m) / 1000 - rows.length_km).abs().max() <= 0.01 * rows.length_km.max()
    permits = gpd.read_file(thematic / "works-permits.gpkg")
    assert permits.holder.str.startswith("合成-").all()
    assert permits.number.str.startswith("合成").all()
    assert set(permits.reach) <= set(reaches.code)
