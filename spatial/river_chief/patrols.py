"""Patrols (巡河): a track along a reach, its geodesic length, how much of the reach it saw, and what is odd about it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidFeature, InvalidParameter
from spatial.river_chief.shapes import geod, length_m

if TYPE_CHECKING:
    from spatial.river_chief.rules import DeskRules

__all__ = ["check_times", "measure_track", "seen_share"]

_STEP_M = 200.0


def check_times(started: datetime, ended: datetime, now: datetime) -> None:
    """Raise `InvalidParameter` unless start < end ≤ now (five minutes of clock error allowed)."""
    if not started < ended:
        raise InvalidParameter("ended 应晚于 started", "ended must be later than started", parameter="ended")
    if ended > now + timedelta(minutes=5):
        raise InvalidParameter("巡河结束时间在将来", "the patrol ends in the future", parameter="ended")


def measure_track(track: Any, hours: float, rules: DeskRules) -> dict[str, Any]:
    """Length, mean speed, longest gap, and the warnings that they give.

    Parameters
    ----------
    track : LineString, EPSG:4490, x = longitude
    hours : float
        Duration, > 0.

    Returns
    -------
    dict
        ``length_m`` (geodesic), ``speed_kmh``, ``longest_gap_m``, ``warnings``.

    Raises
    ------
    InvalidFeature
        Too many vertices, or a track without length.
    """
    import numpy as np
    import shapely

    limits = rules.patrols
    xy = shapely.get_coordinates(track)
    if len(xy) > limits.most_vertices:
        raise InvalidFeature(
            f"轨迹有 {len(xy)} 个点，上限 {limits.most_vertices}；请抽稀后再传",
            f"the track has {len(xy)} vertices, the limit is {limits.most_vertices}; thin it out",
            parameter="track",
        )
    steps = np.asarray(geod().line_lengths(xy[:, 0], xy[:, 1]))
    length = length_m(track)
    if not length > 0:
        raise InvalidFeature("轨迹长度为零", "the track has no length", parameter="track")
    speed, gap = length / 1000 / hours, float(steps.max())
    warnings = []
    if speed > limits.fastest_kmh:
        warnings.append("too_fast")
    if gap > limits.longest_gap_m:
        warnings.append("gap")
    return {
        "length_m": round(length, 1),
        "speed_kmh": round(speed, 2),
        "longest_gap_m": round(gap, 1),
        "warnings": warnings,
    }


def seen_share(reach: Any, track: Any, rules: DeskRules) -> float:
    """Share of a reach that lies within ``near_m`` of a track, by points every 200 m along it."""
    import numpy as np
    import shapely

    latitude = float(shapely.get_y(shapely.centroid(reach)))
    scale = np.array([np.cos(np.radians(latitude)), 1.0])
    flat = shapely.transform(shapely.line_merge(reach), lambda xy: xy * scale)
    # A degree of latitude is 111 km: enough to space the points; the distance that counts is geodesic.
    count = max(2, int(shapely.length(flat) * 111_000 / _STEP_M))
    points = shapely.line_interpolate_point(flat, np.linspace(0, 1, count), normalized=True)
    walked = shapely.transform(track, lambda xy: xy * scale)
    near = shapely.shortest_line(points, walked)
    ends = shapely.get_coordinates(near).reshape(-1, 2, 2) / scale
    metres = geod().inv(ends[:, 0, 0], ends[:, 0, 1], ends[:, 1, 0], ends[:, 1, 1])[2]
    return float((np.asarray(metres) <= rules.patrols.near_m).mean())
