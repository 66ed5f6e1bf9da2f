"""Figures by county (按县统计): what stands under water, and what lives inside a polder or detention area."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.landcover.rules import land_cover_rules
from analyses.masks import burn, scratch_array
from analyses.water.flood.exposure import line_lengths
from analyses.water.flood.inundation import FLOODED, RELEASED
from analyses.water.flood.mapping import Reach
from analyses.water.flood.start import Run
from spatial.catalog import Text
from spatial.errors import QualityViolation
from spatial.units import whole_dm2

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = [
    "Counties",
    "CountyTally",
    "area_exposure",
    "counties_of",
    "flooded",
    "flooded_by_county",
    "inside_of",
    "land_of",
    "tally_of",
    "window_of",
]


@dataclass(frozen=True)
class Counties:
    """Counties that touch the grid, and which cell lies in which."""

    names: tuple[str, ...]
    shapes: Any
    zones: Any
    """uint8 (rows, cols), 0 = in none, k = ``names[k − 1]``; a cell belongs to the county that holds its centre."""


def counties_of(run: Run, shape: tuple[int, int]) -> Counties | None:
    """Counties of the run's grid; None without the layer."""
    import shapely

    frame = run.frame("counties")
    if frame is None or "name" not in frame.columns:
        note = Text(zh="没有县级行政区图层，不分县", en="no layer of counties: not told apart")
        run.factor("counties", "县", "Counties", False, note, "")
        return None
    affine = run.inputs.grid.affine
    box = shapely.box(affine.c, affine.f + affine.e * shape[0], affine.c + affine.a * shape[1], affine.f)
    mine = frame[shapely.intersects(frame.geometry.array, box)]
    if len(mine) > 255:
        raise QualityViolation(
            f"范围内有 {len(mine)} 个县，最多 255 个",
            f"{len(mine)} counties in the extent, at most 255",
            layer="counties",
        )
    zones = scratch_array(run.inputs.scratch, "counties", shape, np.uint8)
    burn(zones, affine, mine.geometry.array, list(range(1, len(mine) + 1)))
    note = Text(
        zh=f"范围内 {len(mine)} 个县，按像元中心", en=f"{len(mine)} counties in the extent, by the centres of cells"
    )
    run.factor("counties", "县", "Counties", True, note, "")
    return Counties(tuple(str(n) for n in mine["name"]), mine.geometry.array, zones)


@dataclass
class CountyTally:
    """Flooded area, cropland, built-up land and people of each county, block by block, in whole numbers."""

    counties: Counties
    row_areas_m2: NDArray[np.float64]
    cropland: frozenset[int]
    built: frozenset[int]
    _dm2: NDArray[np.int64] = field(init=False)
    _people: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self._areas = whole_dm2(self.row_areas_m2)
        self._dm2 = np.zeros((3, len(self.counties.names) + 1), np.int64)
        self._people = np.zeros(len(self.counties.names) + 1, np.int64)

    def add(
        self, row: int, col: int, wet: NDArray[np.bool_], land: NDArray[Any] | None, density: NDArray[Any] | None
    ) -> None:
        """Count the cells `wet` of a block; `land` are codes of land cover, `density` people a km²."""
        high, wide = wet.shape
        zones = np.asarray(self.counties.zones[row : row + high, col : col + wide])
        size = self._people.size
        masks = [wet]
        if land is not None:
            masks += [wet & np.isin(land, list(self.cropland)), wet & np.isin(land, list(self.built))]
        rows = np.broadcast_to(np.arange(high)[:, None], wet.shape)
        for number, mask in enumerate(masks):
            counts = np.bincount(rows[mask] * size + zones[mask], minlength=high * size).reshape(high, size)
            self._dm2[number] += (counts * self._areas[row : row + high, None]).sum(axis=0)
        if density is not None:
            d = np.maximum(np.nan_to_num(np.asarray(density, np.float64), nan=0.0), 0.0)
            # People of a cell in millionths: whole, so that the order of blocks does not matter.
            people = np.rint(d * self.row_areas_m2[row : row + high, None]).astype(np.int64)
            np.add.at(self._people, zones[wet], people[wet])

    def rows(self, *, land: bool, people: bool) -> list[dict[str, Any]]:
        """One row a county that has something; None where it was not assessed. ``county`` is None outside all counties."""
        return [
            {
                "county": None if k == 0 else self.counties.names[k - 1],
                "area_km2": round(int(self._dm2[0, k]) / 1e8, 4),
                "cropland_mu": round(int(self._dm2[1, k]) / 100 * 15 / 1e4, 1) if land else None,
                "built_km2": round(int(self._dm2[2, k]) / 1e8, 4) if land else None,
                "people": round(int(self._people[k]) / 1e6) if people else None,
            }
            for k in np.flatnonzero(self._dm2[0])
        ]


