"""What the HTTP protocol itself refuses is said as problem+json, in both languages, like everything else."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
import uvicorn


async def _nothing(scope, receive, send):
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture(scope="module")
def port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        server = uvicorn.Server(
            uvicorn.Config(
                _nothing, http="spatial.ready_protocol:ReadyProtocol", log_level="critical", access_log=False
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(10)


def ask(port, request):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().lower(), body


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (b"GET /ogc/collections?filter=" + b"a" * 66_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", "65535"),
        (b"NONSENSE\r\n\r\n", "HTTP"),
    ],
)
def test_what_is_no_request_is_a_problem_document(port, request_, told):
    head, body = ask(port, request_)
    assert head.startswith("http/1.1 400 ")
    assert "content-type: application/problem+json" in head
    assert "connection: close" in head
    assert f"content-length: {len(body)}" in head
    problem = json.loads(body)
    assert problem["status"] == 400
    assert told in problem["detail_zh"]
    assert told in problem["detail_en"]


def test_an_address_just_short_enough_is_answered(port):
    request = b"GET /" + b"a" * 65_000 + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert ask(port, request)[0].startswith("http/1.1 204 ")
