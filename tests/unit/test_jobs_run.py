"""A run: reading on the grid, writing by blocks, what it records, and that nothing is left of a run that fails."""

import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

from spatial.errors import GridMismatch, InvalidParameter, LayerNotFound, ProcessNotFound, UnknownParameter
from spatial.jobs.inputs import open_inputs, window_of
from spatial.jobs.registry import analysis, check_parameters
from spatial.jobs.run import run_analysis
from spatial.settings import Settings
from spatial.store.datastore import DataStore


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sample.environment(folder).items():
            patch.setenv(name, value)
        found = DataStore.open(Settings())
    sample.publish_inputs(found, folder)
    yield found
    found.close()


def read_rain(store, bbox=None, block=None):
    parameters = sample.LowlandParameters(bbox=bbox)
    with open_inputs(store, store.snapshot(), sample.Lowland, parameters, Path("/nonexistent")) as opened:
        rows, cols = opened.inputs.grid.shape
        rain = opened.inputs.rasters["rain"]
        if block is None:
            return rain.read(0, 0, rows, cols)
        values = np.full((rows, cols), np.nan, "float32")
        for row in range(0, rows, block[0]):
            for col in range(0, cols, block[1]):
                height, width = min(block[0], rows - row), min(block[1], cols - col)
                values[row : row + height, col : col + width] = rain.read(row, col, height, width)
        return values


@settings(max_examples=20, deadline=None)
@given(st.tuples(st.integers(1, 50), st.integers(1, 70)))
def test_resampled_values_do_not_depend_on_the_block(store, block):
    assert np.array_equal(read_rain(store), read_rain(store, block=block), equal_nan=True)


def test_resampled_values_do_not_depend_on_the_window_of_the_run(store):
    part = read_rain(store, bbox=(110.1, 31.7, 110.3, 31.85))
    assert np.array_equal(part, read_rain(store)[15:30, 10:30], equal_nan=True)


def test_bilinear_by_hand(tmp_path):
    """Source cells of 1°, base cells of 0.5°: weights 1/4 and 3/4 along each axis; nodata takes no part."""
    from spatial.jobs.reading import GridRaster
    from spatial.store.raster import PublishedRaster

    values = np.array([[0.0, 4.0], [8.0, -9999.0]], dtype="float32")
    path = sample.write_raster(tmp_path / "x.tif", values, 1.0)
    published = PublishedRaster(sample.layer("x"), "1", path, (110, 30, 112, 32), 2, 2, "float32", -9999.0, ((0, 8),))
    base = GeoBox.from_bbox((110, 30, 112, 32), crs="EPSG:4490", resolution=0.5)
    with rasterio.open(path) as dataset:
        found = GridRaster(dataset, published, base, (0, 0), "bilinear").read(0, 0, 4, 4)
        halo = GridRaster(dataset, published, base, (0, 0), "nearest").read(-1, -1, 3, 3)
    assert found[0, 0] == 0.0  # the corner has one neighbour only
    assert found[0, 1] == 1.0  # 3/4 × 0 + 1/4 × 4
    # centre at (1/4, 1/4) of the way: weights 9, 3, 3 of 15, the fourth cell has no data
    assert found[1, 1] == pytest.approx((9 * 0 + 3 * 4 + 3 * 8) / 15, rel=1e-6)
    assert np.isnan(found[2:, 2:]).all()
    assert np.isnan(halo[0]).all()
    assert halo[1:, 1:].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_an_input_off_the_grid_is_refused(store, tmp_path):
    values = np.zeros((5, 5), "float32")
    path = sample.write_raster(tmp_path / "shifted.tif", values, 0.013)
    store.publish_raster(sample.layer("shifted"), path)
    spec = sample.InputSpec("shifted", "shifted", "raster", sample.LOWLAND)

    class Wrong(sample.Lowland):
        inputs = (*sample.Lowland.inputs, spec)

    with (
        pytest.raises(GridMismatch, match="shifted"),
        open_inputs(store, store.snapshot(), Wrong, sample.LowlandParameters(), tmp_path),
    ):
        pass


@pytest.mark.parametrize(
    ("bbox", "window"),
    [
        (None, (0, 0, 4, 8)),
        ((110.0, 30.0, 112.0, 31.0), (0, 0, 4, 8)),
        ((110.25, 30.25, 110.75, 30.5), (2, 1, 1, 2)),  # edges on cell borders take no further cell
        ((110.3, 30.3, 110.55, 30.55), (1, 1, 2, 2)),  # as large as a cell: every cell that it touches
        ((100.0, 30.9, 110.1, 40.0), (0, 0, 1, 1)),
    ],
)
def test_window_of_a_box(bbox, window):
    assert window_of(GeoBox.from_bbox((110, 30, 112, 31), crs="EPSG:4490", resolution=0.25), bbox) == window


