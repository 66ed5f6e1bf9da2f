"""Tiles from the cache are the tiles without it; publications and hidden layers are seen at once; clients that leave."""

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
import uuid
import zlib
from contextlib import contextmanager

import pytest
from starlette.testclient import TestClient

from spatial.asgi import create_app
from spatial.catalog import Layer

PARCELS = "/tiles/parcels/WebMercatorQuad/9/418/210"
ADDRESSES = [
    f"{PARCELS}.mvt",
    f"{PARCELS}.pbf?version=1",
    f"{PARCELS}.png",
    f"{PARCELS}@2x.png",
    f"{PARCELS}.webp",
    "/ogc/collections/parcels/tiles/WebMercatorQuad/9/210/418",
    "/ogc/collections/parcels/map/tiles/WebMercatorQuad/9/210/418",
    "/tiles/grid-points/CGCS2000Quad/8/418/84.mvt",
    "/tiles/c-missing/CGCS2000Quad/8/418/84.mvt",
    "/tiles/relief/CGCS2000Quad/6/104/20.png",
    "/tiles/relief/c/7/104/20.jpg",
    "/tiles/relief/CGCS2000Quad/6/0/0.png",
    "/tiles/parcels/WebMercatorQuad/9/0/0.mvt",
    "/tiles/relief/CGCS2000Quad/6/104/20.mvt",
    "/tiles/parcels/WebMercatorQuad/9/418/9999.mvt",
]


@pytest.fixture(scope="module")
def settings(store_settings, hand_made, tmp_path_factory):
    """A catalogue of its own, with one layer that is shown to nobody but a server of its grade."""
    folder = tmp_path_factory.mktemp("tile-cache")
    hidden = hand_made.layer_definition("hidden", grade="内部")
    definitions = {k: v for k, v in hand_made.definitions.items() if k != "draft"} | {"hidden": hidden}
    changes = {"layers_dir": hand_made.write_layers(folder / "layers", definitions), "var_dir": folder / "var"}
    if store_settings.store == "postgis":
        changes["postgis_schema"] = f"t_{uuid.uuid4().hex[:12]}"
    changes["var_dir"].mkdir()
    made = store_settings.model_copy(update=changes)
    datastore = create_app(made).state.datastore
    hand_made.publish_all(datastore, folder)
    frame = hand_made.parcels_frame()[["name", "geometry"]]
    datastore.publish_vector(Layer.model_validate(hidden), frame)
    datastore.close()
    return made


@contextmanager
def serving(settings, **changes):
    """A client of a new application, as another process would be one."""
    with TestClient(create_app(settings.model_copy(update=changes)), base_url="http://onemap.test") as client:
        yield client


def asked(client, path, **headers):
    answer = client.get(path, headers={"accept-encoding": "identity", **headers})
    names = ("etag", "cache-control", "content-type", "vary", "x-content-type-options")
    return answer.status_code, {n: answer.headers.get(n) for n in names}, answer.content


def shelves(settings):
    folder = settings.var_dir / "cache" / "tiles"
    return [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]


def test_kept_tiles_equal_computed_ones_in_bytes_and_headers(settings):
    with serving(settings, tile_cache_mb=0, tile_memory_mb=0) as bare:
        expected = {path: asked(bare, path) for path in ADDRESSES}
    assert {e[0] for e in expected.values()} >= {200, 204, 404}
    with serving(settings) as client:
        assert {path: asked(client, path) for path in ADDRESSES} == expected
        ready = {path: asked(client, path) for path in ADDRESSES}
        assert ready == expected
    assert shelves(settings)
    with serving(settings, tile_memory_mb=0) as other:
        assert {path: asked(other, path) for path in ADDRESSES} == expected
    with serving(settings) as other:
        # With an origin to be checked a request takes the ordinary way.
        assert {path: asked(other, path, origin="https://elsewhere.test") for path in ADDRESSES} == expected


def test_a_kept_tile_asks_no_store_in_any_process(settings, monkeypatch):
    with serving(settings) as client:
        first = asked(client, f"{PARCELS}.mvt")
    with serving(settings) as other:

        async def fail(*_):
            pytest.fail("the store was asked")

        monkeypatch.setattr(other.app.state.datastore.vectors, "atile", fail)
        monkeypatch.setattr("tiles.maker.raster_tile", fail)
        assert asked(other, f"{PARCELS}.mvt") == first
        assert asked(other, "/tiles/relief/CGCS2000Quad/6/104/20.png")[0] == 200


