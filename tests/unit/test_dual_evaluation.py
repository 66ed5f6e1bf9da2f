"""The dual evaluation in memory: a hand-made grid for each class, laws, missing inputs, bad input, the explanation."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas
import pytest
from odc.geo.geobox import GeoBox

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import memory_run as memory
from dask_cluster import Cluster
from memory_run import NORTH, STEP, WEST, Array, Memory, cell_box, centre, frame, monthly, same
from shapely import LineString

from analyses import assessment, blocks
from analyses.chain import Chain
from analyses.dual_evaluation import DualEvaluation, DualEvaluationParameters
from analyses.evaluation_result import ECOLOGY_OUT, KNOCK_OUT, MASKED
from analyses.rules import agricultural_rules, urban_rules
from analyses.suitability import UrbanSuitability, UrbanSuitabilityParameters
from spatial.errors import (
    CRSMismatch,
    GridMismatch,
    InvalidParameter,
    LayerDefinitionInvalid,
    LayerEmpty,
    QualityViolation,
    SpatialError,
)
from spatial.grid import cell_areas
from spatial.jobs.contract import AnalysisResult, Inputs
from spatial.units import whole_dm2

ASSESSMENTS = ("ecology", "agriculture", "urban")
PADDY, DRYLAND, FOREST, GRASS, WATER, WETLAND, TOWN = 1, 2, 4, 9, 10, 11, 12


@dataclass
class Province:
    """Inputs of a run; `rasters`: role → layer, values (bands, rows, cols), unit, cells of the province in one cell."""

    rasters: dict[str, tuple[str, np.ndarray, str, int]]
    frames: dict[str, geopandas.GeoDataFrame] = field(default_factory=dict)
    rules: dict[str, Any] = field(default_factory=memory.rules)
    crs: str = "EPSG:4490"

    @property
    def shape(self) -> tuple[int, int]:
        rows, cols = self.rasters["dem"][1].shape[1:]
        return rows, cols

    @property
    def grid(self) -> GeoBox:
        rows, cols = self.shape
        box = (WEST, NORTH - rows * STEP, WEST + cols * STEP, NORTH)
        return GeoBox.from_bbox(box, crs=self.crs, shape=(rows, cols))

    def inputs(
        self,
        folder: Path,
        window: tuple[int, int, int, int] | None = None,
        threads: int = 1,
        scheduler: str | None = None,
    ) -> Inputs:
        row, col, height, width = window or (0, 0, *self.shape)
        grid = self.grid[row : row + height, col : col + width]
        rasters = {
            role: Array(layer, values, unit, (row, col), times)
            for role, (layer, values, unit, times) in self.rasters.items()
        }
        return Inputs(grid, rasters, self.frames, self.rules, {}, str(folder), threads=threads, scheduler=scheduler)

    def run(
        self,
        folder: Path,
        *,
        block: int = 1024,
        window: tuple[int, int, int, int] | None = None,
        threads: int = 1,
        scheduler: str | None = None,
        progress: Any = lambda share, text: None,
        **parameters: Any,
    ) -> tuple[dict[str, dict[str, np.ndarray]], AnalysisResult]:
        inputs = self.inputs(folder, window, threads, scheduler)
        out = Memory(inputs.grid.shape.yx)
        result = DualEvaluation(block).run(inputs, DualEvaluationParameters(**parameters), out, progress)
        assert set(out.rasters) == set(DualEvaluation.rasters)
        return out.rasters, result

    def without(self, role: str) -> Province:
        return Province(
            {r: v for r, v in self.rasters.items() if r != role},
            {r: f for r, f in self.frames.items() if r != role},
            self.rules,
        )

    def change(self, role: str, how: Callable[[np.ndarray], np.ndarray | None]) -> None:
        layer, values, unit, times = self.rasters[role]
        values = values.astype(np.float32)
        changed = how(values)
        self.rasters[role] = (layer, values if changed is None else changed, unit, times)


def full(shape: tuple[int, int], *values: float) -> np.ndarray:
    return np.stack([np.full(shape, v, np.float32) for v in values])


def even(rows: int = 8, cols: int = 8) -> Province:
    """A flat dryland at 30 m with 1,200 mm, 16 ℃, a loam, clean soil, no hazard: the best grade of everything."""
    shape = (rows, cols)
    return Province(
        {
            "dem": ("dem", full(shape, 30), "m", 1),
            "rain": ("rain-monthly", monthly(shape), "mm", 1),
            "temperature": ("temperature-monthly", full(shape, *[16] * 12), "degC", 1),
            "humidity": ("humidity-monthly", full(shape, *[70] * 12), "%", 1),
            "wind": ("wind", full(shape, 4, 2), "m/s", 1),
            "geohazard": ("geohazard", full(shape, 5), "1", 1),
            "soil": ("soil", full(shape, 40, 40, 20, 1.2), "%", 1),
            "soil_quality": ("soil-quality", full(shape, 6, 0.1, 0.1, 10, 30, 60), "mg/kg", 1),
            "meteorological_hazards": ("meteorological-hazards", full(shape, *[0.1] * 5), "1", 1),
            "carbonate": ("carbonate", full(shape, 0), "%", 1),
            "ndvi": ("ndvi", full(shape, 0.8, 0.3), "1", 1),
            "land_use": ("land-use", full(shape, DRYLAND), "1", 1),
        }
    )


def counties(rows: int, cols: int) -> geopandas.GeoDataFrame:
    west = (cols - 4) // 2
    return frame(
        [cell_box(2, 2, rows - 4, west), cell_box(2, 2 + west, rows - 4, cols - 4 - west)],
        code=["420101", "420202"],
        name=["甲县", "乙县"],
        prefecture_code=["420100", "420200"],
        prefecture=["甲市", "乙市"],
    )


def capacity() -> geopandas.GeoDataFrame:
    rows = {
        "code": ["420101", "420202"],
        "name": ["甲县", "乙县"],
        "prefecture": ["甲市", "乙市"],
        "water_total_m3": [1e8, 3e7],
        "k_agri": [0.5, 0.4],
        "k_urban": [0.4, 0.5],
        "k_eco": [0.1, 0.1],
        "irrigation_quota_m3_per_mu": [400.0, 350.0],
        "irrigation_efficiency": [0.5, 0.55],
        "water_demand_per_capita_m3": [200.0, 190.0],
        "urban_land_per_capita_m2": [100.0, 95.0],
        "population": [100_000, 60_000],
        "urban_population": [50_000, 20_000],
        "cropland_km2": [40.0, 30.0],
        "rainfed_share": [0.4, 0.5],
        "built_up_km2": [5.0, 2.0],
    }
    return frame([centre(4, 4), centre(18, 26)], **rows)


def varied(rows: int = 26, cols: int = 34, seed: int = 3) -> Province:
    """A small province with every input on grids of their own, every class in it, two counties."""
    rng = np.random.default_rng(seed)
    dem = np.cumsum(np.cumsum(rng.normal(0, 16, (rows, cols)), axis=0), axis=1).astype(np.float32)
    dem[:, 24:] += rng.uniform(0, 1100, (rows, cols - 24))  # mountains in the east
    dem += 20 - dem.min()

    def coarse(times: int, low: Any, high: Any, bands: int = 1) -> np.ndarray:
        shape = (bands, -(-rows // times), -(-cols // times))
        return rng.uniform(low, high, shape).astype(np.float32)

    season = (13 - 12 * np.cos(2 * np.pi * np.arange(12) / 12))[:, None, None].astype(np.float32)
    sand, clay = coarse(3, 5, 60), coarse(3, 3, 30)
    quality = np.concatenate(
        [
            coarse(4, 4.8, 8),
            coarse(4, 0.05, 0.9),
            coarse(4, 0.02, 0.3),
            coarse(4, 5, 30),
            coarse(4, 20, 60),
            coarse(4, 30, 90),
        ]
    )
    quality[1].flat[::11] = 5.0  # cadmium above the control value
    use = rng.choice([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13], (1, rows, cols)).astype(np.float32)
    hazard = rng.choice([1, 2, 3, 4, 5], (1, rows, cols), p=[0.1, 0.1, 0.1, 0.2, 0.5]).astype(np.float32)
    use[0, 13, 5:7], hazard[0, 13, 5:7] = TOWN, 1  # a town where no town may be, in a national reserve
    return Province(
        {
            "dem": ("dem", dem[np.newaxis], "m", 1),
            "rain": ("rain-monthly", coarse(6, 40, 160, 12), "mm", 6),
            "temperature": ("temperature-monthly", season + coarse(6, -2, 2, 12), "degC", 6),
            "humidity": ("humidity-monthly", coarse(9, 55, 90, 12), "%", 9),
            "wind": ("wind", np.concatenate([coarse(2, 0.5, 6), coarse(2, 1, 45)]), "m/s", 2),
            "geohazard": ("geohazard", hazard, "1", 1),
            "soil": ("soil", np.concatenate([sand, 100 - sand - clay, clay, coarse(3, 0.5, 3)]), "%", 3),
            "soil_quality": ("soil-quality", quality, "mg/kg", 4),
            "meteorological_hazards": ("meteorological-hazards", coarse(5, 0, 1, 5), "1", 5),
            "carbonate": ("carbonate", np.maximum(coarse(2, -40, 100), 0), "%", 2),
            "ndvi": ("ndvi", np.concatenate([coarse(1, 0.05, 0.95), coarse(1, 0, 0.05)]), "1", 1),
            "land_use": ("land-use", use, "1", 1),
        },
        {
            "counties": counties(rows, cols),
            "lakes": frame([cell_box(8, 6, 3, 4)]),
            "rivers": frame([cell_box(0, 20, rows, 1)], name=["长江"]),
            "roads": frame(
                [
                    LineString([centre(4, 4), centre(18, 26)]),
                    LineString([centre(4, 4), centre(4, 24), centre(18, 26)]),
                ],
                **{"class": ["provincial", "expressway"]},
            ),
            "seats": frame([centre(4, 4), centre(18, 26)], level=["province", "county"]),
            "reserves": frame(
                [cell_box(12, 4, 4, 5), cell_box(15, 20, 5, 5)], name=["一", "二"], level=["国家级", "省级"]
            ),
            "farmland": frame([cell_box(5, 12, 6, 9)]),
            "capacity": capacity(),
        },
    )


@pytest.fixture(scope="module")
def province() -> Province:
    return varied()


@pytest.fixture(scope="module")
def expected(
    province: Province, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, np.ndarray]], AnalysisResult]:
    return province.run(tmp_path_factory.mktemp("expected"))


def chain_of(result: AnalysisResult, name: str) -> Chain:
    return Chain.model_validate(result.explanations[name].chain)


def knock_outs_of(result: AnalysisResult, name: str) -> Chain:
    return Chain.model_validate(result.explanations[name].knock_outs)


def assessed(result: AnalysisResult) -> dict[str, bool]:
    return {factor.id: factor.assessed for factor in result.factors}


def identical(left: dict[str, dict[str, np.ndarray]], right: dict[str, dict[str, np.ndarray]]) -> bool:
    return set(left) == set(right) and all(same(left[name], right[name]) for name in left)


# -- by hand -----------------------------------------------------------------------------------------------------------


def hand() -> Province:
    """`even` with one deviation a cell; rows 1–2 farming, 3–5 services, 6 fragility and hazards."""
    case = even()
    soil, quality = case.rasters["soil"][1], case.rasters["soil_quality"][1]
    use, rain = case.rasters["land_use"][1][0], case.rasters["rain"][1]
    soil[:3, 1, 1] = 20, 70, 10  # silt 70 %: +1
    soil[:3, 1, 2] = 10, 85, 5  # silt 85 %: set 5
    quality[1, 1, 3] = quality[1, 1, 4] = 0.35  # pH 6: above 0.3 of dryland, below 0.4 of paddy
    use[1, 4] = PADDY
    quality[1, 1, 5] = 2.5  # above the control value 2.0
    case.rasters["meteorological_hazards"][1][:, 1, 6] = 0.9
    case.rasters["temperature"][1][:, 2, 1] = 4  # 1461 ℃·d
    case.frames["lakes"] = frame([cell_box(2, 2)])
    use[2, 2] = WATER
    rain[:, 2, 3] = 30  # 360 mm
    rain[:, 2, 4] = rain[:, 2, 5] = 10  # 120 mm
    use[2, 5] = PADDY
    use[3, 1:7], use[4, 1:7], use[5, 1:7] = WETLAND, FOREST, GRASS
    carbonate, ndvi = case.rasters["carbonate"][1][0], case.rasters["ndvi"][1][0]
    carbonate[6, 1:7] = 80, 50, 20, 0, 80, 0
    ndvi[6, 1:5] = 0.2
    use[6, 5:7] = TOWN
    case.rasters["geohazard"][1][0, 6, 5:7] = 2, 1
    return case


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, np.ndarray]], AnalysisResult]:
    return hand().run(tmp_path_factory.mktemp("hand"), apply_patches=False)


def reasons(result: AnalysisResult, name: str, codes: np.ndarray) -> list[str]:
    """Ids of the stations of reason codes; ``.`` for no limit."""
    chain, outs = chain_of(result, name), result.explanations[name].knock_outs
    found = {0: "?", 1: ".", ECOLOGY_OUT: "ecology"} | {k: s.id for k, s in enumerate(chain.stations, start=2)}
    if outs is not None:
        found |= {KNOCK_OUT + k: s.id for k, s in enumerate(knock_outs_of(result, name).stations, start=2)}
    return [found[int(code)] for code in codes]


def test_farming_by_hand(by_hand: Any) -> None:
    """Slope 0 → 1; 1,200 mm → 1, M[1, 1] = 1; 365.25 d × 16 ℃ = 5,844 ℃·d → 2, climate matrix [1, 2] = 1."""
    rasters, result = by_hand
    farming, factors = rasters["agriculture"], rasters["agriculture_factors"]
    assert factors["accumulated-temperature"][1, 1] == 5844
    assert factors["accumulated-temperature"][2, 1] == 1461
    assert factors["precipitation"][2, 3] == 360
    # silt +1: M[2, 1] = 1 · silt 85: 5 · cadmium +1 on dryland, not on paddy · control value +4 · hazards: 1 → 2
    assert farming["grade"][1, 1:7].tolist() == [1, 5, 2, 1, 5, 2]
    # cold: climate [1, 5] = 5 · lake · 360 mm → 4, M[1, 4] = 2, climate [2, 2] = 2 · 120 mm → 5, M[1, 5] = 5 · · best
    assert farming["grade"][2, 1:7].tolist() == [5, 5, 2, 5, 5, 1]
    assert (farming["grade"][3:7, 1:7] == 1).all()
    assert reasons(result, "agriculture", farming["reason"][1, 1:7]) == [".", "silt", ".", ".", "soil-environment", "."]
    assert reasons(result, "agriculture", farming["reason"][2, 1:7]) == [
        "accumulated-temperature", "water-surface", ".", "precipitation", "precipitation", "."
    ]  # fmt: skip
    assert (farming["class"][1:7, 1:7] == np.array([0, 1, 1, 2, 2, 3])[farming["grade"][1:7, 1:7]]).all()
    assert (farming["class"][0] == 0).all()  # no slope at the edge: not assessed, never a default


def test_towns_by_hand(by_hand: Any) -> None:
    """1,200 mm × 0.47 = 564,000 m³/km² → 1; hazard 极高 +4, 高 +2; 360 mm → 169,200 → 3, M[1, 3] = 1; 56,400 → 4, 2."""
    rasters, result = by_hand
    towns = rasters["urban"]
    expected = np.ones((6, 6), int)
    expected[1, 1] = 5  # lake
    expected[1, 3:5] = 2
    expected[5, 4:6] = 3, 5
    assert towns["grade"][1:7, 1:7].tolist() == expected.tolist()
    assert reasons(result, "urban", towns["reason"][6, 5:7]) == ["geohazard", "geohazard"]
    assert towns["class"][6, 5:7].tolist() == [2, 3]
    assert rasters["urban_factors"]["comfort"][2, 1] == 3  # 4 ℃ = 39.2 °F, humidity 70 %: THI 42.3


def test_ecology_by_hand(by_hand: Any) -> None:
    """Water kept: P − αP − ET with Turc's ET = 1200/√(0.9 + (1200/904.8)²) = 735.9 mm.

    Wetland 464.0, forest 432.0, grass 351.5 mm on six cells each: the first 37 % of the sum, with the second 72 %. So the
    limits are 464 (≤ 50 %) and 432 (≤ 80 %).
    """
    rasters, result = by_hand
    ecology, factors = rasters["ecology"], rasters["ecology_factors"]
    assert factors["water_conservation"][3:6, 1].tolist() == [464.0, 432.0, 351.5]
    assert (factors["water_conservation"][6, 1:7] == 0).all()  # cropland and towns serve nothing
    assert ecology["class"][3:6, 1:7].tolist() == [[1] * 6, [2] * 6, [3] * 6]
    assert set(reasons(result, "ecology", ecology["reason"][3, 1:7])) == {"water_conservation"}
    # Rocky desertification ∛(carbonate · slope 1 · cover): bare 5·1·5 = 2.92, 3·1·5 = 2.47, 1·1·5 = 1.71; green 5·1·1 = 1.71
    assert ecology["class"][6, 1:7].tolist() == [2, 2, 3, 3, 3, 3]
    assert reasons(result, "ecology", ecology["reason"][6, 1:4]) == ["rocky_desertification"] * 2 + ["."]
    assert factors["rocky_desertification"][6, 1] == pytest.approx(25 ** (1 / 3), abs=0.002)
    limits = {row["name"]: row["value"] for row in result.tables["parameters"]}
    assert limits["ecology.water_conservation.extremely"] == 464
    assert limits["ecology.water_conservation.important"] == 432


def test_the_profile_of_2020_by_hand(by_hand: Any) -> None:
    rasters, result = by_hand
    farming, towns = rasters["agriculture"], rasters["urban"]
    assert farming["class_2020"][1, 1:7].tolist() == [1, 3, 1, 1, 3, 1]
    assert reasons(result, "agriculture", farming["reason_2020"][1, [2, 5]]) == ["ko-silt", "ko-pollution"]
    # 120 mm is knocked out where nothing irrigates; paddy keeps the reason of the matrix
    assert reasons(result, "agriculture", farming["reason_2020"][2, [1, 2, 4, 5]]) == [
        "ko-temperature", "water-surface", "ko-precipitation", "precipitation"
    ]  # fmt: skip
    assert reasons(result, "urban", towns["reason_2020"][6, 5:7]) == ["geohazard", "ko-geohazard"]
    for one in (farming, towns):  # 极重要 is taken off before anything is graded
        assert (one["class_2020"][3, 1:7] == MASKED).all()
        assert (one["reason_2020"][3, 1:7] == ECOLOGY_OUT).all()
        assert (one["class_2020"][4:6, 1:7] == one["class"][4:6, 1:7]).all()


def test_conflicts_by_hand(by_hand: Any) -> None:
    """1 yes, 2 no."""
    conflicts = by_hand[0]["conflicts"]
    assert conflicts["hazard_built"][6, 5:7].tolist() == [2, 1]
    assert (conflicts["eco_use"][1:7, 1:7] == 2).all()  # 极重要 is all wetland here
    potential = conflicts["cropland_potential"]
    assert potential[3, 1] == 2  # wetland of 极重要
    assert (potential[4:6, 1:7] == 1).all()  # forest, grass
    assert (potential[1, 1:7] == 2).all()  # cropland already
    urban = conflicts["urban_potential"]
    assert (urban[4:6, 1:7] == 1).all()
    assert urban[6, 5] == urban[2, 2] == urban[3, 1] == 2  # town, lake, wetland
    assert urban[1, 1] == 1


# -- independent computations on the small province --------------------------------------------------------------------


@pytest.mark.parametrize("name", ASSESSMENTS)
def test_the_explanation_of_a_cell_is_the_map(expected: Any, name: str) -> None:
    """`Chain.trace` on the stored factor bands (and the patch band) gives class, grade and reason of the raster."""
    rasters, result = expected
    chain = chain_of(result, name)
    bands = rasters[f"{name}_factors"] | ({"patch": rasters[name]["patch"]} if "patch" in rasters[name] else {})
    assert set(chain.factors) <= set(bands)
    for row, col in np.random.default_rng(7).integers(0, rasters[name]["class"].shape, (150, 2)):
        told = chain.trace({factor: float(bands[factor][row, col]) for factor in chain.factors})
        reason = int(rasters[name]["reason"][row, col])
        assert (told["class"] or 0) == rasters[name]["class"][row, col]
        assert (told["grade"] or 0) == rasters[name]["grade"][row, col]
        assert told["reason"] == (None if reason < 2 else chain.stations[reason - 2].id)


@pytest.mark.parametrize("name", ["agriculture", "urban"])
def test_the_profile_of_2020_from_the_stored_factors(expected: Any, name: str) -> None:
    rasters, result = expected
    one = rasters[name]
    inside = rasters["ecology"]["class"] > 0
    classes = np.where(rasters["ecology"]["class"] == 1, MASKED, knocked_out(rasters, result, name))
    assert np.array_equal(one["class_2020"][inside], classes[inside])
    assert set(np.unique(one["class_2020"])) == {0, 1, 2, 3, MASKED}
    codes = set(np.unique(one["reason_2020"]).tolist())
    assert ECOLOGY_OUT in codes
    assert any(KNOCK_OUT < code < ECOLOGY_OUT for code in codes)


def test_patches_are_those_of_an_independent_labelling(province: Province, tmp_path: Path) -> None:
    """scipy labels the patches of equal grade before the correction, 8-connected; the rule grades their areas."""
    from scipy import ndimage

    case = varied()
    case.rules = deepcopy(case.rules)
    for table in case.rules["agricultural_suitability"]["patch"]["landforms"].values():
        for row in table["grades"]:  # a hundred times as large, as the cells are: every size class occurs
            row |= {end: 100 * value for end, value in row.items() if end != "grade"}
    rasters, result = case.run(tmp_path)
    rules = {"agriculture": agricultural_rules(case.rules), "urban": urban_rules(case.rules)}
    dm2 = np.repeat(whole_dm2(cell_areas(province.grid))[:, np.newaxis], province.shape[1], axis=1)
    relief = rasters["urban_factors"]["relief"]
    for name, rule in rules.items():
        chain, factors = chain_of(result, name), rasters[f"{name}_factors"]
        inside = np.isfinite(factors["slope"]).astype(np.uint8)
        before = chain.without("patch").run(factors, inside=inside).grade
        level = np.zeros(before.shape, np.uint8)
        for grade in range(1, 6):
            labels, count = ndimage.label(before == grade, np.ones((3, 3)))
            for number in range(1, count + 1):
                patch = labels == number
                area = np.array([dm2[patch].sum()])
                for form, where in (
                    ("plain", ~(relief >= 30)),
                    ("hill", (relief >= 30) & (relief <= 200)),
                    ("mountain", relief > 200),
                ):
                    level[patch & where] = rule.patch.grade(area, form)[0]
        assert np.array_equal(rasters[name]["patch"], level), name
        assert len(np.unique(level)) > 2


def knocked_out(rasters: Any, result: AnalysisResult, name: str) -> np.ndarray:
    """Class of 2019, 3 where a knock-out holds; before 极重要 is taken off."""
    outs = knock_outs_of(result, name)
    hit = outs.run({factor: rasters[f"{name}_factors"][factor] for factor in outs.factors}).reason > 1
    return np.where(hit, 3, rasters[name]["class"])


@pytest.mark.parametrize("profile", ["2019", "2020"])
def test_conflicts_from_the_class_maps(province: Province, tmp_path: Path, profile: str) -> None:
    """(a)–(f) written out in numpy for every assessed cell."""
    rasters, result = province.run(tmp_path, profile=profile)
    eco, agri, urban = (rasters[name]["class"] for name in ASSESSMENTS)
    if profile == "2020":
        agri, urban = (knocked_out(rasters, result, name) for name in ("agriculture", "urban"))
    use = province.rasters["land_use"][1][0]
    hazard = province.rasters["geohazard"][1][0]
    farmland = np.zeros(use.shape, bool)
    farmland[5:11, 12:21] = True
    crops, town, wet = np.isin(use, [1, 2]), use == TOWN, np.isin(use, [10, 11])
    answers = {
        "eco_use": (eco == 1) & (crops | town | (use == 3)),
        "eco_cropland": (eco == 1) & crops & (agri == 3),
        "eco_built": (eco == 1) & town & (urban == 3),
        "hazard_built": (hazard == 1) & town,
        "cropland_potential": (eco > 1) & np.isin(agri, [1, 2]) & ~crops & ~town & ~wet,
        "urban_potential": (eco > 1) & np.isin(urban, [1, 2]) & ~town & ~wet & ~farmland,
    }
    inside = (eco > 0) & (agri > 0) & (urban > 0)
    for name, answer in answers.items():
        found = rasters["conflicts"][name]
        assert answer[inside].any(), name
        assert np.array_equal(found[inside], np.where(answer, 1, 2)[inside]), name


def test_units_add_up_to_the_province_to_the_last_square_decimetre(province: Province, expected: Any) -> None:
    rasters, result = expected
    dm2 = np.repeat(whole_dm2(cell_areas(province.grid))[:, np.newaxis], province.shape[1], axis=1)
    unit = np.zeros(province.shape, int)
    unit[2:-2, 2:17], unit[2:-2, 17:-2] = 1, 2
    names = {"ecology": ("extremely_important", "important", "ordinary")}
    for table in (*ASSESSMENTS, "agriculture_2020", "urban_2020"):
        base, _, profile = table.partition("_")
        classes = rasters[base][f"class_{profile}" if profile else "class"]
        rows = {row["code"]: row for row in result.tables[f"{table}_by_unit"]}
        (total,) = result.tables[f"{table}_totals"]
        for number, column in enumerate(names.get(base, ("suitable", "moderate", "unsuitable")), start=1):
            parts = [int(dm2[(unit == k) & (classes == number)].sum()) for k in (1, 2)]
            for code, part in zip(("420101", "420202"), parts, strict=True):
                assert rows[code][f"{column}_km2"] == round(part / 1e8, 6)
            assert total[f"{column}_km2"] == round(sum(parts) / 1e8, 6)
        assessed_dm2 = int(dm2[(unit > 0) & (classes > 0)].sum())
        assert total["assessed_km2"] == round(assessed_dm2 / 1e8, 6)
    by_reason = result.tables["urban_by_reason"]
    assert sum(r["area_km2"] for r in by_reason) == pytest.approx(
        result.tables["urban_totals"][0]["assessed_km2"], abs=1e-5
    )


def test_prefectures_and_the_province_are_sums_of_counties(province: Province, expected: Any, tmp_path: Path) -> None:
    _, result = expected
    for level in ("prefecture", "province"):
        _, other = province.run(tmp_path, units=level)
        for name in (*ASSESSMENTS, "conflicts"):
            small, large = result.tables[f"{name}_by_unit"], other.tables[f"{name}_by_unit"]
            assert len(large) == (2 if level == "prefecture" else 1)
            for column in small[0]:
                if column.endswith("_km2") and small[0][column] is not None:
                    parts, whole = (sum(row[column] for row in rows) for rows in (small, large))
                    assert whole == pytest.approx(parts, abs=2e-6), (name, column)
        assert other.tables["ecology_totals"] == result.tables["ecology_totals"]


def test_towns_are_those_of_urban_suitability_bit_for_bit(province: Province, expected: Any, tmp_path: Path) -> None:
    rasters, _ = expected
    alone = Memory(province.shape)
    UrbanSuitability().run(province.inputs(tmp_path), UrbanSuitabilityParameters(), alone, lambda share, text: None)
    assert same(alone.rasters["factors"], rasters["urban_factors"])
    assert all(np.array_equal(alone.rasters["class"][name], rasters["urban"][name]) for name in alone.rasters["class"])


# -- laws --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and workers also for a small grid."""
    monkeypatch.setattr(assessment, "run_blocks", partial(blocks.run_blocks, inline_cells=0))


