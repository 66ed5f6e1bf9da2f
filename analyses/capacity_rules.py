"""The rule file of carrying capacity and conflicts, checked when it is read (``layers/rules/carrying_capacity.yml``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.grading import Interval
from analyses.rules import Range, Sourced, read_rules
from spatial.catalog import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "LEVELS",
    "RULE_FILE",
    "CapacityRules",
    "Colour",
    "Level",
    "LevelRule",
    "Profile",
    "Scenario",
    "Trend",
    "UseGroup",
    "capacity_rules",
]

RULE_FILE = "carrying_capacity"

Colour = Literal["red", "orange", "yellow", "blue", "green"]
Level = Literal["overloaded", "critical", "within"]
Profile = Literal["2019", "2020"]
Trend = Literal["accelerating", "slowing"]
UseGroup = Literal["cropland", "orchard", "plantation", "forest", "shrub", "grass", "water", "wetland", "built", "bare"]
LEVELS: tuple[Level, ...] = ("overloaded", "critical", "within")
"""Worst first."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ColumnRule(_Model):
    """One column of the unit table: its name there, its unit and the range that proves the unit."""

    column: str = Field(min_length=1)
    unit: str | None = None
    plausible: Range | None = None


class Columns(_Model):
    """Role → column of the unit table (单元表). A delivery with other names changes the rule file, not the code."""

    code: ColumnRule
    name: ColumnRule
    prefecture: ColumnRule
    prefecture_code: ColumnRule
    water_total: ColumnRule
    k_agri: ColumnRule
    k_urban: ColumnRule
    k_eco: ColumnRule
    irrigation_quota: ColumnRule
    efficiency: ColumnRule
    water_per_person: ColumnRule
    land_per_person: ColumnRule
    population: ColumnRule
    urban_population: ColumnRule
    cropland: ColumnRule
    rainfed_share: ColumnRule
    built_up: ColumnRule
    cropland_before: ColumnRule
    built_up_before: ColumnRule
    water_use: ColumnRule
    water_use_before: ColumnRule
    pollutant_ratio: ColumnRule
    ecosystem_degraded_share: ColumnRule

    def numbers(self) -> dict[str, ColumnRule]:
        """Columns that hold numbers, by role."""
        texts = {"code", "name", "prefecture", "prefecture_code"}
        return {role: getattr(self, role) for role in type(self).model_fields if role not in texts}


class TableRule(Sourced):
    """The unit table."""

    columns: Columns


class IrrigationRule(Sourced):
    """Whether the quota already holds the losses of the canals."""

    quota_basis: Literal["gross", "net"]


class SharesRule(Sourced):
    """k_agri + k_urban ≤ 1 − k_eco."""

    tolerance: float = Field(ge=0, le=0.01)


class LandRule(Sourced):
    """Which land counts as able to carry (2019 edition)."""

    grade_max: int = Field(ge=1, le=5)
    soil_grade_max: int = Field(ge=1, le=5)
    elevation_below_m: float


class LandExclusionRule(Sourced):
    """Exclusions and flags that are this project's."""

    water_surface: bool
    permanent_farmland_2020: bool
    coverage_minimum: float = Field(gt=0, le=1)
    raster_flag_share: float = Field(ge=0, le=1)
    unassessed_flag_share: float = Field(ge=0, le=1)


class Scenario(_Model):
    """Factors of one scenario (情景); 1 leaves a parameter as it is."""

    title: Text
    efficiency: float = Field(1.0, gt=0)
    irrigation_quota: float = Field(1.0, gt=0)
    water_per_person: float = Field(1.0, gt=0)
    land_per_person: float = Field(1.0, gt=0)


class ScenarioRule(Sourced):
    """Scenarios by id; the first must leave everything as it is."""

    efficiency_max: float = Field(gt=0, le=1)
    items: dict[str, Scenario] = Field(min_length=1)

    @model_validator(mode="after")
    def _first_is_present(self) -> Self:
        first = next(iter(self.items.values()))
        if {first.efficiency, first.irrigation_quota, first.water_per_person, first.land_per_person} != {1.0}:
            raise ValueError("the first scenario is the present one: all its factors are 1")
        return self


def _complete(intervals: Sequence[Interval]) -> None:
    rows = sorted(intervals, key=lambda row: row.start)
    if rows[0].start != float("-inf") or rows[-1].stop != float("inf"):
        raise ValueError("the table must cover every value: leave the outer ends open")
    if any(left.stop != right.start for left, right in pairwise(rows)):
        raise ValueError("the table has a gap or an overlap")


class _LevelRow(Interval):
    level: Level


