"""Topographic factor (地形因子) LS of RUSLE with the slope above each cell (上坡汇流).

A slope of RUSLE begins where overland flow begins and has a greatest length. So only the cells within that length above a
cell count: a block needs a halo of a few cells, not the whole basin, and has the same bits whatever its size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.erosion import LS_STEP, SLOPE_STEP, UNIT_PLOT_M, length_exponent, slope_steepness_factor
from analyses.grading import quantise
from analyses.terrain import CellSize, cell_size, metres_per_degree
from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.assessment import Block
    from analyses.ecology_rules import SlopeLengthRule

__all__ = [
    "EAST_WEST",
    "NORTH_SOUTH",
    "SLANTED",
    "UpslopeLS",
    "ls_upslope",
    "segment_length_factor",
    "upslope_cells",
    "upslope_reach",
]

NORTH_SOUTH, EAST_WEST, SLANTED = 0, 1, 2
"""Ways that water leaves a cell; a pit or a flat cell, which it does not leave, counts as NORTH_SOUTH."""


def segment_length_factor(slope: Any, start: Any, end: Any) -> NDArray[np.float64]:
    """Slope length factor (坡长因子) L of the part of a slope that lies `start` to `end` metres below its top.

    Formula: L = (λ_out^(m+1) − λ_in^(m+1)) / ((λ_out − λ_in)·22.13^m), m as in `analyses.erosion.slope_length_factor`. With
    λ = A/W, the area above per width of the contour, and W = D·(|sin α| + |cos α|) on square cells of side D, it is
    [(A + D²)^(m+1) − A^(m+1)] / (D^(m+2)·x^m·22.13^m), x = |sin α| + |cos α|.

    Parameters
    ----------
    slope : float, degrees, 0–90
    start, end : float, m
        0 ≤ λ_in < λ_out.

    Returns
    -------
    float64, broadcast shape, > 0; rises with both lengths

    Source: Desmet & Govers (1996) J. Soil Water Conserv. 51(5): 427–433; Foster & Wischmeier (1974) Trans. ASAE 17(2): 305–309.

    Examples
    --------
    >>> segment_length_factor(10, 0, 22.13).round(6).tolist(), round(float(segment_length_factor(10, 30, 60)), 3)
    (1.0, 2.434)
    """
    m = length_exponent(slope)
    first, last = np.asarray(start, dtype=np.float64), np.asarray(end, dtype=np.float64)
    return np.asarray((last ** (m + 1) - first ** (m + 1)) / ((last - first) * _power(m)))


def _power(m: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(UNIT_PLOT_M**m)


def _steps(x: float, y: float) -> tuple[float, float, float]:
    """Length that one cell adds to a slope, m, by the way of the flow: its area over its width across the flow."""
    return y, x, x * y / math.hypot(x, y)


def upslope_reach(maximum: float, x: float, y: float) -> int:
    """How many cells above a cell can count: with as many, every way of flow has reached the greatest slope length.

    >>> upslope_reach(122, 26.5, 30.75), upslope_reach(122, 795, 924)
    (6, 0)
    """
    return max(0, math.ceil(maximum / min(_steps(x, y))) - 1)


def _towards(z: Any, per_x: Any, per_y: Any, per_slant: Any, way: Any, waiting: Any) -> None:
    """Where each cell drains to (D8, steepest descent) as an index step into `way`; how many drain into each: `waiting`."""
    rows, cols = z.shape
    for r in range(1, rows - 1):
        east = per_x[r]
        south = per_y[r]
        slant = per_slant[r]
        for c in range(1, cols - 1):
            here = np.float64(z[r, c])
            best = 0.0
            to = 0
            # A tie goes to the first: along the meridian, along the parallel, then slantwise.
            drop = (here - z[r - 1, c]) * south
            if drop > best:
                best = drop
                to = -cols
            drop = (here - z[r + 1, c]) * south
            if drop > best:
                best = drop
                to = cols
            drop = (here - z[r, c - 1]) * east
            if drop > best:
                best = drop
                to = -1
            drop = (here - z[r, c + 1]) * east
            if drop > best:
                best = drop
                to = 1
            drop = (here - z[r - 1, c - 1]) * slant
            if drop > best:
                best = drop
                to = -cols - 1
            drop = (here - z[r - 1, c + 1]) * slant
            if drop > best:
                best = drop
                to = -cols + 1
            drop = (here - z[r + 1, c - 1]) * slant
            if drop > best:
                best = drop
                to = cols - 1
            drop = (here - z[r + 1, c + 1]) * slant
            if drop > best:
                best = drop
                to = cols + 1
            i = r * cols + c
            way[i] = to
            if to != 0:
                waiting[i + to] += 1


def _gather(way: Any, waiting: Any, most: int, above: Any) -> None:
    """Cells above each cell, at most `most`: from every cell that none drains into down to the next meeting.

    `waiting` is the number of neighbours whose water has not come yet; 255 (there are only eight) once a cell is done.
    """
    for start in range(way.size):
        i = start
        while waiting[i] == 0:
            waiting[i] = 255
            to = way[i]
            if to == 0:
                break
            held = above[i] + 1
            i += to
            held += above[i]
            above[i] = held if held < most else most
            waiting[i] -= 1


def _flow(elevation: NDArray[Any], size: CellSize, reach: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    z = np.ascontiguousarray(elevation, dtype=np.float32)
    way = np.zeros(z.size, dtype=np.int32)
    waiting = np.zeros(z.size, dtype=np.uint8)
    above = np.zeros(z.size, dtype=np.int32)
    compiled(_towards)(z, 1 / size.x, 1 / size.y, 1 / np.hypot(size.x, size.y), way, waiting)
    compiled(_gather)(way, waiting, reach, above)
    return way.reshape(z.shape), above.reshape(z.shape)


def upslope_cells(elevation: NDArray[Any], size: CellSize, reach: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Cells whose water comes to each cell (上坡汇流像元数), at most `reach`, and the way that it leaves it.

    Each cell drains to the neighbour of steepest descent (D8). Pits are not filled and flats not crossed: where water stands,
    soil settles and the slope of RUSLE ends. Because only `reach` cells count, none lies further away than `reach` cells.

    Parameters
    ----------
    elevation : float32 (rows + 2·(reach + 1), cols + 2·(reach + 1)), m
        With a halo of ``reach + 1`` cells; NaN = nodata, which gives and takes no water.
    size : CellSize
        Of all rows, the halo too.
    reach : int, ≥ 0

    Returns
    -------
    int32 (rows, cols), 0 … `reach`; uint8 (rows, cols), `NORTH_SOUTH`, `EAST_WEST` or `SLANTED`

    Source: O'Callaghan & Mark (1984), doi 10.1016/S0734-189X(84)80011-0 (D8).

    Examples
    --------
    >>> z = np.pad(np.array([[5.0, 4, 3]]), 3, constant_values=np.nan)   # falls eastwards
    >>> upslope_cells(z, CellSize(np.full(7, 30.0), np.full(7, 30.0)), 2)[0].tolist()
    [[0, 1, 2]]
    """
    way, above = _flow(elevation, size, reach)
    inner = (slice(reach + 1, -reach - 1), slice(reach + 1, -reach - 1))
    step = np.abs(way[inner])
    kinds = np.where(step == 1, EAST_WEST, np.where((step == 0) | (step == way.shape[1]), NORTH_SOUTH, SLANTED))
    return above[inner], kinds.astype(np.uint8)


