"""Dikes (堤防): crest lines burnt into the ground without a gap, breaches cut, and the state of each section.

States of a section: 挡水 (holds), 超高不足 (holds, less freeboard than its grade asks for), 漫溢 (the level is above the crest),
溃口 (breach of the scenario), 不临水 (no water reaches it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.terrain import metres_per_degree
from analyses.water.flood.strips import Cells
from spatial.catalog import Text
from spatial.compiled import compiled
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

__all__ = ["STATES", "Breach", "DikeCells", "breach_cells", "crest_cells", "section_states"]

STATES: dict[str, Text] = {
    "holds": Text(zh="挡水", en="holds"),
    "low_freeboard": Text(zh="挡水，超高不足", en="holds, freeboard short"),
    "overtopped": Text(zh="漫溢", en="overtopped"),
    "breached": Text(zh="溃口（情景）", en="breached (scenario)"),
    "dry": Text(zh="不临水", en="no water at it"),
}


@dataclass(frozen=True)
class DikeCells:
    """Cells under crest lines: crest height, number of the section (1 …)."""

    crest: Cells
    section: NDArray[np.int32]
    """In the order of `crest`; a cell under two sections is there twice."""


def _cross(x: Any, y: Any, z: Any, rows: int, cols: int, out_cell: Any, out_z: Any) -> int:
    """Cells that a line of vertices (in cells) touches: every one, both beside a corner it runs through.

    `out_*` may be too short: the number found is returned all the same.
    """
    found = 0
    for k in range(x.size - 1):
        x0, y0, x1, y1 = x[k], y[k], x[k + 1], y[k + 1]
        dx, dy = x1 - x0, y1 - y0
        c, r = np.int64(np.floor(x0)), np.int64(np.floor(y0))
        c_end, r_end = np.int64(np.floor(x1)), np.int64(np.floor(y1))
        sx = 1 if dx > 0 else -1
        sy = 1 if dy > 0 else -1
        steps = abs(c_end - c) + abs(r_end - r) + 4
        tx = ((c + 1 if dx > 0 else c) - x0) / dx if dx != 0 else np.inf
        ty = ((r + 1 if dy > 0 else r) - y0) / dy if dy != 0 else np.inf
        wx = abs(1.0 / dx) if dx != 0 else np.inf
        wy = abs(1.0 / dy) if dy != 0 else np.inf
        before = 0.0
        for _ in range(steps):
            after = min(tx, ty, 1.0)
            # The crest is linear along the line: the higher end inside the cell.
            height = max(z[k] + (z[k + 1] - z[k]) * before, z[k] + (z[k + 1] - z[k]) * after)
            if 0 <= r < rows and 0 <= c < cols:
                if found < out_cell.size:
                    out_cell[found] = r * cols + c
                    out_z[found] = height
                found += 1
            if after >= 1.0:
                # A vertex on an edge or corner belongs to the next cell: that one too, and the two beside the corner.
                if r != r_end or c != c_end:
                    for a, b in ((r_end, c_end), (r, c_end), (r_end, c)):
                        if 0 <= a < rows and 0 <= b < cols:
                            if found < out_cell.size:
                                out_cell[found] = a * cols + b
                                out_z[found] = height
                            found += 1
                break
            before = after
            if abs(tx - ty) < 1e-9:
                for a, b in ((r, c + sx), (r + sy, c)):
                    if 0 <= a < rows and 0 <= b < cols:
                        if found < out_cell.size:
                            out_cell[found] = a * cols + b
                            out_z[found] = height
                        found += 1
                c += sx
                r += sy
                tx += wx
                ty += wy
            elif tx < ty:
                c += sx
                tx += wx
            else:
                r += sy
                ty += wy
    return found


def crest_cells(
    lines: Any, crest_from_m: Any, crest_to_m: Any, affine: Affine, shape: tuple[int, int], *, layer: str = ""
) -> DikeCells:
    """Cells under crest lines with the height of the crest.

    Every cell that a line touches is taken (all-touched, 全接触), and where it runs exactly through a corner both cells beside
    it, so that no 8-connected way leads through. Crest heights are linear along each line.

    Parameters
    ----------
    lines : sequence of LineString or MultiLineString, EPSG:4490
    crest_from_m, crest_to_m : sequence of float, m
        Height of the crest at the first and the last vertex, in the datum of the terrain.

    Raises
    ------
    QualityViolation
        If a crest height is missing: a dike of unknown height is neither intact nor absent.
    """
    import shapely

    cells, heights, sections = [], [], []
    first = np.asarray(crest_from_m, np.float64)
    last = np.asarray(crest_to_m, np.float64)
    bad = np.flatnonzero(~(np.isfinite(first) & np.isfinite(last)))
    if bad.size:
        raise QualityViolation(
            f"{bad.size} 段堤防没有堤顶高程（第 {int(bad[0]) + 1} 段起），请补齐",
            f"{bad.size} dike sections have no crest height (from number {int(bad[0]) + 1} on); complete them",
            layer=layer or None,
            reason="crest-missing",
        )
    for number, (geometry, a, b) in enumerate(zip(lines, first, last, strict=True), start=1):
        whole = shapely.length(geometry)
        passed = 0.0
        for part in shapely.get_parts(geometry):
            if part.geom_type != "LineString" or part.is_empty:
                continue
            xy = shapely.get_coordinates(part)
            along = passed + np.r_[0.0, np.cumsum(np.hypot(*np.diff(xy, axis=0).T))]
            passed = along[-1]
            z = a + (b - a) * along / whole
            x, y = (xy[:, 0] - affine.c) / affine.a, (xy[:, 1] - affine.f) / affine.e
            size = int(4 * (np.abs(np.diff(x)).sum() + np.abs(np.diff(y)).sum())) + 8 * x.size + 16
            cell, height = np.empty(size, np.int64), np.empty(size, np.float64)
            count = int(compiled(_cross)(x, y, z, *shape, cell, height))
            cells.append(cell[:count])
            heights.append(height[:count])
            sections.append(np.full(count, number, np.int32))
    cell = np.concatenate(cells) if cells else np.empty(0, np.int64)
    height = np.concatenate(heights) if cells else np.empty(0)
    section = np.concatenate(sections) if cells else np.empty(0, np.int32)
    # One row a cell and section, the highest crest.
    order = np.lexsort((-height, section, cell))
    cell, height, section = cell[order], height[order], section[order]
    once = np.r_[True, (np.diff(cell) != 0) | (np.diff(section) != 0)] if cell.size else np.empty(0, bool)
    cell, height, section = cell[once], height[once], section[once]
    return DikeCells(Cells(cell // shape[1], cell % shape[1], height), section)


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach (溃口) or an opened inlet (分洪口门)."""

    lon: float
    lat: float
    width_m: float
    sill_m: float | None = None
    """Bottom of the breach (口门底高程), datum of the terrain; None: the ground at the foot of the dike."""


