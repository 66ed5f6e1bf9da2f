"""The one interface of the vector stores; DuckDB and PostGIS give the same answers through it.

A published version of a layer is one immutable table: ``fid`` (bigint, unique), the fields of the layer, ``geom``
(EPSG:4490, x = longitude, rounded to 9 decimals) and ``geom_3857`` (for tiles). Beside it stand generalised tables for
low zooms. Everything a reader needs to know of it is a `PublishedTable`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from spatial.catalog import Layer
from spatial.crs import CRS84, ServedCRS
from spatial.settings import Settings

if TYPE_CHECKING:
    import geopandas

__all__ = [
    "Interval",
    "ItemQuery",
    "Page",
    "PublishedTable",
    "Records",
    "RowChange",
    "SortKey",
    "VectorStore",
    "open_vector_store",
]


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """One published version of a vector layer.

    Attributes
    ----------
    layer : Layer
    version : str
        Version id; with the layer id it names the data for ever.
    table : str
        Name in the store: table of PostGIS, or file stem of DuckDB.
    count : int
        Number of features.
    extent : tuple of 4 floats
        West, south, east, north in EPSG:4490, x first.
    geometry_type : str
        ``Point``, ``MultiLineString``, ``MultiPolygon`` …
    generalised : mapping of int to str
        Zoom → suffix of the table that serves tiles up to and including that zoom; empty for small layers and points.
    time_extent : tuple of two datetimes or None
    base : str
        The delivered version that edits began with; empty for a delivered version.
    edit : int
        Number of the edit that made this version, rising within the layer; 0 for a delivered version.
    keeps_edits : bool
        True if the rows of all edits stand in this one table, each with the edits from and until which it holds.
    last_fid : int or None
        Largest feature id that this version or one before it had; ids are never used again.
    tile_grid : bool
        True if the rows say how coarse a grid their polygons bear (`spatial.store.tile_grid`).
    """

    layer: Layer
    version: str
    table: str
    count: int
    extent: tuple[float, float, float, float]
    geometry_type: str
    generalised: Mapping[int, str] = field(default_factory=dict)
    time_extent: tuple[datetime, datetime] | None = None
    base: str = ""
    edit: int = 0
    keeps_edits: bool = False
    last_fid: int | None = None
    tile_grid: bool = False

    def edited_version(self, edit: int) -> str:
        """Name of the version that an edit of this one makes.

        >>> from types import SimpleNamespace as N
        >>> PublishedTable(N(id="x"), "2026.1-r7", "x", 1, (0, 0, 1, 1), "Point", base="2026.1").edited_version(9)
        '2026.1-r9'
        """
        return f"{self.base or self.version}-r{edit}"


@dataclass(frozen=True, slots=True)
class RowChange:
    """What an edit does to one feature.

    Attributes
    ----------
    fid : int
    row : tuple or None
        ``fid``, WKB (EPSG:4490, x first, rounded), then the fields of the layer in their order; None deletes.
    """

    fid: int
    row: tuple[Any, ...] | None


@dataclass(frozen=True, slots=True)
class Interval:
    """A time interval, both ends included; None is open. UTC."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of ``sortby``: a field, ascending or descending; gaps stand last in both directions."""

    name: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ItemQuery:
    """What a page of features asks for; every value is already parsed and checked.

    Attributes
    ----------
    limit : int
    after : int or None
        Keyset: only features that stand behind the feature of this ``fid`` in the order asked for.
    offset : int
        Skipped features; for clients that count pages. `after` is the fast way.
    area : shapely geometry or None
        Query area in EPSG:4490, x first (from ``bbox``); features that intersect it.
    interval : Interval or None
    equals : mapping
        Property → value (``?name=value``), typed by the field.
    cql2 : mapping or None
        CQL2 JSON.
    filter_crs : ServedCRS
        CRS of geometries inside `cql2`; their coordinates are in wire order.
    crs : ServedCRS
        CRS of the answer.
    properties : tuple or None
        Properties wanted; None is all.
    skip_geometry : bool
    sort : tuple of SortKey
        Order of the answer before ``fid``, which always decides last.
    search : tuple of tuples of str
        Full-text search (``q``): alternatives, each a group of words that must all occur in the text fields.
    ids : tuple of int or None
        Only these features.
    """

    limit: int = 10
    after: int | None = None
    offset: int = 0
    area: Any = None
    interval: Interval | None = None
    equals: Mapping[str, Any] = field(default_factory=dict)
    cql2: Mapping[str, Any] | None = None
    filter_crs: ServedCRS = CRS84
    crs: ServedCRS = CRS84
    properties: tuple[str, ...] | None = None
    skip_geometry: bool = False
    sort: tuple[SortKey, ...] = ()
    search: tuple[tuple[str, ...], ...] = ()
    ids: tuple[int, ...] | None = None

    @property
    def is_filtered(self) -> bool:
        """True if fewer features than the whole layer can match."""
        return bool(
            self.area is not None or self.interval or self.equals or self.cql2 or self.search or self.ids is not None
        )


