"""Coarse fields read at the cells of a run: against a walk cell by cell, at edges, beside gaps, in any blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.fields import Field, band_of
from spatial.errors import QualityViolation
from spatial.jobs.contract import Axis


def walk(field: Field, row: int, col: int) -> float:
    """Mean of the four nearest centres that have a value, by distance; none if the nearest has none."""
    y, x = field.rows.positions(row, 1)[0], field.cols.positions(col, 1)[0]
    i, j = int(np.floor(y)), int(np.floor(x))
    near = {(a, b): (1 - abs(y - a)) * (1 - abs(x - b)) for a in (i, i + 1) for b in (j, j + 1)}
    own = (int(np.floor(y + 0.5)), int(np.floor(x + 0.5)))

    def value(a: int, b: int) -> float:
        rows, cols = field.values.shape
        return float(field.values[a, b]) if 0 <= a < rows and 0 <= b < cols else np.nan

    if np.isnan(value(*own)):
        return np.nan
    known = {at: w for at, w in near.items() if not np.isnan(value(*at))}
    return sum(value(*at) * w for at, w in known.items()) / sum(known.values())


@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.3), st.floats(-1.5, 1.5))
@settings(max_examples=60, deadline=None)
def test_bilinear_is_the_walk_of_each_cell(seed: int, step: float, start: float) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(100, 50, (5, 6)).astype(np.float32)
    values[rng.random(values.shape) < 0.25] = np.nan
    field = Field(values, Axis(step, start, 3), Axis(step, start / 2, 1), "bilinear")
    found = field.block(0, 0, 8, 9)
    expected = np.array([[walk(field, r, c) for c in range(9)] for r in range(8)])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_blocks_and_windows_do_not_change_a_bit() -> None:
    values = np.random.default_rng(1).random((9, 9)).astype(np.float32)
    values[3, 4] = np.nan
    for method in ("bilinear", "nearest"):
        field = Field(values, Axis(1 / 7, -0.4, 0), Axis(1 / 7, -0.4, 0), method)  # type: ignore[arg-type]
        whole = field.block(0, 0, 60, 60)
        part = Field(values, Axis(1 / 7, -0.4, 11), Axis(1 / 7, -0.4, 5), method)  # type: ignore[arg-type]
        assert np.array_equal(part.block(0, 0, 20, 30), whole[11:31, 5:35], equal_nan=True)
        for size in (7, 13):
            for row in range(0, 60, size):
                block = field.block(row, 0, min(size, 60 - row), 60)
                assert np.array_equal(block, whole[row : row + size], equal_nan=True)


def test_outside_there_is_no_value() -> None:
    field = Field(np.ones((2, 2), np.float32), Axis(1.0, -3.0, 0), Axis(1.0, 0.0, 0), "nearest")
    assert np.isnan(field.block(0, 0, 3, 2)).tolist() == [[True, True], [True, True], [True, True]]
    assert field.block(3, 0, 1, 2).tolist() == [[1.0, 1.0]]


def test_a_band_is_found_by_its_name_and_never_by_its_place() -> None:
    class Soil:
        layer_id = "soil"
        bands = ("clay", "silt", "sand")

    assert [band_of(Soil(), name) for name in ("sand", "silt", "clay")] == [3, 2, 1]  # type: ignore[arg-type]
    with pytest.raises(QualityViolation, match=r"no band ph \(it has clay, silt, sand\)"):
        band_of(Soil(), "ph")  # type: ignore[arg-type]
