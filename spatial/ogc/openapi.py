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
from spatial.ogc.openapi_components import components, parameter, ref
from spatial.ogc.openapi_operations import get_operation, process_paths, to_openapi30
from spatial.ogc.parameters import DOCUMENT_PARAMETERS, ITEMS_PARAMETERS, property_parameters
from spatial.ogc.queryables import field_schema

if TYPE_CHECKING:
    from spatial.building_block import BuildingBlock
    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore, Published, Snapshot

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
        f"{path}/queryables": {
            "get": get_operation(
                layer.id, f"{layer.id}.getQueryables", f"{title.zh}：可查询字段", f"{title.en}: queryables", "Schema"
            )
        },
        f"{path}/schema": {
            "get": get_operation(
                layer.id, f"{layer.id}.getSchema", f"{title.zh}：字段结构", f"{title.en}: schema", "Schema"
            )
        },
        f"{path}/schema/geojson": {
            "get": get_operation(
                layer.id,
                f"{layer.id}.getGeoJSONSchema",
                f"{title.zh}：要素的 GeoJSON 结构",
                f"{title.en}: schema of a feature as GeoJSON",
                "Schema",
            )
        },
    }


def _tile_paths(layer: Layer, kind: Literal["vector", "map"]) -> dict[str, Any]:
    is_vector = kind == "vector"
    path = f"/collections/{layer.id}/tiles" if is_vector else f"/collections/{layer.id}/map/tiles"
    media = ["application/vnd.mapbox-vector-tile"] if is_vector else ["image/png", "image/webp", "image/jpeg"]
    title = layer.display_title()
    # Pictures come in more sets than vector tiles do.
    tms = ref("parameters", "tileMatrixSetId" if is_vector else "mapTileMatrixSetId")
    names = ["mvt"] if is_vector else ["png", "webp", "jpg"]
    form = parameter("f", "瓦片格式", "format of the tile", {"type": "string", "enum": names, "default": names[0]})
    tile = get_operation(
        layer.id,
        f"{layer.id}.collection.{kind}.getTile",
        f"{title.zh}：瓦片",
        f"{title.en}: tile",
        "TileSet",
        [tms, *(ref("parameters", name) for name in ("tileMatrix", "tileRow", "tileCol")), form],
    )
    binary = {"schema": {"type": "string", "format": "binary"}}
    tile["responses"]["200"] = {"description": "瓦片 / a tile", "content": dict.fromkeys(media, binary)}
    if is_vector:
        tile["responses"]["204"] = ref("responses", "NoTile")
    return {
        path: {
            "get": get_operation(
                layer.id,
                f"{layer.id}.collection.{kind}.getTileSetsList",
                f"{title.zh}：瓦片集",
                f"{title.en}: tilesets",
                "TileSets",
                [],
            )
        },
        f"{path}/{{tileMatrixSetId}}": {
            "get": get_operation(
                layer.id,
                f"{layer.id}.collection.{kind}.getTileSet",
                f"{title.zh}：瓦片集",
                f"{title.en}: tileset",
                "TileSet",
                [tms],
            )
        },
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
        {"name": "tiles", "description": "瓦片 / tiles"},
    ]
    for layer in snapshot.layers():
        published: Published | None = snapshot.published(layer.id)
        if published is None:
            continue
        layer = published.layer
        title = layer.display_title()
        tags.append({"name": layer.id, "description": f"{title.zh} / {title.en}"})
        paths[f"/collections/{layer.id}"] = {
            "get": get_operation(layer.id, f"{layer.id}.getCollection", title.zh, title.en, "Collection")
        }
        if layer.is_vector:
            paths |= _feature_paths(layer) | _tile_paths(layer, "vector")
        paths |= _tile_paths(layer, "map")
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
