"""uvicorn's HTTP protocol (httptools) that sends tiles which stand ready at once (就绪瓦片直接应答).

A tile in memory costs less than parsing a request, and far less than the task, the request object and the messages that an
ASGI answer needs. A client asks for tiles with the same header lines again and again: these are understood once
(`RequestHeads`), and a request that is one whole GET with known lines is answered with a look into memory and one write.
Everything else, and whatever looks unusual (HTTP/1.0, a closing connection, a body, pipelined requests, a full socket), is
uvicorn's as before. `onemap serve` uses it; any other way of starting the application works without it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from spatial.application import Application, headers_of
from spatial.errors import SpatialError, UserError

if TYPE_CHECKING:
    from tiles.maker import TileAnswer

__all__ = ["ReadyProtocol", "RequestHeads"]

_GET, _HTTP, _LINE, _END = b"GET /", b" HTTP/1.1", b"\r\n", b"\r\n\r\n"
_LONGEST = 4096
"""Bytes of header lines; longer ones are not remembered."""
_LONGEST_ADDRESS = 65_535
"""Bytes of an address that httptools takes apart."""
_ONE_WRITE = 65_536
"""Bytes from which a body is not copied behind its head: the copy would cost more than a second buffer."""

Conditions = tuple[str | None, bool]


class _Reader:
    """What httptools tells of the lines of one request."""

    def __init__(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.messages = 0
        self.stays = False
        self.parser = httptools.HttpRequestParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.stays = self.parser.should_keep_alive() and not self.parser.should_upgrade()

    def on_message_complete(self) -> None:
        self.messages += 1


class RequestHeads:
    r"""Header lines of requests → what they mean for a tile, understood once.

    >>> heads = RequestHeads()
    >>> heads.conditions(b"Host: x\r\nAccept-Encoding: gzip\r\n\r\n")
    (None, True)
    >>> upgrade = b"Connection: Upgrade\r\nUpgrade: websocket"
    >>> for unusual in (b"Connection: close", b"Content-Length: 1", b"Origin: http://y", upgrade):
    ...     print(heads.conditions(b"Host: x\r\n" + unusual + b"\r\n\r\n"))
    None
    None
    None
    None
    """

    def __init__(self, most: int = 512) -> None:
        self._most = most
        self._known: dict[bytes, Conditions | None] = {}

    def conditions(self, lines: bytes) -> Conditions | None:
        """``If-None-Match`` and whether gzip is taken, of lines that end with an empty one; None: not for the short way."""
        try:
            return self._known[lines]
        except KeyError:
            pass
        found = _understood(lines)
        if len(lines) <= _LONGEST and (found is None or found[0] is None):
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[lines] = found
        return found


def _understood(lines: bytes) -> Conditions | None:
    from tiles.lane import conditions

    reader = _Reader()
    try:
        reader.parser.feed_data(_GET + _HTTP + _LINE + lines)
    except (httptools.HttpParserError, httptools.HttpParserUpgrade):
        return None
    bodies = {b"content-length", b"transfer-encoding", b"expect"}
    if reader.messages != 1 or not reader.stays or any(name in bodies for name, _ in reader.headers):
        return None
    return conditions(reader.headers)


_heads = RequestHeads()


class ReadyProtocol(HttpToolsProtocol):
    """`HttpToolsProtocol` with the short way."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._application = _application(self.app)
        self._serves = (
            self._application is not None
            and not self.access_log
            and not self.root_path
            and self.limit_concurrency is None
        )
        self._reading = False
        self._used = 0.0

    def data_received(self, data: bytes) -> None:
        if self._serves and not self._reading and data.endswith(_END) and self._send_ready(data):
            return
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request that the application could be asked: problem+json, then the connection is closed."""
        length = len(getattr(self, "url", b""))
        if length > _LONGEST_ADDRESS:
            error = UserError(
                f"请求地址长 {length} 字节，上限 {_LONGEST_ADDRESS}；请缩短 filter、ids 或 coords，"
                "或改用以 POST 发送正文的地址（/stac/search、/ogc/processes/…/execution）",
                f"the address has {length} bytes, the limit is {_LONGEST_ADDRESS}; shorten filter, ids or coords, "
                "or use an address that takes a body by POST (/stac/search, /ogc/processes/…/execution)",
            )
        else:
            error = UserError("收到的不是合法的 HTTP 请求", "this is no valid HTTP request")
        body = orjson.dumps(error.problem())
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/problem+json"),
            (b"content-length", str(len(body)).encode("ascii")),
            (b"connection", b"close"),
        ]
        self.transport.write(STATUS_LINE[400] + _lines(headers) + _LINE + body)
        self.transport.close()

    def on_message_begin(self) -> None:
        self._reading = True
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._reading = False
        super().on_message_complete()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was idle; the timer is not set anew for each tile, so it may come too early."""
        left = self._used + self.timeout_keep_alive - time.monotonic()
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def _send_ready(self, data: bytes) -> bool:
        """Answer a whole request, and only one; False if it is not for the short way."""
        cycle = self.cycle
        if (cycle is not None and not cycle.response_complete) or self.flow.write_paused:
            return False
        line, _, lines = data.partition(_LINE)
        if not line.startswith(_GET) or not line.endswith(_HTTP) or b"/tiles/" not in line or b"%" in line:
            return False
        asked = _heads.conditions(lines)
        if asked is None or self.transport.is_closing():
            return False
        started = time.perf_counter()
        path, _, query = line[4:-9].partition(b"?")
        application = self._application
        assert application is not None
        try:
            answer = application.lane.ready(path.decode("ascii"), query, asked)
        except (SpatialError, UnicodeDecodeError):
            return False  # said on the ordinary way
        if answer is None:
            return False
        state = self.server_state
        head = _head(answer, state.default_headers)
        if len(answer.body) < _ONE_WRITE:
            self.transport.write(head + answer.body)
        else:
            self.transport.writelines([head, answer.body])
        state.total_requests += 1
        self._used = time.monotonic()
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        application.counters.count("tiles", answer.status, started)
        return True


class _Opening:
    """Status line and the lines of every answer; these change once a second, when uvicorn renews the date."""

    def __init__(self) -> None:
        self._default: list[tuple[bytes, bytes]] | None = None
        self._texts: dict[int, bytes] = {}

    def of(self, status: int, default: list[tuple[bytes, bytes]]) -> bytes:
        if default is not self._default:
            self._default = default
            self._texts.clear()
        found = self._texts.get(status)
        if found is None:
            found = self._texts[status] = STATUS_LINE[status] + _lines(default)
        return found


_opening = _Opening()


def _head(answer: TileAnswer, default: list[tuple[bytes, bytes]]) -> bytes:
    if not answer.head:
        answer.head = _lines(headers_of(answer)) + _LINE
    return _opening.of(answer.status, default) + answer.head


def _lines(headers: list[tuple[bytes, bytes]]) -> bytes:
    return b"".join([piece for name, value in headers for piece in (name, b": ", value, _LINE)])


def _application(app: Any) -> Application | None:
    """Ours inside what uvicorn wraps around it (proxy headers)."""
    while app is not None and not isinstance(app, Application):
        app = getattr(app, "app", None)
    return app
