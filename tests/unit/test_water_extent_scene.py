"""Water extent of a whole scene: COGs in, COGs out, on the scene's own grid."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.transform import from_origin

from analyses.water.classes import CLOUD, NODATA, TERRAIN_SHADOW
from analyses.water.extent.classification import index_threshold, water_extent
from analyses.water.extent.masks import mask_from_classes
from analyses.water.extent.reflectance import OPTICAL_BANDS, Calibration, calibration, to_reflectance
from analyses.water.extent.rules import water_extent_rules
from spatial.errors import CRSMismatch, GridMismatch, InvalidParameter, SourceUnreadable
from spatial.watch import scene_extent as module
from spatial.watch.scene_extent import scene_extent
from spatial.watch.scene_files import OpticalScene, SceneGrid, Sun

ROOT = Path(__file__).parents[2]
RULES = water_extent_rules(
    {"water_extent": yaml.safe_load((ROOT / "layers/rules/water_extent.yml").read_text("utf-8"))}
)
HOW = calibration(RULES, "sentinel-2-l2a", baseline="05.10", provider="esa")
ROWS, COLS = 740, 610
WATER = (700, 800, 650, 350, 180, 120)
PLANTS = (400, 700, 450, 3200, 1800, 900)
SOIL = (900, 1200, 1500, 2300, 2900, 2300)
UTM = "EPSG:32649"


def write(path: Path, values: np.ndarray, cell: float, **more: Any) -> Path:
    profile = {
        "driver": "GTiff",
        "count": 1,
        "dtype": values.dtype,
        "height": values.shape[0],
        "width": values.shape[1],
    }
    profile |= {"crs": UTM, "transform": from_origin(500_000, 3_400_000, cell, cell), "tiled": True}
    profile |= {"blockxsize": 256, "blockysize": 256, "compress": "deflate"} | more
    with rasterio.open(path, "w", **profile) as target:
        target.write(values, 1)
    return path


@pytest.fixture(scope="module")
def tile(tmp_path_factory: pytest.TempPathFactory) -> tuple[OpticalScene, dict[str, np.ndarray]]:
    """A lake between plants and soil: three bands of 10 m, three of 20 m, a scene classification; an empty corner, a cloud."""
    folder = tmp_path_factory.mktemp("tile")
    rng = np.random.default_rng(9)
    row, col = np.indices((ROWS, COLS))
    lake = np.hypot(row - 400, col - 300) < 150
    share = rng.random((ROWS // 2, COLS // 2)).repeat(2, axis=0).repeat(2, axis=1)
    empty = (row + col < 120)[::2, ::2]
    numbers, files = {}, {}
    for k, name in enumerate(OPTICAL_BANDS):
        values = (
            np.where(lake, WATER[k], share * PLANTS[k] + (1 - share) * SOIL[k]) * rng.normal(1, 0.08, lake.shape) + 1000
        )
        if k < 3:
            values[empty.repeat(2, axis=0).repeat(2, axis=1)] = 0
        else:
            values = values[::2, ::2]
            values[empty] = 0
        numbers[name] = values.round().astype(np.uint16)
        files[name] = write(folder / f"{name}.tif", numbers[name], 10 if k < 3 else 20)
    scl = np.where(lake[::2, ::2], 6, 4).astype(np.uint8)
    scl[200:240, 200:260] = 9
    scl[empty] = 0
    numbers["cloud"] = scl
    files["cloud"] = write(folder / "scl.tif", scl, 20)
    cloud = files.pop("cloud")
    time = datetime(2026, 7, 1, 3, 12, tzinfo=UTC)
    return OpticalScene(files, HOW, cloud, time=time), numbers


def plain(numbers: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Reflectance and mask of the whole scene on the 10 m grid."""
    bands = {name: to_reflectance(numbers[name], HOW) for name in OPTICAL_BANDS}
    bands |= {name: bands[name].repeat(2, axis=0).repeat(2, axis=1) for name in OPTICAL_BANDS[3:]}
    return bands, mask_from_classes(numbers["cloud"], RULES).repeat(2, axis=0).repeat(2, axis=1)


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return np.asarray(source.read(1))


