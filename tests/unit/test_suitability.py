"""The whole analysis on small grids: hand oracles, laws, missing factors, bad input; in memory, without a store."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from analyses.decision import Reason
from analyses.suitability import UrbanSuitability, UrbanSuitabilityParameters
from spatial.errors import (
    CRSMismatch,
    GridMismatch,
    InvalidParameter,
    LayerDefinitionInvalid,
    LayerEmpty,
    QualityViolation,
    UnknownParameter,
)
from spatial.jobs.contract import AnalysisResult, Inputs
from spatial.jobs.registry import check_parameters

RULES = {
    "urban_suitability": yaml.safe_load(
        (Path(__file__).parents[2] / "layers" / "rules" / "urban_suitability.yml").read_text("utf-8")
    )
}
STEP = 1 / 120


class Array:
    """A raster in memory; `origin` is the run's window on it."""

    version = "1"

    def __init__(self, layer_id: str, values: np.ndarray, unit: str, origin: tuple[int, int] = (0, 0)) -> None:
        self.layer_id, self.values, self.unit, self.origin = layer_id, values, unit, origin

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        source = self.values[band - 1]
        rows = np.arange(row, row + height) + self.origin[0]
        cols = np.arange(col, col + width) + self.origin[1]
        out = source[rows.clip(0, source.shape[0] - 1)][:, cols.clip(0, source.shape[1] - 1)].astype(np.float32)
        out[(rows < 0) | (rows >= source.shape[0])] = np.nan
        out[:, (cols < 0) | (cols >= source.shape[1])] = np.nan
        return out


class Writer:
    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def write(self, row: int, col: int, values: np.ndarray, *, band: int = 1) -> None:
        self.values[band - 1, row : row + values.shape[0], col : col + values.shape[1]] = values


@dataclass
class Memory:
    """Result rasters in memory, by band name."""

    shape: tuple[int, int]
    bands: dict[str, np.ndarray] = field(default_factory=dict)

    def raster(
        self, name: str, *, bands: Any, dtype: str, nodata: float, title: Any, style: Mapping[str, Any]
    ) -> Writer:
        values = np.full((len(bands), *self.shape), nodata, dtype=dtype)
        self.bands |= {band.name: values[k] for k, band in enumerate(bands)}
        return Writer(values)


@dataclass
class Case:
    """Inputs of one run; every optional role can be left out."""

    dem: np.ndarray
    rain: np.ndarray
    frames: dict[str, geopandas.GeoDataFrame] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=lambda: RULES)
    crs: str = "EPSG:4490"

    @property
    def grid(self) -> GeoBox:
        rows, cols = self.dem.shape
        return GeoBox.from_bbox((111, 31 - rows * STEP, 111 + cols * STEP, 31), crs=self.crs, shape=(rows, cols))

    def run(
        self,
        tmp_path: Path,
        *,
        block: int = 1024,
        window: tuple[int, int, int, int] | None = None,
        progress: Any = lambda share, text: None,
        **parameters: Any,
    ) -> tuple[dict[str, np.ndarray], AnalysisResult]:
        row, col, height, width = window or (0, 0, *self.dem.shape)
        grid = self.grid[row : row + height, col : col + width]
        rasters = {
            "dem": Array("dem", self.dem[np.newaxis], "m", (row, col)),
            "rain": Array("rain-monthly", self.rain, "mm", (row, col)),
        }
        inputs = Inputs(grid, rasters, self.frames, self.rules, {}, str(tmp_path))
        out = Memory(grid.shape.yx)
        result = UrbanSuitability(block).run(inputs, UrbanSuitabilityParameters(**parameters), out, progress)
        return out.bands, result


def monthly(shape: tuple[int, int], annual_mm: float = 1200.0) -> np.ndarray:
    return np.full((12, *shape), annual_mm / 12, dtype=np.float32)


def frame(geometries: list[Any], **columns: Any) -> geopandas.GeoDataFrame:
    return geopandas.GeoDataFrame(columns, geometry=geometries, crs="EPSG:4490")


