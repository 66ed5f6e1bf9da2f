"""Gap filling (缺测补齐) of the area series of one water body: what the unseen part of a date was, from what was seen of it.

Cells of a body are sorted into strata: bins of their wet frequency (occurrence) within spatial cells. On a date the water
line runs at some occurrence: cells that are wet more often are wet, the others are dry. Where a part of the body is hidden,
its strata are filled by the same bin seen elsewhere that day (rising with occurrence), else by the clear dates that look
like what was seen. The interval comes from hiding the same strata on clear dates and filling them again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.rules import SeriesRule
from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FLAGS", "Filled", "StrataCounts", "fill", "level_index", "rising"]

OBSERVED, FILLED, PRIOR, NONE = "observed", "filled", "prior", "none"
FLAGS = {
    OBSERVED: "看到 90 % 以上 / at least 90 % seen",
    FILLED: "由当日看到的部分补齐 / filled from the part that was seen",
    PRIOR: "当日几乎没有看到，取前后晴空日的内插 / hardly seen: between the clear dates before and after",
    NONE: "没有值：晴空日太少 / no value: too few clear dates",
}


@dataclass(frozen=True, slots=True)
class StrataCounts:
    """Counts of one body by date and stratum."""

    seen: NDArray[np.int64]
    """Clear cells, (dates, strata)."""
    wet: NDArray[np.int64]
    """Wet cells."""
    total: NDArray[np.int64]
    """Cells of each stratum, (strata,)."""
    bin: NDArray[np.int64]
    """Bin of occurrence of each stratum, rising with occurrence."""
    cell: NDArray[np.int64]
    """Spatial cell of each stratum."""
    changed: NDArray[np.bool_]
    """Strata of a change polygon: they do not follow the water line of the body."""
    days: NDArray[np.int64]
    """Day number of each date, ascending."""
    seen_share: NDArray[np.float64]
    """Seen share of the polygon of the body by date, 0–1."""


@dataclass(frozen=True, slots=True)
class Filled:
    """Wet cells of a body by date."""

    cells: NDArray[np.float64]
    """Estimate; NaN where the flag is ``none``."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    flag: list[str]
    references: int
    """Number of clear dates that the fill rests on."""


