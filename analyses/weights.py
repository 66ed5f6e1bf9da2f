"""Criterion weights (准则权重): AHP with its consistency check, entropy (熵权法) and CRITIC.

Entropy and CRITIC look at every cell of a province. `Moments` gathers what they need as integers, so that the weights do
not depend on the size or the order of the blocks; the small sums that follow are exactly rounded (`math.fsum`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from analyses.rules import Sourced, read_rules
from spatial.catalog import Text
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "STEP",
    "AhpRules",
    "Consistency",
    "Moments",
    "ahp_rules",
    "ahp_weights",
    "check_pairwise",
    "critic_weights",
    "entropy_weights",
    "quantise",
]

RULE_FILE = "multi_criteria"
STEP = 65536
"""Steps of a standardised value between 0 and 1: a power of two, so that a step is exact in float32."""
_CHUNK = 1 << 20
"""Cells of one product of columns: at most 2³² a cell × 2²⁰ cells = 2⁵² < 2⁵³, exact in float64 in any order."""
_RECIPROCAL_TOLERANCE = 0.01
"""How far aᵢⱼ · aⱼᵢ may lie from 1 for a matrix typed in decimals (0.333 for 1/3)."""


class _RandomIndex(Sourced):
    values: tuple[float, ...] = Field(min_length=3)


class _Maximum(Sourced):
    maximum: float = Field(gt=0)


class AhpRules(BaseModel):
    """The conventions of AHP, with their sources (``layers/rules/multi_criteria.yml``)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Literal["multi-criteria"]
    title: Text
    valid_from: date
    random_index: _RandomIndex
    consistency: _Maximum
    scale: _Maximum

    @model_validator(mode="after")
    def _two_are_always_consistent(self) -> Self:
        if any(self.random_index.values[:2]) or min(self.random_index.values[2:]) <= 0:
            raise ValueError("random_index: 0 for orders 1 and 2, positive above")
        return self


def ahp_rules(rules: Mapping[str, Any]) -> AhpRules:
    """Rules of AHP from the rule files of a run.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or breaks the model, naming the place.
    """
    return read_rules(rules, RULE_FILE, AhpRules)


@dataclass(frozen=True, slots=True)
class Consistency:
    """Consistency (一致性) of a pairwise matrix: λmax, CI = (λmax − n)/(n − 1), RI, CR = CI / RI."""

    order: int
    lambda_max: float
    ci: float
    ri: float
    cr: float
    limit: float

    @property
    def consistent(self) -> bool:
        """True if CR does not exceed the limit."""
        return self.cr <= self.limit


def check_pairwise(matrix: Sequence[Sequence[float]], order: int) -> None:
    """Refuse a pairwise matrix (判断矩阵) that is not square, positive, 1 on the diagonal and reciprocal.

    Raises
    ------
    InvalidParameter
        Names the cell that is wrong (rows and columns from 1).

    Examples
    --------
    >>> check_pairwise([[1, 3], [1 / 3, 1]], 2)
    >>> check_pairwise([[1, 3], [3, 1]], 2)
    Traceback (most recent call last):
    ...
    spatial.errors.InvalidParameter: ... a12 = 3 and a21 = 3 are not reciprocal; write a21 as 1/3
    """

    def refuse(zh: str, en: str) -> None:
        raise InvalidParameter(
            f"判断矩阵 pairwise 有误：{zh}", f"pairwise matrix: {en}", parameter="pairwise", value=[*map(list, matrix)]
        )

    widths = [len(row) for row in matrix]
    if len(matrix) != order or any(width != order for width in widths):
        refuse(
            f"应为 {order}×{order}（每个准则一行一列），得到 {len(matrix)} 行，各行列数 {widths}",
            f"it must be {order}×{order}, one row and column a criterion; it has {len(matrix)} rows of {widths} cells",
        )
    for i in range(order):
        for j in range(order):
            if not (math.isfinite(matrix[i][j]) and matrix[i][j] > 0):
                refuse(
                    f"a{i + 1}{j + 1} = {matrix[i][j]:g}，应为正数",
                    f"a{i + 1}{j + 1} = {matrix[i][j]:g} is not positive",
                )
    for i in range(order):
        if matrix[i][i] != 1:
            refuse(f"对角线 a{i + 1}{i + 1} = {matrix[i][i]:g}，应为 1", f"diagonal a{i + 1}{i + 1} must be 1")
        for j in range(i):
            above, below = matrix[j][i], matrix[i][j]
            if abs(above * below - 1) > _RECIPROCAL_TOLERANCE:
                name, other = f"a{j + 1}{i + 1}", f"a{i + 1}{j + 1}"
                want = f"1/{above:g}" if above >= 1 else f"{1 / above:g}"
                refuse(
                    f"{name} = {above:g} 与 {other} = {below:g} 不互为倒数；{other} 请写 {want}",
                    f"{name} = {above:g} and {other} = {below:g} are not reciprocal; write {other} as {want}",
                )


