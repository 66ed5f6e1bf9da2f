"""Fields (场): rasters coarser than the run's grid, held whole in memory and read at each cell, the same in every block.

A climate or soil raster is small; reading it through windows for every block of a 30 m run would cost more than the
analysis. What is derived from it alone (annual rain, erodibility) is computed once on its own grid, then read here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spatial.compiled import compiled
from spatial.errors import QualityViolation
from spatial.jobs.contract import Axis, RasterInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_CELLS", "Field", "Values", "band_of", "values_of"]

MOST_CELLS = 8_000_000
"""Largest raster, in cells, that is held whole; larger ones are read by window."""


@dataclass(frozen=True)
class Field:
    """One band on its own grid, read at the cells of the run.

    Attributes
    ----------
    values : float32 (rows, cols), NaN = nodata
    rows, cols : Axis
        Of the raster that it came from.
    method : {"bilinear", "nearest"}
        Bilinear: mean of the four nearest centres by distance, cells without data take no part; NaN where the cell that
        holds the point has none. Nearest: the cell that holds the point.

    Examples
    --------
    >>> field = Field(np.array([[0.0, 10.0]], np.float32), Axis(1.0, 0.0, 0), Axis(0.5, -0.25, 0), "bilinear")
    >>> field.block(0, 0, 1, 4).tolist()
    [[0.0, 2.5, 7.5, 10.0]]
    """

    values: NDArray[np.float32]
    rows: Axis
    cols: Axis
    method: Literal["bilinear", "nearest"]

    def block(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
        """float32 (height, width) of the run's cells from (row, col) on; NaN outside the raster."""
        out = np.empty((height, width), dtype=np.float32)
        at = self.rows.positions(row, height), self.cols.positions(col, width)
        if self.method == "nearest":
            compiled(_nearest)(self.values, *at, out)
        else:
            compiled(_bilinear)(self.values, *at, out)
            compiled(_mend)(self.values, *at, out)
        return out


@dataclass(frozen=True)
class _Window:
    """A raster on the run's own grid (or too large to hold), read by window."""

    raster: RasterInput
    band: int

    def block(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
        return self.raster.read(row, col, height, width, band=self.band)


Values = Field | _Window
"""Anything with ``block(row, col, height, width)``."""


def band_of(raster: RasterInput, name: str) -> int:
    """Number of the band of this name, from 1: a layer whose bands stand in another order must not be misread.

    Raises
    ------
    QualityViolation
        If the layer has no such band; the message names those that it has.
    """
    if name in raster.bands:
        return raster.bands.index(name) + 1
    raise QualityViolation(
        f"图层 {raster.layer_id} 没有波段 {name}（现有：{'、'.join(raster.bands)}），请补充或改正波段名",
        f"layer {raster.layer_id} has no band {name} (it has {', '.join(raster.bands)}); add it or correct its name",
        layer=raster.layer_id,
        band=name,
        allowed=list(raster.bands),
    )


def values_of(raster: RasterInput, *, band: int = 1, method: Literal["bilinear", "nearest"] = "bilinear") -> Values:
    """A band of a raster input, held whole if it is small."""
    rows, cols = raster.source_shape
    if rows * cols > MOST_CELLS:
        return _Window(raster, band)
    return Field(raster.source(band=band), *raster.axes(), method)


def _bilinear(values: Any, rows: Any, cols: Any, out: Any) -> None:
    """Between the rows first, then between the columns; NaN where one of the four neighbours has no value (see `_mend`)."""
    height, width = values.shape
    left = np.empty(cols.size, np.int64)
    share = np.empty(cols.size, np.float64)
    for b in range(cols.size):
        left[b] = int(np.floor(cols[b]))
        share[b] = cols[b] - left[b]
        if left[b] < 0 or left[b] > width - 2:
            left[b] = 0
            share[b] = np.nan
    line = np.empty(width, np.float64)
    for a in range(rows.size):
        i = int(np.floor(rows[a]))
        v = rows[a] - i
        if i < 0 or i > height - 2:
            for b in range(cols.size):
                out[a, b] = np.nan
            continue
        for c in range(width):
            line[c] = np.float64(values[i, c]) * (1 - v) + np.float64(values[i + 1, c]) * v
        for b in range(cols.size):
            out[a, b] = line[left[b]] * (1 - share[b]) + line[left[b] + 1] * share[b]


def _mend(values: Any, rows: Any, cols: Any, out: Any) -> None:
    """The cells that lack a neighbour: the mean of those that there are, none if the own one has no value."""
    height, width = values.shape
    for a in range(rows.size):
        for b in range(cols.size):
            if out[a, b] == out[a, b]:
                continue
            i = int(np.floor(rows[a]))
            j = int(np.floor(cols[b]))
            v = rows[a] - i
            u = cols[b] - j
            own_i = i + 1 if v >= 0.5 else i
            own_j = j + 1 if u >= 0.5 else j
            if own_i < 0 or own_i >= height or own_j < 0 or own_j >= width or np.isnan(values[own_i, own_j]):
                continue
            total = 0.0
            weights = 0.0
            for down in range(2):
                for right in range(2):
                    r = i + down
                    c = j + right
                    if 0 <= r < height and 0 <= c < width and not np.isnan(values[r, c]):
                        weight = (v if down == 1 else 1 - v) * (u if right == 1 else 1 - u)
                        total += np.float64(values[r, c]) * weight
                        weights += weight
            out[a, b] = total / weights


def _nearest(values: Any, rows: Any, cols: Any, out: Any) -> None:
    height, width = values.shape
    for a in range(rows.size):
        i = int(np.floor(rows[a] + 0.5))
        for b in range(cols.size):
            j = int(np.floor(cols[b] + 0.5))
            out[a, b] = values[i, j] if 0 <= i < height and 0 <= j < width else np.nan
