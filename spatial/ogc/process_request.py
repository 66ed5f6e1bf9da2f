"""The execute request of OGC API Processes: inputs, layers in the place of the usual ones, outputs, form, subscriber."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from spatial.crs import CRS84, parse_crs
from spatial.errors import InvalidParameter, UnknownCRS, UnsupportedMediaType
from spatial.exchange import json_document
from spatial.jobs import echo
from spatial.jobs.callbacks import read_subscriber
from spatial.jobs.processes import ProcessInfo
from spatial.ogc.exchange import JSON
from spatial.ogc.process_documents import GEOTIFF, MODES

__all__ = ["ExecuteRequest", "preferences", "read_execute_request"]

_MEMBERS = ("inputs", "outputs", "response", "subscriber")
_DEEPEST = 64
"""Levels of a request body; a value that nests deeper can be read, but neither kept nor written again."""
_LAYER_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,120}")


@dataclass(frozen=True, slots=True)
class ExecuteRequest:
    """A checked execute request.

    Attributes
    ----------
    inputs : dict
        Values by name.
    layers : dict
        Role → layer that takes the place of its usual one.
    outputs : dict
        Outputs asked for → ``value``, ``reference``, or ``auto`` where the caller left it open; empty: all.
    subscriber : dict
        Event → address to tell.
    """

    inputs: dict[str, Any]
    layers: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    response: Literal["raw", "document"] = "document"
    subscriber: dict[str, str] = field(default_factory=dict)

    def stored(self) -> dict[str, Any]:
        """What the job row keeps of the form of the answer."""
        return {"outputs": self.outputs, "response": self.response}


def preferences(header: str) -> dict[str, str]:
    """Preferences of a ``Prefer`` header (RFC 7240) by name in lower case.

    >>> preferences("respond-async, wait=10; x=1")
    {'respond-async': '', 'wait': '10'}
    """
    found: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition(";")[0].partition("=")
        if name.strip():
            found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


def read_execute_request(
    content_type: str | None, body: bytes, info: ProcessInfo, ogc: str, callback_hosts: Collection[str] = ()
) -> ExecuteRequest:
    """Execute request of a process from a request body.

    Parameters
    ----------
    ogc : str
        Address of the landing page; collections are named below it.
    callback_hosts : collection of str
        `Settings.callback_hosts`.

    Raises
    ------
    UnsupportedMediaType, InvalidParameter
        No JSON, not an object, an output that the process does not have, a collection of another service …
    """
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind != JSON and not kind.endswith("+json"):
        raise UnsupportedMediaType(
            f"请求头 Content-Type 应为 application/json，收到 {kind[:60]!r}",
            f"Content-Type must be application/json, got {kind[:60]!r}",
            allowed=[JSON],
        )
    document = json_document(body)
    if _is_deeper(document, _DEEPEST):
        raise InvalidParameter(
            f"请求体嵌套超过 {_DEEPEST} 层，请减少层数",
            f"the body nests deeper than {_DEEPEST} levels; use fewer",
            parameter="body",
        )
    example = '{"inputs": {…}}'
    given = document.get("inputs", {}) if isinstance(document, dict) else None
    if not isinstance(given, dict):
        raise InvalidParameter(
            f"请求体应为 JSON 对象，如 {example}", f"the body must be a JSON object such as {example}", parameter="body"
        )
    strange = [name for name in document if name not in _MEMBERS]
    if strange:
        raise InvalidParameter(
            f"请求体没有成员 {strange[0][:80]!r}，可用：{'、'.join(_MEMBERS)}；参数写在 inputs 中",
            f"the body has no member {strange[0][:80]!r}; allowed: {', '.join(_MEMBERS)}; parameters belong into inputs",
            parameter="body",
            allowed=list(_MEMBERS),
        )
    layers = {
        name: _collection(name, value, info, ogc)
        for name, value in given.items()
        if isinstance(value, dict) and "collection" in value and info.is_analysis
    }
    inputs = {name: _plain_value(name, value, info) for name, value in given.items() if name not in layers}
    outputs = _read_outputs(document.get("outputs"), _output_media(info))
    response: Any = document.get("response")
    if response is None:
        # Whoever names outputs gets them themselves (the standard's default); without any, links to everything.
        response = "raw" if outputs else "document"
    if response not in ("raw", "document"):
        raise InvalidParameter(
            f"response 应为 raw 或 document，收到 {str(response)[:40]!r}",
            f"response must be raw or document, got {str(response)[:40]!r}",
            parameter="response",
        )
    subscriber = document.get("subscriber")
    events = read_subscriber(subscriber, callback_hosts) if subscriber is not None else {}
    return ExecuteRequest(inputs, layers, outputs, response, events)


def _output_media(info: ProcessInfo) -> dict[str, str]:
    """Output → its media type, in the order of the process description."""
    if info.is_analysis:
        return {**dict.fromkeys(info.rasters, GEOTIFF), "result": JSON}
    return {name: schema.get("contentMediaType", JSON) for name, (_, schema) in echo.OUTPUTS.items()}


def _collection(name: str, value: Mapping[str, Any], info: ProcessInfo, ogc: str) -> str:
    """Layer that an input names by the address of its collection.

    Source: OGC API Processes Part 3 (draft), /req/collection-input/referenced-collection.
    """
    address = value["collection"]
    if set(value) != {"collection"} or not isinstance(address, str) or not address or len(address) > 2000:
        raise InvalidParameter(
            f'输入 {name} 应写作 {{"collection": "{ogc}/collections/…"}}，不带其他成员',
            f'input {name} must be {{"collection": "{ogc}/collections/…"}} without other members',
            parameter=name,
        )
    try:
        # A relative address is relative to the process.
        parts = urlsplit(urljoin(f"{ogc}/processes/{info.id}", address))
        own = urlsplit(ogc)
    except ValueError:
        parts = own = urlsplit("")
    prefix = f"{own.path}/collections/"
    layer_id = parts.path.removeprefix(prefix)
    is_own = (parts.scheme, parts.netloc) == (own.scheme, own.netloc) and parts.path.startswith(prefix)
    if not is_own or parts.query or parts.fragment or not _LAYER_ID.fullmatch(layer_id):
        raise InvalidParameter(
            f"输入 {name} 只能用本服务的数据集（{ogc}/collections/…，不带查询参数），收到 {address[:120]!r}",
            f"input {name}: only collections of this service ({ogc}/collections/…, without a query), got {address[:120]!r}",
            parameter=name,
            value=address[:200],
        )
    return layer_id


def _plain_value(name: str, value: Any, info: ProcessInfo) -> Any:
    """Value of an input, also where it is written as a qualified value or as a bounding box with a CRS."""
    if not isinstance(value, dict):
        return value
    if "process" in value and name not in info.parameters.model_fields:
        raise InvalidParameter(
            f"输入 {name} 不能嵌套处理；请先异步执行该处理，再用 collection 引用其结果数据集",
            f"input {name}: nested processes are not supported; execute that process asynchronously first and name the "
            "collection of its result",
            parameter=name,
        )
    if "href" in value:
        raise InvalidParameter(
            f"输入 {name} 不能用 href 引用外部地址，请直接给值",
            f"input {name}: values by reference (href) are not accepted; give the value itself",
            parameter=name,
        )
    if name == "bbox" and "bbox" in value:
        _only(name, value, ("bbox", "crs"))
        _require_crs84(name, value.get("crs", "CRS84"))
        return value["bbox"]
    if "value" not in value:
        return value
    _only(name, value, ("value", "mediaType", "encoding", "schema", "format"))
    if value.get("encoding") is not None:
        # Nothing here takes binary values; the text of one would pass for the value itself.
        raise InvalidParameter(
            f"输入 {name} 不接受编码后的值（encoding），请直接给值",
            f"input {name}: encoded values (encoding) are not accepted; give the value itself",
            parameter=name,
        )
    return value["value"]


def _only(name: str, value: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Refuse members of a qualified value that would be passed over in silence."""
    strange = [member for member in value if member not in allowed]
    if strange:
        raise InvalidParameter(
            f'输入 {name} 的写法没有成员 {strange[0][:80]!r}，可用：{"、".join(allowed)}；对象请写作 {{"value": {{…}}}}',
            f"input {name}: no member {strange[0][:80]!r} here; allowed: {', '.join(allowed)}; write an object as "
            '{"value": {…}}',
            parameter=name,
            allowed=list(allowed),
        )


