"""Coverages: scaling, and other CRSs with GDAL's own warp as the oracle."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"

WEST, NORTH, CELL, ROWS, COLS = 112.0, 31.5, 1 / 64, 96, 128
"""Grid of ``terrain``: 1/64°, an exact number in binary, so that borders are exact."""


# -- scaling -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/coverage-scaling/factor")
def test_scale_factor_averages_measured_values_and_picks_classes(world: SimpleNamespace, ask: Any, opened: Any) -> None:
    answer = ask("terrain", "?scale-factor=4")
    found = opened(answer)
    assert found.array.shape == (3, ROWS // 4, COLS // 4)
    blocks = world.values[1].reshape(ROWS // 4, 4, COLS // 4, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(found.array[1], blocks, rtol=1e-5)
    assert set(np.unique(found.array[2][~np.isnan(found.array[2])])) <= {1.0, 2.0, 3.0, 4.0}
    assert "cover([ogc-interpolation:nearest-neighbor])" in answer.headers["content-interpolation"]
    assert "slope([ogc-interpolation:average])" in answer.headers["content-interpolation"]


def test_means_and_most_frequent_classes_are_those_of_the_cells_and_not_of_overviews(
    world: SimpleNamespace, ask: Any, monkeypatch: pytest.MonkeyPatch, opened: Any
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
def test_number_of_cells(ask: Any, query: str, shape: tuple[int, int], opened: Any) -> None:
    assert opened(ask("terrain", f"?properties=slope&{query}")).array.shape == (1, *shape)


@pytest.mark.requirement("ogcapi-coverages-1/1.0", "/req/scaling-spatial/native-resolution")
def test_empty_resolution_is_native(world: SimpleNamespace, ask: Any, opened: Any) -> None:
    for query in ("?resolution=&properties=slope", "?resolution=Lat(),Lon()&properties=slope"):
        np.testing.assert_array_equal(opened(ask("terrain", query)).array[0], world.values[1])


def test_a_size_is_spread_over_the_box_also_where_it_leaves_the_raster(ask: Any, opened: Any) -> None:
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
def test_reprojection_equals_gdalwarp(world: SimpleNamespace, ask: Any, tmp_path: Path, code: str, opened: Any) -> None:
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
def test_geographic_crs_share_the_grid_bit_by_bit(world: SimpleNamespace, ask: Any, opened: Any) -> None:
    for crs in (CRS84, f"{EPSG}4326", f"{EPSG}4490"):
        answer = ask("terrain", f"?crs={crs}&bbox=112.1,31,112.5,31.3&properties=height")
        found = opened(answer)
        cols = slice(6, 32)
        rows = slice(12, 32)
        np.testing.assert_array_equal(found.array[0], world.values[0, rows, cols])
        assert answer.headers["content-crs"] == f"<{crs}>"


def test_classes_are_never_mixed(world: SimpleNamespace, problem: Any) -> None:
    for method in ("bilinear", "average"):
        document = problem(world, 400, "terrain", f"?properties=cover&scale-factor=2&interpolation={method}")
        assert document["parameter"] == "interpolation"
