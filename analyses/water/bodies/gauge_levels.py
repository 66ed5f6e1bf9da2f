"""Gauge levels for water bodies (水体对应的水位): which gauge belongs to a body, and its level on the days of the scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.level_area import levels_on
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from datetime import datetime

    import geopandas
    from numpy.typing import NDArray

    from analyses.water.bodies.delineation import WaterBodies
    from analyses.water.bodies.rules import GaugeRule

__all__ = ["BodyLevels", "body_levels", "gauge_of", "level_outliers"]

Gauge = tuple[list["datetime"], "NDArray[np.float64]"]
"""Times and levels, m."""


@dataclass(frozen=True)
class BodyLevels:
    """Levels of the bodies that have a gauge."""

    levels: dict[int, NDArray[np.float64]]
    """Row of the body → level by observation, m; NaN without a reading near."""
    flagged: list[dict[str, Any]]
    """Readings left out, with their reason."""


def level_outliers(values: NDArray[np.float64], least_m: float, steps_off: float) -> NDArray[np.bool_]:
    """Isolated spikes (突跳) of a level series in the order of time.

    A reading is one if it departs from both neighbours to the same side by more than `least_m` and by more than `steps_off`
    times the median step of the series.

    Source: convention of this project.

    Examples
    --------
    >>> level_outliers(np.array([24.0, 24.1, 33.2, 24.2, 24.3, 24.2]), 1.0, 6.0).nonzero()[0].tolist()
    [2]
    >>> level_outliers(np.array([24.0, 24.1, 27.0, 27.2, 27.1, 27.0]), 1.0, 6.0).any()  # a flood stays
    np.False_
    """
    found = np.zeros(values.size, dtype=bool)
    if values.size < 3:
        return found
    steps = np.diff(values)
    limit = max(least_m, steps_off * float(np.median(np.abs(steps))))
    found[1:-1] = (
        (np.abs(steps[:-1]) > limit) & (np.abs(steps[1:]) > limit) & (np.sign(steps[:-1]) == -np.sign(steps[1:]))
    )
    return found


def body_levels(
    frame: geopandas.GeoDataFrame | None,
    bodies: WaterBodies,
    numbers: Sequence[int],
    times: Sequence[datetime],
    rule: GaugeRule,
) -> BodyLevels:
    """Levels of bodies whose lake has a gauge of its name.

    Parameters
    ----------
    frame : GeoDataFrame, optional
        ``lake``, ``time`` (with zone), ``level_m``: one datum a lake.
    numbers : rows of ``bodies.frame``
    times : times of the observations

    Raises
    ------
    InvalidParameter
        A column is missing, or times have no zone.
    """
    if frame is None or frame.empty:
        return BodyLevels({}, [])
    missing = [name for name in ("lake", "time", "level_m") if name not in frame.columns]
    if missing:
        raise InvalidParameter(
            f"水位图层缺少字段 {'、'.join(missing)}",
            f"the layer of levels lacks {', '.join(missing)}",
            parameter="levels",
        )
    levels: dict[int, NDArray[np.float64]] = {}
    flagged: list[dict[str, Any]] = []
    known: dict[str, Gauge | None] = {}
    for number in numbers:
        name = bodies.frame["name"].iloc[number]
        if not isinstance(name, str):
            continue
        if name not in known:
            known[name] = gauge_of(frame, name, rule, flagged)
        gauge = known[name]
        if gauge is not None:
            found = levels_on(times, gauge[0], gauge[1], within_hours=rule.within_hours)
            if np.isfinite(found).any():
                levels[number] = found
    return BodyLevels(levels, flagged)


def gauge_of(
    frame: geopandas.GeoDataFrame | None,
    name: str,
    rule: GaugeRule,
    flagged: list[dict[str, Any]] | None = None,
) -> Gauge | None:
    """Times and levels of the gauge of a lake without its spikes, which are appended to `flagged`; None if it has no gauge.

    Raises
    ------
    InvalidParameter
        Times without zone.
    """
    if frame is None or frame.empty:
        return None
    gauge = frame[(frame["lake"] == name) & frame["level_m"].notna()].sort_values("time")
    if gauge.empty:
        return None
    values = gauge["level_m"].to_numpy(float)
    bad = level_outliers(values, rule.spike_m, rule.spike_steps)
    read = [moment.to_pydatetime() for moment in gauge["time"]]
    if any(moment.tzinfo is None for moment in read):
        raise InvalidParameter(
            f"{name} 的水位时间没有时区", f"the level times of {name} have no zone", parameter="levels"
        )
    if flagged is not None:
        flagged += [
            {
                "lake": name,
                "time": read[k].astimezone(UTC).isoformat().replace("+00:00", "Z"),
                "level_m": float(values[k]),
                "reason_zh": "突跳，未采用",
                "reason_en": "isolated spike, left out",
            }
            for k in np.flatnonzero(bad)
        ]
    return [moment for moment, wrong in zip(read, bad, strict=True) if not wrong], values[~bad]
