"""The chain of stations: the kernel against a hand walk, edges, stops, missing values, JSON, changes, the explanation."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from analyses import chain as chains
from analyses.chain import Chain
from analyses.decision import Cell, judge
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
    names = {1: 1, 2: "water-surface", 3: "slope", 4: "elevation", 5: "relief", 6: "water", 7: "location"}
    codes = {n: 1 if s == 1 else urban.code(str(s)) for n, s in names.items()}
    for k, (wet, s, e, r, w, m) in enumerate(levels):
        verdict = judge(Cell(int(s), int(e), int(r), int(w), int(m), bool(wet)), rules, location_assessed=True)
        if verdict is None:
            assert found.grade[k] == found.suitability[k] == found.reason[k] == 0
        else:
            assert (found.grade[k], found.suitability[k]) == (verdict.grade, verdict.suitability)
            assert found.reason[k] == (1 if verdict.suitability == 1 else codes[int(verdict.reason)])


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
