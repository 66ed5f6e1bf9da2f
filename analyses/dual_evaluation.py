"""The dual evaluation (双评价): ecology, farming and towns on one grid, their conflicts, and what each unit can carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from analyses.agriculture_assembly import agricultural_assessment
from analyses.assembly import Assembly, Late, Prepared, patch_levels, prepare
from analyses.assessment import Finished, factor_pass, finish_pass, read_block
from analyses.blocks import Arrays, Window
from analyses.capacity_land import LAND_COLUMNS, LandAreas, LandLayers, cut_units, land_areas
from analyses.capacity_result import capacity_result
from analyses.capacity_rules import CapacityRules, capacity_rules
from analyses.conflicts import (
    CONFLICT_BANDS,
    CONFLICT_COLUMNS,
    CONFLICT_STYLE,
    conflict_areas,
    conflict_bits,
    conflict_factors,
    conflict_rows,
)
from analyses.ecology_assembly import ecological_assessment
from analyses.evaluation_result import (
    IMPORTANCE,
    SUITABILITY,
    AreaTally,
    area_rows,
    class_bands,
    class_style,
    profile_2020,
    reason_rows,
    reporting_units,
)
from analyses.fields import Values, values_of
from analyses.suitability import UrbanSuitability, UrbanSuitabilityParameters
from analyses.urban_assembly import urban_assessment
from spatial.catalog import Band, Text
from spatial.jobs.contract import (
    AnalysisResult,
    Explanation,
    Factor,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    bilingual,
)
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["DualEvaluation", "DualEvaluationParameters"]

Level = Literal["county", "prefecture", "province"]


class DualEvaluationParameters(UrbanSuitabilityParameters):
    """Parameters (参数) of the dual evaluation; the values used stand in the result."""

    units: Level = Field(
        "county",
        json_schema_extra=bilingual(
            "统计单元",
            "Reporting units",
            "面积表和承载力表的单元：county 县级、prefecture 市州、province 全省。",
            "Units of the tables: county, prefecture or province.",
        ),
    )
    profile: Literal["2019", "2020"] = Field(
        "2020",
        json_schema_extra=bilingual(
            "承载规模与冲突采用的规则",
            "Rules for capacity and conflicts",
            "2020：扣除生态极重要和一票否决区；2019：只用判别矩阵。两套适宜性结果总是一并给出。",
            "2020 takes off extremely important and knocked-out land; 2019 uses the matrices only. Both are always given.",
        ),
    )
    water_indicator: Literal["precipitation", "dryness", "quota"] = Field(
        "precipitation",
        json_schema_extra=bilingual(
            "农业水资源指标",
            "Water indicator for farming",
            "precipitation 年降水、dryness 干燥度、quota 用水总量控制指标模数，三选一。",
            "Annual precipitation, dryness, or the modulus of the water quota.",
        ),
    )
    ecology_method: Literal["model", "npp"] = Field(
        "model",
        json_schema_extra=bilingual(
            "生态评价方法",
            "Method for ecology",
            "model 模型评价法；npp NPP 定量指标法。两法结果差异大，一次运行只用一种。",
            "Model method or NPP method; the two differ much and are never mixed in a run.",
        ),
    )


@dataclass(frozen=True)
class _Overlay:
    """What pass 2 needs beside the assessments."""

    inputs: Inputs
    rules: CapacityRules
    prepared: Prepared
    land_use: Values | None
    geohazard: Values | None
    soil: NDArray[np.uint8] | None


class DualEvaluation:
    """The dual evaluation of a province (资源环境承载能力和国土空间开发适宜性评价).

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "dual-evaluation"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="双评价", en="Dual evaluation")
    description: ClassVar[Text] = Text(
        zh="资源环境承载能力和国土空间开发适宜性评价：生态保护重要性、农业生产适宜性、城镇建设适宜性"
        "（2019 判别矩阵与 2020 规则），潜力与冲突图，分单元承载规模；缺少的因子列为未评价。",
        en="Carrying capacity and suitability of land: importance for ecology, suitability for farming and for towns (2019 "
        "matrices and 2020 rules), potential and conflict maps, capacity by unit; factors without data are listed as not "
        "assessed.",
    )
    method: ClassVar[str] = (
        "双评价技术指南（2019-07）单项评价与集成评价，双评价指南（试行）（2020-01）规则；docs/methods/dual-evaluation.md"
    )
    parameters: ClassVar[type[Parameters]] = DualEvaluationParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        *UrbanSuitability.inputs,
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
        InputSpec("ndvi", "ndvi", "raster", Text(zh="植被指数", en="NDVI"), True, "bilinear"),
        InputSpec("land_use", "land-use", "raster", Text(zh="土地利用", en="Land use"), True, "nearest"),
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
    base: ClassVar[str] = "dem"
    result_theme: ClassVar[tuple[str, ...]] = ("results", "suitability")
    rasters: ClassVar[Mapping[str, Text]] = {
        "ecology": Text(zh="生态保护重要性", en="Importance for ecology"),
        "agriculture": Text(zh="农业生产适宜性", en="Suitability for farming"),
        "urban": Text(zh="城镇建设适宜性", en="Suitability for towns"),
        "conflicts": Text(zh="潜力与冲突", en="Potential and conflicts"),
        "ecology_factors": Text(zh="生态保护重要性单项指标", en="Factors of ecological importance"),
        "agriculture_factors": Text(zh="农业生产适宜性单项指标", en="Factors of suitability for farming"),
        "urban_factors": Text(zh="城镇建设适宜性单项指标", en="Factors of suitability for towns"),
    }

    def __init__(self, block: int = 1024) -> None:
        self.block = block

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
        prepared = prepare(
            inputs,
            parameters,
            titles={spec.role: spec.title for spec in self.inputs},
            layers={spec.role: spec.layer for spec in self.inputs},
            progress=lambda share, text: progress(0.3 * share, text),
        )
        made: dict[str, Assembly] = {
            "ecology": ecological_assessment(inputs, parameters, prepared),
            "agriculture": agricultural_assessment(inputs, parameters, prepared),
            "urban": urban_assessment(inputs, parameters, prepared),
        }
        assessments = [assembly.assessment for assembly in made.values()]
        shown = self._open(outputs, made)
        kept = factor_pass(
            inputs,
            prepared.terrain,
            assessments,
            masks=prepared.masks,
            rasters={name: shown[f"{name}_factors"] for name in made},
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
        tables, factors, said = self._finish(inputs, parameters, prepared, made, kept, late, shown, progress)
        progress(1.0, "完成 done")
        return AnalysisResult(
            factors=tuple(f for a in made.values() for f in a.factors) + tuple(factors),
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

    def _open(self, outputs: Outputs, made: Mapping[str, Assembly]) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for name, assembly in made.items():
            shown[name] = outputs.raster(
                name,
                bands=_bands(name, assembly),
                dtype="uint8",
                nodata=0,
                title=self.rasters[name],
                style=class_style(_classes(name)),
            )
        shown["conflicts"] = outputs.raster(
            "conflicts",
            bands=CONFLICT_BANDS,
            dtype="uint8",
            nodata=0,
            title=self.rasters["conflicts"],
            style=CONFLICT_STYLE,
        )
        for name, assembly in made.items():
            shown[f"{name}_factors"] = outputs.raster(
                f"{name}_factors",
                bands=assembly.bands,
                dtype="float32",
                nodata=float("nan"),
                title=self.rasters[f"{name}_factors"],
                style=assembly.style,
            )
        return shown

    def _finish(
        self,
        inputs: Inputs,
        parameters: DualEvaluationParameters,
        prepared: Prepared,
        made: Mapping[str, Assembly],
        kept: Mapping[str, NDArray[Any]],
        late: Mapping[str, Any],
        shown: Mapping[str, Any],
        progress: Progress,
    ) -> tuple[dict[str, Any], list[Factor], list[Text]]:
        """Pass 2: class rasters, conflicts, areas by unit, capacity."""
        units = prepared.units
        count = 0 if units is None else len(units.codes)
        rules = capacity_rules(inputs.rules)
        overlay = _Overlay(
            inputs,
            rules,
            prepared,
            _nearest(inputs, "land_use"),
            _nearest(inputs, "geohazard"),
            kept.get("agriculture:soil"),
        )
        tallies = {
            f"{name}{suffix}": AreaTally(count, prepared.dm2)
            for name, assembly in made.items()
            for suffix in ("", *(("_2020",) if assembly.assessment.knock_outs is not None else ()))
        }
        bands = {name: _bands(name, assembly) for name, assembly in made.items()} | {"conflicts": CONFLICT_BANDS}
        land = np.zeros((count, len(LAND_COLUMNS)), dtype=np.int64)
        conflict = np.zeros((count, len(CONFLICT_COLUMNS)), dtype=np.int64)
        present: set[str] = set()

        def combine(window: Window, found: Mapping[str, Finished]) -> Arrays:
            arrays, seen = _combined(window, found, overlay, count, parameters.profile)
            present.update(seen)
            for name, tally in tallies.items():
                base = name.removesuffix("_2020")
                pair = (
                    (f"{base}:class_2020", f"{base}:reason_2020")
                    if base != name
                    else (f"{base}:class", f"{base}:reason")
                )
                if units is not None:
                    arrays[f"tally/{name}"] = tally.of_block(window, units.numbers, arrays[pair[0]], arrays[pair[1]])
            return arrays

        def settle(window: Window, arrays: Arrays) -> None:
            nonlocal land, conflict
            row, col = window[:2]
            for name in (*made, "conflicts"):
                for number, band in enumerate(bands[name], start=1):
                    shown[name].write(row, col, arrays[f"{name}:{band.name}"], band=number)
            for name, tally in tallies.items():
                if f"tally/{name}" in arrays:
                    tally.areas += arrays[f"tally/{name}"]
            if "land" in arrays:
                land = land + arrays["land"]
                conflict = conflict + arrays["conflict"]

        finish_pass(
            [assembly.assessment for assembly in made.values()],
            kept,
            late=late,
            combine=combine,
            on_result=settle,
            shape=inputs.grid.shape.yx,
            block=self.block,
            threads=inputs.threads,
            inside=prepared.inside,
            progress=lambda s: progress(0.72 + 0.26 * s, "集成与冲突 integration and conflicts"),
        )
        tables: dict[str, Any] = {}
        extra: list[Factor] = []
        notes: list[Text] = []
        if units is not None:
            reported = reporting_units(inputs.frames["counties"], parameters.units)
            province = reporting_units(inputs.frames["counties"], "province")
            everything = tuple(range(1, count + 1))
            for name, tally in tallies.items():
                chain = made[name.removesuffix("_2020")].assessment.chain
                classes = _classes(name.removesuffix("_2020"))
                water = chain.code("water-surface") if any(s.id == "water-surface" for s in chain.stations) else None
                tables[f"{name}_by_unit"] = area_rows(tally, reported, classes, water)
                tables[f"{name}_totals"] = area_rows(tally, province, classes, water)
                if not name.endswith("_2020"):
                    tables[f"{name}_by_reason"] = reason_rows(tally, everything, chain.reasons())
            tables["conflicts_by_unit"] = conflict_rows(
                conflict, [(u.code, u.name, u.members) for u in reported], rules, present=present
            )
            extra += conflict_factors(present, rules)
            if "capacity" in inputs.frames:
                frame = inputs.frames["counties"]
                whole = dict(zip(units.codes, (geodesic_areas(frame.geometry.array) / 1e6).tolist(), strict=True))
                box = inputs.grid.extent.boundingbox
                cut = cut_units(units.codes, frame.geometry.array, (box.left, box.bottom, box.right, box.top))
                areas = LandAreas(units.codes, land, frozenset(present), whole, cut)
                table = inputs.frames["capacity"]
                carried = capacity_result(
                    table[table["code"].astype(str).isin(units.codes)], areas, rules, profile=parameters.profile
                )
                tables |= carried.tables
                extra += carried.factors
                notes += carried.notes
        tables["parameters"] = [row for assembly in made.values() for row in assembly.parameters]
        return tables, extra, notes


def _classes(name: str) -> Mapping[int, tuple[str, Text, str]]:
    return IMPORTANCE if name == "ecology" else SUITABILITY


def _bands(name: str, assembly: Assembly) -> tuple[Band, ...]:
    a = assembly.assessment
    return class_bands(a.chain, _classes(name), patch=assembly.patch is not None, knock_outs=a.knock_outs)


def _nearest(inputs: Inputs, role: str) -> Values | None:
    return values_of(inputs.rasters[role], method="nearest") if role in inputs.rasters else None


def _codes(values: Values | None, window: Window) -> NDArray[np.uint8] | None:
    return None if values is None else np.nan_to_num(values.block(*window)).astype(np.uint8)


def _combined(
    window: Window, found: Mapping[str, Finished], overlay: _Overlay, count: int, profile: str
) -> tuple[dict[str, NDArray[Any]], frozenset[str]]:
    """Bands of every class raster and of the conflicts, and the areas, of one block; the layers that took part."""
    row, col, height, width = window
    cut = (slice(row, row + height), slice(col, col + width))
    arrays: dict[str, NDArray[Any]] = {}
    ecology = found["ecology"].suitability
    knocked: dict[str, NDArray[np.uint8]] = {}
    for name, one in found.items():
        arrays |= {f"{name}:class": one.suitability, f"{name}:grade": one.grade, f"{name}:reason": one.reason}
        if one.patch is not None:
            arrays[f"{name}:patch"] = one.patch
        knocked[name] = one.suitability
        if one.out is not None:
            arrays[f"{name}:class_2020"], arrays[f"{name}:reason_2020"] = profile_2020(
                one.suitability, one.reason, one.out, ecology
            )
            if profile == "2020":
                knocked[name] = np.where(one.out > 1, np.uint8(3), one.suitability)
    land_use = _codes(overlay.land_use, window)
    hazard = _codes(overlay.geohazard, window)
    farmland = None if overlay.prepared.farmland is None else np.asarray(overlay.prepared.farmland[cut])
    bits = conflict_bits(
        ecology, knocked["agriculture"], knocked["urban"], land_use, hazard, farmland, rules=overlay.rules
    )
    for band, values in zip(CONFLICT_BANDS, bits.bands(), strict=True):
        arrays[f"conflicts:{band.name}"] = values
    layers = LandLayers(
        agri_grade=found["agriculture"].land,
        urban_grade=found["urban"].land,
        soil_grade=None if overlay.soil is None else np.asarray(overlay.soil[cut]),
        elevation=read_block(overlay.inputs.rasters["dem"], row, col, height, width),
        eco_class=ecology,
        agri_class=knocked["agriculture"],
        urban_class=knocked["urban"],
        farmland=farmland,
        land_use=land_use,
    )
    units = overlay.prepared.units
    if units is not None:
        dm2 = overlay.prepared.dm2[row : row + height]
        numbers = np.asarray(units.numbers[cut])
        arrays["land"] = land_areas(numbers, dm2, layers, overlay.rules, count)
        arrays["conflict"] = conflict_areas(
            bits,
            numbers,
            dm2,
            count,
            land_use=land_use,
            agri_class=knocked["agriculture"],
            urban_class=knocked["urban"],
            rules=overlay.rules,
        )
    return arrays, layers.present() | ({"geohazard"} if hazard is not None else frozenset())
