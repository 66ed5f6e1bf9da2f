"""Accessibility (可达性): exact travel time over a friction grid by Dijkstra's method in blocks.

The grid is cut into tiles. A tile is solved inside with a halo of one cell of its neighbours' times; where its edge
improved, the neighbours become dirty; the work ends when no tile is dirty. Rounding is monotone and there is no
tolerance, so the end state is the one fixpoint, **bit for bit the same for every tile size and every order**. Memory is
a few tiles; times and friction live in memory-mapped files.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.masks import release
from analyses.terrain import metres_per_degree
from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["IMPASSABLE", "StepLengths", "best_class", "cost_distance", "minutes_per_metre", "step_lengths"]

IMPASSABLE = 0
"""Friction class that no path enters."""


TILE = 512
"""Side of a tile, cells; larger ones leave the cache."""


class StepLengths:
    """Lengths of the steps between cell centres, m, by row.

    ``horizontal[r]`` within row r; ``vertical[r]`` and ``diagonal[r]`` between rows r and r + 1.
    """

    __slots__ = ("diagonal", "horizontal", "vertical")

    def __init__(
        self, horizontal: NDArray[np.float64], vertical: NDArray[np.float64], diagonal: NDArray[np.float64]
    ) -> None:
        self.horizontal, self.vertical, self.diagonal = horizontal, vertical, diagonal


def step_lengths(north: float, height: float, width: float, rows: int) -> StepLengths:
    """Step lengths of a longitude–latitude grid on the CGCS2000 ellipsoid.

    Formula: along the parallel N cos φ Δλ at the row's centre; between rows M Δφ at the common edge; diagonal
    √[(N cos φ Δλ)² + (M Δφ)²] at the common edge.

    Parameters
    ----------
    north, height, width : float, degrees
        Upper edge and cell size.
    rows : int

    Returns
    -------
    StepLengths
        float64, m, `rows` entries each (the last of `vertical` and `diagonal` leads out of the grid).

    Examples
    --------
    >>> s = step_lengths(30.5, 1.0, 1.0, 1)
    >>> round(float(s.horizontal[0])), round(float(s.vertical[0])), round(float(s.diagonal[0]))
    (96486, 110844, 147271)
    """
    row = np.arange(rows, dtype=np.float64)
    across, _ = metres_per_degree(north - height * (row + 0.5))
    edge_x, edge_y = metres_per_degree(north - height * (row + 1))
    return StepLengths(across * width, edge_y * height, np.hypot(edge_x * width, edge_y * height))


def minutes_per_metre(speeds_kmh: Sequence[float]) -> NDArray[np.float64]:
    """Cost of friction classes 1, 2, … from their speeds; class 0 is impassable.

    Returns
    -------
    float64, shape (256,), minutes a metre; 0 for classes without speed.

    Examples
    --------
    >>> minutes_per_metre([60.0])[:2].tolist()
    [0.0, 0.001]
    """
    cost = np.zeros(256, dtype=np.float64)
    for number, speed in enumerate(speeds_kmh, start=1):
        cost[number] = 60.0 / (speed * 1000.0)
    return cost


def _relax(
    time: Any, friction: Any, cost: Any, across: Any, down: Any, slant: Any, seeds: Any, width: float, buckets: int
) -> int:
    """Solve one tile inside its halo; `time` (h + 2, w + 2) is changed in its inner part; number of cells improved.

    `seeds` are flat indices whose time may improve their neighbours, in order of time. Cells wait in a ring of `buckets`
    buckets of `width` minutes each (Dial 1969), no wider than the shortest step, so that a cell is settled when its bucket
    is. The order saves work; the result does not rest on it, because an improved cell always waits again.
    """
    rows, cols = time.shape
    head = np.full(buckets, -1, np.int64)
    capacity = 4096
    keys = np.empty(capacity, np.float32)
    nodes = np.empty(capacity, np.int64)
    links = np.empty(capacity, np.int64)
    free = -1
    used = 0
    waiting = 0
    improved = 0
    next_seed = 0
    bucket = np.int64(0)
    while True:
        slot = bucket % buckets
        if (
            next_seed < seeds.size
            and np.int64(time[seeds[next_seed] // cols, seeds[next_seed] % cols] / width) <= bucket
        ):
            node = seeds[next_seed]
            next_seed += 1
        elif head[slot] >= 0:
            entry = head[slot]
            head[slot] = links[entry]
            links[entry] = free
            free = entry
            waiting -= 1
            node = nodes[entry]
            if keys[entry] > time[node // cols, node % cols]:
                continue
        elif waiting > 0:
            bucket += 1
            continue
        elif next_seed < seeds.size:
            bucket = np.int64(time[seeds[next_seed] // cols, seeds[next_seed] % cols] / width)
            continue
        else:
            return improved
        row = node // cols
        col = node % cols
        here = np.float64(time[row, col])
        leaving = cost[friction[row, col]]
        if leaving == 0.0:
            continue
        for dr in range(-1, 2):
            r = row + dr
            if r < 1 or r > rows - 2:
                continue
            for dc in range(-1, 2):
                c = col + dc
                if (dr == 0 and dc == 0) or c < 1 or c > cols - 2:
                    continue
                entering = cost[friction[r, c]]
                if entering == 0.0:
                    continue
                upper = row if dr == 1 else r
                if dr == 0:
                    length = across[row]
                elif dc == 0:
                    length = down[upper]
                else:
                    length = slant[upper]
                found = np.float32(here + 0.5 * (leaving + entering) * length)
                if found < time[r, c]:
                    time[r, c] = found
                    improved += 1
                    if free >= 0:
                        entry = free
                        free = links[entry]
                    else:
                        if used == capacity:
                            more_keys = np.empty(2 * capacity, np.float32)
                            more_nodes = np.empty(2 * capacity, np.int64)
                            more_links = np.empty(2 * capacity, np.int64)
                            more_keys[:capacity] = keys
                            more_nodes[:capacity] = nodes
                            more_links[:capacity] = links
                            keys = more_keys
                            nodes = more_nodes
                            links = more_links
                            capacity *= 2
                        entry = used
                        used += 1
                    keys[entry] = found
                    nodes[entry] = r * cols + c
                    later = np.int64(found / width)
                    slot = (later if later > bucket else bucket) % buckets
                    links[entry] = head[slot]
                    head[slot] = entry
                    waiting += 1


_MOST_BUCKETS = 65_536
_RELEASE_EVERY = 24
"""Tiles; few, because the system maps many pages around each one that is touched."""


def _buckets(cost: NDArray[np.float64], lengths: StepLengths) -> tuple[float, int]:
    """Width of a bucket, minutes (the shortest step), and how many the longest step spans."""
    passable = cost[cost > 0]
    if passable.size == 0:
        return 1.0, 1
    shortest = min(float(lengths.horizontal.min()), float(lengths.vertical.min())) * float(passable.min())
    longest = max(float(lengths.horizontal.max()), float(lengths.diagonal.max())) * float(passable.max())
    width = max(shortest, longest / _MOST_BUCKETS)
    return width, int(longest / width) + 3


def _best(friction: Any, cost: Any, factor: int, out: Any) -> None:
    rows, cols = friction.shape
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            best = 0
            for r in range(i * factor, min((i + 1) * factor, rows)):
                for c in range(j * factor, min((j + 1) * factor, cols)):
                    found = friction[r, c]
                    if cost[found] > 0.0 and (best == 0 or cost[found] < cost[best]):
                        best = found
            out[i, j] = best


def best_class(
    friction: NDArray[np.uint8], cost: NDArray[np.float64], factor: int, out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Friction of cells `factor` times as large: the fastest class among their cells; impassable where all are.

    A road or a bridge one cell wide stays whole, but broadens; a wall thinner than a large cell opens. Times are therefore
    estimates, mostly a little short; solve on the small cells where they decide.

    Parameters
    ----------
    friction : uint8 (rows, cols)
    cost : float64 (256,), minutes a metre by class; 0 is impassable
    factor : int, ≥ 1
    out : uint8 (⌈rows / factor⌉, ⌈cols / factor⌉), optional
        Written and returned; may be memory-mapped.

    Examples
    --------
    >>> best_class(np.array([[0, 1, 0], [0, 2, 0]], np.uint8), minutes_per_metre([5, 60]), 2).tolist()
    [[2, 0]]
    """
    shape = (-(-friction.shape[0] // factor), -(-friction.shape[1] // factor))
    found = np.empty(shape, dtype=np.uint8) if out is None else out
    for top in range(0, shape[0], 128):
        rows = np.ascontiguousarray(friction[top * factor : (top + 128) * factor])
        part = np.empty((min(128, shape[0] - top), shape[1]), dtype=np.uint8)
        compiled(_best)(rows, cost, factor, part)
        found[top : top + 128] = part
    return found


def cost_distance(
    time: NDArray[np.float32],
    friction: NDArray[np.uint8],
    cost: NDArray[np.float64],
    lengths: StepLengths,
    sources: Sequence[tuple[int, int]],
    *,
    tile: int = TILE,
    threads: int = 1,
    shuffle: int | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Least travel time from the nearest source to every cell, written into `time`.

    Formula: time(q) = min over 8-connected paths of Σ ½ (c_p + c_q) · length; each partial sum is float64, rounded to
    float32 when it is stored.

    Parameters
    ----------
    time : float32 (rows, cols), minutes
        Overwritten; may be memory-mapped. ``inf`` where no path leads.
    friction : uint8 (rows, cols)
        Friction class; 0 is impassable.
    cost : float64 (256,), minutes a metre by class
        See `minutes_per_metre`.
    lengths : StepLengths
        Of these rows.
    sources : sequence of (row, col)
        Cells of time 0; impassable ones start no path.
    tile : int
        Side of a tile in cells: sets the memory, never the result.
    threads : int
        Tiles solved at once. A tile that reads its neighbour's edge while that is being written gets the old times or the
        new ones, both those of real paths; what it missed makes it dirty again.
    shuffle : int, optional
        Seed of a random order of the tiles (for tests: the order does not matter either).
    progress : callable, optional
        Called with the share of tiles that are solved and not dirty; it never falls (tiles can become dirty again).

    Source: Dijkstra (1959), doi 10.1007/BF01386390, with the buckets of Dial (1969), doi 10.1145/363269.363610; blocks relaxed
    to the fixpoint.

    Examples
    --------
    >>> t = np.empty((1, 3), np.float32)
    >>> lengths = StepLengths(np.array([1000.0]), np.array([1000.0]), np.array([1414.0]))
    >>> cost_distance(t, np.ones((1, 3), np.uint8), minutes_per_metre([60]), lengths, [(0, 0)])
    >>> t.tolist()
    [[0.0, 1.0, 2.0]]
    """
    rows, cols = time.shape
    down, right = -(-rows // tile), -(-cols // tile)
    for top in range(0, rows, tile):
        time[top : top + tile] = np.inf
        release(time)
    queue: list[tuple[float, int, int]] = []
    dirty: dict[tuple[int, int], float] = {}
    visited: set[tuple[int, int]] = set()
    solved = 0
    share = 0.0
    starts: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for row, col in sources:
        time[row, col] = 0.0
        starts.setdefault((row // tile, col // tile), []).append((row, col))
    ring = _buckets(cost, lengths)
    random = None if shuffle is None else np.random.default_rng(shuffle)

    def push(found: float, i: int, j: int) -> None:
        dirty[i, j] = min(found, dirty.get((i, j), found))
        heapq.heappush(queue, (found if random is None else float(random.random()), i, j))

    def pop() -> tuple[int, int] | None:
        """The dirty tile with the least new time that nobody is solving."""
        while queue:
            _, i, j = heapq.heappop(queue)
            if (i, j) in dirty and (i, j) not in busy:
                del dirty[i, j]
                return i, j
        return None

    def solve(i: int, j: int, inside: Sequence[tuple[int, int]]) -> list[tuple[float, int, int]]:
        return _solve(time, friction, cost, lengths, ring, tile, i, j, inside)

    for i, j in starts:
        push(0.0, i, j)
    busy: dict[tuple[int, int], Future[list[tuple[float, int, int]]]] = {}
    with ThreadPoolExecutor(threads, thread_name_prefix="cost") as pool:
        while dirty or busy:
            while len(busy) < threads and (place := pop()) is not None:
                busy[place] = pool.submit(solve, *place, starts.pop(place, []))
            wait(busy.values(), return_when=FIRST_COMPLETED)
            for (i, j), future in [(place, future) for place, future in busy.items() if future.done()]:
                del busy[i, j]
                if (i, j) in dirty:  # its neighbour improved meanwhile
                    push(dirty[i, j], i, j)
                for found, di, dj in future.result():
                    if 0 <= i + di < down and 0 <= j + dj < right:
                        push(found, i + di, j + dj)
                visited.add((i, j))
                solved += 1
                if solved % _RELEASE_EVERY == 0:  # what is mapped of the files counts as memory of this process
                    release(time, friction)
            if progress is not None:
                share = max(share, sum(place not in dirty and place not in busy for place in visited) / (down * right))
                progress(share)
    if progress is not None:
        progress(1.0)


def _solve(
    time: NDArray[np.float32],
    friction: NDArray[np.uint8],
    cost: NDArray[np.float64],
    lengths: StepLengths,
    ring: tuple[float, int],
    tile: int,
    i: int,
    j: int,
    starts: Sequence[tuple[int, int]],
) -> list[tuple[float, int, int]]:
    """Solve tile (i, j); its neighbours (least new time, Δi, Δj) whose common edge improved."""
    rows, cols = time.shape
    top, left = i * tile, j * tile
    bottom, right = min(top + tile, rows), min(left + tile, cols)
    height, width = bottom - top, right - left
    here = np.full((height + 2, width + 2), np.inf, dtype=np.float32)
    cells = np.zeros((height + 2, width + 2), dtype=np.uint8)
    r0, r1, c0, c1 = max(top - 1, 0), min(bottom + 1, rows), max(left - 1, 0), min(right + 1, cols)
    window = (slice(r0 - top + 1, r1 - top + 1), slice(c0 - left + 1, c1 - left + 1))
    here[window] = time[r0:r1, c0:c1]
    cells[window] = friction[r0:r1, c0:c1]
    before = here[1:-1, 1:-1].copy()

    halo = np.zeros(here.shape, dtype=bool)
    halo[[0, -1], :] = True
    halo[:, [0, -1]] = True
    for row, col in starts:
        halo[row - top + 1, col - left + 1] = True
    seeds = np.flatnonzero(halo & np.isfinite(here))
    seeds = seeds[np.argsort(here.ravel()[seeds], kind="stable")]
    row_of = (np.arange(top - 1, bottom + 1)).clip(0, rows - 1)
    improved = compiled(_relax)(
        here, cells, cost, lengths.horizontal[row_of], lengths.vertical[row_of], lengths.diagonal[row_of], seeds, *ring
    )
    inner = here[1:-1, 1:-1]
    if improved:
        time[top:bottom, left:right] = inner
    changed = inner < before
    for row, col in starts:  # a source on an edge is news to the neighbour as well
        changed[row - top, col - left] = True
    neighbours = []
    for di, rs in ((-1, slice(0, 1)), (0, slice(None)), (1, slice(-1, None))):
        for dj, cs in ((-1, slice(0, 1)), (0, slice(None)), (1, slice(-1, None))):
            if (di or dj) and changed[rs, cs].any():
                neighbours.append((float(inner[rs, cs][changed[rs, cs]].min()), di, dj))
    return neighbours
