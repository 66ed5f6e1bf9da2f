"""Publishing rasters: a COG with the same numbers, or a named refusal and nothing left behind."""

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from rio_cogeo.cogeo import cog_validate

from spatial.catalog import Layer
from spatial.errors import CRSMismatch, LayerEmpty, NodataMissing, QualityViolation, SourceUnreadable
from spatial.store.raster import publish_cog, sample, write_cog

VALUES = np.array([[1, 2, 3], [4, -9999, 6]], dtype="float32")


def layer(**changes):
    document = {
        "id": "relief",
        "title": {"zh": "高程", "en": "Elevation"},
        "description": {"zh": "测试", "en": "test"},
        "theme": ["base"],
        "kind": "raster",
        "source": {
            "uri": "r.tif",
            "version": "1",
            "sha256": "0" * 64,
            "licence": "CC0",
            "attribution": {"zh": "自制", "en": "own"},
            "origin": "test",
        },
        "bands": [
            {"name": "elevation", "title": {"zh": "高程", "en": "Elevation"}, "unit": "m", "valid_range": [-200, 9000]}
        ],
        "style": {"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 10, "color": "#ffffff"}]},
    }
    return Layer.model_validate(document | changes)


def write(path, values=VALUES, crs="EPSG:4490", nodata=-9999, transform=None):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=values.shape[0],
        width=values.shape[1],
        count=1,
        dtype=values.dtype,
        crs=crs,
        nodata=nodata,
        transform=transform or from_origin(108.0, 33.0, 0.5, 0.5),
    ) as dataset:
        dataset.write(values, 1)
    return path


@pytest.mark.parametrize(("declared", "crs"), [("EPSG:4490", "EPSG:4490"), ("EPSG:4326", "EPSG:4326")])
def test_cog_holds_the_same_numbers_in_4490(tmp_path, declared, crs):
    raster = publish_cog(layer(crs=declared), "1", write(tmp_path / "r.tif", crs=crs), tmp_path / "out")
    assert cog_validate(raster.path)[0]
    with rasterio.open(raster.path) as dataset:
        np.testing.assert_array_equal(dataset.read(1), VALUES)
        assert dataset.crs.to_epsg() == 4490
        assert dataset.nodata == -9999
    assert raster.extent == (108.0, 32.0, 109.5, 33.0)
    assert raster.statistics == ((1, 6),)
    assert raster.grid.shape == (2, 3)


def test_sample_reads_the_pixel_under_the_point(tmp_path):
    raster = publish_cog(layer(), "1", write(tmp_path / "r.tif"), tmp_path / "out")
    assert sample(raster, 108.25, 32.75) == [1.0]
    assert sample(raster, 109.25, 32.25) == [6.0]
    assert sample(raster, 108.75, 32.25) == [None]  # nodata is not a number
    assert sample(raster, 107.9, 32.75) == [None]
    assert sample(raster, 108.0, 33.0) == [1.0]  # the north-west corner belongs to the first pixel


@pytest.mark.parametrize(
    ("values", "nodata", "extremes"),
    [
        (np.array([[3.0, np.nan], [-2.0, 7.0]], "float32"), float("nan"), (-2, 7)),
        (np.array([[np.inf, -9999.0], [5.0, 7.0]], "float32"), -9999, (5, 7)),
        (np.array([[np.nan, -9999.0], [5.0, -np.inf]], "float32"), -9999, (5, 5)),
        (np.array([[0, 9], [4, 255]], "uint8"), 0, (4, 255)),
    ],
)
def test_statistics_are_of_the_finite_cells_with_data(tmp_path, values, nodata, extremes):
    raster = publish_cog(layer(), "1", write(tmp_path / "r.tif", values, nodata=nodata), tmp_path / "out")
    assert raster.statistics == (extremes,)


def test_a_finished_cog_is_taken_as_it_is(tmp_path):
    write_cog(write(tmp_path / "r.tif"), tmp_path / "cog.tif", classes=False)
    raster = publish_cog(layer(), "1", tmp_path / "cog.tif", tmp_path / "out", ready=True)
    assert raster.path.read_bytes() == (tmp_path / "cog.tif").read_bytes()
    assert raster.statistics == ((1, 6),)


@pytest.mark.parametrize(("classes", "expected"), [(True, 2), (False, 6.25)])
def test_overviews_are_the_most_frequent_class_or_the_mean(tmp_path, classes, expected):
    values = np.tile(np.array([[2, 2], [2, 19]], "float32"), (600, 600))
    path = write(tmp_path / "r.tif", values, transform=from_origin(108.0, 33.0, 0.001, 0.001))
    write_cog(path, tmp_path / "cog.tif", classes=classes)
    with rasterio.open(tmp_path / "cog.tif", overview_level=0) as dataset:
        assert (dataset.read(1) == expected).all()


CASES = {
    "no crs": ({"crs": None}, {}, CRSMismatch),
    "another crs": ({"crs": "EPSG:3857"}, {}, CRSMismatch),
    "projected": ({"crs": "EPSG:4547"}, {"crs": "EPSG:4547"}, CRSMismatch),
    "no nodata": ({"nodata": None}, {}, NodataMissing),
    "nothing valid": ({"values": np.full((2, 2), -9999, "float32")}, {}, LayerEmpty),
    "decimetres instead of metres": ({"values": np.full((2, 2), 31060, "float32")}, {}, QualityViolation),
    "south up": ({"transform": rasterio.Affine(0.5, 0, 108, 0, 0.5, 32)}, {}, QualityViolation),
}


@pytest.mark.parametrize(("source", "definition", "kind"), CASES.values(), ids=CASES)
def test_wrong_rasters_are_refused_and_leave_nothing(tmp_path, source, definition, kind):
    path = write(tmp_path / "r.tif", **source)
    with pytest.raises(kind) as caught:
        publish_cog(layer(**definition), "1", path, tmp_path / "out")
    assert caught.value.layer == "relief"
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file()]


def test_damaged_file(tmp_path):
    (tmp_path / "r.tif").write_bytes(b"II*\0 nonsense")
    with pytest.raises(SourceUnreadable, match=r"r\.tif"):
        publish_cog(layer(), "1", tmp_path / "r.tif", tmp_path / "out")
