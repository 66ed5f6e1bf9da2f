"""The whole analysis on small grids: hand oracles, laws, missing factors, bad input; in memory, without a store."""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import memory_run as memory
from memory_run import NORTH, STEP, WEST, Array, Memory, cell_box, centre, frame, monthly, same

from analyses.chain import NO_LIMIT, Chain
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

NO_PATH = 65536


@dataclass
class Case:
    """Inputs of one run; every optional role can be left out."""

    dem: np.ndarray
    rain: np.ndarray
    frames: dict[str, geopandas.GeoDataFrame] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=lambda: memory.rules("urban_suitability"))
    crs: str = "EPSG:4490"
    more: dict[str, tuple[str, np.ndarray, str, int]] = field(default_factory=dict)
    """Role → layer, values (bands, rows, cols), unit, and how many cells of the province one of its cells spans."""

    @property
    def grid(self) -> GeoBox:
        rows, cols = self.dem.shape
        box = (WEST, NORTH - rows * STEP, WEST + cols * STEP, NORTH)
        return GeoBox.from_bbox(box, crs=self.crs, shape=(rows, cols))

    def run(
        self,
        tmp_path: Path,
        *,
        block: int = 1024,
        window: tuple[int, int, int, int] | None = None,
        threads: int = 1,
        progress: Any = lambda share, text: None,
        **parameters: Any,
    ) -> tuple[dict[str, np.ndarray], AnalysisResult]:
        row, col, height, width = window or (0, 0, *self.dem.shape)
        grid = self.grid[row : row + height, col : col + width]
        rasters = {
            "dem": Array("dem", self.dem[np.newaxis], "m", (row, col)),
            "rain": Array("rain-monthly", self.rain, "mm", (row, col)),
        } | {
            role: Array(name, array, unit, (row, col), times) for role, (name, array, unit, times) in self.more.items()
        }
        inputs = Inputs(grid, rasters, self.frames, self.rules, {}, str(tmp_path), threads=threads)
        out = Memory(grid.shape.yx)
        result = UrbanSuitability(block).run(inputs, UrbanSuitabilityParameters(**parameters), out, progress)
        assert set(out.rasters) == set(UrbanSuitability.rasters)
        return out.rasters["class"] | out.rasters["factors"], result


def code(result: AnalysisResult, station: str) -> int:
    """Reason code of a station in this run."""
    return Chain.model_validate(result.explanations["class"].chain).code(station)


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


