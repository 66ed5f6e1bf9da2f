"""Weighted overlay (加权叠加) of files: slope of an elevation model, graded, with further factor layers, in one pass.

Each strip of tiles is read once, slope, grade and weighted sum are made in one loop, and the result is written: the cost is
that of decoding and encoding the files.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
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
_CACHE = 192 * 1024 * 1024


def _overlay(
    z: Any, per_x: Any, per_y: Any, squares: Any, grades: Any, first: float, layers: Any, weights: Any, out: Any
) -> None:
    """Slope grade × first weight + Σ layer × weight; NaN where one of them has no data. `z` has a halo of one cell."""
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
        for c in range(cols):
            gradient = line[c]
            grade = grades[0]
            for k in range(squares.size):
                grade = grades[k + 1] if gradient >= squares[k] else grade
            out[r, c] = grade * first + np.float32(0) * gradient
        for k in range(weights.size):
            weight = weights[k]
            for c in range(cols):
                out[r, c] += weight * layers[k, r, c]


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
    from rasterio.errors import RasterioError

    _check(layers, slope_edges, grades, weights)
    paths = [dem, *layers]
    aside = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    with rasterio.Env(GDAL_CACHEMAX=_CACHE), ExitStack() as stack:

        def opened() -> list[Any]:
            try:
                return [stack.enter_context(rasterio.open(path, driver="GTiff")) for path in paths]
            except RasterioError as error:
                raise SourceUnreadable(f"栅格无法读取：{error}", f"a raster cannot be read: {error}") from error

        sources = opened()
        per_x, per_y = _metres(sources[0], dem)
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
        writing = threading.Lock()
        try:
            with rasterio.open(aside, "w", **profile) as target:
                strips = np.array_split(np.arange(0, rows, _TILE), threads)  # each thread reads on where it stands

                def work(number: int) -> None:
                    with rasterio.Env(GDAL_CACHEMAX=_CACHE):
                        mine = sources if number == 0 else more[number - 1]
                        read = _Reader(mine)
                        for top in strips[number].tolist():
                            height = min(_TILE, rows - top)
                            z, values = read(top, height)
                            result = np.empty((height, cols), dtype=np.float32)
                            edge = slice(top, top + height)
                            compiled(_overlay)(z, per_x[edge], per_y[edge], *tables, values, shares, result)
                            with writing:
                                target.write(result, 1, window=((top, top + height), (0, cols)))

                more = [opened() for _ in range(threads - 1)]
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(work, range(threads)))
            os.replace(aside, out)
        finally:
            aside.unlink(missing_ok=True)


class _Reader:
    """Strips of the sources, nodata as NaN; the buffers are used again."""

    def __init__(self, sources: list[Any]) -> None:
        self._sources = sources
        cols = sources[0].width
        self._z = np.empty((_TILE + 2, cols + 2), dtype=np.float32)
        self._layers = np.empty((len(sources) - 1, _TILE, cols), dtype=np.float32)

    def __call__(self, top: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        dem = self._sources[0]
        rows, cols = dem.shape
        z = self._z[: height + 2]
        z[[0, -1], :] = np.nan
        z[:, [0, -1]] = np.nan
        first, last = max(top - 1, 0), min(top + height + 1, rows)
        z[first - top + 1 : last - top + 1, 1:-1] = self._read(dem, first, last)
        for k, source in enumerate(self._sources[1:]):
            if source.dtypes[0] == "float32":
                source.read(1, window=((top, top + height), (0, cols)), out=self._layers[k, :height])
                _hollow(self._layers[k, :height], source.nodata)
            else:
                self._layers[k, :height] = self._read(source, top, top + height)
        return z, self._layers[:, :height]

    def _read(self, source: Any, first: int, last: int) -> NDArray[np.float32]:
        values = source.read(1, window=((first, last), (0, source.width)), out_dtype="float32")
        _hollow(values, source.nodata)
        found: NDArray[np.float32] = values
        return found


def _hollow(values: NDArray[np.float32], nodata: float | None) -> None:
    if nodata is not None and not np.isnan(nodata):
        values[values == np.float32(nodata)] = np.nan


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