@pytest.mark.usefixtures("no_inline")
@pytest.mark.parametrize("block", [3, 7, 64])
@pytest.mark.parametrize("threads", [1, 2])
def test_blocks_and_threads_do_not_change_a_bit(
    province: Province, expected: Any, tmp_path: Path, block: int, threads: int
) -> None:
    rasters, result = province.run(tmp_path, block=block, threads=threads)
    assert identical(rasters, expected[0])
    assert result.tables == expected[1].tables
    assert result.factors == expected[1].factors


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    found = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        yield found
    finally:
        found.close()


@pytest.mark.usefixtures("no_inline")
def test_one_worker_or_two_on_a_cluster_give_the_same_bits(
    province: Province, expected: Any, tmp_path: Path, cluster: Cluster
) -> None:
    for number in (1, 2):
        cluster.add_workers(1)
        folder = tmp_path / str(number)
        folder.mkdir()
        rasters, result = province.run(folder, block=13, scheduler=cluster.address)
        assert identical(rasters, expected[0])
        assert result.tables == expected[1].tables


@pytest.mark.parametrize("window", [(2, 2, 12, 15), (5, 9, 11, 14)])
def test_a_window_is_the_same_part_of_the_province(
    province: Province, tmp_path: Path, window: tuple[int, int, int, int]
) -> None:
    """Farming and towns without patches. Not ecology: services are ranked within the run's extent, and it says so."""
    row, col, height, width = window
    whole, _ = province.run(tmp_path, apply_patches=False)
    part, result = province.run(tmp_path, window=window, apply_patches=False)
    cut = {n: {b: v[row : row + height, col : col + width] for b, v in bands.items()} for n, bands in whole.items()}
    for name in ("agriculture_factors", "urban_factors", "ecology_factors"):
        assert same(part[name], cut[name]), name
    for name in ("agriculture", "urban"):
        for band in ("class", "grade", "reason"):
            assert np.array_equal(part[name][band], cut[name][band]), (name, band)
    assert any("排序" in note.zh and "ranked within" in note.en for note in result.notes)


def test_progress_rises_to_one_and_can_stop_the_work(province: Province, tmp_path: Path) -> None:
    shares: list[float] = []
    province.run(tmp_path, block=8, progress=lambda share, text: shares.append(share))
    assert shares[0] == 0
    assert shares[-1] == 1
    assert shares == sorted(shares)

    class Stop(Exception):
        pass

    def stop(share: float, text: str) -> None:
        if share > 0.8:
            raise Stop

    with pytest.raises(Stop):
        province.run(tmp_path, block=8, progress=stop)


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
