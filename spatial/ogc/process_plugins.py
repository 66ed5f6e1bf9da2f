"""The same processes as ordinary pygeoapi plugins, for ``pygeoapi serve``.

`JobManager` keeps jobs in our queue, so that both servers show the same jobs: an asynchronous execution waits there for
``onemap worker``; a synchronous one runs inside pygeoapi's process, as pygeoapi's users expect of it.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from pygeoapi.process.base import (
    BaseProcessor,
    JobNotFoundError,
    JobResultNotFoundError,
    ProcessorExecuteError,
    UnknownProcessError,
)
from pygeoapi.process.manager.base import BaseManager
from pygeoapi.util import JobStatus, RequestedProcessExecutionMode, RequestedResponse

from spatial.catalog import Text
from spatial.errors import JobNotFound, SpatialError
from spatial.jobs import echo, queue
from spatial.jobs.execution import dismiss_job, execute_job
from spatial.jobs.lanes import lane_of
from spatial.jobs.processes import check_inputs, process
from spatial.jobs.registry import check_parameters
from spatial.jobs.run import run_analysis
from spatial.ogc.process_documents import GEOTIFF, input_schemas
from spatial.ogc.shared import datastore
from spatial.store.state import Job

__all__ = ["AnalysisProcessor", "JobManager"]


def _metadata(process_id: str) -> dict[str, Any]:
    info = process(process_id)
    outputs: dict[str, Any] = {
        name: {
            "title": {"zh": title.zh, "en": title.en},
            "schema": {"type": "string", "contentEncoding": "binary", "contentMediaType": GEOTIFF},
        }
        for name, title in info.rasters.items()
    }
    outputs["result"] = {"title": {"zh": "结果文档", "en": "Result document"}, "schema": {"type": "object"}}
    return {
        "version": info.version,
        "id": info.id,
        "title": info.title.model_dump(),
        "description": info.description.model_dump(),
        "jobControlOptions": ["sync-execute", "async-execute"],
        "keywords": list(info.keywords),
        "links": [],
        "inputs": {name: {"keywords": [], **spec} for name, spec in input_schemas(info, Text.model_dump).items()},
        "outputs": outputs,
    }


class AnalysisProcessor(BaseProcessor):
    """One analysis as a pygeoapi processor; configured by ``analysis: <id>``."""

    def __init__(self, processor_def: dict[str, Any]) -> None:
        self.analysis = processor_def["analysis"]
        super().__init__(processor_def, _metadata(self.analysis))

    def execute(self, data: dict[str, Any], outputs: Any = None) -> tuple[str, Any]:
        """Run the analysis in this process; the result document."""
        try:
            if self.analysis == echo.ECHO_ID:
                return "application/json", echo.echo(check_parameters(echo.EchoParameters, data, process=self.analysis))
            return "application/json", run_analysis(datastore(), self.analysis, data).document()
        except SpatialError as error:
            raise ProcessorExecuteError(str(error), user_msg=str(error)) from error


class JobManager(BaseManager):
    """pygeoapi's job manager over our queue."""

    def __init__(self, manager_def: dict[str, Any]) -> None:
        super().__init__(manager_def)
        self.is_async = True

    def get_jobs(self, status: Any = None, limit: int | None = None, offset: int | None = None) -> dict[str, Any]:
        """Newest jobs first."""
        statuses = (status.value if isinstance(status, JobStatus) else str(status),) if status else ()
        jobs, matched = queue.list_jobs(datastore().state, limit=limit or 100, offset=offset or 0, status=statuses)
        return {"jobs": [_as_pygeoapi(job) for job in jobs], "numberMatched": matched}

    def get_job(self, job_id: str) -> dict[str, Any]:
        """One job."""
        return _as_pygeoapi(self._job(job_id))

    def get_job_result(self, job_id: str) -> tuple[str, Any]:
        """Result document of a successful job."""
        job = self._job(job_id)
        if job.status != "successful":
            raise JobResultNotFoundError()
        return "application/json", json.dumps(job.result, ensure_ascii=False)

    def delete_job(self, job_id: str) -> bool:
        """Dismiss a job: a running one stops, a finished one loses its results."""
        dismiss_job(datastore(), self._job(job_id).id)
        return True

    def execute_process(
        self,
        process_id: str,
        data_dict: dict[str, Any],
        execution_mode: Any = None,
        requested_outputs: Any = None,
        subscriber: Any = None,
        requested_response: Any = RequestedResponse.raw.value,
    ) -> tuple[str, Any, Any, Any, dict[str, str] | None]:
        """Queue a job; a synchronous one is executed at once in this process."""
        if process_id not in self.processes:
            raise UnknownProcessError("Invalid process identifier")
        store = datastore()
        try:
            inputs = check_inputs(process_id, data_dict)
            if execution_mode == RequestedProcessExecutionMode.respond_async:
                lane = lane_of(store, process_id, inputs, waits=False)
                limit = store.settings.queue_limit
                job = queue.submit(store.state, process_id, inputs, limit=limit, publish=True, lane=lane)
                return job.id, None, None, JobStatus.accepted, {"Preference-Applied": "respond-async"}
            return self._now(process_id, inputs)
        except SpatialError as error:
            raise ProcessorExecuteError(str(error), user_msg=str(error)) from error

    def _now(self, process_id: str, inputs: dict[str, Any]) -> tuple[str, Any, Any, Any, None]:
        store = datastore()
        # The row is taken by its id before any worker can claim it.
        held = queue.submit_claimed(store.state, process_id, inputs, worker=f"pygeoapi-{uuid.uuid4().hex[:8]}")
        execute_job(store, held)
        job = self._job(held.job_id)
        if job.status != "successful":
            reason = (job.error or {}).get("detail", job.message)
            raise ProcessorExecuteError(reason, user_msg=reason)
        return job.id, "application/json", job.result, JobStatus.successful, None

    def _job(self, job_id: str) -> Job:
        try:
            return queue.get(datastore().state, job_id)
        except JobNotFound as error:
            raise JobNotFoundError() from error


def _as_pygeoapi(job: Job) -> dict[str, Any]:
    def text(value: Any) -> str | None:
        return None if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    return {
        "type": "process",
        "identifier": job.id,
        "process_id": job.process,
        "status": job.status,
        "message": job.message,
        "progress": round(100 * job.progress),
        "parameters": job.parameters["inputs"],
        "mimetype": "application/json",
        "created": text(job.created),
        "started": text(job.started or job.created),
        "finished": text(job.finished),
        "updated": text(job.updated),
    }
