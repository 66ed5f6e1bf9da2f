"""What the addresses of observations do first: known parameters, who may write, bodies (请求与应答)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from starlette.responses import Response

from spatial.errors import Forbidden, InvalidParameter, MethodNotAllowed, NotFound, UnknownParameter
from spatial.store.editing import Editor, identify_editor

if TYPE_CHECKING:
    from starlette.requests import Request

    from spatial.settings import Settings

__all__ = ["editor_of", "json_answer", "json_document", "media_type", "number_in_path", "only", "whole"]


def json_answer(
    document: Any, *, status: int = 200, headers: dict[str, str] | None = None, kind: str = "application/json"
) -> Response:
    """A document that no cache keeps without asking."""
    own = {"Cache-Control": "no-cache"} | (headers or {})
    return Response(orjson.dumps(document), status_code=status, media_type=kind, headers=own)


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
        if len(request.query_params.getlist(name)) > 1 or "\x00" in request.query_params[name]:
            raise InvalidParameter(
                f"参数 {name} 重复或含 U+0000", f"{name} stands twice or holds U+0000", parameter=name
            )


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


def number_in_path(request: Request, name: str) -> int:
    """Number in the address."""
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise NotFound(
            f"{request.url.path[:80]} 不存在：编号是正整数",
            f"nothing at {request.url.path[:80]}: ids are whole numbers",
        )
    return int(text)


def media_type(request: Request) -> str:
    """Media type of the body, without its parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def editor_of(settings: Settings, request: Request) -> Editor:
    """The editor, by the same setting as Features Part 4 (``ONEMAP_EDIT``).

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
        raise MethodNotAllowed(
            "本服务未开放写入，视频与传感器只读；请管理员设置 ONEMAP_EDIT",
            "writing is switched off, cameras and sensors are read-only; ask the operator to set ONEMAP_EDIT",
            allow=["GET", "HEAD"],
        )
    origin = request.headers.get("origin")
    own = {request.headers.get("host"), urlsplit(settings.url).netloc}
    if origin is not None and origin not in settings.cors_origins and urlsplit(origin).netloc not in own:
        raise Forbidden(
            f"来自 {origin[:100]} 的网页不能在此写入；请管理员把该来源加入 ONEMAP_CORS_ORIGINS",
            f"a page of {origin[:100]} may not write here; ask the operator to add it to ONEMAP_CORS_ORIGINS",
        )
    address = request.client.host if request.client is not None else None
    return identify_editor(settings, request.headers.get("authorization"), address)


def json_document(content: bytes) -> Any:
    """A body as JSON."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(
            f"请求体不是合法的 JSON：{error}", f"the body is not valid JSON: {error}", parameter="body"
        ) from error
