"""Water surface along the chainage (沿程水面线) from levels at gauges.

Where rating curves exist the surface is linear in the quantile of the discharge between them (流量分位插值), elsewhere linear in
distance (按里程线性内插). Levels and surface are in the datum of the terrain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from spatial.errors import InvalidParameter, QualityViolation

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RatedProfiles", "WaterSurface", "surface_by_distance", "surface_by_quantile"]


@dataclass(frozen=True)
class WaterSurface:
    """Levels at chainages that ascend; linear between them, NaN beyond the ends."""

    chainage_m: NDArray[np.float64]
    level_m: NDArray[np.float64]
    method: str

    def at(self, chainage_m: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """Level at each chainage, m; NaN where the chainage is NaN or lies beyond the surface.

        Examples
        --------
        >>> s = WaterSurface(np.array([0.0, 100.0]), np.array([10.0, 9.0]), "")
        >>> s.at(np.array([-1.0, 0.0, 25.0, 101.0])).tolist()
        [nan, 10.0, 9.75, nan]
        """
        where = np.asarray(chainage_m, dtype=np.float64)
        return np.asarray(np.interp(where, self.chainage_m, self.level_m, left=np.nan, right=np.nan))


def surface_by_distance(
    gauges_m: Sequence[tuple[float, float]], *, start_m: float, end_m: float, slope: float = 0.0
) -> WaterSurface:
    """Surface that is linear in distance between gauges.

    Formula: W(s) = W₁ + (W₂ − W₁)(s − s₁)/(s₂ − s₁); beyond the first and last gauge W(s) = W₁ − I (s − s₁), I the slope.

    Parameters
    ----------
    gauges_m : sequence of (chainage, level), m
        Chainage grows downstream. One gauge is enough.
    start_m, end_m : float, m
        Where the surface begins and ends.
    slope : float ≥ 0
        Slope (比降) of the surface beyond the gauges, m a m.

    Raises
    ------
    InvalidParameter
        Without gauges, for two at one chainage, for a level that is no number, or a negative slope.

    Examples
    --------
    >>> surface_by_distance([(0, 20.0), (1000, 19.0)], start_m=0, end_m=2000, slope=0.001).at(np.array([500.0, 2000.0])).tolist()
    [19.5, 18.0]
    """
    pairs = sorted((float(s), float(w)) for s, w in gauges_m)
    if not pairs or not all(np.isfinite(pair).all() for pair in pairs):
        raise InvalidParameter(
            "水面线至少需要一个有水位的测站",
            "a water surface needs at least one gauge with a level",
            parameter="levels",
        )
    s = np.array([p[0] for p in pairs])
    w = np.array([p[1] for p in pairs])
    if (np.diff(s) <= 0).any():
        raise InvalidParameter("两个测站里程相同", "two gauges have the same chainage", parameter="levels")
    if slope < 0 or not end_m >= start_m:
        raise InvalidParameter(
            "比降不能为负，终点里程不能小于起点",
            "the slope must not be negative nor the end before the start",
            parameter="slope",
        )
    if start_m < s[0]:
        s, w = np.r_[start_m, s], np.r_[w[0] + slope * (s[0] - start_m), w]
    if end_m > s[-1]:
        s, w = np.r_[s, end_m], np.r_[w, w[-1] - slope * (end_m - s[-1])]
    return WaterSurface(s, w, "distance")


@dataclass(frozen=True)
class RatedProfiles:
    """Computed water levels of one river for an ascending series of discharges (水面线成果表)."""

    chainage_m: NDArray[np.float64]
    """Stations, ascending (n,)."""
    names: tuple[str, ...]
    """Discharges from low to high (q,)."""
    levels_m: NDArray[np.float64]
    """Levels (n, q), m, never falling along the discharges."""

    def __post_init__(self) -> None:
        if self.levels_m.shape != (self.chainage_m.size, len(self.names)) or not np.isfinite(self.levels_m).all():
            raise QualityViolation(
                "水面线成果表不完整：每站每级流量都要有水位",
                "the table of profiles is incomplete: every station needs a level for every discharge",
            )
        if (np.diff(self.chainage_m) <= 0).any() or (np.diff(self.levels_m, axis=1) < 0).any():
            raise QualityViolation(
                "水面线成果表须按里程递增，且水位随流量不减",
                "profiles must ascend in chainage, and levels must not fall as the discharge grows",
            )

    def profile(self, name: str) -> WaterSurface:
        """The surface of one discharge of the table."""
        return WaterSurface(self.chainage_m, self.levels_m[:, self.names.index(name)], f"profile {name}")

    def levels_at(self, chainage_m: float) -> NDArray[np.float64]:
        """Level of every discharge at a chainage, linear between stations."""
        return np.array([np.interp(chainage_m, self.chainage_m, column) for column in self.levels_m.T])


def surface_by_quantile(profiles: RatedProfiles, gauges_m: Sequence[tuple[float, float]]) -> WaterSurface:
    """Surface that is linear in the quantile of the discharge between gauges.

    At each gauge the level gives a place p among the discharges of the table (between two of them linear in the level); p is
    linear in distance between the gauges and constant beyond them; the surface at a station is its level at p.

    Raises
    ------
    InvalidParameter
        Without gauges or for a level that is no number.
    QualityViolation
        If a level lies outside the table: the table says nothing there.

    Source: the approach of the German Federal Institute of Hydrology for the Elbe and Rhine (R packages hyd1d, hydflood).
    """
    pairs = sorted((float(s), float(w)) for s, w in gauges_m)
    if not pairs or not all(np.isfinite(pair).all() for pair in pairs):
        raise InvalidParameter(
            "水面线至少需要一个有水位的测站",
            "a water surface needs at least one gauge with a level",
            parameter="levels",
        )
    places = []
    for s, w in pairs:
        known = profiles.levels_at(s)
        if not known[0] <= w <= known[-1]:
            raise QualityViolation(
                f"里程 {s:g} m 处水位 {w:g} m 超出水面线成果表（{known[0]:.2f}–{known[-1]:.2f} m）",
                f"level {w:g} m at chainage {s:g} m lies outside the table of profiles ({known[0]:.2f} to {known[-1]:.2f} m)",
                reason="outside-rating",
            )
        places.append(float(np.interp(w, known, np.arange(known.size))))
    at = np.interp(profiles.chainage_m, [s for s, _ in pairs], places)
    low = np.minimum(np.floor(at).astype(np.intp), len(profiles.names) - 2)
    rows = np.arange(at.size)
    share = at - low
    level = profiles.levels_m[rows, low] * (1 - share) + profiles.levels_m[rows, low + 1] * share
    return WaterSurface(profiles.chainage_m, level, "quantile")
