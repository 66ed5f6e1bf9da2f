"""Water lost and gained at equal level (等水位消失与恢复): candidates of reclamation (围垦) and of land given back (退垸还湖).

Each cell remembers the lowest levels at which it was seen wet and the highest at which it was seen dry. On a date whose level
lies above the former and the latter, water is due; two looks in a row that find the cell dry make it a candidate, water seen
twice afterwards takes it back. Drawdown is no loss, cloud is no look, and a date whose level is unknown decides nothing.

A gain is the same in the mirror: land that was dry at this level or higher before, and now stays wet. Wet and dry change
places and levels change their sign.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.terrain import metres_per_degree
from analyses.water.bodies.delineation import WaterBodies
from analyses.water.bodies.geohash import geohash
from analyses.water.bodies.rules import LossRule, WaterBodyRules
from analyses.water.bodies.runs import label_runs, paint, polygons, strip_runs
from analyses.water.occurrence.stack import ClassStack, Observation, read_observation, windows_of
from spatial.catalog import Text
from spatial.compiled import compiled
from spatial.errors import InvalidParameter
from spatial.grid import cell_areas

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

__all__ = ["BASES", "Losses", "body_changes", "missing_water"]

BLOCK = 512
BASES: dict[str, Text] = {
    "gauge": Text(zh="按水位站水位比较", en="levels of the gauge"),
    "level_index": Text(zh="按影像水位指数比较", en="level index of the scenes"),
}
"""How dates were matched by level."""
COLUMNS = (
    "id", "body_id", "area_m2", "last_wet", "first_missed", "confirmed", "looks", "basis", "before", "after",
)  # fmt: skip


@dataclass(frozen=True)
class Losses:
    """Losses, or gains, inside one body."""

    frame: gpd.GeoDataFrame
    """Columns `COLUMNS`, geometry EPSG:4490: ``last_wet`` the last day of the old state (of a gain: the last dry one),
    ``before`` and ``after`` the last clear day of the old and the first clear confirmed day of the new state."""
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
    codes: Any, mirror: bool, inside: Any, low: float, high: float, day: int, ordinals: Any, margin: float,
    steady_margin: float, warm_up: int,
    steady: int, wet_before: int, dry_at: int, confirm: int, least_days: int, seen: Any, dried: Any, wet_at: Any,
    dry_over: Any, pending: Any, streak: Any, back: Any, last_wet: Any, missed: Any, confirmed: Any,
) -> None:  # fmt: skip
    """One date: `low` and `high` bound its level; NaN = unknown, then only the looks are counted.

    With `mirror` dry cells are taken for wet ones and wet ones for dry; the levels come with their sign changed.
    """
    known = low == low
    for r in range(codes.shape[0]):
        for c in range(codes.shape[1]):
            code = codes[r, c]
            if not inside[r, c] or code >= 250:
                continue
            if (code == 1 or code == 2) != mirror:
                if confirmed[r, c] >= 0:
                    back[r, c] += 1
                    if back[r, c] < confirm:
                        continue
                    confirmed[r, c] = -1
                if streak[r, c] > 0:
                    # What looked like a loss was an ordinary dry spell at that level.
                    dried[r, c] = True
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
                if streak[r, c] == 0:
                    dried[r, c] = True
                continue
            # A cell that was never seen dry needs fewer looks than one that comes and goes.
            enough = seen[r, c] > warm_up or (not dried[r, c] and seen[r, c] > steady)
            apart = margin if dried[r, c] else steady_margin
            due = enough and low >= wet_at[r, c, wet_before - 1] + apart and low > dry_over[r, c, dry_at - 1]
            if due:
                if streak[r, c] == 0:
                    missed[r, c] = day
                if streak[r, c] < 200:
                    streak[r, c] += 1
                pending[r, c] = max(pending[r, c], np.float32(low))
                long_enough = ordinals[day] - ordinals[missed[r, c]] >= least_days
                if confirmed[r, c] < 0 and streak[r, c] >= confirm and long_enough:
                    confirmed[r, c] = day
            elif streak[r, c] == 0:
                dried[r, c] = True
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

    @classmethod
    def none(cls, shape: tuple[int, int]) -> _Missing:
        """No cell changed."""
        confirmed, missed, last_wet = (np.full(shape, -1, np.int32) for _ in range(3))
        return cls(confirmed, missed, last_wet, np.zeros(shape, np.uint8))


class _State:
    """What the cells of a window remember; `mirror` = gains."""

    def __init__(self, shape: tuple[int, int], rule: LossRule, *, mirror: bool, margins: tuple[float, float]) -> None:
        self.rule, self.mirror, self.margins = rule, mirror, margins
        self.seen, self.dried = np.zeros(shape, np.uint16), np.zeros(shape, np.bool_)
        self.wet_at = np.full((*shape, 3), np.inf, np.float32)
        self.dry_over = np.full((*shape, 2), -np.inf, np.float32)
        self.pending = np.full(shape, -np.inf, np.float32)
        self.streak, self.back = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
        self.last_wet, self.missed, self.confirmed = (np.full(shape, -1, np.int32) for _ in range(3))

    def look(
        self,
        codes: NDArray[np.uint8],
        inside: NDArray[np.bool_],
        level: tuple[float, float],
        day: int,
        ordinals: NDArray[np.int64],
    ) -> None:
        low, high = (-level[1], -level[0]) if self.mirror else level
        rule = self.rule
        compiled(_look)(
            codes, self.mirror, inside, low, high, day, ordinals, *self.margins, rule.warm_up, rule.steady, rule.wet_before,
            rule.dry_at_level, rule.confirmations, rule.least_days, self.seen, self.dried, self.wet_at, self.dry_over,
            self.pending, self.streak, self.back, self.last_wet, self.missed, self.confirmed,
        )  # fmt: skip

    def found(self) -> _Missing:
        return _Missing(self.confirmed, self.missed, self.last_wet, self.streak)


def missing_water(
    stack: ClassStack,
    days: Sequence[Observation],
    window: tuple[int, int, int, int],
    inside: NDArray[np.bool_],
    levels: tuple[NDArray[np.float64], NDArray[np.float64]],
    rules: Sequence[tuple[LossRule, bool, tuple[float, float]]],
) -> list[_Missing]:
    """Cells of a window that have changed at the end, by index of the date (−1 = none); one pass in the order of time.

    Parameters
    ----------
    inside : bool (height, width)
        Cells of the body.
    levels : (low, high), float (dates,)
        Bounds of the level: metres of a gauge (low = high) or the level index; NaN = unknown.
    rules : (rule, whether gains are looked for, margins of the level)
        One result each; margins of cells that come and go, and of cells that were always wet.
    """
    row, col, height, width = window
    states = [_State((height, width), rule, mirror=mirror, margins=margins) for rule, mirror, margins in rules]
    ordinals = np.array([day.day.toordinal() for day in days], dtype=np.int64)
    for t, day in enumerate(days):
        codes = np.ascontiguousarray(read_observation(stack, day, row, col, height, width)[0])
        for state in states:
            state.look(codes, inside, (float(levels[0][t]), float(levels[1][t])), t, ordinals)
    return [state.found() for state in states]


def body_changes(
    stack: ClassStack,
    bodies: WaterBodies,
    number: int,
    days: Sequence[Observation],
    rules: WaterBodyRules,
    *,
    level_index: tuple[NDArray[np.float64], NDArray[np.float64]],
    gauge_m: NDArray[np.float64] | None = None,
    block: int = BLOCK,
) -> tuple[Losses, Losses]:
    """Parts of a body that are dry at a level at which they were wet before and stay so (围垦候选), and the reverse (退垸还湖).

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
    losses, gains : Losses
        Polygons of at least ``least_area_m2`` after strips thinner than the opening are dropped: a misplaced shore line is a
        strip. ``confirmed`` is the day on which the confirmed cells of the polygon reached the least area.

    Raises
    ------
    InvalidParameter
        Levels and dates differ in number.
    """
    levels = level_index if gauge_m is None else (np.asarray(gauge_m, float), np.asarray(gauge_m, float))
    if any(len(side) != len(days) for side in levels):
        raise InvalidParameter(
            f"水位 {len(levels[0])} 个、日期 {len(days)} 个，应一一对应",
            f"{len(levels[0])} levels and {len(days)} dates; one each is needed",
            parameter="gauge_m" if gauge_m is not None else "level_index",
        )
    asked = [
        (
            rule,
            mirror,
            (rule.level_margin, rule.steady_margin) if gauge_m is None else (rule.gauge_margin_m, rule.gauge_margin_m),
        )
        for rule, mirror in ((rules.loss, False), (rules.gain, True))
    ]
    window = bodies.window(number)
    top, left, height, width = window
    whole = [_Missing.none((height, width)) for _ in asked]
    inside = bodies.paint(*window) == number + 1
    for r, c, h, w in windows_of((bodies.grid.shape.y, bodies.grid.shape.x), top, left, height, width, block):
        cut = (slice(r - top, r - top + h), slice(c - left, c - left + w))
        if not inside[cut].any():
            continue
        found = missing_water(stack, days, (r, c, h, w), np.ascontiguousarray(inside[cut]), levels, asked)
        for into, part in zip(whole, found, strict=True):
            into.confirmed[cut], into.missed[cut], into.last_wet[cut], into.looks[cut] = (
                part.confirmed,
                part.missed,
                part.last_wet,
                part.looks,
            )
    compared = int(np.isfinite(levels[0]).sum())
    basis = "gauge" if gauge_m is not None else "level_index"
    losses, gains = (
        _polygons(stack, bodies, number, days, rules, asked[k][0], part, inside, (basis, compared, asked[k][1]))
        for k, part in enumerate(whole)
    )
    return losses, gains


def _polygons(
    stack: ClassStack,
    bodies: WaterBodies,
    number: int,
    days: Sequence[Observation],
    rules: WaterBodyRules,
    rule: LossRule,
    found: _Missing,
    inside: NDArray[np.bool_],
    told: tuple[str, int, bool],
) -> Losses:
    """Changed cells as polygons with their dates; `told` = basis, dates compared, whether gains."""
    import geopandas as gpd
    import shapely
    from scipy import ndimage

    basis, compared, mirror = told
    window = bodies.window(number)
    top, left, height, width = window
    lost = found.confirmed >= 0
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
    numbers = paint(chosen, label[label > 0], 0, 0, height, width)

    def dates(mine: NDArray[np.bool_]) -> tuple[int, int]:
        """First missed and confirming date of a polygon's own cells."""
        at = np.argwhere(mine)
        order = np.argsort(found.confirmed[mine], kind="stable")
        reached = np.cumsum(areas[at[order, 0]])
        # Part of the polygon came from closing holes: its own cells may fall short of the least area by them.
        first = int(np.searchsorted(reached, min(rule.least_area_m2, reached[-1])))
        return _middle(found.missed[mine]), int(found.confirmed[mine][order[first]])

    # Parts of one change that a cloud of an earlier date kept apart: they have the same dates and lie near each other.
    group = _joined(
        list(shapes), [dates((numbers == k) & (found.confirmed >= 0)) for k in range(1, keep.size + 1)], rule.join_m
    )
    numbers = np.concatenate([[0], group])[numbers] if keep.size else numbers
    rows = []
    joined = [shapely.union_all(shapes[group == k]) for k in range(1, int(group.max(initial=0)) + 1)]
    for k, shape in enumerate(joined, start=1):
        mine = (numbers == k) & (found.confirmed >= 0)
        missed, confirmed = dates(mine)
        before, after = _clear_looks(
            stack, days, (top, left), numbers == k, (missed, confirmed), mirror, rules.series.observed_share
        )
        point = shape.representative_point()
        rows.append(
            {
                "id": geohash(point.x, point.y, rules.lineage.geohash_length)[0],
                "body_id": str(bodies.frame["id"].iloc[number]),
                "area_m2": float(sizes[keep[group == k]].sum()),
                "last_wet": days[_middle(found.last_wet[mine])].day,
                "first_missed": days[missed].day,
                "confirmed": days[confirmed].day,
                "looks": _middle(found.looks[mine]),
                "basis": basis,
                "before": None if before is None else days[before].day,
                "after": days[after].day,
            }
        )
    frame = gpd.GeoDataFrame(
        {name: [row[name] for row in rows] for name in COLUMNS}, geometry=joined, crs=bodies.frame.crs
    )
    return Losses(frame, window, np.ascontiguousarray(numbers.astype(np.uint8)), compared)


