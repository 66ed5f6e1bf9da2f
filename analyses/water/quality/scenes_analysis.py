"""The analysis ``water-quality-scenes``: a collection → NDCI, FAI, bloom of each date, and their series at lakes and stations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.landcover.result import check_grid
from analyses.masks import scratch_array
from analyses.water.extent.rules import water_extent_rules
from analyses.water.quality.block import Block, Formula, choose
from analyses.water.quality.bloom import macrophytes
from analyses.water.quality.masks import REASONS, Reason
from analyses.water.quality.optical_quality import ALGORITHMS, REFLECTANCES
from analyses.water.quality.rules import bloom_rules, optical_rules
from analyses.water.quality.scene_source import OpticalScene, inspect_optical, local_day
from analyses.water.quality.scenes_maps import DatedMaps
from analyses.water.quality.scenes_output import (
    bloom_alert_rows,
    write_alerts,
    write_lake_series,
    write_station_series,
)
from analyses.water.quality.scenes_parameters import WaterQualityScenesParameters
from analyses.water.quality.scenes_series import cells_of, lake_rows, listed_lakes, station_rows, stations_in_lakes
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.grid import cell_areas
from spatial.jobs.contract import AnalysisResult, Factor, Inputs, InputSpec, Outputs, Parameters, Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    import geopandas
    from numpy.typing import NDArray

    from analyses.water.quality.rules import BloomRules, OpticalRules

__all__ = ["WaterQualityScenes"]


@dataclass(frozen=True)
class _Plants:
    """Macrophytes found over all dates, read as a raster is."""

    values: NDArray[np.uint8]
    layer_id: str = "macrophytes"
    bands: tuple[str, ...] = ("plants",)

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> NDArray[np.float32]:
        """1 = plants; beyond the grid NaN."""
        rows, cols = self.values.shape
        out = np.full((height, width), np.nan, dtype=np.float32)
        top, left, bottom, right = max(row, 0), max(col, 0), min(row + height, rows), min(col + width, cols)
        if top < bottom and left < right:
            out[top - row : bottom - row, left - col : right - col] = self.values[top:bottom, left:right]
        return out


class WaterQualityScenes:
    """Water quality over a collection of scenes (水质遥感序列).

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "water-quality-scenes"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="水质遥感序列", en="Water quality from scenes")
    description: ClassVar[Text] = Text(
        zh="由一个影像集逐期计算 NDCI、FAI、AFAI、相对等级与水华，给出各湖（水体）与测站的序列：中位数、四分位、可见比例、"
        "像元数、水华比例与分级、标记；水华超过规则值并经两次观测确认即预警。影像声明的反射率决定可用的公式，其余按名列出原因；"
        "有问题的影像写明原因并排除。",
        en="NDCI, FAI, AFAI, relative level and bloom of each date of a collection, and series of lakes (bodies) and stations: "
        "median, quartiles, clear share, cells, bloom share and grade, flags; a bloom beyond the rule's share is an alert once "
        "two observations confirm it. The declared reflectance decides which formula may run, the others are named with the "
        "reason; scenes with a fault are listed and left out.",
    )
    method: ClassVar[str] = "Mishra & Mishra 2012；Hu 2009；Wang & Hu 2016；HJ 1098-2020；docs/methods/water-quality.md"
    parameters: ClassVar[type[Parameters]] = WaterQualityScenesParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("scenes", "honghu-optical-scenes", "scenes", Text(zh="影像集", en="Collection of scenes")),
        InputSpec("lakes", "lakes", "vector", Text(zh="湖泊", en="Lakes")),
        InputSpec("stations", "water-quality-sections", "vector", Text(zh="测站", en="Stations"), optional=True),
    )
    base: ClassVar[str] = "scenes"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    equal_rasters: ClassVar[bool] = True
    rasters: ClassVar[dict[str, Text]] = {
        "level": Text(zh="逐期水质相对等级与水华", en="Relative level and bloom by date"),
        "index": Text(zh="逐期水质遥感指数", en="Index of water quality by date"),
    }

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: WaterQualityScenesParameters) -> tuple[InputSpec, ...]:
        """The collection and layers that the parameters name."""
        scenes, lakes, stations = cls.inputs
        found = (replace(scenes, layer=parameters.collection), replace(lakes, layer=parameters.lakes))
        return found if parameters.stations is None else (*found, replace(stations, layer=parameters.stations))

    def run(
        self, inputs: Inputs, parameters: WaterQualityScenesParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Judge every date.

        Returns
        -------
        AnalysisResult
            Rasters ``level`` (uint8, a band a date: 0 not assessed, 1–6 relative level of NDCI, 7 bloom) and ``index`` (float32:
            NDCI, or FAI where no scene gives NDCI); features ``series`` (lakes) and ``stations``, both one observation a
            feature, and ``alerts``; tables ``scenes``, ``series``, ``stations``, ``alerts``, ``reasons``, ``refused``.

        Raises
        ------
        InvalidParameter
            An estimate that no scene can feed: named, with the reason.
        LayerEmpty
            No scene can be used, no lake in the window, or no cell of water was judged.
        """
        check_grid(inputs.grid)
        rules, bloom = optical_rules(inputs.rules), bloom_rules(inputs.rules)
        shape = inputs.grid.shape.yx
        progress(0.0, "检查影像 checking the scenes")
        inspected = inspect_optical(
            inputs.scenes["scenes"],
            shape,
            rules,
            water_extent_rules(inputs.rules),
            accept_surface=parameters.accept_surface_reflectance,
            accept_unmasked=parameters.accept_unmasked,
            wanted=_within(parameters),
        )
        used = [scene for scene in inspected if scene.usable]
        if not used:
            reasons = "; ".join(sorted({scene.document()["reason_en"] for scene in inspected}))[:600]
            raise LayerEmpty(
                f"影像集 {parameters.collection} 在该时段没有可用的影像（共 {len(inspected)} 景，原因见英文）：{reasons}",
                f"collection {parameters.collection}: none of {len(inspected)} scenes can be used: {reasons}",
                layer=parameters.collection,
            )
        formulas, refused = _formulas(used, parameters, rules)
        lakes = listed_lakes(inputs, parameters)
        work = [
            _block(scene, found, parameters, inputs, lakes, rules, bloom)
            for scene, found in zip(used, formulas, strict=True)
        ]
        progress(0.1, "区分水草 telling plants from bloom")
        plants = self._plants(inputs, work, bloom)
        if plants is not None:
            work = [replace(one, plants=plants) for one in work]
        stations = stations_in_lakes(inputs, parameters, lakes)
        main = "ndci" if any("ndci" in found for found in formulas) else "fai"
        maps = DatedMaps(inputs.scratch, shape, used, parameters.maps, main)
        rows: list[dict[str, Any]] = []
        at_stations: list[dict[str, Any]] = []
        tally = np.zeros(len(Reason) + 1, dtype=np.int64)
        for place, (scene, one) in enumerate(zip(used, work, strict=True)):
            told = f"逐期计算 {local_day(scene.time)}"
            progress(0.15 + 0.8 * place / len(used), told)
            found = self._date(scene, one, shape, maps, tally, inputs.threads)
            rows += lake_rows(scene, one, found, lakes, rules, bloom)
            at_stations += station_rows(scene, one, stations, shape, rules)
        if not tally[Reason.JUDGED]:
            text = "、".join(f"{REASONS[r].zh} {tally[r]}" for r in Reason if tally[r])
            said = ", ".join(f"{REASONS[r].en} {tally[r]}" for r in Reason if tally[r])
            raise LayerEmpty(
                f"没有可评价的水面像元：{text}",
                f"no cell of water could be judged: {said}",
                layer=parameters.collection,
            )
        progress(0.96, "写出序列 writing the series")
        maps.publish(outputs, self.rasters, rules, self.block)
        alerts = bloom_alert_rows(rows, inputs.rules, parameters.collection)
        write_lake_series(outputs, rows, lakes, parameters, bloom)
        write_station_series(outputs, at_stations, stations, parameters)
        write_alerts(outputs, alerts, lakes)
        tables: dict[str, Any] = {
            "scenes": [scene.document() for scene in inspected]
            + [
                {"scene": None, "used": False, "codes": ["unreadable"], "reason_zh": zh, "reason_en": en}
                for zh, en in inputs.scenes["scenes"].refused
            ],
            "series": [_shown(row) for row in rows],
            "stations": [_shown(row) for row in at_stations],
            "alerts": [_shown(row) for row in alerts],
            "reasons": [
                {
                    "reason": int(r),
                    "title_zh": REASONS[r].zh,
                    "title_en": REASONS[r].en,
                    "cells": int(tally[r]),
                    "percent": round(100 * int(tally[r]) / int(tally.sum()), 4),
                }
                for r in Reason
                if tally[r]
            ],
            "refused": [
                {
                    "formula": k,
                    "title_zh": ALGORITHMS[k].title.zh,
                    "title_en": ALGORITHMS[k].title.en,
                    "zh": v.zh,
                    "en": v.en,
                }
                for k, v in refused.items()
            ],
        }
        progress(1.0, "完成 done")
        factors = _factors(formulas, refused, rules, bloom, plants is not None)
        return AnalysisResult(factors, tables, _notes(inspected, used, plants is not None))

    def _plants(self, inputs: Inputs, work: Sequence[Block], bloom: BloomRules) -> _Plants | None:
        """Where FAI and NDVI are high on most dates: plants, which are no bloom; None where too few dates can tell."""
        able = [one for one in work if "fai" in one.formulas and _rayleigh_red(one) is not None]
        if len(able) < bloom.macrophytes.least_dates:
            return None
        values = scratch_array(inputs.scratch, "plants", inputs.grid.shape.yx, np.uint8)

        def settle(window: Window, found: Arrays) -> None:
            row, col, height, width = window
            values[row : row + height, col : col + width] = found["plants"]

        run_blocks(
            _FindPlants(tuple(able), bloom),
            block_windows(*inputs.grid.shape.yx, self.block),
            on_result=settle,
            threads=inputs.threads,
            inline_cells=self.block * self.block,
        )
        return _Plants(np.asarray(values))

    def _date(
        self,
        scene: OpticalScene,
        work: Block,
        shape: tuple[int, int],
        maps: DatedMaps,
        tally: NDArray[np.int64],
        threads: int,
    ) -> dict[int, dict[str, Any]]:
        """One date: maps written, values of each lake gathered."""
        gathered: dict[int, dict[str, Any]] = {}
        names = (*(k for k in work.formulas if ALGORITHMS[k].is_index), *work.estimates)

        def settle(window: Window, found: Arrays) -> None:
            maps.take(scene, window, found)
            tally[:] += found["reasons"]
            judged = found["reason"] == Reason.JUDGED
            for k, number in enumerate(found["lakes"].tolist()):
                kept = gathered.setdefault(number, {"sums": np.zeros(3), "cells": 0, "values": {n: [] for n in names}})
                kept["sums"] += found["sums"][:, k]
                kept["cells"] += int(found["cells"][k])
                here = judged & (found["lake_of"] == number)
                for name in names:
                    kept["values"][name].append(found[name][here & cells_of(name, found)])

        run_blocks(
            work,
            block_windows(*shape, self.block),
            on_result=settle,
            threads=threads,
            inline_cells=self.block * self.block,
        )
        return gathered


@dataclass(frozen=True)
class _FindPlants:
    """Work of a block: macrophytes over all dates, uint8."""

    dates: tuple[Block, ...]
    bloom: BloomRules

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """See `analyses.blocks.run_blocks`."""
        fai, ndvi = [], []
        for one in self.dates:
            source = one.formulas["fai"].source
            bands = source.spectrum(window, ("red", _nir_of(one)), source.kind).bands
            red, nir = bands["red"].astype(np.float64), bands[_nir_of(one)].astype(np.float64)
            with np.errstate(invalid="ignore", divide="ignore"):
                green = (nir - red) / (nir + red)
            codes = one.codes(window)
            hidden = np.zeros(red.shape, bool) if codes is None else codes >= 250
            fai.append(np.where(hidden, np.nan, one.compute("fai", window).values))
            ndvi.append(np.where(hidden, np.nan, green))
        found = macrophytes(np.stack(fai), np.stack(ndvi), self.bloom)
        shape = fai[0].shape
        return {"plants": np.zeros(shape, np.uint8) if found is None else found.astype(np.uint8)}


def _nir_of(work: Block) -> str:
    return work.formulas["fai"].bands[1]


def _rayleigh_red(work: Block) -> str | None:
    source = work.formulas["fai"].source
    return "red" if "red" in source.raster.bands and _nir_of(work) in source.raster.bands else None


def _within(parameters: WaterQualityScenesParameters) -> Callable[[datetime], bool]:
    def wanted(time: datetime) -> bool:
        day = date.fromisoformat(local_day(time))
        return (parameters.first is None or day >= parameters.first) and (
            parameters.last is None or day <= parameters.last
        )

    return wanted


def _formulas(
    used: Sequence[OpticalScene], parameters: WaterQualityScenesParameters, rules: OpticalRules
) -> tuple[list[dict[str, Formula]], dict[str, Text]]:
    """Formulas of each scene; those that no scene can feed, with the reason of the first."""
    wanted = (*(a.id for a in ALGORITHMS.values() if a.is_index), *parameters.estimates)
    found: list[dict[str, Formula]] = []
    why: dict[str, Text] = {}
    for scene in used:
        mine: dict[str, Formula] = {}
        for id in wanted:
            # A stand-in may feed an index, which is stamped; a quantity with a unit never.
            given = (*scene.sources, *scene.stand_ins) if ALGORITHMS[id].is_index else scene.sources
            chosen = choose(id, given, rules)
            if isinstance(chosen, Formula):
                mine[id] = chosen
            else:
                why.setdefault(id, chosen)
        found.append(mine)
    refused = {id: why[id] for id in wanted if not any(id in mine for mine in found)}
    for id in parameters.estimates:
        if id in refused:
            raise InvalidParameter(
                f"不能计算 {ALGORITHMS[id].title.zh}：{refused[id].zh}",
                f"{ALGORITHMS[id].title.en} cannot be computed: {refused[id].en}",
                parameter="estimates",
                value=id,
            )
    return found, refused


def _block(
    scene: OpticalScene,
    formulas: dict[str, Formula],
    parameters: WaterQualityScenesParameters,
    inputs: Inputs,
    lakes: geopandas.GeoDataFrame,
    rules: OpticalRules,
    bloom: BloomRules,
) -> Block:
    return Block(
        formulas,
        tuple(id for id in parameters.estimates if id in formulas),
        scene.water,
        None,
        rules,
        bloom,
        inputs.grid.affine,
        cell_areas(inputs.grid),
        tuple(lakes.geometry.to_wkb()),
        lakes.bounds.to_numpy(dtype=np.float64).reshape(-1, 4),
        None,
    )


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        k: v.isoformat().replace("+00:00", "Z") if isinstance(v, datetime) else v
        for k, v in row.items()
        if k != "place"
    }


def _factors(
    formulas: Sequence[Mapping[str, Formula]],
    refused: Mapping[str, Text],
    rules: OpticalRules,
    bloom: BloomRules,
    plants: bool,
) -> tuple[Factor, ...]:
    found = []
    asked = {id: None for mine in formulas for id in mine} | dict.fromkeys(refused)
    for id in asked:
        rule = ALGORITHMS[id].rule(rules)
        source = f"{rule.source} [{rule.tag}]"
        if id in refused:
            found.append(Factor(id, ALGORITHMS[id].title, False, refused[id], source))
            continue
        able = [mine[id] for mine in formulas if id in mine]
        stamped = any(formula.source.role == "surface" for formula in able)
        kind = REFLECTANCES["rho_s" if stamped else able[0].kind]
        note = Text(
            zh=f"{len(able)} 期：{kind.zh}" + ("；地表反射率的指数，不是离水反射率的" if stamped else ""),
            en=f"{len(able)} dates: {kind.en}" + ("; index of surface reflectance, not ρw" if stamped else ""),
        )
        found.append(Factor(id, ALGORITHMS[id].title, True, note, source))
    has = any("fai" in mine for mine in formulas)
    found += [
        Factor(
            "bloom",
            bloom.grades.title,
            has,
            Text(zh="FAI 阈值法", en="threshold of FAI") if has else refused["fai"],
            f"{bloom.grades.source} [{bloom.grades.tag}]",
        ),
        Factor(
            "macrophytes",
            bloom.macrophytes.title,
            plants,
            Text(zh="由多期影像判别", en="told by many dates")
            if plants
            else Text(zh="日期不足，水华可能含水草", en="too few dates: bloom may hold plants"),
            f"{bloom.macrophytes.source} [{bloom.macrophytes.tag}]",
        ),
        Factor(
            "concentration",
            Text(zh="叶绿素 a 浓度", en="Concentration of chlorophyll a"),
            False,
            Text(
                zh=f"只给指数与等级；浓度须有至少 {rules.calibration.least_matchups} 组星地匹配（见 water-quality）",
                en=f"index and level only; a concentration takes at least {rules.calibration.least_matchups} matchups "
                "(see water-quality)",
            ),
            f"{rules.calibration.source} [{rules.calibration.tag}]",
        ),
    ]
    return tuple(found)


def _notes(inspected: Sequence[OpticalScene], used: Sequence[OpticalScene], plants: bool) -> tuple[Text, ...]:
    notes = [
        Text(
            zh=f"{len(inspected)} 景中采用 {len(used)} 景，其余原因见表 scenes",
            en=f"{len(used)} of {len(inspected)} scenes were used; table scenes says why not the others",
        ),
        Text(
            zh="等级只表示相对高低，不是浓度；标记（flags）的点慎用，可见比例不足的不给等级。",
            en="levels say high or low, no concentration; take flagged points with care; with too little seen there is no "
            "level.",
        ),
    ]
    if any(scene.stand_ins for scene in used):
        notes.insert(
            0,
            Text(
                zh="指数由地表反射率计算，不是离水反射率的指数；未计算任何估计量。",
                en="index of surface reflectance, not ρw; no estimate was computed from it.",
            ),
        )
    if not plants:
        notes.append(
            Text(
                zh="日期不足以区分水草，水华面积可能包含水草。",
                en="too few dates to tell plants: the area of bloom may hold them.",
            )
        )
    return tuple(notes)
