"""The chain of stations: the kernel against a hand walk, edges, stops, missing values, JSON, changes, the explanation."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
from urban_walk import NONE, Cell, judge

from analyses import chain as chains
from analyses.chain import Chain
from analyses.rules import UrbanRules, urban_rules
from spatial.errors import GridMismatch, InvalidParameter

RULES = Path(__file__).parents[2] / "layers" / "rules" / "urban_suitability.yml"


@pytest.fixture(scope="module")
def rules() -> UrbanRules:
    return urban_rules({"urban_suitability": yaml.safe_load(RULES.read_text("utf-8"))})


@pytest.fixture(scope="module")
def urban(rules: UrbanRules) -> Chain:
    location = rules.location.rows["province"]
    return Chain(
        id="urban",
        title=rules.title,
        stations=(
            chains.stop("water-surface", "surface", rules.water_surface, rules.water_surface.set),
            chains.start("slope", "slope", rules.slope),
            chains.steps("elevation", "elevation", rules.elevation),
            chains.steps("relief", "relief", rules.relief),
            chains.matrix("water", "water", rules.water, rules.matrix),
            chains.correction("location", "minutes", location, rules.location.corrections, about=rules.location),
        ),
        classes=rules.classes.grades,
    )


SLOPES = [np.nan, 0.0, 3.0, 3.001, 8.0, 15.0, 15.001, 25.0, 25.001]
ELEVATIONS = [0.0, 3499.0, 3500.0, 5000.0]
RELIEFS = [0.0, 100.0, 100.5, 200.0, 200.5]
WATERS = [np.nan, 0.0, 50000.0, 100000.0, 200000.0, 500000.0]
MINUTES = [np.nan, 60.0, 60.5, 120.0, 210.0, 300.0, 300.5, np.inf]


def test_every_combination_agrees_with_the_walk_of_one_cell(urban: Chain, rules: UrbanRules) -> None:
    combos = np.array(list(product([0, 1], SLOPES, ELEVATIONS, RELIEFS, WATERS, MINUTES)), dtype=np.float64)
    surface, slope, elevation, relief, water, minutes = combos.T
    found = urban.run(
        {
            "surface": surface.astype(np.uint8),
            "slope": slope.astype(np.float32),
            "elevation": elevation.astype(np.float32),
            "relief": relief.astype(np.float32),
            "water": water.astype(np.float32),
            "minutes": minutes.astype(np.float32),
        }
    )
    levels = zip(
        surface.astype(bool),
        rules.slope.grade(slope.astype(np.float32)),
        rules.elevation.index(elevation),
        rules.relief.index(relief),
        rules.water.grade(water),
        rules.location.rows["province"].grade(minutes),
        strict=True,
    )
    for k, (wet, s, e, r, w, m) in enumerate(levels):
        verdict = judge(Cell(int(s), int(e), int(r), int(w), int(m), bool(wet)), rules, location_assessed=True)
        if verdict is None:
            assert found.grade[k] == found.suitability[k] == found.reason[k] == 0
        else:
            assert (found.grade[k], found.suitability[k]) == (verdict.grade, verdict.suitability)
            assert found.reason[k] == (1 if verdict.reason == NONE else urban.code(verdict.reason))


# A value of each level of the five factors: slope, elevation, relief, water, minutes; level 0 = no value.
VALUES = (
    (np.nan, 1.0, 5.0, 10.0, 20.0, 30.0),
    (100.0, 4000.0, 6000.0),
    (10.0, 150.0, 300.0),
    (np.nan, 6e5, 3e5, 1.5e5, 6e4, 100.0),
    (np.nan, 30.0, 90.0, 150.0, 250.0, 400.0),
)


def factors_of(cells: list[Cell]) -> dict[str, np.ndarray]:
    """Blocks of factor values whose levels are those of the cells."""
    levels = [(c.slope, c.elevation_step, c.relief_step, c.water, c.location) for c in cells]
    columns = np.array([[VALUES[k][level] for k, level in enumerate(row)] for row in levels], np.float32).T
    found = dict(zip(("slope", "elevation", "relief", "water", "minutes"), columns, strict=True))
    return found | {"surface": np.array([c.water_surface for c in cells], np.uint8)}


BY_HAND = [
    # flat, wet, near: base 1; «near» improves only 2–4
    (Cell(slope=1, water=1, location=1), 1, 1, 1, 1, NONE),
    # slope 3, matrix [3, 2] = 2, near −1
    (Cell(slope=3, water=2, location=1), 3, 2, 1, 1, NONE),
    # slope 2, relief +1 = 3, matrix [3, 3] = 3, far +1 = 4
    (Cell(slope=2, relief_step=1, water=3, location=4), 3, 3, 4, 2, "slope"),
    # slope 1, relief +2 = 3, matrix [3, 1] = 2, very far +2 = 4; relief and location tie: the first in the chain
    (Cell(slope=1, relief_step=2, water=1, location=5), 3, 2, 4, 2, "relief"),
    # slope 1, matrix 1, very far +2 = 3
    (Cell(slope=1, water=1, location=5), 1, 1, 3, 2, "location"),
    # slope 4, relief +2 clipped to 5, matrix [5, 1] = 5
    (Cell(slope=4, relief_step=2, water=1, location=3), 5, 5, 5, 3, "slope"),
    # elevation ≥ 5000 m sets 5
    (Cell(slope=1, elevation_step=2, water=1, location=3), 5, 5, 5, 3, "elevation"),
    # elevation 3500–5000 m adds 1: land 2, matrix [2, 1] = 1
    (Cell(slope=1, elevation_step=1, water=1, location=3), 2, 1, 1, 1, NONE),
    # dry: matrix [1, 5] = 3
    (Cell(slope=1, water=5, location=3), 1, 3, 3, 2, "water"),
    # «near» does not lift a 5
    (Cell(slope=5, water=1, location=1), 5, 5, 5, 3, "slope"),
]


@pytest.mark.parametrize(("cell", "land", "base", "grade", "suitability", "reason"), BY_HAND)
def test_cells_by_hand(
    urban: Chain, rules: UrbanRules, cell: Cell, land: int, base: int, grade: int, suitability: int, reason: str
) -> None:
    """The walk that is the oracle, and the chain, both against numbers found on paper."""
    verdict = judge(cell, rules, location_assessed=True)
    assert verdict is not None
    assert (verdict.land, verdict.base, verdict.grade) == (land, base, grade)
    assert (verdict.suitability, verdict.reason) == (suitability, reason)
    values = factors_of([cell])
    assert urban.upto("relief").run(values).grade[0] == land
    assert urban.upto("water").run(values).grade[0] == base
    found = urban.run(values)
    assert (found.grade[0], found.suitability[0]) == (grade, suitability)
    assert found.reason[0] == (1 if reason == NONE else urban.code(reason))


def test_water_surface_is_unsuitable_whatever_the_rest_says(urban: Chain) -> None:
    cells = [
        Cell(slope, water=water, location=location, water_surface=True)
        for slope, water, location in product(range(6), range(6), range(6))
    ]
    found = urban.run(factors_of(cells))
    assert (found.grade == 5).all()
    assert (found.suitability == 3).all()
    assert (found.reason == urban.code("water-surface")).all()


def test_a_cell_without_a_value_has_no_class(urban: Chain) -> None:
    cells = [Cell(slope=0, location=1), Cell(slope=1, water=0, location=1), Cell(slope=1, water=1, location=0)]
    found = urban.run(factors_of(cells))
    assert not found.grade.any()
    assert not found.suitability.any()
    assert not found.reason.any()


def test_a_station_left_out_changes_nothing(urban: Chain, rules: UrbanRules) -> None:
    cells = [Cell(slope=3, water=1, location=location) for location in range(6)]
    assert (urban.without("location").run(factors_of(cells)).grade == 2).all()
    verdict = judge(cells[5], rules, location_assessed=False)
    assert verdict is not None
    assert verdict.grade == 2


@pytest.mark.parametrize("assessed", [True, False])
def test_worse_values_never_give_a_better_grade(urban: Chain, assessed: bool) -> None:
    shape = (5, 3, 3, 5, 5)  # slope, elevation, relief, water, location, each from best to worst
    cells = [Cell(s + 1, e, r, w + 1, m + 1) for s, e, r, w, m in np.ndindex(shape)]
    chain = urban if assessed else urban.without("location")
    grade = chain.run(factors_of(cells)).grade.reshape(shape).astype(int)
    for axis in range(5):
        assert (np.diff(grade, axis=axis) >= 0).all(), f"axis {axis}"


def test_the_edge_belongs_to_the_side_that_the_rule_says(urban: Chain) -> None:
    slope = urban.station("slope")
    beside = [np.nextafter(np.float32(3), np.float32(0)), 3.0, np.nextafter(np.float32(3), np.float32(9))]
    assert [slope.interval(float(v)) for v in beside] == [0, 0, 1]
    assert slope.interval_text(2) == "8 ≤ v < 15"
    assert slope.interval_text(0) == "v ≤ 3"
    assert slope.interval_text(4) == "25 < v"


@given(st.floats(-1e6, 1e6, width=32), st.lists(st.floats(-1e5, 1e5), min_size=1, max_size=4, unique=True))
def test_float32_limits_grade_like_the_exact_rule(value: float, limits: list[float]) -> None:
    edges = tuple(sorted(limits))
    n = len(edges)
    for end in ("below", "above"):
        station = chains.Station(
            id="s", title={"zh": "s", "en": "s"}, kind="start", factor="s", edges=edges, closed=(end,) * n,
            levels=tuple(range(1, n + 2)), table=(tuple(range(1, n + 2)),) * 6, compare=(1,) * 6, source="-", tag="own",
        )  # fmt: skip
        exact = sum(value > e if end == "below" else value >= e for e in edges)
        assert station.interval(value) == exact


def test_json_and_back_gives_the_same_grades(urban: Chain) -> None:
    again = Chain.model_validate(urban.document())
    values = {f: np.linspace(0, 400, 50, dtype=np.float32) for f in urban.factors}
    assert np.array_equal(again.run(values).grade, urban.run(values).grade)
    assert again == urban


def test_trace_tells_value_interval_cell_and_source_and_ends_like_the_map(urban: Chain) -> None:
    told = urban.trace({"surface": 0, "slope": 10, "elevation": 900, "relief": 150, "water": 3e5, "minutes": 400})
    steps = {s["station"]: s for s in told["steps"]}
    assert steps["slope"]["grade_after"] == 3
    assert steps["relief"]["grade_after"] == 4
    assert steps["water"]["cell"] == [4, 2]
    assert steps["water"]["grade_after"] == 4
    assert steps["location"]["grade_after"] == 5
    assert told["class"] == 3
    assert told["reason"] == "slope"
    assert all(s["source"] for s in told["steps"])
    wet = urban.trace({"surface": 1, "slope": None})
    assert wet["reason"] == "water-surface"
    assert len(wet["steps"]) == 1
    unknown = urban.trace({"surface": 0, "slope": 1, "elevation": 1, "relief": 1})
    assert unknown["class"] is None
    assert unknown["steps"][-1]["station"] == "water"


def test_running_on_after_the_head_is_the_whole_chain(urban: Chain) -> None:
    rng = np.random.default_rng(1)
    values = {
        "surface": rng.integers(0, 2, 5000).astype(np.uint8),
        "slope": rng.choice(np.array(SLOPES, np.float32), 5000),
        "elevation": rng.choice(np.array(ELEVATIONS, np.float32), 5000),
        "relief": rng.choice(np.array(RELIEFS, np.float32), 5000),
        "water": rng.choice(np.array(WATERS, np.float32), 5000),
        "minutes": rng.choice(np.array(MINUTES, np.float32), 5000),
    }
    whole = urban.run(values)
    tail = urban.tail("location", values, urban.upto("water").run(values))
    assert np.array_equal(tail.grade, whole.grade)
    assert np.array_equal(tail.suitability, whole.suitability)


def test_changes_for_what_if(urban: Chain) -> None:
    values = {"surface": 0, "slope": 4, "elevation": 1, "relief": 1, "water": 3e5, "minutes": 100}
    assert urban.trace(values)["grade"] == 1
    assert urban.with_edges("slope", [1, 3, 15, 25]).trace(values)["steps"][1]["grade_after"] == 3
    assert urban.with_matrix("water", [[3] * 5] * 4 + [[5] * 5]).trace(values)["grade"] == 3
    assert urban.with_shift("location", {2: 2}).trace(values)["grade"] == 3
    assert "location" not in [s["station"] for s in urban.without("location").trace(values)["steps"]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.with_edges("slope", [3, 8, 15]), "4 rising limits"),
        (lambda c: c.with_edges("slope", [3, 2, 15, 25]), "rising limits"),
        (lambda c: c.with_edges("slop", [1]), "no station"),
        (lambda c: c.with_matrix("water", [[1, 2], [3, 4]]), "5×5"),
        (lambda c: c.with_matrix("water", [[5, 4, 3, 2, 1]] * 5), "5×5"),
        (lambda c: c.with_matrix("slope", [[1] * 5] * 5), "5×5"),
        (lambda c: c.with_shift("location", {9: 1}), "levels"),
        (lambda c: c.without("slope"), "first grade"),
    ],
)
def test_bad_changes_are_refused_by_name(urban: Chain, change: object, words: str) -> None:
    with pytest.raises(InvalidParameter, match=words):
        change(urban)  # type: ignore[operator]


def test_blocks_of_unequal_shape_and_float64_are_refused(urban: Chain) -> None:
    values = {f: np.zeros((2, 2), np.float32) for f in urban.factors}
    with pytest.raises(GridMismatch):
        urban.run(values | {"slope": np.zeros((2, 3), np.float32)})
    with pytest.raises(GridMismatch):
        urban.run(values | {"slope": np.zeros((2, 2))})
