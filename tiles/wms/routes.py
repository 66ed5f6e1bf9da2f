"""WMS 1.3.0 and 1.1.1 (地图服务) for older desktop programs, at ``/tiles/wms``, on the renderer of OGC API Maps.

A WMS client reads no problem+json: an error is a service exception report, or a picture where ``EXCEPTIONS`` asks for one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language, Link
from spatial.errors import SpatialError
from tiles.legend import chinese_font
from tiles.maps.answer import base_address, conditional, map_pool, media_type, named_headers
from tiles.maps.picture import drawn_map, encode_picture
from tiles.wms.capabilities import capabilities, exception_report, legend_bytes
from tiles.wms.info import feature_info
from tiles.wms.request import FORMATS, keywords, operation, read_get_map, read_info, read_legend, version_of

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["WMS"]


class _WebMapService:
    def __init__(self, datastore: DataStore) -> None:
        self._datastore = datastore

    async def answer(self, request: Request) -> Response:
        """Answer of a request by key–value pairs."""
        query = keywords(request.query_params.multi_items())
        version = version_of(query)
        try:
            match operation(query):
                case "GetCapabilities":
                    return await self._capabilities(request, version)
                case "GetMap":
                    return await self._map(request, query, version)
                case "GetFeatureInfo":
                    return await self._info(query, version)
                case _:
                    return await self._legend(request, query)
        except SpatialError as error:
            return _refused(error, query, version)

    async def _capabilities(self, request: Request, version: str) -> Response:
        snapshot = self._datastore.snapshot()
        base = base_address(self._datastore, request)
        layers = snapshot.layers()
        named = [[layer.id, layer.style] for layer in layers]
        headers = named_headers(layers, ["wms", version, base, snapshot.revision, named])
        unchanged = conditional(request, headers)
        if unchanged is not None:
            return unchanged
        body = await asyncio.to_thread(_document, _Named(snapshot, headers["ETag"]), base, version)
        kind = "text/xml; charset=utf-8" if version == "1.3.0" else "application/vnd.ogc.wms_xml"
        return Response(body, media_type=kind, headers=headers)

    async def _map(self, request: Request, query: Mapping[str, str], version: str) -> Response:
        layers, wanted, ext = read_get_map(query, self._datastore.snapshot(), version)
        drawn = [m.published.layer for m in layers]
        parts = [[m.published.layer.id, m.published.version, m.published.layer.style, m.band] for m in layers]
        headers = named_headers(drawn, ["wms map", parts, repr(wanted), ext])
        unchanged = conditional(request, headers)
        if unchanged is not None:
            return unchanged
        body = await drawn_map(self._datastore, map_pool(self._datastore), layers, wanted, ext)
        return Response(body, media_type=media_type(ext), headers=headers)

    async def _info(self, query: Mapping[str, str], version: str) -> Response:
        wanted = read_info(query, self._datastore.snapshot(), version)
        body, kind = await feature_info(self._datastore, wanted)
        return Response(body, media_type=kind, headers={"Cache-Control": "no-cache"})

    async def _legend(self, request: Request, query: Mapping[str, str]) -> Response:
        found = read_legend(query, self._datastore.snapshot())
        language = "en" if query.get("language", "zh").lower().startswith("en") else "zh"
        layer, version = found.published.layer, found.published.version
        headers = named_headers([layer], ["wms legend", layer.id, version, layer.style, found.band, language])
        unchanged = conditional(request, headers)
        if unchanged is not None:
            return unchanged
        body = await asyncio.to_thread(legend_bytes, found.published, found.band, language)
        return Response(body, media_type="image/png", headers=headers)


class _Named:
    """A snapshot that compares by the entity tag of its document, so that each is written once."""

    def __init__(self, snapshot: Snapshot, tag: str) -> None:
        self.snapshot, self._tag = snapshot, tag

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Named) and self._tag == other._tag

    def __hash__(self) -> int:
        return hash(self._tag)


@lru_cache(maxsize=4)
def _document(named: _Named, base: str, version: str) -> bytes:
    return capabilities(named.snapshot, base, version)


def _refused(error: SpatialError, query: Mapping[str, str], version: str) -> Response:
    """A service exception: XML, or the picture that the client asked for in such a case."""
    wanted = query.get("exceptions", "").lower()
    if query.get("request", "").lower() in {"getmap", "map"} and wanted.endswith(("inimage", "blank")):
        ext = FORMATS.get(query.get("format", "").lower(), "png")
        width, height = (_side(query.get(name, "")) for name in ("width", "height"))
        body = _refusal(width, height, "" if wanted.endswith("blank") else f"{error.zh}\n{error.en}", ext)
        return Response(body, media_type=media_type(ext), headers={"Cache-Control": "no-store"})
    body, kind, status = exception_report(error, version)
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": "5"} if status == 503 else {})
    return Response(body, status, headers, kind)


def _side(text: str) -> int:
    return min(2048, max(1, int(text))) if text.isascii() and text.isdigit() and len(text) < 9 else 256


def _refusal(width: int, height: int, text: str, ext: str) -> bytes:
    """A white picture with a message, broken into lines that fit."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGBA", (width, height), (255, 255, 255, 255))
    if text:
        path = chinese_font()
        font: Any = ImageFont.truetype(path, 13) if path else ImageFont.load_default(13)
        lines: list[str] = []
        for sentence in text.splitlines() if path else text.splitlines()[1:]:
            line = ""
            for letter in sentence:
                if font.getlength(line + letter) > width - 12:
                    lines.append(line)
                    line = ""
                line += letter
            lines.append(line)
        ImageDraw.Draw(picture).multiline_text((6, 6), "\n".join(lines), font=font, fill=(153, 27, 27, 255))
    return encode_picture(np.asarray(picture), ext)


def _routes(datastore: DataStore) -> list[Route]:
    return [Route("/tiles/wms", _WebMapService(datastore).answer, methods=["GET"])]


def _landing_links(base: str, language: Language) -> list[Link]:
    address = f"{base}/tiles/wms?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetCapabilities"
    return [{"href": address, "rel": "related", "type": "text/xml", "title": "WMS 1.3.0"}]


WMS = BuildingBlock(name="WMS", title="WMS 1.3.0 / WMS 1.3.0", routes=_routes, landing_links=_landing_links)
"""The WMS facade: its route and the link on the landing page."""
