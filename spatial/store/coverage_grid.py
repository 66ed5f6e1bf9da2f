"""The grid of a part of a raster (格网规划): which cells, how many, in which CRS; checked before anything is read.

On the native grid the answer is a window of the file. CRS84, EPSG:4326 and EPSG:4490 share that grid, because CGCS2000 and
WGS 84 differ by less than a metre (null transform). Any other CRS or number of cells is resampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from spatial.crs import CRS84, ServedCRS, transformer
from spatial.errors import InvalidParameter, OutsideExtent, PayloadTooLarge

if TYPE_CHECKING:
    import numpy as np
    from affine import Affine
    from numpy.typing import NDArray

    from spatial.store.raster import PublishedRaster

__all__ = [
    "MAX_CELLS",
    "Box",
    "CoverageGrid",
    "Interpolation",
    "Region",
    "Scaling",
    "outside",
    "plan_grid",
    "project_box",
]

Box = tuple[float, float, float, float]
Interpolation = Literal["nearest", "bilinear", "average", "mode"]

MAX_CELLS = 25_000_000
"""Most values (cells × bands) of one answer; the whole file is had from the coverage address without parameters."""
_EDGE = 1e-6
"""Part of a cell by which an edge of a box may miss a cell border and still lie on it."""


@dataclass(frozen=True, slots=True)
class Region:
    """A box, or a line or point where a side is a single value.

    Attributes
    ----------
    west, south, east, north : float or None
        x first, in `crs`; None is the edge of the raster. West above east crosses the antimeridian.
    crs : ServedCRS
    """

    west: float | None = None
    south: float | None = None
    east: float | None = None
    north: float | None = None
    crs: ServedCRS = CRS84

    @property
    def is_whole(self) -> bool:
        """True if no side is given."""
        return self.west is self.south is self.east is self.north is None


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many cells the answer has. All None: as many as the raster.

    Attributes
    ----------
    width, height : int or None
        Cells along x and y.
    factor_x, factor_y : float or None
        The native number of cells is divided by it.
    cell_x, cell_y : float or None
        Size of a cell in units of the CRS of the answer.
    """

    width: int | None = None
    height: int | None = None
    factor_x: float | None = None
    factor_y: float | None = None
    cell_x: float | None = None
    cell_y: float | None = None

    @property
    def is_native(self) -> bool:
        """True if nothing is asked."""
        return self == Scaling()


@dataclass(frozen=True, slots=True)
class CoverageGrid:
    """The grid of an answer.

    Attributes
    ----------
    bands : tuple of int
        Indexes from 0, in the order of the answer.
    crs : ServedCRS
    bounds : tuple of 4 floats
        West, south, east, north of the outer cell edges, x first, in `crs`.
    offset : (row, column) or None
        First cell on the native grid; None where the answer is resampled.
    methods : tuple of str
        Interpolation of each band; ``nearest`` on the native grid means: none.
    """

    raster: PublishedRaster
    bands: tuple[int, ...]
    crs: ServedCRS
    bounds: Box
    width: int
    height: int
    offset: tuple[int, int] | None
    methods: tuple[Interpolation, ...]

    @property
    def affine(self) -> Affine:
        """Transform from column and row to x and y."""
        from affine import Affine

        west, south, east, north = self.bounds
        return Affine((east - west) / self.width, 0, west, 0, -(north - south) / self.height, north)

    @property
    def values(self) -> int:
        """Cells × bands."""
        return self.width * self.height * len(self.bands)

    def x(self) -> NDArray[np.float64]:
        """Centres of the columns; on the native grid exactly the same numbers for every window."""
        import numpy as np

        if self.offset is not None:
            west, _, east, _ = self.raster.extent
            return west + (self.offset[1] + np.arange(self.width) + 0.5) * (east - west) / self.raster.width
        west, _, east, _ = self.bounds
        return west + (np.arange(self.width) + 0.5) * (east - west) / self.width

    def y(self) -> NDArray[np.float64]:
        """Centres of the rows, from the north."""
        import numpy as np

        if self.offset is not None:
            _, south, _, north = self.raster.extent
            return north - (self.offset[0] + np.arange(self.height) + 0.5) * (north - south) / self.raster.height
        _, south, _, north = self.bounds
        return north - (np.arange(self.height) + 0.5) * (north - south) / self.height


def outside(raster: PublishedRaster) -> OutsideExtent:
    """The error that says where the data are."""
    west, south, east, north = raster.extent
    name = raster.layer.id
    return OutsideExtent(
        f"范围在图层 {name} 之外；图层范围：经度 {west:g}–{east:g}，纬度 {south:g}–{north:g}",
        f"the box lies outside layer {name}, which spans longitude {west:g} to {east:g}, latitude {south:g} to {north:g}",
        layer=name,
        extent=[west, south, east, north],
    )


