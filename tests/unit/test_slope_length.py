"""LS with the slope above each cell: hand oracle, laws, the flow of pyflwdir, blocks."""

from __future__ import annotations

import math
import sys
from copy import deepcopy
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
from small_province import Province, identical, varied

from analyses.ecology_rules import SlopeLengthRule, ecological_rules
from analyses.erosion import (
    default_slope_length,
    length_exponent,
    ls_factor,
    slope_length_factor,
)
from analyses.slope_length import (
    EAST_WEST,
    NORTH_SOUTH,
    SLANTED,
    ls_upslope,
    segment_length_factor,
    upslope_cells,
    upslope_reach,
    upslope_source,
)
from analyses.terrain import CellSize, cell_size

SECOND = 1 / 3600


def square(rows: int, side: float) -> CellSize:
    return CellSize(np.full(rows, side), np.full(rows, side))


def counted(z: np.ndarray, reach: int, side: float = 10.0) -> tuple[np.ndarray, np.ndarray]:
    """Cells above and way of flow of a whole elevation model: beyond it lies nothing."""
    around = np.pad(z.astype(np.float32), reach + 1, constant_values=np.nan)
    return upslope_cells(around, square(around.shape[0], side), reach)


def rule_file() -> dict[str, Any]:
    path = Path(__file__).parents[2] / "layers/rules/ecological_importance.yml"
    return {"ecological_importance": yaml.safe_load(path.read_text(encoding="utf-8"))}


def rule(**changed: Any) -> SlopeLengthRule:
    return ecological_rules(rule_file()).slope_length.model_copy(update=changed)


# -- by hand -----------------------------------------------------------------------------------------------------------

HAND = np.array([[90, 80, 70, 60], [91, 95, 65, 50], [92, 96, 60, 40], [93, 97, 99, 30]], np.float32)
# 10 m cells. → ↘ ↘ ↓ / ↗ → ↘ ↓ / ↑ → ↘ ↓ / ↑ ↗ → pit, e.g. 80 falls 10/10 eastwards but 15/14.1 slantwise to 65.
HAND_ABOVE = [[0, 4, 0, 0], [2, 0, 6, 2], [1, 0, 2, 10], [0, 0, 0, 15]]
_N, _E, _X = NORTH_SOUTH, EAST_WEST, SLANTED
HAND_WAYS = [[_E, _X, _X, _N], [_X, _E, _X, _N], [_N, _E, _X, _N], [_N, _X, _E, _N]]


def test_flow_by_hand() -> None:
    above, ways = counted(HAND, 20)
    assert above.tolist() == HAND_ABOVE
    assert ways.tolist() == HAND_WAYS


def test_ls_by_hand() -> None:
    """Slope 10° everywhere, greatest length 40 m: 65 (six above, slantwise) from 32.9 to 40 m, 50 (two) from 20 to 30 m."""
    reach = upslope_reach(40, 10, 10)
    assert reach == 5
    around = np.pad(HAND, reach + 1, constant_values=np.nan)
    slope = np.full(HAND.shape, 10, np.float32)
    slope[3, 0] = np.nan
    found = ls_upslope(around, slope, square(around.shape[0], 10), reach=reach, maximum=40, step=0.125)
    s = math.sin(math.radians(10))
    beta = (s / 0.0896) / (3 * s**0.8 + 0.56)
    m, steep = beta / (1 + beta), 16.8 * s - 0.5

    def by_hand(start: float, end: float) -> float:
        return (end ** (m + 1) - start ** (m + 1)) / ((end - start) * 22.13**m) * steep

    slant = 10 / math.sqrt(2)
    assert found[1, 2] == pytest.approx(by_hand(40 - slant, 40), abs=2**-11)
    assert found[1, 3] == pytest.approx(by_hand(20, 30), abs=2**-11)
    assert found[0, 1] == pytest.approx(by_hand(4 * slant, 5 * slant), abs=2**-11)
    assert found[1, 1] == pytest.approx(by_hand(0, 10), abs=2**-11)
    assert np.isnan(found[3, 0])


def test_no_value_and_no_fall_give_no_water() -> None:
    z = np.array([[30, 30, 20, np.nan, 10, 5]], np.float32)
    above, ways = counted(z, 9)
    assert above.tolist() == [[0, 0, 1, 0, 0, 1]]  # 30 | 30 → 20 (a pit beside nodata) | – | 10 → 5
    assert ways.tolist() == [[_N, _E, _N, _N, _E, _N]]


def test_a_pit_is_not_filled() -> None:
    """20 stands in a pit: what lies beyond its lip begins a slope of its own."""
    above, _ = counted(np.array([[40, 30, 20, 25, 15, 10]], np.float32), 9)
    assert above.tolist() == [[0, 1, 2, 0, 1, 2]]


# -- laws --------------------------------------------------------------------------------------------------------------


