"""OGC API under ``/ogc``: our own handlers over the store and the job queue, and plugins for ``pygeoapi serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import Route

    from spatial.store.datastore import DataStore

__all__ = ["routes"]


def routes(datastore: DataStore) -> list[Route]:
    """Every route under ``/ogc`` except the tiles, and the processes (`spatial.ogc.processes`)."""
    from spatial.ogc.routing import ogc_routes

    return ogc_routes(datastore)
