"""Coverages (覆盖数据): values cell by cell, boxes, scaling, CRSs, formats, limits, real clients.

Requirement ids follow the draft 19-087 of July 2026; ``scale-factor``, ``scale-axes`` and ``scale-size`` that of June 2024
(/req/coverage-scaling/…), which today's clients still send.
"""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
WEST, NORTH, CELL, ROWS, COLS = 112.0, 31.5, 1 / 64, 96, 128
"""Grid of ``terrain``: 1/64°, an exact number in binary, so that borders are exact."""


def _band(name: str, zh: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "title": {"zh": zh, "en": name}, "valid_range": (-100_000, 100_000), **more}


def terrain_values() -> np.ndarray[Any, Any]:
    """Bands height (with holes), slope, cover (classes 1–4)."""
    rows, cols = np.mgrid[0:ROWS, 0:COLS].astype(np.float32)
    height = 100 * np.sin(rows / 9) + cols * 1.25 + 0.1
    height[10:14, 20:30] = np.nan
    slope = (rows * COLS + cols) / 7
    cover = 1 + ((rows // 6 + cols // 5) % 4)
    cover[-1, -1] = np.nan
    return np.stack([height, slope, cover]).astype(np.float32)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, hand_made: Any) -> Iterator[SimpleNamespace]:
    """An application with three rasters: ``terrain`` (float, 3 bands, synthetic), ``packed`` (scale and offset), ``relief``."""
    import rasterio
    from rasterio.transform import from_origin
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.catalog import Layer
    from spatial.settings import Settings

    folder = tmp_path_factory.mktemp("coverages")
    definitions = {
        "relief": hand_made.definitions["relief"],
        "parcels": hand_made.definitions["parcels"],
        "terrain": hand_made.layer_definition(
            "terrain",
            kind="raster",
            fields=[],
            bands=[
                _band("height", "高程", unit="m"),
                _band("slope", "坡度", unit="degree"),
                _band("cover", "覆盖", domain={str(k): {"zh": f"类{k}", "en": f"class {k}"} for k in range(1, 5)}),
            ],
            synthetic={"seed": 1, "recipe": {"zh": "公式", "en": "a formula"}},
            period=["2024-01-01", "2024-12-31"],
        ),
        "packed": hand_made.layer_definition(
            "packed", kind="raster", fields=[], bands=[_band("warmth", "气温", unit="degC")]
        ),
    }
    app = create_app(
        Settings(
            store="duckdb", var_dir=folder / "var", layers_dir=hand_made.write_layers(folder / "layers", definitions)
        )
    )
    datastore = app.state.datastore
    values = terrain_values()
    profile = {
        "driver": "GTiff", "width": COLS, "height": ROWS, "count": 3, "dtype": "float32", "nodata": float("nan"),
        "crs": "EPSG:4490", "transform": from_origin(WEST, NORTH, CELL, CELL), "photometric": "minisblack",
    }  # fmt: skip
    with rasterio.open(folder / "terrain.tif", "w", **profile) as file:
        file.write(values)
    packed = np.array([[0, 100], [-32768, 250]], dtype="int16")
    small = profile | {
        "width": 2, "height": 2, "count": 1, "dtype": "int16", "nodata": -32768, "transform": from_origin(110, 30, 1, 1)
    }  # fmt: skip
    with rasterio.open(folder / "packed.tif", "w", **small) as file:
        file.write(packed, 1)
        file.scales, file.offsets = (0.1,), (-5.0,)
    datastore.publish_raster(Layer.model_validate(definitions["terrain"]), folder / "terrain.tif")
    datastore.publish_raster(Layer.model_validate(definitions["packed"]), folder / "packed.tif")
    datastore.publish_raster(Layer.model_validate(definitions["relief"]), hand_made.write_relief(folder / "relief.tif"))
    datastore.publish_vector(Layer.model_validate(definitions["parcels"]), hand_made.parcels_frame())
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as client:
        yield SimpleNamespace(
            client=client, app=app, datastore=datastore, values=values, folder=folder, published=datastore.snapshot()
        )


@pytest.fixture
def ask(world: SimpleNamespace) -> Callable[..., Any]:
    """GET ``/coverage`` of a layer that must succeed."""

    def get(layer: str, query: str = "", **more: Any) -> Any:
        answer = world.client.get(f"/ogc/collections/{layer}/coverage{query}", **more)
        assert answer.status_code == 200, answer.text
        return answer

    return get


def opened(answer: Any) -> SimpleNamespace:
    """A GeoTIFF answer: array, bounds, profile, names."""
    from rasterio.io import MemoryFile

    with MemoryFile(answer.content) as memory, memory.open() as file:
        return SimpleNamespace(
            array=file.read(), bounds=tuple(file.bounds), profile=file.profile, names=file.descriptions,
            units=file.units, tags=file.tags(), scales=file.scales, offsets=file.offsets, crs=file.crs,
            overviews=file.overviews(1), structure=file.tags(ns="IMAGE_STRUCTURE"), transform=file.transform,
        )  # fmt: skip


def problem(world: SimpleNamespace, status: int, layer: str, query: str) -> dict[str, Any]:
    answer = world.client.get(f"/ogc/collections/{layer}/coverage{query}")
    assert answer.status_code == status, (answer.status_code, answer.text[:300])
    document: dict[str, Any] = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert document["detail_zh"]
    assert document["detail_en"]
    return document


# -- the whole, and values cell by cell --------------------------------------------------------------------------------


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/core/get-coverage")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/cog/cloud-optimized")
def test_without_parameters_the_stored_file_is_the_answer(world: SimpleNamespace, ask: Any) -> None:
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
def test_a_box_gives_the_native_cells_it_meets_bit_by_bit(world: SimpleNamespace, ask: Any) -> None:
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
def test_cells_are_areas(ask: Any) -> None:
    assert opened(ask("terrain", "?bbox=112,31,112.1,31.1")).tags["AREA_OR_POINT"] == "Area"


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/subset")
def test_a_box_on_cell_borders_takes_no_neighbours(world: SimpleNamespace, ask: Any) -> None:
    found = opened(
        ask("terrain", f"?subset=Lat({NORTH - 8 * CELL}:{NORTH - 4 * CELL}),Lon({WEST + 2 * CELL}:{WEST + 6 * CELL})")
    )
    np.testing.assert_array_equal(found.array, world.values[:, 4:8, 2:6])


