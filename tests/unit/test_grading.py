"""Interval tables, matrix and the rule file of urban suitability, against the reference tables typed again by hand."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from analyses import grading
from analyses.grading import CLASS_VALUES, GradeTable, LevelTable, Matrix, StepTable, quantise
from analyses.rules import UrbanRules, urban_rules
from analyses.suitability import UrbanSuitabilityParameters
from spatial.errors import LayerDefinitionInvalid

RULE_FILE = Path(__file__).parents[2] / "layers" / "rules" / "urban_suitability.yml"


def raw() -> dict:
    return yaml.safe_load(RULE_FILE.read_text("utf-8"))


@pytest.fixture(scope="module")
def rules() -> UrbanRules:
    return urban_rules({"urban_suitability": raw()})


SLOPE = [(0, 1), (3, 1), (3.0001, 2), (7.9999, 2), (8, 3), (14.99, 3), (15, 4), (25, 4), (25.0001, 5), (90, 5)]
WATER = [(0, 5), (49_999, 5), (50_000, 4), (99_999, 4), (100_000, 3), (199_999, 3), (200_000, 2), (499_999, 2)]
WATER += [(500_000, 1), (1e7, 1)]
PROVINCE = [(0, 1), (60, 1), (60.01, 2), (119.9, 2), (120, 3), (209.9, 3), (210, 4), (300, 4), (300.1, 5)]
COUNTY = [(0, 1), (20, 1), (20.01, 2), (39.9, 2), (40, 3), (59.9, 3), (60, 4), (90, 4), (90.1, 5), (np.inf, 5)]


@pytest.mark.parametrize(("value", "grade"), SLOPE)
def test_slope_edges(rules: UrbanRules, value: float, grade: int) -> None:
    assert rules.slope.grade(np.array([value])).tolist() == [grade]


@pytest.mark.parametrize(("value", "grade"), WATER)
def test_water_edges(rules: UrbanRules, value: float, grade: int) -> None:
    assert rules.water.grade(np.array([value])).tolist() == [grade]


@pytest.mark.parametrize(
    ("row", "value", "grade"), [("province", *p) for p in PROVINCE] + [("county", *p) for p in COUNTY]
)
def test_location_edges(rules: UrbanRules, row: str, value: float, grade: int) -> None:
    assert rules.location.rows[row].grade(np.array([value], np.float32)).tolist() == [grade]


@pytest.mark.parametrize(("value", "expected"), [(0, 2), (100, 2), (100.1, 3), (200, 3), (200.1, 4), (9000, 4)])
def test_relief_steps(rules: UrbanRules, value: float, expected: int) -> None:
    (index,) = rules.relief.index(np.array([value]))
    assert rules.relief.apply(int(index), 2) == expected


@pytest.mark.parametrize(("value", "expected"), [(3106, 1), (3499, 1), (3500, 2), (4999, 2), (5000, 5)])
def test_elevation_steps(rules: UrbanRules, value: float, expected: int) -> None:
    (index,) = rules.elevation.index(np.array([value]))
    assert rules.elevation.apply(int(index), 1) == expected


MATRIX = ["11123", "11223", "22334", "34455", "55555"]


@pytest.mark.parametrize("land", range(1, 6))
@pytest.mark.parametrize("water", range(1, 6))
def test_matrix_cell_by_cell(rules: UrbanRules, land: int, water: int) -> None:
    assert rules.matrix.at(land, water) == int(MATRIX[land - 1][water - 1])


def test_nodata_has_no_grade(rules: UrbanRules) -> None:
    assert rules.slope.grade(np.array([np.nan, 1.0])).tolist() == [0, 1]
    assert rules.relief.index(np.array([np.nan])).tolist() == [0]


def test_every_rule_names_source_tag_and_date() -> None:
    for name, rule in raw().items():
        if isinstance(rule, dict) and name != "title":
            assert {"source", "tag", "valid_from", "title"} <= set(rule), name


def test_parameter_defaults_are_those_of_the_rule_file(rules: UrbanRules) -> None:
    defaults = UrbanSuitabilityParameters()
    assert defaults.runoff_coefficient == rules.runoff_coefficient.value
    assert defaults.offroad_speed_kmh == rules.speeds.offroad


SLOPE_TABLE = GradeTable.model_validate({"grades": raw()["slope"]["grades"]})


@settings(deadline=None)
@given(st.lists(st.floats(0, 90), min_size=2, max_size=20))
def test_steeper_never_grades_better(values: list[float]) -> None:
    grades = SLOPE_TABLE.grade(np.sort(values))
    assert (np.diff(grades) >= 0).all()


@pytest.mark.parametrize(
    "grades",
    [
        [{"grade": 1, "to": 3}, {"grade": 2, "over": 4}],  # gap
        [{"grade": 1, "to": 3}, {"grade": 2, "over": 2}],  # overlap
        [{"grade": 1, "below": 3}, {"grade": 2, "over": 3}],  # the edge belongs to nobody
        [{"grade": 1, "from": 0, "to": 3}, {"grade": 2, "over": 3}],  # does not reach −∞
        [{"grade": 2, "to": 3}, {"grade": 1, "over": 3, "to": 5}, {"grade": 3, "over": 5}],  # not monotone
        [{"grade": 1, "to": 3, "below": 3}, {"grade": 2, "over": 3}],  # both kinds of end
    ],
)
def test_broken_tables_are_refused(grades: list[dict]) -> None:
    with pytest.raises(ValidationError):
        GradeTable.model_validate({"grades": grades})


def test_broken_matrix_and_steps_are_refused() -> None:
    with pytest.raises(ValidationError):
        Matrix.model_validate({"rows": [[1, 2, 3, 4, 5]] * 4})
    with pytest.raises(ValidationError, match="improve"):
        Matrix.model_validate({"rows": [[1, 1, 1, 1, 1], [2, 1, 1, 1, 1], *[[5] * 5] * 3]})
    with pytest.raises(ValidationError, match="overlap"):
        StepTable.model_validate({"steps": [{"over": 100, "to": 300, "add": 1}, {"over": 200, "add": 2}]})


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("matrix", "rows"), [[1] * 5] * 4, "matrix"),
        (("slope", "grades"), [{"grade": 1, "to": 3}, {"grade": 2, "over": 4}], "slope"),
        (("water", "source"), "", "water.source"),
        (("classes", "grades"), {1: 1}, "classes"),
        (("water_surface", "set"), 9, "water_surface.set"),
        (("slope", "typo"), 1, "slope.typo"),
    ],
)
def test_a_broken_rule_file_names_the_place(path: tuple[str, str], value: object, named: str) -> None:
    broken = copy.deepcopy(raw())
    broken[path[0]][path[1]] = value
    with pytest.raises(LayerDefinitionInvalid, match=named) as caught:
        urban_rules({"urban_suitability": broken})
    assert "urban_suitability.yml" in caught.value.zh


def test_a_missing_rule_file_is_named() -> None:
    with pytest.raises(LayerDefinitionInvalid, match=r"layers/rules/urban_suitability\.yml"):
        urban_rules({})


def test_compiled_loops_answer_as_numpy_does(monkeypatch: pytest.MonkeyPatch, rules: UrbanRules) -> None:
    """Large blocks go through machine code: the same bits, edges, infinities and gaps included."""
    edges = [3.0, 8.0, 15.0, 25.0, 32.0, 90.0, 1 / 128, 3 / 128]
    special = [np.nan, np.inf, -np.inf, 0.0, *edges, *np.nextafter(edges, np.inf), *np.nextafter(edges, -np.inf)]
    for dtype in (np.float64, np.float32):
        values = np.concatenate([special, np.random.default_rng(2).uniform(-50, 150, 500)]).astype(dtype).reshape(-1, 2)
        slow = (rules.slope.grade(values), rules.comfort.thi.level(values), quantise(values, 1 / 64))
        monkeypatch.setattr(grading, "COMPILE_FROM", 0)
        fast = (rules.slope.grade(values), rules.comfort.thi.level(values), quantise(values, 1 / 64))
        monkeypatch.undo()
        for a, b in zip(slow, fast, strict=True):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            np.testing.assert_array_equal(a, b)


def test_levels_may_repeat_but_not_leave_gaps() -> None:
    table = LevelTable.model_validate(
        {"levels": [{"level": 2, "below": 5}, {"level": 1, "from": 5, "to": 9}, {"level": 2, "over": 9}]}
    )
    assert table.level(np.array([4.9, 5.0, 9.0, 9.1, np.nan])).tolist() == [2, 1, 1, 2, 0]
    with pytest.raises(ValidationError, match="gap"):
        LevelTable.model_validate({"levels": [{"level": 1, "below": 5}, {"level": 2, "from": 6}]})
    assert CLASS_VALUES.grade(np.array([1.0, 2, 3, 4, 5, np.nan])).tolist() == [1, 2, 3, 4, 5, 0]


@pytest.mark.parametrize("step", [0.1, 3.0, 0.0, -1.0])
def test_steps_that_are_no_power_of_two_are_refused(step: float) -> None:
    broken = copy.deepcopy(raw())
    broken["relief"]["step"] = step
    with pytest.raises(LayerDefinitionInvalid, match="power of two"):
        urban_rules({"urban_suitability": broken})
