"""The statement behind maps (地图取数): geometries and the few attributes that a style reads, from the right scale's table."""

from __future__ import annotations

from collections.abc import Callable

from spatial.store.dialect import Dialect
from spatial.store.statements import Statement, frame_statement, tile_source
from spatial.store.vector import ItemQuery, PublishedTable

__all__ = ["shapes_statement"]


def shapes_statement(
    dialect: Dialect,
    source: Callable[[PublishedTable, str], str],
    table: PublishedTable,
    query: ItemQuery,
    zoom: int | None,
    most: int,
) -> Statement:
    """Rows ``(fid, WKB, properties of the query …)``, in the order of ``fid``.

    Parameters
    ----------
    source : callable
        Table and suffix → its name in SQL.
    zoom : int or None
        Web Mercator zoom whose pixel is that of the map; None reads the data themselves.
    most : int
        Largest number of rows.
    """
    suffix = "" if zoom is None else tile_source(table, "WebMercatorQuad", zoom)
    found = frame_statement(dialect, source(table, suffix), table, query)
    return Statement(f"SELECT * FROM ({found.sql}) AS shapes LIMIT {int(most)}", found.values)
