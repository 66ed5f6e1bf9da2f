"""Writing the tables of a version into PostGIS (写入 PostGIS 表): features, their generalised forms, indexes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.catalog import Layer
from spatial.store.dialect import COUNT_COLUMN, GRID_3857_COLUMN, GRID_COLUMN, POSTGIS, column, quote
from spatial.store.generalise import GeneralisedTable
from spatial.store.published_frame import plain_values
from spatial.store.statements import selected_fields
from spatial.store.tile_grid import coarsest_grid, in_degrees

if TYPE_CHECKING:
    import psycopg

__all__ = ["write_level", "write_table"]


def write_level(
    connection: psycopg.Connection[Any], target: str, layer: Layer, level: GeneralisedTable, *, grid: bool
) -> None:
    """Write a generalised table, in the transaction of the connection."""
    fields = selected_fields(layer, layer.tile_fields)
    features = (level.fids, level.columns, level.geometry, level.geometry_3857)
    write_table(connection, target, fields, *features, grid=grid, counts=level.counts)


def write_table(
    connection: psycopg.Connection[Any],
    target: str,
    fields: Any,
    fids: Any,
    columns: Any,
    geometry: Any,
    geometry_3857: Any,
    *,
    grid: bool,
    counts: Any = None,
    key: bool = False,
    time_field: str | None = None,
) -> None:
    """Write one table with its indexes, in the transaction of the connection.

    Parameters
    ----------
    target : str
        Quoted name.
    fids, columns, geometry, geometry_3857
        As in `PreparedFrame`; ids of merged features are None.
    grid : bool
        Say of each polygon how coarse a grid it bears.
    counts : array or None
        How many points each row stands for.
    key : bool
        Feature ids are the primary key.
    time_field : str, optional
        Field that gets an index too.
    """
    import shapely

    definitions = ["fid bigint PRIMARY KEY" if key else "fid bigint"]
    definitions += [f"{column(f.name)} {POSTGIS.types[f.type]}" for f in fields]
    definitions += [f"geom {POSTGIS.geometry_types[0]}", f"geom_3857 {POSTGIS.geometry_types[1]}"]
    types = ["int8", *(POSTGIS.types[f.type] for f in fields), "bytea", "bytea"]
    data = [plain_values(fids), *(plain_values(columns[f.name], f.type) for f in fields)]
    data += [_ewkb(shapely, geometry, 4490), _ewkb(shapely, geometry_3857, 3857)]
    if grid:
        metres = coarsest_grid(geometry_3857)
        definitions += [f"{quote(name)} real" for name in (GRID_COLUMN, GRID_3857_COLUMN)]
        types += ["float4", "float4"]
        data += [in_degrees(metres, geometry).tolist(), metres.tolist()]
    if counts is not None:
        definitions.append(f"{quote(COUNT_COLUMN)} bigint")
        types.append("int8")
        data.append(plain_values(counts))
    connection.execute(f"CREATE TABLE {target} ({', '.join(definitions)})".encode())
    with connection.cursor() as cursor, cursor.copy(f"COPY {target} FROM STDIN (FORMAT BINARY)".encode()) as copy:
        copy.set_types(types)
        for row in zip(*data, strict=True):
            copy.write_row(row)
    for geometry_column in ("geom", "geom_3857"):
        connection.execute(f"CREATE INDEX ON {target} USING gist ({geometry_column})".encode())
    if time_field is not None:
        connection.execute(f"CREATE INDEX ON {target} ({column(time_field)})".encode())
    connection.execute(f"ANALYZE {target}".encode())


def _ewkb(shapely: Any, geometry: Any, srid: int) -> Any:
    return shapely.to_wkb(shapely.set_srid(geometry, srid), include_srid=True)
