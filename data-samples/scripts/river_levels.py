"""Synthetic daily water levels and rain at twelve real gauges (合成的逐日水位与雨量); seed 42.

Only places and flood levels are real (``river-gauges.csv``). A summer with two flood waves is made: each wave runs down its
river, later and flatter at each gauge, and carries an autocorrelated noise of a few centimetres.
"""

from __future__ import annotations

import csv

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sample_files import SAMPLES, write_features
from sample_grid import SEED

GAUGES = {
    "长江": ("宜昌", "枝城", "沙市", "监利", "螺山", "汉口", "黄石"),
    "汉江": ("襄阳", "皇庄", "沙洋", "仙桃", "汉川"),
}
"""River → gauges downstream."""
DAYS = pd.date_range("2024-06-01T08:00", "2024-08-31T08:00", freq="D", tz="Asia/Shanghai").tz_convert("UTC")
WAVES = ((30, 6.0, 3.6), (55, 8.0, 4.4))
"""Day of the crest at the first gauge, width in days, height in m."""


def _noise(random: np.random.Generator, count: int) -> np.ndarray:
    steps, level = random.normal(0, 0.05, count), np.zeros(count)
    for k in range(1, count):
        level[k] = 0.85 * level[k - 1] + steps[k]
    return level


def river_levels() -> None:
    """One row a gauge and day: level (m, datum of the gauge), rain of 24 h (mm)."""
    with (SAMPLES / "thematic" / "river-gauges.csv").open(encoding="utf-8") as handle:
        known = {row["name"]: row for row in csv.DictReader(handle)}
    random = np.random.default_rng([SEED, 92])
    day, parts = np.arange(len(DAYS)), []
    for river, names in GAUGES.items():
        for place, name in enumerate(names):
            row = known[name]
            level = float(row["warning_m"]) - 4.2 + 0.5 * np.sin(day / 29) + _noise(random, len(day))
            for crest, width, height in WAVES:
                wide = width + 0.7 * place
                level += height * 0.95**place * np.exp(-0.5 * ((day - crest - 0.8 * place) / wide) ** 2)
            rain = np.where(random.random(len(day)) < 0.35, random.gamma(0.9, 14.0, len(day)), 0.0)
            point = shapely.Point(float(row["lon"]), float(row["lat"]))
            parts.append(
                gpd.GeoDataFrame(
                    {
                        "river": river,
                        "station": name,
                        "time": DAYS,
                        "level_m": np.round(level, 2),
                        "rain_mm": np.round(rain, 1),
                    },
                    geometry=[point] * len(day),
                    crs=4490,
                )
            )
    write_features("thematic/river-levels", pd.concat(parts, ignore_index=True))


STEPS = (river_levels,)
