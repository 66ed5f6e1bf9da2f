"""Slope and relief: hand oracles, laws, and independent computations."""

from __future__ import annotations

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from analyses.terrain import CellSize, cell_size, local_relief, metres_per_degree, relief_side, slope_horn

SECOND = 1 / 3600


def square(metres: float, rows: int) -> CellSize:
    return CellSize(np.full(rows, metres), np.full(rows, metres))


def test_slope_by_hand() -> None:
    z = np.array([[10.0, 20, 40], [10, 30, 50], [20, 30, 70]])
    # p = [(40 + 100 + 70) − (10 + 20 + 20)] / 800 = 0.2; q = [(20 + 60 + 70) − (10 + 40 + 40)] / 800 = 0.075
    expected = math.degrees(math.atan(math.hypot(0.2, 0.075)))
    assert slope_horn(z, square(100, 1))[0, 0] == pytest.approx(expected, rel=1e-6)


def test_slope_uses_the_metres_of_its_row() -> None:
    z = np.tile(np.arange(4.0) * 100, (5, 1))
    size = CellSize(np.array([100.0, 200, 400]), np.array([100.0, 100, 100]))
    expected = np.degrees(np.arctan([1, 0.5, 0.25]))
    assert slope_horn(z, size)[:, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("hole", [(i, j) for i in range(3) for j in range(3)])
def test_slope_needs_all_nine_cells(hole: tuple[int, int]) -> None:
    z = np.zeros((3, 3))
    z[hole] = np.nan
    assert np.isnan(slope_horn(z, square(100, 1))).all()


def test_metres_per_degree_against_the_geodesic() -> None:
    from pyproj import Geod

    geod = Geod(a=6_378_137.0, rf=298.257222101)
    x, y = metres_per_degree(31.0)
    assert float(x) * SECOND == pytest.approx(geod.inv(112, 31, 112 + SECOND, 31)[2], rel=1e-6)
    assert float(y) * SECOND == pytest.approx(geod.inv(112, 31 - SECOND / 2, 112, 31 + SECOND / 2)[2], rel=1e-6)


def test_rows_of_a_window_are_those_of_the_province() -> None:
    whole = cell_size(33.4, 1 / 120, 1 / 120, 0, 540)
    part = cell_size(33.4 - 77 * (1 / 120), 1 / 120, 1 / 120, 23, 100)
    assert np.array_equal(whole.x[100:200], part.x)
    assert np.array_equal(whole.y[100:200], part.y)


def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return 900 + 400 * np.sin(x / 2500) * np.cos(y / 3100) + 0.05 * x


ALBERS = "+proj=aea +lat_1=30 +lat_2=32 +lat_0=31 +lon_0=110.5 +ellps=GRS80 +units=m"


def lonlat_case() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Our slope on a 3″ longitude–latitude grid, with the Albers x and y of its inner cells."""
    from pyproj import Transformer

    step, north, west, n = 3 * SECOND, 31.1, 110.4, 240
    lon, lat = np.meshgrid(west + step * (np.arange(n) + 0.5), north - step * (np.arange(n) + 0.5))
    x, y = Transformer.from_crs("EPSG:4490", ALBERS, always_xy=True).transform(lon, lat)
    slope = slope_horn(surface(x, y), cell_size(north, step, step, 1, n - 2))
    return slope, x[1:-1, 1:-1], y[1:-1, 1:-1]


def test_slope_against_the_exact_gradient() -> None:
    slope, x, y = lonlat_case()
    p = 0.16 * np.cos(x / 2500) * np.cos(y / 3100) + 0.05
    q = -400 / 3100 * np.sin(x / 2500) * np.sin(y / 3100)
    assert np.abs(slope - np.degrees(np.arctan(np.hypot(p, q)))).max() < 0.02


@pytest.mark.clients
def test_slope_against_gdaldem_on_an_albers_grid(tmp_path: Path) -> None:
    import rasterio
    from rasterio.transform import from_origin
    from scipy.ndimage import map_coordinates

    gdaldem = shutil.which("gdaldem")
    assert gdaldem, "gdaldem is missing: apt-get install gdal-bin"
    slope, x, y = lonlat_case()
    cell, west, north = 80.0, x.min() - 800, y.max() + 800
    cols, rows = int((x.max() - west) / cell) + 10, int((north - y.min()) / cell) + 10
    gx, gy = np.meshgrid(west + cell * (np.arange(cols) + 0.5), north - cell * (np.arange(rows) + 0.5))
    profile = {"driver": "GTiff", "width": cols, "height": rows, "count": 1, "dtype": "float32"}
    with rasterio.open(
        tmp_path / "z.tif", "w", crs=ALBERS, transform=from_origin(west, north, cell, cell), **profile
    ) as file:
        file.write(surface(gx, gy).astype(np.float32), 1)
    subprocess.run([gdaldem, "slope", "-q", tmp_path / "z.tif", tmp_path / "s.tif"], check=True)
    with rasterio.open(tmp_path / "s.tif") as file:
        theirs = file.read(1)
    at = [(north - y) / cell - 0.5, (x - west) / cell - 0.5]
    difference = np.abs(map_coordinates(theirs, at, order=1) - slope)
    # Between two grids slope is interpolated; at its kinks (level ground) that costs most.
    assert difference.mean() < 0.005
    assert difference.max() < 0.15


def by_numpy(z: np.ndarray, size: CellSize) -> np.ndarray:
    """Horn's slope written out with numpy and its arctan."""
    z = z.astype(np.float64)
    east = z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]
    west = z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
    south = z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]
    north = z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
    p, q = (east - west) / (8 * size.x[:, np.newaxis]), (south - north) / (8 * size.y[:, np.newaxis])
    return np.where(np.isnan(z[1:-1, 1:-1]), np.nan, np.degrees(np.arctan(np.hypot(p, q))))


