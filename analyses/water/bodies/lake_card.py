"""The yearly card of a lake (一湖一档年度卡): area not reduced, natural shoreline, water surface ratio, health indicators.

What data carry is assessed; every other indicator of the standard is listed as not assessed, never given a grade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.events import Event
from analyses.water.bodies.gap_filling import OBSERVED, PRIOR
from analyses.water.bodies.protection import AreaKept, ProtectionLine, area_kept
from analyses.water.bodies.rules import LakeCardRule
from analyses.water.bodies.series import BodySeries
from spatial.catalog import Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["INDICATORS", "Indicator", "LakeCard", "lake_card", "points"]

INDICATORS: dict[str, tuple[Text, Text]] = {
    "connectivity": (Text(zh="湖泊连通指数", en="connectivity index"), Text(zh="盆", en="basin")),
    "shrinkage": (Text(zh="湖泊面积萎缩比例", en="shrinkage of the lake"), Text(zh="盆", en="basin")),
    "natural_shore": (Text(zh="岸线自然状况", en="natural state of the shore"), Text(zh="盆", en="basin")),
    "illegal_use": (Text(zh="违规开发利用水域岸线程度", en="illegal use of water and shore"), Text(zh="盆", en="basin")),
    "ecological_level": (Text(zh="最低生态水位满足程度", en="lowest ecological level met"), Text(zh="水", en="water")),
    "inflow_variation": (Text(zh="入湖流量变异程度", en="variation of the inflow"), Text(zh="水", en="water")),
    "water_quality": (Text(zh="水质优劣程度", en="water quality"), Text(zh="水", en="water")),
    "trophic_state": (Text(zh="湖泊营养状态", en="trophic state"), Text(zh="水", en="water")),
    "sediment": (Text(zh="底泥污染状况", en="pollution of the sediment"), Text(zh="水", en="water")),
    "self_purification": (Text(zh="水体自净能力", en="self-purification"), Text(zh="水", en="water")),
    "invertebrates": (Text(zh="大型底栖无脊椎动物生物完整性", en="integrity of invertebrates"), Text(zh="生物", en="biota")),
    "fish": (Text(zh="鱼类保有指数", en="fish retained"), Text(zh="生物", en="biota")),
    "water_birds": (Text(zh="水鸟状况", en="water birds"), Text(zh="生物", en="biota")),
    "phytoplankton": (Text(zh="浮游植物密度", en="density of phytoplankton"), Text(zh="生物", en="biota")),
    "macrophytes": (Text(zh="大型水生植物覆盖度", en="cover of macrophytes"), Text(zh="生物", en="biota")),
    "flood_safety": (Text(zh="防洪达标率", en="flood defences up to standard"), Text(zh="社会服务", en="services")),
    "supply": (Text(zh="供水水量保证程度", en="reliability of supply"), Text(zh="社会服务", en="services")),
    "drinking_water": (
        Text(zh="集中式饮用水水源地水质达标率", en="drinking-water sources up to standard"), Text(zh="社会服务", en="services"),
    ),
    "shore_management": (Text(zh="岸线利用管理指数", en="management of the used shore"), Text(zh="社会服务", en="services")),
    "satisfaction": (Text(zh="公众满意度", en="public satisfaction"), Text(zh="社会服务", en="services")),
}  # fmt: skip
"""Indicators of the health of a lake and their group; names [mem], to be checked against SL/T 793-2020."""


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator of a card."""

    id: str
    title: Text
    group: Text
    value: float | None
    """None = not assessed (未评价)."""
    unit: str
    points: float | None
    """0–100; None = not assessed, or given without a table of points."""
    basis: Text


@dataclass(frozen=True)
class LakeCard:
    """A year of one lake."""

    body_id: str
    name: str | None
    year: int
    observations: int
    """Dates with a value that day's pixels carry."""
    observed: int
    """Of them, with at least 90 % seen."""
    mean_m2: float | None
    least_m2: float | None
    most_m2: float | None
    most_interval_m2: tuple[float, float] | None
    protection: ProtectionLine | None
    kept: AreaKept
    """面积不减: verdict and reason."""
    surface_ratio: float | None
    """水面率: mean area over the area of the protection range, 0–1."""
    natural_shore_share: float | None
    storage_change_m3: float | None
    events: tuple[Event, ...]
    """Events that began in the year."""
    reclaimed_m2: float
    """Candidates of reclamation inside the lake, confirmed by the end of the year: to be looked at by people."""
    reclaimed: int
    restored_m2: float
    indicators: tuple[Indicator, ...]

    @property
    def not_reduced(self) -> bool | None:
        """面积不减; None = 无法判定."""
        return {"kept": True, "reduced": False}.get(self.kept.verdict)

    @property
    def not_assessed(self) -> list[str]:
        """Indicators without data."""
        return [i.id for i in self.indicators if i.value is None]


def points(value: float, table: Sequence[tuple[float, float]]) -> float:
    """Points of a value, linear between the rows of a table and held at its ends (分段线性赋分).

    Examples
    --------
    >>> points(7.5, [(5, 100), (10, 60)]), points(2, [(5, 100), (10, 60)])
    (80.0, 100.0)
    """
    x, y = zip(*table, strict=True)
    return float(np.interp(value, x, y))


