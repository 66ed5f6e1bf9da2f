"""From CQL2 JSON to SQL with typed bound parameters, the same meaning on PostGIS and DuckDB.

Only the fields of the layer and its geometry can be named, only the operators listed here can be used, and every literal
is bound and cast. A literal that does not fit the type of the property is refused here, so that the database never sees
it.

Meaning, where the standard leaves room:

* text compares by code point; ``casei`` folds Latin, Greek, Cyrillic and full-width letters, ``accenti`` drops Latin
  accents;
* arithmetic is in double precision; a division by zero gives NULL, so the feature does not match; a result that a double
  cannot hold is an error;
* a date is a whole day in UTC wherever it meets a datetime.

Source: OGC 21-065r2 (CQL2), clauses 6–8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from spatial.catalog import Layer
from spatial.crs import CRS84, ServedCRS
from spatial.errors import InvalidFilter, SpatialError, UnknownProperty
from spatial.store.cql2_arithmetic import ARITHMETIC, BeyondDouble, arithmetic_sql, calculate, written_size
from spatial.store.cql2_geometry import geometry_literal, operand_parts
from spatial.store.cql2_temporal import TEMPORAL, Instant, Span, day_comparison, instant_fault, read_instant, relation
from spatial.store.cql2_text import MAX_DEPTH
from spatial.store.dialect import Dialect, Kind, Parameters, column
from spatial.store.letter_folding import fold, folding

__all__ = ["check_filter", "compile_filter"]

GEOMETRY_NAMES = ("geometry", "geom")
COMPARISONS = ("=", "<>", "<", "<=", ">", ">=")
SPATIAL = {
    "s_intersects": "ST_Intersects",
    "s_equals": "ST_Equals",
    "s_disjoint": "ST_Disjoint",
    "s_touches": "ST_Touches",
    "s_within": "ST_Within",
    "s_overlaps": "ST_Overlaps",
    "s_crosses": "ST_Crosses",
    "s_contains": "ST_Contains",
}
ALLOWED = ["and", "or", "not", *COMPARISONS, "like", "between", "in", "isNull", "casei", "accenti", *ARITHMETIC]
ALLOWED += [*SPATIAL, *TEMPORAL]
EXACT_FLOAT = 2**53
_PLAIN = 40
"""Most characters of an operand that is a field or a literal."""
MAX_VALUE, MAX_SQL = 64 * 1024, 1024 * 1024
"""Most characters of SQL of one operand, and of all comparisons: ``^`` and ``%`` name an operand more than once, so that a
short chain of them would grow until the process ends."""
MAX_ITEMS = 1_000
"""Most items of IN, and most pairs of members of two geometry collections."""


def compile_filter(cql2: Mapping[str, Any], layer: Layer, parameters: Parameters, filter_crs: ServedCRS) -> str:
    """SQL condition of a CQL2 JSON filter; its literals are added to `parameters`.

    Raises
    ------
    UnknownProperty
        A name that is no queryable; the message lists those that are.
    InvalidFilter
        An operator that is not allowed, a literal that does not fit, a geometry that is not valid.
    """
    return _Compiler(layer, parameters, filter_crs).condition(cql2)


def check_filter(cql2: Mapping[str, Any], layer: Layer, filter_crs: ServedCRS = CRS84) -> None:
    """Raise what `compile_filter` would raise, without a store."""
    from spatial.store.dialect import POSTGIS

    compile_filter(cql2, layer, Parameters(POSTGIS), filter_crs)


@dataclass(frozen=True, slots=True)
class _Operand:
    """A scalar: an SQL expression of a kind, or a literal that is bound once its partner's kind is known.

    `folds` are the foldings of letters that the expression still needs, the inner one first; `calculated` marks the result of
    arithmetic on literals; `size` is how long the expression is in whichever store.
    """

    kind: Kind
    sql: str | None = None
    value: Any = None
    folds: tuple[str, ...] = ()
    calculated: bool = False
    size: int = _PLAIN

    @property
    def is_literal(self) -> bool:
        return self.sql is None


class _Compiler:
    def __init__(self, layer: Layer, parameters: Parameters, filter_crs: ServedCRS) -> None:
        self.layer = layer
        self.parameters = parameters
        self.dialect: Dialect = parameters.dialect
        self.filter_crs = filter_crs
        self._depth = 0
        self._written = 0

    # --- errors ---------------------------------------------------------------------------------------------------

    def error(self, zh: str, en: str, **details: Any) -> SpatialError:
        return InvalidFilter(f"图层 {self.layer.id} 的过滤：{zh}", f"filter on layer {self.layer.id}: {en}",
                             layer=self.layer.id, parameter="filter", **details)  # fmt: skip

    def unknown_property(self, name: Any) -> SpatialError:
        allowed = [*(f.name for f in self.layer.fields), GEOMETRY_NAMES[0]]
        return UnknownProperty(
            f"图层 {self.layer.id} 没有可查询属性 {name!r}，可用：{'、'.join(allowed)}",
            f"layer {self.layer.id} has no queryable {name!r}; use one of {', '.join(allowed)}",
            layer=self.layer.id,
            property=str(name),
            allowed=allowed,
        )

    # --- conditions -----------------------------------------------------------------------------------------------

    def condition(self, node: Any) -> str:
        """Boolean SQL of a node."""
        self._depth += 1
        if self._depth > 2 * MAX_DEPTH:
            raise self.error(f"嵌套超过 {MAX_DEPTH} 层", f"nested deeper than {MAX_DEPTH}")
        try:
            return self._condition(node)
        finally:
            self._depth -= 1

    def _condition(self, node: Any) -> str:
        if isinstance(node, bool):
            return self.parameters.add(node, "boolean")
        op, args = self._call(node)
        if op == "property":
            operand = self.scalar(node)
            if operand.kind != "boolean":
                raise self.error(f"属性 {node['property']} 不是布尔型", f"property {node['property']} is not boolean")
            return str(operand.sql)
        if op in {"and", "or"}:
            if len(args) < 2:
                raise self.error(f"{op} 至少要两个参数", f"{op} needs at least two arguments")
            return "(" + f" {op.upper()} ".join(self.condition(a) for a in args) + ")"
        if op == "not":
            return f"(NOT {self.condition(*self._exactly(op, args, 1))})"
        if op in COMPARISONS:
            left, right = self._exactly(op, args, 2)
            return self.compare(op, self.scalar(left), self.scalar(right))
        if op in SPATIAL:
            return self.spatial(op, args)
        if op in TEMPORAL:
            left, right = self._exactly(op, args, 2)
            return self.temporal(op, left, right)
        special: dict[str, Callable[[list[Any]], str]] = {
            "like": self.like,
            "between": self.between,
            "in": self.is_in,
            "isnull": self.is_null,
        }
        if op in special:
            return special[op](args)
        raise self._not_allowed(op)

    def _not_allowed(self, op: Any) -> SpatialError:
        return self.error(
            f"不支持运算或函数 {op!r}，可用：{'、'.join(ALLOWED)}",
            f"operator or function {op!r} is not allowed; use one of {', '.join(ALLOWED)}",
            allowed=ALLOWED,
        )

    def _call(self, node: Any) -> tuple[str, list[Any]]:
        if isinstance(node, Mapping):
            if "property" in node:
                return "property", []
            op, args = node.get("op"), node.get("args", [])
            if isinstance(op, str) and isinstance(args, list):
                return op.lower(), args
        raise self.error("这里应为布尔表达式", "a boolean expression is expected here")

    def _exactly(self, op: str, args: list[Any], count: int) -> list[Any]:
        if len(args) != count:
            raise self.error(f"{op} 应有 {count} 个参数", f"{op} takes {count} arguments")
        return args

    # --- scalars --------------------------------------------------------------------------------------------------

    def scalar(self, node: Any) -> _Operand:
        """Value of a node: property, literal, arithmetic, ``casei`` or ``accenti``."""
        self._depth += 1
        if self._depth > 2 * MAX_DEPTH:
            raise self.error(f"嵌套超过 {MAX_DEPTH} 层", f"nested deeper than {MAX_DEPTH}")
        try:
            return self._scalar(node)
        finally:
            self._depth -= 1

    def _scalar(self, node: Any) -> _Operand:
        if isinstance(node, bool):
            return _Operand("boolean", value=node)
        if isinstance(node, int | float):
            return self._number(node)
        if isinstance(node, str):
            return _Operand("string", value=self._clean(node))
        if isinstance(node, Mapping):
            if "property" in node:
                name = node["property"]
                field = self.layer.field(name) if isinstance(name, str) else None
                if field is not None:
                    return _Operand(field.type, column(field.name))
                if name in GEOMETRY_NAMES:
                    return _Operand("geometry", "geom")
                raise self.unknown_property(name)
            for key in ("date", "timestamp"):
                if key in node:
                    instant = self._instant(node[key], expected=key)
                    return _Operand(instant.kind, value=instant.value)
            op = node.get("op")
            args = node.get("args")
            if isinstance(op, str) and isinstance(args, list):
                return self._function(op.lower(), args)
        if node is None:
            raise self.error("与 NULL 比较请用 IS NULL", "to compare with NULL use IS NULL")
        raise self.error("这里应为属性或字面值", "a property or a literal is expected here")

    def _number(self, value: float) -> _Operand:
        try:
            finite = math.isfinite(value)
        except OverflowError:
            finite = False
        if not finite:
            raise self.error("数值超出范围", "number out of range")
        if float(value).is_integer() and -(2**63) <= value < 2**63:
            return _Operand("integer", value=value)
        return _Operand("number", value=float(value))

    def _clean(self, text: str) -> str:
        try:
            text.encode()
        except UnicodeEncodeError:
            text = "\x00"
        if "\x00" in text:
            raise self.error("文本含有非法字符", "text holds a character that is not allowed")
        return text

    def _function(self, op: str, args: list[Any]) -> _Operand:
        if op in {"casei", "accenti"}:
            operand = self.scalar(self._exactly(op, args, 1)[0])
            if operand.kind != "string":
                raise self.error(f"{op} 只用于文本", f"{op} takes text only")
            if operand.is_literal:
                return _Operand("string", value=fold(operand.value, (op,)))
            return replace(operand, folds=(*operand.folds, op))
        if op in ARITHMETIC:
            operands = [self.scalar(a) for a in self._exactly(op, args, 2)]
            for operand in operands:
                if operand.kind not in {"integer", "number"}:
                    raise self.error(f"{op} 只用于数值", f"{op} takes numbers only")
            return self._arithmetic(op, *operands)
        raise self._not_allowed(op)

    def _arithmetic(self, op: str, left: _Operand, right: _Operand) -> _Operand:
        float_type = self.dialect.types["number"]
        if left.is_literal and right.is_literal:
            try:
                value = calculate(op, left.value, right.value)
            except BeyondDouble:
                shown = f"{float(left.value):g} {op} {float(right.value):g}"
                raise self.error(
                    f"算式 {shown} 的结果超出双精度浮点数的范围",
                    f"the result of {shown} is out of the range of a double",
                ) from None
            if value is None:
                return _Operand("number", f"NULL::{float_type}")
            return _Operand("number", value=value, calculated=True)
        self._check_length(left.size + right.size, MAX_VALUE)
        a, b = (f"({self.bound(o, 'number')})::{float_type}" for o in (left, right))
        return _Operand("number", arithmetic_sql(self.dialect, op, a, b), size=written_size(op, left.size, right.size))

    def _check_length(self, length: int, limit: int) -> None:
        if length > limit:
            raise self.error(
                "表达式过于复杂，请减少 ^、% 的嵌套或比较的个数",
                "too complex: nest fewer ^ and %, or compare fewer values",
            )

    def bound(self, operand: _Operand, kind: Kind) -> str:
        """SQL of an operand; a literal is bound as `kind`."""
        if operand.sql is not None:
            return _folded(operand)
        value = operand.value
        if kind == "number":
            value = float(value)
        elif kind == "integer":
            value = int(value)
        return self.parameters.add(value, kind)

    # --- comparisons ----------------------------------------------------------------------------------------------

    def compare(self, op: str, left: _Operand, right: _Operand) -> str:
        sql = self._comparison(op, left, right)
        self._written += len(sql) if max(left.size, right.size) <= _PLAIN else left.size + right.size
        self._check_length(self._written, MAX_SQL)
        return sql

    def _comparison(self, op: str, left: _Operand, right: _Operand) -> str:
        left, right = self._read_as(left, right), self._read_as(right, left)
        kinds = {left.kind, right.kind}
        if "geometry" in kinds:
            raise self.error("几何请用 S_* 函数比较", "compare geometries with S_* functions")
        if kinds == {"date", "datetime"}:
            a, b = self.bound(left, left.kind), self.bound(right, right.kind)
            return day_comparison(self.dialect, op, a, left.kind, b, right.kind)
        if kinds <= {"integer", "number"}:
            self._check_exact(left, right)
            return f"({self.bound(left, left.kind)} {op} {self.bound(right, right.kind)})"
        if len(kinds) != 1:
            raise self._mismatch(left, right)
        kind = left.kind
        if kind == "boolean" and op not in {"=", "<>"}:
            raise self.error("布尔值只能用 = 与 <> 比较", "booleans compare with = and <> only")
        if kind == "string" and op in {"=", "<>"}:
            return f"({self._text(left, right)} {op} {self._text(right, left)})"
        a, b = self.bound(left, kind), self.bound(right, kind)
        if kind == "string":
            a, b = self.dialect.ordered(a), self.dialect.ordered(b)
        return f"({a} {op} {b})"

    def _text(self, operand: _Operand, partner: _Operand) -> str:
        """SQL of a text that is tested for equality or likeness with a partner."""
        if operand.is_literal or not partner.is_literal:
            return self.bound(operand, "string")
        return _folded(operand, partner.value)

    def _read_as(self, operand: _Operand, partner: _Operand) -> _Operand:
        # '2024-01-01' against a date property is clear enough to be read as a date.
        if operand.is_literal and operand.kind == "string" and partner.kind in {"date", "datetime"}:
            instant = self._instant(operand.value)
            return _Operand(instant.kind, value=instant.value)
        return operand

    def _check_exact(self, left: _Operand, right: _Operand) -> None:
        for literal, other in ((left, right), (right, left)):
            is_float = isinstance(literal.value, float) and not literal.calculated
            if is_float and other.kind == "integer" and not other.is_literal and abs(literal.value) > EXACT_FLOAT:
                raise self.error(
                    f"整数 {literal.value:.0f} 超过 2^53，文本形式不能精确表示；请用 cql2-json",
                    f"integer {literal.value:.0f} is above 2^53 and not exact in CQL2 text; use cql2-json",
                )

    def _mismatch(self, left: _Operand, right: _Operand) -> SpatialError:
        return self.error(
            f"类型不符：{left.kind} 与 {right.kind} 不能比较",
            f"types do not match: {left.kind} cannot be compared with {right.kind}",
        )

    def like(self, args: list[Any]) -> str:
        value, pattern = (self.scalar(a) for a in self._exactly("like", args, 2))
        if value.kind != "string" or pattern.kind != "string":
            raise self.error("LIKE 只用于文本", "LIKE takes text only")
        literal = args[1]
        while isinstance(literal, Mapping) and literal.get("args"):
            literal = literal["args"][0]
        if not isinstance(literal, str):
            raise self.error("LIKE 的模式应为字面值", "the pattern of LIKE must be a literal")
        if (len(literal) - len(literal.rstrip("\\"))) % 2:
            raise self.error("LIKE 的模式不能以转义符 \\ 结尾", "the pattern of LIKE must not end with the escape \\")
        text, like = self._text(value, pattern), self.bound(pattern, "string")
        return f"({self.dialect.ordered(text)} LIKE {like} ESCAPE '\\')"

    def between(self, args: list[Any]) -> str:
        value, low, high = (self.scalar(a) for a in self._exactly("between", args, 3))
        return f"({self.compare('>=', value, low)} AND {self.compare('<=', value, high)})"

    def is_in(self, args: list[Any]) -> str:
        value, items = self._exactly("in", args, 2)
        if not isinstance(items, list):
            raise self.error("IN 应有一个列表", "IN takes a list")
        if len(items) > MAX_ITEMS:
            raise self.error(f"IN 最多 {MAX_ITEMS} 项", f"IN takes at most {MAX_ITEMS} items")
        operand = self.scalar(value)
        if operand.is_literal:
            # Bound once, or every item would bind it again.
            operand = _Operand(operand.kind, self.bound(operand, operand.kind))
        tests = [self.compare("=", operand, self.scalar(item)) for item in items]
        return "(" + " OR ".join(tests) + ")" if tests else "false"

    def is_null(self, args: list[Any]) -> str:
        operand = self.scalar(self._exactly("isNull", args, 1)[0])
        return f"({self.bound(operand, operand.kind)} IS NULL)"

    # --- space and time -------------------------------------------------------------------------------------------

    def spatial(self, op: str, args: list[Any]) -> str:
        sides: list[tuple[str, Any]] = []
        for node in self._exactly(op, args, 2):
            if isinstance(node, Mapping) and "property" in node:
                operand = self.scalar(node)
                if operand.kind != "geometry":
                    raise self.error(f"{node['property']} 不是几何", f"{node['property']} is not a geometry")
                sides.append((str(operand.sql), None))
            else:
                sides.append(("", geometry_literal(node, self.filter_crs, self.error)))
        parts = self._parts(op, sides)
        texts = []
        for a, b in parts:
            texts.append(f"{SPATIAL[op]}({a}, {b})")
        joiner = " AND " if op == "s_disjoint" else " OR "
        return "(" + joiner.join(texts) + ")"

    def _parts(self, op: str, sides: list[tuple[str, Any]]) -> list[tuple[str, str]]:
        """SQL of both sides, for every pair of their parts."""
        import shapely

        choices: list[list[str]] = []
        for sql, geometry in sides:
            if geometry is None:
                choices.append([sql])
                continue
            members = operand_parts(op, geometry, self.error)
            choices.append([self.parameters.add_geometry(shapely.to_wkb(m)) for m in members])
        if len(choices[0]) * len(choices[1]) > MAX_ITEMS:
            raise self.error(
                f"GEOMETRYCOLLECTION 的成员组合超过 {MAX_ITEMS} 个",
                f"geometry collections have more than {MAX_ITEMS} members or pairs of members",
            )
        return [(a, b) for a in choices[0] for b in choices[1]]

    def temporal(self, op: str, left: Any, right: Any) -> str:
        return relation(self.dialect, op, self._span(left), self._span(right), self._bind)

    def _span(self, node: Any) -> Span:
        if isinstance(node, Mapping) and "interval" in node:
            ends = node["interval"]
            if not isinstance(ends, list) or len(ends) != 2:
                raise self.error("INTERVAL 应有两端", "INTERVAL takes two ends")
            start, end = (None if e in ("..", None, "") else self._end(e) for e in ends)
            if start and end and start.value is not None and end.value is not None and start.moment > end.moment:
                raise self.error("INTERVAL 的起点晚于终点", "INTERVAL starts after its end")
            return Span(start, end)
        instant = self._end(node)
        return Span(instant, instant)

    def _end(self, node: Any) -> Instant:
        if isinstance(node, str):
            return self._instant(node)
        operand = self.scalar(node)
        if operand.kind not in {"date", "datetime"}:
            raise self.error("T_* 函数只用于日期与时间", "T_* functions take dates and times only")
        return Instant(operand.kind, operand.sql, operand.value)

    def _bind(self, instant: Instant) -> str:
        return instant.sql if instant.sql is not None else self.parameters.add(instant.value, instant.kind)

    def _instant(self, text: Any, expected: str | None = None) -> Instant:
        found = read_instant(text, expected) if isinstance(text, str) else None
        if found is None:
            raise self.error(*instant_fault(text))
        return found


def _folded(operand: _Operand, partner: str | None = None) -> str:
    """SQL of a field with its letters folded.

    Of a text that is to equal `partner`, only letters that fold to one of its letters matter: a table of a few letters
    instead of some three hundred makes a row eight times as fast. A partner that itself holds a letter which folding takes
    away can never be met, and must not be met by a letter that was left as it is: then all are folded.
    """
    table = folding(operand.folds) if operand.folds else {}
    if not table:
        return str(operand.sql)
    if partner is not None and not any(letter in table for letter in partner):
        table = {letter: folded for letter, folded in table.items() if folded in partner}
    if not table:
        return str(operand.sql)
    return f"translate({operand.sql}, '{''.join(table)}', '{''.join(table.values())}')"
