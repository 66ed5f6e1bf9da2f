"""Carrying capacity (资源环境承载规模) by unit: agriculture and towns under water and land, the least of both (短板原理).

A constraint whose inputs are missing is «not assessed» (None); what the other carries is then an upper bound, and said
to be one. Present use over capacity gives the index; index, water use and their trend give the warning level and colour.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyses.capacity_rules import LEVELS, CapacityRules, Colour, Level, Profile, Trend
from analyses.capacity_table import MU_PER_KM2, Unit
from spatial.catalog import Text
from spatial.errors import InvalidParameter

__all__ = [
    "Capacity",
    "Indicator",
    "UnitCapacity",
    "assess",
    "binding_constraint",
    "irrigable_km2",
    "supply_demand",
    "trend_of",
]


def irrigable_km2(water_m3: float, quota_m3_per_mu: float) -> float:
    """Area that the water can irrigate (灌溉可承载面积).

    Formula: A = k·W / q / 1500; 1 km² = 1500 亩.

    Parameters
    ----------
    water_m3 : float, m³/a
        k_agri · W_total.
    quota_m3_per_mu : float, m³/亩
        Composite quota with the losses of the canals.

    Returns
    -------
    float, km²

    Source: public implementation CUGGISRS/spj (2019-08), class of the agricultural water capacity.

    Examples
    --------
    >>> round(irrigable_km2(0.505 * 367.41e8, 347))
    35647
    """
    return water_m3 / quota_m3_per_mu / MU_PER_KM2


def binding_constraint(constraints: Mapping[str, float | None]) -> tuple[float | None, str | None]:
    """Capacity = the least of the constraints that were assessed, and its name; of equals the first.

    Source: 双评价指南（2020-01 试行）: minimum over constraints (短板原理); Liuzhou (柳州) 2030, xing528.com/lilun/1201033.

    Examples
    --------
    >>> binding_constraint({"water": 3760.21, "land": 6611.03})
    (3760.21, 'water')
    >>> binding_constraint({"water": None, "land": None})
    (None, None)
    """
    known = [(value, name) for name, value in constraints.items() if value is not None]
    if not known:
        return None, None
    value, name = min(known, key=lambda pair: pair[0])
    return value, name


def trend_of(now: float | None, before: float | None, tolerance: float) -> Trend | None:
    """Depletion accelerates if use grew by more than `tolerance` (share); None without an earlier value.

    >>> trend_of(101, 100, 0.001), trend_of(100, 100, 0.001), trend_of(5, None, 0)
    ('accelerating', 'slowing', None)
    """
    if now is None or before is None:
        return None
    return "accelerating" if now > before * (1 + tolerance) else "slowing"


@dataclass(frozen=True, slots=True)
class Capacity:
    """Capacity of one kind (agriculture or towns) of one unit, km²."""

    water_km2: float | None
    land_km2: float | None
    km2: float | None
    binding: str | None
    current_km2: float | None
    index: float | None
    """Present use / capacity."""

    @property
    def status(self) -> str:
        """``assessed`` by both constraints, ``partial`` by one (an upper bound), ``not_assessed``."""
        known = sum(value is not None for value in (self.water_km2, self.land_km2))
        return ("not_assessed", "partial", "assessed")[known]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator of the warning levels; value None = not assessed."""

    id: str
    title: Text
    value: float | None
    level: Level | None
    trend: Trend | None
    colour: Colour | None


@dataclass(frozen=True)
class UnitCapacity:
    """What one unit can carry, and how far its use is from it."""

    unit: Unit
    agriculture: Capacity
    irrigated_km2: float | None
    rainfed_km2: float | None
    towns: Capacity
    water_people: float | None
    land_people: float | None
    urban_land_km2: float | None
    """Urban land before permanent basic farmland is taken off."""
    indicators: tuple[Indicator, ...] = ()
    level: Level | None = None
    colour: Colour | None = None
    notes: tuple[Text, ...] = ()

    @property
    def people(self) -> float | None:
        """People that both constraints carry: the least of those that were assessed."""
        return binding_constraint({"water": self.water_people, "land": self.land_people})[0]


def _capacity(water: float | None, land: float | None, current: float | None) -> Capacity:
    value, binding = binding_constraint({"water": water, "land": land})
    index = current / value if current is not None and value else None
    return Capacity(water, land, value, binding, current, index)


