"""The statements that both stores run, written once over a `Dialect`.

A statement is a text with ``$n`` placeholders and its values. The last key of every order is ``fid``, which is unique, so
pages are stable and the same in both stores. Texts sort by code point and gaps stand last, ascending or descending.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spatial.catalog import Attribute, Layer
from spatial.crs import ServedCRS
from spatial.errors import InvalidParameter, UnknownProperty
from spatial.grid import TILE_MATRIX_SETS, tile_bounds
from spatial.store.cql2_sql import compile_filter
from spatial.store.dialect import COUNT_ATTRIBUTE, COUNT_COLUMN, Bounds, Dialect, Kind, Parameters, column
from spatial.store.text_search import search_condition
from spatial.store.vector import ItemQuery, PublishedTable

__all__ = [
    "Statement",
    "anchor_statement",
    "count_statement",
    "frame_statement",
    "item_statement",
    "page_statement",
    "records_statement",
    "returns_json",
    "selected_fields",
    "tile_source",
    "tile_statement",
    "tile_values",
]

BUFFER = 64 / 4096
"""Margin of a vector tile, as a share of its width."""
_RECTANGLE = struct.Struct("<B4I10d")
_POLYGON_WITH_SRID = 0x20000003
"""Type of a polygon in EWKB, PostGIS' WKB with a SRID."""


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with placeholders, and the values for them."""

    sql: str
    values: list[Any]


def selected_fields(layer: Layer, names: tuple[str, ...] | None) -> list[Attribute]:
    """Fields of a layer in its own order, or those of `names`.

    Raises
    ------
    UnknownProperty
        If the layer has no such field; the message lists those that it has.
    """
    if names is None:
        return list(layer.fields)
    for name in names:
        require_field(layer, name)
    return [f for f in layer.fields if f.name in names]


def require_field(layer: Layer, name: str) -> Attribute:
    """Field of a layer by name, or `UnknownProperty`."""
    found = layer.field(name)
    if found is None:
        allowed = [f.name for f in layer.fields]
        raise UnknownProperty(
            f"图层 {layer.id} 没有属性 {name!r}，可用：{'、'.join(allowed)}",
            f"layer {layer.id} has no property {name!r}; use one of {', '.join(allowed)}",
            layer=layer.id,
            property=name,
            allowed=allowed,
        )
    return found


def returns_json(crs: ServedCRS) -> bool:
    """True if the database itself writes the GeoJSON, False if WKB is transformed here.

    Among the geographic CRSs the numbers are the same and at most the order of the axes changes.
    """
    return not crs.projected


def _result(dialect: Dialect, layer: Layer, names: tuple[str, ...] | None, crs: ServedCRS, skip: bool) -> list[str]:
    members = [
        f"""'{"" if i == 0 else ","}"{f.name}":' || {dialect.json_value(column(f.name), f.type)}"""
        for i, f in enumerate(selected_fields(layer, names))
    ]
    properties = "'{' || " + " || ".join([*members, "'}'"])
    if not skip and not returns_json(crs):
        return ["fid", dialect.wkb("geom"), properties]
    geometry = "'null'"
    if not skip:
        source = "ST_FlipCoordinates(geom)" if crs.latitude_first else "geom"
        geometry = f"coalesce({dialect.geojson(source)}, 'null')"
    text = f"""'{{"type":"Feature","id":' || fid || ',"geometry":' || {geometry} || ',"properties":' || {properties} || '}}'"""
    return ["fid", text]


def _order(dialect: Dialect, layer: Layer, query: ItemQuery) -> str:
    keys = []
    for key in query.sort:
        direction = " DESC" if key.descending else ""
        keys.append(f"{_sorted(dialect, require_field(layer, key.name))}{direction} NULLS LAST")
    return ", ".join([*keys, "fid"])


def _sorted(dialect: Dialect, field: Attribute) -> str:
    """Expression by which a field is ordered and compared."""
    name = column(field.name)
    return dialect.ordered(name) if field.type == "string" else name


def _behind(parameters: Parameters, layer: Layer, query: ItemQuery, anchor: Sequence[Any]) -> str:
    """Condition for the features behind the anchor, the last feature of the page before, whose sort values are given."""
    condition = f"fid > {parameters.add(query.after, 'integer')}"
    for key, value in reversed(list(zip(query.sort, anchor, strict=True))):
        field = require_field(layer, key.name)
        name = _sorted(parameters.dialect, field)
        if value is None:
            condition = f"{name} IS NULL AND {condition}"
        else:
            bound = parameters.add(value, field.type)
            beyond = f"{name} {'<' if key.descending else '>'} {bound} OR {name} IS NULL"
            condition = f"({beyond} OR ({name} = {bound} AND {condition}))"
    return condition


def _where(
    parameters: Parameters, layer: Layer, query: ItemQuery, *, keyset: bool = True, anchor: Sequence[Any] = ()
) -> str:
    conditions: list[str] = []
    if keyset and query.after is not None:
        conditions.append(_behind(parameters, layer, query, anchor))
    if query.ids is not None:
        listed = ", ".join(parameters.add(fid, "integer") for fid in query.ids)
        conditions.append(f"fid IN ({listed})" if listed else "false")
    if query.search:
        conditions.append(search_condition(parameters, layer, query.search))
    if query.area is not None:
        import shapely

        geometry = parameters.add_geometry(shapely.to_wkb(query.area))
        conditions.append(f"ST_Intersects(geom, {geometry})")
    if query.interval is not None and layer.time_field is not None:
        conditions.extend(_during(parameters, require_field(layer, layer.time_field), query))
    for name, value in query.equals.items():
        field = require_field(layer, name)
        if value is None:
            conditions.append(f"{column(name)} IS NULL")
        else:
            conditions.append(f"{column(name)} = {parameters.add(_typed(layer, field, value), field.type)}")
    if query.cql2 is not None:
        conditions.append(compile_filter(query.cql2, layer, parameters, query.filter_crs))
    return " AND ".join(f"({c})" for c in conditions) or "true"


def _during(parameters: Parameters, field: Attribute, query: ItemQuery) -> list[str]:
    # A date is a whole day: it matches if the interval touches the day in UTC.
    assert query.interval is not None
    kind: Kind = field.type
    out = []
    for value, sign in ((query.interval.start, ">="), (query.interval.end, "<=")):
        if value is not None:
            bound = value.date() if kind == "date" else value
            out.append(f"{column(field.name)} {sign} {parameters.add(bound, kind)}")
    if not out:
        out.append(f"{column(field.name)} IS NOT NULL")
    return out


def _typed(layer: Layer, field: Attribute, value: Any) -> Any:
    from datetime import date, datetime

    accepted: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "date": (date,),
        "datetime": (datetime,),
    }
    fits = isinstance(value, accepted[field.type])
    if fits and isinstance(value, bool) and field.type != "boolean":
        fits = False
    if fits and field.type == "date" and isinstance(value, datetime):
        fits = False
    if fits and field.type == "integer" and not -(2**63) <= value < 2**63:
        fits = False
    if fits and field.type == "string" and "\x00" in value:
        fits = False
    if not fits:
        raise InvalidParameter(
            f"图层 {layer.id} 的属性 {field.name} 类型为 {field.type}，取值 {value!r} 不合",
            f"layer {layer.id}: property {field.name} is of type {field.type}; {value!r} does not fit",
            layer=layer.id,
            parameter=field.name,
        )
    return value


def anchor_statement(dialect: Dialect, source: str, table: PublishedTable, query: ItemQuery) -> Statement:
    """Sort values of the feature ``query.after``, behind which a sorted page begins."""
    parameters = Parameters(dialect)
    key = parameters.add(query.after, "integer")
    columns = ", ".join(column(require_field(table.layer, k.name).name) for k in query.sort)
    return Statement(f"SELECT {columns} FROM {source} WHERE fid = {key}", parameters.values)


def page_statement(
    dialect: Dialect, source: str, table: PublishedTable, query: ItemQuery, anchor: Sequence[Any] = ()
) -> Statement:
    """One page; it asks for one row more than the limit, to know whether more follow.

    `anchor` is the row of `anchor_statement`, needed for a sorted page that begins behind a feature.
    """
    result = _result(dialect, table.layer, query.properties, query.crs, query.skip_geometry)
    return _page(dialect, source, table, query, anchor, result)


def records_statement(
    dialect: Dialect, source: str, table: PublishedTable, query: ItemQuery, anchor: Sequence[Any] = ()
) -> Statement:
    """The same page with typed columns: fid, WKB (NULL if not asked for), then the fields."""
    fields = [column(f.name) for f in selected_fields(table.layer, query.properties)]
    geometry = "NULL" if query.skip_geometry else dialect.wkb("geom")
    return _page(dialect, source, table, query, anchor, ["fid", geometry, *fields], rows=True)


def _page(
    dialect: Dialect,
    source: str,
    table: PublishedTable,
    query: ItemQuery,
    anchor: Sequence[Any],
    result: list[str],
    *,
    rows: bool = False,
) -> Statement:
    parameters = Parameters(dialect)
    where = _where(parameters, table.layer, query, anchor=anchor)
    limit = parameters.add(query.limit + 1, "integer")
    offset = parameters.add(query.offset, "integer")
    names = [*(f.name for f in selected_fields(table.layer, query.properties)), *(key.name for key in query.sort)]
    columns = ["fid", *(column(name) for name in dict.fromkeys(names))]
    if not query.skip_geometry:
        columns.append("geom")
    window = f"LIMIT {limit} OFFSET {offset}"
    order = _order(dialect, table.layer, query) if query.sort else "fid"
    scattered = query.is_filtered or bool(query.sort)
    sql = dialect.page(source, result, columns, where, window, order=order, scattered=scattered, rows=rows)
    return Statement(sql, parameters.values)


def item_statement(dialect: Dialect, source: str, table: PublishedTable, fid: int, crs: ServedCRS) -> Statement:
    """One feature by its id."""
    parameters = Parameters(dialect)
    result = _result(dialect, table.layer, None, crs, False)
    key = parameters.add(fid, "integer")
    return Statement(f"SELECT {', '.join(result)} FROM {source} WHERE fid = {key}", parameters.values)


def count_statement(dialect: Dialect, source: str, table: PublishedTable, query: ItemQuery) -> Statement:
    """Exact number of features that match."""
    parameters = Parameters(dialect)
    where = _where(parameters, table.layer, query, keyset=False)
    return Statement(f"SELECT count(*) FROM {source} WHERE {where}", parameters.values)


def frame_statement(dialect: Dialect, source: str, table: PublishedTable, query: ItemQuery | None) -> Statement:
    """Every matching feature with typed columns: fid, WKB, then the fields."""
    parameters = Parameters(dialect)
    query = query or ItemQuery()
    columns = [column(f.name) for f in selected_fields(table.layer, query.properties)]
    where = _where(parameters, table.layer, query, keyset=False)
    result = ", ".join(["fid", dialect.wkb("geom"), *columns])
    return Statement(f"SELECT {result} FROM {source} WHERE {where} ORDER BY fid", parameters.values)


def tile_source(table: PublishedTable, tms: str, z: int) -> str:
    """Suffix of the generalised table that serves a zoom; empty for the full data.

    A pixel of the degree grids is as wide as a Web Mercator pixel one zoom deeper (0.703° = 78 272 m of Mercator at
    zoom 0), at any latitude; north–south it is 1.15 times longer at 30° N. So their zoom ``z`` uses the table of
    ``z + 1``.

    >>> from types import SimpleNamespace as N
    >>> t = N(generalised={6: "_z6", 8: "_z8"})
    >>> [tile_source(t, "WebMercatorQuad", z) for z in (0, 6, 7, 8, 9)]
    ['_z6', '_z6', '_z8', '_z8', '']
    >>> [tile_source(t, "CGCS2000Quad", z) for z in (5, 7, 8)]
    ['_z6', '_z8', '']
    """
    zoom = z if TILE_MATRIX_SETS[tms] == 3857 else z + 1
    serving = [level for level in table.generalised if level >= zoom]
    return table.generalised[min(serving)] if serving else ""


def tile_statement(
    dialect: Dialect, source: str, table: PublishedTable, tms: str, z: int, x: int, y: int, *, mended: bool = False
) -> Statement:
    """Vector tile of `source` (the full data or a generalised table).

    With `mended` polygons are made valid on the grid of the tile first: slower, and no geometry is too odd for it.
    """
    layer = table.layer
    bounds: Bounds = tile_bounds(tms, z, x, y)
    srid = TILE_MATRIX_SETS[tms]
    attributes = [
        (f.name, dialect.tile_value(column(f.name), f.type)) for f in selected_fields(layer, layer.tile_fields)
    ]
    if table.geometry_type in {"Point", "MultiPoint"} and tile_source(table, tms, z):
        attributes.append(
            (COUNT_ATTRIBUTE if layer.field(COUNT_ATTRIBUTE) is None else COUNT_COLUMN, f'"{COUNT_COLUMN}"')
        )
    sql = dialect.tile(source, layer.id, attributes, bounds, srid, mended=mended, gridded=table.tile_grid)
    return Statement(sql, [layer.id] if dialect.name == "duckdb" else tile_values(table, tms, z, x, y))


def tile_values(table: PublishedTable, tms: str, z: int, x: int, y: int) -> list[Any]:
    """Values of PostGIS' tile statement: the tile as box2d, the tile with its margin as EWKB, the layer.

    Where the rows tell what grid they bear, also how to move x and y, and units of the tile's grid in a unit of the plane.
    """
    west, south, east, north = tile_bounds(tms, z, x, y)
    margin = (east - west) * BUFFER
    left, bottom, right, top = west - margin, south - margin, east + margin, north + margin
    ring = (left, bottom, left, top, right, top, right, bottom, left, bottom)
    srid = 3857 if TILE_MATRIX_SETS[tms] == 3857 else 4490
    box = f"BOX({west!r} {south!r},{east!r} {north!r})"
    values = [box, _RECTANGLE.pack(1, _POLYGON_WITH_SRID, srid, 1, 5, *ring), table.layer.id]
    return [*values, repr(-west), repr(-north), repr(4096 / (east - west))] if table.tile_grid else values
