"""Vegetation of belts (滨岸带植被) scene by scene, and its trend in every cell with the false discoveries held down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.blocks import Arrays, Window
from analyses.water.extent.scene_maps import InspectedScene, scene_reflectance
from spatial.compiled import compiled
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from analyses.water.extent.rules import WaterExtentRules
    from analyses.water.riparian.rules import VegetationRule
    from spatial.jobs.contract import SceneSeries

__all__ = [
    "BROWNING",
    "GREENING",
    "NOT_ASSESSED",
    "NO_TREND",
    "LookAtBelts",
    "cell_trends",
    "discoveries",
    "evi",
    "ndvi",
]

BROWNING, NO_TREND, GREENING, NOT_ASSESSED = 1, 2, 3, 4
"""Codes of the trend of a cell; 0 lies in no belt."""


def ndvi(red: NDArray[np.float32], nir: NDArray[np.float32]) -> NDArray[np.float32]:
    """Normalised difference vegetation index (归一化植被指数): (N − R)/(N + R), −1 to 1, NaN where N + R ≤ 0.

    Source: Rouse et al. 1974.

    >>> ndvi(np.float32([0.05]), np.float32([0.45])).round(3).tolist()
    [0.800000011920929]
    """
    total = red + nir
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, (nir - red) / total, np.nan).astype(np.float32)


def evi(
    blue: NDArray[np.float32],
    red: NDArray[np.float32],
    nir: NDArray[np.float32],
    coefficients: tuple[float, float, float, float] = (2.5, 6.0, 7.5, 1.0),
    valid: tuple[float, float] = (-1.0, 1.5),
) -> NDArray[np.float32]:
    """Enhanced vegetation index (增强型植被指数): G (N − R)/(N + C₁ R − C₂ B + L); NaN outside `valid`.

    Source: Huete et al. 2002, doi 10.1016/S0034-4257(02)00096-2.

    >>> round(float(evi(*np.float32([[0.03], [0.05], [0.45]]))[0]), 4)  # 2.5 · 0.4 / (0.45 + 0.3 − 0.225 + 1)
    0.6557
    """
    gain, c1, c2, soil = (np.float32(v) for v in coefficients)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = gain * (nir - red) / (nir + c1 * red - c2 * blue + soil)
    return np.where((found >= valid[0]) & (found <= valid[1]), found, np.nan).astype(np.float32)


def discoveries(p: ArrayLike, rate: float) -> NDArray[np.bool_]:
    """Which of many tests are significant when the false discovery rate (误发现率) is held at `rate`.

    Of the sorted p the largest k with p_(k) ≤ rate · k/m decides (Benjamini & Hochberg 1995; for fields of cells Wilks 2016,
    doi 10.1175/BAMS-D-15-00267.1). NaN is no test.

    Examples
    --------
    >>> discoveries([0.001, 0.02, 0.04, 0.5], 0.05).tolist()  # limits 0.0125, 0.025, 0.0375, 0.05
    [True, True, False, False]
    """
    values = np.asarray(p, dtype=np.float64)
    known = np.sort(values[np.isfinite(values)])
    if known.size == 0:
        return np.zeros(values.shape, dtype=bool)
    passing = np.flatnonzero(known <= rate * np.arange(1, known.size + 1) / known.size)
    if passing.size == 0:
        return np.zeros(values.shape, dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(values <= known[passing[-1]])


def _trends(x: Any, month: Any, year: Any, least_years: int, least_looks: int, slope: Any, p: Any) -> None:
    """Seasonal Sen slope and Mann–Kendall p of each column of `x` (slots, cells); slots in the order of month, then year."""
    slots, cells = x.shape
    value = np.empty(slots, np.float64)
    when = np.empty(slots, np.float64)
    steep = np.empty(slots * slots, np.float64)
    for c in range(cells):
        looks = 0
        for k in range(slots):
            if x[k, c] == x[k, c]:
                looks += 1
        slope[c] = np.nan
        p[c] = np.nan
        if looks < least_looks:
            continue
        s = 0.0
        variance = 0.0
        found = 0
        first = 0
        while first < slots:
            last = first
            n = 0
            while last < slots and month[last] == month[first]:
                if x[last, c] == x[last, c]:
                    value[n] = x[last, c]
                    when[n] = year[last]
                    n += 1
                last += 1
            first = last
            if n < least_years:
                continue
            ties = 0.0
            for i in range(n):
                same = 1
                before = False
                for j in range(n):
                    if j != i and value[j] == value[i]:
                        same += 1
                        if j < i:
                            before = True
                if same > 1 and not before:
                    ties += same * (same - 1.0) * (2.0 * same + 5.0)
                for j in range(i + 1, n):
                    steep[found] = (value[j] - value[i]) / (when[j] - when[i])
                    found += 1
                    if value[j] > value[i]:
                        s += 1.0
                    elif value[j] < value[i]:
                        s -= 1.0
            variance += (n * (n - 1.0) * (2.0 * n + 5.0) - ties) / 18.0
        if found == 0:
            continue
        slope[c] = np.median(steep[:found])
        if variance <= 0.0 or s == 0.0:
            p[c] = 1.0
        else:
            z = (abs(s) - 1.0) / math.sqrt(variance)
            # The sign of p carries the direction: the slope may be zero where S is not.
            p[c] = math.copysign(math.erfc(z / math.sqrt(2.0)), s)


def cell_trends(
    values: NDArray[np.float32], months: ArrayLike, years: ArrayLike, *, least_years: int, least_looks: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int8]]:
    """Trend of every cell (逐像元趋势): months are compared with the same months only.

    Formula: S = Σ over months Σ_{i<j} sgn(x_j − x_i), Var with ties summed over months, Z = (S ∓ 1)/√Var; slope = the median
    of (x_j − x_i)/(t_j − t_i) within months.

    Parameters
    ----------
    values : float32 (dates, cells), NaN = not seen
        Dates of one month of one year are averaged first.
    months, years : int (dates,)
    least_years, least_looks : int
        A month enters with so many years; a cell is assessed with so many looks.

    Returns
    -------
    slope : float32 (cells,), a year; NaN = not assessed
    p : float32 (cells,), two-sided, NaN = not assessed
    sign : int8 (cells,), that of S

    Source: Hirsch, Slack & Smith 1982, doi 10.1029/WR018i001p00107.

    Examples
    --------
    >>> x = np.float32([[0.1, 0.5], [0.2, 0.4], [0.3, 0.3], [0.4, 0.2]])
    >>> slope, p, sign = cell_trends(x, [7] * 4, [2020, 2021, 2022, 2023], least_years=4, least_looks=4)
    >>> slope.round(3).tolist(), p.round(4).tolist(), sign.tolist()  # S = ±6, Var = 4·3·13/18, Z = 5/√8.667
    ([0.10000000149011612, -0.10000000149011612], [0.08940000087022781, 0.08940000087022781], [1, -1])
    """
    month, year = np.asarray(months, dtype=np.int64), np.asarray(years, dtype=np.int64)
    x = np.asarray(values, dtype=np.float32)
    if x.ndim != 2 or x.shape[0] != month.size or month.size != year.size:
        raise InvalidParameter(
            f"日期 {month.size}、{year.size} 与数组 {x.shape} 不符",
            f"{month.size} months and {year.size} years do not fit an array {x.shape}",
            parameter="values",
        )
    slots, place = np.unique(month * 10_000 + year, return_inverse=True)
    merged = np.full((slots.size, x.shape[1]), np.nan, dtype=np.float32)
    for k in range(slots.size):
        rows = x[place == k]
        known = np.isfinite(rows)
        count = known.sum(axis=0)
        total = np.where(known, rows, 0).sum(axis=0)
        merged[k] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    slope, p = np.empty(x.shape[1]), np.empty(x.shape[1])
    compiled(_trends)(merged, slots // 10_000, slots % 10_000, int(least_years), int(least_looks), slope, p)
    sign = np.where(np.isfinite(p) & (p != 1), np.sign(p), 0).astype(np.int8)
    return slope.astype(np.float32), np.abs(p).astype(np.float32), sign


@dataclass(frozen=True)
class LookAtBelts:
    """Work of a block: sums by scene and zone, and the trend of every cell of a zone."""

    series: SceneSeries
    scenes: tuple[InspectedScene, ...]
    extent: WaterExtentRules
    rule: VegetationRule
    index: Literal["ndvi", "evi"]

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """Sums by scene, zone and kind; place, slope, p and sign of the cells.

        Sums are m² of: clear, dry, index · dry, vegetated, wet. `given` holds ``zones`` (int32) and ``cell_m2`` (rows,).
        """
        zones: NDArray[np.int32] = given["zones"]
        inside = np.flatnonzero(zones)
        zone = zones.ravel()[inside]
        weight = np.repeat(given["cell_m2"], window[3])[inside]
        count = int(given["count"])
        sums = np.zeros((len(self.scenes), count + 1, 5))
        looks = np.full((len(self.scenes), inside.size), np.nan, dtype=np.float32)
        for number, scene in enumerate(self.scenes):
            bands, mask = scene_reflectance(self.series, scene, window, self.extent)
            green, swir, blue, red, nir = (
                bands[name].ravel()[inside] for name in ("green", "swir1", "blue", "red", "nir")
            )
            green_index = ndvi(red, nir)
            chosen = green_index if self.index == "ndvi" else evi(blue, red, nir, self.rule.evi, self.rule.evi_range)
            with np.errstate(divide="ignore", invalid="ignore"):
                wetness = (green - swir) / (green + swir)
            clear = np.isfinite(green_index) & np.isfinite(chosen) & np.isfinite(wetness)
            if mask is not None:
                clear &= mask.ravel()[inside] == 0
            wet = clear & (wetness > self.rule.wet_mndwi)
            dry = clear & ~wet
            vegetated = dry & (green_index >= self.rule.vegetated_ndvi)
            looks[number] = np.where(dry, chosen, np.nan)
            kinds = (clear, dry, np.where(dry, chosen, 0.0), vegetated, wet)
            for k, values in enumerate(kinds):
                sums[number, :, k] = np.bincount(zone, weights=weight * values, minlength=count + 1)
        months = [scene.time.month for scene in self.scenes]
        years = [scene.time.year for scene in self.scenes]
        slope, p, sign = cell_trends(
            looks, months, years, least_years=self.rule.least_years, least_looks=self.rule.least_looks
        )
        return {"sums": sums, "place": inside, "slope": slope, "p": p, "sign": sign}
