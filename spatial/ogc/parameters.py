"""Query parameters (查询参数) of the OGC addresses, read once and strictly.

A parameter that an address does not have, or that is given twice, is an error (Features P1, /req/core/query-param-unknown),
because a silently ignored ``bbbox=`` gives a planner a whole province where he asked for one parcel.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

from spatial.crs import CRS84, ServedCRS, bbox_polygon, parse_crs
from spatial.errors import InvalidFilter, InvalidParameter, NotAcceptable, UnknownParameter
from spatial.ogc.formats.known import FILE_FORMATS, FileFormatName, file_media_types
from spatial.ogc.item_selection import read_properties, read_search, read_sort
from spatial.pages.page import weighted
from spatial.rfc3339 import Refused, read_interval, read_moment
from spatial.store.cql2_text import parse_filter
from spatial.store.vector import Interval, ItemQuery

if TYPE_CHECKING:
    from starlette.requests import Request

    from spatial.catalog import Attribute, Layer

__all__ = [
    "DEFAULT_LIMIT",
    "DOCUMENT_FORMATS",
    "DOCUMENT_PARAMETERS",
    "FILTER_LANGUAGES",
    "ITEMS_FORMATS",
    "ITEMS_PARAMETERS",
    "ITEM_PARAMETERS",
    "ItemsRequest",
    "feature_id",
    "joined",
    "parse_datetime",
    "property_conditions",
    "property_parameters",
    "property_value",
    "read_format",
    "read_items",
    "read_language",
    "read_parameters",
    "whole_number",
]

Language = Literal["zh", "en"]
Format = Literal["json", "html"] | FileFormatName

DOCUMENT_PARAMETERS = ("f", "lang")
ITEM_PARAMETERS = ("crs", "version", "f", "lang")
ITEMS_PARAMETERS = (
    "limit",
    "offset",
    "after",
    "bbox",
    "bbox-crs",
    "crs",
    "datetime",
    "filter",
    "filter-lang",
    "filter-crs",
    "q",
    "ids",
    "sortby",
    "properties",
    "exclude-properties",
    "skipGeometry",
    "resulttype",
    "version",
    "f",
    "lang",
)
FILTER_LANGUAGES = ("cql2-text", "cql2-json", "cql-text")
"""``cql-text`` is the name of a draft; GDAL 3.6 still sends it."""

DEFAULT_LIMIT = 10
_INT64 = 2**63
_MOST_IDS = 1000
DOCUMENT_FORMATS: Mapping[str, Format] = {
    "json": "json",
    "geojson": "json",
    "application/json": "json",
    "application/geo+json": "json",
    "html": "html",
    "text/html": "html",
}
"""Value of ``f`` → representation, for documents."""
ITEMS_FORMATS: Mapping[str, Format] = {
    **DOCUMENT_FORMATS,
    **{found.name: found.name for found in FILE_FORMATS.values()},
    **file_media_types(),
}
"""The same for features, which also come as files."""
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def read_parameters(request: Request, allowed: Collection[str]) -> dict[str, str]:
    """Query parameters by name, each known and given once.

    Raises
    ------
    UnknownParameter
        Lists what is allowed.
    InvalidParameter
        A parameter is given twice.
    """
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in allowed:
            raise UnknownParameter(
                f"没有参数 {name!r}；可用：{'、'.join(allowed)}",
                f"no parameter {name!r}; allowed: {', '.join(allowed)}",
                parameter=name,
                allowed=list(allowed),
            )
        if name in found:
            raise InvalidParameter(f"参数 {name} 重复给出", f"parameter {name} is given twice", parameter=name)
        found[name] = value
    return found


def _choice(parameters: Mapping[str, str], name: str, allowed: Collection[str], default: str) -> str:
    value = parameters.get(name, default)
    if value not in allowed:
        raise InvalidParameter(
            f"参数 {name} 的值 {value[:80]!r} 无效，可用：{'、'.join(allowed)}",
            f"{name}: {value[:80]!r} is not one of {', '.join(allowed)}",
            parameter=name,
            value=value[:200],
            allowed=list(allowed),
        )
    return value


def _language(tag: str) -> Language | None:
    primary = tag.strip().lower().replace("_", "-").partition("-")[0]
    known: dict[str, Language] = {"zh": "zh", "en": "en"}
    return known.get(primary)


def read_language(request: Request, parameters: Mapping[str, str]) -> Language:
    """Language of the answer: ``?lang=``, else ``Accept-Language``, else Chinese."""
    wanted = parameters.get("lang")
    if wanted is not None:
        language = _language(wanted)
        if language is None:
            raise InvalidParameter(
                f"参数 lang 的值 {wanted[:40]!r} 无效，可用：zh、en",
                f"lang: {wanted[:40]!r} is not one of zh, en",
                parameter="lang",
                allowed=["zh", "en"],
            )
        return language
    for tag in weighted(request.headers.get("accept-language", "")):
        language = _language(tag)
        if language is not None:
            return language
    return "zh"


def read_format(
    request: Request, parameters: Mapping[str, str], formats: Mapping[str, Format] = DOCUMENT_FORMATS
) -> Format:
    """Representation of the answer: ``?f=``, else the best of ``Accept``, else JSON.

    Raises
    ------
    InvalidParameter
        ``f`` names no format of this address; the message lists those that it has.
    NotAcceptable
        ``Accept`` names formats only that this address, which has files, does not have.
    """
    wanted = parameters.get("f")
    if wanted is not None:
        # "+" of a media type arrives as a space where a client did not encode it.
        found = formats.get(wanted.strip().replace(" ", "+").partition(";")[0].strip().lower())
        if found is None:
            allowed = list(dict.fromkeys(formats.values()))
            raise InvalidParameter(
                f"参数 f 的值 {wanted[:40]!r} 无效，可用：{'、'.join(allowed)}",
                f"f: {wanted[:40]!r} is not one of {', '.join(allowed)}",
                parameter="f",
                allowed=allowed,
            )
        return found
    accept = request.headers.get("accept")
    if accept is None or accept == "*/*":
        return "json"
    kinds = weighted(accept)
    for kind in kinds:
        if kind in {"text/html", "application/xhtml+xml", "text/*"}:
            return "html"
        if kind in formats:
            return formats[kind]
        if kind in {"*/*", "application/*"} or "json" in kind:
            return "json"
    if formats is DOCUMENT_FORMATS or not kinds:
        return "json"
    offered = ["application/geo+json", "text/html", *(kind.media_type for kind in FILE_FORMATS.values())]
    raise NotAcceptable(
        f"不能以 {accept[:80]!r} 返回；可用：{'、'.join(offered)}，或参数 f",
        f"cannot answer as {accept[:80]!r}; use one of {', '.join(offered)}, or the parameter f",
        allowed=offered,
    )


def whole_number(parameters: Mapping[str, str], name: str, least: int, default: int, *, most: int | None = None) -> int:
    """An integer parameter of at least `least`, lowered to `most`; `InvalidParameter` for anything else."""
    text = parameters.get(name)
    if text is None:
        return default if most is None else min(default, most)
    digits = 18 if most is None else 100
    if not re.fullmatch(rf"\+?\d{{1,{digits}}}", text, re.ASCII) or int(text) < least:
        raise InvalidParameter(
            f"参数 {name} 应为不小于 {least} 的整数，收到 {text[:40]!r}",
            f"{name} must be an integer of at least {least}, got {text[:40]!r}",
            parameter=name,
            value=text[:200],
        )
    return int(text) if most is None else min(int(text), most)


def feature_id(text: str) -> int | None:
    """Feature id of a path, or None if no feature can have it.

    >>> feature_id("17"), feature_id("x"), feature_id("017"), feature_id("9" * 19)
    (17, None, None, None)
    """
    # One address a feature: 017 is not 17.
    if not _INTEGER.fullmatch(text) or text != str(int(text)):
        return None
    value = int(text)
    return value if -_INT64 <= value < _INT64 else None


def _bbox(text: str, crs: ServedCRS) -> Any:
    parts = text.split(",")
    if len(parts) not in (4, 6) or not all(_NUMBER.fullmatch(p.strip()) for p in parts):
        raise InvalidParameter(
            f"bbox 应为 4 个（或 6 个）以逗号分隔的数，收到 {text[:80]!r}",
            f"bbox must be 4 (or 6) numbers separated by commas, got {text[:80]!r}",
            parameter="bbox",
            value=text[:200],
        )
    values = [float(p) for p in parts]
    if crs.projected:
        # Half the last served digit: a box made from served, rounded coordinates must hold the point it was made from.
        half, ends = 0.5 * 10.0**-crs.digits, len(values) // 2
        if all(values[i] <= values[i + ends] for i in range(ends)):
            values = [v - half if i < ends else v + half for i, v in enumerate(values)]
    return bbox_polygon(values, crs)


def parse_datetime(text: str) -> Interval:
    """Interval of a ``datetime`` parameter; both ends included, UTC, open ends None.

    An instant names its zone; a date is the whole day in UTC (`spatial.rfc3339`).

    Raises
    ------
    InvalidParameter
        Malformed, without a zone, empty, or the start after the end.

    Examples
    --------
    >>> parse_datetime("2024-07-01T08:00:00+08:00").start.isoformat()
    '2024-07-01T00:00:00+00:00'
    >>> parse_datetime("../2024-07-01").end.isoformat()
    '2024-07-01T23:59:59.999999+00:00'
    """
    return Interval(*read_interval(text))


def property_parameters(layer: Layer) -> tuple[str, ...]:
    """Fields that can be asked for as ``?name=value``; a field named like a parameter is reached by ``filter`` only."""
    return tuple(f.name for f in layer.fields if f.name not in ITEMS_PARAMETERS)


def property_value(field: Attribute, text: str) -> Any:
    """Value of ``?field=text``, in the type of the field; of a datetime field also a date, which is the whole day in UTC."""
    try:
        match field.type:
            case "string":
                if "\x00" not in text:
                    return text
            case "integer":
                if _INTEGER.fullmatch(text) and -_INT64 <= int(text) < _INT64:
                    return int(text)
            case "number":
                if _NUMBER.fullmatch(text) and math.isfinite(float(text)):
                    return float(text)
            case "boolean":
                if text in ("true", "false"):
                    return text == "true"
            case "date":
                if _DATE.fullmatch(text):
                    return date.fromisoformat(text)
            case "datetime":
                moment = read_moment(text)
                return moment.start.date() if moment.precision == "day" else moment.start
    except Refused as refused:
        raise InvalidParameter(
            f"参数 {field.name}：{refused.zh}",
            f"{field.name}: {refused.en}",
            parameter=field.name,
            value=text[:200],
        ) from None
    except (ValueError, OverflowError):
        pass
    raise InvalidParameter(
        f"参数 {field.name} 应为 {field.type} 类型，收到 {text[:80]!r}",
        f"{field.name} must be of type {field.type}, got {text[:80]!r}",
        parameter=field.name,
        value=text[:200],
    )


def property_conditions(layer: Layer, values: Mapping[str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Values that fields are to have, and as CQL2 what is more than one value: the day of a datetime."""
    equals: dict[str, Any] = {}
    days: list[dict[str, Any]] = []
    for field in layer.fields:
        if field.name in values:
            value = property_value(field, values[field.name])
            if field.type == "datetime" and not isinstance(value, datetime):
                days.append({"op": "=", "args": [{"property": field.name}, {"date": value.isoformat()}]})
            else:
                equals[field.name] = value
    return equals, days


