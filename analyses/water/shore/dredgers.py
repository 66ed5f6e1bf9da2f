"""Ships that stay at one place on the river (驻留船只): candidates of sand dredgers (采砂船) from a series of radar scenes.

On one date a dredger, a cargo ship at anchor and a passing ship look alike at 10 m: a few bright cells on dark water. What
tells is the series: a passing ship is at a place once, a ship that works there again and again, a pontoon always at the same
cell. The result says «stays», never «dredges»: the river chief's people look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from analyses.water.shore.candidate_rules import DredgerRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Target", "VesselPlace", "bright_targets", "vessel_places"]


@dataclass(frozen=True, slots=True)
class Target:
    """A bright target (亮目标) of one date."""

    look: int
    x_m: float
    """Metres east and north of a common origin."""
    y_m: float
    area_m2: float
    deviation: float
    """Largest joint deviation of its cells."""


@dataclass(frozen=True, slots=True)
class VesselPlace:
    """A place at which targets were seen."""

    kind: str
    """``passing``, ``staying`` (candidate) or ``fixed``."""
    looks: tuple[int, ...]
    targets: tuple[Target, ...]
    x_m: float
    y_m: float
    spread_m: float
    chance: float
    """Probability that as many passing ships were there by accident."""


def bright_targets(
    vv: NDArray[np.float32] | None,
    vh: NDArray[np.float32] | None,
    water: NDArray[np.bool_],
    cell_m: tuple[float, float],
    rule: DredgerRule,
    *,
    look: int = 0,
) -> list[Target]:
    """Bright targets on water of one date, by a two-parameter CFAR (恒虚警检测).

    z = (x − m)/s with mean and standard deviation (at least ``least_db``) of the water cells between the guard window and the
    background window, in dB; cells more than ``clip_db`` above the median of the water take no part in them. With both
    polarisations (z_vv + z_vh)/√2 decides. Cells above ``factor`` that touch are one target; its area must lie in the window
    of sizes.

    Parameters
    ----------
    vv, vh : float32 (rows, cols), optional
        Backscatter, dB, NaN = nodata; one of them at least.
    water : bool (rows, cols)
        Where it is always water; cells nearer the bank than ``shore_m`` are left out.
    cell_m : (height, width)
        Of a cell, m.

    Raises
    ------
    InvalidParameter
        Neither VV nor VH.

    Source: constant false alarm rate detection is common practice [mem]; the numbers are a convention of this project.
    """
    from scipy import ndimage

    from spatial.errors import InvalidParameter

    bands = [band for band in (vv, vh) if band is not None]
    if not bands:
        raise InvalidParameter("雷达影像需要 vv 或 vh", "a radar scene needs vv or vh", parameter="radar")
    seen = water.copy()
    for band in bands:
        seen &= np.isfinite(band)
    if not seen.any():
        return []
    away = ndimage.distance_transform_edt(water, sampling=cell_m)
    usable = seen & (away > rule.shore_m)
    if not usable.any():
        return []
    score = np.zeros(water.shape, dtype=np.float32)
    for band in bands:
        score += _deviation(band, seen, cell_m, rule) / np.float32(np.sqrt(len(bands)))
    labels, count = ndimage.label(usable & (score >= rule.factor), structure=np.ones((3, 3), dtype=bool))
    if count == 0:
        return []
    row_of, col_of = np.nonzero(labels)
    owner = labels[row_of, col_of] - 1
    cells = np.bincount(owner, minlength=count)
    area = cells * (cell_m[0] * cell_m[1])
    centre = np.column_stack([np.bincount(owner, weights=of, minlength=count) / cells for of in (row_of, col_of)])
    top = np.zeros(count)
    np.maximum.at(top, owner, score[row_of, col_of])
    return [
        Target(look, float((col + 0.5) * cell_m[1]), float(-(row + 0.5) * cell_m[0]), float(size), float(best))
        for (row, col), size, best in zip(centre, area, top, strict=True)
        if rule.least_m2 <= size <= rule.most_m2
    ]


def _deviation(
    band: NDArray[np.float32], seen: NDArray[np.bool_], cell_m: tuple[float, float], rule: DredgerRule
) -> NDArray[np.float32]:
    from scipy import ndimage

    quiet = seen & (band <= np.median(band[seen]) + rule.clip_db)
    weight = quiet.astype(np.float64)
    value = np.where(quiet, band, 0).astype(np.float64)

    def ring(values: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros_like(values)
        for radius, sign in ((rule.outer_m, 1), (rule.inner_m, -1)):
            size = [2 * max(round(radius / side), 1) + 1 for side in cell_m]
            total += sign * ndimage.uniform_filter(values, size, mode="constant") * (size[0] * size[1])
        return total

    count = np.maximum(np.rint(ring(weight)), 0)
    few = count < 20
    safe = np.where(few, 1, count)
    mean = ring(value) / safe
    spread = np.sqrt(np.maximum(ring(value * value) / safe - mean * mean, 0))
    known = band[quiet].astype(np.float64)
    mean = np.where(few, known.mean(), mean)
    spread = np.maximum(np.where(few, known.std(), spread), rule.least_db)
    return np.asarray(np.where(seen, (band - mean) / spread, -np.inf), dtype=np.float32)


def vessel_places(targets: Sequence[Target], looks: int, water_m2: float, rule: DredgerRule) -> list[VesselPlace]:
    """Group the targets of all dates by place, and say of each whether ships pass there, stay, or something is fixed.

    The place with the most dates within ``same_place_m`` comes first and takes its targets with it. By accident a passing ship
    is within that radius on a date with p = 1 − exp(−πr²·n/A), n passing targets a date on A m² of water; ships stay at
    a place when it has ``least_dates`` dates and the binomial probability of so many, over all places that fit on the water, is
    below ``chance``, and when they lie closer together (``most_spread_m``) than ships that pass anywhere in the circle.

    Parameters
    ----------
    looks : int
        Radar dates that could be used.
    water_m2 : float
        Area of the water that was searched.
    """
    from scipy.spatial import cKDTree
    from scipy.stats import binom

    if not targets:
        return []
    xy = np.array([(target.x_m, target.y_m) for target in targets])
    when = np.array([target.look for target in targets])
    disc = np.pi * rule.same_place_m**2
    places_that_fit = max(water_m2 / disc, 1.0)
    near = cKDTree(xy).query_ball_point(xy, rule.same_place_m)
    left = np.ones(len(targets), dtype=bool)
    passing = len(targets)  # less those that turn out to stay
    found: list[VesselPlace] = []
    while left.any():
        candidates = [[j for j in group if left[j]] if left[i] else [] for i, group in enumerate(near)]
        counts = [len(set(when[group].tolist())) for group in candidates]
        best = candidates[int(np.argmax(counts))]
        left[best] = False
        middle = xy[best].mean(axis=0)
        spread = float(np.sqrt(np.mean(np.sum((xy[best] - middle) ** 2, axis=1))))
        dates = tuple(sorted(set(when[best].tolist())))
        accident = 1 - np.exp(-disc * passing / max(looks, 1) / max(water_m2, disc))
        chance = float(min(1.0, places_that_fit * binom.sf(len(dates) - 1, looks, accident)))
        kind = "passing"
        if len(dates) >= rule.least_dates and chance < rule.chance and spread <= rule.most_spread_m:
            always = len(dates) >= rule.fixed_share * looks
            kind = "fixed" if always and spread <= rule.fixed_spread_m else "staying"
            passing -= len(best)
        found.append(
            VesselPlace(
                kind, dates, tuple(targets[i] for i in best), float(middle[0]), float(middle[1]), spread, chance
            )
        )
    return found
