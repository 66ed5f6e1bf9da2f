"""State (运行状态): which versions of which layers are published, and the jobs. SQLite by default, PostgreSQL in production.

One SQLAlchemy model and alembic serve both. Published versions are immutable; publishing inserts a version row and flips
the one row of `CurrentVersion`, in one transaction that also raises the catalogue's revision. Readers compare that
revision at each request, so every process sees a publication at once and never a mix.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Engine,
    Index,
    create_engine,
    delete,
    event,
    select,
    text,
    true,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.types import TypeDecorator

from spatial.errors import QualityViolation, StoreUnavailable
from spatial.store.beacon import Beacon

__all__ = [
    "AuditEntry",
    "Callback",
    "CurrentVersion",
    "Job",
    "LayerVersion",
    "Revision",
    "StaleVersion",
    "State",
    "Worker",
    "utc_now",
]

HEAD = "0007"
"""Newest migration; a test compares it with the alembic scripts."""
_ASK_AGAIN_S = 0.25
"""How long a revision is taken from the beacon: a change that was not made by this program is seen after that."""


def utc_now() -> datetime:
    """Now, in UTC, with its zone."""
    return datetime.now(UTC)


class StaleVersion(Exception):
    """The version that was to be replaced is no longer the current one; read again and try again."""


class _UtcDateTime(TypeDecorator[datetime]):
    """A time stored in UTC and read back with its zone (SQLite keeps none)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Base(DeclarativeBase):
    type_annotation_map = {datetime: _UtcDateTime(), dict[str, Any]: JSON()}  # noqa: RUF012 - SQLAlchemy reads it


class Revision(_Base):
    """The one row that says how often the catalogue changed (目录修订号)."""

    __tablename__ = "catalogue_revision"
    id: Mapped[int] = mapped_column(primary_key=True)
    revision: Mapped[int]
    changed: Mapped[datetime]


class LayerVersion(_Base):
    """One immutable published version of a layer (图层版本)."""

    __tablename__ = "layer_version"
    layer_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    published: Mapped[datetime]
    sha256: Mapped[str | None]
    definition: Mapped[dict[str, Any]]
    """The layer as it was defined then."""
    location: Mapped[dict[str, Any]]
    """Where the store holds it and what it measured: table or path, count, extent, …"""


class CurrentVersion(_Base):
    """The row that publishing flips."""

    __tablename__ = "layer_current"
    layer_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str]
    changed: Mapped[datetime]


class Job(_Base):
    """A job (任务); its row outlives every process."""

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_status_created", "status", "created"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    process: Mapped[str]
    status: Mapped[str]
    """accepted, running, successful, failed or dismissed."""
    created: Mapped[datetime]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    updated: Mapped[datetime]
    """Last sign of life."""
    progress: Mapped[float] = mapped_column(default=0.0)
    message: Mapped[str] = mapped_column(default="")
    parameters: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON())
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON())
    """Problem document of a failed job."""
    worker: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(default=0)
    owner: Mapped[str | None]
    lane: Mapped[str] = mapped_column(default="long")
    """interactive, short or long; see `spatial.jobs.lanes`."""


class Worker(_Base):
    """A program that executes jobs (任务执行程序), alive while `updated` is recent."""

    __tablename__ = "worker"
    id: Mapped[str] = mapped_column(primary_key=True)
    started: Mapped[datetime]
    updated: Mapped[datetime]
    """Last sign of life."""


class Callback(_Base):
    """A message that a job owes to its subscriber (回调通知); its row outlives every process."""

    __tablename__ = "job_callback"
    __table_args__ = (Index("ix_job_callback_open", "closed", "due"),)
    job_id: Mapped[str] = mapped_column(primary_key=True)
    event: Mapped[str] = mapped_column(primary_key=True)
    """success, inProgress or failed."""
    address: Mapped[str]
    base: Mapped[str]
    """Address before every link of the message: the one that the client used."""
    language: Mapped[str]
    due: Mapped[datetime]
    """Not to be sent before."""
    attempts: Mapped[int] = mapped_column(default=0)
    closed: Mapped[datetime | None]
    """Delivered, given up, or no longer needed."""
    note: Mapped[str] = mapped_column(default="")


class AuditEntry(_Base):
    """One change of one feature (编辑审计); written together with the version that it made, never changed."""

    __tablename__ = "edit_audit"
    __table_args__ = (Index("ix_edit_audit_feature", "layer_id", "fid", "id"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    layer_id: Mapped[str]
    base_version: Mapped[str]
    """Version that was changed."""
    version: Mapped[str]
    """Version that the change made."""
    fid: Mapped[int] = mapped_column(BigInteger)
    action: Mapped[str]
    """create, replace, update or delete."""
    principal: Mapped[str | None]
    """Name that the editor gave (user name of HTTP Basic)."""
    address: Mapped[str | None]
    """Network address that the request came from."""
    before_hash: Mapped[str | None]
    after_hash: Mapped[str | None]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON())
    """GeoJSON feature in CRS84; none for a new one."""
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON())


