"""Agricultural suitability put together (农业生产适宜性, 种植业): inputs → factors → chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.agriculture import (
    WaterIndicator,
    agricultural_chain,
    agricultural_factors,
    agricultural_knock_outs,
    unirrigated_precipitation,
)
from analyses.assembly import RAMP, Assembly, Landform, Prepared, annual_rain, factor_bands, factor_list
from analyses.assessment import Assessment, Block, Given, Source
from analyses.blocks import Window
from analyses.climate import dryness, turc_potential
from analyses.fields import Field, Values, band_of, values_of
from analyses.hazards import meteorological_hazard
from analyses.preparation import Units
from analyses.rules import AgriculturalRules, agricultural_rules
from analyses.soil import silt_content, soil_environment
from analyses.sources import AccumulatedTemperature, FromField, OfTerrain, onto
from spatial.catalog import Text
from spatial.errors import QualityViolation
from spatial.jobs.contract import Inputs
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = ["agricultural_assessment"]

_FREQUENCIES = {"rain": "waterlogging", "heat": "heat", "cold": "cold", "wind": "gale", "drought": "drought"}


def _among(land_use: Values, codes: tuple[int, ...], block: Block) -> NDArray[np.bool_]:
    return np.isin(land_use.block(*block.window), codes)


@dataclass(frozen=True)
class SoilEnvironment:
    """Soil environment (土壤环境): class of the worst metal by the limits of paddy where there is paddy, else of dryland."""

    dryland: Field
    paddy: Field
    land_use: Values | None
    paddy_codes: tuple[int, ...]

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, 1, 3 or 5."""
        dry = self.dryland.block(*block.window)
        if self.land_use is None:
            return dry
        return np.where(_among(self.land_use, self.paddy_codes, block), self.paddy.block(*block.window), dry)


