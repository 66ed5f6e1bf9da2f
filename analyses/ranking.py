"""Ranking by cumulative share (累计服务量) and percentiles of a raster that is read by block, bit for bit.

Values are multiples of a power of two, so a histogram of whole areas (dm² as int64) holds everything that a ranking
needs. Histograms of blocks add up in any order; shares are compared in whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from spatial.compiled import compiled
from spatial.errors import GridMismatch, InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST_BINS", "ServiceHistogram", "Thresholds"]

MOST_BINS = 1 << 22
"""Values beyond this many steps are no plausible factor."""


def _range_of(values: Any) -> tuple[float, float]:
    low = np.inf
    high = -np.inf
    for v in values:
        if v == v:
            low = min(low, v)
            high = max(high, v)
    return low, high


def value_range(values: NDArray[Any]) -> tuple[float, float] | None:
    """Least and greatest value, NaN left out; None if there is none."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.size == 0:
        return None
    low, high = compiled(_range_of)(flat)
    return None if low > high else (float(low), float(high))


def _collect(values: Any, areas: Any, mask: Any, per_step: Any, first: Any, bins: Any) -> None:
    rows, cols = values.shape
    masked = mask.size > 0
    for i in range(rows):
        for j in range(cols):
            v = values[i, j]
            if v == v and not (masked and mask[i, j] == 0):
                bins[int(np.rint(v * per_step)) - first] += areas[i]


