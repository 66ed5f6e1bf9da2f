"""From rows of a store to GeoJSON text; the same for both stores.

Rows are ``(fid, feature text)`` where the database wrote the GeoJSON, or ``(fid, WKB, properties text)`` where the
coordinates are transformed and rounded here.
"""

from __future__ import annotations

from typing import Any

from spatial.crs import STORAGE, ServedCRS, to_wire, transform_geometries
from spatial.errors import FeatureNotFound
from spatial.store.statements import returns_json
from spatial.store.vector import ItemQuery, Page, PublishedTable

__all__ = ["feature_of", "features_of", "page_of"]


def features_of(rows: list[tuple[Any, ...]], crs: ServedCRS) -> list[str]:
    """GeoJSON text of each row, with WKB transformed to `crs` and put into its wire order."""
    import shapely

    if not rows:
        return []
    geometries = shapely.from_wkb([None if wkb is None else bytes(wkb) for _, wkb, _ in rows])
    moved = to_wire(transform_geometries(geometries, STORAGE, crs), crs)
    texts = shapely.to_geojson(moved)
    return [
        f'{{"type":"Feature","id":{fid},"geometry":{"null" if text is None else text},"properties":{properties}}}'
        for (fid, _, properties), text in zip(rows, texts, strict=True)
    ]


def page_of(rows: list[tuple[Any, ...]], query: ItemQuery) -> Page:
    """Page of at most ``limit`` features; one row more than that means that others follow."""
    more = len(rows) > query.limit
    del rows[query.limit :]
    if query.skip_geometry or returns_json(query.crs):
        return Page([row[1] for row in rows], [row[0] for row in rows], more)
    return Page(features_of(rows, query.crs), [row[0] for row in rows], more)


def feature_of(rows: list[tuple[Any, ...]], table: PublishedTable, fid: int, crs: ServedCRS) -> str:
    """The one feature of a layer, or `FeatureNotFound`."""
    if not rows:
        raise FeatureNotFound(
            f"图层 {table.layer.id} 没有要素 {fid}",
            f"layer {table.layer.id} has no feature {fid}",
            layer=table.layer.id,
        )
    return str(rows[0][1]) if returns_json(crs) else features_of(rows, crs)[0]
