"""Figures of a site out of published layers (监测数字): water area, wetland, belts, birds, alerts; «not assessed» without."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from analyses.water.riparian.observations import season_of, species_counts
from spatial.catalog import Text
from spatial.errors import SpatialError
from spatial.scenes.collection import collection_ids, open_collection
from spatial.store.vector import ItemQuery, PublishedTable
from spatial.wetland.sites import table_of

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore
    from spatial.wetland.rules import SiteRules
    from spatial.wetland.sites import Place, Site

__all__ = ["Used", "alerts", "birds", "collections_of", "vegetation", "water_area", "wetland_area"]

_MOST_ALERTS = 100


@dataclass
class Used:
    """Layers that a page drew on, for its links and its mark of synthetic data."""

    layers: dict[str, Layer] = field(default_factory=dict)

    def add(self, layer: Layer) -> None:
        """Note a layer."""
        self.layers[layer.id] = layer

    @property
    def synthetic(self) -> list[Layer]:
        """Those that are made, not observed."""
        return [layer for layer in self.layers.values() if layer.synthetic is not None]


def _newest(datastore: DataStore, analysis: str, part: str) -> Iterator[PublishedTable]:
    """Result layers of an analysis, the newest first."""
    snapshot = datastore.snapshot()
    wanted = re.compile(rf"^{analysis}-[0-9a-f]{{8}}-{part}$")
    names = [name for name in snapshot.times if wanted.match(name) and name in snapshot.catalog]
    for name in sorted(names, key=lambda one: snapshot.times[one], reverse=True):
        table = table_of(snapshot, name)
        if table is not None:
            yield table


def _head(datastore: DataStore, table: PublishedTable, used: Used) -> dict[str, Any]:
    used.add(table.layer)
    return {
        "layer": table.layer.id,
        "version": table.version,
        "published": datastore.snapshot().times[table.layer.id].isoformat()[:10],
        "synthetic": table.layer.synthetic is not None,
    }


def _number(value: Any, digits: int = 4) -> float | None:
    import pandas as pd

    return None if value is None or pd.isna(value) else round(float(value), digits)


def _text(value: Any) -> str | None:
    import pandas as pd

    return None if value is None or pd.isna(value) else str(value)


def collections_of(datastore: DataStore, place: Place) -> list[dict[str, Any]]:
    """Collections of scenes that cover the place, the best first; one that cannot be read is passed over."""
    import shapely

    found = []
    folder = datastore.settings.scenes_dir
    for name in collection_ids(folder):
        try:
            collection = open_collection(folder, name)
        except SpatialError:
            continue
        box = shapely.box(*collection.bbox)
        share = shapely.intersection(box, place.shape).area / place.shape.area
        if share > 0:
            found.append(
                {
                    "id": name,
                    "title": collection.layer.display_title().model_dump(),
                    "count": len(collection.items),
                    "first": collection.items[0].time.date().isoformat(),
                    "last": collection.items[-1].time.date().isoformat(),
                    "share": round(float(share), 3),
                }
            )
    return sorted(found, key=lambda one: (-one["share"], one["id"]))


def _not_assessed(
    site: Site, collections: Sequence[dict[str, Any]], command: str, *, what: tuple[str, str]
) -> dict[str, Any]:
    """Why there is no figure, and what to run."""
    if not site.waters:
        reason = Text(
            zh=f"水体图层中没有这处湿地的轮廓，{what[0]}无法评价",
            en=f"the layer of waters has no outline of this site, so {what[1]} cannot be assessed",
        )
        return {"assessed": False, "reason": reason.model_dump(), "run": None}
    if not collections:
        reason = Text(
            zh=f"没有覆盖这处湿地的影像集，{what[0]}未评价；请用 onemap scenes 添加影像后运行",
            en=f"no collection of scenes covers this site, {what[1]}: not assessed; add scenes with onemap scenes, then run",
        )
        collection = "<影像集 collection>"
    else:
        reason = Text(zh=f"{what[0]}未评价；请运行", en=f"{what[1]}: not assessed; run")
        collection = collections[0]["id"]
    run = command.format(collection=collection, water=site.waters[0])
    return {"assessed": False, "reason": reason.model_dump(), "run": run}


def water_area(
    datastore: DataStore, rules: SiteRules, site: Site, collections: Sequence[dict[str, Any]], used: Used
) -> dict[str, Any]:
    """Series of the water area (水面面积) of the waters of a site from the newest watch that saw them."""
    import pandas as pd

    for table in _newest(datastore, "water-watch", "series") if site.waters else ():
        frame = datastore.vectors.frame(table)
        rows = frame[frame["name"].isin(site.waters) & frame["area_km2"].notna()].sort_values("time")
        if rows.empty:
            continue
        # A lake that fell apart has several bodies of its name: its area is theirs together.
        series: list[dict[str, Any]] = []
        for moment, part in rows.groupby("time", sort=True):
            flags = sorted(set(part["flag"].dropna()))
            series.append(
                {
                    "time": pd.Timestamp(moment).isoformat()[:10],
                    "area_km2": _number(part["area_km2"].sum(), 3),
                    "low_km2": _number(part["area_low_km2"].sum(min_count=len(part)), 3),
                    "high_km2": _number(part["area_high_km2"].sum(min_count=len(part)), 3),
                    "flag": flags[0] if len(flags) == 1 else "mixed",
                    "level_m": _number(part["level_m"].max(), 2),
                }
            )
        observed = [row for row in series if row["flag"] == "observed"]
        return {
            "assessed": True,
            **_head(datastore, table, used),
            "waters": sorted(set(rows["name"])),
            "latest": series[-1],
            "latest_observed": observed[-1] if observed else None,
            "least_km2": min(row["area_km2"] for row in series),
            "most_km2": max(row["area_km2"] for row in series),
            "series": series,
        }
    return _not_assessed(site, collections, rules.runs.water, what=("水面面积", "the area of water"))


def wetland_area(
    datastore: DataStore, rules: SiteRules, site: Site, collections: Sequence[dict[str, Any]], used: Used
) -> dict[str, Any]:
    """Verdict on the area and the integrity (湿地面积与完整性) from the newest result of the site."""
    for table in _newest(datastore, "wetland-integrity", "site") if site.waters else ():
        frame = datastore.vectors.frame(table)
        rows = frame[frame["site"].isin(site.waters)]
        if rows.empty:
            continue
        row = rows.iloc[0]
        found: dict[str, Any] = {"assessed": True, **_head(datastore, table, used)}
        for attribute in table.layer.fields:
            value = row[attribute.name]
            found[attribute.name] = _number(value) if attribute.type in {"number", "integer"} else _text(value)
        verdict = next(f for f in table.layer.fields if f.name == "verdict").domain or {}
        title = verdict.get(str(row["verdict"]))
        found["verdict_title"] = None if title is None else title.model_dump()
        return found
    return _not_assessed(site, collections, rules.runs.wetland, what=("湿地面积与完整性", "area and integrity"))


def vegetation(
    datastore: DataStore, rules: SiteRules, site: Site, collections: Sequence[dict[str, Any]], used: Used
) -> dict[str, Any]:
    """Belts along the shore (滨岸带植被): area, vegetated share and how much of it greens or browns, by belt."""
    for table in _newest(datastore, "riparian-vegetation", "belts") if site.waters else ():
        frame = datastore.vectors.frame(table)
        rows = frame[frame["site"].isin(site.waters)]
        if rows.empty:
            continue
        belts = []
        for belt, part in sorted(rows.groupby("belt"), key=lambda one: float(str(one[0]).split("-")[0])):
            area = float(part["area_m2"].sum())

            def mean(name: str, part: Any = part) -> float | None:
                known = part[part[name].notna()]
                weight = float(known["area_m2"].sum())
                return _number((known[name] * known["area_m2"]).sum() / weight, 4) if weight > 0 else None

            directions = part["direction"].value_counts()
            belts.append(
                {
                    "belt": str(belt),
                    "area_hm2": round(area / 1e4, 1),
                    "reaches": len(part),
                    "vegetated_share": mean("vegetated_share"),
                    "greening_share": mean("greening_share"),
                    "browning_share": mean("browning_share"),
                    "reaches_greening": int(directions.get("greening", 0)),
                    "reaches_browning": int(directions.get("browning", 0)),
                    "reaches_not_assessed": int(directions.get("not_assessed", 0)),
                }
            )
        return {"assessed": True, **_head(datastore, table, used), "belts": belts}
    return _not_assessed(site, collections, rules.runs.vegetation, what=("滨岸带植被", "vegetation of the shore"))


def birds(datastore: DataStore, rules: SiteRules, site: Site, used: Used) -> dict[str, Any]:
    """Species and counts by season (鸟类观测) of a site; places are as general as the layer gives them."""
    table = table_of(datastore.snapshot(), rules.layers.birds)
    if table is None:
        reason = Text(
            zh=f"图层 {rules.layers.birds} 未发布；请运行 onemap layers publish {rules.layers.birds}",
            en=f"layer {rules.layers.birds} is not published; run onemap layers publish {rules.layers.birds}",
        )
        return {"assessed": False, "reason": reason.model_dump(), "run": f"onemap layers publish {rules.layers.birds}"}
    frame = datastore.vectors.frame(table)
    rows = frame[frame["site"] == site.name]
    if rows.empty:
        reason = Text(zh="没有这处的观测记录", en="no observation of this site")
        return {"assessed": False, "reason": reason.model_dump(), "run": None}
    records = []
    for row in rows.drop(columns="geometry").to_dict("records"):
        day = row["event_date"]
        day = (
            day.date() if hasattr(day, "date") else day if isinstance(day, date) else date.fromisoformat(str(day)[:10])
        )
        records.append(
            row | {"event_date": day, "survey": day.isoformat(), "protection_grade": _text(row["protection_grade"])}
        )
    species = species_counts(records)
    seasons: dict[tuple[int, str], dict[str, Any]] = {}
    for record in records:
        season, year = season_of(record["event_date"])
        held = seasons.setdefault(
            (year, season), {"year": year, "season": season, "surveys": set(), "names": set(), "by_survey": {}}
        )
        held["surveys"].add(record["survey"])
        held["names"].add(record["scientific_name"])
        held["by_survey"][record["survey"]] = held["by_survey"].get(record["survey"], 0) + record["individual_count"]
    order = ("winter", "spring", "summer", "autumn")
    by_season = [
        {
            "year": year,
            "season": season,
            "surveys": len(held["surveys"]),
            "species": len(held["names"]),
            "most_individuals": int(max(held["by_survey"].values())),
        }
        for (year, season), held in sorted(seasons.items(), key=lambda one: (one[0][0], order.index(one[0][1])))
    ]
    return {
        "assessed": True,
        **_head(datastore, table, used),
        "species_count": len(species),
        "grade_1": sum(row["protection_grade"] == "1" for row in species),
        "grade_2": sum(row["protection_grade"] == "2" for row in species),
        "surveys": len({record["survey"] for record in records}),
        "species": species,
        "by_season": by_season,
        "generalised": Text(
            zh="国家一、二级重点保护物种的位置已概化为 0.05° 网格中心；各次调查的数量不相加，只取最大值",
            en="places of protected species are centres of cells of 0.05°; counts of different days are not added, the "
            "greatest is shown",
        ).model_dump(),
    }


def alerts(datastore: DataStore, rules: SiteRules, place: Place, used: Used) -> list[dict[str, Any]]:
    """Alerts in the place (范围内预警): events of the newest watches, candidates of lost wetland, cases of the desk."""
    snapshot = datastore.snapshot()
    found: list[dict[str, Any]] = []
    tables = [
        *_first_of_each(_newest(datastore, "water-watch", "events"), place, datastore),
        *_first_of_each(_newest(datastore, "wetland-integrity", "candidates"), place, datastore),
    ]
    cases = table_of(snapshot, rules.layers.cases)
    if cases is not None:
        rows = datastore.vectors.frame(cases, ItemQuery(limit=_MOST_ALERTS, area=place.shape))
        if len(rows):
            tables.append((cases, rows))
    for table, rows in tables:
        used.add(table.layer)
        kinds = next((f.domain for f in table.layer.fields if f.name == "kind"), None) or {}
        for fid, row in rows.iterrows():
            kind = _text(row.get("kind"))
            title = kinds.get(kind or "")
            found.append(
                {
                    "layer": table.layer.id,
                    "id": int(fid),
                    "name": _text(row.get("name")) or _text(row.get("title")) or _text(row.get("event")),
                    "kind": kind,
                    "kind_title": None if title is None else title.model_dump(),
                    "time": (_text(row.get("date_after")) or _text(row.get("time")) or _text(row.get("created")) or "")[
                        :10
                    ]
                    or None,
                    "area_hm2": _hectares(row),
                    "state": _text(row.get("state")) or _text(row.get("status")),
                    "href": f"/ogc/collections/{table.layer.id}/items/{int(fid)}",
                    "geometry": row.geometry,
                }
            )
    return sorted(found, key=lambda one: one["time"] or "", reverse=True)[:_MOST_ALERTS]


def _first_of_each(
    tables: Iterator[PublishedTable], place: Place, datastore: DataStore
) -> Iterator[tuple[PublishedTable, Any]]:
    """The newest result that has anything in the place; older runs say the same again."""
    for table in tables:
        rows = datastore.vectors.frame(table, ItemQuery(limit=_MOST_ALERTS, area=place.shape))
        if len(rows):
            yield table, rows
            return


def _hectares(row: Any) -> float | None:
    area = _number(row.get("area_ha"), 2)
    if area is not None:
        return area
    metres = _number(row.get("area_m2"), 1)
    return None if metres is None else round(metres / 1e4, 2)
