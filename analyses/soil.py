"""Soil factors (土壤因子): texture, silt, soil environment (土壤环境容量) by GB 15618-2018, salinisation (盐渍化)."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.grading import quantise
from spatial.catalog import Text
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.rules import Range, SalinityRule, SoilEnvironmentRule

__all__ = ["Texture", "salinity", "silt_content", "soil_environment", "texture_class"]


class Texture(IntEnum):
    """USDA texture classes (美国制质地分级)."""

    SAND = 1
    LOAMY_SAND = 2
    SANDY_LOAM = 3
    LOAM = 4
    SILT_LOAM = 5
    SILT = 6
    SANDY_CLAY_LOAM = 7
    CLAY_LOAM = 8
    SILTY_CLAY_LOAM = 9
    SANDY_CLAY = 10
    SILTY_CLAY = 11
    CLAY = 12


def silt_content(
    values: NDArray[Any], span: Range, *, layer: str, declared: str | None = None, step: float = 0.125
) -> NDArray[np.float32]:
    """Silt content (粉砂含量), checked to be in percent.

    Parameters
    ----------
    values : float, %
        NaN = no data.
    span : Range
        ``plausible`` of the silt rule.

    Returns
    -------
    float32, %, 0–100, rounded to `step`

    Raises
    ------
    QualityViolation
        For shares 0–1, or values beyond 0–100 (g/kg).
    """
    array = np.asarray(values, dtype=np.float64)
    span.require(array, what=Text(zh="粉砂含量", en="silt content"), unit="%", layer=layer, declared=declared)
    return quantise(array, step)


def texture_class(
    sand: NDArray[Any], silt: NDArray[Any], clay: NDArray[Any], *, layer: str = "soil", tolerance: float = 2.0
) -> NDArray[np.uint8]:
    """Texture class (土壤质地) of the USDA triangle.

    Parameters
    ----------
    sand, silt, clay : float, %
        2–0.05 mm, 0.05–0.002 mm, < 0.002 mm; NaN = no data.
    layer : str
        Named in the error.
    tolerance : float, %
        How far the three may miss 100.

    Returns
    -------
    uint8, 1–12 (`Texture`); 0 = no data

    Raises
    ------
    QualityViolation
        If the three do not sum to 100 (shares 0–1, g/kg, other particle limits).

    Source: USDA Soil Survey Manual (2017), chapter 3, texture triangle; GB/T 17296 keeps to the same three fractions.

    Examples
    --------
    >>> texture_class(np.array([92, 40.0, 20]), np.array([5, 40.0, 20]), np.array([3, 20.0, 60])).tolist()
    [1, 4, 12]
    """
    s, i, c = (np.asarray(a, dtype=np.float64) for a in (sand, silt, clay))
    total = s + i + c
    known = np.isfinite(total)
    if known.any():
        least, most = float(total[known].min()), float(total[known].max())
        if least < 100 - tolerance or most > 100 + tolerance:
            raise QualityViolation(
                f"图层 {layer} 的砂、粉、粘之和为 {least:g}–{most:g}，应为 100 %，请检查单位（占比、g/kg）或粒级划分",
                f"layer {layer}: sand + silt + clay is {least:g} to {most:g}, expected 100 %; "
                "check the unit (share, g/kg) or the particle limits",
                layer=layer,
                expected_unit="%",
            )
    with np.errstate(invalid="ignore"):
        rules = (
            (Texture.SAND, i + 1.5 * c < 15),
            (Texture.LOAMY_SAND, i + 2 * c < 30),
            (Texture.SANDY_LOAM, ((c >= 7) & (c < 20) & (s > 52)) | ((c < 7) & (i < 50))),
            (Texture.SILT, (i >= 80) & (c < 12)),
            (Texture.SILT_LOAM, (i >= 50) & (c < 27)),
            (Texture.LOAM, (c < 27) & (i >= 28) & (s <= 52)),
            (Texture.SANDY_CLAY_LOAM, (c >= 20) & (c < 35) & (i < 28) & (s > 45)),
            (Texture.CLAY_LOAM, (c >= 27) & (c < 40) & (s > 20) & (s <= 45)),
            (Texture.SILTY_CLAY_LOAM, (c >= 27) & (c < 40) & (s <= 20)),
            (Texture.SANDY_CLAY, (c >= 35) & (s > 45)),
            (Texture.SILTY_CLAY, (c >= 40) & (i >= 40)),
        )
    out = np.select([r for _, r in rules], [int(t) for t, _ in rules], default=int(Texture.CLAY))
    return np.where(known, out, 0).astype(np.uint8)


def soil_environment(
    metals: Mapping[str, NDArray[Any]],
    ph: NDArray[Any],
    paddy: NDArray[Any],
    rule: SoilEnvironmentRule,
    *,
    layer: str = "soil-quality",
    declared: str | None = None,
) -> NDArray[np.float32]:
    """Soil environment class (土壤环境容量) by the worst metal.

    Formula: c ≤ screening(pH, use) → 1; screening < c ≤ control(pH) → 3; c > control → 5; the class of the cell is the
    greatest of the metals.

    Parameters
    ----------
    metals : mapping
        Metal (``cd``, ``hg``, ``as``, ``pb``, ``cr``) → float, mg/kg, one shape. Metals that are not given take no part: the
        caller lists them.
    ph : float
        Soil pH; its class decides the column.
    paddy : bool or uint8
        1 on paddy (水田): its own screening row. 0 elsewhere (dryland and others).
    rule : SoilEnvironmentRule

    Returns
    -------
    float32, 1, 3 or 5; NaN where pH or a given metal is missing — except 5 where another metal is above control with
    known pH, for nothing could make it better.

    Raises
    ------
    InvalidParameter
        For no metal, or one that the rules do not know.
    QualityViolation
        For µg/kg, g/kg or a pH out of range.

    Source: GB 15618-2018 表 1 (screening, paddy and others apart), 表 3 (control). Public code gives dryland the paddy row.

    Examples
    --------
    >>> import yaml
    >>> from pathlib import Path
    >>> from analyses.rules import agricultural_rules
    >>> text = Path("layers/rules/agricultural_suitability.yml").read_text("utf-8")
    >>> rule = agricultural_rules({"agricultural_suitability": yaml.safe_load(text)}).soil_environment
    >>> cd = {"cd": np.array([0.35, 0.35, 2.5])}
    >>> soil_environment(cd, np.array([6.0, 6.0, 6.5]), np.array([1, 0, 0]), rule).tolist()
    [1.0, 3.0, 5.0]
    """
    unknown = sorted(set(metals) - set(rule.metals))
    if unknown or not metals:
        raise InvalidParameter(
            f"重金属 {'、'.join(unknown) or '（空）'} 不在规则中，可用：{'、'.join(rule.metals)}",
            f"metal {', '.join(unknown) or '(none)'} is not in the rules; known: {', '.join(rule.metals)}",
            parameter="metals",
            allowed=sorted(rule.metals),
        )
    acidity = np.asarray(ph, dtype=np.float64)
    rule.ph_plausible.require(acidity, what=Text(zh=" pH ", en="pH"), unit="1", layer=layer, declared=None)
    column = np.searchsorted(np.array(rule.ph_to), acidity, side="left").clip(max=3)  # ≤ 5.5 belongs to the first
    wet = np.asarray(paddy) == 1
    worst = np.zeros(acidity.shape, dtype=np.uint8)
    complete = np.isfinite(acidity)
    for name, values in metals.items():
        limits = rule.metals[name]
        c = np.asarray(values, dtype=np.float64)
        limits.plausible.require(c, what=limits.title, unit="mg/kg", layer=layer, declared=declared)
        screening = np.where(wet, np.array(limits.screening_paddy)[column], np.array(limits.screening_dryland)[column])
        with np.errstate(invalid="ignore"):
            found = np.where(c > np.array(limits.control)[column], 5, np.where(c > screening, 3, 1))
        worst = np.maximum(worst, np.where(np.isnan(c), 0, found).astype(np.uint8))
        complete &= np.isfinite(c)
    sure = complete | ((worst == 5) & np.isfinite(acidity))
    return np.where(sure, worst, np.nan).astype(np.float32)


def salinity(
    dryness: NDArray[Any],
    mineralisation: NDArray[Any],
    depth: NDArray[Any],
    texture: NDArray[Any],
    rule: SalinityRule,
    *,
    layer: str = "groundwater",
) -> NDArray[np.float32]:
    """Salinisation index (盐渍化敏感性): S = (I·M·D·K)^(1/4), each part 1, 3 or 5.

    Parameters
    ----------
    dryness : float, no unit
        Evaporation ÷ precipitation.
    mineralisation : float, g/L
        Of the groundwater.
    depth : float, m
        Of the water table below ground, ≥ 0.
    texture : uint8
        `Texture`, 0 = no data.
    rule : SalinityRule

    Returns
    -------
    float32, 1–5, rounded to the rule's step; NaN where a part is missing.

    Raises
    ------
    QualityViolation
        For mineralisation in mg/L or a depth given as an elevation or a negative number.

    Source: 2015 全国生态功能区划 family of indices; the breaks of S were not found and are a convention of the rule file.
    """
    rule.mineralisation_plausible.require(
        np.asarray(mineralisation), what=Text(zh="地下水矿化度", en="mineralisation"), unit="g/L", layer=layer
    )
    rule.depth_plausible.require(
        np.asarray(depth), what=Text(zh="地下水埋深", en="depth of the water table"), unit="m", layer=layer
    )
    lookup = np.zeros(256, dtype=np.float64)
    for code, level in rule.texture.items():
        lookup[code] = level
    parts = (
        rule.dryness.level(dryness).astype(np.float64),
        rule.mineralisation.level(mineralisation).astype(np.float64),
        rule.depth.level(depth).astype(np.float64),
        lookup[np.asarray(texture, dtype=np.uint8)],
    )
    product = parts[0] * parts[1] * parts[2] * parts[3]
    # √√ and not a power: correctly rounded on every machine.
    return rule.quantised(np.where(product > 0, np.sqrt(np.sqrt(product)), np.nan))
