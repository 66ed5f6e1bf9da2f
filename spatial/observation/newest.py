"""The newest values in the layer itself (最新值): a copy for maps, tiles and Features; the series is the truth.

Every copy is a version of the layer, so it is made at most once in the time that the rules say. What is not shown yet is
shown by the next observation, or by `show_newest` with 0 seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from spatial.errors import SpatialError
from spatial.store.observation_store import FLAG_CODES, ObservationStore
from spatial.store.state import StaleVersion, utc_now
from spatial.store.vector import RowChange

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore

__all__ = ["show_newest"]

log = structlog.get_logger("onemap")


def show_newest(datastore: DataStore, layer_id: str, every_s: float = 0.0) -> bool:
    """Bring the layer up to date; False if it is too early or could not be done, with the reason in the log."""
    store = ObservationStore(datastore.state)
    try:
        with datastore.state.editing(layer_id):
            stamp = store.stamp_row(layer_id)
            if stamp is None or (stamp.shown >= stamp.number and _of_this_version(datastore, layer_id)):
                return True
            if stamp.shown_at is not None and (utc_now() - stamp.shown_at).total_seconds() < every_s:
                return False
            _show(datastore, store, layer_id)
            store.mark_shown(layer_id, stamp.number)
    except (SpatialError, StaleVersion) as error:
        log.error("newest values not shown", layer=layer_id, error=type(error).__name__, detail=str(error))
        return False
    return True


def _of_this_version(datastore: DataStore, layer_id: str) -> bool:
    """False after a republication: the file does not know the newest values."""
    return datastore.snapshot().vector(layer_id).edit > 0


def _show(datastore: DataStore, store: ObservationStore, layer_id: str) -> None:
    import pandas as pd
    import shapely

    snapshot = datastore.snapshot()
    table = snapshot.vector(layer_id)
    layer = table.layer
    newest = _newest(store, layer)
    frame = datastore.vectors.frame(table)
    changes = []
    for fid, feature in frame.iterrows():
        values = newest.get(str(feature[layer.station_field]))
        if not values:
            continue
        row: list[Any] = []
        for field in layer.fields:
            value = values.get(field.name, feature[field.name])
            if not isinstance(value, str | bool) and pd.isna(value):
                value = None
            elif field.type == "integer":
                value = int(value)
            elif field.type == "number":
                value = float(value)
            elif isinstance(value, pd.Timestamp):
                value = value.to_pydatetime()
            row.append(value)
        number = int(str(fid))
        changes.append(RowChange(number, (number, shapely.to_wkb(feature.geometry), *row)))
    if not changes:
        return
    state = datastore.state
    made = datastore.vectors.edit(
        table,
        snapshot.revision + 1,
        changes,
        lambda number: state.version(layer_id, table.edited_version(number)) is not None,
    )
    try:
        datastore.publish_edit(table, made, [])
    except BaseException:
        if made.table != table.table:
            datastore.vectors.drop(made)
        raise


def _newest(store: ObservationStore, layer: Layer) -> dict[str, dict[str, Any]]:
    """Station → field → its newest value; the time is that of the newest of all."""
    assert layer.time_field is not None
    names = {f.name for f in layer.fields}
    found: dict[str, dict[str, Any]] = {}
    if layer.series == "snapshots":
        for camera, picture in store.newest_snapshots(layer.id).items():
            found[camera] = {layer.time_field: picture.at} | ({"snapshot": picture.id} if "snapshot" in names else {})
        return found
    for (station, field), reading in store.newest_readings(layer.id).items():
        row = found.setdefault(station, {layer.time_field: reading.at})
        row[layer.time_field] = max(row[layer.time_field], reading.at)
        if field in names:
            row[field] = reading.value
        if f"{field}_flag" in names:
            row[f"{field}_flag"] = FLAG_CODES[reading.flag]
    return found
