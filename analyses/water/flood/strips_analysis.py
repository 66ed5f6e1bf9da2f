"""The analysis ``flood-strips``: the cross-section strips of a terrain and its rivers, prepared once for many rehearsals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from analyses.landcover.result import check_grid
from analyses.water.flood.prepared import strip_dtype
from analyses.water.flood.result import ramp
from analyses.water.flood.rules import flood_rules
from analyses.water.flood.strips import nearest_node, nodes_of, river_cells
from spatial.catalog import Band, Text
from spatial.grid import cell_areas
from spatial.jobs.contract import (
    AnalysisResult,
    Factor,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    layer_field,
)

__all__ = ["FloodStrips", "FloodStripsParameters"]


class FloodStripsParameters(Parameters):
    """Parameters (参数) of the strips."""

    terrain: str = layer_field(
        "hankou-terrain", "地形图层", "Terrain layer", "其格网即条带的格网。", "Its grid is that of the strips."
    )
    river: str = layer_field(
        "hankou-river",
        "河道中心线图层",
        "Centre lines",
        "带两端里程的中心线，向下游绘制。",
        "Centre lines with chainage, drawn downstream.",
    )


class FloodStrips:
    """Cross-section strips (断面条带): the nearest node of the river for every cell.

    Parameters
    ----------
    block : int
        Rows computed at once. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "flood-strips"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="断面条带", en="Cross-section strips")
    description: ClassVar[Text] = Text(
        zh="每个像元所属的河道节点（每 100 m 一个），一次算好供洪水预演反复使用（参数 strips）；河道、格网变了即作废。",
        en="The node of the river (one every 100 m) that each cell belongs to, prepared once for many flood rehearsals "
        "(parameter strips); void when the river or the grid changes.",
    )
    method: ClassVar[str] = "最近河道节点，逐行精确距离变换；docs/methods/flood-and-drought.md"
    parameters: ClassVar[type[Parameters]] = FloodStripsParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("terrain", "hankou-terrain", "raster", Text(zh="地形", en="Terrain")),
        InputSpec("river", "hankou-river", "vector", Text(zh="河道中心线", en="Centre lines"), extent="whole"),
    )
    base: ClassVar[str] = "terrain"
    short_cells: ClassVar[int] = 720_000
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {"strips": title}

    def __init__(self, block: int = 512) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: FloodStripsParameters) -> tuple[InputSpec, ...]:
        """The layers that the parameters name."""
        terrain, river = cls.inputs
        return replace(terrain, layer=parameters.terrain), replace(river, layer=parameters.river)

    def run(
        self, inputs: Inputs, parameters: FloodStripsParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Number of the nearest node for every cell, 1 …; 0 (no data) farther from the river than the rules allow.

        Raises
        ------
        LayerEmpty
            If the river layer has no feature.
        InvalidParameter
            If a centre line has no chainage, or none lies in the extent.
        """
        check_grid(inputs.grid)
        rules = flood_rules(inputs.rules)
        rivers, nodes = nodes_of(inputs.frames["river"], rules.surface.node_step_m, layer=parameters.river)
        shape, affine = inputs.grid.shape.yx, inputs.grid.affine
        dtype = strip_dtype(nodes)
        raster = outputs.raster(
            "strips",
            bands=(
                Band(
                    name="node",
                    title=Text(zh="河道节点号", en="Number of the node"),
                    valid_range=(1, nodes.size),
                ),
            ),
            dtype=np.dtype(dtype).name,
            nodata=0,
            title=self.title,
            style=ramp("node", {1.0: "#f7fbff", nodes.size / 2: "#6baed6", float(nodes.size): "#08306b"}),
        )
        covered = np.zeros(shape[0], np.int64)

        def put(top: int, rows: Any) -> None:
            covered[top : top + rows.shape[0]] = (rows > 0).sum(axis=1)
            for left in range(0, shape[1], 2048):
                raster.write(top, left, np.ascontiguousarray(rows[:, left : left + 2048]))
            progress(0.05 + 0.9 * (top + rows.shape[0]) / shape[0], "断面条带 strips")

        seeds = river_cells(nodes, affine, shape)
        nearest_node(
            seeds,
            affine,
            shape,
            limit_m=rules.surface.strip_limit_m,
            put=put,
            dtype=dtype,
            rows=self.block,
            threads=inputs.threads,
        )
        names = [str(n) for n in rivers["name"]]
        table = [
            {
                "river": names[k],
                "nodes": int((nodes.river == k).sum()),
                "first_node": int(np.flatnonzero(nodes.river == k)[0]) + 1,
                "from_km": round(float(nodes.chainage_m[nodes.river == k][0]) / 1000, 3),
                "to_km": round(float(nodes.chainage_m[nodes.river == k][-1]) / 1000, 3),
            }
            for k in range(len(names))
        ]
        areas = cell_areas(inputs.grid)
        totals = {
            "nodes": nodes.size,
            "river_cells": seeds.size,
            "covered_km2": round(float((covered * areas).sum()) / 1e6, 4),
            "valid_share": round(float(covered.sum()) / (shape[0] * shape[1]), 4),
            "node_step_m": rules.surface.node_step_m,
            "limit_m": rules.surface.strip_limit_m,
        }
        note = Text(
            zh=f"每 {rules.surface.node_step_m:g} m 一个节点，离河 {rules.surface.strip_limit_m / 1000:g} km 以内",
            en=f"a node every {rules.surface.node_step_m:g} m, up to {rules.surface.strip_limit_m / 1000:g} km from the river",
        )
        factor = Factor("strips", self.title, True, note, rules.surface.source)
        progress(1.0, "完成 done")
        return AnalysisResult((factor,), {"rivers": table, "totals": [totals]}, (note,))
