"""The rule file of land cover, checked when it is read (``layers/rules/landcover.yml``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Range, Sourced, read_rules
from spatial.catalog import Text

__all__ = ["RULE_FILE", "SAME_GROUP", "UNCHANGED", "LandCoverClass", "LandCoverRules", "land_cover_rules"]

RULE_FILE = "landcover"
UNCHANGED = 1
"""Kind of change: the same class on both dates."""
SAME_GROUP = 11
"""Kind of change: another class of the same group (paddy and dryland)."""

Group = Literal["cropland", "orchard", "forest", "shrub", "grass", "water", "wetland", "built", "bare"]


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class LandCoverClass(_Row):
    """One class of the scheme and what it means for the factors of 双评价."""

    code: int = Field(ge=1, le=254)
    id: str
    title: Text
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    group: Group
    c_factor: str
    """Family of the cover factor C of RUSLE; ``fixed``: a number, ``dryland``: the formula."""
    runoff: str | None
    """Class of the runoff coefficient of water conservation; None: the table has none for this class."""
    natural: bool

    @property
    def is_cropland(self) -> bool:
        """Cropland (耕地): paddy or dryland."""
        return self.group == "cropland"

    @property
    def is_built(self) -> bool:
        """Built-up land (建设用地)."""
        return self.group == "built"


class ClassesRule(Sourced):
    """The classes of the scheme."""

    list: tuple[LandCoverClass, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for name in ("code", "id"):
            values = [getattr(row, name) for row in self.list]
            if len(set(values)) != len(values):
                raise ValueError(f"{name} of a class occurs twice")
        return self


class SceneRule(Sourced):
    """Bands of a scene in order, and the range of a reflectance."""

    bands: tuple[str, ...] = Field(min_length=1)
    plausible: Range


class ElevationRule(Sourced):
    """Range of an elevation."""

    plausible: Range


class IndexRow(_Row):
    """One normalised difference (a − b)/(a + b)."""

    id: str
    a: str
    b: str
    source: str = Field(min_length=1)


class IndicesRule(Sourced):
    """Spectral indices."""

    list: tuple[IndexRow, ...]


class ChangeRow(_Row):
    """One kind of change."""

    code: int = Field(ge=2, le=254)
    id: str
    title: Text
    color: str = Field(pattern=r"^#[0-9a-f]{6}$")
    from_: tuple[Group | Literal["any"], ...] = Field(alias="from", min_length=1)
    to: tuple[Group | Literal["any"], ...] = Field(min_length=1)

    def matches(self, before: str, after: str) -> bool:
        """Whether a change between two groups is of this kind."""
        return ("any" in self.from_ or before in self.from_) and ("any" in self.to or after in self.to)


class ChangesRule(Sourced):
    """Kinds of change, the first match holds; the last one must take what is left."""

    list: tuple[ChangeRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        codes = [row.code for row in self.list]
        if len(set(codes)) != len(codes) or SAME_GROUP in codes:
            raise ValueError(f"codes of changes must be unique and not {SAME_GROUP}")
        if "any" not in self.list[-1].from_ or "any" not in self.list[-1].to:
            raise ValueError("the last kind of change must be any → any")
        return self


class FoldsRule(Sourced):
    """Number of folds of the cross-validation."""

    folds: int = Field(ge=2)


class ReferenceRule(Sourced):
    """How many reference units a class needs."""

    least_per_class: int = Field(ge=2)


class LandCoverRules(BaseModel):
    """All rules of land cover."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["land-cover"]
    title: Text
    method: str
    valid_from: date
    valid_to: date | None
    classes: ClassesRule
    scene: SceneRule
    elevation: ElevationRule
    indices: IndicesRule
    changes: ChangesRule
    cross_validation: FoldsRule
    reference_sample: ReferenceRule

    @model_validator(mode="after")
    def _bands_exist(self) -> Self:
        for row in self.indices.list:
            if not {row.a, row.b} <= set(self.scene.bands):
                raise ValueError(f"index {row.id} needs a band that scene.bands lacks")
        return self

    @cached_property
    def by_code(self) -> dict[int, LandCoverClass]:
        """Class by code."""
        return {row.code: row for row in self.classes.list}

    def flag(self, name: Literal["cropland", "built", "water", "natural"]) -> NDArray[np.bool_]:
        """Table code → flag, bool (256,): ``rules.flag("cropland")[codes]`` is True on paddy and dryland."""
        table = np.zeros(256, dtype=bool)
        for row in self.classes.list:
            table[row.code] = row.natural if name == "natural" else row.group == name
        return table

    @cached_property
    def kinds(self) -> NDArray[np.uint8]:
        """Table [earlier code, later code] → kind of change, uint8 (256, 256); 0 where a code is not of the scheme."""
        table = np.zeros((256, 256), dtype=np.uint8)
        for before in self.classes.list:
            for after in self.classes.list:
                if before.code == after.code:
                    kind = UNCHANGED
                elif before.group == after.group:
                    kind = SAME_GROUP
                else:
                    kind = next(r.code for r in self.changes.list if r.matches(before.group, after.group))
                table[before.code, after.code] = kind
        return table


def land_cover_rules(rules: Mapping[str, Any]) -> LandCoverRules:
    """Rules of land cover out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model.
    """
    return read_rules(rules, RULE_FILE, LandCoverRules)
