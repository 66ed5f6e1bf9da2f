"""Soil erosion by RUSLE (修正通用土壤流失方程): the factors R, K, LS and C, soil loss, and soil conservation (水土保持).

On a province every cell goes through these functions, so slope, cover and texture are looked up in tables made once by
the plain formulas: slope by 1/64°, cover by the step of the rule, texture by ½ %. A table entry is the formula's value
at the rounded input, for every block, thread and host the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.grading import quantise
from analyses.terrain import metres_per_degree
from spatial.compiled import compiled
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.ecology_rules import CoverManagementRule, DailyErosivityRule, EcologicalRules, MonthlyErosivityRule

__all__ = [
    "LS_STEP",
    "SI_PER_US_K",
    "SLOPE_STEP",
    "UNIT_PLOT_M",
    "ErosionTables",
    "cover_management",
    "cover_management_table",
    "default_slope_length",
    "erodibility_epic",
    "erosion_tables",
    "length_exponent",
    "ls_factor",
    "ls_table",
    "rain_erosivity_daily",
    "rain_erosivity_monthly",
    "slope_length_factor",
    "slope_steepness_factor",
    "soil_conservation",
    "soil_erodibility",
    "soil_loss",
]

SLOPE_STEP = 1 / 64
"""Degrees; slope comes in multiples of it."""

SI_PER_US_K = 0.1317
"""t·hm²·h/(hm²·MJ·mm) in one US customary unit of K."""

UNIT_PLOT_M = 22.13
"""Slope length of the unit plot (标准小区), on which L = 1."""

LS_STEP = 2.0**-10
"""LS comes in multiples of it."""

_ERODIBILITY_STEP = 2.0**-16
_MONTHS = 12


# -- R --------------------------------------------------------------------------------------------------------------------


def rain_erosivity_daily(
    rain: NDArray[Any], days: NDArray[np.datetime64], rule: DailyErosivityRule
) -> NDArray[np.float32]:
    """Rain erosivity (降雨侵蚀力) R from daily rain: mean yearly sum.

    Formula: R = (1/years) Σ α·P_d^1.7265 over days with P_d ≥ 12 mm; α = 0.3937 from May to September, 0.3101 otherwise.
    (The sum over the 24 half-months of a year is the sum over its days.)

    Parameters
    ----------
    rain : float (days, …), mm a day
        NaN = no value; a cell that lacks a day has none.
    days : datetime64[D] (days,)
        Whole calendar years, each day once.
    rule : DailyErosivityRule

    Returns
    -------
    float32 (…), MJ·mm/(hm²·h·a)

    Raises
    ------
    InvalidParameter
        If the days are not whole years: a summer left out would halve R.
    QualityViolation
        If rain is below 0 or above 2000 mm a day (wrong unit).

    Source: 生态保护红线划定指南（2017）水土保持；章文波等 (2003) 的日雨量模型一系。

    Examples
    --------
    >>> from analyses.ecology_rules import DailyErosivityRule
    >>> rule = DailyErosivityRule(title={"zh": "R", "en": "R"}, source="-", tag="own", valid_from="2017-07-01",
    ...     warm=0.3937, cold=0.3101, warm_months=(5, 6, 7, 8, 9), exponent=1.7265, erosive_from_mm=12)
    >>> days = np.arange("2021-01-01", "2022-01-01", dtype="datetime64[D]")
    >>> p = np.where(days == np.datetime64("2021-07-01"), 50.0, 11.9)
    >>> round(float(rain_erosivity_daily(p, days, rule)), 1)  # 0.3937 · 50^1.7265
    337.6
    """
    rain = np.asarray(rain, dtype=np.float64)
    dates = np.asarray(days).astype("datetime64[D]")
    years = dates.astype("datetime64[Y]")
    first, last = years.min(), years.max()
    whole = np.arange(first.astype("datetime64[D]"), (last + np.timedelta64(1, "Y")).astype("datetime64[D]"))
    if rain.shape[:1] != dates.shape or not np.array_equal(np.sort(dates), whole):
        raise InvalidParameter(
            f"日降水应覆盖整年、每日一次（{first} 至 {last} 应有 {whole.size} 天），"
            f"得到 {rain.shape[:1]} 层、{dates.size} 个日期",
            f"daily rain must cover whole years, each day once ({first} to {last}: {whole.size} days); got "
            f"{rain.shape[:1]} layers and {dates.size} dates",
            parameter="days",
        )
    known = rain[np.isfinite(rain)]
    if known.size and (known.min() < 0 or known.max() > 2000):
        raise QualityViolation(
            f"日降水为 {known.min():g}–{known.max():g}，应在 0–2000 mm 内，请检查单位",
            f"daily rain is {known.min():g} to {known.max():g}, not within 0 to 2000 mm; check the unit",
            expected_unit="mm",
        )
    month = dates.astype("datetime64[M]").astype(np.int64) % _MONTHS + 1
    alpha = np.where(np.isin(month, rule.warm_months), rule.warm, rule.cold)
    total = np.zeros(rain.shape[1:], dtype=np.float64)
    for layer, a in zip(rain, alpha, strict=True):  # one day at a time: fixed order, little memory
        total += np.where(
            layer >= rule.erosive_from_mm,
            a * np.maximum(layer, 0) ** rule.exponent,
            np.where(np.isnan(layer), np.nan, 0),
        )
    return np.asarray(total / (int((last - first).astype(np.int64)) + 1)).astype(np.float32)


def _monthly(rain: Any, scale: Any, exponent: Any, inverse_step: Any, out: Any) -> None:
    months = rain.shape[0]
    for i in range(out.size):
        year = 0.0
        for m in range(months):
            year += rain[m, i]
        total = 0.0
        if year > 0.0:
            for m in range(months):
                p = np.float64(rain[m, i])
                x = p * p / year
                total += x * np.sqrt(x) if exponent == 1.5 else x**exponent
        out[i] = np.rint(scale * total * inverse_step) / inverse_step if year == year else np.nan


def rain_erosivity_monthly(months: NDArray[Any], rule: MonthlyErosivityRule) -> NDArray[np.float32]:
    """Rain erosivity (降雨侵蚀力) R from mean monthly rain by Wischmeier, in SI units.

    Formula: R = 17.02 · Σ_{i=1}^{12} 1.735 · 10^{1.5 lg(p_i²/P) − 0.8188}, P = Σ p_i. Without 17.02 it is in US customary
    units (100 ft·tonf·in/(acre·h·a)), which the class table of sensitivity is written for.

    Parameters
    ----------
    months : float (12, …), mm
        NaN = no value in any month: none in the result.
    rule : MonthlyErosivityRule

    Returns
    -------
    float32 (…), MJ·mm/(hm²·h·a), multiples of the step of the rule

    Source: Wischmeier & Smith (1978) USDA AH-537; units: Foster et al. (1981) J. Soil Water Conserv. 36(6).

    Examples
    --------
    >>> from analyses.ecology_rules import MonthlyErosivityRule
    >>> rule = MonthlyErosivityRule(title={"zh": "R", "en": "R"}, source="-", tag="own", valid_from="2017-07-01",
    ...     factor=1.735, exponent=1.5, offset=0.8188, si_per_us=17.02, step=1)
    >>> float(rain_erosivity_monthly(np.full((12, 1), 100.0), rule)[0])  # US: 12 · 1.735 · 10^(1.5 lg(100/12) − 0.8188)
    1294.0
    """
    rain = np.asarray(months)
    if rain.shape[0] != _MONTHS:
        raise InvalidParameter(
            f"月降水应为 12 层，得到 {rain.shape[0]} 层",
            f"monthly rain needs 12 layers, got {rain.shape[0]}",
            parameter="months",
        )
    out = np.empty(rain.shape[1:], dtype=np.float32)
    scale = rule.si_per_us * rule.factor * 10.0**-rule.offset
    flat = np.ascontiguousarray(rain).reshape(_MONTHS, -1)
    compiled(_monthly)(flat, scale, rule.exponent, 1.0 / (rule.step or 2.0**-10), out.reshape(-1))
    return out


# -- K --------------------------------------------------------------------------------------------------------------------


def erodibility_epic(sand: Any, silt: Any, clay: Any, organic_carbon: Any) -> NDArray[np.float64]:
    """Soil erodibility K by EPIC, in US customary units, by the plain formula.

    Formula: {0.2 + 0.3 exp[−0.0256 sa (1 − si/100)]} · [si/(cl + si)]^0.3 · {1 − 0.25 oc/[oc + exp(3.72 − 2.95 oc)]} ·
    {1 − 0.7 sn/[sn + exp(−5.51 + 22.9 sn)]}, sn = 1 − sa/100.

    Parameters
    ----------
    sand, silt, clay, organic_carbon : float, %
        A soil without silt and clay (pure sand) has 0 in the second factor.

    Returns
    -------
    float64, same shape

    Source: Sharpley & Williams (1990) EPIC, USDA TB-1768; as used in 生态保护红线划定指南（2017）.

    Examples
    --------
    >>> round(float(erodibility_epic(40, 40, 20, 1.0)), 4)
    0.2954
    """
    sa, si, cl, oc = (np.asarray(v, dtype=np.float64) for v in (sand, silt, clay, organic_carbon))
    sn = 1 - sa / 100
    return np.asarray(
        (0.2 + 0.3 * np.exp(-0.0256 * sa * (1 - si / 100)))
        * _fine_share(si, cl) ** 0.3
        * (1 - 0.25 * oc / (oc + np.exp(3.72 - 2.95 * oc)))
        * (1 - 0.7 * sn / (sn + np.exp(-5.51 + 22.9 * sn)))
    )


def _fine_share(silt: NDArray[np.float64], clay: NDArray[np.float64]) -> NDArray[np.float64]:
    both = silt + clay
    return np.asarray(silt / np.where(both > 0, both, 1))


_TEXTURE_CELLS = 201
_CARBON_CELLS = 16 * 60 + 1


@lru_cache(maxsize=1)
def _erodibility_tables() -> tuple[NDArray[np.float64], ...]:
    half = np.arange(_TEXTURE_CELLS) / 2
    sand, silt = half[:, np.newaxis], half[np.newaxis, :]
    carbon = np.arange(_CARBON_CELLS) / 16
    sn = 1 - half / 100
    return (
        (0.2 + 0.3 * np.exp(-0.0256 * sand * (1 - silt / 100)))
        * (1 - 0.7 * sn / (sn + np.exp(-5.51 + 22.9 * sn)))[:, None],
        _fine_share(half[np.newaxis, :], half[:, np.newaxis]) ** 0.3,
        1 - 0.25 * carbon / (carbon + np.exp(3.72 - 2.95 * carbon)),
    )


def _erodibility(sand: Any, silt: Any, clay: Any, carbon: Any, coarse: Any, fine: Any, organic: Any, out: Any) -> None:
    for i in range(out.size):
        total = sand[i] + silt[i] + clay[i] + carbon[i]
        if total != total:
            out[i] = np.nan
            continue
        a = min(max(int(np.rint(sand[i] * 2.0)), 0), 200)
        b = min(max(int(np.rint(silt[i] * 2.0)), 0), 200)
        c = min(max(int(np.rint(clay[i] * 2.0)), 0), 200)
        o = min(max(int(np.rint(carbon[i] * 16.0)), 0), organic.size - 1)
        k = (-0.01383 + 0.51575 * (coarse[a, b] * fine[c, b] * organic[o])) * 0.1317
        out[i] = np.rint(max(k, 0.0) * 65536.0) / 65536.0


def soil_erodibility(sand: Any, silt: Any, clay: Any, organic_carbon: Any) -> NDArray[np.float32]:
    """Soil erodibility (土壤可蚀性) K in SI units, corrected for China.

    Formula: K = max(0, −0.01383 + 0.51575·K_EPIC) · 0.1317; texture rounded to ½ %, organic carbon to 1/16 %.

    Parameters
    ----------
    sand, silt, clay, organic_carbon : float32, one shape, %
        0–100, 0–60; NaN = no value.

    Returns
    -------
    float32, same shape, t·hm²·h/(hm²·MJ·mm), multiples of 2⁻¹⁶

    Source: 张科利等 (2007) 土壤学报 44(1) (correction, by 生态保护红线划定指南 2017); EPIC: see `erodibility_epic`.

    Examples
    --------
    >>> f = np.float32
    >>> round(float(soil_erodibility(f(40), f(40), f(20), f(1))), 4)  # (−0.01383 + 0.51575 · 0.2954) · 0.1317
    0.0182
    """
    arrays = [np.ascontiguousarray(v, dtype=np.float32) for v in (sand, silt, clay, organic_carbon)]
    out = np.empty(np.shape(sand), dtype=np.float32)
    compiled(_erodibility)(*(a.reshape(-1) for a in arrays), *_erodibility_tables(), out.reshape(-1))
    return out


# -- LS -------------------------------------------------------------------------------------------------------------------


def slope_steepness_factor(slope: Any) -> NDArray[np.float64]:
    """Slope steepness factor (坡度因子) S.

    Formula: 10.8 sin θ + 0.03 (θ < 5.14°); 16.8 sin θ − 0.5 (5.14–10.2°); 21.91 sin θ − 0.96 (10.2–28.81°); 9.5988 above.

    Parameters
    ----------
    slope : float, degrees, 0–90

    Returns
    -------
    float64, same shape, ≥ 0.03

    Source: McCool et al. (1987), doi 10.13031/2013.30576; 刘宝元等 (1994), doi 10.13031/2013.28273 (steep slopes).

    Examples
    --------
    >>> slope_steepness_factor([0, 5.142, 28.81, 60]).round(3).tolist()
    [0.03, 1.006, 9.599, 9.599]
    """
    theta = np.asarray(slope, dtype=np.float64)
    s = np.sin(np.radians(theta))
    return np.select(
        [theta < 5.14, theta < 10.2, theta < 28.81], [10.8 * s + 0.03, 16.8 * s - 0.5, 21.91 * s - 0.96], 9.5988
    )


def length_exponent(slope: Any) -> NDArray[np.float64]:
    """Exponent m of the slope length factor: m = β/(1 + β), β = (sin θ/0.0896)/(3 sin^0.8 θ + 0.56); 0 on flat land.

    Source: Renard et al. (1997) USDA AH-703, eq. 4-2 and 4-3 (moderate rill to interrill ratio).
    """
    s = np.sin(np.radians(np.asarray(slope, dtype=np.float64)))
    beta = (s / 0.0896) / (3 * s**0.8 + 0.56)
    return np.asarray(beta / (1 + beta))


def slope_length_factor(slope: Any, slope_length: float) -> NDArray[np.float64]:
    """Slope length factor (坡长因子) L.

    Formula: L = (λ/22.13)^m, m = β/(1 + β), β = (sin θ/0.0896)/(3 sin^0.8 θ + 0.56).

    Parameters
    ----------
    slope : float, degrees, 0–90
    slope_length : float, m
        Horizontal slope length λ.

    Returns
    -------
    float64, same shape, > 0; 1 where λ = 22.13 m or the slope is 0

    Source: Renard et al. (1997) USDA AH-703, eq. 4-1 to 4-3 (moderate rill to interrill ratio).

    Examples
    --------
    >>> slope_length_factor([0, 10], 22.13).tolist(), round(float(slope_length_factor(10, 88.52)), 3)
    ([1.0, 1.0], 2.293)
    """
    return np.asarray((slope_length / UNIT_PLOT_M) ** length_exponent(slope))


def ls_table(slope_length: float) -> NDArray[np.float64]:
    """L·S of every slope 0, 1/64, … 90°; float64 (5761,), multiples of 2⁻¹⁰."""
    slopes = np.arange(round(90 / SLOPE_STEP) + 1) * SLOPE_STEP
    return np.asarray(
        np.rint(slope_length_factor(slopes, slope_length) * slope_steepness_factor(slopes) / LS_STEP) * LS_STEP
    )


def ls_factor(slope: NDArray[Any], slope_length: float) -> NDArray[np.float32]:
    """Topographic factor (地形因子) LS of each cell by its own slope and one slope length.

    Each cell is one slope; water that gathers from above is not counted (`analyses.slope_length.ls_upslope` counts it).

    Parameters
    ----------
    slope : float32, degrees, 0–90, rounded to 1/64°; NaN = no value
    slope_length : float, m

    Returns
    -------
    float32, same shape, multiples of 2⁻¹⁰

    Examples
    --------
    >>> ls_factor(np.array([0.0, np.nan], np.float32), 30.75).tolist()
    [0.0302734375, nan]
    """
    table = ls_table(slope_length)
    values = np.asarray(slope, dtype=np.float64)
    known = np.isfinite(values)
    index = np.rint(np.where(known, values, 0) / SLOPE_STEP).astype(np.int64).clip(0, table.size - 1)
    return np.where(known, table[index], np.nan).astype(np.float32)


def default_slope_length(cell_degrees: float, rules: EcologicalRules) -> float:
    """Slope length (坡长) λ, m: the height of a cell, at most the rule's maximum.

    One value for a run, taken at the rule's latitude, so that a window and the province agree.

    Parameters
    ----------
    cell_degrees : float
        Height of a cell.
    """
    rule = rules.slope_length
    _, metres = metres_per_degree(rule.reference_latitude)
    length = min(float(metres) * round(cell_degrees, 10), rule.maximum)
    return float(quantise(np.array(length), rule.step))


# -- C --------------------------------------------------------------------------------------------------------------------


def cover_management_table(rule: CoverManagementRule, cover_step: float) -> NDArray[np.float64]:
    """C of each land-use code and cover 0, step, … 1; float64 (codes, n).

    NaN for codes that the rule does not know; the last row stands for all higher codes.
    """
    cover = np.arange(round(1 / cover_step) + 1) * cover_step
    highest = max(*rule.land_use, *rule.fixed, *rule.dryland.codes)
    table = np.full((highest + 2, cover.size), np.nan)
    # «70–90» and «>90»: the last break belongs below, the others above.
    classes = np.searchsorted(np.array(rule.breaks[:-1]), cover, side="right") + (cover > rule.breaks[-1])
    for code, family in rule.land_use.items():
        table[code] = np.array(rule.families[family])[classes]
    for code, value in rule.fixed.items():
        table[code] = value
    with np.errstate(divide="ignore"):
        bare = np.clip(rule.dryland.intercept - rule.dryland.slope * np.log10(cover), 0, 1)
    for code in rule.dryland.codes:
        table[code] = bare
    return table


def cover_management(
    land_use: NDArray[np.uint8], cover: NDArray[Any], rule: CoverManagementRule, cover_step: float
) -> NDArray[np.float32]:
    """Cover and management factor (植被覆盖与管理因子) C.

    Parameters
    ----------
    land_use : uint8
        Code; 0 or a code without row: no value.
    cover : float32, fraction 0–1, multiples of `cover_step`
    rule : CoverManagementRule
    cover_step : float

    Returns
    -------
    float32, same shape, 0–1

    Raises
    ------
    QualityViolation
        If cover exceeds 1: percent would give dryland a negative C.

    Source: 生态保护红线划定指南（2017）.
    """
    values = np.asarray(cover, dtype=np.float64)
    known = np.isfinite(values)
    if known.any() and (values[known].min() < 0 or values[known].max() > 1):
        raise QualityViolation(
            f"植被覆盖度为 {values[known].min():g}–{values[known].max():g}，应为 0–1 的小数（不是百分数）",
            f"vegetation cover is {values[known].min():g} to {values[known].max():g}; give a fraction 0–1, not percent",
            expected_unit="1",
        )
    table = cover_management_table(rule, cover_step)
    index = np.rint(np.where(known, values, 0) / cover_step).astype(np.int64)
    return np.where(known, table[np.minimum(land_use, table.shape[0] - 1), index], np.nan).astype(np.float32)


# -- A --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ErosionTables:
    """Lookup tables of one run: LS by slope, C by land use and cover, and which land use counts as a service."""

    slope_length: float
    ls: NDArray[np.float64]
    c: NDArray[np.float64]
    natural: NDArray[np.bool_]
    cover_step: float
    step: float


def erosion_tables(rules: EcologicalRules, *, slope_length: float) -> ErosionTables:
    """Tables for `soil_loss` and `soil_conservation`."""
    natural = np.zeros(256, dtype=np.bool_)
    natural[list(rules.natural.codes)] = True
    return ErosionTables(
        slope_length,
        ls_table(slope_length),
        cover_management_table(rules.cover_management, rules.cover.step),
        natural,
        rules.cover.step,
        rules.soil_conservation.step,
    )


def _rusle(
    r: Any, k: Any, slope: Any, cover: Any, land_use: Any, own: Any, ls: Any, c: Any, counted: Any, kept: Any,
    per_cover: Any, per_step: Any, out: Any,
) -> None:  # fmt: skip
    """Soil loss, or (`kept`) soil conservation of the `counted` land use; 0 for other known land use.

    LS is that of the cell (`own`), or looked up by its slope where `own` is empty.
    """
    by_slope = own.size == 0
    for i in range(out.size):
        code = land_use[i]
        total = r[i] + k[i] + slope[i] + cover[i]
        if code == 0 or total != total:
            out[i] = np.nan
            continue
        topography = ls[min(max(int(np.rint(slope[i] * 64.0)), 0), ls.size - 1)] if by_slope else np.float64(own[i])
        v = min(max(int(np.rint(cover[i] * per_cover)), 0), c.shape[1] - 1)
        factor = c[min(code, c.shape[0] - 1), v]
        if factor != factor:
            out[i] = np.nan
            continue
        if kept:
            factor = 1.0 - factor if counted[code] else 0.0
        out[i] = np.rint(np.float64(r[i]) * np.float64(k[i]) * topography * factor * per_step) / per_step


def _run_rusle(
    tables: ErosionTables, r: Any, k: Any, slope: Any, cover: Any, land_use: Any, ls: Any, kept: bool
) -> NDArray[np.float32]:
    arrays = [np.ascontiguousarray(v, dtype=np.float32).reshape(-1) for v in (r, k, slope, cover)]
    out = np.empty(np.shape(slope), dtype=np.float32)
    codes = np.ascontiguousarray(land_use, dtype=np.uint8).reshape(-1)
    compiled(_rusle)(
        *arrays,
        codes,
        np.empty(0, np.float32) if ls is None else np.ascontiguousarray(ls, dtype=np.float32).reshape(-1),
        tables.ls,
        tables.c,
        tables.natural,
        kept,
        1 / tables.cover_step,
        1 / tables.step,
        out.reshape(-1),
    )
    return out


def soil_loss(
    tables: ErosionTables, *, r: Any, k: Any, slope: Any, cover: Any, land_use: Any, ls: Any = None
) -> NDArray[np.float32]:
    """Mean yearly soil loss (土壤侵蚀量) A = R·K·L·S·C (support practice P = 1), t/(hm²·a).

    Parameters
    ----------
    tables : ErosionTables
    r : float32, MJ·mm/(hm²·h·a)
    k : float32, t·hm²·h/(hm²·MJ·mm)
    slope : float32, degrees, multiples of 1/64
    cover : float32, 0–1
    land_use : uint8
        All one shape; NaN and code 0 = no value.
    ls : float32, optional
        LS of each cell (`analyses.slope_length.ls_upslope`); by default it follows from the slope and the one slope length
        of `tables`.

    Returns
    -------
    float32, same shape, multiples of the step of the rule

    Source: Renard et al. (1997) USDA AH-703.
    """
    return _run_rusle(tables, r, k, slope, cover, land_use, ls, kept=False)


def soil_conservation(
    tables: ErosionTables, *, r: Any, k: Any, slope: Any, cover: Any, land_use: Any, ls: Any = None
) -> NDArray[np.float32]:
    """Soil conservation (水土保持量) A_c = R·K·L·S·(1 − C), t/(hm²·a); 0 outside natural ecosystems.

    Parameters as in `soil_loss`.

    Source: 生态保护红线划定指南（2017）模型评价法.
    """
    return _run_rusle(tables, r, k, slope, cover, land_use, ls, kept=True)
