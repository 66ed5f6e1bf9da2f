"""A threshold between two groups of values (阈值): Otsu and EM on a histogram, edge samples, and whether there are two at all.

A threshold of values that do not fall into two groups is noise: `two_groups` says whether it may be believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import CannyRow

__all__ = ["Groups", "canny_edges", "edge_sample", "groups_at", "mixture", "otsu", "two_groups", "valley_depth"]


@dataclass(frozen=True, slots=True)
class Groups:
    """Two groups of values: share of the upper one, means and standard deviations of both."""

    upper_share: float
    low_mean: float
    low_sd: float
    high_mean: float
    high_sd: float

    @property
    def ashman(self) -> float:
        """Ashman's D = √2 |μ₁ − μ₂| / √(σ₁² + σ₂²); above 2 the groups are apart.

        Source: Ashman, Bird & Zepf (1994), AJ 108:2348, doi 10.1086/117248.
        """
        spread = np.hypot(self.low_sd, self.high_sd)
        if spread == 0:
            return float("inf") if self.high_mean != self.low_mean else 0.0
        return float(np.sqrt(2) * abs(self.high_mean - self.low_mean) / spread)

    def upper_probability(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Probability that a value belongs to the upper group, if both are normal; rises with the value."""
        low_sd, high_sd = max(self.low_sd, 1e-6), max(self.high_sd, 1e-6)
        values = np.clip(
            values, self.low_mean, self.high_mean
        )  # beyond the means the tails of unequal groups cross again
        low = (1 - self.upper_share) / low_sd * np.exp(-0.5 * ((values - self.low_mean) / low_sd) ** 2)
        high = self.upper_share / high_sd * np.exp(-0.5 * ((values - self.high_mean) / high_sd) ** 2)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(high / (low + high), dtype=np.float32)


def otsu(counts: NDArray[Any], edges: NDArray[Any]) -> float:
    """Otsu's threshold of a histogram: the bin centre that parts it with the greatest variance between the groups.

    Formula: max over k of ω₀ ω₁ (μ₀ − μ₁)², group 0 = bins 0 … k. Values above the threshold belong to the upper group. Of equal
    ones (an empty stretch between the groups) the middle one.

    Parameters
    ----------
    counts : (bins,)
    edges : (bins + 1,)

    Raises
    ------
    ValueError
        If fewer than two bins hold a value.

    Source: Otsu (1979), IEEE Trans. SMC 9(1), doi 10.1109/TSMC.1979.4310076.

    Examples
    --------
    >>> float(otsu(np.array([4, 0, 0, 0, 4]), np.arange(6.0)))
    2.0
    """
    counts = np.asarray(counts, dtype=np.float64)
    if np.count_nonzero(counts) < 2:
        raise ValueError("a threshold needs values in two bins")
    centres = (np.asarray(edges[:-1]) + np.asarray(edges[1:])) / 2
    below = np.cumsum(counts)
    total = below[-1]
    moment = np.cumsum(counts * centres)
    w0, w1 = below[:-1], total - below[:-1]
    with np.errstate(invalid="ignore", divide="ignore"):
        between = w0 * w1 * (moment[:-1] / w0 - (moment[-1] - moment[:-1]) / w1) ** 2
    between = np.nan_to_num(between, nan=-1.0)
    best = np.flatnonzero(np.isclose(between, between.max(), rtol=1e-12, atol=0))
    return float((centres[best[0]] + centres[best[-1]]) / 2)


def groups_at(values: NDArray[Any], threshold: float) -> Groups:
    """The two groups on both sides of a threshold."""
    upper = values > threshold
    low, high = values[~upper], values[upper]
    if not low.size or not high.size:
        centre = float(values.mean()) if values.size else float("nan")
        return Groups(float(upper.mean()) if values.size else 0.0, centre, 0.0, centre, 0.0)
    return Groups(
        float(upper.mean()),
        float(low.mean(dtype=np.float64)),
        float(low.std(dtype=np.float64)),
        float(high.mean(dtype=np.float64)),
        float(high.std(dtype=np.float64)),
    )


def mixture(values: NDArray[Any], *, start: float, rounds: int = 100) -> tuple[float, Groups]:
    """Two normal groups fitted by expectation and maximisation, and the value between their means where they are as likely.

    Parameters
    ----------
    values : (n,)
        Finite.
    start : float
        A first threshold, for example Otsu's.

    Returns
    -------
    threshold, groups

    Source: Dempster, Laird & Rubin (1977), JRSS B 39(1); per-tile thresholds by EM as in ASF HYDRO30.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> t, g = mixture(np.concatenate([rng.normal(-20, 1, 5000), rng.normal(-10, 1, 5000)]), start=-12.0)
    >>> round(t), round(g.low_mean), round(g.high_mean)
    (-15, -20, -10)
    """
    counts, edges = np.histogram(values, bins=512)
    x = (edges[:-1] + edges[1:]) / 2
    weight = counts / counts.sum()
    found = groups_at(values, start)
    share, low, low_sd, high, high_sd = (
        found.upper_share, found.low_mean, found.low_sd, found.high_mean, found.high_sd,
    )  # fmt: skip
    least = max((edges[-1] - edges[0]) / 1000, 1e-9)
    low_sd, high_sd = max(low_sd, least), max(high_sd, least)
    for _ in range(rounds):
        a = (1 - share) / low_sd * np.exp(-0.5 * ((x - low) / low_sd) ** 2)
        b = share / high_sd * np.exp(-0.5 * ((x - high) / high_sd) ** 2)
        upper = weight * np.divide(b, a + b, out=(x > start).astype(float), where=a + b > 0)
        lower = weight - upper
        before = low, high
        share = float(upper.sum())
        if not 1e-6 < share < 1 - 1e-6:
            break
        low, high = float((lower * x).sum() / (1 - share)), float((upper * x).sum() / share)
        low_sd = max(float(np.sqrt((lower * (x - low) ** 2).sum() / (1 - share))), least)
        high_sd = max(float(np.sqrt((upper * (x - high) ** 2).sum() / share)), least)
        if max(abs(low - before[0]), abs(high - before[1])) < least / 10:
            break
    groups = Groups(share, low, low_sd, high, high_sd)
    between = np.linspace(low, high, 1001)
    odds = groups.upper_probability(between)
    crossing = np.flatnonzero(odds >= 0.5)
    return float(between[crossing[0]]) if crossing.size else float(high), groups


