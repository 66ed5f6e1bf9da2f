"""Maker of tiles (瓦片生成): from layer, version and address to the answer, through the cache.

Before anything else the layer is looked up in the snapshot of this request, so that what the server does not show is never
answered, kept or not. A tile is named for ever by layer, version, style and address; its ETag is made of these, so 304 is
answered before any store is asked.
"""

from __future__ import annotations

import hashlib
import json
import weakref
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidParameter, LayerNotFound
from spatial.store.vector import PublishedTable
from tiles.answers import PROGRAM, held_tag, keep_for
from tiles.cache import TileCache, TileName
from tiles.draw import drawn_tile
from tiles.matrix import Address, touches
from tiles.metadata import MEDIA_TYPES
from tiles.raster import TilePool
from tiles.render import band_number, empty_picture, raster_tile
from tiles.styles import raster_style

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Published, Snapshot

__all__ = ["PICTURES", "TileAnswer", "TileMaker", "checked_band", "find", "no_features", "tile_maker"]

PICTURES = ("png", "webp", "jpg")
_MVT_MARGIN = 0.1
"""Share of a tile around it in which a feature can still reach in (the store's buffer is smaller)."""
_GZIP_FROM = 1400
"""Bytes; a smaller vector tile fits into one packet anyway."""
_GZIP_LEVEL = 5
_IN_THREAD_FROM = 32_768
_GZIP_MAGIC = b"\x1f\x8b"
"""How a compressed tile begins; a vector tile begins with 0x1a."""

Header = tuple[bytes, bytes]


@dataclass(slots=True)
class TileAnswer:
    """Status (200, 204 or 304), headers without the length, body."""

    status: int
    headers: list[Header]
    body: bytes
    tag: str
    head: bytes = b""
    """Its lines as they were sent, for who sends it again."""

    def header_texts(self) -> dict[str, str]:
        """The headers as texts."""
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers}


@dataclass(slots=True)
class _Look:
    """What all tiles of one layer, version, format, band and size have in common."""

    published: Published
    tag: Any
    """Digest that only lacks the address."""
    keep: Header
    kind: Header
    scope: str | None
    """Ending of the name in the cache; None: not kept, as it is not the current version."""

    def etag(self, address: Address) -> str:
        digest = self.tag.copy()
        digest.update(f"{address.tms}/{address.z}/{address.x}/{address.y}".encode())
        return str(digest.hexdigest())


