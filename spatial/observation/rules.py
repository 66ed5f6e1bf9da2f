"""Rules of observations (接入规则): ``layers/rules/observation.yml``, checked when read."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spatial.catalog import Text
from spatial.rule_files import read_rule_file

__all__ = ["ObservationRules", "UnitChecks", "read_observation_rules"]


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Sourced(_Rule):
    title: Text
    source: str = Field(min_length=1)
    tag: Literal["V-law", "V-page", "GK", "own"]
    valid_from: date


class OrthophotoRule(_Sourced):
    """What a delivered picture must be."""

    max_pixels: int = Field(gt=0)
    gsd_m: tuple[float, float]
    corner_pixels: int = Field(ge=1, le=256)


class CameraRule(_Sourced):
    """Layer of the cameras, schemes of view links, radius of the drawn sector."""

    layer: str
    schemes: tuple[str, ...] = Field(min_length=1)
    sector_m: float = Field(gt=0)


class SnapshotRule(_Sourced):
    """Limits and retention of snapshots."""

    types: tuple[Literal["image/jpeg", "image/png"], ...] = Field(min_length=1)
    max_bytes: int = Field(gt=0, le=5_000_000)
    max_pixels: int = Field(gt=0)
    thumbnail_px: int = Field(ge=32, le=1024)
    keep: int = Field(ge=1)
    ahead_s: float = Field(ge=0)


class ReadingRule(_Sourced):
    """Limits of a delivery of readings."""

    max_rows: int = Field(ge=1)
    ahead_s: float = Field(ge=0)
    show_every_s: float = Field(ge=0)


class UnitChecks(_Rule):
    """Checks of the readings of one unit; the words are those of the checks of station data."""

    unit: str
    plausible: tuple[float, float]
    hampel_half_window: int = Field(ge=1, le=24)
    hampel_sigmas: float = Field(gt=0)
    spike_ratio: float = Field(gt=1)
    flatline_length: int = Field(ge=2, le=500)


class ChecksRule(_Sourced):
    """Checks by unit."""

    units: tuple[UnitChecks, ...]

    @model_validator(mode="after")
    def _once(self) -> Self:
        names = [row.unit for row in self.units]
        if len(set(names)) < len(names):
            raise ValueError("a unit stands twice")
        return self

    def of_unit(self, unit: str | None) -> UnitChecks | None:
        """Checks of a unit, or None."""
        return next((row for row in self.units if row.unit == unit), None)


class ObservationRules(_Rule):
    """All rules of observations."""

    id: Literal["observation"]
    title: Text
    valid_from: date
    valid_to: date | None
    orthophoto: OrthophotoRule
    cameras: CameraRule
    snapshots: SnapshotRule
    readings: ReadingRule
    checks: ChecksRule


def read_observation_rules(layers_dir: Path) -> ObservationRules:
    """The rules beside the layers; an unchanged file is not read again.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rule_file(ObservationRules, layers_dir, "observation")
