"""Coverages: the whole, boxes and bands; values cell by cell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"

WEST, NORTH, CELL, ROWS, COLS = 112.0, 31.5, 1 / 64, 96, 128
"""Grid of ``terrain``: 1/64°, an exact number in binary, so that borders are exact."""


# -- the whole, and values cell by cell --------------------------------------------------------------------------------


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/core/get-coverage")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/cog/cloud-optimized")
def test_without_parameters_the_stored_file_is_the_answer(world: SimpleNamespace, ask: Any, opened: Any) -> None:
    raster = world.published.raster("terrain")
    answer = ask("terrain", headers={"Accept-Encoding": "identity"})
    assert answer.content == raster.path.read_bytes()
    assert answer.headers["content-type"] == "image/tiff; application=geotiff"
    assert answer.headers["content-crs"] == f"<{EPSG}4490>"
    np.testing.assert_array_equal(opened(answer).array, world.values)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/cog/http-range")
def test_byte_ranges_of_the_whole_file(world: SimpleNamespace) -> None:
    whole = world.published.raster("terrain").path.read_bytes()
    answer = world.client.get(
        "/ogc/collections/terrain/coverage", headers={"Range": "bytes=100-199", "Accept-Encoding": "identity"}
    )
    assert answer.status_code == 206
    assert answer.content == whole[100:200]
    assert answer.headers["content-range"] == f"bytes 100-199/{len(whole)}"


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/bbox-definition")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/core/response-headers")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/geotiff/coverage")
def test_a_box_gives_the_native_cells_it_meets_bit_by_bit(world: SimpleNamespace, ask: Any, opened: Any) -> None:
    # Columns 10 … 20 and rows 5 … 15: the box starts in the middle of cells 10 and 5 and ends in 20 and 15.
    west, east = WEST + 10.5 * CELL, WEST + 20.5 * CELL
    north, south = NORTH - 5.5 * CELL, NORTH - 15.5 * CELL
    answer = ask("terrain", f"?bbox={west},{south},{east},{north}")
    found = opened(answer)
    np.testing.assert_array_equal(found.array, world.values[:, 5:16, 10:21])
    assert found.bounds == (WEST + 10 * CELL, NORTH - 16 * CELL, WEST + 21 * CELL, NORTH - 5 * CELL)
    box = [float(value) for value in answer.headers["content-bbox"].split(",")]
    assert box == [found.bounds[1], found.bounds[0], found.bounds[3], found.bounds[2]]  # latitude first: EPSG:4490
    assert found.names == ("height", "slope", "cover")
    assert found.units[:2] == ("m", "degree")
    assert np.isnan(found.profile["nodata"])
    assert "合成" in found.tags["TITLE"]
    assert "content-interpolation" not in answer.headers


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/geotiff/raster-type")
def test_cells_are_areas(ask: Any, opened: Any) -> None:
    assert opened(ask("terrain", "?bbox=112,31,112.1,31.1")).tags["AREA_OR_POINT"] == "Area"


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/subset")
def test_a_box_on_cell_borders_takes_no_neighbours(world: SimpleNamespace, ask: Any, opened: Any) -> None:
    found = opened(
        ask("terrain", f"?subset=Lat({NORTH - 8 * CELL}:{NORTH - 4 * CELL}),Lon({WEST + 2 * CELL}:{WEST + 6 * CELL})")
    )
    np.testing.assert_array_equal(found.array, world.values[:, 4:8, 2:6])


def test_every_cell_of_the_raster_is_found_by_sample_and_by_a_single_coordinate(
    world: SimpleNamespace, ask: Any, opened: Any
) -> None:
    from spatial.store.raster import sample

    raster = world.published.raster("relief")
    for lon in (112.0, 112.3, 112.5, 113.0, 113.99):
        for lat in (31.5, 31.2, 31.0, 30.5, 30.01):
            found = opened(ask("relief", f"?subset=Lat({lat}),Lon({lon})")).array[0]
            assert found.shape == (1, 1)
            expected = sample(raster, lon, lat)[0]
            assert found[0, 0] == (-9999 if expected is None else expected), (lon, lat)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/multiple-subset")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/wildcard-limits")
def test_subset_given_twice_is_as_given_once(ask: Any, opened: Any) -> None:
    once = opened(ask("relief", "?subset=Lat(30.2:30.8),Lon(*:113)"))
    twice = opened(ask("relief", "?subset=Lat(30.2:30.8)&subset=lon(*:113)"))
    np.testing.assert_array_equal(once.array, twice.array)
    np.testing.assert_array_equal(once.array[0], [[100, 101], [200, 201]])


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/subset-crs")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/bbox-crs")
def test_boxes_in_other_crs_and_axis_orders(ask: Any, opened: Any) -> None:
    expected = opened(ask("relief", "?bbox=112.6,30.2,113.4,31.2")).array
    for query in (
        f"?bbox=30.2,112.6,31.2,113.4&bbox-crs={EPSG}4490",
        f"?bbox=30.2,112.6,31.2,113.4&bbox-crs={EPSG}4326",
        "?bbox=30.2,112.6,31.2,113.4&bbox-crs=[EPSG:4490]",
        f"?subset=Lat(30.2:31.2),Lon(112.6:113.4)&subset-crs={EPSG}4490",
    ):
        np.testing.assert_array_equal(opened(ask("relief", query)).array, expected)
    from pyproj import Transformer

    to_grid = Transformer.from_crs(4490, 4547, always_xy=True)
    (w, n), (e, s) = to_grid.transform(112.7, 31.1), to_grid.transform(113.3, 30.3)
    for query in (
        f"?bbox={s},{w},{n},{e}&bbox-crs={EPSG}4547",  # northing first
        f"?subset=E({w}:{e}),N({s}:{n})&subset-crs={EPSG}4547",
    ):
        np.testing.assert_array_equal(opened(ask("relief", query)).array, expected)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/wrap-around")
def test_a_box_across_the_antimeridian_is_cut_to_the_side_of_the_data(ask: Any, opened: Any) -> None:
    everything = opened(ask("relief", "?bbox=112,30,114,31.5")).array
    np.testing.assert_array_equal(opened(ask("relief", "?bbox=100,20,-170,40")).array, everything)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/out-of-bounds")
def test_a_box_outside_says_where_the_data_are(world: SimpleNamespace, problem: Any) -> None:
    document = problem(world, 404, "relief", "?bbox=1,2,3,4")
    assert document["extent"] == [112.0, 30.0, 114.0, 31.5]
    assert problem(world, 404, "relief", "?bbox=179,20,-179,40")["title"] == "OutsideExtent"
    # Only touching an edge is outside: no cell's interior meets it.
    assert problem(world, 404, "relief", "?bbox=114.0000001,30,115,31")["title"] == "OutsideExtent"


# -- bands -------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/field-selection/properties")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/field-selection/exclude-properties")
def test_bands_by_name_in_the_order_asked(world: SimpleNamespace, ask: Any, opened: Any) -> None:
    found = opened(ask("terrain", "?bbox=112,31,112.2,31.2&properties=cover,height"))
    assert found.names == ("cover", "height")
    both = opened(ask("terrain", "?bbox=112,31,112.2,31.2"))
    np.testing.assert_array_equal(found.array, both.array[[2, 0]])
    assert opened(ask("terrain", "?exclude-properties=slope")).names == ("height", "cover")


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/core/coverage-fields-schema")
def test_schema_names_the_bands(world: SimpleNamespace) -> None:
    document = world.client.get("/ogc/collections/terrain/schema?lang=en").json()
    assert list(document["properties"]) == ["height", "slope", "cover"]
    assert document["properties"]["height"]["x-ogc-unit"] == "m"
    assert document["properties"]["slope"]["x-ogc-propertySeq"] == 2
    assert document["properties"]["cover"]["enum"] == [1, 2, 3, 4]
    assert "synthetic" in document["title"]
    fields = world.client.get("/ogc/collections/parcels/schema").json()["properties"]
    assert "use" in fields


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/core/collection-description")
def test_collection_describes_grid_and_links(world: SimpleNamespace) -> None:
    document = world.client.get("/ogc/collections/relief").json()
    assert document["storageCrs"] == f"{EPSG}4490"
    assert document["crs"][0] == CRS84
    spatial = document["extent"]["spatial"]
    assert spatial["storageCrsBbox"] == [[30.0, 112.0, 31.5, 114.0]]
    assert spatial["grid"][0] == {"cellsCount": 4, "resolution": 0.5, "firstCoordinate": 112.25}
    found = [link for link in document["links"] if link["rel"].endswith("/coverage")]
    for link in found:
        answer = world.client.get(link["href"])
        assert answer.status_code == 200
        assert answer.headers["content-type"] == link["type"]
    listed = world.client.get("/ogc/collections").json()["collections"]
    assert all(any(k["rel"].endswith("/coverage") for k in c["links"]) for c in listed if c["id"] == "relief")
    period = world.client.get("/ogc/collections/terrain").json()["extent"]["temporal"]["interval"]
    assert period == [["2024-01-01T00:00:00Z", "2024-12-31T23:59:59Z"]]


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/core/conformance-success")
def test_conformance_names_what_is_tested(world: SimpleNamespace) -> None:
    declared = world.client.get("/ogc/conformance").json()["conformsTo"]
    classes = {c.rpartition("/")[2] for c in declared if "ogcapi-coverages-1" in c}
    assert classes >= {"core", "subsetting-spatial", "scaling-spatial", "field-selection", "crs", "geotiff", "netcdf"}
