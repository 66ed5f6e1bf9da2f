"""Synthetic water quality (合成的水质数据): monthly sections, outfalls, drinking-water sources, lakes from orbit; seed 42.

Only places are real, and only roughly: gauges (``river-gauges.csv``), lakes, banks of the drawn Yangtze and Han, seats. What is
wrong on purpose stands in ``PLANTED``, for the checks to find.
"""

from __future__ import annotations

import csv
import zlib

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sample_files import SAMPLES, write_features

SEED = 42
TIMES = pd.date_range("2020-01-08T08:00", periods=60, freq=pd.DateOffset(months=1), tz="Asia/Shanghai").tz_convert(
    "UTC"
)
GAUGES = {"长江": ("宜昌", "沙市", "监利", "汉口", "黄石"), "汉江": ("襄阳", "皇庄", "仙桃")}
LAKES = ("洪湖", "梁子湖", "斧头湖", "东湖")
# Usual values of a section: CODMn, COD, BOD5, NH3-N, TP, TN, fluoride (mg/L), chlorophyll (mg/m3), Secchi depth (m), target.
USUAL: dict[str, tuple[float, ...]] = {
    "长江·宜昌": (1.8, 8.0, 1.3, 0.08, 0.062, 1.7, 0.20, np.nan, np.nan, 2),
    "长江·沙市": (1.9, 8.5, 1.4, 0.10, 0.070, 1.8, 0.21, np.nan, np.nan, 2),
    "长江·监利": (2.0, 9.0, 1.5, 0.11, 0.074, 1.8, 0.22, np.nan, np.nan, 2),
    "长江·汉口": (2.1, 9.5, 1.5, 0.13, 0.078, 1.9, 0.23, np.nan, np.nan, 2),
    "长江·黄石": (2.2, 10.0, 1.6, 0.15, 0.084, 1.9, 0.24, np.nan, np.nan, 2),
    "汉江·襄阳": (2.0, 9.0, 1.3, 0.10, 0.055, 1.6, 0.22, np.nan, np.nan, 2),
    "汉江·皇庄": (2.3, 10.5, 1.5, 0.14, 0.070, 1.7, 0.25, np.nan, np.nan, 2),
    "汉江·仙桃": (2.6, 12.0, 1.8, 0.20, 0.090, 1.9, 0.27, np.nan, np.nan, 3),
    "洪湖·湖心": (5.4, 24.0, 3.2, 0.30, 0.085, 1.1, 0.35, 22.0, 0.55, 4),
    "梁子湖·湖心": (3.6, 16.0, 2.2, 0.18, 0.034, 0.8, 0.30, 8.0, 1.10, 3),
    "斧头湖·湖心": (4.4, 19.0, 2.8, 0.22, 0.052, 0.9, 0.32, 13.0, 0.80, 3),
    "东湖·湖心": (4.8, 21.0, 3.0, 0.28, 0.088, 1.3, 0.40, 26.0, 0.60, 4),
}
TRENDS = {("汉江·仙桃", "tp"): 0.09, ("东湖·湖心", "chl_a"): -0.08, ("洪湖·湖心", "tp"): 0.06}
"""(section, item) → relative change a year."""
PLANTED: tuple[tuple[str, str, int, object], ...] = (
    ("长江·沙市", "nh3n", 17, 3.1),  # spike
    ("汉江·襄阳", "tp", 30, 0.62),  # spike
    ("梁子湖·湖心", "codmn", 44, 19.0),  # spike
    ("长江·监利", "tp", 22, 74.0),  # written in µg/L
    ("汉江·皇庄", "do", 12, -1.0),  # impossible
    ("长江·黄石", "nh3n", 38, 1.9),  # an event of two months: no spike
    ("长江·黄石", "nh3n", 39, 1.7),
)
"""Section, item, month, value written in the place of the right one."""
FLAT = (("斧头湖·湖心", "nh3n", 25, 6), ("长江·宜昌", "codmn", 40, 5))
"""Section, item, first month, months of one and the same value."""
MISSING = (("汉江·仙桃", range(20, 24)), ("洪湖·湖心", range(9, 11)))
"""Section and months without any record."""
TWICE = ("长江·汉口", 33)
DIGITS = {"ph": 2, "water_temp": 1, "do": 2, "do_saturation": 1, "codmn": 2, "cod": 1, "bod5": 2, "chl_a": 1, "sd": 2}


