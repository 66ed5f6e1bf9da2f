"""Rows of the layer of candidates (候选图斑要素): from patches, from vessels that stay, from nets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.shore.candidate_features import Surroundings, subjects
from analyses.water.shore.candidate_rules import SURFACES, WATER, CandidateRules
from analyses.water.shore.patches import cell_polygons
from analyses.water.shore.radar_looks import cell_sides
from spatial.catalog import Text

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

    from analyses.water.extent.scene_maps import InspectedScene
    from analyses.water.shore.enclosure_nets import NetPatch
    from analyses.water.shore.patches import Patch
    from analyses.water.shore.radar_looks import RadarSearch
    from analyses.water.shore.shoreline import ShorelineRules

    Days = Sequence[tuple[InspectedScene, ...]]

__all__ = ["net_rows", "patch_rows", "vessel_candidates", "vessels_frame"]

_NAMES = {code: name for name, (code, _) in SURFACES.items()}
_TITLES = dict(SURFACES.values())
_EDGE_CELLS = 120
"""The water's edge is looked for this far around a patch; farther is «not known»."""


def _with_place(
    rows: list[dict[str, Any]], around: Surroundings, rules: CandidateRules, shore: ShorelineRules
) -> list[dict[str, Any]]:
    titles = subjects(rules)
    places = around.of([row["geometry"] for row in rows], [row["after_date"] for row in rows], rules, shore)
    done = []
    for row, place in zip(rows, places, strict=True):
        zone: Text = place.pop("zone_reason")
        row = row | place | {"subject_title": titles[row["subject"]]}
        row["evidence_zh"] += f"；岸线分区：{zone.zh}"
        row["evidence_en"] += f"; zone: {zone.en}"
        done.append(row)
    return done


def patch_rows(
    patches: Sequence[Patch],
    found: Mapping[str, NDArray[Any]],
    days: Days,
    grid: GeoBox,
    around: Surroundings,
    rules: CandidateRules,
    shore: ShorelineRules,
    collection: str,
) -> list[dict[str, Any]]:
    """Candidates of the four kinds."""
    rows = []
    for patch in patches:
        after = days[patch.first][0]
        before = days[patch.normal][0] if patch.normal >= 0 else None
        last = days[patch.last][0]
        was, now = _TITLES[patch.before], _TITLES[patch.after]
        confidence = "low"
        if patch.confirmed:
            confidence = "high" if patch.magnitude >= 2 * rules.change.least and patch.looks >= 3 else "medium"
        since = "未见" if before is None else before.time.date().isoformat()
        rows.append(
            {
                "kind": patch.kind,
                "subject": patch.subject,
                "before_date": None if before is None else before.time.date(),
                "after_date": after.time.date(),
                "last_seen": last.time.date(),
                "confirmed": patch.confirmed,
                "looks": patch.looks,
                "confidence": confidence,
                "area_m2": round(patch.area_m2, 1),
                "surface_before": _NAMES[patch.before],
                "surface_after": _NAMES[patch.after],
                "change": round(patch.magnitude, 3),
                "water_edge_m": _water_edge(patch, found, grid),
                "dates": None,
                "evidence_zh": f"{was.zh}→{now.zh}，变化量 {patch.magnitude:.1f}，{patch.looks} 次观测，"
                f"{after.time.date()} 首见，"
                f"最后一次如常 {since}" + ("" if patch.confirmed else "；仅一次清晰观测，未确认"),
                "evidence_en": f"{was.en} → {now.en}, magnitude {patch.magnitude:.1f}, {patch.looks} looks, first on "
                f"{after.time.date()}, last as usual on {'none' if before is None else since}"
                + ("" if patch.confirmed else "; one clear look only, not confirmed"),
                "scene_collection": collection,
                "scene_before": "" if before is None else before.id,
                "scene_after": after.id,
                "geometry": patch.shape,
            }
        )
    return _with_place(rows, around, rules, shore)


def _water_edge(patch: Patch, found: Mapping[str, NDArray[Any]], grid: GeoBox) -> float | None:
    """Least distance of its cells to a cell that was usually water before, m; 0 in the water, None if there is none near."""
    from scipy import ndimage

    usual = found["before"]
    height, width = patch.cells.shape
    top, left = max(patch.row0 - _EDGE_CELLS, 0), max(patch.col0 - _EDGE_CELLS, 0)
    bottom, right = patch.row0 + height + _EDGE_CELLS, patch.col0 + width + _EDGE_CELLS
    water = np.asarray(usual[top:bottom, left:right]) == WATER
    if not water.any():
        return None
    distance = ndimage.distance_transform_edt(~water, sampling=cell_sides(grid))
    here = distance[patch.row0 - top : patch.row0 - top + height, patch.col0 - left : patch.col0 - left + width]
    return round(float(here[patch.cells].min()), 1)


def _empty() -> dict[str, Any]:
    return {"before_date": None, "surface_before": None, "surface_after": None, "change": None, "water_edge_m": 0.0,
            "scene_before": ""}  # fmt: skip


