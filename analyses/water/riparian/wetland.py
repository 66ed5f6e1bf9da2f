"""Wetland cells of two periods (两期湿地) out of scenes at equal level and season: pairs, kinds, interval, patches of change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spatial.catalog import Text

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from analyses.water.riparian.rules import ChangeRule, KindRule, MatchRule

__all__ = [
    "KINDS",
    "MUDFLAT",
    "NOT_WETLAND",
    "OPEN_WATER",
    "PLANTS",
    "UNKNOWN",
    "UNKNOWN_KIND",
    "Pair",
    "Verdict",
    "change_cells",
    "connected_wetland",
    "judge",
    "match_scenes",
    "wetland_kinds",
]

UNKNOWN, NOT_WETLAND, OPEN_WATER, PLANTS, MUDFLAT, UNKNOWN_KIND = range(6)
KINDS: dict[int, Text] = {
    NOT_WETLAND: Text(zh="非湿地", en="not wetland"),
    OPEN_WATER: Text(zh="开敞水面", en="open water"),
    PLANTS: Text(zh="水生、湿生植被", en="aquatic and emergent plants"),
    MUDFLAT: Text(zh="泥滩", en="mudflat"),
    UNKNOWN_KIND: Text(zh="湿地（类型未知）", en="wetland, kind unknown"),
}
"""Codes of the kinds (湿地类型); 0 is not known."""


@dataclass(frozen=True)
class Pair:
    """Two scenes that may be compared."""

    before: int
    after: int
    basis: Literal["level", "season"]
    level_difference_m: float | None
    season_days: float


def _season(a: datetime, b: datetime) -> float:
    """Days of the year between two dates, 0–183.

    >>> _season(datetime(2020, 12, 31), datetime(2022, 1, 2)) < 3
    True
    """
    apart = abs(a.timetuple().tm_yday - b.timetuple().tm_yday)
    return float(min(apart, 366 - apart))


def match_scenes(
    before: Sequence[datetime],
    after: Sequence[datetime],
    before_m: ArrayLike | None,
    after_m: ArrayLike | None,
    rule: MatchRule,
) -> list[Pair]:
    """Pair scenes of two periods at equal level, or where no level is known at equal season (等水位、同季节配对).

    Each scene is used once; as many pairs as possible, among those the ones with the least differences.

    Parameters
    ----------
    before, after : times with zone
    before_m, after_m : float, optional
        Levels, one datum; NaN = unknown.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> rule = SimpleNamespace(window_days=30, level_m=0.3, level_days=60)
    >>> days = [datetime(2015, 1, 5), datetime(2015, 7, 5)]
    >>> later = [datetime(2020, 7, 20), datetime(2020, 10, 5)]
    >>> [(p.before, p.after, p.basis) for p in match_scenes(days, later, None, None, rule)]
    [(1, 0, 'season')]
    >>> match_scenes(days, later, [20.0, 21.0], [22.0, 20.0], rule)  # same season, but a metre apart
    []
    """
    from scipy.optimize import linear_sum_assignment

    if not before or not after:
        return []
    one = np.full(len(before), np.nan) if before_m is None else np.asarray(before_m, dtype=np.float64)
    two = np.full(len(after), np.nan) if after_m is None else np.asarray(after_m, dtype=np.float64)
    never = 1e6
    cost = np.full((len(before), len(after)), never)
    for i, first in enumerate(before):
        for j, second in enumerate(after):
            days = _season(first, second)
            apart = abs(one[i] - two[j])
            if np.isfinite(apart):
                if apart <= rule.level_m and days <= rule.level_days:
                    cost[i, j] = apart / rule.level_m + days / rule.level_days
            elif days <= rule.window_days:
                cost[i, j] = 1.0 + days / rule.window_days
    rows, cols = linear_sum_assignment(cost)
    found = []
    for i, j in zip(rows.tolist(), cols.tolist(), strict=True):
        if cost[i, j] < never:
            apart = abs(one[i] - two[j])
            known = bool(np.isfinite(apart))
            found.append(
                Pair(
                    i, j, "level" if known else "season", round(float(apart), 3) if known else None,
                    _season(before[i], after[j]),
                )
            )  # fmt: skip
    return found


def wetland_kinds(
    looks: NDArray[Any],
    wet: NDArray[Any],
    open_water: NDArray[Any],
    greenest: NDArray[np.float32],
    rule: KindRule,
    *,
    least_looks: int,
) -> NDArray[np.uint8]:
    """Kind of each cell (湿地类型判别) of one period.

    Open water: water in at least ``open_share`` of the looks. Wetland of another kind: water or partial water in at least
    ``wet_share``; plants where the greatest NDVI of a dry look reaches ``plant_ndvi``, else mudflat.

    Parameters
    ----------
    looks, wet, open_water : int (rows, cols)
        Looks; those with water or partial water (codes 1–3 of a water map); those with water (1, 2).
    greenest : float32
        Greatest NDVI of looks without water, NaN = none.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> rule = SimpleNamespace(open_share=0.75, wet_share=0.1, plant_ndvi=0.3)
    >>> n = np.array([[4, 4, 4, 4, 1]])
    >>> kinds = wetland_kinds(
    ...     n,
    ...     np.array([[4, 2, 2, 0, 1]]),
    ...     np.array([[3, 2, 2, 0, 1]]),
    ...     np.float32([[0.1, 0.6, 0.1, 0.7, 0]]),
    ...     rule,
    ...     least_looks=2,
    ... )
    >>> kinds.tolist()  # open water, plants, mudflat, not wetland, seen too seldom
    [[2, 3, 4, 1, 0]]
    """
    seen = np.maximum(looks, 1)
    is_open = open_water / seen >= rule.open_share
    is_wet = wet / seen >= rule.wet_share
    with np.errstate(invalid="ignore"):
        plants = greenest >= rule.plant_ndvi
    kind = np.where(is_open, OPEN_WATER, np.where(is_wet, np.where(plants, PLANTS, MUDFLAT), NOT_WETLAND))
    return np.where(looks >= least_looks, kind, UNKNOWN).astype(np.uint8)


def connected_wetland(
    kinds: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    cell_m2: NDArray[np.float64],
    least_m2: float,
    other: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Drop what lies outside the listed outline and is no part of the wetland: fields under water, ponds (去除圩外水田与鱼塘).

    Outside, a cell stays wetland if its patch reaches into the outline; or if its patch of open water is at least `least_m2`
    and for the greater part was no open water in the `other` period: land given back, or lost. Ponds that were there in both
    periods are dropped from both.

    Parameters
    ----------
    kinds : uint8 (rows, cols), codes of `KINDS`
    inside : bool, cells of the outline
    cell_m2 : float (rows,)
    other : uint8 (rows, cols), optional
        The other period; without it no open water outside stays that is not joined to the wetland.
    """
    from scipy import ndimage

    square = np.ones((3, 3), dtype=int)
    wetland = kinds >= OPEN_WATER
    labels, count = ndimage.label(wetland, structure=square)
    reaching = np.zeros(count + 1, dtype=bool)
    reaching[np.unique(labels[inside & wetland])] = True
    reaching[0] = False
    keep = reaching[labels]
    if other is not None:
        ponds, number = ndimage.label((kinds == OPEN_WATER) & ~keep, structure=square)
        weight = np.repeat(cell_m2, kinds.shape[1])
        area = np.bincount(ponds.ravel(), weights=weight, minlength=number + 1)
        standing = np.bincount(ponds.ravel(), weights=weight * (other == OPEN_WATER).ravel(), minlength=number + 1)
        changed = (area >= least_m2) & (standing < 0.5 * area)
        changed[0] = False
        keep |= changed[ponds]
    return np.where(wetland & ~keep, np.uint8(NOT_WETLAND), kinds)


