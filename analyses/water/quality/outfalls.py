"""Outfalls above sections, and drinking-water sources with their protection (入河排污口、饮用水水源地).

Upstream is told by chainage (桩号) along the reaches of the same river; in a lake every outfall counts, without a direction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Attribute, Text

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from analyses.water.quality.station_rules import InfluenceRule
    from spatial.jobs.contract import Outputs

__all__ = ["Chainage", "chainages", "outfall_rows", "source_rows", "write_sources"]


@dataclass(frozen=True)
class Chainage:
    """The line of a river with the chainage of its vertices, m, rising downstream."""

    xy: NDArray[np.float64]
    """(n, 2) longitude and latitude."""
    metres: NDArray[np.float64]
    """(n,)"""

    def at(self, lon: float, lat: float) -> tuple[float, float]:
        """Chainage of the nearest place of the line, and the distance to it, both m.

        Examples
        --------
        >>> line = Chainage(np.array([[114.0, 30.0], [114.1, 30.0]]), np.array([0.0, 9648.0]))
        >>> [round(v) for v in line.at(114.05, 30.001)]
        [4824, 111]
        """
        from pyproj import Geod

        scale = np.array([np.cos(np.deg2rad(lat)), 1.0])
        a, b = self.xy[:-1] * scale, self.xy[1:] * scale
        p = np.array([lon, lat]) * scale
        along = b - a
        length = np.maximum((along * along).sum(axis=1), 1e-30)
        share = np.clip(((p - a) * along).sum(axis=1) / length, 0.0, 1.0)
        near = a + share[:, np.newaxis] * along
        k = int(((p - near) ** 2).sum(axis=1).argmin())
        chainage = self.metres[k] + share[k] * (self.metres[k + 1] - self.metres[k])
        x, y = near[k] / scale
        return float(chainage), float(Geod(ellps="GRS80").inv(lon, lat, x, y)[2])


def chainages(reaches: geopandas.GeoDataFrame | None) -> dict[str, Chainage]:
    """River → its line with chainage, out of a register of reaches (``water``, ``kind``, ``from_m``, ``to_m``)."""
    import shapely

    if reaches is None or not {"water", "from_m", "to_m"} <= set(reaches.columns):
        return {}
    rows = reaches[reaches.geometry.geom_type == "LineString"]
    if "kind" in rows.columns:
        rows = rows[rows["kind"] == "river"]
    found = {}
    for water, part in rows.groupby("water", sort=True):
        xy, metres = [], []
        for _, row in part.sort_values("from_m").iterrows():
            points = shapely.get_coordinates(row[part.geometry.name])
            step = _lengths(points)
            share = np.concatenate([[0.0], np.cumsum(step)]) / max(float(step.sum()), 1e-9)
            xy.append(points)
            metres.append(float(row["from_m"]) + share * (float(row["to_m"]) - float(row["from_m"])))
        if xy:
            found[str(water)] = Chainage(np.concatenate(xy), np.concatenate(metres))
    return found


def _lengths(points: NDArray[np.float64]) -> NDArray[np.float64]:
    from pyproj import Geod

    a, b = points[:-1], points[1:]
    return np.asarray(Geod(ellps="GRS80").inv(a[:, 0], a[:, 1], b[:, 0], b[:, 1])[2], dtype=np.float64)


def _value(row: Any, name: str) -> Any:
    value = row.get(name)
    return None if value is None or value != value else value


def outfall_rows(
    sections: Mapping[str, tuple[str | None, bool, Any]],
    outfalls: geopandas.GeoDataFrame,
    rivers: Mapping[str, Chainage],
    rule: InfluenceRule,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Outfalls that act on each section (断面上游排污口).

    Parameters
    ----------
    sections : mapping
        Section → water body, whether it is of a lake, its place.
    outfalls : GeoDataFrame
        ``name``, ``water_body``; ``kind``, ``status``, ``permitted``, ``flow_m3_d`` where known.

    Returns
    -------
    rows, sections
        One row a section and outfall: ``km`` downstream of the outfall (None in a lake); and the river sections that could
        not be judged because their river has no reaches.
    """
    rows, unknown = [], []
    placed = [(row, row[outfalls.geometry.name].representative_point()) for _, row in outfalls.iterrows()]
    for station in sorted(sections):
        body, lake, place = sections[station]
        mine = [(row, point) for row, point in placed if body is not None and _value(row, "water_body") == body]
        line = None if lake or body is None else rivers.get(body)
        if not lake and line is None:
            unknown.append(station)
            continue
        here = None if line is None else line.at(place.x, place.y)[0]
        for row, point in mine:
            km = None
            if line is not None and here is not None:
                km = (here - line.at(point.x, point.y)[0]) / 1000
                if not 0 <= km <= rule.downstream_km:
                    continue
            rows.append(
                {
                    "station": station,
                    "body": body,
                    "outfall": str(row["name"]),
                    "kind": _value(row, "kind"),
                    "status": _value(row, "status"),
                    "permitted": None if _value(row, "permitted") is None else bool(row["permitted"]),
                    "flow_m3_d": None if _value(row, "flow_m3_d") is None else float(row["flow_m3_d"]),
                    "km": None if km is None else round(km, 3),
                }
            )
    return sorted(rows, key=lambda r: (r["station"], r["km"] if r["km"] is not None else 0.0, r["outfall"])), unknown


