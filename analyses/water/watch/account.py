"""What the water watch tells of itself and its bodies (监测说明): totals, factors, notes, listed waters and lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.delineation import WaterBodies
from analyses.water.bodies.lineage import lineage
from analyses.water.bodies.rules import WaterBodyRules
from analyses.water.bodies.series import BodySeries
from analyses.water.extent.dswx import thresholds_used
from analyses.water.extent.scene_maps import InspectedScene
from analyses.water.occurrence.frequency import FrequencyReport
from analyses.water.watch.parameters import WatchParameters
from spatial.catalog import Text
from spatial.errors import InvalidParameter
from spatial.jobs.contract import Factor, Inputs

if TYPE_CHECKING:
    import geopandas

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["body_rows", "factors", "inherited", "listed_waters", "notes", "totals"]


def totals(
    inspected: Sequence[InspectedScene],
    report: FrequencyReport,
    bodies: WaterBodies,
    rules: WaterExtentRules,
    parameters: WatchParameters,
) -> list[dict[str, Any]]:
    """One row: scenes, days, bodies by kind, thresholds."""
    days = report.observations
    kinds = bodies.frame.groupby("kind")["area_m2"].agg(["count", "sum"]) if len(bodies.frame) else None
    return [
        {
            "collection": parameters.collection,
            "scenes": len(inspected),
            "scenes_used": sum(scene.usable for scene in inspected),
            "observations": len(days),
            "days_merged": len(report.merged),
            "first": days[0].day.isoformat(),
            "last": days[-1].day.isoformat(),
            "clear_share": round(report.clear_share, 4),
            "bodies": len(bodies.frame),
            **{
                f"{kind}_{name}": (int(row["count"]) if name == "count" else round(float(row["sum"]) / 1e6, 4))
                for kind, row in (() if kinds is None else kinds.iterrows())
                for name in ("count", "km2")
            },
            "thresholds": thresholds_used(rules, {}),
        }
    ]


def factors(inputs: Inputs, measured: int, bodies: int) -> tuple[Factor, ...]:
    """What was assessed; `measured` of `bodies` have gauge levels."""
    return (
        Factor(
            "extent",
            Text(zh="水体范围", en="Water extent"),
            True,
            Text(zh="五项投票，三项及以上为水", en="vote of five tests, three or more are water"),
            "OPERA DSWx-HLS",
        ),
        Factor(
            "level",
            Text(zh="水位", en="Water level"),
            measured > 0,
            Text(
                zh=f"{bodies} 个水体中 {measured} 个有水位资料，其余用水位指数",
                en=f"{measured} of {bodies} bodies have gauge levels, the others use the level index",
            ),
            "lake-levels" if "levels" in inputs.frames else "—",
        ),
        Factor(
            "protection",
            Text(zh="湖泊保护线", en="Protection lines of lakes"),
            "protection" in inputs.frames,
            Text(
                zh="面积不减与保护线面积在相同水位下比较；缺则无法判定",
                en="the area is compared with that of the protection line at equal level; cannot be judged without it",
            ),
            "lake-protection-lines" if "protection" in inputs.frames else "—",
        ),
    )


def notes(inspected: Sequence[InspectedScene], report: FrequencyReport, rules: WaterBodyRules) -> tuple[Text, ...]:
    """Scenes used and left out, days merged, thresholds of the bodies."""
    left = [scene for scene in inspected if not scene.usable]
    found = [
        Text(
            zh=f"{len(inspected)} 景中使用 {len(inspected) - len(left)} 景，有效像元份额 {report.clear_share:.1%}",
            en=f"{len(inspected) - len(left)} of {len(inspected)} scenes used, {report.clear_share:.1%} of cell-days seen",
        )
    ]
    if left:
        found.append(
            Text(
                zh="排除的影像：" + "；".join(f"{s.id}（{s.document()['reason_zh']}）" for s in left[:10]),
                en="scenes left out: " + "; ".join(f"{s.id} ({s.document()['reason_en']})" for s in left[:10]),
            )
        )
    if report.merged:
        found.append(
            Text(
                zh=f"{len(report.merged)} 天有多景，已合并（有效优先）",
                en=f"{len(report.merged)} days have several scenes, merged (clear beats masked)",
            )
        )
    found.append(
        Text(
            zh=f"图斑阈值：范围 {rules.bodies.extent_share:.0%}、定位 {rules.bodies.location_share:.0%}，"
            f"最小 {rules.bodies.least_area_m2:g} m²，平均有效次数不少于 {rules.bodies.least_clear:g}",
            en=f"bodies: extent {rules.bodies.extent_share:.0%}, location {rules.bodies.location_share:.0%}, at least "
            f"{rules.bodies.least_area_m2:g} m² and {rules.bodies.least_clear:g} clear observations on average",
        )
    )
    return tuple(found)


def listed_waters(
    lakes: geopandas.GeoDataFrame | None, protection: geopandas.GeoDataFrame | None
) -> geopandas.GeoDataFrame | None:
    """Named lakes, and waters with a protection line that the list lacks, with the columns that `find_bodies` asks for."""
    import geopandas
    import pandas as pd

    parts = []
    if lakes is not None and not lakes.empty and "name" in lakes.columns:
        parts.append(lakes[lakes["name"].notna()])
    if protection is not None and not protection.empty:
        own = protection if "zone" not in protection.columns else protection[protection["zone"] == "protection"]
        known = set(parts[0]["name"]) if parts else set[str]()
        parts.append(own[own["name"].notna() & ~own["name"].isin(known)])
    named = [
        geopandas.GeoDataFrame({"name": part["name"].astype(str)}, geometry=part.geometry, crs=part.crs)
        for part in parts
        if len(part)
    ]
    if not named:
        return None
    found = pd.concat(named, ignore_index=True)
    return geopandas.GeoDataFrame(found.assign(id=[str(i) for i in found.index]), geometry="geometry", crs=named[0].crs)


def inherited(
    bodies: WaterBodies, earlier: geopandas.GeoDataFrame | None, rules: WaterBodyRules
) -> tuple[WaterBodies, list[dict[str, Any]]]:
    """Bodies with the ids of an earlier run (图斑沿革), and the relations that are more than «stayed the same»."""
    if earlier is None or earlier.empty:
        return bodies, []
    if {"body", "area_km2"} - set(earlier.columns):
        raise InvalidParameter(
            "上一次的水体图斑图层缺少字段 body 或 area_km2，请给 water-watch 的 bodies 成果",
            "the layer of earlier bodies lacks body or area_km2; give the bodies of a run of water-watch",
            parameter="earlier",
        )
    before = earlier.rename(columns={"body": "id"}).assign(area_m2=earlier["area_km2"].astype(float) * 1e6)
    found = lineage(before, bodies.frame, rules.lineage)
    links = found.links[found.links["relation"] != "same"]
    rows = [
        {
            "earlier": before_id,
            "body": body_id,
            "relation": relation,
            "overlap_km2": _round(overlap / 1e6),
        }
        for before_id, body_id, relation, overlap in zip(
            links["earlier_id"], links["id"], links["relation"], links["overlap_m2"].astype(float), strict=True
        )
    ]
    return replace(bodies, frame=found.bodies), rows


def body_rows(bodies: WaterBodies, series: Sequence[BodySeries]) -> list[dict[str, Any]]:
    """One row a body with a series: first, last, least and largest area."""
    rows = []
    for one in series:
        row = bodies.frame.iloc[one.number]
        area = one.frame["area_m2"].to_numpy(float) / 1e6
        flags = one.frame["flag"].value_counts().to_dict()
        rows.append(
            {
                "body": one.id,
                "name": one.name,
                "kind": row["kind"],
                "extent_km2": round(float(row["area_m2"]) / 1e6, 4),
                "first_km2": _round(area[0]),
                "last_km2": _round(area[-1]),
                "least_km2": _round(np.nanmin(area)) if np.isfinite(area).any() else None,
                "largest_km2": _round(np.nanmax(area)) if np.isfinite(area).any() else None,
                **{f"dates_{flag}": int(flags.get(flag, 0)) for flag in ("observed", "filled", "prior", "none")},
            }
        )
    return rows


def _round(value: float) -> float | None:
    return round(float(value), 4) if np.isfinite(value) else None
