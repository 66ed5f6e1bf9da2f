"""The urban chain with all its factors: cells by hand, laws, missing factors, water environment, 2020 knock-outs."""

from __future__ import annotations

import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
from urban_walk import Cell, judge

from analyses.chain import Chain
from analyses.grading import is_power_of_two, quantise
from analyses.rules import Range, UrbanRules, urban_rules
from analyses.urban import (
    urban_chain,
    urban_factors,
    urban_knock_outs,
    water_environment_capacity,
    water_environment_grades,
    water_modulus,
)
from spatial.catalog import Text
from spatial.errors import InvalidParameter, QualityViolation

RULE_FILE = Path(__file__).parents[2] / "layers" / "rules" / "urban_suitability.yml"
RAW = yaml.safe_load(RULE_FILE.read_text("utf-8"))
RULES = urban_rules({"urban_suitability": RAW})
ALL = {
    "water-surface", "slope", "elevation", "relief", "water", "geohazard", "air", "water-environment", "comfort",
    "location", "patch",
}  # fmt: skip
GOOD = {
    "water-surface": 0, "slope": 1.0, "elevation": 50.0, "relief": 10.0, "water": 600_000.0, "geohazard": 5.0,
    "air": 2.0, "water-environment": 2.0, "comfort": 5.0, "location": 90.0, "patch": 3.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def rules() -> UrbanRules:
    return RULES


def run(chain: Chain | None = None, **changed: float) -> tuple[int, int, str | None]:
    chain = chain or urban_chain(RULES, ALL)
    cell = GOOD | {name.replace("_", "-"): value for name, value in changed.items()}
    found = chain.run({k: np.array([v], np.float32) for k, v in cell.items()})
    code = int(found.reason[0])
    return int(found.grade[0]), int(found.suitability[0]), None if code < 2 else chain.stations[code - 2].id


QUOTA = [(0, 5), (29_984, 5), (30_000, 4), (80_000, 3), (130_000, 2), (249_984, 2), (250_000, 1)]


@pytest.mark.parametrize(("value", "grade"), QUOTA)
def test_quota_edges(value: float, grade: int) -> None:
    assert RULES.water_quota.grade(np.array([value])).tolist() == [grade]


def test_edges_survive_the_rounding_of_their_factor() -> None:
    for rule in (RULES.slope, RULES.water, RULES.water_quota):
        edges = np.array([e for row in rule.grades for e in (row.over, row.from_, row.below, row.to) if e is not None])
        np.testing.assert_array_equal(rule.grade(edges), rule.grade(quantise(edges, rule.step)))
    for spec in urban_factors(RULES):
        assert spec.step is None or is_power_of_two(spec.step)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, (1, 1, None)),
        ({"geohazard": 1}, (5, 3, "geohazard")),  # 极高 → 5
        ({"geohazard": 2}, (3, 2, "geohazard")),  # 高 +2
        ({"geohazard": 3}, (2, 1, None)),  # 较高 +1
        ({"geohazard": 4}, (1, 1, None)),
        ({"air": 5}, (2, 1, None)),
        ({"air": 4}, (1, 1, None)),
        ({"air": 5, "water_environment": 5}, (3, 2, "air")),  # both lowest: +2
        ({"comfort": 1}, (2, 1, None)),
        ({"comfort": 2}, (1, 1, None)),
        ({"location": 301}, (3, 2, "location")),
        ({"location": 250}, (2, 1, None)),
        ({"location": float("inf")}, (3, 2, "location")),  # no road leads there
        # slope 10° → 3, relief 150 m +1 → 4, M[4,1] = 3, hazard +1 = 4, near −1 = 3
        ({"slope": 10, "relief": 150, "geohazard": 3, "location": 30}, (3, 2, "slope")),
        # slope 5° → 2, relief 250 m +2 → 4, M[4,2] = 4, air +1 = 5: relief worsened most
        ({"slope": 5, "relief": 250, "water": 300_000, "air": 5}, (5, 3, "relief")),
        ({"elevation": 3600}, (1, 1, None)),  # land 2, M[2,1] = 1
        ({"elevation": 5000}, (5, 3, "elevation")),
        ({"patch": 5}, (2, 1, None)),
        ({"slope": 20, "patch": 1}, (2, 1, None)),  # M[4,1] = 3, −1
        ({"slope": 30, "patch": 1, "location": 10}, (5, 3, "slope")),
        ({"water_surface": 1, "slope": float("nan")}, (5, 3, "water-surface")),
    ],
)
def test_cells_by_hand(changed: dict[str, float], expected: tuple[int, int, str | None]) -> None:
    assert run(**changed) == expected


