"""The classifier (分类器): random forest or histogram gradient boosting, tested by whole polygons.

Training is seeded and prediction works on each cell by itself, so that the map is the same bit for bit for every block
size and number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.landcover.accuracy import error_matrix, kappa
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.landcover.samples import Samples

__all__ = [
    "PROBABILITY_STEP",
    "Classifier",
    "CrossValidation",
    "Method",
    "cross_validate",
    "entropy",
    "grouped_folds",
    "random_folds",
    "train",
]

Method = Literal["random_forest", "gradient_boosting"]
PROBABILITY_STEP = 1 / 1024
"""Probabilities and entropies are stored as multiples of this power of two."""
_CHUNK = 16_384
"""Cells that one thread predicts at a time."""


@contextmanager
def _one_thread() -> Iterator[None]:
    # Gradient boosting adds its gradients up by thread: with another number of threads another last bit, another tree.
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="openmp"):
        yield


def _estimator(method: Method, trees: int, seed: int, threads: int) -> Any:
    if method == "random_forest":
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=trees, random_state=seed, n_jobs=threads)
    from sklearn.ensemble import HistGradientBoostingClassifier

    # No early stopping: it would hold out cells at random, of the polygons that it trains on.
    return HistGradientBoostingClassifier(max_iter=100, early_stopping=False, random_state=seed)


def entropy(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normalised entropy of the class probabilities: 0 = certain, 1 = every class alike.

    Formula: H = −Σ p ln p / ln k, k classes.

    Parameters
    ----------
    probability : float64 (n, k), rows sum to 1

    Returns
    -------
    float64 (n,)

    Source: Shannon (1948) doi 10.1002/j.1538-7305.1948.tb01338.x.

    Examples
    --------
    >>> entropy(np.array([[1.0, 0.0], [0.5, 0.5]])).tolist()
    [0.0, 1.0]
    """
    p = np.ascontiguousarray(probability, dtype=np.float64)
    if p.shape[1] < 2:
        return np.zeros(p.shape[0])
    total = np.zeros(p.shape[0])
    for k in range(p.shape[1]):  # class by class: the order of the sum never depends on the shape of the block
        column = p[:, k]
        total -= column * np.log(np.where(column > 0, column, 1.0))
    return np.asarray(np.clip(total / np.log(p.shape[1]), 0.0, 1.0))


