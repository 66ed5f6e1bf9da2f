"""Urban construction suitability put together (城镇建设适宜性): inputs → factors → chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.assembly import NO_PATH_MIN, RAMP, Assembly, Landform, Prepared, annual_rain, factor_bands, factor_list
from analyses.assessment import Assessment, Block, Given, Source
from analyses.climate import MONTHS, air_capacity, humidity_share
from analyses.fields import Values, band_of, values_of
from analyses.grading import WORST, GradeTable
from analyses.rules import Range
from analyses.sources import Comfort, OfTerrain, climate_of
from analyses.stations import FactorSpec
from analyses.urban import urban_chain, urban_factors, urban_knock_outs
from spatial.catalog import Text
from spatial.jobs.contract import Inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.rules import UrbanRules

__all__ = ["urban_assessment"]


@dataclass(frozen=True)
class Air:
    """Air environment capacity (大气环境容量): the worse grade of calm days and mean wind."""

    calm: Values
    speed: Values
    calm_table: GradeTable
    speed_table: GradeTable

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, grade 1–5."""
        return air_capacity(
            self.calm.block(*block.window),
            self.speed.block(*block.window),
            calm=self.calm_table,
            speed=self.speed_table,
        )


@dataclass(frozen=True)
class HazardLevel:
    """Level of geological hazard (地质灾害危险性), 1 极高 … 5 低, refused outside: percents or codes from 0 are no levels."""

    values: Values
    layer: str

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, level 1–5; NaN = no value."""
        found = self.values.block(*block.window)
        Range(min=1, max=WORST).require(
            found, what=Text(zh="灾害级别", en="hazard level"), unit="1 极高 – 5 低", layer=self.layer
        )
        return found


def urban_assessment(inputs: Inputs, parameters: Any, prepared: Prepared) -> Assembly:
    """The urban assessment of a run: every factor that the inputs carry."""
    rules = prepared.urban
    specs = urban_factors(rules)
    sources: dict[str, Source] = {}
    said: dict[str, Text] = {}
    missing: dict[str, Text] = {}
    off = Text(zh="按参数关闭", en="switched off by parameter")
    if prepared.surface is not None:
        lakes, rivers = (inputs.versions.get(layer, "") for layer in ("lakes", "yangtze-han"))
        sources["water-surface"] = Given("surface")
        said["water-surface"] = Text(
            zh=f"湖泊 {lakes or '缺'}，长江汉江 {rivers or '缺'}",
            en=f"lakes {lakes or 'missing'}, rivers {rivers or 'missing'}",
        )
    sources["slope"] = OfTerrain("slope")
    said["slope"] = Text(zh="Horn 法，按行取米制像元", en="Horn, metres by row")
    sources["elevation"] = OfTerrain("elevation")
    said["elevation"] = Text(zh="湖北最高 3106 m，此修正不起作用", en="inert in Hubei (highest 3106 m)")
    proxy = prepared.cell_m > rules.relief.proxy_above_cell_m
    if parameters.apply_relief:
        side = prepared.terrain.side
        sources["relief"] = OfTerrain("relief")
        said["relief"] = Text(
            zh=f"{side}×{side} 移动窗口" + ("；像元偏大，只是近似" if proxy else ""),
            en=f"{side}×{side} moving window" + ("; a proxy at this cell size" if proxy else ""),
        )
    else:
        missing["relief"] = off
    sources["water"] = annual_rain(
        inputs,
        rules.water.plausible_annual_precipitation_mm,
        times=parameters.runoff_coefficient * 1e3,  # 1 mm on 1 km² is 10³ m³
        step=rules.water.step,
    )
    said["water"] = Text(
        zh=f"年降水 × 产水系数 {parameters.runoff_coefficient:g}",
        en=f"annual rain × runoff coefficient {parameters.runoff_coefficient:g}",
    )
    missing["water-quota"] = Text(
        zh="市县评价用；本次用水资源总量模数", en="for cities and counties; the modulus is used here"
    )
    _hazards(inputs, sources, said)
    _air(inputs, rules, sources, said)
    _comfort(inputs, rules, prepared, sources, said)
    if prepared.travel is None:
        missing["location"] = prepared.why_no_travel or off
    else:
        row = rules.location.rows[parameters.location_row]
        crossing_zh = "可通行" if parameters.water_passable else "不可通行（桥除外）"
        crossing_en = "passable" if parameters.water_passable else "impassable except on roads"
        times = parameters.location_coarsen
        coarse_zh = "" if times == 1 else f"；在 {times} 倍像元上计算"
        coarse_en = "" if times == 1 else f"; solved on cells {times} times as large"
        sources["location"] = Given("minutes")
        said["location"] = Text(
            zh=f"{row.title.zh}；道路以外 {parameters.offroad_speed_kmh:g} km/h；水面{crossing_zh}{coarse_zh}"
            f"；无路可达处记 {NO_PATH_MIN:g} min",
            en=f"{row.title.en}; off-road {parameters.offroad_speed_kmh:g} km/h; water surfaces "
            f"{crossing_en}{coarse_en}; {NO_PATH_MIN:g} min where no path leads",
        )
    patches = bool(parameters.apply_patches)
    if patches:
        said["patch"] = Text(
            zh="按面积分级，8 邻接，最多修正一级", en="by area of 8-connected patches, one grade at most"
        )
    else:
        missing["patch"] = off
    available = {*sources, *({"patch"} if patches else set())}
    chain = urban_chain(rules, available, water="water", location_row=parameters.location_row)
    knocked = urban_knock_outs(rules, sources)
    assessment = Assessment(
        "urban",
        rules.title,
        chain,
        sources,
        late="patch" if patches else None,
        land="relief" if "relief" in sources else "elevation",
        knock_outs=knocked,
        kept={"landform": (Landform(rules.patch), "uint8")} if patches else {},
    )
    by_id: dict[str, FactorSpec] = {spec.id: spec for spec in specs}
    return Assembly(
        assessment,
        factor_list(specs, said, missing, {}, inputs, ""),
        factor_bands(sources, by_id),
        RAMP,
        patch=rules.patch if patches else None,
    )


def _hazards(inputs: Inputs, sources: dict[str, Source], said: dict[str, Text]) -> None:
    if "geohazard" in inputs.rasters:
        raster = inputs.rasters["geohazard"]
        sources["geohazard"] = HazardLevel(values_of(raster, method="nearest"), raster.layer_id)
        said["geohazard"] = Text(
            zh="崩滑流易发性图层；地面塌陷、地面沉降、断裂没有图层，未计入",
            en="landslide susceptibility layer; collapse, subsidence and faults have no layer and are left out",
        )


def _air(inputs: Inputs, rules: UrbanRules, sources: dict[str, Source], said: dict[str, Text]) -> None:
    if "wind" not in inputs.rasters:
        return
    raster = inputs.rasters["wind"]
    at_speed, at_calm = band_of(raster, "mean_speed"), band_of(raster, "calm_share")
    speed, calm = values_of(raster, band=at_speed), values_of(raster, band=at_calm)
    rules.air.wind_plausible.require(
        raster.source(band=at_speed), what=Text(zh="平均风速", en="mean wind speed"), unit="m/s", layer=raster.layer_id
    )
    rules.air.calm_plausible.require(
        raster.source(band=at_calm),
        what=Text(zh="静风日数占比", en="share of calm days"),
        unit="%",
        layer=raster.layer_id,
    )
    sources["air"] = Air(calm, speed, rules.air.calm_percent, rules.air.wind_speed)
    said["air"] = Text(zh="静风日数占比与平均风速取较差者", en="the worse of calm days and mean wind speed")


def _comfort(
    inputs: Inputs, rules: UrbanRules, prepared: Prepared, sources: dict[str, Source], said: dict[str, Text]
) -> None:
    if prepared.temperature is None or "humidity" not in inputs.rasters:
        return
    raster = inputs.rasters["humidity"]
    months = np.stack([raster.source(band=m) for m in range(1, MONTHS + 1)])
    share = humidity_share(
        months, rules.comfort.plausible_humidity_percent, layer=raster.layer_id, declared=raster.unit
    )
    humid = climate_of(raster, share, np.zeros(share.shape[1:]))
    sources["comfort"] = Comfort(prepared.temperature, humid, rules.comfort.thi, rules.comfort.lapse_c_per_100m)
    said["comfort"] = Text(
        zh=f"温湿指数，十二个月的众数；直减率 {rules.comfort.lapse_c_per_100m:g} ℃/100 m",
        en=f"THI, mode of twelve months; lapse rate {rules.comfort.lapse_c_per_100m:g} ℃ per 100 m",
    )
