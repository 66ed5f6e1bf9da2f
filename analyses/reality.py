"""Does the dual evaluation look like the province? Figures of a run against what is known of Hubei (结果与现实对照).

A figure is judged only where its data can carry a verdict: fine cells and no synthetic layer. Otherwise the figure and its
gap are told, and nothing is judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analyses.rules import Sourced
from spatial.catalog import Text
from spatial.errors import LayerDefinitionInvalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "RULE_FILE",
    "Check",
    "Figures",
    "RealityRules",
    "area_by_slope",
    "judge",
    "reality_rules",
    "unsuitable_percent",
]

RULE_FILE = "reality_checks"
Verdict = Literal["ok", "failed", "not judged"]
Percent = Field(ge=0, le=100)


class _Fit(Sourced):
    cell_m_max: float = Field(gt=0)


class _AtLeast(Sourced):
    percent_min: float = Percent


class _West(_AtLeast):
    prefectures: tuple[str, ...]
    counties: tuple[str, ...]


class _BySlope(Sourced):
    edges: tuple[float, ...]
    percent: tuple[float, ...]
    tolerance_points: float = Field(gt=0)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.percent) != len(self.edges) + 1 or list(self.edges) != sorted(set(self.edges)):
            raise ValueError("one more share than edges, and the edges rise")
        if abs(sum(self.percent) - 100) > 0.1:
            raise ValueError(f"the shares sum to {sum(self.percent):g}, not to 100")
        return self


class _OpenData(Sourced):
    unsuitable_percent_min: dict[str, float]
    unsuitable_percent_max: dict[str, float]
    towns_above_province_points: float


class RealityRules(BaseModel):
    """The rule file ``layers/rules/reality_checks.yml``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    title: Text
    fit_for_verdict: _Fit
    cropland_fit: _AtLeast
    towns_fit: _AtLeast
    west: _West
    cropland_by_slope: _BySlope
    open_data: _OpenData


def reality_rules(rules: Mapping[str, Any]) -> RealityRules:
    """The rules out of all rule files.

    Raises
    ------
    LayerDefinitionInvalid
        If the file is missing or wrong.
    """
    try:
        return RealityRules.model_validate(rules[RULE_FILE])
    except KeyError as error:
        raise LayerDefinitionInvalid(
            f"缺少规则文件 {RULE_FILE}.yml", f"rule file {RULE_FILE}.yml is missing", file=f"{RULE_FILE}.yml"
        ) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise LayerDefinitionInvalid(
            f"规则文件 {RULE_FILE}.yml 的 {place} 有误：{first['msg']}",
            f"rule file {RULE_FILE}.yml: {place}: {first['msg']}",
            file=f"{RULE_FILE}.yml",
        ) from error


