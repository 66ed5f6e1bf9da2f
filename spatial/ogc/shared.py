"""The one `DataStore` of this process, for plugins that pygeoapi makes anew for every request."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["datastore", "share"]

_lock = threading.Lock()
_shared: tuple[int, DataStore] | None = None


def share(store: DataStore) -> None:
    """Make `store` the one that plugins use (the server has opened it already)."""
    global _shared
    with _lock:
        _shared = (os.getpid(), store)


def datastore() -> DataStore:
    """The shared store; opened from the environment where no server did (``pygeoapi serve``)."""
    global _shared
    with _lock:
        # A forked server must not use the connections of its parent.
        if _shared is None or _shared[0] != os.getpid():
            from spatial.settings import settings
            from spatial.store.datastore import DataStore

            _shared = (os.getpid(), DataStore.open(settings()))
        return _shared[1]
