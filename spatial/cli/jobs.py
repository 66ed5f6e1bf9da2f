"""``jobs``: look at the queue and dismiss jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial.cli.console import Json, emit, open_store, say, table
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from spatial.store.state import Job

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    jobs = typer.Typer(help=say("任务队列", "The job queue"), no_args_is_help=True, rich_markup_mode=None)
    jobs.command("list", help=say("列出任务", "List the jobs"))(list_jobs)
    jobs.command("show", help=say("显示一个任务", "Show one job"))(show)
    jobs.command("dismiss", help=say("取消任务", "Dismiss a job"))(dismiss)
    app.add_typer(jobs, name="jobs")


def _row(job: Job) -> dict[str, Any]:
    names = (
        "id",
        "process",
        "lane",
        "status",
        "progress",
        "message",
        "created",
        "started",
        "finished",
        "attempt",
        "worker",
    )
    found = {name: getattr(job, name) for name in names}
    return {k: v.isoformat() if hasattr(v, "isoformat") else v for k, v in found.items()}


def list_jobs(
    status: Annotated[str | None, typer.Option(help="accepted,running,successful,failed,dismissed")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: Json = False,
) -> None:
    """The newest jobs."""
    from spatial.jobs import queue

    statuses = tuple(status.split(",")) if status else ()
    unknown = [s for s in statuses if s not in queue.STATUSES]
    if unknown:
        raise InvalidParameter(
            f"--status {unknown[0]!r} 无效，可用：{'、'.join(queue.STATUSES)}",
            f"--status: {unknown[0]!r} is not one of {', '.join(queue.STATUSES)}",
            parameter="status",
        )
    with open_store() as store:
        jobs, _ = queue.list_jobs(store.state, limit=limit, status=statuses)
    rows = [_row(job) for job in jobs]
    columns = ("id", say("处理", "process"), say("状态", "status"), "%", say("说明", "message"), say("创建", "created"))
    emit(
        rows,
        as_json,
        lambda: table(
            say("任务", "jobs"),
            columns,
            (
                (r["id"], r["process"], r["status"], f"{100 * r['progress']:.0f}", r["message"], r["created"])
                for r in rows
            ),
        ),
    )


def show(job_id: Annotated[str, typer.Argument(metavar="JOB")], as_json: Json = False) -> None:
    """One job with parameters, result and error."""
    from spatial.jobs import queue

    with open_store() as store:
        job = queue.get(store.state, job_id)
    document = _row(job) | {"parameters": job.parameters, "result": job.result, "error": job.error}
    hidden = {"result", "parameters"}
    emit(
        document,
        as_json,
        lambda: table(job_id, ("", ""), ((k, v) for k, v in document.items() if k not in hidden and v is not None)),
    )


def dismiss(job_id: Annotated[str, typer.Argument(metavar="JOB")], as_json: Json = False) -> None:
    """Stop a job; a finished one loses its results."""
    from spatial.jobs.execution import dismiss_job

    with open_store() as store:
        job = dismiss_job(store, job_id)
    emit(_row(job), as_json, lambda: print(f"{job.id} {job.status}"))
