"""Checks of station series (测站数据检查): what is wrong is flagged with its reason, left out by rule, and listed.

Nothing is mended silently: a value that is left out is NaN in the checked frame and a row in the list of flags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.quality.surface_water_class import in_unit
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from analyses.water.quality.station_rules import ChecksRule, SurfaceWaterRules

__all__ = ["REASONS", "CheckedSeries", "check_series", "flatlines", "spikes"]

REASONS: dict[str, Text] = {
    "time_unreadable": Text(zh="时间无法识别", en="time cannot be read"),
    "time_zone_suspect": Text(
        zh="观测时刻与其他测站相差 8 小时，疑似时区错误", en="hour 8 h off the other stations: zone?"
    ),
    "duplicate": Text(
        zh="同一时刻的重复记录（值相同，留一条）", en="repeated record of one time (same values, one kept)"
    ),
    "conflict": Text(zh="同一时刻的值互相矛盾", en="values of one time contradict each other"),
    "not_a_number": Text(zh="不是数值", en="not a number"),
    "below_detection": Text(zh="未检出，取检出限一半", en="below detection: half the limit is used"),
    "out_of_range": Text(zh="超出合理范围（单位？）", en="outside the plausible range (unit?)"),
    "spike": Text(zh="孤立尖峰", en="isolated spike"),
    "spike_unconfirmed": Text(zh="末次观测偏离较大，待下次确认", en="last value is far off: awaits the next one"),
    "flatline": Text(zh="连续多次完全相同", en="the same value many times in a row"),
    "gap": Text(zh="观测中断", en="gap between observations"),
}
"""Reason → text."""
_EXCLUDED = {"time_unreadable", "duplicate", "conflict", "not_a_number", "out_of_range", "spike", "flatline"}
_BELOW = re.compile(r"^\s*(?:[<＜]\s*([0-9.]+)|([0-9.]+)\s*[Ll])\s*$")


@dataclass(frozen=True)
class CheckedSeries:
    """Series after the checks."""

    frame: pandas.DataFrame
    """``station``, ``time`` (UTC, with zone), one column an indicator in the unit of the rules; sorted; NaN = none."""
    flags: tuple[dict[str, Any], ...]
    """``station``, ``time``, ``indicator``, ``value``, ``reason``, ``excluded``, ``zh``, ``en``."""

    def counts(self) -> dict[str, int]:
        """How often each reason was found."""
        found: dict[str, int] = {}
        for row in self.flags:
            found[row["reason"]] = found.get(row["reason"], 0) + 1
        return dict(sorted(found.items()))


def _flag(station: Any, time: Any, indicator: str | None, value: Any, reason: str) -> dict[str, Any]:
    text = REASONS[reason]
    return {
        "station": None if station is None else str(station),
        "time": None if time is None else str(time if isinstance(time, str) else time.isoformat()),
        "indicator": indicator,
        "value": None if value is None else (value if isinstance(value, str) else float(value)),
        "reason": reason,
        "excluded": reason in _EXCLUDED,
        "zh": text.zh,
        "en": text.en,
    }


def spikes(values: NDArray[np.float64], rule: ChecksRule) -> tuple[NDArray[np.bool_], bool]:
    """Isolated spikes (尖峰) of a series in the order of time, and whether the last value awaits confirmation.

    A value is far off if it differs from the median of the window (± `hampel_half_window` observations) by more than
    `hampel_sigmas` · 1.4826 · MAD and by more than the factor `spike_ratio`. Two neighbours that are far off to the same
    side are an event, not a spike. The last value has no successor yet and is never left out.

    Parameters
    ----------
    values : float64 (n,), no NaN

    Source: Hampel identifier; Davies & Gather 1993, doi 10.1080/01621459.1993.10476339.

    Examples
    --------
    >>> from datetime import date
    >>> from analyses.water.quality.station_rules import ChecksRule
    >>> rule = ChecksRule(title=Text(zh="检", en="c"), source="s", tag="own", valid_from=date(2026, 1, 1),
    ...     hampel_half_window=3, hampel_sigmas=4, spike_ratio=2.5, flatline_length=4, gap_ratio=1.9,
    ...     half_detection_limit=True)
    >>> spikes(np.array([1.0, 1.1, 0.9, 9.0, 1.0, 1.1, 1.0]), rule)[0].nonzero()[0].tolist()
    [3]
    >>> spikes(np.array([1.0, 1.1, 0.9, 9.0, 8.0, 1.1, 1.0, 1.0]), rule)[0].any()
    np.False_
    """
    n, half = values.size, rule.hampel_half_window
    side = np.zeros(n, dtype=np.int8)
    if n < 2 * half + 1:
        return side.astype(bool), False
    middle, spread = np.empty(n), np.empty(n)
    whole = np.lib.stride_tricks.sliding_window_view(values, 2 * half + 1)
    inner = slice(half, n - half)
    middle[inner] = np.median(whole, axis=1)
    spread[inner] = np.median(np.abs(whole - middle[inner, np.newaxis]), axis=1)
    for k in (*range(half), *range(n - half, n)):  # windows cut off at the ends
        window = values[max(0, k - half) : k + half + 1]
        middle[k] = np.median(window)
        spread[k] = np.median(np.abs(window - middle[k]))
    off = values - middle
    low, high = np.minimum(np.abs(values), np.abs(middle)), np.maximum(np.abs(values), np.abs(middle))
    far = (np.abs(off) > rule.hampel_sigmas * 1.4826 * spread) & (high > rule.spike_ratio * low)
    side[far] = np.sign(off[far])
    alone = side != 0
    alone[1:] &= side[1:] != side[:-1]
    alone[:-1] &= side[:-1] != side[1:]
    pending = bool(alone[-1])
    alone[-1] = False
    return alone, pending


def flatlines(values: NDArray[np.float64], length: int) -> NDArray[np.bool_]:
    """Members of a run of at least `length` equal values (平直线), its first excepted.

    Examples
    --------
    >>> flatlines(np.array([1.0, 2.0, 2.0, 2.0, 2.0, 3.0]), 4).tolist()
    [False, False, True, True, True, False]
    """
    found = np.zeros(values.size, dtype=bool)
    if values.size < length:
        return found
    ends = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1], [True]]))
    for first, last in pairwise(ends):
        if last - first >= length:
            found[first + 1 : last] = True
    return found


def _numbers(
    column: pandas.Series[Any], rule: ChecksRule
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Numbers of a column, which are below detection (half the limit), which are no numbers."""
    import pandas

    n = len(column)
    below, wrong = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    numbers = pandas.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
    if column.dtype.kind in "fiub":
        return numbers, below, wrong
    for k, text in enumerate(column.tolist()):
        if (
            text is None
            or text is pandas.NA
            or not isinstance(text, str)
            or not text.strip()
            or np.isfinite(numbers[k])
        ):
            continue
        match = _BELOW.match(text)
        try:
            limit = float(match[1] or match[2]) if match else np.nan
        except ValueError:
            limit = np.nan
        below[k] = np.isfinite(limit)
        wrong[k] = not below[k]
        numbers[k] = limit / 2 if rule.half_detection_limit else limit
    return numbers, below, wrong


