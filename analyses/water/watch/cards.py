"""Yearly lake cards of the water watch (一湖一档年度卡): one row a listed lake and year, as a table and as features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from analyses.water.bodies.gauge_levels import gauge_of
from analyses.water.bodies.lake_card import INDICATORS, LakeCard, lake_card
from analyses.water.bodies.level_area import LevelArea, storage_change
from analyses.water.bodies.protection import ProtectionLine, curve_of
from spatial.catalog import Attribute, Text, attribute
from spatial.errors import InvalidParameter
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from analyses.water.bodies.delineation import WaterBodies
    from analyses.water.bodies.events import Event
    from analyses.water.bodies.rules import LakeCardRule, WaterBodyRules
    from analyses.water.bodies.series import BodySeries

__all__ = ["CARD_FIELDS", "CardSources", "card_rows", "cards_frame", "cards_style", "listed_areas", "natural_shore_of"]

VERDICTS: dict[str, Text] = {
    "kept": Text(zh="面积未减", en="area kept"),
    "doubtful": Text(zh="面积未减，但有围垦候选待核查", en="area kept, candidates of reclamation to be looked at"),
    "reduced": Text(zh="面积减少", en="area reduced"),
    "unknown": Text(zh="无法判定", en="cannot be judged"),
}
_COLOURS = {"kept": "#1a9850", "doubtful": "#fdae61", "reduced": "#d73027", "unknown": "#969696"}


@dataclass(frozen=True)
class CardSources:
    """What the cards take besides the series."""

    lines: Mapping[str, ProtectionLine] = field(default_factory=dict)
    """Protection line by name of the lake."""
    levels: geopandas.GeoDataFrame | None = None
    """Gauge readings: ``lake``, ``time``, ``level_m``."""
    shore: geopandas.GeoDataFrame | None = None
    """Sections or transects of the shore with ``shore`` = natural, artificial or unknown."""
    listed_m2: Mapping[str, float] = field(default_factory=dict)
    """Listed area by name of the lake."""


def listed_areas(listed: geopandas.GeoDataFrame | None) -> dict[str, float]:
    """Ellipsoidal area of each listed water by its name, m²; of parts of one name their sum."""
    if listed is None or listed.empty:
        return {}
    areas: dict[str, float] = {}
    for name, area in zip(listed["name"].astype(str), geodesic_areas(listed.geometry.to_numpy()), strict=True):
        areas[name] = areas.get(name, 0.0) + float(area)
    return areas


def natural_shore_of(shore: geopandas.GeoDataFrame | None, body: Any, rule: LakeCardRule) -> tuple[float | None, Text]:
    """Natural share of a lake's shore (自然岸线保有率), 0–1, by length of the sections near the body, and what it rests on.

    Raises
    ------
    InvalidParameter
        The layer has no field ``shore``.
    """
    import shapely
    from pyproj import Geod

    if shore is None or shore.empty:
        return None, Text(zh="没有岸线类型资料", en="no kinds of shore given")
    if "shore" not in shore.columns:
        raise InvalidParameter(
            "岸线图层缺少字段 shore（natural、artificial、unknown）",
            "the layer of the shore lacks the field shore (natural, artificial, unknown)",
            parameter="shore",
        )
    # Degrees of latitude: the reach is a tolerance and no measure.
    near = shapely.dwithin(shore.geometry.to_numpy(), body, rule.shore_reach_m / 110_900.0)
    mine = shore[near]
    if mine.empty:
        return None, Text(zh="岸线图层中没有该湖的岸段", en="the layer of the shore has no section of this lake")
    ellipsoid = Geod(ellps="GRS80")
    length = np.array([ellipsoid.geometry_length(shape) for shape in mine.geometry])
    length = length if length.sum() > 0 else np.ones(len(mine))
    kind = mine["shore"].astype(str).to_numpy()
    natural, artificial = float(length[kind == "natural"].sum()), float(length[kind == "artificial"].sum())
    assessed = (natural + artificial) / float(length.sum())
    if assessed < rule.shore_assessed or natural + artificial == 0:
        return None, Text(
            zh=f"{len(mine)} 个岸段中只有 {assessed:.0%} 已评价，不足 {rule.shore_assessed:.0%}",
            en=f"only {assessed:.0%} of {len(mine)} sections are assessed, less than {rule.shore_assessed:.0%}",
        )
    return natural / (natural + artificial), Text(
        zh=f"{len(mine)} 个岸段，已评价 {assessed:.0%}", en=f"{len(mine)} sections, {assessed:.0%} assessed"
    )


def card_rows(
    series: Sequence[BodySeries],
    bodies: WaterBodies,
    levels: Mapping[int, NDArray[np.float64]],
    events: Sequence[Event],
    rules: WaterBodyRules,
    sources: CardSources,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """A row a listed lake and year, and the lakes that get none with the reason.

    Parameters
    ----------
    levels : mapping
        Row of the body → level by date of the series, where a gauge is known.
    """
    rows, without = [], []
    rule, zone = rules.lake_card, ZoneInfo(rules.observation.day_zone)
    for one in series:
        if one.name is None:
            continue
        listed = sources.listed_m2.get(one.name)
        if listed is not None and one.extent_m2 < rule.least_share * listed:
            without.append(
                {
                    "body": one.id,
                    "name": one.name,
                    "reason_zh": f"影像中只有名录面积 {listed / 1e6:.2f} km² 的 {one.extent_m2 / listed:.1%}，不代表该湖",
                    "reason_en": f"the scenes hold {one.extent_m2 / listed:.1%} of the listed {listed / 1e6:.2f} km², which does "
                    "not stand for the lake",
                }
            )
            continue
        level = levels.get(one.number)
        curve = curve_of(one, level, rule.least_seen)
        gauge = gauge_of(sources.levels, one.name, rules.gauge)
        share, told = natural_shore_of(sources.shore, bodies.frame.geometry.iloc[one.number], rule)
        for year in sorted({day.year for day in one.frame["date"]}):
            times, readings = _of_year(gauge, year, zone)
            card = lake_card(
                one,
                year,
                rule,
                protection=sources.lines.get(one.name),
                natural_shore_share=share,
                level_m=level,
                readings_m=readings if times else None,
                storage_change_m3=_storage(curve, readings),
                events=events,
            )
            rows.append(_row(card, told))
    return rows, without


def _of_year(gauge: Any, year: int, zone: ZoneInfo) -> tuple[list[datetime], NDArray[np.float64]]:
    """Readings of a calendar year, in the order of time."""
    if gauge is None:
        return [], np.empty(0)
    of_year = [k for k, moment in enumerate(gauge[0]) if moment.astimezone(zone).year == year]
    return [gauge[0][k] for k in of_year], np.asarray(gauge[1])[of_year]


def _storage(curve: LevelArea | None, readings: NDArray[np.float64]) -> float | None:
    """Change of storage from the first to the last reading of a year; None beyond the curve."""
    if curve is None or readings.size < 2:
        return None
    low, high = curve.range_m
    first, last = float(readings[0]), float(readings[-1])
    if not (low <= first <= high and low <= last <= high):
        return None
    return storage_change(curve, first, last)


def _row(card: LakeCard, shore: Text) -> dict[str, Any]:
    verdict = card.kept.verdict
    if verdict == "kept" and card.reclaimed:
        verdict_shown, zh, en = (
            "doubtful",
            f"；湖内有已确认的围垦候选 {card.reclaimed} 处 {card.reclaimed_m2 / 1e4:.1f} hm²，须人工核查",
            f"; {card.reclaimed} confirmed candidates of reclamation, {card.reclaimed_m2 / 1e4:.1f} ha, for people to look at",
        )
    else:
        verdict_shown, zh, en = verdict, "", ""
    line = card.protection
    found = {i.id: i for i in card.indicators}

    def value(name: str) -> float | None:
        known = found[name].value
        return None if known is None else round(known, 2)

    def points(name: str) -> float | None:
        known = found[name].points
        return None if known is None else round(known, 1)

    return {
        "body": card.body_id,
        "name": card.name,
        "year": card.year,
        "observations": card.observations,
        "observed": card.observed,
        "mean_km2": _km2(card.mean_m2),
        "least_km2": _km2(card.least_m2),
        "most_km2": _km2(card.most_m2),
        "verdict": verdict_shown,
        "not_reduced": card.not_reduced,
        "not_reduced_reason_zh": card.kept.reason.zh + zh,
        "not_reduced_reason_en": card.kept.reason.en + en,
        "protection_km2": None if line is None else _km2(line.water_m2),
        "protection_level_m": None if line is None else line.level_m,
        "at_level_km2": _km2(card.kept.area_m2),
        "at_level_half_km2": _km2(card.kept.half_m2),
        "compared_dates": card.kept.dates,
        "reclaimed": card.reclaimed,
        "reclaimed_ha": round(card.reclaimed_m2 / 1e4, 2),
        "restored_ha": round(card.restored_m2 / 1e4, 2),
        "surface_ratio": None if card.surface_ratio is None else round(card.surface_ratio, 4),
        "natural_shore": None if card.natural_shore_share is None else round(card.natural_shore_share, 4),
        "natural_shore_basis_zh": shore.zh,
        "natural_shore_basis_en": shore.en,
        "storage_change_m3": None if card.storage_change_m3 is None else round(card.storage_change_m3),
        "shrinkage_percent": value("shrinkage"),
        "shrinkage_points": points("shrinkage"),
        "natural_shore_points": points("natural_shore"),
        "ecological_level_percent": value("ecological_level"),
        "events": len(card.events),
        "assessed": len(INDICATORS) - len(card.not_assessed),
        "not_assessed": card.not_assessed,
    }


def _km2(value: float | None) -> float | None:
    return None if value is None else round(value / 1e6, 4)


CARD_FIELDS: tuple[Attribute, ...] = (
    attribute("body", "string", "图斑编号", "Body id", nullable=False),
    attribute("name", "string", "湖泊", "Lake", nullable=False),
    attribute("year", "integer", "年份", "Year", nullable=False),
    attribute("verdict", "string", "面积不减", "Area not reduced", domain=VERDICTS),
    attribute("not_reduced_reason_zh", "string", "判定依据（中文）", "Why (Chinese)"),
    attribute("not_reduced_reason_en", "string", "判定依据（英文）", "Why (English)"),
    attribute("protection_km2", "number", "保护线面积", "Area of the protection line", "km2"),
    attribute("protection_level_m", "number", "保护线水位", "Level of the protection line", "m"),
    attribute("at_level_km2", "number", "同水位面积", "Area at that level", "km2"),
    attribute("at_level_half_km2", "number", "同水位面积误差", "Half width of its interval", "km2"),
    attribute("compared_dates", "integer", "参加比较的观测", "Dates compared"),
    attribute("mean_km2", "number", "平均面积", "Mean area", "km2"),
    attribute("least_km2", "number", "最小面积", "Least area", "km2"),
    attribute("most_km2", "number", "最大面积", "Largest area", "km2"),
    attribute("observations", "integer", "有值日期", "Dates with a value"),
    attribute("observed", "integer", "看清的日期", "Dates with 90 % seen"),
    attribute("reclaimed", "integer", "围垦候选", "Candidates of reclamation"),
    attribute("reclaimed_ha", "number", "围垦候选面积", "Their area", "ha"),
    attribute("restored_ha", "number", "水面恢复候选面积", "Water regained (candidates)", "ha"),
    attribute("surface_ratio", "number", "水面率", "Water surface ratio", "1"),
    attribute("natural_shore", "number", "自然岸线保有率", "Natural share of the shore", "1"),
    attribute("storage_change_m3", "number", "蓄水量变化", "Change of storage", "m3"),
    attribute("shrinkage_percent", "number", "湖泊面积萎缩比例", "Shrinkage of the lake", "%"),
    attribute("shrinkage_points", "number", "萎缩比例赋分", "Points of the shrinkage", "1"),
    attribute("natural_shore_points", "number", "岸线自然状况赋分", "Points of the natural shore", "1"),
    attribute("ecological_level_percent", "number", "最低生态水位满足份额", "Lowest ecological level met", "%"),
    attribute("assessed", "integer", "已评价的健康指标（共 20 项）", "Health indicators assessed, of 20"),
)


def cards_frame(rows: Sequence[Mapping[str, Any]], bodies: WaterBodies) -> geopandas.GeoDataFrame:
    """The rows as features on the lake's extent, columns of `CARD_FIELDS`."""
    import geopandas
    import pandas as pd

    shapes = dict(zip(bodies.frame["id"].astype(str), bodies.frame.geometry, strict=True))
    names = [f.name for f in CARD_FIELDS]
    frame = pd.DataFrame([{name: row[name] for name in names} for row in rows], columns=names)
    for one in CARD_FIELDS:
        if one.type == "number":
            frame[one.name] = pd.to_numeric(frame[one.name]).astype(float)
    return geopandas.GeoDataFrame(frame, geometry=[shapes[str(row["body"])] for row in rows], crs=4490)


def cards_style() -> dict[str, Any]:
    """Colour by verdict."""
    return {
        "type": "categories",
        "field": "verdict",
        "classes": [
            {
                "value": key,
                "title": title.model_dump(),
                "fill": _COLOURS[key] + "55",
                "stroke": _COLOURS[key],
                "width": 1.4,
            }
            for key, title in VERDICTS.items()
        ],
        "default": {"fill": "#96969655", "stroke": "#969696", "width": 1.4},
        "label": {"field": "name", "min_zoom": 8},
    }
