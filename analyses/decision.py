"""The decision chain (判别链) of urban suitability: factor grades → land → matrix → corrections → class and reason.

The chain is written once, for one cell, in `judge`; the raster kernel looks its answers up in a table of every
combination, so that the map and the explanation of a cell cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from analyses.grading import clip
from analyses.rules import UrbanRules

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Cell", "DecisionTable", "Reason", "Verdict", "judge"]


class Reason(IntEnum):
    """Limiting factor (限制因素) of a cell."""

    NONE = 1
    WATER_SURFACE = 2
    SLOPE = 3
    ELEVATION = 4
    RELIEF = 5
    WATER = 6
    LOCATION = 7


@dataclass(frozen=True, slots=True)
class Cell:
    """Graded factors of one cell; 0 means not assessed there."""

    slope: int
    elevation_step: int = 0
    relief_step: int = 0
    water: int = 1
    location: int = 0
    water_surface: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of the chain with its stations."""

    grade: int
    suitability: int
    reason: Reason
    land: int
    base: int


NOT_ASSESSED = 0


def judge(cell: Cell, rules: UrbanRules, *, location_assessed: bool) -> Verdict | None:
    """Class of one cell, or None if a factor that takes part has no value there.

    Chain (clip 1–5 after each): slope grade → + elevation → + relief = land; matrix[land, water] = base;
    water surface → 5; + location; {1, 2} → 1 适宜, {3, 4} → 2 一般适宜, {5} → 3 不适宜.
    The reason is the factor that worsened the grade most; of equals, the first in the chain.

    Source: 双评价技术指南 (2019-07), 城镇建设适宜性集成评价; the tables carry their own sources.
    """
    if cell.water_surface:
        grade = rules.water_surface.set
        return Verdict(grade, rules.classes.grades[grade], Reason.WATER_SURFACE, land=0, base=0)
    if cell.slope == 0 or cell.water == 0 or (location_assessed and cell.location == 0):
        return None
    worsened: dict[Reason, int] = {Reason.SLOPE: cell.slope - 1}
    lifted = rules.elevation.apply(cell.elevation_step, cell.slope)
    worsened[Reason.ELEVATION] = lifted - cell.slope
    land = rules.relief.apply(cell.relief_step, lifted)
    worsened[Reason.RELIEF] = land - lifted
    base = rules.matrix.at(land, cell.water)
    worsened[Reason.WATER] = base - rules.matrix.at(land, 1)
    grade = base
    if location_assessed:
        for correction in rules.location.corrections:
            if correction.grade == cell.location and base in correction.when:
                grade = clip(base + correction.add)
        worsened[Reason.LOCATION] = grade - base
    suitability = rules.classes.grades[grade]
    reason = Reason.NONE if suitability == 1 else max(worsened, key=lambda key: worsened[key])
    return Verdict(grade, suitability, reason, land, base)


class DecisionTable:
    """`judge` for every combination of grades, as arrays to look up.

    Parameters
    ----------
    rules : UrbanRules
    location_assessed : bool
        False leaves location out of the chain.
    """

    def __init__(self, rules: UrbanRules, *, location_assessed: bool) -> None:
        self.shape = (2, 6, len(rules.elevation.steps) + 1, len(rules.relief.steps) + 1, 6, 6)
        self.grade = np.zeros(self.shape, dtype=np.uint8)
        self.suitability = np.zeros(self.shape, dtype=np.uint8)
        self.reason = np.zeros(self.shape, dtype=np.uint8)
        for key in product(*(range(n) for n in self.shape)):
            surface, slope, elevation, relief, water, location = key
            cell = Cell(slope, elevation, relief, water, location, bool(surface))
            verdict = judge(cell, rules, location_assessed=location_assessed)
            if verdict is not None:
                self.grade[key] = verdict.grade
                self.suitability[key] = verdict.suitability
                self.reason[key] = verdict.reason

    def look_up(
        self,
        *,
        water_surface: NDArray[np.bool_],
        slope: NDArray[np.int8],
        elevation_step: NDArray[np.int8],
        relief_step: NDArray[np.int8],
        water: NDArray[np.int8],
        location: NDArray[np.int8],
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """Class (0–3), grade (0–5) and reason (0–7) of each cell; uint8, 0 = not assessed."""
        flat = np.zeros(slope.shape, dtype=np.int32)
        for size, part in zip(
            self.shape, (water_surface, slope, elevation_step, relief_step, water, location), strict=True
        ):
            flat = flat * size + part.astype(np.int32)
        return self.suitability.ravel()[flat], self.grade.ravel()[flat], self.reason.ravel()[flat]
