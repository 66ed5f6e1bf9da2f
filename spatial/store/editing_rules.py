"""What a feature sent for editing must be (要素校验): its attributes, its geometry, and the quality rules of its layer.

Every fault is told at once, each with the field that it stands in and what to do, so that an editor corrects a form once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Protocol

from spatial.catalog import Attribute, Layer
from spatial.crs import DEGREE_DIGITS, STORAGE, ServedCRS, round_coordinates, to_wire, transform_geometries
from spatial.errors import InvalidFeature
from spatial.store.vector import ItemQuery, PublishedTable
from spatial.store.window import Window

if TYPE_CHECKING:
    from spatial.store.vector import VectorStore

__all__ = ["Faults", "check_rules", "read_geometry", "read_properties", "read_value"]

_INT64 = 2**63
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:?\d{2})", re.ASCII)
_MULTI = {"Point": "MultiPoint", "LineString": "MultiLineString", "Polygon": "MultiPolygon"}
_KINDS = frozenset({*_MULTI, *_MULTI.values()})


class Named(Protocol):
    """What faults are told of: a layer, or anything else with an id."""

    @property
    def id(self) -> str:
        """Name in messages."""
        ...


class Shaped(Protocol):
    """What has a type of geometry, as a published layer has."""

    @property
    def geometry_type(self) -> str | None:
        """Type of geometry, GeoJSON name."""
        ...


@dataclass
class Faults:
    """Faults of one feature, told together."""

    layer: Named
    found: list[dict[str, str]] = field(default_factory=list)

    def add(self, name: str, zh: str, en: str) -> None:
        """Add a fault of a property (or ``geometry``)."""
        self.found.append({"property": name, "detail_zh": zh, "detail_en": en})

    def settle(self) -> None:
        """Raise `InvalidFeature` if there is any fault."""
        if self.found:
            zh = "；".join(f"{f['property']} {f['detail_zh']}" for f in self.found[:5])
            en = "; ".join(f"{f['property']} {f['detail_en']}" for f in self.found[:5])
            raise InvalidFeature(
                f"要素不符合图层 {self.layer.id} 的结构，未写入：{zh}",
                f"the feature does not fit layer {self.layer.id}, nothing was written: {en}",
                layer=self.layer.id,
                problems=self.found[:50],
                schema=f"/ogc/collections/{self.layer.id}/schema",
            )


def read_value(attribute: Attribute, value: Any) -> Any:
    """Value of a field from JSON, in the Python type of the field; ValueError says in English what is expected.

    >>> from types import SimpleNamespace as N
    >>> read_value(N(type="datetime"), "2026-07-01T08:00:00+08:00").isoformat()
    '2026-07-01T00:00:00+00:00'
    >>> read_value(N(type="integer"), 2.0)
    2
    """
    if value is None:
        return None
    match attribute.type:
        case "string" if isinstance(value, str) and "\x00" not in value:
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "integer" if isinstance(value, int | float) and not isinstance(value, bool):
            # GDAL writes whole numbers of a double field with a point.
            if value == int(value) and -_INT64 <= int(value) < _INT64:
                return int(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            if math.isfinite(float(value)):
                return float(value)
        case "date" if isinstance(value, str) and _DATE.fullmatch(value):
            return date.fromisoformat(value)
        case "datetime" if isinstance(value, str) and _INSTANT.fullmatch(value):
            instant = datetime.fromisoformat(value.upper())
            return instant.astimezone(UTC)
    raise ValueError


_WANTED = {
    "string": ("应为文本", "must be a text"),
    "boolean": ("应为 true 或 false", "must be true or false"),
    "integer": ("应为 64 位以内的整数", "must be an integer of 64 bits"),
    "number": ("应为有限的数", "must be a finite number"),
    "date": ("应为日期，如 2026-07-01", "must be a date such as 2026-07-01"),
    "datetime": (
        "应为带时区的时刻，如 2026-07-01T08:00:00+08:00",
        "must be an instant with its zone, such as 2026-07-01T08:00:00+08:00",
    ),
}


def read_properties(layer: Layer, given: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """Checked values of the given properties; those of the layer that are missing are not added."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        attribute = layer.field(name)
        if attribute is None:
            known = [f.name for f in layer.fields]
            faults.add(
                name[:80],
                f"不是本图层的字段，请去掉；可用：{'、'.join(known)}",
                f"is no property of the layer, leave it out; there are {', '.join(known)}",
            )
            continue
        try:
            values[name] = read_value(attribute, value)
        except (ValueError, OverflowError):
            zh, en = _WANTED[attribute.type]
            faults.add(name, f"{zh}，收到 {_short(value)}", f"{en}, got {_short(value)}")
            continue
        if value is None and not attribute.nullable:
            faults.add(name, "为必填项，不能为空", "is required and cannot be null")
        elif value is not None and attribute.domain is not None and not _in_domain(attribute, values[name]):
            codes = list(attribute.domain)[:30]
            faults.add(
                name,
                f"不在值域内，收到 {_short(value)}；可用：{'、'.join(codes)}",
                f"is not in its domain, got {_short(value)}; use one of {', '.join(codes)}",
            )
    return values


