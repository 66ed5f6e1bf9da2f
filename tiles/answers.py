"""Parts of the answers of the tile addresses (瓦片应答): query parameters, ETags, caching headers, documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from spatial.errors import InvalidParameter, UnknownParameter

if TYPE_CHECKING:
    from spatial.catalog import Layer

__all__ = ["answer", "choice", "json_answer", "known_query", "matches", "tile_headers"]

_PROGRAM = package_version("onemap-hubei")


def known_query(request: Request, allowed: set[str]) -> dict[str, str]:
    """Query parameters; `UnknownParameter` names what is allowed."""
    given = dict(request.query_params)
    unknown = sorted(set(given) - allowed)
    if unknown:
        raise UnknownParameter(
            f"没有参数 {unknown[0][:60]!r}，可用：{'、'.join(sorted(allowed))}",
            f"no parameter {unknown[0][:60]!r}; use one of {', '.join(sorted(allowed))}",
            parameter=unknown[0][:60],
            allowed=sorted(allowed),
        )
    return given


def choice(text: str, allowed: dict[str, str], parameter: str) -> str:
    """What a parameter stands for; `InvalidParameter` names what is allowed."""
    found = allowed.get(text.lower())
    if found is None:
        raise InvalidParameter(
            f"不支持 {parameter}={text[:40]!r}，可用：{'、'.join(allowed)}",
            f"{parameter}={text[:40]!r} is not served; use one of {', '.join(allowed)}",
            parameter=parameter,
            allowed=list(allowed),
        )
    return found


def _digest(parts: Iterable[Any]) -> str:
    """ETag of what names an answer."""
    return '"' + hashlib.blake2b(json.dumps(list(parts), sort_keys=True).encode(), digest_size=12).hexdigest() + '"'


def tile_headers(layer: Layer, parts: Iterable[Any], *, pinned: bool, styled: bool = True) -> dict[str, str]:
    """ETag made of what names the tile, and how long it may be kept.

    Parameters
    ----------
    parts
        What names the tile within its layer: version, address, format …
    pinned : bool
        The address names the version.
    styled : bool
        The picture also depends on the style, which can change within a version.
    """
    tag = _digest([_PROGRAM, layer.id, *parts])
    keep = "max-age=60, must-revalidate"
    if pinned:
        keep = "max-age=86400, must-revalidate" if styled else "max-age=31536000, immutable"
    return {"ETag": tag, "Cache-Control": f"{_audience(layer)}, {keep}"}


def matches(request: Request, tag: str) -> bool:
    """True if the caller has this version already."""
    given = request.headers.get("if-none-match", "")
    return given.strip() == "*" or tag in [t.strip().removeprefix("W/") for t in given.split(",")]


def _audience(*layers: Layer) -> str:
    """Who may keep an answer: shared caches only if every layer is public (公开)."""
    return "public" if all(layer.grade == "公开" for layer in layers) else "private"


def answer(request: Request, body: bytes, media_type: str, *layers: Layer) -> Response:
    """An answer with the ETag of its bytes, or 304."""
    tag = '"' + hashlib.blake2b(body, digest_size=12).hexdigest() + '"'
    headers = {"ETag": tag, "Cache-Control": f"{_audience(*layers)}, max-age=60, must-revalidate"}
    if matches(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def json_answer(request: Request, content: dict[str, Any], *layers: Layer) -> Response:
    """A JSON answer with the ETag of its bytes, or 304."""
    import orjson

    return answer(request, orjson.dumps(content), "application/json", *layers)
