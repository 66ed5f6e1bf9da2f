"""Codes of a water map (水体分类编码), the same in every module and raster.

The first five and 252, 253, 255 are those of the OPERA DSWx-HLS product; 250 and 251 say apart what it has no code for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spatial.catalog import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "CLOUD",
    "FIRST_MASKED",
    "GLINT",
    "HIGH",
    "MODERATE",
    "NODATA",
    "NOT_WATER",
    "PARTIAL_AGGRESSIVE",
    "PARTIAL_CONSERVATIVE",
    "SNOW",
    "TERRAIN_SHADOW",
    "TITLES",
    "is_clear",
    "is_water",
]

NOT_WATER = 0
HIGH = 1
MODERATE = 2
PARTIAL_CONSERVATIVE = 3
PARTIAL_AGGRESSIVE = 4
FIRST_MASKED = 250
"""Codes from here on are no observation of the ground."""
TERRAIN_SHADOW = 250
GLINT = 251
SNOW = 252
CLOUD = 253
NODATA = 255

TITLES: dict[int, Text] = {
    NOT_WATER: Text(zh="非水", en="not water"),
    HIGH: Text(zh="水体（高置信）", en="water, high confidence"),
    MODERATE: Text(zh="水体（中置信）", en="water, moderate confidence"),
    PARTIAL_CONSERVATIVE: Text(zh="部分水面（保守）", en="partial surface water, conservative"),
    PARTIAL_AGGRESSIVE: Text(zh="部分水面（激进）", en="partial surface water, aggressive"),
    TERRAIN_SHADOW: Text(zh="地形阴影", en="terrain shadow"),
    GLINT: Text(zh="太阳耀斑", en="sun glint"),
    SNOW: Text(zh="冰雪", en="snow or ice"),
    CLOUD: Text(zh="云或云影", en="cloud or cloud shadow"),
    NODATA: Text(zh="无数据", en="no data"),
}
"""Code → meaning, for the ``domain`` of a band and the legend."""


def is_water(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the map says water (水体): classes 1 and 2.

    >>> is_water(np.array([0, 1, 2, 3, 253], dtype=np.uint8)).tolist()
    [False, True, True, False, False]
    """
    return np.asarray((codes == HIGH) | (codes == MODERATE))


def is_clear(codes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where the ground was seen (晴空有效观测), wet or dry.

    >>> is_clear(np.array([0, 1, 4, 250, 253, 255], dtype=np.uint8)).tolist()
    [True, True, True, False, False, False]
    """
    return codes < FIRST_MASKED
