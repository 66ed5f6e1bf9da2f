"""Forms in which outputs of a job leave the server: one itself, several as parts, addresses, or inside a document.

Source: OGC 18-062r2, clause 7.11.4 and table 11 (raw and document, by value and by reference).
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import orjson
from starlette.responses import FileResponse, Response, StreamingResponse

from spatial.errors import PayloadTooLarge
from spatial.jobs import echo
from spatial.ogc.exchange import JSON
from spatial.ogc.process_documents import GEOTIFF

if TYPE_CHECKING:
    from spatial.store.state import Job

__all__ = ["inlined", "monitored", "multipart", "one_output", "references"]

_NO_STORE = {"Cache-Control": "no-store"}
_INLINE_LIMIT = 32 * 1024 * 1024
TEXT = "text/plain"
_CHUNK = 1024 * 1024


def monitored(answer: Response, address: str) -> Response:
    """A synchronous answer that tells where its job is (/per/core/job-creation-sync … ``Link: rel=monitor``)."""
    answer.headers.append("Link", f'<{address}>; rel="monitor"; type="{JSON}"')
    return answer


def references(addresses: Mapping[str, str]) -> Response:
    """204 with a ``Link`` to each output; the relation is the name of the output."""
    answer = Response(status_code=204, headers=_NO_STORE)
    for name, address in addresses.items():
        answer.headers.append("Link", f'<{address}>; rel="{name}"')
    return answer


def one_output(job: Job, name: str, value: Any, files: Mapping[str, Path]) -> Response:
    """One output by value, in its own media type."""
    if name in files:
        told = f"{job.process}-{job.id[:8]}-{name}.tif"
        return FileResponse(files[name], media_type=GEOTIFF, filename=told, headers=_NO_STORE)
    kind, body = _written(job.process, name, value)
    return Response(body, 200, _NO_STORE, kind)


def _written(process: str, name: str, value: Any) -> tuple[str, bytes]:
    """Media type and bytes of an output: what its definition says, without ``contentMediaType`` a JSON value.

    Source: OGC 18-062r2, /req/core/job-creation-sync-raw-value-one, B.
    """
    schema = echo.OUTPUTS[name][1] if process == echo.ECHO_ID and name in echo.OUTPUTS else {}
    if schema.get("contentMediaType") == TEXT:
        return f"{TEXT}; charset=utf-8", str(value).encode()
    return JSON, orjson.dumps(value)


def multipart(
    process: str, names: Mapping[str, str | None], values: Mapping[str, Any], files: Mapping[str, Path]
) -> Response:
    """Several outputs as ``multipart/related``; one by reference is an empty part with its ``Content-Location``.

    Parameters
    ----------
    names : mapping
        Output → its address, or None for one by value.
    """
    boundary = f"onemap-{uuid.uuid4().hex}"
    written = {name: _written(process, name, values[name]) for name in names if name not in files}
    kinds = {name: GEOTIFF if name in files else written[name][0] for name in names}

    async def parts() -> AsyncIterator[bytes]:
        for name, address in names.items():
            head = [f"--{boundary}", f"Content-Type: {kinds[name]}", f"Content-ID: <{name}>"]
            head += [f"Content-Location: {address}"] if address is not None else []
            yield ("\r\n".join(head) + "\r\n\r\n").encode()
            if address is None and name in files:
                async with await anyio.open_file(files[name], "rb") as file:
                    while chunk := await file.read(_CHUNK):
                        yield chunk
            elif address is None:
                yield written[name][1]
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    first = next(iter(kinds.values())).partition(";")[0]
    kind = f'multipart/related; type="{first}"; boundary="{boundary}"'
    return StreamingResponse(parts(), 200, {**_NO_STORE, "Content-Type": kind})


def inlined(path: Path, name: str) -> dict[str, str]:
    """A raster inside a JSON document.

    Raises
    ------
    PayloadTooLarge
        It is too large for that; says what to ask instead.
    """
    if path.stat().st_size > _INLINE_LIMIT:
        limit = _INLINE_LIMIT // 1024**2
        raise PayloadTooLarge(
            f'输出 {name} 超过 {limit} MB，不能写入 JSON；请用 "transmissionMode": "reference" 或 "response": "raw"',
            f'output {name} exceeds {limit} MB and cannot stand in JSON; ask "transmissionMode": "reference" or '
            '"response": "raw"',
            parameter="outputs",
        )
    return {"value": base64.b64encode(path.read_bytes()).decode(), "mediaType": GEOTIFF, "encoding": "base64"}
