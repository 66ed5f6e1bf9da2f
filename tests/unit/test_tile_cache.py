"""The tile cache by itself: size, damage, versions, Redis, and one computation for equal requests."""

import asyncio
import os
import time

import pytest

from tiles.cache import DiskTiles, RedisTiles, TileCache, TileName, packed


def name(number: int, layer: str = "towns", version: str = "1") -> TileName:
    return TileName(layer, version, f"{number:032x}"[::-1])


@pytest.fixture
def shelf(tmp_path):
    found = DiskTiles(tmp_path / "tiles", 10_000, lambda: [("towns", "1")])
    yield found
    found.close()


def files(shelf):
    return sorted(p for p in shelf.folder.rglob("*") if p.is_file() and not p.name.startswith("."))


def test_a_tile_comes_back_and_empty_is_not_missing(shelf):
    shelf.write(name(1), b"tile")
    shelf.write(name(2), b"")
    assert [shelf.read(name(n)) for n in (1, 2, 3)] == [b"tile", b"", None]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + b"X", lambda b: b"", lambda b: b + b"more"])
def test_a_damaged_file_is_dropped(shelf, damage):
    shelf.write(name(1), b"tile")
    (file,) = files(shelf)
    file.write_bytes(damage(packed(b"tile")))
    assert shelf.read(name(1)) is None
    assert files(shelf) == []


def test_a_tile_half_written_is_never_seen(shelf, monkeypatch):
    monkeypatch.setattr("pathlib.Path.replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    shelf.write(name(1), b"tile")
    assert shelf.read(name(1)) is None
    assert files(shelf) == []


def test_the_oldest_go_first_when_there_are_too_many_bytes(shelf):
    for n in range(20):
        shelf.write(name(n), bytes(988))  # 1,000 with its head
        os.utime(shelf._path(name(n)), (1000 + n, 1000 + n))
    assert shelf.sweep() <= 10_000
    kept = [n for n in range(20) if shelf.read(name(n)) is not None]
    assert kept == list(range(20 - len(kept), 20))
    assert 9 <= len(kept) <= 10


def test_a_use_makes_a_tile_young_again(shelf):
    shelf.write(name(1), b"tile")
    os.utime(shelf._path(name(1)), (1000, 1000))
    shelf.read(name(1))
    assert time.time() - shelf._path(name(1)).stat().st_mtime < 60


def test_versions_that_are_not_current_are_cleared(shelf):
    for other in (name(1), name(2, version="0/../9"), name(3, layer="gone")):
        shelf.write(other, b"tile")
    shelf.sweep()
    assert files(shelf) == [shelf._path(name(1))]
    assert not (shelf.folder / "gone").exists()
    assert all(shelf.folder in p.parents for p in shelf.folder.rglob("*"))


def test_a_folder_that_cannot_be_written_costs_no_answer(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    shelf = DiskTiles(tmp_path / "file" / "tiles", 10_000)
    cache = TileCache(shelf)

    async def make():
        return b"tile"

    assert asyncio.run(cache.get(name(1), make)) == b"tile"
    assert asyncio.run(cache.get(name(1), make)) == b"tile"
    cache.close()


def test_equal_requests_at_once_are_one_computation():
    made = []

    async def make():
        made.append(1)
        await asyncio.sleep(0.02)
        return b"tile"

    async def ask():
        cache = TileCache()
        return await asyncio.gather(*(cache.get(name(1), make) for _ in range(10)), cache.get(name(2), make))

    assert asyncio.run(ask()) == [b"tile"] * 11
    assert len(made) == 2


def test_when_the_one_who_makes_it_leaves_another_takes_over():
    made = []

    async def make():
        made.append(1)
        await asyncio.sleep(0.05)
        return b"tile"

    async def ask():
        cache = TileCache()
        first = asyncio.create_task(cache.get(name(1), make))
        await asyncio.sleep(0.01)
        others = [asyncio.create_task(cache.get(name(1), make)) for _ in range(3)]
        await asyncio.sleep(0.01)
        others[0].cancel()
        first.cancel()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, left, *rest = asyncio.run(ask())
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(left, asyncio.CancelledError)
    assert rest == [b"tile", b"tile"]
    assert len(made) == 2


def test_an_error_reaches_all_who_wait_and_is_not_kept():
    async def fail():
        await asyncio.sleep(0.01)
        raise RuntimeError("away")

    async def make():
        return b"tile"

    async def ask():
        cache = TileCache()
        errors = await asyncio.gather(*(cache.get(name(1), fail) for _ in range(3)), return_exceptions=True)
        return errors, await cache.get(name(1), make)

    errors, after = asyncio.run(ask())
    assert [str(e) for e in errors] == ["away"] * 3
    assert after == b"tile"


class SmallRedis:
    """As much of a Redis server as the cache uses: RESP arrays of bulk strings, GET, SET, PING."""

    def __init__(self):
        self.kept, self.asked = {}, []

    async def serve(self, reader, writer):
        while (head := await reader.readline()).startswith(b"*"):
            words = []
            for _ in range(int(head[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2])
            command = words[0].upper()
            self.asked.append(command)
            if command == b"GET":
                found = self.kept.get(words[1])
                writer.write(b"$-1\r\n" if found is None else b"$%d\r\n%b\r\n" % (len(found), found))
            elif command == b"SET":
                self.kept[words[1]] = words[2]
                writer.write(b"+OK\r\n")
            else:
                writer.write({b"HELLO": b"-ERR unknown command\r\n", b"PING": b"+PONG\r\n"}.get(command, b"+OK\r\n"))
            await writer.drain()


def test_redis_keeps_tiles_for_every_machine_and_its_damage_is_seen():
    async def ask():
        redis = SmallRedis()
        server = await asyncio.start_server(redis.serve, "127.0.0.1", 0)
        address = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0?protocol=2"
        one, other = RedisTiles(address), RedisTiles(address)
        assert await one.get(name(1)) is None
        await one.put(name(1), b"tile")
        await one.put(name(2), b"")
        assert [await other.get(name(n)) for n in (1, 2)] == [b"tile", b""]
        (key, *_) = redis.kept
        redis.kept[key] = b"OMT1 damaged"
        assert await other.get(name(1)) is None
        server.close()

    asyncio.run(ask())


def test_a_redis_that_is_away_is_passed_over_and_left_alone_for_a_while(monkeypatch):
    async def ask():
        shelf = RedisTiles("redis://127.0.0.1:1/0")
        cache = TileCache(shelf)

        async def make():
            return b"tile"

        assert await cache.get(name(1), make) == b"tile"
        monkeypatch.setattr(shelf, "_redis", None)  # asked again it would fail
        assert await cache.get(name(2), make) == b"tile"

    asyncio.run(ask())
