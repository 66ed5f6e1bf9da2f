"""Events of water bodies (水体事件): new, lost, dried up, shrunk and reclaimed, each with its dates and evidence.

An event needs two observations in a row. A date counts only when enough of the body was seen; what was filled counts with the
end of its interval that speaks against the event, so a cloud makes none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from analyses.water.bodies.gap_filling import FILLED, OBSERVED
from analyses.water.bodies.losses import BASES, Losses
from analyses.water.bodies.rules import EventsRule, WaterBodyRules
from analyses.water.bodies.series import BodySeries
from spatial.catalog import Text

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

__all__ = [
    "FIELDS",
    "KINDS",
    "Event",
    "Withheld",
    "change_events",
    "event_frame",
    "series_events",
    "settled_events",
]

KINDS: dict[str, Text] = {
    "new": Text(zh="新增水体", en="new water body"),
    "lost": Text(zh="水体消失", en="water body lost"),
    "dried": Text(zh="干涸后恢复", en="dried up and came back"),
    "shrunk": Text(zh="水面萎缩（同季或等水位）", en="shrunk at equal season or level"),
    "reclaimed": Text(zh="围垦候选（等水位消失）", en="reclamation candidate (lost at equal level)"),
    "restored": Text(
        zh="水面恢复候选（等水位新增，如退垸还湖）", en="water regained at equal level (candidate, land given back)"
    ),
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event of one body."""

    kind: str
    body_id: str
    first: date
    """Day of the first observation that shows it."""
    confirmed: date | None
    """Day of the second one in a row; None while it waits for one (待确认)."""
    ended: date | None
    """Day on which it was over; None = it still holds."""
    area_m2: float
    """Area on the first day (reclaimed: of the polygon)."""
    reference_m2: float
    """What it is compared with."""
    evidence: Text
    geometry: Any = None
    """Its own polygon; None = that of the body."""
    place: str | None = None
    """Geohash of its own polygon."""
    last_wet: date | None = None
    """Last day on which there was water, of a loss."""
    before: date | None = None
    """Last clear day that shows the state before."""
    after: date | None = None
    """First clear day that shows the state after, of the confirming observation where there is one."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """What looks like an event by the figures and is not announced (未列为事件), with the reason."""

    kind: str
    body_id: str
    first: date
    area_m2: float
    reason: Text


def series_events(
    series: BodySeries,
    rules: WaterBodyRules,
    *,
    gauge_m: NDArray[Any] | None = None,
    withheld: list[Withheld] | None = None,
) -> list[Event]:
    """Events that the series of a body shows (由面积序列得出的事件).

    - *lost*: the upper end of the interval below ``lost_share`` of the median of the same season before, to the end of the
      series; *dried* when water came back.
    - *shrunk*: the upper end below ``shrunk_share`` of the least area seen in the same season before, or, with a gauge, of the
      least area seen at this level or lower.
    - *new*: after ``least_history`` observations, half of them with less than ``lost_share`` of the extent and none with
      ``new_share`` of it, always ``new_share`` or more, for ``new_days`` at least.

    Parameters
    ----------
    gauge_m : float (dates,), optional
        Level on each date, one datum; NaN = none. With it *shrunk* is judged by level only.
    withheld : list, optional
        Takes what was filled for the first time and has not lasted ``new_days`` yet.
    """
    rule = rules.events
    frame = series.frame
    usable = frame["flag"].isin([OBSERVED, FILLED]).to_numpy()
    at = np.flatnonzero(usable)
    if at.size == 0:
        return []
    days = [frame["date"].iloc[int(k)] for k in at]
    area, low, high = (frame[name].to_numpy(float)[at] for name in ("area_m2", "area_low_m2", "area_high_m2"))
    observed = (frame["flag"] == OBSERVED).to_numpy()[at]
    level = None if gauge_m is None else np.asarray(gauge_m, float)[at]
    return [
        *_drops(series, rule, days, area, high, observed),
        *_shrunk(series, rule, days, area, high, observed, level),
        *_new(series, rule, days, area, low, high, observed, [] if withheld is None else withheld),
    ]


def settled_events(events: Sequence[Event], body_kind: str, withheld: list[Withheld]) -> list[Event]:
    """Events of a body without those that its kind explains: a paddy (水田) fills and dries every year.

    Parameters
    ----------
    body_kind : kind of the body, `kinds.TITLES`
    withheld : takes what is left out
    """
    if body_kind != "paddy":
        return list(events)
    withheld += [
        Withheld(
            event.kind, event.body_id, event.first, event.area_m2,
            Text(
                zh="图斑为水田（有水月数少、几无常年水面、形状规整），按季节淹水与落干",
                en="the body is a paddy (few months with water, hardly permanent, regular): it floods and dries by season",
            ),
        )
        for event in events
    ]  # fmt: skip
    return []


def _last(shown: NDArray[np.bool_], observed: NDArray[np.bool_], days: Sequence[date], end: int) -> date | None:
    """Day of the last date before `end` that shows a state, an observed one where there is any."""
    for of in (shown & observed, shown):
        at = np.flatnonzero(of[:end])
        if at.size:
            return days[int(at[-1])]
    return None


def _shown(
    shown: NDArray[np.bool_], observed: NDArray[np.bool_], days: Sequence[date], begin: int, end: int | None
) -> date:
    """Day of the first observed date from `begin` on (before `end`) that shows a state; else that of `begin`."""
    at = begin + np.flatnonzero((shown & observed)[begin : len(days) if end is None else end])
    return days[int(at[0]) if at.size else begin]


def _season(days: Sequence[date], window: int) -> NDArray[np.bool_]:
    """Pairs (later, earlier) of one season of different years: days of the year at most `window` apart."""
    of_year = np.array([d.timetuple().tm_yday for d in days])
    number = np.array([d.toordinal() for d in days])
    apart = np.abs(of_year[:, None] - of_year[None, :])
    apart = np.minimum(apart, 365 - np.minimum(apart, 365))
    return np.asarray((apart <= window) & (number[:, None] - number[None, :] > 182))


def _compare(
    pairs: NDArray[np.bool_], area: NDArray[Any], high: NDArray[Any], pick: Any, share: float, least: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Reference of each date (NaN with fewer than `least` earlier ones) and whether its upper bound lies below `share` of it.

    From the first such date on, what comes after it is no reference any more: a loss does not become the new normal.
    """
    reference, wrong = np.full(area.size, np.nan), np.zeros(area.size, bool)
    spell = area.size
    for t in range(area.size):
        earlier = pairs[t] & (np.arange(area.size) < spell)
        if earlier.sum() < least:
            continue
        reference[t] = pick(area[earlier])
        wrong[t] = high[t] < share * reference[t]
        spell = min(spell, t) if wrong[t] else area.size
    return reference, wrong


