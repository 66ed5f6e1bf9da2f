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
from analyses.water.bodies.delineation import ArrayFrequency, find_bodies
from analyses.water.bodies.gauge_levels import body_levels
from analyses.water.bodies.protection import protection_lines
from analyses.water.bodies.rules import WaterBodyRules, water_body_rules
from analyses.water.bodies.survey import watch_bodies
from analyses.water.extent.rules import water_extent_rules
from analyses.water.extent.scene_maps import InspectedScene, MapScenes, ScratchMaps, inspect_scenes
from analyses.water.occurrence.frequency import FrequencyReport, water_frequency
from analyses.water.occurrence.stack import Observation, read_observation
from analyses.water.scene_collection import SCENES
from analyses.water.watch.account import body_rows, factors, inherited, listed_waters, notes, totals
from analyses.water.watch.cards import CARD_FIELDS, CardSources, card_rows, cards_frame, cards_style, listed_areas
from analyses.water.watch.event_features import (
    EVENT_FIELDS,
    SceneNames,
    event_rows,
    events_frame,
    events_style,
    withheld_rows,
)
from analyses.water.watch.parameters import WatchParameters
from analyses.water.watch.result import (
    BODY_FIELDS,
    SERIES_FIELDS,
    bodies_frame,
    bodies_style,
    extent_bands,
    extent_style,
    frequency_bands,
    frequency_style,
    level_area_rows,
    series_frame,
    series_style,
    transition_bands,
    transition_codes,
    transition_style,
)
from spatial.catalog import Text
from spatial.errors import LayerEmpty
from spatial.jobs.contract import AnalysisResult, Inputs, InputSpec, Outputs, Parameters, Progress

if TYPE_CHECKING:
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
        SCENES,
        InputSpec("lakes", "lakes", "vector", Text(zh="湖泊名录", en="Listed lakes"), optional=True),
        InputSpec(
            "levels", "lake-levels", "vector", Text(zh="湖库水位", en="Lake levels"), optional=True, extent="whole"
        ),
        InputSpec(
            "protection",
            "lake-protection-lines",
            "vector",
            Text(zh="湖泊保护线", en="Protection lines of lakes"),
            optional=True,
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
        scenes, lakes, levels, protection = cls.inputs
        found = [replace(scenes, layer=parameters.collection), replace(lakes, layer=parameters.lakes)]
        if parameters.levels is not None:
            found.append(replace(levels, layer=parameters.levels))
        if parameters.protection is not None:
            found.append(replace(protection, layer=parameters.protection))
        if parameters.shore is not None:
            title = Text(zh="岸段", en="Sections of the shore")
            found.append(InputSpec("shore", parameters.shore, "vector", title))
        if parameters.earlier is not None:
            title = Text(zh="上一次的水体图斑", en="Bodies of an earlier run")
            found.append(InputSpec("earlier", parameters.earlier, "vector", title, optional=True))
        return tuple(found)

    def run(self, inputs: Inputs, parameters: WatchParameters, outputs: Outputs, progress: Progress) -> AnalysisResult:
        """Watch the collection.

        Returns
        -------
        AnalysisResult
            Rasters ``extent`` (uint8, a band a day), ``frequency`` (float32), ``transition`` (uint8); features ``bodies``,
            ``series`` (stations), ``events``, ``cards`` (a year of a listed lake); tables ``scenes``, ``bodies``, ``events``,
            ``events_withheld``, ``lineage``, ``level_area``, ``lake_cards``, ``lakes_without_card``, ``levels_left_out``,
            ``totals``.

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
        zones = inputs.frames.get("protection")
        listed = listed_waters(inputs.frames.get("lakes"), zones)
        sources = CardSources(
            protection_lines(zones), inputs.frames.get("levels"), inputs.frames.get("shore"), listed_areas(listed)
        )
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
            listed=listed,
            threads=inputs.threads,
        )
        bodies, links = inherited(bodies, inputs.frames.get("earlier"), rules)
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
        watched, happened = None, None
        cards: list[dict[str, Any]] = []
        no_card: list[dict[str, Any]] = []
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
            ids = SceneNames(
                parameters.collection, [scene.id for scene in used], {day.day: day for day in days}, maps, bodies
            )
            happened = events_frame(watched.event_frame, bodies, ids, zones)
            outputs.features(
                "events",
                happened,
                fields=EVENT_FIELDS,
                title=Text(zh="水体事件", en="Events of water bodies"),
                style=events_style(),
                class_field="kind",
                time_field="time",
            )
            cards, no_card = card_rows(watched.series, bodies, levels.levels, watched.events, rules, sources)
            if cards:
                outputs.features(
                    "cards",
                    cards_frame(cards, bodies),
                    fields=CARD_FIELDS,
                    title=Text(zh="一湖一档年度卡", en="Yearly lake cards"),
                    style=cards_style(),
                    class_field="verdict",
                )
        series_found = () if watched is None else watched.series
        tables: dict[str, Any] = {
            "scenes": [scene.document() for scene in inspected]
            + [
                {"scene": None, "used": False, "codes": ["unreadable"], "reason_zh": zh, "reason_en": en}
                for zh, en in series.refused
            ],
            "bodies": body_rows(bodies, series_found),
            "events": [] if happened is None else event_rows(happened),
            "events_withheld": []
            if watched is None
            else withheld_rows(watched.withheld, dict(zip(bodies.frame["id"], bodies.frame["name"], strict=True)).get),
            "lineage": links,
            "level_area": level_area_rows(series_found, levels.levels),
            "lake_cards": cards,
            "lakes_without_card": no_card,
            "levels_left_out": levels.flagged,
            "totals": totals(inspected, counted.report, bodies, extent_rules, parameters),
        }
        progress(1.0, "完成 done")
        assessed = factors(inputs, len(levels.levels), len(series_found))
        return AnalysisResult(assessed, tables, notes(inspected, counted.report, rules))

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


def _within(parameters: WatchParameters, rules: WaterBodyRules) -> Callable[[datetime], bool]:
    """Whether a time lies within the days asked for, by the calendar of the rules."""
    zone = ZoneInfo(rules.observation.day_zone)
    first, last = parameters.first or date.min, parameters.last or date.max
    return lambda time: first <= time.astimezone(zone).date() <= last
