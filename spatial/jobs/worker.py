"""The worker program (任务执行程序): claims jobs from the queue and has Dask execute them.

::

    queue (database) ── claim ──► this program ── submit ──► Dask worker process ── result ──► queue

Only as many jobs are claimed as Dask has threads, so that the waiting stay in the database where they can be dismissed
and survive everything. There are two crews (`spatial.jobs.crew`): the main one takes the oldest job of all lanes; while
it is full, a crew in reserve, in a process of its own on this machine, takes short jobs only. When a Dask worker dies,
its job goes back to the queue at once; when this program dies, its jobs fall silent and the next worker program takes
them over (`spatial.jobs.queue.reap`).
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from spatial.errors import ServiceUnavailable
from spatial.jobs import queue
from spatial.jobs.callbacks import Deliverer, Message
from spatial.jobs.crew import Crew, Reserve, main_crew, quiet_dask, reserve_crew
from spatial.jobs.execution import execute_claim
from spatial.jobs.queue import SHORT_LANES, Claim
from spatial.jobs.retention import prune_results
from spatial.settings import Settings
from spatial.store.state import State

__all__ = ["WorkerProgram"]

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
_PRUNE_EVERY_S = 600.0
_GRACE_S = 10.0
"""Time that a dismissed run has to stop by itself before its Dask worker process is restarted."""


@dataclass(slots=True)
class _Run:
    """A claimed job in the hands of a crew."""

    claim: Claim
    future: Any
    crew: Crew
    begun: float | None = None
    """When it was seen that its process computes; before that it loads its libraries."""
    gone_since: float | None = None
    """When it was seen that the claim is gone."""


class WorkerProgram:
    """One worker program. `run` works until `stop` is set.

    Parameters
    ----------
    settings : Settings
        ``dask_scheduler``, ``dask_workers``, ``short_workers``, ``short_limit_s``, ``job_heartbeat_s`` and
        ``job_lost_after_s`` matter here.
    ready : callable, optional
        Called once when jobs are accepted.
    message : callable, optional
        Makes the documents for subscribers; without it nobody is called back.
    """

    def __init__(
        self, settings: Settings, *, ready: Callable[[], None] = lambda: None, message: Message | None = None
    ) -> None:
        self.settings = settings
        self.id = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._ready = ready
        self._state = State(settings.state_address)
        self._running: list[_Run] = []
        self._main: Crew | None = None
        self._reserve: Reserve | None = None
        hosts = settings.callback_hosts
        self._deliverer = Deliverer(self._state, hosts, message) if message is not None and hosts else None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then give unfinished jobs back to the queue."""
        self._sweep()
        self._connect()
        queue.worker_beat(self._state, self.id)
        if self._deliverer is not None:
            self._deliverer.start()
        self._ready()
        beaten, pruned = 0.0, float("-inf")
        try:
            while not stop.is_set():
                try:
                    if time.monotonic() - beaten >= min(self.settings.job_heartbeat_s, 2.0):
                        beaten = time.monotonic()
                        queue.worker_beat(self._state, self.id)
                        self._keep_waiting_alive()
                        for crew in self._crews():
                            crew.count()
                        for job_id, status in queue.reap(
                            self._state, lost_after_s=self.settings.job_lost_after_s
                        ).items():
                            log.warning("job %s was lost by its worker: %s", job_id, status)
                    if time.monotonic() - pruned >= _PRUNE_EVERY_S:
                        pruned = time.monotonic()
                        self._prune()
                    self._collect()
                    self._fill()
                except ServiceUnavailable as error:
                    log.warning("%s", error.en)
                    stop.wait(2.0)
                stop.wait(_LOOK_EVERY_S)
        finally:
            self._leave()

    def _connect(self) -> None:
        quiet_dask()
        self._main = main_crew(self.settings)
        if self.settings.short_workers:
            self._reserve = reserve_crew(self.settings)

    def _crews(self) -> list[Crew]:
        return [crew for crew in (self._main, self._reserve) if crew is not None]

    def _free(self, crew: Crew) -> int:
        return max(crew.places - sum(run.crew is crew for run in self._running), 0)

    def _fill(self) -> None:
        """Give each free place a job: of the main crew the oldest of all, of the reserve the most urgent short one."""
        assert self._main is not None
        while self._free(self._main):
            if not self._start(self._main, queue.claim(self._state, self.id)):
                break
        reserve = self._reserve
        if reserve is None:
            return
        busy = any(run.crew is reserve for run in self._running)
        reserve.stand_by(not self._free(self._main), busy=busy)
        while self._free(reserve):
            if not self._start(reserve, queue.claim(self._state, self.id, lanes=SHORT_LANES, oldest=False)):
                reserve.warm_up()
                break

    def _start(self, crew: Crew, claim: Claim | None) -> bool:
        if claim is None:
            return False
        key = f"job-{claim.job_id}-{claim.attempt}"
        future = crew.submit(execute_claim, claim.job_id, claim.attempt, claim.worker, key=key)
        self._running.append(_Run(claim, future, crew))
        log.info("job %s attempt %d started", claim.job_id, claim.attempt)
        return True

    def _keep_waiting_alive(self) -> None:
        # A claimed job that Dask has not started yet has no pulse of its own; once it has, this touches nothing.
        for run in self._running:
            queue.beat(self._state, run.claim)

    def _collect(self) -> None:
        for run in list(self._running):
            if run.future.done():
                self._running.remove(run)
                self._settle(run)
            else:
                self._stop_if_gone(run)

    def _settle(self, run: _Run) -> None:
        claim, future = run.claim, run.future
        if future.status == "finished":
            log.info("job %s attempt %d: %s", claim.job_id, claim.attempt, future.result())
            return
        # The process died, or it could not even write the reason of its failure.
        reason = type(future.exception()).__name__ if future.status == "error" else future.status
        status = queue.give_back(
            self._state,
            claim.job_id,
            claim.attempt,
            zh=f"执行进程意外中止（{reason}）",
            en=f"its worker process stopped unexpectedly ({reason})",
        )
        log.warning("job %s attempt %d: %s; %s", claim.job_id, claim.attempt, reason, status)

    def _stop_if_gone(self, run: _Run) -> None:
        """Stop the run of a job that was dismissed or given to others; restart its process if it does not stop by itself."""
        claim, now = run.claim, time.monotonic()
        if run.gone_since is None:
            job = queue.get(self._state, claim.job_id)
            if job.attempt == claim.attempt and job.status in {"successful", "failed"}:
                return  # written a moment ago; the task is about to end
            if job.attempt != claim.attempt or job.status != "running":
                run.gone_since = now
            elif run.begun is None:
                run.begun = now if job.worker != claim.worker else None  # its process has taken it over
            elif run.crew is self._reserve and now - run.begun > self.settings.short_limit_s:
                self._make_room(claim)
            return
        if now - run.gone_since < _GRACE_S:
            return
        if run.crew.restart(run.future):
            log.warning("job %s did not stop within %g s; its process was restarted", claim.job_id, _GRACE_S)
            self._running.remove(run)

    def _make_room(self, claim: Claim) -> None:
        """Move a run that proved long out of the reserve, if a short job waits for its place."""
        if queue.are_waiting(self._state, SHORT_LANES):
            # The run finds its claim gone and stops, as if it were dismissed.
            queue.move_to_long(self._state, claim.job_id, claim.attempt)
            log.warning("job %s takes longer than %g s; it begins again", claim.job_id, self.settings.short_limit_s)

    def _sweep(self) -> None:
        """Remove scratch folders of jobs that are not running (their process was killed)."""
        jobs, _ = queue.list_jobs(self._state, status=("running", "accepted"), limit=10_000)
        alive = {job.id for job in jobs}
        for folder in (self.settings.var_dir / "scratch").glob("*"):
            old = time.time() - folder.stat().st_mtime > 3600  # a library run may be working in a younger one
            if old and folder.name.rpartition("-")[0] not in alive:
                shutil.rmtree(folder, ignore_errors=True)

    def _prune(self) -> None:
        """Remove old unpublished results."""
        prune_results(self._state, self.settings.var_dir / "results", keep_hours=self.settings.results_keep_hours)

    def _leave(self) -> None:
        if self._deliverer is not None:
            self._deliverer.stop()
        for run in self._running:
            run.future.cancel()
        # Processes first: a job must not be given back while its run still goes on.
        for crew in self._crews():
            crew.close()
        try:
            for run in self._running:
                queue.give_back(
                    self._state, run.claim.job_id, run.claim.attempt, zh="执行程序停止", en="its worker was stopped"
                )
            queue.worker_leaves(self._state, self.id)
        except ServiceUnavailable as error:
            log.warning("%s", error.en)
        self._state.close()
