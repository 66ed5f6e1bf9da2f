"""The analysis ``water-watch``: scenes → water maps → frequency → bodies → series → events (江河湖库水体监测)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.masks import scratch_array
from analyses.water.bodies.delineation import ArrayFrequency, WaterBodies, find_bodies
from analyses.water.bodies.gauge_levels import body_levels
from analyses.water.bodies.rules import WaterBodyRules, water_body_rules
from analyses.water.bodies.series import BodySeries
from analyses.water.bodies.survey import watch_bodies
from analyses.water.extent.dswx import thresholds_used
from analyses.water.extent.rules import water_extent_rules
from analyses.water.extent.scene_maps import InspectedScene, MapScenes, ScratchMaps, inspect_scenes
from analyses.water.occurrence.frequency import FrequencyReport, water_frequency
from analyses.water.occurrence.stack import Observation, read_observation
from analyses.water.watch.parameters import WatchParameters
from analyses.water.watch.result import (
    BODY_FIELDS,
    EVENT_FIELDS,
    SERIES_FIELDS,
    bodies_frame,
    bodies_style,
    event_rows,
    events_frame,
    events_style,
    extent_bands,
    extent_style,
    frequency_bands,
    frequency_style,
    lake_card_rows,
    level_area_rows,
    series_frame,
    series_style,
    transition_bands,
    transition_codes,
    transition_style,
)
from spatial.catalog import Text
from spatial.errors import LayerEmpty
from spatial.jobs.contract import AnalysisResult, Factor, Inputs, InputSpec, Outputs, Parameters, Progress

if TYPE_CHECKING:
    import geopandas

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["WaterWatch"]

MOST_DATES = 120
"""Most dated maps in one result raster."""


@dataclass(frozen=True)
class _Counted:
    """What the pass over the maps left in the scratch folder."""

    report: FrequencyReport
    source: ArrayFrequency
    months: Any


class WaterWatch:
    """Water watch (水体监测) over the scenes of a collection.

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "water-watch"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="江河湖库水体监测", en="Water watch of rivers and lakes")
    description: ClassVar[Text] = Text(
        zh="由一个影像集逐景提取水体（五项投票），统计有水频率与转变，勾绘水体图斑并给出逐日面积序列（缺测补齐、带区间），"
        "在相同水位下比较，给出新增、消失、萎缩与围垦疑点。有问题的影像写明原因并排除。",
        en="Water of every scene of a collection by the vote of five tests, frequency and transitions, water bodies with an area "
        "series (gaps filled, with intervals), and, compared at equal level, events: new, lost, shrunk water and candidates of "
        "reclamation. Scenes with a fault are listed with the reason and left out.",
    )
    method: ClassVar[str] = (
        "OPERA DSWx-HLS 五项投票；JRC Global Surface Water 的频率与十类转变（Pekel et al. 2016）；"
        "DEA Waterbodies 的 10 %/5 % 图斑；docs/methods/water-extent.md、docs/methods/water-bodies.md"
    )
    parameters: ClassVar[type[Parameters]] = WatchParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("scenes", "honghu-scenes", "scenes", Text(zh="影像集", en="Collection of scenes")),
        InputSpec("lakes", "lakes", "vector", Text(zh="湖泊名录", en="Listed lakes"), optional=True),
        InputSpec(
            "levels", "lake-levels", "vector", Text(zh="湖库水位", en="Lake levels"), optional=True, extent="whole"
        ),
    )
    base: ClassVar[str] = "scenes"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    equal_rasters: ClassVar[bool] = True
    rasters: ClassVar[dict[str, Text]] = {
        "extent": Text(zh="逐日水体", en="Water by date"),
        "frequency": Text(zh="有水频率", en="Water frequency"),
        "transition": Text(zh="水体转变", en="Water transition"),
    }

    def __init__(self, block: int = 512) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: WatchParameters) -> tuple[InputSpec, ...]:
        """The collection and layers that the parameters name."""
        scenes, lakes, levels = cls.inputs
        found = [replace(scenes, layer=parameters.collection), replace(lakes, layer=parameters.lakes)]
        return (*found, replace(levels, layer=parameters.levels)) if parameters.levels is not None else tuple(found)

    def run(self, inputs: Inputs, parameters: WatchParameters, outputs: Outputs, progress: Progress) -> AnalysisResult:
        """Watch the collection.

        Returns
        -------
        AnalysisResult
            Rasters ``extent`` (uint8, a band a day), ``frequency`` (float32), ``transition`` (uint8); features ``bodies``,
            ``series`` (stations), ``events``; tables ``scenes``, ``bodies``, ``series``, ``events``, ``totals``.

        Raises
        ------
        LayerEmpty
            No scene can be used, or no cell was ever seen.
        """
        extent_rules = water_extent_rules(inputs.rules)
        rules = water_body_rules(inputs.rules)
        rules = rules.model_copy(
            update={"bodies": rules.bodies.model_copy(update={"least_clear": parameters.least_clear})}
        )
        series = inputs.scenes["scenes"]
        shape = inputs.grid.shape.yx
        progress(0.0, "检查影像 checking the scenes")
        inspected = inspect_scenes(series, shape, extent_rules, _within(parameters, rules))
        used = tuple(scene for scene in inspected if scene.usable)
        if not used:
            reasons = "; ".join(sorted({scene.document()["reason_en"] for scene in inspected}))[:300]
            raise LayerEmpty(
                f"影像集 {parameters.collection} 在该时段没有可用的影像（共 {len(inspected)} 景，原因见英文）：{reasons}",
                f"collection {parameters.collection}: none of {len(inspected)} scenes can be used: {reasons}",
                layer=parameters.collection,
            )
        maps = ScratchMaps(str(Path(inputs.scratch) / "maps.dat"), shape, tuple(scene.time for scene in used))
        self._map(inputs, used, extent_rules, maps, progress)
        counted = self._count(inputs, maps, rules, outputs, progress)
        self._dated(maps, counted.report.observations, parameters, outputs)
        progress(0.72, "勾绘水体图斑 finding water bodies")
        bodies = find_bodies(
            counted.source,
            inputs.grid,
            rules,
            months=lambda row, col, height, width: counted.months[row : row + height, col : col + width],
            listed=_listed(inputs.frames.get("lakes")),
            threads=inputs.threads,
        )
        outputs.features(
            "bodies",
            bodies_frame(bodies),
            fields=BODY_FIELDS,
            title=Text(zh="水体图斑", en="Water bodies"),
            style=bodies_style(),
            class_field="kind",
        )
        progress(0.78, "面积序列 area series")
        large = np.flatnonzero(bodies.frame["area_m2"].to_numpy(float) >= parameters.series_area_ha * 1e4)
        days = counted.report.observations
        levels = body_levels(inputs.frames.get("levels"), bodies, large.tolist(), [day.at for day in days], rules.gauge)
        watched = None
        if large.size:
            watched = watch_bodies(
                maps,
                bodies,
                counted.source,
                rules,
                numbers=large.tolist(),
                gauge_m=levels.levels,
                threads=inputs.threads,
                progress=lambda share: progress(0.78 + 0.2 * share, "面积序列与事件 series and events"),
            )
            outputs.features(
                "series",
                series_frame(watched.series, bodies, levels.levels),
                fields=SERIES_FIELDS,
                title=Text(zh="水面面积序列", en="Area series of water bodies"),
                style=series_style(),
                kind="stations",
                time_field="time",
                station_field="body",
            )
            outputs.features(
                "events",
                events_frame(watched.event_frame, bodies),
                fields=EVENT_FIELDS,
                title=Text(zh="水体事件", en="Events of water bodies"),
                style=events_style(),
                class_field="kind",
                time_field="time",
            )
        series_found = () if watched is None else watched.series
        tables: dict[str, Any] = {
            "scenes": [scene.document() for scene in inspected]
            + [
                {"scene": None, "used": False, "codes": ["unreadable"], "reason_zh": zh, "reason_en": en}
                for zh, en in series.refused
            ],
            "bodies": _body_rows(bodies, series_found),
            "events": [] if watched is None else event_rows(watched.event_frame, bodies),
            "level_area": level_area_rows(series_found, levels.levels),
            "lake_cards": lake_card_rows(series_found, levels.levels, () if watched is None else watched.events, rules),
            "levels_left_out": levels.flagged,
            "totals": self._totals(inspected, counted.report, bodies, extent_rules, parameters),
        }
        progress(1.0, "完成 done")
        factors = self._factors(inputs, len(levels.levels), len(series_found))
        return AnalysisResult(factors, tables, self._notes(inspected, counted.report, rules))

    def _map(
        self,
        inputs: Inputs,
        used: tuple[InspectedScene, ...],
        rules: WaterExtentRules,
        maps: ScratchMaps,
        progress: Progress,
    ) -> None:
        target = maps.opened("w+")

        def settle(window: Window, found: Arrays) -> None:
            row, col, height, width = window
            target[:, row : row + height, col : col + width] = found["codes"]

        run_blocks(
            MapScenes(inputs.scenes["scenes"], used, rules, {}),
            block_windows(*maps.shape, self.block),
            on_result=settle,
            threads=inputs.threads,
            progress=lambda share: progress(0.1 + 0.4 * share, "逐景提取水体 mapping water"),
            inline_cells=self.block * self.block,
        )
        target.flush()

    def _count(
        self, inputs: Inputs, maps: ScratchMaps, rules: WaterBodyRules, outputs: Outputs, progress: Progress
    ) -> _Counted:
        wet = scratch_array(inputs.scratch, "wet", maps.shape, np.uint16)
        clear = scratch_array(inputs.scratch, "clear", maps.shape, np.uint16)
        months = scratch_array(inputs.scratch, "months", maps.shape, np.uint8)
        frequency = outputs.raster(
            "frequency",
            bands=frequency_bands(),
            dtype="float32",
            nodata=float("nan"),
            title=self.rasters["frequency"],
            style=frequency_style(),
        )
        transition = outputs.raster(
            "transition",
            bands=transition_bands(),
            dtype="uint8",
            nodata=255,
            title=self.rasters["transition"],
            style=transition_style(),
        )

        def settle(window: Window, found: Mapping[str, Any]) -> None:
            row, col, height, width = window
            place = (slice(row, row + height), slice(col, col + width))
            wet[place], clear[place] = found["wet"], found["clear"]
            # Months with water of twelve: where only some months were ever seen, their share of them.
            months[place] = np.rint(12.0 * found["seasonality"] / np.maximum(found["months_seen"], 1))
            hollow = found["clear"] == 0
            values = (found["frequency"] * 100, found["wet"], found["clear"], found["recurrence"] * 100)
            for band, value in enumerate(values, start=1):
                out = np.asarray(value, dtype=np.float32)
                frequency.write(row, col, np.where(hollow, np.float32(np.nan), out), band=band)
            transition.write(row, col, transition_codes(found["transition"], found["clear"]), band=1)
            for band, name in ((2, "seasonality"), (3, "months_seen")):
                transition.write(row, col, np.where(hollow, np.uint8(255), found[name]), band=band)

        report = water_frequency(
            maps,
            rules,
            settle,
            block=self.block,
            threads=inputs.threads,
            progress=lambda share: progress(0.5 + 0.15 * share, "频率与转变 frequency and transitions"),
        )
        return _Counted(report, ArrayFrequency(wet, clear), months)

    def _dated(
        self, maps: ScratchMaps, days: Sequence[Observation], parameters: WatchParameters, outputs: Outputs
    ) -> None:
        if parameters.dated_maps == "none":
            return
        kept = list(days)[-MOST_DATES:] if parameters.dated_maps == "all" else [days[-1]]
        bands = extent_bands(kept)
        raster = outputs.raster(
            "extent",
            bands=bands,
            dtype="uint8",
            nodata=255,
            title=self.rasters["extent"],
            style=extent_style(bands),
        )
        for window in block_windows(*maps.shape, self.block):
            for number, day in enumerate(kept, start=1):
                codes, _ = read_observation(maps, day, *window)
                raster.write(window[0], window[1], codes, band=number)

    def _totals(
        self,
        inspected: Sequence[InspectedScene],
        report: FrequencyReport,
        bodies: WaterBodies,
        rules: WaterExtentRules,
        parameters: WatchParameters,
    ) -> list[dict[str, Any]]:
        days = report.observations
        kinds = bodies.frame.groupby("kind")["area_m2"].agg(["count", "sum"]) if len(bodies.frame) else None
        return [
            {
                "collection": parameters.collection,
                "scenes": len(inspected),
                "scenes_used": sum(scene.usable for scene in inspected),
                "observations": len(days),
                "days_merged": len(report.merged),
                "first": days[0].day.isoformat(),
                "last": days[-1].day.isoformat(),
                "clear_share": round(report.clear_share, 4),
                "bodies": len(bodies.frame),
                **{
                    f"{kind}_{name}": (int(row["count"]) if name == "count" else round(float(row["sum"]) / 1e6, 4))
                    for kind, row in (() if kinds is None else kinds.iterrows())
                    for name in ("count", "km2")
                },
                "thresholds": thresholds_used(rules, {}),
            }
        ]

    def _factors(self, inputs: Inputs, measured: int, bodies: int) -> tuple[Factor, ...]:
        return (
            Factor(
                "extent",
                Text(zh="水体范围", en="Water extent"),
                True,
                Text(zh="五项投票，三项及以上为水", en="vote of five tests, three or more are water"),
                "OPERA DSWx-HLS",
            ),
            Factor(
                "level",
                Text(zh="水位", en="Water level"),
                measured > 0,
                Text(
                    zh=f"{bodies} 个水体中 {measured} 个有水位资料，其余用水位指数",
                    en=f"{measured} of {bodies} bodies have gauge levels, the others use the level index",
                ),
                "lake-levels" if "levels" in inputs.frames else "—",
            ),
        )

    def _notes(
        self, inspected: Sequence[InspectedScene], report: FrequencyReport, rules: WaterBodyRules
    ) -> tuple[Text, ...]:
        left = [scene for scene in inspected if not scene.usable]
        found = [
            Text(
                zh=f"{len(inspected)} 景中使用 {len(inspected) - len(left)} 景，有效像元份额 {report.clear_share:.1%}",
                en=f"{len(inspected) - len(left)} of {len(inspected)} scenes used, {report.clear_share:.1%} of cell-days seen",
            )
        ]
        if left:
            found.append(
                Text(
                    zh="排除的影像：" + "；".join(f"{s.id}（{s.document()['reason_zh']}）" for s in left[:10]),
                    en="scenes left out: " + "; ".join(f"{s.id} ({s.document()['reason_en']})" for s in left[:10]),
                )
            )
        if report.merged:
            found.append(
                Text(
                    zh=f"{len(report.merged)} 天有多景，已合并（有效优先）",
                    en=f"{len(report.merged)} days have several scenes, merged (clear beats masked)",
                )
            )
        found.append(
            Text(
                zh=f"图斑阈值：范围 {rules.bodies.extent_share:.0%}、定位 {rules.bodies.location_share:.0%}，"
                f"最小 {rules.bodies.least_area_m2:g} m²，平均有效次数不少于 {rules.bodies.least_clear:g}",
                en=f"bodies: extent {rules.bodies.extent_share:.0%}, location {rules.bodies.location_share:.0%}, at least "
                f"{rules.bodies.least_area_m2:g} m² and {rules.bodies.least_clear:g} clear observations on average",
            )
        )
        return tuple(found)