@dataclass(frozen=True)
class Verdict:
    """Whether the area changed (面积是否减少)."""

    code: Literal["reduced", "stable", "increased", "undetermined"]
    change: float | None
    """Relative change of the area, (now − baseline) / baseline."""
    low: float | None
    high: float | None
    """Least and greatest change when any one pair is left out."""
    reason: Text | None = None


def judge(baseline_m2: float, now_m2: float, left_out: Sequence[tuple[float, float]], rule: ChangeRule) -> Verdict:
    """Judge the change of an area by its size and by the interval of leaving pairs out.

    Parameters
    ----------
    baseline_m2, now_m2 : float
    left_out : sequence of (baseline, now)
        Areas with one pair less each.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> rule = SimpleNamespace(tolerance=0.02, steady=0.05)
    >>> judge(100.0, 90.0, [(100.0, 91.0), (99.0, 89.0)], rule).code
    'reduced'
    >>> judge(100.0, 90.0, [(100.0, 91.0), (99.0, 101.0)], rule).code
    'undetermined'
    >>> judge(100.0, 101.0, [(100.0, 100.5)], rule).code
    'stable'
    """
    if baseline_m2 <= 0:
        return Verdict("undetermined", None, None, None, Text(zh="基期没有湿地", en="no wetland in the baseline"))
    change = now_m2 / baseline_m2 - 1
    others = [now / base - 1 for base, now in left_out if base > 0]
    low, high = min([change, *others]), max([change, *others])
    rounded = (round(change, 5), round(low, 5), round(high, 5))
    # Rounded: 98 of 100 is a change of 2 %, whatever the last bit of the division says.
    if abs(rounded[0]) <= rule.tolerance:
        if max(abs(rounded[1]), abs(rounded[2])) <= rule.steady:
            return Verdict("stable", *rounded)
        return Verdict(
            "undetermined",
            *rounded,
            Text(
                zh=f"变化不大，但逐对剔除的区间 {100 * low:.1f} % 至 {100 * high:.1f} % 超出 ±{100 * rule.steady:g} %，"
                "取决于个别影像",
                en=f"little change, but leaving pairs out gives {100 * low:.1f} % to {100 * high:.1f} %, beyond "
                f"±{100 * rule.steady:g} %: single scenes decide",
            ),
        )
    if low > 0:
        return Verdict("increased", *rounded)
    if high < 0:
        return Verdict("reduced", *rounded)
    return Verdict(
        "undetermined",
        *rounded,
        Text(
            zh=f"逐对剔除的区间 {100 * low:.1f} % 至 {100 * high:.1f} % 含零，变化取决于个别影像",
            en=f"leaving pairs out gives {100 * low:.1f} % to {100 * high:.1f} %, which includes zero: single scenes decide",
        ),
    )


def change_cells(
    before: NDArray[np.uint8], after: NDArray[np.uint8], opening: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Cells of loss and of gain (减少与增加), without strips narrower than 2 · `opening` + 1 cells.

    >>> before = np.full((3, 5), 2, np.uint8)
    >>> after = before.copy()
    >>> after[:, :3] = 1
    >>> loss, gain = change_cells(before, after, 1)
    >>> int(loss.sum()), int(gain.sum())
    (9, 0)
    """
    from scipy import ndimage

    known = (before != UNKNOWN) & (after != UNKNOWN)
    loss = known & (before >= OPEN_WATER) & (after == NOT_WETLAND)
    gain = known & (before == NOT_WETLAND) & (after >= OPEN_WATER)
    if opening:
        # A patch may end at the border of the window: what lies beyond is taken to go on.
        size = np.ones((2 * opening + 1,) * 2, dtype=bool)

        def opened(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
            core = ndimage.binary_erosion(cells, structure=size, border_value=1)
            return np.asarray(ndimage.binary_dilation(core, structure=size) & cells)

        loss, gain = opened(loss), opened(gain)
    return loss, gain
