"""The plan list (预案清单): which measures a level calls for, at the gauge, at polders and at detention areas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from analyses.water.flood.rules import PlansRule
from spatial.catalog import Text

__all__ = ["CERTAINTY", "area_measures", "certainty", "plan_rows"]

CERTAINTY: dict[str, Text] = {
    "sure": Text(zh="可靠", en="sure"),
    "within_uncertainty": Text(zh="仅在不确定度内达到", en="reached only within the uncertainty"),
    "possible": Text(zh="不确定度内可能达到", en="may be reached within the uncertainty"),
    "unlikely": Text(zh="不确定度内也达不到", en="not reached even within the uncertainty"),
}
"""How sure it is that a line is reached."""


def certainty(level_m: float, line_m: float, sd_m: float | None, k: float) -> str | None:
    """How sure a level reaches a line; None where the uncertainty of the level is not known.

    ``sure``: level − k·σ ≥ line; ``within_uncertainty``: only the level itself reaches it; ``possible``: level + k·σ does;
    ``unlikely``: not even that.

    Examples
    --------
    >>> [certainty(v, 29.5, 0.2, 1.645) for v in (30.0, 29.6, 29.4, 29.0)], certainty(30.0, 29.5, None, 1.645)
    (['sure', 'within_uncertainty', 'possible', 'unlikely'], None)
    """
    if sd_m is None:
        return None
    if level_m >= line_m:
        return "sure" if level_m - k * sd_m >= line_m else "within_uncertainty"
    return "possible" if level_m + k * sd_m >= line_m else "unlikely"


def area_measures(
    areas: Iterable[Mapping[str, Any]],
    kind: str,
    levels_by_station: Mapping[str, float],
    rule: PlansRule,
    sd_m: float | None = None,
) -> list[dict[str, Any]]:
    """What each polder (民垸) or detention area (蓄滞洪区) calls for at the level of its own station.

    Status: ``operate`` — level ≥ 运用水位; ``prepare`` — less than `prepare_below_m` below it; ``none``; ``not_assessed`` — no
    operation level, or no level at its station. Both levels are in the datum of that station. With `sd_m`, the standard
    deviation of the level, ``certainty`` says whether it is reached only within the uncertainty.
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
            row["certainty"] = certainty(levels_by_station[str(station)], float(line), sd_m, rule.certain_k)
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
    """The list for one level: the gauge's measure, then detention areas, polders, dikes in danger."""
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
    carried = (
        "certainty",
        "reached",
        "people",
        "until",
        "counties",
        "operation_m",
        "short_m",
        "cropland_mu",
        "built_km2",
        "roads_km",
        "works",
    )
    rows += [
        {"level_m": level_m, "kind": a["kind"], "name": a["name"], "status": a["status"], "action": a["action"]}
        | {name: a[name] for name in carried if name in a}
        for a in [*detention, *polders]
        if a["status"] in {"operate", "prepare", "not_assessed"} or a.get("certainty") == "possible"
    ]
    # One row a dike and state: nine sections of one ring dike are one task.
    tasks: dict[tuple[str, str], list[str]] = {}
    for s in sections:
        if s["state"] in urgent:
            tasks.setdefault((str(s.get("dike") or s["name"]), s["state"]), []).append(str(s["name"]))
    rows += [
        {
            "level_m": level_m,
            "kind": "dike",
            "name": dike,
            "status": state,
            "action": urgent[state],
            "sections": len(names),
            "section_names": "、".join(names),
        }
        for (dike, state), names in tasks.items()
    ]
    return rows
