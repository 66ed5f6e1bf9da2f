"""How coarse a grid a polygon bears (多边形可承受的最粗格网), found at publication so that tiles need not repair it.

A vector tile rounds every vertex to its grid of 4,096 units. A polygon can cross itself by that, so an encoder clips and
repairs each one, three quarters of the time of a tile of parcels. Most need neither: no vertex of theirs lies so near to an edge
of another that rounding could join the two. For these, and where they lie within the tile, to move the vertices is enough.

With the minimum clearance ``d`` (最小间隙: the least distance between a vertex and an edge that does not end there) of a
valid polygon and a grid of unit ``u``: rounding moves a vertex, and every point of an edge, by at most ``u/√2``, so a gap
loses at most ``√2 u``. If ``d > √2 u`` no gap closes on the way, and the rounded polygon is valid, has no two vertices in
one place, and keeps the turn of its rings.

Source: minimum clearance after Thompson and van Oosterom (2006), as JTS and GEOS compute it.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatial.units import SEMI_MAJOR_M

__all__ = ["coarsest_grid", "in_degrees"]

CLEARANCES = 1.5
"""Clearance in units of the grid; above √2, which is exact."""
MOST_VERTICES = 1_000
"""A polygon of more is left to the encoder, which also thins it."""
KEPT = 0.875
"""Share of the vertices that thinning by half a unit must leave, as the encoder would thin so; else the tile would be larger."""
HALVINGS = 4
_BLOCK = 2_000


def coarsest_grid(geometry: Any) -> NDArray[np.float32]:
    """Unit of the coarsest grid that each polygon bears as it is.

    Parameters
    ----------
    geometry : array of shapely geometries
        Any plane. Only valid polygons and multipolygons bear a grid.

    Returns
    -------
    float32 array
        In the unit of the plane; 0: none. Rounded down.

    Examples
    --------
    A square of 3 bears units of 2, one of 3,000 with a notch of 3 in its side does too. Where the corner of one part lies on
    the side of another, no gap is left; a ring that crosses itself bears nothing.

    >>> import shapely
    >>> square, notched = shapely.box(0, 0, 3, 3), shapely.box(0, 0, 3000, 3000) - shapely.box(-1, 5, 4, 8)
    >>> touching = shapely.multipolygons([square, shapely.Polygon([(3, 1), (6, 0), (6, 3)])])
    >>> crossing = shapely.Polygon([(0, 0), (9, 9), (9, 0), (0, 9)])
    >>> coarsest_grid([square, notched, touching, crossing]).tolist()
    [2.0, 2.0, 0.0, 0.0]
    """
    import shapely

    geometry = np.asarray(geometry, dtype=object)
    found = np.zeros(len(geometry), dtype=np.float32)
    polygons = np.isin(shapely.get_type_id(geometry), (3, 6)) & (shapely.get_num_coordinates(geometry) <= MOST_VERTICES)
    which = np.flatnonzero(polygons)
    blocks = [which[start : start + _BLOCK] for start in range(0, len(which), _BLOCK)]
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        for block, grid in zip(blocks, threads.map(lambda block: _of_block(geometry[block]), blocks), strict=True):
            found[block] = grid
    return found


def in_degrees(grid: NDArray[np.float32], geometry: Any) -> NDArray[np.float32]:
    """What polygons bear in degrees, from what they bear in Web Mercator; a second clearance would cost as much as the first.

    On its way to Web Mercator no distance grows by more than ``k sec φ``, with ``k = a π/180`` and φ the latitude farthest from
    the equator. An edge that is straight in degrees bends there by at most ``h²/8 · k π/180 · sec φ tan φ``, with ``h`` the
    height of the polygon in degrees; by so much the clearance can be smaller.

    Parameters
    ----------
    grid : float32 array
        `coarsest_grid` of the same polygons in EPSG:3857, m.
    geometry : array of shapely geometries
        EPSG:4490, x = longitude.

    Returns
    -------
    float32 array
        Degrees; 0: none.

    >>> import shapely
    >>> from spatial.crs import STORAGE, parse_crs, transform_geometries
    >>> square = np.array([shapely.box(114, 30, 114.003, 30.003)])
    >>> metres = transform_geometries(square, STORAGE, parse_crs("EPSG:3857"))
    >>> round(float(in_degrees(coarsest_grid(metres), square)[0]), 6)
    0.001732
    """
    import shapely

    bounds = shapely.bounds(np.asarray(geometry, dtype=object))
    height = bounds[:, 3] - bounds[:, 1]
    farthest = np.radians(np.abs(bounds[:, [1, 3]]).max(axis=1))
    degree = SEMI_MAJOR_M * np.pi / 180
    bend = height**2 / 8 * degree * np.pi / 180 * np.tan(farthest) / np.cos(farthest)
    found = (grid - bend / CLEARANCES) * np.cos(farthest) / degree
    return _rounded_down(np.where(found > 0, found, 0.0))


def _of_block(polygons: Any) -> NDArray[np.float32]:
    import shapely

    grid = shapely.minimum_clearance(polygons) / CLEARANCES
    grid[~(np.isfinite(grid) & shapely.is_valid(polygons))] = 0
    vertices = shapely.get_num_coordinates(polygons)
    dense = np.flatnonzero(grid > 0)
    for _ in range(HALVINGS):
        thinned = shapely.simplify(polygons[dense], grid[dense] / 2, preserve_topology=False)
        dense = dense[shapely.get_num_coordinates(thinned) < KEPT * vertices[dense]]
        grid[dense] /= 2
    grid[dense] = 0
    return _rounded_down(grid)


def _rounded_down(grid: NDArray[np.float64]) -> NDArray[np.float32]:
    rounded = grid.astype(np.float32)
    return np.where(rounded > grid, np.nextafter(rounded, np.float32(0)), rounded)
