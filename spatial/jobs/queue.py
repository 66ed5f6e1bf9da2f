"""The durable queue (任务队列): functions over the job rows, one short transaction each.

A row goes ``accepted → running → successful | failed | dismissed``; a lost run goes back to ``accepted``. Each row waits in
one lane (`LANES`), so that short work does not stand behind long work. Who may write
to a running row is decided by the pair (`worker`, `attempt`): every claim raises `attempt`, so a run that was given up
(its process hung, its network broke) finds its pair gone and can neither finish the job nor publish a result. Each write
is one ``UPDATE … WHERE`` whose row count tells whether it was allowed; this is the same on SQLite and PostgreSQL.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import CursorResult, and_, case, delete, func, insert, literal, select, update
from sqlalchemy.orm import Session

from spatial.errors import JobNotFound, QueueFull
from spatial.store.state import Job, State, Worker, utc_now

__all__ = [
    "FINAL",
    "LANES",
    "MAX_ATTEMPTS",
    "SHORT_LANES",
    "STATUSES",
    "Claim",
    "JobDismissed",
    "Lane",
    "are_waiting",
    "beat",
    "claim",
    "dismiss",
    "fail",
    "finish",
    "get",
    "give_back",
    "is_mine",
    "list_jobs",
    "move_to_long",
    "reap",
    "submit",
    "submit_claimed",
    "take_over",
    "worker_alive",
    "worker_beat",
    "worker_leaves",
]

STATUSES = ("accepted", "running", "successful", "failed", "dismissed")
FINAL = ("successful", "failed", "dismissed")
Lane = Literal["interactive", "short", "long"]
LANES: tuple[Lane, ...] = ("interactive", "short", "long")
"""Lanes of the queue (`spatial.jobs.lanes`): short with a caller who waits, short, and everything else."""
SHORT_LANES: tuple[Lane, ...] = LANES[:2]
MAX_ATTEMPTS = 3
"""A job whose worker is lost this often fails: most likely it is the job that kills its worker."""


class JobDismissed(Exception):
    """Raised by the progress callback: the job was dismissed, or is no longer this run's. Stop at once."""


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to execute a job: valid as long as the row still names this worker and this attempt."""

    job_id: str
    worker: str
    attempt: int


def _mine(held: Claim) -> Any:
    return and_(Job.id == held.job_id, Job.status == "running", Job.worker == held.worker, Job.attempt == held.attempt)


def _changed(session: Session, statement: Any) -> int:
    result = session.execute(statement, execution_options={"synchronize_session": False, "preserve_rowcount": True})
    assert isinstance(result, CursorResult)
    return int(result.rowcount)


def submit(
    state: State,
    process: str,
    inputs: Mapping[str, Any],
    *,
    limit: int,
    publish: bool = False,
    answer: Mapping[str, Any] | None = None,
    layers: Mapping[str, str] | None = None,
    subscriber: Mapping[str, str] | None = None,
    base: str = "",
    language: str = "zh",
    owner: str | None = None,
    job_id: str | None = None,
    lane: Lane = "long",
) -> Job:
    """Put a job into the queue.

    Parameters
    ----------
    inputs : mapping
        Parameters of the process, already checked, JSON-able.
    limit : int
        Most jobs that may wait in one lane (`Settings.queue_limit`): long work that fills its lane shuts out no short work.
    publish : bool
        Publish the result rasters as layers.
    answer : mapping, optional
        Form in which the caller wants the results; only kept.
    layers : mapping, optional
        Role of an input → layer that takes the place of its usual one.
    subscriber : mapping, optional
        Event → address that is told of it (`spatial.jobs.callbacks`), with links below `base` and in `language`.
    lane : str
        Where it waits; `spatial.jobs.lanes.lane_of` tells.

    Raises
    ------
    QueueFull
        If `limit` jobs wait in the lane already; nothing is written.
    """
    job_id = job_id or str(uuid.uuid4())
    now = utc_now()
    row = {
        "id": job_id,
        "process": process,
        "status": "accepted",
        "created": now,
        "updated": now,
        "progress": 0.0,
        "message": "排队中 waiting in the queue",
        "parameters": {
            "inputs": dict(inputs),
            "publish": publish,
            "answer": dict(answer or {}),
            **({"layers": dict(layers)} if layers else {}),
        },
        "attempt": 0,
        "owner": owner,
        "lane": lane,
    }
    columns = Job.__table__.c
    waits = and_(Job.status == "accepted", Job.lane == lane)
    waiting = select(func.count()).select_from(Job).where(waits).scalar_subquery()
    # One statement, so that two callers cannot both see the last free place (SQLite serialises writers).
    values = select(*(literal(value, columns[name].type).label(name) for name, value in row.items()))
    with state.session() as session:
        placed = _changed(session, insert(Job).from_select(list(row), values.where(waiting < limit)))
        if placed and subscriber:
            from spatial.jobs.callbacks import owe

            owe(session, job_id, subscriber, base=base, language=language)
    if not placed:
        raise QueueFull(
            f"任务队列已满（{limit} 个等待中），请稍后重试，或取消不需要的任务",
            f"the job queue is full ({limit} waiting); try again later or dismiss a job that is not needed",
            limit=limit,
        )
    return get(state, job_id)


def submit_claimed(state: State, process: str, inputs: Mapping[str, Any], *, worker: str) -> Claim:
    """Enter a job that the caller executes himself at once; it never waits, so no worker can claim it."""
    job_id, now = str(uuid.uuid4()), utc_now()
    with state.session() as session:
        session.add(
            Job(
                id=job_id,
                process=process,
                status="running",
                created=now,
                started=now,
                updated=now,
                message="正在执行 running",
                parameters={"inputs": dict(inputs), "publish": False, "answer": {}},
                worker=worker,
                attempt=MAX_ATTEMPTS,  # nobody else may try it again: its caller has gone
            )
        )
    return Claim(job_id, worker, MAX_ATTEMPTS)


def get(state: State, job_id: str) -> Job:
    """The row of a job.

    Raises
    ------
    JobNotFound
        If there is none of this id.
    """
    job = None
    if "\x00" not in job_id:  # PostgreSQL refuses it
        with state.session() as session:
            job = session.get(Job, job_id)
    if job is None:
        raise JobNotFound(f"没有任务 {job_id!r}", f"no job {job_id!r}", job=job_id)
    return job


def list_jobs(
    state: State,
    *,
    limit: int = 100,
    offset: int = 0,
    status: tuple[str, ...] = (),
    process: tuple[str, ...] = (),
    owner: str | None = None,
    created: tuple[datetime | None, datetime | None] = (None, None),
    seconds: tuple[int | None, int | None] = (None, None),
) -> tuple[list[Job], int]:
    """Jobs, newest first, and how many match.

    Parameters
    ----------
    created : tuple of datetime or None
        First and last time of submission, both included.
    seconds : tuple of int or None
        Shortest and longest duration, both included: from start to end, of a running job to now. A job that never
        started has none and is left out where one of them is given.
    """
    conditions: list[Any] = []
    first, last = created
    if first is not None:
        conditions.append(Job.created >= first)
    if last is not None:
        conditions.append(Job.created <= last)
    if status:
        conditions.append(Job.status.in_(status))
    if process:
        conditions.append(Job.process.in_([name for name in process if "\x00" not in name]))
    if owner is not None:
        conditions.append(Job.owner == owner)
    newest = (Job.created.desc(), Job.id)
    if seconds == (None, None):
        with state.session() as session:
            matched = session.scalar(select(func.count()).select_from(Job).where(*conditions)) or 0
            return list(
                session.scalars(select(Job).where(*conditions).order_by(*newest).limit(limit).offset(offset))
            ), matched
    # Differences of times are written differently in every database; the rows are few.
    now, (least, most) = utc_now(), seconds
    with state.session() as session:
        begun = select(Job.id, Job.started, Job.finished).where(*conditions, Job.started.is_not(None)).order_by(*newest)
        lasted = [(row.id, ((row.finished or now) - row.started).total_seconds()) for row in session.execute(begun)]
        ids = [i for i, s in lasted if (least or 0) <= s and (most is None or s <= most)]
        # Only those of the page by name: a database takes some ten thousands at most.
        page = select(Job).where(Job.id.in_(ids[offset : offset + limit])).order_by(*newest)
        return list(session.scalars(page)), len(ids)


def claim(state: State, worker: str, *, lanes: tuple[Lane, ...] = LANES, oldest: bool = True) -> Claim | None:
    """Take a waiting job for `worker`, or None. No two workers ever get the same attempt.

    Parameters
    ----------
    lanes : tuple of str
        Only of these lanes.
    oldest : bool
        The oldest of them all; False: of the first lane that has one, its oldest.
    """
    order = (
        (Job.created, Job.id) if oldest else (case({n: i for i, n in enumerate(lanes)}, value=Job.lane), Job.created)
    )
    waits = and_(Job.status == "accepted", Job.lane.in_(lanes))
    while True:
        with state.session() as session:
            found = session.execute(select(Job.id, Job.attempt).where(waits).order_by(*order).limit(1)).first()
        if found is None:
            return None
        now = utc_now()
        with state.session() as session:
            taken = _changed(
                session,
                update(Job)
                .where(Job.id == found.id, Job.status == "accepted", Job.attempt == found.attempt)
                .values(
                    status="running",
                    worker=worker,
                    attempt=found.attempt + 1,
                    started=func.coalesce(Job.started, now),
                    updated=now,
                    message="已分配 handed to a worker",
                ),
            )
        if taken:
            return Claim(found.id, worker, found.attempt + 1)


def are_waiting(state: State, lanes: tuple[Lane, ...]) -> bool:
    """True if a job waits in one of the lanes."""
    waits = and_(Job.status == "accepted", Job.lane.in_(lanes))
    with state.session() as session:
        return session.scalar(select(Job.id).where(waits).limit(1)) is not None


def take_over(state: State, held: Claim, runner: str) -> Claim | None:
    """Turn the claim of a worker into that of the process that really computes; None if somebody else has it.

    Dask may start a task twice (a worker that it believes dead); only the first start gets through here.
    """
    with state.session() as session:
        taken = _changed(session, update(Job).where(_mine(held)).values(worker=runner, updated=utc_now()))
    return Claim(held.job_id, runner, held.attempt) if taken else None


def is_mine(state: State, held: Claim) -> bool:
    """True while the claim is valid."""
    with state.session() as session:
        return session.scalar(select(Job.id).where(_mine(held))) is not None


def beat(state: State, held: Claim, *, progress: float | None = None, message: str | None = None) -> bool:
    """Sign of life, with or without progress; False if the claim is no longer valid."""
    values: dict[str, Any] = {"updated": utc_now()}
    if progress is not None:
        values["progress"] = min(max(progress, 0.0), 1.0)
    if message is not None:
        values["message"] = message
    with state.session() as session:
        return _changed(session, update(Job).where(_mine(held)).values(**values)) == 1


def finish(state: State, held: Claim, result: Mapping[str, Any]) -> bool:
    """Write the result, if the claim is still valid."""
    return _end(state, held, status="successful", result=dict(result), error=None, progress=1.0, message="完成 done")


def fail(state: State, held: Claim, problem: Mapping[str, Any]) -> bool:
    """Write the reason of the failure, if the claim is still valid."""
    message = str(problem.get("detail", ""))[:500]
    return _end(state, held, status="failed", error=dict(problem), message=message)


def _end(state: State, held: Claim, **values: Any) -> bool:
    """Write the end of a job, if the claim is still valid."""
    now = utc_now()
    with state.session() as session:
        return _changed(session, update(Job).where(_mine(held)).values(**values, finished=now, updated=now)) == 1


def give_back(state: State, job_id: str, attempt: int, *, zh: str, en: str) -> str | None:
    """End the attempt of a lost run: back to the queue, or failed after `MAX_ATTEMPTS`.

    Returns
    -------
    str or None
        The new status, or None if the row had moved on already.
    """
    now = utc_now()
    lost = and_(Job.id == job_id, Job.status == "running", Job.attempt == attempt)
    if attempt < MAX_ATTEMPTS:
        values: dict[str, Any] = {
            "status": "accepted",
            "worker": None,
            "updated": now,
            "progress": 0.0,
            "message": f"{zh}，重新排队 / {en}; queued again",
        }
    else:
        detail_zh, detail_en = f"{zh}；已尝试 {attempt} 次，不再重试", f"{en}; gave up after {attempt} attempts"
        values = {
            "status": "failed",
            "finished": now,
            "updated": now,
            "message": f"{detail_zh} / {detail_en}",
            "error": {
                "type": "urn:onemap:error:WorkerLost",
                "title": "WorkerLost",
                "status": 500,
                "detail": f"{detail_zh} / {detail_en}",
                "detail_zh": detail_zh,
                "detail_en": detail_en,
            },
        }
    with state.session() as session:
        moved = _changed(session, update(Job).where(lost).values(**values))
    return str(values["status"]) if moved else None


def move_to_long(state: State, job_id: str, attempt: int) -> bool:
    """End the attempt of a run that proved too long for its lane; it begins again in the lane for long jobs."""
    overdue = and_(Job.id == job_id, Job.status == "running", Job.attempt == attempt)
    with state.session() as session:
        return bool(
            _changed(
                session,
                update(Job)
                .where(overdue)
                .values(
                    status="accepted",
                    lane="long",
                    worker=None,
                    updated=utc_now(),
                    progress=0.0,
                    message="比预计时间长，改排长任务队列 / takes longer than foreseen; queued among the long jobs",
                ),
            )
        )


def reap(state: State, *, lost_after_s: float) -> dict[str, str]:
    """Find running jobs without a sign of life and end their attempts; id → new status."""
    horizon = utc_now() - timedelta(seconds=lost_after_s)
    with state.session() as session:
        silent = session.execute(
            select(Job.id, Job.attempt).where(Job.status == "running", Job.updated < horizon)
        ).all()
    moved = {}
    for row in silent:
        status = give_back(
            state,
            row.id,
            row.attempt,
            zh=f"执行程序 {lost_after_s:g} 秒无响应",
            en=f"its worker gave no sign of life for {lost_after_s:g} s",
        )
        if status:
            moved[row.id] = status
    return moved


def dismiss(state: State, job_id: str) -> Job:
    """Dismiss a job: a waiting one never starts, a running one stops, a finished one loses its result document."""
    now = utc_now()
    with state.session() as session:
        _changed(
            session,
            update(Job)
            .where(Job.id == job_id, Job.status != "dismissed")
            .values(
                status="dismissed",
                message="已取消 dismissed",
                result=None,
                finished=func.coalesce(Job.finished, now),
                updated=now,
            ),
        )
    return get(state, job_id)


def worker_beat(state: State, worker: str) -> None:
    """Sign of life of a worker program; the first one registers it."""
    now = utc_now()
    with state.session() as session:
        if not _changed(session, update(Worker).where(Worker.id == worker).values(updated=now)):
            session.add(Worker(id=worker, started=now, updated=now))


def worker_leaves(state: State, worker: str) -> None:
    """Take a worker off the list (clean stop)."""
    with state.session() as session:
        session.execute(delete(Worker).where(Worker.id == worker))


def worker_alive(state: State, *, lost_after_s: float) -> bool:
    """True if at least one worker program gave a sign of life recently."""
    horizon = utc_now() - timedelta(seconds=lost_after_s)
    with state.session() as session:
        return session.scalar(select(func.count()).select_from(Worker).where(Worker.updated >= horizon)) != 0
