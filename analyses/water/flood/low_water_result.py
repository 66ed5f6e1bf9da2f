"""Fields and styles of the result of the low-water analysis."""

from __future__ import annotations

from typing import Any

from analyses.water.flood.low_water import INTAKE_STATES
from analyses.water.flood.plans import CERTAINTY
from analyses.water.flood.rules import LowWaterRule
from spatial.catalog import Text, attribute

__all__ = ["INTAKE_FIELDS", "STATION_FIELDS", "intake_style", "station_style"]


STATION_FIELDS = (
    attribute("name", "string", "站名", "Gauge"),
    attribute("river", "string", "河流", "River"),
    attribute("datum", "string", "高程基准", "Datum"),
    attribute("day", "string", "最近一日", "Latest day"),
    attribute("level_m", "number", "日平均水位", "Mean level of the day", unit="m"),
    attribute("grade", "string", "枯水等级", "Grade"),
    attribute("drought_m", "number", "旱限水位", "Drought level", unit="m"),
    attribute("ecological_m", "number", "生态水位", "Ecological level", unit="m"),
    attribute("days_drought", "number", "低于旱限天数", "Days below the drought level", unit="d"),
    attribute("first_drought", "string", "低于旱限首日", "First day below the drought level"),
    attribute("days_ecological", "number", "低于生态水位天数", "Days below the ecological level", unit="d"),
    attribute("first_ecological", "string", "低于生态水位首日", "First day below the ecological level"),
    attribute("lowest_m", "number", "最低日平均水位", "Lowest mean level of a day", unit="m"),
    attribute("lowest_day", "string", "最低日", "Day of the lowest level"),
    attribute("forecast_lowest_m", "number", "预报最低水位", "Lowest level forecast", unit="m"),
    attribute("forecast_grade", "string", "预报等级", "Grade forecast"),
    attribute("reaches_drought", "string", "预报低于旱限日", "Forecast falls below the drought level on"),
    attribute("reaches_ecological", "string", "预报低于生态水位日", "Forecast falls below the ecological level on"),
    attribute("ship_short_m", "number", "航道水深不足", "Depth for ships short by", unit="m"),
)
INTAKE_FIELDS = (
    attribute("name", "string", "名称", "Name"),
    attribute("kind", "string", "用途", "Use"),
    attribute("station", "string", "控制站", "Gauge"),
    attribute("state", "string", "状态", "State", domain=INTAKE_STATES),
    attribute("lowest_m", "number", "最低取水水位", "Lowest level to draw", unit="m"),
    attribute("datum", "string", "高程基准", "Datum"),
    attribute("level_m", "number", "取水口水位", "Level at the intake", unit="m"),
    attribute("margin_m", "number", "余量", "Margin", unit="m"),
    attribute("forecast_margin_m", "number", "预报最小余量", "Smallest margin forecast", unit="m"),
    attribute("reached", "string", "预报低于日", "Forecast falls below on"),
    attribute("certainty", "string", "可靠程度", "How sure", domain=CERTAINTY),
    attribute("people", "number", "供水人口", "People served", unit="person"),
    attribute("irrigated_mu", "number", "灌溉面积", "Irrigated area", unit="mu"),
)
_STATE_COLORS = {
    "dry": "#c62828",
    "threatened": "#ef6c00",
    "uncertain": "#f9a825",
    "ok": "#2e7d32",
    "not_assessed": "#9e9e9e",
}


def _points(name: str, classes: list[tuple[str, Text, str]]) -> dict[str, Any]:
    look = {"stroke": "#ffffff", "width": 1.0, "radius": 6.0}
    return {
        "type": "categories",
        "field": name,
        "classes": [{"value": k, "title": t.model_dump(), "fill": c, **look} for k, t, c in classes],
        "default": {"fill": "#9e9e9e", "stroke": "#ffffff", "width": 1.0, "radius": 4.0},
    }


def station_style(rule: LowWaterRule) -> dict[str, Any]:
    """Colours of the grades."""
    return _points("grade", [(g.id, g.title, g.color) for g in rule.grades])


def intake_style() -> dict[str, Any]:
    """Colours of the states of intakes."""
    return _points("state", [(k, t, _STATE_COLORS[k]) for k, t in INTAKE_STATES.items()])
