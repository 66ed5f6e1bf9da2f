"""Combining standardised criteria (多准则合成): weighted linear combination, ordered weighted average, TOPSIS.

Every function takes float64 (k, cells), values 0–1 with 1 best, and answers float64 (cells,) in 0–1. Each cell is computed
by itself in the order of the criteria, so that no bit depends on the block.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["membership", "orness", "owa", "rescale", "topsis", "wlc"]


def rescale(values: NDArray[np.float64], low: float, high: float, *, benefit: bool) -> NDArray[np.float64]:
    """Min–max standardisation (极差标准化), clipped to 0–1.

    Formula: (x − low) / (high − low) for a benefit, (high − x) / (high − low) for a cost.

    Examples
    --------
    >>> rescale(np.array([-5.0, 0.0, 5.0, 20.0]), 0, 20, benefit=False).tolist()
    [1.0, 1.0, 0.75, 0.0]
    """
    distance = values - low if benefit else high - values
    return np.asarray(np.clip(distance / (high - low), 0.0, 1.0))


def membership(values: NDArray[np.float64], points: Sequence[tuple[float, float]]) -> NDArray[np.float64]:
    """Fuzzy membership, linear between control points (value, membership) and flat outside them.

    Examples
    --------
    >>> membership(np.array([0.0, 10.0, 15.0, 30.0]), [(5, 0), (15, 1), (25, 0.5)]).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    return np.interp(values, [x for x, _ in points], [m for _, m in points])


def wlc(values: NDArray[np.float64], weights: Sequence[float]) -> NDArray[np.float64]:
    """Weighted linear combination (加权线性组合): Σ w x.

    >>> wlc(np.array([[1.0, 0.0], [0.5, 0.5]]), [0.75, 0.25]).tolist()
    [0.875, 0.125]
    """
    total = np.zeros(values.shape[1])
    for value, weight in zip(values, weights, strict=True):
        total += weight * value
    return np.asarray(np.clip(total, 0.0, 1.0))


def orness(order_weights: Sequence[float]) -> float:
    """How optimistic order weights are (乐观度): Σ (n − j) v_j / (n − 1); 1 = the best value, 0 = the worst, ½ = the mean.

    Source: Yager (1988), doi:10.1109/21.87068.

    >>> orness([1, 0, 0]), orness([0, 0, 1]), orness([0.25, 0.5, 0.25])
    (1.0, 0.0, 0.5)
    """
    n = len(order_weights)
    return sum((n - j) * v for j, v in enumerate(order_weights, start=1)) / (n - 1)


def owa(values: NDArray[np.float64], weights: Sequence[float], order_weights: Sequence[float]) -> NDArray[np.float64]:
    """Ordered weighted average (有序加权平均) with criterion weights (WOWA).

    Formula: Σ ω_j x_(j), x_(1) ≥ x_(2) ≥ …; ω_j = Q(u_(1) + … + u_(j)) − Q(u_(1) + … + u_(j−1)), u the criterion weights,
    Q linear between the points (i/n, v_1 + … + v_i), v the order weights. Equal u: the plain OWA with v; equal v: the
    weighted linear combination. Values that tie may change places without changing the result.

    Source: Yager (1988), doi:10.1109/21.87068; Torra (1997), Int. J. Intelligent Systems 12, 153–166.

    Examples
    --------
    >>> owa(np.array([[1.0], [0.0], [0.5]]), [1 / 3] * 3, [0.5, 0.25, 0.25]).tolist()
    [0.625]
    """
    n = len(order_weights)
    order = np.argsort(-values, axis=0, kind="stable")
    ranked = np.take_along_axis(values, order, axis=0)
    if len(set(weights)) == 1:
        return wlc(ranked, order_weights)
    at = np.arange(n + 1) / n
    quantifier = np.concatenate([[0.0], np.cumsum(np.asarray(order_weights, dtype=np.float64))])
    quantifier[-1] = 1.0
    total = np.zeros(values.shape[1])
    reached = np.zeros(values.shape[1])
    before = np.zeros(values.shape[1])
    given = np.asarray(weights, dtype=np.float64)
    for j in range(n):
        reached = reached + given[order[j]]
        after = np.ones_like(reached) if j == n - 1 else np.interp(reached, at, quantifier)
        total += (after - before) * ranked[j]
        before = after
    return np.asarray(np.clip(total, 0.0, 1.0))


def topsis(
    values: NDArray[np.float64], weights: Sequence[float], best: Sequence[float], worst: Sequence[float]
) -> NDArray[np.float64]:
    """TOPSIS (逼近理想解排序法): relative closeness to the ideal.

    Formula: d⁻ / (d⁺ + d⁻), d the Euclidean distance of the weighted values w x from those of `best` (+) and `worst` (−).
    The values are standardised already, so no vector normalisation is applied.

    Parameters
    ----------
    values : float64 (k, cells)
    weights, best, worst : k numbers
        `best` and `worst` must differ in a criterion of weight above 0.

    Source: Hwang & Yoon (1981), Multiple Attribute Decision Making, doi:10.1007/978-3-642-48318-9.

    Examples
    --------
    >>> topsis(np.array([[1.0, 0.0, 0.5], [1.0, 0.0, 0.5]]), [0.5, 0.5], [1, 1], [0, 0]).tolist()
    [1.0, 0.0, 0.5]
    """
    up = np.zeros(values.shape[1])
    down = np.zeros(values.shape[1])
    for value, weight, high, low in zip(values, weights, best, worst, strict=True):
        up += (weight * (high - value)) ** 2
        down += (weight * (value - low)) ** 2
    far, near = np.sqrt(down), np.sqrt(up)
    return np.asarray(far / (far + near))
