"""The analysis ``flood-rehearsal`` (洪水预演): levels at a gauge or a forecast + a scenario of the dikes → extent, depth,
probability, flood days, exposure, state of the dikes, low ground behind them, plan list.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from analyses.landcover.result import check_grid
from analyses.water.flood.findings import count_days, publish_basins, publish_dikes
from analyses.water.flood.inundation import NODATA
from analyses.water.flood.mapping import LevelMap, level_map, spill_of
from analyses.water.flood.measures import plan_areas
from analyses.water.flood.parameters import FloodRehearsalParameters
from analyses.water.flood.precision import Verdict, judge_precision
from analyses.water.flood.result import (
    CHANCES,
    DEPTHS,
    depth_bands,
    extent_bands,
    extent_style,
    ramp,
)
from analyses.water.flood.scene import Scene, at_level, levels_at_nodes, prepare, waters_of
from analyses.water.flood.start import Run, begin, grade_levels
from analyses.water.flood.tally import basin_rows, count_level, dike_rows, write_level
from spatial.catalog import Band, Text
from spatial.jobs.contract import AnalysisResult, Inputs, InputSpec, Outputs, Parameters, Progress, RasterOutput

__all__ = ["FloodRehearsal"]


class FloodRehearsal:
    """Flood rehearsal (洪水预演) from gauge levels.

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "flood-rehearsal"
    version: ClassVar[str] = "1.1.0"
    title: ClassVar[Text] = Text(zh="洪水预演", en="Flood rehearsal")
    description: ClassVar[Text] = Text(
        zh="由测站水位或预报序列推算沿程水面线，按断面条带展布到平原，结合堤顶高程判断连通，给出淹没范围、水深、概率、影响对象、"
        "堤段状态、堤后低地与措施清单；可设溃口与蓄滞洪区启用。地形误差大于水位差时给出「无法判定」。不是水动力模型。",
        en="From levels at a gauge or a forecast: water surface along the river, spread to the plain by cross-section strips, "
        "connectivity with the crests of dikes; extent, depth, probability, exposure, state of the dikes, low ground behind "
        "them, plan list; with breaches or opened detention areas. «Undecidable» where the error of the terrain exceeds the "
        "difference of the levels. No hydrodynamic model.",
    )
    method: ClassVar[str] = "测站水位—水面线—断面条带—连通（hydflood 一类方法）；docs/methods/flood-and-drought.md"
    parameters: ClassVar[type[Parameters]] = FloodRehearsalParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("terrain", "hankou-terrain", "raster", Text(zh="地形", en="Terrain")),
        InputSpec("river", "hankou-river", "vector", Text(zh="河道中心线", en="Centre lines"), extent="whole"),
        InputSpec("gauges", "river-gauges", "vector", Text(zh="水文站", en="Gauges"), extent="whole"),
        InputSpec("dikes", "hankou-dikes", "vector", Text(zh="堤防", en="Dikes"), True, extent="whole"),
        InputSpec(
            "land", "hankou-land", "raster", Text(zh="土地利用与人口", en="Land use and people"), True, "nearest"
        ),
        InputSpec("polders", "polders", "vector", Text(zh="民垸", en="Polders"), True, extent="whole"),
        InputSpec(
            "detention", "detention-areas", "vector", Text(zh="蓄滞洪区", en="Detention areas"), True, extent="whole"
        ),
        InputSpec("roads", "roads", "vector", Text(zh="道路", en="Roads"), True),
        InputSpec("works", "hankou-works", "vector", Text(zh="水利工程", en="Works"), True),
        InputSpec("counties", "counties", "vector", Text(zh="县级行政区", en="Counties"), True),
    )
    base: ClassVar[str] = "terrain"
    short_cells: ClassVar[int] = 720_000
    report: ClassVar[bool] = True
    """A plan list goes to people as a document."""
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {
        "extent": Text(zh="洪水预演淹没范围", en="Flood rehearsal: extent"),
        "depth": Text(zh="洪水预演水深", en="Flood rehearsal: depth"),
        "probability": Text(zh="洪水预演淹没概率", en="Flood rehearsal: probability of being wet"),
        "days": Text(zh="洪水预演淹没天数", en="Flood rehearsal: flood days"),
    }

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: FloodRehearsalParameters) -> tuple[InputSpec, ...]:
        """The layers that the parameters name."""
        named = {
            "terrain": parameters.terrain,
            "river": parameters.river,
            "gauges": parameters.gauges,
            "dikes": parameters.dikes,
            "land": parameters.land,
        }
        found = [
            replace(spec, layer=named.get(spec.role) or spec.layer)
            for spec in cls.inputs
            if spec.role not in named or named[spec.role] is not None
        ]
        if parameters.strips is not None:
            found.append(InputSpec("strips", parameters.strips, "raster", Text(zh="断面条带", en="Strips")))
        if parameters.forecast is not None:
            title = Text(zh="水位序列", en="Level series")
            found.append(InputSpec("forecast", parameters.forecast, "vector", title, extent="whole"))
        return tuple(found)

    def run(
        self, inputs: Inputs, parameters: FloodRehearsalParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Rehearse every level.

        Returns
        -------
        AnalysisResult
            Rasters ``extent`` (uint8), ``depth`` (float32, m), ``probability`` (float32, 0–1), one band a level, and ``days``
            (uint16) for a series; features ``dikes``, ``basins``, ``plans``; tables ``verdict``, ``levels``, ``exposure``,
            ``roads``, ``works``, ``dike_states``, ``basins``, ``plan``, ``areas``, ``area_exposure``, ``exposure_by_county``,
            ``warning``, ``horizons``, ``offsets``, ``series_flags``. Where the error of the
            terrain exceeds the difference of the levels: no raster, ``verdict`` says 无法判定 and why.

        Raises
        ------
        QualityViolation
            If a datum, its offset, the error of the terrain or a crest height is missing, or a series has no usable value.
        InvalidParameter
            For an unknown gauge or detention area, a gauge or breach that does not lie on river or dike.
        """
        check_grid(inputs.grid)
        run = begin(inputs, parameters)
        verdict = judge_precision(
            run.levels,
            run.gauge.row,
            run.terrain,
            run.rules,
            offsets=run.offsets,
            forecast=parameters.forecast is not None and parameters.levels_m is None,
        )
        run.tables["verdict"] = [verdict.row()]
        grade_levels(run)
        run.factor(
            "precision", "地形精度", "Precision of the terrain", verdict.decidable, verdict.reason, run.terrain.source
        )
        if not verdict.decidable:
            run.notes.insert(0, verdict.reason)
            progress(1.0, "无法判定 undecidable")
            return AnalysisResult(tuple(run.factors), run.tables, tuple(run.notes))
        progress(0.02, "断面条带 strips")
        scene = prepare(run, self.block)
        maps = self._maps(run, scene, verdict, outputs, progress)
        if run.series is not None:
            count_days(run, at_level(run, scene, max(run.levels)), outputs, progress)
        plan_areas(run, scene, maps, outputs)
        result = AnalysisResult(tuple(run.factors), run.tables, tuple(run.notes))
        progress(1.0, "完成 done")
        return result

    def _maps(self, run: Run, scene: Scene, verdict: Verdict, outputs: Outputs, progress: Progress) -> list[LevelMap]:
        """Map, write and count every level; dikes and basins with it."""
        count = len(run.levels)
        shown = f"level_{count}"

        def raster(name: str, bands: tuple[Band, ...], style: dict[str, Any], dtype: str = "float32") -> RasterOutput:
            empty = NODATA if dtype == "uint8" else float("nan")
            return outputs.raster(name, bands=bands, dtype=dtype, nodata=empty, title=self.rasters[name], style=style)

        written = (
            raster("extent", extent_bands(run.levels), extent_style(shown), "uint8"),
            raster("depth", depth_bands(run.levels), ramp(shown, DEPTHS)),
            raster("probability", depth_bands(run.levels, unit="1", top=1.0), ramp(shown, CHANCES)),
        )
        water = waters_of(run)
        maps, dikes, basins = [], [], []
        for k, level in enumerate(run.levels, start=1):
            share = 0.1 + 0.7 * (k - 1) / count
            text = f"预演 {level:.2f} m rehearsing"
            progress(share, text)
            here = at_level(run, scene, level)
            nodes = levels_at_nodes(run, here, level)
            found = level_map(
                here.reach,
                nodes,
                run.inputs.scratch,
                f"{k}",
                water=water,
                progress=_part(progress, share, 0.3 / count, text),
            )
            spill = spill_of(
                here.reach,
                found.codes,
                run.inputs.scratch,
                f"{k}",
                progress=_part(
                    progress, share + 0.3 / count, 0.2 / count, f"控制高程 {level:.2f} m controlling crests"
                ),
            )
            write_level(here, found, nodes, spill, verdict.sigma_m, written, k)
            count_level(run, here, found, level)
            dikes += dike_rows(run, here, found, nodes, level)
            basins += basin_rows(run, here, found, nodes, level, spill)
            maps.append(found)
        publish_dikes(run, scene, dikes, outputs)
        publish_basins(basins, outputs)
        return maps


def _part(progress: Progress, start: float, span: float, text: str) -> Callable[[float], None]:
    """Progress of a part of the work."""
    return lambda share: progress(start + span * share, text)
