"""Candidates as features (候选要素): fields of the layers, and where each lies: reach, permit, zone, distance to the water."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.shore.candidate_rules import SURFACES, CandidateRules
from analyses.water.shore.shoreline import ShorelineRules
from analyses.water.shore.shoreline_change import CANNOT_SAY, check_zones
from spatial.catalog import Attribute, Text, attribute
from spatial.units import geodesic_areas

if TYPE_CHECKING:
    import geopandas

__all__ = [
    "KINDS",
    "VESSEL_FIELDS",
    "ZONE_VERDICTS",
    "Surroundings",
    "candidate_fields",
    "candidate_style",
    "candidates_frame",
    "subjects",
    "vessel_style",
]

KINDS: dict[str, Text] = {
    "occupation": Text(zh="乱占", en="Unlawful occupation"),
    "extraction": Text(zh="乱采", en="Unlawful extraction"),
    "dumping": Text(zh="乱堆", en="Unlawful dumping"),
    "building": Text(zh="乱建", en="Unlawful building"),
}
_COLOURS = {"occupation": "#d95f02", "extraction": "#7570b3", "dumping": "#a6761d", "building": "#e7298a"}
_SUREST = {"low": Text(zh="低", en="low"), "medium": Text(zh="中", en="medium"), "high": Text(zh="高", en="high")}
_PERMITS = {
    "permitted": Text(zh="有效许可内", en="within a valid permit"),
    "partly": Text(zh="部分在许可内", en="partly within a permit"),
    "expired": Text(zh="许可不在有效期", en="permit not in force"),
    "none": Text(zh="无许可", en="no permit"),
    "unknown": Text(zh="无法判定（没有许可图层）", en="cannot be told: no layer of permits"),
}
ZONE_VERDICTS = {
    "forbidden": Text(zh="不允许", en="forbidden"),
    "review": Text(zh="须论证", en="by review only"),
    "conditional": Text(zh="有条件", en="with conditions"),
    "conform": Text(zh="符合分区", en="conforms to the zone"),
    "touching": Text(zh="边界接触，人工复核", en="touches the border: to be looked at"),
    "undetermined": Text(zh="无法判定", en="cannot be told"),
}
_VESSELS = {
    "staying": Text(zh="驻留（疑似采砂船）", en="staying (candidate of a dredger)"),
    "passing": Text(zh="过往", en="passing"),
    "fixed": Text(zh="固定设施", en="fixed structure"),
}


def subjects(rules: CandidateRules) -> dict[str, Text]:
    """Sub-classes of the candidates: the rows of the table, spoil, dredgers and nets."""
    found = {row.id: row.title for row in rules.table.rows}
    found["spoil"] = Text(zh="采挖弃料", en="spoil of a pit")
    found["dredger"] = Text(zh="驻留船只（疑似采砂船）", en="vessel that stays (candidate of a sand dredger)")
    found["net"] = Text(zh="围网", en="enclosure nets")
    return found


def candidate_fields(rules: CandidateRules, zones: ShorelineRules) -> tuple[Attribute, ...]:
    """Fields of the layer of candidates; the first ones are those that the river chief's desk reads."""
    surfaces = {name: text for name, (_, text) in SURFACES.items()}
    return (
        attribute("candidate", "string", "图斑编号", "Candidate", nullable=False),
        attribute("title", "string", "名称", "Title"),
        attribute("kind", "string", "疑似类型", "Suspected kind", domain=KINDS),
        attribute("subject", "string", "疑似情形", "What it looks like", domain=subjects(rules)),
        attribute("before_date", "date", "前时相", "Before"),
        attribute("after_date", "date", "后时相（首次发现）", "After (first seen)"),
        attribute("last_seen", "date", "最近一次看见", "Last seen"),
        attribute("confirmed", "boolean", "已由两次清晰观测确认", "Confirmed by two clear looks"),
        attribute("looks", "integer", "看见次数", "Looks that show it", "1"),
        attribute("confidence", "string", "可信程度", "Confidence", domain=_SUREST),
        attribute("area_m2", "number", "椭球面积", "Ellipsoidal area", "m2"),
        attribute("surface_before", "string", "此前地表", "Surface before", domain=surfaces),
        attribute("surface_after", "string", "现地表", "Surface now", domain=surfaces),
        attribute("change", "number", "变化量", "Magnitude of the change", "1"),
        attribute("water_edge_m", "number", "距水边线", "Distance to the water's edge", "m"),
        attribute("range", "string", "管理范围", "Management range"),
        attribute("reach", "string", "河段编码", "Code of the reach"),
        attribute("reach_name", "string", "河段", "Reach"),
        attribute("chainage_m", "number", "桩号（米）", "Chainage", "m"),
        attribute("chainage", "string", "桩号", "Chainage as text"),
        attribute("permit", "string", "涉河许可", "Works permit", domain=_PERMITS),
        attribute("permit_number", "string", "许可文号", "Number of the permit"),
        attribute("permit_share", "number", "有效许可覆盖份额", "Share within valid permits", "1"),
        attribute(
            "zone", "string", "岸线分区", "Zone of the shoreline", domain={z.id: z.title for z in zones.zones.list}
        ),
        attribute("zone_verdict", "string", "分区是否允许", "Allowed in the zone", domain=ZONE_VERDICTS),
        attribute("dates", "string", "看见的日期", "Dates on which it is seen"),
        attribute("evidence_zh", "string", "依据（中文）", "Evidence (Chinese)"),
        attribute("evidence_en", "string", "依据（英文）", "Evidence (English)"),
        attribute("scene_collection", "string", "影像集", "Collection of scenes"),
        attribute("scene_before", "string", "前时相影像", "Scene before"),
        attribute("scene_after", "string", "后时相影像", "Scene after"),
    )


