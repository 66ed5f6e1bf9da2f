"""Travel time on a domain of its own: the same for every window, also on larger cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
from odc.geo.geobox import GeoBox

from analyses.location import TravelTime, travel_time

WHOLE = GeoBox.from_bbox((110.0, 30.0, 110.4, 30.3), crs="EPSG:4490", resolution=0.001)
ROADS = geopandas.GeoDataFrame(
    {"class": ["primary", "motorway"]},
    geometry=[
        shapely.LineString([(110.01, 30.02), (110.39, 30.28)]),
        shapely.LineString([(110.05, 30.29), (110.3, 30.01)]),
    ],
    crs="EPSG:4490",
)
SEATS = geopandas.GeoDataFrame(geometry=shapely.points([(110.1, 30.1), (110.35, 30.2)]), crs="EPSG:4490")
LAKE = geopandas.GeoDataFrame(geometry=[shapely.Point(110.2, 30.2).buffer(0.03)], crs="EPSG:4490")
COUNTY = geopandas.GeoDataFrame(geometry=[shapely.box(110.005, 30.005, 110.395, 30.295)], crs="EPSG:4490")


def minutes(grid: GeoBox, scratch: Path, **options: Any) -> TravelTime:
    return travel_time(
        grid,
        seats=SEATS,
        roads=ROADS,
        road_layer="roads",
        speeds_kmh={"primary": 60.0, "motorway": 100.0},
        offroad_kmh=20.0,
        barriers=[LAKE],
        extent=[COUNTY, ROADS],
        cover_window=False,
        scratch=str(scratch),
        **options,
    )


@pytest.mark.parametrize("coarsen", [1, 3, 4])
@pytest.mark.parametrize("offset", [(0, 0), (100, 131), (7, 5)])
def test_a_window_has_the_times_of_the_whole(tmp_path: Path, coarsen: int, offset: tuple[int, int]) -> None:
    (tmp_path / "part").mkdir()
    row, col = offset
    whole = minutes(WHOLE, tmp_path, coarsen=coarsen).read(row, col, 90, 120)
    part = minutes(WHOLE[row : row + 90, col : col + 120], tmp_path / "part", coarsen=coarsen, threads=2, tile=50)
    assert np.array_equal(part.read(0, 0, 90, 120), whole, equal_nan=True)


def test_large_cells_are_near_the_small_ones(tmp_path: Path) -> None:
    fine = minutes(WHOLE, tmp_path).read(10, 10, 280, 380)
    (tmp_path / "c").mkdir()
    coarse = minutes(WHOLE, tmp_path / "c", coarsen=3).read(10, 10, 280, 380)
    both = np.isfinite(fine) & np.isfinite(coarse)
    assert np.isinf(fine).sum() > 500  # the lake
    difference = (coarse - fine)[both]
    assert np.abs(np.median(difference)) < 0.5
    assert np.abs(difference).max() < 8
    assert np.isinf(coarse[np.isinf(fine)]).mean() > 0.8  # its shore is land on large cells


def test_outside_the_domain_there_is_no_time(tmp_path: Path) -> None:
    for coarsen in (1, 3):
        found = minutes(WHOLE, tmp_path, coarsen=coarsen)
        assert np.isnan(found.read(-50, -50, 20, 20)).all()
        assert np.isnan(found.read(-5, 100, 8, 8)[0]).all()