def test_corrections_are_chained() -> None:
    """Known error of public code: each correction starts from the matrix again, so that only the last one counts."""
    assert run(geohazard=3, air=5, comfort=1, location=250, patch=5)[0] == 5  # 1 + 1 + 1 + 1 + 1 + … clipped
    assert run(geohazard=3, air=5)[0] == 3
    assert run(geohazard=1, location=10)[0] == 5  # «near» does not undo the hazard


def test_without_the_new_factors_it_is_the_chain_of_before() -> None:
    """Slope, elevation, relief, water and location alone: cell by cell as the walk by hand."""
    chain = urban_chain(RULES, {"water-surface", "slope", "elevation", "relief", "water", "location"})
    slopes = [1.0, 5.0, 10.0, 20.0, 30.0]
    steps, relief = [100.0, 4000.0, 6000.0], [10.0, 150.0, 300.0]
    waters = [600_000.0, 300_000.0, 150_000.0, 60_000.0, 100.0]
    minutes = [30.0, 90.0, 150.0, 250.0, 400.0]
    cells = list(product(range(5), range(3), range(3), range(5), range(5)))
    values = {
        "water-surface": np.zeros(len(cells), np.uint8),
        "slope": np.array([slopes[c[0]] for c in cells], np.float32),
        "elevation": np.array([steps[c[1]] for c in cells], np.float32),
        "relief": np.array([relief[c[2]] for c in cells], np.float32),
        "water": np.array([waters[c[3]] for c in cells], np.float32),
        "location": np.array([minutes[c[4]] for c in cells], np.float32),
    }
    found = chain.run(values)
    for k, (s, e, r, w, m) in enumerate(cells):
        verdict = judge(Cell(s + 1, e, r, w + 1, m + 1), RULES, location_assessed=True)
        assert verdict is not None
        assert (found.grade[k], found.suitability[k]) == (verdict.grade, verdict.suitability)


def random_grid(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)

    def pick(*values: float) -> np.ndarray:
        return rng.choice(np.array(values, np.float32), (6, 6))

    values = {
        "water-surface": pick(0, 0, 0, 0, 1), "slope": pick(0, 3, 3.015625, 8, 15, 25, 26),
        "elevation": pick(20, 3499, 3500, 5000), "relief": pick(0, 100, 101, 200, 201),
        "water": pick(49_984, 50_000, 100_000, 200_000, 500_000), "geohazard": pick(1, 2, 3, 4, 5),
        "air": pick(1, 4, 5), "water-environment": pick(1, 5), "comfort": pick(1, 2, 7),
        "location": pick(60, 119, 210, 300, 301, np.inf), "patch": pick(1, 3, 5),
    }  # fmt: skip
    values["slope"][2, 2] = np.nan
    return values


MATRIX = ["11123", "11223", "22334", "34455", "55555"]


