"""Connected water (连通水面) of a large raster as runs of cells: labels, sums by label and polygons, without a label raster.

A run is a stretch of cells of one grade in one row. Runs of a raster of smooth bodies are a thousandth of its cells, so that
labelling and tracing cost memory by the length of the shores, not by the cells. Strips of rows are scanned one at a time; the
runs are the same whatever the strips.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Runs", "join_strips", "label_runs", "paint", "polygons", "strip_runs"]


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs by row, then by column; all arrays (n,)."""

    rows: int
    """Rows of the grid."""
    row: NDArray[np.int32]
    start: NDArray[np.int32]
    """First column."""
    end: NDArray[np.int32]
    """Column after the last one."""
    grade: NDArray[np.uint8]

    @property
    def first_of_row(self) -> NDArray[np.int64]:
        """Index of the first run of each row, and of the end: int64 (rows + 1,)."""
        return np.searchsorted(self.row, np.arange(self.rows + 1)).astype(np.int64)

    def take(self, chosen: NDArray[Any]) -> Runs:
        """Some of the runs, in order."""
        return Runs(self.rows, self.row[chosen], self.start[chosen], self.end[chosen], self.grade[chosen])


def _count(grades: Any) -> Any:
    count = np.int64(0)
    for r in range(grades.shape[0]):
        before = np.uint8(0)
        for c in range(grades.shape[1]):
            grade = grades[r, c]
            count += np.int64(grade != before) & np.int64(grade != 0)
            before = grade
    return count


def _fill(grades: Any, top: int, row: Any, start: Any, end: Any, kind: Any) -> None:
    k = -1
    for r in range(grades.shape[0]):
        before = np.uint8(0)
        for c in range(grades.shape[1]):
            grade = grades[r, c]
            if grade != 0:
                if grade != before:
                    k += 1
                    row[k] = top + r
                    start[k] = c
                    kind[k] = grade
                end[k] = c + 1
            before = grade


def strip_runs(grades: NDArray[np.uint8], top: int = 0, rows: int | None = None) -> Runs:
    """Runs of a strip of whole rows.

    Parameters
    ----------
    grades : uint8 (height, cols)
        0 = no body. Cells of different grades are never of one body.
    top, rows : int
        First row of the strip, and rows of the whole grid (default: the strip is the grid).

    Examples
    --------
    >>> grades = np.array([[1, 1, 0, 2], [0, 1, 2, 2]], np.uint8)
    >>> runs = strip_runs(grades)
    >>> list(zip(runs.row.tolist(), runs.start.tolist(), runs.end.tolist(), runs.grade.tolist()))
    [(0, 0, 2, 1), (0, 3, 4, 2), (1, 1, 2, 1), (1, 2, 4, 2)]
    """
    n = int(compiled(_count)(grades))
    row, start, end = (np.empty(n, np.int32) for _ in range(3))
    kind = np.empty(n, np.uint8)
    compiled(_fill)(grades, top, row, start, end, kind)
    return Runs(len(grades) if rows is None else rows, row, start, end, kind)


def join_strips(strips: list[Runs]) -> Runs:
    """Runs of strips that follow each other."""
    first = strips[0]
    if len(strips) == 1:
        return first
    return Runs(
        first.rows,
        *(np.concatenate([getattr(s, name) for s in strips]) for name in ("row", "start", "end", "grade")),
    )


def _unite(first: Any, start: Any, end: Any, grade: Any, parent: Any) -> None:
    for r in range(first.size - 2):
        a = first[r]
        b = first[r + 1]
        last_a = first[r + 1]
        last_b = first[r + 2]
        while a < last_a and b < last_b:
            if start[a] < end[b] and start[b] < end[a] and grade[a] == grade[b]:
                x = a
                y = b
                while parent[x] != x:
                    parent[x] = parent[parent[x]]
                    x = parent[x]
                while parent[y] != y:
                    parent[y] = parent[parent[y]]
                    y = parent[y]
                if x < y:
                    parent[y] = x
                else:
                    parent[x] = y
            if end[a] < end[b]:
                a += 1
            else:
                b += 1


def _number(parent: Any, label: Any) -> int:
    count = 0
    for k in range(parent.size):
        root = k
        while parent[root] != root:
            root = parent[root]
        parent[k] = root
        if root == k:
            count += 1
            label[k] = count
        else:
            label[k] = label[root]
    return count


