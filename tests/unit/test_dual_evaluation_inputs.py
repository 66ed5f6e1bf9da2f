"""The dual evaluation with inputs that are missing or wrong: listed or refused by name, never a silent default."""

from __future__ import annotations

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
from memory_run import STEP, Array, cell_box, frame, same
from small_province import ASSESSMENTS, Province, assessed, varied

from analyses.dual_evaluation import DualEvaluation
from spatial.errors import (
    CRSMismatch,
    GridMismatch,
    InvalidParameter,
    LayerDefinitionInvalid,
    LayerEmpty,
    QualityViolation,
    SpatialError,
)
from spatial.jobs.contract import AnalysisResult


@pytest.fixture(scope="module")
def province() -> Province:
    return varied()


@pytest.fixture(scope="module")
def expected(
    province: Province, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, np.ndarray]], AnalysisResult]:
    return province.run(tmp_path_factory.mktemp("expected"))


# -- missing inputs ----------------------------------------------------------------------------------------------------

CAPACITY = {"capacity-agri-water", "capacity-agri-land", "capacity-urban-water", "capacity-urban-land"}
LOST = {
    "humidity": {"comfort"},
    "wind": {"air"},
    "geohazard": {"geohazard", "conflict-d"},
    "soil": {"agriculture.silt", "ecology.water_soil_loss", "ecology.soil_conservation"},
    "soil_quality": {"agriculture.soil-environment"},
    "meteorological_hazards": {"agriculture.meteorological-hazard"},
    "carbonate": {"ecology.rocky_desertification"},
    "ndvi": {"ecology.water_soil_loss", "ecology.rocky_desertification", "ecology.soil_conservation"},
    "roads": {"location"},
    "seats": {"location"},
    "reserves": {"ecology.biodiversity", "fishery.reserves"},
    "counties": CAPACITY,
    "capacity": CAPACITY,
    "lakes": set(),  # the rivers are there still
    "rivers": {"fishery.ban"},
    "farmland": set(),  # conflict (f) is an upper bound then, and says so
}
"""Optional role → factors that fall away with it."""
OF_RASTER = {
    "ecology": {"soil", "carbonate", "ndvi", "reserves"},
    "agriculture": {"soil", "soil_quality", "meteorological_hazards"},
    "urban": {"humidity", "wind", "geohazard", "roads", "seats"},
}
"""Assessment → roles that it reads; a run without another role leaves it as it was, bit for bit."""
FOR_ALL = {"lakes", "rivers", "counties"}


def test_the_roles_without_which_a_matrix_cannot_be_read_are_required() -> None:
    roles = {spec.role: spec.optional for spec in DualEvaluation.inputs}
    assert {role for role, optional in roles.items() if not optional} == {"dem", "rain", "temperature", "land_use"}
    assert {role for role, optional in roles.items() if optional} >= set(LOST)


@pytest.mark.parametrize("role", LOST)
def test_a_missing_input_is_listed_and_changes_nothing_else(
    province: Province, expected: Any, tmp_path: Path, role: str
) -> None:
    rasters, result = province.without(role).run(tmp_path)
    before, after = assessed(expected[1]), assessed(result)
    gone = {name for name, done in before.items() if done and name not in after}
    assert all(name.startswith("capacity-warning") for name in gone), "gone without a word"
    assert {name for name, done in before.items() if done and after.get(name) is False} == LOST[role]
    for factor in result.factors:
        assert factor.note.zh
        assert factor.note.en
        assert factor.source
    for name, roles in OF_RASTER.items():
        if role not in roles | FOR_ALL:
            assert same(rasters[name], expected[0][name]) or name != "ecology"
            assert same(rasters[f"{name}_factors"], expected[0][f"{name}_factors"])
            assert np.array_equal(rasters[name]["class"], expected[0][name]["class"])
        elif role in roles:
            kept = set(rasters[f"{name}_factors"]) & set(expected[0][f"{name}_factors"])
            assert kept
            for band in kept:
                now, then = (r[f"{name}_factors"][band] for r in (rasters, expected[0]))
                assert np.array_equal(now, then, equal_nan=True), band


def test_without_any_water_layer_no_surface_is_assessed(province: Province, tmp_path: Path) -> None:
    rasters, result = province.without("lakes").without("rivers").run(tmp_path)
    assert not assessed(result)["water-surface"]
    assert not assessed(result)["agriculture.water-surface"]
    assert "water-surface" not in rasters["urban_factors"]