def test_every_cell_of_the_raster_is_found_by_sample_and_by_a_single_coordinate(
    world: SimpleNamespace, ask: Any
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
def test_subset_given_twice_is_as_given_once(ask: Any) -> None:
    once = opened(ask("relief", "?subset=Lat(30.2:30.8),Lon(*:113)"))
    twice = opened(ask("relief", "?subset=Lat(30.2:30.8)&subset=lon(*:113)"))
    np.testing.assert_array_equal(once.array, twice.array)
    np.testing.assert_array_equal(once.array[0], [[100, 101], [200, 201]])


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/subset-crs")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/bbox-crs")
def test_boxes_in_other_crs_and_axis_orders(ask: Any) -> None:
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
def test_a_box_across_the_antimeridian_is_cut_to_the_side_of_the_data(ask: Any) -> None:
    everything = opened(ask("relief", "?bbox=112,30,114,31.5")).array
    np.testing.assert_array_equal(opened(ask("relief", "?bbox=100,20,-170,40")).array, everything)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/subsetting-spatial/out-of-bounds")
def test_a_box_outside_says_where_the_data_are(world: SimpleNamespace) -> None:
    document = problem(world, 404, "relief", "?bbox=1,2,3,4")
    assert document["extent"] == [112.0, 30.0, 114.0, 31.5]
    assert problem(world, 404, "relief", "?bbox=179,20,-179,40")["title"] == "OutsideExtent"
    # Only touching an edge is outside: no cell's interior meets it.
    assert problem(world, 404, "relief", "?bbox=114.0000001,30,115,31")["title"] == "OutsideExtent"


# -- bands -------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/field-selection/properties")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/field-selection/exclude-properties")
def test_bands_by_name_in_the_order_asked(world: SimpleNamespace, ask: Any) -> None:
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


