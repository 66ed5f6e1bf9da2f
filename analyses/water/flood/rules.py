"""The rule file of flood and drought, checked when it is read (``layers/rules/flood.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Sourced, read_rules
from spatial.catalog import Text
from spatial.errors import QualityViolation

__all__ = [
    "RULE_FILE",
    "DatumOffset",
    "FloodRules",
    "LowWaterGrade",
    "LowWaterRule",
    "SeriesRule",
    "Terrain",
    "WarningGrade",
    "WarningRule",
    "flood_rules",
]

RULE_FILE = "flood"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DatumOffset(_Row):
    """Offset of the datum at one station (高程基准改正数): level in `target` = level in `datum` + `add_m`."""

    station: str = Field(min_length=1)
    datum: str
    target: str
    add_m: float
    uncertainty_m: float = Field(ge=0)
    """Standard deviation, m."""
    source: str = Field(min_length=1)


class OffsetsRule(Sourced):
    """Offsets by station."""

    list: tuple[DatumOffset, ...]


class Terrain(_Row):
    """Datum and error of one terrain layer."""

    layer: str
    datum: str
    sigma_m: float = Field(gt=0)
    """Standard error of the heights (中误差), m."""
    source: str = Field(min_length=1)


class TerrainsRule(Sourced):
    """Terrains by layer."""

    list: tuple[Terrain, ...]

    def of(self, layer: str) -> Terrain:
        """The terrain of a layer; one that is not listed cannot carry a rehearsal."""
        for row in self.list:
            if row.layer == layer:
                return row
        raise QualityViolation(
            f"地形图层 {layer} 的高程基准与误差未知，不能预演；请在 layers/rules/flood.yml 的 terrains 中写明",
            f"datum and error of terrain {layer} are unknown, no rehearsal without them; state them under terrains in "
            "layers/rules/flood.yml",
            layer=layer,
            reason="terrain-error-missing",
        )


class PrecisionRule(Sourced):
    """When the terrain is too coarse for the question."""

    k: float = Field(gt=0)


class Slope(_Row):
    """Slope of the water surface (比降) of a river in flood."""

    river: str
    slope: float = Field(ge=0, lt=0.1)
    source: str = Field(min_length=1)


class SurfaceRule(Sourced):
    """Nodes, strips and slopes."""

    node_step_m: float = Field(gt=0)
    strip_limit_m: float = Field(gt=0)
    gauge_snap_m: float = Field(gt=0)
    slopes: tuple[Slope, ...]

    def slope_of(self, river: str) -> Slope | None:
        """The slope listed for a river."""
        return next((row for row in self.slopes if row.river == river), None)


class DepthRule(Sourced):
    """Edges of the depth classes, m."""

    edges_m: tuple[float, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.edges_m) != sorted(set(self.edges_m)) or self.edges_m[0] <= 0:
            raise ValueError("edges must be positive and ascend")
        return self


class FreeboardRule(Sourced):
    """Freeboard by grade of the dike, m."""

    by_grade: dict[int, float]


class BreachRule(Sourced):
    """Geometry of breaches."""

    reach_m: float = Field(gt=0)
    snap_m: float = Field(gt=0)
    width_m: float = Field(gt=0)


class BasinsRule(Sourced):
    """Which low ground is listed."""

    minimum_area_m2: float = Field(ge=0)
    listed: int = Field(ge=1)


class WarningGrade(_Row):
    """One grade; `field` names the level of the gauges layer from which it holds."""

    id: str
    field: str | None = None
    title: Text
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    action: Text


class WarningRule(Sourced):
    """Grades of a level, from the lowest."""

    grades: tuple[WarningGrade, ...] = Field(min_length=2)


class LowWaterGrade(_Row):
    """One grade of low water; `field` names the line below which it holds."""

    id: str
    field: str | None = None
    title: Text
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    action: Text


class LowWaterRule(Sourced):
    """Grades of low water, from the highest line to the lowest, and when a run of days counts."""

    grades: tuple[LowWaterGrade, ...] = Field(min_length=2)
    near_m: float = Field(ge=0)
    """A level less than so much above a line is said to be near it."""


class SeriesRule(Sourced):
    """Limits of the quality check of series."""

    spike_m_per_h: float = Field(gt=0)
    spike_m_per_day: float = Field(gt=0)
    spike_minimum_m: float = Field(gt=0)
    flatline_days: float = Field(gt=0)
    flatline_values: int = Field(ge=3)
    above_guarantee_m: float = Field(gt=0)
    below_alert_m: float = Field(gt=0)


class PlansRule(Sourced):
    """Measures of the plan list."""

    prepare_below_m: float = Field(ge=0)
    certain_k: float = Field(gt=0)
    """A line is surely reached if the level less so many standard deviations still reaches it."""
    polder: Text
    detention: Text
    prepare: Text


class HandRule(Sourced):
    """Streams of HAND."""

    stream_km2: float = Field(gt=0)
    cells: int = Field(ge=1)
    """Most cells of a run: flow directions need the whole grid in memory."""


class FloodRules(_Row):
    """The whole file."""

    id: str
    title: Text
    method: str
    valid_from: Any
    valid_to: Any = None
    offsets: OffsetsRule
    terrains: TerrainsRule
    precision: PrecisionRule
    surface: SurfaceRule
    depth: DepthRule
    freeboard: FreeboardRule
    breach: BreachRule
    basins: BasinsRule
    warning: WarningRule
    low_water: LowWaterRule
    series: SeriesRule
    plans: PlansRule
    hand: HandRule


def flood_rules(rules: Mapping[str, Any]) -> FloodRules:
    """The checked rules; `LayerDefinitionInvalid` names what is wrong in the file."""
    return read_rules(rules, RULE_FILE, FloodRules)
