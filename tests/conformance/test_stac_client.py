"""Other people's clients of the STAC API and of the catalogue: pystac-client, GDAL's STACIT driver, OWSLib Records."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from owslib.ogcapi.records import Records
from pystac_client import Client


@pytest.fixture(scope="module")
def server(request):
    """A running server with all sample layers; the STAC API stands in memory and asks no vector store."""
    from os import environ

    return environ.get("ONEMAP_TEST_SERVER", "").rstrip("/") or request.getfixturevalue("demo_server")


@pytest.fixture(scope="module")
def stac(server):
    return Client.open(f"{server}/stac")


def test_every_raster_layer_is_a_collection(stac, samples):
    assert set(samples.rasters) <= {collection.id for collection in stac.get_collections()}
    assert not set(samples.vectors) & {collection.id for collection in stac.get_collections()}


def test_search_by_place_time_and_filter(stac, samples):
    def found(**wanted):
        return {item.collection_id for item in stac.search(**wanted).items()}

    wuhan = {"type": "Point", "coordinates": [114.3, 30.6]}
    assert {"dem", "landcover"} <= found(intersects=wuhan)
    assert found(bbox=[0, 0, 1, 1]) == set()
    assert {"landcover", "surface-reflectance"} == found(datetime="2019-06-01T00:00:00Z")
    synthetic = {name for name in samples.rasters if samples.layers[name].get("synthetic")}
    # Synthetic too: results that other tests have published on this server, and the demo's own flights over a bank.
    by_json = found(filter={"op": "=", "args": [{"property": "synthetic"}, True]}, filter_lang="cql2-json")
    assert by_json - {"results", "uav-honghu-north"} == synthetic
    assert found(filter="bands = 'ndvi_max'", filter_lang="cql2-text", method="GET") == {"ndvi"}


def test_all_pages_in_both_methods_and_orders(stac, samples):
    for method in ("GET", "POST"):
        search = stac.search(limit=7, max_items=500, sortby="+id", method=method)
        ids = [item.id for item in search.items()]
        assert ids == sorted(ids)
        assert len(ids) == search.matched() >= len(samples.rasters)


def test_file_of_an_item_is_read_in_parts(stac, samples):
    (item,) = stac.search(collections=["dem"]).items()
    href = item.assets["data"].href
    path = samples.root / samples.layers["dem"]["source"]["uri"]
    with rasterio.open(path) as source, rasterio.open(href) as served:
        assert served.bounds == source.bounds
        window = rasterio.windows.Window(100, 100, 64, 64)
        assert np.array_equal(served.read(1, window=window), source.read(1, window=window))


def test_gdal_opens_an_item_collection(server, run_gdal, samples):
    told = run_gdal("gdalinfo", f'STACIT:"{server}/stac/search?collections=dem":asset=data')
    with rasterio.open(samples.root / samples.layers["dem"]["source"]["uri"]) as source:
        assert f"Size is {source.width}, {source.height}" in told.text
    assert 'ID["EPSG",4490]' in told.text
    assert "/stac/files/dem/" in told.text


def test_owslib_reads_the_catalogue(server, samples):
    client = Records(f"{server}/ogc", timeout=60)
    assert client.records() == ["catalogue"]
    assert "catalogue" not in client.feature_collections()
    assert client.collection("catalogue")["itemType"] == "record"
    assert "theme" in client.collection_queryables("catalogue")["properties"]
    page = client.collection_items("catalogue", limit=1000)
    assert set(samples.layers) <= {record["id"] for record in page["features"]}
    # «生态保护红线» by four of its six characters.
    found = client.collection_items("catalogue", q="生态红线", type="dataset")
    assert found["features"][0]["id"] == "ecological-redline"
    assert client.collection_items("catalogue", q="elevation")["features"][0]["id"] == "dem"
    box = client.collection_items("catalogue", bbox=[0, 0, 1, 1], type="dataset", limit=1000)
    assert box["numberMatched"] == 0
    chosen = client.collection_items(
        "catalogue", filter="theme = 'control' AND synthetic = true", sortby=("id", "desc")
    )
    ids = [record["id"] for record in chosen["features"]]
    assert ids == sorted(ids, reverse=True)
    assert {"ecological-redline", "permanent-farmland", "urban-growth-boundary"} <= set(ids)
    record = client.collection_item("catalogue", "dem")
    assert record["properties"]["title"] == samples.layers["dem"]["title"]["zh"]