VESSEL_FIELDS: tuple[Attribute, ...] = (
    attribute("place", "string", "位置编号", "Place", nullable=False),
    attribute("behaviour", "string", "行为", "Behaviour", domain=_VESSELS),
    attribute("time", "datetime", "时间", "Time", nullable=False),
    attribute("dates", "integer", "该处出现日期数", "Dates at this place", "1"),
    attribute("target_m2", "number", "亮目标面积", "Area of the bright target", "m2"),
    attribute("deviation", "number", "联合偏离", "Joint deviation", "1"),
    attribute("chance", "number", "偶然重合概率", "Probability of coincidence", "1"),
    attribute("scene", "string", "影像", "Scene"),
)


def candidate_style() -> dict[str, Any]:
    """Colour by kind."""
    return {
        "type": "categories",
        "field": "kind",
        "classes": [
            {"value": kind, "title": title.model_dump(), "fill": _COLOURS[kind] + "66", "stroke": _COLOURS[kind], "width": 1.8}
            for kind, title in KINDS.items()
        ],
        "default": {"fill": "#66666666", "stroke": "#666666", "width": 1.6},
    }  # fmt: skip


def vessel_style() -> dict[str, Any]:
    """Colour by behaviour."""
    colours = {"staying": "#d7301f", "passing": "#9ecae1", "fixed": "#525252"}
    return {
        "type": "categories",
        "field": "behaviour",
        "classes": [
            {"value": name, "title": _VESSELS[name].model_dump(), "fill": colour, "stroke": "#ffffff", "radius": 4}
            for name, colour in colours.items()
        ],
        "default": {"fill": "#9ecae1", "stroke": "#ffffff", "radius": 4},
    }