def centre(row: int, col: int) -> shapely.Point:
    return shapely.Point(111 + (col + 0.5) * STEP, 31 - (row + 0.5) * STEP)


def cell_box(row: int, col: int, height: int = 1, width: int = 1) -> shapely.Polygon:
    return shapely.box(111 + col * STEP, 31 - (row + height) * STEP, 111 + (col + width) * STEP, 31 - row * STEP)


def inner(array: np.ndarray) -> np.ndarray:
    return array[1:-1, 1:-1]


FLAT = np.full((6, 6), 30.0, dtype=np.float32)


def hilly(rows: int = 23, cols: int = 31, seed: int = 2) -> Case:
    """A small province: hills, two counties, a lake, roads and seats."""
    rng = np.random.default_rng(seed)
    # A thousand metres of range with smooth steps, so that every grade of slope and relief occurs.
    dem = np.cumsum(np.cumsum(rng.normal(0, 12, (rows, cols)), axis=0), axis=1).astype(np.float32)
    dem += 20 - dem.min()
    rain = rng.uniform(20, 130, (12, rows, cols)).astype(np.float32)
    frames = {
        "counties": frame(
            [cell_box(2, 2, rows - 4, 11), cell_box(2, 13, rows - 4, cols - 16)], code=["a", "b"], name=["甲", "乙"]
        ),
        "lakes": frame([cell_box(8, 6, 3, 4)]),
        "roads": frame(
            [
                shapely.LineString([centre(4, 4), centre(18, 26)]),
                shapely.LineString([centre(4, 4), centre(4, 24), centre(18, 26)]),
            ],
            **{"class": ["provincial", "expressway"]},
        ),
        "seats": frame([centre(4, 4), centre(18, 26)], level=["province", "county"]),
    }
    return Case(dem, rain, frames)


def test_flat_wet_land_is_suitable(tmp_path: Path) -> None:
    bands, result = Case(FLAT, monthly((6, 6))).run(tmp_path)
    assert (inner(bands["class"]) == 1).all()
    assert (inner(bands["grade"]) == 1).all()
    assert (inner(bands["reason"]) == Reason.NONE).all()
    assert (inner(bands["slope"]) == 0).all()
    assert inner(bands["water"]) == pytest.approx(1200 * 0.47 * 1000)
    # The edge has no neighbours to the outside: no slope, no class, never a default.
    assert (bands["class"][0] == 0).all()
    assert np.isnan(bands["slope"][0]).all()
    assert result.tables["totals"][0]["percent"] == 100


@pytest.mark.parametrize(
    ("annual", "coefficient", "grade"), [(1200, 0.47, 1), (800, 0.5, 1), (400, 0.4, 1), (400, 0.2, 2), (400, 0.1, 3)]
)
def test_water_modulus_by_hand(tmp_path: Path, annual: float, coefficient: float, grade: int) -> None:
    # 800 mm × 0.5 = 400 000 m³/km²: water grade 2, matrix [1, 2] = 1; 400 × 0.1 = 40 000: grade 5, matrix [1, 5] = 3.
    bands, _ = Case(FLAT, monthly((6, 6), annual)).run(tmp_path, runoff_coefficient=coefficient)
    assert inner(bands["water"]) == pytest.approx(annual * coefficient * 1000)
    assert (inner(bands["grade"]) == grade).all()


def test_water_surface_has_its_reason(tmp_path: Path) -> None:
    case = Case(FLAT, monthly((6, 6)), {"lakes": frame([cell_box(2, 2, 2, 1)]), "rivers": frame([cell_box(4, 4)])})
    bands, result = case.run(tmp_path)
    wet = np.zeros((6, 6), bool)
    wet[2:4, 2] = wet[4, 4] = True
    assert np.array_equal(bands["class"] == 3, wet)
    assert np.array_equal(bands["reason"] == Reason.WATER_SURFACE, wet)
    assert assessed(result)["water-surface"]


