"""The scheduled watch (定时监测): when a collection has new scenes, the water watch runs and what is new is reported.

What was seen before stands in ``<var>/watch/<collection>.json``: the version of the collection, the published bodies and the
events with their polygons. It is written when a run has ended well, so a run that fails is done again. Bodies keep their ids
from run to run, and an event is the same as an earlier one when it is of its kind and place and began within a year of it: a
further scene may move its first day or its outline.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analyses.water.bodies.rules import water_body_rules
from spatial.errors import DataError
from spatial.jobs.inputs import load_rules
from spatial.jobs.run import no_progress, run_analysis
from spatial.scenes.collection import open_collection

if TYPE_CHECKING:
    from spatial.jobs.contract import Progress
    from spatial.jobs.result import RunResult
    from spatial.store.datastore import DataStore

__all__ = ["WatchReport", "watch_collection"]


@dataclass(frozen=True)
class WatchReport:
    """What one look at a collection found."""

    collection: str
    ran: bool
    """False: no scene was added, replaced or removed since the last run."""
    scenes: int
    new_scenes: tuple[str, ...] = ()
    layers: Mapping[str, str] = field(default_factory=dict)
    """Published result layers by name."""
    alerts: tuple[dict[str, Any], ...] = ()
    """Events confirmed by two observations that no earlier run had."""
    waiting: int = 0
    """Events seen once, which wait for a second observation."""

    def document(self) -> dict[str, Any]:
        """JSON-able form."""
        return {
            "collection": self.collection,
            "ran": self.ran,
            "scenes": self.scenes,
            "new_scenes": list(self.new_scenes),
            "layers": dict(self.layers),
            "alerts": list(self.alerts),
            "waiting": self.waiting,
        }


_SAME_DAYS = 366
"""First days of one event in two runs are no farther apart."""


def _memory(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {"version": None, "scenes": [], "events": []}
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f"监测记录 {path.name} 损坏：{error}；删除它则下次从头报告",
            f"the record {path.name} of the watch is damaged: {error}; without it the next run reports everything",
            file=path.name,
        ) from error


def watch_collection(
    datastore: DataStore,
    collection_id: str,
    parameters: Mapping[str, Any] | None = None,
    *,
    progress: Progress = no_progress,
) -> WatchReport:
    """Run the water watch over a collection if it has changed since the last run.

    Parameters
    ----------
    parameters : mapping, optional
        Further parameters of ``water-watch``.

    Raises
    ------
    LayerNotFound, LayerEmpty, DataError
        As the analysis; nothing is remembered then.
    """
    collection = open_collection(datastore.settings.scenes_dir, collection_id)
    path = datastore.settings.var_dir / "watch" / f"{collection_id}.json"
    known = _memory(path)
    given = dict(parameters or {})
    rules = water_body_rules(load_rules(datastore.settings.layers_dir / "rules")[0])
    scenes = [item.id for item in collection.items]
    if known["version"] == collection.version:
        return WatchReport(collection_id, False, len(scenes))
    bodies = known.get("bodies")
    if bodies is not None and bodies in datastore.snapshot().catalog:
        given.setdefault("earlier", bodies)
    result = run_analysis(
        datastore, "water-watch", {**given, "collection": collection_id}, publish=True, progress=progress
    )
    events = list(result.tables["events"])
    shapes = _shapes(result) if events else {}
    confirmed = [row for row in events if row["two_observations"]]
    before = [row for row in known["events"] if isinstance(row, dict)]
    seen_ids = {row if isinstance(row, str) else row["event"] for row in known["events"]}
    share = rules.lineage.overlap_share
    report = WatchReport(
        collection_id,
        True,
        len(scenes),
        tuple(sorted(set(scenes) - set(known["scenes"]))),
        result.layers,
        tuple(
            row
            for row in confirmed
            if row["event"] not in seen_ids and not _known(row, shapes[row["event"]], before, share)
        ),
        len(events) - len(confirmed),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # Events that are over for good stay known: they must not be reported anew.
    kept = [row for row in known["events"] if (row if isinstance(row, str) else row["event"]) not in shapes]
    kept += [
        {"event": row["event"], "kind": row["kind"], "first": row["time"][:10], "shape": shapes[row["event"]].wkt}
        for row in confirmed
    ]
    document = {
        "version": collection.version,
        "scenes": scenes,
        "events": kept,
        "bodies": result.layers.get("bodies"),
    }
    aside.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    os.replace(aside, path)
    return report


def _shapes(result: RunResult) -> dict[str, Any]:
    """Polygon of each event by its id."""
    frame = result.frame("events")
    return dict(zip(frame["event"].astype(str), frame.geometry, strict=True))


def _known(row: Mapping[str, Any], shape: Any, before: Sequence[Mapping[str, Any]], share: float) -> bool:
    """Whether an event was reported before: of one kind and place, begun within a year of each other."""
    import shapely

    first = date.fromisoformat(row["time"][:10])
    for other in before:
        if other["kind"] != row["kind"] or abs((date.fromisoformat(other["first"]) - first).days) > _SAME_DAYS:
            continue
        earlier = shapely.from_wkt(other["shape"])
        smaller = min(shapely.area(earlier), shapely.area(shape))
        if shapely.area(shapely.intersection(earlier, shape)) >= share * smaller > 0:
            return True
    return False