def require_all(layer: Layer, values: dict[str, Any], faults: Faults) -> None:
    """Fill missing properties with null, where that is allowed."""
    faulty = {f["property"] for f in faults.found}
    for attribute in layer.fields:
        if attribute.name not in values:
            values[attribute.name] = None
            if not attribute.nullable and attribute.name not in faulty:
                faults.add(attribute.name, "为必填项，请给出", "is required, give it")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _in_domain(attribute: Attribute, value: Any) -> bool:
    assert attribute.domain is not None
    if attribute.type in {"integer", "number"}:
        return any(value == float(code) for code in attribute.domain)
    return str(value) in attribute.domain


def read_geometry(table: Shaped, document: Any, crs: ServedCRS, window: Window | None, faults: Faults) -> Any:
    """Geometry in storage form from GeoJSON whose coordinates are in the wire order of `crs`; None with a fault.

    Parameters
    ----------
    window : Window or None
        Where it must lie.
    """
    before = len(faults.found)
    geometry = _parsed(table, document, faults)
    if geometry is None:
        return None
    moved = _moved(geometry, crs, faults)
    if moved is None:
        return None
    _check_shape(table, moved, crs, window, faults)
    return moved if len(faults.found) == before else None


def _parsed(table: Shaped, document: Any, faults: Faults) -> Any:
    import orjson
    import shapely

    wanted = table.geometry_type if table.geometry_type in _KINDS else "Geometry"
    if document is None:
        faults.add("geometry", f"不能为空，请给出 {wanted}", f"is required, give a {wanted}")
        return None
    kind = document.get("type") if isinstance(document, dict) else None
    if kind not in _KINDS:
        faults.add("geometry", f"应为 GeoJSON 的 {wanted}", f"must be a GeoJSON {wanted}")
        return None
    if wanted != "Geometry" and kind != wanted and _MULTI.get(str(kind)) != wanted:
        faults.add("geometry", f"应为 {wanted}，收到 {kind}", f"must be a {wanted}, got a {kind}")
        return None
    try:
        geometry = shapely.from_geojson(orjson.dumps({"type": kind, "coordinates": document.get("coordinates")}))
    except (shapely.errors.GEOSException, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0][:120]
        faults.add("geometry", f"坐标不合 GeoJSON（{reason}）", f"has coordinates that are not GeoJSON ({reason})")
        return None
    if geometry is None or geometry.is_empty:
        faults.add("geometry", "没有坐标", "has no coordinates")
        return None
    if shapely.has_z(geometry):
        faults.add(
            "geometry", "含高程；本图层为二维，请去掉第三个坐标", "has heights; the layer is two-dimensional, drop them"
        )
        return None
    if kind != wanted and wanted != "Geometry":
        collect: Any = {"MultiPoint": shapely.multipoints, "MultiLineString": shapely.multilinestrings}.get(
            wanted, shapely.multipolygons
        )
        geometry = collect([geometry])
    return geometry


