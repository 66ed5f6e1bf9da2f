"""Ecological importance: services, fragility, ranking, chain; hand oracles, laws, and the errors of public code."""

from __future__ import annotations

import copy
import json
import pickle
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.chain import Chain
from analyses.climate import turc_evapotranspiration
from analyses.ecology import (
    EcologyEngine,
    ecological_chain,
    ecology_engine,
    fallen_out,
    ndvi_limits,
    pack,
    plan_ecology,
    unpack,
)
from analyses.ecology_rules import EcologicalRules, ecological_rules
from analyses.fragility import (
    dryness_index,
    fragility_tables,
    index_table,
    rocky_desertification,
    sandy_desertification,
    texture_table,
    water_soil_loss,
)
from analyses.npp import Extent, npp_service
from analyses.ranking import ServiceHistogram
from analyses.services import (
    annex_soil_conservation,
    land_use_codes,
    reserve_grades,
    runoff_table,
    sand_fixation,
    vegetation_cover,
    water_conservation,
)
from spatial.errors import GridMismatch, InvalidParameter, LayerDefinitionInvalid, LayerEmpty, QualityViolation
from spatial.units import whole_dm2

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = yaml.safe_load((ROOT / "layers/rules/ecological_importance.yml").read_text(encoding="utf-8"))
RULES = ecological_rules({"ecological_importance": DOCUMENT})


def changed(**paths: Any) -> EcologicalRules:
    """Rules with some values changed: ``ranking__extremely=0.4``."""
    document = copy.deepcopy(DOCUMENT)
    for path, value in paths.items():
        *folders, last = path.split("__")
        place = document
        for name in folders:
            place = place[name]
        place[last] = value
    return ecological_rules({"ecological_importance": document})


def f32(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float32)


def block(shape: tuple[int, int] = (12, 17), seed: int = 7) -> dict[str, np.ndarray]:
    """Quantities of a seeded block."""
    random = np.random.default_rng(seed)

    def some(low: float, high: float) -> np.ndarray:
        return random.uniform(low, high, shape).astype(np.float32)

    sand, silt = some(10, 60), some(10, 35)
    return {
        "rain": some(700, 1800), "temperature": some(6, 18), "erosivity": some(1000, 5000), "relief": some(0, 500),
        "slope": (random.integers(0, 45 * 64, shape) / 64).astype(np.float32), "ndvi": some(0.1, 0.95),
        "sand": sand, "silt": silt, "clay": 100 - sand - silt, "organic_carbon": some(0.2, 6),
        "land_use": random.integers(0, 14, shape).astype(np.uint8), "carbonate": some(0, 100),
        "dryness": some(0.5, 2), "sand_wind_days": some(0, 40),
        "biodiversity": random.choice([0, 0, 3, 5], shape).astype(np.uint8),
    }  # fmt: skip


def engine_of(rules: EcologicalRules = RULES, available: Any = None, **plan: Any) -> EcologyEngine:
    found = plan_ecology(rules, block().keys() if available is None else available, **plan)
    return ecology_engine(rules, found, slope_length=30.75, ndvi_limits=(0.2, 0.9))


# -- water conservation


def test_water_conservation_by_hand() -> None:
    rain, temperature = f32(1200, 1200, 1200, 1200, 1200), f32(16, 16, 16, 16, np.nan)
    use = np.array([[7, 9, 1, 0, 7]], np.uint8)  # deciduous forest 1.33 %, tussock 9.37 %, paddy, nothing
    et = 1200 / np.sqrt(0.9 + (1200 / (300 + 25 * 16 + 0.05 * 16**3)) ** 2)
    found = water_conservation(rain, use, runoff_table(RULES), RULES.evapotranspiration, 0.5, temperature=temperature)[
        0
    ]
    assert found[:2] == pytest.approx([1200 * (1 - 0.0133) - et, 1200 * (1 - 0.0937) - et], abs=0.25)
    assert found[2] == 0  # cropland has no coefficient: nothing is conserved
    assert np.isnan(found[3:]).all()


