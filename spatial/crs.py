"""Coordinate reference systems (坐标参考系): which are served, their axis order on the wire, and exact transforms.

Inside the project x is always longitude or easting and y latitude or northing, whatever the CRS. Only on the wire does
the axis order of the authority apply: EPSG:4326 and EPSG:4490 are latitude first, the CGCS2000 3° Gauss–Krüger zones
(4524–4527, 4545–4548) are northing first, CRS84 and EPSG:3857 are x first.

Coordinates are rounded, never truncated: 9 decimals of a degree (0.1 mm) and 4 decimals of a metre (0.1 mm).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter, UnknownCRS

if TYPE_CHECKING:
    from pyproj import Transformer

__all__ = [
    "CRS84",
    "DEGREE_DIGITS",
    "METRE_DIGITS",
    "SERVED",
    "STORAGE",
    "ServedCRS",
    "bbox_polygon",
    "parse_crs",
    "round_coordinates",
    "to_wire",
    "transform_geometries",
    "transformer",
]

DEGREE_DIGITS = 9
METRE_DIGITS = 4


@dataclass(frozen=True, slots=True)
class ServedCRS:
    """A CRS that the service speaks.

    Attributes
    ----------
    uri : str
        OGC address, as in ``crs`` lists and the ``Content-Crs`` header.
    srid : int
        EPSG code for the database; CRS84 uses 4326 there, because both hold x = longitude.
    latitude_first : bool
        True if the authority's axis order on the wire is (latitude, longitude) or (northing, easting).
    projected : bool
        True if coordinates are metres.
    """

    uri: str
    srid: int
    latitude_first: bool
    projected: bool

    @property
    def digits(self) -> int:
        """Decimals of a served coordinate."""
        return METRE_DIGITS if self.projected else DEGREE_DIGITS

    @property
    def name(self) -> str:
        """Short name, ``CRS84`` or ``EPSG:4490``."""
        return "CRS84" if self.uri.endswith("CRS84") else f"EPSG:{self.srid}"


def _epsg(code: int, *, latitude_first: bool, projected: bool) -> ServedCRS:
    return ServedCRS(f"http://www.opengis.net/def/crs/EPSG/0/{code}", code, latitude_first, projected)


CRS84 = ServedCRS("http://www.opengis.net/def/crs/OGC/1.3/CRS84", 4326, False, False)
STORAGE = _epsg(4490, latitude_first=True, projected=False)
SERVED: dict[str, ServedCRS] = {
    crs.uri: crs
    for crs in (
        CRS84,
        _epsg(4326, latitude_first=True, projected=False),
        STORAGE,
        _epsg(3857, latitude_first=False, projected=True),
        *(_epsg(code, latitude_first=True, projected=True) for code in (*range(4524, 4528), *range(4545, 4549))),
    )
}
"""OGC address → CRS, in the order in which collections list them (CRS84, the default, first)."""

_SPELLINGS = re.compile(
    r"""^(?:\[?(?P<curie>EPSG|OGC):(?P<curie_code>[\w.]+)\]?
        |urn:ogc:def:crs:(?P<urn>EPSG|OGC):[\d.]*:(?P<urn_code>\w+)
        |https?://www\.opengis\.net/def/crs/(?P<uri>EPSG|OGC)/[\d.]+/(?P<uri_code>\w+))$""",
    re.VERBOSE,
)


def parse_crs(text: str, *, parameter: str = "crs") -> ServedCRS:
    """Served CRS by any usual spelling: OGC address, URN, ``EPSG:4490``, ``[EPSG:4490]``, ``OGC:CRS84``, ``CRS84``.

    Raises
    ------
    UnknownCRS
        If the CRS is not served; the message lists those that are.

    Examples
    --------
    >>> parse_crs("urn:ogc:def:crs:EPSG::4490").name, parse_crs("CRS84").name
    ('EPSG:4490', 'CRS84')
    """
    if text == "CRS84":
        return CRS84
    match = _SPELLINGS.match(text.strip())
    if match:
        authority = match["curie"] or match["urn"] or match["uri"]
        code = match["curie_code"] or match["urn_code"] or match["uri_code"]
        version = "1.3" if authority == "OGC" else "0"
        found = SERVED.get(f"http://www.opengis.net/def/crs/{authority}/{version}/{code}")
        if found:
            return found
    allowed = list(SERVED)
    raise UnknownCRS(
        f"参数 {parameter} 的坐标系 {text!r} 不在服务范围，可用：{'、'.join(c.name for c in SERVED.values())}",
        f"{parameter}: CRS {text!r} is not served; use one of {', '.join(c.name for c in SERVED.values())}",
        parameter=parameter,
        value=text,
        allowed=allowed,
    )


@lru_cache(maxsize=64)
def transformer(source_srid: int, target_srid: int) -> Transformer:
    """Cached PROJ transformer between two EPSG codes, x first on both sides."""
    from pyproj import Transformer

    return Transformer.from_crs(source_srid, target_srid, always_xy=True)


