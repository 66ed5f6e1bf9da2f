"""The scheduled watch (定时监测): when a collection has new scenes, the water watch runs and what is new is reported.

What was seen before stands in ``<var>/watch/<collection>.json``: the version of the collection and the ids of the events. It is
written when a run has ended well, so a run that fails is done again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.errors import DataError
from spatial.jobs.run import no_progress, run_analysis
from spatial.scenes.collection import open_collection

if TYPE_CHECKING:
    from spatial.jobs.contract import Progress
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
    scenes = [item.id for item in collection.items]
    if known["version"] == collection.version:
        return WatchReport(collection_id, False, len(scenes))
    result = run_analysis(
        datastore, "water-watch", {**(parameters or {}), "collection": collection_id}, publish=True, progress=progress
    )
    events = list(result.tables["events"])
    confirmed = [row for row in events if row["two_observations"]]
    before = set(known["events"])
    report = WatchReport(
        collection_id,
        True,
        len(scenes),
        tuple(sorted(set(scenes) - set(known["scenes"]))),
        result.layers,
        tuple(row for row in confirmed if row["event"] not in before),
        len(events) - len(confirmed),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    seen = sorted(before | {row["event"] for row in confirmed})
    aside.write_text(
        json.dumps({"version": collection.version, "scenes": scenes, "events": seen}, ensure_ascii=False), "utf-8"
    )
    os.replace(aside, path)
    return report
