"""Reading parts of a raster (栅格子集): by window on its own grid, or resampled to another grid, always in bounded memory.

On the native grid values are those of the file, bit by bit. Any other grid goes through GDAL's warper, each band by its own
method: classes are never averaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spatial.crs import CRS84
from spatial.store.coverage_grid import CoverageGrid, Interpolation, Region, outside, plan_grid, project_box
from spatial.store.raster import SAFE_GDAL, PublishedRaster, cells_at, open_raster, opened_raster, reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = [
    "EXACT_VALUES",
    "STRIP_VALUES",
    "Packing",
    "area_cells",
    "decode",
    "packing",
    "read_grid",
    "read_strips",
    "sample_points",
]

STRIP_VALUES = 2_000_000
"""Values that are read at a time: 16 MB of float64."""
EXACT_VALUES = 50_000_000
"""Most values (cells × bands) of the file that one answer is computed from; about a second of GDAL's warper."""


@contextmanager
def _sources(grid: CoverageGrid) -> Iterator[list[tuple[Any, list[int]]]]:
    """Open datasets on the answer's grid, each with the positions of the bands that it gives."""
    import rasterio
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(**SAFE_GDAL))
        if grid.offset is not None:
            dataset = stack.enter_context(opened_raster(grid.raster.path))
            yield [(dataset, list(range(len(grid.bands))))]
            return
        found = []
        for method in dict.fromkeys(grid.methods):
            dataset = stack.enter_context(_overview(grid, method, grid.methods.count(method)))
            warped = WarpedVRT(
                dataset,
                crs=f"EPSG:{grid.crs.srid if grid.crs.projected else 4490}",
                transform=grid.affine,
                width=grid.width,
                height=grid.height,
                resampling=Resampling[method],
                src_nodata=grid.raster.nodata,
                nodata=grid.raster.nodata,
                warp_mem_limit=64,
            )
            stack.enter_context(warped)
            found.append((warped, [k for k, m in enumerate(grid.methods) if m == method]))
        yield found


def _overview(grid: CoverageGrid, method: Interpolation, bands: int) -> Any:
    """The file itself; of a part with over `EXACT_VALUES` values the finest overview that has fewer.

    A mean of overview cells is no mean of the cells where the sizes are no multiples, and the most frequent class of most
    frequent classes is often another one: with half-size overviews up to a quarter of the cells differ.
    """
    import rasterio

    dataset = opened_raster(grid.raster.path)
    levels = dataset.overviews(1)
    if method == "nearest" or not levels:
        return dataset
    bounds = project_box(grid.bounds, grid.crs, CRS84)
    west, south, east, north = grid.raster.extent
    columns = (bounds[2] - bounds[0]) / ((east - west) / grid.raster.width)
    rows = (bounds[3] - bounds[1]) / ((north - south) / grid.raster.height)
    values = min(columns, grid.raster.width) * min(rows, grid.raster.height) * bands
    factor = min(columns / grid.width, rows / grid.height)
    # Never coarser than the answer.
    usable = [level for level, size in enumerate(levels) if size <= factor]
    if values <= EXACT_VALUES or not usable:
        return dataset
    dataset.close()
    enough = [level for level in usable if values / levels[level] ** 2 <= EXACT_VALUES]
    return rasterio.open(grid.raster.path, driver="GTiff", overview_level=(enough or usable[-1:])[0])