def test_water_conservation_with_a_layer_and_never_below_zero() -> None:
    rain, use = f32(1000, 1000), np.array([[4, 4]], np.uint8)
    et = f32(600, 1100)
    found = water_conservation(rain, use, runoff_table(RULES), RULES.evapotranspiration, 0.5, evapotranspiration=et)
    assert found.tolist() == [[373.5, 0]]  # 1000 − 26.7 − 600 = 373.3
    with pytest.raises(InvalidParameter, match="temperature"):
        water_conservation(rain, use, runoff_table(RULES), RULES.evapotranspiration, 0.5)


@given(st.floats(100, 3000), st.floats(-10, 30))
@settings(max_examples=50, deadline=None)
def test_turc_is_that_of_the_climate_module(rain: float, temperature: float) -> None:
    p, t = f32(rain), f32(temperature)
    found = water_conservation(
        p, np.array([[11]], np.uint8), runoff_table(RULES), RULES.evapotranspiration, 2**-10, temperature=t
    )
    expected = max(float(p[0, 0]) - float(turc_evapotranspiration(p, t)[0, 0]), 0)
    assert float(found[0, 0]) == pytest.approx(expected, abs=2**-10)


# -- cover, annex rules, land use


def test_cover_by_hand_and_limits() -> None:
    found = vegetation_cover(f32(-0.1, 0.2, 0.55, 0.9, 1, np.nan), (0.2, 0.9), 1 / 1024)[0]
    assert found[:5].tolist() == [0, 0, 0.5, 1, 1]
    assert np.isnan(found[5])
    with pytest.raises(InvalidParameter, match="limits"):
        vegetation_cover(f32(0.5), (0.9, 0.2), 1 / 1024)


def test_annex_rule_of_soil_conservation() -> None:
    slope, cover = f32(25, 25, 24.9, 15, 14.9, 30, 30), f32(0.8, 0.79, 0.9, 0.6, 0.9, 0.9, np.nan)
    use = np.array([[4, 8, 9, 9, 9, 2, 4]], np.uint8)
    found = annex_soil_conservation(slope, cover, use, RULES.soil_conservation_rule)[0]
    assert found[:6].tolist() == [5, 3, 3, 3, 1, 1]
    assert np.isnan(found[6])


def test_sand_fixation_only_where_it_applies() -> None:
    sand, gale, cover = f32(85, 85, 64), f32(30, 20, 40), f32(0.15, 0.1, 0.5)
    with pytest.raises(InvalidParameter, match="arid"):
        sand_fixation(sand, gale, cover, RULES.sand_fixation_rule)
    arid = changed(sand_fixation_rule__applies=True)
    assert sand_fixation(sand, gale, cover, arid.sand_fixation_rule).tolist() == [[5, 3, 1]]


def test_land_use_is_not_interpolated() -> None:
    assert land_use_codes(f32(4, np.nan)).tolist() == [[4, 0]]
    with pytest.raises(QualityViolation, match="nearest"):
        land_use_codes(f32(4.5))


def test_only_reserves_with_an_area_take_part() -> None:
    import geopandas
    import shapely

    square = shapely.box(0, 0, 1, 1)
    frame = geopandas.GeoDataFrame(
        {"level": ["国家级自然保护区", "省级", "县级", "国家级自然保护区"]},
        geometry=[square, square.buffer(1), square, shapely.Point(0, 0)],
        crs=4490,
    )
    shapes, grades = reserve_grades(frame, RULES.biodiversity, layer="nature-reserves")
    assert grades == [3, 5]  # the highest last, so that it wins
    assert shapes[1].equals(square)
    points = reserve_grades(frame.iloc[3:], RULES.biodiversity, layer="nature-reserves")
    assert points[1] == []
    with pytest.raises(QualityViolation, match="no field level"):
        reserve_grades(frame.drop(columns="level"), RULES.biodiversity, layer="nature-reserves")


# -- fragility