@pytest.mark.parametrize(
    ("bbox", "zh", "en"),
    [
        ((110.3, 30.3, 110.3000001, 30.3000001), "小于一个像元", "smaller than a cell"),
        ((110.3, 30.3, 110.9, 30.4), "小于一个像元", "smaller than a cell"),
        ((100.0, 30.0, 109.0, 31.0), "不相交", "outside the base raster"),
    ],
)
def test_a_box_without_a_cell_is_refused(bbox, zh, en):
    with pytest.raises(InvalidParameter) as caught:
        window_of(GeoBox.from_bbox((110, 30, 112, 31), crs="EPSG:4490", resolution=0.25), bbox)
    assert zh in caught.value.zh
    assert en in caught.value.en
    assert caught.value.details["parameter"] == "bbox"


@pytest.mark.parametrize(
    ("parameters", "error", "says"),
    [
        ({"threshold_m": -1}, InvalidParameter, r"\[0, 9000\]"),
        ({"threshold_m": float("nan")}, InvalidParameter, "threshold_m"),
        ({"threshold_m": float("inf")}, InvalidParameter, "threshold_m"),
        ({"threshold_m": "high"}, InvalidParameter, "high"),
        ({"treshold_m": 1}, UnknownParameter, "threshold_m"),
        ({"bbox": [110, 31]}, InvalidParameter, "bbox"),
        ({"bbox": [110.5, 31.7, 110.1, 31.8]}, InvalidParameter, "西"),
        ({"bbox": [0, 0, 1, 1]}, InvalidParameter, "不相交"),
    ],
)
def test_bad_parameters_name_themselves_and_leave_nothing(store, parameters, error, says):
    results = store.settings.var_dir / "results"
    before = sorted(results.glob("*"))
    with pytest.raises(error, match=says):
        run_analysis(store, "sample-lowland", parameters)
    assert sorted(results.glob("*")) == before
    assert not list((store.settings.var_dir / "scratch").glob("*"))


def test_a_missing_analysis_or_input_is_named(store, monkeypatch):
    with pytest.raises(ProcessNotFound, match="sample-lowland"):
        run_analysis(store, "sample-lowlan", {})
    missing = sample.InputSpec("soil", "soil", "raster", sample.Text(zh="土壤", en="Soil"))
    monkeypatch.setattr(analysis("sample-lowland"), "inputs", (*sample.Lowland.inputs, missing))
    with pytest.raises(LayerNotFound, match="soil"):
        run_analysis(store, "sample-lowland", {})


def test_a_failing_run_leaves_nothing_and_keeps_the_old_file(store, tmp_path):
    out = tmp_path / "out.tif"
    out.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="a bug"):
        run_analysis(store, "sample-failing", {}, out=out, publish=True)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]
    assert not list((store.settings.var_dir / "scratch").glob("*"))
    assert not [i for i in store.snapshot().catalog if i.startswith("sample-failing")]


def test_a_run_records_what_it_did(store, tmp_path):
    out = tmp_path / "out.tif"
    told = []
    result = run_analysis(
        store, "sample-lowland", {"threshold_m": 150}, out=out, progress=lambda share, text: told.append(share)
    )
    assert result.rasters == {"class": out}
    assert told == sorted(told)
    assert told[-1] <= 1
    record = result.provenance
    assert record["parameters"] == {"bbox": None, "threshold_m": 150.0, "pause_s": 0.0, "strict": False}
    assert [(i["layer"], i["version"], i["synthetic"]) for i in record["inputs"]] == [
        ("elevation", "1", False),
        ("rain", "1", True),
    ]
    assert record["synthetic"] is True
    assert record["software"]["name"] == "onemap-hubei"
    assert record["grid"]["shape"] == [40, 60]
    array = result.open()
    z = sample.elevation()
    assert np.array_equal(array.values, np.where(z == -9999, 255, z < 150))
    assert array.odc.crs.to_epsg() == 4490
    assert result.table("cells").loc[0, "low"] == int((z < 150).sum() - 1)
    assert "低地" in result._repr_html_()
    with rasterio.open(out) as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert dataset.descriptions == ("class",)


@given(st.floats(0, 9000), st.booleans())
def test_parameters_are_the_same_from_python_text_and_json(threshold, strict):
    python = check_parameters(sample.LowlandParameters, {"threshold_m": threshold, "strict": strict}, process="x")
    text = check_parameters(
        sample.LowlandParameters, {"threshold_m": repr(threshold), "strict": str(strict).lower()}, process="x"
    )
    assert python == text


def test_parameters_have_texts_in_both_languages():
    from pydantic import Field

    from analyses.suitability import UrbanSuitabilityParameters
    from spatial.jobs.contract import parameter_texts

    for name, field in UrbanSuitabilityParameters.model_fields.items():
        for text in parameter_texts(name, field):
            assert any("\u4e00" <= c <= "\u9fff" for c in text.zh), name
            assert not any("\u3000" <= c <= "\u9fff" for c in text.en), name
    title, about = parameter_texts("depth_m", Field(1.0, description="深度。 Depth."))
    assert (title.zh, about.en) == ("depth m", "深度。 Depth.")


def test_a_result_document_names_no_file(store):
    document = run_analysis(store, "sample-lowland", {"threshold_m": 150}).document()
    assert document["rasters"] == {"class": {"type": "image/tiff; application=geotiff"}}
    assert ".tif" not in str(document)
