"""Water frequency (水体频率) of a stack of water maps: how often a cell was wet, and how often it was seen at all.

One pass by block: the scenes of a block are read one after the other and added to counts, so memory is set by the block and
the number of years, never by the number of scenes. Blocks are independent: any order, any thread, any worker, the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.blocks import block_windows, run_blocks
from analyses.water.bodies.rules import WaterBodyRules
from analyses.water.occurrence.stack import ClassStack, Observation, observations, read_observation
from analyses.water.occurrence.transitions import Transitions, transitions
from spatial.compiled import compiled
from spatial.errors import LayerEmpty, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Frequency", "FrequencyReport", "FrequencyWork", "block_frequency", "share_wet", "water_frequency"]

BLOCK = 512
"""Side of a block: the tile of the COGs, so that each tile is decoded once."""


@dataclass(frozen=True, slots=True)
class Frequency:
    """Counts of a window (频率与有效次数); the clear count stands beside every wet count."""

    wet: NDArray[np.uint16]
    """Observations with water, (rows, cols)."""
    clear: NDArray[np.uint16]
    """Observations of the ground, wet or dry."""
    monthly_wet: NDArray[np.uint16]
    """By calendar month, (12, rows, cols), all years."""
    monthly_clear: NDArray[np.uint16]
    annual_wet: NDArray[np.uint16]
    """By year, (years, rows, cols)."""
    annual_clear: NDArray[np.uint16]
    wet_months: NDArray[np.uint16]
    """By year: bit m − 1 is set when month m was wet."""
    valid_months: NDArray[np.uint16]
    years: tuple[int, ...]
    disagreements: int
    """Cells on which scenes of one day disagreed, over all days."""

    @property
    def share(self) -> NDArray[np.float32]:
        """Wet share of the clear observations, 0–1; NaN where the cell was never seen."""
        return share_wet(self.wet, self.clear)

    def seasonality(self, month_wet_share: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Calendar months with water (有水月数, 0–12) and calendar months seen at all (0–12).

        A month has water when its wet share over all years is at least `month_wet_share`.
        """
        seen = self.monthly_clear > 0
        wet = seen & (self.monthly_wet >= np.float64(month_wet_share) * self.monthly_clear)
        wet &= self.monthly_wet > 0
        return wet.sum(axis=0).astype(np.uint8), seen.sum(axis=0).astype(np.uint8)

    def transitions(self, least_valid_months: int) -> Transitions:
        """JRC transition classes and recurrence (`analyses.water.occurrence.transitions`)."""
        years = np.array(self.years, dtype=np.int16)
        return transitions(self.wet_months, self.valid_months, years, least_valid_months=least_valid_months)


@dataclass(frozen=True)
class FrequencyReport:
    """What was counted: for the provenance of the result."""

    observations: tuple[Observation, ...]
    merged: tuple[Observation, ...]
    """Days of which several scenes were merged (同日多景)."""
    disagreements: int
    clear_cells: int
    """Sum of the clear counts of all cells."""
    cells: int

    @property
    def clear_share(self) -> float:
        """Share of all cell-days that were seen."""
        return self.clear_cells / (self.cells * len(self.observations))


