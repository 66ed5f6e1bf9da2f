"""Series that stand beside the versions (持续写入的序列): readings of sensors and snapshots of cameras, as EDR observations.

The features of such a layer say where its stations are; what they observed is in `spatial.store.observation_store`. A field
``<name>_flag`` of the layer is filled with the code of the flag of ``<name>``. Snapshots give their number in the integer
field ``snapshot``; the other fields repeat what the camera is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from spatial.store.observation_store import FLAG_CODES, ObservationStore

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore
    from spatial.store.observation_store import SeriesSpan
    from spatial.store.vector import Interval, PublishedTable

__all__ = ["appended_rows", "appended_spans", "series_stamp", "time_text"]

FLAG_ENDING = "_flag"


def time_text(moment: datetime) -> str:
    """RFC 3339 in UTC, in the spelling of the other observations."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def series_stamp(datastore: DataStore, table: PublishedTable) -> int:
    """Number that changes with every observation of the layer; 0 for a layer without an appended series."""
    return 0 if table.layer.series is None else ObservationStore(datastore.state).stamp(table.layer.id)


def appended_spans(datastore: DataStore, table: PublishedTable) -> dict[str, SeriesSpan]:
    """Station → first and last time, number of times."""
    store = ObservationStore(datastore.state)
    if table.layer.series == "snapshots":
        return store.snapshot_spans(table.layer.id)
    return store.reading_spans(table.layer.id)


def appended_rows(
    datastore: DataStore,
    table: PublishedTable,
    features: Mapping[str, Mapping[str, Any]],
    names: Collection[str],
    interval: Interval | None,
    most: int,
) -> dict[str, dict[str | None, dict[str, Any]]]:
    """Observations of the stations `names` by time; at most one more than `most`, so that the caller sees too many.

    Parameters
    ----------
    features : mapping
        Station → properties of its feature.
    """
    layer, store = table.layer, ObservationStore(datastore.state)
    start = None if interval is None else interval.start
    end = None if interval is None else interval.end
    rows: dict[str, dict[str | None, dict[str, Any]]] = {name: {} for name in names}
    if layer.series == "snapshots":
        pictures, _ = store.snapshots(layer.id, names, since=start, until=end, limit=most + 1)
        for picture in pictures:
            rows[picture.camera][time_text(picture.at)] = {**features[picture.camera], "snapshot": picture.id}
        return rows
    blank: dict[str, Any] = dict.fromkeys(f.name for f in layer.fields)
    flagged = {f.name for f in layer.fields if f.name.endswith(FLAG_ENDING)}
    for reading in store.readings(layer.id, names, since=start, until=end, limit=most + 1):
        row = rows[reading.station].setdefault(time_text(reading.at), dict(blank))
        row[reading.field] = reading.value
        if reading.field + FLAG_ENDING in flagged:
            row[reading.field + FLAG_ENDING] = FLAG_CODES[reading.flag]
    return rows