def assess(unit: Unit, rules: CapacityRules, *, profile: Profile = "2020") -> UnitCapacity:
    """Capacity, index and warning level of one unit.

    Formula: A_w = k_agri·W / q + A_rainfed; A_l, B_l: see `analyses.capacity_land.land_areas`; P_w = k_urban·W / w_pc;
    B_w = P_w·a_pc; capacity = min(water, land); index = present / capacity. With one constraint only, the capacity is an
    upper bound and the status ``partial``.

    Parameters
    ----------
    unit : Unit
    rules : CapacityRules
    profile : "2019" or "2020"
        Which land counts.

    Source: 双评价指南 承载规模; public implementation CUGGISRS/spj (2019-08).
    """
    notes = list(unit.notes)
    sums = unit.sums
    water_agri, water_urban = sums["water_agri"], sums["water_urban"]
    irrigated = irrigable_km2(water_agri, unit.quota) if water_agri is not None and unit.quota else None
    rainfed = sums["rainfed"]
    # Rain-fed land decides the verdict: without it there is no water constraint, only its irrigated part.
    by_water = irrigated + rainfed if irrigated is not None and rainfed is not None else None
    if irrigated is not None and rainfed is None:
        notes.append(
            Text(
                zh="缺少雨养耕地，水约束未评价（只列灌溉部分）",
                en="rain-fed cropland is missing: water is not assessed (the irrigated part is shown)",
            )
        )
    agriculture = _capacity(by_water, unit.land.get(f"agri_land_{profile}"), sums["cropland"])

    people = water_urban / unit.water_per_person if water_urban is not None and unit.water_per_person else None
    town_water = people * unit.land_per_person / 1e6 if people is not None and unit.land_per_person else None
    whole_land = unit.land.get(f"urban_land_{profile}")
    land = whole_land
    if profile == "2020" and rules.land_exclusions.permanent_farmland_2020:
        less = unit.land.get("urban_land_2020_less_farmland")
        if less is None and land is not None:
            notes.append(
                Text(
                    zh="缺少永久基本农田，城镇土地约束偏大",
                    en="permanent basic farmland is missing: urban land is an upper bound",
                )
            )
        land = less if less is not None else land
    towns = _capacity(town_water, land, sums["built_up"])
    land_people = land * 1e6 / unit.land_per_person if land is not None and unit.land_per_person else None
    for kind_zh, kind_en, found in (("农业", "agriculture", agriculture), ("城镇", "towns", towns)):
        notes += _capacity_notes(kind_zh, kind_en, found)
    notes += _unknown_land(unit, rules, profile)

    indicators = _indicators(unit, agriculture, towns, rules)
    level, colour = _overall(indicators, rules)
    return UnitCapacity(
        unit=unit,
        agriculture=agriculture,
        irrigated_km2=irrigated,
        rainfed_km2=rainfed,
        towns=towns,
        water_people=people,
        land_people=land_people,
        urban_land_km2=whole_land,
        indicators=indicators,
        level=level,
        colour=colour,
        notes=tuple(notes),
    )


def _capacity_notes(zh: str, en: str, found: Capacity) -> list[Text]:
    notes = []
    if found.status == "partial":
        by_zh, by_en = ("水", "water") if found.binding == "water" else ("土地", "land")
        notes.append(
            Text(
                zh=f"{zh}只按{by_zh}约束，承载规模是上限，真实级别相同或更差",
                en=f"{en}: by {by_en} only; the capacity is an upper bound, the true level the same or worse",
            )
        )
    if found.km2 == 0:
        notes.append(Text(zh=f"{zh}承载规模为零，指数无定义", en=f"{en}: the capacity is zero, the index undefined"))
    return notes


def _unknown_land(unit: Unit, rules: CapacityRules, profile: Profile) -> list[Text]:
    size = unit.land.get("unit")
    notes = []
    for zh, en, column in (("农业", "agriculture", "agri_land"), ("城镇", "towns", "urban_land")):
        unknown = unit.land.get(f"{column}_{profile}_unknown")
        if size and unknown is not None and unknown > rules.land_exclusions.unassessed_flag_share * size:
            share = 100 * unknown / size
            notes.append(
                Text(
                    zh=f"{zh}土地有 {share:.1f} % 没有评价，承载面积偏小",
                    en=f"{en}: {share:.1f} % of the land is not assessed, the land area comes out low",
                )
            )
    return notes


