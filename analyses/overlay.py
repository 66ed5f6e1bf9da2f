"""Weighted overlay (加权叠加) of files: slope of an elevation model, graded, with further factor layers, in one pass.

Each strip of tiles is read once, slope, grade and weighted sum are made in one loop, and the result is written: the cost is
that of decoding and encoding the files.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.terrain import cell_size
from spatial.compiled import compiled
from spatial.errors import CRSMismatch, GridMismatch, InvalidParameter, SourceUnreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["slope_overlay"]

_TILE = 512
_STRIP = 4 * _TILE
"""Rows computed between opening the files and closing them: what was mapped of them into memory is given back."""
_OPTIONS: dict[str, Any] = {"GTIFF_VIRTUAL_MEM_IO": True, "GDAL_CACHEMAX": 384 * 1024 * 1024}
"""Uncompressed tiles are read where they lie in the page cache; of compressed ones the cache holds two rows of tiles a layer,
so that the elevation's are decoded once although each is a neighbour of others."""


def _overlay(
    z: Any,
    per_x: Any,
    per_y: Any,
    squares: Any,
    grades: Any,
    first: float,
    layers: Any,
    weights: Any,
    nodata: Any,
    out: Any,
) -> None:
    """Slope grade × first weight + Σ layer × weight; NaN where one of them has no data.

    `z` has a halo of one cell; `nodata` are the layers' values for none (NaN where they have none).
    """
    rows, cols = out.shape
    line = np.empty(cols, np.float32)
    for r in range(rows):
        px = per_x[r]
        py = per_y[r]
        for c in range(cols):
            west = z[r, c] + np.float32(2) * z[r + 1, c] + z[r + 2, c]
            east = z[r, c + 2] + np.float32(2) * z[r + 1, c + 2] + z[r + 2, c + 2]
            north = z[r, c] + np.float32(2) * z[r, c + 1] + z[r, c + 2]
            south = z[r + 2, c] + np.float32(2) * z[r + 2, c + 1] + z[r + 2, c + 2]
            p = (east - west) * px
            q = (south - north) * py
            line[c] = p * p + q * q + np.float32(0) * z[r + 1, c + 1]
        # One short loop after the other over a row in the cache: each becomes vector instructions.
        for c in range(cols):
            out[r, c] = grades[0] + np.float32(0) * line[c]
        for k in range(squares.size):
            square = squares[k]
            grade = grades[k + 1]
            for c in range(cols):
                out[r, c] = grade if line[c] >= square else out[r, c]
        for c in range(cols):
            out[r, c] *= first
        for k in range(weights.size):
            weight = weights[k]
            none = nodata[k]
            for c in range(cols):
                value = layers[k, r, c]
                out[r, c] += weight * (np.float32(np.nan) if value == none else value)


