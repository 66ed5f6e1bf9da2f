"""OGC API Styles (样式): the styles of the dataset and of each collection, in four encodings, with metadata and legend.

``f=mapbox`` (MapLibre style JSON on our own tiles), ``f=sld11`` (SLD 1.1), ``f=qml`` (QGIS, of a single layer) and
``f=json`` (our own style block, as in the layer YAML). Source: OGC 20-009 (OGC API – Styles, draft), core, mapbox-style and
sld-11.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language, Link
from spatial.errors import InvalidParameter, NotAcceptable
from spatial.pages.page import weighted
from spatial.store.vector import PublishedTable
from tiles.answers import document_answer
from tiles.legend import legend_document, legend_picture
from tiles.maplibre import maplibre_style
from tiles.maps.answer import (
    REL,
    base_address,
    conditional,
    document_query,
    language_of,
    link,
    named_headers,
    operation,
    parameter,
    ref,
    said,
)
from tiles.maps.query import single_query
from tiles.qml import qml_document
from tiles.sld import sld_document
from tiles.style_choices import (
    DEFAULT,
    StyleChoice,
    dataset_style,
    dataset_styles,
    layer_style,
    layer_styles,
    published,
)

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Published, Snapshot

__all__ = ["ENCODINGS", "STYLES"]

MAPBOX = "application/vnd.mapbox.style+json"
SLD = "application/vnd.ogc.sld+xml;version=1.1"
QML = "application/vnd.qgis.qml"
JSON = "application/json"
ENCODINGS: dict[str, str] = {"mapbox": MAPBOX, "sld11": SLD, "qml": QML, "json": JSON}
"""Name of an encoding, as ``f`` has it → media type."""
_NAMES = {"maplibre": "mapbox", "sld": "sld11", "qgis": "qml", **{name: name for name in ENCODINGS}}
_TITLES = {"mapbox": "MapLibre / Mapbox style", "sld11": "SLD 1.1", "qml": "QGIS QML", "json": "OneMap style"}
_VERSIONS = {"mapbox": "8", "sld11": "1.1.0", "qml": "3.22", "json": "1"}


def _encodings(choice: StyleChoice) -> dict[str, str]:
    """Encodings of a style; a file of QGIS holds one layer."""
    return {name: media for name, media in ENCODINGS.items() if name != "qml" or len(choice.layers) == 1}


def _encoding(request: Request, wanted: str | None, offered: dict[str, str]) -> str:
    """Encoding of a stylesheet: ``f``, else the best of ``Accept`` (any JSON: MapLibre), else MapLibre."""
    if wanted is not None:
        found = _NAMES.get(wanted.lower()) or next(
            (k for k, v in offered.items() if v.partition(";")[0] == wanted.replace(" ", "+").partition(";")[0]), None
        )
        if found is not None and found not in offered:
            raise InvalidParameter(
                "QGIS 样式文件（f=qml）只含一个图层；请逐个图层取 /ogc/collections/{图层}/styles/default?f=qml",
                "a QGIS style (f=qml) holds one layer; get /ogc/collections/{layer}/styles/default?f=qml of each layer",
                parameter="f",
                allowed=list(offered),
            )
        if found is None:
            raise InvalidParameter(
                f"参数 f 的值 {wanted[:60]!r} 无效，可用：{'、'.join(offered)}",
                f"f: {wanted[:60]!r} is not one of {', '.join(offered)}",
                parameter="f",
                allowed=list(offered),
            )
        return found
    for kind in weighted(request.headers.get("accept", "*/*") or "*/*"):
        # MapLibre asks for a style as application/json; our own encoding is had by ``f=json``.
        if kind in {"*/*", "application/*", JSON}:
            return "mapbox"
        for name, media in offered.items():
            if kind == media.partition(";")[0]:
                return name
        if kind in {"application/xml", "text/xml"}:
            return "sld11"
    raise NotAcceptable(
        f"样式的编码为 {'、'.join(offered.values())}；请改 Accept 或用 ?f=mapbox",
        f"styles are served as {', '.join(offered.values())}; change Accept or use ?f=mapbox",
        allowed=list(offered.values()),
    )


class _StyleService:
    """The handlers of the styles of one base resource after the other."""

    def __init__(self, datastore: DataStore) -> None:
        self._datastore = datastore

    async def collection_styles(self, request: Request) -> Response:
        """Styles of a collection."""
        found = published(self._datastore.snapshot(), request.path_params["layer"])
        return self._list(request, layer_styles(found), f"/ogc/collections/{found.layer.id}")

    async def dataset_styles(self, request: Request) -> Response:
        """Styles of the dataset."""
        return self._list(request, dataset_styles(self._datastore.snapshot()), "/ogc")

    async def collection_style(self, request: Request) -> Response:
        """A stylesheet of a collection."""
        found = published(self._datastore.snapshot(), request.path_params["layer"])
        return self._stylesheet(request, layer_style(found, request.path_params["style"]))

    async def dataset_style(self, request: Request) -> Response:
        """A stylesheet of the dataset."""
        return self._stylesheet(request, dataset_style(self._datastore.snapshot(), request.path_params["style"]))

    async def collection_metadata(self, request: Request) -> Response:
        """Metadata of a style of a collection."""
        found = published(self._datastore.snapshot(), request.path_params["layer"])
        choice = layer_style(found, request.path_params["style"])
        return self._metadata(request, choice, f"/ogc/collections/{found.layer.id}")

    async def dataset_metadata(self, request: Request) -> Response:
        """Metadata of a style of the dataset."""
        choice = dataset_style(self._datastore.snapshot(), request.path_params["style"])
        return self._metadata(request, choice, "/ogc")

    async def legend(self, request: Request) -> Response:
        """Legend picture of a style of a collection."""
        query = single_query(request, ("f", "lang"))
        if query.get("f", "png") not in {"png", "image/png"}:
            raise InvalidParameter("图例只有 f=png", "legends are served as f=png", parameter="f", allowed=["png"])
        found = published(self._datastore.snapshot(), request.path_params["layer"])
        choice = layer_style(found, request.path_params["style"])
        language = language_of(request, query.get("lang"))
        headers = named_headers([found.layer], ["legend", found.version, found.layer.style, choice.id, language])
        headers["Vary"] = "Accept-Language"
        unchanged = conditional(request, headers)
        if unchanged is not None:
            return unchanged
        shape = found.geometry_type if isinstance(found, PublishedTable) else None
        document = legend_document(found.layer, found.version, shape, choice.band)
        body = await asyncio.to_thread(legend_picture, document, language)
        return Response(body, media_type="image/png", headers=headers)

    def _list(self, request: Request, choices: list[StyleChoice], parent: str) -> Response:
        query = document_query(request)
        language = language_of(request, query.get("lang"))
        base = base_address(self._datastore, request)
        path = f"{base}{parent}/styles"
        document: dict[str, Any] = {
            "styles": [
                {
                    "id": c.id,
                    "title": said(c.title, language),
                    "links": _style_links(base, f"{path}/{c.id}", c, collection=parent != "/ogc"),
                }
                for c in choices
            ],
            "links": [
                link(path, "self", JSON, "This document"),
                link(f"{base}{parent}", "up", JSON, "数据集" if language == "zh" else "Base resource"),
            ],
        }
        if any(c.id == DEFAULT for c in choices):
            document["default"] = DEFAULT
        return document_answer(request, document, *(p.layer for c in choices for p in c.layers))

    def _stylesheet(self, request: Request, choice: StyleChoice) -> Response:
        query = single_query(request, ("f",))
        encoding = _encoding(request, query.get("f"), _encodings(choice))
        if encoding == "mapbox":
            body = orjson.dumps(maplibre_style(choice, base_address(self._datastore, request)))
        elif encoding == "sld11":
            body = sld_document(choice)
        elif encoding == "qml":
            body = qml_document(choice)
        else:
            body = orjson.dumps(_own_style(choice))
        headers = named_headers([p.layer for p in choice.layers], [encoding, body.decode()])
        headers["Vary"] = "Accept"
        kind = ENCODINGS[encoding]
        return conditional(request, headers) or Response(body, media_type=kind, headers=headers)

    def _metadata(self, request: Request, choice: StyleChoice, parent: str) -> Response:
        query = document_query(request)
        language = language_of(request, query.get("lang"))
        base = base_address(self._datastore, request)
        path = f"{base}{parent}/styles/{choice.id}"
        document = {
            "id": choice.id,
            "title": said(choice.title, language),
            "description": said(choice.description, language),
            "keywords": sorted({word for p in choice.layers for word in p.layer.keywords}),
            "license": "; ".join(dict.fromkeys(p.layer.source.licence for p in choice.layers)),
            "scope": "style",
            "version": "; ".join(f"{p.layer.id} {p.version}" for p in choice.layers),
            "synthetic": choice.synthetic,
            "stylesheets": [
                {
                    "title": _TITLES[name],
                    "version": _VERSIONS[name],
                    "specification": {
                        "mapbox": "https://maplibre.org/maplibre-style-spec/",
                        "sld11": "https://www.ogc.org/standard/sld/",
                        "qml": "https://docs.qgis.org/3.22/en/docs/user_manual/appendices/qgis_file_formats.html",
                        "json": f"{base}/ogc/openapi",
                    }[name],
                    "native": name == "json",
                    "tilingScheme": "WebMercatorQuad" if name == "mapbox" else None,
                    "link": link(f"{path}?f={name}", "stylesheet", media, _TITLES[name]),
                }
                for name, media in _encodings(choice).items()
            ],
            "layers": [_layer_metadata(base, p) for p in choice.layers],
            "links": [
                link(f"{path}/metadata", "self", JSON, "This document"),
                *_style_links(base, path, choice, collection=parent != "/ogc")[len(_encodings(choice)) + 1 :],
            ],
        }
        return document_answer(request, document, *(p.layer for p in choice.layers))


def _style_links(base: str, path: str, choice: StyleChoice, *, collection: bool) -> list[dict[str, Any]]:
    sheets = _encodings(choice).items()
    links = [link(f"{path}?f={name}", "stylesheet", media, _TITLES[name]) for name, media in sheets]
    links.append(link(f"{path}/metadata", "describedby", JSON, "样式元数据 / style metadata"))
    links.append(link(f"{path}/map", f"{REL}/map", "image/png", "地图 / map"))
    links.append(link(f"{path}/map?width=256", "preview", "image/png", "缩略图 / thumbnail"))
    if collection:
        links.append(link(f"{path}/legend", f"{REL}/legend", "image/png", "图例 / legend"))
    elif len(choice.layers) == 1:
        own = choice.layers[0].layer.id
        address = f"{base}/ogc/collections/{own}/styles/{DEFAULT}/legend"
        links.append(link(address, f"{REL}/legend", "image/png", "图例 / legend"))
    return links


def _layer_metadata(base: str, found: Published) -> dict[str, Any]:
    """What a style says of one of its layers: geometry, attributes, and where sample data are."""
    layer = found.layer
    path = f"{base}/ogc/collections/{layer.id}"
    title = layer.display_title()
    document: dict[str, Any] = {
        "id": layer.id,
        "description": f"{title.zh} / {title.en}",
        "sampleData": link(path, "collection", JSON, f"{title.zh} / {title.en}"),
    }
    if isinstance(found, PublishedTable):
        kinds = {"Point": "points", "LineString": "lines", "Polygon": "polygons"}
        document["type"] = kinds.get(found.geometry_type.removeprefix("Multi"), "geometry")
        document["attributes"] = [
            {"id": f.name, "type": f.type, "required": not f.nullable, "description": f"{f.title.zh} / {f.title.en}"}
            for f in layer.fields
        ]
    else:
        document["type"] = "raster"
    return document


def _own_style(choice: StyleChoice) -> dict[str, Any]:
    """Our own encoding: the style block of each layer's YAML, from below."""
    return {
        "id": choice.id,
        "title": choice.title.model_dump(),
        "layers": [
            {"id": p.layer.id, "title": p.layer.display_title().model_dump(), "style": p.layer.style}
            | ({"band": choice.band} if choice.band else {})
            for p in choice.layers
        ],
    }