@dataclass(frozen=True, slots=True)
class Page:
    """A page of features, each the UTF-8 text of one GeoJSON Feature in the wire order of the CRS asked for."""

    features: Sequence[str]
    fids: list[int]
    more: bool


@dataclass(frozen=True, slots=True)
class Records:
    """A page of features as typed values, for file formats.

    Attributes
    ----------
    rows : list of tuples
        ``fid``, the WKB of the geometry (EPSG:4490, x first; None if missing or not asked for), then the selected fields.
    more : bool
    """

    rows: list[tuple[Any, ...]]
    more: bool


class VectorStore(Protocol):
    """What DuckDB and PostGIS both do. The methods with ``a`` are the same, awaitable (no thread is held on PostGIS)."""

    def publish(self, layer: Layer, version: str, frame: geopandas.GeoDataFrame) -> PublishedTable:
        """Write a version from a clean frame (EPSG:4490, field names of the layer, index = fid); all or nothing."""
        ...

    def drop(self, table: PublishedTable) -> None:
        """Remove what `publish` wrote, if it is there."""
        ...

    def edit(
        self, table: PublishedTable, edit: int, changes: Sequence[RowChange], published: Callable[[int], bool]
    ) -> PublishedTable:
        """Write the version that changes of `table` make; `table` itself stays as it is. All or nothing.

        Parameters
        ----------
        edit : int
            Number of the edit, greater than that of every version of the layer.
        changes : sequence of RowChange
            At most one for each feature.
        published : callable
            Tells whether an edit of this number became a version; what an edit left that did not is removed.
        """
        ...

    def page(self, table: PublishedTable, query: ItemQuery) -> Page: ...
    async def apage(self, table: PublishedTable, query: ItemQuery) -> Page: ...

    async def arecords(self, table: PublishedTable, query: ItemQuery) -> Records:
        """The same page as typed values instead of GeoJSON; ``query.crs`` plays no part."""
        ...

    def count(self, table: PublishedTable, query: ItemQuery) -> int:
        """Exact number of features that match (limit, after and offset do not count)."""
        ...

    async def acount(self, table: PublishedTable, query: ItemQuery) -> int: ...

    def item(self, table: PublishedTable, fid: int, crs: ServedCRS) -> str:
        """One feature as GeoJSON text; raises `FeatureNotFound`."""
        ...

    async def aitem(self, table: PublishedTable, fid: int, crs: ServedCRS) -> str: ...

    def tile(self, table: PublishedTable, tms: str, z: int, x: int, y: int) -> bytes:
        """Mapbox vector tile, one layer named by the layer id, fid as feature id; empty bytes where nothing is."""
        ...

    async def atile(self, table: PublishedTable, tms: str, z: int, x: int, y: int) -> bytes: ...

    async def ashapes(
        self, table: PublishedTable, query: ItemQuery, *, zoom: int | None, most: int
    ) -> list[tuple[Any, ...]]:
        """Rows ``(fid, WKB in EPSG:4490, the properties of the query …)`` for drawing, `most` of them at the most.

        With a Web Mercator `zoom` they come from the generalised table that serves it, whose only attributes are those of
        vector tiles; without one from the data themselves.
        """
        ...

    def frame(self, table: PublishedTable, query: ItemQuery | None = None) -> geopandas.GeoDataFrame:
        """Features as a GeoDataFrame (EPSG:4490, index = fid); without a query the whole layer."""
        ...

    def ping(self) -> None:
        """Raise `StoreUnavailable` if the store cannot answer."""
        ...

    async def aclose(self) -> None: ...
    def close(self) -> None: ...


def open_vector_store(settings: Settings) -> VectorStore:
    """The store that ``ONEMAP_STORE`` names. Nothing is opened before the first call."""
    if settings.store == "postgis":
        from spatial.store.postgis_store import PostGISStore

        return PostGISStore(settings)
    from spatial.store.duckdb_store import DuckDBStore

    return DuckDBStore(settings)
