"""Urban construction suitability (城镇建设适宜性): land × water, corrected by water surface and location, by blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from analyses.decision import DecisionTable
from analyses.location import TravelTime, centres, travel_time
from analyses.masks import burn, scratch_array
from analyses.rules import UrbanRules, urban_rules
from analyses.terrain import cell_size, local_relief, relief_side, slope_horn
from analyses.urban_result import CLASS_STYLE, FACTOR_BANDS, FACTOR_STYLE, RESULT_BANDS, factors, notes, tables
from spatial.catalog import Text
from spatial.errors import CRSMismatch, GridMismatch, InvalidParameter, LayerEmpty, QualityViolation
from spatial.jobs.contract import (
    AnalysisResult,
    Inputs,
    InputSpec,
    Outputs,
    Parameters,
    Progress,
    RasterInput,
    bilingual,
)

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["UrbanSuitability", "UrbanSuitabilityParameters"]

MONTHS = 12
WATER_ROLES = ("lakes", "rivers")


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


@dataclass(frozen=True)
class _Run:
    """What every block of one run needs."""

    inputs: Inputs
    parameters: UrbanSuitabilityParameters
    rules: UrbanRules
    decision: DecisionTable
    side: int
    inside: NDArray[np.uint8] | None
    surface: NDArray[np.uint8] | None
    travel: TravelTime | None


class UrbanSuitability:
    """Urban construction suitability (城镇建设适宜性评价) on the factors that the catalogue carries.

    Parameters
    ----------
    block : int
        Side of a block in cells. It sets the memory of a run, never its result.
    """

    id: ClassVar[str] = "urban-suitability"
    version: ClassVar[str] = "1.0.0"
    title: ClassVar[Text] = Text(zh="城镇建设适宜性评价", en="Urban construction suitability")
    description: ClassVar[Text] = Text(
        zh="按双评价指南（2019）由坡度、高程、起伏度、水资源、水域和区位评价城镇建设适宜性，三级；缺少的因子列为未评价。",
        en="Suitability for towns in three classes from slope, elevation, relief, water resources, water surfaces and "
        "location (dual evaluation guide, 2019); factors without data are listed as not assessed.",
    )
    method: ClassVar[str] = (
        "双评价技术指南（2019-07）城镇建设适宜性：单项评价、判别矩阵、逐项修正；docs/methods/urban-suitability.md"
    )
    parameters: ClassVar[type[Parameters]] = UrbanSuitabilityParameters
    inputs: ClassVar[tuple[InputSpec, ...]] = (
        InputSpec("dem", "dem", "raster", Text(zh="数字高程模型", en="Elevation model")),
        InputSpec("rain", "rain-monthly", "raster", Text(zh="月降水", en="Monthly rain"), resampling="bilinear"),
        InputSpec("counties", "counties", "vector", Text(zh="县级单元", en="County units"), True, extent="whole"),
        InputSpec("lakes", "lakes", "vector", Text(zh="湖泊水面", en="Lakes"), True, extent="whole"),
        InputSpec(
            "rivers", "yangtze-han", "vector", Text(zh="长江汉江水面", en="River surfaces"), True, extent="whole"
        ),
        InputSpec("roads", "roads", "vector", Text(zh="道路", en="Roads"), True, extent="whole"),
        InputSpec("seats", "seats", "vector", Text(zh="驻地", en="Seats"), True, extent="whole"),
    )
    base: ClassVar[str] = "dem"
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
            Rasters ``class`` (uint8: class, grade, reason) and ``factors`` (float32: slope, relief, water modulus, and
            minutes if any cell is reached); tables ``by_county``, ``totals``, ``by_reason``, ``parameters``.

        Raises
        ------
        CRSMismatch, GridMismatch
            If the run's grid is not north up in EPSG:4490, or a reader does not keep to it.
        LayerEmpty
            If the elevation model has no data in the window.
        QualityViolation
            For values outside the plausible range (wrong unit), or a layer without the field that its role needs.
        """
        _check_grid(inputs)
        rules = urban_rules(inputs.rules)
        progress(0.0, "读取边界与水面 limits and water surfaces")
        inside = self._mask(inputs, ("counties",), "inside", all_touched=True)
        if inside is not None and not inside.any():
            raise InvalidParameter(
                "所选范围内没有县级单元，请把 bbox 移到省域内",
                "no county unit lies in this window; move bbox into the province",
                parameter="bbox",
                value=None if parameters.bbox is None else list(parameters.bbox),
            )
        surface = self._mask(inputs, WATER_ROLES, "surface", all_touched=False)
        progress(0.05, "计算通行时间 travel time")
        travel, why_not = self._travel(
            inputs, parameters, rules, lambda s: progress(0.05 + 0.3 * s, "计算通行时间 travel time")
        )
        size = cell_size(inputs.grid.affine.f, -inputs.grid.affine.e, inputs.grid.affine.a, 0, inputs.grid.shape.y)
        cell_m = float(np.sqrt(size.x.mean() * size.y.mean()))
        state = _Run(
            inputs,
            parameters,
            rules,
            DecisionTable(rules, location_assessed=travel is not None),
            relief_side(cell_m, rules.relief.window_area_ha, rules.relief.minimum_side),
            inside,
            surface,
            travel,
        )
        codes = self._blocks(state, outputs, progress)
        progress(0.9, "分县统计 statistics by county")
        counties = inputs.frames.get("counties")
        result = AnalysisResult(
            factors=factors(inputs, parameters, rules, location_note=why_not, relief_side=state.side, cell_m=cell_m),
            tables=tables(codes, inputs.grid, counties, parameters, rules),
            notes=notes(inputs, parameters, rules, cell_m=cell_m),
        )
        progress(1.0, "完成 done")
        return result

    def _mask(
        self, inputs: Inputs, roles: tuple[str, ...], name: str, *, all_touched: bool
    ) -> NDArray[np.uint8] | None:
        frames = [inputs.frames[role] for role in roles if role in inputs.frames]
        if not frames:
            return None
        mask: NDArray[np.uint8] = scratch_array(inputs.scratch, name, inputs.grid.shape.yx, np.uint8)
        for frame in frames:
            burn(mask, inputs.grid.affine, frame.geometry.array, [1] * len(frame), all_touched=all_touched)
        return mask

    def _travel(
        self, inputs: Inputs, parameters: UrbanSuitabilityParameters, rules: UrbanRules, progress: Any
    ) -> tuple[TravelTime | None, Text | None]:
        """Travel time, or why location is not assessed."""
        if not parameters.apply_location:
            return None, Text(zh="按参数关闭", en="switched off by parameter")
        frames: dict[str, geopandas.GeoDataFrame] = dict(inputs.frames)
        lacking = [spec for spec in self.inputs if spec.role in {"roads", "seats"} and spec.role not in frames]
        if lacking:
            return None, Text(
                zh=f"缺少输入：{'、'.join(s.title.zh for s in lacking)}",
                en=f"missing input: {', '.join(s.title.en for s in lacking)}",
            )
        row = rules.location.rows[parameters.location_row]
        seats = centres(frames["seats"], row.centres, self._layer("seats"))
        if seats.empty:
            return None, Text(zh="驻地图层中没有所需级别的中心", en="the seats layer has no centre of this level")
        travel = travel_time(
            inputs.grid,
            seats=seats,
            roads=frames["roads"],
            road_layer=self._layer("roads"),
            speeds_kmh=rules.speeds.roads,
            offroad_kmh=parameters.offroad_speed_kmh,
            barriers=() if parameters.water_passable else [frames[r] for r in WATER_ROLES if r in frames],
            extent=[frames[r] for r in ("counties", "roads", "seats") if r in frames],
            cover_window="counties" not in frames,
            scratch=inputs.scratch,
            tile=self.block,
            progress=progress,
        )
        return travel, None

    def _layer(self, role: str) -> str:
        return next(spec.layer for spec in self.inputs if spec.role == role)

    def _blocks(self, state: _Run, outputs: Outputs, progress: Progress) -> NDArray[np.uint8]:
        """Write both rasters block by block; class + 4 × reason of every cell, memory-mapped."""
        grid = state.inputs.grid
        blocks = list(self._windows(*grid.shape.yx))
        # A layer has no empty band: without a time anywhere there is no band of times.
        timed = any(_reached(state, *block) for block in blocks)
        result = outputs.raster(
            "class", bands=RESULT_BANDS, dtype="uint8", nodata=0, title=self.title, style=CLASS_STYLE
        )
        detail = outputs.raster(
            "factors",
            bands=FACTOR_BANDS if timed else FACTOR_BANDS[:-1],
            dtype="float32",
            nodata=float("nan"),
            title=Text(zh="城镇建设适宜性单项指标", en="Factors of urban construction suitability"),
            style=FACTOR_STYLE,
        )
        codes: NDArray[np.uint8] = scratch_array(state.inputs.scratch, "codes", grid.shape.yx, np.uint8)
        valid = 0
        for number, (row, col, height, width) in enumerate(blocks):
            window = (slice(row, row + height), slice(col, col + width))
            if state.inside is None or state.inside[window].any():
                classes, values, elevated = _assess(state, row, col, height, width)
                valid += elevated
                for band, array in enumerate(classes, start=1):
                    result.write(row, col, array, band=band)
                for band, factor in enumerate(values if timed else values[:-1], start=1):
                    detail.write(row, col, factor, band=band)
                codes[window] = classes[0] + 4 * classes[2]
            progress(0.35 + 0.55 * (number + 1) / len(blocks), "单项评价与集成 factors and integration")
        if valid == 0:
            layer = state.inputs.rasters["dem"].layer_id
            if state.parameters.bbox is not None:
                raise InvalidParameter(
                    f"bbox {list(state.parameters.bbox)} 内图层 {layer} 没有数据，请换一个范围",
                    f"layer {layer} has no data in bbox {list(state.parameters.bbox)}; choose another one",
                    parameter="bbox",
                    value=list(state.parameters.bbox),
                    layer=layer,
                )
            raise LayerEmpty(
                f"图层 {layer} 在所选范围内没有有效高程，请换一个范围",
                f"layer {layer} has no valid elevation in this window; choose another one",
                layer=layer,
            )
        return codes

    def _windows(self, rows: int, cols: int) -> Iterator[tuple[int, int, int, int]]:
        for row in range(0, rows, self.block):
            for col in range(0, cols, self.block):
                yield row, col, min(self.block, rows - row), min(self.block, cols - col)