@given(st.floats(0.1, 60), st.floats(5, 200), st.floats(0, 5e4), st.floats(0, 90))
@settings(max_examples=60, deadline=None)
def test_on_square_cells_it_is_the_printed_formula(slope: float, side: float, area: float, aspect: float) -> None:
    """[(A + D²)^(m+1) − A^(m+1)] / (D^(m+2)·x^m·22.13^m) with x = |sin α| + |cos α|."""
    m = float(length_exponent(slope))
    x = abs(math.sin(math.radians(aspect))) + abs(math.cos(math.radians(aspect)))
    printed = ((area + side**2) ** (m + 1) - area ** (m + 1)) / (side ** (m + 2) * x**m * 22.13**m)
    width = side * x
    found = segment_length_factor(slope, area / width, (area + side**2) / width)
    assert float(found) == pytest.approx(printed, rel=1e-7)


@given(st.floats(0, 90), st.lists(st.floats(0.5, 80), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_the_parts_of_a_slope_make_the_whole(slope: float, parts: list[float]) -> None:
    ends = np.cumsum(parts)
    factors = segment_length_factor(slope, ends - parts, ends)
    mean = float((factors * parts).sum() / ends[-1])
    assert mean == pytest.approx(float(slope_length_factor(slope, float(ends[-1]))), rel=1e-9)
    assert (np.diff(factors) >= -1e-12).all()  # further down a part loses no less


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_only_the_cells_within_reach_count(seed: int, reach: int) -> None:
    """Any cut with a halo of reach + 1 cells counts as the whole does, ties, flats, nodata and pits included."""
    random = np.random.default_rng(seed)
    z = random.integers(0, 12, (26, 31)).astype(np.float32) + np.arange(31, dtype=np.float32) * random.integers(0, 3)
    z[random.random(z.shape) < 0.03] = np.nan
    whole = np.minimum(counted(z, 800)[0], reach)
    halo = reach + 1
    top, left = (int(v) for v in random.integers(halo, 12, 2))
    cut = z[top - halo : top + 9 + halo, left - halo : left + 7 + halo]
    above, _ = upslope_cells(cut, square(cut.shape[0], 10), reach)
    assert np.array_equal(above, whole[top : top + 9, left : left + 7])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_ls_rises_with_the_area_above_and_with_slope(seed: int) -> None:
    random = np.random.default_rng(seed)
    z = (random.normal(0, 4, (20, 24)) + 9.0 * np.arange(24)).astype(np.float32)
    reach = upslope_reach(122, 26.5, 30.75)
    size = CellSize(np.full(20 + 2 * reach + 2, 26.5), np.full(20 + 2 * reach + 2, 30.75))
    around = np.pad(z, reach + 1, constant_values=np.nan)
    above, ways = upslope_cells(around, size, reach)
    found = [
        ls_upslope(around, np.full(z.shape, degrees, np.float32), size, reach=reach, maximum=122, step=0.125)
        for degrees in (6, 9, 15, 27)
    ]
    for low, high in pairwise(found):
        assert (high >= low).all()
    for way in (NORTH_SOUTH, EAST_WEST, SLANTED):
        by_area = [np.unique(found[2][(ways == way) & (above == n)]) for n in range(reach + 1)]
        by_area = [v for v in by_area if v.size]
        assert all(v.size == 1 for v in by_area)
        assert (np.diff(np.concatenate(by_area)) >= 0).all()
    # Reaching further changes nothing: the greatest slope length is reached.
    more = np.pad(z, reach + 4, constant_values=np.nan)
    taller = CellSize(np.full(more.shape[0], 26.5), np.full(more.shape[0], 30.75))
    again = ls_upslope(more, np.full(z.shape, 15, np.float32), taller, reach=reach + 3, maximum=122, step=0.125)
    assert np.array_equal(again, found[2])


# -- independent -------------------------------------------------------------------------------------------------------


def test_pyflwdir_gathers_the_same_cells() -> None:
    """pyflwdir adds up along the directions found here (its own go to the lowest neighbour, not down the steepest)."""
    import pyflwdir

    from analyses.slope_length import _flow

    random = np.random.default_rng(4)
    rows, cols = np.indices((70, 90))
    z = (300 + 80 * np.sin(rows / 9) + 60 * np.cos(cols / 13) + random.normal(0, 3, rows.shape)).astype(np.float32)
    around = np.pad(z, 1, constant_values=np.nan)
    way, above = _flow(around, square(around.shape[0], 30), 10**6)
    width = around.shape[1]
    codes = {0: 0, 1: 1, width + 1: 2, width: 4, width - 1: 8, -1: 16, -width - 1: 32, -width: 64, -width + 1: 128}
    d8 = np.vectorize(codes.get)(way).astype(np.uint8)
    d8[np.isnan(around)] = 247
    upstream = pyflwdir.from_array(d8, ftype="d8", latlon=False).upstream_area("cell")
    assert np.array_equal(upstream[1:-1, 1:-1] - 1, above[1:-1, 1:-1])
    assert above.max() > 100


# -- in a run ----------------------------------------------------------------------------------------------------------


def test_reach_follows_the_cells() -> None:
    fine = upslope_source(rule(), north=33.4, south=29, cell_height=SECOND, cell_width=SECOND)
    assert fine is not None
    assert fine.reach == 6
    assert upslope_source(rule(), north=33.4, south=29, cell_height=1 / 120, cell_width=1 / 120) is None
    assert upslope_source(rule(method="cell"), north=33.4, south=29, cell_height=SECOND, cell_width=SECOND) is None
    # A window has cells of its own latitude; the same row has the same LS (`ls_upslope`: reaching further changes nothing).
    part = upslope_source(rule(), north=30, south=29.9, cell_height=SECOND * (1 + 1e-9), cell_width=SECOND)
    assert part is not None
    assert part.reach <= fine.reach


def test_a_cell_longer_than_the_greatest_slope_is_one_slope() -> None:
    """Then LS is what it was: without cells above, of the greatest length."""
    length = default_slope_length(1 / 120, ecological_rules(rule_file()))
    slope = np.linspace(0, 60, 36, dtype=np.float32).reshape(6, 6)
    z = np.random.default_rng(1).normal(300, 80, (8, 8)).astype(np.float32)
    size = cell_size(31, 1 / 120, 1 / 120, -1, 8)
    assert np.array_equal(
        ls_upslope(z, slope, size, reach=0, maximum=length, step=0.125), ls_factor(slope, length), equal_nan=True
    )


def test_metres_are_those_of_the_row() -> None:
    """The same degrees fall more steeply eastwards in the north, where cells are narrower: the way of flow changes."""
    z = np.full((5, 5), 100, np.float32)
    z[2, 1:4] = 110, 110, 100.5  # eastwards 9.5 m, southwards 10 m
    ways = [
        upslope_cells(z, cell_size(north, SECOND, SECOND, 0, 5), 1)[1][0, 0]
        for north in (10, 33)  # a cell is 0.985, 0.840 times as wide as high
    ]
    assert ways == [NORTH_SOUTH, EAST_WEST]


@pytest.fixture(scope="module")
def fine() -> Province:
    """The cells of the small province are 0.9 km, so the greatest slope is made 5 km: eight cells count."""
    case = varied()
    case.rules = deepcopy(case.rules)
    case.rules["ecological_importance"]["slope_length"]["maximum"] = 5000
    return case


@pytest.mark.parametrize(("block", "threads"), [(5, 1), (17, 2)])
def test_blocks_do_not_change_a_bit(fine: Province, tmp_path: Path, block: int, threads: int) -> None:
    whole, result = fine.run(tmp_path)
    parts, again = fine.run(tmp_path, block=block, threads=threads)
    assert identical(whole, parts)
    assert result.tables == again.tables


def test_the_rule_chooses_the_method(fine: Province, tmp_path: Path) -> None:
    """Soil conservation by both methods is as the LS of both."""
    found = {}
    for method in ("upslope", "cell"):
        case = Province(fine.rasters, fine.frames, deepcopy(fine.rules))
        case.rules["ecological_importance"]["slope_length"]["method"] = method
        found[method], _ = case.run(tmp_path)
    slope = found["cell"]["urban_factors"]["slope"]
    rules = ecological_rules(fine.rules)
    step = -fine.grid.affine.e
    alone = ls_factor(slope, default_slope_length(step, rules))
    reach = upslope_reach(5000, 790, 920)
    around = np.pad(fine.rasters["dem"][1][0].astype(np.float32), reach + 1, constant_values=np.nan)
    size = cell_size(fine.grid.affine.f, step, fine.grid.affine.a, -reach - 1, around.shape[0])
    above = ls_upslope(around, slope, size, reach=reach, maximum=5000, step=0.125)
    kept = {m: rasters["ecology_factors"]["soil_conservation"] for m, rasters in found.items()}
    assert np.array_equal(np.isnan(kept["upslope"]), np.isnan(kept["cell"]))
    known = (kept["cell"] > 100) & (kept["upslope"] > 100)  # steps of ½: rounding is less than 1 %
    assert known.sum() > 50
    np.testing.assert_allclose((kept["upslope"] / kept["cell"])[known], (above / alone)[known], rtol=0.01)
    assert (above / alone)[known].max() > 2


def test_a_window_has_the_soil_conservation_of_the_province(fine: Province, tmp_path: Path) -> None:
    row, col, height, width = window = (6, 9, 11, 14)
    whole = fine.run(tmp_path)[0]["ecology_factors"]["soil_conservation"]
    part = fine.run(tmp_path, window=window)[0]["ecology_factors"]["soil_conservation"]
    cut = whole[row : row + height, col : col + width]
    assert np.array_equal(part, cut, equal_nan=True)
    assert np.isfinite(part).any()


def test_an_unknown_method_is_refused() -> None:
    rules = rule_file()
    rules["ecological_importance"]["slope_length"]["method"] = "flow"
    with pytest.raises(Exception, match="slope_length"):
        ecological_rules(rules)
