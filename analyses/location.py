"""Location (区位优势度): travel time to the centres over roads and open country, on a domain larger than the run's window.

The domain is fixed by the frames (counties, roads, seats), not by the window, so that a run on a part of the province
gives the same times as a run on the whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.accessibility import IMPASSABLE, TILE, best_class, cost_distance, minutes_per_metre, step_lengths
from analyses.masks import burn, release, scratch_array
from spatial.errors import QualityViolation

if TYPE_CHECKING:
    import geopandas
    from affine import Affine
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["ROAD_CLASS", "SEAT_LEVEL", "TravelTime", "centres", "travel_time"]

ROAD_CLASS = "class"
SEAT_LEVEL = "level"
_OFFROAD = 1


@dataclass(frozen=True)
class TravelTime:
    """Minutes to the nearest centre, on cells `coarsen` times as large as those of the run.

    `origin` is the domain's first (row, col) on the run's grid.
    """

    minutes: NDArray[np.float32]
    origin: tuple[int, int]
    coarsen: int = 1

    def read(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
        """float32 (height, width), minutes; ``inf`` where no path leads, NaN outside the domain."""
        out = np.full((height, width), np.nan, dtype=np.float32)
        top, left = row - self.origin[0], col - self.origin[1]
        rows, cols = (size * self.coarsen for size in self.minutes.shape)
        r0, r1, c0, c1 = max(top, 0), min(top + height, rows), max(left, 0), min(left + width, cols)
        if r0 >= r1 or c0 >= c1:
            return out
        if self.coarsen == 1:
            found = self.minutes[r0:r1, c0:c1]
        else:
            i, j = np.arange(r0, r1) // self.coarsen, np.arange(c0, c1) // self.coarsen
            found = np.asarray(self.minutes[i[0] : i[-1] + 1, j[0] : j[-1] + 1])[np.ix_(i - i[0], j - j[0])]
        out[r0 - top : r1 - top, c0 - left : c1 - left] = found
        return out


def centres(seats: geopandas.GeoDataFrame, kinds: Sequence[str], layer: str) -> geopandas.GeoDataFrame:
    """Seats (驻地) of these levels.

    Raises
    ------
    QualityViolation
        If the layer has no field ``level``.
    """
    require_field(seats, SEAT_LEVEL, layer)
    return seats[seats[SEAT_LEVEL].isin(list(kinds))]


def require_field(frame: geopandas.GeoDataFrame, field: str, layer: str) -> None:
    """Raise `QualityViolation` unless the frame has the field."""
    if field not in frame.columns:
        found = [c for c in frame.columns if c != "geometry"]
        raise QualityViolation(
            f"图层 {layer} 缺少字段 {field}（现有：{'、'.join(found)}），请补充该字段",
            f"layer {layer} has no field {field} (it has {', '.join(found)}); add it",
            layer=layer,
        )


def domain(
    grid: GeoBox, frames: Sequence[geopandas.GeoDataFrame], *, cover_window: bool, coarsen: int = 1
) -> tuple[tuple[int, int], Affine, tuple[int, int]]:
    """Cells of the grid's lattice that the frames reach: first (row, col) on the run's grid, affine, shape.

    With `coarsen`, a whole number of large cells, whose lattice hangs on the globe and not on the window.
    """
    a = grid.affine
    bounds = np.array([frame.total_bounds for frame in frames if len(frame)])
    west, south = bounds[:, :2].min(axis=0)
    east, north = bounds[:, 2:].max(axis=0)
    col0, col1 = math.floor((west - a.c) / a.a - 1e-6), math.ceil((east - a.c) / a.a + 1e-6)
    row0, row1 = math.floor((north - a.f) / a.e - 1e-6), math.ceil((south - a.f) / a.e + 1e-6)
    if cover_window:
        row0, col0 = min(row0, 0), min(col0, 0)
        row1, col1 = max(row1, grid.shape.y), max(col1, grid.shape.x)
    if coarsen > 1:
        # Index of the run's first cell on the lattice of small cells from 180° west and 90° north on.
        row_at, col_at = round((a.f - 90.0) / a.e), round((a.c + 180.0) / a.a)
        row0, row1 = row0 - (row0 + row_at) % coarsen, row1 + -(row1 + row_at) % coarsen
        col0, col1 = col0 - (col0 + col_at) % coarsen, col1 + -(col1 + col_at) % coarsen
    # Rounded, so that two windows of one lattice see the same domain to the last bit.
    origin = (round(a.c + a.a * col0, 10), round(a.f + a.e * row0, 10))
    affine = type(a)(a.a, 0.0, origin[0], 0.0, a.e, origin[1])
    return (row0, col0), affine, (row1 - row0, col1 - col0)


def travel_time(
    grid: GeoBox,
    *,
    seats: geopandas.GeoDataFrame,
    roads: geopandas.GeoDataFrame,
    road_layer: str,
    speeds_kmh: Mapping[str, float],
    offroad_kmh: float,
    barriers: Sequence[geopandas.GeoDataFrame],
    extent: Sequence[geopandas.GeoDataFrame],
    cover_window: bool,
    scratch: str,
    coarsen: int = 1,
    threads: int = 1,
    tile: int = TILE,
    progress: Callable[[float], None] | None = None,
) -> TravelTime:
    """Minutes from every cell of the domain to the nearest seat.

    Friction: off-road speed everywhere; water surfaces are impassable; roads are burned over both (a road over water is
    a bridge), every cell that a road touches has its speed, the fastest where several meet.

    Parameters
    ----------
    grid : GeoBox, EPSG:4490, north up
    seats : points
    roads : lines with the field ``class``
    speeds_kmh : mapping
        Road class → km/h.
    barriers : frames of polygons
        Impassable except on roads; empty for none.
    extent : frames
        The domain is the box around them, on the grid's lattice.
    cover_window : bool
        Extend the domain over the run's grid (where no county units say what is to be assessed).
    scratch : str
        Folder of the memory-mapped arrays.
    coarsen : int
        Solve on cells so many times as large, each with its fastest class (`best_class`): 3 makes 30 m to 90 m and costs a
        ninth. An estimate; see docs/methods for how many cells change their grade.
    threads, tile : int
        Tiles solved at once and their side, cells; they do not change the result.

    Raises
    ------
    QualityViolation
        For a road class without a speed in the rules.
    """
    require_field(roads, ROAD_CLASS, road_layer)
    unknown = sorted({str(v) for v in roads[ROAD_CLASS].unique()} - set(speeds_kmh))
    if unknown:
        raise QualityViolation(
            f"图层 {road_layer} 的道路等级 {'、'.join(unknown)} 没有速度，"
            "请在 layers/rules/urban_suitability.yml 的 speeds.roads 中补充",
            f"layer {road_layer}: no speed for road class {', '.join(unknown)}; "
            "add it under speeds.roads in layers/rules/urban_suitability.yml",
            layer=road_layer,
            allowed=sorted(speeds_kmh),
        )
    origin, affine, shape = domain(grid, extent, cover_window=cover_window, coarsen=coarsen)
    friction: NDArray[np.uint8] = scratch_array(scratch, "friction", shape, np.uint8)
    friction[:] = _OFFROAD
    for frame in barriers:
        surface = scratch_array(scratch, "barrier", shape, np.uint8)
        burn(surface, affine, frame.geometry.array, [1] * len(frame))
        for row in range(shape[0]):
            friction[row][surface[row] == 1] = IMPASSABLE
    order = sorted(speeds_kmh, key=lambda name: (speeds_kmh[name], name))
    for number, name in enumerate(order, start=_OFFROAD + 1):
        lines = roads.geometry.array[(roads[ROAD_CLASS] == name).to_numpy()]
        burn(friction, affine, lines, [number] * len(lines), all_touched=True)
    sources = []
    for point in seats.geometry:
        row, col = math.floor((point.y - affine.f) / affine.e), math.floor((point.x - affine.c) / affine.a)
        if 0 <= row < shape[0] and 0 <= col < shape[1]:
            sources.append((row, col))
            if friction[row, col] == IMPASSABLE:  # a town at a lake shore
                friction[row, col] = _OFFROAD
    costs = minutes_per_metre([offroad_kmh, *(speeds_kmh[name] for name in order)])
    if coarsen > 1:
        shape = (shape[0] // coarsen, shape[1] // coarsen)
        friction = best_class(friction, costs, coarsen, scratch_array(scratch, "friction-coarse", shape, np.uint8))
        affine = affine @ affine.scale(coarsen)
        sources = [(row // coarsen, col // coarsen) for row, col in sources]
    minutes: Any = scratch_array(scratch, "minutes", shape, np.float32)
    cost_distance(
        minutes,
        friction,
        costs,
        step_lengths(affine.f, -affine.e, affine.a, shape[0]),
        sources,
        tile=tile,
        threads=threads,
        progress=progress,
    )
    release(minutes)
    return TravelTime(minutes, origin, coarsen)
