"""The rule files of urban and of agricultural suitability, checked when they are read (``layers/rules/*.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analyses.grading import (
    WORST,
    Correction,
    GradeTable,
    Interval,
    LevelTable,
    Matrix,
    StepTable,
    is_power_of_two,
    quantise,
)
from spatial.catalog import Text
from spatial.errors import LayerDefinitionInvalid, QualityViolation

__all__ = [
    "AGRICULTURAL_RULE_FILE",
    "RULE_FILE",
    "AgriculturalRules",
    "Landform",
    "Range",
    "Sourced",
    "UrbanRules",
    "agricultural_rules",
    "read_rules",
    "urban_rules",
]

RULE_FILE = "urban_suitability"
AGRICULTURAL_RULE_FILE = "agricultural_suitability"

Centre = Literal["province", "prefecture", "county"]
Landform = Literal["plain", "hill", "mountain"]


class Range(BaseModel):
    """A plausible range of an input; values outside mean a wrong unit.

    ``largest_at_least`` finds the unit that is too large for the other ends to see (a share 0–1 declared in percent,
    g/kg for mg/kg): data that have positive values, none of which reaches it, are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: float
    max: float
    largest_at_least: float | None = None

    def require(
        self,
        values: NDArray[Any],
        *,
        what: Text,
        unit: str,
        layer: str,
        declared: str | None = None,
        part: bool = False,
    ) -> None:
        """Raise `QualityViolation` naming layer, range and units if values lie outside; NaN is no value.

        With `part` the values are a block of the data: their largest says nothing of the unit, so that no block size decides.
        """
        values = np.asarray(values)
        known = values[np.isfinite(values)]
        if known.size == 0:
            return
        least, most = float(known.min()), float(known.max())
        small = not part and self.largest_at_least is not None and 0 < most < self.largest_at_least
        if least >= self.min and most <= self.max and not small:
            return
        low, high = f"{self.min:g}", f"{self.max:g}"
        more_zh = f"，最大值应不小于 {self.largest_at_least:g}" if small else ""
        more_en = f" (the largest must reach {self.largest_at_least:g})" if small else ""
        raise QualityViolation(
            f"图层 {layer} 的{what.zh}为 {least:g}–{most:g}，应在 {low}–{high} {unit} 内{more_zh}，"
            f"请检查单位（声明为 {declared or '无'}）",
            f"layer {layer}: {what.en} {least:g} to {most:g} is not within {low} to {high} {unit}{more_en}; "
            f"check the unit (declared: {declared or 'none'})",
            layer=layer,
            unit=declared,
            expected_unit=unit,
            range=[self.min, self.max],
        )


class Sourced(BaseModel):
    """A rule with its source (出处), how far it was checked (`tag`) and since when it holds.

    ``step`` is what values of the factor are rounded to before they are graded and stored, a power of two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    title: Text
    source: str = Field(min_length=1)
    tag: Literal["V-law", "V-code", "V-page", "GK", "own"]
    valid_from: date
    unit: str | None = None
    step: float | None = None

    @model_validator(mode="after")
    def _binary_step(self) -> Self:
        if self.step is None:
            return self
        if not is_power_of_two(self.step):
            raise ValueError(f"step {self.step} is not a power of two")
        # An edge between two multiples would give an exact edge value to the wrong side.
        for row in (*getattr(self, "grades", ()), *getattr(self, "steps", ())):
            for edge in (row.over, row.from_, row.below, row.to):
                if edge is not None and edge % self.step:
                    raise ValueError(f"edge {edge:g} is not a multiple of step {self.step:g}")
        return self

    def quantised(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Values rounded to ``step``; float32, NaN stays (unchanged without a step)."""
        if self.step is None:
            return np.asarray(values, dtype=np.float32)
        return quantise(values, self.step)


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


class FactorRule(Sourced, GradeTable):
    """A factor's value → grade 1–5, with the plausible range of the value."""

    plausible: Range


class CorrectionRule(Sourced, StepTable):
    """A factor's value → correction of the grade before, with the plausible range of the value."""

    plausible: Range


class NumberRule(Sourced):
    """One number."""

    value: float


class MatrixRule(Sourced, Matrix):
    """A judgement matrix, for example land × water."""


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