def _too_many(raster: PublishedRaster, width: int, height: int, bands: int, limit: int) -> PayloadTooLarge:
    factor = math.ceil(math.sqrt(width * height * bands / limit))
    name = raster.layer.id
    return PayloadTooLarge(
        f"图层 {name}：所求 {width} × {height} 个像元 × {bands} 个波段，超过上限 {limit}；请缩小范围、少选波段，或降低分辨率"
        f"（coverage 加 scale-factor={factor}，cube 加 resolution-x、resolution-y）；整个文件可由 coverage 不带参数下载",
        f"layer {name}: {width} × {height} cells × {bands} bands is above the limit of {limit}; ask for a smaller area, fewer "
        f"bands or fewer cells (coverage: scale-factor={factor}; cube: resolution-x, resolution-y); the whole file is the "
        "coverage without parameters",
        layer=name,
        limit=limit,
        scale_factor=factor,
    )


def _geographic(raster: PublishedRaster, region: Region) -> Box:
    """Box in longitude and latitude that holds the region (not clipped); open sides end at the raster."""
    west, south, east, north = raster.extent
    if not region.crs.projected:
        box = (
            west if region.west is None else region.west,
            south if region.south is None else region.south,
            east if region.east is None else region.east,
            north if region.north is None else region.north,
        )
        return _antimeridian(raster, box)
    corners = project_box(raster.extent, CRS84, region.crs)
    asked = (region.west, region.south, region.east, region.north)
    filled = tuple(c if a is None else a for a, c in zip(asked, corners, strict=True))
    return project_box((filled[0], filled[1], filled[2], filled[3]), region.crs, CRS84)


def _antimeridian(raster: PublishedRaster, box: Box) -> Box:
    """A box that crosses the antimeridian, cut to the side on which the raster lies."""
    west, south, east, north = box
    if west <= east:
        return box
    sides = [(west, south, 180.0, north), (-180.0, south, east, north)]
    hits = [side for side in sides if side[0] < raster.extent[2] and side[2] > raster.extent[0]]
    if not hits:
        raise outside(raster)
    if len(hits) == 2:
        raise InvalidParameter(
            "跨 180° 经线的范围在图层两侧都有数据；请分两次请求",
            "the box crosses the antimeridian and meets the layer on both sides; ask for each side",
            parameter="bbox",
        )
    return hits[0]


def project_box(box: Box, source: ServedCRS, target: ServedCRS) -> Box:
    """Bounds of a box in another CRS, x first; its edges are followed at 21 points, because they become curves.

    Raises
    ------
    InvalidParameter
        If the box lies outside the range of a CRS.
    """
    if (not source.projected and not target.projected) or source.srid == target.srid:
        return box
    found = transformer(source.srid, target.srid).transform_bounds(*box, densify_pts=21)
    if not all(map(math.isfinite, found)):
        raise InvalidParameter(
            f"范围超出 {source.name} 或 {target.name} 的适用范围", f"the box is outside {source.name} or {target.name}"
        )
    return (float(found[0]), float(found[1]), float(found[2]), float(found[3]))


def _span(low: float, high: float, start: float, size: float, count: int) -> tuple[int, int] | None:
    """First cell and number of cells along an axis whose interior meets low … high (from `start` in steps of `size`)."""
    a, b = (low - start) / size, (high - start) / size
    first, last = math.floor(a + _EDGE), math.ceil(b - _EDGE)
    if last <= first:
        # A single coordinate: the cell that holds it.
        last = first + 1
    first, last = max(first, 0), min(last, count)
    return None if last <= first else (first, last - first)


def _native_window(raster: PublishedRaster, box: Box) -> tuple[int, int, int, int]:
    """Row, column, rows, columns of the cells that a box in longitude and latitude meets."""
    west, south, east, north = raster.extent
    cell_x, cell_y = (east - west) / raster.width, (north - south) / raster.height
    columns = _span(box[0], box[2], west, cell_x, raster.width)
    rows = _span(north - box[3], north - box[1], 0.0, cell_y, raster.height)
    if columns is None or rows is None or box[2] < west or box[0] > east or box[3] < south or box[1] > north:
        raise outside(raster)
    return rows[0], columns[0], rows[1], columns[1]


def _window_bounds(raster: PublishedRaster, window: tuple[int, int, int, int]) -> Box:
    row, col, rows, cols = window
    west, south, east, north = raster.extent
    cell_x, cell_y = (east - west) / raster.width, (north - south) / raster.height
    return (west + col * cell_x, north - (row + rows) * cell_y, west + (col + cols) * cell_x, north - row * cell_y)


def _count(native: int, wanted: int | None, factor: float | None, cell: float | None, extent: float) -> int:
    if wanted is not None:
        return wanted
    if factor is not None:
        return max(1, round(native / factor))
    if cell is not None:
        return max(1, round(extent / cell))
    return native


