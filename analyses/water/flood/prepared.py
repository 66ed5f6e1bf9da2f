"""The strip raster of a run (断面条带): made in the run, or prepared once by ``flood-strips`` and checked against the river."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from affine import Affine

from analyses.masks import release, scratch_array
from analyses.water.flood.start import Run
from analyses.water.flood.strips import Cells, RiverNodes, nearest_node, river_cells
from spatial.catalog import Text
from spatial.errors import QualityViolation
from spatial.jobs.contract import RasterInput

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["fill_strips", "strip_dtype"]

_SAMPLE_ROWS = 24
"""Rows of a prepared raster that are computed anew and compared cell by cell."""
_ROWS = 512


def strip_dtype(nodes: RiverNodes) -> type[np.uint16 | np.int32]:
    """Smallest type that holds the numbers of the nodes."""
    return np.uint16 if nodes.size < 65535 else np.int32


def fill_strips(run: Run, nodes: RiverNodes, seeds: Cells) -> Any:
    """Strips of the run's grid in a mapped file: computed, or read from the layer that the parameters name."""
    inputs, rule = run.inputs, run.rules.surface
    shape, affine, dtype = inputs.grid.shape.yx, inputs.grid.affine, strip_dtype(nodes)
    strip = scratch_array(inputs.scratch, "strips", shape, dtype)
    reader = inputs.rasters.get("strips")
    if reader is None:

        def put(top: int, rows: Any) -> None:
            strip[top : top + rows.shape[0]] = rows
            release(strip)

        nearest_node(seeds, affine, shape, limit_m=rule.strip_limit_m, put=put, dtype=dtype, threads=inputs.threads)
        note = Text(zh="本次运行中计算", en="made in the run")
    else:
        _same_river(run, reader)
        _require_current(run, reader, nodes)
        for top in range(0, shape[0], _ROWS):
            high = min(_ROWS, shape[0] - top)
            strip[top : top + high] = _numbers(reader, top, high, shape[1])
            release(strip)
        note = Text(
            zh=f"取自预先算好的图层 {reader.layer_id}（版本 {reader.version}），已与河道、格网核对",
            en=f"from the prepared layer {reader.layer_id} (version {reader.version}), checked against river and grid",
        )
    run.factor("strips", "断面条带", "Strips", True, note, rule.source)
    return strip


def _numbers(reader: RasterInput, top: int, high: int, wide: int) -> NDArray[np.int32]:
    """Node numbers of whole rows; no data is 0, no node."""
    return np.nan_to_num(reader.read(top, 0, high, wide), nan=0.0).astype(np.int32)


def _refuse(run: Run, reader: RasterInput, zh: str, en: str) -> QualityViolation:
    return QualityViolation(
        f"断面条带图层 {reader.layer_id} 已过期：{zh}；请对 {run.parameters.terrain} 与 {run.parameters.river} "
        "重新运行 flood-strips，或不填 strips",
        f"strips {reader.layer_id} are out of date: {en}; run flood-strips again for {run.parameters.terrain} and "
        f"{run.parameters.river}, or leave strips out",
        layer=reader.layer_id,
        reason="strips-out-of-date",
        parameter="strips",
    )


def _same_river(run: Run, reader: RasterInput) -> None:
    """The strips' own record must name this river in this version."""
    record = getattr(getattr(reader, "layer", None), "provenance", None)
    if not record:
        return
    river = next((i for i in record.get("inputs", ()) if i.get("role") == "river"), None)
    now = run.inputs.versions.get(run.parameters.river)
    if river is not None and (river["layer"], str(river["version"])) != (run.parameters.river, str(now)):
        raise _refuse(
            run,
            reader,
            f"由河道图层 {river['layer']} 版本 {river['version']} 算出，现为 {run.parameters.river} 版本 {now}",
            f"made from river layer {river['layer']} version {river['version']}, now it is {run.parameters.river} version {now}",
        )


def _require_current(run: Run, reader: RasterInput, nodes: RiverNodes) -> None:
    """Every river cell must hold its own node, and some rows computed anew must be the same in every cell."""
    inputs, rule = run.inputs, run.rules.surface
    rows, cols = inputs.grid.shape.yx
    down, right = reader.axes()
    top, left = round(down.origin + down.start), round(right.origin + right.start)
    whole = reader.source_shape
    affine: Affine = inputs.grid.affine @ Affine.translation(-left, -top)
    seeds = river_cells(nodes, affine, whole)
    row, col, number = seeds.within(top, left, rows, cols)
    for first in np.unique(row // _ROWS) * _ROWS:
        high = min(_ROWS, rows - int(first))
        mine = (row >= first) & (row < first + high)
        stored = _numbers(reader, int(first), high, cols)[row[mine] - first, col[mine]]
        if not np.array_equal(stored, number[mine]):
            raise _refuse(
                run,
                reader,
                f"{int((stored != number[mine]).sum())} 个河道像元的节点与现在的河道中心线不符",
                f"the nodes of {int((stored != number[mine]).sum())} river cells differ from those of the present centre lines",
            )
    for place in np.unique(np.linspace(0, rows - 1, _SAMPLE_ROWS).astype(int)):
        made: list[Any] = []
        _one_row(seeds, affine, whole, top + int(place), rule.strip_limit_m, made)
        if not np.array_equal(made[0][left : left + cols], _numbers(reader, int(place), 1, cols)[0]):
            raise _refuse(
                run,
                reader,
                f"第 {place} 行与现在的河道、范围或条带宽度算出的不同",
                f"row {place} differs from what the present river, extent and width of strips give",
            )


def _one_row(
    seeds: Cells, affine: Affine, shape: tuple[int, int], row: int, limit_m: float, into: list[NDArray[Any]]
) -> None:
    """One row of the strips, exactly as `nearest_node` makes it."""
    nearest_node(
        seeds,
        affine,
        shape,
        limit_m=limit_m,
        put=lambda first, rows: into.append(rows[0]),
        span=(row, row + 1),
    )
