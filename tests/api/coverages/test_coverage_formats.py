"""Coverages: formats, each opened by its own reader; caching."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"

WEST, NORTH, CELL, ROWS, COLS = 112.0, 31.5, 1 / 64, 96, 128
"""Grid of ``terrain``: 1/64°, an exact number in binary, so that borders are exact."""


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
    assert answer.headers["content-type"] == "application/prs.coverage+json"
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


def test_scale_and_offset_are_kept_in_files_and_applied_in_text(ask: Any, tmp_path: Path, opened: Any) -> None:
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
        ("application/prs.coverage+json", "application/prs.coverage+json"),
        ("application/vnd.cov+json", "application/prs.coverage+json"),
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
