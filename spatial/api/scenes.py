"""The scenes document (影像清单): collections and their scenes by date, for a map that shows them through time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatial.scenes.collection import collection_ids, open_collection

if TYPE_CHECKING:
    from spatial.scenes.collection import SceneCollection

__all__ = ["collections_document", "scenes_document"]


def collections_document(folder: Path) -> dict[str, Any]:
    """Every collection of scenes, without its scenes."""
    return {"collections": [_head(open_collection(folder, name)) for name in collection_ids(folder)]}


def scenes_document(folder: Path, collection_id: str) -> dict[str, Any]:
    """One collection with its scenes, oldest first, and those that cannot be used.

    Raises
    ------
    LayerNotFound, SourceUnreadable
    """
    found = open_collection(folder, collection_id)
    return {
        **_head(found),
        "tiles": f"/tiles/scenes/{found.id}/{{scene}}/{{index}}/{{tms}}/{{z}}/{{x}}/{{y}}.webp",
        "chip": f"/tiles/scenes/{found.id}/{{scene}}/chip.webp",
        "scenes": [
            {
                "id": item.id,
                "time": item.time.isoformat().replace("+00:00", "Z"),
                "platform": item.platform,
                "cloud_cover": item.properties.get("eo:cloud_cover"),
                "bbox": list(item.bbox),
                "bands": sorted(item.assets),
            }
            for item in found.items
        ],
        "refused": [{"zh": error.zh, "en": error.en} for error in found.refused],
    }


def _head(found: SceneCollection) -> dict[str, Any]:
    layer = found.layer
    return {
        "id": found.id,
        "title": layer.display_title().model_dump(),
        "description": layer.description.model_dump(),
        "synthetic": layer.synthetic is not None,
        "licence": layer.source.licence,
        "attribution": layer.source.attribution.model_dump(),
        "bbox": list(found.bbox),
        "count": len(found.items),
        "first": found.items[0].time.date().isoformat(),
        "last": found.items[-1].time.date().isoformat(),
    }
