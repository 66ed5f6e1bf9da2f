"""Synthetic zones of the shoreline (合成的岸线四区) along the Yangtze at Wuhan: no plan of any authority.

The strip between the water (300 m into the river) and the edge of the synthetic management range is cut across the river's
axis; the zones follow one another on each bank in a fixed order.
"""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import shapely
from river_chief import _globe, _plane
from sample_files import SAMPLES, write_features

from spatial.units import geodesic_areas

BOX = shapely.box(114.20, 30.50, 114.46, 30.70)
ORDER = {
    "left": ("protection", "controlled", "reserve", "development", "controlled"),
    "right": ("controlled", "development", "protection", "controlled", "reserve"),
}
PIECE_M = 2600.0


def shoreline_zones() -> None:
    """Zones of 2.6 km of bank each."""
    ranges = gpd.read_file(SAMPLES / "thematic" / "management-range.gpkg")
    rivers = gpd.read_file(SAMPLES / "thematic" / "yangtze-han.gpkg")
    reaches = gpd.read_file(SAMPLES / "thematic" / "river-reaches.gpkg")
    box = _plane(BOX)
    inside = _plane(ranges[ranges["reach"] == "CJ05"].geometry.iloc[0]).intersection(box)
    water = _plane(rivers[rivers["name"] == "长江"].geometry.iloc[0])
    strip = inside.difference(water.buffer(-300))
    axis = max(
        shapely.get_parts(_plane(reaches[reaches["code"] == "CJ05"].geometry.iloc[0]).intersection(box)),
        key=shapely.length,
    )
    at = np.arange(0, axis.length, 100.0)
    points = shapely.line_interpolate_point(axis, at)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points), extend_to=box, ordered=True))
    number = (at // PIECE_M).astype(int)
    sides = shapely.get_parts(
        shapely.make_valid(strip.difference(axis.buffer(1, cap_style="square").union(_ends(axis))))
    )
    rows = []
    for piece in range(number.max() + 1):
        zone_cells = shapely.union_all(cells[number == piece])
        halves = {"left": [], "right": []}
        for part in shapely.get_parts(shapely.intersection(sides, zone_cells)):
            if part.geom_type == "Polygon" and part.area > 1:
                halves[_bank(axis, shapely.point_on_surface(part))].append(part)
        for bank, parts in halves.items():
            if parts:
                zone = ORDER[bank][piece % len(ORDER[bank])]
                rows.append(
                    (
                        f"武汉江段{'左' if bank == 'left' else '右'}岸{piece + 1:02d}",
                        zone,
                        bank,
                        shapely.union_all(parts),
                    )
                )
    frame = gpd.GeoDataFrame(rows, columns=["name", "zone", "bank", "geometry"], crs=4490)
    frame["geometry"] = [_globe(shape) for shape in frame.geometry]
    frame["area_m2"] = np.round(geodesic_areas(frame.geometry.to_numpy()), 1)
    write_features("thematic/shoreline-zones", frame[["name", "zone", "bank", "area_m2", "geometry"]], digits=6)


def _ends(axis: shapely.LineString) -> shapely.Geometry:
    """The axis beyond its ends, so that it parts the two banks wholly."""
    xy = shapely.get_coordinates(axis)
    far = [(xy[0] - xy[1]), (xy[-1] - xy[-2])]
    lines = [
        shapely.LineString([end, end + step / np.hypot(*step) * 3000])
        for end, step in zip((xy[0], xy[-1]), far, strict=True)
    ]
    return shapely.union_all([line.buffer(1) for line in lines])


def _bank(axis: shapely.LineString, point: shapely.Point) -> str:
    """Left or right of the axis, looking downstream."""
    here = axis.project(point)
    a, b = (np.array(axis.interpolate(s).coords[0]) for s in (max(here - 5, 0), min(here + 5, axis.length)))
    aside = np.array([point.x, point.y]) - a
    along = b - a
    return "left" if float(along[0] * aside[1] - along[1] * aside[0]) > 0 else "right"


STEPS = (shoreline_zones,)