class KnockOut(Sourced, Interval):
    """One knock-out (一票否决): a factor's interval that makes a cell 不适宜, with its own source."""

    id: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    factor: str

    def as_step(self) -> StepTable:
        """The interval as a step that sets the worst grade."""
        ends = {"over": self.over, "from": self.from_, "below": self.below, "to": self.to}
        return StepTable.model_validate({"steps": [{k: v for k, v in ends.items() if v is not None} | {"set": WORST}]})


class KnockOutRule(Sourced):
    """The knock-outs of the 2020 guide, in order."""

    rows: tuple[KnockOut, ...] = Field(min_length=1)


class PatchRule(Sourced):
    """Patch concentration (地块集中连片度): area of the patch → grade by landform, and its one-step correction."""

    area_unit: Literal["km2", "mu"]
    landforms: dict[Landform, GradeTable]
    landform_by_relief: GradeTable
    corrections: tuple[Correction, ...]

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if set(self.landforms) != {"plain", "hill", "mountain"}:
            raise ValueError("size classes are needed for plain, hill and mountain")
        if [row.grade for row in self.landform_by_relief.grades] != [1, 2, 3]:
            raise ValueError("landform_by_relief: 1 plain, 2 hill, 3 mountain")
        if any(abs(c.add) > 1 for c in self.corrections):
            raise ValueError("a patch corrects by one step at most")
        return self

    def grade(self, area_dm2: NDArray[np.int64], landform: Landform) -> NDArray[np.int8]:
        """Grade 1 高 … 5 低 of patches of one landform.

        Parameters
        ----------
        area_dm2 : int64, dm² (ellipsoidal, whole numbers so that sums do not depend on their order)
        landform : "plain", "hill" or "mountain"

        Returns
        -------
        int8, same shape, 1–5
        """
        area = np.asarray(area_dm2, dtype=np.float64)
        # 1 亩 = 10⁴/15 m²; multiplied before it is divided: 150 亩 = 10⁷ dm² falls on the edge exactly.
        return self.landforms[landform].grade(area / 1e8 if self.area_unit == "km2" else area * 15 / 1e6)


class TemperatureRule(Sourced, GradeTable):
    """≥0 ℃ accumulated temperature (积温) → climate grade."""

    lapse_c_per_100m: float = Field(ge=0, le=1)
    plausible_monthly_c: Range


class MetalLimits(BaseModel):
    """Limits of one metal, mg/kg, for pH ≤ 5.5, 5.5–6.5, 6.5–7.5, > 7.5 (GB 15618-2018)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text
    screening_paddy: tuple[float, float, float, float]
    screening_dryland: tuple[float, float, float, float]
    control: tuple[float, float, float, float]
    plausible: Range

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        for name in ("screening_paddy", "screening_dryland"):
            if any(s >= c for s, c in zip(getattr(self, name), self.control, strict=True)):
                raise ValueError(f"{name} must lie below control")
        return self


class SoilEnvironmentRule(Sourced):
    """Soil environment (土壤环境): class 1, 3, 5 by the worst metal, and its correction."""

    corrections: tuple[Correction, ...]
    ph_to: tuple[float, float, float]
    ph_plausible: Range
    paddy_codes: tuple[int, ...] = Field(min_length=1)
    """Land-use codes that are paddy (水田): their own screening values, and irrigated."""
    metals: dict[str, MetalLimits]


class SalinityRule(Sourced, StepTable):
    """Salinisation (盐渍化): index S = (I·M·D·K)^¼ of four classes 1, 3, 5, and its correction."""

    dryness: LevelTable
    mineralisation: LevelTable
    mineralisation_plausible: Range
    depth: LevelTable
    depth_plausible: Range
    texture: dict[int, Literal[1, 3, 5]]


class Definition(BaseModel):
    """Numbers that make a year a hazard year (灾害年)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rain_10d_mm: float = Field(gt=0)
    rain_20d_mm: float = Field(gt=0)
    hot_c: float
    very_hot_c: float
    process_days: int = Field(ge=1)
    very_hot_process_days: int = Field(ge=1)
    processes: int = Field(ge=1)
    hot_days: int = Field(ge=1)
    gale_m_s: float = Field(gt=0)
    gale_days: int = Field(ge=1)
    violent_gale_m_s: float = Field(gt=0)
    cold_days: int = Field(ge=0)