def _moved(geometry: Any, crs: ServedCRS, faults: Faults) -> Any:
    import numpy as np
    import shapely

    xy = to_wire(geometry, crs)  # the swap is its own inverse
    coordinates = shapely.get_coordinates(xy)
    order = _order(crs)
    if not np.isfinite(coordinates).all():
        faults.add("geometry", "坐标应为有限的数", "must have finite coordinates")
        return None
    if not crs.projected and not ((np.abs(coordinates[:, 0]) <= 180).all() and (np.abs(coordinates[:, 1]) <= 90).all()):
        faults.add(
            "geometry",
            f"经度超出 ±180 或纬度超出 ±90；{crs.name} 的轴序为 {order[0]}",
            f"is outside longitude ±180 or latitude ±90; the axis order of {crs.name} is {order[1]}",
        )
        return None
    moved = transform_geometries(np.array([xy], dtype=object), crs, STORAGE)
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        faults.add("geometry", f"超出 {crs.name} 的适用范围", f"lies outside the range of {crs.name}")
        return None
    return round_coordinates(moved, DEGREE_DIGITS)[0]


def _order(crs: ServedCRS) -> tuple[str, str]:
    if crs.projected:
        return (
            ("北坐标、东坐标", "northing, easting") if crs.latitude_first else ("东坐标、北坐标", "easting, northing")
        )
    return ("纬度、经度", "latitude, longitude") if crs.latitude_first else ("经度、纬度", "longitude, latitude")


def _check_shape(table: Shaped, geometry: Any, crs: ServedCRS, window: Window | None, faults: Faults) -> None:
    import shapely

    if not shapely.is_valid(geometry):
        reason = shapely.is_valid_reason(geometry)[:120]
        faults.add("geometry", f"几何无效（{reason}），请修正", f"is not valid ({reason}), repair it")
    west, south, east, north = shapely.bounds(geometry)
    if window is not None and not (
        window[0] <= west and window[1] <= south and east <= window[2] and north <= window[3]
    ):
        zh, en = _order(crs)
        faults.add(
            "geometry",
            f"超出数据窗口 {window}（经纬度），得到 {west:.4f},{south:.4f}；{crs.name} 的轴序为 {zh}，"
            "其他坐标系请用 Content-Crs 说明",
            f"lies outside the window {window} (longitude, latitude), at {west:.4f},{south:.4f}; "
            f"the axis order of {crs.name} is {en}, name another CRS with Content-Crs",
        )


def check_rules(
    store: VectorStore, table: PublishedTable, fid: int | None, values: Mapping[str, Any], geometry: Any, faults: Faults
) -> None:
    """Quality rules that look at the other features: unique fields, and polygons that may not overlap."""
    layer = table.layer
    for name in layer.quality.unique:
        value = values.get(name)
        if value is None:
            continue
        same = store.page(table, ItemQuery(limit=2, equals={name: value}, properties=(), skip_geometry=True)).fids
        if any(other != fid for other in same):
            faults.add(
                name,
                f"的值 {_short(value)} 已被要素 {same[0]} 使用，应唯一",
                f"must be unique, feature {same[0]} has {_short(value)} already",
            )
    if layer.quality.coverage and geometry is not None:
        _check_coverage(store, table, fid, geometry, faults)


def _check_coverage(store: VectorStore, table: PublishedTable, fid: int | None, geometry: Any, faults: Faults) -> None:
    import numpy as np
    import shapely

    near = store.frame(table, ItemQuery(area=geometry, properties=()))
    others: Sequence[Any] = [shape for other, shape in zip(near.index, near.geometry, strict=True) if other != fid]
    edges = shapely.coverage_invalid_edges(np.array([geometry, *others], dtype=object))
    if not shapely.is_empty(edges[0]):
        faults.add(
            "geometry",
            "与相邻面重叠或公共边不一致；请捕捉到相邻面的顶点",
            "overlaps a neighbour or does not share its edge; snap to the neighbour's vertices",
        )