def _random(name: str) -> np.random.Generator:
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def _places() -> dict[str, shapely.Point]:
    with (SAMPLES / "thematic" / "river-gauges.csv").open(encoding="utf-8") as handle:
        known = {row["name"]: row for row in csv.DictReader(handle)}
    found = {
        f"{river}·{name}": shapely.Point(float(known[name]["lon"]), float(known[name]["lat"]))
        for river, names in GAUGES.items()
        for name in names
    }
    lakes = gpd.read_file(SAMPLES / "base" / "lakes.gpkg").set_index("name")
    for lake in LAKES:
        found[f"{lake}·湖心"] = lakes.geometry[lake].representative_point()
    return found


def _section(name: str) -> pd.DataFrame:
    """Five years of one section: season, noise that stays for a month or two, a trend where one is planted."""
    random = _random(name)
    n = len(TIMES)
    lake = name.endswith("湖心")
    season = np.cos(2 * np.pi * (np.arange(n) % 12 - 6) / 12)  # 1 in July, −1 in January

    def wobble(share: float) -> np.ndarray:
        steps, state = random.normal(0, share, n), np.zeros(n)
        for k in range(n):
            state[k] = (0.4 * state[k - 1] if k else 0.0) + steps[k]
        return np.exp(state)

    temperature = 17.5 + 11.0 * season + random.normal(0, 0.8, n)
    saturated = 14.652 - 0.41022 * temperature + 0.007991 * temperature**2 - 7.7774e-5 * temperature**3
    share = np.clip(0.93 + (0.06 if lake else 0.0) * season + random.normal(0, 0.03, n), 0.6, 1.3)
    usual = dict(
        zip(("codmn", "cod", "bod5", "nh3n", "tp", "tn", "fluoride", "chl_a", "sd"), USUAL[name][:9], strict=True)
    )
    swing = {"codmn": 0.10, "cod": 0.08, "bod5": 0.10, "nh3n": -0.15, "tp": 0.12, "tn": -0.10, "fluoride": 0.0}
    swing |= {"chl_a": 0.45, "sd": -0.25}
    columns: dict[str, object] = {
        "water_temp": temperature,
        "ph": 7.9 + (0.25 if lake else 0.1) * season + random.normal(0, 0.08, n),
        "do": saturated * share,
        "do_saturation": 100 * share,
    }
    for item, level in usual.items():
        rise = (1 + TRENDS.get((name, item), 0.0)) ** (np.arange(n) / 12)
        columns[item] = level * rise * np.exp(swing[item] * season) * wobble(0.06 if item == "fluoride" else 0.11)
    columns["faecal_coliform"] = np.round(random.lognormal(7.5, 0.7, n), -1)
    frame = pd.DataFrame(columns)
    for item in frame.columns:
        frame[item] = frame[item].round(DIGITS.get(item, 3))
    frame.insert(0, "time", TIMES)
    frame.insert(0, "target_class", int(USUAL[name][9]))
    frame.insert(0, "lake", lake)
    frame.insert(0, "water_body", name.partition("·")[0])
    frame.insert(0, "station", name)
    for section, item, month, value in PLANTED:
        if section == name:
            frame.loc[month, item] = value
    for section, item, first, count in FLAT:
        if section == name:
            frame.loc[first : first + count - 1, item] = frame.loc[first, item]
    for section, months in MISSING:
        if section == name:
            frame = frame.drop(index=list(months))
    if TWICE[0] == name:
        frame = pd.concat([frame, frame.loc[[TWICE[1]]]])
    return frame


def water_quality_sections() -> None:
    """One row a section and month."""
    places = _places()
    frame = pd.concat([_section(name) for name in USUAL], ignore_index=True)
    frame["time"] = frame["time"].astype("datetime64[ms, UTC]")
    points = [places[name] for name in frame["station"]]
    write_features("thematic/water-quality-sections", gpd.GeoDataFrame(frame, geometry=points, crs=4490))


