"""一河（湖）一档: for each river or lake its reaches with chainage, chief, unit and deadlines, and its latest figures."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from spatial.errors import FeatureNotFound, LayerNotPublished
from spatial.river_chief.assessment import figures
from spatial.river_chief.documents import PATH, case_feature, patrol_document, stamp
from spatial.river_chief.matching import Matcher
from spatial.river_chief.shapes import area_m2, chainage_text, length_m
from spatial.store.case_store import CaseFilter, CaseStore
from spatial.store.vector import ItemQuery, PublishedTable

if TYPE_CHECKING:
    from spatial.river_chief.rules import DeskRules
    from spatial.store.datastore import DataStore

__all__ = ["water_file", "waters"]

_LATEST = 20


def _reaches(datastore: DataStore, rules: DeskRules) -> tuple[Any, PublishedTable]:
    found = Matcher(datastore, rules).reaches()
    layer = rules.layers.reaches
    if found is None:
        raise LayerNotPublished(
            f"图层 {layer} 未发布，没有一河一档；请发布河段名录",
            f"layer {layer} is not published, so there is no register; publish the reaches",
            layer=layer,
        )
    return found, datastore.snapshot().vector(layer)


def _head(table: PublishedTable) -> dict[str, Any]:
    return {
        "layer": table.layer.id,
        "version": table.version,
        "title": table.layer.display_title().model_dump(),
        "synthetic": table.layer.synthetic is not None,
    }


def waters(datastore: DataStore, store: CaseStore, rules: DeskRules, now: datetime) -> dict[str, Any]:
    """Every river and lake of the register with its counts."""
    reaches, table = _reaches(datastore, rules)
    cases, _ = store.cases(CaseFilter())
    recent = store.patrols(since=now - timedelta(days=rules.patrols.lookback_days))
    listed = []
    for name, rows in reaches.groupby("water", sort=False):
        own = [case for case in cases if case.water == name]
        found = figures(own, [patrol for patrol in recent if patrol.water == name], now)
        listed.append(
            {
                "name": name,
                "kind": rows.iloc[0]["kind"],
                "reaches": len(rows),
                "units": sorted(set(rows["unit"].dropna())),
                "chiefs": sorted(set(rows["chief"].dropna())),
                "cases": found["cases"],
                "open": found["open"],
                "overdue": found["overdue"],
                "recent_patrols": found["patrols"],
                "href": f"{PATH}/waters/{name}",
            }
        )
    return {"register": _head(table), "lookback_days": rules.patrols.lookback_days, "waters": listed}


def water_file(datastore: DataStore, store: CaseStore, rules: DeskRules, name: str, now: datetime) -> dict[str, Any]:
    """The file of one river or lake.

    Raises
    ------
    FeatureNotFound
        The register has no such water; lists those that it has.
    """
    reaches, table = _reaches(datastore, rules)
    rows = reaches[reaches["water"] == name]
    if rows.empty:
        have = [str(water) for water in reaches["water"].unique()]
        raise FeatureNotFound(
            f"名录中没有河湖 {name[:40]!r}，现有：{'、'.join(have)}",
            f"the register has no water {name[:40]!r}; there are {', '.join(have)}",
            layer=table.layer.id,
            allowed=have,
        )
    cases, _ = store.cases(CaseFilter(water=name))
    since = now - timedelta(days=rules.patrols.lookback_days)
    patrols = store.patrols(water=name)
    listed = []
    for _, row in rows.sort_values(["kind", "from_m"]).iterrows():
        own = [case for case in cases if case.reach == row["code"]]
        walked = [patrol for patrol in patrols if patrol.reach == row["code"]]
        found = figures(own, [patrol for patrol in walked if patrol.started >= since], now)
        listed.append(
            {
                "code": row["code"],
                "name": row["name"],
                "from": chainage_text(row["from_m"]),
                "to": chainage_text(row["to_m"]),
                "from_m": float(row["from_m"]),
                "to_m": float(row["to_m"]),
                "length_m": round(length_m(row.geometry), 1),
                "chief": row["chief"],
                "unit": row["unit"],
                "check_days": _days(row["check_days"], rules.state("issued").days),
                "rectify_days": _days(row["rectify_days"], None),
                "bbox": [round(float(v), 6) for v in row.geometry.bounds],
                "cases": found["cases"],
                "open": found["open"],
                "overdue": found["overdue"],
                "last_patrol": stamp(walked[0].ended) if walked else None,
                "recent_patrols": found["patrols"],
            }
        )
    return {
        "name": name,
        "kind": rows.iloc[0]["kind"],
        "register": _head(table),
        "bbox": [round(float(v), 6) for v in rows.total_bounds],
        "reaches": listed,
        "figures": figures(cases, [patrol for patrol in patrols if patrol.started >= since], now),
        "lookback_days": rules.patrols.lookback_days,
        "range": _range(datastore, rules, name),
        "permits": _permits(datastore, rules, list(rows["code"]), now),
        "cases": [case_feature(case, rules, now) for case in cases[:_LATEST]],
        "patrols": [patrol_document(patrol) for patrol in patrols[:_LATEST]],
        "at": stamp(now),
    }


def _days(value: Any, default: int | None) -> int | None:
    import pandas as pd

    return default if pd.isna(value) else int(value)


def _optional(datastore: DataStore, layer_id: str) -> PublishedTable | None:
    snapshot = datastore.snapshot()
    found = snapshot.published(layer_id) if layer_id in snapshot.catalog else None
    return found if isinstance(found, PublishedTable) else None


def _range(datastore: DataStore, rules: DeskRules, water: str) -> dict[str, Any] | None:
    """Area of the management range (管理范围), or None where the layer is not published or has none."""
    table = _optional(datastore, rules.layers.range)
    if table is None:
        return None
    rows = datastore.vectors.frame(table, ItemQuery(equals={"water": water}))
    if rows.empty:
        return None
    import shapely

    whole = shapely.union_all(rows.geometry.to_numpy())
    return _head(table) | {"parts": len(rows), "area_km2": round(area_m2(whole) / 1e6, 3)}


def _permits(datastore: DataStore, rules: DeskRules, codes: list[str], now: datetime) -> dict[str, Any] | None:
    """Works permits (涉河许可) on the reaches: how many, how many hold today."""
    import pandas as pd

    table = _optional(datastore, rules.layers.permits)
    if table is None:
        return None
    rows = datastore.vectors.frame(table)
    rows = rows[rows["reach"].isin(codes)]
    today = pd.Timestamp(now.date())
    start, end = pd.to_datetime(rows["valid_from"]), pd.to_datetime(rows["valid_to"])
    valid = (start.isna() | (start <= today)) & (end.isna() | (today <= end))
    return _head(table) | {"count": len(rows), "valid": int(valid.sum())}
