"""Answers of the map, style and WMS addresses (制图应答): base address, picture formats, ETag, caching, OpenAPI parts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response

from spatial.errors import InvalidParameter, NotAcceptable
from spatial.pages.page import weighted
from tiles.answers import PROGRAM, choice, matches
from tiles.maps.query import single_query
from tiles.raster import TilePool

if TYPE_CHECKING:
    from spatial.building_block import Language
    from spatial.catalog import Layer, Text
    from spatial.store.datastore import DataStore

__all__ = [
    "REL",
    "base_address",
    "conditional",
    "document_query",
    "language_of",
    "link",
    "map_pool",
    "media_type",
    "named_headers",
    "operation",
    "parameter",
    "picture_format",
    "ref",
    "said",
]

REL = "http://www.opengis.net/def/rel/ogc/1.0"
"""Prefix of the OGC link relations."""

_PICTURES = {"png": "png", "webp": "webp", "jpg": "jpg", "jpeg": "jpg"}
_MEDIA = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpg", "image/jpg": "jpg"}
_pools: WeakKeyDictionary[DataStore, TilePool] = WeakKeyDictionary()


def map_pool(datastore: DataStore) -> TilePool:
    """The two threads of a process that draw maps; more would only take the memory of more maps at once."""
    found = _pools.get(datastore)
    if found is None:
        found = _pools[datastore] = TilePool(2)
    return found


def base_address(datastore: DataStore, request: Request) -> str:
    """Address before ``/ogc`` and ``/tiles`` in every link: the configured public one, else the one the client used."""
    if datastore.settings.public_url is not None:
        return datastore.settings.url
    return str(request.base_url).rstrip("/")


def picture_format(request: Request, wanted: str | None) -> str:
    """File ending of the picture: ``f``, else the best of ``Accept``, else PNG.

    Raises
    ------
    InvalidParameter, NotAcceptable
    """
    if wanted is not None:
        found = _PICTURES.get(wanted.lower()) or _MEDIA.get(wanted.lower())
        if found is None:
            raise InvalidParameter(
                f"参数 f 的值 {wanted[:40]!r} 无效，可用：png、webp、jpeg",
                f"f: {wanted[:40]!r} is not one of png, webp, jpeg",
                parameter="f",
                allowed=["png", "webp", "jpeg"],
            )
        return found
    accept = weighted(request.headers.get("accept", "*/*") or "*/*")
    for kind in accept:
        if kind in _MEDIA:
            return _MEDIA[kind]
        if kind in {"*/*", "image/*"}:
            return "png"
    raise NotAcceptable(
        "地图只有 image/png、image/webp、image/jpeg；请改 Accept 或用 ?f=png",
        "maps are served as image/png, image/webp and image/jpeg; change Accept or use ?f=png",
        allowed=list(_MEDIA)[:3],
    )


def document_query(request: Request, *further: str) -> dict[str, str]:
    """Query parameters of a document: ``f`` (json, html), ``lang``, and those of its own; each once.

    Raises
    ------
    UnknownParameter, InvalidParameter
    """
    query = single_query(request, (*further, "f", "lang"))
    if "f" in query:
        choice(query["f"], {"json": "json", "application/json": "json", "html": "html", "text/html": "html"}, "f")
    language_of(request, query.get("lang"))
    return query


def media_type(ext: str) -> str:
    """Media type of a file ending."""
    return "image/jpeg" if ext == "jpg" else f"image/{ext}"


def language_of(request: Request, wanted: str | None) -> Language:
    """Language of the answer: ``lang``, else ``Accept-Language``, else Chinese."""
    if wanted is not None and wanted not in {"zh", "en"}:
        raise InvalidParameter(
            f"参数 lang 的值 {wanted[:40]!r} 无效，可用：zh、en",
            f"lang: {wanted[:40]!r} is not one of zh, en",
            parameter="lang",
            allowed=["zh", "en"],
        )
    tags = [wanted] if wanted else weighted(request.headers.get("accept-language", ""))
    for tag in tags:
        if tag.startswith("en"):
            return "en"
        if tag.startswith("zh"):
            return "zh"
    return "zh"


def said(text: Text, language: Language) -> str:
    """A text in one language."""
    return text.zh if language == "zh" else text.en


def named_headers(layers: Iterable[Layer], parts: Iterable[Any]) -> dict[str, str]:
    """ETag made of what names an answer, and who may keep it: shared caches only if every layer is public (公开)."""
    text = json.dumps([PROGRAM, *parts], sort_keys=True, default=str)
    tag = '"' + hashlib.blake2b(text.encode(), digest_size=12).hexdigest() + '"'
    audience = "public" if all(layer.grade == "公开" for layer in layers) else "private"
    return {"ETag": tag, "Cache-Control": f"{audience}, max-age=60, must-revalidate"}


def conditional(request: Request, headers: Mapping[str, str]) -> Response | None:
    """304 if the caller has this answer already."""
    return Response(status_code=304, headers=dict(headers)) if matches(request, headers["ETag"]) else None


def link(href: str, rel: str, kind: str, title: str, **more: Any) -> dict[str, Any]:
    """One link object."""
    return {"href": href, "rel": rel, "type": kind, "title": title, **more}


# --- OpenAPI ------------------------------------------------------------------------------------------------------------


def ref(kind: str, name: str) -> dict[str, str]:
    """Reference to a component of the OpenAPI document."""
    return {"$ref": f"#/components/{kind}/{name}"}


def parameter(
    name: str, zh: str, en: str, schema: Mapping[str, Any], *, place: str = "query", explode: bool = False
) -> dict[str, Any]:
    """A parameter object; lists are written with commas."""
    found: dict[str, Any] = {"name": name, "in": place, "description": f"{zh} / {en}", "required": place == "path"}
    found["schema"] = dict(schema)
    return found | ({"style": "simple"} if place == "path" else {"style": "form", "explode": explode})


def operation(
    tag: str,
    name: str,
    zh: str,
    en: str,
    parameters: list[Any],
    content: Mapping[str, Any],
    *,
    headers: Mapping[str, Any] | None = None,
    empty: bool = False,
) -> dict[str, Any]:
    """A GET operation: media type → schema of its answer, and the errors that every address has."""
    answer: dict[str, Any] = {
        "description": f"{zh} / {en}",
        "content": {kind: {"schema": schema} for kind, schema in content.items()},
    }
    if headers:
        answer["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in headers.items()
        }
    responses: dict[str, Any] = {
        "200": answer,
        "304": ref("responses", "NotModified"),
        "400": ref("responses", "InvalidParameter"),
        "404": ref("responses", "NotFound"),
        "406": ref("responses", "InvalidParameter"),
        "500": ref("responses", "ServerError"),
        "503": ref("responses", "Unavailable"),
    }
    if empty:
        responses["204"] = ref("responses", "NoTile")
    return {
        "tags": [tag],
        "operationId": name,
        "summary": f"{zh} / {en}",
        "parameters": parameters,
        "responses": responses,
    }
