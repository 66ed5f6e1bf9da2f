"""Ecological importance put together (生态保护重要性): inputs → quantities → factors → ranking → chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.assembly import RAMP, Assembly, Late, Prepared, annual_rain
from analyses.assessment import Assessment, Block, Source
from analyses.blocks import Window
from analyses.chain import Graded
from analyses.ecology import (
    EcologyPlan,
    EcologySource,
    ecological_chain,
    ecology_engine,
    fallen_out,
    ndvi_limits,
    pack,
    plan_ecology,
    unpack,
)
from analyses.ecology_rules import EcologicalRules, ecological_rules
from analyses.erosion import default_slope_length, rain_erosivity_monthly
from analyses.fields import Field, values_of
from analyses.grading import quantise
from analyses.ranking import ServiceHistogram, row_areas_dm2
from analyses.sources import Climate, FromField, OfTerrain
from spatial.catalog import Band, Text
from spatial.jobs.contract import Axis, Factor, Inputs, RasterInput
from spatial.units import cell_row_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ecological_assessment"]

_NDVI_STEP = 2.0**-10
_STRIP = 512
"""Rows counted at once. Whole numbers are added, so no strip changes the ranking."""
_NAMES = {
    "water_conservation": "water_conservation",
    "sand": "soil",
    "silt": "soil",
    "clay": "soil",
    "organic_carbon": "soil",
    "rain": "rain-monthly",
    "erosivity": "rain-monthly",
    "temperature": "temperature-monthly",
    "ndvi": "ndvi",
    "land_use": "land-use",
    "carbonate": "carbonate",
}


@dataclass(frozen=True)
class MeanTemperature:
    """Mean annual temperature (年平均气温), ℃, brought from the height of the climate cell to that of the terrain."""

    mean: Field
    reference: Field
    lapse_c_per_100m: float

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, ℃, rounded to 1/64."""
        lift = block.elevation - self.reference.block(*block.window)
        return quantise(self.mean.block(*block.window) - self.lapse_c_per_100m / 100 * lift, 2.0**-6)


@dataclass(frozen=True)
class Packed:
    """A service as whole steps, for the time between the passes."""

    source: EcologySource
    step: float

    def __call__(self, block: Block) -> NDArray[Any]:
        """uint16."""
        return pack(block.once(f"ecology/{self.source.factor}", lambda: self.source(block)), self.step)


def ecological_assessment(inputs: Inputs, parameters: Any, prepared: Prepared) -> Assembly:
    """The ecological assessment of a run: every factor that the inputs carry."""
    rules = ecological_rules(inputs.rules)
    quantities = _quantities(inputs, rules, prepared)
    plan = plan_ecology(rules, quantities, method=parameters.ecology_method)
    engine = ecology_engine(
        rules,
        plan,
        slope_length=default_slope_length(-inputs.grid.affine.e, rules),
        ndvi_limits=_ndvi_limits(inputs, rules) if "ndvi" in quantities else None,
        layers=_NAMES,
    )
    sources: dict[str, Source] = {name: EcologySource(name, engine, quantities) for name in plan.factors}
    local = ecological_chain(rules, plan, {})
    steps = {name: _step(rules, name) for name in plan.services}
    assessment = Assessment(
        "ecology",
        rules.title,
        local,
        sources,
        kept={name: (Packed(EcologySource(name, engine, quantities), steps[name]), "uint16") for name in plan.services},
    )

    def complete(assembly: Assembly, kept: Mapping[str, NDArray[Any]]) -> tuple[Assembly, Late]:
        return _ranked(assembly, kept, rules, plan, steps, prepared)

    notes = (
        Text(
            zh="服务功能按本次运行范围内的服务量排序分级：范围不同，极重要区也不同；全省评价请用全省范围。",
            en="services are ranked within the extent of this run: another extent gives other classes; "
            "assess a province over the whole province.",
        ),
    )
    return Assembly(
        assessment,
        tuple(replace(f, id=f"ecology.{f.id}") for f in plan.listed),
        tuple(_band(rules, plan, name) for name in sources),
        RAMP | {"band": plan.factors[-1], "title": {"zh": "服务量", "en": "Service"}},
        notes=notes,
        late=complete,
    )


def _step(rules: EcologicalRules, name: str) -> float:
    return float(rules.npp.step or 1.0) if name.startswith("npp_") else float(getattr(rules, name).step)


def _band(rules: EcologicalRules, plan: EcologyPlan, name: str) -> Band:
    listed: Factor = next(f for f in plan.listed if f.id == name)
    rule = getattr(rules, name, None)
    unit = getattr(rule, "unit", None) if name in plan.services else "level"
    return Band(name=name, title=listed.title, unit=unit, valid_range=(-1e9, 1e9))


