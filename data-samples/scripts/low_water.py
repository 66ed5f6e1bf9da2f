"""Synthetic low water and a synthetic flood forecast (合成的枯水资料与洪水预报); seed 42.

Only the places and flood levels of the gauges are real (``river-gauges.csv``). Lines of low water, intakes, daily levels of an
autumn and both forecasts are made by rule: no Hubei figures with a licence were found.
"""

from __future__ import annotations

import csv
import zlib

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sample_files import SAMPLES, write_features
from sample_grid import SEED

BELOW_WARNING = {
    # station: drought line and ecological line below the warning level m, bed of the shoal below it m, depth kept m
    "宜昌": (13.6, 14.4, 18.6, 3.5),
    "沙市": (12.9, 13.8, 17.5, 3.5),
    "螺山": (13.4, 14.3, 18.4, 3.8),
    "汉口": (13.1, 14.0, 18.9, 4.5),
    "黄石": (12.6, 13.4, 18.4, 4.5),
    "仙桃": (10.9, 11.7, 14.6, 2.0),
}
DAYS = pd.date_range("2024-09-01T08:00", "2024-11-20T08:00", freq="D", tz="Asia/Shanghai").tz_convert("UTC")
FORECAST_DAYS = 10
INTAKES = (
    # name, kind, station, metres east and north of it, lowest level m (1985 or 吴淞), datum, fall m, people, mu, m³/s
    ("汉口一水厂取水口（合成）", "domestic", "汉口", 1800, 2200, 11.15, "1985", 0.04, 620000, 0, 6.5),
    ("汉口灌溉泵站（合成）", "irrigation", "汉口", -900, -1600, 14.10, "吴淞", 0.00, 0, 86000, 12.0),
    ("江岸工业取水口（合成）", "industry", "汉口", 4300, 5200, 12.60, "吴淞", 0.10, 0, 0, 3.0),
    ("沙市水厂取水口（合成）", "domestic", "沙市", 700, -500, 27.40, "1985", 0.00, 310000, 0, 3.2),
    ("洪湖灌溉闸（合成）", "irrigation", "螺山", 900, 1500, 19.00, "吴淞", 0.00, 0, 240000, 30.0),
    ("黄石水厂取水口（合成）", "domestic", "黄石", -600, 900, 11.20, "吴淞", 0.02, 280000, 0, 2.8),
    ("宜昌灌溉泵站（合成）", "irrigation", "宜昌", 1500, -700, 39.90, "吴淞", 0.00, 0, 52000, 8.0),
)  # fmt: skip


def _gauges() -> dict[str, dict[str, str]]:
    with (SAMPLES / "thematic" / "river-gauges.csv").open(encoding="utf-8") as handle:
        return {row["name"]: row for row in csv.DictReader(handle)}


def _point(row: dict[str, str], east: float = 0.0, north: float = 0.0) -> shapely.Point:
    lon, lat = float(row["lon"]), float(row["lat"])
    return shapely.Point(lon + east / (111_320 * np.cos(np.radians(lat))), lat + north / 110_860)


def low_water_lines() -> None:
    """Drought and ecological level of each gauge, the bed of its shoal and the depth kept for ships."""
    rows, gauges = [], _gauges()
    for name, (drought, ecological, bed, depth) in BELOW_WARNING.items():
        gauge = gauges[name]
        warning = float(gauge["warning_m"])
        rows.append(
            {
                "station": name, "river": gauge["river"],
                "drought_m": round(warning - drought, 2), "ecological_m": round(warning - ecological, 2),
                "shoal_bed_m": round(warning - bed, 2), "kept_depth_m": depth, "datum": gauge["datum"],
                "basis": "合成示例，非主管部门公布值", "geometry": _point(gauge),
            }
        )  # fmt: skip
    write_features("thematic/low-water-lines", gpd.GeoDataFrame(rows, crs=4490))


