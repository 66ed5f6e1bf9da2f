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

from analyses.grading import GradeTable, Matrix, StepTable
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
