"""uvicorn's HTTP protocol (httptools) that sends tiles which stand ready at once (就绪瓦片直接应答).

A tile in memory costs less than the task, the request object and the messages that an ASGI answer needs. Here it is
written to the socket as soon as the head of the request is read. Everything else, and whatever looks unusual (HTTP/1.0, a
closing connection, pipelined requests, a full socket), is uvicorn's as before. `onemap serve` uses it; any other way of
starting the application works without it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from spatial.application import Application, headers_of
from spatial.errors import SpatialError

if TYPE_CHECKING:
    from tiles.maker import TileAnswer

__all__ = ["ReadyProtocol"]


class ReadyProtocol(HttpToolsProtocol):
    """`HttpToolsProtocol` with the short way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application = _application(self.app)
        self._sent = False

    def on_headers_complete(self) -> None:
        if b"/tiles/" in self.url and self._application is not None and self._send_ready(self._application):
            self._sent = True
            return
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._sent:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._sent:
            self._sent = False
            self.on_response_complete()
            return
        super().on_message_complete()

    def _send_ready(self, application: Application) -> bool:
        if (
            self.parser.get_method() != b"GET"
            or self.parser.get_http_version() != "1.1"
            or not self.parser.should_keep_alive()
            or self.parser.should_upgrade()
            or (self.cycle is not None and not self.cycle.response_complete)
            or self.flow.write_paused
            or self.access_log
            or self.root_path
            or self.limit_concurrency is not None
            or b"%" in self.url
            or not self.url.startswith(b"/")
        ):
            return False
        started = time.perf_counter()
        path, _, query = self.url.partition(b"?")
        try:
            answer = application.lane.ready(path.decode("ascii"), query, self.headers)
        except (SpatialError, UnicodeDecodeError):
            return False  # said on the ordinary way
        if answer is None:
            return False
        self.transport.write(_head(answer, self.server_state.default_headers) + answer.body)
        application.counters.count("tiles", answer.status, started)
        return True


def _head(answer: TileAnswer, default: list[tuple[bytes, bytes]]) -> bytes:
    pieces = [STATUS_LINE[answer.status]]
    for name, value in (*default, *headers_of(answer)):
        pieces += (name, b": ", value, b"\r\n")
    pieces.append(b"\r\n")
    return b"".join(pieces)


def _application(app: Any) -> Application | None:
    """Ours inside what uvicorn wraps around it (proxy headers)."""
    while app is not None and not isinstance(app, Application):
        app = getattr(app, "app", None)
    return app