def _check_grid(inputs: Inputs) -> None:
    grid = inputs.grid
    if grid.crs is None or grid.crs.to_epsg() != 4490:
        raise CRSMismatch(
            f"运行格网的坐标系应为 EPSG:4490，得到 {grid.crs}", f"the run's grid must be EPSG:4490, found {grid.crs}"
        )
    a = grid.affine
    if a.b or a.d or a.a <= 0 or a.e >= 0:
        raise GridMismatch(
            f"运行格网应北向上、无旋转，得到 {tuple(a[:6])}", f"the run's grid must be north up, found {tuple(a[:6])}"
        )


def _read(raster: RasterInput, row: int, col: int, height: int, width: int, band: int = 1) -> NDArray[np.float32]:
    values = raster.read(row, col, height, width, band=band)
    if values.shape != (height, width):
        raise GridMismatch(
            f"图层 {raster.layer_id} 返回 {values.shape}，应为 {(height, width)}，请先重采样到运行格网",
            f"layer {raster.layer_id} gave {values.shape}, expected {(height, width)}; resample it to the run's grid",
            layer=raster.layer_id,
        )
    return values


def _plausible(values: NDArray[Any], low: float, high: float, raster: RasterInput, what: Text, unit: str) -> None:
    """Raise `QualityViolation` for values that a wrong unit would give."""
    if not np.isfinite(values).any():
        return
    least, most = float(np.nanmin(values)), float(np.nanmax(values))
    if least < low or most > high:
        raise QualityViolation(
            f"图层 {raster.layer_id} 的{what.zh}为 {least:g}–{most:g}，超出 {low:g}–{high:g} {unit}，"
            f"请检查单位（声明为 {raster.unit or '无'}）",
            f"layer {raster.layer_id}: {what.en} {least:g} to {most:g} is outside {low:g} to {high:g} {unit}; "
            f"check the unit (declared: {raster.unit or 'none'})",
            layer=raster.layer_id,
            unit=raster.unit,
        )


