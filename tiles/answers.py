"""Parts of the answers of the tile addresses (瓦片应答): query parameters, ETags, caching headers, documents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version as package_version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from spatial.errors import InvalidParameter, UnknownParameter

if TYPE_CHECKING:
    from spatial.catalog import Layer

__all__ = [
    "answer",
    "choice",
    "document_answer",
    "document_query",
    "json_answer",
    "known_query",
    "matches",
    "tile_headers",
    "wants_other_picture",
]


def _drawing_code() -> str:
    """Version of the package and a digest of the files that decide what a tile looks like: none outlives its code."""
    digest = hashlib.blake2b(package_version("onemap-hubei").encode(), digest_size=8)
    here = Path(__file__).parent
    store = here.parent / "spatial" / "store"
    for path in [*sorted(here.rglob("*.py")), *(store / f"{name}.py" for name in ("dialect", "statements"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


PROGRAM = _drawing_code()


def known_query(request: Request, allowed: set[str]) -> dict[str, str]:
    """Query parameters, each once; `UnknownParameter` names what is allowed."""
    given = dict(request.query_params)
    unknown = sorted(set(given) - allowed)
    if unknown:
        raise UnknownParameter(
            f"没有参数 {unknown[0][:60]!r}，可用：{'、'.join(sorted(allowed))}",
            f"no parameter {unknown[0][:60]!r}; use one of {', '.join(sorted(allowed))}",
            parameter=unknown[0][:60],
            allowed=sorted(allowed),
        )
    if len(given) < len(request.query_params.multi_items()):
        names = [name for name, _ in request.query_params.multi_items()]
        twice = next(name for name in given if names.count(name) > 1)
        raise InvalidParameter(f"参数 {twice} 重复给出", f"parameter {twice} is given twice", parameter=twice)
    return given


def choice(text: str, allowed: dict[str, str], parameter: str) -> str:
    """What a parameter stands for; `InvalidParameter` names what is allowed."""
    found = allowed.get(text.lower())
    if found is None:
        raise InvalidParameter(
            f"不支持 {parameter}={text[:40]!r}，可用：{'、'.join(allowed)}",
            f"{parameter}={text[:40]!r} is not served; use one of {', '.join(allowed)}",
            parameter=parameter,
            allowed=list(allowed),
        )
    return found


def document_query(request: Request, *further: str) -> dict[str, str]:
    """Query parameters of a document below ``/ogc``: ``f`` (json, html), ``lang``, and those of its own."""
    query = known_query(request, {"f", "lang", *further})
    if "f" in query:
        choice(query["f"], {"json": "json", "application/json": "json", "html": "html", "text/html": "html"}, "f")
    if "lang" in query:
        choice(query["lang"].partition("-")[0], {"zh": "zh", "en": "en"}, "lang")
    return query


def _digest(parts: Iterable[Any]) -> str:
    """ETag of what names an answer."""
    return '"' + hashlib.blake2b(json.dumps(list(parts), sort_keys=True).encode(), digest_size=12).hexdigest() + '"'


def tile_headers(layer: Layer, parts: Iterable[Any], *, pinned: bool, styled: bool = True) -> dict[str, str]:
    """ETag made of what names the tile, and how long it may be kept.

    Parameters
    ----------
    parts
        What names the tile within its layer: version, address, format …
    pinned : bool
        The address names the version.
    styled : bool
        The picture also depends on the style, which can change within a version.
    """
    tag = _digest([PROGRAM, layer.id, *parts])
    return {"ETag": tag, "Cache-Control": keep_for(layer, pinned=pinned, styled=styled)}


def keep_for(layer: Layer, *, pinned: bool, styled: bool) -> str:
    """``Cache-Control`` of a tile; see `tile_headers`.

    An address without a version changes its bytes with a publication: it is kept for a minute, and shown for another one
    only while the new tile is fetched. With a version the bytes never change, but the style of a picture can.
    """
    keep = "max-age=60, stale-while-revalidate=60"
    if pinned:
        keep = "max-age=86400, must-revalidate" if styled else "max-age=31536000, immutable"
    return f"{_audience(layer)}, {keep}"


def matches(request: Request, tag: str) -> bool:
    """True if the caller has this version already."""
    return held_tag(request.headers.get("if-none-match", ""), tag)


def held_tag(given: str, tag: str) -> bool:
    """True if the header ``If-None-Match`` names an entity tag; compared weakly (RFC 9110 §8.8.3.2).

    >>> held_tag('"a", W/"b"', '"b"'), held_tag("*", '"b"'), held_tag("", '"b"')
    (True, True, False)
    """
    return given.strip() == "*" or tag in [t.strip().removeprefix("W/") for t in given.split(",")]


def accepts(header: str, coding: str) -> bool:
    """True if the header ``Accept-Encoding`` allows a content coding (RFC 9110 §12.5.3).

    >>> accepts("br, gzip", "gzip"), accepts("gzip;q=0", "gzip"), accepts("*", "gzip"), accepts("", "gzip")
    (True, False, True, False)
    """
    if coding not in header and "*" not in header:
        return False
    quality: dict[str, float] = {}
    for part in header.split(","):
        name, _, parameter = part.partition(";")
        try:
            quality[name.strip().lower()] = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            quality[name.strip().lower()] = 0.0
    return quality.get(coding, quality.get("*", 0.0)) > 0


def wants_other_picture(accept: str) -> bool:
    """True if the header ``Accept`` names pictures, but neither PNG nor any picture: all others get a PNG.

    >>> wants_other_picture("image/jpeg"), wants_other_picture("image/webp,image/*;q=0.8"), wants_other_picture("text/html")
    (True, False, False)
    """
    return "image/" in accept and "png" not in accept and "*" not in accept


def _audience(*layers: Layer) -> str:
    """Who may keep an answer: shared caches only if every layer is public (公开)."""
    return "public" if all(layer.grade == "公开" for layer in layers) else "private"


def answer(request: Request, body: bytes, media_type: str, *layers: Layer) -> Response:
    """An answer with the ETag of its bytes, or 304."""
    tag = '"' + hashlib.blake2b(body, digest_size=12).hexdigest() + '"'
    headers = {"ETag": tag, "Cache-Control": f"{_audience(*layers)}, max-age=60, must-revalidate"}
    if matches(request, tag):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


def json_answer(request: Request, content: dict[str, Any], *layers: Layer) -> Response:
    """A JSON answer with the ETag of its bytes, or 304."""
    import orjson

    return answer(request, orjson.dumps(content), "application/json", *layers)


def document_answer(request: Request, content: dict[str, Any], *layers: Layer) -> Response:
    """A document below ``/ogc`` as JSON or, for who asks for it, as a page; with an ETag, or 304."""
    from spatial.pages import html_response, page_of, stamp, wants_html

    given = content.get("links")
    if isinstance(given, list) and not any(link.get("rel") == "alternate" for link in given):
        page = page_of(request)
        other = {"href": page.here({"f": "html"}), "rel": "alternate", "type": "text/html", "title": "HTML"}
        content = content | {"links": [*given, other]}
    if not wants_html(request):
        found = json_answer(request, content, *layers)
        found.headers["Vary"] = "Accept, Accept-Language"
        return found
    page = page_of(request)
    tag = _digest([PROGRAM, page.path, page.base, page.parameters, page.language, stamp(), content])
    headers = {"ETag": tag, "Cache-Control": f"{_audience(*layers)}, max-age=60, must-revalidate"}
    if matches(request, tag):
        return Response(status_code=304, headers={**headers, "Vary": "Accept, Accept-Language"})
    values = {"document": content, "layer": layers[0] if len(layers) == 1 else None}
    return html_response(page, "document.html", values, headers=headers)