def test_water_soil_loss_by_hand_and_in_us_units() -> None:
    tables = fragility_tables(RULES)
    r = f32(99 * 17.02, 100 * 17.02 + 1, 600 * 17.02 + 1, 3000, 3000, np.nan)
    relief = f32(10, 200, 400, 400, 400, 400)
    sand, clay = f32(90, 40, 20, 40, 40, 40), f32(5, 20, 10, 20, 20, 20)
    cover = f32(0.6, 0.5, 0.2, 0.5, 0.5, 0.5)
    use = np.array([[4, 4, 4, 10, 0, 4]], np.uint8)
    found = water_soil_loss(tables, r=r, relief=relief, sand=sand, clay=clay, cover=cover, land_use=use)[0]
    assert found[:4].tolist() == [1, 3, 5, 1]  # all low; all middle; all high; water surface
    assert np.isnan(found[4:]).all()
    # In SI (a wrong unit of the class table) 3000 would be over 600 for every cell of Hubei.
    si = fragility_tables(changed(water_soil_loss__erosivity_unit="si"))
    one = {"relief": f32(10), "sand": f32(90), "clay": f32(5), "cover": f32(0.6), "land_use": np.array([[4]], np.uint8)}
    us_index, si_index = (float(water_soil_loss(t, r=f32(3000), **one)[0, 0]) for t in (tables, si))
    assert (us_index, si_index) == pytest.approx((3**0.25, 5**0.25), abs=2**-9)


def test_rocky_desertification_by_hand() -> None:
    use = np.full((1, 5), 4, np.uint8)
    carbonate, slope, cover = f32(70, 30, 31, 0, 80), f32(25, 8, 8.5, 40, 8), f32(0.2, 0.6, 0.5, 0.1, 0.1)
    tables = fragility_tables(RULES)
    found = rocky_desertification(tables, carbonate=carbonate, slope=slope, cover=cover, land_use=use)[0]
    # 5·5·5; 1·1·1; 3·3·3; no carbonate at all: 1; 5·1·5 → 25^(1/3)
    assert found == pytest.approx([5, 1, 3, 1, 25 ** (1 / 3)], abs=2**-9)


def test_sandy_desertification_by_hand() -> None:
    use = np.full((1, 3), 9, np.uint8)
    found = sandy_desertification(
        fragility_tables(RULES), dryness=f32(1.5, 1.6, 16), sand_wind_days=f32(9, 30, 31), sand=f32(20, 40, 80),
        clay=f32(45, 20, 5), cover=f32(0.7, 0.3, 0.1), land_use=use,
    )[0]  # fmt: skip
    assert found.tolist() == [1, 3, 5]


def test_dryness_of_the_warm_months() -> None:
    t = np.full((12, 2), 5.0)
    p = np.full((12, 2), 80.0)
    t[6:8, 0] = [20, 25]
    by_hand = 0.16 * (20 * 31 + 25 * 31) / 160
    assert dryness_index(t, p, RULES.dryness) == pytest.approx([by_hand, 0], abs=1 / 512)
    p[0, 0] = np.nan
    assert np.isnan(dryness_index(t, p, RULES.dryness)[0])
    with pytest.raises(GridMismatch):
        dryness_index(t, p[:6], RULES.dryness)


def test_texture_classes() -> None:
    table = texture_table(RULES.water_soil_loss.texture)
    half = {(90, 5): 1, (20, 45): 1, (20, 20): 5, (40, 20): 3, (10, 30): 3}
    assert {k: int(table[2 * k[0], 2 * k[1]]) for k in half} == half


def test_no_index_lies_on_a_break() -> None:
    for parts in (3, 4):
        found = {float(index_table(parts)[np.prod(levels)]) for levels in product((1, 3, 5), repeat=parts)}
        for breaks in RULES.sensitivity_breaks.sets.values():
            assert all(abs(value - b) > 0.01 for value in found for b in breaks)


# -- ranking


def test_ranking_by_hand_with_areas() -> None:
    h = ServiceHistogram(0.5)
    # Values 4, 3, 2 on cells of 1, 2 and 4 dm²: sums 4, 6, 8 of 18; 4 is 22 %, 4 + 3 is 56 %, all is 100 %.
    h.add(np.array([[4, np.nan], [3, 0], [2, -1]], np.float32), np.array([1, 2, 4]))
    t = h.thresholds(0.5, 0.8)
    assert t is not None
    assert (t.extremely, t.important) == (4, 3)
    assert t.shares == pytest.approx((4 / 18, 10 / 18))
    assert t.total == pytest.approx(0.18)
    assert t.distinct == 3


def test_one_value_everywhere_has_no_extremely_important_cell() -> None:
    h = ServiceHistogram(0.5)
    h.add(np.full((2, 2), 7, np.float32), np.array([5, 5]))
    t = h.thresholds(0.5, 0.8)
    assert t is not None
    assert t.extremely == t.important == 7.5
    assert t.distinct == 1


