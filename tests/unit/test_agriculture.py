"""The agricultural chain: rule tables typed again, cells by hand, laws, missing factors, 2020 knock-outs, patches."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from analyses.agriculture import (
    agricultural_chain,
    agricultural_factors,
    agricultural_knock_outs,
    unirrigated_precipitation,
)
from analyses.grading import is_power_of_two, quantise
from analyses.rules import AgriculturalRules, agricultural_rules
from spatial.errors import InvalidParameter, LayerDefinitionInvalid

RULE_FILE = Path(__file__).parents[2] / "layers" / "rules" / "agricultural_suitability.yml"
RAW = yaml.safe_load(RULE_FILE.read_text("utf-8"))
RULES = agricultural_rules({"agricultural_suitability": RAW})
WITHOUT_WATER = {
    "water-surface", "slope", "silt", "accumulated-temperature", "soil-environment", "salinity",
    "meteorological-hazard", "patch",
}  # fmt: skip
ALL = WITHOUT_WATER | {"precipitation"}
GOOD = {
    "water-surface": 0, "slope": 1.0, "silt": 30.0, "precipitation": 1300.0, "accumulated-temperature": 8000.0,
    "soil-environment": 1.0, "salinity": 1.0, "meteorological-hazard": 5.0, "patch": 3.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def rules() -> AgriculturalRules:
    return RULES


# -- rule file ---------------------------------------------------------------------------------------------------------

SLOPE = [(0, 1), (2, 1), (2.01, 2), (5.99, 2), (6, 3), (14.9, 3), (15, 4), (25, 4), (25.1, 5)]
RAIN = [(0, 5), (199, 5), (200, 4), (399, 4), (400, 3), (799, 3), (800, 2), (1199, 2), (1200, 1), (2500, 1)]
DRY = [(0.1, 1), (0.5, 1), (0.51, 2), (0.99, 2), (1.0, 3), (2.9, 3), (3.0, 4), (7.0, 4), (7.1, 5)]
QUOTA = [(0, 5), (29_984, 5), (30_000, 4), (80_000, 3), (130_000, 2), (249_984, 2), (250_000, 1)]
HEAT = [(0, 5), (1499, 5), (1500, 4), (3999, 4), (4000, 3), (5799, 3), (5800, 2), (7599, 2), (7600, 1)]


@pytest.mark.parametrize(
    ("name", "value", "grade"),
    [
        (name, *pair)
        for name, pairs in (
            ("slope", SLOPE),
            ("precipitation", RAIN),
            ("dryness", DRY),
            ("water_quota", QUOTA),
            ("accumulated_temperature", HEAT),
        )
        for pair in pairs
    ],
)
def test_edges_of_every_table(name: str, value: float, grade: int) -> None:
    rule = getattr(RULES, name)
    assert rule.grade(np.array([value])).tolist() == [grade]
    assert is_power_of_two(rule.step)
    if value == round(value):  # edges survive the rounding of the factor
        assert rule.grade(quantise(np.array([value]), rule.step)).tolist() == [grade]


WATER = ["11125", "11235", "22345", "34455", "55555"]
CLIMATE = ["11125", "12235", "22345", "34455", "55555"]


@pytest.mark.parametrize("row", range(1, 6))
@pytest.mark.parametrize("col", range(1, 6))
def test_matrices_cell_by_cell(row: int, col: int) -> None:
    assert RULES.matrix_water.at(row, col) == int(WATER[row - 1][col - 1])
    assert RULES.matrix_climate.at(row, col) == int(CLIMATE[row - 1][col - 1])


def test_every_rule_names_source_tag_and_date() -> None:
    for name, rule in RAW.items():
        if isinstance(rule, dict) and name != "title":
            assert {"source", "tag", "valid_from", "title"} <= set(rule), name
    for row in RAW["knockouts"]["rows"]:
        assert {"source", "tag", "valid_from"} <= set(row)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("slope", "step"), 0.1, "power of two"),
        (("slope", "step"), 4, "not a multiple of step"),
        (("matrix_climate", "rows"), [[1] * 5] * 4, "matrix_climate"),
        (("precipitation", "grades"), [{"grade": 5, "below": 200}, {"grade": 1, "from": 300}], "gap"),
        (("salinity", "source"), "", "salinity.source"),
        (("patch", "corrections"), [{"grade": 5, "add": 2}], "one step"),
        (("patch", "landforms"), {}, "plain, hill and mountain"),
        (("soil_environment", "metals", "cd", "control"), [0.2, 2, 3, 4], "below control"),
    ],
)
def test_a_broken_rule_file_names_the_place(path: tuple[str, ...], value: object, named: str) -> None:
    broken = copy.deepcopy(RAW)
    target = broken
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    with pytest.raises(LayerDefinitionInvalid, match=named) as caught:
        agricultural_rules({"agricultural_suitability": broken})
    assert "agricultural_suitability.yml" in caught.value.zh


def test_a_missing_rule_file_is_named() -> None:
    with pytest.raises(LayerDefinitionInvalid, match=r"layers/rules/agricultural_suitability\.yml"):
        agricultural_rules({})


# -- the chain ---------------------------------------------------------------------------------------------------------


def run(available: set[str] = ALL, *, chain: object = None, **changed: float) -> tuple[int, int, str | None]:
    """Grade, class and reason of one cell that is good but for what is changed."""
    chain = chain or agricultural_chain(RULES, available)
    values = {k: np.array([v], np.float32) for k, v in (GOOD | changed).items()}
    found = chain.run(values)
    code = int(found.reason[0])
    return int(found.grade[0]), int(found.suitability[0]), None if code < 2 else chain.stations[code - 2].id


def set_(**values: float) -> dict[str, float]:
    return {name.replace("_", "-"): value for name, value in values.items()}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (1, 1, None)),
        # slope 4° → 2, silt 65 % → 3, rain 1000 mm: M[3,2] = 2, 5000 ℃·d: C[2,3] = 2
        (set_(slope=4, silt=65, precipitation=1000, accumulated_temperature=5000), (2, 1, None)),
        # the same, soil between screening and control +1, salinity high +1
        (
            set_(slope=4, silt=65, precipitation=1000, accumulated_temperature=5000, soil_environment=3, salinity=4),
            (4, 2, "slope"),
        ),
        (set_(silt=80), (5, 3, "silt")),
        (set_(slope=25.5), (5, 3, "slope")),
        (set_(precipitation=150), (5, 3, "precipitation")),
        (set_(accumulated_temperature=1400), (5, 3, "accumulated-temperature")),
        (set_(soil_environment=5), (5, 3, "soil-environment")),
        (set_(soil_environment=3), (2, 1, None)),
        # hazard 高 moves grade 1 to 2 and nothing else
        (set_(meteorological_hazard=1), (2, 1, None)),
        (set_(meteorological_hazard=1, soil_environment=3), (2, 1, None)),
        (set_(meteorological_hazard=2), (1, 1, None)),
        # slope 20° → 4, M[4,1] = 3, C[3,1] = 2; small patch +1 = 3
        (set_(slope=20, patch=5), (3, 2, "slope")),
        (set_(slope=20, patch=1), (1, 1, None)),
        (set_(slope=30, patch=1), (5, 3, "slope")),  # a large unsuitable patch stays unsuitable
        (set_(water_surface=1), (5, 3, "water-surface")),
    ],
)
def test_cells_by_hand(changed: dict[str, float], expected: tuple[int, int, str | None]) -> None:
    assert run(**changed) == expected


def test_corrections_are_chained() -> None:
    """Known error of public code: every correction starts again from the base and only the last one counts."""
    base = run(slope=10.0)[0]  # M[3,1] = 2, C[2,1] = 1
    assert base == 1
    both = run(**set_(slope=10, soil_environment=3, salinity=5))[0]
    assert both == base + 2
    assert run(**set_(slope=10, soil_environment=3, salinity=5, patch=5))[0] == base + 3
    assert run(**set_(slope=10, soil_environment=5, salinity=1))[0] == 5  # a later «unchanged» does not undo a 5


def by_hand(v: dict[str, float]) -> int:
    """The guide's text as ifs, written apart from the chain."""
    if v["water-surface"]:
        return 5
    needed = [
        "slope", "silt", "precipitation", "accumulated-temperature", "soil-environment", "salinity",
        "meteorological-hazard", "patch",
    ]  # fmt: skip
    if any(np.isnan(v[name]) for name in needed):
        return 0
    slope = v["slope"]
    land = 1 if slope <= 2 else 2 if slope < 6 else 3 if slope < 15 else 4 if slope <= 25 else 5
    land = 5 if v["silt"] >= 80 else min(land + 1, 5) if v["silt"] >= 60 else land
    rain = v["precipitation"]
    water = 1 if rain >= 1200 else 2 if rain >= 800 else 3 if rain >= 400 else 4 if rain >= 200 else 5
    heat = v["accumulated-temperature"]
    climate = 1 if heat >= 7600 else 2 if heat >= 5800 else 3 if heat >= 4000 else 4 if heat >= 1500 else 5
    grade = int(CLIMATE[int(WATER[land - 1][water - 1]) - 1][climate - 1])
    if v["soil-environment"] == 5:
        grade = 5
    elif v["soil-environment"] == 3:
        grade = min(grade + 1, 5)
    if v["salinity"] > 3.66015625:
        grade = min(grade + 1, 5)
    if v["meteorological-hazard"] == 1 and grade == 1:
        grade = 2
    if v["patch"] == 5:
        grade = min(grade + 1, 5)
    elif v["patch"] == 1 and grade in (2, 3, 4):
        grade -= 1
    return grade


