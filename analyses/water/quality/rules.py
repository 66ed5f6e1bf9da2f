"""The rule files of optical water quality, bloom and trophic state, checked when they are read (``layers/rules/*.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Range, Sourced, read_rules
from spatial.catalog import Text

__all__ = [
    "BloomRules",
    "Level",
    "OpticalRules",
    "RuleFile",
    "RuleRow",
    "TrophicRules",
    "bloom_rules",
    "optical_rules",
    "trophic_rules",
]

ReflectanceKind = Literal["rho_w", "rrs", "rho_rc", "rho_s", "toa"]
Sensor = Literal["sentinel2", "landsat8"]


class RuleRow(BaseModel):
    """One row of a rule."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class RuleFile(BaseModel):
    """What every rule file states."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: Text
    method: str
    valid_from: date
    valid_to: date | None


class Level(RuleRow):
    """One class of a scale: below `below` (open) or up to `to` (closed); the last has neither."""

    code: int = Field(ge=1, le=249)
    id: str | None = None
    title: Text
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    below: float | None = None
    to: float | None = None


class LevelsRule(Sourced):
    """A scale of classes in rising order."""

    list: tuple[Level, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _rising(self) -> Self:
        ends = [row.below if row.below is not None else row.to for row in self.list]
        if ends[-1] is not None or any(end is None for end in ends[:-1]):
            raise ValueError("every class but the last needs exactly one of below and to")
        known = [end for end in ends if end is not None]
        if known != sorted(known) or [row.code for row in self.list] != list(range(1, len(self.list) + 1)):
            raise ValueError("classes must rise, with codes 1, 2, 3 …")
        return self

    def level(self, value: float) -> Level:
        """The class of a value; NaN has none (ValueError)."""
        if value != value:
            raise ValueError("no class of NaN")
        for row in self.list[:-1]:
            if (row.below is not None and value < row.below) or (row.to is not None and value <= row.to):
                return row
        return self.list[-1]


# Optical formulas


class OpticalRule(Sourced):
    """A formula and the reflectance that it needs."""

    reflectance: ReflectanceKind


class PolynomialRule(OpticalRule):
    """Coefficients in rising order."""

    coefficients: tuple[float, ...]


class MishraRule(PolynomialRule):
    """Mishra & Mishra 2012."""

    monotone_from: float


class GonsRule(OpticalRule):
    """Gons 2005."""

    backscatter: tuple[float, float, float]
    absorption: tuple[float, float, float, float]
    least_red: float
    least_ratio: float


class MosesRule(PolynomialRule):
    """Moses 2012."""

    fitted_nm: float


class Oc3Rule(OpticalRule):
    """OC3, clear water only."""

    coefficients: dict[Sensor, tuple[float, float, float, float, float]]
    clear_red_below: float


class BandFit(RuleRow):
    """A, B and C of the saturating form A ρ/(1 − ρ/C) + B at one wavelength."""

    nm: float
    a: float
    c: float = Field(gt=0)
    b: float = 0.0


class DogliottiRule(OpticalRule):
    """Dogliotti 2015."""

    red: BandFit
    nir: BandFit
    blend: tuple[float, float]


class NechadRule(OpticalRule):
    """Nechad 2009 or 2010."""

    bands: tuple[BandFit, ...] = Field(min_length=1)
    saturation: float = Field(gt=0, le=1)
    offset_added: bool = False

    def at(self, nm: float) -> BandFit:
        """The fit nearest to a wavelength."""
        return min(self.bands, key=lambda row: abs(row.nm - nm))


class NovoaRule(OpticalRule):
    """Novoa 2017."""

    bounds: dict[Literal["gironde", "bourgneuf"], tuple[float, float]]


class BaselineRule(OpticalRule):
    """A height above a baseline of two bands."""

    bands: dict[Sensor, tuple[str, str, str]]


class SecchiRule(OpticalRule):
    """Lee 2015 over QAA v6."""

    bands: tuple[str, str, str, str]
    water_absorption: tuple[float, float, float, float]
    water_backscatter: tuple[float, float, float, float]
    reference_nm: tuple[float, float, float, float]
    below_surface: tuple[float, float]
    g: tuple[float, float]
    red_from: float
    v5: tuple[float, float, float]
    v6: tuple[float, float]
    slope: tuple[float, float, float]
    kd: tuple[float, float, float, float, float]
    kd_530: tuple[float, float]
    contrast: tuple[float, float, float]
    sun_zenith_deg: float = Field(ge=0, lt=80)


class WavelengthsRule(Sourced):
    """Central wavelengths by sensor and band, nm."""

    sensors: dict[Sensor, dict[str, float]]


class NdciLevel(RuleRow):
    """One relative level of NDCI."""

    code: int
    title: Text
    color: str


class NdciLevelsRule(Sourced):
    """Relative levels of NDCI."""

    edges: tuple[float, ...]
    levels: tuple[NdciLevel, ...]

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if list(self.edges) != sorted(self.edges) or len(self.levels) != len(self.edges) + 1:
            raise ValueError("edges must rise, one fewer than the levels")
        return self


class MasksRule(Sourced):
    """Masks of a scene."""

    shore_pixels: int = Field(ge=0)
    glint_swir1_from: float
    saturation: float
    least_clear_percent: float = Field(ge=0, le=100)
    plausible: Range
    dim_below: float = Field(gt=0)
    least_series_cells: int = Field(ge=1)
    station_window: int = Field(ge=1)


class CalibrationRule(Sourced):
    """What a local calibration needs."""

    least_matchups: int = Field(ge=10)
    least_groups: int = Field(ge=3)
    folds: int = Field(ge=3)


class OpticalRules(RuleFile):
    """All rules of the optical formulas."""

    id: Literal["optical-quality"]
    wavelengths: WavelengthsRule
    ndci: OpticalRule
    mishra: MishraRule
    gons: GonsRule
    moses: MosesRule
    oc3: Oc3Rule
    dogliotti: DogliottiRule
    nechad_turbidity: NechadRule
    nechad_spm: NechadRule
    novoa: NovoaRule
    fai: BaselineRule
    afai: BaselineRule
    secchi: SecchiRule
    ndci_levels: NdciLevelsRule
    masks: MasksRule
    calibration: CalibrationRule


# Trophic state and bloom


class TliIndicator(RuleRow):
    """One indicator of TLI: 10 (a + b ln x), r its correlation with chlorophyll a."""

    id: str
    title: Text
    unit: str
    a: float
    b: float
    r: float
    plausible: Range


class TliRule(Sourced):
    """TLI(Σ)."""

    indicators: tuple[TliIndicator, ...] = Field(min_length=2)
    least_indicators: int = Field(ge=1)

    @cached_property
    def by_id(self) -> dict[str, TliIndicator]:
        """Indicator by id."""
        return {row.id: row for row in self.indicators}


class CarlsonIndicator(RuleRow):
    """TSI = a + b ln x."""

    id: str
    unit: str
    a: float
    b: float


class CarlsonRule(Sourced):
    """Carlson's TSI."""

    indicators: tuple[CarlsonIndicator, ...]


