"""Places sent to the desk (图斑与轨迹的几何): read with their axis order checked, measured on the ellipsoid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from spatial.crs import CRS84, ServedCRS, parse_crs
from spatial.errors import InvalidFeature, InvalidParameter
from spatial.store.editing_rules import Faults, read_geometry
from spatial.store.window import read_window
from spatial.units import INVERSE_FLATTENING, SEMI_MAJOR_M, geodesic_areas

if TYPE_CHECKING:
    from pyproj import Geod

__all__ = ["area_m2", "chainage_text", "distance_m", "geod", "length_m", "locate", "read_shape"]


@dataclass(frozen=True, slots=True)
class _Sent:
    """A member of a request, in the place of a layer where its geometry is checked."""

    id: str
    geometry_type: str


def geod() -> Geod:
    """The ellipsoid of CGCS2000."""
    from pyproj import Geod

    return Geod(a=SEMI_MAJOR_M, rf=INVERSE_FLATTENING)


def read_shape(
    document: Any, crs: str | None, layers_dir: Path, *, kind: Literal["MultiPolygon", "LineString"], what: str
) -> Any:
    """Geometry (EPSG:4490, x = longitude) from GeoJSON in CRS84 or in the CRS named.

    Parameters
    ----------
    crs : str or None
        CRS of the coordinates, in whose axis order they stand; None is CRS84 (longitude, latitude).
    what : str
        Name of the member, for messages.

    Raises
    ------
    InvalidFeature
        No such geometry, not valid, or outside the window of the data, which is what swapped axes look like.
    UnknownCRS
    """
    served = CRS84 if crs is None else parse_crs(crs, parameter="crs")
    _check_named_crs(document, served, what)
    sent = _Sent(what, kind)
    faults = Faults(sent)
    shape = read_geometry(sent, document, served, read_window(layers_dir), faults)
    if faults.found:
        zh = "；".join(f["detail_zh"] for f in faults.found)
        en = "; ".join(f["detail_en"] for f in faults.found)
        raise InvalidFeature(
            f"{what} {zh}；未写入", f"{what} {en}; nothing was written", parameter=what, problems=faults.found
        )
    return shape


def _check_named_crs(document: Any, served: ServedCRS, what: str) -> None:
    """A CRS named inside the geometry must be that of the request: an unnoticed one would put it elsewhere."""
    held = document.get("crs") if isinstance(document, dict) else None
    named = held.get("properties", {}).get("name") if isinstance(held, dict) else None
    if isinstance(named, str) and parse_crs(named, parameter=f"{what}.crs") != served:
        raise InvalidParameter(
            f"{what} 声明的坐标系 {named[:80]!r} 与请求（{served.name}）不同；请用成员 crs 说明",
            f"{what} names the CRS {named[:80]!r}, the request is in {served.name}; name it in the member crs",
            parameter="crs",
        )


def area_m2(shape: Any) -> float:
    """Ellipsoidal area (椭球面积), m²."""
    import numpy as np

    return float(geodesic_areas(np.array([shape], dtype=object))[0])


def length_m(line: Any) -> float:
    """Geodesic length (大地线长), m."""
    return float(geod().geometry_length(line))


def _level(shape: Any, latitude: float) -> Any:
    """A shape in a plane where east and north have one scale near a latitude; for finding what is nearest only."""
    import numpy as np
    import shapely

    return shapely.transform(shape, lambda xy: xy * np.array([np.cos(np.radians(latitude)), 1.0]))


def distance_m(one: Any, other: Any) -> float:
    """Geodesic distance between the nearest points of two shapes, m; 0 if they touch.

    >>> import shapely
    >>> round(distance_m(shapely.Point(114, 30), shapely.Point(114, 30.01)))
    1109
    """
    import shapely

    latitude = float(shapely.get_coordinates(other)[0][1])
    line = shapely.shortest_line(_level(one, latitude), _level(other, latitude))
    (ax, ay), (bx, by) = shapely.get_coordinates(line)
    import math

    scale = math.cos(math.radians(latitude))
    return float(geod().inv(ax / scale, ay, bx / scale, by)[2])


def locate(line: Any, point: Any) -> float:
    """Geodesic distance along a line from its start to the place nearest to a point, m."""
    import shapely

    merged = shapely.line_merge(line)
    latitude = float(shapely.get_y(point))
    flat = _level(merged, latitude)
    along = float(shapely.line_locate_point(flat, _level(point, latitude)))
    from shapely.ops import substring

    part = substring(flat, 0.0, along)
    if part.geom_type == "Point":
        return 0.0
    import numpy as np

    scale = float(np.cos(np.radians(latitude)))
    return length_m(shapely.transform(part, lambda xy: xy / np.array([scale, 1.0])))


def chainage_text(metres: float) -> str:
    """Chainage as engineers write it (桩号).

    >>> chainage_text(12345.4), chainage_text(999.6)
    ('K12+345', 'K1+000')
    """
    kilometres, rest = divmod(round(metres), 1000)
    return f"K{kilometres}+{rest:03d}"
