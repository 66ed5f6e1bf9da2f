"""Result rasters put together from encoded tiles: valid COGs, the same pixels and overviews whatever the blocks."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rio_cogeo.cogeo import cog_validate

from spatial.catalog import Band, Text
from spatial.jobs.outputs import BlockOutputs
from spatial.jobs.run import _to_cog

TITLE = Text(zh="例", en="example")
GRID = GeoBox.from_bbox((110, 30, 111.4, 31.15), crs="EPSG:4490", resolution=0.001)


def bands(count: int, *, classes: bool) -> tuple[Band, ...]:
    domain = dict.fromkeys(range(1, 4), TITLE) if classes else None
    names = [f"b{k}" for k in range(count)]
    return tuple(Band(name=n, title=TITLE, unit="m", valid_range=(0, 9), domain=domain) for n in names)


def write(folder: Path, values: np.ndarray, block: int, *, classes: bool) -> Path:
    folder.mkdir()
    outputs = BlockOutputs(GRID, folder)
    nodata = 0 if classes else float("nan")
    raster = outputs.raster(
        "x",
        bands=bands(len(values), classes=classes),
        dtype=values.dtype.name,
        nodata=nodata,
        title=TITLE,
        style={},
    )
    rows, cols = GRID.shape.yx
    for row in range(0, rows, block):
        for col in range(0, cols, block):
            for k, band in enumerate(values, start=1):
                raster.write(row, col, band[row : row + block, col : col + block], band=k)
    (written,) = outputs.close()
    return _to_cog(written, folder)


def read(path: Path, level: int | None = None) -> np.ndarray:
    options = {} if level is None else {"overview_level": level}
    with rasterio.open(path, **options) as dataset:
        return dataset.read()


@pytest.mark.parametrize("classes", [False, True])
def test_cog_is_valid_and_holds_the_pixels_and_halved_levels(tmp_path: Path, classes: bool) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 4, (3, *GRID.shape.yx)).astype(np.uint8 if classes else np.float32)
    if not classes:
        values[values == 0] = np.nan
    made = {size: write(tmp_path / str(size), values, size, classes=classes) for size in (512, 333, 1400)}
    for path in made.values():
        valid, errors, warnings = cog_validate(path)
        assert valid, errors
        assert not warnings
        assert np.array_equal(read(path), values, equal_nan=not classes)
    with rasterio.open(made[512]) as dataset:
        assert dataset.overviews(1) == [2, 4, 8]
        assert {c.name for c in dataset.colorinterp} <= {"gray", "undefined"}
        assert dataset.crs.to_epsg() == 4490
        assert dataset.transform.almost_equals(GRID.affine)
        assert dataset.descriptions == ("b0", "b1", "b2")
        assert dataset.units == ("m", "m", "m")
    for level in (0, 1, 2):
        first = read(made[512], level)
        if not classes:
            step = 2 ** (level + 1)
            assert np.array_equal(first, values[:, ::step, ::step], equal_nan=True)
        for size in (333, 1400):
            assert np.array_equal(read(made[size], level), first, equal_nan=not classes)


def test_overviews_of_classes_hold_the_most_frequent_and_nodata_only_where_nothing_else_is(tmp_path: Path) -> None:
    values = np.zeros((1, *GRID.shape.yx), np.uint8)
    values[0, :2, :6] = [[1, 2, 0, 0, 3, 1], [2, 2, 0, 1, 1, 3]]
    path = write(tmp_path / "c", values, 512, classes=True)
    assert read(path, 0)[0, 0, :3].tolist() == [2, 1, 3]


def test_tiles_that_nobody_wrote_stay_sparse_and_read_as_nodata(tmp_path: Path) -> None:
    outputs = BlockOutputs(GRID, tmp_path)
    raster = outputs.raster(
        "x", bands=bands(1, classes=False), dtype="float32", nodata=float("nan"), title=TITLE, style={}
    )
    raster.write(512, 512, np.ones((512, 512), np.float32))
    (written,) = outputs.close()
    path = _to_cog(written, tmp_path)
    assert path.stat().st_size < 20_000
    values = read(path)[0]
    assert values[512:1024, 512:1024].min() == 1
    assert np.isnan(values).sum() == values.size - 512 * 512
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_encoded_elsewhere_gives_the_same_file(tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 4, (1, *GRID.shape.yx)).astype(np.uint8)
    (tmp_path / "far").mkdir()
    outputs = BlockOutputs(GRID, tmp_path / "far")
    raster = outputs.raster("x", bands=bands(1, classes=True), dtype="uint8", nodata=0, title=TITLE, style={})
    encoder = pickle.loads(pickle.dumps(raster.encoder))
    rows, cols = GRID.shape.yx
    for row in range(0, rows, 512):
        for col in range(0, cols, 512):
            block = encoder(row, col, values[0, row : row + 512, col : col + 512])
            assert all(part[0] >= 2 or part[3].shape < (256, 256) for part in block.rest)  # whole tiles travel encoded
            raster.put(pickle.loads(pickle.dumps(block)))
    (written,) = outputs.close()
    here = write(tmp_path / "here", values, 512, classes=True)
    assert _to_cog(written, tmp_path / "far").read_bytes() == here.read_bytes()


def test_a_cell_is_put_once_and_on_the_raster(tmp_path: Path) -> None:
    raster = BlockOutputs(GRID, tmp_path).raster(
        "x", bands=bands(1, classes=True), dtype="uint8", nodata=0, title=TITLE, style={}
    )
    raster.write(0, 0, np.ones((256, 256), np.uint8))
    with pytest.raises(ValueError, match="twice"):
        raster.write(0, 0, np.ones((256, 256), np.uint8))
    for row, col in ((-1, 0), (0, 1300)):
        with pytest.raises(ValueError, match="outside"):
            raster.write(row, col, np.ones((256, 256), np.uint8))