# -- scaling -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/coverage-scaling/factor")
def test_scale_factor_averages_measured_values_and_picks_classes(world: SimpleNamespace, ask: Any) -> None:
    answer = ask("terrain", "?scale-factor=4")
    found = opened(answer)
    assert found.array.shape == (3, ROWS // 4, COLS // 4)
    blocks = world.values[1].reshape(ROWS // 4, 4, COLS // 4, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(found.array[1], blocks, rtol=1e-5)
    assert set(np.unique(found.array[2][~np.isnan(found.array[2])])) <= {1.0, 2.0, 3.0, 4.0}
    assert "cover([ogc-interpolation:nearest-neighbor])" in answer.headers["content-interpolation"]
    assert "slope([ogc-interpolation:average])" in answer.headers["content-interpolation"]


def test_means_and_most_frequent_classes_are_those_of_the_cells_and_not_of_overviews(
    world: SimpleNamespace, ask: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import rasterio
    from rasterio.transform import from_origin

    from spatial.store import coverage as store_coverage

    side, factor = 1536, 3  # three times 512: large enough for an overview, and no multiple of its size
    random = np.random.default_rng(5)
    height, slope = random.uniform(0, 3000, (2, side, side))
    cover = random.integers(1, 5, (side, side))
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 3, "dtype": "float32", "nodata": float("nan"),
        "crs": "EPSG:4490", "transform": from_origin(WEST, NORTH, 1 / 1024, 1 / 1024), "photometric": "minisblack",
    }  # fmt: skip
    with rasterio.open(world.folder / "blocks.tif", "w", **profile) as file:
        file.write(np.stack([height, slope, cover]).astype(np.float32))
    layer = world.published.catalog["terrain"]
    layer = layer.model_copy(update={"source": layer.source.model_copy(update={"version": "blocks"})})
    raster = world.datastore.publish_raster(layer, world.folder / "blocks.tif", current=False)
    with rasterio.open(raster.path) as file:
        assert 2 in file.overviews(1)

    def blocks(values: Any) -> Any:
        count = side // factor
        cells = values.reshape(count, factor, count, factor).transpose(0, 2, 1, 3)
        return cells.reshape(count, count, factor * factor)

    query = f"?version=blocks&scale-factor={factor}"
    means = opened(ask("terrain", f"{query}&properties=slope")).array[0]
    np.testing.assert_allclose(means, blocks(slope.astype(np.float32)).mean(axis=2), rtol=1e-4)
    classes = opened(ask("terrain", f"{query}&properties=cover&interpolation=mode")).array[0]
    counts = np.stack([(blocks(cover) == code).sum(axis=2) for code in range(1, 5)])
    chosen = np.take_along_axis(counts, classes[None].astype(int) - 1, axis=0)[0]
    assert (chosen == counts.max(axis=0)).all()
    # Of more cells than one answer may be computed from: the finest overview that is few enough.
    monkeypatch.setattr(store_coverage, "EXACT_VALUES", side * side // 4)
    coarse = opened(ask("terrain", f"{query}&properties=slope")).array[0]
    assert coarse.shape == means.shape
    assert np.abs(coarse - means).max() > 0
    assert coarse.mean() == pytest.approx(means.mean(), rel=0.01)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/coverage-scaling/axes")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/coverage-scaling/size")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/coverage-scaling/width-and-height")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/scaling-spatial/width-and-height")
@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/scaling-spatial/resolution")
@pytest.mark.parametrize(
    ("query", "shape"),
    [
        ("scale-axes=Lat(2),Lon(4)", (48, 32)),
        ("scale-axes=Lon(4)", (96, 32)),
        ("scale-size=Lat(10),Lon(20)", (10, 20)),
        ("scaleSize=Lon(20),Lat(10)", (10, 20)),
        ("width=64", (96, 64)),
        ("width=64&height=48", (48, 64)),
        ("resolution=Lat(0.0625),Lon(0.03125)", (24, 64)),
        ("scale-factor=1", (96, 128)),
        ("scale-factor=0.5", (192, 256)),
    ],
)
def test_number_of_cells(ask: Any, query: str, shape: tuple[int, int]) -> None:
    assert opened(ask("terrain", f"?properties=slope&{query}")).array.shape == (1, *shape)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/scaling-spatial/native-resolution")
def test_empty_resolution_is_native(world: SimpleNamespace, ask: Any) -> None:
    for query in ("?resolution=&properties=slope", "?resolution=Lat(),Lon()&properties=slope"):
        np.testing.assert_array_equal(opened(ask("terrain", query)).array[0], world.values[1])


def test_a_size_is_spread_over_the_box_also_where_it_leaves_the_raster(ask: Any) -> None:
    found = opened(ask("relief", "?subset=Lat(30.5:31.5),Lon(113:115)&scale-size=Lat(2),Lon(4)&interpolation=nearest"))
    assert found.bounds == (113.0, 30.5, 115.0, 31.5)
    np.testing.assert_array_equal(found.array[0], [[2, 3, -9999, -9999], [102, 103, -9999, -9999]])


# -- CRS: GDAL's own warp is the oracle --------------------------------------------------------------------------------


def gdalwarp(source: Path, target: Path, *options: str) -> Any:
    import rasterio

    subprocess.run(["gdalwarp", "-q", "-overwrite", *options, str(source), str(target)], check=True, timeout=60)
    with rasterio.open(target) as file:
        return file.read()


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/crs/crs-definition")
@pytest.mark.parametrize("code", ["3857", "4547"])
def test_reprojection_equals_gdalwarp(world: SimpleNamespace, ask: Any, tmp_path: Path, code: str) -> None:
    answer = ask("terrain", f"?crs={EPSG}{code}&bbox=112.4,30.4,113.2,31.2")
    found = opened(answer)
    assert found.crs.to_epsg() == int(code)
    assert answer.headers["content-crs"] == f"<{EPSG}{code}>"
    (window,) = [world.folder / "terrain.tif"]
    for band, method in ((1, "bilinear"), (2, "bilinear"), (3, "near")):
        one = tmp_path / f"band{band}.tif"
        subprocess.run(["gdal_translate", "-q", "-b", str(band), str(window), str(one)], check=True, timeout=60)
        expected = gdalwarp(
            one, tmp_path / "out.tif", "-t_srs", f"EPSG:{code}", "-r", method, "-et", "0.125",
            "-te", *map(repr, found.bounds), "-ts", str(found.profile["width"]), str(found.profile["height"]),
        )[0]  # fmt: skip
        got = found.array[band - 1]
        assert np.isnan(got).sum() == np.isnan(expected).sum()
        if method == "near":
            # A centre on the border of two cells may fall either way.
            assert np.mean((got == expected) | (np.isnan(got) & np.isnan(expected))) > 0.999
        else:
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-2, equal_nan=True)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/crs/crs-definition")
def test_geographic_crs_share_the_grid_bit_by_bit(world: SimpleNamespace, ask: Any) -> None:
    for crs in (CRS84, f"{EPSG}4326", f"{EPSG}4490"):
        answer = ask("terrain", f"?crs={crs}&bbox=112.1,31,112.5,31.3&properties=height")
        found = opened(answer)
        cols = slice(6, 32)
        rows = slice(12, 32)
        np.testing.assert_array_equal(found.array[0], world.values[0, rows, cols])
        assert answer.headers["content-crs"] == f"<{crs}>"


