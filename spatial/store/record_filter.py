"""CQL2 over records in memory (内存中的记录过滤): the catalogue's records and STAC items, which are few and stand in no table.

The meaning is that of `spatial.store.cql2_sql`: three-valued logic (a missing value is unknown, and what is unknown does
not match), text by code point, a date as a whole day in UTC, arithmetic in double precision with NULL for a division by
zero and an error for what a double cannot hold. Beyond it there are array operators, and ``=`` or ``like`` between a list
and a text ask for one member.

Source: OGC 21-065r2 (CQL2), clauses 6–8.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal

from spatial.crs import CRS84, ServedCRS
from spatial.errors import InvalidFilter, SpatialError, UnknownProperty
from spatial.store.cql2_arithmetic import ARITHMETIC, BeyondDouble, calculate
from spatial.store.cql2_geometry import geometry_literal, operand_parts
from spatial.store.cql2_temporal import TEMPORAL, instant_fault, read_instant
from spatial.store.cql2_text import MAX_DEPTH
from spatial.store.letter_folding import ACCENTS, CASES

__all__ = ["Kind", "Span", "compile_record_filter"]

Kind = Literal["string", "number", "boolean", "datetime", "interval", "strings", "geometry"]
"""Type of a queryable; ``strings`` is a list of texts, ``interval`` a `Span`."""
Truth = bool | None
Test = Callable[[Any], Truth]

_FOLD_CASE = str.maketrans(*CASES)
_FOLD_ACCENTS = str.maketrans(*ACCENTS)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "<>": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_SPATIAL = ("intersects", "equals", "disjoint", "touches", "within", "overlaps", "crosses", "contains")
_ARRAYS = ("a_contains", "a_containedby", "a_equals", "a_overlaps")
ALLOWED = [
    "and", "or", "not", *_COMPARE, "like", "between", "in", "isNull", "casei", "accenti", *ARITHMETIC,
    *(f"s_{name}" for name in _SPATIAL), *TEMPORAL, *_ARRAYS,
]  # fmt: skip
_FIRST = datetime.min.replace(tzinfo=UTC)
_LAST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A time with both ends included, UTC; an open end is the first or last instant there is."""

    start: datetime
    end: datetime

    @classmethod
    def of(cls, start: datetime | None, end: datetime | None) -> Span:
        """Span with None for an open end."""
        return cls(start or _FIRST, end or _LAST)


@dataclass(frozen=True, slots=True)
class _Value:
    """An operand: its kind, and its value in a record; a literal is the same in all."""

    kind: str
    get: Callable[[Any], Any]
    literal: Any = None


def compile_record_filter(
    cql2: Mapping[str, Any],
    queryables: Mapping[str, Kind],
    value: Callable[[Any, str], Any],
    *,
    filter_crs: ServedCRS = CRS84,
    subject: tuple[str, str] = ("记录", "records"),
) -> Callable[[Any], bool]:
    """Test of a record, from CQL2 JSON as `spatial.store.cql2_text.parse_filter` gives it.

    Parameters
    ----------
    queryables : mapping
        Name → kind; nothing else can be named.
    value : callable
        Record and name of a queryable → value or None: text, number, boolean, `datetime` with zone, `Span`, list of texts,
        or shapely geometry (x = longitude).
    filter_crs : ServedCRS
        CRS of the geometries in the filter.
    subject : tuple of str
        What is filtered, in Chinese and English, for messages.

    Raises
    ------
    UnknownProperty, InvalidFilter

    Examples
    --------
    >>> test = compile_record_filter(
    ...     {"op": "like", "args": [{"property": "title"}, "%地形%"]}, {"title": "string"}, lambda r, n: r.get(n)
    ... )
    >>> test({"title": "湖北地形"}), test({})
    (True, False)
    """
    test = _Compiler(queryables, value, filter_crs, subject).condition(cql2, 0)
    return lambda record: test(record) is True