def _require_crs84(name: str, crs: Any) -> None:
    try:
        known = parse_crs(crs, parameter=name) is CRS84 if isinstance(crs, str) else False
    except UnknownCRS:
        known = False
    if not known:
        raise InvalidParameter(
            f"输入 {name} 的 crs 须为 CRS84（经度在前），收到 {str(crs)[:80]!r}",
            f"input {name}: crs must be CRS84 (longitude first), got {str(crs)[:80]!r}",
            parameter=name,
            value=str(crs)[:200],
            allowed=[CRS84.uri],
        )


def _is_deeper(document: Any, levels: int) -> bool:
    """Whether objects and arrays of a JSON document nest deeper than so many levels.

    >>> _is_deeper({"a": [1]}, 1), _is_deeper({"a": [1]}, 2)
    (True, False)
    """
    layer = [document]
    for _ in range(levels):
        layer = [
            part
            for whole in layer
            if isinstance(whole, dict | list)
            for part in (whole.values() if isinstance(whole, dict) else whole)
        ]
        if not layer:
            return False
    return any(isinstance(part, dict | list) for part in layer)


def _read_outputs(wanted: Any, media: Mapping[str, str]) -> dict[str, str]:
    """Outputs that are named, each with its way of transmission; `media` tells the media type of each that there is."""
    known = list(media)
    if wanted is None:
        return {}
    if not isinstance(wanted, dict):
        raise InvalidParameter("outputs 应为对象", "outputs must be an object", parameter="outputs", allowed=known)
    outputs = {}
    for name, how in wanted.items():
        if name not in known:
            raise InvalidParameter(
                f"没有输出 {name[:80]!r}，可用：{'、'.join(known)}",
                f"no output {name[:80]!r}; use one of {', '.join(known)}",
                parameter="outputs",
                allowed=known,
            )
        mode = how.get("transmissionMode", "auto") if isinstance(how, dict) else how
        if (
            not isinstance(how, dict)
            or mode not in (*MODES, "auto")
            or not how.keys() <= {"transmissionMode", "format"}
        ):
            raise InvalidParameter(
                f'输出 {name} 应写作 {{}} 或 {{"transmissionMode": "value" 或 "reference"}}，可另加 format',
                f'output {name} must be {{}} or {{"transmissionMode": "value" or "reference"}}, a format may stand beside it',
                parameter="outputs",
                allowed=list(MODES),
            )
        _check_media(name, how.get("format"), media[name])
        outputs[name] = mode
    return outputs


def _check_media(name: str, form: Any, own: str) -> None:
    """Refuse a format of an output that it has not: every output has one."""
    if form is None:
        return
    wanted = form.get("mediaType") if isinstance(form, dict) else form
    if not isinstance(form, dict) or not (wanted is None or isinstance(wanted, str)):
        raise InvalidParameter(
            f'输出 {name} 的 format 应写作 {{"mediaType": "{own}"}}',
            f'output {name}: format must be {{"mediaType": "{own}"}}',
            parameter="outputs",
            allowed=[own],
        )
    if wanted is not None and _bare(wanted) != _bare(own):
        raise InvalidParameter(
            f"输出 {name} 没有格式 {wanted[:60]!r}，可用：{own}",
            f"output {name} has no format {wanted[:60]!r}; it comes as {own}",
            parameter="outputs",
            allowed=[own],
        )


def _bare(media: str) -> str:
    """Media type without its parameters.

    >>> _bare("text/plain; charset=utf-8")
    'text/plain'
    """
    return media.partition(";")[0].strip().lower()