@lru_cache(maxsize=64)
def _table(x: float, y: float, reach: int, maximum: float) -> NDArray[np.float64]:
    """L·S by way of flow, cells above 0 … `reach` and slope 0, 1/64, … 90°; float64, multiples of 2⁻¹⁰."""
    slopes = np.arange(round(90 / SLOPE_STEP) + 1) * SLOPE_STEP
    steep = slope_steepness_factor(slopes)
    table = np.empty((3, reach + 1, slopes.size))
    for way, step in enumerate(_steps(x, y)):
        for above in range(reach + 1):
            end = min((above + 1) * step, maximum)
            factor = segment_length_factor(slopes, max(0.0, end - step), end)
            table[way, above] = np.rint(factor * steep / LS_STEP) * LS_STEP
    return table


def _look_up(table: Any, way: Any, above: Any, slope: Any, width: int, margin: int, out: Any) -> None:
    rows, cols = out.shape
    for r in range(rows):
        for c in range(cols):
            degrees = slope[r, c]
            if degrees != degrees:
                out[r, c] = np.nan
                continue
            to = abs(way[r + margin, c + margin])
            kind = 1 if to == 1 else (0 if to == 0 or to == width else 2)
            s = min(max(int(np.rint(degrees * 64.0)), 0), table.shape[2] - 1)
            out[r, c] = table[kind, above[r + margin, c + margin], s]