class MeteorologicalRule(Sourced):
    """Agro-meteorological hazards (农业气象灾害): yearly frequency → level 1 高 … 5 低, weighted, in equal intervals."""

    frequency: GradeTable
    frequency_plausible: Range
    weights: dict[Literal["rain", "heat", "cold", "wind", "drought"], float]
    combined: GradeTable
    corrections: tuple[Correction, ...]
    years: Definition

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if abs(sum(self.weights.values()) - 1) > 1e-9 or min(self.weights.values()) < 0:
            raise ValueError(f"weights must be ≥ 0 and sum to 1, found {sum(self.weights.values()):g}")
        return self


class GeohazardRule(Sourced):
    """Geological hazard (地质灾害): level 1 极高 … 5 低 of the worst hazard, and its correction."""

    corrections: tuple[Correction, ...]
    susceptibility: dict[str, int]
    fault_distance: GradeTable
    pga_steps: StepTable
    pga_plausible: Range
    subsidence: GradeTable
    subsidence_plausible: Range
    subsidence_rate: GradeTable
    subsidence_rate_plausible: Range


class AirRule(Sourced):
    """Air environment capacity (大气环境容量): the worse of calm days and mean wind speed, and its correction."""

    calm_percent: GradeTable
    calm_plausible: Range
    wind_speed: GradeTable
    wind_plausible: Range
    corrections: tuple[Correction, ...]


class WaterEnvironmentRule(Sourced):
    """Water environment capacity (水环境容量): grades by quantile among units, and its correction."""

    quantiles: tuple[float, float, float, float]
    target_plausible: Range
    corrections: tuple[Correction, ...]

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if list(self.quantiles) != sorted(set(self.quantiles)) or not 0 < self.quantiles[0] < self.quantiles[-1] < 1:
            raise ValueError("quantiles must rise between 0 and 1")
        return self


class ComfortRule(Sourced, StepTable):
    """Comfort (舒适度): monthly THI → 1 很不舒适 … 7 很舒适, mode of the year, and its correction."""

    thi: LevelTable
    lapse_c_per_100m: float = Field(ge=0, le=1)
    plausible_monthly_c: Range
    plausible_humidity_percent: Range


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
    water_quota: FactorRule
    runoff_coefficient: NumberRule
    matrix: MatrixRule
    water_surface: WaterSurfaceRule
    geohazard: GeohazardRule
    air: AirRule
    water_environment: WaterEnvironmentRule
    comfort: ComfortRule
    location: LocationRule
    speeds: SpeedRule
    patch: PatchRule
    classes: ClassRule
    knockouts: KnockOutRule


class AgriculturalRules(BaseModel):
    """All rules of the assessment of farming (种植业)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["agricultural-suitability"]
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    slope: SlopeRule
    silt: CorrectionRule
    precipitation: FactorRule
    dryness: FactorRule
    water_quota: FactorRule
    accumulated_temperature: TemperatureRule
    matrix_water: MatrixRule
    matrix_climate: MatrixRule
    water_surface: WaterSurfaceRule
    soil_environment: SoilEnvironmentRule
    salinity: SalinityRule
    meteorological_hazard: MeteorologicalRule
    patch: PatchRule
    classes: ClassRule
    knockouts: KnockOutRule


def read_rules[Rules: BaseModel](rules: Mapping[str, Any], stem: str, model: type[Rules]) -> Rules:
    """One rule file (``layers/rules/{stem}.yml``) out of all of them, checked by its model.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model, with the first five problems.
    """
    name = f"layers/rules/{stem}.yml"
    if stem not in rules:
        raise LayerDefinitionInvalid(f"缺少规则文件 {name}，请恢复它", f"rule file {name} is missing; restore it")
    try:
        return model.model_validate(rules[stem])
    except ValidationError as error:
        problems = [f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors()]
        raise LayerDefinitionInvalid(
            f"规则文件 {name} 有误：{'；'.join(problems[:5])}。请改正后重试",
            f"rule file {name} is invalid: {'; '.join(problems[:5])}; correct it and try again",
            problems=problems,
        ) from error


def urban_rules(rules: Mapping[str, Any]) -> UrbanRules:
    """Rules of the urban assessment out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model (gap in a table, matrix of wrong shape, rule without source).
    """
    return read_rules(rules, RULE_FILE, UrbanRules)


def agricultural_rules(rules: Mapping[str, Any]) -> AgriculturalRules:
    """Rules of the agricultural assessment out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model (gap in a table, weights not summing to one, rule without source).
    """
    return read_rules(rules, AGRICULTURAL_RULE_FILE, AgriculturalRules)
