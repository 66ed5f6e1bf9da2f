"""Ecosystem services (生态系统服务功能) by the model method: water conservation, annex rules, biodiversity, vegetation cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.compiled import compiled
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    import geopandas
    from numpy.typing import NDArray

    from analyses.ecology_rules import (
        AnnexRule,
        BiodiversityRule,
        EcologicalRules,
        EvapotranspirationRule,
        SandFixationRule,
    )

__all__ = [
    "annex_soil_conservation",
    "land_use_codes",
    "reserve_grades",
    "runoff_table",
    "sand_fixation",
    "vegetation_cover",
    "water_conservation",
]


def land_use_codes(values: NDArray[Any], *, layer: str = "land-use") -> NDArray[np.uint8]:
    """Land-use raster as codes: NaN → 0 (no value).

    Raises
    ------
    QualityViolation
        If a value is no whole number 0–255.

    Examples
    --------
    >>> land_use_codes(np.array([4.0, np.nan], np.float32)).tolist()
    [4, 0]
    """
    if values.dtype == np.uint8:
        return np.asarray(values)
    filled = np.where(np.isnan(values), 0, values)
    codes = filled.astype(np.uint8)
    if (codes != filled).any():
        raise QualityViolation(
            f"图层 {layer} 的地类代码应为 0–255 的整数（分类栅格只能用最近邻重采样）",
            f"layer {layer}: land-use codes must be whole numbers 0–255 (resample classes by nearest only)",
            layer=layer,
        )
    return np.asarray(codes)


def _cover(ndvi: Any, bare: Any, span: Any, per_step: Any, out: Any) -> None:
    for i in range(out.size):
        share = (np.float64(ndvi[i]) - bare) / span
        out[i] = np.rint(min(max(share, 0.0), 1.0) * per_step) / per_step if share == share else np.nan


def vegetation_cover(ndvi: NDArray[Any], limits: tuple[float, float], step: float) -> NDArray[np.float32]:
    """Vegetation cover (植被覆盖度): FVC = (NDVI − NDVI_soil)/(NDVI_veg − NDVI_soil), clipped to 0–1.

    Parameters
    ----------
    ndvi : float32, −1 to 1; NaN = no value
    limits : (float, float)
        NDVI of bare soil and of full vegetation (percentiles 5 and 95 of the province, or supplied).
    step : float
        The answer is a multiple of it.

    Returns
    -------
    float32, same shape, 0–1

    Raises
    ------
    InvalidParameter
        If the limits do not rise.

    Source: 像元二分模型 (dimidiate pixel model); Gutman & Ignatov (1998), doi 10.1080/014311698215333.

    Examples
    --------
    >>> vegetation_cover(np.array([0.1, 0.5, 0.95], np.float32), (0.2, 0.8), 1 / 1024).tolist()
    [0.0, 0.5, 1.0]
    """
    bare, full = limits
    if not -1 <= bare < full <= 1:
        raise InvalidParameter(
            f"NDVI 的裸土值、全覆盖值应满足 −1 ≤ 裸土 < 全覆盖 ≤ 1，得到 {bare:g}、{full:g}",
            f"NDVI limits must be −1 ≤ soil < vegetation ≤ 1, got {bare:g} and {full:g}",
            parameter="ndvi_limits",
        )
    values = np.ascontiguousarray(ndvi, dtype=np.float32)
    out = np.empty(values.shape, dtype=np.float32)
    compiled(_cover)(values.reshape(-1), bare, full - bare, 1 / step, out.reshape(-1))
    return out


def runoff_table(rules: EcologicalRules) -> NDArray[np.float64]:
    """Runoff coefficient α (0–1) by land-use code; float64 (256,), −1 for codes whose service is not counted."""
    table = np.full(256, -1.0)
    for code in rules.natural.codes:
        table[code] = rules.runoff.types[rules.runoff.land_use[code]] / 100
    return table


def _retained(
    rain: Any,
    other: Any,
    given: Any,
    land_use: Any,
    runoff: Any,
    c: Any,
    l0: Any,
    l1: Any,
    l3: Any,
    per_step: Any,
    out: Any,
) -> None:
    for i in range(out.size):
        code = land_use[i]
        p = np.float64(rain[i])
        t = np.float64(other[i])  # temperature, or evapotranspiration itself
        if code == 0 or p + t != p + t:
            out[i] = np.nan
            continue
        alpha = runoff[code]
        if alpha < 0.0:
            out[i] = 0.0
            continue
        if not given:
            t = np.float64(max(t, 0.0))
            power = p / (l0 + l1 * t + l3 * t * t * t)
            t = np.float64(min(p, p / np.sqrt(c + power * power)))
        out[i] = np.rint(max(p - p * alpha - t, 0.0) * per_step) / per_step


def water_conservation(
    rain: NDArray[Any],
    land_use: NDArray[np.uint8],
    runoff: NDArray[np.float64],
    rule: EvapotranspirationRule,
    step: float,
    *,
    temperature: NDArray[Any] | None = None,
    evapotranspiration: NDArray[Any] | None = None,
) -> NDArray[np.float32]:
    """Water conservation (水源涵养量) of each cell: depth P − R − ET, R = P·α, at least 0.

    ET from a layer, or by Turc: ET = P/√(0.9 + P²/L²) ≤ P, L = 300 + 25T + 0.05T³. The volume is the depth times the
    ellipsoidal area: 1 mm on 1 km² is 10³ m³.

    Parameters
    ----------
    rain : float32, mm a year
    land_use : uint8
        Code; 0 = no value. Cropland, towns and other land without a coefficient conserve nothing: 0.
    runoff : float64 (256,)
        By `runoff_table`.
    rule : EvapotranspirationRule
    step : float
    temperature : float32, ℃, annual mean
    evapotranspiration : float32, mm a year
        One of the two; the layer goes before the formula.

    Returns
    -------
    float32, same shape, mm, multiples of `step`; NaN = no value

    Raises
    ------
    InvalidParameter
        If neither temperature nor evapotranspiration is given.

    Source: 生态保护红线划定指南（2017）模型评价法; Turc (1954), Annales agronomiques 5: 491–595.
    """
    other = temperature if evapotranspiration is None else evapotranspiration
    if other is None:
        raise InvalidParameter(
            "水源涵养需要蒸散量或年平均气温，请提供其一",
            "water conservation needs evapotranspiration or mean annual temperature; supply one of them",
            parameter="evapotranspiration",
        )
    p = np.ascontiguousarray(rain, dtype=np.float32)
    t = np.ascontiguousarray(other, dtype=np.float32)
    codes = np.ascontiguousarray(land_use, dtype=np.uint8)
    out = np.empty(p.shape, dtype=np.float32)
    compiled(_retained)(
        p.reshape(-1), t.reshape(-1), evapotranspiration is not None, codes.reshape(-1), runoff, rule.constant,
        *rule.capacity, 1 / step, out.reshape(-1),
    )  # fmt: skip
    return out


def _annex(
    slope: Any, cover: Any, land_use: Any, counted: Any, slopes: Any, covers: Any, grades: Any, out: Any
) -> None:
    for i in range(out.size):
        total = slope[i] + cover[i]
        if land_use[i] == 0 or total != total:
            out[i] = np.nan
            continue
        out[i] = 1.0
        if counted[land_use[i]]:
            for k in range(grades.size):
                if slope[i] >= slopes[k] and cover[i] >= covers[k]:
                    out[i] = grades[k]
                    break


def annex_soil_conservation(
    slope: NDArray[Any], cover: NDArray[Any], land_use: NDArray[np.uint8], rule: AnnexRule
) -> NDArray[np.float32]:
    """Importance for soil conservation (水土保持) by slope and cover: 5 极重要, 3 重要, 1 一般.

    Formula: forest, shrub or grass with slope ≥ 25° and cover ≥ 80 % → 5; ≥ 15° and ≥ 60 % → 3; else 1.

    Parameters
    ----------
    slope : float32, degrees
    cover : float32, 0–1
    land_use : uint8
    rule : AnnexRule

    Returns
    -------
    float32, same shape, 1, 3 or 5; NaN = no value

    Source: 双评价指南（2020-01 试行）附录.
    """
    s = np.ascontiguousarray(slope, dtype=np.float32)
    v = np.ascontiguousarray(cover, dtype=np.float32)
    codes = np.ascontiguousarray(land_use, dtype=np.uint8)
    counted = np.zeros(256, dtype=np.bool_)
    counted[list(rule.land_use)] = True
    out = np.empty(s.shape, dtype=np.float32)
    rows = (
        np.array([getattr(r, name) for r in rule.rows], dtype=np.float64)
        for name in ("slope_from", "cover_from", "grade")
    )
    compiled(_annex)(s.reshape(-1), v.reshape(-1), codes.reshape(-1), counted, *rows, out.reshape(-1))
    return out


def sand_fixation(
    sand: NDArray[Any], gale_days: NDArray[Any], cover: NDArray[Any], rule: SandFixationRule
) -> NDArray[np.float32]:
    """Importance for sand fixation (防风固沙) by the annex: 5, 3 or 1; only for arid land.

    Parameters
    ----------
    sand : float, %
    gale_days : float, d
    cover : float, 0–1

    Returns
    -------
    float32, same shape; NaN = no value

    Raises
    ------
    InvalidParameter
        If the rule file says that it does not apply here (Hubei).

    Source: 双评价指南（2020-01 试行）附录.
    """
    if not rule.applies:
        raise InvalidParameter(
            "防风固沙规则只用于干旱、半干旱区；确需使用时把规则文件 sand_fixation_rule.applies 改为 true",
            "the sand-fixation rule is for arid land; to use it set sand_fixation_rule.applies to true in the rule file",
            parameter="sand_fixation",
        )
    sa, gale, co = (np.asarray(v, dtype=np.float32) for v in (sand, gale_days, cover))
    out = np.ones(sa.shape, dtype=np.float32)
    for row in reversed(rule.rows):
        out[(sa >= row.sand_from) & (gale >= row.gale_days_from) & (co >= row.cover_from)] = row.grade
    out[np.isnan(sa) | np.isnan(gale) | np.isnan(co)] = np.nan
    return out


def reserve_grades(frame: geopandas.GeoDataFrame, rule: BiodiversityRule, *, layer: str) -> tuple[Any, list[int]]:
    """Polygons of reserves with their importance, least first, so that burning them in order keeps the highest.

    Parameters
    ----------
    frame : GeoDataFrame, EPSG:4490
    rule : BiodiversityRule
        Field and the beginnings of its texts.
    layer : str
        For messages.

    Returns
    -------
    geometries : array of polygons
    grades : list of int
        Empty if there is no polygon of a known level: a centre point says nothing about the land around it.

    Raises
    ------
    QualityViolation
        If the field is missing.
    """
    if rule.field not in frame.columns:
        raise QualityViolation(
            f"图层 {layer} 缺少字段 {rule.field}，请补充",
            f"layer {layer} has no field {rule.field}; add it",
            layer=layer,
        )
    polygons = np.asarray(frame.geometry.geom_type.isin(["Polygon", "MultiPolygon"]), dtype=bool)
    found: list[tuple[int, Any]] = []
    for shape, text, areal in zip(frame.geometry.array, frame[rule.field].astype(str), polygons, strict=True):
        grade = next((g for start, g in rule.grades.items() if text.startswith(start)), None)
        if areal and grade is not None:
            found.append((grade, shape))
    found.sort(key=lambda pair: pair[0])
    shapes = np.empty(len(found), dtype=object)
    shapes[:] = [shape for _, shape in found]
    return shapes, [grade for grade, _ in found]
