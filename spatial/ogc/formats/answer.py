"""Features as a file (文件下载): written whole into a temporary file by blocks, then sent, and nothing of it stays.

The file is made before the first byte is sent, so that what goes wrong is an error with its status and never half a file.
Memory is set by the block. A file never holds less than was asked for without saying so: more features than
``ONEMAP_MAX_EXPORT`` are refused, and a ``limit`` that leaves features out answers with a ``Link`` to the next ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote

from starlette.responses import Response, StreamingResponse

from spatial.errors import InvalidParameter, QueueFull
from spatial.ogc.formats.known import FILE_FORMATS
from spatial.ogc.parameters import read_items

if TYPE_CHECKING:
    import pyarrow as pa

    from spatial.ogc.exchange import Call
    from spatial.ogc.formats.table import FeatureTable
    from spatial.ogc.formats.writers import Written
    from spatial.store.vector import ItemQuery, PublishedTable

__all__ = ["file_answer"]

BLOCK = 5000
"""Features that are read and written at a time."""
PIECE_BYTES = 256 * 1024
RUNNING, WAITING = 2, 8
"""Files that a process writes at a time, and those that may wait for it."""
LEFT_OVER_S = 6 * 3600
"""Age after which the folder of a killed process is removed."""
EVERYTHING = 2**62

_waiting = 0


@lru_cache(maxsize=1)
def _writers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(RUNNING, thread_name_prefix="export")


class _Stopped(Exception):
    """Nobody waits for the file any more."""


class _Blocks:
    """Record batches for the writing thread, each read by the event loop, whose queries can be cancelled."""

    def __init__(self, call: Call, content: FeatureTable, query: ItemQuery, wanted: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._pages = self._read(call, content.table, query, wanted)
        self._content = content
        self._running: Future[Any] | None = None
        self._stopped = False
        self.returned = 0
        self.last: int | None = None
        self.more = False

    async def _read(self, call: Call, table: PublishedTable, query: ItemQuery, wanted: int) -> AsyncIterator[list[Any]]:
        while True:
            block = replace(query, limit=min(BLOCK, wanted - self.returned))
            page = await call.datastore.vectors.arecords(table, block)
            self.more = page.more
            if page.rows:
                self.returned += len(page.rows)
                self.last = page.rows[-1][0]
                yield page.rows
            if not page.more or self.returned >= wanted:
                return
            query = replace(query, after=self.last, offset=0)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        schema = self._content.schema()
        while True:
            if self._stopped:
                raise _Stopped
            self._running = asyncio.run_coroutine_threadsafe(self._next(), self._loop)
            rows = self._running.result()
            if rows is None:
                return
            yield self._content.batch(rows, schema)

    async def _next(self) -> list[Any] | None:
        return await anext(self._pages, None)

    def stop(self) -> None:
        """End the running query and give no more blocks."""
        self._stopped = True
        if self._running is not None:
            self._running.cancel()


async def file_answer(call: Call, table: PublishedTable, etag: str) -> Response:
    """Answer of ``/items`` as a file.

    Raises
    ------
    InvalidParameter
        More features than a file may hold, or something that the format cannot hold.
    QueueFull
        Too many files are being written.
    """
    global _waiting
    from spatial.ogc.formats.table import FeatureTable

    most = call.datastore.settings.max_export
    asked = read_items(table.layer, call.parameters, max_page=EVERYTHING, default_limit=EVERYTHING)
    if asked.hits:
        raise InvalidParameter(
            "resulttype=hits 只用于 JSON 与网页", "resulttype=hits is for JSON and HTML only", parameter="resulttype"
        )
    query = asked.query
    whole = replace(query, after=None, offset=0)
    matched = table.count
    if query.is_filtered:
        matched = await call.datastore.vectors.acount(table, whole)
    if query.after is None and min(asked.wanted, matched - query.offset) > most:
        raise _too_many(table, matched, most)
    headers = _headers(call, table, query, etag)
    if call.request.method == "HEAD":
        return Response(status_code=200, headers=headers)
    if _waiting >= RUNNING + WAITING:
        raise QueueFull(
            f"正在生成的文件过多（{_waiting}），请稍后重试", f"{_waiting} files are being written; try again later"
        )
    with_index = call.format != "fgb" or (not query.sort and not await _has_gaps(call, table, whole))
    content = FeatureTable.of(table, query, with_index=with_index)
    blocks = _Blocks(call, content, query, min(asked.wanted, most))
    _waiting += 1
    try:
        file, written = await _in_thread(call, content, blocks)
    finally:
        _waiting -= 1
    if blocks.more and asked.wanted > most:
        file.close()
        raise _too_many(table, matched, most)
    if blocks.more:
        # The format may come from Accept alone; the address must give it to whoever follows the link by itself.
        pinned = {"f": call.format, "after": str(blocks.last), "version": table.version, "offset": None}
        following = call.here(pinned)
        headers["Link"] = f'<{following}>; rel="next"; type="{FILE_FORMATS[call.format].media_type}"'
    headers |= {"OGC-NumberMatched": str(matched), "OGC-NumberReturned": str(blocks.returned)}
    if written.cut:
        headers["OneMap-Cut-Fields"] = ", ".join(written.cut)
    headers["Content-Length"] = str(os.fstat(file.fileno()).st_size)
    return StreamingResponse(_pieces(file), headers=headers)


async def _has_gaps(call: Call, table: PublishedTable, query: ItemQuery) -> bool:
    """True if a feature without a geometry is among those asked for."""
    missing: dict[str, Any] = {"op": "isNull", "args": [{"property": "geometry"}]}
    condition = missing if query.cql2 is None else {"op": "and", "args": [query.cql2, missing]}
    return await call.datastore.vectors.acount(table, replace(query, cql2=condition)) > 0


def _too_many(table: PublishedTable, matched: int, most: int) -> InvalidParameter:
    return InvalidParameter(
        f"图层 {table.layer.id} 有 {matched} 个要素符合条件，一个文件最多 {most} 个；"
        f"请用 limit={most} 分批（响应头 Link 指向下一批）或缩小范围",
        f"layer {table.layer.id}: {matched} features match, a file holds at most {most}; "
        f"use limit={most} and follow the Link header, or ask for less",
        layer=table.layer.id,
        parameter="limit",
        maximum=most,
    )


def _headers(call: Call, table: PublishedTable, query: ItemQuery, etag: str) -> dict[str, str]:
    kind = FILE_FORMATS[call.format]
    layer = table.layer
    crs = "" if query.crs.name == "CRS84" else "-" + query.crs.name.replace(":", "")
    stem = f"{layer.id}-{table.version}{crs}"
    plain, full = f"{stem}.{kind.ending}", f"{stem}.{kind.ending}"
    media_type = kind.media_type
    if layer.synthetic is not None:
        plain, full = f"{stem}-synthetic.{kind.ending}", f"{stem}-合成示例.{kind.ending}"
    if call.format == "csv":
        media_type = "text/csv; charset=utf-8; header=present"
    headers = {
        **call.headers(etag),
        "Content-Type": media_type,
        "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(full)}",
        "Content-Crs": f"<{query.crs.uri}>",
    }
    if layer.synthetic is not None:
        headers["OneMap-Synthetic"] = "synthetic sample, not real data"
    return headers


async def _in_thread(call: Call, content: FeatureTable, blocks: _Blocks) -> tuple[BinaryIO, Written]:
    folder = call.datastore.settings.var_dir / "exports"
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(_writers(), _write, call.format, content, blocks, folder)
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        blocks.stop()
        work.add_done_callback(_discard)
        raise


def _discard(work: asyncio.Future[tuple[BinaryIO, Written]]) -> None:
    """Close the file of a work that nobody waits for any more."""
    if not work.cancelled() and work.exception() is None:
        work.result()[0].close()


def _write(name: str, content: FeatureTable, blocks: _Blocks, folder: Path) -> tuple[BinaryIO, Written]:
    """The open file and its report; its name is gone already, so that it vanishes with its last reader."""
    from spatial.ogc.formats.writers import WRITERS

    folder.mkdir(parents=True, exist_ok=True)
    for left_over in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - left_over.stat().st_mtime > LEFT_OVER_S:
                shutil.rmtree(left_over)
    failure: list[BaseException] = []

    def watched() -> Iterator[pa.RecordBatch]:
        # GDAL wraps what its source raises into an error of its own.
        try:
            yield from blocks
        except BaseException as error:
            failure.append(error)
            raise

    with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=folder) as aside:
        try:
            written = WRITERS[name](content, watched(), Path(aside))
        except Exception:
            if failure:
                raise failure[0] from None
            raise
        return written.path.open("rb"), written


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while piece := file.read(PIECE_BYTES):
            yield piece
