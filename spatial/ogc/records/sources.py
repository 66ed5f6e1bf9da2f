"""What the resource catalogue (资源目录) lists: layers, results, processes and services, each with what is searched and filtered.

A `Resource` speaks both languages; the documents that are made from it (`spatial.ogc.records.documents`,
`spatial.ogc.records.exports`) speak one.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from spatial.catalog import Attribute, Band, Catalog, Layer, Text, Theme
from spatial.store.record_filter import Span
from spatial.store.vector import PublishedTable
from spatial.store.version_history import first_published

if TYPE_CHECKING:
    from spatial.jobs.processes import ProcessInfo
    from spatial.store.datastore import DataStore, Published, Snapshot

__all__ = ["CATALOGUE_ID", "SERVICES", "Resource", "Service", "is_result", "resources", "topic_category"]

CATALOGUE_ID = "catalogue"
"""Id of the collection; the layer folder has no layer of this name (a layer would be hidden by it)."""

ResourceType = Literal["dataset", "result", "process", "service"]
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+]*(-[A-Za-z0-9.+]+)+")
_OWNER = Text(zh="湖北一张图平台", en="OneMap Hubei")
_PROCESSES = Theme(id="processes", title=Text(zh="分析处理", en="Processes"))
_SERVICES = Theme(id="services", title=Text(zh="服务", en="Services"))

# Codes of MD_TopicCategoryCode (ISO 19115:2003, B.5.27), by the path of the theme; the longest path counts.
_TOPICS = {
    "base": "imageryBaseMapsEarthCover",
    "base/administrative": "boundaries",
    "base/hydrography": "inlandWaters",
    "base/places": "structure",
    "base/relief": "elevation",
    "base/climate": "climatologyMeteorologyAtmosphere",
    "control": "planningCadastre",
    "thematic": "environment",
    "thematic/water-works": "structure",
    "thematic/transport": "transportation",
    "thematic/soil": "geoscientificInformation",
    "thematic/hazards": "geoscientificInformation",
    "thematic/statistics": "society",
    "results": "planningCadastre",
    "results/land-cover": "imageryBaseMapsEarthCover",
}


@dataclass(frozen=True)
class Service:
    """A service address of this server, below its base address."""

    id: str
    path: str
    media_type: str
    protocol: str
    """URI of the standard."""
    title: Text
    description: Text
    keywords: tuple[str, ...]


SERVICES: tuple[Service, ...] = (
    Service(
        "ogc-api",
        "/ogc",
        "application/json",
        "http://www.opengis.net/doc/IS/ogcapi-common-1/1.0",
        Text(zh="OGC API 服务", en="OGC API"),
        Text(
            zh="要素、瓦片、地图、覆盖、环境数据检索、资源目录与分析处理的统一入口",
            en="One entry to features, tiles, maps, coverages, environmental data retrieval, records and processes",
        ),
        ("OGC API", "要素服务", "features", "tiles", "processes"),
    ),
    Service(
        "stac",
        "/stac",
        "application/json",
        "https://api.stacspec.org/v1.0.0/core",
        Text(zh="STAC API 影像与成果目录", en="STAC API of rasters and results"),
        Text(
            zh="栅格图层的各个版本与分析成果，可按范围、时间和 CQL2 条件检索，直接下载 COG",
            en="Every version of the raster layers and the results of analyses; search by place, time and CQL2, download COGs",
        ),
        ("STAC", "COG", "影像", "成果", "imagery"),
    ),
    Service(
        "wmts",
        "/tiles/wmts?SERVICE=WMTS&REQUEST=GetCapabilities",
        "application/xml",
        "http://www.opengis.net/def/serviceType/ogc/wmts",
        Text(zh="WMTS 1.0.0 瓦片服务", en="WMTS 1.0.0"),
        Text(
            zh="全部图层的栅格瓦片，支持 CGCS2000 经纬度、Web 墨卡托与天地图 w、c 编号",
            en="Picture tiles of every layer in CGCS2000, Web Mercator and the Tianditu sets w and c",
        ),
        ("WMTS", "天地图", "Tianditu", "瓦片"),
    ),
)


@dataclass(frozen=True)
class Resource:
    """One entry of the catalogue, in both languages.

    Attributes
    ----------
    theme : tuple of Theme
        Nodes of the layer tree from the root.
    department : Text
        Responsible department; the attribution where the layer names none.
    span : Span or None
        Time that the data describe.
    licence : str or None
        As the source says it.
    """

    id: str
    type: ResourceType
    title: Text
    description: Text
    keywords: tuple[str, ...]
    theme: tuple[Theme, ...]
    department: Text
    grade: str
    created: datetime | None
    updated: datetime | None
    synthetic: bool = False
    bbox: tuple[float, float, float, float] | None = None
    span: Span | None = None
    licence: str | None = None
    rights: Text | None = None
    version: str | None = None
    more_words: tuple[str, ...] = ()
    published: Published | None = field(default=None, repr=False)
    process: ProcessInfo | None = field(default=None, repr=False)
    service: Service | None = None

    @property
    def layer(self) -> Layer | None:
        """Layer of a dataset or result."""
        return None if self.published is None else self.published.layer

    @property
    def theme_path(self) -> str:
        """Ids of the theme's nodes, ``base/relief``."""
        return "/".join(node.id for node in self.theme)

    @property
    def theme_paths(self) -> tuple[str, ...]:
        """The theme and all above it: ``base``, ``base/relief``."""
        ids = [node.id for node in self.theme]
        return tuple("/".join(ids[: n + 1]) for n in range(len(ids)))

    @property
    def kind(self) -> str:
        """``vector``, ``raster``, ``stations`` … of a layer, else the type."""
        return self.type if self.layer is None else self.layer.kind

    @property
    def spdx(self) -> str | None:
        """SPDX id of the licence, if it is one."""
        return self.licence if self.licence and _SPDX.fullmatch(self.licence) else None

    @property
    def external_ids(self) -> tuple[tuple[str, str], ...]:
        """Scheme and value of the names that others know it by."""
        if self.layer is not None:
            return ("layer", self.id), ("sha256", self.layer.source.sha256)
        return ((self.type, self.id.rpartition(".")[2]),)

    @cached_property
    def geometry(self) -> Any:
        """Extent as a shapely polygon, x = longitude; None without one."""
        import shapely

        return None if self.bbox is None else shapely.box(*self.bbox)


