"""Trends of series (趋势检验): Theil–Sen slope, Mann–Kendall test with the correction of Hamed and Rao, by season.

The corrected test is our own short module: the package that has it (pyMannKendall) corrects with the autocorrelation of
ranks in the order of the values given, without missing ones; here gaps keep their place in time and the correction is
refused where it would make the variance vanish. The tests compare both on complete series.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    import pandas
    from numpy.typing import ArrayLike, NDArray

    from analyses.water.series.rules import TrendRule

__all__ = ["MannKendall", "Trend", "mann_kendall", "season_matched", "seasonal_mann_kendall", "theil_sen", "trend_of"]

Direction = Literal["increasing", "decreasing", "none", "not_assessed"]
SECONDS_A_YEAR = 365.25 * 86_400


@dataclass(frozen=True)
class MannKendall:
    """Result of the test."""

    n: int
    s: int
    """Pairs that rise less pairs that fall."""
    tau: float
    """Kendall's τ (b, ties counted), −1 to 1; NaN if every value is equal."""
    variance: float
    """Of S, after the correction."""
    correction: float
    """n/n*: how much autocorrelation inflates the variance; 1 = none."""
    z: float
    p: float
    """Two-sided."""


def _pairs(x: NDArray[np.float64]) -> tuple[int, float]:
    """S and its variance with ties, x without NaN."""
    n = x.size
    # All pairs at once where that is small; row by row otherwise: memory stays with n.
    if n <= 512:
        s = int(np.sign(x[np.newaxis, :] - x[:, np.newaxis])[np.triu_indices(n, 1)].sum())
    else:
        s = int(sum(int(np.sign(x[k + 1 :] - x[k]).sum()) for k in range(n - 1)))
    _, ties = np.unique(x, return_counts=True)
    t = ties.astype(np.float64)
    return s, float((n * (n - 1) * (2 * n + 5) - (t * (t - 1) * (2 * t + 5)).sum()) / 18)


def _test(s: int, variance: float) -> tuple[float, float]:
    if variance <= 0 or s == 0:
        return 0.0, 1.0
    z = (s - math.copysign(1, s)) / math.sqrt(variance)
    return z, math.erfc(abs(z) / math.sqrt(2))


def _tau(s: int, x: NDArray[np.float64]) -> float:
    n = x.size
    _, ties = np.unique(x, return_counts=True)
    pairs = n * (n - 1) / 2
    untied = pairs - float((ties * (ties - 1) / 2).sum())
    return s / math.sqrt(pairs * untied) if untied > 0 else float("nan")


def mann_kendall(values: ArrayLike, *, hamed_rao: bool = True, alpha: float = 0.05) -> MannKendall:
    """Mann–Kendall test of a monotone trend (曼–肯德尔检验).

    Formula: S = Σ_{i<j} sgn(x_j − x_i); Var = [n(n−1)(2n+5) − Σ t(t−1)(2t+5)]/18; Z = (S ∓ 1)/√Var.
    Hamed–Rao: Var* = Var · n/n*, n/n* = 1 + 2/(n(n−1)(n−2)) Σ_i (n−i)(n−i−1)(n−i−2) ρ_i over the lags whose ρ_i, the
    autocorrelation of the ranks of the series less its Theil–Sen line, is significant at `alpha`.

    Parameters
    ----------
    values : float (n,)
        At equal steps of time; NaN = missing. A missing value keeps its place: lags count steps, not values.

    Raises
    ------
    InvalidParameter
        For fewer than four values.

    Source: Mann 1945; Kendall 1975; Hamed & Rao 1998, doi 10.1016/S0022-1694(97)00125-X.

    Examples
    --------
    >>> found = mann_kendall([1, 2, 3, 4, 5], hamed_rao=False)  # S = 10, Var = 5·4·15/18, Z = 9/√16.67
    >>> found.s, round(found.variance, 4), round(found.z, 4), found.tau
    (10, 16.6667, 2.2045, 1.0)
    """
    x = np.asarray(values, dtype=np.float64)
    known = np.isfinite(x)
    n = int(known.sum())
    if n < 4:
        raise InvalidParameter(
            f"趋势检验至少需要 4 个值，只有 {n} 个",
            f"a trend test needs at least 4 values, found {n}",
            parameter="values",
        )
    s, variance = _pairs(x[known])
    correction = _correction(x, known, alpha) if hamed_rao and n > 4 else 1.0
    z, p = _test(s, variance * correction)
    return MannKendall(n, s, _tau(s, x[known]), variance * correction, correction, z, p)


