"""Patch concentration (地块集中连片度): the area of the patch of equal grade that a cell belongs to.

A patch is a set of 8-connected cells of one grade. The grid is labelled block by block, patches that meet at a border are
joined, and a second look at a block gives each cell the area of its whole patch. Nothing of the size of the grid is kept:
memory is a few blocks and the cells along their borders. Areas are integers (dm²), so **no block size, order or number of
threads changes a bit**.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from analyses.labelling import join_lines, label_cells, number_rim
from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Grades", "PatchAreas", "patch_areas"]

BLOCK = 1024


class Grades(Protocol):
    """A grid of grades that is read by slices: an array, a mapped file, or a view that unpacks what is read."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype[Any]: ...

    @property
    def ndim(self) -> int: ...

    def __getitem__(self, cut: Any, /) -> Any: ...


def _whole(parent: Any, areas: Any) -> None:
    """Give every rim patch the area of all that are joined with it."""
    for node in range(parent.size):
        first = parent[parent[node]]
        parent[node] = first
        if first != node:
            areas[first] += areas[node]
    for node in range(parent.size):
        areas[node] = areas[parent[node]]


def _spread(labels: Any, parent: Any, area: Any, sides: Any, areas: Any, count: int) -> None:
    """Write the area of the whole patch into `area` by label; `sides` and `areas` as `number_rim` and `_whole` made them."""
    height, width = labels.shape
    for k in range(sides.size):
        if sides[k] < 0:
            continue
        if k < width:
            label = labels[0, k]
        elif k < 2 * width:
            label = labels[height - 1, k - width]
        elif k < 2 * width + height:
            label = labels[k - 2 * width, 0]
        else:
            label = labels[k - 2 * width - height, width - 1]
        area[parent[label]] = areas[sides[k]]
    for label in range(1, count + 1):
        area[label] = area[parent[label]]


def _look_up(labels: Any, table: Any, out: Any) -> None:
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            out[r, c] = table[labels[r, c]]


def _look_up_by_kind(labels: Any, tables: Any, kinds: Any, out: Any) -> None:
    for r in range(labels.shape[0]):
        for c in range(labels.shape[1]):
            out[r, c] = tables[kinds[r, c], labels[r, c]]


