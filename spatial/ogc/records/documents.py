"""Documents of the catalogue (目录文档): a record as GeoJSON, the collection of the records, queryables, sortables and facets.

Source: OGC 20-004r1 (OGC API – Records – Part 1: Core), clauses 7–8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from spatial.crs import CRS84
from spatial.grid import TILE_MATRIX_SETS
from spatial.ogc.collections import collection_document
from spatial.ogc.exchange import GEOJSON, HTML, JSON, REL, SCHEMA, Call, Link, link
from spatial.ogc.formats.known import FILE_FORMATS
from spatial.ogc.records.query import FACETS, QUERYABLES, SORTABLES
from spatial.ogc.records.sources import CATALOGUE_ID, Resource, is_result
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from spatial.building_block import Language
    from spatial.catalog import Text

__all__ = [
    "DCAT", "FACETS_TYPE", "ISO19139", "OGC_CATALOG", "catalogue_document", "facets_document", "formats", "instant",
    "profile_links", "queryables_document", "record_document", "record_links", "sortables_document",
]  # fmt: skip

DCAT = "application/ld+json"
OGC_CATALOG = "application/ogc-catalog+json"
ISO19139 = "application/vnd.iso.19139+xml"
FACETS_TYPE = "application/facets+json"
RECORD_PROFILE = "http://www.opengis.net/def/profile/OGC/0/ogc-record"
CATALOGUE_PROFILE = "http://www.opengis.net/def/profile/OGC/0/ogc-catalog"
RECORD_CORE = "http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/record-core"
MVT = "application/vnd.mapbox-vector-tile"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
PATH = f"/collections/{CATALOGUE_ID}"

_LANGUAGES: dict[Language, dict[str, str]] = {
    "zh": {"code": "zh", "name": "中文", "alternate": "Chinese"},
    "en": {"code": "en", "name": "English"},
}
_VECTOR_FORMATS = [
    {"name": "GeoJSON", "mediaType": GEOJSON},
    *({"name": found.title.en.removesuffix(" file"), "mediaType": found.media_type} for found in FILE_FORMATS.values()),
    {"name": "MVT", "mediaType": MVT},
]
_RASTER_FORMATS = [{"name": "COG", "mediaType": COG}, {"name": "PNG", "mediaType": "image/png"}]
_TITLES: dict[str, tuple[str, str]] = {
    "id": ("编号", "Id"),
    "type": ("资源类型", "Type of the resource"),
    "kind": ("图层类别", "Kind of layer"),
    "title": ("标题", "Title"),
    "description": ("说明", "Description"),
    "keywords": ("关键词", "Keywords"),
    "theme": ("专题（含上级）", "Theme and those above it"),
    "department": ("责任部门", "Responsible department"),
    "grade": ("密级", "Grade"),
    "language": ("语言", "Language"),
    "format": ("格式", "Format"),
    "license": ("许可", "Licence"),
    "version": ("版本", "Version"),
    "synthetic": ("合成示例", "Synthetic sample"),
    "created": ("首次发布", "First published"),
    "updated": ("更新时间", "Updated"),
    "time": ("资料时段", "Time of the data"),
    "geometry": ("范围", "Extent"),
}
TYPE_TITLES: dict[str, tuple[str, str]] = {
    "dataset": ("数据", "dataset"),
    "result": ("分析成果", "result"),
    "process": ("分析处理", "process"),
    "service": ("服务", "service"),
}


def instant(value: datetime | None) -> str | None:
    """RFC 3339 text in UTC."""
    if value is None:
        return None
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def formats(resource: Resource) -> list[dict[str, str]]:
    """Formats in which the resource can be had."""
    if resource.published is not None:
        return _VECTOR_FORMATS if isinstance(resource.published, PublishedTable) else _RASTER_FORMATS
    kind = resource.service.media_type if resource.service is not None else JSON
    return [{"name": "XML" if "xml" in kind else "JSON", "mediaType": kind}]


def _time(resource: Resource) -> dict[str, Any] | None:
    span = resource.span
    if span is None:
        return None
    if resource.layer is not None and resource.layer.period is not None:
        return {"interval": [day.isoformat() for day in resource.layer.period]}
    first, last = instant(span.start), instant(span.end)
    return {"timestamp": first} if first == last else {"interval": [first, last]}


def _geometry(resource: Resource) -> dict[str, Any] | None:
    if resource.bbox is None:
        return None
    w, s, e, n = resource.bbox
    return {"type": "Polygon", "coordinates": [[[w, s], [e, s], [e, n], [w, n], [w, s]]]}


def profile_links(call: Call, *profiles: str) -> list[Link]:
    """Links to the profiles that an answer follows (/req/json/record-content)."""
    return [link(uri, "profile", HTML, call.say("内容规范", "Profile")) for uri in profiles]


def record_links(call: Call, resource: Resource) -> list[Link]:
    """Links of a record to its other forms and to every way to the data."""
    own = call.address(f"{PATH}/items/{resource.id}")
    title = call.text(resource.title)
    links = [
        link(own, "canonical", GEOJSON, title),
        link(
            f"{own}?f=iso19139", "alternate", ISO19139, call.say("ISO 19115 元数据（XML）", "ISO 19115 metadata (XML)")
        ),
        link(f"{own}?f=dcat", "alternate", DCAT, call.say("DCAT（JSON-LD）", "DCAT (JSON-LD)")),
        link(call.address(PATH), "collection", JSON, call.say("资源目录", "The resource catalogue")),
        *profile_links(call, RECORD_PROFILE),
    ]
    if resource.published is not None:
        links += _data_links(call, resource, own)
    elif resource.process is not None:
        path = f"/processes/{resource.process.id}"
        links += [
            link(call.address(path), "describes", JSON, call.say("处理说明", "Description of the process")),
            link(call.address(f"{path}/execution"), f"{REL}/execute", JSON, call.say("执行地址", "Execute")),
        ]
    elif resource.service is not None:
        links.append(link(call.base + resource.service.path, "service", resource.service.media_type, title))
    if resource.spdx and not any(found["rel"] == "license" for found in links):
        links.append(link(f"https://spdx.org/licenses/{resource.spdx}.html", "license", HTML, resource.spdx))
    if resource.spdx is None and resource.licence:
        links.append(link(f"{own}?f=html#rights", "license", HTML, resource.licence))
    return links


def _data_links(call: Call, resource: Resource, own: str) -> list[Link]:
    assert resource.published is not None
    layer, version = resource.published.layer, resource.published.version
    path = f"/collections/{layer.id}"
    title = call.text(resource.title)
    links = [link(call.address(path), "describes", JSON, call.say("数据集文档", "The collection"))]
    # All that the standards offer for the layer stands in its collection document already.
    offered = collection_document(call, resource.published)["links"]
    links += [
        found
        for found in offered
        if found["rel"] not in {"self", "alternate", "collection"} and not found["href"].startswith(own)
    ]
    links.append(
        link(
            f"{call.base}/tiles/wmts?SERVICE=WMTS&REQUEST=GetCapabilities",
            "service",
            "application/xml",
            f"WMTS: {layer.id}",
        )
    )
    if not isinstance(resource.published, PublishedTable):
        group = "results" if is_result(layer) else layer.id
        links.append(link(f"{call.base}/stac/collections/{group}", "related", JSON, f"STAC: {title} {version}"))
    for source in layer.derived_from:
        if source in call.snapshot.catalog:
            links.append(
                link(
                    call.address(f"{PATH}/items/{source}"),
                    "http://www.w3.org/ns/prov#wasDerivedFrom",
                    GEOJSON,
                    call.title(call.snapshot.catalog[source]),
                )
            )
    process = (layer.provenance or {}).get("analysis")
    if process:
        links.append(
            link(
                call.address(f"{PATH}/items/process.{process}"),
                "http://www.w3.org/ns/prov#wasGeneratedBy",
                GEOJSON,
                call.say("生成它的处理", "The process that made it"),
            )
        )
    return links


def _templates(call: Call, resource: Resource) -> list[dict[str, Any]]:
    published = resource.published
    if published is None:
        return []
    layer = published.layer
    vector = isinstance(published, PublishedTable)
    sets = {"type": "string", "enum": list(TILE_MATRIX_SETS)}
    whole = {"type": "integer", "minimum": 0}
    ending, kind = ("mvt", MVT) if vector else ("png", "image/png")
    tiles = "tiles" if vector else "map/tiles"
    return [
        {
            "rel": f"{REL}/tilesets-{'vector' if vector else 'map'}",
            "type": kind,
            "title": call.say("瓦片（OGC API Tiles：行、列）", "Tiles (OGC API Tiles: row, column)"),
            "uriTemplate": call.ogc
            + f"/collections/{layer.id}/{tiles}/{{tileMatrixSetId}}/{{tileMatrix}}/{{tileRow}}/{{tileCol}}",
            "variables": {
                "tileMatrixSetId": sets,
                "tileMatrix": {"type": "string"},
                "tileRow": whole,
                "tileCol": whole,
            },
        },
        {
            "rel": "item",
            "type": kind,
            "title": call.say("瓦片（XYZ）", "Tiles (XYZ)"),
            "uriTemplate": f"{call.base}/tiles/{layer.id}/{{tms}}/{{z}}/{{x}}/{{y}}.{ending}?version={published.version}",
            "variables": {"tms": sets, "z": whole, "x": whole, "y": whole},
        },
    ]


def record_document(call: Call, resource: Resource, links: Sequence[Link] = ()) -> dict[str, Any]:
    """A record as GeoJSON in the language of the request; `links` stand before its own."""
    properties: dict[str, Any] = {
        "type": resource.type,
        "title": call.text(resource.title),
        "description": call.text(resource.description),
        "keywords": list(resource.keywords),
        "language": _LANGUAGES[call.language],
        "languages": list(_LANGUAGES.values()),
        "resourceLanguages": list(_LANGUAGES.values()),
        "themes": [
            {
                "scheme": f"{call.base}/api/v1/catalogue",
                "concepts": [
                    {"id": path, "title": call.text(node.title)}
                    for path, node in zip(resource.theme_paths, resource.theme, strict=True)
                ],
            }
        ],
        "externalIds": [{"scheme": scheme, "value": value} for scheme, value in resource.external_ids],
        "formats": formats(resource),
        "contacts": [{"organization": call.text(resource.department), "roles": ["publisher", "pointOfContact"]}],
        "license": resource.spdx or "other",
        "department": call.text(resource.department),
        "grade": resource.grade,
        "kind": resource.kind,
        "synthetic": resource.synthetic,
    }
    if resource.created is not None:
        properties["created"] = instant(resource.created)
    if resource.updated is not None:
        properties["updated"] = instant(resource.updated)
    if resource.rights is not None:
        properties["rights"] = call.text(resource.rights)
    if resource.version is not None:
        properties["version"] = resource.version
    if resource.layer is not None and resource.layer.derived_from:
        properties["derivedFrom"] = list(resource.layer.derived_from)
    document: dict[str, Any] = {
        "id": resource.id,
        "type": "Feature",
        "conformsTo": [RECORD_CORE],
        "time": _time(resource),
        "geometry": _geometry(resource),
        "properties": properties,
        "links": [*links, *record_links(call, resource)],
    }
    if resource.bbox is not None:
        document["bbox"] = list(resource.bbox)
    templates = _templates(call, resource)
    if templates:
        document["linkTemplates"] = templates
    return document


def catalogue_document(call: Call, resources: Sequence[Resource]) -> dict[str, Any]:
    """The collection of the records, with the links that do not depend on the request's own address."""
    boxes = [resource.bbox for resource in resources if resource.bbox is not None]
    extent: dict[str, Any] = {}
    if boxes:
        west, south, east, north = zip(*boxes, strict=True)
        box = [min(west), min(south), max(east), max(north)]
        extent["spatial"] = {"bbox": [box], "crs": CRS84.uri}
    spans = [resource.span for resource in resources if resource.span is not None]
    if spans:
        # Periods end with the last microsecond of a day; whole seconds are what readers expect.
        last = max(span.end for span in spans)
        last = last.replace(microsecond=0) + timedelta(seconds=1) if last.microsecond == 999999 else last
        extent["temporal"] = {"interval": [[instant(min(span.start for span in spans)), instant(last)]]}
    times = [resource.updated for resource in resources if resource.updated is not None]
    schemas = [
        ("queryables", call.say("可查询字段", "Queryables")),
        ("sortables", call.say("可排序字段", "Sortables")),
        ("schema", call.say("字段结构", "Schema")),
    ]
    return {
        "id": CATALOGUE_ID,
        "type": "Collection",
        "title": call.say("资源目录", "Resource catalogue"),
        "description": call.say(
            "全部图层、分析成果、分析处理与服务的元数据；可按中文或英文全文检索，按专题、部门和密级统计",
            "Metadata of every layer, result, process and service; full-text search in Chinese and English, counts by theme, "
            "department and grade",
        ),
        "keywords": ["资源目录", "元数据", "catalogue", "metadata"],
        "itemType": "record",
        "itemCount": len(resources),
        "license": "Apache-2.0",
        "language": _LANGUAGES[call.language],
        "languages": list(_LANGUAGES.values()),
        "recordLanguages": list(_LANGUAGES.values()),
        "contacts": [{"organization": call.say("湖北一张图平台", "OneMap Hubei"), "roles": ["publisher"]}],
        "conformsTo": [
            f"http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/{c}" for c in ("record-collection", "json")
        ],
        "extent": extent,
        "crs": [CRS84.uri],
        "updated": instant(max(times, default=None)),
        "defaultSortOrder": [{"field": "id", "direction": "asc"}],
        "links": [
            link(call.address(PATH), "collection", JSON, call.say("资源目录", "Resource catalogue")),
            link(
                call.address(f"{PATH}/items"), "items", GEOJSON, call.say("目录记录（GeoJSON）", "Records as GeoJSON")
            ),
            link(call.address(f"{PATH}/items", {"f": "html"}), "items", HTML, call.say("目录网页", "Records as HTML")),
            *(link(call.address(f"{PATH}/{name}"), f"{REL}/{name}", SCHEMA, title) for name, title in schemas),
            link(call.address(f"{PATH}/facets"), f"{REL}/facets", FACETS_TYPE, call.say("分面统计", "Facets")),
            link(
                call.address(PATH, {"f": "ogc-catalog"}),
                "alternate",
                OGC_CATALOG,
                call.say("目录（OGC Records）", "Catalogue (OGC Records)"),
            ),
            link(f"{call.ogc}/catalogue.jsonld", "alternate", DCAT, call.say("DCAT 目录（JSON-LD）", "DCAT (JSON-LD)")),
            link("https://spdx.org/licenses/Apache-2.0.html", "license", HTML, "Apache-2.0"),
            *profile_links(call, CATALOGUE_PROFILE, RECORD_PROFILE),
        ],
    }


