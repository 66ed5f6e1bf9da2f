"""Shaded relief (地貌晕渲) on the true ground size of each cell."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.units import INVERSE_FLATTENING, SEMI_MAJOR_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["cell_metres", "shade"]

_E2 = (2 - 1 / INVERSE_FLATTENING) / INVERSE_FLATTENING


def cell_metres(
    longitudes: NDArray[np.float64], latitudes: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ground width and height of the pixel of each row, metres, on the CGCS2000 ellipsoid.

    Formula: dx = N(φ) cos φ Δλ, dy = M(φ) Δφ with N = a / √(1 − e² sin² φ), M = a (1 − e²) / (1 − e² sin² φ)^1.5.
    Source: GB/T 17798-2007 (ellipsoid); EPSG Guidance Note 7-2 (radii of curvature).

    Parameters
    ----------
    longitudes, latitudes : float64 arrays
        Pixel centres, degrees; at least two each. Latitudes fall.

    Examples
    --------
    >>> dx, dy = cell_metres(np.array([114.0, 115.0]), np.array([0.5, -0.5]))
    >>> [round(float(v)) for v in (dx[0], dy[0])]
    [111315, 110574]
    """
    phi = np.radians(latitudes)
    w = 1 - _E2 * np.sin(phi) ** 2
    dx = SEMI_MAJOR_M / np.sqrt(w) * np.cos(phi) * math.radians(longitudes[1] - longitudes[0])
    dy = SEMI_MAJOR_M * (1 - _E2) / w**1.5 * -np.gradient(phi)
    return dx, dy


def shade(
    elevation: NDArray[Any],
    mask: NDArray[np.bool_],
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    *,
    azimuth: float = 315.0,
    altitude: float = 45.0,
    z_factor: float = 1.0,
) -> NDArray[np.float32]:
    """Cosine of the angle between the sun and the ground, 0 (turned away) to 1; one cell less on each side.

    Formula: s = max(0, n · l), n = (−∂z/∂x, −∂z/∂y, 1) / |·|, l = (sin A cos h, cos A cos h, sin h), derivatives by
    Horn's 3×3 weights. A missing neighbour counts as the centre cell.

    Parameters
    ----------
    elevation : array (m, n), metres
    mask : bool array (m, n)
    dx, dy : float64 arrays (m,)
        Ground size of a cell in each row, metres.
    azimuth, altitude : float
        Sun, degrees, clockwise from north and above the horizon.
    z_factor : float
        Exaggeration of heights.

    Returns
    -------
    float32 array (m − 2, n − 2)

    Source: B. K. P. Horn (1981), doi:10.1109/PROC.1981.11918.

    Examples
    --------
    A plane that falls to the west at 45° faces a sun in the west at 45° squarely:

    >>> plane = np.tile(np.array([0.0, 10.0, 20.0]), (3, 1))
    >>> ten = np.full(3, 10.0)
    >>> round(float(shade(plane, np.zeros((3, 3), bool), ten, ten, azimuth=270)[0, 0]), 6)
    1.0
    """
    z = elevation.astype(np.float64)
    rows, columns = z.shape[0] - 2, z.shape[1] - 2
    centre = z[1:-1, 1:-1]
    gaps = bool(mask.any())

    def at(i: int, j: int) -> NDArray[np.float64]:
        part = z[i : i + rows, j : j + columns]
        return np.where(mask[i : i + rows, j : j + columns], centre, part) if gaps else part

    nw, n, ne = at(0, 0), at(0, 1), at(0, 2)
    w, e = at(1, 0), at(1, 2)
    sw, s, se = at(2, 0), at(2, 1), at(2, 2)
    east = z_factor * ((ne + 2 * e + se) - (nw + 2 * w + sw)) / (8 * dx[1:-1, None])
    north = z_factor * ((nw + 2 * n + ne) - (sw + 2 * s + se)) / (8 * dy[1:-1, None])
    a, h = math.radians(azimuth), math.radians(altitude)
    light = (math.sin(a) * math.cos(h), math.cos(a) * math.cos(h), math.sin(h))
    cosine = (light[2] - east * light[0] - north * light[1]) / np.sqrt(1 + east**2 + north**2)
    result: NDArray[np.float32] = np.clip(cosine, 0, 1).astype(np.float32)
    return result