def _correction(x: NDArray[np.float64], known: NDArray[np.bool_], alpha: float) -> float:
    from scipy import stats

    n = int(known.sum())
    step = np.arange(x.size, dtype=np.float64)
    slope = stats.theilslopes(x[known], step[known]).slope
    ranks = np.full(x.size, np.nan)
    # Residuals that are equal but for the last bits are ties.
    scale = float(np.abs(x[known]).max()) or 1.0
    ranks[known] = stats.rankdata(np.round((x[known] - slope * step[known]) / scale, 12))
    centred = np.where(known, ranks - np.nanmean(ranks), 0.0)
    energy = float((centred**2).sum())
    if energy == 0:
        return 1.0
    bound = stats.norm.ppf(1 - alpha / 2) / math.sqrt(n)
    total = 0.0
    for lag in range(1, min(n - 2, x.size)):
        rho = float((centred[:-lag] * centred[lag:]).sum()) / energy
        if abs(rho) > bound:
            total += (n - lag) * (n - lag - 1) * (n - lag - 2) * rho
    found = 1 + 2 / (n * (n - 1) * (n - 2)) * total
    # Strong alternation can turn the sum negative: no variance is, so the uncorrected test stands.
    return found if found > 0 else 1.0


def theil_sen(times: ArrayLike, values: ArrayLike, *, alpha: float = 0.05) -> tuple[float, float, float, float]:
    """Theil–Sen line: slope, intercept at the first time, lower and upper end of the slope's interval.

    Parameters
    ----------
    times : float (n,)
        In the unit that the slope shall be per.
    values : float (n,)
        NaN is left out.

    Source: Sen 1968, doi 10.1080/01621459.1968.10480934 (scipy.stats.theilslopes).

    Examples
    --------
    >>> theil_sen([0, 1, 2, 3], [1.0, 3.0, 5.0, 100.0])[0]  # slopes 2, 2, 33, 2, 48.5, 95: median (2 + 33)/2
    17.5
    """
    from scipy import stats

    t, x = np.asarray(times, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if t.shape != x.shape:
        raise InvalidParameter(
            f"时间 {t.shape} 与值 {x.shape} 应等长",
            f"times {t.shape} and values {x.shape} must match",
            parameter="values",
        )
    known = np.isfinite(t) & np.isfinite(x)
    if np.unique(t[known]).size < 2:
        raise InvalidParameter("至少需要两个不同的时间", "two different times are needed", parameter="times")
    t, x = t[known], x[known]
    found = stats.theilslopes(x, t, alpha=1 - alpha)
    # scipy's intercept belongs to t = 0.
    start = float(np.median(x) - found.slope * (np.median(t) - t.min()))
    return float(found.slope), start, float(found.low_slope), float(found.high_slope)


def seasonal_mann_kendall(values: ArrayLike, season: ArrayLike) -> tuple[MannKendall, float]:
    """Mann–Kendall within each season, summed (季节性检验), and the number of seasons that could be tested.

    S = Σ S_g, Var = Σ Var_g: a January is compared with Januaries only.

    Parameters
    ----------
    values : float (n,), in the order of time; NaN = missing
    season : int (n,), month or quarter

    Source: Hirsch, Slack & Smith 1982, doi 10.1029/WR018i001p00107.
    """
    x, g = np.asarray(values, dtype=np.float64), np.asarray(season)
    known = np.isfinite(x)
    s, variance, pairs, seasons = 0, 0.0, 0.0, 0
    for name in np.unique(g[known]):
        part = x[known & (g == name)]
        if part.size < 2:
            continue
        s_g, var_g = _pairs(part)
        s, variance, seasons = s + s_g, variance + var_g, seasons + 1
        pairs += part.size * (part.size - 1) / 2
    if not seasons:
        raise InvalidParameter("没有一个季节有两个以上的值", "no season has two values", parameter="values")
    z, p = _test(s, variance)
    return MannKendall(int(known.sum()), s, s / pairs, variance, 1.0, z, p), float(seasons)


def season_matched(days: ArrayLike, window_days: float) -> list[tuple[int, int]]:
    """Pairs (earlier, later) of dates in the same season of different years (同季节配对).

    Each date with the one that lies whole years later within the window: of the next year that has one, the nearest.

    Parameters
    ----------
    days : datetime64 (n,), sorted

    Examples
    --------
    >>> season_matched(np.array(["2020-07-01", "2020-12-01", "2021-07-11"], dtype="datetime64[D]"), 30)
    [(0, 2)]
    """
    t = np.asarray(days, dtype="datetime64[D]").astype(np.int64)
    found = []
    for i in range(t.size):
        years = np.rint((t - t[i]) / 365.25)
        apart = np.where(years >= 1, np.abs(t - t[i] - years * 365.25), np.inf)
        near = np.flatnonzero(apart <= window_days)
        if near.size:
            # The nearest year first, within it the nearest day.
            found.append((i, int(min(near, key=lambda k: (years[k], apart[k], k)))))
    return found


@dataclass(frozen=True)
class Trend:
    """Trend of one series."""

    direction: Direction
    n: int
    slope_per_year: float | None
    slope_low: float | None
    slope_high: float | None
    p: float | None
    tau: float | None
    correction: float | None
    method: str
    reason: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """For a table."""
        return {
            "direction": self.direction,
            "n": self.n,
            "slope_per_year": self.slope_per_year,
            "slope_low": self.slope_low,
            "slope_high": self.slope_high,
            "p": self.p,
            "tau": self.tau,
            "correction": self.correction,
            "method": self.method,
            "reason": self.reason,
        }


def trend_of(
    times: Sequence[Any] | pandas.DatetimeIndex, values: ArrayLike, rule: TrendRule, *, seasonal: bool = True
) -> Trend:
    """Trend of a dated series: by month where enough years allow it, else with the correction for autocorrelation.

    Parameters
    ----------
    times : sequence of datetimes (with zone) or datetime64, sorted
    values : float (n,); NaN = missing
    seasonal : bool
        Compare months with the same months; the slope is the median of the slopes within months.

    Returns
    -------
    Trend
        ``not_assessed`` with a reason where there are too few observations; never a silent "no trend".
    """
    import pandas

    t = (
        times
        if isinstance(times, pandas.DatetimeIndex)
        else pandas.DatetimeIndex(pandas.to_datetime(list(times), utc=True))
    )
    x = np.asarray(values, dtype=np.float64)
    known = np.isfinite(x)
    n = int(known.sum())
    if n < rule.least_observations:
        reason = f"{n} < {rule.least_observations} observations"
        return Trend("not_assessed", n, None, None, None, None, None, None, "none", reason)
    years = (t - t[0]).total_seconds().to_numpy() / SECONDS_A_YEAR
    month = t.month.to_numpy()
    complete = [m for m in np.unique(month[known]) if (known & (month == m)).sum() >= rule.least_seasons]
    if seasonal and len(complete) >= 2:
        use = known & np.isin(month, complete)
        test, _ = seasonal_mann_kendall(np.where(use, x, np.nan), month)
        slopes = np.concatenate([_slopes(years[use & (month == m)], x[use & (month == m)]) for m in complete])
        slope, low, high = float(np.median(slopes)), None, None
        method, correction = "seasonal Mann-Kendall, Sen", None
    else:
        test = mann_kendall(x, alpha=rule.alpha)
        slope, _, low, high = theil_sen(years, x, alpha=rule.alpha)
        method, correction = "Mann-Kendall, Hamed-Rao, Theil-Sen", test.correction
    significant = test.p < rule.alpha
    direction: Direction = "none" if not significant else ("increasing" if test.s > 0 else "decreasing")
    return Trend(direction, n, slope, low, high, test.p, test.tau, correction, method)


def _slopes(t: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    i, j = np.triu_indices(t.size, 1)
    apart = t[j] - t[i]
    return (x[j] - x[i])[apart > 0] / apart[apart > 0]
