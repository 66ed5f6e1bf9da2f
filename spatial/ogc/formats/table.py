"""From typed rows of the store to Arrow record batches (列式批), which every file format is written from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatial.crs import STORAGE, ServedCRS, transform_geometries
from spatial.store.statements import selected_fields
from spatial.store.vector import ItemQuery, PublishedTable

if TYPE_CHECKING:
    import pyarrow as pa

    from spatial.catalog import Attribute

__all__ = ["FeatureTable"]

_WKB_TYPES = ["Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"]


@dataclass(frozen=True)
class FeatureTable:
    """What a file holds: which columns of which version, in which CRS.

    Attributes
    ----------
    table : PublishedTable
    fields : list of Attribute
    crs : ServedCRS
        Coordinates are x first in every CRS.
    with_geometry : bool
    with_index : bool
        A FlatGeobuf gets its spatial index: it puts the features into its own order and takes no missing geometry.
    """

    table: PublishedTable
    fields: list[Attribute]
    crs: ServedCRS
    with_geometry: bool
    with_index: bool = True

    @classmethod
    def of(cls, table: PublishedTable, query: ItemQuery, *, with_index: bool = True) -> FeatureTable:
        """The columns that a query asks for."""
        fields = selected_fields(table.layer, query.properties)
        return cls(table, fields, query.crs, not query.skip_geometry, with_index)

    def free_name(self, *names: str) -> str:
        """The first of the names that no field has."""
        taken = {f.name for f in self.fields}
        return next(name for name in names if name not in taken)

    @property
    def id_column(self) -> str:
        """Column of the feature id."""
        return self.free_name("fid", "feature_id", "feature id")

    @property
    def geometry_column(self) -> str:
        """Column of the geometry, WKB."""
        return self.free_name("geometry", "geom", "feature geometry")

    @property
    def is_point(self) -> bool:
        """True if every geometry is one point."""
        return self.table.geometry_type == "Point"

    def schema(self) -> pa.Schema:
        """Arrow schema of the batches."""
        import pyarrow as pa

        types = {
            "string": pa.string(),
            "integer": pa.int64(),
            "number": pa.float64(),
            "boolean": pa.bool_(),
            "date": pa.date32(),
            "datetime": pa.timestamp("us", tz="UTC"),
        }
        columns = [pa.field(self.id_column, pa.int64(), nullable=False)]
        columns += [pa.field(f.name, types[f.type]) for f in self.fields]
        if self.with_geometry:
            columns.append(pa.field(self.geometry_column, pa.binary()))
        return pa.schema(columns)

    def batch(self, rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
        """Rows of `Records` as a batch."""
        import pyarrow as pa

        columns = list(zip(*rows, strict=True)) if rows else [()] * (2 + len(self.fields))
        values = [columns[0], *columns[2:]]
        if self.with_geometry:
            values.append(self._wkb(columns[1]))
        arrays = [pa.array(column, type=field.type) for column, field in zip(values, schema, strict=True)]
        return pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _wkb(self, values: Any) -> Any:
        wkb = [None if value is None else bytes(value) for value in values]
        if not self.crs.projected or not wkb:
            return wkb
        import shapely

        moved = transform_geometries(shapely.from_wkb(wkb), STORAGE, self.crs)
        return list(shapely.to_wkb(moved))


def geometries(batch: pa.RecordBatch, column: str) -> Any:
    """Shapely geometries of a WKB column."""
    import shapely

    return shapely.from_wkb(batch.column(column).to_pylist())
