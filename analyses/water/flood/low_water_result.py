"""Fields and styles of the result of the low-water analysis."""

from __future__ import annotations

from typing import Any

from analyses.water.flood.low_water import INTAKE_STATES
from analyses.water.flood.plans import CERTAINTY
from analyses.water.flood.rules import LowWaterRule
from spatial.catalog import Attribute, Text

__all__ = ["INTAKE_FIELDS", "STATION_FIELDS", "intake_style", "station_style"]


def _field(name: str, kind: Any, zh: str, en: str, **more: Any) -> Attribute:
    return Attribute(name=name, type=kind, title=Text(zh=zh, en=en), **more)


STATION_FIELDS = (
    _field("name", "string", "站名", "Gauge"),
    _field("river", "string", "河流", "River"),
    _field("datum", "string", "高程基准", "Datum"),
    _field("day", "string", "最近一日", "Latest day"),
    _field("level_m", "number", "日平均水位", "Mean level of the day", unit="m"),
    _field("grade", "string", "枯水等级", "Grade"),
    _field("drought_m", "number", "旱限水位", "Drought level", unit="m"),
    _field("ecological_m", "number", "生态水位", "Ecological level", unit="m"),
    _field("days_drought", "number", "低于旱限天数", "Days below the drought level", unit="d"),
    _field("first_drought", "string", "低于旱限首日", "First day below the drought level"),
    _field("days_ecological", "number", "低于生态水位天数", "Days below the ecological level", unit="d"),
    _field("first_ecological", "string", "低于生态水位首日", "First day below the ecological level"),
    _field("lowest_m", "number", "最低日平均水位", "Lowest mean level of a day", unit="m"),
    _field("lowest_day", "string", "最低日", "Day of the lowest level"),
    _field("forecast_lowest_m", "number", "预报最低水位", "Lowest level forecast", unit="m"),
    _field("forecast_grade", "string", "预报等级", "Grade forecast"),
    _field("reaches_drought", "string", "预报低于旱限日", "Forecast falls below the drought level on"),
    _field("reaches_ecological", "string", "预报低于生态水位日", "Forecast falls below the ecological level on"),
    _field("ship_short_m", "number", "航道水深不足", "Depth for ships short by", unit="m"),
)
INTAKE_FIELDS = (
    _field("name", "string", "名称", "Name"),
    _field("kind", "string", "用途", "Use"),
    _field("station", "string", "控制站", "Gauge"),
    _field("state", "string", "状态", "State", domain=INTAKE_STATES),
    _field("lowest_m", "number", "最低取水水位", "Lowest level to draw", unit="m"),
    _field("datum", "string", "高程基准", "Datum"),
    _field("level_m", "number", "取水口水位", "Level at the intake", unit="m"),
    _field("margin_m", "number", "余量", "Margin", unit="m"),
    _field("forecast_margin_m", "number", "预报最小余量", "Smallest margin forecast", unit="m"),
    _field("reached", "string", "预报低于日", "Forecast falls below on"),
    _field("certainty", "string", "可靠程度", "How sure", domain=CERTAINTY),
    _field("people", "number", "供水人口", "People served", unit="person"),
    _field("irrigated_mu", "number", "灌溉面积", "Irrigated area", unit="mu"),
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
