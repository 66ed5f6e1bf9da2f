"""The analysis ``land-cover-change``: two maps on one grid → kinds of change, transition matrix, estimates."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.landcover.change import DM2, Transitions
from analyses.landcover.comparison import CompareMaps
from analyses.landcover.parameters import LandCoverChangeParameters
from analyses.landcover.result import (
    accuracy,
    by_unit,
    change_bands,
    change_style,
    change_titles,
    check_grid,
    class_areas,
    reference_codes,
    transition_rows,
)
from analyses.landcover.rules import LandCoverRules, land_cover_rules
from analyses.landcover.samples import labels_of, on_grid
from analyses.masks import scratch_array
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
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LandCoverChange"]


class LandCoverChange:
    """Change between two land-cover maps (地表覆盖变化) on common valid cells.

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "land-cover-change"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="地表覆盖变化", en="Land-cover change")
    description: ClassVar[Text] = Text(
        zh="比较两期地类图，只计两期都有效的像元：变化类型图、转移矩阵（椭球面积）、分县统计；有独立参考样本时给出变化面积的"
        "估计和置信区间。",
        en="Compares two land-cover maps on cells that both know: map of kinds of change, transition matrix (ellipsoidal "
        "areas), by county; with an independent reference sample also estimates of the areas with intervals.",
    )
    method: ClassVar[str] = "分类后比较与转移矩阵；面积估计 Olofsson et al. 2014；docs/methods/land-cover.md"
    parameters: ClassVar[type[Parameters]] = LandCoverChangeParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("earlier", "land-use-earlier", "raster", Text(zh="前期地类", en="Earlier map")),
        InputSpec("later", "land-use", "raster", Text(zh="后期地类", en="Later map")),
        InputSpec("counties", "counties", "vector", Text(zh="县级单元", en="County units"), True, extent="whole"),
    )
    base: ClassVar[str] = "earlier"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "land-cover")
    rasters: ClassVar[dict[str, Text]] = {"change": title}

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: LandCoverChangeParameters) -> tuple[InputSpec, ...]:
        """The layers that the parameters name."""
        earlier, later, counties = cls.inputs
        found = [replace(earlier, layer=parameters.earlier), replace(later, layer=parameters.later), counties]
        if parameters.reference is not None:
            title = Text(zh="参考样本", en="Reference samples")
            found.append(InputSpec("reference", parameters.reference, "vector", title, extent="whole"))
        return tuple(found)

    def run(
        self, inputs: Inputs, parameters: LandCoverChangeParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Compare every cell of the run's grid.

        Returns
        -------
        AnalysisResult
            Raster ``change`` (uint8: kind of change, earlier and later class); tables ``transition``, ``by_class``,
            ``by_change``, ``by_county``, ``compared``, and with a reference sample ``accuracy``, ``error_matrix``.

        Raises
        ------
        CRSMismatch, GridMismatch
            If the run's grid is not north up in EPSG:4490, or a reader does not keep to it.
        InvalidParameter
            If both dates are the same layer.
        LayerEmpty
            If no cell is valid on both dates.
        QualityViolation
            For values that are not codes of the scheme.
        """
        check_grid(inputs.grid)
        if parameters.earlier == parameters.later:
            raise InvalidParameter(
                f"前后两期是同一图层 {parameters.later}，请选两个图层",
                f"both dates are layer {parameters.later}; choose two layers",
                parameter="later",
                value=parameters.later,
            )
        rules = land_cover_rules(inputs.rules)
        found, kinds, dm2 = self._compare(inputs, outputs, rules, progress)
        if found.common_m2 == 0:
            raise LayerEmpty(
                f"图层 {parameters.earlier} 与 {parameters.later} 在所选范围内没有共同有效的像元",
                f"layers {parameters.earlier} and {parameters.later} have no cell in common that is valid on both dates",
                layer=parameters.later,
            )
        progress(0.9, "统计 statistics")
        titles = change_titles(rules)
        tables: dict[str, Any] = {
            "transition": transition_rows(found, rules),
            "by_class": _by_class(found, rules),
            "by_change": class_areas(dm2, titles),
            "compared": [
                {
                    **areas_in_units(found.common_m2, "common"),
                    **areas_in_units(found.only_earlier_dm2 / DM2, "only_earlier"),
                    **areas_in_units(found.only_later_dm2 / DM2, "only_later"),
                }
            ],
        }
        counties = inputs.frames.get("counties")
        if counties is not None and len(counties):
            tables["by_county"] = by_unit(kinds, inputs.grid, counties, titles)
        estimate = self._accuracy(inputs, parameters, kinds, dm2, rules, tables)
        rule = rules.changes
        factor = Factor(
            "change",
            rule.title,
            True,
            Text(zh="只比较两期都有效的像元", en="cells valid on both dates only"),
            f"{rule.source} [{rule.tag}]",
        )
        progress(1.0, "完成 done")
        return AnalysisResult((factor, estimate), tables, _notes())

    def _compare(
        self, inputs: Inputs, outputs: Outputs, rules: LandCoverRules, progress: Progress
    ) -> tuple[Transitions, NDArray[np.uint8], NDArray[np.int64]]:
        """Write the raster block by block; matrix, kinds of change (memory-mapped), dm² by kind."""
        codes = tuple(sorted(rules.by_code))
        out = outputs.raster(
            "change",
            bands=change_bands(rules),
            dtype="uint8",
            nodata=0,
            title=self.title,
            style=change_style(rules),
        )
        cell_m2 = cell_areas(inputs.grid)
        area = np.rint(cell_m2 * DM2).astype(np.int64)
        found = Transitions(codes)
        kinds: NDArray[np.uint8] = scratch_array(inputs.scratch, "change", inputs.grid.shape.yx, np.uint8)
        dm2 = np.zeros(256, dtype=np.int64)

        def settle(window: Window, given: Arrays) -> None:
            row, col, height, width = window
            change = given["change"]
            found.add(given["earlier"], given["later"], cell_m2[row : row + height])
            if not change.any():
                return
            common = change > 0
            out.write(row, col, change, band=1)
            out.write(row, col, np.where(common, given["earlier"], 0).astype(np.uint8), band=2)
            out.write(row, col, np.where(common, given["later"], 0).astype(np.uint8), band=3)
            kinds[row : row + height, col : col + width] = change
            for k in range(height):
                dm2[:] += np.bincount(change[k], minlength=256) * area[row + k]

        run_blocks(
            CompareMaps(inputs.rasters["earlier"], inputs.rasters["later"], rules.kinds, codes),
            block_windows(*inputs.grid.shape.yx, self.block),
            on_result=settle,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=lambda share: progress(0.9 * share, "比较两期 comparing"),
        )
        dm2[0] = 0
        return found, kinds, dm2

    def _accuracy(
        self,
        inputs: Inputs,
        parameters: LandCoverChangeParameters,
        kinds: NDArray[np.uint8],
        dm2: NDArray[np.int64],
        rules: LandCoverRules,
        tables: dict[str, Any],
    ) -> Factor:
        """Estimates of the areas of change from the reference sample; adds their tables."""
        if "reference" not in inputs.frames or parameters.reference is None:
            return Factor(
                "accuracy",
                Text(zh="变化面积估计（Olofsson 2014）", en="Estimates of the areas of change (Olofsson 2014)"),
                False,
                Text(zh="没有独立参考样本图层", en="no layer of independent reference samples"),
                f"{rules.reference_sample.source} [{rules.reference_sample.tag}]",
            )
        layer = parameters.reference
        frame = on_grid(inputs.frames["reference"], inputs.grid, layer=layer)
        before, after = (
            labels_of(frame, name, {}, rules.by_code, layer=layer)
            for name in (parameters.earlier_field, parameters.later_field)
        )
        mapped, where = reference_codes(frame, inputs.grid, kinds)
        truth = rules.kinds[before, after].astype(np.int64)
        rows, matrix, factor = accuracy(mapped, truth[where], dm2, change_titles(rules), rules)
        if rows:
            tables |= {"accuracy": rows, "error_matrix": matrix}
        return factor


def _by_class(found: Transitions, rules: LandCoverRules) -> list[dict[str, Any]]:
    """Area of each class on both dates, gain, loss and net change; common cells."""
    rows = []
    kept = np.diag(found.area_dm2)
    before, after = found.area_dm2.sum(axis=1), found.area_dm2.sum(axis=0)
    for k, code in enumerate(found.classes):
        if before[k] == 0 and after[k] == 0:
            continue
        title = rules.by_code[code].title
        row: dict[str, Any] = {"class": code, "title_zh": title.zh, "title_en": title.en}
        for name, value in (
            ("earlier", before[k]),
            ("later", after[k]),
            ("loss", before[k] - kept[k]),
            ("gain", after[k] - kept[k]),
            ("net", after[k] - before[k]),
        ):
            row |= areas_in_units(int(value) / DM2, name)
        rows.append(row)
    return rows


def _notes() -> tuple[Text, ...]:
    return (
        Text(
            zh="两期分类误差会叠加成虚假变化；面积为像元计数，对外使用请用独立参考样本的 accuracy 表（带置信区间）。",
            en="errors of both maps add up to false change; areas are pixel counts: publish those of the table accuracy "
            "(with intervals), which needs an independent reference sample.",
        ),
        Text(
            zh="请用季节相同、水位相近的两期；湖区水面随水位变化，不等于围垦。",
            en="compare dates of the same season and water level: a lake that is low is not a lake reclaimed.",
        ),
    )