def slope_overlay(
    dem: Path,
    layers: Sequence[Path],
    out: Path,
    *,
    slope_edges: Sequence[float],
    grades: Sequence[float],
    weights: Sequence[float],
    threads: int = 2,
    compress: str | None = None,
) -> None:
    """Grade the slope of an elevation model and overlay it with factor layers.

    Formula: S(p) = w₀ · g(slope(p)) + Σ w_k · layer_k(p); slope as in `analyses.terrain.slope_horn`; g takes grade k + 1 from
    edge k on (lower ends belong to the class).

    Parameters
    ----------
    dem : Path
        Elevation, m, one band, north up; geographic (metres by row) or projected in metres.
    layers : sequence of Path
        One band each, on the grid of `dem`.
    out : Path
        float32 GeoTIFF in tiles of 512; written aside and renamed. NaN where the slope or a layer has no data.
    slope_edges : ascending, degrees
        Between the classes of slope.
    grades : one more than edges
    weights : one for the slope grade and one a layer
        Positive, sum 1.
    threads : int
        Never changes a bit of the result.
    compress : str, optional
        Compression of `out`, for example ``ZSTD``.

    Raises
    ------
    InvalidParameter
        Weights that do not sum to 1, edges that do not ascend, grades of a wrong number.
    GridMismatch, CRSMismatch, SourceUnreadable
        Naming the file.
    """
    import rasterio

    _check(layers, slope_edges, grades, weights)
    paths = [dem, *layers]
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with rasterio.Env(**_OPTIONS), _opened(paths) as sources:
        metres = _metres(sources[0], dem)
        for path, source in zip(paths, sources, strict=True):
            _require_same(sources[0], source, path)
        rows, cols = sources[0].shape
        profile = {
            "driver": "GTiff",
            "height": rows,
            "width": cols,
            "count": 1,
            "dtype": "float32",
            "nodata": float("nan"),
            "crs": sources[0].crs,
            "transform": sources[0].transform,
            "tiled": True,
            "blockxsize": _TILE,
            "blockysize": _TILE,
            "bigtiff": "IF_SAFER",
        } | ({"compress": compress, "num_threads": threads} if compress else {})
        squares = np.tan(np.radians(np.asarray(slope_edges, dtype=np.float64))) ** 2
        tables = (squares.astype(np.float32), np.asarray(grades, np.float32), np.float32(weights[0]))
        shares = np.asarray(weights[1:], dtype=np.float32)
        nodata = np.array([np.nan if s.nodata is None else s.nodata for s in sources[1:]], dtype=np.float32)
    writing = threading.Lock()
    try:
        with rasterio.Env(**_OPTIONS), rasterio.open(aside, "w", **profile) as target:

            def compute(first: int) -> None:
                """A few rows of tiles, from row `first` on."""
                with rasterio.Env(**_OPTIONS), _opened(paths) as mine:
                    tiles = _Tiles(mine)
                    for top in range(first, min(first + _STRIP, rows), _TILE):
                        rows_of = slice(top, min(top + _TILE, rows))
                        lengths = (metres[0][rows_of], metres[1][rows_of])
                        for left in range(0, cols, _TILE):
                            cols_of = slice(left, min(left + _TILE, cols))
                            z, values, result = tiles.read(rows_of, cols_of)
                            compiled(_overlay)(z, *lengths, *tables, values, shares, nodata, result)
                            with writing:
                                target.write(result, 1, window=((top, rows_of.stop), (left, cols_of.stop)))

            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(compute, range(0, rows, _STRIP)))
        os.replace(aside, out)
    finally:
        aside.unlink(missing_ok=True)


@contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[list[Any]]:
    import rasterio
    from rasterio.errors import RasterioError

    with ExitStack() as stack:
        try:
            sources = [stack.enter_context(rasterio.open(path, driver="GTiff")) for path in paths]
        except RasterioError as error:
            raise SourceUnreadable(f"栅格无法读取：{error}", f"a raster cannot be read: {error}") from error
        yield sources


