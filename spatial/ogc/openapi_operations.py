"""Operations of the OpenAPI document that do not depend on a layer, and the dialect of its schemas."""

from __future__ import annotations

from typing import Any

from spatial.ogc.openapi_components import parameter, ref
from spatial.ogc.parameters import DOCUMENT_PARAMETERS
from spatial.rfc3339 import DESCRIPTION

__all__ = ["DOCUMENT", "ERRORS", "get_operation", "process_paths", "to_openapi30"]

DOCUMENT = [ref("parameters", name) for name in DOCUMENT_PARAMETERS]
ERRORS = {
    "400": ref("responses", "InvalidParameter"),
    "404": ref("responses", "NotFound"),
    "406": ref("responses", "NotAcceptable"),
    "500": ref("responses", "ServerError"),
    "503": ref("responses", "Unavailable"),
}


def get_operation(
    tag: str, operation: str, zh: str, en: str, answer: str, parameters: list[Any] | None = None, *, cached: bool = True
) -> dict[str, Any]:
    """A GET operation with the answers that every address has."""
    responses = {"200": ref("responses", answer), **ERRORS}
    if cached:
        responses["304"] = ref("responses", "NotModified")
    return {
        "tags": [tag],
        "operationId": operation,
        "summary": f"{zh} / {en}",
        "parameters": DOCUMENT if parameters is None else parameters,
        "responses": responses,
    }


def to_openapi30(schema: Any) -> Any:
    """A JSON Schema 2020-12, as pydantic writes it, in the dialect of OpenAPI 3.0: no ``$defs``, ``null``, ``const`` …

    >>> to_openapi30({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "null"}]})
    {'type': 'number', 'minimum': 0, 'exclusiveMinimum': True, 'nullable': True}
    """
    return _convert(schema, schema.get("$defs", {}) if isinstance(schema, dict) else {})