def _ranked(
    assembly: Assembly,
    kept: Mapping[str, NDArray[Any]],
    rules: EcologicalRules,
    plan: EcologyPlan,
    steps: Mapping[str, float],
    prepared: Prepared,
) -> tuple[Assembly, Late]:
    """The assembly with the limits of the services, which the whole map gives, and the values of its late stations."""
    thresholds = {}
    for name in plan.services:
        histogram = ServiceHistogram(steps[name])
        packed = kept[f"ecology:{name}"]
        for row in range(0, packed.shape[0], _STRIP):
            strip = np.asarray(packed[row : row + _STRIP])
            inside = None if prepared.inside is None else np.asarray(prepared.inside[row : row + _STRIP])
            if inside is None or inside.any():
                histogram.add(unpack(strip, steps[name]), prepared.dm2[row : row + _STRIP], inside)
        thresholds[name] = histogram.thresholds(rules.ranking.extremely, rules.ranking.important)
    chain = ecological_chain(rules, plan, thresholds)
    ranked = [name for name in plan.services if thresholds.get(name) is not None]
    parameters = tuple(
        {
            "name": f"ecology.{name}.{which}",
            "value": getattr(thresholds[name], which),
            "unit": getattr(getattr(rules, name, None), "unit", None),
            "source": rules.ranking.source,
            "tag": rules.ranking.tag,
            "valid_from": rules.ranking.valid_from.isoformat(),
        }
        for name in ranked
        for which in ("extremely", "important")
    )
    done = replace(
        assembly,
        assessment=replace(assembly.assessment, chain=chain, late=ranked[0] if ranked else None),
        factors=tuple(replace(f, id=f"ecology.{f.id}") for f in fallen_out(plan, thresholds)),
        parameters=parameters,
    )

    def late(window: Window, before: Graded) -> Mapping[str, NDArray[Any]]:
        row, col, height, width = window
        cut = (slice(row, row + height), slice(col, col + width))
        return {name: unpack(np.asarray(kept[f"ecology:{name}"][cut]), steps[name]) for name in ranked}

    return done, late


def _quantities(inputs: Inputs, rules: EcologicalRules, prepared: Prepared) -> dict[str, Source]:
    found: dict[str, Source] = {"slope": OfTerrain("slope"), "relief": OfTerrain("relief")}
    rain = inputs.rasters["rain"]
    found["rain"] = annual_rain(inputs, rules.inputs["rain"].range, step=1.0)
    months = np.stack([rain.source(band=m) for m in range(1, 13)])
    found["erosivity"] = _field(rain_erosivity_monthly(months, rules.erosivity_monthly), rain)
    if prepared.temperature is not None:
        climate: Climate = prepared.temperature
        lapse = prepared.urban.comfort.lapse_c_per_100m
        found["temperature"] = MeanTemperature(
            Field(climate.monthly.mean(axis=0).astype(np.float32), climate.rows, climate.cols, "bilinear"),
            Field(climate.reference.astype(np.float32), climate.rows, climate.cols, "bilinear"),
            lapse,
        )
    if "soil" in inputs.rasters:
        for band, name in enumerate(("sand", "silt", "clay", "organic_carbon"), start=1):
            found[name] = FromField(values_of(inputs.rasters["soil"], band=band), step=2.0**-6)
    if "carbonate" in inputs.rasters:
        found["carbonate"] = FromField(values_of(inputs.rasters["carbonate"]), step=2.0**-3)
    if "ndvi" in inputs.rasters:
        found["ndvi"] = FromField(values_of(inputs.rasters["ndvi"]), step=_NDVI_STEP)
    if "land_use" in inputs.rasters:
        found["land_use"] = FromField(values_of(inputs.rasters["land_use"], method="nearest"))
    return found


def _field(values: NDArray[np.float32], raster: RasterInput) -> FromField:
    return FromField(Field(values, *raster.axes(), "bilinear"), step=1.0)


def _counted(inputs: Inputs, rules: EcologicalRules, raster: RasterInput) -> NDArray[np.uint8] | None:
    """0 for cells of the raster whose centre is land that does not tell of vegetation (water), by land use."""
    if "land_use" not in inputs.rasters:
        return None
    land_use = inputs.rasters["land_use"]
    codes = land_use.source()
    rows, cols = raster.axes()
    to_row, to_col = land_use.axes()

    def at(axis: Axis, other: Axis, count: int) -> NDArray[np.int64]:
        cell = (np.arange(count) - axis.start) / axis.step * other.step + other.start
        return np.floor(np.round(cell, 9) + 0.5).astype(np.int64)

    i, j = at(rows, to_row, raster.source_shape[0]), at(cols, to_col, raster.source_shape[1])
    held = codes[np.ix_(i.clip(0, codes.shape[0] - 1), j.clip(0, codes.shape[1] - 1))]
    return (~np.isin(held, list(rules.cover.excluded))).astype(np.uint8)


def _ndvi_limits(inputs: Inputs, rules: EcologicalRules) -> tuple[float, float]:
    """NDVI of bare soil and of full vegetation: percentiles of the whole NDVI raster, weighted by area."""
    raster = inputs.rasters["ndvi"]
    values = quantise(raster.source(band=1), _NDVI_STEP)
    grid, (rows, _) = inputs.grid, raster.axes()
    height = -grid.affine.e / abs(rows.step)
    centre = grid.affine.f + grid.affine.e * ((0 - rows.start) / rows.step - rows.origin + 0.5)
    areas = cell_row_areas(round(centre + height / 2, 9), height, height, values.shape[0])
    histogram = ServiceHistogram(_NDVI_STEP)
    histogram.add(values, row_areas_dm2(areas), _counted(inputs, rules, raster))
    return ndvi_limits(histogram, rules, layer=raster.layer_id)
