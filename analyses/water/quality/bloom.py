"""Algal bloom (水华): cells, share of each lake, grade; what persists is macrophytes (水草), not bloom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import GridMismatch, InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.quality.rules import BloomRules, Level

__all__ = ["BloomShare", "bloom_cells", "bloom_share", "macrophytes", "share_of"]


def bloom_cells(fai: NDArray[Any], red: NDArray[Any], rules: BloomRules) -> NDArray[np.bool_]:
    """Where floating algae stand (水华像元): FAI > 0 and red < 0.08.

    Parameters
    ----------
    fai, red : float arrays, NaN = no value (no bloom there)

    Source: Hu 2009; FAIT, Dogliotti et al. 2018 (its condition on the colour a* is left out).

    Examples
    --------
    >>> import yaml, pathlib
    >>> from analyses.water.quality.rules import bloom_rules
    >>> rules = bloom_rules({"bloom": yaml.safe_load(pathlib.Path("layers/rules/bloom.yml").read_text("utf-8"))})
    >>> bloom_cells(np.array([0.01, 0.0, 0.01, np.nan]), np.array([0.03, 0.03, 0.08, 0.03]), rules).tolist()
    [True, False, False, False]
    """
    found: NDArray[np.bool_] = (fai > rules.detection.fai_over) & (red < rules.detection.red_below)
    return found


def macrophytes(fai: NDArray[Any], ndvi: NDArray[Any], rules: BloomRules) -> NDArray[np.bool_] | None:
    """Where aquatic plants stand (水生植被): FAI and NDVI are high on most dates.

    Parameters
    ----------
    fai, ndvi : float (dates, rows, cols), NaN = not seen

    Returns
    -------
    bool (rows, cols), or None if no cell was seen on enough dates: one scene cannot tell plants from bloom.
    """
    if fai.shape != ndvi.shape or fai.ndim != 3:
        raise GridMismatch(
            f"FAI 与 NDVI 应为同形的（日期、行、列）数组，得到 {fai.shape} 与 {ndvi.shape}",
            f"FAI and NDVI must be (dates, rows, cols) of one shape, found {fai.shape} and {ndvi.shape}",
        )
    rule = rules.macrophytes
    seen = np.isfinite(fai) & np.isfinite(ndvi)
    count = seen.sum(axis=0)
    enough = count >= rule.least_dates
    if not enough.any():
        return None
    high = seen & (fai > rule.fai_over) & (ndvi > rule.ndvi_over)
    return enough & (high.sum(axis=0) >= rule.persistence * count)


@dataclass(frozen=True)
class BloomShare:
    """Bloom of one lake on one date."""

    lake: int
    water_m2: float
    seen_m2: float
    bloom_m2: float
    clear_percent: float
    bloom_percent: float | None
    """Of the part that was seen; None where too little was seen."""
    grade: Level | None
    reason: str | None
    """``coverage`` where there is no grade."""


def bloom_share(
    bloom: NDArray[np.bool_],
    seen: NDArray[np.bool_],
    lakes: NDArray[Any],
    cell_m2: NDArray[np.float64],
    rules: BloomRules,
) -> list[BloomShare]:
    """Share of each lake's surface under bloom (水华面积比例), and its grade.

    Parameters
    ----------
    bloom, seen : bool (rows, cols)
        Bloom counts only where the water was seen (no cloud, glint, shore margin, plants).
    lakes : int (rows, cols)
        Number of the lake whose surface a cell is, 0 = none.
    cell_m2 : float64 (rows,)
        Ellipsoidal area of a cell of each row.

    Returns
    -------
    list of BloomShare, by number

    Source: HJ 1098-2020 [mem] for the grades 0, 10, 30, 60 %.
    """
    if not bloom.shape == seen.shape == lakes.shape or bloom.shape[0] != cell_m2.size:
        raise GridMismatch(
            f"数组大小不同：{bloom.shape}、{seen.shape}、{lakes.shape}、{cell_m2.size} 行",
            f"arrays differ in shape: {bloom.shape}, {seen.shape}, {lakes.shape}, {cell_m2.size} rows",
        )
    if lakes.min(initial=0) < 0:
        raise InvalidParameter("湖泊编号不能为负", "numbers of lakes cannot be negative", parameter="lakes")
    number = lakes.astype(np.int64)
    size = int(number.max(initial=0)) + 1
    area = np.broadcast_to(cell_m2[:, np.newaxis], bloom.shape)

    def total(where: NDArray[np.bool_], weights: Any) -> NDArray[np.float64]:
        return np.bincount(number[where], weights=weights, minlength=size)

    inside = number > 0
    observed = inside & seen
    hit = observed & bloom
    water, seen_m2, bloom_m2 = (total(w, area[w]) for w in (inside, observed, hit))
    cells = np.bincount(number[observed], minlength=size)
    return [
        share_of(k, float(water[k]), float(seen_m2[k]), float(bloom_m2[k]), int(cells[k]), rules)
        for k in np.flatnonzero(water > 0).tolist()
    ]


def share_of(
    lake: int, water_m2: float, seen_m2: float, bloom_m2: float, seen_cells: int, rules: BloomRules
) -> BloomShare:
    """Share and grade of one lake from its areas; no grade where too little was seen."""
    clear = 100 * seen_m2 / water_m2 if water_m2 else 0.0
    rule = rules.coverage
    if clear < rule.least_clear_percent or seen_cells < rule.least_cells:
        return BloomShare(lake, water_m2, seen_m2, bloom_m2, clear, None, None, "coverage")
    percent = 100 * bloom_m2 / seen_m2
    return BloomShare(lake, water_m2, seen_m2, bloom_m2, clear, percent, rules.grades.level(percent), None)
