"""The chain of stations (判别链): how graded factors become a class, once for the map, the live tile and the explanation.

An assessment is a list of stations run in order on each cell. A station looks its factor's value up in intervals (level)
and the grade so far in a table: starting grade, correction (修正), judgement matrix (判别矩阵), knock-out and «higher of»
are all tables. `Chain.run` applies them to blocks, `Chain.trace` to one cell by the same kernel, so that map and
explanation cannot differ; as JSON the chain travels with a result, so that a live tile can change a threshold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from analyses.grading import WORST, Correction, GradeTable, Interval, Matrix, StepTable, clip
from spatial.catalog import Text
from spatial.compiled import compiled
from spatial.errors import GridMismatch, InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.rules import Sourced

__all__ = [
    "NO_LIMIT",
    "Chain",
    "Graded",
    "Station",
    "correction",
    "higher",
    "knock_out",
    "matrix",
    "start",
    "steps",
    "stop",
]

NO_LIMIT = 1
"""Reason code of a cell that nothing limits; station k (from 0) has code k + 2."""

_PIECE = 1 << 16
"""Cells that go through all stations together; sets the speed, never the result."""

Kind = Literal["start", "steps", "matrix", "correction", "stop", "knock-out", "higher"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Station(_Model):
    """One station: value → level, (grade before, level) → grade after.

    Levels count from 1. Row `g` of `table` is the grade before (0: none yet), column `l − 1` the level.
    """

    id: str
    title: Text
    kind: Kind
    factor: str
    unit: str | None = None
    edges: tuple[float, ...] = ()
    """Rising limits between the intervals."""
    closed: tuple[Literal["below", "above"], ...] = ()
    """For each edge, which interval owns the edge value itself: the one below (≤) or the one above (≥)."""
    levels: tuple[int, ...] = Field(min_length=1)
    """Level of each interval, one more than edges."""
    table: tuple[tuple[int, ...], ...] = Field(min_length=WORST + 1, max_length=WORST + 1)
    compare: tuple[int, ...] = Field(min_length=WORST + 1, max_length=WORST + 1)
    """By grade before: the grade that an ideal value would give; what is beyond it is this station's fault."""
    stops: tuple[int, ...] = ()
    """Levels that end the chain here, whatever comes after."""
    required: bool = True
    """A cell without a value: not assessed (True), or the station is passed over there (False)."""
    source: str
    tag: str

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.levels) > _WIDTH:
            raise ValueError(f"at most {_WIDTH} intervals")
        if len(self.levels) != len(self.edges) + 1 or len(self.closed) != len(self.edges):
            raise ValueError("one more level than edges, one end for each edge")
        if any(not math.isfinite(e) for e in self.edges) or any(a >= b for a, b in pairwise(self.edges)):
            raise ValueError("edges must be finite and rise")
        width = max(self.levels)
        if min(self.levels) < 1 or any(len(row) != width for row in self.table):
            raise ValueError("levels count from 1, and each row of the table has one grade a level")
        if any(not 0 <= g <= WORST for row in self.table for g in row):
            raise ValueError("grades are 0–5")
        return self

    @property
    def starts(self) -> NDArray[np.float32]:
        """Least float32 of each interval but the first; ``v ≥ starts[i]`` in float32 is exactly the rule."""
        return _starts(self.edges, self.closed)

    @property
    def cells(self) -> NDArray[np.uint16]:
        """What happens by grade before and interval, as the kernel reads it."""
        return _cells(self.levels, self.table, self.compare, self.stops)

    def interval(self, value: float) -> int:
        """Number of the interval of a value, from 0.

        >>> s = Station(id="s", title=Text(zh="坡", en="s"), kind="start", factor="s", edges=(3,), closed=("below",),
        ...             levels=(1, 2), table=((1, 2),) * 6, compare=(1,) * 6, source="-", tag="own")
        >>> s.interval(3.0), s.interval(3.0000005)
        (0, 1)
        """
        return int(np.searchsorted(self.starts, np.float32(value), side="right"))

    def interval_text(self, number: int) -> str:
        """The interval in words, for example ``8 ≤ v ≤ 15``."""
        parts = []
        if number > 0:
            parts.append(f"{self.edges[number - 1]:g} {'<' if self.closed[number - 1] == 'below' else '≤'} ")
        parts.append("v")
        if number < len(self.edges):
            parts.append(f" {'≤' if self.closed[number] == 'below' else '<'} {self.edges[number]:g}")
        return "".join(parts)


