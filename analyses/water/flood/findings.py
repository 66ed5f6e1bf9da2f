"""What is published beside the rasters: dike sections, low ground, polders and detention areas, plan list, flood days."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.flood.datum import canonical_datum
from analyses.water.flood.duration import daily_maxima, flood_days
from analyses.water.flood.inundation import FLOODED, RELEASED, WATERS
from analyses.water.flood.mapping import LevelMap, whole_ground
from analyses.water.flood.plans import area_measures, plan_rows
from analyses.water.flood.result import (
    BASIN_FIELDS,
    DAYS,
    DIKE_FIELDS,
    PLAN_FIELDS,
    days_band,
    point_style,
    ramp,
    state_style,
)
from analyses.water.flood.scene import Run, Scene, levels_at_nodes
from analyses.water.flood.warning import flood_grade
from spatial.catalog import Text
from spatial.jobs.contract import Outputs, Progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["count_days", "plan_areas", "publish_basins", "publish_dikes"]


def publish_dikes(run: Run, scene: Scene, rows: list[dict[str, Any]], outputs: Outputs) -> None:
    """Dike sections of every level with their state: tables and features."""
    if not rows:
        return
    import geopandas as gpd

    states: dict[tuple[float, str], int] = {}
    for row in rows:
        key = (row["level_m"], row["state"])
        states[key] = states.get(key, 0) + 1
    run.tables["dike_states"] = [{"level_m": a, "state": b, "sections": n} for (a, b), n in sorted(states.items())]
    run.tables["dike_sections"] = [
        {k: v for k, v in row.items() if k != "number"} for row in rows if row["state"] != "dry"
    ]
    geometry = [scene.dikes.geometry.iloc[row["number"]] for row in rows]
    columns = [f.name for f in DIKE_FIELDS]
    frame = gpd.GeoDataFrame([{c: row[c] for c in columns} for row in rows], geometry=geometry, crs=4490)
    outputs.features(
        "dikes",
        _typed(frame, DIKE_FIELDS),
        fields=DIKE_FIELDS,
        title=Text(zh="洪水预演堤段状态", en="Flood rehearsal: state of the dikes"),
        style=state_style("line"),
        class_field="state",
    )


def publish_basins(run: Run, rows: list[dict[str, Any]], outputs: Outputs, *, exact: bool) -> None:
    """Low ground behind the dikes as points, with the controlling crest."""
    if not exact:
        run.notes.append(
            Text(
                zh="格网较大：低地控制高程只在其周围窗口内求，为上限；不通河的像元没有概率",
                en="large grid: controlling crests are upper bounds from a window about each basin; no probability where the "
                "river does not come",
            )
        )
    if not rows:
        return
    import geopandas as gpd
    import shapely

    columns = [f.name for f in BASIN_FIELDS]
    points = shapely.points([row["lon"] for row in rows], [row["lat"] for row in rows])
    frame = gpd.GeoDataFrame([{c: row[c] for c in columns} for row in rows], geometry=points, crs=4490)
    outputs.features(
        "basins",
        _typed(frame, BASIN_FIELDS),
        fields=BASIN_FIELDS,
        title=Text(zh="低于水位、不连通的低地", en="Low ground that is not connected"),
        style=point_style(),
    )


def _typed(frame: Any, fields: Any) -> Any:
    """Numbers as float64, so that a column of None is one of numbers; the geometry under a name of its own."""
    for one in fields:
        if one.type == "number":
            frame[one.name] = frame[one.name].astype("float64")
    return frame.rename_geometry("geom")


def count_days(run: Run, scene: Scene, outputs: Outputs, progress: Progress) -> None:
    """Flood days of the series."""
    reach = scene.reach
    if run.series is None:
        return
    if reach.shape[0] * reach.shape[1] > run.rules.basins.crest_cells:
        run.notes.append(Text(zh="格网较大：没有计算淹没天数", en="large grid: flood days were not counted"))
        return
    from analyses.water.flood.connectivity import connect
    from analyses.water.flood.inundation import LevelField

    ground = whole_ground(reach)
    flat = replace(reach.ground, read=lambda r, c, h, w: ground[r : r + h, c : c + w], raised=(), lowered=())
    maxima = daily_maxima(run.series.times, run.series.levels_m)
    done = 0

    def wet_at(level: float) -> NDArray[np.bool_]:
        nonlocal done
        done += 1
        progress(0.82 + 0.13 * done / len(maxima), "淹没天数 flood days")
        out = np.zeros(reach.shape, bool)

        def put(row: int, col: int, d: Any, reached: Any) -> None:
            if reached is not None:
                out[row : row + reached.shape[0], col : col + reached.shape[1]] = reached

        made = LevelField(flat, reach.strip, levels_at_nodes(run, scene, level), reach.cap)
        connect(
            made.depth, reach.shape, reach.seeds, reach.row_areas_m2, put=put, block=reach.block, threads=reach.threads
        )
        return out

    days = flood_days([level for _, level in maxima], wet_at, reach.shape)
    raster = outputs.raster(
        "days",
        bands=days_band(),
        dtype="uint16",
        nodata=65535,
        title=Text(zh="洪水预演淹没天数", en="Flood rehearsal: flood days"),
        style=ramp("days", DAYS),
    )
    valid = np.isfinite(ground) & (np.asarray(reach.strip) > 0)
    days[~valid] = 65535
    for top in range(0, reach.shape[0], reach.block):
        for left in range(0, reach.shape[1], reach.block):
            raster.write(top, left, np.ascontiguousarray(days[top : top + reach.block, left : left + reach.block]))
    run.tables["daily_levels"] = [{"day": day, "level_m": round(level, 3)} for day, level in maxima]


def plan_areas(run: Run, scene: Scene, maps: list[LevelMap], outputs: Outputs) -> None:
    """Polders, detention areas and the plan list of every level."""
    import geopandas as gpd

    features, geometry = [], []
    plan: list[dict[str, Any]] = []
    sections = run.tables.get("dike_sections", [])
    for level, found in zip(run.levels, maps, strict=True):
        measures: dict[str, list[dict[str, Any]]] = {"polder": [], "detention": []}
        for kind, role in (("polder", "polders"), ("detention", "detention")):
            frame = run.frame(role)
            if frame is None:
                continue
            rows = [dict(row) for _, row in frame.iterrows()]
            for row in rows:
                if canonical_datum(row.get("datum")) != canonical_datum(run.gauge.datum):
                    row["operation_m"] = None  # of another datum: not comparable, so not assessed
            measures[kind] = area_measures(rows, kind, {run.gauge.name: level}, run.rules.plans)
            wet = _flooded_km2(run, scene, found, frame)
            for row, measure, area in zip(rows, measures[kind], wet, strict=True):
                measure["flooded_km2"] = round(area, 4)
                action = measure["action"]
                features.append(
                    {
                        "name": str(measure["name"]),
                        "kind": kind,
                        "level_m": level,
                        "operation_m": measure["operation_m"],
                        "status": measure["status"],
                        "flooded_km2": measure["flooded_km2"],
                        "action": None if action is None else f"{action['zh']} / {action['en']}",
                    }
                )
                geometry.append(row["geometry"])
        grade = flood_grade(level, run.gauge.row, run.rules.warning)
        mine = [s for s in sections if s["level_m"] == level]
        plan += plan_rows(run.gauge.name, level, grade, measures["polder"], measures["detention"], mine)
        run.tables.setdefault("areas", []).extend({"level_m": level, **m} for rows in measures.values() for m in rows)
    run.tables["plan"] = plan
    if features:
        frame = gpd.GeoDataFrame(features, geometry=geometry, crs=4490)
        outputs.features(
            "plans",
            _typed(frame, PLAN_FIELDS),
            fields=PLAN_FIELDS,
            title=Text(zh="民垸与蓄滞洪区措施", en="Measures at polders and detention areas"),
            style=state_style("area"),
            class_field="status",
        )


def _flooded_km2(run: Run, scene: Scene, found: LevelMap, frame: Any) -> list[float]:
    """Flooded area inside each polygon, km²."""
    from rasterio.features import rasterize

    affine = run.inputs.grid.affine
    out = []
    for shape in frame.geometry.array:
        x0, y0, x1, y1 = shape.bounds
        c0, c1 = np.clip(
            [int((x0 - affine.c) // affine.a), int((x1 - affine.c) // affine.a) + 1], 0, scene.reach.shape[1]
        )
        r0, r1 = np.clip(
            [int((y1 - affine.f) // affine.e), int((y0 - affine.f) // affine.e) + 1], 0, scene.reach.shape[0]
        )
        if r1 <= r0 or c1 <= c0:
            out.append(0.0)
            continue
        inside = rasterize([(shape, 1)], (r1 - r0, c1 - c0), transform=affine @ affine.translation(int(c0), int(r0)))
        codes = np.asarray(found.codes[r0:r1, c0:c1])
        wet = (inside > 0) & np.isin(codes, (FLOODED, RELEASED, WATERS))
        out.append(float((wet.sum(axis=1) * scene.reach.row_areas_m2[r0:r1]).sum()) / 1e6)
    return out
