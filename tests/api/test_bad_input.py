"""What is wrong, huge or malicious is refused with the right status, and costs little."""

from __future__ import annotations

import asyncio
import json
import resource
import time

import pytest

ITEMS = "/ogc/collections/parcels/items"
TYPE = "application/problem+json"


def refused(answer, *statuses):
    assert answer.status_code in statuses, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"].startswith(TYPE)
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["detail_zh"]
    assert document["detail_en"]
    return document


@pytest.mark.requirement(
    "ogcapi-features-1/1.0", "/req/core/query-param-invalid", "/req/core/query-param-unknown", "/req/core/http"
)
@pytest.mark.parametrize(
    ("path", "query", "status"),
    [
        # out of range
        (ITEMS, "limit=0", 400),
        (ITEMS, "limit=-1", 400),
        (ITEMS, "limit=1e3", 400),
        (ITEMS, "offset=-1", 400),
        (ITEMS, "bbox=200,0,201,1", 400),
        (ITEMS, "bbox=nan,0,1,1", 400),
        (ITEMS, "bbox=0,0,1,inf", 400),
        (ITEMS, "bbox=1,2,3", 400),
        (ITEMS, "bbox=", 400),
        # reversed: the south must not lie north of the north
        (ITEMS, "bbox=114,31,115,30", 400),
        (ITEMS, "bbox=114,30,115,31&bbox-crs=http://www.opengis.net/def/crs/EPSG/0/4490", 400),
        (ITEMS, "datetime=2024-13-01", 400),
        (ITEMS, "datetime=2024-02-01T00:00:00Z/2024-01-01T00:00:00Z", 400),
        (ITEMS, "crs=EPSG:9999", 400),
        # unknown, duplicated, empty
        (ITEMS, "bbbox=1,2,3,4", 400),
        (ITEMS, "limit=1&limit=2", 400),
        (ITEMS, "f=json&f=json", 400),
        (ITEMS, "f=exe", 400),
        (ITEMS, "lang=xx", 400),
        (ITEMS, "filter=nothing%20%3D%201", 400),
        (ITEMS, "filter=use%20%3D", 400),
        (ITEMS, "filter=1%3D1&filter-lang=sql", 400),
        (ITEMS, "filter=pg_read_file('/etc/passwd')%20%3D%20'x'", 400),
        (ITEMS, "filter=name%20LIKE%20'x'%3B%20DROP%20TABLE%20x", 400),
        (ITEMS, "name=%00", 400),
        (ITEMS, "version=9", 404),
        (f"{ITEMS}/999999", "", 404),
        (f"{ITEMS}/abc", "", 404),
        (f"{ITEMS}/1'%20OR%201=1", "", 404),
        ("/ogc/collections/nothing/items", "", 404),
        ("/ogc/collections/..%2f..%2fetc/items", "", 404),
        ("/ogc/nothing", "", 404),
        ("/ogc/collections/draft/items", "", 503),
        ("/ogc/collections/parcels/tiles/WebMercatorQuad/0/0/1", "", 404),
        ("/ogc/collections/parcels/tiles/WebMercatorQuad/99/0/0", "", 404),
        ("/ogc/collections/parcels/tiles/WebMercatorQuad/x/0/0", "", 404),
        ("/ogc/collections/parcels/tiles/Nothing/0/0/0", "", 404),
        ("/ogc/jobs", "limit=0", 400),
        ("/ogc/jobs/%00", "", 404),
    ],
)
def test_a_wrong_request_is_refused(client, path, query, status):
    refused(client.get(f"{path}?{query}" if query else path), *((status, 400) if status == 404 else (status,)))


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/fc-bbox-response")
def test_a_box_across_the_antimeridian_finds_what_lies_on_either_side(client):
    wide = client.get(ITEMS, params={"bbox": "113,29,-170,32"})
    assert wide.status_code == 200
    assert wide.json()["numberReturned"] == 4
    assert client.get(ITEMS, params={"bbox": "170,29,-170,32"}).json()["numberReturned"] == 0


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_a_method_that_an_address_does_not_have(client, method):
    refused(client.request(method, "/ogc/collections"), 405)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/ogc/processes/echo/execution", {"POST"}),
        ("PUT", "/ogc/processes/echo/execution", {"POST"}),
        ("PUT", "/ogc/jobs/x", {"GET", "HEAD", "DELETE"}),
        ("PUT", "/stac/search", {"GET", "HEAD", "POST"}),
        ("DELETE", "/ogc/collections", {"GET", "HEAD"}),
    ],
)
def test_the_refusal_of_a_method_names_those_that_the_address_takes(client, method, path, allow):
    answer = client.request(method, path)
    refused(answer, 405)
    assert set(answer.headers["allow"].split(", ")) == allow
    assert client.get("/ogc/processes/echo/executions").status_code == 404


def collection(points):
    return f"GEOMETRYCOLLECTION({', '.join(['POINT(1 2)'] * points)})"


