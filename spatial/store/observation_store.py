"""Observations beside the versions (观测库): readings of sensors, snapshots of cameras, appended one by one.

A version of a layer is immutable, so a series that grows every hour does not belong into versions. The rows stand in the
state database, under layer and station and not under a version: they survive every republication of the stations.
`Stamp` counts the changes of a layer, for entity tags and for the copy of the newest values in the layer itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, UniqueConstraint, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from spatial.errors import StepNotAllowed
from spatial.store.state import State, _Base, utc_now

__all__ = ["FLAG_CODES", "ObservationStore", "Reading", "SeriesSpan", "Snapshot", "Stamp"]

FLAG_CODES: dict[str, int] = {"": 0, "out_of_range": 1, "spike": 2, "spike_unconfirmed": 3, "flatline": 4}
"""Flag (质量标识) → its code in layers and in EDR."""
_PIECE = 400
"""Most values of one IN list."""


class Reading(_Base):
    """One value of one quantity of one station (读数)."""

    __tablename__ = "observation_reading"
    __table_args__ = (UniqueConstraint("layer_id", "station", "field", "at"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    layer_id: Mapped[str]
    station: Mapped[str]
    field: Mapped[str]
    at: Mapped[datetime]
    value: Mapped[float]
    flag: Mapped[str] = mapped_column(default="")
    """Empty, or a key of `FLAG_CODES`."""
    received: Mapped[datetime]
    principal: Mapped[str | None]
    previous: Mapped[list[Any] | None] = mapped_column(JSON())
    """Values that this one replaced, oldest first: ``[{value, received, principal}]``."""


class Snapshot(_Base):
    """One picture of a camera (抓拍); the file is named by its SHA-256."""

    __tablename__ = "observation_snapshot"
    __table_args__ = (
        UniqueConstraint("layer_id", "camera", "at"),
        Index("ix_observation_snapshot_sha256", "sha256"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    layer_id: Mapped[str]
    camera: Mapped[str]
    at: Mapped[datetime]
    """When it was taken."""
    name: Mapped[str]
    media_type: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    synthetic: Mapped[bool] = mapped_column(default=False)
    received: Mapped[datetime]
    principal: Mapped[str | None]
    address: Mapped[str | None]


class Stamp(_Base):
    """How often the observations of a layer changed, and how far the layer shows them."""

    __tablename__ = "observation_stamp"
    layer_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(default=0)
    changed: Mapped[datetime]
    shown: Mapped[int] = mapped_column(default=0)
    shown_at: Mapped[datetime | None]


@dataclass(frozen=True, slots=True)
class SeriesSpan:
    """First and last time and number of times of a station."""

    first: datetime
    last: datetime
    count: int


class ObservationStore:
    """Reads and writes of observations over one state database."""

    def __init__(self, state: State) -> None:
        self.state = state

    # --- stamps -----------------------------------------------------------------------------------------------------

    def stamp(self, layer_id: str) -> int:
        """Number of changes so far."""
        with self.state.session() as session:
            return session.scalar(select(Stamp.number).where(Stamp.layer_id == layer_id)) or 0

    def stamp_row(self, layer_id: str) -> Stamp | None:
        """The whole row, or None before the first observation."""
        with self.state.session() as session:
            return session.get(Stamp, layer_id)

    def mark_shown(self, layer_id: str, number: int) -> None:
        """Note that the layer shows the newest values of change `number`."""
        with self.state.session() as session:
            session.execute(update(Stamp).where(Stamp.layer_id == layer_id).values(shown=number, shown_at=utc_now()))

    def _count(self, session: Session, layer_id: str) -> None:
        found: Any = session.execute(
            update(Stamp).where(Stamp.layer_id == layer_id).values(number=Stamp.number + 1, changed=utc_now())
        )
        if not found.rowcount:
            session.add(Stamp(layer_id=layer_id, number=1, changed=utc_now(), shown=0))

    # --- readings ---------------------------------------------------------------------------------------------------

    def readings_at(
        self, layer_id: str, wanted: Mapping[tuple[str, str], Collection[datetime]]
    ) -> dict[tuple[str, str, datetime], Reading]:
        """Readings that there are already, by station, field and time."""
        found: dict[tuple[str, str, datetime], Reading] = {}
        with self.state.session() as session:
            for (station, field), times in wanted.items():
                listed = sorted(times)
                for start in range(0, len(listed), _PIECE):
                    query = select(Reading).where(
                        Reading.layer_id == layer_id,
                        Reading.station == station,
                        Reading.field == field,
                        Reading.at.in_(listed[start : start + _PIECE]),
                    )
                    for row in session.scalars(query):
                        found[station, field, row.at] = row
        return found

    def append(
        self,
        layer_id: str,
        new: Sequence[Mapping[str, Any]],
        replaced: Mapping[int, tuple[float, str | None]],
        flags: Mapping[tuple[str, str, datetime], str],
        *,
        principal: str | None,
    ) -> None:
        """Write one delivery: new rows, new values of old rows, and the flags that follow; all or nothing.

        Parameters
        ----------
        new : sequence of mappings
            ``station``, ``field``, ``at``, ``value``.
        replaced : mapping
            Id of a row → its new value, and the principal of the change.
        flags : mapping
            (station, field, time) → flag, for new rows and for earlier ones whose flag changes.

        Raises
        ------
        StepNotAllowed
            Somebody else wrote one of the times meanwhile.
        """
        now = utc_now()
        try:
            with self.state.session() as session:
                self._count(session, layer_id)
                rows = [
                    Reading(
                        layer_id=layer_id,
                        **row,
                        flag=flags.get((row["station"], row["field"], row["at"]), ""),
                        received=now,
                        principal=principal,
                    )
                    for row in new
                ]
                session.add_all(rows)
                session.flush()
                for number, (value, who) in replaced.items():
                    row = session.get_one(Reading, number)
                    before = {"value": row.value, "received": row.received.isoformat(), "principal": row.principal}
                    row.previous = [*(row.previous or ()), before]
                    row.value, row.received, row.principal = value, now, who
                session.flush()
                fresh = {(row["station"], row["field"], row["at"]) for row in new}
                for (station, field, at), flag in flags.items():
                    if (station, field, at) not in fresh:
                        session.execute(
                            update(Reading)
                            .where(
                                Reading.layer_id == layer_id,
                                Reading.station == station,
                                Reading.field == field,
                                Reading.at == at,
                            )
                            .values(flag=flag)
                            .execution_options(synchronize_session=False)
                        )
        except IntegrityError as error:
            raise StepNotAllowed(
                f"图层 {layer_id}：其中的时刻刚被他人写入，整批未写入；请重新提交",
                f"layer {layer_id}: one of the times was written by somebody else meanwhile, nothing was written; send again",
                layer=layer_id,
            ) from error

    def around(
        self, layer_id: str, station: str, field: str, first: datetime, last: datetime, rows: int
    ) -> list[Reading]:
        """Readings from `first` to `last` with `rows` before and after; those out of range do not count and are left out."""
        base = (
            Reading.layer_id == layer_id,
            Reading.station == station,
            Reading.field == field,
            Reading.flag != "out_of_range",
        )
        with self.state.session() as session:
            before = session.scalars(
                select(Reading).where(*base, Reading.at < first).order_by(Reading.at.desc()).limit(rows)
            ).all()
            within = session.scalars(
                select(Reading).where(*base, Reading.at >= first, Reading.at <= last).order_by(Reading.at)
            ).all()
            after = session.scalars(
                select(Reading).where(*base, Reading.at > last).order_by(Reading.at).limit(rows)
            ).all()
        return [*reversed(before), *within, *after]

    def readings(
        self,
        layer_id: str,
        stations: Collection[str],
        *,
        fields: Collection[str] | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Reading]:
        """Readings of stations, in the order of time; both ends are included."""
        found: list[Reading] = []
        names = sorted(stations)
        with self.state.session() as session:
            for start in range(0, len(names), _PIECE):
                piece = names[start : start + _PIECE]
                query = select(Reading).where(Reading.layer_id == layer_id, Reading.station.in_(piece))
                if fields is not None:
                    query = query.where(Reading.field.in_(fields))
                if since is not None:
                    query = query.where(Reading.at >= since)
                if until is not None:
                    query = query.where(Reading.at <= until)
                order = Reading.at.desc() if newest_first else Reading.at
                query = query.order_by(order, Reading.station, Reading.field)
                if limit is not None:
                    query = query.limit(limit - len(found))
                found += session.scalars(query)
                if limit is not None and len(found) >= limit:
                    break
        return found

    def reading_spans(self, layer_id: str) -> dict[str, SeriesSpan]:
        """Station → span of its readings."""
        query = (
            select(Reading.station, func.min(Reading.at), func.max(Reading.at), func.count(Reading.at.distinct()))
            .where(Reading.layer_id == layer_id)
            .group_by(Reading.station)
        )
        with self.state.session() as session:
            return {name: SeriesSpan(first, last, count) for name, first, last, count in session.execute(query)}

    def newest_readings(self, layer_id: str) -> dict[tuple[str, str], Reading]:
        """(Station, field) → its newest reading."""
        newest = (
            select(Reading.station, Reading.field, func.max(Reading.at).label("at"))
            .where(Reading.layer_id == layer_id)
            .group_by(Reading.station, Reading.field)
            .subquery()
        )
        query = select(Reading).join(
            newest,
            (Reading.station == newest.c.station) & (Reading.field == newest.c.field) & (Reading.at == newest.c.at),
        )
        with self.state.session() as session:
            rows = session.scalars(query.where(Reading.layer_id == layer_id)).all()
        return {(row.station, row.field): row for row in rows}

    # --- snapshots --------------------------------------------------------------------------------------------------

    def add_snapshot(self, snapshot: Snapshot, keep: int) -> list[Snapshot]:
        """Insert a snapshot and drop the oldest ones of its camera beyond `keep`; gives those that were dropped.

        Raises
        ------
        StepNotAllowed
            The camera has a snapshot of that time.
        """
        layer_id, camera = snapshot.layer_id, snapshot.camera
        try:
            with self.state.session() as session:
                self._count(session, layer_id)
                session.add(snapshot)
                session.flush()
                query = select(Snapshot).where(Snapshot.layer_id == layer_id, Snapshot.camera == camera)
                old = list(session.scalars(query.order_by(Snapshot.at.desc(), Snapshot.id.desc()).offset(keep)))
                session.execute(delete(Snapshot).where(Snapshot.id.in_([row.id for row in old])))
        except IntegrityError as error:
            raise StepNotAllowed(
                f"视频点 {camera} 在 {snapshot.at.isoformat()} 已有抓拍，未写入；时刻不同的请带准确时间",
                f"camera {camera} has a snapshot of {snapshot.at.isoformat()}; nothing was written; "
                "one of another moment needs its own time",
                layer=layer_id,
                camera=camera,
                duplicates=[{"camera": camera, "time": snapshot.at.isoformat()}],
            ) from error
        return old

    def snapshots(
        self,
        layer_id: str,
        cameras: Collection[str],
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> tuple[list[Snapshot], int]:
        """Snapshots of cameras, newest first, and how many there are in all."""
        query = select(Snapshot).where(Snapshot.layer_id == layer_id, Snapshot.camera.in_(sorted(cameras)))
        if since is not None:
            query = query.where(Snapshot.at >= since)
        if until is not None:
            query = query.where(Snapshot.at <= until)
        with self.state.session() as session:
            matched = session.scalar(select(func.count()).select_from(query.subquery())) or 0
            ordered = query.order_by(Snapshot.at.desc(), Snapshot.id.desc()).offset(offset)
            return list(session.scalars(ordered if limit is None else ordered.limit(limit))), matched

    def snapshot(self, number: int) -> Snapshot | None:
        """One snapshot, or None."""
        with self.state.session() as session:
            return session.get(Snapshot, number)

    def snapshot_spans(self, layer_id: str) -> dict[str, SeriesSpan]:
        """Camera → span of its snapshots."""
        query = (
            select(Snapshot.camera, func.min(Snapshot.at), func.max(Snapshot.at), func.count())
            .where(Snapshot.layer_id == layer_id)
            .group_by(Snapshot.camera)
        )
        with self.state.session() as session:
            return {name: SeriesSpan(first, last, count) for name, first, last, count in session.execute(query)}

    def newest_snapshots(self, layer_id: str) -> dict[str, Snapshot]:
        """Camera → its newest snapshot."""
        newest = (
            select(Snapshot.camera, func.max(Snapshot.at).label("at"))
            .where(Snapshot.layer_id == layer_id)
            .group_by(Snapshot.camera)
            .subquery()
        )
        query = select(Snapshot).join(newest, (Snapshot.camera == newest.c.camera) & (Snapshot.at == newest.c.at))
        with self.state.session() as session:
            return {row.camera: row for row in session.scalars(query.where(Snapshot.layer_id == layer_id))}

    def hashes(self, among: Iterable[str] | None = None) -> set[str]:
        """SHA-256 of the pictures that a row names; of all, or of those `among`."""
        query = select(Snapshot.sha256).distinct()
        if among is not None:
            query = query.where(Snapshot.sha256.in_(list(among)))
        with self.state.session() as session:
            return set(session.scalars(query))
