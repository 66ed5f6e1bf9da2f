"""Tiles of the dataset (全库瓦片): several collections in one vector or map tile, and map tiles in our own matrix sets.

``/ogc/tiles/{tms}/…?collections=a,b`` gives one vector tile with a layer a collection, ``/ogc/map/tiles/{tms}/…`` a picture,
the first collection at the bottom; without ``collections`` they show the base map. Map tiles of a collection in the
Gauss–Krüger sets are served here too. Source: OGC 20-057 (OGC API – Tiles – Part 1), 20-058 (Maps), clause 16.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language, Link
from spatial.errors import InvalidParameter, LayerNotFound
from spatial.grid import TILE_MATRIX_SETS, tile_matrix_set
from spatial.store.vector import PublishedTable
from tiles.answers import document_answer
from tiles.custom_sets import CUSTOM_SETS, matrix_set, tile_grid
from tiles.maps.answer import (
    REL,
    base_address,
    conditional,
    document_query,
    map_pool,
    media_type,
    named_headers,
    operation,
    parameter,
    picture_format,
    ref,
)
from tiles.maps.picture import EXTENSIONS, MapLayer, drawn_map
from tiles.maps.query import number, single_query, wrong
from tiles.maps.request import PIXEL_MM, MapRequest, read_background
from tiles.maps.routes import chosen_collections
from tiles.matrix import parse_address, touches
from tiles.metadata import (
    MVT,
    dataset_tileset_document,
    dataset_tilesets_document,
    matrix_set_document,
    require_within_limits,
    tileset_document,
)
from tiles.style_choices import base_layers, layer_style, published

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Published, Snapshot
    from tiles.metadata import TileKind

__all__ = ["DATASET_TILES", "drawn_tile"]

_MVT_MARGIN = 0.1
"""Share of a tile around it in which a feature can still reach in."""
_PICTURE = ("bgcolor", "transparent", "void-color", "void-transparent", "mm-per-pixel", "f")


class _DatasetTiles:
    """The handlers."""

    def __init__(self, datastore: DataStore) -> None:
        self._datastore = datastore

    def _chosen(self, request: Request, text: str | None, kind: TileKind) -> list[Published]:
        snapshot = self._datastore.snapshot()
        found = (
            base_layers(snapshot)
            if text is None
            else chosen_collections(snapshot, text, base_address(self._datastore, request))
        )
        raster = next((p for p in found if not isinstance(p, PublishedTable)), None)
        if kind == "vector" and raster is not None:
            name = raster.layer.id
            raise LayerNotFound(
                f"图层 {name} 是栅格图层，没有矢量瓦片；请用 /ogc/map/tiles",
                f"layer {name} is a raster layer and has no vector tiles; use /ogc/map/tiles",
                layer=name,
            )
        if not found:
            raise InvalidParameter(
                "没有底图图层，请用 collections 指定数据集",
                "there is no base map; name layers by collections",
                parameter="collections",
            )
        return found

    async def vector_tilesets(self, request: Request) -> Response:
        """Vector tile sets of the dataset."""
        return self._tilesets(request, "vector")

    async def map_tilesets(self, request: Request) -> Response:
        """Map tile sets of the dataset."""
        return self._tilesets(request, "map")

    def _tilesets(self, request: Request, kind: TileKind) -> Response:
        query = document_query(request, "collections")
        chosen = self._chosen(request, query.get("collections"), kind)
        base = base_address(self._datastore, request)
        document = dataset_tilesets_document(chosen, _named(query), kind=kind, base=base)
        return document_answer(request, document, *(p.layer for p in chosen))

    async def vector_tileset(self, request: Request) -> Response:
        """One vector tile set of the dataset."""
        tile_matrix_set(request.path_params["tms"])
        return self._tileset(request, "vector")

    async def map_tileset(self, request: Request) -> Response:
        """One map tile set of the dataset."""
        matrix_set(request.path_params["tms"])
        return self._tileset(request, "map")

    def _tileset(self, request: Request, kind: TileKind) -> Response:
        query = document_query(request, "collections")
        chosen = self._chosen(request, query.get("collections"), kind)
        document = dataset_tileset_document(
            chosen,
            _named(query),
            tms=request.path_params["tms"],
            kind=kind,
            base=base_address(self._datastore, request),
        )
        return document_answer(request, document, *(p.layer for p in chosen))

    async def vector_tile(self, request: Request) -> Response:
        """One vector tile with a layer a collection."""
        query = single_query(request, ("collections", "f"))
        if query.get("f", "mvt") not in {"mvt", "pbf", MVT}:
            raise wrong("f", query["f"], " mvt", "mvt")
        path = request.path_params
        tile_matrix_set(path["tms"])
        address = parse_address(path["tms"], path["z"], path["col"], path["row"])
        chosen = self._chosen(request, query.get("collections"), "vector")
        require_within_limits(chosen, path["tms"], path["z"], path["row"], path["col"])
        headers = named_headers([p.layer for p in chosen], ["tile", *_versions(chosen), *address])
        unchanged = conditional(request, headers)
        if unchanged is not None:
            return unchanged
        near = [p for p in chosen if isinstance(p, PublishedTable) and touches(address, p.extent, _MVT_MARGIN)]
        # Vector tiles are messages of one repeated field: put one behind the other they are one tile.
        parts = await asyncio.gather(*(self._datastore.vectors.atile(p, *address) for p in near))
        body = b"".join(parts)
        if not body:
            return Response(status_code=204, headers=headers)
        return Response(body, media_type=MVT, headers=headers)

    async def map_tile(self, request: Request) -> Response:
        """One map tile of several collections."""
        query = single_query(request, ("collections", *_PICTURE))
        chosen = self._chosen(request, query.get("collections"), "map")
        path = request.path_params
        tile_grid(path["tms"], path["z"], path["col"], path["row"])  # numbers, inside the matrix
        require_within_limits(chosen, path["tms"], path["z"], path["row"], path["col"])
        return await self._drawn(request, [MapLayer(p) for p in chosen], request.path_params["tms"], query)

    async def collection_map_tile(self, request: Request, tms: str) -> Response:
        """One map tile of a collection in a matrix set of our own."""
        query = single_query(request, ("version", "band", *_PICTURE))
        found = published(self._datastore.snapshot(), request.path_params["layer"], query.get("version"))
        band = layer_style(found, query["band"]).band if "band" in query else None
        return await self._drawn(request, [MapLayer(found, band)], tms, query)

    async def collection_map_tileset(self, request: Request, tms: str) -> Response:
        """One map tile set of a collection in a matrix set of our own."""
        query = document_query(request, "version")
        found = published(self._datastore.snapshot(), request.path_params["layer"], query.get("version"))
        document = tileset_document(found, tms=tms, kind="map", base=base_address(self._datastore, request))
        return document_answer(request, document, found.layer)

    async def definition(self, request: Request, tms: str) -> Response:
        """Definition of a matrix set of our own."""
        document_query(request)
        return document_answer(request, matrix_set_document(tms))

    async def _drawn(self, request: Request, layers: Sequence[MapLayer], tms: str, query: dict[str, str]) -> Response:
        path = request.path_params
        ext = picture_format(request, query.get("f"))
        place = (path["z"], path["row"], path["col"])
        found = await drawn_tile(self._datastore, request, layers, tms, place, ext, query)
        found.headers["Vary"] = "Accept"
        return found


async def drawn_tile(
    datastore: DataStore,
    request: Request,
    layers: Sequence[MapLayer],
    tms: str,
    place: tuple[str, str, str],
    ext: str,
    query: dict[str, str],
) -> Response:
    """A tile drawn as a map: layers from below, matrix set, matrix, row and column, file ending, look of the picture."""
    z, row, col = place
    grid = tile_grid(tms, z, col, row)
    mm = number(query["mm-per-pixel"], "mm-per-pixel") if "mm-per-pixel" in query else PIXEL_MM
    if not 0.01 <= mm <= 10:
        raise wrong("mm-per-pixel", query["mm-per-pixel"], " 0.01–10", "0.01 to 10")
    wanted = MapRequest(grid, read_background(query), None, PIXEL_MM / mm)
    drawn = [m.published for m in layers]
    parts = [[m.band, p.layer.style] for m, p in zip(layers, drawn, strict=True)]
    headers = named_headers([p.layer for p in drawn], ["map tile", *_versions(drawn), parts, repr(wanted), ext])
    unchanged = conditional(request, headers)
    if unchanged is not None:
        return unchanged
    boxes = grid.geographic_boxes(32)
    near = [m for m in layers if any(_meet(box, m.published.extent) for box in boxes)]
    body = await drawn_map(datastore, map_pool(datastore), near, wanted, ext)
    return Response(body, media_type=media_type(ext), headers=headers)


def _named(query: dict[str, str]) -> str:
    return f"collections={query['collections']}" if "collections" in query else ""


def _versions(chosen: Sequence[Published]) -> list[str]:
    return [f"{p.layer.id} {p.version}" for p in chosen]


def _meet(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] <= other[2] and one[2] >= other[0] and one[1] <= other[3] and one[3] >= other[1]


def _routes(datastore: DataStore) -> list[Route]:
    service = _DatasetTiles(datastore)
    table: dict[str, Any] = {
        "/ogc/tiles": service.vector_tilesets,
        "/ogc/tiles/{tms}": service.vector_tileset,
        "/ogc/tiles/{tms}/{z}/{row}/{col}": service.vector_tile,
        "/ogc/map/tiles": service.map_tilesets,
        "/ogc/map/tiles/{tms}": service.map_tileset,
        "/ogc/map/tiles/{tms}/{z}/{row}/{col}": service.map_tile,
    }
    for tms in CUSTOM_SETS:
        ogc = f"/ogc/collections/{{layer}}/map/tiles/{tms}"
        table[f"{ogc}/{{z}}/{{row}}/{{col}}"] = _of_set(service.collection_map_tile, tms)
        table[ogc] = _of_set(service.collection_map_tileset, tms)
        table[f"/ogc/tileMatrixSets/{tms}"] = _of_set(service.definition, tms)
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in table.items()]


def _of_set(handler: Any, tms: str) -> Any:
    async def endpoint(request: Request) -> Response:
        found: Response = await handler(request, tms)
        return found

    return endpoint


# --- documents ------------------------------------------------------------------------------------------------------------


def _paths(snapshot: Snapshot) -> dict[str, Any]:
    collections = ref("parameters", "map-collections")
    place = [ref("parameters", name) for name in ("tileMatrix", "tileRow", "tileCol")]
    document = [
        parameter("f", "格式", "format", {"type": "string", "enum": ["json", "html"]}),
        ref("parameters", "lang"),
    ]
    binary = {"type": "string", "format": "binary"}
    found: dict[str, Any] = {}
    for kind, path, names in (
        ("vector", "/tiles", list(TILE_MATRIX_SETS)),
        ("map", "/map/tiles", [*TILE_MATRIX_SETS, *CUSTOM_SETS]),
    ):
        tms = parameter(
            "tileMatrixSetId", "瓦片矩阵集", "tile matrix set", {"type": "string", "enum": names}, place="path"
        )
        word = "矢量" if kind == "vector" else "地图"
        list_of = {"application/json": ref("schemas", "tileSets"), "text/html": {"type": "string"}}
        one_of = {"application/json": ref("schemas", "tileSet"), "text/html": {"type": "string"}}
        name = f"dataset.{kind}"
        further = (
            [parameter("f", "格式", "format", {"type": "string", "enum": ["mvt"]})]
            if kind == "vector"
            else [ref("parameters", f"map-{p}") for p in _PICTURE]
        )
        content = {MVT: binary} if kind == "vector" else dict.fromkeys(EXTENSIONS.values(), binary)
        found |= {
            path: {
                "get": operation(
                    "Tiles",
                    f"{name}.getTileSetsList",
                    f"{word}瓦片集",
                    f"{kind} tilesets",
                    [collections, *document],
                    list_of,
                )
            },
            f"{path}/{{tileMatrixSetId}}": {
                "get": operation(
                    "Tiles",
                    f"{name}.getTileSet",
                    f"{word}瓦片集",
                    f"{kind} tileset",
                    [tms, collections, *document],
                    one_of,
                )
            },
            f"{path}/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}": {
                "get": operation(
                    "Tiles",
                    f"{name}.getTile",
                    f"{word}瓦片",
                    f"{kind} tile",
                    [tms, *place, collections, *further],
                    content,
                    empty=kind == "vector",
                )
            },
        }
    return found


def _components(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    sets = {"type": "string", "enum": [*TILE_MATRIX_SETS, *CUSTOM_SETS]}
    return {
        "parameters": {
            "mapTileMatrixSetId": parameter("tileMatrixSetId", "瓦片矩阵集", "tile matrix set", sets, place="path")
        }
    }


def _landing_links(base: str, language: Language) -> list[Link]:
    zh = language == "zh"
    return [
        {
            "href": f"{base}/ogc/tiles",
            "rel": f"{REL}/tilesets-vector",
            "type": "application/json",
            "title": "矢量瓦片集" if zh else "Vector tilesets",
        },
        {
            "href": f"{base}/ogc/map/tiles",
            "rel": f"{REL}/tilesets-map",
            "type": "application/json",
            "title": "地图瓦片集" if zh else "Map tilesets",
        },
    ]


def _collection(base: str, language: Language, found: Published) -> dict[str, Any]:
    if not found.layer.is_vector:
        return {}  # a raster collection has this link already
    text = "地图瓦片集" if language == "zh" else "Map tilesets"
    href = f"{base}/ogc/collections/{found.layer.id}/map/tiles"
    return {"links": [{"href": href, "rel": f"{REL}/tilesets-map", "type": "application/json", "title": text}]}


DATASET_TILES = BuildingBlock(
    name="Tiles",
    title="全库瓦片 / tiles of the dataset",
    conformance=(
        *(
            f"http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/{name}"
            for name in ("dataset-tilesets", "collections-selection", "jpeg", "oas30")
        ),
    ),
    routes=_routes,
    paths=_paths,
    components=_components,
    landing_links=_landing_links,
    collection=_collection,
)
"""OGC API Tiles of the dataset: what it adds to the documents of the server."""
