"""The pixels of a map (地图格网): extent, size and CRS, and the way between pixels and longitude and latitude.

Coordinates are x first. In geographic CRSs and Web Mercator a column is a meridian and a row a parallel; in the
Gauss–Krüger zones neither is, and every pixel has a longitude and a latitude of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.crs import STORAGE, ServedCRS, transformer
from spatial.units import INVERSE_FLATTENING, SEMI_MAJOR_M

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["WHOLE_WORLD", "Extent", "MapGrid", "ground_metres", "project_extent"]

Extent = tuple[float, float, float, float]
"""West, south, east, north; x first."""

WHOLE_WORLD: Extent = (-180.0, -90.0, 180.0, 90.0)
_E2 = (2 - 1 / INVERSE_FLATTENING) / INVERSE_FLATTENING
_STEP = 16
"""Pixels between two points that PROJ computes; the others lie between them. At 600 m a pixel this is wrong by 1 m."""


def ground_metres(crs: ServedCRS, x: float, y: float) -> tuple[float, float]:
    """Metres on the ground of one unit of a CRS eastwards and northwards, near a point.

    Formula: N(φ) cos φ and M(φ) per radian on the CGCS2000 ellipsoid; in Web Mercator a unit is 1/R radians of longitude,
    cos φ / R of latitude. A Gauss–Krüger unit counts as a metre (wrong by less than 0.04 % within its zone).

    Source: EPSG Guidance Note 7-2 (radii of curvature).

    Examples
    --------
    >>> from spatial.crs import CRS84
    >>> [round(v) for v in ground_metres(CRS84, 114.0, 0.0)]
    [111319, 110574]
    """
    if crs.projected and crs.srid != 3857:
        return 1.0, 1.0
    phi = math.radians(y) if crs.srid != 3857 else math.atan(math.sinh(y / SEMI_MAJOR_M))
    phi = max(-1.55, min(1.55, phi))  # at a pole a degree of longitude has no length
    w = 1 - _E2 * math.sin(phi) ** 2
    east, north = SEMI_MAJOR_M / math.sqrt(w) * math.cos(phi), SEMI_MAJOR_M * (1 - _E2) / w**1.5
    if crs.srid == 3857:
        return east / SEMI_MAJOR_M, north * math.cos(phi) / SEMI_MAJOR_M
    return math.radians(east), math.radians(north)


def project_extent(extent: Extent, source: ServedCRS, target: ServedCRS) -> Extent | None:
    """Smallest extent in `target` that holds an extent of `source`; None where it has no place there.

    The edges are followed by points, because a straight edge in one CRS is a curve in the other.
    """
    if not source.projected and not target.projected:
        return extent
    if source.srid == target.srid:
        return extent
    west, south, east, north = extent
    if target.srid == 3857:  # the poles lie at infinity
        south, north = max(south, -85.06), min(north, 85.06)
    if not source.projected and target.srid != 3857:
        # Transverse Mercator has no place for the other side of the Earth.
        centre = _central_meridian(target)
        west, east = max(west, centre - 80), min(east, centre + 80)
        south, north = max(south, -89.0), min(north, 89.0)
    if west > east or south > north:  # a line or a point has an extent too
        return None
    moved = transformer(source.srid, target.srid).transform_bounds(west, south, east, north, densify_pts=33)
    return None if not np.isfinite(moved).all() else (moved[0], moved[1], moved[2], moved[3])


def _central_meridian(crs: ServedCRS) -> float:
    """Central meridian of a Gauss–Krüger zone of Hubei: 105, 108, 111 or 114 degrees."""
    return 3.0 * ((crs.srid - 4545) + 36 if crs.srid >= 4545 else (crs.srid - 4524) + 36)


@dataclass(frozen=True)
class MapGrid:
    """The pixels of a map.

    Attributes
    ----------
    crs : ServedCRS
    extent : tuple of 4 floats
        x first, units of the CRS. East is above 180 where a geographic map crosses the antimeridian.
    width, height : int
        Pixels.
    """

    crs: ServedCRS
    extent: Extent
    width: int
    height: int

    @property
    def separable(self) -> bool:
        """True if a column is a meridian and a row a parallel."""
        return not self.crs.projected or self.crs.srid == 3857

    @property
    def pixel(self) -> tuple[float, float]:
        """Width and height of a pixel in units of the CRS."""
        west, south, east, north = self.extent
        return (east - west) / self.width, (north - south) / self.height

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the map, x first."""
        west, south, east, north = self.extent
        return (west + east) / 2, (south + north) / 2

    @cached_property
    def ground(self) -> tuple[float, float]:
        """Width and height on the ground, metres, of the pixel in the middle."""
        across, along = ground_metres(self.crs, *self.centre)
        return self.pixel[0] * across, self.pixel[1] * along

    @cached_property
    def zoom(self) -> float:
        """Zoom of Web Mercator whose pixels (256 a tile) are as wide on the ground."""
        latitude = self.geographic_centre[1]
        circle = 2 * math.pi * SEMI_MAJOR_M * max(0.05, math.cos(math.radians(latitude)))
        return math.log2(circle / 256 / min(self.ground))

    @cached_property
    def geographic_centre(self) -> tuple[float, float]:
        """Longitude and latitude of the middle."""
        longitudes, latitudes = self._geographic(*(np.array([v]) for v in self.centre))
        return float(longitudes[0]), float(latitudes[0])

    def scale_denominator(self, pixel_m: float = 0.28e-3) -> float:
        """Metres on the ground for a metre on a display whose pixels are `pixel_m` wide."""
        return self.ground[0] / pixel_m

    def rows(self, first: int, last: int) -> MapGrid:
        """The part from one row up to, not including, another."""
        west, _, east, north = self.extent
        dy = self.pixel[1]
        return MapGrid(self.crs, (west, north - last * dy, east, north - first * dy), self.width, last - first)

    def axes(self, border: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitudes of the columns and latitudes of the rows (pixel centres); only where the CRS is separable."""
        x, y = self._centres(border)
        return self._geographic(x, y)

    def positions(self, border: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Longitude and latitude of every pixel centre, shape (rows, columns); NaN where the CRS has no such place."""
        x, y = self._centres(border)
        at_x, spread_x = _spread(len(x))
        at_y, spread_y = _spread(len(y))
        coarse_x, coarse_y = np.meshgrid(np.interp(at_x, np.arange(len(x)), x), np.interp(at_y, np.arange(len(y)), y))
        longitudes, latitudes = self._geographic(coarse_x.ravel(), coarse_y.ravel())
        whole: list[NDArray[np.float64]] = [
            spread_y @ np.where(np.isfinite(v), v, np.nan).reshape(coarse_x.shape) @ spread_x.T
            for v in (longitudes, latitudes)
        ]
        return whole[0], whole[1]

    def _centres(self, border: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        west, _, _, north = self.extent
        dx, dy = self.pixel
        columns = np.arange(-border, self.width + border, dtype=np.float64) + 0.5
        rows = np.arange(-border, self.height + border, dtype=np.float64) + 0.5
        return np.float64(west) + columns * np.float64(dx), np.float64(north) - rows * np.float64(dy)

    def _geographic(self, x: Any, y: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        longitudes: NDArray[np.float64]
        latitudes: NDArray[np.float64]
        if self.crs.srid == 3857:
            longitudes, latitudes = np.degrees(x / SEMI_MAJOR_M), np.degrees(np.arctan(np.sinh(y / SEMI_MAJOR_M)))
        elif self.crs.projected:
            found = transformer(self.crs.srid, STORAGE.srid).transform(x, y)
            longitudes, latitudes = np.asarray(found[0]), np.asarray(found[1])
        else:
            beyond = self.extent[0] < -180 or self.extent[2] > 180
            longitudes, latitudes = (x + 180) % 360 - 180 if beyond else x, y
        return longitudes, latitudes

    def pixels_of(self, lonlat: NDArray[np.float64]) -> NDArray[np.float64]:
        """Column and row (fractions; (0, 0) is the upper left corner) of longitudes and latitudes, shape (n, 2)."""
        lon, lat = lonlat[:, 0], lonlat[:, 1]
        if self.crs.srid == 3857:
            x = np.radians(lon) * SEMI_MAJOR_M
            y = np.arcsinh(np.tan(np.radians(np.clip(lat, -89.9, 89.9)))) * SEMI_MAJOR_M
        elif self.crs.projected:
            x, y = transformer(STORAGE.srid, self.crs.srid).transform(lon, lat)
        else:
            # The copy of the Earth that lies nearest to the middle of the map.
            x, y = lon + 360 * np.round((self.centre[0] - lon) / 360), lat
        dx, dy = self.pixel
        return np.column_stack([(x - self.extent[0]) / dx, (self.extent[3] - y) / dy])

    def geographic_boxes(self, margin: float = 0.0) -> list[Extent]:
        """Boxes in longitude and latitude that together hold the map and `margin` pixels around it."""
        dx, dy = (v * margin for v in self.pixel)
        west, south, east, north = self.extent
        wide = (west - dx, south - dy, east + dx, north + dy)
        if not self.crs.projected:
            return _split(wide)
        found = transformer(self.crs.srid, STORAGE.srid).transform_bounds(*wide, densify_pts=33)
        if not np.isfinite(found).all():
            return [WHOLE_WORLD]
        return [(found[0], max(-90.0, found[1]), found[2], min(90.0, found[3]))]

    def wire_extent(self) -> str:
        """Corners in the axis order of the CRS, as ``Content-Bbox`` gives them."""
        west, south, east, north = self.extent
        if east > 180 and not self.crs.projected:
            east -= 360
        found = (south, west, north, east) if self.crs.latitude_first else (west, south, east, north)
        return ",".join(_number(round(v, self.crs.digits)) for v in found)


def _number(value: float) -> str:
    """A number in plain notation, without needless zeros."""
    text = f"{value:.9f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _split(box: Extent) -> list[Extent]:
    """A box in degrees, cut at the antimeridian and the poles."""
    west, south, east, north = box
    south, north = max(-90.0, south), min(90.0, north)
    if east - west >= 360:
        return [(-180.0, south, 180.0, north)]
    if west < -180:
        west, east = west + 360, east + 360
    if east <= 180:
        return [(west, south, east, north)]
    return [(-180.0, south, east - 360, north), (min(west, 180.0), south, 180.0, north)]


def _spread(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions of every `_STEP`-th of `count` points, and the matrix that makes all of them from these, linearly.

    >>> at, matrix = _spread(3)
    >>> at.tolist(), (matrix @ at).tolist()
    ([0.0, 2.0], [0.0, 1.0, 2.0])
    """
    pieces = max(1, math.ceil((count - 1) / _STEP))
    at = np.linspace(0, count - 1, pieces + 1)
    matrix = np.zeros((count, pieces + 1))
    place = np.arange(count) / max(1e-9, (count - 1) / pieces)
    first = np.minimum(place.astype(int), pieces - 1)
    matrix[np.arange(count), first] = 1 - (place - first)
    matrix[np.arange(count), first + 1] = place - first
    return at, matrix
