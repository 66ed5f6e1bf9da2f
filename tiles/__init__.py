"""Tiles of every layer (瓦片服务): vector and raster tiles, TileJSON, WMTS, OGC API Tiles, styles and legends.

This file stays light: `spatial.grid` reads the tile matrix sets that lie in this package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.routing import Route

    from spatial.store.datastore import DataStore

__all__ = ["routes"]


def routes(datastore: DataStore) -> list[Route]:
    """Every address of this package, for the application: ``/tiles/…`` and the tile addresses below ``/ogc``."""
    from tiles.web import routes as build

    return build(datastore)