def _lonlat(x_m: float, y_m: float, grid: GeoBox) -> tuple[float, float]:
    height, width = cell_sides(grid)
    a = grid.affine
    return a.c + x_m / width * a.a, a.f - y_m / height * a.e


def vessel_candidates(
    radar: RadarSearch | None,
    grid: GeoBox,
    around: Surroundings,
    rules: CandidateRules,
    shore: ShorelineRules,
    collection: str | None,
) -> list[dict[str, Any]]:
    """Places at which vessels stay; passing and fixed ones are in the layer of vessels only."""
    import shapely

    from analyses.water.shore.corridor_change import geodesic_buffer
    from spatial.units import geodesic_areas

    if radar is None:
        return []
    rows = []
    for place in radar.places:
        if place.kind != "staying":
            continue
        zone = geodesic_buffer(shapely.Point(*_lonlat(place.x_m, place.y_m, grid)), max(40.0, 2 * place.spread_m))
        dates = [radar.times[k].date() for k in place.looks]
        listed = "、".join(day.isoformat() for day in dates)
        confidence = "medium" if len(dates) >= 5 else "low"
        rows.append(
            _empty()
            | {
                "kind": "extraction",
                "subject": "dredger",
                "after_date": dates[0],
                "last_seen": dates[-1],
                "confirmed": False,
                "looks": len(dates),
                "confidence": confidence,
                "area_m2": round(float(geodesic_areas(np.array([zone]))[0]), 1),
                "dates": listed,
                "evidence_zh": f"雷达 {radar.looks} 次中 {len(dates)} 次在同一处（离散 {place.spread_m:.0f} m）有亮目标，"
                f"过往船只偶然重合的概率 {place.chance:.2g}；停泊货船亦如此，须现场核实",
                "evidence_en": f"bright target at one place (spread {place.spread_m:.0f} m) in {len(dates)} of {radar.looks} "
                f"radar looks, probability of coincidence {place.chance:.2g}; a cargo ship at anchor looks the same",
                "scene_collection": collection or "",
                "scene_after": radar.ids[place.looks[0]],
                "geometry": zone,
            }
        )
    return _with_place(rows, around, rules, shore) if rows else []


def net_rows(
    nets: Sequence[NetPatch],
    days: Days,
    grid: GeoBox,
    cell_m2: NDArray[np.float64],
    around: Surroundings,
    rules: CandidateRules,
    shore: ShorelineRules,
    collection: str,
) -> list[dict[str, Any]]:
    """Water that looks netted."""
    rows = []
    first, last = days[0][0], days[-1][0]
    for net in nets:
        zh, en = ("正交网格", "orthogonal grid") if net.pattern == "grid" else ("平行行列", "parallel rows")
        area = float((net.cells.sum(axis=1) * cell_m2[net.row0 : net.row0 + net.cells.shape[0]]).sum())
        rows.append(
            _empty()
            | {
                "kind": "occupation",
                "subject": "net",
                "after_date": last.time.date(),
                "last_seen": last.time.date(),
                "confirmed": net.looks >= 2,
                "looks": round(net.persist * net.looks),
                "confidence": "medium" if net.pattern == "grid" else "low",
                "area_m2": round(area, 1),
                "dates": None,
                "evidence_zh": f"湖面线状纹理成{zh}：{net.lines[0]} 条沿 {net.direction_deg:.0f}°、{net.lines[1]} 条与之正交，"
                f"{first.time.date()} 以来 {net.looks} 次观测中 {net.persist:.0%} 可见",
                "evidence_en": f"lines on the lake form a {en}: {net.lines[0]} along {net.direction_deg:.0f}°, {net.lines[1]} "
                f"across, in {net.persist:.0%} of {net.looks} looks since {first.time.date()}",
                "scene_collection": collection,
                "scene_after": last.id,
                "geometry": cell_polygons(net.cells, net.row0, net.col0, grid.affine),
            }
        )
    return _with_place(rows, around, rules, shore) if rows else []


def vessels_frame(radar: RadarSearch, grid: GeoBox) -> geopandas.GeoDataFrame:
    """One point a target and date."""
    import geopandas
    import pandas as pd
    import shapely

    rows = []
    for number, place in enumerate(radar.places, start=1):
        for target in place.targets:
            rows.append(
                {
                    "place": f"{place.kind}-{number:03d}",
                    "behaviour": place.kind,
                    "time": radar.times[target.look],
                    "dates": len(place.looks),
                    "target_m2": round(target.area_m2, 1),
                    "deviation": round(target.deviation, 2),
                    "chance": float(f"{place.chance:.3g}"),
                    "scene": radar.ids[target.look],
                    "geometry": shapely.Point(*_lonlat(target.x_m, target.y_m, grid)),
                }
            )
    frame = geopandas.GeoDataFrame(rows, crs=4490)
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    return frame
