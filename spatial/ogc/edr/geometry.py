"""Geodesic shapes (测地几何): circles and corridors in metres of the ellipsoid, and points along a path.

Source: CGCS2000 ellipsoid (GB 22021-2008); geodesics by Karney (2013), as in PROJ.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import PayloadTooLarge
from spatial.units import INVERSE_FLATTENING, SEMI_MAJOR_M

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyproj import Geod

__all__ = ["MAX_PATH_POINTS", "circle", "corridor", "distances", "ellipsoid", "path_points"]

MAX_PATH_POINTS = 20_000
_CIRCLE_POINTS = 360
_MAX_PIECES = 3_000


@lru_cache(maxsize=1)
def ellipsoid() -> Geod:
    """The CGCS2000 ellipsoid."""
    from pyproj import Geod

    return Geod(a=SEMI_MAJOR_M, rf=INVERSE_FLATTENING)


def distances(lon: float, lat: float, lons: Any, lats: Any) -> NDArray[np.float64]:
    """Geodesic distance from a point to many; float64, m.

    >>> float(np.round(distances(114.0, 30.0, [114.0], [31.0])[0], 1))
    110860.9
    """
    count = len(lons)
    _, _, found = ellipsoid().inv(np.full(count, lon), np.full(count, lat), np.asarray(lons), np.asarray(lats))
    return np.asarray(found, dtype=np.float64)


def circle(lon: float, lat: float, radius_m: float, points: int = _CIRCLE_POINTS) -> Any:
    """Polygon whose corners lie on the geodesic circle; its sides run inside by at most 4·10⁻⁵ of the radius."""
    import shapely

    azimuths = np.linspace(0, 360, points, endpoint=False)
    lons, lats, _ = ellipsoid().fwd(np.full(points, lon), np.full(points, lat), azimuths, np.full(points, radius_m))
    return shapely.Polygon(np.column_stack([lons, lats]))


def corridor(lines: Any, width_m: float) -> Any:
    """Everything within half of `width_m` of a path: a band along each piece and a circle at each corner.

    Parameters
    ----------
    lines : shapely LineString or MultiLineString, longitude and latitude

    Raises
    ------
    PayloadTooLarge
        More than 3,000 pieces after long segments were cut.
    """
    import shapely

    half = width_m / 2
    parts: list[Any] = []
    for line in shapely.get_parts(lines):
        # A chord in degrees leaves the geodesic; pieces of 0.05° keep the difference far below a metre.
        xy = shapely.get_coordinates(shapely.segmentize(line, 0.05))
        if len(xy) + len(parts) // 2 > _MAX_PIECES:
            raise PayloadTooLarge(
                f"路径过长或过密（超过 {_MAX_PIECES} 段）；请缩短或化简",
                f"the path is too long or too dense (over {_MAX_PIECES} pieces); shorten or simplify it",
                parameter="coords",
                limit=_MAX_PIECES,
            )
        parts += [circle(x, y, half, 72) for x, y in xy]
        ahead, back, _ = ellipsoid().inv(xy[:-1, 0], xy[:-1, 1], xy[1:, 0], xy[1:, 1])
        for k in range(len(xy) - 1):
            at = np.repeat(xy[k : k + 2], 2, axis=0)
            forward, backward = float(ahead[k]), float(back[k]) + 180
            azimuths = np.array([forward - 90, forward + 90, backward + 90, backward - 90])
            lons, lats, _ = ellipsoid().fwd(at[:, 0], at[:, 1], azimuths, np.full(4, half))
            parts.append(shapely.make_valid(shapely.Polygon(np.column_stack([lons, lats]))))
    return shapely.union_all(parts)


def path_points(lines: Any, step: float) -> NDArray[np.float64]:
    """Corners of a path and points between them, no further apart than `step` (units of the path); shape (n, 2).

    Raises
    ------
    PayloadTooLarge
        More than 20,000 points.

    Examples
    --------
    >>> import shapely
    >>> path_points(shapely.LineString([(0, 0), (1, 0)]), 0.4)[:, 0].round(3).tolist()
    [0.0, 0.333, 0.667, 1.0]
    """
    import shapely

    if float(shapely.length(lines)) / step > MAX_PATH_POINTS:
        raise PayloadTooLarge(
            f"沿线采样点超过 {MAX_PATH_POINTS} 个；请缩短路径",
            f"more than {MAX_PATH_POINTS} points along the path; shorten it",
            parameter="coords",
            limit=MAX_PATH_POINTS,
        )
    parts = [shapely.get_coordinates(shapely.segmentize(line, step)) for line in shapely.get_parts(lines)]
    return np.concatenate(parts)
