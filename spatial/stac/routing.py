"""The routes of ``/stac`` (STAC API 1.0) and how their answers are written.

Source: STAC API 1.0.0 (core, collections, features, item search, browseable) and its extensions filter, sort, fields and
transaction.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language, Link
from spatial.errors import (
    FeatureNotFound,
    InvalidParameter,
    LayerNotFound,
    MethodNotAllowed,
    StoreUnavailable,
    UnsupportedMediaType,
)
from spatial.exchange import json_document, require_same_site
from spatial.stac import registration
from spatial.stac.documents import (
    OPENAPI,
    SCHEMA,
    collections_document,
    conformance,
    landing_document,
    openapi_document,
    queryables_document,
    software_version,
)
from spatial.stac.items import (
    COG,
    GEOJSON,
    JSON,
    RESULTS,
    Gathered,
    Item,
    collection_document,
    gathered,
    item_document,
)
from spatial.stac.observed import ObservedScene
from spatial.stac.search import (
    ITEMS_PARAMETERS,
    SEARCH_PARAMETERS,
    Found,
    SearchRequest,
    pruned,
    read_query,
    read_search,
    run_search,
)
from spatial.store.raster import published_file

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["STAC"]

DOCUMENT_PARAMETERS = ("f", "lang")
_FORMATS = {"json", "geojson", "html", "application/json", "application/geo+json", "text/html"}
MERGE_PATCH = "application/merge-patch+json"
_READ = ("GET", "HEAD", "OPTIONS")


class _Exchange:
    """One request: what is published, the base address, and the answer in its representation."""

    def __init__(self, datastore: DataStore, request: Request) -> None:
        self.datastore = datastore
        self.request = request
        self.snapshot: Snapshot = datastore.snapshot()
        public = datastore.settings.public_url is not None
        self.base = datastore.settings.url if public else str(request.base_url).rstrip("/")

    @property
    def known(self) -> Gathered:
        return gathered(self.datastore, self.snapshot)

    @property
    def editing(self) -> bool:
        return self.datastore.settings.edit != "off"

    def read(self, allowed: tuple[str, ...] = DOCUMENT_PARAMETERS) -> dict[str, Any]:
        """Query parameters; unknown ones and those given twice are errors."""
        found = read_query(self.request.query_params.multi_items(), allowed)
        form, language = found.pop("f", None), found.pop("lang", None)
        if form is not None and form.replace(" ", "+").strip().lower() not in _FORMATS:
            raise InvalidParameter(
                f"参数 f 的值 {form[:40]!r} 无效，可用：json、html",
                f"f: {form[:40]!r} is not one of json, html",
                parameter="f",
                allowed=["json", "html"],
            )
        if language is not None and language.lower()[:2] not in ("zh", "en"):
            raise InvalidParameter(
                f"参数 lang 的值 {language[:40]!r} 无效，可用：zh、en",
                f"lang: {language[:40]!r} is not one of zh, en",
                parameter="lang",
                allowed=["zh", "en"],
            )
        return found

    def collection(self) -> str:
        """Id of the collection in the path."""
        name: str = self.request.path_params["collection"]
        if name not in self.known.collections:
            raise LayerNotFound(
                f"没有 STAC 集合 {name[:80]!r}；清单见 /stac/collections",
                f"no STAC collection {name[:80]!r}; see /stac/collections",
                layer=name[:200],
            )
        return name

    def scene(self) -> Item:
        """Scene of the path."""
        collection, item = self.collection(), self.request.path_params["item"]
        found = self.known.find(collection, item)
        if found is None:
            raise FeatureNotFound(
                f"集合 {collection} 没有条目 {item[:80]!r}；清单见 /stac/collections/{collection}/items",
                f"collection {collection} has no item {item[:80]!r}; see /stac/collections/{collection}/items",
                layer=collection,
                item=item[:200],
            )
        return found

    def answer(self, document: Any, kind: str = JSON, *, tag: str | None = None, cached: bool = True) -> Response:
        """The document as JSON or as a page; 304 where the client has it."""
        from spatial.pages import html_response, page_of, stamp, wants_html

        html = wants_html(self.request)
        if tag is None:
            digest = blake2b(digest_size=12)
            query = self.request.scope["query_string"]
            known = (self.base, self.request.scope["path"], query, html, self.snapshot.revision, self.editing)
            digest.update(repr((software_version(), known)).encode())
            if html:
                digest.update(f"{stamp()} {self.request.headers.get('accept-language')}".encode())
            tag = f'W/"{digest.hexdigest()}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache", "Vary": "Accept, Accept-Language"} if cached else {}
        held = self.request.headers.get("if-none-match", "")
        if cached and held and tag.removeprefix("W/") in {part.strip().removeprefix("W/") for part in held.split(",")}:
            return Response(status_code=304, headers=headers)
        if html:
            return html_response(
                page_of(self.request, self.base), "document.html", {"document": document}, headers=headers
            )
        return Response(orjson.dumps(document), media_type=kind, headers=headers)


def _tag(base: str, scene: Item) -> str:
    """Entity tag of an item, the same in every answer that shows it."""
    known = (software_version(), base, scene.id, scene.version, scene.layer.model_dump_json())
    digest = blake2b(repr(known).encode(), digest_size=12)
    return f'W/"{digest.hexdigest()}"'


# --- reading ----------------------------------------------------------------------------------------------------------


async def landing(exchange: _Exchange) -> Response:
    exchange.read()
    return exchange.answer(landing_document(exchange.base, exchange.known, editing=exchange.editing))


async def conformance_declaration(exchange: _Exchange) -> Response:
    exchange.read()
    return exchange.answer({"conformsTo": conformance(editing=exchange.editing)})


async def openapi(exchange: _Exchange) -> Response:
    exchange.read()
    return exchange.answer(openapi_document(exchange.base, editing=exchange.editing), OPENAPI)


async def queryables(exchange: _Exchange) -> Response:
    exchange.read()
    path = exchange.request.scope["path"].rstrip("/")
    collections = (
        [exchange.collection()] if "collection" in exchange.request.path_params else exchange.known.collections
    )
    grades = exchange.datastore.settings.grades
    return exchange.answer(queryables_document(exchange.base + path, grades, collections), SCHEMA)


async def collections_list(exchange: _Exchange) -> Response:
    exchange.read()
    return exchange.answer(collections_document(exchange.base, exchange.known))


async def one_collection(exchange: _Exchange) -> Response:
    exchange.read()
    return exchange.answer(collection_document(exchange.collection(), exchange.base, exchange.known))


async def items(exchange: _Exchange) -> Response:
    collection = exchange.collection()
    query = exchange.read(ITEMS_PARAMETERS)
    wanted = read_search(query, collection=collection)
    own = f"{exchange.base}/stac/collections/{collection}"
    links = [
        {"href": own, "rel": "collection", "type": JSON, "title": collection},
        {"href": own, "rel": "parent", "type": JSON, "title": collection},
    ]
    return exchange.answer(_page(exchange, wanted, exchange.known.collections[collection], links), GEOJSON)


async def one_item(exchange: _Exchange) -> Response:
    from spatial.pages import wants_html

    exchange.read()
    scene = exchange.scene()
    tag = None if wants_html(exchange.request) else _tag(exchange.base, scene)
    return exchange.answer(item_document(scene, exchange.base, exchange.known), GEOJSON, tag=tag)


async def search(exchange: _Exchange) -> Response:
    if exchange.request.method == "POST":
        exchange.read()
        body = await _object(exchange.request, (JSON, GEOJSON))
        wanted = read_search(body)
        document = _page(exchange, wanted, exchange.known.scenes, [], body)
        return exchange.answer(document, GEOJSON, cached=False)
    wanted = read_search(exchange.read(SEARCH_PARAMETERS))
    return exchange.answer(_page(exchange, wanted, exchange.known.scenes, []), GEOJSON)


def _page(
    exchange: _Exchange,
    wanted: SearchRequest,
    scenes: tuple[Item, ...],
    links: list[dict[str, Any]],
    body: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    found = run_search(scenes, wanted)
    base, known = exchange.base, exchange.known
    features = [pruned(item_document(scene, base, known), wanted.fields) for scene in found.scenes]
    return {
        "type": "FeatureCollection",
        "features": features,
        "numberMatched": found.matched,
        "numberReturned": len(features),
        "links": [*_page_links(exchange, found, body), *links],
    }


def _page_links(exchange: _Exchange, found: Found, body: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    request = exchange.request
    address = exchange.base + quote(request.scope["path"])
    query = list(request.query_params.multi_items())
    here = address + (f"?{urlencode(query)}" if query else "")
    links: list[dict[str, Any]] = [
        {"href": here, "rel": "self", "type": GEOJSON},
        {"href": f"{exchange.base}/stac", "rel": "root", "type": JSON},
    ]
    if found.following is not None and body is None:
        following = [(name, text) for name, text in query if name != "token"] + [("token", found.following)]
        links.append({"href": f"{address}?{urlencode(following)}", "rel": "next", "type": GEOJSON, "method": "GET"})
    elif found.following is not None and body is not None:
        merged = {**body, "token": found.following}
        links.append(
            {"href": address, "rel": "next", "type": GEOJSON, "method": "POST", "body": merged, "merge": False}
        )
    return links


async def file(exchange: _Exchange) -> Response:
    """The COG of one version; ranges are answered (RFC 9110, 14), so a reader fetches only what it draws."""
    exchange.read(())
    layer, version = exchange.request.path_params["layer"], exchange.request.path_params["version"]
    raster = await run_in_threadpool(exchange.snapshot.raster, layer, version)
    path = published_file(raster)
    tag = f'"{layer}-{version}-{path.stat().st_size:x}"'
    headers = {"ETag": tag, "Cache-Control": "public, max-age=86400", "Accept-Ranges": "bytes"}
    if tag in exchange.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=COG, filename=f"{layer}_{version}.tif", headers=headers)


async def scene_file(exchange: _Exchange) -> Response:
    """The COG of one band of a scene; ranges are answered."""
    exchange.read(())
    path = exchange.request.path_params
    found = exchange.known.find(path["collection"], path["item"])
    asset = found.item.assets.get(path["band"]) if isinstance(found, ObservedScene) else None
    named = f"{path['collection'][:60]}/{path['item'][:80]}/{path['band'][:40]}"
    if asset is None:
        raise FeatureNotFound(f"没有影像波段 {named}", f"no band {named} of a scene", layer=path["collection"][:60])
    if not asset.path.is_file():
        raise StoreUnavailable(
            f"影像波段 {named} 的文件已不在，其他影像不受影响；请管理员恢复文件",
            f"the file of band {named} is gone; other scenes are not affected; the operator must restore it",
            layer=path["collection"][:60],
        )
    state = asset.path.stat()
    tag = f'"{state.st_mtime_ns:x}-{state.st_size:x}"'
    headers = {"ETag": tag, "Cache-Control": "public, max-age=3600", "Accept-Ranges": "bytes"}
    if tag in exchange.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    name = f"{path['item']}_{path['band']}.tif"
    return FileResponse(asset.path, media_type=COG, filename=name, headers=headers)


# --- transactions -----------------------------------------------------------------------------------------------------


async def _object(request: Request, allowed: tuple[str, ...]) -> dict[str, Any]:
    kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
    if kind not in allowed:
        raise UnsupportedMediaType(
            f"请求体类型 {kind[:80]!r} 不受支持，请用 Content-Type: {' 或 '.join(allowed)}",
            f"a body of type {kind[:80]!r} is not read here; send Content-Type: {' or '.join(allowed)}",
            allowed=list(allowed),
        )
    document = json_document(await request.body() or b"{}")
    if not isinstance(document, dict):
        raise InvalidParameter("请求体应为 JSON 对象", "the body must be a JSON object", parameter="body")
    return document


def _editor(exchange: _Exchange) -> str | None:
    """Name of who edits, where the server lets somebody edit results; the same guard as for features."""
    from spatial.store.editing import identify_editor

    request, settings = exchange.request, exchange.datastore.settings
    if not exchange.editing or exchange.collection() != RESULTS:
        raise MethodNotAllowed(
            "本服务未开放成果登记（ONEMAP_EDIT）" if not exchange.editing else f"只有集合 {RESULTS} 可登记成果",
            "registering results is switched off on this server (ONEMAP_EDIT)"
            if not exchange.editing
            else f"only the collection {RESULTS} takes results",
            allow=list(_READ),
        )
    require_same_site(settings, request, exchange.base)
    address = request.client.host if request.client is not None else None
    found = identify_editor(settings, request.headers.get("authorization"), address)
    return found.principal or found.address


async def create(exchange: _Exchange) -> Response:
    editor = _editor(exchange)
    body = await _object(exchange.request, (GEOJSON, JSON))
    request = registration.Request(body, editor, exchange.base)
    scene = await run_in_threadpool(registration.register, exchange.datastore, request)
    known = gathered(exchange.datastore, exchange.datastore.snapshot())
    document = item_document(scene, exchange.base, known)
    location = f"{exchange.base}/stac/collections/{RESULTS}/items/{scene.id}"
    headers = {"Location": location, "ETag": _tag(exchange.base, scene)}
    # The STAC validators look for application/json here, which a GeoJSON object is as well.
    return Response(orjson.dumps(document), 201, media_type=JSON, headers=headers)


async def change(exchange: _Exchange, *, merge: bool) -> Response:
    editor = _editor(exchange)
    body = await _object(exchange.request, (MERGE_PATCH, JSON, GEOJSON) if merge else (GEOJSON, JSON))
    request = registration.Request(body, editor, exchange.base, exchange.request.headers.get("if-match"))
    scene = await run_in_threadpool(
        partial(registration.replace, merge=merge),
        exchange.datastore,
        exchange.request.path_params["item"],
        request,
        partial(_tag, exchange.base),
    )
    return Response(status_code=204, headers={"ETag": _tag(exchange.base, scene)})


async def remove(exchange: _Exchange) -> Response:
    editor = _editor(exchange)
    match = exchange.request.headers.get("if-match")
    item = exchange.request.path_params["item"]
    tag = partial(_tag, exchange.base)
    await run_in_threadpool(registration.withdraw, exchange.datastore, item, match, editor, tag)
    return Response(status_code=204)


Handler = Callable[[_Exchange], Awaitable[Response]]


def _routes(datastore: DataStore) -> list[Route]:
    def route(path: str, **handlers: Handler) -> Route:
        async def answer(request: Request) -> Response:
            method = "GET" if request.method == "HEAD" else request.method
            return await handlers[method](_Exchange(datastore, request))

        return Route(path, answer, methods=list(handlers))

    one = "/stac/collections/{collection}"
    return [
        route(f"{one}/items/{{item}}", GET=one_item, PUT=partial(change, merge=False),
              PATCH=partial(change, merge=True), DELETE=remove),
        route(f"{one}/items", GET=items, POST=create),
        route(f"{one}/queryables", GET=queryables),
        route(one, GET=one_collection),
        route("/stac/collections", GET=collections_list),
        route("/stac/search", GET=search, POST=search),
        route("/stac/queryables", GET=queryables),
        route("/stac/conformance", GET=conformance_declaration),
        route("/stac/api", GET=openapi),
        route("/stac/scenes/{collection}/{item}/{band}.tif", GET=scene_file),
        route("/stac/files/{layer}/{version}.tif", GET=file),
        route("/stac", GET=landing),
        route("/stac/", GET=landing),
    ]  # fmt: skip


def _landing_links(base: str, language: Language) -> list[Link]:
    title = "STAC API 影像与成果目录" if language == "zh" else "STAC API of rasters and results"
    return [{"href": f"{base}/stac", "rel": "related", "type": JSON, "title": title}]


STAC = BuildingBlock(
    name="stac",
    title="STAC API（另见 /stac/api） / STAC API (see /stac/api)",
    routes=_routes,
    landing_links=_landing_links,
)
"""The STAC API for `spatial.asgi`; its operations stand in a document of their own, ``/stac/api``."""