def _within(parameters: WatchParameters, rules: WaterBodyRules) -> Callable[[datetime], bool]:
    """Whether a time lies within the days asked for, by the calendar of the rules."""
    zone = ZoneInfo(rules.observation.day_zone)
    first, last = parameters.first or date.min, parameters.last or date.max
    return lambda time: first <= time.astimezone(zone).date() <= last


def _listed(lakes: geopandas.GeoDataFrame | None) -> geopandas.GeoDataFrame | None:
    """Named lakes with the columns that `find_bodies` asks for."""
    if lakes is None or lakes.empty or "name" not in lakes.columns:
        return None
    named = lakes[lakes["name"].notna()]
    if named.empty:
        return None
    return named[["name", named.geometry.name]].assign(id=[str(i) for i in named.index], name=named["name"].astype(str))


def _body_rows(bodies: WaterBodies, series: Sequence[BodySeries]) -> list[dict[str, Any]]:
    """One row a body with a series: first, last, least and largest area."""
    rows = []
    for one in series:
        row = bodies.frame.iloc[one.number]
        area = one.frame["area_m2"].to_numpy(float) / 1e6
        flags = one.frame["flag"].value_counts().to_dict()
        rows.append(
            {
                "body": one.id,
                "name": one.name,
                "kind": row["kind"],
                "extent_km2": round(float(row["area_m2"]) / 1e6, 4),
                "first_km2": _round(area[0]),
                "last_km2": _round(area[-1]),
                "least_km2": _round(np.nanmin(area)) if np.isfinite(area).any() else None,
                "largest_km2": _round(np.nanmax(area)) if np.isfinite(area).any() else None,
                **{f"dates_{flag}": int(flags.get(flag, 0)) for flag in ("observed", "filled", "prior", "none")},
            }
        )
    return rows


def _round(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