class LevelRule(Sourced):
    """Value of an indicator → 超载 / 临界超载 / 不超载."""

    intervals: tuple[_LevelRow, ...] = Field(min_length=3, max_length=3)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _complete(self.intervals)
        if [row.level for row in sorted(self.intervals, key=lambda row: -row.start)] != list(LEVELS):
            raise ValueError("levels must worsen with the value: within, critical, overloaded")
        return self

    def level(self, value: float) -> Level:
        """Level of a value (never NaN)."""
        return next(row.level for row in self.intervals if row.start <= value < row.stop)


class LevelRules(_Model):
    """The indicators of the warning levels."""

    land_pressure: LevelRule
    water_use: LevelRule
    pollutant: LevelRule
    ecosystem: LevelRule


class ColourRule(Sourced):
    """Level and trend → colour."""

    overloaded: dict[Trend, Colour]
    critical: dict[Trend, Colour]
    within: dict[Trend, Colour]
    hex: dict[Colour, str]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for level in LEVELS:
            if set(getattr(self, level)) != {"accelerating", "slowing"}:
                raise ValueError(f"{level} needs a colour for accelerating and for slowing")
        if len(self.hex) != 5:
            raise ValueError("every colour needs its hex value")
        return self

    def of(self, level: Level, trend: Trend | None) -> Colour | None:
        """Colour of a level; None if it depends on a trend that is not known."""
        colours: dict[Trend, Colour] = getattr(self, level)
        if trend is not None:
            return colours[trend]
        return next(iter(colours.values())) if len(set(colours.values())) == 1 else None


class TrendRule(Sourced):
    """When a growth counts as accelerating depletion."""

    tolerance: float = Field(ge=0, lt=1)


class _ColourRow(Interval):
    colour: Colour


class ContradictionRule(Sourced):
    """Land supply–demand contradiction (土地供需矛盾): its parts and colours."""

    intervals: tuple[_ColourRow, ...] = Field(min_length=2)
    supply: tuple[str, ...] = Field(min_length=1)
    demand: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _complete(self.intervals)
        return self

    def colour(self, value: float) -> Colour:
        """Colour of an index (never NaN)."""
        return next(row.colour for row in self.intervals if row.start <= value < row.stop)


class LandUseRule(Sourced):
    """Codes of the land-use raster by group; a code belongs to one group."""

    codes: dict[UseGroup, tuple[int, ...]]

    @model_validator(mode="after")
    def _once(self) -> Self:
        found = [code for codes in self.codes.values() for code in codes]
        if len(found) != len(set(found)) or not all(1 <= code <= 255 for code in found):
            raise ValueError("a code 1–255 belongs to exactly one group (0 is no data)")
        return self

    def truth(self, groups: Sequence[UseGroup]) -> NDArray[np.uint8]:
        """uint8 (256,): 1 the code is in one of `groups`, 2 it is not, 0 no data or a code that no group names."""
        table = np.zeros(256, dtype=np.uint8)
        for group, codes in self.codes.items():
            table[list(codes)] = 1 if group in groups else 2
        return table


class ConflictRule(Sourced):
    """Overlays (a)–(f): groups of present use that meet, or for the potentials are left out."""

    eco_extreme: int = Field(ge=1, le=5)
    hazard_extreme: int = Field(ge=1, le=5)
    use: dict[Literal["eco_use", "eco_cropland", "eco_built", "hazard_built"], tuple[UseGroup, ...]]
    exclude: dict[Literal["cropland_potential", "urban_potential"], tuple[UseGroup, ...]]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if len(self.use) != 4 or len(self.exclude) != 2:
            raise ValueError("all of (a)–(f) need their groups")
        return self


class PotentialExclusionRule(Sourced):
    """Exclusions of the potentials that are this project's."""

    cropland_potential: tuple[UseGroup, ...]
    urban_potential: tuple[UseGroup, ...]
    urban_permanent_farmland: bool


class CapacityRules(BaseModel):
    """All rules of carrying capacity and conflicts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["carrying-capacity"]
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    table: TableRule
    irrigation: IrrigationRule
    shares: SharesRule
    land: LandRule
    land_exclusions: LandExclusionRule
    scenarios: ScenarioRule
    levels: LevelRules
    colours: ColourRule
    trend: TrendRule
    contradiction: ContradictionRule
    land_use: LandUseRule
    conflicts: ConflictRule
    potential_exclusions: PotentialExclusionRule


def capacity_rules(rules: Mapping[str, Any]) -> CapacityRules:
    """Rules of carrying capacity out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model (gap in a table, code in two groups, rule without source).
    """
    return read_rules(rules, RULE_FILE, CapacityRules)
