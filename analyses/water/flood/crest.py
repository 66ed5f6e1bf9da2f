"""Controlling crests (控制高程): the lowest height at which water of the river comes to a place.

e(x) = min over paths from the river to x of the highest ground along the path, 8-connected; found by flooding from the
river in the order of the ground (Barnes, Lehman & Mulla 2014, doi 10.1016/j.cageo.2013.04.024).

A grid of any size is done block by block (Barnes 2016, doi 10.1016/j.cageo.2016.07.001): inside a block each cell drains to the
river or to a place on the rim of the block; the places of all blocks and the lowest passes between them make a small graph, on
which the same question is answered; a cell then takes the higher of its way inside the block and that of its place. Only
comparisons of heights are made, so that no block size, order or number of threads changes a bit.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.masks import release
from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["spill_by_blocks", "spill_heights"]

NONE = 65535
"""Label of a cell without ground."""


def _spill(ground: Any, source: Any, rim_too: bool, out: Any, label: Any) -> int:
    """Flood a block: `out` the height of the way inside the block, `label` 0 from the river, 1 … from a place on the rim.

    Without `rim_too` water comes from the river alone. Returns the number of labels, the river not counted.
    """
    rows, cols = ground.shape
    heap = [(np.float32(0.0), 0)]
    heap.pop()
    none = np.uint16(65535)
    for r in range(rows):
        for c in range(cols):
            z = ground[r, c]
            if source[r, c]:
                out[r, c] = z
                label[r, c] = 0
                rim = False
                for dr in range(-1, 2):
                    for dc in range(-1, 2):
                        a, b = r + dr, c + dc
                        if 0 <= a < rows and 0 <= b < cols and not source[a, b]:
                            rim = True
                if rim:
                    heapq.heappush(heap, (np.float32(-np.inf), r * cols + c))
            else:
                out[r, c] = np.nan
                label[r, c] = none
                if rim_too and (r == 0 or c == 0 or r == rows - 1 or c == cols - 1) and z == z:
                    heapq.heappush(heap, (z, r * cols + c))
    count = 0
    # Cells no higher than the water beside them need no queue: they stand at its height.
    pit = np.empty(rows * cols, np.int64)
    pits = 0
    while pits > 0 or len(heap) > 0:
        if pits > 0:
            pits -= 1
            cell = pit[pits]
            r, c = cell // cols, cell % cols
            height = out[r, c]
        else:
            height, cell = heapq.heappop(heap)
            r, c = cell // cols, cell % cols
            if label[r, c] == none:
                count += 1
                label[r, c] = count
                out[r, c] = height
        of = label[r, c]
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                a, b = r + dr, c + dc
                if a < 0 or b < 0 or a >= rows or b >= cols or label[a, b] != none:
                    continue
                z = ground[a, b]
                if z != z:
                    continue
                label[a, b] = of
                if z > height:
                    out[a, b] = z
                    heapq.heappush(heap, (z, a * cols + b))
                else:
                    out[a, b] = height
                    pit[pits] = a * cols + b
                    pits += 1
    return count


def _passes(out: Any, label: Any, source: Any, a: Any, b: Any, w: Any) -> int:
    """Passes between cells of different labels: both labels, the smaller first, and the height; their number.

    The arrays may be too short: the number found is returned all the same.
    """
    rows, cols = out.shape
    found = 0
    none = np.uint16(65535)
    low = np.float32(-np.inf)
    for r in range(rows):
        for c in range(cols):
            one = label[r, c]
            if one == none:
                continue
            for k in range(4):
                i = r if k == 0 else r + 1
                j = c + 1 if k == 0 else c + k - 2
                if i >= rows or j < 0 or j >= cols:
                    continue
                two = label[i, j]
                if two in (none, one):
                    continue
                if found < a.size:
                    x = low if source[r, c] else out[r, c]
                    y = low if source[i, j] else out[i, j]
                    a[found] = min(one, two)
                    b[found] = max(one, two)
                    w[found] = max(x, y)
                found += 1
    return found


def _lowest_ways(indptr: Any, to: Any, weight: Any, level: Any) -> None:
    """Lowest way from node 0 to every node of a graph; `level` comes filled with infinity."""
    heap = [(np.float32(-np.inf), 0)]
    level[0] = -np.inf
    while len(heap) > 0:
        height, node = heapq.heappop(heap)
        if height > level[node]:
            continue
        for k in range(indptr[node], indptr[node + 1]):
            high = max(height, weight[k])
            if high < level[to[k]]:
                level[to[k]] = high
                heapq.heappush(heap, (high, to[k]))


def spill_heights(ground: NDArray[Any], source: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Lowest height at which water leaves `source` and comes to each cell.

    Parameters
    ----------
    ground : float (rows, cols), m
        With the crests of dikes; NaN = no data, no way leads through it.
    source : bool (rows, cols)
        Cells that the river reaches.

    Returns
    -------
    float32, m; the ground itself on source cells, NaN where no way leads.

    Examples
    --------
    >>> spill_heights(np.array([[1.0, 5.0, 2.0, 3.0]]), np.array([[True, False, False, False]])).tolist()
    [[1.0, 5.0, 5.0, 5.0]]
    """
    z = np.ascontiguousarray(ground, dtype=np.float32)
    out = np.empty(z.shape, np.float32)
    compiled(_spill)(z, np.ascontiguousarray(source), False, out, np.empty(z.shape, np.uint16))
    return out