class _Compiler:
    def __init__(
        self,
        queryables: Mapping[str, Kind],
        value: Callable[[Any, str], Any],
        filter_crs: ServedCRS,
        subject: tuple[str, str],
    ) -> None:
        self.queryables = queryables
        self.value = value
        self.filter_crs = filter_crs
        self.subject = subject

    def error(self, zh: str, en: str, **details: Any) -> SpatialError:
        return InvalidFilter(
            f"{self.subject[0]}的过滤：{zh}", f"filter on {self.subject[1]}: {en}", parameter="filter", **details
        )

    def condition(self, node: Any, depth: int) -> Test:
        """Test of a boolean node."""
        if depth > 2 * MAX_DEPTH:
            raise self.error(f"嵌套超过 {MAX_DEPTH} 层", f"nested deeper than {MAX_DEPTH}")
        if isinstance(node, bool):
            return lambda _: node
        if isinstance(node, Mapping) and "property" in node:
            found = self.operand(node, depth)
            if found.kind != "boolean":
                raise self.error(f"属性 {node['property']} 不是布尔型", f"property {node['property']} is not boolean")
            return found.get
        op, args = self._call(node)
        if op in {"and", "or"}:
            return self._join(op, [self.condition(a, depth + 1) for a in args])
        if op == "not":
            inner = self.condition(self._exactly(op, args, 1)[0], depth + 1)
            return lambda record: _not(inner(record))
        if op in _COMPARE:
            left, right = (self.operand(a, depth + 1) for a in self._exactly(op, args, 2))
            return self._compare(op, left, right)
        if op == "like":
            return self._like(args, depth)
        if op == "between":
            if len(args) == 2 and isinstance(args[1], list):
                args = [args[0], *args[1]]  # the form of a draft, which STAC clients still send
            value, low, high = (self.operand(a, depth + 1) for a in self._exactly(op, args, 3))
            return self._join("and", [self._compare(">=", value, low), self._compare("<=", value, high)])
        if op == "in":
            first, items = self._exactly(op, args, 2)
            if not isinstance(items, list):
                raise self.error("IN 应有一个列表", "IN takes a list")
            value = self.operand(first, depth + 1)
            if not items:
                return lambda _: False
            return self._join("or", [self._compare("=", value, self.operand(i, depth + 1)) for i in items], least=1)
        if op == "isnull":
            value = self.operand(self._exactly(op, args, 1)[0], depth + 1)
            return lambda record: value.get(record) in (None, [], ())
        if op.startswith("s_") and op[2:] in _SPATIAL:
            return self._spatial(op[2:], args)
        if op in TEMPORAL:
            first_time, second_time = (self._time(a, depth + 1) for a in self._exactly(op, args, 2))
            return _temporal(op, first_time, second_time)
        if op in _ARRAYS:
            return self._arrays(op, args)
        raise self._not_allowed(op)

    def _not_allowed(self, op: Any) -> SpatialError:
        return self.error(
            f"不支持运算或函数 {op!r}，可用：{'、'.join(ALLOWED)}",
            f"operator or function {op!r} is not allowed; use one of {', '.join(ALLOWED)}",
            allowed=ALLOWED,
        )

    def _call(self, node: Any) -> tuple[str, list[Any]]:
        if isinstance(node, Mapping):
            op, args = node.get("op"), node.get("args", [])
            if isinstance(op, str) and isinstance(args, list):
                return op.lower(), args
        raise self.error("这里应为布尔表达式", "a boolean expression is expected here")

    def _exactly(self, op: str, args: list[Any], count: int) -> list[Any]:
        if len(args) != count:
            raise self.error(f"{op} 应有 {count} 个参数", f"{op} takes {count} arguments")
        return args

    def _join(self, op: str, tests: list[Test], least: int = 2) -> Test:
        if len(tests) < least:
            raise self.error(f"{op} 至少要两个参数", f"{op} needs at least two arguments")
        decided = op == "or"

        def joined(record: Any) -> Truth:
            unknown = False
            for test in tests:
                found = test(record)
                if found is decided:
                    return decided
                unknown = unknown or found is None
            return None if unknown else not decided

        return joined

    # --- operands ---------------------------------------------------------------------------------------------------

    def operand(self, node: Any, depth: int) -> _Value:
        """A property, a literal, arithmetic, ``casei`` or ``accenti``."""
        if depth > 2 * MAX_DEPTH:
            raise self.error(f"嵌套超过 {MAX_DEPTH} 层", f"nested deeper than {MAX_DEPTH}")
        if isinstance(node, bool):
            return _literal("boolean", node)
        if isinstance(node, int | float):
            try:
                finite = math.isfinite(node)
            except OverflowError:
                finite = False
            if not finite:
                raise self.error("数值超出范围", "number out of range")
            return _literal("number", node)
        if isinstance(node, str):
            return _literal("string", node)
        if node is None:
            raise self.error("与 NULL 比较请用 IS NULL", "to compare with NULL use IS NULL")
        if isinstance(node, Mapping):
            if "property" in node:
                return self._property(node["property"])
            for key in ("date", "timestamp"):
                if key in node:
                    return self._instant(node[key], key)
            op, args = node.get("op"), node.get("args")
            if isinstance(op, str) and isinstance(args, list):
                return self._function(op.lower(), args, depth)
        raise self.error("这里应为属性或字面值", "a property or a literal is expected here")

    def _property(self, name: Any) -> _Value:
        if not isinstance(name, str) or name not in self.queryables:
            allowed = list(self.queryables)
            raise UnknownProperty(
                f"{self.subject[0]}没有可查询属性 {str(name)[:80]!r}，可用：{'、'.join(allowed)}",
                f"{self.subject[1]} have no queryable {str(name)[:80]!r}; use one of {', '.join(allowed)}",
                property=str(name)[:200],
                allowed=allowed,
            )
        kind, value = self.queryables[name], self.value
        return _Value(kind, lambda record: value(record, name))

    def _instant(self, text: Any, expected: str | None = None) -> _Value:
        found = read_instant(text, expected) if isinstance(text, str) else None
        if found is None:
            raise self.error(*instant_fault(text))
        return _literal("interval", _whole(found.value))

    def _function(self, op: str, args: list[Any], depth: int) -> _Value:
        if op in {"casei", "accenti"}:
            inner = self.operand(self._exactly(op, args, 1)[0], depth + 1)
            if inner.kind not in {"string", "strings"}:
                raise self.error(f"{op} 只用于文本", f"{op} takes text only")
            table = _FOLD_CASE if op == "casei" else _FOLD_ACCENTS

            def folded(record: Any) -> Any:
                value = inner.get(record)
                if isinstance(value, str):
                    return value.translate(table)
                return None if value is None else [text.translate(table) for text in value]

            return _Value(inner.kind, folded, None if inner.literal is None else inner.literal.translate(table))
        if op in ARITHMETIC:
            a, b = (self.operand(v, depth + 1) for v in self._exactly(op, args, 2))
            if {a.kind, b.kind} != {"number"}:
                raise self.error(f"{op} 只用于数值", f"{op} takes numbers only")
            found = _Value("number", lambda record: self._calculated(op, a.get(record), b.get(record)))
            if a.literal is None or b.literal is None:
                return found
            value = found.get(None)  # an error, if it is one, whatever the records
            return _Value("number", lambda _: value, value)
        raise self._not_allowed(op)

    def _calculated(self, op: str, a: float | None, b: float | None) -> float | None:
        try:
            return calculate(op, a, b)
        except BeyondDouble:
            shown = f"{a:g} {op} {b:g}"
            raise self.error(
                f"算式 {shown} 的结果超出双精度浮点数的范围", f"the result of {shown} is out of the range of a double"
            ) from None

    # --- tests ------------------------------------------------------------------------------------------------------

    def _compare(self, op: str, left: _Value, right: _Value) -> Test:
        times = {"datetime", "interval"}
        if left.kind in times and right.kind == "string" and right.literal is not None:
            right = self._instant(right.literal)
        elif right.kind in times and left.kind == "string" and left.literal is not None:
            left = self._instant(left.literal)
        kinds = {left.kind, right.kind}
        if "geometry" in kinds:
            raise self.error("几何请用 S_* 函数比较", "compare geometries with S_* functions")
        if kinds <= times:
            return _compare_times(op, left, right)
        if kinds == {"strings", "string"} and op in {"=", "<>"}:
            many, one = (left, right) if left.kind == "strings" else (right, left)

            def member(record: Any) -> Truth:
                values, wanted = many.get(record), one.get(record)
                if values is None or wanted is None:
                    return None
                return (wanted in values) is (op == "=")

            return member
        if len(kinds) != 1 or "strings" in kinds:
            raise self.error(
                f"类型不符：{left.kind} 与 {right.kind} 不能比较",
                f"types do not match: {left.kind} cannot be compared with {right.kind}",
            )
        if kinds == {"boolean"} and op not in {"=", "<>"}:
            raise self.error("布尔值只能用 = 与 <> 比较", "booleans compare with = and <> only")
        compare = _COMPARE[op]

        def test(record: Any) -> Truth:
            a, b = left.get(record), right.get(record)
            return None if a is None or b is None else compare(a, b)

        return test

    def _like(self, args: list[Any], depth: int) -> Test:
        value, pattern = (self.operand(a, depth + 1) for a in self._exactly("like", args, 2))
        if value.kind not in {"string", "strings"} or pattern.kind != "string":
            raise self.error("LIKE 只用于文本", "LIKE takes text only")
        if pattern.literal is None:
            raise self.error("LIKE 的模式应为字面值", "the pattern of LIKE must be a literal")
        expression = re.compile(self._expression(pattern.literal), re.DOTALL)

        def test(record: Any) -> Truth:
            found = value.get(record)
            if found is None:
                return None
            return any(map(expression.fullmatch, [found] if isinstance(found, str) else found))

        return test

    def _expression(self, pattern: str) -> str:
        if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
            raise self.error("LIKE 的模式不能以转义符 \\ 结尾", "the pattern of LIKE must not end with the escape \\")
        # Runs of % are one: ".*.*" would let a crafted pattern take very long.
        parts = re.findall(r"\\.|%+|_|[^\\%_]+", pattern, re.DOTALL)
        if sum(p.startswith("%") for p in parts) > 10:
            raise self.error("LIKE 的模式最多含 10 个 %", "the pattern of LIKE may hold at most 10 %")
        signs = {"%": ".*", "_": "."}
        return "".join(signs.get(p[0]) or re.escape(p[1:] if p.startswith("\\") else p) for p in parts)

    def _spatial(self, name: str, args: list[Any]) -> Test:
        import shapely

        predicate = getattr(shapely, name)
        sides: list[Callable[[Any], Any]] = []
        for node in self._exactly(f"s_{name}", args, 2):
            if isinstance(node, Mapping) and "property" in node:
                found = self._property(node["property"])
                if found.kind != "geometry":
                    raise self.error(f"{node['property']} 不是几何", f"{node['property']} is not a geometry")
                sides.append(_members(found.get))
            else:
                geometry = geometry_literal(node, self.filter_crs, self.error)
                sides.append(_literal("geometry", operand_parts(f"s_{name}", geometry, self.error)).get)
        every = all if name == "disjoint" else any

        def test(record: Any) -> Truth:
            first, second = (side(record) for side in sides)
            return None if first is None or second is None else every(predicate(a, b) for a in first for b in second)

        return test

    def _time(self, node: Any, depth: int) -> Callable[[Any], Span | None]:
        if isinstance(node, Mapping) and "interval" in node:
            ends = node["interval"]
            if not isinstance(ends, list) or len(ends) != 2:
                raise self.error("INTERVAL 应有两端", "INTERVAL takes two ends")
            first, last = (None if e in ("..", None, "") else self._time(e, depth + 1) for e in ends)

            def span(record: Any) -> Span | None:
                a = Span.of(None, None) if first is None else first(record)
                b = Span.of(None, None) if last is None else last(record)
                return None if a is None or b is None else Span(a.start, b.end)

            fixed = span(None) if not any(isinstance(e, Mapping) and "property" in e for e in ends) else None
            if fixed is not None and fixed.start > fixed.end:
                raise self.error("INTERVAL 的起点晚于终点", "INTERVAL starts after its end")
            return span
        found = self._instant(node) if isinstance(node, str) else self.operand(node, depth)
        if found.kind not in {"datetime", "interval"}:
            raise self.error("T_* 函数只用于日期与时间", "T_* functions take dates and times only")
        return _as_span(found)

    def _arrays(self, op: str, args: list[Any]) -> Test:
        sides: list[Callable[[Any], Any]] = []
        for node in self._exactly(op, args, 2):
            if isinstance(node, list) and all(isinstance(text, str) for text in node):
                sides.append(_literal("strings", frozenset(node)).get)
                continue
            found = self._property(node["property"]) if isinstance(node, Mapping) and "property" in node else None
            if found is None or found.kind != "strings":
                raise self.error(f"{op} 只用于文本列表", f"{op} takes lists of texts only")
            sides.append(found.get)

        def test(record: Any) -> Truth:
            first, second = (side(record) for side in sides)
            if first is None or second is None:
                return None
            a, b = frozenset(first), frozenset(second)
            return {"a_contains": a >= b, "a_containedby": a <= b, "a_equals": a == b, "a_overlaps": bool(a & b)}[op]

        return test


