"""Local calibration (本地率定): from an index to a concentration, tested on whole dates or places that it has not seen.

A model is fitted to the logarithm, as concentrations are: ln y = a + b · index. It is accepted only with enough matchups
and if it beats the constant (the geometric mean of the other groups) on groups held out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from analyses.water.quality.rules import CalibrationRule

__all__ = ["Calibration", "Scores", "calibrate", "scores"]


@dataclass(frozen=True)
class Scores:
    """How far predictions lie from measurements."""

    count: int
    rmse: float
    """Root mean square error, in the unit of the quantity."""
    mdape_percent: float
    """Median of |predicted − measured|/measured, %."""
    log_bias: float
    """Mean of ln(predicted/measured): 0 = none, 0.69 = twice too high."""
    symmetric_accuracy_percent: float
    """100 (exp(median |ln(predicted/measured)|) − 1): ζ, 0 = perfect, 100 = off by a factor 2."""
    pearson_log: float
    """Correlation of the logarithms; NaN if one side is constant."""

    def as_dict(self) -> dict[str, float | int | None]:
        """For a table; NaN becomes None."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in (
                ("count", self.count),
                ("rmse", round(self.rmse, 4)),
                ("mdape_percent", round(self.mdape_percent, 2)),
                ("log_bias", round(self.log_bias, 4)),
                ("symmetric_accuracy_percent", round(self.symmetric_accuracy_percent, 2)),
                ("pearson_log", round(self.pearson_log, 4)),
            )
        }


