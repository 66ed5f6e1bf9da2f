"""From a GeoDataFrame to the columns that both stores write: types, rounding, one geometry type.

Both stores write exactly what this module gives, so they cannot differ.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Layer
from spatial.crs import DEGREE_DIGITS, STORAGE, parse_crs, round_coordinates, transform_geometries
from spatial.errors import CRSMismatch, LayerDefinitionInvalid, LayerEmpty, QualityViolation

if TYPE_CHECKING:
    import geopandas
    import pandas as pd

__all__ = ["PreparedFrame", "plain_values", "prepare", "read_frame", "table_name"]

_DTYPES = {"string": "string", "integer": "Int64", "number": "Float64", "boolean": "boolean"}
LOCAL_ZONE = "Asia/Shanghai"
"""Zone of source times without one (design §5)."""


@dataclass(frozen=True)
class PreparedFrame:
    """Columns ready to be written.

    Attributes
    ----------
    fids : int64 array, unique, ascending
    columns : DataFrame
        Fields of the layer with nullable dtypes; dates and datetimes as ``datetime64[us]`` (UTC, naive).
    geometry : array of shapely geometries
        EPSG:4490, two dimensions, rounded to 9 decimals, outer rings counter-clockwise.
    geometry_3857 : array of shapely geometries
    geometry_type : str
    extent : tuple of 4 floats
    time_extent : tuple of two datetimes or None
    """

    fids: Any
    columns: pd.DataFrame
    geometry: Any
    geometry_3857: Any
    geometry_type: str
    extent: tuple[float, float, float, float]
    time_extent: tuple[datetime, datetime] | None


def table_name(layer_id: str, version: str, *, longest: int = 55) -> str:
    """Name of the table of a version: ``{layer}__{version}``, at most `longest` bytes (room for a suffix).

    A longer name is cut and gets a checksum, so two versions never share a table.

    >>> table_name("county-units", "2024.1")
    'county_units__2024.1'
    >>> len(table_name("a" * 51, "9" * 41))
    55
    """
    name = f"{layer_id.replace('-', '_')}__{version}"
    if len(name) <= longest:
        return name
    digest = hashlib.sha256(f"{layer_id}\n{version}".encode()).hexdigest()[:12]
    return f"{name[: longest - 13]}_{digest}"


def prepare(layer: Layer, frame: geopandas.GeoDataFrame) -> PreparedFrame:
    """Check and convert a frame for publication.

    Raises
    ------
    CRSMismatch
        The frame is not in EPSG:4490.
    LayerEmpty
        No feature, or none with a geometry.
    LayerDefinitionInvalid
        A field of the layer is no column of the frame, or a column does not fit its type.
    QualityViolation
        Feature ids are not unique, or a required field has gaps.
    """
    import shapely

    if frame.crs is None or frame.crs.to_epsg() != STORAGE.srid:
        raise CRSMismatch(
            f"图层 {layer.id}：发布的数据应为 EPSG:4490，得到 {frame.crs}，请先转换",
            f"layer {layer.id}: data to publish must be EPSG:4490, got {frame.crs}; transform first",
            layer=layer.id,
        )
    fids = np.asarray(frame.index)
    if fids.dtype.kind not in "iu" or len(np.unique(fids)) != len(fids):
        raise QualityViolation(
            f"图层 {layer.id}：要素编号应为不重复的整数",
            f"layer {layer.id}: feature ids must be unique integers",
            layer=layer.id,
        )
    frame = frame.iloc[np.argsort(fids, kind="stable")]
    geometry = shapely.force_2d(np.asarray(frame.geometry.values, dtype=object))
    geometry[shapely.is_empty(geometry)] = None
    present = ~shapely.is_missing(geometry)
    if not present.any():
        raise LayerEmpty(
            f"图层 {layer.id} 没有带几何的要素，请检查数据源",
            f"layer {layer.id} has no feature with a geometry; check the source",
            layer=layer.id,
        )
    geometry[present] = round_coordinates(geometry[present], DEGREE_DIGITS)
    geometry, geometry_type = _one_type(geometry, present)
    # RFC 7946 §3.1.6: outer rings counter-clockwise. Shapefiles turn them the other way.
    geometry = shapely.orient_polygons(geometry)
    geometry_3857 = geometry.copy()
    geometry_3857[present] = transform_geometries(geometry[present], STORAGE, parse_crs("EPSG:3857"))
    west, south, east, north = (float(v) for v in shapely.total_bounds(geometry[present]))
    columns = _columns(layer, frame)
    time_extent = None
    if layer.time_field is not None:
        times = columns[layer.time_field].dropna()
        if len(times):
            time_extent = (
                times.min().to_pydatetime().replace(tzinfo=UTC),
                times.max().to_pydatetime().replace(tzinfo=UTC),
            )
    return PreparedFrame(
        np.sort(fids).astype(np.int64),
        columns,
        geometry,
        geometry_3857,
        geometry_type,
        (west, south, east, north),
        time_extent,
    )


_SINGLE = {0: "Point", 1: "LineString", 2: "LineString", 3: "Polygon"}
_MULTI = {4: "Point", 5: "LineString", 6: "Polygon"}


def _one_type(geometry: Any, present: Any) -> tuple[Any, str]:
    import shapely

    kinds = {int(k) for k in np.unique(shapely.get_type_id(geometry[present]))}
    families = {_SINGLE.get(k) or _MULTI.get(k) for k in kinds}
    if len(families) != 1 or None in families:
        return geometry, "Geometry"
    family = str(families.pop())
    if not kinds & set(_MULTI):
        return geometry, family
    promote: dict[str, Any] = {
        "Point": shapely.multipoints,
        "LineString": shapely.multilinestrings,
        "Polygon": shapely.multipolygons,
    }
    single = present & np.isin(shapely.get_type_id(geometry), list(_SINGLE))
    geometry = geometry.copy()
    for i in np.flatnonzero(single):
        geometry[i] = promote[family]([geometry[i]])
    return geometry, f"Multi{family}"


def _columns(layer: Layer, frame: geopandas.GeoDataFrame) -> pd.DataFrame:
    import pandas as pd

    out: dict[str, Any] = {}
    for field in layer.fields:
        if field.name not in frame.columns or field.name == frame.geometry.name:
            raise LayerDefinitionInvalid(
                f"图层 {layer.id}：数据中没有字段 {field.name!r}，现有：{'、'.join(map(str, frame.columns))}",
                f"layer {layer.id}: the data have no field {field.name!r}, only {', '.join(map(str, frame.columns))}",
                layer=layer.id,
                field=field.name,
            )
        try:
            values = _convert(frame[field.name], field.type)
        except (TypeError, ValueError, OverflowError) as error:
            raise LayerDefinitionInvalid(
                f"图层 {layer.id}：字段 {field.name} 的值不能转为 {field.type}：{error}",
                f"layer {layer.id}: values of field {field.name} cannot become {field.type}: {error}",
                layer=layer.id,
                field=field.name,
            ) from error
        if not field.nullable and values.isna().any():
            raise QualityViolation(
                f"图层 {layer.id}：必填字段 {field.name} 有 {int(values.isna().sum())} 个空值",
                f"layer {layer.id}: required field {field.name} has {int(values.isna().sum())} gaps",
                layer=layer.id,
                field=field.name,
            )
        out[field.name] = values.reset_index(drop=True)
    return pd.DataFrame(out)


def _convert(values: Any, kind: str) -> Any:
    import pandas as pd

    if kind == "string":
        if values.dtype.kind in "iufb":
            raise TypeError("numbers where text is declared")
        # PostgreSQL cannot hold the zero character.
        return values.astype("string").str.replace("\x00", "", regex=False)
    if kind == "number":
        floats = pd.to_numeric(values).astype("Float64")
        return floats.where(np.isfinite(floats.to_numpy(np.float64, na_value=np.nan)))
    if kind in {"integer", "boolean"}:
        if values.dtype == object or pd.api.types.is_string_dtype(values.dtype):
            values = values.infer_objects()
        return values.astype(_DTYPES[kind])
    times = pd.to_datetime(values, utc=False)
    if not pd.api.types.is_datetime64_any_dtype(times.dtype):
        times = pd.to_datetime(values, utc=True)
    if kind == "date":
        # A date has no zone: the calendar day as written.
        return times.dt.tz_localize(None).dt.normalize().astype("datetime64[us]")
    if times.dt.tz is None:
        times = times.dt.tz_localize(LOCAL_ZONE)
    return times.dt.tz_convert("UTC").dt.tz_localize(None).astype("datetime64[us]")


def read_frame(layer: Layer, names: list[str], rows: list[tuple[Any, ...]]) -> geopandas.GeoDataFrame:
    """GeoDataFrame of rows ``(fid, WKB, field, …)``, with the same dtypes from both stores."""
    import geopandas
    import pandas as pd
    import shapely

    columns = list(zip(*rows, strict=True)) if rows else [() for _ in range(len(names) + 2)]
    index = pd.Index(np.array(columns[0], dtype=np.int64), name="fid")
    data: dict[str, Any] = {}
    for name, values in zip(names, columns[2:], strict=True):
        field = layer.field(name)
        assert field is not None
        data[name] = _read_column(list(values), field.type, index)
    wkb = np.array([None if v is None else bytes(v) for v in columns[1]], dtype=object)
    geometry = shapely.from_wkb(wkb)
    return geopandas.GeoDataFrame(data, index=index, geometry=geometry, crs=STORAGE.srid)


def _read_column(values: list[Any], kind: str, index: Any) -> Any:
    import pandas as pd

    if kind == "datetime":
        stamps: Any = [
            None if v is None else v.replace(tzinfo=UTC) if v.tzinfo is None else v.astimezone(UTC) for v in values
        ]
        return pd.Series(pd.to_datetime(stamps, utc=True), index=index).astype("datetime64[us, UTC]")
    if kind == "date":
        return pd.Series(pd.to_datetime(values), index=index).astype("datetime64[us]")
    if kind == "string":
        return pd.Series(values, index=index, dtype=object)
    if kind == "number":
        return pd.Series([np.nan if v is None else v for v in values], index=index, dtype=np.float64)
    series = pd.Series(values, index=index, dtype=_DTYPES[kind])
    return series if series.hasnans else series.astype(np.int64 if kind == "integer" else bool)


def plain_values(values: Any, kind: str = "integer") -> list[Any]:
    """Plain Python values of a prepared column, None for gaps."""
    import pandas as pd

    series = pd.Series(values)
    if kind == "date":
        return [None if pd.isna(v) else v.date() for v in series]
    if kind == "datetime":
        return [None if pd.isna(v) else v.to_pydatetime() for v in series.dt.tz_localize("UTC")]
    return [None if v is None or v is pd.NA or v != v else v for v in series.tolist()]
