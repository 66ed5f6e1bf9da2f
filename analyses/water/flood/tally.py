"""What is counted of one mapped level: rasters by block, exposure, state of the dikes, low ground behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.landcover.rules import land_cover_rules
from analyses.masks import release
from analyses.water.flood.counties import flooded, flooded_by_county, land_of, tally_of
from analyses.water.flood.dikes import section_states
from analyses.water.flood.exposure import AreaTally, line_lengths, points_in_water
from analyses.water.flood.inundation import FLOODED, NODATA, RELEASED, probability_wet
from analyses.water.flood.mapping import LevelMap
from analyses.water.flood.scene import Scene
from analyses.water.flood.start import Run
from spatial.catalog import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["basin_rows", "count_level", "dike_rows", "write_level"]


def write_level(scene: Scene, found: LevelMap, nodes: Any, spill: Any, sigma: float, rasters: Any, band: int) -> None:
    """Write the bands of one level, block by block."""
    extent, depth, chance = rasters
    reach = scene.reach
    rows, cols = reach.shape
    for top in range(0, rows, reach.block):
        for left in range(0, cols, reach.block):
            window = (slice(top, min(rows, top + reach.block)), slice(left, min(cols, left + reach.block)))
            codes = np.array(found.codes[window])
            if (codes == NODATA).all():
                continue
            d = np.array(found.depth[window])
            extent.write(top, left, codes, band=band)
            depth.write(top, left, (np.rint(d * 100) / 100).astype(np.float32), band=band)
            level = nodes[np.asarray(reach.strip[window])].astype(np.float32)
            margin = np.where(np.isnan(d), level - np.asarray(spill[window]), d)
            chance.write(top, left, (np.rint(probability_wet(margin, sigma) * 256) / 256).astype(np.float32), band=band)
        release(found.codes, found.depth, spill, reach.strip)


def count_level(run: Run, scene: Scene, found: LevelMap, level: float) -> None:
    """Exposure of one level: areas, people, roads, works."""
    reach, rules = scene.reach, run.rules
    land = run.inputs.rasters.get("land")
    scheme = land_cover_rules(run.inputs.rules)
    crops = frozenset(c.code for c in scheme.classes.list if c.is_cropland)
    built = frozenset(c.code for c in scheme.classes.list if c.is_built)
    tallies = {
        where: AreaTally(reach.row_areas_m2, rules.depth.edges_m, crops, built) for where in ("flooded", "released")
    }
    people = land is not None and "people" in land.bands
    by_county = None if scene.counties is None else tally_of(run, reach, scene.counties)
    valid = 0
    for top in range(0, reach.shape[0], reach.block):
        high = min(reach.block, reach.shape[0] - top)
        codes, d = np.asarray(found.codes[top : top + high]), np.asarray(found.depth[top : top + high])
        valid += int((codes != NODATA).sum())
        cover, density = land_of(run, top, 0, high, reach.shape[1])
        if by_county is not None:
            by_county.add(top, 0, flooded(codes), cover, density)
        for where, pick in (("flooded", flooded(codes)), ("released", codes == RELEASED)):
            tallies[where].add(top, np.where(pick, d, np.float32(np.nan)), cover, density)
        release(found.codes, found.depth)
    rows = run.tables.setdefault("exposure", [])
    for where, tally in tallies.items():
        rows += [{"level_m": level, "where": where, **row} for row in tally.rows(land=land is not None, people=people)]
    affine = run.inputs.grid.affine
    roads = run.frame("roads")
    if roads is not None:
        names = roads["class"] if "class" in roads.columns else ["road"] * len(roads)
        for where, kinds in (("flooded", (FLOODED, RELEASED)), ("released", (RELEASED,))):
            lengths = line_lengths(roads.geometry.array, names, _Wet(found, kinds), affine, rules.depth.edges_m)
            run.tables.setdefault("roads", []).extend({"level_m": level, "where": where, **row} for row in lengths)
    if by_county is not None and scene.counties is not None:
        run.tables.setdefault("exposure_by_county", []).extend(
            flooded_by_county(run, reach, scene.counties, by_county, _Wet(found, (FLOODED, RELEASED)), level)
        )
    works = run.frame("works")
    if works is not None:
        depths = points_in_water(works.geometry.array, _Wet(found, (FLOODED, RELEASED)), affine)
        run.tables.setdefault("works", []).extend(
            {"level_m": level, "name": name, "depth_m": round(float(depth), 2)}
            for name, depth in zip(works["name"], depths, strict=True)
            if depth == depth
        )
    if "people" not in {f.id for f in run.factors}:
        _exposure_factors(run, land is not None, people, roads is not None, works is not None)
    below = found.found.below_area_m2
    run.tables.setdefault("levels", []).append(
        {
            "level_m": level,
            "level_terrain_m": round(run.referred(level).level_m, 3),
            "flooded_km2": round(found.found.area_m2 / 1e6, 4),
            "between_dikes_km2": round(found.between_dikes_m2 / 1e6, 4),
            "mean_depth_m": None if np.isnan(found.found.mean_depth_m) else round(found.found.mean_depth_m, 3),
            "max_depth_m": round(found.found.max_depth_m, 3),
            "below_not_connected_km2": round((below - found.found.area_m2) / 1e6, 4),
            "parts": found.found.parts,
            "valid_share": round(valid / (reach.shape[0] * reach.shape[1]), 4),
            "flag": None if found.found.area_m2 else "level_below_bed" if below == 0 else "river_dry",
        }
    )
    if not found.found.area_m2:
        zh, en = (
            ("全部地面与河床", "all ground and bed")
            if below == 0
            else ("中心线处的河床", "the bed along the centre line")
        )
        run.notes.append(
            Text(
                zh=f"水位 {level:.2f} m 低于范围内{zh}：没有淹没，请核对水位与基准",
                en=f"level {level:.2f} m lies below {en} here: nothing floods; check level and datum",
            )
        )


@dataclass(frozen=True)
class _Wet:
    """Depth at cells of some codes, NaN elsewhere, for lines and points."""

    found: LevelMap
    codes: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        shape: tuple[int, int] = self.found.depth.shape
        return shape

    def __getitem__(self, cells: Any) -> NDArray[np.float32]:
        code = np.asarray(self.found.codes[cells])
        out = np.asarray(self.found.depth[cells], np.float32)
        return np.where(np.isin(code, self.codes), out, np.float32(np.nan))


def _exposure_factors(run: Run, land: bool, people: bool, roads: bool, works: bool) -> None:
    for name, zh, en, known in (
        ("cropland", "耕地", "Cropland", land),
        ("people", "人口", "People", people),
        ("roads", "道路", "Roads", roads),
        ("works", "水利工程", "Works", works),
    ):
        note = (
            Text(zh="按水深分级统计", en="counted by class of depth")
            if known
            else Text(zh=f"没有{zh}数据", en=f"no data of {en.lower()}")
        )
        run.factor(name, zh, en, known, note, run.rules.depth.source)


def dike_rows(run: Run, scene: Scene, found: LevelMap, nodes: Any, level: float) -> list[dict[str, Any]]:
    """State of every section at one level."""
    cells, dikes = scene.dike_cells, scene.dikes
    if cells is None or dikes is None:
        return []
    reach = scene.reach
    row, col = cells.crest.row, cells.crest.col
    wet = np.zeros(row.size, bool)
    for dr in (-1, 0, 1):
        for dc in (-1, 0, 1):
            r, c = np.clip(row + dr, 0, reach.shape[0] - 1), np.clip(col + dc, 0, reach.shape[1] - 1)
            wet |= np.isfinite(found.depth[r, c])
    at = nodes[np.asarray(reach.strip[row, col])]
    asked = np.array([run.rules.freeboard.by_grade.get(int(g), np.nan) if g == g else np.nan for g in dikes["grade"]])
    states, margin, water = section_states(cells, len(dikes), at, wet, asked, scene.breached)

    def number(value: float) -> float | None:
        return round(float(value), 3) if np.isfinite(value) else None

    return [
        {
            "name": str(dikes["name"].iloc[k]),
            "dike": str(dikes["dike"].iloc[k]) if "dike" in dikes.columns else None,
            "level_m": level,
            "state": states[k],
            "margin_m": number(margin[k]),
            "water_m": number(water[k]),
            "required_m": number(asked[k]),
            "number": k,
        }
        for k in range(len(dikes))
    ]


def basin_rows(run: Run, scene: Scene, found: LevelMap, nodes: Any, level: float, spill: Any) -> list[dict[str, Any]]:
    """Low ground that the river does not reach, largest first, with its controlling crest."""
    basins = found.found.basins
    listed = min(run.rules.basins.listed, basins.cells.size)
    crest = np.array(
        [spill[divmod(int(first), scene.reach.shape[1])] for first in basins.first_cell[:listed]], np.float32
    )
    affine = run.inputs.grid.affine
    rows = []
    for k in range(crest.size):
        row, col = divmod(int(basins.first_cell[k]), scene.reach.shape[1])
        water = float(nodes[int(scene.reach.strip[row, col])])
        known = bool(np.isfinite(crest[k]))
        rows.append(
            {
                "level_m": level,
                "area_km2": round(float(basins.area_m2[k]) / 1e6, 4),
                "mean_depth_m": round(float(basins.mean_depth_m[k]), 3),
                "max_depth_m": round(float(basins.max_depth_m[k]), 3),
                "crest_m": round(float(crest[k]), 3) if known else None,
                "reserve_m": round(float(crest[k]) - water, 3) if known else None,
                "lon": round(affine.c + (col + 0.5) * affine.a, 6),
                "lat": round(affine.f + (row + 0.5) * affine.e, 6),
            }
        )
    run.tables.setdefault("basins", []).extend(rows)
    return rows
