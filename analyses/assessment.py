"""Running assessments (评价) over a grid: factors and chains by block, then what needs the whole map, then the classes.

Pass 1 computes the factors of every block and runs the chains as far as they are local. Between the passes the caller
finds what no block knows alone: patches of equal grade, the ranking of services. Pass 2 finishes the chains. Both passes
write block by block; what lies between them is in files, so memory is set by the block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from analyses.blocks import Arrays, Window, block_windows, run_blocks
from analyses.chain import NO_LIMIT, Chain, Graded
from analyses.masks import release, scratch_array
from analyses.terrain import cell_size, local_relief, slope_horn
from analyses.windows import read_window
from spatial.catalog import Text
from spatial.errors import LayerEmpty, QualityViolation
from spatial.jobs.contract import Inputs, RasterInput, RasterOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Assessment",
    "Block",
    "Combine",
    "Encoder",
    "FactorWork",
    "Finished",
    "Given",
    "Late",
    "Source",
    "Terrain",
    "factor_pass",
    "finish_pass",
    "unpack",
]

_MOST_TOUCHED = 16_000_000
"""Cells touched before the memory of mapped arrays is given back."""
_WORST_BITS, _REASON_BITS = 3, 6
"""Between the passes a cell is one uint16: its grade, how much the reason worsened it, and the reason of the chain so far."""


@dataclass(frozen=True)
class Terrain:
    """The elevation model of a run and its grid, as every block needs them.

    Attributes
    ----------
    north, cell_height, cell_width : float, degrees
        Of the run's grid.
    side : int
        Relief window, cells.
    plausible : (float, float), m
    slope_step, relief_step : float
        Powers of two that the factors are rounded to, so that what is stored is what was graded.
    """

    dem: RasterInput
    north: float
    cell_height: float
    cell_width: float
    side: int
    plausible: tuple[float, float]
    slope_step: float | None
    relief_step: float | None


def _rounded(values: NDArray[np.float32], step: float | None) -> NDArray[np.float32]:
    if step is None:
        return values
    return np.asarray(np.rint(values / np.float32(step)) * np.float32(step), dtype=np.float32)


class Block:
    """One block of a run: terrain with its halo, arrays that travel with it, and the factors found so far."""

    def __init__(self, window: Window, given: Arrays, terrain: Terrain) -> None:
        self.window = window
        self.given = given
        self.terrain = terrain
        self._found: dict[str, NDArray[Any]] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.window[2], self.window[3]

    def once(self, name: str, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """What `compute` gives, computed at most once in a block."""
        if name not in self._found:
            self._found[name] = compute()
        return self._found[name]

    @property
    def _around(self) -> NDArray[np.float32]:
        return self.once("around", self._read_around)

    def _read_around(self) -> NDArray[np.float32]:
        row, col, height, width = self.window
        half = max(1, self.terrain.side // 2)
        return self._checked(row - half, col - half, height + 2 * half, width + 2 * half)

    def _checked(self, row: int, col: int, height: int, width: int) -> NDArray[np.float32]:
        dem = self.terrain.dem
        values = read_window(dem, row, col, height, width)
        least, most = self.terrain.plausible
        known = values[np.isfinite(values)]
        if known.size and (known.min() < least or known.max() > most):
            raise QualityViolation(
                f"图层 {dem.layer_id} 的高程为 {known.min():g}–{known.max():g}，超出 {least:g}–{most:g} m，"
                f"请检查单位（声明为 {dem.unit or '无'}）",
                f"layer {dem.layer_id}: elevation {known.min():g} to {known.max():g} is outside {least:g} to {most:g} m; "
                f"check the unit (declared: {dem.unit or 'none'})",
                layer=dem.layer_id,
                unit=dem.unit,
            )
        return values

    @property
    def elevation(self) -> NDArray[np.float32]:
        """Elevation (高程), m."""
        half = max(1, self.terrain.side // 2)
        return self._around[half:-half, half:-half]

    def around(self, halo: int) -> NDArray[np.float32]:
        """Elevation (高程) of the block and of `halo` cells on every side, m; NaN beyond the elevation model."""
        half = max(1, self.terrain.side // 2)
        if halo > half:
            row, col, height, width = self.window
            return self._checked(row - halo, col - halo, height + 2 * halo, width + 2 * halo)
        values = self._around
        edge = half - halo
        return values[edge : values.shape[0] - edge, edge : values.shape[1] - edge]

    @property
    def slope(self) -> NDArray[np.float32]:
        """Slope (坡度), degrees."""
        return self.once("slope", self._slope)

    def _slope(self) -> NDArray[np.float32]:
        row, _, height, _ = self.window
        t = self.terrain
        edge = max(1, t.side // 2) - 1
        around = self._around
        beside = around[edge : around.shape[0] - edge, edge : around.shape[1] - edge]
        size = cell_size(t.north, t.cell_height, t.cell_width, row, height)
        return _rounded(slope_horn(beside, size), t.slope_step)

    @property
    def relief(self) -> NDArray[np.float32]:
        """Local relief (地形起伏度), m."""
        return self.once(
            "relief", lambda: _rounded(local_relief(self._around, self.terrain.side), self.terrain.relief_step)
        )


Encoder = Callable[[int, int, "NDArray[Any]"], Any]
"""First row, first column and values of a block → the block as it stands in a file (`RasterOutput.encoder`)."""
Late = Callable[[Window], Mapping[str, "NDArray[Any]"]]
"""Values of the late factors of a window."""


class Source(Protocol):
    """Where the values of a factor come from; a frozen dataclass that can be pickled."""

    def __call__(self, block: Block) -> NDArray[Any]:
        """float32 (NaN = no value) or uint8, of the block's shape."""
        ...