def test_relief_adds_what_the_table_says(tmp_path: Path) -> None:
    dem = FLAT.copy()
    dem[2, 2] += 150  # relief 150 m: +1 around; slope there at most 150 × 2 / 8 / 800 m = 2.7°
    case = Case(dem, monthly((6, 6)))
    bands, _ = case.run(tmp_path)
    assert bands["relief"][3, 3] == 150
    assert bands["relief"][4, 4] == 0
    assert bands["grade"][3, 3] == 1  # land 2, matrix [2, 1] = 1
    dem[2, 2] += 100  # relief 250 m: +2, land 3, matrix [3, 1] = 2
    bands, _ = case.run(tmp_path)
    assert bands["grade"][3, 3] == 2
    bands, result = case.run(tmp_path, apply_relief=False)
    assert bands["grade"][3, 3] == 1
    assert not assessed(result)["relief"]


def test_minutes_and_location_by_hand(tmp_path: Path) -> None:
    dem = np.full((3, 60), 30.0, np.float32)
    frames = {
        "roads": frame([shapely.LineString([centre(0, 0), centre(0, 20)])], **{"class": ["provincial"]}),
        "seats": frame([centre(1, 0), centre(1, 59)], level=["province", "county"]),
    }
    case = Case(dem, monthly(dem.shape), frames)
    bands, _ = case.run(tmp_path, offroad_speed_kmh=5)
    from pyproj import Geod

    cell = Geod(ellps="GRS80").inv(111, 31 - 1.5 * STEP, 111 + STEP, 31 - 1.5 * STEP)[2]
    # From the road's end 39 cells of open country at 5 km/h, 12 min a km.
    assert bands["minutes"][1, 59] - bands["minutes"][1, 40] == pytest.approx(19 * cell * 12 / 1000, rel=1e-4)
    assert bands["minutes"][1, 0] == 0
    far = bands["minutes"][1, 1:-1] > 300
    assert np.array_equal(bands["grade"][1, 1:-1] == 3, far)
    assert (bands["reason"][1, 1:-1][far] == Reason.LOCATION).all()
    # The county row knows the seat at the other end.
    bands, _ = case.run(tmp_path, offroad_speed_kmh=5, location_row="county")
    assert bands["minutes"][1, 59] == 0


def test_water_is_crossed_on_bridges_only(tmp_path: Path) -> None:
    case = Case(
        np.full((5, 9), 30.0, np.float32),
        monthly((5, 9)),
        {
            "rivers": frame([cell_box(0, 4, 5, 1)]),
            "roads": frame([shapely.LineString([centre(2, 0), centre(2, 1)])], **{"class": ["county"]}),
            "seats": frame([centre(2, 1)], level=["province"]),
        },
    )
    bands, _ = case.run(tmp_path)
    assert np.isnan(bands["minutes"][:, 5:]).all()  # unreachable
    assert (bands["grade"][1:-1, 5:-1] == 3).all()  # 差: +2
    assert np.isfinite(case.run(tmp_path, water_passable=True)[0]["minutes"]).all()
    case.frames["roads"] = frame([shapely.LineString([centre(2, 0), centre(2, 8)])], **{"class": ["county"]})
    assert np.isfinite(case.run(tmp_path)[0]["minutes"][:, 5:]).all()


def assessed(result: AnalysisResult) -> dict[str, bool]:
    return {factor.id: factor.assessed for factor in result.factors}


@pytest.mark.parametrize("missing", ["roads", "seats"])
def test_a_missing_input_is_not_assessed_and_never_a_default(tmp_path: Path, missing: str) -> None:
    case = hilly()
    case.frames.pop(missing)
    bands, result = case.run(tmp_path)
    without, _ = hilly().run(tmp_path, apply_location=False)
    assert not assessed(result)["location"]
    assert np.array_equal(bands["class"], without["class"])
    assert "minutes" not in bands


