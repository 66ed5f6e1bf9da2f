"""What a request wants of the catalogue (目录查询): parameters, CQL2 filter, order and page, and the facets of what was found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatial.crs import CRS84, bbox_polygon, parse_crs
from spatial.errors import InvalidParameter
from spatial.ogc.parameters import FILTER_LANGUAGES, parse_datetime, read_language, whole_number
from spatial.ogc.records.search import rank, read_terms
from spatial.store.cql2_text import parse_filter
from spatial.store.record_filter import Kind, Span, compile_record_filter

if TYPE_CHECKING:
    from spatial.building_block import Language
    from spatial.catalog import Text
    from spatial.ogc.records.sources import Resource

__all__ = [
    "FACETS", "QUERYABLES", "RECORDS_PARAMETERS", "SORTABLES", "FacetRequest", "RecordsRequest", "Selection", "buckets",
    "queryable_value", "read_facets", "read_records", "select",
]  # fmt: skip

QUERYABLES: dict[str, Kind] = {
    "id": "string",
    "type": "string",
    "kind": "string",
    "title": "string",
    "description": "string",
    "keywords": "strings",
    "theme": "strings",
    "department": "string",
    "grade": "string",
    "language": "strings",
    "format": "strings",
    "license": "string",
    "version": "string",
    "synthetic": "boolean",
    "created": "datetime",
    "updated": "datetime",
    "time": "interval",
    "geometry": "geometry",
}
"""Queryables (可查询字段) of a record; ``theme`` holds the theme and all above it: ``theme = 'base'`` finds those below."""
SORTABLES = ("id", "title", "type", "kind", "theme", "department", "grade", "created", "updated")
FACETS = ("theme", "department", "grade", "type", "kind", "keywords", "format", "synthetic")
"""Queryables that are counted."""
_EQUALS = tuple(name for name in QUERYABLES if name not in {"type", "created", "updated", "time", "geometry"})
RECORDS_PARAMETERS = (
    "q", "type", "ids", "externalIds", "bbox", "bbox-crs", "datetime", "filter", "filter-lang", "filter-crs", "sortby",
    "limit", "offset", "facets", *_EQUALS, "f", "lang",
)  # fmt: skip
DEFAULT_LIMIT, MAX_LIMIT = 10, 1000
BUCKETS = 10
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)
_ORDERS = ("count_desc", "count_asc", "value_asc", "value_desc")
LANGUAGES = ("zh", "en")


def _of(text: Text, language: Language) -> str:
    return text.zh if language == "zh" else text.en


def queryable_value(resource: Resource, name: str, language: Language) -> Any:
    """Value of a queryable, in one language where it is a text; None where there is none."""
    from spatial.ogc.records.documents import formats

    match name:
        case "title":
            return _of(resource.title, language)
        case "description":
            return _of(resource.description, language)
        case "department":
            return _of(resource.department, language)
        case "keywords":
            return list(resource.keywords)
        case "theme":
            return list(resource.theme_paths)
        case "language":
            return list(LANGUAGES)
        case "format":
            return [found["name"] for found in formats(resource)]
        case "license":
            return resource.spdx or "other"
        case "time":
            return resource.span
        case _:
            return getattr(resource, name)


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """One facet wanted: the property, how many buckets, in which order."""

    name: str
    count: int = BUCKETS
    order: str = "count_desc"


@dataclass(frozen=True, slots=True)
class RecordsRequest:
    """A request to the items of the catalogue, checked."""

    tests: tuple[Callable[[Resource], bool], ...]
    terms: Sequence[Any]
    sort: tuple[tuple[str, bool], ...]
    limit: int
    offset: int
    facets: tuple[FacetRequest, ...]
    language: Language


@dataclass(frozen=True, slots=True)
class Selection:
    """What was found: all of it in order, and the page of it."""

    found: Sequence[Resource]
    page: Sequence[Resource]
    more: bool


def _words(parameters: Mapping[str, str], name: str) -> tuple[str, ...]:
    words = tuple(word.strip() for word in parameters[name].split(",") if word.strip())
    if not words or len(words) > MAX_LIMIT:
        raise InvalidParameter(
            f"参数 {name} 应为 1–{MAX_LIMIT} 个以逗号分隔的值",
            f"{name} must be 1–{MAX_LIMIT} values separated by commas",
            parameter=name,
        )
    return words


def _area(parameters: Mapping[str, str]) -> Any:
    crs = parse_crs(parameters["bbox-crs"], parameter="bbox-crs") if "bbox-crs" in parameters else CRS84
    parts = parameters["bbox"].split(",")
    if len(parts) not in (4, 6) or not all(_NUMBER.fullmatch(p.strip()) for p in parts):
        raise InvalidParameter(
            f"bbox 应为 4 个（或 6 个）以逗号分隔的数，收到 {parameters['bbox'][:80]!r}",
            f"bbox must be 4 (or 6) numbers separated by commas, got {parameters['bbox'][:80]!r}",
            parameter="bbox",
            value=parameters["bbox"][:200],
        )
    return bbox_polygon([float(p) for p in parts], crs)


def _sort(text: str) -> tuple[tuple[str, bool], ...]:
    keys = []
    for part in text.split(","):
        name = part.strip().lstrip("+-")  # a "+" that was not encoded arrives as a space
        if name not in SORTABLES or len(part.strip()) - len(name) > 1:
            raise InvalidParameter(
                f"参数 sortby 的 {part[:40]!r} 不可排序，可用：{'、'.join(SORTABLES)}（降序在前面加 -）",
                f"sortby: {part[:40]!r} is not one of {', '.join(SORTABLES)} (- in front for descending)",
                parameter="sortby",
                value=text[:200],
                allowed=list(SORTABLES),
            )
        keys.append((name, part.strip().startswith("-")))
    return tuple(keys)


def read_facets(text: str) -> tuple[FacetRequest, ...]:
    """Facets of the ``facets`` parameter: ``theme:20:value_asc,grade``; nothing for an empty one.

    Source: OGC API Records Part 2 (draft), /req/advanced/query_facets_definition.
    """
    found = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, rest = part.partition(":")
        count, _, order = rest.partition(":")
        order = order or "count_desc"
        if name not in FACETS or order not in _ORDERS or not re.fullmatch(r"\d{0,4}", count, re.ASCII) or count == "0":
            raise InvalidParameter(
                f"参数 facets 的 {part[:60]!r} 无效；形式为 属性:个数:排序，"
                f"属性：{'、'.join(FACETS)}，排序：{'、'.join(_ORDERS)}",
                f"facets: {part[:60]!r} is not property:count:order with a property of {', '.join(FACETS)} and an order of "
                f"{', '.join(_ORDERS)}",
                parameter="facets",
                value=text[:200],
                allowed=list(FACETS),
            )
        found.append(FacetRequest(name, int(count or BUCKETS), order))
    return tuple(found)


def _external(resource: Resource, wanted: Iterable[str]) -> bool:
    for text in wanted:
        scheme, colon, value = text.rpartition(":")
        for own_scheme, own_value in resource.external_ids:
            if colon and not value:
                if scheme == own_scheme:
                    return True
            elif value == own_value and scheme in ("", own_scheme):
                return True
    return False


def _equals(name: str, text: str, language: Language) -> Callable[[Resource], bool]:
    if QUERYABLES[name] == "boolean":
        if text not in {"true", "false"}:
            raise InvalidParameter(
                f"参数 {name} 应为 true 或 false，收到 {text[:40]!r}",
                f"{name} must be true or false, got {text[:40]!r}",
                parameter=name,
                allowed=["true", "false"],
            )
        return lambda resource: queryable_value(resource, name, language) is (text == "true")
    if QUERYABLES[name] == "strings":
        wanted = {word.strip() for word in text.split(",")}
        return lambda resource: not wanted.isdisjoint(queryable_value(resource, name, language))
    return lambda resource: bool(queryable_value(resource, name, language) == text)


def read_records(request: Any, parameters: Mapping[str, str]) -> RecordsRequest:
    """Checked request; everything asked for must hold at once.

    Raises
    ------
    InvalidParameter, InvalidFilter, UnknownProperty, UnknownCRS
    """
    language = read_language(request, parameters)
    tests: list[Callable[[Resource], bool]] = []
    terms = read_terms(parameters["q"]) if "q" in parameters else ()
    if "type" in parameters:
        types = set(_words(parameters, "type"))
        tests.append(lambda resource: resource.type in types)
    if "ids" in parameters:
        ids = set(_words(parameters, "ids"))
        tests.append(lambda resource: resource.id in ids)
    if "externalIds" in parameters:
        external = _words(parameters, "externalIds")
        tests.append(lambda resource: _external(resource, external))
    if "bbox" in parameters:
        area = _area(parameters)
        # Features P1, /req/core/fc-bbox-response: what has no place is not shut out by a place.
        tests.append(lambda resource: resource.geometry is None or bool(area.intersects(resource.geometry)))
    if "datetime" in parameters:
        interval = parse_datetime(parameters["datetime"])
        wanted = Span.of(interval.start, interval.end)
        tests.append(
            lambda resource: (
                resource.span is None or (resource.span.start <= wanted.end and resource.span.end >= wanted.start)
            )
        )
    tests += [_equals(name, parameters[name], language) for name in _EQUALS if name in parameters]
    condition = _filter(parameters, language)
    if condition is not None:
        tests.append(condition)
    return RecordsRequest(
        tests=tuple(tests),
        terms=terms,
        sort=_sort(parameters["sortby"]) if "sortby" in parameters else (),
        limit=min(whole_number(parameters, "limit", 1, DEFAULT_LIMIT), MAX_LIMIT),
        offset=whole_number(parameters, "offset", 0, 0),
        facets=read_facets(parameters.get("facets", "")),
        language=language,
    )


def _filter(parameters: Mapping[str, str], language: Language) -> Callable[[Any], bool] | None:
    lang = parameters.get("filter-lang", "cql2-text")
    if lang not in FILTER_LANGUAGES:
        raise InvalidParameter(
            f"参数 filter-lang 的值 {lang[:40]!r} 无效，可用：{'、'.join(FILTER_LANGUAGES)}",
            f"filter-lang: {lang[:40]!r} is not one of {', '.join(FILTER_LANGUAGES)}",
            parameter="filter-lang",
            allowed=list(FILTER_LANGUAGES),
        )
    crs = parse_crs(parameters["filter-crs"], parameter="filter-crs") if "filter-crs" in parameters else CRS84
    if "filter" not in parameters:
        return None
    return compile_record_filter(
        parse_filter(parameters["filter"], lang),
        QUERYABLES,
        lambda resource, name: queryable_value(resource, name, language),
        filter_crs=crs,
        subject=("资源目录", "records of the catalogue"),
    )


def _sort_key(name: str, language: Language) -> Callable[[Resource], tuple[bool, Any]]:
    def key(resource: Resource) -> tuple[bool, Any]:
        value = resource.theme_path if name == "theme" else queryable_value(resource, name, language)
        return value is not None, value if value is not None else ""

    return key


def select(resources: Iterable[Resource], wanted: RecordsRequest) -> Selection:
    """Resources that match, in the order asked for: ``sortby``, else relevance for ``q``, else by id."""
    found = [resource for resource in resources if all(test(resource) for test in wanted.tests)]
    scores: dict[str, float] = {}
    if wanted.terms:
        scores = {resource.id: rank(resource, wanted.terms) for resource in found}
        found = [resource for resource in found if scores[resource.id] > 0]
    found.sort(key=lambda resource: (-scores.get(resource.id, 0.0), resource.id))
    for name, descending in reversed(wanted.sort):
        key = _sort_key(name, wanted.language)
        have = [resource for resource in found if key(resource)[0]]
        # What has no value stands last in both directions, as in the stores (NULLS LAST).
        found = sorted(have, key=key, reverse=descending) + [r for r in found if not key(r)[0]]
    page = found[wanted.offset : wanted.offset + wanted.limit]
    return Selection(found, page, wanted.offset + len(page) < len(found))


def buckets(found: Iterable[Resource], facet: FacetRequest, language: Language) -> dict[str, Any]:
    """Counts of one facet.

    Source: OGC API Records Part 2 (draft), /req/simple/query_response.
    """
    counts: Counter[str] = Counter()
    for resource in found:
        value = queryable_value(resource, facet.name, language)
        values = value if isinstance(value, list) else [value]
        counts.update({"true" if v is True else "false" if v is False else str(v) for v in values if v is not None})
    by, direction = facet.order.split("_")
    backwards = direction == "desc"
    rows = sorted(counts.items())
    rows.sort(key=(lambda row: row[1]) if by == "count" else (lambda row: row[0]), reverse=backwards)
    return {
        "type": "term",
        "property": facet.name,
        "buckets": [{"value": value, "count": count} for value, count in rows[: facet.count]],
        "more": len(rows) > facet.count,
    }
