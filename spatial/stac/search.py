"""Item search (条目检索): parameters of GET and POST, the CQL2 filter, order, pages by token, and the fields to answer.

Source: STAC API 1.0.0 (item search), extensions filter 1.0.0-rc.3, sort 1.0.0, fields 1.0.0, query 1.0.0.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatial.crs import CRS84, bbox_polygon, parse_crs
from spatial.errors import InvalidParameter, UnknownParameter
from spatial.rfc3339 import INSTANT, read_interval
from spatial.store.cql2_geometry import geometry_literal
from spatial.store.cql2_text import parse_filter
from spatial.store.record_filter import Kind, Span, compile_record_filter

if TYPE_CHECKING:
    from spatial.stac.items import Item

__all__ = [
    "ITEMS_PARAMETERS", "QUERYABLES", "SEARCH_PARAMETERS", "SORTABLES", "Fields", "Found", "SearchRequest", "pruned",
    "read_query", "read_search", "run_search", "scene_value",
]  # fmt: skip

QUERYABLES: dict[str, Kind] = {
    "id": "string",
    "collection": "string",
    "geometry": "geometry",
    "datetime": "interval",
    "start_datetime": "datetime",
    "end_datetime": "datetime",
    "created": "datetime",
    "updated": "datetime",
    "title": "string",
    "description": "string",
    "keywords": "strings",
    "version": "string",
    "license": "string",
    "theme": "string",
    "grade": "string",
    "synthetic": "boolean",
    "derived_from": "strings",
    "bands": "strings",
    "proj:epsg": "number",
    "proj:code": "string",
    "eo:cloud_cover": "number",
    "gsd": "number",
    "mission": "string",
    "platform": "string",
    "constellation": "string",
    "instruments": "strings",
}
"""Queryables (可查询字段) of an item; those of scenes have values where a registered item brought them."""
SORTABLES = ("id", "collection", "datetime", "created", "updated", "title", "version", "grade", "theme")
ITEMS_PARAMETERS = (
    "limit", "bbox", "datetime", "filter", "filter-lang", "filter-crs", "sortby", "fields", "token", "f", "lang",
)  # fmt: skip
SEARCH_PARAMETERS = ("collections", "ids", "intersects", "query", *ITEMS_PARAMETERS)
DEFAULT_LIMIT, MAX_LIMIT = 10, 1000
_LISTS = ("collections", "ids", "sortby", "fields")
_MOST = 1000
_MOST_RULES = 100


@dataclass(frozen=True, slots=True)
class Fields:
    """Members wanted (``include``, None where nothing is said) and not wanted; dotted names reach inside."""

    include: frozenset[str] | None
    exclude: frozenset[str]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search, checked."""

    tests: tuple[Callable[[Item], bool], ...]
    sort: tuple[tuple[str, bool], ...]
    limit: int
    token: str | None
    fields: Fields | None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search."""

    scenes: Sequence[Item]
    matched: int
    following: str | None
    """Token of the next page."""


def _invalid(name: str, zh: str, en: str, value: Any = None) -> InvalidParameter:
    found = "" if value is None else str(value)[:80]
    return InvalidParameter(
        f"参数 {name} {zh}" + (f"，收到 {found!r}" if found else ""),
        f"{name} {en}" + (f", got {found!r}" if found else ""),
        parameter=name,
        **({"value": str(value)[:200]} if value is not None else {}),
    )


def read_query(items: Sequence[tuple[str, str]], allowed: Sequence[str]) -> dict[str, Any]:
    """Query parameters of a GET in the form of a POST body; each known and given once.

    Raises
    ------
    UnknownParameter, InvalidParameter
    """
    found: dict[str, Any] = {}
    for name, text in items:
        _known(name, allowed)
        if name in found:
            raise InvalidParameter(f"参数 {name} 重复给出", f"parameter {name} is given twice", parameter=name)
        found[name] = text
    for name in _LISTS:
        if name in found:
            found[name] = [part.strip() for part in found[name].split(",") if part.strip()]
    if "bbox" in found:
        try:
            found["bbox"] = [float(part) for part in found["bbox"].split(",")]
        except ValueError:
            raise _invalid("bbox", "应为 4 或 6 个数", "must be 4 or 6 numbers", found["bbox"]) from None
    if "limit" in found:
        if not re.fullmatch(r"\+?\d{1,9}", found["limit"], re.ASCII):
            raise _invalid("limit", "应为正整数", "must be a positive integer", found["limit"])
        found["limit"] = int(found["limit"])
    for name, zh, en in (
        ("intersects", "应为 GeoJSON 几何", "must be a GeoJSON geometry"),
        ("query", "应为 JSON 对象", "must be a JSON object"),
    ):
        if name in found:
            try:
                found[name] = json.loads(found[name])
            except (ValueError, RecursionError):
                raise _invalid(name, zh, en) from None
    if "sortby" in found:
        found["sortby"] = [
            {"field": part.lstrip("+- "), "direction": "desc" if part.startswith("-") else "asc"}
            for part in found["sortby"]
        ]
    if "fields" in found:
        names = found["fields"]
        wanted = [name.lstrip("+ ") for name in names if not name.startswith("-")]
        found["fields"] = {"exclude": [name[1:] for name in names if name.startswith("-")]}
        found["fields"] |= {"include": wanted} if wanted else {}
    return found


def _known(name: str, allowed: Sequence[str]) -> None:
    if name not in allowed:
        raise UnknownParameter(
            f"没有参数 {name[:80]!r}；可用：{'、'.join(allowed)}",
            f"no parameter {name[:80]!r}; allowed: {', '.join(allowed)}",
            parameter=name[:200],
            allowed=list(allowed),
        )


def read_search(body: Mapping[str, Any], *, collection: str | None = None) -> SearchRequest:
    """A search from the members of a POST body (or `read_query`).

    Raises
    ------
    UnknownParameter, InvalidParameter, InvalidFilter, UnknownProperty
    """
    for name in body:
        _known(str(name), SEARCH_PARAMETERS)
    tests: list[Callable[[Item], bool]] = []
    if collection is not None:
        tests.append(lambda scene: scene.collection == collection)
    for name, member in (("collections", "collection"), ("ids", "id")):
        if body.get(name) is not None:
            tests.append(_one_of(member, frozenset(_texts(body, name))))
    if body.get("bbox") is not None and body.get("intersects") is not None:
        raise _invalid("intersects", "与 bbox 只能给出一个", "and bbox must not be given together")
    if body.get("bbox") is not None:
        tests.append(_inside(_box(body["bbox"])))
    if body.get("intersects") is not None:
        tests.append(_inside(geometry_literal(body["intersects"], CRS84, _geometry_error)))
    if body.get("datetime") is not None:
        wanted = _interval(body["datetime"])
        tests.append(lambda scene: scene.span.start <= wanted.end and scene.span.end >= wanted.start)
    tests += [condition for condition in (_filter(body), _queried(body.get("query"))) if condition is not None]
    return SearchRequest(tuple(tests), _sort(body), _limit(body), _token(body), _fields(body))


def _one_of(member: str, wanted: frozenset[str]) -> Callable[[Item], bool]:
    return lambda scene: getattr(scene, member) in wanted


def _inside(area: Any) -> Callable[[Item], bool]:
    return lambda scene: bool(area.intersects(scene.geometry))


def _geometry_error(zh: str, en: str, **details: Any) -> InvalidParameter:
    return InvalidParameter(f"参数 intersects：{zh}", f"intersects: {en}", parameter="intersects", **details)


def _texts(body: Mapping[str, Any], name: str) -> list[str]:
    value = body[name]
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]  # some clients send one text
    if not isinstance(value, list) or len(value) > _MOST or not all(isinstance(text, str) for text in value):
        raise _invalid(name, f"应为至多 {_MOST} 个文本的列表", f"must be a list of at most {_MOST} texts")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _box(value: Any) -> Any:
    if not isinstance(value, list) or len(value) not in (4, 6) or not all(_is_number(v) for v in value):
        raise _invalid("bbox", "应为 4 或 6 个数", "must be 4 or 6 numbers", value)
    return bbox_polygon([float(v) for v in value], CRS84)


def _interval(value: Any) -> Span:
    if not isinstance(value, str):
        raise _invalid("datetime", "应为文本", "must be a text", value)
    # STAC API 1.0.0, item search: instants only; a date alone is refused, as the validator asks.
    start, end = read_interval(value, precisions=INSTANT)
    if start is None and end is None:
        raise _invalid("datetime", "至少应有一端", "must have at least one end", value)
    return Span.of(start, end)


def _limit(body: Mapping[str, Any]) -> int:
    value = body.get("limit")
    if value is None:
        return DEFAULT_LIMIT
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _invalid("limit", "应为正整数", "must be a positive integer", value)
    return min(value, MAX_LIMIT)


def _sort(body: Mapping[str, Any]) -> tuple[tuple[str, bool], ...]:
    rules = body.get("sortby")
    if rules is None:
        return ()
    found = []
    for rule in rules if isinstance(rules, list) else [rules]:
        name = rule.get("field") if isinstance(rule, dict) else None
        direction = rule.get("direction", "asc") if isinstance(rule, dict) else None
        short = name.removeprefix("properties.") if isinstance(name, str) else ""
        if short not in SORTABLES or direction not in ("asc", "desc"):
            raise _invalid(
                "sortby",
                f"只能按以下字段排序：{'、'.join(SORTABLES)}",
                f"takes fields out of {', '.join(SORTABLES)}",
                name,
            )
        found.append((short, direction == "desc"))
    return tuple(found)


def _fields(body: Mapping[str, Any]) -> Fields | None:
    if "fields" not in body:
        return None
    value = body["fields"]
    if not isinstance(value, dict) or not set(value) <= {"include", "exclude"}:
        raise _invalid("fields", "应为 include 与 exclude", "must hold include and exclude")
    parts = []
    for name in ("include", "exclude"):
        names = value.get(name) or []
        if not isinstance(names, list) or not all(isinstance(text, str) for text in names):
            raise _invalid("fields", f"的 {name} 应为文本列表", f".{name} must be a list of texts")
        parts.append(frozenset(names))
    return Fields(parts[0] if "include" in value else None, parts[1])


def _filter(body: Mapping[str, Any]) -> Callable[[Any], bool] | None:
    document = body.get("filter")
    text = isinstance(document, str)
    lang = body.get("filter-lang", "cql2-text" if text else "cql2-json")
    if lang not in ("cql2-text", "cql2-json"):
        raise _invalid("filter-lang", "应为 cql2-text 或 cql2-json", "must be cql2-text or cql2-json", lang)
    crs = CRS84
    if body.get("filter-crs") is not None:
        crs = parse_crs(str(body["filter-crs"]), parameter="filter-crs")
    if document is None:
        return None
    if not isinstance(document, str | dict):
        raise _invalid("filter", "应为 CQL2 文本或 JSON", "must be CQL2 text or JSON")
    return compile_record_filter(
        parse_filter(document, lang), QUERYABLES, scene_value, filter_crs=crs, subject=("STAC 条目", "STAC items")
    )


_QUERY = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
_TEXT_QUERY = {"startsWith": "{}%", "endsWith": "%{}", "contains": "%{}%"}


def _queried(query: Any) -> Callable[[Any], bool] | None:
    """Test of the ``query`` member, by the rules of the CQL2 filter that says the same."""
    if query is None:
        return None
    operators = [*_QUERY, *_TEXT_QUERY, "in"]
    if not isinstance(query, dict) or not all(isinstance(rules, dict) for rules in query.values()):
        raise _invalid(
            "query",
            '应写作 {"字段": {"运算": 值}}，例：{"version": {"eq": "2026.1"}}',
            'must read {"field": {"operator": value}}, for example {"version": {"eq": "2026.1"}}',
        )
    if sum(len(rules) for rules in query.values()) > _MOST_RULES:
        raise _invalid("query", f"至多 {_MOST_RULES} 个条件", f"takes at most {_MOST_RULES} conditions")
    conditions: list[dict[str, Any]] = []
    for name, rules in query.items():
        short = name.removeprefix("properties.")
        for operator, value in rules.items():
            if operator not in operators:
                raise _invalid(
                    "query",
                    f"没有运算 {operator[:40]!r}，可用：{'、'.join(operators)}",
                    f"has no operator {operator[:40]!r}; use one of {', '.join(operators)}",
                )
            conditions.append(_rule(short, operator, value))
    if not conditions:
        return None
    document = conditions[0] if len(conditions) == 1 else {"op": "and", "args": conditions}
    return compile_record_filter(
        parse_filter(document, "cql2-json"), QUERYABLES, scene_value, subject=("STAC 条目", "STAC items")
    )


def _rule(name: str, operator: str, value: Any) -> dict[str, Any]:
    """One condition of ``query`` as CQL2 JSON."""
    kind, left = QUERYABLES.get(name), {"property": name}
    listed = operator == "in"
    if (listed != isinstance(value, list)) or (listed and not 0 < len(value) <= _MOST):
        raise _invalid("query", f"的运算 in 需要 1–{_MOST} 个值，其他运算一个值",
                       f"operator in takes a list of 1 to {_MOST} values, every other operator one value")  # fmt: skip
    values = value if listed else [value]
    if not all(isinstance(one, str | int | float) for one in values):
        raise _invalid("query", "的值应为文本、数或真假", "values must be texts, numbers or booleans")
    if operator in _TEXT_QUERY:
        if not isinstance(value, str):
            raise _invalid("query", f"的运算 {operator} 需要文本", f"operator {operator} takes a text", value)
        if kind == "strings" and operator == "contains":
            return {"op": "a_contains", "args": [left, [value]]}
        escaped = re.sub(r"([\\%_])", r"\\\1", value)
        return {"op": "like", "args": [left, _TEXT_QUERY[operator].format(escaped)]}
    if kind in ("datetime", "interval"):
        values = [{"timestamp": one} for one in values]
    if listed:
        return {"op": "in", "args": [left, values]}
    return {"op": _QUERY[operator], "args": [left, values[0]]}


def scene_value(scene: Item, name: str) -> Any:
    """Value of a queryable."""
    from spatial.stac.items import both, licence

    layer = scene.layer
    match name:
        case "id" | "collection" | "geometry":
            return getattr(scene, name)
        case "datetime":
            return scene.span
        case "start_datetime":
            return scene.span.start
        case "end_datetime":
            return scene.span.end
        case "created" | "updated":
            return scene.published
        case "title":
            return both(layer.display_title())
        case "description":
            return both(layer.description)
        case "keywords":
            return list(layer.keywords)
        case "version":
            return scene.version
        case "license":
            return licence(layer)
        case "theme":
            return "/".join(layer.theme)
        case "grade":
            return layer.grade
        case "synthetic":
            return layer.synthetic is not None
        case "derived_from":
            return list(layer.derived_from)
        case "bands":
            return scene.bands
        case "proj:epsg" | "proj:code" if layer.kind != "scenes":
            return 4490 if name == "proj:epsg" else "EPSG:4490"
    brought = scene.brought.get(name)
    types: dict[str, type | tuple[type, ...]] = {"number": (int, float), "string": str, "strings": list}
    return brought if isinstance(brought, types[QUERYABLES[name]]) else None


# --- pages ------------------------------------------------------------------------------------------------------------


def _token(body: Mapping[str, Any]) -> str | None:
    """Where to go on, ``collection/item``, from the token of a page."""
    value = body.get("token")
    if value is None:
        return None
    try:
        place = base64.urlsafe_b64decode(str(value).encode() + b"==").decode()
    except (binascii.Error, ValueError):
        place = ""
    if place.count("/") != 1:
        raise _invalid("token", "无效，请使用 next 链接", "is not valid; use the next link", value)
    return place


def _place(scene: Item) -> str:
    return f"{scene.collection}/{scene.id}"


def run_search(scenes: Sequence[Item], wanted: SearchRequest) -> Found:
    """The page of the scenes that match; by default newest first.

    Raises
    ------
    InvalidParameter
        The item at which the token stands is gone.
    """
    found = [scene for scene in scenes if all(test(scene) for test in wanted.tests)]
    for name, descending in reversed(wanted.sort):
        found.sort(key=lambda scene: _sort_value(scene, name), reverse=descending)
    start = 0
    if wanted.token is not None:
        places = [_place(scene) for scene in found]
        if wanted.token not in places:
            raise _invalid("token", "已失效，请从第一页重新开始", "is stale; start again from the first page")
        start = places.index(wanted.token) + 1
    page = found[start : start + wanted.limit]
    following = None
    if start + len(page) < len(found):
        following = base64.urlsafe_b64encode(_place(page[-1]).encode()).decode().rstrip("=")
    return Found(page, len(found), following)


def _sort_value(scene: Item, name: str) -> Any:
    return scene.span.start if name == "datetime" else scene_value(scene, name)


_DEFAULT = frozenset({"type", "stac_version", "id", "geometry", "bbox", "links", "assets", "properties.datetime"})
_IDENTITY = frozenset({"type", "stac_version", "id", "collection"})


def pruned(item: dict[str, Any], fields: Fields | None) -> dict[str, Any]:
    """An item with the members that ``fields`` asks for; what is included and excluded is included.

    Source: STAC API Fields Extension 1.0.0, «Include/Exclude Semantics».
    """
    if fields is None:
        return item
    include, exclude = fields.include, fields.exclude
    wanted: frozenset[str] | None = _DEFAULT - exclude
    if include:
        wanted, exclude = include | _IDENTITY, exclude - include
    elif include is None and exclude:
        wanted = None  # all that is not excluded
    found: dict[str, Any] = {}
    for name, value in item.items():
        inside = _below(name, wanted or frozenset())
        without = _below(name, exclude) - inside
        whole = (wanted is None or name in wanted) and name not in exclude
        if isinstance(value, dict) and (inside or without) and (whole or inside):
            found[name] = {key: part for key, part in value.items() if key in inside or (whole and key not in without)}
        elif whole:
            found[name] = value
    return found


def _below(name: str, paths: frozenset[str]) -> frozenset[str]:
    return frozenset(path.partition(".")[2] for path in paths if path.startswith(f"{name}."))
