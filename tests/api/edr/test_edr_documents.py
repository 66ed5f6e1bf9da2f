"""EDR 1.1: instances and what the documents say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

SUITE = "ogcapi-edr-1/1.1"


@pytest.mark.requirement(SUITE, "/req/instances/rc-md-op", "/req/instances/rc-md-success", "/req/instances/src-md-op")
def test_every_version_is_an_instance(world: SimpleNamespace, ask: Any, numbers: Any) -> None:
    import rasterio

    from spatial.catalog import Layer

    newer = world.hand_made.write_relief(world.folder / "newer.tif")
    with rasterio.open(newer, "r+") as file:
        values = file.read()
        file.write(np.where(values == -9999, values, values + 1))
    source = {**world.wanted["relief"]["source"], "version": "2"}
    world.datastore.publish_raster(Layer.model_validate(world.wanted["relief"] | {"source": source}), newer)
    document = ask("relief/instances")
    assert {i["id"] for i in document["instances"]} == {"1", "2"}
    one = ask("relief/instances/1")
    assert one["id"] == "1"
    assert one["data_queries"]["position"]["link"]["href"].endswith("/relief/instances/1/position")
    assert numbers(ask("relief/instances/1/position", coords="POINT(112.6 30.7)"), "elevation") == [101]
    assert numbers(ask("relief/instances/2/position", coords="POINT(112.6 30.7)"), "elevation") == [102]
    assert world.client.get("/ogc/collections/relief/instances/9").status_code == 404
    assert len(ask("levels/instances/1/locations")["features"]) == 3
    # Back to the values that the other tests know.
    again = {**world.wanted["relief"]["source"], "version": "3"}
    world.datastore.publish_raster(
        Layer.model_validate(world.wanted["relief"] | {"source": again}),
        world.hand_made.write_relief(world.folder / "third.tif"),
    )


@pytest.mark.requirement(
    SUITE, "/req/edr/rc-collection-info", "/req/edr/rc-data-queries", "/req/edr/rc-common-query-type",
    "/req/edr/rc-common-variables", "/req/edr/rc-radius-variables", "/req/edr/rc-corridor-variables",
    "/req/edr/rc-cube-variables", "/req/core/rc-md-query-links", "/req/core/rc-extent", "/req/edr/rc-items",
    "/req/edr/rc-items-variables",
)  # fmt: skip
def test_collection_documents_say_what_can_be_asked(world: SimpleNamespace, ask: Any) -> None:
    documents = {d["id"]: d for d in world.client.get("/ogc/collections").json()["collections"]}
    relief, levels, parcels = documents["relief"], documents["levels"], documents["parcels"]
    assert set(relief["data_queries"]) == {"position", "radius", "area", "cube", "trajectory", "corridor"}
    assert set(levels["data_queries"]) == {"position", "radius", "area", "cube", "corridor", "locations", "items"}
    assert set(parcels["data_queries"]) == {"items"}
    for document in (relief, levels, parcels):
        for query, entry in document["data_queries"].items():
            link = entry["link"]
            assert link["href"].endswith(f"/{document['id']}/{query}")
            assert link["rel"] == "data"
            assert link["variables"]["query_type"] == query
            default = link["variables"].get("default_output_format")
            assert default is None or default in link["variables"]["output_formats"]
        assert [link for link in document["links"] if link["rel"] == "data"]
        assert document["crs"][0].endswith("CRS84")
        assert document["output_formats"]
    assert relief["data_queries"]["radius"]["link"]["variables"]["within_units"] == ["m", "km"]
    assert relief["data_queries"]["corridor"]["link"]["variables"]["height_units"]
    elevation = relief["parameter_names"]["elevation"]
    assert elevation["type"] == "Parameter"
    assert elevation["unit"]["symbol"]["value"] == "m"
    assert elevation["observedProperty"]["id"]
    assert list(levels["parameter_names"]) == ["level", "grade"]
    assert relief["extent"]["temporal"]["interval"] == [[None, None]]
    single = ask("relief")
    assert {k: single[k] for k in ("id", "title", "description", "extent")} == {
        k: relief[k] for k in ("id", "title", "description", "extent")
    }


def test_the_extent_of_a_collection_can_be_asked_back_as_it_is_written(ask: Any, numbers: Any) -> None:
    """Clients copy the interval, also the open ends ``null``."""
    document = ask("relief/position", coords="POINT(112.6 30.7)", datetime="null/null")
    assert numbers(document, "elevation") == [101]


@pytest.mark.requirement(SUITE, "/req/core/conformance", "/req/core/conformance-success")
def test_conformance(world: SimpleNamespace) -> None:
    declared = world.client.get("/ogc/conformance").json()["conformsTo"]
    for name in ("core", "collections", "covjson", "edr-geojson", "queries"):
        assert f"http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/{name}" in declared


@pytest.mark.requirement(
    SUITE, "/req/edr/coords-definition", "/req/edr/REQ_rc-crs-definition", "/req/edr/rc-f-definition",
    "/req/edr/REQ_rc-parameter-name-definition", "/req/core/datetime-definition", "/req/edr/within-definition",
    "/req/edr/corridor-width-definition", "/req/core/rc-bbox-definition",
)  # fmt: skip
def test_openapi_is_what_is_read(world: SimpleNamespace, describing: Any) -> None:
    from spatial.ogc.edr.queries import Query, parameters_of_query

    document = world.client.get("/ogc/openapi").json()

    def resolve(found: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in found:
            _, _, section, name = found["$ref"].split("/")
            found = document["components"][section][name]
        return found

    for layer, raster in (("relief", True), ("levels", False)):
        for base, extra in (
            (f"/collections/{layer}", set[str]()),
            (f"/collections/{layer}/instances/{{instanceId}}", {"instanceId"}),
        ):
            extra |= {"collectionId"}
            queries: list[Query] = ["position", "radius", "area", "cube", "corridor"] + (
                ["trajectory"] if raster else []
            )
            for query in queries:
                operation = describing(document, f"{base}/{query}")["get"]
                found = {p["name"]: p for p in map(resolve, operation["parameters"])}
                # One description stands for rasters and stations: it names what either takes, and says of which.
                either = {n for kind in (True, False) for n in parameters_of_query(query, raster=kind)}
                assert set(found) == (either | extra)
                assert set(parameters_of_query(query, raster=raster)) <= set(found)
                if "coords" in found:
                    assert found["coords"]["required"]
                    assert found["coords"]["schema"]["type"] == "string"
                assert found["parameter-name"]["schema"]["type"] == "array"
                assert not found["datetime"]["required"]
                assert {"200", "204", "400", "413"} <= set(operation["responses"])
    for path, layers in (
        ("position", {"relief", "levels"}), ("trajectory", {"relief"}), ("locations", {"levels"}),
        ("locations/{locationId}", {"levels"}), ("instances/{instanceId}/locations", {"levels"}),
    ):  # fmt: skip
        operation = document["paths"][f"/collections/{{collectionId}}/{path}"]["get"]
        named = next(p for p in map(resolve, operation["parameters"]) if p["name"] == "collectionId")["schema"]["enum"]
        assert set(named) & {"relief", "levels", "parcels"} == layers, path
    cube = {p["name"]: p for p in map(resolve, describing(document, "/collections/levels/cube")["get"]["parameters"])}
    assert set(cube["f"]["schema"]["enum"]) == {"CoverageJSON", "GeoJSON", "CSV", "NetCDF", "GeoTIFF"}
    assert "NetCDF、GeoTIFF 只用于栅格，GeoJSON 只用于测站" in cube["f"]["description"]
    assert "限栅格" in cube["resolution-x"]["description"]
    assert not describing(document, "/collections/parcels/position")
    operations = [o["operationId"] for item in document["paths"].values() for o in item.values() if "operationId" in o]
    assert len(operations) == len(set(operations))
