"""Water lost at equal level (等水位消失, 围垦候选): cells that were wet at this level or lower before, and now stay dry.

Each cell remembers the lowest levels at which it was seen wet and the highest at which it was seen dry. On a date whose level
lies above the former and the latter, water is due; two looks in a row that find the cell dry make it a candidate, water seen
twice afterwards takes it back. Drawdown is no loss, cloud is no look, and a date whose level is unknown decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.delineation import WaterBodies
from analyses.water.bodies.geohash import geohash
from analyses.water.bodies.rules import LossRule, WaterBodyRules
from analyses.water.bodies.runs import label_runs, paint, polygons, strip_runs
from analyses.water.occurrence.stack import ClassStack, Observation, read_observation, windows_of
from spatial.compiled import compiled
from spatial.errors import InvalidParameter
from spatial.grid import cell_areas

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

__all__ = ["Losses", "body_losses", "missing_water"]

BLOCK = 512


@dataclass(frozen=True)
class Losses:
    """Losses inside one body."""

    frame: gpd.GeoDataFrame
    """``id, body_id, area_m2, last_wet, first_missed, confirmed, looks, basis``, geometry EPSG:4490."""
    window: tuple[int, int, int, int]
    cells: NDArray[np.uint8]
    """Number of the loss (1 … 255) by cell of the window, for `body_series.count_bodies` (``changed``)."""
    compared: int
    """Dates whose level was known, so that they could be compared."""

    def band(self, row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
        """Loss of each cell of any window of the grid."""
        out = np.zeros((height, width), np.uint8)
        top, left, high, wide = self.window
        r0, r1 = max(top, row), min(top + high, row + height)
        c0, c1 = max(left, col), min(left + wide, col + width)
        if r0 < r1 and c0 < c1:
            out[r0 - row : r1 - row, c0 - col : c1 - col] = self.cells[r0 - top : r1 - top, c0 - left : c1 - left]
        return out


def _look(
    codes: Any, inside: Any, low: float, high: float, day: int, margin: float, warm_up: int, wet_before: int, dry_at: int,
    confirm: int, seen: Any, wet_at: Any, dry_over: Any, pending: Any, streak: Any, back: Any, last_wet: Any, missed: Any,
    confirmed: Any,
) -> None:  # fmt: skip
    """One date: `low` and `high` bound its level; NaN = unknown, then only the looks are counted."""
    known = low == low
    for r in range(codes.shape[0]):
        for c in range(codes.shape[1]):
            code = codes[r, c]
            if not inside[r, c] or code >= 250:
                continue
            if code == 1 or code == 2:
                if confirmed[r, c] >= 0:
                    back[r, c] += 1
                    if back[r, c] < confirm:
                        continue
                    confirmed[r, c] = -1
                if streak[r, c] > 0:
                    # What looked like a loss was an ordinary dry spell at that level.
                    if pending[r, c] > dry_over[r, c, 0]:
                        dry_over[r, c, 1] = dry_over[r, c, 0]
                        dry_over[r, c, 0] = pending[r, c]
                    elif pending[r, c] > dry_over[r, c, 1]:
                        dry_over[r, c, 1] = pending[r, c]
                streak[r, c] = 0
                back[r, c] = 0
                pending[r, c] = -np.inf
                last_wet[r, c] = day
                seen[r, c] += 1
                if known:
                    level = np.float32(high)
                    for i in range(3):
                        if level < wet_at[r, c, i]:
                            kept = wet_at[r, c, i]
                            wet_at[r, c, i] = level
                            level = kept
                continue
            back[r, c] = 0
            seen[r, c] += 1
            if not known:
                continue
            due = (
                seen[r, c] > warm_up
                and low >= wet_at[r, c, wet_before - 1] + margin
                and low > dry_over[r, c, dry_at - 1]
            )
            if due:
                if streak[r, c] == 0:
                    missed[r, c] = day
                if streak[r, c] < 200:
                    streak[r, c] += 1
                pending[r, c] = max(pending[r, c], np.float32(low))
                if streak[r, c] == confirm:
                    confirmed[r, c] = day
            elif streak[r, c] == 0:
                level = np.float32(low)
                if level > dry_over[r, c, 0]:
                    dry_over[r, c, 1] = dry_over[r, c, 0]
                    dry_over[r, c, 0] = level
                elif level > dry_over[r, c, 1]:
                    dry_over[r, c, 1] = level


@dataclass(frozen=True, slots=True)
class _Missing:
    confirmed: NDArray[np.int32]
    missed: NDArray[np.int32]
    last_wet: NDArray[np.int32]
    looks: NDArray[np.uint8]


def missing_water(
    stack: ClassStack,
    days: Sequence[Observation],
    window: tuple[int, int, int, int],
    inside: NDArray[np.bool_],
    levels: tuple[NDArray[np.float64], NDArray[np.float64]],
    rule: LossRule,
    *,
    margin: float,
) -> _Missing:
    """Cells of a window that are missing at the end, by index of the date (−1 = none); one pass in the order of time.

    Parameters
    ----------
    inside : bool (height, width)
        Cells of the body.
    levels : (low, high), float (dates,)
        Bounds of the level: metres of a gauge (low = high) or the level index; NaN = unknown.
    """
    row, col, height, width = window
    shape = (height, width)
    seen = np.zeros(shape, np.uint16)
    wet_at, dry_over = np.full((*shape, 3), np.inf, np.float32), np.full((*shape, 2), -np.inf, np.float32)
    pending = np.full(shape, -np.inf, np.float32)
    streak, back = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    last_wet, missed, confirmed = (np.full(shape, -1, np.int32) for _ in range(3))
    for t, day in enumerate(days):
        codes, _ = read_observation(stack, day, row, col, height, width)
        compiled(_look)(
            np.ascontiguousarray(codes), inside, float(levels[0][t]), float(levels[1][t]), t, margin, rule.warm_up,
            rule.wet_before, rule.dry_at_level, rule.confirmations, seen, wet_at, dry_over, pending, streak, back, last_wet,
            missed, confirmed,
        )  # fmt: skip
    return _Missing(confirmed, missed, last_wet, streak)


def body_losses(
    stack: ClassStack,
    bodies: WaterBodies,
    number: int,
    days: Sequence[Observation],
    rules: WaterBodyRules,
    *,
    level_index: tuple[NDArray[np.float64], NDArray[np.float64]],
    gauge_m: NDArray[np.float64] | None = None,
    block: int = BLOCK,
) -> Losses:
    """Parts of a body that are dry at a level at which they were wet before, and stay so (围垦候选).

    Parameters
    ----------
    number : row of ``bodies.frame``
    days : observations of the stack in order of time
    level_index : (low, high)
        Of every date (`gap_filling.level_index`); used where there is no gauge.
    gauge_m : float (dates,), optional
        Level of a gauge, m, one datum; NaN = no reading. With it dates are matched by it alone.

    Returns
    -------
    Losses
        Polygons of at least ``least_area_m2`` after strips thinner than the opening are dropped: a misplaced shore line is a
        strip. ``confirmed`` is the day on which the confirmed cells of the polygon reached the least area.

    Raises
    ------
    InvalidParameter
        Levels and dates differ in number.
    """
    import geopandas as gpd
    from scipy import ndimage

    rule = rules.loss
    levels = level_index if gauge_m is None else (np.asarray(gauge_m, float), np.asarray(gauge_m, float))
    if any(len(side) != len(days) for side in levels):
        raise InvalidParameter(
            f"水位 {len(levels[0])} 个、日期 {len(days)} 个，应一一对应",
            f"{len(levels[0])} levels and {len(days)} dates; one each is needed",
            parameter="gauge_m" if gauge_m is not None else "level_index",
        )
    margin = rule.level_margin if gauge_m is None else rule.gauge_margin_m
    window = bodies.window(number)
    top, left, height, width = window
    confirmed, missed, last_wet = (np.full((height, width), -1, np.int32) for _ in range(3))
    looks = np.zeros((height, width), np.uint8)
    inside = bodies.paint(*window) == number + 1
    for r, c, h, w in windows_of((bodies.grid.shape.y, bodies.grid.shape.x), top, left, height, width, block):
        cut = (slice(r - top, r - top + h), slice(c - left, c - left + w))
        if not inside[cut].any():
            continue
        found = missing_water(stack, days, (r, c, h, w), np.ascontiguousarray(inside[cut]), levels, rule, margin=margin)
        confirmed[cut], missed[cut], last_wet[cut], looks[cut] = (
            found.confirmed,
            found.missed,
            found.last_wet,
            found.looks,
        )

    lost = confirmed >= 0
    if rule.opening_cells and lost.any():
        square = np.ones((2 * rule.opening_cells + 1,) * 2, bool)
        # A hole of a cell or two is noise of the map: the majority of the nine closes it.
        count = ndimage.uniform_filter(lost.astype(np.float32), 3, mode="constant") * 9
        lost = ndimage.binary_opening(np.pad((lost | (count > 4.5)) & inside, 1), square)[1:-1, 1:-1]
    runs = strip_runs(lost.astype(np.uint8))
    label, count_ = label_runs(runs)
    areas = cell_areas(bodies.grid)[top : top + height]
    sizes = np.bincount(label, weights=(runs.end - runs.start) * areas[runs.row], minlength=count_ + 1)[1:]
    keep = np.flatnonzero(sizes >= rule.least_area_m2)
    keep = np.sort(keep[np.argsort(-sizes[keep], kind="stable")][:255])
    renumber = np.zeros(count_ + 1, np.int32)
    renumber[keep + 1] = np.arange(1, keep.size + 1)
    label = renumber[label]
    a, _, x0, _, e, y0 = tuple(bodies.grid.affine)[:6]
    chosen = runs.take(label > 0)
    shapes = polygons(chosen, label[label > 0], keep.size, (a, 0.0, x0 + left * a, 0.0, e, y0 + top * e))
    cells = np.zeros((height, width), np.uint8)
    rows = []
    numbers = paint(chosen, label[label > 0], 0, 0, height, width)
    cells[:] = numbers
    for k, shape in enumerate(shapes, start=1):
        mine = (numbers == k) & (confirmed >= 0)
        at = np.argwhere(mine)
        order = np.argsort(confirmed[mine], kind="stable")
        reached = np.cumsum(areas[at[order, 0]])
        # Part of the polygon came from closing holes: its own cells may fall short of the least area by them.
        first = int(np.searchsorted(reached, min(rule.least_area_m2, reached[-1])))
        point = shape.representative_point()
        rows.append(
            {
                "id": geohash(point.x, point.y, rules.lineage.geohash_length)[0],
                "body_id": str(bodies.frame["id"].iloc[number]),
                "area_m2": float(sizes[keep[k - 1]]),
                "last_wet": days[int(np.median(last_wet[mine]))].day,
                "first_missed": days[int(np.median(missed[mine]))].day,
                "confirmed": days[int(confirmed[mine][order[first]])].day,
                "looks": int(np.median(looks[mine])),
                "basis": "gauge" if gauge_m is not None else "level_index",
            }
        )
    columns = ["id", "body_id", "area_m2", "last_wet", "first_missed", "confirmed", "looks", "basis"]
    frame = gpd.GeoDataFrame(
        {name: [row[name] for row in rows] for name in columns}, geometry=list(shapes), crs=bodies.frame.crs
    )
    return Losses(frame, window, cells, int(np.isfinite(levels[0]).sum()))
