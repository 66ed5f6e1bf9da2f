"""Synthetic levels of the three lakes of the sample scenes, every ten days of their decade (合成的湖泊水位); seed 42.

The same level that draws the shore in ``water_scenes.py``, read with an error of a centimetre. Three readings of Honghu are
wrong on purpose (a spike, and two of a gauge that was stuck), so that a check has something to find.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import shapely
from sample_files import write_features
from water_scenes import LAKES, SEED, level

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


STEPS = (lake_levels,)
