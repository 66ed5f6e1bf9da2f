"""The application object and what surrounds every answer (应用外壳): counters, limits, security header, leaving clients.

`Application` is Starlette with two short ways: plain tile addresses are answered before middleware and routes, and routes
are found by an index. A client that goes away ends its GET: the task is cancelled, and with it the statement in the
database.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import compile_path

from spatial.dispatch import IndexedRouter
from spatial.errors import PayloadTooLarge, SpatialError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tiles.lane import TileLane
    from tiles.maker import TileAnswer

__all__ = ["Application", "Counters", "Envelope", "headers_of"]

AREAS = frozenset({"ogc", "stac", "tiles", "api", "assets", "portal"})
CLIENT_LEFT = 499
"""Status under which a request is counted whose client went away."""
WATCH_AFTER_S = 0.2
"""Requests that take longer are watched: is the client still there?"""
_NOSNIFF = (b"x-content-type-options", b"nosniff")

Problem = Callable[[Request, Exception], Awaitable[Response]]


class Application(Starlette):
    """Starlette with the short way of tiles and indexed routes.

    Parameters
    ----------
    lane : TileLane
        Answers plain tile addresses.
    problem : callable
        Request and error of our tree → problem document.

    Attributes
    ----------
    lane, counters
        Also for `spatial.ready_protocol`, which sends tiles that stand ready.
    """

    def __init__(self, *args: Any, lane: TileLane, problem: Problem, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.router = IndexedRouter(self.router)
        self.lane = lane
        self._problem = problem
        self.counters = Counters()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or "/tiles/" not in scope["path"] or scope["method"] != "GET":
            await super().__call__(scope, receive, send)
            return
        started = time.perf_counter()
        watch = _Watch(receive)
        watch.start()
        try:
            answer = await self.lane.answer(scope)
        except SpatialError as error:
            scope["app"] = self
            response = await self._problem(Request(scope, receive), error)
            response.headers["x-content-type-options"] = "nosniff"
            self.counters.count("tiles", response.status_code, started)
            await response(scope, receive, send)
            return
        except asyncio.CancelledError:
            if not watch.left():
                raise
            self.counters.count("tiles", CLIENT_LEFT, started)
            return
        finally:
            watch.stop()
        if answer is None:
            await super().__call__(scope, receive, send)
            return
        await _send(answer, send)
        self.counters.count("tiles", answer.status, started)


def headers_of(answer: TileAnswer) -> list[tuple[bytes, bytes]]:
    """All headers of a tile."""
    headers = [*answer.headers, _NOSNIFF]
    if answer.status == 200:
        headers.append((b"content-length", str(len(answer.body)).encode()))
    return headers


async def _send(answer: TileAnswer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": headers_of(answer)})
    await send({"type": "http.response.body", "body": answer.body})


class _Watch:
    """Cancels the task that answers when its client goes away.

    Nothing is watched in the first moments: it would cost quick answers more than it saves.
    """

    __slots__ = ("_gone", "_handle", "_receive", "_task", "_watcher")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._watcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, in the task that answers."""
        self._task = asyncio.current_task()
        self._handle = asyncio.get_running_loop().call_later(WATCH_AFTER_S, self._begin)

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._until_gone())

    async def _until_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._task is not None and self._handle is not None:
            self._gone = True
            self._task.cancel()

    def left(self) -> bool:
        """True if the task was cancelled because the client went away; the cancelling then counts as dealt with."""
        if self._gone and self._task is not None:
            self._task.uncancel()
        return self._gone

    def stop(self) -> None:
        """End; to be called as soon as the answer is complete."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None


class Counters:
    """Requests and their seconds by area, for ``/metrics``."""

    def __init__(self) -> None:
        from prometheus_client import REGISTRY, Counter, Histogram

        known = getattr(REGISTRY, "_names_to_collectors", {})
        # A process may create several applications (tests); the registry wants each name once.
        self._requests = known.get("onemap_requests") or Counter("onemap_requests", "Requests", ["area", "status"])
        self._seconds = known.get("onemap_request_seconds") or Histogram("onemap_request_seconds", "Seconds", ["area"])
        # Finding a labelled counter costs more than raising it.
        self._found: dict[tuple[str, int], tuple[Any, Any]] = {}

    def count(self, area: str, status: int, started: float) -> None:
        """Count one request that began at a time of `time.perf_counter`."""
        found = self._found.get((area, status))
        if found is None:
            found = self._requests.labels(area, str(status)), self._seconds.labels(area)
            self._found[area, status] = found
        found[0].inc()
        found[1].observe(time.perf_counter() - started)


class Envelope:
    """Security header, the size limit of request bodies, counters, leaving clients; plain ASGI to stay cheap.

    Parameters
    ----------
    limit : int
        Most bytes of a body.
    uploads : mapping, optional
        Path of a route (``/api/v1/cameras/{camera}/snapshots``) → most bytes there, where pictures are sent.
    """

    def __init__(self, app: ASGIApp, limit: int, uploads: Mapping[str, int] | None = None) -> None:
        self.app = app
        self.limit = limit
        self._uploads = [(compile_path(path)[0], most) for path, most in (uploads or {}).items()]
        self._counters = Counters()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = time.perf_counter()
        area = scope["path"].split("/", 2)[1] or "portal"
        area = area if area in AREAS else "other"
        code = 500
        watch = _Watch(receive)
        if scope["method"] in {"GET", "HEAD"}:
            watch.start()

        async def send_with_headers(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                message["headers"] = [*message["headers"], _NOSNIFF]
            elif not message.get("more_body", False):
                watch.stop()
            await send(message)

        received, limit = 0, self.limit
        if scope["method"] == "POST":
            limit = max([limit, *(most for path, most in self._uploads if path.fullmatch(scope["path"]))])

        async def limited_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise _too_large(limit)
            return message

        try:
            await self.app(scope, limited_receive, send_with_headers)
        except asyncio.CancelledError:
            if not watch.left():
                raise
            code = CLIENT_LEFT
        finally:
            watch.stop()
            self._counters.count(area, code, started)


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"请求体超过 {limit} 字节", f"the request body exceeds {limit} bytes", limit=limit)
