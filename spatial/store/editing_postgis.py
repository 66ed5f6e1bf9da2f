"""Edited layers in PostGIS (要素编辑存储): all versions since a publication in one table, an edit costs a few rows.

The table of an editable layer has two more columns: the edit from which a row holds (0: as delivered) and the edit from
which it holds no longer (NULL: it still does). An edit closes the row that it changes and adds the new one; nothing else is
touched. The version of edit ``n`` is what held then, so every version stays readable as it was and costs no copy.

The database of the layers and the state database may be two. An edit is committed here first and becomes a version
there; one whose process died in between is no version, is seen by nobody, and is removed by the next edit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spatial.store.dialect import COUNT_COLUMN, GRID_3857_COLUMN, GRID_COLUMN, POSTGIS, column, quote
from spatial.store.published_frame import PreparedFrame, plain_values, prepare, read_frame
from spatial.store.statements import selected_fields
from spatial.store.vector import PublishedTable, RowChange

if TYPE_CHECKING:
    import psycopg

__all__ = ["keep_edits", "source", "write_edit"]

SINCE = quote("edit since")
UNTIL = quote("edit until")
"""No field of a layer can have these names."""


def keep_edits(connection: psycopg.Connection[Any], name: str) -> None:
    """Make a freshly written table without a key into one that keeps edits."""
    for statement in (
        f"ALTER TABLE {name} ADD COLUMN {SINCE} bigint NOT NULL DEFAULT 0, ADD COLUMN {UNTIL} bigint",
        f"ALTER TABLE {name} ADD PRIMARY KEY (fid, {SINCE})",
        # Edits are few beside the rows delivered: these indexes are small, and find what an edit left at once.
        f"CREATE INDEX ON {name} ({SINCE}) WHERE {SINCE} > 0",
        f"CREATE INDEX ON {name} ({UNTIL}) WHERE {UNTIL} IS NOT NULL",
        f"ANALYZE {name}",
    ):
        connection.execute(statement.encode())


def _holds(edit: int) -> str:
    return f"{SINCE} <= {int(edit)} AND ({UNTIL} IS NULL OR {UNTIL} > {int(edit)})"


def source(table: PublishedTable, name: str, generalised: str) -> str:
    """Rows of one version, to stand behind FROM.

    Parameters
    ----------
    name : str
        Quoted name of the table.
    generalised : str
        Quoted name of a generalised table, to read that one; empty for the data themselves. Edited features stand there as
        they are, in place of their generalised form. One that was merged with others is missed there only when the layer
        is published again.
    """
    if not generalised:
        return f"(SELECT * FROM {name} WHERE {_holds(table.edit)}) AS held"
    if not table.edit:
        return generalised
    fields = [column(f.name) for f in selected_fields(table.layer, table.layer.tile_fields)]
    columns = ["fid", *fields, "geom", "geom_3857"]
    if table.tile_grid:
        columns += [quote(GRID_COLUMN), quote(GRID_3857_COLUMN)]
    points = table.geometry_type in {"Point", "MultiPoint"}
    counted = [quote(COUNT_COLUMN)] if points else []
    edited = f"{UNTIL} <= {int(table.edit)}"
    return (
        f"(SELECT {', '.join(columns + counted)} FROM {generalised} "
        f"WHERE fid IS NULL OR fid NOT IN (SELECT fid FROM {name} WHERE {edited}) "
        f"UNION ALL SELECT {', '.join(columns + ['1'] * points)} FROM {name} "
        f"WHERE {SINCE} > 0 AND {_holds(table.edit)}) AS held"
    )


def write_edit(
    connection: psycopg.Connection[Any],
    table: PublishedTable,
    name: str,
    edit: int,
    changes: Sequence[RowChange],
    published: Callable[[int], bool],
) -> PublishedTable | None:
    """Write an edit of the version `table`; None if the table holds later versions, so that this one needs a table of its own."""
    if not _remove_unpublished(connection, name, table.edit, published):
        return None
    added = [change.row for change in changes if change.row is not None]
    closed: list[tuple[Any, ...]] = []
    for change in changes:
        closed += connection.execute(
            f"UPDATE {name} SET {UNTIL} = %s WHERE fid = %s AND {UNTIL} IS NULL "
            f"RETURNING fid, ST_XMin(geom), ST_YMin(geom), ST_XMax(geom), ST_YMax(geom)"
            f"{_time(table)}".encode(),
            [edit, change.fid],
        ).fetchall()
    prepared = None
    if added:
        names = [f.name for f in table.layer.fields]
        prepared = prepare(table.layer, read_frame(table.layer, names, sorted(added, key=lambda row: row[0])))
        _insert(connection, table, name, edit, prepared)
    made = replace(
        table,
        version=table.edited_version(edit),
        count=table.count + len(added) - len(closed),
        base=table.base or table.version,
        edit=edit,
        last_fid=max([row[0] for row in added] + ([] if table.last_fid is None else [table.last_fid]), default=None),
    )
    return replace(
        made,
        extent=_extent(connection, made, name, closed, prepared),
        time_extent=_time_extent(connection, made, name, closed, prepared),
    )


def _remove_unpublished(
    connection: psycopg.Connection[Any], name: str, edit: int, published: Callable[[int], bool]
) -> bool:
    """Remove what edits after `edit` left that became no version; False if one of them did."""
    later = connection.execute(
        f"SELECT {SINCE} FROM {name} WHERE {SINCE} > 0 AND {SINCE} > %(edit)s "
        f"UNION SELECT {UNTIL} FROM {name} WHERE {UNTIL} IS NOT NULL AND {UNTIL} > %(edit)s".encode(),
        {"edit": edit},
    ).fetchall()
    if any(published(number) for (number,) in later):
        return False
    if later:
        connection.execute(f"DELETE FROM {name} WHERE {SINCE} > 0 AND {SINCE} > %s".encode(), [edit])
        connection.execute(
            f"UPDATE {name} SET {UNTIL} = NULL WHERE {UNTIL} IS NOT NULL AND {UNTIL} > %s".encode(), [edit]
        )
    return True


def _insert(
    connection: psycopg.Connection[Any], table: PublishedTable, name: str, edit: int, prepared: PreparedFrame
) -> None:
    import shapely

    fields = table.layer.fields
    columns = ["fid", *(column(f.name) for f in fields), "geom", "geom_3857", SINCE]
    casts = ["bigint", *(POSTGIS.types[f.type] for f in fields)]
    values = [f"%s::{cast}" for cast in casts] + ["ST_GeomFromWKB(%s, 4490)", "ST_GeomFromWKB(%s, 3857)", "%s"]
    data = [plain_values(prepared.fids), *(plain_values(prepared.columns[f.name], f.type) for f in fields)]
    data += [shapely.to_wkb(prepared.geometry), shapely.to_wkb(prepared.geometry_3857), [edit] * len(prepared.fids)]
    statement = f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({', '.join(values)})".encode()
    with connection.cursor() as cursor:
        cursor.executemany(statement, list(zip(*data, strict=True)))


def _time(table: PublishedTable) -> str:
    field = table.layer.time_field
    if field is None:
        return ""
    kind = table.layer.field(field)
    assert kind is not None
    # A date counts as its first instant in UTC, as at publication.
    instant = f"({column(field)}::timestamp AT TIME ZONE 'UTC')" if kind.type == "date" else column(field)
    return f", {instant}"


def _extent(
    connection: psycopg.Connection[Any],
    table: PublishedTable,
    name: str,
    closed: list[tuple[Any, ...]],
    prepared: PreparedFrame | None,
) -> tuple[float, float, float, float]:
    """Extent after an edit; all rows are looked at only if a row that reached its border has gone."""
    west, south, east, north = table.extent
    if any(row[1] <= west or row[2] <= south or row[3] >= east or row[4] >= north for row in closed):
        found = connection.execute(
            f"SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) "
            f"FROM (SELECT ST_Extent(geom) AS e FROM {name} WHERE {_holds(table.edit)}) AS whole".encode()
        ).fetchone()
        assert found is not None
        return tuple(found)
    if prepared is None:
        return table.extent
    a, b, c, d = prepared.extent
    return min(west, a), min(south, b), max(east, c), max(north, d)


def _time_extent(
    connection: psycopg.Connection[Any],
    table: PublishedTable,
    name: str,
    closed: list[tuple[Any, ...]],
    prepared: PreparedFrame | None,
) -> tuple[datetime, datetime] | None:
    if table.layer.time_field is None:
        return None
    ends = table.time_extent
    gone = [row[5] for row in closed if row[5] is not None]
    if ends is not None and any(time <= ends[0] or time >= ends[1] for time in gone):
        instant = _time(table).removeprefix(", ")
        found = connection.execute(
            f"SELECT min({instant}), max({instant}) FROM {name} WHERE {_holds(table.edit)}".encode()
        ).fetchone()
        assert found is not None
        return None if found[0] is None else (found[0].astimezone(UTC), found[1].astimezone(UTC))
    new = None if prepared is None else prepared.time_extent
    if new is None or ends is None:
        return ends or new
    return min(ends[0], new[0]), max(ends[1], new[1])
