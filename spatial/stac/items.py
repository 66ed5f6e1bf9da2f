"""STAC items (条目) and collections (集合): every published version of a raster layer, and the results of analyses.

A raster layer is a collection, its versions are the items. Results of analyses are the items of one collection,
``results``, each in its newest version under the id of its layer. What is published is immutable, so an item of a layer
never changes.

Source: STAC 1.1.0 (item, collection), extensions projection 1.2.0, raster 1.1.0, processing 1.2.0, file 2.1.0.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from spatial.catalog import Text
from spatial.stac.observed import ObservedScene, observed_document, observed_scenes, scenes_state
from spatial.store.raster import PublishedRaster
from spatial.store.record_filter import Span
from spatial.store.version_history import raster_versions

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.store.datastore import DataStore, Snapshot

__all__ = [
    "COG", "GEOJSON", "RESULTS", "STAC_VERSION", "Gathered", "Item", "Scene", "both", "collection_document", "file_path",
    "gathered", "instant", "is_result", "item_document", "licence",
]  # fmt: skip

STAC_VERSION = "1.1.0"
RESULTS = "results"
"""Id of the collection of results."""
GEOJSON = "application/geo+json"
JSON = "application/json"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
EXTENSIONS = [
    # 1.2.0 holds both spellings of the CRS: "proj:code", and "proj:epsg", which GDAL below 3.10 reads.
    "https://stac-extensions.github.io/projection/v1.2.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
]
PROCESSING = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
_SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+]*(-[A-Za-z0-9.+]+)+")
_RESULTS_TITLE = Text(zh="分析成果", en="Results of analyses")
_RESULTS_DESCRIPTION = Text(
    zh="分析运行发布的栅格成果，带溯源；登记的外部成果亦在此",
    en="Raster results that runs published, with their provenance; registered results stand here too",
)


def both(text: Text) -> str:
    """A bilingual text as one line, Chinese first."""
    return f"{text.zh} / {text.en}"


def instant(value: datetime) -> str:
    """RFC 3339 text in UTC."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def is_result(layer: Layer) -> bool:
    """Whether a layer is shown among the results."""
    return layer.provenance is not None or layer.theme[0] == RESULTS


