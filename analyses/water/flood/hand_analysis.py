"""The analysis ``flood-hand``: height above the nearest drainage and the depth at a stage, where gauges and sections lack."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import Field

from analyses.landcover.result import check_grid
from analyses.water.flood.hand import drainage
from analyses.water.flood.result import DEPTHS, ramp
from analyses.water.flood.rules import flood_rules
from spatial.catalog import Band, Text
from spatial.errors import InvalidParameter
from spatial.grid import cell_areas
from spatial.jobs.contract import (
    AnalysisResult,
    Factor,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    bilingual,
    layer_field,
)

__all__ = ["FloodHand", "FloodHandParameters"]


class FloodHandParameters(Parameters):
    """Parameters (参数) of HAND."""

    terrain: str = layer_field(
        "dem",
        "地形图层",
        "Terrain layer",
        "高程（m）；误差须在 flood.yml 中。",
        "Elevation (m); its error must be in flood.yml.",
    )
    stage_m: float = Field(
        10.0,
        gt=0,
        le=200,
        json_schema_extra=bilingual(
            "河道涨水", "Stage", "高出河道的水深（m）。", "Depth of water above the streams, m."
        ),
    )
    stream_km2: float | None = Field(
        None,
        gt=0,
        le=1e6,
        json_schema_extra=bilingual(
            "河网阈值",
            "Stream threshold",
            "上游面积达到此值的像元为河道（km²）；不填取规则值。",
            "Cells that drain so much are streams (km²); default: by the rules.",
        ),
    )


class FloodHand:
    """HAND (相对河道高差) and the depth at a stage; a screening for reaches without data."""

    id: ClassVar[str] = "flood-hand"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="相对河道高差（HAND）", en="Height above the nearest drainage (HAND)")
    description: ClassVar[Text] = Text(
        zh="由地形推算流向与河网，给出每处高出其下游河道的高差，以及河道涨水若干米时的水深；用于没有测站与断面的河段初筛，不考虑堤防。",
        en="Flow directions and streams from the terrain; the height of every place above the stream that it drains to, and the "
        "depth when the streams rise by a stage; a screening for reaches without gauges, dikes are not considered.",
    )
    method: ClassVar[str] = "HAND（Nobre et al. 2011）；docs/methods/flood-and-drought.md"
    parameters: ClassVar[type[Parameters]] = FloodHandParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (InputSpec("terrain", "dem", "raster", Text(zh="地形", en="Terrain")),)
    base: ClassVar[str] = "terrain"
    short_cells: ClassVar[int] = 600_000
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {
        "hand": title,
        "depth": Text(zh="HAND 涨水水深", en="Depth by HAND"),
    }

    @classmethod
    def inputs_of(cls, parameters: FloodHandParameters) -> tuple[InputSpec, ...]:
        """The terrain that the parameters name."""
        return (replace(cls.inputs[0], layer=parameters.terrain),)

    def run(
        self, inputs: Inputs, parameters: FloodHandParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """HAND of the run's grid, which must fit into memory.

        Raises
        ------
        InvalidParameter
            If the grid has more cells than the rules allow, or no stream reaches the threshold.
        QualityViolation
            If the error of the terrain is not known.
        """
        check_grid(inputs.grid)
        rules = flood_rules(inputs.rules)
        terrain = rules.terrains.of(parameters.terrain)
        rows, cols = inputs.grid.shape.yx
        if rows * cols > rules.hand.cells:
            raise InvalidParameter(
                f"范围有 {rows * cols} 个像元，超过 {rules.hand.cells}，请用 bbox 缩小范围",
                f"the extent has {rows * cols} cells, more than {rules.hand.cells}; use a smaller bbox",
                parameter="bbox",
            )
        limit = parameters.stream_km2 or rules.hand.stream_km2
        if terrain.sigma_m > rules.precision.k * parameters.stage_m:
            reason = Text(
                zh=f"无法判定：地形误差 {terrain.sigma_m:g} m 大于涨水 {parameters.stage_m:g} m",
                en=f"undecidable: the error {terrain.sigma_m:g} m of the terrain exceeds the stage {parameters.stage_m:g} m",
            )
            factor = Factor("precision", Text(zh="地形精度", en="Precision"), False, reason, terrain.source)
            return AnalysisResult(
                (factor,), {"verdict": [{"decidable": False, "reason": reason.model_dump()}]}, (reason,)
            )
        progress(0.05, "流向 flow directions")
        elevation = inputs.rasters["terrain"].read(0, 0, rows, cols)
        found = drainage(elevation, inputs.grid.affine)
        progress(0.6, "HAND")
        hand = found.hand(elevation, limit)
        depth = np.where(hand <= parameters.stage_m, np.float32(parameters.stage_m) - hand, np.float32(np.nan))
        for name, values, top in (("hand", hand, 10_000.0), ("depth", depth, parameters.stage_m)):
            raster = outputs.raster(
                name,
                bands=(Band(name=name, title=self.rasters[name], unit="m", valid_range=(0, top)),),
                dtype="float32",
                nodata=float("nan"),
                title=self.rasters[name],
                style=ramp(
                    name,
                    {0.0: "#08306b", 5.0: "#6baed6", 15.0: "#fee391", 50.0: "#8c5a3c"} if name == "hand" else DEPTHS,
                ),
            )
            for top_row in range(0, rows, 1024):
                for left in range(0, cols, 1024):
                    part = values[top_row : top_row + 1024, left : left + 1024]
                    raster.write(top_row, left, (np.rint(part * 100) / 100).astype(np.float32))
        areas = cell_areas(inputs.grid)
        wet = np.isfinite(depth)
        table = {
            "stage_m": parameters.stage_m,
            "stream_km2": limit,
            "flooded_km2": round(float((wet.sum(axis=1) * areas).sum()) / 1e6, 4),
            "valid_share": round(float(np.isfinite(hand).mean()), 4),
            "largest_upstream_km2": round(float(found.upstream_km2.max()), 3),
        }
        note = Text(
            zh="河流在范围边缘入境时，其境外集水面积不计入；堤防不考虑",
            en="area that drains in from outside the extent does not count; dikes are not considered",
        )
        factor = Factor(
            "streams",
            Text(zh="河网", en="Streams"),
            True,
            Text(zh=f"上游面积 ≥ {limit:g} km²", en=f"upstream area ≥ {limit:g} km²"),
            rules.hand.source,
        )
        progress(1.0, "完成 done")
        return AnalysisResult((factor,), {"totals": [table]}, (note,))
