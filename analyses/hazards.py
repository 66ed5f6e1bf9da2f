"""Hazards (灾害): hazard years from daily weather, agro-meteorological and geological hazard levels.

All levels read alike: 1 is the most dangerous, 5 the least. Functions on daily series take one year, days along the first
axis, and answer 1 (hazard year), 0 or NaN: a missing day makes the year unknown unless the other days settle it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.rules import Definition, GeohazardRule, MeteorologicalRule

__all__ = [
    "cold_year",
    "gale_year",
    "hazard_frequency",
    "heat_processes",
    "hot_year",
    "meteorological_hazard",
    "meteorological_score",
    "rain_year",
    "seismic_hazard",
    "subsidence_hazard",
    "susceptibility_hazard",
    "worst_hazard",
]

SAFEST = 5


def _settled(surely: NDArray[Any], known: NDArray[Any]) -> NDArray[np.float32]:
    return np.where(surely, 1.0, np.where(known, 0.0, np.nan)).astype(np.float32)


def _largest_sum(rain: NDArray[np.float64], days: int) -> NDArray[np.float64]:
    """Largest sum of `days` days in a row."""
    span = min(days, rain.shape[0])
    windows = np.lib.stride_tricks.sliding_window_view(rain, span, axis=0)
    return np.asarray(windows.sum(axis=-1).max(axis=0))


def rain_year(rain: NDArray[Any], years: Definition) -> NDArray[np.float32]:
    """Waterlogging year (涝): a sum of 10 days ≥ 250 mm or of 20 days ≥ 350 mm.

    Parameters
    ----------
    rain : float (days, …), mm a day
    years : Definition

    Returns
    -------
    float32 (…): 1, 0, NaN

    Source: 双评价技术指南 (2019-07), 农业气象灾害 (parameters of a public implementation).
    """
    series = np.asarray(rain, dtype=np.float64)
    dry = np.nan_to_num(series, nan=0.0)  # a missing day rains at least 0: the sums are lower bounds
    surely = (_largest_sum(dry, 10) >= years.rain_10d_mm) | (_largest_sum(dry, 20) >= years.rain_20d_mm)
    return _settled(surely, ~np.isnan(series).any(axis=0))


def heat_processes(highest: NDArray[Any], years: Definition) -> NDArray[np.int16]:
    """Number of heat processes (高温过程): runs of ≥ 3 days ≥ 35 ℃, or of 2 days ≥ 35 ℃ one of which is ≥ 38 ℃.

    Parameters
    ----------
    highest : float (days, …), ℃
        Daily maximum; NaN ends a run.

    Returns
    -------
    int16 (…)
    """
    series = np.asarray(highest, dtype=np.float64)
    run = np.zeros(series.shape[1:], dtype=np.int32)
    very = np.zeros(series.shape[1:], dtype=bool)
    count = np.zeros(series.shape[1:], dtype=np.int16)

    def close() -> NDArray[np.bool_]:
        return np.asarray((run >= years.process_days) | ((run >= years.very_hot_process_days) & very))

    for day in series:
        hot = day >= years.hot_c
        count += ~hot & close()
        very = np.where(hot, very | (day >= years.very_hot_c), False)
        run = np.where(hot, run + 1, 0)
    return (count + close()).astype(np.int16)


def hot_year(highest: NDArray[Any], years: Definition) -> NDArray[np.float32]:
    """High-temperature year (高温): ≥ 3 heat processes or ≥ 30 days ≥ 35 ℃.

    Parameters
    ----------
    highest : float (days, …), ℃, daily maximum

    Returns
    -------
    float32 (…): 1, 0, NaN
    """
    series = np.asarray(highest, dtype=np.float64)
    known = ~np.isnan(series).any(axis=0)
    days = (series >= years.hot_c).sum(axis=0) >= years.hot_days
    # A gap can cut one process into two: processes count only in a year without gaps.
    return _settled(days | (known & (heat_processes(series, years) >= years.processes)), known)


def gale_year(wind: NDArray[Any], years: Definition) -> NDArray[np.float32]:
    """Gale year (大风): ≥ 30 days ≥ 17 m/s, or a day ≥ 24.5 m/s.

    Parameters
    ----------
    wind : float (days, …), m/s
        Daily maximum.

    Returns
    -------
    float32 (…): 1, 0, NaN
    """
    series = np.asarray(wind, dtype=np.float64)
    days = (series >= years.gale_m_s).sum(axis=0) >= years.gale_days
    return _settled(days | (series >= years.violent_gale_m_s).any(axis=0), ~np.isnan(series).any(axis=0))


def cold_year(
    mean: NDArray[Any], years: Definition, *, threshold_c: float, window: tuple[int, int]
) -> NDArray[np.float32]:
    """Cold-damage year (冷害): more than N days (20) below the crop's threshold within its growth window.

    Parameters
    ----------
    mean : float (days, …), ℃
        Daily mean.
    threshold_c : float, ℃
        Of the crop: there is no default.
    window : (first, last)
        Days of the year of the growth window, from 0, last excluded.

    Returns
    -------
    float32 (…): 1, 0, NaN
    """
    first, last = window
    if not 0 <= first < last <= len(mean):
        raise InvalidParameter(
            f"生长期 {window} 不在 0–{len(mean)} 天内", f"growth window {window} is not within 0–{len(mean)} days",
            parameter="window", value=list(window),
        )  # fmt: skip
    series = np.asarray(mean, dtype=np.float64)[first:last]
    return _settled((series < threshold_c).sum(axis=0) > years.cold_days, ~np.isnan(series).any(axis=0))


def hazard_frequency(
    series: NDArray[Any], starts: Sequence[int], year: Callable[[NDArray[Any]], NDArray[np.float32]]
) -> NDArray[np.float64]:
    """Yearly frequency of a hazard: share of hazard years.

    Parameters
    ----------
    series : float (days, …)
        All years, one after the other.
    starts : sequence of int
        First day of each year, and the end of the last: ``[0, 365, 730]`` are two years.
    year : callable
        One year's series → 1, 0, NaN, for example ``lambda s: rain_year(s, rules.years)``.

    Returns
    -------
    float64 (…), 0–1; unknown years are left out, NaN where none is known.

    Examples
    --------
    >>> rain = np.zeros((730, 1)); rain[5] = 1.0
    >>> hazard_frequency(rain, [0, 365, 730], lambda s: (s.sum(axis=0) > 0).astype(np.float32)).tolist()
    [0.5]
    """
    flags = np.stack([year(series[a:b]) for a, b in pairwise(starts)]).astype(np.float64)
    known = np.isfinite(flags).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(known > 0, np.nansum(flags, axis=0) / np.maximum(known, 1), np.nan))


# -- agro-meteorological hazard ----------------------------------------------------------------------------------------


def meteorological_score(
    frequencies: Mapping[str, NDArray[Any]], rule: MeteorologicalRule, *, layer: str = "meteorological-hazards"
) -> NDArray[np.float64]:
    """Weighted score (1 high … 5 low) of the yearly frequencies.

    Formula: S = Σ w_k · level_k, level_k of each frequency by the rule's table.

    Parameters
    ----------
    frequencies : mapping
        ``rain``, ``heat``, ``cold``, ``wind``, ``drought`` → float, 0–1, one shape: all that have a weight.

    Returns
    -------
    float64, 1–5, rounded to 10⁻⁹ (so that 1.8 is 1.8); NaN where one is missing.

    Raises
    ------
    InvalidParameter
        If one that has a weight is missing: the weights would no longer sum to one.
    QualityViolation
        For frequencies in percent.
    """
    lacking = [name for name, weight in rule.weights.items() if weight > 0 and name not in frequencies]
    if lacking:
        raise InvalidParameter(
            f"农业气象灾害缺少 {'、'.join(lacking)} 的频率；请补充数据，或把权重改为 0 并使其余之和为 1",
            f"agro-meteorological hazard lacks the frequency of {', '.join(lacking)}; "
            "supply it, or set its weight to 0 with the rest summing to 1",
            parameter="frequencies",
            missing=lacking,
        )
    total: Any = 0.0
    known: Any = True
    for name, weight in rule.weights.items():
        if weight == 0:
            continue
        f = np.asarray(frequencies[name], dtype=np.float64)
        rule.frequency_plausible.require(
            f, what=Text(zh=f"灾害频率（{name}）", en=f"hazard frequency ({name})"), unit="1", layer=layer
        )
        # 3/5 stored as float32 is 0.60000002: rounded, it is on the edge that it means.
        level = rule.frequency.grade(np.round(f, 6))
        known = known & (level > 0)
        total = total + weight * level
    return np.where(known, np.round(total, 9), np.nan)


def meteorological_hazard(
    frequencies: Mapping[str, NDArray[Any]], rule: MeteorologicalRule, *, layer: str = "meteorological-hazards"
) -> NDArray[np.float32]:
    """Agro-meteorological hazard (农业气象灾害): level 1 高 … 5 低 of the score in equal intervals.

    Parameters and errors as in `meteorological_score`.

    Returns
    -------
    float32, 1–5; NaN where a frequency is missing.
    """
    level = rule.combined.grade(meteorological_score(frequencies, rule, layer=layer))
    return np.where(level > 0, level, np.nan).astype(np.float32)


# -- geological hazard -------------------------------------------------------------------------------------------------


def worst_hazard(*levels: NDArray[Any]) -> NDArray[np.float32]:
    """Geological hazard (地质灾害危险性): the worst (least) level of all hazards.

    Parameters
    ----------
    *levels : float or int
        1 极高 … 5 低, one shape; 0 or NaN = no data.

    Returns
    -------
    float32, 1–5; NaN where one hazard is unknown — except 1 where another one is 极高, for it cannot be worse.

    Examples
    --------
    >>> worst_hazard(np.array([5.0, np.nan, np.nan]), np.array([3.0, 1.0, 4.0])).tolist()
    [3.0, 1.0, nan]
    """
    if not levels:
        raise InvalidParameter("没有灾害图层", "no hazard is given", parameter="levels")
    stack = np.stack([np.asarray(a, dtype=np.float64) for a in levels])
    stack = np.where(stack > 0, stack, np.nan)
    known = np.isfinite(stack).all(axis=0)
    worst = np.where(np.isfinite(stack), stack, SAFEST + 1).min(axis=0)
    return np.where(known | (worst == 1), worst, np.nan).astype(np.float32)


def susceptibility_hazard(
    codes: NDArray[Any], meaning: Mapping[int, str], rule: GeohazardRule, *, layer: str = "geohazard"
) -> NDArray[np.float32]:
    """Level of a susceptibility map (崩滑流、地面塌陷易发性).

    Parameters
    ----------
    codes : uint8 or float
        0 or NaN = no data.
    meaning : mapping
        Code → ``high``, ``medium``, ``low``, ``none`` (or ``very-high``, which is level 1).

    Returns
    -------
    float32, 1–5

    Raises
    ------
    InvalidParameter
        For a code without meaning.
    """
    values = np.asarray(codes, dtype=np.float64)
    present = {int(v) for v in np.unique(values[np.isfinite(values)]) if v != 0}
    known: dict[str, int] = {"very-high": 1, **rule.susceptibility}
    unknown = [str(c) for c in sorted(present - set(meaning))] or sorted(set(meaning.values()) - set(known))
    if unknown:
        raise InvalidParameter(
            f"图层 {layer} 的易发性代码 {unknown} 没有含义，请写明（high、medium、low、none）",
            f"layer {layer}: susceptibility {unknown} has no meaning; give it (high, medium, low, none)",
            parameter="meaning",
            layer=layer,
        )
    out = np.full(values.shape, np.nan, dtype=np.float32)
    for code, word in meaning.items():
        out[values == code] = known[word]
    return out


def seismic_hazard(
    fault_distance: NDArray[Any], pga: NDArray[Any] | None, rule: GeohazardRule, *, layer: str = "pga"
) -> NDArray[np.float32]:
    """Seismic hazard (地震危险性): level by distance to an active fault, worsened by peak ground acceleration.

    Parameters
    ----------
    fault_distance : float, m
        To the nearest active fault; inf = none known far and wide, NaN = not mapped.
    pga : float, g, or None
        地震动峰值加速度 (GB 18306-2015); None leaves the correction out (the caller says so).

    Returns
    -------
    float32, 1 极高 … 5 低; NaN where a given input is missing.

    Raises
    ------
    QualityViolation
        For accelerations above 1 g (m/s², gal).
    """
    level = rule.fault_distance.grade(fault_distance).astype(np.float64)
    level[level == 0] = np.nan
    if pga is not None:
        g = np.asarray(pga, dtype=np.float64)
        rule.pga_plausible.require(
            g, what=Text(zh="地震动峰值加速度", en="peak ground acceleration"), unit="g", layer=layer
        )
        # 0.2 stored as float32 is 0.200000003: rounded, it is on the edge that it means.
        number = rule.pga_steps.index(np.round(g, 6))
        worse = np.array([0, *(step.add or 0 for step in rule.pga_steps.steps)], dtype=np.float64)[number]
        level = np.where(np.isnan(g), np.nan, np.clip(level + worse, 1, SAFEST))
    return level.astype(np.float32)


def subsidence_hazard(
    cumulative_mm: NDArray[Any] | None,
    rate_mm_a: NDArray[Any] | None,
    rule: GeohazardRule,
    *,
    layer: str = "subsidence",
) -> NDArray[np.float32]:
    """Ground subsidence (地面沉降): the worse of the cumulative and the yearly level.

    Parameters
    ----------
    cumulative_mm : float, mm, downwards positive, or None
    rate_mm_a : float, mm/a, downwards positive, or None

    Returns
    -------
    float32, 1 极高 … 5 低; NaN where a given input is missing.

    Raises
    ------
    QualityViolation
        For values in m, or signs that count upwards.
    """
    levels = []
    for values, table, span, what, unit in (
        (cumulative_mm, rule.subsidence, rule.subsidence_plausible, Text(zh="累计沉降", en="subsidence"), "mm"),
        (rate_mm_a, rule.subsidence_rate, rule.subsidence_rate_plausible, Text(zh="沉降速率", en="rate"), "mm/a"),
    ):
        if values is not None:
            span.require(np.asarray(values), what=what, unit=unit, layer=layer)
            levels.append(table.grade(values))
    return worst_hazard(*levels)
