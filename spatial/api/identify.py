"""Identify (识别查询): what every visible layer says at one point, with unit, class name, version and source."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from spatial.store.raster import PublishedRaster, sample
from spatial.store.vector import ItemQuery, PublishedTable

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore, Snapshot

__all__ = ["identify"]

_MOST_FEATURES = 10


def identify(
    store: DataStore, snapshot: Snapshot, lon: float, lat: float, layer_ids: list[str], tolerance: float
) -> dict[str, Any]:
    """Features and pixel values at a point.

    Parameters
    ----------
    lon, lat : float, degrees (EPSG:4490)
    layer_ids : list of str
        In drawing order; the answer keeps it.
    tolerance : float, degrees
        Half side of the square in which points and lines count as hit; polygons must contain the point if it is 0.

    Raises
    ------
    LayerNotFound, LayerNotPublished
    """
    layers = []
    for layer_id in layer_ids:
        published = snapshot.published(layer_id) or snapshot.vector(layer_id)
        if isinstance(published, PublishedTable):
            layers.append(
                _head(published) | {"features": _features(store, published, lon, lat, tolerance), "values": None}
            )
        else:
            layers.append(_head(published) | {"features": None, "values": _values(published, lon, lat)})
    return {"lon": lon, "lat": lat, "crs": "EPSG:4490", "layers": layers}


def _head(published: PublishedTable | PublishedRaster) -> dict[str, Any]:
    layer = published.layer
    return {
        "id": layer.id,
        "title": layer.display_title().model_dump(),
        "kind": layer.kind,
        "version": published.version,
        "attribution": layer.source.attribution.model_dump(),
        "synthetic": layer.synthetic is not None,
    }


def _features(
    store: DataStore, table: PublishedTable, lon: float, lat: float, tolerance: float
) -> list[dict[str, Any]]:
    import shapely

    # A polygon is hit where the pointer is; points and lines are hit nearby.
    exact = "Polygon" in table.geometry_type or tolerance == 0
    area = (
        shapely.Point(lon, lat)
        if exact
        else shapely.box(lon - tolerance, lat - tolerance, lon + tolerance, lat + tolerance)
    )
    page = store.vectors.page(table, ItemQuery(limit=_MOST_FEATURES, area=area, skip_geometry=True))
    features = [json.loads(text) for text in page.features]
    return [{"id": f["id"], "properties": f["properties"]} for f in features]


def _values(raster: PublishedRaster, lon: float, lat: float) -> list[dict[str, Any]]:
    values = []
    for band, value in zip(raster.layer.bands, sample(raster, lon, lat), strict=True):
        label = band.domain.get(int(value)) if band.domain and value is not None else None
        values.append(
            {
                "band": band.name,
                "title": band.title.model_dump(),
                "unit": band.unit,
                "value": value,
                "label": label.model_dump() if label else None,
            }
        )
    return values
