"""Optical indices of water quality (水质遥感指数): each formula states the reflectance that it needs and refuses any other.

Indices and relative levels are what a scene alone can say. Published coefficients read chlorophyll or sediment wrong by a
factor of 1.5 to 3 without local matchups, so that an estimate here always says ``calibrated = False``; concentrations come
from `analyses.water.quality.calibration`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.quality.water_optics import (
    Flag,
    baseline_height,
    chl_gons,
    chl_mishra,
    chl_moses,
    chl_oc3,
    ndci,
    secchi_lee,
    spm_novoa,
    suspended,
    turbidity_dogliotti,
)
from spatial.catalog import Text
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from analyses.water.quality.rules import OpticalRule, OpticalRules, ReflectanceKind, Sensor
    from analyses.water.quality.water_optics import Found

__all__ = ["ALGORITHMS", "REFLECTANCES", "Algorithm", "Estimate", "Spectrum", "compute", "ndci_level"]

REFLECTANCES: dict[str, Text] = {
    "rho_w": Text(zh="离水反射率 ρw", en="water-leaving reflectance ρw"),
    "rrs": Text(zh="遥感反射率 Rrs", en="remote-sensing reflectance Rrs"),
    "rho_rc": Text(zh="瑞利校正反射率", en="Rayleigh-corrected reflectance"),
    "rho_s": Text(
        zh="陆地大气校正地表反射率（如 Sen2Cor L2A）", en="surface reflectance of a land correction (Sen2Cor L2A)"
    ),
    "toa": Text(zh="表观反射率（大气顶）", en="top-of-atmosphere reflectance"),
}


@dataclass(frozen=True)
class Spectrum:
    """Reflectance by band name, with its declared kind (反射率类型) and sensor."""

    kind: ReflectanceKind
    sensor: Sensor
    bands: Mapping[str, NDArray[Any]]
    """Name (``red``, ``rededge1`` …) → array, NaN = no data; all of one shape."""
    sun_zenith_deg: float | None = None

    def as_kind(self, kind: ReflectanceKind) -> Spectrum:
        """The same light as ρw or Rrs (ρw = π Rrs), the only two that follow from each other without the atmosphere.

        Raises
        ------
        InvalidParameter
            For any other pair: that takes an atmospheric correction for water (ACOLITE, C2RCC, POLYMER …).

        Examples
        --------
        >>> s = Spectrum("rrs", "sentinel2", {"red": np.array([0.01])})
        >>> float(s.as_kind("rho_w").bands["red"][0].round(6))
        0.031416
        """
        if kind == self.kind:
            return self
        if {kind, self.kind} != {"rho_w", "rrs"}:
            raise InvalidParameter(
                f"不能把{REFLECTANCES[self.kind].zh}换算为{REFLECTANCES[kind].zh}；"
                "请用水体大气校正（ACOLITE、C2RCC、POLYMER 等）重新处理",
                f"{REFLECTANCES[self.kind].en} cannot become {REFLECTANCES[kind].en}; use an atmospheric correction for water "
                "(ACOLITE, C2RCC, POLYMER …)",
                parameter="reflectance",
                value=self.kind,
            )
        factor = np.pi if kind == "rho_w" else 1 / np.pi
        return Spectrum(kind, self.sensor, {n: b * factor for n, b in self.bands.items()}, self.sun_zenith_deg)


@dataclass(frozen=True)
class Estimate:
    """What a formula gives for every cell."""

    id: str
    values: NDArray[np.float32]
    """NaN where the formula does not hold."""
    flags: NDArray[np.uint8]
    """Bits of `analyses.water.quality.water_optics.Flag`."""
    unit: str
    reflectance: str
    source: str
    calibrated: bool
    notes: tuple[Text, ...]


@dataclass(frozen=True)
class Algorithm:
    """One formula: what it needs and how it is computed."""

    id: str
    title: Text
    is_index: bool
    """An index (指数) stands for itself; the others are uncalibrated estimates of a concentration."""
    bands: Mapping[str, tuple[str, ...]]
    """Sensor → bands that it reads; a sensor that lacks one is absent."""
    rule: Callable[[OpticalRules], OpticalRule]
    unit: str
    run: Callable[[Spectrum, OpticalRules, Mapping[str, Any]], tuple[Found, tuple[Text, ...]]]


def _nm(s: Spectrum, rules: OpticalRules, band: str) -> float:
    return rules.wavelengths.sensors[s.sensor][band]


def _present(s: Spectrum, band: str) -> str:
    """The band, or the broad NIR band where the narrow one lacks (baselines only: their wavelength is reckoned with)."""
    return "nir" if band == "nir08" and "nir08" not in s.bands and "nir" in s.bands else band


def _nir(s: Spectrum) -> str:
    return "nir08" if s.sensor == "sentinel2" else "nir"


def _run_ndci(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    return ndci(s.bands["red"], s.bands["rededge1"]), ()


def _run_mishra(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    index, why = ndci(s.bands["red"], s.bands["rededge1"])
    values, flags = chl_mishra(index, rules.mishra)
    return (values, flags | why), (
        Text(
            zh=f"NDCI < {rules.mishra.monotone_from:g} 处不单调，已标记",
            en=f"not monotone below NDCI {rules.mishra.monotone_from:g}: flagged",
        ),
    )


def _run_gons(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    return chl_gons(s.bands["red"], s.bands["rededge1"], s.bands["rededge3"], rules.gons), ()


def _run_moses(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    band = options.get("nir_band", "rededge2")
    if band not in {"rededge2", "rededge3"}:
        raise InvalidParameter(
            f"Moses 三波段的第三波段应为 rededge2 或 rededge3，得到 {band}",
            f"the third band of Moses must be rededge2 or rededge3, found {band}",
            parameter="nir_band",
        )
    nm = _nm(s, rules, band)
    note = Text(
        zh=f"公式拟合于 {rules.moses.fitted_nm:g} nm，本传感器用 {nm:g} nm 代替",
        en=f"fitted at {rules.moses.fitted_nm:g} nm; this sensor has {nm:g} nm instead",
    )
    return chl_moses(s.bands["red"], s.bands["rededge1"], s.bands[band], nm, rules.moses), (note,)


def _run_oc3(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    found = chl_oc3(
        s.bands["coastal"],
        s.bands["blue"],
        s.bands["green"],
        s.bands["red"],
        rules.oc3.coefficients[s.sensor],
        rules.oc3.clear_red_below,
    )
    return found, (Text(zh="只用于清洁水体", en="for clear water only"),)


def _run_dogliotti(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    rule = rules.dogliotti
    nm = _nm(s, rules, "red")
    note = Text(
        zh=f"{rule.red.nm:g}/{rule.nir.nm:g} nm 的常数用于 {nm:g} nm：红波段比 Nechad 低约 18–19 %",
        en=f"constants of {rule.red.nm:g} and {rule.nir.nm:g} nm at {nm:g} nm: the red branch reads 18–19 % below Nechad",
    )
    return turbidity_dogliotti(s.bands["red"], s.bands[_nir(s)], rule), (note,)


def _band(s: Spectrum, options: Mapping[str, Any]) -> str:
    band = options.get("band", "red")
    if band not in {"red", "nir"}:
        raise InvalidParameter(
            f"band 应为 red 或 nir，得到 {band}", f"band must be red or nir, found {band}", parameter="band"
        )
    return "red" if band == "red" else _nir(s)


def _offset_note(added: bool) -> Text:
    return Text(
        zh="已加截距 B" if added else "未加截距 B", en="offset B was added" if added else "offset B was not added"
    )


def _run_turbidity(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    rule, band = rules.nechad_turbidity, _band(s, options)
    fit = rule.at(_nm(s, rules, band))
    return suspended(s.bands[band], fit, saturation=rule.saturation, add_offset=False), ()


def _run_spm(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    rule, band = rules.nechad_spm, _band(s, options)
    added = bool(options.get("add_offset", rule.offset_added))
    fit = rule.at(_nm(s, rules, band))
    return suspended(s.bands[band], fit, saturation=rule.saturation, add_offset=added), (_offset_note(added),)


def _run_novoa(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    rule = rules.nechad_spm
    estuary = options.get("bounds", "gironde")
    if estuary not in rules.novoa.bounds:
        raise InvalidParameter(
            f"bounds 应为 {'、'.join(rules.novoa.bounds)} 之一，得到 {estuary}",
            f"bounds must be one of {', '.join(rules.novoa.bounds)}, found {estuary}",
            parameter="bounds",
        )
    added = bool(options.get("add_offset", rule.offset_added))
    red, nir = rule.at(_nm(s, rules, "red")), rule.at(_nm(s, rules, _nir(s)))
    bounds = rules.novoa.bounds[estuary]
    return spm_novoa(s.bands["red"], s.bands[_nir(s)], red, nir, bounds, add_offset=added), (_offset_note(added),)


def _run_baseline(which: str) -> Callable[[Spectrum, OpticalRules, Mapping[str, Any]], tuple[Found, tuple[Text, ...]]]:
    def run(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
        names = [_present(s, band) for band in (rules.fai if which == "fai" else rules.afai).bands[s.sensor]]
        a, m, b = names
        where = (_nm(s, rules, a), _nm(s, rules, m), _nm(s, rules, b))
        values, flags = baseline_height(s.bands[a], s.bands[m], s.bands[b], where)
        if "nir08" in s.bands or "nir" not in names or s.sensor != "sentinel2":
            return (values, flags), ()
        note = Text(
            zh=f"用 {_nm(s, rules, 'nir'):g} nm（B8）代替 865 nm（B8A）",
            en=f"{_nm(s, rules, 'nir'):g} nm (B8) in the place of 865 nm (B8A)",
        )
        return (values, flags | np.uint8(Flag.SUBSTITUTE_BAND)), (note,)

    return run


def _run_secchi(s: Spectrum, rules: OpticalRules, options: Mapping[str, Any]) -> tuple[Found, tuple[Text, ...]]:
    known = s.sun_zenith_deg is not None
    angle = s.sun_zenith_deg if s.sun_zenith_deg is not None else rules.secchi.sun_zenith_deg
    c, b, g, r = (s.bands[name] for name in rules.secchi.bands)
    note = Text(
        zh=f"太阳天顶角 {angle:g}°" + ("" if known else "（未给出，取规则文件的值）"),
        en=f"sun zenith angle {angle:g}°" + ("" if known else " (not given: that of the rule file)"),
    )
    return secchi_lee((c, b, g, r), rules.secchi, angle), (note,)


def _both(*sentinel: str) -> dict[str, tuple[str, ...]]:
    return {"sentinel2": sentinel, "landsat8": tuple("nir" if band == "nir08" else band for band in sentinel)}


ALGORITHMS: dict[str, Algorithm] = {
    a.id: a
    for a in (
        Algorithm(
            "ndci",
            Text(zh="NDCI", en="NDCI"),
            True,
            {"sentinel2": ("red", "rededge1")},
            lambda r: r.ndci,
            "1",
            _run_ndci,
        ),
        Algorithm(
            "fai",
            Text(zh="FAI", en="FAI"),
            True,
            _both("red", "nir08", "swir1"),
            lambda r: r.fai,
            "1",
            _run_baseline("fai"),
        ),
        Algorithm(
            "afai",
            Text(zh="AFAI", en="AFAI"),
            True,
            {"sentinel2": ("red", "rededge2", "nir08")},
            lambda r: r.afai,
            "1",
            _run_baseline("afai"),
        ),
        Algorithm(
            "chl_mishra",
            Text(zh="叶绿素 a（Mishra 2012）", en="chlorophyll a (Mishra 2012)"),
            False,
            {"sentinel2": ("red", "rededge1")},
            lambda r: r.mishra,
            "mg/m3",
            _run_mishra,
        ),
        Algorithm(
            "chl_gons",
            Text(zh="叶绿素 a（Gons 2005）", en="chlorophyll a (Gons 2005)"),
            False,
            {"sentinel2": ("red", "rededge1", "rededge3")},
            lambda r: r.gons,
            "mg/m3",
            _run_gons,
        ),
        Algorithm(
            "chl_moses",
            Text(zh="叶绿素 a（Moses 2012）", en="chlorophyll a (Moses 2012)"),
            False,
            {"sentinel2": ("red", "rededge1", "rededge2", "rededge3")},
            lambda r: r.moses,
            "mg/m3",
            _run_moses,
        ),
        Algorithm(
            "chl_oc3",
            Text(zh="叶绿素 a（OC3）", en="chlorophyll a (OC3)"),
            False,
            _both("coastal", "blue", "green", "red"),
            lambda r: r.oc3,
            "mg/m3",
            _run_oc3,
        ),
        Algorithm(
            "turbidity_dogliotti",
            Text(zh="浊度（Dogliotti 2015）", en="turbidity (Dogliotti 2015)"),
            False,
            _both("red", "nir08"),
            lambda r: r.dogliotti,
            "FNU",
            _run_dogliotti,
        ),
        Algorithm(
            "turbidity_nechad",
            Text(zh="浊度（Nechad 2009）", en="turbidity (Nechad 2009)"),
            False,
            _both("red", "nir08"),
            lambda r: r.nechad_turbidity,
            "FNU",
            _run_turbidity,
        ),
        Algorithm(
            "spm_nechad",
            Text(zh="悬浮物（Nechad 2010）", en="suspended matter (Nechad 2010)"),
            False,
            _both("red", "nir08"),
            lambda r: r.nechad_spm,
            "g/m3",
            _run_spm,
        ),
        Algorithm(
            "spm_novoa",
            Text(zh="悬浮物（Novoa 2017）", en="suspended matter (Novoa 2017)"),
            False,
            _both("red", "nir08"),
            lambda r: r.novoa,
            "g/m3",
            _run_novoa,
        ),
        Algorithm(
            "secchi",
            Text(zh="透明度（Lee 2015）", en="Secchi depth (Lee 2015)"),
            False,
            _both("coastal", "blue", "green", "red"),
            lambda r: r.secchi,
            "m",
            _run_secchi,
        ),
    )
}
"""Formula id → what it needs. Coloured dissolved organic matter (CDOM) has none: no formula here is fit for turbid lakes."""


def compute(id: str, spectrum: Spectrum, rules: OpticalRules, **options: Any) -> Estimate:
    """Apply one formula to a spectrum of the reflectance that it needs.

    Parameters
    ----------
    id : str
        Key of `ALGORITHMS`.
    options
        ``nir_band`` (Moses), ``band`` red or nir (Nechad), ``add_offset`` (suspended matter), ``bounds`` (Novoa).

    Returns
    -------
    Estimate
        float32 values, never called a concentration: ``calibrated`` is False.

    Raises
    ------
    InvalidParameter
        Unknown formula or option, the wrong kind of reflectance, a band that the sensor or the scene lacks.
    QualityViolation
        Values outside the plausible range of a reflectance: digital numbers or percent, band by band.
    """
    algorithm = ALGORITHMS.get(id)
    if algorithm is None:
        raise InvalidParameter(
            f"没有公式 {id!r}，可用：{'、'.join(ALGORITHMS)}",
            f"no formula {id!r}; use one of {', '.join(ALGORITHMS)}",
            parameter="formula",
            allowed=list(ALGORITHMS),
        )
    rule = algorithm.rule(rules)
    if spectrum.kind != rule.reflectance:
        raise InvalidParameter(
            f"{algorithm.title.zh} 需要{REFLECTANCES[rule.reflectance].zh}，给的是{REFLECTANCES[spectrum.kind].zh}；"
            "请换用相应产品（ρw 与 Rrs 可互换），不要用别的代替",
            f"{algorithm.title.en} needs {REFLECTANCES[rule.reflectance].en}, given {REFLECTANCES[spectrum.kind].en}; use a "
            "product of that kind (ρw and Rrs convert into each other), nothing else will do",
            parameter="reflectance",
            value=spectrum.kind,
            allowed=[rule.reflectance],
        )
    needed = algorithm.bands.get(spectrum.sensor)
    if needed is None:
        raise InvalidParameter(
            f"{spectrum.sensor} 没有 {algorithm.title.zh} 所需的波段；可用的传感器：{'、'.join(algorithm.bands)}",
            f"{spectrum.sensor} lacks the bands of {algorithm.title.en}; sensors that have them: {', '.join(algorithm.bands)}",
            parameter="sensor",
            value=spectrum.sensor,
        )
    if id == "chl_moses":
        needed = ("red", "rededge1", options.get("nir_band", "rededge2"))
    if algorithm.is_index:
        needed = tuple(_present(spectrum, band) for band in needed)
    lacking = [band for band in needed if band not in spectrum.bands]
    if lacking:
        raise InvalidParameter(
            f"{algorithm.title.zh} 缺少波段 {'、'.join(lacking)}，场景有：{'、'.join(spectrum.bands)}",
            f"{algorithm.title.en} lacks the bands {', '.join(lacking)}; the scene has {', '.join(spectrum.bands)}",
            parameter="bands",
            missing=lacking,
        )
    _require_reflectance(spectrum, needed, rules)
    (values, flags), notes = algorithm.run(spectrum, rules, options)
    if not algorithm.is_index:
        notes = (
            *notes,
            Text(
                zh="未经本地率定的估计，只可比较高低，不是浓度",
                en="an estimate without local calibration: it ranks, it is no concentration",
            ),
        )
    return Estimate(
        id,
        values.astype(np.float32),
        flags,
        algorithm.unit,
        rule.reflectance,
        f"{rule.source} [{rule.tag}]",
        False,
        notes,
    )


def _require_reflectance(spectrum: Spectrum, needed: tuple[str, ...], rules: OpticalRules) -> None:
    """A scene in digital numbers or percent would give numbers that look right (NDCI does not even notice)."""
    limits = rules.masks.plausible
    for name in needed:
        values = np.asarray(spectrum.bands[name])
        known = values[np.isfinite(values)]
        if known.size and (known.min() < limits.min or known.max() > limits.max):
            raise QualityViolation(
                f"波段 {name} 的值为 {known.min():g}–{known.max():g}，不是 0–1 的反射率（允许 {limits.min:g}–{limits.max:g}）；"
                "请检查缩放系数与偏移（DN、百分数、Sentinel-2 的 −1000）",
                f"band {name} holds {known.min():g} to {known.max():g}, no reflectance of 0–1 (allowed {limits.min:g} to "
                f"{limits.max:g}); check scale and offset (digital numbers, percent, the −1000 of Sentinel-2)",
                parameter=name,
                range=[limits.min, limits.max],
            )


def ndci_level(values: NDArray[Any], rules: OpticalRules) -> NDArray[np.uint8]:
    """Relative level 1 … 6 of NDCI (相对等级), 0 = no value. It says high or low, not how much.

    Lower ends are closed: an NDCI of exactly 0 is of level 3.
    """
    known = np.isfinite(values)
    found = np.searchsorted(np.asarray(rules.ndci_levels.edges), np.where(known, values, 0.0), side="right") + 1
    return np.where(known, found, 0).astype(np.uint8)
