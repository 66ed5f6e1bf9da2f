"""Cost distance: hand oracles, an independent Dijkstra, and the same bits for every block size and order."""

from __future__ import annotations

import heapq
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analyses.accessibility import StepLengths, best_class, cost_distance, minutes_per_metre, step_lengths

SPEEDS = [20.0, 60.0, 100.0]
COST = minutes_per_metre(SPEEDS)


def solve(friction: np.ndarray, sources: list[tuple[int, int]], lengths: StepLengths, **options: int) -> np.ndarray:
    time = np.full(friction.shape, -1, dtype=np.float32)
    cost_distance(time, friction, COST, lengths, sources, **options)
    return time


def plain_dijkstra(friction: np.ndarray, sources: list[tuple[int, int]], lengths: StepLengths) -> np.ndarray:
    """Textbook Dijkstra on the whole grid with Python's heap; partial sums rounded to float32 as documented."""
    time = np.full(friction.shape, np.inf, dtype=np.float32)
    heap = []
    for source in sources:
        time[source] = 0
        heapq.heappush(heap, (0.0, source))
    while heap:
        now, (r, c) = heapq.heappop(heap)
        if now > time[r, c] or friction[r, c] == 0:
            continue
        for dr, dc in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
            i, j = r + dr, c + dc
            if not (0 <= i < friction.shape[0] and 0 <= j < friction.shape[1]) or friction[i, j] == 0:
                continue
            by_row = lengths.horizontal if dr == 0 else lengths.vertical if dc == 0 else lengths.diagonal
            length = by_row[min(r, i)]
            found = np.float32(float(time[r, c]) + 0.5 * (COST[friction[r, c]] + COST[friction[i, j]]) * length)
            if found < time[i, j]:
                time[i, j] = found
                heapq.heappush(heap, (float(found), (i, j)))
    return time


def metre_grid(rows: int, cell: float = 1000.0) -> StepLengths:
    return StepLengths(np.full(rows, cell), np.full(rows, cell), np.full(rows, cell * math.sqrt(2)))


def test_minutes_by_hand() -> None:
    # 20 km/h: 3 min a km. The road (60 km/h, 1 min a km) runs along row 0.
    friction = np.array([[2, 2, 2], [1, 1, 1]], dtype=np.uint8)
    time = solve(friction, [(0, 0)], metre_grid(2))
    root = math.sqrt(2)
    # To (1, 1): slanting ½(1 + 3)·√2 = 2√2 = 2.83 beats road 1 + down 2 = 3. To (1, 2): road 1 + slanting 2√2 beats all.
    assert time == pytest.approx(np.array([[0, 1, 2], [2, 2 * root, 1 + 2 * root]]), rel=1e-6)


def test_walls_and_islands() -> None:
    friction = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=np.uint8)
    time = solve(friction, [(0, 0)], metre_grid(5))
    assert time[0, 2] == pytest.approx(3 * (1 + math.sqrt(2) + math.sqrt(2) + 1), rel=1e-6)
    assert np.isinf(time[4]).all()
    assert np.isinf(time[friction == 0]).all()


def test_nearest_of_several_sources_and_an_impassable_one() -> None:
    friction = np.ones((1, 7), dtype=np.uint8)
    friction[0, 6] = 0
    time = solve(friction, [(0, 0), (0, 4), (0, 6)], metre_grid(1))
    assert time.tolist() == [[0, 3, 6, 3, 0, 3, 0]]


def test_without_a_source_nothing_is_reached() -> None:
    assert np.isinf(solve(np.ones((3, 3), np.uint8), [], metre_grid(3))).all()


def test_metres_by_row_make_northern_rows_shorter() -> None:
    lengths = step_lengths(60.0, 1 / 120, 1 / 120, 400)
    assert (np.diff(lengths.horizontal) > 0).all()
    time = solve(np.ones((400, 60), np.uint8), [(0, 0), (399, 0)], lengths)
    assert time[0, 59] < time[399, 59]


def grid_case(seed: int, rows: int = 53, cols: int = 47) -> tuple[np.ndarray, list[tuple[int, int]], StepLengths]:
    rng = np.random.default_rng(seed)
    friction = rng.choice(np.array([0, 1, 1, 1, 2, 3], dtype=np.uint8), (rows, cols))
    sources = [(int(rng.integers(rows)), int(rng.integers(cols))) for _ in range(3)]
    return friction, sources, step_lengths(33.4, 1 / 120, 1 / 120, rows)


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_a_plain_dijkstra_bit_for_bit(seed: int) -> None:
    case = grid_case(seed)
    assert np.array_equal(solve(*case, tile=16), plain_dijkstra(*case))


