"""Features on the pixels of a map (矢量制图): read at the scale of the map, projected one by one, drawn with the style."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter
from spatial.store.vector import ItemQuery, PublishedTable
from tiles.draw import FINE, Shape, draw_shapes, grouped
from tiles.maps.grid import MapGrid
from tiles.mvt import LINE, POINT, POLYGON
from tiles.styles import Categories, Graduated, Single, Symbol, VectorStyle

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spatial.store.vector import Interval, VectorStore

__all__ = ["MOST_SHAPES", "Placed", "Row", "draw_features", "placed", "read_shapes", "symbols_reach"]

MOST_SHAPES = 200_000
"""Most features of a layer in one map."""
Row = tuple[Any, ...]


def symbols_reach(style: VectorStyle) -> float:
    """How far a symbol of the style can reach beyond its place, CSS pixels."""
    symbols: Iterable[Symbol | None] = [style] if isinstance(style, Single) else [*style.classes, style.default]
    return max((s.radius + s.width for s in symbols if s is not None), default=0.0)


async def read_shapes(
    store: VectorStore, table: PublishedTable, grid: MapGrid, style: VectorStyle, interval: Interval | None
) -> list[Row]:
    """Rows ``(fid, WKB, value of the style's field)`` of the features that the map can show.

    A map of a small scale reads the generalised table that a tile of that scale would; with a time interval the data
    themselves are asked, because merged features have no time.

    Raises
    ------
    InvalidParameter
        More features than can be drawn.
    """
    import shapely

    timed = interval if table.layer.time_field is not None else None
    zoom = None if timed is not None else max(0, math.ceil(grid.zoom - 0.1))
    field = (style.field,) if isinstance(style, Categories | Graduated) else ()
    found: list[Row] = []
    west, south, east, north = table.extent
    for box in grid.geographic_boxes(symbols_reach(style) * 2 + 2):
        if box[0] > east or box[2] < west or box[1] > north or box[3] < south:
            continue
        query = ItemQuery(area=shapely.box(*box), interval=timed, properties=field)
        found += await store.ashapes(table, query, zoom=zoom, most=MOST_SHAPES + 1)
    if len(found) > MOST_SHAPES:
        raise InvalidParameter(
            f"图层 {table.layer.id} 在此范围有超过 {MOST_SHAPES} 个要素，请缩小 bbox 或去掉 datetime",
            f"layer {table.layer.id} has more than {MOST_SHAPES} features here; ask for a smaller bbox or drop datetime",
            layer=table.layer.id,
            parameter="bbox",
        )
    return found


@dataclass(frozen=True, slots=True)
class Placed:
    """Features on a map.

    Attributes
    ----------
    geometries : array of shapely geometries
        In pixels of the map, y downwards.
    bounds : float array (n, 4)
        Of each, NaN for those without a place.
    values : list
        Value of the style's field.
    """

    geometries: Any
    bounds: NDArray[np.float64]
    values: list[Any]


def placed(rows: list[Row], grid: MapGrid) -> Placed:
    """Features projected to the pixels of a map."""
    import shapely

    geometries = shapely.from_wkb([None if row[1] is None else bytes(row[1]) for row in rows])
    moved = shapely.transform(geometries, lambda lonlat: _finite(grid.pixels_of(lonlat)))
    return Placed(moved, shapely.bounds(moved), [row[2] if len(row) > 2 else None for row in rows])


def draw_features(
    canvas: NDArray[np.float32], features: Placed, style: VectorStyle, first_row: int, scale: float
) -> bool:
    """Draw features on a canvas that shows the rows of the map from `first_row` on; True if there were any to draw.

    Parameters
    ----------
    scale : float
        Pixels of the map in a CSS pixel of the symbols.
    """
    height, width = canvas.shape[0] // FINE, canvas.shape[1] // FINE
    # Cut so far outside that neither the cut nor a symbol on it can be seen.
    edge = (symbols_reach(style) * scale + 4) * 2
    inside = (-edge, first_row - edge, width + edge, first_row + height + edge)
    shapes = _shapes(features, inside, first_row)
    drawn = False
    for symbol, members in grouped(style, shapes, lambda value, _: value).items():
        if members:
            draw_shapes(canvas, symbol, members, FINE * scale)
            drawn = True
    return drawn


def _shapes(features: Placed, inside: tuple[float, float, float, float], first_row: int) -> Iterator[tuple[Shape, Any]]:
    """Features that meet a box, cut by it, in the pixels of the canvas, each with its value."""
    bounds = features.bounds
    with np.errstate(invalid="ignore"):
        near = (bounds[:, 2] >= inside[0]) & (bounds[:, 0] <= inside[2])
        near &= (bounds[:, 3] >= inside[1]) & (bounds[:, 1] <= inside[3])
        over = (bounds[:, 0] < inside[0]) | (bounds[:, 2] > inside[2])
        over |= (bounds[:, 1] < inside[1]) | (bounds[:, 3] > inside[3])
    for index in np.flatnonzero(near):
        geometry = features.geometries[index]
        if over[index]:
            geometry = _cut(geometry, inside)
        for shape in _simple(geometry):
            parts = [(part - (0, first_row)) * FINE for part in shape.parts]
            yield Shape(shape.kind, parts, shape.holes), features.values[index]


def _finite(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places that the CRS does not have lie very far away."""
    return np.where(np.isfinite(pixels), np.clip(pixels, -1e7, 1e7), 1e7)


def _cut(geometry: Any, box: tuple[float, float, float, float]) -> Any:
    import shapely

    try:
        return shapely.clip_by_rect(geometry, *box)
    except shapely.errors.GEOSException:
        # A ring that crosses itself after projection to whole pixels of a small scale.
        return shapely.clip_by_rect(shapely.make_valid(geometry), *box)


def _simple(geometry: Any) -> Iterator[Shape]:
    """A geometry as shapes: all its points, all its lines, and each polygon with its holes."""
    import shapely

    if geometry is None or geometry.is_empty:
        return
    parts = shapely.get_parts(geometry) if hasattr(geometry, "geoms") else [geometry]
    points, lines = [], []
    for part in parts:
        kind = part.geom_type
        if kind == "Polygon":
            if not part.is_empty:
                rings = [part.exterior, *part.interiors]
                holes = (False, *(True for _ in part.interiors))
                yield Shape(POLYGON, [shapely.get_coordinates(r)[:-1] for r in rings], holes)
        elif kind in {"LineString", "LinearRing"}:
            lines.append(shapely.get_coordinates(part))
        elif kind == "Point":
            points.append(shapely.get_coordinates(part))
        else:
            yield from _simple(part)
    if lines:
        yield Shape(LINE, lines)
    if points:
        yield Shape(POINT, [np.concatenate(points)])
