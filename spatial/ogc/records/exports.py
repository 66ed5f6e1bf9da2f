"""The catalogue in the forms of other catalogues: ISO 19115 as ISO 19139 XML, and DCAT-AP as JSON-LD.

Source: ISO/TS 19139:2007; W3C DCAT 3 and DCAT-AP 3.0 (classes and properties; vocabularies of the EU are named where they
have a fitting code).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spatial.ogc.exchange import REL, Call, Link
from spatial.ogc.records.documents import PATH, formats, instant, record_links
from spatial.ogc.records.sources import Resource, topic_category
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    import jinja2

    from spatial.catalog import Text

__all__ = ["dcat_catalogue", "dcat_record", "iso19139"]

_CODE_LISTS = "http://standards.iso.org/iso/19139/resources/gmxCodelists.xml"
_CLASSIFICATION = {"公开": "unclassified", "内部": "restricted", "敏感": "confidential"}
_ACCESS_RIGHTS = {"公开": "PUBLIC", "内部": "RESTRICTED", "敏感": "NON_PUBLIC"}
_NOT_ACCESS = {"canonical", "alternate", "collection", "profile", "license", "describedby"}
_DOWNLOADS = {"enclosure", "items", f"{REL}/coverage"}
_PROTOCOLS = {
    "items": "OGC API Features",
    "service": "OGC:WMTS",
    "enclosure": "WWW:DOWNLOAD-1.0-http--download",
    f"{REL}/tilesets-vector": "OGC API Tiles",
    f"{REL}/tilesets-map": "OGC API Tiles",
    f"{REL}/map": "OGC API Maps",
    f"{REL}/coverage": "OGC API Coverages",
    f"{REL}/execute": "OGC API Processes",
}


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    import jinja2

    return jinja2.Environment(
        loader=jinja2.PackageLoader("spatial.ogc"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )


def _access_links(call: Call, resource: Resource) -> list[Link]:
    """Links to the data themselves, each address once."""
    found: dict[str, Link] = {}
    for entry in record_links(call, resource):
        rel = entry["rel"].lower()
        if rel not in _NOT_ACCESS and "schema" not in entry.get("type", "") and not rel.startswith("http://www.w3.org"):
            found.setdefault(entry["href"], entry)
    return list(found.values())


def _time(resource: Resource) -> tuple[str | None, str | None]:
    if resource.layer is not None and resource.layer.period is not None:
        first, last = resource.layer.period
        return first.isoformat(), last.isoformat()
    span = resource.span
    return (None, None) if span is None else (instant(span.start), instant(span.end))


def _plain(text: str | None) -> str:
    """Text without characters that XML cannot hold."""
    return "".join(c for c in text or "" if c in "\t\n\r" or ord(c) >= 0x20)


def _lineage(call: Call, resource: Resource) -> str:
    layer = resource.layer
    assert layer is not None
    parts = [layer.source.origin]
    if layer.synthetic is not None:
        parts.append(call.text(layer.synthetic.recipe))
    made = layer.provenance or {}
    if made.get("analysis"):
        name, stamp = f"{made['analysis']} {made.get('analysis_version', '')}", made.get("time", "")
        parts.append(
            call.say(
                f"由分析 {name} 于 {stamp} 生成；方法：{made.get('method', '')}",
                f"made by the analysis {name} at {stamp}; method: {made.get('method', '')}",
            )
        )
    return _plain("; ".join(parts))


def iso19139(call: Call, resource: Resource) -> str:
    """A record as ISO 19139 XML; titles and texts in both languages, the one of the request first."""
    dataset = resource.published is not None
    begin, end = _time(resource)
    stamp = instant(resource.updated) or _undated(call)
    links = []
    for entry in _access_links(call, resource):
        links.append(
            {
                "href": entry["href"],
                "protocol": _PROTOCOLS.get(entry["rel"], "WWW:LINK-1.0-http--link"),
                "name": resource.id,
                "title": entry.get("title", ""),
                "function": "download" if entry["rel"] in _DOWNLOADS else "information",
            }
        )
    endpoint = f"{call.ogc}/processes"
    if resource.process is not None:
        endpoint = call.address(f"/processes/{resource.process.id}/execution")
    elif resource.service is not None:
        endpoint = call.base + resource.service.path
    sources = []
    if dataset and resource.layer is not None:
        sources = [
            f"{source}: {call.title(call.snapshot.catalog[source])}" if source in call.snapshot.catalog else source
            for source in resource.layer.derived_from
        ]
    template = _environment().get_template("record_iso19139.xml")
    return template.render(
        resource=resource,
        language=call.language,
        other="EN" if call.language == "zh" else "ZH",
        lists=_CODE_LISTS,
        base=call.base,
        scope="dataset" if dataset else "service",
        created=instant(resource.created) or stamp,
        updated=stamp,
        begin=begin,
        end=end,
        rights=_plain(call.text(resource.rights)) if resource.rights else None,
        classification=_CLASSIFICATION[resource.grade],
        representation="vector" if isinstance(resource.published, PublishedTable) else "grid",
        topic=topic_category(resource),
        service_type="WPS" if resource.process is not None else resource.service.id if resource.service else "",
        operation="execute" if resource.process is not None else "GetCapabilities",
        endpoint=endpoint,
        formats=formats(resource),
        links=links,
        lineage=_lineage(call, resource) if dataset else "",
        sources=sources,
    )


def _undated(call: Call) -> str:
    """Time stamp of what has none of its own: the newest publication, since the catalogue changed then last."""
    times = call.snapshot.times.values()
    return instant(max(times)) or "" if times else "1970-01-01T00:00:00Z"


# --- DCAT -------------------------------------------------------------------------------------------------------------

_CONTEXT: dict[str, Any] = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "prov": "http://www.w3.org/ns/prov#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "spdx": "http://spdx.org/rdf/terms#",
    "vcard": "http://www.w3.org/2006/vcard/ns#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "adms": "http://www.w3.org/ns/adms#",
}
_EU = "http://publications.europa.eu/resource/authority"
_IANA = "http://www.iana.org/assignments/media-types"


def _texts(text: Text) -> list[dict[str, str]]:
    return [{"@value": text.zh, "@language": "zh"}, {"@value": text.en, "@language": "en"}]


def _typed(value: str, kind: str) -> dict[str, str]:
    return {"@value": value, "@type": f"xsd:{kind}"}


def _stamp(value: str) -> dict[str, str]:
    return _typed(value, "dateTime" if "T" in value else "date")


def _agent(resource: Resource) -> dict[str, Any]:
    return {"@type": "foaf:Agent", "foaf:name": _texts(resource.department)}


def _licence(resource: Resource) -> dict[str, Any]:
    if resource.spdx:
        return {"@id": f"https://spdx.org/licenses/{resource.spdx}"}
    return {"@type": "dct:LicenseDocument", "dct:title": resource.licence or "other"}


def _distribution(entry: Link, resource: Resource) -> dict[str, Any]:
    media = entry.get("type", "").partition(";")[0]
    found: dict[str, Any] = {
        "@type": "dcat:Distribution",
        "dct:title": entry.get("title", ""),
        "dcat:accessURL": {"@id": entry["href"]},
        "dct:license": _licence(resource),
    }
    if media:
        found["dcat:mediaType"] = {"@id": f"{_IANA}/{media}"}
    if entry["rel"] in _DOWNLOADS and not media.startswith("text/"):
        found["dcat:downloadURL"] = {"@id": entry["href"]}
    return found


def _dcat(call: Call, resource: Resource) -> dict[str, Any]:
    dataset = resource.published is not None
    address = call.address(f"{PATH}/items/{resource.id}")
    found: dict[str, Any] = {
        "@id": address,
        "@type": "dcat:Dataset" if dataset else "dcat:DataService",
        "dct:identifier": resource.id,
        "dct:title": _texts(resource.title),
        "dct:description": _texts(resource.description),
        "dcat:keyword": list(resource.keywords),
        "dct:publisher": _agent(resource),
        "dcat:contactPoint": {
            "@type": "vcard:Organization",
            "vcard:fn": call.text(resource.department),
            "vcard:hasURL": {"@id": f"{call.base}/"},
        },
        "dct:accessRights": {"@id": f"{_EU}/access-right/{_ACCESS_RIGHTS[resource.grade]}"},
        "dct:subject": [
            {"@type": "skos:Concept", "skos:notation": path, "skos:prefLabel": _texts(node.title)}
            for path, node in zip(resource.theme_paths, resource.theme, strict=True)
        ],
        "dcat:landingPage": {"@id": f"{address}?f=html"},
        "dct:license": _licence(resource),
    }
    if resource.created is not None:
        found["dct:issued"] = _stamp(instant(resource.created) or "")
    if resource.updated is not None:
        found["dct:modified"] = _stamp(instant(resource.updated) or "")
    if resource.rights is not None:
        found["dct:rights"] = {"@type": "dct:RightsStatement", "skos:prefLabel": _texts(resource.rights)}
    if resource.version is not None:
        found["dcat:version"] = resource.version
    if resource.bbox is not None:
        west, south, east, north = resource.bbox
        ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
        box = {
            "@value": f"POLYGON(({ring}))",
            "@type": "http://www.opengis.net/ont/geosparql#wktLiteral",
        }
        found["dct:spatial"] = {"@type": "dct:Location", "dcat:bbox": box}
    begin, end = _time(resource)
    if begin and end:
        found["dct:temporal"] = {
            "@type": "dct:PeriodOfTime",
            "dcat:startDate": _stamp(begin),
            "dcat:endDate": _stamp(end),
        }
    if dataset:
        found |= _dcat_dataset(call, resource)
    else:
        found |= _dcat_service(call, resource)
    return found


def _dcat_dataset(call: Call, resource: Resource) -> dict[str, Any]:
    layer = resource.layer
    assert layer is not None
    found: dict[str, Any] = {
        "dct:language": [{"@id": f"{_EU}/language/{code}"} for code in ("ZHO", "ENG")],
        "dct:conformsTo": {"@id": "http://www.opengis.net/def/crs/EPSG/0/4490"},
        "dct:provenance": {"@type": "dct:ProvenanceStatement", "skos:prefLabel": _lineage(call, resource)},
        "dcat:distribution": [_distribution(entry, resource) for entry in _access_links(call, resource)],
    }
    if layer.derived_from:
        found["prov:wasDerivedFrom"] = [
            {"@id": call.address(f"{PATH}/items/{source}")} for source in layer.derived_from
        ]
    return found


def _dcat_service(call: Call, resource: Resource) -> dict[str, Any]:
    if resource.process is not None:
        description = call.address(f"/processes/{resource.process.id}")
        endpoint, protocol = f"{description}/execution", "http://www.opengis.net/doc/IS/ogcapi-processes-1/1.0"
    else:
        assert resource.service is not None
        description = endpoint = call.base + resource.service.path
        protocol = resource.service.protocol
    return {
        "dcat:endpointURL": {"@id": endpoint},
        "dcat:endpointDescription": {"@id": description},
        "dct:conformsTo": {"@id": protocol},
    }


def dcat_record(call: Call, resource: Resource) -> dict[str, Any]:
    """A record as a DCAT dataset or data service (JSON-LD, complete in itself)."""
    return {"@context": _CONTEXT, **_dcat(call, resource)}


def dcat_catalogue(call: Call, resources: Sequence[Resource]) -> dict[str, Any]:
    """The catalogue, or a part of it, as a DCAT catalogue."""
    from spatial.catalog import Text

    described = [_dcat(call, resource) for resource in resources]
    owner = Text(zh="湖北一张图平台", en="OneMap Hubei")
    return {
        "@context": _CONTEXT,
        "@id": call.address(PATH),
        "@type": "dcat:Catalog",
        "dct:title": _texts(Text(zh="湖北一张图资源目录", en="Resource catalogue of OneMap Hubei")),
        "dct:description": _texts(
            Text(
                zh="全部图层、分析成果、分析处理与服务的元数据",
                en="Metadata of every layer, result, process and service",
            )
        ),
        "dct:publisher": {"@type": "foaf:Agent", "foaf:name": _texts(owner)},
        "dct:language": [{"@id": f"{_EU}/language/{code}"} for code in ("ZHO", "ENG")],
        "dct:license": {"@id": "https://spdx.org/licenses/Apache-2.0"},
        "foaf:homepage": {"@id": f"{call.base}/"},
        "dct:modified": _stamp(_undated(call)),
        "dcat:dataset": [found for found in described if found["@type"] == "dcat:Dataset"],
        "dcat:service": [found for found in described if found["@type"] == "dcat:DataService"],
    }
