"""Scenes of the scenes folder as STAC items (影像条目): one asset a band, under ``/stac`` beside rasters and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.errors import SpatialError
from spatial.scenes.collection import collection_ids, open_collection
from spatial.store.record_filter import Span

if TYPE_CHECKING:
    from spatial.catalog import Layer
    from spatial.scenes.collection import SceneItem

__all__ = ["ObservedScene", "band_path", "observed_document", "observed_scenes", "scenes_state"]

_KEPT = ("eo:", "s2:", "landsat:", "sar:", "view:", "sat:", "processing:", "earthsearch:", "onemap:", "proj:")
_NAMED = ("gsd", "platform", "constellation", "instruments", "mission")
_EO = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"


@dataclass(frozen=True)
class ObservedScene:
    """One scene of a collection on disk."""

    collection: str
    item: SceneItem
    layer: Layer
    """The collection as a layer definition."""

    @property
    def id(self) -> str:
        """Id of the item."""
        return self.item.id

    @cached_property
    def published(self) -> datetime:
        """When the item was put into the folder."""
        return datetime.fromtimestamp(self.item.path.stat().st_mtime, UTC)

    @property
    def version(self) -> str:
        """A scene that is replaced has another one."""
        return format(int(self.published.timestamp() * 1e6), "x")

    @property
    def span(self) -> Span:
        """The moment of the scene."""
        return Span(self.item.time, self.item.time)

    @property
    def bbox(self) -> tuple[float, float, float, float]:
        """West, south, east, north, degrees."""
        return self.item.bbox

    @cached_property
    def geometry(self) -> Any:
        """Footprint as a shapely polygon, x = longitude."""
        import shapely

        return shapely.box(*self.bbox)

    @property
    def brought(self) -> Mapping[str, Any]:
        """Properties of the item itself."""
        return self.item.properties

    @property
    def bands(self) -> list[str]:
        """Names of the bands."""
        return sorted(self.item.assets)


def scenes_state(folder: Path) -> tuple[tuple[str, int], ...]:
    """What changes when a collection or a scene is added, replaced or removed."""
    return tuple(
        (name, (folder / name / "items").stat().st_mtime_ns)
        for name in collection_ids(folder)
        if (folder / name / "items").is_dir()
    )


def observed_scenes(folder: Path) -> dict[str, tuple[ObservedScene, ...]]:
    """Scenes by collection, newest first; a collection that cannot be read is left out and harms no other."""
    found = {}
    for name in collection_ids(folder):
        try:
            collection = open_collection(folder, name)
        except SpatialError:
            continue
        found[name] = tuple(ObservedScene(name, item, collection.layer) for item in reversed(collection.items))
    return found


def band_path(collection: str, item: str, band: str) -> str:
    """Path of the file of a band."""
    return f"/stac/scenes/{collection}/{item}/{band}.tif"


def observed_document(scene: ObservedScene, base: str) -> dict[str, Any]:
    """A scene as a STAC item; what the delivered item says of itself stays, links and addresses are ours."""
    from spatial.stac.items import COG, GEOJSON, JSON, STAC_VERSION, both, instant, licence

    own = f"{base}/stac/collections/{scene.collection}"
    title = f"{both(scene.layer.display_title())} · {scene.item.time:%Y-%m-%d}"
    west, south, east, north = scene.bbox
    properties = {k: v for k, v in scene.item.properties.items() if k.startswith(_KEPT) or k in _NAMED}
    properties |= {
        "title": title,
        "datetime": instant(scene.item.time),
        "created": instant(scene.published),
        "updated": instant(scene.published),
        "license": licence(scene.layer),
        "grade": scene.layer.grade,
        "theme": "/".join(scene.layer.theme),
        "synthetic": scene.layer.synthetic is not None,
    }
    assets = {}
    for name, asset in sorted(scene.item.assets.items()):
        raster: dict[str, Any] = {"scale": asset.scale, "offset": asset.offset}
        if asset.nodata is not None:
            raster["nodata"] = asset.nodata
        if asset.unit is not None:
            raster["unit"] = asset.unit
        assets[name] = {
            "href": base + band_path(scene.collection, scene.id, name),
            "type": COG,
            "title": name,
            "roles": ["data"],
            "bands": [{"name": name}],
            "raster:bands": [raster],
        }
    tiles = f"{base}/tiles/scenes/{scene.collection}/{scene.id}/true-color/WebMercatorQuad/{{z}}/{{x}}/{{y}}.webp"
    return {
        "type": "Feature",
        "stac_version": STAC_VERSION,
        "stac_extensions": [
            _EO,
            "https://stac-extensions.github.io/projection/v1.2.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
        ],
        "id": scene.id,
        "collection": scene.collection,
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "bbox": list(scene.bbox),
        "properties": properties | {"onemap:tiles": tiles},
        "assets": assets,
        "links": [
            {"href": f"{own}/items/{scene.id}", "rel": "self", "type": GEOJSON, "title": title},
            {"href": f"{base}/stac", "rel": "root", "type": JSON, "title": "湖北一张图 STAC / OneMap Hubei STAC"},
            {"href": own, "rel": "parent", "type": JSON, "title": scene.collection},
            {"href": own, "rel": "collection", "type": JSON, "title": scene.collection},
        ],
    }
