"""GRASS GIS as an independent computation: slope by r.slope.aspect, cost distance by r.cost, flow by r.watershed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from analyses.accessibility import StepLengths, cost_distance, minutes_per_metre
from analyses.erosion import slope_length_factor, slope_steepness_factor
from analyses.slope_length import ls_upslope, upslope_cells, upslope_reach
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


# -- r.watershed

ROWS, COLS = np.indices(SHAPE)
CONE = (2000 - 7 * np.hypot(ROWS - 60.3, COLS - 44.6)).astype(np.float32)
VALLEY = (500 + 6.0 * np.abs(COLS - 45.2) + 3.0 * (120 - ROWS) + 0.02 * (COLS * 13 % 7)).astype(np.float32)
INSIDE = (slice(8, -8), slice(8, -8))
"""Farther from the edge than any cell that counts: r.watershed lets every border cell drain off the map."""
LONGEST_M = 122.0
AGREEING = 0.92


def mountains() -> np.ndarray:
    """A part of the sample elevation in metres, 500 m cells, with its pits and flats."""
    from rasterio.warp import Resampling, reproject

    values = np.full(SHAPE, np.nan, np.float32)
    with rasterio.open(Path(__file__).parents[2] / "data-samples" / "base" / "dem.tif") as file:
        reproject(
            rasterio.band(file, 1), values, dst_crs="EPSG:4547", dst_transform=from_origin(300_000, 3_520_000, 500, 500),
            dst_nodata=np.nan, resampling=Resampling.cubic,
        )  # fmt: skip
    assert np.isfinite(values).all()
    return values


def surface(name: str) -> tuple[np.ndarray, float]:
    """Elevation and cell side, m."""
    return {"cone": (CONE, 30.0), "valley": (VALLEY, 30.0)}[name] if name != "mountains" else (mountains(), 500.0)


@pytest.fixture(scope="module")
def watershed(
    tmp_path_factory: pytest.TempPathFactory, grass: Callable[[Path, str], np.ndarray]
) -> Callable[..., np.ndarray]:
    """An output of r.watershed, single flow direction; each is computed once."""
    known: dict[tuple[str, str], np.ndarray] = {}
    folder = tmp_path_factory.mktemp("watershed")

    def run(z: np.ndarray, side: float, name: str, output: str, more: str = "") -> np.ndarray:
        if (name, output) not in known:
            transform = from_origin(400_000, 3_400_000, side, side)
            path = write(folder / f"{name}-{output}.tif", z, "EPSG:4547", transform)
            known[name, output] = grass(
                path,
                "r.mapcalc --q expression='moderate=50'\n"  # the ratio of rill to interrill erosion of AH-703
                f"r.watershed -s -a --q elevation=given disturbed_land=moderate threshold=100000 {output}=found {more}",
            )
        return known[name, output]

    return run


def padded(z: np.ndarray, side: float, reach: int) -> tuple[np.ndarray, CellSize]:
    around = np.pad(z, reach + 1, constant_values=np.nan)
    return around, CellSize(np.full(around.shape[0], side), np.full(around.shape[0], side))


@pytest.mark.parametrize(("name", "agreeing"), [("cone", 1.0), ("valley", 1.0), ("mountains", AGREEING)])
def test_cells_above(watershed: Callable[..., np.ndarray], name: str, agreeing: float) -> None:
    """All cells agree where there is no pit; r.watershed takes the water of a pit over its lip, which a slope has not."""
    z, side = surface(name)
    above, _ = upslope_cells(*padded(z, side, 6), 6)
    expected = np.minimum(watershed(z, side, name, "accumulation") - 1, 6)
    share = (above == expected)[INSIDE].mean()
    print(f"{name}: {share:.4f} of the cells agree")
    assert share >= agreeing


@pytest.mark.parametrize(("name", "agreeing"), [("cone", 1.0), ("valley", 1.0), ("mountains", AGREEING)])
def test_ls_of_the_flow(watershed: Callable[..., np.ndarray], name: str, agreeing: float) -> None:
    """LS by the printed formula of Desmet & Govers from the area and the directions of r.watershed."""
    z, side = surface(name)
    longest = LONGEST_M / 30 * side
    slope = np.full(SHAPE, np.nan, np.float32)
    slope[1:-1, 1:-1] = slope_horn(z, CellSize(*(np.full(SHAPE[0] - 2, side),) * 2), step=1 / 64)
    reach = upslope_reach(longest, side, side)
    around, size = padded(z, side, reach)
    found = ls_upslope(around, slope, size, reach=reach, maximum=longest, step=0.125)

    x = np.where(watershed(z, side, name, "drainage") % 2 == 1, np.sqrt(2), 1.0)  # 1, 3, 5, 7: slantwise
    area = (watershed(z, side, name, "accumulation") - 1) * side**2
    inlet = np.maximum(0, np.minimum(area, longest * side * x - side**2))
    sine = np.sin(np.radians(slope))
    beta = (sine / 0.0896) / (3 * sine**0.8 + 0.56)
    m = beta / (1 + beta)
    length = ((inlet + side**2) ** (m + 1) - inlet ** (m + 1)) / (side ** (m + 2) * x**m * 22.13**m)
    away = np.abs(found / (length * slope_steepness_factor(slope)) - 1)[INSIDE]
    print(f"{name}: {(away < 0.01).mean():.4f} within 1 %, median {np.median(away):.1e}, largest {away.max():.1e}")
    assert (away < 0.01).mean() >= agreeing
    assert np.median(away) < 1e-3


@pytest.mark.parametrize("percent", [4, 12, 30])
def test_length_and_steepness_on_a_plane(watershed: Callable[..., np.ndarray], percent: int) -> None:
    """Factors L and S against its own, at the height and the length that it gives to the k-th cell of a plane.

    r.watershed 8.2 adds every cell twice to the length (its slope of a 12 % plane is 6 %), so its ``length_slope`` itself is
    no measure: 3k m of fall on 30·(2k + 1) m.
    """
    fall = percent / 100 * 30
    z = (3000 - fall * ROWS).astype(np.float32)
    expected = watershed(z, 30.0, f"plane{percent}", "length_slope", f"max_slope_length={LONGEST_M}")[2:60, 45]
    k = np.arange(1, 59)
    length = 30.0 * (2 * k + 1)
    degrees = np.degrees(np.arctan(fall * k / length))
    ours = [
        float(slope_length_factor(angle, min(metres, LONGEST_M)) * slope_steepness_factor(angle))
        for angle, metres in zip(degrees, length, strict=True)
    ]
    np.testing.assert_allclose(ours, expected, rtol=2e-4)
