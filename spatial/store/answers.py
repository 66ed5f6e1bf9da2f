"""From rows of a store to GeoJSON text; the same for both stores.

Rows are ``(fid, feature text)`` where the database wrote the GeoJSON, or ``(fid, WKB, properties text)`` where the
coordinates are transformed and rounded here.
"""

from __future__ import annotations

from typing import Any

from spatial.crs import STORAGE, ServedCRS, to_wire, transform_geometries
from spatial.errors import FeatureNotFound, InvalidParameter
from spatial.store.statements import returns_json
from spatial.store.vector import ItemQuery, Page, PublishedTable, Records

__all__ = ["anchor_of", "feature_of", "features_of", "page_of", "records_of"]


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


def records_of(rows: list[tuple[Any, ...]], query: ItemQuery) -> Records:
    """Typed rows of a page; like `page_of`."""
    more = len(rows) > query.limit
    del rows[query.limit :]
    return Records(rows, more)


def anchor_of(rows: list[tuple[Any, ...]], table: PublishedTable, query: ItemQuery) -> tuple[Any, ...]:
    """Sort values of the feature behind which a sorted page begins.

    Raises
    ------
    InvalidParameter
        There is no such feature: the address was not a next link of this version.
    """
    if rows:
        return rows[0]
    raise InvalidParameter(
        f"图层 {table.layer.id} 没有要素 {query.after}，参数 after 应取自 next 链接",
        f"layer {table.layer.id} has no feature {query.after}; after must be taken from a next link",
        layer=table.layer.id,
        parameter="after",
    )


def feature_of(rows: list[tuple[Any, ...]], table: PublishedTable, fid: int, crs: ServedCRS) -> str:
    """The one feature of a layer, or `FeatureNotFound`."""
    if not rows:
        raise FeatureNotFound(
            f"图层 {table.layer.id} 没有要素 {fid}",
            f"layer {table.layer.id} has no feature {fid}",
            layer=table.layer.id,
        )
    return str(rows[0][1]) if returns_json(crs) else features_of(rows, crs)[0]