def read_strips(grid: CoverageGrid) -> Iterator[tuple[int, NDArray[Any]]]:
    """The answer from north to south: first row of each strip and its values as stored, shape (bands, rows, width).

    Use it within one thread: GDAL's settings belong to the thread.
    """
    import numpy as np
    from rasterio.windows import Window

    rows = max(1, STRIP_VALUES // (grid.width * len(grid.bands)))
    if rows >= 512:
        rows -= rows % 512  # whole blocks of the file
    # Between the strips the reader's own errors pass: only what happens while the file is read is its fault.
    with reading(grid.raster), _sources(grid) as sources:
        for first in range(0, grid.height, rows):
            count = min(rows, grid.height - first)
            strip = np.empty((len(grid.bands), count, grid.width), dtype=grid.raster.dtype)
            for dataset, places in sources:
                row, col = grid.offset or (0, 0)
                window = Window(col, row + first, grid.width, count)
                strip[places] = dataset.read([grid.bands[k] + 1 for k in places], window=window)
            yield first, strip


def read_grid(grid: CoverageGrid) -> NDArray[Any]:
    """All values as stored, shape (bands, rows, columns); for answers that are small enough for a text."""
    import numpy as np

    return np.concatenate([strip for _, strip in read_strips(grid)], axis=1)


@dataclass(frozen=True, slots=True)
class Packing:
    """Value = stored × `scale` + `offset`."""

    scale: float = 1.0
    offset: float = 0.0

    @property
    def is_plain(self) -> bool:
        """True if the stored number is the value."""
        return self.scale == 1.0 and self.offset == 0.0


def packing(raster: PublishedRaster) -> tuple[Packing, ...]:
    """Scale and offset of every band."""
    with reading(raster), open_raster(raster.path) as dataset:
        return tuple(Packing(float(s), float(o)) for s, o in zip(dataset.scales, dataset.offsets, strict=True))


def decode(stored: NDArray[Any], nodata: float, packed: Packing | None = None) -> np.ma.MaskedArray[Any, Any]:
    """Values of one band: nodata, NaN and infinity are masked, scale and offset applied; else the numbers as stored.

    Examples
    --------
    >>> import numpy as np
    >>> decode(np.array([1, -9999, 3], "int16"), -9999, Packing(0.5, 10.0)).tolist()
    [10.5, None, 11.5]
    """
    import numpy as np

    bad = np.zeros(stored.shape, dtype=bool)
    if stored.dtype.kind == "f":
        bad |= ~np.isfinite(stored)
    if not math.isnan(nodata):
        bad |= stored == np.asarray(nodata).astype(stored.dtype)
    values = stored if packed is None or packed.is_plain else stored * packed.scale + packed.offset
    return np.ma.MaskedArray(values, mask=bad)


def sample_points(
    raster: PublishedRaster, lon: Any, lat: Any, bands: Sequence[int]
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Stored values at points (EPSG:4490), shape (bands, points), and which points lie inside; cells by `cells_at`.

    Reads each block of the file once, so that a path of thousands of points costs few reads.
    """
    import numpy as np
    from rasterio.windows import Window

    rows, cols, inside = cells_at(raster, np.atleast_1d(lon), np.atleast_1d(lat))
    filler = np.asarray(raster.nodata).astype(raster.dtype)
    found = np.full((len(bands), rows.size), filler, dtype=raster.dtype)
    blocks = np.where(inside, (rows // 512) * (raster.width // 512 + 1) + cols // 512, -1)
    with reading(raster), open_raster(raster.path) as dataset:
        for block in np.unique(blocks[inside]):
            here = np.flatnonzero(blocks == block)
            r0, c0 = int(rows[here].min()), int(cols[here].min())
            window = Window(c0, r0, int(cols[here].max()) - c0 + 1, int(rows[here].max()) - r0 + 1)
            values = dataset.read([b + 1 for b in bands], window=window)
            found[:, here] = values[:, rows[here] - r0, cols[here] - c0]
    return found, inside


def area_cells(
    raster: PublishedRaster, polygon: Any, bands: Sequence[int], *, limit: int
) -> tuple[CoverageGrid, NDArray[np.float64]]:
    """The native grid around a polygon and the part of each cell that it covers.

    Parameters
    ----------
    polygon : shapely Polygon or MultiPolygon, EPSG:4490, x first

    Returns
    -------
    grid : CoverageGrid
    fraction : float64, shape (rows, columns)
        0 … 1, exact for straight edges in longitude and latitude; 0 where the polygon only touches the cell.

    Raises
    ------
    OutsideExtent
        No cell of the raster is covered, not even in part.
    """
    import numpy as np
    import shapely
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    west, south, east, north = polygon.bounds
    grid = plan_grid(raster, bands=bands, region=Region(west, south, east, north), limit=limit)
    # Only the number of cells matters here: a view of one zero stands for the values.
    empty = np.broadcast_to(np.zeros(1, dtype=np.uint8), (grid.height, grid.width))
    w, s, e, n = grid.bounds
    feature = {"type": "Feature", "geometry": shapely.geometry.mapping(polygon), "properties": {}}
    cells = exact_extract(NumPyRasterSource(empty, w, s, e, n), [feature], ["cell_id", "coverage"])[0]["properties"]
    fraction = np.zeros(grid.width * grid.height)
    fraction[np.asarray(cells["cell_id"], dtype=np.int64)] = cells["coverage"]
    if not fraction.any():
        raise outside(raster)
    return grid, fraction.reshape(grid.height, grid.width)
