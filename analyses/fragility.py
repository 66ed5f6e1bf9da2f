"""Ecological fragility (生态脆弱性): sensitivity to water and soil loss, to rocky and to sandy desertification.

Each component of an index has the level 1, 3 or 5; the index is their geometric mean, 1 … 5, and rises with
sensitivity. The possible means are few, so they are looked up by the product of the levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.compiled import compiled
from spatial.errors import GridMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.ecology_rules import DrynessRule, EcologicalRules, TextureRow
    from analyses.grading import LevelTable

__all__ = [
    "INDEX_STEP",
    "FragilityTables",
    "dryness_index",
    "fragility_tables",
    "index_table",
    "rocky_desertification",
    "sandy_desertification",
    "texture_table",
    "water_soil_loss",
]

INDEX_STEP = 2.0**-8
"""The index is stored in multiples of it."""

_HALF_PERCENT = 201


def index_table(components: int) -> NDArray[np.float32]:
    """Geometric mean of `components` levels by their product; float32 (5^components + 1,).

    Examples
    --------
    >>> t = index_table(4)
    >>> t[1], t[81], t[625], round(float(t[3 * 5 * 5 * 1]), 2)
    (np.float32(1.0), np.float32(3.0), np.float32(5.0), 2.94)
    """
    product = np.arange(5**components + 1, dtype=np.float64)
    return np.asarray(np.rint(product ** (1 / components) / INDEX_STEP) * INDEX_STEP).astype(np.float32)


def texture_table(rows: Sequence[TextureRow]) -> NDArray[np.uint8]:
    """Level of a soil by sand (row) and clay (column) in ½ %; silt is the rest. uint8 (201, 201).

    The first row that holds decides.
    """
    half = np.arange(_HALF_PERCENT) / 2
    sand, clay = half[:, np.newaxis], half[np.newaxis, :]
    silt = 100 - sand - clay
    table = np.zeros((_HALF_PERCENT, _HALF_PERCENT), dtype=np.uint8)
    for row in rows:
        holds = (sand >= row.sand_from) & (clay >= row.clay_from) & (clay < row.clay_below)
        if row.silt_from > 0:
            holds = holds & (silt >= row.silt_from)
        table[(table == 0) & holds] = row.level
    return table


@dataclass(frozen=True, slots=True)
class FragilityTables:
    """Lookup tables of one run."""

    excluded: NDArray[np.bool_]
    four: NDArray[np.float32]
    three: NDArray[np.float32]
    per_si: float
    """Factor from R in SI units to the unit of the class table."""
    rules: EcologicalRules
    loss_texture: NDArray[np.uint8]
    sand_texture: NDArray[np.uint8]


def fragility_tables(rules: EcologicalRules) -> FragilityTables:
    """Tables for the three sensitivities."""
    excluded = np.zeros(256, dtype=np.bool_)
    excluded[list(rules.not_sensitive.codes)] = True
    us = rules.water_soil_loss.erosivity_unit == "us"
    return FragilityTables(
        excluded,
        index_table(4),
        index_table(3),
        1 / rules.erosivity_monthly.si_per_us if us else 1.0,
        rules,
        texture_table(rules.water_soil_loss.texture),
        texture_table(rules.sandy_desertification.texture),
    )


def _four(
    a: Any, a_scale: Any, a_starts: Any, a_levels: Any, b: Any, b_starts: Any, b_levels: Any, sand: Any, clay: Any,
    texture: Any, cover: Any, c_starts: Any, c_levels: Any, land_use: Any, excluded: Any, table: Any, out: Any,
) -> None:  # fmt: skip
    """Index of two graded factors, texture and cover; compiled by numba."""
    for i in range(out.size):
        code = land_use[i]
        if code != 0 and excluded[code]:
            out[i] = 1.0
            continue
        total = a[i] + b[i] + sand[i] + clay[i] + cover[i]
        if code == 0 or total != total:
            out[i] = np.nan
            continue
        k = 0
        for s in a_starts:
            k += np.float64(a[i]) * a_scale >= s
        m = 0
        for s in b_starts:
            m += b[i] >= s
        n = 0
        for s in c_starts:
            n += cover[i] >= s
        x = min(max(int(np.rint(sand[i] * 2.0)), 0), 200)
        y = min(max(int(np.rint(clay[i] * 2.0)), 0), 200)
        out[i] = table[int(a_levels[k]) * int(b_levels[m]) * int(texture[x, y]) * int(c_levels[n])]


def _three(
    a: Any, a_over: Any, a_starts: Any, a_levels: Any, b: Any, b_starts: Any, b_levels: Any, cover: Any, c_starts: Any,
    c_levels: Any, land_use: Any, excluded: Any, table: Any, out: Any,
) -> None:  # fmt: skip
    for i in range(out.size):
        code = land_use[i]
        if code != 0 and excluded[code]:
            out[i] = 1.0
            continue
        total = a[i] + b[i] + cover[i]
        if code == 0 or total != total:
            out[i] = np.nan
            continue
        if a[i] <= a_over:
            out[i] = 1.0
            continue
        k = 0
        for s in a_starts:
            k += a[i] >= s
        m = 0
        for s in b_starts:
            m += b[i] >= s
        n = 0
        for s in c_starts:
            n += cover[i] >= s
        out[i] = table[int(a_levels[k]) * int(b_levels[m]) * int(c_levels[n])]


def _flat(
    arrays: Sequence[Any], land_use: Any
) -> tuple[list[NDArray[np.float32]], NDArray[np.uint8], NDArray[np.float32]]:
    shapes = {np.shape(v) for v in (*arrays, land_use)}
    if len(shapes) != 1:
        raise GridMismatch(
            f"各因子块大小不一：{sorted(shapes)}", f"the factor blocks differ in shape: {sorted(shapes)}"
        )
    flat = [np.ascontiguousarray(v, dtype=np.float32).reshape(-1) for v in arrays]
    codes = np.ascontiguousarray(land_use, dtype=np.uint8).reshape(-1)
    return flat, codes, np.empty(shapes.pop(), dtype=np.float32)


def _edges(table: LevelTable) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Rising lower ends as float32: a value that was written as 0.2 meets the edge 0.2, although neither is exact."""
    rows = sorted(table.levels, key=lambda row: row.start)
    starts = [
        np.nextafter(np.float32(row.over), np.float32(np.inf)) if row.over is not None else np.float32(row.start)
        for row in rows[1:]
    ]
    return np.array(starts, dtype=np.float32), np.array([row.level for row in rows], dtype=np.int8)