def random_grid(seed: int, shape: tuple[int, int] = (6, 6)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)

    def pick(*values: float) -> np.ndarray:
        return rng.choice(np.array(values, np.float32), shape)

    values = {
        "water-surface": pick(0, 0, 0, 0, 0, 1),
        "slope": pick(0, 2, 2.015625, 6, 14.984375, 15, 25, 25.015625),
        "silt": pick(10, 59.875, 60, 79.875, 80),
        "precipitation": pick(150, 200, 500, 800, 1199.75, 1200),
        "accumulated-temperature": pick(1499, 1500, 3999, 4000, 5800, 7600),
        "soil-environment": pick(1, 1, 3, 5),
        "salinity": pick(1, 3, 3.66015625, 3.6611328125, 5),
        "meteorological-hazard": pick(1, 2, 5),
        "patch": pick(1, 3, 5),
    }
    values["slope"][0, 0] = np.nan
    return values


@pytest.mark.parametrize("seed", range(20))
def test_the_chain_is_the_guide_on_6_by_6_cells(seed: int) -> None:
    values = random_grid(seed)
    chain = agricultural_chain(RULES, ALL)
    found = chain.run(values)
    for at in np.ndindex(6, 6):
        assert found.grade[at] == by_hand({k: float(v[at]) for k, v in values.items()})
    # inputs are found by name, whatever their order (public code took them by position)
    again = chain.run(dict(reversed(values.items())))
    np.testing.assert_array_equal(again.grade, found.grade)
    pieces = [chain.run({k: v[r : r + 2] for k, v in values.items()}).grade for r in (0, 2, 4)]
    np.testing.assert_array_equal(np.concatenate(pieces), found.grade)