def test_classes_are_never_mixed(world: SimpleNamespace) -> None:
    for method in ("bilinear", "average"):
        document = problem(world, 400, "terrain", f"?properties=cover&scale-factor=2&interpolation={method}")
        assert document["parameter"] == "interpolation"


# -- formats -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/netcdf/coverage")
@pytest.mark.parametrize("crs", ["4490", "4547"])
def test_netcdf_by_cf_opens_in_xarray_and_gdal(world: SimpleNamespace, ask: Any, tmp_path: Path, crs: str) -> None:
    import xarray as xr
    from pyproj import CRS

    answer = ask("terrain", f"?f=NetCDF&crs={EPSG}{crs}&bbox=112.1,31,112.5,31.3")
    assert answer.headers["content-type"] == "application/x-netcdf"
    path = tmp_path / "terrain.nc"
    path.write_bytes(answer.content)
    with xr.open_dataset(path, engine="h5netcdf") as data:
        assert data.attrs["Conventions"] == "CF-1.8"
        assert "合成" in data.attrs["title"]
        assert data.height.attrs["units"] == "m"
        assert data.slope.attrs["units"] == "deg"
        assert data.cover.attrs["flag_meanings"] == "class_1 class_2 class_3 class_4"
        assert data.height.attrs["grid_mapping"] == "crs"
        assert CRS.from_cf(data.crs.attrs).equals(CRS.from_epsg(int(crs)), ignore_axis_order=True)
        if crs == "4490":
            assert data.height.dims == ("lat", "lon")
            assert data.lat.attrs["standard_name"] == "latitude"
            np.testing.assert_array_equal(data.height.values, world.values[0, 12:32, 6:32])
            np.testing.assert_array_equal(data.lon.values, WEST + (np.arange(6, 32) + 0.5) * CELL)
            np.testing.assert_array_equal(data.lat.values, NORTH - (np.arange(12, 32) + 0.5) * CELL)
        else:
            assert data.height.dims == ("y", "x")
            assert data.x.attrs["standard_name"] == "projection_x_coordinate"
    info = subprocess.run(
        ["gdalinfo", "-json", f"NETCDF:{path}:height"], check=True, capture_output=True, timeout=60, text=True
    )
    seen = json.loads(info.stdout)
    assert str(crs) in seen["coordinateSystem"]["wkt"]
    assert seen["geoTransform"][5] < 0


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/coveragejson/coverage")
def test_coverage_json_has_numbers_of_the_file_and_null_for_nodata(world: SimpleNamespace, ask: Any) -> None:
    from covjson_pydantic.coverage import Coverage

    answer = ask("terrain", "?f=CoverageJSON&bbox=112.3,31.25,112.35,31.3")
    assert answer.headers["content-type"] == "application/vnd.cov+json"
    Coverage.model_validate_json(answer.content)
    document = answer.json()
    rows, cols = slice(12, 16), slice(19, 23)
    expected = world.values[0, rows, cols]
    got = document["ranges"]["height"]
    assert got["shape"] == [4, 4]
    found = np.array([np.nan if v is None else v for v in got["values"]], dtype=np.float32).reshape(4, 4)
    np.testing.assert_array_equal(found, expected)
    assert None in got["values"]
    assert document["domain"]["axes"]["x"]["start"] == WEST + 19.5 * CELL
    assert document["domain"]["referencing"][0]["coordinates"] == ["y", "x"]
    assert document["parameters"]["height"]["unit"]["symbol"]["value"] == "m"
    assert "unit" not in document["parameters"]["cover"]
    assert list(document["parameters"]["cover"]["categoryEncoding"].values()) == [1, 2, 3, 4]
    assert "合成" in document["title"]["zh"]


