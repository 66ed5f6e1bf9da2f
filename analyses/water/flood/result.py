"""Bands, styles and fields of the result of the flood rehearsal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from analyses.water.flood.dikes import STATES
from analyses.water.flood.inundation import NODATA, TITLES
from analyses.water.flood.plans import CERTAINTY
from spatial.catalog import Band, Text, attribute

__all__ = [
    "BASIN_FIELDS",
    "DIKE_FIELDS",
    "PLAN_FIELDS",
    "days_band",
    "depth_bands",
    "extent_bands",
    "point_style",
    "ramp",
    "state_style",
]

COLORS = {0: "#ffffff00", 1: "#4292c6", 2: "#cb181d", 3: "#fdd0a2", 4: "#08519c"}
STATUS: dict[str, Text] = {
    "operate": Text(zh="达到运用水位", en="operation level reached"),
    "prepare": Text(zh="预备", en="prepare"),
    "none": Text(zh="未达到", en="not reached"),
    "not_assessed": Text(zh="未评", en="not assessed"),
}
_STATE_COLORS = {
    "holds": "#2e7d32",
    "low_freeboard": "#f9a825",
    "overtopped": "#c62828",
    "breached": "#6a1b9a",
    "dry": "#9e9e9e",
}
_STATUS_COLORS = {"operate": "#c62828", "prepare": "#f9a825", "none": "#2e7d32", "not_assessed": "#9e9e9e"}


def _level(level: float) -> Text:
    return Text(zh=f"水位 {level:.2f} m", en=f"level {level:.2f} m")


def extent_bands(levels: Sequence[float]) -> tuple[Band, ...]:
    """One band of classes a level."""
    domain = {code: title for code, title in TITLES.items() if code != NODATA}
    return tuple(
        Band(name=f"level_{k}", title=_level(v), valid_range=(0, max(domain)), domain=domain)
        for k, v in enumerate(levels, start=1)
    )


def depth_bands(levels: Sequence[float], *, unit: str = "m", top: float = 200.0) -> tuple[Band, ...]:
    """One band a level: depth (m) or probability (1)."""
    return tuple(
        Band(name=f"level_{k}", title=_level(v), unit=unit, valid_range=(0, top)) for k, v in enumerate(levels, start=1)
    )


def days_band() -> tuple[Band, ...]:
    """Flood days."""
    return (Band(name="days", title=Text(zh="淹没天数", en="Flood days"), unit="d", valid_range=(0, 65534)),)


def extent_style(band: str) -> dict[str, Any]:
    """Colours of the classes."""
    return {
        "type": "classes",
        "band": band,
        "classes": [
            {"value": code, "color": color, "title": TITLES[code].model_dump()}
            for code, color in COLORS.items()
            if code
        ],
    }


def ramp(band: str, stops: Mapping[float, str]) -> dict[str, Any]:
    """A ramp of colours."""
    return {"type": "ramp", "band": band, "stops": [{"value": v, "color": c} for v, c in stops.items()]}


DEPTHS = {0.0: "#deebf7", 0.5: "#9ecae1", 1.0: "#6baed6", 2.0: "#2171b5", 3.0: "#08519c", 6.0: "#08306b"}
CHANCES = {0.0: "#f7fbff", 0.5: "#6baed6", 1.0: "#08306b"}
DAYS = {0.0: "#f7fbff", 15.0: "#9ecae1", 45.0: "#2171b5", 90.0: "#08306b"}


def state_style(geometry: str) -> dict[str, Any]:
    """Colours of the states of dike sections, or of the status of areas."""
    titles = STATES if geometry == "line" else STATUS
    colors = _STATE_COLORS if geometry == "line" else _STATUS_COLORS
    look: dict[str, Any] = {"width": 3.0} if geometry == "line" else {"width": 1.4}
    field = "state" if geometry == "line" else "status"
    return {
        "type": "categories",
        "field": field,
        "classes": [
            {
                "value": k,
                "title": t.model_dump(),
                "stroke": colors[k],
                **look,
                **({} if geometry == "line" else {"fill": f"{colors[k]}55"}),
            }
            for k, t in titles.items()
        ],
        "default": {"stroke": "#9e9e9e", "width": 1.0},
    }


def point_style() -> dict[str, Any]:
    """Low ground that is not connected."""
    return {"type": "single", "fill": "#fb8c00", "stroke": "#ffffff", "width": 1.0, "radius": 5.0}


DIKE_FIELDS = (
    attribute("name", "string", "堤段", "Section"),
    attribute("dike", "string", "堤防", "Dike"),
    attribute("level_m", "number", "测站水位", "Level at the gauge", unit="m"),
    attribute("state", "string", "状态", "State", domain=STATES),
    attribute("margin_m", "number", "堤顶高出水面", "Crest above the water", unit="m"),
    attribute("water_m", "number", "堤前最高水位（地形基准）", "Highest level at it (datum of the terrain)", unit="m"),
    attribute("required_m", "number", "要求超高", "Freeboard asked for", unit="m"),
)
BASIN_FIELDS = (
    attribute("level_m", "number", "测站水位", "Level at the gauge", unit="m"),
    attribute("area_km2", "number", "面积", "Area", unit="km2"),
    attribute("mean_depth_m", "number", "平均低于水位", "Mean depth below the level", unit="m"),
    attribute("max_depth_m", "number", "最大低于水位", "Largest depth below the level", unit="m"),
    attribute("crest_m", "number", "控制高程（地形基准）", "Controlling crest (datum of the terrain)", unit="m"),
    attribute("reserve_m", "number", "控制高程高出水位", "Crest above the level", unit="m"),
)
PLAN_FIELDS = (
    attribute("name", "string", "名称", "Name"),
    attribute(
        "kind",
        "string",
        "类型",
        "Kind",
        domain={"polder": Text(zh="民垸", en="Polder"), "detention": Text(zh="蓄滞洪区", en="Detention area")},
    ),
    attribute("level_m", "number", "测站水位", "Level at the gauge", unit="m"),
    attribute("operation_m", "number", "运用水位", "Operation level", unit="m"),
    attribute("status", "string", "状态", "Status", domain=STATUS),
    attribute("flooded_km2", "number", "淹没面积", "Flooded area", unit="km2"),
    attribute("certainty", "string", "可靠程度", "How sure", domain=CERTAINTY),
    attribute("reached", "string", "达到时间（北京时间）", "Reached at (Beijing time)"),
    attribute("counties", "string", "县", "Counties"),
    attribute("people", "number", "区内人口", "People inside", unit="person"),
    attribute("cropland_mu", "number", "区内耕地", "Cropland inside", unit="mu"),
    attribute("roads_km", "number", "区内道路", "Roads inside", unit="km"),
    attribute("works", "string", "区内工程", "Works inside"),
    attribute("action", "string", "措施", "Measure"),
)
