"""Grading (分级): interval tables, step corrections and judgement matrices, read from ``layers/rules/``.

Grades are int8: 1 best … 5 worst, 0 not assessed (nodata in, 0 out). An interval says at each end whether the edge
belongs to it; a table with a gap or an overlap is refused when it is read.
"""

from __future__ import annotations

import math
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CLASS_VALUES",
    "WORST",
    "Correction",
    "GradeTable",
    "Interval",
    "LevelTable",
    "Matrix",
    "Step",
    "StepTable",
    "clip",
    "is_power_of_two",
    "quantise",
]

WORST = 5
COMPILE_FROM = 100_000
"""Cells from which on a loop compiled by numba pays; the answer is the same to the bit."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Interval(_Model):
    """One interval; ``over`` >, ``from`` ≥, ``below`` <, ``to`` ≤; a missing end is open to infinity."""

    over: float | None = None
    from_: float | None = Field(None, alias="from")
    below: float | None = None
    to: float | None = None

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        if (self.over is not None and self.from_ is not None) or (self.below is not None and self.to is not None):
            raise ValueError("an end is either open or closed: over | from, below | to")
        if not self.start < self.stop:
            raise ValueError("the interval is empty")
        return self

    @property
    def start(self) -> float:
        """Smallest float64 inside."""
        if self.over is not None:
            return math.nextafter(self.over, math.inf)
        return -math.inf if self.from_ is None else self.from_

    @property
    def stop(self) -> float:
        """Smallest float64 above the interval."""
        if self.to is not None:
            return math.nextafter(self.to, math.inf)
        return math.inf if self.below is None else self.below


class _Grade(Interval):
    grade: int = Field(ge=1, le=WORST)


class GradeTable(_Model):
    """A factor's table: value → grade 1–5, complete and monotone.

    Examples
    --------
    >>> t = GradeTable.model_validate({"grades": [{"grade": 1, "to": 3}, {"grade": 2, "over": 3}]})
    >>> t.grade(np.array([0.0, 3.0, 3.1, np.nan])).tolist()
    [1, 1, 2, 0]
    """

    grades: tuple[_Grade, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        rows = self._rows
        if rows[0].start != -math.inf or rows[-1].stop != math.inf:
            raise ValueError("the table must cover every value: leave the outer ends open")
        for left, right in pairwise(rows):
            if left.stop != right.start:
                raise ValueError(f"gap or overlap between grades {left.grade} and {right.grade}")
        order = [row.grade for row in rows]
        if len(set(order)) != len(order) or order not in (sorted(order), sorted(order, reverse=True)):
            raise ValueError(f"grades must rise or fall with the value, found {order}")
        return self

    @property
    def _rows(self) -> list[_Grade]:
        return sorted(self.grades, key=lambda row: row.start)

    @cached_property
    def _lookup(self) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        return (
            np.array([row.start for row in self._rows[1:]], dtype=np.float64),
            np.array([row.grade for row in self._rows], dtype=np.int8),
        )

    def grade(self, values: NDArray[Any]) -> NDArray[np.int8]:
        """Grade of each value; int8, same shape, 0 where the value is NaN."""
        return _look_up(np.asarray(values), *self._lookup)


CLASS_VALUES = GradeTable.model_validate(
    {
        "grades": [
            {"grade": 1, "below": 1.5},
            *({"grade": g, "from": g - 0.5, "below": g + 0.5} for g in (2, 3, 4)),
            {"grade": 5, "from": 4.5},
        ]
    }
)
"""The table of a factor whose value is a grade or a hazard level 1–5 already."""


class _Level(Interval):
    level: int = Field(ge=1)


class LevelTable(_Model):
    """Value → level 1, 2, …, complete; unlike a `GradeTable` levels may repeat (too hot and too cold are one level).

    Examples
    --------
    >>> t = LevelTable.model_validate(
    ...     {"levels": [{"level": 1, "below": 0}, {"level": 2, "from": 0, "below": 9}, {"level": 1, "from": 9}]}
    ... )
    >>> t.level(np.array([-1.0, 0.0, 9.0, np.nan])).tolist()
    [1, 2, 1, 0]
    """

    levels: tuple[_Level, ...] = Field(min_length=2)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        rows = sorted(self.levels, key=lambda row: row.start)
        if rows[0].start != -math.inf or rows[-1].stop != math.inf:
            raise ValueError("the table must cover every value: leave the outer ends open")
        for left, right in pairwise(rows):
            if left.stop != right.start:
                raise ValueError(f"gap or overlap between levels {left.level} and {right.level}")
        return self

    @cached_property
    def lookup(self) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
        """Rising lower edges (n − 1) of all intervals but the first, and the levels (n)."""
        rows = sorted(self.levels, key=lambda row: row.start)
        return (
            np.array([row.start for row in rows[1:]], dtype=np.float64),
            np.array([row.level for row in rows], dtype=np.int8),
        )

    def level(self, values: NDArray[Any]) -> NDArray[np.int8]:
        """Level of each value; int8, same shape, 0 where the value is NaN."""
        return _look_up(np.asarray(values), *self.lookup)


class Step(Interval):
    """A correction (修正) in an interval of another factor: ``add`` grades, or ``set`` the grade."""

    add: int | None = None
    set: int | None = Field(None, ge=1, le=WORST)

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.add is None) == (self.set is None):
            raise ValueError("a step either adds or sets")
        return self

    def apply(self, grade: int) -> int:
        """Corrected grade, clipped to 1–5."""
        return self.set if self.set is not None else clip(grade + (self.add or 0))


class StepTable(_Model):
    """Steps by interval; outside every interval nothing changes.

    Examples
    --------
    >>> t = StepTable.model_validate({"steps": [{"over": 100, "to": 200, "add": 1}, {"over": 200, "add": 2}]})
    >>> t.index(np.array([100.0, 200.0, 201.0])).tolist(), t.apply(2, 4)
    ([0, 1, 2], 5)
    """

    steps: tuple[Step, ...]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for left, right in pairwise(self.steps):
            if left.stop > right.start:
                raise ValueError("steps must rise and must not overlap")
        return self

    def index(self, values: NDArray[Any]) -> NDArray[np.int8]:
        """Number of the step (1, 2, …) of each value, 0 for none (NaN included); int8, same shape."""
        values = np.asarray(values, dtype=np.float64)
        out = np.zeros(values.shape, dtype=np.int8)
        for number, step in enumerate(self.steps, start=1):
            out[(values >= step.start) & (values < step.stop)] = number
        return out

    def apply(self, index: int, grade: int) -> int:
        """Grade after step number `index` (0: unchanged)."""
        return grade if index == 0 else self.steps[index - 1].apply(grade)


class Matrix(_Model):
    """A judgement matrix (判别矩阵), 5 × 5, rows and columns graded 1–5; worse inputs never give a better grade.

    Examples
    --------
    >>> Matrix(rows=tuple((max(i, 1),) * 5 for i in range(1, 6))).at(3, 1)
    3
    """

    rows: tuple[tuple[int, int, int, int, int], ...] = Field(min_length=WORST, max_length=WORST)

    @model_validator(mode="after")
    def _monotone(self) -> Self:
        table = np.array(self.rows)
        if table.min() < 1 or table.max() > WORST:
            raise ValueError("matrix cells must be 1–5")
        if (np.diff(table, axis=0) < 0).any() or (np.diff(table, axis=1) < 0).any():
            raise ValueError("the matrix must not improve along a row or a column")
        return self

    def at(self, row: int, column: int) -> int:
        """Cell of grades `row`, `column` (1–5)."""
        return self.rows[row - 1][column - 1]


class Correction(_Model):
    """One line of a correction by grade: ``add`` if the base grade is among ``when`` (default: any)."""

    grade: int = Field(ge=1, le=WORST)
    add: int
    when: tuple[int, ...] = (1, 2, 3, 4, 5)


def clip(grade: int) -> int:
    """Grade within 1–5.

    >>> clip(0), clip(7)
    (1, 5)
    """
    return min(max(grade, 1), WORST)


def is_power_of_two(step: float) -> bool:
    """Whether `step` is a power of two (1/64, 1, 16 …), so that a multiple of it is exact in binary.

    >>> is_power_of_two(0.015625), is_power_of_two(0.1)
    (True, False)
    """
    return step > 0 and math.frexp(step)[0] == 0.5


def quantise(values: NDArray[Any], step: float) -> NDArray[np.float32]:
    """Values rounded to multiples of `step`, half to even.

    The stored raster, the live tile and the batch must grade the same number: a multiple of a power of two survives
    float32 and every codec.

    Parameters
    ----------
    values : float, any shape
        NaN stays NaN.
    step : float
        A power of two; |value| / step must stay below 2²⁴.

    Returns
    -------
    float32, same shape

    Examples
    --------
    >>> quantise(np.array([3.1, np.nan, 8.0]), 0.25).tolist()
    [3.0, nan, 8.0]
    """
    array = np.asarray(values)
    if array.size < COMPILE_FROM:
        return (np.rint(array.astype(np.float64) / step) * step).astype(np.float32)
    out = np.empty(array.size, dtype=np.float32)
    compiled(_round)(np.ascontiguousarray(array).ravel(), float(step), out)
    return out.reshape(array.shape)


def _round(values: Any, step: Any, out: Any) -> None:
    for i in range(values.size):
        out[i] = np.float32(np.rint(np.float64(values[i]) / step) * step)


def _look_up(values: NDArray[Any], starts: NDArray[np.float64], levels: NDArray[np.int8]) -> NDArray[np.int8]:
    """Level of the interval of each value; 0 where it is NaN."""
    if values.size < COMPILE_FROM:
        array = values.astype(np.float64)
        found = levels[np.searchsorted(starts, array, side="right").clip(max=len(levels) - 1)]
        return np.where(np.isnan(array), np.int8(0), found)
    out = np.empty(values.size, dtype=np.int8)
    compiled(_scan)(np.ascontiguousarray(values).ravel(), starts, levels, out)
    return out.reshape(values.shape)


def _scan(values: Any, starts: Any, levels: Any, out: Any) -> None:
    for i in range(values.size):
        v = np.float64(values[i])
        k = 0
        for start in starts:
            k += v >= start
        out[i] = levels[k] if v == v else 0
