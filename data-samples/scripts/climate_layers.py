"""Synthetic climate (合成的气候): relative humidity, wind and yearly frequency of meteorological hazards; seed 42.

No open station series of Hubei was found. The fields are plausible in range and pattern, and made, so that comfort, air
capacity and agricultural hazards can be shown; they are no observation.
"""

from __future__ import annotations

import numpy as np
from sample_files import write_raster
from sample_grid import Grid, coarse_grid, elevation, fine_grid, slope, stepped

HUMIDITY_ANOMALY = (-0.5, 0.0, 0.5, 0.3, 0.2, 1.0, 1.6, 1.2, 0.6, 0.4, 0.0, -1.2)
"""Monthly anomaly of relative humidity, in steps of 3 %: damp summer, dry December."""
HAZARDS = ("waterlogging", "heat", "cold", "gale", "drought")


def _annual_rain(grid: Grid) -> np.ndarray:
    return sum(grid.sampled("base/rain-monthly", band=month) for month in range(1, 13))


def _lapsed(grid: Grid, month: int, height: np.ndarray) -> np.ndarray:
    """Monthly mean temperature, °C, lowered by 0.6 °C for each 100 m above the smoothed relief of the source."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(height, 0.35 / grid.transform.a, mode="nearest")
    return grid.sampled("base/temperature-monthly", band=month) - 0.006 * (height - smooth)


def humidity_monthly() -> None:
    """Base 76 % by rain, damper on the high ground, a yearly cycle, noise of 45 km; 55 to 95 %."""
    grid = coarse_grid(0.1)
    height = grid.averaged(fine_grid(), elevation())
    rain = _annual_rain(grid)
    base = 75.0 + 5.0 * np.clip((rain - 1100) / 500, -1, 1) + 4.0 * np.clip(height / 1500, 0, 1.2)
    months = []
    for month, anomaly in enumerate(HUMIDITY_ANOMALY, start=1):
        # The north is driest in winter and spring, the summer is damp everywhere.
        north = np.clip((grid.lat - 31) / 2, -1, 1) * (-3.0 if month in (12, 1, 2, 3, 4) else -0.8)
        months.append(base + 3.0 * anomaly + north + 1.2 * grid.noise(f"humidity-{month}", 45))
    values = stepped(np.stack(months), 0.25, 55, 95)
    write_raster("base/humidity-monthly", values, grid.transform, -9999, [f"humidity_{m:02d}" for m in range(1, 13)])


def wind() -> None:
    """Mean speed by exposure (height above the surroundings), lakes and the north-east channel; calms and gales from it."""
    from scipy import ndimage

    grid = coarse_grid(0.05)
    height = grid.averaged(fine_grid(), elevation())
    above = height - ndimage.gaussian_filter(height, 4, mode="nearest")
    rough = grid.averaged(fine_grid(), slope())
    open_land = np.clip(1 - rough / 6, 0, 1)
    channel = grid.near(112.5, 31.6, 90) + 0.6 * grid.near(115.4, 30.0, 60)
    speed = 1.25 + 0.85 * open_land + 0.7 * channel * open_land + 0.0035 * np.clip(above, -200, 500)
    speed += 0.0004 * np.clip(height - 800, 0, 2200) + 0.12 * grid.noise("wind-speed", 25)
    speed = np.clip(speed, 0.5, 6.0)
    calm = 62 * np.exp(-0.85 * speed) + 1.2 * grid.noise("wind-calm", 25)
    gale = 1.0 + 0.9 * np.clip(speed - 1.2, 0, None) ** 2.2 + 0.8 * grid.noise("wind-gale", 30)
    values = np.stack([stepped(speed, 1 / 16, 0.25, 8), stepped(calm, 0.25, 0, 60), stepped(gale, 0.5, 0, 60)])
    write_raster("base/wind", values, grid.transform, -9999, ["mean_speed", "calm_share", "gale_days"])


def meteorological_hazards() -> None:
    """Yearly frequency, 0 to 1, of years with each hazard: from rain, July and January temperature, wind and relief."""
    grid = coarse_grid(0.1)
    fine = fine_grid()
    height = grid.averaged(fine, elevation())
    flat = np.clip(1 - grid.averaged(fine, slope()) / 5, 0, 1)
    rain = _annual_rain(grid)
    summer = sum(grid.sampled("base/rain-monthly", band=month) for month in (6, 7, 8))
    july, january = _lapsed(grid, 7, height), _lapsed(grid, 1, height)

    def logistic(score: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-score))

    bands = {
        "waterlogging": 0.75 * logistic((summer - 560) / 70 + 1.6 * flat - 1.2),
        "heat": 0.85 * logistic((july - 27.2) / 0.9),
        "cold": 0.05 + 0.85 * logistic((2.0 - january) / 1.1),
        "gale": 0.02 + 0.25 * logistic((height - 1300) / 300) + 0.12 * grid.near(112.4, 31.8, 70),
        "drought": 0.08 + 0.7 * logistic((1010 - rain) / 90),
    }
    values = [stepped(bands[name] + 0.035 * grid.noise(f"hazard-{name}", 30), 1 / 128, 0, 1) for name in HAZARDS]
    write_raster("thematic/meteorological-hazards", np.stack(values), grid.transform, -9999, list(HAZARDS))


STEPS = (humidity_monthly, wind, meteorological_hazards)
