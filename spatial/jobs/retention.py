"""How long the files of unpublished results stay (结果保留): the worker removes folders that nobody will ask for again.

A published result lives in the raster store and is never touched here.
"""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

from spatial.errors import JobNotFound
from spatial.jobs import queue
from spatial.store.state import State, utc_now

__all__ = ["prune_results"]

log = logging.getLogger(__name__)


def prune_results(state: State, results: Path, *, keep_hours: float) -> list[str]:
    """Remove the folders of finished runs that are older than `keep_hours`; returns their names (job ids).

    The age counts from the last file written and, where there is a job, from its end. The folder of a job that waits or
    runs is kept however old it is. A folder without a job is that of a library or command-line run.

    Raises
    ------
    StoreUnavailable
        If the state database is away; nothing more is removed then.
    """
    if not results.is_dir():
        return []
    removed = []
    for folder in sorted(results.iterdir()):
        if folder.is_symlink() or not folder.is_dir():
            continue
        try:
            written = max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
        except FileNotFoundError:  # another worker program is removing it
            continue
        if time.time() - written < keep_hours * 3600 or not _over(state, folder.name, keep_hours):
            continue
        # Out of the way in one step, so that no reader finds half a result; a rest is removed the next time.
        aside = folder if folder.name.startswith(".") else folder.with_name(f".{folder.name}")
        try:
            folder.rename(aside)
        except FileNotFoundError:
            continue
        shutil.rmtree(aside, ignore_errors=True)
        removed.append(folder.name.removeprefix("."))
    if removed:
        log.info("removed %d unpublished results older than %g h", len(removed), keep_hours)
    return removed


def _over(state: State, job_id: str, keep_hours: float) -> bool:
    """True unless the folder belongs to a job that is not finished, or finished a short time ago."""
    try:
        job = queue.get(state, job_id)
    except JobNotFound:
        return True
    ended = job.finished or job.updated
    return job.status in queue.FINAL and (utc_now() - ended).total_seconds() >= keep_hours * 3600