def _joined(shapes: Sequence[Any], dates: Sequence[tuple[int, int]], reach_m: float) -> NDArray[np.int64]:
    """Number of the group of each polygon, from 1 on: polygons of the same dates no farther apart than `reach_m`.

    >>> import shapely
    >>> parts = [shapely.box(0, 30, 0.001, 30.001), shapely.box(0.002, 30, 0.003, 30.001), shapely.box(1, 30, 2, 31)]
    >>> _joined(parts, [(3, 5)] * 3, 200.0).tolist(), _joined(parts, [(3, 5), (3, 6), (3, 5)], 200.0).tolist()
    ([1, 1, 2], [1, 2, 3])
    """
    import shapely

    group = np.arange(len(shapes))
    if len(shapes) > 1:
        per_x, per_y = metres_per_degree(np.array([shapely.get_y(shapely.centroid(shapes[0]))]))
        metric = shapely.transform(np.array(shapes, dtype=object), lambda xy: xy * [per_x[0], per_y[0]])
        left, right = shapely.STRtree(metric).query(metric, predicate="dwithin", distance=reach_m)
        for i, j in zip(left.tolist(), right.tolist(), strict=True):
            if i < j and dates[i] == dates[j]:
                group[group == group[j]] = group[i]
    return np.unique(group, return_inverse=True)[1].astype(np.int64) + 1


