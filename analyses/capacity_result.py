"""What carrying capacity hands back: tables by level and scenario, warning levels, parameters, factors and notes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from analyses.capacity import Capacity, Indicator, UnitCapacity, assess
from analyses.capacity_land import LandAreas, land_notes
from analyses.capacity_rules import CapacityRules, Colour, Level, Profile, Trend
from analyses.capacity_table import MU_PER_KM2, Unit, merge_units, read_units
from spatial.catalog import Text
from spatial.jobs.contract import Factor

if TYPE_CHECKING:
    import pandas as pd

    from analyses.rules import Sourced

__all__ = [
    "COLOUR_TITLES",
    "LEVEL_TITLES",
    "CapacityResult",
    "capacity_factors",
    "capacity_result",
    "capacity_rows",
    "levels_of_unit",
]

UnitLevel = Literal["county", "prefecture", "province"]
_LEVELS: tuple[UnitLevel, ...] = ("county", "prefecture", "province")

LEVEL_TITLES: dict[Level, Text] = {
    "overloaded": Text(zh="超载", en="Overloaded"),
    "critical": Text(zh="临界超载", en="Critical"),
    "within": Text(zh="不超载", en="Not overloaded"),
}
COLOUR_TITLES: dict[Colour, Text] = {
    "red": Text(zh="红色", en="Red"),
    "orange": Text(zh="橙色", en="Orange"),
    "yellow": Text(zh="黄色", en="Yellow"),
    "blue": Text(zh="蓝色", en="Blue"),
    "green": Text(zh="绿色", en="Green"),
}
_TRENDS: dict[Trend, Text] = {
    "accelerating": Text(zh="加剧", en="accelerating"),
    "slowing": Text(zh="趋缓", en="slowing"),
}
_NOT_ASSESSED = Text(zh="未评价", en="Not assessed")
_BINDING = {"water": Text(zh="水资源", en="water"), "land": Text(zh="土地资源", en="land")}
_STATUS = {
    "assessed": Text(zh="已评价", en="assessed"),
    "partial": Text(zh="只有一个约束", en="one constraint only"),
    "not_assessed": _NOT_ASSESSED,
}


@dataclass(frozen=True)
class CapacityResult:
    """Tables (name → rows), factors and notes, ready for `spatial.jobs.contract.AnalysisResult`."""

    tables: Mapping[str, list[dict[str, Any]]]
    factors: tuple[Factor, ...]
    notes: tuple[Text, ...]


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None or not math.isfinite(value) else round(value, digits)


def _titles(name: str, title: Text | None) -> dict[str, Any]:
    shown = title or _NOT_ASSESSED
    return {f"{name}_zh": shown.zh, f"{name}_en": shown.en}


def _kind(name: str, found: Capacity) -> dict[str, Any]:
    return {
        f"{name}_water_km2": _round(found.water_km2, 4),
        f"{name}_land_km2": _round(found.land_km2, 4),
        f"{name}_capacity_km2": _round(found.km2, 4),
        f"{name}_capacity_mu": _round(None if found.km2 is None else found.km2 * MU_PER_KM2, 1),
        f"{name}_binding": found.binding,
        **_titles(f"{name}_binding", _BINDING[found.binding] if found.binding else None),
        f"{name}_current_km2": _round(found.current_km2, 4),
        f"{name}_index": _round(found.index, 4),
        f"{name}_status": found.status,
        **_titles(f"{name}_status", _STATUS[found.status]),
    }


def _row(found: UnitCapacity, apart: Mapping[str, tuple[float | None, float | None]]) -> dict[str, Any]:
    unit, sums, towns = found.unit, found.unit.sums, found.towns
    people, urban = found.people, sums["urban_population"]
    irrigated_only = (
        found.agriculture.current_km2 / found.irrigated_km2
        if found.agriculture.current_km2 is not None and found.irrigated_km2
        else None
    )
    row: dict[str, Any] = {
        "level": unit.level,
        "code": unit.code,
        "name": unit.name,
        "prefecture": unit.parent[1] if unit.level == "county" else None,
        "units": len(unit.members),
        "unit_km2": _round(unit.land.get("unit"), 4),
        "water_total_m3": _round(sums["water_total"], 0),
        "water_agri_m3": _round(sums["water_agri"], 0),
        "water_urban_m3": _round(sums["water_urban"], 0),
        "quota_m3_per_mu": _round(unit.quota, 2),
        "water_per_person_m3": _round(unit.water_per_person, 2),
        "land_per_person_m2": _round(unit.land_per_person, 2),
        "agri_irrigated_km2": _round(found.irrigated_km2, 4),
        "agri_rainfed_km2": _round(found.rainfed_km2, 4),
        **_kind("agri", found.agriculture),
        "agri_index_irrigated_only": _round(irrigated_only, 4),
        **_kind("urban", towns),
        "urban_land_with_farmland_km2": _round(found.urban_land_km2, 4),
        "urban_water_people": _round(found.water_people, 0),
        "urban_land_people": _round(found.land_people, 0),
        "urban_capacity_people": _round(people, 0),
        "urban_current_people": _round(urban, 0),
        "urban_people_index": _round(urban / people if urban is not None and people else None, 4),
    }
    if unit.level != "county":
        agri, town = apart[unit.code]
        row["agri_capacity_apart_km2"] = _round(agri, 4)
        row["urban_capacity_apart_km2"] = _round(town, 4)
    return row | {
        "warning": found.level,
        **_titles("warning", LEVEL_TITLES[found.level] if found.level else None),
        "colour": found.colour,
        **_titles("colour", COLOUR_TITLES[found.colour] if found.colour else None),
        "indicators_assessed": sum(i.level is not None for i in found.indicators),
        "notes_zh": "；".join(note.zh for note in found.notes),
        "notes_en": "; ".join(note.en for note in found.notes),
    }


def levels_of_unit(counties: Sequence[Unit], level: UnitLevel, *, province: tuple[str, str]) -> list[Unit]:
    """Units of one level: the counties themselves, summed by prefecture, or all of them."""
    if level == "county":
        return sorted(counties, key=lambda unit: unit.code)
    return merge_units(counties, level, whole=province if level == "province" else None)


def capacity_rows(
    counties: Sequence[Unit],
    rules: CapacityRules,
    *,
    level: UnitLevel = "county",
    profile: Profile = "2020",
    province: tuple[str, str] = ("420000", "湖北省"),
) -> list[dict[str, Any]]:
    """Table of one level: capacity by water and by land, their least, present use, index, people, warning level.

    In sums of counties water can be moved between them; ``…_capacity_apart_km2`` is the sum of the counties' own minima,
    what is left if it cannot.

    Parameters
    ----------
    counties : sequence of Unit
        See `read_units`; they carry the scenario.
    level : "county", "prefecture" or "province"
    profile : "2019" or "2020"
    province : (code, name)
        Of the row of all units.

    Returns
    -------
    list of rows, JSON-able; None = not assessed
    """
    return [_row(found, apart) for found, apart in _assessed(counties, rules, level, profile, province)]


def _assessed(
    counties: Sequence[Unit], rules: CapacityRules, level: UnitLevel, profile: Profile, province: tuple[str, str]
) -> list[tuple[UnitCapacity, dict[str, tuple[float | None, float | None]]]]:
    own = {unit.code: assess(unit, rules, profile=profile) for unit in counties}
    found = []
    for unit in levels_of_unit(counties, level, province=province):
        # Only sums of minima that both constraints made: an upper bound would hide a shortage.
        sums = []
        for kind in ("agriculture", "towns"):
            each: list[Capacity] = [getattr(own[code], kind) for code in unit.members]
            whole = all(one.status == "assessed" for one in each)
            sums.append(math.fsum(one.km2 or 0.0 for one in each) if whole else None)
        one = own[unit.code] if level == "county" else assess(unit, rules, profile=profile)
        found.append((one, {unit.code: (sums[0], sums[1])}))
    return found


def _indicator_row(unit: Unit, indicator: Indicator, rules: CapacityRules) -> dict[str, Any]:
    return {
        "level": unit.level,
        "code": unit.code,
        "name": unit.name,
        "indicator": indicator.id,
        "title_zh": indicator.title.zh,
        "title_en": indicator.title.en,
        "value": _round(indicator.value, 4),
        "warning": indicator.level,
        **_titles("warning", LEVEL_TITLES[indicator.level] if indicator.level else None),
        "trend": indicator.trend,
        **_titles("trend", _TRENDS[indicator.trend] if indicator.trend else None),
        "colour": indicator.colour,
        **_titles("colour", COLOUR_TITLES[indicator.colour] if indicator.colour else None),
        "colour_hex": rules.colours.hex[indicator.colour] if indicator.colour else None,
    }


def _parameter_rows(rules: CapacityRules, profile: Profile, quota_basis: str) -> list[dict[str, Any]]:
    """Every value that decides the result, with unit, source and how far it was checked."""
    used: list[tuple[str, Any, str | None, Sourced]] = [
        ("profile", profile, None, rules.land),
        ("quota_basis", quota_basis, None, rules.irrigation),
        ("agri_land_grade_max", rules.land.grade_max, "1", rules.land),
        ("soil_grade_max", rules.land.soil_grade_max, "1", rules.land),
        ("elevation_below", rules.land.elevation_below_m, "m", rules.land),
        ("water_surface_left_out", rules.land_exclusions.water_surface, None, rules.land_exclusions),
        ("farmland_left_out_2020", rules.land_exclusions.permanent_farmland_2020, None, rules.land_exclusions),
        ("efficiency_max", rules.scenarios.efficiency_max, "1", rules.scenarios),
    ]
    for name, scenario in rules.scenarios.items.items():
        factors = scenario.model_dump(exclude={"title"})
        used += [(f"{name}.{key}", value, "1", rules.scenarios) for key, value in factors.items() if value != 1]
    for name in ("land_pressure", "water_use", "pollutant", "ecosystem"):
        rule = getattr(rules.levels, name)
        used += [
            (
                f"{name}.{row.level}",
                row.model_dump(by_alias=True, exclude_none=True, exclude={"level"}),
                rule.unit,
                rule,
            )
            for row in rule.intervals
        ]
    used.append(("trend.tolerance", rules.trend.tolerance, "1", rules.trend))
    return [
        {
            "name": name,
            "value": value,
            "unit": unit,
            "source": rule.source,
            "tag": rule.tag,
            "valid_from": rule.valid_from.isoformat(),
        }
        for name, value, unit, rule in used
    ]


def capacity_factors(found: Sequence[UnitCapacity], rules: CapacityRules) -> tuple[Factor, ...]:
    """Constraints and indicators: in how many units each was assessed; none → not assessed."""
    count = len(found)
    constraints: tuple[tuple[str, Text, list[bool], Sourced], ...] = (
        (
            "agri-water",
            Text(zh="农业承载：水约束", en="Agriculture by water"),
            [f.agriculture.water_km2 is not None for f in found],
            rules.irrigation,
        ),
        (
            "agri-land",
            Text(zh="农业承载：土地约束", en="Agriculture by land"),
            [f.agriculture.land_km2 is not None for f in found],
            rules.land,
        ),
        (
            "urban-water",
            Text(zh="城镇承载：水约束", en="Towns by water"),
            [f.towns.water_km2 is not None for f in found],
            rules.irrigation,
        ),
        (
            "urban-land",
            Text(zh="城镇承载：土地约束", en="Towns by land"),
            [f.towns.land_km2 is not None for f in found],
            rules.land,
        ),
    )
    sources = {
        "agri_pressure": rules.levels.land_pressure,
        "urban_pressure": rules.levels.land_pressure,
        "water_use": rules.levels.water_use,
        "pollutant": rules.levels.pollutant,
        "ecosystem": rules.levels.ecosystem,
    }
    indicators = tuple(
        (
            f"warning-{name.replace('_', '-')}",
            found[0].indicators[k].title,
            [f.indicators[k].level is not None for f in found],
            rule,
        )
        for k, (name, rule) in enumerate(sources.items())
        if found
    )
    return tuple(
        Factor(
            f"capacity-{name}",
            title,
            any(known),
            Text(
                zh=f"{sum(known)} / {count} 个单元" if any(known) else "缺少输入，没有一个单元可评价",
                en=f"{sum(known)} of {count} units" if any(known) else "its input is missing: assessed in no unit",
            ),
            f"{rule.source} [{rule.tag}]",
        )
        for name, title, known, rule in (*constraints, *indicators)
    )


def capacity_result(
    table: pd.DataFrame,
    land: LandAreas | None,
    rules: CapacityRules,
    *,
    profile: Profile = "2020",
    levels: Sequence[UnitLevel] = _LEVELS,
    province: tuple[str, str] = ("420000", "湖北省"),
    layer: str = "county-capacity",
) -> CapacityResult:
    """All tables of carrying capacity from the unit table and the land areas.

    Parameters
    ----------
    table : DataFrame or GeoDataFrame
        The unit table; columns as the rule file names them.
    land : LandAreas or None
    rules : CapacityRules
    profile : "2019" or "2020"
    levels : of "county", "prefecture", "province"
    province : (code, name)
    layer : str
        Id of the table's layer, for messages.

    Returns
    -------
    CapacityResult
        Tables ``capacity_<level>`` (present), ``capacity_scenarios``, ``capacity_warning``, ``capacity_parameters``.

    Raises
    ------
    QualityViolation, LayerEmpty
        See `read_units`.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    scenarios: list[dict[str, Any]] = []
    warnings: list[dict[str, Any]] = []
    present: list[UnitCapacity] = []
    for number, (name, scenario) in enumerate(rules.scenarios.items.items()):
        counties = read_units(table, rules, land=land, scenario=name, layer=layer)
        for level in levels:
            found = _assessed(counties, rules, level, profile, province)
            rows = [_row(one, apart) for one, apart in found]
            if number == 0:
                tables[f"capacity_{level}"] = rows
                warnings += [
                    _indicator_row(one.unit, indicator, rules) for one, _ in found for indicator in one.indicators
                ]
                if level == levels[0]:
                    present = [one for one, _ in found]
            scenarios += [
                {
                    "scenario": name,
                    "scenario_zh": scenario.title.zh,
                    "scenario_en": scenario.title.en,
                    **{key: row[key] for key in _SCENARIO_COLUMNS},
                }
                for row in rows
            ]
    tables["capacity_scenarios"] = scenarios
    tables["capacity_warning"] = warnings
    tables["capacity_parameters"] = _parameter_rows(rules, profile, rules.irrigation.quota_basis)
    return CapacityResult(tables, capacity_factors(present, rules), _notes(land, rules, profile))


