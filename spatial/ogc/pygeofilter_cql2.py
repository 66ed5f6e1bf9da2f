"""From pygeofilter's syntax tree, which pygeoapi hands to its providers, to CQL2 JSON, which our stores read."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from spatial.errors import InvalidFilter

__all__ = ["to_cql2"]

_COMPARISONS = {
    "Equal": "=",
    "NotEqual": "<>",
    "LessThan": "<",
    "LessEqual": "<=",
    "GreaterThan": ">",
    "GreaterEqual": ">=",
    "Add": "+",
    "Sub": "-",
    "Mul": "*",
    "Div": "/",
    "GeometryEquals": "s_equals",
    "GeometryDisjoint": "s_disjoint",
    "GeometryTouches": "s_touches",
    "GeometryWithin": "s_within",
    "GeometryOverlaps": "s_overlaps",
    "GeometryCrosses": "s_crosses",
    "GeometryIntersects": "s_intersects",
    "GeometryContains": "s_contains",
    "TimeAfter": "t_after",
    "TimeBefore": "t_before",
    "TimeBegins": "t_starts",
    "TimeBegunBy": "t_startedBy",
    "TimeContains": "t_contains",
    "TimeDisjoint": "t_disjoint",
    "TimeDuring": "t_during",
    "TimeEnds": "t_finishes",
    "TimeEndedBy": "t_finishedBy",
    "TimeEquals": "t_equals",
    "TimeMeets": "t_meets",
    "TimeMetBy": "t_metBy",
    "TimeOverlaps": "t_overlaps",
    "TimeOverlappedBy": "t_overlappedBy",
    "And": "and",
    "Or": "or",
}
_FUNCTIONS = {"lower": "casei", "casei": "casei", "accenti": "accenti"}


def _instant(value: date | datetime) -> dict[str, str]:
    if isinstance(value, datetime):
        return {"timestamp": value.isoformat().replace("+00:00", "Z")}
    return {"date": value.isoformat()}


def _negate(found: dict[str, Any], negated: bool) -> dict[str, Any]:
    return {"op": "not", "args": [found]} if negated else found


def to_cql2(node: Any) -> Any:
    """CQL2 JSON of a node.

    Raises
    ------
    InvalidFilter
        For what has no counterpart, and for ``BBOX(…)``: pygeoapi does not say in which CRS its numbers are.

    Examples
    --------
    >>> from pygeofilter.parsers.cql2_text import parse
    >>> to_cql2(parse("level > 3"))
    {'op': '>', 'args': [{'property': 'level'}, 3]}
    """
    from pygeofilter import ast, values

    if node is None or isinstance(node, str | int | float | bool):
        return node
    if isinstance(node, date):
        return _instant(node)
    kind = type(node).__name__
    if kind in _COMPARISONS:
        return {"op": _COMPARISONS[kind], "args": [to_cql2(node.lhs), to_cql2(node.rhs)]}
    match node:
        case ast.Attribute():
            return {"property": node.name.strip('"')}
        case ast.Not():
            return {"op": "not", "args": [to_cql2(node.sub_node)]}
        case ast.Between():
            found = {"op": "between", "args": [to_cql2(node.lhs), to_cql2(node.low), to_cql2(node.high)]}
            return _negate(found, node.not_)
        case ast.Like():
            found = {"op": "like", "args": [to_cql2(node.lhs), node.pattern]}
            return _negate(found, node.not_)
        case ast.In():
            found = {"op": "in", "args": [to_cql2(node.lhs), [to_cql2(part) for part in node.sub_nodes]]}
            return _negate(found, node.not_)
        case ast.IsNull():
            return _negate({"op": "isNull", "args": [to_cql2(node.lhs)]}, node.not_)
        case ast.Function() if node.name.lower() in _FUNCTIONS:
            return {"op": _FUNCTIONS[node.name.lower()], "args": [to_cql2(part) for part in node.arguments]}
        case values.Geometry():
            return {"type": node.geometry["type"], "coordinates": _lists(node.geometry["coordinates"])}
        case values.Interval():
            ends = [".." if end is None else next(iter(_instant(end).values())) for end in (node.start, node.end)]
            return {"interval": ends}
    raise InvalidFilter(
        f"此服务形式不支持过滤成分 {kind}；空间范围请写 POLYGON",
        f"{kind} is not supported here; write an area as a POLYGON",
        parameter="filter",
    )


def _lists(coordinates: Any) -> Any:
    return [_lists(part) for part in coordinates] if isinstance(coordinates, list | tuple) else coordinates
