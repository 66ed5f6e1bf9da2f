"""What the levels of a rehearsal share: rivers and strips, dikes, and what the scenario breaks or opens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.landcover.rules import land_cover_rules
from analyses.masks import burn, scratch_array
from analyses.water.flood.counties import Counties, counties_of
from analyses.water.flood.datum import canonical_datum
from analyses.water.flood.dikes import Breach, DikeCells, breach_cells, crest_cells
from analyses.water.flood.mapping import Reach
from analyses.water.flood.prepared import fill_strips
from analyses.water.flood.reach import gauge_of, node_levels, station_place
from analyses.water.flood.start import Run
from analyses.water.flood.strips import RiverNodes, nodes_of, river_cells
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.grid import cell_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Scene", "at_level", "levels_at_nodes", "prepare", "waters_of"]


@dataclass
class Scene:
    """Geometry that all levels share."""

    reach: Reach
    nodes: RiverNodes
    rivers: Any
    dikes: Any
    dike_cells: DikeCells | None
    breached: frozenset[int]
    counties: Counties | None = None


def prepare(run: Run, block: int) -> Scene:
    """Nodes, strips, dikes, cuts."""
    inputs, parameters, rules = run.inputs, run.parameters, run.rules
    shape = inputs.grid.shape.yx
    affine = inputs.grid.affine
    rivers, nodes = nodes_of(inputs.frames["river"], rules.surface.node_step_m, layer=parameters.river)
    seeds = river_cells(nodes, affine, shape)
    strip = fill_strips(run, nodes, seeds)
    reader = inputs.rasters["terrain"]
    dikes = run.frame("dikes")
    crest: DikeCells | None = None
    if dikes is not None:
        dikes = dikes.reset_index(drop=True)
        _same_datum(run, dikes)
        crest = crest_cells(
            dikes.geometry.array, dikes["crest_from_m"], dikes["crest_to_m"], affine, shape, layer=str(parameters.dikes)
        )
        run.factor(
            "dikes",
            "堤防",
            "Dikes",
            True,
            Text(
                zh=f"{len(dikes)} 段堤顶线烧入地形（全接触），{crest.crest.size} 个像元",
                en=f"{len(dikes)} crest lines burnt into the terrain (all-touched), {crest.crest.size} cells",
            ),
            rules.freeboard.source,
        )
    else:
        note = Text(zh="没有堤防图层：只按地形判断", en="no dikes given: by the terrain alone")
        run.factor("dikes", "堤防", "Dikes", False, note, "")
        run.notes.append(note)
    reach = Reach(
        shape=shape,
        row_areas_m2=cell_areas(inputs.grid),
        seeds=seeds,
        strip=strip,
        read=reader.read,
        crest=None if crest is None else crest.crest,
        cuts=(),
        cap=None,
        block=block,
        threads=inputs.threads,
        minimum_m2=rules.basins.minimum_area_m2,
    )
    return Scene(reach, nodes, rivers, dikes, crest, frozenset(), counties_of(run, shape))


def _same_datum(run: Run, dikes: Any) -> None:
    """Crest heights must be in the datum of the terrain: no offset of a station holds along a dike."""
    names = dikes["datum"] if "datum" in dikes.columns else [None] * len(dikes)
    bad = sorted({str(n) for n in names if canonical_datum(n) != canonical_datum(run.terrain.datum)})
    if bad:
        layer = str(run.parameters.dikes)
        raise QualityViolation(
            f"堤防图层 {layer} 的高程基准为 {bad}，与地形（{run.terrain.datum}）不同，请先统一",
            f"crest heights of layer {layer} are in {bad}, the terrain in {run.terrain.datum}; bring them to one datum",
            layer=layer,
            reason="datum-missing",
        )


def at_level(run: Run, scene: Scene, level: float) -> Scene:
    """The scene with what the scenario breaks and opens at a level.

    Without names those detention areas are opened whose operation level that very level reaches.
    """
    if level in run.scenes:
        known: Scene = run.scenes[level]
        return known
    parameters, rule = run.parameters, run.rules.breach
    affine, shape, dikes = run.inputs.grid.affine, scene.reach.shape, scene.dikes
    wanted: list[tuple[str, Breach]] = []
    cap = None
    if parameters.scenario == "breach":
        width = parameters.breach_width_m or rule.width_m
        wanted = [("breach", Breach(x, y, width, parameters.breach_sill_m)) for x, y in parameters.breaches]
    elif parameters.scenario == "detention":
        opened = _opened(run, level)
        zones = scratch_array(run.inputs.scratch, f"zones-{level:.3f}", shape, np.uint8)
        tops = [np.inf]
        for number, row in enumerate(opened, start=1):
            wanted.append(
                (row["name"], Breach(float(row["inlet_lon"]), float(row["inlet_lat"]), float(row["inlet_width_m"])))
            )
            gauge = gauge_of(run.inputs.frames["gauges"], str(row["station"]), layer=parameters.gauges)
            tops.append(run.referred(float(row["design_m"]), replace(gauge, datum=row.get("datum"))).level_m)
            burn(zones, affine, [row["geometry"]], [number])
        if opened:
            cap = (zones, np.asarray(tops))
    if wanted and dikes is None:
        raise InvalidParameter(
            "没有堤防图层，不能设溃口或启用蓄滞洪区",
            "no dikes given: nothing to breach or open",
            parameter="scenario",
        )
    cuts, broken, rows = [], set(), []
    for name, breach in wanted:
        cells, sill, section = breach_cells(
            breach, dikes.geometry.array, affine, shape, scene.reach.read, reach_m=rule.reach_m, snap_m=rule.snap_m
        )
        cuts.append(cells)
        broken.add(section)
        rows.append(
            {
                "level_m": level,
                "kind": parameters.scenario,
                "name": name,
                "lon": breach.lon,
                "lat": breach.lat,
                "width_m": breach.width_m,
                "sill_m": round(sill, 3),
                "section": str(dikes["name"].iloc[section]),
            }
        )
    if rows:
        run.tables.setdefault("breaches", []).extend(rows)
    run.scenes[level] = replace(
        scene, reach=replace(scene.reach, cuts=tuple(cuts), cap=cap), breached=frozenset(broken)
    )
    made: Scene = run.scenes[level]
    return made


def _opened(run: Run, level: float) -> list[dict[str, Any]]:
    """Detention areas to open: those named, or those whose operation level is reached."""
    frame = run.frame("detention")
    if frame is None:
        raise LayerEmpty(
            "没有蓄滞洪区图层或其中没有要素", "no layer of detention areas, or none in it", layer="detention-areas"
        )
    rows = [dict(row) for _, row in frame.iterrows()]
    names = [str(row["name"]) for row in rows]
    unknown = sorted(set(run.parameters.opened) - set(names))
    if unknown:
        raise InvalidParameter(
            f"没有名为 {unknown} 的蓄滞洪区，可选 {names}",
            f"no detention area is named {unknown}; there are {names}",
            parameter="opened",
            allowed=names,
        )
    if run.parameters.opened:
        return [row for row in rows if row["name"] in run.parameters.opened]
    strange = [
        str(row["name"]) for row in rows if canonical_datum(row.get("datum")) != canonical_datum(run.gauge.datum)
    ]
    if strange:
        raise QualityViolation(
            f"蓄滞洪区 {strange} 的水位基准与测站 {run.gauge.name}（{run.gauge.datum}）不同或未注明，不能比较",
            f"levels of detention areas {strange} have another datum than gauge {run.gauge.name} ({run.gauge.datum}) or none",
            layer="detention-areas",
            reason="datum-missing",
        )
    found = [row for row in rows if row["station"] == run.gauge.name and level >= float(row["operation_m"])]
    if not found:
        run.notes.append(
            Text(
                zh=f"水位 {level:.2f} m 未达到任何蓄滞洪区的运用水位，没有启用",
                en=f"level {level:.2f} m reaches no operation level: no area opened",
            )
        )
    return found


def levels_at_nodes(run: Run, scene: Scene, level: float) -> NDArray[np.float64]:
    """Level at every node for a level at the station; the way there is noted once."""
    place = station_place(run.gauge, scene.rivers, scene.nodes, run.rules, layer=run.parameters.river)
    referred = run.referred(level)
    pairs: dict[int, list[tuple[float, float]]] = {place[0]: [(place[1], referred.level_m)]}
    for name, value in run.parameters.other_levels.items():
        gauge = gauge_of(run.inputs.frames["gauges"], name, layer=run.parameters.gauges)
        river, chainage = station_place(gauge, scene.rivers, scene.nodes, run.rules, layer=run.parameters.river)
        pairs.setdefault(river, []).append((chainage, run.referred(value, gauge).level_m))
    out, said = node_levels(scene.rivers, scene.nodes, pairs, run.rules)
    if "surface" not in {f.id for f in run.factors}:
        run.notes += said
        shift = f"{referred.offset_m:+.3f} ± {referred.uncertainty_m:.2f}"
        run.factor(
            "surface",
            "水面线",
            "Water surface",
            True,
            Text(
                zh=f"{run.gauge.name}，{run.gauge.datum} → {run.terrain.datum}：{shift} m",
                en=f"{run.gauge.name}, {run.gauge.datum} to {run.terrain.datum}: {shift} m",
            ),
            referred.source,
        )
    return out


def waters_of(run: Run) -> Any:
    """Reader of rivers and lakes by the land cover, None without it."""
    land = run.inputs.rasters.get("land")
    if land is None:
        return None
    codes = [c.code for c in land_cover_rules(run.inputs.rules).classes.list if c.group == "water"]
    if "land_use" not in land.bands:
        layer = str(run.parameters.land)
        raise InvalidParameter(
            f"图层 {layer} 没有 land_use 波段（有 {list(land.bands)}）；请换土地利用图层，或设 land 为 null",
            f"layer {layer} has no band land_use (it has {list(land.bands)}); name a layer of land use, or set land to null",
            parameter="land",
            value=layer,
        )
    band = land.bands.index("land_use") + 1
    return lambda row, col, height, width: np.isin(land.read(row, col, height, width, band=band), codes)
