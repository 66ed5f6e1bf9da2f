"""Rules of the corridor candidates (四乱疑似图斑规则): ``layers/rules/corridor_candidates.yml``, checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Sourced, read_rules
from spatial.catalog import Text

__all__ = [
    "BARE",
    "BUILT",
    "DARK",
    "PILE",
    "SPARSE",
    "SURFACES",
    "UNSEEN",
    "VEGETATION",
    "WATER",
    "CandidateRules",
    "ChangeRow",
    "ChangeRule",
    "DredgerRule",
    "NetRule",
    "SurfaceRule",
    "candidate_rules",
]

UNSEEN, WATER, VEGETATION, SPARSE, BARE, BUILT, PILE, DARK = range(8)
"""Codes of what stands on a cell (地表类别)."""
SURFACES: dict[str, tuple[int, Text]] = {
    "water": (WATER, Text(zh="水面", en="water")),
    "vegetation": (VEGETATION, Text(zh="植被", en="vegetation")),
    "sparse": (SPARSE, Text(zh="稀疏植被", en="sparse vegetation")),
    "bare": (BARE, Text(zh="裸地", en="bare ground")),
    "built": (BUILT, Text(zh="建筑或硬化面", en="built-up or sealed")),
    "pile": (PILE, Text(zh="堆体（亮裸面）", en="heap (bright bare)")),
    "dark": (DARK, Text(zh="湿土或暗面", en="wet soil or dark")),
}


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class SurfaceRule(Sourced):
    """Thresholds of the surface classes, reflectance 0–1."""

    vegetation: float = Field(gt=0, lt=1)
    sparse: float = Field(gt=0, lt=1)
    slope: float
    built_brightness: float = Field(gt=0, lt=1)
    pile_brightness: float = Field(gt=0, lt=1)
    bare_brightness: float = Field(ge=0, lt=1)


class Scales(_Row):
    """What makes one unit of change of each feature."""

    ndvi: float = Field(gt=0)
    mndwi: float = Field(gt=0)
    bsi: float = Field(gt=0)
    brightness: float = Field(gt=0)


class ChangeRule(Sourced):
    """When a cell has changed, and what makes a patch of such cells a candidate."""

    scale: Scales
    least: float = Field(ge=0)
    season_days: int = Field(ge=1, le=183)
    least_before: int = Field(ge=1)
    baseline_days: int = Field(ge=1)
    least_m2: float = Field(gt=0)
    dominant: float = Field(gt=0.5, le=1)
    level_margin: float = Field(ge=0, lt=1)
    spoil_within_m: float = Field(ge=0)
    reach_within_m: float = Field(gt=0)
    permit_share: float = Field(gt=0, le=1)


class ChangeRow(_Row):
    """One row of the table: surface before and after, kind of 四乱."""

    id: str
    from_: tuple[str, ...] = Field(alias="from", min_length=1)
    to: tuple[str, ...] = Field(min_length=1)
    kind: Literal["occupation", "extraction", "dumping", "building"]
    season: bool
    confirm_days: int = Field(ge=0)
    title: Text


class TableRule(Sourced):
    """The rows; a pair of surfaces stands in one of them at most."""

    rows: tuple[ChangeRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _once(self) -> Self:
        pairs = [(a, b) for row in self.rows for a in row.from_ for b in row.to]
        strange = sorted({name for pair in pairs for name in pair} - set(SURFACES))
        if strange:
            raise ValueError(f"no surface {', '.join(strange)}; there are {', '.join(SURFACES)}")
        if len(set(pairs)) != len(pairs):
            raise ValueError("a pair of surfaces stands in two rows")
        return self


class DredgerRule(Sourced):
    """Bright targets on water and how long they stay."""

    inner_m: float = Field(gt=0)
    outer_m: float = Field(gt=0)
    clip_db: float = Field(gt=0)
    least_db: float = Field(gt=0)
    factor: float = Field(gt=0)
    shore_m: float = Field(ge=0)
    least_m2: float = Field(gt=0)
    most_m2: float = Field(gt=0)
    same_place_m: float = Field(gt=0)
    most_spread_m: float = Field(gt=0)
    least_dates: int = Field(ge=2)
    chance: float = Field(gt=0, lt=1)
    fixed_share: float = Field(gt=0, le=1)
    fixed_spread_m: float = Field(gt=0)


class NetRule(Sourced):
    """Lines on lake water that are no accident."""

    shore_m: float = Field(ge=0)
    background_m: float = Field(gt=0)
    line_m: float = Field(gt=0)
    factor: float = Field(gt=0)
    link_m: float = Field(gt=0)
    least_ha: float = Field(gt=0)
    oriented: float = Field(gt=0, le=1)
    grid_lines: int = Field(ge=1)
    row_lines: int = Field(ge=2)
    line_cells: int = Field(ge=2)
    least_looks: int = Field(ge=1)
    persist: float = Field(gt=0, le=1)


class CandidateRules(BaseModel):
    """All rules of the corridor candidates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["corridor-candidates"]
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    surface: SurfaceRule
    change: ChangeRule
    table: TableRule
    dredgers: DredgerRule
    nets: NetRule


def candidate_rules(rules: Mapping[str, Any]) -> CandidateRules:
    """Rules of the corridor candidates out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rules(rules, "corridor_candidates", CandidateRules)