def lake_optical_series() -> None:
    """What the analysis ``water-quality`` would give for four lakes on 24 dates a year of 2023 and 2024: NDCI and bloom."""
    random = _random("lake-optical-series")
    places = _places()
    rows: list[dict[str, object]] = []
    times = pd.date_range("2023-01-05T03:00", "2024-12-25T03:00", freq="15D", tz="UTC")
    for lake in LAKES:
        chlorophyll = USUAL[f"{lake}·湖心"][7]
        for time in times:
            season = np.cos(2 * np.pi * (time.dayofyear - 205) / 365)
            clear = float(np.clip(random.beta(2.2, 1.0), 0, 1))
            ndci = 0.06 * np.log(chlorophyll / 9) + 0.05 * season + random.normal(0, 0.012)
            bloom = max(0.0, 100 * (0.10 * np.log(chlorophyll / 14) + 0.09 * season + random.normal(0, 0.03)))
            seen = clear >= 0.5
            rows.append(
                {
                    "lake": lake,
                    "time": time,
                    "clear_percent": round(100 * clear, 1),
                    "ndci": round(float(ndci), 4) if seen else np.nan,
                    "bloom_percent": round(float(bloom), 2) if seen else np.nan,
                }
            )
    frame = pd.DataFrame(rows)
    frame["time"] = frame["time"].astype("datetime64[ms, UTC]")
    points = [places[f"{name}·湖心"] for name in frame["lake"]]
    write_features("thematic/lake-optical-series", gpd.GeoDataFrame(frame, geometry=points, crs=4490))


def _on_banks(random: np.random.Generator, count: int) -> list[tuple[str, shapely.Point]]:
    """Places on the banks of the drawn rivers and the lakes, with the name of the water."""
    rivers = gpd.read_file(SAMPLES / "thematic" / "yangtze-han.gpkg")
    lakes = gpd.read_file(SAMPLES / "base" / "lakes.gpkg").set_index("name")
    banks = [(row.name_zh, row.geometry.exterior) for row in rivers.rename(columns={"name": "name_zh"}).itertuples()]
    banks += [(lake, shapely.get_parts(lakes.geometry[lake])[0].exterior) for lake in LAKES]
    chance = np.array([0.45, 0.25, *([0.3 / len(LAKES)] * len(LAKES))])
    chosen = random.choice(len(banks), count, p=chance / chance.sum())
    return [(banks[k][0], banks[k][1].interpolate(random.uniform(), normalized=True)) for k in np.sort(chosen)]


def outfalls() -> None:
    """Outfalls into rivers and lakes (入河排污口)."""
    random = _random("outfalls")
    kinds = {"sewage_plant": "城镇污水处理厂", "industry": "工业", "storm": "城镇雨洪", "farm": "农业"}
    flow = {"sewage_plant": 40_000, "industry": 3_000, "storm": 8_000, "farm": 1_500}
    rows, points = [], []
    counts: dict[str, int] = {}
    for water, point in _on_banks(random, 60):
        kind = str(random.choice(list(kinds), p=[0.3, 0.25, 0.3, 0.15]))
        counts[water] = counts.get(water, 0) + 1
        rows.append(
            {
                "name": f"{water}{kinds[kind]}排污口{counts[water]:02d}",
                "kind": kind,
                "water_body": water,
                "flow_m3_d": round(float(flow[kind] * random.lognormal(0, 0.6)), -1),
                "status": str(random.choice(["done", "doing", "todo"], p=[0.55, 0.3, 0.15])),
                "permitted": bool(random.random() < 0.8),
            }
        )
        points.append(point)
    write_features("thematic/outfalls", gpd.GeoDataFrame(pd.DataFrame(rows), geometry=points, crs=4490))


def water_sources() -> None:
    """Centralised drinking-water sources (集中式饮用水水源地); intakes 1–4 km from seats of counties, moved by chance."""
    random = _random("water-sources")
    seats = gpd.read_file(SAMPLES / "thematic" / "seats.gpkg")
    seats = seats[seats.level == "county"].sort_values("code").reset_index(drop=True)
    chosen = seats.iloc[np.sort(random.choice(len(seats), 24, replace=False))]
    kinds = {"river": "河流", "reservoir": "水库", "lake": "湖泊", "groundwater": "地下水"}
    rows, points = [], []
    for row in chosen.itertuples():
        kind = str(random.choice(list(kinds), p=[0.5, 0.3, 0.1, 0.1]))
        angle, distance = random.uniform(0, 2 * np.pi), random.uniform(0.01, 0.04)
        rows.append(
            {
                "name": f"{row.name}{kinds[kind]}型水源地",
                "kind": kind,
                "grade": str(random.choice(["city", "county", "township"], p=[0.3, 0.5, 0.2])),
                "population_10k": round(float(random.lognormal(2.3, 0.8)), 1),
                "target_class": 3,
                "zone_km2": round(float(random.lognormal(0.5, 0.6)), 2),
            }
        )
        points.append(
            shapely.Point(row.geometry.x + distance * np.cos(angle), row.geometry.y + distance * np.sin(angle))
        )
    write_features("thematic/water-sources", gpd.GeoDataFrame(pd.DataFrame(rows), geometry=points, crs=4490))


STEPS = (water_quality_sections, lake_optical_series, outfalls, water_sources)
