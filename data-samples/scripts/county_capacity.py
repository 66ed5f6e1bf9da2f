"""Synthetic county table of water, cropland, towns and people (合成的县级承载统计); seed 42.

Only the totals of the province are public figures; every county value is made. Whole numbers are shared out by the largest
remainder, so that each column sums to its total exactly:

- water ceiling (用水总量控制指标, 2025): 367.41 亿 m³
- water used in 2019: 303.15 亿 m³ (farming 153.06, industry 91.25, living 58.84)
- cropland: 476.86 万 hm², of it 38.73 % dry land without irrigation (third land survey, 2021-12-10)
- people: 57.75 million, of them 36.32 million in towns (census of 2020)
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
from county_people import county_people
from land_use import DRYLAND, PADDY, TOWN, county_areas
from sample_files import SAMPLES, write_features
from sample_grid import SEED, counties, largest_remainder

WATER_TOTAL_M3 = 36_741_000_000
WATER_USED_2019_M3 = 30_315_000_000
FARMING, INDUSTRY, LIVING = 15_306_000_000, 9_125_000_000, 5_884_000_000
CROPLAND_HM2 = 4_768_600
DRYLAND_SHARE = 0.3873
MU_PER_KM2 = 1500.0
ZONES = {
    "west": ((420300, 420500, 422800, 429021), 312.0, 0.530),
    "north": ((420600, 421300, 420800), 338.0, 0.556),
    "plain": ((421000, 429004, 429005, 429006, 420900), 368.0, 0.566),
    "east": ((420100, 420200, 420700, 421100, 421200), 352.0, 0.574),
}
"""Irrigation zone → prefectures, gross quota in m³ per mu, efficiency of the canals; about the national 347 and 0.576 of 2023."""


def _shared(weights: np.ndarray, total: int, unit: int) -> np.ndarray:
    """`total` shared out in whole units of `unit`."""
    return largest_remainder(weights, total // unit) * unit


def county_table() -> pd.DataFrame:
    """One row a county; see the fields of ``layers/county-capacity.yml``."""
    frame, people = counties(), county_people()
    random = np.random.default_rng([SEED, 367])
    count = len(frame)

    def spread(deviation: float) -> np.ndarray:
        return np.exp(deviation * random.standard_normal(count))

    tilled, dry = county_areas((PADDY, DRYLAND)), county_areas((DRYLAND,))
    # By law permanent basic farmland lies on cropland: no county has less than its quota.
    quota_hm2 = pd.read_csv(SAMPLES / "control" / "farmland-quota.csv").set_index("code").quota_km2
    least = np.round(quota_hm2.reindex(frame.code).to_numpy() * 100).astype(np.int64)
    more = np.maximum(100 * tilled - least, tilled + 20)
    hm2 = least + largest_remainder(more, CROPLAND_HM2 - int(least.sum()))
    share = np.clip(dry / np.maximum(tilled, 1e-9) * 0.82 * spread(0.05), 0.03, 0.97)
    for _ in range(60):
        share = np.clip(share * DRYLAND_SHARE / np.average(share, weights=hm2), 0.02, 0.98)
    share = np.round(share, 4)

    zone = [next(k for k, v in ZONES.items() if int(code) in v[0]) for code in frame.prefecture_code]
    quota = np.round(np.array([ZONES[z][1] for z in zone]) * spread(0.035), 1)
    efficiency = np.round(np.array([ZONES[z][2] for z in zone]) + 0.012 * random.standard_normal(count), 3)
    town = np.round(county_areas((TOWN,)), 2)

    farming = hm2 * (1 - share) * quota * spread(0.1)
    industry = people.urban_population.to_numpy() ** 1.03 * spread(0.2)
    living = (people.urban_population + 0.55 * (people.population - people.urban_population)).to_numpy() * spread(0.05)
    used = [part * total / part.sum() for part, total in ((farming, FARMING), (industry, INDUSTRY), (living, LIVING))]
    need = np.sum(used, axis=0)
    # The ceiling leaves most room where little is used today; 10,000 m³ is the unit in which ceilings are given.
    ceiling = _shared(need * spread(0.11) * (1 + 0.08 * (np.array(zone) == "west")), WATER_TOTAL_M3, 10_000)
    used_2019 = _shared(need * spread(0.03), WATER_USED_2019_M3, 10_000)
    used_2015 = np.round(used_2019 * (0.985 + 0.03 * random.standard_normal(count)), -4).astype(np.int64)

    eco = np.round(np.clip(0.03 + 0.012 * random.standard_normal(count), 0.01, 0.06), 4)
    agri = np.floor((1 - eco) * used[0] / need * 1e4) / 1e4
    urban = np.round(np.round(1 - eco - agri, 4) - 1e-4, 4)
    demand = (used[1] + used[2]) / people.urban_population * 0.96
    frame = pd.DataFrame(
        {
            "code": frame.code,
            "name": frame["name"],
            "prefecture_code": frame.prefecture_code,
            "prefecture": frame.prefecture,
            "water_total_m3": ceiling,
            "k_agri": agri,
            "k_urban": urban,
            "k_eco": eco,
            "irrigation_quota_m3_per_mu": quota,
            "irrigation_efficiency": efficiency,
            "water_demand_per_capita_m3": np.round(np.clip(demand, 180, 900), 1),
            "urban_land_per_capita_m2": people.urban_land_per_capita_m2,
            "population": people.population,
            "urban_population": people.urban_population,
            "cropland_km2": hm2 / 100,
            "rainfed_share": share,
            "built_up_km2": town,
            "cropland_km2_2015": np.round(hm2 / 100 * (1.018 + 0.008 * random.standard_normal(count)), 2),
            "built_up_km2_2015": np.round(town * np.clip(0.85 + 0.05 * random.standard_normal(count), 0.65, 1.0), 2),
            "water_use_m3_2015": used_2015,
            "water_use_m3_2019": used_2019,
        }
    )
    assert (frame.k_agri + frame.k_urban + frame.k_eco <= 1).all()
    return frame


def county_capacity() -> None:
    """``thematic/county-capacity.csv`` and the same values on the county polygons, ``thematic/county-capacity.gpkg``."""
    table = county_table()
    table.to_csv(SAMPLES / "thematic" / "county-capacity.csv", index=False, lineterminator="\n")
    outlines = gpd.GeoDataFrame(table, geometry=counties().geometry.to_numpy(), crs=4490)
    write_features("thematic/county-capacity", outlines)


STEPS = (county_capacity,)
