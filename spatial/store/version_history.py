"""Published versions (版本历史) of the shown layers, read by one statement a catalogue revision."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["VersionOf", "first_published", "raster_versions"]


class VersionOf(NamedTuple):
    """A version and when it was published."""

    version: str
    published: datetime


_lock = threading.Lock()
_rasters: WeakKeyDictionary[DataStore, tuple[int, dict[str, tuple[VersionOf, ...]]]] = WeakKeyDictionary()


def first_published(datastore: DataStore, snapshot: Snapshot) -> dict[str, datetime]:
    """Layer id → when its first version was published, for the layers that a snapshot shows."""
    from sqlalchemy import func, select

    from spatial.store.state import LayerVersion

    # An edited layer has a version an edit: the database counts, not we.
    query = select(LayerVersion.layer_id, func.min(LayerVersion.published)).group_by(LayerVersion.layer_id)
    with datastore.state.session() as session:
        found = {row[0]: row[1] for row in session.execute(query)}
    return {layer.id: found[layer.id] for layer in snapshot.layers() if layer.id in found}


def raster_versions(datastore: DataStore, snapshot: Snapshot) -> Mapping[str, tuple[VersionOf, ...]]:
    """Layer id → its versions, newest first, for the raster layers that a snapshot shows."""
    with _lock:
        known = _rasters.get(datastore)
    if known is not None and known[0] == snapshot.revision:
        return known[1]
    from sqlalchemy import select

    from spatial.store.state import LayerVersion

    found: dict[str, list[VersionOf]] = {layer.id: [] for layer in snapshot.layers() if not layer.is_vector}
    query = select(LayerVersion.layer_id, LayerVersion.version, LayerVersion.published)
    query = query.where(LayerVersion.layer_id.in_(found))
    with datastore.state.session() as session:
        rows = session.execute(query.order_by(LayerVersion.published.desc(), LayerVersion.version.desc())).all()
    for layer_id, version, published in rows:
        found[layer_id].append(VersionOf(version, published))
    history = {layer_id: tuple(versions) for layer_id, versions in found.items()}
    with _lock:
        _rasters[datastore] = (snapshot.revision, history)
    return history
