"""What the shoreline watch hands back beside the transects: the zone of each stretch, and the water edges of each year."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.shore.shoreline import ShorelineRules, Transects, index_contours
from analyses.water.shore.shoreline_change import CANNOT_SAY, check_zones
from spatial.catalog import Attribute, attribute

if TYPE_CHECKING:
    import geopandas
    from affine import Affine
    from numpy.typing import NDArray

__all__ = ["CONTOUR_FIELDS", "contour_style", "contours_frame", "contours_of", "zones_of"]

_LEAST_CLEAR = 0.9
_LEAST_CELLS = 5


def zones_of(
    transects: Transects,
    edge_m: NDArray[np.float64],
    artificial: NDArray[np.bool_],
    zones: geopandas.GeoDataFrame | None,
    rules: ShorelineRules,
) -> tuple[list[str | None], list[str | None]]:
    """Zone (岸线四区) of each transect, and for artificial ones (占用) whether such use is allowed in it.

    The strip looked at is that of the natural share: ``width_m`` landwards of the water edge. The second list is None where
    the shore is not artificial, and ``undetermined`` where the zones do not say.

    Parameters
    ----------
    edge_m : float (transects,)
        Position of the edge, m from the baseline; NaN = unknown: no zone then.
    """
    import shapely

    zone: list[str | None] = [None] * len(edge_m)
    verdict: list[str | None] = ["undetermined" if used else None for used in artificial]
    known = np.flatnonzero(np.isfinite(edge_m))
    if zones is None or zones.empty or known.size == 0:
        return zone, verdict
    strips = []
    for k in known:
        at = np.array([edge_m[k], edge_m[k] + rules.natural.width_m])
        lon = np.interp(at, transects.distance_m, transects.lon[k])
        lat = np.interp(at, transects.distance_m, transects.lat[k])
        # Five metres to each side: wide enough to have an area, narrow enough to belong to this stretch.
        strips.append(shapely.LineString(np.column_stack([lon, lat])).buffer(5 / 111_000, cap_style="flat"))
    for k, answer in zip(known, check_zones(strips, zones, rules), strict=True):
        zone[k] = answer.zone
        if artificial[k]:
            verdict[k] = "undetermined" if answer.verdict == CANNOT_SAY else answer.verdict
    return zone, verdict


def contours_of(
    index: NDArray[np.float32], affine: Affine, transects: Transects, *, threshold: float, clear_share: float
) -> Any | None:
    """The water edge of a scene (水边线) where the transects reach, one MultiLineString; None for a cloudy scene."""
    import shapely

    if clear_share < _LEAST_CLEAR:
        return None
    reach = shapely.union_all(
        shapely.buffer(
            shapely.linestrings(np.stack([transects.lon[:, [0, -1]], transects.lat[:, [0, -1]]], axis=-1)), 2 * affine.a
        )
    )
    least = _LEAST_CELLS * affine.a
    kept = [
        line
        for line in index_contours(index, affine, threshold=threshold)
        if line.length >= least and line.intersects(reach)
    ]
    return shapely.MultiLineString(kept) if kept else None


CONTOUR_FIELDS: tuple[Attribute, ...] = (
    attribute("scene", "string", "影像", "Scene"),
    attribute("time", "datetime", "时间", "Time"),
    attribute("year", "integer", "年份", "Year"),
    attribute("length_km", "number", "长度", "Length", "km"),
)


def contours_frame(found: Mapping[int, tuple[str, datetime, Any]]) -> geopandas.GeoDataFrame:
    """One feature a year: the edge in its last clear scene."""
    import geopandas
    import pandas as pd
    from pyproj import Geod

    geod = Geod(ellps="GRS80")
    rows = [
        {
            "scene": scene,
            "time": time,
            "year": year,
            "length_km": round(float(geod.geometry_length(lines)) / 1000, 3),
            "geometry": lines,
        }
        for year, (scene, time, lines) in sorted(found.items())
    ]
    frame = geopandas.GeoDataFrame(rows, crs=4490)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame


def contour_style(years: Sequence[int]) -> dict[str, Any]:
    """From pale to dark blue with the years."""
    ramp = ("#c6dbef", "#9ecae1", "#6baed6", "#4292c6", "#2171b5", "#08519c", "#08306b")
    order = sorted(years)
    place = {year: round(k * (len(ramp) - 1) / max(len(order) - 1, 1)) for k, year in enumerate(order)}
    return {
        "type": "categories",
        "field": "year",
        "classes": [
            {"value": year, "title": {"zh": f"{year} 年", "en": str(year)}, "stroke": ramp[place[year]], "width": 1.4}
            for year in order
        ],
        "default": {"stroke": "#2171b5", "width": 1.4},
    }
