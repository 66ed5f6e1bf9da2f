"""The short way of tiles (瓦片快速通道): plain tile addresses are answered before routes, middleware and request objects.

A map asks for thirty tiles at once, and a tile that is ready costs less than finding its route. What is not a plain tile
address (another method or parameter, a web origin to be checked, WMTS, 天地图 keywords …) takes the ordinary way, which
calls the same `tiles.maker`; so both ways give the same answers, errors included.

Answers stand ready in memory by address, for the present revision of the catalogue only: at a publication all are dropped.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from spatial.grid import TILE_MATRIX_SETS
from tiles.answers import accepts, held_tag, wants_other_picture
from tiles.maker import TileAnswer, tile_maker
from tiles.matrix import TIANDITU, Address, parse_address

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["ReadyTiles", "TileLane", "conditions"]

_ENDINGS = {"mvt": "mvt", "pbf": "mvt", "png": "png", "webp": "webp", "jpg": "jpg", "jpeg": "jpg"}
_OVERHEAD = 1500
"""Bytes that an answer takes beside its body, about."""

Key = tuple[str, bytes, bool]


class ReadyTiles:
    """Answers by address, at most so many bytes, of one snapshot; what was not asked for longest goes first.

    >>> ready = ReadyTiles(4000)
    >>> for path in "abc":
    ...     ready.put("now", (path, b"", False), TileAnswer(200, [], b"", "tag"))
    >>> [ready.get("now", (path, b"", False)) is not None for path in "abc"]
    [False, True, True]
    >>> ready.get("a later snapshot", ("c", b"", False)) is None
    True
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._of: Any = None
        self._answers: OrderedDict[Key, TileAnswer] = OrderedDict()

    def get(self, snapshot: Any, key: Key) -> TileAnswer | None:
        """The answer, if it is of this snapshot."""
        if snapshot is not self._of:
            self._answers.clear()
            self._size, self._of = 0, snapshot
            return None
        found = self._answers.get(key)
        if found is not None:
            self._answers.move_to_end(key)
        return found

    def put(self, snapshot: Any, key: Key, answer: TileAnswer) -> None:
        """Keep an answer; one that takes more than an eighth of the room is not kept."""
        size = len(answer.body) + _OVERHEAD
        if self._of is None:
            self._of = snapshot
        if snapshot is not self._of or size > max(self._limit // 8, _OVERHEAD) or key in self._answers:
            return
        self._answers[key] = answer
        self._size += size
        while self._size > self._limit:
            _, old = self._answers.popitem(last=False)
            self._size -= len(old.body) + _OVERHEAD


class TileLane:
    """Answers plain tile addresses."""

    def __init__(self, datastore: DataStore) -> None:
        self._datastore = datastore
        self._maker = tile_maker(datastore)
        self._ready = ReadyTiles(datastore.settings.tile_memory_mb * 1_000_000)

    @property
    def keeps(self) -> bool:
        """Whether any answer is kept in memory."""
        return self._datastore.settings.tile_memory_mb > 0

    async def answer(self, scope: Any) -> TileAnswer | None:
        """The answer to a GET (its ASGI scope), or None if it must take the ordinary way.

        Raises
        ------
        SpatialError
            As on the ordinary way.
        """
        path: str = scope["path"]
        if scope.get("root_path"):
            return None
        asked = conditions(scope["headers"])
        if asked is None:
            return None
        held, gzip = asked
        query: bytes = scope["query_string"]
        snapshot = self._datastore.snapshot()
        key = (path, query, gzip)
        ready = self._ready.get(snapshot, key)
        if ready is not None:
            return _for_holder(ready, held)
        return await self._make(snapshot, key, held)

    def ready(self, path: str, query: bytes, asked: tuple[str | None, bool]) -> TileAnswer | None:
        """The answer to a GET under `conditions` if it stands ready in memory; the layer is looked up all the same."""
        held, gzip = asked
        ready = self._ready.get(self._datastore.snapshot(), (path, query, gzip))
        return None if ready is None else _for_holder(ready, held)

    async def _make(self, snapshot: Snapshot, key: Key, held: str | None) -> TileAnswer | None:
        path, query, gzip = key
        version: str | None = None
        if query:
            name, _, version = query.decode("latin-1").partition("=")
            if name != "version" or not version or not version.replace("-", "").replace(".", "").isalnum():
                return None
        asked = _plain(path)
        if asked is None:
            return None
        layer, address, ext = asked
        found = await self._maker.tile(snapshot, layer, address, ext, version=version, held=held, gzip=gzip)
        if ext != "mvt" and path.startswith("/ogc/"):
            found.headers.append((b"vary", b"Accept"))  # the ordinary way gives other pictures to who asks for them
        if found.status != 304 and self.keeps:
            self._ready.put(snapshot, key, found)
        return found


def _plain(path: str) -> tuple[str, Address, str] | None:
    """Layer, address and format of a plain tile address; None if it is anything else.

    >>> _plain("/tiles/towns/CGCS2000Quad/0/1/0.pbf")
    ('towns', Address(tms='CGCS2000Quad', z=0, x=1, y=0), 'mvt')
    >>> _plain("/ogc/collections/towns/map/tiles/CGCS2000Quad/0/0/1")
    ('towns', Address(tms='CGCS2000Quad', z=0, x=1, y=0), 'png')
    >>> _plain("/tiles/towns/CGCS2000Quad/0/1/0@2x.png"), _plain("/tiles/towns/tilejson.json")
    (None, None)
    """
    parts = path.split("/")
    if len(parts) == 7 and parts[1] == "tiles":
        row, _, ending = parts[6].rpartition(".")
        ext = _ENDINGS.get(ending)
        if ext is None or "@" in row or not _known(parts[3]):
            return None
        return parts[2], parse_address(parts[3], parts[4], parts[5], row), ext
    if len(parts) < 9 or parts[1] != "ogc" or parts[2] != "collections":
        return None
    if len(parts) == 9 and parts[4] == "tiles":
        ext = "mvt"
    elif len(parts) == 10 and parts[4] == "map" and parts[5] == "tiles":
        ext = "png"
    else:
        return None
    tms, z, row, column = parts[-4:]
    if tms not in TILE_MATRIX_SETS:
        return None
    return parts[3], parse_address(tms, z, column, row), ext


def _known(tms: str) -> bool:
    return tms in TILE_MATRIX_SETS or tms in TIANDITU


def conditions(headers: list[tuple[bytes, bytes]]) -> tuple[str | None, bool] | None:
    """``If-None-Match`` and whether gzip is taken; None for what the ordinary way must look at.

    >>> conditions([(b"accept", b"image/png,image/*")]), conditions([(b"accept", b"image/jpeg")])
    ((None, False), None)
    """
    held, gzip = None, False
    for name, value in headers:
        if name == b"if-none-match":
            held = value.decode("latin-1")
        elif name == b"accept-encoding":
            gzip = accepts(value.decode("latin-1"), "gzip")
        elif name == b"origin" or (name == b"accept" and wants_other_picture(value.decode("latin-1"))):
            return None
    return held, gzip


def _for_holder(answer: TileAnswer, held: str | None) -> TileAnswer:
    """The answer, or 304 for a client that has it."""
    if held is None or not held_tag(held, answer.tag):
        return answer
    wanted = {b"etag", b"cache-control", b"vary"}
    return TileAnswer(304, [header for header in answer.headers if header[0] in wanted], b"", answer.tag)
