"""Water by the WOfS decision tree (WOfS 决策树) of Geoscience Australia, for Landsat-like surface reflectance.

Source: Mueller et al. (2016), Remote Sensing of Environment 174, doi 10.1016/j.rse.2015.11.003; GeoscienceAustralia/wofs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from analyses.water.classes import HIGH, NODATA
from analyses.water.extent.kernels import tree
from analyses.water.extent.reflectance import OPTICAL_BANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules, WofsRule, WofsTerms

__all__ = ["wofs_extent", "wofs_rows"]

_TERMS = ("n52", "n43", "n72", "blue", "red", "swir2")


@lru_cache(maxsize=8)
def _ways(rule: WofsRule) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
    """Every way to water as intervals of the six terms, and the row that it belongs to."""
    over, upto, owner = [], [], []
    for number, row in enumerate(rule.rows):
        for other in row.either or (row,):
            terms = [_interval(row, other, term) for term in _TERMS]
            over.append([low for low, _ in terms])
            upto.append([high for _, high in terms])
            owner.append(number)
    return np.array(over), np.array(upto), np.array(owner, dtype=np.uint8)


def _interval(row: WofsTerms, other: WofsTerms, term: str) -> tuple[float, float]:
    limits = getattr(row, term), getattr(other, term)
    low = max(-np.inf if part.over is None else part.over for part in limits)
    high = min(np.inf if part.upto is None else part.upto for part in limits)
    return low, high


def wofs_rows(
    bands: Mapping[str, NDArray[np.float32]], rules: WaterExtentRules
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Which rows of the tree hold, and how sure the answer is.

    The tree was fitted to whole numbers (reflectance × 10,000), so reflectance is rounded to them first; ratios are in double
    precision, so that an exact −0.01 lies where the tree has it.

    Returns
    -------
    bits : uint8
        Bit i = row i + 1 of the rule file holds; any → water.
    agreement : uint8, percent
        Of 13 answers (the spectrum, and each band ∓ 5 % in turn) those that are the same.
    """
    shape = np.shape(bands["green"])
    spectra = np.stack([np.asarray(bands[name], dtype=np.float32).ravel() for name in OPTICAL_BANDS])
    bits, agreement = np.zeros(spectra.shape[1], dtype=np.uint8), np.zeros(spectra.shape[1], dtype=np.uint8)
    tree(spectra, *_ways(rules.wofs), rules.wofs.uncertainty, bits, agreement)
    return bits.reshape(shape), agreement.reshape(shape)


def wofs_extent(
    bands: Mapping[str, NDArray[np.float32]], rules: WaterExtentRules, *, mask: NDArray[np.uint8] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Class (0 or 1), rows of the tree as bits, and agreement of each cell; see `wofs_rows`.

    Returns
    -------
    class, bits, confidence : uint8
        Bits and confidence are 255 where the class is a mask.
    """
    bits, confidence = wofs_rows(bands, rules)
    classes = np.where(bits != 0, np.uint8(HIGH), np.uint8(0)).astype(np.uint8)
    hidden = np.zeros(bits.shape, dtype=np.uint8) if mask is None else mask.copy()
    span = rules.plausible.cell_range
    for name in OPTICAL_BANDS:
        values = np.asarray(bands[name], dtype=np.float32)
        hidden[~((values >= np.float32(span.min)) & (values <= np.float32(span.max)))] = NODATA
    masked = hidden != 0
    classes[masked] = hidden[masked]
    bits[masked] = confidence[masked] = NODATA
    return classes, bits, confidence
