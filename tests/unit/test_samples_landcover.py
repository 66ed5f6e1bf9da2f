"""The synthetic scenes with their samples: values, clouds, change, pure polygons, a probability sample, the same bytes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import shapely
from rasterio.features import rasterize

from spatial.catalog import load_catalog

ROOT = Path(__file__).resolve().parents[2]
BASE = ROOT / "data-samples" / "base"
SCENES = ("surface-reflectance", "surface-reflectance-2024")
VECTORS = ("landcover-samples", "landcover-reference")
MADE = (*(f"base/{name}.tif" for name in SCENES), *(f"base/{name}.gpkg" for name in VECTORS))
BARE = 13


@cache
def _scene(name: str) -> tuple[np.ma.MaskedArray, rasterio.Affine]:
    with rasterio.open(BASE / f"{name}.tif") as dataset:
        return dataset.read(masked=True), dataset.transform


@cache
def _layer(name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(BASE / f"{name}.gpkg")


def _under(name: str, scene: str, field: str, code: int) -> np.ndarray:
    """Mean reflectance of the six bands in the cells of the polygons of a class."""
    values, transform = _scene(scene)
    frame = _layer(name)
    mask = rasterize(frame.geometry[frame[field] == code], values.shape[1:], transform=transform).astype(bool)
    return values[:, mask].mean(axis=1).filled(np.nan)


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_is_reflectance_with_a_few_clouds(name: str) -> None:
    values, transform = _scene(name)
    layer = load_catalog(ROOT / "layers")[name]
    assert values.shape == (6, 300, 300)
    assert transform.almost_equals(_scene(SCENES[0])[1]), "both dates lie on one grid"
    with rasterio.open(BASE / f"{name}.tif") as dataset:
        assert list(dataset.descriptions) == [band.name for band in layer.bands]
    mask = np.ma.getmaskarray(values)
    assert (mask == mask[0]).all(), "a cloud hides every band"
    assert 0.01 < mask.mean() < 0.05
    assert (values.compressed() * 1024 % 1 == 0).all(), "exact in float32"
    assert layer.synthetic is not None
    assert layer.synthetic.seed == 42
    assert (BASE / f"{name}.tif").stat().st_size < 700_000


def test_classes_look_as_such_surfaces_do() -> None:
    water, forest, paddy, town = (_under("landcover-samples", SCENES[0], "class", code) for code in (10, 6, 1, 12))
    assert water[3] < water[1] < 0.12, "water is dark, darkest in the infrared"
    assert forest[3] > 5 * forest[2], "the red edge"
    assert paddy[4] < 0.25 < paddy[3]
    assert town[2] > 2 * forest[2]


def test_town_and_lake_of_2024_were_cropland() -> None:
    frame = _layer("landcover-samples")
    changed = frame[frame["class"] != frame.class_2024]
    assert set(changed["class"]) <= {1, 2}
    assert set(changed.class_2024) == {10, 12}
    reference = _layer("landcover-reference")
    pairs = reference[reference["class"] != reference.class_2024]
    assert set(pairs["class"]) <= {1, 2}
    share = (pairs.class_2024 == 12).sum() / len(reference)
    assert share == pytest.approx(22 / 660, abs=0.02), "22 of about 660 km²"


def test_one_class_has_a_single_polygon_and_the_others_several() -> None:
    frame = _layer("landcover-samples")
    assert frame.polygon.is_unique
    for field in ("class", "class_2024"):
        counts = frame[field].value_counts()
        assert set(counts.index) == set(range(1, 14))
        assert counts[BARE] == 1
        assert counts.drop(BARE).min() >= 5
    # No two polygons touch: cells of one must not help to test another.
    pairs = shapely.STRtree(frame.geometry.to_numpy()).query(
        frame.geometry.to_numpy(), predicate="dwithin", distance=1 / 1200
    )
    assert (pairs[0] == pairs[1]).all()


def test_the_reference_is_a_random_sample_of_cells_inside_the_window() -> None:
    frame = _layer("landcover-reference")
    assert len(frame) == 900
    transform = _scene(SCENES[0])[1]
    col = (frame.geometry.x.to_numpy() - transform.c) / transform.a
    row = (frame.geometry.y.to_numpy() - transform.f) / transform.e
    cells = np.floor(row).astype(int) * 300 + np.floor(col).astype(int)
    assert len(set(cells.tolist())) == 900
    np.testing.assert_allclose([col % 1, row % 1], 0.5, atol=0.01)
    quarters = np.bincount((row >= 150).astype(int) * 2 + (col >= 150), minlength=4)
    assert quarters.min() > 180, "spread as chance spreads it"


def test_recipe_makes_the_same_bytes_twice_and_the_files_of_the_repository(tmp_path: Path) -> None:
    """From the land use of the repository only. Another processor may round a few cells otherwise: content is compared."""
    copy = tmp_path / "data-samples"
    for name in ("scripts", "base"):
        (copy / name).mkdir(parents=True)
    for path in (*(ROOT / "data-samples" / "scripts").glob("*.py"), BASE / "land-use.tif"):
        shutil.copy(path, copy / path.parent.name)

    def sums(folder: Path) -> dict[str, str]:
        return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in MADE}

    def run() -> dict[str, str]:
        command = [sys.executable, str(copy / "scripts" / "build.py"), "surface_reflectance", *(
            name.replace("-", "_") for name in VECTORS
        )]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"ONEMAP_REFERENCE_DATA": str(tmp_path / "none")}
        )
        assert done.returncode == 0, done.stderr[-2000:]
        found = sums(copy)
        for name in MADE:
            shutil.move(copy / name, tmp_path / Path(name).name)
        return found

    first = run()
    # Where the bytes are those of the repository, an earlier run has made the same already.
    assert first == sums(ROOT / "data-samples") or first == run()
    for name in SCENES:
        with rasterio.open(tmp_path / f"{name}.tif") as made, rasterio.open(BASE / f"{name}.tif") as kept:
            assert made.transform == kept.transform
            assert np.mean(made.read() != kept.read()) < 1e-3
    for name in VECTORS:
        made, kept = gpd.read_file(tmp_path / f"{name}.gpkg"), _layer(name)
        assert len(made) == len(kept)
        assert (made["class"] == kept["class"]).mean() > 0.99
