"""The rule file of water frequency and water bodies, checked when it is read (``layers/rules/water_bodies.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Sourced, read_rules
from spatial.catalog import Text

__all__ = [
    "RULE_FILE",
    "BodiesRule",
    "EventsRule",
    "KindsRule",
    "LakeCardRule",
    "LineageRule",
    "LossRule",
    "ObservationRule",
    "SeasonalityRule",
    "SeriesRule",
    "TransitionRule",
    "WaterBodyRules",
    "water_body_rules",
]

RULE_FILE = "water_bodies"


class ObservationRule(Sourced):
    """Which scenes are of one day."""

    day_zone: str


class TransitionRule(Sourced):
    """When a month is wet and a year is assessed."""

    month_wet_share: float = Field(gt=0, le=1)
    least_valid_months: int = Field(ge=1, le=12)


class SeasonalityRule(Sourced):
    """When a calendar month counts as one with water."""

    month_wet_share: float = Field(gt=0, le=1)


class BodiesRule(Sourced):
    """Hybrid thresholds of a body."""

    location_share: float = Field(gt=0, le=1)
    extent_share: float = Field(gt=0, le=1)
    least_area_m2: float = Field(ge=0)
    least_clear: float = Field(ge=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.extent_share > self.location_share:
            raise ValueError("extent_share must not exceed location_share")
        return self


class KindsRule(Sourced):
    """What tells rivers, lakes, ponds and paddies apart."""

    river_length_m: float = Field(gt=0)
    river_elongation: float = Field(gt=1)
    split_half_width_m: float = Field(gt=0)
    split_least_m2: float = Field(ge=0)
    split_cells: int = Field(ge=1)
    arm_share: float = Field(ge=0, le=1)
    arm_reach: float = Field(ge=0)
    lake_list_share: float = Field(gt=0, le=1)
    paddy_months: float = Field(ge=0, le=12)
    paddy_permanent_share: float = Field(ge=0, le=1)
    pond_area_m2: float = Field(ge=0)
    pond_compactness: float = Field(ge=0, le=1)
    permanent_share: float = Field(gt=0, le=1)


class LineageRule(Sourced):
    """When two bodies of two dates are related."""

    overlap_share: float = Field(gt=0, le=1)
    geohash_length: int = Field(ge=4, le=12)


class SeriesRule(Sourced):
    """Observed and filled values of a series."""

    observed_share: float = Field(gt=0, le=1)
    least_seen_share: float = Field(ge=0, lt=1)
    ring_cells: int = Field(ge=0, le=64)
    ring_wet: int = Field(ge=1)
    bins: int = Field(ge=2, le=200)
    cells: int = Field(ge=1, le=256)
    references: int = Field(ge=1)
    least_references: int = Field(ge=2)
    nearest: int = Field(ge=1)
    voice: float = Field(gt=0, le=1)
    pull_cells: float = Field(gt=0)
    level: float = Field(gt=0.5, lt=1)
    partial_share: float = Field(ge=0, le=1)


class GaugeRule(Sourced):
    """Which readings of a gauge count for a scene."""

    within_hours: float = Field(gt=0)
    spike_m: float = Field(gt=0)
    spike_steps: float = Field(gt=0)


class LossRule(Sourced):
    """When water that is due at a level is missing for good, or land that is due is water for good."""

    least_area_m2: float = Field(ge=0)
    confirmations: int = Field(ge=1)
    least_days: int = Field(ge=0)
    warm_up: int = Field(ge=1)
    steady: int = Field(ge=1)
    wet_before: int = Field(ge=1, le=3)
    level_margin: float = Field(ge=0, lt=1)
    steady_margin: float = Field(ge=0, lt=1)
    gauge_margin_m: float = Field(ge=0)
    opening_cells: int = Field(ge=0)
    join_m: float = Field(ge=0)
    dry_at_level: int = Field(ge=1, le=2)


class EventsRule(Sourced):
    """When a body is new, lost or shrunk."""

    lost_share: float = Field(gt=0, lt=1)
    shrunk_share: float = Field(gt=0, le=1)
    new_share: float = Field(gt=0, le=1)
    new_days: int = Field(ge=0)
    confirmations: int = Field(ge=1)
    least_history: int = Field(ge=1)
    season_days: int = Field(ge=1, le=183)


class LakeCardRule(Sourced):
    """Points and tolerances of the yearly card."""

    area_tolerance: float = Field(ge=0, lt=1)
    least_share: float = Field(ge=0, le=1)
    least_seen: float = Field(gt=0, le=1)
    level_tolerance_m: float = Field(ge=0)
    level_reach_m: float = Field(gt=0)
    shore_reach_m: float = Field(ge=0)
    shore_assessed: float = Field(ge=0, le=1)
    shrinkage_points: tuple[tuple[float, float], ...] = Field(min_length=2)
    natural_shore_points: tuple[tuple[float, float], ...] = Field(min_length=2)


class WaterBodyRules(BaseModel):
    """All rules of water frequency and water bodies."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    observation: ObservationRule
    transitions: TransitionRule
    seasonality: SeasonalityRule
    bodies: BodiesRule
    kinds: KindsRule
    lineage: LineageRule
    series: SeriesRule
    gauge: GaugeRule
    loss: LossRule
    gain: LossRule
    events: EventsRule
    lake_card: LakeCardRule


def water_body_rules(rules: Mapping[str, Any]) -> WaterBodyRules:
    """Rules of water bodies out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rules(rules, RULE_FILE, WaterBodyRules)
