"""Events of the water watch as features (事件要素): fields, the scenes that prove them, what was not announced."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.events import KINDS as EVENT_KINDS
from analyses.water.bodies.kinds import TITLES as BODY_KINDS
from analyses.water.bodies.protection import ZONES, zone_of
from spatial.catalog import attribute

if TYPE_CHECKING:
    import geopandas

    from analyses.water.bodies.delineation import WaterBodies
    from analyses.water.bodies.events import Withheld
    from analyses.water.occurrence.stack import ClassStack, Observation
    from spatial.catalog import Attribute

__all__ = ["EVENT_FIELDS", "SceneNames", "event_rows", "events_frame", "events_style", "withheld_rows"]

EVENT_FIELDS: tuple[Attribute, ...] = (
    attribute("event", "string", "事件编号", "Event id", nullable=False),
    attribute("kind", "string", "类别", "Kind", domain=EVENT_KINDS),
    attribute("body", "string", "图斑编号", "Body id", nullable=False),
    attribute("name", "string", "名称", "Name"),
    attribute("body_kind", "string", "图斑类别", "Kind of the body", domain=BODY_KINDS),
    attribute("time", "datetime", "首次发现", "First seen", nullable=False),
    attribute("confirmed", "date", "确认日期", "Confirmed on"),
    attribute("ended", "date", "结束日期", "Ended on"),
    attribute("two_observations", "boolean", "已由两次观测确认", "Confirmed by two observations"),
    attribute("area_ha", "number", "面积", "Area", "ha"),
    attribute("reference_ha", "number", "比较面积", "Compared with", "ha"),
    attribute("zone", "string", "所在分区", "Zone", domain=ZONES),
    attribute("last_wet", "date", "最后见水", "Last seen wet"),
    attribute("before_date", "date", "变化前影像日期", "Day of the scene before"),
    attribute("after_date", "date", "变化后影像日期", "Day of the scene after"),
    attribute("scene_collection", "string", "影像集", "Collection of the scenes"),
    attribute("scene_before", "string", "变化前影像", "Scene before"),
    attribute("scene_after", "string", "变化后影像", "Scene after"),
    attribute("evidence_zh", "string", "依据（中文）", "Evidence (Chinese)"),
    attribute("evidence_en", "string", "依据（英文）", "Evidence (English)"),
)
_EVENT_COLOURS = {
    "new": "#1a9850", "lost": "#b2182b", "dried": "#fdae61", "shrunk": "#ef8a62", "reclaimed": "#d7301f",
    "restored": "#4575b4",
}  # fmt: skip


@dataclass(frozen=True)
class SceneNames:
    """Which scene shows a day (影像编号): several scenes may have been merged into one observation."""

    collection: str
    ids: Sequence[str]
    """Id of each scene of the stack."""
    days: Mapping[date, Observation]
    stack: ClassStack
    bodies: WaterBodies

    def of(self, day: date | None, geometry: Any) -> str:
        """Id of the scene of a day that saw most of a polygon; empty without a day."""
        if day is None or day not in self.days:
            return ""
        scenes = self.days[day].scenes
        if len(scenes) == 1:
            return self.ids[scenes[0]]
        rows, cols = self.stack.shape
        west, south, east, north = geometry.bounds
        (left, top), (right, bottom) = (~self.bodies.grid.affine * corner for corner in ((west, north), (east, south)))
        r0, c0 = max(int(np.floor(top)), 0), max(int(np.floor(left)), 0)
        r1, c1 = min(int(np.ceil(bottom)), rows), min(int(np.ceil(right)), cols)
        seen = [int((self.stack.read(k, r0, c0, r1 - r0, c1 - c0) < 250).sum()) for k in scenes]
        return self.ids[scenes[int(np.argmax(seen))]]


def events_frame(
    events: geopandas.GeoDataFrame,
    bodies: WaterBodies,
    scenes: SceneNames,
    protection: geopandas.GeoDataFrame | None,
) -> geopandas.GeoDataFrame:
    """Events as features, with the columns of `EVENT_FIELDS`.

    Parameters
    ----------
    protection : GeoDataFrame, optional
        Protection lines of the lakes; the zone is left empty without them.
    """
    import pandas as pd

    names = dict(zip(bodies.frame["id"].astype(str), bodies.frame["name"], strict=True))
    kinds = dict(zip(bodies.frame["id"].astype(str), bodies.frame["kind"].astype(str), strict=True))
    frame = events.rename(columns={"event_id": "event", "body_id": "body"}).copy()
    frame["name"] = [names.get(str(body)) for body in frame["body"]]
    frame["body_kind"] = [kinds.get(str(body)) for body in frame["body"]]
    frame["time"] = pd.to_datetime(frame["first"]).dt.tz_localize("UTC")
    frame["zone"] = pd.Series([zone_of(shape, protection) for shape in frame.geometry], index=frame.index, dtype=object)
    frame["scene_collection"] = scenes.collection
    for side in ("before", "after"):
        days = [None if pd.isna(day) else day.date() for day in frame[side]]
        frame[f"scene_{side}"] = [scenes.of(day, shape) for day, shape in zip(days, frame.geometry, strict=True)]
        frame[f"{side}_date"] = frame[side]
    for name in ("confirmed", "ended", "last_wet", "before_date", "after_date"):
        frame[name] = pd.to_datetime(frame[name]).dt.date
    frame["area_ha"] = (frame["area_m2"].astype(float) / 1e4).round(3)
    frame["reference_ha"] = (frame["reference_m2"].astype(float) / 1e4).round(3)
    return frame[[*(f.name for f in EVENT_FIELDS), "geometry"]].reset_index(drop=True)


def event_rows(frame: geopandas.GeoDataFrame) -> list[dict[str, Any]]:
    """Events of `events_frame` as JSON-able rows, without their geometry, with the box that they lie in."""
    rows = []
    for row, shape in zip(frame.drop(columns="geometry").to_dict("records"), frame.geometry, strict=True):
        box = [round(float(v), 6) for v in shape.bounds]
        rows.append({str(key): _plain(value) for key, value in row.items()} | {"bbox": box})
    return rows


def _plain(value: Any) -> Any:
    import pandas as pd

    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else value


def withheld_rows(withheld: Sequence[Withheld], name_of: Callable[[str], str | None]) -> list[dict[str, Any]]:
    """What was not announced (未列为事件), with its reason."""
    return [
        {
            "kind": one.kind,
            "body": one.body_id,
            "name": name_of(one.body_id),
            "first": one.first.isoformat(),
            "area_ha": round(one.area_m2 / 1e4, 3),
            "reason_zh": one.reason.zh,
            "reason_en": one.reason.en,
        }
        for one in withheld
    ]


def events_style() -> dict[str, Any]:
    """Colour by kind of event."""
    return {
        "type": "categories",
        "field": "kind",
        "classes": [
            {
                "value": kind,
                "title": title.model_dump(),
                "fill": _EVENT_COLOURS[kind] + "66",
                "stroke": _EVENT_COLOURS[kind],
                "width": 1.6,
            }
            for kind, title in EVENT_KINDS.items()
        ],
        "default": {"fill": "#d7301f66", "stroke": "#d7301f", "width": 1.6},
    }