def test_zero_everywhere_cannot_be_ranked() -> None:
    h = ServiceHistogram(0.5)
    assert h.thresholds(0.5, 0.8) is None
    h.add(np.zeros((2, 2), np.float32), np.array([5, 5]))
    assert h.thresholds(0.5, 0.8) is None
    plan = plan_ecology(RULES, block().keys())
    listed = {f.id: f for f in fallen_out(plan, {"water_conservation": None, "soil_conservation": t_any()})}
    assert not listed["water_conservation"].assessed
    assert "0 everywhere" in listed["water_conservation"].note.en
    assert listed["soil_conservation"].assessed


def t_any() -> Any:
    h = ServiceHistogram(0.5)
    h.add(f32(1, 2, 3, 4, 5, 6, 7, 8), np.array([100]))
    return h.thresholds(0.5, 0.8)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_ranking_is_the_same_for_every_block_and_order(seed: int, height: int, width: int) -> None:
    random = np.random.default_rng(seed)
    values = (random.integers(-3, 4000, (23, 19)) / 2).astype(np.float32)
    values[random.random(values.shape) < 0.1] = np.nan
    areas = random.integers(80_000, 90_000, 23)
    whole = ServiceHistogram(0.5)
    whole.add(values, areas)
    corners = [(r, c) for r in range(0, 23, height) for c in range(0, 19, width)]
    random.shuffle(corners)
    parts = ServiceHistogram(0.5)
    for r, c in corners:
        part = ServiceHistogram(0.5)
        part.add(values[r : r + height, c : c + width], areas[r : r + height])
        parts.merge(ServiceHistogram.from_document(json.loads(json.dumps(part.document()))))
    assert parts.thresholds(0.5, 0.8) == whole.thresholds(0.5, 0.8)
    assert parts.percentile(0.05) == whole.percentile(0.05)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_ranking_against_sorting_every_cell(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = (random.integers(1, 60, (6, 6)) / 2).astype(np.float32)
    areas = random.integers(1, 50, 6)
    h = ServiceHistogram(0.5)
    h.add(values, areas)
    found = h.thresholds(0.5, 0.8)
    assert found is not None
    weight = values.astype(float) * areas[:, None]
    total = weight.sum()
    for limit, share in ((found.extremely, 0.5), (found.important, 0.8)):
        assert weight[values >= limit].sum() <= share * total
        below = values[values < limit]
        assert below.size == 0 or weight[values >= below.max()].sum() > share * total


def test_packed_values_rank_the_same() -> None:
    values = (np.random.default_rng(3).integers(0, 5000, (9, 8)) / 2).astype(np.float32)
    values[2, 2] = np.nan
    areas = np.full(9, 81_600)
    plain, packed = ServiceHistogram(0.5), ServiceHistogram(0.5)
    plain.add(values, areas)
    packed.add_packed(pack(values, 0.5), areas)
    assert plain.thresholds(0.5, 0.8) == packed.thresholds(0.5, 0.8)
    assert unpack(pack(values, 0.5), 0.5).tobytes() == values.tobytes()


def test_ranking_refuses_nonsense() -> None:
    h = ServiceHistogram(0.5)
    with pytest.raises(GridMismatch):
        h.add(np.zeros((2, 2), np.float32), np.array([1]))
    with pytest.raises(QualityViolation, match="units"):
        h.add(f32(0, 1e9), np.array([1]))
    with pytest.raises(InvalidParameter, match="extremely < important"):
        h.thresholds(0.8, 0.5)
    with pytest.raises(InvalidParameter, match="steps"):
        h.merge(ServiceHistogram(0.25))
    assert whole_dm2(np.array([816.0049])).tolist() == [81600]


def test_ndvi_limits_are_area_percentiles() -> None:
    h = ServiceHistogram(RULES.cover.step)
    ndvi = (np.arange(100).reshape(10, 10) / 128).astype(np.float32)
    h.add(ndvi, np.full(10, 100), mask=ndvi >= 0)
    assert ndvi_limits(h, RULES) == (4 / 128, 94 / 128)
    with pytest.raises(LayerEmpty):
        ndvi_limits(ServiceHistogram(RULES.cover.step), RULES)
    flat = ServiceHistogram(RULES.cover.step)
    flat.add(f32(0.5, 0.5), np.array([1]))
    with pytest.raises(QualityViolation, match="percentiles"):
        ndvi_limits(flat, RULES)


# -- plan, engine, chain


def ranked(engine: EcologyEngine, values: dict[str, np.ndarray]) -> tuple[Chain, dict[str, np.ndarray]]:
    found = engine.block(values)
    limits = {}
    for service in engine.plan.services:
        h = ServiceHistogram(0.0625 if service.startswith("npp") else 0.5)
        h.add(found[service], np.full(found[service].shape[0], 81_600))
        limits[service] = h.thresholds(0.5, 0.8)
    return ecological_chain(engine.rules, engine.plan, limits), found


def test_missing_quantities_are_listed_never_guessed() -> None:
    without = [q for q in block() if q not in ("carbonate", "sand_wind_days", "biodiversity")]
    plan = plan_ecology(RULES, without)
    assert plan.factors == ("water_soil_loss", "water_conservation", "soil_conservation")
    missing = {f.id: f.note.en for f in plan.listed if not f.assessed}
    assert set(missing) == {"rocky_desertification", "sandy_desertification", "biodiversity"}
    assert "days with wind" in missing["sandy_desertification"]
    with pytest.raises(InvalidParameter, match="no factor"):
        plan_ecology(RULES, ["relief"])


def test_methods_are_not_mixed() -> None:
    supplied = [*block(), "npp", "soil_infiltration", "elevation"]
    plan = plan_ecology(RULES, supplied, method="npp")
    assert plan.services == ("npp_water", "npp_soil", "npp_biodiversity")
    assert not {"water_conservation", "soil_conservation", "biodiversity"} & set(plan.factors)
    model = plan_ecology(RULES, supplied)
    assert not [f for f in model.factors if f.startswith("npp")]
    with pytest.raises(InvalidParameter, match="net primary productivity"):
        plan_ecology(RULES, block().keys(), method="npp")


def test_npp_services_by_hand_and_run() -> None:
    values = block() | {"npp": np.full((12, 17), 800, np.float32)}
    values["soil_infiltration"] = np.random.default_rng(1).random((12, 17)).astype(np.float32)
    plan = plan_ecology(RULES, values.keys(), method="npp")
    extent = Extent()
    extent.add({k: v for k, v in values.items() if k in ("rain", "slope", "soil_infiltration")})
    extent.add({"erodibility": np.array([0.0, 0.08])})
    engine = ecology_engine(RULES, plan, slope_length=30.75, ndvi_limits=(0.2, 0.9), npp_limits=extent.limits)
    chain, found = ranked(engine, values)
    one = {k: float(v[3, 4]) for k, v in values.items()}
    share = {k: (one[k] - low) / (high - low) for k, (low, high) in extent.limits.items() if k in one}
    by_hand = 800 * share["soil_infiltration"] * share["rain"] * (1 - share["slope"])
    assert float(found["npp_water"][3, 4]) == pytest.approx(by_hand, abs=1 / 16)
    assert chain.run(found).suitability.max() == 3
    with pytest.raises(InvalidParameter, match="least and greatest"):
        npp_service("npp_soil", values | {"erodibility": values["npp"]}, {}, 0.0625)
    with pytest.raises(QualityViolation, match="normalised"):
        npp_service("npp_soil", values, {"erodibility": (1, 1), "slope": (0, 9)}, 0.0625)


def test_sign_trap_every_factor_rises_with_importance() -> None:
    """Public code takes max() while 1 is 极重要: here a higher value of any factor never lowers the importance."""
    engine = engine_of(soil="both")
    chain, found = ranked(engine, block())
    low = {name: np.full(1, np.nanmin(v), np.float32) for name, v in found.items()}
    assert int(chain.run(low).suitability[0]) == 3
    for name, values in found.items():
        ordered = np.sort(values[~np.isnan(values)])
        rising = {k: np.repeat(v, ordered.size) for k, v in low.items()} | {name: ordered}
        graded = chain.run(rising)
        assert (np.diff(graded.grade.astype(int)) >= 0).all(), name
        assert (np.diff(graded.suitability.astype(int)) <= 0).all(), name
        top = {k: v.copy() for k, v in low.items()} | {
            name: np.full(1, 1e6 if name in engine.plan.services else 5, np.float32)
        }
        assert int(chain.run(top).suitability[0]) == 1, name
        assert chain.trace({k: float(v[0]) for k, v in top.items()})["reason"] == name


@pytest.mark.parametrize(
    ("sensitivity", "service", "grade", "reason"),
    [
        (1.0, 0.0, 1, None), (3.0, 0.0, 3, "water_soil_loss"), (1.0, 5.0, 3, "water_conservation"),
        (3.0, 5.0, 3, "water_soil_loss"), (3.0, 9.0, 5, "water_conservation"), (5.0, 9.0, 5, "water_soil_loss"),
        (5.0, 0.0, 5, "water_soil_loss"), (1.0, 9.0, 5, "water_conservation"), (5.0, 5.0, 5, "water_soil_loss"),
    ],
)  # fmt: skip
def test_three_by_three_rule(sensitivity: float, service: float, grade: int, reason: str | None) -> None:
    plan = plan_ecology(RULES, ("erosivity", "relief", "sand", "clay", "cover", "land_use", "rain", "temperature"))
    assert plan.factors == ("water_soil_loss", "water_conservation")
    h = ServiceHistogram(0.5)
    h.add(f32(9, 5, 1, 1), np.array([100]))  # 9 alone is 56 %: too much; so limits are set by hand below
    limits = h.thresholds(0.6, 0.9)
    assert limits is not None
    assert (limits.extremely, limits.important) == (9, 5)
    chain = ecological_chain(RULES, plan, {"water_conservation": limits})
    traced = chain.trace({"water_soil_loss": sensitivity, "water_conservation": service})
    assert traced["grade"] == grade
    assert traced["class"] == {5: 1, 3: 2, 1: 3}[grade]
    assert traced["reason"] == reason
    cell = {"water_soil_loss": f32(sensitivity), "water_conservation": f32(service)}
    assert int(chain.run(cell).grade[0, 0]) == grade
    again = Chain.model_validate(json.loads(json.dumps(chain.document())))
    assert again.run(cell).reason.tolist() == chain.run(cell).reason.tolist()


def test_ranked_services_after_the_local_stations_give_the_same() -> None:
    """Pass 1 runs what a cell knows by itself, pass 2 the ranked services: as if the chain had run at once."""
    engine = engine_of()
    chain, found = ranked(engine, block())
    local = ecological_chain(RULES, engine.plan, {})
    assert [s.id for s in local.stations] == list(engine.plan.local)
    assert chain.stations[: len(local.stations)] == local.stations
    whole, later = chain.run(found), chain.tail(engine.plan.services[0], found, local.run(found))
    for name in ("grade", "suitability", "reason"):
        assert (getattr(whole, name) == getattr(later, name)).all(), name


def test_a_run_with_services_only() -> None:
    plan = plan_ecology(RULES, ("rain", "temperature", "land_use"))
    assert plan.factors == plan.services == ("water_conservation",)
    before = ecological_chain(RULES, plan, {})
    values = {"water_conservation": f32(0, 5, 8, np.nan)}
    assert before.run(values).grade.tolist() == [[1, 1, 1, 0]]
    after = ecological_chain(RULES, plan, {"water_conservation": t_any()})
    assert after.tail("water_conservation", values, before.run(values)).suitability.tolist() == [[3, 2, 1, 0]]
    with pytest.raises(InvalidParameter, match="0 everywhere"):
        ecological_chain(RULES, plan, {"water_conservation": None})


def test_cell_without_a_value_is_not_assessed() -> None:
    engine = engine_of()
    values = block()
    values["rain"][4, 5] = np.nan
    values["land_use"][4, 5] = 4
    chain, found = ranked(engine, values)
    assert np.isnan(found["water_conservation"][4, 5])
    graded = chain.run(found)
    assert graded.suitability[4, 5] == 0
    assert (graded.suitability[values["land_use"] == 0] == 0).all()


def test_monitored_layers_replace_the_index() -> None:
    values = block()
    values["erosion_intensity"] = np.resize(np.array([1, 2, 3, 4, 5, 6], np.float32), (12, 17))
    plan = plan_ecology(RULES, values.keys())
    assert plan.monitored == ("water_soil_loss",)
    chain = ecological_chain(RULES, plan, {})
    station = chain.station("water_soil_loss")
    assert [station.levels[station.interval(v)] for v in (1, 2, 3, 4, 5, 6)] == [1, 1, 3, 3, 5, 5]
    found = ecology_engine(RULES, plan, slope_length=30.75, ndvi_limits=(0.2, 0.9)).block(values)
    assert (found["water_soil_loss"] == values["erosion_intensity"]).all()


def test_the_engine_travels_to_another_process() -> None:
    engine = engine_of()
    sent = pickle.dumps(engine)
    assert len(sent) < 500_000  # it goes with every block
    again = pickle.loads(sent).block(block())
    for name, found in engine.block(block()).items():
        assert found.tobytes() == again[name].tobytes(), name


def test_breaks_can_be_chosen() -> None:
    plan = plan_ecology(RULES, block().keys())
    code = ecological_chain(RULES, plan, {})
    guide = ecological_chain(RULES, plan, {}, breaks="guide_2017")
    assert code.station("water_soil_loss").edges == (2.33, 3.66)
    assert guide.station("water_soil_loss").edges == (2.0, 4.0)
    with pytest.raises(InvalidParameter, match="guide_2017"):
        ecological_chain(RULES, plan, {}, breaks="other")


@pytest.mark.parametrize(("height", "width"), [(12, 17), (5, 4), (1, 17), (7, 1)])
def test_every_factor_is_the_same_in_every_block(height: int, width: int) -> None:
    engine = engine_of(soil="both")
    values = block()
    whole = engine.block(values)
    assert set(whole) == set(engine.plan.factors)
    for r in range(0, 12, height):
        for c in range(0, 17, width):
            cut = (slice(r, r + height), slice(c, c + width))
            part = engine.block({k: v[cut] for k, v in values.items()})
            for name, found in part.items():
                assert found.dtype == np.float32
                assert found.tobytes() == whole[name][cut].tobytes(), name


@pytest.mark.parametrize(
    ("quantity", "factor", "said"),
    [
        ("rain", 0.001, "mm"),  # metres
        ("rain", 12, "mm"),  # a monthly mean of months taken twelve times
        ("temperature", 17, "degC"),  # Kelvin or °F
        ("erosivity", 1 / 17.02, "MJ"),  # US units declared as SI
        ("ndvi", 10_000, "outside|within"),  # scaled integers
        ("sand", 0.01, "add up"),  # shares 0–1
    ],
)
def test_wrong_units_are_refused(quantity: str, factor: float, said: str) -> None:
    engine = engine_of()
    values = block()
    values[quantity] = (values[quantity] * factor).astype(np.float32)
    with pytest.raises(QualityViolation, match=said):
        engine.block(values)


def test_cover_in_percent_is_refused() -> None:
    values = {k: v for k, v in block().items() if k != "ndvi"}
    values["cover"] = np.full((12, 17), 60, np.float32)
    with pytest.raises(QualityViolation, match="0–1"):
        engine_of(available=values.keys()).block(values)


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("ranking__extremely", 0.9, "less than important"),
        ("cover_management__families", {"forest": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}, "falling with cover"),
        ("cover_management__fixed", {4: 0.5}, "two rows"),
        ("cover_management__breaks", [10, 30, 50, 70, 90], "fractions"),
        ("runoff__land_use", {4: "evergreen_broadleaf_forest"}, "without runoff"),
        ("classes__grades", {1: 1, 2: 1, 3: 2, 4: 2, 5: 3}, "rises"),
        ("sensitivity_breaks__use", "other", "none of"),
        ("water_conservation__step", 0.3, "power of two"),
        ("water_soil_loss__relief", [{"level": 1, "below": 50}, {"level": 5, "from": 60}], "gap"),
    ],
)
def test_rule_file_is_checked(path: str, value: Any, said: str) -> None:
    with pytest.raises(LayerDefinitionInvalid, match=said):
        changed(**{path: value})


def test_every_table_has_a_source_and_a_tag() -> None:
    for name, rule in DOCUMENT.items():
        if isinstance(rule, dict) and name not in {"title", "inputs", "texture_sum", "monitored"}:
            assert rule["source"], name
            assert rule["tag"] in {"V-law", "V-code", "V-page", "GK", "own"}, name
