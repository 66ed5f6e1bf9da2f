"""Terrain factors (地形因子) on a longitude–latitude grid: slope (坡度) and local relief (地形起伏度)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.compiled import compiled
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


def slope_horn(elevation: NDArray[Any], size: CellSize, *, step: float = 0.0) -> NDArray[np.float32]:
    """Slope (坡度) by Horn's third-order differences.

    Formula: with the 3×3 neighbours a b c / d e f / g h i,
    p = [(c + 2f + i) − (a + 2d + g)] / (8 Δx), q = [(g + 2h + i) − (a + 2b + c)] / (8 Δy), slope = arctan √(p² + q²).

    Parameters
    ----------
    elevation : float (rows + 2, cols + 2), m
        With a halo of one cell; NaN = nodata.
    size : CellSize
        Of the inner rows.
    step : float
        Round to a multiple of it (a power of two, degrees); 0 for none.

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
    z = _cells(elevation)
    out = np.empty((z.shape[0] - 2, z.shape[1] - 2), dtype=np.float32)
    compiled(_slope)(z, 1 / (8 * size.x), 1 / (8 * size.y), step, out)
    return out


def _slope(z: Any, per_x: Any, per_y: Any, step: float, out: Any) -> None:
    rows, cols = out.shape
    for r in range(rows):
        px = per_x[r]
        py = per_y[r]
        for c in range(cols):
            a = np.float64(z[r, c])
            b = np.float64(z[r, c + 1])
            e = np.float64(z[r, c + 2])
            d = np.float64(z[r + 1, c])
            f = np.float64(z[r + 1, c + 2])
            g = np.float64(z[r + 2, c])
            h = np.float64(z[r + 2, c + 1])
            i = np.float64(z[r + 2, c + 2])
            p = ((e + 2 * f + i) - (a + 2 * d + g)) * px
            q = ((g + 2 * h + i) - (a + 2 * b + e)) * py
            gradient = np.sqrt(p * p + q * q)
            # arctan by a polynomial in t², t ≤ 1, error below 5·10⁻¹¹ (Chebyshev fit): the loop becomes vector
            # instructions, and every machine gets the same bits, which the arctan of its C library does not promise.
            steep = gradient > 1.0
            t = (1.0 if steep else gradient) / (gradient if steep else 1.0)
            s = t * t
            angle = -0.0006804973432450413
            angle = angle * s + 0.0048272281226381985
            angle = angle * s - 0.016055161363731398
            angle = angle * s + 0.03413342380136835
            angle = angle * s - 0.0542153089621366
            angle = angle * s + 0.07242284164754417
            angle = angle * s - 0.08979051054592728
            angle = angle * s + 0.11092984788199906
            angle = angle * s - 0.14283948421248696
            angle = angle * s + 0.19999909957014358
            angle = angle * s - 0.33333331518197834
            angle = angle * s + 0.9999999999390119
            angle *= t
            degrees = (1.5707963267948966 - angle if steep else angle) * 57.29577951308232
            # Not a number where the middle cell, which takes no part above, is none.
            degrees += 0.0 * np.float64(z[r + 1, c + 1])
            out[r, c] = np.float32(np.rint(degrees / step) * step if step > 0.0 else degrees)


def _cells(elevation: NDArray[Any]) -> NDArray[Any]:
    """The array as the loops take it: float32 or float64, row after row (else they do not become vector instructions)."""
    z = np.ascontiguousarray(elevation)
    return z if z.dtype in (np.float32, np.float64) else z.astype(np.float32 if z.dtype.itemsize <= 2 else np.float64)


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
    z = np.ascontiguousarray(elevation, dtype=np.float32)
    if side < 1 or side % 2 == 0 or min(z.shape) < side:
        raise ValueError(f"the window must be odd and fit the cells: side {side}, cells {z.shape}")
    out = np.empty((z.shape[0] - side + 1, z.shape[1] - side + 1), dtype=np.float32)
    for left in range(0, out.shape[1], _STRIPE):
        right = min(left + _STRIPE, out.shape[1])
        relief = np.empty((out.shape[0], right - left), dtype=np.float32)
        compiled(_relief)(np.ascontiguousarray(z[:, left : right + side - 1]), side, relief)
        out[:, left:right] = relief
    return out


_STRIPE = 256
"""Columns taken at once, so that the intermediate rows stay in the cache."""


def _relief(z: Any, side: int, out: Any) -> None:
    """Extremes of side × side windows; windows of 1, 2, 4 … cells are joined, so a direction costs log₂ side steps."""
    rows, cols = z.shape
    width = out.shape[1]
    high = np.empty((rows, width), np.float32)
    low = np.empty((rows, width), np.float32)
    most = np.empty(cols, np.float32)
    least = np.empty(cols, np.float32)
    for r in range(rows):
        for c in range(cols):
            value = z[r, c]
            hollow = value != value
            most[c] = -np.inf if hollow else value
            least[c] = np.inf if hollow else value
        reach = 1
        while reach < side:
            shift = min(reach, side - reach)
            for c in range(cols - reach - shift + 1):
                a = most[c + shift]
                b = least[c + shift]
                most[c] = most[c] if most[c] > a else a
                least[c] = least[c] if least[c] < b else b
            reach += shift
        for c in range(width):
            high[r, c] = most[c]
            low[r, c] = least[c]
    reach = 1
    while reach < side:
        shift = min(reach, side - reach)
        for r in range(rows - reach - shift + 1):
            for c in range(width):
                a = high[r + shift, c]
                b = low[r + shift, c]
                high[r, c] = high[r, c] if high[r, c] > a else a
                low[r, c] = low[r, c] if low[r, c] < b else b
        reach += shift
    half = side // 2
    for r in range(out.shape[0]):
        for c in range(width):
            middle = z[r + half, c + half]
            out[r, c] = high[r, c] - low[r, c] if middle == middle else np.float32(np.nan)