class State:
    """The state database of one process.

    Parameters
    ----------
    address : str
        SQLAlchemy address, ``sqlite:///…`` or ``postgresql+psycopg://…``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        if address.startswith("sqlite:///"):
            Path(address.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = {"connect_args": {"timeout": 15}}
        else:
            options = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 3}}
        self.engine: Engine = create_engine(address, **options)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _sqlite_pragmas)
        self._reader: sqlite3.Connection | None = None
        self._beacon: Beacon | None = None
        if self.engine.dialect.name == "sqlite":
            self._beacon = Beacon(Path(address.removeprefix("sqlite:///") + ".mark"))
        self._known: tuple[bytes, int, float] | None = None
        """Mark of the beacon, revision, and until when it is believed."""
        self._lock = threading.Lock()
        self._editors: dict[str, threading.Lock] = {}
        with _unavailable():
            self._migrate()

    def _migrate(self) -> None:
        if self._schema_version() == HEAD:
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
        with self.exclusive(), self.engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    def _schema_version(self) -> str | None:
        from sqlalchemy import inspect

        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One process at a time: a file lock beside SQLite, an advisory lock in PostgreSQL. Not re-entrant."""
        if self.engine.dialect.name == "sqlite":
            import fcntl

            with open(self.address.removeprefix("sqlite:///") + ".lock", "w") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                yield
        else:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT pg_advisory_lock(4490)"))
                try:
                    yield
                finally:
                    connection.execute(text("SELECT pg_advisory_unlock(4490)"))

    @contextmanager
    def editing(self, layer_id: str, wait_s: float = 20.0) -> Iterator[None]:
        """One editor of a layer at a time, over all processes; it ends with the process that holds it.

        Raises
        ------
        StoreUnavailable
            If another edit of the layer takes longer than `wait_s`.
        """
        deadline = time.monotonic() + wait_s
        with self._lock:
            mine = self._editors.setdefault(layer_id, threading.Lock())
        # One thread of this process at a time: the others need no connection while they wait.
        while not mine.acquire(timeout=0.05):
            _wait_until(deadline, layer_id)
        try:
            with self._editing(layer_id, deadline):
                yield
        finally:
            mine.release()

    @contextmanager
    def _editing(self, layer_id: str, deadline: float) -> Iterator[None]:
        if self.engine.dialect.name == "sqlite":
            import fcntl

            with open(f"{self.address.removeprefix('sqlite:///')}.{layer_id}.lock", "w") as handle:
                while True:
                    try:
                        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        break
                    except BlockingIOError:
                        _wait_until(deadline, layer_id)
                yield
        else:
            with _unavailable(), self.engine.connect() as connection:
                key = {"key": f"onemap edit {layer_id}"}
                while not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:key))"), key):
                    _wait_until(deadline, layer_id)
                try:
                    yield
                finally:
                    connection.execute(text("SELECT pg_advisory_unlock(hashtext(:key))"), key)

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction; a database that is away raises `StoreUnavailable`."""
        with _unavailable(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def revision(self) -> int:
        """Catalogue revision now; SQLite is asked only if something was published meanwhile (`spatial.store.beacon`)."""
        beacon = self._beacon
        if beacon is None:
            with _unavailable(), self.engine.connect() as connection:
                return int(connection.execute(text("SELECT revision FROM catalogue_revision")).scalar_one())
        mark, known = beacon.mark(), self._known
        if known is not None and known[0] == mark and time.monotonic() < known[2]:
            return known[1]
        with self._lock:
            try:
                if self._reader is None:
                    self._reader = sqlite3.connect(
                        self.address.removeprefix("sqlite:///"),
                        timeout=15,
                        check_same_thread=False,
                        isolation_level=None,
                    )
                row = self._reader.execute("SELECT revision FROM catalogue_revision").fetchone()
            except sqlite3.Error as error:
                self._reader = None
                raise _state_away(error) from error
        found = int(row[0])
        if mark is not None and beacon.mark() == mark:
            self._known = mark, found, time.monotonic() + _ASK_AGAIN_S
        return found

    def publish(
        self,
        layer_id: str,
        version: str,
        *,
        definition: Mapping[str, Any],
        location: Mapping[str, Any],
        sha256: str | None,
        replaces: str | None = None,
        audit: Sequence[AuditEntry] = (),
        current: bool = True,
    ) -> None:
        """Insert a version row, flip the current row and raise the revision: one transaction.

        Parameters
        ----------
        replaces : str, optional
            The version that must still be the current one.
        audit : sequence of AuditEntry
            What an edit changed; written in the same transaction.
        current : bool
            Whether the version becomes the current one; the first version of a layer always does.

        Raises
        ------
        QualityViolation
            If the version exists already (versions are immutable).
        StaleVersion
            If `replaces` is no longer the current version; nothing is written.
        """
        now = utc_now()
        try:
            with self.session() as session:
                if replaces is not None and not self._still_current(session, layer_id, replaces):
                    raise StaleVersion(layer_id)
                session.add(
                    LayerVersion(
                        layer_id=layer_id,
                        version=version,
                        published=now,
                        sha256=sha256,
                        definition=dict(definition),
                        location=dict(location),
                    )
                )
                session.add_all(audit)
                session.flush()
                if current or session.get(CurrentVersion, layer_id) is None:
                    self._flip(session, layer_id, version, now)
                else:
                    self._raise_revision(session, now)
        except IntegrityError as error:
            raise QualityViolation(
                f"图层 {layer_id} 的版本 {version} 已发布且不可改；请提高 source.version",
                f"layer {layer_id}: version {version} is published and immutable; raise source.version",
                layer=layer_id,
            ) from error

    @staticmethod
    def _still_current(session: Session, layer_id: str, version: str) -> bool:
        # An update that changes nothing locks the row in PostgreSQL and the file in SQLite until the transaction ends.
        same = update(CurrentVersion).where(CurrentVersion.layer_id == layer_id, CurrentVersion.version == version)
        found: Any = session.execute(same.values(version=version))
        return bool(found.rowcount)

    def flip(self, layer_id: str, version: str) -> None:
        """Make an existing version the current one (also: go back to an old one)."""
        with self.session() as session:
            self._flip(session, layer_id, version, utc_now())

    def withdraw(self, layer_id: str) -> None:
        """Take a computed layer out of the catalogue; its version rows and files stay."""
        with self.session() as session:
            session.execute(delete(CurrentVersion).where(CurrentVersion.layer_id == layer_id))
            self._raise_revision(session, utc_now())

    def _flip(self, session: Session, layer_id: str, version: str, now: datetime) -> None:
        current = session.get(CurrentVersion, layer_id)
        if current is None:
            session.add(CurrentVersion(layer_id=layer_id, version=version, changed=now))
        else:
            current.version, current.changed = version, now
        self._raise_revision(session, now)

    def _raise_revision(self, session: Session, now: datetime) -> None:
        session.execute(update(Revision).values(revision=Revision.revision + 1, changed=now))
        if self._beacon is not None:
            # The statement above has taken the write lock.
            beacon, number = self._beacon, self._beacon.begin()
            for ending in ("after_commit", "after_rollback"):
                event.listen(session, ending, lambda _: beacon.end(number), once=True)

    def current(self) -> tuple[int, list[LayerVersion]]:
        """Revision and the current version of every layer; one statement, so both are of the same moment."""
        rows = (
            select(Revision.revision, LayerVersion)
            .select_from(Revision)
            .join(CurrentVersion, true(), isouter=True)
            .join(
                LayerVersion,
                (CurrentVersion.layer_id == LayerVersion.layer_id) & (CurrentVersion.version == LayerVersion.version),
                isouter=True,
            )
        )
        with self.session() as session:
            found = session.execute(rows).all()
            return found[0][0], [row for _, row in found if row is not None]

    def versions(self, layer_id: str) -> list[LayerVersion]:
        """Every version of a layer, newest first."""
        with self.session() as session:
            query = select(LayerVersion).where(LayerVersion.layer_id == layer_id)
            return list(session.scalars(query.order_by(LayerVersion.published.desc())).all())

    def version(self, layer_id: str, version: str) -> LayerVersion | None:
        """One version of a layer, or None."""
        with self.session() as session:
            return session.get(LayerVersion, (layer_id, version))

    def close(self) -> None:
        """Give every connection back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self.engine.dispose()


def _wait_until(deadline: float, layer_id: str) -> None:
    if time.monotonic() > deadline:
        raise StoreUnavailable(
            f"图层 {layer_id} 正被另一项编辑占用，请稍后重试",
            f"another edit of layer {layer_id} is still under way; try again",
            layer=layer_id,
        )
    time.sleep(0.01)


def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    # WAL: readers never wait for a publication; NORMAL is safe against a crash of the process.
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _state_away(error: BaseException) -> StoreUnavailable:
    return StoreUnavailable(
        "状态库无法访问，请检查 ONEMAP_STATE_URL 或 ONEMAP_VAR_DIR",
        "the state database cannot be reached; check ONEMAP_STATE_URL or ONEMAP_VAR_DIR",
        reason=type(error).__name__,
    )


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except IntegrityError:
        raise
    except DBAPIError as error:
        raise _state_away(error) from error
