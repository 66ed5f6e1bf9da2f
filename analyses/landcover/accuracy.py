"""Area and accuracy from a reference sample (面积与精度估计), after Olofsson et al. (2014).

Counting the pixels of a map is not an estimate of an area: the map's errors do not cancel. A probability sample of
reference labels corrects the areas and gives them an interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["AreaEstimate", "area_adjusted", "error_matrix", "kappa", "sample_size"]


@dataclass(frozen=True)
class AreaEstimate:
    """Estimates of one map; ``se_…`` are standard errors, `z` times them the half-width of the interval.

    Attributes
    ----------
    overall, se_overall : float
        Overall accuracy (总体精度), 0–1.
    users, se_users, producers, se_producers : float64 (classes,)
        User's accuracy (用户精度) by map class, producer's accuracy (生产者精度) by reference class.
    area, se_area : float64 (classes,)
        Area by *reference* class, in the unit of the mapped areas.
    mapped : float64 (classes,)
        Area by map class (pixel counting), same unit.
    z : float
        Half-width of an interval in standard errors.
    """

    overall: float
    se_overall: float
    users: NDArray[np.float64]
    se_users: NDArray[np.float64]
    producers: NDArray[np.float64]
    se_producers: NDArray[np.float64]
    area: NDArray[np.float64]
    se_area: NDArray[np.float64]
    mapped: NDArray[np.float64]
    z: float

    def rows(self, classes: Sequence[int]) -> list[dict[str, Any]]:
        """One row a class, with half-widths of the intervals (``…_ci``); NaN (not estimable) becomes None."""

        def number(value: float) -> float | None:
            return None if np.isnan(value) else float(value)

        return [
            {
                "class": int(code),
                "users_accuracy": number(self.users[k]),
                "users_accuracy_ci": number(self.z * self.se_users[k]),
                "producers_accuracy": number(self.producers[k]),
                "producers_accuracy_ci": number(self.z * self.se_producers[k]),
                "mapped_area": float(self.mapped[k]),
                "area": float(self.area[k]),
                "area_ci": float(self.z * self.se_area[k]),
            }
            for k, code in enumerate(classes)
        ]


def error_matrix(mapped: Any, reference: Any, classes: Sequence[int]) -> NDArray[np.int64]:
    """Counts n[i, j] of sample units with map class i (row) and reference class j (column).

    Parameters
    ----------
    mapped, reference : integer arrays of the same length
    classes : sequence of int
        Codes in the order of the rows and columns.

    Returns
    -------
    int64 (classes, classes)

    Raises
    ------
    QualityViolation
        For a code that is not in `classes`.

    Examples
    --------
    >>> error_matrix([1, 1, 2], [1, 2, 2], [1, 2]).tolist()
    [[1, 1], [0, 1]]
    """
    order = np.asarray(classes, dtype=np.int64)
    sorter = np.argsort(order)

    def index(values: Any, what: tuple[str, str]) -> NDArray[np.intp]:
        codes = np.asarray(values, dtype=np.int64).ravel()
        place = np.searchsorted(order, codes, sorter=sorter).clip(0, order.size - 1)
        found: NDArray[np.intp] = sorter[place]
        unknown = np.unique(codes[order[found] != codes])
        if unknown.size:
            raise QualityViolation(
                f"{what[0]}中有类别 {unknown.tolist()} 不在类别表 {order.tolist()} 中，请核对编码",
                f"{what[1]}: class {unknown.tolist()} is not among {order.tolist()}; check the codes",
                classes=unknown.tolist(),
            )
        return found

    i, j = index(mapped, ("分类结果", "map")), index(reference, ("参考样本", "reference sample"))
    if i.size != j.size:
        raise InvalidParameter(
            f"分类与参考样本的个数不同：{i.size} 与 {j.size}",
            f"map and reference have different lengths: {i.size} and {j.size}",
            parameter="reference",
        )
    n = order.size
    counts: NDArray[np.int64] = np.bincount(i * n + j, minlength=n * n).reshape(n, n).astype(np.int64)
    return counts


def kappa(matrix: Any) -> float:
    """Cohen's kappa of an error matrix of counts; NaN if chance alone explains everything.

    Source: Cohen (1960) doi 10.1177/001316446002000104. Shown because readers ask for it; it is no area-weighted measure.

    Examples
    --------
    >>> round(kappa([[20, 5], [10, 15]]), 3)
    0.4
    """
    n = np.asarray(matrix, dtype=np.float64)
    total = n.sum()
    chance = float((n.sum(axis=0) * n.sum(axis=1)).sum() / total**2)
    observed = float(np.trace(n) / total)
    return float("nan") if chance == 1 else (observed - chance) / (1 - chance)


def area_adjusted(matrix: Any, mapped_area: Any, *, z: float = 1.96) -> AreaEstimate:
    """Error-adjusted areas and accuracies with standard errors, from a stratified reference sample.

    Formula: W_i = A_i / A; p_ij = W_i n_ij / n_i.; area_j = A Σ_i p_ij;
    SE(area_j) = A √(Σ_i W_i² (n_ij/n_i.)(1 − n_ij/n_i.)/(n_i. − 1)); O = Σ p_ii; U_i = p_ii/p_i.; P_j = p_jj/p_.j.

    Parameters
    ----------
    matrix : array (classes, classes)
        Counts; rows are map classes = strata, columns reference classes in the same order. The sample must be drawn at
        random within each map class (or simple random or systematic over the map), not taken from training polygons.
    mapped_area : array (classes,), any one unit of area
        Ellipsoidal area of each map class.
    z : float
        Half-width of an interval in standard errors; 1.96 is 95 %.

    Returns
    -------
    AreaEstimate

    Raises
    ------
    InvalidParameter
        For a matrix that is not square, areas of another length, negative or without a sum, z ≤ 0.
    QualityViolation
        For a mapped class with fewer than 2 sample units: its variance cannot be estimated.

    Source: Olofsson et al. (2014) doi 10.1016/j.rse.2014.02.015, eqs. 4–11. Where the strata are not the map classes it
    does not hold (Stehman 2014, doi 10.1080/01431161.2014.930207).

    Examples
    --------
    >>> n = [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]]
    >>> found = area_adjusted(n, [200000 * 0.09, 150000 * 0.09, 3200000 * 0.09, 6450000 * 0.09])
    >>> round(found.overall, 3), round(found.z * found.se_overall, 3)
    (0.947, 0.018)
    >>> [(round(float(a)), round(float(h))) for a, h in zip(found.area, found.z * found.se_area)]
    [(21158, 6158), (11686, 3756), (285770, 15510), (581386, 16282)]
    """
    n, mapped = np.asarray(matrix, dtype=np.float64), np.asarray(mapped_area, dtype=np.float64)
    if n.ndim != 2 or n.shape[0] != n.shape[1] or mapped.shape != n.shape[:1] or not (n >= 0).all():
        raise InvalidParameter(
            f"误差矩阵应为方阵、计数非负，面积与类别一一对应：矩阵 {n.shape}，面积 {mapped.shape}",
            f"the error matrix must be square with counts ≥ 0 and one area a class: matrix {n.shape}, areas {mapped.shape}",
            parameter="matrix",
        )
    if not np.isfinite(mapped).all() or (mapped < 0).any() or mapped.sum() <= 0:
        raise InvalidParameter(
            f"各类制图面积应为非负且总和大于 0：{mapped.tolist()}",
            f"mapped areas must be ≥ 0 with a positive sum: {mapped.tolist()}",
            parameter="mapped_area",
        )
    if not 0 < z < np.inf:
        raise InvalidParameter(f"区间倍数 z 应大于 0：{z}", f"z must be positive: {z}", parameter="z")
    size = n.sum(axis=1)
    thin = np.flatnonzero((size < 2) & (mapped > 0))
    if thin.size:
        raise QualityViolation(
            f"第 {(thin + 1).tolist()} 类的参考样本少于 2 个，无法估计方差；每类应有 50–100 个",
            f"class number {(thin + 1).tolist()} has fewer than 2 reference units, no variance can be estimated; "
            "take 50–100 a class",
            strata=thin.tolist(),
        )
    total = mapped.sum()
    weight = mapped / total
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(size[:, None] > 0, n / size[:, None], 0.0)
        # A stratum without area adds nothing, whatever its sample.
        unit = np.where(size > 1, 1 / (size - 1), 0.0)
    p = weight[:, None] * share
    column = p.sum(axis=0)
    users = np.where(size > 0, np.diag(share), np.nan)
    se_users = np.sqrt(users * (1 - users) * unit)
    with np.errstate(invalid="ignore", divide="ignore"):
        producers = np.diag(p) / column
    spread = mapped[:, None] ** 2 * share * (1 - share) * unit[:, None]
    own = mapped**2 * (1 - producers) ** 2 * np.where(np.isnan(users), 0.0, users * (1 - users)) * unit
    others = spread.sum(axis=0) - np.diag(spread)
    with np.errstate(invalid="ignore", divide="ignore"):
        se_producers = np.sqrt(own + producers**2 * others) / (column * total)
    known = np.where(np.isnan(users), 0.0, users)
    return AreaEstimate(
        overall=float(np.trace(p)),
        se_overall=float(np.sqrt((weight**2 * known * (1 - known) * unit).sum())),
        users=users,
        se_users=se_users,
        producers=producers,
        se_producers=se_producers,
        area=total * column,
        se_area=np.sqrt(spread.sum(axis=0)),
        mapped=mapped,
        z=z,
    )


def sample_size(mapped_area: Any, users_accuracy: Any, *, standard_error: float, least: int = 50) -> NDArray[np.int64]:
    """How many reference units to interpret in each map class.

    Formula: n = (Σ W_i S_i / S(O))², S_i = √(U_i (1 − U_i)); shared by area, every class with at least `least`.

    Parameters
    ----------
    mapped_area : array (classes,), any one unit of area
    users_accuracy : array (classes,), 0–1
        What is expected, before the sample is taken.
    standard_error : float
        Standard error of the overall accuracy that is aimed at, for example 0.01.
    least : int
        Smallest number in a class; 50–100 for rare classes.

    Returns
    -------
    int64 (classes,)

    Raises
    ------
    InvalidParameter

    Source: Olofsson et al. (2014) eq. 13 and §5.1.2.

    Examples
    --------
    >>> sample_size([0.02, 0.015, 0.32, 0.645], [0.7, 0.6, 0.9, 0.95], standard_error=0.01, least=0).sum()
    np.int64(641)
    """
    mapped, users = np.asarray(mapped_area, dtype=np.float64), np.asarray(users_accuracy, dtype=np.float64)
    if mapped.ndim != 1 or mapped.shape != users.shape or (mapped < 0).any() or mapped.sum() <= 0:
        raise InvalidParameter(
            "每个类别需要一个非负面积和一个预期精度",
            "every class needs an area ≥ 0 and an expected accuracy",
            parameter="mapped_area",
        )
    if not ((users >= 0) & (users <= 1)).all() or standard_error <= 0 or least < 0:
        raise InvalidParameter(
            "预期精度应为 0–1（不是百分数），标准误应大于 0，每类最少个数应 ≥ 0",
            "expected accuracies must be 0–1 (not percent), the standard error > 0, the least number ≥ 0",
            parameter="users_accuracy",
        )
    weight = mapped / mapped.sum()
    total = int(np.ceil(((weight * np.sqrt(users * (1 - users))).sum() / standard_error) ** 2 - 1e-9))
    exact = weight * total
    units = np.floor(exact).astype(np.int64)
    # Largest remainders, so that the shares add up to the total.
    for k in np.argsort(-(exact - units), kind="stable")[: total - int(units.sum())]:
        units[k] += 1
    return np.where(mapped > 0, np.maximum(units, least), 0).astype(np.int64)
