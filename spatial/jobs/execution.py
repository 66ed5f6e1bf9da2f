"""Executing one claimed job, in the process of a Dask worker.

The run keeps its claim alive with a thread of its own, stops as soon as the claim is gone (dismissed, or given to
somebody else) and writes its end through the claim, so that only one run can ever finish a job.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
import time
import traceback
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from spatial.errors import AnalysisUnavailable, ServiceUnavailable, SpatialError, StoreUnavailable
from spatial.jobs import echo, queue
from spatial.jobs.queue import Claim, JobDismissed
from spatial.jobs.reading import load_compiled
from spatial.jobs.registry import analysis, analysis_ids, check_parameters
from spatial.jobs.reporting import MEDIA_TYPES
from spatial.jobs.run import results_folder, run_analysis
from spatial.settings import settings

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore
    from spatial.store.state import Job

__all__ = [
    "LIBRARIES",
    "dismiss_job",
    "execute_claim",
    "execute_job",
    "load_library",
    "warm_up",
    "withdraw_results",
]

log = logging.getLogger(__name__)

LIBRARIES = ("pandas", "rasterio.features", "geopandas", "scipy.ndimage", "numba")
"""What most runs load, about 150 MB; loaded beforehand where a job is expected and somebody waits."""
_PROGRESS_EVERY_S = 0.5


@lru_cache(maxsize=1)
def _datastore() -> DataStore:
    from spatial.store.datastore import DataStore

    return DataStore.open(settings())


def warm_up() -> None:
    """Load what a job needs: the stores and every analysis."""
    for name in analysis_ids():
        with suppress(AnalysisUnavailable):
            analysis(name)
    _datastore().snapshot()


def load_library(name: str) -> None:
    """Load what a run would load when it comes to it: a module of `LIBRARIES`."""
    with suppress(ImportError):  # of the extra «analysis»
        import_module(name)
        if name == "numba":
            load_compiled()


def execute_claim(job_id: str, attempt: int, worker: str) -> str:
    """Execute a job that `worker` has claimed; the entry point of a Dask task. Returns the outcome, for the log."""
    return execute_job(_datastore(), Claim(job_id, worker, attempt))


def execute_job(datastore: DataStore, claimed: Claim) -> str:
    """Execute a claimed job to its end: ``successful``, ``failed``, ``queued again``, ``dismissed`` or ``not mine``."""
    runner = f"{claimed.worker}/{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    held = queue.take_over(datastore.state, claimed, runner)
    if held is None:
        return "not mine"
    pulse = _Pulse(datastore, held)
    try:
        with pulse:
            outcome = _run(datastore, held, pulse)
    except JobDismissed:
        outcome = "dismissed"
    if outcome == "dismissed":
        _discard(datastore, held)
    return outcome


def _run(datastore: DataStore, held: Claim, pulse: _Pulse) -> str:
    job = queue.get(datastore.state, held.job_id)
    try:
        result = _execute(datastore, job, held, pulse)
    except JobDismissed:
        raise
    except StoreUnavailable as error:
        # The database may come back; the job is worth another attempt.
        give_back = partial(queue.give_back, datastore.state, held.job_id, held.attempt, zh=error.zh, en=error.en)
        _patiently(give_back, datastore.settings.job_lost_after_s)
        return "queued again"
    except SpatialError as error:
        queue.fail(datastore.state, held, error.problem())
        return "failed"
    except Exception as error:
        log.error("job %s failed\n%s", held.job_id, traceback.format_exc())
        ours = SpatialError(
            f"{job.process} 内部错误（{type(error).__name__}），详见执行程序日志",
            f"{job.process}: internal error ({type(error).__name__}); see the log of the worker",
            job=held.job_id,
        )
        queue.fail(datastore.state, held, ours.problem())
        return "failed"
    mine = _patiently(partial(queue.finish, datastore.state, held, result), datastore.settings.job_lost_after_s)
    return "successful" if mine else "dismissed"


def _execute(datastore: DataStore, job: Job, held: Claim, pulse: _Pulse) -> dict[str, Any]:
    inputs = job.parameters["inputs"]
    if job.process == echo.ECHO_ID:
        return echo.echo(check_parameters(echo.EchoParameters, inputs, process=job.process), pulse.progress)
    return run_analysis(
        datastore,
        job.process,
        inputs,
        progress=pulse.progress,
        publish=job.parameters["publish"],
        layers=job.parameters.get("layers", {}),
        job_id=job.id,
        attempt=held.attempt,
        may_publish=lambda: queue.is_mine(datastore.state, held),
    ).document()


def _patiently[T](action: Callable[[], T], patience_s: float) -> T:
    """Try a write again while the state database is away, as long as the claim can be alive."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            return action()
        except ServiceUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _discard(datastore: DataStore, held: Claim) -> None:
    """Remove what a run left whose claim is gone, unless another attempt works on the job or has finished it."""
    job = queue.get(datastore.state, held.job_id)
    if job.status == "dismissed":
        withdraw_results(datastore, job)


def dismiss_job(datastore: DataStore, job_id: str) -> Job:
    """Dismiss a job, whatever became of it: its run stops, its layers leave the catalogue, its unpublished files go.

    Raises
    ------
    JobNotFound
    """
    job = queue.dismiss(datastore.state, job_id)
    # Also where it was running a moment ago: it may have ended meanwhile, and then nobody else would.
    withdraw_results(datastore, job)
    return job


def withdraw_results(datastore: DataStore, job: Job) -> None:
    """Take the layers of a job out of the catalogue and remove its unpublished files. Published versions stay on disk."""
    for row in datastore.state.current()[1]:
        record = row.definition.get("provenance")
        if record and record.get("job") == job.id:
            datastore.state.withdraw(row.layer_id)
            for ending in MEDIA_TYPES:
                (datastore.raster_dir / row.layer_id / f"report{ending}").unlink(missing_ok=True)
    shutil.rmtree(results_folder(datastore, job.id), ignore_errors=True)


class _Pulse:
    """Keeps a claim alive, and tells the run when it is gone."""

    def __init__(self, datastore: DataStore, held: Claim) -> None:
        self._state = datastore.state
        self._every = datastore.settings.job_heartbeat_s
        self._patience = datastore.settings.job_lost_after_s
        self._held = held
        self._lost = threading.Event()
        self._over = threading.Event()
        self._written = 0.0
        self._thread = threading.Thread(target=self._beat, name=f"pulse-{held.job_id}", daemon=True)

    def __enter__(self) -> _Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        heard = time.monotonic()
        while not self._over.wait(self._every):
            try:
                if not queue.beat(self._state, self._held):
                    self._lost.set()
                    return
                heard = time.monotonic()
            except ServiceUnavailable:
                # Others take the job over after this silence, so this run must not go on either.
                if time.monotonic() - heard > self._patience:
                    self._lost.set()
                    return

    def progress(self, share: float, text: str) -> None:
        """Progress callback of the run.

        Raises
        ------
        JobDismissed
            If the claim is gone.
        """
        now = time.monotonic()
        if not self._lost.is_set() and now - self._written >= _PROGRESS_EVERY_S:
            self._written = now
            try:
                if not queue.beat(self._state, self._held, progress=share, message=text):
                    self._lost.set()
            except ServiceUnavailable:
                log.warning("job %s: progress not written, the state database is away", self._held.job_id)
        if self._lost.is_set():
            raise JobDismissed(self._held.job_id)
