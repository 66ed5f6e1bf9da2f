"""Requirements of the OGC API standards that concern all parts of the service: documents, links, media types, HTTP.

Every expectation is that of the standard named in the mark; what one part alone promises is tested beside that part.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

COMMON, FEATURES, FEATURES_3 = "ogcapi-common-1/1.0", "ogcapi-features-1/1.0", "ogcapi-features-3/1.0"
EDR, PROCESSES, RECORDS = "ogcapi-edr-1/1.1", "ogcapi-processes-1/1.0", "ogcapi-records-1/1.0"
TILES, MAPS = "ogcapi-tiles-1/1.0", "ogcapi-maps-1/1.0"
SPEC = "http://www.opengis.net/spec"
REL = "http://www.opengis.net/def/rel/ogc/1.0"
OPENAPI = "application/vnd.oai.openapi+json;version=3.0"
CATALOG = "application/ogc-catalog+json"


def links(document: dict[str, Any], rel: str) -> list[dict[str, Any]]:
    return [link for link in document["links"] if link["rel"] == rel]


def resolved(document: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """A parameter of the OpenAPI document, its reference followed."""
    return document["components"]["parameters"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def kind(answer: Any) -> str:
    return str(answer.headers["content-type"])


# -- landing page, conformance, definition ------------------------------------------------------------------------------


@pytest.mark.requirement(
    EDR, "/req/core/root-op", "/req/core/root-success", "/req/core/api-definition-op",
    "/req/core/api-definition-success", "/req/oas30/oas-definition-1",
)  # fmt: skip
@pytest.mark.requirement(COMMON, "/req/landing-page/api-definition-success")
@pytest.mark.requirement(
    PROCESSES, "/req/core/landingpage-op", "/req/core/landingpage-success", "/req/core/api-definition-op",
    "/req/core/api-definition-success",
)  # fmt: skip
def test_the_landing_page_leads_to_everything(client: Any) -> None:
    answer = client.get("/ogc/")
    assert (answer.status_code, kind(answer)) == (200, "application/json")
    document = answer.json()
    for rel, media in (
        ("service-desc", OPENAPI),
        ("service-doc", "text/html"),
        ("conformance", "application/json"),
        (f"{REL}/conformance", "application/json"),
        ("data", "application/json"),
        (f"{REL}/processes", "application/json"),
    ):
        found = links(document, rel)
        assert found, rel
        for link in found:
            assert link["type"] == media, rel
            there = client.get(link["href"])
            assert there.status_code == 200, rel
            assert kind(there).partition(";")[0] == media.partition(";")[0], rel
    assert client.get(links(document, "service-desc")[0]["href"]).json()["openapi"] == "3.0.3"
    assert links(document, "conformance")[0]["href"].endswith("/ogc/conformance")
    assert links(document, "data")[0]["href"].endswith("/ogc/collections")


@pytest.mark.requirement(PROCESSES, "/req/core/conformance-op", "/req/core/conformance-success")
@pytest.mark.requirement(TILES, "/req/core/conformance-success")
def test_conformance_lists_the_classes_of_each_standard(get: Any) -> None:
    declared = get("/conformance")["conformsTo"]
    assert len(declared) == len(set(declared))
    for standard, names in {
        "ogcapi-processes-1/1.0": "core ogc-process-description json html oas30 job-list dismiss",
        "ogcapi-tiles-1/1.0": "core tileset tilesets-list dataset-tilesets geodata-tilesets collections-selection mvt png "
        "jpeg oas30",
    }.items():
        found = {name.rpartition("/")[2] for name in declared if name.startswith(f"{SPEC}/{standard}/conf/")}
        assert found == set(names.split())


# -- collections -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(
    EDR, "/req/collections/rc-md-op", "/req/collections/rc-md-success", "/req/collections/src-md-op",
    "/req/collections/src-md-success", "/req/core/rc-collection-info-links",
)  # fmt: skip
def test_collections_of_environmental_data(client: Any) -> None:
    answer = client.get("/ogc/collections")
    assert answer.status_code == 200
    listed = {c["id"]: c for c in answer.json()["collections"] if c.get("data_queries")}
    assert {"relief", "gauges"} <= set(listed)
    for name, summary in listed.items():
        single = client.get(f"/ogc/collections/{name}")
        assert single.status_code == 200
        document = single.json()
        for found in (summary, document):
            assert {"id", "links", "extent", "data_queries", "parameter_names"} <= set(found), name
        for key in ("id", "title", "description", "extent"):
            assert document[key] == summary[key], (name, key)
        assert [link["type"] for link in links(document, "self")] == ["application/json"]
        assert "text/html" in [link["type"] for link in links(document, "alternate")]
        assert links(document, "data") or set(document["data_queries"]) == {"items"}
        assert all(link["rel"] and link["type"] for link in document["links"])


@pytest.mark.requirement(FEATURES_3, "/req/queryables/queryables-link", "/req/features-filter/queryables-link")
def test_every_filterable_collection_links_to_its_queryables(client: Any, get: Any) -> None:
    filterable = [c["id"] for c in get("/collections")["collections"] if links(c, "items")]
    assert {"parcels", "gauges", "grid-points", "catalogue"} <= set(filterable)
    for name in filterable:
        (link,) = links(get(f"/collections/{name}"), f"{REL}/queryables")
        there = client.get(link["href"])
        assert there.status_code == 200
        assert kind(there) == link["type"] == "application/schema+json"


@pytest.mark.requirement(FEATURES, "/req/core/fc-md-extent-multi")
@pytest.mark.parametrize("name", ["parcels", "gauges", "grid-points"])
def test_every_feature_lies_in_the_extent(get: Any, name: str) -> None:
    import shapely

    extent = get(f"/collections/{name}")["extent"]
    document = get(f"/collections/{name}/items", limit=10_000)
    assert document["numberReturned"] == document["numberMatched"] > 0
    # Features without a geometry or a time lie nowhere.
    places = [shapely.geometry.shape(f["geometry"]) for f in document["features"] if f["geometry"]]
    (box,) = extent["spatial"]["bbox"]
    assert shapely.box(*box).buffer(1e-9).contains(shapely.geometry.MultiPoint(shapely.get_coordinates(places)))
    if "temporal" in extent:
        ((first, last),) = extent["temporal"]["interval"]
        times = [f["properties"]["time"] for f in document["features"] if f["properties"]["time"]]
        assert len(times) == 4
        assert all(first <= time <= last for time in times)


# -- media types -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(FEATURES, "/req/geojson/definition")
@pytest.mark.requirement(COMMON, "/req/json/definition")
@pytest.mark.requirement(EDR, "/req/json/definition", "/req/json/content")
@pytest.mark.parametrize("accept", ["application/json", "application/geo+json, application/json", "*/*"])
def test_json_for_documents_and_geojson_for_features(client: Any, accept: str) -> None:
    plain = [
        "", "/", "/conformance", "/collections", "/collections/parcels", "/collections/relief", "/collections/gauges",
        "/collections/relief/instances", "/processes", "/processes/echo", "/jobs", "/tileMatrixSets",
        "/collections/parcels/tiles", "/styles",
    ]  # fmt: skip
    for path in plain:
        answer = client.get(f"/ogc{path}", headers={"Accept": accept})
        assert (answer.status_code, kind(answer)) == (200, "application/json"), path
        assert isinstance(answer.json(), dict)
    for path in ("/collections/parcels/items", "/collections/parcels/items/1", "/collections/catalogue/items",
                 "/collections/gauges/locations"):  # fmt: skip
        answer = client.get(f"/ogc{path}", headers={"Accept": accept})
        assert (answer.status_code, kind(answer)) == (200, "application/geo+json"), path


QUERIES = {
    "position": "coords=POINT(112.1 30.02)",
    "radius": "coords=POINT(112.1 30.02)&within=50&within-units=km",
    "area": "coords=POLYGON((111 29,114 29,114 31.5,111 29))",
    "trajectory": "coords=LINESTRING(112.1 30.1,112.1 31.4)",
    "corridor": "coords=LINESTRING(110.9 30,113.1 30)&corridor-width=90&width-units=km",
    "cube": "bbox=110.5,29.5,113.5,31.2",
}


@pytest.mark.requirement(EDR, "/req/covjson/definition", "/req/covjson/content")
@pytest.mark.requirement(EDR, "/req/geojson/definition", "/req/geojson/content", "/req/edr-geojson/definition")
@pytest.mark.requirement(EDR, "/req/edr/REQ_rc-f-response")
@pytest.mark.parametrize("layer", ["relief", "gauges"])
def test_every_query_in_every_format_that_it_names(client: Any, get: Any, layer: str) -> None:
    from covjson_pydantic.coverage import Coverage, CoverageCollection

    media = {
        "CoverageJSON": "application/prs.coverage+json", "GeoJSON": "application/geo+json", "CSV": "text/csv",
        "NetCDF": "application/x-netcdf", "GeoTIFF": "image/tiff; application=geotiff",
    }  # fmt: skip
    # The gauges stand on one parallel: their extent has no height.
    queries = QUERIES if layer == "relief" else QUERIES | {"position": "coords=POINT(112.1 30)"}
    asked = 0
    for query, entry in get(f"/collections/{layer}")["data_queries"].items():
        if query not in queries:
            continue
        variables = entry["link"]["variables"]
        base = f"/ogc/collections/{layer}/{query}?{queries[query]}"
        for name in variables["output_formats"]:
            answer = client.get(f"{base}&f={name}")
            assert answer.status_code == 200, (query, name, answer.text[:200])
            assert kind(answer).startswith(media[name]), (query, name)
            asked += 1
            if name == "CoverageJSON":
                model = CoverageCollection if answer.json()["type"] == "CoverageCollection" else Coverage
                model.model_validate_json(answer.content)
            if name == "GeoJSON":
                document = answer.json()
                assert document["type"] == "FeatureCollection"
                assert all(f["type"] == "Feature" for f in document["features"])
                types = [link["type"].partition(";")[0] for link in links(document, "alternate")]
                assert {"application/geo+json", *types} == {media[other] for other in variables["output_formats"]}
                for link in document["links"]:
                    assert client.get(link["href"]).status_code == 200, link
        assert kind(client.get(base)).startswith(media[variables["default_output_format"]])
        assert client.get(f"{base}&f=GRIB").status_code == 400
    assert asked >= 15


@pytest.mark.requirement(EDR, "/req/edr/REQ_rc-width-units-definition")
def test_required_parameters_of_a_corridor(get: Any, describing: Any) -> None:
    document = get("/openapi")
    for layer in ("relief", "gauges"):
        named = describing(document, f"/collections/{layer}/corridor")["get"]["parameters"]
        found = [resolved(document, p) for p in named]
        (units,) = (p for p in found if p["name"] == "width-units")
        assert (units["in"], units["required"], units["schema"]["type"]) == ("query", True, "string")
        assert (units.get("style", "form"), units.get("explode", False)) == ("form", False)


@pytest.mark.requirement(EDR, "/req/instances/src-md-success")
@pytest.mark.parametrize("layer", ["relief", "gauges"])
def test_an_instance_is_described_as_in_the_list_and_as_its_collection(get: Any, layer: str) -> None:
    collection = get(f"/collections/{layer}")
    for instance in get(f"/collections/{layer}/instances")["instances"]:
        alone = get(f"/collections/{layer}/instances/{instance['id']}")
        assert {"id", "links", "extent", "data_queries", "parameter_names"} <= set(alone)
        for key in ("id", "title", "description", "extent"):
            assert alone[key] == instance[key], key
        assert alone["description"] == collection["description"]
        assert alone["title"].startswith(collection["title"])
        assert alone["extent"]["spatial"]["bbox"] == collection["extent"]["spatial"]["bbox"]


# -- HTTP --------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(EDR, "/req/core/http")
@pytest.mark.requirement(PROCESSES, "/req/core/http")
@pytest.mark.parametrize(
    "path",
    ["/ogc/", "/ogc/collections/relief", "/ogc/collections/relief/position?coords=POINT(112.6 30.7)", "/ogc/processes",
     "/ogc/processes/echo"],
)  # fmt: skip
def test_methods_and_conditions_of_http(client: Any, path: str) -> None:
    answer = client.get(path)
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "etag"):
        assert head.headers.get(name) == answer.headers.get(name), name
    again = client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    refused = client.request("PATCH", path)
    assert refused.status_code == 405
    assert {"GET", "HEAD"} <= {method.strip() for method in refused.headers["allow"].split(",")}


# -- tiles and maps ----------------------------------------------------------------------------------------------------


@pytest.mark.requirement(TILES, "/req/jpeg/content")
def test_a_jpeg_tile_shows_what_the_png_shows(client: Any) -> None:
    from PIL import Image

    address = "/ogc/collections/relief/map/tiles/WebMercatorQuad/7/52/104"
    pictures = {}
    for form, media in (("png", "image/png"), ("jpg", "image/jpeg")):
        answer = client.get(f"{address}?f={form}")
        assert (answer.status_code, kind(answer)) == (200, media)
        with Image.open(io.BytesIO(answer.content)) as picture:
            assert picture.format == media.rpartition("/")[2].upper()
            assert picture.size == (256, 256)
            pictures[media] = np.asarray(picture.convert("RGBA")).astype(int)
    drawn = pictures["image/png"][..., 3] == 255
    assert drawn.sum() > 10_000
    difference = np.abs(pictures["image/png"] - pictures["image/jpeg"])[drawn][:, :3]
    assert np.median(difference) <= 2
    assert difference.mean() < 4


@pytest.mark.requirement(TILES, "/req/oas30/completeness", "/req/oas30/operation-id")
def test_the_definition_holds_every_tileset_under_its_name(client: Any, get: Any) -> None:
    document = get("/openapi")
    operations = {path: item["get"]["operationId"] for path, item in document["paths"].items() if "get" in item}

    def stands(address: str, suffix: str) -> None:
        path = address.partition("/ogc")[2].partition("?")[0]
        fits = [p for p in operations if len(p.split("/")) == len(path.split("/")) and all(
            a == b or a.startswith("{") for a, b in zip(p.split("/"), path.split("/"), strict=True))]  # fmt: skip
        assert any(f".{operations[p]}".endswith(suffix) for p in fits), (path, suffix, fits)

    whole = [("", "dataset", get(""))]
    whole += [(c["id"], "collection", c) for c in get("/collections")["collections"] if c["id"] != "catalogue"]
    seen = 0
    for _, level, found in whole:
        for rel, data in (("tilesets-vector", "vector"), ("tilesets-map", "map")):
            for link in links(found, f"{REL}/{rel}"):
                stands(link["href"], f".{level}.{data}.getTileSetsList")
                for tileset in client.get(link["href"]).json()["tilesets"]:
                    (self_link,) = links(tileset, "self")[:1]
                    stands(self_link["href"], f".{level}.{data}.getTileSet")
                    described = client.get(self_link["href"]).json()
                    for item in links(described, "item"):
                        stands(item["href"], f".{level}.{data}.getTile")
                        seen += 1
    assert seen >= 20
    tile = "/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}"
    for path, own in (("/tiles", {"collections"}), ("/collections/{collectionId}/map/tiles", {"f", "collectionId"})):
        named = document["paths"][path + tile]["get"]["parameters"]
        names = {resolved(document, p)["name"] for p in named}
        assert {"tileMatrixSetId", "tileMatrix", "tileRow", "tileCol", *own} <= names


@pytest.mark.requirement(MAPS, "/req/crs/crs-definition")
def test_a_map_in_every_crs_of_the_collection(client: Any, get: Any, describing: Any) -> None:
    document = get("/openapi")
    named = describing(document, "/collections/relief/map")["get"]["parameters"]
    found = [resolved(document, p) for p in named]
    (crs,) = (p for p in found if p["name"] == "crs")
    assert (crs["in"], crs["required"], crs["schema"]["type"]) == ("query", False, "string")
    listed = get("/collections/relief")["crs"]
    assert len(listed) == 12
    for uri in listed:
        answer = client.get("/ogc/collections/relief/map", params={"crs": uri, "width": 32, "height": 24, "f": "png"})
        assert answer.status_code == 200, (uri, answer.text[:200])
        assert answer.headers.get("content-crs", "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>") == f"<{uri}>"
    assert client.get("/ogc/collections/relief/map", params={"crs": "EPSG:9999"}).status_code == 400


# -- records -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(RECORDS, "/req/records-api/features-api", "/req/records-api/resource-name-mapping")
def test_records_are_asked_like_features(client: Any, get: Any) -> None:
    """Features Part 1, Core, on the catalogue: limit, bbox, datetime, links, numbers, one record, unknown and wrong."""
    items = "/collections/catalogue/items"
    page = get(items, limit=2)
    assert page["type"] == "FeatureCollection"
    assert page["numberReturned"] == len(page["features"]) == 2 < page["numberMatched"]
    assert page["timeStamp"].endswith("Z")
    assert [link["type"] for link in links(page, "self")] == ["application/geo+json"]
    assert links(page, "alternate")
    following = client.get(links(page, "next")[0]["href"]).json()
    assert {f["id"] for f in following["features"]}.isdisjoint(f["id"] for f in page["features"])
    one = get(f"{items}/{page['features'][0]['id']}")
    assert (one["type"], one["id"]) == ("Feature", page["features"][0]["id"])
    assert links(one, "self")
    assert links(one, "collection")
    assert "relief" in [f["id"] for f in get(items, limit=1000, bbox="112,31.2,113,31.4")["features"]]
    assert "gauges" not in [f["id"] for f in get(items, limit=1000, datetime="../2024-06-30")["features"]]
    for wrong in ("limit=0", "bbox=1,2,3", "datetime=never", "unknown=1"):
        assert client.get(f"/ogc{items}?{wrong}").status_code == 400, wrong
    assert client.get(f"/ogc{items}/nothing").status_code == 404


@pytest.mark.requirement(
    RECORDS, "/req/searchable-catalog/mandatory-record-properties", "/req/record-collection/contact"
)
def test_every_record_has_what_every_record_must_have(get: Any) -> None:
    records = get("/collections/catalogue/items", limit=1000)["features"]
    assert len(records) > 6
    for record in records:
        assert {"id", "type", "geometry", "time", "properties"} <= set(record), record["id"]
        assert {"type", "title"} <= set(record["properties"]), record["id"]
        assert links(record, "self") or links(record, "collection"), record["id"]
    for contact in get("/collections/catalogue")["contacts"]:
        assert contact.get("logo") is None or contact["logo"]["rel"] == "icon"
        assert all(link["type"] for link in contact.get("links", ()))


@pytest.mark.requirement(RECORDS, "/req/json/collection-response")
def test_the_catalogue_has_its_own_media_type(client: Any) -> None:
    plain = client.get("/ogc/collections/catalogue")
    assert kind(plain) == "application/json"
    for answer in (
        client.get("/ogc/collections/catalogue", headers={"Accept": CATALOG}),
        client.get("/ogc/collections/catalogue?f=ogc-catalog"),
    ):
        assert (answer.status_code, kind(answer)) == (200, CATALOG)
        assert answer.json()["itemType"] == "record"
        assert answer.headers["etag"] != plain.headers["etag"]
    assert CATALOG in [link["type"] for link in links(plain.json(), "alternate")]
