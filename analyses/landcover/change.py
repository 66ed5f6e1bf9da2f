"""Change between two land-cover maps (变化检测): the transition matrix and the kinds of change.

Only cells that both maps know are compared. What one map lacks is counted apart: a cloud is not a loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import GridMismatch, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Transitions", "class_codes"]

DM2 = 100
"""dm² in a m²: areas are added as integers, so that no sum depends on the order of the blocks."""


def class_codes(values: NDArray[Any], known: Sequence[int], *, layer: str) -> NDArray[np.uint8]:
    """Codes of a class raster as uint8, 0 = no data.

    Parameters
    ----------
    values : float array, NaN = no data
    known : sequence of int
        Codes of the scheme, 1–254. 0 counts as no data.

    Raises
    ------
    QualityViolation
        For a value that is not a code of the scheme (another legend, a continuous raster).

    Examples
    --------
    >>> class_codes(np.array([[1.0, np.nan], [0.0, 12.0]]), [1, 12], layer="m").tolist()
    [[1, 0], [0, 12]]
    """
    allowed = np.zeros(257, dtype=bool)
    allowed[[0, *known]] = True
    filled = np.where(np.isfinite(values), values, 0.0)
    place = np.where((filled >= 0) & (filled <= 255) & (filled == np.floor(filled)), filled, 256).astype(np.int64)
    if not allowed[place].all():
        wrong = np.unique(filled[~allowed[place]])[:10].tolist()
        raise QualityViolation(
            f"图层 {layer} 有不属于分类体系的值 {wrong}，应为 {sorted(known)}；请先转换编码",
            f"layer {layer} holds {wrong}, not of the scheme {sorted(known)}; recode it first",
            layer=layer,
            values=wrong,
        )
    return place.astype(np.uint8)


@dataclass
class Transitions:
    """Transition matrix (转移矩阵), filled block by block.

    Attributes
    ----------
    classes : tuple of int
        Codes, in the order of rows (earlier) and columns (later).
    area_dm2 : int64 (classes, classes)
        Ellipsoidal area, dm².
    cells : int64 (classes, classes)
    only_earlier_dm2, only_later_dm2 : int
        Area that one map alone knows.
    """

    classes: tuple[int, ...]
    area_dm2: NDArray[np.int64] = field(init=False)
    cells: NDArray[np.int64] = field(init=False)
    only_earlier_dm2: int = 0
    only_later_dm2: int = 0

    def __post_init__(self) -> None:
        n = len(self.classes)
        self.area_dm2 = np.zeros((n, n), dtype=np.int64)
        self.cells = np.zeros((n, n), dtype=np.int64)

    def add(self, earlier: NDArray[np.uint8], later: NDArray[np.uint8], cell_m2: NDArray[np.float64]) -> None:
        """Count one block.

        Parameters
        ----------
        earlier, later : uint8 (rows, cols)
            Codes from `class_codes`; 0 = no data.
        cell_m2 : float64 (rows,)
            Ellipsoidal area of a cell of each row.

        Raises
        ------
        GridMismatch
            If the blocks differ in shape.

        Examples
        --------
        >>> t = Transitions((1, 12))
        >>> t.add(np.array([[1, 1, 0]], np.uint8), np.array([[1, 12, 12]], np.uint8), np.array([900.0]))
        >>> t.cells.tolist(), t.only_later_dm2
        ([[1, 1], [0, 0]], 90000)
        """
        if earlier.shape != later.shape or earlier.shape[0] != cell_m2.size:
            raise GridMismatch(
                f"两期的块大小不同：{earlier.shape} 与 {later.shape}（{cell_m2.size} 行），请先重采样到同一格网",
                f"the two dates have blocks of {earlier.shape} and {later.shape} ({cell_m2.size} rows); resample them",
            )
        n = len(self.classes)
        place = np.full(256, n, dtype=np.int64)
        place[list(self.classes)] = np.arange(n)
        area = np.rint(cell_m2 * DM2).astype(np.int64)
        pair = place[earlier] * (n + 1) + place[later]
        for row in range(pair.shape[0]):
            counts = np.bincount(pair[row], minlength=(n + 1) ** 2).reshape(n + 1, n + 1)
            self.cells += counts[:n, :n]
            self.area_dm2 += counts[:n, :n] * area[row]
            self.only_earlier_dm2 += int(counts[:n, n].sum() * area[row])
            self.only_later_dm2 += int(counts[n, :n].sum() * area[row])

    @property
    def earlier_m2(self) -> NDArray[np.float64]:
        """Area of each class on the earlier date, common cells, m²."""
        return np.asarray(self.area_dm2.sum(axis=1) / DM2)

    @property
    def later_m2(self) -> NDArray[np.float64]:
        """Area of each class on the later date, common cells, m²."""
        return np.asarray(self.area_dm2.sum(axis=0) / DM2)

    @property
    def common_m2(self) -> float:
        """Area that both maps know, m²."""
        return float(self.area_dm2.sum() / DM2)
