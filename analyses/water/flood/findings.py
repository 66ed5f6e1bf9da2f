"""What is published beside the rasters of the levels: dike sections, low ground, flood days."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyses.blocks import block_windows
from analyses.masks import release, scratch_array
from analyses.water.flood.connectivity import connect
from analyses.water.flood.duration import daily_maxima, level_counts
from analyses.water.flood.inundation import Ground, LevelField
from analyses.water.flood.result import BASIN_FIELDS, DAYS, DIKE_FIELDS, days_band, point_style, ramp, state_style
from analyses.water.flood.scene import Scene, levels_at_nodes
from analyses.water.flood.start import Run
from spatial.catalog import Text
from spatial.jobs.contract import Outputs, Progress

__all__ = ["count_days", "publish_basins", "publish_dikes", "typed"]


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
        typed(frame, DIKE_FIELDS),
        fields=DIKE_FIELDS,
        title=Text(zh="洪水预演堤段状态", en="Flood rehearsal: state of the dikes"),
        style=state_style("line"),
        class_field="state",
    )


def publish_basins(rows: list[dict[str, Any]], outputs: Outputs) -> None:
    """Low ground behind the dikes as points, with the controlling crest."""
    if not rows:
        return
    import geopandas as gpd
    import shapely

    columns = [f.name for f in BASIN_FIELDS]
    points = shapely.points([row["lon"] for row in rows], [row["lat"] for row in rows])
    frame = gpd.GeoDataFrame([{c: row[c] for c in columns} for row in rows], geometry=points, crs=4490)
    outputs.features(
        "basins",
        typed(frame, BASIN_FIELDS),
        fields=BASIN_FIELDS,
        title=Text(zh="低于水位、不连通的低地", en="Low ground that is not connected"),
        style=point_style(),
    )


def typed(frame: Any, fields: Any) -> Any:
    """Numbers as float64, so that a column of None is one of numbers; the geometry under a name of its own."""
    for one in fields:
        if one.type == "number":
            frame[one.name] = frame[one.name].astype("float64")
    return frame.rename_geometry("geom")


def count_days(run: Run, scene: Scene, outputs: Outputs, progress: Progress) -> None:
    """Flood days of the series: connectivity once for every level that occurs, by blocks."""
    reach = scene.reach
    if run.series is None:
        return
    ground = scratch_array(run.inputs.scratch, "ground", reach.shape, np.float32)
    for top in range(0, reach.shape[0], reach.block):
        high = min(reach.block, reach.shape[0] - top)
        ground[top : top + high] = reach.ground.window(top, 0, high, reach.shape[1])
        release(ground)
    flat = Ground(lambda r, c, h, w: np.asarray(ground[r : r + h, c : c + w]))
    days = scratch_array(run.inputs.scratch, "days", reach.shape, np.uint16)
    maxima = daily_maxima(run.series.times, run.series.levels_m)
    counts = level_counts([level for _, level in maxima])
    for done, (level, number) in enumerate(counts, start=1):
        progress(0.82 + 0.13 * done / len(counts), f"淹没天数 {done}/{len(counts)} flood days")

        def put(row: int, col: int, d: Any, reached: Any, count: int = number) -> None:
            if reached is not None:
                days[row : row + reached.shape[0], col : col + reached.shape[1]] += reached.astype(
                    np.uint16
                ) * np.uint16(count)
            if col + reach.block >= reach.shape[1]:
                release(days, ground, reach.strip)

        made = LevelField(flat, reach.strip, levels_at_nodes(run, scene, level), reach.cap)
        connect(
            made.depth, reach.shape, reach.seeds, reach.row_areas_m2, put=put, block=reach.block, threads=reach.threads
        )
    raster = outputs.raster(
        "days",
        bands=days_band(),
        dtype="uint16",
        nodata=65535,
        title=Text(zh="洪水预演淹没天数", en="Flood rehearsal: flood days"),
        style=ramp("days", DAYS),
    )
    for row, col, high, wide in block_windows(*reach.shape, reach.block):
        window = (slice(row, row + high), slice(col, col + wide))
        known = np.isfinite(ground[window]) & (np.asarray(reach.strip[window]) > 0)
        raster.write(row, col, np.where(known, np.asarray(days[window]), np.uint16(65535)))
    release(days, ground, reach.strip)
    run.tables["daily_levels"] = [{"day": day, "level_m": round(level, 3)} for day, level in maxima]
