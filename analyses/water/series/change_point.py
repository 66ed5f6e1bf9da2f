"""Level shifts of series (突变与漂移): Page's CUSUM as new values come in, Pettitt's test in hindsight."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from analyses.water.series.rules import CusumRule

__all__ = ["Cusum", "Shift", "page_cusum", "pettitt"]


@dataclass(frozen=True)
class Shift:
    """A shift that the CUSUM signals."""

    signalled: int
    """Position of the value at which the sum crosses the decision interval."""
    began: int
    """Position of the first value after the sum was last zero: the likely start."""
    upward: bool


@dataclass(frozen=True)
class Cusum:
    """Sums and signals."""

    upper: NDArray[np.float64]
    lower: NDArray[np.float64]
    centre: float
    spread: float
    shifts: tuple[Shift, ...]


def page_cusum(values: ArrayLike, rule: CusumRule, *, reference: int | None = None) -> Cusum:
    """Two-sided CUSUM of Page, in units of the spread of a reference period.

    Formula: z = (x − m)/s; C⁺ = max(0, C⁺ + z − k), C⁻ = max(0, C⁻ − z − k); a signal where C > h, then the sum starts
    anew at zero. m is the median and s 1.4826 · MAD of the reference period, so that a single spike in it does no harm.

    Parameters
    ----------
    values : float (n,)
        In the order of time; NaN = missing: the sums stay as they are.
    reference : int, optional
        Known values of the reference period from the start; default by the rule.

    Raises
    ------
    InvalidParameter
        Too short a reference period, or one that does not vary.

    Source: Page 1954, doi 10.1093/biomet/41.1-2.100.
    """
    x = np.asarray(values, dtype=np.float64)
    known = np.flatnonzero(np.isfinite(x))
    count = max(rule.least_reference, int(rule.reference_share * known.size)) if reference is None else reference
    if count < rule.least_reference or known.size <= count:
        raise InvalidParameter(
            f"CUSUM 的参考期需要至少 {rule.least_reference} 个值且其后还有观测，共有 {known.size} 个值",
            f"CUSUM needs a reference period of at least {rule.least_reference} values and some after it; there are {known.size}",
            parameter="reference",
        )
    first = x[known[:count]]
    centre = float(np.median(first))
    spread = 1.4826 * float(np.median(np.abs(first - centre)))
    if spread == 0:
        raise InvalidParameter(
            "参考期的值没有变化（平直线？），无法确定尺度",
            "the reference period does not vary (a flatline?)",
            parameter="reference",
        )
    upper, lower = np.zeros(x.size), np.zeros(x.size)
    shifts: list[Shift] = []
    high = low = 0.0
    high_from = low_from = -1
    for k in range(x.size):
        if np.isfinite(x[k]):
            z = (float(x[k]) - centre) / spread
            high = max(0.0, high + z - rule.slack)
            low = max(0.0, low - z - rule.slack)
            high_from = -1 if high == 0 else (k if high_from < 0 else high_from)
            low_from = -1 if low == 0 else (k if low_from < 0 else low_from)
        upper[k], lower[k] = high, low
        if high > rule.decision:
            shifts.append(Shift(k, high_from, True))
            high, high_from = 0.0, -1
        if low > rule.decision:
            shifts.append(Shift(k, low_from, False))
            low, low_from = 0.0, -1
    return Cusum(upper, lower, centre, spread, tuple(shifts))


def pettitt(values: ArrayLike) -> tuple[int, int, float]:
    """Pettitt's test of one change point: position of the first value after it, K, p.

    Formula: U_t = Σ_{i≤t} Σ_{j>t} sgn(x_i − x_j); K = max |U_t|; p ≈ 2 exp(−6 K²/(n³ + n²)).

    Parameters
    ----------
    values : float (n,), no NaN, at least four

    Source: Pettitt 1979, doi 10.2307/2346729.

    Examples
    --------
    >>> at, k, p = pettitt([1, 2, 1, 2, 9, 8, 9, 8])
    >>> at, k, round(p, 4)
    (4, 16, 0.139)
    """
    x = np.asarray(values, dtype=np.float64)
    if x.size < 4 or not np.isfinite(x).all():
        raise InvalidParameter(
            "Pettitt 检验需要至少 4 个有效值",
            "Pettitt's test needs at least four values, none missing",
            parameter="values",
        )
    n = x.size
    rows = np.sign(x[:, np.newaxis] - x[np.newaxis, :]).sum(axis=1)
    u = np.cumsum(rows)[:-1]  # pairs within the first part cancel
    at = int(np.abs(u).argmax())
    k = int(abs(u[at]))
    return at + 1, k, min(1.0, 2 * math.exp(-6 * k * k / (n**3 + n**2)))
