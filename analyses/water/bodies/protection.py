"""Protection lines of lakes (湖泊保护线) and «the area is not reduced» (面积不减), judged at the level of the line.

Water goes down every winter. The area of a year is therefore carried to the level for which the protected area is stated,
along the lake's own level–area curve, before the two are compared; where no level is known, nothing is carried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.water.bodies.gap_filling import FILLED, OBSERVED
from analyses.water.bodies.level_area import LevelArea, fit_level_area
from analyses.water.bodies.rules import LakeCardRule
from spatial.catalog import Text
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from analyses.water.bodies.series import BodySeries

__all__ = ["ZONES", "AreaKept", "ProtectionLine", "area_kept", "curve_of", "protection_lines", "zone_of"]

ZONES: dict[str, Text] = {
    "protection": Text(zh="保护区", en="protection zone"),
    "control": Text(zh="控制区", en="control zone"),
    "outside": Text(zh="保护区与控制区之外", en="outside both zones"),
}
"""Zones of a lake (湖北省湖泊保护条例)."""
Verdict = Literal["kept", "reduced", "unknown"]


@dataclass(frozen=True, slots=True)
class ProtectionLine:
    """What a lake must keep."""

    water_m2: float
    """Water area to be kept, ellipsoidal m²."""
    level_m: float | None = None
    """Level for which it is stated, datum of the lake's gauge; None = not stated."""
    range_m2: float | None = None
    """Area of the protection range (保护区面积), for the water surface ratio."""
    ecological_level_m: float | None = None
    """Least ecological level (最低生态水位), same datum."""


@dataclass(frozen=True, slots=True)
class AreaKept:
    """The verdict of one year."""

    verdict: Verdict
    reason: Text
    area_m2: float | None = None
    """Area of the year at the level of the line."""
    half_m2: float | None = None
    """Half width of its interval."""
    dates: int = 0
    """Dates of the year that were compared."""


def protection_lines(frame: geopandas.GeoDataFrame | None) -> dict[str, ProtectionLine]:
    """Lines by name of the lake, out of the features of zone ``protection``.

    Parameters
    ----------
    frame : GeoDataFrame, optional
        ``name``, ``water_km2``; optional ``zone``, ``level_m``, ``area_km2``, ``ecological_level_m``.

    Raises
    ------
    InvalidParameter
        A column is missing, a lake has two lines, or an area is not positive.
    """
    if frame is None or frame.empty:
        return {}
    missing = [name for name in ("name", "water_km2") if name not in frame.columns]
    if missing:
        raise InvalidParameter(
            f"保护线图层缺少字段 {'、'.join(missing)}",
            f"the layer of protection lines lacks {', '.join(missing)}",
            parameter="protection",
        )
    own = frame if "zone" not in frame.columns else frame[frame["zone"] == "protection"]
    own = own[own["name"].notna() & own["water_km2"].notna()]
    twice = own["name"][own["name"].duplicated()].unique().tolist()
    if twice:
        raise InvalidParameter(
            f"保护线图层中 {'、'.join(map(str, twice))} 有不止一条保护线",
            f"the layer of protection lines has more than one line of {', '.join(map(str, twice))}",
            parameter="protection",
        )
    if not (own["water_km2"].astype(float) > 0).all():
        raise InvalidParameter(
            "保护线图层的 water_km2 应大于 0",
            "water_km2 of the layer of protection lines must be positive",
            parameter="protection",
        )

    def value(row: Any, name: str, factor: float = 1.0) -> float | None:
        found = getattr(row, name, None)
        return None if found is None or not np.isfinite(float(found)) else float(found) * factor

    return {
        str(row.name): ProtectionLine(
            float(row.water_km2) * 1e6,
            value(row, "level_m"),
            value(row, "area_km2", 1e6),
            value(row, "ecological_level_m"),
        )
        for row in own.itertuples(index=False)
    }


def zone_of(geometry: Any, frame: geopandas.GeoDataFrame | None) -> str | None:
    """Zone in which most of a polygon lies; None without lines.

    Examples
    --------
    >>> import geopandas, shapely
    >>> zones = geopandas.GeoDataFrame({"zone": ["protection", "control"]},
    ...                                geometry=[shapely.box(0, 0, 2, 2), shapely.box(2, 0, 3, 2)], crs=4490)
    >>> zone_of(shapely.box(1.8, 0, 2.1, 1), zones), zone_of(shapely.box(5, 0, 6, 1), zones), zone_of(shapely.Point(1, 1), None)
    ('protection', 'outside', None)
    """
    import shapely

    if frame is None or frame.empty:
        return None
    zones = frame["zone"] if "zone" in frame.columns else ["protection"] * len(frame)
    shares = {"protection": 0.0, "control": 0.0}
    for zone, shape in zip(zones, frame.geometry, strict=True):
        if zone in shares and shapely.intersects(shape, geometry):
            shares[zone] += float(shapely.area(shapely.intersection(shape, geometry)))
    best = max(shares, key=lambda zone: shares[zone])
    return best if 2 * shares[best] >= shapely.area(geometry) and shares[best] > 0 else "outside"


def _usable(series: BodySeries, least_seen: float) -> NDArray[np.bool_]:
    frame = series.frame
    flags = frame["flag"].isin([OBSERVED, FILLED]).to_numpy()
    seen = frame["seen_share"].to_numpy(float) >= least_seen if "seen_share" in frame else np.ones(len(frame), bool)
    return np.asarray(flags & seen & frame["area_m2"].notna().to_numpy())


