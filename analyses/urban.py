"""Urban construction suitability (城镇建设适宜性): its factors in order, the chain of the 2019 guide, the 2020 knock-outs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.chain import Chain, Station, correction, matrix, start, steps, stop
from analyses.grading import CLASS_VALUES, WORST
from analyses.rules import Range
from analyses.stations import FactorSpec, chain_of, knock_outs, require_factors
from spatial.catalog import Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.rules import Sourced, UrbanRules, WaterEnvironmentRule

__all__ = [
    "ID",
    "UrbanWater",
    "urban_chain",
    "urban_factors",
    "urban_knock_outs",
    "water_environment_capacity",
    "water_environment_grades",
    "water_modulus",
]

ID = "urban-suitability"

UrbanWater = Literal["water", "water-quota"]
"""``water``: 水资源总量模数 (province); ``water-quota``: 用水总量控制指标模数 (city, county)."""

_HEAD = ("water-surface", "slope", "elevation", "relief")
_TAIL = ("geohazard", "air", "water-environment", "comfort", "location", "patch")


def urban_factors(rules: UrbanRules) -> tuple[FactorSpec, ...]:
    """Every factor of the assessment in the order of the chain; both water indicators are listed."""
    return (
        FactorSpec("water-surface", rules.water_surface, ("lakes", "rivers")),
        FactorSpec("slope", rules.slope, ("dem",)),
        FactorSpec("elevation", rules.elevation, ("dem",)),
        FactorSpec("relief", rules.relief, ("dem",)),
        FactorSpec("water", rules.water, ("rain",)),
        FactorSpec("water-quota", rules.water_quota, ("counties", "quota")),
        FactorSpec("geohazard", rules.geohazard, ("geohazard",)),
        FactorSpec("air", rules.air, ("wind",)),
        FactorSpec("water-environment", rules.water_environment, ("counties", "water-quality")),
        FactorSpec("comfort", rules.comfort, ("temperature", "humidity", "dem")),
        FactorSpec("location", rules.location, ("roads", "seats")),
        FactorSpec("patch", rules.patch, ("dem",)),
    )


def urban_chain(
    rules: UrbanRules,
    available: Collection[str],
    *,
    water: UrbanWater = "water",
    location_row: Literal["province", "county"] = "province",
    passed_over: Collection[str] = (),
) -> Chain:
    """The chain of the 2019 guide from the factors that there are.

    Order (each from the grade before, 1–5): water surface → 5 and end; slope; elevation; relief; matrix land × water;
    hazard 极高 → 5, 高 +2, 较高 +1; air lowest +1; water environment lowest +1 (both: +2); comfort 1 → +1; location
    5 → +2, 4 → +1, 1 and grade 2–4 → −1; patch ±1.

    Parameters
    ----------
    rules : UrbanRules
    available : collection of str
        Factor ids. A factor that is not among them has no station and is to be listed as not assessed: it is neither the worst
        nor the best.
    water : "water" or "water-quota"
    location_row : "province" or "county"
    passed_over : collection of str
        Factors whose station is passed over in cells where they have no value; in all other cells without a value the cell is
        not assessed.

    Raises
    ------
    InvalidParameter
        If slope or the water indicator is missing: the matrix cannot be read without them.

    Source: 双评价技术指南 (2019-07), 城镇建设适宜性集成评价; the tables carry their own sources.
    """
    require_factors(ID, ("slope", water), available)
    made: dict[str, Station] = {}

    def add(factor: str, make: Any, *tables: Any, about: Sourced) -> None:
        if factor in available:
            made[factor] = make(factor, factor, *tables, about=about, required=factor not in passed_over)

    if "water-surface" in available:
        made["water-surface"] = stop("water-surface", "water-surface", rules.water_surface, rules.water_surface.set)
    add("slope", start, rules.slope, about=rules.slope)
    add("elevation", steps, rules.elevation, about=rules.elevation)
    add("relief", steps, rules.relief, about=rules.relief)
    table = rules.water if water == "water" else rules.water_quota
    add(water, matrix, table, rules.matrix, about=table)
    location = rules.location
    add("geohazard", correction, CLASS_VALUES, rules.geohazard.corrections, about=rules.geohazard)
    add("air", correction, CLASS_VALUES, rules.air.corrections, about=rules.air)
    environment = rules.water_environment
    add("water-environment", correction, CLASS_VALUES, environment.corrections, about=environment)
    add("comfort", steps, rules.comfort, about=rules.comfort)
    add("location", correction, location.rows[location_row], location.corrections, about=location)
    add("patch", correction, CLASS_VALUES, rules.patch.corrections, about=rules.patch)
    order = (*_HEAD, water, *_TAIL)
    return chain_of(ID, rules.title, [made[f] for f in order if f in made], rules.classes.grades)


def urban_knock_outs(rules: UrbanRules, available: Collection[str]) -> Chain | None:
    """The knock-outs (不适宜) of the 2020 guide as a chain: grade 5 where one holds, 0 elsewhere; None without a factor.

    ``flood-basin``, ``river-range``, ``mined-karst`` and ``landslide`` are masks (1 inside) of layers that the user supplies.

    Source: 双评价指南（试行）(2020-01), 城镇建设不适宜区, and additions for Hubei.
    """
    title = Text(zh=f"{rules.title.zh}：{rules.knockouts.title.zh}", en=f"{rules.title.en}: {rules.knockouts.title.en}")
    return knock_outs(f"{ID}-2020", title, rules.knockouts, available, rules.classes.grades)


def water_modulus(precipitation_mm: NDArray[Any], runoff_coefficient: float, rule: Sourced) -> NDArray[np.float32]:
    """Water resources modulus (水资源总量模数): precipitation × runoff coefficient × 10³ (1 mm on 1 km² is 10³ m³).

    Parameters
    ----------
    precipitation_mm : float, mm a year
    runoff_coefficient : float, no unit, 0–1
    rule : Sourced
        Its step rounds the result.

    Returns
    -------
    float32, m³/km²; NaN stays NaN
    """
    return rule.quantised(np.asarray(precipitation_mm, dtype=np.float64) * (runoff_coefficient * 1e3))


def water_environment_capacity(
    target_mg_l: NDArray[Any], surface_water_m3_km2: NDArray[Any], *, plausible: Range, layer: str = "water-quality"
) -> NDArray[np.float64]:
    """Water environment capacity (水环境容量): target concentration × surface water a km².

    Formula: 1 mg/L · 1 m³/km² = 1 g/km²; ÷ 10³ → kg/(km²·a).

    Parameters
    ----------
    target_mg_l : float, mg/L
        Annual target concentration (水功能区目标, for example COD 20 for Ⅲ 类, GB 3838-2002).
    surface_water_m3_km2 : float, m³/(km²·a)
    plausible : Range, mg/L

    Returns
    -------
    float64, kg/(km²·a)

    Examples
    --------
    >>> water_environment_capacity(np.array([20.0]), np.array([500_000.0]), plausible=Range(min=0, max=100)).tolist()
    [10000.0]
    """
    plausible.require(
        np.asarray(target_mg_l), what=Text(zh="目标浓度", en="target concentration"), unit="mg/L", layer=layer
    )
    return np.asarray(target_mg_l, dtype=np.float64) * np.asarray(surface_water_m3_km2, dtype=np.float64) / 1e3


def water_environment_grades(capacity: Mapping[str, float], rule: WaterEnvironmentRule) -> dict[str, int]:
    """Grade 1–5 of each unit by quantile of its capacity among all units; equal capacities have equal grades.

    Formula: s = (units with less + ½ units with as much) / units; grade 5 for s below the first quantile … 1 from the last
    on. If all are equal, all have grade 3.

    Parameters
    ----------
    capacity : mapping
        Unit → kg/(km²·a); units without a value are left out by the caller.

    Returns
    -------
    dict
        Unit → grade

    Raises
    ------
    InvalidParameter
        For fewer than five units: quintiles of them say nothing.

    Examples
    --------
    >>> from datetime import date
    >>> from analyses.rules import WaterEnvironmentRule
    >>> rule = WaterEnvironmentRule(title=Text(zh="水", en="w"), source="-", tag="own", valid_from=date(2019, 7, 1),
    ...     quantiles=(0.2, 0.4, 0.6, 0.8), target_plausible=Range(min=0, max=100), corrections=())
    >>> water_environment_grades({"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}, rule)
    {'a': 5, 'b': 4, 'c': 3, 'd': 2, 'e': 1}
    """
    if len(capacity) < WORST:
        raise InvalidParameter(
            f"水环境容量按分位数分级至少需要 {WORST} 个单元，得到 {len(capacity)}",
            f"grading by quantile needs {WORST} units at least, found {len(capacity)}",
            parameter="units",
            value=len(capacity),
        )
    values = np.array(list(capacity.values()), dtype=np.float64)
    ordered = np.sort(values)
    rank = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    # Whole numbers: 2 of 5 units is the quantile 0.4 and not 0.4000…1.
    edges = np.array([round(q * 1_000_000) * 2 * len(values) for q in rule.quantiles])
    passed = np.searchsorted(edges, rank * 1_000_000, side="right")
    return {unit: int(WORST - p) for unit, p in zip(capacity, passed, strict=True)}
