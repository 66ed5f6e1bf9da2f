"""Parts of the way of a request: the index of routes finds what Starlette finds; compression by what the client takes."""

import gzip
import itertools
import random

import brotli
import pytest
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Match, Mount, Route
from starlette.testclient import TestClient

from spatial.compression import Compression
from spatial.dispatch import IndexedRouter

PATHS = [
    "/", "/a", "/a/", "/a/{x}", "/a/{x}/b", "/a/{x}/{y}", "/a/{x}/{y}.{ext}", "/a/c/b", "/{x}/b", "/d/{x:path}", "/d/e/f",
    "/a/{x}/b/{y:int}", "/a/c",
]  # fmt: skip


def _app(paths, method="GET"):
    def endpoint(path):
        async def answer(request):
            return Response(f"{path} {sorted(request.path_params.items())}")

        return answer

    return Starlette(routes=[Route(path, endpoint(path), methods=[method]) for path in paths])


@pytest.mark.parametrize("mounted", [False, True])
def test_the_index_finds_what_starlette_finds(mounted):
    async def rest(scope, receive, send):
        await Response("rest", 404)(scope, receive, send)

    for seed in range(4):
        order = random.Random(seed).sample(PATHS, len(PATHS))
        plain, indexed = _app(order), _app(order)
        if mounted:
            plain.routes.append(Mount("/", rest))
            indexed.routes.append(Mount("/", rest))
        indexed.router = IndexedRouter(indexed.router)
        asked = [
            "".join(f"/{p}" for p in parts)
            for n in range(4)
            for parts in itertools.product(("a", "b", "c.d", "7"), repeat=n)
        ]
        one, other = (TestClient(app, follow_redirects=False) for app in (plain, indexed))
        for path in [*asked, "/d/e/f", "/d/e/f/g", "/a/c/b/7", "/a/", "/a/b/", "/x/y/z"]:
            for verb in ("GET", "POST"):
                a, b = one.request(verb, path or "/"), other.request(verb, path or "/")
                if mounted and verb == "POST" and one.get(path or "/").text != "rest":
                    # Starlette asks what is mounted; the index knows that the address is there and takes GET only.
                    assert (a.text, b.status_code, b.headers["allow"]) == ("rest", 405, "GET, HEAD"), path
                    continue
                assert (a.status_code, a.text, a.headers.get("location")) == (
                    b.status_code,
                    b.text,
                    b.headers.get("location"),
                )


def test_few_routes_are_tried(monkeypatch):
    routes = [f"/ogc/collections/{{id}}/{word}" for word in map(str, range(200))]
    app = _app([*routes, "/ogc/collections/{id}/items"])
    app.router = IndexedRouter(app.router)
    tried = []
    matches = Route.matches
    monkeypatch.setattr(Route, "matches", lambda route, scope: tried.append(route) or matches(route, scope))
    assert TestClient(app).get("/ogc/collections/x/items").status_code == 200
    assert len(tried) == 1
    assert tried[0].matches({"type": "http", "path": "/ogc/collections/x/items", "method": "GET"})[0] is Match.FULL


TEXT = b'{"text": "' + b"abcdefgh" * 1000 + b'"}'


@pytest.fixture(scope="module")
def packing():
    async def whole(request):
        kind = request.query_params["kind"]
        return Response(TEXT[: int(request.query_params.get("size", 9999))], media_type=kind, headers={"etag": '"x"'})

    async def stream(request):
        async def pieces():
            for _ in range(3):
                yield TEXT

        return StreamingResponse(pieces(), media_type="application/geo+json")

    app = Starlette(routes=[Route("/whole", whole), Route("/stream", stream)])
    app.add_middleware(Compression)
    return TestClient(app)


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip, br", "br"),
        ("gzip", "gzip"),
        ("br;q=0, gzip", "gzip"),
        ("*;q=0.5, gzip;q=0.1", "br"),
        ("*", None),
        ("identity", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("path", ["/whole?kind=application/json", "/stream"])
def test_the_best_coding_that_the_client_takes(packing, accepted, coding, path):
    answer = packing.get(path, headers={"accept-encoding": accepted})
    assert answer.headers.get("content-encoding") == coding
    assert answer.content == TEXT * (3 if path == "/stream" else 1)
    if coding:
        assert "Accept-Encoding" in answer.headers["vary"]
    if path != "/stream":
        assert answer.headers["etag"] == ('W/"x"' if coding else '"x"')


@pytest.mark.parametrize(
    "kind", ["image/png", "image/webp", "application/vnd.mapbox-vector-tile", "application/zip", "image/tiff"]
)
def test_what_is_compressed_already_passes(packing, kind):
    answer = packing.get(f"/whole?kind={kind}", headers={"accept-encoding": "gzip, br"})
    assert "content-encoding" not in answer.headers
    assert answer.headers["etag"] == '"x"'


def test_small_answers_pass(packing):
    answer = packing.get("/whole?kind=text/html&size=500", headers={"accept-encoding": "br"})
    assert "content-encoding" not in answer.headers


@pytest.mark.parametrize(("coding", "unpack"), [("br", brotli.Decompressor), ("gzip", None)])
def test_each_piece_of_a_stream_arrives_by_itself(coding, unpack):
    import asyncio
    import zlib

    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        for number in range(3):
            await send({"type": "http.response.body", "body": b"%d" % number * 2000, "more_body": True})
            reached.append(sum(len(m.get("body", b"")) for m in sent))
        await send({"type": "http.response.body", "body": b""})

    async def send(message):
        sent.append(message)

    reached = []
    scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", coding.encode())]}
    asyncio.run(Compression(app)(scope, None, send))
    packed = b"".join(m.get("body", b"") for m in sent)
    read = unpack().process if unpack else zlib.decompressobj(31).decompress
    assert read(packed[: reached[0]]) == b"0" * 2000
    whole = brotli.decompress(packed) if coding == "br" else gzip.decompress(packed)
    assert whole == b"0" * 2000 + b"1" * 2000 + b"2" * 2000