def valley_depth(counts: NDArray[Any], threshold_bin: int) -> float:
    """How deep the valley between the peaks on both sides of a bin is: 1 − lowest between them / the lower peak, 0–1.

    The histogram is smoothed by a running mean of 5 bins, so that a single empty bin is no valley.

    Examples
    --------
    >>> valley_depth(np.repeat([0, 9, 9, 0, 0, 6, 6, 0], 4), 15)
    1.0
    >>> valley_depth(np.array([1, 2, 3, 4, 5, 4, 3, 2, 1]), 4)
    0.0
    """
    smooth = np.convolve(np.asarray(counts, dtype=np.float64), np.ones(5) / 5, mode="same")
    left, right = smooth[: threshold_bin + 1], smooth[threshold_bin:]
    if not left.size or not right.size:
        return 0.0
    first, second = int(left.argmax()), threshold_bin + int(right.argmax())
    lower = min(smooth[first], smooth[second])
    if lower <= 0 or first == second:
        return 0.0
    return float(max(0.0, 1 - smooth[first : second + 1].min() / lower))


def two_groups(groups: Groups, valley: float, *, ashman: float, depth: float, least: float) -> bool:
    """Whether values fall into two groups: Ashman's D or the valley, and both groups large enough."""
    smaller = min(groups.upper_share, 1 - groups.upper_share)
    return smaller >= least and (groups.ashman > ashman or valley >= depth)


def canny_edges(values: NDArray[Any], rule: CannyRow) -> NDArray[np.bool_]:
    """Edges of an image (Canny 边缘): ridges of the gradient that are strong, or weak and joined to a strong one.

    The image is smoothed by a Gaussian of `sigma` cells; cells without a value take no part and have no edge beside them. A
    ridge cell has the greatest gradient along its direction. Strong and weak are quantiles of the gradient.

    Parameters
    ----------
    values : float (rows, cols)
        NaN = no value.

    Source: Canny (1986), IEEE TPAMI 8(6), doi 10.1109/TPAMI.1986.4767851.
    """
    from scipy import ndimage

    known = np.isfinite(values)
    filled = np.where(known, values, 0).astype(np.float32)
    weight = ndimage.gaussian_filter(known.astype(np.float32), rule.sigma)
    with np.errstate(invalid="ignore", divide="ignore"):
        smooth = ndimage.gaussian_filter(filled, rule.sigma) / weight
    inner = ndimage.binary_erosion(known, np.ones((3, 3)), border_value=0)
    smooth = np.where(weight > 0, smooth, 0)
    down, right = ndimage.sobel(smooth, axis=0), ndimage.sobel(smooth, axis=1)
    size = np.where(inner, np.hypot(down, right), 0).astype(np.float32)
    if not inner.any() or size.max() <= 0:
        return np.zeros(known.shape, dtype=np.bool_)
    high, low = np.quantile(size[inner], [rule.high, rule.low])
    ridge = _ridge(size, down, right)
    weak = ridge & (size >= max(low, np.finfo(np.float32).tiny))
    labels, count = ndimage.label(weak, structure=np.ones((3, 3)))
    strong = np.zeros(count + 1, dtype=np.bool_)
    strong[np.unique(labels[weak & (size >= high)])] = True
    strong[0] = False
    return np.asarray(strong[labels])


def _ridge(size: NDArray[np.float32], down: NDArray[Any], right: NDArray[Any]) -> NDArray[np.bool_]:
    """Cells whose gradient is the greatest of three along its direction, in four directions."""
    padded = np.pad(size, 1)
    rows, cols = size.shape
    sector = np.round(np.degrees(np.arctan2(down, right)) / 45).astype(np.int64) % 4
    ridge = np.zeros(size.shape, dtype=np.bool_)
    for number, (dr, dc) in enumerate(((0, 1), (1, 1), (1, 0), (1, -1))):
        ahead = padded[1 + dr : 1 + dr + rows, 1 + dc : 1 + dc + cols]
        behind = padded[1 - dr : 1 - dr + rows, 1 - dc : 1 - dc + cols]
        ridge |= (sector == number) & (size >= ahead) & (size > behind)
    return ridge


def edge_sample(values: NDArray[Any], rule: CannyRow) -> NDArray[np.float32]:
    """Values within `buffer` cells of an edge: about as much of one side as of the other, whatever share of the scene is water.

    Source: Donchyts et al. (2016), Remote Sensing 8(5):386, doi 10.3390/rs8050386.
    """
    from scipy import ndimage

    edges = canny_edges(values, rule)
    if not edges.any():
        return np.empty(0, dtype=np.float32)
    near = ndimage.distance_transform_edt(~edges) <= rule.buffer
    sample = values[near]
    return np.asarray(sample[np.isfinite(sample)], dtype=np.float32)
