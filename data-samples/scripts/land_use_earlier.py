"""An earlier synthetic land use (合成的前期土地利用) with planted changes along the Yangtze and the Han; seed 42.

It is ``base/land-use.tif`` turned back in the places of ``PLANTED``: what changed between the two is known cell by cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sample_files import write_raster
from sample_grid import fine_grid

PADDY, DRYLAND, ORCHARD, GRASS, WATER, WETLAND, TOWN, BARE = 1, 2, 3, 9, 10, 11, 12, 13


@dataclass(frozen=True)
class Planted:
    """Cells about a place that are `now` one class and were `before` another."""

    name: str
    lon: float
    lat: float
    km: float
    now: tuple[int, ...]
    before: int


PLANTED = (
    Planted("宜昌城区扩展", 111.30, 30.68, 7.0, (TOWN,), PADDY),
    Planted("荆州沿江工业", 112.25, 30.29, 6.0, (TOWN,), DRYLAND),
    Planted("武汉新区", 114.42, 30.67, 6.0, (TOWN,), PADDY),
    Planted("黄石堆场", 115.08, 30.22, 5.0, (TOWN,), GRASS),
    Planted("监利拆迁复垦", 112.90, 29.80, 8.0, (PADDY,), TOWN),
    Planted("襄阳沿汉江", 112.14, 32.03, 5.0, (TOWN,), DRYLAND),
)


def land_use_earlier() -> None:
    """Classes of the earlier date."""
    grid = fine_grid()
    use = np.round(grid.sampled("base/land-use", order=0)).astype("uint8")
    before = use.copy()
    for place in PLANTED:
        x = (grid.lon - place.lon) * 111.32 * np.cos(np.radians(place.lat))
        y = (grid.lat - place.lat) * 111.0
        before[(np.hypot(x, y) <= place.km) & np.isin(use, place.now)] = place.before
    write_raster("base/land-use-earlier", before, grid.transform, 0, ["land_use"])


STEPS = (land_use_earlier,)