def ls_upslope(
    elevation: NDArray[Any], slope: NDArray[Any], size: CellSize, *, reach: int, maximum: float, step: float
) -> NDArray[np.float32]:
    """Topographic factor (地形因子) LS of each cell by its own slope and the slope above it.

    Formula: L by `segment_length_factor` from λ_in = λ_out − d to λ_out = min((n + 1)·d, `maximum`), with n the cells above
    (`upslope_cells`) and d the area of the cell over its width across the flow: its height, its width, or on the slant
    x·y/√(x² + y²); S by `analyses.erosion.slope_steepness_factor`. A cell that is longer than `maximum` is one slope.

    Parameters
    ----------
    elevation : float32 (rows + 2·(reach + 1), cols + 2·(reach + 1)), m
    slope : float32 (rows, cols), degrees, rounded to 1/64°; NaN = no value
    size : CellSize
        Of all rows of `elevation`.
    reach : int
        At least `upslope_reach` of the smallest cell; a larger one changes nothing.
    maximum : float, m
    step : float, m
        Cell sizes are rounded to it, so that rows share their table.

    Returns
    -------
    float32 (rows, cols), multiples of 2⁻¹⁰
    """
    way, above = _flow(elevation, size, reach)
    out = np.empty(np.shape(slope), dtype=np.float32)
    margin = reach + 1
    widths, heights = quantise(size.x, step), quantise(size.y, step)
    degrees = np.ascontiguousarray(slope, dtype=np.float32)
    first = 0
    while first < out.shape[0]:
        x, y = widths[first + margin], heights[first + margin]
        last = first + 1
        while last < out.shape[0] and widths[last + margin] == x and heights[last + margin] == y:
            last += 1
        table = _table(float(x), float(y), reach, maximum)
        compiled(_look_up)(
            table, way[first:], above[first:], degrees[first:last], way.shape[1], margin, out[first:last]
        )
        first = last
    return out


@dataclass(frozen=True)
class UpslopeLS:
    """LS of a block with the slope above each cell; a source of a block run."""

    maximum: float
    step: float
    reach: int

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, NaN = no value."""
        row, _, height, _ = block.window
        t = block.terrain
        halo = self.reach + 1
        size = cell_size(t.north, t.cell_height, t.cell_width, row - halo, height + 2 * halo)
        return ls_upslope(block.around(halo), block.slope, size, reach=self.reach, maximum=self.maximum, step=self.step)


def upslope_source(
    rule: SlopeLengthRule, *, north: float, south: float, cell_height: float, cell_width: float
) -> UpslopeLS | None:
    """The source of LS of a run on a grid, or None where no cell above can count (cells longer than the greatest slope).

    Parameters
    ----------
    north, south, cell_height, cell_width : float, degrees
    """
    height, width = round(cell_height, 10), round(cell_width, 10)
    x, y = metres_per_degree(np.array([north, south]))
    reach = upslope_reach(rule.maximum, float(x.min()) * width - rule.step, float(y.min()) * height - rule.step)
    return UpslopeLS(rule.maximum, rule.step, reach) if rule.method == "upslope" and reach else None
