"""Sensitivity (敏感性) of a published assessment: how sure each cell's class is, and which limit matters most.

The factors raster of a run carries its chain. Its limits, matrices and weights are drawn again and again (Monte Carlo),
and moved one at a time; every draw runs the same kernel as the batch on the same stored factors. Draws belong to their
simulation and areas are summed as whole dm², so that no bit depends on blocks or workers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.chain import Chain
from analyses.perturbation import Spread, draw, one_at_a_time
from analyses.sensitivity_result import (
    area_table,
    class_colors,
    factors,
    notes,
    one_at_a_time_table,
    probability_bands,
    probability_style,
)
from analyses.weighted import Weighted
from analyses.whatif import Recorded, factors_of, recorded
from spatial.catalog import LAYER_ID, Band, Text
from spatial.compiled import compiled
from spatial.errors import InvalidParameter, LayerEmpty, LayerNotFound, QualityViolation
from spatial.grid import cell_areas
from spatial.jobs.contract import (
    AnalysisResult,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    RasterInput,
    RasterOutput,
    bilingual,
    layer_field,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spatial.catalog import Layer

__all__ = ["SensitivityParameters", "SuitabilitySensitivity"]

CHANGED = 7
"""Place, behind the classes 1–6, of the area whose class is not that of the batch."""
_SLOTS = 8
_DM2 = 100
"""dm² in a m²."""


class SensitivityParameters(Parameters):
    """Parameters (参数) of a sensitivity analysis; the values used stand in the result."""

    layer: str = Field(
        pattern=LAYER_ID,
        json_schema_extra=bilingual(
            "因子图层",
            "Factors layer",
            "已发布的单项指标图层（…-factors），其溯源中有判别链。",
            "A published layer of factors (…-factors); its provenance holds the chain.",
        ),
    )
    result: str | None = layer_field(
        None,
        "结果图层",
        "Result layer",
        "同一次评价的结果图层；其中按整幅得到的因子（如集中连片度）按原结果保持不变。不填则去掉这些站。",
        "The class layer of the same run: factors that need the whole map (patches) are held as they were found there. "
        "Default: their stations are left out.",
    )
    simulations: int = Field(
        100,
        ge=0,
        le=2000,
        json_schema_extra=bilingual(
            "模拟次数", "Simulations", "蒙特卡罗次数；0 只做单因素变化。", "Monte Carlo runs; 0: one at a time only."
        ),
    )
    seed: int = Field(
        1,
        ge=0,
        le=2**31 - 1,
        json_schema_extra=bilingual(
            "随机种子", "Seed", "同一种子的结果逐位相同。", "The same seed gives the same bits."
        ),
    )
    distribution: Literal["normal", "uniform"] = Field(
        "normal",
        json_schema_extra=bilingual(
            "分布",
            "Distribution",
            "阈值的分布：normal 为正态（变幅即标准差，截于 ±3 倍），uniform 为均匀（变幅即半宽）。",
            "Of the limits: normal (the spread is the standard deviation, cut at ±3), uniform (half the range).",
        ),
    )
    relative_percent: float = Field(
        10.0,
        ge=0,
        le=30,
        json_schema_extra=bilingual(
            "相对变幅（%）",
            "Relative spread (%)",
            "每个阈值的变幅占其值的百分比；对 0 点任意的量（如 ℃）请用 spreads。",
            "Spread of each limit in percent of its value; for scales with an arbitrary zero (°C) use spreads.",
        ),
    )
    spreads: dict[str, float] = Field(
        default_factory=dict,
        json_schema_extra=bilingual(
            "绝对变幅",
            "Absolute spreads",
            '站 → 变幅（因子的单位），优先于相对变幅。例：{"slope": 1.5}',
            'Station → spread in the unit of its factor; goes before the relative one. Example: {"slope": 1.5}',
        ),
    )
    matrix_percent: float = Field(
        0.0,
        ge=0,
        le=100,
        json_schema_extra=bilingual(
            "矩阵变动概率（%）",
            "Matrix changes (%)",
            "判别矩阵每格升降一级的概率，保持单调。",
            "Chance that a cell of a judgement matrix goes up or down one grade; the matrix stays monotone.",
        ),
    )
    weights: dict[str, float] = Field(
        default_factory=dict,
        json_schema_extra=bilingual(
            "权重",
            "Weights",
            "站 → 权重（和为 1）：用加权综合代替判别矩阵；不填则按判别链。",
            "Station → weight (sum 1): weighted integration instead of the tables; default the chain itself.",
        ),
    )
    weight_percent: float = Field(
        10.0,
        ge=0,
        le=30,
        json_schema_extra=bilingual(
            "权重相对变幅（%）",
            "Spread of the weights (%)",
            "变动后重新归一；只在给出 weights 时有用。",
            "The weights are scaled to the sum 1 again; only with weights.",
        ),
    )
    one_at_a_time: bool = Field(
        True,
        json_schema_extra=bilingual(
            "单因素变化",
            "One at a time",
            "是否逐个变动阈值、权重并逐站去掉。",
            "Move each limit and weight by itself, and leave out each station.",
        ),
    )
    sample: int = Field(
        1,
        ge=1,
        le=64,
        json_schema_extra=bilingual(
            "抽样间隔",
            "Sampling step",
            "1 为全部像元；n 为每 n 行 n 列取一个，只估面积，不出概率图。",
            "1: every cell; n: every nth row and column, for areas only, without the probability map.",
        ),
    )


class SuitabilitySensitivity:
    """Sensitivity of a published assessment (适宜性、重要性评价的敏感性分析).

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "suitability-sensitivity"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="适宜性敏感性分析", en="Sensitivity of a suitability assessment")
    description: ClassVar[Text] = Text(
        zh="对已发布评价的阈值、判别矩阵或权重做蒙特卡罗与单因素变化：每个像元各类的概率、各类面积的区间、影响最大的阈值。",
        en="Monte Carlo and one-at-a-time changes of the limits, matrices or weights of a published assessment: the "
        "probability of each class of each cell, intervals of the class areas, the limits that matter most.",
    )
    method: ClassVar[str] = "蒙特卡罗与单因素敏感性分析（Saltelli 等 2008）；docs/methods/sensitivity.md"
    parameters: ClassVar[type[Parameters]] = SensitivityParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = ()
    base: ClassVar[str] = "factors"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "suitability")
    rasters: ClassVar[Mapping[str, Text]] = {
        "probability": Text(zh="各类概率", en="Probability of each class"),
        "likely": Text(zh="最可能的类", en="Most probable class"),
    }

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: SensitivityParameters) -> tuple[InputSpec, ...]:
        """The factors layer that the parameters name, and the result layer if they name one."""
        specs = [InputSpec("factors", parameters.layer, "raster", Text(zh="单项指标", en="Factors"))]
        if parameters.result is not None:
            specs.append(InputSpec("result", parameters.result, "raster", Text(zh="评价结果", en="Result")))
        return tuple(specs)

    def run(
        self, inputs: Inputs, parameters: SensitivityParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Draw, run and count.

        Returns
        -------
        AnalysisResult
            Rasters ``probability`` (float32: p1 … pK, the share of the simulations that give each class, and entropy,
            0 sure … 1 all equal) and ``likely`` (uint8: most probable class, of equals the higher number; class of the
            recorded chain); none if `sample` > 1 or without simulations. Tables ``areas`` (ellipsoidal: recorded, mean,
            5–95 %), ``one_at_a_time`` (ranked by the area that changes class), ``simulations``.

        Raises
        ------
        LayerNotFound
            If the layer carries no chain; names the factors layer if there is one.
        InvalidParameter
            For a station that has no limits, weights that do not sum to one, nothing to do.
        LayerEmpty
            If no cell of the window is assessed.

        Source: Saltelli et al. (2008), Global Sensitivity Analysis, doi:10.1002/9780470725184.
        """
        found = _recorded(inputs.rasters["factors"].layer)
        sources = {name: ("factors", band) for name, band in found.bands.items()}
        held = _held(found, inputs.rasters.get("result"), parameters)
        sources |= {name: ("result", band) for name, band in held.items()}
        lacking = tuple(s.id for s in found.chain.stations if s.factor not in sources)
        chain = found.chain.without(*lacking) if lacking else found.chain
        spread = Spread(
            seed=parameters.seed,
            distribution=parameters.distribution,
            relative=parameters.relative_percent / 100,
            absolute=parameters.spreads,
            matrix=parameters.matrix_percent / 100,
            weights=parameters.weights,
            weight=parameters.weight_percent / 100,
            held=frozenset(s.id for s in chain.stations if s.factor in held),
        )
        spread.check(chain)
        if any(not (math.isfinite(v) and v >= 0) for v in parameters.spreads.values()):
            raise InvalidParameter("spreads 须为非负数", "spreads must not be negative", parameter="spreads")
        if parameters.simulations == 0 and not parameters.one_at_a_time:
            raise InvalidParameter(
                "simulations = 0 且不做单因素变化，没有可算的", "no simulations and nothing one at a time: nothing to do",
                parameter="simulations",
            )  # fmt: skip
        base = Weighted(chain, spread.weights) if spread.weights else chain
        variants = one_at_a_time(chain, spread) if parameters.one_at_a_time else []
        work = _Simulations(
            dict(inputs.rasters),
            sources,
            base,
            tuple(draw(chain, spread, s) for s in range(parameters.simulations)),
            tuple(v.chain for v in variants),
            tuple(round(float(a) * _DM2) for a in cell_areas(inputs.grid)),
            tuple(sorted(set(chain.classes.values()))),
            parameters.sample,
        )
        sums = self._count(work, inputs, outputs, chain, progress)
        if not sums[0, 1:CHANGED].any():
            raise LayerEmpty(
                f"图层 {parameters.layer} 在所选范围内没有可评价的像元，请换一个范围",
                f"layer {parameters.layer} has no cell that can be assessed in this window; choose another one",
                layer=parameters.layer,
            )
        m2 = sums.astype(np.float64) * (parameters.sample**2 / _DM2)
        first = 1 + parameters.simulations
        progress(1.0, "完成 done")
        return AnalysisResult(
            factors=factors(found.chain, spread, lacking),
            tables={
                "areas": area_table(chain, m2[0], m2[1:first]),
                "one_at_a_time": one_at_a_time_table(chain, variants, m2[0], m2[first:]),
                "simulations": _simulation_rows(work, m2[1:first]),
            },
            notes=notes(parameters.sample, parameters.simulations, lacking, spread.held),
        )

    def _count(
        self,
        work: _Simulations,
        inputs: Inputs,
        outputs: Outputs,
        chain: Chain,
        progress: Progress,
    ) -> NDArray[np.int64]:
        """Run every block; dm² of (recorded, simulations, variants) × (0, classes 1–6, changed)."""
        writers: tuple[RasterOutput, RasterOutput] | None = None
        if work.maps:
            writers = self._open(outputs, chain, work.numbers, class_colors(inputs.rasters.get("result")))
        sums = np.zeros((1 + len(work.simulations) + len(work.variants), _SLOTS), dtype=np.int64)

        def keep(window: Window, found: Arrays) -> None:
            nonlocal sums
            sums += found["sums"]
            if writers is not None:
                row, col, _, _ = window
                for band, values in enumerate(found["probability"], start=1):
                    writers[0].write(row, col, values, band=band)
                for band, values in enumerate(found["likely"], start=1):
                    writers[1].write(row, col, values, band=band)

        run_blocks(
            work,
            block_windows(*inputs.grid.shape.yx, self.block),
            on_result=keep,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=lambda share: progress(0.95 * share, "模拟 simulations"),
        )
        return sums

    def _open(
        self, outputs: Outputs, chain: Chain, numbers: Sequence[int], colors: Mapping[int, str]
    ) -> tuple[RasterOutput, RasterOutput]:
        probability = outputs.raster(
            "probability",
            bands=probability_bands(chain, numbers),
            dtype="float32",
            nodata=float("nan"),
            title=Text(zh=f"{chain.title.zh}：各类概率", en=f"{chain.title.en}: probability of each class"),
            style=probability_style(chain, numbers),
        )
        titles = {n: chain.class_titles.get(n, Text(zh=f"{n} 类", en=f"class {n}")) for n in numbers}
        bands = (
            Band(
                name="likely",
                title=Text(zh="最可能的类", en="Most probable class"),
                valid_range=(0, max(numbers)),
                domain=titles,
            ),
            Band(
                name="recorded",
                title=Text(zh="原判别链的类", en="Class of the recorded chain"),
                valid_range=(0, max(numbers)),
                domain=titles,
            ),
        )
        classes = [{"value": n, "color": colors.get(n, "#888888"), "title": titles[n].model_dump()} for n in numbers]
        likely = outputs.raster(
            "likely",
            bands=bands,
            dtype="uint8",
            nodata=0,
            title=Text(zh=f"{chain.title.zh}：最可能的类", en=f"{chain.title.en}: most probable class"),
            style={"type": "classes", "band": "likely", "classes": classes},
        )
        return probability, likely


def _recorded(layer: Layer) -> Recorded:
    named = factors_of(layer)
    if named is not None and named != layer.id:
        raise LayerNotFound(
            f"图层 {layer.id} 是评价结果，请用它的单项指标图层 {named}",
            f"layer {layer.id} is a result; name its factors layer {named}",
            layer=layer.id,
            near=[named],
        )
    found = recorded(layer)
    if max(found.chain.classes.values()) >= CHANGED:
        raise QualityViolation(
            f"图层 {layer.id} 的判别链超过 {CHANGED - 1} 类",
            f"layer {layer.id}: more than {CHANGED - 1} classes",
            layer=layer.id,
        )
    return found


def _held(found: Recorded, result: RasterInput | None, parameters: SensitivityParameters) -> dict[str, int]:
    """Factors without a band in the factors layer that the result layer has: factor → band there.

    Raises
    ------
    InvalidParameter
        If the two layers are not of one run.
    """
    if result is None:
        return {}
    named = factors_of(result.layer)
    if named != parameters.layer or named == result.layer_id:
        raise InvalidParameter(
            f"result 图层 {result.layer_id} 不是 {parameters.layer} 那次评价的结果（它的因子图层是 {named or '无'}）",
            f"result: layer {result.layer_id} does not belong to {parameters.layer} (its factors layer: {named or 'none'})",
            parameter="result",
            value=result.layer_id,
        )
    bands = {band.name: number for number, band in enumerate(result.layer.bands, start=1)}
    wanted = {s.factor for s in found.chain.stations if s.id in found.absent}
    return {name: bands[name] for name in wanted if name in bands}


def _tally(found: Any, recorded: Any, areas: Any, counts: Any, sums: Any) -> None:
    """Count the class of each cell and sum its area; int64 throughout, so the order does not matter."""
    for r in range(found.shape[0]):
        area = areas[r]
        for c in range(found.shape[1]):
            k = found[r, c]
            sums[k] += area
            if k != recorded[r, c]:
                sums[7] += area
            if k > 0:
                counts[k - 1, r, c] += 1


@dataclass(frozen=True)
class _Simulations:
    """Every simulation and variant on one block (see `BlockWork`)."""

    rasters: Mapping[str, RasterInput]
    sources: Mapping[str, tuple[str, int]]
    """Factor → role and band of its raster."""
    recorded: Chain | Weighted
    simulations: tuple[Chain | Weighted, ...]
    variants: tuple[Chain | Weighted, ...]
    areas_dm2: tuple[int, ...]
    numbers: tuple[int, ...]
    sample: int

    @property
    def maps(self) -> bool:
        """Whether there are rasters."""
        return self.sample == 1 and bool(self.simulations)

    @cached_property
    def _factors(self) -> tuple[str, ...]:
        chains = (self.recorded, *self.simulations, *self.variants)
        return tuple(dict.fromkeys(name for chain in chains for name in chain.factors))

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        row, col, height, width = window
        n = self.sample
        rows = slice((n // 2 - row) % n, None, n)
        cols = slice((n // 2 - col) % n, None, n)
        values = {}
        for name in self._factors:
            role, band = self.sources[name]
            whole = self.rasters[role].read(row, col, height, width, band=band)
            values[name] = np.ascontiguousarray(whole[rows, cols])
        shape = next(iter(values.values())).shape
        sums = np.zeros((1 + len(self.simulations) + len(self.variants), _SLOTS), dtype=np.int64)
        if 0 in shape:
            return {"sums": sums}
        areas = np.asarray(self.areas_dm2[row : row + height], dtype=np.int64)[rows]
        tally = compiled(_tally)
        counts = np.zeros((CHANGED - 1, *shape), dtype=np.uint16)
        unused = np.zeros_like(counts)
        base = self.recorded.run(values).suitability
        tally(base, base, areas, unused, sums[0])
        if (base == 0).all() and not self._may_assess(values):
            sums[1:, 0] = sums[0, 0]
            return {"sums": sums} | (self._maps(counts, base) if self.maps else {})
        for k, chain in enumerate(self.simulations, start=1):
            tally(chain.run(values).suitability, base, areas, counts, sums[k])
        for k, chain in enumerate(self.variants, start=1 + len(self.simulations)):
            tally(chain.run(values).suitability, base, areas, unused, sums[k])
        return {"sums": sums} | (self._maps(counts, base) if self.maps else {})

    @staticmethod
    def _may_assess(values: Mapping[str, NDArray[Any]]) -> bool:
        """False where no factor has any value: a block outside the province."""
        return any(bool(np.isfinite(v).any()) for v in values.values())

    def _maps(self, counts: NDArray[np.uint16], base: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """Probabilities, entropy and the most probable class from counts of each class."""
        kept = counts[[n - 1 for n in self.numbers]].astype(np.int64)
        assessed = kept.sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = np.where(assessed > 0, kept / assessed, np.nan)
        # c·ln c from a table by `math`: the same bits for every block and processor.
        table = np.array([0.0, *(c * math.log(c) for c in range(1, len(self.simulations) + 1))])
        logs = np.array([0.0, *(math.log(c) for c in range(1, len(self.simulations) + 1))])
        total = np.zeros(assessed.shape)
        for part in kept:
            total += table[part]
        with np.errstate(invalid="ignore", divide="ignore"):
            entropy = np.where(assessed > 0, logs[assessed] - total / assessed, np.nan)
        entropy = np.clip(entropy / math.log(max(2, len(self.numbers))), 0.0, 1.0)
        # Of equals the higher number: the worse class of suitability.
        place = len(self.numbers) - 1 - np.argmax(kept[::-1], axis=0)
        likely = np.where(assessed > 0, np.array(self.numbers, dtype=np.uint8)[place], 0)
        return {
            "probability": np.concatenate([shares, entropy[np.newaxis]]).astype(np.float32),
            "likely": np.stack([likely.astype(np.uint8), base]),
        }


def _simulation_rows(work: _Simulations, areas: NDArray[np.float64]) -> list[dict[str, float]]:
    return [
        {"simulation": s} | {f"class_{n}_km2": round(float(row[n]) / 1e6, 6) for n in work.numbers}
        for s, row in enumerate(areas)
    ]
