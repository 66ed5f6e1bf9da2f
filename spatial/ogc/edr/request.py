"""Parameters of EDR queries (环境数据检索): WKT, distances, parameter names, read once and strictly.

``coords`` is WKT in the axis order of ``crs`` (default CRS84: longitude latitude). Its size is checked before it is parsed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.crs import CRS84, ServedCRS, parse_crs, transformer
from spatial.errors import InvalidParameter, PayloadTooLarge
from spatial.ogc.parameters import parse_datetime

if TYPE_CHECKING:
    from spatial.store.vector import Interval

__all__ = [
    "MAX_VERTICES",
    "UNITS",
    "read_crs",
    "read_distance",
    "read_interval",
    "read_wkt",
    "refuse_height",
    "to_lonlat",
]

UNITS = {"m": 1.0, "km": 1000.0}
"""Units of distances → metres."""
MAX_VERTICES = 20_000
"""Most vertices of ``coords``."""
_MAX_TEXT = 1_000_000
_HEAD = re.compile(r"\s*([A-Za-z]+?)\s*(ZM|Z|M)?\s*\(", re.ASCII | re.IGNORECASE)
_NUMBER = re.compile(r"\s*[+]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*", re.ASCII)
_MAX_DISTANCE_M = 1_000_000.0


def read_crs(parameters: Mapping[str, str]) -> ServedCRS:
    """CRS of ``coords`` and of the answer; CRS84 if none is named."""
    return parse_crs(parameters["crs"]) if "crs" in parameters else CRS84


def read_interval(parameters: Mapping[str, str]) -> Interval | None:
    """Interval of ``datetime``, or None where nothing limits the time.

    ``null`` is understood as an open end: that is how the extent of a collection writes one, and clients copy it.
    """
    text = parameters.get("datetime")
    if text is None:
        return None
    found = parse_datetime("/".join(".." if part == "null" else part for part in text.split("/")))
    return None if found.start is None and found.end is None else found


def refuse_height(parameters: Mapping[str, str]) -> None:
    """Raise for ``z``: no layer has heights, and data of the ground must not pass for data of a level."""
    if "z" in parameters:
        raise InvalidParameter(
            "本图层没有垂直维，请去掉 z", "this layer has no vertical dimension; leave out z", parameter="z"
        )


def read_distance(parameters: Mapping[str, str], name: str, units: str) -> float:
    """A positive length in metres.

    Raises
    ------
    InvalidParameter
        Missing, no number, not positive, over 1,000 km, or an unknown unit.
    """
    text, unit = parameters.get(name), parameters.get(units)
    if text is None or unit is None:
        absent = name if text is None else units
        raise InvalidParameter(
            f"缺少参数 {absent}；例：{name}=5&{units}=km",
            f"{absent} is missing; for example {name}=5&{units}=km",
            parameter=absent,
        )
    if unit not in UNITS:
        raise InvalidParameter(
            f"参数 {units} 的值 {unit[:40]!r} 无效，可用：{'、'.join(UNITS)}",
            f"{units}: {unit[:40]!r} is not one of {', '.join(UNITS)}",
            parameter=units,
            allowed=list(UNITS),
        )
    metres = float(text) * UNITS[unit] if _NUMBER.fullmatch(text) else math.nan
    if not 0 < metres <= _MAX_DISTANCE_M:
        raise InvalidParameter(
            f"参数 {name} 应为大于 0、不超过 1000 km 的数，收到 {text[:40]!r}",
            f"{name} must be a number above 0 and up to 1000 km, got {text[:40]!r}",
            parameter=name,
            value=text[:80],
        )
    return metres


def _wrong(text: str, kinds: Sequence[str], why_zh: str, why_en: str) -> InvalidParameter:
    examples = {
        "POINT": "POINT(114.3 30.6)",
        "POLYGON": "POLYGON((114 30,115 30,115 31,114 30))",
        "LINESTRING": "LINESTRING(114 30,115 31)",
    }
    example = examples[kinds[0]]
    return InvalidParameter(
        f"coords {why_zh}；应为 {'、'.join(kinds)}，例：{example}；收到 {text[:80]!r}",
        f"coords {why_en}; it must be {' or '.join(kinds)}, for example {example}; got {text[:80]!r}",
        parameter="coords",
        value=text[:200],
    )


def read_wkt(parameters: Mapping[str, str], kinds: Sequence[str], crs: ServedCRS) -> Any:
    """Geometry of ``coords``, x first, in `crs`.

    Parameters
    ----------
    kinds : sequence of str
        Kinds of WKT that the query takes, upper case.

    Raises
    ------
    InvalidParameter
        Missing, no WKT, of another kind, with Z or M, empty, not valid, or no place of the CRS.
    PayloadTooLarge
        Too many vertices, seen before the text is parsed.
    """
    import shapely

    text = parameters.get("coords", "")
    if len(text) > _MAX_TEXT or text.count(",") >= MAX_VERTICES:
        raise PayloadTooLarge(
            f"coords 超过 {MAX_VERTICES} 个顶点；请先化简，或改用 cube 的 bbox",
            f"coords has more than {MAX_VERTICES} vertices; simplify it, or use the bbox of cube",
            parameter="coords",
            limit=MAX_VERTICES,
        )
    if not text.strip():
        raise _wrong(text, kinds, "缺失或为空", "is missing or empty")
    head = _HEAD.match(text)
    if head is None or head[1].upper() not in kinds:
        raise _wrong(text, kinds, "不是所需的 WKT", "is not the WKT that this query takes")
    if head[2]:
        raise _wrong(text, kinds, "带 Z 或 M；本图层没有高程维，时间请用 datetime", "has Z or M; use datetime for time")
    try:
        with np.errstate(over="ignore"):
            geometry = shapely.from_wkt(text)
    except shapely.errors.GEOSException as error:
        raise _wrong(text, kinds, "不是合法的 WKT", "is no valid WKT") from error
    if geometry is None or geometry.is_empty:
        raise _wrong(text, kinds, "没有坐标", "has no coordinates")
    if geometry.has_z:
        raise _wrong(text, kinds, "带第三个坐标；本图层没有高程维", "has a third coordinate; there is no height here")
    if not shapely.is_valid(geometry):
        reason = shapely.is_valid_reason(geometry)
        raise _wrong(text, kinds, f"几何无效（{reason}）", f"is not a valid geometry ({reason})")
    if crs.latitude_first:
        geometry = shapely.transform(geometry, lambda xy: xy[:, ::-1])
    _check_range(geometry, crs, text, kinds)
    return geometry


def _check_range(geometry: Any, crs: ServedCRS, text: str, kinds: Sequence[str]) -> None:
    import shapely

    xy = shapely.get_coordinates(geometry)
    good = np.isfinite(xy).all()
    if good and not crs.projected:
        good = (np.abs(xy[:, 0]) <= 180).all() and (np.abs(xy[:, 1]) <= 90).all()
    elif good:
        good = np.isfinite(np.array(transformer(crs.srid, 4490).transform(xy[:, 0], xy[:, 1]))).all()
    if not good:
        order_zh, order_en = (
            ("纬度 经度", "latitude longitude") if crs.latitude_first else ("经度 纬度", "longitude latitude")
        )
        if crs.projected:
            order_zh, order_en = ("北 东", "northing easting") if crs.latitude_first else ("东 北", "easting northing")
        raise _wrong(
            text,
            kinds,
            f"超出 {crs.name} 的范围（轴序：{order_zh}）",
            f"is outside {crs.name} (axis order: {order_en})",
        )


def to_lonlat(geometry: Any, crs: ServedCRS) -> Any:
    """A geometry (x first) in longitude and latitude; straight edges of a projected CRS are followed at 64 steps."""
    import shapely

    if not crs.projected:
        return geometry
    west, south, east, north = geometry.bounds
    longest = max(east - west, north - south)
    if longest > 0:
        geometry = shapely.segmentize(geometry, longest / 64)
    project = transformer(crs.srid, 4490).transform
    return shapely.transform(geometry, lambda xy: np.column_stack(project(xy[:, 0], xy[:, 1])))
