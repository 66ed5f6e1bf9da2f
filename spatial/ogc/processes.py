"""OGC API Processes (分析处理): handlers straight over the job queue.

The web process never computes: a synchronous execution is a job like every other that the handler waits for. Why these
are not pygeoapi's functions: ``docs/decisions/0002-processes.md``; pygeoapi plugins over the same queue, for
``pygeoapi serve``, are in `spatial.ogc.process_plugins`.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import orjson
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from spatial.errors import (
    InvalidParameter,
    JobNotFound,
    LayerNotFound,
    ProcessNotFound,
    ResultNotReady,
    ServiceUnavailable,
    SpatialError,
)
from spatial.jobs import queue
from spatial.jobs.execution import dismiss_job
from spatial.jobs.inputs import replaced_inputs
from spatial.jobs.lanes import lane_of
from spatial.jobs.processes import check_inputs, process, processes
from spatial.jobs.registry import analysis
from spatial.jobs.run import results_folder
from spatial.ogc.exchange import JSON, Call, link, read_call
from spatial.ogc.parameters import DOCUMENT_PARAMETERS, parse_datetime
from spatial.ogc.process_answer import inlined, monitored, multipart, one_output, references
from spatial.ogc.process_documents import describe, result_document, status_info, summary
from spatial.ogc.process_request import ExecuteRequest, preferences, read_execute_request

if TYPE_CHECKING:
    from starlette.requests import Request

    from spatial.jobs.processes import ProcessInfo
    from spatial.store.datastore import DataStore
    from spatial.store.state import Job

__all__ = ["routes"]

_EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
_MAX_JOBS = 1000
_LOOK_EVERY_S, _LOOK_AT_LEAST_EVERY_S = 0.05, 0.5
_NO_STORE = {"Cache-Control": "no-store"}


def routes(datastore: DataStore) -> list[Route]:
    """Routes of processes and jobs, with full paths."""
    handlers = _Handlers(datastore)
    return [
        Route("/ogc/processes", handlers.processes, methods=["GET"]),
        Route("/ogc/processes/{process}", handlers.process, methods=["GET"]),
        Route("/ogc/processes/{process}/execution", handlers.execution, methods=["POST"]),
        Route("/ogc/jobs", handlers.jobs, methods=["GET"]),
        Route("/ogc/jobs/{job}", handlers.job, methods=["GET"]),
        Route("/ogc/jobs/{job}", handlers.dismiss, methods=["DELETE"]),
        Route("/ogc/jobs/{job}/results", handlers.results, methods=["GET"]),
        Route("/ogc/jobs/{job}/results/{output}", handlers.output, methods=["GET"]),
    ]


class _Handlers:
    def __init__(self, datastore: DataStore) -> None:
        self.datastore = datastore
        self.state = datastore.state
        self.settings = datastore.settings
        # Waiting must not take the threads that the stores need.
        self._threads = anyio.CapacityLimiter(8)

    async def _ask[T](self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        return await anyio.to_thread.run_sync(partial(function, *arguments, **named), limiter=self._threads)

    async def processes(self, request: Request) -> Response:
        """``/processes``."""
        call = read_call(self.datastore, request, ("limit", "offset", *DOCUMENT_PARAMETERS))
        known = list(processes())
        limit = _whole(call, "limit", 1, len(known))
        offset = _whole(call, "offset", 0, 0)
        etag = call.etag("processes")
        if (unchanged := call.unchanged(etag)) is not None:
            return unchanged
        found = [summary(info, call) for info in known[offset : offset + limit]]
        if call.format == "html":
            rows = [
                {
                    "id": p["id"],
                    "href": call.address(f"/processes/{p['id']}", {"f": "html"}),
                    "title": p["title"],
                    "text": p["description"],
                }
                for p in found
            ]
            return call.page(
                "document.html", etag, {"heading": call.say("分析处理", "Processes"), "rows": rows, "document": None}
            )
        links = [*call.self_links(), *_neighbours(call, offset, limit, len(known))]
        return call.answer({"processes": found, "links": links}, etag)

    async def process(self, request: Request) -> Response:
        """``/processes/{id}``."""
        call = read_call(self.datastore, request, DOCUMENT_PARAMETERS)
        info = _process(request.path_params["process"])
        etag = call.etag("process", info.version)
        if (unchanged := call.unchanged(etag)) is not None:
            return unchanged
        return _document(call, describe(info, call), call.text(info.title), etag)

    async def execution(self, request: Request) -> Response:
        """``POST /processes/{id}/execution``."""
        call = read_call(self.datastore, request, DOCUMENT_PARAMETERS)
        info = _process(request.path_params["process"])
        wanted = read_execute_request(
            request.headers.get("content-type"), await request.body(), info, call.ogc, self.settings.callback_hosts
        )
        inputs = check_inputs(info.id, wanted.inputs)
        if wanted.layers:
            await self._ask(_check_layers, self.datastore, info, inputs, wanted.layers)
        preferred = preferences(",".join(request.headers.getlist("prefer")))
        if "respond-async" in preferred:
            job = await self._submit(call, info, inputs, wanted, waits=False)
            address = call.address(f"/jobs/{job.id}")
            headers = {"Location": address, "Preference-Applied": "respond-async", **_NO_STORE}
            return Response(orjson.dumps(status_info(job, call)), 201, headers, JSON)
        await self._require_worker()
        job = await self._submit(call, info, inputs, wanted, waits=True)
        answer = await self._finished(await self._wait(request, job), call, wanted)
        if "respond-sync" in preferred:
            answer.headers["Preference-Applied"] = "respond-sync"
        return monitored(answer, call.address(f"/jobs/{job.id}"))

    async def _submit(
        self, call: Call, info: ProcessInfo, inputs: dict[str, Any], wanted: ExecuteRequest, *, waits: bool
    ) -> Job:
        lane = await self._ask(lane_of, self.datastore, info.id, inputs, wanted.layers, waits=waits)
        return await self._ask(
            queue.submit,
            self.state,
            info.id,
            inputs,
            limit=self.settings.queue_limit,
            publish=info.is_analysis and not waits,
            answer=wanted.stored(),
            layers=wanted.layers,
            subscriber=wanted.subscriber,
            base=call.base,
            language=call.language,
            lane=lane,
        )

    async def _require_worker(self) -> None:
        if not await self._ask(queue.worker_alive, self.state, lost_after_s=self.settings.job_lost_after_s):
            raise ServiceUnavailable(
                "没有运行中的任务执行程序，请启动 onemap worker；或加请求头 Prefer: respond-async 先排队",
                "no worker is running; start one with: onemap worker, or queue the job with Prefer: respond-async",
            )

    async def _wait(self, request: Request, job: Job) -> Job:
        """Wait for the end of a synchronous job; dismiss it when the client leaves or the time is over."""
        started = checked = time.monotonic()
        ended = False
        try:
            while True:
                # Who waits long is not looked after so often: a hundred that wait must not keep the database busy.
                waited = time.monotonic() - started
                await anyio.sleep(min(max(_LOOK_EVERY_S, waited / 20), _LOOK_AT_LEAST_EVERY_S))
                job = await self._ask(queue.get, self.state, job.id)
                now = time.monotonic()
                if job.status in queue.FINAL:
                    ended = True
                    return job
                if now - started > self.settings.sync_timeout_s:
                    raise ServiceUnavailable(
                        f"同步执行超过 {self.settings.sync_timeout_s:g} 秒已取消；请加请求头 Prefer: respond-async",
                        f"dismissed after {self.settings.sync_timeout_s:g} s; ask with Prefer: respond-async",
                        job=job.id,
                    )
                if now - checked > 1.0:
                    checked = now
                    if await request.is_disconnected():
                        raise ServiceUnavailable("客户端已断开", "the client has left", job=job.id)
                    await self._require_worker()
        finally:
            if not ended:
                with anyio.CancelScope(shield=True):
                    await self._ask(queue.dismiss, self.state, job.id)

    async def jobs(self, request: Request) -> Response:
        """``/jobs``."""
        own = ("limit", "offset", "type", "status", "processID", "datetime", "minDuration", "maxDuration")
        call = read_call(self.datastore, request, (*own, *DOCUMENT_PARAMETERS))
        limit = min(_whole(call, "limit", 1, 100), _MAX_JOBS)
        offset = _whole(call, "offset", 0, 0)
        statuses = _listed(call, "status")
        for status in statuses:
            if status not in queue.STATUSES:
                raise InvalidParameter(
                    f"status 的值 {status[:40]!r} 无效，可用：{'、'.join(queue.STATUSES)}",
                    f"status: {status[:40]!r} is not one of {', '.join(queue.STATUSES)}",
                    parameter="status",
                    allowed=list(queue.STATUSES),
                )
        kinds = _listed(call, "type")
        found: list[Job] = []
        matched = 0
        if not kinds or "process" in kinds:
            found, matched = await self._ask(
                queue.list_jobs,
                self.state,
                limit=limit,
                offset=offset,
                status=statuses,
                process=_listed(call, "processID"),
                created=_created(call),
                seconds=_durations(call),
            )
        if call.format == "html":
            rows = [
                {
                    "id": job.id,
                    "href": call.address(f"/jobs/{job.id}", {"f": "html"}),
                    "title": job.process,
                    "text": f"{job.status} {round(100 * job.progress)}% {job.message}",
                }
                for job in found
            ]
            return _page(call, call.say("任务", "Jobs"), None, rows)
        links = [*call.self_links(), *_neighbours(call, offset, limit, matched)]
        document = {"jobs": [status_info(job, call) for job in found], "links": links, "numberMatched": matched}
        return Response(orjson.dumps(document), 200, _NO_STORE, JSON)

    async def job(self, request: Request) -> Response:
        """``/jobs/{jobId}``."""
        call = read_call(self.datastore, request, DOCUMENT_PARAMETERS)
        job = await self._job(request)
        return _document(call, status_info(job, call), job.id, None)

    async def dismiss(self, request: Request) -> Response:
        """``DELETE /jobs/{jobId}``: stops it; a finished one loses its results and its layers leave the catalogue."""
        call = read_call(self.datastore, request, DOCUMENT_PARAMETERS)
        job = await self._ask(dismiss_job, self.datastore, (await self._job(request)).id)
        return Response(orjson.dumps(status_info(job, call)), 200, _NO_STORE, JSON)

    async def results(self, request: Request) -> Response:
        """``/jobs/{jobId}/results``."""
        call = read_call(self.datastore, request, DOCUMENT_PARAMETERS)
        job = await self._job(request)
        answer = job.parameters.get("answer") or {}
        wanted = ExecuteRequest({}, outputs=answer.get("outputs", {}), response=answer.get("response", "document"))
        return await self._finished(job, call, wanted)

    async def output(self, request: Request) -> Response:
        """``/jobs/{jobId}/results/{output}``: one output itself."""
        call = read_call(self.datastore, request, DOCUMENT_PARAMETERS)
        job = await self._job(request)
        name = request.path_params["output"]
        return await self._finished(job, call, ExecuteRequest({}, outputs={name: "value"}, response="raw"))

    async def _job(self, request: Request) -> Job:
        try:
            return await self._ask(queue.get, self.state, request.path_params["job"][:200])
        except JobNotFound as error:
            raise JobNotFound(error.zh, error.en, type=f"{_EXCEPTIONS}/no-such-job") from error

    async def _finished(self, job: Job, call: Call, wanted: ExecuteRequest) -> Response:
        """The results of a job in the form asked for, or why there are none."""
        if job.status == "failed":
            problem = job.error or SpatialError("任务失败，原因未知", "the job failed for an unknown reason").problem()
            return JSONResponse(
                problem | {"instance": call.request.url.path, "job": job.id},
                int(problem.get("status", 500)),
                _NO_STORE,
                "application/problem+json",
            )
        if job.status != "successful":
            gone = job.status == "dismissed"
            raise ResultNotReady(
                f"任务 {job.id} {'已取消，没有结果' if gone else '尚未完成，请稍后再取结果'}",
                f"job {job.id} {'was dismissed and has no result' if gone else 'has not finished; ask again later'}",
                type=f"{_EXCEPTIONS}/result-not-ready",
                job=job.id,
            )
        if wanted.response == "raw":
            return await self._raw(job, call, wanted.outputs)
        document = await self._ask(self._document_of, job, call, wanted.outputs)
        return _document(call, document, job.id, None)

    async def _raw(self, job: Job, call: Call, outputs: Mapping[str, str]) -> Response:
        """Outputs themselves: one, several as parts, or only their addresses (OGC 18-062r2, table 11)."""
        values = result_document(job, call, {})
        names = list(outputs) or list(values)
        missing = [name for name in names if name not in values]
        if missing and len(names) == 1:
            raise JobNotFound(
                f"任务 {job.id} 没有输出 {names[0][:40]!r}", f"job {job.id} has no output {names[0][:40]!r}", job=job.id
            )
        names = [name for name in names if name in values]  # an input that echo did not get
        addresses = {name: call.address(f"/jobs/{job.id}/results/{name}") for name in names}
        if all(outputs.get(name) == "reference" for name in names):
            return references(addresses)
        rasters = (job.result or {}).get("rasters", {})
        files = {
            name: await self._ask(self._raster_path, job, name)
            for name in names
            if name in rasters and outputs.get(name) != "reference"
        }
        if len(names) == 1:
            return one_output(job, names[0], values[names[0]], files)
        places = {name: addresses[name] if outputs.get(name) == "reference" else None for name in names}
        return multipart(job.process, places, values, files)

    def _document_of(self, job: Job, call: Call, outputs: Mapping[str, str]) -> dict[str, Any]:
        """Results document; a raster that is wanted by value stands in it as base64."""
        document = result_document(job, call, outputs)
        for name in (job.result or {}).get("rasters", {}):
            if name in document and outputs.get(name) == "value":
                document[name] = inlined(self._raster_path(job, name), name)
        return document

    def _raster_path(self, job: Job, name: str) -> Path:
        layer_id = (job.result or {}).get("layers", {}).get(name)
        path = results_folder(self.datastore, job.id) / f"{name}.tif"
        if layer_id is not None:
            # It may be withdrawn, or of a grade that this server does not show.
            with contextlib.suppress(LayerNotFound):
                path = self.datastore.snapshot().raster(layer_id).path
        if not path.is_file():
            raise ResultNotReady(
                f"任务 {job.id} 的结果文件已不在，请重新执行",
                f"the result file of job {job.id} is gone; execute it again",
                job=job.id,
            )
        return path


def _process(name: str) -> ProcessInfo:
    try:
        return process(name)
    except ProcessNotFound as error:
        raise ProcessNotFound(
            error.zh, error.en, **(error.details | {"type": f"{_EXCEPTIONS}/no-such-process"})
        ) from error


def _check_layers(datastore: DataStore, info: ProcessInfo, inputs: dict[str, Any], layers: Mapping[str, str]) -> None:
    """Refuse at once what the run would refuse later."""
    chosen = analysis(info.id)
    replaced_inputs(datastore.snapshot(), chosen, chosen.parameters.model_validate(inputs), layers)


def _neighbours(call: Call, offset: int, limit: int, matched: int) -> list[dict[str, Any]]:
    """Links to the next and the previous page of a list."""
    links = []
    if offset + limit < matched:
        links.append(link(call.here({"offset": str(offset + limit)}), "next", JSON, call.say("下一页", "Next page")))
    if offset > 0:
        before = str(max(offset - limit, 0))
        links.append(link(call.here({"offset": before}), "prev", JSON, call.say("上一页", "Previous page")))
    return links


def _whole(call: Call, name: str, least: int, default: int) -> int:
    text = call.parameters.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < least:
        raise InvalidParameter(
            f"参数 {name} 应为不小于 {least} 的整数，收到 {text[:40]!r}",
            f"{name} must be an integer of at least {least}, got {text[:40]!r}",
            parameter=name,
            value=text[:200],
        )
    return int(text)


def _created(call: Call) -> tuple[datetime | None, datetime | None]:
    """First and last time of submission that ``datetime`` allows; jobs show theirs to the millisecond, so one is whole."""
    if "datetime" not in call.parameters:
        return None, None
    found = parse_datetime(call.parameters["datetime"])
    if found.end is None:
        return found.start, None
    return found.start, found.end.replace(microsecond=found.end.microsecond // 1000 * 1000 + 999)


def _durations(call: Call) -> tuple[int | None, int | None]:
    """``minDuration`` and ``maxDuration`` in seconds."""
    least, most = (_whole(call, n, 0, 0) if n in call.parameters else None for n in ("minDuration", "maxDuration"))
    if least is not None and most is not None and least > most:
        raise InvalidParameter(
            f"minDuration（{least}）大于 maxDuration（{most}）",
            f"minDuration ({least}) is above maxDuration ({most})",
            parameter="minDuration",
        )
    return least, most


def _listed(call: Call, name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in call.parameters.get(name, "").split(",") if part.strip())


def _page(
    call: Call, heading: str, document: Any, rows: list[dict[str, Any]] | None, etag: str | None = None
) -> Response:
    text = None if document is None else json.dumps(document, ensure_ascii=False, indent=2)
    page = call.page("document.html", etag or call.etag(), {"heading": heading, "rows": rows, "document": text})
    if etag is None:
        del page.headers["ETag"]
        page.headers["Cache-Control"] = "no-store"
    return page


def _document(call: Call, document: dict[str, Any], heading: str, etag: str | None) -> Response:
    """JSON or HTML; without an ETag nothing may be kept, because the state of a job changes by itself."""
    if call.format == "html":
        return _page(call, heading, document, None, etag)
    if etag is None:
        return Response(orjson.dumps(document), 200, _NO_STORE, JSON)
    return call.answer(document, etag)


def __getattr__(name: str) -> Any:
    # pygeoapi-config.yml names the plugin classes here; the server itself never imports pygeoapi for processes.
    if name in {"AnalysisProcessor", "JobManager"}:
        from spatial.ogc import process_plugins

        return getattr(process_plugins, name)
    raise AttributeError(name)
