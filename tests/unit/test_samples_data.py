"""The sample files: size, geometry, codes, registration, and the pattern of the synthetic control lines."""

from __future__ import annotations

import hashlib
import itertools
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import rasterio
import shapely

from spatial.catalog import load_catalog
from spatial.units import cell_row_areas, geodesic_areas

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data-samples"
VECTORS = sorted(DATA.rglob("*.gpkg"))
RASTERS = sorted(DATA.rglob("*.tif"))
SCENES = {"surface-reflectance", "surface-reflectance-2024", "hankou-terrain", "hankou-land"} | {
    f"lake-{name}" for name in ("water-reflectance", "rayleigh-reflectance", "water-map", "macrophytes")
}
"""Rasters of a small window only."""
LINES = ("ecological-redline", "urban-growth-boundary", "permanent-farmland")
REFERENCE_ONLY = {
    "climate_0p5deg_annual_t_p.tif": "8e8c0200310af7066237313a742dd25534e9774324a9c01814b8ffdf83f6fbe9",
    "faults_gem_ccbysa.gpkg": "fcd725810a5c90c11d02b9606a56680ed66d551b2d37dcb7f5978cab88db0e7a",
    "gpw_v411_density_2020_15min.tif": "2a3a73e4555ab974a8a1cc218c61caf365c497503003d35d11787cd79c4582f6",
    "naturalearth_10m.gpkg": "57093aba35f30583be07478e233ff53dd9d53188a32ddf45d143bc6770819297",
    "powerplants_geo_ccby.gpkg": "a5e142c2f4708b4d52c1ab3696a001427bde9d23f9d87f4411e4ac9b4f0ceb68",
    "soil_usda_suborder_2min.tif": "63f4e8c3773f794b05f189ba672d27ab5a33594d2cc568006222b0bd5ed79e74",
    "stations_meteostat_ccby.gpkg": "a349bd8e6ec65e4886bdb31dd8a26d16d86e601fb4dffc2104ecf0ad0fbf5054",
}
"""Files for comparison only, which must never enter the repository, with their SHA-256."""
PREFECTURES = {
    420100, 420200, 420300, 420500, 420600, 420700, 420800, 420900, 421000, 421100, 421200, 421300, 422800,
    429004, 429005, 429006, 429021,
}  # fmt: skip
"""GB/T 2260 codes of the 17 prefecture-level units of Hubei."""


@cache
def _layer(name: str) -> gpd.GeoDataFrame:
    return gpd.read_file(DATA / f"{name}.gpkg")


def _km2(frame: gpd.GeoDataFrame) -> float:
    return float(geodesic_areas(frame.geometry.to_numpy()).sum()) / 1e6


def _share_by_prefecture(name: str) -> pd.Series:
    """Per cent of each prefecture-level unit that a control line covers."""
    counties = _layer("base/counties")
    prefecture = counties.set_index("code").prefecture
    lines = _layer(f"control/{name}")
    covered = pd.Series(geodesic_areas(lines.geometry.to_numpy())).groupby(lines.county.map(prefecture)).sum()
    total = pd.Series(geodesic_areas(counties.geometry.to_numpy())).groupby(counties.prefecture).sum()
    return (100 * covered / total).fillna(0.0)


def test_repository_stays_small() -> None:
    sizes = {path: path.stat().st_size for path in DATA.rglob("*") if path.is_file()}
    assert max(sizes.values()) <= 5e6
    assert sum(sizes.values()) <= 25e6


@pytest.mark.parametrize("path", VECTORS, ids=lambda p: p.stem)
def test_vectors_are_clean(path: Path) -> None:
    assert [name for name, _ in pyogrio.list_layers(path)] == [path.stem]
    frame = gpd.read_file(path)
    assert frame.crs.to_epsg() == 4490
    assert len(frame)
    assert frame.geometry.notna().all()
    assert frame.is_valid.all()
    assert not frame.is_empty.any()
    assert np.isfinite(shapely.get_coordinates(frame.geometry.array)).all()
    west, south, east, north = frame.total_bounds
    assert west >= 108.2, "x is longitude"
    assert south >= 28.9
    assert east <= 116.31
    assert north <= 33.41