@pytest.mark.parametrize(
    "text",
    [
        # An operand of ^ or % is named more than once in SQL, so that a short chain would grow without bound.
        "use = 2" + "^2" * 20,
        "use" + " % 7" * 60 + " = 1",
        f"use IN ({','.join(['1'] * 1001)})",
        # Each member of one collection meets each of the other.
        f"S_INTERSECTS({collection(40)}, {collection(40)})",
    ],
    ids=["powers", "remainders", "items", "collections"],
)
def test_a_short_filter_whose_sql_would_be_huge_is_refused(client, text):
    started = time.monotonic()
    document = refused(client.get(ITEMS, params={"filter": text}), 400)
    assert document["parameter"] == "filter"
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("text", ["use^2^2^2 = 1", "((use % 7) % 5) % 3 = 1", "area" + " + 1" * 90 + " = 91.5"])
def test_arithmetic_that_people_write_is_not_too_complex(client, text):
    assert client.get(ITEMS, params={"filter": text}).json()["features"]


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/fc-limit-definition")
def test_a_limit_of_any_length_is_lowered(client):
    # Part C: a limit above the maximum "SHALL NOT result in an error".
    for digits in (19, 40):
        everything = client.get(ITEMS, params={"limit": "9" * digits})
        assert (everything.status_code, everything.json()["numberReturned"]) == (200, 4)


@pytest.mark.parametrize("feature", ["01", "-01", "-0", "+1", "1.0", "1e0", "%201"])
def test_a_feature_has_one_address(client, feature):
    refused(client.get(f"{ITEMS}/{feature}"), 404)


def test_a_refusal_depends_on_accept_and_says_so(client):
    for accept in ("application/json", "text/html"):
        answer = client.get(ITEMS, params={"limit": "0"}, headers={"Accept": accept})
        assert answer.status_code == 400
        assert "Accept" in answer.headers["vary"].split(", ")


def test_a_page_of_another_site_may_send_what_editing_needs(api_app):
    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    site = "https://portal.example.cn"
    app = create_app(api_app.state.datastore.settings.model_copy(update={"cors_origins": (site,)}))
    names = "authorization,content-crs,content-type,if-match,if-none-match,prefer"
    asked = {"Origin": site, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": names}
    with TestClient(app, base_url="http://onemap.test") as web:
        answer = web.options(f"{ITEMS}/1", headers=asked)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, site)
        assert set(names.split(",")) <= set(answer.headers["access-control-allow-headers"].lower().split(", "))
        assert web.options(f"{ITEMS}/1", headers=asked | {"Origin": "https://other.example"}).status_code == 400
        shown = web.get(f"{ITEMS}/1", headers={"Origin": site}).headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "Location", "Content-Location", "OneMap-Version", "Content-Crs", "Link"} <= set(shown)


@pytest.mark.parametrize(
    "kind", ["text/xml", "application/x-www-form-urlencoded", "multipart/form-data", "", "a/b/c;;"]
)
def test_a_wrong_content_type(client, kind):
    refused(client.post("/ogc/processes/echo/execution", content=b"{}", headers={"content-type": kind}), 415)


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kB


def deep(kind):
    levels = 5000
    if kind == "cql2-text":
        return "(" * levels + "use = 1" + ")" * levels
    return '{"op":"not","args":[' * levels + '{"op":"=","args":[{"property":"use"},1]}' + "]}" * levels


def polygon(vertices):
    corners = ["114.05 30.05", "114.15 30.05", "114.15 30.15"]
    return f"S_INTERSECTS(geometry, POLYGON(({', '.join(corners * (vertices // 3))}, {corners[0]})))"


def ask(client, path, parameters):
    """GET without the limits of a client: the application gets the query as a server with none would hand it on."""
    from urllib.parse import urlencode

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": urlencode(parameters).encode(), "root_path": "",
        "headers": [(b"host", b"onemap.test")], "client": ("127.0.0.1", 1), "server": ("onemap.test", 80), "state": {},
    }  # fmt: skip
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    client.portal.call(client.app, scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], dict(sent[0]["headers"])[b"content-type"].decode(), json.loads(body)