def test_several_missing_inputs_leave_what_can_be_assessed(province: Province, tmp_path: Path) -> None:
    """Dem, rain, temperature and land use alone: no fragility, no hazards, no units."""
    bare = province
    for role in LOST:
        bare = bare.without(role)
    rasters, result = bare.run(tmp_path)
    done = {name for name, yes in assessed(result).items() if yes}
    assert {"ecology.water_conservation", "agriculture.precipitation", "agriculture.patch", "slope", "water"} <= done
    for name in ASSESSMENTS:
        assert {1, 2, 3} & set(np.unique(rasters[name]["class"]))
    assert set(np.unique(rasters["conflicts"]["hazard_built"])) == {0}  # not assessed anywhere


@pytest.mark.parametrize(("role", "says"), [("temperature", "accumulated-temperature"), ("land_use", "land use")])
def test_a_required_role_that_is_missing_is_named(province: Province, tmp_path: Path, role: str, says: str) -> None:
    with pytest.raises(InvalidParameter, match=says):
        province.without(role).without("reserves").run(tmp_path)


def test_the_other_water_indicators(province: Province, expected: Any, tmp_path: Path) -> None:
    for indicator, factor in (("dryness", "dryness"), ("quota", "water-quota")):
        rasters, result = province.run(tmp_path, water_indicator=indicator)
        done = assessed(result)
        assert done[f"agriculture.{factor}"]
        assert not done["agriculture.precipitation"]
        assert factor in rasters["agriculture_factors"]
        assert same(rasters["urban"], expected[0]["urban"])
    quota = rasters["agriculture_factors"]["water-quota"][5, [5, 25]]
    areas = [row["unit_km2"] for row in expected[1].tables["capacity_county"]]
    assert quota == pytest.approx([1e8 / areas[0], 3e7 / areas[1]], rel=1e-3)
    with pytest.raises(InvalidParameter, match="water-quota"):
        province.without("capacity").run(tmp_path, water_indicator="quota")


# -- bad input ---------------------------------------------------------------------------------------------------------


def scaled(role: str, factor: float, plus: float = 0.0, bands: slice = slice(None)) -> Callable[[Province], None]:
    def change(values: np.ndarray) -> None:
        values[bands] = values[bands] * np.float32(factor) + np.float32(plus)

    return lambda case: case.change(role, change)


def with_column(**columns: Any) -> Callable[[Province], None]:
    def change(case: Province) -> None:
        case.frames["capacity"] = case.frames["capacity"].assign(**columns)

    return change


def without_rule(stem: str) -> Callable[[Province], None]:
    return lambda case: case.rules.pop(stem)


def set_crs(case: Province) -> None:
    case.crs = "EPSG:4326"


def double_code(case: Province) -> None:
    case.frames["counties"]["code"] = "420101"