def _annual_rain(state: _Run, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
    """Mean annual precipitation (年降水量), mm: the sum of the twelve months; NaN if one is missing."""
    raster, rule = state.inputs.rasters["rain"], state.rules.water
    total = np.zeros((height, width), dtype=np.float64)
    for month in range(1, MONTHS + 1):
        total += _read(raster, row, col, height, width, band=month)
    span = rule.plausible_annual_precipitation_mm
    _plausible(total, span.min, span.max, raster, Text(zh="年降水量", en="annual precipitation"), "mm")
    return total.astype(np.float32)


def _reached(state: _Run, row: int, col: int, height: int, width: int) -> bool:
    """Whether any cell of the block that is assessed has a travel time."""
    if state.travel is None:
        return False
    known = np.isfinite(state.travel.read(row, col, height, width))
    if state.inside is not None:
        known &= state.inside[row : row + height, col : col + width] == 1
    return bool(known.any())


def _assess(
    state: _Run, row: int, col: int, height: int, width: int
) -> tuple[tuple[NDArray[np.uint8], ...], tuple[NDArray[np.float32], ...], int]:
    """Class, grade and reason; slope, relief, water modulus and minutes; number of cells with elevation: of one block."""
    rules, parameters, affine = state.rules, state.parameters, state.inputs.grid.affine
    half = max(1, state.side // 2)
    dem = state.inputs.rasters["dem"]
    around = _read(dem, row - half, col - half, height + 2 * half, width + 2 * half)
    span = rules.elevation.plausible
    _plausible(around, span.min, span.max, dem, Text(zh="高程", en="elevation"), "m")
    elevation = around[half:-half, half:-half]
    edge = half - 1
    beside = around[edge : around.shape[0] - edge, edge : around.shape[1] - edge]
    slope = slope_horn(beside, cell_size(affine.f, -affine.e, affine.a, row, height))
    relief = local_relief(around, state.side)
    # 1 mm on 1 km² is 10³ m³.
    modulus = (_annual_rain(state, row, col, height, width) * parameters.runoff_coefficient * 1e3).astype(np.float32)

    window = (slice(row, row + height), slice(col, col + width))
    minutes = np.full((height, width), np.nan, dtype=np.float32)
    location = np.zeros((height, width), dtype=np.int8)
    if state.travel is not None:
        minutes = state.travel.read(row, col, height, width)
        location = rules.location.rows[parameters.location_row].grade(minutes)
    surface = np.zeros((height, width), dtype=bool) if state.surface is None else np.asarray(state.surface[window]) == 1
    classes: tuple[NDArray[np.uint8], ...] = state.decision.look_up(
        water_surface=surface,
        slope=rules.slope.grade(slope),
        elevation_step=rules.elevation.index(elevation),
        relief_step=rules.relief.index(relief) if parameters.apply_relief else np.zeros((height, width), dtype=np.int8),
        water=rules.water.grade(modulus),
        location=location,
    )
    values: tuple[NDArray[np.float32], ...] = (
        slope,
        relief,
        modulus,
        np.where(np.isinf(minutes), np.float32(np.nan), minutes),
    )
    if state.inside is not None:
        outside = np.asarray(state.inside[window]) == 0
        classes = tuple(np.where(outside, np.uint8(0), array) for array in classes)
        values = tuple(np.where(outside, np.float32(np.nan), array) for array in values)
    return classes, values, int(np.isfinite(elevation).sum())
