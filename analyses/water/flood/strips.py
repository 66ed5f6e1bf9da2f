"""Cross-section strips (断面条带): the nearest node of the river for every cell, prepared once for a grid.

A cell takes the level of the node that it lies beside, not that of the nearest gauge. The exact distance transform is done
row by row: of each column the nearest river cell above or below, then the lower envelope of their parabolas along the row
(Felzenszwalb & Huttenlocher 2012, doi 10.4086/toc.2012.v008a019). Metres a cell are those of the row, so that strips are
perpendicular on the ground, and memory is a few rows.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.terrain import metres_per_degree
from spatial.compiled import compiled
from spatial.errors import InvalidParameter, LayerEmpty

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

__all__ = ["Cells", "RiverNodes", "nearest_node", "nodes_of", "river_cells", "river_nodes"]


@dataclass(frozen=True)
class RiverNodes:
    """Nodes along the centre lines of rivers (河道中心线节点), numbered from 1; chainage grows downstream."""

    river: NDArray[np.int32]
    """Number of the river of each node (place in the frame)."""
    chainage_m: NDArray[np.float64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]

    @property
    def size(self) -> int:
        return int(self.lon.size)


@dataclass(frozen=True)
class Cells:
    """Some cells of a grid with a value each, ordered by row, so that those of a window are found fast."""

    row: NDArray[np.int64]
    col: NDArray[np.int64]
    value: NDArray[Any]

    @classmethod
    def of(cls, row: NDArray[Any], col: NDArray[Any], value: NDArray[Any]) -> Cells:
        """Cells in the order of their rows and columns."""
        order = np.lexsort((col, row))
        return cls(np.asarray(row, np.int64)[order], np.asarray(col, np.int64)[order], np.asarray(value)[order])

    def within(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Any]:
        """Rows and columns inside the window, and values."""
        a, b = np.searchsorted(self.row, [row, row + height])
        keep = (self.col[a:b] >= col) & (self.col[a:b] < col + width)
        return self.row[a:b][keep] - row, self.col[a:b][keep] - col, self.value[a:b][keep]

    @property
    def size(self) -> int:
        return int(self.row.size)


def river_nodes(lines: Any, from_m: Any, to_m: Any, *, step_m: float) -> RiverNodes:
    """Nodes every `step_m` along centre lines.

    Parameters
    ----------
    lines : sequence of LineString, EPSG:4490, x = longitude, drawn downstream
    from_m, to_m : sequence of float, m
        Chainage (里程) of the first and the last vertex of each line; linear in geodesic length between them.

    Raises
    ------
    InvalidParameter
        If a line is no LineString or its chainage does not grow.
    """
    import shapely
    from pyproj import Geod

    geod = Geod(ellps="GRS80")
    parts = []
    for number, (line, a, b) in enumerate(zip(lines, from_m, to_m, strict=True)):
        if line is None or line.geom_type != "LineString" or not b > a:
            raise InvalidParameter(
                f"第 {number + 1} 条河道中心线须为 LineString，且终点里程大于起点",
                f"centre line {number + 1} must be a LineString whose chainage grows",
                parameter="river",
            )
        xy = shapely.get_coordinates(line)
        along = np.r_[0.0, np.cumsum(geod.inv(xy[:-1, 0], xy[:-1, 1], xy[1:, 0], xy[1:, 1])[2])]
        count = max(2, int(np.ceil(along[-1] / step_m)) + 1)
        s = np.linspace(0.0, along[-1], count)
        parts.append(
            (
                np.full(count, number, np.int32),
                a + (b - a) * s / along[-1],
                np.interp(s, along, xy[:, 0]),
                np.interp(s, along, xy[:, 1]),
            )
        )
    columns = [np.concatenate(c) for c in zip(*parts, strict=True)]
    return RiverNodes(columns[0], columns[1], columns[2], columns[3])


def nodes_of(frame: Any, step_m: float, *, layer: str) -> tuple[Any, RiverNodes]:
    """Centre lines of a layer (numbered from 0) and their nodes.

    Raises
    ------
    LayerEmpty
        If the layer has no feature.
    InvalidParameter
        If a line is no LineString or its chainage does not grow.
    """
    rivers = frame.reset_index(drop=True)
    if not len(rivers):
        raise LayerEmpty(f"河道图层 {layer} 没有要素", f"layer {layer} has no feature", layer=layer)
    return rivers, river_nodes(
        rivers.geometry.array, rivers["from_km"] * 1000.0, rivers["to_km"] * 1000.0, step_m=step_m
    )


def river_cells(nodes: RiverNodes, affine: Affine, shape: tuple[int, int]) -> Cells:
    """Cells of the grid that the centre lines run through, each with the number of its node (1 …).

    Between two nodes of a river points are set every half cell, so that the cells hang together.
    """
    col = (nodes.lon - affine.c) / affine.a
    row = (nodes.lat - affine.f) / affine.e
    same = nodes.river[1:] == nodes.river[:-1]
    start = np.flatnonzero(same)
    pieces = np.maximum(1, np.ceil(2 * np.maximum(abs(col[start + 1] - col[start]), abs(row[start + 1] - row[start]))))
    pieces = pieces.astype(np.intp)
    first = np.repeat(start, pieces)
    share = (np.arange(first.size) - np.repeat(np.cumsum(pieces) - pieces, pieces)) / np.repeat(pieces, pieces)
    r = np.floor(np.r_[row[first] + share * (row[first + 1] - row[first]), row]).astype(np.int64)
    c = np.floor(np.r_[col[first] + share * (col[first + 1] - col[first]), col]).astype(np.int64)
    number = np.r_[first + (share >= 0.5), np.arange(nodes.size)] + 1
    inside = (r >= 0) & (r < shape[0]) & (c >= 0) & (c < shape[1])
    r, c, number = r[inside], c[inside], number[inside]
    _, once = np.unique(r * shape[1] + c, return_index=True)
    return Cells.of(r[once], c[once], number[once].astype(np.int32))


def _nearest(top: int, indptr: Any, seed_row: Any, seed_value: Any, my: float, mx: Any, limit: float, out: Any) -> None:
    """Nearest seed of the rows `top` …; `indptr` leads from each column to its seeds in ascending rows."""
    rows, cols = out.shape
    place = indptr[:-1].copy()
    height = np.empty(cols, np.float64)
    value = np.empty(cols, np.int32)
    vertex = np.empty(cols, np.int64)
    edge = np.empty(cols + 1, np.float64)
    for r in range(rows):
        row = top + r
        dx2 = mx[r] * mx[r]
        k = -1
        for c in range(cols):
            p = place[c]
            end = indptr[c + 1]
            while p < end and seed_row[p] < row:
                p += 1
            place[c] = p
            best = np.inf
            found = 0
            if p > indptr[c]:
                best = (row - seed_row[p - 1]) * my
                found = seed_value[p - 1]
            if p < end:
                d = (seed_row[p] - row) * my
                if d < best:
                    best = d
                    found = seed_value[p]
            if best > limit:
                continue
            f = best * best / dx2
            # Lower envelope of the parabolas f + (x − c)², in cells of this row.
            cut = -np.inf
            while k >= 0:
                q = vertex[k]
                cut = ((f + c * c) - (height[k] + q * q)) / (2.0 * (c - q))
                if cut <= edge[k]:
                    k -= 1
                    cut = -np.inf
                else:
                    break
            k += 1
            vertex[k] = c
            height[k] = f
            value[k] = found
            edge[k] = cut
            edge[k + 1] = np.inf
        if k < 0:
            for c in range(cols):
                out[r, c] = 0
            continue
        last = k
        k = 0
        reach = limit * limit / dx2
        for c in range(cols):
            while k < last and edge[k + 1] < c:
                k += 1
            d = c - vertex[k]
            out[r, c] = value[k] if height[k] + d * d <= reach else 0


def nearest_node(
    seeds: Cells,
    affine: Affine,
    shape: tuple[int, int],
    *,
    limit_m: float,
    put: Callable[[int, NDArray[Any]], None],
    dtype: Any = np.int32,
    rows: int = 512,
    threads: int = 1,
    span: tuple[int, int] | None = None,
) -> None:
    """The strip raster: number of the nearest node for every cell; 0 = farther than `limit_m` from the river.

    Formula: argmin over river cells q of (Δrow · m_y)² + (Δcol · m_x(row))², metres a cell on the ellipsoid, m_x of the cell's
    own row. The error of that against the geodesic is below 0.3 % of the distance within 50 km at 30° N.

    Parameters
    ----------
    seeds : Cells
        From `river_cells`.
    affine : Affine
        North up, degrees.
    put : callable
        Called with the first row and the numbers of up to `rows` rows, in the order of the rows.
    dtype : uint16 or int32
    span : (first, end), optional
        Rows that are asked for; default: all.
    """
    begin, end = (0, shape[0]) if span is None else span
    if seeds.size == 0:
        raise InvalidParameter(
            "河道中心线不在范围内，无法划分断面条带",
            "no centre line lies within the extent: no strips",
            parameter="bbox",
        )
    order = np.lexsort((seeds.row, seeds.col))
    seed_row, seed_value = seeds.row[order], seeds.value[order].astype(np.int32)
    indptr = np.searchsorted(seeds.col[order], np.arange(shape[1] + 1)).astype(np.int64)
    my = float(metres_per_degree(affine.f + affine.e * shape[0] / 2)[1]) * -affine.e

    def one(top: int) -> NDArray[Any]:
        count = min(rows, end - top)
        centre = affine.f + affine.e * (np.arange(top, top + count) + 0.5)
        mx = metres_per_degree(centre)[0] * affine.a
        out = np.empty((count, shape[1]), dtype=dtype)
        compiled(_nearest)(top, indptr, seed_row, seed_value, my, mx, limit_m, out)
        return out

    tops = range(begin, end, rows)
    if threads <= 1:
        for top in tops:
            put(top, one(top))
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: list[Any] = []
        for top in tops:
            ahead.append((top, pool.submit(one, top)))
            if len(ahead) > threads:  # no more strips in memory than are worked on
                first, job = ahead.pop(0)
                put(first, job.result())
        for first, job in ahead:
            put(first, job.result())