def source_rows(
    sources: geopandas.GeoDataFrame,
    sections: Mapping[str, tuple[str | None, bool, Any]],
    classes: Mapping[str, int | None],
    outfalls: geopandas.GeoDataFrame | None,
    rule: InfluenceRule,
) -> list[dict[str, Any]]:
    """Protection and quality of each drinking-water source (水源地保护状况).

    The zone is known by its area alone: an outfall within the circle of that area is a suspicion, which the delimited zone
    must decide. Quality is that of the nearest section within `rule.section_km`; without one it is not judged. Groundwater
    has no section.
    """
    from pyproj import Geod

    geod = Geod(ellps="GRS80")
    found = []
    points = (
        []
        if outfalls is None
        else [(r, r[outfalls.geometry.name].representative_point()) for _, r in outfalls.iterrows()]
    )
    for _, row in sources.iterrows():
        place = row[sources.geometry.name].representative_point()
        zone = _value(row, "zone_km2")
        delimited = zone is not None and float(zone) > 0
        radius = float(np.sqrt(float(zone) / np.pi) * 1000) if delimited else None
        inside = None
        if radius is not None and outfalls is not None:
            inside = [str(r["name"]) for r, p in points if geod.inv(place.x, place.y, p.x, p.y)[2] <= radius]
        near = []
        if _value(row, "kind") != "groundwater":
            near = [(geod.inv(place.x, place.y, p.x, p.y)[2] / 1000, name) for name, (_, _, p) in sections.items()]
        km, section = min(near, default=(np.inf, ""))
        close = km <= rule.section_km
        code = classes.get(section) if close else None
        target = _value(row, "target_class")
        found.append(
            {
                "source": str(row["name"]),
                "kind": _value(row, "kind"),
                "population_10k": None if _value(row, "population_10k") is None else float(row["population_10k"]),
                "zone_km2": None if zone is None else float(zone),
                "protection": "delimited" if delimited else "none",
                "outfalls_inside": None if inside is None else len(inside),
                "outfalls": None if inside is None else "、".join(inside),
                "section": section if close else None,
                "section_km": round(km, 3) if close else None,
                "class": code,
                "target": None if target is None else int(target),
                "quality": None if code is None or target is None else code <= int(target),
                "place": place,
            }
        )
    return found


_PROTECTION = {
    "delimited": Text(zh="已划定保护区", en="zone delimited"),
    "none": Text(zh="未划定保护区", en="no zone delimited"),
}


def write_sources(outputs: Outputs, rows: Sequence[Mapping[str, Any]]) -> None:
    """One point a source."""
    import geopandas
    import pandas

    if not rows:
        return
    frame = pandas.DataFrame([{k: v for k, v in row.items() if k != "place"} for row in rows]).astype(
        {
            "outfalls_inside": "Int64",
            "class": "Int64",
            "target": "Int64",
            "quality": "boolean",
            "section_km": "Float64",
            "zone_km2": "Float64",
            "population_10k": "Float64",
        }
    )
    state = ["risk" if row["outfalls_inside"] else ("none" if row["protection"] == "none" else "fine") for row in rows]
    states = {
        "fine": (Text(zh="已划定，未见排污口", en="delimited, no outfall seen"), "#2e7d32"),
        "risk": (Text(zh="疑有排污口在保护区内", en="outfall suspected inside"), "#c62828"),
        "none": (Text(zh="未划定保护区", en="not delimited"), "#f9a825"),
    }
    fields = (
        ("source", "string", "水源地", "Source", None),
        ("kind", "string", "类型", "Kind", None),
        ("population_10k", "number", "服务人口", "People served", "万人"),
        ("zone_km2", "number", "保护区面积", "Area of the zone", "km2"),
        ("outfalls_inside", "integer", "疑在保护区内的排污口", "Outfalls suspected inside", None),
        ("outfalls", "string", "排污口名称", "Names of outfalls", None),
        ("section", "string", "最近断面", "Nearest section", None),
        ("section_km", "number", "到断面距离", "Distance to the section", "km"),
        ("class", "integer", "断面水质类别", "Class of the section", None),
        ("target", "integer", "目标水质", "Target class", None),
        ("quality", "boolean", "水质达标", "Target reached", None),
    )
    outputs.features(
        "sources",
        geopandas.GeoDataFrame(
            frame.assign(state=state, spot=geopandas.GeoSeries([row["place"] for row in rows], crs=4490)),
            geometry="spot",
        ),
        fields=(
            Attribute(
                name="protection", type="string", title=Text(zh="保护区", en="Protection zone"), domain=_PROTECTION
            ),
            Attribute(
                name="state",
                type="string",
                title=Text(zh="保护状况", en="State of protection"),
                domain={k: t for k, (t, _) in states.items()},
            ),
            *(
                Attribute(name=n, type=t, title=Text(zh=zh, en=en), **({"unit": u} if u else {}))
                for n, t, zh, en, u in fields
            ),
        ),
        title=Text(zh="饮用水水源地保护状况", en="Protection of drinking-water sources"),
        style={
            "type": "categories",
            "field": "state",
            "classes": [
                {"value": k, "title": t.model_dump(), "fill": c, "stroke": "#ffffff", "width": 1.0, "radius": 5.0}
                for k, (t, c) in states.items()
            ],
            "default": {"fill": "#9e9e9e", "stroke": "#ffffff", "width": 1.0, "radius": 5.0},
            "label": {"field": "source", "min_zoom": 9},
        },
        class_field="state",
    )