@lru_cache(maxsize=1024)
def _starts(edges: tuple[float, ...], closed: tuple[str, ...]) -> NDArray[np.float32]:
    exact = np.array(
        [math.nextafter(e, math.inf) if end == "below" else e for e, end in zip(edges, closed, strict=True)],
        dtype=np.float64,
    )
    rounded = exact.astype(np.float32)
    low = rounded.astype(np.float64) < exact
    return np.where(low, np.nextafter(rounded, np.float32(np.inf)), rounded).astype(np.float32)


_WIDTH = 64
"""Room for levels in a row of a station's cells."""


@lru_cache(maxsize=1024)
def _cells(
    levels: tuple[int, ...], table: tuple[tuple[int, ...], ...], compare: tuple[int, ...], stops: tuple[int, ...]
) -> NDArray[np.uint16]:
    """By [grade before, interval]: grade after | how much it is worse than the grade to compare << 3 | stop << 6."""
    cells = np.zeros((WORST + 1, _WIDTH), dtype=np.uint16)
    for before, row in enumerate(table):
        for k, level in enumerate(levels):
            after = row[level - 1]
            cells[before, k] = after | max(0, after - compare[before]) << 3 | (level in stops) << 6
    return cells.ravel()


def _spans(table: GradeTable | StepTable) -> tuple[list[float], list[Literal["below", "above"]], list[int]]:
    """Edges, ends and levels of a grade table (level = grade) or a step table (1 = unchanged, 2 … = step)."""
    if isinstance(table, GradeTable):
        rows: list[tuple[Interval, int]] = [(row, row.grade) for row in sorted(table.grades, key=lambda r: r.start)]
    else:
        rows = [(row, number) for number, row in enumerate(table.steps, start=2)]
    edges: list[float] = []
    closed: list[Literal["below", "above"]] = []
    levels: list[int] = []
    reached = -math.inf

    def edge(value: float, end: Literal["below", "above"]) -> None:
        edges.append(value)
        closed.append(end)

    for row, level in rows:
        if row.start > reached:
            levels.append(1)  # a gap of a step table: unchanged
            if row.over is not None:
                edge(row.over, "below")
            elif row.from_ is not None:
                edge(row.from_, "above")
        levels.append(level)
        reached = row.stop
        if row.to is not None:
            edge(row.to, "below")
        elif row.below is not None:
            edge(row.below, "above")
    if math.isfinite(reached):
        levels.append(1)
    return edges, closed, levels


def _same(columns: int) -> tuple[tuple[int, ...], ...]:
    return tuple((g,) * columns for g in range(WORST + 1))


def _cite(rule: Sourced) -> dict[str, str]:
    return {"source": rule.source, "tag": rule.tag}


_UNCHANGED = tuple(range(WORST + 1))


def _graded(id: str, factor: str, kind: Kind, rule: Any, table: Any, compare: tuple[int, ...], **more: Any) -> Station:
    edges, closed, levels = _spans(rule)
    about = more.pop("about", rule)
    return Station(
        id=id,
        title=more.pop("title", about.title),
        kind=kind,
        factor=factor,
        unit=more.pop("unit", getattr(about, "unit", None)),
        edges=tuple(edges),
        closed=tuple(closed),
        levels=tuple(levels),
        table=table,
        compare=compare,
        **_cite(about),
        **more,
    )


def start(id: str, factor: str, rule: Any, *, about: Sourced | None = None, required: bool = True) -> Station:
    """The first grade of a chain from a `GradeTable` (`about`: the rule with the source, if it is not `rule`)."""
    grades = tuple(range(1, WORST + 1))
    return _graded(id, factor, "start", rule, (grades,) * 6, (1,) * 6, required=required, about=about or rule)


def steps(id: str, factor: str, rule: Any, *, about: Sourced | None = None, required: bool = True) -> Station:
    """A correction by a `StepTable`: in its intervals grades are added or set, outside nothing changes."""
    columns = 1 + len(rule.steps)
    table = tuple(tuple(g if n == 0 or g == 0 else rule.apply(n, g) for n in range(columns)) for g in range(WORST + 1))
    return _graded(id, factor, "steps", rule, table, _UNCHANGED, required=required, about=about or rule)


