"""What hides the ground (掩膜): cloud, shadow, snow, terrain shadow and sun glint, as codes of `analyses.water.classes`.

A mask is uint8: 0 where the ground was seen, else the code of what hides it. Where several do, the order is no data, cloud or
cloud shadow, snow, terrain shadow, glint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analyses.water.classes import CLOUD, GLINT, NODATA, SNOW, TERRAIN_SHADOW
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.extent.rules import BitsRow, CodesRow, WaterExtentRules

__all__ = [
    "combine_masks",
    "glint_angle",
    "glint_possible",
    "mask_from_classes",
    "mask_from_quality",
    "mask_table",
    "terrain_shadow",
]

Quality = Literal["scl", "qa_pixel", "fmask"]
_ORDER = (GLINT, TERRAIN_SHADOW, SNOW, CLOUD, NODATA)
"""From the weakest to the strongest."""


def mask_table(row: CodesRow) -> NDArray[np.uint8]:
    """Table class code → mask, uint8 (256,); codes that mean nothing here are clear."""
    table = np.zeros(256, dtype=np.uint8)
    for codes, mask in ((row.snow, SNOW), (row.cloud, CLOUD), (row.nodata, NODATA)):
        table[list(codes)] = mask
    return table


def mask_from_classes(classes: NDArray[Any], rules: WaterExtentRules) -> NDArray[np.uint8]:
    """Mask of a Sentinel-2 scene classification (SCL).

    Raises
    ------
    InvalidParameter
        Codes above 11: that is no SCL.

    Source: Sentinel-2 L2A algorithm (SCL): 0 no data, 1 saturated, 3 cloud shadow, 8–9 cloud, 10 thin cirrus, 11 snow.

    Examples
    --------
    >>> # mask_from_classes(np.array([6, 9, 11, 0], np.uint8), rules) → [0, 253, 252, 255]
    """
    if classes.size and int(classes.max()) > 11:
        raise InvalidParameter(
            f"场景分类（SCL）的编码为 0–11，得到 {int(classes.max())}：这不是 SCL",
            f"a scene classification (SCL) has the codes 0–11, found {int(classes.max())}: this is none",
            parameter="cloud_mask",
        )
    return np.asarray(mask_table(rules.masks.scl)[classes], dtype=np.uint8)


def mask_from_quality(
    bits: NDArray[Any], rules: WaterExtentRules, kind: Literal["qa_pixel", "fmask"], *, dilated: bool = True
) -> NDArray[np.uint8]:
    """Mask of a quality layer of bits: Landsat Collection 2 QA_PIXEL or HLS Fmask.

    Parameters
    ----------
    dilated : bool
        Also what lies beside a cloud. Fmask dilates clouds over clear water; False keeps such cells.

    Source: USGS Landsat Collection 2 QA_PIXEL (0 fill, 1 dilated cloud, 2 cirrus, 3 cloud, 4 cloud shadow, 5 snow);
    HLS 2.0 Fmask (0 cirrus, 1 cloud, 2 adjacent, 3 cloud shadow, 4 snow or ice).
    """
    row: BitsRow = getattr(rules.masks, kind)
    bits = np.asarray(bits).astype(np.uint32)
    out = np.zeros(bits.shape, dtype=np.uint8)
    cloud = [bit for bit in row.cloud if dilated or bit not in row.dilated]
    for found, mask in ((row.snow, SNOW), (cloud, CLOUD), (row.nodata, NODATA)):
        pattern = np.uint32(sum(1 << bit for bit in found))
        out[(bits & pattern) != 0] = mask
    if row.fill is not None:
        out[bits == row.fill] = NODATA
    return out


def combine_masks(*masks: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
    """One mask of several; where several hide a cell, the strongest stays (no data first, glint last).

    >>> combine_masks(np.array([0, 250, 253], np.uint8), np.array([251, 253, 0], np.uint8)).tolist()
    [251, 253, 253]
    """
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    rank = np.zeros(256, dtype=np.uint8)
    rank[list(_ORDER)] = np.arange(1, len(_ORDER) + 1)
    out = given[0].copy()
    for mask in given[1:]:
        np.copyto(out, mask, where=rank[mask] > rank[out])
    return out


def terrain_shadow(
    elevation: NDArray[Any],
    *,
    cell_x: float,
    cell_y: float,
    sun_azimuth: float,
    sun_elevation: float,
    incidence: float,
    backslope: float,
) -> NDArray[np.bool_]:
    """Where a slope turns away from the sun (地形阴影, 自身阴影).

    Formula: n = (−∂z/∂x, −∂z/∂y, 1)/|…|, s = (sin A cos h, cos A cos h, sin h); cos i = n · s; rise towards the sun
    d = arctan(sin A ∂z/∂x + cos A ∂z/∂y), positive on slopes that turn away. Shadow where i > `incidence` and d ≥ `backslope`.
    The second condition keeps level ground: there i is the zenith distance of the sun, over 50° on a winter morning.

    Parameters
    ----------
    elevation : float (rows + 2, cols + 2), m
        With a halo of one cell, row 0 in the north; NaN = nodata.
    cell_x, cell_y : float, m
    sun_azimuth : float, degrees from north, clockwise
    sun_elevation : float, degrees, above 0
    incidence, backslope : float, degrees
        Of the rule file (``masks.terrain``).

    Returns
    -------
    bool (rows, cols); False where an elevation is missing (what is not known hides nothing).

    Raises
    ------
    InvalidParameter
        The sun below the horizon, or angles out of range.

    Source: OPERA DSWx-HLS, masking by slope angle and local incidence of the sun. Shadow cast by other slopes is not found.

    Examples
    --------
    >>> z = np.ones((3, 1)) * np.arange(3.0) * 10.0    # rises eastwards at 45°, so it faces west
    >>> kw = dict(cell_x=10.0, cell_y=10.0, sun_elevation=30.0, incidence=40.0, backslope=5.0)
    >>> bool(terrain_shadow(z, sun_azimuth=90.0, **kw)[0, 0]), bool(terrain_shadow(z, sun_azimuth=270.0, **kw)[0, 0])
    (True, False)
    """
    if not (0 < sun_elevation <= 90 and 0 <= sun_azimuth <= 360):
        raise InvalidParameter(
            f"太阳高度角应在 0–90°、方位角应在 0–360°，得到 {sun_elevation:g}°、{sun_azimuth:g}°",
            f"the sun's elevation must be 0–90° and its azimuth 0–360°, found {sun_elevation:g}°, {sun_azimuth:g}°",
            parameter="sun_elevation",
        )
    z = np.asarray(elevation, dtype=np.float32)
    east = (z[1:-1, 2:] - z[1:-1, :-2]) / np.float32(2 * cell_x)
    north = (z[:-2, 1:-1] - z[2:, 1:-1]) / np.float32(2 * cell_y)
    azimuth, height = np.radians(sun_azimuth), np.radians(sun_elevation)
    # Rise of the ground per metre of the way towards the sun: positive on slopes that turn away from it.
    towards = np.float32(np.sin(azimuth)) * east + np.float32(np.cos(azimuth)) * north
    cosine = (np.float32(np.sin(height)) - np.float32(np.cos(height)) * towards) / np.sqrt(
        1 + east * east + north * north
    )
    with np.errstate(invalid="ignore"):
        dark = (cosine < np.cos(np.radians(incidence))) & (towards >= np.tan(np.radians(backslope)))
    return np.asarray(dark & np.isfinite(z[1:-1, 1:-1]))  # the middle takes no part in the differences


def glint_angle(*, sun_zenith: float, view_zenith: float, relative_azimuth: float) -> float:
    """Angle between the view and the mirror image of the sun on level water (耀斑角), degrees.

    Formula: cos Θ = cos θs cos θv − sin θs sin θv cos φ, φ = azimuth of the view less that of the sun; 0 = into the mirror image.

    Source: Cox & Munk 1954 geometry as in MOD35 [mem].

    Examples
    --------
    >>> round(glint_angle(sun_zenith=30, view_zenith=30, relative_azimuth=180), 6)
    0.0
    >>> round(glint_angle(sun_zenith=30, view_zenith=30, relative_azimuth=0), 6)
    60.0
    """
    s, v, a = np.radians([sun_zenith, view_zenith, relative_azimuth])
    cosine = np.cos(s) * np.cos(v) - np.sin(s) * np.sin(v) * np.cos(a)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def glint_possible(
    rules: WaterExtentRules,
    *,
    sun_zenith: float | None,
    view_zenith: float | None,
    relative_azimuth: float | None,
) -> bool | None:
    """Whether the geometry of the scene allows glint; None where the metadata do not say."""
    if sun_zenith is None or view_zenith is None or relative_azimuth is None:
        return None
    angle = glint_angle(sun_zenith=sun_zenith, view_zenith=view_zenith, relative_azimuth=relative_azimuth)
    return angle < rules.masks.glint.angle
