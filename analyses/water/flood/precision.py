"""Whether the terrain can tell the levels apart (精度判定): if not, the answer is 无法判定 with the reason, not a map."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analyses.water.flood.datum import known_offset
from analyses.water.flood.rules import DatumOffset, FloodRules, Terrain
from spatial.catalog import Text

__all__ = ["Verdict", "judge_precision"]


@dataclass(frozen=True)
class Verdict:
    """Whether the question can be answered, and why not."""

    decidable: bool
    difference_m: float | None
    """Smallest difference of levels looked at."""
    sigma_terrain_m: float
    sigma_m: float
    """Of depth: terrain and datum together."""
    reason: Text

    def row(self) -> dict[str, Any]:
        """One row of a table."""
        return {
            "verdict": {"zh": "可判定", "en": "decidable"}
            if self.decidable
            else {"zh": "无法判定", "en": "undecidable"},
            "decidable": self.decidable,
            "difference_m": self.difference_m,
            "sigma_terrain_m": self.sigma_terrain_m,
            "reason": self.reason.model_dump(),
        }


def judge_precision(
    levels_m: Sequence[float],
    gauge: Mapping[str, Any],
    terrain: Terrain,
    rules: FloodRules,
    *,
    offsets: Iterable[DatumOffset] | None = None,
    forecast: bool = False,
) -> Verdict:
    """Compare the error of the terrain with the smallest difference between the levels asked for.

    Formula: undecidable if σ_terrain > k · min |W_i − W_j|. One level is compared with the flood levels of its gauge that differ
    from it: a map that would look the same at 警戒 and 保证 tells nothing. The error of the datum is common to all levels and
    cancels in the difference; it enters σ = √(σ_terrain² + σ_datum²) of the probability.

    Parameters
    ----------
    offsets : iterable of DatumOffset, optional
        Offsets of the run; default: those of the rules.
    forecast : bool
        The level was forecast, not chosen: it may come to lie beside a flood level of the gauge, so that it is compared with
        those only that the terrain can tell from it; if there is none, it is undecidable as well.
    """
    asked = sorted(set(levels_m))
    if len(asked) == 1:
        lines = (gauge.get(name) for name in ("alert_m", "warning_m", "guarantee_m"))
        others = [float(v) for v in lines if v is not None and v == v and float(v) != asked[0]]
        gaps = [abs(v - asked[0]) for v in others]
        if forecast and gaps:
            apart = [g for g in gaps if terrain.sigma_m <= rules.precision.k * g]
            gaps = apart or [max(gaps)]
    else:
        gaps = [b - a for a, b in itertools.pairwise(asked)]
    gap = round(min(gaps), 6) if gaps else None
    known = known_offset(
        str(gauge.get("name")), gauge.get("datum"), terrain.datum, rules.offsets.list if offsets is None else offsets
    )
    sigma = (terrain.sigma_m**2 + (0.0 if known is None else known[1]) ** 2) ** 0.5
    if gap is None:
        reason = Text(
            zh=f"地形误差 {terrain.sigma_m:g} m；测站没有可比的特征水位",
            en=f"error of the terrain {terrain.sigma_m:g} m; the gauge has no other level to compare with",
        )
        return Verdict(True, None, terrain.sigma_m, sigma, reason)
    limit = rules.precision.k * gap
    if terrain.sigma_m > limit:
        reason = Text(
            zh=f"无法判定：地形 {terrain.layer} 的误差 {terrain.sigma_m:g} m 大于要区分的水位差 {gap:.2f} m"
            + ("" if rules.precision.k == 1 else f" × {rules.precision.k:g}")
            + "，两张图的差别只是噪声；请用更精确的地形，或拉大水位差",
            en=f"undecidable: the error {terrain.sigma_m:g} m of terrain {terrain.layer} exceeds the difference of levels to be "
            f"told apart, {gap:.2f} m; the maps would differ by noise only; use a better terrain or levels farther apart",
        )
        return Verdict(False, gap, terrain.sigma_m, sigma, reason)
    reason = Text(
        zh=f"地形误差 {terrain.sigma_m:g} m 不大于水位差 {gap:.2f} m",
        en=f"error of the terrain {terrain.sigma_m:g} m, difference of levels {gap:.2f} m",
    )
    return Verdict(True, gap, terrain.sigma_m, sigma, reason)