_SCENARIO_COLUMNS = (
    "level",
    "code",
    "name",
    "agri_capacity_km2",
    "agri_binding",
    "agri_index",
    "urban_capacity_km2",
    "urban_binding",
    "urban_index",
    "urban_capacity_people",
    "urban_people_index",
    "warning",
    "warning_zh",
    "warning_en",
)


def _notes(land: LandAreas | None, rules: CapacityRules, profile: Profile) -> tuple[Text, ...]:
    said = [
        Text(
            zh="承载规模的阈值与情景系数见规则文件 layers/rules/carrying_capacity.yml；预警阈值未对照正式文本（GK），"
            "情景系数为示例（own），正式使用前须核对、替换。",
            en="Thresholds and scenario factors of carrying capacity are in layers/rules/carrying_capacity.yml; the warning "
            "thresholds were not checked against the official text (GK), the scenario factors are examples (own): check and "
            "replace them before formal use.",
        ),
        Text(
            zh="雨养耕地决定农业结论，灌溉部分与雨养部分分列（agri_irrigated_km2、agri_rainfed_km2）。",
            en="rain-fed cropland decides the verdict on agriculture: the irrigated and the rain-fed part stand apart "
            "(agri_irrigated_km2, agri_rainfed_km2).",
        ),
        Text(
            zh="颜色按一个早期值的增减区分加剧与趋缓（own）；没有早期值时只给级别。",
            en="the colour follows the growth since one earlier value (own); without it only the level is given.",
        ),
        Text(
            zh="市州和全省的水量可在县间调配；agri_capacity_apart_km2、urban_capacity_apart_km2 为各县最小值之和（不调配）。",
            en="prefectures and the province may move water between counties; the columns …_apart_km2 are the sum of the "
            "counties' own minima (no transfer).",
        ),
    ]
    return (*said, *(land_notes(land, rules, profile) if land is not None else ()))
