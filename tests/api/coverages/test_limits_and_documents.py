"""Coverages: limits and bad input, a real client, and what the documents say."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

WEST, NORTH, CELL, ROWS, COLS = 112.0, 31.5, 1 / 64, 96, 128
"""Grid of ``terrain``: 1/64°, an exact number in binary, so that borders are exact."""


# -- limits and bad input ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "status", "parameter"),
    [
        ("?width=10000&height=10000", 413, None),
        ("?f=CoverageJSON&width=2000&height=2000", 413, None),
        ("?width=0", 400, "width"),
        ("?width=2.5", 400, "width"),
        ("?width=99999999", 400, "width"),
        ("?scale-factor=0", 400, "scale-factor"),
        ("?scale-factor=-2", 400, "scale-factor"),
        ("?scale-factor=nan", 400, "scale-factor"),
        ("?scale-factor=2&width=10", 400, "width"),
        ("?scale-size=Lat(2),Foo(3)", 400, "scale-size"),
        ("?resolution=E(30)", 400, "resolution"),
        ("?bbox=112,30,113", 400, "bbox"),
        ("?bbox=112,30,113,x", 400, "bbox"),
        ("?bbox=112,31,113,30", 400, "bbox"),
        ("?bbox=30,112,31,113", 400, "bbox"),
        ("?bbox=112,30,113,31&subset=Lat(30:31)", 400, "subset"),
        ("?subset=Lat(30:31", 400, "subset"),
        ("?subset=Lat(31:30)", 400, "subset"),
        ("?subset=Lat(a:b)", 400, "subset"),
        ("?subset=Lat(30:31),Lat(30:31)", 400, "subset"),
        ("?subset=E(1:2)", 400, "subset"),
        ("?subset=Lat(*)", 400, "subset"),
        ("?subset=time(%222024-01-01%22)", 400, "subset"),
        ("?subset=Lat(100:101)", 400, "subset"),
        ("?subset=Lat(30:31)&subset-crs=EPSG:4547", 400, "subset"),
        ("?crs=EPSG:9999", 400, "crs"),
        ("?bbox-crs=EPSG:9999&bbox=1,2,3,4", 400, "bbox-crs"),
        ("?properties=", 400, "properties"),
        ("?properties=nothing", 400, "properties"),
        ("?exclude-properties=elevation", 400, "exclude-properties"),
        ("?properties=elevation&exclude-properties=elevation", 400, "exclude-properties"),
        ("?interpolation=cubic", 400, "interpolation"),
        ("?datetime=yesterday", 400, "datetime"),
        ("?f=png", 400, "f"),
        ("?foo=1", 400, "foo"),
        ("?bbox=1,2,3,4&bbox=1,2,3,4", 400, "bbox"),
        ("?version=none", 404, None),
    ],
)
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/subset-invalid-axis")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/subset-bbox-exclusivity")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/scaling-spatial/resolution-invalid-axis")
def test_bad_input(world: SimpleNamespace, query: str, status: int, parameter: str | None, problem: Any) -> None:
    document = problem(world, status, "relief", query)
    if parameter is not None:
        assert document["parameter"] == parameter


def test_too_many_cells_says_by_which_factor_it_would_fit(world: SimpleNamespace, problem: Any) -> None:
    document = problem(world, 413, "relief", "?width=10000&height=10000")
    assert document["scale_factor"] == 2
    assert "scale-factor=2" in document["detail_en"]


def test_vector_layers_have_no_coverage(world: SimpleNamespace, problem: Any) -> None:
    assert "items" in problem(world, 404, "parcels", "")["detail_en"]
    assert problem(world, 404, "nowhere", "")["title"] == "LayerNotFound"


@pytest.mark.parametrize("harm", ["gone", "no GeoTIFF", "cut off"])
def test_a_broken_file_harms_its_own_layer_only(world: SimpleNamespace, ask: Any, harm: str) -> None:
    path = world.published.raster("terrain").path
    kept = path.read_bytes()
    # A cut file opens, and fails where it is read.
    left = {"gone": None, "no GeoTIFF": b"II*\x00 broken", "cut off": kept[: len(kept) // 3]}[harm]
    base = "/ogc/collections/terrain"
    addresses = [
        f"{base}/coverage?f={form}{part}"
        for form in ("GeoTIFF&scale-factor=2", "COG", "NetCDF", "CoverageJSON")
        for part in ("&bbox=112,30,114,31.5", "&crs=http://www.opengis.net/def/crs/EPSG/0/4547")
    ]
    addresses += [
        f"{base}/position?coords=POINT(112.1 30.2)",
        f"{base}/area?coords=POLYGON((112 30,114 30,114 31.5,112 30))",
        f"{base}/trajectory?coords=LINESTRING(112 30.1,114 31.4)",
        f"{base}/cube?bbox=112,30,114,31.5",
    ]
    if harm == "gone":
        addresses += [f"{base}/coverage", "/api/v1/layers/terrain/file"]
    try:
        path.unlink()
        if left is not None:
            path.write_bytes(left)
        for address in addresses:
            answer = world.client.get(address)
            assert answer.status_code == 503, (address, answer.status_code, answer.text[:200])
            assert (answer.json()["title"], answer.json()["layer"]) == ("StoreUnavailable", "terrain")
        ask("relief", "?bbox=112,30,113,31")
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(kept)


def test_memory_is_set_by_the_strip_not_by_the_answer(world: SimpleNamespace) -> None:
    from spatial.crs import CRS84 as LONLAT
    from spatial.store import coverage, coverage_grid

    raster = world.published.raster("terrain")
    scaling = coverage_grid.Scaling(width=2000, height=2000)
    grid = coverage_grid.plan_grid(raster, bands=[0], scaling=scaling, crs=LONLAT)
    shapes = [strip.shape for _, strip in coverage.read_strips(grid)]
    assert sum(shape[1] for shape in shapes) == 2000
    assert max(np.prod(shape) for shape in shapes) <= coverage.STRIP_VALUES


# -- a real client -----------------------------------------------------------------------------------------------------


def test_domain_set_and_range_type_fit_the_file(world: SimpleNamespace) -> None:
    grid = world.client.get("/ogc/collections/relief/coverage/domainset").json()["generalGrid"]
    assert grid["axisLabels"] == ["Lon", "Lat"]
    assert [a["resolution"] for a in grid["axis"]] == [0.5, 0.5]
    assert [a["upperBound"] for a in grid["gridLimits"]["axis"]] == [3, 2]
    fields = world.client.get("/ogc/collections/relief/coverage/rangetype").json()["field"]
    assert [f["name"] for f in fields] == ["elevation"]


def test_gdal_reads_the_coverage_through_its_ogcapi_driver(
    world: SimpleNamespace, free_port: int, tmp_path: Path
) -> None:
    import threading
    import time
    import urllib.request

    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(world.app, host="127.0.0.1", port=free_port, log_level="error", lifespan="off")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        base = f"http://127.0.0.1:{free_port}/ogc"
        for _ in range(100):
            try:
                urllib.request.urlopen(f"{base}/conformance", timeout=2).close()
                break
            except OSError:
                time.sleep(0.05)
        command = [
            "gdal_translate",
            "-q",
            "-oo",
            "API=COVERAGE",
            "-oo",
            "CACHE=NO",
            f"OGCAPI:{base}/collections/terrain",
        ]
        subprocess.run([*command, str(tmp_path / "out.tif")], check=True, timeout=60)
    finally:
        server.should_exit = True
        thread.join(10)
    import rasterio

    with rasterio.open(tmp_path / "out.tif") as file:
        assert file.count == 3
        assert tuple(file.bounds) == (WEST, NORTH - ROWS * CELL, WEST + COLS * CELL, NORTH)
        slope, cover = file.read(2), file.read(3)
    assert slope.shape == (ROWS, COLS)
    np.testing.assert_allclose(slope, world.values[1], rtol=1e-5)
    valid = ~np.isnan(world.values[2])
    np.testing.assert_array_equal(cover[valid], world.values[2][valid])


# -- OpenAPI -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/oas30/completeness")
def test_openapi_lists_the_parameters_that_are_read(world: SimpleNamespace) -> None:
    from spatial.ogc.coverages.request import COVERAGE_PARAMETERS

    document = world.client.get("/ogc/openapi").json()
    operation = document["paths"]["/collections/terrain/coverage"]["get"]

    def resolve(found: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in found:
            return found
        _, _, section, name = found["$ref"].split("/")
        resolved: dict[str, Any] = document["components"][section][name]
        return resolved

    parameters = {p["name"]: p for p in map(resolve, operation["parameters"])}
    assert set(parameters) == set(COVERAGE_PARAMETERS)
    assert parameters["properties"]["schema"]["items"]["enum"] == ["height", "slope", "cover"]
    assert all(resolve(answer)["description"] for answer in operation["responses"].values())
    assert io.StringIO(json.dumps(document)).read().count('"$ref": "http') == 0