@dataclass(frozen=True)
class Given:
    """A factor that travels with the block (a mask, travel time)."""

    name: str

    def __call__(self, block: Block) -> NDArray[Any]:
        """The array as it came."""
        values: NDArray[Any] = block.given[self.name]
        return values


@dataclass(frozen=True)
class Assessment:
    """One assessment of a run.

    Attributes
    ----------
    chain : Chain
        All stations; those from `late` on need the whole map and run in pass 2.
    sources : mapping
        Factor → source, for every factor of the stations before `late` and of `knock_outs`, in the order of the bands.
    late : str, optional
        First station of pass 2.
    land : str, optional
        Station after which the grade is kept as the land grade (土地资源等级).
    kept : mapping
        Name → (source, dtype) of arrays that the caller needs again between the passes; memory-mapped as
        ``{id}:{name}``.
    """

    id: str
    title: Text
    chain: Chain
    sources: Mapping[str, Source]
    late: str | None = None
    land: str | None = None
    knock_outs: Chain | None = None
    kept: Mapping[str, tuple[Source, str]] = field(default_factory=dict)

    @property
    def head(self) -> Chain:
        """The stations of pass 1."""
        if self.late is None:
            return self.chain
        first = self.chain.stations.index(self.chain.station(self.late))
        return self.chain.model_copy(update={"stations": self.chain.stations[:first]})

    def grade(
        self, values: Mapping[str, NDArray[Any]], inside: NDArray[Any] | None
    ) -> tuple[Graded, NDArray[np.uint8] | None]:
        """A block after the stations of pass 1, and its land grade."""
        head = self.head
        if self.land is None:
            return head.run(values, inside=inside), None
        first = head.upto(self.land)
        graded = first.run(values, inside=inside)
        land = graded.grade
        if len(first.stations) < len(head.stations):
            graded = head.tail(head.stations[len(first.stations)].id, values, graded)
        return graded, land


@dataclass(frozen=True)
class FactorWork:
    """Pass 1 of one block (see `BlockWork`)."""

    terrain: Terrain
    assessments: tuple[Assessment, ...]
    encoders: Mapping[str, Encoder]
    """By assessment, of the raster that its factors are written to."""

    def __call__(self, window: Window, given: Arrays) -> dict[str, Any]:
        """``{assessment}/{factor}`` encoded, ``{assessment}:packed`` uint16, ``:land``, ``:out`` uint8 of the block."""
        block = Block(window, given, self.terrain)
        inside = given.get("inside")
        if inside is not None and inside.all():
            inside = None
        found: dict[str, Any] = {}
        for assessment in self.assessments:
            values = {
                name: block.once(f"{assessment.id}/{name}", partial(source, block))
                for name, source in assessment.sources.items()
            }
            graded, land = assessment.grade(values, inside)
            found[f"{assessment.id}:packed"] = _pack(graded)
            if land is not None:
                found[f"{assessment.id}:land"] = land
            if assessment.knock_outs is not None:
                found[f"{assessment.id}:out"] = assessment.knock_outs.run(values, inside=inside).reason
            for name, (source, dtype) in assessment.kept.items():
                found[f"{assessment.id}:{name}"] = source(block).astype(dtype, copy=False)
            if assessment.id not in self.encoders:
                continue
            for name, array in values.items():
                shown = np.asarray(array, dtype=np.float32)
                if inside is not None:
                    shown = np.where(inside == 0, np.float32(np.nan), shown)
                found[f"{assessment.id}/{name}"] = self.encoders[assessment.id](window[0], window[1], shown)
        found["valid"] = np.array([np.isfinite(block.elevation).sum()])
        return found


