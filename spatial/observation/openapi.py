"""OpenAPI 3.0 description of observations (接口说明), at ``/api/v1/observation/api``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.observation.cameras import CameraProperties

if TYPE_CHECKING:
    from spatial.observation.rules import ObservationRules

__all__ = ["openapi_document"]

_GEOJSON, _JSON, _PROBLEM = "application/geo+json", "application/json", "application/problem+json"
_PROBLEMS = {
    "400": "参数或请求体有误，problems 逐行列出 / a parameter or the body is wrong; problems lists the rows",
    "401": "需要密钥 / the key is needed",
    "403": "来自其他网站的页面 / a page of another site",
    "404": "不存在 / not found",
    "405": "未开放写入 / writing is switched off",
    "409": "已存在，duplicates 列出 / there already; duplicates lists them",
    "413": "过大 / too large",
    "415": "类型不受支持 / type not taken",
    "422": "内容不合要求，如轴序颠倒、不是图片 / does not fit: swapped axes, no picture",
}
_WRITE = ("400", "401", "403", "404", "405")


def _parameter(name: str, text: str, schema: dict[str, Any], where: str = "query", **more: Any) -> dict[str, Any]:
    return {"name": name, "in": where, "description": text, "schema": schema} | more


def _answer(text: str, kind: str, status: str = "200") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"} if "json" in kind else {"type": "string", "format": "binary"}
    return {status: {"description": text, "content": {kind: {"schema": schema}}}}


def _operation(
    name: str,
    text: str,
    answer: dict[str, Any],
    problems: tuple[str, ...] = ("400",),
    *,
    parameters: tuple[dict[str, Any], ...] = (),
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    content = {_PROBLEM: {"schema": {"$ref": "#/components/schemas/problem"}}}
    found: dict[str, Any] = {
        "operationId": name,
        "summary": text,
        "parameters": list(parameters),
        "responses": answer | {code: {"description": _PROBLEMS[code], "content": content} for code in problems},
    }
    if body is not None:
        found |= {"requestBody": {"required": True, "content": body}, "security": [{}, {"key": []}, {"basic": []}]}
    return found


def openapi_document(rules: ObservationRules, base: str) -> dict[str, Any]:
    """The description, with the limits of the rules."""
    text: dict[str, Any] = {"type": "string"}
    moment: dict[str, Any] = {"type": "string", "format": "date-time"}
    between = (
        _parameter("from", "自该时刻（带时区）/ from this time, with its zone", moment),
        _parameter("to", "至该时刻 / to this time", moment),
    )
    limit = _parameter("limit", "条数 / at most", {"type": "integer", "minimum": 1, "maximum": 10_000})
    offset = _parameter("offset", "跳过 / skipped", {"type": "integer", "minimum": 0})
    camera = _parameter("camera", "视频点编号 / code of the camera", text, "path", required=True)
    snapshot = _parameter(
        "snapshot", "抓拍编号 / id of the snapshot", {"type": "integer", "minimum": 1}, "path", required=True
    )
    layer = _parameter("layer", "传感器图层 / layer of sensors", text, "path", required=True)
    reading = {"$ref": "#/components/schemas/reading"}
    rows = {"oneOf": [{"type": "array", "items": reading},
                      {"type": "object", "properties": {"readings": {"type": "array", "items": reading}}}]}  # fmt: skip
    feature: dict[str, Any] = {_GEOJSON: {"schema": {"$ref": "#/components/schemas/camera"}},
                               _JSON: {"schema": {"$ref": "#/components/schemas/camera"}}}  # fmt: skip
    properties = CameraProperties.model_json_schema(ref_template="#/components/schemas/{model}")
    images: dict[str, Any] = {
        kind: {"schema": {"type": "string", "format": "binary"}} for kind in rules.snapshots.types
    }
    paths: dict[str, Any] = {
        "/observation": {"get": _operation("observation", "四源概况 / what there is", _answer("概况 / overview", _JSON))},
        "/observation/flights": {
            "get": _operation("flights", "无人机架次 / flights", _answer("架次 / flights", _JSON))
        },
        "/cameras": {
            "get": _operation("cameras", "视频点位 / cameras", _answer("视频点位 / cameras", _GEOJSON), ("400", "404")),
            "post": _operation(
                "registerCamera", "登记视频点 / register a camera", _answer("已登记 / registered", _GEOJSON, "201"),
                (*_WRITE, "409", "422"), body=feature,
            ),
        },
        "/cameras/{camera}": {
            "get": _operation("camera", "一个视频点 / one camera", _answer("视频点 / the camera", _GEOJSON), ("400", "404"),
                              parameters=(camera,)),
            "patch": _operation(
                "changeCamera", "修改视频点 / change a camera", _answer("已修改 / changed", _GEOJSON), (*_WRITE, "422"),
                parameters=(camera,), body={_JSON: {"schema": {"type": "object"}}},
            ),
        },
        "/cameras/{camera}/snapshots": {
            "get": _operation("snapshots", "抓拍，新的在前 / snapshots, newest first", _answer("抓拍 / snapshots", _JSON),
                              ("400", "404"), parameters=(camera, *between, limit, offset)),
            "post": _operation(
                "addSnapshot",
                f"上传抓拍，不超过 {rules.snapshots.max_bytes} 字节，每点保留 {rules.snapshots.keep} 张 / "
                f"add a snapshot of at most {rules.snapshots.max_bytes} bytes; {rules.snapshots.keep} are kept a camera",
                _answer("已保存 / kept", _JSON, "201"),
                (*_WRITE, "409", "413", "415", "422"),
                parameters=(
                    camera,
                    _parameter("time", "拍摄时刻，带时区 / when it was taken, with its zone", moment, required=True),
                    _parameter("name", "文件名 / file name", text),
                ),
                body=images,
            ),
        },
        "/snapshots/{snapshot}": {
            "get": _operation("snapshot", "原图 / the picture", _answer("原图 / the picture", "image/jpeg"), ("404",),
                              parameters=(snapshot,))
        },
        "/snapshots/{snapshot}/thumbnail": {
            "get": _operation("thumbnail", "缩略图 / thumbnail", _answer("缩略图 / thumbnail", "image/jpeg"), ("404",),
                              parameters=(snapshot,))
        },
        "/sensors/{layer}/readings": {
            "get": _operation(
                "readings", "读数，新的在前 / readings, newest first", _answer("读数 / readings", _JSON), ("400", "404"),
                parameters=(
                    layer,
                    _parameter("station", "测站 / station", text),
                    _parameter("field", "测量字段 / measured field", text),
                    *between,
                    limit,
                    _parameter("f", "格式 / format", {"type": "string", "enum": ["json", "csv"]}),
                ),
            ),
            "post": _operation(
                "appendReadings",
                f"写入读数，一次至多 {rules.readings.max_rows} 行，全部写入或全部不写 / "
                f"append readings, at most {rules.readings.max_rows} rows, all or none",
                _answer("已写入，flagged 列出带质量标识的读数 / written; flagged lists those with a flag", _JSON, "201"),
                (*_WRITE, "409", "413", "415"),
                parameters=(
                    layer,
                    _parameter("duplicates", "同站同时刻已有读数时 / where station and time are there already",
                               {"type": "string", "enum": ["refuse", "keep", "replace"], "default": "refuse"}),
                ),
                body={_JSON: {"schema": rows}, "text/csv": {"schema": text}},
            ),
        },
    }  # fmt: skip
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "四源观测接入 / Observations of the bank",
            "version": "1.0.0",
            "description": "无人机正射影像、视频点位与抓拍、传感器读数。视频地址只作文本保存，服务端从不访问。/ "
            "Orthophotos, cameras and snapshots, readings of sensors. View links are texts: the server never opens them.",
        },
        "servers": [{"url": f"{base}/api/v1"}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
            "schemas": {
                "problem": {"type": "object", "description": "RFC 9457", "additionalProperties": True},
                "camera": {
                    "type": "object",
                    "required": ["type", "geometry", "properties"],
                    "properties": {
                        "type": {"type": "string", "enum": ["Feature"]},
                        "geometry": {"type": "object"},
                        "crs": {"type": "string", "description": "默认 CRS84 / default CRS84"},
                        "properties": _nullable(properties),
                    },
                },
                "reading": {
                    "type": "object",
                    "required": ["station", "time", "value", "unit"],
                    "additionalProperties": False,
                    "properties": {
                        "station": text,
                        "time": moment,
                        "value": {"type": "number"},
                        "unit": text,
                        "field": text,
                    },
                },
            },
        },
    }


def _nullable(schema: Any) -> Any:
    """JSON Schema of pydantic in the words of OpenAPI 3.0: ``nullable``, and exclusive bounds as flags."""
    if isinstance(schema, list):
        return [_nullable(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: _nullable(part) for name, part in schema.items()}
    choices = found.get("anyOf")
    if isinstance(choices, list) and {"type": "null"} in choices:
        rest = [choice for choice in choices if choice != {"type": "null"}]
        found = {name: part for name, part in found.items() if name not in {"anyOf", "default"}} | rest[0]
        found["nullable"] = True
    for name, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if name in found and not isinstance(found[name], bool):
            found[bound], found[name] = found[name], True
    return found
