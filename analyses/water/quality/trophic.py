"""Trophic state of lakes and reservoirs (湖库营养状态): TLI(Σ) with the Chinese weights, Carlson's TSI beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spatial.catalog import Text
from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from analyses.water.quality.rules import Level, TrophicRules

__all__ = ["TrophicState", "carlson", "tli"]


@dataclass(frozen=True)
class TrophicState:
    """TLI(Σ) and how it came about."""

    value: float
    """TLI(Σ), unbounded, usually 0–100."""
    level: Level
    partial: dict[str, float]
    """Indicator → its own TLI."""
    weights: dict[str, float]
    """Indicator → weight used; they sum to 1."""
    missing: tuple[str, ...]
    notes: tuple[Text, ...]


def tli(values: Mapping[str, float | None], rules: TrophicRules) -> TrophicState:
    """Comprehensive trophic level index TLI(Σ) (综合营养状态指数).

    Formula: TLI_j = 10 (a_j + b_j ln x_j), W_j = r_j²/Σ r², TLI(Σ) = Σ W_j TLI_j. Without some indicators the weights of
    the others are divided by their sum, which the notes say.

    Parameters
    ----------
    values : mapping
        ``chl_a`` mg/m³, ``tp``, ``tn``, ``codmn`` mg/L, ``sd`` m; None or NaN = not measured. CODMn is the permanganate
        index; the dichromate COD (COD_Cr) is another quantity and has another name (``cod``), which is refused.

    Raises
    ------
    InvalidParameter
        An indicator that TLI does not have, or too few of them.
    QualityViolation
        A value that is not positive or not plausible in its unit (phosphorus in µg/L, say).

    Source: 总站生字〔2001〕090 号.

    Examples
    --------
    >>> import yaml, pathlib
    >>> from analyses.water.quality.rules import trophic_rules
    >>> text = pathlib.Path("layers/rules/trophic_state.yml").read_text("utf-8")
    >>> rules = trophic_rules({"trophic_state": yaml.safe_load(text)})
    >>> state = tli({"chl_a": 10.0, "tp": 0.05, "tn": 1.0, "sd": 1.0, "codmn": 4.0}, rules)
    >>> round(state.value, 3), state.level.title.zh
    (48.018, '中营养')
    """
    known = rules.tli.by_id
    wrong = sorted(set(values) - set(known))
    if wrong:
        raise InvalidParameter(
            f"TLI 没有指标 {'、'.join(wrong)}，应为 {'、'.join(known)}（codmn 为高锰酸盐指数，不是化学需氧量）",
            f"TLI has no indicator {', '.join(wrong)}; use {', '.join(known)} (codmn is the permanganate index, not COD)",
            parameter="indicators",
            allowed=list(known),
        )
    given = {name: float(v) for name, v in values.items() if v is not None and not math.isnan(v)}
    if len(given) < rules.tli.least_indicators:
        raise InvalidParameter(
            f"TLI(Σ) 至少需要 {rules.tli.least_indicators} 项指标，只有 {len(given)} 项（{'、'.join(given) or '无'}）",
            f"TLI(Σ) needs at least {rules.tli.least_indicators} indicators, found {len(given)} ({', '.join(given) or 'none'})",
            parameter="indicators",
        )
    partial: dict[str, float] = {}
    for name, value in given.items():
        row = known[name]
        if not row.plausible.min <= value <= row.plausible.max:
            raise QualityViolation(
                f"{row.title.zh} = {value:g} 不在 {row.plausible.min:g}–{row.plausible.max:g} {row.unit} 内，请检查单位",
                f"{row.title.en} = {value:g} is not within {row.plausible.min:g} to {row.plausible.max:g} {row.unit}; "
                "check the unit",
                parameter=name,
                value=value,
                expected_unit=row.unit,
            )
        partial[name] = 10 * (row.a + row.b * math.log(value))
    total = sum(known[name].r ** 2 for name in partial)
    weights = {name: known[name].r ** 2 / total for name in partial}
    value = math.fsum(weights[name] * partial[name] for name in partial)
    missing = tuple(name for name in known if name not in partial)
    notes: tuple[Text, ...] = ()
    if missing:
        titles = [known[name].title for name in missing]
        notes = (
            Text(
                zh=f"缺 {'、'.join(t.zh for t in titles)}，权重已在其余各项上归一",
                en=f"without {', '.join(t.en.lower() for t in titles)}: weights renormalised over the others",
            ),
        )
    # A value that is 50 but for the last bit of a sum is 50.
    return TrophicState(value, rules.classes.level(round(value, 9)), partial, weights, missing, notes)


def carlson(values: Mapping[str, float | None], rules: TrophicRules) -> dict[str, float]:
    """Carlson's trophic state index of each indicator given (for comparison with foreign literature).

    Parameters
    ----------
    values : mapping
        ``sd`` m, ``chl_a`` mg/m³, ``tp`` **µg/L** (not mg/L as in TLI).

    Examples
    --------
    >>> import yaml, pathlib
    >>> from analyses.water.quality.rules import trophic_rules
    >>> text = pathlib.Path("layers/rules/trophic_state.yml").read_text("utf-8")
    >>> rules = trophic_rules({"trophic_state": yaml.safe_load(text)})
    >>> carlson({"sd": 1.0}, rules)
    {'sd': 60.0}
    """
    found: dict[str, float] = {}
    for row in rules.carlson.indicators:
        value = values.get(row.id)
        if value is None or math.isnan(value):
            continue
        if value <= 0:
            raise QualityViolation(
                f"{row.id} = {value:g} 应为正数（{row.unit}）", f"{row.id} = {value:g} must be positive ({row.unit})"
            )
        found[row.id] = row.a + row.b * math.log(value)
    return found
