"""The analysis ``water-quality``: one scene → NDCI, FAI, relative levels, bloom share and grade of each lake."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.landcover.result import check_grid
from analyses.water.quality.block import BINS, Block, Formula, Source, choose, require_sources
from analyses.water.quality.bloom import BloomShare, share_of
from analyses.water.quality.calibration import Calibration, calibrate
from analyses.water.quality.masks import REASONS, Reason
from analyses.water.quality.optical_quality import ALGORITHMS, REFLECTANCES
from analyses.water.quality.output import lake_rows, open_rasters, write_lakes
from analyses.water.quality.parameters import WaterQualityParameters
from analyses.water.quality.rules import bloom_rules, optical_rules
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
)

if TYPE_CHECKING:
    from analyses.water.quality.rules import BloomRules, OpticalRules

__all__ = ["WaterQuality"]


class WaterQuality:
    """Water quality from a scene (水质遥感).

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "water-quality"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="水质遥感", en="Water quality from orbit")
    description: ClassVar[Text] = Text(
        zh="由一景影像计算 NDCI、FAI、AFAI 与相对等级，以及各湖水华面积比例和分级；每个公式声明所需反射率，不符即不评价。"
        "浓度只在有至少 30 组星地匹配且分组交叉验证通过时给出。",
        en="NDCI, FAI, AFAI and relative levels of one scene, share and grade of bloom of each lake; each formula states the "
        "reflectance that it needs, any other is not assessed. A concentration is given only with at least 30 matchups whose "
        "grouped cross-validation passes.",
    )
    method: ClassVar[str] = "Mishra & Mishra 2012；Hu 2009；Wang & Hu 2016；HJ 1098-2020；docs/methods/water-quality.md"
    parameters: ClassVar[type[Parameters]] = WaterQualityParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("scene", "lake-water-reflectance", "raster", Text(zh="影像", en="Scene")),
        InputSpec("lakes", "lakes", "vector", Text(zh="湖泊", en="Lakes")),
    )
    base: ClassVar[str] = "scene"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "water")
    rasters: ClassVar[dict[str, Text]] = {
        "level": Text(zh="水质相对等级与水华", en="Relative level of water quality, and bloom"),
        "index": Text(zh="水质遥感指数", en="Indices of water quality"),
        "estimates": Text(zh="水质估计（未率定）", en="Estimates of water quality (uncalibrated)"),
        "concentration": Text(zh="叶绿素 a（本地率定）", en="Chlorophyll a (calibrated locally)"),
    }

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: WaterQualityParameters) -> tuple[InputSpec, ...]:
        """The layers that the parameters name."""
        scene, lakes = cls.inputs
        found = [replace(scene, layer=parameters.scene), replace(lakes, layer=parameters.lakes)]
        for role, layer, title in (
            ("scene_2", parameters.scene_2, Text(zh="另一种反射率", en="Other reflectance")),
            ("water", parameters.water_map, Text(zh="水体图", en="Water map")),
            ("plants", parameters.macrophytes, Text(zh="水草", en="Macrophytes")),
        ):
            if layer is not None:
                found.append(InputSpec(role, layer, "raster", title))
        if parameters.matchups is not None:
            title = Text(zh="星地匹配", en="Matchups")
            found.append(InputSpec("matchups", parameters.matchups, "vector", title, extent="whole"))
        return tuple(found)

    def run(
        self, inputs: Inputs, parameters: WaterQualityParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Judge every cell of water on the run's grid.

        Returns
        -------
        AnalysisResult
            Rasters ``level`` (uint8: level 0–6, reason 1–11, bloom 0–2), ``index`` (float32, one band an index),
            ``estimates`` and ``concentration`` where asked for; features ``lakes``, and ``series`` where the time is given;
            tables ``lakes``, ``reasons``, ``calibration``.

        Raises
        ------
        InvalidParameter
            No cloud mask and not declared clear, a second scene without its kind, no formula that the scene can feed.
        QualityViolation
            Values that are no reflectance, or a calibration that fails.
        LayerEmpty
            No cell of water was seen.
        """
        check_grid(inputs.grid)
        require_sources(parameters.scene, parameters.scene_2, parameters.reflectance_2)
        rules, bloom = optical_rules(inputs.rules), bloom_rules(inputs.rules)
        if parameters.water_map is None and parameters.clouds != "declared_clear":
            raise InvalidParameter(
                "没有云掩膜：请给出 water_map（含云与云影编码的水体图），或声明 clouds=declared_clear",
                "no cloud mask: give water_map (a water map with its codes of cloud and shadow) or declare clouds=declared_clear",
                parameter="water_map",
            )
        sources = self._sources(inputs, parameters)
        formulas, refused = self._formulas(sources, parameters, rules)
        calibration = self._calibration(inputs, parameters, rules, formulas)
        progress(0.05, "计算指数 computing indices")
        lakes = inputs.frames["lakes"]
        lakes = lakes[lakes.geometry.geom_type.isin(["Polygon", "MultiPolygon"])].reset_index(drop=True)
        work = Block(
            formulas,
            parameters.estimates,
            inputs.rasters.get("water"),
            inputs.rasters.get("plants"),
            rules,
            bloom,
            inputs.grid.affine,
            cell_areas(inputs.grid),
            tuple(lakes.geometry.to_wkb()),
            lakes.bounds.to_numpy(dtype=np.float64).reshape(-1, 4),
            calibration,
        )
        tally = self._write(work, inputs, outputs, rules, calibration, progress)
        progress(0.95, "统计 statistics")
        judged = int(tally.reasons[Reason.JUDGED])
        if judged == 0:
            raise LayerEmpty(
                "没有可评价的水面像元："
                + "、".join(f"{REASONS[r].zh} {tally.reasons[r]}" for r in Reason if tally.reasons[r]),
                "no cell of water could be judged: "
                + ", ".join(f"{REASONS[r].en} {tally.reasons[r]}" for r in Reason if tally.reasons[r]),
                layer=parameters.scene,
            )
        names = lakes[parameters.name_field].tolist() if parameters.name_field in lakes.columns else [None] * len(lakes)
        rows = lake_rows(tally.shares(bloom), tally.medians(), names, rules, has_bloom="fai" in formulas)
        write_lakes(outputs, rows, lakes, parameters.time, bloom)
        total = int(tally.reasons.sum())
        tables: dict[str, Any] = {
            "lakes": [{k: v for k, v in row.items() if k != "place"} for row in rows],
            "reasons": [
                {
                    "reason": int(r),
                    "title_zh": REASONS[r].zh,
                    "title_en": REASONS[r].en,
                    "cells": int(tally.reasons[r]),
                    "percent": round(100 * int(tally.reasons[r]) / total, 4),
                }
                for r in Reason
                if tally.reasons[r]
            ],
        }
        if calibration is not None:
            tables["calibration"] = [
                {"test": "held out groups", **calibration.held_out.as_dict(), "groups": calibration.groups},
                {"test": "constant", **calibration.constant.as_dict(), "groups": calibration.groups},
            ]
        factors = _factors(parameters, rules, bloom, formulas, refused, calibration)
        progress(1.0, "完成 done")
        return AnalysisResult(factors, tables, _notes(parameters, formulas, judged, total))

    def _sources(self, inputs: Inputs, parameters: WaterQualityParameters) -> tuple[Source, ...]:
        p = parameters
        found = [Source("scene", inputs.rasters["scene"], p.reflectance, p.sensor, p.sun_zenith_deg)]
        if p.reflectance_2 is not None:
            found.append(Source("scene_2", inputs.rasters["scene_2"], p.reflectance_2, p.sensor, p.sun_zenith_deg))
        return tuple(found)

    def _formulas(
        self, sources: tuple[Source, ...], parameters: WaterQualityParameters, rules: OpticalRules
    ) -> tuple[dict[str, Formula], dict[str, Text]]:
        """Formulas that can be fed, and why the others cannot; an estimate that was asked for must be possible."""
        formulas: dict[str, Formula] = {}
        refused: dict[str, Text] = {}
        for id in (*(a.id for a in ALGORITHMS.values() if a.is_index), *parameters.estimates):
            found = choose(id, sources, rules)
            if isinstance(found, Formula):
                formulas[id] = found
            elif id in parameters.estimates:
                raise InvalidParameter(
                    f"不能计算 {ALGORITHMS[id].title.zh}：{found.zh}",
                    f"{ALGORITHMS[id].title.en} cannot be computed: {found.en}",
                    parameter="estimates",
                    value=id,
                )
            else:
                refused[id] = found
        if not formulas:
            raise InvalidParameter(
                "没有一个公式可用：" + "；".join(f"{ALGORITHMS[k].title.zh} {v.zh}" for k, v in refused.items()),
                "no formula can be fed: " + "; ".join(f"{ALGORITHMS[k].title.en} {v.en}" for k, v in refused.items()),
                parameter="reflectance",
                value=parameters.reflectance,
            )
        return formulas, refused

    def _calibration(
        self,
        inputs: Inputs,
        parameters: WaterQualityParameters,
        rules: OpticalRules,
        formulas: dict[str, Formula],
    ) -> Calibration | None:
        if parameters.matchups is None:
            return None
        if "ndci" not in formulas:
            raise InvalidParameter(
                "浓度需要 NDCI，而本影像不能计算 NDCI",
                "a concentration needs NDCI, which this scene cannot give",
                parameter="matchups",
            )
        frame = inputs.frames["matchups"]
        needed = (parameters.index_field, parameters.measured_field, parameters.group_field)
        lacking = [name for name in needed if name not in frame.columns]
        if lacking:
            raise InvalidParameter(
                f"星地匹配图层 {parameters.matchups} 缺少字段 {'、'.join(lacking)}",
                f"the matchups {parameters.matchups} lack the fields {', '.join(lacking)}",
                parameter="matchups",
                missing=lacking,
            )
        index, measured, group = (frame[name] for name in needed)
        return calibrate(
            index.to_numpy(dtype=np.float64),
            measured.to_numpy(dtype=np.float64),
            group.tolist(),
            rules.calibration,
            unit="mg/m3",
            grouped_by=parameters.group_field,
        )

    def _write(
        self,
        work: Block,
        inputs: Inputs,
        outputs: Outputs,
        rules: OpticalRules,
        calibration: Calibration | None,
        progress: Progress,
    ) -> _Tally:
        indices = tuple(k for k in work.formulas if ALGORITHMS[k].is_index)
        opened = open_rasters(outputs, indices, work.estimates, rules, concentration=calibration is not None)
        tally = _Tally(len(work.lakes))

        def settle(window: Window, found: Arrays) -> None:
            row, col = window[:2]
            for number, name in enumerate(("level", "reason", "bloom"), start=1):
                opened["level"].write(row, col, found[name], band=number)
            for raster, names in (("index", indices), ("estimates", work.estimates)):
                for number, name in enumerate(names, start=1):
                    opened[raster].write(row, col, found[name], band=number)
            if calibration is not None:
                opened["concentration"].write(row, col, found["concentration"])
            tally.add(found)

        run_blocks(
            work,
            block_windows(*inputs.grid.shape.yx, self.block),
            on_result=settle,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=lambda share: progress(0.05 + 0.9 * share, "计算指数 computing indices"),
            inline_cells=self.block * self.block,
        )
        return tally


class _Tally:
    """Sums of the lakes over all blocks."""

    def __init__(self, lakes: int) -> None:
        self.sums = np.zeros((3, lakes))
        self.cells = np.zeros(lakes, dtype=np.int64)
        self.histogram: dict[int, Any] = {}
        self.reasons = np.zeros(len(Reason) + 1, dtype=np.int64)

    def add(self, found: Arrays) -> None:
        where = found["lakes"].astype(np.int64) - 1
        self.sums[:, where] += found["sums"]
        self.cells[where] += found["cells"]
        for k, row in zip(where.tolist(), found["histogram"], strict=True):
            self.histogram[k] = self.histogram[k] + row if k in self.histogram else row
        self.reasons += found["reasons"]

    def shares(self, rules: BloomRules) -> list[BloomShare]:
        """Areas and grade of each lake that has water, by number."""
        return [
            share_of(
                k + 1,
                float(self.sums[0, k]),
                float(self.sums[1, k]),
                float(self.sums[2, k]),
                int(self.cells[k]),
                rules,
            )
            for k in np.flatnonzero(self.sums[0] > 0).tolist()
        ]

    def medians(self) -> dict[int, float]:
        """Median NDCI of each lake with at least one value, to the width of a bin."""
        found = {}
        for k, row in self.histogram.items():
            total = int(row.sum())
            if total:
                slot = int(np.searchsorted(np.cumsum(row), (total + 1) / 2))
                found[k + 1] = (slot + 0.5) * 2 / BINS - 1
        return found


def _factors(
    parameters: WaterQualityParameters,
    rules: OpticalRules,
    bloom: BloomRules,
    formulas: dict[str, Formula],
    refused: dict[str, Text],
    calibration: Calibration | None,
) -> tuple[Factor, ...]:
    found = []
    for id in (*(a.id for a in ALGORITHMS.values() if a.is_index), *parameters.estimates):
        rule = ALGORITHMS[id].rule(rules)
        source = f"{rule.source} [{rule.tag}]"
        if id in refused:
            found.append(Factor(id, ALGORITHMS[id].title, False, refused[id], source))
            continue
        used = formulas[id].source
        ranks = ALGORITHMS[id].is_index
        note = Text(
            zh=f"{used.raster.layer_id}：{REFLECTANCES[used.kind].zh}" + ("" if ranks else "；未率定，只可比较高低"),
            en=f"{used.raster.layer_id}: {REFLECTANCES[used.kind].en}"
            + ("" if ranks else "; uncalibrated, it ranks only"),
        )
        found.append(Factor(id, ALGORITHMS[id].title, True, note, source))
    cloud = parameters.water_map is not None
    found += [
        Factor(
            "clouds",
            Text(zh="云与云影掩膜", en="Mask of cloud and shadow"),
            cloud,
            Text(zh="取自水体图", en="from the water map")
            if cloud
            else Text(zh="用户声明无云，未检查", en="declared clear by the user, not checked"),
            f"{rules.masks.source} [{rules.masks.tag}]",
        ),
        Factor(
            "bloom",
            bloom.grades.title,
            "fai" in formulas,
            Text(zh="FAI 阈值法", en="threshold of FAI") if "fai" in formulas else refused["fai"],
            f"{bloom.grades.source} [{bloom.grades.tag}]",
        ),
        Factor(
            "macrophytes",
            bloom.macrophytes.title,
            parameters.macrophytes is not None,
            Text(zh="取自图层", en="from the layer")
            if parameters.macrophytes is not None
            else Text(zh="单景不能区分水草与水华", en="one scene cannot tell plants from bloom"),
            f"{bloom.macrophytes.source} [{bloom.macrophytes.tag}]",
        ),
    ]
    note = Text(
        zh=f"没有星地匹配（至少 {rules.calibration.least_matchups} 组），只给指数与等级",
        en=f"no matchups (at least {rules.calibration.least_matchups} are needed): index and level only",
    )
    if calibration is not None:
        held = calibration.held_out
        note = Text(
            zh=f"{held.count} 组匹配，按{calibration.grouped_by}分组检验：RMSE {held.rmse:.2f} mg/m³，"
            f"MdAPE {held.mdape_percent:.0f} %，"
            f"对数偏差 {held.log_bias:+.2f}，对称误差 {held.symmetric_accuracy_percent:.0f} %",
            en=f"{held.count} matchups, tested by {calibration.grouped_by}: RMSE {held.rmse:.2f} mg/m³, MdAPE "
            f"{held.mdape_percent:.0f} %, log bias {held.log_bias:+.2f}, symmetric accuracy "
            f"{held.symmetric_accuracy_percent:.0f} %",
        )
    title = Text(zh="叶绿素 a 浓度", en="Concentration of chlorophyll a")
    source = f"{rules.calibration.source} [{rules.calibration.tag}]"
    return (*found, Factor("concentration", title, calibration is not None, note, source))


def _notes(
    parameters: WaterQualityParameters, formulas: dict[str, Formula], judged: int, total: int
) -> tuple[Text, ...]:
    notes = [
        Text(
            zh=f"评价了 {judged} 个像元（窗口的 {100 * judged / total:.1f} %）；其余的原因见表 reasons",
            en=f"{judged} cells were judged ({100 * judged / total:.1f} % of the window); table reasons says why not the others",
        ),
        Text(
            zh="等级只表示相对高低，不是浓度；公开系数未经本地率定，浓度可差 1.5–3 倍。",
            en="levels say high or low, no concentration: published coefficients without local calibration are off by a factor "
            "of 1.5 to 3.",
        ),
    ]
    if "fai" in formulas and parameters.macrophytes is None:
        notes.append(
            Text(
                zh="没有水草图层，水华面积可能包含水草、莲藕等水生植被。",
                en="without a layer of macrophytes the area of bloom may hold plants such as lotus.",
            )
        )
    return tuple(notes)