@pytest.mark.parametrize("tile", [16, 200])
def test_equal_to_scikit_image_within_float32(tile: int) -> None:
    """Minimum cost path of another library, float64, on square cells: the same step weight ½(c_p + c_q)·length."""
    from skimage.graph import MCP_Geometric

    friction = np.random.default_rng(5).choice(np.array([0, 1, 1, 1, 2, 3], dtype=np.uint8), (153, 147))
    sources = [(5, 7), (100, 90)]
    for source in sources:
        friction[source] = 1
    cost = np.where(friction == 0, -1.0, COST[friction])
    expected, _ = MCP_Geometric(cost, sampling=(30.0, 30.0)).find_costs(sources)
    found = solve(friction, sources, metre_grid(153, 30.0), tile=tile)
    assert np.isinf(expected).sum() == (friction == 0).sum() + np.isinf(found[friction > 0]).sum()
    np.testing.assert_allclose(found, expected, rtol=2e-6)


@pytest.mark.parametrize("tile", [1, 2, 7, 16, 47, 53, 64, 1024])
def test_block_size_does_not_change_a_bit(tile: int) -> None:
    case = grid_case(7)
    assert np.array_equal(solve(*case, tile=tile), solve(*case, tile=53))


@pytest.mark.parametrize("shuffle", range(5))
def test_order_of_the_blocks_does_not_change_a_bit(shuffle: int) -> None:
    case = grid_case(11)
    assert np.array_equal(solve(*case, tile=6, shuffle=shuffle), solve(*case, tile=53))


@pytest.mark.parametrize("threads", [2, 4, 8])
def test_threads_do_not_change_a_bit(threads: int) -> None:
    case = grid_case(13, 153, 147)
    assert np.array_equal(solve(*case, tile=16, threads=threads), solve(*case, tile=153))
    assert np.array_equal(solve(*case, tile=5, threads=threads, shuffle=threads), solve(*case, tile=153))


def test_speeds_far_apart_need_few_buckets() -> None:
    """A walker and an express train: 10,000 times as fast; an hour's step beside a millisecond's."""
    friction, sources, lengths = grid_case(17)
    cost = minutes_per_metre([0.03, 3.0, 300.0])
    time, expected = np.empty_like(friction, np.float32), np.empty_like(friction, np.float32)
    cost_distance(time, friction, cost, lengths, sources, tile=10)
    cost_distance(expected, friction, cost, lengths, sources, tile=60)
    assert np.array_equal(time, expected)
    everywhere_slow = minutes_per_metre([0.03, 0.03, 0.03])
    cost_distance(expected, friction, everywhere_slow, lengths, sources)
    assert (time <= expected).all()


def test_progress_may_stop_the_work() -> None:
    class Stop(Exception):
        pass

    def progress(share: float) -> None:
        raise Stop

    case = grid_case(19)
    with pytest.raises(Stop):
        cost_distance(
            np.empty((53, 47), np.float32), case[0], COST, case[2], case[1], tile=8, threads=2, progress=progress
        )


def test_the_fastest_class_of_large_cells_by_hand() -> None:
    friction = np.array([[0, 0, 1, 2], [0, 0, 0, 3], [1, 3, 0, 0]], dtype=np.uint8)
    assert best_class(friction, COST, 2).tolist() == [[0, 3], [3, 0]]
    slow_road = minutes_per_metre([20.0, 10.0, 15.0])  # class 1 is the fastest now
    assert best_class(friction, slow_road, 2).tolist() == [[0, 1], [1, 0]]
    assert np.array_equal(best_class(friction, COST, 1), friction)


@settings(max_examples=40, deadline=None)
@given(
    arrays(np.uint8, (9, 8), elements=st.integers(0, 3)),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 7)), min_size=1, max_size=3),
    st.integers(1, 9),
)
def test_any_grid_any_block(friction: np.ndarray, sources: list[tuple[int, int]], tile: int) -> None:
    lengths = step_lengths(31.0, 0.01, 0.01, 9)
    assert np.array_equal(solve(friction, sources, lengths, tile=tile), plain_dijkstra(friction, sources, lengths))


def test_a_faster_road_is_never_slower() -> None:
    friction, sources, lengths = grid_case(3)
    slow = solve(friction, sources, lengths)
    faster = np.where(friction == 2, 3, friction).astype(np.uint8)
    assert (solve(faster, sources, lengths) <= slow).all()


def test_memory_mapped_arrays_and_progress(tmp_path: object) -> None:
    friction, sources, lengths = grid_case(5)
    time = np.memmap(f"{tmp_path}/t.dat", dtype=np.float32, mode="w+", shape=friction.shape)
    shares: list[float] = []
    cost_distance(time, friction, COST, lengths, sources, tile=16, progress=shares.append)
    assert np.array_equal(time, solve(friction, sources, lengths))
    assert shares[-1] == 1.0
    assert all(0 <= share <= 1 for share in shares)