def test_no_band_is_empty_where_nothing_is_reached(tmp_path: Path) -> None:
    case = hilly()
    bands, result = case.run(tmp_path, window=(9, 7, 1, 2))  # inside the lake
    assert set(bands) == {"class", "grade", "reason", "slope", "relief", "water"}
    assert (bands["reason"] == Reason.WATER_SURFACE).all()
    assert assessed(result)["location"]


def test_every_factor_of_the_method_is_listed(tmp_path: Path) -> None:
    _, result = hilly().run(tmp_path)
    listed = assessed(result)
    assert {name for name, done in listed.items() if done} == {
        "slope",
        "elevation",
        "relief",
        "water-resources",
        "water-surface",
        "location",
    }
    assert {name for name, done in listed.items() if not done} == {
        "geohazard",
        "air-capacity",
        "water-capacity",
        "comfort",
        "patch",
    }
    assert all(factor.source and factor.note.zh and factor.note.en for factor in result.factors)
    speed = next(row for row in result.tables["parameters"] if row["name"] == "offroad_speed_kmh")
    assert (speed["value"], speed["unit"], speed["tag"]) == (20.0, "km/h", "GK")


def test_no_centre_of_the_level_is_not_assessed(tmp_path: Path) -> None:
    case = hilly()
    case.frames["seats"]["level"] = "county"
    assert not assessed(case.run(tmp_path)[1])["location"]
    assert assessed(case.run(tmp_path, location_row="county")[1])["location"]


def same(left: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(left[name], right[name], equal_nan=left[name].dtype.kind == "f") for name in left)


@pytest.mark.parametrize("block", [1, 4, 7, 16, 23, 31, 64])
def test_block_size_does_not_change_a_bit(tmp_path: Path, block: int) -> None:
    case = hilly()
    expected, expected_result = case.run(tmp_path)
    assert set(np.unique(expected["class"])) == {0, 1, 2, 3}
    found, result = case.run(tmp_path, block=block)
    assert same(found, expected)
    assert result.tables == expected_result.tables


@pytest.mark.parametrize("window", [(0, 0, 10, 12), (5, 9, 11, 14), (3, 4, 1, 1)])
def test_a_window_is_the_same_part_of_the_province(tmp_path: Path, window: tuple[int, int, int, int]) -> None:
    case = hilly()
    whole, _ = case.run(tmp_path)
    row, col, height, width = window
    part, _ = case.run(tmp_path, window=window)
    assert same(part, {name: band[row : row + height, col : col + width] for name, band in whole.items()})


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(1.05, 3))
def test_steeper_and_drier_are_never_better(tmp_path_factory: pytest.TempPathFactory, seed: int, factor: float) -> None:
    folder = tmp_path_factory.mktemp("law")
    base, _ = hilly(12, 20, seed).run(folder)
    case = hilly(12, 20, seed)
    case.dem = case.dem * np.float32(factor)
    steeper, _ = case.run(folder)
    assert (steeper["grade"] >= base["grade"])[base["grade"] > 0].all()
    drier, _ = hilly(12, 20, seed).run(folder, runoff_coefficient=0.47 / factor)
    assert (drier["grade"] >= base["grade"])[base["grade"] > 0].all()


def test_areas_by_county_add_up(tmp_path: Path) -> None:
    _, result = hilly().run(tmp_path)
    counties, totals = result.tables["by_county"], result.tables["totals"]
    assert [row["code"] for row in counties] == ["a", "b"]
    for number, name in enumerate(("suitable", "moderate", "unsuitable")):
        assert sum(row[f"{name}_km2"] for row in counties) == pytest.approx(totals[number]["km2"], abs=1e-5)
    for row in counties:
        parts = row["suitable_km2"] + row["moderate_km2"] + row["unsuitable_km2"]
        assert parts + row["not_assessed_km2"] == pytest.approx(row["unit_km2"], rel=1e-4)
        assert row["suitable_hm2"] == pytest.approx(row["suitable_km2"] * 100, abs=1e-3)
        assert row["suitable_mu"] == pytest.approx(row["suitable_km2"] * 1500, abs=1e-2)
    assert sum(row["km2"] for row in result.tables["by_reason"]) == pytest.approx(sum(r["km2"] for r in totals))
    lake = next(row for row in result.tables["by_reason"] if row["reason"] == Reason.WATER_SURFACE)
    assert lake["km2"] == pytest.approx(counties[0]["water_surface_km2"] + counties[1]["water_surface_km2"], abs=1e-5)