def joined(conditions: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """One CQL2 condition that holds where all hold; None of none."""
    return {"op": "and", "args": list(conditions)} if len(conditions) > 1 else next(iter(conditions), None)


def _ids(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    found = [feature_id(part.strip()) for part in parts[: _MOST_IDS + 1]]
    if len(parts) > _MOST_IDS or any(fid is None for fid in found):
        raise InvalidParameter(
            f"参数 ids 应为逗号分隔的要素编号（整数，最多 {_MOST_IDS} 个）",
            f"ids must be feature ids (integers, at most {_MOST_IDS}) separated by commas",
            parameter="ids",
            value=text[:200],
        )
    return tuple(dict.fromkeys(fid for fid in found if fid is not None))


def _filter(parameters: Mapping[str, str]) -> Mapping[str, Any] | None:
    language = _choice(parameters, "filter-lang", FILTER_LANGUAGES, "cql2-text")
    text = parameters.get("filter")
    if text is None:
        return None
    if not text.strip():
        raise InvalidFilter("参数 filter 为空", "filter is empty", parameter="filter")
    return parse_filter(text, language)


@dataclass(frozen=True, slots=True)
class ItemsRequest:
    """A checked request for a page of features.

    Attributes
    ----------
    query : ItemQuery
    hits : bool
        True if only the count is wanted.
    wanted : int
        Number of features asked for, after lowering to the largest page.
    """

    query: ItemQuery
    hits: bool
    wanted: int


def read_items(
    layer: Layer, parameters: Mapping[str, str], *, max_page: int, default_limit: int = DEFAULT_LIMIT
) -> ItemsRequest:
    """Checked query of ``/items``; `parameters` come from `read_parameters`.

    Raises
    ------
    InvalidParameter, UnknownProperty, UnknownCRS, InvalidFilter
    """
    # Features P1, /req/core/fc-limit-response-1: a limit above the maximum is lowered, not refused.
    limit = whole_number(parameters, "limit", 1, default_limit, most=max_page)
    after = parameters.get("after")
    if after is not None and feature_id(after) is None:
        raise InvalidParameter(
            "参数 after 应为上一页 next 链接中的值", "after must be the value of a next link", parameter="after"
        )
    bbox_crs = parse_crs(parameters["bbox-crs"], parameter="bbox-crs") if "bbox-crs" in parameters else CRS84
    filter_crs = parse_crs(parameters["filter-crs"], parameter="filter-crs") if "filter-crs" in parameters else CRS84
    interval = parse_datetime(parameters["datetime"]) if "datetime" in parameters else None
    if interval == Interval(None, None) or layer.time_field is None:
        # Features without a time match every datetime (P1, /req/core/fc-time-response).
        interval = None
    skip = _choice(parameters, "skipGeometry", ("true", "false"), "false") == "true"
    equals, days = property_conditions(
        layer, {name: text for name, text in parameters.items() if name not in ITEMS_PARAMETERS}
    )
    cql2 = _filter(parameters)
    query = ItemQuery(
        limit=limit,
        after=None if after is None else feature_id(after),
        offset=whole_number(parameters, "offset", 0, 0),
        area=_bbox(parameters["bbox"], bbox_crs) if "bbox" in parameters else None,
        interval=interval,
        equals=equals,
        cql2=joined(days if cql2 is None else [cql2, *days]),
        filter_crs=filter_crs,
        crs=parse_crs(parameters["crs"]) if "crs" in parameters else CRS84,
        properties=read_properties(layer, parameters),
        skip_geometry=skip,
        sort=read_sort(layer, parameters["sortby"]) if "sortby" in parameters else (),
        search=read_search(parameters["q"]) if "q" in parameters else (),
        ids=_ids(parameters["ids"]) if "ids" in parameters else None,
    )
    hits = _choice(parameters, "resulttype", ("results", "hits"), "results") == "hits"
    return ItemsRequest(query, hits, limit)
