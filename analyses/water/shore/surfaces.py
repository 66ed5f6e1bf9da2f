"""What stands on each cell on a date (地表类别), and the features by which two dates are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.extent.dswx import dswx_bits
from analyses.water.shore.candidate_rules import (
    BARE,
    BUILT,
    DARK,
    PILE,
    SPARSE,
    UNSEEN,
    VEGETATION,
    WATER,
    ChangeRule,
    SurfaceRule,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["change_features", "change_magnitude", "surface_classes"]

_WET = np.array([bits.bit_count() >= 3 for bits in range(32)])


def _ratio(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float32]:
    """(a − b)/(a + b), 0 where the sum is not positive, NaN where a or b is."""
    total = a + b
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.where(total > 0, (a - b) / np.where(total > 0, total, 1), 0.0)
    return np.asarray(np.where(np.isnan(total), np.nan, found), dtype=np.float32)


def _brightness(bands: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    return np.asarray((bands["blue"] + bands["green"] + bands["red"]) / np.float32(3), dtype=np.float32)


def surface_classes(
    bands: Mapping[str, NDArray[np.float32]],
    mask: NDArray[np.uint8] | None,
    rule: SurfaceRule,
    extent: WaterExtentRules,
) -> NDArray[np.uint8]:
    """Surface of each cell, uint8 codes of `candidate_rules`, 0 where it was not seen.

    Water is the vote of three tests of five (`dswx_bits`). Of the rest: vegetation by NDVI, then by brightness
    (B + G + R)/3 and the slope of the visible (R − B)/(R + B): concrete and roofs are flat, soil and sand rise to the red.

    Parameters
    ----------
    bands : mapping
        ``blue, green, red, nir, swir1, swir2``: float32 reflectance 0–1, NaN = nodata.
    mask : uint8, optional
        0 clear, else a code of `analyses.water.classes`.

    Source: vote as in OPERA DSWx-HLS; thresholds of the other classes are a convention of this project.
    """
    ndvi, slope = _ratio(bands["nir"], bands["red"]), _ratio(bands["red"], bands["blue"])
    bright = _brightness(bands)
    found = np.full(ndvi.shape, DARK, dtype=np.uint8)
    rises = slope >= rule.slope
    found[rises & (bright >= rule.bare_brightness)] = BARE
    found[rises & (bright >= rule.pile_brightness)] = PILE
    found[~rises & (bright >= rule.built_brightness)] = BUILT
    found[ndvi >= rule.sparse] = SPARSE
    found[ndvi >= rule.vegetation] = VEGETATION
    found[_WET[dswx_bits(bands, extent)]] = WATER
    hidden = ~np.isfinite(sum(bands[name] for name in ("blue", "green", "red", "nir", "swir1", "swir2")))
    if mask is not None:
        hidden |= mask != 0
    found[hidden] = UNSEEN
    return found


def change_features(bands: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """NDVI, MNDWI, BSI and brightness, float32 (4, rows, cols).

    BSI = ((S1 + R) − (N + B))/((S1 + R) + (N + B)).

    Source: NDVI Rouse 1974; MNDWI Xu 2006, doi 10.1080/01431160600589179; BSI Rikimaru et al. 2002 [mem].
    """
    return np.stack(
        [
            _ratio(bands["nir"], bands["red"]),
            _ratio(bands["green"], bands["swir1"]),
            _ratio(bands["swir1"] + bands["red"], bands["nir"] + bands["blue"]),
            _brightness(bands),
        ]
    )


def change_magnitude(before: NDArray[np.float32], after: NDArray[np.float32], rule: ChangeRule) -> NDArray[np.float32]:
    """Length of the change vector (变化向量): RMS of the feature differences in units of their scale, ≥ 0.

    Parameters
    ----------
    before, after : float32 (4, …)
        `change_features`; NaN where not seen, which gives NaN.

    Examples
    --------
    >>> from types import SimpleNamespace as N
    >>> rule = N(scale=N(ndvi=0.2, mndwi=0.2, bsi=0.1, brightness=0.05))
    >>> change_magnitude(np.zeros((4, 1)), np.array([[0.4], [0.0], [0.0], [0.0]]), rule).tolist()  # √(2²/4)
    [1.0]
    """
    scale = rule.scale
    units = np.array([scale.ndvi, scale.mndwi, scale.bsi, scale.brightness], dtype=np.float32)
    steps = (after - before) / units.reshape((4,) + (1,) * (before.ndim - 1))
    return np.asarray(np.sqrt(np.mean(steps * steps, axis=0)), dtype=np.float32)
