"""Zonal statistics (分区统计): ellipsoidal area of each class in each unit, with exact cover fractions at the edges."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.grid import cell_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["area_by_code", "areas_in_units", "total_by_code"]

_STRIP = 256
"""Rows taken at once. Fixed, so that sums do not depend on the block size of a run."""


def total_by_code(codes: NDArray[np.uint8], grid: GeoBox) -> NDArray[np.float64]:
    """Area of each code over the whole grid.

    Parameters
    ----------
    codes : uint8 (rows, cols)
    grid : GeoBox, EPSG:4490

    Returns
    -------
    float64 (256,), m²
    """
    areas = cell_areas(grid)
    counts = np.zeros(256, dtype=np.float64)
    for row, area in enumerate(areas):
        counts += np.bincount(codes[row], minlength=256) * area
    return counts


def area_by_code(codes: NDArray[np.uint8], grid: GeoBox, geometries: Any) -> NDArray[np.float64]:
    """Area of each code in each polygon.

    Formula: A[u, c] = Σ over cells of code c: (share of the cell covered by u) × (ellipsoidal area of the cell).

    Parameters
    ----------
    codes : uint8 (rows, cols)
        May be memory-mapped; read by strips.
    grid : GeoBox, EPSG:4490
    geometries : array of polygons, EPSG:4490

    Returns
    -------
    float64 (n, 256), m². Cells partly covered count by their share; polygons that tile the plane add up to the whole.

    Source: exactextract (cover fractions are exact in the plane of the grid); cell areas: `spatial.units.cell_row_areas`.

    Examples
    --------
    >>> import shapely
    >>> from odc.geo.geobox import GeoBox
    >>> grid = GeoBox.from_bbox((110, 30, 112, 31), crs="EPSG:4490", resolution=1.0)
    >>> a = area_by_code(np.array([[1, 2]], np.uint8), grid, [shapely.box(110, 30, 111.5, 31)])
    >>> round(float(a[0, 2] / a[0, 1]), 6)
    0.5
    """
    import geopandas
    import shapely
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    shapes = np.asarray(geometries, dtype=object)
    result = np.zeros((shapes.size, 256), dtype=np.float64)
    if shapes.size == 0:
        return result
    bounds = shapely.bounds(shapes)
    areas = cell_areas(grid)
    affine = grid.affine
    units = geopandas.GeoDataFrame(geometry=shapes, crs="EPSG:4490")
    crs = units.crs.to_wkt()
    rows, cols = grid.shape.y, grid.shape.x
    west, east = affine.c, affine.c + affine.a * cols
    for top in range(0, rows, _STRIP):
        bottom = min(top + _STRIP, rows)
        north, south = affine.f + affine.e * top, affine.f + affine.e * bottom
        near = np.flatnonzero(
            (bounds[:, 3] > south) & (bounds[:, 1] < north) & (bounds[:, 2] > west) & (bounds[:, 0] < east)
        )
        if near.size == 0:
            continue
        box = {"xmin": west, "ymin": south, "xmax": east, "ymax": north, "srs_wkt": crs}
        weights = np.repeat(areas[top:bottom, np.newaxis], cols, axis=1)
        features = exact_extract(
            NumPyRasterSource(np.asarray(codes[top:bottom]), **box, name="code"),
            units.iloc[near],
            ["values", "coverage", "weights"],
            weights=NumPyRasterSource(weights, **box, name="area"),
            output="pandas",
        )
        for unit, values, coverage, area in zip(near, *(features[name] for name in features.columns), strict=True):
            result[unit] += np.bincount(np.asarray(values, dtype=np.int64), coverage * area, minlength=256)
    return result


def areas_in_units(m2: float, name: str) -> dict[str, float]:
    """One area in km², hm² and 亩 under three names.

    >>> areas_in_units(1e6, "suitable")
    {'suitable_km2': 1.0, 'suitable_hm2': 100.0, 'suitable_mu': 1500.0}
    """
    from spatial.units import Area

    area = Area(float(m2))
    return {
        f"{name}_km2": round(area.km2, 6),
        f"{name}_hm2": round(area.hm2, 4),
        f"{name}_mu": round(area.mu, 3),
    }
