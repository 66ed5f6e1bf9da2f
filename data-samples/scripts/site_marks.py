"""Synthetic marks of candidate sites (合成的选址标注), the sample layer that can be edited; seed 42."""

from __future__ import annotations

import zlib
from datetime import date, timedelta

import geopandas as gpd
import numpy as np
import shapely
from sample_files import SAMPLES, write_features

SEED = 42
COUNT = 12
PURPOSES = {"industry": "产业园", "logistics": "物流园", "public": "公共服务", "residential": "安置区"}
STATUS = ("proposed", "surveyed", "approved", "rejected")


def site_marks() -> None:
    """Points 2 to 6 km from seats of counties, drawn by chance; purpose, status, area and date too."""
    random = np.random.default_rng([SEED, zlib.crc32(b"site-marks")])
    seats = gpd.read_file(SAMPLES / "thematic" / "seats.gpkg")
    seats = seats[seats.level == "county"].sort_values("code").reset_index(drop=True)
    chosen = seats.iloc[np.sort(random.choice(len(seats), COUNT, replace=False))].reset_index(drop=True)
    angle, distance = random.uniform(0, 2 * np.pi, COUNT), random.uniform(0.02, 0.055, COUNT)
    x = shapely.get_x(chosen.geometry.array) + distance * np.cos(angle)
    y = shapely.get_y(chosen.geometry.array) + distance * np.sin(angle)
    purpose = random.choice(list(PURPOSES), COUNT)
    days = random.integers(0, 300, COUNT)
    frame = gpd.GeoDataFrame(
        {
            "name": [
                f"{town}{PURPOSES[kind]}{i:02d}"
                for i, (town, kind) in enumerate(zip(chosen.name, purpose, strict=True), 1)
            ],
            "purpose": purpose,
            "status": random.choice(STATUS, COUNT, p=[0.5, 0.25, 0.15, 0.1]),
            "area_mu": np.round(random.uniform(20, 900, COUNT), 1),
            "proposed": [(date(2026, 1, 1) + timedelta(days=int(d))).isoformat() for d in days],
            "note": [None] * COUNT,
        },
        geometry=shapely.points(x, y),
        crs=4490,
    )
    frame["proposed"] = frame.proposed.astype("datetime64[ms]").dt.date
    frame["note"] = frame.note.astype("string")
    write_features("thematic/site-marks", frame)


STEPS = (site_marks,)
