"""The plan list of a run (方案清单): which polder or detention area is used at which level and time, and who lives in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from analyses.water.flood.counties import area_exposure, inside_of, window_of
from analyses.water.flood.datum import canonical_datum
from analyses.water.flood.findings import typed
from analyses.water.flood.forecast import crossing_times
from analyses.water.flood.inundation import FLOODED, RELEASED, WATERS
from analyses.water.flood.mapping import LevelMap
from analyses.water.flood.plans import CERTAINTY, area_measures, plan_rows
from analyses.water.flood.result import PLAN_FIELDS, STATUS, state_style
from analyses.water.flood.scene import Scene
from analyses.water.flood.start import Run
from analyses.water.flood.warning import flood_grade
from spatial.catalog import Text
from spatial.jobs.contract import Outputs

__all__ = ["plan_areas"]

_PARTS = ("county", "people", "cropland_mu", "roads_km", "works", "area_km2", "built_km2")
_KINDS = (("polder", "polders"), ("detention", "detention"))


def plan_areas(run: Run, scene: Scene, maps: list[LevelMap], outputs: Outputs) -> None:
    """Polders, detention areas and the plan list of every level."""
    areas = {kind: _areas(run, scene, kind, role) for kind, role in _KINDS}
    run.tables["area_exposure"] = [
        {"name": str(row["name"]), **{key: part[key] for key in _PARTS}, "kind": kind}
        for kind, rows in areas.items()
        for row in rows
        for part in row["parts"]
    ]
    features: list[dict[str, Any]] = []
    geometry: list[Any] = []
    plan: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    sections = run.tables.get("dike_sections", [])
    for level, found in zip(run.levels, maps, strict=True):
        measures = {
            kind: area_measures(rows, kind, {run.gauge.name: level}, run.rules.plans, run.level_sd.get(level))
            for kind, rows in areas.items()
        }
        for kind, rows in areas.items():
            for row, measure in zip(rows, measures[kind], strict=True):
                measure |= row["sums"] | _times(run, measure)
                measure["flooded_km2"] = round(_flooded_km2(run, scene, found, row["geometry"]), 4)
                features.append(_feature(level, measure))
                geometry.append(row["geometry"])
                listed.append({**measure, "level_m": level})
        grade = flood_grade(level, run.gauge.row, run.rules.warning)
        mine = [s for s in sections if s["level_m"] == level]
        plan += plan_rows(run.gauge.name, level, grade, measures["polder"], measures["detention"], mine)
    run.tables["areas"] = listed
    run.tables["plan"] = plan
    if run.series is not None:
        run.tables["schedule"] = _schedule(run, areas)
    if features:
        import geopandas as gpd

        outputs.features(
            "plans",
            typed(gpd.GeoDataFrame(features, geometry=geometry, crs=4490), PLAN_FIELDS),
            fields=PLAN_FIELDS,
            title=Text(zh="民垸与蓄滞洪区措施", en="Measures at polders and detention areas"),
            style=state_style("area"),
            class_field="status",
        )


def _schedule(run: Run, areas: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The plan list over the whole series, in the order of time: each area once, judged by the crest.

    What the crest reaches only within the uncertainty, or would reach only within it, is there and marked so.
    """
    if run.series is None:
        return []
    at = int(np.argmax(run.series.levels_m))
    crest = float(run.series.levels_m[at])
    sd = run.parameters.level_sd_m if run.series.sd_m is None else float(run.series.sd_m[at])
    rows = []
    for kind, found in areas.items():
        for row, measure in zip(
            found, area_measures(found, kind, {run.gauge.name: crest}, run.rules.plans, sd), strict=True
        ):
            if measure["status"] == "none" and measure.get("certainty") != "possible":
                continue
            times, sure = _times(run, measure), measure.get("certainty")
            rows.append(
                {
                    "name": measure["name"],
                    "operation_m": measure["operation_m"],
                    "reached": times.get("reached"),
                    "state": STATUS[measure["status"]].model_dump(),
                    "how_sure": None if sure is None else CERTAINTY[sure].model_dump(),
                    "people": row["sums"]["people"],
                    "cropland_mu": row["sums"]["cropland_mu"],
                    "action": measure["action"],
                    "until": times.get("until"),
                    "status": measure["status"],
                    "certainty": sure,
                    "kind": kind,
                    "crest_m": crest,
                    "crest_sd_m": None if sd is None else round(sd, 3),
                    **{key: value for key, value in row["sums"].items() if key not in {"people", "cropland_mu"}},
                }
            )
    return sorted(rows, key=lambda row: (row["reached"] is None, row["reached"] or "", row["operation_m"] or 0.0))


def _areas(run: Run, scene: Scene, kind: str, role: str) -> list[dict[str, Any]]:
    """Areas of a kind with what lies in them; an operation level of another datum is not comparable, so not assessed."""
    frame = run.frame(role)
    if frame is None:
        return []
    rows = []
    for _, found in frame.iterrows():
        row = dict(found)
        if canonical_datum(row.get("datum")) != canonical_datum(run.gauge.datum):
            row["operation_m"] = None
        row["parts"] = area_exposure(run, scene.reach, scene.counties, row["geometry"])
        row["sums"] = _sums(row["parts"])
        rows.append(row)
    return rows


def _sums(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """One line of figures for an area that may lie in several counties."""

    def whole(name: str, digits: int) -> float | int | None:
        values = [part[name] for part in parts if part[name] is not None]
        return None if not values else round(sum(values), digits) if digits else int(sum(values))

    counties = [str(part["county"]) for part in parts if part["county"] is not None]
    works = [str(part["works"]) for part in parts if part["works"]]
    return {
        "counties": "、".join(counties) or None,
        "people": whole("people", 0),
        "cropland_mu": whole("cropland_mu", 1),
        "built_km2": whole("built_km2", 4),
        "roads_km": whole("roads_km", 3),
        "works": "、".join(works) or None,
    }


def _times(run: Run, measure: dict[str, Any]) -> dict[str, Any]:
    """When the series reaches the operation level of an area, and when it falls below it for good."""
    if run.series is None or measure["operation_m"] is None:
        return {}
    first, last = crossing_times(measure["operation_m"], run.series.times, run.series.levels_m)

    return {"reached": _clock(first), "until": _clock(last)}


def _clock(time: datetime | None) -> str | None:
    """Beijing time to the minute, with its zone: what stands in a plan is read by people there."""
    return None if time is None else time.astimezone(ZoneInfo("Asia/Shanghai")).isoformat(timespec="minutes")


def _feature(level: float, measure: dict[str, Any]) -> dict[str, Any]:
    action = measure["action"]
    names = ("kind", "operation_m", "status", "flooded_km2", "counties", "people", "cropland_mu", "roads_km", "works")
    return {name: measure.get(name) for name in names} | {
        "name": str(measure["name"]),
        "level_m": level,
        "certainty": measure.get("certainty"),
        "reached": measure.get("reached"),
        "action": None if action is None else f"{action['zh']} / {action['en']}",
    }


def _flooded_km2(run: Run, scene: Scene, found: LevelMap, shape: Any) -> float:
    """Flooded area inside a polygon, km²."""
    window = window_of(run, scene.reach.shape, shape)
    if window is None:
        return 0.0
    row, col, high, wide = window
    codes = np.asarray(found.codes[row : row + high, col : col + wide])
    wet = inside_of(run, window, shape) & np.isin(codes, (FLOODED, RELEASED, WATERS))
    return float((wet.sum(axis=1) * scene.reach.row_areas_m2[row : row + high]).sum()) / 1e6
