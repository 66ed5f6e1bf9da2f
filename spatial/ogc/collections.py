"""Landing page (服务首页), conformance (符合性声明) and the collections (数据集).

Written here rather than taken from pygeoapi: see ``docs/decisions/0001-ogc-documents.md``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from spatial.crs import CRS84, SERVED, STORAGE
from spatial.errors import LayerNotPublished
from spatial.ogc.exchange import GEOJSON, HTML, JSON, OPENAPI, REL, SCHEMA, Call, Link, link, read_call
from spatial.ogc.parameters import DOCUMENT_PARAMETERS
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore, Published

__all__ = ["CONFORMANCE", "collection", "collection_document", "collections", "conformance", "landing"]

_SPEC = "http://www.opengis.net/spec"
CONFORMANCE: tuple[str, ...] = (
    *(f"{_SPEC}/ogcapi-common-1/1.0/conf/{c}" for c in ("core", "landing-page", "json", "html", "oas30")),
    f"{_SPEC}/ogcapi-common-2/1.0/conf/collections",
    *(f"{_SPEC}/ogcapi-features-1/1.0/conf/{c}" for c in ("core", "oas30", "geojson", "html")),
    f"{_SPEC}/ogcapi-features-2/1.0/conf/crs",
    *(
        f"{_SPEC}/ogcapi-features-3/1.0/conf/{c}"
        for c in ("queryables", "queryables-query-parameters", "filter", "features-filter")
    ),
    *(f"{_SPEC}/ogcapi-features-5/1.0/conf/{c}" for c in ("schemas", "core-roles-features", "queryables")),
    *(
        f"{_SPEC}/cql2/1.0/conf/{c}"
        for c in (
            "cql2-text",
            "cql2-json",
            "basic-cql2",
            "advanced-comparison-operators",
            "case-insensitive-comparison",
            "accent-insensitive-comparison",
            "property-property",
            "arithmetic",
            "basic-spatial-functions",
            "basic-spatial-functions-plus",
            "spatial-functions",
            "temporal-functions",
        )
    ),
    *(
        f"{_SPEC}/ogcapi-tiles-1/1.0/conf/{c}"
        for c in ("core", "tileset", "tilesets-list", "geodata-tilesets", "mvt", "png")
    ),
    *(
        f"{_SPEC}/ogcapi-processes-1/1.0/conf/{c}"
        for c in ("core", "ogc-process-description", "json", "html", "oas30", "job-list", "dismiss")
    ),
    f"{_SPEC}/ogcapi-processes-3/0.0/conf/collection-input",
)
"""Conformance classes that are implemented and tested; add one only together with its tests."""

_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*-[0-9][A-Za-z0-9.+-]*")


def _instant(value: datetime | None) -> str | None:
    if value is None:
        return None
    value = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value.isoformat().replace("+00:00", "Z")


def _collection_links(call: Call, layer: Layer) -> list[Link]:
    path = f"/collections/{layer.id}"
    title = call.title(layer)
    links: list[Link] = []
    if layer.is_vector:
        for kind, form in ((GEOJSON, "json"), (HTML, "html")):
            name = "GeoJSON" if form == "json" else "HTML"
            links.append(
                link(
                    # Plain for GeoJSON, which is what a client gets that asks for no web page: GDAL puts "/{id}" behind it.
                    call.address(f"{path}/items", {"f": form} if form == "html" else None),
                    "items",
                    kind,
                    call.say(f"要素（{name}）", f"Items as {name}"),
                )
            )
        links += [
            link(call.address(f"{path}/queryables"), f"{REL}/queryables", SCHEMA, call.say("可查询字段", "Queryables")),
            link(call.address(f"{path}/schema"), f"{REL}/schema", SCHEMA, call.say("字段结构", "Schema")),
            # Relations are case-insensitive (RFC 8288, 2.1.1), but GDAL knows this spelling only.
            link(
                call.address(f"{path}/schema/geojson"),
                "describedBy",
                SCHEMA,
                call.say("要素的 GeoJSON 结构", "Schema of a feature as GeoJSON"),
            ),
            link(
                call.address(f"{path}/tiles"), f"{REL}/tilesets-vector", JSON, call.say("矢量瓦片集", "Vector tilesets")
            ),
        ]
    else:
        links += [
            link(
                call.address(f"{path}/map/tiles"), f"{REL}/tilesets-map", JSON, call.say("地图瓦片集", "Map tilesets")
            ),
            link(
                f"{call.base}/api/v1/layers/{layer.id}/file",
                "enclosure",
                "image/tiff; application=geotiff; profile=cloud-optimized",
                call.say("数据文件（COG）", "Data file (COG)"),
            ),
        ]
    links += [
        link(f"{call.base}/tiles/{layer.id}/tilejson.json", "related", JSON, f"TileJSON: {title}"),
        link(
            f"{call.base}/tiles/{layer.id}/legend.json",
            f"{REL}/legend",
            JSON,
            call.say("图例（JSON）", "Legend as JSON"),
        ),
        link(
            f"{call.base}/tiles/{layer.id}/legend.png",
            f"{REL}/legend",
            "image/png",
            call.say("图例（图片）", "Legend image"),
        ),
    ]
    licence = layer.source.licence
    if licence.startswith(("http://", "https://")):
        links.append(link(licence, "license", HTML, licence))
    elif _SPDX.fullmatch(licence):
        links.append(link(f"https://spdx.org/licenses/{licence}.html", "license", HTML, licence))
    return links


def collection_document(call: Call, published: Published) -> dict[str, Any]:
    """One collection, with the links that do not depend on the request's own address."""
    layer = published.layer
    west, south, east, north = published.extent
    box = {"bbox": [[west, south, east, north]], "crs": CRS84.uri, "storageCrsBbox": [[south, west, north, east]]}
    extent: dict[str, Any] = {"spatial": box}
    document: dict[str, Any] = {
        "id": layer.id,
        "title": call.title(layer),
        "description": call.text(layer.description),
        "keywords": list(layer.keywords),
        "attribution": call.text(layer.source.attribution),
        "license": layer.source.licence,
        "extent": extent,
        "version": published.version,
        "updated": _instant(call.snapshot.times.get(layer.id)),
        "synthetic": layer.synthetic is not None,
    }
    if layer.synthetic is not None:
        document["recipe"] = call.text(layer.synthetic.recipe)
    if layer.derived_from:
        document["derivedFrom"] = list(layer.derived_from)
    if isinstance(published, PublishedTable):
        if published.time_extent is not None:
            extent["temporal"] = {
                "interval": [[_instant(published.time_extent[0]), _instant(published.time_extent[1])]],
                "trs": "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian",
            }
        document |= {
            "itemType": "feature",
            "itemCount": published.count,
            "geometryType": published.geometry_type,
            "crs": list(SERVED),
            "storageCrs": STORAGE.uri,
        }
    else:
        # layerDataType makes GDAL's OAPIF driver leave rasters alone; it does not look at itemType.
        size = {"width": published.width, "height": published.height}
        document |= {"itemType": "coverage", "layerDataType": "Raster", **size}
    document["links"] = _collection_links(call, layer)
    for block in call.blocks:
        added = block.collection(call.base, call.language, published)
        document["links"] += added.pop("links", [])
        document |= added
    return document


