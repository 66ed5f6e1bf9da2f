"""Where factor values come from (因子来源): from the terrain, from coarse fields, from climate with the terrain under it.

Each source is small, can be sent to another process, and gives the same value for a cell in every block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.assessment import Block
from analyses.climate import Positions, accumulated_temperature, comfort, interpolate, positions
from analyses.fields import Values
from analyses.grading import LevelTable, quantise
from analyses.windows import read_window
from spatial.jobs.contract import Axis, RasterInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "AccumulatedTemperature",
    "Climate",
    "Comfort",
    "FromField",
    "OfTerrain",
    "climate_of",
    "reference_elevation",
]

_SAMPLES = 16
"""Terrain cells looked at along one side of a climate cell to find the height that it stands for."""


@dataclass(frozen=True)
class OfTerrain:
    """Elevation (高程), slope (坡度) or relief (起伏度) of the block itself."""

    name: Literal["elevation", "slope", "relief"]

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, m or degrees."""
        values: NDArray[Any] = getattr(block, self.name)
        return values


@dataclass(frozen=True)
class FromField:
    """A coarse field read at the cells, times a factor, rounded to a step."""

    values: Values
    times: float = 1.0
    step: float | None = None

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, NaN = no value."""
        found = self.values.block(*block.window)
        if self.times != 1.0:
            found = (found.astype(np.float64) * self.times).astype(np.float32)
        return found if self.step is None else quantise(found, self.step)


@dataclass(frozen=True)
class Climate:
    """Monthly fields on their own grid, and the height that each of their cells stands for.

    Attributes
    ----------
    monthly : float64 (12, r, c)
    reference : float64 (r, c), m
    rows, cols : Axis
    """

    monthly: NDArray[np.float64]
    reference: NDArray[np.float64]
    rows: Axis
    cols: Axis

    def positions(self, block: Block) -> Positions:
        """Where the block's rows and columns lie on the climate grid."""
        r, c = self.monthly.shape[1:]
        return positions((self.rows, self.cols), (r, c), block.window)


@dataclass(frozen=True)
class AccumulatedTemperature:
    """Accumulated temperature (积温), ℃·d, of months of at least `base_c`, the lapse rate applied before summing."""

    climate: Climate
    lapse_c_per_100m: float
    base_c: float = 0.0

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, ℃·d."""
        at = self.climate.positions(block)
        return accumulated_temperature(
            self.climate.monthly,
            block.elevation,
            self.climate.reference,
            at,
            lapse_c_per_100m=self.lapse_c_per_100m,
            base_c=self.base_c,
        )


@dataclass(frozen=True)
class Comfort:
    """Comfort (舒适度): the most frequent monthly level of the temperature–humidity index."""

    climate: Climate
    humidity: Climate
    """Monthly humidity, share 0–1; its reference height plays no part."""
    table: LevelTable
    lapse_c_per_100m: float

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32, level 1–7."""
        return comfort(
            self.climate.monthly,
            self.humidity.monthly,
            block.elevation,
            self.climate.reference,
            self.climate.positions(block),
            self.table,
            at_humidity=self.humidity.positions(block),
            lapse_c_per_100m=self.lapse_c_per_100m,
        )


def reference_elevation(dem: RasterInput, climate: RasterInput) -> NDArray[np.float64]:
    """Mean elevation of the whole elevation model under each cell of a climate raster, float64 (r, c), m.

    The whole model, not the run's window, so that a run on a part of the province agrees with a run on all of it. In each
    climate cell at most about 16 × 16 terrain cells on a fixed lattice are looked at.
    """
    rows, cols = dem.source_shape
    down, right = dem.axes()
    to_row, to_col = climate.axes()
    stride = max(1, int(1 / abs(to_row.step) / _SAMPLES))
    grid = climate.source_shape
    total = np.zeros(grid, dtype=np.int64)
    count = np.zeros(grid, dtype=np.int64)
    # Run cell of the model's own first cell: the inverse of i → (origin + i) · 1 + start.
    first_row, first_col = -down.origin - round(down.start), -right.origin - round(right.start)
    at_col = np.floor(to_col.positions(first_col, cols)[::stride] + 0.5).astype(np.int64)
    near = (at_col >= 0) & (at_col < grid[1])
    for row in range(0, rows, stride):
        at_row = int(np.floor(to_row.positions(first_row + row, 1)[0] + 0.5))
        if not 0 <= at_row < grid[0]:
            continue
        line = read_window(dem, first_row + row, first_col, 1, cols)[0, ::stride].astype(np.float64)
        known = near & np.isfinite(line)
        # Whole 1/64 m, so that no order of adding changes the mean.
        np.add.at(total[at_row], at_col[known], np.rint(line[known] * 64).astype(np.int64))
        np.add.at(count[at_row], at_col[known], 1)
    if not count.any():
        return np.full(grid, np.nan)
    whole = int(total.sum()) / int(count.sum()) / 64
    return np.where(count > 0, total / np.maximum(count, 1) / 64, whole)


def climate_of(raster: RasterInput, monthly: NDArray[np.float64], reference: NDArray[np.float64]) -> Climate:
    """Monthly fields (12, r, c) of a raster with the axes of that raster."""
    return Climate(np.asarray(monthly, dtype=np.float64), reference, *raster.axes())


def onto(values: NDArray[np.float64], rows: Axis, cols: Axis, target: Climate) -> NDArray[np.float64]:
    """Fields of another grid read at the cell centres of a climate grid; beyond their edge the edge holds.

    Parameters
    ----------
    values : float64 (…, r, c)
    rows, cols : Axis
        Of `values`, as of the run's grid.

    Returns
    -------
    float64 (…, r', c') on the grid of `target`
    """
    down, right = target.monthly.shape[1:]
    # Centre k of the target lies at run cell (k − start) / step − origin; from there to the other grid.
    at_row = ((np.arange(down) - target.rows.start) / target.rows.step) * rows.step + rows.start
    at_col = ((np.arange(right) - target.cols.start) / target.cols.step) * cols.step + cols.start
    return interpolate(values, Positions(at_row.clip(0, values.shape[-2] - 1), at_col.clip(0, values.shape[-1] - 1)))
