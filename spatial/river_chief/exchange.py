"""What every address of the desk does first: who may write, from which state, with which parameters (请求与应答)."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import Response

from spatial.errors import (
    FeatureNotFound,
    Forbidden,
    InvalidParameter,
    MethodNotAllowed,
    PreconditionFailed,
    PreconditionRequired,
    UnknownParameter,
    UnsupportedMediaType,
)
from spatial.river_chief.workflow import CHINA
from spatial.store.editing import Editor, identify_editor

if TYPE_CHECKING:
    from spatial.settings import Settings

__all__ = [
    "day_parameter",
    "editor_of",
    "json_answer",
    "json_body",
    "number_in_path",
    "only",
    "version_read",
    "whole",
]

_TAG = re.compile(r'(W/)?"(\d{1,9})(?:-[0-9a-f]*)?"', re.ASCII)


def json_answer(
    document: Any, *, status: int = 200, headers: dict[str, str] | None = None, media_type: str = "application/json"
) -> Response:
    """A document that no cache keeps without asking."""
    return Response(
        orjson.dumps(document), status_code=status, media_type=media_type,
        headers={"Cache-Control": "no-cache"} | (headers or {}),
    )  # fmt: skip


def tag_of(version: int, body: bytes) -> str:
    """Entity tag ``"version-representation"``; ``If-Match`` compares the version only."""
    return f'"{version}-{blake2b(body, digest_size=6).hexdigest()}"'


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


def day_parameter(request: Request, name: str, *, end: bool = False) -> datetime | None:
    """A calendar day in China of the query as an instant; with `end` the first instant after it."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            raise ValueError
        day = date.fromisoformat(text)
        return datetime.combine(day + timedelta(days=1) if end else day, time(), CHINA)
    except (ValueError, OverflowError) as error:
        raise InvalidParameter(
            f"参数 {name} 应为日期，如 2026-07-01，收到 {text[:40]!r}",
            f"{name} must be a day such as 2026-07-01, got {text[:40]!r}",
            parameter=name,
        ) from error


def number_in_path(request: Request, name: str) -> int:
    """Number of a case, patrol or photo in the address."""
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise FeatureNotFound(
            f"{request.url.path[:80]} 不存在：编号是正整数",
            f"nothing at {request.url.path[:80]}: ids are whole numbers",
        )
    return int(text)


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
            "本服务未开放编辑，河湖长工作台只读；请管理员设置 ONEMAP_EDIT",
            "editing is switched off, so the desk is read-only; ask the operator to set ONEMAP_EDIT",
            allow=["GET", "HEAD"],
        )
    origin = request.headers.get("origin")
    own = {request.headers.get("host"), urlsplit(settings.url).netloc}
    if origin is not None and origin not in settings.cors_origins and urlsplit(origin).netloc not in own:
        raise Forbidden(
            f"来自 {origin[:100]} 的网页不能在此办理；请管理员把该来源加入 ONEMAP_CORS_ORIGINS",
            f"a page of {origin[:100]} may not act here; ask the operator to add it to ONEMAP_CORS_ORIGINS",
        )
    address = request.client.host if request.client is not None else None
    return identify_editor(settings, request.headers.get("authorization"), address)


async def json_body(request: Request) -> Any:
    """The body as JSON."""
    kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if kind not in {"application/json", "application/geo+json"}:
        raise UnsupportedMediaType(
            f"请求体类型 {kind[:80]!r} 不受支持，请用 Content-Type: application/json",
            f"a body of type {kind[:80]!r} is not read here; send Content-Type: application/json",
            allowed=["application/json", "application/geo+json"],
        )
    try:
        return orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(
            f"请求体不是合法的 JSON：{error}", f"the body is not valid JSON: {error}", parameter="body"
        ) from error


def version_read(request: Request) -> int:
    """Version of the case that the caller read, from ``If-Match``.

    Raises
    ------
    PreconditionRequired, PreconditionFailed, InvalidParameter

    Source: RFC 9110 §13.1.1 (strong comparison), RFC 6585 §3.
    """
    text = request.headers.get("if-match")
    if text is None:
        raise PreconditionRequired(
            "办理图斑需要 If-Match：请先读取图斑，再以其 ETag 发送",
            "a step needs If-Match: read the case and send its ETag",
        )
    match = _TAG.fullmatch(text.strip())
    if match is None:
        raise InvalidParameter(
            f'If-Match 应为图斑的 ETag，如 "3-9a…"，收到 {text[:60]!r}',
            f'If-Match must be the ETag of the case such as "3-9a…", got {text[:60]!r}',
            parameter="If-Match",
        )
    if match[1]:
        raise PreconditionFailed(
            "弱 ETag 不能用于 If-Match；请用读取图斑时得到的 ETag",
            "a weak entity tag never matches; send the ETag that the case was read with",
        )
    return int(match[2])
