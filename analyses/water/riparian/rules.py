"""The rule file of riparian belts and wetlands, checked when it is read (``layers/rules/riparian_wetland.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Sourced, read_rules
from spatial.catalog import Text

__all__ = [
    "BeltRule",
    "ChangeRule",
    "KindRule",
    "LandscapeRule",
    "MatchRule",
    "ObservationRule",
    "RiparianRules",
    "VegetationRule",
    "riparian_rules",
]


class BeltRule(Sourced):
    """Belts (滨岸带) and reaches (岸段)."""

    edges_m: tuple[float, ...] = Field(min_length=1)
    reach_m: float = Field(gt=0)
    spacing_m: float = Field(gt=0)
    least_shore_m: float = Field(ge=0)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.edges_m[0] <= 0 or any(b <= a for a, b in zip(self.edges_m, self.edges_m[1:], strict=False)):
            raise ValueError("edges_m must be positive and rise")
        return self


class VegetationRule(Sourced):
    """Vegetation index, vegetated share, trend by cell."""

    vegetated_ndvi: float = Field(gt=-1, lt=1)
    wet_mndwi: float = Field(gt=-1, lt=1)
    evi: tuple[float, float, float, float]
    evi_range: tuple[float, float]
    least_clear_share: float = Field(gt=0, le=1)
    fdr: float = Field(gt=0, lt=1)
    least_years: int = Field(ge=3)
    least_looks: int = Field(ge=4)


class MatchRule(Sourced):
    """Which scenes of two periods may be compared."""

    window_days: float = Field(gt=0, le=180)
    level_m: float = Field(gt=0)
    level_days: float = Field(gt=0, le=183)
    least_pairs: int = Field(ge=1)
    least_looks: int = Field(ge=1)
    least_clear_share: float = Field(gt=0, le=1)
    least_common_share: float = Field(gt=0, le=1)


class KindRule(Sourced):
    """What makes a cell open water, plants or mudflat."""

    open_share: float = Field(gt=0, le=1)
    wet_share: float = Field(gt=0, le=1)
    plant_ndvi: float = Field(gt=-1, lt=1)
    margin_m: float = Field(ge=0)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.wet_share >= self.open_share:
            raise ValueError("wet_share must lie below open_share")
        return self


class ChangeRule(Sourced):
    """Patches of loss and gain, and when an area is stable."""

    least_area_m2: float = Field(ge=0)
    opening_cells: int = Field(ge=0, le=5)
    tolerance: float = Field(ge=0, lt=1)
    steady: float = Field(ge=0, lt=1)


class LandscapeRule(Sourced):
    """Measures of the pattern."""

    least_patch_m2: float = Field(ge=0)
    connect_m: float = Field(gt=0)


class ObservationRule(Sourced):
    """How far places of species are generalised."""

    grid_degrees: float = Field(gt=0)
    other_degrees: float = Field(gt=0)
    grades: tuple[str, ...]


class RiparianRules(BaseModel):
    """All rules of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    belts: BeltRule
    vegetation: VegetationRule
    matching: MatchRule
    kinds: KindRule
    change: ChangeRule
    landscape: LandscapeRule
    observations: ObservationRule


def riparian_rules(rules: Mapping[str, Any]) -> RiparianRules:
    """Rules of riparian belts and wetlands out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rules(rules, "riparian_wetland", RiparianRules)
