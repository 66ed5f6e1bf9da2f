"""Files of a job (任务文件): the report that a run wrote, by its name and nothing else."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from spatial.errors import NotFound, ResultNotReady
from spatial.jobs import queue
from spatial.jobs.reporting import MEDIA_TYPES
from spatial.jobs.run import documents_folder

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["document_file"]


def document_file(store: DataStore, job_id: str, name: str) -> tuple[Path, str, str]:
    """Path, media type and file name (for saving) of a document of a job.

    Raises
    ------
    JobNotFound
        There is no such job.
    ResultNotReady
        The job has not finished, or its files were removed.
    NotFound
        The job has no document of this name; lists those that it has.
    """
    job = queue.get(store.state, job_id)
    if job.status != "successful":
        raise ResultNotReady(
            f"任务 {job.id} 没有完成的结果（{job.status}）",
            f"job {job.id} has no finished result ({job.status})",
            job=job.id,
        )
    result = job.result or {}
    known = [str(document["file"]) for document in result.get("documents", {}).values()]
    if name not in known:
        raise NotFound(
            f"任务 {job.id} 没有文件 {name[:80]!r}，现有：{'、'.join(known) or '无'}",
            f"job {job.id} has no file {name[:80]!r}; there are {', '.join(known) or 'none'}",
            job=job.id,
            allowed=known,
        )
    path = documents_folder(store, job.id, result.get("layers", {})) / name
    if not path.is_file():
        raise ResultNotReady(
            f"任务 {job.id} 的文件 {name} 已不在，请重新执行",
            f"file {name} of job {job.id} is gone; execute it again",
            job=job.id,
        )
    ending = PurePath(name).suffix
    return path, MEDIA_TYPES.get(ending, "application/octet-stream"), f"{job.process}-{job.id[:8]}{ending}"
