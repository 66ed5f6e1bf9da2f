"""The worker program (任务执行程序): claims jobs from the queue and has Dask execute them.

::

    queue (database) ── claim ──► this program ── submit ──► Dask worker process ── result ──► queue

Only as many jobs are claimed as Dask has threads, so that the waiting stay in the database where they can be dismissed
and survive everything. When a Dask worker dies, its job goes back to the queue at once; when this program dies, its jobs
fall silent and the next worker program takes them over (`spatial.jobs.queue.reap`).
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
from typing import Any

from spatial.errors import ServiceUnavailable
from spatial.jobs import queue
from spatial.jobs.callbacks import Deliverer, Message
from spatial.jobs.execution import execute_claim, warm_up
from spatial.jobs.queue import Claim
from spatial.jobs.retention import prune_results
from spatial.settings import Settings
from spatial.store.state import State

__all__ = ["WorkerProgram"]

log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.2
_PRUNE_EVERY_S = 600.0
_GRACE_S = 10.0
"""Time that a dismissed run has to stop by itself before its Dask worker process is restarted."""


class WorkerProgram:
    """One worker program. `run` works until `stop` is set.

    Parameters
    ----------
    settings : Settings
        ``dask_scheduler``, ``dask_workers``, ``job_heartbeat_s``, ``job_lost_after_s`` matter here.
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
        self._running: dict[str, tuple[Claim, Any]] = {}
        self._gone_since: dict[str, float] = {}
        self._client: Any = None
        self._cluster: Any = None
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
        beaten, capacity, pruned = 0.0, 0, float("-inf")
        try:
            while not stop.is_set():
                try:
                    if time.monotonic() - beaten >= min(self.settings.job_heartbeat_s, 2.0):
                        beaten = time.monotonic()
                        queue.worker_beat(self._state, self.id)
                        self._keep_waiting_alive()
                        capacity = self._capacity()
                        for job_id, status in queue.reap(
                            self._state, lost_after_s=self.settings.job_lost_after_s
                        ).items():
                            log.warning("job %s was lost by its worker: %s", job_id, status)
                    if time.monotonic() - pruned >= _PRUNE_EVERY_S:
                        pruned = time.monotonic()
                        self._prune()
                    self._collect()
                    self._fill(capacity)
                except ServiceUnavailable as error:
                    log.warning("%s", error.en)
                    stop.wait(2.0)
                stop.wait(_LOOK_EVERY_S)
        finally:
            self._leave()

    def _connect(self) -> None:
        import dask
        import distributed

        # Its own configuration is loud at import; what matters of a lost process is in our log.
        logging.getLogger("distributed").setLevel(logging.CRITICAL)
        # Untyped library.
        client: Any = distributed.Client
        cluster: Any = distributed.LocalCluster
        forget: Any = distributed.fire_and_forget

        # A task whose process died is not started again by Dask: the queue decides, with its count of attempts.
        # Its web pages stay shut but for the sign of health. Its profilers wake every process a hundred times a second,
        # which an idle service pays for all day.
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 0,
                "distributed.scheduler.work-stealing": False,
                "distributed.scheduler.http.routes": ["distributed.http.health"],
                "distributed.worker.http.routes": ["distributed.http.health"],
                "distributed.worker.profile.enabled": False,
                "distributed.admin.tick.interval": "1s",
                "distributed.admin.system-monitor.interval": "5s",
            }
        )
        if self.settings.dask_scheduler:
            self._client = client(self.settings.dask_scheduler)
            return
        self._cluster = cluster(
            n_workers=self.settings.dask_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            local_directory=str(self.settings.var_dir / "dask"),
            silence_logs=logging.ERROR,
        )
        self._client = client(self._cluster)
        self._client.wait_for_workers(1, timeout=120)
        # The first job need not wait for imports; it would come after this task anyhow.
        for address in self._client.nthreads():
            forget(self._client.submit(warm_up, workers=[address], pure=False, retries=0))

    def _capacity(self) -> int:
        return int(sum(self._client.nthreads().values()))

    def _fill(self, capacity: int) -> None:
        while len(self._running) < capacity:
            claim = queue.claim(self._state, self.id)
            if claim is None:
                return
            future = self._client.submit(
                execute_claim,
                claim.job_id,
                claim.attempt,
                claim.worker,
                key=f"job-{claim.job_id}-{claim.attempt}",
                pure=False,
                retries=0,
            )
            self._running[claim.job_id] = (claim, future)
            log.info("job %s attempt %d started", claim.job_id, claim.attempt)

    def _keep_waiting_alive(self) -> None:
        # A claimed job that Dask has not started yet has no pulse of its own; once it has, this touches nothing.
        for claim, _ in self._running.values():
            queue.beat(self._state, claim)

    def _collect(self) -> None:
        for job_id, (claim, future) in list(self._running.items()):
            if future.done():
                del self._running[job_id]
                self._gone_since.pop(job_id, None)
                self._settle(claim, future)
            else:
                self._stop_if_gone(job_id, claim, future)

    def _settle(self, claim: Claim, future: Any) -> None:
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

    def _stop_if_gone(self, job_id: str, claim: Claim, future: Any) -> None:
        """Cancel the Dask task of a dismissed job; restart its process if it does not stop by itself."""
        since = self._gone_since.get(job_id)
        if since is None:
            job = queue.get(self._state, job_id)
            if job.status == "running" and job.attempt == claim.attempt:
                return
            if job.status in {"successful", "failed"}:
                return  # written a moment ago; the task is about to end
            self._gone_since[job_id] = time.monotonic()
            return
        if self._cluster is None or time.monotonic() - since < _GRACE_S:
            return
        busy = [address for address, keys in self._client.processing().items() if future.key in keys]
        log.warning("job %s did not stop within %g s of its dismissal; restarting its process", job_id, _GRACE_S)
        future.cancel()
        self._client.restart_workers(busy, timeout=30, raise_for_error=False)
        del self._running[job_id], self._gone_since[job_id]

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
        for _, future in self._running.values():
            future.cancel()
        # Processes first: a job must not be given back while its run still goes on.
        self._client.close()
        if self._cluster is not None:
            self._cluster.close(timeout=10)
        try:
            for claim, _ in self._running.values():
                queue.give_back(
                    self._state, claim.job_id, claim.attempt, zh="执行程序停止", en="its worker was stopped"
                )
            queue.worker_leaves(self._state, self.id)
        except ServiceUnavailable as error:
            log.warning("%s", error.en)
        self._state.close()
