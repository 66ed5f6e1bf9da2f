"""Water from radar backscatter (雷达水体): a threshold by tile where the terrain is low, then memberships (Sentinel-1 VV, VH).

Smooth water mirrors the radar away and is dark. So are roads, shadow and wet sand: slope and height above the nearest drainage
(HAND) say where water can be.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.water.classes import HIGH, MODERATE, NODATA
from analyses.water.extent.classification import WaterMap
from analyses.water.extent.thresholds import groups_at, mixture, otsu
from spatial.errors import GridMismatch, InvalidParameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["BackscatterThreshold", "backscatter_threshold", "falling", "sar_extent"]

BITS = {"vv": 1, "vh": 2, "slope": 4, "hand": 8, "membership": 16}
"""VV below its threshold, VH below its threshold, slope allows water, HAND allows water, membership reached."""
Finder = Literal["em", "otsu"]


@dataclass(frozen=True, slots=True)
class BackscatterThreshold:
    """A threshold of one polarisation, dB.

    `tried` is what the tiles (or the scene) gave, before the cap; `tiles` the tiles that gave it, 0 = from the whole scene;
    `low` the mean of the darker group.
    """

    value: float
    how: Literal["tiles", "scene", "cap"]
    tried: float | None
    tiles: int
    low: float | None

    def document(self, name: str) -> dict[str, Any]:
        """For the record of a result."""
        found: dict[str, Any] = {
            f"{name}_db": round(self.value, 4),
            f"{name}_by": self.how,
            f"{name}_tiles": self.tiles,
        }
        if self.tried is not None:
            found[f"{name}_tried_db"] = round(self.tried, 4)
        return found


def falling(values: NDArray[Any], *, full: float, none: float) -> NDArray[np.float32]:
    """Membership that falls from 1 at `full` to 0 at `none`, Z-shaped (two parabolas).

    Source: the Z membership of fuzzy logic as in HydroSAR.

    Examples
    --------
    >>> falling(np.array([0.0, 7.5, 15.0]), full=0.0, none=15.0).tolist()
    [1.0, 0.5, 0.0]
    """
    t = np.clip((np.asarray(values, dtype=np.float32) - np.float32(full)) / np.float32(none - full), 0, 1)
    return np.asarray(np.where(t <= 0.5, 1 - 2 * t * t, 2 * (1 - t) ** 2), dtype=np.float32)


def backscatter_threshold(
    decibel: NDArray[np.float32],
    cap: float,
    rules: WaterExtentRules,
    *,
    hand: NDArray[np.float32] | None = None,
    by: Finder = "em",
) -> BackscatterThreshold:
    """The threshold between water and land of one polarisation.

    Tiles of 100 × 100 cells that are low (HAND below 15 m on 80 % of them; without HAND all) and hold two groups give one
    threshold each; the middle of the most heterogeneous ones is taken. Without such a tile the whole scene is tried. A threshold
    above the cap becomes the cap: brighter surfaces are not taken for water.

    Parameters
    ----------
    decibel : float32 (rows, cols)
        NaN = nodata.
    by : {"em", "otsu"}
        Two normal groups by expectation and maximisation, or Otsu.

    Source: ASF HYDRO30 (asf-tools ``water_map``): tiles by HAND, EM per tile, caps −15.5 dB (VV), −23 dB (VH).
    """
    rule = rules.sar
    side = rule.tile
    found: list[tuple[float, float, float]] = []
    for top in range(0, decibel.shape[0], side):
        for left in range(0, decibel.shape[1], side):
            part = decibel[top : top + side, left : left + side]
            values = part[np.isfinite(part)]
            if values.size < 0.8 * side * side:
                continue
            if hand is not None:
                near = hand[top : top + side, left : left + side]
                if float(np.mean(near < rule.low_hand)) < rule.low_share:
                    continue
            one = _split(values, rules, by)
            if one is not None:
                found.append((float(values.std(dtype=np.float64)), *one))
    if found:
        best = sorted(found, reverse=True)[: rule.most_tiles]
        tried, low = float(np.median([t for _, t, _ in best])), float(np.median([m for _, _, m in best]))
        return BackscatterThreshold(min(tried, cap), "tiles" if tried <= cap else "cap", tried, len(best), low)
    values = decibel[np.isfinite(decibel)]
    one = _split(values, rules, by) if values.size else None
    if one is None:
        return BackscatterThreshold(cap, "cap", None, 0, None)
    return BackscatterThreshold(min(one[0], cap), "scene" if one[0] <= cap else "cap", one[0], 0, one[1])


def _split(values: NDArray[np.float32], rules: WaterExtentRules, by: Finder) -> tuple[float, float] | None:
    """Threshold and mean of the darker group; None where there are no two groups (Ashman's D of the fitted ones)."""
    counts, edges = np.histogram(values, bins=rules.sar.bins)
    if np.count_nonzero(counts) < 2:
        return None
    start = otsu(counts, edges)
    threshold, groups = mixture(values, start=start)
    smaller = min(groups.upper_share, 1 - groups.upper_share)
    if groups.ashman <= rules.indices.ashman or smaller < rules.indices.least_group:
        return None
    if by == "otsu":
        return start, groups_at(values, start).low_mean
    return threshold, groups.low_mean


def sar_extent(
    backscatter: Mapping[str, NDArray[np.float32]],
    rules: WaterExtentRules,
    *,
    hand: NDArray[np.float32] | None = None,
    slope: NDArray[np.float32] | None = None,
    mask: NDArray[np.uint8] | None = None,
    thresholds: Mapping[str, float] | None = None,
    by: Finder = "em",
    time: datetime | None = None,
) -> WaterMap:
    """Water of a radar scene.

    A cell is a candidate where VV or VH lies below its threshold. The candidates form segments (8-connected); of each cell the
    memberships of backscatter, segment area, slope and HAND (those that are given) are averaged; one of 0 excludes it. Water
    where the mean is at least 0.45; high confidence from 0.725, the middle of the rest, on.

    Parameters
    ----------
    backscatter : mapping
        ``vv`` and/or ``vh``: float32 dB (`analyses.water.extent.reflectance.to_decibel`), NaN = nodata. Terrain-corrected,
        speckle filtered if wanted.
    hand : float32, optional
        Height above the nearest drainage, m.
    slope : float32, optional
        Degrees.
    thresholds : mapping, optional
        ``vv`` and/or ``vh`` in dB, in place of the search.

    Returns
    -------
    WaterMap
        Bits: 0 VV below, 1 VH below, 2 slope allows, 3 HAND allows, 4 membership reached. Confidence: percent, membership of a
        water cell; of a dry one that its backscatter is not that of water.

    Raises
    ------
    InvalidParameter
        Neither VV nor VH.
    GridMismatch
        Arrays of different shapes.

    Source: ASF HYDRO30 and HydroSAR (memberships, 0.45). Layover and shadow are to be masked by the caller.
    """
    from scipy import ndimage

    names = [name for name in ("vv", "vh") if name in backscatter]
    if not names:
        raise InvalidParameter("雷达影像需要 vv 或 vh", "a radar scene needs vv or vh", parameter="backscatter")
    arrays = {**{name: backscatter[name] for name in names}, "hand": hand, "slope": slope, "mask": mask}
    shapes = {name: array.shape for name, array in arrays.items() if array is not None}
    if len(set(shapes.values())) != 1:
        raise GridMismatch(f"输入大小不一：{shapes}", f"inputs differ in shape: {shapes}")
    rule = rules.sar
    given = thresholds or {}
    used: dict[str, Any] = {"keep": rule.keep, "by": by}
    notes: list[str] = []
    shape = shapes[names[0]]
    bits = np.zeros(shape, dtype=np.uint8)
    dark = np.zeros(shape, dtype=np.float32)
    candidate = np.zeros(shape, dtype=np.bool_)
    known = np.zeros(shape, dtype=np.bool_)
    for name in names:
        values = backscatter[name]
        visible = values if mask is None else np.where(mask == 0, values, np.float32(np.nan))
        if name in given:
            limit = float(given[name])
            used |= {f"{name}_db": limit, f"{name}_by": "given"}
        else:
            found = backscatter_threshold(visible, getattr(rule, f"cap_{name}"), rules, hand=hand, by=by)
            limit = found.value
            used |= found.document(name)
            if found.tried is None:
                notes.append(f"{name}: no two groups in the scene, the cap is the threshold")
        below = values < np.float32(limit)
        candidate |= below
        bits[below] |= BITS[name]
        known |= np.isfinite(values)
        # 0.5 at the threshold itself, 1 well below, 0 well above.
        belongs = falling(values, full=limit - rule.backscatter_span, none=limit + rule.backscatter_span)
        dark = np.maximum(dark, np.nan_to_num(belongs, nan=0.0))
    parts = [dark]
    labels, count = ndimage.label(candidate, structure=np.ones((3, 3)))
    area = np.bincount(labels.ravel(), minlength=count + 1)
    area[0] = 0
    parts.append((1 - falling(area.astype(np.float32), full=rule.segment.none, none=rule.segment.full))[labels])
    for name, values_, row in (("slope", slope, rule.slope), ("hand", hand, rule.hand)):
        if values_ is None:
            notes.append(f"{name} not given: takes no part")
            bits |= BITS[name]
            continue
        part = np.nan_to_num(falling(values_, full=row.full, none=row.none), nan=0.0)
        bits[part > 0] |= BITS[name]
        parts.append(part)
    mean = np.mean(parts, axis=0, dtype=np.float32)
    possible = np.min(parts, axis=0) > 0
    water = candidate & possible & (mean >= np.float32(rule.keep))
    bits[water] |= BITS["membership"]
    confidence = np.rint(100 * np.where(water, mean, np.clip(1 - np.where(possible, dark, 0), 0, 1))).astype(np.uint8)
    high = mean >= np.float32((1 + rule.keep) / 2)
    codes = np.where(water, np.where(high, np.uint8(HIGH), np.uint8(MODERATE)), np.uint8(0)).astype(np.uint8)
    hidden = np.zeros(shape, dtype=np.uint8) if mask is None else mask.copy()
    hidden[~known] = NODATA
    masked = hidden != 0
    codes[masked] = hidden[masked]
    bits[masked] = confidence[masked] = NODATA
    return WaterMap("sar", codes, bits, confidence, used, time, tuple(notes))