def ahp_weights(
    matrix: Sequence[Sequence[float]], rules: AhpRules, *, accept_inconsistent: bool = False
) -> tuple[tuple[float, ...], Consistency]:
    """Weights of a pairwise matrix: its principal eigenvector, sum 1, and its consistency.

    Formula: A w = λmax w; CI = (λmax − n)/(n − 1); CR = CI / RI(n). By power iteration, so that the bits are the same on
    every machine.

    Parameters
    ----------
    matrix : n × n, 2 ≤ n ≤ 15
        aᵢⱼ = how much more important criterion i is than j, 1/9 … 9; aⱼᵢ = 1/aᵢⱼ.
    rules : AhpRules
    accept_inconsistent : bool
        Go on where CR exceeds the limit.

    Raises
    ------
    InvalidParameter
        See `check_pairwise`; a judgement beyond the scale; more criteria than RI is known for.
    QualityViolation
        If CR exceeds the limit and `accept_inconsistent` is False.

    Source: Saaty (1980), The Analytic Hierarchy Process; RI and limit: ``layers/rules/multi_criteria.yml``.

    Examples
    --------
    >>> from spatial.settings import PROJECT_ROOT
    >>> import yaml
    >>> text = (PROJECT_ROOT / "layers" / "rules" / "multi_criteria.yml").read_text("utf-8")
    >>> rules = ahp_rules({"multi_criteria": yaml.safe_load(text)})
    >>> weights, found = ahp_weights([[1, 3, 5], [1 / 3, 1, 3], [1 / 5, 1 / 3, 1]], rules)
    >>> [round(w, 4) for w in weights], round(found.lambda_max, 4), round(found.cr, 4)
    ([0.637, 0.2583, 0.1047], 3.0385, 0.0332)
    """
    n, known = len(matrix), rules.random_index.values
    check_pairwise(matrix, n)
    if not 2 <= n <= len(known):
        raise InvalidParameter(
            f"层次分析法需要 2–{len(known)} 个准则，得到 {n} 个；更多时请分层",
            f"AHP takes 2 to {len(known)} criteria, got {n}; with more, use a hierarchy",
            parameter="pairwise",
        )
    top = rules.scale.maximum
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if not 1 / top * (1 - _RECIPROCAL_TOLERANCE) <= value <= top:
                raise InvalidParameter(
                    f"判断矩阵 a{i + 1}{j + 1} = {value:g} 超出标度 1/{top:g}–{top:g}",
                    f"pairwise matrix: a{i + 1}{j + 1} = {value:g} is beyond the scale 1/{top:g} to {top:g}",
                    parameter="pairwise",
                )
    # Typed decimals are reciprocal only nearly; the geometric mean of aᵢⱼ and 1/aⱼᵢ is reciprocal exactly enough.
    exact = [[math.sqrt(matrix[i][j] / matrix[j][i]) for j in range(n)] for i in range(n)]
    vector, largest = [1.0 / n] * n, float(n)
    for _ in range(10_000):
        product = [math.fsum(a * v for a, v in zip(row, vector, strict=True)) for row in exact]
        largest = math.fsum(product)  # Σ v = 1, so the growth of the sum is the eigenvalue
        following = [p / largest for p in product]
        change = max(abs(a - b) for a, b in zip(following, vector, strict=True))
        vector = following
        if change < 1e-15:
            break
    ci = max(0.0, (largest - n) / (n - 1))
    ri = known[n - 1]
    found = Consistency(n, largest, ci, ri, ci / ri if ri else 0.0, rules.consistency.maximum)
    if not (found.consistent or accept_inconsistent):
        worst, i, j = _worst_judgement(exact, vector)
        raise QualityViolation(
            f"判断矩阵不一致：CR = {found.cr:.4f} > {found.limit:g}（λmax = {largest:.4f}，CI = {ci:.4f}，RI = {ri:g}）；"
            f"最不协调的是 a{i + 1}{j + 1} = {exact[i][j]:.3g}（其余判断给出约 {worst:.3g}）。"
            "请修改判断，或用 accept_inconsistent 明确接受",
            f"the pairwise matrix is inconsistent: CR = {found.cr:.4f} > {found.limit:g} (λmax = {largest:.4f}, "
            f"CI = {ci:.4f}, RI = {ri:g}); least in line is a{i + 1}{j + 1} = {exact[i][j]:.3g} (the weights say about "
            f"{worst:.3g}). Change the judgements, or accept it with accept_inconsistent",
            parameter="pairwise",
            cr=found.cr,
            limit=found.limit,
        )
    return tuple(vector), found


