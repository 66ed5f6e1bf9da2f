"""Area series of water bodies (水体面积序列): wet, dry and unseen cells of every body on every date, in one pass by block.

The counts of DE Africa Waterbodies (``px_wet``, ``area_wet_m2`` …) come with a best estimate of the whole body, its interval
and a flag (`analyses.water.bodies.gap_filling`): a cloudy date leaves no hole in the series and no false loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies import series_kernels
from analyses.water.bodies.delineation import Band, FrequencySource, WaterBodies
from analyses.water.bodies.gap_filling import Filled, StrataCounts, fill, level_index
from analyses.water.bodies.rules import SeriesRule, WaterBodyRules
from analyses.water.occurrence.stack import ClassStack, Observation, observations, read_observation, windows_of
from spatial.compiled import compiled
from spatial.errors import GridMismatch, InvalidParameter
from spatial.grid import cell_areas
from spatial.units import whole_dm2

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["COLUMNS", "BodyCounts", "BodySeries", "body_series", "count_bodies", "series_of"]

COLUMNS = {
    "date": "day of the observation, Asia/Shanghai / 日期",
    "time": "time of the first scene, UTC / 首景时间",
    "pc_wet": "% of the body seen wet / 有水",
    "px_wet": "cells seen wet / 有水像元",
    "area_wet_m2": "area seen wet / 有水面积",
    "pc_dry": "% seen dry / 无水",
    "px_dry": "cells seen dry / 无水像元",
    "area_dry_m2": "area seen dry / 无水面积",
    "pc_invalid": "% not seen / 未观测",
    "px_invalid": "cells not seen / 未观测像元",
    "area_invalid_m2": "area not seen / 未观测面积",
    "seen_share": "share of the body seen, 0–1 / 有效份额",
    "valid": "at least 90 % seen / 有效观测",
    "flag": "observed, filled, prior or none / 观测、补齐、先验、无",
    "area_m2": "best estimate of the water of the whole body, with the ring / 面积估计（含外环）",
    "area_low_m2": "lower end of its interval / 下限",
    "area_high_m2": "upper end / 上限",
    "area_ring_m2": "of it seen in rarely wet cells around the polygon / 其中图斑外环已见水面",
    "area_partial_m2": "cells of partial water seen beside the water / 紧邻水面的部分水面像元",
    "level_low": "level index, lower bound, 0–1 / 水位指数下限",
    "level_high": "level index, upper bound, 0–1 / 水位指数上限",
}
"""Columns of a series; the first three groups are those of DE Africa Waterbodies."""
BLOCK = 512


@dataclass(frozen=True)
class BodyCounts:
    """Counts of several bodies on the same dates; memory: dates × strata, whatever the number of cells."""

    numbers: NDArray[np.int64]
    """Rows of the bodies in `WaterBodies.frame`."""
    days: tuple[Observation, ...]
    cells: NDArray[np.int64]
    """Seen wet and seen dry cells of the polygon, and wet cells of the ring around it, (3, dates, bodies)."""
    areas_dm2: NDArray[np.int64]
    """Their areas."""
    partial_dm2: NDArray[np.int64]
    """Area of cells of partial water (classes 3 and 4) beside water, (dates, bodies)."""
    totals: NDArray[np.int64]
    """Cells of the polygon of each body."""
    totals_dm2: NDArray[np.int64]
    offsets: NDArray[np.int64]
    """Strata of body k: offsets[k] … offsets[k + 1]."""
    seen: NDArray[np.uint32]
    """(dates, strata)"""
    wet: NDArray[np.uint32]
    strata: NDArray[np.int64]
    """Cells of each stratum."""
    bin: NDArray[np.int64]
    cell: NDArray[np.int64]
    changed: NDArray[np.bool_]

    def of(self, k: int) -> StrataCounts:
        """Counts of one body by stratum."""
        cut = slice(int(self.offsets[k]), int(self.offsets[k + 1]))
        return StrataCounts(
            self.seen[:, cut].astype(np.int64), self.wet[:, cut].astype(np.int64), self.strata[cut], self.bin[cut],
            self.cell[cut], self.changed[cut], np.array([day.day.toordinal() for day in self.days], dtype=np.int64),
            self.cells[:2, :, k].sum(axis=0) / max(int(self.totals[k]), 1),
        )  # fmt: skip


@dataclass(frozen=True)
class BodySeries:
    """Series of one body."""

    id: str
    name: str | None
    number: int
    """Row in `WaterBodies.frame`."""
    frame: pd.DataFrame
    """Columns of `COLUMNS`, one row a date."""
    extent_m2: float
    references: int
    """Clear dates behind the filled values."""

    def csv(self) -> str:
        """The series as CSV (每个水体一份), empty where there is no value."""
        return str(self.frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def count_bodies(
    stack: ClassStack,
    bodies: WaterBodies,
    source: FrequencySource,
    rules: WaterBodyRules,
    *,
    numbers: Sequence[int] | None = None,
    changed: Band | None = None,
    block: int = BLOCK,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> BodyCounts:
    """Count the cells of bodies on every date, by stratum.

    Parameters
    ----------
    stack, bodies, source
        On one grid; `source` gives the frequency that orders the cells.
    numbers : rows of ``bodies.frame``, optional
        Bodies wanted; default all.
    changed : callable, optional
        uint8 by window: 1 … 255 = cell of a change polygon (`level_area.Losses`), a stratum of its own.

    Raises
    ------
    GridMismatch
        When stack, frequency and bodies differ in size.
    InvalidParameter
        Times without zone; a body number that does not exist.
    """
    if stack.shape != source.shape or stack.shape != (bodies.grid.shape.y, bodies.grid.shape.x):
        raise GridMismatch(
            f"水体分类 {stack.shape}、频率 {source.shape} 与图斑格网 {bodies.grid.shape} 大小不同",
            f"water maps {stack.shape}, frequency {source.shape} and the bodies' grid {bodies.grid.shape} differ in size",
        )
    chosen = np.arange(len(bodies.frame)) if numbers is None else np.asarray(sorted(set(numbers)), dtype=np.int64)
    if chosen.size and (chosen[0] < 0 or chosen[-1] >= len(bodies.frame)):
        raise InvalidParameter(
            f"没有编号为 {int(chosen[-1])} 的水体，共 {len(bodies.frame)} 个",
            f"there is no body number {int(chosen[-1])}; there are {len(bodies.frame)}",
            parameter="numbers",
        )
    days = tuple(observations(stack.dates, zone=rules.observation.day_zone))
    place = _Place.of(bodies, chosen, rules, changed is not None)
    area = whole_dm2(cell_areas(bodies.grid))
    wanted = [w for w in windows_of(stack.shape, 0, 0, *stack.shape, block) if place.touches(w)]

    # First look: which strata there are.
    strata = np.zeros(place.size, np.int64)
    totals, totals_dm2 = np.zeros(chosen.size, np.int64), np.zeros(chosen.size, np.int64)
    for window in wanted:
        body, inner, stratum, _ = place.read(window, bodies, source, changed)
        strata += np.bincount(stratum[body >= 0], minlength=place.size)
        inside = (body >= 0) & inner
        totals += np.bincount(body[inside], minlength=chosen.size)
        by_area = np.zeros(chosen.size, np.int64)
        np.add.at(by_area, body[inside], area[window[0] + np.nonzero(inside)[0]])
        totals_dm2 += by_area
    used = np.flatnonzero(strata)
    dense = np.full(place.size, -1, np.int64)
    dense[used] = np.arange(used.size)
    owner = np.searchsorted(place.first, used, side="right") - 1
    offsets = np.searchsorted(owner, np.arange(chosen.size + 1)).astype(np.int64)
    within = used - place.first[owner]
    plain = within < place.sides[owner] ** 2 * place.bins

    seen, wet = (np.zeros((len(days), used.size), np.uint32) for _ in range(2))
    cells, areas = (np.zeros((3, len(days), chosen.size), np.int64) for _ in range(2))
    partial = np.zeros((len(days), chosen.size), np.int64)

    def work(window: tuple[int, int, int, int]) -> list[Any]:
        body, inner, stratum, wide = place.read(window, bodies, source, changed)
        top, left = max(window[0] - 1, 0), max(window[1] - 1, 0)
        bottom, right = min(window[0] + window[2] + 1, stack.shape[0]), min(window[1] + window[3] + 1, stack.shape[1])
        above, before = window[0] - top, window[1] - left
        inner_window = (slice(above, above + window[2]), slice(before, before + window[3]))
        at = np.flatnonzero(body.ravel() >= 0)
        rows = window[0] + at // window[3]
        bodies_here, local_body = np.unique(body.ravel()[at], return_inverse=True)
        inner_here = inner.ravel()[at]
        strata_here, local = np.unique(dense[stratum.ravel()[at]], return_inverse=True)
        found = []
        for day in days:
            # A cell more on each side: what lies beside a cell decides whether it is shore.
            around, _ = read_observation(stack, day, top, left, bottom - top, right - left)
            around = np.ascontiguousarray(around)
            codes = np.ascontiguousarray(around[inner_window])
            shore = np.zeros(chosen.size, np.int64)
            compiled(series_kernels.shore)(around, above, before, wide, area, window[0], shore)
            counts = [np.zeros(strata_here.size, np.uint32) for _ in range(2)]
            sums = [np.zeros((3, bodies_here.size), np.int64) for _ in range(2)]
            compiled(series_kernels.tally)(codes, at, rows, local_body, inner_here, local, area, *counts, *sums)
            found.append((counts, sums, shore))
        return [strata_here, bodies_here, found]

    with ThreadPoolExecutor(max(threads, 1)) as pool:
        for n, (strata_here, bodies_here, found) in enumerate(
            pool.map(work, wanted) if threads > 1 else map(work, wanted)
        ):
            for d, (counts, sums, shore) in enumerate(found):
                partial[d] += shore
                seen[d, strata_here] += counts[0]
                wet[d, strata_here] += counts[1]
                cells[:, d, bodies_here] += sums[0]
                areas[:, d, bodies_here] += sums[1]
            if progress is not None:
                progress((n + 1) / len(wanted))
    return BodyCounts(
        chosen, days, cells, areas, partial, totals, totals_dm2, offsets, seen, wet, strata[used],
        np.where(plain, within % place.bins, place.bins - 1).astype(np.int64), within // place.bins, ~plain,
    )  # fmt: skip


@dataclass(frozen=True)
class _Place:
    """Where the strata of the chosen bodies lie."""

    number_to_k: NDArray[np.int64]
    boxes: NDArray[np.int64]
    sides: NDArray[np.int64]
    first: NDArray[np.int64]
    size: int
    bins: int
    reach: int
    least: int
    extent: float

    @classmethod
    def of(cls, bodies: WaterBodies, chosen: NDArray[np.int64], rules: WaterBodyRules, changed: bool) -> _Place:
        frame = bodies.frame
        number_to_k = np.full(len(frame) + 1, -1, np.int64)
        number_to_k[chosen + 1] = np.arange(chosen.size)
        boxes = np.array([bodies.window(int(i)) for i in chosen], dtype=np.int64).reshape(-1, 4)
        bins = rules.series.bins
        # A small body has too few cells for many strata: about sixty cells a spatial cell at least.
        side = np.sqrt(frame["cells"].to_numpy()[chosen] / 60.0)
        sides = np.clip(side, 1, np.sqrt(rules.series.cells)).astype(np.int64)
        sizes = sides**2 * bins + (255 if changed else 0)
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64) if chosen.size else np.zeros(0, np.int64)
        ring = rules.series
        return cls(
            number_to_k,
            boxes,
            sides,
            first,
            int(sizes.sum()),
            bins,
            ring.ring_cells,
            ring.ring_wet,
            rules.bodies.extent_share,
        )

    def touches(self, window: tuple[int, int, int, int]) -> bool:
        r, c, h, w = (
            window[0] - self.reach,
            window[1] - self.reach,
            window[2] + 2 * self.reach,
            window[3] + 2 * self.reach,
        )
        b = self.boxes
        return bool(((b[:, 0] < r + h) & (b[:, 0] + b[:, 2] > r) & (b[:, 1] < c + w) & (b[:, 1] + b[:, 3] > c)).any())

    def read(
        self, window: tuple[int, int, int, int], bodies: WaterBodies, source: FrequencySource, changed: Band | None
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
        """Chosen body (−1 = none), whether inside its polygon, stratum, and body with one more cell around, of a window."""
        row, col, height, width = window
        # The ring is found on a window with a halo of its width, so that no block changes it.
        r0, c0 = max(row - self.reach, 0), max(col - self.reach, 0)
        r1, c1 = min(row + height + self.reach, source.shape[0]), min(col + width + self.reach, source.shape[1])
        label = bodies.paint(r0, c0, r1 - r0, c1 - c0)
        wet, clear = source.read(r0, c0, r1 - r0, c1 - c0)
        spread = np.empty_like(label)
        compiled(series_kernels.ring)(
            label, np.ascontiguousarray(wet), np.ascontiguousarray(clear), self.extent, self.least, self.reach, spread
        )
        cut = (slice(row - r0, row - r0 + height), slice(col - c0, col - c0 + width))
        inner, wet, clear = label[cut] > 0, wet[cut], clear[cut]
        everywhere = self.number_to_k[spread]
        wide = np.empty_like(everywhere)
        compiled(series_kernels.widened)(everywhere, wide)
        body = np.ascontiguousarray(everywhere[cut])
        change = (
            np.zeros((height, width), np.uint8) if changed is None else np.asarray(changed(*window), dtype=np.uint8)
        )
        stratum = np.empty((height, width), np.int64)
        compiled(series_kernels.stratify)(
            body, wet.astype(np.int64), clear.astype(np.int64), change, row, col, self.boxes, self.sides, self.first,
            self.bins, stratum,
        )  # fmt: skip
        return body, inner, stratum, np.ascontiguousarray(wide[cut])


def _whole_shore(partial_m2: NDArray[np.float64], seen: NDArray[np.float64], rule: SeriesRule) -> NDArray[np.float64]:
    """Partial water along the whole shore by date: what was seen over the share seen, else the median of the other dates."""
    enough = seen >= rule.least_seen_share
    if not enough.any():
        return np.zeros_like(partial_m2)
    whole = np.divide(partial_m2, seen, out=np.zeros_like(partial_m2), where=enough & (seen > 0))
    return np.where(enough, whole, float(np.median(whole[enough])))


def series_of(counts: BodyCounts, k: int, bodies: WaterBodies, rules: WaterBodyRules) -> BodySeries:
    """Series of the k-th counted body."""
    import pandas as pd

    of_body = counts.of(k)
    row = bodies.frame.iloc[int(counts.numbers[k])]
    total, total_m2 = int(counts.totals[k]), float(counts.totals_dm2[k]) / 100
    cell_m2 = total_m2 / total
    side = np.sqrt(cell_m2)
    filled: Filled = fill(of_body, rules.series, edge_cells=float(row["perimeter_m"]) / side)
    low, high = level_index(of_body, rules.series.voice)
    wet, dry = counts.cells[0, :, k], counts.cells[1, :, k]
    invalid = total - wet - dry
    wet_m2, dry_m2, ring_m2 = (counts.areas_dm2[i, :, k] / 100 for i in range(3))
    all_wet, all_wet_m2 = wet + counts.cells[2, :, k], wet_m2 + ring_m2
    seen = of_body.seen_share
    partial_m2 = counts.partial_dm2[:, k] / 100
    shore_m2 = _whole_shore(partial_m2, seen, rules.series)
    mixed_m2 = rules.series.partial_share * shore_m2
    frame = pd.DataFrame(
        {
            "date": [day.day for day in counts.days],
            "time": pd.to_datetime([day.at for day in counts.days], utc=True),
            "pc_wet": 100 * wet / total, "px_wet": wet, "area_wet_m2": wet_m2,
            "pc_dry": 100 * dry / total, "px_dry": dry, "area_dry_m2": dry_m2,
            "pc_invalid": 100 * invalid / total, "px_invalid": invalid, "area_invalid_m2": total_m2 - wet_m2 - dry_m2,
            "seen_share": seen,
            "valid": seen >= rules.series.observed_share,
            "flag": filled.flag,
            # Seen water counts by its own cells' areas; only what was not seen is an estimate. A cell that the shore crosses is
            # called partial water from about a third to two thirds of water: it counts by a share, and may hold none or all.
            "area_m2": all_wet_m2 + (filled.cells - all_wet) * cell_m2 + mixed_m2,
            "area_low_m2": np.maximum(all_wet_m2 + (filled.low - all_wet) * cell_m2, 0.0),
            "area_high_m2": all_wet_m2 + (filled.high - all_wet) * cell_m2 + shore_m2,
            "area_ring_m2": ring_m2,
            "area_partial_m2": partial_m2,
            "level_low": low, "level_high": high,
        }
    )  # fmt: skip
    name = row["name"]
    return BodySeries(
        str(row["id"]), None if name is None else str(name), int(counts.numbers[k]), frame, total_m2, filled.references
    )


def body_series(
    stack: ClassStack,
    bodies: WaterBodies,
    source: FrequencySource,
    rules: WaterBodyRules,
    *,
    numbers: Sequence[int] | None = None,
    changed: Band | None = None,
    block: int = BLOCK,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> list[BodySeries]:
    """Series of bodies, with filled values and intervals; parameters as `count_bodies`."""
    counts = count_bodies(
        stack, bodies, source, rules, numbers=numbers, changed=changed, block=block, threads=threads, progress=progress
    )
    return [series_of(counts, k, bodies, rules) for k in range(counts.numbers.size)]