def _times(frame: pandas.DataFrame, field: str, zone: str | None) -> pandas.Series[Any]:
    """Times in UTC; NaT where unreadable."""
    import pandas

    column = frame[field]
    if isinstance(column.dtype, pandas.DatetimeTZDtype):
        return pandas.Series(column.dt.tz_convert("UTC"))
    parsed: list[Any] = [pandas.NaT if v is None else pandas.to_datetime(v, errors="coerce") for v in column.tolist()]
    known = [not pandas.isna(t) for t in parsed]
    naive = [t for t, ok in zip(parsed, known, strict=True) if ok and t.tzinfo is None]
    if naive and zone is None:
        raise InvalidParameter(
            f"时间字段 {field} 没有时区（如 {naive[0]}）；请声明 time_zone，例如 Asia/Shanghai",
            f"times in {field} have no zone (for example {naive[0]}); declare time_zone, such as Asia/Shanghai",
            parameter="time_zone",
        )
    try:
        fixed = [
            (t.tz_localize(zone) if t.tzinfo is None else t).tz_convert("UTC") if ok else pandas.NaT
            for t, ok in zip(parsed, known, strict=True)
        ]
    except (KeyError, ValueError) as error:
        raise InvalidParameter(
            f"time_zone {zone!r} 不能识别：{error}", f"time_zone {zone!r} is unknown: {error}", parameter="time_zone"
        ) from error
    return pandas.Series(pandas.DatetimeIndex(fixed, dtype="datetime64[ns, UTC]"), index=frame.index)