class _Tiles:
    """Tiles of the sources for one thread; its arrays are used again for the next tile (new memory costs more than a tile)."""

    def __init__(self, sources: list[Any]) -> None:
        self._dem, self._layers = sources[0], sources[1:]
        self._z = np.empty((_TILE + 2, _TILE + 2), dtype=np.float32)
        self._values = np.empty((len(self._layers), _TILE, _TILE), dtype=np.float32)
        self._result = np.empty((_TILE, _TILE), dtype=np.float32)

    def read(
        self, rows_of: slice, cols_of: slice
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Elevation with a halo of one cell (NaN for nodata and outside), layers, and room for the result."""
        shape = (rows_of.stop - rows_of.start, cols_of.stop - cols_of.start)
        values, result = self._values, self._result
        if shape != result.shape:  # at the south and east edge; a part of an array would not lie in one piece
            values, result = np.empty((len(self._layers), *shape), np.float32), np.empty(shape, np.float32)
        window = ((rows_of.start, rows_of.stop), (cols_of.start, cols_of.stop))
        for k, layer in enumerate(self._layers):
            layer.read(1, window=window, out=values[k])
        return self._around(rows_of, cols_of), values, result

    def _around(self, rows_of: slice, cols_of: slice) -> NDArray[np.float32]:
        rows, cols = self._dem.shape
        top, left = rows_of.start - 1, cols_of.start - 1
        shape = (rows_of.stop + 1 - top, cols_of.stop + 1 - left)
        r0, r1, c0, c1 = max(top, 0), min(rows_of.stop + 1, rows), max(left, 0), min(cols_of.stop + 1, cols)
        if (r1 - r0, c1 - c0) == self._z.shape:
            z = inner = self._z
        else:
            z = np.full(shape, np.nan, dtype=np.float32)
            inner = z[r0 - top : r1 - top, c0 - left : c1 - left]
        self._dem.read(1, window=((r0, r1), (c0, c1)), out=inner)
        if self._dem.nodata is not None:
            hollow = inner == np.float32(self._dem.nodata)
            if hollow.any():
                inner[hollow] = np.nan
        return z


def _check(layers: Sequence[Path], edges: Sequence[float], grades: Sequence[float], weights: Sequence[float]) -> None:
    if list(edges) != sorted(set(edges)) or any(not 0 < edge < 90 for edge in edges):
        raise InvalidParameter(
            f"坡度分级界限 {list(edges)} 应在 0–90° 内递增",
            f"slope edges {list(edges)} must ascend within 0–90°",
            parameter="slope_edges",
        )
    if len(grades) != len(edges) + 1:
        raise InvalidParameter(
            f"{len(edges)} 个界限应有 {len(edges) + 1} 个分值，得到 {len(grades)} 个",
            f"{len(edges)} edges need {len(edges) + 1} grades, found {len(grades)}",
            parameter="grades",
        )
    if len(weights) != len(layers) + 1 or min(weights) <= 0 or abs(sum(weights) - 1) > 1e-9:
        raise InvalidParameter(
            f"权重应为 {len(layers) + 1} 个正数且和为 1，得到 {list(weights)}",
            f"weights must be {len(layers) + 1} positive numbers that sum to 1, found {list(weights)}",
            parameter="weights",
        )


def _metres(dem: Any, path: Path) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """1 / (8 Δx) and 1 / (8 Δy) by row."""
    if dem.crs is None or not (dem.crs.is_geographic or dem.crs.linear_units_factor[1] == 1.0):
        raise CRSMismatch(
            f"{path.name}：坐标系应为经纬度或以米为单位的投影，得到 {dem.crs}",
            f"{path.name}: the CRS must be geographic or projected in metres, found {dem.crs}",
            file=path.name,
        )
    a = dem.transform
    if a.b or a.d or a.a <= 0 or a.e >= 0:
        raise GridMismatch(f"{path.name} 应北向上、无旋转", f"{path.name} must be north up", file=path.name)
    if dem.crs.is_geographic:
        size = cell_size(a.f, -a.e, a.a, 0, dem.height)
        x, y = size.x, size.y
    else:
        x, y = np.full(dem.height, a.a), np.full(dem.height, -a.e)
    return (1 / (8 * x)).astype(np.float32), (1 / (8 * y)).astype(np.float32)


def _require_same(dem: Any, source: Any, path: Path) -> None:
    if source.shape != dem.shape or source.crs != dem.crs or not source.transform.almost_equals(dem.transform, 1e-9):
        raise GridMismatch(
            f"{path.name} 的格网 {source.shape} {tuple(source.transform[:6])} 与高程 {dem.shape} "
            f"{tuple(dem.transform[:6])} 不一致，请先重采样",
            f"{path.name}: grid {source.shape} {tuple(source.transform[:6])} differs from the elevation's {dem.shape} "
            f"{tuple(dem.transform[:6])}; resample it first",
            file=path.name,
        )