def _routes(datastore: DataStore) -> list[Route]:
    service = _StyleService(datastore)
    ogc = "/ogc/collections/{layer}/styles"
    table: dict[str, Any] = {
        ogc: service.collection_styles,
        f"{ogc}/{{style}}": service.collection_style,
        f"{ogc}/{{style}}/metadata": service.collection_metadata,
        f"{ogc}/{{style}}/legend": service.legend,
        "/ogc/styles": service.dataset_styles,
        "/ogc/styles/{style}": service.dataset_style,
        "/ogc/styles/{style}/metadata": service.dataset_metadata,
    }
    return [Route(path, endpoint, methods=["GET"]) for path, endpoint in table.items()]


# --- documents ------------------------------------------------------------------------------------------------------------

HTML = "text/html"
_PAGE = {"type": "string"}
_OBJECT = {"type": "object", "additionalProperties": True}
_SHEETS = {MAPBOX: _OBJECT, SLD: {"type": "string"}, QML: {"type": "string"}, JSON: _OBJECT}
_STYLE_LIST = {
    "type": "object",
    "required": ["styles"],
    "properties": {
        "default": {"type": "string"},
        "styles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["id", "links"],
                "properties": {
                    "id": {"type": "string"},
                    "title": {"type": "string"},
                    "links": {"type": "array", "items": _OBJECT, "minItems": 1},
                },
            },
        },
    },
}