@settings(deadline=None)
@given(
    arrays(np.float32, (9, 21), elements=st.one_of(st.floats(-100, 9000, width=32), st.just(np.nan))),
    st.floats(1, 1000),
)
def test_slope_is_horns_formula(z: np.ndarray, metres: float) -> None:
    size = CellSize(np.linspace(metres, 2 * metres, 7), np.full(7, metres))
    assert slope_horn(z, size) == pytest.approx(by_numpy(z, size), rel=1.2e-7, abs=3e-9, nan_ok=True)


def test_slope_of_a_cliff_and_of_the_smallest_step() -> None:
    z = np.zeros((3, 3))
    z[:, 2] = 1e9
    assert slope_horn(z, square(1, 1))[0, 0] == 90
    z[:, 2] = 1e-9
    assert slope_horn(z, square(1, 1))[0, 0] == pytest.approx(math.degrees(0.5e-9), rel=1e-6)


def test_slope_is_rounded_to_its_step() -> None:
    z = np.random.default_rng(1).normal(500, 30, (50, 60))
    rounded = slope_horn(z, square(30, 48), step=1 / 64)
    assert (rounded * 64 % 1 == 0).all()
    assert np.abs(rounded - slope_horn(z, square(30, 48))).max() <= 1 / 128 + 1e-5


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 13), (64, 5), (40, 33)])
def test_slope_and_relief_of_blocks_are_those_of_the_whole_bit_for_bit(height: int, width: int) -> None:
    z = np.random.default_rng(1).normal(500, 300, (80, 580)).astype(np.float32)
    z[20:23, 300:310] = np.nan
    size = cell_size(33.4, 1 / 3600, 1 / 3600, 0, 66)
    slope, relief = slope_horn(z[6:-6, 6:-6], size), local_relief(z, 15)
    assert slope.shape == relief.shape == (66, 566)
    for row in range(0, 66, height):
        for col in range(0, 566, width):
            h, w = min(height, 66 - row), min(width, 566 - col)
            part = z[row : row + h + 14, col : col + w + 14]
            here = CellSize(size.x[row : row + h], size.y[row : row + h])
            assert slope_horn(part[6:-6, 6:-6], here).tobytes() == slope[row : row + h, col : col + w].tobytes()
            assert local_relief(part, 15).tobytes() == relief[row : row + h, col : col + w].tobytes()


@pytest.mark.parametrize("side", [0, 2, 11])
def test_a_relief_window_that_does_not_fit_is_named(side: int) -> None:
    with pytest.raises(ValueError, match=f"side {side}"):
        local_relief(np.zeros((9, 9)), side)


@pytest.mark.parametrize(("cell", "side"), [(30, 15), (28.6, 15), (50, 9), (100, 5), (150, 3), (855, 3)])
def test_relief_window_is_about_20_hectares(cell: float, side: int) -> None:
    assert relief_side(cell, 20) == side


def test_relief_by_hand_and_with_holes() -> None:
    z = np.arange(36.0).reshape(6, 6)
    z[0, 0] = np.nan
    z[3, 3] = np.nan
    out = local_relief(z, 3)
    assert out.shape == (4, 4)
    assert out[0, 0] == 14 - 1  # 14 at the corner, the hole left out
    assert out[3, 3] == 35 - 22  # (2, 2) … (5, 5) without the hole (3, 3)
    assert np.isnan(out[2, 2])


@settings(deadline=None)
@given(
    arrays(np.float32, (9, 11), elements=st.one_of(st.floats(0, 3000, width=32), st.just(np.nan))),
    st.sampled_from([1, 3, 5, 7, 9]),
)
def test_relief_is_the_moving_window(z: np.ndarray, side: int) -> None:
    windows = np.lib.stride_tricks.sliding_window_view(z, (side, side))
    middle = windows[:, :, side // 2, side // 2]
    high = np.where(np.isnan(windows), -np.inf, windows).max((2, 3))
    low = np.where(np.isnan(windows), np.inf, windows).min((2, 3))
    with np.errstate(invalid="ignore"):
        expected = np.where(np.isnan(middle), np.nan, (high - low).astype(np.float32))
    assert np.array_equal(local_relief(z, side), expected, equal_nan=True)


@settings(deadline=None)
@given(arrays(np.float32, (5, 5), elements=st.floats(0, 3000, width=32)), st.floats(1, 5))
def test_stretched_terrain_is_never_gentler(z: np.ndarray, factor: float) -> None:
    size = square(30, 3)
    # Differences of rounding stay far below the finest class edge.
    assert (slope_horn(z.astype(float) * factor, size) >= slope_horn(z, size) - 1e-5).all()
    assert (local_relief(z.astype(float) * factor, 3) >= local_relief(z, 3) - 1e-3).all()