@dataclass(frozen=True)
class _Part:
    """What is kept of a block: its passes, and labels and heights along its four sides."""

    labels: int
    a: NDArray[np.int64]
    b: NDArray[np.int64]
    w: NDArray[np.float32]
    sides: tuple[tuple[NDArray[np.uint16], NDArray[np.float32]], ...]
    """Top row, bottom row, left column, right column."""


def spill_by_blocks(
    read: Callable[[int, int, int, int], tuple[NDArray[np.float32], NDArray[np.bool_]] | None],
    out: Any,
    label: Any,
    *,
    block: int = 1024,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> None:
    """`spill_heights` of a grid of any size.

    Parameters
    ----------
    read : callable(row, col, height, width)
        Ground (float32, m, NaN = no way) and source (bool) of a window; None where the window has no ground. May be called by
        threads.
    out : float32 (rows, cols)
        Written: the heights. May be a mapped file.
    label : uint16 (rows, cols)
        Scratch of the same shape; may be a mapped file.
    block : int
        Side of a block, at most 8192 cells. Sets the memory, never the result.
    """
    if not 1 <= block <= 8192:
        raise ValueError("blocks have 1 to 8192 cells a side")
    rows, cols = out.shape
    down, right = -(-rows // block), -(-cols // block)
    places = [(i, j) for i in range(down) for j in range(right)]

    def window(place: tuple[int, int]) -> tuple[int, int, int, int]:
        i, j = place
        return i * block, j * block, min(block, rows - i * block), min(block, cols - j * block)

    def flood(place: tuple[int, int]) -> _Part | None:
        row, col, high, wide = window(place)
        cut = (slice(row, row + high), slice(col, col + wide))
        given = read(row, col, high, wide)
        if given is None:
            out[cut] = np.nan
            label[cut] = NONE
            return None
        z, source = np.ascontiguousarray(given[0], np.float32), np.ascontiguousarray(given[1])
        height, of = np.empty(z.shape, np.float32), np.empty(z.shape, np.uint16)
        count = int(compiled(_spill)(z, source, len(places) > 1, height, of))
        out[cut], label[cut] = height, of
        if len(places) == 1:
            return None
        size = 8 * (high + wide) + 1024
        while True:
            a, b = np.empty(size, np.int64), np.empty(size, np.int64)
            w = np.empty(size, np.float32)
            found = int(compiled(_passes)(height, of, source, a, b, w))
            if found <= size:
                break
            size = found
        level = np.where(source, np.float32(-np.inf), height)
        sides = tuple((of[k].copy(), level[k].copy()) for k in ((0,), (-1,), (slice(None), 0), (slice(None), -1)))
        return _Part(count, *_least(a[:found], b[:found], w[:found]), sides)

    parts = dict(zip(places, _each(flood, places, threads, progress, 0.0, 0.9, (out, label)), strict=True))
    if len(places) == 1:
        return
    start, total = {}, 1
    for place in places:
        start[place] = total - 1  # label k ≥ 1 of a block is node start + k, label 0 the river
        total += parts[place].labels if parts[place] is not None else 0
    level = _levels(parts, start, total)

    def settle(place: tuple[int, int]) -> None:
        part = parts[place]
        if part is None:
            return
        row, col, high, wide = window(place)
        cut = (slice(row, row + high), slice(col, col + wide))
        of = np.asarray(label[cut])
        mine = np.empty(NONE + 1, np.float32)
        mine[0] = -np.inf
        mine[1 : part.labels + 1] = level[start[place] + 1 : start[place] + 1 + part.labels]
        mine[NONE] = np.inf
        way = np.maximum(np.asarray(out[cut]), mine[of])
        out[cut] = np.where(np.isinf(way), np.float32(np.nan), way)

    for _ in _each(settle, places, threads, progress, 0.9, 1.0, (out, label)):
        pass


def _each(
    work: Callable[[tuple[int, int]], Any],
    places: list[tuple[int, int]],
    threads: int,
    progress: Callable[[float], None] | None,
    begin: float,
    end: float,
    mapped: tuple[Any, ...],
) -> Any:
    """`work` on every place in order; pages of mapped files are given back now and then."""
    with ThreadPoolExecutor(max(1, threads), thread_name_prefix="crest") as pool:
        ahead = max(1, 2 * threads)
        waiting = [pool.submit(work, place) for place in places[:ahead]]
        try:
            for number in range(len(places)):
                made = waiting.pop(0).result()
                if number + ahead < len(places):
                    waiting.append(pool.submit(work, places[number + ahead]))
                if number % 16 == 15:
                    release(*mapped)
                if progress is not None:
                    progress(begin + (end - begin) * (number + 1) / len(places))
                yield made
        finally:
            for future in waiting:
                future.cancel()


def _least(a: NDArray[np.int64], b: NDArray[np.int64], w: NDArray[np.float32]) -> tuple[Any, Any, Any]:
    """The lowest pass of each pair."""
    order = np.lexsort((w, b, a))
    a, b, w = a[order], b[order], w[order]
    once = np.r_[True, (np.diff(a) != 0) | (np.diff(b) != 0)] if a.size else np.empty(0, bool)
    return a[once], b[once], w[once]


def _levels(
    parts: dict[tuple[int, int], _Part | None], start: dict[tuple[int, int], int], total: int
) -> NDArray[np.float32]:
    """Lowest way from the river to the places of all blocks."""
    edges: list[tuple[Any, Any, Any]] = []

    def nodes(place: tuple[int, int], label: NDArray[np.uint16]) -> NDArray[np.int64]:
        number = label.astype(np.int64)
        return np.where(number == NONE, -1, np.where(number == 0, 0, number + start[place]))

    def meet(one: Any, two: Any) -> None:
        """Cells of two lines beside each other, corners included."""
        (a, x), (b, y) = one, two
        for shift in (-1, 0, 1):
            i = slice(max(0, -shift), min(a.size, b.size - shift))
            j = slice(i.start + shift, i.stop + shift)
            keep = (a[i] >= 0) & (b[j] >= 0) & (a[i] != b[j])
            edges.append((a[i][keep], b[j][keep], np.maximum(x[i], y[j])[keep]))

    corners = {}
    for place, part in parts.items():
        if part is None:
            continue
        edges.append((nodes(place, part.a.astype(np.uint16)), nodes(place, part.b.astype(np.uint16)), part.w))
        i, j = place
        side = [(nodes(place, of), height) for of, height in part.sides]
        corners[place] = side
        beside = {(i - 1, j): (0, 1), (i, j - 1): (2, 3)}
        for other, (mine, its) in beside.items():
            if other in corners:
                meet(side[mine], corners[other][its])
        for other, at, its in (((i - 1, j - 1), 0, -1), ((i - 1, j + 1), -1, 0)):
            if other in corners:
                (a, x), (b, y) = side[0], corners[other][1]
                meet((a[[at]], x[[at]]), (b[[its]], y[[its]]))
    first, second, height = (np.concatenate([e[k] for e in edges]) if edges else np.empty(0) for k in range(3))
    low, high, w = _least(
        np.minimum(first, second).astype(np.int64),
        np.maximum(first, second).astype(np.int64),
        height.astype(np.float32),
    )
    from_, to, w = np.r_[low, high], np.r_[high, low], np.r_[w, w]
    order = np.argsort(from_, kind="stable")
    indptr = np.searchsorted(from_[order], np.arange(total + 1)).astype(np.int64)
    level = np.full(total, np.inf, np.float32)
    compiled(_lowest_ways)(indptr, to[order], w[order], level)
    return level
