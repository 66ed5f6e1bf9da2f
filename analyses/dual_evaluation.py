"""The dual evaluation (双评价): ecology, farming and towns on one grid, their conflicts, and what each unit can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from analyses.agriculture_assembly import agricultural_assessment
from analyses.assembly import Assembly, patch_levels, prepare
from analyses.assessment import Encoder, Finished, Late, factor_pass, finish_pass
from analyses.blocks import Arrays, Window
from analyses.capacity_rules import capacity_rules
from analyses.conflicts import CONFLICT_BANDS, CONFLICT_STYLE
from analyses.dual_overlay import Overlay
from analyses.dual_parameters import DualEvaluationParameters
from analyses.dual_tables import Sums, tallies
from analyses.ecology_assembly import BY_RULE_FILE, ecological_assessment
from analyses.ecology_rules import ecological_rules
from analyses.evaluation_result import class_bands, class_style, classes_of
from analyses.husbandry_assembly import HUSBANDRY_BANDS, prepare_husbandry
from analyses.suitability import UrbanSuitability
from analyses.urban_assembly import urban_assessment
from analyses.urban_result import notes as urban_notes
from analyses.urban_result import parameter_rows
from spatial.catalog import Band, Text
from spatial.jobs.contract import (
    AnalysisResult,
    Explanation,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    RasterOutput,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DualEvaluation", "DualEvaluationParameters"]


class DualEvaluation:
    """The dual evaluation of a province (资源环境承载能力和国土空间开发适宜性评价).

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "dual-evaluation"
    version: ClassVar[str] = "1.1.0"
    title: ClassVar[Text] = Text(zh="双评价", en="Dual evaluation")
    description: ClassVar[Text] = Text(
        zh="资源环境承载能力和国土空间开发适宜性评价：生态保护重要性、农业生产适宜性、城镇建设适宜性"
        "（2019 判别矩阵与 2020 规则），畜牧业与渔业规则图层，潜力与冲突图，分单元承载规模；缺少的因子列为未评价。",
        en="Carrying capacity and suitability of land: importance for ecology, suitability for farming and for towns (2019 "
        "matrices and 2020 rules), livestock and fishery by rules, potential and conflict maps, capacity by "
        "unit; factors without data are listed as not assessed.",
    )
    method: ClassVar[str] = (
        "双评价技术指南（2019-07）单项评价与集成评价，双评价指南（试行）（2020-01）规则；docs/methods/dual-evaluation.md"
    )
    parameters: ClassVar[type[Parameters]] = DualEvaluationParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        # Cropping has no class without its climate matrix.
        *(replace(spec, optional=False) if spec.role == "temperature" else spec for spec in UrbanSuitability.inputs),
        InputSpec("soil", "soil", "raster", Text(zh="土壤质地", en="Soil texture"), True, "bilinear"),
        InputSpec(
            "soil_quality", "soil-quality", "raster", Text(zh="土壤环境质量", en="Soil quality"), True, "nearest"
        ),
        InputSpec(
            "meteorological_hazards",
            "meteorological-hazards",
            "raster",
            Text(zh="农业气象灾害", en="Agro-meteorological hazards"),
            True,
            "bilinear",
        ),
        InputSpec("carbonate", "carbonate", "raster", Text(zh="碳酸岩出露", en="Carbonate outcrop"), True, "bilinear"),
        InputSpec(
            "sand_wind_days",
            "sand-wind-days",
            "raster",
            Text(zh="起沙风天数", en="Days with sand-lifting wind"),
            True,
            "bilinear",
        ),
        InputSpec("ndvi", "ndvi", "raster", Text(zh="植被指数", en="NDVI"), True, "bilinear"),
        InputSpec("land_use", "land-use", "raster", Text(zh="土地利用", en="Land use"), resampling="nearest"),
        InputSpec(
            "reserves", "nature-reserves", "vector", Text(zh="自然保护地", en="Nature reserves"), True, extent="whole"
        ),
        InputSpec("farmland", "permanent-farmland", "vector", Text(zh="永久基本农田", en="Permanent farmland"), True),
        InputSpec(
            "capacity",
            "county-capacity",
            "vector",
            Text(zh="单元用水与用地表", en="Water and land use by unit"),
            True,
            extent="whole",
        ),
    )
    npp_inputs: ClassVar[tuple[InputSpec, ...]] = tuple(
        InputSpec(role, role.replace("_", "-"), "raster", title, True, "bilinear")
        for role, title in {
            "npp": Text(zh="净初级生产力", en="Net primary productivity"),
            "soil_infiltration": Text(zh="土壤渗流因子", en="Soil infiltration"),
            "wind_erosivity": Text(zh="气候风蚀侵蚀力", en="Climatic wind erosivity"),
            "roughness": Text(zh="地表粗糙度", en="Surface roughness"),
        }.items()
    )
    """Read besides by the NPP method only."""
    base: ClassVar[str] = "dem"
    equal_rasters: ClassVar[bool] = True
    report: ClassVar[bool] = True
    result_theme: ClassVar[tuple[str, ...]] = ("results", "suitability")
    rasters: ClassVar[Mapping[str, Text]] = {
        "ecology": Text(zh="生态保护重要性", en="Importance for ecology"),
        "agriculture": Text(zh="农业生产适宜性", en="Suitability for farming"),
        "urban": Text(zh="城镇建设适宜性", en="Suitability for towns"),
        "livestock": Text(zh="畜牧业生产适宜性", en="Suitability for livestock"),
        "fishery": Text(zh="渔业生产适宜性", en="Suitability for fishery"),
        "conflicts": Text(zh="潜力与冲突", en="Potential and conflicts"),
        "ecology_factors": Text(zh="生态保护重要性单项指标", en="Factors of ecological importance"),
        "agriculture_factors": Text(zh="农业生产适宜性单项指标", en="Factors of suitability for farming"),
        "urban_factors": Text(zh="城镇建设适宜性单项指标", en="Factors of suitability for towns"),
    }

    def __init__(self, block: int = 512) -> None:
        self.block = block

    @classmethod
    def inputs_of(cls, parameters: DualEvaluationParameters) -> tuple[InputSpec, ...]:
        """The layers of a run with these parameters."""
        chosen = [replace(spec, layer=parameters.land_use) if spec.role == "land_use" else spec for spec in cls.inputs]
        return (*chosen, *(cls.npp_inputs if parameters.ecology_method == "npp" else ()))

    def run(
        self, inputs: Inputs, parameters: DualEvaluationParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Evaluate every cell of the run's grid.

        Returns
        -------
        AnalysisResult
            Rasters `rasters`; tables of areas by unit and limiting factor, of capacity, of conflicts, of parameters.

        Raises
        ------
        CRSMismatch, GridMismatch
            If the run's grid is not north up in EPSG:4490, or a reader does not keep to it.
        LayerEmpty
            If the elevation model has no data in the window.
        QualityViolation
            For values outside the plausible range (wrong unit), or a layer without the field that its role needs.
        """
        # Asked before anything is computed, so that a wrong name costs nothing.
        if parameters.sensitivity_breaks != BY_RULE_FILE:
            ecological_rules(inputs.rules).sensitivity_breaks.table(parameters.sensitivity_breaks)
        specs = self.inputs_of(parameters)
        prepared = prepare(
            inputs,
            parameters,
            titles={spec.role: spec.title for spec in specs},
            layers={spec.role: spec.layer for spec in specs},
            progress=lambda share, text: progress(0.3 * share, text),
        )
        made: dict[str, Assembly] = {
            "ecology": ecological_assessment(inputs, parameters, prepared, block=self.block),
            "agriculture": agricultural_assessment(inputs, parameters, prepared),
            "urban": urban_assessment(inputs, parameters, prepared),
        }
        husbandry = prepare_husbandry(inputs, prepared)
        assessments = [assembly.assessment for assembly in made.values()]
        kept = factor_pass(
            inputs,
            prepared.terrain,
            assessments,
            masks={**prepared.masks, **{name: m for a in made.values() for name, m in a.masks.items()}},
            rasters=self._open_factors(outputs, made),
            block=self.block,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            progress=lambda s: progress(0.3 + 0.4 * s, "单项评价与判别 factors and chains"),
        )
        progress(0.7, "集中连片与排序 patches and ranks")
        late: dict[str, Late] = {}
        for name, assembly in made.items():
            if assembly.late is not None:
                made[name], late[name] = assembly.late(assembly, kept)
            elif assembly.patch is not None:
                late[name] = patch_levels(assembly, kept, prepared, inputs.threads)
        rules = capacity_rules(inputs.rules)
        overlay = Overlay.of(inputs, rules, prepared, husbandry.layers, parameters.profile)
        masks = {
            "inside": prepared.inside,
            "surface": prepared.surface,
            "farmland": prepared.farmland,
            "excluded": husbandry.excluded,
            "soil": kept.get("agriculture:soil"),
            "units": None if prepared.units is None else prepared.units.numbers,
        }
        sums = Sums(made, prepared)
        self._finish(inputs, overlay, sums, made, kept, late, masks, outputs, progress)
        tables, factors, said = sums.tables(inputs, parameters, rules, made)
        tables["parameters"] = [
            *parameter_rows(parameters, prepared.urban),
            *(row for a in made.values() for row in a.parameters),
            *husbandry.parameters,
        ]
        said = [*urban_notes(inputs, parameters, prepared.urban, cell_m=prepared.cell_m), *said]
        progress(1.0, "完成 done")
        return AnalysisResult(
            factors=tuple(f for a in made.values() for f in a.factors) + husbandry.factors + tuple(factors),
            tables=tables,
            notes=tuple(dict.fromkeys([n for a in made.values() for n in a.notes] + said)),
            explanations={
                name: Explanation(
                    f"{name}_factors",
                    assembly.assessment.chain.document(),
                    None if assembly.assessment.knock_outs is None else assembly.assessment.knock_outs.document(),
                )
                for name, assembly in made.items()
            },
        )

    def _open_factors(self, outputs: Outputs, made: Mapping[str, Assembly]) -> dict[str, RasterOutput]:
        return {
            name: outputs.raster(
                f"{name}_factors",
                bands=assembly.bands,
                dtype="float32",
                nodata=float("nan"),
                title=self.rasters[f"{name}_factors"],
                style=assembly.style,
            )
            for name, assembly in made.items()
        }

    def _open_classes(self, outputs: Outputs, bands: Mapping[str, tuple[Band, ...]]) -> dict[str, RasterOutput]:
        return {
            name: outputs.raster(
                name,
                bands=its,
                dtype="uint8",
                nodata=0,
                title=self.rasters[name],
                style=CONFLICT_STYLE if name == "conflicts" else class_style(classes_of(name), its),
            )
            for name, its in bands.items()
        }

    def _finish(
        self,
        inputs: Inputs,
        overlay: Overlay,
        sums: Sums,
        made: Mapping[str, Assembly],
        kept: Mapping[str, NDArray[Any]],
        late: Mapping[str, Late],
        masks: Mapping[str, NDArray[Any] | None],
        outputs: Outputs,
        progress: Progress,
    ) -> None:
        """Pass 2: class rasters, rule layers, conflicts, and the sums of the tables."""
        # Opened now, not before: the chain of a ranked service, and so the titles of its reasons, follow from pass 1.
        bands: dict[str, tuple[Band, ...]] = {name: _bands(name, assembly) for name, assembly in made.items()}
        bands |= dict(HUSBANDRY_BANDS) | {"conflicts": CONFLICT_BANDS}
        shown = self._open_classes(outputs, bands)
        names = {name: tuple(band.name for band in its) for name, its in bands.items()}

        def settle(window: Window, arrays: Arrays) -> None:
            for name, its in names.items():
                for number, band in enumerate(its, start=1):
                    shown[name].put(arrays[f"{name}:{band}"], band=number)
            sums.add(arrays)

        finish_pass(
            [assembly.assessment for assembly in made.values()],
            kept,
            late=late,
            combine=_Combine(overlay, sums.names, names, {name: raster.encoder for name, raster in shown.items()}),
            on_result=settle,
            shape=inputs.grid.shape.yx,
            block=self.block,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            inside=masks["inside"],
            masks={name: mask for name, mask in masks.items() if mask is not None},
            progress=lambda s: progress(0.72 + 0.26 * s, "集成与冲突 integration and conflicts"),
        )


@dataclass(frozen=True)
class _Combine:
    """One block of pass 2: classes, rule layers and conflicts, encoded, and its areas by unit."""

    overlay: Overlay
    tables: tuple[str, ...]
    bands: Mapping[str, tuple[str, ...]]
    encoders: Mapping[str, Encoder]

    def __call__(self, window: Window, found: Mapping[str, Finished], given: Arrays) -> Arrays:
        row, col, height, _ = window
        arrays, present = self.overlay.block(window, found, given)
        summed: dict[str, Any] = {name: arrays[name] for name in ("land", "conflicts") if name in arrays}
        if self.tables:
            dm2 = self.overlay.dm2[row : row + height]
            summed |= tallies(self.tables, self.overlay.units, given["units"], dm2, arrays)
        encoded = {
            f"{name}:{band}": self.encoders[name](row, col, arrays[f"{name}:{band}"])
            for name, its in self.bands.items()
            for band in its
        }
        return {**summed, **encoded, "present": present}


def _bands(name: str, assembly: Assembly) -> tuple[Band, ...]:
    a = assembly.assessment
    return class_bands(a.chain, classes_of(name), patch=assembly.patch is not None, knock_outs=a.knock_outs)
