"""``/api/v1/audit``: who changed which feature, when, from what to what (编辑审计)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spatial.errors import Forbidden, InvalidParameter, UnknownParameter
from spatial.store.editing import changes, identify_editor

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore
    from spatial.store.state import AuditEntry

__all__ = ["audit_routes"]

_PARAMETERS = ("layer", "fid", "before", "limit")
MOST = 1000


def _document(entry: AuditEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "at": entry.at.isoformat().replace("+00:00", "Z"),
        "layer": entry.layer_id,
        "base_version": entry.base_version,
        "version": entry.version,
        "fid": entry.fid,
        "action": entry.action,
        "principal": entry.principal,
        "address": entry.address,
        "before_hash": entry.before_hash,
        "after_hash": entry.after_hash,
        "before": entry.before,
        "after": entry.after,
    }


def _number(request: Request, name: str, least: int, most: int, default: int | None) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise InvalidParameter(
            f"参数 {name} 应为 {least} 至 {most} 的整数，收到 {text[:40]!r}",
            f"{name} must be an integer from {least} to {most}, got {text[:40]!r}",
            parameter=name,
        )
    return int(text)


def audit_routes(store: DataStore) -> list[Route]:
    """The route over one data store."""

    async def audit(request: Request) -> Response:
        for name in request.query_params:
            if name not in _PARAMETERS:
                raise UnknownParameter(
                    f"未知参数 {name!r}，可用：{'、'.join(_PARAMETERS)}",
                    f"unknown parameter {name!r}; allowed: {', '.join(_PARAMETERS)}",
                    parameter=name,
                    allowed=list(_PARAMETERS),
                )
        if store.settings.edit == "off":
            raise Forbidden(
                "本服务未开放编辑，审计不对外；请管理员设置 ONEMAP_EDIT",
                "editing is switched off, so the audit is not served; ask the operator to set ONEMAP_EDIT",
            )
        # Whoever may edit may see who edited.
        identify_editor(store.settings, request.headers.get("authorization"), None)
        layer = request.query_params.get("layer")
        if layer is not None:
            store.snapshot().catalog[layer]
        limit = _number(request, "limit", 1, MOST, 100) or 100
        found = await run_in_threadpool(
            changes,
            store,
            layer_id=layer,
            fid=_number(request, "fid", -(2**63), 2**63 - 1, None),
            before=_number(request, "before", 1, 2**63 - 1, None),
            limit=limit + 1,
        )
        page, more = found[:limit], len(found) > limit
        links = []
        if more:
            query = dict(request.query_params) | {"before": str(page[-1].id)}
            links.append({"rel": "next", "href": f"/api/v1/audit?{urlencode(query)}", "type": "application/json"})
        document = {"changes": [_document(entry) for entry in page], "links": links}
        return JSONResponse(document, headers={"Cache-Control": "no-store"})

    return [Route("/api/v1/audit", audit)]
