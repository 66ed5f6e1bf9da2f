"""Records (记录): the resource catalogue (资源目录) of the service as an OGC API Records collection.

Source: OGC 20-004r1 (OGC API – Records – Part 1: Core).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language, Link
from spatial.errors import FeatureNotFound
from spatial.ogc.exchange import GEOJSON, HTML, JSON, REL, SCHEMA, Call, link, read_call
from spatial.ogc.parameters import DOCUMENT_PARAMETERS, Format
from spatial.ogc.records.documents import (
    CATALOGUE_PROFILE,
    DCAT,
    FACETS_TYPE,
    ISO19139,
    OGC_CATALOG,
    PATH,
    RECORD_PROFILE,
    TYPE_TITLES,
    catalogue_document,
    facets_document,
    profile_links,
    queryables_document,
    record_document,
    schema_document,
    sortables_document,
)
from spatial.ogc.records.openapi import record_components, record_paths
from spatial.ogc.records.query import (
    FACETS,
    RECORDS_PARAMETERS,
    FacetRequest,
    RecordsRequest,
    Selection,
    buckets,
    read_records,
    select,
)
from spatial.ogc.records.sources import CATALOGUE_ID, Resource, resources

if TYPE_CHECKING:
    from spatial.catalog import Text
    from spatial.store.datastore import DataStore, Published

__all__ = ["RECORDS"]

_JSON_FORMATS = {"json": "json", "geojson": "json", JSON: "json", GEOJSON: "json", "html": "html", HTML: "html"}
_DCAT_FORMATS = {"dcat": "dcat", "jsonld": "dcat", DCAT: "dcat"}
_CATALOG_FORMATS = {"ogc-catalog": "ogc-catalog", OGC_CATALOG: "ogc-catalog"}
_ISO_FORMATS = {"iso19139": "iso19139", "iso": "iso19139", ISO19139: "iso19139"}
_FACET_PARAMETERS = tuple(name for name in RECORDS_PARAMETERS if name not in {"limit", "offset", "sortby", "f"})
ITEM_PARAMETERS = ("f", "lang")
_SHOWN_FACETS = tuple(FacetRequest(name, 50) for name in ("theme", "department", "grade", "type"))


def _formats(*known: dict[str, str]) -> dict[str, Format]:
    """Representations of an address; they are more than `Format` names."""
    return cast("dict[str, Format]", {name: value for part in known for name, value in part.items()})


def _read(
    datastore: DataStore, request: Request, allowed: Sequence[str], *known: dict[str, str]
) -> tuple[Call, tuple[Resource, ...]]:
    call = read_call(datastore, request, allowed, formats=_formats(_JSON_FORMATS, *known))
    return call, resources(datastore, call.snapshot)


def _dcat(call: Call, etag: str, document: Any) -> Response:
    return Response(orjson.dumps(document), media_type=DCAT, headers=call.headers(etag))


async def catalogue(datastore: DataStore, request: Request) -> Response:
    """``/collections/catalogue``."""
    from spatial.ogc.records.exports import dcat_catalogue

    call, known = _read(datastore, request, DOCUMENT_PARAMETERS, _DCAT_FORMATS, _CATALOG_FORMATS)
    etag = call.etag()
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    if str(call.format) == "dcat":
        return _dcat(call, etag, dcat_catalogue(call, known))
    document = catalogue_document(call, known)
    document["links"] = [
        *call.self_links(),
        link(call.address("/collections"), "parent", JSON, call.say("全部数据集", "All collections")),
        link(call.address(""), "root", JSON, call.say("服务首页", "Landing page")),
        *document["links"],
    ]
    if call.format == "html":
        # The map shows the extent only: the catalogue itself has no tiles.
        boxes = document["extent"].get("spatial", {}).get("bbox")
        place = {"bbox": boxes[0]} if boxes else None
        return call.page("document.html", etag, {"document": document, "heading": document["title"], "map": place})
    return call.answer(document, etag, OGC_CATALOG if str(call.format) == "ogc-catalog" else JSON)


async def records(datastore: DataStore, request: Request) -> Response:
    """``/collections/catalogue/items``."""
    from spatial.ogc.records.exports import dcat_catalogue

    call, known = _read(datastore, request, RECORDS_PARAMETERS, _DCAT_FORMATS)
    wanted = read_records(request, call.parameters)
    etag = call.etag(CATALOGUE_ID)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    selection = select(known, wanted)
    if str(call.format) == "dcat":
        return _dcat(call, etag, dcat_catalogue(call, selection.page))
    links = _page_links(call, wanted, selection.more)
    if call.format == "html":
        return _html(call, etag, known, wanted, selection, links)
    document: dict[str, Any] = {
        "type": "FeatureCollection",
        "features": [record_document(call, resource) for resource in selection.page],
        "numberMatched": len(selection.found),
        "numberReturned": len(selection.page),
        "timeStamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "links": links,
    }
    if wanted.facets:
        document["facets"] = {f.name: buckets(selection.found, f, call.language) for f in wanted.facets}
    return call.answer(document, etag, GEOJSON)


def _page_links(call: Call, wanted: RecordsRequest, more: bool) -> list[Link]:
    links = call.self_links(GEOJSON)
    links.append(link(call.here({"f": "dcat"}), "alternate", DCAT, call.say("DCAT（JSON-LD）", "DCAT (JSON-LD)")))
    kind = HTML if call.format == "html" else GEOJSON
    if more:
        following = call.here({"offset": str(wanted.offset + wanted.limit)})
        links.append(link(following, "next", kind, call.say("下一页", "Next page")))
    if wanted.offset:
        before = max(wanted.offset - wanted.limit, 0)
        links.append(
            link(
                call.here({"offset": str(before) if before else None}),
                "prev",
                kind,
                call.say("上一页", "Previous page"),
            )
        )
    links.append(link(call.address(PATH), "collection", JSON, call.say("资源目录", "The resource catalogue")))
    return [*links, *profile_links(call, RECORD_PROFILE, CATALOGUE_PROFILE)]


def _html(
    call: Call, etag: str, known: Sequence[Resource], wanted: RecordsRequest, selection: Selection, links: list[Link]
) -> Response:
    values = {
        "path": f"/ogc{PATH}/items",
        "resources": selection.page,
        "matched": len(selection.found),
        "offset": wanted.offset,
        "parameters": dict(call.parameters),
        "facets": [(f.name, buckets(selection.found, f, call.language)) for f in _SHOWN_FACETS],
        "theme_titles": _theme_titles(known),
        "type_titles": TYPE_TITLES,
        "here": call.here,
        "links": links,
    }
    return call.page("records.html", etag, values)


def _theme_titles(known: Sequence[Resource]) -> dict[str, Text]:
    return {
        path: node.title for resource in known for path, node in zip(resource.theme_paths, resource.theme, strict=True)
    }


async def record(datastore: DataStore, request: Request) -> Response:
    """``/collections/catalogue/items/{id}``."""
    from spatial.ogc.records.exports import dcat_record, iso19139

    call, known = _read(datastore, request, ITEM_PARAMETERS, _DCAT_FORMATS, _ISO_FORMATS)
    wanted = request.path_params["record"]
    resource = next((found for found in known if found.id == wanted), None)
    if resource is None:
        raise FeatureNotFound(
            f"资源目录中没有记录 {wanted[:80]!r}；清单见 {PATH}/items",
            f"the catalogue has no record {wanted[:80]!r}; see {PATH}/items",
            record=wanted[:200],
        )
    etag = call.etag(resource.id, resource.version)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    form = str(call.format)
    if form == "dcat":
        return _dcat(call, etag, dcat_record(call, resource))
    if form == "iso19139":
        return Response(iso19139(call, resource), media_type=ISO19139, headers=call.headers(etag))
    document = record_document(call, resource, call.self_links(GEOJSON))
    if form == "html":
        place: dict[str, Any] | None = None
        if resource.bbox is not None:
            place = {"bbox": list(resource.bbox)} | ({"layer": resource.id} if resource.published else {})
        values = {"document": document, "resource": resource, "links": document["links"], "map": place}
        return call.page("record.html", etag, values)
    return call.answer(document, etag, GEOJSON)


async def facets(datastore: DataStore, request: Request) -> Response:
    """``/collections/catalogue/facets``: what is counted, and the counts of the records that the query selects."""
    call, known = _read(datastore, request, (*_FACET_PARAMETERS, "f"), {FACETS_TYPE: "json"})
    wanted = read_records(request, call.parameters)
    etag = call.etag("facets")
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    found = select(known, wanted).found
    asked = wanted.facets or tuple(FacetRequest(name, 50) for name in FACETS)
    counted = {facet.name: buckets(found, facet, call.language) for facet in asked}
    document = facets_document(call, counted, _theme_titles(known))
    document["numberMatched"] = len(found)
    document["links"] = [
        *call.self_links(FACETS_TYPE),
        link(call.address(PATH), "collection", JSON, call.say("资源目录", "The resource catalogue")),
    ]
    if call.format == "html":
        return call.page("document.html", etag, {"document": document, "heading": call.say("分面统计", "Facets")})
    return call.answer(document, etag, FACETS_TYPE)


async def _schema(name: str, datastore: DataStore, request: Request) -> Response:
    """``queryables``, ``sortables`` and ``schema`` of the catalogue."""
    call, known = _read(datastore, request, DOCUMENT_PARAMETERS, {SCHEMA: "json"})
    etag = call.etag(name)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    match name:
        case "queryables":
            few = ("grade", "kind", "theme", "format")
            counted = {n: buckets(known, FacetRequest(n, 200, "value_asc"), call.language)["buckets"] for n in few}
            document = queryables_document(call, {n: [row["value"] for row in rows] for n, rows in counted.items()})
        case "sortables":
            document = sortables_document(call)
        case _:
            document = schema_document(call)
    if call.format == "html":
        return call.page("document.html", etag, {"document": document})
    return call.answer(document, etag, SCHEMA)


async def jsonld(datastore: DataStore, request: Request) -> Response:
    """``/ogc/catalogue.jsonld``: the whole catalogue as DCAT."""
    from spatial.ogc.records.exports import dcat_catalogue

    call = read_call(datastore, request, ("lang",), formats=_formats(_JSON_FORMATS, _DCAT_FORMATS))
    etag = call.etag("dcat")
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    return _dcat(call, etag, dcat_catalogue(call, resources(datastore, call.snapshot)))


def _routes(datastore: DataStore) -> list[Route]:
    def get(path: str, handler: Callable[[DataStore, Request], Awaitable[Response]]) -> Route:
        return Route(path, partial(handler, datastore), methods=["GET"])

    base = f"/ogc{PATH}"
    return [
        get(f"{base}/items/{{record}}", record),
        get(f"{base}/items", records),
        get(f"{base}/facets", facets),
        *(get(f"{base}/{name}", partial(_schema, name)) for name in ("queryables", "sortables", "schema")),
        get(base, catalogue),
        get("/ogc/catalogue.jsonld", jsonld),
    ]


def _landing_links(base: str, language: Language) -> list[Link]:
    title = "资源目录" if language == "zh" else "The resource catalogue"
    return [
        link(f"{base}/ogc{PATH}/items", f"{REL}/ogc-catalog", GEOJSON, title),
        # The list of the collections is itself a catalogue of local resources (/req/local-resources-catalog/discovery).
        link(
            f"{base}/ogc/collections", f"{REL}/ogc-catalog", JSON, "数据集" if language == "zh" else "The collections"
        ),
        link(f"{base}/ogc/catalogue.jsonld", "describedby", DCAT, f"{title} (DCAT)"),
    ]


def _of_layer(base: str, language: Language, published: Published) -> dict[str, Any]:
    title = "元数据记录" if language == "zh" else "Metadata record"
    address = f"{base}/ogc{PATH}/items/{published.layer.id}"
    return {
        "links": [
            link(
                f"{base}/ogc/collections", "collection", JSON, "全部数据集" if language == "zh" else "All collections"
            ),
            link(address, "describedby", GEOJSON, title),
            link(f"{address}?f=iso19139", "describedby", ISO19139, f"{title} (ISO 19139)"),
        ]
    }


def _listed(call: Call) -> list[dict[str, Any]]:
    """The catalogue among the collections."""
    document = catalogue_document(call, resources(call.datastore, call.snapshot))
    document["links"].insert(0, link(call.address(PATH), "self", JSON, document["title"]))
    return [document]


RECORDS = BuildingBlock(
    name="records",
    title="资源目录 / resource catalogue",
    conformance=tuple(
        f"http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/{c}"
        for c in (
            "record-core",
            "record-collection",
            "record-core-query-parameters",
            "records-api",
            "searchable-catalog",
            "searchable-catalog-filtering",
            "searchable-catalog-sorting",
            "sorting",
            "filtering",
            "local-resources-catalog",
            "autodiscovery",
            "json",
            "html",
            "oas30",
        )
    ),
    routes=_routes,
    paths=record_paths,
    components=record_components,
    landing_links=_landing_links,
    collection=_of_layer,
    listed=_listed,
)
"""The resource catalogue for `spatial.asgi`."""