@dataclass(frozen=True)
class Classifier:
    """A trained classifier.

    Attributes
    ----------
    model : scikit-learn estimator
    method : str
    classes : tuple of int
        Codes in the order of the probabilities, ascending.
    features : tuple of str
        Names in the order of the columns.
    """

    model: Any
    method: Method
    classes: tuple[int, ...]
    features: tuple[str, ...]

    @property
    def takes_gaps(self) -> bool:
        """Whether cells with some features missing can be predicted."""
        return self.method == "gradient_boosting"

    def valid(self, x: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Cells that can be predicted, bool (n,)."""
        known = np.isfinite(x)
        result: NDArray[np.bool_] = known.any(axis=1) if self.takes_gaps else known.all(axis=1)
        return result

    def probabilities(self, x: NDArray[np.float32], *, threads: int = 1) -> NDArray[np.float64]:
        """Class probabilities; rows of cells that cannot be predicted are NaN.

        Parameters
        ----------
        x : float32 (n, features)
        threads : int
            How many threads share the cells; the result does not depend on it.

        Returns
        -------
        float64 (n, classes)

        Raises
        ------
        InvalidParameter
            If the number of features is not that of the training.
        """
        if x.ndim != 2 or x.shape[1] != len(self.features):
            raise InvalidParameter(
                f"特征应为 {len(self.features)} 列（{'、'.join(self.features)}），得到 {x.shape}",
                f"{len(self.features)} features are needed ({', '.join(self.features)}), found {x.shape}",
                parameter="x",
            )
        result = np.full((x.shape[0], len(self.classes)), np.nan)
        where = np.flatnonzero(self.valid(x))
        chunks = [where[k : k + _CHUNK] for k in range(0, where.size, _CHUNK)]

        def predict(rows: NDArray[np.intp]) -> None:
            # The threads share the cells out already; more of them inside boosting only wait for each other.
            with _one_thread():
                result[rows] = self.model.predict_proba(np.ascontiguousarray(x[rows]))

        if threads > 1 and len(chunks) > 1:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(predict, chunks))
        else:
            for rows in chunks:
                predict(rows)
        return result


def train(
    samples: Samples,
    features: tuple[str, ...],
    *,
    method: Method,
    trees: int = 300,
    seed: int = 0,
    threads: int = 1,
) -> Classifier:
    """Train on all samples given.

    Parameters
    ----------
    samples : Samples
    features : tuple of str
        Names of the columns of ``samples.x``.
    method : {"random_forest", "gradient_boosting"}
    trees : int
        Of the forest; boosting has 100 rounds of one tree a class.
    seed : int
    threads : int
        Of a forest; the result does not depend on it.

    Raises
    ------
    QualityViolation
        With fewer than two classes.

    Source: Breiman (2001) doi 10.1023/A:1010933404324; Ke et al. (2017) LightGBM, NeurIPS 30 (histogram boosting).
    """
    if len(samples.classes) < 2:
        raise QualityViolation(
            f"样本只有类别 {list(samples.classes)}，至少需要两类（每类两个以上地块）",
            f"the samples hold class {list(samples.classes)} only; two classes with two polygons each are the least",
            classes=list(samples.classes),
        )
    model = _estimator(method, trees, seed, threads)
    with _one_thread():
        model.fit(samples.x, samples.y)
    if method == "random_forest":
        # With more, scikit-learn adds the trees up in the order in which threads end.
        model.n_jobs = 1
    return Classifier(model, method, tuple(int(c) for c in model.classes_), features)


def grouped_folds(samples: Samples, folds: int = 5) -> NDArray[np.int64]:
    """Fold of each sample, whole polygons together; unshuffled ``GroupKFold``, int64 (n,).

    Raises
    ------
    QualityViolation
        With fewer than two polygons.
    """
    from sklearn.model_selection import GroupKFold

    groups = np.unique(samples.group).size
    if groups < 2:
        raise QualityViolation(
            f"样本只有 {groups} 个地块，无法按地块交叉验证，请补充地块",
            f"there is {groups} sample polygon, too few for a cross-validation by polygon; add polygons",
            polygons=groups,
        )
    fold = np.zeros(samples.y.size, dtype=np.int64)
    splits = GroupKFold(min(folds, groups)).split(samples.x, samples.y, samples.group)
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    return fold


def random_folds(samples: Samples, folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """Fold of each sample drawn cell by cell within classes: it overstates the accuracy, and is here to show by how much."""
    from sklearn.model_selection import StratifiedKFold

    fold = np.zeros(samples.y.size, dtype=np.int64)
    for number, (_, test) in enumerate(
        StratifiedKFold(folds, shuffle=True, random_state=seed).split(samples.x, samples.y)
    ):
        fold[test] = number
    return fold


@dataclass(frozen=True)
class CrossValidation:
    """What the folds say.

    Attributes
    ----------
    classes : tuple of int
    matrix : int64 (classes, classes)
        Rows predicted, columns labelled; every sample counted once.
    fold : int64 (n,)
    importance : float64 (features,)
        Mean loss of held-out accuracy when a feature is shuffled, negative ones 0.
    untested : tuple of int
        Classes with one polygon: their cells count as errors, since no fold could learn them.
    """

    classes: tuple[int, ...]
    matrix: NDArray[np.int64]
    fold: NDArray[np.int64]
    importance: NDArray[np.float64]
    untested: tuple[int, ...]

    @property
    def accuracy(self) -> float:
        """Share of samples predicted right, all classes."""
        return float(np.trace(self.matrix) / self.matrix.sum())

    @property
    def accuracy_learnable(self) -> float:
        """The same over the samples of classes with two or more polygons; NaN if there are none."""
        keep = ~np.isin(self.classes, self.untested)
        total = self.matrix[:, keep].sum()
        return float(np.diag(self.matrix)[keep].sum() / total) if total else float("nan")

    @property
    def kappa(self) -> float:
        """Cohen's kappa."""
        return kappa(self.matrix)


def cross_validate(
    samples: Samples,
    fold: NDArray[np.int64],
    *,
    method: Method,
    trees: int = 300,
    seed: int = 0,
    importance: bool = True,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> CrossValidation:
    """Train without each fold in turn and predict it.

    Parameters
    ----------
    samples : Samples
    fold : int64 (n,), from `grouped_folds`
    importance : bool
        Also shuffle each feature of the held-out cells, for the weights of the area of applicability.
    progress : callable, optional
        Called with the share done after each fold; may raise to stop.

    Raises
    ------
    QualityViolation
        If a fold would train on fewer than two classes.

    Source: GroupKFold by polygon, after Roberts et al. (2017) doi 10.1111/ecog.02881; permutation importance, Breiman (2001).
    """
    predicted = np.zeros_like(samples.y)
    loss = np.zeros(samples.x.shape[1])
    names = tuple(str(k) for k in range(samples.x.shape[1]))
    numbers = np.unique(fold)
    for done, number in enumerate(numbers):
        if progress is not None:
            progress(done / numbers.size)
        test = fold == number
        rest = samples.where(~test)
        fitted = train(rest, names, method=method, trees=trees, seed=seed, threads=threads)
        x, y = samples.x[test], samples.y[test]
        codes = np.asarray(fitted.classes)
        predicted[test] = codes[fitted.probabilities(x).argmax(axis=1)]
        if not importance:
            continue
        generator = np.random.default_rng([seed, int(number)])
        right = int((predicted[test] == y).sum())
        for k in range(x.shape[1]):
            shuffled = x.copy()
            shuffled[:, k] = x[generator.permutation(len(x)), k]
            loss[k] += right - int((codes[fitted.probabilities(shuffled).argmax(axis=1)] == y).sum())
    classes = samples.classes
    return CrossValidation(
        classes,
        error_matrix(predicted, samples.y, classes),
        fold,
        np.maximum(loss / samples.y.size, 0.0),
        samples.single,
    )
