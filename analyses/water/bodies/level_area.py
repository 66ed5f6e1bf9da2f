"""Level and area of a lake (水位—面积关系): the hypsometric curve, storage change, and change at equal level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.gap_filling import rising
from spatial.errors import InvalidParameter, OutsideExtent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

__all__ = ["EqualLevelChange", "LevelArea", "change_at_equal_level", "fit_level_area", "levels_on", "storage_change"]


@dataclass(frozen=True, slots=True)
class LevelArea:
    """A rising curve of area over level, in the range of the data (水位—面积曲线)."""

    level_m: NDArray[np.float64]
    """Knots, ascending."""
    area_m2: NDArray[np.float64]
    pairs: int
    residual_m2: float
    """Root mean square of the residuals of the pairs."""
    datum: str

    @property
    def range_m(self) -> tuple[float, float]:
        """Levels between which the curve holds."""
        return float(self.level_m[0]), float(self.level_m[-1])

    def area(self, level: NDArray[Any] | float) -> NDArray[np.float64]:
        """Area at a level, m²; NaN outside the range (nothing is extrapolated)."""
        level = np.asarray(level, dtype=np.float64)
        inside = (level >= self.level_m[0]) & (level <= self.level_m[-1])
        return np.where(inside, np.interp(level, self.level_m, self.area_m2), np.nan)


def levels_on(
    times: Sequence[datetime], gauge_times: Sequence[datetime], gauge_m: NDArray[Any], *, within_hours: float = 24.0
) -> NDArray[np.float64]:
    """Gauge level at each time (卫星过境时水位), linear between readings; NaN without a reading within `within_hours`.

    Raises
    ------
    InvalidParameter
        A time without zone, or readings and times of different number.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> days = [datetime(2024, 5, d, tzinfo=UTC) for d in (1, 3, 9)]
    >>> passes = [datetime(2024, 5, d, tzinfo=UTC) for d in (2, 6)]
    >>> levels_on(passes, days, np.array([20.0, 21.0, 24.0])).tolist()
    [20.5, nan]
    """
    if any(moment.tzinfo is None for moment in (*times, *gauge_times)):
        raise InvalidParameter("时间没有时区，请写明", "a time has no zone; state it", parameter="times")
    values = np.asarray(gauge_m, dtype=np.float64)
    if len(values) != len(gauge_times):
        raise InvalidParameter(
            f"水位 {len(values)} 个、时间 {len(gauge_times)} 个，应一一对应",
            f"{len(values)} readings and {len(gauge_times)} times; one each is needed",
            parameter="gauge_m",
        )
    known = np.isfinite(values)
    at = np.array([moment.timestamp() for moment in times], dtype=np.float64)
    read = np.array([moment.timestamp() for moment in gauge_times], dtype=np.float64)[known]
    values = values[known]
    if read.size == 0:
        return np.full(at.size, np.nan)
    order = np.argsort(read, kind="stable")
    read, values = read[order], values[order]
    after = np.clip(np.searchsorted(read, at), 0, read.size - 1)
    before = np.clip(np.searchsorted(read, at, side="right") - 1, 0, read.size - 1)
    limit = within_hours * 3600
    near = (np.abs(read[after] - at) <= limit) & (np.abs(read[before] - at) <= limit)
    return np.where(near, np.interp(at, read, values), np.nan)


def fit_level_area(level_m: NDArray[Any], area_m2: NDArray[Any], *, datum: str, step_m: float = 0.1) -> LevelArea:
    """Rising level–area curve from pairs (单调拟合): the means of levels of one step, by pooling adjacent violators.

    Parameters
    ----------
    level_m, area_m2 : (n,)
        Gauge level and observed area of the same dates; pairs with NaN are left out.
    datum : str
        Height datum of the levels (for example 吴淞, 1985). Levels of two datums must not be mixed.

    Raises
    ------
    InvalidParameter
        Fewer than three pairs, or no range of levels; no datum.

    Source: isotonic regression, Barlow et al. (1972); the relation is not one-to-one where a lake drains slowly (hysteresis),
    which the residual shows.

    Examples
    --------
    >>> curve = fit_level_area(np.array([20.0, 21.0, 22.0]), np.array([1e6, 3e6, 2.8e6]), datum="1985")
    >>> curve.area(np.array([20.5, 22.0, 23.0])).tolist(), curve.range_m
    ([1950000.0, 2900000.0, nan], (20.0, 22.0))
    """
    if not datum:
        raise InvalidParameter(
            "未给出水位基面，请写明（如 吴淞、1985）", "the datum of the levels is missing; state it", parameter="datum"
        )
    level, area = np.asarray(level_m, float), np.asarray(area_m2, float)
    good = np.isfinite(level) & np.isfinite(area)
    level, area = level[good], area[good]
    if level.size < 3 or np.ptp(level) < step_m:
        raise InvalidParameter(
            f"水位—面积数据只有 {level.size} 对、水位变幅 {np.ptp(level) if level.size else 0:.2f} m，不足以拟合",
            f"only {level.size} pairs of level and area over {np.ptp(level) if level.size else 0:.2f} m; too few to fit",
            parameter="level_m",
        )
    group = np.round((level - level.min()) / step_m).astype(int)
    weight = np.bincount(group)
    used = weight > 0
    knots = (np.bincount(group, level) / np.maximum(weight, 1))[used]
    means = (np.bincount(group, area) / np.maximum(weight, 1))[used]
    fitted = rising(means, weight[used])
    # The ends are the extreme levels seen, not the means of their steps.
    knots[0], knots[-1] = level.min(), level.max()
    residual = float(np.sqrt(np.mean((np.interp(level, knots, fitted) - area) ** 2)))
    return LevelArea(knots, fitted, int(level.size), residual, datum)


def storage_change(curve: LevelArea, from_m: float, to_m: float) -> float:
    """Change of storage between two levels (蓄水量变化), m³; negative when the level falls.

    Formula: ΔV = ∫ A(h) dh, by trapezoids between the knots.

    Raises
    ------
    OutsideExtent
        A level outside the range of the curve.

    Examples
    --------
    >>> curve = LevelArea(np.array([20.0, 22.0]), np.array([1e6, 3e6]), 9, 0.0, "1985")
    >>> storage_change(curve, 20, 22), storage_change(curve, 21, 20)
    (4000000.0, -1500000.0)
    """
    low, high = curve.range_m
    for level in (from_m, to_m):
        if not low <= level <= high:
            raise OutsideExtent(
                f"水位 {level:.2f} m 超出曲线范围 {low:.2f}–{high:.2f} m（{curve.datum}），不外推",
                f"level {level:.2f} m lies outside the curve's {low:.2f}–{high:.2f} m ({curve.datum}); nothing is extrapolated",
            )
    a, b = sorted((from_m, to_m))
    knots = np.unique(np.concatenate([[a, b], curve.level_m[(curve.level_m > a) & (curve.level_m < b)]]))
    volume = float(np.trapezoid(curve.area(knots), knots)) if knots.size > 1 else 0.0
    return volume if to_m >= from_m else -volume


@dataclass(frozen=True, slots=True)
class EqualLevelChange:
    """Change of area between two periods at the same levels (等水位面积变化)."""

    change_m2: float
    """Mean of (later − earlier) over the common levels; NaN where there are none."""
    interval_m2: float
    """Half width of its 95 % interval, from the scatter of both periods about their curves."""
    range_m: tuple[float, float]
    """Levels that both periods saw."""
    pairs: tuple[int, int]
    """Dates of each period within that range."""

    @property
    def shrunk(self) -> bool:
        """Whether the loss exceeds its interval."""
        return bool(self.change_m2 + self.interval_m2 < 0)


def change_at_equal_level(
    level_before: NDArray[Any],
    area_before: NDArray[Any],
    level_after: NDArray[Any],
    area_after: NDArray[Any],
    *,
    datum: str,
) -> EqualLevelChange:
    """Change of area at equal level, so that drawdown is not taken for reclamation.

    A curve is fitted to the earlier period; each later date within the common levels is compared with it.

    Raises
    ------
    InvalidParameter
        Too few pairs for a curve.

    Examples
    --------
    >>> before = np.linspace(20, 22, 9)
    >>> found = change_at_equal_level(before, 1e6 * before, np.array([20.5, 21.0, 21.5]), 1e6 * np.array([20.3, 20.8, 21.3]),
    ...                               datum="1985")
    >>> round(found.change_m2), found.shrunk
    (-200000, True)
    """
    curve = fit_level_area(level_before, area_before, datum=datum)
    level, area = np.asarray(level_after, float), np.asarray(area_after, float)
    good = np.isfinite(level) & np.isfinite(area) & np.isfinite(curve.area(level))
    level, area = level[good], area[good]
    if level.size == 0:
        return EqualLevelChange(np.nan, np.nan, (np.nan, np.nan), (0, 0))
    difference = area - curve.area(level)
    low, high = float(level.min()), float(level.max())
    earlier = np.asarray(level_before, float)
    number = int(((earlier >= low) & (earlier <= high)).sum())
    scatter = float(difference.std(ddof=1)) if level.size > 1 else curve.residual_m2
    half = 1.96 * np.sqrt(scatter**2 / level.size + curve.residual_m2**2 / max(number, 1))
    return EqualLevelChange(float(difference.mean()), float(half), (low, high), (number, int(level.size)))
