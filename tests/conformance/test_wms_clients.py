"""Desktop clients read the maps: GDAL's WMS driver in every axis order, GDAL's OGCAPI driver, and OWSLib over HTTP."""

from __future__ import annotations

import io
import json
import urllib.parse

import numpy as np
import pytest
from owslib.wms import WebMapService
from PIL import Image


@pytest.fixture(scope="module")
def known(samples):
    """A point in the middle of 5 × 5 cells of one land cover class, and the colour of the class."""
    import rasterio

    layer = samples.layers["landcover"]
    colours = {c["value"]: tuple(bytes.fromhex(c["color"][1:7])) for c in layer["style"]["classes"]}
    with rasterio.open(samples.root / layer["source"]["uri"]) as file:
        values = file.read(1)
        for row in range(2, file.height - 2):
            for col in range(2, file.width - 2):
                block = values[row - 2 : row + 3, col - 2 : col + 3]
                if (block == block[0, 0]).all() and int(block[0, 0]) in colours and file.xy(row, col)[0] > 112:
                    return (*file.xy(row, col), colours[int(block[0, 0])])
    raise AssertionError("no such place")


def colour(run_gdal, name, lon, lat, *options):
    text = run_gdal("gdallocationinfo", *options, "-wgs84", "-valonly", name, str(lon), str(lat)).text
    return tuple(int(v) for v in text.split())[:3]


@pytest.mark.parametrize(
    ("version", "crs", "bbox"),
    [
        ("1.3.0", "CRS:84", "108,29,116.2,33.5"),
        ("1.3.0", "EPSG:4326", "29,108,33.5,116.2"),
        ("1.3.0", "EPSG:4490", "29,108,33.5,116.2"),
        ("1.3.0", "EPSG:3857", "12000000,3380000,12930000,3950000"),
        ("1.3.0", "EPSG:4547", "3200000,0,3700000,800000"),
        ("1.1.1", "EPSG:4326", "108,29,116.2,33.5"),
        ("1.1.1", "EPSG:4490", "108,29,116.2,33.5"),
        ("1.1.1", "EPSG:4547", "0,3200000,800000,3700000"),
    ],
)
def test_gdal_finds_the_class_of_a_place(published_server, run_gdal, known, version, crs, bbox):
    # GDAL reads the BBOX of its name, and writes those of its requests, in the order of the version and the CRS.
    query = {
        "SERVICE": "WMS",
        "VERSION": version,
        "REQUEST": "GetMap",
        "LAYERS": "landcover",
        "CRS" if version == "1.3.0" else "SRS": crs,
        "BBOX": bbox,
        "FORMAT": "image/png",
    }
    name = f"WMS:{published_server}/tiles/wms?{urllib.parse.urlencode(query, safe=',:/')}"
    lon, lat, expected = known
    assert colour(run_gdal, name, lon, lat) == expected


def test_gdal_lists_every_layer(published_server, run_gdal, samples):
    text = run_gdal(
        "gdalinfo", f"WMS:{published_server}/tiles/wms?SERVICE=WMS&VERSION=1.3.0&REQUEST=GetCapabilities"
    ).text
    for layer_id in samples.layers:
        assert f"LAYERS={layer_id}&" in text


def test_gdal_ogcapi_driver_reads_maps(published_server, run_gdal, known):
    # Of map tiles this GDAL (3.6) reads a draft of the matrix sets only; its WMTS driver reads ours.
    lon, lat, expected = known
    name = f"OGCAPI:{published_server}/ogc/collections/landcover"
    info = json.loads(run_gdal("gdalinfo", "-json", "-oo", "API=MAP", name).text)
    assert info["driverShortName"] == "OGCAPI"
    assert colour(run_gdal, name, lon, lat, "-oo", "API=MAP") == expected


@pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
def test_owslib_draws_and_asks(published_server, known, version):
    service = WebMapService(f"{published_server}/tiles/wms", version=version)
    assert {"landcover", "counties"} <= set(service.contents)
    assert "image/png" in service.getOperationByName("GetMap").formatOptions
    lon, lat, expected = known
    # OWSLib takes x first and turns the order for EPSG:4326 in 1.3.0 itself.
    query = {"layers": ["landcover", "counties"], "srs": "EPSG:4326", "size": (101, 101)}
    query["bbox"] = (lon - 0.005, lat - 0.005, lon + 0.005, lat + 0.005)
    picture = service.getmap(**{**query, "layers": ["landcover"]}, format="image/png", transparent=True)
    pixels = np.asarray(Image.open(io.BytesIO(picture.read())).convert("RGBA"))
    assert tuple(pixels[50, 50, :3].tolist()) == expected
    asked = service.getfeatureinfo(
        **query, query_layers=["landcover", "counties"], info_format="application/json", xy=(50, 50)
    )
    found = json.loads(asked.read())["features"]
    assert found[0]["layer"] == "landcover"
    with pytest.raises(Exception, match="没有图层"):
        service.getmap(**{**query, "layers": ["nothing"]}, format="image/png")


@pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
def test_every_layer_is_drawn_over_its_own_extent(published_server, version):
    service = WebMapService(f"{published_server}/tiles/wms", version=version)
    for name, layer in service.contents.items():
        west, south, east, north = layer.boundingBoxWGS84
        picture = service.getmap(
            layers=[name],
            srs="EPSG:4326",
            bbox=(west - 0.01, south - 0.01, east + 0.01, north + 0.01),
            size=(160, 90),
            format="image/png",
            transparent=True,
        )
        assert np.asarray(Image.open(io.BytesIO(picture.read())).convert("RGBA"))[..., 3].any(), name
