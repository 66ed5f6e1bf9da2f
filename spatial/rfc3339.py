"""Times as text (时间文本): one reader of RFC 3339 instants, dates and intervals, for every parameter and filter.

* An instant names its zone: ``2024-05-01T08:00:00Z`` or ``2024-05-01T08:00:00+08:00``. Without one it is refused: UTC and
  China differ by eight hours, and a guess would give a table of the wrong night.
* A date, ``2024-05-01``, is the whole day in UTC (08:00 to 08:00 in China), both ends included.

Source: RFC 3339, section 5.6; OGC 17-069r4 (Features P1), clause 7.15.4; OGC 21-065r2 (CQL2), clause 6.4; ISO 8601-1, 5.2.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from spatial.errors import InvalidParameter

__all__ = [
    "DATE_OR_INSTANT",
    "DESCRIPTION",
    "EVERY_PRECISION",
    "INSTANT",
    "Moment",
    "Precision",
    "Refused",
    "read_interval",
    "read_moment",
]

Precision = Literal["year", "month", "day", "hour", "minute", "second"]
DATE_OR_INSTANT: frozenset[Precision] = frozenset({"day", "second"})
"""What RFC 3339 knows."""
INSTANT: frozenset[Precision] = frozenset({"second"})
EVERY_PRECISION: frozenset[Precision] = frozenset({"year", "month", "day", "hour", "minute", "second"})
"""ISO 8601 shortened from the right, as maps and WMS take it."""

DESCRIPTION = (
    "RFC 3339 时刻（须带时区：Z 或 +08:00，+ 在地址中写作 %2B）、日期（UTC 的一整天）或区间 a/b（开端写 ..）",
    "RFC 3339 instant with its zone (Z or +08:00, the + written %2B in an address), date (the whole day in UTC), "
    "or interval a/b (open end ..)",
)
"""What the documents of the service say of ``datetime``, in Chinese and English."""

_TEXT = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})"
    r"(?:[Tt](?P<hour>[01]\d|2[0-3])(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?P<fraction>\.\d{1,9})?)?)?"
    r"(?P<zone>[Zz]|[+ -]\d{2}:\d{2})?)?)?)?",
    re.ASCII,
)
_LENGTHS = {"day": timedelta(days=1), "hour": timedelta(hours=1), "minute": timedelta(minutes=1)}


_LEAST = {"year": 0, "month": 1, "day": 1, "hour": 0, "minute": 0, "second": 0}


@dataclass(frozen=True, slots=True)
class Moment:
    """What a text names: its first and last microsecond (UTC), equal for an instant, and how finely it is named."""

    start: datetime
    end: datetime
    precision: Precision


class Refused(ValueError):
    """The text is no time; `zh` and `en` say why and what to write, `reason` is ``form``, ``zone`` or ``plus``."""

    def __init__(self, reason: Literal["form", "zone", "plus"], zh: str, en: str) -> None:
        super().__init__(en)
        self.reason = reason
        self.zh = zh
        self.en = en


def read_moment(text: str, precisions: Collection[Precision] = DATE_OR_INSTANT) -> Moment:
    """Instant or whole day (month, hour …) that a text names.

    Raises
    ------
    Refused
        The text is no time of these precisions, or an instant without a zone.

    Examples
    --------
    >>> read_moment("2024-07-01T08:00:00+08:00").start.isoformat()
    '2024-07-01T00:00:00+00:00'
    >>> read_moment("2024-07-01").end.isoformat()
    '2024-07-01T23:59:59.999999+00:00'
    >>> read_moment("2024-02", EVERY_PRECISION).end.isoformat()
    '2024-02-29T23:59:59.999999+00:00'
    >>> read_moment("2024-07-01T08:00:00")
    Traceback (most recent call last):
    spatial.rfc3339.Refused: the time 2024-07-01T08:00:00 has no zone, so its instant is not known; write ...
    """
    found = _TEXT.fullmatch(text)
    precision: Precision | None = None
    if found is not None:
        finest: tuple[Precision, ...] = ("second", "minute", "hour", "day", "month", "year")
        precision = next(name for name in finest if found[name] is not None)
    if found is None or precision is None or precision not in precisions:
        raise _form(text, precisions)
    local = text.partition(found["zone"])[0] if found["zone"] else text
    if found["hour"] is not None:
        if found["zone"] is None:
            raise Refused(
                "zone",
                f"时刻 {text} 没有时区，无法断定是哪一刻；请写 {local}Z（UTC）或 {local}+08:00（北京时间；+ 在地址中写作 %2B）",
                f"the time {text} has no zone, so its instant is not known; write {local}Z (UTC) or {local}+08:00 "
                "(China; in an address the + is written %2B)",
            )
        if found["zone"][0] == " ":
            raise Refused(
                "plus",
                f"时刻 {text!r} 的时区前是空格：地址中未编码的 + 会变成空格；请写 {local}%2B{found['zone'][1:]}",
                f"the time {text!r} has a space before its zone: a + that is not encoded in an address arrives as a "
                f"space; write {local}%2B{found['zone'][1:]}",
            )
    try:
        start = _start(found)
        end = _end(start, precision)
    except (ValueError, OverflowError):
        raise _form(text, precisions) from None
    return Moment(start, end, precision)


def _start(found: re.Match[str]) -> datetime:
    parts = {name: int(found[name] or least) for name, least in _LEAST.items()}
    # Digits beyond the microsecond are cut, not rounded: no instant moves into the next second.
    micro = int((found["fraction"] or ".0")[1:7].ljust(6, "0"))
    start = datetime(**parts, microsecond=micro, tzinfo=UTC)
    zone = found["zone"]
    if zone is None or zone in "Zz":
        return start
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 23 or minutes > 59:
        raise ValueError
    offset = timedelta(hours=hours, minutes=minutes)
    return start - offset if zone[0] == "+" else start + offset


def _end(start: datetime, precision: Precision) -> datetime:
    if precision == "second":
        return start
    day = start
    if precision in ("year", "month"):
        month = 12 if precision == "year" else start.month
        day = start.replace(month=month, day=monthrange(start.year, month)[1])
    return day + (_LENGTHS.get(precision, _LENGTHS["day"]) - timedelta(microseconds=1))


def _form(text: str, precisions: Collection[Precision]) -> Refused:
    zh = ["时刻（2024-07-01T00:00:00Z、2024-07-01T08:00:00+08:00，+ 在地址中写作 %2B）"]
    en = ["an instant with its zone (2024-07-01T00:00:00Z, 2024-07-01T08:00:00+08:00; + is %2B in an address)"]
    if "day" in precisions:
        zh.append("日期（2024-07-01，按 UTC）")
        en.append("a date (2024-07-01, a day in UTC)")
    if "month" in precisions:
        zh.append("年月（2024、2024-07）")
        en.append("a year or month (2024, 2024-07)")
    return Refused("form", f"{text[:80]!r} 不是 RFC 3339 {'或'.join(zh)}", f"{text[:80]!r} is not {' or '.join(en)}")


def read_interval(
    text: str,
    parameter: str = "datetime",
    *,
    precisions: Collection[Precision] = DATE_OR_INSTANT,
    open_ends: Collection[str] = ("", ".."),
    separator: str = "/",
) -> tuple[datetime | None, datetime | None]:
    """Ends of an instant, a date or an interval ``a/b``: both included, UTC; an open one is None.

    Raises
    ------
    InvalidParameter
        Malformed, without a zone, empty, or the start after the end; says what to write.

    Examples
    --------
    >>> read_interval("2024-07-01T08:00:00+08:00/..")[0].isoformat()
    '2024-07-01T00:00:00+00:00'
    >>> read_interval("../2024-07-01")[1].isoformat()
    '2024-07-01T23:59:59.999999+00:00'
    """
    first, slash, second = text.partition(separator)
    try:
        if not slash:
            moment = read_moment(first, precisions)
            return moment.start, moment.end
        start = None if first in open_ends else read_moment(first, precisions).start
        end = None if second in open_ends else read_moment(second, precisions).end
    except Refused as refused:
        zh, en = f"参数 {parameter}：{refused.zh}", f"{parameter}: {refused.en}"
        if refused.reason == "form":
            zh, en = f"{zh}；区间写作 a/b，开端写 ..", f"{en}; an interval is a/b, an open end .."
        raise InvalidParameter(zh, en, parameter=parameter, value=text[:200]) from None
    if start is not None and end is not None and start > end:
        raise InvalidParameter(
            f"参数 {parameter} 的起点晚于终点：{text[:80]!r}",
            f"{parameter}: the start is after the end: {text[:80]!r}",
            parameter=parameter,
            value=text[:200],
        )
    return start, end
