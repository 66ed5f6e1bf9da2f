"""Belts along a shore by reach (滨岸带分带分段): 0–200, 200–500, 500–1000 m, geodesic, disjoint, with ellipsoidal areas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.shore.corridor_change import geodesic_buffer
from spatial.errors import InvalidParameter
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["Reach", "belt_names", "cut_reaches", "make_belts", "shore_lines"]

_VERTEX_DEG = 0.002
"""Longest step of a shore line in degrees before it is cut: within it a straight line and the geodesic are centimetres apart."""


@dataclass(frozen=True)
class Reach:
    """A stretch of shore (岸段)."""

    id: str
    line: Any
    """LineString or MultiLineString, longitude and latitude."""
    from_m: float
    """Chainage (桩号) of its start, geodesic metres along the shore line that it was cut from."""
    to_m: float


def belt_names(edges_m: Sequence[float]) -> tuple[str, ...]:
    """Names of the belts.

    >>> belt_names((200, 500, 1000))
    ('0-200', '200-500', '500-1000')
    """
    return tuple(f"{low:g}-{high:g}" for low, high in zip((0, *edges_m[:-1]), edges_m, strict=True))


def shore_lines(geometry: Any, window: Any) -> tuple[list[Any], Any]:
    """Shore lines of a water surface or a line inside a window, and the surface itself (None for a line).

    Of a polygon the outer ring counts; islands are part of the water here, they get no belt of their own.

    Parameters
    ----------
    geometry : shapely geometry, longitude and latitude
    window : shapely polygon
        What is looked at. The line is cut there; an edge of the window never becomes a shore.
    """
    import shapely

    lines, filled = [], []
    for part in shapely.get_parts(geometry):
        if part.geom_type == "Polygon":
            filled.append(shapely.Polygon(part.exterior))
            lines.append(shapely.LineString(part.exterior.coords))
        elif part.geom_type in {"LineString", "LinearRing"}:
            lines.append(shapely.LineString(part.coords))
        elif part.geom_type == "MultiLineString":
            lines += list(part.geoms)
    found: list[Any] = []
    for line in lines:
        inside = line if window.contains(line) else shapely.intersection(line, window)
        if not isinstance(inside, shapely.LineString):
            inside = shapely.line_merge(inside) if inside.geom_type.endswith("LineString") else inside
        found += [p for p in shapely.get_parts(inside) if p.geom_type == "LineString" and p.length > 0]
    return found, shapely.union_all(filled) if filled else None


def _along(xy: NDArray[np.float64]) -> NDArray[np.float64]:
    from pyproj import Geod

    steps = np.asarray(Geod(ellps="GRS80").inv(xy[:-1, 0], xy[:-1, 1], xy[1:, 0], xy[1:, 1])[2])
    return np.concatenate([[0.0], np.cumsum(steps)])


def cut_reaches(lines: Sequence[Any], reach_m: float, *, least_m: float = 0.0) -> list[Reach]:
    """Cut shore lines into reaches of about `reach_m` geodesic metres, equal along each line.

    Parameters
    ----------
    lines : shapely LineStrings, longitude and latitude
    reach_m : float, > 0
    least_m : float
        Shorter lines are left out.

    Examples
    --------
    >>> import shapely
    >>> reaches = cut_reaches([shapely.LineString([(114.0, 30.0), (114.1, 30.0)])], 5000)
    >>> [(r.id, round(r.from_m), round(r.to_m)) for r in reaches]
    [('R01', 0, 4824), ('R02', 4824, 9649)]
    """
    import shapely

    if not reach_m > 0:
        raise InvalidParameter(
            f"岸段长度应为正数，得到 {reach_m:g}",
            f"the length of a reach must be positive, got {reach_m:g}",
            parameter="reach_m",
        )
    found: list[tuple[Any, float, float]] = []
    for line in sorted(lines, key=lambda one: (-one.length, one.bounds)):
        xy = shapely.get_coordinates(shapely.segmentize(line, _VERTEX_DEG))
        along = _along(xy)
        total = float(along[-1])
        if total < least_m or total == 0:
            continue
        count = max(1, round(total / reach_m))
        ends = np.linspace(0.0, total, count + 1)
        at = np.column_stack([np.interp(ends, along, xy[:, k]) for k in (0, 1)])
        for k in range(count):
            inner = xy[(along > ends[k]) & (along < ends[k + 1])]
            piece = shapely.LineString(np.vstack([at[k], inner, at[k + 1]]))
            found.append((piece, float(ends[k]), float(ends[k + 1])))
    width = max(2, len(str(len(found))))
    return [Reach(f"R{number:0{width}d}", *one) for number, one in enumerate(found, start=1)]


def make_belts(
    reaches: Sequence[Reach],
    edges_m: Sequence[float],
    *,
    spacing_m: float,
    water: Any = None,
    window: Any = None,
) -> geopandas.GeoDataFrame:
    """Belts by reach (滨岸带): places of which the nearest shore lies between two distances, and on that reach.

    A belt is a geodesic buffer less the next smaller one and less the water; it belongs to the reach whose shore is nearest,
    found by the Voronoi cells of points every `spacing_m` along the shore in an azimuthal equidistant projection.

    Parameters
    ----------
    reaches : sequence of Reach
    edges_m : rising metres
    spacing_m : float
        The border between two reaches is off by at most half of it.
    water : shapely geometry, optional
        The water surface, which no belt includes.
    window : shapely polygon, optional
        Belts end there.

    Returns
    -------
    GeoDataFrame, EPSG:4490
        ``zone`` (1 …), ``reach``, ``belt``, ``from_m``, ``to_m``, ``chainage_from_m``, ``chainage_to_m``, ``area_m2``
        (ellipsoidal). Belts are disjoint and their union is the buffer of the last distance less the water.

    Raises
    ------
    InvalidParameter
        No reach.
    """
    import geopandas
    import shapely

    if not reaches:
        raise InvalidParameter(
            "没有岸线可建滨岸带；请检查图层、名称与范围",
            "no shore to make belts of; check layer, name and extent",
            parameter="shore",
        )
    shore = shapely.union_all([reach.line for reach in reaches])
    # A straight edge in degrees is no geodesic: with vertices the areas of the belts add up to that of the buffer.
    water = None if water is None else shapely.segmentize(water, _VERTEX_DEG)
    window = None if window is None else shapely.segmentize(window, _VERTEX_DEG)
    cells = _nearest(reaches, shore, edges_m[-1], spacing_m)
    rows: list[dict[str, Any]] = []
    inner = water
    for low, high, name in zip((0.0, *edges_m[:-1]), edges_m, belt_names(edges_m), strict=True):
        outer = geodesic_buffer(shore, high)
        ring = outer if inner is None else shapely.difference(outer, inner)
        if window is not None:
            ring = shapely.intersection(ring, window)
        inner = outer if inner is None else shapely.union(outer, inner)
        for reach in reaches:
            part = _polygons(ring if len(reaches) == 1 else shapely.intersection(ring, cells[reach.id]))
            if part.is_empty:
                continue
            rows.append(
                {
                    "reach": reach.id,
                    "belt": name,
                    "from_m": float(low),
                    "to_m": float(high),
                    "chainage_from_m": round(reach.from_m, 1),
                    "chainage_to_m": round(reach.to_m, 1),
                    "geometry": part,
                }
            )
    rows.sort(key=lambda row: (row["reach"], row["from_m"]))
    frame = geopandas.GeoDataFrame(rows, geometry="geometry", crs=4490)
    frame.insert(0, "zone", np.arange(1, len(frame) + 1))
    frame.insert(len(frame.columns) - 1, "area_m2", geodesic_areas(frame.geometry.array))
    return frame


def _polygons(geometry: Any) -> Any:
    import shapely

    if geometry.geom_type in {"Polygon", "MultiPolygon"}:
        return geometry
    return shapely.union_all([p for p in shapely.get_parts(geometry) if p.geom_type in {"Polygon", "MultiPolygon"}])


def _nearest(reaches: Sequence[Reach], shore: Any, reach_m: float, spacing_m: float) -> Mapping[str, Any]:
    """Where each reach is the nearest one, longitude and latitude."""
    import shapely
    from pyproj import Transformer

    if len(reaches) == 1:
        return {}
    x, y = shore.centroid.x, shore.centroid.y
    local = Transformer.from_crs(
        "EPSG:4490", f"+proj=aeqd +lat_0={y} +lon_0={x} +ellps=GRS80 +units=m +type=crs", always_xy=True
    )

    def back(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(local.transform(xy[:, 0], xy[:, 1], direction="INVERSE"))

    points: list[NDArray[np.float64]] = []
    owner: list[NDArray[np.int64]] = []
    for number, reach in enumerate(reaches):
        for line in shapely.get_parts(reach.line):
            flat = np.column_stack(local.transform(*shapely.get_coordinates(line).T))
            along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(flat, axis=0).T))])
            count = max(2, int(np.ceil(along[-1] / spacing_m)))
            # Midpoints of equal parts: two reaches that meet have no point in common.
            at = (np.arange(count) + 0.5) / count * along[-1]
            points.append(np.column_stack([np.interp(at, along, flat[:, k]) for k in (0, 1)]))
            owner.append(np.full(count, number))
    xy, first = np.unique(np.concatenate(points).round(3), axis=0, return_index=True)
    who = np.concatenate(owner)[first]
    far = 3 * reach_m
    west, south = xy.min(axis=0) - far
    east, north = xy.max(axis=0) + far
    whole = shapely.voronoi_polygons(
        shapely.MultiPoint(xy), extend_to=shapely.box(west, south, east, north), ordered=True
    )
    cells = np.asarray(shapely.get_parts(whole), dtype=object)
    found = {}
    for number, reach in enumerate(reaches):
        cell = shapely.coverage_union_all(cells[who == number])
        # The straight edges of a cell bend when they go back to degrees; vertices keep that below a metre.
        found[reach.id] = shapely.make_valid(shapely.transform(shapely.segmentize(cell, 2000.0), back))
    return found