def test_scale_and_offset_are_kept_in_files_and_applied_in_text(ask: Any, tmp_path: Path) -> None:
    import xarray as xr

    found = opened(ask("packed", "?bbox=110,28,112,30"))
    np.testing.assert_array_equal(found.array[0], [[0, 100], [-32768, 250]])
    assert found.scales == (0.1,)
    assert found.offsets == (-5.0,)
    values = ask("packed", "?f=CoverageJSON").json()["ranges"]["warmth"]["values"]
    assert values == [-5.0, 5.0, None, 20.0]
    (tmp_path / "packed.nc").write_bytes(ask("packed", "?f=NetCDF").content)
    with xr.open_dataset(tmp_path / "packed.nc", engine="h5netcdf") as data:
        np.testing.assert_allclose(data.warmth.values, [[-5, 5], [np.nan, 20]])
        assert data.warmth.attrs["units"] == "Cel"


def test_cog_of_a_part_is_a_cog(ask: Any, tmp_path: Path) -> None:
    from rio_cogeo.cogeo import cog_validate

    answer = ask("terrain", "?f=COG&crs=EPSG:3857&width=1200&height=900&properties=slope")
    (tmp_path / "part.tif").write_bytes(answer.content)
    assert cog_validate(str(tmp_path / "part.tif"))[0]


def test_format_by_accept_header(ask: Any) -> None:
    for accept, kind in (
        ("application/vnd.cov+json", "application/vnd.cov+json"),
        ("application/x-netcdf;q=0.5, image/tiff;application=geotiff", "image/tiff; application=geotiff"),
        ("application/x-netcdf, image/tiff;q=0.1", "application/x-netcdf"),
        ("text/html,*/*;q=0.8", "image/tiff; application=geotiff"),
    ):
        assert ask("relief", headers={"Accept": accept}).headers["content-type"] == kind


def test_nothing_is_left_behind(world: SimpleNamespace, ask: Any) -> None:
    for form in ("GeoTIFF", "COG", "NetCDF"):
        ask("terrain", f"?f={form}&scale-factor=2")
    folder = world.folder / "var" / "tmp"
    assert list(folder.iterdir()) == []


def test_unchanged_is_304(world: SimpleNamespace, ask: Any) -> None:
    for query in ("", "?f=NetCDF", "?bbox=112,30,113,31"):
        first = ask("relief", query)
        again = world.client.get(
            f"/ogc/collections/relief/coverage{query}", headers={"If-None-Match": first.headers["etag"]}
        )
        assert again.status_code == 304


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
def test_bad_input(world: SimpleNamespace, query: str, status: int, parameter: str | None) -> None:
    document = problem(world, status, "relief", query)
    if parameter is not None:
        assert document["parameter"] == parameter


def test_too_many_cells_says_by_which_factor_it_would_fit(world: SimpleNamespace) -> None:
    document = problem(world, 413, "relief", "?width=10000&height=10000")
    assert document["scale_factor"] == 2
    assert "scale-factor=2" in document["detail_en"]


def test_vector_layers_have_no_coverage(world: SimpleNamespace) -> None:
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