def _paths(snapshot: Snapshot) -> dict[str, Any]:
    language = parameter("lang", "语言", "language", {"type": "string", "enum": ["zh", "en"]})
    json_only = parameter("f", "格式", "format", {"type": "string", "enum": ["json", "html"]})
    png_only = parameter("f", "格式", "format", {"type": "string", "enum": ["png"]})
    encoding = parameter("f", "编码", "encoding", {"type": "string", "enum": list(ENCODINGS)})

    def of(path: str, name: str, before: list[Any], style: dict[str, Any], zh: str, en: str) -> dict[str, Any]:
        lists = [json_only, language]
        return {
            path: {
                "get": operation(
                    "Styles",
                    f"{name}.getStyles",
                    f"{zh}样式",
                    f"{en}styles",
                    [*before, *lists],
                    {JSON: _STYLE_LIST, HTML: _PAGE},
                )
            },
            f"{path}/{{styleId}}": {
                "get": operation(
                    "Styles",
                    f"{name}.getStyle",
                    f"{zh}样式表",
                    f"{en}stylesheet",
                    [*before, style, encoding],
                    _SHEETS,
                )
            },
            f"{path}/{{styleId}}/metadata": {
                "get": operation(
                    "Styles",
                    f"{name}.getStyleMetadata",
                    f"{zh}样式元数据",
                    f"{en}style metadata",
                    [*before, style, *lists],
                    {JSON: _OBJECT, HTML: _PAGE},
                )
            },
        }

    ids = {"type": "string", "enum": [c.id for c in dataset_styles(snapshot)]}
    found = of("/styles", "dataset", [], parameter("styleId", "样式", "style", ids, place="path"), "", "")
    if not snapshot.layers():
        return found
    path = "/collections/{collectionId}/styles"
    collection, style = ref("parameters", "collectionId"), ref("parameters", "styleId")
    found |= of(path, "collection", [collection], style, "数据集的", "collection: ")
    found[f"{path}/{{styleId}}/legend"] = {
        "get": operation(
            "Styles",
            "collection.getLegend",
            "数据集的图例",
            "collection: legend",
            [collection, style, png_only, language],
            {"image/png": {"type": "string", "format": "binary"}},
        )
    }
    return found


def _landing_links(base: str, language: Language) -> list[Link]:
    return [
        {
            "href": f"{base}/ogc/styles",
            "rel": f"{REL}/styles",
            "type": JSON,
            "title": "样式" if language == "zh" else "Styles",
        }
    ]


def _collection(base: str, language: Language, found: Published) -> dict[str, Any]:
    path = f"{base}/ogc/collections/{found.layer.id}/styles"
    return {
        "links": [
            {"href": path, "rel": f"{REL}/styles", "type": JSON, "title": "样式" if language == "zh" else "Styles"}
        ]
    }


_SPEC = "http://www.opengis.net/spec/ogcapi-styles-1/1.0/conf"
STYLES = BuildingBlock(
    name="Styles",
    title="样式 / styles",
    conformance=tuple(f"{_SPEC}/{name}" for name in ("core", "mapbox-style", "sld-11")),
    routes=_routes,
    paths=_paths,
    landing_links=_landing_links,
    collection=_collection,
)
"""OGC API Styles: what it adds to the documents of the server."""