WORSE = {  # factor → (low, high, +1 if a greater value is worse)
    "slope": (0, 90, 1), "silt": (0, 100, 1), "precipitation": (0, 3000, -1),
    "accumulated-temperature": (0, 9000, -1), "soil-environment": (1, 5, 1), "salinity": (1, 5, 1),
    "meteorological-hazard": (1, 5, -1), "patch": (1, 5, 1),
}  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_worse_factor_never_gives_a_better_grade(data: st.DataObject) -> None:
    def value(name: str) -> float:
        low, high, _ = WORSE[name]
        classes = name in {"soil-environment", "meteorological-hazard", "patch"}  # nothing lies between 1, 3 and 5
        return data.draw(st.sampled_from([1.0, 3.0, 5.0]) if classes else st.floats(low, high, width=32))

    cell = {"water-surface": 0.0} | {name: value(name) for name in WORSE}
    name = data.draw(st.sampled_from(sorted(WORSE)))
    sense, other = WORSE[name][2], value(name)
    worse = cell | {name: max(cell[name], other) if sense > 0 else min(cell[name], other)}
    chain = agricultural_chain(RULES, ALL)
    grades = [int(chain.run({k: np.array([v], np.float32) for k, v in c.items()}).grade[0]) for c in (cell, worse)]
    assert grades[1] >= grades[0]


