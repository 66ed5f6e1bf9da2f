"""OGC API Maps (地图): pictures of a collection, of a style, and of several collections at once.

Addresses: ``/ogc/collections/{id}/map``, ``/ogc/collections/{id}/styles/{style}/map``, ``/ogc/map?collections=a,b`` and
``/ogc/styles/{style}/map``. Source: OGC 20-058.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language, Link
from spatial.crs import CRS84, SERVED, STORAGE
from spatial.errors import InvalidParameter
from spatial.rfc3339 import DESCRIPTION
from spatial.store.vector import PublishedTable
from tiles.maps.answer import (
    REL,
    base_address,
    conditional,
    map_pool,
    media_type,
    named_headers,
    operation,
    parameter,
    picture_format,
    ref,
)
from tiles.maps.grid import Extent
from tiles.maps.picture import EXTENSIONS, MapLayer, drawn_map
from tiles.maps.query import single_query
from tiles.maps.request import MAP_PARAMETERS, MOST_SIDE, MapRequest, read_map
from tiles.style_choices import base_layers, dataset_style, dataset_styles, layer_style, published

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Published, Snapshot

__all__ = ["MAPS", "MOST_COLLECTIONS", "chosen_collections", "map_response"]

MOST_COLLECTIONS = 20
"""Most collections in one map."""


def chosen_collections(snapshot: Snapshot, text: str, base: str) -> list[Published]:
    """Layers of a ``collections`` parameter, in its order: ids, or addresses of collections of this server.

    Raises
    ------
    InvalidParameter
        Empty, one of them twice, or more than are drawn at once.
    LayerNotFound, LayerNotPublished
    """
    prefix = f"{base}/ogc/collections/"
    names = [name.strip().removeprefix(prefix).rstrip("/") for name in text.split(",")]
    if not all(names) or len(set(names)) < len(names) or len(names) > MOST_COLLECTIONS:
        raise InvalidParameter(
            f"collections 应为以逗号分隔、互不相同的 1–{MOST_COLLECTIONS} 个数据集编号，收到 {text[:80]!r}",
            f"collections must be 1 to {MOST_COLLECTIONS} different ids separated by commas, got {text[:80]!r}",
            parameter="collections",
        )
    return [published(snapshot, name) for name in names]


def union(extents: Sequence[Extent]) -> Extent:
    """Smallest extent that holds all."""
    return (
        min(e[0] for e in extents),
        min(e[1] for e in extents),
        max(e[2] for e in extents),
        max(e[3] for e in extents),
    )


async def map_response(
    datastore: DataStore, request: Request, layers: Sequence[MapLayer], query: Mapping[str, str]
) -> Response:
    """Map of some layers with the headers that the standard asks for."""
    ext = picture_format(request, query.get("f"))
    spans = [
        p.time_extent for m in layers if isinstance(p := m.published, PublishedTable) and p.time_extent is not None
    ]
    latest = max((span[1] for span in spans), default=None)
    wanted = read_map(query, union([m.published.extent for m in layers]), latest)
    headers = _headers(layers, wanted, ext, spans)
    unchanged = conditional(request, headers)
    if unchanged is not None:
        return unchanged
    body = await drawn_map(datastore, map_pool(datastore), layers, wanted, ext)
    return Response(body, media_type=media_type(ext), headers=headers)


def _headers(
    layers: Sequence[MapLayer], wanted: MapRequest, ext: str, spans: Sequence[tuple[datetime, datetime]]
) -> dict[str, str]:
    drawn = [m.published for m in layers]
    parts = [[p.layer.id, p.version, p.layer.style, m.band] for p, m in zip(drawn, layers, strict=True)]
    found = named_headers([p.layer for p in drawn], ["map", parts, repr(wanted), ext])
    crs = wanted.grid.crs
    if crs is not CRS84:
        found["Content-Crs"] = f"<{crs.uri}>"
    found["Content-Bbox"] = wanted.grid.wire_extent()
    if spans:
        start, end = min(s[0] for s in spans), max(s[1] for s in spans)
        if wanted.interval is not None:
            start, end = max(start, wanted.interval.start or start), min(end, wanted.interval.end or end)
        if start <= end:
            found["Content-Datetime"] = _instant(start) if start == end else f"{_instant(start)}/{_instant(end)}"
    found["Vary"] = "Accept"
    return found


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _routes(datastore: DataStore) -> list[Route]:
    async def collection_map(request: Request) -> Response:
        query = single_query(request, (*MAP_PARAMETERS, "version"), ("subset",))
        found = published(datastore.snapshot(), request.path_params["layer"], query.get("version"))
        return await map_response(datastore, request, [MapLayer(found)], query)

    async def styled_map(request: Request) -> Response:
        query = single_query(request, (*MAP_PARAMETERS, "version"), ("subset",))
        found = published(datastore.snapshot(), request.path_params["layer"], query.get("version"))
        choice = layer_style(found, request.path_params["style"])
        return await map_response(datastore, request, [MapLayer(found, choice.band)], query)

    async def dataset_map(request: Request) -> Response:
        query = single_query(request, (*MAP_PARAMETERS, "collections"), ("subset",))
        snapshot = datastore.snapshot()
        if "collections" in query:
            chosen = chosen_collections(snapshot, query["collections"], base_address(datastore, request))
        else:
            chosen = base_layers(snapshot)
        return await map_response(datastore, request, [MapLayer(p) for p in _some(chosen)], query)

    async def styled_dataset_map(request: Request) -> Response:
        query = single_query(request, MAP_PARAMETERS, ("subset",))
        choice = dataset_style(datastore.snapshot(), request.path_params["style"])
        return await map_response(datastore, request, [MapLayer(p) for p in choice.layers], query)

    ogc = "/ogc/collections/{layer}"
    table = {
        f"{ogc}/map": collection_map,
        f"{ogc}/styles/{{style}}/map": styled_map,
        "/ogc/map": dataset_map,
        "/ogc/styles/{style}/map": styled_dataset_map,
    }
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in table.items()]


def _some(layers: Sequence[Published]) -> Sequence[Published]:
    if not layers:
        raise InvalidParameter(
            "没有可画的底图图层，请用 collections 指定数据集",
            "there is no base map to draw; name layers by collections",
            parameter="collections",
        )
    return layers


# --- documents ------------------------------------------------------------------------------------------------------------

_BINARY = {"type": "string", "format": "binary"}
_CONTENT = dict.fromkeys(EXTENSIONS.values(), _BINARY)
_HEADERS = {
    "Content-Crs": "地图的坐标系 / CRS of the map",
    "Content-Bbox": "地图的实际范围，按坐标系轴序 / extent of the map in the axis order of its CRS",
    "Content-Datetime": "地图的时间 / time of the map",
}


def _components(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    crs = {"type": "string", "enum": list(SERVED)}
    side = {"type": "integer", "minimum": 1, "maximum": MOST_SIDE}
    box = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}
    positive = {"type": "number", "minimum": 0, "exclusiveMinimum": True}
    colour = {"type": "string", "example": "0xFFFFFF"}
    flag = {"type": "boolean"}
    known = [
        parameter("bbox", "范围；轴序见 bbox-crs", "extent; axis order of bbox-crs", box),
        parameter("bbox-crs", "bbox 的坐标系，默认 CRS84", "CRS of bbox, default CRS84", crs | {"default": CRS84.uri}),
        parameter("crs", "地图的坐标系，默认 EPSG:4490", "CRS of the map", crs | {"default": STORAGE.uri}),
        parameter("center", "地图中心", "centre of the map", box | {"minItems": 2, "maxItems": 2}),
        parameter("center-crs", "center 的坐标系", "CRS of center", crs | {"default": CRS84.uri}),
        parameter(
            "subset",
            "按轴裁切，如 Lat(30:31),Lon(114:115)",
            "subset by axes, such as Lat(30:31),Lon(114:115)",
            {"type": "array", "items": {"type": "string"}, "example": ["Lat(30:31)", "Lon(114:115)"]},
        ),
        parameter("subset-crs", "subset 的坐标系", "CRS of subset", crs | {"default": CRS84.uri}),
        parameter("width", "宽（像素）", "width in pixels", side),
        parameter("height", "高（像素）", "height in pixels", side),
        parameter("scale-denominator", "比例尺分母", "scale denominator", positive),
        parameter(
            "mm-per-pixel",
            "像素大小（毫米）",
            "size of a pixel, mm",
            {"type": "number", "minimum": 0.01, "maximum": 10, "default": 0.28},
        ),
        parameter("bgcolor", "底色", "background colour", colour),
        parameter("transparent", "底色透明；有 bgcolor 时默认 false", "clear background; false with bgcolor", flag),
        parameter("void-color", "坐标系范围外的颜色", "colour outside the area of the CRS", colour),
        parameter("void-transparent", "坐标系范围外透明", "clear outside the area of the CRS", flag),
        parameter(
            "datetime",
            f"{DESCRIPTION[0]}；也可只写年或年月",
            f"{DESCRIPTION[1]}; also a year or month",
            {"type": "string"},
        ),
        parameter("f", "格式", "format", {"type": "string", "enum": ["png", "webp", "jpeg"]}),
        parameter(
            "collections",
            "数据集，先画者在下",
            "collections, the first at the bottom",
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": MOST_COLLECTIONS},
        ),
        parameter("version", "数据版本", "version of the data", {"type": "string"}),
    ]
    return {"parameters": {f"map-{p['name']}": p for p in known}}


def _parameters(*more: str) -> list[Any]:
    return [ref("parameters", f"map-{name}") for name in (*MAP_PARAMETERS, *more)]


def _paths(snapshot: Snapshot) -> dict[str, Any]:
    def drawn(tag: str, name: str, zh: str, en: str, parameters: list[Any]) -> dict[str, Any]:
        return {"get": operation(tag, name, zh, en, parameters, _CONTENT, headers=_HEADERS)}

    found: dict[str, Any] = {
        "/map": drawn(
            "Maps", "dataset.getMap", "多个数据集的地图", "Map of several collections", _parameters("collections")
        ),
        "/styles/{styleId}/map": drawn(
            "Maps",
            "dataset.style.getMap",
            "按样式的地图",
            "Map in a style",
            [
                *_parameters(),
                parameter(
                    "styleId",
                    "样式",
                    "style",
                    {"type": "string", "enum": [c.id for c in dataset_styles(snapshot)]},
                    place="path",
                ),
            ],
        ),
    }
    if snapshot.layers():
        collection = ref("parameters", "collectionId")
        found["/collections/{collectionId}/map"] = drawn(
            "Maps",
            "collection.getMap",
            "一个数据集的地图",
            "Map of a collection",
            [collection, *_parameters("version")],
        )
        found["/collections/{collectionId}/styles/{styleId}/map"] = drawn(
            "Maps",
            "collection.style.getMap",
            "按样式画的一个数据集的地图",
            "Map of a collection in a style",
            [collection, *_parameters("version"), ref("parameters", "styleId")],
        )
    return found


def _landing_links(base: str, language: Language) -> list[Link]:
    text = "地图（底图）" if language == "zh" else "Map (base map)"
    return [{"href": f"{base}/ogc/map", "rel": f"{REL}/map", "type": "image/png", "title": text}]


def _landing(snapshot: Snapshot) -> dict[str, Any]:
    """Extent and coordinate reference systems of the dataset as a whole."""
    extents = [published.extent for published in snapshot.current()]
    members: dict[str, Any] = {"crs": list(SERVED), "storageCrs": STORAGE.uri}
    if extents:
        west, south, east, north = union(extents)
        box = {"bbox": [[west, south, east, north]], "crs": CRS84.uri, "storageCrsBbox": [[south, west, north, east]]}
        members["extent"] = {"spatial": box}
    return members


def _collection(base: str, language: Language, found: Published) -> dict[str, Any]:
    path = f"{base}/ogc/collections/{found.layer.id}/map"
    links = [
        {
            # Plain for PNG: GDAL puts its own parameters behind the address.
            "href": path if kind == "png" else f"{path}?f={kind}",
            "rel": f"{REL}/map",
            "type": f"image/{kind}",
            "title": f"{'地图' if language == 'zh' else 'Map'} ({kind.upper()})",
        }
        for kind in ("png", "webp", "jpeg")
    ]
    added: dict[str, Any] = {"links": links}
    if not found.layer.is_vector:
        added |= {"crs": list(SERVED), "storageCrs": STORAGE.uri}
    return added


_SPEC = "http://www.opengis.net/spec/ogcapi-maps-1/1.0/conf"
MAPS = BuildingBlock(
    name="Maps",
    title="地图 / maps",
    conformance=tuple(
        f"{_SPEC}/{name}"
        for name in (
            "core",
            "collection-map",
            "dataset-map",
            "styled-map",
            "background",
            "collections-selection",
            "scaling",
            "display-resolution",
            "spatial-subsetting",
            "datetime",
            "crs",
            "png",
            "jpeg",
            "api-operations",
        )
    ),
    routes=_routes,
    paths=_paths,
    components=_components,
    landing_links=_landing_links,
    landing=_landing,
    collection=_collection,
)
"""OGC API Maps: what it adds to the documents of the server."""
