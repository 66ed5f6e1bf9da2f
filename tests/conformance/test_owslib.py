"""OWSLib's clients of OGC API Features, OGC API Processes and WMTS."""

from __future__ import annotations

import json
import time
import urllib.request

import numpy as np
import pytest
import shapely
from owslib.ogcapi.features import Features
from owslib.ogcapi.processes import Processes
from owslib.wmts import WebMapTileService

BOX = [114.2, 30.5, 114.5, 30.7]


@pytest.fixture(scope="module")
def features(ogc):
    return Features(ogc, timeout=60)


@pytest.fixture
def processes(ogc):
    """A client of its own for each test: it keeps the headers of its last execution."""
    return Processes(ogc, timeout=300)


def read_json(address):
    with urllib.request.urlopen(address, timeout=60) as answer:
        return json.load(answer)


def test_landing_conformance_and_definition(features):
    assert {"service-desc", "conformance", "data"} <= {link["rel"] for link in features.links}
    declared = features.conformance()["conformsTo"]
    for wanted in ("features-1/1.0/conf/core", "features-2/1.0/conf/crs", "features-3/1.0/conf/filter"):
        assert any(uri.endswith(wanted) for uri in declared), wanted
    assert features.api()["openapi"].startswith("3.0")


def test_collections_are_told_apart(features, samples):
    assert set(samples.vectors) <= set(features.feature_collections())
    assert not set(samples.rasters) & set(features.feature_collections())
    assert set(samples.layers) <= {c["id"] for c in features.collections()["collections"]}


def test_every_collection_by_its_next_links(features, samples):
    for layer_id in samples.vectors:
        expected = samples.frame(layer_id)
        page = features.collection_items(layer_id, limit=1000)
        assert page["numberMatched"] == len(expected)
        found = page["features"]
        while following := [link["href"] for link in page["links"] if link["rel"] == "next"]:
            page = read_json(following[0])
            found += page["features"]
        assert [f["id"] for f in found] == list(expected.index)
        ours = shapely.normalize(shapely.from_geojson([json.dumps(f["geometry"]) for f in found]))
        theirs = shapely.normalize(np.asarray(expected.geometry.array))
        np.testing.assert_allclose(shapely.get_coordinates(ours), shapely.get_coordinates(theirs), atol=1e-6, rtol=0)
        names = [field["name"] for field in samples.layers[layer_id]["fields"]]
        assert all(list(f["properties"]) == names for f in found)


def test_every_collection_describes_itself(features, samples):
    for layer_id in samples.vectors:
        document = features.collection(layer_id)
        assert document["id"] == layer_id
        np.testing.assert_allclose(
            document["extent"]["spatial"]["bbox"][0], samples.frame(layer_id).total_bounds, atol=1e-6
        )
        names = {field["name"] for field in samples.layers[layer_id]["fields"]}
        assert set(features.collection_queryables(layer_id)["properties"]) == names | {"geometry"}
        assert names < set(features.collection_schema(layer_id)["properties"])


def test_box_and_offset(features, samples):
    expected = samples.frame("counties")
    expected = expected[expected.intersects(shapely.box(*BOX))]
    whole = features.collection_items("counties", bbox=BOX, limit=100)
    assert [f["id"] for f in whole["features"]] == list(expected.index)
    second = features.collection_items("counties", bbox=BOX, limit=2, offset=2)
    assert [f["id"] for f in second["features"]] == list(expected.index[2:4])
    assert second["numberMatched"] == len(expected)


@pytest.mark.parametrize(
    ("span", "all_of_them"), [("2023-02-08", True), ("2023-02-01/..", True), ("../2023-02-07", False)]
)
def test_datetime(features, samples, span, all_of_them):
    gauges = samples.frame("river-gauges")
    found = features.collection_items("river-gauges", datetime_=span)["numberMatched"]
    assert found == (len(gauges) if all_of_them else 0)


def test_filters_as_text_and_as_json(features, samples):
    gauges = samples.frame("river-gauges")
    expected = list(gauges.index[(gauges.river == "长江") & (gauges.warning_m > 40)])
    text = features.collection_items("river-gauges", filter="river = '长江' AND warning_m > 40", limit=100)
    assert [f["id"] for f in text["features"]] == expected
    tree = {
        "op": "and",
        "args": [
            {"op": "=", "args": [{"property": "river"}, "长江"]},
            {"op": ">", "args": [{"property": "warning_m"}, 40]},
        ],
    }
    by_json = features.collection_items(
        "river-gauges", **{"filter": json.dumps(tree), "filter-lang": "cql2-json", "limit": 100}
    )
    assert [f["id"] for f in by_json["features"]] == expected


