"""Flood days (淹没天数): how many days of a series each cell stands under water."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["daily_maxima", "flood_days", "level_counts"]


def daily_maxima(
    times: Sequence[datetime], levels_m: NDArray[np.float64], zone: str = "Asia/Shanghai"
) -> list[tuple[str, float]]:
    """Highest level of each day (逐日最高水位) of the zone, in the order of the days.

    Examples
    --------
    >>> from datetime import UTC
    >>> daily_maxima([datetime(2024, 7, 1, 15, tzinfo=UTC), datetime(2024, 7, 1, 16, tzinfo=UTC)], np.array([1.0, 2.0]))
    [('2024-07-01', 1.0), ('2024-07-02', 2.0)]
    """
    from zoneinfo import ZoneInfo

    days: dict[str, float] = {}
    for time, level in zip(times, levels_m, strict=True):
        day = time.astimezone(ZoneInfo(zone)).date().isoformat()
        days[day] = max(days.get(day, -np.inf), float(level))
    return sorted(days.items())


def flood_days(
    levels: Sequence[float],
    wet_at: Callable[[float], NDArray[np.bool_]],
    shape: tuple[int, int],
    *,
    step_m: float = 0.01,
) -> NDArray[np.uint16]:
    """Days under water of each cell.

    Formula: D(x) = Σ over days [x is flooded at the day's level]. Equal levels (to `step_m`, rounded up) are mapped once.

    Parameters
    ----------
    levels : sequence of float, m
        One a day.
    wet_at : callable
        The flooded cells at a level, bool (rows, cols).

    Examples
    --------
    >>> z = np.array([[1.0, 2.0, 3.0]])
    >>> flood_days([1.5, 2.5, 2.5], lambda level: z <= level, z.shape).tolist()
    [[3, 2, 0]]
    """
    out = np.zeros(shape, np.uint16)
    for level, count in level_counts(levels, step_m=step_m):
        out += wet_at(level).astype(np.uint16) * np.uint16(count)
    return out


def level_counts(levels: Sequence[float], *, step_m: float = 0.01) -> list[tuple[float, int]]:
    """Levels that occur, to `step_m` and rounded up, from the lowest, and how often.

    Examples
    --------
    >>> level_counts([1.0, 2.5, 2.499])
    [(1.0, 1), (2.5, 2)]
    """
    rounded = np.ceil(np.round(np.asarray(levels, np.float64) / step_m, 6)).astype(np.int64)
    found = zip(*np.unique(rounded, return_counts=True), strict=True)
    return [(float(level) * step_m, int(count)) for level, count in found]
