"""What a rehearsal starts from: gauge, levels and series, rivers and strips, dikes, and what the scenario breaks or opens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.landcover.rules import land_cover_rules
from analyses.masks import burn, scratch_array
from analyses.water.flood.datum import ReferredLevel, canonical_datum, refer_level
from analyses.water.flood.dikes import Breach, DikeCells, breach_cells, crest_cells
from analyses.water.flood.mapping import Reach
from analyses.water.flood.parameters import FloodRehearsalParameters
from analyses.water.flood.reach import Gauge, gauge_of, node_levels, station_place
from analyses.water.flood.rules import FloodRules, Terrain, flood_rules
from analyses.water.flood.series import LevelSeries, check_series
from analyses.water.flood.strips import RiverNodes, nearest_node, river_cells, river_nodes
from analyses.water.flood.warning import flood_grade, low_water_grade
from spatial.catalog import Text
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.grid import cell_areas
from spatial.jobs.contract import Factor, Inputs

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

__all__ = ["Run", "Scene", "at_level", "begin", "grade_levels", "levels_at_nodes", "prepare", "waters_of"]


@dataclass
class Run:
    """What the steps of one run hand on."""

    inputs: Inputs
    parameters: FloodRehearsalParameters
    rules: FloodRules
    terrain: Terrain
    gauge: Gauge
    levels: list[float]
    series: LevelSeries | None
    notes: list[Text] = field(default_factory=list)
    factors: list[Factor] = field(default_factory=list)
    tables: dict[str, Any] = field(default_factory=dict)
    scenes: dict[float, Any] = field(default_factory=dict)
    """Level → scene with the scenario of that level."""

    def frame(self, role: str) -> geopandas.GeoDataFrame | None:
        """Features of an optional role, None where there are none."""
        found = self.inputs.frames.get(role)
        return found if found is not None and len(found) else None

    def factor(self, name: str, zh: str, en: str, assessed: bool, note: Text, source: str) -> None:
        """Say how something entered the result."""
        self.factors.append(Factor(name, Text(zh=zh, en=en), assessed, note, source))

    def referred(self, level: float, gauge: Gauge | None = None) -> ReferredLevel:
        """A level of a gauge in the datum of the terrain."""
        at = gauge or self.gauge
        return refer_level(
            level,
            station=at.name,
            datum=at.datum,
            target=self.terrain.datum,
            offsets=self.rules.offsets.list,
            layer=self.parameters.gauges,
        )


@dataclass
class Scene:
    """Geometry that all levels share."""

    reach: Reach
    nodes: RiverNodes
    rivers: Any
    dikes: Any
    dike_cells: DikeCells | None
    breached: frozenset[int]


def begin(inputs: Inputs, parameters: FloodRehearsalParameters) -> Run:
    """Gauge, levels and series; nothing of the terrain is read yet."""
    rules = flood_rules(inputs.rules)
    terrain = rules.terrains.of(parameters.terrain)
    gauge = gauge_of(inputs.frames["gauges"], parameters.station, layer=parameters.gauges)
    run = Run(inputs, parameters, rules, terrain, gauge, list(parameters.levels_m or ()), None)
    if parameters.forecast is not None:
        run.series = _series(run)
        at = int(np.argmax(run.series.levels_m))
        peak = float(run.series.levels_m[at])
        run.tables["forecast"] = [
            {
                "station": gauge.name,
                "values": len(run.series.times),
                "left_out": len(run.series.flagged),
                "first": run.series.times[0].isoformat(),
                "last": run.series.times[-1].isoformat(),
                "crest_m": peak,
                "crest_time": run.series.times[at].isoformat(),
            }
        ]
        run.tables["series_flags"] = run.series.rows()
        if peak not in run.levels:
            run.levels.append(peak)
    if not run.levels:
        lines = [gauge.row.get(name) for name in ("warning_m", "guarantee_m")]
        run.levels = [float(v) for v in lines if v is not None and v == v]
        if not run.levels:
            raise InvalidParameter(
                f"测站 {gauge.name} 没有警戒、保证水位，请给出 levels_m",
                f"gauge {gauge.name} has no warning or guarantee level; give levels_m",
                parameter="levels_m",
            )
    run.levels.sort()
    return run


def _series(run: Run) -> LevelSeries:
    """The series of the station, checked."""
    layer = str(run.parameters.forecast)
    frame = run.inputs.frames["forecast"]
    missing = [c for c in ("station", "time", "level_m") if c not in frame.columns]
    if missing:
        raise QualityViolation(
            f"序列图层 {layer} 缺字段 {missing}", f"series layer {layer} lacks the fields {missing}", layer=layer
        )
    mine = frame[frame["station"] == run.gauge.name]
    rule = run.rules.series
    low, high = run.gauge.row.get("alert_m"), run.gauge.row.get("guarantee_m")
    plausible = None
    if low is not None and high is not None and low == low and high == high:
        plausible = (float(low) - rule.below_alert_m, float(high) + rule.above_guarantee_m)
    times = [t.to_pydatetime() if hasattr(t, "to_pydatetime") else t for t in mine["time"]]
    times = [t if isinstance(t, datetime) and t == t else None for t in times]
    found = check_series(run.gauge.name, times, mine["level_m"].tolist(), rule, plausible_m=plausible)
    if not found.times:
        raise QualityViolation(
            f"序列图层 {layer} 中测站 {run.gauge.name} 没有可用的值（{len(found.flagged)} 个被剔除，例如缺时区、缺测）",
            f"series layer {layer} has no usable value of gauge {run.gauge.name} ({len(found.flagged)} left out, "
            "for want of a time zone or a value)",
            layer=layer,
            flags=sorted({flag for _, flag, _ in found.flagged}),
        )
    if found.flagged:
        kinds = ", ".join(sorted({flag for _, flag, _ in found.flagged}))
        run.notes.append(
            Text(
                zh=f"水位序列剔除 {len(found.flagged)} 个可疑值（{kinds}），见 series_flags",
                en=f"{len(found.flagged)} doubtful values of the series left out ({kinds}), see series_flags",
            )
        )
    return found


def grade_levels(run: Run) -> None:
    """Grade of every level (预警), and low water."""
    rows = []
    for level in run.levels:
        grade = flood_grade(level, run.gauge.row, run.rules.warning)
        low = low_water_grade(level, run.gauge.name, run.rules.low_water)
        rows.append({"station": run.gauge.name, "level_m": level, **grade, "low_water": low["grade"]})
    if run.series is not None:
        for row in rows:
            above = [t for t, v in zip(run.series.times, run.series.levels_m, strict=True) if v >= row["level_m"]]
            row["first_reached"] = above[0].isoformat() if above else None
    run.tables["warning"] = rows
    assessed = any(row["low_water"] is not None for row in rows)
    run.factor(
        "low_water",
        "旱限与生态水位",
        "Low water",
        assessed,
        Text(zh="按规则分级", en="graded by the rules")
        if assessed
        else Text(
            zh=f"规则中没有 {run.gauge.name} 的旱限、生态水位", en=f"the rules have no low levels of {run.gauge.name}"
        ),
        run.rules.low_water.source,
    )


def prepare(run: Run, block: int) -> Scene:
    """Nodes, strips, dikes, cuts."""
    inputs, parameters, rules = run.inputs, run.parameters, run.rules
    shape = inputs.grid.shape.yx
    affine = inputs.grid.affine
    rivers = inputs.frames["river"].reset_index(drop=True)
    if not len(rivers):
        raise LayerEmpty(
            f"河道图层 {parameters.river} 没有要素", f"layer {parameters.river} has no feature", layer=parameters.river
        )
    nodes = river_nodes(
        rivers.geometry.array, rivers["from_km"] * 1000.0, rivers["to_km"] * 1000.0, step_m=rules.surface.node_step_m
    )
    seeds = river_cells(nodes, affine, shape)
    dtype = np.uint16 if nodes.size < 65535 else np.int32
    strip = scratch_array(inputs.scratch, "strips", shape, dtype)

    def put(top: int, rows: Any) -> None:
        strip[top : top + rows.shape[0]] = rows

    nearest_node(
        seeds, affine, shape, limit_m=rules.surface.strip_limit_m, put=put, dtype=dtype, threads=inputs.threads
    )
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
    return Scene(reach, nodes, rivers, dikes, crest, frozenset())


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
