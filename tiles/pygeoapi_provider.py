"""Tile provider for ``pygeoapi serve``: the same tiles as the service, as an ordinary pygeoapi plugin.

In the configuration::

    providers:
      - type: tile
        name: tiles.pygeoapi_provider.StoreTileProvider
        data: <layer id>
        format: {name: mvt, mimetype: application/vnd.mapbox-vector-tile}    # raster layers: {name: png, mimetype: image/png}
        options: {zoom: {min: 0, max: 16}}

pygeoapi 0.24 reads its matrix sets from files inside its own package; CGCS2000Quad is listed by this provider and its
tiles are served, but ``/TileMatrixSets/CGCS2000Quad`` exists only in the service itself.
"""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from typing import Any

from pygeoapi.models.provider.base import TileMatrixSetEnumType
from pygeoapi.provider.base import ProviderConnectionError, ProviderItemNotFoundError
from pygeoapi.provider.base_mvt import BaseMVTProvider
from pygeoapi.provider.tile import ProviderTileNotFoundError, ProviderTilesetIdNotFoundError

from spatial.errors import NotFound, SpatialError
from spatial.grid import TILE_MATRIX_SETS
from spatial.settings import settings
from spatial.store.datastore import DataStore, Published
from spatial.store.vector import PublishedTable
from tiles import metadata
from tiles.matrix import parse_address, touches

__all__ = ["StoreTileProvider"]

_lock = threading.Lock()


@lru_cache(maxsize=1)
def _open(process: int) -> DataStore:
    return DataStore.open(settings())


def _datastore() -> DataStore:
    """One DataStore a process (a forked server must not use its parent's connections)."""
    with _lock:
        return _open(os.getpid())


@lru_cache(maxsize=8)
def _scheme(tms: str) -> TileMatrixSetEnumType:
    document = metadata.matrix_set_document(tms)
    return TileMatrixSetEnumType(
        tileMatrixSet=tms,
        tileMatrixSetURI=document.get("uri", ""),
        crs=document["crs"],
        title=document["title"],
        orderedAxes=document.get("orderedAxes", []),
        wellKnownScaleSet=document.get("wellKnownScaleSet", ""),
        tileMatrices=document["tileMatrices"],
    )


class StoreTileProvider(BaseMVTProvider):
    """Vector tiles of vector layers and map tiles of raster layers, straight from the store."""

    def __init__(self, provider_def: dict[str, Any]) -> None:
        options = {"zoom": {"min": 0, "max": 16}, **(provider_def.get("options") or {})}
        super().__init__({**provider_def, "options": options})
        self._fields: dict[str, Any] = {}
        self._service_url = self._service_metadata_url = ""
        if self.mimetype.startswith("image"):
            self.tile_type = "raster"

    def __repr__(self) -> str:
        return f"<StoreTileProvider> {self.data}"

    def _published(self) -> Published:
        try:
            snapshot = _datastore().snapshot()
            layer = snapshot.catalog[self.data]
            return snapshot.vector(self.data) if layer.is_vector else snapshot.raster(self.data)
        except NotFound as error:
            raise ProviderItemNotFoundError(error.en) from error
        except SpatialError as error:
            raise ProviderConnectionError(error.en) from error

    def get_layer(self) -> str:
        """Name of the layer inside the tiles."""
        return str(self.data)

    def get_fields(self) -> dict[str, Any]:
        """Attributes in the tiles."""
        layer = self._published().layer
        return {
            f.name: {"type": f.type} for f in layer.fields if layer.tile_fields is None or f.name in layer.tile_fields
        }

    def get_tiling_schemes(self) -> list[TileMatrixSetEnumType]:
        """Every matrix set of the service, or those that ``options.schemes`` names."""
        return [_scheme(tms) for tms in TILE_MATRIX_SETS if not self.schemes or tms in self.schemes]

    def get_tiles_service(
        self,
        baseurl: str | None = None,
        servicepath: str | None = None,
        dirpath: str | None = None,
        tile_type: str | None = None,
    ) -> dict[str, Any]:
        """Links to the tiles of the collection."""
        self._service_url = servicepath or ""
        links: dict[str, Any] = self.get_tms_links()
        return links

    def get_tiles(
        self,
        layer: str | None = None,
        tileset: str | None = None,
        z: Any = None,
        y: Any = None,
        x: Any = None,
        format_: str | None = None,
    ) -> bytes | None:
        """One tile, None where nothing is."""
        if tileset not in {s.tileMatrixSet for s in self.get_tiling_schemes()}:
            raise ProviderTilesetIdNotFoundError(f"no tile matrix set {tileset}")
        published = self._published()
        try:
            address = parse_address(str(tileset), str(z), str(x), str(y))
            if not touches(address, published.extent, 0.1):
                return None
            if isinstance(published, PublishedTable):
                return _datastore().vectors.tile(published, *address) or None
            from tiles.render import raster_tile

            return raster_tile(
                published, address, band=None, ext="jpg" if self.format_type == "jpeg" else self.format_type
            )
        except NotFound as error:
            raise ProviderTileNotFoundError(error.en) from error
        except SpatialError as error:
            raise ProviderConnectionError(error.en) from error

    def get_default_metadata(
        self,
        dataset: str,
        server_url: str,
        layer: str,
        tileset: str,
        title: str,
        description: str,
        keywords: Any,
        **_: Any,
    ) -> dict[str, Any]:
        """OGC tile set metadata, with links below pygeoapi's own addresses."""
        if tileset not in {s.tileMatrixSet for s in self.get_tiling_schemes()}:
            raise ProviderTilesetIdNotFoundError(f"no tile matrix set {tileset}")
        kind: metadata.TileKind = "map" if self.tile_type == "raster" else "vector"
        document = metadata.tileset_document(self._published(), tms=tileset, kind=kind, base=server_url)
        path = f"{server_url}/collections/{dataset}/tiles/{tileset}"
        document["links"] = [
            {"href": path, "rel": "self", "type": "application/json", "title": "This document"},
            {
                "href": f"{server_url}/TileMatrixSets/{tileset}",
                "rel": metadata.SCHEME,
                "type": "application/json",
                "title": f"Definition of {tileset}",
            },
            {
                "href": f"{path}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}?f={self.format_type}",
                "rel": "item",
                "type": self.mimetype,
                "title": f"{tileset} tiles",
                "templated": True,
            },
        ]
        return document

    def get_vendor_metadata(
        self,
        dataset: str,
        server_url: str,
        layer: str,
        tileset: str,
        title: str,
        description: str,
        keywords: Any,
        **_: Any,
    ) -> dict[str, Any]:
        """TileJSON."""
        ext = "mvt" if self.tile_type == "vector" else self.format_type
        document = metadata.tilejson_document(self._published(), tms=tileset, ext=ext, base=server_url)
        path = f"{server_url}/collections/{dataset}/tiles/{tileset}/{{z}}/{{y}}/{{x}}?f={self.format_type}"
        return document | {"tiles": [path]}

    def get_html_metadata(
        self,
        dataset: str,
        server_url: str,
        layer: str,
        tileset: str,
        title: str,
        description: str,
        keywords: Any,
        **_: Any,
    ) -> dict[str, Any]:
        """What pygeoapi's page of a tile set shows."""
        path = f"{server_url}/collections/{dataset}/tiles/{tileset}"
        return {
            "id": dataset,
            "title": title,
            "tileset": tileset,
            "collections_path": f"{path}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}?f={self.format_type}",
            "json_url": f"{path}/metadata?f=json",
        }