def label_runs(runs: Runs) -> tuple[NDArray[np.int32], int]:
    """Label of each run, 1 … n in the order in which bodies are met row by row, and n; 4-connected, by equal grade.

    Examples
    --------
    >>> grades = np.array([[1, 0, 1], [1, 1, 1], [0, 0, 0], [1, 0, 2]], np.uint8)
    >>> runs = strip_runs(grades)
    >>> label, number = label_runs(runs)
    >>> label.tolist(), number
    ([1, 1, 1, 2, 3], 3)
    """
    n = runs.row.size
    parent = np.arange(n, dtype=np.int64)
    label = np.empty(n, np.int32)
    compiled(_unite)(runs.first_of_row, runs.start, runs.end, runs.grade, parent)
    return label, int(compiled(_number)(parent, label))


def _trace(
    first: Any, row: Any, start: Any, end: Any, label: Any, seen: Any, x: Any, y: Any, ring_end: Any, ring_label: Any
) -> tuple[int, int]:
    """Rings of all labels > 0 with the water on the left; a ring begins at its topmost left edge.

    Where two cells of one body touch at a corner only, the ring turns right, so that a hole that touches the shore there is
    a ring of its own and the polygon is valid.
    """
    points = 0
    rings = 0
    for begin in range(row.size):
        body = label[begin]
        if body == 0 or seen[begin]:
            continue
        run = begin
        x[points] = start[run]
        y[points] = row[run]
        points += 1
        heading = 0  # 0 down a left edge, 1 east along a bottom, 2 up a right edge, 3 west along a top
        column = start[run]
        while True:
            r = row[run]
            if heading == 0:
                if seen[run]:  # back at the beginning
                    points -= 1
                    break
                seen[run] = 1
                column = start[run]
                low = first[r + 1] if r + 2 < first.size else row.size
                high = first[r + 2] if r + 2 < first.size else row.size
                k = low
                stop = high
                while k < stop:
                    middle = (k + stop) // 2
                    if end[middle] < column:
                        k = middle + 1
                    else:
                        stop = middle
                # Runs that end at the column exactly touch at the corner; then comes the one that covers it.
                if k < high and end[k] == column and label[k] == body:
                    x[points] = column
                    y[points] = r + 1
                    points += 1
                    run = k
                    heading = 3
                    continue
                if k < high and end[k] == column:
                    k += 1
                if k < high and start[k] <= column and label[k] == body:
                    run = k
                    if start[k] < column:
                        x[points] = column
                        y[points] = r + 1
                        points += 1
                        heading = 3
                    continue
                x[points] = column
                y[points] = r + 1
                points += 1
                heading = 1
            elif heading == 1:
                low = first[r + 1] if r + 2 < first.size else row.size
                high = first[r + 2] if r + 2 < first.size else row.size
                k = low
                stop = high
                while k < stop:
                    middle = (k + stop) // 2
                    if start[middle] <= column:
                        k = middle + 1
                    else:
                        stop = middle
                while k < high and start[k] <= end[run] and label[k] != body:
                    k += 1
                if k < high and start[k] <= end[run]:
                    x[points] = start[k]
                    y[points] = r + 1
                    points += 1
                    run = k
                    heading = 0
                else:
                    column = end[run]
                    x[points] = column
                    y[points] = r + 1
                    points += 1
                    heading = 2
            elif heading == 2:
                column = end[run]
                low = first[r - 1] if r > 0 else 0
                high = first[r] if r > 0 else 0
                k = low
                stop = high
                while k < stop:
                    middle = (k + stop) // 2
                    if end[middle] <= column:
                        k = middle + 1
                    else:
                        stop = middle
                if k < high and start[k] <= column and label[k] == body:
                    x[points] = column
                    y[points] = r
                    points += 1
                    run = k
                    heading = 1
                    continue
                k -= 1
                if k >= low and end[k] == column and label[k] == body:
                    run = k
                    continue
                x[points] = column
                y[points] = r
                points += 1
                heading = 3
            else:
                low = first[r - 1] if r > 0 else 0
                high = first[r] if r > 0 else 0
                k = low
                stop = high
                while k < stop:
                    middle = (k + stop) // 2
                    if end[middle] < column:
                        k = middle + 1
                    else:
                        stop = middle
                k -= 1
                while k >= low and end[k] >= start[run] and label[k] != body:
                    k -= 1
                if k >= low and end[k] >= start[run]:
                    x[points] = end[k]
                    y[points] = r
                    points += 1
                    run = k
                    heading = 2
                else:
                    column = start[run]
                    x[points] = column
                    y[points] = r
                    points += 1
                    heading = 0
        # The first point closes the ring.
        back = ring_end[rings - 1] if rings > 0 else 0
        x[points] = x[back]
        y[points] = y[back]
        points += 1
        ring_end[rings] = points
        ring_label[rings] = body
        rings += 1
    return points, rings


