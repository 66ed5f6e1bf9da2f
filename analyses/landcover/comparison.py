"""Comparing two class maps block by block (逐块比较): the work that every change analysis does with a block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from analyses.blocks import Arrays, Window
from analyses.landcover.change import class_codes
from analyses.windows import read_window

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spatial.jobs.contract import RasterInput

__all__ = ["CompareMaps"]


@dataclass(frozen=True)
class CompareMaps:
    """Codes of both maps and the kind of change of a block; see `analyses.blocks.BlockWork`."""

    earlier: RasterInput
    later: RasterInput
    kinds: NDArray[np.uint8]
    codes: tuple[int, ...]

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        before, after = (
            class_codes(read_window(raster, *window), self.codes, layer=raster.layer_id)
            for raster in (self.earlier, self.later)
        )
        return {"earlier": before, "later": after, "change": self.kinds[before, after]}