def by_hand(v: dict[str, float]) -> int:
    """The guide's text as ifs, written apart from the chain."""
    if v["water-surface"]:
        return 5
    if any(np.isnan(x) for x in v.values()):
        return 0

    def clip(g: int) -> int:
        return min(max(g, 1), 5)

    s, h, r, w = v["slope"], v["elevation"], v["relief"], v["water"]
    land = 1 if s <= 3 else 2 if s < 8 else 3 if s < 15 else 4 if s <= 25 else 5
    land = 5 if h >= 5000 else clip(land + 1) if h >= 3500 else land
    land = clip(land + (2 if r > 200 else 1 if r > 100 else 0))
    water = 1 if w >= 500_000 else 2 if w >= 200_000 else 3 if w >= 100_000 else 4 if w >= 50_000 else 5
    g = int(MATRIX[land - 1][water - 1])
    g = clip(g + {1: 4, 2: 2, 3: 1}.get(int(v["geohazard"]), 0))
    g = clip(g + (v["air"] == 5))
    g = clip(g + (v["water-environment"] == 5))
    g = clip(g + (v["comfort"] == 1))
    minutes = v["location"]
    if minutes > 300:
        g = clip(g + 2)
    elif minutes >= 210:
        g = clip(g + 1)
    elif minutes <= 60 and g in (2, 3, 4):
        g -= 1
    if v["patch"] == 5:
        g = clip(g + 1)
    elif v["patch"] == 1 and g in (2, 3, 4):
        g -= 1
    return g


@pytest.mark.parametrize("seed", range(20))
def test_the_chain_is_the_guide_on_6_by_6_cells(seed: int) -> None:
    values = random_grid(seed)
    chain = urban_chain(RULES, ALL)
    found = chain.run(values)
    for at in np.ndindex(6, 6):
        assert found.grade[at] == by_hand({k: float(v[at]) for k, v in values.items()}), at
    again = chain.run(dict(reversed(values.items())))  # by name: public code mixed up hazard and storm surge
    np.testing.assert_array_equal(again.grade, found.grade)


WORSE = {
    "slope": (0, 90, 1), "elevation": (0, 6000, 1), "relief": (0, 2000, 1), "water": (0, 900_000, -1),
    "geohazard": (1, 5, -1), "air": (1, 5, 1), "water-environment": (1, 5, 1), "comfort": (1, 7, -1),
    "location": (0, 600, 1), "patch": (1, 5, 1),
}  # fmt: skip


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_worse_factor_never_gives_a_better_grade(data: st.DataObject) -> None:
    cell = {"water-surface": 0.0}
    for name, (low, high, _) in WORSE.items():
        cell[name] = data.draw(st.floats(low, high, width=32))
    name = data.draw(st.sampled_from(sorted(WORSE)))
    low, high, sense = WORSE[name]
    other = data.draw(st.floats(low, high, width=32))
    worse = cell | {name: max(cell[name], other) if sense > 0 else min(cell[name], other)}
    chain = urban_chain(RULES, ALL)
    grades = [int(chain.run({k: np.array([v], np.float32) for k, v in c.items()}).grade[0]) for c in (cell, worse)]
    assert grades[1] >= grades[0]


@pytest.mark.parametrize("factor", sorted(ALL - {"slope", "water"}))
def test_a_missing_factor_has_no_station_and_no_default(factor: str) -> None:
    """Known error of public code: a missing input becomes 5, the worst for land and water, the safest for hazards."""
    chain = urban_chain(RULES, ALL - {factor})
    assert factor not in chain.factors
    values = {k: np.array([v], np.float32) for k, v in GOOD.items() if k != factor}
    assert chain.run(values).grade.tolist() == [1]


@pytest.mark.parametrize("factor", ["slope", "water"])
def test_the_matrix_cannot_do_without_its_factors(factor: str) -> None:
    with pytest.raises(InvalidParameter, match=factor):
        urban_chain(RULES, ALL - {factor})


def test_a_county_run_uses_the_quota_and_the_county_row() -> None:
    chain = urban_chain(RULES, (ALL - {"water"}) | {"water-quota"}, water="water-quota", location_row="county")
    assert "water" not in chain.factors
    cell = {**GOOD, "water-quota": 100_000.0, "slope": 20.0, "location": 95.0}  # M[4,3] = 4, > 90 min +2 = 5
    found = chain.run({k: np.array([v], np.float32) for k, v in cell.items()})
    assert found.grade.tolist() == [5]


# -- water environment -------------------------------------------------------------------------------------------------


def test_water_modulus_by_hand() -> None:
    """1,190 mm × 0.47 × 10³ = 559,300 m³/km², to the nearest 16: 559,296."""
    found = water_modulus(np.array([1190.0, np.nan]), 0.47, RULES.water)
    np.testing.assert_array_equal(found, [559_296, np.nan])