def polygons(runs: Runs, label: NDArray[np.int32], number: int, transform: tuple[float, ...]) -> NDArray[Any]:
    """Polygons of labels 1 … `number` along the edges of the cells, with their holes (图斑边界，保留岛洞).

    Parameters
    ----------
    runs, label
        As `label_runs` gave them; 0 = not wanted.
    transform : (a, b, c, d, e, f)
        x = a·col + c, y = e·row + f; b = d = 0.

    Returns
    -------
    shapely polygons (number,), shells counter-clockwise, valid

    Examples
    --------
    >>> grades = np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint8)
    >>> runs = strip_runs(grades)
    >>> print(polygons(runs, *label_runs(runs), (1.0, 0, 0, 0, -1.0, 3))[0])
    POLYGON ((0 3, 0 0, 3 0, 3 3, 0 3), (2 2, 2 1, 1 1, 1 2, 2 2))
    """
    import shapely

    if number == 0:
        return np.empty(0, dtype=object)
    n = runs.row.size
    x, y = np.empty(5 * n + 2, np.int32), np.empty(5 * n + 2, np.int32)
    ring_end, ring_label = np.empty(2 * n, np.int64), np.empty(2 * n, np.int32)
    points, rings = compiled(_trace)(
        runs.first_of_row, runs.row, runs.start, runs.end, label, np.zeros(n, np.uint8), x, y, ring_end, ring_label
    )
    ring_end, ring_label = ring_end[:rings], ring_label[:rings]
    order = np.argsort(ring_label, kind="stable")
    lengths = np.diff(ring_end, prepend=0)
    # Rings of a body one after the other, the shell first: it begins in the first of the body's runs.
    begins = (ring_end - lengths)[order]
    lengths = lengths[order]
    ring_offsets = np.concatenate([[0], np.cumsum(lengths)])
    place = np.repeat(begins - ring_offsets[:-1], lengths) + np.arange(points)
    a, _, c, _, e, f = transform[:6]
    coordinates = np.empty((points, 2))
    coordinates[:, 0] = x[place] * a + c
    coordinates[:, 1] = y[place] * e + f
    body_offsets = np.concatenate([[0], np.cumsum(np.bincount(ring_label, minlength=number + 1)[1:])])
    made = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, coordinates, (ring_offsets.astype(np.int64), body_offsets.astype(np.int64))
    )
    return np.asarray(made, dtype=object)


def _paint(row: Any, start: Any, end: Any, label: Any, top: int, left: int, out: Any) -> None:
    height, width = out.shape
    for k in range(row.size):
        r = row[k] - top
        if 0 <= r < height:
            for c in range(max(start[k] - left, 0), min(end[k] - left, width)):
                out[r, c] = label[k]


def paint(runs: Runs, label: NDArray[np.int32], row: int, col: int, height: int, width: int) -> NDArray[np.int32]:
    """Labels of a window as a raster, int32 (height, width), 0 = none.

    Examples
    --------
    >>> grades = np.array([[1, 0, 1], [1, 0, 1]], np.uint8)
    >>> runs = strip_runs(grades)
    >>> paint(runs, label_runs(runs)[0], 1, 1, 1, 2).tolist()
    [[0, 2]]
    """
    out = np.zeros((height, width), np.int32)
    first, last = np.searchsorted(runs.row, [row, row + height])
    cut = slice(int(first), int(last))
    compiled(_paint)(runs.row[cut], runs.start[cut], runs.end[cut], label[cut], row, col, out)
    return out