def share_wet(wet: NDArray[Any], clear: NDArray[Any]) -> NDArray[np.float32]:
    """Wet share f = wet / clear, float32, 0–1; NaN where clear is 0. rint(f × clear) = wet, exactly, below 65,536 looks.

    Examples
    --------
    >>> share_wet(np.array([1, 0, 0], np.uint16), np.array([4, 3, 0], np.uint16)).tolist()
    [0.25, 0.0, nan]
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.asarray(wet, np.float32) / np.asarray(clear, np.float32), dtype=np.float32)


def _count(codes: Any, wet: Any, clear: Any) -> Any:
    """Add one observation to the counts of its month; number of cells with an unknown code."""
    strange = np.int64(0)
    for r in range(codes.shape[0]):
        for c in range(codes.shape[1]):
            code = codes[r, c]
            water = np.uint8(code == 1) | np.uint8(code == 2)
            wet[r, c] += water
            clear[r, c] += np.uint8(code < 250)
            strange += np.int64(np.uint8(code > 4) & np.uint8(code < 250))
    return strange


def _fold(
    wet: Any, clear: Any, bit: Any, need: float,
    total_wet: Any, total_clear: Any, month_wet: Any, month_clear: Any, year_wet: Any, year_clear: Any, wet_bits: Any,
    valid_bits: Any,
) -> None:  # fmt: skip
    """Add the counts of one month of one year to all sums and set them to 0."""
    for r in range(wet.shape[0]):
        for c in range(wet.shape[1]):
            seen = np.uint16(clear[r, c])
            water = np.uint16(wet[r, c])
            total_wet[r, c] += water
            total_clear[r, c] += seen
            month_wet[r, c] += water
            month_clear[r, c] += seen
            year_wet[r, c] += water
            year_clear[r, c] += seen
            valid_bits[r, c] |= bit if seen > 0 else np.uint16(0)
            wet_bits[r, c] |= bit if water > 0 and water >= need * seen else np.uint16(0)
            wet[r, c] = 0
            clear[r, c] = 0


def block_frequency(
    stack: ClassStack, days: Sequence[Observation], window: tuple[int, int, int, int], *, month_wet_share: float
) -> Frequency:
    """Counts of one window (分块频率).

    Parameters
    ----------
    stack : ClassStack
    days : observations in the order of time (`stack.observations`)
    window : (row, col, height, width)
    month_wet_share : float
        From this share of its clear observations on, a month of a year is wet.

    Raises
    ------
    QualityViolation
        When a map holds a value that is no code of a water map.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> from analyses.water.occurrence.stack import ArrayStack, observations
    >>> maps = np.array([[[1, 0, 253]], [[2, 3, 253]], [[0, 1, 253]]], np.uint8)
    >>> dates = [datetime(2024, m, 1, 3, tzinfo=UTC) for m in (1, 2, 7)]
    >>> found = block_frequency(ArrayStack(maps, dates), observations(dates), (0, 0, 1, 3), month_wet_share=0.5)
    >>> found.wet.tolist(), found.clear.tolist()
    ([[2, 1, 0]], [[3, 3, 0]])
    """
    row, col, height, width = window
    shape = (height, width)
    years = tuple(sorted({day.day.year for day in days}))
    place = {year: i for i, year in enumerate(years)}
    wet_all, clear_all = np.zeros(shape, np.uint16), np.zeros(shape, np.uint16)
    monthly_wet, monthly_clear = np.zeros((12, *shape), np.uint16), np.zeros((12, *shape), np.uint16)
    annual_wet, annual_clear, wet_months, valid_months = (np.zeros((len(years), *shape), np.uint16) for _ in range(4))
    count, fold = compiled(_count), compiled(_fold)
    # At most 31 observations a month: a byte holds them.
    wet, clear = np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    disagreements = 0
    for number, day in enumerate(days):
        codes, disagree = read_observation(stack, day, row, col, height, width)
        disagreements += disagree
        strange = int(count(np.ascontiguousarray(codes), wet, clear))
        if strange:
            values = np.unique(codes[(codes > 4) & (codes < 250)])
            raise QualityViolation(
                f"{day.day} 的水体分类含未知编码 {values[:5].tolist()}（{strange} 个像元），应为 0–4 或 250–255",
                f"water map of {day.day} holds unknown codes {values[:5].tolist()} ({strange} cells); expected 0–4 or 250–255",
            )
        after = days[number + 1].day if number + 1 < len(days) else None
        if after is None or (after.year, after.month) != (day.day.year, day.day.month):
            m, y = day.day.month - 1, place[day.day.year]
            fold(
                wet, clear, np.uint16(1 << m), month_wet_share, wet_all, clear_all, monthly_wet[m], monthly_clear[m],
                annual_wet[y], annual_clear[y], wet_months[y], valid_months[y],
            )  # fmt: skip
    return Frequency(
        wet_all,
        clear_all,
        monthly_wet,
        monthly_clear,
        annual_wet,
        annual_clear,
        wet_months,
        valid_months,
        years,
        disagreements,
    )


@dataclass(frozen=True)
class FrequencyWork:
    """The work of a block for `analyses.blocks.run_blocks`; can be pickled when the stack can."""

    stack: ClassStack
    days: tuple[Observation, ...]
    month_wet_share: float
    seasonal_share: float
    least_valid_months: int

    def __call__(self, window: tuple[int, int, int, int], given: Mapping[str, Any]) -> dict[str, Any]:
        """Arrays by name: ``wet clear frequency monthly_wet monthly_clear annual_wet annual_clear seasonality months_seen
        transition recurrence years`` and the number ``disagreements``.
        """
        found = block_frequency(self.stack, self.days, window, month_wet_share=self.month_wet_share)
        changes = found.transitions(self.least_valid_months)
        seasonality, months = found.seasonality(self.seasonal_share)
        return {
            "wet": found.wet,
            "clear": found.clear,
            "frequency": found.share,
            "monthly_wet": found.monthly_wet,
            "monthly_clear": found.monthly_clear,
            "annual_wet": found.annual_wet,
            "annual_clear": found.annual_clear,
            "seasonality": seasonality,
            "months_seen": months,
            "transition": changes.transition,
            "recurrence": changes.recurrence,
            "years": changes.years,
            "disagreements": np.int64(found.disagreements),
        }


def water_frequency(
    stack: ClassStack,
    rules: WaterBodyRules,
    write: Callable[[tuple[int, int, int, int], Mapping[str, Any]], None],
    *,
    block: int = BLOCK,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
    inline_cells: int | None = None,
) -> FrequencyReport:
    """Frequency, seasonality, recurrence and transitions of a whole stack, block by block (水体频率).

    Parameters
    ----------
    stack : ClassStack
        Water maps on one grid, dates with a time zone.
    rules : WaterBodyRules
    write : callable
        Called in this thread with each window (row, col, height, width) and its arrays (`FrequencyWork`), in no fixed order.
    block, threads
        Change time and memory, never the result.

    Raises
    ------
    InvalidParameter
        No scene, or a time without a zone.
    GridMismatch, QualityViolation
        A scene of another grid, or with an unknown code.
    LayerEmpty
        When no cell was seen on any date (all cloud).
    """
    days = tuple(observations(stack.dates, zone=rules.observation.day_zone))
    work = FrequencyWork(
        stack,
        days,
        rules.transitions.month_wet_share,
        rules.seasonality.month_wet_share,
        rules.transitions.least_valid_months,
    )
    clear = 0
    disagreements = 0

    def settle(window: tuple[int, int, int, int], arrays: Mapping[str, Any]) -> None:
        nonlocal clear, disagreements
        clear += int(arrays["clear"].sum(dtype=np.int64))
        disagreements += int(arrays["disagreements"])
        write(window, arrays)

    rows, cols = stack.shape
    run_blocks(
        work, block_windows(rows, cols, block), on_result=settle, threads=threads, progress=progress,
        inline_cells=inline_cells if threads == 1 else (inline_cells or 1),
    )  # fmt: skip
    if clear == 0:
        raise LayerEmpty(
            f"{len(days)} 次观测全部被云或掩膜遮盖，没有一个有效像元；请换时段或检查云掩膜",
            f"all {len(days)} observations are masked, no cell was ever seen; take another period or check the cloud mask",
        )
    merged = tuple(day for day in days if day.merged)
    return FrequencyReport(days, merged, disagreements, clear, rows * cols)