def _spells(wrong: NDArray[np.bool_], judged: NDArray[np.bool_]) -> Iterable[tuple[int, int | None, int | None]]:
    """First, second and ending date of each run of `wrong` among the judged dates."""
    at = np.flatnonzero(judged)
    first = second = None
    for k in at:
        if wrong[k]:
            if first is None:
                first = int(k)
            elif second is None:
                second = int(k)
        elif first is not None:
            yield first, second, int(k)
            first = second = None
    if first is not None:
        yield first, second, None


def _drops(
    series: BodySeries,
    rule: EventsRule,
    days: Sequence[date],
    area: NDArray[Any],
    high: NDArray[Any],
    observed: NDArray[Any],
) -> list[Event]:
    pairs = _season(days, rule.season_days) & observed[None, :]
    reference, low = _compare(pairs, area, high, np.median, rule.lost_share, rule.least_history)
    with np.errstate(invalid="ignore"):
        # A body whose season is dry anyway has nothing to lose.
        judged = reference >= rule.lost_share * series.extent_m2
        wrong = judged & low
        # Any water beyond the threshold ends it, on dates that cannot be judged by season too.
        back = high >= rule.lost_share * np.nanmax(np.where(judged, reference, np.nan)) if judged.any() else judged
    events = []
    for first, second, end in _spells(wrong, judged | back):
        if second is None and end is not None:
            continue  # one look, taken back by the next
        kind = "lost" if end is None else "dried"
        wet = high >= rule.lost_share * reference[first]
        last_wet = _last(wet, observed, days, first)
        events.append(
            Event(
                kind, series.id, days[first], None if second is None else days[second], None if end is None else days[end],
                float(area[first]), float(reference[first]),
                Text(
                    zh=f"面积上限 {high[first] / 1e4:.2f} hm²，"
                    f"低于同季参考 {reference[first] / 1e4:.2f} hm² 的 {rule.lost_share:.0%}",
                    en=f"upper bound {high[first] / 1e4:.2f} ha, below {rule.lost_share:.0%} of {reference[first] / 1e4:.2f} ha "
                    "of the season before",
                ),
                last_wet=last_wet, before=last_wet,
                after=_shown(~wet, observed, days, first if second is None else second, end),
            )
        )  # fmt: skip
    return events


