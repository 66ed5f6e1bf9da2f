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

MAX_PATH_POINTS = 50_000
"""A line across the province on a grid of 1″ is 33,400 points."""
_ROUNDING = 1e-9
"""Part of a step by which a whole step may miss the edge of the box."""
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


def path_points(
    lines: Any, step: float, box: tuple[float, float, float, float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Corners of a path and points between them, no further apart than `step` (units of the path).

    Parameters
    ----------
    lines : shapely LineString or MultiLineString
    box : (west, south, east, north), optional
        Where there are data. Points between corners are kept inside it only: a line that runs far beyond a small raster
        costs what lies on the raster.

    Returns
    -------
    xy : float64, shape (n, 2)
    begins : bool, shape (n,)
        True at the first point of each part of the path.

    Raises
    ------
    PayloadTooLarge
        More than 50,000 points; counted before any is made.

    Examples
    --------
    >>> import shapely
    >>> xy, _ = path_points(shapely.LineString([(0, 0), (1, 0)]), 0.4)
    >>> xy[:, 0].round(3).tolist()
    [0.0, 0.333, 0.667, 1.0]
    >>> path_points(shapely.LineString([(0, 0), (1e9, 0)]), 1, (5, -1, 7, 1))[0][:, 0].tolist()
    [0.0, 5.0, 6.0, 7.0, 1000000000.0]
    """
    import shapely

    plans = []
    total = 0.0
    for line in shapely.get_parts(lines):
        corners = shapely.get_coordinates(line)
        moves = np.diff(corners, axis=0)
        steps = np.ceil(np.hypot(moves[:, 0], moves[:, 1]) / step)
        enter, leave = _inside(corners[:-1], moves, box)
        # Whole steps strictly between the two corners of a piece and inside the box: first … last.
        first = np.maximum(np.ceil(enter * steps - _ROUNDING), 1)
        last = np.minimum(np.floor(leave * steps + _ROUNDING), steps - 1)
        between = np.where(enter <= leave, np.maximum(last - first + 1, 0), 0)
        total += len(corners) + float(between.sum())
        plans.append((corners, moves, steps, first, between))
    if total > MAX_PATH_POINTS:
        raise PayloadTooLarge(
            f"沿线采样点超过 {MAX_PATH_POINTS} 个；请缩短路径",
            f"more than {MAX_PATH_POINTS} points along the path; shorten it",
            parameter="coords",
            limit=MAX_PATH_POINTS,
        )
    points, begins = [], []
    for corners, moves, steps, first, between in plans:
        counts = between.astype(np.int64)
        piece = np.repeat(np.arange(len(moves)), counts)
        number = np.arange(len(piece)) - np.repeat(np.cumsum(counts) - counts, counts) + first[piece]
        inner = corners[piece] + moves[piece] * (number / steps[piece])[:, None]
        # Each corner stands before the points of the piece that begins there.
        xy = np.insert(inner, np.concatenate([[0], np.cumsum(counts)]), corners, axis=0)
        points.append(xy)
        begins.append(np.arange(len(xy)) == 0)
    return np.concatenate(points), np.concatenate(begins)


def _inside(
    start: NDArray[np.float64], move: NDArray[np.float64], box: tuple[float, float, float, float] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parts (0 … 1) of straight pieces at which they enter and leave a box (Liang–Barsky); enter above leave: they miss it."""
    enter, leave = np.zeros(len(start)), np.ones(len(start))
    if box is None:
        return enter, leave
    for axis in (0, 1):
        low, high = box[axis] - start[:, axis], box[axis + 2] - start[:, axis]
        still = move[:, axis] == 0
        with np.errstate(divide="ignore", invalid="ignore"):
            a, b = low / move[:, axis], high / move[:, axis]
        enter = np.where(still, np.where((low <= 0) & (high >= 0), enter, 2.0), np.maximum(enter, np.minimum(a, b)))
        leave = np.where(still, leave, np.minimum(leave, np.maximum(a, b)))
    return enter, leave
