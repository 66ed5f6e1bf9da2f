"""What a new case is compared with (自动比对): reach, management range, granted permits, open and closed cases.

Every comparison names the layer and version that it used. A layer that is not published makes its comparison
``unknown`` (无法判定) with the reason, never a pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

from spatial.errors import InvalidParameter, LayerNotFound
from spatial.river_chief.shapes import area_m2, chainage_text, distance_m, locate
from spatial.store.vector import ItemQuery, PublishedTable

if TYPE_CHECKING:
    import geopandas

    from spatial.river_chief.rules import DeskRules
    from spatial.store.case_store import Case
    from spatial.store.datastore import DataStore

__all__ = ["Matcher", "overlap_m2"]


def overlap_m2(one: Any, other: Any) -> float:
    """Ellipsoidal area that two polygons share, m²."""
    import shapely

    common = shapely.intersection(one, other)
    return 0.0 if shapely.is_empty(common) or shapely.get_dimensions(common) < 2 else area_m2(common)


class Matcher:
    """Comparisons of one place with what is published now."""

    def __init__(self, datastore: DataStore, rules: DeskRules) -> None:
        self.store = datastore.vectors
        self.snapshot = datastore.snapshot()
        self.rules = rules
        self.synthetic = False
        """True once a layer that was used is synthetic."""

    def _table(self, layer_id: str) -> PublishedTable | None:
        try:
            found = self.snapshot.published(layer_id)
        except LayerNotFound:
            return None
        if not isinstance(found, PublishedTable):
            return None
        self.synthetic = self.synthetic or found.layer.synthetic is not None
        return found

    def _near(self, table: PublishedTable, shape: Any, metres: float = 0.0) -> geopandas.GeoDataFrame:
        import shapely

        west, south, east, north = shapely.bounds(shape)
        lat, lon = metres / 110_000, metres / 85_000  # more than enough at 29–34° N
        return self.store.frame(table, ItemQuery(area=shapely.box(west - lon, south - lat, east + lon, north + lat)))

    # --- where it is ------------------------------------------------------------------------------------------------

    def reaches(self) -> geopandas.GeoDataFrame | None:
        """All reaches (河段), or None if the layer is not published."""
        table = self._table(self.rules.layers.reaches)
        return None if table is None else self.store.frame(table)

    def place(self, shape: Any, code: str | None = None) -> dict[str, Any]:
        """Reach, chainage, responsible chief and unit of a place.

        Parameters
        ----------
        code : str, optional
            Reach that the caller names; default the nearest one within ``reach_within_m``.

        Raises
        ------
        InvalidParameter
            There is no reach of this code.
        """
        import shapely

        layer = self.rules.layers.reaches
        table = self._table(layer)
        if table is None:
            return _unknown(layer)
        head = {"layer": layer, "version": table.version}
        if code is None:
            rows = self._near(table, shape, self.rules.matching.reach_within_m)
        else:
            rows = self.store.frame(table, ItemQuery(equals={"code": code}))
            if rows.empty:
                raise InvalidParameter(
                    f"图层 {layer} 没有编码为 {code[:40]!r} 的河段", f"layer {layer} has no reach {code[:40]!r}",
                    parameter="reach",
                )  # fmt: skip
        found = [(distance_m(line, shape), fid) for fid, line in zip(rows.index, rows.geometry, strict=True)]
        distance, fid = min(found, default=(float("inf"), None))
        if fid is None or (code is None and distance > self.rules.matching.reach_within_m):
            return head | {"status": "none", "within_m": self.rules.matching.reach_within_m}
        row = rows.loc[fid]
        chainage = float(row["from_m"]) + locate(row.geometry, shapely.centroid(shape))
        return head | {
            "status": "found",
            "code": row["code"],
            "name": row["name"],
            "water": row["water"],
            "unit": row["unit"],
            "chief": row["chief"],
            "check_days": _whole(row["check_days"]),
            "rectify_days": _whole(row["rectify_days"]),
            "distance_m": round(distance, 1),
            "chainage_m": round(chainage, 1),
            "chainage": chainage_text(chainage),
        }

    # --- may it be there --------------------------------------------------------------------------------------------

    def range(self, shape: Any, area: float) -> dict[str, Any]:
        """Share of the place inside the management range (河湖管理范围): inside, partly, outside or unknown."""
        import shapely

        layer = self.rules.layers.range
        table = self._table(layer)
        if table is None:
            return _unknown(layer)
        rows = self._near(table, shape)
        inside = overlap_m2(shape, shapely.union_all(rows.geometry.to_numpy())) if len(rows) else 0.0
        matching = self.rules.matching
        share = inside / area
        status = "partly"
        if inside <= matching.contact_m2:
            status = "outside"
        elif share >= matching.inside_share:
            status = "inside"
        return {
            "status": status, "layer": layer, "version": table.version,
            "overlap_m2": round(inside, 1), "share": round(share, 4),
        }  # fmt: skip

    def permits(self, shape: Any, area: float, on: date) -> dict[str, Any]:
        """Granted works permits (涉河许可) that the place overlaps, and whether those valid on a day cover it.

        The status is ``covered`` (valid permits cover at least ``permit_share``), ``partly``, ``expired`` (only permits
        that are not valid on the day), ``none`` or ``unknown``.
        """
        import shapely

        layer = self.rules.layers.permits
        table = self._table(layer)
        if table is None:
            return _unknown(layer) | {"list": []}
        rows = self._near(table, shape)
        listed: list[dict[str, Any]] = []
        valid: list[Any] = []
        for _, row in rows.iterrows():
            overlap = overlap_m2(shape, row.geometry)
            if overlap <= self.rules.matching.contact_m2:
                continue
            start, end = _day(row["valid_from"]), _day(row["valid_to"])
            holds = (start is None or start <= on) and (end is None or on <= end)
            if holds:
                valid.append(row.geometry)
            listed.append(
                {
                    "number": row["number"], "holder": row["holder"], "purpose": row["purpose"],
                    "valid_from": start and start.isoformat(), "valid_to": end and end.isoformat(),
                    "valid": holds, "overlap_m2": round(overlap, 1), "share": round(overlap / area, 4),
                }
            )  # fmt: skip
        covered = overlap_m2(shape, shapely.union_all(valid)) if valid else 0.0
        share = covered / area
        status = "none"
        if share >= self.rules.matching.permit_share:
            status = "covered"
        elif covered > self.rules.matching.contact_m2:
            status = "partly"
        elif listed:
            status = "expired"
        listed.sort(key=lambda permit: -permit["overlap_m2"])
        return {
            "status": status, "layer": layer, "version": table.version, "on": on.isoformat(),
            "covered_m2": round(covered, 1), "share": round(share, 4), "list": listed[:20],
        }  # fmt: skip

    # --- was it here before -----------------------------------------------------------------------------------------

    def duplicates(self, shape: Any, area: float, cases: Sequence[Case]) -> list[dict[str, Any]]:
        """Open cases that are likely the same place: overlap over the smaller of the two areas."""
        found = []
        for case in cases:
            if case.state == "closed":
                continue
            overlap = _with_case(shape, case)
            share = overlap / min(area, case.area_m2)
            if share >= self.rules.matching.duplicate_share:
                found.append(_link(case, overlap, share))
        return sorted(found, key=lambda row: -row["share"])

    def rebounds(
        self, shape: Any, area: float, cases: Sequence[Case], seen: date | None = None
    ) -> list[dict[str, Any]]:
        """Rectified and closed cases whose place is changed again (反弹): overlap over the area of the new case.

        Parameters
        ----------
        seen : date, optional
            Day of the later picture of the new case. A change that was seen no later than that of the closed case is the same
            one seen again (see `repeats`), not a new one.
        """
        return self._closed(shape, area, [c for c in cases if c.outcome == "rectified" and not _as_early(c, seen)])

    def repeats(self, shape: Any, area: float, cases: Sequence[Case], seen: date | None) -> list[dict[str, Any]]:
        """Closed cases that were made of the same change: their later picture is as late as this one or later."""
        return self._closed(shape, area, [c for c in cases if _as_early(c, seen)])

    def _closed(self, shape: Any, area: float, cases: Sequence[Case]) -> list[dict[str, Any]]:
        found = []
        for case in cases:
            if case.state != "closed":
                continue
            overlap = _with_case(shape, case)
            share = overlap / area
            if share >= self.rules.matching.rebound_share:
                closed = case.closed.isoformat().replace("+00:00", "Z") if case.closed else None
                found.append(_link(case, overlap, share) | {"closed": closed})
        return sorted(found, key=lambda row: -row["share"])


def _as_early(case: Case, seen: date | None) -> bool:
    """True if both days are known and the new one is not the later one."""
    known = case.after.get("date")
    return seen is not None and isinstance(known, str) and seen <= date.fromisoformat(known)


def _with_case(shape: Any, case: Case) -> float:
    import orjson
    import shapely

    return overlap_m2(shape, shapely.from_geojson(orjson.dumps(case.geometry)))


def _link(case: Case, overlap: float, share: float) -> dict[str, Any]:
    return {"case": case.id, "number": case.number, "overlap_m2": round(overlap, 1), "share": round(share, 4)}


def _unknown(layer: str) -> dict[str, Any]:
    return {
        "status": "unknown",
        "layer": layer,
        "version": None,
        "reason": {"zh": f"图层 {layer} 未发布，无法判定", "en": f"layer {layer} is not published: cannot be told"},
    }


def _whole(value: Any) -> int | None:
    import pandas as pd

    return None if pd.isna(value) else int(value)


def _day(value: Any) -> date | None:
    import pandas as pd

    if value is None or pd.isna(value):
        return None
    return pd.Timestamp(value).date()