def _shrunk(
    series: BodySeries,
    rule: EventsRule,
    days: Sequence[date],
    area: NDArray[Any],
    high: NDArray[Any],
    observed: NDArray[Any],
    level: NDArray[Any] | None,
) -> list[Event]:
    if level is None:
        pairs = _season(days, rule.season_days) & observed[None, :]
        basis = Text(zh="同季最小", en="least of the season before")
    else:
        with np.errstate(invalid="ignore"):
            pairs = np.tri(len(days), k=-1, dtype=bool) & (level[None, :] <= level[:, None]) & observed[None, :]
        basis = Text(zh="等水位或更低时的最大", en="largest at this level or lower before")
    pick = np.min if level is None else np.max
    reference, low = _compare(pairs, area, high, pick, rule.shrunk_share, rule.least_history)
    judged = np.isfinite(reference)
    with np.errstate(invalid="ignore"):
        wrong = low & (high >= rule.lost_share * reference)
    events = []
    for first, second, end in _spells(wrong, judged):
        if second is None:
            continue
        events.append(
            Event(
                "shrunk", series.id, days[first], days[second], None if end is None else days[end], float(area[first]),
                float(reference[first]),
                Text(
                    zh=f"面积上限 {high[first] / 1e4:.2f} hm²，"
                    f"低于{basis.zh} {reference[first] / 1e4:.2f} hm² 的 {rule.shrunk_share:.0%}",
                    en=f"upper bound {high[first] / 1e4:.2f} ha, below {rule.shrunk_share:.0%} of "
                    f"{reference[first] / 1e4:.2f} ha, the {basis.en}",
                ),
                before=_last(judged & ~wrong, observed, days, first), after=_shown(wrong, observed, days, second, end),
            )
        )  # fmt: skip
    return events


def _new(
    series: BodySeries,
    rule: EventsRule,
    days: Sequence[date],
    area: NDArray[Any],
    low: NDArray[Any],
    high: NDArray[Any],
    observed: NDArray[Any],
    withheld: list[Withheld],
) -> list[Event]:
    limit = rule.new_share * series.extent_m2
    full, empty = low >= limit, high < limit
    # From the first full date after the last one that was not.
    begun = np.flatnonzero(full)
    gone = np.flatnonzero(empty)
    begun = begun[begun > gone[-1]] if gone.size else begun
    if begun.size == 0 or begun[0] == 0:
        return []
    first = int(begun[0])
    before = area[:first][observed[:first]]
    # Water that was full before comes and goes; it is not new.
    if (
        before.size < rule.least_history
        or full[:first].any()
        or float(np.median(before)) >= rule.lost_share * series.extent_m2
    ):
        return []
    # Two looks, and far enough apart that no season of flooded fields explains both.
    lasting = [int(k) for k in begun[1:] if (days[int(k)] - days[first]).days >= rule.new_days]
    if not lasting:
        withheld.append(
            Withheld(
                "new", series.id, days[first], float(area[first]),
                Text(
                    zh=f"有水至今未满 {rule.new_days} 天，与水田等季节性淹水分不开，待以后的影像",
                    en=f"full for less than {rule.new_days} days so far: may be flooded fields; later scenes will tell",
                ),
            )
        )  # fmt: skip
        return []
    second = lasting[0]
    return [
        Event(
            "new", series.id, days[first], days[second], None, float(area[first]), limit,
            Text(
                zh=f"此前 {before.size} 次观测面积中位数 {float(np.median(before)) / 1e4:.2f} hm²，"
                f"现 {area[first] / 1e4:.2f} hm²，一直不低于范围的 {rule.new_share:.0%}",
                en=f"median of {before.size} observations before: {float(np.median(before)) / 1e4:.2f} ha; now "
                f"{area[first] / 1e4:.2f} ha, {rule.new_share:.0%} of its extent or more ever since",
            ),
            before=_last(~full, observed, days, first), after=_shown(full, observed, days, second, None),
        )
    ]  # fmt: skip


