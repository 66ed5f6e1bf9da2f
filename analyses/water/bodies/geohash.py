"""Geohash (地理哈希编码) of points: the stable id of a water body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["geohash"]

_ALPHABET = np.frombuffer(b"0123456789bcdefghjkmnpqrstuvwxyz", dtype=np.uint8)


def geohash(longitude: NDArray[Any] | float, latitude: NDArray[Any] | float, length: int = 10) -> list[str]:
    """Geohash of points, `length` characters of five bits, longitude first.

    Parameters
    ----------
    longitude, latitude : degrees, −180 … 180 and −90 … 90
    length : int, 1–12
        10 characters are about 1.2 m × 0.6 m.

    Source: G. Niemeyer (2008), public domain.

    Examples
    --------
    >>> geohash(10.40744, 57.64911, 11)
    ['u4pruydqqvj']
    """
    x, y = np.atleast_1d(np.asarray(longitude, np.float64)), np.atleast_1d(np.asarray(latitude, np.float64))
    bits = 5 * length
    column = np.clip(np.floor((x + 180) / 360 * 2.0 ** (bits - bits // 2)), 0, 2.0 ** (bits - bits // 2) - 1).astype(
        np.uint64
    )
    line = np.clip(np.floor((y + 90) / 180 * 2.0 ** (bits // 2)), 0, 2.0 ** (bits // 2) - 1).astype(np.uint64)
    left_x, left_y = bits - bits // 2, bits // 2
    characters = np.empty((x.size, length), np.uint8)
    number = 0
    for k in range(length):
        value = np.zeros(x.size, np.uint64)
        for _ in range(5):
            if number % 2 == 0:
                left_x -= 1
                bit = (column >> np.uint64(left_x)) & np.uint64(1)
            else:
                left_y -= 1
                bit = (line >> np.uint64(left_y)) & np.uint64(1)
            value = (value << np.uint64(1)) | bit
            number += 1
        characters[:, k] = _ALPHABET[value.astype(np.intp)]
    return [row.tobytes().decode("ascii") for row in characters]
