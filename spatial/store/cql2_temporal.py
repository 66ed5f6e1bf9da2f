"""Temporal part of CQL2: instants, intervals with open ends, and the fifteen relations of Allen and ISO 19108."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any, Literal

from spatial.rfc3339 import Precision, Refused, read_moment
from spatial.store.dialect import Dialect

__all__ = ["TEMPORAL", "Instant", "Span", "day_comparison", "instant_fault", "read_instant", "relation"]

TEMPORAL = (
    "t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals", "t_finishedby", "t_finishes",
    "t_intersects", "t_meets", "t_metby", "t_overlappedby", "t_overlaps", "t_startedby", "t_starts",
)  # fmt: skip
_PRECISIONS: tuple[Precision, ...] = ("day", "hour", "minute", "second")
LAST_OF_DAY = "interval '1 day' - interval '1 microsecond'"


@dataclass(frozen=True, slots=True)
class Instant:
    """A date or a datetime: SQL of it, and its value if it is a literal."""

    kind: Literal["date", "datetime"]
    sql: str | None
    value: Any = None

    @property
    def moment(self) -> datetime:
        """A literal as a datetime in UTC, for comparing literals with each other."""
        if isinstance(self.value, datetime):
            return self.value
        return datetime.combine(self.value, time(), UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """An interval with both ends included; None is open. An instant has both ends the same."""

    start: Instant | None
    end: Instant | None


def read_instant(text: str, expected: str | None = None) -> Instant | None:
    """Literal from ISO 8601 text; None if it is none, or not of the kind expected (``date`` or ``timestamp``).

    A time needs a zone: without one its meaning is open.

    >>> read_instant("2024-05-01").kind, read_instant("2024-05-01T08:00:00+08:00").value.isoformat()
    ('date', '2024-05-01T00:00:00+00:00')
    >>> read_instant("2024-05-01T").value, read_instant("2024-05-01T08:30Z").value.isoformat()
    (datetime.date(2024, 5, 1), '2024-05-01T08:30:00+00:00')
    >>> read_instant("2024-05-01T08:00:00") is None
    True
    """
    # GDAL writes a date as "2024-05-01T" and a time to the hour or minute as "2024-05-01T08Z", "2024-05-01T08:30Z".
    try:
        moment = read_moment(text.removesuffix("T"), _PRECISIONS)
    except Refused:
        return None
    if moment.precision == "day":
        return None if expected == "timestamp" else Instant("date", None, moment.start.date())
    return None if expected == "date" else Instant("datetime", None, moment.start)


def instant_fault(text: object) -> tuple[str, str]:
    """Why a text is no instant, in Chinese and English."""
    try:
        read_moment(str(text))
    except Refused as refused:
        if refused.reason != "form":
            return refused.zh, refused.en
    return (
        f"{text!r} 不是日期（2024-05-01）或带时区的时间（2024-05-01T08:00:00Z）",
        f"{text!r} is no date (2024-05-01) and no time with a zone (2024-05-01T08:00:00Z)",
    )


def _first(dialect: Dialect, instant: str, kind: str) -> str:
    return instant if kind == "datetime" else f"({instant})::{dialect.types['datetime']}"


def _last(dialect: Dialect, instant: str, kind: str) -> str:
    return instant if kind == "datetime" else f"(({instant})::{dialect.types['datetime']} + {LAST_OF_DAY})"


def day_comparison(dialect: Dialect, op: str, left: str, left_kind: str, right: str, right_kind: str) -> str:
    """Compare a date, a whole day in UTC, with a datetime."""
    a = _first(dialect, left, left_kind), _last(dialect, left, left_kind)
    b = _first(dialect, right, right_kind), _last(dialect, right, right_kind)
    same = f"({a[0]} <= {b[1]} AND {a[1]} >= {b[0]})"
    return {
        "=": same,
        "<>": f"(NOT {same})",
        "<": f"({a[1]} < {b[0]})",
        "<=": f"({a[0]} <= {b[1]})",
        ">": f"({a[0]} > {b[1]})",
        ">=": f"({a[1]} >= {b[0]})",
    }[op]


def relation(dialect: Dialect, op: str, left: Span, right: Span, bind: Callable[[Instant], str]) -> str:
    """SQL of a temporal relation between two intervals; `bind` gives the SQL of an instant."""
    ends = [e for span in (left, right) for e in (span.start, span.end) if e is not None]
    days = all(e.kind == "date" for e in ends)
    kind = dialect.types["date" if days else "datetime"]

    # Only what the relation uses is bound: a database refuses values that no placeholder takes.
    def start(span: Span) -> str:
        if span.start is None:
            return f"'-infinity'::{kind}"
        sql = bind(span.start)
        return sql if days else _first(dialect, sql, span.start.kind)

    def end(span: Span, *, of_day: bool = True) -> str:
        if span.end is None:
            return f"'infinity'::{kind}"
        sql = bind(span.end)
        return sql if days else (_last if of_day else _first)(dialect, sql, span.end.kind)

    def test(first: Callable[[Span], str], a: Span, sign: str, second: Callable[[Span], str], b: Span) -> str:
        return f"{first(a)} {sign} {second(b)}"

    def both(*tests: str) -> str:
        return "(" + " AND ".join(tests) + ")"

    if op in {"t_contains", "t_finishedby", "t_metby", "t_overlappedby", "t_startedby", "t_after"}:
        inverse = {
            "t_contains": "t_during",
            "t_finishedby": "t_finishes",
            "t_metby": "t_meets",
            "t_overlappedby": "t_overlaps",
            "t_startedby": "t_starts",
            "t_after": "t_before",
        }
        return relation(dialect, inverse[op], right, left, bind)
    if op == "t_before":
        return both(test(end, left, "<", start, right))
    if op == "t_during":
        return both(test(start, left, ">", start, right), test(end, left, "<", end, right))
    if op == "t_equals":
        return both(test(start, left, "=", start, right), test(end, left, "=", end, right))
    if op == "t_finishes":
        return both(test(end, left, "=", end, right), test(start, left, ">", start, right))
    if op == "t_meets":
        return both(f"{end(left, of_day=False)} = {start(right)}")
    if op == "t_overlaps":
        inside = test(end, left, ">", start, right), test(end, left, "<", end, right)
        return both(test(start, left, "<", start, right), *inside)
    if op == "t_starts":
        return both(test(start, left, "=", start, right), test(end, left, "<", end, right))
    intersects = both(test(start, left, "<=", end, right), test(end, left, ">=", start, right))
    return intersects if op == "t_intersects" else f"(NOT {intersects})"