# -- missing factors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", ["silt", "soil-environment", "salinity", "meteorological-hazard", "patch"])
def test_a_missing_factor_has_no_station_and_no_default(factor: str) -> None:
    """Known error of public code: a missing input becomes constant 5, the worst for some tables and the best for others."""
    chain = agricultural_chain(RULES, ALL - {factor})
    assert factor not in chain.factors
    values = {k: np.array([v], np.float32) for k, v in GOOD.items() if k != factor}
    assert chain.run(values).grade.tolist() == [1]


@pytest.mark.parametrize("factor", ["slope", "precipitation", "accumulated-temperature"])
def test_matrices_cannot_do_without_their_factors(factor: str) -> None:
    with pytest.raises(InvalidParameter, match=factor):
        agricultural_chain(RULES, ALL - {factor})


def test_a_cell_without_a_value_is_not_assessed_unless_passed_over() -> None:
    assert run(silt=float("nan"))[:2] == (0, 0)
    chain = agricultural_chain(RULES, ALL, passed_over=("silt",))
    assert run(chain=chain, silt=float("nan"))[:2] == (1, 1)
    assert run(water_surface=1.0, **set_(slope=float("nan")))[:2] == (0, 0)  # a name with _ is not the factor
    assert run(**set_(water_surface=1, slope=float("nan")))[:2] == (5, 3)


@pytest.mark.parametrize(
    ("water", "value", "grade"), [("dryness", 0.8, 1), ("dryness", 4.0, 2), ("water-quota", 40_000.0, 2)]
)
def test_each_water_indicator_takes_the_same_place(water: str, value: float, grade: int) -> None:
    chain = agricultural_chain(RULES, WITHOUT_WATER | {water}, water=water)
    assert [s.id for s in chain.stations][3] == water
    values = {k: np.array([v], np.float32) for k, v in (GOOD | {water: value, "slope": 4}).items()}
    assert chain.run(values).grade.tolist() == [grade]


def test_factor_list_covers_the_chain() -> None:
    specs = {spec.id: spec for spec in agricultural_factors(RULES)}
    assert set(agricultural_chain(RULES, ALL).factors) <= set(specs)
    assert specs["slope"].step == 1 / 64
    assert specs["accumulated-temperature"].unit == "degC.d"
    for spec in specs.values():
        assert spec.step is None or is_power_of_two(spec.step)


def test_the_trace_of_a_cell_names_every_source() -> None:
    trace = agricultural_chain(RULES, ALL).trace(GOOD | set_(soil_environment=3, slope=4))
    assert [step["station"] for step in trace["steps"]] == [
        "water-surface", "slope", "silt", "precipitation", "accumulated-temperature", "soil-environment", "salinity",
        "meteorological-hazard", "patch",
    ]  # fmt: skip
    assert all(step["source"] and step["tag"] for step in trace["steps"])
    assert trace["grade"] == 2


