"""Ecological importance put together (生态保护重要性): inputs → quantities → factors → ranking → chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.assembly import RAMP, Assembly, Prepared, annual_rain
from analyses.assessment import Assessment, Block, Given, Late, Source
from analyses.blocks import Window
from analyses.ecology import (
    EcologyEngine,
    EcologyPlan,
    EcologySource,
    ecological_chain,
    ecology_engine,
    fallen_out,
    pack,
    plan_ecology,
    unpack,
)
from analyses.ecology_limits import NDVI_STEP, limits_of_ndvi, limits_of_npp
from analyses.ecology_rules import EcologicalRules, ecological_rules
from analyses.erosion import default_slope_length, rain_erosivity_monthly
from analyses.fields import MOST_CELLS, Field, band_of, values_of
from analyses.fragility import dryness_index
from analyses.grading import quantise
from analyses.masks import burn, release, scratch_array
from analyses.ranking import ServiceHistogram
from analyses.services import reserve_grades
from analyses.slope_length import upslope_source
from analyses.sources import Climate, FromField, OfTerrain, onto
from spatial.catalog import Band, Text
from spatial.jobs.contract import Factor, Inputs, RasterInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BY_RULE_FILE", "ecological_assessment"]

BY_RULE_FILE = "rule-file"
"""Parameter `sensitivity_breaks`: the set of breaks that the rule file uses."""

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
    "npp": "npp",
    "soil_infiltration": "soil-infiltration",
    "wind_erosivity": "wind-erosivity",
    "roughness": "roughness",
    "sand_wind_days": "sand-wind-days",
}
_SOIL = ("sand", "silt", "clay", "organic_carbon")
_SUPPLIED = ("npp", "soil_infiltration", "wind_erosivity", "roughness", "sand_wind_days")
"""Quantities that are rasters of their own, with the name of their role."""


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


def ecological_assessment(inputs: Inputs, parameters: Any, prepared: Prepared, *, block: int = 1024) -> Assembly:
    """The ecological assessment of a run: every factor that the inputs carry.

    Raises
    ------
    InvalidParameter
        If nothing can be assessed, the NPP method lacks its layers, or `sensitivity_breaks` names no set of breaks.
    QualityViolation
        For values outside the plausible range.
    """
    rules = ecological_rules(inputs.rules)
    named = parameters.sensitivity_breaks
    breaks = None if named == BY_RULE_FILE else named
    quantities = _quantities(inputs, rules, prepared)
    masks: dict[str, Any] = {}
    reserves = _reserves(inputs, rules, quantities, masks)
    prepared = replace(prepared, masks={**prepared.masks, **masks})
    plan = plan_ecology(rules, quantities, method=parameters.ecology_method, soil=parameters.soil_method)
    plan = replace(plan, listed=tuple(reserves if f.id == "biodiversity" and reserves else f for f in plan.listed))
    engine = ecology_engine(
        rules,
        plan,
        slope_length=default_slope_length(-inputs.grid.affine.e, rules),
        ndvi_limits=limits_of_ndvi(inputs, rules) if "ndvi" in quantities else None,
        layers=_NAMES,
    )
    _erodibility(inputs, engine, quantities)
    if plan.method == "npp":
        engine = replace(
            engine, npp_limits=limits_of_npp(inputs, prepared, engine, quantities, plan.services, block=block)
        )
    sources: dict[str, Source] = {name: EcologySource(name, engine, quantities) for name in plan.factors}
    local = ecological_chain(rules, plan, {}, breaks=breaks)
    steps = {name: _step(rules, name) for name in plan.services}
    assessment = Assessment(
        "ecology",
        rules.title,
        local,
        sources,
        kept={name: (Packed(EcologySource(name, engine, quantities), steps[name]), "uint16") for name in plan.services},
    )

    def complete(assembly: Assembly, kept: Mapping[str, NDArray[Any]]) -> tuple[Assembly, Late]:
        return _ranked(assembly, kept, rules, plan, steps, prepared, breaks)

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
        masks=masks,
        late=complete,
    )


def _step(rules: EcologicalRules, name: str) -> float:
    return float(rules.npp.step or 1.0) if name.startswith("npp_") else float(getattr(rules, name).step)


def _unit(rules: EcologicalRules, service: str) -> str:
    return str(rules.npp.unit if service.startswith("npp_") else getattr(rules, service).unit)


def _breaks_row(rules: EcologicalRules, breaks: str | None) -> tuple[dict[str, Any], ...]:
    rule = rules.sensitivity_breaks
    name = breaks or rule.use
    low, high = rule.sets[name]
    return (
        {
            "name": "ecology.sensitivity_breaks",
            "value": f"{name}: {low:g}, {high:g}",
            "unit": None,
            "source": rule.source,
            "tag": rule.tag,
            "valid_from": rule.valid_from.isoformat(),
        },
    )


def _band(rules: EcologicalRules, plan: EcologyPlan, name: str) -> Band:
    listed: Factor = next(f for f in plan.listed if f.id == name)
    unit = _unit(rules, name) if name in plan.services else "level"
    return Band(name=name, title=listed.title, unit=unit, valid_range=(-1e9, 1e9))


def _ranked(
    assembly: Assembly,
    kept: Mapping[str, NDArray[Any]],
    rules: EcologicalRules,
    plan: EcologyPlan,
    steps: Mapping[str, float],
    prepared: Prepared,
    breaks: str | None,
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
        release(packed)
        thresholds[name] = histogram.thresholds(rules.ranking.extremely, rules.ranking.important)
    chain = ecological_chain(rules, plan, thresholds, breaks=breaks)
    ranked = [name for name in plan.services if thresholds.get(name) is not None]
    parameters = tuple(
        {
            "name": f"ecology.{name}.{which}",
            "value": getattr(thresholds[name], which),
            "unit": _unit(rules, name),
            "source": rules.ranking.source,
            "tag": rules.ranking.tag,
            "valid_from": rules.ranking.valid_from.isoformat(),
        }
        for name in ranked
        for which in ("extremely", "important")
    ) + _breaks_row(rules, breaks)
    done = replace(
        assembly,
        assessment=replace(assembly.assessment, chain=chain, late=ranked[0] if ranked else None),
        factors=tuple(replace(f, id=f"ecology.{f.id}") for f in fallen_out(plan, thresholds)),
        parameters=parameters,
    )

    def late(window: Window) -> Mapping[str, NDArray[Any]]:
        row, col, height, width = window
        cut = (slice(row, row + height), slice(col, col + width))
        return {name: unpack(np.asarray(kept[f"ecology:{name}"][cut]), steps[name]) for name in ranked}

    return done, late


def _quantities(inputs: Inputs, rules: EcologicalRules, prepared: Prepared) -> dict[str, Source]:
    found: dict[str, Source] = {name: OfTerrain(name) for name in ("slope", "relief", "elevation")}
    grid = inputs.grid
    box = grid.boundingbox
    upslope = upslope_source(
        rules.slope_length, north=box.top, south=box.bottom, cell_height=-grid.affine.e, cell_width=grid.affine.a
    )
    if upslope is not None:
        found["ls"] = upslope
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
        rain_there = onto(months.astype(np.float64), *rain.axes(), climate)
        dry = dryness_index(climate.monthly, rain_there, rules.dryness)
        found["dryness"] = FromField(Field(dry, climate.rows, climate.cols, "bilinear"), step=2.0**-8)
    if "soil" in inputs.rasters:
        soil = inputs.rasters["soil"]
        for name in _SOIL:
            found[name] = FromField(values_of(soil, band=band_of(soil, name)), step=2.0**-6)
    if "carbonate" in inputs.rasters:
        _require_percent(inputs.rasters["carbonate"], rules)
        found["carbonate"] = FromField(values_of(inputs.rasters["carbonate"]), step=2.0**-3)
    if "ndvi" in inputs.rasters:
        ndvi = inputs.rasters["ndvi"]
        found["ndvi"] = FromField(values_of(ndvi, band=band_of(ndvi, "ndvi_max")), step=NDVI_STEP)
    if "land_use" in inputs.rasters:
        found["land_use"] = FromField(values_of(inputs.rasters["land_use"], method="nearest"))
    for name in _SUPPLIED:
        if name in inputs.rasters:
            found[name] = FromField(values_of(inputs.rasters[name]), step=2.0**-6)
    for name, source in found.items():
        rule = rules.inputs.get(name)
        held = source.values if isinstance(source, FromField) else None
        if rule is not None and rule.range.largest_at_least is not None and isinstance(held, Field):
            rule.range.require(held.values, what=rule.title, unit=rule.unit, layer=_NAMES.get(name, name))
    return found


def _require_percent(raster: RasterInput, rules: EcologicalRules) -> None:
    """Refuse shares 0–1 where percents are meant: told by the whole raster, for a single block may well hold no more than 1 %.

    Rasters too large to be held whole are checked block by block against the range of the rule file alone.
    """
    rows, cols = raster.source_shape
    if rows * cols > MOST_CELLS:
        return
    rule = rules.inputs["carbonate"]
    span = rule.range.model_copy(update={"largest_at_least": 1.001})
    span.require(raster.source(), what=rule.title, unit=rule.unit, layer=raster.layer_id, declared=raster.unit)


def _erodibility(inputs: Inputs, engine: EcologyEngine, quantities: dict[str, Source]) -> None:
    """Erodibility K found once on the grid of the soil raster, instead of from four fields at every cell.

    A soil raster too large to be held whole stays with its four fields.
    """
    if "soil" not in inputs.rasters:
        return
    raster = inputs.rasters["soil"]
    rows, cols = raster.source_shape
    if rows * cols > MOST_CELLS:
        return
    parts = {name: raster.source(band=band_of(raster, name)) for name in _SOIL}
    k = engine.quantity("erodibility", parts.__getitem__)
    quantities["erodibility"] = FromField(Field(k, *raster.axes(), "bilinear"), step=2.0**-16)


def _reserves(
    inputs: Inputs, rules: EcologicalRules, quantities: dict[str, Source], masks: dict[str, Any]
) -> Factor | None:
    """Reserves as a mask of importance among the quantities; what to say if the layer has no areas of a known level."""
    if "reserves" not in inputs.frames:
        return None
    frame, rule = inputs.frames["reserves"], rules.biodiversity
    shapes, grades = reserve_grades(frame, rule, layer="nature-reserves")
    if grades:
        mask = scratch_array(inputs.scratch, "reserves", inputs.grid.shape.yx, np.uint8)
        burn(mask, inputs.grid.affine, shapes, grades)
        masks["reserves"] = mask
        quantities["biodiversity"] = Given("reserves")
        return None
    points = not frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"]).any()
    note = (
        Text(zh="未评价：只有点", en="not assessed: points only")
        if points
        else Text(
            zh=f"未评价：没有级别为{'、'.join(rule.grades)}的面",
            en=f"not assessed: no area of level {', '.join(rule.grades)}",
        )
    )
    return Factor("biodiversity", rule.title, False, note, f"{rule.source} [{rule.tag}]")


def _field(values: NDArray[np.float32], raster: RasterInput) -> FromField:
    return FromField(Field(values, *raster.axes(), "bilinear"), step=1.0)
