"""Documents of OGC API Processes: description, execute request, status, results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Protocol

from spatial.catalog import Text
from spatial.jobs import echo
from spatial.jobs.contract import parameter_texts
from spatial.jobs.processes import ProcessInfo
from spatial.jobs.reporting import MEDIA_TYPES
from spatial.jobs.result import GEOTIFF
from spatial.ogc.exchange import JSON, REL, Call, link

if TYPE_CHECKING:
    from spatial.store.state import Job

__all__ = [
    "GEOTIFF",
    "MODES",
    "Place",
    "describe",
    "input_schemas",
    "layer_inputs",
    "output_schemas",
    "result_document",
    "status_info",
    "summary",
]

MODES = ("value", "reference")
_TEXTS = {"title", "title_zh", "title_en", "description_zh", "description_en", "$defs"}
"""Members of a parameter's schema that stand beside the schema, in the language of the request."""


class Place(Protocol):
    """Where a document is read: the addresses and the language of its reader."""

    @property
    def base(self) -> str: ...

    def say(self, zh: str, en: str) -> str: ...

    def address(self, path: str) -> str: ...


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


def layer_inputs(info: ProcessInfo, say: Callable[[Text], Any] = _both) -> dict[str, dict[str, Any]]:
    """Inputs that are layers, by role: a caller may name another collection for each (OGC API Processes Part 3)."""
    described = {}
    for spec in info.layers:
        if spec.role in info.parameters.model_fields:
            continue
        about = Text(
            zh=f'默认为图层 {spec.layer}；可写 {{"collection": 本服务数据集的地址}} 换成另一图层，如另一次分析的结果。',
            en=f'Default: layer {spec.layer}. {{"collection": address of a collection of this service}} takes another, for '
            "example the result of another run.",
        )
        described[spec.role] = {
            "title": say(spec.title),
            "description": say(about),
            "schema": {
                "type": "object",
                "format": "ogc-collection",
                "required": ["collection"],
                "properties": {"collection": {"type": "string", "format": "uri-reference", "maxLength": 2000}},
                "additionalProperties": False,
            },
            "minOccurs": 0,
            "maxOccurs": 1,
        }
    return described


def output_schemas(info: ProcessInfo, call: Call) -> dict[str, dict[str, Any]]:
    """Outputs of a process: its rasters as GeoTIFF and the result document, or what `echo` gives back."""
    if not info.is_analysis:
        return {name: {"title": call.text(title), "schema": schema} for name, (title, schema) in echo.OUTPUTS.items()}
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
        "outputTransmission": list(MODES),
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
    inputs = input_schemas(info, call.text) | layer_inputs(info, call.text)
    return document | {"inputs": inputs, "outputs": output_schemas(info, call)}


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def status_info(job: Job, call: Place) -> dict[str, Any]:
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


def _documents(job: Job, call: Place) -> dict[str, dict[str, str]]:
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


def result_document(job: Job, call: Place, outputs: Mapping[str, str]) -> dict[str, Any]:
    """Results of a finished job: rasters by reference, the result document by value, and the other way round on demand."""
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
    for name, mode in outputs.items():
        if mode == "reference" and name in document and name not in result.get("rasters", {}):
            document[name] = {"href": call.address(f"/jobs/{job.id}/results/{name}"), "type": JSON}
    return {name: value for name, value in document.items() if not outputs or name in outputs}
