"""Published formulas of water colour (水色遥感公式) on plain arrays: reflectance in, index or uncalibrated estimate out.

They do not know what reflectance they are given: `analyses.water.quality.optical_quality` checks that. Every function returns
float64 values (NaN where the formula does not hold) and uint8 flags (`Flag`) that say why or how.
"""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from analyses.water.quality.rules import BandFit, DogliottiRule, GonsRule, MishraRule, MosesRule, SecchiRule

    Found = tuple[NDArray[np.float64], NDArray[np.uint8]]

__all__ = [
    "Flag",
    "baseline_height",
    "chl_gons",
    "chl_mishra",
    "chl_moses",
    "chl_oc3",
    "ndci",
    "secchi_lee",
    "spm_novoa",
    "suspended",
    "turbidity_dogliotti",
]


class Flag(IntFlag):
    """What is to be known of a value (bits)."""

    OUT_OF_FIT = 1
    """Outside the range where the formula was fitted or is monotone; the value stands."""
    SATURATED = 2
    """The reflectance no longer answers to the water: no value."""
    NEGATIVE = 4
    """A reflectance that must be positive is not: no value."""
    SUBSTITUTE_BAND = 8
    """Another wavelength than the fitted one was used; the value stands."""
    BLENDED = 16
    """Weighted mean of two bands."""
    INVALID = 32
    """The formula's own condition of validity fails: no value."""


