"""Inundation (淹没): ground and water surface by window → depth, what the river reaches, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.flood.strips import Cells
from spatial.catalog import Text
from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "BELOW",
    "DRY",
    "FLOODED",
    "NODATA",
    "RELEASED",
    "TITLES",
    "WATERS",
    "Ground",
    "LevelField",
    "depth_of",
    "probability_wet",
]

DRY = 0
FLOODED = 1
RELEASED = 2
BELOW = 3
WATERS = 4
NODATA = 255

TITLES: dict[int, Text] = {
    DRY: Text(zh="未淹没", en="dry"),
    FLOODED: Text(zh="淹没（与河道连通）", en="flooded, connected to the river"),
    RELEASED: Text(zh="因溃口、漫溢或分洪淹没", en="flooded through a breach, overtopping or opening"),
    BELOW: Text(zh="低于水位、不连通（堤防保护）", en="below the level, not connected (protected)"),
    WATERS: Text(zh="河湖水面", en="river or lake"),
    NODATA: Text(zh="无数据", en="no data"),
}
"""Code of the extent raster → meaning."""


def _depth(ground: Any, strip: Any, levels: Any, out: Any) -> bool:
    any_wet = False
    for r in range(ground.shape[0]):
        for c in range(ground.shape[1]):
            d = np.float32(levels[strip[r, c]] - ground[r, c])
            out[r, c] = d
            if d >= 0.0:
                any_wet = True
    return any_wet


def depth_of(ground: NDArray[Any], strip: NDArray[Any], levels: NDArray[np.float64]) -> NDArray[np.float32]:
    """Level minus ground.

    Formula: d = W(node(x)) − z(x).

    Parameters
    ----------
    ground : float (rows, cols), m; NaN = no data
    strip : unsigned or signed int (rows, cols)
        Number of the node of each cell, 0 = none.
    levels : float64 (nodes + 1,), m
        Level of each node; ``levels[0]`` is NaN.

    Returns
    -------
    float32, m; negative above the water, NaN without ground or node.

    Examples
    --------
    >>> depth_of(np.array([[1.0, 3.0]]), np.array([[1, 1]]), np.array([np.nan, 2.5])).tolist()
    [[1.5, -0.5]]
    """
    out = np.empty(ground.shape, np.float32)
    compiled(_depth)(ground, strip, np.asarray(levels, np.float64), out)
    return out


def probability_wet(depth: NDArray[Any], sigma_m: float) -> NDArray[np.float32]:
    """Probability that the ground lies below the level (淹没概率), from the errors of terrain and level.

    Formula: P = Φ((W − z)/σ), σ² = σ_terrain² + σ_level².

    Examples
    --------
    >>> [round(float(p), 4) for p in probability_wet(np.array([0.0, 0.5, -0.5]), 0.5)]
    [0.5, 0.8413, 0.1587]
    """
    if not sigma_m > 0:
        raise ValueError("sigma must be positive")
    from scipy.special import ndtr

    return np.asarray(ndtr(np.asarray(depth, np.float32) / np.float32(sigma_m)), np.float32)


@dataclass(frozen=True)
class Ground:
    """The terrain with the crests of dikes burnt in (raised) and breaches cut (lowered)."""

    read: Callable[[int, int, int, int], NDArray[np.float32]]
    raised: tuple[Cells, ...] = ()
    lowered: tuple[Cells, ...] = ()

    def window(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
        """Ground of a window, float32, m: max(z, crest), then min(·, sill); no data stays no data."""
        z = self.read(row, col, height, width)
        if self.raised or self.lowered:
            z = np.array(z, np.float32)
        for cells in self.raised:
            r, c, value = cells.within(row, col, height, width)
            np.maximum.at(z, (r, c), value.astype(np.float32))
        for cells in self.lowered:
            r, c, value = cells.within(row, col, height, width)
            np.minimum.at(z, (r, c), value.astype(np.float32))
        return z


@dataclass(frozen=True)
class LevelField:
    """Depth by window, for `connectivity.connect`."""

    ground: Ground
    strip: Any
    """Strip raster (array or mapped file)."""
    levels: NDArray[np.float64]
    """Level of each node, ``levels[0]`` NaN."""
    cap: tuple[Any, NDArray[np.float64]] | None = None
    """Zone raster (uint8, 0 = none) and the highest level in each zone (``[0]`` infinite): opened detention areas fill to
    their design level only."""

    def depth(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32] | None:
        """Level minus ground of a window; None where no cell has a node."""
        window = (slice(row, row + height), slice(col, col + width))
        strip = np.ascontiguousarray(self.strip[window])
        if not strip.any():
            return None
        z = self.ground.window(row, col, height, width)
        out = depth_of(z, strip, self.levels)
        if self.cap is not None:
            zones = self.cap[0][window]
            if zones.any():
                np.minimum(out, (self.cap[1][zones] - z).astype(np.float32), out=out)
        return out
