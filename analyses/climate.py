"""Climate factors (气候因子): accumulated temperature, precipitation and dryness, comfort (温湿指数), air capacity.

Climate grids are coarse (0.25–1°). They are kept coarse and interpolated cell by cell inside the kernels of
`accumulated_temperature` and `comfort`, with the lapse rate (气温垂直递减率) applied month by month **before** sums and
classes are taken. Temperatures are ℃ and humidities a share 0–1 in all functions here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.grading import GradeTable, LevelTable, quantise
from spatial.catalog import Text
from spatial.compiled import compiled
from spatial.errors import GridMismatch, InvalidParameter, QualityViolation
from spatial.jobs.contract import Axis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.rules import Range

__all__ = [
    "DAYS",
    "MONTHS",
    "Positions",
    "accumulated_temperature",
    "air_capacity",
    "annual_precipitation",
    "comfort",
    "dryness",
    "humidity_share",
    "interpolate",
    "monthly_temperature",
    "positions",
    "thi",
    "turc_evapotranspiration",
    "turc_potential",
]

DAYS = (31.0, 28.25, 31.0, 30.0, 31.0, 30.0, 31.0, 31.0, 30.0, 31.0, 30.0, 31.0)
"""Days of the months; February as the mean over leap years."""

MONTHS = 12


def _months(values: NDArray[Any], layer: str) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 3 or array.shape[0] != MONTHS:
        raise GridMismatch(
            f"图层 {layer} 应为 12 个月的格网 (12, 行, 列)，得到 {array.shape}",
            f"layer {layer} must be twelve months (12, rows, cols), found {array.shape}",
            layer=layer,
        )
    return array


def monthly_temperature(
    values: NDArray[Any], span: Range, *, layer: str, declared: str | None = None
) -> NDArray[np.float64]:
    """Monthly mean temperature (月平均气温) checked to be in ℃.

    Parameters
    ----------
    values : float (12, rows, cols)
        The whole coarse grid, so that a warm month shows a wrong unit.
    span : Range, ℃
        ``plausible_monthly_c`` of the rules.

    Returns
    -------
    float64 (12, rows, cols), ℃

    Raises
    ------
    QualityViolation
        For Kelvin (values near 280) or °F (July near 82), naming layer, range and declared unit.
    """
    array = _months(values, layer)
    span.require(
        array, what=Text(zh="月平均气温", en="monthly temperature"), unit="degC", layer=layer, declared=declared
    )
    return array


def humidity_share(
    values: NDArray[Any], span: Range, *, layer: str, declared: str | None = None
) -> NDArray[np.float64]:
    """Relative humidity (相对湿度) in percent, checked, as a share 0–1.

    Returns
    -------
    float64 (12, rows, cols), 0–1

    Raises
    ------
    QualityViolation
        For values outside the plausible percents: a layer of shares 0–1 is below them.
    """
    array = _months(values, layer)
    span.require(array, what=Text(zh="相对湿度", en="relative humidity"), unit="%", layer=layer, declared=declared)
    return array / 100.0


@dataclass(frozen=True, slots=True)
class Positions:
    """Where the rows and columns of a block lie on a coarse grid, in cells from its first centre; NaN = outside."""

    row: NDArray[np.float64]
    col: NDArray[np.float64]


def positions(axes: tuple[Axis, Axis], shape: tuple[int, int], window: tuple[int, int, int, int]) -> Positions:
    """Positions of the cell centres of a block on a coarse grid.

    Held at the first and last centre within the outer half cell, NaN beyond the coarse grid.

    Parameters
    ----------
    axes : (Axis, Axis)
        Of the climate raster (`RasterInput.axes`).
    shape : (rows, cols)
        Of the climate raster (`RasterInput.source_shape`).
    window : (row, col, height, width)
        Of the block on the run's grid.

    Returns
    -------
    Positions
        float64, `height` rows and `width` columns; they depend on the cell alone, never on the block.

    Examples
    --------
    >>> axis = Axis(step=0.5, start=-0.25, origin=0)   # run cells of half the size
    >>> p = positions((axis, axis), (2, 2), (0, 0, 4, 2))
    >>> p.row.tolist(), p.col.tolist()
    ([0.0, 0.25, 0.75, 1.0], [0.0, 0.25])
    """
    row, col, height, width = window
    down, right = axes[0].positions(row, height), axes[1].positions(col, width)
    return Positions(_held(down, shape[0]), _held(right, shape[1]))


def _held(position: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    inside = (position >= -0.5) & (position <= count - 0.5)
    return np.where(inside, position.clip(0, count - 1), np.nan)


def interpolate(field: NDArray[Any], at: Positions) -> NDArray[np.float64]:
    """Bilinear interpolation of coarse fields at the cells of a block: first along the columns, then along the rows.

    Parameters
    ----------
    field : float (…, rows, cols)
        NaN = no data; a cell next to one has none either.
    at : Positions

    Returns
    -------
    float64 (…, height, width), in the unit of `field`

    Examples
    --------
    >>> interpolate(np.array([[0.0, 1.0], [2.0, 3.0]]), Positions(np.array([0.0, 0.5]), np.array([0.0, 0.5]))).tolist()
    [[0.0, 0.5], [1.0, 1.5]]
    """
    field = np.asarray(field, dtype=np.float64)
    top, down = _cell_share(at.row)
    left, right = _cell_share(at.col)
    below = np.minimum(top + 1, field.shape[-2] - 1)
    beside = np.minimum(left + 1, field.shape[-1] - 1)
    rows = _mix(field[..., top, :], field[..., below, :], down[:, np.newaxis])
    return _mix(rows[..., left], rows[..., beside], right)


def _cell_share(position: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    cell = np.floor(np.nan_to_num(position)).astype(np.int64)
    return cell, position - cell


def _mix(a: NDArray[np.float64], b: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    # A neighbour of weight 0 takes no part: its nodata must not spread onto a cell centre.
    return np.asarray(np.where(share == 0.0, a, a + (b - a) * share))


# -- accumulated temperature -------------------------------------------------------------------------------------------


def accumulated_temperature(
    monthly: NDArray[np.float64],
    elevation: NDArray[Any],
    reference: NDArray[np.float64],
    at: Positions,
    *,
    lapse_c_per_100m: float = 0.6,
    base_c: float = 0.0,
) -> NDArray[np.float32]:
    """Accumulated temperature (活动积温) of the months of at least `base_c`, by default ≥0 ℃, from monthly means.

    Formula: Σ_m days_m · t_m over t_m ≥ base, t_m = T_m − lapse·(h − h_ref)/100. The lapse rate is applied before the sum: taking
    0.6·h/100 from the sum itself, as public code does, is wrong by a factor of about 365.

    Parameters
    ----------
    monthly : float64 (12, r, c), ℃
        Coarse monthly means.
    elevation : float (rows, cols), m
        Of the block; NaN = nodata.
    reference : float64 (r, c), m
        Elevation that the climate grid stands for (mean of the terrain under each of its cells; 0 for a grid reduced to
        sea level).
    at : Positions
        Of the block on the climate grid.
    lapse_c_per_100m : float, ℃/100 m
    base_c : float, ℃, ≥ 0

    Returns
    -------
    float32 (rows, cols), ℃·d, ≥ 0, rounded to 1; NaN without elevation or climate.

    Source: 双评价技术指南 (2019-07), 农业气候评价; monthly means stand for daily ones (a month about 0 ℃ is
    underestimated).

    Examples
    --------
    >>> t = np.full((12, 1, 1), 10.0)
    >>> h = np.array([[0.0, 1000.0, 2000.0]])
    >>> accumulated_temperature(t, h, np.zeros((1, 1)), Positions(np.zeros(1), np.zeros(3))).tolist()
    [[3652.0, 1461.0, 0.0]]
    """
    z = np.asarray(elevation)
    out = np.empty(z.shape, dtype=np.float32)
    near, left, share = _near(at.col, monthly.shape[-1])
    compiled(_accumulate)(
        (_rows(monthly[..., near], at.row), left, share),
        _rows(reference[..., near], at.row),
        _float(z),
        _stretches((left, share))[0],
        (np.array(DAYS), float(lapse_c_per_100m) / 100.0, float(base_c)),
        out,
    )
    return out


def _near(position: NDArray[np.float64], count: int) -> tuple[slice, NDArray[np.int64], NDArray[np.float64]]:
    """Coarse columns that a block needs, and the column (within them) and share of each of its cells."""
    left, share = _cell_share(position)
    known = left[share == share]
    first, last = (int(known.min()), int(known.max())) if known.size else (0, 0)
    return slice(first, min(last + 2, count)), left.clip(first, last) - first, share


def _rows(field: NDArray[np.float64], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coarse fields at the rows of a block, still coarse along the columns, the last column doubled: (h, …, c + 1)."""
    top, down = _cell_share(position)
    flat = np.ascontiguousarray(field).reshape(-1, *field.shape[-2:])
    rows = np.empty((top.size, flat.shape[0], field.shape[-1] + 1))
    compiled(_lay)(flat, top, down, rows)
    return rows.reshape(top.size, *field.shape[:-2], field.shape[-1] + 1)


