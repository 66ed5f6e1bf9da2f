"""Alert features that may become cases (候选图斑), and what a new case takes from its feature."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from spatial.catalog import Layer, Text
from spatial.crs import CRS84

if TYPE_CHECKING:
    from spatial.river_chief.requests import CaseRequest
    from spatial.river_chief.rules import DeskRules
    from spatial.store.case_store import CaseStore
    from spatial.store.datastore import DataStore

__all__ = ["alert_day", "filled", "open_candidates"]


def open_candidates(datastore: DataStore, store: CaseStore, rules: DeskRules, layer: str, limit: int) -> dict[str, Any]:
    """Polygons of a layer of candidates, of the version published now, that no case was made from.

    Raises
    ------
    InvalidParameter
        The layer is no layer of candidates.
    LayerNotFound, LayerNotPublished
    """
    import orjson

    rules.require_candidate_layer(layer)
    table = datastore.snapshot().vector(layer)
    issued = store.sources(layer, table.version)
    frame = datastore.vectors.frame(table)
    frame = frame[frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"])]
    frame = frame[[str(fid) not in issued for fid in frame.index]]
    fields = rules.layers.fields
    # What is surely a problem of the desk comes first, then the newest.
    order = sorted(
        (
            (rules.kind_of(_first(row, fields.kind)) is None, -_ordinal(_first(row, fields.after_date)), int(fid))
            for fid, row in frame.iterrows()
        )
    )
    features = []
    for _, _, fid in order[:limit]:
        feature = orjson.loads(datastore.vectors.item(table, fid, CRS84))
        features.append(feature | {"label": _label(table.layer, frame.loc[fid], rules).model_dump()})
    return {
        "type": "FeatureCollection",
        "layer": layer,
        "version": table.version,
        "title": table.layer.display_title().model_dump(),
        "synthetic": table.layer.synthetic is not None,
        "numberMatched": len(order),
        "numberReturned": len(features),
        "issued": len(issued),
        "features": features,
    }


def filled(given: CaseRequest, row: Any, layer: Layer, rules: DeskRules) -> CaseRequest:
    """The request with what it leaves out taken from its alert feature; a value that does not fit is left out.

    Parameters
    ----------
    row : Series
        The feature.
    """
    fields = rules.layers.fields
    changes: dict[str, Any] = {}
    if given.title is None and _first(row, fields.title) is not None:
        changes["title"] = _label(layer, row, rules).zh[:200]
    if not given.description:
        changes["description"] = str(_first(row, fields.description) or "")[:4000]
    if given.kind is None:
        changes["kind"] = rules.kind_of(_first(row, fields.kind))
    for side, dates, layers, scenes in (
        ("before", fields.before_date, fields.before_layer, fields.scene_before),
        ("after", fields.after_date, fields.after_layer, fields.scene_after),
    ):
        held = getattr(given, side)
        more = {
            "date": held.date or _day(_first(row, dates)),
            "layer": held.layer or _word(_first(row, layers)),
            "collection": held.collection or _word(_first(row, fields.scene_collection)),
            "scene": held.scene or _word(_first(row, scenes)),
        }
        changes[side] = held.model_copy(update=more)
    return given.model_copy(update=changes)


def _label(layer: Layer, row: Any, rules: DeskRules) -> Text:
    """Name of a feature, with its kind where that is one of the alert layer and not of the desk."""
    fields = rules.layers.fields
    name = str(_first(row, fields.title) or "")
    field = next((f for f in map(layer.field, fields.kind) if f is not None), None)
    code = None if field is None else _first(row, (field.name,))
    kind = None if field is None or field.domain is None else field.domain.get(str(code))
    if kind is None or rules.kind(str(code)) is not None:
        return Text(zh=name or f"#{row.name}", en=name or f"#{row.name}")
    return Text(zh=f"{name} {kind.zh}".strip(), en=f"{name} {kind.en}".strip())


def alert_day(row: Any, rules: DeskRules) -> date | None:
    """Day on which an alert saw its change, calendar of China; None if it does not say."""
    found: date | None = _day(_first(row, rules.layers.fields.after_date))
    return found


def _word(value: Any) -> str | None:
    """A text that says something: an empty one stands for «not known»."""
    return value.strip()[:100] or None if isinstance(value, str) else None


def _ordinal(value: Any) -> int:
    day = _day(value)
    return 0 if day is None else int(day.toordinal())


def _first(row: Any, names: tuple[str, ...]) -> Any:
    import pandas as pd

    return next((row[name] for name in names if name in row.index and not pd.isna(row[name])), None)


def _day(value: Any) -> Any:
    """Calendar day in China of a time, the day itself of a date or of an ISO text; None for anything else."""
    import pandas as pd

    from spatial.river_chief.workflow import CHINA

    if isinstance(value, str) or hasattr(value, "year"):
        try:
            stamp = pd.Timestamp(value)
        except ValueError:
            return None
        return (stamp if stamp.tzinfo is None else stamp.tz_convert(CHINA)).date()
    return None
