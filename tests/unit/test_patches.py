"""Patches: hand oracle, an independent labelling, and the same bits for every block size and number of threads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.geobox import GeoBox

from analyses.patches import patch_areas
from spatial.grid import cell_areas
from spatial.units import whole_dm2


def by_scipy(grades: np.ndarray, row_areas: np.ndarray) -> np.ndarray:
    """Area of each cell's patch by `scipy.ndimage.label`, one grade after the other."""
    from scipy.ndimage import label

    out = np.zeros(grades.shape, dtype=np.int64)
    cells = np.repeat(row_areas[:, np.newaxis], grades.shape[1], axis=1)
    for grade in np.unique(grades[grades > 0]):
        labels, count = label(grades == grade, structure=np.ones((3, 3)))
        sums = np.zeros(count + 1, dtype=np.int64)
        np.add.at(sums, labels, cells)
        sums[0] = 0
        out += sums[labels]
    return out


def test_by_hand() -> None:
    grades = np.array(
        [
            [1, 1, 0, 2, 2],
            [0, 1, 2, 2, 0],
            [3, 0, 1, 0, 1],
            [3, 3, 0, 1, 0],
        ],
        dtype=np.uint8,
    )
    # All ones hang together over corners: 2 of row 0, 1 of row 1, 2 of row 2, 1 of row 3.
    one, two, three = 2 * 10 + 11 + 2 * 12 + 13, 2 * 10 + 2 * 11, 12 + 2 * 13
    expected = np.array([0, one, two, three])[grades]
    for block in (1, 2, 3, 5):
        assert np.array_equal(patch_areas(grades, np.array([10, 11, 12, 13]), block=block).areas(0, 0, 4, 5), expected)


@settings(max_examples=150, deadline=None)
@given(
    st.tuples(st.integers(1, 23), st.integers(1, 19)).flatmap(
        lambda shape: arrays(np.uint8, shape, elements=st.integers(0, 3))
    ),
    st.integers(1, 24),
    st.integers(1, 3),
)
def test_any_block_equals_scipy(grades: np.ndarray, block: int, threads: int) -> None:
    rows, cols = grades.shape
    row_areas = np.arange(1000, 1000 + rows)
    found = patch_areas(grades, row_areas, block=block, threads=threads)
    assert np.array_equal(found.areas(0, 0, rows, cols), by_scipy(grades, row_areas))


@pytest.mark.parametrize("block", [3, 7, 16, 64])
def test_a_winding_patch_is_one(block: int) -> None:
    grades = np.full((41, 41), 2, dtype=np.uint8)
    grades[::2] = 1  # rows joined at their ends in turn, so that the patch winds through every block
    grades[1::4, -1] = grades[3::4, 0] = 1
    row_areas = np.full(41, 7)
    found = patch_areas(grades, row_areas, block=block).areas(0, 0, 41, 41)
    assert np.array_equal(found, by_scipy(grades, row_areas))
    assert (found[grades == 1] == 7 * (21 * 41 + 20)).all()


def rough(shape: tuple[int, int], seed: int) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.5)
    return np.digitize(field, [-0.15, -0.05, 0.05, 0.15]).astype(np.uint8)


@pytest.mark.parametrize("block", [100, 256, 333])
@pytest.mark.parametrize("threads", [1, 4])
def test_windows_of_a_memory_mapped_grid(tmp_path: Path, block: int, threads: int) -> None:
    grades = rough((700, 810), 3)
    mapped = np.memmap(tmp_path / "g.dat", dtype=np.uint8, mode="w+", shape=grades.shape)
    mapped[:] = grades
    row_areas = np.arange(81_000, 81_000 + 700)
    expected = by_scipy(grades, row_areas)
    found = patch_areas(mapped, row_areas, block=block, threads=threads)
    for window in ((0, 0, 700, 810), (block, block, 150, 77), (690, 800, 10, 10), (5, 99, 340, 2)):
        row, col, height, width = window
        assert np.array_equal(found.areas(*window), expected[row : row + height, col : col + width])


def test_levels_count_the_edges_that_the_area_reaches() -> None:
    grades = np.array([[1, 0, 2, 2, 0, 3], [0, 0, 2, 2, 0, 0]], dtype=np.uint8)
    found = patch_areas(grades, np.array([100, 100]), block=2)
    assert found.levels(0, 0, 2, 6, [100, 400, 401]).tolist() == [[2, 0, 3, 3, 0, 2], [0, 0, 3, 3, 0, 0]]


def test_edges_by_landform() -> None:
    grades = np.array([[1, 1, 1, 1]], dtype=np.uint8)
    found = patch_areas(grades, np.array([100]), block=3)
    kinds = np.array([[0, 1, 1, 0]], dtype=np.uint8)
    assert found.levels(0, 0, 1, 4, [[500, 900], [200, 400]], kinds).tolist() == [[1, 3, 3, 1]]


@settings(max_examples=50, deadline=None)
@given(arrays(np.uint8, (9, 8), elements=st.integers(0, 3)), st.integers(1, 9))
def test_more_cells_never_make_a_patch_smaller(grades: np.ndarray, block: int) -> None:
    row_areas = np.full(9, 10)
    before = patch_areas(grades, row_areas, block=block).areas(0, 0, 9, 8)
    filled = np.where(grades == 0, 1, grades).astype(np.uint8)
    after = patch_areas(filled, row_areas, block=block).areas(0, 0, 9, 8)
    assert (after[grades > 0] >= before[grades > 0]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g, a: patch_areas(g.astype(np.int16), a), "uint8"),
        (lambda g, a: patch_areas(g, a[:-1]), "one cell area a row"),
        (lambda g, a: patch_areas(g, a).areas(0, 0, 4, 1), "outside the grid"),
        (lambda g, a: patch_areas(g, a).levels(0, 0, 3, 4, [5, 1]), "ascend"),
        (lambda g, a: patch_areas(g, a).levels(0, 0, 3, 4, [[1], [2]]), "kind of each cell"),
        (lambda g, a: patch_areas(g, a).levels(0, 0, 3, 4, [1], np.ones((3, 4), np.uint8)), "name a row"),
    ],
)
def test_wrong_calls_are_named(call: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call(np.ones((3, 4), np.uint8), np.full(3, 5))  # type: ignore[operator]


def test_cell_areas_in_whole_square_decimetres() -> None:
    grid = GeoBox.from_bbox((110.0, 30.0, 110.1, 30.1), crs="EPSG:4490", resolution=0.01)
    assert whole_dm2(cell_areas(grid)) / 100 == pytest.approx(cell_areas(grid), abs=0.005)