def _lay(field: Any, top: Any, down: Any, out: Any) -> None:
    """Compiled by numba without fastmath; field (n, r, c), out (h, n, c + 1)."""
    last = field.shape[2]
    for r in range(top.size):
        share = down[r]
        for n in range(field.shape[0]):
            above = field[n, top[r]]
            # A neighbour of weight 0 takes no part: its nodata must not spread onto a cell centre.
            below = field[n, min(top[r] + 1, field.shape[1] - 1)] if share != 0.0 else above
            row = out[r, n]
            for c in range(last):
                row[c] = above[c] + (below[c] - above[c]) * share
            row[last] = row[last - 1]


def _float(values: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(values if values.dtype in (np.float32, np.float64) else values.astype(np.float32))


_STRETCH = 128
"""Most columns of a stretch: the scratch of a kernel stays in the first cache."""


def _stretches(*axes: tuple[NDArray[np.int64], NDArray[np.float64]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Stretches of columns between the same two columns of every coarse grid: one arithmetic for all their cells.

    Parameters
    ----------
    axes : (column, share)
        Of the cells on each coarse grid.

    Returns
    -------
    edges : int64 (n + 1)
        First column of each stretch, then the width.
    span : float64 (grids, 2, n)
        Least and largest share in the stretch; NaN outside the coarse grid.
    """
    width = axes[0][0].size
    turns = [np.flatnonzero(np.diff(left)) + 1 for left, _ in axes]
    edges = np.unique(np.concatenate([np.arange(0, width, _STRETCH), *turns]))
    span = [[ends.reduceat(share, edges) for ends in (np.fmin, np.fmax)] for _, share in axes] if width else []
    return np.append(edges, width), np.array(span, dtype=np.float64).reshape(-1, 2, edges.size)


def _accumulate(monthly: Any, ref: Any, elevation: Any, edges: Any, rule: Any, out: Any) -> None:
    """Compiled by numba without fastmath; monthly: (h, 12, c + 1), columns, shares; ref (h, c + 1)."""
    t, left, share = monthly
    days, lapse, base = rule
    drop = np.empty(_STRETCH, np.float64)
    total = np.empty(_STRETCH, np.float64)
    for r in range(elevation.shape[0]):
        for q in range(edges.size - 1):
            first = edges[q]
            n = edges[q + 1] - first
            j = left[first]
            s = share[first : first + n]
            z = elevation[r, first : first + n]
            answer = out[r, first : first + n]
            a = ref[r, j]
            b = ref[r, j + 1] - a
            for x in range(n):
                # A neighbour of weight 0 takes no part: its nodata must not spread.
                drop[x] = lapse * (np.float64(z[x]) - (a if s[x] == 0.0 else a + b * s[x]))
                total[x] = 0.0
            for m in range(12):
                a = t[r, m, j]
                b = t[r, m, j + 1] - a
                day = days[m]
                for x in range(n):
                    v = (a if s[x] == 0.0 else a + b * s[x]) - drop[x]
                    total[x] += 0.0 if v < base else day * v
            for x in range(n):
                answer[x] = np.float32(np.rint(total[x]))


# -- water -------------------------------------------------------------------------------------------------------------


def annual_precipitation(monthly: NDArray[Any], span: Range, *, layer: str, declared: str | None = None) -> Any:
    """Annual precipitation (年降水量): the sum of the twelve months, checked to be in mm.

    Parameters
    ----------
    monthly : float (12, rows, cols), mm
        Coarse or on the run's grid.

    Returns
    -------
    float64 (rows, cols), mm; NaN if a month is missing.

    Raises
    ------
    QualityViolation
        For sums outside `span`: metres or cm come out too small, tenths of mm too large.
    """
    total = _months(monthly, layer).sum(axis=0)
    span.require(total, what=Text(zh="年降水量", en="annual precipitation"), unit="mm", layer=layer, declared=declared)
    return total


def turc_potential(temperature: NDArray[Any]) -> NDArray[np.float64]:
    """Evaporative power of the air after Turc: L = 300 + 25 T + 0.05 T³, mm a year.

    Parameters
    ----------
    temperature : float, ℃
        Annual mean; below 0 taken as 0.

    Returns
    -------
    float64, mm

    Source: Turc (1954), Annales agronomiques 5: 491–595. It stands for 蒸发量 where no measured evaporation is given.

    Examples
    --------
    >>> turc_potential(np.array([16.0, -3.0])).round(1).tolist()
    [904.8, 300.0]
    """
    t = np.maximum(np.asarray(temperature, dtype=np.float64), 0.0)
    return np.asarray(300.0 + 25.0 * t + 0.05 * t**3)


def turc_evapotranspiration(precipitation: NDArray[Any], temperature: NDArray[Any]) -> NDArray[np.float64]:
    """Actual evapotranspiration after Turc: ET = P / √(0.9 + P²/L²), at most P.

    Parameters
    ----------
    precipitation : float, mm a year
    temperature : float, ℃, annual mean

    Returns
    -------
    float64, mm a year, 0 ≤ ET ≤ P

    Source: Turc (1954), Annales agronomiques 5: 491–595.

    Examples
    --------
    >>> turc_evapotranspiration(np.array([1100.0, 100.0]), np.array([16.0, 16.0])).round(1).tolist()
    [713.3, 100.0]
    """
    p = np.asarray(precipitation, dtype=np.float64)
    return np.asarray(np.minimum(p, p / np.sqrt(0.9 + (p / turc_potential(temperature)) ** 2)))


def dryness(
    evaporation: NDArray[Any], precipitation: NDArray[Any], *, step: float = 0.0009765625
) -> NDArray[np.float32]:
    """Dryness (干燥度): evaporation ÷ precipitation.

    Parameters
    ----------
    evaporation : float, mm a year
        Measured or potential (`turc_potential`); actual evapotranspiration would never pass about 1.
    precipitation : float, mm a year

    Returns
    -------
    float32, no unit, rounded to `step`; NaN where either is missing or there is no precipitation.

    Examples
    --------
    >>> dryness(np.array([900.0, 900.0]), np.array([1800.0, 0.0])).tolist()
    [0.5, nan]
    """
    e = np.asarray(evaporation, dtype=np.float64)
    p = np.asarray(precipitation, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        index = np.where(p > 0, e / p, np.nan)
    return quantise(index, step)


# -- comfort -----------------------------------------------------------------------------------------------------------


def thi(temperature: NDArray[Any], humidity: NDArray[Any]) -> NDArray[np.float64]:
    """Temperature–humidity index (温湿指数): THI = T − 0.55·(1 − f)·(T − 58), T in °F.

    Parameters
    ----------
    temperature : float, ℃
        Converted inside: T °F = 1.8 T ℃ + 32.
    humidity : float, share 0–1

    Returns
    -------
    float64, °F

    Source: 双评价技术指南 (2019-07), 城镇建设气候评价.

    Examples
    --------
    >>> thi(np.array([20.0, 30.0]), np.array([0.5, 1.0])).round(2).tolist()
    [65.25, 86.0]
    """
    f = np.asarray(temperature, dtype=np.float64) * 1.8 + 32.0
    return np.asarray(f - 0.55 * (1.0 - np.asarray(humidity, dtype=np.float64)) * (f - 58.0))


def comfort(
    monthly: NDArray[np.float64],
    humidity: NDArray[np.float64],
    elevation: NDArray[Any],
    reference: NDArray[np.float64],
    at: Positions,
    table: LevelTable,
    *,
    at_humidity: Positions | None = None,
    lapse_c_per_100m: float = 0.6,
) -> NDArray[np.float32]:
    """Comfort (舒适度): the most frequent of the twelve monthly THI levels, of equals the lower.

    Formula: T_m(h) = T_m − lapse·(h − h_ref)/100 in ℃ (1.08 °F/100 m for 0.6; public code adds 32 to the lapse itself),
    THI_m by `thi`, level_m by `table`, mode over the months; a tie → the lower level.

    Parameters
    ----------
    monthly : float64 (12, r, c), ℃
        Coarse monthly means.
    humidity : float64 (12, r', c'), share 0–1
        Coarse, on the same grid or on its own.
    elevation : float (rows, cols), m
    reference : float64 (r, c), m
        Elevation that the temperatures stand for.
    at : Positions
        Of the block on the temperature grid.
    at_humidity : Positions, optional
        Of the block on the humidity grid, if that is another one.
    table : LevelTable
        THI in °F → level 1 很不舒适 … 7 很舒适 (at most 15 levels).

    Returns
    -------
    float32 (rows, cols), level 1–7; NaN without elevation or climate.

    Raises
    ------
    GridMismatch
        If humidity lies on another grid and its positions are not given.
    InvalidParameter
        If the table has a level above 15.

    Source: 双评价技术指南 (2019-07), 城镇建设气候评价 (温湿指数).
    """
    if at_humidity is None and humidity.shape != monthly.shape:
        raise GridMismatch(
            f"相对湿度 {humidity.shape} 与气温 {monthly.shape} 格网不同，请给出 at_humidity",
            f"humidity {humidity.shape} and temperature {monthly.shape} differ in grid; give at_humidity",
        )
    moist = at if at_humidity is None else at_humidity
    z = np.asarray(elevation)
    out = np.empty(z.shape, dtype=np.float32)
    starts, levels = table.lookup
    if levels.max() > _MOST_LEVEL:
        raise InvalidParameter(
            f"舒适度等级最多 {_MOST_LEVEL} 级，判别表中有第 {levels.max()} 级；请减少等级",
            f"comfort knows levels 1–{_MOST_LEVEL}, the table has level {levels.max()}; use fewer levels",
            parameter="thi",
        )
    near, left, share = _near(at.col, monthly.shape[-1])
    near_moist, left_moist, share_moist = _near(moist.col, humidity.shape[-1])
    # THI = T_F − k·(T_F − 58) with k = 0.55(1 − f): both stay coarse, the product is taken in the cell.
    compiled(_comfort)(
        (_rows(monthly[..., near] * 1.8 + 32.0, at.row), left, share),
        (_rows(0.55 * (1.0 - humidity[..., near_moist]), moist.row), left_moist, share_moist),
        _rows(reference[..., near], at.row),
        _float(z),
        float(lapse_c_per_100m) * 1.8 / 100.0,
        (starts, levels.astype(np.int64)),
        _stretches((left, share), (left_moist, share_moist)),
        out,
    )
    return out


_MOST_LEVEL = 15
"""Twelve months of a level take four bits of a 64-bit counter; its lowest four stay free."""


def _comfort(warm: Any, dry: Any, ref: Any, elevation: Any, lapse: Any, table: Any, stretches: Any, out: Any) -> None:
    """Compiled by numba without fastmath; warm and dry: (h, 12, c + 1), columns, shares; ref (h, c + 1).

    For each stretch and month the least and largest THI that its cells can have are found first, wider than any
    rounding. Most often both lie in one interval of the table: then all its cells have that level, and no cell is
    computed. Otherwise each cell is, and compared with the edges between the two.
    """
    t_rows, t_left, t_share = warm
    k_rows, k_left, k_share = dry
    starts, levels = table
    edges, span = stretches
    drop = np.empty(_STRETCH, np.float64)
    low = np.empty(_STRETCH, np.float64)
    high = np.empty(_STRETCH, np.float64)
    index = np.empty(_STRETCH, np.float64)
    counts = np.empty(_STRETCH, np.int64)  # months of each level, four bits a level
    best = np.empty(_STRETCH, np.int64)
    one = np.empty(levels.size, np.int64)
    for n in range(levels.size):
        one[n] = np.int64(1) << (4 * levels[n])
    for r in range(elevation.shape[0]):
        for q in range(edges.size - 1):
            first = edges[q]
            n = edges[q + 1] - first
            j = t_left[first]
            i = k_left[first]
            s = t_share[first : first + n]
            w = k_share[first : first + n]
            z = elevation[r, first : first + n]
            answer = out[r, first : first + n]
            a = ref[r, j]
            b = ref[r, j + 1] - a
            for x in range(n):
                # A neighbour of weight 0 takes no part: its nodata must not spread.
                fall = lapse * (np.float64(z[x]) - (a if s[x] == 0.0 else a + b * s[x]))
                drop[x] = fall if w[x] == w[x] else np.nan
                low[x] = fall if fall == fall else np.inf
                high[x] = fall if fall == fall else -np.inf
            left = n
            while left > 1:  # halving: a running minimum would be one long chain
                half = left >> 1
                left -= half
                for x in range(half):
                    low[x] = low[x] if low[x] < low[left + x] else low[left + x]
                    high[x] = high[x] if high[x] > high[left + x] else high[left + x]
            if low[0] > high[0]:
                answer[:] = np.nan
                continue
            for x in range(n):
                counts[x] = 0
                best[x] = 0
            shared = np.int64(0)
            seen = np.int64(0)
            for m in range(12):
                a = t_rows[r, m, j]
                b = t_rows[r, m, j + 1] - a
                k = k_rows[r, m, i]
                g = k_rows[r, m, i + 1] - k
                t0 = a + b * span[0, 0, q] - 58.0
                t1 = a + b * span[0, 1, q] - 58.0
                k0 = 1.0 - (k + g * span[1, 0, q])
                k1 = 1.0 - (k + g * span[1, 1, q])
                t0, t1 = min(t0, t1) - high[0], max(t0, t1) - low[0]
                # Far more than the rounding of a cell.
                slack = 1e-12 * (abs(a) + abs(b) + abs(low[0]) + abs(high[0]) + 58.0) * (1.0 + abs(k) + abs(g))
                least = min(min(t0 * k0, t0 * k1), min(t1 * k0, t1 * k1)) + 58.0 - slack
                most = max(max(t0 * k0, t0 * k1), max(t1 * k0, t1 * k1)) + 58.0 + slack
                known = np.isfinite(most - least)
                bottom = 0
                top = 0 if known else starts.size
                if known:
                    for e in range(starts.size):
                        bottom += starts[e] <= least
                        top += starts[e] <= most
                if bottom < top:
                    for x in range(n):
                        t = (a if s[x] == 0.0 else a + b * s[x]) - drop[x]
                        index[x] = t - (k if w[x] == 0.0 else k + g * w[x]) * (t - 58.0)
                shared += one[bottom]
                seen |= one[bottom]
                for e in range(bottom, top):
                    edge = starts[e]
                    change = one[e + 1] - one[e]
                    seen |= one[e + 1]
                    for x in range(n):
                        counts[x] += change if index[x] >= edge else 0
                if not known:
                    for x in range(n):
                        drop[x] = drop[x] if index[x] == index[x] else np.nan
            level = 0
            while seen:
                if seen & 15:
                    for x in range(n):
                        # Months first, then the lower level: the largest is the mode.
                        key = ((((counts[x] + shared) >> (4 * level)) & 15) << 4) | (15 - level)
                        best[x] = key if key > best[x] else best[x]
                seen >>= 4
                level += 1
            for x in range(n):
                answer[x] = np.float32(15 - (best[x] & 15)) if drop[x] == drop[x] else np.nan


# -- air ---------------------------------------------------------------------------------------------------------------


def air_capacity(
    calm_percent: NDArray[Any] | None,
    wind_speed: NDArray[Any] | None,
    *,
    calm: GradeTable,
    speed: GradeTable,
) -> NDArray[np.float32]:
    """Air environment capacity (大气环境容量): the worse of the grades of calm days and of mean wind speed.

    Parameters
    ----------
    calm_percent : float, %
        Share of days with a maximum wind below 3 m/s; None if there is no such layer (the factor is then assessed in
        part: the caller says so).
    wind_speed : float, m/s
        Annual mean.
    calm, speed : GradeTable

    Returns
    -------
    float32, grade 1–5; NaN where a given indicator has no value.

    Raises
    ------
    QualityViolation
        If neither indicator is given.

    Examples
    --------
    >>> t = GradeTable.model_validate({"grades": [{"grade": 1, "to": 5}, {"grade": 5, "over": 5}]})
    >>> w = GradeTable.model_validate({"grades": [{"grade": 5, "to": 1}, {"grade": 1, "over": 1}]})
    >>> air_capacity(np.array([3.0, 3.0]), np.array([2.0, 0.5]), calm=t, speed=w).tolist()
    [1.0, 5.0]
    """
    grades: Sequence[NDArray[np.int8]] = [
        table.grade(values) for table, values in ((calm, calm_percent), (speed, wind_speed)) if values is not None
    ]
    if not grades:
        raise QualityViolation(
            "大气环境容量缺静风日数与平均风速，至少需要一项",
            "air environment capacity needs calm days or mean wind speed",
        )
    worst: NDArray[np.float32] = np.maximum.reduce(grades).astype(np.float32)
    worst[np.minimum.reduce(grades) == 0] = np.nan
    return worst
