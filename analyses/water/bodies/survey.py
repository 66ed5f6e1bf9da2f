"""Watching water bodies (水体监测): series, losses at equal level and events of chosen bodies, from a stack of water maps.

report = water_frequency(stack, rules, write)                  # wet and clear counts, by block
bodies = find_bodies(source, grid, rules, listed=lakes)
watched = watch_bodies(stack, bodies, source, rules)           # series, losses, events
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.delineation import FrequencySource, WaterBodies
from analyses.water.bodies.events import Event, event_frame, reclamation_events, series_events
from analyses.water.bodies.gap_filling import level_index
from analyses.water.bodies.losses import Losses, body_losses
from analyses.water.bodies.rules import WaterBodyRules
from analyses.water.bodies.series import BodySeries, count_bodies, series_of
from analyses.water.occurrence.stack import ClassStack

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

__all__ = ["WatchedBodies", "watch_bodies"]


@dataclass(frozen=True)
class WatchedBodies:
    """What the dates of the chosen bodies say."""

    series: tuple[BodySeries, ...]
    losses: tuple[Losses, ...]
    events: tuple[Event, ...]
    event_frame: gpd.GeoDataFrame
    """`events` as features."""
    uncompared: tuple[str, ...]
    """Bodies of which no date had a known level: losses at equal level were not judged."""


def watch_bodies(
    stack: ClassStack,
    bodies: WaterBodies,
    source: FrequencySource,
    rules: WaterBodyRules,
    *,
    numbers: Sequence[int] | None = None,
    gauge_m: Mapping[int, NDArray[Any]] | None = None,
    threads: int = 1,
    progress: Callable[[float], None] | None = None,
) -> WatchedBodies:
    """Series, losses at equal level and events of bodies.

    Two passes over the maps, a third over bodies with losses: their polygons leave the rising order of occurrence and are
    counted apart, so that a polder does not blur the filled areas of the lake that it was cut from.

    Parameters
    ----------
    numbers : rows of ``bodies.frame``, optional
        Default all.
    gauge_m : {row: levels by observation}, optional
        Gauge level on each observation (`level_area.levels_on` of ``observations(stack.dates)``), m, one datum; dates are then
        matched by it instead of the level index.
    """
    levels = dict(gauge_m or {})

    def step(first: float, share: float) -> Callable[[float], None] | None:
        return None if progress is None else lambda done: progress(first + share * done)

    counts = count_bodies(stack, bodies, source, rules, numbers=numbers, threads=threads, progress=step(0.0, 0.4))
    losses: dict[int, Losses] = {}
    uncompared = []
    for k, number in enumerate(counts.numbers.tolist()):
        found = body_losses(
            stack,
            bodies,
            number,
            counts.days,
            rules,
            level_index=level_index(counts.of(k), rules.series.voice),
            gauge_m=levels.get(number),
        )
        if found.compared == 0:
            uncompared.append(str(bodies.frame["id"].iloc[number]))
        if len(found.frame):
            losses[number] = found
        if progress is not None:
            progress(0.4 + 0.3 * (k + 1) / counts.numbers.size)
    series = {}
    if losses:

        def changed(row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
            out = np.zeros((height, width), np.uint8)
            for found in losses.values():
                np.maximum(out, found.band(row, col, height, width), out=out)
            return out

        again = count_bodies(
            stack,
            bodies,
            source,
            rules,
            numbers=sorted(losses),
            changed=changed,
            threads=threads,
            progress=step(0.7, 0.2),
        )
        series = {number: series_of(again, k, bodies, rules) for k, number in enumerate(again.numbers.tolist())}
    for k, number in enumerate(counts.numbers.tolist()):
        if number not in series:
            series[number] = series_of(counts, k, bodies, rules)
    ordered = tuple(series[number] for number in sorted(series))
    events: list[Event] = []
    for one in ordered:
        events += series_events(one, rules, gauge_m=levels.get(one.number))
        if one.number in losses:
            events += reclamation_events(losses[one.number])
    if progress is not None:
        progress(1.0)
    return WatchedBodies(
        ordered,
        tuple(losses[number] for number in sorted(losses)),
        tuple(events),
        event_frame(events, bodies.frame),
        tuple(uncompared),
    )
