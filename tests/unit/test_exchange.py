"""Reading a body: no further than it may be, whatever its client declares."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("parts", "declared", "asked"),
    [
        ([b"x" * 4] * 25, None, 3),  # the third part passes 10 bytes, the others are never asked for
        ([b"x" * 4] * 25, b"4", 3),  # a length that is too small helps nobody
        ([b"x" * 4] * 25, b"100", 0),
        ([b"x" * 11], b"nonsense", 1),
    ],
)
def test_a_body_is_read_no_further_than_its_limit(parts: list[bytes], declared: bytes | None, asked: int) -> None:
    from starlette.requests import Request

    from spatial.errors import PayloadTooLarge
    from spatial.exchange import body_within

    given = 0

    async def receive() -> dict[str, Any]:
        nonlocal given
        given += 1
        return {"type": "http.request", "body": parts[given - 1], "more_body": given < len(parts)}

    headers = [] if declared is None else [(b"content-length", declared)]
    request = Request({"type": "http", "method": "POST", "path": "/", "headers": headers}, receive)
    with pytest.raises(PayloadTooLarge, match="ten"):
        asyncio.run(body_within(request, 10, lambda: PayloadTooLarge("十", "ten", limit=10)))
    assert given == asked


@pytest.mark.parametrize("parts", [[b""], [b"0123456789"], [b"01234", b"", b"56789"]])
def test_a_body_up_to_its_limit_is_whole(parts: list[bytes]) -> None:
    from starlette.requests import Request

    from spatial.errors import PayloadTooLarge
    from spatial.exchange import body_within

    left = list(parts)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    request = Request({"type": "http", "method": "POST", "path": "/", "headers": []}, receive)
    assert asyncio.run(body_within(request, 10, lambda: PayloadTooLarge("十", "ten"))) == b"".join(parts)
