"""EDR queries on rasters (栅格检索): which cells, which values.

One rule says which cell holds a point (`spatial.store.raster.cells_at`). An area takes every cell that it covers at least in
part; statistics weigh a cell by the covered part of its ellipsoidal area. Nothing is interpolated, except by a cube in a
projected CRS.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.crs import CRS84, ServedCRS, transform_geometries, transformer
from spatial.errors import OutsideExtent, PayloadTooLarge
from spatial.grid import cell_areas
from spatial.ogc.edr.answers import Cells, Points
from spatial.ogc.edr.geometry import circle, corridor, ellipsoid, path_points
from spatial.ogc.edr.request import to_lonlat
from spatial.store.coverage import area_cells, decode, packing, read_grid, sample_points
from spatial.store.coverage_grid import CoverageGrid, Region, Scaling, plan_grid, project_box

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spatial.store.raster import PublishedRaster

__all__ = ["MAX_VALUES", "cells_of_area", "cells_of_corridor", "cells_of_radius", "cube", "position", "trajectory"]

MAX_VALUES = 1_000_000
"""Most values (cells × bands) of one answer."""


def _outside(raster: PublishedRaster) -> OutsideExtent:
    return OutsideExtent("范围之外没有数据", "no data there", layer=raster.layer.id)


def _lonlat(xy: NDArray[np.float64], crs: ServedCRS) -> tuple[Any, Any]:
    if not crs.projected:
        return xy[:, 0], xy[:, 1]
    lon, lat = transformer(crs.srid, 4490).transform(xy[:, 0], xy[:, 1])
    return lon, lat


def _sampled(
    raster: PublishedRaster, xy: NDArray[np.float64], crs: ServedCRS, bands: Sequence[int]
) -> dict[str, np.ma.MaskedArray[Any, Any]]:
    lon, lat = _lonlat(xy, crs)
    stored, inside = sample_points(raster, lon, lat, bands)
    if not inside.any():
        raise _outside(raster)
    packed = packing(raster)
    found = {}
    for place, index in enumerate(bands):
        values = decode(stored[place], raster.nodata, packed[index])
        # The filler of points outside may be a legal number where the raster's nodata is one.
        found[raster.layer.bands[index].name] = np.ma.MaskedArray(
            np.ma.getdata(values), mask=np.ma.getmaskarray(values) | ~inside
        )
    return found


def position(raster: PublishedRaster, points: Any, crs: ServedCRS, bands: Sequence[int]) -> Points:
    """Values of the cells that hold the points (POINT or MULTIPOINT, x first, in `crs`).

    Raises
    ------
    OutsideExtent
        No point lies on the raster.
    """
    import shapely

    xy = shapely.get_coordinates(points)
    return Points(xy, _sampled(raster, xy, crs, bands))


def trajectory(raster: PublishedRaster, line: Any, crs: ServedCRS, bands: Sequence[int]) -> Points:
    """Values along a path: at every corner, and between corners at equal steps no longer than a cell.

    Beyond the raster only the corners are told (they hold no value). `Points.along` is the way along the path; the gaps
    between the parts of a MULTILINESTRING are no part of it.

    Raises
    ------
    OutsideExtent
        The path does not meet the raster.
    PayloadTooLarge
        More than 50,000 points, or more than `MAX_VALUES` points × bands.
    """
    west, south, east, north = raster.extent
    step = min((east - west) / raster.width, (north - south) / raster.height)
    # A degree of latitude is 110.57 km at the least; a degree of longitude is the cosine of the latitude of that.
    xy, begins = path_points(
        line, step * 110_570 * 0.8 if crs.projected else step, project_box(raster.extent, CRS84, crs)
    )
    if len(xy) * len(bands) > MAX_VALUES:
        most = MAX_VALUES // len(bands)
        raise PayloadTooLarge(
            f"沿线 {len(xy)} 个采样点 × {len(bands)} 个波段，超过上限 {MAX_VALUES}；请缩短路径（至多 {most} 点），"
            "或用 parameter-name 少选波段",
            f"{len(xy)} points along the path × {len(bands)} bands is above the limit of {MAX_VALUES}; shorten the path "
            f"(at most {most} points), or name fewer bands in parameter-name",
            parameter="coords",
            limit=MAX_VALUES,
        )
    lon, lat = _lonlat(xy, crs)
    _, _, pieces = ellipsoid().inv(lon[:-1], lat[:-1], lon[1:], lat[1:])
    # From the end of one part to the beginning of the next nobody travels.
    pieces = np.where(begins[1:], 0.0, pieces)
    return Points(xy, _sampled(raster, xy, crs, bands), np.concatenate([[0.0], np.cumsum(pieces)]))


def _cells(raster: PublishedRaster, polygon: Any, crs: ServedCRS, bands: Sequence[int]) -> Cells:
    """Cells under a polygon in longitude and latitude."""
    import shapely

    grid, fraction = area_cells(raster, polygon, bands, limit=MAX_VALUES)
    stored, packed = read_grid(grid), packing(raster)
    values = {
        raster.layer.bands[index].name: decode(stored[place], raster.nodata, packed[index])
        for place, index in enumerate(bands)
    }
    first = grid.offset[0] if grid.offset else 0
    areas = cell_areas(raster.grid)[first : first + grid.height]
    shape = transform_geometries(np.array([polygon]), CRS84, crs)[0] if crs.projected else polygon
    assert isinstance(shape, shapely.Geometry)
    return Cells(grid, fraction, areas, values, shape)


def cells_of_area(raster: PublishedRaster, polygon: Any, crs: ServedCRS, bands: Sequence[int]) -> Cells:
    """Cells that a polygon (x first, in `crs`) covers at least in part."""
    return _cells(raster, to_lonlat(polygon, crs), crs, bands)


def cells_of_radius(
    raster: PublishedRaster, point: Any, radius_m: float, crs: ServedCRS, bands: Sequence[int]
) -> Cells:
    """Cells that the geodesic circle around a point covers at least in part."""
    centre = to_lonlat(point, crs)
    return _cells(raster, circle(centre.x, centre.y, radius_m), crs, bands)


def cells_of_corridor(
    raster: PublishedRaster, line: Any, width_m: float, crs: ServedCRS, bands: Sequence[int]
) -> Cells:
    """Cells that a corridor of total width `width_m` covers at least in part."""
    return _cells(raster, corridor(to_lonlat(line, crs), width_m), crs, bands)


def cube(
    raster: PublishedRaster, region: Region, crs: ServedCRS, bands: Sequence[int], scaling: Scaling
) -> tuple[CoverageGrid, dict[str, np.ma.MaskedArray[Any, Any]]]:
    """Cells that a box meets, as a grid in `crs`."""
    grid = plan_grid(raster, bands=bands, region=region, crs=crs, scaling=scaling, limit=MAX_VALUES)
    stored, packed = read_grid(grid), packing(raster)
    values = {
        raster.layer.bands[index].name: decode(stored[place], raster.nodata, packed[index])
        for place, index in enumerate(bands)
    }
    return grid, values