def matrix(
    id: str, factor: str, rule: Any, cells: Matrix, *, about: Sourced | None = None, required: bool = True
) -> Station:
    """A judgement matrix: row = grade before, column = grade of the factor by the `GradeTable` `rule`."""
    table, compare = _matrix_table(cells)
    return _graded(id, factor, "matrix", rule, table, compare, required=required, about=about or rule)


def _matrix_table(cells: Matrix) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
    return ((0,) * WORST, *(tuple(row) for row in cells.rows)), (0, *(row[0] for row in cells.rows))


def correction(
    id: str,
    factor: str,
    rule: Any,
    lines: Sequence[Correction],
    *,
    about: Sourced | None = None,
    required: bool = True,
) -> Station:
    """Corrections by the grade of the factor: ``add`` where the grade before is among ``when``."""

    def after(grade: int, level: int) -> int:
        for line in lines:
            if grade and line.grade == level and grade in line.when:
                return clip(grade + line.add)
        return grade

    table = tuple(tuple(after(g, level) for level in range(1, WORST + 1)) for g in range(WORST + 1))
    return _graded(id, factor, "correction", rule, table, _UNCHANGED, required=required, about=about or rule)


def stop(
    id: str, factor: str, about: Sourced, grade: int, *, title: Text | None = None, required: bool = False
) -> Station:
    """A mask (factor 1, else 0) that sets the grade and ends the chain, whatever other factors lack."""
    table = tuple((g, grade) for g in range(WORST + 1))
    return Station(
        id=id, title=title or about.title, kind="stop", factor=factor, edges=(0.5,), closed=("above",), levels=(1, 2),
        table=table, compare=_UNCHANGED, stops=(2,), required=required, **_cite(about),
    )  # fmt: skip


def knock_out(
    id: str, factor: str, rule: StepTable, about: Sourced, *, title: Text | None = None, unit: str | None = None,
    required: bool = False,
) -> Station:  # fmt: skip
    """A knock-out (不适宜 一票否决): in the intervals of a `StepTable` the grade is set to 5 and the chain ends."""
    edges, closed, levels = _spans(rule)
    table = tuple(tuple(g if n == 0 else WORST for n in range(1 + len(rule.steps))) for g in range(WORST + 1))
    return Station(
        id=id, title=title or about.title, kind="knock-out", factor=factor, unit=unit, edges=tuple(edges),
        closed=tuple(closed), levels=tuple(levels), table=table, compare=_UNCHANGED,
        stops=tuple(range(2, 2 + len(rule.steps))), required=required, **_cite(about),
    )  # fmt: skip


def higher(id: str, factor: str, rule: Any, *, about: Sourced | None = None, required: bool = False) -> Station:
    """«Higher of»: grade after = the greater of the grade before and the factor's grade; for importance (5 = 极重要)."""
    table = tuple(tuple(max(g, level) for level in range(1, WORST + 1)) for g in range(WORST + 1))
    # Compared with 0, the reason is the first factor that reaches the final grade, not the first that rises.
    return _graded(id, factor, "higher", rule, table, (0,) * (WORST + 1), required=required, about=about or rule)


@dataclass(frozen=True, slots=True)
class Graded:
    """A block after the chain: all uint8, same shape, 0 = not assessed.

    ``raw`` is the reason before the clearing of cells without limit, ``worst`` how much that station worsened the grade;
    with ``grade`` they let a later station go on.
    """

    grade: NDArray[np.uint8]
    suitability: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    raw: NDArray[np.uint8]
    worst: NDArray[np.uint8]


