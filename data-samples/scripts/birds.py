"""Synthetic observations of birds at the Ramsar sites (合成鸟类观测), seed 42: no survey of anybody.

Names and grades of protection are facts of the public list (国家重点保护野生动物名录, 2021); numbers, dates and places are
made. Places are generalised before they are written: the precise ones stand in no file.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import yaml
from sample_files import SAMPLES, write_features

from analyses.water.riparian.observations import generalised_frame
from analyses.water.riparian.rules import riparian_rules

SEED = 42
RULES = SAMPLES.parent / "layers" / "rules" / "riparian_wetland.yml"
# Scientific name, Chinese, English, grade (1 一级, 2 二级, None), habitat, when it is there (w winter, s summer, p passage, r all
# year), how many a survey meets.
SPECIES = (
    ("Leucogeranus leucogeranus", "白鹤", "Siberian crane", "1", "mudflat", "w", 6),
    ("Grus monacha", "白头鹤", "hooded crane", "1", "mudflat", "w", 9),
    ("Ciconia boyciana", "东方白鹳", "Oriental stork", "1", "mudflat", "w", 14),
    ("Ciconia nigra", "黑鹳", "black stork", "1", "mudflat", "w", 3),
    ("Aythya baeri", "青头潜鸭", "Baer's pochard", "1", "plants", "r", 11),
    ("Grus grus", "灰鹤", "common crane", "2", "cropland", "w", 40),
    ("Platalea leucorodia", "白琵鹭", "Eurasian spoonbill", "2", "mudflat", "w", 120),
    ("Cygnus columbianus", "小天鹅", "tundra swan", "2", "open_water", "w", 260),
    ("Anser cygnoides", "鸿雁", "swan goose", "2", "mudflat", "w", 90),
    ("Anser albifrons", "白额雁", "greater white-fronted goose", "2", "mudflat", "w", 70),
    ("Nettapus coromandelianus", "棉凫", "cotton pygmy goose", "2", "plants", "s", 5),
    ("Hydrophasianus chirurgus", "水雉", "pheasant-tailed jacana", "2", "plants", "s", 12),
    ("Anser fabalis", "豆雁", "bean goose", None, "mudflat", "w", 800),
    ("Anas crecca", "绿翅鸭", "Eurasian teal", None, "open_water", "w", 600),
    ("Anas zonorhyncha", "斑嘴鸭", "eastern spot-billed duck", None, "open_water", "r", 300),
    ("Fulica atra", "骨顶鸡", "common coot", None, "open_water", "w", 500),
    ("Recurvirostra avosetta", "反嘴鹬", "pied avocet", None, "mudflat", "w", 150),
    ("Egretta garzetta", "白鹭", "little egret", None, "plants", "r", 60),
    ("Nycticorax nycticorax", "夜鹭", "black-crowned night heron", None, "plants", "s", 45),
    ("Chlidonias hybrida", "须浮鸥", "whiskered tern", None, "plants", "s", 200),
)
# Site of the layer ramsar-sites, a box in which places are drawn, how rich it is.
SITES = (
    ("洪湖", (113.23, 29.76, 113.44, 29.93), 1.0),
    ("沉湖", (113.78, 30.315, 113.88, 30.37), 0.9),
    ("网湖", (115.30, 29.83, 115.38, 29.93), 0.7),
    ("公安崇湖", (112.265, 29.905, 112.298, 29.95), 0.4),
    ("仙桃沙湖", (113.71, 30.11, 113.76, 30.15), 0.4),
    ("神农架大九湖", (110.00, 31.45, 110.08, 31.50), 0.25),
)
MONTHS = {"w": {11, 12, 1, 2}, "s": {5, 6, 7, 8}, "p": {3, 4, 9, 10}, "r": set(range(1, 13))}
SURVEYS = tuple(date(year, month, 10) for year in (2022, 2023, 2024) for month in (1, 4, 7, 10, 12))
KINDS = ("professional", "volunteer", "camera")


def _rows() -> list[dict[str, object]]:
    random = np.random.default_rng([SEED, 61])
    rows: list[dict[str, object]] = []
    for number, (site, (west, south, east, north), rich) in enumerate(SITES, start=1):
        for day in SURVEYS:
            when = day.replace(day=int(random.integers(5, 26)))
            observer = KINDS[int(random.choice(3, p=(0.6, 0.3, 0.1)))]
            for place, (name, zh, en, grade, habitat, time, typical) in enumerate(SPECIES):
                # No lake bird of the plain lives on the bog of Dajiu at 1,700 m but the common ones.
                common = grade is None and habitat == "plants"
                if site == "神农架大九湖" and not common:
                    continue
                if day.month not in MONTHS[time] or random.random() > 0.45 + 0.5 * rich:
                    continue
                count = int(np.ceil(typical * rich * random.lognormal(0, 0.5)))
                rows.append(
                    {
                        "occurrence_id": f"hb-syn-{number:02d}-{when:%Y%m%d}-{place:02d}",
                        "site": site,
                        "event_date": when,
                        "scientific_name": name,
                        "vernacular_name_zh": zh,
                        "vernacular_name_en": en,
                        "individual_count": count,
                        "protection_grade": grade,
                        "observer_kind": observer,
                        "habitat": habitat,
                        "basis_of_record": "MachineObservation" if observer == "camera" else "HumanObservation",
                        "lon": random.uniform(west, east),
                        "lat": random.uniform(south, north),
                    }
                )
    return rows


def bird_observations() -> Path:
    frame = pd.DataFrame(_rows())
    rule = riparian_rules({"riparian_wetland": yaml.safe_load(RULES.read_text("utf-8"))}).observations
    points = gpd.GeoDataFrame(
        frame.drop(columns=["lon", "lat"]), geometry=gpd.points_from_xy(frame["lon"], frame["lat"]), crs=4490
    )
    return write_features("thematic/bird-observations", generalised_frame(points, rule))


def bird_surveys() -> Path:
    """One row a site and day: how many birds and species were counted, by grade; the series of each site."""
    frame = pd.DataFrame(_rows())
    boxes = {site: box for site, box, _ in SITES}
    rows = []
    for (site, day), part in frame.groupby(["site", "event_date"], sort=True):
        west, south, east, north = boxes[site]
        count = part["individual_count"]
        rows.append(
            {
                "site": site,
                "time": pd.Timestamp(day).tz_localize("Asia/Shanghai") + pd.Timedelta(hours=9),
                "species": int(part["scientific_name"].nunique()),
                "individuals": int(count.sum()),
                "grade_1_individuals": int(count[part["protection_grade"] == "1"].sum()),
                "grade_2_individuals": int(count[part["protection_grade"] == "2"].sum()),
                "lon": round((west + east) / 2, 2),
                "lat": round((south + north) / 2, 2),
            }
        )
    found = pd.DataFrame(rows)
    found["time"] = found["time"].dt.tz_convert("UTC")
    points = gpd.GeoDataFrame(
        found.drop(columns=["lon", "lat"]), geometry=gpd.points_from_xy(found["lon"], found["lat"]), crs=4490
    )
    return write_features("thematic/bird-surveys", points)


STEPS = [bird_observations, bird_surveys]
