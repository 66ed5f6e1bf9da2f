"""Cases of the river chief's desk in the state database (图斑台账库): cases, their history, photos and patrols.

A case is one row that changes; every change inserts one row of its history in the same transaction, and the database
refuses to change or delete history, photos and patrols. Who changes a case names the version that he read: the row is
taken with ``UPDATE … WHERE version = …`` first, so that of two who read the same version only one gets through, on
SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, Select, UniqueConstraint, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from spatial.errors import FeatureNotFound, PreconditionFailed, StepNotAllowed
from spatial.store.state import State, _Base, utc_now

__all__ = ["Case", "CaseEvent", "CaseFilter", "CaseStore", "Patrol", "Photo"]


class Case(_Base):
    """A case (图斑): one place with a suspected problem, and how far its handling is."""

    __tablename__ = "river_case"
    __table_args__ = (
        Index("ix_river_case_state", "state", "due"),
        Index("ix_river_case_unit", "unit"),
        Index("ix_river_case_place", "west", "east", "south", "north"),
        {"sqlite_autoincrement": True},
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    version: Mapped[int] = mapped_column(default=1)
    state: Mapped[str]
    outcome: Mapped[str | None]
    """``rectified`` or ``not_a_problem`` once closed."""
    kind: Mapped[str | None]
    severity: Mapped[str | None]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    created: Mapped[datetime]
    entered: Mapped[datetime]
    """When the case came into its state."""
    updated: Mapped[datetime]
    due: Mapped[datetime | None]
    closed: Mapped[datetime | None]
    late_steps: Mapped[int] = mapped_column(default=0)
    round: Mapped[int] = mapped_column(default=0)
    """Rectifications begun; 2 and more after a review that failed."""
    water: Mapped[str | None]
    reach: Mapped[str | None]
    unit: Mapped[str | None]
    chief: Mapped[str | None]
    place: Mapped[dict[str, Any]]
    """Reach, chainage and distance as matched when the case was made."""
    source_layer: Mapped[str | None]
    source_version: Mapped[str | None]
    source_feature: Mapped[str | None]
    source_key: Mapped[str | None] = mapped_column(unique=True)
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    geometry: Mapped[dict[str, Any]]
    """GeoJSON, EPSG:4490, x = longitude."""
    west: Mapped[float]
    south: Mapped[float]
    east: Mapped[float]
    north: Mapped[float]
    area_m2: Mapped[float]
    checks: Mapped[dict[str, Any]]
    rebound: Mapped[bool] = mapped_column(default=False)
    synthetic: Mapped[bool] = mapped_column(default=False)
    shown: Mapped[int] = mapped_column(default=0)
    """Version that the published layer shows."""

    @property
    def number(self) -> str:
        """Number of the case for people (图斑编号)."""
        return f"TB{self.created.year}-{self.id:05d}"


class CaseEvent(_Base):
    """One entry of the history of a case (办理记录); never changed."""

    __tablename__ = "river_event"
    __table_args__ = (UniqueConstraint("case_id", "version"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("river_case.id"))
    at: Mapped[datetime]
    step: Mapped[str]
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    actor: Mapped[str]
    unit: Mapped[str | None]
    note: Mapped[str] = mapped_column(default="")
    due: Mapped[datetime | None]
    """When the step had to be done."""
    late: Mapped[bool] = mapped_column(default=False)
    details: Mapped[dict[str, Any]]
    principal: Mapped[str | None]
    address: Mapped[str | None]
    version: Mapped[int]
    """Version of the case after it."""


class Photo(_Base):
    """A photo of a case or of a patrol (照片); the file is named by its SHA-256."""

    __tablename__ = "river_photo"
    __table_args__ = (
        CheckConstraint("(case_id IS NULL) <> (patrol_id IS NULL)"),
        Index("ix_river_photo_case", "case_id"),
        Index("ix_river_photo_patrol", "patrol_id"),
        Index("ix_river_photo_sha256", "sha256"),
    )
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    case_id: Mapped[int | None] = mapped_column(ForeignKey("river_case.id"))
    patrol_id: Mapped[int | None] = mapped_column(ForeignKey("river_patrol.id"))
    at: Mapped[datetime]
    role: Mapped[str]
    round: Mapped[int] = mapped_column(default=0)
    actor: Mapped[str]
    name: Mapped[str]
    media_type: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    details: Mapped[dict[str, Any]] = mapped_column(JSON())
    """Position and time that the photo itself states, and how far that is from where it should be."""


class Patrol(_Base):
    """A patrol (巡河记录) with its track."""

    __tablename__ = "river_patrol"
    __table_args__ = (Index("ix_river_patrol_started", "started"),)
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    at: Mapped[datetime]
    actor: Mapped[str]
    unit: Mapped[str | None]
    reach: Mapped[str | None]
    water: Mapped[str | None]
    started: Mapped[datetime]
    ended: Mapped[datetime]
    track: Mapped[dict[str, Any]]
    length_m: Mapped[float]
    note: Mapped[str] = mapped_column(default="")
    details: Mapped[dict[str, Any]]
    principal: Mapped[str | None]
    address: Mapped[str | None]


@dataclass(frozen=True, slots=True)
class CaseFilter:
    """What a list of cases asks for; None asks nothing."""

    states: tuple[str, ...] = ()
    unit: str | None = None
    kind: str | None = None
    water: str | None = None
    reach: str | None = None
    overdue: bool | None = None
    rebound: bool | None = None
    bbox: tuple[float, float, float, float] | None = None
    text: str | None = None

    def apply(self, query: Select[Any], now: datetime) -> Select[Any]:
        """The query with its conditions."""
        if self.states:
            query = query.where(Case.state.in_(self.states))
        for column, value in (
            (Case.unit, self.unit),
            (Case.kind, self.kind),
            (Case.water, self.water),
            (Case.reach, self.reach),
            (Case.rebound, self.rebound),
        ):
            if value is not None:
                query = query.where(column == value)
        if self.overdue is not None:
            late = (Case.state != "closed") & Case.due.is_not(None) & (Case.due < now)
            query = query.where(late if self.overdue else ~late)
        if self.bbox is not None:
            west, south, east, north = self.bbox
            query = query.where(Case.west <= east, Case.east >= west, Case.south <= north, Case.north >= south)
        if self.text is not None:
            fields = (Case.title, Case.description, Case.water, Case.unit, Case.chief)
            query = query.where(or_(*(field.icontains(self.text, autoescape=True) for field in fields)))
        return query


class CaseStore:
    """Reads and writes of the desk over one state database."""

    def __init__(self, state: State) -> None:
        self.state = state

    # --- cases ------------------------------------------------------------------------------------------------------

    def create(self, case: Case, event: CaseEvent, photos: Iterable[Photo] = ()) -> Case:
        """Insert a case with the first entry of its history and the pictures that it begins with.

        Raises
        ------
        StepNotAllowed
            If a case was made from the same feature of the same version before; nothing is written.
        """
        try:
            with self.state.session() as session:
                session.add(case)
                session.flush()
                event.case_id, event.version = case.id, case.version
                session.add(event)
                for photo in photos:
                    photo.case_id = case.id
                    session.add(photo)
        except IntegrityError as error:
            raise StepNotAllowed(
                f"图层 {case.source_layer}（版本 {case.source_version}）的要素 {case.source_feature} 已下发过图斑，未重复建立",
                f"feature {case.source_feature} of layer {case.source_layer} (version {case.source_version}) was issued as "
                "a case before; no second one was made",
                layer=case.source_layer,
                feature=case.source_feature,
                case=self._of_source(case.source_key),
            ) from error
        return case

    def _of_source(self, key: str | None) -> int | None:
        with self.state.session() as session:
            return session.scalar(select(Case.id).where(Case.source_key == key))

    def change(
        self, case_id: int, version: int | None, work: Callable[[Case, Session], CaseEvent]
    ) -> tuple[Case, CaseEvent]:
        """Change a case and write its history, in one transaction.

        Parameters
        ----------
        version : int or None
            The version that the caller read; None adds to whatever the case is now.
        work : callable
            Changes the case and gives the entry of its history; what it raises undoes everything.

        Raises
        ------
        FeatureNotFound, PreconditionFailed
        """
        with self.state.session() as session:
            # The write comes first: it takes the row (PostgreSQL) or the file (SQLite) until the transaction ends.
            taken = update(Case).where(Case.id == case_id)
            if version is not None:
                taken = taken.where(Case.version == version)
            found: Any = session.execute(
                taken.values(version=Case.version + 1).execution_options(synchronize_session=False)
            )
            case = session.get(Case, case_id, populate_existing=True)
            if case is None:
                raise _no_case(case_id)
            if not found.rowcount:
                raise PreconditionFailed(
                    f"图斑 {case.number} 在读取后已有新的办理（现为第 {case.version} 版），未写入；请重新读取再办",
                    f"case {case.number} was changed since it was read (now version {case.version}), nothing was written; "
                    "read it again",
                    case=case.id,
                    version=case.version,
                )
            event = work(case, session)
            event.case_id, event.version = case.id, case.version
            case.updated = event.at
            session.add(event)
        return case, event

    def case(self, case_id: int) -> Case:
        """One case; raises `FeatureNotFound`."""
        with self.state.session() as session:
            found = session.get(Case, case_id)
        if found is None:
            raise _no_case(case_id)
        return found

    def cases(
        self, wanted: CaseFilter, *, limit: int | None = None, offset: int = 0, now: datetime | None = None
    ) -> tuple[list[Case], int]:
        """Cases that match, the newest first, and how many match in all."""
        at = now or utc_now()
        query = wanted.apply(select(Case), at).order_by(Case.id.desc()).offset(offset)
        count = wanted.apply(select(func.count()).select_from(Case), at)
        with self.state.session() as session:
            rows = list(session.scalars(query if limit is None else query.limit(limit)).all())
            return rows, int(session.execute(count).scalar_one())

    def events(self, case_ids: Iterable[int] | None = None) -> list[CaseEvent]:
        """History of some cases (default: all), in the order in which it happened."""
        query = select(CaseEvent).order_by(CaseEvent.id)
        if case_ids is not None:
            query = query.where(CaseEvent.case_id.in_(list(case_ids)))
        with self.state.session() as session:
            return list(session.scalars(query).all())

    def units(self) -> list[str]:
        """Responsible units of the cases."""
        with self.state.session() as session:
            return sorted(unit for unit in session.scalars(select(Case.unit).distinct()) if unit)

    def sources(self, layer_id: str, version: str) -> set[str]:
        """Features of a version of a layer that were issued as cases."""
        query = select(Case.source_feature).where(Case.source_layer == layer_id, Case.source_version == version)
        with self.state.session() as session:
            return {feature for feature in session.scalars(query) if feature is not None}

    def not_shown(self) -> list[Case]:
        """Cases whose newest version the published layer does not show yet."""
        with self.state.session() as session:
            return list(session.scalars(select(Case).where(Case.shown < Case.version).order_by(Case.id)).all())

    def mark_shown(self, case_id: int, version: int) -> None:
        """Note the version of a case that the published layer shows."""
        with self.state.session() as session:
            session.execute(update(Case).where(Case.id == case_id, Case.shown < version).values(shown=version))

    # --- photos and patrols -----------------------------------------------------------------------------------------

    def photos(self, *, case_id: int | None = None, patrol_id: int | None = None) -> list[Photo]:
        """Photos of a case or of a patrol, the oldest first; without either all of them."""
        query = select(Photo).order_by(Photo.id)
        if case_id is not None:
            query = query.where(Photo.case_id == case_id)
        if patrol_id is not None:
            query = query.where(Photo.patrol_id == patrol_id)
        with self.state.session() as session:
            return list(session.scalars(query).all())

    def photos_of(self, case_ids: Iterable[int], roles: Iterable[str]) -> list[Photo]:
        """Photos of some cases in some roles, the oldest first."""
        query = select(Photo).where(Photo.case_id.in_(list(case_ids)), Photo.role.in_(list(roles))).order_by(Photo.id)
        with self.state.session() as session:
            return list(session.scalars(query).all())

    def photo(self, photo_id: int) -> Photo | None:
        """One photo, or None."""
        with self.state.session() as session:
            return session.get(Photo, photo_id)

    def hashes(self) -> set[str]:
        """SHA-256 of every photo."""
        with self.state.session() as session:
            return set(session.scalars(select(Photo.sha256)).all())

    def add[Row: Photo | Patrol](self, row: Row) -> Row:
        """Insert a photo of a patrol, or a patrol."""
        with self.state.session() as session:
            session.add(row)
        return row

    def patrol(self, patrol_id: int) -> Patrol:
        """One patrol; raises `FeatureNotFound`."""
        with self.state.session() as session:
            found = session.get(Patrol, patrol_id)
        if found is None:
            raise FeatureNotFound(f"没有巡河记录 {patrol_id}", f"no patrol {patrol_id}", patrol=patrol_id)
        return found

    def patrols(
        self,
        *,
        water: str | None = None,
        unit: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int | None = None,
    ) -> list[Patrol]:
        """Patrols, the newest first."""
        query = select(Patrol).order_by(Patrol.started.desc(), Patrol.id.desc())
        if water is not None:
            query = query.where(Patrol.water == water)
        if unit is not None:
            query = query.where(Patrol.unit == unit)
        if since is not None:
            query = query.where(Patrol.started >= since)
        if until is not None:
            query = query.where(Patrol.started < until)
        with self.state.session() as session:
            return list(session.scalars(query if limit is None else query.limit(limit)).all())


def _no_case(case_id: int) -> FeatureNotFound:
    return FeatureNotFound(f"没有图斑 {case_id}", f"no case {case_id}", case=case_id)