def _middle(values: NDArray[Any]) -> int:
    """The lower median: one of the values, never between two dates.

    >>> _middle(np.array([3, 9, 1, 9]))
    3
    """
    return int(np.sort(values, axis=None)[(values.size - 1) // 2])


def _clear_looks(
    stack: ClassStack,
    days: Sequence[Observation],
    corner: tuple[int, int],
    cells: NDArray[np.bool_],
    dates: tuple[int, int],
    mirror: bool,
    least: float,
) -> tuple[int | None, int]:
    """The last clear date that shows the old state, and the first confirmed clear one that shows the new.

    Parameters
    ----------
    cells : bool
        Cells of the polygon, from `corner` on.
    dates : (first, confirmed)
        Indices of the first date of the new state and of the one that confirmed it.
    least : share of the polygon that a clear look has seen; where no date reaches it, the best seen one is taken
    """
    rows, cols = np.nonzero(cells)
    r0, r1, c0, c1 = int(rows.min()), int(rows.max()) + 1, int(cols.min()), int(cols.max()) + 1
    mine = cells[r0:r1, c0:c1]

    def look(t: int) -> tuple[float, bool]:
        codes, _ = read_observation(stack, days[t], corner[0] + r0, corner[1] + c0, r1 - r0, c1 - c0)
        of_mine = codes[mine]
        clear = int((of_mine < 250).sum())
        wet = int(((of_mine == 1) | (of_mine == 2)).sum())
        return clear / of_mine.size, clear > 0 and (2 * wet >= clear) != mirror

    def pick(order: Sequence[int], old: bool) -> int | None:
        best, most = None, 0.0
        for t in order:
            seen, is_old = look(t)
            if is_old != old or seen <= most:
                continue
            best, most = t, seen
            if seen >= least:
                break
        return best

    before = pick(range(dates[0] - 1, -1, -1), True)
    after = pick(range(dates[1], len(days)), False)
    return before, dates[1] if after is None else after
