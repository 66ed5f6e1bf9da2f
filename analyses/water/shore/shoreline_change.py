"""Bank retreat (崩岸) and the use of the shore (岸线利用): rates at equal level, natural share, the check of the four zones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.series.trend import mann_kendall, theil_sen
from analyses.water.shore.shoreline import RetreatRule, ShorelineRules, Transects
from spatial.catalog import Text
from spatial.errors import CRSMismatch, InvalidParameter
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["Retreat", "ZoneVerdict", "bank_retreat", "check_zones", "natural_share"]

CANNOT_SAY = "无法判定"


@dataclass(frozen=True)
class Retreat:
    """What the dates say of the banks, by transect."""

    rate_m_per_year: NDArray[np.float64]
    """Towards the land; positive = the bank retreats (后退). NaN = not assessed."""
    low: NDArray[np.float64]
    """Ends of the slope's interval."""
    high: NDArray[np.float64]
    p: NDArray[np.float64]
    """Mann–Kendall, two-sided."""
    observations: NDArray[np.int64]
    level_slope: NDArray[np.float64]
    """How far the edge moves landwards for a metre of level; NaN where no level was given."""
    alert: NDArray[np.bool_]


def bank_retreat(
    years: NDArray[Any], positions: NDArray[np.float64], rule: RetreatRule, *, level_m: NDArray[Any] | None = None
) -> Retreat:
    """Rates of retreat of the water edge, at equal level where levels are known.

    Parameters
    ----------
    years : float (dates,)
        Time in years, ascending.
    positions : float (dates, transects)
        `shoreline.edge_positions`, m; NaN = unknown.
    level_m : float (dates,), optional
        Gauge level of each date, one datum: its influence is taken out by a line of position on time and level (least squares)
        before the trend. Dates without a level then take no part.

    Raises
    ------
    InvalidParameter
        Shapes that do not fit, or times not ascending.

    Source: Theil–Sen and Mann–Kendall as in `analyses.water.series.trend`; the correction by level is a convention of this
    project.

    Examples
    --------
    >>> from datetime import date
    >>> from spatial.catalog import Text
    >>> rule = RetreatRule(title=Text(zh="崩", en="r"), source="s", tag="own", valid_from=date(2026, 1, 1),
    ...                    alert_m_per_year=5, least_observations=8, alpha=0.05)
    >>> t = np.arange(10) * 0.5
    >>> found = bank_retreat(t, np.column_stack([8 * t, 0 * t]), rule)
    >>> (found.rate_m_per_year + 0.0).round(6).tolist(), found.alert.tolist()
    ([8.0, 0.0], [True, False])
    """
    t = np.asarray(years, dtype=np.float64)
    if positions.ndim != 2 or positions.shape[0] != t.size or (level_m is not None and len(level_m) != t.size):
        raise InvalidParameter(
            f"日期 {t.size} 个，位置 {positions.shape}，水位 {None if level_m is None else len(level_m)} 个，应一一对应",
            f"{t.size} dates, positions {positions.shape}, {None if level_m is None else len(level_m)} levels: one each",
            parameter="positions",
        )
    if t.size > 1 and not (np.diff(t) > 0).all():
        raise InvalidParameter("时间应升序且不重复", "times must be ascending, each once", parameter="years")
    n = positions.shape[1]
    rate, low, high, p, slope = (np.full(n, np.nan) for _ in range(5))
    count = np.zeros(n, dtype=np.int64)
    level = None if level_m is None else np.asarray(level_m, dtype=np.float64)
    for k in range(n):
        known = np.isfinite(positions[:, k]) & (np.isfinite(level) if level is not None else True)
        count[k] = int(known.sum())
        if count[k] < rule.least_observations:
            continue
        x, y = t[known], positions[known, k]
        if level is not None:
            h = level[known] - level[known].mean()
            if np.ptp(h) > 0.05:
                fit, *_ = np.linalg.lstsq(np.column_stack([np.ones_like(x), x - x[0], h]), y, rcond=None)
                slope[k] = fit[2]
                y = y - fit[2] * h
        rate[k], _, low[k], high[k] = theil_sen(x, y, alpha=rule.alpha)
        p[k] = mann_kendall(y, hamed_rao=False).p
    with np.errstate(invalid="ignore"):
        alert = (rate >= rule.alert_m_per_year) & (p < rule.alpha) & (low > 0)
    return Retreat(rate, low, high, p, count, slope, alert)


