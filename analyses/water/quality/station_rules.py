"""Rules of the class of surface water and of station checks (``layers/rules/surface_water_class.yml``), checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from analyses.rules import Range, Sourced, read_rules
from analyses.water.quality.rules import RuleFile, RuleRow
from spatial.catalog import Text

__all__ = [
    "ChecksRule",
    "DrinkingRule",
    "Indicator",
    "IndicatorsRule",
    "InfluenceRule",
    "PeriodRule",
    "SurfaceWaterRules",
    "UnitsRule",
    "surface_water_rules",
]


class Indicator(RuleRow):
    """One item of GB 3838 with the limits of classes I–V."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    title: Text
    unit: str
    kind: Literal["at_most", "at_least", "range"] = "at_most"
    limits: tuple[float, ...] = ()
    lake_limits: tuple[float, ...] = ()
    assessed: bool = True
    saturation_percent_class_1: float | None = None
    plausible: Range

    @model_validator(mode="after")
    def _limits_in_order(self) -> Self:
        for name, limits in (("limits", self.limits), ("lake_limits", self.lake_limits)):
            if not limits:
                continue
            if self.kind == "range":
                if len(limits) != 2 or limits[0] >= limits[1]:
                    raise ValueError(f"{self.id}.{name}: a range has a lower and an upper end")
            elif len(limits) != 5:
                raise ValueError(f"{self.id}.{name}: five limits, one a class")
            elif list(limits) != sorted(limits, reverse=self.kind == "at_least"):
                raise ValueError(f"{self.id}.{name}: limits must get easier from class to class")
        if self.assessed and not self.limits:
            raise ValueError(f"{self.id} is assessed but has no limits")
        return self

    def limits_of(self, *, lake: bool) -> tuple[float, ...]:
        """Limits that hold in a lake or in a river."""
        return self.lake_limits if lake and self.lake_limits else self.limits


class IndicatorsRule(Sourced):
    """The items of GB 3838."""

    list: tuple[Indicator, ...] = Field(min_length=1)

    @cached_property
    def by_id(self) -> dict[str, Indicator]:
        """Item by id."""
        return {row.id: row for row in self.list}


class UnitsRule(Sourced):
    """Factors from a unit to the one of the limits."""

    factors: dict[str, dict[str, float]]
    as_ion: dict[str, dict[str, float]]


class DrinkingRule(Sourced):
    """Supplementary items of drinking-water sources, mg/L."""

    worst_class: int
    limits: dict[str, float]


class PeriodRule(Sourced):
    """When a year can be assessed."""

    least_months_of_year: int = Field(ge=1, le=12)


class InfluenceRule(Sourced):
    """How far outfalls act, and how far a section speaks for a source."""

    downstream_km: float = Field(gt=0)
    section_km: float = Field(gt=0)


class ChecksRule(Sourced):
    """Checks of station data."""

    hampel_half_window: int = Field(ge=1)
    hampel_sigmas: float = Field(gt=0)
    spike_ratio: float = Field(gt=1)
    flatline_length: int = Field(ge=2)
    gap_ratio: float = Field(gt=1)
    half_detection_limit: bool
    exempt_from_flatline: tuple[str, ...] = ()
    exempt_from_spikes: tuple[str, ...] = ()


class SurfaceWaterRules(RuleFile):
    """All rules of the class of surface water."""

    id: Literal["surface-water-class"]
    indicators: IndicatorsRule
    units: UnitsRule
    drinking_water: DrinkingRule
    period: PeriodRule
    influence: InfluenceRule
    checks: ChecksRule


def surface_water_rules(rules: Mapping[str, Any]) -> SurfaceWaterRules:
    """Rules of the class of surface water out of all rule files (`LayerDefinitionInvalid` if missing or broken)."""
    return read_rules(rules, "surface_water_class", SurfaceWaterRules)
