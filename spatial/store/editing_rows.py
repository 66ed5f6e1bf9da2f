"""A whole new version from the rows of the one before and a few changes; for stores that cannot change a version in place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spatial.store.published_frame import read_frame
from spatial.store.vector import PublishedTable, RowChange

if TYPE_CHECKING:
    import geopandas

    from spatial.catalog import Layer

__all__ = ["changed_frame", "republished"]


def changed_frame(
    table: PublishedTable, rows: Sequence[tuple[Any, ...]], changes: Sequence[RowChange]
) -> geopandas.GeoDataFrame:
    """Features of a version after the changes, in the order of ``fid``; `rows` are those of `RowChange`."""
    kept = {row[0]: row for row in rows}
    for change in changes:
        kept.pop(change.fid, None)
        if change.row is not None:
            kept[change.fid] = change.row
    return read_frame(table.layer, [f.name for f in table.layer.fields], [kept[fid] for fid in sorted(kept)])


def republished(
    publish: Callable[[Layer, str, geopandas.GeoDataFrame], PublishedTable],
    table: PublishedTable,
    edit: int,
    rows: Sequence[tuple[Any, ...]],
    changes: Sequence[RowChange],
) -> PublishedTable:
    """Publish all rows again with the changes; generalised tables are computed anew."""
    made = publish(table.layer, table.edited_version(edit), changed_frame(table, rows, changes))
    known = [fid for fid in (table.last_fid, made.last_fid) if fid is not None]
    return replace(made, base=table.base or table.version, edit=edit, last_fid=max(known))