@pytest.mark.parametrize(
    ("name", "text", "lang"),
    [
        ("10 MB of text", lambda: "name = '" + "x" * 10_000_000 + "'", "cql2-text"),
        ("5,000 brackets", lambda: deep("cql2-text"), "cql2-text"),
        ("5,000 NOTs", lambda: "NOT " * 5000 + "use = 1", "cql2-text"),
        ("5,000 levels of JSON", lambda: deep("cql2-json"), "cql2-json"),
        ("100,000 ORs", lambda: " OR ".join(["use = 1"] * 100_000), "cql2-text"),
        ("10^6 vertices", lambda: polygon(1_000_000), "cql2-text"),
        ("100,000 values", lambda: f"use IN ({','.join(['1'] * 100_000)})", "cql2-text"),
    ],
)
def test_a_huge_filter_is_refused_quickly_and_without_memory(client, name, text, lang):
    value = text()
    before, started = peak(), time.monotonic()
    status, kind, document = ask(client, ITEMS, {"filter": value, "filter-lang": lang})
    assert (status, kind, document["status"]) == (status, TYPE, status)
    assert status in (400, 413), document
    assert document["detail_zh"]
    assert document["detail_en"]
    assert len(json.dumps(document)) < 5000, "a huge value is not sent back"
    assert time.monotonic() - started < 20
    # The request itself stands in memory a few times (text, its quoted form, the parts of the query); its tree must not.
    assert peak() - before < 120_000 + 20 * len(value) / 1000, name
    assert client.get(ITEMS, params={"limit": "1"}).status_code == 200


def test_a_huge_body_is_refused_before_it_is_kept(client):
    refused(
        client.post(
            "/ogc/processes/echo/execution", content=b" " * 10_000_000, headers={"content-type": "application/json"}
        ),
        413,
    )
    body = b'{"inputs":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    refused(
        client.post("/ogc/processes/echo/execution", content=body, headers={"content-type": "application/json"}), 400
    )


def test_a_client_that_leaves_is_no_error(api_app):
    """The answer is dropped, nothing is raised, and the next request is served."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/ogc/collections/grid-points/items", "raw_path": b"", "query_string": b"limit=5000", "root_path": "",
        "headers": [(b"host", b"onemap.test")], "client": ("127.0.0.1", 1), "server": ("onemap.test", 80), "state": {},
    }  # fmt: skip

    async def ask(leave_after):
        sent = []
        gone = asyncio.Event()

        async def receive():
            if not sent and not gone.is_set() and leave_after:
                await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            sent.append(message)
            if len(sent) >= leave_after:
                gone.set()
                raise OSError("the client has left")

        try:
            await api_app(dict(scope), receive, send)
        except BaseException as error:
            # A server sees its own broken pipe again, and nothing else.
            seen = [error]
            while seen:
                one = seen.pop()
                seen += list(getattr(one, "exceptions", ()))
                assert (
                    getattr(one, "exceptions", None)
                    or isinstance(one, (OSError, RuntimeError))
                    or (type(one).__name__ == "ClientDisconnect")
                ), one
        return sent

    async def both():
        first = await ask(2)
        assert first[0]["status"] == 200
        return await asyncio.wait_for(ask(10**9), 30)

    assert asyncio.run(both())[0]["status"] == 200


@pytest.fixture
def breakable(tmp_path, hand_made):
    """An application of its own over DuckDB, whose files may be broken."""
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.settings import Settings

    layers = hand_made.write_layers(tmp_path / "layers", hand_made.definitions)
    app = create_app(Settings(store="duckdb", var_dir=tmp_path / "var", layers_dir=layers))
    hand_made.publish_all(app.state.datastore, tmp_path)
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as client:
        yield client, tmp_path / "var"


@pytest.mark.parametrize("how", ["deleted", "corrupt", "empty"])
def test_a_layer_whose_file_breaks_harms_no_other(breakable, how):
    client, var = breakable
    broken = 0
    for pattern, layer in (("**/gauges__*.duckdb*", "gauges"), ("**/relief/*.tif", "relief")):
        files = [path for path in var.glob(pattern) if path.is_file()]
        assert files, (pattern, sorted(p.name for p in var.rglob("*"))[:40])
        for path in files:
            if how == "deleted":
                path.unlink()
            else:
                path.write_bytes(b"" if how == "empty" else b"not this" * 1000)
        broken += 1
        path = (
            "/ogc/collections/gauges/items?filter=level%20%3E%200"
            if layer == "gauges"
            else "/ogc/collections/relief/map/tiles/WebMercatorQuad/6/26/52"
        )
        document = refused(client.get(path), 503)
        assert document.get("layer", layer) == layer
        assert str(var) not in json.dumps(document), "no path of this machine in an answer"
    assert broken == 2
    for healthy in (
        f"{ITEMS}?limit=2",
        "/ogc/collections/grid-points/items?limit=2",
        "/ogc/collections",
        "/ogc",
        "/ogc/openapi",
    ):
        assert client.get(healthy).status_code == 200, healthy
    assert client.get("/ogc/collections/parcels/tiles/WebMercatorQuad/8/105/209").status_code in (200, 204)


def test_an_error_in_the_log_shows_no_variables(client, capsys):
    """Drawn with the variables of every frame, an error told passwords and took minutes in which nobody was answered."""
    import structlog

    def fail(secret):
        raise RuntimeError("broken")

    try:
        fail("-".join(["pass", "word"]))
    except RuntimeError as error:
        structlog.get_logger("onemap").exception("unexpected error", exc_info=error)
    told = capsys.readouterr().out
    assert "RuntimeError: broken" in told
    assert "in fail" in told
    assert "pass-word" not in told