def natural_share(
    transects: Transects, edge_m: NDArray[np.float64], artificial: Any, rules: ShorelineRules
) -> tuple[float | None, NDArray[np.int8]]:
    """Share of the shore that is natural (自然岸线保有率), 0–1, and each transect: 1 natural, 0 artificial, −1 not assessed.

    A transect is artificial when at least ``artificial_share`` of the strip of ``width_m`` landwards of the water edge is.

    Parameters
    ----------
    edge_m : float (transects,)
        Position of the edge on each transect; NaN = not assessed.
    artificial : callable
        (lon, lat) arrays → float array: 1 where the land cover is built or otherwise artificial, 0 where not, NaN = unknown.
    """
    rule = rules.natural
    kind = np.full(edge_m.size, -1, dtype=np.int8)
    for k in np.flatnonzero(np.isfinite(edge_m)):
        strip = (transects.distance_m >= edge_m[k]) & (transects.distance_m <= edge_m[k] + rule.width_m)
        if not strip.any():
            continue
        found = np.asarray(artificial(transects.lon[k, strip], transects.lat[k, strip]), dtype=np.float64)
        known = np.isfinite(found)
        if known.any():
            kind[k] = 0 if float(found[known].mean()) >= rule.artificial_share else 1
    assessed = kind >= 0
    return (float((kind[assessed] == 1).mean()) if assessed.any() else None), kind


@dataclass(frozen=True, slots=True)
class ZoneVerdict:
    """What the four zones say of one candidate."""

    verdict: str
    """forbidden, review, conditional, conform, touching, 无法判定."""
    zone: str | None
    overlap_m2: float
    reason: Text


_ORDER = ("forbidden", "review", "conditional", "conform")


def check_zones(
    candidates: Sequence[Any], zones: geopandas.GeoDataFrame | None, rules: ShorelineRules
) -> list[ZoneVerdict]:
    """Check polygons against the four zones of the shoreline (岸线四区核对); the strictest zone that is touched decides.

    Parameters
    ----------
    candidates : polygons, EPSG:4490
    zones : GeoDataFrame, optional
        Column ``zone`` with the ids of the rule file. None: every answer is 无法判定, never «conforms».

    Raises
    ------
    CRSMismatch, InvalidParameter
        Zones without EPSG:4490, without the column, or with an unknown zone.
    """
    missing = Text(zh="没有岸线四区图层，无法判定", en="no layer of the four zones: cannot be judged")
    if zones is None or zones.empty:
        return [ZoneVerdict(CANNOT_SAY, None, 0.0, missing) for _ in candidates]
    if zones.crs is None or zones.crs.to_epsg() != 4490:
        raise CRSMismatch(
            f"四区图层的坐标系应为 EPSG:4490，得到 {zones.crs}", f"zones must be in EPSG:4490, found {zones.crs}"
        )
    known = {zone.id: zone for zone in rules.zones.list}
    strange = sorted(set(map(str, zones.get("zone", ["(no field zone)"]))) - set(known))
    if strange:
        raise InvalidParameter(
            f"四区图层含未知分区 {'、'.join(strange)}，可用：{'、'.join(known)}",
            f"unknown zones {', '.join(strange)}; there are {', '.join(known)}",
            parameter="zones",
        )
    answers = []
    shapes = np.asarray(zones.geometry.array, dtype=object)
    names = zones["zone"].astype(str).to_numpy()
    for candidate in candidates:
        areas: dict[str, float] = {}
        for index in zones.sindex.query(candidate, predicate="intersects"):
            shared = candidate.intersection(shapes[index])
            if not shared.is_empty:
                area = float(geodesic_areas(np.array([shared]))[0])
                areas[names[index]] = areas.get(names[index], 0.0) + area
        real = {name: area for name, area in areas.items() if area >= rules.zones.touch_m2}
        if not areas:
            outside = Text(zh="不在四区范围内，无法判定", en="outside all zones: cannot be judged")
            answers.append(ZoneVerdict(CANNOT_SAY, None, 0.0, outside))
        elif not real:
            touching = Text(zh="仅边界接触，人工复核", en="touches the border only; to be looked at")
            answers.append(ZoneVerdict("touching", max(areas, key=lambda n: areas[n]), max(areas.values()), touching))
        else:
            name = min(real, key=lambda n: _ORDER.index(known[n].verdict))
            zone = known[name]
            reason = Text(zh=f"{zone.title.zh}：{zone.rule.zh}", en=f"{zone.title.en}: {zone.rule.en}")
            answers.append(ZoneVerdict(zone.verdict, name, round(real[name], 2), reason))
    return answers
