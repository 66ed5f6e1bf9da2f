"""Geometry literals of CQL2: GeoJSON or a bounding box in the filter's CRS, checked and moved to storage coordinates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from spatial.crs import STORAGE, ServedCRS, bbox_polygon, to_wire, transform_geometries
from spatial.errors import SpatialError

__all__ = ["geometry_literal", "operand_parts"]

TYPES = {
    "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection",
}  # fmt: skip


def geometry_literal(node: Any, crs: ServedCRS, error: Callable[..., SpatialError]) -> Any:
    """Shapely geometry in EPSG:4490, longitude first, of a GeoJSON object or ``{"bbox": […]}`` in `crs`."""
    import numpy as np
    import shapely

    if isinstance(node, Mapping) and "bbox" in node:
        box = node["bbox"]
        if not isinstance(box, list) or not all(_is_number(v) for v in box):
            raise error("BBOX 应为 4 个数", "BBOX takes 4 numbers")
        return bbox_polygon([float(v) for v in box], crs, parameter="filter")
    if not isinstance(node, Mapping) or node.get("type") not in TYPES:
        raise error("这里应为几何：属性、WKT/GeoJSON 或 BBOX", "a geometry is expected: property, WKT/GeoJSON or BBOX")
    try:
        geometry = shapely.force_2d(shapely.from_geojson(json.dumps(node)))
        coordinates = shapely.get_coordinates(geometry)
    except (shapely.GEOSException, TypeError, ValueError) as problem:
        raise error(f"几何不合法：{problem}", f"the geometry is not valid: {problem}") from problem
    if not len(coordinates) or not np.isfinite(coordinates).all():
        raise error("几何为空或坐标不是有限数", "the geometry is empty or has coordinates that are not finite")
    # The wire order is its own inverse: swapping again gives x first.
    geometry = to_wire(geometry, crs)
    if not crs.projected:
        x, y = np.abs(shapely.get_coordinates(geometry)).max(axis=0)
        if x > 180 or y > 90:
            raise error(
                f"几何坐标超出经度 ±180、纬度 ±90；请核对 filter-crs（{crs.name}）的轴序",
                f"coordinates outside longitude ±180, latitude ±90; check the axis order of filter-crs ({crs.name})",
            )
    geometry = transform_geometries(geometry, crs, STORAGE)
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise error(f"几何超出 {crs.name} 的适用范围", f"the geometry lies outside the range of {crs.name}")
    if not shapely.is_valid(geometry):
        reason = shapely.is_valid_reason(geometry)
        raise error(f"几何不合法：{reason}", f"the geometry is not valid: {reason}")
    return geometry


def operand_parts(op: str, geometry: Any, error: Callable[..., SpatialError]) -> list[Any]:
    """Geometries to try in turn for one literal: itself, or what a GEOMETRYCOLLECTION stands for.

    GEOS takes no collection in its relations. Two things meet if any members meet; every other relation asks about the whole,
    which is the union of the members where that is one MULTI… geometry.
    """
    import shapely

    if geometry.geom_type != "GeometryCollection":
        return [geometry]
    members = [geometry]
    while any(member.geom_type == "GeometryCollection" for member in members):
        members = [part for member in members for part in (getattr(member, "geoms", None) or [member])]
    if op in {"s_intersects", "s_disjoint"}:
        return members
    whole = shapely.union_all(members)
    if whole.geom_type == "GeometryCollection":
        raise error(
            f"{op} 的 GEOMETRYCOLLECTION 含点、线、面中的多种，整体的内部与边界无定义；请只写一种，或对各成员分别写 {op}",
            f"{op}: the GEOMETRYCOLLECTION mixes points, lines or polygons, so the whole has no defined interior and boundary; "
            f"use one kind, or write {op} for each member",
        )
    return [whole]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