def rising(values: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Least-squares fit that never falls (保序回归), of values with weight 0 or more; by pooling adjacent violators.

    A value without weight takes the mean of its neighbours' fits, or the one neighbour's.

    Examples
    --------
    >>> rising(np.array([0.2, 0.0, 9.9, 1.0]), np.array([1.0, 1.0, 0.0, 2.0])).tolist()
    [0.1, 0.1, 0.55, 1.0]
    """
    from scipy.optimize import isotonic_regression

    known = np.asarray(weights) > 0
    out = np.full(len(values), np.nan)
    if not known.any():
        return out
    out[known] = isotonic_regression(np.asarray(values, float)[known], weights=np.asarray(weights, float)[known]).x
    if not known.all():
        place = np.arange(len(values))
        before = np.maximum.accumulate(np.where(known, place, -1))
        after = np.minimum.accumulate(np.where(known, place, len(values))[::-1])[::-1]
        before = np.where(before < 0, after, before)
        after = np.where(after >= len(values), before, after)
        out = np.where(known, out, (out[before] + out[after]) / 2)
    return out


def level_index(counts: StrataCounts, voice: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Bounds of the level index (水位指数) of each date: the share of the body that lies within the water line, 0–1.

    The water line is the occurrence that parts wet from dry with the fewest misplaced cells. Where the bins around it were
    not seen, or their cells are mixed, the bounds lie apart. NaN where nothing was seen. Cells that a polder took out are
    all in few spatial cells, and no spatial cell can misplace more than the share `voice` of its seen cells, so the line stays.

    Returns
    -------
    low, high : float64 (dates,)
    """
    bins = int(counts.bin.max()) + 1
    keep = ~counts.changed
    total = np.bincount(counts.bin[keep], counts.total[keep], bins)
    misplaced = np.zeros((len(counts.seen), bins + 1))
    for cell in np.unique(counts.cell[keep]):
        here = keep & (counts.cell == cell)
        looked, water = (_by_bin(a[:, here], counts.bin[here], bins) for a in (counts.seen, counts.wet))
        misplaced += np.minimum(_misplaced(looked, water), voice * looked.sum(axis=1, keepdims=True))
    seen, wet = (_by_bin(a[:, keep], counts.bin[keep], bins) for a in (counts.seen, counts.wet))
    dry = seen - wet
    share = np.concatenate([np.cumsum(total[::-1])[::-1], [0.0]]) / max(total.sum(), 1)
    slack = np.maximum(1.0, 0.002 * seen.sum(axis=1, keepdims=True))
    # First between wide classes of occurrence, then within them: cells of a polder that was closed a few looks ago lie in a
    # narrow bin of their own just below the cells that are always wet, and a line between the two would misplace neither.
    at = np.arange(bins + 1)
    wide = np.isin(at, np.linspace(0, bins, 11).round())
    between = np.where(wide, misplaced, np.inf)
    fits = between <= between.min(axis=1, keepdims=True) + slack
    reach = -(-bins // 10)
    near = (at >= fits.argmax(axis=1)[:, None] - reach) & (at <= bins - fits[:, ::-1].argmax(axis=1)[:, None] + reach)
    misplaced = np.where(near, misplaced, np.inf)
    good = misplaced <= misplaced.min(axis=1, keepdims=True) + slack
    first = good.argmax(axis=1)
    last = bins - good[:, ::-1].argmax(axis=1)
    # One bin further where that bin is mixed: the line runs through it.
    mixed = (wet > 0.02 * seen) & (dry > 0.02 * seen)
    rows = np.arange(len(seen))
    first = np.where((first > 0) & mixed[rows, np.maximum(first - 1, 0)], first - 1, first)
    last = np.where((last < bins) & mixed[rows, np.minimum(last, bins - 1)], last + 1, last)
    none = seen.sum(axis=1) == 0
    return np.where(none, np.nan, share[last]), np.where(none, np.nan, share[first])


def _misplaced(seen: NDArray[np.float64], wet: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cells that a water line below bin j misplaces (bins below j called dry, the others wet), (dates, bins + 1)."""
    dry, zero = seen - wet, np.zeros((len(seen), 1))
    return np.hstack([zero, np.cumsum(wet, axis=1)]) + np.hstack([np.cumsum(dry[:, ::-1], axis=1)[:, ::-1], zero])


def _noise_cells(counts: StrataCounts, clear: NDArray[np.int64]) -> float:
    """Cells of the whole body that contradict any water line on a usual clear date: what the map itself leaves open."""
    bins = int(counts.bin.max()) + 1
    keep = ~counts.changed
    seen, wet = (_by_bin(a[clear][:, keep], counts.bin[keep], bins) for a in (counts.seen, counts.wet))
    # Wet and dry cells within the bins that the line runs through are no contradiction.
    least = np.sort(_misplaced(seen, wet), axis=1)[:, 0]
    inside = np.minimum(wet, seen - wet).max(axis=1)
    return float(np.median(np.maximum(least - inside, 0) / np.maximum(seen.sum(axis=1), 1)) * counts.total.sum())


def _by_bin(values: NDArray[Any], bins_of: NDArray[np.int64], bins: int) -> NDArray[np.float64]:
    return np.asarray(values @ (bins_of[:, None] == np.arange(bins)).astype(np.float64), dtype=np.float64)


def _estimates(
    seen: Any, seen_wet: Any, total: Any, bin_of: Any, changed: Any, bins: int, profiles: Any, clear_days: Any, own: int,
    own_day: float, pick: Any, nearest: int, pull: float, out: Any,
) -> None:  # fmt: skip
    """Wet cells of one date (`out[0]`), and of the clear dates `pick` with the same parts hidden (`out[1:]`, NaN for itself).

    `profiles` are the wet shares of the clear dates by stratum; date `own` of them, and the one being tried, take no part.
    """
    strata = total.size
    references = profiles.shape[0]
    wet = np.empty(strata)
    for case in range(-1, pick.size):
        hidden = -1
        day = own_day
        if case < 0:
            wet[:] = seen_wet
        else:
            hidden = pick[case]
            day = clear_days[hidden]
            if hidden == own:
                out[case + 1] = np.nan
                continue
            for s in range(strata):
                wet[s] = seen[s] * profiles[hidden, s]
        bin_seen = np.zeros(bins)
        bin_wet = np.zeros(bins)
        looked = 0.0
        for s in range(strata):
            if not changed[s]:
                bin_seen[bin_of[s]] += seen[s]
                bin_wet[bin_of[s]] += wet[s]
                looked += seen[s]
        # Clear dates that look most like it; of equal ones the nearer in time: a tenth of a percent of the body a year.
        distance = np.empty(references)
        for r in range(references):
            apart = 0.0
            for s in range(strata):
                if seen[s] > 0.0 and not changed[s]:
                    apart += abs(profiles[r, s] * seen[s] - wet[s])
            distance[r] = (apart / looked if looked > 0.0 else 0.0) + 0.001 * abs(clear_days[r] - day) / 365.25
            if r in (own, hidden):
                distance[r] = np.inf
        near = np.zeros(strata)
        chosen = 0
        for _ in range(nearest):
            best = -1
            for r in range(references):
                if distance[r] < np.inf and (best < 0 or distance[r] < distance[best]):
                    best = r
            if best < 0:
                break
            distance[best] = np.inf
            chosen += 1
            for s in range(strata):
                near[s] += profiles[best, s]
        # The wet share rises with occurrence: pooling adjacent violators.
        mean = np.empty(bins)
        weight = np.empty(bins)
        first = np.empty(bins, np.int64)
        blocks = 0
        for b in range(bins):
            if bin_seen[b] <= 0.0:
                continue
            mean[blocks] = bin_wet[b] / bin_seen[b]
            weight[blocks] = bin_seen[b]
            first[blocks] = b
            blocks += 1
            while blocks > 1 and mean[blocks - 2] > mean[blocks - 1]:
                both = weight[blocks - 2] + weight[blocks - 1]
                mean[blocks - 2] = (
                    mean[blocks - 2] * weight[blocks - 2] + mean[blocks - 1] * weight[blocks - 1]
                ) / both
                weight[blocks - 2] = both
                blocks -= 1
        line = np.zeros(bins)
        floor = np.zeros(bins)
        ceiling = np.ones(bins)
        k = -1
        for b in range(bins):
            if k + 1 < blocks and first[k + 1] == b:
                k += 1
            floor[b] = mean[k] if k >= 0 else 0.0
            line[b] = floor[b]
        lowest = 1.0
        for b in range(bins - 1, -1, -1):
            if bin_seen[b] > 0.0:
                lowest = line[b]
            ceiling[b] = lowest
        result = 0.0
        for s in range(strata):
            share = near[s] / chosen if chosen > 0 else 0.0
            b = bin_of[s]
            if not changed[s]:
                # Between seen bins the fill lies between their shares.
                share = min(max(share, floor[b]), max(ceiling[b], floor[b]))
                share = (bin_seen[b] * line[b] + pull * share) / (bin_seen[b] + pull)
            result += wet[s] + (total[s] - seen[s]) * (wet[s] + pull * share) / (seen[s] + pull)
        out[case + 1] = result


def _changed_shares(counts: StrataCounts) -> NDArray[np.float64]:
    """Wet share of the changed strata by date: as seen, else as last seen, else as next seen; (dates, strata)."""
    share = np.divide(
        counts.wet, counts.seen, out=np.full(counts.seen.shape, np.nan), where=2 * counts.seen >= counts.total
    )
    for s in np.flatnonzero(counts.changed):
        known = np.flatnonzero(np.isfinite(share[:, s]))
        if known.size:
            place = np.clip(np.searchsorted(known, np.arange(len(share)), side="right") - 1, 0, None)
            share[:, s] = share[known[place], s]
    return np.asarray(share)


def fill(counts: StrataCounts, rules: SeriesRule, *, edge_cells: float = 0.0) -> Filled:
    """Wet cells of a body on every date, with an interval (面积序列补齐).

    A date with at least ``observed_share`` of the body seen is *observed* (the rest of it is filled all the same), one with
    at least ``least_seen_share`` is *filled*, one with less takes the *prior*: between the clear dates before and after.

    Parameters
    ----------
    counts : StrataCounts
    edge_cells : float
        Cells along the shore of the body: half of a cell's corner is what a line through cells leaves open. The interval is
        at least 1.96 · √(edge cells / 12).

    Notes
    -----
    Interval: the strata hidden on the date are hidden on up to ``references`` other clear dates and filled from the rest of
    them; the estimate is widened by the errors' quantiles, of order ⌈(n + 1)·level⌉ by absolute value (conformal).

    Source: method of this project, tested on simulated decades; quantile of Vovk et al. (2005), ISBN 978-0-387-00152-4.
    """
    dates = len(counts.days)
    seen_share = counts.seen_share
    size = float(counts.total.sum())
    clear = np.flatnonzero(seen_share >= rules.observed_share)
    cells, low, high = (np.full(dates, np.nan) for _ in range(3))
    flag = [NONE] * dates
    least = 1.96 * np.sqrt(edge_cells / 12.0)
    changed = counts.changed
    if changed.any():
        # What a polder holds is known from its own looks, not from the line: count it as seen.
        share = _changed_shares(counts)
        known = changed & np.isfinite(share)
        seen = np.where(known, counts.total, counts.seen)
        wet = np.where(known, share * counts.total, counts.wet)
    else:
        seen, wet = counts.seen, counts.wet
    seen, wet = seen.astype(np.float64), wet.astype(np.float64)
    if clear.size < rules.least_references:
        for t in clear:
            flag[t] = OBSERVED
            cells[t] = wet[t].sum() / max(seen[t].sum(), 1) * size
            gap = size - counts.seen[t].sum()
            low[t], high[t] = max(cells[t] - gap - least, 0), min(cells[t] + gap + least, size)
        return Filled(cells, low, high, flag, int(clear.size))

    least += _noise_cells(counts, clear)
    profiles = _profiles(seen, wet, counts, clear)
    truth = profiles @ counts.total
    pick = np.unique(np.linspace(0, clear.size - 1, min(clear.size, rules.references)).round().astype(np.int64))
    place = {int(t): i for i, t in enumerate(clear)}
    total, bins, days = counts.total.astype(np.float64), int(counts.bin.max()) + 1, counts.days.astype(np.float64)
    bin_of = counts.bin.astype(np.int64)
    nothing = np.empty(0, np.int64)
    for t in np.flatnonzero(seen_share >= rules.least_seen_share):
        own = place.get(int(t), -1)
        gap = size - counts.seen[t].sum()
        tried = pick if gap > 0 else nothing
        out = np.empty(tried.size + 1)
        compiled(_estimates)(
            seen[t], wet[t], total, bin_of, changed, bins, profiles, days[clear], own, days[t], tried, rules.nearest,
            rules.pull_cells, out,
        )  # fmt: skip
        cells[t] = out[0]
        flag[t] = OBSERVED if seen_share[t] >= rules.observed_share else FILLED
        errors = np.abs(out[1:] - truth[tried])
        half = least + (_order_statistic(errors[np.isfinite(errors)], rules.level) if gap > 0 else 0.0)
        low[t] = max(cells[t] - half, counts.wet[t].sum() - least, 0.0)
        high[t] = min(cells[t] + half, counts.wet[t].sum() + gap + least, size + least)
        low[t], high[t] = min(low[t], cells[t]), max(high[t], cells[t])
    _prior(counts, seen_share < rules.least_seen_share, clear, truth, rules.level, least, (cells, low, high), flag)
    return Filled(cells, low, high, flag, int(clear.size))


def _profiles(
    seen: NDArray[np.float64], wet: NDArray[np.float64], counts: StrataCounts, clear: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Wet share by stratum of clear dates; the few strata hidden on one take the share of their bin."""
    bins = int(counts.bin.max()) + 1
    out = np.empty((clear.size, counts.total.size))
    for i, t in enumerate(clear):
        bin_seen = np.bincount(counts.bin, seen[t], bins)
        line = rising(
            np.divide(np.bincount(counts.bin, wet[t], bins), bin_seen, out=np.zeros(bins), where=bin_seen > 0), bin_seen
        )
        out[i] = (wet[t] + 1e-9 * line[counts.bin]) / (seen[t] + 1e-9)
    return out


def _order_statistic(errors: NDArray[np.float64], level: float) -> float:
    """The ⌈(n + 1)·level⌉-th smallest error; the largest where n is too small for the level.

    Examples
    --------
    >>> _order_statistic(np.array([3.0, 1.0, 2.0]), 0.5), _order_statistic(np.array([3.0, 1.0, 2.0]), 0.95)
    (2.0, 3.0)
    """
    ranked = np.sort(errors)
    return float(ranked[min(int(np.ceil((ranked.size + 1) * level)), ranked.size) - 1]) if ranked.size else float("inf")


def _prior(
    counts: StrataCounts,
    hidden: NDArray[np.bool_],
    clear: NDArray[np.int64],
    truth: NDArray[np.float64],
    level: float,
    least: float,
    into: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    flag: list[str],
) -> None:
    """Fill the dates that were hardly seen: linear in time between clear dates, errors as of clear dates left out."""
    cells, low, high = into
    size = float(counts.total.sum())
    days = counts.days.astype(np.float64)
    errors, gaps = [], []
    for i in range(1, clear.size - 1):
        a, b, t = days[clear[i - 1]], days[clear[i + 1]], days[clear[i]]
        errors.append(abs(truth[i - 1] + (truth[i + 1] - truth[i - 1]) * (t - a) / max(b - a, 1) - truth[i]))
        gaps.append(min(t - a, b - t))
    half = _order_statistic(np.array(errors), level) + least
    for t in np.flatnonzero(hidden):
        flag[t] = PRIOR
        cells[t] = np.interp(days[t], days[clear], truth)
        # Beyond the gaps that were tried the whole range of the clear dates is open.
        if np.abs(days[clear] - days[t]).min() > (max(gaps) if gaps else 0):
            low[t], high[t] = truth.min() - least, truth.max() + least
        else:
            low[t], high[t] = cells[t] - half, cells[t] + half
        low[t], high[t] = max(min(low[t], cells[t]), 0.0), min(max(high[t], cells[t]), size + least)
