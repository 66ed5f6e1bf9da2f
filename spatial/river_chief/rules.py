"""Rules of the desk (工作台规则): ``layers/rules/river_chief.yml``, checked when read."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spatial.catalog import Text
from spatial.errors import InvalidParameter
from spatial.rule_files import read_rule_file

__all__ = ["PHOTO_BOUND", "DeskRules", "Kind", "Severity", "StateRule", "StepRule", "read_desk_rules"]

PHOTO_BOUND = 50_000_000
"""Most bytes of a photo that the rules may allow: more would be held in memory by whoever uploads."""


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Sourced(_Rule):
    title: Text
    source: str = Field(min_length=1)
    tag: Literal["V-law", "V-page", "GK", "own"]
    valid_from: date


class StateRule(_Rule):
    """A state of a case (图斑状态) and the calendar days until its next step is due; None is no limit."""

    id: str
    title: Text
    days: int | None = Field(ge=1, le=3650)
    color: str


class StepRule(_Rule):
    """A step (办理步骤): from which states, to which, and to which other one if it finds the contrary."""

    id: Literal["check", "judge", "rectify", "review", "close", "return"]
    title: Text
    from_: tuple[str, ...] = Field(alias="from", min_length=1)
    to: str
    otherwise: str | None = None
    photos: int = Field(0, ge=0, le=20)
    role: str | None = None


class Kind(_Rule):
    """A kind of 四乱 problem."""

    id: str
    title: Text
    note: Text
    law: Text | None = None
    """Articles that forbid it (依据)."""
    law_source: str | None = None

    @model_validator(mode="after")
    def _law_has_its_source(self) -> Self:
        if (self.law is None) != (self.law_source is None):
            raise ValueError(f"kind {self.id}: law and law_source go together")
        return self


class Severity(_Rule):
    """A severity (严重程度): suggested from this area on, and the days to rectify."""

    id: str
    title: Text
    from_m2: float = Field(ge=0)
    days: int = Field(ge=1, le=3650)


class _States(_Sourced):
    list: tuple[StateRule, ...]


class _Steps(_Sourced):
    list: tuple[StepRule, ...]


class _Kinds(_Sourced):
    list: tuple[Kind, ...] = Field(min_length=1)


class _Severities(_Sourced):
    list: tuple[Severity, ...] = Field(min_length=1)


class _Matching(_Sourced):
    contact_m2: float = Field(ge=0)
    permit_share: float = Field(gt=0, le=1)
    inside_share: float = Field(gt=0, le=1)
    duplicate_share: float = Field(gt=0, le=1)
    rebound_share: float = Field(gt=0, le=1)
    reach_within_m: float = Field(gt=0)


class _CandidateFields(_Rule):
    title: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    kind: tuple[str, ...] = ()
    before_date: tuple[str, ...] = ()
    after_date: tuple[str, ...] = ()
    before_layer: tuple[str, ...] = ()
    after_layer: tuple[str, ...] = ()
    scene_collection: tuple[str, ...] = ("scene_collection",)
    scene_before: tuple[str, ...] = ("scene_before",)
    scene_after: tuple[str, ...] = ("scene_after",)


class _Layers(_Sourced):
    reaches: str
    permits: str
    range: str
    cases: str
    candidates: tuple[str, ...]
    fields: _CandidateFields
    kind_of: dict[str, str] = {}


class _Attachments(_Sourced):
    max_bytes: int = Field(gt=0, le=PHOTO_BOUND)
    max_pixels: int = Field(gt=0)
    types: tuple[Literal["image/jpeg", "image/png", "image/webp"], ...] = Field(min_length=1)
    far_m: float = Field(gt=0)
    most: int = Field(ge=1)


class _Patrols(_Sourced):
    most_vertices: int = Field(ge=2)
    fastest_kmh: float = Field(gt=0)
    longest_gap_m: float = Field(gt=0)
    near_m: float = Field(gt=0)
    lookback_days: int = Field(ge=1)


class _Evidence(_Sourced):
    picture: str = Field(min_length=1)
    size: int = Field(ge=64, le=1024)
    most_in_excel: int = Field(ge=0, le=5000)
    most_in_word: int = Field(ge=0, le=1000)


_STATES = ("issued", "checked", "judged", "rectifying", "reviewed", "closed")


class DeskRules(_Rule):
    """Everything that an authority may set without touching code."""

    id: Literal["river-chief"]
    title: Text
    valid_from: date
    valid_to: date | None
    states: _States
    steps: _Steps
    kinds: _Kinds
    severities: _Severities
    matching: _Matching
    layers: _Layers
    attachments: _Attachments
    evidence: _Evidence
    patrols: _Patrols

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        names = [state.id for state in self.states.list]
        if sorted(names) != sorted(_STATES):
            raise ValueError(f"states must be {', '.join(_STATES)}, each once")
        for step in self.steps.list:
            for name in (*step.from_, step.to, *([step.otherwise] if step.otherwise else [])):
                if name not in names:
                    raise ValueError(f"step {step.id}: no state {name!r}")
            if "closed" in step.from_:
                raise ValueError(f"step {step.id}: a closed case stays closed")
            if step.photos and not step.role:
                raise ValueError(f"step {step.id}: photos need a role")
        steps = [step.id for step in self.steps.list]
        if len(set(steps)) != len(steps):
            raise ValueError("a step stands twice")
        for code, kind in self.layers.kind_of.items():
            if self.kind(kind) is None:
                raise ValueError(f"layers.kind_of: {code} is no kind {kind!r}")
        edges = [severity.from_m2 for severity in self.severities.list]
        if edges != sorted(edges, reverse=True) or edges[-1] != 0:
            raise ValueError("severities must fall to from_m2 = 0")
        return self

    def state(self, name: str) -> StateRule:
        """A state by its id."""
        return next(state for state in self.states.list if state.id == name)

    def step(self, name: str) -> StepRule | None:
        """A step by its id, or None."""
        return next((step for step in self.steps.list if step.id == name), None)

    def kind(self, name: str) -> Kind | None:
        """A kind by its id, or None."""
        return next((kind for kind in self.kinds.list if kind.id == name), None)

    def kind_of(self, code: object) -> str | None:
        """Kind that a code of an alert layer stands for; None if it stands for none."""
        text = str(code)
        return text if self.kind(text) is not None else self.layers.kind_of.get(text)

    def severity(self, name: str) -> Severity | None:
        """A severity by its id, or None."""
        return next((severity for severity in self.severities.list if severity.id == name), None)

    def suggested(self, area_m2: float) -> Severity:
        """Severity that an area suggests."""
        return next(severity for severity in self.severities.list if area_m2 >= severity.from_m2)

    def is_candidate_layer(self, layer_id: str) -> bool:
        """True if features of the layer may be issued as cases."""
        return layer_id != self.layers.cases and any(fnmatch(layer_id, p) for p in self.layers.candidates)

    def require_candidate_layer(self, layer_id: str) -> None:
        """Raise `InvalidParameter` for a layer of which no feature may be issued as a case."""
        if not self.is_candidate_layer(layer_id):
            raise InvalidParameter(
                f"图层 {layer_id[:60]!r} 不是候选图层；可用的见 rules/river_chief.yml 的 layers.candidates",
                f"layer {layer_id[:60]!r} is no layer of candidates; see layers.candidates in rules/river_chief.yml",
                parameter="layer",
            )


def read_desk_rules(layers_dir: Path) -> DeskRules:
    """The rules beside the layers; an unchanged file is not read again.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rule_file(DeskRules, layers_dir, "river_chief")