class TrophicRules(RuleFile):
    """All rules of the trophic state."""

    id: Literal["trophic-state"]
    tli: TliRule
    classes: LevelsRule
    carlson: CarlsonRule


class DetectionRule(Sourced):
    """When a cell is bloom."""

    fai_over: float
    red_below: float


class MacrophyteRule(Sourced):
    """When a cell is macrophytes rather than bloom."""

    fai_over: float
    ndvi_over: float
    persistence: float = Field(gt=0, le=1)
    least_dates: int = Field(ge=2)


class CoverageRule(Sourced):
    """How much of a lake must have been seen."""

    least_clear_percent: float = Field(ge=0, le=100)
    least_cells: int = Field(ge=1)


class BloomRules(RuleFile):
    """All rules of bloom."""

    id: Literal["bloom"]
    detection: DetectionRule
    macrophytes: MacrophyteRule
    grades: LevelsRule
    coverage: CoverageRule


def optical_rules(rules: Mapping[str, Any]) -> OpticalRules:
    """Rules of the optical formulas out of all rule files (`LayerDefinitionInvalid` if missing or broken)."""
    return read_rules(rules, "optical_quality", OpticalRules)


def trophic_rules(rules: Mapping[str, Any]) -> TrophicRules:
    """Rules of the trophic state out of all rule files (`LayerDefinitionInvalid` if missing or broken)."""
    return read_rules(rules, "trophic_state", TrophicRules)


def bloom_rules(rules: Mapping[str, Any]) -> BloomRules:
    """Rules of bloom out of all rule files (`LayerDefinitionInvalid` if missing or broken)."""
    return read_rules(rules, "bloom", BloomRules)
