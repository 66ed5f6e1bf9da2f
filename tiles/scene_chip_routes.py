"""Addresses of chips (影像切片地址): ``/tiles/scenes/{collection}/{scene}/chip.{png|webp|jpg}``.

``bbox`` (axis order of ``bbox-crs``, default CRS84), or ``layer`` and ``feature``, whose outline is then drawn; ``picture`` is an
index of the scene, ``size`` the longer side in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from spatial.crs import CRS84, bbox_polygon, parse_crs
from spatial.errors import FeatureNotFound, InvalidParameter
from spatial.scenes.chips import Chip, chip_box
from spatial.scenes.collection import open_collection
from spatial.store.vector import ItemQuery
from tiles.answers import choice, known_query, matches, tile_headers
from tiles.scene_chips import LEAST_SIZE, MOST_SIZE, PICTURE, SIZE, draw_chip, drawable, scene_item
from tiles.scene_indices import scene_index

if TYPE_CHECKING:
    from spatial.scenes.chips import Box
    from spatial.store.datastore import DataStore
    from tiles.raster import TilePool

__all__ = ["addresses"]

_ENDINGS = {"png": "png", "webp": "webp", "jpg": "jpg", "jpeg": "jpg"}


class _SceneChips:
    def __init__(self, datastore: DataStore, pool: TilePool) -> None:
        self._datastore = datastore
        self._pool = pool

    async def chip(self, request: Request) -> Response:
        """One chip. A place outside the scene is an error, not an empty picture: a chip is evidence."""
        query = known_query(request, {"bbox", "bbox-crs", "picture", "size", "layer", "feature"})
        path, settings = request.path_params, self._datastore.settings
        ext = choice(path["ext"], _ENDINGS, "ext")
        collection = open_collection(settings.scenes_dir, path["collection"])
        item = scene_item(collection, path["scene"])
        if "picture" in query:
            index = scene_index(settings.layers_dir, query["picture"])
        else:
            index = drawable(item, PICTURE, settings.layers_dir)
        size, box, feature = _size(query), _box(query), _feature(query)
        table = None if feature is None else self._datastore.snapshot().vector(feature[0])
        headers = tile_headers(
            collection.layer,
            ("chip", item.id, item.path.stat().st_mtime_ns, index.model_dump_json(), box, size, ext, feature,
             None if table is None else table.version, str(collection.layer.synthetic)),
            pinned=False,
        )  # fmt: skip
        if matches(request, headers["ETag"]):
            return Response(status_code=304, headers=headers)

        def work() -> Chip:
            shape: Any = None
            if table is not None and feature is not None:
                rows = self._datastore.vectors.frame(table, ItemQuery(ids=(feature[1],)))
                if rows.empty:
                    raise FeatureNotFound(
                        f"图层 {feature[0]} 没有要素 {feature[1]}", f"layer {feature[0]} has no feature {feature[1]}",
                        layer=feature[0], feature=feature[1],
                    )  # fmt: skip
                shape = rows.geometry.iloc[0]
            place = box
            if place is None:
                west, south, east, north = (float(v) for v in shape.bounds)
                place = chip_box((west, south, east, north))
            return draw_chip(collection, item, index, place, size=size, outline=shape, ext=ext)

        made = await self._pool.run(work)
        return Response(made.content, media_type=made.media_type, headers=headers)


def _size(query: dict[str, str]) -> int:
    text = query.get("size", str(SIZE))
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidParameter(
            f"size 应为 {LEAST_SIZE} 至 {MOST_SIZE} 的整数，收到 {text[:20]!r}",
            f"size must be a whole number from {LEAST_SIZE} to {MOST_SIZE}, got {text[:20]!r}",
            parameter="size",
        )
    return int(text)


def _feature(query: dict[str, str]) -> tuple[str, int] | None:
    layer, feature = query.get("layer"), query.get("feature")
    if layer is None and feature is None:
        return None
    if layer is None or feature is None or not (feature.isascii() and feature.isdigit() and len(feature) < 19):
        raise InvalidParameter(
            "layer（图层）与 feature（要素编号，非负整数）须一同给出",
            "layer and feature (the id of the feature, a whole number) go together",
            parameter="feature",
        )
    return layer, int(feature)


def _box(query: dict[str, str]) -> Box | None:
    if "bbox" not in query:
        if "layer" not in query:
            raise InvalidParameter(
                "请给出 bbox（轴序见 bbox-crs，默认 CRS84 经度在前），或 layer 与 feature",
                "give bbox (axis order of bbox-crs, default CRS84, longitude first), or layer and feature",
                parameter="bbox",
            )
        return None
    crs = parse_crs(query["bbox-crs"], parameter="bbox-crs") if "bbox-crs" in query else CRS84
    try:
        numbers = [float(part) for part in query["bbox"].split(",")]
    except ValueError as error:
        raise InvalidParameter(
            f"bbox 应为 4 个数，收到 {query['bbox'][:80]!r}",
            f"bbox must be four numbers, got {query['bbox'][:80]!r}",
            parameter="bbox",
        ) from error
    west, south, east, north = (round(float(v), 7) for v in bbox_polygon(numbers, crs).bounds)
    return west, south, east, north


def addresses(datastore: DataStore, pool: TilePool) -> list[tuple[str, Any]]:
    """Routes of this module."""
    return [("/tiles/scenes/{collection}/{scene}/chip.{ext}", _SceneChips(datastore, pool).chip)]