def breach_cells(
    breach: Breach,
    lines: Any,
    affine: Affine,
    shape: tuple[int, int],
    read: Any,
    *,
    reach_m: float,
    snap_m: float,
) -> tuple[Cells, float, int]:
    """Cells cut by a breach, its sill, and the number of the section (0 …) that breaks.

    The dike within `width_m` along its line around the nearest point of the line, and `reach_m` to each side of it, is lowered
    to the sill. Without a given sill it is the higher of the medians of the ground on the two sides of the dike beyond
    `reach_m`: water must rise over the higher foot.

    Raises
    ------
    InvalidParameter
        If the point lies farther than `snap_m` from every dike, outside the grid, or the width is not positive.
    """
    import shapely

    if not breach.width_m > 0:
        raise InvalidParameter("溃口宽度须为正", "the width of a breach must be positive", parameter="breach")
    mx, my = (float(v) for v in metres_per_degree(breach.lat))

    def metres(geometry: Any) -> Any:
        return shapely.transform(geometry, lambda xy: (xy - (breach.lon, breach.lat)) * (mx, my))

    shapes = [metres(g) for g in lines]
    point = shapely.Point(0.0, 0.0)
    far = np.array([shapely.distance(g, point) for g in shapes]) if shapes else np.array([np.inf])
    section = int(np.argmin(far))
    if not far[section] <= snap_m:
        raise InvalidParameter(
            f"溃口点 ({breach.lon:g}, {breach.lat:g}) 距最近堤防 {far[section]:.0f} m，超过 {snap_m:g} m，请点在堤线上",
            f"the breach ({breach.lon:g}, {breach.lat:g}) lies {far[section]:.0f} m from the nearest dike, more than "
            f"{snap_m:g} m; put it on a dike line",
            parameter="breach",
        )
    line = shapes[section]
    foot = shapely.get_point(shapely.shortest_line(line, point), 0)
    # Neighbouring sections break too where the breach is wider than what is left of its section.
    near = shapely.line_merge(
        shapely.union_all([g for g, d in zip(shapes, far, strict=True) if d < snap_m + breach.width_m])
    )
    parts = shapely.get_parts(near)
    whole = parts[int(np.argmin(shapely.distance(parts, foot)))]
    at = shapely.line_locate_point(whole, foot)
    cell_m = float(np.hypot(mx * affine.a, my * affine.e))
    half = max(breach.width_m / 2, cell_m)
    from shapely.ops import substring

    cut = substring(whole, max(0.0, at - half), min(shapely.length(whole), at + half))
    inner = shapely.buffer(cut, reach_m, cap_style="flat")
    # Cells under the crest line near the cut are opened whatever their centre says; nothing is left to block it.
    cut_area: Any = shapely.union(inner, shapely.buffer(cut, cell_m, cap_style="flat"))
    r, c = _cells_in(cut_area, breach, (mx, my), affine, shape)
    if r.size == 0:
        raise InvalidParameter("溃口在计算范围之外", "the breach lies outside the extent", parameter="breach")
    sill = breach.sill_m
    if sill is None:
        sides = []
        for sign in (1, -1):
            ring = shapely.difference(shapely.buffer(cut, sign * 2 * reach_m, single_sided=True), cut_area)
            a, b = _cells_in(ring, breach, (mx, my), affine, shape)
            if a.size:
                top, left = int(a.min()), int(b.min())
                z = read(top, left, int(a.max()) - top + 1, int(b.max()) - left + 1)[a - top, b - left]
                if np.isfinite(z).any():
                    sides.append(float(np.nanmedian(z)))
        if not sides:
            raise InvalidParameter(
                "溃口两侧没有地形，请给出口门底高程",
                "no ground beside the breach; give the height of its sill",
                parameter="breach",
            )
        sill = max(sides)
    return Cells.of(r, c, np.full(r.size, sill)), sill, section


