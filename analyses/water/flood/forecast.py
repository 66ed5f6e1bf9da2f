"""Forecasts (预报): one issue of a level series, its lead times, and the few levels that stand for them on maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Text
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["Horizon", "crossing_times", "horizons_of", "issue_of", "standing_levels", "value_at"]


@dataclass(frozen=True, slots=True)
class Horizon:
    """What a forecast says for one lead time (预见期)."""

    lead_h: float
    time: datetime
    level_m: float | None
    """None beyond the last value of the forecast: it is not drawn on."""
    sd_m: float | None


def issue_of(frame: geopandas.GeoDataFrame, issued: datetime | None, *, layer: str) -> tuple[Any, datetime | None]:
    """The rows of one issue and its time; a layer without the field ``issue_time`` is one series without an issue.

    Raises
    ------
    InvalidParameter
        If no forecast was issued at the time asked for; lists those that were.
    QualityViolation
        If issue times have no zone.
    """
    if "issue_time" not in frame.columns or not len(frame):
        if issued is not None:
            raise InvalidParameter(
                f"序列图层 {layer} 没有发布时间字段 issue_time，不能按发布时间选取",
                f"series layer {layer} has no field issue_time: no issue to choose",
                parameter="issued",
                layer=layer,
            )
        return frame, None
    times = [t.to_pydatetime() if hasattr(t, "to_pydatetime") else t for t in frame["issue_time"]]
    known = [t if isinstance(t, datetime) and t == t else None for t in times]
    if any(t is None or t.tzinfo is None for t in known):
        raise QualityViolation(
            f"序列图层 {layer} 有预报没有发布时间或时区",
            f"a forecast of series layer {layer} has no issue time, or one without a zone",
            layer=layer,
            reason="no-issue-time",
        )
    there = sorted({t for t in known if t is not None})
    wanted = there[-1] if issued is None else issued
    if wanted not in there:
        said = [t.isoformat() for t in there]
        raise InvalidParameter(
            f"序列图层 {layer} 没有 {wanted.isoformat()} 发布的预报，已有 {said}",
            f"no forecast of layer {layer} was issued at {wanted.isoformat()}; there are {said}",
            parameter="issued",
            value=wanted.isoformat(),
            allowed=said,
        )
    return frame[np.array([t == wanted for t in known])], wanted


def _hours(times: Sequence[datetime], zero: datetime) -> NDArray[np.float64]:
    return np.array([(t - zero).total_seconds() / 3600.0 for t in times])


def value_at(time: datetime, times: Sequence[datetime], values: NDArray[np.float64]) -> float | None:
    """Value of a series at a time, linear in between; None outside the series.

    Examples
    --------
    >>> from datetime import UTC
    >>> t = [datetime(2024, 7, 1, h, tzinfo=UTC) for h in (0, 6)]
    >>> value_at(datetime(2024, 7, 1, 3, tzinfo=UTC), t, np.array([1.0, 2.0])), value_at(t[1] + timedelta(hours=1), t, np.ones(2))
    (1.5, None)
    """
    if not times or not times[0] <= time <= times[-1]:
        return None
    found = float(np.interp((time - times[0]).total_seconds() / 3600.0, _hours(times, times[0]), values))
    return None if np.isnan(found) else found


def horizons_of(
    issued: datetime,
    leads_h: Sequence[float],
    times: Sequence[datetime],
    levels_m: NDArray[np.float64],
    sd_m: NDArray[np.float64] | None,
) -> list[Horizon]:
    """The forecast at each lead time; what lies beyond the last value is not drawn on (None)."""
    out = []
    for lead in leads_h:
        at = issued + timedelta(hours=float(lead))
        sd = None if sd_m is None else value_at(at, times, sd_m)
        level = value_at(at, times, levels_m)
        out.append(Horizon(float(lead), at, None if level is None else round(level, 3), sd))
    return out


def standing_levels(levels_m: Sequence[float], apart_m: float) -> dict[float, float]:
    """Which mapped level stands for each level: the highest of those that the terrain cannot tell from it.

    From the highest level down, all that lie no more than `apart_m` below it share its map, so that a map never shows less
    water than the level that it stands for, and two maps always differ by more than the error of the terrain.

    Examples
    --------
    >>> standing_levels([27.1, 28.4, 28.55, 28.6], 0.25)
    {28.6: 28.6, 28.55: 28.6, 28.4: 28.6, 27.1: 27.1}
    """
    out: dict[float, float] = {}
    head: float | None = None
    for level in sorted(set(levels_m), reverse=True):
        if head is None or round(head - level - apart_m, 6) > 0:
            head = level
        out[level] = head
    return out


def crossing_times(
    line_m: float, times: Sequence[datetime], levels_m: NDArray[np.float64], *, above: bool = True
) -> tuple[datetime | None, datetime | None]:
    """When a series first reaches a line, and when it leaves it for good; linear between the values.

    With ``above`` the line is reached at level ≥ line, without at level < line. The second time is None while the series ends
    beyond the line.

    Examples
    --------
    >>> from datetime import UTC
    >>> t = [datetime(2024, 7, 1, h, tzinfo=UTC) for h in (0, 6, 12)]
    >>> [x.hour for x in crossing_times(1.5, t, np.array([1.0, 2.0, 1.0]))]
    [3, 9]
    """
    v = np.asarray(levels_m, np.float64)
    beyond = v >= line_m if above else v < line_m
    if not beyond.any():
        return None, None

    def between(k: int) -> datetime:
        span = v[k + 1] - v[k]
        share = 0.0 if span == 0 else float((line_m - v[k]) / span)
        return times[k] + (times[k + 1] - times[k]) * min(max(share, 0.0), 1.0)

    first = int(np.argmax(beyond))
    last = beyond.size - 1 - int(np.argmax(beyond[::-1]))
    start = times[0] if first == 0 else between(first - 1)
    return start, None if last == beyond.size - 1 else between(last)


def note_on_maps(maps: dict[float, float], apart_m: float) -> Text | None:
    """Says that some levels share a map."""
    shared = sorted(v for v, head in maps.items() if v != head)
    if not shared:
        return None
    said = "、".join(f"{v:.2f}" for v in shared)
    return Text(
        zh=f"水位 {said} m 与更高的水位相差不超过地形误差 {apart_m:g} m，图上分不开，共用较高水位的图（偏安全）",
        en=f"levels {said} m lie within the error {apart_m:g} m of the terrain below a higher one: the map of the higher one "
        "stands for them (on the safe side)",
    )
