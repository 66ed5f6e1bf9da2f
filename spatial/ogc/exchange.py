"""One request and its answer: base address, language, format, links, ETag, conditional answers.

Every answer is named by an ETag made from what it depends on, before any store is asked, so that an unchanged page costs
one small state query. The tag is weak: ``timeStamp`` differs between two equal pages.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import Response

from spatial.ogc.parameters import (
    DOCUMENT_FORMATS,
    Format,
    Language,
    read_format,
    read_language,
    read_parameters,
)

if TYPE_CHECKING:
    from spatial.building_block import BuildingBlock
    from spatial.catalog import Layer, Text
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["REL", "Call", "Link", "base_address", "link", "read_call"]

Link = dict[str, str]
REL = "http://www.opengis.net/def/rel/ogc/1.0"
"""Prefix of the OGC link relations."""

JSON = "application/json"
GEOJSON = "application/geo+json"
HTML = "text/html"
SCHEMA = "application/schema+json"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"


_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?", re.ASCII)


@lru_cache(maxsize=1)
def software_version() -> str:
    """Version of this software, part of every ETag: a new release may write the same data differently."""
    return package_version("onemap-hubei")


def base_address(datastore: DataStore, request: Request) -> str:
    """Address before ``/ogc`` in every link: the configured public one, else the one that the client used."""
    if datastore.settings.public_url is not None:
        return datastore.settings.url
    host = request.headers.get("host", "")
    if _HOST.fullmatch(host):
        # The same as `base_url`, which costs a tenth of what a single feature costs.
        scope = request.scope
        return f"{scope['scheme']}://{host}{scope.get('app_root_path', scope.get('root_path', ''))}".rstrip("/")
    return str(request.base_url).rstrip("/")


def link(href: str, rel: str, kind: str, title: str, language: Language | None = None) -> Link:
    """One link object."""
    found = {"href": href, "rel": rel, "type": kind, "title": title}
    if language is not None:
        found["hreflang"] = language
    return found


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read: everything that an answer needs."""

    datastore: DataStore
    snapshot: Snapshot
    request: Request
    base: str
    language: Language
    format: Format
    parameters: Mapping[str, str]

    @property
    def blocks(self) -> tuple[BuildingBlock, ...]:
        """Building blocks of the application that answers."""
        found: tuple[BuildingBlock, ...] = getattr(self.request.app.state, "building_blocks", ())
        return found

    @property
    def ogc(self) -> str:
        """Address of the landing page."""
        return f"{self.base}/ogc"

    def text(self, text: Text) -> str:
        """A bilingual text in the language of the request."""
        return text.zh if self.language == "zh" else text.en

    def say(self, zh: str, en: str) -> str:
        """One of two texts, by the language of the request."""
        return zh if self.language == "zh" else en

    def address(self, path: str, changes: Mapping[str, str | None] | None = None, *, keep: bool = False) -> str:
        """Absolute address of a path below ``/ogc``.

        Parameters
        ----------
        changes : mapping
            Query parameters to set; None removes.
        keep : bool
            Start from the query of this request.
        """
        query = dict(self.parameters) if keep else {}
        for name, value in (changes or {}).items():
            if value is None:
                query.pop(name, None)
            else:
                query[name] = value
        text = urlencode(query, quote_via=quote, safe=",:/.")
        return f"{self.ogc}{path}" + (f"?{text}" if text else "")

    def here(self, changes: Mapping[str, str | None] | None = None) -> str:
        """Address of this request with some parameters changed; a link for every representation keeps the rest of the query."""
        return self.address(self.request.scope["path"].removeprefix("/ogc"), changes, keep=True)

    def self_links(self, kind: str = JSON) -> list[Link]:
        """``self`` and ``alternate``: this document in both representations."""
        html = self.format == "html"
        name = "GeoJSON" if kind == GEOJSON else "JSON"
        return [
            link(
                self.here({"f": "json"}) if html else self.here(),
                "alternate" if html else "self",
                kind,
                self.say(f"本资源的 {name}", f"This document as {name}"),
            ),
            link(
                self.here() if html else self.here({"f": "html"}),
                "self" if html else "alternate",
                HTML,
                self.say("本资源的网页", "This document as HTML"),
            ),
        ]

    def etag(self, *parts: object) -> str:
        """Weak entity tag of this answer; `parts` are the versions of the data that it shows."""
        digest = blake2b(digest_size=12)
        query = sorted(self.parameters.items())
        known = (self.base, self.request.scope["path"], query, self.language, self.format, self.snapshot.revision)
        digest.update(repr((software_version(), known, parts)).encode())
        if self.format == "html":
            from spatial.pages import stamp

            digest.update(stamp().encode())
        return f'W/"{digest.hexdigest()}"'

    def headers(self, etag: str) -> dict[str, str]:
        """Headers of every cacheable answer: keep it, but ask before each use."""
        return {
            "ETag": etag,
            "Cache-Control": "no-cache",
            "Vary": "Accept, Accept-Language",
            "Content-Language": "zh-CN" if self.language == "zh" else "en",
        }

    def unchanged(self, etag: str) -> Response | None:
        """304 if the client holds this very answer already."""
        header = self.request.headers.get("if-none-match")
        if header is None:
            return None
        bare = etag.removeprefix("W/")
        held = {tag.strip().removeprefix("W/") for tag in header.split(",")}
        if header.strip() == "*" or bare in held:
            return Response(status_code=304, headers=self.headers(etag))
        return None

    def answer(self, document: Any, etag: str, kind: str = JSON, extra: Mapping[str, str] | None = None) -> Response:
        """A JSON answer."""
        return Response(orjson.dumps(document), media_type=kind, headers={**self.headers(etag), **(extra or {})})

    def page(
        self, template: str, etag: str, values: Mapping[str, Any], extra: Mapping[str, str] | None = None
    ) -> Response:
        """An HTML answer from one of our templates (see `spatial.pages`)."""
        from spatial.pages import Page, html_response

        page = Page(self.request, self.base, self.language)
        return html_response(page, template, values, headers={**self.headers(etag), **(extra or {})})

    def title(self, layer: Layer) -> str:
        """Title of a layer with the watermark of synthetic data."""
        return self.text(layer.display_title())


def read_call(
    datastore: DataStore,
    request: Request,
    allowed: Collection[str],
    snapshot: Snapshot | None = None,
    formats: Mapping[str, Format] = DOCUMENT_FORMATS,
) -> Call:
    """Read the parts that all requests share; `UnknownParameter` for what `allowed` does not list."""
    parameters = read_parameters(request, allowed)
    return Call(
        datastore=datastore,
        snapshot=datastore.snapshot() if snapshot is None else snapshot,
        request=request,
        base=base_address(datastore, request),
        language=read_language(request, parameters),
        format=read_format(request, parameters, formats),
        parameters=parameters,
    )