@dataclass(frozen=True)
class Surroundings:
    """Layers beside which a candidate is looked at; None = not given, which makes its answer «cannot be told»."""

    ranges: geopandas.GeoDataFrame
    reaches: geopandas.GeoDataFrame | None
    permits: geopandas.GeoDataFrame | None
    zones: geopandas.GeoDataFrame | None

    def of(
        self, shapes: Sequence[Any], days: Sequence[date], rules: CandidateRules, shore: ShorelineRules
    ) -> list[dict[str, Any]]:
        """Fields of each shape, `days` being the date after."""
        verdicts = check_zones(shapes, self.zones, shore)
        found = []
        for shape, day, zone in zip(shapes, days, verdicts, strict=True):
            verdict = "undetermined" if zone.verdict == CANNOT_SAY else zone.verdict
            found.append(
                {"range": self._range(shape), **self._reach(shape, rules), **self._permit(shape, day, rules)}
                | {"zone": zone.zone, "zone_verdict": verdict, "zone_reason": zone.reason}
            )
        return found

    def _range(self, shape: Any) -> str | None:
        if "name" not in self.ranges.columns:
            return None
        rows = self.ranges.iloc[self.ranges.sindex.query(shape, predicate="intersects")]
        if rows.empty:
            return None
        shared = [float(part.intersection(shape).area) for part in rows.geometry]
        return str(rows["name"].iloc[int(np.argmax(shared))])

    def _reach(self, shape: Any, rules: CandidateRules) -> dict[str, Any]:
        nothing = {"reach": None, "reach_name": None, "chainage_m": None, "chainage": None}
        if self.reaches is None or self.reaches.empty:
            return nothing
        import shapely
        from pyproj import Geod

        geod = Geod(ellps="GRS80")
        point = shapely.point_on_surface(shape)
        # Metres by the local scale of a degree: enough to find the nearest point of a line some kilometres away.
        scale = np.array([np.cos(np.deg2rad(point.y)), 1.0])

        def near(geometry: Any) -> Any:
            return shapely.transform(geometry, lambda xy: xy * scale)

        here = near(point)
        lines = [near(line) for line in self.reaches.geometry]
        place = int(np.argmin([here.distance(line) for line in lines]))
        row = self.reaches.iloc[place]
        part, before_m = _part_nearest(row.geometry, lines[place], here, geod)
        if part is None:
            return nothing
        xy = part
        foot = xy[-1]
        _, _, away = geod.inv(point.x, point.y, foot[0], foot[1])
        if away > rules.change.reach_within_m:
            return nothing
        chainage = float(row["from_m"]) + before_m if "from_m" in row.index else before_m
        return {
            "reach": str(row["code"]) if "code" in row.index else None,
            "reach_name": str(row["name"]) if "name" in row.index else None,
            "chainage_m": round(chainage, 1),
            "chainage": f"K{int(chainage // 1000)}+{int(chainage % 1000):03d}",
        }

    def _permit(self, shape: Any, day: date, rules: CandidateRules) -> dict[str, Any]:
        if self.permits is None:
            return {"permit": "unknown", "permit_number": None, "permit_share": None}
        import shapely

        rows = self.permits.iloc[self.permits.sindex.query(shape, predicate="intersects")]
        area = float(geodesic_areas(np.array([shape]))[0])
        valid: list[Any] = []
        ended: list[Any] = []
        numbers: list[str] = []
        for _, row in rows.iterrows():
            start, end = _day(row.get("valid_from")), _day(row.get("valid_to"))
            holds = (start is None or start <= day) and (end is None or day <= end)
            (valid if holds else ended).append(row.geometry)
            numbers.append(str(row.get("number", "")))
        cover = shapely.intersection(shape, shapely.union_all(valid)) if valid else None
        share = 0.0 if cover is None or cover.is_empty else float(geodesic_areas(np.array([cover]))[0]) / area
        status = "none"
        if share >= rules.change.permit_share:
            status = "permitted"
        elif share > 0:
            status = "partly"
        elif ended:
            status = "expired"
        return {"permit": status, "permit_number": "、".join(numbers) or None, "permit_share": round(share, 4)}


def _part_nearest(line: Any, scaled: Any, here: Any, geod: Any) -> tuple[Any, float]:
    """Vertices of a line up to its point nearest `here`, and their geodesic length, over the parts before it too."""
    import shapely

    passed = 0.0
    best: tuple[float, Any, float] = (np.inf, None, 0.0)
    for part, flat in zip(shapely.get_parts(line), shapely.get_parts(scaled), strict=True):
        if part.geom_type != "LineString":
            continue
        distance = float(here.distance(flat))
        if distance < best[0]:
            share = shapely.line_locate_point(flat, here, normalized=True)
            cut = shapely.get_coordinates(part)
            flat_xy = shapely.get_coordinates(flat)
            along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(flat_xy, axis=0).T))])
            at = share * along[-1]
            keep = cut[along < at]
            foot = np.array([np.interp(at, along, cut[:, 0]), np.interp(at, along, cut[:, 1])])
            xy = np.vstack([keep, foot]) if len(keep) else np.vstack([foot, foot])
            best = (distance, xy, passed + float(geod.line_length(xy[:, 0], xy[:, 1])))
        xy_all = shapely.get_coordinates(part)
        passed += float(geod.line_length(xy_all[:, 0], xy_all[:, 1]))
    return best[1], best[2]


def _day(value: Any) -> date | None:
    import pandas as pd

    if value is None or pd.isna(value):
        return None
    stamp = pd.Timestamp(value)
    return (stamp if stamp.tzinfo is None else stamp.tz_convert("Asia/Shanghai")).date()


def candidates_frame(rows: Sequence[Mapping[str, Any]], fields: tuple[Attribute, ...]) -> geopandas.GeoDataFrame:
    """Rows with the columns of `fields`, numbered and named in their order: 乱建 01 …"""
    import geopandas
    import shapely

    from analyses.water.bodies.geohash import geohash

    names = [field.name for field in fields]
    done = []
    for row in rows:
        point = shapely.point_on_surface(row["geometry"])
        code = f"{row['subject']}-{geohash(point.x, point.y, 9)[0]}"
        where = "".join(str(row[key]) for key in ("reach_name", "chainage") if row.get(key)) or str(
            row.get("range") or ""
        )
        subject = str(row["subject_title"].zh)
        done.append({**row, "candidate": code, "title": f"{where}疑似{KINDS[row['kind']].zh}：{subject}"})
    frame = geopandas.GeoDataFrame(done, columns=[*names, "geometry"], geometry="geometry", crs=4490)
    return frame
