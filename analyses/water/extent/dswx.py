"""Water by the vote of five tests (DSWx 五项投票): the plain form, and the tables of the compiled one.

Source: OPERA DSWx-HLS; Jones (2019), Remote Sensing 11(4):374, doi 10.3390/rs11040374. Thresholds: the rule file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.classes import (
    GLINT,
    HIGH,
    MODERATE,
    NODATA,
    NOT_WATER,
    PARTIAL_AGGRESSIVE,
    PARTIAL_CONSERVATIVE,
)
from analyses.water.extent.kernels import VoteTables
from analyses.water.extent.reflectance import OPTICAL_BANDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from analyses.water.extent.rules import WaterExtentRules

__all__ = ["CLASS_OF_BITS", "CONFIDENCE_OF_BITS", "dswx_bits", "dswx_extent", "vote_tables"]


def _class_of(bits: int) -> int:
    count = bits.bit_count()
    if count >= 4:
        return HIGH
    if count == 3:
        return MODERATE
    if bits == 0b11000:
        return PARTIAL_CONSERVATIVE
    if count == 2 or bits == 0b10000:
        return PARTIAL_AGGRESSIVE
    return NOT_WATER


CLASS_OF_BITS: NDArray[np.uint8] = np.array([_class_of(bits) for bits in range(32)], dtype=np.uint8)
"""Pattern of the five tests (T1 = bit 0 … T5 = bit 4) → class.

4–5 tests: high; 3: moderate; T4 and T5 only: partial, conservative; other pairs, T5 alone: partial, aggressive; else dry.
"""
CONFIDENCE_OF_BITS: NDArray[np.uint8] = np.array(
    [20 * max(bits.bit_count(), 5 - bits.bit_count()) for bits in range(32)], dtype=np.uint8
)
"""Pattern → percent of the five tests that agree with the answer wet (three or more) or not: 60, 80 or 100."""


def dswx_bits(
    bands: Mapping[str, NDArray[np.float32]], rules: WaterExtentRules, **thresholds: float
) -> NDArray[np.uint8]:
    """The five tests of each cell.

    Formula, on reflectance B, G, R, N, S1, S2 (below `floor` taken as `floor`), indices written without division:

    - T1  (G − S1) > t1 (G + S1), that is MNDWI > 0.124
    - T2  G + R > N + S1
    - T3  B + 2.5 G − 1.5 (N + S1) − 0.25 S2 > 0
    - T4  MNDWI > −0.44, S1 < 0.09, N < 0.15, NDVI < 0.7
    - T5  MNDWI > −0.5, B < 0.1, S1 < 0.3, S2 < 0.1, N < 0.25

    Parameters
    ----------
    bands : mapping
        ``blue, green, red, nir, swir1, swir2``: float32 reflectance of one shape.
    **thresholds
        Values in place of those of the rule file, by its names (``t1_mndwi=0.05``).

    Returns
    -------
    uint8, T1 = bit 0 … T5 = bit 4.

    Source: OPERA DSWx-HLS, diagnostic tests; negative reflectance as 1/10,000.
    """
    limits = _limits(rules, thresholds)
    floor, t1, t3, t4_mndwi, t4_swir1, t4_nir, t4_ndvi, t5_mndwi, t5_blue, t5_swir1, t5_swir2, t5_nir = limits[:12]
    b, g, e, n, s, t = (np.fmax(np.asarray(bands[name], dtype=np.float32), floor) for name in OPTICAL_BANDS)
    less, both = g - s, g + s
    tests = (
        less > t1 * both,
        g + e > n + s,
        b + np.float32(2.5) * g - np.float32(1.5) * (n + s) - np.float32(0.25) * t > t3,
        (less > t4_mndwi * both) & (s < t4_swir1) & (n < t4_nir) & (n - e < t4_ndvi * (n + e)),
        (less > t5_mndwi * both) & (b < t5_blue) & (s < t5_swir1) & (t < t5_swir2) & (n < t5_nir),
    )
    bits = np.zeros(g.shape, dtype=np.uint8)
    for place, test in enumerate(tests):
        bits |= test.astype(np.uint8) << np.uint8(place)
    return bits


def dswx_extent(
    bands: Mapping[str, NDArray[np.float32]],
    rules: WaterExtentRules,
    *,
    mask: NDArray[np.uint8] | None = None,
    glint: bool = False,
    **thresholds: float,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Class, bits and confidence of each cell, masks included: the plain form of `analyses.water.extent.kernels.vote`.

    Parameters
    ----------
    mask : uint8, optional
        0 clear, else what hides the cell; it always wins.
    glint : bool
        Also mask cells voted water whose NIR and SWIR1 are bright: the mirror image of the sun.

    Returns
    -------
    class, bits, confidence : uint8
        Codes of `analyses.water.classes`; bits and confidence (percent) are 255 where the class is a mask.

    Examples
    --------
    >>> # water, vegetation, no data
    >>> CLASS_OF_BITS[[0b11111, 0b00111, 0b11000, 0b10000, 0b00001]].tolist()
    [1, 2, 3, 4, 0]
    """
    bits = dswx_bits(bands, rules, **thresholds)
    classes = CLASS_OF_BITS[bits]
    confidence = CONFIDENCE_OF_BITS[bits]
    hidden = np.zeros(bits.shape, dtype=np.uint8) if mask is None else mask.copy()
    span = rules.plausible.cell_range
    least, most = np.float32(span.min), np.float32(span.max)
    known = np.ones(bits.shape, dtype=np.bool_)
    for name in OPTICAL_BANDS:
        values = np.asarray(bands[name], dtype=np.float32)
        known &= (values >= least) & (values <= most)  # False where it is not a number
    hidden[~known] = NODATA
    if glint:
        limit = rules.masks.glint
        bright = (bands["nir"] > np.float32(limit.nir)) & (bands["swir1"] > np.float32(limit.swir1))
        hidden[(hidden == 0) & bright & (classes >= HIGH) & (classes <= MODERATE)] = GLINT
    masked = hidden != 0
    classes[masked] = hidden[masked]
    bits[masked] = confidence[masked] = NODATA
    return classes, bits, confidence


