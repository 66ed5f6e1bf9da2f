"""How far the alerts of a layer are (预警的办理情况): the case of each, what was handled there before, and what came back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.river_chief.candidates import alert_day
from spatial.river_chief.matching import Matcher
from spatial.river_chief.shapes import area_m2
from spatial.store.case_store import CaseFilter

if TYPE_CHECKING:
    from spatial.river_chief.rules import DeskRules
    from spatial.store.case_store import Case, CaseStore
    from spatial.store.datastore import DataStore

__all__ = ["alert_states"]


def alert_states(datastore: DataStore, store: CaseStore, rules: DeskRules, layer: str) -> dict[str, Any]:
    """Features of an alert layer of which the desk knows something; the others are not listed.

    A feature has ``case`` if it was issued itself. ``open`` are open cases at its place, ``repeats`` closed ones that were
    made of the same change or a later one, ``rebounds`` rectified ones after which the place changed again (反弹).

    Raises
    ------
    InvalidParameter
        The layer is no layer of candidates.
    LayerNotFound, LayerNotPublished
    """
    import shapely

    rules.require_candidate_layer(layer)
    table = datastore.snapshot().vector(layer)
    frame = datastore.vectors.frame(table)
    frame = frame[frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])]
    features: list[dict[str, Any]] = []
    if len(frame):
        west, south, east, north = (float(v) for v in frame.total_bounds)
        cases, _ = store.cases(CaseFilter(bbox=(west, south, east, north)))
        own = {c.source_feature: c for c in cases if c.source_layer == layer and c.source_version == table.version}
        by_id = {case.id: case for case in cases}
        matcher = Matcher(datastore, rules)
        for fid, row in frame.iterrows():
            x0, y0, x1, y1 = (float(v) for v in shapely.bounds(row.geometry))
            mine = own.get(str(fid))
            near = [
                c for c in cases if c is not mine and c.west <= x1 and c.east >= x0 and c.south <= y1 and c.north >= y0
            ]
            if mine is None and not near:
                continue
            area = area_m2(row.geometry)
            if area <= rules.matching.contact_m2:
                continue
            seen = alert_day(row, rules)
            found = {
                "open": matcher.duplicates(row.geometry, area, near),
                "repeats": matcher.repeats(row.geometry, area, near, seen),
                "rebounds": matcher.rebounds(row.geometry, area, near, seen),
            }
            if mine is not None or any(found.values()):
                shown = {name: [_named(by_id[r["case"]], rules) | r for r in rows] for name, rows in found.items()}
                features.append(
                    {"feature": int(fid), "case": None if mine is None else _named(mine, rules), **shown}
                )  # fmt: skip
    return {"layer": layer, "version": table.version, "features": features, "numberReturned": len(features)}


def _named(case: Case, rules: DeskRules) -> dict[str, Any]:
    state = rules.state(case.state)
    return {
        "case": case.id,
        "number": case.number,
        "state": case.state,
        "state_title": state.title.model_dump(),
        "color": state.color,
        "outcome": case.outcome,
        "rebound": case.rebound,
    }
