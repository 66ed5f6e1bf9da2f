"""What urban construction suitability hands back: bands, styles, the factor list (因子清单), tables and notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.decision import Reason
from analyses.zonal import area_by_code, areas_in_units, total_by_code
from spatial.catalog import Band, Text
from spatial.jobs.contract import Factor, Inputs
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from analyses.rules import Sourced, UrbanRules
    from analyses.suitability import UrbanSuitabilityParameters

__all__ = ["CLASS_STYLE", "FACTOR_BANDS", "FACTOR_STYLE", "RESULT_BANDS", "factors", "notes", "tables"]

CLASSES: dict[int, tuple[str, Text, str]] = {
    1: ("suitable", Text(zh="适宜", en="Suitable"), "#1a9850"),
    2: ("moderate", Text(zh="一般适宜", en="Moderately suitable"), "#fee08b"),
    3: ("unsuitable", Text(zh="不适宜", en="Unsuitable"), "#d73027"),
}
REASONS: dict[Reason, Text] = {
    Reason.NONE: Text(zh="无限制", en="no limit"),
    Reason.WATER_SURFACE: Text(zh="水域", en="water surface"),
    Reason.SLOPE: Text(zh="坡度", en="slope"),
    Reason.ELEVATION: Text(zh="高程", en="elevation"),
    Reason.RELIEF: Text(zh="起伏度", en="local relief"),
    Reason.WATER: Text(zh="水资源", en="water resources"),
    Reason.LOCATION: Text(zh="区位", en="location"),
}
_GRADES = {1: "高", 2: "较高", 3: "中", 4: "较低", 5: "低"}
_GRADES_EN = {1: "high", 2: "rather high", 3: "medium", 4: "rather low", 5: "low"}

RESULT_BANDS = (
    Band(
        name="class",
        title=Text(zh="适宜性", en="Suitability"),
        valid_range=(0, 3),
        domain={number: title for number, (_, title, _) in CLASSES.items()},
    ),
    Band(
        name="grade",
        title=Text(zh="适宜性等级", en="Suitability grade"),
        valid_range=(0, 5),
        domain={n: Text(zh=f"{n} {_GRADES[n]}", en=f"{n} {_GRADES_EN[n]}") for n in _GRADES},
    ),
    Band(
        name="reason",
        title=Text(zh="限制因素", en="Limiting factor"),
        valid_range=(0, max(Reason)),
        domain={int(reason): title for reason, title in REASONS.items()},
    ),
)
FACTOR_BANDS = (
    Band(name="slope", title=Text(zh="坡度", en="Slope"), unit="degree", valid_range=(0, 90)),
    Band(name="relief", title=Text(zh="起伏度", en="Local relief"), unit="m", valid_range=(0, 9000)),
    Band(
        name="water", title=Text(zh="水资源总量模数", en="Water resources modulus"), unit="m3/km2", valid_range=(0, 6e6)
    ),
    Band(name="minutes", title=Text(zh="通行时间", en="Travel time"), unit="min", valid_range=(0, 1e5)),
)
CLASS_STYLE: dict[str, Any] = {
    "type": "classes",
    "band": "class",
    "classes": [
        {"value": number, "color": color, "title": title.model_dump()} for number, (_, title, color) in CLASSES.items()
    ],
}
FACTOR_STYLE: dict[str, Any] = {
    "type": "ramp",
    "band": "slope",
    "title": {"zh": "坡度（°）", "en": "Slope (°)"},
    "stops": [
        {"value": 0, "color": "#ffffe5"},
        {"value": 3, "color": "#fff7bc"},
        {"value": 8, "color": "#fec44f"},
        {"value": 15, "color": "#ec7014"},
        {"value": 25, "color": "#993404"},
        {"value": 45, "color": "#3f1500"},
    ],
}

_GUIDE = "双评价技术指南（2019-07）"
_UNASSESSED = (
    (
        "geohazard",
        "地质灾害（崩滑流、地面塌陷、地震断裂）",
        "Geological and seismic hazard",
        "没有灾害易发性图层",
        "no susceptibility layer",
    ),
    ("air-capacity", "大气环境容量", "Air environment capacity", "没有风速与静风日数图层", "no wind layer"),
    ("water-capacity", "水环境容量", "Water environment capacity", "没有水质目标与水量图层", "no water quality layer"),
    ("comfort", "舒适度（温湿指数）", "Comfort (THI)", "缺少相对湿度", "humidity is missing"),
    (
        "patch",
        "地块集中连片度",
        "Patch concentration",
        "本版未做集中连片修正",
        "this version applies no patch correction",
    ),
)


def _cite(rule: Sourced) -> str:
    return f"{rule.source} [{rule.tag}]"


def factors(
    inputs: Inputs,
    parameters: UrbanSuitabilityParameters,
    rules: UrbanRules,
    *,
    location_note: Text | None,
    relief_side: int,
    cell_m: float,
) -> tuple[Factor, ...]:
    """Every factor of the method: assessed, or why not; a missing one never gets a default grade."""
    row = rules.location.rows[parameters.location_row]
    proxy = cell_m > rules.relief.proxy_above_cell_m
    water = [inputs.versions.get(layer, "") for layer in ("lakes", "yangtze-han")]
    found = [
        Factor(
            "slope",
            rules.slope.title,
            True,
            Text(zh="Horn 法，按行取米制像元", en="Horn, metres by row"),
            _cite(rules.slope),
        ),
        Factor(
            "elevation",
            rules.elevation.title,
            True,
            Text(zh="湖北最高 3106 m，此修正不起作用", en="inert in Hubei (highest 3106 m)"),
            _cite(rules.elevation),
        ),
        Factor(
            "relief",
            rules.relief.title,
            parameters.apply_relief,
            Text(
                zh=f"{relief_side}×{relief_side} 移动窗口" + ("；像元偏大，只是近似" if proxy else ""),
                en=f"{relief_side}×{relief_side} moving window" + ("; a proxy at this cell size" if proxy else ""),
            )
            if parameters.apply_relief
            else Text(zh="按参数关闭", en="switched off by parameter"),
            _cite(rules.relief),
        ),
        Factor(
            "water-resources",
            rules.water.title,
            True,
            Text(
                zh=f"年降水 × 产水系数 {parameters.runoff_coefficient:g}",
                en=f"annual rain × runoff coefficient {parameters.runoff_coefficient:g}",
            ),
            f"{_cite(rules.water)}；产水系数 {_cite(rules.runoff_coefficient)}",
        ),
        Factor(
            "water-surface",
            rules.water_surface.title,
            any(role in inputs.frames for role in ("lakes", "rivers")),
            Text(
                zh=f"湖泊 {water[0] or '缺'}，长江汉江 {water[1] or '缺'}",
                en=f"lakes {water[0] or 'missing'}, rivers {water[1] or 'missing'}",
            ),
            _cite(rules.water_surface),
        ),
        Factor(
            "location",
            rules.location.title,
            location_note is None,
            location_note
            or Text(
                zh=f"{row.title.zh}；道路以外 {parameters.offroad_speed_kmh:g} km/h；"
                f"水面{'可通行' if parameters.water_passable else '不可通行（桥除外）'}",
                en=f"{row.title.en}; off-road {parameters.offroad_speed_kmh:g} km/h; water surfaces "
                f"{'passable' if parameters.water_passable else 'impassable except on roads'}",
            ),
            f"{_cite(rules.location)}；速度 {_cite(rules.speeds)}",
        ),
    ]
    found += [
        Factor(name, Text(zh=zh, en=en), False, Text(zh=why_zh, en=why_en), _GUIDE)
        for name, zh, en, why_zh, why_en in _UNASSESSED
    ]
    return tuple(found)


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
    for number, (name, _, _) in CLASSES.items():
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
    parameters: UrbanSuitabilityParameters,
    rules: UrbanRules,
) -> dict[str, Any]:
    """Areas by county, in all, and by limiting factor (ellipsoidal, km² hm² 亩), and the parameters with their source."""
    result: dict[str, Any] = {}
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
                    **_shares(_class_areas(per_unit[k]), float(_reason_areas(per_unit[k])[Reason.WATER_SURFACE])),
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
        for number, (_, title, _) in CLASSES.items()
    ]
    by_reason = _reason_areas(total)
    result["by_reason"] = [
        {"reason": int(reason), "title_zh": title.zh, "title_en": title.en, **_one_area(by_reason[reason], assessed)}
        for reason, title in REASONS.items()
    ]
    result["parameters"] = _parameter_rows(parameters, rules)
    return result


def _one_area(m2: float, whole: float) -> dict[str, Any]:
    units = {name.removeprefix("a_"): value for name, value in areas_in_units(m2, "a").items()}
    return units | {"percent": round(100 * float(m2) / whole, 4) if whole else None}


def _parameter_rows(parameters: UrbanSuitabilityParameters, rules: UrbanRules) -> list[dict[str, Any]]:
    """Every value that decides the result, with unit, source and how far it was checked."""
    used: list[tuple[str, Any, Sourced]] = [
        ("runoff_coefficient", parameters.runoff_coefficient, rules.runoff_coefficient),
        ("offroad_speed_kmh", parameters.offroad_speed_kmh, rules.speeds),
        ("location_row", parameters.location_row, rules.location),
        ("apply_relief", parameters.apply_relief, rules.relief),
        ("apply_location", parameters.apply_location, rules.location),
        ("water_passable", parameters.water_passable, rules.water_surface),
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
