"""Cache of finished tiles (瓦片缓存): on disk, or in Redis where one is configured, shared by every process of the service.

A tile is named by layer, version, style, address, format, drawing code and authorisation scope (the grades that the server
shows), so a kept tile never becomes wrong: a new version, style or release has other names, and the old ones are cleared
away. Nothing here decides who may see a layer: the caller looks the layer up first, at every request.

On disk a tile is a file with its checksum, written aside and renamed. A damaged file is dropped and the tile made again.
The folder is kept below a number of bytes: what was not used for longest goes first, and versions that are no longer
current go at once. A cache that fails is passed over: it costs speed, never an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from spatial.settings import Settings

__all__ = ["DiskTiles", "RedisTiles", "TileCache", "TileName", "TileShelf", "packed", "unpacked"]

log = logging.getLogger("onemap.tiles")
_HEAD = struct.Struct("<4sII")
_MAGIC = b"OMT1"
_SWEEP_SHARE = 16
"""The folder is looked through after this share of its limit was written."""
_FILL = 0.9
"""Share of the limit that a sweep leaves."""
_TOUCH_S = 3600.0
"""Age of the time of last use from which it is written again: a use is not worth a write each time."""
_LEFT_OVER_S = 3600.0
_ATTEMPTS = 4
_PAUSE_S = 30.0
"""How long a Redis that failed is not asked again."""
_REDIS_KEEP_S = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class TileName:
    """What names a tile: its layer and version, for clearing away, and a digest of everything."""

    layer: str
    version: str
    digest: str


def packed(body: bytes) -> bytes:
    """A tile with its length and checksum before it.

    >>> unpacked(packed(b"tile")), unpacked(packed(b"")), unpacked(packed(b"tile")[:-1]), unpacked(b"")
    (b'tile', b'', None, None)
    """
    return _HEAD.pack(_MAGIC, zlib.crc32(body), len(body)) + body


def unpacked(data: bytes) -> bytes | None:
    """The tile, or None if a single bit of it is wrong."""
    if len(data) < _HEAD.size:
        return None
    magic, checksum, length = _HEAD.unpack_from(data)
    body = data[_HEAD.size :]
    return body if magic == _MAGIC and length == len(body) and checksum == zlib.crc32(body) else None


class TileShelf(Protocol):
    """Where tiles are kept."""

    async def get(self, name: TileName) -> bytes | None:
        """The tile (empty: nothing is there to draw), or None if it is not kept."""
        ...

    async def put(self, name: TileName, body: bytes) -> None:
        """Keep a tile; never raises."""
        ...

    def close(self) -> None: ...


class DiskTiles:
    """Tiles in files below a folder, at most so many bytes.

    Parameters
    ----------
    folder : Path
        ``{layer}/v{version}/{first two digits}/{rest of the digest}``.
    limit : int
        Bytes.
    current : callable
        Layer id and version of everything that is current; tiles of anything else are cleared away.
    """

    def __init__(
        self, folder: Path, limit: int, current: Callable[[], Collection[tuple[str, str]]] = lambda: ()
    ) -> None:
        self.folder = folder
        self._limit = limit
        self._current = current
        self._written = 0
        self._serial = itertools.count()
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="tile-cache")
        self._threads.submit(self._sweep)

    async def get(self, name: TileName) -> bytes | None:
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read, name)

    async def put(self, name: TileName, body: bytes) -> None:
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._threads.submit(self.write, name, body)

    def _path(self, name: TileName) -> Path:
        version = "v" + quote(name.version, safe="")
        return self.folder / quote(name.layer, safe="") / version / name.digest[:2] / name.digest[2:]

    def read(self, name: TileName) -> bytes | None:
        """A tile from its file."""
        path = self._path(name)
        try:
            with open(path, "rb") as file:
                data = file.read()
                used = os.fstat(file.fileno()).st_mtime
        except OSError:
            return None
        body = unpacked(data)
        if body is None:
            log.warning("a damaged tile was dropped: %s", path.name)
            path.unlink(missing_ok=True)
        elif time.time() - used > _TOUCH_S:
            with contextlib.suppress(OSError):
                os.utime(path)
        return body

    def write(self, name: TileName, body: bytes) -> None:
        """Write a tile aside and rename it; a full or broken disk is passed over."""
        path = self._path(name)
        aside = path.with_name(f".{os.getpid()}-{next(self._serial)}")
        data = packed(body)
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    if attempt:
                        path.parent.mkdir(parents=True, exist_ok=True)
                    aside.write_bytes(data)
                    break
                except FileNotFoundError:
                    # The folder is not there yet, or a sweep has just removed it.
                    if attempt + 1 == _ATTEMPTS:
                        raise
            aside.replace(path)
        except OSError as error:
            log.warning("tile cache: %s", error)
            with contextlib.suppress(OSError):
                aside.unlink(missing_ok=True)
            return
        self._written += len(data)
        if self._written > self._limit / _SWEEP_SHARE:
            self._written = 0
            self._sweep()

    def _sweep(self) -> None:
        try:
            self.sweep()
        except Exception as error:
            log.warning("tile cache: %s", error)

    def sweep(self) -> int:
        """Clear away what is no longer wanted or too much; bytes that are left.

        One process at a time does it; the others go on.
        """
        import fcntl

        if not self.folder.is_dir():
            return 0
        with open(self.folder / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return 0
            return self._clear()

    def _clear(self) -> int:
        current = set(self._current())
        found: list[tuple[float, int, str]] = []
        now = time.time()
        for layer in _folders(self.folder):
            for version in _folders(layer.path):
                if current and (unquote(layer.name), unquote(version.name[1:])) not in current:
                    shutil.rmtree(version.path, ignore_errors=True)
                    continue
                for file in _files(version.path):
                    with contextlib.suppress(OSError):  # another process was faster
                        about = file.stat()
                        if not file.name.startswith("."):
                            found.append((about.st_mtime, about.st_size, file.path))
                        elif now - about.st_mtime > _LEFT_OVER_S:
                            os.unlink(file.path)
            with contextlib.suppress(OSError):  # not empty
                os.rmdir(layer.path)
        total = sum(size for _, size, _ in found)
        if total > self._limit:
            for _, size, path in sorted(found):
                if total <= self._limit * _FILL:
                    break
                with contextlib.suppress(OSError):
                    os.unlink(path)
                total -= size
        return total

    def close(self) -> None:
        """Finish writing."""
        self._threads.shutdown(wait=True, cancel_futures=True)


def _folders(path: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _files(path: str) -> Iterator[os.DirEntry[str]]:
    for part in _folders(path):
        with contextlib.suppress(OSError), os.scandir(part.path) as entries:
            yield from entries


class RedisTiles:
    """Tiles in Redis, for services on several machines; how much it keeps is Redis' own setting (``maxmemory``)."""

    def __init__(self, url: str) -> None:
        try:
            from redis.asyncio import Redis
        except ImportError as error:
            from spatial.errors import StoreUnavailable

            raise StoreUnavailable(
                "ONEMAP_REDIS_URL 需要 redis 包，请安装：pip install 'onemap-hubei[server]'",
                "ONEMAP_REDIS_URL needs the package redis; install it: pip install 'onemap-hubei[server]'",
            ) from error
        self._redis: Any = Redis.from_url(
            url, socket_timeout=0.5, socket_connect_timeout=0.5, health_check_interval=30, decode_responses=False
        )
        self._pause_until = 0.0

    @staticmethod
    def _key(name: TileName) -> str:
        return f"onemap:tile:{name.layer}:{name.version}:{name.digest}"

    async def get(self, name: TileName) -> bytes | None:
        data = await self._ask(lambda: self._redis.get(self._key(name)))
        return None if data is None else unpacked(data)

    async def put(self, name: TileName, body: bytes) -> None:
        await self._ask(lambda: self._redis.set(self._key(name), packed(body), ex=_REDIS_KEEP_S))

    async def _ask(self, command: Callable[[], Awaitable[Any]]) -> Any:
        from redis.exceptions import RedisError

        if time.monotonic() < self._pause_until:
            return None
        try:
            return await command()
        except (RedisError, OSError) as error:
            self._pause_until = time.monotonic() + _PAUSE_S
            log.warning("tile cache: Redis does not answer (%s); tiles are made anew meanwhile", type(error).__name__)
            return None

    def close(self) -> None:
        """Connections go with the process."""


