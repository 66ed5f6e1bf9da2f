"""Temporal part of CQL2: instants, intervals with open ends, and the fifteen relations of Allen and ISO 19108."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal

from spatial.store.dialect import Dialect

__all__ = ["TEMPORAL", "Instant", "Span", "day_comparison", "read_instant", "relation"]

TEMPORAL = (
    "t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals", "t_finishedby", "t_finishes",
    "t_intersects", "t_meets", "t_metby", "t_overlappedby", "t_overlaps", "t_startedby", "t_starts",
)  # fmt: skip
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}$")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$")
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
    >>> read_instant("2024-05-01T08:00:00") is None
    True
    """
    try:
        if _DATE.match(text) and expected != "timestamp":
            return Instant("date", None, date.fromisoformat(text))
        if _TIME.match(text) and expected != "date":
            return Instant("datetime", None, datetime.fromisoformat(text.upper()).astimezone(UTC))
    except (ValueError, OverflowError):
        return None
    return None


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


def relation(dialect: Dialect, op: str, left: Span, right: Span) -> str:
    """SQL of a temporal relation between two intervals."""
    ends = [e for span in (left, right) for e in (span.start, span.end) if e is not None]
    days = all(e.kind == "date" for e in ends)
    kind = dialect.types["date" if days else "datetime"]

    def start(span: Span) -> str:
        if span.start is None:
            return f"'-infinity'::{kind}"
        return str(span.start.sql) if days else _first(dialect, str(span.start.sql), span.start.kind)

    def end(span: Span, *, of_day: bool = True) -> str:
        if span.end is None:
            return f"'infinity'::{kind}"
        last = _last if of_day else _first
        return str(span.end.sql) if days else last(dialect, str(span.end.sql), span.end.kind)

    a, b, c, d = start(left), end(left), start(right), end(right)
    intersects = f"({a} <= {d} AND {b} >= {c})"
    return {
        "t_after": f"({a} > {d})",
        "t_before": f"({b} < {c})",
        "t_contains": f"({a} < {c} AND {b} > {d})",
        "t_disjoint": f"(NOT {intersects})",
        "t_during": f"({a} > {c} AND {b} < {d})",
        "t_equals": f"({a} = {c} AND {b} = {d})",
        "t_finishedby": f"({b} = {d} AND {a} < {c})",
        "t_finishes": f"({b} = {d} AND {a} > {c})",
        "t_intersects": intersects,
        "t_meets": f"({end(left, of_day=False)} = {c})",
        "t_metby": f"({a} = {end(right, of_day=False)})",
        "t_overlappedby": f"({a} > {c} AND {a} < {d} AND {b} > {d})",
        "t_overlaps": f"({a} < {c} AND {b} > {c} AND {b} < {d})",
        "t_startedby": f"({a} = {c} AND {b} > {d})",
        "t_starts": f"({a} = {c} AND {b} < {d})",
    }[op]
