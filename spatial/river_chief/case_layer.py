"""The cases as a published layer (图斑图层): a copy of the desk's tables that every map and OGC client reads.

The tables of the desk are the truth. After each change the layer gets an edit, which is a version like every other, so
that Features, tiles, filters, ``?version=`` and the audit work as for any layer; it is not editable by Features Part 4,
because only the workflow may change a case. What could not be shown at once is shown by the next change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from spatial.catalog import Layer, Source, Synthetic, Text, attribute
from spatial.crs import CRS84
from spatial.errors import LayerNotFound, SpatialError
from spatial.store.editing import Action, Conditions, Editor, edit_feature
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from spatial.river_chief.rules import DeskRules
    from spatial.store.case_store import Case, CaseStore
    from spatial.store.datastore import DataStore

__all__ = ["case_layer", "show_cases"]

MOST_EDITS = 20
"""More cases than this are shown by a new version of the whole layer, not one by one."""
_DESK = Editor("river-chief-desk", None)
log = structlog.get_logger("onemap")


def show_cases(datastore: DataStore, store: CaseStore, rules: DeskRules) -> bool:
    """Bring the published layer up to date with the cases; False if it could not be, with the reason in the log."""
    try:
        # One at a time over all processes: of two copies of a case the older one must not come last.
        with datastore.state.editing(f"{rules.layers.cases}-copy"):
            _show(datastore, store, rules)
    except SpatialError as error:
        log.error("cases not shown", layer=rules.layers.cases, error=type(error).__name__, detail=error.en)
        return False
    return True


def _show(datastore: DataStore, store: CaseStore, rules: DeskRules) -> None:
    waiting = store.not_shown()
    if not waiting:
        return
    table = _published(datastore, rules.layers.cases)
    marked = any(case.synthetic for case in waiting) or (table is not None and table.layer.synthetic is not None)
    layer = case_layer(rules, "1" if table is None else table.base or table.version, synthetic=marked)
    if table is None or not _same(table.layer, layer) or len(waiting) > MOST_EDITS:
        from spatial.store.case_store import CaseFilter

        everything, _ = store.cases(CaseFilter())
        number = 1 if table is None else int(table.base or table.version) + 1
        layer = case_layer(rules, str(number), synthetic=marked or any(case.synthetic for case in everything))
        datastore.publish_vector(layer, _frame(layer, everything))
        for case in everything:
            store.mark_shown(case.id, case.version)
        return
    for case in waiting:
        action: Action = "replace" if case.shown else "create"
        document = {"type": "Feature", "geometry": case.geometry, "properties": _json(_values(case))}
        conditions = Conditions(if_match="*") if case.shown else Conditions()
        fid = case.id if case.shown else None
        edit_feature(datastore, layer.id, action, fid, document, CRS84, conditions, _DESK)
        store.mark_shown(case.id, case.version)


def _published(datastore: DataStore, layer_id: str) -> PublishedTable | None:
    try:
        found = datastore.snapshot().published(layer_id)
    except LayerNotFound:
        return None
    return found if isinstance(found, PublishedTable) else None


def _same(one: Layer, other: Layer) -> bool:
    return one.model_dump(exclude={"source"}) == other.model_dump(exclude={"source"})


def case_layer(rules: DeskRules, version: str, *, synthetic: bool) -> Layer:
    """Definition of the layer, from the rules."""
    states = {state.id: state.title for state in rules.states.list}
    kinds = {kind.id: kind.title for kind in rules.kinds.list}
    severities = {severity.id: severity.title for severity in rules.severities.list}
    outcomes = {"rectified": Text(zh="整改销号", en="rectified"), "not_a_problem": Text(zh="不是问题", en="no problem")}
    fields = (
        attribute("id", "integer", "序号", "Id", nullable=False),
        attribute("number", "string", "图斑编号", "Number"),
        attribute("title", "string", "名称", "Title"),
        attribute("state", "string", "状态", "State", domain=states),
        attribute("outcome", "string", "结论", "Outcome", domain=outcomes),
        attribute("kind", "string", "类型", "Kind", domain=kinds),
        attribute("severity", "string", "严重程度", "Severity", domain=severities),
        attribute("water", "string", "河湖", "River or lake"),
        attribute("reach", "string", "河段", "Reach"),
        attribute("chainage", "string", "桩号", "Chainage"),
        attribute("unit", "string", "责任单位", "Unit"),
        attribute("area_m2", "number", "椭球面积", "Ellipsoidal area", unit="m2"),
        attribute("created", "datetime", "下发时间", "Issued at"),
        attribute("due", "datetime", "时限", "Due"),
        attribute("closed", "datetime", "销号时间", "Closed at"),
        attribute("rounds", "integer", "整改次数", "Rectifications"),
        attribute("late_steps", "integer", "逾期步数", "Late steps"),
        attribute("rebound", "boolean", "反弹", "Rebound"),
        attribute("range_status", "string", "管理范围", "Management range"),
        attribute("permit_status", "string", "涉河许可", "Permit"),
        attribute("synthetic", "boolean", "由合成数据", "From synthetic data"),
    )
    style = {
        "type": "categories",
        "field": "state",
        "classes": [
            {"value": state.id, "title": state.title.model_dump(), "fill": f"{state.color}66", "stroke": state.color,
             "width": 1.6}
            for state in rules.states.list
        ],
        "default": {"fill": "#75757566", "stroke": "#757575", "width": 1.6},
        "label": {"field": "number", "min_zoom": 12},
    }  # fmt: skip
    made = Synthetic(
        seed=0, recipe=Text(zh="由合成图层下发或比对的图斑", en="cases made from or compared with synthetic layers")
    )
    return Layer(
        id=rules.layers.cases,
        title=Text(zh="河湖图斑", en="Cases of the river chiefs"),
        description=Text(
            zh="河湖长工作台的图斑及其办理状态；只能由工作台的流程改变",
            en="Cases of the river chief's desk and how far they are; changed by its workflow only",
        ),
        theme=("thematic", "water-works"),
        kind="vector",
        source=Source(
            uri="river-chief/cases",
            version=version,
            sha256="0" * 64,
            licence="CC0-1.0" if synthetic else "internal use",
            attribution=Text(zh="河湖长工作台", en="River chief's desk"),
            origin="spatial.river_chief",
        ),
        fields=fields,
        id_field="id",
        class_field="state",
        time_field="created",
        style=style,
        synthetic=made if synthetic else None,
        keywords=("图斑", "河湖长制", "四乱", "case"),
    )


def _values(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "number": case.number,
        "title": case.title,
        "state": case.state,
        "outcome": case.outcome,
        "kind": case.kind,
        "severity": case.severity,
        "water": case.water,
        "reach": case.reach,
        "chainage": case.place.get("chainage"),
        "unit": case.unit,
        "area_m2": round(case.area_m2, 1),
        "created": case.created,
        "due": case.due,
        "closed": case.closed,
        "rounds": case.round,
        "late_steps": case.late_steps,
        "rebound": case.rebound,
        "range_status": case.checks.get("range", {}).get("status"),
        "permit_status": case.checks.get("permits", {}).get("status"),
        "synthetic": case.synthetic,
    }


def _json(values: dict[str, Any]) -> dict[str, Any]:
    times = ("created", "due", "closed")
    return values | {name: values[name] and values[name].isoformat() for name in times}


def _frame(layer: Layer, cases: Sequence[Case]) -> Any:
    import geopandas
    import orjson
    import pandas as pd
    import shapely

    rows = [_values(case) for case in cases]
    data: dict[str, Any] = {}
    for field in layer.fields:
        values = [row[field.name] for row in rows]
        if field.type == "datetime":
            data[field.name] = pd.to_datetime(pd.Series(values, dtype=object), utc=True).array
        elif field.type == "number":
            data[field.name] = pd.array(values, dtype="float64")
        elif field.type == "string":
            data[field.name] = pd.Series(values, dtype=object).array
        else:
            data[field.name] = values
    geometry = [shapely.from_geojson(orjson.dumps(case.geometry)) for case in cases]
    index = pd.Index([case.id for case in cases], name="fid")
    return geopandas.GeoDataFrame(pd.DataFrame(data, index=index), geometry=geometry, crs=4490)
