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
from analyses.water.bodies.events import (
    Event,
    Withheld,
    change_events,
    event_frame,
    series_events,
    settled_events,
)
from analyses.water.bodies.gap_filling import level_index
from analyses.water.bodies.losses import Losses, body_changes
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
    gains: tuple[Losses, ...]
    events: tuple[Event, ...]
    event_frame: gpd.GeoDataFrame
    """`events` as features."""
    withheld: tuple[Withheld, ...]
    """What was not announced, with the reason."""
    uncompared: tuple[str, ...]
    """Bodies of which no date had a known level: losses and gains at equal level were not judged."""


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
    """Series, losses and gains at equal level and events of bodies.

    Two passes over the maps, a third over bodies with losses or gains: their polygons leave the rising order of occurrence and
    are counted apart, so that a polder does not blur the filled areas of the lake that it was cut from.

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
    gains: dict[int, Losses] = {}
    uncompared = []
    for k, number in enumerate(counts.numbers.tolist()):
        lost, gained = body_changes(
            stack,
            bodies,
            number,
            counts.days,
            rules,
            level_index=level_index(counts.of(k), rules.series.voice),
            gauge_m=levels.get(number),
        )
        if lost.compared == 0:
            uncompared.append(str(bodies.frame["id"].iloc[number]))
        if len(lost.frame):
            losses[number] = lost
        if len(gained.frame):
            gains[number] = gained
        if progress is not None:
            progress(0.4 + 0.3 * (k + 1) / counts.numbers.size)
    series = {}
    changed_bodies = sorted(losses.keys() | gains.keys())
    if changed_bodies:

        def changed(row: int, col: int, height: int, width: int) -> NDArray[np.uint8]:
            out = np.zeros((height, width), np.uint8)
            for number in changed_bodies:
                found = losses[number].band(row, col, height, width) if number in losses else None
                most = 0 if found is None else int(losses[number].cells.max())
                if found is not None:
                    np.maximum(out, found, out=out)
                if number in gains:
                    more = gains[number].band(row, col, height, width)
                    # Numbered on after the losses; past 255 they share the last one.
                    more = np.where(more > 0, np.minimum(more.astype(np.int32) + most, 255), 0).astype(np.uint8)
                    np.maximum(out, more, out=out)
            return out

        again = count_bodies(
            stack,
            bodies,
            source,
            rules,
            numbers=changed_bodies,
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
    withheld: list[Withheld] = []
    for one in ordered:
        found = series_events(one, rules, gauge_m=levels.get(one.number), withheld=withheld)
        new = any(event.kind == "new" for event in found)
        if one.number in losses:
            found += change_events(losses[one.number])
        # A body that is new as a whole is not announced twice.
        if one.number in gains and not new:
            found += change_events(gains[one.number], gains=True)
        events += settled_events(found, str(bodies.frame["kind"].iloc[one.number]), withheld)
    if progress is not None:
        progress(1.0)
    return WatchedBodies(
        ordered,
        tuple(losses[number] for number in sorted(losses)),
        tuple(gains[number] for number in sorted(gains)),
        tuple(events),
        event_frame(events, bodies.frame),
        tuple(withheld),
        tuple(uncompared),
    )
