"""Generalised tables (综合概化) for low zooms, computed once at publication and the same for both stores.

A vector tile of a low zoom would hold far more than a screen can show: 200,000 parcels take a quarter of a second and
megabytes. So every zoom whose densest tile is too heavy gets a table of its own, made for its pixel (256 pixels a tile):

* **polygons** of at least a pixel are simplified by half a pixel and keep their id and attributes. Smaller ones are
  merged: each cell of the pixel grid holds a square with the summed area of its small polygons, divided among the
  classes (`Layer.class_field`) by their areas. No area is dropped; what would be narrower than a twelfth of a pixel
  is drawn as a twelfth. Where a tile would still be too heavy, or areas look larger than they are, cells of 2, 4 or 8
  pixels are used, and polygons of up to 4 or 16 square pixels are merged too.
* **lines** are simplified by half a pixel; those shorter than a pixel are joined into one feature a class and region.
* **points** are all kept up to 50,000 of them; beyond that, cells of 4, 8 or 16 pixels become one point at the mean
  position with the attribute ``count``, one for each class. A point alone in its cell stays as it is.

Merged features have no id and only the class (and ``count``) as attributes. A rare class among many others can look larger
than it is, never smaller; over all classes the areas agree within a tenth.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from spatial.catalog import Layer
from spatial.crs import STORAGE, parse_crs, transform_geometries
from spatial.store.published_frame import PreparedFrame
from spatial.units import SEMI_MAJOR_M

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["GeneralisedTable", "generalise", "pixel_size"]

WORLD = 2 * np.pi * SEMI_MAJOR_M
"""Width of Web Mercator, m."""
MIN_FEATURES = 2_000
MIN_VERTICES = 200_000
MAX_POINTS = 50_000
TILE_BYTES = 300_000
TILE_VERTICES = 60_000
DEEPEST = 14
REGION = 16
"""Merged features are cut into regions of so many pixels: larger ones cost the clipping of a tile twice the time."""
SQUARES = 4_000
"""Most merged squares in one tile; an encoder needs 5 (PostGIS) to 20 µs (DuckDB) for each."""
SMALLEST = 1 / 12
"""Smallest width of a merged square in pixels; a tile resolves a sixteenth."""
MOST_EXAGGERATION = 1.1
"""Larger cells are used where the smallest width would draw more than this multiple of the true area."""


@dataclass(frozen=True)
class GeneralisedTable:
    """Features for tiles up to and including a zoom of Web Mercator.

    Attributes
    ----------
    zoom : int
    fids : array of int or None
        None for merged features.
    columns : DataFrame
        The fields of vector tiles.
    geometry, geometry_3857 : arrays of shapely geometries
    counts : int64 array or None
        For points: how many each stands for.
    """

    zoom: int
    fids: NDArray[np.object_]
    columns: pd.DataFrame
    geometry: Any
    geometry_3857: Any
    counts: NDArray[np.int64] | None = None

    @property
    def suffix(self) -> str:
        """Suffix of the table's name."""
        return f"_z{self.zoom}"


def pixel_size(zoom: int) -> float:
    """Width of a pixel of Web Mercator in metres of its own plane, 256 pixels a tile.

    >>> round(pixel_size(8), 1)
    611.5
    """
    return float(WORLD / 256 / 2**zoom)


def generalise(layer: Layer, prepared: PreparedFrame) -> list[GeneralisedTable]:
    """Generalised tables of a version, deepest zoom first; none where the data themselves are light enough."""
    import shapely

    present = ~shapely.is_missing(prepared.geometry_3857)
    rows = np.flatnonzero(present)
    geometry = prepared.geometry_3857[present]
    points = prepared.geometry_type in {"Point", "MultiPoint"}
    vertices = shapely.get_num_coordinates(geometry)
    if points and len(geometry) <= MAX_POINTS:
        return []
    if not points and len(geometry) <= MIN_FEATURES and vertices.sum() <= MIN_VERTICES:
        return []
    dimension = int(shapely.get_dimensions(geometry).max())
    if not points and prepared.geometry_type == "Geometry":
        return []  # mixed kinds: no rule of merging fits all of them
    names = [f.name for f in layer.fields if layer.tile_fields is None or f.name in layer.tile_fields]
    overhead = _attribute_bytes(prepared.columns[names])
    top = _deepest_heavy_zoom(geometry, overhead, min(DEEPEST, layer.max_zoom))
    source = _Source(layer, prepared, names, rows, geometry, overhead)
    tables: list[GeneralisedTable] = []
    for zoom in range(top, -1, -1):
        table = source.points(zoom) if points else source.polygons(zoom) if dimension == 2 else source.lines(zoom)
        tables.append(table)
        if points and len(table.fids) <= MIN_FEATURES:
            break  # light enough for every zoom above; a point does not vanish as a small square would
    return tables


