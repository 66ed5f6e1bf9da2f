"""Weighted integration (加权综合): grade = rounded weighted mean of the graded stations of a chain, masks first.

The alternative to judgement matrices for «what if»: stations that grade (start, matrix, correction, higher) give their
level 1–5, masks and knock-outs still decide before them, other stations take no part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.chain import NO_LIMIT, Chain, Graded, Station
from spatial.errors import GridMismatch, InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pydantic import JsonValue

__all__ = ["GRADED_KINDS", "Weighted"]

GRADED_KINDS = frozenset({"start", "matrix", "correction", "higher"})
"""Kinds of station whose level is a grade 1–5, so that it can enter a mean."""
_TOLERANCE = 1e-6
_HALF = 0.5 + 1e-9
"""A half goes to the worse grade, also where the sum of products falls just short of it."""


@dataclass(frozen=True)
class Weighted:
    """A chain whose graded stations are averaged instead of combined by tables.

    Formula: G = ⌊Σ wᵢ·levelᵢ + ½⌋, Σ wᵢ = 1; a half goes to the worse grade. A mask or knock-out that applies ends the
    cell before. A cell where a weighted factor has no value is not assessed.

    Parameters
    ----------
    chain : Chain
    weights : mapping of str to float
        Station → weight 0–1; they sum to 1.

    Raises
    ------
    InvalidParameter
        For an unknown or ungraded station, a weight outside 0–1, a sum that is not 1.

    Source: weighted linear combination, J. Malczewski (2000), doi:10.1111/1467-9671.00035.

    Examples
    --------
    >>> from analyses.chain import Station
    >>> def station(name, kind):
    ...     return Station(id=name, title={"zh": name, "en": name}, kind=kind, factor=name, edges=(1, 2, 3, 4),
    ...                    closed=("below",) * 4, levels=(1, 2, 3, 4, 5), table=((1, 2, 3, 4, 5),) * 6,
    ...                    compare=(1,) * 6, source="-", tag="own")
    >>> chain = Chain(id="c", title={"zh": "例", "en": "c"}, stations=(station("a", "start"), station("b", "higher")),
    ...               classes={1: 1, 2: 1, 3: 2, 4: 2, 5: 3})
    >>> cell = {"a": np.float32([1, 1]), "b": np.float32([4, 5])}
    >>> Weighted(chain, {"a": 0.5, "b": 0.5}).run(cell).grade.tolist()
    [3, 3]
    """

    chain: Chain
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        allowed = [s.id for s in self.chain.stations if s.kind in GRADED_KINDS]
        for name, weight in self.weights.items():
            if name not in allowed:
                raise InvalidParameter(
                    f"站 {name!r} 不能加权（只有给出等级的站可以），可用：{'、'.join(allowed)}",
                    f"station {name!r} cannot be weighted (it gives no grade); use one of {', '.join(allowed)}",
                    parameter=f"weights.{name}",
                    allowed=allowed,
                )
            if not 0 <= weight <= 1:
                raise InvalidParameter(
                    f"权重 weights.{name} 应在 0 与 1 之间，得到 {weight:g}",
                    f"weights.{name} must lie between 0 and 1, got {weight:g}",
                    parameter=f"weights.{name}",
                )
        total = math.fsum(self.weights.values())
        if abs(total - 1) > _TOLERANCE:
            raise InvalidParameter(
                f"权重之和应为 1，得到 {total:.6g}；请改正各 weights.<站>",
                f"the weights must sum to 1, got {total:.6g}; correct the weights.<station> parameters",
                parameter="weights",
                value=total,
            )

    @cached_property
    def _masks(self) -> tuple[Station, ...]:
        return tuple(s for s in self.chain.stations if s.stops and s.id not in self.weights)

    @cached_property
    def _graded(self) -> tuple[tuple[Station, float], ...]:
        return tuple((s, self.weights[s.id]) for s in self.chain.stations if self.weights.get(s.id, 0) > 0)

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors that are read, in order, each once."""
        return tuple(dict.fromkeys([*(s.factor for s in self._masks), *(s.factor for s, _ in self._graded)]))

    @property
    def unused(self) -> tuple[str, ...]:
        """Stations that take no part: neither a mask nor weighted."""
        used = {s.id for s in self._masks} | {s.id for s, _ in self._graded}
        return tuple(s.id for s in self.chain.stations if s.id not in used)

    def run(self, values: Mapping[str, NDArray[Any]]) -> Graded:
        """Grade, class and reason of each cell of a block.

        Parameters
        ----------
        values : mapping
            Factor → array of the block: float32 (NaN = no value) or integer; all of one shape.

        Returns
        -------
        Graded
            The reason is the station with the greatest wᵢ·(levelᵢ − 1), the first of equals.

        Raises
        ------
        GridMismatch
            If the arrays do not have one shape.
        """
        shapes = {np.shape(values[name]) for name in self.factors}
        if len(shapes) != 1:
            raise GridMismatch(
                f"加权综合 {self.chain.id} 的因子块大小不一：{sorted(shapes)}",
                f"weighted {self.chain.id}: the factor blocks differ in shape: {sorted(shapes)}",
            )
        shape = shapes.pop()
        grade = np.zeros(shape, dtype=np.uint8)
        raw = np.full(shape, NO_LIMIT, dtype=np.uint8)
        ended = np.zeros(shape, dtype=bool)
        for station in self._masks:
            value = np.asarray(values[station.factor], dtype=np.float32)
            after, stops = station.cells & 7, station.cells >> 6 != 0  # of no grade before
            interval = np.searchsorted(station.starts, value, side="right")
            unknown = np.isnan(value)
            hit = stops[interval] & ~unknown & ~ended
            grade[hit] = after[interval[hit]]
            raw[hit] = self.chain.code(station.id)
            ended |= hit | (unknown & station.required)
        total = np.zeros(shape, dtype=np.float64)
        most = np.zeros(shape, dtype=np.float64)
        unknown = ended.copy()
        for station, weight in self._graded:
            value = np.asarray(values[station.factor], dtype=np.float32)
            level = np.array(station.levels)[np.searchsorted(station.starts, value, side="right")]
            unknown |= np.isnan(value)
            total += weight * level
            fault = weight * (level - 1.0)
            worse = (fault > most) & ~ended
            most = np.where(worse, fault, most)
            raw[worse] = self.chain.code(station.id)
        mean = np.floor(total + _HALF).astype(np.uint8)
        grade[~unknown] = mean[~unknown]
        raw[grade == 0] = 0
        lookup = np.array([0, *(self.chain.classes[g] for g in range(1, 6))], dtype=np.uint8)
        suitability = lookup[grade]
        best = self.chain.classes[1]
        reason = np.where(suitability == best, np.uint8(NO_LIMIT), raw)
        reason[grade == 0] = 0
        return Graded(grade, suitability, reason.astype(np.uint8), raw, np.zeros_like(raw))

    def trace(self, values: Mapping[str, float | None]) -> dict[str, JsonValue]:
        """Why a cell has its class: like `Chain.trace`; a step has ``weight`` and ``part`` = weight × level."""
        cell = {
            name: np.array([np.nan if values.get(name) is None else values[name]], dtype=np.float32)
            for name in self.factors
        }
        found = self.run(cell)
        grade, suitability, reason = int(found.grade[0]), int(found.suitability[0]), int(found.reason[0])
        steps: list[JsonValue] = []
        stopped = False
        for station, weight in [*((s, None) for s in self._masks), *self._graded]:
            value = float(cell[station.factor][0])
            number = None if math.isnan(value) else station.interval(value)
            level = None if number is None else station.levels[number]
            stopped = weight is None and level in station.stops
            steps.append(
                {
                    "station": station.id,
                    "title": station.title.model_dump(),
                    "kind": station.kind if weight is None else "weighted",
                    "factor": station.factor,
                    "value": None if number is None else round(value, 6),
                    "unit": station.unit,
                    "interval": None if number is None else station.interval_text(number),
                    "level": level,
                    "cell": None,
                    "weight": weight,
                    "part": None if weight is None or level is None else round(weight * level, 9),
                    "grade_before": None,
                    "grade_after": grade or None if stopped else None,
                    "changed": stopped,
                    "ends": stopped,
                    "source": station.source,
                    "tag": station.tag,
                }
            )
            if stopped:
                break
        title = self.chain.class_titles.get(suitability)
        return {
            "chain": self.chain.id,
            "title": self.chain.title.model_dump(),
            "integration": "weighted",
            "steps": steps,
            "grade": grade or None,
            "class": suitability or None,
            "class_title": None if title is None else title.model_dump(),
            "reason": None if reason < 2 else self.chain.stations[reason - 2].id,
            "reason_title": self.chain.reasons()[reason].model_dump() if reason else None,
        }
