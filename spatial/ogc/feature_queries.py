"""What sorting, text search and file formats add to the shared documents (要素的排序、检索与文件格式).

Source: OGC 23-058 (Features Part 5: Schemas), OGC 24-030 (Part 8: Sorting, draft).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from spatial.building_block import BuildingBlock, Language, Link
from spatial.ogc.exchange import REL, SCHEMA
from spatial.ogc.formats.known import FILE_FORMATS, possible_formats
from spatial.ogc.openapi_collections import COLLECTION
from spatial.ogc.openapi_components import parameter, ref
from spatial.ogc.openapi_operations import DOCUMENT, get_operation
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Published, Snapshot

__all__ = ["FEATURE_QUERIES"]

_SPEC = "http://www.opengis.net/spec"


def _routes(datastore: DataStore) -> list[Route]:
    from spatial.ogc.queryables import sortables

    return [Route("/ogc/collections/{collection}/sortables", partial(sortables, datastore), methods=["GET"])]


def _paths(snapshot: Snapshot) -> dict[str, Any]:
    if not any(published.layer.is_vector for published in snapshot.current()):
        return {}
    given = [ref("parameters", "vectorCollectionId"), *DOCUMENT]
    operation = get_operation("collections", "vector.getSortables", "可排序字段", "Sortables", "Schema", given)
    return {f"{COLLECTION}/sortables": {"get": operation}}


def _parameters() -> dict[str, Any]:
    names = ["json", "html", *FILE_FORMATS]
    words = {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}
    ids = {"type": "array", "minItems": 1, "maxItems": 1000, "items": {"type": "integer", "format": "int64"}}
    keys = {"type": "array", "minItems": 1, "items": {"type": "string", "pattern": r"^[+-]?[^+\-\s].*$"}}
    return {
        "f-items": {
            **parameter(
                "f",
                "返回格式；文件格式不给 limit 时包含全部符合条件的要素",
                "Format of the answer; a file without limit holds everything that matches",
                {"type": "string", "enum": names, "default": "json"},
            )
        },
        "q": parameter(
            "q",
            "在全部文本字段中检索，不分大小写与全半角；空格表示同时包含，逗号表示任一",
            "search in all text fields, blind to case and width; a space means all words, a comma alternatives",
            words,
        ),
        "ids": parameter("ids", "只要这些编号的要素", "only the features of these ids", ids),
        "sortby": parameter(
            "sortby",
            "排序字段（见 sortables），降序在前面加 -；空值总在最后",
            "properties to sort by (see sortables), - in front for descending; gaps always last",
            keys,
        ),
        "exclude-properties": parameter(
            "exclude-properties",
            "不返回的字段，逗号分隔",
            "attributes to leave out, separated by commas",
            {"type": "array", "items": {"type": "string"}},
        ),
    }


def _components(snapshot: Snapshot) -> Mapping[str, Mapping[str, Any]]:
    binary = {"schema": {"type": "string", "format": "binary"}}
    text = {"schema": {"type": "string"}}
    collection = {"schema": ref("schemas", "featureCollectionGeoJSON")}
    content: dict[str, Any] = {"application/geo+json": collection, "text/html": text}
    for found in FILE_FORMATS.values():
        content[found.media_type] = text if found.name == "csv" else binary

    def header(zh: str, en: str, kind: str = "string") -> dict[str, Any]:
        return {"description": f"{zh} / {en}", "schema": {"type": kind}}

    headers = {
        "Content-Crs": header("坐标系", "CRS of the coordinates"),
        "ETag": header("版本标记", "entity tag"),
        "Link": header("文件之后还有要素时，下一批的地址", "address of the next features where a file leaves some out"),
        "OGC-NumberMatched": header("符合条件的要素数（文件）", "features that match (files)", "integer"),
        "OGC-NumberReturned": header("文件中的要素数", "features in the file", "integer"),
        "OneMap-Synthetic": header("合成示例数据的标志（文件）", "mark of synthetic data (files)"),
        "OneMap-Cut-Fields": header("Shapefile 中有文本被截短的字段", "fields whose texts a Shapefile could not hold"),
    }
    features = {"description": "要素集 / features", "headers": headers, "content": content}
    return {"parameters": _parameters(), "responses": {"Features": features}}


def _collection(base: str, language: Language, published: Published) -> dict[str, Any]:
    layer = published.layer
    if not isinstance(published, PublishedTable):
        return {}
    address = f"{base}/ogc/collections/{layer.id}"

    def link(href: str, rel: str, kind: str, zh: str, en: str) -> Link:
        return {"href": href, "rel": rel, "type": kind, "title": zh if language == "zh" else en}

    links = [link(f"{address}/sortables", f"{REL}/sortables", SCHEMA, "可排序字段", "Sortables")]
    for found in possible_formats(published.geometry_type):
        zh, en = f"要素（{found.title.zh}）", f"Items as {found.title.en}"
        links.append(link(f"{address}/items?f={found.name}", "items", found.media_type, zh, en))
    return {"links": links}


FEATURE_QUERIES = BuildingBlock(
    name="feature-queries",
    title="要素的排序、检索与文件格式 / sorting, search and file formats of features",
    conformance=(
        f"{_SPEC}/ogcapi-features-5/1.0/conf/returnables-and-receivables",
        f"{_SPEC}/ogcapi-features-5/1.0/conf/sortables",
        f"{_SPEC}/ogcapi-features-8/1.0/conf/sorting",
        f"{_SPEC}/ogcapi-features-8/1.0/conf/features-sorting",
    ),
    routes=_routes,
    paths=_paths,
    components=_components,
    collection=_collection,
)
"""Sortables, the query parameters beyond Features P1–P3, and the files."""
