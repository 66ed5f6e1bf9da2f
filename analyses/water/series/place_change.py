"""Change in the series of one place and quantity (单站单指标的变化): trend, shift, exceedances, as rows of tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.series.alerts import confirmed_alerts
from analyses.water.series.change_point import Shift, page_cusum, pettitt
from analyses.water.series.trend import SECONDS_A_YEAR, trend_of
from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    import pandas
    from numpy.typing import NDArray

    from analyses.water.series.rules import ChangeRules

__all__ = ["PlaceSeries", "exceedance_rows", "seasonless", "shift_rows", "trend_row"]


@dataclass(frozen=True)
class PlaceSeries:
    """Values of one quantity at one place, by time."""

    place: str
    quantity: str
    times: pandas.DatetimeIndex
    """In UTC, strictly rising."""
    values: NDArray[np.float64]
    """NaN = missing, or left out by a flag."""

    def stamps(self) -> Sequence[datetime]:
        """Times as datetimes."""
        return [time.to_pydatetime() for time in self.times]


def seasonless(
    times: pandas.DatetimeIndex, values: NDArray[np.float64], reference: int, least_years: float
) -> NDArray[np.float64] | None:
    """Values without the annual cycle of their reference period; None where that is too short to know the cycle.

    Formula: x − (b cos 2πt + c sin 2πt), with a, b, c by least squares on the first `reference` known values.

    Parameters
    ----------
    reference : int
        Known values from the start that are the reference period.
    least_years : float
        Shortest reference period.
    """
    known = np.flatnonzero(np.isfinite(values))[:reference]
    years = (times - times[0]).total_seconds().to_numpy() / SECONDS_A_YEAR
    if known.size < 6 or years[known[-1]] - years[known[0]] < least_years:
        return None
    waves = np.column_stack([np.cos(2 * np.pi * years), np.sin(2 * np.pi * years)])
    design = np.column_stack([np.ones(known.size), waves[known]])
    fit = np.linalg.lstsq(design, values[known], rcond=None)[0]
    return np.asarray(values - waves @ fit[1:], dtype=np.float64)


def trend_row(series: PlaceSeries, rules: ChangeRules) -> dict[str, Any]:
    """Trend by Mann–Kendall (seasonal where enough years allow it) with the slope of Sen, and Pettitt's change point."""
    found = trend_of(series.times, series.values, rules.trend)
    known = np.flatnonzero(np.isfinite(series.values))
    when, p = None, None
    if known.size >= rules.trend.least_observations:
        place, _, p = pettitt(series.values[known])
        when = series.times[known[min(place, known.size - 1)]].isoformat() if p < rules.pettitt.alpha else None
    return {
        "place": series.place,
        "quantity": series.quantity,
        **found.as_dict(),
        "pettitt_p": p,
        "pettitt_time": when,
    }


def shift_rows(series: PlaceSeries, rules: ChangeRules) -> tuple[list[dict[str, Any]], str | None]:
    """Shifts that the CUSUM signals, confirmed once two observations stand for them; or why it could not be asked.

    A signal out of one observation is confirmed by the next valid one that leaves the reference on the same side. Signals that
    follow one another on one side are one shift. Values that resemble their forerunner drift by themselves: the decision
    interval is widened by √((1 + φ)/(1 − φ)), φ ≥ 0 the lag-one correlation of the reference, and by √(n/(n − 3)) for the
    three coefficients of the season.
    """
    rule = rules.cusum
    known = np.flatnonzero(np.isfinite(series.values))
    reference = max(rule.least_reference, int(rule.reference_share * known.size))
    first = series.values[known[:reference]]
    # A constant reference has no cycle: what a fit leaves of it is rounding.
    moves = first.size > 0 and float(np.ptp(first)) > 0
    plain = seasonless(series.times, series.values, reference, rule.season_from_years) if moves else None
    values = series.values if plain is None else plain
    wider = rule.model_copy(
        update={"decision": rule.estimated_decision * _widening(values[known[:reference]], plain is not None)}
    )
    try:
        cusum = page_cusum(values, wider, reference=reference)
    except InvalidParameter as error:
        return [], error.en
    stamps = series.stamps()
    rows = []
    for shift, last in _joined(cusum.shifts, known):
        sign = 1.0 if shift.upward else -1.0
        inside = known[(known >= shift.began) & (known <= shift.signalled)]
        confirmed = stamps[shift.signalled] if inside.size >= rules.confirmation.observations else None
        after = known[known > shift.signalled]
        if confirmed is None and after.size:
            z = sign * (float(values[after[0]]) - cusum.centre) / cusum.spread
            confirmed = stamps[after[0]] if z > rule.slack else None
        inside = known[(known >= shift.began) & (known <= last)]
        peak = inside[np.argmax(sign * values[inside])]
        rows.append(
            {
                "place": series.place,
                "quantity": series.quantity,
                "kind": "rise" if shift.upward else "fall",
                "began": stamps[shift.began],
                "confirmed": confirmed,
                "ended": None,
                "observations": int(inside.size),
                "peak": float(series.values[peak]),
                "threshold": None,
                "state": "suspected" if confirmed is None else "confirmed",
                "seasonal": plain is not None,
            }
        )
    return rows, None


def _widening(reference: NDArray[np.float64], fitted: bool) -> float:
    n = reference.size
    apart = reference - reference.mean() if n else reference
    power = float(apart @ apart)
    phi = min(max(float(apart[1:] @ apart[:-1]) / power, 0.0), 0.9) if power > 0 else 0.0
    return float(np.sqrt((1 + phi) / (1 - phi) * (n / (n - 3) if fitted and n > 3 else 1.0)))


def _joined(shifts: Sequence[Shift], known: NDArray[np.int64]) -> list[tuple[Shift, int]]:
    """Signals of one side whose sum never came back to zero between them, as one: a step signals again and again.

    Returns each first signal with the position of the last.
    """
    out: list[tuple[Shift, int]] = []
    for shift in shifts:
        mine = [k for k, (first, _) in enumerate(out) if first.upward == shift.upward]
        if mine and not ((known > out[mine[-1]][1]) & (known < shift.began)).any():
            out[mine[-1]] = (out[mine[-1]][0], shift.signalled)
        else:
            out.append((shift, shift.signalled))
    return out


def exceedance_rows(series: PlaceSeries, threshold: float, above: bool, rules: ChangeRules) -> list[dict[str, Any]]:
    """Exceedances of a threshold, each confirmed by two consecutive valid observations."""
    return [
        {
            "place": series.place,
            "quantity": series.quantity,
            "kind": "above" if above else "below",
            "began": alert.began,
            "confirmed": alert.confirmed,
            "ended": alert.ended,
            "observations": alert.observations,
            "peak": alert.peak,
            "threshold": threshold,
            "state": alert.state,
            "seasonal": False,
        }
        for alert in confirmed_alerts(series.stamps(), series.values, threshold, rules.confirmation, above=above)
    ]
