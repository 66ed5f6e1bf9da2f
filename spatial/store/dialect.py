"""What differs between the SQL of PostGIS and of DuckDB; everything else is written once in `statements` and `cql2_sql`.

Both databases read ``$1, $2 …`` as placeholders, so one text serves both. Values are always bound and always cast:
``$3::bigint``. Nothing that a caller sends ever becomes SQL text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal

__all__ = [
    "COUNT_ATTRIBUTE",
    "COUNT_COLUMN",
    "DUCKDB",
    "GRID_3857_COLUMN",
    "GRID_COLUMN",
    "POSTGIS",
    "SEPARATOR",
    "Bounds",
    "Dialect",
    "Kind",
    "Parameters",
    "column",
    "quote",
]

Kind = Literal["string", "integer", "number", "boolean", "date", "datetime", "geometry"]
Bounds = tuple[float, float, float, float]

COUNT_ATTRIBUTE = "count"
"""Attribute of a vector tile that says how many points a clustered point stands for."""
COUNT_COLUMN = "cluster count"
"""Its column in the generalised tables; no field can have this name, so it also replaces a taken attribute name."""
GRID_COLUMN, GRID_3857_COLUMN = "tile grid", "tile grid 3857"
"""Unit of the coarsest grid that a polygon bears, in degrees and in metres of Web Mercator; no field can have these names."""
SEPARATOR = "\x1e"
"""Stands between the features of a page that come as one value; JSON text cannot hold it unescaped."""
RESERVED = frozenset({"fid", "geom", "geom_3857", "rowid", "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"})
"""Column names of our own and system columns of the databases; a field of such a name is stored under another."""


def quote(identifier: str) -> str:
    """Identifier in double quotes, safe in both databases."""
    return '"' + identifier.replace('"', '""') + '"'


def column(name: str) -> str:
    """Quoted column of a layer field.

    >>> column("name"), column("fid")
    ('"name"', '"fid (field)"')
    """
    return quote(f"{name} (field)" if name in RESERVED else name)


@dataclass(slots=True)
class Parameters:
    """Collects bound values while a statement is written."""

    dialect: Dialect
    values: list[Any] = field(default_factory=list)

    def add(self, value: Any, kind: Kind) -> str:
        """Bind a value and return its placeholder with the cast of its type."""
        self.values.append(self.dialect.bind(value, kind))
        return f"${len(self.values)}::{self.dialect.types[kind]}"

    def add_geometry(self, wkb: bytes) -> str:
        """Bind a geometry in storage coordinates (WKB, x = longitude)."""
        self.values.append(wkb)
        return self.dialect.geometry_from_wkb(f"${len(self.values)}")


class Dialect(ABC):
    """SQL of one database."""

    name: ClassVar[str]
    types: ClassVar[dict[Kind, str]]
    geometry_types: ClassVar[tuple[str, str]]
    """Column types of ``geom`` and ``geom_3857``."""

    def bind(self, value: Any, kind: Kind) -> Any:
        """Python value that the driver sends for a value of `kind`."""
        return value

    @abstractmethod
    def geometry_from_wkb(self, placeholder: str) -> str:
        """Geometry in EPSG:4490 from a bound WKB."""

    @abstractmethod
    def envelope(self, bounds: Bounds, srid: int) -> str:
        """Rectangle with constant corners; the corners are floats of ours, never text of a caller."""

    @abstractmethod
    def geojson(self, geometry: str) -> str:
        """GeoJSON text of a geometry, 9 decimals at most."""

    @abstractmethod
    def wkb(self, geometry: str) -> str:
        """WKB of a geometry."""

    @abstractmethod
    def ordered(self, text: str) -> str:
        """A text expression that compares by code point (COLLATE "C")."""

    @abstractmethod
    def instant_text(self, instant: str) -> str:
        """RFC 3339 text of a datetime in UTC, without trailing zeros of the fraction, without quotes."""

    @abstractmethod
    def page(
        self,
        source: str,
        result: Sequence[str],
        columns: Sequence[str],
        where: str,
        window: str,
        *,
        order: str,
        scattered: bool,
        rows: bool,
    ) -> str:
        """Statement for one page.

        `result` are the expressions wanted, `columns` the columns that they and `order` read, `window` is
        ``LIMIT … OFFSET …``; `scattered` says that the rows of the page need not lie together (a filter, an order);
        `rows` asks for one row a feature where the page could also come as one value.
        """

    @abstractmethod
    def tile(
        self,
        source: str,
        layer: str,
        attributes: Sequence[tuple[str, str]],
        bounds: Bounds,
        srid: int,
        *,
        mended: bool = False,
        gridded: bool = False,
    ) -> str:
        """Statement that gives one row: the vector tile and, as a number, how many features it holds.

        `mended` makes polygons valid on the grid of the tile first, where the store does not do so by itself. `gridded`
        says that the rows tell how coarse a grid they bear: what bears this one and lies within the tile is only moved.
        """

    def json_value(self, expression: str, kind: str) -> str:
        """JSON text of an attribute; SQL NULL becomes ``null``."""
        if kind == "string":
            text = f"to_json({expression})::text"
        elif kind == "integer":
            text = f"{expression}::text"
        elif kind == "number":
            text = self.number_text(expression)
        elif kind == "boolean":
            return f"CASE WHEN {expression} THEN 'true' WHEN NOT {expression} THEN 'false' ELSE 'null' END"
        elif kind == "date":
            text = f"""'"' || {expression}::text || '"'"""
        else:
            text = f"""'"' || {self.instant_text(expression)} || '"'"""
        return f"coalesce({text}, 'null')"

    def number_text(self, number: str) -> str:
        """JSON text of a number that is no integer by type, always with a point or an exponent.

        QGIS and GDAL guess the type of a field from the first features: ``250`` would make it integer and cut the
        fractions of all that follow.
        """
        return f"{number}::text"

    def tile_value(self, expression: str, kind: str) -> str:
        """Attribute as a vector tile can hold it: dates and datetimes become ISO 8601 text."""
        if kind == "date":
            return f"{expression}::text"
        return self.instant_text(expression) if kind == "datetime" else expression


class _PostGIS(Dialect):
    name = "postgis"
    types: ClassVar[dict[Kind, str]] = {
        "string": "text",
        "integer": "bigint",
        "number": "float8",
        "boolean": "boolean",
        "date": "date",
        "datetime": "timestamptz",
        "geometry": "geometry",
    }
    geometry_types = ("geometry(Geometry, 4490)", "geometry(Geometry, 3857)")

    def bind(self, value: Any, kind: Kind) -> Any:
        if kind == "integer" and value is not None:
            from psycopg.types.numeric import Int8

            return Int8(value)  # one parameter type, so one prepared statement, whatever the size of the number
        return value

    def geometry_from_wkb(self, placeholder: str) -> str:
        return f"ST_GeomFromWKB({placeholder}::bytea, 4490)"

    def envelope(self, bounds: Bounds, srid: int) -> str:
        return f"ST_MakeEnvelope({', '.join(repr(float(v)) for v in bounds)}, {srid})"

    def geojson(self, geometry: str) -> str:
        return f"ST_AsGeoJSON({geometry}, 9, 0)"

    def wkb(self, geometry: str) -> str:
        return f"ST_AsBinary({geometry})"

    def ordered(self, text: str) -> str:
        return f'({text}) COLLATE "C"'

    def instant_text(self, instant: str) -> str:
        # The text form drops trailing zeros itself; to_char with two rtrim costs a tile a quarter more.
        return f"replace(({instant} AT TIME ZONE 'UTC')::text, ' ', 'T') || 'Z'"

    def number_text(self, number: str) -> str:
        # From 1e15 on the text has an exponent.
        whole = f"{number} = trunc({number}) AND abs({number}) < 1e15"
        return f"CASE WHEN {whole} THEN {number}::text || '.0' ELSE {number}::text END"

    def page(
        self,
        source: str,
        result: Sequence[str],
        columns: Sequence[str],
        where: str,
        window: str,
        *,
        order: str,
        scattered: bool,
        rows: bool,
    ) -> str:
        chosen = f"FROM {source} WHERE {where} ORDER BY {order} {window}"
        if rows or len(result) > 2:
            return f"SELECT {', '.join(result)} {chosen}"
        # One value for the page: row by row the server sends every 8 kB by itself, and each wakes the event loop.
        fid, feature = result
        return (
            f"SELECT string_agg({fid}::text, ','), string_agg(feature, chr({ord(SEPARATOR)})) "
            f"FROM (SELECT {fid}, {feature} AS feature {chosen}) page"
        )

    def tile(
        self,
        source: str,
        layer: str,
        attributes: Sequence[tuple[str, str]],
        bounds: Bounds,
        srid: int,
        *,
        mended: bool = False,
        gridded: bool = False,
    ) -> str:
        geometry, bears = ("geom_3857", GRID_3857_COLUMN) if srid == 3857 else ("geom", GRID_COLUMN)
        selected = "".join(f", {expression} AS {quote(name)}" for name, expression in attributes)
        # Bound as what they are, both are read once; made of numbers, the box would be made anew for every row.
        box, wide = "$1::box2d", "$2::geometry"
        shown = f"ST_AsMVTGeom({geometry}, {box}, 4096, 64, true)"
        if gridded:
            moved = f"ST_TransScale({geometry}, $4::float8, $5::float8, $6::float8, -$6::float8)"
            # ST_AsMVT cuts fractions off instead of rounding. Outer rings turn clockwise in a tile.
            moved = f"ST_Reverse(ST_SnapToGrid({moved}, 1))"
            shown = f"CASE WHEN {quote(bears)} * $6::float8 >= 1 AND {geometry} @ {wide} THEN {moved} ELSE {shown} END"
        # ST_AsMVT passes over what has no geometry left, and is empty if nothing has. To say so here as well, or to count,
        # costs a twelfth of the whole statement.
        return (
            f"SELECT ST_AsMVT(t, $3, 4096, '(geom)', '(fid)') FROM (SELECT fid AS \"(fid)\"{selected}, "
            f'{shown} AS "(geom)" FROM {source} WHERE {geometry} && {wide}) t'
        )


class _DuckDB(Dialect):
    name = "duckdb"
    types: ClassVar[dict[Kind, str]] = {
        "string": "varchar",
        "integer": "bigint",
        "number": "double",
        "boolean": "boolean",
        "date": "date",
        # A timestamp in UTC: the type with a zone would need the session's zone for every text.
        "datetime": "timestamp",
        "geometry": "geometry",
    }
    geometry_types = ("geometry", "geometry")

    def bind(self, value: Any, kind: Kind) -> Any:
        if kind == "datetime" and isinstance(value, datetime) and value.tzinfo is not None:
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    def geometry_from_wkb(self, placeholder: str) -> str:
        return f"ST_GeomFromWKB({placeholder}::blob)"

    def envelope(self, bounds: Bounds, srid: int) -> str:
        return f"ST_MakeEnvelope({', '.join(repr(float(v)) for v in bounds)})"

    def geojson(self, geometry: str) -> str:
        return f"ST_AsGeoJSON({geometry})::varchar"

    def wkb(self, geometry: str) -> str:
        return f"ST_AsWKB({geometry})"

    def ordered(self, text: str) -> str:
        return text  # the default order is by UTF-8 bytes already

    def instant_text(self, instant: str) -> str:
        return f"rtrim(rtrim(strftime({instant}, '%Y-%m-%dT%H:%M:%S.%f'), '0'), '.') || 'Z'"

    def page(
        self,
        source: str,
        result: Sequence[str],
        columns: Sequence[str],
        where: str,
        window: str,
        *,
        order: str,
        scattered: bool,
        rows: bool,
    ) -> str:
        # DuckDB would write the GeoJSON of every row before it sorts, so the rows of the page are chosen first: by row id
        # where they lie together (15 ms a page of 1,000; 46 ms the other way), as a table where a filter scatters them
        # (16 ms; 65 ms the other way).
        chosen = f"FROM {source} WHERE {where} ORDER BY {order} {window}"
        wanted = ", ".join(result)
        if not scattered:
            return f"SELECT {wanted} FROM {source} WHERE rowid IN (SELECT rowid {chosen}) ORDER BY {order}"
        page = f"SELECT {', '.join(columns)} {chosen}"
        return f"WITH page AS MATERIALIZED ({page}) SELECT {wanted} FROM page ORDER BY {order}"

    def tile(
        self,
        source: str,
        layer: str,
        attributes: Sequence[tuple[str, str]],
        bounds: Bounds,
        srid: int,
        *,
        mended: bool = False,
        gridded: bool = False,
    ) -> str:
        geometry = "geom_3857" if srid == 3857 else "geom"
        fields = "".join(f", {_text(name)}: {expression}" for name, expression in attributes)
        west, south, east, north = bounds
        margin = (east - west) * 64 / 4096
        wide = self.envelope((west - margin, south - margin, east + margin, north + margin), srid)
        shown = geometry
        if mended:
            polygons = f"ST_CollectionExtract(ST_MakeValid({geometry}), 3)"
            reduced = f"ST_CollectionExtract(ST_ReducePrecision({polygons}, {(east - west) / 4096!r}), 3)"
            shown = f"CASE WHEN ST_Dimension({geometry}) = 2 THEN {reduced} ELSE {geometry} END"
        clipped = f"ST_AsMVTGeom({shown}, ST_Extent({self.envelope(bounds, srid)}), 4096, 64, true)"
        # FILTER, not WHERE: a condition below would be pushed down and every geometry clipped twice.
        return (
            f"SELECT ST_AsMVT(t, $1, 4096, '(geom)', '(fid)') FILTER (t['(geom)'] IS NOT NULL), count(t['(geom)']) "
            f"FROM (SELECT {{'(fid)': fid{fields}, '(geom)': {clipped}}} AS t FROM {source} "
            f"WHERE ST_Intersects({geometry}, {wide}))"
        )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


POSTGIS: Dialect = _PostGIS()
DUCKDB: Dialect = _DuckDB()
