"""OpenAPI 3.0 description of the desk (接口说明), at ``/api/v1/river-chief/api``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.river_chief.documents import PATH
from spatial.river_chief.photos import ROLES
from spatial.river_chief.requests import CaseRequest, PatrolRequest, StepRequest

if TYPE_CHECKING:
    from spatial.river_chief.rules import DeskRules

__all__ = ["openapi_document"]

_GEOJSON, _JSON, _PROBLEM = "application/geo+json", "application/json", "application/problem+json"
_PROBLEMS = {
    "400": "参数或请求体有误 / a parameter or the body is wrong",
    "401": "需要密钥 / the key is needed",
    "403": "来自其他网站的页面 / a page of another site",
    "404": "不存在 / not found",
    "405": "未开放编辑 / editing is switched off",
    "409": "当前状态不允许，allowed 列出可办步骤 / not allowed in this state; allowed lists what is",
    "412": "读取后已有新的办理 / changed since it was read",
    "413": "照片过大 / the photo is too large",
    "415": "类型不受支持 / type not taken",
    "422": "几何有误，如轴序颠倒 / wrong geometry such as swapped axes",
    "428": "缺少 If-Match / If-Match is missing",
    "503": "河段名录未发布 / the register is not published",
}


def _parameter(
    name: str, zh: str, en: str, schema: dict[str, Any], where: str = "query", **more: Any
) -> dict[str, Any]:
    return {"name": name, "in": where, "description": f"{zh} / {en}", "schema": schema} | more


def _answer(text: str, kind: str, status: str = "200", **headers: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"} if "json" in kind else {"type": "string", "format": "binary"}
    found: dict[str, Any] = {"description": text, "content": {kind: {"schema": schema}}}
    if headers:
        found["headers"] = {
            name: {"description": meaning, "schema": {"type": "string"}} for name, meaning in headers.items()
        }
    return {status: found}


def _operation(
    name: str,
    zh: str,
    en: str,
    answer: dict[str, Any],
    problems: tuple[str, ...] = ("400",),
    *,
    parameters: tuple[dict[str, Any], ...] = (),
    body: dict[str, Any] | None = None,
    secured: bool = False,
) -> dict[str, Any]:
    content = {_PROBLEM: {"schema": {"$ref": "#/components/schemas/problem"}}}
    found: dict[str, Any] = {
        "operationId": name,
        "summary": f"{zh} / {en}",
        "parameters": list(parameters),
        "responses": answer | {code: {"description": _PROBLEMS[code], "content": content} for code in problems},
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": body}
    if secured:
        found["security"] = [{}, {"key": []}, {"basic": []}]
    return found


def openapi_document(rules: DeskRules, base: str) -> dict[str, Any]:
    """The description, with the states and kinds of the rules."""
    schemas: dict[str, Any] = {
        "problem": {"type": "object", "description": "RFC 9457", "additionalProperties": True},
    }
    bodies = {}
    for model in (CaseRequest, StepRequest, PatrolRequest):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
        bodies[model] = {_JSON: {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    images: dict[str, Any] = {
        kind: {"schema": {"type": "string", "format": "binary"}} for kind in rules.attachments.types
    }
    states = [state.id for state in rules.states.list]
    text: dict[str, Any] = {"type": "string"}
    flag: dict[str, Any] = {"type": "string", "enum": ["true", "false"]}
    filters = (
        _parameter("state", "状态，逗号分隔", f"states, comma-separated: {', '.join(states)}", text),
        _parameter("unit", "责任单位", "unit", text),
        _parameter("kind", "类型", "kind", {"type": "string", "enum": [kind.id for kind in rules.kinds.list]}),
        _parameter("water", "河湖", "river or lake", text),
        _parameter("reach", "河段编码", "code of the reach", text),
        _parameter("overdue", "是否逾期", "overdue or not", flag),
        _parameter("rebound", "是否反弹", "rebound or not", flag),
        _parameter("bbox", "西,南,东,北（CRS84）", "west,south,east,north", text),
        _parameter("q", "名称、说明、单位中的文字", "text in title, description, unit", text),
    )
    limit = _parameter("limit", "条数", "at most", {"type": "integer", "minimum": 1, "maximum": 1000})
    offset = _parameter("offset", "跳过", "skipped", {"type": "integer", "minimum": 0})
    days = tuple(
        _parameter(name, zh, en, {"type": "string", "format": "date"})
        for name, zh, en in (("from", "自该日（北京时间）", "from this day"), ("to", "至该日", "to this day"))
    )

    def in_path(name: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
        schema = schema or {"type": "integer", "minimum": 1}
        return _parameter(name, "编号", "id", schema, "path", required=True)

    match = _parameter(
        "If-Match", "读取图斑时的 ETag", "ETag that the case was read with", text, "header", required=True
    )
    role = _parameter("role", "照片内容", "what it shows", {"type": "string", "enum": list(ROLES)})
    name, actor = _parameter("name", "文件名", "file name", text), _parameter("actor", "上传人", "who sends it", text)
    write = ("400", "401", "403", "405")
    feature = _answer("图斑 / the case", _GEOJSON, ETag="办理时作 If-Match / for If-Match")
    made = _answer("已建立 / made", _GEOJSON, "201", Location="地址 / address")
    sent = _answer("已保存 / saved", _JSON, "201", Location="地址 / address")
    paths = {
        "": {
            "get": _operation(
                "desk",
                "工作台：状态、步骤、类型、图层",
                "states, steps, kinds, layers",
                _answer("工作台 / desk", _JSON),
            )
        },
        "/cases": {
            "get": _operation(
                "cases",
                "图斑列表",
                "cases",
                _answer("要素集合 / collection", _GEOJSON),
                parameters=(*filters, limit, offset),
            ),
            "post": _operation(
                "issueCase",
                "下发图斑",
                "issue a case",
                made,
                (*write, "404", "409", "415", "422"),
                body=bodies[CaseRequest],
                secured=True,
            ),
        },
        "/cases/{case}": {
            "get": _operation(
                "case", "图斑与办理记录", "a case with its history", feature, ("404",), parameters=(in_path("case"),)
            )
        },
        "/cases/{case}/steps": {
            "post": _operation(
                "takeStep",
                "办理一步",
                "take a step",
                feature,
                (*write, "404", "409", "412", "415", "428"),
                parameters=(in_path("case"), match),
                body=bodies[StepRequest],
                secured=True,
            ),
        },
        "/cases/{case}/photos": {
            "post": _operation(
                "addPhoto",
                f"上传照片，不超过 {rules.attachments.max_bytes} 字节",
                f"add a photo of at most {rules.attachments.max_bytes} bytes",
                sent,
                (*write, "404", "409", "413", "415", "422"),
                parameters=(in_path("case"), role, name, actor),
                body=images,
                secured=True,
            ),
        },
        "/photos/{photo}": {
            "get": _operation(
                "photo", "照片", "a photo", _answer("照片 / photo", "image/*"), ("404",), parameters=(in_path("photo"),)
            )
        },
        "/candidates": {
            "get": _operation(
                "candidates",
                "尚未下发的预警要素",
                "alert features not issued yet",
                _answer("要素集合 / collection", _GEOJSON),
                ("400", "404"),
                parameters=(_parameter("layer", "候选图层", "layer of candidates", text, required=True), limit),
            ),
        },
        "/alerts": {
            "get": _operation(
                "alerts",
                "预警要素的办理情况：图斑、同一处已销号的、反弹的",
                "how far the alerts of a layer are: their cases, closed ones of the same place, rebounds",
                _answer("办理情况 / states", _JSON),
                ("400", "404"),
                parameters=(_parameter("layer", "候选图层", "layer of candidates", text, required=True),),
            ),
        },
        "/patrols": {
            "get": _operation(
                "patrols",
                "巡河记录",
                "patrols",
                _answer("要素集合 / collection", _GEOJSON),
                parameters=(filters[3], filters[1], *days, limit),
            ),
            "post": _operation(
                "recordPatrol",
                "登记巡河",
                "record a patrol",
                made,
                (*write, "404", "415", "422"),
                body=bodies[PatrolRequest],
                secured=True,
            ),
        },
        "/patrols/{patrol}": {
            "get": _operation(
                "patrol",
                "一次巡河",
                "a patrol",
                _answer("要素 / feature", _GEOJSON),
                ("404",),
                parameters=(in_path("patrol"),),
            )
        },
        "/patrols/{patrol}/photos": {
            "post": _operation(
                "addPatrolPhoto",
                f"上传巡河照片，不超过 {rules.attachments.max_bytes} 字节",
                f"add a photo of at most {rules.attachments.max_bytes} bytes",
                sent,
                (*write, "404", "413", "415", "422"),
                parameters=(in_path("patrol"), name, actor),
                body=images,
                secured=True,
            ),
        },
        "/waters": {
            "get": _operation("waters", "河湖名录", "rivers and lakes", _answer("名录 / register", _JSON), ("503",))
        },
        "/waters/{name}": {
            "get": _operation(
                "water",
                "一河（湖）一档",
                "file of a river or lake",
                _answer("档案 / file", _JSON),
                ("404", "503"),
                parameters=(in_path("name", text),),
            )
        },
        "/assessment": {
            "get": _operation(
                "assessment", "按单位的考核指标", "figures by unit", _answer("指标 / figures", _JSON), parameters=days
            )
        },
        "/ledger.xlsx": {
            "get": _operation(
                "ledgerExcel",
                "台账 Excel",
                "ledger as Excel",
                _answer("工作簿 / workbook", "application/octet-stream"),
                parameters=filters,
            )
        },
        "/ledger.docx": {
            "get": _operation(
                "ledgerWord",
                "台账 Word",
                "ledger as Word",
                _answer("文档 / document", "application/octet-stream"),
                parameters=filters,
            )
        },
    }
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "河湖长工作台 / River chief's desk",
            "version": "1",
            "description": "图斑、巡河、一河一档、台账、考核 / cases, patrols, register, ledger, assessment",
        },
        "servers": [{"url": base}],
        "paths": {f"{PATH}{path}": item for path, item in paths.items()},
        "components": {
            "schemas": _as_openapi_30(schemas),
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _as_openapi_30(node: Any) -> Any:
    """JSON Schema 2020-12 of pydantic in the dialect of OpenAPI 3.0: ``null`` becomes ``nullable``, exclusive bounds flags."""
    if isinstance(node, list):
        return [_as_openapi_30(part) for part in node]
    if not isinstance(node, dict):
        return node
    found = {name: _as_openapi_30(part) for name, part in node.items()}
    options = found.get("anyOf")
    if isinstance(options, list) and {"type": "null"} in options:
        rest = [option for option in options if option != {"type": "null"}]
        del found["anyOf"]
        found |= {"allOf": rest} if "$ref" in rest[0] else rest[0]
        found["nullable"] = True
    for name, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(found.get(name), int | float) and not isinstance(found.get(name), bool):
            found[bound] = found.pop(name)
            found[name] = True
    if found.get("default", ...) is None:
        del found["default"]
    return found