def _indicators(unit: Unit, agriculture: Capacity, towns: Capacity, rules: CapacityRules) -> tuple[Indicator, ...]:
    sums, tolerance = unit.sums, rules.trend.tolerance

    def pressure(found: Capacity) -> float | None:
        if found.km2 is None or found.current_km2 is None:
            return None
        if found.km2 == 0:  # nothing can be carried: any use is too much
            return math.inf if found.current_km2 > 0 else -1.0
        return (found.current_km2 - found.km2) / found.km2

    use, quota = sums["water_use"], sums["water_total"]
    degraded, size = sums["degraded"], sums["unit_km2"]
    pollutant = unit.pollutant_ratio
    levels = rules.levels
    agri_title = Text(zh="农业土地资源压力", en="Land pressure, agriculture")
    town_title = Text(zh="城镇土地资源压力", en="Land pressure, towns")
    found = (
        ("agri_pressure", agri_title, pressure(agriculture), levels.land_pressure, "cropland"),
        ("urban_pressure", town_title, pressure(towns), levels.land_pressure, "built_up"),
        ("water_use", levels.water_use.title, use / quota if use is not None and quota else None, levels.water_use, "water_use"),
        ("pollutant", levels.pollutant.title, None if pollutant is None else pollutant - 1, levels.pollutant, None),
        ("ecosystem", levels.ecosystem.title, degraded / size if degraded is not None and size else None, levels.ecosystem, None),
    )  # fmt: skip
    indicators = []
    for name, title, value, rule, grows in found:
        level = None if value is None else rule.level(min(value, 1e308))
        trend = trend_of(sums[grows], sums[f"{grows}_before"], tolerance) if grows else None
        colour = None if level is None else rules.colours.of(level, trend)
        indicators.append(Indicator(name, title, value, level, trend, colour))
    return tuple(indicators)


def _overall(indicators: Sequence[Indicator], rules: CapacityRules) -> tuple[Level | None, Colour | None]:
    """Worst level of the indicators that were assessed; the colour is red or yellow if one of that level accelerates.

    Without any accelerating, one unknown trend at that level leaves the colour open.
    """
    level = next((found for found in LEVELS if any(i.level == found for i in indicators)), None)
    if level is None:
        return None, None
    trends = [indicator.trend for indicator in indicators if indicator.level == level]
    trend: Trend | None = "accelerating" if "accelerating" in trends else None if None in trends else "slowing"
    return level, rules.colours.of(level, trend)


def supply_demand(
    supply_km2: Mapping[str, float | None],
    demand_km2: Mapping[str, float | None],
    rules: CapacityRules,
    *,
    mismatch_km2: float | None = None,
) -> dict[str, Any]:
    """Land supply–demand contradiction (土地供需矛盾) of one unit; defined by this project.

    Formula: C = (D − S) / S; mismatch = demanded area on permanent farmland, redline, unsuitable land or outside the
    boundary / D.

    Parameters
    ----------
    supply_km2, demand_km2 : mapping, km²
        Parts as ``contradiction.supply`` and ``contradiction.demand`` of the rule file name them; a part that is absent
        or None is listed as not assessed.
    mismatch_km2 : float, optional

    Returns
    -------
    dict
        supply_km2, demand_km2, index, colour, mismatch_share, not_assessed.

    Raises
    ------
    InvalidParameter
        If a part is unknown to the rule file or negative.

    Source: none official was found; this project.
    """
    rule = rules.contradiction
    lacking: list[str] = []
    totals = []
    for parameter, names, given in (("supply", rule.supply, supply_km2), ("demand", rule.demand, demand_km2)):
        unknown = sorted(set(given) - set(names))
        bad = sorted(name for name, value in given.items() if value is not None and not value >= 0)
        if unknown or bad:
            raise InvalidParameter(
                f"{parameter} 的组成 {unknown or bad} 不在规则中或为负；可用：{'、'.join(names)}",
                f"parts {unknown or bad} of {parameter} are not in the rules or negative; use {', '.join(names)}",
                parameter=parameter,
                allowed=list(names),
            )
        known = [float(value) for name in names if (value := given.get(name)) is not None]
        lacking += [name for name in names if given.get(name) is None]
        totals.append(math.fsum(known) if known else None)
    supply, demand = totals
    index = (demand - supply) / supply if supply and demand is not None else None
    colour = None if index is None else rule.colour(index)
    if supply == 0 and demand:
        colour = rule.colour(1e308)
    return {
        "supply_km2": supply,
        "demand_km2": demand,
        "index": index,
        "colour": colour,
        "mismatch_share": mismatch_km2 / demand if mismatch_km2 is not None and demand else None,
        "not_assessed": lacking,
    }