def _attribute_bytes(columns: pd.DataFrame) -> float:
    """Estimated bytes of a feature in a tile without its coordinates: keys, and values that few features share."""
    sample = columns.iloc[:: max(1, len(columns) // 2_000)]
    size = 12.0
    for name in sample:
        values = sample[name].dropna().astype(str)
        if len(values):
            size += 3 + values.nunique() / len(values) * (3 + float(np.mean([len(v.encode()) for v in values])))
    return size


def _pyramid(x: Any, y: Any, deepest: int, weights: Any = None) -> Iterator[tuple[int, float]]:
    """Zoom and the greatest sum of weights in one tile, from the deepest zoom up."""
    size = WORLD / 2**deepest
    column = np.clip(np.floor((x + WORLD / 2) / size), 0, 2**deepest - 1).astype(np.int64)
    row = np.clip(np.floor((WORLD / 2 - y) / size), 0, 2**deepest - 1).astype(np.int64)
    weights = np.ones(len(x)) if weights is None else weights
    for zoom in range(deepest, -1, -1):
        keys, inverse = np.unique(column << 32 | row, return_inverse=True)
        weights = np.bincount(inverse, weights)
        yield zoom, float(weights.max())
        column, row = keys >> 33, (keys & 0xFFFFFFFF) >> 1


def _deepest_heavy_zoom(geometry: Any, overhead: float, deepest: int) -> int:
    """Deepest zoom at which one tile is over the budget of bytes or vertices; -1 if none is."""
    import shapely

    xy = shapely.get_coordinates(geometry)
    for zoom, most in _pyramid(xy[:, 0], xy[:, 1], deepest):
        if most > TILE_VERTICES:
            heavy = zoom
            break
    else:
        heavy = -1
    centre = _centres(geometry)
    vertex_bytes = 2.2 * shapely.get_num_coordinates(geometry)
    # A large polygon puts its vertices into many tiles; here only what a tile of its own could hold counts.
    weight = overhead + np.minimum(vertex_bytes, TILE_BYTES / 100)
    for zoom, most in _pyramid(centre[:, 0], centre[:, 1], deepest, weight):
        if zoom <= heavy:
            break
        if most > TILE_BYTES:
            return zoom
    return heavy


def _centres(geometry: Any) -> NDArray[np.float64]:
    import shapely

    bounds = shapely.bounds(geometry)
    return np.asarray((bounds[:, :2] + bounds[:, 2:]) / 2)


def _densest(x: Any, y: Any, zoom: int, weights: Any = None) -> float:
    return next(_pyramid(x, y, zoom, weights))[1] if len(x) else 0.0


class _Source:
    """The data of one version while its tables are made; simplification goes on from the table before."""

    def __init__(
        self, layer: Layer, prepared: PreparedFrame, names: list[str], rows: Any, geometry: Any, overhead: float
    ) -> None:
        import pandas as pd
        import shapely

        self.layer = layer
        self.fids = prepared.fids[rows]
        self.columns = prepared.columns[names].iloc[rows].reset_index(drop=True)
        self.simplified = geometry
        self.overhead = overhead
        if layer.class_field is None:
            self.codes = np.zeros(len(rows), dtype=np.int64)
            self.classes = pd.Series([pd.NA], dtype="string")
        else:
            values = prepared.columns[layer.class_field].iloc[rows]
            self.codes, unique = pd.factorize(values, use_na_sentinel=False)
            self.classes = pd.Series(unique)
        self.dimension = int(shapely.get_dimensions(geometry).max())
        self.size = shapely.area(geometry) if self.dimension == 2 else shapely.length(geometry)
        self.centre = _centres(geometry)
        self.left = np.ones(len(rows), dtype=bool)
        self.merged_below = 0.0
        self.dust: _Dust | None = None

    def polygons(self, zoom: int) -> GeneralisedTable:
        import shapely

        pixel = pixel_size(zoom)
        large = self.left & (self.size >= max(pixel**2, self.merged_below))
        self._simplify(large, pixel)
        weight = self.overhead + 2.2 * shapely.get_num_coordinates(self.simplified)
        for pixels in (1, 4, 16):
            # What is merged in one table is merged in those of all lower zooms.
            below = max(pixels * pixel**2, self.merged_below)
            kept = self.left & (self.size >= below)
            if _densest(self.centre[kept, 0], self.centre[kept, 1], zoom, weight[kept]) <= TILE_BYTES / 2:
                break
        self.merged_below = below
        newly = self.left & ~kept
        self.left = kept
        merged, codes = self._squares(newly, zoom, pixel)
        return self._table(zoom, kept, merged, codes)

    def lines(self, zoom: int) -> GeneralisedTable:
        import shapely

        pixel = pixel_size(zoom)
        self._simplify(np.ones(len(self.size), dtype=bool), pixel)
        weight = self.overhead + 2.2 * shapely.get_num_coordinates(self.simplified)
        for pixels in (1, 4, 16):
            kept = self.size >= pixels * pixel
            if _densest(self.centre[kept, 0], self.centre[kept, 1], zoom, weight[kept]) <= TILE_BYTES / 2:
                break
        short = ~kept
        parts, index = shapely.get_parts(self.simplified[short], return_index=True)
        tiny = shapely.length(parts) < SMALLEST * pixel
        middle = _centres(parts)
        half = np.array([SMALLEST * pixel / 2, 0.0])
        strokes = shapely.linestrings(np.stack([middle - half, middle + half], axis=1)) if len(parts) else parts
        parts[tiny] = np.asarray(strokes)[tiny]
        merged, codes = _grouped(parts, middle, self.codes[short][index], pixel, shapely.multilinestrings)
        return self._table(zoom, kept, merged, codes)

    def points(self, zoom: int) -> GeneralisedTable:
        import pandas as pd
        import shapely

        pixel = pixel_size(zoom)
        for size in (4, 8, 16):
            cell = np.floor(self.centre / (size * pixel)).astype(np.int64)
            keys = pd.DataFrame({"code": self.codes, "x": cell[:, 0], "y": cell[:, 1]})
            group = keys.groupby(["code", "x", "y"], sort=True).ngroup().to_numpy()
            count = np.bincount(group)
            mean = np.column_stack([np.bincount(group, self.centre[:, i]) / count for i in (0, 1)])
            if _densest(mean[:, 0], mean[:, 1], zoom) * self.overhead <= TILE_BYTES:
                break
        alone = count[group] == 1
        many = np.flatnonzero(count > 1)
        codes = np.zeros(len(count), dtype=np.int64)
        codes[group] = self.codes
        merged = shapely.points(mean[many])
        counts = np.concatenate([np.ones(int(alone.sum()), dtype=np.int64), count[many]])
        return self._table(zoom, alone, merged, codes[many], counts)

    def _simplify(self, which: Any, pixel: float) -> None:
        import shapely

        chosen = self.simplified[which]
        if self.dimension == 2 and self.layer.quality.coverage:
            # Neighbours of a coverage stay neighbours: their common edge is simplified once.
            result = shapely.coverage_simplify(chosen, pixel / 2)
        else:
            result = shapely.simplify(chosen, pixel / 2, preserve_topology=True)
        lost = shapely.is_empty(result) | shapely.is_missing(result)
        self.simplified = self.simplified.copy()
        self.simplified[which] = np.where(lost, chosen, result)

    def _squares(self, newly: Any, zoom: int, pixel: float) -> tuple[Any, NDArray[np.int64]]:
        """Squares of the summed area of small polygons, cut into a strip for each class."""
        import shapely

        dust = _Dust(np.maximum(self.size[newly], 1e-6), self.codes[newly], self.centre[newly]).joined(self.dust)
        if not len(dust.area):
            return np.empty(0, dtype=object), np.empty(0, dtype=np.int64)
        for cells in (1, 2, 4, 8):
            side = cells * pixel
            strips, cell, square = dust.gathered(side)
            total = np.bincount(square, strips.area)[square]
            height = np.maximum(np.sqrt(total), SMALLEST * pixel)
            width = np.maximum(strips.area / height, SMALLEST * pixel)
            middle = (cell + 0.5) * side
            light = _densest(middle[:, 0], middle[:, 1], zoom) <= SQUARES
            if light and (width * height).sum() <= MOST_EXAGGERATION * strips.area.sum():
                break
        self.dust = strips
        centre = np.column_stack([np.bincount(square, strips.area * strips.centre[:, i])[square] for i in (0, 1)])
        # The square stays in its cell where it fits, so that it does not cover its neighbours.
        room = (np.maximum(side - height, 0) / 2)[:, None]
        centre = np.clip(centre / total[:, None], middle - room, middle + room)
        first = np.r_[True, square[1:] != square[:-1]]
        before = np.cumsum(width) - width
        before -= before[first][square]
        left = centre[:, 0] - height / 2 + before
        boxes = shapely.box(left, centre[:, 1] - height / 2, left + width, centre[:, 1] + height / 2)
        merged, codes = _grouped(boxes, middle, strips.codes, pixel, shapely.multipolygons)
        # Squares larger than their cell overlap: drawn alike, but no valid multipolygon, and DuckDB cannot clip such a one.
        for number in np.flatnonzero(~shapely.is_valid(merged)):
            merged[number] = shapely.union_all(shapely.get_parts(merged[number]))
        return merged, codes

    def _table(self, zoom: int, kept: Any, merged: Any, codes: Any, counts: Any = None) -> GeneralisedTable:
        import pandas as pd
        import shapely

        blank = self.columns.iloc[:0].reindex(range(len(merged))).astype(self.columns.dtypes)
        if self.layer.class_field in self.columns.columns:
            name = self.layer.class_field
            blank[name] = self.classes.iloc[codes].reset_index(drop=True).astype(self.columns[name].dtype)
        columns = pd.concat([self.columns[kept], blank], ignore_index=True)
        fids = np.concatenate([self.fids[kept].astype(object), np.full(len(merged), None, dtype=object)])
        geometry = shapely.orient_polygons(np.concatenate([self.simplified[kept], merged]))
        degrees = transform_geometries(geometry, parse_crs("EPSG:3857"), STORAGE)
        return GeneralisedTable(zoom, fids, columns, degrees, geometry, counts)


@dataclass(frozen=True)
class _Dust:
    """Merged polygons: area, class and centre of mass of each heap; heaps of one cell are gathered into one."""

    area: Any
    codes: Any
    centre: Any

    def joined(self, other: _Dust | None) -> _Dust:
        if other is None:
            return self
        return _Dust(
            np.concatenate([self.area, other.area]),
            np.concatenate([self.codes, other.codes]),
            np.concatenate([self.centre, other.centre]),
        )

    def gathered(self, side: float) -> tuple[_Dust, NDArray[np.int64], NDArray[np.int64]]:
        """One heap for each class and cell, the cell of each, and the number of the cell among the cells."""
        cell = np.floor(self.centre / side).astype(np.int64)
        order = np.lexsort((self.codes, cell[:, 1], cell[:, 0]))
        cell, codes, area, centre = cell[order], self.codes[order], self.area[order], self.centre[order]
        new_cell = np.r_[True, (cell[1:] != cell[:-1]).any(axis=1)]
        new_heap = new_cell | np.r_[True, codes[1:] != codes[:-1]]
        heap = np.cumsum(new_heap) - 1
        total = np.bincount(heap, area)
        mean = np.column_stack([np.bincount(heap, area * centre[:, i]) for i in (0, 1)]) / total[:, None]
        square = (np.cumsum(new_cell) - 1)[new_heap]
        return _Dust(total, codes[new_heap], mean), cell[new_heap], square


def _grouped(parts: Any, centre: Any, codes: Any, pixel: float, collect: Any) -> tuple[Any, NDArray[np.int64]]:
    """One collection for each class and region of 16 pixels."""
    import pandas as pd

    if not len(parts):
        return np.empty(0, dtype=object), np.empty(0, dtype=np.int64)
    region = np.floor(centre / (REGION * pixel)).astype(np.int64)
    keys = pd.DataFrame({"x": region[:, 0], "y": region[:, 1], "code": codes})
    group = keys.groupby(["x", "y", "code"], sort=True).ngroup().to_numpy()
    order = np.argsort(group, kind="stable")
    first = np.unique(group[order], return_index=True)[1]
    return collect(parts[order], indices=group[order]), np.asarray(codes[order][first], dtype=np.int64)
