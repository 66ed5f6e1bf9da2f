"""Agricultural suitability (农业生产适宜性, 种植业): its factors in order, the chain of the 2019 guide, the 2020 knock-outs."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.chain import Chain, Station, correction, matrix, start, steps, stop
from analyses.grading import CLASS_VALUES
from analyses.stations import FactorSpec, chain_of, knock_outs, require_factors
from spatial.catalog import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.rules import AgriculturalRules, Sourced

__all__ = [
    "ID",
    "WaterIndicator",
    "agricultural_chain",
    "agricultural_factors",
    "agricultural_knock_outs",
    "unirrigated_precipitation",
]

ID = "agricultural-suitability"

WaterIndicator = Literal["precipitation", "dryness", "water-quota"]
"""The three indicators of water (水资源) that the guide offers; one is chosen."""

_HEAD = ("water-surface", "slope", "silt")
_TAIL = ("accumulated-temperature", "soil-environment", "salinity", "meteorological-hazard", "patch")


def agricultural_factors(rules: AgriculturalRules) -> tuple[FactorSpec, ...]:
    """Every factor of the assessment in the order of the chain; all three water indicators are listed."""
    return (
        FactorSpec("water-surface", rules.water_surface, ("lakes", "rivers")),
        FactorSpec("slope", rules.slope, ("dem",)),
        FactorSpec("silt", rules.silt, ("soil",)),
        FactorSpec("precipitation", rules.precipitation, ("rain",)),
        FactorSpec("dryness", rules.dryness, ("rain", "temperature", "dem")),
        FactorSpec("water-quota", rules.water_quota, ("counties", "quota")),
        FactorSpec("accumulated-temperature", rules.accumulated_temperature, ("temperature", "dem")),
        FactorSpec("soil-environment", rules.soil_environment, ("soil-quality", "landcover")),
        FactorSpec("salinity", rules.salinity, ("rain", "temperature", "groundwater", "soil")),
        FactorSpec("meteorological-hazard", rules.meteorological_hazard, ("meteorological-hazards",)),
        FactorSpec("patch", rules.patch, ("dem",)),
    )


def agricultural_chain(
    rules: AgriculturalRules,
    available: Collection[str],
    *,
    water: WaterIndicator = "precipitation",
    passed_over: Collection[str] = (),
) -> Chain:
    """The chain of the 2019 guide from the factors that there are.

    Order (each from the grade before, 1–5): water surface → 5 and end; slope; silt; matrix land × water; matrix
    base × climate; soil environment 5 → 5, 3 → +1; salinity high → +1; hazard high and grade 1 → 2; patch ±1.

    Parameters
    ----------
    rules : AgriculturalRules
    available : collection of str
        Factor ids. A factor that is not among them has no station and is to be listed as not assessed.
    water : "precipitation", "dryness" or "water-quota"
        Indicator of water; the other two take no part.
    passed_over : collection of str
        Factors whose station is passed over in cells where they have no value; in all other cells without a value the cell is
        not assessed.

    Raises
    ------
    InvalidParameter
        If slope, the water indicator or accumulated temperature is missing: the matrices cannot be read without them.

    Source: 双评价技术指南 (2019-07), 农业生产适宜性集成评价; the tables carry their own sources.
    """
    require_factors(ID, ("slope", water, "accumulated-temperature"), available)
    made: dict[str, Station] = {}

    def add(factor: str, make: Any, *tables: Any, about: Sourced) -> None:
        if factor in available:
            made[factor] = make(factor, factor, *tables, about=about, required=factor not in passed_over)

    if "water-surface" in available:
        made["water-surface"] = stop("water-surface", "water-surface", rules.water_surface, rules.water_surface.set)
    add("slope", start, rules.slope, about=rules.slope)
    add("silt", steps, rules.silt, about=rules.silt)
    table = {"precipitation": rules.precipitation, "dryness": rules.dryness, "water-quota": rules.water_quota}[water]
    add(water, matrix, table, rules.matrix_water, about=table)
    climate = rules.accumulated_temperature
    add("accumulated-temperature", matrix, climate, rules.matrix_climate, about=climate)
    soil, hazard, patch = rules.soil_environment, rules.meteorological_hazard, rules.patch
    add("soil-environment", correction, CLASS_VALUES, soil.corrections, about=soil)
    add("salinity", steps, rules.salinity, about=rules.salinity)
    add("meteorological-hazard", correction, CLASS_VALUES, hazard.corrections, about=hazard)
    add("patch", correction, CLASS_VALUES, patch.corrections, about=patch)
    order = (*_HEAD, water, *_TAIL)
    return chain_of(ID, rules.title, [made[f] for f in order if f in made], rules.classes.grades)


def agricultural_knock_outs(rules: AgriculturalRules, available: Collection[str]) -> Chain | None:
    """The knock-outs (不适宜) of the 2020 guide as a chain: grade 5 where one holds, 0 elsewhere; None without a factor.

    The profile of 2020 is then: mask out 极重要, these, and the rest by `agricultural_chain`.

    Source: 双评价指南（试行）(2020-01), 种植业不适宜区.
    """
    title = Text(zh=f"{rules.title.zh}：{rules.knockouts.title.zh}", en=f"{rules.title.en}: {rules.knockouts.title.en}")
    return knock_outs(f"{ID}-2020", title, rules.knockouts, available, rules.classes.grades)


def unirrigated_precipitation(precipitation: NDArray[Any], irrigated: NDArray[Any] | None) -> NDArray[np.float32]:
    """Annual precipitation for the knock-out «below 200 mm and no irrigation»: no value where there is irrigation.

    Parameters
    ----------
    precipitation : float, mm a year
    irrigated : bool or uint8, or None
        1 where the land is irrigated (水田, 水浇地); None: irrigation is not known, precipitation decides alone.

    Returns
    -------
    float32, mm; NaN (the knock-out is passed over) where irrigated

    Examples
    --------
    >>> unirrigated_precipitation(np.array([150.0, 150.0]), np.array([0, 1])).tolist()
    [150.0, nan]
    """
    values = np.asarray(precipitation, dtype=np.float32)
    if irrigated is None:
        return values
    return np.where(np.asarray(irrigated) == 1, np.float32(np.nan), values)
