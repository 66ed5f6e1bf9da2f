"""Arithmetic of CQL2 in double precision, with the same outcome in PostGIS, in DuckDB and in memory.

* What has no value is NULL, so the feature does not match: a division by zero, zero to a negative power, a fractional power
  of a negative number.
* What has a value that a double cannot hold, too large or so small that it would become zero, is an error. PostgreSQL ends
  the statement by itself; DuckDB would go on with infinity or zero, so it is told to end. Of literals alone this is found
  before any database is asked. Of properties it is found in the rows that the database looks at: of ``a OR b`` it need not
  calculate ``b`` where ``a`` decides, and the two databases choose differently.

``%`` has the sign of the dividend and ``div`` cuts towards zero. Source: OGC 21-065r2 (CQL2), clause 7.9; IEEE 754.
"""

from __future__ import annotations

import math

from spatial.store.dialect import Dialect

__all__ = ["ARITHMETIC", "BeyondDouble", "arithmetic_sql", "calculate", "written_size"]

ARITHMETIC = ("+", "-", "*", "/", "^", "%", "div")
_OUT = "error('value out of range')::double"


class BeyondDouble(ArithmeticError):
    """The result is too large for a double, or too small to differ from zero."""


def calculate(op: str, a: float | None, b: float | None) -> float | None:
    """Result of an operation; None where it has no value.

    Raises
    ------
    BeyondDouble

    Examples
    --------
    >>> calculate("div", -7, 2), calculate("%", -7, 2), calculate("^", -2, 3)
    (-3.0, -1.0, -8.0)
    >>> calculate("/", 1, 0), calculate("^", -8, 0.5), calculate("^", 0, -1)
    (None, None, None)
    """
    if a is None or b is None:
        return None
    a, b = float(a), float(b)
    match op:
        case "+":
            return _checked(a + b, may_vanish=True)
        case "-":
            return _checked(a - b, may_vanish=True)
        case "*":
            return _checked(a * b, may_vanish=a == 0 or b == 0)
        case "^":
            if (a == 0 and b < 0) or (a < 0 and not b.is_integer()):
                return None
            try:
                return _checked(math.pow(a, b), may_vanish=a == 0)
            except OverflowError:
                raise BeyondDouble from None
    if b == 0:
        return None
    ratio = _checked(a / b, may_vanish=a == 0)
    if op == "/":
        return ratio
    whole = float(math.trunc(ratio))
    return whole if op == "div" else a - b * whole


def _checked(value: float, *, may_vanish: bool) -> float:
    if math.isinf(value) or (value == 0 and not may_vanish):
        raise BeyondDouble
    return value


def arithmetic_sql(dialect: Dialect, op: str, a: str, b: str) -> str:
    """SQL of an operation on two expressions in double precision."""
    if dialect.name == "duckdb":
        return _duckdb(op, a, b)
    if op in {"+", "-", "*"}:
        return f"({a} {op} {b})"
    if op == "/":
        return f"({a} / nullif({b}, 0))"
    if op == "div":
        return f"trunc({a} / nullif({b}, 0))"
    if op == "%":
        return f"({a} - {b} * trunc({a} / nullif({b}, 0)))"
    exists = f"({a} > 0 OR ({a} = 0 AND {b} >= 0) OR ({a} < 0 AND {b} = trunc({b})))"
    return f"CASE WHEN {exists} THEN power({a}, {b}) END"


def _duckdb(op: str, a: str, b: str) -> str:
    if op in {"+", "-"}:
        guarded = f"CASE WHEN isinf(v.a {op} v.b) THEN {_OUT} ELSE v.a {op} v.b END"
    elif op == "*":
        guarded = (
            f"CASE WHEN isinf(v.a * v.b) OR (v.a * v.b = 0 AND v.a <> 0 AND v.b <> 0) THEN {_OUT} ELSE v.a * v.b END"
        )
    elif op == "^":
        exists = "v.a > 0 OR (v.a = 0 AND v.b >= 0) OR (v.a < 0 AND v.b = trunc(v.b))"
        power = "power(v.a, v.b)"
        guarded = (
            f"CASE WHEN NOT ({exists}) THEN NULL "
            f"WHEN isinf({power}) OR ({power} = 0 AND v.a <> 0) THEN {_OUT} ELSE {power} END"
        )
    else:
        wanted = {"/": "v.a / v.b", "div": "trunc(v.a / v.b)", "%": "v.a - v.b * trunc(v.a / v.b)"}[op]
        guarded = (
            f"CASE WHEN v.b = 0 THEN NULL WHEN isinf(v.a / v.b) OR (v.a / v.b = 0 AND v.a <> 0) THEN {_OUT} "
            f"ELSE {wanted} END"
        )
    # A list of one, so that each operand is written once however often the guard reads it.
    return f"list_transform([{{'a': {a}, 'b': {b}}}], lambda v: {guarded})[1]"


def written_size(op: str, a: int, b: int) -> int:
    """Characters of an operation whose operands have `a` and `b`, in the dialect that repeats its operands.

    The same whatever the store, so that both refuse the same filters.
    """
    times = {"%": (2, 2), "^": (4, 3)}.get(op, (1, 1))
    return times[0] * a + times[1] * b + 40
