"""Tiles of scenes (影像瓦片): any index of any scene, computed from its bands when it is asked for.

``/tiles/scenes/{collection}/{scene}/{index}/{tms}/{z}/{x}/{y}.{png|webp|jpg}``. Each band is one COG; its window is read from
the overview that fits, whatever its CRS (`tiles.scene_pixels`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from spatial.errors import InvalidParameter
from spatial.scenes.collection import open_collection
from tiles.answers import choice, known_query, matches, tile_headers
from tiles.matrix import Address, geographic_bounds, parse_address
from tiles.raster import TilePool
from tiles.render import FORMATS, empty_picture, encode
from tiles.scene_chips import scene_item
from tiles.scene_indices import SceneIndex, index_colours, scene_index, scene_indices
from tiles.scene_pixels import read_band

if TYPE_CHECKING:
    from spatial.scenes.collection import SceneItem
    from spatial.store.datastore import DataStore

__all__ = ["addresses", "scene_tile"]

_ENDINGS = {"png": "png", "webp": "webp", "jpg": "jpg", "jpeg": "jpg"}


def scene_tile(
    item: SceneItem, index: SceneIndex, address: Address, *, ext: str, size: int = 256, marked: bool = False
) -> bytes | None:
    """Encoded picture of an index of a scene, or None where the scene has no data.

    `marked`: with the mark of synthetic data.

    Raises
    ------
    InvalidParameter
        The scene lacks a band of the index; names it.
    SourceUnreadable
    """
    missing = [name for name in index.bands if name not in item.assets]
    if missing:
        raise InvalidParameter(
            f"影像 {item.id} 缺少指数 {index.id} 所需的波段 {'、'.join(missing)}",
            f"scene {item.id} lacks {', '.join(missing)}, which {index.id} needs",
            parameter="index",
            value=index.id,
        )
    bands = [read_band(item.assets[name], address, size) for name in index.bands]
    colours = index_colours(index, bands)
    return encode(colours, ext, marked=marked) if colours[..., 3].any() else None


class _SceneTiles:
    def __init__(self, datastore: DataStore, pool: TilePool) -> None:
        self._datastore = datastore
        self._pool = pool

    async def indices(self, request: Request) -> Response:
        """What can be shown of a scene: id, title, bands it needs, colours."""
        known_query(request, set())
        rows = [
            {
                "id": index.id,
                "title": index.title.model_dump(),
                "bands": list(index.bands),
                "kind": index.kind,
                "stops": [{"value": at, "color": colour} for at, colour in index.stops],
                "source": index.source,
            }
            for index in scene_indices(self._datastore.settings.layers_dir)
        ]
        return Response(json.dumps({"indices": rows}, ensure_ascii=False), media_type="application/json")

    async def tile(self, request: Request) -> Response:
        """One tile; where the scene has no data an empty picture, so that a map need not handle errors at the edge."""
        known_query(request, set())
        path = request.path_params
        ext = choice(path["ext"], _ENDINGS, "ext")
        address = parse_address(path["tms"], path["z"], path["x"], path["y"])
        settings = self._datastore.settings
        collection = open_collection(settings.scenes_dir, path["collection"])
        item = scene_item(collection, path["scene"])
        index = scene_index(settings.layers_dir, path["index"])
        changed = item.path.stat().st_mtime_ns
        marked = collection.layer.synthetic is not None
        named = (item.id, changed, index.model_dump_json(), *address, ext, marked)
        headers = tile_headers(collection.layer, named, pinned=False)
        if matches(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)
        west, south, east, north = geographic_bounds(address)
        outside = west >= item.bbox[2] or east <= item.bbox[0] or south >= item.bbox[3] or north <= item.bbox[1]
        body = None if outside else await self._pool.run(scene_tile, item, index, address, ext=ext, marked=marked)
        return Response(body or empty_picture(ext), media_type=FORMATS[ext], headers=headers)


def addresses(datastore: DataStore, pool: TilePool) -> list[tuple[str, Any]]:
    """Routes of this module."""
    service = _SceneTiles(datastore, pool)
    return [
        ("/tiles/scenes/indices.json", service.indices),
        ("/tiles/scenes/{collection}/{scene}/{index}/{tms}/{z}/{x}/{y}.{ext}", service.tile),
    ]
