"""The OpenAPI 3.0.3 document (接口定义): our own, complete in itself, true to what each collection has.

pygeoapi's generator leaves references to other hosts, which neither an intranet nor a conformance suite without a network
can follow, and lets free-form parameters pass.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import orjson
from starlette.requests import Request
from starlette.responses import Response

from spatial.ogc.exchange import HTML, OPENAPI, read_call, software_version
from spatial.ogc.openapi_collections import COLLECTION, collection_parameters
from spatial.ogc.openapi_components import components, parameter, ref
from spatial.ogc.openapi_operations import DOCUMENT, get_operation, process_paths, to_openapi30
from spatial.ogc.parameters import DOCUMENT_PARAMETERS, ITEMS_PARAMETERS, property_parameters
from spatial.ogc.queryables import field_schema

if TYPE_CHECKING:
    from spatial.building_block import BuildingBlock
    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["openapi", "openapi_document"]

PROBLEM = "application/problem+json"


def _feature_paths(layer: Layer) -> dict[str, Any]:
    path, title = f"/collections/{layer.id}", layer.display_title()
    fields = {f.name: f for f in layer.fields}
    names = [f.name for f in layer.fields]
    own = [
        parameter(
            name,
            f"{fields[name].title.zh} 等于此值",
            f"{fields[name].title.en} equals this value",
            to_openapi30(field_schema(fields[name])),
        )
        for name in property_parameters(layer)
    ]
    wanted = parameter(
        "properties",
        "返回的字段，逗号分隔",
        "attributes to return, separated by commas",
        {"type": "array", "items": {"type": "string", "enum": names}},
    )
    # Features come in more formats than the documents do.
    own_name = {"f": "f-items"}
    query = [
        wanted if name == "properties" else ref("parameters", own_name.get(name, name)) for name in ITEMS_PARAMETERS
    ]
    item = [ref("parameters", name) for name in ("featureId", "crs", "version", *DOCUMENT_PARAMETERS)]
    return {
        f"{path}/items": {
            "get": get_operation(
                layer.id,
                f"{layer.id}.getFeatures",
                f"{title.zh}：要素",
                f"{title.en}: features",
                "Features",
                [*query, *own],
            )
        },
        f"{path}/items/{{featureId}}": {
            "get": get_operation(
                layer.id, f"{layer.id}.getFeature", f"{title.zh}：单个要素", f"{title.en}: one feature", "Feature", item
            )
        },
    }


def _shared_feature_paths() -> dict[str, Any]:
    """What layers of features have in common."""
    given = [ref("parameters", "vectorCollectionId"), *DOCUMENT]
    return {
        f"{COLLECTION}/queryables": {
            "get": get_operation("collections", "vector.getQueryables", "可查询字段", "Queryables", "Schema", given)
        },
        f"{COLLECTION}/schema/geojson": {
            "get": get_operation(
                "collections",
                "vector.getGeoJSONSchema",
                "要素的 GeoJSON 结构",
                "Schema of a feature as GeoJSON",
                "Schema",
                given,
            )
        },
    }


def _tile_paths(kind: Literal["vector", "map"]) -> dict[str, Any]:
    is_vector = kind == "vector"
    path = f"{COLLECTION}/tiles" if is_vector else f"{COLLECTION}/map/tiles"
    media = ["application/vnd.mapbox-vector-tile"] if is_vector else ["image/png", "image/webp", "image/jpeg"]
    collection = ref("parameters", "vectorCollectionId" if is_vector else "collectionId")
    # Pictures come in more sets than vector tiles do.
    tms = ref("parameters", "tileMatrixSetId" if is_vector else "mapTileMatrixSetId")
    names = ["mvt"] if is_vector else ["png", "webp", "jpg"]
    form = parameter("f", "瓦片格式", "format of the tile", {"type": "string", "enum": names, "default": names[0]})
    zh, en = ("矢量", "Vector") if is_vector else ("地图", "Map")
    name = f"any.collection.{kind}"
    tile = get_operation(
        "tiles",
        f"{name}.getTile",
        f"{zh}瓦片",
        f"{en} tile",
        "TileSet",
        [collection, tms, *(ref("parameters", name) for name in ("tileMatrix", "tileRow", "tileCol")), form],
    )
    binary = {"schema": {"type": "string", "format": "binary"}}
    tile["responses"]["200"] = {"description": "瓦片 / a tile", "content": dict.fromkeys(media, binary)}
    if is_vector:
        tile["responses"]["204"] = ref("responses", "NoTile")
    sets = get_operation("tiles", f"{name}.getTileSetsList", f"{zh}瓦片集", f"{en} tilesets", "TileSets", [collection])
    one = get_operation("tiles", f"{name}.getTileSet", f"{zh}瓦片集", f"{en} tileset", "TileSet", [collection, tms])
    return {
        path: {"get": sets},
        f"{path}/{{tileMatrixSetId}}": {"get": one},
        f"{path}/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}": {"get": tile},
    }


def openapi_document(
    snapshot: Snapshot, base: str, max_page: int, blocks: tuple[BuildingBlock, ...] = ()
) -> dict[str, Any]:
    """OpenAPI document of one catalogue revision."""
    paths: dict[str, Any] = {
        "/": {"get": get_operation("server", "getLandingPage", "服务首页", "Landing page", "LandingPage")},
        "/conformance": {"get": get_operation("server", "getConformance", "符合性声明", "Conformance", "Conformance")},
        "/collections": {"get": get_operation("server", "getCollections", "数据集", "Collections", "Collections")},
    }
    for path, name in (("/openapi", "getOpenAPI"), ("/api", "getOpenAPIAlias")):
        paths[path] = {"get": get_operation("server", name, "接口定义", "The API definition", "OpenAPI")}
    tags = [
        {"name": "server", "description": "服务 / the service"},
        {"name": "processes", "description": "分析处理 / processes"},
        {"name": "jobs", "description": "任务 / jobs"},
        {"name": "collections", "description": "数据集 / collections"},
        {"name": "tiles", "description": "瓦片 / tiles"},
    ]
    collections = collection_parameters(snapshot)
    if "collectionId" in collections:
        given = [ref("parameters", "collectionId"), *DOCUMENT]
        for path, name, zh, en, answer in (
            (COLLECTION, "getCollection", "数据集", "A collection", "Collection"),
            (f"{COLLECTION}/schema", "getSchema", "字段或波段的结构", "Schema of the fields or bands", "Schema"),
        ):
            paths[path] = {"get": get_operation("collections", f"any.{name}", zh, en, answer, given)}
        paths |= _tile_paths("map")
    if "vectorCollectionId" in collections:
        paths |= _shared_feature_paths() | _tile_paths("vector")
    for published in snapshot.current():
        layer = published.layer
        if layer.is_vector:
            title = layer.display_title()
            tags.append({"name": layer.id, "description": f"{title.zh} / {title.en}"})
            paths |= _feature_paths(layer)
    paths["/tileMatrixSets"] = {
        "get": get_operation("tiles", "getTileMatrixSets", "瓦片矩阵集", "Tile matrix sets", "TileMatrixSets", [])
    }
    paths["/tileMatrixSets/{tileMatrixSetId}"] = {
        "get": get_operation(
            "tiles",
            "getTileMatrixSet",
            "瓦片矩阵集",
            "A tile matrix set",
            "TileMatrixSet",
            [ref("parameters", "mapTileMatrixSetId")],
        )
    }
    paths |= process_paths()
    parts = components(max_page)
    parts["parameters"] |= collections
    for block in blocks:
        tags.append({"name": block.name, "description": block.title})
        for path, item in block.paths(snapshot).items():
            paths[path] = paths.get(path, {}) | item
        for section, members in block.components(snapshot).items():
            parts[section] = {**parts.get(section, {}), **members}
    for response in _responses(paths, parts):
        # A browser that asks for a page gets one for an error as well.
        if PROBLEM in response.get("content", {}):
            response["content"] = {**response["content"], HTML: {"schema": {"type": "string"}}}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "湖北一张图 OGC API / OneMap Hubei OGC API",
            "description": "要素、瓦片与分析处理；坐标系 CGCS2000。 / Features, tiles and processes; CGCS2000.",
            "version": software_version(),
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"url": f"{base}/ogc", "description": "本服务 / this service"}],
        "tags": tags,
        "paths": paths,
        "components": parts,
    }


def _responses(paths: dict[str, Any], parts: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from parts["responses"].values()
    for item in paths.values():
        for operation in item.values():
            yield from operation["responses"].values()


@lru_cache(maxsize=8)
def _text(snapshot: _ByRevision, base: str, max_page: int, blocks: tuple[BuildingBlock, ...]) -> bytes:
    return orjson.dumps(openapi_document(snapshot.snapshot, base, max_page, blocks))


class _ByRevision:
    """A snapshot that compares by its owner and revision, so that the document is made once a revision."""

    def __init__(self, datastore: DataStore, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._key = (id(datastore), snapshot.revision)

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByRevision) and self._key == other._key


async def openapi(datastore: DataStore, request: Request) -> Response:
    """``/openapi`` and its alias ``/api``."""
    call = read_call(datastore, request, DOCUMENT_PARAMETERS)
    etag = call.etag("openapi")
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    text = _text(_ByRevision(datastore, call.snapshot), call.base, datastore.settings.max_page, call.blocks)
    if call.format == "html":
        document = orjson.loads(text)

        def resolve(found: dict[str, Any]) -> dict[str, Any]:
            name = found.get("$ref", "").rpartition("/")[2]
            return document["components"]["parameters"][name] if name else found

        return call.page("openapi.html", etag, {"document": document, "resolve": resolve})
    return Response(text, media_type=OPENAPI, headers=call.headers(etag))
