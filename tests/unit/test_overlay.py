"""Overlay of files: hand oracle, the slope module, the same bits for any number of threads, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from analyses.overlay import slope_overlay
from analyses.terrain import cell_size, slope_horn
from spatial.errors import CRSMismatch, GridMismatch, InvalidParameter, SourceUnreadable

EDGES, GRADES = (3.0, 8.0, 15.0, 25.0), (5.0, 4.0, 3.0, 2.0, 1.0)
WEIGHTS = (0.5, 0.3, 0.2)


def write(
    path: Path, values: np.ndarray, *, crs: str | None = "EPSG:4547", cell: float = 30.0, nodata: Any = -9999
) -> Path:
    west, north = (500_000, 3_400_000) if crs == "EPSG:4547" else (110, 31)
    profile = {
        "driver": "GTiff",
        "height": values.shape[0],
        "width": values.shape[1],
        "count": 1,
        "dtype": values.dtype,
    }
    with rasterio.open(
        path,
        "w",
        crs=crs,
        transform=from_origin(west, north, cell, cell),
        nodata=nodata,
        tiled=True,
        blockxsize=512,
        blockysize=512,
        **profile,
    ) as file:
        file.write(values, 1)
    return path


def run(folder: Path, dem: Path, layers: list[Path], **options: Any) -> np.ndarray:
    options = {"slope_edges": EDGES, "grades": GRADES, "weights": WEIGHTS} | options
    slope_overlay(dem, layers, folder / "out.tif", **options)
    with rasterio.open(folder / "out.tif") as file:
        return file.read(1)


def test_by_hand(tmp_path: Path) -> None:
    z = np.tile(np.array([0, 3, 6, 9], np.float32), (3, 1))  # 3 m on 30 m: 5.7°, grade 4
    a, b = np.full((3, 4), 10, np.float32), np.full((3, 4), 100, np.int16)
    b[1, 2] = -9999
    found = run(tmp_path, write(tmp_path / "z.tif", z), [write(tmp_path / "a.tif", a), write(tmp_path / "b.tif", b)])
    assert found[1, 1] == pytest.approx(0.5 * 4 + 0.3 * 10 + 0.2 * 100)
    assert np.isnan(found[1, 2])  # a layer without data
    assert np.isnan(found[[0, 2]]).all()  # no slope at the edge
    assert np.isnan(found[:, [0, 3]]).all()


def case(folder: Path, rows: int = 1100, cols: int = 700, **options: Any) -> tuple[Path, list[Path], list[np.ndarray]]:
    rng = np.random.default_rng(8)
    z = (rng.normal(size=(rows, cols)).cumsum(0).cumsum(1) / 3).astype(np.float32)
    z[600:603, 40:50] = -9999
    arrays = [z, rng.random((rows, cols), np.float32), rng.integers(1, 6, (rows, cols)).astype(np.uint8)]
    nodata = (-9999, float("nan"), 0)
    paths = [
        write(folder / f"{n}.tif", v, nodata=d, **options) for n, (v, d) in enumerate(zip(arrays, nodata, strict=True))
    ]
    return paths[0], paths[1:], arrays


@pytest.mark.parametrize("options", [{}, {"crs": "EPSG:4490", "cell": 1 / 3600}], ids=["metres", "degrees"])
def test_the_grades_are_those_of_the_slope(tmp_path: Path, options: dict[str, Any]) -> None:
    dem, layers, (z, a, b) = case(tmp_path, **options)
    found = run(tmp_path, dem, layers)
    size = cell_size(31, 1 / 3600, 1 / 3600, 1, 1098)
    if not options:
        size = type(size)(np.full(1098, 30.0), np.full(1098, 30.0))
    slope = slope_horn(np.where(z == -9999, np.nan, z), size)
    grade = np.array(GRADES)[np.digitize(slope, EDGES)]
    expected = 0.5 * grade + 0.3 * a[1:-1, 1:-1] + 0.2 * b[1:-1, 1:-1]
    expected[np.isnan(slope)] = np.nan
    near_edge = np.abs(slope[..., np.newaxis] - np.array(EDGES)).min(-1) < 1e-3  # float32 differences
    assert len(np.unique(grade)) == 5
    assert found[1:-1, 1:-1][~near_edge] == pytest.approx(expected[~near_edge], rel=1e-6, nan_ok=True)
    assert near_edge.mean() < 0.01


@pytest.mark.parametrize("threads", [2, 3, 5])
def test_threads_do_not_change_a_bit(tmp_path: Path, threads: int) -> None:
    dem, layers, _ = case(tmp_path)
    one = run(tmp_path, dem, layers, threads=1)
    assert run(tmp_path, dem, layers, threads=threads, compress="DEFLATE").tobytes() == one.tobytes()


@pytest.mark.parametrize(
    "wrong",
    [
        {"weights": (0.5, 0.3, 0.3)},
        {"weights": (0.5, 0.5)},
        {"weights": (1.2, -0.3, 0.1)},
        {"slope_edges": (8, 3, 15, 25)},
        {"slope_edges": (0, 3, 15, 25)},
        {"grades": (1, 2, 3)},
    ],
)
def test_wrong_parameters_are_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidParameter) as caught:
        run(tmp_path, *case(tmp_path, 20, 20)[:2], **wrong)
    assert caught.value.details["parameter"] == next(iter(wrong))


def test_wrong_files_are_named_and_nothing_is_left(tmp_path: Path) -> None:
    dem, layers, _ = case(tmp_path, 20, 20)
    other = write(tmp_path / "other.tif", np.zeros((20, 21), np.float32))
    feet = write(tmp_path / "feet.tif", np.zeros((20, 20), np.float32), crs="EPSG:2263")
    bare = write(tmp_path / "bare.tif", np.zeros((20, 20), np.float32), crs=None)
    with pytest.raises(GridMismatch, match=r"other\.tif"):
        run(tmp_path, dem, [layers[0], other])
    for path in (feet, bare):
        with pytest.raises(CRSMismatch, match=path.name):
            run(tmp_path, path, layers)
    with pytest.raises(SourceUnreadable):
        run(tmp_path, dem, [layers[0], tmp_path / "none.tif"])
    assert not list(tmp_path.glob("*out.tif*"))
