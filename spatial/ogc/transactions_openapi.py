"""The editing operations in the OpenAPI document: one set for each editable layer, with the schema of its features."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.crs import SERVED
from spatial.ogc.openapi_components import parameter, ref
from spatial.ogc.openapi_operations import ERRORS, to_openapi30
from spatial.ogc.queryables import field_schema
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from spatial.store.datastore import Snapshot

__all__ = ["components", "paths"]

_GEOMETRIES = {
    "Point": ("pointGeoJSON",),
    "LineString": ("linestringGeoJSON",),
    "Polygon": ("polygonGeoJSON",),
    "MultiPoint": ("pointGeoJSON", "multipointGeoJSON"),
    "MultiLineString": ("linestringGeoJSON", "multilinestringGeoJSON"),
    "MultiPolygon": ("polygonGeoJSON", "multipolygonGeoJSON"),
}
_ALL = ("pointGeoJSON", "linestringGeoJSON", "polygonGeoJSON")


def _editable(snapshot: Snapshot) -> list[PublishedTable]:
    if snapshot.settings.edit == "off":
        return []
    return [table for table in snapshot.current() if isinstance(table, PublishedTable) and table.layer.editable]


def _feature(table: PublishedTable) -> dict[str, Any]:
    properties = {
        f.name: to_openapi30(field_schema(f)) | ({"nullable": True} if f.nullable else {}) for f in table.layer.fields
    }
    required = [f.name for f in table.layer.fields if not f.nullable and f.name != table.layer.id_field]
    attributes: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        attributes["required"] = required
    kinds = [ref("schemas", name) for name in _GEOMETRIES.get(table.geometry_type, _ALL)]
    return {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["Feature"]},
            "geometry": kinds[0] if len(kinds) == 1 else {"oneOf": kinds},
            "properties": attributes,
        },
        "required": ["type", "geometry", "properties"],
    }


def _changes(table: PublishedTable) -> dict[str, Any]:
    feature = _feature(table)["properties"]
    return {"type": "object", "properties": {"geometry": feature["geometry"], **feature["properties"]["properties"]}}


def _body(schemas: dict[str, str]) -> dict[str, Any]:
    content = {kind: {"schema": ref("schemas", name)} for kind, name in schemas.items()}
    return {"required": True, "content": content}


_DONE = {
    "ETag": {"description": "实体标签 / entity tag", "schema": {"type": "string"}},
    "OneMap-Version": {"description": "产生的版本 / version that the edit made", "schema": {"type": "string"}},
}


_KEY_SCHEMES = {
    "editKey": {"type": "http", "scheme": "bearer", "description": "编辑密钥 / key for editing"},
    "editPassword": {"type": "http", "scheme": "basic", "description": "编辑密钥作为密码 / the key as password"},
}
"""Ways to send the key where ``ONEMAP_EDIT=key``."""


def _operation(table: PublishedTable, name: str, zh: str, en: str, *, item: bool, body: bool) -> dict[str, Any]:
    layer, title = table.layer, table.layer.display_title()
    names = ["featureId", "If-Match", "If-None-Match"] * item + ["Content-Crs", "Prefer-Return"] * body + ["lang"]
    answers = {
        "400": ref("responses", "InvalidParameter"),
        "401": ref("responses", "KeyNeeded"),
        "403": ref("responses", "OtherSite"),
        "422": ref("responses", "Unfit"),
    }
    if item:
        answers |= {"412": ref("responses", "Changed"), "428": ref("responses", "StateNeeded")}
    if body:
        answers |= {"413": ref("responses", "TooLarge"), "415": ref("responses", "OtherMedia")}
    return {
        "tags": [layer.id],
        "operationId": f"{layer.id}.{name}",
        "summary": f"{title.zh}：{zh} / {title.en}: {en}",
        "parameters": [ref("parameters", parameter_name) for parameter_name in names],
        "responses": {**ERRORS, **answers},
    }


def paths(snapshot: Snapshot) -> dict[str, Any]:
    """Operations of every editable layer; none where editing is switched off."""
    found: dict[str, Any] = {}
    for table in _editable(snapshot):
        layer = table.layer
        whole, part = f"{layer.id}-feature", f"{layer.id}-changes"
        feature = {"application/geo+json": whole, "application/json": whole}
        changed = {"200": ref("responses", "Edited"), "204": {"description": "已写入 / done", "headers": _DONE}}
        post = _operation(table, "createFeature", "新建要素", "create a feature", item=False, body=True)
        post["requestBody"] = _body(feature)
        post["responses"]["201"] = ref("responses", "Created")
        put = _operation(table, "replaceFeature", "替换要素", "replace a feature", item=True, body=True)
        put["requestBody"] = _body(feature)
        put["responses"] |= changed
        patch = _operation(table, "updateFeature", "修改要素", "update a feature", item=True, body=True)
        patch["requestBody"] = _body({"application/merge-patch+json": part, "application/geo+json": f"{part}-geojson"})
        patch["responses"] |= changed
        delete = _operation(table, "deleteFeature", "删除要素", "delete a feature", item=True, body=False)
        delete["responses"]["204"] = {"description": "已删除 / deleted"}
        found[f"/collections/{layer.id}/items"] = {"post": post}
        found[f"/collections/{layer.id}/items/{{featureId}}"] = {"put": put, "patch": patch, "delete": delete}
    if snapshot.settings.edit == "key":
        for item in found.values():
            for operation in item.values():
                operation["security"] = [{scheme: []} for scheme in _KEY_SCHEMES]
    return found


def components(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Schemas of the features of editable layers, and the parameters and answers of their operations."""
    tables = _editable(snapshot)
    if not tables:
        return {}
    schemas: dict[str, Any] = {}
    for table in tables:
        schemas[f"{table.layer.id}-feature"] = _feature(table)
        schemas[f"{table.layer.id}-changes"] = _changes(table)
        whole = _feature(table)["properties"]
        attributes = {k: v for k, v in whole["properties"].items() if k != "required"}
        schemas[f"{table.layer.id}-changes-geojson"] = {
            "type": "object",
            "properties": {**whole, "properties": attributes},
        }
    problem = {"application/problem+json": {"schema": ref("schemas", "exception")}}
    feature = {"application/geo+json": {"schema": ref("schemas", "featureGeoJSON")}}
    place = {"Location": {"description": "要素地址 / address of the feature", "schema": {"type": "string"}}}

    def header(name: str, zh: str, en: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
        return parameter(name, zh, en, schema or {"type": "string"}, place="header")

    crs = {"type": "string", "enum": [f"<{uri}>" for uri in SERVED]}
    returned = {"type": "string", "enum": ["return=representation", "return=minimal"]}
    return {
        **({"securitySchemes": _KEY_SCHEMES} if snapshot.settings.edit == "key" else {}),
        "schemas": schemas,
        "parameters": {
            "If-Match": header("If-Match", "读取要素时得到的 ETag", "ETag that the feature had when it was read"),
            "If-None-Match": header("If-None-Match", "不应处于的状态", "states that it must not be in"),
            "Content-Crs": header("Content-Crs", "请求体坐标系，默认 CRS84", "CRS of the body, default CRS84", crs),
            "Prefer-Return": header("Prefer", "是否返回要素", "whether to send the feature back", returned),
        },
        "responses": {
            "Created": {"description": "已新建 / created", "headers": {**_DONE, **place}, "content": feature},
            "Edited": {"description": "已写入 / done", "headers": _DONE, "content": feature},
            "KeyNeeded": {"description": "需要密钥 / the key is needed", "content": problem},
            "OtherSite": {"description": "其他网站的网页 / a page of another site", "content": problem},
            "Changed": {"description": "要素已被他人修改 / the feature was changed meanwhile", "content": problem},
            "OtherMedia": {"description": "请求体类型不受支持 / media type not read here", "content": problem},
            "Unfit": {
                "description": "要素不合图层结构或质检规则 / the feature breaks the schema or a rule",
                "content": problem,
            },
            "StateNeeded": {"description": "需要 If-Match / If-Match is needed", "content": problem},
        },
    }
