"""The dual evaluation in memory: a hand-made grid for each class, independent computations, laws, the explanation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
from dask_cluster import Cluster
from memory_run import Memory, cell_box, frame, same
from small_province import (
    ASSESSMENTS,
    FOREST,
    GRASS,
    PADDY,
    TOWN,
    WATER,
    WETLAND,
    Province,
    chain_of,
    even,
    identical,
    knock_outs_of,
    varied,
)

from analyses import assessment, blocks
from analyses.evaluation_result import ECOLOGY_OUT, KNOCK_OUT, MASKED
from analyses.rules import agricultural_rules, urban_rules
from analyses.suitability import UrbanSuitability, UrbanSuitabilityParameters
from spatial.grid import cell_areas
from spatial.jobs.contract import AnalysisResult
from spatial.units import whole_dm2


@pytest.fixture(scope="module")
def province() -> Province:
    return varied()


@pytest.fixture(scope="module")
def expected(
    province: Province, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, dict[str, np.ndarray]], AnalysisResult]:
    return province.run(tmp_path_factory.mktemp("expected"))


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
