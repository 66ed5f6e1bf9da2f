"""The rule file of ecological importance, checked when it is read (``layers/rules/ecological_importance.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from analyses.grading import GradeTable, LevelTable
from analyses.rules import ClassRule, Range, Sourced, read_rules
from spatial.catalog import Text
from spatial.errors import InvalidParameter

__all__ = [
    "RULE_FILE",
    "CoverManagementRule",
    "CoverRule",
    "DailyErosivityRule",
    "EcologicalRules",
    "InputRange",
    "MonthlyErosivityRule",
    "TextureRow",
    "ecological_rules",
]

RULE_FILE = "ecological_importance"

Importance = Literal[1, 3, 5]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


Levels = Annotated[LevelTable, BeforeValidator(lambda rows: {"levels": rows} if isinstance(rows, list) else rows)]


class InputRange(_Model):
    """Plausible range of one input (可信范围) in its unit."""

    title: Text
    unit: str
    range: Range


class CodesRule(Sourced):
    """Land-use codes that a rule is about."""

    codes: tuple[int, ...] = Field(min_length=1)


class RunoffRule(Sourced):
    """Surface runoff coefficient (地表径流系数) by ecosystem, %, and the ecosystem of each land-use code."""

    types: dict[str, float]
    land_use: dict[int, str]

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = sorted(set(self.land_use.values()) - set(self.types))
        if unknown:
            raise ValueError(f"land use names ecosystems without coefficient: {unknown}")
        if any(not 0 <= share <= 100 for share in self.types.values()):
            raise ValueError("coefficients are percent, 0–100")
        return self


class EvapotranspirationRule(Sourced):
    """Turc's formula: ET = P/√(constant + P²/L²), L = a + bT + cT³."""

    formula: Literal["turc"]
    constant: float = Field(gt=0)
    capacity: tuple[float, float, float]


class ServiceRule(Sourced):
    """A service (服务功能) whose importance follows from its rank; `step` is the width of a bin of the ranking."""

    step: float = Field(gt=0)
    unit: str


class DailyErosivityRule(Sourced):
    """R from daily rain: Σ α·P^exponent over days of at least `erosive_from_mm`."""

    warm: float = Field(gt=0)
    cold: float = Field(gt=0)
    warm_months: tuple[int, ...]
    exponent: float = Field(gt=0)
    erosive_from_mm: float = Field(ge=0)


class MonthlyErosivityRule(Sourced):
    """R from monthly rain by Wischmeier, and the factor from US customary units to SI."""

    factor: float
    exponent: float
    offset: float
    si_per_us: float = Field(gt=0)


class SlopeLengthRule(Sourced):
    """Slope length (坡长), at most `maximum` m: from the cells above (``upslope``), or the height of the cell (``cell``)."""

    method: Literal["upslope", "cell"]
    maximum: float = Field(gt=0)
    reference_latitude: float
    step: float


class CoverRule(Sourced):
    """Vegetation cover (植被覆盖度) between two percentiles of NDVI."""

    percentiles: tuple[float, float]
    excluded: tuple[int, ...]
    step: float

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if not 0 <= self.percentiles[0] < self.percentiles[1] <= 1:
            raise ValueError("percentiles are shares and must rise")
        return self


class Dryland(_Model):
    """C = intercept − slope·log₁₀(cover), cover 0–1, C clipped to 0–1."""

    codes: tuple[int, ...]
    intercept: float
    slope: float


class CoverManagementRule(Sourced):
    """C factor by ecosystem and class of cover."""

    breaks: tuple[float, ...]
    families: dict[str, tuple[float, ...]]
    land_use: dict[int, str]
    fixed: dict[int, float]
    dryland: Dryland

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if list(self.breaks) != sorted(self.breaks) or self.breaks[0] <= 0 or self.breaks[-1] >= 1:
            raise ValueError("breaks of cover are fractions between 0 and 1 and must rise")
        for name, row in self.families.items():
            if len(row) != len(self.breaks) + 1 or list(row) != sorted(row, reverse=True):
                raise ValueError(f"{name}: one C a class of cover, falling with cover")
        if set(self.land_use.values()) - set(self.families):
            raise ValueError("land use names a family without C values")
        codes = [*self.land_use, *self.fixed, *self.dryland.codes]
        if len(set(codes)) != len(codes):
            raise ValueError("a land-use code stands in two rows")
        return self


class _AnnexRow(_Model):
    grade: Importance
    slope_from: float
    cover_from: float = Field(ge=0, le=1)


class AnnexRule(Sourced):
    """Soil conservation by slope and cover; the first row that holds gives the importance, else 1."""

    land_use: tuple[int, ...]
    rows: tuple[_AnnexRow, ...]

    @model_validator(mode="after")
    def _falling(self) -> Self:
        keys = [(r.grade, r.slope_from, r.cover_from) for r in self.rows]
        if any(a <= b for left, right in pairwise(keys) for a, b in zip(left, right, strict=True)):
            raise ValueError("rows go from the most important down; limits must fall with importance")
        return self


class _SandRow(_Model):
    grade: Importance
    sand_from: float
    gale_days_from: float
    cover_from: float = Field(ge=0, le=1)


class SandFixationRule(Sourced):
    """Sand fixation (防风固沙), for arid land only."""

    applies: bool
    rows: tuple[_SandRow, ...]


class BiodiversityRule(Sourced):
    """Importance of reserves by the beginning of the text in `field`."""

    field: str
    grades: dict[str, Importance]