def is_result(layer: Layer) -> bool:
    """Whether a layer came out of an analysis."""
    return layer.provenance is not None or layer.theme[0] == "results"


def topic_category(resource: Resource) -> str:
    """Topic category of ISO 19115.

    Source: ISO 19115:2003, B.5.27 MD_TopicCategoryCode.
    """
    found = [_TOPICS[path] for path in resource.theme_paths if path in _TOPICS]
    return found[-1] if found else "environment"


_lock = threading.Lock()
_known: WeakKeyDictionary[DataStore, tuple[int, tuple[Resource, ...]]] = WeakKeyDictionary()


def resources(datastore: DataStore, snapshot: Snapshot) -> tuple[Resource, ...]:
    """Every resource that a snapshot shows: layers in the order of the layer tree, then processes, then services.

    What the snapshot leaves out by its grade is not here, so no search, count or facet can tell of it.
    """
    with _lock:
        known = _known.get(datastore)
    if known is not None and known[0] == snapshot.revision:
        return known[1]
    from spatial.jobs.processes import processes

    first = first_published(datastore, snapshot)
    found: list[Resource] = []
    for layer in snapshot.layers():
        published = snapshot.published(layer.id)
        if published is not None and layer.id != CATALOGUE_ID:
            found.append(_of_layer(published, snapshot, first.get(layer.id)))
    extents = [resource.bbox for resource in found if resource.bbox is not None]
    whole = _union(extents)
    found += [_of_process(info) for info in processes()]
    found += [_of_service(service, whole) for service in SERVICES]
    made = tuple(found)
    with _lock:
        _known[datastore] = (snapshot.revision, made)
    return made


def _union(boxes: list[tuple[float, float, float, float]]) -> tuple[float, float, float, float] | None:
    if not boxes:
        return None
    west, south, east, north = zip(*boxes, strict=True)
    return min(west), min(south), max(east), max(north)


def _themes(catalog: Catalog, path: tuple[str, ...]) -> tuple[Theme, ...]:
    nodes: list[Theme] = []
    level = catalog.themes
    for name in path:
        node = next((n for n in level if n.id == name), None)
        if node is None:
            node = Theme(id=name, title=Text(zh=name, en=name))
        nodes.append(node)
        level = node.children
    return tuple(nodes)


def _span(published: Published) -> Span | None:
    period = published.layer.period
    if period is not None:
        first, last = (datetime.combine(day, time(), UTC) for day in period)
        return Span(first, last + timedelta(days=1) - timedelta(microseconds=1))
    if isinstance(published, PublishedTable) and published.time_extent is not None:
        return Span(*published.time_extent)
    return None


def _rights(layer: Layer) -> Text | None:
    notes = [] if layer.attribution_note is None else [layer.attribution_note]
    if layer.synthetic is not None:
        notes.insert(0, Text(zh="合成示例数据，不是真实管控成果", en="synthetic sample, not real data"))
    if not _SPDX.fullmatch(layer.source.licence):
        notes.append(Text(zh=f"许可：{layer.source.licence}", en=f"Licence: {layer.source.licence}"))
    if not notes:
        return None
    return Text(zh="；".join(n.zh for n in notes), en="; ".join(n.en for n in notes))


def _of_layer(published: Published, snapshot: Snapshot, created: datetime | None) -> Resource:
    layer = published.layer
    west, south, east, north = (round(v, 9) for v in published.extent)
    parts: list[Attribute | Band] = [*layer.fields, *layer.bands]
    return Resource(
        id=layer.id,
        type="result" if is_result(layer) else "dataset",
        title=layer.display_title(),
        description=layer.description,
        keywords=layer.keywords,
        theme=_themes(snapshot.catalog, layer.theme),
        department=layer.department or layer.source.attribution,
        grade=layer.grade,
        created=created,
        updated=snapshot.times.get(layer.id),
        synthetic=layer.synthetic is not None,
        bbox=(west, south, east, north),
        span=_span(published),
        licence=layer.source.licence,
        rights=_rights(layer),
        version=published.version,
        more_words=(layer.id, *(word for part in parts for word in (part.title.zh, part.title.en, part.name))),
        published=published,
    )


def _of_process(info: ProcessInfo) -> Resource:
    return Resource(
        id=f"process.{info.id}",
        type="process",
        title=info.title,
        description=info.description,
        keywords=info.keywords,
        theme=(_PROCESSES,),
        department=_OWNER,
        grade="公开",
        created=None,
        updated=None,
        licence="Apache-2.0",
        version=info.version,
        more_words=(info.id, info.method or ""),
        process=info,
    )


def _of_service(service: Service, extent: tuple[float, float, float, float] | None) -> Resource:
    return Resource(
        id=f"service.{service.id}",
        type="service",
        title=service.title,
        description=service.description,
        keywords=service.keywords,
        theme=(_SERVICES,),
        department=_OWNER,
        grade="公开",
        created=None,
        updated=None,
        bbox=extent,
        licence="Apache-2.0",
        more_words=(service.id,),
        service=service,
    )