BAD: dict[str, tuple[Callable[[Province], Any], type[SpatialError], str]] = {
    "rain in metres": (scaled("rain", 0.001), QualityViolation, r"rain-monthly.*mm"),
    "rain in cm": (scaled("rain", 0.1), QualityViolation, r"rain-monthly.*mm"),
    "rain in tenths of a mm": (scaled("rain", 10), QualityViolation, r"rain-monthly.*mm"),
    "temperature in °F": (scaled("temperature", 1.8, 32), QualityViolation, r"temperature-monthly.*degC"),
    "temperature in K": (scaled("temperature", 1, 273.15), QualityViolation, r"temperature-monthly.*degC"),
    "humidity as share": (scaled("humidity", 0.01), QualityViolation, r"humidity-monthly.*%"),
    "soil as shares 0–1": (scaled("soil", 0.01), QualityViolation, r"soil.*%"),
    "silt alone as share": (scaled("soil", 0.01, bands=slice(1, 2)), QualityViolation, r"soil.*%"),
    "soil that does not add up": (scaled("soil", 0.5, bands=slice(0, 1)), QualityViolation, r"soil.*add up"),
    "cadmium in μg/kg": (scaled("soil_quality", 1000, bands=slice(1, 2)), QualityViolation, r"soil-quality.*mg/kg"),
    "pH times ten": (scaled("soil_quality", 10, bands=slice(0, 1)), QualityViolation, r"soil-quality.*pH"),
    "frequency in percent": (scaled("meteorological_hazards", 100), QualityViolation, "meteorological-hazards"),
    "calm days as share": (scaled("wind", 0.01, bands=slice(1, 2)), QualityViolation, r"wind.*%"),
    "wind in km/h": (scaled("wind", 3.6, bands=slice(0, 1)), QualityViolation, r"wind.*m/s"),
    "NDVI times 10000": (scaled("ndvi", 10_000), QualityViolation, "units of the inputs"),
    "NDVI as 0–255": (scaled("ndvi", 255), QualityViolation, "ndvi"),
    "carbonate as share": (scaled("carbonate", 0.01), QualityViolation, r"carbonate.*%"),
    "carbonate beyond 100 %": (scaled("carbonate", 10), QualityViolation, "carbonate"),
    "hazard levels in percent": (scaled("geohazard", 20), QualityViolation, "geohazard"),
    "land use interpolated": (scaled("land_use", 1, 0.5), QualityViolation, "land-use"),
    "dem in centimetres": (scaled("dem", 100), QualityViolation, r"dem.*m"),
    "dem without data": (scaled("dem", np.nan), LayerEmpty, "dem"),
    "ndvi without data": (scaled("ndvi", np.nan), LayerEmpty, "ndvi"),
    "shares k above one": (with_column(k_agri=[0.8, 0.8]), QualityViolation, "k_agri|share"),
    "share in percent": (with_column(k_agri=[50.0, 40.0]), QualityViolation, "k_agri"),
    "quota in m3/hm2": (with_column(irrigation_quota_m3_per_mu=[6000.0, 5250.0]), QualityViolation, "irrigation_quota"),
    "water in 10^8 m3": (with_column(water_total_m3=[1.0, 0.3]), QualityViolation, "water_total_m3"),
    "units twice": (double_code, QualityViolation, "420101"),
    "wrong CRS": (set_crs, CRSMismatch, "EPSG:4490"),
    **{
        f"no rule file {stem}": (without_rule(stem), LayerDefinitionInvalid, stem)
        for stem in ("urban_suitability", "agricultural_suitability", "ecological_importance", "carrying_capacity")
    },
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_named_error(tmp_path: Path, name: str) -> None:
    spoil, error, said = BAD[name]
    case = varied()
    case.rules = deepcopy(case.rules)
    spoil(case)
    with pytest.raises(error, match=said) as caught:
        case.run(tmp_path)
    assert any("\u4e00" <= c <= "\u9fff" for c in caught.value.zh)
    assert caught.value.en


def test_a_reader_off_the_grid_is_named(province: Province, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Array.read
    monkeypatch.setattr(Array, "read", lambda self, *window, band=1: read(self, *window, band=band)[:-1])
    with pytest.raises(GridMismatch, match="dem"):
        province.run(tmp_path)


def test_a_block_without_data_is_not_assessed(province: Province, expected: Any, tmp_path: Path) -> None:
    """Nodata in a part of one layer: no class there, no crash, and a block of nothing else changes nothing outside."""
    case = varied()

    def hollow(values: np.ndarray) -> None:
        values[:, 8:16, 8:16] = np.nan

    case.change("dem", hollow)
    rasters, _ = case.run(tmp_path, block=8)
    for name in ("agriculture", "urban"):
        land = np.ones((8, 8), bool)
        if "lakes" in case.frames:
            land[0:3, 0:2] = False  # the lake is 不适宜 without any elevation
        assert (rasters[name]["class"][8:16, 8:16][land] == 0).all()
        assert np.array_equal(
            rasters[f"{name}_factors"]["slope"][:7], expected[0][f"{name}_factors"]["slope"][:7], equal_nan=True
        )
    assert (rasters["ecology"]["class"][8:16, 8:16] == 0).all()


def test_a_unit_without_area_is_said(province: Province, tmp_path: Path) -> None:
    """A unit smaller than a cell holds no cell centre: its row says 0 km², its capacity by land is not assessed."""
    case = varied()
    sliver = frame(
        [cell_box(3, 3).buffer(-0.499 * STEP)],
        code=["420303"],
        name=["丙县"],
        prefecture_code=["420300"],
        prefecture=["丙市"],
    )
    both = pandas.concat([sliver, case.frames["counties"]], ignore_index=True)  # later units are burned over it
    case.frames["counties"] = geopandas.GeoDataFrame(both, crs="EPSG:4490")
    _, result = case.run(tmp_path)
    row = next(r for r in result.tables["ecology_by_unit"] if r["code"] == "420303")
    assert row["assessed_km2"] == 0
    assert row["important_percent"] is None  # a share of nothing is no number
    carried = next(r for r in result.tables["capacity_county"] if r["code"] == "420303")
    assert carried["agri_status"] == "not_assessed"
    assert carried["agri_capacity_km2"] is None


def test_parameters_that_decide_are_in_the_tables(expected: Any) -> None:
    names = {row["name"] for row in expected[1].tables["parameters"]}
    assert {"runoff_coefficient", "offroad_speed_kmh", "location_row"} <= names
    assert all(row["source"] and row["tag"] for row in expected[1].tables["parameters"])
    said = " ".join(note.zh for note in expected[1].notes)
    assert "像元约" in said  # slopes come out too gentle on such cells
    assert "道路以外速度" in said
