"""Synthetic land use at 30″ (合成的土地利用): the 0.05° land cover drawn finer by relief, water and towns; seed 42.

Totals of the province follow the third land survey (湖北省第三次国土调查主要数据公报, 2021-12-10): cropland 476.86 万 hm², of it
53.40 % paddy; orchards 48.70 万 hm². Which cell has which use is made, not observed.
"""

from __future__ import annotations

import numpy as np
from county_people import by_county, county_people
from sample_files import write_raster
from sample_grid import coarse_grid, county_numbers, elevation, fine_grid, read_features, slope, water_cells
from scipy import ndimage

PADDY, DRYLAND, ORCHARD, BROADLEAF, NEEDLELEAF, MIXED, DECIDUOUS, SHRUB, GRASS, WATER, WETLAND, TOWN, BARE = range(
    1, 14
)
CROPLAND_KM2 = 47_686.0
PADDY_SHARE = 0.5340
ORCHARD_KM2 = 4_870.0
WETLAND_KM2 = 600.0
BARE_KM2 = 160.0
FARMLAND_BONUS = 1.6
"""How far permanent basic farmland is put first, in the logarithm of the share."""
CROP_SHARE = {0: 0.3, 1: 0.02, 2: 0.03, 3: 0.02, 4: 0.06, 5: 0.05, 6: 0.1, 7: 0.1, 8: 0.13, 9: 0.26, 10: 0.3, 11: 0.15,
              12: 0.95, 13: 0.30, 14: 0.55}  # fmt: skip
"""IGBP class of the 0.05° cell → share of its dry cells that is tilled, before the total is met."""


def _scaled(values: np.ndarray, low: float, high: float) -> np.ndarray:
    return np.clip((values - low) / (high - low), 0, 1)


