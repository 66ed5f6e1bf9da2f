"""A small chart of a series as SVG (面积序列图): drawn here, so that a page needs no script and nothing from outside."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

__all__ = ["area_chart"]

_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM, _RIGHT = 760, 220, 56, 14, 30, 12


def area_chart(series: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Places of the marks of a line chart, None for fewer than two dates.

    Returns
    -------
    dict
        ``width``, ``height``; ``line`` (points of the polyline), ``band`` (of the interval), ``dots`` (x, y, hollow, text),
        ``y_ticks`` and ``x_ticks`` (position, label). The template writes them as SVG, so every text is escaped.

    Examples
    --------
    >>> rows = [{"time": f"202{k}-01-01", "area_km2": 10.0 + k, "flag": "observed"} for k in range(3)]
    >>> chart = area_chart(rows)
    >>> chart["dots"][0]["x"], chart["dots"][2]["x"], chart["dots"][0]["y"] > chart["dots"][2]["y"]
    (56.0, 748.0, True)
    """
    rows = [row for row in series if row.get("area_km2") is not None]
    if len(rows) < 2:
        return None
    days = [date.fromisoformat(row["time"]).toordinal() for row in rows]
    values = [float(row["area_km2"]) for row in rows]
    lows = [float(row["low_km2"]) if row.get("low_km2") is not None else v for row, v in zip(rows, values, strict=True)]
    highs = [
        float(row["high_km2"]) if row.get("high_km2") is not None else v for row, v in zip(rows, values, strict=True)
    ]
    low, high = min(lows), max(highs)
    margin = 0.05 * (high - low) or max(abs(high), 1.0) * 0.05
    low, high = low - margin, high + margin
    span = max(days[-1] - days[0], 1)

    def x(day: float) -> float:
        return round(_LEFT + (day - days[0]) / span * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(value: float) -> float:
        return round(_TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM), 1)

    years = range(date.fromordinal(days[0]).year, date.fromordinal(days[-1]).year + 2)
    firsts = [(date(year, 1, 1).toordinal(), str(year)) for year in years]
    upper = [f"{x(d)},{y(v)}" for d, v in zip(days, highs, strict=True)]
    lower = [f"{x(d)},{y(v)}" for d, v in zip(reversed(days), reversed(lows), strict=True)]
    return {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _WIDTH - _RIGHT,
        "bottom": _HEIGHT - _BOTTOM,
        "line": " ".join(f"{x(d)},{y(v)}" for d, v in zip(days, values, strict=True)),
        "band": " ".join([*upper, *lower]),
        "dots": [
            {"x": x(d), "y": y(v), "hollow": row.get("flag") != "observed", "text": f"{row['time']} {v:g} km²"}
            for d, v, row in zip(days, values, rows, strict=True)
        ],
        "y_ticks": [(y(v), f"{v:.4g}") for v in (low + (high - low) * k / 4 for k in range(5))],
        "x_ticks": [(x(day), text) for day, text in firsts if days[0] <= day <= days[-1]],
    }
