"""GRASS GIS as an independent computation: slope by r.slope.aspect, cost distance by r.cost."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from analyses.accessibility import StepLengths, cost_distance, minutes_per_metre
from analyses.terrain import CellSize, slope_horn

pytestmark = pytest.mark.clients
SHAPE = (120, 90)


def write(path: Path, values: np.ndarray, crs: str, transform: rasterio.Affine) -> Path:
    profile = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "count": 1, "dtype": values.dtype.name}
    with rasterio.open(path, "w", crs=crs, transform=transform, nodata=-9999, **profile) as file:
        file.write(values, 1)
    return path


@pytest.fixture(scope="module")
def grass(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, str], np.ndarray]:
    """Run commands on a raster, which is there as ``given``; the raster ``found`` comes back, nodata as NaN."""
    folder = tmp_path_factory.mktemp("grass")

    def run(raster: Path, commands: str) -> np.ndarray:
        location = folder / raster.stem
        script = folder / f"{raster.stem}.sh"
        out = folder / f"{raster.stem}-found.tif"
        script.write_text(
            f"set -e\nr.in.gdal -o input={raster} output=given\ng.region raster=given\n{commands}\n"
            f"r.out.gdal -c -f input=found output={out} type=Float64 nodata=-1e30\n",
            "ascii",
        )
        subprocess.run(["grass", "-c", raster, location, "--exec", "true"], check=True, capture_output=True)
        subprocess.run(["grass", location / "PERMANENT", "--exec", "bash", script], check=True, capture_output=True)
        with rasterio.open(out) as file:
            values = file.read(1)
        return np.where(values < -1e29, np.nan, values)

    return run


def hills() -> np.ndarray:
    rng = np.random.default_rng(1)
    rows, cols = np.indices(SHAPE)
    return (400 + 150 * np.sin(rows / 17) + 90 * np.cos(cols / 11) + rng.normal(0, 8, SHAPE)).astype(np.float32)


def test_slope_of_metres(tmp_path: Path, grass: Callable[[Path, str], np.ndarray]) -> None:
    z = hills()
    path = write(tmp_path / "metric.tif", z, "EPSG:4547", from_origin(400_000, 3_400_000, 30, 30))
    expected = grass(path, "r.slope.aspect elevation=given slope=found precision=DCELL")
    size = CellSize(np.full(SHAPE[0] - 2, 30.0), np.full(SHAPE[0] - 2, 30.0))
    np.testing.assert_allclose(slope_horn(z, size), expected[1:-1, 1:-1], atol=2e-4)


def test_cost_distance(tmp_path: Path, grass: Callable[[Path, str], np.ndarray]) -> None:
    speeds = [20.0, 60.0, 100.0]
    cost = minutes_per_metre(speeds)
    friction = np.random.default_rng(2).choice(np.array([0, 1, 1, 1, 2, 3], dtype=np.uint8), SHAPE)
    friction[10, 20] = 1
    # Minutes across a cell of 30 m; GRASS adds ½(c_p + c_q), times √2 on the slant.
    crossing = np.where(friction == 0, -9999, cost[friction] * 30).astype(np.float64)
    path = write(tmp_path / "friction.tif", crossing, "EPSG:4547", from_origin(400_000, 3_400_000, 30, 30))
    x, y = 400_000 + 20.5 * 30, 3_400_000 - 10.5 * 30
    expected = grass(path, f"r.cost input=given output=found start_coordinates={x},{y}")
    lengths = StepLengths(*(np.full(SHAPE[0], length) for length in (30.0, 30.0, 30.0 * np.sqrt(2))))
    found = np.empty(SHAPE, np.float32)
    cost_distance(found, friction, cost, lengths, [(10, 20)], tile=16)
    assert np.array_equal(np.isfinite(found), np.isfinite(expected))
    reached = np.isfinite(found)
    np.testing.assert_allclose(found[reached], expected[reached], rtol=1e-5)
