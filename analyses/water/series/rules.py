"""Rules of change in series (``layers/rules/change_alerts.yml``), checked when they are read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from analyses.rules import Sourced, read_rules
from spatial.catalog import Text

__all__ = [
    "ChangeRules",
    "ConfirmationRule",
    "CorridorRule",
    "CusumRule",
    "PettittRule",
    "SeasonRule",
    "TrendRule",
    "change_rules",
]


class TrendRule(Sourced):
    """Tests of a trend."""

    alpha: float = Field(gt=0, lt=0.5)
    least_observations: int = Field(ge=4)
    least_seasons: int = Field(ge=2)


class CusumRule(Sourced):
    """Page's CUSUM."""

    slack: float = Field(ge=0)
    decision: float = Field(gt=0)
    reference_share: float = Field(gt=0, lt=1)
    least_reference: int = Field(ge=3)
    season_from_years: float = Field(gt=1)
    estimated_decision: float = Field(gt=0)


class PettittRule(Sourced):
    """Pettitt's test."""

    alpha: float = Field(gt=0, lt=0.5)


class ConfirmationRule(Sourced):
    """When an alert is confirmed."""

    observations: int = Field(ge=1)
    longest_gap_days: float = Field(gt=0)


class SeasonRule(Sourced):
    """What counts as the same season."""

    window_days: float = Field(gt=0, lt=183)


class CorridorRule(Sourced):
    """The corridor along a river."""

    width_m: float = Field(gt=0)
    reach_within_m: float = Field(gt=0)


class ChangeRules(BaseModel):
    """All rules of change in series."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    id: Literal["change-alerts"]
    trend: TrendRule
    cusum: CusumRule
    pettitt: PettittRule
    confirmation: ConfirmationRule
    season: SeasonRule
    corridor: CorridorRule


def change_rules(rules: Mapping[str, Any]) -> ChangeRules:
    """Rules of change in series out of all rule files (`LayerDefinitionInvalid` if missing or broken)."""
    return read_rules(rules, "change_alerts", ChangeRules)
