"""Queryables (可查询字段), sortables (可排序字段) and schema (字段结构) of a collection, as JSON Schema 2020-12."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from spatial.ogc.exchange import JSON, SCHEMA, Call, link, read_call
from spatial.ogc.features import published_table
from spatial.ogc.parameters import DOCUMENT_PARAMETERS
from spatial.store.vector import ItemQuery

if TYPE_CHECKING:
    from spatial.catalog import Attribute, Layer
    from spatial.store.datastore import DataStore
    from spatial.store.vector import PublishedTable

__all__ = ["field_schema", "geojson_schema", "queryables", "queryables_document", "schema", "sortables"]

_TYPES: dict[str, dict[str, str]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
}
_GEOMETRY_FORMATS = {
    "Point": "geometry-point",
    "MultiPoint": "geometry-multipoint",
    "LineString": "geometry-linestring",
    "MultiLineString": "geometry-multilinestring",
    "Polygon": "geometry-polygon",
    "MultiPolygon": "geometry-multipolygon",
}


def _code(field: Attribute, code: str) -> Any:
    if field.type == "integer":
        return int(code)
    if field.type == "number":
        return float(code)
    return code


def field_schema(field: Attribute, language: str = "zh") -> dict[str, Any]:
    """JSON Schema of one attribute: type, title, unit, and the codes of its domain with their meaning."""
    title = field.title.zh if language == "zh" else field.title.en
    found: dict[str, Any] = {**_TYPES[field.type], "title": title}
    if field.unit is not None:
        found["x-ogc-unit"] = field.unit
    if field.domain:
        found["enum"] = [_code(field, code) for code in field.domain]
        found["x-enum-titles"] = {code: text.zh if language == "zh" else text.en for code, text in field.domain.items()}
    return found


def _geometry(table: PublishedTable, call: Call) -> dict[str, Any]:
    kind = _GEOMETRY_FORMATS.get(table.geometry_type, "geometry-any")
    return {"title": call.say("几何", "Geometry"), "format": kind, "x-ogc-role": "primary-geometry"}


def _fields(layer: Layer, call: Call) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for sequence, field in enumerate(layer.fields, start=1):
        found[field.name] = {**field_schema(field, call.language), "x-ogc-propertySeq": sequence}
        if field.name == layer.time_field:
            found[field.name]["x-ogc-role"] = "primary-instant"
    return found


def _document(call: Call, table: PublishedTable, name: str) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": call.address(f"/collections/{table.layer.id}/{name}"),
        "type": "object",
        "title": call.title(table.layer),
        "description": call.text(table.layer.description),
    }


def queryables_document(call: Call, table: PublishedTable) -> dict[str, Any]:
    """What ``filter`` may name; nothing else is let through."""
    document = _document(call, table, "queryables")
    document["properties"] = {"geometry": _geometry(table, call), **_fields(table.layer, call)}
    document["additionalProperties"] = False
    return document


def sortables_document(call: Call, table: PublishedTable) -> dict[str, Any]:
    """What ``sortby`` may name: every attribute; a geometry has no order.

    Source: OGC 23-058 (Features Part 5), Requirements Class "Sortables".
    """
    document = _document(call, table, "sortables")
    document["properties"] = _fields(table.layer, call)
    document["additionalProperties"] = False
    return document


def schema_document(call: Call, table: PublishedTable) -> dict[str, Any]:
    """What a feature holds (Features P5): id, geometry and every attribute."""
    document = _document(call, table, "schema")
    fid = {"type": "integer", "title": call.say("要素编号", "Feature id"), "x-ogc-role": "id", "readOnly": True}
    document["properties"] = {"fid": fid, "geometry": _geometry(table, call), **_fields(table.layer, call)}
    document["required"] = ["geometry", *(f.name for f in table.layer.fields if not f.nullable)]
    if table.layer.editable:
        # An edit with another property is refused (Features P4, /req/features/schema).
        document["additionalProperties"] = False
    return document


def geojson_schema_document(call: Call, table: PublishedTable, wide: Collection[str]) -> dict[str, Any]:
    """What a feature looks like in GeoJSON; `wide` names the integers that may need more than 32 bits.

    From this one GDAL takes the types of the fields, so that they do not depend on the values of the first page. It reads
    any ``integer`` as 32 bits and would clip larger values, hence whole ``number`` for those; and it knows a single type
    only, so that a missing value (null) is not among them.
    """
    document = _document(call, table, "schema/geojson")
    fields = _fields(table.layer, call)
    for name in wide:
        fields[name] |= {"type": "number", "multipleOf": 1}
    attributes = {
        "type": "object",
        "properties": fields,
        "required": [f.name for f in table.layer.fields if not f.nullable],
    }
    document["properties"] = {
        "type": {"const": "Feature"},
        "id": {"type": "integer"},
        "geometry": {"type": ["object", "null"], "properties": {"type": {"const": table.geometry_type}}},
        "properties": attributes,
    }
    document["required"] = ["type", "id", "geometry", "properties"]
    return document


def _answer(datastore: DataStore, request: Request, name: str, wide: Collection[str] = ()) -> Response:
    snapshot = datastore.snapshot()
    call = read_call(datastore, request, DOCUMENT_PARAMETERS, snapshot)
    table = published_table(snapshot, request.path_params["collection"])
    etag = call.etag(table.layer.id, table.version)
    unchanged = call.unchanged(etag)
    if unchanged is not None:
        return unchanged
    match name:
        case "queryables":
            document = queryables_document(call, table)
        case "sortables":
            document = sortables_document(call, table)
        case "schema":
            document = schema_document(call, table)
        case _:
            flat = call.format == "html"  # as a page the flat one says the same
            document = schema_document(call, table) if flat else geojson_schema_document(call, table, wide)
    if call.format == "html":
        links = [
            *call.self_links(SCHEMA),
            link(call.address(f"/collections/{table.layer.id}"), "collection", JSON, call.title(table.layer)),
        ]
        values = {"layer": table.layer, "document": document, "kind": name, "links": links}
        return call.page("queryables.html", etag, values)
    return call.answer(document, etag, SCHEMA)


async def queryables(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}/queryables``."""
    return _answer(datastore, request, "queryables")


async def sortables(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}/sortables``."""
    return _answer(datastore, request, "sortables")


async def schema(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}/schema``."""
    return _answer(datastore, request, "schema")


async def geojson_schema(datastore: DataStore, request: Request) -> Response:
    """``/collections/{id}/schema/geojson``."""
    table = published_table(datastore.snapshot(), request.path_params["collection"])
    wide = []
    for field in table.layer.fields:
        if field.type == "integer":
            name = {"property": field.name}
            beyond = [{"op": ">", "args": [name, 2**31 - 1]}, {"op": "<", "args": [name, -(2**31)]}]
            if await datastore.vectors.acount(table, ItemQuery(cql2={"op": "or", "args": beyond})):
                wide.append(field.name)
    return _answer(datastore, request, "schema/geojson", wide)