_JSON_TYPES: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "strings": {"type": "array", "items": {"type": "string"}},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "datetime": {"type": "string", "format": "date-time"},
    "interval": {"type": "array", "items": {"type": "string", "format": "date-time"}, "minItems": 2, "maxItems": 2},
    "geometry": {"format": "geometry-polygon", "x-ogc-role": "primary-geometry"},
}


def _schema(call: Call, name: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": call.address(f"{PATH}/{name}"),
        "type": "object",
        "title": call.say("资源目录", "Resource catalogue"),
        "properties": dict(properties),
        "additionalProperties": False,
    }


def _property(call: Call, name: str, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    found = {**_JSON_TYPES[QUERYABLES[name]], "title": call.say(*_TITLES[name])}
    if name == "type":
        found["enum"] = list(TYPE_TITLES)
        found["x-enum-titles"] = {code: call.say(*titles) for code, titles in TYPE_TITLES.items()}
    elif name in values and QUERYABLES[name] == "string":
        found["enum"] = list(values[name])
    elif name in values and QUERYABLES[name] == "strings":
        found["items"] = {"type": "string", "enum": list(values[name])}
    if name in FACETS:
        found["facet"] = True
    return found


def queryables_document(call: Call, values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """What ``filter`` may name; `values` are those that occur, for the properties with few of them."""
    return _schema(call, "queryables", {name: _property(call, name, values) for name in QUERYABLES})


def sortables_document(call: Call) -> dict[str, Any]:
    """What ``sortby`` may name."""
    return _schema(call, "sortables", {n: {"type": "string", "title": call.say(*_TITLES[n])} for n in SORTABLES})


def schema_document(call: Call) -> dict[str, Any]:
    """What the properties of a record are."""
    document = _schema(call, "schema", {name: _property(call, name, {}) for name in QUERYABLES})
    document["properties"]["id"] |= {"x-ogc-role": "id", "readOnly": True}
    del document["additionalProperties"]
    return document


def facets_document(call: Call, counted: Mapping[str, Mapping[str, Any]], titles: Mapping[str, Text]) -> dict[str, Any]:
    """Definition of the facets, with the counts of the records that the request selects.

    Parameters
    ----------
    titles : mapping
        Path of a theme → its title; added to the buckets of ``theme``.
    """
    facets: dict[str, Any] = {}
    for name, found in counted.items():
        rows = [dict(row) for row in found["buckets"]]
        for row in rows:
            if name == "theme" and row["value"] in titles:
                row["title"] = call.text(titles[row["value"]])
            elif name == "type":
                row["title"] = call.say(*TYPE_TITLES[row["value"]])
        facets[name] = {
            "type": "term",
            "property": name,
            "title": call.say(*_TITLES[name]),
            "sortedBy": "count",
            "minOccurs": 1,
            "buckets": rows,
            "more": found["more"],
        }
    return {"id": CATALOGUE_ID, "facets": facets, "defaultBucketCount": 10}
