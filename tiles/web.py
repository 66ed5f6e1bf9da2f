"""Addresses of the tiles (瓦片接口): one maker behind ``/tiles/…``, the OGC addresses and WMTS, so all give the same bytes.

A tile inside its matrix with nothing on it is 204 as vector tile, transparent (JPEG: white) as picture; a tile outside its
matrix, an unknown layer, version or matrix set is 404; an unknown band, format or parameter is 400 with what is allowed.
`tiles.maker` makes the tiles.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.errors import InvalidParameter, SpatialError
from spatial.grid import TILE_MATRIX_SETS, no_matrix_set, tile_matrix_set
from spatial.pages.page import weighted
from spatial.store.vector import PublishedTable
from tiles import metadata, scene_chip_routes, scene_tiles, whatif, wmts
from tiles.answers import (
    accepts,
    answer,
    choice,
    document_answer,
    document_query,
    json_answer,
    known_query,
    wants_other_picture,
)
from tiles.custom_sets import CUSTOM_SETS, matrix_set
from tiles.dataset_tiles import drawn_tile
from tiles.legend import legend_document, legend_picture
from tiles.maker import checked_band, find, no_features, tile_maker
from tiles.maps.picture import MapLayer
from tiles.matrix import Address, parse_address
from tiles.style_choices import DEFAULT, layer_style

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Published

__all__ = ["routes"]

_ENDINGS = {"mvt": "mvt", "pbf": "mvt", "png": "png", "webp": "webp", "jpg": "jpg", "jpeg": "jpg"}


def routes(datastore: DataStore) -> list[Route]:
    """Every address of the package."""
    service = _TileService(datastore)
    tiles, ogc = "/tiles", "/ogc/collections/{layer}"
    table: list[tuple[str, Any]] = [
        (f"{tiles}/wmts", service.wmts),
        (f"{tiles}/wmts/1.0.0/WMTSCapabilities.xml", service.wmts_capabilities),
        (f"{tiles}/wmts/1.0.0/{{layer}}/{{style}}/{{tms}}/{{z}}/{{row}}/{{col}}.{{ext}}", service.wmts_tile),
        (f"{tiles}/{{layer}}/tilejson.json", service.tilejson),
        (f"{tiles}/{{layer}}/legend.json", service.legend_json),
        (f"{tiles}/{{layer}}/legend.png", service.legend_png),
        (f"{tiles}/{{layer}}/{{tms}}/{{z}}/{{x}}/{{y}}.{{ext}}", service.xyz),
        ("/ogc/tileMatrixSets", service.matrix_sets),
        ("/ogc/tileMatrixSets/{tms}", service.matrix_set),
        (f"{ogc}/tiles", service.vector_tilesets),
        (f"{ogc}/tiles/{{tms}}", service.vector_tileset),
        (f"{ogc}/tiles/{{tms}}/{{z}}/{{row}}/{{col}}", service.vector_tile),
        (f"{ogc}/map/tiles", service.map_tilesets),
        (f"{ogc}/map/tiles/{{tms}}", service.map_tileset),
        (f"{ogc}/map/tiles/{{tms}}/{{z}}/{{row}}/{{col}}", service.map_tile),
    ]
    table += whatif.addresses(datastore, service.pool)
    table += scene_tiles.addresses(datastore, service.pool)
    table += scene_chip_routes.addresses(datastore, service.pool)
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in table]


class _TileService:
    """The handlers, with the DataStore and the maker that they share."""

    def __init__(self, datastore: DataStore) -> None:
        self._datastore = datastore
        self._base = datastore.settings.url
        self._maker = tile_maker(datastore)
        self.pool = self._maker.pool

    async def xyz(self, request: Request) -> Response:
        """Tile by column and row; ``w`` and ``c`` number the levels as 天地图 does; ``{y}@2x`` is 512 pixels."""
        path = request.path_params
        query = known_query(request, {"version", "band"})
        row, _, scale = path["y"].partition("@")
        ext = choice(path["ext"], _ENDINGS, "ext")
        if scale not in {"", "2x"} or (scale and ext == "mvt"):
            raise InvalidParameter(
                f"瓦片倍率 @{scale[:10]} 不支持；栅格可用 @2x",
                f"tile scale @{scale[:10]} is not served; rasters have @2x",
                parameter="y",
            )
        address = parse_address(path["tms"], path["z"], path["x"], row)
        return await self._tile(request, path["layer"], address, ext, query, size=512 if scale else 256)

    async def vector_tile(self, request: Request) -> Response:
        """OGC vector tile: row, then column."""
        path = request.path_params
        query = known_query(request, {"version", "f"})
        ext = choice(query.get("f", "mvt"), {"mvt": "mvt", "pbf": "mvt", metadata.MVT: "mvt"}, "f")
        address = _ogc_address(path)
        return await self._tile(request, path["layer"], address, ext, query)

    async def map_tile(self, request: Request) -> Response:
        """OGC map tile: row, then column."""
        path = request.path_params
        query = known_query(request, {"version", "band", "f"})
        named = {k: v for k, v in _ENDINGS.items() if v != "mvt"}
        named |= {f"image/{k}": v for k, v in named.items() if k != "jpg"}
        address = _ogc_address(path, *CUSTOM_SETS)
        if "f" in query:
            return await self._tile(request, path["layer"], address, choice(query["f"], named, "f"), query)
        # The short way asks the same, so both give the same answer.
        accept = request.headers.get("accept", "")
        kinds = weighted(accept) if wants_other_picture(accept) else []
        ext = next((named[kind] for kind in kinds if kind in named), "png")
        found = await self._tile(request, path["layer"], address, ext, query)
        found.headers["Vary"] = "Accept"
        return found

    async def wmts(self, request: Request) -> Response:
        """WMTS by key–value pairs. Unknown parameters (such as 天地图's ``tk``) are ignored, as WMTS says.

        A WMTS client reads no problem+json: here, and only here, an error is an OWS exception report.
        """
        try:
            return await self._wmts(request)
        except SpatialError as error:
            body, status = wmts.exception_report(error)
            headers = {"Cache-Control": "no-store"} | ({"Retry-After": "5"} if status == 503 else {})
            return Response(body, status, headers, "application/xml")

    async def _wmts(self, request: Request) -> Response:
        query = wmts.keywords(request.query_params.multi_items())
        if wmts.operation(query) == "GetCapabilities":
            return await self.wmts_capabilities(request)
        wanted = wmts.tile_request(query)
        place = (wanted.z, wanted.row, wanted.col)
        styled = self._styled(wanted.layer, wanted.style, wanted.band)
        return await self._wmts_picture(request, wanted.layer, wanted.tms, place, wanted.ext, styled)

    async def wmts_tile(self, request: Request) -> Response:
        """WMTS tile by its resource address: matrix set, matrix, row, column."""
        path = request.path_params
        query = {k: v for k, v in request.query_params.items() if k in {"band", "version"}}
        ext = choice(path["ext"], {k: v for k, v in _ENDINGS.items() if v != "mvt"}, "ext")
        query |= self._styled(path["layer"], path["style"], query.get("band"))
        place = (path["z"], path["row"], path["col"])
        return await self._wmts_picture(request, path["layer"], path["tms"], place, ext, query)

    async def _wmts_picture(
        self, request: Request, layer_id: str, tms: str, place: tuple[str, str, str], ext: str, query: dict[str, str]
    ) -> Response:
        z, row, col = place
        if tms not in CUSTOM_SETS:
            return await self._tile(request, layer_id, parse_address(tms, z, col, row), ext, query)
        # Sets of our own have no tiles to be made: each is a small map.
        published = self._published(layer_id, query.get("version"))
        shown = MapLayer(published, checked_band(published, query.get("band")))
        return await drawn_tile(self._datastore, request, [shown], tms, place, ext, {})

    def _styled(self, layer_id: str, style: str, band: str | None) -> dict[str, str]:
        """Band that a WMTS style shows (``default`` and no style: the one of the dimension, if it is given)."""
        if style not in {"", DEFAULT}:
            band = layer_style(self._published(layer_id, None), style).band
        return {} if band is None else {"band": band}

    async def wmts_capabilities(self, request: Request) -> Response:
        """The capabilities document."""
        snapshot = self._datastore.snapshot()
        drawn = snapshot.current()
        body = await asyncio.to_thread(wmts.capabilities, drawn, base=self._base)
        return answer(request, body, "application/xml", *(p.layer for p in drawn))

    async def tilejson(self, request: Request) -> Response:
        """TileJSON of a layer in one matrix set."""
        query = known_query(request, {"tms", "version", "band", "f"})
        published = self._published(request.path_params["layer"], query.get("version"))
        tms = query.get("tms", "WebMercatorQuad")
        tile_matrix_set(tms)
        vector = isinstance(published, PublishedTable)
        formats = _ENDINGS if vector else {k: v for k, v in _ENDINGS.items() if v != "mvt"}
        ext = choice(query.get("f", "mvt" if vector else "png"), formats, "f")
        band = checked_band(published, query.get("band"))
        document = metadata.tilejson_document(published, tms=tms, ext=ext, base=self._base, band=band)
        return json_answer(request, document, published.layer)

    async def legend_json(self, request: Request) -> Response:
        """Legend entries."""
        query = known_query(request, {"version", "band"})
        published = self._published(request.path_params["layer"], query.get("version"))
        return json_answer(request, _legend(published, checked_band(published, query.get("band"))), published.layer)

    async def legend_png(self, request: Request) -> Response:
        """Legend as a picture."""
        query = known_query(request, {"version", "lang", "band"})
        published = self._published(request.path_params["layer"], query.get("version"))
        band = checked_band(published, query.get("band"))
        language = choice(query.get("lang", "zh"), {"zh": "zh", "en": "en"}, "lang")
        body = await asyncio.to_thread(legend_picture, _legend(published, band), language)
        return answer(request, body, "image/png", published.layer)

    async def matrix_sets(self, request: Request) -> Response:
        """List of tile matrix sets."""
        document_query(request)
        return document_answer(request, metadata.matrix_sets_document(self._base))

    async def matrix_set(self, request: Request) -> Response:
        """Definition of one tile matrix set."""
        document_query(request)
        tms = request.path_params["tms"]
        matrix_set(tms)
        return document_answer(request, metadata.matrix_set_document(tms))

    async def vector_tilesets(self, request: Request) -> Response:
        """Tile sets of a vector layer."""
        return self._tilesets(request, "vector")

    async def map_tilesets(self, request: Request) -> Response:
        """Map tile sets of a layer."""
        return self._tilesets(request, "map")

    async def vector_tileset(self, request: Request) -> Response:
        """One tile set of a vector layer."""
        return self._tileset(request, "vector")

    async def map_tileset(self, request: Request) -> Response:
        """One map tile set of a layer."""
        return self._tileset(request, "map")

    def _tilesets(self, request: Request, kind: metadata.TileKind) -> Response:
        document_query(request)
        published = self._of_kind(request.path_params["layer"], None, kind)
        document = metadata.tilesets_document(published, kind=kind, base=self._base)
        return document_answer(request, document, published.layer)

    def _tileset(self, request: Request, kind: metadata.TileKind) -> Response:
        query = document_query(request, "version")
        tms = request.path_params["tms"]
        (tile_matrix_set if kind == "vector" else matrix_set)(tms)
        published = self._of_kind(request.path_params["layer"], query.get("version"), kind)
        return document_answer(
            request, metadata.tileset_document(published, tms=tms, kind=kind, base=self._base), published.layer
        )

    def _published(self, layer_id: str, version: str | None) -> Published:
        return find(self._datastore.snapshot(), layer_id, version)

    def _of_kind(self, layer_id: str, version: str | None, kind: metadata.TileKind) -> Published:
        published = self._published(layer_id, version)
        if kind == "vector" and not isinstance(published, PublishedTable):
            raise no_features(published)
        return published

    async def _tile(
        self,
        request: Request,
        layer_id: str,
        address: Address,
        ext: str,
        query: dict[str, str],
        *,
        size: int = 256,
    ) -> Response:
        found = await self._maker.tile(
            self._datastore.snapshot(),
            layer_id,
            address,
            ext,
            version=query.get("version"),
            band=query.get("band"),
            size=size,
            held=request.headers.get("if-none-match"),
            gzip=accepts(request.headers.get("accept-encoding", ""), "gzip"),
        )
        return Response(found.body, found.status, found.header_texts())


def _legend(published: Published, band: str | None) -> dict[str, Any]:
    shape = published.geometry_type if isinstance(published, PublishedTable) else None
    return legend_document(published.layer, published.version, shape, band)


def _ogc_address(path: dict[str, str], *more: str) -> Address:
    if path["tms"] not in TILE_MATRIX_SETS:
        raise no_matrix_set(path["tms"], (*TILE_MATRIX_SETS, *more))
    return parse_address(path["tms"], path["z"], path["col"], path["row"])
