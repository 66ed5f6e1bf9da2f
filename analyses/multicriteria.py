"""Multi-criteria evaluation (多准则评价) of layers that the caller chooses: standardise, weigh, combine, by blocks.

Passes over the grid: which cells are excluded or lack a value, and the extremes; where the weights or the ideal come from
the data, integer moments; the score. None depends on the block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.combination import membership, owa, rescale, topsis, wlc
from analyses.criteria import Constraint, Criterion, MultiCriteriaParameters
from analyses.masks import burn, scratch_array
from analyses.multicriteria_result import (
    EXCLUDED,
    SCORE_STYLE,
    TENTHS,
    Weighting,
    constraint_role,
    criterion_bands,
    criterion_role,
    factors,
    notes,
    status_band,
    tables,
)
from analyses.weights import (
    AhpRules,
    Moments,
    ahp_rules,
    ahp_weights,
    critic_weights,
    entropy_weights,
    quantise,
)
from analyses.zonal import total_by_code
from spatial.catalog import Band, Text
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.jobs.contract import AnalysisResult, Inputs, InputSpec, Outputs, Parameters, Progress, RasterInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MultiCriteria"]


class MultiCriteria:
    """Multi-criteria evaluation (多准则评价) on layers of the catalogue.

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "multi-criteria"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="多准则评价", en="Multi-criteria evaluation")
    description: ClassVar[Text] = Text(
        zh="把所选图层标准化为 0–1，按层次分析法、熵权、CRITIC 或给定权重，用加权线性组合、有序加权平均或 TOPSIS 合成得分；"
        "约束以内的像元不参评。",
        en="Standardises the chosen layers to 0–1, weighs them (AHP, entropy, CRITIC or given) and combines them to a score "
        "(weighted linear combination, ordered weighted average or TOPSIS); constrained cells are left out.",
    )
    method: ClassVar[str] = (
        "多准则决策：AHP（Saaty 1980）、熵权、CRITIC（1995）、OWA（Yager 1988）、TOPSIS（Hwang & Yoon 1981）；"
        "docs/methods/multi-criteria.md"
    )
    parameters: ClassVar[type[Parameters]] = MultiCriteriaParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = ()
    base: ClassVar[str] = criterion_role(0)
    result_theme: ClassVar[tuple[str, ...]] = ("results", "suitability")
    rasters: ClassVar[Mapping[str, Text]] = {
        "score": Text(zh="多准则评价得分", en="Score of a multi-criteria evaluation"),
        "status": Text(zh="多准则评价：参评与排除", en="Multi-criteria evaluation: scored and excluded"),
        "criteria": Text(zh="多准则评价：标准化准则", en="Multi-criteria evaluation: standardised criteria"),
    }

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: MultiCriteriaParameters) -> tuple[InputSpec, ...]:
        """Layers that a run with these parameters reads: its criteria, then its constraints."""
        criteria = [
            InputSpec(
                criterion_role(k),
                c.layer,
                "raster",
                Text(zh=f"准则 {c.layer}", en=f"criterion {c.layer}"),
                resampling=c.resampling,
            )
            for k, c in enumerate(parameters.criteria)
        ]
        constraints = [
            InputSpec(
                constraint_role(k),
                c.layer,
                "raster" if c.features is None else "vector",
                Text(zh=f"约束 {c.layer}", en=f"constraint {c.layer}"),
                resampling=c.resampling,
            )
            for k, c in enumerate(parameters.constraints)
        ]
        return (*criteria, *constraints)

    def run(
        self, inputs: Inputs, parameters: MultiCriteriaParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Score every cell of the run's grid.

        Returns
        -------
        AnalysisResult
            Rasters ``score`` (float32, 0–1, 1 best, NaN where excluded or without data), ``status`` (uint8: 1 scored,
            2 + k excluded by constraint k) and ``criteria`` (float32, the standardised values); tables ``weights``,
            ``method``, ``consistency`` (AHP), ``by_score`` and ``excluded`` (ellipsoidal areas).

        Raises
        ------
        InvalidParameter
            For a band that a layer does not have, or a window that leaves no cell.
        QualityViolation
            For an inconsistent pairwise matrix, a class without a score, values that all lie outside the given range
            (wrong unit), weights or an ideal that the data do not determine.
        """
        rules = ahp_rules(inputs.rules)
        _check_bands(inputs, parameters)
        names = [f"{c.layer}[{c.band}]" for c in parameters.criteria]
        weights = None if parameters.weighting in {"entropy", "critic"} else _stated_weights(parameters, rules)
        windows = block_windows(*inputs.grid.shape.yx, self.block)
        codes: NDArray[np.uint8] = scratch_array(inputs.scratch, "codes", inputs.grid.shape.yx, np.uint8)
        extremes = self._survey(inputs, parameters, windows, codes, lambda s: progress(0.3 * s, "读取准则 criteria"))
        spans = _spans(parameters, extremes, inputs)
        moments: Moments | None = None
        if weights is None or (parameters.method == "topsis" and parameters.ideal == "observed"):
            moments = self._moments(
                inputs, parameters, spans, windows, codes, lambda s: progress(0.3 + 0.2 * s, "统计 moments")
            )
        if weights is None:
            assert moments is not None
            weigh = entropy_weights if parameters.weighting == "entropy" else critic_weights
            weights = Weighting(weigh(moments, names))
        score = _Score(
            {criterion_role(k): inputs.rasters[criterion_role(k)] for k in range(len(names))},
            parameters,
            spans,
            weights.values,
            _ideal(parameters, moments, weights.values),
        )
        self._write(inputs, score, windows, codes, outputs, lambda s: progress(0.5 + 0.45 * s, "合成得分 scores"))
        progress(0.97, "统计面积 areas")
        areas = total_by_code(codes, inputs.grid)
        result = AnalysisResult(
            factors=factors(parameters, weights),
            tables=tables(parameters, weights, spans, extremes, areas, inputs),
            notes=notes(parameters, weights),
        )
        progress(1.0, "完成 done")
        return result

    def _survey(
        self,
        inputs: Inputs,
        parameters: MultiCriteriaParameters,
        windows: Sequence[Window],
        codes: NDArray[np.uint8],
        progress: Any,
    ) -> NDArray[np.float64]:
        """Fill `codes` (1: has a score); smallest and largest value of each criterion there: float64 (k, 2)."""
        for k, constraint in enumerate(parameters.constraints):
            if constraint.features is not None:
                _burn_constraint(inputs, constraint, k, codes)
        work = _Survey(dict(inputs.rasters), parameters)
        count = len(parameters.criteria)
        extremes = np.column_stack([np.full(count, np.inf), np.full(count, -np.inf)])

        def keep(window: Window, found: Arrays) -> None:
            row, col, height, width = window
            codes[row : row + height, col : col + width] = found["codes"]
            extremes[:, 0] = np.minimum(extremes[:, 0], found["extremes"][:, 0])
            extremes[:, 1] = np.maximum(extremes[:, 1], found["extremes"][:, 1])

        run_blocks(
            work,
            windows,
            given=lambda w: {"codes": np.array(codes[w[0] : w[0] + w[2], w[1] : w[1] + w[3]])},
            on_result=keep,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=progress,
        )
        if not np.isfinite(extremes).all():
            layers = "、".join(dict.fromkeys(c.layer for c in parameters.criteria))
            zh = f"范围内没有像元同时具备全部准则（{layers}）且不被约束排除，请检查各图层的覆盖与约束"
            en = "no cell of this window has a value in every criterion and is free of constraints; check the extents"
            if parameters.bbox is not None:
                raise InvalidParameter(zh, en, parameter="bbox", value=list(parameters.bbox))
            raise LayerEmpty(zh, en, layer=parameters.criteria[0].layer)
        return extremes

    def _moments(
        self,
        inputs: Inputs,
        parameters: MultiCriteriaParameters,
        spans: tuple[tuple[float, float] | None, ...],
        windows: Sequence[Window],
        codes: NDArray[np.uint8],
        progress: Any,
    ) -> Moments:
        moments = Moments(len(parameters.criteria))
        run_blocks(
            _Standardise(dict(inputs.rasters), parameters, spans),
            windows,
            given=lambda w: {"codes": np.array(codes[w[0] : w[0] + w[2], w[1] : w[1] + w[3]])},
            on_result=lambda _, found: moments.add(found["values"]),
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=progress,
        )
        return moments

    def _write(
        self,
        inputs: Inputs,
        score: _Score,
        windows: Sequence[Window],
        codes: NDArray[np.uint8],
        outputs: Outputs,
        progress: Any,
    ) -> None:
        parameters = score.parameters
        out = outputs.raster(
            "score",
            bands=(Band(name="score", title=Text(zh="得分", en="Score"), valid_range=(0, 1)),),
            dtype="float32",
            nodata=float("nan"),
            title=self.rasters["score"],
            style=SCORE_STYLE,
        )
        bands, style = status_band(parameters)
        status = outputs.raster(
            "status", bands=bands, dtype="uint8", nodata=0, title=self.rasters["status"], style=style
        )
        bands = criterion_bands(parameters)
        criteria = outputs.raster(
            "criteria",
            bands=bands,
            dtype="float32",
            nodata=float("nan"),
            title=self.rasters["criteria"],
            style=SCORE_STYLE | {"band": bands[0].name, "title": bands[0].title.model_dump()},
        )

        def keep(window: Window, found: Arrays) -> None:
            row, col, height, width = window
            here = (slice(row, row + height), slice(col, col + width))
            out.write(row, col, found["score"])
            for band, values in enumerate(found["criteria"], start=1):
                criteria.write(row, col, values, band=band)
            known = codes[here]
            excluded = np.where(known >= EXCLUDED, known - (EXCLUDED - 2), known)
            status.write(row, col, excluded.astype(np.uint8))
            tenth = np.clip(np.nan_to_num(found["score"]) * TENTHS, 0, TENTHS - 1).astype(np.uint8) + 1
            codes[here] = np.where(known == 1, tenth, known)

        run_blocks(
            score,
            windows,
            given=lambda w: {"codes": np.array(codes[w[0] : w[0] + w[2], w[1] : w[1] + w[3]])},
            on_result=keep,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=progress,
        )


def _read(raster: RasterInput, window: Window, band: int) -> NDArray[np.float64]:
    row, col, height, width = window
    return raster.read(row, col, height, width, band=band).astype(np.float64)


@dataclass(frozen=True)
class _Survey:
    """Which cells of a block have a score, and the extremes of the criteria there."""

    rasters: Mapping[str, RasterInput]
    parameters: MultiCriteriaParameters

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        codes = np.array(given["codes"])
        missing = np.zeros(codes.shape, dtype=bool)
        for k, constraint in enumerate(self.parameters.constraints):
            if constraint.features is None:
                values = _read(self.rasters[constraint_role(k)], window, constraint.band)
                missing |= np.isnan(values)
                broken = ~(np.isnan(values) | _allowed(values, constraint))
                codes[(codes == 0) & broken] = EXCLUDED + k
        columns = []
        for k, criterion in enumerate(self.parameters.criteria):
            values = _read(self.rasters[criterion_role(k)], window, criterion.band)
            missing |= ~np.isfinite(values)
            columns.append(values)
        valid = (codes == 0) & ~missing
        codes[valid] = 1
        extremes = np.column_stack([np.full(len(columns), np.inf), np.full(len(columns), -np.inf)])
        for k, (criterion, column) in enumerate(zip(self.parameters.criteria, columns, strict=True)):
            values = column[valid]
            if values.size:
                extremes[k] = values.min(), values.max()
            if criterion.scores is not None:
                _require_scored(values, criterion)
        return {"codes": codes, "extremes": extremes}


def _allowed(values: NDArray[np.float64], constraint: Constraint) -> NDArray[np.bool_]:
    if constraint.range is not None:
        low, high = constraint.range
        # Rasters are read as float32: a limit such as 0.1 means its float32.
        return np.asarray((values >= float(np.float32(low))) & (values <= float(np.float32(high))))
    return np.isin(values, np.asarray(constraint.values, dtype=np.float64))


def _require_scored(values: NDArray[np.float64], criterion: Criterion) -> None:
    assert criterion.scores is not None
    unknown = np.setdiff1d(np.unique(values), np.asarray(list(criterion.scores), dtype=np.float64))
    if unknown.size:
        raise QualityViolation(
            f"图层 {criterion.layer} 有类别 {', '.join(f'{v:g}' for v in unknown[:10])} 没有给出分值（scores），请补充",
            f"layer {criterion.layer} has classes without a score: {', '.join(f'{v:g}' for v in unknown[:10])}; "
            "add them to scores",
            layer=criterion.layer,
            parameter="criteria",
        )


@dataclass(frozen=True)
class _Standardise:
    """Standardised criteria of the scored cells of a block: float64 (k, cells)."""

    rasters: Mapping[str, RasterInput]
    parameters: MultiCriteriaParameters
    spans: tuple[tuple[float, float] | None, ...]

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        return {"values": self.columns(window, given["codes"] == 1)}

    def columns(self, window: Window, valid: NDArray[np.bool_]) -> NDArray[np.float64]:
        out = np.empty((len(self.parameters.criteria), int(valid.sum())))
        for k, criterion in enumerate(self.parameters.criteria):
            values = _read(self.rasters[criterion_role(k)], window, criterion.band)[valid]
            out[k] = quantise(_standardised(values, criterion, self.spans[k]))
        return out


def _standardised(
    values: NDArray[np.float64], criterion: Criterion, span: tuple[float, float] | None
) -> NDArray[np.float64]:
    if span is not None:
        return rescale(values, *span, benefit=criterion.direction == "benefit")
    if criterion.points is not None:
        return membership(values, criterion.points)
    assert criterion.scores is not None
    codes = sorted(criterion.scores)
    return np.array([criterion.scores[c] for c in codes])[np.searchsorted(codes, values)]


@dataclass(frozen=True)
class _Score(_Standardise):
    """Score and standardised criteria of a block."""

    weights: tuple[float, ...]
    ideal: tuple[tuple[float, ...], tuple[float, ...]]

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        valid = given["codes"] == 1
        values = self.columns(window, valid)
        score = np.full(valid.shape, np.nan, dtype=np.float32)
        score[valid] = self._combine(values)
        criteria = np.full((values.shape[0], *valid.shape), np.nan, dtype=np.float32)
        criteria[:, valid] = values
        return {"score": score, "criteria": criteria}

    def _combine(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.parameters.method == "topsis":
            return topsis(values, self.weights, *self.ideal)
        if self.parameters.order_weights is not None:
            return owa(values, self.weights, self.parameters.order_weights)
        return wlc(values, self.weights)


def _check_bands(inputs: Inputs, parameters: MultiCriteriaParameters) -> None:
    """Every band exists, and has the unit that the caller thinks it has."""
    asked: list[tuple[str, Criterion | Constraint, str]] = [
        (criterion_role(k), c, "criteria") for k, c in enumerate(parameters.criteria)
    ]
    asked += [
        (constraint_role(k), c, "constraints") for k, c in enumerate(parameters.constraints) if c.features is None
    ]
    for role, chosen, parameter in asked:
        bands = inputs.rasters[role].layer.bands
        if chosen.band > len(bands):
            names = ", ".join(f"{k} {b.name}" for k, b in enumerate(bands, start=1))
            raise InvalidParameter(
                f"图层 {chosen.layer} 没有波段 {chosen.band}，现有：{names}",
                f"layer {chosen.layer} has no band {chosen.band}; there are {names}",
                parameter=parameter,
                layer=chosen.layer,
            )
        band = bands[chosen.band - 1]
        unit = getattr(chosen, "unit", None)
        if unit is not None and unit != band.unit:
            raise QualityViolation(
                f"图层 {chosen.layer} 波段 {band.name} 的单位是 {band.unit or '无'}，参数写的是 {unit}",
                f"layer {chosen.layer}, band {band.name}: the unit is {band.unit or 'none'}, the parameter says {unit}",
                parameter=parameter,
                layer=chosen.layer,
            )
        if band.domain is not None and isinstance(chosen, Criterion) and chosen.scores is None:
            raise InvalidParameter(
                f"图层 {chosen.layer} 波段 {band.name} 是类别，请用 scores 给每类分值",
                f"layer {chosen.layer}, band {band.name} holds classes; give each a score with scores",
                parameter=parameter,
                layer=chosen.layer,
            )


def _burn_constraint(inputs: Inputs, constraint: Constraint, number: int, codes: NDArray[np.uint8]) -> None:
    inside: NDArray[np.uint8] = scratch_array(inputs.scratch, f"constraint-{number}", codes.shape, np.uint8)
    frame = inputs.frames[constraint_role(number)]
    burn(inside, inputs.grid.affine, frame.geometry.array, [1] * len(frame), all_touched=constraint.all_touched)
    wanted = 1 if constraint.features == "inside" else 0
    for top in range(0, codes.shape[0], 512):
        rows = slice(top, top + 512)
        part = codes[rows]
        part[(part == 0) & (inside[rows] == wanted)] = EXCLUDED + number


def _stated_weights(parameters: MultiCriteriaParameters, rules: AhpRules) -> Weighting:
    if parameters.pairwise is not None:
        return Weighting(*ahp_weights(parameters.pairwise, rules, accept_inconsistent=parameters.accept_inconsistent))
    assert parameters.weights is not None
    return Weighting(parameters.weights)


def _spans(
    parameters: MultiCriteriaParameters, extremes: NDArray[np.float64], inputs: Inputs
) -> tuple[tuple[float, float] | None, ...]:
    """Ends of each min–max criterion; refuses a range that the data do not touch at all."""
    spans: list[tuple[float, float] | None] = []
    for k, criterion in enumerate(parameters.criteria):
        low, high = (float(v) for v in extremes[k])
        unit = inputs.rasters[criterion_role(k)].layer.bands[criterion.band - 1].unit
        given = criterion.range or (
            None if criterion.points is None else (criterion.points[0][0], criterion.points[-1][0])
        )
        if given is not None and (high < given[0] or low > given[1]):
            raise QualityViolation(
                f"图层 {criterion.layer} 的值 {low:g}–{high:g} 全在所给范围 {given[0]:g}–{given[1]:g} 之外，"
                f"请检查单位（声明为 {unit or '无'}）",
                f"layer {criterion.layer}: all values, {low:g} to {high:g}, lie outside {given[0]:g} to {given[1]:g}; "
                f"check the unit (declared {unit or 'none'})",
                layer=criterion.layer,
                parameter="criteria",
            )
        if criterion.observed:
            if low == high:
                raise QualityViolation(
                    f"图层 {criterion.layer} 在范围内处处为 {low:g}，不能按极差标准化；请给出 range",
                    f"layer {criterion.layer} is {low:g} everywhere in this window; give a range instead of observed",
                    layer=criterion.layer,
                    parameter="criteria",
                )
            spans.append((low, high))
        else:
            spans.append(criterion.range)
    return tuple(spans)


def _ideal(
    parameters: MultiCriteriaParameters, moments: Moments | None, weights: Sequence[float]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Best and worst value of each criterion for TOPSIS."""
    count = len(parameters.criteria)
    if parameters.method != "topsis" or parameters.ideal == "absolute" or moments is None:
        return (1.0,) * count, (0.0,) * count
    best = tuple(moments.maximum(k) for k in range(count))
    worst = tuple(moments.minimum(k) for k in range(count))
    if all(w == 0 or high == low for w, high, low in zip(weights, best, worst, strict=True)):
        raise QualityViolation(
            "TOPSIS 无解：各准则在所有像元上没有差异；请扩大范围或用 ideal = absolute",
            "TOPSIS is undefined: the criteria are the same in all cells; use a larger window or ideal = absolute",
            parameter="method",
        )
    return best, worst
