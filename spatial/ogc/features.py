"""Features (要素): a page and a single one, straight over the store.

The store gives each feature as GeoJSON text; this module only puts texts together. A page of up to `BATCH` features is one
query; a larger one is read and sent in batches along the key, so that memory does not grow with ``limit``. All batches read
one immutable version, so the page is consistent though it is many queries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from spatial.crs import CRS84, ServedCRS, parse_crs
from spatial.errors import FeatureNotFound, NotFound
from spatial.ogc.exchange import GEOJSON, HTML, JSON, REL, Call, Link, link, read_call
from spatial.ogc.feature_tags import read_tag
from spatial.ogc.formats.known import FILE_FORMATS, possible_formats
from spatial.ogc.parameters import (
    DEFAULT_LIMIT,
    ITEM_PARAMETERS,
    ITEMS_FORMATS,
    ITEMS_PARAMETERS,
    ItemsRequest,
    feature_id,
    property_parameters,
    read_items,
)
from spatial.store.answers import FeatureTexts

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Snapshot
    from spatial.store.vector import ItemQuery, Page, PublishedTable

__all__ = ["item", "items", "published_table"]

BATCH = 2000
"""Features that one store query of a page reads at most."""
WRITE_BYTES = 256 * 1024
"""Size of the pieces in which a long answer is sent, about."""


def published_table(snapshot: Snapshot, layer_id: str, version: str | None = None) -> PublishedTable:
    """Published version of a vector layer; a raster has no features (404)."""
    layer = snapshot.catalog[layer_id]
    if not layer.is_vector:
        raise NotFound(
            f"图层 {layer_id} 是栅格，没有要素；请用其瓦片或地图地址",
            f"layer {layer_id} is a raster and has no features; use its tiles or map",
            layer=layer_id,
        )
    return snapshot.vector(layer_id, version)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _collection_link(call: Call, layer_id: str) -> Link:
    return link(
        call.address(f"/collections/{layer_id}"), "collection", JSON, call.say("所属数据集", "The collection document")
    )


def _file_links(call: Call, table: PublishedTable) -> list[Link]:
    """The page as a file, in every format; ``limit`` stands there, because without it a file holds everything."""
    if "resulttype" in call.parameters:
        return []
    here = call.here({"limit": call.parameters.get("limit", str(DEFAULT_LIMIT)), "f": None})
    formats = possible_formats(table.geometry_type, with_geometry=call.parameters.get("skipGeometry") != "true")
    return [link(f"{here}&f={f.name}", "alternate", f.media_type, call.text(f.title)) for f in formats]


def _page_links(call: Call, table: PublishedTable, more: bool, last: int | None) -> list[Link]:
    links = call.self_links(GEOJSON) + _file_links(call, table)
    if more and last is not None:
        # The pin keeps a reader on the version that he began with, though a new one is published meanwhile.
        following = call.here({"after": str(last), "version": table.version, "offset": None})
        kind = HTML if call.format == "html" else GEOJSON
        links.append(link(following, "next", kind, call.say("下一页", "Next page")))
    links.append(_collection_link(call, table.layer.id))
    return links


async def _matched(call: Call, table: PublishedTable, asked: ItemsRequest, page: Page | None) -> int | None:
    """``numberMatched``: exact where that is cheap or was asked for, else None (left out)."""
    query = asked.query
    if not query.is_filtered:
        return table.count
    if page is not None and not page.more and query.after is None and (page.features or query.offset == 0):
        return query.offset + len(page.features)
    if asked.hits or table.count <= call.datastore.settings.count_exact_below:
        return await call.datastore.vectors.acount(table, replace(query, after=None, offset=0))
    return None


async def items(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}/items``."""
    layer_id = request.path_params["collection"]
    snapshot = datastore.snapshot()
    table = published_table(snapshot, layer_id, request.query_params.get("version"))
    allowed = (*ITEMS_PARAMETERS, *property_parameters(table.layer))
    call = read_call(datastore, request, allowed, snapshot, ITEMS_FORMATS)
    settings = datastore.settings
    asked = read_items(table.layer, call.parameters, max_page=settings.max_page)
    etag = call.etag(layer_id, table.version, settings.count_exact_below, settings.max_page, settings.max_export)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    if call.format in FILE_FORMATS:
        from spatial.ogc.formats.answer import file_answer

        return await file_answer(call, table, etag)
    query = asked.query
    extra = {"Content-Crs": f"<{query.crs.uri}>"}
    if asked.hits:
        matched = await _matched(call, table, asked, None)
        first, tail = None, _tail(call, table, matched, 0, False, None)
        if call.format == "json":
            head = b'{"type":"FeatureCollection","features":['
            return Response(head + tail, media_type=GEOJSON, headers={**call.headers(etag), **extra})
    else:
        first = await datastore.vectors.apage(table, replace(query, limit=min(asked.wanted, BATCH)))
        whole = first if asked.wanted <= BATCH or not first.more else None
        matched = await _matched(call, table, asked, whole)
    if call.format == "html":
        return _html_page(call, table, query, first, matched, etag, extra)
    assert first is not None
    headers = {**call.headers(etag), **extra}
    if first.more and asked.wanted > len(first.features):
        return StreamingResponse(_batches(call, table, asked, first, matched), media_type=GEOJSON, headers=headers)
    texts = first.features
    if not isinstance(texts, FeatureTexts) and sum(map(len, texts)) > 4 * WRITE_BYTES:
        return StreamingResponse(_pieces(call, table, first, matched), media_type=GEOJSON, headers=headers)
    tail = _tail(call, table, matched, len(first.features), first.more, first.fids[-1] if first.fids else None)
    features = texts.joined if isinstance(texts, FeatureTexts) else ",\n".join(texts).encode()
    body = b"".join((b'{"type":"FeatureCollection","features":[', features, tail))
    return Response(body, media_type=GEOJSON, headers=headers)


