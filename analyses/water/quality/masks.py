"""What may be judged of a scene (水质掩膜): cloud, shadow, glint, shore margin, plants, saturation; and why the rest may not."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water import classes
from spatial.catalog import Text
from spatial.errors import GridMismatch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.quality.rules import OpticalRules

__all__ = ["REASONS", "Reason", "near_land", "reasons"]


class Reason(IntEnum):
    """Why a cell is not judged; the first that applies, in this order."""

    JUDGED = 1
    NODATA = 2
    CLOUD = 3
    SNOW = 4
    TERRAIN_SHADOW = 5
    NOT_WATER = 6
    GLINT = 7
    SHORE = 8
    MACROPHYTES = 9
    SATURATED = 10
    NEGATIVE = 11


REASONS: dict[int, Text] = {
    Reason.JUDGED: Text(zh="参与评价", en="judged"),
    Reason.NODATA: Text(zh="无数据", en="no data"),
    Reason.CLOUD: Text(zh="云或云影", en="cloud or cloud shadow"),
    Reason.SNOW: Text(zh="冰雪", en="snow or ice"),
    Reason.TERRAIN_SHADOW: Text(zh="地形阴影", en="terrain shadow"),
    Reason.NOT_WATER: Text(zh="非水面", en="not water"),
    Reason.GLINT: Text(zh="太阳耀斑", en="sun glint"),
    Reason.SHORE: Text(zh="岸边（陆地邻近效应）", en="shore margin (adjacency of land)"),
    Reason.MACROPHYTES: Text(zh="水生植被", en="macrophytes"),
    Reason.SATURATED: Text(zh="反射率饱和", en="reflectance saturated"),
    Reason.NEGATIVE: Text(zh="反射率为负", en="negative reflectance"),
}
"""Code → meaning, for the ``domain`` of the band."""


def near_land(land: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Cells within `pixels` cells of land, the eight neighbours counting as one (邻近效应带).

    Beyond the edge of the array nothing is known and nothing is dropped: give a halo of `pixels` cells.

    Examples
    --------
    >>> near_land(np.array([[True, False, False, False]]), 2).tolist()
    [[True, True, True, False]]
    """
    from scipy import ndimage

    if pixels == 0:
        return land.copy()
    side = 2 * pixels + 1
    found: NDArray[np.bool_] = ndimage.binary_dilation(land, np.ones((side, side), dtype=bool))
    return found


def reasons(
    codes: NDArray[np.uint8],
    rules: OpticalRules,
    *,
    fai: NDArray[Any] | None = None,
    swir1: NDArray[Any] | None = None,
    red: NDArray[Any] | None = None,
    saturated_from: float | None = None,
    plants: NDArray[np.bool_] | None = None,
    floating: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Whether each cell is judged, or the first reason why not.

    Parameters
    ----------
    codes : uint8 (rows, cols)
        Water map (`analyses.water.classes`) with its cloud and shadow codes; with a halo of the shore margin around it.
    fai, swir1 : float, same shape
        Sun glint: SWIR 1 at or above the limit on water, except where FAI > 0 (algae are bright there too).
    red : float, same shape
        ``saturated_from``: red at or above it is saturated; below 0 is negative.
    plants : bool, same shape
        Macrophytes (`analyses.water.quality.bloom.macrophytes`).
    floating : bool, same shape
        Cells whose surface is algae: water tests fail there, yet they belong to the lake.

    Returns
    -------
    uint8, same shape
        `Reason`.

    Examples
    --------
    >>> import yaml, pathlib
    >>> from analyses.water.quality.rules import optical_rules
    >>> text = pathlib.Path("layers/rules/optical_quality.yml").read_text("utf-8")
    >>> rules = optical_rules({"optical_quality": yaml.safe_load(text)})
    >>> reasons(np.array([[0, 1, 1, 1, 1, 253]], np.uint8), rules).tolist()
    [[6, 8, 8, 1, 1, 3]]
    """
    for name, values in (("fai", fai), ("swir1", swir1), ("red", red), ("plants", plants), ("floating", floating)):
        if values is not None and values.shape != codes.shape:
            raise GridMismatch(
                f"{name} 的大小 {values.shape} 与水体图 {codes.shape} 不同",
                f"{name} has shape {values.shape}, the water map {codes.shape}",
            )
    wet = classes.is_water(codes)
    if floating is not None:
        wet |= floating & classes.is_clear(codes)
    found = np.full(codes.shape, Reason.JUDGED, dtype=np.uint8)

    def put(where: NDArray[np.bool_], reason: Reason) -> None:
        found[where & (found == Reason.JUDGED)] = reason

    put(codes == classes.NODATA, Reason.NODATA)
    put(codes == classes.CLOUD, Reason.CLOUD)
    put(codes == classes.SNOW, Reason.SNOW)
    put(codes == classes.TERRAIN_SHADOW, Reason.TERRAIN_SHADOW)
    put(codes == classes.GLINT, Reason.GLINT)
    put((codes >= classes.FIRST_MASKED) & (found == Reason.JUDGED), Reason.NODATA)
    land = classes.is_clear(codes) & ~wet
    put(land, Reason.NOT_WATER)
    if swir1 is not None:
        bright = swir1 >= rules.masks.glint_swir1_from
        put(bright if fai is None else bright & ~(fai > 0), Reason.GLINT)
    put(near_land(land, rules.masks.shore_pixels), Reason.SHORE)
    if plants is not None:
        put(plants, Reason.MACROPHYTES)
    if red is not None:
        put(~np.isfinite(red), Reason.NODATA)
        if saturated_from is not None:
            put(red >= saturated_from, Reason.SATURATED)
        put(red < 0, Reason.NEGATIVE)
    return found
