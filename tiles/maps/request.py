"""A map request (地图请求) of OGC API Maps, read: which pixels, which CRS, which background, which time.

Source: OGC 20-058 (OGC API – Maps – Part 1), clauses 8–15. The default CRS is the storage CRS (EPSG:4490), whose wire
order is latitude first; ``bbox`` without ``bbox-crs`` is CRS84, longitude first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from spatial.crs import CRS84, STORAGE, ServedCRS, bbox_polygon, parse_crs
from spatial.errors import InvalidParameter, NotFound
from spatial.store.vector import Interval
from tiles.maps.grid import Extent, MapGrid, ground_metres, project_extent
from tiles.maps.query import Colour, colour, flag, interval, number, numbers, pixels, subsets, wrong

__all__ = [
    "MAP_PARAMETERS",
    "MOST_PIXELS",
    "MOST_SIDE",
    "Background",
    "MapRequest",
    "check_size",
    "extent_of_bbox",
    "read_background",
    "read_map",
]

MOST_SIDE = 8192
"""Largest width and height of a map, pixels (``maxWidth``, ``maxHeight``)."""
MOST_PIXELS = 8_388_608
"""Largest number of pixels of a map (``maxPixels``): A3 at 200 dpi, 32 MB."""
DEFAULT_SIDE = 1024
"""Longer side of a map whose size nothing fixes."""
PIXEL_MM = 0.28
"""Standard display pixel, millimetres."""

MAP_PARAMETERS = (
    "bbox",
    "bbox-crs",
    "crs",
    "center",
    "center-crs",
    "subset",
    "subset-crs",
    "width",
    "height",
    "scale-denominator",
    "mm-per-pixel",
    "bgcolor",
    "transparent",
    "void-color",
    "void-transparent",
    "datetime",
    "f",
)
_HORIZONTAL = {"lon": 0, "long": 0, "e": 0, "lat": 1, "n": 1}
_TIME = {"time", "t"}
_TIMES = re.compile(r'\s*("[^"/]*"|\*)\s*(?::\s*("[^"/]*"|\*)\s*)?')


@dataclass(frozen=True, slots=True)
class Background:
    """What lies under the layers; None is transparent. ``void`` is for places that the CRS does not have."""

    colour: Colour | None = None
    void: Colour | None = None


@dataclass(frozen=True, slots=True)
class MapRequest:
    """A checked request.

    Attributes
    ----------
    grid : MapGrid
    background : Background
    interval : Interval or None
        Time that the features must touch.
    pixel_ratio : float
        Pixels of the map in a CSS pixel (0.28 mm) of the symbols.
    """

    grid: MapGrid
    background: Background
    interval: Interval | None
    pixel_ratio: float


def read_map(query: Mapping[str, str], whole: Extent, latest: datetime | None = None) -> MapRequest:
    """The request of some parameters.

    Parameters
    ----------
    query : mapping
        Parameters by name, each known.
    whole : tuple of 4 floats
        Extent of the data, degrees, x first: the map without ``bbox``.
    latest : datetime, optional
        Latest time of the data, which ``subset=time(*)`` asks for.

    Raises
    ------
    InvalidParameter, UnknownCRS
        A value or a combination that the standard forbids.
    NotFound
        A subset beyond the axes of its CRS.
    """
    crs = parse_crs(query["crs"]) if "crs" in query else STORAGE
    mm = _positive(query, "mm-per-pixel") or PIXEL_MM
    if not 0.01 <= mm <= 10:
        raise wrong("mm-per-pixel", query["mm-per-pixel"], " 0.01–10", "0.01 to 10")
    axes = subsets(query["subset"]) if "subset" in query else {}
    when, across = _subset_time(axes, latest), _subset_extent(axes, query, crs)
    if when is not None and "datetime" in query:
        raise _together("datetime", "subset=time")
    if "bbox" in query and (across is not None or "center" in query):
        raise _together("bbox", "center" if "center" in query else "subset")
    if across is not None and "center" in query:
        raise _together("center", "subset")
    if "bbox" in query:
        bbox_crs = parse_crs(query["bbox-crs"], parameter="bbox-crs") if "bbox-crs" in query else CRS84
        across = extent_of_bbox(numbers(query["bbox"], "bbox", (4, 6)), bbox_crs, crs)
    grid = _grid(query, crs, across, _whole(whole, crs), mm)
    if when is None and "datetime" in query:
        when = interval(query["datetime"])
    return MapRequest(grid, read_background(query), when, PIXEL_MM / mm)


def _positive(query: Mapping[str, str], name: str) -> float | None:
    if name not in query:
        return None
    value = number(query[name], name)
    if value <= 0:
        raise wrong(name, query[name], "正数", "a positive number")
    return value


def _together(one: str, other: str) -> InvalidParameter:
    return InvalidParameter(
        f"参数 {one} 与 {other} 不能同时使用", f"{one} and {other} must not be used together", parameter=one
    )


def extent_of_bbox(values: list[float], source: ServedCRS, target: ServedCRS, parameter: str = "bbox") -> Extent:
    """Extent (x first, in `target`) of a box given in the wire order of `source`.

    A geographic box whose west is greater than its east crosses the antimeridian: its east is then above 180.

    Raises
    ------
    InvalidParameter
        No area, out of range, or no place in `target`.
    """
    bbox_polygon(values, source, parameter=parameter)
    if len(values) == 6:
        values = [values[0], values[1], values[3], values[4]]
    west, south, east, north = (
        (values[1], values[0], values[3], values[2]) if source.latitude_first else (v for v in values)
    )
    if west > east:
        east += 360
    if west >= east or south >= north:
        raise InvalidParameter(
            f"{parameter} 没有面积：{values}", f"{parameter} has no area: {values}", parameter=parameter
        )
    if east > 180 and not source.projected and target.projected:
        raise InvalidParameter(
            f"跨 180° 经线的 {parameter} 只能用于经纬度坐标系的地图，不能用于 {target.name}",
            f"a {parameter} across the antimeridian needs a map in longitude and latitude, not in {target.name}",
            parameter=parameter,
        )
    found = project_extent((west, south, east, north), source, target)
    if found is None:
        raise InvalidParameter(
            f"{parameter} 在 {target.name} 中没有位置",
            f"{parameter} has no place in {target.name}",
            parameter=parameter,
        )
    return found


def _whole(extent: Extent, crs: ServedCRS) -> Extent:
    """Extent of the data in the CRS of the map; a single point gets some room."""
    west, south, east, north = extent
    room = 0.005
    if east - west < room:
        west, east = west - room, east + room
    if north - south < room:
        south, north = south - room, north + room
    found = project_extent((max(west, -180), max(south, -90), min(east, 180), min(north, 90)), STORAGE, crs)
    if found is None:
        raise InvalidParameter(
            f"数据范围在 {crs.name} 中没有位置，请用其他 crs",
            f"the data have no place in {crs.name}; use another crs",
            parameter="crs",
        )
    return found


def _subset_extent(axes: Mapping[str, str], query: Mapping[str, str], crs: ServedCRS) -> Extent | None:
    """Extent that ``subset`` asks for, by both horizontal axes; None if it names neither."""
    named = {axis: text for axis, text in axes.items() if axis.lower() not in _TIME}
    if not named:
        return None
    source = parse_crs(query["subset-crs"], parameter="subset-crs") if "subset-crs" in query else CRS84
    known = ("E", "N") if source.projected else ("Lon", "Lat")
    spans: dict[int, tuple[float, float]] = {}
    for axis, text in named.items():
        place = _HORIZONTAL.get(axis.lower())
        if place is None or (axis.lower() in {"e", "n"}) != source.projected or place in spans:
            raise InvalidParameter(
                f"subset：{source.name} 没有轴 {axis!r}，可用：{'、'.join(known)}、time",
                f"subset: {source.name} has no axis {axis!r}; use {', '.join(known)} or time",
                parameter="subset",
                allowed=[*known, "time"],
            )
        low, high = numbers(text.replace(":", ","), "subset", (2,))
        limit = math.inf if source.projected else (180.0, 90.0)[place]
        if max(low, high) < -limit or min(low, high) > limit:
            raise NotFound(f"subset：{axis}({text}) 在坐标轴范围之外", f"subset: {axis}({text}) lies beyond its axis")
        spans[place] = (max(low, -limit), min(high, limit))
    if len(spans) < 2:
        raise InvalidParameter(
            f"subset 应同时给出 {known[0]} 与 {known[1]}",
            f"subset needs both {known[0]} and {known[1]}",
            parameter="subset",
        )
    (west, east), (south, north) = spans[0], spans[1]
    values = [south, west, north, east] if source.latitude_first else [west, south, east, north]
    return extent_of_bbox(values, source, crs, "subset")


def _subset_time(axes: Mapping[str, str], latest: datetime | None) -> Interval | None:
    named = [text for axis, text in axes.items() if axis.lower() in _TIME]
    if not named:
        return None
    found = _TIMES.fullmatch(named[0])
    if found is None or len(named) > 1:
        raise wrong(
            "subset", ",".join(named), '形如 time("2024-01-01":"2024-02-01")', 'like time("2024-01-01":"2024-02-01")'
        )
    first, second = (None if text is None else text.strip('"') for text in found.groups())
    assert first is not None
    if second is not None:
        return interval(f"{first}/{second}", "subset")
    return Interval(latest, latest) if first == "*" else interval(first, "subset")


def _grid(query: Mapping[str, str], crs: ServedCRS, across: Extent | None, whole: Extent, mm: float) -> MapGrid:
    """Extent and size; of width, height, scale and extent, what is missing follows from the others.

    Source: OGC 20-058, clauses 10 (Scaling) and 12 (Spatial subsetting).
    """
    width = pixels(query["width"], "width", MOST_SIDE) if "width" in query else None
    height = pixels(query["height"], "height", MOST_SIDE) if "height" in query else None
    scale = _positive(query, "scale-denominator")
    if across is not None:
        for name in ("width", "height"):
            if scale is not None and name in query:
                raise _together("scale-denominator", f"bbox 与 {name}")
    elif "center" in query or scale is not None:
        return _centred(query, crs, whole, width, height, scale, mm)
    extent = across or whole
    ground = ground_metres(crs, (extent[0] + extent[2]) / 2, (extent[1] + extent[3]) / 2)
    across_m, along_m = (extent[2] - extent[0]) * ground[0], (extent[3] - extent[1]) * ground[1]
    if scale is not None:
        pixel_m = scale * mm / 1000
        width, height = _whole_pixels(across_m / pixel_m), _whole_pixels(along_m / pixel_m)
    elif width is None and height is None:
        pixel_m = max(across_m, along_m) / DEFAULT_SIDE
        width, height = _whole_pixels(across_m / pixel_m), _whole_pixels(along_m / pixel_m)
    elif width is None:
        assert height is not None
        width = _whole_pixels(across_m / along_m * height)
    elif height is None:
        height = _whole_pixels(along_m / across_m * width)
    assert height is not None
    check_size(width, height)
    return MapGrid(crs, extent, width, height)


def _whole_pixels(value: float) -> int:
    return max(1, round(min(value, 1e9)))


def check_size(width: int, height: int) -> None:
    """Raise `InvalidParameter` for a map that is larger than what is served; the message gives the limits."""
    if width > MOST_SIDE or height > MOST_SIDE or width * height > MOST_PIXELS:
        raise InvalidParameter(
            f"地图为 {width}×{height} 像素，超过上限：边长 {MOST_SIDE}、总像素 {MOST_PIXELS}；请减小 width、height 或范围",
            f"the map would have {width}×{height} pixels; the limit is {MOST_SIDE} a side and {MOST_PIXELS} in all: "
            "ask for a smaller width, height or extent",
            parameter="width",
            maximum=MOST_PIXELS,
        )


def _centred(
    query: Mapping[str, str],
    crs: ServedCRS,
    whole: Extent,
    width: int | None,
    height: int | None,
    scale: float | None,
    mm: float,
) -> MapGrid:
    """Map around a point: width and height say how much of the surroundings is shown."""
    x, y = (whole[0] + whole[2]) / 2, (whole[1] + whole[3]) / 2
    if "center" in query:
        source = parse_crs(query["center-crs"], parameter="center-crs") if "center-crs" in query else CRS84
        x, y = numbers(query["center"], "center", (2,))
        if source.latitude_first:
            x, y = y, x
        if not source.projected and not (-180 <= x <= 180 and -90 <= y <= 90):
            raise wrong(
                "center", query["center"], f" {source.name} 轴序的坐标", f"coordinates in the order of {source.name}"
            )
        around = project_extent((x - 1e-7, y - 1e-7, x + 1e-7, y + 1e-7), source, crs)
        if around is None:
            raise wrong("center", query["center"], f" {crs.name} 内的位置", f"a place within {crs.name}")
        x, y = (around[0] + around[2]) / 2, (around[1] + around[3]) / 2
    ground = ground_metres(crs, x, y)
    wide, high = width or height or DEFAULT_SIDE, height or width or DEFAULT_SIDE
    check_size(wide, high)
    if scale is None:
        pixel_m = max((whole[2] - whole[0]) * ground[0] / wide, (whole[3] - whole[1]) * ground[1] / high)
    else:
        pixel_m = scale * mm / 1000
    half_x, half_y = wide * pixel_m / ground[0] / 2, high * pixel_m / ground[1] / 2
    west, south, east, north = x - half_x, y - half_y, x + half_x, y + half_y
    if not crs.projected:
        if east - west > 360 or south < -90 or north > 90:
            raise InvalidParameter(
                "此比例尺的地图超出地球范围，请减小 scale-denominator、width 或 height",
                "at this scale the map is larger than the Earth; ask for a smaller scale-denominator, width or height",
                parameter="scale-denominator",
            )
        if west < -180:
            west, east = west + 360, east + 360
    return MapGrid(crs, (west, south, east, north), wide, high)


def read_background(query: Mapping[str, str]) -> Background:
    """Background of ``bgcolor``, ``transparent``, ``void-color`` and ``void-transparent`` (OGC 20-058, clause 9)."""
    given = colour(query["bgcolor"], "bgcolor") if "bgcolor" in query else None
    clear = flag(query["transparent"], "transparent") if "transparent" in query else given is None
    plain = given or (255, 255, 255)
    void = colour(query["void-color"], "void-color") if "void-color" in query else plain
    void_clear = flag(query["void-transparent"], "void-transparent") if "void-transparent" in query else clear
    return Background(None if clear else plain, None if void_clear else void)
