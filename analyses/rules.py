"""The rule file of urban construction suitability, checked when it is read (``layers/rules/urban_suitability.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analyses.grading import WORST, Correction, GradeTable, Matrix, StepTable
from spatial.catalog import Text
from spatial.errors import LayerDefinitionInvalid

__all__ = ["RULE_FILE", "UrbanRules", "urban_rules"]

RULE_FILE = "urban_suitability"

Centre = Literal["province", "prefecture", "county"]


class Range(BaseModel):
    """A plausible range of an input; values outside mean a wrong unit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: float
    max: float


class Sourced(BaseModel):
    """A rule with its source (出处), how far it was checked (`tag`) and since when it holds."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    title: Text
    source: str = Field(min_length=1)
    tag: Literal["V-law", "V-code", "V-page", "GK", "own"]
    valid_from: date
    unit: str | None = None


class SlopeRule(Sourced, GradeTable):
    """Slope (坡度) → land grade."""


class ElevationRule(Sourced, StepTable):
    """Elevation (高程) correction of the land grade."""

    plausible: Range


class ReliefRule(Sourced, StepTable):
    """Local relief (地形起伏度) correction of the land grade."""

    window_area_ha: float = Field(gt=0)
    minimum_side: int = Field(ge=3)
    proxy_above_cell_m: float = Field(gt=0)


class WaterRule(Sourced, GradeTable):
    """Water resources modulus (水资源总量模数) → water grade."""

    plausible_annual_precipitation_mm: Range


class NumberRule(Sourced):
    """One number."""

    value: float


class MatrixRule(Sourced, Matrix):
    """Land × water judgement matrix."""


class WaterSurfaceRule(Sourced):
    """Grade of water surfaces (水域)."""

    set: int = Field(ge=1, le=WORST)


class LocationRow(GradeTable):
    """Minutes to the centres of one kind → location grade."""

    title: Text
    centres: tuple[Centre, ...] = Field(min_length=1)


class LocationRule(Sourced):
    """Location (区位优势度): two rows, and how its grade corrects the base."""

    rows: dict[Literal["province", "county"], LocationRow]
    corrections: tuple[Correction, ...]


class SpeedRule(Sourced):
    """Travel speeds (通行速度), km/h."""

    offroad: float = Field(gt=0)
    roads: dict[str, float]


class ClassRule(Sourced):
    """Grade → class: 1 适宜, 2 一般适宜, 3 不适宜."""

    grades: dict[int, int]

    @model_validator(mode="after")
    def _every_grade(self) -> Self:
        if sorted(self.grades) != [1, 2, 3, 4, 5] or not set(self.grades.values()) <= {1, 2, 3}:
            raise ValueError("every grade 1–5 needs a class 1–3")
        return self


class UrbanRules(BaseModel):
    """All rules of one assessment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["urban-suitability"]
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    slope: SlopeRule
    elevation: ElevationRule
    relief: ReliefRule
    water: WaterRule
    runoff_coefficient: NumberRule
    matrix: MatrixRule
    water_surface: WaterSurfaceRule
    location: LocationRule
    speeds: SpeedRule
    classes: ClassRule


def urban_rules(rules: Mapping[str, Any]) -> UrbanRules:
    """Rules of the urban assessment out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model (gap in a table, matrix of wrong shape, rule without source).
    """
    name = f"layers/rules/{RULE_FILE}.yml"
    if RULE_FILE not in rules:
        raise LayerDefinitionInvalid(f"缺少规则文件 {name}，请恢复它", f"rule file {name} is missing; restore it")
    try:
        return UrbanRules.model_validate(rules[RULE_FILE])
    except ValidationError as error:
        problems = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise LayerDefinitionInvalid(
            f"规则文件 {name} 有误：{'；'.join(problems[:5])}。请改正后重试",
            f"rule file {name} is invalid: {'; '.join(problems[:5])}; correct it and try again",
            problems=problems,
        ) from error
