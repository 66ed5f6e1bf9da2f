"""Documents of OGC API Processes: description, execute request, status, results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

import orjson

from spatial.errors import InvalidParameter, UserError
from spatial.jobs.contract import parameter_texts
from spatial.jobs.processes import ProcessInfo
from spatial.jobs.reporting import MEDIA_TYPES
from spatial.jobs.result import GEOTIFF
from spatial.ogc.exchange import JSON, REL, Call, link

if TYPE_CHECKING:
    from spatial.catalog import Text
    from spatial.store.state import Job

__all__ = [
    "GEOTIFF",
    "ExecuteRequest",
    "describe",
    "input_schemas",
    "output_schemas",
    "read_execute_request",
    "result_document",
    "status_info",
    "summary",
]

_MODES = ("value", "reference")
_TEXTS = {"title", "title_zh", "title_en", "description_zh", "description_en", "$defs"}
"""Members of a parameter's schema that stand beside the schema, in the language of the request."""


def _flat(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A JSON schema without ``$ref``, ``$defs`` and titles, readable as OpenAPI 3.0 as well."""
    if isinstance(schema, list):
        return [_flat(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _flat(definitions[str(schema["$ref"]).rpartition("/")[2]], definitions)
    found = {k: _flat(v, definitions) for k, v in schema.items() if k not in _TEXTS}
    if "prefixItems" in found:
        kinds = found.pop("prefixItems")
        found["items"] = kinds[0]
    if "const" in found:
        found["enum"] = [found.pop("const")]
    choices = found.get("anyOf")
    if choices and {"type": "null"} in choices:
        rest = [c for c in choices if c != {"type": "null"}]
        if len(rest) == 1:
            del found["anyOf"]
            found = rest[0] | found
        else:
            found["anyOf"] = rest
        if found.get("default", ...) is None:
            del found["default"]
    return found


def _both(text: Text) -> Any:
    return text.zh if text.zh == text.en else f"{text.zh} / {text.en}"


def input_schemas(info: ProcessInfo, say: Callable[[Text], Any] = _both) -> dict[str, dict[str, Any]]:
    """Inputs of a process from its parameter model: name → title, description, schema, how often.

    Parameters
    ----------
    say : callable
        Writes a bilingual text; default both languages in one.
    """
    whole = info.parameters.model_json_schema()
    required = set(whole.get("required", ()))
    inputs = {}
    for name, raw in whole["properties"].items():
        schema = _flat(raw, whole.get("$defs", {}))
        schema.pop("description", None)
        title, description = parameter_texts(name, info.parameters.model_fields[name])
        if name == "bbox":
            schema = {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
        inputs[name] = {
            "title": say(title),
            "description": say(description),
            "schema": schema,
            "minOccurs": 1 if name in required else 0,
            "maxOccurs": 1,
        }
    return inputs


def output_schemas(info: ProcessInfo, call: Call) -> dict[str, dict[str, Any]]:
    """Outputs of a process: its rasters as GeoTIFF and the result document, or what `echo` gives back."""
    if not info.is_analysis:
        return {"message": {"title": call.say("原文", "The same text"), "schema": {"type": "string"}}}
    outputs: dict[str, dict[str, Any]] = {
        name: {
            "title": call.text(title),
            "schema": {"type": "string", "contentEncoding": "binary", "contentMediaType": GEOTIFF},
        }
        for name, title in info.rasters.items()
    }
    outputs["result"] = {
        "title": call.say("结果文档", "Result document"),
        "description": call.say(
            "图层、报告（Word、PDF）、统计表、各因子是否评价、说明与溯源",
            "Layers, report (Word, PDF), tables, which factors were assessed, notes and provenance",
        ),
        "schema": {"type": "object", "contentMediaType": JSON},
    }
    return outputs


def summary(info: ProcessInfo, call: Call) -> dict[str, Any]:
    """Entry of the process list."""
    path = f"/processes/{info.id}"
    return {
        "id": info.id,
        "version": info.version,
        "title": call.text(info.title),
        "description": call.text(info.description),
        "keywords": list(info.keywords),
        "jobControlOptions": ["sync-execute", "async-execute", "dismiss"],
        "outputTransmission": list(_MODES),
        "metadata": [{"title": info.method, "role": "method"}] if info.method else [],
        "links": [
            link(call.address(path), "self", JSON, call.say("处理说明", "Process description")),
            link(call.address(f"{path}/execution"), f"{REL}/execute", JSON, call.say("执行", "Execute")),
            link(call.address("/jobs"), f"{REL}/job-list", JSON, call.say("任务", "Jobs")),
        ],
    }


def describe(info: ProcessInfo, call: Call) -> dict[str, Any]:
    """Description of one process."""
    document = summary(info, call)
    document["links"] = [*call.self_links(), *document["links"][1:]]
    return document | {"inputs": input_schemas(info, call.text), "outputs": output_schemas(info, call)}


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """A checked execute request; `outputs` maps the outputs asked for to their transmission mode (empty: all)."""

    inputs: dict[str, Any]
    outputs: dict[str, str] = field(default_factory=dict)
    response: Literal["raw", "document"] = "document"

    def stored(self) -> dict[str, Any]:
        """What the job row keeps of the form of the answer."""
        return {"outputs": self.outputs, "response": self.response}


def read_execute_request(content_type: str | None, body: bytes, info: ProcessInfo) -> ExecuteRequest:
    """Execute request of a process from a request body.

    Raises
    ------
    UserError, InvalidParameter
        No JSON, not an object, or an output that the process does not have.
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != JSON and not kind.endswith("+json"):
        raise UserError(
            f"请求头 Content-Type 应为 application/json，收到 {kind[:60]!r}",
            f"Content-Type must be application/json, got {kind[:60]!r}",
        )
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidParameter(
            f"请求体不是合法的 JSON：{error}", f"the body is not valid JSON: {error}", parameter="body"
        ) from error
    example = '{"inputs": {…}}'
    given = document.get("inputs", {}) if isinstance(document, dict) else None
    if not isinstance(given, dict):
        raise InvalidParameter(
            f"请求体应为 JSON 对象，如 {example}", f"the body must be a JSON object such as {example}", parameter="body"
        )
    if document.get("subscriber"):
        raise InvalidParameter(
            "不支持 subscriber 回调；请轮询 /ogc/jobs/{jobId}",
            "subscriber callbacks are not supported; poll /ogc/jobs/{jobId}",
            parameter="subscriber",
        )
    inputs = {name: _plain_value(name, value) for name, value in given.items()}
    outputs = _read_outputs(
        document.get("outputs"), [*(info.rasters if info.is_analysis else ["message"]), *_RESULT[info.is_analysis]]
    )
    response: Any = document.get("response")
    if response is None:
        # A caller who names one output and no form gets that output itself.
        response = "raw" if len(outputs) == 1 else "document"
    if response not in {"raw", "document"}:
        raise InvalidParameter(
            f"response 应为 raw 或 document，收到 {str(response)[:40]!r}",
            f"response must be raw or document, got {str(response)[:40]!r}",
            parameter="response",
        )
    return ExecuteRequest(inputs, outputs, response)


_RESULT: dict[bool, tuple[str, ...]] = {True: ("result",), False: ()}


def _plain_value(name: str, value: Any) -> Any:
    """Value of an input, also where it is written as a qualified value or as a bounding box with a CRS."""
    if not isinstance(value, dict):
        return value
    if "href" in value:
        raise InvalidParameter(
            f"输入 {name} 不能用 href 引用外部地址，请直接给值",
            f"input {name}: values by reference (href) are not accepted; give the value itself",
            parameter=name,
        )
    if "bbox" in value:
        crs = str(value.get("crs", "CRS84"))
        if not crs.endswith("CRS84"):
            raise InvalidParameter(
                f"输入 {name} 的 crs 须为 CRS84（经度在前）",
                f"input {name}: crs must be CRS84",
                parameter=name,
                value=crs,
            )
        return value["bbox"]
    return value.get("value", value)


def _read_outputs(wanted: Any, known: list[str]) -> dict[str, str]:
    if not wanted:
        return {}
    if not isinstance(wanted, dict):
        raise InvalidParameter("outputs 应为对象", "outputs must be an object", parameter="outputs", allowed=known)
    outputs = {}
    for name, how in wanted.items():
        if name not in known:
            raise InvalidParameter(
                f"没有输出 {name!r}，可用：{'、'.join(known)}",
                f"no output {name!r}; use one of {', '.join(known)}",
                parameter="outputs",
                allowed=known,
            )
        mode = how.get("transmissionMode", "value") if isinstance(how, dict) else "value"
        if mode not in _MODES:
            raise InvalidParameter(
                f"输出 {name} 的 transmissionMode 应为 value 或 reference",
                f"output {name}: transmissionMode must be value or reference",
                parameter="outputs",
                allowed=list(_MODES),
            )
        outputs[name] = mode
    return outputs


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status_info(job: Job, call: Call) -> dict[str, Any]:
    """Status document of a job, with links to what there is already."""
    path = f"/jobs/{job.id}"
    links = [link(call.address(path), "self", JSON, call.say("任务状态", "Status of the job"))]
    if job.status == "successful":
        links.append(link(call.address(f"{path}/results"), f"{REL}/results", JSON, call.say("结果", "Results")))
        for layer in (job.result or {}).get("layers", {}).values():
            title = call.say(f"结果图层 {layer}", f"Result layer {layer}")
            links.append(link(call.address(f"/collections/{layer}"), "collection", JSON, title))
            tiles = f"{call.base}/tiles/{layer}/tilejson.json"
            links.append(link(tiles, f"{REL}/tilesets-map", JSON, call.say(f"{layer} 的瓦片", f"Tiles of {layer}")))
        for kind, place in _documents(job, call).items():
            title = call.say(f"报告（{kind}）", f"Report ({kind})")
            links.append(link(place["href"], "related", place["type"], title))
    elif job.status in {"accepted", "running"}:
        links.append(link(call.address(path), "monitor", JSON, call.say("跟踪任务", "Follow the job")))
    elif job.status == "failed":
        links.append(link(call.address(f"{path}/results"), f"{REL}/exceptions", JSON, call.say("错误", "Error")))
    document = {
        "type": "process",
        "jobID": job.id,
        "processID": job.process,
        "status": job.status,
        "message": job.message,
        "progress": round(100 * job.progress),
        "created": _time(job.created),
        "started": _time(job.started),
        "finished": _time(job.finished),
        "updated": _time(job.updated),
        "links": links,
    }
    return {name: value for name, value in document.items() if value is not None}


def _documents(job: Job, call: Call) -> dict[str, dict[str, str]]:
    """Documents of a job by kind, with their address and media type."""
    files = {kind: str(d["file"]) for kind, d in (job.result or {}).get("documents", {}).items()}
    return {
        kind: {
            "href": f"{call.base}/api/v1/jobs/{job.id}/files/{name}",
            "type": MEDIA_TYPES.get(PurePath(name).suffix, "application/octet-stream"),
            "title": name,
        }
        for kind, name in files.items()
    }


def result_document(job: Job, call: Call, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Results of a finished job: rasters by reference, the result document by value."""
    result = job.result or {}
    if "analysis" not in result:
        document = dict(result)
    else:
        document = {
            name: {
                "href": call.address(f"/jobs/{job.id}/results/{name}"),
                "type": GEOTIFF,
                "title": result["layers"].get(name, name),
            }
            for name in result["rasters"]
        }
        places = {name: {"href": place["href"], "type": GEOTIFF} for name, place in document.items()}
        document["result"] = dict(result) | {"rasters": places, "documents": _documents(job, call)}
    return {name: value for name, value in document.items() if not outputs or name in outputs}
