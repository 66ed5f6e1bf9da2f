"""What is asked of a multi-criteria evaluation (多准则评价): criteria, weights, method and constraints, checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from analyses.weights import check_pairwise
from spatial.catalog import LAYER_ID
from spatial.errors import InvalidParameter
from spatial.jobs.contract import Parameters, bilingual

__all__ = ["Constraint", "Criterion", "MultiCriteriaParameters"]

_SUM_TOLERANCE = 1e-6


class _Model(BaseModel):
    # What stands below a field is its description in the schema of the process.
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


def _refuse(parameter: str, zh: str, en: str, **details: Any) -> NoReturn:
    raise InvalidParameter(f"{parameter}：{zh}", f"{parameter}: {en}", parameter=parameter, **details)


def _ratio(value: Any) -> Any:
    """A judgement as a number; also written as a fraction, ``"1/3"``."""
    if isinstance(value, str) and "/" in value:
        try:
            return float(Fraction(value.replace(" ", "")))
        except (ValueError, ZeroDivisionError):
            return value
    return value


Judgement = Annotated[float, BeforeValidator(_ratio, json_schema_input_type=float | str)]


class Criterion(_Model):
    """One criterion (准则): a band of a layer and how it becomes a value of 0–1 (1 best).

    Exactly one of `range`, `observed`, `points` and `scores` says how it is standardised (标准化).
    """

    layer: str = Field(pattern=LAYER_ID)
    """图层。 Layer of the catalogue."""
    band: int = Field(1, ge=1, le=999)
    """波段号，从 1 起。 Number of the band, from 1."""
    direction: Literal["benefit", "cost"] | None = None
    """range、observed 用：benefit 越大越好，cost 越小越好。 For range and observed: more is better, or worse."""
    range: tuple[float, float] | None = None
    """极差标准化的两端；超出者取端值。 Ends of the min–max scale; values beyond count as the nearest end."""
    observed: bool = False
    """以本次范围内的极值为两端；换范围则变。 Ends are the extremes of this window; another window gives others."""
    points: tuple[tuple[float, float], ...] | None = None
    """模糊隶属度控制点（值，0–1），其间线性、其外持平。 Fuzzy membership: control points (value, 0–1), linear between."""
    scores: dict[int, float] | None = None
    """类别代码 → 分值 0–1；未列出的类别报错。 Class code → value 0–1; a code that is not listed is an error."""
    unit: str | None = None
    """所写数值的单位，须与图层一致。 Unit of the numbers given; it must be that of the layer."""
    resampling: Literal["exact", "bilinear", "nearest"] = "exact"
    """如何到第一个准则的格网；exact 要求同一格网。 How it comes to the grid of the first criterion; exact: same grid."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        where = f"criteria {self.layer}"
        ways = [self.range is not None, self.observed, self.points is not None, self.scores is not None]
        if sum(ways) != 1:
            _refuse(
                where,
                f"须给出 range、observed、points、scores 之一（给了 {sum(ways)} 个）",
                f"give exactly one of range, observed, points and scores ({sum(ways)} given)",
            )
        if self.range is not None or self.observed:
            if self.direction is None:
                _refuse(where, "须给出 direction：benefit 或 cost", "give direction: benefit or cost")
        elif self.direction is not None:
            _refuse(
                where,
                "points 和 scores 已含方向，请去掉 direction",
                "points and scores hold the direction already; leave direction out",
            )
        if self.range is not None and not self.range[0] < self.range[1]:
            _refuse(where, f"range {list(self.range)} 应由小到大", f"range {list(self.range)} must rise")
        self._check_memberships(where)
        return self

    def _check_memberships(self, where: str) -> None:
        if self.points is not None:
            if len(self.points) < 2 or any(a[0] >= b[0] for a, b in pairwise(self.points)):
                _refuse(where, "points 至少两个，值由小到大", "points: at least two, with rising values")
            self._require_shares(where, "points", [m for _, m in self.points])
        if self.scores is not None:
            self._require_shares(where, "scores", list(self.scores.values()))
            if self.resampling == "bilinear":
                _refuse(where, "类别不能用 bilinear，请用 nearest", "classes cannot be bilinear; use nearest")

    @staticmethod
    def _require_shares(where: str, name: str, values: list[float]) -> None:
        if not values or any(not 0 <= v <= 1 for v in values):
            _refuse(where, f"{name} 的隶属度须在 0–1 之间：{values}", f"{name}: memberships must be 0 to 1: {values}")


