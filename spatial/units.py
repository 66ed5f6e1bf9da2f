"""Areas (面积) on the ellipsoid and their units; never degrees², never Mercator.

Source: CGCS2000 ellipsoid a = 6 378 137 m, 1/f = 298.257222101 (GB 22021-2008); 1 hm² = 10⁴ m²; 1 亩 = 10⁴/15 m².
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["INVERSE_FLATTENING", "SEMI_MAJOR_M", "Area", "cell_row_areas", "geodesic_areas", "whole_dm2"]

SEMI_MAJOR_M = 6_378_137.0
INVERSE_FLATTENING = 298.257222101


@dataclass(frozen=True, slots=True)
class Area:
    """One area in the four units of Chinese land administration.

    >>> a = Area(1_000_000.0)
    >>> a.km2, a.hm2, round(a.mu, 1)
    (1.0, 100.0, 1500.0)
    """

    m2: float

    @property
    def hm2(self) -> float:
        """Hectares (公顷)."""
        return self.m2 / 1e4

    @property
    def mu(self) -> float:
        """亩."""
        return self.m2 * 15 / 1e4

    @property
    def km2(self) -> float:
        """Square kilometres (平方千米)."""
        return self.m2 / 1e6

    def as_dict(self) -> dict[str, float]:
        """All four units, for JSON."""
        return {"m2": self.m2, "hm2": self.hm2, "mu": self.mu, "km2": self.km2}


def geodesic_areas(geometries: Any) -> NDArray[np.float64]:
    """Ellipsoidal area (椭球面积) of polygons in longitude and latitude.

    Parameters
    ----------
    geometries : array of shapely geometries, EPSG:4490, x = longitude
        Points and lines have area 0. Holes count negative.

    Returns
    -------
    float64, m², same length
    """
    from pyproj import Geod

    geod = Geod(a=SEMI_MAJOR_M, rf=INVERSE_FLATTENING)
    import shapely
    from shapely.geometry.polygon import orient

    def one(geometry: Any) -> float:
        total = 0.0
        for part in shapely.get_parts(geometry):
            if part.geom_type == "Polygon" and not part.is_empty:
                total += geod.geometry_area_perimeter(orient(part))[0]
            elif part.geom_type in {"MultiPolygon", "GeometryCollection"}:
                total += one(part)
        return total

    return np.array([one(g) for g in np.atleast_1d(geometries)], dtype=np.float64)


def _band(latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """Area from the equator to `latitude` for one radian of longitude, m²; closed form on the ellipsoid."""
    f = 1 / INVERSE_FLATTENING
    e = np.sqrt(f * (2 - f))
    b = SEMI_MAJOR_M * (1 - f)
    s = np.sin(np.radians(latitude))
    return np.asarray(b * b / 2 * (s / (1 - (e * s) ** 2) + np.arctanh(e * s) / e))


def cell_row_areas(north: float, cell_height: float, cell_width: float, rows: int) -> NDArray[np.float64]:
    """Exact ellipsoidal area of one cell of each row of a longitude–latitude grid.

    Formula: A = Δλ · [Q(φ_top) − Q(φ_bottom)], Q(φ) = b²/2 · [sin φ/(1 − e² sin² φ) + artanh(e sin φ)/e].

    Parameters
    ----------
    north : float, degrees
        Latitude of the upper edge.
    cell_height, cell_width : float, degrees, positive
    rows : int

    Returns
    -------
    float64, shape (rows,), m²

    Source: area of an ellipsoidal zone, e.g. Snyder (1987) USGS PP 1395, eq. 3-12.

    Examples
    --------
    >>> round(float(cell_row_areas(90, 90, 360, 2).sum()) / 1e12, 4)  # the whole ellipsoid, 10⁶ km²
    510.0656
    """
    edges = north - cell_height * np.arange(rows + 1)
    return np.asarray(np.radians(cell_width) * -np.diff(_band(np.asarray(edges, dtype=np.float64))))


def whole_dm2(areas_m2: NDArray[Any]) -> NDArray[np.int64]:
    """Areas in whole dm² (0.01 m²): integers add up to the same sum in every order.

    Examples
    --------
    >>> whole_dm2(np.array([816.2004, 0.996])).tolist()
    [81620, 100]
    """
    return np.rint(np.asarray(areas_m2, dtype=np.float64) * 100.0).astype(np.int64)