class TileCache:
    """Kept tiles, and one computation for equal requests that come at the same time."""

    def __init__(self, shelf: TileShelf | None = None) -> None:
        self._shelf = shelf
        self.keeps = shelf is not None
        """Whether tiles outlive their request."""
        self._running: dict[str, asyncio.Future[bytes]] = {}

    @classmethod
    def open(cls, settings: Settings, current: Callable[[], Collection[tuple[str, str]]]) -> TileCache:
        """The cache that the settings ask for."""
        if settings.redis_url is not None:
            return cls(RedisTiles(settings.redis_url.get_secret_value()))
        if settings.tile_cache_mb == 0:
            return cls()
        return cls(DiskTiles(settings.var_dir / "cache" / "tiles", settings.tile_cache_mb * 1_000_000, current))

    async def get(self, name: TileName, make: Callable[[], Awaitable[bytes | None]]) -> bytes:
        """The tile, from the cache or made now; empty where there is nothing to draw.

        Who comes while the same tile is being made waits for it. If the one who makes it goes away, another takes over.
        """
        while (running := self._running.get(name.digest)) is not None:
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                if not running.cancelled():
                    raise
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._running[name.digest] = future
        try:
            body = await self._get(name, make)
        except asyncio.CancelledError:
            future.cancel()
            raise
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # nobody else may be waiting for it
            raise
        else:
            future.set_result(body)
            return body
        finally:
            del self._running[name.digest]

    async def _get(self, name: TileName, make: Callable[[], Awaitable[bytes | None]]) -> bytes:
        if self._shelf is None:
            return await make() or b""
        kept = await self._shelf.get(name)
        if kept is not None:
            return kept
        body = await make() or b""
        await self._shelf.put(name, body)
        return body

    def close(self) -> None:
        """Close the shelf."""
        if self._shelf is not None:
            self._shelf.close()