def _worst_judgement(matrix: list[list[float]], weights: list[float]) -> tuple[float, int, int]:
    """The ratio that the weights say, and the cell that differs most from it."""
    cells = [(i, j) for i in range(len(matrix)) for j in range(i + 1, len(matrix))]
    i, j = max(cells, key=lambda c: abs(math.log(matrix[c[0]][c[1]] * weights[c[1]] / weights[c[0]])))
    return weights[i] / weights[j], i, j


def quantise(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standardised values rounded to a step of 1/65,536, so that sums over cells are sums of integers.

    >>> quantise(np.array([0.0, 0.3, 1.0])).tolist()
    [0.0, 0.3000030517578125, 1.0]
    """
    rounded: NDArray[np.float64] = np.rint(values * STEP)
    rounded /= STEP
    return rounded


class Moments:
    """Counts of each value and sums of products of k standardised criteria over all cells, as integers.

    Parameters
    ----------
    criteria : int
        Number k of criteria.

    Examples
    --------
    >>> m = Moments(2)
    >>> m.add(np.array([[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]]))
    >>> m.cells, m.minimum(0), m.maximum(0)
    (3, 0.0, 1.0)
    """

    def __init__(self, criteria: int) -> None:
        self.criteria = criteria
        self.cells = 0
        self.counts = np.zeros((criteria, STEP + 1), dtype=np.int64)
        self.products = [[0] * criteria for _ in range(criteria)]

    def add(self, values: NDArray[np.float64]) -> None:
        """Take in a block: float64 (k, cells), rounded by `quantise`, no NaN."""
        whole = np.rint(values.reshape(self.criteria, -1) * STEP)
        self.cells += whole.shape[1]
        for k in range(self.criteria):
            self.counts[k] += np.bincount(whole[k].astype(np.int64), minlength=STEP + 1)
        for first in range(0, whole.shape[1], _CHUNK):
            part = whole[:, first : first + _CHUNK]
            product = part @ part.T
            for j in range(self.criteria):
                for k in range(self.criteria):
                    self.products[j][k] += int(product[j, k])

    def minimum(self, k: int) -> float:
        """Smallest value of criterion k."""
        return float(np.flatnonzero(self.counts[k])[0]) / STEP

    def maximum(self, k: int) -> float:
        """Largest value of criterion k."""
        return float(np.flatnonzero(self.counts[k])[-1]) / STEP

    def total(self, k: int) -> int:
        """Σ of criterion k in steps."""
        return int(np.dot(self.counts[k], np.arange(STEP + 1, dtype=np.int64)))

    def covariance(self, j: int, k: int) -> int:
        """n² × covariance of j and k in steps², exact."""
        return self.cells * self.products[j][k] - self.total(j) * self.total(k)


def _no_contrast(names: Sequence[str], which: int | None, what: Text) -> QualityViolation:
    name = None if which is None else names[which]
    return QualityViolation(
        f"无法计算{what.zh}：{f'准则 {name} ' if name else '各准则'}在所有像元上没有差异，请去掉它或给定权重",
        f"{what.en} are undefined: {f'criterion {name}' if name else 'every criterion'} has the same value in all cells; "
        "leave it out or give the weights",
        parameter="weighting",
    )


def entropy_weights(moments: Moments, names: Sequence[str]) -> tuple[float, ...]:
    """Entropy weights (熵权法), sum 1: a criterion that differs more between cells weighs more.

    Formula: p = x / Σx; E = −Σ p ln p / ln n = (ln Σx − Σ x ln x / Σx) / ln n, 0 ln 0 = 0; w = (1 − E) / Σ(1 − E).

    Parameters
    ----------
    moments : Moments
        Of standardised criteria (0–1, 1 best), n ≥ 2 cells.
    names : sequence of str
        Of the criteria, for messages.

    Raises
    ------
    QualityViolation
        If a criterion is 0 everywhere, or none differs between cells.

    Source: Shannon (1948), doi:10.1002/j.1538-7305.1948.tb01338.x; Hwang & Yoon (1981), Multiple Attribute Decision
    Making, doi:10.1007/978-3-642-48318-9.

    Examples
    --------
    >>> m = Moments(2)
    >>> m.add(np.array([[1.0, 0.0], [0.75, 0.25]]))  # E = 0 and 0.8113
    >>> [round(w, 4) for w in entropy_weights(m, ["a", "b"])]
    [0.8412, 0.1588]
    """
    what = Text(zh="熵权", en="entropy weights")
    n = moments.cells
    if n < 2:
        raise _no_contrast(names, None, what)
    spread = []
    for k in range(moments.criteria):
        total = moments.total(k)
        if total == 0:
            raise _no_contrast(names, k, what)
        steps = np.flatnonzero(moments.counts[k]).tolist()
        # In steps: Σ p ln p = Σ c·v·ln(v / V) / V with V = Σ c·v.
        sum_log = math.fsum(int(moments.counts[k, v]) * v * math.log(v / total) for v in steps if v)
        spread.append(max(0.0, 1.0 + sum_log / total / math.log(n)))
    # A constant criterion has E = 1 up to rounding.
    spread = [0.0 if moments.minimum(k) == moments.maximum(k) else s for k, s in enumerate(spread)]
    whole = math.fsum(spread)
    if whole <= 0:
        raise _no_contrast(names, None, what)
    return tuple(s / whole for s in spread)


def critic_weights(moments: Moments, names: Sequence[str]) -> tuple[float, ...]:
    """CRITIC weights, sum 1: contrast of a criterion × its conflict with the others.

    Formula: C_j = σ_j Σ_k (1 − r_jk); w = C / ΣC; σ the population standard deviation of the criterion scaled to its own
    extremes in the cells, r Pearson's correlation.

    Parameters
    ----------
    moments : Moments
        Of standardised criteria (0–1, 1 best).
    names : sequence of str

    Raises
    ------
    QualityViolation
        If a criterion is the same everywhere (no correlation exists), or all criteria are perfectly correlated.

    Source: Diakoulaki, Mavrotas & Papayannakis (1995), doi:10.1016/0305-0548(94)00059-H.

    Examples
    --------
    >>> m = Moments(2)
    >>> m.add(np.array([[0.0, 0.5, 1.0], [1.0, 0.5, 0.0]]))
    >>> critic_weights(m, ["a", "b"])
    (0.5, 0.5)
    """
    what = Text(zh=" CRITIC 权重", en="CRITIC weights")
    size = moments.criteria
    if moments.cells < 2:
        raise _no_contrast(names, None, what)
    cov = [[moments.covariance(j, k) for k in range(size)] for j in range(size)]
    for k in range(size):
        if cov[k][k] == 0:
            raise _no_contrast(names, k, what)
    content = []
    for j in range(size):
        width = (moments.maximum(j) - moments.minimum(j)) * STEP
        sigma = math.sqrt(cov[j][j]) / moments.cells / width
        conflict = math.fsum(0.0 if j == k else 1.0 - _correlation(cov, j, k) for k in range(size))
        content.append(sigma * conflict)
    whole = math.fsum(content)
    if whole <= 1e-12:
        raise QualityViolation(
            "无法计算 CRITIC 权重：各准则完全相关，请只保留一个或给定权重",
            "CRITIC weights are undefined: the criteria are perfectly correlated; keep one or give the weights",
            parameter="weighting",
        )
    return tuple(c / whole for c in content)


def _correlation(cov: list[list[int]], j: int, k: int) -> float:
    # The squares are exact; one rounding remains.
    share = float(Fraction(cov[j][k] ** 2, cov[j][j] * cov[k][k]))
    return math.copysign(math.sqrt(share), cov[j][k])