def test_large_vector_tiles_are_compressed_once_and_for_all(settings):
    path = "/tiles/grid-points/CGCS2000Quad/8/418/84.mvt"
    with serving(settings) as client:
        plain = client.get(path, headers={"accept-encoding": "identity"})
        with client.stream("GET", path, headers={"accept-encoding": "gzip, br"}) as answer:
            packed = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.headers["etag"] == f"W/{plain.headers['etag']}"
        assert plain.headers["vary"] == answer.headers["vary"] == "Accept-Encoding"
        assert zlib.decompress(packed, 31) == plain.content
        again = client.get(path, headers={"accept-encoding": "gzip", "if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(path, headers={"accept-encoding": "gzip;q=0"}).headers.get("content-encoding") is None


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-3] + b"bad", lambda _: b""])
def test_a_damaged_file_is_dropped_and_the_tile_made_again(settings, damage):
    with serving(settings) as client:
        good = asked(client, f"{PARCELS}.mvt")
    for file in shelves(settings):
        file.write_bytes(damage(file.read_bytes()))
    with serving(settings) as client:
        assert asked(client, f"{PARCELS}.mvt") == good
        assert asked(client, f"{PARCELS}.png")[0] == 200


def test_a_layer_that_is_not_shown_is_not_answered_from_the_cache(settings):
    path = "/tiles/hidden/WebMercatorQuad/9/418/210.mvt"
    with serving(settings, grades=("公开", "内部")) as inside:
        found = asked(inside, path)
        assert found[0] == 200
        assert found[1]["cache-control"].startswith("private")
        assert asked(inside, path) == found
    with serving(settings) as outside:
        for headers in ({}, {"if-none-match": found[1]["etag"]}):
            assert asked(outside, path, **headers)[0] == 404


def test_a_publication_is_seen_at_once_by_every_process_and_old_tiles_are_cleared(settings, hand_made):
    definition = hand_made.layer_definition("moving")
    frame = hand_made.parcels_frame()[["name", "geometry"]]
    path = "/tiles/moving/WebMercatorQuad/9/418/210.mvt"
    with serving(settings) as one, serving(settings) as other:
        store = one.app.state.datastore
        assert asked(one, path)[0] == 404
        seen = []
        for version in ("1", "2", "3"):
            layer = Layer.model_validate(definition | {"source": definition["source"] | {"version": version}})
            store.publish_vector(layer, frame.assign(name=f"第{version}版"))
            answers = [asked(client, path) for client in (one, other, one)]
            assert answers[0] == answers[1] == answers[2]
            assert f"第{version}版".encode() in answers[0][2]
            seen.append(answers[0])
            held = asked(other, path, **{"if-none-match": seen[0][1]["etag"]})
            assert held[0] == (304 if version == "1" else 200)
        assert asked(other, f"{path}?version=1")[2] == seen[0][2]
        store.state.withdraw("moving")
        assert [asked(client, path)[0] for client in (one, other)] == [404, 404]
    from tiles.maker import tile_maker

    with serving(settings) as client:
        shelf = tile_maker(client.app.state.datastore).cache._shelf
        deadline = time.monotonic() + 5
        while (shelf.folder / "moving").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not (shelf.folder / "moving").exists()
        assert (shelf.folder / "parcels").exists()


async def _ask(app, path, receive):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http", "path": path,
        "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [(b"host", b"onemap.test")],
        "client": ("127.0.0.1", 1), "server": ("onemap.test", 80),
    }  # fmt: skip
    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize(("method", "path"), [("atile", f"{PARCELS}.mvt"), ("apage", "/ogc/collections/parcels/items")])
def test_a_client_that_leaves_ends_its_query(settings, monkeypatch, method, path):
    app = create_app(settings.model_copy(update={"tile_cache_mb": 0, "tile_memory_mb": 0}))
    ended = []

    async def endless(*_, **__):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(True)
            raise

    async def leaves():
        await asyncio.sleep(0.3)
        return {"type": "http.disconnect"}

    monkeypatch.setattr(app.state.datastore.vectors, method, endless)
    started = time.monotonic()
    assert asyncio.run(_ask(app, path, leaves)) == []
    assert ended == [True]
    assert time.monotonic() - started < 5


