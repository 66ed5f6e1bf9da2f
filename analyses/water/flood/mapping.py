"""One level mapped: what the river reaches with whole dikes, what the scenario adds, and what stays dry behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.masks import release, scratch_array
from analyses.water.flood.connectivity import Connected, connect
from analyses.water.flood.crest import spill_by_blocks
from analyses.water.flood.inundation import BELOW, DRY, FLOODED, NODATA, RELEASED, WATERS, Ground, LevelField
from analyses.water.flood.strips import Cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["LevelMap", "Reach", "level_map", "spill_of"]

WALL_M = 1e6
"""A dike that nothing crosses."""


@dataclass(frozen=True)
class Reach:
    """What all levels of a run share."""

    shape: tuple[int, int]
    row_areas_m2: NDArray[np.float64]
    seeds: Cells
    strip: Any
    read: Callable[[int, int, int, int], NDArray[np.float32]]
    crest: Cells | None
    cuts: tuple[Cells, ...]
    cap: tuple[Any, NDArray[np.float64]] | None
    block: int
    threads: int
    minimum_m2: float

    @property
    def ground(self) -> Ground:
        """Terrain with crests and the cuts of the scenario."""
        return Ground(self.read, () if self.crest is None else (self.crest,), self.cuts)

    @property
    def walled(self) -> Ground:
        """Terrain with dikes that nothing crosses and no cut: the river between its dikes."""
        if self.crest is None:
            return Ground(self.read)
        wall = replace(self.crest, value=np.full(self.crest.size, WALL_M))
        return Ground(self.read, (wall,))


@dataclass(frozen=True)
class LevelMap:
    """The map of one level (arrays of the run's grid, mapped files)."""

    codes: Any
    """uint8, see `inundation.TITLES`."""
    depth: Any
    """float32, m, where the river comes; NaN elsewhere."""
    found: Connected
    between_dikes_m2: float


def _reached(field: LevelField, reach: Reach, put: Any, progress: Any) -> Connected:
    return connect(
        field.depth,
        reach.shape,
        reach.seeds,
        reach.row_areas_m2,
        put=put,
        block=reach.block,
        threads=reach.threads,
        minimum_m2=reach.minimum_m2,
        progress=progress,
    )


def level_map(
    reach: Reach,
    levels: NDArray[np.float64],
    scratch: str,
    name: str,
    *,
    water: Callable[[int, int, int, int], NDArray[np.bool_] | None] | None = None,
    progress: Callable[[float], None] | None = None,
) -> LevelMap:
    """Map one level.

    A cell is FLOODED if the river reaches it with dikes that nothing crosses, RELEASED if only the dikes as they are (crest
    heights, breaches, opened areas) let the water in, BELOW if it lies below the level and no water comes, WATERS where a flooded
    cell is a river or lake by the land cover, NODATA without terrain or strip.

    Parameters
    ----------
    levels : float64 (nodes + 1,)
        See `inundation.depth_of`.
    water : callable, optional
        Waters by the land cover in a window.
    """
    codes = scratch_array(scratch, f"codes-{name}", reach.shape, np.uint8)
    depth = scratch_array(scratch, f"depth-{name}", reach.shape, np.float32)
    between: Connected | None = None

    def keep(row: int, col: int, d: Any, out: Any) -> None:
        if out is not None:
            codes[row : row + out.shape[0], col : col + out.shape[1]] = out
        if col + reach.block >= reach.shape[1]:
            release(codes, reach.strip)

    def half(begin: float) -> Callable[[float], None] | None:
        return None if progress is None else lambda share: progress(begin + share / 2)

    if reach.crest is not None:
        between = _reached(LevelField(reach.walled, reach.strip, levels), reach, keep, half(0.0))
    actual = LevelField(reach.ground, reach.strip, levels, reach.cap)

    def settle(row: int, col: int, d: Any, out: Any) -> None:
        high = min(reach.block, reach.shape[0] - row)
        wide = min(reach.block, reach.shape[1] - col)
        window = (slice(row, row + high), slice(col, col + wide))
        if d is None:
            codes[window] = NODATA
            depth[window] = np.nan
            return
        by_river = np.asarray(codes[window]) > 0
        code = np.where(np.isnan(d), NODATA, DRY).astype(np.uint8)
        code[d >= 0] = BELOW
        if out is not None:
            code[out] = RELEASED
            code[out if between is None else out & by_river] = FLOODED
            if water is not None and (known := water(row, col, high, wide)) is not None:
                code[out & known & (code == FLOODED)] = WATERS
        depth[window] = np.nan if out is None else np.where(out, d, np.float32(np.nan))
        codes[window] = code
        if row + high >= reach.shape[0] or col + wide >= reach.shape[1]:  # now and then: at the end of a line of blocks
            release(codes, depth, reach.strip)

    found = _reached(actual, reach, settle, half(0.5))
    release(codes, depth)
    return LevelMap(codes, depth, found, found.area_m2 if between is None else between.area_m2)


def spill_of(reach: Reach, codes: Any, scratch: str, name: str, progress: Callable[[float], None] | None = None) -> Any:
    """Height at which water of the river comes to each cell (float32, m, mapped file), for the map `codes`.

    No way leads through cells without ground or strip: nothing is said of the water there.
    """
    out = scratch_array(scratch, f"spill-{name}", reach.shape, np.float32)
    label = scratch_array(scratch, "spill-labels", reach.shape, np.uint16)
    ground = reach.ground

    def read(row: int, col: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
        window = (slice(row, row + height), slice(col, col + width))
        known = np.asarray(reach.strip[window]) > 0
        if not known.any():
            return None
        code = np.asarray(codes[window])
        z = np.where(known, ground.window(row, col, height, width), np.float32(np.nan))
        return z, (code == FLOODED) | (code == RELEASED) | (code == WATERS)

    spill_by_blocks(read, out, label, block=min(reach.block, 2048), threads=reach.threads, progress=progress)
    release(out, label, codes, reach.strip)
    return out