def _cells_in(
    shape_m: Any, breach: Breach, scale: tuple[float, float], affine: Affine, shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    import shapely

    if shapely.is_empty(shape_m):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    x0, y0, x1, y1 = shapely.bounds(shape_m)
    lon, lat = breach.lon + np.array([x0, x1]) / scale[0], breach.lat + np.array([y0, y1]) / scale[1]
    c0, c1 = np.clip(np.floor((lon - affine.c) / affine.a).astype(int) + np.array([0, 1]), 0, shape[1])
    r0, r1 = np.clip(np.floor((lat[::-1] - affine.f) / affine.e).astype(int) + np.array([0, 1]), 0, shape[0])
    rows, cols = np.mgrid[r0:r1, c0:c1]
    x = (affine.c + (cols + 0.5) * affine.a - breach.lon) * scale[0]
    y = (affine.f + (rows + 0.5) * affine.e - breach.lat) * scale[1]
    inside = shapely.contains_xy(shape_m, x, y)
    return rows[inside].astype(np.int64), cols[inside].astype(np.int64)


def section_states(
    dikes: DikeCells,
    count: int,
    level_at: NDArray[np.float64],
    wet_beside: NDArray[np.bool_],
    required_freeboard_m: NDArray[np.float64],
    breached: frozenset[int],
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64]]:
    """State of each section, its smallest margin (crest − level) and the highest level along it.

    Parameters
    ----------
    level_at : float64, one for each dike cell, m
        Level of the water surface there, NaN beyond the strips.
    wet_beside : bool, one for each dike cell
        Whether water of the river stands in the cell or beside it.
    required_freeboard_m : float64 (count,)
        NaN where the grade of the dike is not known: then no 超高不足 is judged.
    breached : numbers of broken sections, 0 …
    """
    margin = np.full(count, np.inf)
    level = np.full(count, -np.inf)
    number = dikes.section - 1
    known = np.isfinite(level_at) & wet_beside
    np.minimum.at(margin, number[known], (dikes.crest.value - level_at)[known])
    np.maximum.at(level, number[known], level_at[known])
    states = []
    for k in range(count):
        if k in breached:
            states.append("breached")
        elif not np.isfinite(margin[k]):
            states.append("dry")
        elif margin[k] <= 0:
            states.append("overtopped")
        elif margin[k] < required_freeboard_m[k]:
            states.append("low_freeboard")
        else:
            states.append("holds")
    return states, np.where(np.isfinite(margin), margin, np.nan), np.where(np.isfinite(level), level, np.nan)
