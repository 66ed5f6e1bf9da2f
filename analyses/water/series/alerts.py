"""Alerts (预警) that two consecutive observations must confirm; a cloud neither confirms nor ends one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from spatial.errors import InvalidParameter

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from analyses.water.series.rules import ConfirmationRule

__all__ = ["Alert", "confirmed_alerts"]


@dataclass(frozen=True)
class Alert:
    """One exceedance (超限) from its first observation on."""

    began: datetime
    confirmed: datetime | None
    """Time of the observation that confirms it; None: suspected (疑似) only."""
    ended: datetime | None
    """Time of the first observation within bounds after it; None: still open, or nobody has looked since."""
    observations: int
    peak: float
    """The value farthest over the threshold."""

    @property
    def state(self) -> str:
        """``suspected``, ``confirmed`` (open), ``ended`` or ``dismissed`` (疑似后未再出现)."""
        if self.confirmed is None:
            return "suspected" if self.ended is None else "dismissed"
        return "confirmed" if self.ended is None else "ended"

    def as_dict(self) -> dict[str, Any]:
        """For a table; times in ISO 8601."""
        return {
            "began": self.began.isoformat(),
            "confirmed": None if self.confirmed is None else self.confirmed.isoformat(),
            "ended": None if self.ended is None else self.ended.isoformat(),
            "observations": self.observations,
            "peak": self.peak,
            "state": self.state,
        }


def confirmed_alerts(
    times: Sequence[datetime],
    values: ArrayLike,
    threshold: float,
    rule: ConfirmationRule,
    *,
    above: bool = True,
) -> tuple[Alert, ...]:
    """Exceedances of a threshold, each confirmed by `rule.observations` consecutive valid observations.

    Parameters
    ----------
    times : sequence of datetime with zone, strictly rising
    values : float (n,)
        NaN = not seen (cloud, missing, left out by a check): it neither confirms nor ends an alert.
    above : bool
        Exceeding is > threshold; False: < threshold (oxygen, lake area, low water).

    Returns
    -------
    tuple of Alert, by time
        Two observations more than `longest_gap_days` apart do not confirm each other: a new alert begins.

    Raises
    ------
    InvalidParameter
        Times without zone, not rising (duplicated dates), or of another number than the values.

    Examples
    --------
    >>> from datetime import UTC, date, timedelta
    >>> from spatial.catalog import Text
    >>> from analyses.water.series.rules import ConfirmationRule
    >>> rule = ConfirmationRule(title=Text(zh="确", en="c"), source="s", tag="own", valid_from=date(2026, 1, 1),
    ...     observations=2, longest_gap_days=60)
    >>> t = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=10 * k) for k in range(6)]
    >>> [a.state for a in confirmed_alerts(t, [0, 5, 0, 5, float("nan"), 6], 3, rule)]
    ['dismissed', 'confirmed']
    """
    x = np.asarray(values, dtype=np.float64)
    if x.shape != (len(times),):
        raise InvalidParameter(
            f"时间 {len(times)} 个，值 {x.shape}", f"{len(times)} times, values of shape {x.shape}", parameter="values"
        )
    if any(t.tzinfo is None for t in times):
        raise InvalidParameter("时间没有时区", "times without a zone", parameter="times")
    if any(b <= a for a, b in pairwise(times)):
        raise InvalidParameter(
            "时间应严格递增（有重复或乱序的日期）",
            "times must rise strictly (duplicated or unsorted dates)",
            parameter="times",
        )
    found: list[Alert] = []
    run: list[int] = []

    def close(ended: datetime | None) -> None:
        if run:
            confirmed = times[run[rule.observations - 1]] if len(run) >= rule.observations else None
            peak = max(run, key=lambda k: float(x[k])) if above else min(run, key=lambda k: float(x[k]))
            found.append(Alert(times[run[0]], confirmed, ended, len(run), float(x[peak])))
            run.clear()

    for k in np.flatnonzero(np.isfinite(x)).tolist():
        over = x[k] > threshold if above else x[k] < threshold
        if not over:
            close(times[k])
            continue
        if run and (times[k] - times[run[-1]]).total_seconds() > rule.longest_gap_days * 86_400:
            close(None)
        run.append(k)
    close(None)
    return tuple(found)