@dataclass(frozen=True)
class PatchAreas:
    """Areas of the patches of a grid of grades, asked for by window.

    A window that is one block (``block`` on a side, on the lattice of blocks) costs one labelling; another one costs that
    of every block that it touches. Several threads may ask at once.
    """

    grades: Grades
    row_areas_dm2: NDArray[np.int64]
    block: int
    sides: dict[tuple[int, int], NDArray[np.int64]]
    """Block (i, j) → patch number of each rim cell."""
    areas_dm2: NDArray[np.int64]
    """Area of each numbered patch, dm²."""

    def areas(self, row: int, col: int, height: int, width: int) -> NDArray[np.int64]:
        """Area of the patch of every cell, int64 (height, width), dm²; 0 where the grade is 0.

        Examples
        --------
        >>> found = patch_areas(np.array([[1, 0, 2], [0, 1, 2]], np.uint8), np.array([100, 200]))
        >>> found.areas(0, 0, 2, 3).tolist()
        [[300, 0, 300], [0, 300, 300]]
        """
        out = np.empty((height, width), dtype=np.int64)
        for labels, table, window in self._parts(row, col, height, width):
            compiled(_look_up)(labels, table, out[window])
        return out

    def levels(
        self,
        row: int,
        col: int,
        height: int,
        width: int,
        edges_dm2: Sequence[int] | NDArray[np.int64],
        kinds: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """Level of the patch of every cell: 1 + number of edges that its area reaches; 0 where the grade is 0.

        Parameters
        ----------
        edges_dm2 : ascending int (n,), or (k, n) with `kinds`
            Lower ends of levels 2 … n + 1, dm². With `kinds`, one row for each kind of landform (地貌).
        kinds : uint8 (height, width), optional
            Row of `edges_dm2` that holds for the cell, 0 … k − 1.

        Examples
        --------
        >>> found = patch_areas(np.array([[1, 0, 2], [0, 1, 2]], np.uint8), np.array([100, 250]))
        >>> found.levels(0, 0, 2, 3, [350, 1000]).tolist()
        [[2, 0, 2], [0, 2, 2]]
        """
        edges = np.atleast_2d(np.asarray(edges_dm2, dtype=np.int64))
        if edges.shape[1] > 254 or (np.diff(edges, axis=1) < 0).any():
            raise ValueError("edges must ascend and be at most 254")
        if kinds is None and edges.shape[0] != 1:
            raise ValueError("several rows of edges need the kind of each cell")
        if kinds is not None and (kinds.shape != (height, width) or int(kinds.max(initial=0)) >= edges.shape[0]):
            raise ValueError("kinds must cover the window and name a row of edges")
        out = np.empty((height, width), dtype=np.uint8)
        for labels, area, window in self._parts(row, col, height, width):
            tables = np.stack([np.searchsorted(line, area, side="right") + 1 for line in edges]).astype(np.uint8)
            tables[:, 0] = 0
            if kinds is None:
                compiled(_look_up)(labels, tables[0], out[window])
            else:
                compiled(_look_up_by_kind)(labels, tables, np.ascontiguousarray(kinds[window]), out[window])
        return out

    def _parts(
        self, row: int, col: int, height: int, width: int
    ) -> Iterator[tuple[NDArray[np.int32], NDArray[np.int64], tuple[slice, slice]]]:
        """Labels, area by label and place in the window of every block that the window touches."""
        rows, cols = self.grades.shape
        if row < 0 or col < 0 or row + height > rows or col + width > cols:
            raise ValueError(f"window ({row}, {col}) {height}×{width} lies outside the grid {rows}×{cols}")
        size = self.block
        for i in range(row // size, -(-(row + height) // size)):
            for j in range(col // size, -(-(col + width) // size)):
                labels, parent, area, count = _label_block(self.grades, self.row_areas_dm2, size, i, j)
                compiled(_spread)(labels, parent, area, self.sides[i, j], self.areas_dm2, count)
                area[0] = 0
                top, left = i * size, j * size
                r0, r1 = max(row, top), min(row + height, top + labels.shape[0])
                c0, c1 = max(col, left), min(col + width, left + labels.shape[1])
                place = (slice(r0 - row, r1 - row), slice(c0 - col, c1 - col))
                yield labels[r0 - top : r1 - top, c0 - left : c1 - left], area[: count + 1], place


def _label_block(
    grades: Grades, row_areas: NDArray[np.int64], block: int, i: int, j: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64], int]:
    top, left = i * block, j * block
    cells = np.ascontiguousarray(grades[top : top + block, left : left + block])
    labels = np.empty(cells.shape, dtype=np.int32)
    # One label a cell at most; pages that no label reaches are never touched.
    parent = np.empty(cells.size + 1, dtype=np.int32)
    area = np.empty(cells.size + 1, dtype=np.int64)
    parent[0] = 0
    count = int(compiled(label_cells)(cells, row_areas[top : top + block], labels, parent, area))
    return labels, parent, area, count


def patch_areas(
    grades: Grades, row_areas_dm2: NDArray[np.int64], *, block: int = BLOCK, threads: int = 1
) -> PatchAreas:
    """Find the patches of equal grade.

    Formula: A(p) = Σ over the 8-connected cells of p's grade around p: a(row), a in whole dm².

    Parameters
    ----------
    grades : uint8 (rows, cols)
        0 = in no patch. May be memory-mapped; must not change while the answer is in use.
    row_areas_dm2 : int64 (rows,)
        Area of a cell of each row, dm² (`spatial.units.whole_dm2`).
    block : int
        Side of a block, cells. Sets the memory (about 20 bytes a cell of a block and thread), never the result.
    threads : int
        Blocks labelled at once.

    Source: 双评价技术指南 (2019-07), 地块集中连片度, by area of the patch; two-pass labelling with union–find (Wu, Otoo and
    Suzuki 2009, doi 10.1007/s10044-008-0109-y).
    """
    if grades.dtype != np.uint8 or grades.ndim != 2:
        raise ValueError(f"grades must be uint8 (rows, cols), found {grades.dtype} {grades.shape}")
    rows, cols = grades.shape
    row_areas = np.asarray(row_areas_dm2, dtype=np.int64)
    if row_areas.shape != (rows,):
        raise ValueError(f"one cell area a row: expected {(rows,)}, found {row_areas.shape}")
    down, right = -(-rows // block), -(-cols // block)
    places = [(i, j) for i in range(down) for j in range(right)]

    def rim(place: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        labels, parent, area, count = _label_block(grades, row_areas, block, *place)
        sides = np.empty(2 * sum(labels.shape), dtype=np.int64)
        found = np.empty(sides.size, dtype=np.int64)
        number = compiled(number_rim)(labels, parent, area, np.full(count + 1, -1, np.int32), sides, found)
        return sides, found[:number].copy()

    if threads > 1:
        with ThreadPoolExecutor(threads) as pool:
            rims = list(pool.map(rim, places))
    else:
        rims = [rim(place) for place in places]

    sides: dict[tuple[int, int], NDArray[np.int64]] = {}
    start = 0
    for place, (of_block, found) in zip(places, rims, strict=True):
        sides[place] = np.where(of_block < 0, np.int64(-1), of_block + start)
        start += found.size
    areas = np.concatenate([found for _, found in rims]) if rims else np.empty(0, np.int64)
    parent = np.arange(areas.size, dtype=np.int64)
    join = compiled(join_lines)
    for i in range(down):
        top, bottom = i * block, min((i + 1) * block, rows)
        high = bottom - top
        for j in range(right - 1):
            edge = (j + 1) * block
            a, b = sides[i, j], sides[i, j + 1]
            wide = min(edge + block, cols) - edge
            join(
                a[2 * block + high :],
                b[2 * wide : 2 * wide + high],
                np.ascontiguousarray(grades[top:bottom, edge - 1]),
                np.ascontiguousarray(grades[top:bottom, edge]),
                parent,
            )
        if i + 1 < down:  # whole lines, so that corners of four blocks meet too
            above, below = [], []
            for j in range(right):
                wide = min((j + 1) * block, cols) - j * block
                above.append(sides[i, j][wide : 2 * wide])
                below.append(sides[i + 1, j][:wide])
            upper, lower = np.ascontiguousarray(grades[bottom - 1]), np.ascontiguousarray(grades[bottom])
            join(np.concatenate(above), np.concatenate(below), upper, lower, parent)
    compiled(_whole)(parent, areas)
    return PatchAreas(grades, row_areas, block, sides, areas)
