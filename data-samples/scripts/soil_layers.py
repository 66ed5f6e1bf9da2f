"""Synthetic soil (合成的土壤): texture, organic carbon, pH, heavy metals, and the share of carbonate rock; seed 42.

No open soil map of Hubei can be shipped. Patterns follow relief, rain, land cover and waters; the spots of heavy metals are
imaginary: they stand where old mining districts are known, and say nothing about any real field.
"""

from __future__ import annotations

import numpy as np
from sample_files import write_raster
from sample_grid import Grid, coarse_grid, elevation, fine_grid, slope, stepped, water_cells

METALS = ("cd", "hg", "as", "pb", "cr")
BACKGROUND = {"cd": 0.14, "hg": 0.075, "as": 11.0, "pb": 26.0, "cr": 72.0}
"""Median background, mg/kg: a plausible order of magnitude for farmland, far below the screening values of GB 15618-2018."""
SPREAD = {"cd": 0.17, "hg": 0.25, "as": 0.16, "pb": 0.14, "cr": 0.13}
"""Standard deviation of the natural logarithm of the background."""
SPOTS = (
    (114.94, 30.09, 5.5, {"cd": 26.0, "as": 14.0, "pb": 17.0, "hg": 8.0}),
    (114.90, 30.20, 4.0, {"cd": 14.0, "as": 7.0, "pb": 9.0}),
    (115.12, 29.90, 5.0, {"cd": 11.0, "as": 9.0, "pb": 7.0}),
    (115.22, 30.13, 3.5, {"cd": 8.0, "hg": 12.0}),
)
"""Longitude, latitude, radius in km, and how many times the background is exceeded at the centre (an imaginary spot)."""


def _inputs(grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Elevation, slope and nearness of waters (0 to 1) on the coarse grid."""
    fine = fine_grid()
    near = np.exp(-fine.distance_km(water_cells()) / 6.0)
    return grid.averaged(fine, elevation()), grid.averaged(fine, slope()), grid.averaged(fine, near)


def _rain(grid: Grid) -> np.ndarray:
    return sum(grid.sampled("base/rain-monthly", band=month) for month in range(1, 13))


def soil() -> None:
    """Silt by rivers and in the north, clay in the old lake plain and under strong rain, sand on slopes; sum 100 exactly.

    Every value is a multiple of 1/8 %, which a float32 holds exactly, so that sand + silt + clay is 100 without rounding.
    """
    grid = coarse_grid(0.05)
    height, steep, waters = _inputs(grid)
    cover = np.round(grid.sampled("base/landcover", order=0)).astype(int)
    forest, crop = np.isin(cover, [1, 2, 3, 4, 5, 8]), np.isin(cover, [12, 14])
    plain = np.clip(1 - steep / 3, 0, 1)
    silt = 40 + 13 * waters * plain + 4 * np.clip((grid.lat - 31) / 1.5, -1, 1) + 3.0 * grid.noise("silt", 18)
    silt += 22 * np.clip(grid.noise("silt-levee", 7) - 1.6, 0, None) * plain * waters
    clay = 25 + 7 * plain * (1 - waters) + 4 * np.clip((_rain(grid) - 1100) / 300, -1, 1) + 2.5 * grid.noise("clay", 20)
    clay -= 5 * np.clip(steep / 15, 0, 1)
    silt, clay = stepped(silt, 0.125, 15, 85), stepped(clay, 0.125, 8, 50)
    silt = np.minimum(silt, 97 - clay)
    sand = 100 - silt - clay
    carbon = 1.05 + 0.35 * crop + 0.55 * forest + 0.75 * np.clip(height / 1500, 0, 1.6) + 0.2 * waters * plain
    carbon *= np.exp(0.16 * grid.noise("organic-carbon", 15))
    values = np.stack([sand, silt, clay, stepped(carbon, 1 / 64, 0.3, 6)])
    write_raster("thematic/soil", values, grid.transform, -9999, ["sand", "silt", "clay", "organic_carbon"])


def soil_quality() -> None:
    """Acid soil under strong rain; metals are log-normal about the background, with a few imaginary spots (合成热点)."""
    grid = coarse_grid(0.05)
    height, _, waters = _inputs(grid)
    ph = 6.6 - 0.75 * np.clip((_rain(grid) - 1050) / 250, -1.2, 1.4) + 0.5 * waters
    ph += 0.25 * np.clip(height / 1500, 0, 1) + 0.28 * grid.noise("ph", 14)
    bands = [stepped(ph, 1 / 32, 4.0, 8.6)]
    for metal in METALS:
        field = BACKGROUND[metal] * np.exp(SPREAD[metal] * grid.noise(f"metal-{metal}", 12))
        for lon, lat, km, excess in SPOTS:
            field = field * (1 + excess.get(metal, 0.5) * grid.near(lon, lat, km))
        bands.append(stepped(field, {"cd": 1 / 256, "hg": 1 / 512}.get(metal, 1 / 16), 0, 5000))
    write_raster("thematic/soil-quality", np.stack(bands), grid.transform, -9999, ["ph", *METALS])


def carbonate() -> None:
    """Share of carbonate outcrop, %: the south-west and the Three Gorges hills, a belt in the south-east, plains near zero."""
    grid = coarse_grid(0.05)
    height, steep, _ = _inputs(grid)
    belts = (
        1.00 * grid.near(109.6, 30.1, 78) + 0.75 * grid.near(110.9, 30.6, 45) + 0.55 * grid.near(110.4, 31.4, 38)
        + 0.45 * grid.near(114.2, 29.5, 38) + 0.4 * grid.near(115.0, 29.85, 30) + 0.3 * grid.near(111.6, 31.4, 30)
    )  # fmt: skip
    share = 88 * np.clip(belts, 0, 1) * np.clip(0.25 + steep / 9, 0, 1) * np.clip(height / 350, 0.1, 1)
    share *= np.exp(0.38 * grid.noise("carbonate", 9) - 0.07)
    write_raster("thematic/carbonate", stepped(share, 0.5, 0, 100), grid.transform, -9999, ["carbonate_share"])


STEPS = (soil, soil_quality, carbonate)
