"""Synthetic population of each county (合成的县级人口), summing exactly to the provincial census of 2020.

Totals of the province: 57.75 million, of them 36.32 million in towns (第七次全国人口普查, 2020-11-01, rounded to 10,000 and not
checked against the bulletin). Shares of the prefectures are rounded too; below them everything is made from night lights,
flat land and land cover.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
from sample_grid import SEED, counties, county_numbers, fine_grid, largest_remainder, read_features, slope

POPULATION = 57_750_000
URBAN_POPULATION = 36_320_000
PREFECTURE_WAN = {
    420100: 1233, 420200: 247, 420300: 321, 420500: 402, 420600: 526, 420700: 108, 420800: 260, 420900: 427, 421000: 523,
    421100: 588, 421200: 266, 421300: 205, 422800: 346, 429004: 113, 429005: 89, 429006: 116, 429021: 7,
}  # fmt: skip
"""People in 10,000, about, by prefecture code: weights only."""


def by_county(values: np.ndarray) -> np.ndarray:
    """Sum of a 30″ field in each county, in the order of the codes."""
    return np.bincount(county_numbers().ravel(), values.ravel(), len(counties()) + 1)[1:]


def _bisect(function, target: float, low: float, high: float) -> float:
    """Argument at which a rising function reaches a target; 80 halvings."""
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < target else (low, middle)
    return (low + high) / 2


@cache
def county_people() -> pd.DataFrame:
    """Code, population, urban population and square metres of town for each urban resident."""
    grid, frame = fine_grid(), counties()
    random = np.random.default_rng([SEED, 2020])
    cover = np.round(grid.sampled("base/landcover", order=0)).astype(int)
    light = np.clip(grid.sampled("base/nightlights") - 6, 0, None)
    rural = np.isin(cover, [12, 14]) * 190.0 + np.isin(cover, [8, 9]) * 55.0
    seats = read_features("thematic/seats")
    core = np.zeros(grid.shape)
    for seat in seats[seats.level != "county"].itertuples():
        people, km = (26_000.0, 6.5) if seat.level == "province" else (7_000.0, 3.0)
        core = np.maximum(core, people * grid.near(seat.geometry.x, seat.geometry.y, km))
    dense = rural + (cover == 13) * 1300.0 + light * 22.0 + core
    weight = by_county(grid.area * dense * np.clip(1.2 - slope() / 20, 0.2, 1))
    weight = weight * np.exp(0.1 * random.standard_normal(len(frame)))
    prefecture = frame.prefecture_code.to_numpy()
    share = pd.Series(weight).groupby(prefecture).transform(lambda w: w / w.sum()).to_numpy()
    wan = np.array([PREFECTURE_WAN[int(code)] for code in prefecture], float)
    people = largest_remainder(share * wan, POPULATION)

    density = people / by_county(grid.area.copy())
    district = frame.name.str.endswith("区").to_numpy() & ~frame.name.str.endswith("林区").to_numpy()
    lean = 0.75 * np.log(density / 300) + 0.9 * district + 0.15 * random.standard_normal(len(frame))

    def urban(shift: float) -> np.ndarray:
        return people * np.clip(1 / (1 + np.exp(-(lean + shift))), 0.3, 0.985)

    shift = _bisect(lambda s: urban(s).sum(), URBAN_POPULATION, -5, 5)
    towns = largest_remainder(urban(shift), URBAN_POPULATION)
    square_metres = np.round(np.clip(97 + 6 * random.standard_normal(len(frame)), 80, 110), 1)
    return pd.DataFrame(
        {"code": frame.code, "population": people, "urban_population": towns, "urban_land_per_capita_m2": square_metres}
    )
