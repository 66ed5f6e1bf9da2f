"""Class of surface water (地表水水质类别) by its worst indicator: GB 3838-2002 over station data.

Water temperature, total nitrogen and faecal coliform enter no class; the total nitrogen of a lake is reported beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from spatial.catalog import Text
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from analyses.water.quality.station_rules import Indicator, SurfaceWaterRules

__all__ = [
    "BELOW_FIVE",
    "CLASSES",
    "COLOURS",
    "WaterClass",
    "classify",
    "drinking_water_faults",
    "in_unit",
    "target_share",
]

BELOW_FIVE = 6
"""Code of 劣Ⅴ类: worse than class V."""

CLASSES: dict[int, Text] = {
    1: Text(zh="Ⅰ类", en="class I"),
    2: Text(zh="Ⅱ类", en="class II"),
    3: Text(zh="Ⅲ类", en="class III"),
    4: Text(zh="Ⅳ类", en="class IV"),
    5: Text(zh="Ⅴ类", en="class V"),
    BELOW_FIVE: Text(zh="劣Ⅴ类", en="worse than class V"),
}
COLOURS: dict[int, str] = {1: "#cce6ff", 2: "#3399ff", 3: "#33cc33", 4: "#ffff33", 5: "#ff9900", BELOW_FIVE: "#ff0000"}
"""Usual colours of the classes on Chinese maps."""


@dataclass(frozen=True)
class WaterClass:
    """Class of one sample or mean, and how it came about."""

    code: int
    """1–5, 6 = 劣Ⅴ."""
    worst: tuple[str, ...]
    """Indicators that have this class (none where the class is I)."""
    by_indicator: dict[str, int]
    beside: dict[str, int]
    """Class by indicators that do not count (total nitrogen of a lake, faecal coliform), for information."""
    exceeds: dict[str, float]
    """Indicator → times over the limit of class III (超标倍数), where it is worse than III."""
    missing: tuple[str, ...]
    """Indicators that count, have limits, and were not measured."""
    notes: tuple[Text, ...] = field(default=())

    @property
    def title(self) -> Text:
        """Name of the class."""
        return CLASSES[self.code]


def in_unit(indicator: str, value: float, unit: str | None, rules: SurfaceWaterRules) -> float:
    """A value in the unit of the limits.

    ``µg/L`` becomes mg/L; a value given as the ion (``mg/L as NH4``, ``mg/L as PO4``) becomes one of the element.

    Raises
    ------
    InvalidParameter
        For no unit, an unknown one, or one of another quantity (``mg/L as NO3`` is no ammonia nitrogen).

    Examples
    --------
    >>> import yaml, pathlib
    >>> from analyses.water.quality.station_rules import surface_water_rules
    >>> text = pathlib.Path("layers/rules/surface_water_class.yml").read_text("utf-8")
    >>> rules = surface_water_rules({"surface_water_class": yaml.safe_load(text)})
    >>> in_unit("tp", 50.0, "µg/L", rules), round(in_unit("nh3n", 1.0, "mg/L as NH4", rules), 4)
    (0.05, 0.7765)
    """
    row = _indicator(indicator, rules)
    factor = rules.units.factors[row.unit].get(unit or "")
    if factor is None:
        factor = rules.units.as_ion.get(indicator, {}).get(unit or "")
    if factor is None:
        allowed = [*rules.units.factors[row.unit], *rules.units.as_ion.get(indicator, {})]
        raise InvalidParameter(
            f"{row.title.zh}（{indicator}）的单位为 {unit or '未声明'}，应为 {'、'.join(allowed)} 之一",
            f"the unit of {row.title.en.lower()} ({indicator}) is {unit or 'not declared'}; use one of {', '.join(allowed)}",
            parameter=indicator,
            value=unit,
            allowed=allowed,
        )
    # 50 · 0.001 is not 0.05 in binary; the limit itself must not fall on the wrong side.
    return round(value * factor, 12)


def _indicator(name: str, rules: SurfaceWaterRules) -> Indicator:
    row = rules.indicators.by_id.get(name)
    if row is None:
        raise InvalidParameter(
            f"GB 3838 规则没有指标 {name!r}，可用：{'、'.join(rules.indicators.by_id)}",
            f"the GB 3838 rules have no indicator {name!r}; use one of {', '.join(rules.indicators.by_id)}",
            parameter="indicators",
            allowed=list(rules.indicators.by_id),
        )
    return row


def _class_of(row: Indicator, value: float, limits: Sequence[float], saturation_percent: float | None) -> int:
    value = round(value, 12)
    if row.kind == "range":
        return 1 if limits[0] <= value <= limits[1] else BELOW_FIVE
    enough = row.saturation_percent_class_1
    if enough is not None and saturation_percent is not None and saturation_percent >= enough:
        return 1
    for k, limit in enumerate(limits, start=1):
        if (value >= limit) if row.kind == "at_least" else (value <= limit):
            return k
    return BELOW_FIVE


def classify(
    values: Mapping[str, float | None],
    rules: SurfaceWaterRules,
    *,
    lake: bool,
    oxygen_saturation_percent: float | None = None,
) -> WaterClass:
    """Class by the single-factor rule (单因子评价): that of the worst indicator.

    Parameters
    ----------
    values : mapping
        Indicator → value in the unit of the rules (see `in_unit`); None or NaN = not measured.
    lake : bool
        Lakes and reservoirs (湖库) have their own limits of total phosphorus; river or lake is never guessed.
    oxygen_saturation_percent : float, optional
        90 % and more is class I whatever the concentration.

    Raises
    ------
    InvalidParameter
        An unknown indicator, or none that counts.
    QualityViolation
        A value outside the plausible range of its unit.

    Source: GB 3838-2002 table 1; 环办〔2011〕22 号 (water temperature, TN and faecal coliform enter no class).

    Examples
    --------
    >>> import yaml, pathlib
    >>> from analyses.water.quality.station_rules import surface_water_rules
    >>> text = pathlib.Path("layers/rules/surface_water_class.yml").read_text("utf-8")
    >>> rules = surface_water_rules({"surface_water_class": yaml.safe_load(text)})
    >>> found = classify({"do": 6.2, "nh3n": 0.4, "tp": 0.06, "tn": 3.0}, rules, lake=True)
    >>> found.title.zh, found.worst, found.beside
    ('Ⅳ类', ('tp',), {'tn': 6})
    >>> classify({"do": 6.2, "nh3n": 0.4, "tp": 0.06, "tn": 3.0}, rules, lake=False).title.zh
    'Ⅱ类'
    """
    by_indicator: dict[str, int] = {}
    beside: dict[str, int] = {}
    exceeds: dict[str, float] = {}
    for name, value in values.items():
        row = _indicator(name, rules)
        if value is None or math.isnan(value):
            continue
        if not row.plausible.min <= value <= row.plausible.max:
            raise QualityViolation(
                f"{row.title.zh} = {value:g} 不在 {row.plausible.min:g}–{row.plausible.max:g} {row.unit} 内，请检查单位",
                f"{row.title.en} = {value:g} is not within {row.plausible.min:g} to {row.plausible.max:g} {row.unit}; "
                "check the unit",
                parameter=name,
                value=value,
                expected_unit=row.unit,
            )
        limits = row.limits_of(lake=lake)
        if not limits:
            continue  # total nitrogen of a river, water temperature: no limit in the table
        code = _class_of(row, value, limits, oxygen_saturation_percent if name == "do" else None)
        if not row.assessed:
            beside[name] = code
            continue
        by_indicator[name] = code
        if code > 3 and row.kind == "at_most":
            exceeds[name] = round(value / limits[2] - 1, 6)
    if not by_indicator:
        raise InvalidParameter(
            "没有可参评的指标（水温、总氮、粪大肠菌群不参评）",
            "no indicator that counts (water temperature, total nitrogen and faecal coliform do not)",
            parameter="indicators",
        )
    code = max(by_indicator.values())
    worst = tuple(name for name, k in by_indicator.items() if k == code) if code > 1 else ()
    counted = [row.id for row in rules.indicators.list if row.assessed]
    missing = tuple(name for name in counted if name not in by_indicator)
    notes: list[Text] = []
    if missing:
        notes.append(
            Text(
                zh=f"按现有 {len(by_indicator)} 项评价，未测 {len(missing)} 项",
                en=f"by {len(by_indicator)} indicators; {len(missing)} were not measured",
            )
        )
    if "tn" in beside:
        notes.append(
            Text(
                zh=f"总氮单独评价为{CLASSES[beside['tn']].zh}（不计入类别）",
                en=f"total nitrogen alone: {CLASSES[beside['tn']].en} (enters no class)",
            )
        )
    return WaterClass(code, worst, by_indicator, beside, exceeds, missing, tuple(notes))


def drinking_water_faults(
    found: WaterClass, supplementary: Mapping[str, float | None], rules: SurfaceWaterRules
) -> tuple[str, ...]:
    """What keeps a drinking-water source (饮用水水源地) from its standard: indicators, empty if it reaches it.

    Basic items must be of class III or better, supplementary ones (sulphate, chloride, nitrate as N, iron, manganese,
    mg/L) within their limits.
    """
    limits = rules.drinking_water.limits
    faults = [name for name, code in found.by_indicator.items() if code > rules.drinking_water.worst_class]
    for name, value in supplementary.items():
        if name not in limits:
            raise InvalidParameter(
                f"没有补充项目 {name!r}，可用：{'、'.join(limits)}",
                f"no supplementary item {name!r}; use one of {', '.join(limits)}",
                parameter="supplementary",
            )
        if value is not None and not math.isnan(value) and value > limits[name]:
            faults.append(name)
    return tuple(faults)


def target_share(sections: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Share of sections that reach their target (断面达标率) and of good water (优良比例, class I–III).

    Parameters
    ----------
    sections : rows with ``class`` (1–6 or None = not assessed) and ``target`` (1–5 or None)

    Returns
    -------
    dict
        ``sections``, ``assessed``, ``with_target``, ``reached``, ``reached_percent``, ``good``, ``good_percent``,
        ``worse_than_five``, ``not_assessed``. Sections without a class or target count in no share.

    Examples
    --------
    >>> target_share([{"class": 2, "target": 3}, {"class": 4, "target": 3}, {"class": None, "target": 2}])["reached_percent"]
    50.0
    """
    rows = list(sections)
    assessed = [row for row in rows if row.get("class") is not None]
    with_target = [row for row in assessed if row.get("target") is not None]
    for row in with_target:
        if row["target"] not in (1, 2, 3, 4, 5):
            raise InvalidParameter(
                f"目标水质应为 1–5（Ⅰ–Ⅴ类），得到 {row['target']!r}",
                f"a target is a class 1–5, found {row['target']!r}",
                parameter="target",
                value=row["target"],
            )
    reached = sum(row["class"] <= row["target"] for row in with_target)
    good = sum(row["class"] <= 3 for row in assessed)

    def percent(part: int, whole: int) -> float | None:
        return round(100 * part / whole, 2) if whole else None

    return {
        "sections": len(rows),
        "assessed": len(assessed),
        "not_assessed": len(rows) - len(assessed),
        "with_target": len(with_target),
        "reached": reached,
        "reached_percent": percent(reached, len(with_target)),
        "good": good,
        "good_percent": percent(good, len(assessed)),
        "worse_than_five": sum(row["class"] == BELOW_FIVE for row in assessed),
    }