@pytest.mark.parametrize("method", ["dswx", "wofs", "mndwi"])
def test_a_scene_by_blocks_equals_the_method_on_the_whole(
    tile: tuple[OpticalScene, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: Any
) -> None:
    scene, numbers = tile
    monkeypatch.setattr(module, "_BLOCK", 256)
    found = scene_extent(scene, tmp_path / "out", RULES, method=method)
    bands, mask = plain(numbers)
    threshold = None
    if method == "mndwi":
        sample, hidden = module._sampled(scene, SceneGrid.of(scene), RULES)
        threshold = index_threshold(sample, RULES, "mndwi", mask=hidden)
        assert found.thresholds["threshold_by"] == "edge-otsu"
    expected = water_extent(bands, RULES, method=method, mask=mask, threshold=threshold)
    for name, values in (("class", expected.codes), ("bits", expected.bits), ("confidence", expected.confidence)):
        np.testing.assert_array_equal(read(found.files[name]), values)
    assert found.counts == {int(c): int(n) for c, n in zip(*np.unique(expected.codes, return_counts=True), strict=True)}
    assert found.valid_share == pytest.approx(expected.valid_share)
    assert found.clear_share == pytest.approx(expected.clear_share)
    assert {finding.code for finding in found.check.findings} == {"partial-tile"}
    document = json.loads((tmp_path / "out" / "extent.json").read_text("utf-8"))
    assert document == json.loads(json.dumps(found.document()))
    assert document["time"] == "2026-07-01T03:12:00+00:00"
    assert document["method"] == method


def test_results_are_cogs_on_the_grid_of_the_scene(
    tile: tuple[OpticalScene, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    from rio_cogeo.cogeo import cog_validate

    found = scene_extent(tile[0], tmp_path / "out", RULES)
    for name, path in found.files.items():
        assert cog_validate(path, quiet=True)[0], name
        with rasterio.open(path) as source:
            assert source.crs == rasterio.CRS.from_string(UTM)
            assert source.transform == from_origin(500_000, 3_400_000, 10, 10)
            assert (source.shape, source.nodata, source.descriptions) == ((ROWS, COLS), 255, (name,))
            assert source.overviews(1) == [2, 4]
            assert source.tags()["METHOD"] == "dswx"
            assert json.loads(source.tags()["THRESHOLDS"])["t1_mndwi"] == 0.124
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "bits.tif",
        "class.tif",
        "confidence.tif",
        "extent.json",
    ]
    with pytest.raises(InvalidParameter, match="exists already"):
        scene_extent(tile[0], tmp_path / "out", RULES)


def test_threads_and_blocks_change_no_bit(
    tile: tuple[OpticalScene, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = scene_extent(tile[0], tmp_path / "a", RULES, threads=1)
    monkeypatch.setattr(module, "_BLOCK", 512)
    parts = scene_extent(tile[0], tmp_path / "b", RULES, threads=3)
    for name in whole.files:
        np.testing.assert_array_equal(read(whole.files[name]), read(parts.files[name]))


def test_a_damaged_tile_leaves_nothing_behind(
    tile: tuple[OpticalScene, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, _ = tile
    damaged = tmp_path / "swir1.tif"
    data = Path(scene.bands["swir1"]).read_bytes()
    damaged.write_bytes(data[: len(data) * 2 // 3])  # the sample already meets it
    broken = OpticalScene(dict(scene.bands) | {"swir1": damaged}, HOW, scene.cloud)
    with pytest.raises(SourceUnreadable, match="swir1"):
        scene_extent(broken, tmp_path / "out", RULES)
    assert [path.name for path in tmp_path.iterdir()] == ["swir1.tif"]
    # A disk that fails half way: every thread stops, the folder aside goes.
    monkeypatch.setattr(module, "_BLOCK", 256)
    monkeypatch.setattr(module.TilePyramid, "close", lambda self: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        scene_extent(scene, tmp_path / "out", RULES)
    assert [path.name for path in tmp_path.iterdir()] == ["swir1.tif"]
    with pytest.raises(SourceUnreadable, match="blue"):
        scene_extent(
            OpticalScene(dict(scene.bands) | {"blue": tmp_path / "none.tif"}, HOW, scene.cloud), tmp_path / "out", RULES
        )


def test_excluded_scenes_are_listed_and_not_written(
    tile: tuple[OpticalScene, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    scene, numbers = tile
    cloudy = write(tmp_path / "cloudy.tif", np.full_like(numbers["cloud"], 9), 20)
    swapped = dict(scene.bands) | {"blue": scene.bands["red"], "red": scene.bands["blue"]}
    cases = {
        "no-cloud-mask": OpticalScene(scene.bands, HOW),
        "all-cloud": OpticalScene(scene.bands, HOW, cloudy),
        "scale": OpticalScene(scene.bands, Calibration(1.0, 0.0, 0), scene.cloud),
        "negative": OpticalScene(scene.bands, Calibration(1e-4, -0.2, 0), scene.cloud),
        "band-order": OpticalScene(swapped, HOW, scene.cloud),
    }
    for code, bad in cases.items():
        found = scene_extent(bad, tmp_path / "out", RULES)
        assert not found.check.usable, code
        assert code in {finding.code for finding in found.check.findings if finding.excludes}
        assert found.files == {}
        assert found.document()["usable"] is False
    assert [path.name for path in tmp_path.iterdir()] == ["cloudy.tif"]
    taken = scene_extent(OpticalScene(scene.bands, HOW), tmp_path / "out", RULES, accept_unmasked=True)
    assert CLOUD not in taken.counts
    assert taken.check.usable


def test_files_that_do_not_fit_are_refused(tile: tuple[OpticalScene, dict[str, np.ndarray]], tmp_path: Path) -> None:
    scene, numbers = tile
    out = tmp_path / "out"
    shifted = write(tmp_path / "shifted.tif", numbers["nir"], 20, transform=from_origin(500_005, 3_400_000, 20, 20))
    with pytest.raises(GridMismatch, match="nir"):
        scene_extent(OpticalScene(dict(scene.bands) | {"nir": shifted}, HOW, scene.cloud), out, RULES)
    other = write(tmp_path / "other.tif", numbers["nir"], 20, crs="EPSG:32650")
    with pytest.raises(CRSMismatch, match="nir"):
        scene_extent(OpticalScene(dict(scene.bands) | {"nir": other}, HOW, scene.cloud), out, RULES)
    with pytest.raises(InvalidParameter, match="nir"):
        scene_extent(OpticalScene({k: v for k, v in scene.bands.items() if k != "nir"}, HOW, scene.cloud), out, RULES)
    naive = OpticalScene(scene.bands, HOW, scene.cloud, time=datetime(2026, 7, 1, 3, 12))
    with pytest.raises(InvalidParameter, match="zone"):
        scene_extent(naive, out, RULES)
    with pytest.raises(InvalidParameter, match="sun"):
        scene_extent(OpticalScene(scene.bands, HOW, scene.cloud, dem=shifted), out, RULES)
    with pytest.raises(InvalidParameter, match="SCL"):
        scene_extent(OpticalScene(scene.bands, HOW, scene.bands["nir"]), out, RULES)
    assert not out.exists()


def test_terrain_shadow_hides_the_dark_side_of_a_ridge(
    tile: tuple[OpticalScene, dict[str, np.ndarray]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, _ = tile
    crest = 100 - np.abs(np.arange(0, 300) - 100)  # 30 m cells: rises southwards to row 100, then falls
    elevation = np.repeat(crest[:, None] * 30.0, 250, axis=1).astype(np.float32)
    dem = write(tmp_path / "dem.tif", elevation, 30)
    sunny = OpticalScene(scene.bands, HOW, scene.cloud, sun=Sun(180, 30), dem=dem)
    monkeypatch.setattr(module, "_BLOCK", 256)
    codes = read(scene_extent(sunny, tmp_path / "out", RULES).files["class"])
    without = read(scene_extent(scene, tmp_path / "without", RULES).files["class"])
    dark = codes == TERRAIN_SHADOW
    assert dark[200:294].mean() > 0.99  # north of the crest, at 3000 m south of the edge
    assert not dark[306:].any()
    np.testing.assert_array_equal(codes[306:], without[306:])
    assert (codes[:100, :100][without[:100, :100] == NODATA] == NODATA).all()  # no data is stronger


def test_without_elevation_there_is_no_shadow_and_no_cliff(
    tile: tuple[OpticalScene, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    """The elevation covers the north-west only; beside it nothing is known, and its edge casts nothing."""
    scene, _ = tile
    dem = write(tmp_path / "dem.tif", np.full((100, 80), 3000, np.float32), 30)
    sunny = OpticalScene(scene.bands, HOW, scene.cloud, sun=Sun(135, 25), dem=dem)
    assert TERRAIN_SHADOW not in scene_extent(sunny, tmp_path / "out", RULES).counts


def test_landsat_on_one_grid(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    how = calibration(RULES, "landsat-9-c2-l2")
    lake = np.hypot(*(np.indices((300, 280)) - 140)) < 60
    share = rng.random(lake.shape)
    files, numbers = {}, {}
    for k, name in enumerate(OPTICAL_BANDS):
        ground = np.where(lake, WATER[k], share * PLANTS[k] + (1 - share) * SOIL[k]) / 10_000
        numbers[name] = np.round((ground + 0.2) / 2.75e-5).astype(np.uint16)
        files[name] = write(tmp_path / f"{name}.tif", numbers[name], 30)
    quality = np.where(lake, 21952, 21824).astype(np.uint16)
    quality[:20, :20] = 22280
    mask = write(tmp_path / "qa.tif", quality, 30)
    found = scene_extent(OpticalScene(files, how, mask, "qa_pixel"), tmp_path / "out", RULES)
    codes = read(found.files["class"])
    assert (codes[:20, :20] == CLOUD).all()
    np.testing.assert_array_equal(((codes == 1) | (codes == 2))[20:], lake[20:])
    assert found.cell_area_m2 == 900