@dataclass(frozen=True)
class Scene:
    """One item before it is written: a version of a raster, with what searches compare."""

    collection: str
    id: str
    raster: PublishedRaster
    published: datetime

    @property
    def layer(self) -> Layer:
        """Layer of the raster."""
        return self.raster.layer

    @property
    def version(self) -> str:
        """Version of the raster."""
        return self.raster.version

    @property
    def bands(self) -> list[str]:
        """Names of the bands."""
        return [band.name for band in self.layer.bands]

    @property
    def brought(self) -> Mapping[str, Any]:
        """Properties that a registered item brought."""
        return dict((self.layer.provenance or {}).get("item", {}).get("properties", {}))

    @cached_property
    def span(self) -> Span:
        """Time that the item stands for: the period of the data where the layer says it, else the moment of publication."""
        if self.layer.observed is not None:
            return Span(self.layer.observed.time, self.layer.observed.time)
        exact = (self.layer.provenance or {}).get("item", {}).get("time")
        if exact:
            return Span(*(datetime.fromisoformat(moment) for moment in exact))
        if self.layer.period is None:
            return Span(self.published, self.published)
        first, last = (datetime.combine(day, time(), UTC) for day in self.layer.period)
        return Span(first, last + timedelta(days=1) - timedelta(seconds=1))

    @cached_property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north, degrees."""
        west, south, east, north = (round(v, 9) for v in self.raster.extent)
        return west, south, east, north

    @cached_property
    def geometry(self) -> Any:
        """Footprint as a shapely polygon, x = longitude."""
        import shapely

        return shapely.box(*self.bbox)


Item = Scene | ObservedScene


@dataclass(frozen=True)
class Gathered:
    """All items of one catalogue revision and state of the scenes folder, newest first, and by collection."""

    scenes: tuple[Item, ...]
    collections: Mapping[str, tuple[Item, ...]]
    layers: Mapping[str, Layer]
    """Collection → its layer; ``results`` has none."""

    def result(self, item: str) -> Scene | None:
        """A result by its id."""
        return next((s for s in self.collections[RESULTS] if isinstance(s, Scene) and s.id == item), None)

    def find(self, collection: str, item: str) -> Item | None:
        """Item by its ids."""
        return next((s for s in self.collections.get(collection, ()) if s.id == item), None)


_lock = threading.Lock()
_known: WeakKeyDictionary[DataStore, tuple[Any, Gathered]] = WeakKeyDictionary()


def gathered(datastore: DataStore, snapshot: Snapshot) -> Gathered:
    """Scenes of a snapshot and of the scenes folder; what the snapshot leaves out by its grade is not among them."""
    state = (snapshot.revision, scenes_state(datastore.settings.scenes_dir))
    with _lock:
        known = _known.get(datastore)
    if known is not None and known[0] == state:
        return known[1]
    history = raster_versions(datastore, snapshot)
    collections: dict[str, tuple[Item, ...]] = {}
    layers: dict[str, Layer] = {}
    results: list[Scene] = []
    for layer in snapshot.layers():
        current = snapshot.published(layer.id)
        if not isinstance(current, PublishedRaster):
            continue
        if is_result(current.layer):
            results.append(Scene(RESULTS, layer.id, current, snapshot.times[layer.id]))
            continue
        scenes: list[Scene] = []
        for version, published in history.get(layer.id, ()):
            raster = snapshot.raster(layer.id, version)
            # Ids hold lower-case letters, digits, _ and - only, as the STAC best practices ask.
            name = f"{layer.id}_{version}".lower().replace(".", "-")
            name += f"-{len(scenes)}" if any(scene.id == name for scene in scenes) else ""
            scenes.append(Scene(layer.id, name, raster, published))
        if current.layer.observed is not None:
            # Flights by when they were flown, not by when they were delivered.
            scenes.sort(key=lambda scene: scene.span.start, reverse=True)
        if scenes:
            collections[layer.id] = tuple(scenes)
            layers[layer.id] = current.layer
    for name, observed in observed_scenes(datastore.settings.scenes_dir).items():
        # A layer of the same id came first; the scenes can be renamed, its address cannot.
        if name not in collections and name != RESULTS:
            collections[name] = observed
            layers[name] = observed[0].layer
    collections[RESULTS] = tuple(results)
    everything = [scene for scenes in collections.values() for scene in scenes]
    everything.sort(key=lambda s: (s.collection, s.id))
    everything.sort(key=lambda s: s.span.start, reverse=True)
    found = Gathered(tuple(everything), collections, layers)
    with _lock:
        _known[datastore] = (state, found)
    return found


def file_path(raster: PublishedRaster) -> str:
    """Path of the file of one version; it ends in ``.tif``, which some clients want."""
    return f"/stac/files/{raster.layer.id}/{raster.version}.tif"


def licence(layer: Layer) -> str:
    """SPDX id of the licence, else ``other``."""
    return layer.source.licence if _SPDX.fullmatch(layer.source.licence) else "other"


def _link(href: str, rel: str, kind: str, title: str | None = None) -> dict[str, str]:
    return {"href": href, "rel": rel, "type": kind} | ({"title": title} if title else {})


def _providers(base: str, layer: Layer) -> list[dict[str, Any]]:
    return [
        {"name": both(layer.department or layer.source.attribution), "roles": ["producer"]},
        {"name": "湖北一张图 / OneMap Hubei", "roles": ["host", "processor"], "url": f"{base}/"},
    ]


def _number(value: float) -> float | int | str:
    """A number as JSON can hold it; the raster extension spells the others."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _bands(raster: PublishedRaster) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """``bands`` of STAC 1.1 and ``raster:bands`` of the raster extension."""
    modern, extension = [], []
    west, _, east, _ = raster.extent
    metres = (east - west) / raster.width * 111_319.49
    for band, (low, high) in zip(raster.layer.bands, raster.statistics, strict=True):
        found: dict[str, Any] = {
            "data_type": raster.dtype,
            "nodata": _number(raster.nodata),
            "statistics": {"minimum": _number(low), "maximum": _number(high)},
        }
        if band.unit is not None:
            found["unit"] = band.unit
        modern.append({"name": band.name, "description": both(band.title), **found})
        # Of the equator, as the extension asks for one number.
        extension.append({**found, "spatial_resolution": round(metres, 3)})
    return modern, extension


def _processing(layer: Layer) -> dict[str, Any]:
    """Provenance of a result in the words of the processing extension."""
    made = layer.provenance
    if not made:
        return {}
    software = made.get("software") or {}
    found: dict[str, Any] = {
        "processing:lineage": str(made.get("method") or layer.source.origin),
        "onemap:provenance": {
            key: made[key]
            for key in ("analysis", "analysis_version", "job", "parameters", "inputs", "missing_inputs", "not_assessed")
            if made.get(key) not in (None, [], {})
        },
    }
    if software.get("name"):
        found["processing:software"] = {str(software["name"]): str(software.get("version", ""))}
    if isinstance(made.get("time"), str):
        found["processing:datetime"] = _zulu(made["time"])
    return found


def _zulu(text: str) -> str:
    try:
        return instant(datetime.fromisoformat(text))
    except ValueError:
        return text


def _properties(scene: Scene, base: str) -> dict[str, Any]:
    raster, layer = scene.raster, scene.layer
    west, south, east, north = raster.extent
    pixel = (east - west) / raster.width, (north - south) / raster.height
    found: dict[str, Any] = {
        "title": f"{both(layer.display_title())} · {raster.version}",
        "description": both(layer.description),
        "datetime": instant(scene.span.start),
        "created": instant(scene.published),
        "updated": instant(scene.published),
        "version": raster.version,
        "license": licence(layer),
        "keywords": list(layer.keywords),
        "providers": _providers(base, layer),
        "proj:code": "EPSG:4490",
        "proj:epsg": 4490,
        "proj:shape": [raster.height, raster.width],
        "proj:bbox": list(raster.extent),
        "proj:transform": [pixel[0], 0.0, west, 0.0, -pixel[1], north, 0.0, 0.0, 1.0],
        "grade": layer.grade,
        "theme": "/".join(layer.theme),
        "synthetic": layer.synthetic is not None,
    }
    if scene.span.start < scene.span.end:
        found["start_datetime"] = instant(scene.span.start)
        found["end_datetime"] = instant(scene.span.end)
    if layer.observed is not None:
        seen = layer.observed
        found |= {"gsd": seen.gsd_m, "platform": seen.platform, "onemap:source_crs": seen.source_crs}
        if seen.sensor is not None:
            found["instruments"] = [seen.sensor]
    if layer.synthetic is not None:
        found["onemap:recipe"] = both(layer.synthetic.recipe)
    if layer.attribution_note is not None:
        found["onemap:note"] = both(layer.attribution_note)
    if layer.derived_from:
        found["derived_from"] = list(layer.derived_from)
    extra = (layer.provenance or {}).get("item", {}).get("properties", {})
    return {**extra, **found, **_processing(layer)}


def item_document(scene: Item, base: str, known: Gathered) -> dict[str, Any]:
    """A scene as a STAC item."""
    if isinstance(scene, ObservedScene):
        return observed_document(scene, base)
    raster, layer = scene.raster, scene.layer
    root = f"{base}/stac"
    own = f"{root}/collections/{scene.collection}"
    title = both(layer.display_title())
    modern, extension = _bands(raster)
    data: dict[str, Any] = {
        "href": base + file_path(raster),
        "type": COG,
        "title": title,
        "roles": ["data"],
        "bands": modern,
        "raster:bands": extension,
    }
    if raster.path.is_file():
        data["file:size"] = raster.path.stat().st_size
    links = [
        _link(f"{own}/items/{scene.id}", "self", GEOJSON, title),
        _link(root, "root", JSON, "湖北一张图 STAC / OneMap Hubei STAC"),
        _link(own, "parent", JSON, scene.collection),
        _link(own, "collection", JSON, scene.collection),
        _link(f"{base}/ogc/collections/{layer.id}", "via", JSON, "OGC API"),
        _link(f"{base}/tiles/{layer.id}/tilejson.json?version={raster.version}", "tilejson", JSON, "TileJSON"),
    ]
    for source in layer.derived_from:
        target = _derived(source, known, base)
        if target is not None:
            links.append(_link(target, "derived_from", GEOJSON if "/stac/" in target else JSON, source))
    if licence(layer) != "other":
        links.append(
            _link(
                f"https://spdx.org/licenses/{layer.source.licence}.html", "license", "text/html", layer.source.licence
            )
        )
    west, south, east, north = scene.bbox
    properties = _properties(scene, base)
    extensions = [*EXTENSIONS, PROCESSING] if any(name.startswith("processing:") for name in properties) else EXTENSIONS
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(extensions),
        "id": scene.id,
        "collection": scene.collection,
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "bbox": list(scene.bbox),
        "properties": properties,
        "assets": {
            "data": data,
            "legend": {
                "href": f"{base}/tiles/{layer.id}/legend.png?version={raster.version}",
                "type": "image/png",
                "title": "图例 / Legend",
                "roles": ["metadata"],
            },
        },
        "links": links,
    }


def _derived(source: str, known: Gathered, base: str) -> str | None:
    """Address of an input of a result: its newest item, or its collection where it is a vector layer."""
    for collection in (source, RESULTS):
        for scene in known.collections.get(collection, ()):
            if scene.layer.id == source:
                return f"{base}/stac/collections/{collection}/items/{scene.id}"
    return f"{base}/ogc/collections/{source}"


def collection_document(collection: str, base: str, known: Gathered) -> dict[str, Any]:
    """A STAC collection: a raster layer, or the results."""
    scenes, layer = known.collections[collection], known.layers.get(collection)
    root = f"{base}/stac"
    own = f"{root}/collections/{collection}"
    title = both(layer.display_title() if layer is not None else _RESULTS_TITLE)
    boxes = [scene.bbox for scene in scenes] or [(-180.0, -90.0, 180.0, 90.0)]
    west, south, east, north = zip(*boxes, strict=True)
    whole = [min(west), min(south), max(east), max(north)]
    start = min((scene.span.start for scene in scenes), default=None)
    end = max((scene.span.end for scene in scenes), default=None)
    links = [
        _link(own, "self", JSON, title),
        _link(root, "root", JSON, "湖北一张图 STAC / OneMap Hubei STAC"),
        _link(root, "parent", JSON, "湖北一张图 STAC / OneMap Hubei STAC"),
        _link(f"{own}/items", "items", GEOJSON, "条目 / Items"),
        _link(
            f"{own}/queryables",
            "http://www.opengis.net/def/rel/ogc/1.0/queryables",
            "application/schema+json",
            "可查询字段 / Queryables",
        ),
        *(_link(f"{own}/items/{scene.id}", "item", GEOJSON, scene.id) for scene in scenes),
    ]
    document: dict[str, Any] = {
        "type": "Collection",
        "stac_version": STAC_VERSION,
        "stac_extensions": list(EXTENSIONS[:1]),
        "id": collection,
        "title": title,
        "description": both(layer.description if layer is not None else _RESULTS_DESCRIPTION),
        "license": "other" if layer is None else licence(layer),
        "keywords": ["分析成果", "results"] if layer is None else list(layer.keywords),
        "providers": [{"name": "湖北一张图 / OneMap Hubei", "roles": ["host", "processor"], "url": f"{base}/"}]
        if layer is None
        else _providers(base, layer),
        "extent": {
            "spatial": {"bbox": [whole]},
            "temporal": {
                "interval": [[None if start is None else instant(start), None if end is None else instant(end)]]
            },
        },
        "summaries": {"proj:code": ["EPSG:4490"], "proj:epsg": [4490]},
        "links": links,
        "assets": {},
    }
    if layer is not None and layer.kind == "scenes":
        document["summaries"] = {}
        document["item_assets"] = {
            band.name: {"type": COG, "roles": ["data"], "title": band.name, "bands": [{"name": band.name}]}
            for band in layer.bands
        }
        if document["license"] != "other":
            address = f"https://spdx.org/licenses/{layer.source.licence}.html"
            links.append(_link(address, "license", "text/html", layer.source.licence))
    elif layer is not None:
        document["item_assets"] = {
            "data": {
                "type": COG,
                "roles": ["data"],
                "title": title,
                "bands": [
                    {"name": band.name, "description": both(band.title)} | ({"unit": band.unit} if band.unit else {})
                    for band in layer.bands
                ],
            }
        }
        links.append(_link(f"{base}/ogc/collections/catalogue/items/{layer.id}", "describedby", GEOJSON, title))
        if document["license"] == "other":
            # What the source says of its rights is no SPDX id; its words stand in the record of the catalogue.
            address = f"{base}/ogc/collections/catalogue/items/{layer.id}?f=html#rights"
            links.append(_link(address, "license", "text/html", layer.source.licence))
        else:
            links.append(
                _link(
                    f"https://spdx.org/licenses/{layer.source.licence}.html",
                    "license",
                    "text/html",
                    layer.source.licence,
                )
            )
    return document
