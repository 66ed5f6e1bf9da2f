"""From rows of a store to GeoJSON text; the same for both stores.

Rows are ``(fid, feature text)`` where the database wrote the GeoJSON, or ``(fid, WKB, properties text)`` where the
coordinates are transformed and rounded here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, overload

from spatial.crs import STORAGE, ServedCRS, to_wire, transform_geometries
from spatial.errors import FeatureNotFound, InvalidParameter
from spatial.store.dialect import SEPARATOR
from spatial.store.statements import returns_json
from spatial.store.vector import ItemQuery, Page, PublishedTable, Records

__all__ = ["FeatureTexts", "anchor_of", "feature_of", "features_of", "joined_page", "page_of", "records_of"]


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


class FeatureTexts(Sequence[str]):
    r"""The texts of a page as they came, one after the other; cut apart only for whoever looks at single ones.

    >>> texts = FeatureTexts(b"{1}\x1e{2}\x1e{3}", 2)
    >>> texts.joined, len(texts), texts[1], list(texts)
    (b'{1},\n{2}', 2, '{2}', ['{1}', '{2}'])
    """

    __slots__ = ("_count", "_separated", "_texts")

    def __init__(self, separated: bytes, count: int) -> None:
        mark = SEPARATOR.encode()
        # One more than wanted was asked for, to know whether more follow.
        if separated.count(mark) == count:
            separated = separated[: separated.rfind(mark)] if count else b""
        self._separated = separated
        self._count = count
        self._texts: list[str] | None = None

    @property
    def joined(self) -> bytes:
        """The texts with a comma between them, as they stand in a FeatureCollection."""
        return self._separated.replace(SEPARATOR.encode(), b",\n")

    def _all(self) -> list[str]:
        if self._texts is None:
            self._texts = self._separated.decode().split(SEPARATOR) if self._count else []
        return self._texts

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return self._all()[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, FeatureTexts) else other)


def joined_page(fids: bytes | None, features: bytes | None, query: ItemQuery) -> Page:
    """Page of a statement that gives all ids and all texts as one value each."""
    if fids is None or features is None:
        return Page([], [], False)
    found = list(map(int, fids.split(b",")))
    more = len(found) > query.limit
    del found[query.limit :]
    return Page(FeatureTexts(features, len(found)), found, more)


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
