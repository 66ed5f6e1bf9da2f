"""JRC transition classes (十类水体转变), seasonality and recurrence of a cell, from the months of its years."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.catalog import Text
from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "NOT_ASSESSED",
    "TITLES",
    "Transitions",
    "occurrence_change",
    "transitions",
    "year_states",
]

NO_CLASS = 0
"""Land all along: observed, and in no class."""
PERMANENT = 1
NEW_PERMANENT = 2
LOST_PERMANENT = 3
SEASONAL = 4
NEW_SEASONAL = 5
LOST_SEASONAL = 6
SEASONAL_TO_PERMANENT = 7
PERMANENT_TO_SEASONAL = 8
EPHEMERAL_PERMANENT = 9
EPHEMERAL_SEASONAL = 10
NOT_ASSESSED = 255

TITLES: dict[int, Text] = {
    NO_CLASS: Text(zh="始终非水", en="never water"),
    PERMANENT: Text(zh="永久水体", en="permanent"),
    NEW_PERMANENT: Text(zh="新增永久水体", en="new permanent"),
    LOST_PERMANENT: Text(zh="消失的永久水体", en="lost permanent"),
    SEASONAL: Text(zh="季节性水体", en="seasonal"),
    NEW_SEASONAL: Text(zh="新增季节性水体", en="new seasonal"),
    LOST_SEASONAL: Text(zh="消失的季节性水体", en="lost seasonal"),
    SEASONAL_TO_PERMANENT: Text(zh="季节性转永久", en="seasonal to permanent"),
    PERMANENT_TO_SEASONAL: Text(zh="永久转季节性", en="permanent to seasonal"),
    EPHEMERAL_PERMANENT: Text(zh="短暂永久水体", en="ephemeral permanent"),
    EPHEMERAL_SEASONAL: Text(zh="短暂季节性水体", en="ephemeral seasonal"),
    NOT_ASSESSED: Text(zh="未评价", en="not assessed"),
}
"""Code → meaning; the codes of the JRC transition map, which has 0 where there never was water."""

LAND_STATE, SEASONAL_STATE, PERMANENT_STATE, UNKNOWN_STATE = 0, 1, 2, 255


@dataclass(frozen=True, slots=True)
class Transitions:
    """What the years of a cell say; all arrays (rows, cols)."""

    transition: NDArray[np.uint8]
    """Codes of `TITLES`; 255 with fewer than two assessed years."""
    recurrence: NDArray[np.float32]
    """Years with water over years observed in the months that ever had water, 0–1; NaN without water."""
    first_year: NDArray[np.int16]
    """First assessed year; 0 = none."""
    last_year: NDArray[np.int16]
    years: NDArray[np.uint8]
    """Number of assessed years."""


def _judge(
    wet: Any, valid: Any, years: Any, least: int, out: Any, recurrence: Any, first: Any, last: Any, n: Any
) -> None:
    number, rows, cols = wet.shape
    for r in range(rows):
        for c in range(cols):
            begin = 255
            end = 255
            seasonal = False
            permanent = False
            seen = 0
            water_months = 0
            for y in range(number):
                water_months |= wet[y, r, c]
            with_water = 0
            in_season = 0
            for y in range(number):
                months = valid[y, r, c]
                water = wet[y, r, c]
                if months & water_months:
                    in_season += 1
                    if water:
                        with_water += 1
                count = 0
                bits = months
                while bits:
                    bits &= bits - 1
                    count += 1
                if count < least:
                    continue
                state = 0
                if water:
                    state = 2 if water == months else 1
                if seen == 0:
                    begin = state
                    first[r, c] = years[y]
                seasonal |= state == 1
                permanent |= state == 2
                end = state
                last[r, c] = years[y]
                seen += 1
            n[r, c] = seen
            recurrence[r, c] = (
                np.float32(with_water) / np.float32(in_season) if in_season > 0 and water_months else np.nan
            )
            if seen < 2:
                out[r, c] = 255
            elif begin == 0 and end == 0:
                out[r, c] = 9 if permanent else (10 if seasonal else 0)
            elif begin == 0:
                out[r, c] = 5 if end == 1 else 2
            elif begin == 1:
                out[r, c] = 6 if end == 0 else (4 if end == 1 else 7)
            else:
                out[r, c] = 3 if end == 0 else (8 if end == 1 else 1)


def year_states(wet_months: NDArray[np.uint16], valid_months: NDArray[np.uint16], least: int) -> NDArray[np.uint8]:
    """State of each year: 0 land, 1 seasonal, 2 permanent (every valid month wet), 255 not assessed; uint8 (years, …).

    Parameters
    ----------
    wet_months, valid_months : uint16 (years, …)
        Bit m − 1 = month m is wet, was observed.
    least : int
        Fewer valid months: not assessed.

    Examples
    --------
    >>> year_states(np.array([0, 0b1, 0b111, 0b1], np.uint16), np.array([0b111, 0b111, 0b111, 0b11], np.uint16), 3).tolist()
    [0, 1, 2, 255]
    """
    wet = np.asarray(wet_months) & valid_months
    state = np.where(wet == 0, LAND_STATE, np.where(wet == valid_months, PERMANENT_STATE, SEASONAL_STATE)).astype(
        np.uint8
    )
    state[np.bitwise_count(valid_months) < least] = UNKNOWN_STATE
    return np.asarray(state, dtype=np.uint8)


def transitions(
    wet_months: NDArray[np.uint16],
    valid_months: NDArray[np.uint16],
    years: NDArray[np.int16],
    *,
    least_valid_months: int,
) -> Transitions:
    """Transition class of every cell by its first and last assessed year.

    A year is land, seasonal or permanent (every valid month wet). (first, last) gives the class; land → land is a class only
    when a year between had water: ephemeral permanent if one of them was permanent, else ephemeral seasonal.

    Parameters
    ----------
    wet_months, valid_months : uint16 (years, rows, cols)
        Bit m − 1 of a year: month m is wet, was observed. A wet month must be a valid one.
    years : int16 (years,), ascending
    least_valid_months : int
        A year with fewer is not assessed; fewer than two assessed years give `NOT_ASSESSED`.

    Source: Pekel et al. (2016), doi 10.1038/nature20584.

    Examples
    --------
    >>> full = 0b111111111111
    >>> wet = np.array([full, 0b11, 0], np.uint16).reshape(3, 1, 1)
    >>> found = transitions(wet, np.full((3, 1, 1), full, np.uint16), np.array([2019, 2020, 2021], np.int16),
    ...                     least_valid_months=3)
    >>> TITLES[int(found.transition[0, 0])].en, round(float(found.recurrence[0, 0]), 3)
    ('lost permanent', 0.667)
    """
    wet = np.ascontiguousarray(wet_months, dtype=np.uint16)
    valid = np.ascontiguousarray(valid_months, dtype=np.uint16)
    if wet.shape != valid.shape or wet.ndim != 3 or len(years) != len(wet):
        raise ValueError(
            f"months must be (years, rows, cols), one year each; found {wet.shape}, {valid.shape}, {len(years)}"
        )
    shape = wet.shape[1:]
    found = Transitions(
        np.full(shape, NOT_ASSESSED, np.uint8),
        np.full(shape, np.nan, np.float32),
        np.zeros(shape, np.int16),
        np.zeros(shape, np.int16),
        np.zeros(shape, np.uint8),
    )
    if len(years):
        compiled(_judge)(
            wet, valid, np.asarray(years, dtype=np.int16), least_valid_months,
            found.transition, found.recurrence, found.first_year, found.last_year, found.years,
        )  # fmt: skip
    return found


def occurrence_change(
    wet_before: NDArray[np.uint16],
    clear_before: NDArray[np.uint16],
    wet_after: NDArray[np.uint16],
    clear_after: NDArray[np.uint16],
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint8]]:
    """Change of occurrence between two periods (水体频率变化), by the calendar months that both have seen.

    Formula: with p the wet share of a calendar month, change_abs = mean over the common months of (p₂ − p₁),
    change_norm = Σ(p₂ − p₁) / Σ(p₂ + p₁).

    Parameters
    ----------
    wet_before, clear_before, wet_after, clear_after : uint16 (12, rows, cols)
        Counts by calendar month (`frequency.Frequency.monthly_wet`, `monthly_clear`).

    Returns
    -------
    change_abs, change_norm : float32 (rows, cols), −1 … 1
        NaN where no calendar month was seen in both periods; change_norm is NaN also where there was no water.
    months : uint8
        Number of common months.

    Source: Pekel et al. (2016), doi 10.1038/nature20584: pairs of homologous months; compared on common valid cells only.

    Examples
    --------
    >>> month = np.zeros((12, 1, 2), np.uint16)
    >>> wet1, clear1, wet2, clear2 = month.copy(), month.copy(), month.copy(), month.copy()
    >>> clear1[4], clear2[4] = 4, 2; wet1[4], wet2[4] = [[4, 0]], [[1, 0]]
    >>> clear2[7], wet2[7] = 9, 9                    # August was seen in one period only: it does not count
    >>> change, norm, months = occurrence_change(wet1, clear1, wet2, clear2)
    >>> change.tolist(), months.tolist()
    ([[-0.5, 0.0]], [[1, 1]])
    """
    common = (clear_before > 0) & (clear_after > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        before = np.where(common, wet_before / clear_before, 0.0)
        after = np.where(common, wet_after / clear_after, 0.0)
        months = common.sum(axis=0)
        difference = (after - before).sum(axis=0)
        change = np.where(months > 0, difference / months, np.nan)
        norm = np.where(months > 0, difference / (after + before).sum(axis=0), np.nan)
    return change.astype(np.float32), norm.astype(np.float32), months.astype(np.uint8)