def water_intakes() -> None:
    """Intakes (取水口) with the lowest level at which they can draw."""
    gauges, rows = _gauges(), []
    for name, kind, station, east, north, level, datum, fall, people, mu, flow in INTAKES:
        rows.append(
            {
                "name": name, "kind": kind, "station": station, "river": gauges[station]["river"], "lowest_m": level,
                "datum": datum, "fall_m": fall, "people": people, "irrigated_mu": mu, "capacity_m3s": flow,
                "geometry": _point(gauges[station], east, north),
            }
        )  # fmt: skip
    write_features("thematic/water-intakes", gpd.GeoDataFrame(rows, crs=4490))


def _noise(random: np.random.Generator, count: int) -> np.ndarray:
    steps, level = random.normal(0, 0.03, count), np.zeros(count)
    for k in range(1, count):
        level[k] = 0.85 * level[k - 1] + steps[k]
    return level


def low_water_levels() -> None:
    """A receding autumn: observed daily levels, and a forecast of ten days issued on the last day."""
    gauges, parts = _gauges(), []
    issued = DAYS[-1]
    for name, (drought, *_) in BELOW_WARNING.items():
        row = gauges[name]
        random = np.random.default_rng([SEED, zlib.crc32(name.encode())])
        span = np.arange(len(DAYS) + FORECAST_DAYS)
        line = float(row["warning_m"]) - drought
        level = line + 5.2 * np.exp(-span / 31.0) - 1.05 + 0.30 * np.sin(span / 8.5) + _noise(random, len(span))
        ahead = np.arange(1, FORECAST_DAYS + 1)
        times = DAYS.append(issued + pd.to_timedelta(ahead, unit="D"))
        parts.append(
            gpd.GeoDataFrame(
                {
                    "river": row["river"],
                    "station": name,
                    "time": times,
                    "level_m": np.round(level, 2),
                    "kind": ["observed"] * len(DAYS) + ["forecast"] * FORECAST_DAYS,
                    "issue_time": pd.DatetimeIndex([pd.NaT] * len(DAYS) + [issued] * FORECAST_DAYS).tz_localize(None),
                    "sd_m": np.r_[np.full(len(DAYS), np.nan), np.round(0.04 + 0.03 * ahead, 3)],
                },
                geometry=[_point(row)] * len(times),
                crs=4490,
            )
        )
    frame = pd.concat(parts, ignore_index=True)
    frame["issue_time"] = frame["issue_time"].dt.tz_localize("UTC")
    write_features("thematic/low-water-levels", frame)


def river_forecast() -> None:
    """A flood forecast in steps of 6 h over five days: rise past the guarantee level's neighbourhood, crest, fall."""
    gauges, parts = _gauges(), []
    issued = pd.Timestamp("2024-07-28T08:00", tz="Asia/Shanghai").tz_convert("UTC")
    lead = np.arange(0, 121, 6)
    for name, start, rise, lag in (("螺山", 31.6, 2.2, -8.0), ("汉口", 26.55, 3.05, 0.0), ("黄石", 23.9, 2.7, 10.0)):
        row = gauges[name]
        t = np.clip((lead - lag) / 92.0, 0, None)
        level = start + rise * np.sin(np.clip(t, 0, 1) * np.pi / 2) ** 1.5 - 0.7 * np.clip(t - 1, 0, None)
        parts.append(
            gpd.GeoDataFrame(
                {
                    "river": row["river"],
                    "station": name,
                    "time": issued + pd.to_timedelta(lead, unit="h"),
                    "issue_time": [issued] * len(lead),
                    "level_m": np.round(level, 2),
                    "sd_m": np.round(0.03 + 0.0028 * lead, 3),
                },
                geometry=[_point(row)] * len(lead),
                crs=4490,
            )
        )
    write_features("thematic/river-forecast", pd.concat(parts, ignore_index=True))


STEPS = (low_water_lines, water_intakes, low_water_levels, river_forecast)