# -- 2020 knock-outs ---------------------------------------------------------------------------------------------------

KNOCK = {
    "slope": (25.0, 25.015625), "silt": (80.0, 80.125), "unirrigated-precipitation": (200.0, 199.75),
    "accumulated-temperature": (1500.0, 1499.0), "soil-environment": (3.0, 5.0),
}  # fmt: skip


@pytest.mark.parametrize("factor", sorted(KNOCK))
def test_each_knock_out_at_its_edge(factor: str) -> None:
    chain = agricultural_knock_outs(RULES, set(KNOCK))
    assert chain is not None
    kept, out = KNOCK[factor]
    fine = {
        "slope": 1.0, "silt": 20.0, "unirrigated-precipitation": 1200.0, "accumulated-temperature": 6000.0,
        "soil-environment": 1.0,
    }  # fmt: skip
    values = {k: np.array([v, v], np.float32) for k, v in fine.items()}
    values[factor] = np.array([kept, out], np.float32)
    found = chain.run(values)
    assert found.suitability.tolist() == [0, 3]
    assert chain.stations[int(found.reason[1]) - 2].factor == factor


def test_knock_outs_need_no_other_factor() -> None:
    chain = agricultural_knock_outs(RULES, {"slope"})
    assert chain is not None
    assert chain.factors == ("slope",)
    assert agricultural_knock_outs(RULES, {"patch"}) is None


def test_irrigated_dry_land_is_not_knocked_out() -> None:
    chain = agricultural_knock_outs(RULES, {"unirrigated-precipitation"})
    assert chain is not None
    rain = unirrigated_precipitation(np.array([150.0, 150.0]), np.array([0, 1]))
    assert chain.run({"unirrigated-precipitation": rain}).suitability.tolist() == [3, 0]
    np.testing.assert_array_equal(unirrigated_precipitation(np.array([150.0]), None), [150.0])


# -- patches -----------------------------------------------------------------------------------------------------------

MU = 10**6 / 15  # dm² of one 亩


@pytest.mark.parametrize(
    ("landform", "mu", "grade"),
    [
        ("plain", 149, 5), ("plain", 150, 4), ("plain", 300, 3), ("plain", 600, 2), ("plain", 899, 2),
        ("plain", 900, 1), ("hill", 149, 4), ("hill", 450, 1), ("mountain", 39, 5), ("mountain", 40, 4),
        ("mountain", 225, 1),
    ],
)  # fmt: skip
def test_patch_size_classes(landform: str, mu: int, grade: int) -> None:
    assert RULES.patch.grade(np.array([round(mu * MU)], np.int64), landform).tolist() == [grade]  # type: ignore[arg-type]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 10**9), st.integers(0, 10**9), st.sampled_from(["plain", "hill", "mountain"]))
def test_a_larger_patch_is_never_graded_worse(area: int, more: int, landform: str) -> None:
    found = RULES.patch.grade(np.array([area, area + more], np.int64), landform)  # type: ignore[arg-type]
    assert found[1] <= found[0]


def test_a_long_valley_field_is_not_punished_for_its_shape() -> None:
    """Known error of public code: area ÷ bounding circle measures roundness. Only the area counts here."""
    long, compact = 600 * MU, 600 * MU
    found = RULES.patch.grade(np.rint([long, compact]).astype(np.int64), "plain")
    assert found[0] == found[1] == 2


def test_quantise_refuses_nothing_and_keeps_gaps() -> None:
    np.testing.assert_array_equal(quantise(np.array([0.0078125, 0.03, np.nan]), 1 / 64), [0.0, 0.03125, np.nan])
    with pytest.raises(ValidationError):
        type(RULES.silt).model_validate(RAW["silt"] | {"step": 0.3})