def _rank_in_block(score: np.ndarray, block: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Rank of each free cell among those of its block, best first, as a share 0 to 1; 2 elsewhere."""
    cells = np.flatnonzero(free)
    order = cells[np.lexsort((-score.ravel()[cells], block.ravel()[cells]))]
    blocks = block.ravel()[order]
    start = np.flatnonzero(np.r_[True, blocks[1:] != blocks[:-1]])
    size = np.diff(np.r_[start, blocks.size])
    rank = np.full(score.size, 2.0)
    rank[order] = (np.arange(blocks.size) - np.repeat(start, size) + 0.5) / np.repeat(size, size)
    return rank.reshape(score.shape)


def _best(score: np.ndarray, free: np.ndarray, inside: np.ndarray, area: np.ndarray, target_km2: float) -> np.ndarray:
    """Free cells above the score at which those inside the province reach the target area."""
    cells = np.flatnonzero(free & inside)
    order = cells[np.argsort(-score.ravel()[cells], kind="stable")]
    covered = np.cumsum(area.ravel()[order])
    last = order[min(int(np.searchsorted(covered, target_km2)), order.size - 1)]
    return free & (score >= score.ravel()[last])


def _towns(free: np.ndarray) -> np.ndarray:
    """Towns of each county grow from seats, settlements and lights until the urban population has its land."""
    grid, people, number = fine_grid(), county_people(), county_numbers()
    boundary = grid.burned(read_features("control/urban-growth-boundary").geometry) > 0
    cover = np.round(grid.sampled("base/landcover", order=0)).astype(int)
    score = 2.0 * boundary + 1.1 * (cover == 13) + 0.02 * grid.sampled("base/nightlights") - 0.1 * slope()
    seats, places = read_features("thematic/seats"), read_features("base/settlements")
    for frame, km, weight in ((seats, 5.0, 1.6), (places, 1.6, 0.55)):
        points = np.zeros(grid.shape, bool)
        row = ((frame.geometry.y - grid.transform.f) / grid.transform.e).astype(int).clip(0, grid.rows - 1)
        col = ((frame.geometry.x - grid.transform.c) / grid.transform.a).astype(int).clip(0, grid.cols - 1)
        points[row, col] = True
        score = score + weight * np.exp(-grid.distance_km(points) / km)
    score = score + 0.16 * grid.noise("towns", 2.5)
    target = people.urban_population * people.urban_land_per_capita_m2 / 1e6
    chosen = np.zeros(grid.shape, bool)
    for index, wanted in enumerate(target, start=1):
        cells = np.flatnonzero((number == index) & free)
        order = cells[np.argsort(-score.ravel()[cells], kind="stable")]
        covered = np.cumsum(grid.area.ravel()[order])
        room = 0.92 * covered[-1]
        chosen.ravel()[order[: max(1, int(np.searchsorted(covered, min(wanted, room))))]] = True
    return chosen | ((number == 0) & free & (cover == 13))


def _cropland(free: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The flattest and lowest cells of each 0.05° cell, in the share its class suggests, so that the total is met.

    Permanent basic farmland (the synthetic layer) comes first: by law it lies on cropland.
    """
    grid, blocks = fine_grid(), coarse_grid(0.05)
    farmland = grid.burned(read_features("control/permanent-farmland").geometry) > 0
    cover = np.round(grid.sampled("base/landcover", order=0)).astype(int)
    row = np.floor((grid.lat - blocks.transform.f) / blocks.transform.e).astype(int)
    col = np.floor((grid.lon - blocks.transform.c) / blocks.transform.a).astype(int)
    block = row * blocks.cols + col
    height = elevation()
    above = height - ndimage.minimum_filter(height, 7, mode="nearest")
    fitness = -slope() / 16 - above / 600 + 0.6 * grid.noise("cropland", 2.0) + 0.4 * grid.noise("cropland-fine", 0.8)
    fitness = fitness + 2.5 * farmland
    rank = _rank_in_block(fitness, block, free)
    table = np.array([CROP_SHARE.get(code, 0.0) for code in range(17)])
    # Fewer fields where it is cold (above 1,200 m) or steep; the seam between two 0.05° cells is blurred.
    share = ndimage.gaussian_filter(table[cover], 2, mode="nearest")
    share = share * (1 - 0.85 * _scaled(height, 1000, 1900)) * (1 - 0.75 * _scaled(slope(), 12, 28))
    # Cells are taken in the order of how far their share exceeds their rank, until the total is met.
    surplus = np.log(np.maximum(share, 1e-9) / np.clip(rank, 1e-9, None)) + FARMLAND_BONUS * farmland
    return _best(surplus, free & (rank < 1), inside, grid.area, CROPLAND_KM2)


def _natural(cover: np.ndarray) -> np.ndarray:
    """Forest type, shrub or grass of a cell that is neither water, town nor tilled, by the highest score."""
    grid, height = fine_grid(), elevation()
    south = np.clip((31.0 - grid.lat) / 1.2, -1, 1)
    kinds = {
        BROADLEAF: 0.15 + 0.7 * south - 0.9 * _scaled(height, 700, 1500) + 1.6 * (cover == 2),
        NEEDLELEAF: 0.35 + 0.4 * _scaled(height, 100, 500) + 0.8 * _scaled(height, 1800, 2600) + 1.6 * (cover == 1)
        - 0.5 * (cover == 12),
        MIXED: 0.55 + 0.3 * _scaled(height, 300, 900) + 1.3 * (cover == 5) - 0.4 * (cover == 12),
        DECIDUOUS: 0.3 - 0.35 * south + 0.5 * _scaled(height, 500, 1400) + 1.3 * (cover == 4) + 0.3 * (cover == 12),
        SHRUB: 0.05 + 0.75 * (cover == 9) + 0.2 * (cover == 14) + 1.5 * np.isin(cover, [6, 7]),
        GRASS: -0.5 + 0.45 * (cover == 9) + 1.35 * np.isin(cover, [12, 13, 14]) + 1.9 * (cover == 10)
        + 0.5 * _scaled(height, 2000, 2700),
    }  # fmt: skip
    scores = [
        score + 0.4 * grid.noise(f"natural-{kind}", 4.0) + 0.16 * grid.noise(f"natural-fine-{kind}", 0.8)
        for kind, score in kinds.items()
    ]
    return np.array(list(kinds))[np.argmax(np.stack(np.broadcast_arrays(*scores)), axis=0)]


def land_use() -> None:
    """Water first, then towns, cropland (paddy where it is low, flat and wet), orchards, wetland, bare land and the rest."""
    grid, height, number = fine_grid(), elevation(), county_numbers()
    cover = np.round(grid.sampled("base/landcover", order=0)).astype(int)
    inside, water = number > 0, water_cells()
    use = _natural(cover)
    towns = _towns(~water & (slope() < 12))
    free = ~water & ~towns
    wet = ndimage.binary_dilation(water, iterations=2) & (height < 60) & (slope() < 1)
    wetland = _best(
        2.0 * (cover == 11) + grid.noise("wetland", 3.0), free & (wet | (cover == 11)), inside, grid.area, WETLAND_KM2
    )
    free &= ~wetland
    crops = _cropland(free & (slope() < 28), inside)
    rain = sum(grid.sampled("base/rain-monthly", band=month) for month in range(1, 13))
    wetness = -1.0 * _scaled(slope(), 0, 8) - 1.3 * _scaled(height, 50, 900) + 1.2 * _scaled(rain, 800, 1250)
    wetness += 0.6 * np.exp(-grid.distance_km(water) / 6) + 0.3 * grid.noise("paddy", 6)
    paddy = _best(wetness, crops, inside, grid.area, PADDY_SHARE * CROPLAND_KM2)
    free &= ~crops
    hills = _scaled(slope(), 0.5, 4) * (1 - _scaled(slope(), 12, 22)) * (1 - _scaled(height, 500, 1200))
    fields = ndimage.uniform_filter(crops.astype(float), 9, mode="nearest")
    orchard = _best(hills + 1.2 * fields + 0.45 * grid.noise("orchard", 5), free, inside, grid.area, ORCHARD_KM2)
    free &= ~orchard
    bare = _best(
        0.06 * slope() + grid.noise("bare", 1.2), free & ~np.isin(cover, [12, 14]), inside, grid.area, BARE_KM2
    )
    for mask, code in (
        (crops, DRYLAND), (paddy, PADDY), (orchard, ORCHARD), (bare, BARE), (wetland, WETLAND), (towns, TOWN), (water, WATER),
    ):  # fmt: skip
        use[mask] = code
    write_raster("base/land-use", use.astype("uint8"), grid.transform, 0, ["land_use"])


def county_areas(codes: tuple[int, ...]) -> np.ndarray:
    """km² of the given uses in each county, from the written file."""
    grid = fine_grid()
    use = np.round(grid.sampled("base/land-use", order=0)).astype(int)
    return by_county(np.where(np.isin(use, codes), grid.area, 0.0))


STEPS = (land_use,)