def _pack(graded: Graded) -> NDArray[np.uint16]:
    packed = graded.raw.astype(np.uint16) << np.uint16(_REASON_BITS)
    packed |= graded.worst.astype(np.uint16) << np.uint16(_WORST_BITS)
    return packed | graded.grade


def unpack(packed: NDArray[np.uint16]) -> Graded:
    """A block between the passes as `Chain.tail` takes it."""
    grade = (packed & np.uint16(7)).astype(np.uint8)
    worst = ((packed >> np.uint16(_WORST_BITS)) & np.uint16(7)).astype(np.uint8)
    raw = (packed >> np.uint16(_REASON_BITS)).astype(np.uint8)
    nothing = np.zeros_like(grade)
    return Graded(grade, nothing, nothing, raw, worst)


def factor_pass(
    inputs: Inputs,
    terrain: Terrain,
    assessments: Sequence[Assessment],
    *,
    masks: Mapping[str, Any],
    rasters: Mapping[str, RasterOutput],
    block: int,
    threads: int = 1,
    scheduler: str | None = None,
    progress: Callable[[float], None],
) -> dict[str, NDArray[Any]]:
    """Pass 1 over the whole grid.

    Parameters
    ----------
    masks : mapping
        Name → array over the grid (or a function of a window) that travels with the blocks; ``inside`` = 0 where nothing
        is assessed.
    rasters : mapping
        Assessment id → raster of its factors, with one band for each of its sources in their order.

    Returns
    -------
    mapping
        ``{assessment}:packed`` (uint16), ``:land``, ``:out`` (uint8) and what each assessment keeps, memory-mapped.

    Raises
    ------
    LayerEmpty
        If the elevation model has no data at all.
    """
    shape = inputs.grid.shape.yx
    kept: dict[str, NDArray[Any]] = {}
    for a in assessments:
        kept[f"{a.id}:packed"] = scratch_array(inputs.scratch, f"{a.id}-packed", shape, np.uint16)
        for name in (*(["land"] if a.land else []), *(["out"] if a.knock_outs else [])):
            kept[f"{a.id}:{name}"] = scratch_array(inputs.scratch, f"{a.id}-{name}", shape, np.uint8)
        for name, (_, dtype) in a.kept.items():
            kept[f"{a.id}:{name}"] = scratch_array(inputs.scratch, f"{a.id}-{name}", shape, dtype)
    valid = 0
    held = _Held((*kept.values(), *masks.values()))

    def settle(window: Window, found: Arrays) -> None:
        nonlocal valid
        row, col, height, width = window
        held.touched(height * width)
        valid += int(found["valid"][0])
        for name, array in kept.items():
            array[row : row + height, col : col + width] = found[name]
        for a in assessments:
            if a.id in rasters:
                for band, factor in enumerate(a.sources, start=1):
                    rasters[a.id].put(found[f"{a.id}/{factor}"], band=band)

    def given(window: Window) -> Arrays:
        row, col, height, width = window
        return {
            name: mask(window) if callable(mask) else np.asarray(mask[row : row + height, col : col + width])
            for name, mask in masks.items()
        }

    inside = masks.get("inside")
    windows = [w for w in block_windows(*shape, block) if inside is None or _any(inside, w)]
    encoders = {name: raster.encoder for name, raster in rasters.items()}
    work = FactorWork(terrain, tuple(assessments), encoders)
    run_blocks(work, windows, on_result=settle, given=given, threads=threads, scheduler=scheduler, progress=progress)
    if valid == 0:
        layer = terrain.dem.layer_id
        raise LayerEmpty(
            f"图层 {layer} 在所选范围内没有有效高程，请换一个范围",
            f"layer {layer} has no valid elevation in this window; choose another one",
            layer=layer,
        )
    return kept


