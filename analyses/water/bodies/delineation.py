"""Water bodies (水体图斑) of a frequency raster: hybrid 10 % / 5 % polygons with areas, kinds and stable ids.

A body is a 4-connected set of cells that were wet on at least 5 % of their clear observations (its extent) and that holds
cells wet on at least 10 % (its location). Bodies with too few observations are dropped **after** cells have become bodies, by
the mean clear count, so that a cloudy, always-wet lake does not lose its middle. Area is the sum of ellipsoidal cell areas.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from analyses.terrain import metres_per_degree
from analyses.water.bodies.geohash import geohash
from analyses.water.bodies.kinds import TITLES, body_kinds, split_rivers
from analyses.water.bodies.rules import WaterBodyRules
from analyses.water.bodies.runs import Runs, join_strips, label_runs, paint, polygons, strip_runs
from spatial.compiled import compiled
from spatial.errors import CRSMismatch, GridMismatch, InvalidParameter, LayerEmpty
from spatial.grid import cell_areas
from spatial.units import whole_dm2

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray
    from odc.geo.geobox import GeoBox

__all__ = ["COLUMNS", "ArrayFrequency", "Band", "FrequencySource", "RasterFrequency", "WaterBodies", "find_bodies"]

STRIP = 256
"""Rows scanned at once: sets the memory, never the result."""
_SHARE_STEPS = 10_000


class FrequencySource(Protocol):
    """Wet and clear counts of a grid, read by window."""

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        ...

    def read(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Wet and clear counts of a window."""
        ...


