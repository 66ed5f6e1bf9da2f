"""The routes of ``/ogc``: which address goes to which handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from starlette.routing import Route

from spatial.ogc import collections, features, openapi, queryables

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from spatial.store.datastore import DataStore

__all__ = ["ogc_routes"]


def ogc_routes(datastore: DataStore) -> list[Route]:
    """Routes with full paths, for the root application."""
    from spatial.ogc.shared import share

    share(datastore)

    def get(path: str, handler: Callable[[DataStore, Request], Awaitable[Response]]) -> Route:
        return Route(path, partial(handler, datastore), methods=["GET"])

    return [
        get("/ogc/collections/{collection}/items", features.items),
        get("/ogc/collections/{collection}/items/{feature}", features.item),
        get("/ogc/collections/{collection}/queryables", queryables.queryables),
        get("/ogc/collections/{collection}/schema", queryables.schema),
        get("/ogc/collections/{collection}/schema/geojson", queryables.geojson_schema),
        get("/ogc/collections/{collection}", collections.collection),
        get("/ogc/collections", collections.collections),
        get("/ogc/conformance", collections.conformance),
        get("/ogc/openapi", openapi.openapi),
        get("/ogc/api", openapi.openapi),
        get("/ogc", collections.landing),
        get("/ogc/", collections.landing),
    ]
