"""Urban construction suitability (城镇建设适宜性): land × water, corrected by what the catalogue carries, by blocks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from pydantic import Field

from analyses.assembly import Assembly, Prepared, patch_levels, prepare
from analyses.assessment import Encoder, Finished, factor_pass, finish_pass
from analyses.blocks import Arrays, Window
from analyses.evaluation_result import SUITABILITY, class_bands, class_style
from analyses.masks import scratch_array
from analyses.urban_assembly import urban_assessment
from analyses.urban_result import notes, parameter_rows, tables
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.jobs.contract import (
    AnalysisResult,
    Explanation,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    bilingual,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["UrbanSuitability", "UrbanSuitabilityParameters"]


class UrbanSuitabilityParameters(Parameters):
    """Parameters (参数) of urban construction suitability; the values used stand in the result."""

    runoff_coefficient: float = Field(
        0.47,
        ge=0.01,
        le=1.0,
        json_schema_extra=bilingual(
            "产水系数",
            "Runoff coefficient",
            "水资源总量 ÷ 降水量（无量纲）；默认 0.47 为湖北多年平均的估计，未核对。",
            "Water resources ÷ precipitation (no unit); default 0.47, an unverified mean of Hubei.",
        ),
    )
    offroad_speed_kmh: float = Field(
        20.0,
        ge=1.0,
        le=60.0,
        json_schema_extra=bilingual(
            "道路以外速度（km/h）",
            "Off-road speed (km/h)",
            "道路以外的通行速度，它决定区位结果；步行约 5。",
            "Travel speed off the roads; it decides the location factor; walking is about 5.",
        ),
    )
    location_row: Literal["province", "county"] = Field(
        "province",
        json_schema_extra=bilingual(
            "区位评价级别",
            "Level of location",
            "province：到省域中心城市的分钟数（省级评价）；county：到最近市县驻地（市县评价）。",
            "province: minutes to the province's centre city; county: minutes to the nearest city or county seat.",
        ),
    )
    apply_relief: bool = Field(
        True,
        json_schema_extra=bilingual(
            "起伏度修正",
            "Correct by relief",
            "是否做起伏度修正；像元大于 150 m 时起伏度只是近似，可关闭。",
            "Correct by local relief; above 150 m cells relief is a proxy and can be switched off.",
        ),
    )
    apply_location: bool = Field(
        True,
        json_schema_extra=bilingual(
            "区位修正",
            "Correct by location",
            "是否做区位修正；关闭则区位列为未评价。",
            "Correct by location; if off, location is listed as not assessed.",
        ),
    )
    water_passable: bool = Field(
        False,
        json_schema_extra=bilingual(
            "水面可通行",
            "Water can be crossed",
            "水面是否可按道路以外速度通行；默认只能经道路（桥）过水。",
            "Whether water surfaces are crossed at the off-road speed; by default only where a road crosses.",
        ),
    )
    location_coarsen: int = Field(
        1,
        ge=1,
        le=9,
        json_schema_extra=bilingual(
            "区位格网放大倍数",
            "Coarser grid for location",
            "通行时间在多大的像元上计算：1 为本格网；30 m 格网取 3 即 90 m，快约九倍，少数像元等级不同。",
            "Cells on which travel time is solved: 1 the run's own; 3 makes 30 m to 90 m, about nine times faster, a few "
            "cells change their grade.",
        ),
    )
    apply_patches: bool = Field(
        True,
        json_schema_extra=bilingual(
            "集中连片修正",
            "Correct by patches",
            "是否按地块集中连片度修正，最多一级。",
            "Correct by the area of connected patches, one grade at most.",
        ),
    )


class UrbanSuitability:
    """Urban construction suitability (城镇建设适宜性评价) on the factors that the catalogue carries.

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "urban-suitability"
    version: ClassVar[str] = "2.0.0"
    title: ClassVar[Text] = Text(zh="城镇建设适宜性评价", en="Urban construction suitability")
    description: ClassVar[Text] = Text(
        zh="按双评价指南（2019）由土地、水资源、灾害、大气、舒适度、水域、区位和集中连片度评价城镇建设适宜性，三级；缺少的因子列为未评价。",
        en="Suitability for towns in three classes from land, water resources, hazard, air, comfort, water surfaces, location "
        "and patches (dual evaluation guide, 2019); factors without data are listed as not assessed.",
    )
    method: ClassVar[str] = (
        "双评价技术指南（2019-07）城镇建设适宜性：单项评价、判别矩阵、逐项修正；docs/methods/urban-suitability.md"
    )
    parameters: ClassVar[type[Parameters]] = UrbanSuitabilityParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("dem", "dem", "raster", Text(zh="数字高程模型", en="Elevation model")),
        InputSpec("rain", "rain-monthly", "raster", Text(zh="月降水", en="Monthly rain"), resampling="bilinear"),
        InputSpec(
            "temperature",
            "temperature-monthly",
            "raster",
            Text(zh="月气温", en="Monthly temperature"),
            True,
            "bilinear",
        ),
        InputSpec(
            "humidity", "humidity-monthly", "raster", Text(zh="月相对湿度", en="Monthly humidity"), True, "bilinear"
        ),
        InputSpec("wind", "wind", "raster", Text(zh="风", en="Wind"), True, "bilinear"),
        InputSpec(
            "geohazard", "geohazard", "raster", Text(zh="地质灾害易发性", en="Geological hazard"), True, "nearest"
        ),
        InputSpec("counties", "counties", "vector", Text(zh="县级单元", en="County units"), True, extent="whole"),
        InputSpec("lakes", "lakes", "vector", Text(zh="湖泊水面", en="Lakes"), True, extent="whole"),
        InputSpec(
            "rivers", "yangtze-han", "vector", Text(zh="长江汉江水面", en="River surfaces"), True, extent="whole"
        ),
        InputSpec("roads", "roads", "vector", Text(zh="道路", en="Roads"), True, extent="whole"),
        InputSpec("seats", "seats", "vector", Text(zh="驻地", en="Seats"), True, extent="whole"),
    )
    base: ClassVar[str] = "dem"
    short_cells: ClassVar[int] = 600_000
    result_theme: ClassVar[tuple[str, ...]] = ("results", "suitability")
    rasters: ClassVar[Mapping[str, Text]] = {
        "class": title,
        "factors": Text(zh="城镇建设适宜性单项指标", en="Factors of urban construction suitability"),
    }

    def __init__(self, block: int = 1024) -> None:
        self.block = block

    def run(
        self, inputs: Inputs, parameters: UrbanSuitabilityParameters, outputs: Outputs, progress: Progress
    ) -> AnalysisResult:
        """Assess every cell of the run's grid.

        Returns
        -------
        AnalysisResult
            Rasters ``class`` (uint8: class, grade, reason, patch level) and ``factors`` (float32, one band a factor);
            tables ``by_county``, ``totals``, ``by_reason``, ``parameters``.

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
            progress=lambda share, text: progress(0.35 * share, text),
            by_unit=False,
        )
        assembly = urban_assessment(inputs, parameters, prepared)
        chain = assembly.assessment.chain
        codes = self._grade(inputs, parameters, prepared, assembly, outputs, progress)
        progress(0.9, "分县统计 statistics by county")
        result = AnalysisResult(
            factors=assembly.factors,
            tables=tables(codes, inputs.grid, inputs.frames.get("counties"), chain)
            | {"parameters": parameter_rows(parameters, prepared.urban)},
            notes=notes(inputs, parameters, prepared.urban, cell_m=prepared.cell_m),
            explanations={"class": Explanation("factors", chain.document())},
        )
        progress(1.0, "完成 done")
        return result

    def _grade(
        self,
        inputs: Inputs,
        parameters: UrbanSuitabilityParameters,
        prepared: Prepared,
        assembly: Assembly,
        outputs: Outputs,
        progress: Progress,
    ) -> NDArray[np.uint8]:
        """Write both rasters; class + 4 × reason of every cell, memory-mapped."""
        a, shape = assembly.assessment, inputs.grid.shape.yx
        bands = class_bands(a.chain, SUITABILITY, patch=assembly.patch is not None, knock_outs=None)
        result = outputs.raster(
            "class", bands=bands, dtype="uint8", nodata=0, title=self.title, style=class_style(SUITABILITY, bands)
        )
        detail = outputs.raster(
            "factors",
            bands=assembly.bands,
            dtype="float32",
            nodata=float("nan"),
            title=self.rasters["factors"],
            style=assembly.style,
        )
        try:
            kept = factor_pass(
                inputs,
                prepared.terrain,
                [a],
                masks=prepared.masks,
                rasters={a.id: detail},
                block=self.block,
                threads=inputs.threads,
                scheduler=inputs.scheduler,
                progress=lambda s: progress(0.35 + 0.4 * s, "单项评价与判别 factors and chain"),
            )
        except LayerEmpty as error:
            if parameters.bbox is None:
                raise
            raise InvalidParameter(
                f"bbox {list(parameters.bbox)} 内没有有效高程：{error.zh}",
                f"no elevation in bbox {list(parameters.bbox)}: {error.en}",
                parameter="bbox",
                value=list(parameters.bbox),
            ) from error
        late = {a.id: patch_levels(assembly, kept, prepared, inputs.threads)} if assembly.patch is not None else {}
        codes: NDArray[np.uint8] = scratch_array(inputs.scratch, "codes", shape, np.uint8)

        def settle(window: Window, arrays: Arrays) -> None:
            row, col, height, width = window
            for number, band in enumerate(bands, start=1):
                result.put(arrays[band.name], band=number)
            codes[row : row + height, col : col + width] = arrays["codes"]

        finish_pass(
            [a],
            kept,
            late=late,
            combine=_Combine(a.id, result.encoder),
            on_result=settle,
            shape=shape,
            block=self.block,
            threads=inputs.threads,
            scheduler=inputs.scheduler,
            inside=prepared.inside,
            progress=lambda s: progress(0.75 + 0.15 * s, "集成 integration"),
        )
        return codes


@dataclass(frozen=True)
class _Combine:
    """One block of pass 2: the bands of the result, encoded, and ``codes`` = class + 4 × reason, uint8."""

    name: str
    encoder: Encoder

    def __call__(self, window: Window, found: Mapping[str, Finished], given: Arrays) -> Arrays:
        row, col = window[:2]
        one = found[self.name]
        shown = {"class": one.suitability, "grade": one.grade, "reason": one.reason, "patch": one.patch}
        encoded = {name: self.encoder(row, col, values) for name, values in shown.items() if values is not None}
        return encoded | {"codes": one.suitability + np.uint8(4) * one.reason}