@pytest.mark.parametrize("path", RASTERS, ids=lambda p: p.stem)
def test_rasters_declare_crs_nodata_and_cover_the_province(path: Path) -> None:
    with rasterio.open(path) as dataset:
        assert dataset.crs.to_epsg() == 4490
        assert dataset.nodata is not None
        west, south, east, north = dataset.bounds
        if path.stem not in SCENES:
            assert (west <= 108.37, south <= 29.04, east >= 116.13, north >= 33.27) == (True,) * 4
        values = dataset.read(masked=True)
        assert np.isfinite(values.compressed()).all()
        assert values.count() > 0.5 * values.size


@pytest.mark.parametrize(
    "layer", [x for x in load_catalog(ROOT / "layers").values() if x.kind == "raster"], ids=lambda x: x.id
)
def test_raster_values_lie_in_the_declared_range(layer: object) -> None:
    with rasterio.open(ROOT / layer.source.path) as dataset:
        assert dataset.count == len(layer.bands)
        for index, band in enumerate(layer.bands, start=1):
            values = dataset.read(index, masked=True).compressed()
            assert band.valid_range[0] <= values.min()
            assert values.max() <= band.valid_range[1]
            if band.domain:
                assert set(np.unique(values).tolist()) <= set(band.domain)


def test_codes_are_those_of_gb_t_2260() -> None:
    counties, prefectures = _layer("base/counties"), _layer("base/prefectures")
    assert _layer("base/province").code.tolist() == [420000]
    assert set(prefectures.code) == PREFECTURES
    assert counties.code.is_unique
    assert len(counties) == 103
    direct = counties.code.between(429000, 429099)
    parent = np.where(direct, counties.code, counties.code // 100 * 100)
    assert (parent == counties.prefecture_code).all()
    assert set(counties.prefecture_code) == PREFECTURES


def test_administrative_units_tile_the_province() -> None:
    total = _km2(_layer("base/province"))
    assert total == pytest.approx(185_900, rel=0.002), "official area of the province"
    for name in ("base/prefectures", "base/counties"):
        frame = _layer(name)
        assert shapely.coverage_is_valid(frame.geometry.to_numpy())
        assert _km2(frame) == pytest.approx(total, rel=1e-4)
        assert frame.area_km2.sum() == pytest.approx(total, rel=1e-4)


def test_control_lines_exclude_each_other_exactly() -> None:
    for one, other in itertools.combinations_with_replacement(LINES, 2):
        a, b = (_layer(f"control/{name}").geometry.to_numpy() for name in (one, other))
        left, right = shapely.STRtree(b).query(a, predicate="intersects")
        if one == other:
            left, right = left[left < right], right[left < right]
        assert shapely.area(shapely.intersection(a[left], b[right])).sum() == 0.0, (one, other)


def test_redline_takes_its_share_of_the_province() -> None:
    share = 100 * _km2(_layer("control/ecological-redline")) / _km2(_layer("base/province"))
    assert share == pytest.approx(20.2, abs=0.5)


def test_farmland_meets_the_total_and_the_quota_of_each_county() -> None:
    quota = pd.read_csv(DATA / "control" / "farmland-quota.csv").set_index("code").quota_km2
    farmland = _layer("control/permanent-farmland")
    drawn = (farmland.groupby("county").area_hm2.sum() / 100).reindex(quota.index).fillna(0)
    assert set(quota.index) == set(_layer("base/counties").code)
    assert quota.sum() == pytest.approx(39_700, rel=0.001)
    assert _km2(farmland) == pytest.approx(39_700, rel=0.01)
    assert (drawn[quota == 0] == 0).all()
    # A cell of the 30″ grid is 0.7 km²; nearer than one cell no county can be.
    assert ((drawn - quota).abs() <= np.maximum(0.03 * quota, 0.75)).all()


def test_redline_follows_the_real_pattern() -> None:
    share = _share_by_prefecture("ecological-redline")
    assert share["神农架林区"] >= 60
    assert share["恩施土家族苗族自治州"] >= 30
    assert (share[["荆州市", "潜江市", "仙桃市"]] <= 12).all()
    assert share["恩施土家族苗族自治州"] > share["襄阳市"] > share["潜江市"]


def test_farmland_lies_in_the_plain() -> None:
    share = _share_by_prefecture("permanent-farmland")
    assert share[["神农架林区", "恩施土家族苗族自治州"]].max() < share[["荆州市", "潜江市", "仙桃市", "天门市"]].min()


def test_areas_and_counties_of_the_control_lines_are_true() -> None:
    counties = _layer("base/counties").set_index("code").geometry
    for name in LINES:
        frame = _layer(f"control/{name}")
        np.testing.assert_allclose(frame.area_hm2, geodesic_areas(frame.geometry.to_numpy()) / 1e4, atol=0.02)
        inside = shapely.intersection(frame.geometry.to_numpy(), counties[frame.county].to_numpy())
        assert shapely.area(inside).sum() == pytest.approx(shapely.area(frame.geometry.to_numpy()).sum(), rel=1e-4)


def test_every_county_has_one_seat_inside_it() -> None:
    seats, counties = _layer("thematic/seats"), _layer("base/counties").set_index("code").geometry
    own = seats[seats.level == "county"]
    assert sorted(own.code) == sorted(counties.index)
    assert shapely.contains_properly(counties[own.code].to_numpy(), own.geometry.to_numpy()).all()
    upper = seats[seats.level != "county"]
    assert set(upper.code) == PREFECTURES
    homes = _layer("base/prefectures").set_index("code").geometry
    assert shapely.contains_properly(homes[upper.code].to_numpy(), upper.geometry.to_numpy()).all()
    assert upper[upper.level == "province"].name.tolist() == ["武汉市"]


@pytest.mark.parametrize(
    ("name", "lon", "lat"),
    [
        ("赤壁市", 113.88, 29.72),
        ("咸丰县", 109.15, 29.68),
        ("宜都市", 111.45, 30.38),
        ("广水市", 113.83, 31.62),
        ("黄梅县", 115.94, 30.07),
    ],
)
def test_seats_that_names_and_populations_get_wrong(name: str, lon: float, lat: float) -> None:
    seats = _layer("thematic/seats")
    seat = seats[(seats.name == name) & (seats.level == "county")].geometry.iloc[0]
    assert (seat.x, seat.y) == pytest.approx((lon, lat), abs=0.02)


def test_gauges_lie_in_their_county_by_their_river_with_rising_levels() -> None:
    gauges = _layer("thematic/river-gauges")
    counties = _layer("base/counties").set_index("name").geometry
    assert shapely.contains_properly(counties[gauges.county].to_numpy(), gauges.geometry.to_numpy()).all()
    surfaces = _layer("thematic/yangtze-han").set_index("name").geometry
    lakes = _layer("base/lakes").dissolve("name").geometry
    for gauge in gauges.itertuples():
        water = surfaces.get(gauge.river, lakes.get(gauge.river))
        if water is not None:
            assert gauge.geometry.distance(water) < 0.03, gauge.name
        levels = [x for x in (gauge.alert_m, gauge.warning_m, gauge.guarantee_m) if pd.notna(x)]
        assert levels == sorted(levels), gauge.name
    hankou = gauges[gauges.name == "汉口"].iloc[0]
    assert (hankou.alert_m, hankou.warning_m, hankou.guarantee_m, hankou.datum) == (25.0, 27.3, 29.73, "吴淞")
    assert set(pd.to_datetime(gauges.valid_from).dt.date.astype(str)) == {"2023-02-08"}
    assert gauges.quality.str.contains("by hand").all()


def test_elevation_is_registered_on_lakes_and_stations() -> None:
    """Half a cell too far west or south gives itself away at the weather stations of flat land."""
    stations = _layer("thematic/weather-stations")
    with rasterio.open(DATA / "base" / "dem.tif") as dataset:
        assert dataset.transform.a == pytest.approx(1 / 120)
        assert dataset.dtypes == ("int16",)
        places = list(zip(stations.geometry.x, stations.geometry.y, strict=True))
        heights = np.array([v[0] for v in dataset.sample(places)], float)
        # The cell holding (111.0, 31.0) fixes the origin: read as cell centres the corner would be 0.5 cell off.
        assert dataset.transform.c == pytest.approx(108.205294, abs=1e-5)
        assert dataset.transform.f == pytest.approx(33.401975, abs=1e-5)
    difference = heights - stations.altitude_m.to_numpy()
    assert abs(np.median(difference)) < 6
    assert np.median(np.abs(difference - np.median(difference))) < 15


def test_land_cover_shares_are_those_of_hubei() -> None:
    from rasterio.features import geometry_mask

    with rasterio.open(DATA / "base" / "landcover.tif") as dataset:
        classes = dataset.read(1)
        inside = geometry_mask(_layer("base/province").geometry, classes.shape, dataset.transform, invert=True)
        rows = cell_row_areas(dataset.transform.f, -dataset.transform.e, dataset.transform.a, dataset.height)
    area = np.where(inside, rows[:, None], 0.0)
    assert area[classes == 12].sum() / area.sum() == pytest.approx(0.25, abs=0.02)
    assert area[classes == 13].sum() / area.sum() == pytest.approx(0.019, abs=0.005)


def test_rain_and_temperature_at_wuhan() -> None:
    with rasterio.open(DATA / "base" / "rain-monthly.tif") as rain:
        assert next(rain.sample([(114.3, 30.6)])).sum() == pytest.approx(1202, rel=0.05)
    with rasterio.open(DATA / "base" / "temperature-monthly.tif") as temperature:
        months = next(temperature.sample([(114.3, 30.6)]))
    assert months[0] == pytest.approx(4.0, abs=1.0)
    assert months[6] == pytest.approx(28.8, abs=1.0)
    assert months.argmax() == 6


def test_rivers_are_drawn_once() -> None:
    """The main rivers come from one source; no nameless second line runs along them."""
    rivers = _layer("base/rivers")
    main = shapely.union_all(rivers.geometry[rivers["rank"] == "main"].to_numpy())
    others = rivers.geometry[rivers["rank"] == "tributary"].to_numpy()
    points = shapely.line_interpolate_point(shapely.line_merge(others), 0.5, normalized=True)
    assert (shapely.distance(points, main) > 0.005).all()
    assert {"长江", "汉江", "清江", "堵河", "府河"} <= set(rivers.name.dropna())


def test_nothing_comes_from_the_reference_only_files() -> None:
    hashes = {hashlib.sha256(path.read_bytes()).hexdigest() for path in DATA.rglob("*") if path.is_file()}
    assert not hashes & set(REFERENCE_ONLY.values())
    text = (DATA / "SOURCES.md").read_text("utf-8")
    assert not [name for name in REFERENCE_ONLY if name in text]
    scripts = "".join(path.read_text("utf-8") for path in (DATA / "scripts").glob("*.py"))
    assert "reference_only" not in scripts


def test_prefectures_have_english_names() -> None:
    frame = _layer("base/prefectures").set_index("code")
    assert frame.name_en.is_unique
    assert frame.name_en.str.fullmatch("[A-Z][a-z]+").all()
    expected = {420100: "Wuhan", 420600: "Xiangyang", 422800: "Enshi", 429021: "Shennongjia"}
    assert frame.name_en.loc[list(expected)].to_dict() == expected
    assert frame["name"].loc[420600] == "襄阳市"
