"""Controlling crest (控制高程): how high water must stand to leave the river for a place, by the lowest way.

Formula: e(x) = min over paths from the river to x of the highest ground along the path, 8-connected; found by flooding from the
river in the order of the ground (Barnes, Lehman & Mulla 2014, doi 10.1016/j.cageo.2013.04.024).
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["spill_heights"]


def _spill(ground: Any, source: Any, out: Any) -> None:
    rows, cols = ground.shape
    heap = [(np.float32(0.0), 0)]
    heap.pop()
    for r in range(rows):
        for c in range(cols):
            if source[r, c]:
                out[r, c] = ground[r, c]
                rim = False
                for dr in range(-1, 2):
                    for dc in range(-1, 2):
                        a, b = r + dr, c + dc
                        if 0 <= a < rows and 0 <= b < cols and not source[a, b]:
                            rim = True
                if rim:
                    heapq.heappush(heap, (np.float32(-np.inf), r * cols + c))
            else:
                out[r, c] = np.nan
    while len(heap) > 0:
        height, cell = heapq.heappop(heap)
        r, c = cell // cols, cell % cols
        for dr in range(-1, 2):
            for dc in range(-1, 2):
                a, b = r + dr, c + dc
                if a < 0 or b < 0 or a >= rows or b >= cols:
                    continue
                z = ground[a, b]
                if source[a, b] or z != z or out[a, b] == out[a, b]:
                    continue
                high = z if z > height else height
                out[a, b] = high
                heapq.heappush(heap, (high, a * cols + b))


def spill_heights(ground: NDArray[Any], source: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Lowest height at which water leaves `source` and comes to each cell.

    Parameters
    ----------
    ground : float (rows, cols), m
        With the crests of dikes; NaN = no data, no way leads through it.
    source : bool (rows, cols)
        Cells that the river reaches.

    Returns
    -------
    float32, m; the ground itself on source cells, NaN where no way leads.

    Examples
    --------
    >>> spill_heights(np.array([[1.0, 5.0, 2.0, 3.0]]), np.array([[True, False, False, False]])).tolist()
    [[1.0, 5.0, 5.0, 5.0]]
    """
    z = np.ascontiguousarray(ground, dtype=np.float32)
    out = np.empty(z.shape, np.float32)
    compiled(_spill)(z, np.ascontiguousarray(source), out)
    return out
