"""Low water (枯水): days below the lines of a gauge, when a forecast reaches them, intakes that fall dry, depth for ships.

A day counts as below a line if its mean level (日平均水位, Beijing days) lies below it. Days without a value are neither below
nor above: they are counted apart and end no run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.flood.plans import certainty
from spatial.catalog import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["INTAKE_STATES", "below_line", "daily_means", "forecast_below", "intake_row", "ship_depth"]

INTAKE_STATES: dict[str, Text] = {
    "dry": Text(zh="已低于最低取水水位", en="below its lowest level now"),
    "threatened": Text(zh="预报将低于最低取水水位", en="the forecast falls below its lowest level"),
    "uncertain": Text(zh="预报不确定度内可能低于", en="may fall below within the uncertainty"),
    "ok": Text(zh="可取水", en="can draw"),
    "not_assessed": Text(zh="未评", en="not assessed"),
}
"""State of an intake, the worst first."""

_LEAST_SD = 1e-9


def daily_means(
    times: Sequence[datetime], levels_m: NDArray[np.float64], zone: str = "Asia/Shanghai"
) -> list[tuple[str, float]]:
    """Mean level of each day (日平均水位) of the zone, in the order of the days; days without a value are absent.

    Examples
    --------
    >>> from datetime import UTC
    >>> daily_means([datetime(2024, 7, 1, h, tzinfo=UTC) for h in (14, 15, 16)], np.array([1.0, 2.0, 5.0]))
    [('2024-07-01', 1.5), ('2024-07-02', 5.0)]
    """
    from zoneinfo import ZoneInfo

    days: dict[str, list[float]] = {}
    for time, level in zip(times, levels_m, strict=True):
        days.setdefault(time.astimezone(ZoneInfo(zone)).date().isoformat(), []).append(float(level))
    return sorted((day, float(np.mean(values))) for day, values in days.items())


def below_line(days: Sequence[tuple[str, float]], line_m: float) -> dict[str, Any]:
    """Days below a line, the first, the longest run, the lowest level, and whether the last day is below.

    Returns
    -------
    dict
        ``days_below``, ``first_day``, ``last_day``, ``runs`` (number), ``longest_days`` (days with a value in the longest run),
        ``now_below``, ``now_since`` (first day of the run that lasts), ``lowest_m``, ``lowest_day``, ``largest_short_m``.

    Examples
    --------
    >>> found = below_line([("2024-10-01", 14.3), ("2024-10-02", 14.1), ("2024-10-03", 14.2), ("2024-10-05", 13.9)], 14.2)
    >>> found["days_below"], found["first_day"], found["runs"], found["now_since"], found["largest_short_m"]
    (2, '2024-10-02', 2, '2024-10-05', 0.3)
    """
    runs: list[list[str]] = []
    inside = False
    for day, level in days:
        if level < line_m:
            if not inside:
                runs.append([])
            runs[-1].append(day)
        inside = level < line_m
    below = [day for run in runs for day in run]
    lowest = min(days, key=lambda pair: (pair[1], pair[0]))
    return {
        "line_m": line_m,
        "days_below": len(below),
        "first_day": below[0] if below else None,
        "last_day": below[-1] if below else None,
        "runs": len(runs),
        "longest_days": max((len(run) for run in runs), default=0),
        "now_below": inside,
        "now_since": runs[-1][0] if inside else None,
        "lowest_m": round(lowest[1], 3),
        "lowest_day": lowest[0],
        "largest_short_m": round(max(0.0, line_m - lowest[1]), 3),
    }


def missing_days(days: Sequence[tuple[str, float]]) -> int:
    """Days without a value between the first and the last.

    >>> missing_days([("2024-10-01", 1.0), ("2024-10-04", 1.0)])
    2
    """
    if not days:
        return 0
    return (date.fromisoformat(days[-1][0]) - date.fromisoformat(days[0][0])).days + 1 - len(days)


def forecast_below(
    line_m: float, days: Sequence[tuple[str, float]], sd_m: Sequence[float] | None, k: float
) -> dict[str, Any]:
    """First day on which a forecast falls below a line, how sure that is, and its lowest level.

    ``certainty``: ``sure`` if the lowest level + k·σ lies below the line, ``within_uncertainty`` if only the level itself does,
    ``possible`` if the level − k·σ does, ``unlikely``; None where σ is not known.
    """
    below = [day for day, level in days if level < line_m]
    at = int(np.argmin([level for _, level in days]))
    sd = None if sd_m is None else sd_m[at]
    # A level equal to the line is not below it.
    sure = certainty(-days[at][1], -line_m + _LEAST_SD, sd, k)
    return {
        "reached": below[0] if below else None,
        "lowest_m": round(days[at][1], 3),
        "lowest_day": days[at][0],
        "sd_m": None if sd is None else round(float(sd), 3),
        "certainty": sure,
        "last_day": days[-1][0],
    }


def intake_row(
    lowest_m: float,
    now_m: float,
    forecast: Sequence[tuple[str, float]],
    sd_m: Sequence[float] | None,
    k: float,
) -> dict[str, Any]:
    """State of an intake: levels are those at the intake, in the datum of its lowest level.

    Examples
    --------
    >>> intake_row(14.0, 14.2, [("2024-11-21", 14.1), ("2024-11-22", 13.9)], None, 1.645)["state"]
    'threatened'
    """
    row: dict[str, Any] = {"level_m": round(now_m, 3), "margin_m": round(now_m - lowest_m, 3)}
    ahead = forecast_below(lowest_m, forecast, sd_m, k) if forecast else None
    if ahead is not None:
        row |= {
            "forecast_lowest_m": ahead["lowest_m"],
            "forecast_margin_m": round(ahead["lowest_m"] - lowest_m, 3),
            "reached": ahead["reached"],
            "certainty": ahead["certainty"],
        }
    if now_m < lowest_m:
        state = "dry"
    elif ahead is not None and ahead["reached"] is not None:
        state = "threatened"
    elif ahead is not None and ahead["certainty"] == "possible":
        state = "uncertain"
    else:
        state = "ok"
    return row | {"state": state}


def ship_depth(lines: Mapping[str, Any], now_m: float, lowest_m: float | None) -> dict[str, Any] | None:
    """Depth over the shoal (航道水深) now and at the lowest level forecast, against the depth kept; None where data lack.

    Formula: h = W − z(shoal), both in the datum of the gauge.

    Examples
    --------
    >>> ship_depth({"shoal_bed_m": 8.4, "kept_depth_m": 4.5}, 13.6, 12.8)["short_m"]
    0.1
    """
    bed, kept = lines.get("shoal_bed_m"), lines.get("kept_depth_m")
    if bed is None or kept is None or bed != bed or kept != kept:
        return None
    depth = now_m - float(bed)
    ahead = None if lowest_m is None else lowest_m - float(bed)
    least = depth if ahead is None else min(depth, ahead)
    return {
        "depth_m": round(depth, 3),
        "forecast_depth_m": None if ahead is None else round(ahead, 3),
        "kept_depth_m": float(kept),
        "short_m": round(max(0.0, float(kept) - least), 3),
    }
