"""Level series of a gauge (水位序列): what is doubtful is flagged with its reason, left out by rule, and listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from spatial.catalog import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.flood.rules import SeriesRule

__all__ = ["FLAGS", "LevelSeries", "check_series"]

FLAGS: dict[str, Text] = {
    "no_zone": Text(zh="时间没有时区", en="time without zone"),
    "missing": Text(zh="缺测", en="missing"),
    "range": Text(zh="超出可能范围", en="out of the plausible range"),
    "duplicate": Text(zh="时间重复、值相同（留一个）", en="same time and value again (one kept)"),
    "conflict": Text(zh="时间重复、值不同", en="same time, other value"),
    "spike": Text(zh="尖峰", en="spike"),
    "flatline": Text(zh="断平（长时间不变）", en="flatline"),
}
"""Flag → meaning, in the order in which they are looked for."""


@dataclass(frozen=True)
class LevelSeries:
    """A checked series: what may be used, and what was left out."""

    station: str
    times: tuple[datetime, ...]
    """UTC, ascending."""
    levels_m: NDArray[np.float64]
    flagged: tuple[tuple[str, str, float], ...]
    """(ISO time, flag, level) of every value left out."""
    sd_m: NDArray[np.float64] | None = None
    """Standard deviation of each level, m; None where it is not known for all."""

    def rows(self) -> list[dict[str, object]]:
        """The list of values left out, for a table."""
        return [
            {
                "station": self.station,
                "time": time,
                "level_m": None if np.isnan(level) else round(level, 3),
                "flag": flag,
                "reason": FLAGS[flag].model_dump(),
            }
            for time, flag, level in self.flagged
        ]


def check_series(
    station: str,
    times: Sequence[datetime | None],
    levels_m: Sequence[float],
    rule: SeriesRule,
    *,
    plausible_m: tuple[float, float] | None = None,
    sd_m: Sequence[float] | None = None,
) -> LevelSeries:
    """Flag the doubtful values of a series and keep the rest.

    A value is a **spike** if it departs from both neighbours to the same side by more than the largest plausible change in the
    time between (`spike_m_per_h` × hours, over more than a few hours no more than `spike_m_per_day` × days, at least
    `spike_minimum_m`). A run of one value over `flatline_days` and `flatline_values` values
    is a **flatline**. A time without a zone is not guessed at: the value is left out.

    Parameters
    ----------
    times : sequence of datetime
        With zone, in any order.
    levels_m : sequence of float, m, datum of the station; NaN = missing
    plausible_m : (low, high), optional
    sd_m : sequence of float, optional
        Standard deviation of each value, m (of a forecast).

    Examples
    --------
    >>> from datetime import UTC, timedelta
    >>> from types import SimpleNamespace
    >>> rule = SimpleNamespace(spike_m_per_h=0.5, spike_m_per_day=3.0, spike_minimum_m=0.3, flatline_days=5, flatline_values=6)
    >>> t = [datetime(2024, 7, 1, h, tzinfo=UTC) for h in range(4)]
    >>> found = check_series("A", t, [20.0, 27.0, 20.1, 20.2], rule)
    >>> found.levels_m.tolist(), [flag for _, flag, _ in found.flagged]
    ([20.0, 20.1, 20.2], ['spike'])
    """
    from datetime import UTC

    flagged: list[tuple[str, str, float]] = []
    good: list[tuple[datetime, float]] = []
    for time, value in zip(times, levels_m, strict=True):
        level = float("nan") if value is None else float(value)
        label = "" if time is None else time.isoformat()
        if time is None or time.tzinfo is None or time.utcoffset() is None:
            flagged.append((label, "no_zone", level))
        elif not np.isfinite(level):
            flagged.append((label, "missing", level))
        elif plausible_m is not None and not plausible_m[0] <= level <= plausible_m[1]:
            flagged.append((label, "range", level))
        else:
            good.append((time.astimezone(UTC), level))
    good.sort(key=lambda pair: pair[0])
    single: list[tuple[datetime, float]] = []
    k = 0
    while k < len(good):
        same = (
            [pair for pair in good[k:] if pair[0] == good[k][0]]
            if k + 1 < len(good) and good[k + 1][0] == good[k][0]
            else [good[k]]
        )
        k += len(same)
        if len({level for _, level in same}) == 1:
            single.append(same[0])
            flagged += [(time.isoformat(), "duplicate", level) for time, level in same[1:]]
        else:
            flagged += [(time.isoformat(), "conflict", level) for time, level in same]
    values = np.array([pair[1] for pair in single])
    hours = np.array([pair[0].timestamp() for pair in single]) / 3600.0
    bad = _spikes(hours, values, rule)
    flagged += [(single[k][0].isoformat(), "spike", float(values[k])) for k in np.flatnonzero(bad)]
    flat = _flatlines(hours[~bad], values[~bad], rule)
    rest = [pair for pair, out in zip(single, bad, strict=True) if not out]
    flagged += [(rest[k][0].isoformat(), "flatline", rest[k][1]) for k in np.flatnonzero(flat)]
    kept = [pair for pair, out in zip(rest, flat, strict=True) if not out]
    deviation = None
    if sd_m is not None:
        known = {
            (t.timestamp(), float(v)): float(d) for t, v, d in zip(times, levels_m, sd_m, strict=True) if t is not None
        }
        deviation = np.array([known.get((t.timestamp(), v), float("nan")) for t, v in kept])
        deviation = deviation if np.isfinite(deviation).all() and (deviation >= 0).all() else None
    return LevelSeries(station, tuple(t for t, _ in kept), np.array([v for _, v in kept]), tuple(flagged), deviation)


def _most(hours: float, rule: SeriesRule) -> float:
    """Largest plausible change in a time, m: no river rises for a day as fast as for an hour."""
    return max(rule.spike_minimum_m, min(rule.spike_m_per_h * hours, rule.spike_m_per_day * max(1.0, hours / 24.0)))


def _spikes(hours: NDArray[np.float64], level: NDArray[np.float64], rule: SeriesRule) -> NDArray[np.bool_]:
    out = np.zeros(level.size, bool)
    for k in range(1, level.size - 1):
        if out[k - 1]:  # the way back from a spike is none
            continue
        a, b = level[k] - level[k - 1], level[k] - level[k + 1]
        most_a, most_b = _most(hours[k] - hours[k - 1], rule), _most(hours[k + 1] - hours[k], rule)
        out[k] = a * b > 0 and abs(a) > most_a and abs(b) > most_b
    return out


def _flatlines(hours: NDArray[np.float64], level: NDArray[np.float64], rule: SeriesRule) -> NDArray[np.bool_]:
    out = np.zeros(level.size, bool)
    start = 0
    for k in range(1, level.size + 1):
        if k < level.size and level[k] == level[start]:
            continue
        if k - start >= rule.flatline_values and hours[k - 1] - hours[start] >= 24 * rule.flatline_days:
            out[start + 1 : k] = True  # the first value was measured
        start = k
    return out
