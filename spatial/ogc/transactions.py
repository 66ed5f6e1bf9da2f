"""Editing over HTTP (要素增删改): OGC API Features Part 4, create, replace, update and delete of single features.

A layer takes edits if its definition says ``editable: true`` and the server's ``ONEMAP_EDIT`` lets somebody edit; otherwise
these methods answer 405 and say why. How an edit becomes a version: `spatial.store.editing`.

Source: OGC 20-002 (draft of 1.0), RFC 9110, RFC 7396 (JSON Merge Patch), RFC 7240 (Prefer).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language
from spatial.crs import CRS84, ServedCRS, parse_crs
from spatial.errors import (
    FeatureNotFound,
    InvalidParameter,
    MethodNotAllowed,
    PreconditionFailed,
    UnsupportedMediaType,
)
from spatial.exchange import json_document, require_same_site
from spatial.ogc.exchange import GEOJSON, JSON, Call, base_address, read_call
from spatial.ogc.feature_tags import tag
from spatial.ogc.features import item, published_table
from spatial.ogc.parameters import feature_id
from spatial.ogc.transactions_openapi import components, paths
from spatial.store.editing import Action, Conditions, Edited, Editor, edit_feature, identify_editor

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore, Published

__all__ = ["TRANSACTIONS"]

MERGE_PATCH = "application/merge-patch+json"
_READ = ("GET", "HEAD", "OPTIONS")
_SPEC = "http://www.opengis.net/spec/ogcapi-features-4/1.0"


# --- who may, and what ------------------------------------------------------------------------------------------------


def _allowed(datastore: DataStore, layer: Layer, *, one: bool) -> tuple[str, ...]:
    if not layer.editable or datastore.settings.edit == "off":
        return _READ
    return (*_READ, "PUT", "PATCH", "DELETE") if one else (*_READ, "POST")


def _editor(datastore: DataStore, request: Request, layer: Layer, *, one: bool) -> Editor:
    """The editor, if the layer, the server and the request allow it."""
    if request.method not in _allowed(datastore, layer, one=one):
        if not layer.editable:
            zh, en = f"图层 {layer.id} 不可编辑（定义中没有 editable: true）", f"layer {layer.id} is not editable"
        else:
            zh = "本服务未开放编辑；请管理员设置 ONEMAP_EDIT"
            en = "editing is switched off on this server; ask the operator to set ONEMAP_EDIT"
        raise MethodNotAllowed(
            f"{zh}；只能读取",
            f"{en}; it can only be read",
            layer=layer.id,
            allow=list(_allowed(datastore, layer, one=one)),
        )
    require_same_site(datastore.settings, request, base_address(datastore, request))
    address = request.client.host if request.client is not None else None
    return identify_editor(datastore.settings, request.headers.get("authorization"), address)


# --- reading a request ------------------------------------------------------------------------------------------------


def _content_type(request: Request, allowed: tuple[str, ...]) -> str:
    """Media type of the body; a body without one is taken for GeoJSON (OWSLib sends none with a text).

    A body that is said to be packed is refused: it would be read as it stands, whatever it is (RFC 9110, 15.5.16).
    """
    packing = request.headers.get("content-encoding", "identity").strip().lower()
    if packing not in ("", "identity"):
        raise UnsupportedMediaType(
            f"请求体不能压缩（Content-Encoding: {packing[:40]}），请原样发送",
            f"a packed body (Content-Encoding: {packing[:40]}) is not read here; send it plain",
            allowed=["identity"],
        )
    kind = request.headers.get("content-type", GEOJSON).partition(";")[0].strip().lower()
    if kind not in allowed:
        raise UnsupportedMediaType(
            f"请求体类型 {kind[:80]!r} 不受支持，请用 Content-Type: {' 或 '.join(allowed)}",
            f"a body of type {kind[:80]!r} is not read here; send Content-Type: {' or '.join(allowed)}",
            allowed=list(allowed),
        )
    return kind


def _content_crs(request: Request) -> ServedCRS:
    text = request.headers.get("content-crs")
    if text is None:
        return CRS84
    return parse_crs(text.strip().removeprefix("<").removesuffix(">"), parameter="Content-Crs")


async def _object(request: Request) -> dict[str, Any]:
    document = json_document(await request.body())
    if not isinstance(document, dict):
        raise InvalidParameter("请求体应为 JSON 对象", "the body must be a JSON object", parameter="body")
    return document


def _feature(document: dict[str, Any], crs: ServedCRS, *, partial_: bool = False) -> dict[str, Any]:
    """A GeoJSON feature; `partial_` lets members be missing."""
    kind = document.get("type")
    if kind == "FeatureCollection":
        raise InvalidParameter(
            "一次只能提交一个要素（type: Feature）；要素集合请逐个提交",
            "one feature at a time (type: Feature); send the features of a collection one by one",
            parameter="type",
        )
    if kind != "Feature" and not (partial_ and kind is None):
        raise InvalidParameter(
            f'请求体应为 GeoJSON 要素（"type": "Feature"），收到 {str(kind)[:40]!r}',
            f'the body must be a GeoJSON feature ("type": "Feature"), got {str(kind)[:40]!r}',
            parameter="type",
        )
    properties = document.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise InvalidParameter("properties 应为对象", "properties must be an object", parameter="properties")
    _check_crs_members(document, crs)
    return document


def _check_crs_members(document: dict[str, Any], crs: ServedCRS) -> None:
    """A CRS named in the body must be that of the request: an unnoticed one would put the feature elsewhere."""
    named = []
    old = document.get("crs")
    if isinstance(old, dict) and isinstance(old.get("properties"), dict):
        named.append(old["properties"].get("name"))
    if isinstance(document.get("coordRefSys"), str):
        named.append(document["coordRefSys"])
    for text in named:
        if isinstance(text, str) and parse_crs(text, parameter="crs") != crs:
            raise InvalidParameter(
                f"请求体声明的坐标系 {text[:80]!r} 与请求（{crs.name}）不同；请用请求头 Content-Crs 说明",
                f"the body names the CRS {text[:80]!r}, the request is in {crs.name}; name it in the header Content-Crs",
                parameter="crs",
            )


def _patch(layer: Layer, fid: int, document: dict[str, Any], kind: str, crs: ServedCRS) -> dict[str, Any]:
    """A change as members of a GeoJSON feature.

    A merge patch is written like the schema of the collection: the properties side by side with ``geometry``. The form of a
    GeoJSON feature is understood too.
    """
    known = {f.name for f in layer.fields}
    geojson = kind == GEOJSON or (document.get("type") == "Feature" and "type" not in known)
    if not geojson and isinstance(document.get("properties"), dict) and "properties" not in known:
        geojson = True
    if geojson:
        return _feature(document, crs, partial_=True)
    role = next((name for name in ("fid", "id") if name in document and name not in known), None)
    if role is not None and document[role] != fid:
        raise InvalidParameter(
            f"{role} 是要素编号，不能修改", f"{role} is the feature id and cannot be changed", parameter=role
        )
    flat = {name: value for name, value in document.items() if name != role}
    changes: dict[str, Any] = {"geometry": flat.pop("geometry")} if "geometry" in flat else {}
    return changes | {"properties": flat}


def _preference(request: Request) -> str | None:
    """``representation`` or ``minimal`` of ``Prefer: return=…``; anything else is no wish (RFC 7240 §2)."""
    for part in ",".join(request.headers.getlist("prefer")).split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if name.strip().lower() == "return" and value.strip().strip('"').lower() in {"representation", "minimal"}:
            return value.strip().strip('"').lower()
    return None


# --- answering --------------------------------------------------------------------------------------------------------


async def _answer(call: Call, edited: Edited, crs: ServedCRS, *, created: bool) -> Response:
    """201, 200 or 204; the entity tag is that of the representation sent, else of the plain one."""
    layer_id = edited.table.layer.id
    path = f"/ogc/collections/{layer_id}/items/{edited.fid}"
    wish = _preference(call.request)
    headers = {"Cache-Control": "no-store", "OneMap-Version": edited.table.version}
    if created:
        headers["Location"] = f"{call.base}{path}"
    if wish is not None:
        headers["Preference-Applied"] = f"return={wish}"
    if edited.state is None:
        return Response(status_code=204, headers=headers)
    if wish == "representation":
        shown = await _shown(call, path, edited, crs)
        shown.status_code = 201 if created else 200
        shown.headers.update(headers)
        return shown
    headers["ETag"] = tag(call, path, {}, edited.state)
    return Response(status_code=201 if created else 204, headers=headers)


async def _shown(call: Call, path: str, edited: Edited, crs: ServedCRS) -> Response:
    """What GET answers for the feature now, byte by byte, in the CRS of the request."""
    query = "" if crs == CRS84 else f"crs={quote(crs.uri, safe=':/')}"
    kept = [(name, value) for name, value in call.request.scope["headers"] if name in {b"host", b"accept-language"}]
    scope = {
        **call.request.scope,
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "path_params": {"collection": edited.table.layer.id, "feature": str(edited.fid)},
        "headers": kept,
    }
    answer = await item(call.datastore, Request(scope, call.request.receive))
    answer.headers["Content-Location"] = f"{call.base}{path}" + (f"?{query}" if query else "")
    return answer


async def _edit(
    call: Call,
    layer: Layer,
    action: Action,
    fid: int | None,
    document: Mapping[str, Any],
    crs: ServedCRS,
    editor: Editor,
) -> Response:
    conditions = Conditions() if fid is None else _conditions(call.request)

    edited = await run_in_threadpool(
        edit_feature, call.datastore, layer.id, action, fid, document, crs, conditions, editor
    )
    return await _answer(call, edited, crs, created=action == "create")


def _conditions(request: Request) -> Conditions:
    return Conditions(request.headers.get("if-match"), request.headers.get("if-none-match"))


def _begin(datastore: DataStore, request: Request, *, one: bool) -> tuple[Call, Layer, Editor]:
    layer_id = request.path_params["collection"]
    snapshot = datastore.snapshot()
    layer = published_table(snapshot, layer_id).layer
    editor = _editor(datastore, request, layer, one=one)
    call = read_call(datastore, request, ("lang",), snapshot)
    return call, layer, editor


def _fid(request: Request, layer: Layer) -> int:
    text = request.path_params["feature"]
    fid = feature_id(text)
    if fid is None:
        kind = PreconditionFailed if "if-match" in request.headers else FeatureNotFound
        raise kind(
            f"图层 {layer.id} 没有要素 {text[:40]!r}；要素编号是整数",
            f"layer {layer.id} has no feature {text[:40]!r}; feature ids are integers",
            layer=layer.id,
            feature=text[:200],
        )
    return fid


async def create(datastore: DataStore, request: Request) -> Response:
    """``POST /collections/{id}/items``: a new feature; the server gives it its id."""
    call, layer, editor = _begin(datastore, request, one=False)
    _content_type(request, (GEOJSON, JSON))
    crs = _content_crs(request)
    document = _feature(await _object(request), crs)
    return await _edit(call, layer, "create", None, document, crs, editor)


async def replace(datastore: DataStore, request: Request) -> Response:
    """``PUT /collections/{id}/items/{fid}``: the whole feature anew; properties left out become null."""
    call, layer, editor = _begin(datastore, request, one=True)
    fid = _fid(request, layer)
    _content_type(request, (GEOJSON, JSON))
    crs = _content_crs(request)
    document = _feature(await _object(request), crs)
    return await _edit(call, layer, "replace", fid, document, crs, editor)


async def update(datastore: DataStore, request: Request) -> Response:
    """``PATCH /collections/{id}/items/{fid}``: only what the body names."""
    call, layer, editor = _begin(datastore, request, one=True)
    fid = _fid(request, layer)
    kind = _content_type(request, (MERGE_PATCH, GEOJSON, JSON))
    crs = _content_crs(request)
    document = _patch(layer, fid, await _object(request), kind, crs)
    return await _edit(call, layer, "update", fid, document, crs, editor)


async def delete(datastore: DataStore, request: Request) -> Response:
    """``DELETE /collections/{id}/items/{fid}``."""
    call, layer, editor = _begin(datastore, request, one=True)
    return await _edit(call, layer, "delete", _fid(request, layer), {}, CRS84, editor)


async def refuse(datastore: DataStore, request: Request) -> Response:
    """405 for a method that the address never takes, with what this server lets be done here now."""
    layer = published_table(datastore.snapshot(), request.path_params["collection"]).layer
    allowed = _allowed(datastore, layer, one="feature" in request.path_params)
    raise MethodNotAllowed(
        f"{request.url.path[:200]} 不接受 {request.method}，可用：{'、'.join(allowed)}",
        f"{request.url.path[:200]} does not take {request.method}; allowed: {', '.join(allowed)}",
        layer=layer.id,
        allow=list(allowed),
    )


async def options(datastore: DataStore, request: Request) -> Response:
    """``OPTIONS``: what this server lets be done here now."""
    table = published_table(datastore.snapshot(), request.path_params["collection"])
    allowed = _allowed(datastore, table.layer, one="feature" in request.path_params)
    headers = {"Allow": ", ".join(allowed)}
    if "PATCH" in allowed:
        headers["Accept-Patch"] = f"{MERGE_PATCH}, {GEOJSON}"
    if "POST" in allowed:
        headers["Accept-Post"] = f"{GEOJSON}, {JSON}"
    return Response(status_code=200, headers=headers)


def _routes(datastore: DataStore) -> list[Route]:
    items = "/ogc/collections/{collection}/items"
    one = items + "/{feature}"
    handlers = [
        (items, ["POST"], create),
        (items, ["OPTIONS"], options),
        # Without these the router answers 405 with the methods of one route, as if nothing could be edited.
        (items, ["PUT", "PATCH", "DELETE"], refuse),
        (one, ["PUT"], replace),
        (one, ["PATCH"], update),
        (one, ["DELETE"], delete),
        (one, ["OPTIONS"], options),
        (one, ["POST"], refuse),
    ]
    return [Route(path, partial(handler, datastore), methods=methods) for path, methods, handler in handlers]


def _collection(base: str, language: Language, published: Published) -> dict[str, Any]:
    return {"editable": True} if published.layer.editable else {}


TRANSACTIONS = BuildingBlock(
    name="transactions",
    title="要素增删改 / create, replace, update, delete",
    conformance=tuple(
        f"{_SPEC}/conf/{name}" for name in ("create-replace-delete", "update", "optimistic-locking-etags", "features")
    ),
    routes=_routes,
    paths=paths,
    components=components,
    collection=_collection,
)