def tally_of(run: Run, reach: Reach, counties: Counties) -> CountyTally:
    """An empty tally with the classes of the land-cover rules."""
    classes = land_cover_rules(run.inputs.rules).classes.list
    return CountyTally(
        counties,
        reach.row_areas_m2,
        frozenset(c.code for c in classes if c.is_cropland),
        frozenset(c.code for c in classes if c.is_built),
    )


def land_of(run: Run, row: int, col: int, height: int, width: int) -> tuple[Any, Any]:
    """Codes of land cover and people a km² of a window; None where there are none."""
    land = run.inputs.rasters.get("land")
    if land is None:
        return None, None
    cover = land.read(row, col, height, width, band=land.bands.index("land_use") + 1)
    if "people" not in land.bands:
        return cover, None
    return cover, land.read(row, col, height, width, band=land.bands.index("people") + 1)


def window_of(run: Run, shape: tuple[int, int], geometry: Any) -> tuple[int, int, int, int] | None:
    """First row and column, height and width of the cells that a geometry's box touches; None outside the grid."""
    affine = run.inputs.grid.affine
    x0, y0, x1, y1 = geometry.bounds
    c0, c1 = np.clip([int((x0 - affine.c) // affine.a), int((x1 - affine.c) // affine.a) + 1], 0, shape[1])
    r0, r1 = np.clip([int((y1 - affine.f) // affine.e), int((y0 - affine.f) // affine.e) + 1], 0, shape[0])
    return None if r1 <= r0 or c1 <= c0 else (int(r0), int(c0), int(r1 - r0), int(c1 - c0))


def inside_of(run: Run, window: tuple[int, int, int, int], geometry: Any) -> NDArray[np.bool_]:
    """Cells of a window whose centre lies in a polygon."""
    from rasterio.features import rasterize

    row, col, height, width = window
    affine = run.inputs.grid.affine
    made = rasterize([(geometry, 1)], (height, width), transform=affine @ affine.translation(col, row))
    return np.asarray(made > 0)


def area_exposure(run: Run, reach: Reach, counties: Counties | None, geometry: Any) -> list[dict[str, Any]]:
    """Who and what lies inside an area, by county (one row without counties): to be moved or guarded when it is used.

    Returns
    -------
    list of dict
        ``county``, ``area_km2`` (cells), ``people``, ``cropland_mu``, ``built_km2``, ``roads_km`` (geodesic), ``works`` (names).
        None where it was not assessed.
    """
    import shapely

    window = window_of(run, reach.shape, geometry)
    if window is None:
        return []
    inside = inside_of(run, window, geometry)
    cover, density = land_of(run, *window)
    at = counties
    if at is None:
        zones = np.broadcast_to(np.uint8(1), reach.shape)
        at = Counties(("",), np.array([geometry], dtype=object), zones)
    tally = tally_of(run, reach, at)
    tally.add(window[0], window[1], inside, cover, density)
    rows = tally.rows(land=cover is not None, people=density is not None)
    roads, works = run.frame("roads"), run.frame("works")
    for row in rows:
        part = geometry
        if counties is not None and row["county"] is not None:
            part = shapely.intersection(geometry, counties.shapes[counties.names.index(row["county"])])
        row["county"] = row["county"] or None
        row["roads_km"] = None if roads is None else _roads_km(roads, part)
        row["works"] = None if works is None else _works(works, part)
    return rows


def _roads_km(roads: geopandas.GeoDataFrame, part: Any) -> float:
    import shapely
    from pyproj import Geod

    inside = shapely.intersection(roads.geometry.array, part)
    geod = Geod(ellps="GRS80")
    return round(float(sum(geod.geometry_length(g) for g in inside if not shapely.is_empty(g))) / 1000, 3)


def _works(works: geopandas.GeoDataFrame, part: Any) -> str:
    import shapely

    return "、".join(str(n) for n in works["name"][shapely.intersects(works.geometry.array, part)])


def flooded_by_county(
    run: Run, reach: Reach, counties: Counties, tally: CountyTally, depth: Any, level: float
) -> list[dict[str, Any]]:
    """Rows of one level: the tally, and the roads under water of each county."""
    import shapely

    land = run.inputs.rasters.get("land")
    rows = tally.rows(land=land is not None, people=land is not None and "people" in land.bands)
    roads = run.frame("roads")
    for row in rows:
        row["roads_km"] = None
        if roads is None or row["county"] is None:
            continue
        shape = counties.shapes[counties.names.index(row["county"])]
        lines = shapely.intersection(roads.geometry.array, shape)
        lines = lines[~shapely.is_empty(lines)]
        found = line_lengths(lines, ["road"] * len(lines), depth, run.inputs.grid.affine, run.rules.depth.edges_m)
        row["roads_km"] = round(sum(r["length_km"] for r in found), 3)
    return [{"level_m": level, **row} for row in rows]


def flooded(codes: NDArray[Any]) -> NDArray[np.bool_]:
    """Land under water: flooded or let in."""
    return np.asarray((codes == FLOODED) | (codes == RELEASED))
