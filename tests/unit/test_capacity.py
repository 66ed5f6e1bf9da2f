"""Carrying capacity: hand-made units, published check figures, laws of the minimum and of sums, bad input."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from analyses.capacity import assess, binding_constraint, irrigable_km2, supply_demand, trend_of
from analyses.capacity_land import LAND_COLUMNS, LandAreas, LandLayers, land_areas
from analyses.capacity_result import capacity_result, capacity_rows
from analyses.capacity_rules import CapacityRules, capacity_rules
from analyses.capacity_table import merge_units, read_units
from spatial.errors import GridMismatch, InvalidParameter, LayerDefinitionInvalid, LayerEmpty, QualityViolation
from spatial.units import whole_dm2

PROJECT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((PROJECT / "layers" / "rules" / "carrying_capacity.yml").read_text("utf-8"))
RULES = capacity_rules({"carrying_capacity": DOCUMENT})
SAMPLE = PROJECT / "data-samples" / "thematic" / "county-capacity.csv"
EVERYTHING = frozenset(LandLayers.__slots__)


def changed(**paths: Any) -> CapacityRules:
    """The rules with values replaced, e.g. ``irrigation__quota_basis="net"``."""
    document = json.loads(json.dumps(DOCUMENT, default=str))
    for path, value in paths.items():
        *parents, last = path.split("__")
        node = document
        for name in parents:
            node = node[name]
        node[last] = value
    return capacity_rules({"carrying_capacity": document})


def row(code: Any = "420101", **values: Any) -> dict[str, Any]:
    """A county: 10⁸ m³, half to farming at 400 m³/亩, 500 km² of cropland of which 40 % rain-fed."""
    return {
        "code": code,
        "name": f"县{str(code)[-2:]}",
        "prefecture": "甲市",
        "water_total_m3": 1e8,
        "k_agri": 0.5,
        "k_urban": 0.4,
        "k_eco": 0.1,
        "irrigation_quota_m3_per_mu": 400.0,
        "irrigation_efficiency": 0.5,
        "water_demand_per_capita_m3": 200.0,
        "urban_land_per_capita_m2": 100.0,
        "population": 300_000,
        "urban_population": 150_000,
        "cropland_km2": 500.0,
        "rainfed_share": 0.4,
        "built_up_km2": 15.0,
        "cropland_km2_2015": 510.0,
        "built_up_km2_2015": 12.0,
        "water_use_m3_2019": 9.5e7,
        "water_use_m3_2015": 9.6e7,
    } | values


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows or [row()]))


def areas(codes: tuple[str, ...] = ("420101",), *, whole: dict[str, float] | None = None, **km2: float) -> LandAreas:
    """Land areas in which every unit has the same columns; `unit` is 1000 km² if not given."""
    dm2 = np.zeros((len(codes), len(LAND_COLUMNS)), dtype=np.int64)
    for name, value in ({"unit": 1000.0} | km2).items():
        dm2[:, LAND_COLUMNS.index(name)] = round(value * 1e8)
    return LandAreas(codes, dm2, EVERYTHING, whole or {})


LAND = areas(agri_land_2020=250.0, urban_land_2020=30.0, urban_land_2020_less_farmland=12.0, agri_land_2019=600.0,
             urban_land_2019=700.0)  # fmt: skip


def one(
    frame: pd.DataFrame | None = None, land: LandAreas | None = LAND, rules: CapacityRules = RULES, **kw: Any
) -> dict:
    (only,) = capacity_rows(read_units(table() if frame is None else frame, rules, land=land), rules, **kw)
    return only


class TestByHand:
    def test_both_constraints_and_the_least(self):
        found = one()
        # 0.5·10⁸ m³ / 400 m³ = 125 000 亩 = 83.3333 km² irrigated; 0.4 · 500 = 200 km² rain-fed
        assert found["agri_irrigated_km2"] == pytest.approx(83.3333, abs=1e-4)
        assert found["agri_rainfed_km2"] == pytest.approx(200)
        assert found["agri_water_km2"] == pytest.approx(283.3333, abs=1e-4)
        assert (found["agri_capacity_km2"], found["agri_binding"]) == (250.0, "land")
        assert found["agri_capacity_mu"] == 375_000
        assert found["agri_index"] == pytest.approx(2.0)
        assert found["agri_index_irrigated_only"] == pytest.approx(6.0, abs=1e-3)
        # 0.4·10⁸ / 200 = 200 000 people × 100 m² = 20 km²; land 30 − farmland → 12 km² for 120 000 people
        assert found["urban_water_people"] == 200_000
        assert found["urban_water_km2"] == pytest.approx(20)
        assert (found["urban_capacity_km2"], found["urban_binding"]) == (12.0, "land")
        assert found["urban_land_with_farmland_km2"] == 30.0
        assert found["urban_capacity_people"] == 120_000
        assert found["urban_people_index"] == pytest.approx(1.25)
        assert found["urban_index"] == pytest.approx(1.25)
        assert found["agri_status"] == found["urban_status"] == "assessed"

    def test_2019_counts_other_land(self):
        found = one(profile="2019")
        assert (found["agri_land_km2"], found["urban_land_km2"]) == (600.0, 700.0)
        assert (found["agri_binding"], found["urban_binding"]) == ("water", "water")

    def test_farmland_is_kept_if_the_rule_says_so(self):
        assert one(rules=changed(land_exclusions__permanent_farmland_2020=False))["urban_land_km2"] == 30.0

    def test_a_net_quota_is_divided_by_the_efficiency(self):
        found = one(rules=changed(irrigation__quota_basis="net"))
        assert found["agri_irrigated_km2"] == pytest.approx(83.3333 / 2, abs=1e-4)

    def test_a_net_quota_without_efficiency_is_not_assessed(self):
        found = one(table(row(irrigation_efficiency=math.nan)), rules=changed(irrigation__quota_basis="net"))
        assert found["agri_water_km2"] is None
        assert found["agri_status"] == "partial"


class TestPublishedFigures:
    def test_liuzhou_water_binds(self):
        """柳州 2030: land 6611.03 km² is 35.55 % of the city (18 596 km²), water 3760.21 km² is less."""
        assert binding_constraint({"water": 3760.21, "land": 6611.03}) == (3760.21, "water")
        share = 100 * 6611.03 / 18_596
        assert share == pytest.approx(35.55, abs=0.005)

    @pytest.mark.parametrize(("rainfed", "capacity", "index"), [(0.0, 35_647, 1.34), (0.3873, 54_116, 0.88)])
    def test_hubei_rainfed_land_decides_the_verdict(self, rainfed, capacity, index):
        province = row(
            water_total_m3=367.41e8,
            k_agri=0.505,
            k_urban=0.35,
            irrigation_quota_m3_per_mu=347.0,
            cropland_km2=47_686.0,
            rainfed_share=rainfed,
        )
        found = one(table(province), land=None)
        assert round(found["agri_irrigated_km2"]) == 35_647
        assert found["agri_capacity_km2"] == pytest.approx(capacity, abs=1)
        assert found["agri_index"] == pytest.approx(index, abs=0.005)
        assert found["agri_index_irrigated_only"] == pytest.approx(1.34, abs=0.005)

    def test_irrigable_area(self):
        assert irrigable_km2(1.5e6, 1000) == pytest.approx(1.0)


class TestScenarios:
    def rows(self) -> dict[str, dict[str, Any]]:
        found = capacity_result(table(), LAND, RULES, levels=("county",)).tables["capacity_scenarios"]
        return {r["scenario"]: r for r in found}

    def test_better_technology_carries_more(self):
        rows = self.rows()
        units = read_units(table(), RULES, scenario="improved")
        assert units[0].quota == pytest.approx(400 * 0.95 / 1.12)
        assert units[0].water_per_person == pytest.approx(180)
        assert list(rows) == ["current", "improved", "changed_life"]
        assert rows["changed_life"]["urban_capacity_people"] == pytest.approx(12e6 / 90, abs=1)

    def test_efficiency_has_a_ceiling_and_never_falls(self):
        near = read_units(table(row(irrigation_efficiency=0.85)), RULES, scenario="improved")[0]
        assert near.quota == pytest.approx(400 * 0.95 * 0.85 / 0.90)
        above = read_units(table(row(irrigation_efficiency=0.95)), RULES, scenario="improved")[0]
        assert above.quota == pytest.approx(400 * 0.95)

    def test_unknown_scenario(self):
        with pytest.raises(InvalidParameter, match="no scenario"):
            read_units(table(), RULES, scenario="miracle")

    def test_the_first_scenario_must_be_the_present(self):
        with pytest.raises(LayerDefinitionInvalid, match="first scenario"):
            changed(scenarios__items__current__efficiency=1.1)


class TestSums:
    two = table(
        row("420101"),
        row("420102", irrigation_quota_m3_per_mu=200.0, cropland_km2=100.0, rainfed_share=0.0, urban_population=50_000,
            water_demand_per_capita_m3=400.0, urban_land_per_capita_m2=60.0),
    )  # fmt: skip

    def test_ratios_are_derived_again_not_averaged(self):
        (city,) = merge_units(read_units(self.two, RULES), "prefecture")
        # irrigated 300 and 100 km²: (400·300 + 200·100) / 400 = 350, not the mean 300
        assert city.quota == pytest.approx(350)
        assert city.water_per_person == pytest.approx((200 * 150 + 400 * 50) / 200)
        assert city.land_per_person == pytest.approx((100 * 150 + 60 * 50) / 200)
        assert city.sums["water_total"] == 2e8
        assert city.members == ("420101", "420102")

    def test_levels(self):
        result = capacity_result(self.two, areas(("420101", "420102"), agri_land_2020=100.0), RULES)
        (province,) = result.tables["capacity_province"]
        assert (province["code"], province["units"], province["unit_km2"]) == ("420000", 2, 2000.0)
        assert [(r["code"], r["name"]) for r in result.tables["capacity_prefecture"]] == [("420100", "甲市")]
        assert province["agri_land_km2"] == 200.0
        json.dumps(result.tables, allow_nan=False)

    def test_province_administered_units_are_their_own_prefecture(self):
        frame = table(row("429004", prefecture="仙桃市"), row("429005", prefecture="潜江市"), row("420101"))
        cities = merge_units(read_units(frame, RULES, land=areas(("429004", "429006"))), "prefecture")
        # 429006, known to the land only, joins none of the two that share its first four digits
        assert [city.code for city in cities] == ["420100", "429004", "429005", "429006"]

    def test_a_gap_in_one_unit_leaves_the_sum_unassessed_and_named(self):
        frame = table(row("420101"), row("420102", water_total_m3=math.nan))
        city = capacity_rows(read_units(frame, RULES, land=areas(("420101", "420102"), agri_land_2020=100.0)), RULES,
                             level="prefecture")[0]  # fmt: skip
        assert city["agri_water_km2"] is None
        assert city["water_total_m3"] is None
        assert city["agri_status"] == "partial"
        assert "县02" in city["notes_zh"]
        assert "县02" in city["notes_en"]

    def test_a_unit_that_only_the_land_knows_is_not_forgotten(self):
        land = areas(("420101", "420102"), agri_land_2020=100.0)
        rows = capacity_rows(read_units(table(row("420101")), RULES, land=land), RULES)
        assert [r["code"] for r in rows] == ["420101", "420102"]
        assert rows[1]["agri_water_km2"] is None
        assert rows[1]["prefecture"] == "甲市"
        (province,) = capacity_rows(read_units(table(row("420101")), RULES, land=land), RULES, level="province")
        assert province["water_total_m3"] is None

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(
            st.tuples(st.floats(1e7, 1e10), st.floats(0.05, 0.6), st.floats(10, 5000), st.floats(0.05, 0.95)),
            min_size=1,
            max_size=6,
        )
    )
    def test_with_equal_ratios_a_sum_carries_at_least_what_its_parts_do(self, counties):
        """min(Σ a, Σ b) ≥ Σ min(a, b), and the water constraint of the sum is the sum of its parts."""
        codes = tuple(f"4201{k:02d}" for k in range(len(counties)))
        frame = table(*(
            row(code, water_total_m3=w, k_agri=k, k_urban=0.3, k_eco=0.1, cropland_km2=c, rainfed_share=s)
            for code, (w, k, c, s) in zip(codes, counties, strict=True)
        ))  # fmt: skip
        units = read_units(frame, RULES, land=areas(codes, unit=1e5, agri_land_2020=300.0))
        (city,) = capacity_rows(units, RULES, level="prefecture")
        parts = capacity_rows(units, RULES)
        assert city["agri_water_km2"] == pytest.approx(sum(p["agri_water_km2"] for p in parts), rel=1e-6, abs=1e-2)
        assert city["agri_capacity_km2"] >= city["agri_capacity_apart_km2"] - 1e-3
        order = read_units(frame.iloc[::-1], RULES, land=areas(codes, unit=1e5, agri_land_2020=300.0))
        assert capacity_rows(order, RULES, level="prefecture") == [city]


class TestLevels:
    @pytest.mark.parametrize(
        ("cropland", "level"), [(251, "overloaded"), (250, "critical"), (175, "critical"), (174.9, "within")]
    )
    def test_edges_of_land_pressure(self, cropland, level):
        frame = table(row(cropland_km2=cropland, rainfed_share=1.0, irrigation_quota_m3_per_mu=100.0))
        found = assess(read_units(frame, RULES, land=areas(agri_land_2020=250.0))[0], RULES)
        # rain-fed 100 % and 333 km² irrigable: land binds
        assert found.agriculture.binding == "land"
        assert found.indicators[0].level == level

    @pytest.mark.parametrize(("use", "level"), [(1e8, "overloaded"), (9e7, "critical"), (8.99e7, "within")])
    def test_edges_of_water_use(self, use, level):
        found = assess(read_units(table(row(water_use_m3_2019=use)), RULES)[0], RULES)
        assert next(i for i in found.indicators if i.id == "water_use").level == level

    @pytest.mark.parametrize(
        ("level", "trend", "colour"),
        [
            ("overloaded", "accelerating", "red"),
            ("overloaded", "slowing", "orange"),
            ("critical", "accelerating", "yellow"),
            ("critical", "slowing", "blue"),
            ("within", None, "green"),
            ("overloaded", None, None),
            ("critical", None, None),
        ],
    )
    def test_colours(self, level, trend, colour):
        assert RULES.colours.of(level, trend) == colour

    def test_without_an_earlier_value_the_level_stands_and_the_colour_is_open(self):
        frame = table(row()).drop(columns=["cropland_km2_2015", "built_up_km2_2015", "water_use_m3_2015"])
        found = one(frame)
        assert (found["warning"], found["colour"], found["colour_zh"]) == ("overloaded", None, "未评价")

    def test_overall_is_the_worst_and_accelerating_wins(self):
        found = one()  # agriculture 2.0 (falling) and towns 1.25 (rising) are both overloaded
        assert (found["warning"], found["colour"]) == ("overloaded", "red")
        assert found["indicators_assessed"] == 3

    def test_pollutant_and_ecosystem_columns(self):
        found = assess(read_units(table(row(pollutant_ratio=0.9, ecosystem_degraded_share=0.11)), RULES, land=LAND)[0],
                       RULES)  # fmt: skip
        assert [(i.level, i.trend) for i in found.indicators[3:]] == [("critical", None), ("overloaded", None)]
        assert found.indicators[4].value == pytest.approx(0.11)

    def test_a_capacity_of_zero_is_overloaded_not_infinite(self):
        result = capacity_result(table(), areas(agri_land_2020=0.0), RULES, levels=("county",))
        (found,) = result.tables["capacity_county"]
        assert (found["agri_capacity_km2"], found["agri_index"], found["warning"]) == (0.0, None, "overloaded")
        assert "为零" in found["notes_zh"]
        json.dumps(result.tables, allow_nan=False)

    def test_trend(self):
        assert trend_of(100.05, 100, 0.001) == "slowing"
        assert trend_of(None, 100, 0.001) is None


class TestBadInput:
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("water_total_m3", 1.0),  # 亿 m³
            ("irrigation_quota_m3_per_mu", 5.2),  # m³/hm² or thousand
            ("irrigation_quota_m3_per_mu", 5205.0),  # m³/hm²
            ("water_demand_per_capita_m3", 21683.0),  # the public sample value, litres or worse
            ("urban_land_per_capita_m2", 0.01),  # hm²
            ("k_agri", 50.0),  # percent
            ("rainfed_share", 38.73),
            ("population", 30.0),  # 万人
            ("irrigation_efficiency", 57.6),
        ],
    )
    def test_wrong_unit_names_column_range_and_unit(self, column, value):
        with pytest.raises(QualityViolation) as caught:
            read_units(table(row(**{column: value})), RULES)
        assert caught.value.details["column"] == column
        assert len(caught.value.details["range"]) == 2
        assert caught.value.details["unit"]
        assert "420101" in caught.value.zh

    def test_shares_above_one(self):
        with pytest.raises(QualityViolation, match=r"k_agri \+ k_urban \+ k_eco = 1\.1"):
            read_units(table(row(k_urban=0.5)), RULES)
        read_units(table(row(k_urban=0.4000000001)), RULES)  # rounding of a table is no error

    def test_shares_without_eco_are_still_checked(self):
        with pytest.raises(QualityViolation, match="exceeds 1"):
            read_units(table(row(k_agri=0.7, k_eco=math.nan)), RULES)

    @pytest.mark.parametrize("value", [math.nan, -3.0, 0.0])
    def test_a_missing_or_negative_value_leaves_its_constraint_unassessed(self, value):
        found = one(table(row(irrigation_quota_m3_per_mu=value)))
        assert found["agri_water_km2"] is None
        assert found["agri_irrigated_km2"] is None
        assert (found["agri_capacity_km2"], found["agri_status"]) == (250.0, "partial")
        assert "上限" in found["notes_zh"]
        assert found["urban_status"] == "assessed"
        if value == value:
            assert "irrigation_quota_m3_per_mu" in found["notes_en"]

    def test_missing_rainfed_share_shows_the_irrigated_part_only(self):
        found = one(table(row(rainfed_share=math.nan)))
        assert found["agri_irrigated_km2"] == pytest.approx(83.3333, abs=1e-4)
        assert (found["agri_water_km2"], found["agri_rainfed_km2"]) == (None, None)
        assert found["agri_binding"] == "land"

    def test_nothing_known_is_not_assessed_never_zero(self):
        found = one(pd.DataFrame([{"code": "420101"}]), land=None)
        assert found["agri_capacity_km2"] is None
        assert found["urban_capacity_people"] is None
        assert (found["agri_status"], found["warning"], found["warning_zh"]) == ("not_assessed", None, "未评价")

    def test_codes_twice(self):
        with pytest.raises(QualityViolation, match="twice"):
            read_units(table(row(), row()), RULES)

    def test_codes_of_another_kind_are_the_same_code(self):
        assert read_units(table(row(420101), row(420102.0)), RULES)[1].code == "420102"

    def test_no_code_in_common(self):
        with pytest.raises(QualityViolation, match="no unit code"):
            read_units(table(row("110101")), RULES, land=LAND)

    def test_a_code_that_the_land_lacks_is_flagged(self):
        rows = capacity_rows(read_units(table(row(), row("420199")), RULES, land=LAND), RULES)
        assert rows[1]["agri_land_km2"] is None
        assert "单元图层没有这个代码" in rows[1]["notes_zh"]

    def test_unit_without_area(self):
        found = one(land=areas(unit=0.0))
        assert found["agri_land_km2"] is None
        assert "单元没有面积" in found["notes_zh"]

    def test_a_unit_cut_by_the_window(self):
        found = one(land=areas(whole={"420101": 2000.0}, agri_land_2020=10.0))
        assert (found["agri_land_km2"], found["agri_binding"]) == (None, "water")
        assert "50.0 %" in found["notes_zh"]

    def test_a_unit_that_leaves_the_grid_by_a_little(self):
        land = replace(areas(whole={"420101": 1001.0}, agri_land_2020=10.0), cut=frozenset({"420101"}))
        assert one(land=land)["agri_land_km2"] is None

    def test_large_cells_are_flagged_and_assessed(self):
        found = one(land=areas(whole={"420101": 1100.0}, agri_land_2020=10.0))
        assert found["agri_land_km2"] == 10.0
        assert "-9.1 %" in found["notes_en"]

    def test_cropland_larger_than_the_unit(self):
        with pytest.raises(QualityViolation, match="km²"):
            read_units(table(row(cropland_km2=50_000.0)), RULES, land=areas(whole={"420101": 1000.0}))

    def test_missing_code_column_empty_table_and_text_in_numbers(self):
        with pytest.raises(QualityViolation, match="no column code"):
            read_units(table().drop(columns="code"), RULES)
        with pytest.raises(LayerEmpty):
            read_units(table().iloc[:0], RULES)
        with pytest.raises(QualityViolation, match="no numbers"):
            read_units(table(row(cropland_km2="1,234")), RULES)
        with pytest.raises(QualityViolation, match="no unit code"):
            read_units(table(row(None)), RULES)

    def test_much_unassessed_land_is_flagged(self):
        found = one(land=areas(agri_land_2020=100.0, agri_land_2020_unknown=60.0))
        assert "6.0 %" in found["notes_zh"]


class TestLandAreas:
    """A 2×3 block of unit 1 (first two columns) and unit 2; 1 km² a cell."""

    units = np.array([[1, 1, 2], [1, 1, 0]], dtype=np.uint16)
    dm2 = np.array([10**8, 10**8], dtype=np.int64)

    def tally(self, **layers: Any) -> LandAreas:
        arrays = {k: np.array(v, np.float32 if k == "elevation" else np.uint8) for k, v in layers.items()}
        found = LandLayers(**arrays)
        return LandAreas(("a", "b"), land_areas(self.units, self.dm2, found, RULES, 2), found.present())

    def test_2019_by_hand(self):
        found = self.tally(
            agri_grade=[[1, 4, 2], [5, 0, 1]],
            soil_grade=[[1, 3, 5], [1, 1, 1]],
            elevation=[[10, 4999, 10], [10, 10, 10]],
            urban_grade=[[5, 4, 1], [1, 0, 1]],
            land_use=[[1, 10, 2], [12, 9, 1]],
        )
        # (0,0) yes; (0,1) a lake; (1,0) grade 5; (1,1) no grade; unit b: soil above the control value
        assert found.km2("a", "agri_land_2019") == 1.0
        assert found.km2("a", "agri_land_2019_unknown") == 1.0
        assert found.km2("b", "agri_land_2019") == 0.0
        assert found.km2("a", "urban_land_2019") == 1.0
        assert (found.km2("a", "cropland_in_use"), found.km2("a", "built_in_use")) == (1.0, 1.0)
        assert (found.km2("a", "water_surface"), found.km2("a", "unit"), found.km2("b", "unit")) == (1.0, 4.0, 1.0)
        assert [found.km2("a", f"agri_grade_{k}") for k in range(1, 6)] == [1.0, 0.0, 0.0, 1.0, 1.0]

    def test_2020_by_hand(self):
        found = self.tally(
            eco_class=[[1, 2, 3], [3, 3, 1]],
            agri_class=[[1, 1, 2], [3, 0, 1]],
            urban_class=[[1, 2, 1], [1, 3, 1]],
            farmland=[[0, 1, 0], [0, 0, 0]],
        )
        assert found.km2("a", "agri_land_2020") == 1.0
        assert found.km2("a", "agri_land_2020_unknown") == 1.0
        assert found.km2("b", "agri_land_2020") == 1.0
        assert found.km2("a", "urban_land_2020") == 2.0
        assert found.km2("a", "urban_land_2020_less_farmland") == 1.0
        assert found.km2("a", "permanent_farmland") == 1.0
        assert [found.km2("a", f"eco_{k}") for k in (1, 2, 3)] == [1.0, 1.0, 2.0]

    def test_elevation_limit_and_missing_elevation(self):
        found = self.tally(agri_grade=np.ones((2, 3)), elevation=[[5000, 4999, 0], [np.nan, 0, 0]])
        assert (found.km2("a", "agri_land_2019"), found.km2("a", "agri_land_2019_unknown")) == (2.0, 1.0)

    def test_a_missing_layer_is_none_not_zero(self):
        found = self.tally(agri_grade=np.ones((2, 3)))
        assert found.km2("a", "agri_land_2019") == 4.0
        for column in (
            "urban_land_2019",
            "agri_land_2020",
            "eco_1",
            "water_surface",
            "urban_class_2",
            "agri_land_2020_unknown",
        ):
            assert found.km2("a", column) is None
        assert np.isnan(found.frame().loc["a", "eco_1"])
        assert found.frame().loc["b", "unit"] == 1.0

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6), height=st.integers(1, 40), width=st.integers(1, 40))
    def test_any_block_size_gives_the_same_bits_and_states_add_up(self, seed, height, width):
        rng = np.random.default_rng(seed)
        shape = (37, 29)
        units = rng.integers(0, 6, shape).astype(np.uint16)
        dm2 = whole_dm2(rng.uniform(800, 820, shape[0]))
        arrays = {
            name: rng.integers(0, 6, shape).astype(np.uint8) for name in LandLayers.__slots__ if name != "elevation"
        } | {"elevation": rng.uniform(0, 6000, shape).astype(np.float32)}
        whole = land_areas(units, dm2, LandLayers(**arrays), RULES, 5)
        parts = np.zeros_like(whole)
        for r in range(0, shape[0], height):
            for c in range(0, shape[1], width):
                w = (slice(r, r + height), slice(c, c + width))
                parts += land_areas(units[w], dm2[w[0]], LandLayers(**{k: a[w] for k, a in arrays.items()}), RULES, 5)
        assert np.array_equal(whole, parts)
        expected = np.bincount(units.ravel(), np.repeat(dm2, shape[1]).astype(np.float64), minlength=6)[1:]
        assert np.array_equal(whole[:, 0], expected.astype(np.int64))
        for name in ("agri_land_2019", "urban_land_2020_less_farmland"):
            k = LAND_COLUMNS.index(name)
            assert (whole[:, k] + whole[:, k + 1] <= whole[:, 0]).all()

    def test_bad_shapes_and_units(self):
        with pytest.raises(GridMismatch, match="agri_grade"):
            land_areas(self.units, self.dm2, LandLayers(agri_grade=np.ones((3, 3), np.uint8)), RULES, 2)
        with pytest.raises(GridMismatch):
            land_areas(self.units, self.dm2[:1], LandLayers(), RULES, 2)
        with pytest.raises(InvalidParameter, match="exceeds"):
            land_areas(self.units, self.dm2, LandLayers(), RULES, 1)


class TestSupplyAndDemand:
    @pytest.mark.parametrize(
        ("demand", "colour"), [(12.1, "red"), (12.0, "orange"), (10.0, "yellow"), (8.0, "green"), (7.9, "green")]
    )
    def test_edges(self, demand, colour):
        found = supply_demand(
            {"remaining_quota": 4.0, "idle": 6.0}, {"reserved_projects": demand}, RULES, mismatch_km2=2
        )
        assert found["index"] == pytest.approx(demand / 10 - 1)
        assert found["colour"] == colour
        assert found["mismatch_share"] == pytest.approx(2 / demand)
        assert "inefficient" in found["not_assessed"]

    def test_no_supply(self):
        assert supply_demand({"idle": 0.0}, {"reserved_projects": 1.0}, RULES)["colour"] == "red"
        assert supply_demand({}, {"reserved_projects": 1.0}, RULES)["index"] is None

    def test_unknown_or_negative_part(self):
        with pytest.raises(InvalidParameter):
            supply_demand({"gold": 1.0}, {}, RULES)
        with pytest.raises(InvalidParameter):
            supply_demand({"idle": -1.0}, {}, RULES)


GAP = [
    {"level": "overloaded", "from": 1},
    {"level": "critical", "from": 0.9, "below": 0.95},
    {"level": "within", "below": 0.9},
]


class TestRules:
    def test_missing_file(self):
        with pytest.raises(LayerDefinitionInvalid, match="missing"):
            capacity_rules({})

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("levels__water_use__intervals", GAP),
            ("levels__water_use__source", ""),
            ("levels__water_use__tag", "rumour"),
            ("land_use__codes", {"cropland": [1], "built": [1]}),
            ("land_use__codes", {"cropland": [0]}),
            ("colours__critical", {"slowing": "blue"}),
            ("scenarios__efficiency_max", 1.5),
        ],
    )
    def test_a_broken_table_is_refused(self, path, value):
        with pytest.raises(LayerDefinitionInvalid):
            changed(**{path: value})

    def test_every_table_names_source_tag_and_date(self):
        for name, section in DOCUMENT.items():
            if isinstance(section, dict) and name not in {"title", "levels"}:
                assert {"source", "tag", "valid_from"} <= set(section), name


def test_the_sample_table_keeps_the_provincial_figures():
    """What the table of the sample sums to: 367.41 亿 m³, 476.86 万 hm², 38.73 % dry; and every unit is assessed by water."""
    result = capacity_result(pd.read_csv(SAMPLE), None, RULES)
    (province,) = result.tables["capacity_province"]
    assert province["water_total_m3"] == pytest.approx(367.41e8)
    assert province["agri_current_km2"] == pytest.approx(47_686.0)
    assert province["agri_rainfed_km2"] / 47_686.0 == pytest.approx(0.3873, abs=2e-4)
    assert province["units"] == 103
    assert len(result.tables["capacity_prefecture"]) == 17
    assert all(r["agri_water_km2"] is not None for r in result.tables["capacity_county"])
    assert {f.id: f.assessed for f in result.factors}["capacity-agri-land"] is False
    json.dumps(result.tables, allow_nan=False)
