"""What the urban and the agricultural chains share: the factor list (因子清单), required factors, knock-out chains."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from analyses.chain import Chain, Station, knock_out
from analyses.evaluation_result import SUITABILITY
from analyses.rules import KnockOutRule, Sourced
from spatial.catalog import Text
from spatial.errors import InvalidParameter

__all__ = ["FactorSpec", "chain_of", "knock_outs", "require_factors"]


@dataclass(frozen=True, slots=True)
class FactorSpec:
    """One single factor (单项): its id in chains, its rule, and the input roles that it is computed from."""

    id: str
    rule: Sourced
    needs: tuple[str, ...]

    @property
    def title(self) -> Text:
        """Name of the factor."""
        return self.rule.title

    @property
    def unit(self) -> str | None:
        """Unit of the value that the chain grades."""
        return self.rule.unit

    @property
    def step(self) -> float | None:
        """What the value is rounded to, a power of two."""
        return self.rule.step


def require_factors(chain: str, needed: Sequence[str], available: Collection[str]) -> None:
    """Raise `InvalidParameter` naming the factors that a chain cannot do without."""
    lacking = [factor for factor in needed if factor not in available]
    if lacking:
        raise InvalidParameter(
            f"{chain} 缺少必需的单项：{'、'.join(lacking)}；没有它们无法查判别矩阵，请补充输入图层",
            f"{chain} lacks required factors: {', '.join(lacking)}; the judgement matrix cannot be read without them, "
            "supply their input layers",
            parameter="available",
            missing=lacking,
        )


def chain_of(id: str, title: Text, stations: Sequence[Station], classes: Mapping[int, int]) -> Chain:
    """A chain of suitability from its stations."""
    titles = {number: text for number, (_, text, _) in SUITABILITY.items()}
    return Chain(id=id, title=title, stations=tuple(stations), classes=dict(classes), class_titles=titles)


def knock_outs(
    id: str, title: Text, rule: KnockOutRule, available: Collection[str], classes: Mapping[int, int]
) -> Chain | None:
    """The knock-outs whose factors there are, as a chain of their own; None if there is none."""
    stations = [
        knock_out(row.id, row.factor, row.as_step(), row, title=row.title, unit=row.unit)
        for row in rule.rows
        if row.factor in available
    ]
    return chain_of(id, title, stations, classes) if stations else None
