"""Synthetic levels and protection lines of the three lakes of the sample scenes (合成的湖泊水位与保护线); seed 42.

The same level that draws the shore in ``water_scenes.py``, read with an error of a centimetre. Three readings of Honghu are
wrong on purpose (a spike, and two of a gauge that was stuck), so that a check has something to find. The protection lines
are the outlines and a strip around them; the water to be kept is what the made ground holds at the line's level.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import shapely
from sample_files import write_features
from water_scenes import FINE, LAKES, SEED, Ground, level, outline

from spatial.units import geodesic_areas

PLACES = {
    "honghu-scenes": ("洪湖", 113.39, 29.87),
    "liangzi-scenes": ("梁子湖", 114.55, 30.24),
    "danjiangkou-scenes": ("丹江口水库（合成轮廓）", 111.48, 32.58),
}


def lake_levels() -> None:
    """One row a lake and ten days: level (m, datum of the lake's gauge)."""
    times = [datetime(2015, 1, 1, 0, tzinfo=UTC) + timedelta(days=10 * k) for k in range(366)]
    random = np.random.default_rng([SEED, 93])
    rows: dict[str, list[object]] = {"lake": [], "time": [], "level_m": []}
    points = []
    for lake in LAKES:
        name, lon, lat = PLACES[lake.id]
        values = np.array([level(lake, when) for when in times]) + random.normal(0, 0.01, len(times))
        if name == "洪湖":
            values[120] += 9.0
            values[201:203] = values[200]
        rows["lake"] += [name] * len(times)
        rows["time"] += times
        rows["level_m"] += list(np.round(values, 2))
        points += [shapely.Point(lon, lat)] * len(times)
    frame = gpd.GeoDataFrame(rows, geometry=points, crs=4490)
    frame["time"] = frame["time"].astype("datetime64[ms, UTC]")
    write_features("thematic/lake-levels", frame)


@dataclass(frozen=True)
class Line:
    """What the protection line of a lake says."""

    level_m: float
    """Level for which the water is stated."""
    ecological_level_m: float
    strip_m: float
    """Width of the strip between the outline and the line."""


LINES = {
    "honghu-scenes": Line(24.5, 23.4, 150.0),
    "liangzi-scenes": Line(17.5, 17.25, 100.0),
    "danjiangkou-scenes": Line(160.0, 155.0, 1000.0),
}
CONTROL_M = 500.0
"""Width of the control zone beyond the protection zone (湖北省湖泊保护条例: at least 500 m in principle)."""


def _widened(shape: shapely.Geometry, metres: float) -> shapely.Geometry:
    """A geometry and `metres` around it, rounded off to ten metres; a strip, not a survey."""
    per_y = 110_900.0
    per_x = 111_320.0 * np.cos(np.deg2rad(shape.centroid.y))
    metric = shapely.transform(shape, lambda xy: xy * [per_x, per_y])
    wide = shapely.simplify(shapely.buffer(metric, metres, quad_segs=4), 20.0)
    filled = shapely.union_all([shapely.Polygon(part.exterior) for part in shapely.get_parts(wide)])
    return shapely.transform(filled, lambda xy: xy / [per_x, per_y])


def lake_protection_lines() -> None:
    """Two zones a lake: protection (with the water to be kept) and control."""
    rows: dict[str, list[object]] = {
        name: [] for name in ("name", "zone", "water_km2", "level_m", "ecological_level_m", "area_km2")
    }
    shapes = []
    for lake in LAKES:
        line, name = LINES[lake.id], PLACES[lake.id][0]
        ground = Ground(lake)
        wet = ground.height < line.level_m - lake.mean_level
        share = wet.reshape(ground.rows, FINE, ground.cols, FINE).mean(axis=(1, 3))
        water = float((share.sum(axis=1) * ground.cell_m2()).sum()) / 1e6
        inner = _widened(outline(lake), line.strip_m)
        outer = shapely.difference(_widened(outline(lake), line.strip_m + CONTROL_M), inner)
        for zone, shape in (("protection", inner), ("control", outer)):
            own = zone == "protection"
            rows["name"].append(name)
            rows["zone"].append(zone)
            rows["water_km2"].append(round(water, 3) if own else np.nan)
            rows["level_m"].append(line.level_m if own else np.nan)
            rows["ecological_level_m"].append(line.ecological_level_m if own else np.nan)
            rows["area_km2"].append(round(float(geodesic_areas(np.array([shape]))[0]) / 1e6, 3))
            shapes.append(shapely.multipolygons(shapely.get_parts(shape)))
    write_features("thematic/lake-protection-lines", gpd.GeoDataFrame(rows, geometry=shapes, crs=4490), digits=5)


STEPS = (lake_levels, lake_protection_lines)