def lake_card(
    series: BodySeries,
    year: int,
    rule: LakeCardRule,
    *,
    protection: ProtectionLine | None = None,
    baseline_m2: float | None = None,
    natural_shore_share: float | None = None,
    level_m: NDArray[Any] | None = None,
    readings_m: NDArray[Any] | None = None,
    storage_change_m3: float | None = None,
    events: Sequence[Event] = (),
    given: Mapping[str, tuple[float, str]] | None = None,
) -> LakeCard:
    """The card of one lake and year (一湖一档).

    «Area not reduced» is judged against the protection line at its own level (`protection.area_kept`); without a line it is
    无法判定.

    Parameters
    ----------
    protection : ProtectionLine, optional
        Water area that the lake must keep, its level, the protection range and the least ecological level.
    baseline_m2 : float, optional
        Area of the reference year for the shrinkage, at the line's level; default the protected area.
    natural_shore_share : float, optional, 0–1
        自然岸线保有率 of the shoreline analysis.
    level_m : float (dates of the series,), optional
        Levels of a gauge on every date of the series, datum of the line.
    readings_m : float, optional
        All readings of the gauge in the year, for the least ecological level.
    given : {indicator id: (value, unit)}, optional
        Indicators from other analyses (``trophic_state`` …), listed as given without points.

    Raises
    ------
    InvalidParameter
        A share outside 0–1, an area not positive, an unknown indicator, or no date of the series in the year.

    Source: 湖北省湖泊保护条例（2012）; SL/T 793-2020 and 河湖健康评价指南（试行, 2020), names and points [mem].
    """
    line = protection or ProtectionLine(np.nan)
    for name, area in (
        ("protection", None if protection is None else protection.water_m2),
        ("baseline_m2", baseline_m2),
        ("protection", line.range_m2),
    ):
        if area is not None and not area > 0:
            raise InvalidParameter(
                f"{name} 应大于 0，现为 {area}", f"{name} must be positive, found {area}", parameter=name
            )
    if natural_shore_share is not None and not 0 <= natural_shore_share <= 1:
        raise InvalidParameter(
            f"自然岸线保有率应在 0–1 之间，现为 {natural_shore_share}（百分数请除以 100）",
            f"natural_shore_share must be 0–1, found {natural_shore_share} (divide a percentage by 100)",
            parameter="natural_shore_share",
        )
    strange = set(given or {}) - set(INDICATORS)
    if strange:
        raise InvalidParameter(
            f"未知指标 {sorted(strange)}，可用 {sorted(INDICATORS)}",
            f"unknown indicators {sorted(strange)}; known are {sorted(INDICATORS)}",
            parameter="given",
        )
    frame = series.frame
    of_year = np.array([day.year == year for day in frame["date"]])
    if not of_year.any():
        raise InvalidParameter(
            f"水体 {series.id} 的序列没有 {year} 年的观测",
            f"the series of body {series.id} has no date in {year}",
            parameter="year",
        )
    mine = frame[of_year & frame["area_m2"].notna().to_numpy() & (frame["flag"] != PRIOR).to_numpy()]
    clear = mine[mine["flag"] == OBSERVED]
    most = None if mine.empty else mine.iloc[int(mine["area_m2"].to_numpy().argmax())]
    interval = None if most is None else (float(most["area_low_m2"]), float(most["area_high_m2"]))
    kept = area_kept(series, year, protection, rule, level_m=level_m)
    mean = None if mine.empty else float(mine["area_m2"].mean())
    found: dict[str, tuple[float, str, float | None, Text]] = {}
    reference = baseline_m2 if baseline_m2 is not None else (None if protection is None else protection.water_m2)
    if kept.area_m2 is not None and reference is not None:
        shrinkage = max(0.0, 100 * (1 - kept.area_m2 / reference))
        found["shrinkage"] = (
            shrinkage, "%", points(shrinkage, rule.shrinkage_points),
            Text(zh="当年面积（同水位）与参考面积之比", en="area of the year at the line's level over the reference area"),
        )  # fmt: skip
    if natural_shore_share is not None:
        percent = 100 * natural_shore_share
        found["natural_shore"] = (
            percent, "%", points(percent, rule.natural_shore_points),
            Text(zh="自然岸线保有率", en="natural share of the shoreline"),
        )  # fmt: skip
    if readings_m is not None and line.ecological_level_m is not None:
        known = np.asarray(readings_m, float)
        known = known[np.isfinite(known)]
        if known.size:
            met = 100 * float((known >= line.ecological_level_m).mean())
            found["ecological_level"] = (
                met, "%", None,
                Text(
                    zh=f"{known.size} 次水位读数中不低于 {line.ecological_level_m:.2f} m 的份额",
                    en=f"share of {known.size} readings at or above {line.ecological_level_m:.2f} m",
                ),
            )  # fmt: skip
    for name, (value, unit) in (given or {}).items():
        found[name] = (float(value), unit, None, Text(zh="由其他分析给出", en="given by another analysis"))
    missing = Text(zh="没有数据，未评价", en="no data, not assessed")
    indicators = tuple(
        Indicator(name, title, group, *found[name])
        if name in found
        else Indicator(name, title, group, None, "", None, missing)
        for name, (title, group) in INDICATORS.items()
    )
    mine_of = [event for event in events if event.body_id == series.id]
    standing = {
        kind: [e for e in mine_of if e.kind == kind and e.confirmed is not None and e.confirmed.year <= year]
        for kind in ("reclaimed", "restored")
    }
    return LakeCard(
        series.id, series.name, year, len(mine), len(clear), mean,
        None if mine.empty else float(mine["area_m2"].min()), None if most is None else float(most["area_m2"]), interval,
        protection, kept, None if mean is None or line.range_m2 is None else mean / line.range_m2, natural_shore_share,
        storage_change_m3, tuple(e for e in mine_of if e.first.year == year),
        sum(e.area_m2 for e in standing["reclaimed"]), len(standing["reclaimed"]),
        sum(e.area_m2 for e in standing["restored"]), indicators,
    )  # fmt: skip
