"""The catalogue document (资源目录): everything that a web map needs to list and draw the layers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analyses.whatif import factors_of
from spatial.catalog import Layer
from spatial.grid import TILE_MATRIX_SETS
from spatial.store.vector import PublishedTable

if TYPE_CHECKING:
    from spatial.store.datastore import Published, Snapshot

__all__ = ["catalogue_document"]


def catalogue_document(snapshot: Snapshot) -> dict[str, Any]:
    """Themes and published layers of a snapshot, as plain JSON types."""
    layers = []
    extents = []
    for layer in snapshot.layers():
        published = snapshot.published(layer.id)
        if published is not None:
            layers.append(_layer(published.layer, published, snapshot))
            extents.append(published.extent)
    west, south, east, north = zip(*extents, strict=True) if extents else ((), (), (), ())
    extent = [min(west), min(south), max(east), max(north)] if extents else None
    return {
        "revision": snapshot.revision,
        "title": {"zh": "湖北一张图", "en": "OneMap Hubei"},
        "crs": "EPSG:4490",
        "extent": extent,
        "themes": [theme.model_dump() for theme in snapshot.catalog.themes],
        "layers": layers,
    }


def _layer(layer: Layer, published: Published, snapshot: Snapshot) -> dict[str, Any]:
    vector = isinstance(published, PublishedTable)
    suffix = "mvt" if vector else "png"
    document: dict[str, Any] = {
        "id": layer.id,
        "title": layer.display_title().model_dump(),
        "description": layer.description.model_dump(),
        "theme": list(layer.theme),
        "kind": layer.kind,
        "version": published.version,
        "published": snapshot.times[layer.id].isoformat().replace("+00:00", "Z"),
        "synthetic": layer.synthetic is not None,
        "recipe": layer.synthetic.recipe.model_dump() if layer.synthetic else None,
        "grade": layer.grade,
        "licence": layer.source.licence,
        "attribution": layer.source.attribution.model_dump(),
        "note": layer.attribution_note.model_dump() if layer.attribution_note else None,
        "origin": layer.source.origin,
        "extent": list(published.extent),
        "style": layer.style,
        "min_zoom": layer.min_zoom,
        "max_zoom": layer.max_zoom,
        "keywords": list(layer.keywords),
        "fields": [f.model_dump() for f in layer.fields],
        "bands": [b.model_dump(mode="json", exclude={"valid_range"}) for b in layer.bands],
        "tiles": {
            tms: f"/tiles/{layer.id}/{tms}/{{z}}/{{x}}/{{y}}.{suffix}?version={published.version}"
            for tms in TILE_MATRIX_SETS
        },
        "legend": f"/tiles/{layer.id}/legend.json",
        "tilejson": f"/tiles/{layer.id}/tilejson.json",
        "collection": f"/ogc/collections/{layer.id}",
        "items": None,
        "count": None,
        "geometry_type": None,
        "file": None,
        "derived_from": list(layer.derived_from),
        # Only a layer that carries a chain, or names the one that does, can be asked «why» and «what if».
        "whatif": f"/tiles/{layer.id}/whatif.json" if factors_of(layer) else None,
    }
    if isinstance(published, PublishedTable):
        document |= {
            "items": f"/ogc/collections/{layer.id}/items",
            "count": published.count,
            "geometry_type": published.geometry_type,
        }
    else:
        document["file"] = f"/api/v1/layers/{layer.id}/file"
    return document