def plan_grid(
    raster: PublishedRaster,
    *,
    bands: Sequence[int] | None = None,
    region: Region | None = None,
    crs: ServedCRS = CRS84,
    scaling: Scaling | None = None,
    interpolation: Interpolation | None = None,
    limit: int = MAX_CELLS,
) -> CoverageGrid:
    """The grid of an answer, checked before anything is read.

    Without scaling and in a geographic CRS it is the native grid: every cell whose interior the region meets. A size (`width`,
    `height`) is spread over the region as it was asked, also where it leaves the raster (nodata there); a factor divides the
    native cells; a cell size starts at the north-west corner. In a projected CRS cells are square and as many along the
    diagonal as before, unless scaled.

    Raises
    ------
    OutsideExtent
        The region lies outside the raster.
    PayloadTooLarge
        More than `limit` values; the message says by which factor to scale.
    InvalidParameter
    """
    chosen = tuple(range(len(raster.layer.bands))) if bands is None else tuple(bands)
    region, scaling = region or Region(), scaling or Scaling()
    box = _geographic(raster, region)
    window = _native_window(raster, box)
    native = _window_bounds(raster, window)
    if not crs.projected and scaling.is_native:
        methods: tuple[Interpolation, ...] = tuple("nearest" for _ in chosen)
        grid = CoverageGrid(raster, chosen, crs, native, window[3], window[2], (window[0], window[1]), methods)
    else:
        grid = _resampled(raster, chosen, region, crs, scaling, box, window, interpolation)
    if grid.values > limit:
        raise _too_many(raster, grid.width, grid.height, len(chosen), limit)
    return grid


def _resampled(
    raster: PublishedRaster,
    bands: tuple[int, ...],
    region: Region,
    crs: ServedCRS,
    scaling: Scaling,
    box: Box,
    window: tuple[int, int, int, int],
    interpolation: Interpolation | None,
) -> CoverageGrid:
    rows, cols = window[2], window[3]
    native = _window_bounds(raster, window)
    if crs.projected:
        bounds, cell = _projected(raster, region, crs, native)
        cols = max(1, math.ceil((bounds[2] - bounds[0]) / cell - _EDGE))
        rows = max(1, math.ceil((bounds[3] - bounds[1]) / cell - _EDGE))
        if scaling.is_native:
            bounds = (bounds[0], bounds[3] - rows * cell, bounds[0] + cols * cell, bounds[3])
    elif scaling.width is not None or scaling.height is not None or scaling.cell_x or scaling.cell_y:
        bounds = box if region.crs.projected or not region.is_whole else native
        # A line or a point has no size of its own: the cells that hold it.
        if bounds[0] == bounds[2]:
            bounds = (native[0], bounds[1], native[2], bounds[3])
        if bounds[1] == bounds[3]:
            bounds = (bounds[0], native[1], bounds[2], native[3])
    else:
        bounds = native
    width = _count(cols, scaling.width, scaling.factor_x, scaling.cell_x, bounds[2] - bounds[0])
    height = _count(rows, scaling.height, scaling.factor_y, scaling.cell_y, bounds[3] - bounds[1])
    west, south, east, north = bounds
    if scaling.cell_x:
        east = west + width * scaling.cell_x
    if scaling.cell_y:
        south = north - height * scaling.cell_y
    coarser = min(window[3] / width, window[2] / height) >= 2
    methods: tuple[Interpolation, ...] = tuple(interpolation or _method(raster, band, coarser) for band in bands)
    for band, method in zip(bands, methods, strict=True):
        if method in {"bilinear", "average"} and raster.layer.bands[band].domain is not None:
            name = raster.layer.bands[band].name
            raise InvalidParameter(
                f"波段 {name} 是分类值，不能用 {method} 插值；请用 nearest 或 mode",
                f"band {name} holds classes, which {method} would mix; use nearest or mode",
                layer=raster.layer.id,
                parameter="interpolation",
            )
    return CoverageGrid(raster, bands, crs, (west, south, east, north), width, height, None, methods)


def _method(raster: PublishedRaster, band: int, coarser: bool) -> Interpolation:
    """Classes: nearest cell; measured values: mean of the cells where the answer is coarser by 2 or more, else bilinear."""
    if raster.layer.bands[band].domain is not None:
        return "nearest"
    return "average" if coarser else "bilinear"


def _projected(raster: PublishedRaster, region: Region, crs: ServedCRS, native: Box) -> tuple[Box, float]:
    """Bounds in a projected CRS and the size of a cell there: the diagonal keeps its number of cells."""
    west, south, east, north = raster.extent
    cols = max(1, round((native[2] - native[0]) / (east - west) * raster.width))
    rows = max(1, round((native[3] - native[1]) / (north - south) * raster.height))
    bounds = project_box(native, CRS84, crs)
    cell = math.hypot(bounds[2] - bounds[0], bounds[3] - bounds[1]) / math.hypot(cols, rows)
    if region.crs.srid == crs.srid and region.crs.projected:
        asked = (region.west, region.south, region.east, region.north)
        w, s, e, n = (b if a is None else a for a, b in zip(asked, bounds, strict=True))
        if w < e and s < n:
            bounds = (w, s, e, n)
    return bounds, cell
