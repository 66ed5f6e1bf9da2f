"""Compression of answers (压缩): brotli where the client takes it, else gzip; streams stay streams.

Pictures, archives and what is compressed already pass as they are (vector tiles compress themselves, once for all clients).
A compressed answer has other bytes, so its entity tag is made weak.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipResponder, IdentityResponder

from spatial.errors import StoreUnavailable

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["Compression"]

MINIMUM = 1400
"""Bytes; less fits into one packet anyway."""
GZIP_LEVEL = 5
BROTLI_QUALITY = 4
"""A page of 1,000 parcels (1.2 MB): quality 4 takes as long as gzip 5 and gives a tenth less."""
IN_THREAD_FROM = 64 * 1024
UNCOMPRESSED = (
    *DEFAULT_EXCLUDED_CONTENT_TYPES,
    "application/geopackage+sqlite3",
    "application/vnd.apache.parquet",
    "application/vnd.mapbox-vector-tile",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/pdf",
    "image/tiff",
)


class Compression:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._brotli = _brotli()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        header = Headers(scope=scope).get("accept-encoding", "") if scope["type"] == "http" else ""
        # A path for nobody who compresses: most scripts ask for none.
        if not header:
            await self.app(scope, receive, send)
            return
        coding = _preferred(header)
        if coding is None:
            await self.app(scope, receive, send)
            return

        async def weak_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                tag = headers.get("etag", "")
                if headers.get("content-encoding") == coding and tag.startswith('"'):
                    headers["etag"] = f"W/{tag}"
                elif headers.get("content-encoding") == "identity":
                    del headers["content-encoding"]
            await send(message)

        async def as_it_is(scope: Scope, receive: Receive, send: Send) -> None:
            async def mark(message: Message) -> None:
                # A feature that can be edited keeps its bytes: a weak tag would never match in If-Match (RFC 9110 §13.1.1).
                if message["type"] == "http.response.start":
                    headers = MutableHeaders(raw=message["headers"])
                    if "no-transform" in headers.get("cache-control", ""):
                        headers["content-encoding"] = "identity"  # the responder leaves alone what is encoded
                await send(message)

            await self.app(scope, receive, mark)

        responder: IdentityResponder
        if coding == "br":
            responder = _BrotliResponder(as_it_is, self._brotli)
        else:
            responder = GZipResponder(
                as_it_is,
                MINIMUM,
                compresslevel=GZIP_LEVEL,
                thread_minimum_size=IN_THREAD_FROM,
                exclude_content_types=UNCOMPRESSED,
            )
        await responder(scope, receive, weak_send)


class _BrotliResponder(IdentityResponder):
    content_encoding = "br"

    def __init__(self, app: ASGIApp, brotli: Any) -> None:
        super().__init__(app, MINIMUM, exclude_content_types=UNCOMPRESSED)
        self._brotli = brotli
        self._compressor: Any = None

    async def apply_compression(self, body: bytes, *, more_body: bool) -> bytes:
        if len(body) >= IN_THREAD_FROM:
            return await to_thread.run_sync(self._compress, body, more_body)
        return self._compress(body, more_body)

    def _compress(self, body: bytes, more_body: bool) -> bytes:
        if self._compressor is None:
            self._compressor = self._brotli.Compressor(quality=BROTLI_QUALITY)
        packed: bytes = self._compressor.process(body)
        # A piece of a stream must arrive now, not when the next one fills a block.
        rest: bytes = self._compressor.flush() if more_body else self._compressor.finish()
        return packed + rest


def _preferred(header: str) -> str | None:
    """Coding for a header ``Accept-Encoding`` (RFC 9110 §12.5.3); equal qualities prefer brotli.

    >>> _preferred("gzip, deflate, br"), _preferred("gzip"), _preferred("br;q=0.1, gzip"), _preferred("identity, gzip;q=0")
    ('br', 'gzip', 'gzip', None)
    """
    if header.strip() == "*":
        return None  # whoever names no coding can often read none (pystac and its validator)
    quality = {"br": 0.0, "gzip": 0.0}
    rest: float | None = None
    named = set()
    for part in header.lower().split(","):
        name, _, parameter = part.strip().partition(";")
        try:
            value = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            value = 0.0
        if name == "*":
            rest = value
        elif name in quality:
            quality[name] = value
            named.add(name)
    if rest is not None:
        quality |= dict.fromkeys(quality.keys() - named, rest)
    best = max(quality, key=lambda name: quality[name])
    return best if quality[best] > 0 else None


def _brotli() -> Any:
    try:
        import brotli
    except ImportError as error:
        raise StoreUnavailable(
            "缺少 brotli 包，请安装：pip install 'onemap-hubei[server]'",
            "the package brotli is missing; install it: pip install 'onemap-hubei[server]'",
        ) from error
    return brotli
