"""The analysis ``corridor-candidates`` (四乱疑似图斑): what changed on the banks, which ships stay, where nets stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.masks import burn, scratch_array
from analyses.water.extent.rules import WaterExtentRules, water_extent_rules
from analyses.water.extent.scene_maps import InspectedScene, inspect_scenes
from analyses.water.shore.candidate_features import (
    VESSEL_FIELDS,
    Surroundings,
    candidate_fields,
    candidate_style,
    candidates_frame,
    vessel_style,
)
from analyses.water.shore.candidate_looks import ClassifyLooks, JudgeLooks, LookFile, by_day, looks_of
from analyses.water.shore.candidate_parameters import CandidateParameters
from analyses.water.shore.candidate_result import candidate_rows, factors_of, notes_of, totals_row
from analyses.water.shore.candidate_rows import net_rows, patch_rows, vessel_candidates, vessels_frame
from analyses.water.shore.candidate_rules import WATER, CandidateRules, candidate_rules
from analyses.water.shore.disturbance import FIELDS, LevelCounts, Looks
from analyses.water.shore.enclosure_nets import NetPatch, high_pass, net_patches
from analyses.water.shore.patches import find_patches
from analyses.water.shore.radar_looks import RadarSearch, search_radar
from analyses.water.shore.shoreline import shoreline_rules
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.grid import cell_areas
from spatial.jobs.contract import (
    AnalysisResult,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
)

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["CorridorCandidates"]


@dataclass(frozen=True)
class _Seen:
    """What the pass over the scenes found."""

    days: tuple[tuple[InspectedScene, ...], ...]
    looks: Looks
    codes: LookFile
    infrared: LookFile
    levels: NDArray[np.float32]
    group: NDArray[np.uint16]
    ranges: geopandas.GeoDataFrame


class CorridorCandidates:
    """Candidates of the four kinds (四乱), of sand dredgers and of nets inside the management range.

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "corridor-candidates"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="四乱疑似图斑", en="Corridor candidates")
    description: ClassVar[Text] = Text(
        zh="在河湖管理范围内，由前后光学影像在同水位、同季节条件下找出乱占、乱采、乱堆、乱建疑似图斑，由雷达序列找出驻留船只"
        "（疑似采砂船），由水面纹理找出围网；逐个给出桩号、许可、岸线四区与前后影像，供河湖长工作台下发核查。",
        en="Inside the management range: candidates of unlawful occupation, extraction, dumping and building from optical scenes "
        "before and after, at equal level and season; vessels that stay (candidates of sand dredgers) from a radar series; nets "
        "from the texture of lake water. Each with chainage, permit, zone and the two scenes, for the river chief's desk.",
    )
    method: ClassVar[str] = (
        "同水位、同季节的变化向量与前后地表对照；双参数恒虚警与驻留；线状纹理的正交性；docs/methods/shore-candidates.md"
    )
    parameters: ClassVar[type[Parameters]] = CandidateParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("scenes", "corridor-scenes", "scenes", Text(zh="光学影像集", en="Optical scenes")),
        InputSpec(
            "range", "management-range", "vector", Text(zh="河湖管理范围", en="Management range"), extent="whole"
        ),
        InputSpec("radar", "corridor-radar", "scenes", Text(zh="雷达影像集", en="Radar scenes"), optional=True),
        InputSpec("permits", "works-permits", "vector", Text(zh="涉河许可", en="Works permits"), optional=True),
        InputSpec("reaches", "river-reaches", "vector", Text(zh="河段", en="Reaches"), optional=True, extent="whole"),
        InputSpec("zones", "shoreline-zones", "vector", Text(zh="岸线四区", en="Four zones"), optional=True),
    )
    base: ClassVar[str] = "scenes"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {}

    def __init__(self, block: int = 512) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: CandidateParameters) -> tuple[InputSpec, ...]:
        """The collections and layers that the parameters name."""
        chosen = {"scenes": parameters.collection} | {
            role: getattr(parameters, role) for role in ("range", "radar", "permits", "reaches", "zones")
        }
        found = tuple(replace(spec, layer=chosen[spec.role]) for spec in cls.inputs if chosen[spec.role] is not None)
        if parameters.water is None:
            return found
        return (
            *found,
            InputSpec("water", parameters.water, "raster", Text(zh="水体图", en="Water map"), False, "nearest"),
        )

    def run(
        self, inputs: Inputs, parameters: CandidateParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Look for candidates.

        Returns
        -------
        AnalysisResult
            Features ``candidates`` (polygons) and ``vessels`` (stations: one a place and date); tables ``candidates``,
            ``scenes``, ``radar_scenes``, ``totals``.

        Raises
        ------
        InvalidParameter
            The range does not meet the scenes (it says where both lie), or one of the two periods has no look.
        LayerEmpty
            No scene can be used, or no cell of the range was seen often enough on both sides of the date.
        """
        rules, extent = candidate_rules(inputs.rules), water_extent_rules(inputs.rules)
        shore = shoreline_rules(inputs.rules)
        ranges, group = _ranges(inputs, parameters)
        progress(0.0, "检查影像 checking the scenes")
        inspected = inspect_scenes(inputs.scenes["scenes"], inputs.grid.shape.yx, extent)
        used = [scene for scene in inspected if scene.usable]
        if not used:
            reasons = "; ".join(sorted({scene.document()["reason_en"] for scene in inspected}))[:300]
            raise LayerEmpty(
                f"影像集 {parameters.collection} 没有可用的影像（共 {len(inspected)} 景，原因见英文）：{reasons}",
                f"collection {parameters.collection}: none of {len(inspected)} scenes can be used: {reasons}",
                layer=parameters.collection,
            )
        days = by_day(used)
        looks = looks_of(days, _before(days, parameters, rules))
        seen = self._classify(inputs, days, looks, ranges, group, rules, extent, progress)
        found = self._judge(inputs, seen, rules, extent, parameters, progress)
        cell_m2 = np.asarray(cell_areas(inputs.grid), dtype=np.float64)
        shares = _shares(found, group, cell_m2, parameters)
        progress(0.75, "勾绘图斑 drawing patches")
        around = Surroundings(ranges, *(inputs.frames.get(role) for role in ("reaches", "permits", "zones")))
        patches = find_patches(found, looks, cell_m2, inputs.grid.affine, rules)
        water = _lasting_water(inputs, seen)
        rows = patch_rows(patches, found, seen.days, inputs.grid, around, rules, shore, parameters.collection)
        progress(0.80, "雷达序列 radar series")
        radar = self._radar(inputs, water & (group > 0), cell_m2, rules, extent)
        progress(0.92, "围网 nets")
        nets, netted = self._nets(inputs, seen, water, rules)
        rows += vessel_candidates(radar, inputs.grid, around, rules, shore, parameters.radar)
        rows += net_rows(nets, seen.days, inputs.grid, cell_m2, around, rules, shore, parameters.collection)
        fields = candidate_fields(rules, shore)
        frame = candidates_frame(rows, fields)
        outputs.features(
            "candidates", frame, fields=fields, title=self.title, style=candidate_style(),
            time_field="after_date", class_field="kind",
        )  # fmt: skip
        if radar is not None and radar.places:
            outputs.features(
                "vessels", vessels_frame(radar, inputs.grid), fields=VESSEL_FIELDS,
                title=Text(zh="江面船只（雷达）", en="Vessels on the river (radar)"), style=vessel_style(),
                kind="stations", time_field="time", station_field="place", class_field="behaviour",
            )  # fmt: skip
        progress(1.0, "完成 done")
        tables = {
            "candidates": candidate_rows(frame),
            "scenes": [scene.document() for scene in inspected]
            + [{"scene": None, "used": False, "codes": ["unreadable"], "reason_zh": zh, "reason_en": en}
               for zh, en in inputs.scenes["scenes"].refused],
            "radar_scenes": [] if radar is None else list(radar.scenes),
            "totals": [totals_row(frame, seen.days, seen.looks.before, shares, radar, netted, rules, parameters)],
        }  # fmt: skip
        return AnalysisResult(factors_of(inputs, rules, radar, netted), tables, notes_of(shares))

    def _classify(
        self,
        inputs: Inputs,
        days: tuple[tuple[InspectedScene, ...], ...],
        looks: Looks,
        ranges: geopandas.GeoDataFrame,
        group: NDArray[np.uint16],
        rules: CandidateRules,
        extent: WaterExtentRules,
        progress: Progress,
    ) -> _Seen:
        shape = (len(days), *inputs.grid.shape.yx)
        codes = LookFile(str(Path(inputs.scratch) / "codes.dat"), shape, "uint8")
        infrared = LookFile(str(Path(inputs.scratch) / "infrared.dat"), shape, "float16")
        into, light = codes.opened("w+"), infrared.opened("w+")
        counts = LevelCounts(len(ranges), len(days))

        def settle(window: Window, found: Arrays) -> None:
            row, col, height, width = window
            place = (slice(None), slice(row, row + height), slice(col, col + width))
            into[place], light[place] = found["codes"], found["infrared"]
            counts.add(found["codes"], group[place[1:]])

        run_blocks(
            ClassifyLooks(inputs.scenes["scenes"], days, rules, extent),
            self._windows(group),
            on_result=settle,
            threads=inputs.threads,
            progress=lambda share: progress(0.05 + 0.4 * share, "逐景分类 classifying"),
            inline_cells=self.block * self.block,
        )
        into.flush()
        light.flush()
        return _Seen(days, looks, codes, infrared, counts.index(), group, ranges)

    def _windows(self, group: NDArray[np.uint16]) -> list[Window]:
        """Blocks that hold a cell of the range."""
        rows, cols = group.shape
        return [
            window
            for window in block_windows(rows, cols, self.block)
            if group[window[0] : window[0] + window[2], window[1] : window[1] + window[3]].any()
        ]

    def _judge(
        self,
        inputs: Inputs,
        seen: _Seen,
        rules: CandidateRules,
        extent: WaterExtentRules,
        parameters: CandidateParameters,
        progress: Progress,
    ) -> dict[str, Any]:
        shape = seen.group.shape
        found = {name: scratch_array(inputs.scratch, f"found-{name}", shape, dtype) for name, dtype in FIELDS.items()}

        def settle(window: Window, arrays: Mapping[str, Any]) -> None:
            place = (slice(window[0], window[0] + window[2]), slice(window[1], window[1] + window[3]))
            for name in FIELDS:
                found[name][place] = arrays[name]

        def group_of(window: Window) -> Arrays:
            row, col, height, width = window
            return {"group": seen.group[row : row + height, col : col + width]}

        run_blocks(
            JudgeLooks(
                inputs.scenes["scenes"], seen.days, seen.looks, seen.levels, seen.codes, rules, extent,
                parameters.least_change,
            ),
            self._windows(seen.group),
            on_result=settle,
            given=group_of,
            threads=inputs.threads,
            progress=lambda share: progress(0.45 + 0.3 * share, "判别变化 judging changes"),
            inline_cells=self.block * self.block,
        )  # fmt: skip
        return found

    def _radar(
        self, inputs: Inputs, water: NDArray[np.bool_], cell_m2: NDArray[np.float64], rules: CandidateRules,
        extent: WaterExtentRules,
    ) -> RadarSearch | None:  # fmt: skip
        series = inputs.scenes.get("radar")
        return None if series is None else search_radar(series, water, inputs.grid, cell_m2, rules.dredgers, extent)

    def _nets(
        self, inputs: Inputs, seen: _Seen, water: NDArray[np.bool_], rules: CandidateRules
    ) -> tuple[list[NetPatch], bool]:
        """Nets on the lakes of the range, and whether there was a lake to look at."""
        from analyses.water.shore.radar_looks import cell_sides

        lakes = seen.group > 0
        if "kind" in seen.ranges.columns:
            numbers = np.flatnonzero((seen.ranges["kind"] == "lake").to_numpy()) + 1
            lakes = np.isin(seen.group, numbers)
        lake = water & lakes
        rows, cols = np.flatnonzero(lake.any(axis=1)), np.flatnonzero(lake.any(axis=0))
        if rows.size == 0 or len(seen.days) < rules.nets.least_looks:
            return [], False
        place = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        sides = cell_sides(inputs.grid)
        light = seen.infrared.opened()
        deviations = np.stack(
            [
                high_pass(np.asarray(light[k][place], dtype=np.float32), lake[place], sides, rules.nets).astype(
                    np.float16
                )
                for k in range(len(seen.days))
            ]
        )
        found = net_patches(deviations, lake[place], sides, rules.nets)
        return [replace(net, row0=net.row0 + rows[0], col0=net.col0 + cols[0]) for net in found], True


def _ranges(inputs: Inputs, parameters: CandidateParameters) -> tuple[geopandas.GeoDataFrame, NDArray[np.uint16]]:
    """Features of the range that meet the grid, and the number of the one in which each cell's centre lies."""
    import shapely

    whole = inputs.frames["range"]
    box = inputs.grid.extent.boundingbox
    window = shapely.box(box.left, box.bottom, box.right, box.top)
    near = whole[whole.geometry.intersects(window)].reset_index(drop=True)
    group = np.zeros(inputs.grid.shape.yx, dtype=np.uint16)
    if len(near):
        number = np.zeros(group.shape, dtype=np.uint8)
        for first in range(0, len(near), 255):
            number[:] = 0
            part = near.geometry.iloc[first : first + 255]
            burn(number, inputs.grid.affine, np.asarray(part.array), range(1, len(part) + 1))
            group[number > 0] = number[number > 0].astype(np.uint16) + first
    if not group.any():
        bounds = [round(float(v), 4) for v in whole.total_bounds] if len(whole) else None
        here = [round(v, 4) for v in (box.left, box.bottom, box.right, box.top)]
        raise InvalidParameter(
            f"管理范围图层 {parameters.range}（{bounds}）与影像范围 {here} 不相交；请检查图层、范围与经纬度次序",
            f"the management range {parameters.range} ({bounds}) does not meet the scenes {here}; check the layer, the "
            "extent and the axis order",
            parameter="range",
            value=parameters.range,
        )
    return near, group


def _before(
    days: Sequence[tuple[InspectedScene, ...]], parameters: CandidateParameters, rules: CandidateRules
) -> NDArray[np.bool_]:
    """Which looks belong to the period before.

    Raises
    ------
    InvalidParameter
        One of the periods is empty.
    """
    dates = np.array([scenes[0].time.date().toordinal() for scenes in days])
    split = parameters.changed_after
    limit = dates[0] + rules.change.baseline_days + 1 if split is None else split.toordinal()
    before = dates < limit
    if len(days) > 250:
        raise InvalidParameter(
            f"观测日期 {len(days)} 个，至多 250 个，请缩小范围或影像集",
            f"{len(days)} dates, at most 250; choose a smaller collection",
            parameter="collection",
        )
    if before.sum() < rules.change.least_before or before.all():
        first, last = days[0][0].time.date(), days[-1][0].time.date()
        raise InvalidParameter(
            f"分界日 {date.fromordinal(int(limit))} 之前有 {int(before.sum())} 次观测、之后 {int((~before).sum())} 次；"
            f"前期至少 {rules.change.least_before} 次，后期至少 1 次（影像自 {first} 至 {last}）",
            f"{int(before.sum())} looks before {date.fromordinal(int(limit))} and {int((~before).sum())} after; needed are "
            f"{rules.change.least_before} before and 1 after (scenes from {first} to {last})",
            parameter="changed_after",
            value=None if split is None else split.isoformat(),
        )
    return before


def _shares(
    found: Mapping[str, Any], group: NDArray[np.uint16], cell_m2: NDArray[np.float64], parameters: CandidateParameters
) -> dict[str, float]:
    """Area of the range and the share that could be compared.

    Raises
    ------
    LayerEmpty
        No common valid cell.
    """
    inside = group > 0
    judged = inside & (np.asarray(found["judged"]) > 0)
    range_m2 = float((inside.sum(axis=1) * cell_m2).sum())
    judged_m2 = float((judged.sum(axis=1) * cell_m2).sum())
    if judged_m2 == 0:
        raise LayerEmpty(
            "管理范围内没有前后时相都看得清的像元，无法比较",
            "no cell of the range was seen clearly both before and after: nothing can be compared",
            layer=parameters.collection,
        )
    return {"range_m2": range_m2, "judged_m2": judged_m2, "valid_share": judged_m2 / range_m2}


def _lasting_water(inputs: Inputs, seen: _Seen) -> NDArray[np.bool_]:
    """Cells that are water on 95 % of the looks that saw them, three at least; or codes 1 and 2 of the map given."""
    shape = seen.group.shape
    raster = inputs.rasters.get("water")
    if raster is not None:
        codes = raster.read(0, 0, *shape)
        return np.asarray((codes == 1) | (codes == 2))
    codes = seen.codes.opened()
    clear, wet = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    for look in codes:
        clear += look > 0
        wet += look == WATER
    return np.asarray((clear >= 3) & (wet >= 0.95 * clear))
