"""Area of applicability (适用域): where the map rests on something like the training data, after Meyer & Pebesma (2021).

A classifier gives a class to everything, also to what it has never seen. Cells that differ more from the samples than the
samples of one fold differ from those of the others lie outside; there the cross-validated accuracy says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Applicability", "applicability"]

_ROWS = 1024
"""Training rows whose distances are held at once."""


@dataclass(frozen=True)
class Applicability:
    """Dissimilarity index (相异指数) relative to a training set.

    Attributes
    ----------
    mean, scale : float64 (features,)
        A feature becomes (x − mean) · scale; scale = importance / standard deviation.
    mean_distance : float
        Mean distance between training samples in that space.
    threshold : float
        Largest index of the training samples between folds, outliers left out.
    training_index : float64 (n,)
        Index of each training sample against the other folds.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    mean_distance: float
    threshold: float
    training_index: NDArray[np.float64]
    _tree: Any

    def index(self, x: NDArray[np.float32], *, threads: int = 1) -> NDArray[np.float64]:
        """Dissimilarity index of cells; NaN where a feature has no data.

        Formula: DI = min over training samples of ‖(x − x_t)·w/σ‖ / d̄.

        Parameters
        ----------
        x : float32 (n, features)
        threads : int
            The result does not depend on it.

        Returns
        -------
        float64 (n,), 0 = like a training sample, 1 = as far as training samples are from each other on average
        """
        result = np.full(x.shape[0], np.nan)
        valid = np.isfinite(x).all(axis=1)
        if valid.any():
            distance, _ = self._tree.query(self._scaled(x[valid]), workers=threads)
            result[valid] = distance / self.mean_distance
        return result

    def inside(self, index: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether cells of this index lie in the area of applicability; False where it is NaN."""
        result: NDArray[np.bool_] = index <= self.threshold
        return result

    def _scaled(self, x: NDArray[Any]) -> NDArray[np.float64]:
        return np.ascontiguousarray((np.asarray(x, dtype=np.float64) - self.mean) * self.scale)


def applicability(x: NDArray[np.float32], fold: NDArray[np.int64], importance: NDArray[np.float64]) -> Applicability:
    """Area of applicability of a classifier.

    Formula: standardise, weight by importance, DI_t = distance to the nearest training sample of another fold / d̄;
    threshold = the largest DI_t not above Q₃ + 1.5·(Q₃ − Q₁).

    Parameters
    ----------
    x : float32 (n, features)
        Training samples; those with gaps take no part.
    fold : int64 (n,)
        Folds of the cross-validation: by polygon, else the threshold is far too small.
    importance : float64 (features,), ≥ 0
        Of each feature; if all are 0 they count alike.

    Raises
    ------
    InvalidParameter
        For importances of another length, negative or not finite.
    QualityViolation
        With samples of fewer than two folds, or samples that are all the same.

    Source: Meyer & Pebesma (2021) doi 10.1111/2041-210X.13650, §2.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]], np.float32)
    >>> found = applicability(x, np.array([0, 0, 1, 1]), np.array([1.0]))
    >>> (found.training_index * found.mean_distance / found.scale[0]).round(6).tolist()
    [2.0, 1.0, 1.0, 2.0]
    >>> found.inside(found.index(np.array([[0.5], [9.0]], np.float32))).tolist()
    [True, False]
    """
    from scipy.spatial import cKDTree
    from scipy.spatial.distance import cdist

    weight = np.asarray(importance, dtype=np.float64)
    if weight.shape != x.shape[1:] or not np.isfinite(weight).all() or (weight < 0).any():
        raise InvalidParameter(
            f"重要性应为 {x.shape[1]} 个非负数，得到 {weight.tolist()}",
            f"{x.shape[1]} importances ≥ 0 are needed, found {weight.tolist()}",
            parameter="importance",
        )
    if not weight.any():
        weight = np.ones_like(weight)
    complete = np.isfinite(x).all(axis=1)
    data, part = np.asarray(x[complete], dtype=np.float64), np.asarray(fold)[complete]
    if np.unique(part).size < 2:
        raise QualityViolation(
            "适用域需要至少两个折中有完整特征的样本",
            "the area of applicability needs samples with every feature in at least two folds",
        )
    mean, spread = data.mean(axis=0), data.std(axis=0, ddof=1)
    # A constant feature tells nothing of the training set, and must not divide by zero.
    scale = np.where(spread > 0, weight / np.where(spread > 0, spread, 1.0), 0.0)
    space = np.ascontiguousarray((data - mean) * scale)
    total = 0.0
    nearest = np.full(len(space), np.inf)
    for number in np.unique(part):
        mine = part == number
        nearest[mine], _ = cKDTree(space[~mine]).query(space[mine])
    for row in range(0, len(space), _ROWS):
        total += float(cdist(space[row : row + _ROWS], space).sum())
    mean_distance = total / (len(space) * (len(space) - 1))
    if not mean_distance > 0:
        raise QualityViolation(
            "样本的特征全部相同，无法计算适用域，请核对影像", "all samples have the same features; check the scene"
        )
    index = nearest / mean_distance
    low, high = np.quantile(index, [0.25, 0.75])
    threshold = float(index[index <= high + 1.5 * (high - low)].max())
    return Applicability(mean, scale, mean_distance, threshold, index, cKDTree(np.unique(space, axis=0)))
