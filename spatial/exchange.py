"""Request and answer of the addresses below ``/api/v1`` (请求与应答): known parameters, who may write, bodies, answers.

The OGC addresses have their own (`spatial.ogc.exchange`): they choose language and representation, these speak JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from starlette.responses import Response

from spatial.errors import (
    Forbidden,
    InvalidParameter,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    UnknownParameter,
)
from spatial.store.editing import Editor, identify_editor

if TYPE_CHECKING:
    from starlette.requests import Request

    from spatial.catalog import Text
    from spatial.settings import Settings

__all__ = [
    "body_within",
    "editor_of",
    "json_answer",
    "json_document",
    "media_type_of",
    "name_of",
    "number_in_path",
    "only",
    "require_same_site",
    "unchanged",
    "whole",
]

_LONGEST_NAME = 120


# --- query and path ---------------------------------------------------------------------------------------------------


def only(request: Request, *allowed: str) -> None:
    """Raise `UnknownParameter` for any other query parameter, `InvalidParameter` for one that stands twice."""
    for name in request.query_params:
        if name not in allowed:
            raise UnknownParameter(
                f"未知参数 {name[:60]!r}，可用：{'、'.join(allowed) or '无'}",
                f"unknown parameter {name[:60]!r}; allowed: {', '.join(allowed) or 'none'}",
                parameter=name,
                allowed=list(allowed),
            )
        if len(request.query_params.getlist(name)) > 1:
            raise InvalidParameter(f"参数 {name} 重复", f"{name} stands twice", parameter=name)
        if "\x00" in request.query_params[name]:
            raise InvalidParameter(f"参数 {name} 含 U+0000", f"{name} holds U+0000", parameter=name)


def whole(request: Request, name: str, low: int, high: int, default: int) -> int:
    """A whole number of the query."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) <= high):
        raise InvalidParameter(
            f"参数 {name} 应为 {low} 至 {high} 的整数，收到 {text[:40]!r}",
            f"{name} must be a whole number from {low} to {high}, got {text[:40]!r}",
            parameter=name,
        )
    return int(text)


def name_of(request: Request, default: str) -> str:
    """Name of an uploaded file (query parameter ``name``), without control characters."""
    text = "".join(letter for letter in request.query_params.get("name", "") if letter >= " ")
    return text[:_LONGEST_NAME].strip() or default


def number_in_path(request: Request, name: str, missing: type[NotFound] = NotFound) -> int:
    """Number in the address; `missing` if it is none."""
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise missing(
            f"{request.url.path[:80]} 不存在：编号是正整数",
            f"nothing at {request.url.path[:80]}: ids are whole numbers",
        )
    return int(text)


# --- who may write ----------------------------------------------------------------------------------------------------


def editor_of(settings: Settings, request: Request, closed: Text) -> Editor:
    """The editor, by the same setting as Features Part 4 (``ONEMAP_EDIT``).

    Parameters
    ----------
    closed : Text
        What to say where editing is switched off.

    Raises
    ------
    MethodNotAllowed
        Editing is switched off.
    Forbidden
        A page of another site asks.
    NotAuthenticated
        Without the right key.
    """
    if settings.edit == "off":
        raise MethodNotAllowed(closed.zh, closed.en, allow=["GET", "HEAD"])
    require_same_site(settings, request, settings.url)
    address = request.client.host if request.client is not None else None
    return identify_editor(settings, request.headers.get("authorization"), address)


def require_same_site(settings: Settings, request: Request, base: str) -> None:
    """A web page of another site may not write in the name of its reader.

    Parameters
    ----------
    base : str
        Address of this server as its readers see it; the host that the client asked counts too.

    Raises
    ------
    Forbidden
    """
    origin = request.headers.get("origin")
    if origin is None or origin in settings.cors_origins:
        return
    if urlsplit(origin).netloc not in {request.headers.get("host"), urlsplit(base).netloc}:
        raise Forbidden(
            f"来自 {origin[:100]} 的网页不能在此写入；请管理员把该来源加入 ONEMAP_CORS_ORIGINS",
            f"a page of {origin[:100]} may not write here; ask the operator to add it to ONEMAP_CORS_ORIGINS",
        )


# --- body -------------------------------------------------------------------------------------------------------------


def media_type_of(request: Request, default: str = "") -> str:
    """Media type of the body in small letters, without its parameters."""
    return request.headers.get("content-type", default).partition(";")[0].strip().lower()


async def body_within(request: Request, most: int, refusal: Callable[[], PayloadTooLarge]) -> bytes:
    """The body, read no further than `most` bytes; a length that the client declares is believed at once."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > most:
        raise refusal()
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > most:
            raise refusal()
    return bytes(content)


def json_document(content: bytes) -> Any:
    """A body as JSON."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(
            f"请求体不是合法的 JSON：{error}", f"the body is not valid JSON: {error}", parameter="body"
        ) from error


# --- answer -----------------------------------------------------------------------------------------------------------


def json_answer(
    document: Any, *, status: int = 200, headers: dict[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """A document that no cache keeps without asking."""
    own = {"Cache-Control": "no-cache"} | (headers or {})
    return Response(orjson.dumps(document), status_code=status, media_type=media_type, headers=own)


def unchanged(request: Request, headers: dict[str, str]) -> Response | None:
    """304 with these headers if the client holds the representation that their ``ETag`` names."""
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return None
