"""OGC API – Environmental Data Retrieval 1.1 (环境数据检索): what it adds to the shared documents, and its instances.

Served are rasters and layers of kind ``stations``. A band is a parameter; bands of months stay twelve parameters, because a
long-term mean has no year and a time axis would invent one. Every version of a layer is an instance.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language
from spatial.crs import CRS84, SERVED
from spatial.ogc import coverage_json
from spatial.ogc.collections import conformance
from spatial.ogc.coverages.documents import temporal_extent
from spatial.ogc.edr import queries as edr_queries
from spatial.ogc.edr.openapi import components, paths
from spatial.ogc.edr.queries import edr_layer, formats_of, queries_of
from spatial.ogc.edr.request import UNITS
from spatial.ogc.edr.stations import parameters_of
from spatial.ogc.exchange import GEOJSON, JSON, Call, link, read_call
from spatial.ogc.parameters import DOCUMENT_PARAMETERS
from spatial.store.raster import PublishedRaster

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore, Published

__all__ = ["EDR"]

_TITLES = {
    "position": ("点位检索", "Position query"),
    "radius": ("半径检索", "Radius query"),
    "area": ("面域检索", "Area query"),
    "cube": ("立方体检索", "Cube query"),
    "trajectory": ("沿线检索", "Trajectory query"),
    "corridor": ("廊道检索", "Corridor query"),
    "locations": ("测站检索", "Locations query"),
    "items": ("要素", "Items"),
}
_CONFORMANCE = tuple(
    f"http://www.opengis.net/spec/ogcapi-edr-1/{version}/conf/{name}"
    for version in ("1.1", "1.0")
    for name in ("core", "collections", "json", "geojson", "edr-geojson", "covjson", "oas30", "queries", "instances")
)


def _parameter_names(base: str, language: Language, published: Published) -> dict[str, Any]:
    layer = published.layer
    identify = f"{base}/ogc/collections/{layer.id}/schema"
    if isinstance(published, PublishedRaster):
        kind = "float" if published.dtype.startswith("float") else "integer"
        return {
            band.name: coverage_json.parameter_name(band, f"{identify}#{band.name}", language, kind)
            for band in layer.bands
        }
    fields = parameters_of(layer) if layer.kind == "stations" else layer.fields
    kinds = {"integer": "integer", "number": "float"}
    return {
        f.name: coverage_json.parameter_name(f, f"{identify}#{f.name}", language, kinds.get(f.type, "string"))
        for f in fields
    }


def _data_queries(path: str, language: Language, published: Published) -> dict[str, Any]:
    place = 0 if language == "zh" else 1
    raster = isinstance(published, PublishedRaster)
    found: dict[str, Any] = {}
    for query in queries_of(published):
        formats = formats_of(query, raster=raster)
        variables: dict[str, Any] = {
            "title": _TITLES[query][place],
            "query_type": query,
            "output_formats": [form.name for form in formats],
            "default_output_format": formats[0].name,
        }
        if query == "radius":
            variables["within_units"] = list(UNITS)
        if query == "corridor":
            variables |= {"width_units": list(UNITS), "height_units": list(UNITS)}
        if query == "cube":
            variables["height_units"] = list(UNITS)
        found[query] = {
            "link": {
                "href": f"{path}/{query}",
                "rel": "data",
                "type": formats[0].media,
                "title": _TITLES[query][place],
                "variables": variables,
            }
        }
    if not raster and "/instances/" not in path:
        variables = {"title": _TITLES["items"][place], "query_type": "items", "output_formats": ["GeoJSON"]}
        address = {"href": f"{path}/items", "rel": "data", "type": GEOJSON, "title": _TITLES["items"][place]}
        found["items"] = {"link": address | {"variables": variables}}
    return found


def _collection(base: str, language: Language, published: Published) -> dict[str, Any]:
    path = f"{base}/ogc/collections/{published.layer.id}"
    found = _edr_members(base, path, language, published)
    queries = found["data_queries"]
    # 1.1, /req/core/rc-md-query-links: at least one link to a query, relation "data"; this one answers as it stands.
    if "position" in queries and "locations" not in queries:
        west, south, east, north = published.extent
        address = f"{path}/position?coords=POINT({(west + east) / 2:.6f}%20{(south + north) / 2:.6f})"
        first = {**queries["position"]["link"], "href": address}
    else:
        first = queries["locations" if "locations" in queries else "items"]["link"]
    kind = GEOJSON if first["href"].endswith(("/locations", "/items")) else first["type"]
    found["links"] = [link(first["href"], "data", kind, first["title"])]
    if queries_of(published):
        title = "历次版本" if language == "zh" else "Instances (versions)"
        found["links"].append(link(f"{path}/instances", "instances", JSON, title))
    return found


def _edr_members(base: str, path: str, language: Language, published: Published) -> dict[str, Any]:
    queries = _data_queries(path, language, published)
    formats = [name for query in queries.values() for name in query["link"]["variables"]["output_formats"]]
    return {
        "data_queries": queries,
        "parameter_names": _parameter_names(base, language, published),
        "output_formats": list(dict.fromkeys(formats)),
        "distanceunits": list(UNITS),
    }


def _instance_document(call: Call, published: Published) -> dict[str, Any]:
    """One version as an instance: the collection document with the version as its id."""
    layer = published.layer
    path = call.address(f"/collections/{layer.id}/instances/{published.version}")
    west, south, east, north = published.extent
    return {
        "id": published.version,
        "title": f"{call.title(layer)} {published.version}",
        "description": call.text(layer.description),
        "keywords": list(layer.keywords),
        "extent": {
            "spatial": {"bbox": [[west, south, east, north]], "crs": CRS84.uri},
            "temporal": temporal_extent(published),
        },
        "crs": list(SERVED),
        **_edr_members(call.base, path, call.language, published),
        "links": [
            link(path, "self", JSON, published.version),
            link(call.address(f"/collections/{layer.id}"), "collection", JSON, call.title(layer)),
            *(
                {name: query["link"][name] for name in ("href", "rel", "type", "title")}
                for query in _data_queries(path, call.language, published).values()
            ),
        ],
    }


async def _instances(datastore: DataStore, request: Request) -> Response:
    """``/instances`` and ``/instances/{version}``."""
    layer_id, wanted = request.path_params["collection"], request.path_params.get("instance")
    snapshot = datastore.snapshot()
    published = edr_layer(snapshot, layer_id, wanted)
    call = read_call(datastore, request, DOCUMENT_PARAMETERS, snapshot)
    etag = call.etag(layer_id, published.version, "instances")
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    if wanted is not None:
        return _shown(call, _instance_document(call, published), etag, published.layer)
    versions = [row.version for row in datastore.state.versions(layer_id)]
    documents = [_instance_document(call, edr_layer(snapshot, layer_id, version)) for version in versions]
    links = [
        link(call.here(), "self", JSON, call.say("历次版本", "Instances")),
        link(call.address(f"/collections/{layer_id}"), "collection", JSON, call.title(published.layer)),
    ]
    return _shown(call, {"instances": documents, "links": links}, etag, published.layer)


def _shown(call: Call, document: dict[str, Any], etag: str, layer: Layer) -> Response:
    if call.format == "html":
        return call.page("document.html", etag, {"document": document, "layer": layer})
    return call.answer(document, etag)


def _routes(datastore: DataStore) -> list[Route]:
    def get(path: str, handler: Any) -> Route:
        return Route(path, handler, methods=["GET"])

    found = []
    for path in ("/ogc/collections/{collection}", "/ogc/collections/{collection}/instances/{instance}"):
        for query in edr_queries.QUERIES:
            # A name of a station may have a slash.
            address = f"{path}/locations/{{location:path}}" if query == "locations" else f"{path}/{query}"
            found.append(get(address, partial(edr_queries.answer, datastore, query=query)))
        found.append(get(f"{path}/locations", partial(edr_queries.locations, datastore)))
    instances = partial(_instances, datastore)
    return [
        *found,
        # The suite edr10 1.3 asks for the conformance classes with a slash at the end.
        get("/ogc/conformance/", partial(conformance, datastore)),
        get("/ogc/collections/{collection}/instances", instances),
        get("/ogc/collections/{collection}/instances/{instance}", instances),
    ]


EDR = BuildingBlock(
    name="edr",
    title="环境数据检索 / environmental data retrieval",
    conformance=_CONFORMANCE,
    routes=_routes,
    paths=paths,
    components=components,
    collection=_collection,
)