def vote_tables(
    rules: WaterExtentRules, *, glint: bool = False, nodata: float | None = None, **thresholds: float
) -> VoteTables:
    """Limits and tables for `analyses.water.extent.kernels.vote`; `nodata` is the digital number for none."""
    span, bright = rules.plausible.cell_range, rules.masks.glint
    more = [
        span.min,
        span.max,
        bright.nir if glint else np.inf,
        bright.swir1 if glint else np.inf,
        np.nan if nodata is None else nodata,
    ]
    limits = np.concatenate([_limits(rules, thresholds), np.array(more, dtype=np.float32)])
    return VoteTables(limits, CLASS_OF_BITS, CONFIDENCE_OF_BITS)


_NAMES = (
    "floor", "t1_mndwi", "t3_awesh", "t4_mndwi", "t4_swir1", "t4_nir", "t4_ndvi",
    "t5_mndwi", "t5_blue", "t5_swir1", "t5_swir2", "t5_nir",
)  # fmt: skip


def thresholds_used(rules: WaterExtentRules, thresholds: Mapping[str, float]) -> dict[str, float]:
    """Every threshold of the vote by name.

    Raises
    ------
    InvalidParameter
        A name that is no threshold of the vote.
    """
    from spatial.errors import InvalidParameter

    unknown = sorted(set(thresholds) - set(_NAMES))
    if unknown:
        raise InvalidParameter(
            f"未知阈值 {'、'.join(unknown)}，可用：{'、'.join(_NAMES)}",
            f"unknown thresholds {', '.join(unknown)}; there are: {', '.join(_NAMES)}",
            parameter="thresholds",
            allowed=list(_NAMES),
        )
    return {name: float(thresholds.get(name, getattr(rules.dswx, name))) for name in _NAMES}


def _limits(rules: WaterExtentRules, thresholds: Mapping[str, Any]) -> NDArray[np.float32]:
    return np.array(list(thresholds_used(rules, thresholds).values()), dtype=np.float32)