def water_soil_loss(
    tables: FragilityTables, *, r: Any, relief: Any, sand: Any, clay: Any, cover: Any, land_use: Any
) -> NDArray[np.float32]:
    """Sensitivity to water and soil loss (水土流失敏感性): SS = (R·K·LS·C)^(1/4) of levels 1, 3, 5.

    Levels (rule file): R < 100 → 1, 100–600 → 3, > 600 → 5 in US customary units; texture; relief 0–50 m, 50–300,
    > 300; cover ≥ 0.6 → 1, 0.2–0.6 → 3, ≤ 0.2 → 5.

    Parameters
    ----------
    tables : FragilityTables
    r : float32, MJ·mm/(hm²·h·a)
        SI; brought to the unit of the class table here.
    relief : float32, m
    sand, clay : float32, %
    cover : float32, 0–1
    land_use : uint8
        All one shape; NaN and code 0 = no value.

    Returns
    -------
    float32, same shape, 1–5, multiples of 2⁻⁸; 1 on land use without sensitivity (water)

    Source: 生态功能区划（2015）一系; classes in the rule file.
    """
    rule = tables.rules.water_soil_loss
    (a, b, sa, cl, co), codes, out = _flat((r, relief, sand, clay, cover), land_use)
    compiled(_four)(
        a, tables.per_si, *_edges(rule.erosivity), b, *_edges(rule.relief), sa, cl, tables.loss_texture, co,
        *_edges(rule.cover), codes, tables.excluded, tables.four, out.reshape(-1),
    )  # fmt: skip
    return out


def rocky_desertification(
    tables: FragilityTables, *, carbonate: Any, slope: Any, cover: Any, land_use: Any
) -> NDArray[np.float32]:
    """Sensitivity to rocky desertification (石漠化敏感性): S = (D·P·C)^(1/3) of levels 1, 3, 5.

    Levels (rule file): carbonate share ≤ 30 % → 1, 30–70 → 3, ≥ 70 → 5; slope ≤ 8° → 1, 8–25 → 3, ≥ 25 → 5; cover.
    Where no carbonate rock crops out the index is 1.

    Parameters
    ----------
    tables : FragilityTables
    carbonate : float32, %
    slope : float32, degrees
    cover : float32, 0–1
    land_use : uint8

    Returns
    -------
    float32, same shape, 1–5, multiples of 2⁻⁸

    Source: 生态功能区划（2015）一系; classes in the rule file.
    """
    rule = tables.rules.rocky_desertification
    (a, b, co), codes, out = _flat((carbonate, slope, cover), land_use)
    compiled(_three)(
        a, rule.carbonate_over, *_edges(rule.carbonate), b, *_edges(rule.slope), co, *_edges(rule.cover), codes,
        tables.excluded, tables.three, out.reshape(-1),
    )  # fmt: skip
    return out