class RankingRule(Sourced):
    """Cumulative shares that are extremely important and important."""

    extremely: float = Field(gt=0, lt=1)
    important: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.extremely >= self.important:
            raise ValueError("extremely must be less than important")
        return self


class BreaksRule(Sourced):
    """Two limits of the sensitivity index: above the first sensitive, above the second extremely."""

    use: str
    sets: dict[str, tuple[float, float]]

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.use not in self.sets:
            raise ValueError(f"use {self.use!r} is none of {sorted(self.sets)}")
        if any(not 1 < low < high < 5 for low, high in self.sets.values()):
            raise ValueError("breaks lie between 1 and 5 and rise")
        return self

    def table(self, name: str | None = None) -> GradeTable:
        """Index → importance 1, 3, 5; a value on a break belongs below.

        Raises
        ------
        InvalidParameter
            If there is no such set of breaks, naming those that there are.
        """
        if name is not None and name not in self.sets:
            names = sorted(self.sets)
            raise InvalidParameter(
                f"没有敏感性分级 {name!r}，可用：{'、'.join(names)}",
                f"there are no sensitivity breaks {name!r}; use one of {', '.join(names)}",
                parameter="sensitivity_breaks",
                value=name,
                allowed=names,
            )
        low, high = self.sets[name or self.use]
        return GradeTable.model_validate(
            {"grades": [{"grade": 1, "to": low}, {"grade": 3, "over": low, "to": high}, {"grade": 5, "over": high}]}
        )


class TextureRow(_Model):
    """A soil texture (质地) by limits of sand, silt and clay, %, and its level."""

    title: Text
    level: Importance
    sand_from: float = 0
    silt_from: float = 0
    clay_from: float = 0
    clay_below: float = 101


def _last_takes_all(rows: tuple[TextureRow, ...]) -> tuple[TextureRow, ...]:
    last = rows[-1]
    if (last.sand_from, last.silt_from, last.clay_from, last.clay_below) != (0, 0, 0, 101):
        raise ValueError("the last row of texture must take all that is left")
    return rows


class WaterSoilLossRule(Sourced):
    """SS = (R·K·LS·C)^(1/4) by levels 1, 3, 5."""

    erosivity_unit: Literal["us", "si"]
    erosivity: Levels
    texture: tuple[TextureRow, ...]
    relief: Levels
    cover: Levels

    @model_validator(mode="after")
    def _texture(self) -> Self:
        _last_takes_all(self.texture)
        return self


class RockyRule(Sourced):
    """S = (D·P·C)^(1/3) by levels 1, 3, 5, where the carbonate share is over `carbonate_over`."""

    carbonate_over: float
    carbonate: Levels
    slope: Levels
    cover: Levels


class SandyRule(Sourced):
    """D = (I·W·K·C)^(1/4) by levels 1, 3, 5."""

    dryness: Levels
    sand_wind_days: Levels
    texture: tuple[TextureRow, ...]
    cover: Levels

    @model_validator(mode="after")
    def _texture(self) -> Self:
        _last_takes_all(self.texture)
        return self


class DrynessRule(Sourced):
    """I = factor·ΣT/ΣP over the months of at least `base_temperature`."""

    factor: float
    base_temperature: float


class MonitoredRule(Sourced, GradeTable):
    """Monitored grade → importance."""


class MonitoredRules(_Model):
    """Monitored layers (监测图层) that replace an index."""

    water_soil_loss: MonitoredRule
    rocky_desertification: MonitoredRule
    sandy_desertification: MonitoredRule


class NppRule(ServiceRule):
    """The NPP method (NPP 定量指标法)."""

    titles: dict[Literal["npp_water", "npp_soil", "npp_sand", "npp_biodiversity"], Text]


class EcologicalRules(_Model):
    """All rules of ecological importance."""

    id: Literal["ecological-importance"]
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    inputs: dict[str, InputRange]
    texture_sum: Range
    natural: CodesRule
    runoff: RunoffRule
    evapotranspiration: EvapotranspirationRule
    water_conservation: ServiceRule
    soil_conservation: ServiceRule
    erosivity_daily: DailyErosivityRule
    erosivity_monthly: MonthlyErosivityRule
    slope_length: SlopeLengthRule
    cover: CoverRule
    cover_management: CoverManagementRule
    soil_conservation_rule: AnnexRule
    sand_fixation_rule: SandFixationRule
    biodiversity: BiodiversityRule
    ranking: RankingRule
    sensitivity_breaks: BreaksRule
    not_sensitive: CodesRule
    water_soil_loss: WaterSoilLossRule
    rocky_desertification: RockyRule
    sandy_desertification: SandyRule
    dryness: DrynessRule
    monitored: MonitoredRules
    npp: NppRule
    classes: ClassRule

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = sorted(set(self.natural.codes) - set(self.runoff.land_use))
        if missing:
            raise ValueError(f"natural land use without runoff coefficient: {missing}")
        order = [self.classes.grades[g] for g in range(1, 6)]
        if order != sorted(order, reverse=True):
            raise ValueError("classes must not fall in importance where the grade rises (1 = extremely important)")
        return self


def ecological_rules(rules: Mapping[str, Any]) -> EcologicalRules:
    """Rules of ecological importance out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model (gap in a table, importance that falls, rule without source).
    """
    return read_rules(rules, RULE_FILE, EcologicalRules)
