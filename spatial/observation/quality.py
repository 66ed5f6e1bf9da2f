"""Flags of readings (读数质量标识): range, flatline and spike, by the checks of station data.

A new reading can change the flag of its neighbours: a last value that is far off waits for the next one, a run of equal
values is a flatline when it is long enough. So the flags of a window around the delivery are found anew. The window is wide
enough that the order of deliveries makes no difference.

Source: `analyses.water.quality.station_checks`.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from spatial.catalog import Text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spatial.observation.rules import UnitChecks

__all__ = ["flags_of", "out_of_range", "reach"]


def reach(checks: UnitChecks) -> int:
    """How many readings away a new one can change a flag."""
    return max(checks.flatline_length, 2 * checks.hampel_half_window + 2)


def out_of_range(value: float, checks: UnitChecks | None) -> bool:
    """Whether a value lies outside the plausible range of its unit."""
    return checks is not None and not checks.plausible[0] <= value <= checks.plausible[1]


def flags_of(values: NDArray[np.float64], checks: UnitChecks) -> list[str]:
    """Flag of each reading of a series in the order of time, all within the plausible range.

    Examples
    --------
    >>> from spatial.observation.rules import UnitChecks
    >>> rule = UnitChecks(unit="m", plausible=(-10, 200), hampel_half_window=3, hampel_sigmas=6, spike_ratio=1.01,
    ...     flatline_length=4)
    >>> flags_of(np.array([24.0, 24.01, 24.03, 27.0, 24.02, 24.01, 24.03, 24.02]), rule)
    ['', '', '', 'spike', '', '', '', '']
    """
    from analyses.water.quality.station_checks import flatlines, spikes
    from analyses.water.quality.station_rules import ChecksRule

    rule = ChecksRule(
        title=Text(zh="读数检查", en="Checks of readings"),
        source="layers/rules/observation.yml",
        tag="own",
        valid_from=date(2026, 11, 1),
        hampel_half_window=checks.hampel_half_window,
        hampel_sigmas=checks.hampel_sigmas,
        spike_ratio=checks.spike_ratio,
        flatline_length=checks.flatline_length,
        gap_ratio=2.0,
        half_detection_limit=False,
    )
    flags = np.full(values.size, "", dtype=object)
    flags[flatlines(values, checks.flatline_length)] = "flatline"
    far, pending = spikes(values, rule)
    flags[far] = "spike"
    if pending and values.size:
        flags[-1] = "spike_unconfirmed"
    return [str(flag) for flag in flags]