def _convert(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_convert(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        target = definitions.get(str(schema["$ref"]).rpartition("/")[2], {})
        return _convert({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, definitions)
    found: dict[str, Any] = {}
    for key, value in schema.items():
        match key:
            case "$defs" | "$schema" | "$id":
                pass
            case "const":
                found["enum"] = [value]
            case "prefixItems":
                parts = _convert(value, definitions)
                found["items"] = parts[0] if all(p == parts[0] for p in parts) else {"oneOf": parts}
            case "exclusiveMinimum":
                found |= {"minimum": value, "exclusiveMinimum": True}
            case "exclusiveMaximum":
                found |= {"maximum": value, "exclusiveMaximum": True}
            case "examples":
                found["example"] = value[0]
            case "properties":
                found["properties"] = {name: _convert(part, definitions) for name, part in value.items()}
            case "anyOf" | "oneOf":
                parts = [p for p in value if p.get("type") != "null"]
                if len(parts) < len(value):
                    found["nullable"] = True
                converted = _convert(parts, definitions)
                if len(converted) == 1:
                    found = {**converted[0], **found}
                else:
                    found[key] = converted
            case "default" if value is None:
                pass
            case "default" | "enum" | "example":
                found[key] = value
            case _ if key.startswith("x-") or not isinstance(value, dict | list):
                found[key] = value
            case _:
                found[key] = _convert(value, definitions)
    return found


_LIMIT = parameter(
    "limit", "返回条数", "entries to return", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
)
_SECONDS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 1}


def process_paths() -> dict[str, Any]:
    """Paths of processes and jobs, with the inputs of every process."""
    from spatial.jobs.processes import processes
    from spatial.jobs.queue import STATUSES
    from spatial.ogc.process_documents import input_schemas, layer_inputs

    paths: dict[str, Any] = {
        "/processes": {
            "get": get_operation(
                "processes",
                "getProcesses",
                "分析处理",
                "Processes",
                "ProcessList",
                [_LIMIT, ref("parameters", "offset"), *DOCUMENT],
            )
        },
    }
    for info in processes():
        name = info.id
        inputs = {
            key: {**to_openapi30(known["schema"]), "description": known["description"]}
            for key, known in (input_schemas(info) | layer_inputs(info)).items()
        }
        required = [key for key, known in input_schemas(info).items() if known["minOccurs"]]
        title = info.title
        paths[f"/processes/{name}"] = {
            "get": get_operation(
                "processes", f"{name}.describe", f"{title.zh}：说明", f"{title.en}: description", "Process"
            )
        }
        paths[f"/processes/{name}/execution"] = {"post": _execution(name, info, inputs, required)}
    job = [ref("parameters", "jobId"), *DOCUMENT]
    words = {"type": "array", "items": {"type": "string"}}
    jobs = [
        _LIMIT,
        ref("parameters", "offset"),
        parameter("type", "类型", "kind of job", {"type": "array", "items": {"type": "string", "enum": ["process"]}}),
        parameter("processID", "处理", "process", words),
        parameter("status", "状态", "status", {"type": "array", "items": {"type": "string", "enum": list(STATUSES)}}),
        parameter(
            "datetime", f"提交时间：{DESCRIPTION[0]}", f"time of submission: {DESCRIPTION[1]}", {"type": "string"}
        ),
        parameter("minDuration", "最短用时（秒）", "shortest duration in seconds", _SECONDS),
        parameter("maxDuration", "最长用时（秒）", "longest duration in seconds", _SECONDS),
        *DOCUMENT,
    ]
    output = parameter("output", "输出名", "name of the output", {"type": "string"}, place="path", required=True)
    one = get_operation("jobs", "getJobOutput", "单个输出", "One output", "Results", [*job, output], cached=False)
    one["responses"]["200"] = ref("responses", "Output")
    return {
        **paths,
        "/jobs": {"get": get_operation("jobs", "getJobs", "任务", "Jobs", "JobList", jobs, cached=False)},
        "/jobs/{jobId}": {
            "get": get_operation("jobs", "getJob", "任务状态", "Status of a job", "Status", job, cached=False),
            "delete": get_operation("jobs", "dismissJob", "取消任务", "Dismiss a job", "Status", job, cached=False),
        },
        "/jobs/{jobId}/results": {
            "get": get_operation("jobs", "getJobResults", "任务结果", "Results of a job", "Results", job, cached=False)
        },
        "/jobs/{jobId}/results/{output}": {"get": one},
    }


def _execution(name: str, info: Any, inputs: dict[str, Any], required: list[str]) -> dict[str, Any]:
    from spatial.jobs.callbacks import EVENTS
    from spatial.jobs.echo import OUTPUTS
    from spatial.ogc.process_documents import MODES

    schema: dict[str, Any] = {"type": "object", "properties": inputs, "additionalProperties": False}
    if required:
        schema["required"] = required
    mode = {"type": "string", "enum": list(MODES)}
    wanted = {"type": "object", "properties": {"transmissionMode": mode}}
    outputs = [*info.rasters, "result"] if info.is_analysis else list(OUTPUTS)
    uri = {"type": "string", "format": "uri", "maxLength": 2000}
    body = {
        "type": "object",
        "properties": {
            "inputs": schema,
            "outputs": {
                "type": "object",
                "properties": dict.fromkeys(outputs, wanted),
                "additionalProperties": False,
            },
            "response": {"type": "string", "enum": ["raw", "document"]},
            "subscriber": {"type": "object", "properties": dict.fromkeys(EVENTS, uri), "additionalProperties": False},
        },
        "additionalProperties": False,
    }
    return {
        "tags": ["processes"],
        "operationId": f"{name}.execute",
        "summary": f"{info.title.zh}：执行 / {info.title.en}: execute",
        "description": f"{info.description.zh} / {info.description.en}",
        "parameters": [ref("parameters", "Prefer"), *DOCUMENT],
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": ref("responses", "Output"),
            "201": ref("responses", "Accepted"),
            "204": ref("responses", "References"),
            **ERRORS,
            "415": ref("responses", "UnsupportedMediaType"),
            "422": ref("responses", "Unprocessable"),
            "413": ref("responses", "TooLarge"),
            "429": ref("responses", "Busy"),
        },
    }