def curve_of(series: BodySeries, level_m: NDArray[Any] | None, least_seen: float) -> LevelArea | None:
    """Level–area curve of the dates of a body with enough seen; None where they are too few or of one level."""
    if level_m is None:
        return None
    level = np.where(_usable(series, least_seen), np.asarray(level_m, float), np.nan)
    known = np.isfinite(level)
    if known.sum() < 3 or float(np.ptp(level[known])) < 0.1:
        return None
    return fit_level_area(level, series.frame["area_m2"].to_numpy(float), datum=f"gauge zero of {series.name}")


def area_kept(
    series: BodySeries,
    year: int,
    line: ProtectionLine | None,
    rule: LakeCardRule,
    *,
    level_m: NDArray[Any] | None = None,
) -> AreaKept:
    """Whether a lake has kept its area in a year (面积不减).

    With a level of the line: each date of the year with a level within ``level_reach_m`` of it is carried to it along the
    curve of all dates; kept when their median, plus the tolerance, reaches the protected area, reduced when even the upper end
    of its interval does not, unknown between the two: what is not known is no pass. Without a level of the line: the largest
    area of the year takes the place of the median.

    Parameters
    ----------
    level_m : float (dates of the series,), optional
        Levels of a gauge on every date of the series, datum of the line.

    Source: 湖北省湖泊保护条例（2012）: the area of a lake shall not shrink; the comparison is a convention of this project.
    """
    if line is None:
        return _unknown("没有保护线面积", "no area of the protection line")
    frame = series.frame
    of_year = np.array([day.year == year for day in frame["date"]]) & _usable(series, rule.least_seen)
    area = frame["area_m2"].to_numpy(float)
    half = (frame["area_high_m2"].to_numpy(float) - frame["area_low_m2"].to_numpy(float)) / 2
    if line.level_m is None:
        clear = of_year & (frame["flag"] == OBSERVED).to_numpy()
        if not clear.any():
            return _unknown("当年没有一次看到 90 % 以上的观测", "no date of the year with 90 % seen")
        most = int(np.flatnonzero(of_year)[area[of_year].argmax()])
        told = Text(zh="当年最大面积（保护线未写明水位）", en="largest area of the year (the line states no level)")
        return _judged(float(area[most]), float(half[most]), 1, line, rule, told)
    if level_m is None:
        return _unknown(
            f"保护线水位为 {line.level_m:.2f} m，湖泊没有水位资料，不能在相同水位下比较",
            f"the line is of level {line.level_m:.2f} m and the lake has no levels: no comparison at equal level",
        )
    if not of_year.any():
        return _unknown(
            f"当年没有一次看到 {rule.least_seen:.0%} 以上且有值的观测",
            f"no date of the year with a value and {rule.least_seen:.0%} seen",
        )
    level = np.asarray(level_m, float)
    near = of_year & (np.abs(level - line.level_m) <= rule.level_reach_m)
    if not near.any():
        return _unknown(
            f"当年没有水位在保护线水位 {line.level_m:.2f} m 上下 {rule.level_reach_m:g} m 内的观测",
            f"no date of the year within {rule.level_reach_m:g} m of the line's level, {line.level_m:.2f} m",
        )
    curve = curve_of(series, level, rule.least_seen)
    carried = area.copy()
    spread = 0.0
    if curve is not None:
        carried += curve.area(line.level_m) - curve.area(level)
        spread = curve.residual_m2
    # Next to the level of the line nothing need be carried.
    close = np.abs(level - line.level_m) <= rule.level_tolerance_m
    carried = np.where(np.isfinite(carried) & (curve is not None), carried, np.where(close, area, np.nan))
    used = near & np.isfinite(carried)
    if not used.any():
        return _unknown(
            f"保护线水位 {line.level_m:.2f} m 超出观测到的水位，不外推",
            f"the line's level, {line.level_m:.2f} m, lies outside the levels observed; nothing is extrapolated",
        )
    told = Text(
        zh=f"换算到保护线水位 {line.level_m:.2f} m 的当年面积（{int(used.sum())} 次观测的中位数）",
        en=f"area of the year at the line's level, {line.level_m:.2f} m (median of {int(used.sum())} dates)",
    )
    return _judged(
        float(np.median(carried[used])), float(np.median(half[used])) + spread, int(used.sum()), line, rule, told
    )


def _unknown(zh: str, en: str) -> AreaKept:
    return AreaKept("unknown", Text(zh=f"无法判定：{zh}", en=f"cannot be judged: {en}"))


def _judged(area: float, half: float, dates: int, line: ProtectionLine, rule: LakeCardRule, told: Text) -> AreaKept:
    lacking = line.water_m2 * (1 - rule.area_tolerance) - area
    verdict: Verdict = "kept" if lacking <= 0 else "reduced" if lacking > half else "unknown"
    end = {
        "kept": Text(zh="未见减少（在允许误差内）", en="not reduced (within the tolerance)"),
        "reduced": Text(zh="减少，超出区间与允许误差", en="reduced beyond interval and tolerance"),
        "unknown": Text(
            zh="差额超出允许误差但在区间之内，不能断定",
            en="less than the tolerance allows, but within the interval: not decided",
        ),
    }[verdict]
    share = 100 * (area / line.water_m2 - 1)
    figures = f"{area / 1e6:.2f} ± {half / 1e6:.2f} km²"
    unsure = verdict == "unknown"
    return AreaKept(
        verdict,
        Text(
            zh=f"{'无法判定：' if unsure else ''}{told.zh} {figures}，"
            f"保护线面积 {line.water_m2 / 1e6:.2f} km²，相差 {share:+.2f} %：{end.zh}",
            en=f"{'cannot be judged: ' if unsure else ''}{told.en} {figures}, "
            f"area of the protection line {line.water_m2 / 1e6:.2f} km², {share:+.2f} %: {end.en}",
        ),
        area,
        half,
        dates,
    )