def _members(get: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def members(record: Any) -> Any:
        geometry = get(record)
        return None if geometry is None else [geometry]

    return members


def _literal(kind: str, value: Any) -> _Value:
    return _Value(kind, lambda _: value, value)


def _not(value: Truth) -> Truth:
    return None if value is None else not value


def _whole(value: datetime | date) -> Span:
    """A date as the whole day in UTC."""
    if isinstance(value, datetime):
        return Span(value, value)
    start = datetime.combine(value, time(), UTC)
    return Span(start, start + timedelta(days=1) - timedelta(microseconds=1))


def _as_span(value: _Value) -> Callable[[Any], Span | None]:
    def span(record: Any) -> Span | None:
        found = value.get(record)
        return Span(found, found) if isinstance(found, datetime) else found

    return span


def _compare_times(op: str, left: _Value, right: _Value) -> Test:
    first, second = _as_span(left), _as_span(right)

    def test(record: Any) -> Truth:
        a, b = first(record), second(record)
        if a is None or b is None:
            return None
        same = a.start <= b.end and a.end >= b.start
        return {
            "=": same,
            "<>": not same,
            "<": a.end < b.start,
            "<=": a.start <= b.end,
            ">": a.start > b.end,
            ">=": a.end >= b.start,
        }[op]

    return test


_RELATIONS: dict[str, Callable[[Span, Span], bool]] = {
    "t_before": lambda a, b: a.end < b.start,
    "t_during": lambda a, b: a.start > b.start and a.end < b.end,
    "t_equals": lambda a, b: a.start == b.start and a.end == b.end,
    "t_finishes": lambda a, b: a.end == b.end and a.start > b.start,
    "t_meets": lambda a, b: a.end == b.start,
    "t_overlaps": lambda a, b: a.start < b.start < a.end < b.end,
    "t_starts": lambda a, b: a.start == b.start and a.end < b.end,
    "t_intersects": lambda a, b: a.start <= b.end and a.end >= b.start,
    "t_disjoint": lambda a, b: a.start > b.end or a.end < b.start,
}
_INVERSE = {
    "t_after": "t_before",
    "t_contains": "t_during",
    "t_finishedby": "t_finishes",
    "t_metby": "t_meets",
    "t_overlappedby": "t_overlaps",
    "t_startedby": "t_starts",
}


def _temporal(op: str, left: Callable[[Any], Span | None], right: Callable[[Any], Span | None]) -> Test:
    if op in _INVERSE:
        op, left, right = _INVERSE[op], right, left
    relation = _RELATIONS[op]

    def test(record: Any) -> Truth:
        a, b = left(record), right(record)
        return None if a is None or b is None else relation(a, b)

    return test