def scores(measured: ArrayLike, predicted: ArrayLike) -> Scores:
    """Errors of predictions, both positive.

    Source: symmetric accuracy, Morley et al. 2018, doi 10.1002/2017SW001669; Seegers et al. 2018, doi 10.1364/OE.26.007404.

    Examples
    --------
    >>> found = scores([1.0, 2.0, 4.0], [2.0, 4.0, 8.0])
    >>> round(found.symmetric_accuracy_percent, 6), round(found.log_bias, 6), found.mdape_percent
    (100.0, 0.693147, 100.0)
    """
    y, p = np.asarray(measured, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if y.shape != p.shape or y.size == 0:
        raise InvalidParameter(
            f"实测 {y.shape} 与预测 {p.shape} 应同长且非空", f"measured {y.shape} and predicted {p.shape} must match"
        )
    if not ((y > 0) & (p > 0)).all():
        raise QualityViolation("实测与预测应为正数", "measured and predicted values must be positive")
    ratio = np.log(p / y)
    varied = np.ptp(y) > 0 and np.ptp(p) > 0 and y.size > 2
    return Scores(
        int(y.size),
        float(np.sqrt(np.mean((p - y) ** 2))),
        float(100 * np.median(np.abs(p - y) / y)),
        float(ratio.mean()),
        float(100 * (math.exp(float(np.median(np.abs(ratio)))) - 1)),
        float(np.corrcoef(np.log(y), np.log(p))[0, 1]) if varied else float("nan"),
    )


@dataclass(frozen=True)
class Calibration:
    """A fitted model with its test on held-out groups."""

    intercept: float
    slope: float
    index_range: tuple[float, float]
    """Outside it the model extrapolates: no value."""
    unit: str
    grouped_by: str
    groups: int
    held_out: Scores
    """On groups that the model had not seen: the error of the map."""
    constant: Scores
    """Of the constant on the same groups: what knowing nothing costs."""

    def predict(self, index: NDArray[Any]) -> NDArray[np.float32]:
        """Concentration of an index; float32, NaN outside the calibrated range."""
        x = np.asarray(index, dtype=np.float64)
        low, high = self.index_range
        with np.errstate(all="ignore"):
            values = np.exp(self.intercept + self.slope * x)
        return np.where((x >= low) & (x <= high), values, np.nan).astype(np.float32)


def _folds(groups: NDArray[Any], folds: int) -> NDArray[np.int64]:
    """Fold of each matchup: whole groups, the largest first into the smallest fold."""
    names, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    folds = min(folds, names.size)
    load = np.zeros(folds, dtype=np.int64)
    fold_of = np.zeros(names.size, dtype=np.int64)
    for k in np.argsort(-counts, kind="stable"):
        fold_of[k] = int(load.argmin())
        load[fold_of[k]] += counts[k]
    return fold_of[inverse]


def calibrate(
    index: ArrayLike,
    measured: ArrayLike,
    groups: Sequence[Any],
    rule: CalibrationRule,
    *,
    unit: str,
    grouped_by: str,
) -> Calibration:
    """Fit ln y = a + b · index and test it by whole groups.

    Parameters
    ----------
    index : float (n,)
        Index at the matchups, of the same formula, sensor and reflectance as the map.
    measured : float (n,)
        Concentration, positive.
    groups : sequence (n,)
        Date or place of each matchup: matchups of one are never on both sides of the test.
    grouped_by : str
        ``date`` or ``place``, for the report.

    Raises
    ------
    InvalidParameter
        Arrays of different length.
    QualityViolation
        Fewer than 30 usable matchups, too few groups, an index that does not vary, or a model that does not beat the
        constant on held-out groups: then the concentration is refused and the message says why.
    """
    x, y = np.asarray(index, dtype=np.float64), np.asarray(measured, dtype=np.float64)
    g = np.asarray([str(v) for v in groups])
    if not x.shape == y.shape == g.shape or x.ndim != 1:
        raise InvalidParameter(
            f"指数 {x.shape}、实测 {y.shape}、分组 {g.shape} 应等长",
            f"index {x.shape}, measured {y.shape} and groups {g.shape} must have one length",
            parameter="matchups",
        )
    usable = np.isfinite(x) & np.isfinite(y) & (y > 0)
    x, y, g = x[usable], y[usable], g[usable]
    if x.size < rule.least_matchups:
        raise QualityViolation(
            f"可用的星地匹配只有 {x.size} 组，至少需要 {rule.least_matchups} 组；不能给出浓度，只给指数与等级",
            f"{x.size} usable matchups, at least {rule.least_matchups} are needed: no concentration, only index and level",
            matchups=int(x.size),
        )
    names = np.unique(g)
    if names.size < rule.least_groups:
        raise QualityViolation(
            f"匹配只来自 {names.size} 个分组（{grouped_by}），至少需要 {rule.least_groups} 个，否则检验不出外推误差",
            f"matchups come from {names.size} groups ({grouped_by}), at least {rule.least_groups} are needed to test the model",
            groups=int(names.size),
        )
    if np.ptp(x) == 0:
        raise QualityViolation("匹配点的指数完全相同，无法率定", "the index does not vary at the matchups")
    fold = _folds(g, rule.folds)
    log_y = np.log(y)
    predicted, constant = np.empty_like(y), np.empty_like(y)
    for k in range(int(fold.max()) + 1):
        test = fold == k
        slope, intercept = np.polyfit(x[~test], log_y[~test], 1)
        predicted[test] = np.exp(intercept + slope * x[test])
        constant[test] = math.exp(float(log_y[~test].mean()))
    held_out, nothing = scores(y, predicted), scores(y, constant)
    if np.mean((np.log(predicted) - log_y) ** 2) >= np.mean((np.log(constant) - log_y) ** 2):
        raise QualityViolation(
            f"率定在留出的{grouped_by}分组上不优于常数（对称误差 {held_out.symmetric_accuracy_percent:.0f} % 对 "
            f"{nothing.symmetric_accuracy_percent:.0f} %），不能给出浓度",
            f"on held-out groups ({grouped_by}) the model does not beat the constant (symmetric accuracy "
            f"{held_out.symmetric_accuracy_percent:.0f} % against {nothing.symmetric_accuracy_percent:.0f} %): "
            "no concentration",
            held_out=held_out.as_dict(),
            constant=nothing.as_dict(),
        )
    slope, intercept = np.polyfit(x, log_y, 1)
    return Calibration(
        float(intercept),
        float(slope),
        (float(x.min()), float(x.max())),
        unit,
        grouped_by,
        int(names.size),
        held_out,
        nothing,
    )