def sandy_desertification(
    tables: FragilityTables, *, dryness: Any, sand_wind_days: Any, sand: Any, clay: Any, cover: Any, land_use: Any
) -> NDArray[np.float32]:
    """Sensitivity to sandy desertification (土地沙化敏感性): D = (I·W·K·C)^(1/4) of levels 1, 3, 5.

    Levels (rule file): dryness ≤ 1.5 → 1, 1.5–16 → 3, ≥ 16 → 5; days with wind over 6 m/s < 10, 10–30, > 30; texture
    clayey 1, loamy 3, sandy 5; cover.

    Parameters
    ----------
    tables : FragilityTables
    dryness : float32
        By `dryness_index`.
    sand_wind_days : float32, d
    sand, clay : float32, %
    cover : float32, 0–1
    land_use : uint8

    Returns
    -------
    float32, same shape, 1–5, multiples of 2⁻⁸

    Source: 生态功能区划（2015）一系; classes in the rule file.
    """
    rule = tables.rules.sandy_desertification
    (a, b, sa, cl, co), codes, out = _flat((dryness, sand_wind_days, sand, clay, cover), land_use)
    compiled(_four)(
        a, 1.0, *_edges(rule.dryness), b, *_edges(rule.sand_wind_days), sa, cl, tables.sand_texture, co,
        *_edges(rule.cover), codes, tables.excluded, tables.four, out.reshape(-1),
    )  # fmt: skip
    return out


DAYS = (31.0, 28.25, 31.0, 30.0, 31.0, 30.0, 31.0, 31.0, 30.0, 31.0, 30.0, 31.0)


def dryness_index(temperature: NDArray[Any], rain: NDArray[Any], rule: DrynessRule) -> NDArray[np.float32]:
    """Dryness (干燥度指数) of the warm season: I = 0.16·ΣT/ΣP over the months of at least 10 ℃.

    Parameters
    ----------
    temperature : float (12, …), ℃
        Monthly means; ΣT = mean × days of the month.
    rain : float (12, …), mm
        On the same grid.
    rule : DrynessRule

    Returns
    -------
    float32 (…), multiples of 1/256; 0 where no month is warm, NaN where rain or temperature is missing or no rain falls

    Source: 生态功能区划（2015）一系; 张宝堃 (1959) dryness.

    Examples
    --------
    >>> from analyses.ecology_rules import DrynessRule
    >>> rule = DrynessRule(title={"zh": "I", "en": "I"}, source="-", tag="own", valid_from="2015-11-01", factor=0.16,
    ...                    base_temperature=10)
    >>> t = np.where(np.arange(12) == 6, 20.0, 9.9); p = np.full(12, 100.0)
    >>> float(dryness_index(t, p, rule))  # 0.16 · 31 · 20 / 100 = 0.992
    0.9921875
    """
    t, p = np.asarray(temperature, dtype=np.float64), np.asarray(rain, dtype=np.float64)
    if t.shape != p.shape or t.shape[:1] != (12,):
        raise GridMismatch(
            f"气温与降水应同为 12 个月、同一格网，得到 {t.shape}、{p.shape}",
            f"temperature and rain must both be twelve months on one grid, got {t.shape} and {p.shape}",
        )
    heat, wet = np.zeros(t.shape[1:]), np.zeros(t.shape[1:])
    for month in range(12):
        warm = t[month] >= rule.base_temperature
        heat += np.where(warm, t[month] * DAYS[month], 0)
        wet += np.where(warm, p[month], 0)
    index = np.where(heat == 0, 0.0, rule.factor * heat / np.where(wet > 0, wet, np.nan))
    missing = np.isnan(t).any(axis=0) | np.isnan(p).any(axis=0)
    return np.where(missing, np.nan, np.rint(index * 256) / 256).astype(np.float32)
