"""Which analyses there are: the entry points of the group ``spatial.analyses``, and the check of their parameters.

A new analysis is one module with one class and one line in `pyproject.toml`; nothing here changes.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from difflib import get_close_matches
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel, ValidationError

from spatial.errors import AnalysisUnavailable, InvalidParameter, ProcessNotFound, UnknownParameter, UserError
from spatial.jobs.contract import Analysis, Parameters

__all__ = ["GROUP", "analysis", "analysis_ids", "check_parameters", "limits"]

log = logging.getLogger(__name__)

GROUP = "spatial.analyses"
_told: set[str] = set()
"""Broken analyses that the log has named; each listing tries them again."""


@lru_cache(maxsize=1)
def _entries() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name)}


def analysis_ids() -> list[str]:
    """Ids of all analyses; imports none of them.

    >>> "urban-suitability" in analysis_ids()
    True
    """
    return list(_entries())


@lru_cache(maxsize=64)
def analysis(analysis_id: str) -> type[Analysis]:
    """The class of an analysis.

    Raises
    ------
    ProcessNotFound
        Lists those that there are.
    AnalysisUnavailable
        Its code cannot be loaded: an extension that is broken or lacks a package. It harms no other analysis.
    """
    entry = _entries().get(analysis_id)
    if entry is None:
        known = analysis_ids()
        near = get_close_matches(analysis_id, known, n=3)
        zh = f"；是否为 {'、'.join(near)}？" if near else f"，现有：{'、'.join(known)}"
        en = f"; did you mean {', '.join(near)}?" if near else f"; there are {', '.join(known)}"
        raise ProcessNotFound(
            f"没有分析 {analysis_id!r}{zh}", f"no analysis {analysis_id!r}{en}", process=analysis_id, near=near
        )
    try:
        loaded: type[Analysis] = entry.load()
    except Exception as error:
        if analysis_id not in _told:
            _told.add(analysis_id)
            log.exception("analysis %s (%s) cannot be loaded", analysis_id, entry.value)
        why = f"{type(error).__name__}: {error}"[:300]
        raise AnalysisUnavailable(
            f"分析 {analysis_id!r}（{entry.value}）无法加载：{why}；请修复或卸载提供它的软件包",
            f"analysis {analysis_id!r} ({entry.value}) cannot be loaded: {why}; mend or uninstall the package it comes from",
            process=analysis_id,
        ) from error
    return loaded


def check_parameters[M: BaseModel](model: type[M], values: Mapping[str, Any], *, process: str) -> M:
    """Parameters of an analysis from what a caller gave, whatever the way (Python values, text or JSON).

    Raises
    ------
    UnknownParameter
        For a name that the analysis does not have; names the nearest ones.
    InvalidParameter
        For a value outside its range; names the parameter, the value and what is allowed.
    """
    for name in values:
        if name not in model.model_fields:
            _unknown(model, str(name), process)
    try:
        checked = model.model_validate(dict(values))
    except ValidationError as error:
        raise _invalid(model, error, process) from error
    for name, value in checked.model_dump().items():
        if not _finite(value):
            raise InvalidParameter(
                f"{process} 的参数 {name} 须为有限数",
                f"{process}: {name} must be finite",
                parameter=name,
                value=str(value),
            )
    if isinstance(checked, Parameters) and checked.bbox is not None:
        _check_bbox(checked.bbox)
    return checked


def _unknown(model: type[BaseModel], name: str, process: str) -> None:
    allowed = list(model.model_fields)
    near = get_close_matches(name, allowed, n=3)
    zh = f"；是否为 {'、'.join(near)}？" if near else ""
    en = f"; did you mean {', '.join(near)}?" if near else ""
    raise UnknownParameter(
        f"{process} 没有参数 {name!r}{zh} 可用：{'、'.join(allowed)}",
        f"{process} has no parameter {name!r}{en} Allowed: {', '.join(allowed)}",
        parameter=name,
        allowed=allowed,
        near=near,
    )


def _invalid(model: type[BaseModel], error: ValidationError, process: str) -> UserError:
    zh, en, problems = [], [], []
    schema = model.model_json_schema().get("properties", {})
    for item in error.errors(include_url=False, include_context=False):
        place = ".".join(map(str, item["loc"])) or "(all)"
        allowed = limits(schema.get(str(item["loc"][0]), {})) if item["loc"] else ""
        missing = item["type"] == "missing"
        value = None if missing else repr(item["input"])[:80]
        zh.append(f"{place} {'缺失' if missing else f'= {value} 不合法'}" + (f"，允许 {allowed}" if allowed else ""))
        en.append(
            f"{place} {'is missing' if missing else f'= {value}: {item["msg"]}'}"
            + (f"; allowed {allowed}" if allowed else "")
        )
        problems.append({"parameter": place, "value": value, "allowed": allowed, "reason": item["msg"]})
    return InvalidParameter(
        f"{process} 的参数有误：{'；'.join(zh)}",
        f"{process}: {'; '.join(en)}",
        parameter=problems[0]["parameter"],
        value=problems[0]["value"],
        problems=problems,
    )


def limits(schema: Mapping[str, Any]) -> str:
    """Allowed values of a JSON schema in one short text.

    >>> limits({"type": "number", "exclusiveMinimum": 0, "maximum": 1})
    '(0, 1]'
    >>> limits({"enum": ["a", "b"]})
    'a | b'
    """
    if "enum" in schema:
        return " | ".join(str(v) for v in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(text for text in map(limits, schema["anyOf"]) if text)
    low, high = (
        schema.get("minimum", schema.get("exclusiveMinimum")),
        schema.get("maximum", schema.get("exclusiveMaximum")),
    )
    if low is None and high is None:
        return ""
    left = "[" if "minimum" in schema else "("
    right = "]" if "maximum" in schema else ")"
    return f"{left}{'-∞' if low is None else f'{low:g}'}, {'∞' if high is None else f'{high:g}'}{right}"


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple | set):
        return all(map(_finite, value))
    return True


def _check_bbox(bbox: tuple[float, float, float, float]) -> None:
    west, south, east, north = bbox
    if -180 <= west < east <= 180 and -90 <= south < north <= 90:
        return
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
        zh, en = (
            "超出经度 ±180 或纬度 ±90（单位为度，经度在前）",
            "lies beyond longitude ±180 or latitude ±90 (degrees, x first)",
        )
    elif west > east or south > north:
        zh, en = "次序颠倒，西应小于东、南应小于北", "is reversed: west must be less than east, south less than north"
    else:
        zh, en = "没有面积，东西或南北两边相同", "has no area: west equals east or south equals north"
    raise InvalidParameter(
        f"bbox = {list(bbox)} {zh}；应为 西,南,东,北",
        f"bbox = {list(bbox)} {en}; give west,south,east,north",
        parameter="bbox",
        value=list(bbox),
    )