def test_progress_rises_to_one_and_can_stop_the_work(tmp_path: Path) -> None:
    shares: list[float] = []
    hilly().run(tmp_path, block=8, progress=lambda share, text: shares.append(share))
    assert shares[0] == 0
    assert shares[-1] == 1
    assert all(b >= a for a, b in itertools.pairwise(shares))

    class Stop(Exception):
        pass

    def stop(share: float, text: str) -> None:
        if share > 0.5:
            raise Stop

    with pytest.raises(Stop):
        hilly().run(tmp_path, block=8, progress=stop)


def without_field(case: Case, role: str, name: str) -> None:
    case.frames[role] = case.frames[role].drop(columns=name)


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "rain in metres": (lambda c: setattr(c, "rain", c.rain / 1000), QualityViolation, "rain-monthly"),
    "rain in tenths": (lambda c: setattr(c, "rain", c.rain * 10), QualityViolation, "rain-monthly"),
    "dem in centimetres": (lambda c: setattr(c, "dem", c.dem * 0 + 90_000), QualityViolation, "dem"),
    "dem without data": (lambda c: setattr(c, "dem", c.dem * np.nan), LayerEmpty, "dem"),
    "no rule file": (lambda c: setattr(c, "rules", {}), LayerDefinitionInvalid, "urban_suitability"),
    "wrong CRS": (lambda c: setattr(c, "crs", "EPSG:4326"), CRSMismatch, "EPSG:4490"),
    "seats without level": (lambda c: without_field(c, "seats", "level"), QualityViolation, "seats"),
    "roads without class": (lambda c: without_field(c, "roads", "class"), QualityViolation, "roads"),
    "unknown road": (lambda c: c.frames["roads"].__setitem__("class", "canal"), QualityViolation, "canal"),
    "outside": (
        lambda c: c.frames.__setitem__("counties", c.frames["counties"].translate(9).to_frame("geometry")),
        InvalidParameter,
        "bbox",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_named_error(tmp_path: Path, name: str) -> None:
    spoil, error, said = BAD[name]
    case = hilly()
    spoil(case)
    with pytest.raises(error, match=said):
        case.run(tmp_path)


def test_a_reader_off_the_grid_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Array.read
    monkeypatch.setattr(Array, "read", lambda self, *window, band=1: read(self, *window, band=band)[:-1])
    with pytest.raises(GridMismatch, match="dem"):
        hilly().run(tmp_path)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"runoff_coefficient": 1.2}, InvalidParameter),
        ({"runoff_coefficient": 0}, InvalidParameter),
        ({"offroad_speed_kmh": 500}, InvalidParameter),
        ({"offroad_speed_kmh": float("nan")}, InvalidParameter),
        ({"location_row": "village"}, InvalidParameter),
        ({"bbox": [112, 31, 111, 30]}, InvalidParameter),
        ({"bbox": [111, 30, 111, 30]}, InvalidParameter),
        ({"off_road_speed": 5}, UnknownParameter),
    ],
)
def test_bad_parameters(values: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        check_parameters(UrbanSuitabilityParameters, values, process="urban-suitability")


def test_a_box_without_data_is_the_callers_error(tmp_path: Path) -> None:
    case = Case(np.full((6, 6), np.nan, dtype=np.float32), monthly((6, 6)))
    with pytest.raises(InvalidParameter, match="dem") as caught:
        case.run(tmp_path, bbox=(111.0, 30.95, 111.05, 31.0))
    assert caught.value.details["parameter"] == "bbox"
