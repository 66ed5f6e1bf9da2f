"""The analysis ``corridor-change``: land-cover change within one kilometre of a river (沿江一公里地类变化)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.landcover.change import DM2, Transitions
from analyses.landcover.comparison import CompareMaps
from analyses.landcover.result import (
    change_bands,
    change_style,
    change_titles,
    check_grid,
    class_areas,
    transition_rows,
)
from analyses.landcover.rules import LandCoverRules, land_cover_rules
from analyses.masks import scratch_array
from analyses.water.series.rules import change_rules
from analyses.water.shore.corridor_change import geodesic_buffer
from analyses.water.shore.corridor_occupation import BankZones, Occupation, bank_zones, write_banks
from analyses.zonal import areas_in_units
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty
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

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CorridorChangeAnalysis", "CorridorChangeParameters"]


class CorridorChangeParameters(Parameters):
    """Parameters (参数) of land-cover change along a river."""

    earlier: str = layer_field(
        "land-use-earlier",
        "前期地类图层",
        "Earlier map",
        "13 类用地编码的栅格；其格网即结果格网。",
        "Raster of the 13 land-use codes; its grid is that of the result.",
    )
    later: str = layer_field("land-use", "后期地类图层", "Later map", "同一格网。", "On the same grid.")
    river: str = layer_field(
        "yangtze-han", "河流图层", "River", "水面（面）或中心线、岸线（线）。", "Water surface, or lines."
    )
    reaches: str | None = layer_field(
        "river-reaches",
        "河段名录",
        "Register of reaches",
        "可选：中心线沿下游方向；占用按河段和左右岸统计。",
        "Optional: centre lines that run downstream; occupation is then told by reach and bank.",
    )
    distance_m: float | None = Field(
        None,
        gt=0,
        le=20_000,
        json_schema_extra=bilingual(
            "距离",
            "Distance",
            "米；不填为 1000（长江保护法第二十六条）。",
            "Metres; default 1,000 (Yangtze law, Art. 26).",
        ),
    )
    include_river: bool = Field(
        False,
        json_schema_extra=bilingual(
            "含水面", "With the river", "水面本身是否计入。", "Whether the surface of the river itself counts."
        ),
    )


class CorridorChangeAnalysis:
    """Land-cover change in the corridor of a river (沿江廊道).

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "corridor-change"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="沿江一公里地类变化", en="Land-cover change along a river")
    description: ClassVar[Text] = Text(
        zh="河流岸线一公里（测地距离）内两期地类的变化图与转移矩阵，只计两期都有效的像元，椭球面积。",
        en="Map and transition matrix of land-cover change within one kilometre (geodesic) of a river, on cells that both maps "
        "know, ellipsoidal areas.",
    )
    method: ClassVar[str] = "长江保护法第二十六条；测地缓冲区与转移矩阵；docs/methods/change-and-alerts.md"
    parameters: ClassVar[type[Parameters]] = CorridorChangeParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("earlier", "land-use-earlier", "raster", Text(zh="前期地类", en="Earlier map")),
        InputSpec("later", "land-use", "raster", Text(zh="后期地类", en="Later map")),
        InputSpec("river", "yangtze-han", "vector", Text(zh="河流", en="River"), extent="whole"),
        InputSpec("reaches", "river-reaches", "vector", Text(zh="河段", en="Reaches"), optional=True, extent="whole"),
    )
    base: ClassVar[str] = "earlier"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {"change": title}

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: CorridorChangeParameters) -> tuple[InputSpec, ...]:
        """The layers that the parameters name."""
        earlier, later, river, reaches = cls.inputs
        found = (
            replace(earlier, layer=parameters.earlier),
            replace(later, layer=parameters.later),
            replace(river, layer=parameters.river),
        )
        return found if parameters.reaches is None else (*found, replace(reaches, layer=parameters.reaches))

    def run(
        self, inputs: Inputs, parameters: CorridorChangeParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Compare the cells whose centre lies in the corridor.

        Returns
        -------
        AnalysisResult
            Raster ``change`` (uint8: kind of change, earlier and later class; 0 outside the corridor); features ``corridor``
            and ``banks`` (reach and bank with its built-up, cropland and natural share and their change); tables
            ``occupation`` (by reach, bank and class), ``banks``, ``transition``, ``by_change``, ``compared``.

        Raises
        ------
        InvalidParameter
            Both dates are one layer, or no river comes near the maps.
        LayerEmpty
            No cell of the corridor is valid on both dates.
        """
        check_grid(inputs.grid)
        if parameters.earlier == parameters.later:
            raise InvalidParameter(
                f"前后两期是同一图层 {parameters.later}，请选两个图层",
                f"both dates are layer {parameters.later}; choose two layers",
                parameter="later",
            )
        rules = land_cover_rules(inputs.rules)
        rule = change_rules(inputs.rules).corridor
        distance = parameters.distance_m or rule.width_m
        zone = _corridor(inputs, parameters, distance)
        zones = bank_zones(inputs.frames.get("reaches"), rule.reach_within_m + distance, layer=str(parameters.reaches))
        occupation = Occupation(1 if zones is None else zones.count)
        of_bank = scratch_array(inputs.scratch, "banks", inputs.grid.shape.yx, np.uint16) if zones is not None else None
        found, dm2, corridor_m2 = self._compare(inputs, outputs, rules, zone, progress, zones, occupation, of_bank)
        if found.common_m2 == 0:
            raise LayerEmpty(
                "廊道内没有两期都有效的像元", "no cell of the corridor is valid on both dates", layer=parameters.later
            )
        _write_corridor(outputs, zone, distance)
        summary = occupation.summary(zones, rules)
        if of_bank is not None:
            write_banks(outputs, summary, np.asarray(of_bank), inputs.grid.affine, distance)
        share = found.common_m2 / corridor_m2
        tables: dict[str, Any] = {
            "occupation": occupation.rows(zones, rules),
            "banks": [{k: v for k, v in row.items() if k != "zone"} for row in summary],
            "transition": transition_rows(found, rules),
            "by_change": class_areas(dm2, change_titles(rules)),
            "compared": [
                {
                    "distance_m": distance,
                    "valid_percent": round(100 * share, 4),
                    **areas_in_units(corridor_m2, "corridor"),
                    **areas_in_units(found.common_m2, "common"),
                }
            ],
        }
        factor = Factor(
            "corridor",
            rule.title,
            True,
            Text(
                zh=f"距离 {distance:g} m，可比较 {100 * share:.1f} %",
                en=f"{distance:g} m, {100 * share:.1f} % could be compared",
            ),
            f"{rule.source} [{rule.tag}]",
        )
        by_reach = Factor(
            "reaches",
            Text(zh="河段与岸别", en="Reach and bank"),
            zones is not None,
            Text(zh="左右岸面向下游", en="left and right looking downstream")
            if zones is not None
            else Text(zh="没有河段名录，占用不分河段", en="no register of reaches: occupation is not told by reach"),
            f"{rule.source} [{rule.tag}]",
        )
        note = Text(
            zh="两期分类误差会叠加成虚假变化；面积为像元计数。",
            en="errors of both maps add up to false change; areas are counts of cells.",
        )
        progress(1.0, "完成 done")
        return AnalysisResult((factor, by_reach), tables, (note,))

    def _compare(
        self,
        inputs: Inputs,
        outputs: Outputs,
        rules: LandCoverRules,
        zone: Any,
        progress: Progress,
        zones: BankZones | None,
        occupation: Occupation,
        of_bank: NDArray[np.uint16] | None,
    ) -> tuple[Transitions, NDArray[np.int64], float]:
        """Write the raster; matrix, dm² by kind of change, m² of the corridor."""
        from affine import Affine
        from rasterio.features import rasterize

        codes = tuple(sorted(rules.by_code))
        title = self.title
        out = outputs.raster(
            "change", bands=change_bands(rules), dtype="uint8", nodata=0, title=title, style=change_style(rules)
        )
        cell_m2 = cell_areas(inputs.grid)
        area = np.rint(cell_m2 * DM2).astype(np.int64)
        found = Transitions(codes)
        dm2 = np.zeros(256, dtype=np.int64)
        corridor_dm2 = 0

        def settle(window: Window, given: Arrays) -> None:
            nonlocal corridor_dm2
            row, col, height, width = window
            affine = inputs.grid.affine @ Affine.translation(col, row)
            burnt = rasterize([(zone, 1)], out_shape=(height, width), transform=affine, fill=0, dtype="uint8")
            inside = burnt.astype(bool)
            if not inside.any():
                return
            corridor_dm2 += int((inside.sum(axis=1) * area[row : row + height]).sum())
            before, after, change = (
                np.where(inside, given[k], 0).astype(np.uint8) for k in ("earlier", "later", "change")
            )
            found.add(before, after, cell_m2[row : row + height])
            number = (
                np.zeros(inside.shape, np.uint16) if zones is None else zones.of_cells(affine, (0, 0, 0, 0), inside)
            )
            occupation.add(number, before, after, area[row : row + height])
            if of_bank is not None:
                of_bank[row : row + height, col : col + width] = number
            common = change > 0
            for place, values in enumerate((change, np.where(common, before, 0), np.where(common, after, 0)), start=1):
                out.write(row, col, values.astype(np.uint8), band=place)
            for k in range(height):
                dm2[:] += np.bincount(change[k], minlength=256) * area[row + k]

        run_blocks(
            CompareMaps(inputs.rasters["earlier"], inputs.rasters["later"], rules.kinds, codes),
            block_windows(*inputs.grid.shape.yx, self.block),
            on_result=settle,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=lambda share: progress(0.1 + 0.85 * share, "比较两期 comparing"),
        )
        dm2[0] = 0
        return found, dm2, corridor_dm2 / DM2


def _corridor(inputs: Inputs, parameters: CorridorChangeParameters, distance: float) -> Any:
    """The corridor near the run's grid."""
    import shapely

    frame = inputs.frames["river"]
    box = inputs.grid.extent.boundingbox
    # A degree is at least 78 km at 45° N: enough of the river beside the grid for its corridor to be whole inside.
    margin = distance / 78_000
    near = shapely.box(box.left - margin, box.bottom - margin, box.right + margin, box.top + margin)
    river = shapely.union_all(shapely.intersection(np.asarray(frame.geometry.array), near))
    if river.is_empty:
        raise InvalidParameter(
            f"图层 {parameters.river} 在 {distance:g} m 内没有河流经过地类图范围",
            f"no river of layer {parameters.river} comes within {distance:g} m of the maps",
            parameter="river",
        )
    zone = geodesic_buffer(river, distance)
    return zone if parameters.include_river else shapely.difference(zone, river)


def _write_corridor(outputs: Outputs, zone: Any, distance: float) -> None:
    import geopandas

    from spatial.catalog import Attribute

    frame = geopandas.GeoDataFrame(
        {"distance_m": [float(distance)]}, geometry=geopandas.GeoSeries([zone], crs=4490)
    ).rename_geometry("zone")
    outputs.features(
        "corridor",
        frame,
        fields=(Attribute(name="distance_m", type="number", title=Text(zh="距离", en="Distance"), unit="m"),),
        title=Text(zh="沿江廊道", en="Corridor of the river"),
        style={"type": "single", "fill": "#00000000", "stroke": "#d84315", "width": 1.5},
    )
