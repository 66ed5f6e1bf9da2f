"""GDAL's OAPIF driver reads every collection: the distribution's ``ogrinfo`` and ``ogr2ogr``, and the newer GDAL of a wheel."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyogrio
import pytest
import shapely

PAGE = 500
TYPES = {
    "string": {"String"},
    "integer": {"Integer", "Integer64"},
    "number": {"Real"},
    "boolean": {"Integer(Boolean)"},
    "date": {"Date"},
    "datetime": {"DateTime"},
}
MULTI = {"MultiPolygon", "MultiLineString", "MultiPoint"}


def field_types(text):
    """Layer → field → type, of what ``ogrinfo -so -al`` prints."""
    found, layer = {}, {}
    for line in text.splitlines():
        if line.startswith("Layer name: "):
            layer = found.setdefault(line.removeprefix("Layer name: "), {})
        elif line.endswith(" (0.0)"):
            name, kind = line.removesuffix(" (0.0)").split(": ", 1)
            layer[name] = kind
    return found


@pytest.fixture(scope="module")
def copied(ogc, run_gdal, samples, tmp_path_factory):
    """Every vector layer, copied by one ``ogr2ogr`` into a GeoPackage; and the addresses that it asked.

    The catalogue is left out: its records have lists of keywords, which a GeoPackage holds as text, and GDAL says so.
    """
    target = tmp_path_factory.mktemp("copied") / "all.gpkg"
    options = ["-oo", f"PAGE_SIZE={PAGE}", "-preserve_fid"]
    answer = run_gdal("ogr2ogr", "-f", "GPKG", str(target), f"OAPIF:{ogc}", *samples.vectors, *options)
    return target, answer.requests


def test_the_list_holds_every_vector_layer_and_no_raster(ogc, run_gdal, samples):
    listed = {
        line.split(" ")[1] for line in run_gdal("ogrinfo", f"OAPIF:{ogc}").text.splitlines() if line[:1].isdigit()
    }
    assert set(samples.vectors) <= listed
    assert not listed & set(samples.rasters)


def test_every_collection_is_read_completely(copied, samples, same_features):
    target, requests = copied
    for layer_id in samples.vectors:
        expected = samples.frame(layer_id)
        got = pyogrio.read_dataframe(target, layer=layer_id, fid_as_index=True)
        same_features(got, expected, samples.fields(layer_id))
        assert len(set(got.geom_type)) == 1
        assert got.geom_type.iloc[0].removeprefix("Multi") == expected.geom_type.iloc[0].removeprefix("Multi")
        np.testing.assert_allclose(got.total_bounds, expected.total_bounds, atol=1e-6)
        pages = [r for r in requests if f"/{layer_id}/items" in r and "after=" in r]
        assert len(pages) == -(-len(expected) // PAGE) - 1, layer_id


def test_a_small_page_size_reads_the_same(ogc, run_gdal, samples):
    answer = run_gdal("ogrinfo", "-q", "-ro", "-oo", "PAGE_SIZE=7", f"OAPIF:{ogc}", "river-gauges")
    names = [line.split(" = ")[1] for line in answer.text.splitlines() if line.startswith("  name (String)")]
    assert names == list(samples.frame("river-gauges")["name"])
    assert sum("after=" in r for r in answer.requests) == 4


def test_declared_extents_and_counts(ogc, run_gdal, samples):
    text = run_gdal("ogrinfo", "-so", "-al", f"OAPIF:{ogc}").text
    for layer_id in samples.vectors:
        part = text.split(f"Layer name: {layer_id}\n")[1].split("Layer name:")[0]
        expected = samples.frame(layer_id)
        assert f"Feature Count: {len(expected)}\n" in part
        west, south, east, north = expected.total_bounds
        assert f"Extent: ({west:.6f}, {south:.6f}) - ({east:.6f}, {north:.6f})" in part


def test_field_types_do_not_depend_on_the_first_features(ogc, run_gdal, samples):
    # A driver guesses types from its first page; with one feature a page, a gap there would make a number a text.
    found = field_types(run_gdal("ogrinfo", "-so", "-al", "-oo", "PAGE_SIZE=1", f"OAPIF:{ogc}").text)
    for layer_id in samples.vectors:
        for field in samples.layers[layer_id]["fields"]:
            assert found[layer_id][field["name"]] in TYPES[field["type"]], (layer_id, field["name"])


def test_spatial_filter_goes_to_the_server(ogc, run_gdal, samples):
    answer = run_gdal("ogrinfo", "-so", f"OAPIF:{ogc}", "counties", "-spat", "114", "30", "114.5", "30.5")
    expected = samples.frame("counties").intersects(shapely.box(114, 30, 114.5, 30.5)).sum()
    assert f"Feature Count: {expected}\n" in answer.text
    assert any("bbox=114,30,114.5,30.5" in r for r in answer.requests)


@pytest.mark.parametrize(
    ("layer_id", "where", "pushed", "pick"),
    [
        ("river-gauges", "river = '长江'", "river = '长江'", lambda f: f.river == "长江"),
        ("river-gauges", "river <> '长江' AND warning_m > 40", "warning_m > 40",
         lambda f: (f.river != "长江") & (f.warning_m > 40)),
        ("river-gauges", "warning_m BETWEEN 20 AND 30.5", "<= 30.5", lambda f: f.warning_m.between(20, 30.5)),
        ("river-gauges", "name LIKE '%口%'", "LIKE", lambda f: f.name.str.contains("口")),
        ("river-gauges", "alert_m IS NOT NULL", "IS NULL", lambda f: f.alert_m.notna()),
        ("river-gauges", "NOT (river = '长江' OR river = '汉江')", "NOT", lambda f: ~f.river.isin(["长江", "汉江"])),
        ("counties", "code = 420102", "code = 420102", lambda f: f.code == 420102),
        ("settlements", "name_en ILIKE 'wu%'", "wu%", lambda f: f.name_en.str.lower().str.startswith("wu", na=False)),
        ("river-gauges", "valid_from >= '2023/02/08'", "valid_from >=", lambda f: f.valid_from >= "2023-02-08"),
        ("river-gauges", "valid_from > '2023/02/08'", "valid_from >", lambda f: f.valid_from > "2023-02-08"),
        ("river-gauges", "valid_from < '2023/02/09 12:00'", "valid_from <", lambda f: f.valid_from < "2023-02-09"),
    ],
)  # fmt: skip
def test_attribute_filters_go_to_the_server(ogc, run_gdal, samples, layer_id, where, pushed, pick):
    frame = samples.frame(layer_id)
    answer = run_gdal("ogrinfo", "-so", f"OAPIF:{ogc}", layer_id, "-where", where)
    expected = int(pick(_Columns(frame)).sum())
    assert f"Feature Count: {expected}\n" in answer.text
    filters = [unquote(r) for r in answer.requests if "filter=" in r]
    assert filters
    assert pushed in filters[0]
    assert "filter-lang=cql-text" in filters[0]


class _Columns:
    """Columns of a frame as attributes, also those that a frame has methods for."""

    def __init__(self, frame):
        self.frame = frame

    def __getattr__(self, name):
        return self.frame[name]


def test_filters_that_the_driver_evaluates_itself(ogc, run_gdal, samples):
    answer = run_gdal("ogrinfo", "-so", f"OAPIF:{ogc}", "river-gauges", "-where", "river IN ('长江', '汉江')")
    assert f"Feature Count: {samples.frame('river-gauges').river.isin(['长江', '汉江']).sum()}\n" in answer.text


def test_a_feature_by_its_id(ogc, run_gdal, samples):
    answer = run_gdal("ogrinfo", "-q", f"OAPIF:{ogc}", "counties", "-fid", "420102")
    assert "OGRFeature(counties):420102" in answer.text
    assert f"name (String) = {samples.frame('counties').loc[420102, 'name']}" in answer.text


def test_one_collection_by_its_own_address(ogc, run_gdal):
    answer = run_gdal("ogrinfo", "-so", f"OAPIF_COLLECTION:{ogc}/collections/rivers", "rivers")
    assert "Geometry: Multi Line String" in answer.text


# --- GDAL 3.12 as the wheel of pyogrio brings it: CRS by open option ------------------------------------------------------


@pytest.fixture(scope="module")
def newer(ogc, tmp_path_factory):
    """Read a collection by the newer driver."""
    assert pyogrio.__gdal_version__ >= (3, 12)

    def read(layer_id, **options):
        return pyogrio.read_dataframe(f"OAPIF:{ogc}", layer=layer_id, fid_as_index=True, **options)

    return read


def test_newer_driver_reads_every_collection(newer, samples, same_features):
    for layer_id in samples.vectors:
        got = newer(layer_id)
        # Of the served CRSs the driver prefers the one of the storage.
        assert got.crs.to_epsg() == 4490
        same_features(got, samples.frame(layer_id), samples.fields(layer_id))


@pytest.mark.parametrize("epsg", [4326, 4490, 3857, 4526, 4527, 4547, 4548])
def test_newer_driver_reads_other_crs_with_east_first(newer, samples, same_features, epsg):
    got = newer("counties", CRS=f"EPSG:{epsg}", PAGE_SIZE=40)
    expected = samples.frame("counties").to_crs(epsg)
    assert got.crs.equals(expected.crs, ignore_axis_order=True)  # the driver takes CRS84 where 4326 is asked for
    degrees = epsg in (4326, 4490)
    same_features(got, expected, samples.layers["counties"]["fields"], tolerance=1e-6 if degrees else 1e-3)


def test_newer_driver_filters_by_a_box_in_gauss_krueger(newer, samples):
    # Easting first, as every GIS counts; the driver turns it into the order of EPSG:4547.
    box = (500_000, 3_330_000, 560_000, 3_400_000)
    got = newer("counties", CRS="EPSG:4547", bbox=box)
    expected = samples.frame("counties").to_crs(4547)
    assert list(got.index) == list(expected.index[expected.intersects(shapely.box(*box))])


def test_newer_driver_filters_and_finds_by_id(newer, samples):
    gauges = samples.frame("river-gauges")
    got = newer("river-gauges", where="river = '长江' AND valid_from >= '2023/01/01'")
    assert list(got.index) == list(gauges.index[gauges.river == "长江"])
    assert list(newer("counties", fids=[420102]).name) == [samples.frame("counties").loc[420102, "name"]]


def test_newer_driver_keeps_types_where_a_layer_begins_with_gaps(ogc, samples):
    found = pyogrio.read_info(f"OAPIF:{ogc}", layer="settlements", encoding="utf-8", INITIAL_REQUEST_PAGE_SIZE=1)
    assert dict(zip(found["fields"], found["dtypes"], strict=True))["population"] in ("int32", "int64")


def test_written_file_is_a_valid_geopackage(copied, samples):
    target, _ = copied
    assert Path(target).stat().st_size > 100_000
    assert {name for name, _ in pyogrio.list_layers(target)} >= set(samples.vectors)
