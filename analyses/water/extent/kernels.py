"""Compiled loops of water extent: the vote of five tests with its masks in one pass, and the WOfS tree.

The vote equals `analyses.water.extent.dswx.dswx_extent` cell by cell: the same single-precision operations in the same order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.classes import GLINT, MODERATE, NODATA
from spatial.compiled import compiled

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["VoteTables", "tree", "vote"]


@dataclass(frozen=True)
class VoteTables:
    """What the vote needs beside the pixels; made by `analyses.water.extent.dswx.vote_tables`.

    Parameters
    ----------
    limits : float32 (17,)
        floor, T1, T3, T4 (MNDWI, SWIR1, NIR, NDVI), T5 (MNDWI, blue, SWIR1, SWIR2, NIR), least and most reflectance of a
        cell, glint (NIR, SWIR1; infinite where glint is not looked for), nodata (NaN for none).
    classes, confidence : uint8 (32,)
        By the pattern of bits.
    """

    limits: NDArray[np.float32]
    classes: NDArray[np.uint8]
    confidence: NDArray[np.uint8]


def vote(
    fine: NDArray[Any],
    coarse: NDArray[Any],
    mask: NDArray[np.uint8],
    *,
    scale: NDArray[np.float32],
    offset: NDArray[np.float32],
    tables: VoteTables,
    out: NDArray[np.uint8],
) -> None:
    """Class, bits and confidence of a block.

    Parameters
    ----------
    fine : (3, rows, cols)
        Blue, green, red: digital numbers or reflectance.
    coarse : (3, rows / k, cols / k)
        NIR, SWIR1, SWIR2; a cell of it stands for k × k fine ones (repeated in the loop, never stored).
    mask : uint8 (rows / m, cols / m)
        0 clear, else a code of `analyses.water.classes`.
    scale, offset : float32 (6,)
        Reflectance = value × scale + offset by band.
    out : uint8 (3, rows, cols)
        Takes class, bits, confidence (255 where masked).
    """
    rows, cols = fine.shape[1:]
    k, m = -(-rows // coarse.shape[1]), -(-rows // mask.shape[0])
    if (-(-rows // k), -(-cols // k)) != coarse.shape[1:] or (-(-rows // m), -(-cols // m)) != mask.shape:
        raise ValueError(f"blocks do not fit: {fine.shape}, {coarse.shape}, {mask.shape}")
    compiled(_vote)(fine, coarse, mask, k, m, scale, offset, tables.limits, tables.classes, tables.confidence, out)


def _vote(
    fine: Any,
    coarse: Any,
    mask: Any,
    k: int,
    m: int,
    scale: Any,
    offset: Any,
    limits: Any,
    classes: Any,
    confidence: Any,
    out: Any,
) -> None:
    rows = fine.shape[1]
    cols = fine.shape[2]
    floor = limits[0]
    t1 = limits[1]
    t3 = limits[2]
    t4_mndwi = limits[3]
    t4_swir1 = limits[4]
    t4_nir = limits[5]
    t4_ndvi = limits[6]
    t5_mndwi = limits[7]
    t5_blue = limits[8]
    t5_swir1 = limits[9]
    t5_swir2 = limits[10]
    t5_nir = limits[11]
    least = limits[12]
    most = limits[13]
    glint_nir = limits[14]
    glint_swir1 = limits[15]
    nodata = limits[16]
    infrared = np.empty((3, cols), np.float32)
    hidden = np.empty(cols, np.uint8)
    # Whole words, not bytes: the loop below becomes vector instructions (5.5 ns a cell in place of 8.8).
    pattern = np.empty(cols, np.int32)
    glint = np.empty(cols, np.int32)
    known = np.empty(cols, np.int32)
    for r in range(rows):
        if r % k == 0:
            for j in range(3):
                by = scale[3 + j]
                add = offset[3 + j]
                for c in range(coarse.shape[2]):
                    number = np.float32(coarse[j, r // k, c])
                    value = np.float32(np.nan) if number == nodata else number * by + add
                    for d in range(c * k, min(c * k + k, cols)):
                        infrared[j, d] = value
        if r % m == 0:
            for c in range(mask.shape[1]):
                above = mask[r // m, c]
                for d in range(c * m, min(c * m + m, cols)):
                    hidden[d] = above
        blue = fine[0, r]
        green = fine[1, r]
        red = fine[2, r]
        nir = infrared[0]
        swir1 = infrared[1]
        swir2 = infrared[2]
        for c in range(cols):
            b0 = np.float32(blue[c])
            g0 = np.float32(green[c])
            r0 = np.float32(red[c])
            b = b0 * scale[0] + offset[0]
            g = g0 * scale[1] + offset[1]
            e = r0 * scale[2] + offset[2]
            n = nir[c]
            s = swir1[c]
            t = swir2[c]
            seen = (b0 != nodata) & (g0 != nodata) & (r0 != nodata)
            # False where one of the six is not a number.
            seen &= (b >= least) & (g >= least) & (e >= least) & (n >= least) & (s >= least) & (t >= least)
            seen &= (b <= most) & (g <= most) & (e <= most) & (n <= most) & (s <= most) & (t <= most)
            b = b if b > floor else floor
            g = g if g > floor else floor
            e = e if e > floor else floor
            n = n if n > floor else floor
            s = s if s > floor else floor
            t = t if t > floor else floor
            less = g - s
            both = g + s
            first = less > t1 * both
            second = g + e > n + s
            third = b + np.float32(2.5) * g - np.float32(1.5) * (n + s) - np.float32(0.25) * t > t3
            fourth = (less > t4_mndwi * both) & (s < t4_swir1) & (n < t4_nir) & (n - e < t4_ndvi * (n + e))
            fifth = (less > t5_mndwi * both) & (b < t5_blue) & (s < t5_swir1) & (t < t5_swir2) & (n < t5_nir)
            pattern[c] = (
                (np.int32(1) if first else np.int32(0))
                | (np.int32(2) if second else np.int32(0))
                | (np.int32(4) if third else np.int32(0))
                | (np.int32(8) if fourth else np.int32(0))
                | (np.int32(16) if fifth else np.int32(0))
            )
            glint[c] = np.int32(1) if (n > glint_nir) & (s > glint_swir1) else np.int32(0)
            known[c] = np.int32(1) if seen else np.int32(0)
        for c in range(cols):
            found = pattern[c]
            code = classes[found]
            above = hidden[c] if known[c] != 0 else np.uint8(NODATA)
            if above == 0 and glint[c] != 0 and code >= 1 and code <= MODERATE:
                above = np.uint8(GLINT)
            if above != 0:
                out[0, r, c] = above
                out[1, r, c] = np.uint8(NODATA)
                out[2, r, c] = np.uint8(NODATA)
            else:
                out[0, r, c] = code
                out[1, r, c] = found
                out[2, r, c] = confidence[found]


def tree(
    spectra: NDArray[np.float32],
    over: NDArray[np.float64],
    upto: NDArray[np.float64],
    owner: NDArray[np.uint8],
    uncertainty: float,
    bits: NDArray[np.uint8],
    agreement: NDArray[np.uint8],
) -> None:
    """Rows of the WOfS tree that hold, and the share of answers that stay when one band at a time is changed.

    Parameters
    ----------
    spectra : float32 (6, cells)
        Blue, green, red, NIR, SWIR1, SWIR2; NaN gives no row.
    over, upto : float64 (ways, 6)
        Limits of n52, n43, n72, blue, red, SWIR2: over < value ≤ upto; infinite where there is none.
    owner : uint8 (ways,)
        Row of the tree that a way belongs to.
    bits, agreement : uint8 (cells,)
        Out: bit i = row i + 1 holds; percent.
    """
    compiled(_tree)(spectra, over, upto, owner, uncertainty, bits, agreement)


def _tree(spectra: Any, over: Any, upto: Any, owner: Any, uncertainty: float, bits: Any, agreement: Any) -> None:
    ways = owner.size
    band = np.empty(6, np.float64)
    value = np.empty(6, np.float64)
    for cell in range(bits.size):
        wet = False
        same = 0
        # The spectrum as it is, then each band a little lower and a little higher.
        for turn in range(13):
            for j in range(6):
                band[j] = np.float64(spectra[j, cell]) * 10000.0
            if turn > 0:
                band[(turn - 1) // 2] *= 1.0 + (uncertainty if turn % 2 == 0 else -uncertainty)
            for j in range(6):
                band[j] = np.rint(band[j])
            value[0] = (band[4] - band[1]) / (band[4] + band[1])
            value[1] = (band[3] - band[2]) / (band[3] + band[2])
            value[2] = (band[5] - band[1]) / (band[5] + band[1])
            value[3] = band[0]
            value[4] = band[2]
            value[5] = band[5]
            found = 0
            for way in range(ways):
                holds = True
                for j in range(6):
                    above = over[way, j] == -np.inf or value[j] > over[way, j]
                    below = upto[way, j] == np.inf or value[j] <= upto[way, j]
                    holds = holds and above and below
                if holds:
                    found |= 1 << owner[way]
            if turn == 0:
                wet = found != 0
                bits[cell] = np.uint8(found)
            same += (found != 0) == wet
        agreement[cell] = np.uint8(np.rint(100.0 * same / 13.0))
