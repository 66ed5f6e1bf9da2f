"""The unit table (单元表) of carrying capacity: read and checked, put under a scenario, and summed to higher levels.

Water, areas and people are added; quotas and demands per head are derived again from the sums, never averaged. A value
that is missing or negative is None, in the unit and in every sum that holds the unit; nothing is replaced by zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from analyses.capacity_land import LAND_COLUMNS
from analyses.capacity_rules import CapacityRules, ColumnRule, Scenario
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation

if TYPE_CHECKING:
    import pandas as pd

    from analyses.capacity_land import LandAreas

__all__ = ["MU_PER_KM2", "SUMS", "Unit", "merge_units", "read_units"]

MU_PER_KM2 = 1500.0
SUMS: tuple[str, ...] = (
    "water_total",
    "water_agri",
    "water_urban",
    "cropland",
    "rainfed",
    "irrigated",
    "irrigation_demand",
    "population",
    "urban_population",
    "water_demand",
    "land_demand",
    "built_up",
    "cropland_before",
    "built_up_before",
    "water_use",
    "water_use_before",
    "degraded",
    "unit_km2",
)
"""What is added over units: m³, km² and persons."""


@dataclass(frozen=True)
class Unit:
    """One unit under one scenario.

    Attributes
    ----------
    sums : mapping
        `SUMS` → value or None.
    quota, water_per_person, land_per_person : float or None
        m³/亩, m³/person·a, m²/person.
    land : mapping
        Column of `analyses.capacity_land.LAND_COLUMNS` → km² or None.
    notes : tuple of Text
        What a reader must know about this unit.
    """

    code: str
    name: str
    level: str
    parent: tuple[str, str]
    members: tuple[str, ...]
    sums: Mapping[str, float | None]
    quota: float | None
    water_per_person: float | None
    land_per_person: float | None
    k_eco: float | None
    pollutant_ratio: float | None
    land: Mapping[str, float | None]
    notes: tuple[Text, ...] = ()


def _code(value: Any) -> str:
    text = str(value).strip()
    return text[:-2] if text.endswith(".0") else text


def _texts(table: pd.DataFrame, rule: ColumnRule) -> list[str | None]:
    if rule.column not in table.columns:
        return [None] * len(table)
    missing = table[rule.column].isna()
    return [None if gone else _code(value) for value, gone in zip(table[rule.column], missing, strict=True)]


def _numbers(
    table: pd.DataFrame, rule: ColumnRule, codes: Sequence[str], layer: str
) -> tuple[list[float | None], dict[str, str]]:
    """Values of a column, None where missing or not positive where it must be; and the codes of the refused ones."""
    import pandas as pd

    if rule.column not in table.columns:
        return [None] * len(table), {}
    try:
        column = pd.to_numeric(table[rule.column]).astype("float64")
    except (TypeError, ValueError) as error:
        raise QualityViolation(
            f"图层 {layer} 的列 {rule.column} 含有不是数的值（{error}），请改正",
            f"layer {layer}: column {rule.column} holds values that are no numbers ({error}); correct them",
            layer=layer,
            column=rule.column,
        ) from error
    least, most = (rule.plausible.min, rule.plausible.max) if rule.plausible else (-math.inf, math.inf)
    values: list[float | None] = []
    refused: dict[str, str] = {}
    wrong = []
    for code, value in zip(codes, column.tolist(), strict=True):
        if math.isnan(value):
            values.append(None)
        elif value < 0 or (value == 0 and least > 0):
            refused[code] = f"{value:g}"
            values.append(None)
        else:
            if not least <= value <= most:
                wrong.append(f"{code}: {value:g}")
            values.append(value)
    if wrong:
        raise QualityViolation(
            f"图层 {layer} 的列 {rule.column} 应在 {least:g}–{most:g} {rule.unit}，实为 {'；'.join(wrong[:5])}"
            f"{'……' if len(wrong) > 5 else ''}。多半是单位不同，请换算",
            f"layer {layer}: column {rule.column} must be within {least:g}–{most:g} {rule.unit}, found "
            f"{'; '.join(wrong[:5])}{' …' if len(wrong) > 5 else ''}; the unit is probably another: convert it",
            layer=layer,
            column=rule.column,
            range=[least, most],
            unit=rule.unit,
        )
    return values, refused


def _checked_codes(table: pd.DataFrame, rules: CapacityRules, land: LandAreas | None, layer: str) -> list[str]:
    column = rules.table.columns.code.column
    if column not in table.columns:
        raise QualityViolation(
            f"图层 {layer} 没有单元代码列 {column}；列名在规则文件 table.columns 中指定",
            f"layer {layer} has no column {column} of unit codes; name it in table.columns of the rule file",
            layer=layer,
            column=column,
        )
    if not len(table):
        raise LayerEmpty(f"图层 {layer} 没有一行，无法评价承载规模", f"layer {layer} has no rows", layer=layer)
    codes = _texts(table, rules.table.columns.code)
    if any(code is None or not code for code in codes):
        raise QualityViolation(
            f"图层 {layer} 有 {sum(not code for code in codes)} 行缺单元代码，请补上",
            f"layer {layer}: {sum(not code for code in codes)} rows have no unit code; supply them",
            layer=layer,
            column=column,
        )
    found = [str(code) for code in codes]
    twice = sorted({code for code in found if found.count(code) > 1})
    if twice:
        raise QualityViolation(
            f"图层 {layer} 中单元代码重复：{'、'.join(twice[:5])}，面积会重复计算，请去重",
            f"layer {layer}: unit codes occur twice: {', '.join(twice[:5])}; sums would count them twice",
            layer=layer,
            codes=twice,
        )
    if land is not None and not set(found) & set(land.codes):
        raise QualityViolation(
            f"图层 {layer} 的单元代码（如 {found[0]}）与单元图层的代码（如 {land.codes[:1]}）没有一个相同，请核对代码",
            f"layer {layer}: no unit code (such as {found[0]}) is a code of the unit layer (such as {land.codes[:1]})",
            layer=layer,
        )
    return found


def _parent_codes(codes: Sequence[str], names: Sequence[str | None]) -> list[str]:
    """Prefecture code of each unit where the table gives only names: the common first four digits and 00.

    Province-administered counties (省直管县市; third and fourth digit 90, GB/T 2260) are themselves.
    """
    groups: dict[str, list[str]] = {}
    for code, name in zip(codes, names, strict=True):
        groups.setdefault(name or code, []).append(code)
    keys = {}
    for name, members in groups.items():
        stems = {code[:4] for code in members}
        stem = stems.pop() if len(stems) == 1 else ""
        alone = len(members) == 1 and (name == members[0] or stem[2:] == "90")
        keys[name] = members[0] if alone else f"{stem}00" if stem else name
    return [keys[name or code] for code, name in zip(codes, names, strict=True)]


def _check_shares(row: Mapping[str, float | None], code: str, rules: CapacityRules, layer: str) -> None:
    agri, urban, eco = row["k_agri"], row["k_urban"], row["k_eco"]
    if agri is None or urban is None:
        return
    total = agri + urban + (eco or 0.0)
    if total > 1 + rules.shares.tolerance:
        raise QualityViolation(
            f"图层 {layer} 单元 {code}：k_agri + k_urban + k_eco = {total:g}，大于 1，请改正用水比例",
            f"layer {layer}, unit {code}: k_agri + k_urban + k_eco = {total:g} exceeds 1; correct the shares",
            layer=layer,
            unit=code,
            total=total,
        )


def _product(*factors: float | None) -> float | None:
    result = 1.0
    for factor in factors:
        if factor is None:
            return None
        result *= factor
    return result


def _scenario_quota(row: Mapping[str, float | None], scenario: Scenario, rules: CapacityRules) -> float | None:
    """Composite quota under a scenario: q · f_q · η / min(η · f_η, η_max); a net quota is divided by the efficiency."""
    quota, efficiency = row["irrigation_quota"], row["efficiency"]
    if quota is None:
        return None
    quota *= scenario.irrigation_quota
    if efficiency is None:  # a quota without efficiency can neither be made gross nor improved by a known cap
        return None if rules.irrigation.quota_basis == "net" else quota / scenario.efficiency
    better = max(efficiency, min(efficiency * scenario.efficiency, rules.scenarios.efficiency_max))
    return quota / better if rules.irrigation.quota_basis == "net" else quota * efficiency / better


def read_units(
    table: pd.DataFrame,
    rules: CapacityRules,
    *,
    land: LandAreas | None = None,
    scenario: str | None = None,
    layer: str = "county-capacity",
) -> list[Unit]:
    """Units of the table, checked, under one scenario.

    Parameters
    ----------
    table : DataFrame or GeoDataFrame
        One row a unit; columns as ``table.columns`` of the rule file names them.
    rules : CapacityRules
    land : LandAreas, optional
        Without it no land constraint is assessed. Units of it that the table lacks come without water.
    scenario : str, optional
        Id in ``scenarios.items``; default: the first, the present.
    layer : str
        Id of the table's layer, for messages.

    Returns
    -------
    list of Unit, by code

    Raises
    ------
    QualityViolation
        Column out of its plausible range (wrong unit), shares above one, code twice or missing, no code in common with
        the land areas, present cropland larger than the unit.
    LayerEmpty
        If the table has no rows.
    InvalidParameter
        If the scenario does not exist.
    """
    items = rules.scenarios.items
    name_of_scenario = scenario or next(iter(items))
    if name_of_scenario not in items:
        raise InvalidParameter(
            f"没有情景 {name_of_scenario!r}，可用：{'、'.join(items)}",
            f"no scenario {name_of_scenario!r}; use one of {', '.join(items)}",
            parameter="scenario",
            allowed=list(items),
        )
    codes = _checked_codes(table, rules, land, layer)
    columns = rules.table.columns
    names = _texts(table, columns.name)
    parents = _texts(table, columns.prefecture)
    parent_codes = _texts(table, columns.prefecture_code)
    found_parents = _parent_codes(codes, parents)
    numbers: dict[str, list[float | None]] = {}
    refused: dict[str, dict[str, str]] = {}
    for role, rule in columns.numbers().items():
        numbers[role], refused[role] = _numbers(table, rule, codes, layer)
    units = []
    for k, code in enumerate(codes):
        row = {role: values[k] for role, values in numbers.items()}
        _check_shares(row, code, rules, layer)
        notes = [
            Text(
                zh=f"{columns.numbers()[role].column} = {bad[code]}，不是有效值，相应约束未评价",
                en=f"{columns.numbers()[role].column} = {bad[code]} is no valid value: its constraint is not assessed",
            )
            for role, bad in refused.items()
            if code in bad
        ]
        name = names[k] or code
        parent_name = parents[k]
        if parent_name is None:
            notes.append(Text(zh="没有市州，单独成组", en="no prefecture given: it stands alone"))
        parent = (parent_codes[k] or found_parents[k], parent_name or name)
        areas, land_notes = _land(code, land, rules)
        unit = _unit(code, name, parent, row, items[name_of_scenario], rules, areas, [*notes, *land_notes])
        _check_size(unit, None if land is None else land.whole_km2.get(code), layer)
        units.append(unit)
    units += _units_without_table(units, codes, land, rules)
    return sorted(units, key=lambda unit: unit.code)


def _unit(
    code: str,
    name: str,
    parent: tuple[str, str],
    row: Mapping[str, float | None],
    scenario: Scenario,
    rules: CapacityRules,
    areas: Mapping[str, float | None],
    notes: Iterable[Text],
) -> Unit:
    quota = _scenario_quota(row, scenario, rules)
    water = _product(row["water_per_person"], scenario.water_per_person)
    space = _product(row["land_per_person"], scenario.land_per_person)
    cropland, share = row["cropland"], row["rainfed_share"]
    irrigated = _product(cropland, None if share is None else 1 - share)
    sums = {
        **{name: row[name] for name in SUMS if name in row},
        "water_agri": _product(row["water_total"], row["k_agri"]),
        "water_urban": _product(row["water_total"], row["k_urban"]),
        "rainfed": _product(cropland, share),
        "irrigated": irrigated,
        "irrigation_demand": _product(irrigated, quota, MU_PER_KM2),
        "water_demand": _product(row["urban_population"], water),
        "land_demand": _product(row["urban_population"], space),
        "degraded": _product(row["ecosystem_degraded_share"], areas.get("unit")),
        "unit_km2": areas.get("unit"),
    }
    return Unit(
        code=code,
        name=name,
        level="county",
        parent=parent,
        members=(code,),
        sums=sums,
        quota=quota,
        water_per_person=water,
        land_per_person=space,
        k_eco=row["k_eco"],
        pollutant_ratio=row["pollutant_ratio"],
        land=areas,
        notes=tuple(notes),
    )


def _land(code: str, land: LandAreas | None, rules: CapacityRules) -> tuple[dict[str, float | None], list[Text]]:
    """Land of one unit, km² by column; empty with a note where it cannot be assessed."""
    if land is None:
        return {}, [Text(zh="没有土地面积，土地约束未评价", en="no land areas: the land constraint is not assessed")]
    if code not in land.codes:
        return {}, [
            Text(
                zh="单元图层没有这个代码，土地约束未评价",
                en="the unit layer lacks this code: the land constraint is not assessed",
            )
        ]
    areas = {column: land.km2(code, column) for column in LAND_COLUMNS}
    covered, whole = areas["unit"], land.whole_km2.get(code)
    if not covered:
        return {}, [
            Text(zh="单元没有面积，土地约束未评价", en="the unit has no area: the land constraint is not assessed")
        ]
    if code in land.cut or (whole is not None and covered < rules.land_exclusions.coverage_minimum * whole):
        share = "" if whole is None else f" {100 * covered / whole:.1f} %"
        return {"unit": covered}, [
            Text(
                zh=f"范围只含单元的一部分{share}，土地约束未评价",
                en=f"the extent holds only a part of the unit{share}: the land constraint is not assessed",
            )
        ]
    if whole is not None and abs(covered - whole) > rules.land_exclusions.raster_flag_share * whole:
        share = f"{100 * (covered / whole - 1):+.1f} %"
        return areas, [
            Text(
                zh=f"栅格面积与单元面积相差 {share}（像元相对单元偏大）",
                en=f"the area on the grid differs from the unit's by {share} (large cells for this unit)",
            )
        ]
    return areas, []


def _check_size(unit: Unit, size: float | None, layer: str) -> None:
    for name, value in (("cropland", unit.sums["cropland"]), ("built_up", unit.sums["built_up"])):
        # The whole unit counts, not the part of it that a window holds.
        if size is not None and value is not None and value > size:
            raise QualityViolation(
                f"图层 {layer} 单元 {unit.code} 的现状 {name} {value:g} km² 大于单元面积 {size:.2f} km²，"
                "单位应为 km²（不是公顷或亩）",
                f"layer {layer}, unit {unit.code}: present {name} {value:g} km² exceeds the unit's {size:.2f} km²; "
                "the column must be in km² (not hm² or 亩)",
                layer=layer,
                unit=unit.code,
            )


def _units_without_table(
    units: Sequence[Unit], codes: Sequence[str], land: LandAreas | None, rules: CapacityRules
) -> list[Unit]:
    """Units of the land areas that the table lacks, so that no sum leaves them out unsaid."""
    found = []
    # Not for province-administered units, whose first four digits are no prefecture.
    parents = {unit.code[:4]: unit.parent for unit in units if unit.parent[0] == f"{unit.code[:4]}00"}
    none: dict[str, float | None] = dict.fromkeys(rules.table.columns.numbers())
    first = next(iter(rules.scenarios.items.values()))
    for code in land.codes if land is not None else ():
        if code in codes:
            continue
        areas, notes = _land(code, land, rules)
        note = Text(zh="用水用地表没有这个单元，水约束未评价", en="the table lacks this unit: water is not assessed")
        found.append(_unit(code, code, parents.get(code[:4], (code, code)), none, first, rules, areas, [note, *notes]))
    return found


def merge_units(units: Sequence[Unit], level: str, *, whole: tuple[str, str] | None = None) -> list[Unit]:
    """Units of the next level: sums of water, areas and people; ratios derived again from the sums.

    Formula: q = Σ q_i·I_i / Σ I_i with the irrigated cropland I; w_pc = Σ w_i·P_i / Σ P_i and a_pc = Σ a_i·P_i / Σ P_i with
    the urban population P. A sum is None if one member has no value, with a note that names it.

    Parameters
    ----------
    units : sequence of Unit
        Counties.
    level : str
        Name of the new level.
    whole : (code, name), optional
        All units become this one; default: by their prefecture.

    Examples
    --------
    See `analyses.capacity_result.capacity_rows`.
    """
    groups: dict[tuple[str, str], list[Unit]] = {}
    for unit in sorted(units, key=lambda u: u.code):
        groups.setdefault(whole or unit.parent, []).append(unit)
    return [_merge(code, name, level, members) for (code, name), members in groups.items()]


def _merge(code: str, name: str, level: str, members: Sequence[Unit]) -> Unit:
    gaps: dict[str, list[str]] = {}

    def total(values: Iterable[float | None], of: str) -> float | None:
        taken = list(values)
        lacking = [unit.name for unit, value in zip(members, taken, strict=True) if value is None]
        if lacking:
            if len(lacking) < len(members):
                gaps[of] = lacking
            return None
        return math.fsum(value for value in taken if value is not None)

    sums = {key: total((unit.sums[key] for unit in members), key) for key in SUMS}
    columns = sorted({column for unit in members for column in unit.land})
    land = {column: total((unit.land.get(column) for unit in members), column) for column in columns}

    def ratio(top: str, bottom: str) -> float | None:
        above, below = sums[top], sums[bottom]
        return above / below if above is not None and below else None

    per_mu = ratio("irrigation_demand", "irrigated")
    # A single member keeps its own ratios: they need no weights.
    alone = members[0] if len(members) == 1 else None
    alike: dict[tuple[str, ...], list[str]] = {}
    for key, lacking in gaps.items():
        known = key if key in SUMS and key != "unit_km2" else "land_areas"
        names = alike.setdefault(tuple(lacking), [])
        if known not in names:
            names.append(known)
    notes = [
        Text(
            zh=f"{_listed(lacking, '、')}（{len(lacking)} 个单元）缺 {'、'.join(names)}，合计未评价",
            en=f"{_listed(lacking, ', ')} ({len(lacking)} units) lack {', '.join(names)}: the sums are not assessed",
        )
        for lacking, names in alike.items()
    ]
    return Unit(
        code=code,
        name=name,
        level=level,
        parent=(code, name),
        members=tuple(unit.code for unit in members),
        sums=sums,
        quota=alone.quota if alone else None if per_mu is None else per_mu / MU_PER_KM2,
        water_per_person=alone.water_per_person if alone else ratio("water_demand", "urban_population"),
        land_per_person=(alone.land_per_person if alone else ratio("land_demand", "urban_population")),
        k_eco=alone.k_eco if alone else None,
        pollutant_ratio=alone.pollutant_ratio if alone else None,
        land=land,
        notes=tuple(notes) if not alone else (*alone.notes, *notes),
    )


def _listed(names: Sequence[str], comma: str) -> str:
    return comma.join(names[:5]) + (" …" if len(names) > 5 else "")