def test_spatial_filter(features, samples):
    ring = ", ".join(f"{x} {y}" for x, y in shapely.box(*BOX).exterior.coords)
    found = features.collection_items("seats", filter=f"S_INTERSECTS(geometry, POLYGON(({ring})))", limit=1000)
    seats = samples.frame("seats")
    assert [f["id"] for f in found["features"]] == list(seats.index[seats.intersects(shapely.box(*BOX))])


def test_one_feature(features, samples):
    feature = features.collection_item("counties", "420102")
    assert feature["properties"]["name"] == samples.frame("counties").loc[420102, "name"]


def test_a_wrong_property_is_said_clearly(features):
    with pytest.raises(RuntimeError, match="nothing"):
        features.collection_items("counties", filter="nothing = 1")


# --- processes ----------------------------------------------------------------------------------------------------------


def test_process_list_and_description(processes):
    listed = {p["id"]: p for p in processes.processes()}
    assert {"echo", "urban-suitability"} <= set(listed)
    description = processes.process("urban-suitability")
    assert {"bbox", "runoff_coefficient", "offroad_speed_kmh"} <= set(description["inputs"])
    assert {"sync-execute", "async-execute"} <= set(description["jobControlOptions"])


def test_echo_at_once(processes):
    answer = processes.execute("echo", {"message": "你好，湖北"})
    assert "你好，湖北" in json.dumps(answer, ensure_ascii=False)


def test_a_wrong_input_is_said_clearly(processes):
    with pytest.raises(RuntimeError, match="runoff_coefficient"):
        processes.execute("urban-suitability", {"bbox": BOX, "runoff_coefficient": 7})


def test_suitability_at_once_for_a_small_area(processes):
    answer = processes.execute("urban-suitability", {"bbox": BOX}, outputs={"result": {"transmissionMode": "value"}})
    rows = {row["code"]: row for row in answer["result"]["tables"]["by_county"]}
    # The whole of this district lies in the box; its parts make up its area.
    row = rows["420102"]
    parts = row["suitable_km2"] + row["moderate_km2"] + row["unsuitable_km2"] + row["not_assessed_km2"]
    assert parts == pytest.approx(row["unit_km2"], rel=1e-3)


def test_suitability_as_a_job_that_is_followed(ogc, processes, features):
    job = processes.execute("urban-suitability", {"bbox": BOX}, async_=True)
    # The client hands the status document back; it has no calls for jobs.
    assert job["type"] == "process"
    assert job["processID"] == "urban-suitability"
    status = f"{ogc}/jobs/{job['jobID']}"
    deadline = time.monotonic() + 240
    while job["status"] in ("accepted", "running") and time.monotonic() < deadline:
        time.sleep(0.5)
        job = read_json(status)
    assert job["status"] == "successful", job
    links = [link["href"] for link in job["links"] if link["rel"].endswith("/results")]
    results = read_json(links[0])
    assert {"class", "result"} <= set(results)
    # What was computed is a layer now, seen by the same client.
    computed = {link["href"].rpartition("/")[2] for link in job["links"] if link["rel"] == "collection"}
    assert computed
    assert computed <= {c["id"] for c in features.collections()["collections"]}


# --- WMTS ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/tiles/wmts", "/tiles/wmts/1.0.0/WMTSCapabilities.xml"])
def test_wmts_capabilities(published_server, samples, address):
    service = WebMapTileService(published_server + address)
    assert set(samples.layers) <= set(service.contents)
    assert {"WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad", "w", "c"} <= set(service.tilematrixsets)
    for layer_id in samples.vectors:
        np.testing.assert_allclose(
            service.contents[layer_id].boundingBoxWGS84, samples.frame(layer_id).total_bounds, atol=1e-6
        )


@pytest.mark.parametrize(
    ("tms", "matrix"), [("WebMercatorQuad", 7), ("WorldCRS84Quad", 6), ("CGCS2000Quad", 6), ("c", 7)]
)
def test_wmts_tile(published_server, tms, matrix):
    service = WebMapTileService(f"{published_server}/tiles/wmts")
    # The tile that holds Wuhan, 114.3 E 30.6 N.
    if tms == "WebMercatorQuad":
        row, col = 52, 104
    else:
        row, col = (int((90 - 30.6) / (180 / 64)), int((114.3 + 180) / (180 / 64)))
    tile = service.gettile(
        layer="dem", tilematrixset=tms, tilematrix=str(matrix), row=row, column=col, format="image/png"
    )
    data = tile.read()
    assert data.startswith(b"\x89PNG")
    assert len(data) > 1000