@dataclass(frozen=True)
class Unirrigated:
    """Annual precipitation where the land is not paddy, for the knock-out «below 200 mm and no irrigation»."""

    rain: FromField
    land_use: Values | None
    paddy_codes: tuple[int, ...]

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, mm; NaN where irrigated."""
        paddy = None if self.land_use is None else _among(self.land_use, self.paddy_codes, block)
        return unirrigated_precipitation(self.rain(block), paddy)


@dataclass(frozen=True)
class _Quota:
    """Modulus of the water quota (用水总量控制指标模数) of the unit that holds each cell, m³/km²."""

    units: Units
    moduli: NDArray[np.float32]

    def __call__(self, window: Window) -> NDArray[np.float32]:
        row, col, height, width = window
        return self.moduli[np.asarray(self.units.numbers[row : row + height, col : col + width])]


def agricultural_assessment(inputs: Inputs, parameters: Any, prepared: Prepared) -> Assembly:
    """The agricultural assessment of a run: every factor that the inputs carry."""
    rules = agricultural_rules(inputs.rules)
    specs = agricultural_factors(rules)
    names: dict[str, WaterIndicator] = {
        "precipitation": "precipitation",
        "dryness": "dryness",
        "quota": "water-quota",
    }
    water = names[parameters.water_indicator]
    land_use = values_of(inputs.rasters["land_use"], method="nearest") if "land_use" in inputs.rasters else None
    sources: dict[str, Source] = {}
    said: dict[str, Text] = {}
    chosen = Text(zh="三个水资源指标选一，本次未选", en="one of three water indicators is chosen, not this one")
    missing = {name: chosen for name in ("precipitation", "dryness", "water-quota") if name != water}
    off = Text(zh="按参数关闭", en="switched off by parameter")
    if prepared.surface is not None:
        sources["water-surface"] = Given("surface")
        said["water-surface"] = Text(zh="湖泊与河流图层", en="lakes and rivers layers")
    sources["slope"] = OfTerrain("slope")
    said["slope"] = Text(zh="Horn 法，按行取米制像元", en="Horn, metres by row")
    if "soil" in inputs.rasters:
        raster = inputs.rasters["soil"]
        silt = silt_content(
            raster.source(band=band_of(raster, "silt")),
            rules.silt.plausible,
            layer=raster.layer_id,
            declared=raster.unit,
        )
        sources["silt"] = FromField(Field(silt, *raster.axes(), "bilinear"), step=rules.silt.step)
        said["silt"] = Text(zh="土壤质地图层的粉砂含量", en="silt of the soil texture layer")
    rain = annual_rain(inputs, prepared.urban.water.plausible_annual_precipitation_mm, step=rules.precipitation.step)
    masks: dict[str, Any] = {}
    _water(inputs, prepared, rules, water, rain, sources, said, masks)
    if prepared.temperature is not None:
        heat = rules.accumulated_temperature
        sources["accumulated-temperature"] = AccumulatedTemperature(prepared.temperature, heat.lapse_c_per_100m)
        said["accumulated-temperature"] = Text(
            zh=f"月均温求和，先按 {heat.lapse_c_per_100m:g} ℃/100 m 订正再累加",
            en=f"from monthly means, the lapse of {heat.lapse_c_per_100m:g} ℃ per 100 m applied before summing",
        )
    if "soil_quality" in inputs.rasters:
        sources["soil-environment"] = _soil(inputs, rules, land_use)
        said["soil-environment"] = Text(
            zh="GB 15618-2018，最差重金属；水田与其他农用地分列" + ("" if land_use else "；缺土地利用，全部按其他"),
            en="GB 15618-2018, the worst metal; paddy apart" + ("" if land_use else "; no land use: all as other land"),
        )
    missing["salinity"] = Text(
        zh="没有地下水图层；湖北盐渍化轻微，按未评价列出",
        en="no groundwater layer; slight in Hubei, listed as not assessed",
    )
    if "meteorological_hazards" in inputs.rasters:
        raster = inputs.rasters["meteorological_hazards"]
        frequency = {name: raster.source(band=band_of(raster, band)) for name, band in _FREQUENCIES.items()}
        level = meteorological_hazard(frequency, rules.meteorological_hazard, layer=raster.layer_id)
        sources["meteorological-hazard"] = FromField(Field(level, *raster.axes(), "nearest"))
        said["meteorological-hazard"] = Text(zh="五种灾害频率加权", en="weighted frequency of five hazards")
    patches = bool(parameters.apply_patches)
    if patches:
        said["patch"] = Text(
            zh="按面积分级，8 邻接，最多修正一级", en="by area of 8-connected patches, one grade at most"
        )
    else:
        missing["patch"] = off
    chain = agricultural_chain(
        rules,
        {*sources, *({"patch"} if patches else set())},
        water=water,
        passed_over=("silt", "soil-environment", "meteorological-hazard"),
    )
    sources["unirrigated-precipitation"] = Unirrigated(rain, land_use, rules.soil_environment.paddy_codes)
    knocked = agricultural_knock_outs(rules, sources)
    kept: dict[str, tuple[Source, str]] = {}
    if patches:
        kept["landform"] = (Landform(rules.patch), "uint8")
    if "soil-environment" in sources:
        kept["soil"] = (_Whole(sources["soil-environment"]), "uint8")
    assessment = Assessment(
        "agriculture",
        rules.title,
        chain,
        sources,
        late="patch" if patches else None,
        land="silt" if "silt" in sources else "slope",
        knock_outs=knocked,
        kept=kept,
    )
    return Assembly(
        assessment,
        factor_list(specs, said, missing, {}, inputs, "agriculture."),
        factor_bands(sources, {spec.id: spec for spec in specs}),
        RAMP,
        patch=rules.patch if patches else None,
        masks=masks,
    )


@dataclass(frozen=True)
class _Whole:
    """A class factor as whole numbers, 0 = no value."""

    source: Source

    def __call__(self, block: Block) -> NDArray[Any]:
        return np.asarray(np.nan_to_num(self.source(block)))


def _soil(inputs: Inputs, rules: AgriculturalRules, land_use: Values | None) -> SoilEnvironment:
    raster = inputs.rasters["soil_quality"]
    ph = raster.source(band=band_of(raster, "ph"))
    metals = {name: raster.source(band=band_of(raster, name)) for name in rules.soil_environment.metals}
    fields = [
        Field(
            soil_environment(metals, ph, np.full(ph.shape, flag), rules.soil_environment, layer=raster.layer_id),
            *raster.axes(),
            "nearest",
        )
        for flag in (False, True)
    ]
    return SoilEnvironment(fields[0], fields[1], land_use, rules.soil_environment.paddy_codes)


def _water(
    inputs: Inputs,
    prepared: Prepared,
    rules: AgriculturalRules,
    water: str,
    rain: FromField,
    sources: dict[str, Source],
    said: dict[str, Text],
    masks: dict[str, Any],
) -> None:
    if water == "precipitation":
        sources["precipitation"] = rain
        said["precipitation"] = Text(zh="十二个月之和", en="sum of twelve months")
    elif water == "dryness" and prepared.temperature is not None:
        climate = prepared.temperature
        raster = inputs.rasters["rain"]
        total = np.sum([raster.source(band=m) for m in range(1, 13)], axis=0, dtype=np.float64)
        evaporation = turc_potential(climate.monthly.mean(axis=0))
        index = dryness(evaporation, onto(total, *raster.axes(), climate), step=rules.dryness.step or 2.0**-10)
        sources["dryness"] = FromField(Field(index, climate.rows, climate.cols, "bilinear"), step=rules.dryness.step)
        said["dryness"] = Text(
            zh="蒸发能力按 Turc 公式由年均温估算 ÷ 年降水", en="evaporative capacity by Turc's formula ÷ annual rain"
        )
    elif water == "water-quota" and prepared.units is not None and "capacity" in inputs.frames:
        quota = _Quota(prepared.units, _moduli(inputs, prepared.units))
        masks["quota"] = quota
        sources["water-quota"] = Given("quota")
        said["water-quota"] = Text(
            zh="用水总量控制指标 ÷ 单元面积，单元内取同一值", en="quota of the unit ÷ its area, one value a unit"
        )


def _moduli(inputs: Inputs, units: Units) -> NDArray[np.float32]:
    """m³/km² by unit number; NaN for cells of no unit and units without a quota."""
    table = inputs.frames["capacity"]
    lacking = [c for c in ("code", "water_total_m3") if c not in table.columns]
    if lacking:
        raise QualityViolation(
            f"图层 county-capacity 缺少字段 {'、'.join(lacking)}，请补充",
            f"layer county-capacity has no field {', '.join(lacking)}; add it",
            layer="county-capacity",
        )
    totals = dict(zip(table["code"].astype(str), table["water_total_m3"].astype(float), strict=True))
    areas = geodesic_areas(inputs.frames["counties"].geometry.array) / 1e6
    moduli = [np.nan, *(totals.get(code, np.nan) / area for code, area in zip(units.codes, areas, strict=True))]
    return np.array(moduli, dtype=np.float32)