class Chain(_Model):
    """Stations in order, and the class of each final grade.

    Examples
    --------
    >>> slope = GradeTable.model_validate({"grades": [{"grade": 1, "to": 3}, {"grade": 5, "over": 3}]})
    >>> about = Station(id="x", title=Text(zh="坡度", en="Slope"), kind="start", factor="slope", levels=(1,),
    ...                 table=((1,),) * 6, compare=(1,) * 6, source="hand", tag="own")
    >>> chain = Chain(id="c", title=Text(zh="例", en="example"), stations=(start("slope", "slope", slope, about=about),),
    ...               classes={1: 1, 2: 1, 3: 2, 4: 2, 5: 3})
    >>> found = chain.run({"slope": np.array([[0, 3.1, np.nan]], np.float32)})
    >>> found.grade.tolist(), found.suitability.tolist(), found.reason.tolist()
    ([[1, 5, 0]], [[1, 3, 0]], [[1, 2, 0]])
    >>> [step["grade_after"] for step in chain.trace({"slope": 3.1})["steps"]]
    [5]
    """

    id: str
    title: Text
    stations: tuple[Station, ...] = Field(min_length=1, max_length=29)
    classes: dict[int, int]
    """Final grade 1–5 → class."""
    class_titles: dict[int, Text] = {}

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [s.id for s in self.stations]
        if len(set(ids)) != len(ids):
            raise ValueError(f"station ids must differ: {ids}")
        if sorted(self.classes) != [1, 2, 3, 4, 5]:
            raise ValueError("every grade 1–5 needs a class")
        return self

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors, in order, each once."""
        return tuple(dict.fromkeys(s.factor for s in self.stations))

    def code(self, station: str) -> int:
        """Reason code of a station."""
        return 2 + next(k for k, s in enumerate(self.stations) if s.id == station)

    def reasons(self) -> dict[int, Text]:
        """Reason code → title."""
        return {NO_LIMIT: Text(zh="无限制", en="no limit")} | {k: s.title for k, s in enumerate(self.stations, start=2)}

    def station(self, station_id: str) -> Station:
        """Station by id.

        Raises
        ------
        InvalidParameter
            Naming the stations that there are.
        """
        for found in self.stations:
            if found.id == station_id:
                return found
        names = [s.id for s in self.stations]
        raise InvalidParameter(
            f"判别链没有站 {station_id!r}，可用：{'、'.join(names)}",
            f"the chain has no station {station_id!r}; use one of {', '.join(names)}",
            parameter="station",
            value=station_id,
            allowed=names,
        )

    def upto(self, station_id: str) -> Chain:
        """The chain as far as a station, that one included (for example the land grade, 土地资源等级)."""
        last = self.stations.index(self.station(station_id))
        return self.model_copy(update={"stations": self.stations[: last + 1]})

    def without(self, *station_ids: str) -> Chain:
        """The chain without some stations.

        Raises
        ------
        InvalidParameter
            If one of them gives the first grade, or nothing is left.
        """
        for name in station_ids:
            if self.station(name).kind == "start":
                raise InvalidParameter(
                    f"站 {name!r} 给出起始等级，不能去掉",
                    f"station {name!r} gives the first grade; it cannot be left out",
                    parameter="off",
                    value=name,
                )
        return self.model_copy(update={"stations": tuple(s for s in self.stations if s.id not in station_ids)})

    def _replace(self, station: Station) -> Chain:
        return self.model_copy(update={"stations": tuple(station if s.id == station.id else s for s in self.stations)})

    def with_edges(self, station_id: str, edges: Sequence[float]) -> Chain:
        """The chain with other limits at a station; which end owns an edge stays as it was.

        Raises
        ------
        InvalidParameter
            If their number differs, or they do not rise.
        """
        old = self.station(station_id)
        given = tuple(float(e) for e in edges)
        rising = all(a < b for a, b in pairwise(given))
        if len(given) != len(old.edges) or not rising or not all(map(math.isfinite, given)):
            raise InvalidParameter(
                f"站 {station_id!r} 需要 {len(old.edges)} 个递增的界值（现为 {list(old.edges)}），得到 {list(given)}",
                f"station {station_id!r} needs {len(old.edges)} rising limits (now {list(old.edges)}), got {list(given)}",
                parameter=station_id,
                value=[str(e) for e in given],
                allowed=list(old.edges),
            )
        return self._replace(old.model_copy(update={"edges": given}))

    def with_matrix(self, station_id: str, rows: Sequence[Sequence[int]]) -> Chain:
        """The chain with another 5 × 5 matrix at a matrix station.

        Raises
        ------
        InvalidParameter
            For a wrong shape, cells outside 1–5, a matrix that improves along a row or column, another kind of station.
        """
        old = self.station(station_id)
        try:
            if old.kind != "matrix":
                raise ValueError("not a matrix station")
            cells = Matrix.model_validate({"rows": [list(map(int, row)) for row in rows]})
        except ValueError as error:
            raise InvalidParameter(
                f"站 {station_id!r} 的矩阵不成立：应为 5×5、取值 1–5、向下向右不变好",
                f"the matrix of station {station_id!r} is invalid: 5×5, cells 1–5, never better down or right",
                parameter=station_id,
                reason=str(error).splitlines()[0],
            ) from error
        table, compare = _matrix_table(cells)
        return self._replace(old.model_copy(update={"table": table, "compare": compare}))

    def with_shift(self, station_id: str, shift: Mapping[int, int]) -> Chain:
        """The chain with other corrections: level → grades added (for stations of kind correction or steps).

        Raises
        ------
        InvalidParameter
            For an unknown level, a shift beyond ±4, another kind of station.
        """
        old = self.station(station_id)
        levels = sorted(set(old.levels))
        if (
            old.kind not in {"correction", "steps"}
            or not set(shift) <= set(levels)
            or any(abs(v) >= WORST for v in shift.values())
        ):
            raise InvalidParameter(
                f"站 {station_id!r} 的修正不成立：级别应在 {levels}，修正在 ±4 以内，站应为修正站",
                f"the correction of station {station_id!r} is invalid: levels {levels}, shifts within ±4, a correction",
                parameter=station_id,
            )
        table = tuple(
            tuple(clip(g + shift[n]) if g and n in shift else row[n - 1] for n in range(1, len(row) + 1))
            for g, row in enumerate(old.table)
        )
        return self._replace(old.model_copy(update={"table": table}))

    # -- running -----------------------------------------------------------------------------------------------------

    def run(
        self, values: Mapping[str, NDArray[Any]], *, after: Graded | None = None, inside: NDArray[Any] | None = None
    ) -> Graded:
        """Grade, class and reason of each cell of a block.

        Parameters
        ----------
        values : mapping
            Factor → array of the block: float32 (NaN = no value), uint8, int16 or bool.
        after : Graded, optional
            The block after earlier stations: these go on from there. Their reason codes are shifted by the caller's
            chain: use `tail` for this.
        inside : bool or uint8, optional
            Cells where it is 0 are not assessed.

        Raises
        ------
        GridMismatch
            If the arrays do not have one shape.
        """
        return self._run(values, 0, after, inside)

    def tail(self, first: str, values: Mapping[str, NDArray[Any]], after: Graded) -> Graded:
        """Run the stations from `first` on, after the ones before it have been run (patches need the whole map)."""
        return self._run(values, self.stations.index(self.station(first)), after, None)

    def _run(
        self, values: Mapping[str, NDArray[Any]], skip: int, after: Graded | None, inside: NDArray[Any] | None
    ) -> Graded:
        stations = self.stations[skip:]
        shapes = {np.shape(values[s.factor]) for s in stations}
        if len(shapes) != 1:
            raise GridMismatch(
                f"判别链 {self.id} 的因子块大小不一：{sorted(shapes)}",
                f"chain {self.id}: the factor blocks differ in shape: {sorted(shapes)}",
            )
        shape = shapes.pop()
        state = np.zeros((4, math.prod(shape)), dtype=np.uint8)
        grade, raw, worst, status = state
        if after is None:
            raw[:] = NO_LIMIT
        else:
            grade[:], raw[:], worst[:] = after.grade.ravel(), after.raw.ravel(), after.worst.ravel()
            ends = [k for k, s in enumerate(self.stations[:skip], start=2) if s.stops]
            status[np.isin(raw, ends)] = 1
            status[grade == 0] = 2
        if inside is not None:
            status[np.asarray(inside).ravel() == 0] = 2
        flat = [_plain(values[station.factor], station) for station in stations]
        apply = compiled(_apply)
        interval = np.empty(_PIECE, dtype=np.uint8)
        # A piece goes through all stations while it is in the cache of the processor.
        for low in range(0, grade.size, _PIECE):
            piece = slice(low, low + _PIECE)
            for number, (station, array) in enumerate(zip(stations, flat, strict=True), start=skip + 2):
                apply(
                    array[piece], station.starts, station.cells, station.required, np.uint8(number),
                    interval[: array[piece].size], grade[piece], raw[piece], worst[piece], status[piece],
                )  # fmt: skip
        lookup = np.zeros(6, dtype=np.uint8)
        for g, c in self.classes.items():
            lookup[g] = c
        finish = compiled(_finish)
        suitability = np.empty_like(grade)
        reason = np.empty_like(grade)
        finish(grade, raw, status, lookup, np.uint8(self.classes[1]), suitability, reason)
        return Graded(*(a.reshape(shape) for a in (grade, suitability, reason, raw, worst)))

    def trace(self, values: Mapping[str, float | None]) -> dict[str, JsonValue]:
        """Why a cell has its class: value → interval → grade by station, with the source of each.

        Parameters
        ----------
        values : mapping
            Factor → value; None or NaN = no value.
        """
        cell = {
            s.factor: np.array([np.nan if values.get(s.factor) is None else values[s.factor]], dtype=np.float32)
            for s in self.stations
        }
        passed: list[JsonValue] = []
        state: Graded | None = None
        for k, station in enumerate(self.stations):
            value = float(cell[station.factor][0])
            before = 0 if state is None else int(state.grade[0])
            sofar = self.model_copy(update={"stations": self.stations[: k + 1]})
            state = sofar.run(cell)
            number = None if math.isnan(value) else station.interval(value)
            ended = number is not None and station.levels[number] in station.stops
            passed.append(
                {
                    "station": station.id,
                    "title": station.title.model_dump(),
                    "kind": station.kind,
                    "factor": station.factor,
                    "value": None if math.isnan(value) else round(value, 6),
                    "unit": station.unit,
                    "interval": None if number is None else station.interval_text(number),
                    "level": None if number is None else station.levels[number],
                    "cell": [before, station.levels[number]]
                    if station.kind == "matrix" and number is not None
                    else None,
                    "grade_before": before or None,
                    "grade_after": int(state.grade[0]) or None,
                    "changed": int(state.grade[0]) != before,
                    "ends": ended,
                    "source": station.source,
                    "tag": station.tag,
                }
            )
            if ended or (number is None and station.required):
                break
        final = self.run(cell)
        suitability, reason = int(final.suitability[0]), int(final.reason[0])
        title = self.class_titles.get(suitability)
        return {
            "chain": self.id,
            "title": self.title.model_dump(),
            "steps": passed,
            "grade": int(final.grade[0]) or None,
            "class": suitability or None,
            "class_title": None if title is None else title.model_dump(),
            "reason": None if reason < 2 else self.stations[reason - 2].id,
            "reason_title": self.reasons()[reason].model_dump() if reason else None,
        }

    def document(self) -> dict[str, Any]:
        """As JSON; ``Chain.model_validate`` makes it again."""
        return self.model_dump(mode="json", exclude_none=True)


def _plain(values: NDArray[Any], station: Station) -> NDArray[Any]:
    flat = np.ascontiguousarray(values).ravel()
    if flat.dtype == np.bool_:
        return flat.view(np.uint8)
    if flat.dtype not in (np.float32, np.uint8, np.int16):
        # float64 values would be graded by their float32 neighbour, which the stored factor is not.
        raise GridMismatch(
            f"因子 {station.factor} 应为 float32、uint8 或 int16，得到 {flat.dtype}",
            f"factor {station.factor} must be float32, uint8 or int16, found {flat.dtype}",
        )
    return flat


def _apply(
    values: Any, starts: Any, cells: Any, required: Any, code: Any, interval: Any, grade: Any, raw: Any, worst: Any,
    status: Any,
) -> None:  # fmt: skip
    """One station over a flat piece; compiled by numba for each dtype of `values`. Status: 1 ended, 2 not assessed."""
    n = values.size
    for i in range(n):
        interval[i] = 0
    for start in starts:
        for i in range(n):
            interval[i] += values[i] >= start
    for i in range(n):
        cell = cells[grade[i] * 64 + interval[i]]
        gap = values[i] != values[i]
        if status[i] == 0:
            if gap:
                if required:
                    status[i] = 2
            else:
                fault = (cell >> 3) & 7
                if fault > worst[i]:
                    worst[i] = fault
                    raw[i] = code
                if cell >> 6:
                    raw[i] = code
                    status[i] = 1
                grade[i] = cell & 7


def _finish(grade: Any, raw: Any, status: Any, lookup: Any, best: Any, suitability: Any, reason: Any) -> None:
    """Class and reason; cells not assessed become 0 everywhere."""
    for i in range(grade.size):
        if status[i] == 2:
            grade[i] = 0
            raw[i] = 0
        g = grade[i]
        suitability[i] = lookup[g]
        reason[i] = 0 if g == 0 else (1 if lookup[g] == best else raw[i])
