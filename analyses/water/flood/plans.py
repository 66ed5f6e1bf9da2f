"""The plan list (预案清单): which measures a level calls for, at the gauge, at polders and at detention areas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analyses.water.flood.rules import PlansRule

__all__ = ["area_measures", "plan_rows"]


def area_measures(
    areas: Iterable[Mapping[str, Any]], kind: str, levels_by_station: Mapping[str, float], rule: PlansRule
) -> list[dict[str, Any]]:
    """What each polder (民垸) or detention area (蓄滞洪区) calls for at the level of its own station.

    Status: ``operate`` — level ≥ 运用水位; ``prepare`` — less than `prepare_below_m` below it; ``none``; ``not_assessed`` — no
    operation level, or no level at its station. Both levels are in the datum of that station.
    """
    out = []
    for area in areas:
        line, station = area.get("operation_m"), area.get("station")
        known = line is not None and line == line and station in levels_by_station
        row: dict[str, Any] = {
            "kind": kind,
            "name": area.get("name"),
            "station": station,
            "operation_m": float(line) if known and line is not None else None,
            "level_m": levels_by_station.get(str(station)),
        }
        if not known or line is None:
            status, about = "not_assessed", None
        else:
            short = float(line) - levels_by_station[str(station)]
            row["short_m"] = round(short, 3)
            if short <= 0:
                status, about = "operate", rule.polder if kind == "polder" else rule.detention
            elif short < rule.prepare_below_m:
                status, about = "prepare", rule.prepare
            else:
                status, about = "none", None
        out.append(row | {"status": status, "action": None if about is None else about.model_dump()})
    return out


def plan_rows(
    station: str,
    level_m: float,
    grade: Mapping[str, Any],
    polders: list[dict[str, Any]],
    detention: list[dict[str, Any]],
    sections: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The list for one level: the gauge's measure, then dike sections in danger, polders, detention areas."""
    rows: list[dict[str, Any]] = []
    if grade.get("grade") is not None:
        rows.append(
            {
                "level_m": level_m,
                "kind": "gauge",
                "name": station,
                "status": grade["grade"],
                "action": grade["action"],
            }
        )
    urgent = {
        "overtopped": {"zh": "堤顶漫溢：抢筑子堤或组织撤离", "en": "overtopped: raise the crest or move people out"},
        "breached": {"zh": "溃口情景：封堵与转移", "en": "breach of the scenario: close it, move people out"},
        "low_freeboard": {
            "zh": "超高不足：加高子堤、加密巡查",
            "en": "freeboard short: raise the crest, patrol more closely",
        },
    }
    rows += [
        {"level_m": level_m, "kind": "dike", "name": s["name"], "status": s["state"], "action": urgent[s["state"]]}
        for s in sections
        if s["state"] in urgent
    ]
    rows += [
        {"level_m": level_m, "kind": a["kind"], "name": a["name"], "status": a["status"], "action": a["action"]}
        for a in [*polders, *detention]
        if a["status"] in {"operate", "prepare", "not_assessed"}
    ]
    return rows