@dataclass(frozen=True)
class ArrayFrequency:
    """Counts in memory."""

    wet: NDArray[np.uint16]
    clear: NDArray[np.uint16]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.wet.shape[0], self.wet.shape[1]

    def read(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Views of the window."""
        cut = (slice(row, row + height), slice(col, col + width))
        return self.wet[cut], self.clear[cut]


@dataclass(frozen=True)
class RasterFrequency:
    """Counts in one raster (COG) of two bands; files stay open, one handle a thread."""

    path: Path
    shape: tuple[int, int]
    wet_band: int = 1
    clear_band: int = 2
    _open: local = field(default_factory=local, repr=False, compare=False)

    @classmethod
    def of(cls, path: Path, *, wet_band: int = 1, clear_band: int = 2) -> RasterFrequency:
        """Open the file once for its size."""
        import rasterio

        with rasterio.open(path) as file:
            return cls(path, file.shape, wet_band, clear_band)

    def read(self, row: int, col: int, height: int, width: int) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Counts of the window."""
        import rasterio

        file = self._open.__dict__.get("file")
        if file is None:
            file = self._open.__dict__["file"] = rasterio.open(self.path)
        window = ((row, row + height), (col, col + width))
        wet, clear = file.read([self.wet_band, self.clear_band], window=window)
        return wet, clear


Band = Callable[[int, int, int, int], "NDArray[Any]"]
"""A band of the same grid, by (row, col, height, width)."""


@dataclass(frozen=True)
class WaterBodies:
    """Bodies found, as features and as runs of cells."""

    frame: gpd.GeoDataFrame
    """One row a body, EPSG:4490; columns in `COLUMNS`."""
    rejected: pd.DataFrame
    """Connected water that is no body: ``reason`` (``too_small``, ``no_location``, ``too_few_clear``), ``count``, ``area_m2``."""
    runs: Runs
    label: NDArray[np.int32]
    """Body of each run: number of its row in `frame` + 1."""
    grid: GeoBox
    unsplit: tuple[str, ...]
    """Ids of elongated bodies whose window was too large to tell lake and river apart."""

    def paint(self, row: int, col: int, height: int, width: int) -> NDArray[np.int32]:
        """Number of the body of each cell of a window, int32: row in `frame` + 1, 0 = none."""
        return paint(self.runs, self.label, row, col, height, width)

    def window(self, number: int) -> tuple[int, int, int, int]:
        """Window (row, col, height, width) of the body of row `number` of `frame`."""
        r0, c0, r1, c1 = (int(v) for v in self.frame[["row0", "col0", "row1", "col1"]].iloc[number])
        return r0, c0, r1 - r0, c1 - c0


COLUMNS = {
    "id": "geohash of a point inside / 代表点的 geohash",
    "kind": "river, lake, pond, paddy / 河流、湖库、坑塘、水田",
    "kind_reason": "why / 依据",
    "listed_id": "id of the listed lake / 名录编号",
    "name": "name of the listed lake / 名录名称",
    "area_m2": "ellipsoidal area of the extent, m² / 范围面积",
    "location_area_m2": "area wet at least 10 %, m² / 10 % 阈值面积",
    "permanent_share": "share of cells wet at least 90 % / 常年有水份额",
    "mean_frequency": "mean wet share, 0–1 / 平均频率",
    "mean_clear": "mean clear count / 平均有效次数",
    "wet_months": "mean months with water; empty without a seasonality band / 平均有水月数",
    "perimeter_m": "length of the cell edges, m / 像元边界周长",
    "compactness": "area over its smallest rectangle, 0–1 / 规整度",
    "elongation": "long side² / area / 长宽比",
    "length_m": "long side of the smallest rectangle, m / 外接长度",
    "holes": "islands / 岛洞数",
}


def _grade(wet: Any, clear: Any, river: Any, extent: float, out: Any) -> None:
    for r in range(wet.shape[0]):
        for c in range(wet.shape[1]):
            water = wet[r, c] > 0 and wet[r, c] >= extent * clear[r, c] - 1e-9
            out[r, c] = (2 if river[r, c] else 1) if water else 0


def _sum(
    row: Any,
    start: Any,
    end: Any,
    top: int,
    wet: Any,
    clear: Any,
    months: Any,
    location: float,
    permanent: float,
    sums: Any,
) -> None:
    for k in range(row.size):
        r = row[k] - top
        for c in range(start[k], end[k]):
            w = wet[r, c]
            n = clear[r, c]
            sums[k, 0] += 1 if w >= location * n - 1e-9 else 0
            sums[k, 1] += 1 if w >= permanent * n - 1e-9 else 0
            sums[k, 2] += n
            sums[k, 3] += np.int64(np.rint(w / n * 10000.0))
            sums[k, 4] += months[r, c]


def find_bodies(
    source: FrequencySource,
    grid: GeoBox,
    rules: WaterBodyRules,
    *,
    rivers: Band | None = None,
    months: Band | None = None,
    listed: gpd.GeoDataFrame | None = None,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> WaterBodies:
    """Water bodies of a frequency raster (水体图斑).

    Parameters
    ----------
    source : FrequencySource
        Wet and clear counts (`frequency.water_frequency`).
    grid : GeoBox
        Longitude–latitude grid of `source`.
    rivers : callable, optional
        Cells of rivers (河流范围), bool: what lies in them is split off. Without it, thin parts of long bodies are split off by
        their width (`body_kinds.split_rivers`).
    months : callable, optional
        Months with water (``seasonality`` of the frequency), uint8 0–12: without it no body is called a paddy.
    listed : GeoDataFrame, optional
        Lake list (湖泊名录): columns ``id``, ``name``, geometry; a listed lake stays one whatever its shape.

    Raises
    ------
    GridMismatch, CRSMismatch
        Grid and source differ in size; grid not in longitude and latitude.
    LayerEmpty
        When no cell was ever seen.

    Notes
    -----
    The runs, and so the bodies, are the same for every number of threads. Memory: two strips of rows a thread and about
    60 bytes a run.
    """
    import pandas as pd

    if source.shape != (grid.shape.y, grid.shape.x):
        raise GridMismatch(
            f"频率栅格 {source.shape} 与格网 {(grid.shape.y, grid.shape.x)} 大小不同",
            f"the frequency raster {source.shape} and the grid {(grid.shape.y, grid.shape.x)} differ in size",
        )
    if grid.crs is None or not grid.crs.geographic:
        raise CRSMismatch(
            f"水体图斑须在经纬度格网上计算椭球面积，现为 {grid.crs}；请先重投影到 EPSG:4490",
            f"bodies need a longitude–latitude grid for ellipsoidal areas, found {grid.crs}; reproject to EPSG:4490 first",
        )
    runs, sums, seen = _scan(source, rules, rivers, months, threads, progress)
    if not seen:
        raise LayerEmpty(
            "频率栅格没有一个有效像元（全部云遮或无数据）",
            "no cell of the frequency raster was ever seen (all cloud or no data)",
        )
    unsplit: set[tuple[int, int]] = set()
    if rivers is None and runs.row.size:
        pieces, unsplit = split_rivers(runs, label_runs(runs), grid, rules, listed=_same_crs(listed, grid))
        if pieces:
            runs, sums, _ = _scan(source, rules, _overlay(pieces), months, threads, progress)
    label, number = label_runs(runs)
    area_dm2 = whole_dm2(cell_areas(grid))

    cells = (runs.end - runs.start).astype(np.int64)
    totals = {
        name: _by_label(label, number, values)
        for name, values in (
            ("cells", cells),
            ("area", cells * area_dm2[runs.row]),
            ("location_area", sums[:, 0] * area_dm2[runs.row]),
            ("location", sums[:, 0]),
            ("permanent", sums[:, 1]),
            ("clear", sums[:, 2]),
            ("share", sums[:, 3]),
            ("months", sums[:, 4]),
        )
    }
    mean_clear = totals["clear"] / np.maximum(totals["cells"], 1)
    limits = rules.bodies
    small = totals["area"] < limits.least_area_m2 * 100
    outside = totals["location"] == 0
    few = mean_clear < limits.least_clear
    reasons = np.select([small, outside, few], ["too_small", "no_location", "too_few_clear"], default="")
    rejected = pd.DataFrame(
        [
            (reason, int((reasons == reason).sum()), float(totals["area"][reasons == reason].sum()) / 100)
            for reason in ("too_small", "no_location", "too_few_clear")
        ],
        columns=["reason", "count", "area_m2"],
    )
    keep = np.flatnonzero(reasons == "")
    renumber = np.zeros(number + 1, np.int32)
    renumber[keep + 1] = np.arange(1, keep.size + 1)
    chosen = renumber[label] > 0
    grade = np.zeros(number, np.uint8)
    grade[label - 1] = runs.grade
    runs, label = runs.take(chosen), renumber[label][chosen]
    totals = {name: values[keep] for name, values in totals.items()}
    frame = _frame(
        runs, label, keep.size, totals, grade[keep] == 2, grid, rules, months is not None, listed, rivers is not None
    )
    names = [
        i
        for i, first in zip(frame["id"], zip(frame["row0"], frame["col0"], strict=True), strict=True)
        if first in unsplit
    ]
    return WaterBodies(frame, rejected, runs, label, grid, tuple(names))


def _same_crs(listed: gpd.GeoDataFrame | None, grid: GeoBox) -> gpd.GeoDataFrame | None:
    """The list where it is of the grid's CRS; another one is refused when bodies are matched with it."""
    return listed if listed is not None and listed.crs is not None and listed.crs == str(grid.crs) else None


def _by_label(label: NDArray[np.int32], number: int, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums by label; whole numbers below 2⁵³, so that float64 weights are exact."""
    return np.rint(np.bincount(label, weights=values, minlength=number + 1)[1:]).astype(np.int64)


def _overlay(pieces: Sequence[tuple[int, int, NDArray[np.bool_]]]) -> Band:
    """A river band out of windows that were split."""

    def read(row: int, col: int, height: int, width: int) -> NDArray[np.bool_]:
        out = np.zeros((height, width), bool)
        for top, left, mask in pieces:
            r0, r1 = max(top, row), min(top + mask.shape[0], row + height)
            c0, c1 = max(left, col), min(left + mask.shape[1], col + width)
            if r0 < r1 and c0 < c1:
                out[r0 - row : r1 - row, c0 - col : c1 - col] |= mask[r0 - top : r1 - top, c0 - left : c1 - left]
        return out

    return read


def _scan(
    source: FrequencySource,
    rules: WaterBodyRules,
    rivers: Band | None,
    months: Band | None,
    threads: int,
    progress: Callable[[float], None] | None,
) -> tuple[Runs, NDArray[np.int64], bool]:
    """Runs, their sums (location cells, permanent cells, clear, share, months), and whether a cell was seen."""
    rows, cols = source.shape
    limits, kinds = rules.bodies, rules.kinds

    def strip(top: int) -> tuple[Runs, NDArray[np.int64], bool]:
        height = min(STRIP, rows - top)
        wet, clear = (np.ascontiguousarray(a) for a in source.read(top, 0, height, cols))
        if wet.shape != (height, cols) or (wet > clear).any():
            raise InvalidParameter(
                f"第 {top} 行起的频率计数有误：有水次数大于有效次数或窗口大小不符",
                f"counts from row {top} on are wrong: more wet than clear, or a window of another size",
                parameter="source",
            )
        none = np.broadcast_to(np.uint8(0), (height, cols))
        river = none if rivers is None else rivers(top, 0, height, cols)
        month = none if months is None else months(top, 0, height, cols)
        grades = np.empty((height, cols), np.uint8)
        compiled(_grade)(wet, clear, np.ascontiguousarray(river, dtype=np.uint8), limits.extent_share, grades)
        found = strip_runs(grades, top, rows)
        sums = np.zeros((found.row.size, 5), np.int64)
        compiled(_sum)(
            found.row, found.start, found.end, top, wet, clear, np.ascontiguousarray(month, dtype=np.uint8),
            limits.location_share, kinds.permanent_share, sums,
        )  # fmt: skip
        return found, sums, bool(clear.any())

    tops = range(0, rows, STRIP)
    parts = []
    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for number, part in enumerate(pool.map(strip, tops) if threads > 1 else map(strip, tops)):
            parts.append(part)
            if progress is not None:
                progress((number + 1) / len(tops))
    return join_strips([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), any(p[2] for p in parts)


def _frame(
    runs: Runs, label: NDArray[np.int32], number: int, totals: dict[str, NDArray[np.int64]], in_river: NDArray[np.bool_],
    grid: GeoBox, rules: WaterBodyRules, has_months: bool, listed: gpd.GeoDataFrame | None, has_rivers: bool,
) -> gpd.GeoDataFrame:  # fmt: skip
    """The features of the bodies."""
    import geopandas as gpd
    import pandas as pd
    import shapely

    geometry = polygons(runs, label, number, tuple(grid.affine)[:6])
    inside = shapely.point_on_surface(geometry)
    x, y = shapely.get_x(inside), shapely.get_y(inside)
    limits = np.full((number, 4), 0, np.int64)
    limits[:, 0], limits[:, 1] = runs.rows, 2**31
    np.minimum.at(limits[:, 0], label - 1, runs.row)
    np.minimum.at(limits[:, 1], label - 1, runs.start)
    np.maximum.at(limits[:, 2], label - 1, runs.row + 1)
    np.maximum.at(limits[:, 3], label - 1, runs.end)
    cells = np.maximum(totals["cells"], 1)
    length, compactness, perimeter = _shapes(geometry, y)
    area = totals["area"] / 100
    frame = gpd.GeoDataFrame(
        {
            "id": geohash(x, y, rules.lineage.geohash_length) if number else [],
            "area_m2": area,
            "location_area_m2": totals["location_area"] / 100,
            "permanent_share": totals["permanent"] / cells,
            "mean_frequency": totals["share"] / cells / _SHARE_STEPS,
            "mean_clear": totals["clear"] / cells,
            "wet_months": totals["months"] / cells if has_months else np.full(number, np.nan),
            "perimeter_m": perimeter,
            "compactness": compactness,
            "elongation": length**2 / np.maximum(area, 1),
            "length_m": length,
            "holes": shapely.get_num_interior_rings(geometry),
            "cells": totals["cells"],
            "row0": limits[:, 0], "col0": limits[:, 1], "row1": limits[:, 2], "col1": limits[:, 3],
        },
        geometry=geometry, crs=str(grid.crs),
    )  # fmt: skip
    kind, reason, listed_id, name = body_kinds(frame, in_river, rules, listed=listed, has_rivers=has_rivers)
    frame.insert(1, "kind", pd.Series(kind, dtype="str"))
    frame.insert(2, "kind_reason", pd.Series(reason, dtype="str"))
    frame.insert(3, "listed_id", pd.Series(listed_id, dtype="object"))
    frame.insert(4, "name", pd.Series(name, dtype="object"))
    assert set(kind) <= set(TITLES)
    return frame


def _shapes(
    geometry: NDArray[Any], latitude: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Long side of the smallest rectangle (m), area of the shell over that rectangle, and length of the shores (m)."""
    import shapely

    if len(geometry) == 0:
        return np.empty(0), np.empty(0), np.empty(0)
    per_x, per_y = metres_per_degree(latitude)
    points, body = shapely.get_coordinates(geometry, return_index=True)
    metric = points * np.column_stack([per_x[body], per_y[body]])
    scaled = shapely.set_coordinates(
        geometry.copy(), metric - metric[np.searchsorted(body, np.arange(len(geometry)))][body]
    )
    box = shapely.oriented_envelope(scaled)
    corners = shapely.get_coordinates(box).reshape(len(geometry), -1, 2)
    sides = np.hypot(*(corners[:, 1:3] - corners[:, :2]).transpose(2, 0, 1))
    rectangle = np.maximum(sides[:, 0] * sides[:, 1], 1e-9)
    shell = shapely.area(scaled)
    return np.asarray(sides.max(axis=1)), np.minimum(shell / rectangle, 1.0), np.asarray(shapely.length(scaled))
