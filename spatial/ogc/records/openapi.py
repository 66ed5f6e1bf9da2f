"""The catalogue's part of the OpenAPI document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spatial.ogc.openapi_components import parameter, ref
from spatial.ogc.openapi_operations import get_operation
from spatial.ogc.parameters import FILTER_LANGUAGES
from spatial.ogc.records.documents import DCAT, FACETS_TYPE, ISO19139, OGC_CATALOG, PATH
from spatial.ogc.records.query import MAX_LIMIT, QUERYABLES, RECORDS_PARAMETERS

if TYPE_CHECKING:
    from spatial.store.datastore import Snapshot

__all__ = ["record_components", "record_paths"]

TAG = "records"
_WORDS: dict[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1}
_SHARED = {"bbox", "bbox-crs", "datetime", "filter", "filter-crs", "offset", "lang"}
"""Parameters that are the same as those of features."""


def _form(*names: str) -> dict[str, Any]:
    return {"type": "string", "enum": ["json", "html", *names], "default": "json"}


def _own_parameters() -> dict[str, dict[str, Any]]:
    found = [
        parameter(
            "q", "全文检索：逗号表示任一，空格表示相邻", "full text: a comma means either, a space adjacent", _WORDS
        ),
        parameter(
            "type",
            "资源类型",
            "type of the resource",
            {
                "type": "array",
                "items": {"type": "string", "enum": ["dataset", "result", "process", "service"]},
                "minItems": 1,
            },
        ),
        parameter("ids", "记录编号", "ids of records", _WORDS),
        parameter(
            "externalIds",
            "外部编号，形式为 值、类别:值 或 类别:",
            "identifiers given by others: value, scheme:value or scheme:",
            _WORDS,
        ),
        parameter(
            "filter-lang",
            "过滤语言",
            "language of filter",
            {"type": "string", "enum": list(FILTER_LANGUAGES), "default": "cql2-text"},
        ),
        parameter("sortby", "排序字段，降序在前面加 -", "properties to sort by, - in front for descending", _WORDS),
        parameter(
            "limit",
            f"每页记录数；大于 {MAX_LIMIT} 时按 {MAX_LIMIT}",
            f"records a page; above {MAX_LIMIT} it is lowered to {MAX_LIMIT}",
            {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 10},
        ),
        parameter(
            "facets",
            "分面统计，形式为 属性:个数:排序",
            "facets to count, as property:count:order",
            {"type": "array", "items": {"type": "string"}},
        ),
    ]
    for name, kind in QUERYABLES.items():
        if name in RECORDS_PARAMETERS and name != "type":
            schema: dict[str, Any] = {"type": "boolean" if kind == "boolean" else "string"}
            schema = _WORDS if kind == "strings" else schema
            found.append(parameter(name, f"{name} 等于此值", f"{name} equals this value", schema))
    return {known["name"]: known for known in found}


def _query(*without: str) -> list[Any]:
    own = _own_parameters()
    names = [name for name in RECORDS_PARAMETERS if name not in {"f", *without}]
    return [ref("parameters", name) if name in _SHARED else own[name] for name in names]


def _content(text: str, **kinds: Any) -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": schema} for kind, schema in kinds.items()}}


def record_paths(snapshot: Snapshot) -> dict[str, Any]:
    """Paths of the catalogue."""
    page = {"text/html": {"type": "string"}}
    thing = {"type": "object"}
    lang = ref("parameters", "lang")

    def f(*names: str) -> dict[str, Any]:
        return parameter("f", "返回格式", "Format of the answer", _form(*names))

    def operation(name: str, zh: str, en: str, parameters: list[Any], answer: dict[str, Any]) -> dict[str, Any]:
        found = get_operation(TAG, f"catalogue.{name}", zh, en, "Collection", parameters)
        found["responses"]["200"] = answer
        return {"get": found}

    records = _content(
        "记录 / records",
        **{"application/geo+json": ref("schemas", "recordCollectionGeoJSON"), DCAT: thing, **page},
    )
    record = _content(
        "记录 / a record",
        **{"application/geo+json": ref("schemas", "recordGeoJSON"), DCAT: thing, ISO19139: {"type": "string"}, **page},
    )
    described = ref("schemas", "catalogue")
    catalogue = _content(
        "资源目录 / the resource catalogue",
        **{"application/json": described, OGC_CATALOG: described, DCAT: thing, **page},
    )
    schema = _content("字段 / properties", **{"application/schema+json": ref("schemas", "jsonSchema"), **page})
    counted = _content("分面统计 / facets", **{FACETS_TYPE: ref("schemas", "facets"), **page})
    identifier = parameter("recordId", "记录编号", "id of the record", {"type": "string"}, place="path", required=True)
    paths = {
        PATH: operation(
            "getCollection", "资源目录", "The resource catalogue", [f("dcat", "ogc-catalog"), lang], catalogue
        ),
        f"{PATH}/items": operation("getRecords", "检索记录", "Search records", [*_query(), f("dcat")], records),
        f"{PATH}/items/{{recordId}}": operation(
            "getRecord", "单条记录", "One record", [identifier, f("dcat", "iso19139"), lang], record
        ),
        f"{PATH}/facets": operation(
            "getFacets", "分面统计", "Facets", [*_query("limit", "offset", "sortby"), f()], counted
        ),
        "/catalogue.jsonld": operation(
            "getDCAT", "整个目录（DCAT）", "The whole catalogue as DCAT", [lang], _content("DCAT", **{DCAT: thing})
        ),
    }
    titles = {
        "queryables": ("可查询字段", "Queryables"),
        "sortables": ("可排序字段", "Sortables"),
        "schema": ("字段结构", "Schema"),
    }
    for name, (zh, en) in titles.items():
        paths[f"{PATH}/{name}"] = operation(f"get{name.capitalize()}", zh, en, [f(), lang], schema)
    return paths


def record_components(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """Schemas of records, of the catalogue and of facets."""
    text = {"type": "string"}
    links = {"type": "array", "items": ref("schemas", "link")}
    language = {"type": "object", "required": ["code"], "properties": {"code": text, "name": text, "alternate": text}}
    theme = {
        "type": "object",
        "required": ["concepts", "scheme"],
        "properties": {
            "scheme": text,
            "concepts": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "object", "required": ["id"], "properties": {"id": text, "title": text}},
            },
        },
    }
    properties = {
        "type": {"type": "string", "enum": ["dataset", "result", "process", "service"]},
        "title": text,
        "description": text,
        "keywords": {"type": "array", "items": text},
        "themes": {"type": "array", "minItems": 1, "items": theme},
        "language": language,
        "languages": {"type": "array", "items": language},
        "resourceLanguages": {"type": "array", "items": language},
        "externalIds": {
            "type": "array",
            "items": {"type": "object", "required": ["value"], "properties": {"scheme": text, "value": text}},
        },
        "formats": {"type": "array", "items": {"type": "object", "properties": {"name": text, "mediaType": text}}},
        "contacts": {"type": "array", "items": {"type": "object"}},
        "license": text,
        "rights": text,
        "created": {"type": "string", "format": "date-time"},
        "updated": {"type": "string", "format": "date-time"},
        "department": text,
        "grade": {"type": "string", "enum": ["公开", "内部", "敏感"]},
        "kind": text,
        "synthetic": {"type": "boolean"},
        "version": text,
        "derivedFrom": {"type": "array", "items": text},
    }
    record = {
        "type": "object",
        "required": ["id", "type", "geometry", "properties", "time"],
        "properties": {
            "id": text,
            "type": {"type": "string", "enum": ["Feature"]},
            "conformsTo": {"type": "array", "items": text},
            "time": {
                "type": "object",
                "nullable": True,
                "properties": {
                    "date": text,
                    "timestamp": text,
                    "interval": {"type": "array", "minItems": 2, "maxItems": 2, "items": text},
                },
            },
            "geometry": {"nullable": True, "allOf": [ref("schemas", "polygonGeoJSON")]},
            "bbox": {"type": "array", "items": {"type": "number"}},
            "properties": {"type": "object", "required": ["type", "title"], "properties": properties},
            "links": links,
            "linkTemplates": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["uriTemplate"],
                    "properties": {
                        "rel": text,
                        "type": text,
                        "title": text,
                        "uriTemplate": text,
                        "variables": {"type": "object"},
                    },
                },
            },
        },
    }
    facet = {
        "type": "object",
        "required": ["type", "property", "buckets"],
        "properties": {
            "type": {"type": "string", "enum": ["term"]},
            "property": text,
            "more": {"type": "boolean"},
            "buckets": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["value", "count"],
                    "properties": {"value": text, "title": text, "count": {"type": "integer", "minimum": 1}},
                },
            },
        },
    }
    facets = {"type": "object", "additionalProperties": facet}
    count = {"type": "integer", "minimum": 0}
    collection = {
        "type": "object",
        "required": ["type", "features", "links"],
        "properties": {
            "type": {"type": "string", "enum": ["FeatureCollection"]},
            "features": {"type": "array", "items": ref("schemas", "recordGeoJSON")},
            "numberMatched": count,
            "numberReturned": count,
            "timeStamp": {"type": "string", "format": "date-time"},
            "facets": facets,
            "links": links,
        },
    }
    catalogue = {
        "type": "object",
        "required": ["id", "type", "itemType", "links"],
        "properties": {
            "id": text,
            "type": {"type": "string", "enum": ["Collection"]},
            "itemType": {"type": "string", "enum": ["record"]},
            "title": text,
            "description": text,
            "extent": ref("schemas", "extent"),
            "links": links,
        },
    }
    return {
        "schemas": {
            "recordGeoJSON": record,
            "recordCollectionGeoJSON": collection,
            "catalogue": catalogue,
            "facets": {
                "type": "object",
                "required": ["id", "facets"],
                "properties": {
                    "id": text,
                    "facets": facets,
                    "defaultBucketCount": count,
                    "numberMatched": count,
                    "links": links,
                },
            },
        }
    }
