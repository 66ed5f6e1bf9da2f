"""What urban construction suitability hands back: area tables (面积表), parameters with their sources, notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.chain import Chain
from analyses.evaluation_result import SUITABILITY
from analyses.zonal import area_by_code, areas_in_units, total_by_code
from spatial.catalog import Text
from spatial.jobs.contract import Inputs
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from analyses.rules import Sourced, UrbanRules
    from analyses.suitability import UrbanSuitabilityParameters

__all__ = ["notes", "parameter_rows", "tables"]


def notes(
    inputs: Inputs, parameters: UrbanSuitabilityParameters, rules: UrbanRules, *, cell_m: float
) -> tuple[Text, ...]:
    """What a reader must know before using the map."""
    said = [
        Text(
            zh="阈值见规则文件 layers/rules/urban_suitability.yml，多数取自公开实现，未对照正式印发文本，正式使用前须核对。",
            en="Thresholds are in layers/rules/urban_suitability.yml; most come from a public implementation and were not "
            "checked against the official text: check them before formal use.",
        )
    ]
    if cell_m > rules.relief.proxy_above_cell_m:
        said.append(
            Text(
                zh=f"像元约 {cell_m:.0f} m，大于 {rules.relief.proxy_above_cell_m:.0f} m：坡度偏缓，"
                "起伏度窗口远大于 20 公顷，只作近似（参数 apply_relief 可关闭）。",
                en=f"cells of about {cell_m:.0f} m exceed {rules.relief.proxy_above_cell_m:.0f} m: slopes come out too "
                "gentle and the relief window is far larger than 20 ha, a proxy (switch off with apply_relief).",
            )
        )
    if "counties" in inputs.frames:
        said.append(
            Text(
                zh="县级单元以外不评价（没有道路与驻地数据）。",
                en="cells outside the county units are not assessed (no roads or seats there).",
            )
        )
    if any(role in inputs.frames for role in ("lakes", "rivers")):
        said.append(
            Text(
                zh="水域只含湖泊与河流图层所载的水面；图层缺少的水库按陆地评价，使用前请补充。",
                en="water surfaces are those of the lakes and rivers layers; a reservoir that they lack is judged as land: "
                "supply it before use.",
            )
        )
    if parameters.apply_location:
        said.append(
            Text(
                zh=f"道路以外速度 {parameters.offroad_speed_kmh:g} km/h 决定区位结果，请随图公布。",
                en=f"the off-road speed of {parameters.offroad_speed_kmh:g} km/h decides the location factor: "
                "publish it with the map.",
            )
        )
    if parameters.apply_patches and parameters.bbox is not None:
        said.append(
            Text(
                zh="地块在范围边界被截断：边界附近的集中连片修正与全省评价可能相差一级。",
                en="patches are cut at the edge of the window: near it the correction by patches may differ by a grade from "
                "that of the province.",
            )
        )
    if not parameters.apply_patches:
        said.append(Text(zh="未做地块集中连片修正。", en="no patch concentration correction was applied."))
    return tuple(said)


def _text_of(frame: geopandas.GeoDataFrame, row: int, names: tuple[str, ...]) -> str | None:
    return next((str(frame[name].iloc[row]) for name in names if name in frame.columns), None)


def _class_areas(by_code: NDArray[np.float64]) -> NDArray[np.float64]:
    """m² by class 0–3 from m² by code = class + 4 × reason."""
    return np.asarray(by_code.reshape(-1, 4).sum(axis=0))


def _reason_areas(by_code: NDArray[np.float64]) -> NDArray[np.float64]:
    """m² by reason from m² by code; unassessed cells (class 0) left out."""
    return np.asarray(by_code.reshape(-1, 4)[:, 1:].sum(axis=1))


def _shares(by_class: NDArray[np.float64], water: float) -> dict[str, Any]:
    assessed = float(by_class[1:].sum())
    row: dict[str, Any] = {}
    for number, (name, _, _) in SUITABILITY.items():
        row |= areas_in_units(by_class[number], name)
        row[f"{name}_percent"] = round(100 * float(by_class[number]) / assessed, 4) if assessed else None
    land = assessed - water
    row["water_surface_km2"] = areas_in_units(water, "water")["water_km2"]
    # Without lakes and rivers: the figure to compare between a lake county and a mountain county.
    row["unsuitable_land_percent"] = round(100 * (float(by_class[3]) - water) / land, 4) if land > 0 else None
    return row | areas_in_units(assessed, "assessed") | areas_in_units(by_class[0], "not_assessed")


def tables(
    codes: NDArray[np.uint8],
    grid: GeoBox,
    counties: geopandas.GeoDataFrame | None,
    chain: Chain,
) -> dict[str, Any]:
    """Areas by county, in all, and by limiting factor (ellipsoidal, km² hm² 亩); edge cells by their covered share."""
    result: dict[str, Any] = {}
    has_water = any(station.id == "water-surface" for station in chain.stations)
    water = chain.code("water-surface") if has_water else 0
    if counties is not None and len(counties):
        per_unit = area_by_code(codes, grid, counties.geometry.array)
        whole = geodesic_areas(counties.geometry.array)
        rows = []
        for k in np.flatnonzero(per_unit.sum(axis=1) > 0).tolist():
            covered = float(per_unit[k].sum())
            rows.append(
                {
                    "code": _text_of(counties, k, ("code", "adcode")),
                    "name": _text_of(counties, k, ("name", "name_zh")),
                    "unit_km2": round(float(whole[k]) / 1e6, 6),
                    "covered_percent": round(100 * covered / float(whole[k]), 1),
                    **_shares(_class_areas(per_unit[k]), float(_reason_areas(per_unit[k])[water]) if water else 0.0),
                }
            )
        result["by_county"] = sorted(rows, key=lambda row: str(row["code"]))
        total = per_unit.sum(axis=0)
    else:
        total = total_by_code(codes, grid)
    classes = _class_areas(total)
    assessed = float(classes[1:].sum())
    result["totals"] = [
        {
            "class": number,
            "title_zh": title.zh,
            "title_en": title.en,
            **_one_area(classes[number], assessed),
        }
        for number, (_, title, _) in SUITABILITY.items()
    ]
    by_reason = _reason_areas(total)
    result["by_reason"] = [
        {"reason": reason, "title_zh": title.zh, "title_en": title.en, **_one_area(by_reason[reason], assessed)}
        for reason, title in chain.reasons().items()
    ]
    return result


def _one_area(m2: float, whole: float) -> dict[str, Any]:
    units = {name.removeprefix("a_"): value for name, value in areas_in_units(m2, "a").items()}
    return units | {"percent": round(100 * float(m2) / whole, 4) if whole else None}


def parameter_rows(parameters: UrbanSuitabilityParameters, rules: UrbanRules) -> list[dict[str, Any]]:
    """Every value that decides the result, with unit, source and how far it was checked."""
    used: list[tuple[str, Any, Sourced]] = [
        ("runoff_coefficient", parameters.runoff_coefficient, rules.runoff_coefficient),
        ("offroad_speed_kmh", parameters.offroad_speed_kmh, rules.speeds),
        ("location_row", parameters.location_row, rules.location),
        ("apply_relief", parameters.apply_relief, rules.relief),
        ("apply_location", parameters.apply_location, rules.location),
        ("water_passable", parameters.water_passable, rules.water_surface),
        ("location_coarsen", parameters.location_coarsen, rules.location),
        ("apply_patches", parameters.apply_patches, rules.patch),
        *((f"speed_{name}_kmh", speed, rules.speeds) for name, speed in rules.speeds.roads.items()),
    ]
    return [
        {
            "name": name,
            "value": value,
            "unit": "km/h" if name.endswith("_kmh") else "1" if name == "runoff_coefficient" else None,
            "source": rule.source,
            "tag": rule.tag,
            "valid_from": rule.valid_from.isoformat(),
        }
        for name, value, rule in used
    ]
