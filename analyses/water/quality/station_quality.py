"""From checked station series to classes, trophic states, targets, trends and alerts: rows of the tables of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.quality.surface_water_class import CLASSES, classify
from analyses.water.quality.trophic import tli
from analyses.water.series.alerts import confirmed_alerts
from analyses.water.series.trend import trend_of
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    import pandas

    from analyses.water.quality.rules import TrophicRules
    from analyses.water.quality.station_rules import SurfaceWaterRules
    from analyses.water.series.rules import ChangeRules

__all__ = ["Section", "alert_rows", "annual_rows", "observation_rows", "trend_rows"]


@dataclass(frozen=True)
class Section:
    """One section (断面): what its class and target are judged by."""

    name: str
    body: str | None
    lake: bool
    target: int | None


def _class_columns(
    values: Mapping[str, float], section: Section, rules: SurfaceWaterRules, saturation: float | None
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "class": None,
        "class_zh": None,
        "class_en": None,
        "worst": None,
        "tn_class": None,
        "reason": None,
    }
    known = {k: v for k, v in values.items() if not math.isnan(v)}
    try:
        found = classify(known, rules, lake=section.lake, oxygen_saturation_percent=saturation)
    except InvalidParameter as error:
        return row | {"reason": str(error.en)}
    row["class"] = found.code
    row["class_zh"], row["class_en"] = found.title.zh, found.title.en
    row["worst"] = "、".join(rules.indicators.by_id[name].title.zh for name in found.worst) or None
    row["tn_class"] = found.beside.get("tn")
    row["items"] = len(found.by_indicator)
    return row


def _trophic_columns(values: Mapping[str, float], section: Section, rules: TrophicRules) -> dict[str, Any]:
    row: dict[str, Any] = {"tli": None, "trophic": None, "trophic_zh": None, "tli_items": None}
    if not section.lake:
        return row
    known = {k: v for k, v in values.items() if k in rules.tli.by_id and not math.isnan(v)}
    # Without chlorophyll the index says nothing of algae: weights are correlations with it.
    if "chl_a" not in known and "sd" not in known:
        return row
    try:
        found = tli(known, rules)
    except (InvalidParameter, QualityViolation):
        return row
    return {
        "tli": round(found.value, 2),
        "trophic": found.level.code,
        "trophic_zh": found.level.title.zh,
        "tli_items": len(found.partial),
    }


def _saturation(values: Mapping[str, float]) -> float | None:
    found = values.get("do_saturation", float("nan"))
    return None if math.isnan(found) else found


def observation_rows(
    frame: pandas.DataFrame,
    sections: Mapping[str, Section],
    items: Sequence[str],
    water: SurfaceWaterRules,
    trophic: TrophicRules,
) -> list[dict[str, Any]]:
    """Class and trophic state of every observation, in the order of station and time."""
    rows = []
    extra = [name for name in ("chl_a", "sd", "do_saturation") if name in frame.columns]
    for record in frame.to_dict("records"):
        section = sections[str(record["station"])]
        values = {name: float(record[name]) for name in (*items, *extra)}
        row: dict[str, Any] = {"station": section.name, "body": section.body, "time": record["time"].isoformat()}
        row |= _class_columns({n: values[n] for n in items}, section, water, _saturation(values))
        row |= _trophic_columns(values, section, trophic)
        row["target"] = section.target
        row["reached"] = None if row["class"] is None or section.target is None else row["class"] <= section.target
        rows.append(row)
    return rows


def annual_rows(
    frame: pandas.DataFrame,
    sections: Mapping[str, Section],
    items: Sequence[str],
    water: SurfaceWaterRules,
    trophic: TrophicRules,
) -> list[dict[str, Any]]:
    """Class of each section and calendar year (UTC+8) by the mean of its values; too few months: not assessed.

    Source: 环办〔2011〕22 号 [mem]: the arithmetic mean of the year's values.
    """
    extra = [name for name in ("chl_a", "sd", "do_saturation") if name in frame.columns]
    local = frame["time"].dt.tz_convert("Asia/Shanghai")
    rows = []
    groups: Any = frame.groupby([frame["station"], local.dt.year.rename("year")], sort=True)
    for (station, year), part in groups:
        section = sections[str(station)]
        months = int(local[part.index].dt.month.nunique())
        row: dict[str, Any] = {"station": section.name, "body": section.body, "year": int(year), "months": months}
        if months < water.period.least_months_of_year:
            empty = dict.fromkeys(
                ("class", "class_zh", "class_en", "worst", "tn_class", "tli", "trophic", "trophic_zh")
            )
            row |= empty | {"reason": f"{months} < {water.period.least_months_of_year} months"}
        else:
            with np.errstate(all="ignore"):
                means = {
                    name: float(part[name].mean()) if part[name].notna().any() else float("nan")
                    for name in (*items, *extra)
                }
            row |= _class_columns({n: means[n] for n in items}, section, water, _saturation(means))
            row |= _trophic_columns(means, section, trophic)
        row["target"] = section.target
        row["reached"] = None if row["class"] is None or section.target is None else row["class"] <= section.target
        rows.append(row)
    return rows


def trend_rows(frame: pandas.DataFrame, quantities: Mapping[str, str], rules: ChangeRules) -> list[dict[str, Any]]:
    """Trend of each quantity at each station; one that was never measured there is left out."""
    import pandas

    rows = []
    for station, part in frame.groupby("station", sort=True):
        ordered = part.sort_values("time", kind="stable")
        times = pandas.DatetimeIndex(ordered["time"])
        for name, unit in quantities.items():
            if name not in ordered.columns or not ordered[name].notna().any():
                continue
            found = trend_of(times, ordered[name].to_numpy(dtype=np.float64), rules.trend)
            rows.append({"station": str(station), "quantity": name, "unit": unit, **found.as_dict()})
    return rows


def alert_rows(observations: Sequence[Mapping[str, Any]], rules: ChangeRules) -> list[dict[str, Any]]:
    """Alerts of sections whose class is worse than the target, confirmed by two observations."""
    from datetime import datetime

    by_station: dict[str, list[Mapping[str, Any]]] = {}
    for row in observations:
        if row["target"] is not None:
            by_station.setdefault(str(row["station"]), []).append(row)
    rows = []
    for station, series in sorted(by_station.items()):
        target = int(series[0]["target"])
        times = [datetime.fromisoformat(str(row["time"])) for row in series]
        values = [float("nan") if row["class"] is None else float(row["class"]) for row in series]
        for alert in confirmed_alerts(times, values, target, rules.confirmation):
            inside = [
                row for row in series if alert.began.isoformat() <= str(row["time"]) and row["class"] == alert.peak
            ]
            rows.append(
                {
                    "station": station,
                    "target": target,
                    **alert.as_dict(),
                    "peak_zh": CLASSES[int(alert.peak)].zh,
                    "worst": inside[0]["worst"] if inside else None,
                }
            )
    return rows