class TileMaker:
    """Makes the tiles of one datastore."""

    def __init__(self, datastore: DataStore) -> None:
        # Not held: the maker ends with its datastore (`tile_maker`).
        self._datastore: DataStore = weakref.proxy(datastore)
        self.pool = TilePool()
        self.cache = TileCache.open(datastore.settings, self._current)
        self._looks: dict[tuple[Any, ...], _Look] = {}
        self._looks_of: Snapshot | None = None

    def _current(self) -> list[tuple[str, str]]:
        snapshot = self._datastore.snapshot()
        return [(found.layer.id, found.version) for found in snapshot.current()]

    async def tile(
        self,
        snapshot: Snapshot,
        layer_id: str,
        address: Address,
        ext: str,
        *,
        version: str | None = None,
        band: str | None = None,
        size: int = 256,
        held: str | None = None,
        gzip: bool = False,
    ) -> TileAnswer:
        """The answer to a request for a tile.

        Parameters
        ----------
        held : str
            Header ``If-None-Match``.
        gzip : bool
            The client takes gzip; only vector tiles are compressed.

        Raises
        ------
        LayerNotFound, LayerNotPublished, VersionNotFound, InvalidParameter, StoreUnavailable
        """
        look = self._look(snapshot, layer_id, ext, version, band, size)
        tag = look.etag(address)
        if held is not None and held_tag(held, f'"{tag}"'):
            return TileAnswer(304, [(b"etag", f'"{tag}"'.encode()), look.keep], b"", f'"{tag}"')
        published = look.published
        if not touches(address, published.extent, _MVT_MARGIN):
            body = b""
        elif look.scope is None:
            body = await self._made(look, address, ext, band, size, gzip) or b""
        else:
            name = TileName(layer_id, published.version, tag + look.scope)
            body = await self.cache.get(
                name, lambda: self._made(look, address, ext, band, size, gzip or self.cache.keeps)
            )
        headers = [look.keep]
        if not body and ext != "mvt":
            # What loads a tile as an image (OpenLayers, Leaflet, Cesium) takes 204 for a failure.
            body = empty_picture(ext, size)
        if not body:
            return TileAnswer(204, [(b"etag", f'"{tag}"'.encode()), *headers], b"", f'"{tag}"')
        headers.append(look.kind)
        weak = ""
        if ext == "mvt":
            headers.append((b"vary", b"Accept-Encoding"))
            if body.startswith(_GZIP_MAGIC):
                if gzip:
                    weak = "W/"
                    headers.append((b"content-encoding", b"gzip"))
                else:
                    body = zlib.decompress(body, 16 + zlib.MAX_WBITS)
        headers.append((b"etag", f'{weak}"{tag}"'.encode()))
        return TileAnswer(200, headers, body, f'"{tag}"')

    async def _made(
        self, look: _Look, address: Address, ext: str, band: str | None, size: int, gzip: bool
    ) -> bytes | None:
        published = look.published
        if not isinstance(published, PublishedTable):
            return await self.pool.run(raster_tile, published, address, band=band, ext=ext, size=size)
        body = await self._datastore.vectors.atile(published, *address)
        if body and ext != "mvt":
            return await self.pool.run(drawn_tile, published.layer, body, ext=ext, size=size)
        if not gzip or len(body) < _GZIP_FROM:
            return body
        return _gzipped(body) if len(body) < _IN_THREAD_FROM else await self.pool.run(_gzipped, body)

    def _look(
        self, snapshot: Snapshot, layer_id: str, ext: str, version: str | None, band: str | None, size: int
    ) -> _Look:
        if snapshot is not self._looks_of:
            self._looks.clear()
            self._looks_of = snapshot
        key = (layer_id, ext, version, band, size)
        look = self._looks.get(key)
        if look is None:
            published = find(snapshot, layer_id, version)
            if ext == "mvt" and not isinstance(published, PublishedTable):
                raise no_features(published)
            look = self._new_look(snapshot, published, ext, version, checked_band(published, band), size)
            if len(self._looks) < 10_000:
                self._looks[key] = look
        return look

    def _new_look(
        self, snapshot: Snapshot, published: Published, ext: str, version: str | None, band: str | None, size: int
    ) -> _Look:
        layer = published.layer
        # A picture follows the whole definition (style, title of a watermark …), a vector tile its fields.
        looks = layer.tile_fields if ext == "mvt" else layer.model_dump(mode="json")
        parts = [PROGRAM, layer.id, published.version, looks, ext, band, size]
        tag = hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=12)
        scope = None
        if snapshot.published(layer.id) is published:
            settings = self._datastore.settings
            # Tiles of another service or of a database made anew are other tiles, though layer and version have the same name.
            where = [settings.state_address, sorted(settings.grades), snapshot.times[layer.id].isoformat()]
            scope = hashlib.blake2b(json.dumps(where).encode(), digest_size=6).hexdigest()
        keep = keep_for(layer, pinned=version is not None, styled=ext != "mvt")
        return _Look(
            published,
            tag,
            (b"cache-control", keep.encode()),
            (b"content-type", MEDIA_TYPES[ext].encode()),
            scope,
        )

    def close(self) -> None:
        """Finish writing the cache."""
        self.cache.close()


_makers: weakref.WeakKeyDictionary[DataStore, TileMaker] = weakref.WeakKeyDictionary()


def tile_maker(datastore: DataStore) -> TileMaker:
    """The one maker of a datastore."""
    found = _makers.get(datastore)
    if found is None:
        found = _makers[datastore] = TileMaker(datastore)
    return found


def _gzipped(body: bytes) -> bytes:
    return zlib.compress(body, _GZIP_LEVEL, 16 + zlib.MAX_WBITS)


def find(snapshot: Snapshot, layer_id: str, version: str | None) -> Published:
    """Published version of a layer of either kind."""
    layer = snapshot.catalog[layer_id]
    return snapshot.vector(layer_id, version) if layer.is_vector else snapshot.raster(layer_id, version)


def checked_band(published: Published, name: str | None) -> str | None:
    """The name of a band of a raster layer, or `InvalidParameter`."""
    if name is None:
        return None
    if isinstance(published, PublishedTable):
        raise InvalidParameter(
            f"图层 {published.layer.id} 是矢量，没有波段",
            f"layer {published.layer.id} is a vector layer and has no bands",
            layer=published.layer.id,
            parameter="band",
            allowed=[],
        )
    band_number(published.layer, name, raster_style(published.layer))
    return name


def no_features(published: Published) -> LayerNotFound:
    """The error for vector tiles of a raster layer."""
    layer_id = published.layer.id
    return LayerNotFound(
        f"图层 {layer_id} 是栅格图层，没有矢量瓦片；请用 .png、.webp、.jpg 或 /map/tiles",
        f"layer {layer_id} is a raster layer and has no vector tiles; use .png, .webp, .jpg or its /map/tiles",
        layer=layer_id,
        allowed=list(PICTURES),
    )
