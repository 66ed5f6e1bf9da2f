"""Enclosure nets (围网) on lake water: straight lines that cross or run beside each other, and stay, in a series of scenes.

Floats, poles and what grows on the nets brighten the near infrared of the cells they cross by a few thousandths. One look
does not show that; the mean of many does. Waves, silt and algae make lines too, but neither straight, nor crossing, nor twice
at one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.shore.candidate_rules import NetRule

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["NetPatch", "high_pass", "line_response", "net_patches"]

_TURNS = 12
"""Directions that are tried: every 15°."""


@dataclass(frozen=True)
class NetPatch:
    """Water that looks netted (疑似围网)."""

    cells: NDArray[np.bool_]
    row0: int
    col0: int
    pattern: str
    """``grid`` (lines cross at right angles) or ``rows`` (they run side by side)."""
    direction_deg: float
    """Of the longer set of lines, degrees anticlockwise from east, 0–180."""
    lines: tuple[int, int]
    """Lines along that direction and across it."""
    oriented: float
    """Share of the line cells that run in one of the two directions."""
    persist: float
    """Share of the looks in which the lines are brighter than the water between them."""
    looks: int


def high_pass(
    infrared: NDArray[np.float32], water: NDArray[np.bool_], cell_m: tuple[float, float], rule: NetRule
) -> NDArray[np.float32]:
    """Deviation of the infrared from the water around, in units of its robust spread; NaN where no water was seen.

    Parameters
    ----------
    infrared : float32 (rows, cols)
        Reflectance (mean of NIR and SWIR1), NaN = not seen.
    """
    from scipy import ndimage

    known = water & np.isfinite(infrared)
    found = np.full(infrared.shape, np.nan, dtype=np.float32)
    if known.sum() < 100:
        return found
    size = [2 * max(round(rule.background_m / side), 1) + 1 for side in cell_m]
    weight = ndimage.uniform_filter(known.astype(np.float64), size, mode="constant")
    around = ndimage.uniform_filter(np.where(known, infrared, 0).astype(np.float64), size, mode="constant")
    deviation = infrared[known] - (around[known] / weight[known])
    spread = 1.4826 * float(np.median(np.abs(deviation - np.median(deviation))))
    found[known] = deviation / max(spread, 1e-5)
    return found


def line_response(
    mean: NDArray[np.float32], cell_m: tuple[float, float], rule: NetRule
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Contrast of a line with the water beside it, in units of the noise, and the direction (of 12) that shows it best.

    In each direction: mean over a line of ``line_m`` minus the mean of two flanks 15–35 m aside.

    Parameters
    ----------
    mean : float32 (rows, cols)
        Mean deviation over the looks; 0 outside the water.
    """
    from scipy.signal import fftconvolve

    half = rule.line_m / 2
    reach = [int(np.ceil(half / side)) for side in cell_m]
    down, right = np.mgrid[-reach[0] : reach[0] + 1, -reach[1] : reach[1] + 1]
    east, north = right * cell_m[1], -down * cell_m[0]
    known = mean[mean != 0]
    noise = 1.4826 * float(np.median(np.abs(known - np.median(known)))) if known.size else 1.0
    best = np.full(mean.shape, -np.inf, dtype=np.float32)
    turn = np.zeros(mean.shape, dtype=np.int64)
    for number in range(_TURNS):
        angle = np.pi * number / _TURNS
        along = east * np.cos(angle) + north * np.sin(angle)
        across = np.abs(-east * np.sin(angle) + north * np.cos(angle))
        inside = np.abs(along) <= half
        line = inside & (across <= 0.55 * max(cell_m))
        flank = inside & (across >= 15) & (across <= 35)
        kernel = line / line.sum() - flank / flank.sum()
        unit = noise * float(np.sqrt(1 / line.sum() + 1 / flank.sum()))
        # A correlation: the kernel is symmetric about its middle, so that it equals the convolution.
        response = np.asarray(fftconvolve(mean, kernel, mode="same") / unit, dtype=np.float32)
        better = response > best
        best[better], turn[better] = response[better], number
    return best, turn