def complete() -> Case:
    """`hilly` with every raster: warm and cold months, damp air, calm and windy cells, all hazard levels."""
    case = hilly()
    rows, cols = case.dem.shape
    coarse = (12, (rows + 5) // 6, (cols + 5) // 6)
    rng = np.random.default_rng(5)
    season = 13 - 12 * np.cos(2 * np.pi * np.arange(12) / 12)
    temperature = season[:, None, None] + rng.uniform(-2, 2, coarse)
    humidity = rng.uniform(55, 90, (12, (rows + 8) // 9, (cols + 8) // 9))
    wind = np.stack([rng.uniform(0.5, 6, (rows, cols)), rng.uniform(0, 45, (rows, cols))])
    hazard = rng.choice([1, 2, 3, 4, 5], (1, rows, cols), p=[0.05, 0.1, 0.15, 0.2, 0.5])
    case.more = {
        "temperature": ("temperature-monthly", temperature.astype(np.float32), "degC", 6),
        "humidity": ("humidity-monthly", humidity.astype(np.float32), "%", 9),
        "wind": ("wind", wind.astype(np.float32), "m/s", 1),
        "geohazard": ("geohazard", hazard.astype(np.float32), "1", 1),
    }
    return case


def test_flat_wet_land_is_suitable(tmp_path: Path) -> None:
    bands, result = Case(FLAT, monthly((6, 6))).run(tmp_path)
    assert (inner(bands["class"]) == 1).all()
    assert (inner(bands["grade"]) == 1).all()
    assert (inner(bands["reason"]) == NO_LIMIT).all()
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
    case = Case(FLAT, monthly((6, 6), annual))
    bands, _ = case.run(tmp_path, runoff_coefficient=coefficient, apply_patches=False)
    assert inner(bands["water"]) == pytest.approx(annual * coefficient * 1000)
    assert (inner(bands["grade"]) == grade).all()


def test_water_surface_has_its_reason(tmp_path: Path) -> None:
    case = Case(FLAT, monthly((6, 6)), {"lakes": frame([cell_box(2, 2, 2, 1)]), "rivers": frame([cell_box(4, 4)])})
    bands, result = case.run(tmp_path)
    wet = np.zeros((6, 6), bool)
    wet[2:4, 2] = wet[4, 4] = True
    assert np.array_equal(bands["class"] == 3, wet)
    assert np.array_equal(bands["reason"] == code(result, "water-surface"), wet)
    assert assessed(result)["water-surface"]


def test_relief_adds_what_the_table_says(tmp_path: Path) -> None:
    dem = FLAT.copy()
    dem[2, 2] += 150  # relief 150 m: +1 around; slope there at most 150 × 2 / 8 / 800 m = 2.7°
    case = Case(dem, monthly((6, 6)))
    bands, _ = case.run(tmp_path, apply_patches=False)
    assert bands["relief"][3, 3] == 150
    assert bands["relief"][4, 4] == 0
    assert bands["grade"][3, 3] == 1  # land 2, matrix [2, 1] = 1
    dem[2, 2] += 100  # relief 250 m: +2, land 3, matrix [3, 1] = 2
    bands, _ = case.run(tmp_path, apply_patches=False)
    assert bands["grade"][3, 3] == 2
    bands, result = case.run(tmp_path, apply_relief=False, apply_patches=False)
    assert bands["grade"][3, 3] == 1
    assert not assessed(result)["relief"]


def test_minutes_and_location_by_hand(tmp_path: Path) -> None:
    dem = np.full((3, 60), 30.0, np.float32)
    frames = {
        "roads": frame([shapely.LineString([centre(0, 0), centre(0, 20)])], **{"class": ["provincial"]}),
        "seats": frame([centre(1, 0), centre(1, 59)], level=["province", "county"]),
    }
    case = Case(dem, monthly(dem.shape), frames)
    bands, result = case.run(tmp_path, offroad_speed_kmh=5, apply_patches=False)
    from pyproj import Geod

    cell = Geod(ellps="GRS80").inv(111, 31 - 1.5 * STEP, 111 + STEP, 31 - 1.5 * STEP)[2]
    # From the road's end 39 cells of open country at 5 km/h, 12 min a km.
    assert bands["location"][1, 59] - bands["location"][1, 40] == pytest.approx(19 * cell * 12 / 1000, abs=0.125)
    assert bands["location"][1, 0] == 0
    far = bands["location"][1, 1:-1] > 300
    assert np.array_equal(bands["grade"][1, 1:-1] == 3, far)
    assert (bands["reason"][1, 1:-1][far] == code(result, "location")).all()
    # The county row knows the seat at the other end.
    bands, _ = case.run(tmp_path, offroad_speed_kmh=5, location_row="county")
    assert bands["location"][1, 59] == 0


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
    bands, _ = case.run(tmp_path, apply_patches=False)
    assert (bands["location"][:, 5:] == NO_PATH).all()  # unreachable: a value, not «not assessed»
    assert (bands["grade"][1:-1, 5:-1] == 3).all()  # 差: +2
    assert (case.run(tmp_path, water_passable=True)[0]["location"] < 300).all()
    case.frames["roads"] = frame([shapely.LineString([centre(2, 0), centre(2, 8)])], **{"class": ["county"]})
    assert (case.run(tmp_path)[0]["location"][:, 5:] < 300).all()


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
    assert "location" not in bands


def test_no_band_is_empty_where_nothing_is_reached(tmp_path: Path) -> None:
    case = hilly()
    bands, result = case.run(tmp_path, window=(9, 7, 1, 2))  # inside the lake
    assert set(bands) == {
        *("class", "grade", "reason", "patch"),
        *("water-surface", "slope", "elevation", "relief", "water", "location"),
    }
    assert (bands["reason"] == code(result, "water-surface")).all()
    assert assessed(result)["location"]


NEVER = {"water-quota", "water-environment"}
"""Factors of the method that no layer of the catalogue carries."""
OF_ROLE = {"geohazard": {"geohazard"}, "wind": {"air"}, "humidity": {"comfort"}, "temperature": {"comfort"}}


def test_every_factor_of_the_method_is_listed(tmp_path: Path) -> None:
    _, result = hilly().run(tmp_path)
    listed = assessed(result)
    assert {name for name, done in listed.items() if done} == {
        *("slope", "elevation", "relief", "water", "water-surface", "location", "patch")
    }
    assert {name for name, done in listed.items() if not done} == {"geohazard", "air", "comfort"} | NEVER
    assert all(factor.source and factor.note.zh and factor.note.en for factor in result.factors)
    speed = next(row for row in result.tables["parameters"] if row["name"] == "offroad_speed_kmh")
    assert (speed["value"], speed["unit"], speed["tag"]) == (20.0, "km/h", "GK")


@pytest.mark.parametrize("role", OF_ROLE)
def test_each_raster_that_is_missing_takes_its_factor_and_nothing_else(tmp_path: Path, role: str) -> None:
    case = complete()
    whole, everything = case.run(tmp_path)
    assert {name for name, done in assessed(everything).items() if not done} == NEVER
    del case.more[role]
    bands, result = case.run(tmp_path)
    assert {name for name, done in assessed(result).items() if not done} == NEVER | OF_ROLE[role]
    assert set(whole) - set(bands) == OF_ROLE[role]
    for name in set(bands) - {"class", "grade", "reason", "patch"}:
        assert np.array_equal(bands[name], whole[name], equal_nan=True), name
    note = next(f.note for f in result.factors if f.id in OF_ROLE[role])
    assert role in note.zh or "缺少输入" in note.zh


def test_each_correction_by_hand(tmp_path: Path) -> None:
    """Flat, wet land of grade 1 with one bad cell for each factor; the numbers are those of the guide's tables."""
    case = Case(FLAT, monthly((6, 6)))
    hazard = np.full((1, 6, 6), 5.0, np.float32)
    hazard[0, 1, 1:5] = 1, 2, 3, 4  # 极高 +4, 高 +2, 较高 +1, 中 0
    wind = np.stack([np.full((6, 6), 4.0, np.float32), np.full((6, 6), 2.0, np.float32)])
    wind[0, 2, 1] = 0.75  # mean wind ≤ 1 m/s: grade 5, +1
    wind[1, 2, 2] = 31  # calm on more than 30 % of days: grade 5, +1
    wind[1, 2, 3] = 30  # grade 4, nothing
    cold = np.full((12, 6, 6), 16.0, np.float32)
    cold[:, 3, 1] = -20  # THI below 32 °F in every month: level 1, +1
    case.more = {
        "geohazard": ("geohazard", hazard, "1", 1),
        "wind": ("wind", wind, "m/s", 1),
        "temperature": ("temperature-monthly", cold, "degC", 1),
        "humidity": ("humidity-monthly", np.full((12, 6, 6), 75.0, np.float32), "%", 1),
    }
    bands, result = case.run(tmp_path, apply_patches=False)
    assert inner(bands["grade"]).tolist() == [[5, 3, 2, 1], [2, 2, 1, 1], [2, 1, 1, 1], [1, 1, 1, 1]]
    assert inner(bands["air"])[1].tolist() == [5, 5, 4, 2]
    assert bands["comfort"][3, 1] == 1
    assert bands["reason"][1, 1:5].tolist() == [code(result, "geohazard")] * 2 + [NO_LIMIT] * 2  # 2 is 适宜 still


def test_patches_by_hand(tmp_path: Path) -> None:
    """Cells of about 0.73 km²: one is medium, two are large, four are the largest; only «low» and «high» correct."""
    dem = np.full((8, 12), 30.0, np.float32)
    case = Case(dem, monthly(dem.shape))
    water = np.full((12, 8, 12), 100.0, np.float32)
    water[:, 2, 2] = water[:, 5, 5:7] = 12.5  # 150 mm × 0.47 = 70 500 m³/km²: grade 4, matrix [1, 4] = 2
    case.rain = water
    water[:, 2, 8:10] = water[:, 3, 9] = 12.5  # three cells, 2.2 km²: high, −1
    bands, _ = case.run(tmp_path)
    before, _ = case.run(tmp_path, apply_patches=False)
    assert before["grade"][2, 2] == before["grade"][5, 5] == before["grade"][2, 8] == 2
    assert bands["patch"][2, 2] == 3  # 0.73 km² is at least 0.5 and below 1
    assert bands["patch"][5, 5] == 2  # 1.5 km²
    assert bands["patch"][2, 8] == bands["patch"][3, 9] == 1
    assert bands["grade"][2, 2] == bands["grade"][5, 5] == 2
    assert (bands["grade"][2, 8:10] == 1).all()
    # A finer grid, so that a patch is smaller than 0.25 km²: +1.
    fine = Case(dem, water)
    fine.rain = np.full((12, 8, 12), 100.0, np.float32)
    fine.frames = {
        "lakes": frame([cell_box(1, 1, 1, 9), cell_box(2, 1, 1, 4), cell_box(2, 6, 1, 4), cell_box(3, 1, 1, 9)])
    }
    enclosed, result = fine.run(tmp_path)
    assert enclosed["patch"][2, 5] == 3
    assert enclosed["grade"][2, 5] == 1
    assert (enclosed["grade"][1, 1:10] == 5).all()  # a large 不适宜 is never improved
    assert (enclosed["reason"][1, 1:10] == code(result, "water-surface")).all()


def test_no_centre_of_the_level_is_not_assessed(tmp_path: Path) -> None:
    case = hilly()
    case.frames["seats"]["level"] = "county"
    assert not assessed(case.run(tmp_path)[1])["location"]
    assert assessed(case.run(tmp_path, location_row="county")[1])["location"]


@pytest.mark.parametrize("block", [1, 4, 7, 16, 23, 31, 64])
@pytest.mark.parametrize("make", [hilly, complete])
def test_block_size_does_not_change_a_bit(tmp_path: Path, make: Any, block: int) -> None:
    case = make()
    expected, expected_result = case.run(tmp_path)
    assert set(np.unique(expected["class"])) == {0, 1, 2, 3}
    found, result = case.run(tmp_path, block=block, threads=2)
    assert same(found, expected)
    assert result.tables == expected_result.tables


@pytest.mark.parametrize("window", [(0, 0, 10, 12), (5, 9, 11, 14), (3, 4, 1, 1)])
@pytest.mark.parametrize("make", [hilly, complete])
def test_a_window_is_the_same_part_of_the_province(
    tmp_path: Path, make: Any, window: tuple[int, int, int, int]
) -> None:
    """Every factor always; the class without patches, which end at the window (the next test)."""
    case = make()
    row, col, height, width = window
    for patches in (False, True):
        whole, _ = case.run(tmp_path, apply_patches=patches)
        part, _ = case.run(tmp_path, window=window, apply_patches=patches)
        cut = {name: band[row : row + height, col : col + width] for name, band in whole.items()}
        late = {"class", "grade", "reason", "patch"} if patches else set()
        assert same({n: part[n] for n in part if n not in late}, {n: cut[n] for n in cut if n not in late})


def test_a_window_cuts_the_patches_and_says_so(tmp_path: Path) -> None:
    """A patch that leaves the window counts with what lies inside of it, so it is never larger than in the province."""
    case = complete()
    whole, _ = case.run(tmp_path)
    part, result = case.run(tmp_path, window=(5, 9, 11, 14), bbox=(111.075, 30.866, 111.192, 30.958))
    cut = {name: band[5:16, 9:23] for name, band in whole.items()}
    assert (part["patch"] >= cut["patch"])[cut["patch"] > 0].all()  # smaller in the window: 5 is the smallest class
    assert (np.abs(part["grade"].astype(int) - cut["grade"]) <= 2).all()
    assert any("截断" in note.zh and "cut" in note.en for note in result.notes)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), factor=st.floats(1.05, 3))
def test_steeper_and_drier_are_never_better(tmp_path_factory: pytest.TempPathFactory, seed: int, factor: float) -> None:
    """Without patches: a province that is worse all over has larger patches of one grade, which may count in favour."""
    folder = tmp_path_factory.mktemp("law")
    base, _ = hilly(12, 20, seed).run(folder, apply_patches=False)
    case = hilly(12, 20, seed)
    case.dem = case.dem * np.float32(factor)
    steeper, _ = case.run(folder, apply_patches=False)
    assert (steeper["grade"] >= base["grade"])[base["grade"] > 0].all()
    drier, _ = hilly(12, 20, seed).run(folder, runoff_coefficient=0.47 / factor, apply_patches=False)
    assert (drier["grade"] >= base["grade"])[base["grade"] > 0].all()


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_explanation_of_a_cell_is_the_map(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """`Chain.trace` on the stored factor values and patch level gives grade, class and reason of the raster."""
    case = complete()
    rng = np.random.default_rng(seed)
    case.dem = rng.permuted(case.dem, axis=1) if seed % 2 else case.dem
    bands, result = case.run(tmp_path_factory.mktemp("explain"))
    chain = Chain.model_validate(result.explanations["class"].chain)
    for row, col in rng.integers(0, case.dem.shape, (40, 2)):
        told = chain.trace({name: float(bands[name][row, col]) for name in chain.factors})
        reason = int(bands["reason"][row, col])
        assert (told["class"] or 0) == bands["class"][row, col]
        assert (told["grade"] or 0) == bands["grade"][row, col]
        assert told["reason"] == (None if reason < 2 else chain.stations[reason - 2].id)


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
    lake = next(row for row in result.tables["by_reason"] if row["reason"] == code(result, "water-surface"))
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


def spoil(case: Case, role: str, change: Any) -> None:
    layer, values, unit, times = case.more[role]
    case.more[role] = (layer, change(values.astype(np.float32)), unit, times)


def only(band: int, factor: float) -> Any:
    def change(values: np.ndarray) -> np.ndarray:
        values[band] *= factor
        return values

    return change


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
    "temperature in °F": (
        lambda c: spoil(c, "temperature", lambda v: v * 1.8 + 32),
        QualityViolation,
        r"temperature-monthly.*degC",
    ),
    "temperature in K": (
        lambda c: spoil(c, "temperature", lambda v: v + 273.15),
        QualityViolation,
        r"temperature-monthly.*degC",
    ),
    "humidity as share": (lambda c: spoil(c, "humidity", lambda v: v / 100), QualityViolation, r"humidity-monthly.*%"),
    "calm days as share": (lambda c: spoil(c, "wind", only(1, 0.01)), QualityViolation, r"wind.*%"),
    "wind in km/h": (lambda c: spoil(c, "wind", only(0, 3.6)), QualityViolation, r"wind.*m/s"),
    "hazard levels in percent": (lambda c: spoil(c, "geohazard", lambda v: v * 20), QualityViolation, "geohazard"),
    "hazard levels from 0": (lambda c: spoil(c, "geohazard", lambda v: v - 1), QualityViolation, "geohazard"),
    "outside": (
        lambda c: c.frames.__setitem__("counties", c.frames["counties"].translate(9).to_frame("geometry")),
        InvalidParameter,
        "bbox",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_a_named_error(tmp_path: Path, name: str) -> None:
    change, error, said = BAD[name]
    case = complete()
    change(case)
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
