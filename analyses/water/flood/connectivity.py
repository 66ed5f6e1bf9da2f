"""Which low ground the river reaches (连通性): 8-connected parts of the ground below the water surface, by blocks.

A grid of any size is labelled block by block, parts that meet at a border are joined, and each part knows whether a cell of the
river lies in it. Areas and volumes are whole numbers, so that no block size, order or number of threads changes a bit. Memory is
a few blocks and the cells along their borders.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.labelling import join_lines, label_cells, number_rim
from analyses.water.flood.strips import Cells
from spatial.compiled import compiled
from spatial.units import whole_dm2

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Basins", "Connected", "connect"]

BLOCK = 1024

_INTS = ("area", "cells", "volume", "deepest", "first", "top", "left", "bottom", "right")


@dataclass(frozen=True)
class Basins:
    """Parts of the ground below the surface that the river does not reach, largest first."""

    area_m2: NDArray[np.float64]
    cells: NDArray[np.int64]
    mean_depth_m: NDArray[np.float64]
    max_depth_m: NDArray[np.float64]
    first_cell: NDArray[np.int64]
    """Row-major number of the first cell: a stable name of the part."""
    window: NDArray[np.int64]
    """First row, first column, last row, last column (n, 4)."""


@dataclass(frozen=True)
class Connected:
    """What was found on the whole grid."""

    area_m2: float
    """Of the connected ground."""
    mean_depth_m: float
    """Weighted by area; NaN where nothing is connected."""
    max_depth_m: float
    below_area_m2: float
    """Of all ground below the surface, connected or not (the bathtub)."""
    parts: int
    """Parts below the surface, connected or not."""
    largest_m2: float
    """Largest part."""
    basins: Basins


def _stats(
    depth: Any, labels: Any, parent: Any, area_rows: Any, top: int, left: int, width_all: int, count: int, out: Any
) -> None:
    """Sums by first label; `out` (9, count + 1) int64 in the order of `_INTS`."""
    for label in range(count + 1):
        for k in range(4):
            out[k, label] = 0
        out[4, label] = 9223372036854775807
        out[5, label] = 9223372036854775807
        out[6, label] = 9223372036854775807
        out[7, label] = -1
        out[8, label] = -1
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            label = labels[r, c]
            if label == 0:
                continue
            first = parent[label]
            mm = np.int64(np.rint(np.float64(depth[r, c]) * 1000.0))
            out[0, first] += area_rows[r]
            out[1, first] += 1
            out[2, first] += mm * area_rows[r]
            out[3, first] = max(out[3, first], mm)
            out[4, first] = min(out[4, first], np.int64(top + r) * width_all + left + c)
            out[5, first] = min(out[5, first], np.int64(top + r))
            out[6, first] = min(out[6, first], np.int64(left + c))
            out[7, first] = max(out[7, first], np.int64(top + r))
            out[8, first] = max(out[8, first], np.int64(left + c))


def _reached(labels: Any, flag: Any, out: Any) -> None:
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            out[r, c] = flag[labels[r, c]]


@dataclass(frozen=True)
class _Block:
    """What is kept of a block: its rim and the parts that end inside it."""

    sides: NDArray[np.int64]
    nodes: NDArray[np.int64]
    """(9, n) sums of the parts on the rim."""
    node_seeded: NDArray[np.bool_]
    inner: NDArray[np.int64]
    inner_seeded: NDArray[np.bool_]


def _labelled(wet: NDArray[np.uint8]) -> tuple[NDArray[np.int32], NDArray[np.int32], int]:
    labels = np.empty(wet.shape, np.int32)
    parent = np.empty(wet.size + 1, np.int32)
    scratch = np.empty(wet.size + 1, np.int64)
    parent[0] = 0
    count = int(compiled(label_cells)(wet, np.ones(wet.shape[0], np.int64), labels, parent, scratch))
    return labels, parent[: count + 1], count


def _seeded(labels: NDArray[np.int32], parent: NDArray[np.int32], seeds: Cells, window: Any) -> NDArray[np.bool_]:
    flag = np.zeros(parent.size, bool)
    row, col, _ = seeds.within(*window)
    flag[parent[labels[row, col]]] = True
    flag[0] = False
    return flag


def connect(
    depth: Callable[[int, int, int, int], NDArray[np.float32] | None],
    shape: tuple[int, int],
    seeds: Cells,
    row_areas_m2: NDArray[np.float64],
    *,
    put: Callable[[int, int, NDArray[np.float32] | None, NDArray[np.bool_] | None], None],
    block: int = BLOCK,
    threads: int = 1,
    minimum_m2: float = 0.0,
    progress: Callable[[float], None] | None = None,
) -> Connected:
    """Find the ground below the surface that is 8-connected to the river.

    Parameters
    ----------
    depth : callable(row, col, height, width)
        Level minus ground of a window, float32, m, NaN = no data; None where the window is dry. A cell with depth ≥ 0 lies
        below. Asked twice for a window that has such cells; must give the same both times and may be called by threads.
    seeds : Cells
        Cells of the river; those that lie dry seed nothing.
    row_areas_m2 : float64 (rows,)
        Area of a cell of each row.
    put : callable(row, col, depth, reached)
        Called once for each block, by several threads at once: depth as given (None where it was None), reached bool (None
        where nothing lies below).
    minimum_m2 : float
        Smaller parts that the river does not reach are counted but not listed.

    Returns
    -------
    Connected
        The same for every `block` and number of threads.
    """
    rows, cols = shape
    areas = whole_dm2(row_areas_m2)
    down, right = -(-rows // block), -(-cols // block)
    places = [(i, j) for i in range(down) for j in range(right)]

    def window(place: tuple[int, int]) -> tuple[int, int, int, int]:
        i, j = place
        return i * block, j * block, min(block, rows - i * block), min(block, cols - j * block)

    kept: dict[tuple[int, int], Any] = {}
    dry: dict[tuple[int, int], bool] = {}
    keep = len(places) <= max(2, threads)  # small grids: label once

    def first(place: tuple[int, int]) -> _Block | None:
        w = window(place)
        d = depth(*w)
        dry[place] = d is None
        if d is None:
            return None
        wet = (d >= 0).view(np.uint8)
        if not wet.any():
            if keep:
                kept[place] = (d, None, None, None)
            return None
        labels, parent, count = _labelled(wet)
        if keep:
            kept[place] = (d, labels, parent, count)
        found = np.empty((len(_INTS), count + 1), np.int64)
        compiled(_stats)(d, labels, parent, areas[w[0] : w[0] + w[2]], w[0], w[1], cols, count, found)
        seeded = _seeded(labels, parent, seeds, w)
        node = np.full(count + 1, -1, np.int32)
        sides = np.empty(2 * (w[2] + w[3]), np.int64)
        listed = np.empty(sides.size, np.int64)
        # `number_rim` copies a value by first label: the label itself, to pick the sums by.
        number = int(compiled(number_rim)(labels, parent, np.arange(count + 1, dtype=np.int64), node, sides, listed))
        on_rim = listed[:number]
        is_first = parent == np.arange(count + 1)
        is_first[0] = False
        is_first[on_rim] = False
        return _Block(sides, found[:, on_rim], seeded[on_rim], found[:, is_first], seeded[is_first])

    blocks = dict(zip(places, _mapped(first, places, threads, progress, 0.0, 0.5), strict=True))
    start: dict[tuple[int, int], int] = {}
    total = 0
    for place in places:
        start[place] = total
        found_block = blocks[place]
        total += 0 if found_block is None else found_block.nodes.shape[1]
    root = _joined(blocks, start, total, shape, block)
    present = [b for b in blocks.values() if b is not None]
    nodes = np.concatenate([b.nodes for b in present], axis=1) if present else np.empty((9, 0), np.int64)
    seeded = np.concatenate([b.node_seeded for b in present]) if present else np.empty(0, bool)
    whole = np.zeros(total, bool)
    np.logical_or.at(whole, root, seeded)
    sums = _merged(nodes, root)
    heads = np.flatnonzero(root == np.arange(total))
    parts = np.concatenate([sums[:, heads], *(b.inner for b in present)], axis=1)
    reached = np.concatenate([whole[heads], *(b.inner_seeded for b in present)])

    def second(place: tuple[int, int]) -> None:
        at = window(place)
        found_block = blocks[place]
        if keep and place in kept:
            d, labels, parent, _ = kept[place]
            if labels is None:
                put(at[0], at[1], d, None)
                return
        elif found_block is None:
            put(at[0], at[1], None if dry[place] else depth(*at), None)
            return
        else:
            d = depth(*at)
            assert d is not None
            labels, parent, _ = _labelled((d >= 0).view(np.uint8))
        assert found_block is not None
        flag = _seeded(labels, parent, seeds, at)
        sides = found_block.sides
        on = sides >= 0
        flag[parent[_rim_labels(labels)[on]]] |= whole[root[start[place] + sides[on]]]
        out = np.empty(labels.shape, bool)
        compiled(_reached)(labels, flag[parent], out)
        put(at[0], at[1], d, out)

    for _ in _mapped(second, places, threads, progress, 0.5, 1.0):
        pass
    return _summary(parts, reached, minimum_m2)


def _rim_labels(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])


def _mapped(
    work: Callable[[tuple[int, int]], Any],
    places: list[tuple[int, int]],
    threads: int,
    progress: Callable[[float], None] | None,
    begin: float,
    end: float,
) -> Any:
    """`work` on every place in order, no more than a few results ahead of who takes them."""
    if threads <= 1:
        for number, place in enumerate(places):
            yield work(place)
            if progress is not None:
                progress(begin + (end - begin) * (number + 1) / len(places))
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="flood") as pool:
        waiting: list[Any] = []
        done = 0
        following = iter(places)
        try:
            while True:
                for one in islice(following, max(0, 2 * threads - len(waiting))):
                    waiting.append(pool.submit(work, one))
                if not waiting:
                    return
                yield waiting.pop(0).result()
                done += 1
                if progress is not None:
                    progress(begin + (end - begin) * done / len(places))
        finally:
            for future in waiting:
                future.cancel()


def _joined(
    blocks: dict[tuple[int, int], _Block | None],
    start: dict[tuple[int, int], int],
    total: int,
    shape: tuple[int, int],
    block: int,
) -> NDArray[np.int64]:
    """Root of every rim part after joining those of blocks that lie beside each other, corners included."""
    rows, cols = shape
    parent = np.arange(total, dtype=np.int64)
    if total == 0:
        return parent
    join = compiled(join_lines)
    down, right = -(-rows // block), -(-cols // block)

    def side(i: int, j: int, which: int) -> NDArray[np.int64]:
        high, wide = min(block, rows - i * block), min(block, cols - j * block)
        begin = (0, wide, 2 * wide, 2 * wide + high)[which]
        length = wide if which < 2 else high
        found = blocks[i, j]
        if found is None:
            return np.full(length, -1, np.int64)
        line = found.sides[begin : begin + length]
        return np.where(line < 0, np.int64(-1), line + start[i, j])

    for i in range(down):
        for j in range(right - 1):
            a, b = side(i, j, 3), side(i, j + 1, 2)
            join(a, b, np.ones(a.size, np.uint8), np.ones(b.size, np.uint8), parent)
        if i + 1 < down:  # whole lines, so that corners of four blocks meet too
            a = np.concatenate([side(i, j, 1) for j in range(right)])
            b = np.concatenate([side(i + 1, j, 0) for j in range(right)])
            join(a, b, np.ones(a.size, np.uint8), np.ones(b.size, np.uint8), parent)
    for node in range(total):
        parent[node] = parent[parent[node]]
    return parent


def _merged(nodes: NDArray[np.int64], root: NDArray[np.int64]) -> NDArray[np.int64]:
    out = nodes.copy()
    away = np.flatnonzero(root != np.arange(root.size))
    for k in (0, 1, 2):
        np.add.at(out[k], root[away], nodes[k, away])
    for k in (3, 7, 8):
        np.maximum.at(out[k], root[away], nodes[k, away])
    for k in (4, 5, 6):
        np.minimum.at(out[k], root[away], nodes[k, away])
    return out


def _summary(parts: NDArray[np.int64], reached: NDArray[np.bool_], minimum_m2: float) -> Connected:
    area, volume = parts[0], parts[2]
    dm2 = int(area[reached].sum())
    held = parts[:, ~reached & (area >= minimum_m2 * 100)]
    order = np.lexsort((held[4], -held[0]))
    held = held[:, order]
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = held[2] / held[0] / 1000.0
    return Connected(
        area_m2=dm2 / 100.0,
        mean_depth_m=int(volume[reached].sum()) / dm2 / 1000.0 if dm2 else float("nan"),
        max_depth_m=float(parts[3][reached].max(initial=0)) / 1000.0,
        below_area_m2=int(area.sum()) / 100.0,
        parts=int(area.size),
        largest_m2=int(area.max(initial=0)) / 100.0,
        basins=Basins(held[0] / 100.0, held[1], mean, held[3] / 1000.0, held[4], np.ascontiguousarray(held[5:9].T)),
    )
