"""Grades of a level (水位分级): 设防 / 警戒 / 保证 for floods, 旱限 / 生态水位 for low water.

Level and grades are those of the station, in its own datum: no offset is needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from analyses.water.flood.rules import LowWaterRule, WarningRule
from spatial.errors import QualityViolation

__all__ = ["flood_grade", "low_water_grade"]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number else None


def flood_grade(level_m: float, gauge: Mapping[str, Any], rule: WarningRule) -> dict[str, Any]:
    """Grade of a level at a gauge, how far it stands above its line and below the next.

    A line that the gauge does not have is skipped and named under ``missing``; without any line the grade is None (未评).

    Raises
    ------
    QualityViolation
        If the lines of the gauge do not ascend.

    Examples
    --------
    >>> from types import SimpleNamespace as N
    >>> T = lambda zh: N(zh=zh, en=zh, model_dump=lambda: {"zh": zh, "en": zh})
    >>> rule = N(grades=(N(id="normal", field=None, title=T("低"), action=T("-"), color="#000000"),
    ...                  N(id="warning", field="warning_m", title=T("警戒"), action=T("-"), color="#000000")))
    >>> found = flood_grade(27.5, {"warning_m": 27.3}, rule)
    >>> found["grade"], found["above_m"]
    ('warning', 0.2)
    """
    lines: list[tuple[float, Any]] = []
    missing = []
    for grade in rule.grades:
        if grade.field is None:
            continue
        value = _number(gauge.get(grade.field))
        if value is None:
            missing.append(grade.field)
        else:
            lines.append((value, grade))
    if any(b[0] <= a[0] for a, b in itertools.pairwise(lines)):
        raise QualityViolation(
            f"测站 {gauge.get('name', '')} 的设防、警戒、保证水位不递增：{[v for v, _ in lines]}",
            f"alert, warning and guarantee levels of gauge {gauge.get('name', '')} do not ascend: {[v for v, _ in lines]}",
            reason="levels-not-ascending",
        )
    if not lines:
        return {"grade": None, "missing": missing}
    reached = [(value, grade) for value, grade in lines if level_m >= value]
    value, grade = reached[-1] if reached else (None, rule.grades[0])
    above = [v for v, _ in lines if v > level_m]
    return {
        "grade": grade.id,
        "title": grade.title.model_dump(),
        "action": grade.action.model_dump(),
        "color": grade.color,
        "above_m": None if value is None else round(level_m - value, 3),
        "to_next_m": round(above[0] - level_m, 3) if above else None,
        "missing": missing,
    }


def low_water_grade(level_m: float, station: str, rule: LowWaterRule) -> dict[str, Any]:
    """Whether a level lies below 生态水位 or 旱限水位; a station without them is not assessed (未评).

    Returns
    -------
    dict
        ``grade``: ``below_ecological``, ``below_drought``, ``normal`` or None; ``below_m``: how far below the line.

    Examples
    --------
    >>> from types import SimpleNamespace as N
    >>> rule = N(stations=(N(station="A", drought_m=14.0, ecological_m=13.0, source="-"),))
    >>> [low_water_grade(v, "A", rule)["grade"] for v in (14.0, 13.5, 12.9)], low_water_grade(9.0, "B", rule)["grade"]
    (['normal', 'below_drought', 'below_ecological'], None)
    """
    row = next((row for row in rule.stations if row.station == station), None)
    lines = (
        []
        if row is None
        else [(v, n) for v, n in ((row.drought_m, "drought"), (row.ecological_m, "ecological")) if v is not None]
    )
    if not lines:
        return {"grade": None, "missing": ["drought_m", "ecological_m"]}
    below = [(v, n) for v, n in lines if level_m < v]
    if not below:
        return {"grade": "normal", "below_m": None}
    value, name = min(below)
    return {"grade": f"below_{name}", "below_m": round(value - level_m, 3)}
