"""The rule file of water extent, checked when it is read (``layers/rules/water_extent.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Range, Sourced, read_rules
from spatial.catalog import Text

__all__ = ["RULE_FILE", "DswxRule", "WaterExtentRules", "WofsRow", "water_extent_rules"]

RULE_FILE = "water_extent"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class BaselineRow(_Row):
    """Since which processing baseline the digital numbers carry an offset, as reflectance."""

    from_: str = Field(alias="from", pattern=r"^\d{2}\.\d{2}$")
    offset: float = Field(lt=0)


class SensorRow(_Row):
    """How the digital numbers of a sensor become reflectance."""

    id: str
    title: Text
    level: Literal["toa", "surface", "unknown"]
    scale: float = Field(gt=0)
    offset: float
    baseline: BaselineRow | None
    nodata: float | None
    bands: dict[str, str]
    """Common name → the sensor's own name."""
    nir: str
    """Common name of the band taken as near infrared."""


class ProviderRow(_Row):
    """Whether a provider's pixels still carry the offset."""

    id: str
    offset: Literal["kept", "flag"]
    title: Text


class SensorsRule(Sourced):
    """Sensors and providers."""

    list: tuple[SensorRow, ...] = Field(min_length=1)
    providers: tuple[ProviderRow, ...]
    flag: str

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for rows in (self.list, self.providers):
            names = [row.id for row in rows]
            if len(set(names)) != len(names):
                raise ValueError(f"an id occurs twice: {names}")
        return self


class PlausibleRule(Sourced):
    """What a scene of reflectance looks like."""

    cell_range: Range
    most: float
    least: float
    negative_flag: float
    negative_exclude: float
    partial: float
    empty: float
    least_clear: float


class BandOrderRule(Sourced):
    """Tests of the order of the bands."""

    margin: float
    swir_ratio: float
    swir_share: float
    land_swir1: float
    land_share: float
    vegetation_ratio: float
    vegetation_share: float
    plant_ratio: float
    plant_share: float
    sample: int = Field(ge=1000)
    least_cells: int = Field(ge=10)


class CodesRow(_Row):
    """Codes of a class layer by what they mean."""

    nodata: tuple[int, ...]
    cloud: tuple[int, ...]
    snow: tuple[int, ...]


class BitsRow(CodesRow):
    """Bit numbers of a quality layer; ``dilated`` are those of the cloud's margin."""

    dilated: tuple[int, ...] = ()
    fill: int | None = None


class TerrainRow(_Row):
    """Terrain shadow: incidence of the sun and slope away from it, degrees."""

    incidence: float = Field(gt=0, lt=90)
    backslope: float = Field(ge=0, lt=90)


class GlintRow(_Row):
    """Sun glint: angle, degrees; reflectances over water."""

    angle: float = Field(gt=0, le=90)
    nir: float
    swir1: float


class MasksRule(Sourced):
    """Cloud, shadow, snow, terrain shadow, glint."""

    scl: CodesRow
    qa_pixel: BitsRow
    fmask: BitsRow
    terrain: TerrainRow
    glint: GlintRow


class DswxRule(Sourced):
    """Thresholds of the five tests, on reflectance 0–1."""

    floor: float = Field(gt=0)
    t1_mndwi: float = Field(gt=-1, lt=1)
    t3_awesh: float
    t4_mndwi: float = Field(gt=-1, lt=1)
    t4_swir1: float
    t4_nir: float
    t4_ndvi: float = Field(gt=-1, lt=1)
    t5_mndwi: float = Field(gt=-1, lt=1)
    t5_blue: float
    t5_swir1: float
    t5_swir2: float
    t5_nir: float


class Limits(_Row):
    """An interval (over, upto]; an absent end is open."""

    over: float | None = None
    upto: float | None = None


class WofsTerms(_Row):
    """Conditions that must hold together."""

    n52: Limits = Limits()
    n43: Limits = Limits()
    n72: Limits = Limits()
    blue: Limits = Limits()
    red: Limits = Limits()
    swir2: Limits = Limits()


class WofsRow(WofsTerms):
    """One way through the tree to water; of ``either`` one group must hold."""

    either: tuple[WofsTerms, ...] = ()


class WofsRule(Sourced):
    """The WOfS tree as the ways that lead to water."""

    uncertainty: float = Field(gt=0, lt=0.5)
    rows: tuple[WofsRow, ...] = Field(min_length=1, max_length=8)


class IndexRow(_Row):
    """A water index, its fixed threshold and its range for a histogram."""

    id: str
    title: Text
    fixed: float
    range: tuple[float, float]
    source: str = Field(min_length=1)


class CannyRow(_Row):
    """Edges: Gaussian in cells, quantiles of the gradient, buffer in cells."""

    sigma: float = Field(gt=0)
    high: float = Field(gt=0, lt=1)
    low: float = Field(gt=0, lt=1)
    buffer: int = Field(ge=1)


class IndicesRule(Sourced):
    """Indices, the search for a threshold, and when it is believed."""

    list: tuple[IndexRow, ...]
    bins: int = Field(ge=16)
    canny: CannyRow
    least_sample: int
    ashman: float
    valley: float
    least_group: float


class RampRow(_Row):
    """Between which values a membership goes from full to none."""

    full: float
    none: float


class SarRule(Sourced):
    """Water from backscatter."""

    cap_vv: float
    cap_vh: float
    plausible: Range
    tile: int = Field(ge=8)
    low_hand: float
    low_share: float
    most_tiles: int
    backscatter_span: float = Field(gt=0)
    slope: RampRow
    hand: RampRow
    segment: RampRow
    keep: float
    bins: int


class WaterExtentRules(BaseModel):
    """All rules of water extent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["water-extent"]
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    sensors: SensorsRule
    plausible: PlausibleRule
    band_order: BandOrderRule
    masks: MasksRule
    dswx: DswxRule
    wofs: WofsRule
    indices: IndicesRule
    sar: SarRule


def water_extent_rules(rules: Mapping[str, Any]) -> WaterExtentRules:
    """Rules of water extent out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rules(rules, RULE_FILE, WaterExtentRules)
