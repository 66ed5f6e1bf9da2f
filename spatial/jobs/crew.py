"""Dask processes that execute jobs (执行进程组): the main crew, and one in reserve for short work.

Dask's own ``priority=`` puts waiting tasks in order but stops no running one, and its ``resources=`` keep a place in a process
but not the blocks of a long run out of it (`analyses.blocks` sends those to every worker of its cluster). So the reserve is
a cluster of its own, whose workers Dask's ``scale`` starts when the main crew is full and ends when they stand idle.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from spatial.jobs.execution import LIBRARIES, load_library, warm_up
from spatial.settings import Settings

__all__ = ["Crew", "Reserve", "main_crew", "quiet_dask", "reserve_crew"]

log = logging.getLogger(__name__)

_FULL_S = 1.0
"""The main crew is full for so long before the reserve is called: no process is started for a job of a moment."""
_IDLE_S = 60.0
"""The reserve is idle for so long before it goes."""
_RESERVE_MEMORY = 1_500_000_000
"""Bytes at which a process of the reserve is ended; a short run takes at most a third (`spatial.jobs.contract.Analysis`)."""


def quiet_dask() -> None:
    """Configure Dask for this program; before the first crew."""
    import dask

    # Its own configuration is loud at import; what matters of a lost process is in our log.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
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


class Crew:
    """Dask workers that execute jobs, each thread one at a time.

    Parameters
    ----------
    client : distributed.Client
    cluster : distributed.LocalCluster, optional
        The processes, if they are ours; without it they belong to a cluster that somebody else runs.
    """

    def __init__(self, client: Any, cluster: Any = None) -> None:
        self._client = client
        self._cluster = cluster
        self.places = 0
        """Jobs that may run at the same time, when last counted."""
        self.count()

    def count(self) -> None:
        """Count the threads; workers come and go."""
        if self._cluster is None:
            self.places = int(sum(self._client.nthreads().values()))
        else:
            self.places = int(sum(w.nthreads for w in list(self._cluster.scheduler.workers.values())))

    def submit(self, function: Callable[..., Any], *arguments: Any, key: str) -> Any:
        """A Dask future; Dask never starts it again by itself."""
        return self._client.submit(function, *arguments, key=key, pure=False, retries=0)

    def restart(self, future: Any) -> bool:
        """End the process that works on a task, if it is ours; Dask starts a new one in its place."""
        if self._cluster is None:
            return False
        busy = [address for address, keys in self._client.processing().items() if future.key in keys]
        future.cancel()
        self._client.restart_workers(busy, timeout=30, raise_for_error=False)
        return True

    def close(self) -> None:
        """Leave the cluster, and end its processes if they are ours."""
        self._client.close()
        if self._cluster is not None:
            self._cluster.close(timeout=10)


@dataclass(slots=True)
class _Warming:
    """What a new process has not loaded yet, and what it loads now."""

    left: list[tuple[Any, ...]] = field(
        default_factory=lambda: [(warm_up,), *((load_library, name) for name in LIBRARIES)]
    )
    task: Any = None


class Reserve(Crew):
    """A crew that is there only while the main crew is full: an idle service pays for no second process."""

    def __init__(self, client: Any, cluster: Any, processes: int) -> None:
        super().__init__(client, cluster)
        self._processes = processes
        self._called = False
        self._warming: dict[str, _Warming] = {}
        self._since = time.monotonic()
        """Since when it is not as `stand_by` wants it."""

    def stand_by(self, needed: bool, *, busy: bool) -> None:
        """Call the processes, or let them go; asked all the time, it does so only after a while.

        Parameters
        ----------
        needed : bool
            The main crew has no free place.
        busy : bool
            The reserve is at work, so it stays.
        """
        now = time.monotonic()
        if needed == self._called or (self._called and busy):
            self._since = now
        elif now - self._since >= (_FULL_S if needed else _IDLE_S):
            self._called = needed
            self._cluster.scale(self._processes if needed else 0)
            log.info("the reserve for short jobs %s", "is called" if needed else "goes")
        self.count()

    def warm_up(self) -> None:
        """Let new processes load what short jobs need, piece by piece, so that a job waits for one piece at most.

        To be called while no job waits.
        """
        here = list(self._cluster.scheduler.workers)
        self._warming = {address: self._warming.get(address, _Warming()) for address in here}
        for address, state in self._warming.items():
            if state.left and (state.task is None or state.task.done()):
                piece, *named = state.left.pop(0)
                state.task = self._client.submit(piece, *named, workers=[address], pure=False, retries=0)


def main_crew(settings: Settings) -> Crew:
    """The workers of `Settings.dask_scheduler`, or processes of this machine."""
    import distributed

    client: Any = distributed.Client
    forget: Any = distributed.fire_and_forget
    if settings.dask_scheduler:
        return Crew(client(settings.dask_scheduler))
    cluster = _local_cluster(settings, settings.dask_workers)
    main = client(cluster)
    main.wait_for_workers(1, timeout=120)
    # The first job need not wait for imports; it would come after this task anyhow.
    for address in main.nthreads():
        forget(main.submit(warm_up, workers=[address], pure=False, retries=0))
    return Crew(main, cluster)


def reserve_crew(settings: Settings) -> Reserve:
    """A crew without a process yet, on this machine also where the main crew is a cluster."""
    import distributed

    client: Any = distributed.Client
    cluster = _local_cluster(settings, 0, memory_limit=_RESERVE_MEMORY)
    # The default client of this program stays that of the main crew.
    return Reserve(client(cluster, set_as_default=False), cluster, settings.short_workers)


def _local_cluster(settings: Settings, processes: int, **options: Any) -> Any:
    import distributed

    cluster: Any = distributed.LocalCluster
    return cluster(
        n_workers=processes,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"dashboard": False},
        local_directory=str(settings.var_dir / "dask"),
        silence_logs=logging.ERROR,
        **options,
    )