class _Held:
    """Counts the cells that were touched in memory-mapped arrays, and gives their memory back now and then."""

    def __init__(self, arrays: Sequence[Any]) -> None:
        self._arrays = arrays
        self._cells = 0

    def touched(self, cells: int) -> None:
        self._cells += cells
        if self._cells >= _MOST_TOUCHED:
            self._cells = 0
            release(*self._arrays)


def _any(mask: NDArray[Any], window: Window) -> bool:
    row, col, height, width = window
    return bool(mask[row : row + height, col : col + width].any())


@dataclass(frozen=True, slots=True)
class Finished:
    """A block of one assessment after both passes; uint8."""

    grade: NDArray[np.uint8]
    suitability: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    patch: NDArray[np.uint8] | None
    out: NDArray[np.uint8] | None
    """Reason code of the knock-out chain, 0 = none."""
    land: NDArray[np.uint8] | None


Combine = Callable[[Window, Mapping[str, Finished], Arrays], Arrays]
"""Window, finished block of each assessment, and what travels with the block → what the caller wants of it."""


@dataclass(frozen=True)
class FinishWork:
    """Pass 2 of one block (see `BlockWork`)."""

    chains: Mapping[str, tuple[Chain, str | None]]
    """By assessment its chain and first late station."""
    combine: Combine

    def __call__(self, window: Window, given: Arrays) -> Arrays:
        """What `combine` gives of the finished block."""
        found = {}
        for name, (chain, late) in self.chains.items():
            before = unpack(given[f"{name}:packed"])
            start = f"{name}|"
            values = {key.removeprefix(start): value for key, value in given.items() if key.startswith(start)}
            after = _classes(chain, before) if late is None else chain.tail(late, values, before)
            found[name] = Finished(
                after.grade,
                after.suitability,
                after.reason,
                values.get("patch"),
                given.get(f"{name}:out"),
                given.get(f"{name}:land"),
            )
        return self.combine(window, found, given)


def finish_pass(
    assessments: Sequence[Assessment],
    kept: Mapping[str, NDArray[Any]],
    *,
    late: Mapping[str, Late],
    combine: Combine,
    on_result: Callable[[Window, Arrays], None],
    shape: tuple[int, int],
    block: int,
    threads: int = 1,
    scheduler: str | None = None,
    inside: NDArray[np.uint8] | None = None,
    masks: Mapping[str, NDArray[Any]] | None = None,
    progress: Callable[[float], None],
) -> None:
    """Pass 2 over the whole grid.

    Parameters
    ----------
    late : mapping
        Assessment id → function that gives the values of the late factors of a window (patch level, service rank).
    combine : callable
        Called in any thread or worker; must be picklable without arrays of the size of the grid.
    on_result : callable
        Called in this thread with what `combine` gave.
    masks : mapping
        Further arrays over the grid that travel with the blocks.
    """
    names = [f"{a.id}:{part}" for a in assessments for part in ("packed", "out", "land") if f"{a.id}:{part}" in kept]
    arrays: dict[str, NDArray[Any]] = {name: kept[name] for name in names} | dict(masks or {})

    def given(window: Window) -> Arrays:
        row, col, height, width = window
        found = {name: np.asarray(a[row : row + height, col : col + width]) for name, a in arrays.items()}
        for name, values in late.items():
            found |= {f"{name}|{key}": value for key, value in values(window).items()}
        return found

    held = _Held((*kept.values(), inside, *(masks or {}).values()))

    def settle(window: Window, arrays: Arrays) -> None:
        held.touched(window[2] * window[3])
        on_result(window, arrays)

    windows = [w for w in block_windows(*shape, block) if inside is None or _any(inside, w)]
    work = FinishWork({a.id: (a.chain, a.late) for a in assessments}, combine)
    run_blocks(work, windows, on_result=settle, given=given, threads=threads, scheduler=scheduler, progress=progress)


def _classes(chain: Chain, before: Graded) -> Graded:
    """Class and reason of a block whose chain has no late station."""
    lookup = np.zeros(8, dtype=np.uint8)
    for grade, number in chain.classes.items():
        lookup[grade] = number
    suitability = lookup[before.grade]
    reason = np.where(suitability == chain.classes[1], np.uint8(NO_LIMIT), before.raw)
    reason[before.grade == 0] = 0
    return Graded(before.grade, suitability, reason, before.raw, before.worst)
