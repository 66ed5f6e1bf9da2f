"""Features in the form that the stores keep (入库形式): CRS, attributes, geometry and quality rules of a layer.

Storage form: EPSG:4490 with x = longitude, coordinates rounded to 9 decimals, fields as declared, index = feature id,
times in UTC (naive source times are Asia/Shanghai).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Attribute, Layer
from spatial.crs import DEGREE_DIGITS, round_coordinates
from spatial.errors import CRSMismatch, LayerEmpty, QualityViolation
from spatial.store.window import Window

if TYPE_CHECKING:
    import geopandas
    import pandas as pd

__all__ = ["storage_frame"]


def storage_frame(layer: Layer, frame: geopandas.GeoDataFrame, *, window: Window) -> geopandas.GeoDataFrame:
    """A frame in storage form.

    Parameters
    ----------
    layer : Layer
    frame : GeoDataFrame
        In the CRS that the layer declares.
    window : Window
        Where the features must lie, unless the layer's quality rules say otherwise.

    Raises
    ------
    CRSMismatch
        No CRS, or another than ``layer.crs``.
    LayerEmpty
        No features.
    QualityViolation
        A field is missing or of another type, a code is not in its domain, an id repeats, a geometry cannot be repaired,
        or the features lie outside the province.
    """
    _check_crs(layer, frame)
    if frame.empty:
        raise LayerEmpty(
            f"图层 {layer.id} 的源没有要素", f"layer {layer.id}: the source has no features", layer=layer.id
        )
    frame = frame.to_crs(4490) if not frame.crs.is_geographic else frame.set_crs(4490, allow_override=True)
    geometry = _clean_geometry(layer, np.asarray(frame.geometry.array), window)
    columns = {field.name: _column(layer, field, frame) for field in layer.fields}
    import geopandas

    clean = geopandas.GeoDataFrame(columns, geometry=geometry, crs="EPSG:4490", index=frame.index)
    _check_quality(layer, clean)
    return _with_ids(layer, clean)


def _check_crs(layer: Layer, frame: geopandas.GeoDataFrame) -> None:
    from pyproj import CRS

    declared = CRS.from_user_input(layer.crs)
    found = getattr(frame, "crs", None)
    if found is None:
        raise CRSMismatch(
            f"图层 {layer.id} 的源没有坐标系（缺 .prj？），声明为 {layer.crs}；请向提供方确认后写入坐标系",
            f"layer {layer.id}: the source has no CRS (no .prj?), declared {layer.crs}; ask the provider and write it",
            layer=layer.id,
        )
    if not found.equals(declared, ignore_axis_order=True):
        raise CRSMismatch(
            f"图层 {layer.id} 的源坐标系为 {found.name}，声明为 {layer.crs}；请转换源数据或改正声明",
            f"layer {layer.id}: the source's CRS is {found.name}, declared {layer.crs}; convert it or correct the layer",
            layer=layer.id,
        )


def _clean_geometry(layer: Layer, geometry: Any, window: Window) -> Any:
    """2D, valid, rounded, one type; `QualityViolation` names the first feature that cannot be kept."""
    import shapely

    geometry = shapely.force_2d(geometry)
    missing = shapely.is_missing(geometry) | shapely.is_empty(geometry)
    if missing.any():
        raise QualityViolation(
            f"图层 {layer.id} 有 {int(missing.sum())} 个要素没有几何（第 {int(np.argmax(missing)) + 1} 条起）",
            f"layer {layer.id}: {int(missing.sum())} features have no geometry (first: row {int(np.argmax(missing)) + 1})",
            layer=layer.id,
        )
    geometry = round_coordinates(geometry, DEGREE_DIGITS)
    dimension = int(shapely.get_dimensions(geometry).max())
    broken = ~shapely.is_valid(geometry)
    if broken.any():
        repaired = shapely.make_valid(geometry[broken], method="structure", keep_collapsed=False)
        geometry[broken] = round_coordinates(repaired, DEGREE_DIGITS)
    lost = shapely.is_empty(geometry) | (shapely.get_dimensions(geometry) != dimension) | ~shapely.is_valid(geometry)
    if lost.any():
        raise QualityViolation(
            f"图层 {layer.id} 有 {int(lost.sum())} 个要素几何类型不一致或无法修复（第 {int(np.argmax(lost)) + 1} 条起）",
            f"layer {layer.id}: {int(lost.sum())} features have another geometry type or cannot be repaired "
            f"(first: row {int(np.argmax(lost)) + 1})",
            layer=layer.id,
        )
    west, south, east, north = shapely.total_bounds(geometry)
    if layer.quality.within_window and not (
        window[0] <= west and window[1] <= south and east <= window[2] and north <= window[3]
    ):
        raise QualityViolation(
            f"图层 {layer.id} 的范围 {west:.4f},{south:.4f},{east:.4f},{north:.4f} 超出湖北窗口；请检查轴序与带号",
            f"layer {layer.id}: extent {west:.4f},{south:.4f},{east:.4f},{north:.4f} lies outside the Hubei window; "
            "check axis order and zone number",
            layer=layer.id,
        )
    kinds = set(shapely.get_type_id(geometry).tolist())
    if len(kinds) > 1 or kinds & {4, 5, 6}:
        collect: Any = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)[dimension]
        parts, index = shapely.get_parts(geometry, return_index=True)
        geometry = collect(parts, indices=index)
    return geometry


def _column(layer: Layer, field: Attribute, frame: geopandas.GeoDataFrame) -> pd.Series[Any]:
    """One declared field, cast without loss."""
    import pandas as pd

    if field.name not in frame.columns:
        raise QualityViolation(
            f"图层 {layer.id} 的源缺少字段 {field.name}；现有：{'、'.join(c for c in frame.columns if c != 'geometry')}",
            f"layer {layer.id}: the source lacks field {field.name}; it has "
            f"{', '.join(c for c in frame.columns if c != 'geometry')}",
            layer=layer.id,
            field=field.name,
        )
    raw = frame[field.name]
    values: pd.Series[Any]
    try:
        match field.type:
            case "string":
                values = raw.astype("string")
            case "integer":
                values = pd.to_numeric(raw).astype("Int64")
            case "number":
                values = pd.to_numeric(raw).astype("Float64").where(raw.notna(), pd.NA)
            case "boolean":
                values = raw.astype("boolean")
            case "date":
                values = pd.to_datetime(raw).dt.date
            case "datetime":
                times = pd.to_datetime(raw)
                values = (times if times.dt.tz is not None else times.dt.tz_localize("Asia/Shanghai")).dt.tz_convert(
                    "UTC"
                )
    except (ValueError, TypeError) as error:
        raise QualityViolation(
            f"图层 {layer.id} 的字段 {field.name} 不是 {field.type}：{error}",
            f"layer {layer.id}: field {field.name} is not {field.type}: {error}",
            layer=layer.id,
            field=field.name,
        ) from error
    problem = None
    if not field.nullable and values.isna().any():
        problem = ("有空值", "has missing values")
    elif field.domain is not None:
        strange = sorted(set(values.dropna().astype(str)) - set(field.domain))
        if strange:
            problem = (f"有值域外的代码 {strange[:5]}", f"has codes outside its domain: {strange[:5]}")
    if problem:
        raise QualityViolation(
            f"图层 {layer.id} 的字段 {field.name} {problem[0]}",
            f"layer {layer.id}: field {field.name} {problem[1]}",
            layer=layer.id,
            field=field.name,
        )
    return values


def _check_quality(layer: Layer, frame: geopandas.GeoDataFrame) -> None:
    rules = layer.quality
    if len(frame) < rules.min_features:
        raise QualityViolation(
            f"图层 {layer.id} 有 {len(frame)} 个要素，少于要求的 {rules.min_features} 个",
            f"layer {layer.id}: {len(frame)} features, fewer than the {rules.min_features} required",
            layer=layer.id,
        )
    for name in rules.unique:
        if frame[name].duplicated().any():
            raise QualityViolation(
                f"图层 {layer.id} 的字段 {name} 有重复值",
                f"layer {layer.id}: field {name} has repeated values",
                layer=layer.id,
                field=name,
            )
    if rules.coverage:
        import shapely

        edges = shapely.coverage_invalid_edges(np.asarray(frame.geometry.array))
        wrong = ~shapely.is_empty(edges)
        if wrong.any():
            raise QualityViolation(
                f"图层 {layer.id} 有 {int(wrong.sum())} 个面互相重叠或公共边不一致",
                f"layer {layer.id}: {int(wrong.sum())} polygons overlap or do not share their edges",
                layer=layer.id,
            )


def _with_ids(layer: Layer, frame: geopandas.GeoDataFrame) -> geopandas.GeoDataFrame:
    """Index by the declared integer id, or number the features from 1 in source order."""
    import pandas as pd

    if layer.id_field is None:
        frame.index = pd.RangeIndex(1, len(frame) + 1, name="fid")
        return frame
    ids = pd.to_numeric(frame[layer.id_field], errors="coerce")
    if ids.isna().any() or ids.duplicated().any() or (ids % 1 != 0).any() or (ids < 0).any():
        raise QualityViolation(
            f"图层 {layer.id} 的 id 字段 {layer.id_field} 应为不重复的非负整数",
            f"layer {layer.id}: id field {layer.id_field} must hold distinct non-negative integers",
            layer=layer.id,
            field=layer.id_field,
        )
    frame.index = pd.Index(ids.astype("int64"), name="fid")
    return frame.sort_index()