def check_series(
    frame: pandas.DataFrame,
    units: Mapping[str, str | None],
    rules: SurfaceWaterRules,
    *,
    station_field: str = "station",
    time_field: str = "time",
    time_zone: str | None = None,
) -> CheckedSeries:
    """Check a table of observations, one row a station and time.

    Parameters
    ----------
    frame : DataFrame
    units : mapping
        Indicator (column) → its declared unit; converted to that of the rules.
    time_zone : str, optional
        Zone of times without one; times with a zone keep their own.

    Returns
    -------
    CheckedSeries

    Raises
    ------
    InvalidParameter
        A column that is missing, a unit that is missing or unknown, times without zone and no `time_zone`.
    LayerEmpty
        If nothing usable is left.
    """
    lacking = [name for name in (station_field, time_field, *units) if name not in frame.columns]
    if lacking:
        raise InvalidParameter(
            f"测站序列缺少字段 {'、'.join(lacking)}，有：{'、'.join(map(str, frame.columns))}",
            f"the station series lacks the fields {', '.join(lacking)}; it has {', '.join(map(str, frame.columns))}",
            parameter="fields",
            missing=lacking,
        )
    flags: list[dict[str, Any]] = []
    table = frame[[station_field, time_field, *units]].rename(columns={station_field: "station", time_field: "time"})
    raw_time = table["time"].copy()
    table["time"] = _times(table, "time", time_zone)
    for k in np.flatnonzero(table["time"].isna().to_numpy()):
        flags.append(_flag(table["station"].iloc[k], str(raw_time.iloc[k]), None, None, "time_unreadable"))
    table = table[table["time"].notna()].reset_index(drop=True)
    detected: dict[str, NDArray[np.bool_]] = {}
    for name, unit in units.items():
        numbers, below, wrong = _numbers(table[name], rules.checks)
        factor = in_unit(name, 1.0, unit, rules)
        for k in np.flatnonzero(wrong):
            flags.append(
                _flag(table["station"].iloc[k], table["time"].iloc[k], name, str(table[name].iloc[k]), "not_a_number")
            )
        numbers = np.round(numbers * factor, 12)
        table[name] = numbers
        detected[name] = below
    for name, below in detected.items():
        table[f"_below_{name}"] = below
    table = _deduplicate(table, list(units), flags)
    for name in units:
        _check_indicator(table, name, rules, flags)
    _check_times(table, rules.checks, flags)
    table = table.drop(columns=[f"_below_{name}" for name in units])
    if table.empty or not np.isfinite(table[list(units)].to_numpy(dtype=np.float64)).any():
        raise LayerEmpty("检查后没有可用的观测", "no usable observation is left after the checks")
    order = {name: k for k, name in enumerate(REASONS)}
    flags.sort(key=lambda row: (order[row["reason"]], row["station"] or "", row["time"] or "", row["indicator"] or ""))
    return CheckedSeries(table, tuple(flags))


def _deduplicate(table: pandas.DataFrame, names: Sequence[str], flags: list[dict[str, Any]]) -> pandas.DataFrame:
    """One row a station and time: equal values once, contradicting ones not at all."""
    table = table.sort_values(["station", "time"], kind="stable").reset_index(drop=True)
    repeated = table.duplicated(["station", "time"], keep=False)
    if not repeated.any():
        return table
    drop: list[int] = []
    for _, group in table[repeated].groupby(["station", "time"], sort=True):
        first = int(group.index[0])
        for name in names:
            values = group[name].dropna().unique()
            if len(values) > 1:
                flags.append(_flag(group["station"].iloc[0], group["time"].iloc[0], name, None, "conflict"))
            table.loc[first, name] = values[0] if len(values) == 1 else np.nan
        for _ in range(len(group) - 1):
            flags.append(_flag(group["station"].iloc[0], group["time"].iloc[0], None, None, "duplicate"))
        drop += [int(k) for k in group.index[1:]]
    return table.drop(index=drop).reset_index(drop=True)


def _check_indicator(table: pandas.DataFrame, name: str, rules: SurfaceWaterRules, flags: list[dict[str, Any]]) -> None:
    """Range, spikes and flatlines of one indicator; excluded values become NaN in `table`."""
    row, rule = rules.indicators.by_id[name], rules.checks
    values = table[name].to_numpy(dtype=np.float64).copy()
    below = table[f"_below_{name}"].to_numpy(dtype=bool)

    def note(k: int, reason: str) -> None:
        flags.append(_flag(table["station"].iloc[k], table["time"].iloc[k], name, values[k], reason))

    for k in np.flatnonzero(below & np.isfinite(values)):
        note(int(k), "below_detection")
    outside = np.isfinite(values) & ((values < row.plausible.min) | (values > row.plausible.max))
    for k in np.flatnonzero(outside):
        note(int(k), "out_of_range")
    values[outside] = np.nan
    for _, group in table.groupby("station", sort=True):
        place = group.index.to_numpy()
        place = place[np.isfinite(values[place])]
        if name not in rule.exempt_from_flatline:
            flat = flatlines(values[place], rule.flatline_length) & ~below[place]
            for k in place[flat]:
                note(int(k), "flatline")
            values[place[flat]] = np.nan
            place = place[~flat]
        if name in rule.exempt_from_spikes or not place.size:
            continue
        found, pending = spikes(values[place], rule)
        for k in place[found]:
            note(int(k), "spike")
        if pending:
            note(int(place[-1]), "spike_unconfirmed")
        values[place[found]] = np.nan
    table[name] = values


def _check_times(table: pandas.DataFrame, rule: ChecksRule, flags: list[dict[str, Any]]) -> None:
    """Gaps of each station, and stations whose hour is eight hours off the others."""
    hours = table["time"].dt.hour
    usual = hours.groupby(table["station"]).agg(lambda h: int(h.mode().iloc[0]))
    network = int(usual.mode().iloc[0]) if len(usual) > 2 else None
    for station, group in table.groupby("station", sort=True):
        if network is not None and (int(usual[station]) - network) % 24 in (8, 16):
            flags.append(_flag(station, group["time"].iloc[0], None, None, "time_zone_suspect"))
        steps = group["time"].diff().dt.total_seconds().to_numpy()[1:]
        if steps.size < 3:
            continue
        for k in np.flatnonzero(steps > rule.gap_ratio * np.median(steps)):
            flags.append(_flag(station, group["time"].iloc[int(k)], None, steps[k] / 86_400, "gap"))
