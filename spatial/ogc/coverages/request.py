"""Parameters of coverages (覆盖数据): ``bbox``, ``subset``, scaling, band names, read once and strictly.

Axis names: ``Lat``, ``Lon`` of the geographic CRSs, ``E``, ``N`` of the projected ones; the usual aliases (``lat``, ``Long``,
``X``, ``Y``, ``Easting`` …) are understood. ``subset`` may be given several times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from spatial.crs import CRS84, STORAGE, ServedCRS, parse_crs
from spatial.errors import InvalidParameter, UnknownProperty
from spatial.ogc.parameters import parse_datetime
from spatial.store.coverage_grid import Interpolation, Region, Scaling

if TYPE_CHECKING:
    from spatial.catalog import Layer

__all__ = ["COVERAGE_PARAMETERS", "INTERPOLATIONS", "CoverageRequest", "axis_names", "read_box", "read_coverage"]

COVERAGE_PARAMETERS = (
    "bbox",
    "bbox-crs",
    "subset",
    "subset-crs",
    "scale-factor",
    "scale-axes",
    "scale-size",
    "scaleSize",
    "width",
    "height",
    "resolution",
    "interpolation",
    "properties",
    "exclude-properties",
    "crs",
    "datetime",
    "version",
    "f",
    "lang",
)
"""``scaleSize`` is how GDAL writes ``scale-size``."""
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)

Axis = Literal["x", "y"]
_GEOGRAPHIC: dict[str, Axis] = {"lon": "x", "long": "x", "longitude": "x", "lat": "y", "latitude": "y"}
_PROJECTED: dict[str, Axis] = {"e": "x", "x": "x", "easting": "x", "n": "y", "y": "y", "northing": "y"}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_NUMBERS = re.compile(_NUMBER, re.ASCII)
_PART = re.compile(r"\s*([A-Za-z][A-Za-z_]{0,30})\(([^()]{0,80})\)\s*", re.ASCII)
_MOST_CELLS = 1_000_000


@dataclass(frozen=True, slots=True)
class CoverageRequest:
    """A checked request for a coverage.

    Attributes
    ----------
    bands : tuple of int
        Indexes from 0, in the order asked for.
    region : Region
    crs : ServedCRS
    scaling : Scaling
    interpolation : str or None
        None: by the kind of the band.
    """

    bands: tuple[int, ...]
    region: Region
    crs: ServedCRS
    scaling: Scaling
    interpolation: Interpolation | None

    @property
    def is_whole_file(self) -> bool:
        """True if the stored file is the answer."""
        return self.region.is_whole and self.scaling.is_native and self.crs == STORAGE


def axis_names(crs: ServedCRS) -> tuple[str, str]:
    """Names of the x and the y axis: ``("Lon", "Lat")`` or ``("E", "N")``."""
    return ("E", "N") if crs.projected else ("Lon", "Lat")


def _number(text: str, name: str) -> float:
    text = text.strip()
    if _NUMBERS.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    raise InvalidParameter(
        f"参数 {name} 中 {text[:40]!r} 不是数", f"{name}: {text[:40]!r} is no number", parameter=name, value=text[:80]
    )


def _positive(text: str, name: str) -> float:
    value = _number(text, name)
    if value > 0:
        return value
    raise InvalidParameter(
        f"参数 {name} 应大于 0，收到 {text[:40]}", f"{name} must be above 0, got {text[:40]}", parameter=name
    )


def _cells(text: str, name: str) -> int:
    value = _positive(text, name)
    if value != int(value) or value > _MOST_CELLS:
        raise InvalidParameter(
            f"参数 {name} 应为 1–{_MOST_CELLS} 的整数，收到 {text[:40]}",
            f"{name} must be a whole number from 1 to {_MOST_CELLS}, got {text[:40]}",
            parameter=name,
        )
    return int(value)


def _by_axis(text: str, name: str, crs: ServedCRS) -> dict[Axis, str]:
    """``Lat(…),Lon(…)`` as axis → text in the brackets."""
    found: dict[Axis, str] = {}
    position = 0
    known = _PROJECTED if crs.projected else _GEOGRAPHIC
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or (match.end() < len(text) and text[match.end()] != ","):
            break
        axis = known.get(match[1].lower())
        if axis is None:
            x, y = axis_names(crs)
            raise InvalidParameter(
                f"参数 {name}：{crs.name} 没有轴 {match[1]!r}，可用：{x}、{y}",
                f"{name}: {crs.name} has no axis {match[1]!r}; use {x} and {y}",
                parameter=name,
                allowed=[x, y],
            )
        if axis in found:
            raise InvalidParameter(
                f"参数 {name} 两次给出轴 {match[1]}", f"{name} names axis {match[1]} twice", parameter=name
            )
        found[axis] = match[2]
        position = match.end() + 1
    if not found or position != len(text) + 1:
        x, y = axis_names(crs)
        raise InvalidParameter(
            f"参数 {name} 的形式应为 {x}(…),{y}(…)，收到 {text[:80]!r}",
            f"{name} must read {x}(…),{y}(…), got {text[:80]!r}",
            parameter=name,
            value=text[:200],
        )
    return found


def _interval(text: str, axis: Axis, crs: ServedCRS) -> tuple[float | None, float | None]:
    low, colon, high = text.partition(":")
    ends = [None if part.strip() == "*" else _number(part, "subset") for part in ((low, high) if colon else (low, low))]
    if not colon and ends[0] is None:
        raise InvalidParameter(
            "参数 subset 中单个 * 无意义；请写 *:*",
            "subset: a single * says nothing about an axis of space; write *:*",
            parameter="subset",
        )
    if ends[0] is not None and ends[1] is not None and ends[0] > ends[1] and not (axis == "x" and not crs.projected):
        raise InvalidParameter(
            f"参数 subset 的下限大于上限：{text[:60]}", f"subset: low is above high: {text[:60]}", parameter="subset"
        )
    return ends[0], ends[1]


def _in_range(region: Region, name: str) -> Region:
    """The region, if its degrees are degrees."""
    if not region.crs.projected:
        wrong = [v for v in (region.west, region.east) if v is not None and abs(v) > 180]
        wrong += [v for v in (region.south, region.north) if v is not None and abs(v) > 90]
        if wrong:
            raise InvalidParameter(
                f"参数 {name} 超出经度 ±180、纬度 ±90：{wrong[0]:g}；请核对轴序与坐标系",
                f"{name} is outside longitude ±180, latitude ±90: {wrong[0]:g}; check the axis order and the CRS",
                parameter=name,
            )
    return region


def read_box(text: str, crs: ServedCRS, name: str = "bbox") -> Region:
    """Region of a ``bbox`` of 4 or 6 numbers in the axis order of `crs`; heights are read and have no effect.

    Raises
    ------
    InvalidParameter
        Wrong count, no numbers, reversed, out of range.
    """
    parts = text.split(",")
    if len(parts) not in (4, 6):
        raise InvalidParameter(
            f"{name} 应为 4 个（或 6 个）以逗号分隔的数，收到 {text[:80]!r}",
            f"{name} must be 4 (or 6) numbers separated by commas, got {text[:80]!r}",
            parameter=name,
            value=text[:200],
        )
    values = [_number(part, name) for part in parts]
    if len(values) == 6:
        values = [values[0], values[1], values[3], values[4]]
    if crs.latitude_first:
        values = [values[1], values[0], values[3], values[2]]
    west, south, east, north = values
    if south > north or (crs.projected and west > east):
        order = f"{axis_names(crs)[1]},{axis_names(crs)[0]}" if crs.latitude_first else ",".join(axis_names(crs))
        raise InvalidParameter(
            f"{name} 的下角点大于上角点；{crs.name} 的轴序为 {order}",
            f"{name}: lower corner above upper corner; the axis order of {crs.name} is {order}",
            parameter=name,
        )
    return _in_range(Region(west, south, east, north, crs), name)


def _region(parameters: Mapping[str, str]) -> Region:
    box, subset = parameters.get("bbox"), parameters.get("subset")
    box_crs = parse_crs(parameters["bbox-crs"], parameter="bbox-crs") if "bbox-crs" in parameters else CRS84
    subset_crs = parse_crs(parameters["subset-crs"], parameter="subset-crs") if "subset-crs" in parameters else CRS84
    if box is not None and subset is not None:
        # /req/subsetting-spatial/subset-bbox-exclusivity
        raise InvalidParameter(
            "bbox 与 subset 只能给出一个", "give either bbox or subset, not both", parameter="subset"
        )
    if box is not None:
        return read_box(box, box_crs)
    if subset is None:
        return Region()
    axes = _by_axis(subset, "subset", subset_crs)
    west, east = _interval(axes["x"], "x", subset_crs) if "x" in axes else (None, None)
    south, north = _interval(axes["y"], "y", subset_crs) if "y" in axes else (None, None)
    return _in_range(Region(west, south, east, north, subset_crs), "subset")


def _scaling(parameters: Mapping[str, str], crs: ServedCRS) -> Scaling:
    groups = [
        name
        for name, members in {
            "scale-factor": ("scale-factor",),
            "scale-axes": ("scale-axes",),
            "scale-size": ("scale-size",),
            "scaleSize": ("scaleSize",),
            "width": ("width", "height"),
            "resolution": ("resolution",),
        }.items()
        if any(member in parameters for member in members)
    ]
    if len(groups) > 1:
        raise InvalidParameter(
            f"{'、'.join(groups)} 只能用一种", f"use only one of {', '.join(groups)}", parameter=groups[1]
        )
    match groups:
        case ["scale-factor"]:
            factor = _positive(parameters["scale-factor"], "scale-factor")
            return Scaling(factor_x=factor, factor_y=factor) if factor != 1 else Scaling()
        case ["scale-axes"]:
            factors = {
                axis: _positive(text, "scale-axes")
                for axis, text in _by_axis(parameters["scale-axes"], "scale-axes", crs).items()
            }
            return Scaling(factor_x=factors.get("x"), factor_y=factors.get("y"))
        case ["scale-size" | "scaleSize" as name]:
            sizes = {axis: _cells(text, name) for axis, text in _by_axis(parameters[name], name, crs).items()}
            return Scaling(width=sizes.get("x"), height=sizes.get("y"))
        case ["width"]:
            return Scaling(
                width=_cells(parameters["width"], "width") if "width" in parameters else None,
                height=_cells(parameters["height"], "height") if "height" in parameters else None,
            )
        case ["resolution"] if parameters["resolution"].strip():
            # An empty value is the native resolution: /req/scaling-spatial/native-resolution.
            sizes_of = {
                axis: _positive(text, "resolution") if text.strip() else None
                for axis, text in _by_axis(parameters["resolution"], "resolution", crs).items()
            }
            return Scaling(cell_x=sizes_of.get("x"), cell_y=sizes_of.get("y"))
    return Scaling()


def read_bands(layer: Layer, text: str | None, parameter: str) -> tuple[int, ...]:
    """Indexes of bands named with commas, in that order; None is all of them.

    Raises
    ------
    UnknownProperty
        Lists the bands that there are.
    """
    names = [band.name for band in layer.bands]
    if text is None:
        return tuple(range(len(names)))
    wanted = list(dict.fromkeys(part.strip() for part in text.split(",", maxsplit=1000)))
    for name in wanted:
        if name not in names:
            raise UnknownProperty(
                f"图层 {layer.id} 没有波段 {name[:60]!r}；可用：{'、'.join(names)}",
                f"layer {layer.id} has no band {name[:60]!r}; use {', '.join(names)}",
                layer=layer.id,
                parameter=parameter,
                allowed=names,
            )
    return tuple(names.index(name) for name in wanted)


def _bands(layer: Layer, parameters: Mapping[str, str]) -> tuple[int, ...]:
    without = parameters.get("exclude-properties")
    if without is None:
        return read_bands(layer, parameters.get("properties"), "properties")
    if "properties" in parameters:
        raise InvalidParameter(
            "properties 与 exclude-properties 只能给出一个",
            "give either properties or exclude-properties",
            parameter="exclude-properties",
        )
    left_out = read_bands(layer, without, "exclude-properties") if without.strip() else ()
    kept = tuple(index for index in range(len(layer.bands)) if index not in left_out)
    if not kept:
        raise InvalidParameter(
            "exclude-properties 去掉了全部波段", "exclude-properties leaves no band", parameter="exclude-properties"
        )
    return kept


def read_coverage(layer: Layer, parameters: Mapping[str, str]) -> CoverageRequest:
    """Checked request of ``/coverage``.

    Raises
    ------
    InvalidParameter, UnknownProperty, UnknownCRS
    """
    crs = parse_crs(parameters["crs"]) if "crs" in parameters else STORAGE
    if "datetime" in parameters:
        # Rasters have no time: every datetime that is one fits (/req/subsetting-temporal/datetime, D).
        parse_datetime(parameters["datetime"])
    method = parameters.get("interpolation")
    if method is not None and method not in INTERPOLATIONS:
        raise InvalidParameter(
            f"参数 interpolation 的值 {method[:40]!r} 无效，可用：{'、'.join(INTERPOLATIONS)}",
            f"interpolation: {method[:40]!r} is not one of {', '.join(INTERPOLATIONS)}",
            parameter="interpolation",
            allowed=list(INTERPOLATIONS),
        )
    return CoverageRequest(
        bands=_bands(layer, parameters),
        region=_region(parameters),
        crs=crs,
        scaling=_scaling(parameters, crs),
        interpolation=next((m for m in INTERPOLATIONS if m == method), None),
    )
