"""Limits that ecology takes from the whole run before its blocks: NDVI percentiles, least and greatest NPP factors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.assembly import Prepared
from analyses.assessment import Block, Source, Terrain
from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.ecology import EcologyEngine, ndvi_limits
from analyses.ecology_rules import EcologicalRules
from analyses.fields import band_of
from analyses.grading import quantise
from analyses.npp import NPP_NEEDS, Extent
from analyses.ranking import ServiceHistogram, value_range
from spatial.jobs.contract import Axis, Inputs, RasterInput
from spatial.units import cell_row_areas, whole_dm2

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NDVI_STEP", "limits_of_ndvi", "limits_of_npp"]

NDVI_STEP = 2.0**-10


def _counted(inputs: Inputs, rules: EcologicalRules, raster: RasterInput) -> NDArray[np.uint8] | None:
    """0 for cells of the raster whose centre is land that does not tell of vegetation (water), by land use."""
    if "land_use" not in inputs.rasters:
        return None
    land_use = inputs.rasters["land_use"]

    def run_cells(axis: Axis, count: int) -> NDArray[np.int64]:
        """Cells of the run's grid, also beyond it, that hold the centres of the raster's cells."""
        at = (np.arange(count) - axis.start) / axis.step - axis.origin
        return np.floor(np.round(at, 9) + 0.5).astype(np.int64)

    rows, cols = (run_cells(a, n) for a, n in zip(raster.axes(), raster.source_shape, strict=True))
    first, width = int(cols.min()), int(cols.max() - cols.min()) + 1
    # Line by line: land use at 30 m would take gigabytes as a whole.
    held = np.stack([land_use.read(int(row), first, 1, width)[0, cols - first] for row in rows])
    return (~np.isin(held, list(rules.cover.excluded))).astype(np.uint8)


def limits_of_ndvi(inputs: Inputs, rules: EcologicalRules) -> tuple[float, float]:
    """NDVI of bare soil and of full vegetation: percentiles of the whole NDVI raster, weighted by area."""
    raster = inputs.rasters["ndvi"]
    values = quantise(raster.source(band=band_of(raster, "ndvi_max")), NDVI_STEP)
    grid, (rows, _) = inputs.grid, raster.axes()
    height = -grid.affine.e / abs(rows.step)
    centre = grid.affine.f + grid.affine.e * ((0 - rows.start) / rows.step - rows.origin + 0.5)
    areas = cell_row_areas(round(centre + height / 2, 9), height, height, values.shape[0])
    histogram = ServiceHistogram(NDVI_STEP)
    histogram.add(values, whole_dm2(areas), _counted(inputs, rules, raster))
    return ndvi_limits(histogram, rules, layer=raster.layer_id)


@dataclass(frozen=True)
class _Extremes:
    """Least and greatest of some quantities in one block (see `BlockWork`)."""

    terrain: Terrain
    engine: EcologyEngine
    quantities: Mapping[str, Source]
    names: tuple[str, ...]

    def __call__(self, window: Window, given: Arrays) -> dict[str, NDArray[Any]]:
        """Quantity → its two ends, left out where it has no value inside."""
        block = Block(window, given, self.terrain)
        inside = given.get("inside")

        def read(name: str) -> NDArray[Any]:
            return block.once(name, partial(self.quantities[name], block))

        found = {}
        for name in self.names:
            values = self.engine.quantity(name, read, part=True)
            ends = value_range(values if inside is None else np.where(inside == 0, np.nan, values))
            if ends is not None:
                found[name] = np.array(ends)
        return found


def limits_of_npp(
    inputs: Inputs,
    prepared: Prepared,
    engine: EcologyEngine,
    quantities: Mapping[str, Source],
    services: Sequence[str],
    *,
    block: int = 1024,
) -> dict[str, tuple[float, float]]:
    """Least and greatest of each quantity of the NPP services over the run's extent: a light pass over its blocks.

    Quantities with the same ends everywhere stay in: normalising them is refused by name (`npp_service`).
    """
    names = tuple(dict.fromkeys(q for service in services for q in NPP_NEEDS[service][1:]))
    extent = Extent()

    def given(window: Window) -> Arrays:
        row, col, height, width = window
        return {
            name: np.asarray(mask[row : row + height, col : col + width])
            for name, mask in prepared.masks.items()
            if not callable(mask)
        }

    run_blocks(
        _Extremes(prepared.terrain, engine, quantities, names),
        [w for w in block_windows(*inputs.grid.shape.yx, block) if _any_inside(prepared.inside, w)],
        on_result=lambda _, ends: extent.add(ends),
        given=given,
        threads=inputs.threads,
        scheduler=inputs.scheduler,
    )
    for name, ends in extent.limits.items():
        engine.check(name, np.array(ends))  # all blocks together: now the largest value tells the unit
    return dict(extent.limits)


def _any_inside(inside: NDArray[np.uint8] | None, window: Window) -> bool:
    row, col, height, width = window
    return inside is None or bool(inside[row : row + height, col : col + width].any())