def _read(datastore: DataStore, request: Request) -> Call:
    return read_call(datastore, request, DOCUMENT_PARAMETERS)


async def collections(datastore: DataStore, request: Request) -> Response:
    """``/collections``: every published layer, in the order of the layer tree."""
    call = _read(datastore, request)
    etag = call.etag()
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    documents = []
    for layer in call.snapshot.layers():
        published = call.snapshot.published(layer.id)
        if published is not None:
            document = collection_document(call, published)
            own = link(call.address(f"/collections/{layer.id}"), "self", JSON, call.title(layer))
            document["links"].insert(0, own)
            documents.append(document)
    documents += [document for block in call.blocks for document in block.listed(call)]
    # OGC 20-004r1, clause 8.4: with these members the list is itself a catalogue of local resources.
    about = {"id": "collections", "type": "Collection", "itemType": "record", "recordsArrayName": "collections"}
    whole = {**about, "links": call.self_links(), "collections": documents, "numberReturned": len(documents)}
    if call.format == "html":
        return call.page("collections.html", etag, whole)
    return call.answer(whole, etag)


async def collection(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}``."""
    call = _read(datastore, request)
    layer_id = request.path_params["collection"]
    published = call.snapshot.published(layer_id)
    if published is None:
        raise LayerNotPublished(
            f"图层 {layer_id} 已定义但尚未发布；请运行 onemap layers publish {layer_id}",
            f"layer {layer_id} is defined but not published; run: onemap layers publish {layer_id}",
            layer=layer_id,
        )
    etag = call.etag(published.version)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    document = collection_document(call, published)
    document["links"] = [
        *call.self_links(),
        link(call.address("/collections"), "parent", JSON, call.say("全部数据集", "All collections")),
        link(call.address(""), "root", JSON, call.say("服务首页", "Landing page")),
        *document["links"],
    ]
    if call.format == "html":
        return call.page(
            "collection.html", etag, {"document": document, "layer": published.layer, "published": published}
        )
    return call.answer(document, etag)


async def landing(datastore: DataStore, request: Request) -> Response:
    """``/ogc``."""
    call = _read(datastore, request)
    etag = call.etag()
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    document = {
        "title": call.say("湖北一张图", "OneMap Hubei"),
        "description": call.say(
            "湖北省国土空间一张图的 OGC API 服务：要素、瓦片与分析处理。坐标系 CGCS2000。标注“合成示例”的图层不是真实数据。",
            "OGC API of the one map of Hubei's territory: features, tiles and processes, CGCS2000. "
            "Layers titled “synthetic sample” are not real data.",
        ),
        "links": [
            *call.self_links(),
            link(
                call.address("/openapi"),
                "service-desc",
                OPENAPI,
                call.say("接口定义（OpenAPI）", "API definition (OpenAPI)"),
            ),
            link(
                call.address("/openapi", {"f": "html"}), "service-doc", HTML, call.say("接口文档", "API documentation")
            ),
            link(call.address("/conformance"), "conformance", JSON, call.say("符合性声明", "Conformance declaration")),
            link(
                call.address("/conformance"),
                f"{REL}/conformance",
                JSON,
                call.say("符合性声明", "Conformance declaration"),
            ),
            link(call.address("/collections"), "data", JSON, call.say("数据集", "Collections")),
            link(call.address("/collections"), f"{REL}/data", JSON, call.say("数据集", "Collections")),
            link(call.address("/processes"), f"{REL}/processes", JSON, call.say("分析处理", "Processes")),
            link(call.address("/jobs"), f"{REL}/job-list", JSON, call.say("任务", "Jobs")),
            link(
                call.address("/tileMatrixSets"),
                f"{REL}/tiling-schemes",
                JSON,
                call.say("瓦片矩阵集", "Tile matrix sets"),
            ),
            link(
                f"{call.base}/tiles/wmts?SERVICE=WMTS&REQUEST=GetCapabilities",
                "related",
                "application/xml",
                "WMTS 1.0.0",
            ),
            link(f"{call.base}/", "related", HTML, call.say("一张图门户", "Web map")),
            *(found for block in call.blocks for found in block.landing_links(call.base, call.language)),
        ],
    }
    for block in call.blocks:
        document |= block.landing(call.snapshot)
    if call.format == "html":
        return call.page("landing.html", etag, {"document": document})
    return call.answer(document, etag)


async def conformance(datastore: DataStore, request: Request) -> Response:
    """``/conformance``."""
    call = _read(datastore, request)
    # Only where the operator lists somebody who may be called.
    callback = [f"{_SPEC}/ogcapi-processes-1/1.0/conf/callback"] if datastore.settings.callback_hosts else []
    classes = [*CONFORMANCE, *callback, *(name for block in call.blocks for name in block.conformance)]
    etag = call.etag(classes)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    document = {"links": call.self_links(), "conformsTo": list(dict.fromkeys(classes))}
    if call.format == "html":
        return call.page("conformance.html", etag, {"document": document})
    return call.answer(document, etag)