def change_events(changes: Losses, *, gains: bool = False) -> list[Event]:
    """Losses or gains at equal level as events, with their own polygons (围垦候选、水面恢复候选)."""
    events = []
    for row in changes.frame.itertuples():
        basis = BASES[row.basis]
        if gains:
            kind, told = "restored", Text(
                zh=f"{row.last_wet} 前在此水位或更高时无水，此后本应无水的 {row.looks} 次观测均有水（{basis.zh}）",
                en=f"dry at this level or higher until {row.last_wet}; water on all {row.looks} looks since at which none was "
                f"due ({basis.en})",
            )  # fmt: skip
        else:
            kind, told = "reclaimed", Text(
                zh=f"{row.last_wet} 前在此水位或更低时有水，此后应有水的 {row.looks} 次观测均无水（{basis.zh}）",
                en=f"wet at this level or lower until {row.last_wet}; dry on all {row.looks} looks since at which water was due "
                f"({basis.en})",
            )  # fmt: skip
        events.append(
            Event(
                kind, row.body_id, row.first_missed, row.confirmed, None, float(row.area_m2), float(row.area_m2), told,
                row.geometry, row.id, None if gains else row.last_wet, row.before, row.after,
            )
        )  # fmt: skip
    return events


FIELDS = (
    "event_id", "kind", "kind_zh", "kind_en", "body_id", "first", "confirmed", "ended", "two_observations", "area_m2",
    "reference_m2", "evidence_zh", "evidence_en", "last_wet", "before", "after",
)  # fmt: skip


def event_frame(events: Sequence[Event], bodies: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Events as features (事件要素), ordered by their first day; dates as datetime64, geometry of the body or their own."""
    import geopandas as gpd
    import pandas as pd

    ordered = sorted(events, key=lambda e: (e.first, e.body_id, e.kind))
    shape = dict(zip(bodies["id"].astype(str), bodies.geometry, strict=True))
    # The polygon of its own names a change: a body may have two of one kind and day.
    number: dict[tuple[str, str, date], int] = {}
    rows = []
    for event in ordered:
        key = (event.place or event.body_id, event.kind, event.first)
        number[key] = number.get(key, 0) + 1
        suffix = "" if number[key] == 1 else f"-{number[key]}"
        rows.append(
            (
                f"{key[0]}-{event.kind}-{event.first:%Y%m%d}{suffix}", event.kind, KINDS[event.kind].zh,
                KINDS[event.kind].en, event.body_id, event.first, event.confirmed, event.ended, event.confirmed is not None,
                event.area_m2, event.reference_m2, event.evidence.zh, event.evidence.en, event.last_wet, event.before,
                event.after,
            )
        )  # fmt: skip
    geometry = [e.geometry if e.geometry is not None else shape[e.body_id] for e in ordered]
    frame = gpd.GeoDataFrame(pd.DataFrame(rows, columns=list(FIELDS)), geometry=geometry, crs=bodies.crs)
    for name in ("first", "confirmed", "ended", "last_wet", "before", "after"):
        frame[name] = pd.to_datetime(frame[name])
    return frame
