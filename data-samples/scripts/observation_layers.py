"""Synthetic cameras and sensors on the banks of Honghu and at Hankou (合成的视频点位与传感器); places drawn by hand.

What they observe (snapshots, readings, flights) is made by ``observation_samples.py`` when the demo starts.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sample_files import write_features

CAMERAS = [
    # code, name, water, lon, lat, azimuth, field of view, height m, range m, status, link
    ("HH-01", "洪湖北岸围堤", "洪湖", 113.35083, 29.91726, 104, 75, 15, 800, "online", "https://video.example.cn/honghu/01"),
    ("HH-02", "洪湖北岸航摄区", "洪湖", 113.35804, 29.93258, 112, 60, 12, 600, "online", "https://video.example.cn/honghu/02"),
    ("HH-03", "洪湖东岸观鸟塔", "洪湖", 113.43905, 29.88395, 315, 90, 22, 1200, "maintenance", "https://video.example.cn/honghu/03"),
    ("HH-04", "洪湖南岸渔港", "洪湖", 113.39695, 29.81001, 285, 75, 12, 800, "online", "rtsp://10.0.0.14:554/stream1"),
    ("HK-01", "汉口龙王庙", "长江", 114.2905, 30.5690, 120, 65, 18, 700, "online", "https://video.example.cn/hankou/01"),
    ("HK-02", "汉口江滩三阳路", "长江", 114.3080, 30.5990, 130, 65, 18, 700, "offline", None),
]  # fmt: skip
SENSORS = [
    ("HH-S1", "洪湖北岸水位浊度站", "洪湖", 113.3511, 29.9171),
    ("HH-S2", "洪湖东岸水位浊度站", "洪湖", 113.4387, 29.8842),
    ("HK-S1", "汉口龙王庙水位浊度站", "长江", 114.2910, 30.5685),
    ("HK-S2", "汉口江滩水位浊度站", "长江", 114.3090, 30.5985),
]


def cameras() -> None:
    """Six cameras, each with where it looks."""
    names = [
        "camera",
        "name",
        "water",
        "lon",
        "lat",
        "azimuth_deg",
        "fov_deg",
        "height_m",
        "range_m",
        "status",
        "stream",
    ]
    table = pd.DataFrame(CAMERAS, columns=names)
    points = shapely.points(table.pop("lon"), table.pop("lat"))
    for name in ("azimuth_deg", "fov_deg", "height_m", "range_m"):
        table[name] = table[name].astype("float64")
    table["snapshot"] = pd.array([None] * len(table), dtype="Int64")
    table["snapshot_time"] = pd.Series([pd.NaT] * len(table), dtype="datetime64[ms, UTC]")
    write_features("thematic/cameras", gpd.GeoDataFrame(table, geometry=points, crs=4490))


def sensors() -> None:
    """Four stations that measure level and turbidity; their values come later."""
    table = pd.DataFrame(SENSORS, columns=["sensor", "name", "water", "lon", "lat"])
    points = shapely.points(table.pop("lon"), table.pop("lat"))
    for name in ("level_m", "turbidity_ntu"):
        table[name] = np.full(len(table), np.nan)
        table[f"{name}_flag"] = pd.array([None] * len(table), dtype="Int64")
    table["time"] = pd.Series([pd.NaT] * len(table), dtype="datetime64[ms, UTC]")
    write_features("thematic/bank-sensors", gpd.GeoDataFrame(table, geometry=points, crs=4490))


STEPS = (cameras, sensors)
