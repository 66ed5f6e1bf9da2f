"""The oracle of the urban chain: one cell of the 2019 guide walked by hand, written apart from `analyses.chain`.

It knows the stations that most provinces have: slope, elevation, relief, water, water surface, location.
"""

from __future__ import annotations

from dataclasses import dataclass

from analyses.grading import clip
from analyses.rules import UrbanRules

NONE = "none"


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
    """Result of the walk with its stations; `reason` is a station id or `NONE`."""

    grade: int
    suitability: int
    reason: str
    land: int
    base: int


def judge(cell: Cell, rules: UrbanRules, *, location_assessed: bool) -> Verdict | None:
    """Class of one cell, or None if a factor that takes part has no value there.

    Chain (clip 1–5 after each): slope grade → + elevation → + relief = land; matrix[land, water] = base;
    water surface → 5; + location; {1, 2} → 1 适宜, {3, 4} → 2 一般适宜, {5} → 3 不适宜.
    The reason is the factor that worsened the grade most; of equals, the first in the chain.

    Source: 双评价技术指南 (2019-07), 城镇建设适宜性集成评价; the tables carry their own sources.
    """
    if cell.water_surface:
        grade = rules.water_surface.set
        return Verdict(grade, rules.classes.grades[grade], "water-surface", land=0, base=0)
    if cell.slope == 0 or cell.water == 0 or (location_assessed and cell.location == 0):
        return None
    worsened: dict[str, int] = {"slope": cell.slope - 1}
    lifted = rules.elevation.apply(cell.elevation_step, cell.slope)
    worsened["elevation"] = lifted - cell.slope
    land = rules.relief.apply(cell.relief_step, lifted)
    worsened["relief"] = land - lifted
    base = rules.matrix.at(land, cell.water)
    worsened["water"] = base - rules.matrix.at(land, 1)
    grade = base
    if location_assessed:
        for correction in rules.location.corrections:
            if correction.grade == cell.location and base in correction.when:
                grade = clip(base + correction.add)
        worsened["location"] = grade - base
    suitability = rules.classes.grades[grade]
    reason = NONE if suitability == 1 else max(worsened, key=lambda key: worsened[key])
    return Verdict(grade, suitability, reason, land, base)