def _collect_packed(packed: Any, areas: Any, first: Any, bins: Any) -> None:
    rows, cols = packed.shape
    for i in range(rows):
        for j in range(cols):
            if packed[i, j] != 65535:
                bins[int(packed[i, j]) - first] += areas[i]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits of a service: value ≥ `extremely` is 极重要, ≥ `important` 重要; what the classes really hold.

    `extremely` is above every value if even the highest value alone exceeds the share.
    """

    extremely: float
    important: float
    total: float
    """Σ value × area over all cells: unit of the value × m²."""
    shares: tuple[float, float]
    """Share of the total at or above each limit."""
    area_shares: tuple[float, float]
    """Share of the area (of cells with a value) at or above each limit."""
    distinct: int
    """Number of different values above 0; a ranking of few values is coarse."""


class ServiceHistogram:
    """Area by value of one factor, over any number of blocks.

    Parameters
    ----------
    step : float
        Values are multiples of it.

    Examples
    --------
    >>> h = ServiceHistogram(1.0)
    >>> h.add(np.array([[4.0, 3.0, 2.0, 1.0, 0.0]], np.float32), np.array([100]))
    >>> t = h.thresholds(0.5, 0.8)   # total 10: 4 is 40 %, 4 + 3 is 70 %, 4 + 3 + 2 is 90 %
    >>> t.extremely, t.important, t.shares
    (4.0, 3.0, (0.4, 0.7))
    """

    def __init__(self, step: float) -> None:
        self.step = step
        self.first = 0
        self.bins: NDArray[np.int64] = np.zeros(0, dtype=np.int64)

    def _widen(self, low: int, high: int) -> None:
        if high - low >= MOST_BINS:
            raise QualityViolation(
                f"值域 {low * self.step:g}–{high * self.step:g} 超出可排序的范围（步长 {self.step:g}），请检查输入的单位",
                f"values from {low * self.step:g} to {high * self.step:g} are more than can be ranked (step {self.step:g}); "
                "check the units of the inputs",
            )
        if self.bins.size == 0:
            self.first, self.bins = low, np.zeros(high - low + 1, dtype=np.int64)
            return
        first, last = min(low, self.first), max(high, self.first + self.bins.size - 1)
        if first < self.first or last >= self.first + self.bins.size:
            wider = np.zeros(last - first + 1, dtype=np.int64)
            wider[self.first - first : self.first - first + self.bins.size] = self.bins
            self.first, self.bins = first, wider

    def add(self, values: NDArray[Any], areas: NDArray[Any], mask: NDArray[Any] | None = None) -> None:
        """Add a block.

        Parameters
        ----------
        values : float32 (rows, cols)
            Multiples of `step`; NaN is left out.
        areas : int64 (rows,), dm²
            Area of a cell of each row (`spatial.units.whole_dm2`).
        mask : uint8 or bool (rows, cols), optional
            Cells where it is 0 are left out.
        """
        block = np.ascontiguousarray(values, dtype=np.float32)
        rows = np.asarray(areas, dtype=np.int64)
        inside = np.zeros((0, 0), np.uint8) if mask is None else np.ascontiguousarray(mask).astype(np.uint8, copy=False)
        self._same_shape(rows, block.shape, block.shape if mask is None else inside.shape)
        found = value_range(block)
        if found is None:
            return
        self._widen(round(found[0] / self.step), round(found[1] / self.step))
        compiled(_collect)(block, rows, inside, 1 / self.step, self.first, self.bins)

    def add_packed(self, packed: NDArray[np.uint16], areas: NDArray[Any]) -> None:
        """Add a block of whole steps (uint16, 65535 = no value), as it is kept between two passes."""
        block = np.ascontiguousarray(packed)
        rows = np.asarray(areas, dtype=np.int64)
        self._same_shape(rows, block.shape, block.shape)
        if block.size == 0:
            return
        most = int(block.max(where=block != 65535, initial=0))
        if (block == 65535).all():
            return
        self._widen(0, most)
        compiled(_collect_packed)(block, rows, self.first, self.bins)

    @staticmethod
    def _same_shape(rows: NDArray[Any], block: tuple[int, ...], mask: tuple[int, ...]) -> None:
        if rows.shape != block[:1] or mask != block:
            raise GridMismatch(
                f"面积应为每行一个（{block[0]}），掩膜应与数据同形 {block}；得到 {rows.shape}、{mask}",
                f"one area a row ({block[0]}) and a mask of shape {block}; got {rows.shape}, {mask}",
            )

    def merge(self, other: Self) -> None:
        """Add the histogram of other blocks.

        Raises
        ------
        InvalidParameter
            If the steps differ.
        """
        if other.step != self.step:
            raise InvalidParameter(
                f"两个直方图的步长不同：{self.step:g} 与 {other.step:g}",
                f"the histograms have different steps: {self.step:g} and {other.step:g}",
                parameter="step",
            )
        if other.bins.size:
            self._widen(other.first, other.first + other.bins.size - 1)
            start = other.first - self.first
            self.bins[start : start + other.bins.size] += other.bins

    def document(self) -> dict[str, Any]:
        """As JSON, for a worker's answer; `from_document` makes it again."""
        return {"step": self.step, "first": self.first, "bins": self.bins.tolist()}

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """A histogram out of its `document`."""
        found = cls(document["step"])
        found.first, found.bins = document["first"], np.array(document["bins"], dtype=np.int64)
        return found

    @property
    def area(self) -> int:
        """Area of all cells with a value, dm²."""
        return sum(self.bins.tolist())

    def percentile(self, share: float) -> float | None:
        """Least value below or at which at least `share` of the area lies; None without data.

        >>> h = ServiceHistogram(0.25)
        >>> h.add(np.array([[0.0, 0.25, 0.5, 1.0]], np.float32), np.array([1]))
        >>> h.percentile(0.5), h.percentile(0.75)
        (0.25, 0.5)
        """
        wanted = Fraction(str(share)) * self.area
        reached = 0
        for k, area in enumerate(self.bins.tolist()):
            reached += area
            if area and reached >= wanted:
                return (self.first + k) * self.step
        return None

    def thresholds(self, extremely: float, important: float) -> Thresholds | None:
        """Limits of the classes: cells from the highest value down, as long as their sum is within the share.

        All cells of one value are in one class. None if the total is 0: nothing can be ranked.

        Parameters
        ----------
        extremely, important : float, 0–1
            Cumulative shares of the total (0.5 and 0.8 in the guide).

        Source: 双评价指南（2020-01 试行）附录：按服务量由高到低累计。
        """
        if not 0 < extremely < important < 1:
            raise InvalidParameter(
                f"累计份额应满足 0 < 极重要 < 重要 < 1，得到 {extremely:g}、{important:g}",
                f"cumulative shares must be 0 < extremely < important < 1, got {extremely:g} and {important:g}",
                parameter="shares",
            )
        counts = [(self.first + k, a) for k, a in enumerate(self.bins.tolist()) if a and self.first + k > 0]
        total = sum(k * a for k, a in counts)  # Python's whole numbers: 10¹⁹ and more on a province
        if total == 0:
            return None
        limits: list[int] = []
        held: list[tuple[Fraction, Fraction]] = []
        for share in (extremely, important):
            most = Fraction(str(share)) * total
            reached, area, limit = 0, 0, counts[-1][0] + 1
            for k, a in reversed(counts):
                if reached + k * a > most:
                    break
                reached, area, limit = reached + k * a, area + a, k
            limits.append(limit)
            held.append((Fraction(reached, total), Fraction(area, self.area)))
        return Thresholds(
            limits[0] * self.step,
            limits[1] * self.step,
            float(Fraction(total) * Fraction(self.step) / 100),
            (float(held[0][0]), float(held[1][0])),
            (float(held[0][1]), float(held[1][1])),
            len(counts),
        )
