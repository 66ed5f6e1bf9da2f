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


def low_water_grade(level_m: float, lines: Mapping[str, Any], rule: LowWaterRule) -> dict[str, Any]:
    """Grade of low water: below 旱限水位, below 生态水位; a station without such lines is not assessed (未评).

    Parameters
    ----------
    lines : mapping
        Lines of the station by the fields that the rule names, m, in the datum of the level.

    Returns
    -------
    dict
        ``grade`` (None: not assessed), title, action, colour, ``below_m``: how far below the lowest line it is under,
        ``to_next_m``: how far above the next line below, ``near``: whether that is less than `near_m`, ``missing`` lines.

    Raises
    ------
    QualityViolation
        If the lines do not descend in the order of the grades.

    Examples
    --------
    >>> from types import SimpleNamespace as N
    >>> T = N(model_dump=lambda: {})
    >>> rule = N(near_m=0.3, grades=(N(id="normal", field=None, title=T, action=T, color=""),
    ...     N(id="drought", field="drought_m", title=T, action=T, color=""),
    ...     N(id="ecological", field="ecological_m", title=T, action=T, color="")))
    >>> lines = {"drought_m": 14.0, "ecological_m": 13.0}
    >>> [low_water_grade(v, lines, rule)["grade"] for v in (14.0, 13.5, 12.9)], low_water_grade(9.0, {}, rule)["grade"]
    (['normal', 'drought', 'ecological'], None)
    """
    known: list[tuple[float, Any]] = []
    missing = []
    for grade in rule.grades:
        if grade.field is None:
            continue
        value = _number(lines.get(grade.field))
        if value is None:
            missing.append(grade.field)
        else:
            known.append((value, grade))
    if any(b[0] >= a[0] for a, b in itertools.pairwise(known)):
        raise QualityViolation(
            f"测站 {lines.get('station', lines.get('name', ''))} 的旱限水位须高于生态水位：{[v for v, _ in known]}",
            f"the drought level of gauge {lines.get('station', lines.get('name', ''))} must lie above its ecological level: "
            f"{[v for v, _ in known]}",
            reason="levels-not-descending",
        )
    if not known:
        return {"grade": None, "missing": missing}
    under = [(value, grade) for value, grade in known if level_m < value]
    value, grade = under[-1] if under else (None, rule.grades[0])
    over = [v for v, _ in known if level_m >= v]
    left = round(level_m - over[0], 3) if over else None
    return {
        "grade": grade.id,
        "title": grade.title.model_dump(),
        "action": grade.action.model_dump(),
        "color": grade.color,
        "below_m": None if value is None else round(value - level_m, 3),
        "to_next_m": left,
        "near": left is not None and left < rule.near_m,
        "missing": missing,
    }