def _tail(call: Call, table: PublishedTable, matched: int | None, returned: int, more: bool, last: int | None) -> bytes:
    """Everything after the features; it stands behind them because a long page knows its end only there."""
    members: dict[str, Any] = {"numberReturned": returned, "timeStamp": _now()}
    if matched is not None:
        members["numberMatched"] = matched
    members["links"] = _page_links(call, table, more, last)
    return b"]," + orjson.dumps(members)[1:]


def _encode(features: Sequence[str], separate: bool) -> list[bytes]:
    """Texts of features as pieces of about `WRITE_BYTES`, separated by commas (also before the first if `separate`)."""
    if isinstance(features, FeatureTexts):
        return [b",\n" + features.joined if separate and features else features.joined]
    pieces: list[bytes] = []
    start = size = 0
    for index, text in enumerate(features):
        size += len(text)
        if size >= WRITE_BYTES or index + 1 == len(features):
            piece = ",\n".join(features[start : index + 1])
            pieces.append((",\n" + piece if separate or start else piece).encode())
            start, size = index + 1, 0
    return pieces


async def _pieces(call: Call, table: PublishedTable, page: Page, matched: int | None) -> AsyncIterator[bytes]:
    yield b'{"type":"FeatureCollection","features":['
    for piece in _encode(page.features, False):
        yield piece
        await asyncio.sleep(0)
    yield _tail(call, table, matched, len(page.features), page.more, page.fids[-1] if page.fids else None)


async def _batches(
    call: Call, table: PublishedTable, asked: ItemsRequest, page: Page, matched: int | None
) -> AsyncIterator[bytes]:
    yield b'{"type":"FeatureCollection","features":['
    returned = 0
    while True:
        for piece in _encode(page.features, returned > 0):
            yield piece
        returned += len(page.features)
        if not page.more or returned >= asked.wanted:
            break
        following = replace(asked.query, after=page.fids[-1], offset=0, limit=min(BATCH, asked.wanted - returned))
        page = await call.datastore.vectors.apage(table, following)
    yield _tail(call, table, matched, returned, page.more, page.fids[-1] if page.fids else None)


def _html_page(
    call: Call,
    table: PublishedTable,
    query: ItemQuery,
    page: Page | None,
    matched: int | None,
    etag: str,
    extra: dict[str, str],
) -> Response:
    features = [] if page is None else [orjson.loads(text) for text in page.features]
    last = page.fids[-1] if page is not None and page.fids else None
    values = {
        "layer": table.layer,
        "table": table,
        "features": features,
        "fields": [f for f in table.layer.fields if query.properties is None or f.name in query.properties],
        "matched": matched,
        "links": _page_links(call, table, page is not None and page.more, last),
    }
    return call.page("items.html", etag, values, extra)


async def item(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}/items/{fid}``."""
    layer_id, text = request.path_params["collection"], request.path_params["feature"]
    snapshot = datastore.snapshot()
    call = read_call(datastore, request, ITEM_PARAMETERS, snapshot)
    table = published_table(snapshot, layer_id, call.parameters.get("version"))
    crs: ServedCRS = parse_crs(call.parameters["crs"]) if "crs" in call.parameters else CRS84
    fid = feature_id(text)
    if fid is None:
        raise FeatureNotFound(
            f"图层 {layer_id} 没有要素 {text[:40]!r}；要素编号是整数",
            f"layer {layer_id} has no feature {text[:40]!r}; feature ids are integers",
            layer=layer_id,
            feature=text[:200],
        )
    # What can be edited has a strong tag, made from what is stored (Features P4, optimistic-locking-etags).
    strong = table.layer.editable and call.format == "json"
    etag = await read_tag(call, table, fid) if strong else call.etag(layer_id, table.version)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    feature = await datastore.vectors.aitem(table, fid, crs)
    links = [
        *call.self_links(GEOJSON),
        _collection_link(call, layer_id),
        link(
            call.address(f"/collections/{layer_id}/schema"),
            f"{REL}/schema",
            "application/schema+json",
            call.say("字段结构", "Schema of the features"),
        ),
    ]
    extra = {"Content-Crs": f"<{crs.uri}>"}
    if strong:
        extra["Cache-Control"] = "no-cache, no-transform"
    if call.format == "html":
        values = {"layer": table.layer, "table": table, "feature": orjson.loads(feature), "links": links}
        return call.page("item.html", etag, values, extra)
    body = b"".join((feature.rstrip()[:-1].encode(), b',"links":', orjson.dumps(links), b"}"))
    return Response(body, media_type=GEOJSON, headers={**call.headers(etag), **extra})
