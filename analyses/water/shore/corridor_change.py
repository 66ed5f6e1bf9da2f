"""Land-cover change along a river (沿江 1 公里地类变化): the transition matrix within a geodesic buffer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.landcover.change import Transitions
from spatial.errors import GridMismatch, InvalidParameter
from spatial.grid import cell_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["CorridorChange", "corridor_change", "geodesic_buffer"]

_PIECE_DEG = 0.1
"""Longest piece of a line that is buffered in one local projection: about 10 km, where the scale is off by under 10⁻⁶."""


def geodesic_buffer(geometry: Any, distance_m: float) -> Any:
    """All places within a geodesic distance of a geometry (测地缓冲区), the geometry itself included.

    Each piece of about 10 km is buffered in its own azimuthal equidistant projection on the CGCS2000 ellipsoid.

    Parameters
    ----------
    geometry : shapely geometry, longitude and latitude
    distance_m : float, metres, > 0

    Returns
    -------
    shapely polygon or multipolygon, longitude and latitude

    Raises
    ------
    InvalidParameter
        Distance not positive or above 100 km, empty geometry.

    Examples
    --------
    >>> import shapely
    >>> from spatial.units import geodesic_areas
    >>> disk = geodesic_buffer(shapely.Point(114.3, 30.6), 1000)
    >>> round(float(geodesic_areas([disk])[0]) / 1e6, 2)  # π km² less the corners of the polygon
    3.14
    """
    import shapely
    from pyproj import Transformer

    if not 0 < distance_m <= 100_000:
        raise InvalidParameter(
            f"缓冲距离应在 0–100000 m 内，得到 {distance_m:g}",
            f"the buffer distance must be within 0 to 100,000 m, found {distance_m:g}",
            parameter="distance_m",
            value=distance_m,
        )
    if geometry.is_empty:
        raise InvalidParameter("几何为空", "the geometry is empty", parameter="geometry")

    def one(piece: Any) -> Any:
        x, y = piece.centroid.x, piece.centroid.y
        local = Transformer.from_crs(
            "EPSG:4490", f"+proj=aeqd +lat_0={y} +lon_0={x} +ellps=GRS80 +units=m +type=crs", always_xy=True
        )

        def there(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack(local.transform(xy[:, 0], xy[:, 1]))

        def back(xy: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack(local.transform(xy[:, 0], xy[:, 1], direction="INVERSE"))

        flat = shapely.transform(piece, there)
        if flat.geom_type == "LineString":
            # Segment by segment: the buffer of a whole line would first simplify its bends by a hundredth of the distance.
            xy = shapely.get_coordinates(flat)
            flat = shapely.linestrings(np.stack([xy[:-1], xy[1:]], axis=1))
        return shapely.transform(shapely.union_all(shapely.buffer(flat, distance_m, quad_segs=32)), back)

    parts = [one(piece) for piece in _pieces(geometry)]
    if geometry.geom_type.endswith("Polygon") or geometry.geom_type == "GeometryCollection":
        parts.append(geometry)
    return shapely.union_all(parts)


def _pieces(geometry: Any) -> Iterator[Any]:
    """Points, and stretches of line no longer than `_PIECE_DEG`; of polygons their boundary."""
    import shapely

    for part in shapely.get_parts(geometry):
        if part.geom_type == "GeometryCollection":
            yield from _pieces(part)
        elif part.geom_type == "Point":
            yield part
        elif part.geom_type == "Polygon":
            yield from _pieces(part.boundary)
        elif part.geom_type.startswith("Multi"):
            yield from _pieces(part)
        else:
            xy = shapely.get_coordinates(shapely.segmentize(part, _PIECE_DEG / 4))
            first = 0
            while first < len(xy) - 1:
                last, length = first + 1, float(np.hypot(*(xy[first + 1] - xy[first])))
                while last < len(xy) - 1 and length < _PIECE_DEG:
                    length += float(np.hypot(*(xy[last + 1] - xy[last])))
                    last += 1
                yield shapely.LineString(xy[first : last + 1])
                first = last


@dataclass(frozen=True)
class CorridorChange:
    """Change within the corridor."""

    transitions: Transitions
    corridor_m2: float
    """Area of the cells whose centre lies within the distance."""
    common_m2: float
    """Part of it that both maps know."""

    @property
    def valid_share(self) -> float:
        """Share of the corridor that could be compared, 0–1."""
        return self.common_m2 / self.corridor_m2 if self.corridor_m2 else 0.0


def corridor_change(
    earlier: NDArray[np.uint8],
    later: NDArray[np.uint8],
    grid: GeoBox,
    river: Any,
    distance_m: float,
    classes: Sequence[int],
) -> CorridorChange:
    """Transition matrix of two class maps within a distance of a river, lake or its bank line.

    Parameters
    ----------
    earlier, later : uint8 (rows, cols)
        Codes (`analyses.landcover.change.class_codes`), 0 = no data.
    grid : GeoBox, EPSG:4490, north up
    river : shapely geometry, longitude and latitude
        A line has its corridor on both sides; a polygon includes its water.
    distance_m : float
        1,000 m by 长江保护法 Art. 26.
    classes : sequence of int
        Codes of the scheme.

    Raises
    ------
    GridMismatch
        Arrays off the grid.
    InvalidParameter
        The corridor holds no cell of the grid (or x and y are swapped).
    """
    from rasterio.features import rasterize

    if earlier.shape != later.shape or earlier.shape != grid.shape.yx:
        raise GridMismatch(
            f"两期 {earlier.shape}、{later.shape} 与格网 {grid.shape.yx} 不同",
            f"the two dates {earlier.shape}, {later.shape} are not on the grid {grid.shape.yx}",
        )
    zone = geodesic_buffer(river, distance_m)
    inside = rasterize([(zone, 1)], out_shape=earlier.shape, transform=grid.affine, fill=0, dtype="uint8").astype(bool)
    if not inside.any():
        raise InvalidParameter(
            f"廊道（{[round(v, 4) for v in zone.bounds]}）不在地类图范围内；请检查范围与经纬度次序",
            f"the corridor ({[round(v, 4) for v in zone.bounds]}) holds no cell of the maps; check extent and axis order",
            parameter="river",
        )
    area = cell_areas(grid)
    found = Transitions(tuple(classes))
    found.add(np.where(inside, earlier, 0).astype(np.uint8), np.where(inside, later, 0).astype(np.uint8), area)
    return CorridorChange(found, float((inside.sum(axis=1) * area).sum()), found.common_m2)