def net_patches(
    deviations: NDArray[np.floating[Any]],
    water: NDArray[np.bool_],
    cell_m: tuple[float, float],
    rule: NetRule,
) -> list[NetPatch]:
    """Patches of lake water on which lines form a grid or rows.

    Parameters
    ----------
    deviations : float (looks, rows, cols)
        `high_pass` of each look, NaN = not seen.
    water : bool (rows, cols)
        Where it is always lake.
    """
    from scipy import ndimage

    seen = np.isfinite(deviations).sum(axis=0)
    away = ndimage.distance_transform_edt(water, sampling=cell_m)
    usable = (seen >= rule.least_looks) & (away > rule.shore_m)
    if not usable.any():
        return []
    total = np.zeros(water.shape, dtype=np.float64)
    for look in deviations:
        total += np.nan_to_num(look.astype(np.float32), nan=0.0)
    # Divided by the root of the count: noise of one size everywhere, however often a cell was seen.
    mean = np.where(usable, total / np.sqrt(np.maximum(seen, 1)), 0).astype(np.float32)
    response, turn = line_response(mean, cell_m, rule)
    spread = 1.4826 * float(np.median(np.abs(mean[usable] - np.median(mean[usable]))))
    lines = usable & (response >= rule.factor) & (mean > spread)
    link = max(round(rule.link_m / 2 / min(cell_m)), 1)
    disk = np.hypot(*np.mgrid[-link : link + 1, -link : link + 1]) <= link
    joined = ndimage.binary_closing(np.pad(lines, link), structure=disk)[link:-link, link:-link] & water
    labels, _ = ndimage.label(joined, structure=np.ones((3, 3), dtype=bool))
    found = []
    for label, place in enumerate(ndimage.find_objects(labels), start=1):
        if place is None:
            continue
        patch = ndimage.binary_fill_holes(labels[place] == label)
        if patch.sum() * cell_m[0] * cell_m[1] < rule.least_ha * 1e4:
            continue
        own = lines[place] & (labels[place] == label)
        pattern = _pattern(own, turn[place], cell_m, rule)
        if pattern is None:
            continue
        persist, looks = _persistence(deviations[(slice(None), *place)], own, patch & ~own & usable[place])
        if looks < rule.least_looks or persist < rule.persist:
            continue
        kind, direction, count, oriented = pattern
        found.append(NetPatch(patch, place[0].start, place[1].start, kind, direction, count, oriented, persist, looks))
    return found


def _pattern(
    own: NDArray[np.bool_], turn: NDArray[np.int64], cell_m: tuple[float, float], rule: NetRule
) -> tuple[str, float, tuple[int, int], float] | None:
    """Grid or rows, direction, lines along and across, share of cells in the two directions; None if it is neither."""
    row, col = np.nonzero(own)
    if row.size < 2 * rule.line_cells:
        return None
    way = turn[own]
    counts = np.bincount(way, minlength=_TURNS).astype(float)
    # A line between two of the directions that were tried falls to both of them: neighbours count too.
    wide = counts + np.roll(counts, 1) + np.roll(counts, -1)
    both = wide + np.roll(wide, _TURNS // 2)
    main = int(np.argmax(both + 1e-3 * wide))
    half = _TURNS // 2
    if wide[(main + half) % _TURNS] > wide[main]:
        main = (main + half) % _TURNS
    oriented = float(both[main] / row.size)
    if oriented < rule.oriented:
        return None
    east, north = col * cell_m[1], -row * cell_m[0]
    lines, angles = [], []
    for number in (main, (main + half) % _TURNS):
        gap = np.abs((way - number + half) % _TURNS - half) <= 1
        angle = _fine_angle(east[gap], north[gap], np.pi * number / _TURNS, cell_m)
        angles.append(angle)
        lines.append(_count_lines(east[gap], north[gap], angle, cell_m, rule))
    first, second = lines
    if min(lines) >= rule.grid_lines:
        kind = "grid"
    elif first >= rule.row_lines:
        kind = "rows"
    else:
        return None
    return kind, float(np.rad2deg(angles[0]) % 180), (first, second), min(oriented, 1.0)


def _offsets(east: NDArray[Any], north: NDArray[Any], angle: float, cell_m: tuple[float, float]) -> NDArray[np.int64]:
    """Cells in bins of one cell across a direction."""
    across = -east * np.sin(angle) + north * np.cos(angle)
    bins = np.floor((across - across.min()) / max(cell_m)).astype(np.int64)
    return np.bincount(bins)


def _fine_angle(east: NDArray[Any], north: NDArray[Any], around: float, cell_m: tuple[float, float]) -> float:
    """The direction near `around` across which the cells gather in the fewest bins (Radon transform)."""
    if east.size == 0:
        return around
    tried = around + np.deg2rad(np.arange(-12, 13, 1.0))
    sharp = [float(np.square(_offsets(east, north, angle, cell_m)).sum()) for angle in tried]
    return float(tried[int(np.argmax(sharp))])


def _count_lines(
    east: NDArray[Any], north: NDArray[Any], angle: float, cell_m: tuple[float, float], rule: NetRule
) -> int:
    """Separate lines of at least ``line_cells`` cells across a direction."""
    if east.size == 0:
        return 0
    counts = np.concatenate([[0], _offsets(east, north, angle, cell_m), [0]])
    strong = counts >= rule.line_cells
    peaks = (counts[1:-1] > counts[:-2]) & (counts[1:-1] >= counts[2:]) & strong[1:-1]
    return int(peaks.sum())


def _persistence(
    deviations: NDArray[np.floating[Any]], lines: NDArray[np.bool_], between: NDArray[np.bool_]
) -> tuple[float, int]:
    """Share of the looks in which the lines are brighter than the water between them, and the looks that show both."""
    brighter, looks = 0, 0
    for look in deviations:
        on, off = look[lines], look[between]
        on, off = on[np.isfinite(on)].astype(np.float64), off[np.isfinite(off)].astype(np.float64)
        if on.size < 0.5 * lines.sum() or off.size < 10:
            continue
        looks += 1
        error = np.sqrt(on.var() / on.size + off.var() / off.size)
        brighter += bool(on.mean() - off.mean() > 2 * error)
    return (brighter / looks if looks else 0.0), looks