class Constraint(_Model):
    """A constraint (约束): cells that break it are excluded, whatever their criteria.

    Exactly one of `range`, `values` (of a raster, what is allowed) and `features` (of a vector layer).
    """

    layer: str = Field(pattern=LAYER_ID)
    """图层。 Layer of the catalogue."""
    band: int = Field(1, ge=1, le=999)
    """波段号，从 1 起。 Number of the band, from 1."""
    range: tuple[float, float] | None = None
    """允许的值域，含两端。 Allowed values, both ends included."""
    values: tuple[int, ...] | None = None
    """允许的类别代码。 Allowed class codes."""
    features: Literal["inside", "outside"] | None = None
    """排除要素以内（如红线）或以外（如省域）。 Excluded: inside the features (a red line) or outside (a province)."""
    all_touched: bool = False
    """否：像元中心在内才算；是：相触即算。 False: inside if its centre is; True: if the features touch it."""
    resampling: Literal["exact", "nearest"] = "exact"
    """如何到运行格网。 How a raster comes to the grid of the run."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        where = f"constraints {self.layer}"
        ways = [self.range is not None, self.values is not None, self.features is not None]
        if sum(ways) != 1:
            _refuse(
                where,
                f"须给出 range、values、features 之一（给了 {sum(ways)} 个）",
                f"give exactly one of range, values and features ({sum(ways)} given)",
            )
        if self.range is not None and self.range[0] > self.range[1]:
            _refuse(where, f"range {list(self.range)} 应由小到大", f"range {list(self.range)} must rise")
        return self


def _check_sum(name: str, weights: Sequence[float], count: int) -> None:
    if len(weights) != count:
        _refuse(
            name,
            f"有 {len(weights)} 个权重，准则有 {count} 个",
            f"{len(weights)} weights for {count} criteria",
            value=list(weights),
        )
    if any(not 0 <= w <= 1 for w in weights):
        _refuse(name, f"权重须在 0–1 之间：{list(weights)}", f"weights must be 0 to 1: {list(weights)}")
    total = math.fsum(weights)
    if abs(total - 1) > _SUM_TOLERANCE:
        scaled = "" if total <= 0 else ", ".join(f"{w / total:.6f}" for w in weights)
        _refuse(
            name,
            f"权重之和为 {total:.6g}，应为 1" + (f"；按比例为 {scaled}" if scaled else ""),
            f"the weights sum to {total:.6g}, not 1" + (f"; in proportion they are {scaled}" if scaled else ""),
            value=list(weights),
            sum=total,
        )


class MultiCriteriaParameters(Parameters):
    """Parameters (参数) of a multi-criteria evaluation; the values used stand in the result."""

    criteria: tuple[Criterion, ...] = Field(
        min_length=2,
        max_length=15,
        json_schema_extra=bilingual(
            "准则",
            "Criteria",
            "2–15 个图层波段及其标准化方式；第一个的格网为运行格网。"
            '例：[{"layer": "dem", "range": [0, 1500], "direction": "cost"}, …]',
            "2 to 15 bands of layers and how each is standardised; the grid is that of the first. "
            'Example: [{"layer": "dem", "range": [0, 1500], "direction": "cost"}, …]',
        ),
    )
    weighting: Literal["given", "ahp", "entropy", "critic"] = Field(
        json_schema_extra=bilingual(
            "赋权方法",
            "Weighting",
            "given：weights 给出；ahp：由判断矩阵 pairwise；entropy：熵权；critic：CRITIC（后两者由本次范围内的数据算出）。",
            "given: by `weights`; ahp: by the matrix `pairwise`; entropy, critic: from the data of this run's window.",
        ),
    )
    weights: tuple[float, ...] | None = Field(
        None,
        json_schema_extra=bilingual(
            "权重",
            "Weights",
            "每个准则一个，和为 1（weighting = given）。",
            "One a criterion, sum 1 (weighting = given).",
        ),
    )
    pairwise: tuple[tuple[Judgement, ...], ...] | None = Field(
        None,
        json_schema_extra=bilingual(
            "判断矩阵",
            "Pairwise matrix",
            '准则两两比较，1/9–9，互为倒数，分数可写作 "1/3"（weighting = ahp）。',
            'Pairwise judgements, 1/9 to 9, reciprocal; a fraction may be written "1/3" (weighting = ahp).',
        ),
    )
    accept_inconsistent: bool = Field(
        False,
        json_schema_extra=bilingual(
            "接受不一致",
            "Accept inconsistency",
            "一致性比率 CR 超过 0.1 时仍继续；结果中注明。",
            "Go on although the consistency ratio exceeds 0.1; the result says so.",
        ),
    )
    method: Literal["wlc", "owa", "topsis"] = Field(
        "wlc",
        json_schema_extra=bilingual(
            "合成方法",
            "Method",
            "wlc：加权线性组合；owa：有序加权平均（须给 order_weights）；topsis：逼近理想解排序。",
            "wlc: weighted linear combination; owa: ordered weighted average (give order_weights); topsis.",
        ),
    )
    order_weights: tuple[float, ...] | None = Field(
        None,
        json_schema_extra=bilingual(
            "次序权重",
            "Order weights",
            "从最好到最差的准则值的权重，和为 1（method = owa）；[1,0,…] 为最乐观，[…,0,1] 为最悲观。",
            "Weights of the best value to the worst, sum 1 (method = owa); [1,0,…] is optimistic, […,0,1] pessimistic.",
        ),
    )
    ideal: Literal["observed", "absolute"] = Field(
        "observed",
        json_schema_extra=bilingual(
            "理想解",
            "Ideal",
            "topsis 的理想解：observed 为本次范围内的最好与最差值；absolute 为 1 与 0（不同范围可比）。",
            "Ideal of topsis: observed, the best and worst of this run's window; absolute, 1 and 0 (comparable).",
        ),
    )
    constraints: tuple[Constraint, ...] = Field(
        (),
        max_length=20,
        json_schema_extra=bilingual(
            "约束",
            "Constraints",
            '排除的像元。例：[{"layer": "permanent-farmland", "features": "inside"}]',
            'Cells that are excluded. Example: [{"layer": "permanent-farmland", "features": "inside"}]',
        ),
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        count = len(self.criteria)
        keys = [(c.layer, c.band) for c in self.criteria]
        for key in keys:
            if keys.count(key) > 1:
                _refuse("criteria", f"{key[0]} 波段 {key[1]} 出现两次", f"{key[0]} band {key[1]} is listed twice")
        if self.criteria[0].resampling != "exact":
            _refuse(
                "criteria",
                f"第一个准则 {keys[0][0]} 的格网即运行格网，resampling 应为 exact",
                f"the first criterion, {keys[0][0]}, sets the grid; its resampling must be exact",
            )
        for name, wanted, value in (
            ("weights", self.weighting == "given", self.weights),
            ("pairwise", self.weighting == "ahp", self.pairwise),
            ("order_weights", self.method == "owa", self.order_weights),
        ):
            because = f"method = {self.method}" if name == "order_weights" else f"weighting = {self.weighting}"
            if wanted and value is None:
                _refuse(name, f"{because} 时须给出", f"must be given with {because}")
            if value is not None and not wanted:
                # A value that silently plays no part would be taken for one that does.
                _refuse(name, f"{because} 时不用，请去掉", f"plays no part with {because}; leave it out")
        if self.weights is not None:
            _check_sum("weights", self.weights, count)
        if self.order_weights is not None:
            _check_sum("order_weights", self.order_weights, count)
        if self.pairwise is not None:
            check_pairwise(self.pairwise, count)
        return self
