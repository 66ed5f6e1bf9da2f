"""What the addresses of the desk do first beyond `spatial.exchange`: days in China, bodies, the version that was read (请求)."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from spatial.catalog import Text
from spatial.errors import InvalidParameter, PreconditionFailed, PreconditionRequired, UnsupportedMediaType
from spatial.exchange import json_document, media_type_of
from spatial.river_chief.workflow import CHINA

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["READ_ONLY", "day_parameter", "json_body", "tag_of", "version_read"]

READ_ONLY = Text(
    zh="本服务未开放编辑，河湖长工作台只读；请管理员设置 ONEMAP_EDIT",
    en="editing is switched off, so the desk is read-only; ask the operator to set ONEMAP_EDIT",
)
_TAG = re.compile(r'(W/)?"(\d{1,9})(?:-[0-9a-f]*)?"', re.ASCII)


def tag_of(version: int, body: bytes) -> str:
    """Entity tag ``"version-representation"``; ``If-Match`` compares the version only."""
    return f'"{version}-{blake2b(body, digest_size=6).hexdigest()}"'


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


async def json_body(request: Request) -> Any:
    """The body as JSON."""
    kind = media_type_of(request, "application/json")
    if kind not in {"application/json", "application/geo+json"}:
        raise UnsupportedMediaType(
            f"请求体类型 {kind[:80]!r} 不受支持，请用 Content-Type: application/json",
            f"a body of type {kind[:80]!r} is not read here; send Content-Type: application/json",
            allowed=["application/json", "application/geo+json"],
        )
    return json_document(await request.body())


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