def _arrays(*bands: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    return tuple(np.asarray(b, dtype=np.float64) for b in np.broadcast_arrays(*(np.asarray(b) for b in bands)))


def _start(*bands: NDArray[np.float64], least: float = 0.0, strict: bool = False) -> tuple[Any, NDArray[np.uint8]]:
    """Which cells have every band positive (``strict``: above `least`), and the flags so far."""
    known = np.logical_and.reduce([np.isfinite(b) for b in bands])
    good = np.logical_and.reduce([(b > least) if strict else (b >= least) for b in bands])
    flags = np.where(known & ~good, Flag.NEGATIVE, 0).astype(np.uint8)
    return known & good, flags


def _settle(values: NDArray[np.float64], ok: NDArray[np.bool_], flags: NDArray[np.uint8]) -> Found:
    return np.where(ok, values, np.nan), flags


def ndci(red: ArrayLike, red_edge: ArrayLike) -> Found:
    """Normalised difference chlorophyll index (归一化叶绿素差值指数).

    Formula: NDCI = (R704 − R665)/(R704 + R665), dimensionless, −1 to 1. Water-leaving reflectance.

    Source: Mishra & Mishra 2012, doi 10.1016/j.rse.2011.10.016.

    Examples
    --------
    >>> values, flags = ndci([0.02, -0.01], [0.03, 0.02])
    >>> values.round(6).tolist(), flags.tolist()
    ([0.2, nan], [0, 4])
    """
    r, e = _arrays(red, red_edge)
    ok, flags = _start(r, e)
    total = r + e
    ok &= total > 0
    return _settle(np.divide(e - r, total, out=np.zeros_like(total), where=ok), ok, flags)


def chl_mishra(index: ArrayLike, rule: MishraRule) -> Found:
    """Chlorophyll a from NDCI, mg/m³: 14.039 + 86.115 NDCI + 194.325 NDCI².

    The parabola turns at NDCI = −0.2216: below −0.22 a smaller index gives *more* chlorophyll, which is flagged.

    Source: Mishra & Mishra 2012; Harsha Lake: 15–25 where 4–12 was measured, so no concentration without calibration.
    """
    (x,) = _arrays(index)
    c0, c1, c2 = rule.coefficients
    known = np.isfinite(x)
    flags = np.where(known & (x < rule.monotone_from), Flag.OUT_OF_FIT, 0).astype(np.uint8)
    return _settle(c0 + c1 * x + c2 * x * x, known, flags)


def chl_gons(red: ArrayLike, red_edge: ArrayLike, nir: ArrayLike, rule: GonsRule) -> Found:
    """Chlorophyll a of turbid water (Gons 2005), mg/m³.

    Formula: b = 1.61 ρ782/(0.082 − 0.6 ρ782); chl = (ρ704/ρ664 · (0.70 + b) − 0.40 − b^1.05)/0.015.
    Valid where ρ664 > 0.005 and ρ704/ρ664 > 0.63; ρ782 < 0 and a negative result are no value.

    Source: Gons, Rijkeboer & Ruddick 2005, doi 10.1093/plankt/fbh151.
    """
    r, e, n = _arrays(red, red_edge, nir)
    ok, flags = _start(r, e, n)
    p, q, s = rule.backscatter
    a0, a1, exponent, divisor = rule.absorption
    room = q - s * n
    with np.errstate(all="ignore"):
        ratio = e / r
        b = p * n / room
        chl = (ratio * (a0 + b) - a1 - b**exponent) / divisor
    fits = (r > rule.least_red) & (ratio > rule.least_ratio) & (room > 0) & (chl >= 0)
    flags[ok & ~fits] |= np.uint8(Flag.INVALID)
    return _settle(chl, ok & fits, flags)


def chl_moses(red: ArrayLike, red_edge: ArrayLike, nir: ArrayLike, nir_nm: float, rule: MosesRule) -> Found:
    """Chlorophyll a by three bands (Moses 2012), mg/m³: 232.29 (1/ρ665 − 1/ρ704) ρ753 + 23.173.

    Sentinel-2 lacks 753 nm: with 740 or 783 nm every value is flagged `Flag.SUBSTITUTE_BAND`.

    Source: Moses et al. 2012, doi 10.1088/1748-9326/7/1/014007.
    """
    r, e, n = _arrays(red, red_edge, nir)
    ok, flags = _start(r, e, strict=True)
    ok &= np.isfinite(n) & (n >= 0)
    flags[np.isfinite(n) & (n < 0)] |= np.uint8(Flag.NEGATIVE)
    c1, c0 = rule.coefficients
    with np.errstate(all="ignore"):
        chl = c1 * (1 / r - 1 / e) * n + c0
    if abs(nir_nm - rule.fitted_nm) > 3:
        flags[ok] |= np.uint8(Flag.SUBSTITUTE_BAND)
    below = ok & (chl < 0)
    flags[below] |= np.uint8(Flag.INVALID)
    return _settle(chl, ok & ~below, flags)


def chl_oc3(
    coastal: ArrayLike,
    blue: ArrayLike,
    green: ArrayLike,
    red: ArrayLike,
    coefficients: tuple[float, ...],
    clear_red_below: float,
) -> Found:
    """Chlorophyll a of clear water (OC3), mg/m³: log₁₀ chl = Σ cᵢ xⁱ, x = log₁₀(max(ρ443, ρ490)/ρ560).

    Turbid water (ρ red at or above the limit) is no value: the blue-green ratio there follows sediment.

    Source: Franz et al. 2015, doi 10.1117/1.JRS.9.096070.
    """
    c, b, g, r = _arrays(coastal, blue, green, red)
    ok, flags = _start(c, b, g, strict=True)
    ok &= np.isfinite(r)
    with np.errstate(all="ignore"):
        x = np.log10(np.maximum(c, b) / g)
        chl = np.power(10.0, np.polynomial.polynomial.polyval(x, coefficients))
    turbid = ok & (r >= clear_red_below)
    flags[turbid] |= np.uint8(Flag.INVALID)
    return _settle(chl, ok & ~turbid, flags)


def suspended(rho: ArrayLike, fit: BandFit, *, saturation: float, add_offset: bool) -> Found:
    """Turbidity (FNU) or suspended matter (g/m³) of one band: A ρ/(1 − ρ/C), plus B where `add_offset`.

    ρ at or above ``saturation`` · C is no value.

    Source: Nechad et al. 2009 (turbidity), 2010 (doi 10.1016/j.rse.2009.11.022).
    """
    (r,) = _arrays(rho)
    ok, flags = _start(r)
    full = ok & (r >= saturation * fit.c)
    flags[full] |= np.uint8(Flag.SATURATED)
    ok &= ~full
    with np.errstate(all="ignore"):
        values = fit.a * r / (1 - r / fit.c) + (fit.b if add_offset else 0.0)
    return _settle(values, ok, flags)


def turbidity_dogliotti(red: ArrayLike, nir: ArrayLike, rule: DogliottiRule) -> Found:
    """Turbidity (浊度), FNU: the red band below ρ red 0.05, the near infrared above 0.07, linear between.

    Formula: T = A ρ/(1 − ρ/C) of each band; between w = (ρ red − 0.05)/0.02, T = (1 − w) T red + w T nir.

    Source: Dogliotti et al. 2015, doi 10.1016/j.rse.2014.09.020. Constants of 645 and 859 nm.
    """
    r, n = _arrays(red, nir)
    low, high = rule.blend
    ok, flags = _start(r)
    w = np.clip((r - low) / (high - low), 0.0, 1.0)
    need = w > 0
    ok &= ~need | (np.isfinite(n) & (n >= 0))
    flags[need & np.isfinite(n) & (n < 0)] |= np.uint8(Flag.NEGATIVE)
    with np.errstate(all="ignore"):
        t_red = rule.red.a * r / (1 - r / rule.red.c)
        t_nir = rule.nir.a * n / (1 - n / rule.nir.c)
    full = ok & need & (n >= rule.nir.c)
    flags[full] |= np.uint8(Flag.SATURATED)
    ok &= ~full
    flags[ok & need & (w < 1)] |= np.uint8(Flag.BLENDED)
    values = np.where(w == 0, t_red, np.where(w == 1, t_nir, (1 - w) * t_red + w * t_nir))
    return _settle(values, ok, flags)


def spm_novoa(
    red: ArrayLike,
    nir: ArrayLike,
    red_fit: BandFit,
    nir_fit: BandFit,
    bounds: tuple[float, float],
    *,
    add_offset: bool,
) -> Found:
    """Suspended matter (悬浮物), g/m³: Nechad of the red band below the lower bound, NIR above the upper one.

    Between them weights by ln ρ red: α = ln(upper/ρ)/ln(upper/lower), S = α S red + (1 − α) S nir. Without the
    saturation mask of a single band: the switch is there to avoid it.

    Source: Novoa et al. 2017, doi 10.3390/rs9010061 (bounds of the Gironde 0.08–0.12, Bourgneuf 0.046–0.09).
    """
    r, n = _arrays(red, nir)
    low, high = bounds
    ok, flags = _start(r)
    need = r > low
    ok &= ~need | (np.isfinite(n) & (n >= 0))
    flags[need & np.isfinite(n) & (n < 0)] |= np.uint8(Flag.NEGATIVE)
    with np.errstate(all="ignore"):
        s_red = red_fit.a * r / (1 - r / red_fit.c) + (red_fit.b if add_offset else 0.0)
        s_nir = nir_fit.a * n / (1 - n / nir_fit.c) + (nir_fit.b if add_offset else 0.0)
        alpha = np.clip(np.log(high / r) / np.log(high / low), 0.0, 1.0)
    full = ok & ((need & (n >= nir_fit.c)) | ((r < high) & (r >= red_fit.c)))
    flags[full] |= np.uint8(Flag.SATURATED)
    ok &= ~full
    flags[ok & need & (r < high)] |= np.uint8(Flag.BLENDED)
    values = np.where(r <= low, s_red, np.where(r >= high, s_nir, alpha * s_red + (1 - alpha) * s_nir))
    return _settle(values, ok, flags)


def baseline_height(
    left: ArrayLike, middle: ArrayLike, right: ArrayLike, wavelengths: tuple[float, float, float]
) -> Found:
    """Height of the middle band above the line through its neighbours: FAI and AFAI.

    Formula: R_m − (R_l + (R_r − R_l)(λ_m − λ_l)/(λ_r − λ_l)), dimensionless. Rayleigh-corrected reflectance, which may
    be slightly negative over clear water: no value is refused for that.

    Source: Hu 2009, doi 10.1016/j.rse.2009.05.012 (FAI); Wang & Hu 2016, doi 10.1016/j.rse.2016.04.019 (AFAI).

    Examples
    --------
    >>> float(baseline_height(0.02, 0.10, 0.04, (660, 865, 1610))[0].round(6))
    0.075684
    """
    a, m, b = _arrays(left, middle, right)
    at = (wavelengths[1] - wavelengths[0]) / (wavelengths[2] - wavelengths[0])
    values = m - (a + (b - a) * at)
    return values, np.zeros(values.shape, dtype=np.uint8)


def secchi_lee(
    rrs: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike], rule: SecchiRule, sun_zenith_deg: float
) -> Found:
    """Secchi depth (透明度), m, from Rrs at 443, 490, 560 and 665 nm, 1/sr.

    Formula: QAA (v5 where Rrs red < 0.0015, else v6) gives a and b_b; K_d = (1 + 0.005 θ) a + (1 − 0.265 b_bw/b_b) ·
    4.259 (1 − 0.52 e^(−10.8 a)) b_b; K_d(530) = 0.20 K_d(490) + 0.75 K_d(560); Z = ln(|0.14 − Rrs|/0.013)/(2.5 min K_d)
    with the Rrs of the band of the least K_d (560 nm for 530).

    Parameters
    ----------
    sun_zenith_deg : float, degrees
        θ, the sun's zenith angle.

    Source: Lee et al. 2015, doi 10.1016/j.rse.2015.08.002; 2016, doi 10.1016/j.rse.2016.02.033.
    """
    bands = np.stack(_arrays(*rrs))
    ok, flags = _start(*bands, strict=True)
    nm = np.asarray(rule.reference_nm)
    aw, bbw = (
        np.asarray(v).reshape(4, *([1] * (bands.ndim - 1))) for v in (rule.water_absorption, rule.water_backscatter)
    )
    g0, g1 = rule.g
    with np.errstate(all="ignore"):
        below = bands / (rule.below_surface[0] + rule.below_surface[1] * bands)
        u = (-g0 + np.sqrt(g0 * g0 + 4 * g1 * below)) / (2 * g1)
        # Reference band: 555 nm in clear water, 670 nm in turbid water.
        chi = np.log10((below[0] + below[1]) / (below[2] + 5 * below[3] * below[3] / below[1]))
        a_555 = aw[2] + 10.0 ** (rule.v5[0] + rule.v5[1] * chi + rule.v5[2] * chi * chi)
        a_670 = aw[3] + rule.v6[0] * (bands[3] / (bands[0] + bands[1])) ** rule.v6[1]
        clear = bands[3] < rule.red_from
        particles = np.where(clear, u[2] * a_555 / (1 - u[2]) - bbw[2], u[3] * a_670 / (1 - u[3]) - bbw[3])
        reference = np.where(clear, nm[2], nm[3])
        slope = rule.slope[0] * (1 - rule.slope[1] * np.exp(-rule.slope[2] * below[0] / below[2]))
        bb = np.stack([particles * (reference / nm[k]) ** slope + bbw[k] for k in range(4)])
        a = (1 - u) * bb / u
        k0, k1, k2, k3, k4 = rule.kd
        kd = (1 + k0 * sun_zenith_deg) * a + (1 - k4 * bbw / bb) * k1 * (1 - k2 * np.exp(-k3 * a)) * bb
        kd_530 = rule.kd_530[0] * kd[1] + rule.kd_530[1] * kd[2]
        every = np.concatenate([kd, kd_530[np.newaxis]])
        place = np.argmin(np.where(np.isfinite(every), every, np.inf), axis=0)
        least = np.take_along_axis(every, place[np.newaxis], axis=0)[0]
        seen = np.take_along_axis(bands, np.where(place == 4, 2, place)[np.newaxis], axis=0)[0]
        z = np.log(np.abs(rule.contrast[0] - seen) / rule.contrast[1]) / (rule.contrast[2] * least)
    fits = (particles >= 0) & (least > 0) & np.isfinite(z) & (z > 0)
    flags[ok & ~fits] |= np.uint8(Flag.INVALID)
    return _settle(z, ok & fits, flags)