def test_capacity_is_target_times_water() -> None:
    span = RULES.water_environment.target_plausible
    found = water_environment_capacity(np.array([20.0, 1.0]), np.array([500_000.0, 100.0]), plausible=span)
    assert found.tolist() == [10_000.0, 0.1]
    with pytest.raises(QualityViolation, match="water-quality"):
        water_environment_capacity(np.array([20_000.0]), np.array([1.0]), plausible=span)  # µg/L


def test_units_are_graded_by_quantile_and_equal_units_alike() -> None:
    """Known error of public code: fixed breaks 20/200/3000/5000 with no unit."""
    ten = {f"u{k}": float(k) for k in range(10)}
    assert list(water_environment_grades(ten, RULES.water_environment).values()) == [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
    scaled = {k: v * 1000 for k, v in ten.items()}  # g or kg: the same grades
    assert water_environment_grades(scaled, RULES.water_environment) == water_environment_grades(
        ten, RULES.water_environment
    )
    assert set(water_environment_grades(dict.fromkeys("abcdef", 3.0), RULES.water_environment).values()) == {3}
    with pytest.raises(InvalidParameter, match="5 units"):
        water_environment_grades({"a": 1.0}, RULES.water_environment)


# -- 2020 knock-outs ---------------------------------------------------------------------------------------------------

FINE = {
    "slope": 1.0, "elevation": 50.0, "water": 600_000.0, "water-quota": 300_000.0, "geohazard": 5.0,
    "flood-basin": 0.0, "river-range": 0.0, "mined-karst": 0.0, "landslide": 0.0,
}  # fmt: skip
OUT = {
    "slope": (25.0, 25.1), "elevation": (4999.0, 5000.0), "water": (50_000.0, 49_984.0),
    "water-quota": (30_000.0, 29_984.0), "geohazard": (2.0, 1.0), "flood-basin": (0.0, 1.0),
    "river-range": (0.0, 1.0), "mined-karst": (0.0, 1.0), "landslide": (0.0, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("factor", sorted(OUT))
def test_each_knock_out_at_its_edge(factor: str) -> None:
    chain = urban_knock_outs(RULES, set(FINE))
    assert chain is not None
    values = {k: np.array([v, v], np.float32) for k, v in FINE.items()}
    values[factor] = np.array(OUT[factor], np.float32)
    found = chain.run(values)
    assert found.suitability.tolist() == [0, 3]
    assert chain.stations[int(found.reason[1]) - 2].factor == factor


def test_knock_outs_only_of_the_layers_that_there_are() -> None:
    chain = urban_knock_outs(RULES, {"slope", "flood-basin", "location"})
    assert chain is not None
    assert chain.factors == ("slope", "flood-basin")


# -- patches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("km2", "grade"), [(0.2499, 5), (0.25, 4), (0.5, 3), (1, 2), (1.999, 2), (2, 1), (900, 1)])
def test_patch_size_classes(km2: float, grade: int) -> None:
    area = np.array([round(km2 * 1e8)], np.int64)
    for landform in ("plain", "hill", "mountain"):
        assert RULES.patch.grade(area, landform).tolist() == [grade]  # type: ignore[arg-type]


def test_landform_by_relief() -> None:
    assert RULES.patch.landform_by_relief.grade(np.array([0, 29, 30, 200, 201])).tolist() == [1, 1, 2, 2, 3]


def test_a_block_alone_does_not_tell_that_a_unit_is_too_large() -> None:
    """A dry corner of a correct layer is no wrong unit; else the size of the blocks would decide on the error."""
    span = Range(min=0, max=100, largest_at_least=1.001)
    about = {"what": Text(zh="例", en="example"), "unit": "%", "layer": "x"}
    corner = np.array([0.0, 0.4])
    span.require(corner, **about, part=True)
    with pytest.raises(QualityViolation, match="the largest must reach"):
        span.require(corner, **about)
    with pytest.raises(QualityViolation, match="not within"):
        span.require(np.array([101.0]), **about, part=True)