def round_coordinates(geometries: Any, digits: int) -> Any:
    """Round every coordinate of an array of shapely geometries, point by point (no snapping, no node removal)."""
    import shapely

    return shapely.transform(geometries, lambda xy: np.round(xy, digits))


def transform_geometries(geometries: Any, source: ServedCRS, target: ServedCRS) -> Any:
    """Transform an array of shapely geometries from one served CRS to another, x first, rounded to the target's digits.

    Between the geographic CRSs (CRS84, 4326, 4490) the coordinates are the same numbers: CGCS2000 and WGS 84 differ by
    less than a metre and no official parameters exist, so PROJ and this function use the null transform.

    Examples
    --------
    >>> import shapely
    >>> p = shapely.points([[114.3, 30.6]])
    >>> transform_geometries(p, STORAGE, parse_crs("EPSG:3857"))[0].wkt
    'POINT (12723817.7977 3580909.7605)'
    """
    import shapely

    if not source.projected and not target.projected:
        return geometries
    if source.srid == target.srid:
        return geometries
    project = transformer(source.srid, target.srid).transform

    def move(xy: Any) -> Any:
        return np.round(np.column_stack(project(xy[:, 0], xy[:, 1])), target.digits)

    return shapely.transform(geometries, move)


def to_wire(geometries: Any, crs: ServedCRS) -> Any:
    """Swap x and y of shapely geometries where the authority wants latitude or northing first."""
    import shapely

    if not crs.latitude_first:
        return geometries
    return shapely.transform(geometries, lambda xy: xy[:, ::-1])


_ORDERS = {
    (False, True): ("纬度,经度", "lat,lon"),
    (False, False): ("经度,纬度", "lon,lat"),
    (True, True): ("北,东", "northing,easting"),
    (True, False): ("东,北", "easting,northing"),
}
"""Projected, latitude or northing first → names of the axes as they stand on the wire."""


def bbox_polygon(bbox: Iterable[float], crs: ServedCRS, *, parameter: str = "bbox") -> Any:
    """Polygon in storage coordinates (EPSG:4490, longitude first) of a ``bbox`` given on the wire in `crs`.

    Parameters
    ----------
    bbox : four numbers
        Lower and upper corner in the wire order of `crs`; six numbers (with heights) are accepted, heights are ignored.
    crs : ServedCRS
        The CRS of ``bbox-crs``.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon
        A rectangle for geographic CRSs and 3857; for Gauss–Krüger the edges are densified to 65 points, because a straight
        grid line is a curve in longitude and latitude. A box in metres is taken 0.1 mm wider on each side, the last decimal
        of coordinates on the wire. A geographic box whose west is greater than its east crosses the
        antimeridian and becomes two rectangles.

    Raises
    ------
    InvalidParameter
        Wrong count, not finite, lower above upper, or outside the range of the CRS.
    """
    import shapely

    values = list(bbox)
    if len(values) == 6:
        values = [values[0], values[1], values[3], values[4]]
    if len(values) != 4 or not np.isfinite(values).all():
        raise InvalidParameter(
            f"{parameter} 应为 4 个（或 6 个）有限数",
            f"{parameter} must be 4 (or 6) finite numbers",
            parameter=parameter,
        )
    if crs.latitude_first:
        values = [values[1], values[0], values[3], values[2]]
    west, south, east, north = values
    order_zh, order_en = _ORDERS[crs.projected, crs.latitude_first]
    if south > north or (crs.projected and west > east):
        raise InvalidParameter(
            f"{parameter} 的下角点大于上角点；{crs.name} 的轴序：{order_zh}",
            f"{parameter}: lower corner above upper corner; axis order of {crs.name}: {order_en}",
            parameter=parameter,
        )
    if not crs.projected:
        if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south <= 90 and -90 <= north <= 90):
            raise InvalidParameter(
                f"{parameter} 超出经度 ±180、纬度 ±90；{crs.name} 的轴序：{order_zh}",
                f"{parameter} outside longitude ±180, latitude ±90; axis order of {crs.name}: {order_en}",
                parameter=parameter,
            )
        if west > east:
            return shapely.union_all([shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)])
        return shapely.box(west, south, east, north)
    # A box made of coordinates that were rounded for the wire must hold the very feature that they are of.
    margin = 10.0**-METRE_DIGITS
    ring = shapely.box(west - margin, south - margin, east + margin, north + margin)
    if crs.srid != 3857:
        longest = max(east - west, north - south) + margin
        ring = shapely.segmentize(ring, longest / 64)
    project = transformer(crs.srid, STORAGE.srid).transform
    moved = shapely.transform(ring, lambda xy: np.column_stack(project(xy[:, 0], xy[:, 1])))
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        raise InvalidParameter(
            f"{parameter} 超出 {crs.name} 的适用范围",
            f"{parameter} lies outside the range of {crs.name}",
            parameter=parameter,
        )
    return moved
