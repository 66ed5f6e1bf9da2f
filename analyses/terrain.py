"""Terrain factors (地形因子) on a longitude–latitude grid: slope (坡度) and local relief (地形起伏度)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.units import INVERSE_FLATTENING, SEMI_MAJOR_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CellSize", "cell_size", "local_relief", "relief_side", "slope_horn"]


@dataclass(frozen=True, slots=True)
class CellSize:
    """Metres of a cell, by row: `x` along the parallel and `y` along the meridian, at the row's centre."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]


def metres_per_degree(latitude: NDArray[Any] | float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Length of one degree of longitude and of latitude, m, on the CGCS2000 ellipsoid.

    Formula: N cos φ · π/180 and M · π/180, N = a/√(1 − e² sin² φ), M = a(1 − e²)/(1 − e² sin² φ)^(3/2).

    Source: GB 22021-2008 (ellipsoid); Snyder (1987) USGS PP 1395, eq. 4-18 to 4-20.

    Examples
    --------
    >>> x, y = metres_per_degree(30.0)
    >>> round(float(x)), round(float(y))
    (96486, 110852)
    """
    phi = np.radians(np.asarray(latitude, dtype=np.float64))
    f = 1 / INVERSE_FLATTENING
    e2 = f * (2 - f)
    w = 1 - e2 * np.sin(phi) ** 2
    x = SEMI_MAJOR_M / np.sqrt(w) * np.cos(phi)
    y = SEMI_MAJOR_M * (1 - e2) / w**1.5
    return np.asarray(np.radians(x)), np.asarray(np.radians(y))


def cell_size(north: float, height: float, width: float, row: int, rows: int) -> CellSize:
    """Metres of the cells of `rows` rows from `row` on.

    Parameters
    ----------
    north : float, degrees
        Upper edge of row 0 of the grid; `row` may be negative (halo).
    height, width : float, degrees, positive
        Cell size.
    """
    # Rounded to 1e-10° (11 µm): a run on a window and a run on the province get the same number for the same row.
    centres = np.round(north - height * (np.arange(row, row + rows, dtype=np.float64) + 0.5), 10)
    x, y = metres_per_degree(centres)
    return CellSize(x * width, y * height)


def slope_horn(elevation: NDArray[Any], size: CellSize) -> NDArray[np.float32]:
    """Slope (坡度) by Horn's third-order differences.

    Formula: with the 3×3 neighbours a b c / d e f / g h i,
    p = [(c + 2f + i) − (a + 2d + g)] / (8 Δx), q = [(g + 2h + i) − (a + 2b + c)] / (8 Δy), slope = arctan √(p² + q²).

    Parameters
    ----------
    elevation : float (rows + 2, cols + 2), m
        With a halo of one cell; NaN = nodata.
    size : CellSize
        Of the inner rows.

    Returns
    -------
    float32 (rows, cols), degrees, 0–90; NaN where one of the nine cells is nodata.

    Source: Horn (1981), Proc. IEEE 69(1), doi 10.1109/PROC.1981.11918.

    Examples
    --------
    >>> z = np.arange(3.0) * np.ones((3, 1)) * 100   # rises 100 m a cell eastwards
    >>> slope_horn(z, CellSize(np.array([100.0]), np.array([100.0]))).tolist()
    [[45.0]]
    """
    z = np.asarray(elevation, dtype=np.float64)
    east = z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]
    west = z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
    south = z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]
    north = z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
    p = (east - west) / (8 * size.x[:, np.newaxis])
    q = (south - north) / (8 * size.y[:, np.newaxis])
    slope = np.degrees(np.arctan(np.hypot(p, q))).astype(np.float32)
    return np.where(np.isnan(z[1:-1, 1:-1]), np.float32(np.nan), slope)


def relief_side(cell_m: float, window_area_ha: float, minimum: int = 3) -> int:
    """Side of the relief window in cells: the odd number nearest to √area / cell, at least `minimum`.

    Source: 双评价技术指南 (2019-07): about 20 hm², 9×9 at 50 m, 15×15 at 30 m.

    Examples
    --------
    >>> [relief_side(m, 20) for m in (30, 50, 100, 850)]
    [15, 9, 5, 3]
    """
    sides = float(np.sqrt(window_area_ha * 1e4)) / cell_m
    return max(minimum, 2 * round((sides - 1) / 2) + 1)


def local_relief(elevation: NDArray[Any], side: int) -> NDArray[np.float32]:
    """Local relief (地形起伏度): highest minus lowest elevation in a moving window around each cell.

    Parameters
    ----------
    elevation : float (rows + side − 1, cols + side − 1), m
        With a halo of ``side // 2`` cells; NaN = nodata, left out of the window.
    side : int, odd

    Returns
    -------
    float32 (rows, cols), m, ≥ 0; NaN where the cell itself is nodata.

    Source: 双评价技术指南 (2019-07), 地形起伏度; a focal window, not block statistics.

    Examples
    --------
    >>> local_relief(np.array([[1., 2, 3], [4, 5, 6], [7, 8, np.nan]]), 3).tolist()
    [[7.0]]
    """
    z = np.asarray(elevation, dtype=np.float32)
    hollow = np.isnan(z)
    high = _moving(np.maximum, np.where(hollow, np.float32(-np.inf), z), side)
    low = _moving(np.minimum, np.where(hollow, np.float32(np.inf), z), side)
    with np.errstate(invalid="ignore"):
        relief = high - low
    half = side // 2
    return np.where(hollow[half:-half, half:-half], np.float32(np.nan), relief)


def _moving(extreme: np.ufunc, z: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Extreme of each side × side window; windows of 1, 2, 4 … cells are joined, so a pass costs log₂ side steps."""
    for axis in (0, 1):
        z = np.moveaxis(z, axis, 0)
        reach = 1
        while reach < side:
            step = min(reach, side - reach)
            z = extreme(z[:-step], z[step:])
            reach += step
        z = np.moveaxis(z, 0, axis)
    return z
