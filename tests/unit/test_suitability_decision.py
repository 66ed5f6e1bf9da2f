"""The decision chain cell by cell, by hand, and the raster look-up against it."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml

from analyses.decision import Cell, DecisionTable, Reason, judge
from analyses.rules import UrbanRules, urban_rules

RULE_FILE = Path(__file__).parents[2] / "layers" / "rules" / "urban_suitability.yml"


@pytest.fixture(scope="module")
def rules() -> UrbanRules:
    return urban_rules({"urban_suitability": yaml.safe_load(RULE_FILE.read_text("utf-8"))})


@pytest.mark.parametrize(
    ("cell", "land", "base", "grade", "suitability", "reason"),
    [
        # flat, wet, near: base 1; «near» improves only 2–4
        (Cell(slope=1, water=1, location=1), 1, 1, 1, 1, Reason.NONE),
        # slope 3, matrix [3, 2] = 2, near −1
        (Cell(slope=3, water=2, location=1), 3, 2, 1, 1, Reason.NONE),
        # slope 2, relief +1 = 3, matrix [3, 3] = 3, far +1 = 4
        (Cell(slope=2, relief_step=1, water=3, location=4), 3, 3, 4, 2, Reason.SLOPE),
        # slope 1, relief +2 = 3, matrix [3, 1] = 2, very far +2 = 4; relief and location tie: the first in the chain
        (Cell(slope=1, relief_step=2, water=1, location=5), 3, 2, 4, 2, Reason.RELIEF),
        # slope 1, matrix 1, very far +2 = 3
        (Cell(slope=1, water=1, location=5), 1, 1, 3, 2, Reason.LOCATION),
        # slope 4, relief +2 clipped to 5, matrix [5, 1] = 5
        (Cell(slope=4, relief_step=2, water=1, location=3), 5, 5, 5, 3, Reason.SLOPE),
        # elevation ≥ 5000 m sets 5
        (Cell(slope=1, elevation_step=2, water=1, location=3), 5, 5, 5, 3, Reason.ELEVATION),
        # elevation 3500–5000 m adds 1: land 2, matrix [2, 1] = 1
        (Cell(slope=1, elevation_step=1, water=1, location=3), 2, 1, 1, 1, Reason.NONE),
        # dry: matrix [1, 5] = 3
        (Cell(slope=1, water=5, location=3), 1, 3, 3, 2, Reason.WATER),
        # «near» does not lift a 5
        (Cell(slope=5, water=1, location=1), 5, 5, 5, 3, Reason.SLOPE),
    ],
)
def test_chain_by_hand(
    rules: UrbanRules, cell: Cell, land: int, base: int, grade: int, suitability: int, reason: Reason
) -> None:
    verdict = judge(cell, rules, location_assessed=True)
    assert verdict is not None
    assert (verdict.land, verdict.base, verdict.grade, verdict.suitability) == (land, base, grade, suitability)
    assert verdict.reason is reason


def test_water_surface_is_unsuitable_whatever_the_rest_says(rules: UrbanRules) -> None:
    for slope, location in product(range(6), range(6)):
        verdict = judge(Cell(slope, location=location, water_surface=True), rules, location_assessed=True)
        assert verdict is not None
        assert (verdict.grade, verdict.suitability, verdict.reason) == (5, 3, Reason.WATER_SURFACE)


@pytest.mark.parametrize("cell", [Cell(slope=0), Cell(slope=1, water=0), Cell(slope=1, water=1, location=0)])
def test_a_cell_without_a_value_has_no_class(rules: UrbanRules, cell: Cell) -> None:
    assert judge(cell, rules, location_assessed=True) is None


def test_location_left_out_changes_nothing(rules: UrbanRules) -> None:
    for location in range(6):
        verdict = judge(Cell(slope=3, water=1, location=location), rules, location_assessed=False)
        assert verdict is not None
        assert verdict.grade == 2


@pytest.mark.parametrize("assessed", [True, False])
def test_worse_inputs_never_give_a_better_grade(rules: UrbanRules, assessed: bool) -> None:
    grade = DecisionTable(rules, location_assessed=assessed).grade[0].astype(int)
    grade = grade[1:, :, :, 1:, 1:]  # slope, elevation, relief, water, location, each from best to worst
    for axis in range(5):
        assert (np.diff(grade, axis=axis) >= 0).all(), f"axis {axis}"


def test_the_raster_look_up_is_the_chain(rules: UrbanRules) -> None:
    table = DecisionTable(rules, location_assessed=True)
    rng = np.random.default_rng(8)
    shape = (40, 30)
    parts = {
        "water_surface": rng.random(shape) < 0.1,
        "slope": rng.integers(0, 6, shape).astype(np.int8),
        "elevation_step": rng.integers(0, 3, shape).astype(np.int8),
        "relief_step": rng.integers(0, 3, shape).astype(np.int8),
        "water": rng.integers(0, 6, shape).astype(np.int8),
        "location": rng.integers(0, 6, shape).astype(np.int8),
    }
    suitability, grade, reason = table.look_up(**parts)
    for at in np.ndindex(shape):
        cell = {name: part[at].item() for name, part in parts.items()}
        verdict = judge(Cell(**cell), rules, location_assessed=True)
        expected = (0, 0, 0) if verdict is None else (verdict.suitability, verdict.grade, int(verdict.reason))
        assert (suitability[at], grade[at], reason[at]) == expected
