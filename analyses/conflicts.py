"""Potential and conflict maps (潜力与冲突图) (a)–(f): where protection, suitability, hazard and present use meet.

Bit k of a cell is question k of `QUESTIONS`. Each question is judged in three values: yes, no, or not assessed where a
raster that it needs has no data (a part that is false decides without the others). No neighbourhood takes part, so the
result does not depend on blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from analyses.capacity_rules import CapacityRules, UseGroup
from analyses.zonal import areas_in_units
from spatial.catalog import Band, Text
from spatial.compiled import compiled
from spatial.errors import GridMismatch
from spatial.jobs.contract import Factor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

__all__ = [
    "CONFLICT_BANDS",
    "CONFLICT_COLUMNS",
    "CONFLICT_STYLE",
    "QUESTIONS",
    "ConflictBits",
    "conflict_areas",
    "conflict_bits",
    "conflict_factors",
    "conflict_rows",
]

QUESTIONS: dict[str, tuple[str, Text, tuple[str, ...]]] = {
    "eco_use": (
        "a",
        Text(zh="极重要区内的耕地、园地、人工林、建设用地", en="Present use inside extremely important land"),
        ("eco_class", "land_use"),
    ),
    "eco_cropland": (
        "b",
        Text(zh="极重要区内农业不适宜的耕地", en="Cropland in extremely important land, unsuitable for farming"),
        ("eco_class", "agri_class", "land_use"),
    ),
    "eco_built": (
        "c",
        Text(zh="极重要区内城镇不适宜的建设用地", en="Built-up land in extremely important land, unsuitable for towns"),
        ("eco_class", "urban_class", "land_use"),
    ),
    "hazard_built": (
        "d",
        Text(zh="地质灾害极高区内的建设用地", en="Built-up land where geological hazard is extreme"),
        ("geohazard", "land_use"),
    ),
    "cropland_potential": (
        "e",
        Text(zh="耕地潜力", en="Cropland potential"),
        ("eco_class", "agri_class", "land_use"),
    ),
    "urban_potential": (
        "f",
        Text(zh="城镇建设潜力", en="Urban potential"),
        ("eco_class", "urban_class", "land_use"),
    ),
}
"""Band → letter, title, rasters that it needs; in the order of the bits."""

YES, NO = 1, 2
_PARTS: tuple[UseGroup, ...] = ("cropland", "orchard", "plantation", "built")
CONFLICT_COLUMNS: tuple[str, ...] = (
    *(f"{name}_{state}" for name in QUESTIONS for state in ("unknown", "yes", "no")),
    *(f"eco_use_{part}" for part in _PARTS),
    *(f"cropland_potential_class_{k}" for k in range(1, 4)),
    *(f"urban_potential_class_{k}" for k in range(1, 4)),
    *(f"cropland_agri_class_{k}" for k in range(1, 4)),
    *(f"built_urban_class_{k}" for k in range(1, 4)),
)
"""Columns of `conflict_areas`: the six questions, (a) by present use, the potentials and present use by class."""
_AT = {name: k for k, name in enumerate(CONFLICT_COLUMNS)}
_PART = _AT["eco_use_cropland"] - 1
_CROPLAND_POTENTIAL, _URBAN_POTENTIAL = _AT["cropland_potential_class_1"] - 1, _AT["urban_potential_class_1"] - 1
_CROPLAND_CLASS, _BUILT_CLASS = _AT["cropland_agri_class_1"] - 1, _AT["built_urban_class_1"] - 1
CONFLICT_BANDS = tuple(
    Band(
        name=name,
        title=Text(zh=f"({letter}) {title.zh}", en=f"({letter}) {title.en}"),
        valid_range=(0, NO),
        domain={YES: Text(zh="是", en="Yes"), NO: Text(zh="否", en="No")},
    )
    for name, (letter, title, _) in QUESTIONS.items()
)
"""Bands of the conflict raster (uint8, nodata 0 = not assessed)."""
_COLOURS = ("#d7191c", "#e66101", "#5e3c99", "#a50026", "#1a9641", "#2c7bb6")
"""Of «yes» by question: conflicts warm, potentials green and blue."""


def _classes(colour: str) -> list[dict[str, Any]]:
    return [
        {"value": YES, "color": colour, "title": {"zh": "是", "en": "Yes"}},
        {"value": NO, "color": "#f0f0f066", "title": {"zh": "否", "en": "No"}},
    ]


CONFLICT_STYLE: dict[str, Any] = {
    "type": "classes",
    "band": "eco_use",
    "classes": _classes(_COLOURS[0]),
    "bands": {name: _classes(colour) for name, colour in list(zip(QUESTIONS, _COLOURS, strict=True))[1:]},
}


class ConflictBits(NamedTuple):
    """Two bit masks of one block, uint8 (rows, cols): bit k is question k of `QUESTIONS`."""

    bits: NDArray[np.uint8]
    """Yes."""
    assessed: NDArray[np.uint8]
    """Yes or no; a bit that is 0 here was not assessed."""

    def bands(self) -> NDArray[np.uint8]:
        """uint8 (6, rows, cols): 1 yes, 2 no, 0 not assessed, in the order of `CONFLICT_BANDS`.

        >>> ConflictBits(np.uint8([[1, 2]]), np.uint8([[3, 2]])).bands()[:2].tolist()
        [[[1, 0]], [[2, 1]]]
        """
        bit = (np.uint8(1) << np.arange(len(QUESTIONS), dtype=np.uint8))[:, np.newaxis, np.newaxis]
        yes, known = self.bits & bit != 0, self.assessed & bit != 0
        return np.where(yes, np.uint8(YES), np.where(known, np.uint8(NO), np.uint8(0)))


def _judge(
    eco: Any, agri: Any, urban: Any, use: Any, hazard: Any, farmland: Any, has: Any, limits: Any, truth: Any, keep: Any,
    bits: Any, assessed: Any,
) -> None:  # fmt: skip
    """Fill `bits` and `assessed`. Compiled by numba without fastmath; 1 true, 2 false, 0 unknown.

    `has` tells which of the six rasters are there, `keep` which questions can be asked; truth (6, 256) is the state of
    each land-use code for each question.
    """
    rows, cols = bits.shape
    extreme = limits[0]
    hazard_extreme = limits[1]
    for r in range(rows):
        for c in range(cols):
            code = use[r, c] if has[3] else 0
            inside = 0
            if has[0] and 1 <= eco[r, c] <= 3:
                inside = 1 if eco[r, c] == extreme else 2
            outside = 0 if inside == 0 else 3 - inside
            agri_bad = 0
            if has[1] and 1 <= agri[r, c] <= 3:
                agri_bad = 1 if agri[r, c] == 3 else 2
            urban_bad = 0
            if has[2] and 1 <= urban[r, c] <= 3:
                urban_bad = 1 if urban[r, c] == 3 else 2
            danger = 0
            if has[4] and hazard[r, c] != 0:
                danger = 1 if hazard[r, c] == hazard_extreme else 2
            free = 1
            if has[5]:
                free = 1 if farmland[r, c] == 0 else 2
            agri_good = 0 if agri_bad == 0 else 3 - agri_bad
            urban_good = 0 if urban_bad == 0 else 3 - urban_bad
            yes = 0
            known = 0
            for k in range(6):
                if not keep[k]:
                    continue
                first = inside
                second = 1
                third = 1
                if k == 1:
                    second = agri_bad
                elif k == 2:
                    second = urban_bad
                elif k == 3:
                    first = danger
                elif k == 4:
                    first = outside
                    second = agri_good
                elif k == 5:
                    first = outside
                    second = urban_good
                    third = free
                fourth = truth[k, code]
                if first == 2 or second == 2 or third == 2 or fourth == 2:
                    known |= 1 << k
                elif first == 1 and second == 1 and third == 1 and fourth == 1:
                    known |= 1 << k
                    yes |= 1 << k
            bits[r, c] = yes
            assessed[r, c] = known


def _add(bits: Any, assessed: Any, use: Any, agri: Any, urban: Any, units: Any, dm2: Any, out: Any) -> None:
    """Add one block to out (units, columns); `use` holds the numbers of `_PARTS`. Compiled by numba."""
    rows, cols = bits.shape
    for r in range(rows):
        area = dm2[r]
        for c in range(cols):
            unit = units[r, c]
            if unit == 0:
                continue
            row = out[unit - 1]
            yes = bits[r, c]
            known = assessed[r, c]
            for k in range(6):
                state = 1 if (yes >> k) & 1 else (2 if (known >> k) & 1 else 0)
                row[3 * k + state] += area
            part = use[r, c]
            if yes & 1 and part != 0:
                row[_PART + part] += area
            if agri.size and 1 <= agri[r, c] <= 3:
                if yes & 16:
                    row[_CROPLAND_POTENTIAL + agri[r, c]] += area
                if part == 1:
                    row[_CROPLAND_CLASS + agri[r, c]] += area
            if urban.size and 1 <= urban[r, c] <= 3:
                if yes & 32:
                    row[_URBAN_POTENTIAL + urban[r, c]] += area
                if part == 4:
                    row[_BUILT_CLASS + urban[r, c]] += area


_RASTERS = ("eco_class", "agri_class", "urban_class", "land_use", "geohazard", "farmland")


def conflict_bits(
    eco_class: NDArray[np.uint8] | None,
    agri_class: NDArray[np.uint8] | None,
    urban_class: NDArray[np.uint8] | None,
    land_use: NDArray[np.uint8] | None,
    geohazard: NDArray[np.uint8] | None = None,
    farmland: NDArray[np.uint8] | None = None,
    *,
    rules: CapacityRules,
) -> ConflictBits:
    """Answers to (a)–(f) on one block.

    Formula: (a) 极重要 ∧ use ∈ {cropland, orchard, plantation, built}; (b) 极重要 ∧ cropland ∧ agriculture 不适宜;
    (c) 极重要 ∧ built ∧ urban 不适宜; (d) hazard 极高 ∧ built; (e) {重要, 一般} ∧ agriculture {适宜, 一般适宜} ∧ use ∉
    {cropland, built, water, wetland}; (f) {重要, 一般} ∧ urban {适宜, 一般适宜} ∧ use ∉ {built, water, wetland} ∧ no
    permanent basic farmland.

    Parameters
    ----------
    eco_class : uint8, 1 极重要, 2 重要, 3 一般, 0 no data
    agri_class, urban_class : uint8, 1 适宜, 2 一般适宜, 3 不适宜, 0 no data
        The classes **before** 极重要 land is masked out; after the mask (b) and (c) would repeat (a).
    land_use : uint8
        Codes of the rule file; 0 no data.
    geohazard : uint8, 1 极高 … 5 低, 0 no data
    farmland : uint8, 1 permanent basic farmland, 0 not
        Only for (f); without it (f) is an upper bound and `conflict_factors` says so.
    rules : CapacityRules

    Returns
    -------
    ConflictBits
        A question without one of its rasters is assessed nowhere.

    Raises
    ------
    GridMismatch
        If the shapes differ.

    Source: public implementation CUGGISRS/spj (2019-08), overlays 1–6. Not among them, of this project: water, wetland,
    built-up land (e) and permanent basic farmland (f) are left out of the potentials.
    """
    given = (eco_class, agri_class, urban_class, land_use, geohazard, farmland)
    if farmland is not None and not rules.potential_exclusions.urban_permanent_farmland:
        given = (*given[:5], None)
    shapes = {name: array.shape for name, array in zip(_RASTERS, given, strict=True) if array is not None}
    if not shapes or len(set(shapes.values())) != 1:
        raise GridMismatch(
            f"叠加的栅格形状不一致或全部缺失：{shapes}",
            f"the rasters to overlay differ in shape or are all missing: {shapes}",
        )
    shape = next(iter(shapes.values()))
    arrays = [np.zeros((0, 0), np.uint8) if a is None else np.ascontiguousarray(a, dtype=np.uint8) for a in given]
    bits = np.empty(shape, dtype=np.uint8)
    assessed = np.empty(shape, dtype=np.uint8)
    compiled(_judge)(
        *arrays,
        np.array([a is not None for a in given], dtype=np.bool_),
        np.array([rules.conflicts.eco_extreme, rules.conflicts.hazard_extreme], dtype=np.int64),
        _truth(rules),
        np.array([set(needs) <= shapes.keys() for _, _, needs in QUESTIONS.values()], dtype=np.bool_),
        bits,
        assessed,
    )
    return ConflictBits(bits, assessed)


def _truth(rules: CapacityRules) -> NDArray[np.uint8]:
    """uint8 (6, 256): whether a land-use code meets each question: 1 yes, 2 no, 0 no data."""
    use, exclude, ours = rules.conflicts.use, rules.conflicts.exclude, rules.potential_exclusions
    table = np.zeros((len(QUESTIONS), 256), dtype=np.uint8)
    table[0] = rules.land_use.truth(use["eco_use"])
    table[1] = rules.land_use.truth(use["eco_cropland"])
    table[2] = rules.land_use.truth(use["eco_built"])
    table[3] = rules.land_use.truth(use["hazard_built"])
    table[4] = rules.land_use.truth((*exclude["cropland_potential"], *ours.cropland_potential))
    table[5] = rules.land_use.truth((*exclude["urban_potential"], *ours.urban_potential))
    flip = table[4:]
    flip[flip != 0] = 3 - flip[flip != 0]
    return table


def conflict_areas(
    found: ConflictBits,
    units: NDArray[np.uint16],
    dm2: NDArray[np.int64],
    count: int,
    *,
    land_use: NDArray[np.uint8] | None,
    agri_class: NDArray[np.uint8] | None,
    urban_class: NDArray[np.uint8] | None,
    rules: CapacityRules,
) -> NDArray[np.int64]:
    """Areas of one block by unit; the sum over all blocks goes to `conflict_rows`.

    Parameters
    ----------
    found : ConflictBits
    units : uint16 (rows, cols)
        1 … `count`; 0 none.
    dm2 : int64 (rows,), dm²
        See `spatial.units.whole_dm2`.
    count : int
    land_use, agri_class, urban_class : uint8
        As given to `conflict_bits`.

    Returns
    -------
    int64 (count, len(CONFLICT_COLUMNS)), dm²
    """
    shape = found.bits.shape
    if units.shape != shape or dm2.shape != shape[:1]:
        raise GridMismatch(
            f"单元栅格 {units.shape}、行面积 {dm2.shape} 与叠加结果 {shape} 不一致",
            f"unit raster {units.shape} and row areas {dm2.shape} do not fit the overlay {shape}",
        )
    numbers = np.zeros(256, dtype=np.uint8)
    for number, part in enumerate(_PARTS, start=1):
        numbers[list(rules.land_use.codes.get(part, ()))] = number
    parts = np.zeros(shape, np.uint8) if land_use is None else numbers[land_use]
    empty = np.zeros((0, 0), np.uint8)
    out = np.zeros((count, len(CONFLICT_COLUMNS)), dtype=np.int64)
    compiled(_add)(
        found.bits,
        found.assessed,
        parts,
        empty if agri_class is None else np.ascontiguousarray(agri_class, dtype=np.uint8),
        empty if urban_class is None else np.ascontiguousarray(urban_class, dtype=np.uint8),
        np.ascontiguousarray(units, dtype=np.uint16),
        np.ascontiguousarray(dm2, dtype=np.int64),
        out,
    )
    return out


def conflict_rows(
    sums: NDArray[np.int64],
    units: Sequence[tuple[str, str, Sequence[int]]],
    rules: CapacityRules,
    *,
    present: Iterable[str],
) -> list[dict[str, Any]]:
    """Table of (a)–(f) by unit, km² hm² 亩, and of present use by suitability class; a missing raster gives None.

    Parameters
    ----------
    sums : int64 (n, len(CONFLICT_COLUMNS)), dm²
    units : sequence of (code, name, numbers)
        Numbers 1 … n of the unit raster that make up each reported unit; their integer areas are added.
    rules : CapacityRules
    present : names of the rasters that took part, as the parameters of `conflict_bits`
    """
    there = set(present)
    rows = []
    for code, title, numbers in units:
        dm2 = sums[[number - 1 for number in numbers]].sum(axis=0)
        row: dict[str, Any] = {"code": code, "name": title}
        for name, (_, _, needs) in QUESTIONS.items():
            if not set(needs) <= there:
                row |= dict.fromkeys((f"{name}_km2", f"{name}_hm2", f"{name}_mu", f"{name}_not_assessed_km2"))
                continue
            row |= areas_in_units(int(dm2[_AT[f"{name}_yes"]]) / 100, name)
            row[f"{name}_not_assessed_km2"] = _km2(dm2, f"{name}_unknown")
        for part in _PARTS:
            known = {"eco_class", "land_use"} <= there and bool(rules.land_use.codes.get(part))
            row[f"eco_use_{part}_km2"] = _km2(dm2, f"eco_use_{part}") if known else None
        for stem, layer in (("cropland_agri_class", "agri_class"), ("built_urban_class", "urban_class")):
            known = {layer, "land_use"} <= there
            areas = [int(dm2[_AT[f"{stem}_{k}"]]) for k in range(1, 4)]
            for k in range(1, 4):
                row[f"{stem}_{k}_km2"] = _km2(dm2, f"{stem}_{k}") if known else None
            # Share of present use on 适宜 and 一般适宜 land: the reality check of the assessment.
            whole = sum(areas)
            row[f"{stem}_fit_percent"] = round(100 * (areas[0] + areas[1]) / whole, 4) if known and whole else None
        for stem in ("cropland_potential", "urban_potential"):
            known = set(QUESTIONS[stem][2]) <= there
            for k in (1, 2):
                row[f"{stem}_class_{k}_km2"] = _km2(dm2, f"{stem}_class_{k}") if known else None
        rows.append(row)
    return rows


def _km2(dm2: NDArray[np.int64], column: str) -> float:
    return round(int(dm2[_AT[column]]) / 1e8, 6)


def conflict_factors(present: Iterable[str], rules: CapacityRules) -> tuple[Factor, ...]:
    """Which of (a)–(f) were assessed, and why not."""
    there = set(present)
    rule = rules.conflicts
    found = []
    for name, (letter, title, needs) in QUESTIONS.items():
        missing = sorted(set(needs) - there)
        note = Text(zh="已评价", en="assessed")
        if missing:
            note = Text(zh=f"缺少 {'、'.join(missing)}", en=f"missing: {', '.join(missing)}")
        elif name == "eco_use" and not rules.land_use.codes.get("plantation"):
            note = Text(zh="现状用地没有人工商品林，此项未计", en="land use knows no plantations: they are left out")
        elif (
            name == "urban_potential"
            and rules.potential_exclusions.urban_permanent_farmland
            and "farmland" not in there
        ):
            note = Text(zh="缺少永久基本农田，结果偏大", en="permanent basic farmland is missing: an upper bound")
        found.append(
            Factor(
                f"conflict-{letter}",
                Text(zh=f"({letter}) {title.zh}", en=f"({letter}) {title.en}"),
                not missing,
                note,
                f"{rule.source} [{rule.tag}]",
            )
        )
    return tuple(found)