@dataclass(frozen=True)
class Figures:
    """What was measured on a run; None where an input was missing.

    Attributes
    ----------
    cell_m : float
        Side of a cell, m.
    land_use_synthetic : bool
    cropland_fit, towns_fit : float or None
        % of present cropland and built-up land in suitable or moderately suitable land.
    unsuitable : mapping
        Code → % of land unsuitable for towns, without water surfaces: prefectures, counties and ``province``.
    west : float or None
        The same for west Hubei together.
    by_slope : tuple of float or None
        % of cropland by slope class.
    settlements_fit : float or None
        % of settlement points in suitable or moderately suitable land.
    province_fit : float or None
        % of the province there.
    names : mapping
        Code → name of a unit.
    """

    cell_m: float
    land_use_synthetic: bool
    cropland_fit: float | None = None
    towns_fit: float | None = None
    unsuitable: Mapping[str, float] = field(default_factory=dict)
    west: float | None = None
    by_slope: tuple[float, ...] | None = None
    settlements_fit: float | None = None
    province_fit: float | None = None
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison."""

    id: str
    title: Text
    value: float | None
    """%, or points for a difference."""
    expected: str
    gap: float | None
    """How far inside (+) or outside (−) the bound, in points."""
    verdict: Verdict
    note: Text
    source: str


def area_by_slope(
    slope: NDArray[np.float32],
    use: NDArray[Any],
    areas: NDArray[np.float64],
    codes: Sequence[int],
    edges: Sequence[float],
) -> NDArray[np.float64]:
    """m² of the land-use codes by slope class; a slope on an edge belongs to the class below.

    Parameters
    ----------
    slope : float32 (rows, cols), degrees, NaN = no data
    use : (rows, cols), land-use codes
    areas : float64 (rows,), m² of a cell
    codes : sequence of int
        Land use that counts.
    edges : sequence of float, degrees, rising

    Examples
    --------
    >>> slope = np.float32([[0, 2, 2.5], [30, np.nan, 1]])
    >>> area_by_slope(slope, np.array([[1, 1, 1], [2, 1, 9]]), np.array([10.0, 20.0]), (1, 2), (2, 6, 15, 25)).tolist()
    [20.0, 10.0, 0.0, 0.0, 20.0]
    """
    inside = np.isin(use, list(codes)) & ~np.isnan(slope)
    number = np.searchsorted(np.asarray(edges, dtype=np.float32), slope[inside], side="left")
    weight = np.broadcast_to(areas[:, np.newaxis], slope.shape)[inside]
    return np.asarray(np.bincount(number, weights=weight, minlength=len(edges) + 1), dtype=np.float64)


def unsuitable_percent(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """% of the land (water surfaces left out) of these units that is unsuitable; None without land."""
    water = sum(float(row.get("water_surface_km2") or 0) for row in rows)
    land = sum(float(row["assessed_km2"]) for row in rows) - water
    return 100 * (sum(float(row["unsuitable_km2"]) for row in rows) - water) / land if land > 0 else None


def judge(figures: Figures, rules: RealityRules) -> list[Check]:
    """Every check in order; a figure whose data cannot carry a verdict, or that is missing, is «not judged»."""
    fine = figures.cell_m <= rules.fit_for_verdict.cell_m_max
    real = fine and not figures.land_use_synthetic
    why = _why(figures, rules, fine)
    return [
        _least("cropland-fit", rules.cropland_fit, figures.cropland_fit, real, why),
        _least("towns-fit", rules.towns_fit, figures.towns_fit, real, why),
        _least("west", rules.west, figures.west, fine, why),
        *_by_slope(figures, rules.cropland_by_slope, real, why),
        *_open_data(figures, rules.open_data, fine),
    ]


def _why(figures: Figures, rules: RealityRules, fine: bool) -> Text:
    parts_zh, parts_en = [], []
    if not fine:
        most = rules.fit_for_verdict.cell_m_max
        parts_zh.append(f"像元约 {figures.cell_m:.0f} m，大于 {most:g} m")
        parts_en.append(f"cells of about {figures.cell_m:.0f} m exceed {most:g} m")
    if figures.land_use_synthetic:
        parts_zh.append("土地利用为合成数据")
        parts_en.append("land use is synthetic")
    return Text(zh="不判定：" + "，".join(parts_zh or ["—"]), en="not judged: " + ", ".join(parts_en or ["—"]))


_MISSING = Text(zh="缺少输入，未计算", en="an input is missing: not computed")
_JUDGED = Text(zh="已判定", en="judged")


def _check(
    id: str,
    title: Text,
    value: float | None,
    bound: float,
    sign: int,
    unit: str,
    judged: bool,
    why: Text,
    rule: Sourced,
) -> Check:
    expected = f"{'≥' if sign > 0 else '≤'} {bound:g} {unit}"
    if value is None:
        return Check(id, title, None, expected, None, "not judged", _MISSING, rule.source)
    gap = round(sign * (value - bound), 2)
    verdict: Verdict = "not judged" if not judged else "ok" if gap >= 0 else "failed"
    return Check(id, title, round(value, 2), expected, gap, verdict, _JUDGED if judged else why, rule.source)


def _least(id: str, rule: _AtLeast, value: float | None, judged: bool, why: Text) -> Check:
    return _check(id, rule.title, value, rule.percent_min, 1, "%", judged, why, rule)


def _by_slope(figures: Figures, rule: _BySlope, judged: bool, why: Text) -> list[Check]:
    low = (0.0, *rule.edges)
    found = []
    for k, expected in enumerate(rule.percent):
        span = f"{low[k]:g}–{rule.edges[k]:g}°" if k < len(rule.edges) else f"> {low[k]:g}°"
        title = Text(zh=f"{rule.title.zh} {span}", en=f"{rule.title.en}, {span}")
        said = f"{expected:g} ± {rule.tolerance_points:g} %"
        if figures.by_slope is None:
            found.append(Check(f"cropland-slope-{k + 1}", title, None, said, None, "not judged", _MISSING, rule.source))
            continue
        value = figures.by_slope[k]
        gap = round(rule.tolerance_points - abs(value - expected), 2)
        verdict: Verdict = "not judged" if not judged else "ok" if gap >= 0 else "failed"
        note = _JUDGED if judged else why
        found.append(Check(f"cropland-slope-{k + 1}", title, round(value, 2), said, gap, verdict, note, rule.source))
    return found


def _open_data(figures: Figures, rule: _OpenData, fine: bool) -> list[Check]:
    """Bounds for coarse open data; fine data have the stricter checks above."""
    why = Text(zh="不判定：此界只用于开放粗数据", en="not judged: a bound for coarse open data")
    found = []
    for sign, bounds in ((1, rule.unsuitable_percent_min), (-1, rule.unsuitable_percent_max)):
        for code, bound in bounds.items():
            name = figures.names.get(code, code)
            title = Text(zh=f"{name}不适宜城镇建设的比例", en=f"{name} ({code}): share unsuitable for towns")
            value = figures.unsuitable.get(code)
            found.append(_check(f"unsuitable-{code}", title, value, bound, sign, "%", not fine, why, rule))
    both = figures.settlements_fit is not None and figures.province_fit is not None
    above = (figures.settlements_fit or 0) - (figures.province_fit or 0) if both else None
    title = Text(zh="居民点在适宜和一般适宜区的比例高出全省", en="Settlements in suitable land, above the province, by")
    bound = rule.towns_above_province_points
    found.append(_check("towns-above-province", title, above, bound, 1, "点 points", not fine, why, rule))
    return found