SERVE = """
import uvicorn
if __name__ == "__main__":
    uvicorn.run("spatial.asgi:create_app", factory=True, host="127.0.0.1", port=%d, workers=2, loop="uvloop",
                http="spatial.ready_protocol:ReadyProtocol", log_level="warning", access_log=False)
"""


def test_two_real_processes_with_tiles_sent_by_the_protocol(settings, hand_made, tmp_path):
    """Many connections reach both processes: all see a publication at once, and what is ready equals what was made."""
    import os
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    secret = settings.postgis_dsn.get_secret_value() if settings.postgis_dsn else None
    given = {
        "ONEMAP_STORE": settings.store,
        "ONEMAP_VAR_DIR": str(settings.var_dir),
        "ONEMAP_LAYERS_DIR": str(settings.layers_dir),
        "ONEMAP_POSTGIS_SCHEMA": settings.postgis_schema,
        **({"ONEMAP_POSTGIS_DSN": secret} if secret else {}),
    }
    script = tmp_path / "serve.py"
    script.write_text(SERVE % port, "utf-8")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def get(path, **headers):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        with opener.open(request, timeout=30) as answer:
            return answer.status, dict(answer.headers), answer.read()

    definition = hand_made.layer_definition("live")
    frame = hand_made.parcels_frame()[["name", "geometry"]]
    path = "/tiles/live/WebMercatorQuad/9/418/210.mvt"
    server = subprocess.Popen([sys.executable, str(script)], env={**os.environ, **given}, start_new_session=True)
    app = create_app(settings)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                assert json.loads(get("/ready")[2])["status"] == "ready"
                break
            except OSError:
                time.sleep(0.2)
        for version in ("1", "2"):
            layer = Layer.model_validate(definition | {"source": definition["source"] | {"version": version}})
            app.state.datastore.publish_vector(layer, frame.assign(name=f"第{version}版"))
            answers = [get(path) for _ in range(24)]
            assert {body for _, _, body in answers} == {answers[0][2]}
            assert f"第{version}版".encode() in answers[0][2]
        _pipelined(port, path, answers[0][2])
    finally:
        app.state.datastore.close()
        server.terminate()
        server.wait(20)


def _pipelined(port, path, expected):
    """Three requests on one connection at once: ready, not ready, ready; then a conditional one. Answers come in order."""
    import socket

    tag = None
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        lines = [path, "/health", path]
        connection.sendall(b"".join(f"GET {p} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for p in lines))
        stream = connection.makefile("rb")
        bodies = []
        for _ in lines:
            status, headers, body = _answer(stream)
            assert status == 200
            tag = tag or headers.get(b"etag")
            bodies.append(body)
        assert bodies[0] == bodies[2] == expected
        assert json.loads(bodies[1]) == {"status": "ok"}
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag.decode()}\r\n\r\n".encode())
        status, headers, _ = _answer(stream)
        assert (status, headers[b"etag"]) == (304, tag)
        assert headers[b"x-content-type-options"] == b"nosniff"
        _in_pieces(connection, stream, path, expected)
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        answer = connection.makefile("rb").read()
        assert answer.endswith(expected)
        assert b"connection: close" in answer.lower()


def _in_pieces(connection, stream, path, expected):
    """What a request is does not depend on how its bytes arrive, nor on what stood before it on the connection."""
    whole = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    # The body of a POST that looks like a request is no request.
    posted = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(whole)}\r\n\r\n".encode()
    for pieces, statuses in (
        ([whole], [200]),
        ([whole[:30], whole[30:]], [200]),
        ([whole[:-2], whole[-2:]], [200]),
        ([posted, whole, whole], [405, 200]),
        ([whole + whole[:20], whole[20:]], [200, 200]),
        ([whole + whole, whole], [200, 200, 200]),
        ([whole.replace(b"Host: x", b"Host: x\r\nAccept-Encoding: identity")], [200]),
    ):
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(0.05)  # so that each arrives by itself
        for status in statuses:
            found, _, body = _answer(stream)
            assert found == status, pieces
            assert body == expected or status != 200


def _answer(stream):
    status = int(stream.readline().split()[1])
    headers = {}
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b": ")
        headers[name.lower()] = value
    return status, headers, stream.read(int(headers.get(b"content-length", 0)))
