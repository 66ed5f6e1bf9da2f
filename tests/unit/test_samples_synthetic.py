"""The synthetic inputs of the dual evaluation (双评价): exact totals, sums, ranges, pattern, and the recipe that made them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from rasterio.features import geometry_mask, rasterize

from spatial.catalog import load_catalog
from spatial.units import cell_row_areas

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "data-samples"
RASTERS = {
    "humidity-monthly": "base", "wind": "base", "land-use": "base", "soil": "thematic", "soil-quality": "thematic",
    "carbonate": "thematic", "meteorological-hazards": "thematic", "geohazard": "thematic",
}  # fmt: skip
STEPS = (
    "humidity_monthly", "wind", "meteorological_hazards", "soil", "soil_quality", "carbonate", "land_use",
    "county_capacity", "geohazard", "hazard_points", "site_marks",
    "river_levels",
    "water_quality_sections", "lake_optical_series", "outfalls", "water_sources", "lake_reflectance",
)  # fmt: skip
MADE = (*(f"{folder}/{name}.tif" for name, folder in RASTERS.items()), "thematic/hazard-points.gpkg", "thematic/site-marks.gpkg",
        "thematic/river-levels.gpkg",
        "thematic/water-quality-sections.gpkg", "thematic/lake-optical-series.gpkg", "thematic/outfalls.gpkg",
        "thematic/water-sources.gpkg", "base/lake-water-reflectance.tif", "base/lake-rayleigh-reflectance.tif",
        "base/lake-water-map.tif", "base/lake-macrophytes.tif",
        "thematic/county-capacity.gpkg", "thematic/county-capacity.csv")  # fmt: skip
PLACES = {
    "Wuhan": (114.3, 30.6),
    "Enshi": (109.48, 30.27),
    "Xiangyang": (112.13, 32.03),
    "Jingzhou": (112.2, 30.33),
    "Daye": (114.94, 30.09),
}


@cache
def _counties() -> gpd.GeoDataFrame:
    return gpd.read_file(DATA / "base" / "counties.gpkg").sort_values("code").reset_index(drop=True)


@cache
def _table() -> pd.DataFrame:
    return pd.read_csv(DATA / "thematic" / "county-capacity.csv")


@cache
def _bands(name: str) -> tuple[dict[str, np.ndarray], rasterio.Affine]:
    with rasterio.open(DATA / RASTERS[name] / f"{name}.tif") as dataset:
        return dict(zip(dataset.descriptions, dataset.read(), strict=True)), dataset.transform


@cache
def _areas(name: str) -> np.ndarray:
    """km² of the cells inside the province, 0 outside."""
    bands, transform = _bands(name)
    shape = next(iter(bands.values())).shape
    province = gpd.read_file(DATA / "base" / "province.gpkg")
    inside = geometry_mask(province.geometry, shape, transform, invert=True)
    rows = cell_row_areas(transform.f, -transform.e, transform.a, shape[0]) / 1e6
    return np.where(inside, rows[:, None], 0.0)


def _at(name: str, band: str, place: str) -> float:
    bands, transform = _bands(name)
    lon, lat = PLACES[place]
    return float(bands[band][int((lat - transform.f) / transform.e), int((lon - transform.c) / transform.a)])


def _county_numbers(name: str) -> np.ndarray:
    bands, transform = _bands(name)
    shapes = [(g, i) for i, g in enumerate(_counties().geometry, start=1)]
    return rasterize(shapes, next(iter(bands.values())).shape, transform=transform, dtype="int32")


@pytest.mark.parametrize("name", RASTERS)
def test_bands_are_those_of_the_definition_and_no_cell_is_empty(name: str) -> None:
    layer = load_catalog(ROOT / "layers")[name]
    bands, transform = _bands(name)
    assert list(bands) == [band.name for band in layer.bands]
    assert (transform.b, transform.d, transform.e < 0) == (0, 0, True), "north-up"
    with rasterio.open(DATA / RASTERS[name] / f"{name}.tif") as dataset:
        assert dataset.read_masks().all()
    assert layer.synthetic is not None
    assert layer.synthetic.seed == 42


@pytest.mark.parametrize("name", MADE)
def test_files_stay_small(name: str) -> None:
    assert (DATA / name).stat().st_size < 1_000_000


@pytest.mark.parametrize("number", range(1, 13))
def test_humidity_is_plausible_everywhere_in_each_month(number: int) -> None:
    bands, _ = _bands("humidity-monthly")
    values = bands[f"humidity_{number:02d}"][_areas("humidity-monthly") > 0]
    assert values.min() >= 60
    assert values.max() <= 93
    assert 70 <= np.median(values) <= 83


def test_wind_is_calm_in_the_valleys_and_blows_on_the_plain() -> None:
    bands, _ = _bands("wind")
    assert _at("wind", "mean_speed", "Wuhan") > _at("wind", "mean_speed", "Enshi") + 0.5
    assert _at("wind", "calm_share", "Enshi") > _at("wind", "calm_share", "Wuhan")
    inside = _areas("wind") > 0
    assert np.corrcoef(bands["mean_speed"][inside], bands["calm_share"][inside])[0, 1] < -0.8


def test_texture_is_a_whole_without_rounding() -> None:
    bands, _ = _bands("soil")
    assert (bands["sand"] + bands["silt"] + bands["clay"] == 100).all()
    assert all((bands[name] * 8 % 1 == 0).all() for name in ("sand", "silt", "clay"))
    assert 0 < (bands["silt"] >= 60).mean() < 0.05, "a few levees move a grade down"


def test_soil_is_clean_but_for_the_imaginary_spots() -> None:
    """Screening values of GB 15618-2018 for dry fields at pH ≤ 5.5, where most metals have their strictest value."""
    bands, transform = _bands("soil-quality")
    over = np.zeros(bands["ph"].shape, bool)
    for metal, limit in {"cd": 0.3, "hg": 1.3, "as": 40, "pb": 70, "cr": 150}.items():
        over |= bands[metal] > limit
    assert 0 < over.mean() < 0.02
    row, col = np.nonzero(over)
    lon, lat = transform.c + transform.a * (col + 0.5), transform.f + transform.e * (row + 0.5)
    assert (np.hypot((lon - 115.0) * 96, (lat - 30.05) * 111) < 60).all()
    assert _at("soil-quality", "cd", "Daye") > 3
    assert _at("soil-quality", "ph", "Xiangyang") > _at("soil-quality", "ph", "Daye")


def test_hazards_of_the_weather_follow_climate() -> None:
    pairs = {"drought": ("Xiangyang", "Enshi"), "heat": ("Wuhan", "Enshi"), "waterlogging": ("Daye", "Xiangyang")}
    for band, (more, less) in pairs.items():
        assert _at("meteorological-hazards", band, more) > _at("meteorological-hazards", band, less), band


def test_carbonate_is_in_the_south_west() -> None:
    bands, _ = _bands("carbonate")
    area, number = _areas("carbonate"), _county_numbers("carbonate")
    share = pd.Series(np.bincount(number.ravel(), (bands["carbonate_share"] * area).ravel(), 104)[1:])
    total = pd.Series(np.bincount(number.ravel(), area.ravel(), 104)[1:])
    by = share.groupby(_counties().prefecture).sum() / total.groupby(_counties().prefecture).sum()
    assert by.idxmax() == "恩施土家族苗族自治州"
    assert by["恩施土家族苗族自治州"] > 30
    assert (by[["荆州市", "仙桃市", "潜江市", "天门市", "武汉市", "随州市"]] < 2).all()


def test_landslides_are_in_the_west() -> None:
    classes, area = _bands("geohazard")[0]["susceptibility"], _areas("geohazard")
    shares = [area[classes == code].sum() / area.sum() for code in range(1, 6)]
    assert shares == pytest.approx([0.015, 0.055, 0.11, 0.17, 0.65], abs=0.005)
    west = _counties().prefecture.isin(["恩施土家族苗族自治州", "宜昌市", "神农架林区", "十堰市"]).to_numpy()
    west_cells = np.r_[False, west][_county_numbers("geohazard")]
    assert area[(classes <= 2) & west_cells].sum() > 0.95 * area[classes <= 2].sum()
    points = gpd.read_file(DATA / "thematic" / "hazard-points.gpkg")
    assert points.code.is_unique
    homes = _counties().set_index("code").geometry[points.county].to_numpy()
    assert shapely.intersects(homes, points.geometry.to_numpy()).all()
    assert points.county.isin(_counties().code[west]).mean() > 0.85


def test_land_use_meets_the_totals_of_the_land_survey() -> None:
    use, area = _bands("land-use")[0]["land_use"], _areas("land-use")
    km2 = {code: area[use == code].sum() for code in range(1, 14)}
    assert km2[1] + km2[2] == pytest.approx(47_686, rel=0.005)
    assert km2[1] / (km2[1] + km2[2]) == pytest.approx(0.534, abs=0.005)
    assert km2[3] == pytest.approx(4_870, rel=0.01)
    assert sum(km2[code] for code in (4, 5, 6, 7, 8)) == pytest.approx(0.57 * area.sum(), rel=0.05)
    assert km2[12] == pytest.approx(3_500, rel=0.05)


def test_land_use_agrees_with_its_sources() -> None:
    use, area = _bands("land-use")[0]["land_use"], _areas("land-use")
    transform = _bands("land-use")[1]
    farmland = gpd.read_file(DATA / "control" / "permanent-farmland.gpkg")
    drawn = geometry_mask(farmland.geometry, use.shape, transform, invert=True) & (area > 0)
    assert area[drawn & (use <= 2)].sum() > 0.88 * area[drawn].sum(), "permanent basic farmland lies on cropland"
    seats = gpd.read_file(DATA / "thematic" / "seats.gpkg").geometry
    row = ((seats.y - transform.f) / transform.e).astype(int)
    col = ((seats.x - transform.c) / transform.a).astype(int)
    around = [(use[r - 4 : r + 5, c - 4 : c + 5] == 12).any() for r, c in zip(row, col, strict=True)]
    assert np.mean(around) > 0.97, "a town within 4 km of the seat"
    towns = np.bincount(_county_numbers("land-use").ravel(), (area * (use == 12)).ravel(), 104)[1:]
    np.testing.assert_allclose(towns, _table().built_up_km2, rtol=0.02, atol=0.8)


def test_county_table_sums_exactly_to_the_provincial_figures() -> None:
    table = _table()
    assert table.code.tolist() == _counties().code.tolist()
    assert table.water_total_m3.sum() == 36_741_000_000
    assert table.water_use_m3_2019.sum() == 30_315_000_000
    assert table.population.sum() == 57_750_000
    assert table.urban_population.sum() == 36_320_000
    assert np.round(table.cropland_km2 * 100).astype(int).sum() == 4_768_600
    assert np.average(table.rainfed_share, weights=table.cropland_km2) == pytest.approx(0.3873, abs=1e-4)


def test_county_shares_and_rates_are_plausible() -> None:
    table = _table()
    assert (table.k_agri + table.k_urban <= 1 - table.k_eco).all()
    assert (table[["k_agri", "k_urban", "k_eco"]] > 0).all().all()
    for name, low, high in (
        ("irrigation_quota_m3_per_mu", 280, 420), ("irrigation_efficiency", 0.48, 0.62), ("rainfed_share", 0, 1),
        ("water_demand_per_capita_m3", 180, 900), ("urban_land_per_capita_m2", 80, 110),
    ):  # fmt: skip
        assert table[name].between(low, high).all(), name
    assert (table.urban_population < table.population).all()
    assert np.average(table.k_agri, weights=table.water_total_m3) == pytest.approx(0.49, abs=0.02)
    quota = pd.read_csv(DATA / "control" / "farmland-quota.csv").set_index("code").quota_km2
    assert (table.cropland_km2 >= quota.reindex(table.code).to_numpy() - 1e-9).all(), (
        "cropland holds the farmland quota"
    )
    assert (table.built_up_km2 >= table.built_up_km2_2015).all()


def test_county_layer_holds_the_table() -> None:
    frame = gpd.read_file(DATA / "thematic" / "county-capacity.gpkg")
    pd.testing.assert_frame_equal(pd.DataFrame(frame.drop(columns="geometry")), _table(), check_dtype=False)
    fields = load_catalog(ROOT / "layers")["county-capacity"].fields
    assert [field.name for field in fields] == list(_table().columns)


def test_recipe_makes_the_same_bytes_twice_and_the_files_of_the_repository(tmp_path: Path) -> None:
    """The steps need the repository only. Another processor may round a few cells otherwise, so content is compared."""
    copy = tmp_path / "data-samples"
    shutil.copytree(DATA, copy)

    def sums(folder: Path) -> dict[str, str]:
        return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in MADE}

    def run() -> dict[str, str]:
        for name in MADE:
            if name != "base/land-use.tif":
                (copy / name).unlink()
        command = [sys.executable, str(copy / "scripts" / "build.py"), *STEPS]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={"ONEMAP_REFERENCE_DATA": str(tmp_path / "none")}
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return sums(copy)

    first = run()
    # Where the bytes are those of the repository, an earlier run has made the same already.
    assert first == sums(DATA) or first == run()
    for name in MADE:
        if name.endswith(".tif"):
            with rasterio.open(copy / name) as made, rasterio.open(DATA / name) as kept:
                assert made.transform == kept.transform
                assert np.mean(made.read() != kept.read()) < 1e-3, name
    made = pd.read_csv(copy / "thematic" / "county-capacity.csv")
    pd.testing.assert_frame_equal(made, _table(), rtol=0.02)
