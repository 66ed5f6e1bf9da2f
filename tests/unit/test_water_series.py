"""Series of a synthetic decade: areas, filled values and their intervals, losses at equal level, events and the lake card."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from scipy import ndimage

from analyses.water.bodies.delineation import ArrayFrequency, WaterBodies, find_bodies
from analyses.water.bodies.events import Withheld, event_frame, series_events, settled_events
from analyses.water.bodies.gap_filling import StrataCounts, fill, rising
from analyses.water.bodies.lake_card import INDICATORS, lake_card
from analyses.water.bodies.level_area import change_at_equal_level, fit_level_area, levels_on, storage_change
from analyses.water.bodies.losses import body_changes
from analyses.water.bodies.protection import ProtectionLine, area_kept, protection_lines
from analyses.water.bodies.rules import WaterBodyRules, water_body_rules
from analyses.water.bodies.series import COLUMNS, BodySeries, body_series, count_bodies
from analyses.water.bodies.survey import WatchedBodies, watch_bodies
from analyses.water.occurrence.frequency import water_frequency
from analyses.water.occurrence.stack import ArrayStack, observations
from spatial.errors import GridMismatch, InvalidParameter, OutsideExtent

ROOT = Path(__file__).resolve().parents[2]
CELL_M = 10.0


@cache
def rules() -> WaterBodyRules:
    text = (ROOT / "layers/rules/water_bodies.yml").read_text(encoding="utf-8")
    found = water_body_rules({"water_bodies": yaml.safe_load(text)})
    return found.model_copy(update={"bodies": found.bodies.model_copy(update={"least_clear": 15})})


@dataclass(frozen=True)
class Decade:
    """A made lake: maps, and what is true."""

    stack: ArrayStack
    area_m2: np.ndarray
    level: np.ndarray
    cover: np.ndarray
    polder: np.ndarray | None
    begun: int
    """First observation after the polder was closed."""


@cache
def decade(
    seed: int, hectares: float, *, dates: int = 120, sub: int = 3, polder: tuple[float, float, float] | None = None
) -> Decade:
    """A bowl of uneven shores whose level follows the seasons, under clouds of 0, 10, 30 or 60 %, 0.2 % of cells misread.

    `polder`: share of the decade after which it is closed, hectares, distance of its middle over the radius.
    """
    rng = np.random.default_rng(seed)
    radius = np.sqrt(hectares * 1e4 / np.pi)
    n = int(2 * radius * 1.35 / CELL_M) + 8
    y, x = (np.indices((n * sub, n * sub)) + 0.5) * CELL_M / sub - n * CELL_M / 2
    angle, distance = np.arctan2(y, x), np.hypot(y, x)
    outline = 1 + sum(rng.normal() * 0.12 / k * np.cos(k * angle + rng.uniform(0, 6.3)) for k in range(2, 7))
    knots = rng.normal(size=(n // 12 + 3,) * 2)
    ground = (
        distance / (radius * outline) + ndimage.zoom(knots, n * sub / len(knots), order=3)[: n * sub, : n * sub] * 0.04
    )
    day = np.sort(rng.choice(3650, dates, replace=False))
    level = 0.90 + 0.12 * np.cos(2 * np.pi * (day - 210) / 365.25) + 0.015 * rng.normal(size=dates)
    level += 0.03 * np.repeat(rng.normal(size=11), 366)[day]
    cover = rng.choice([0.0, 0.1, 0.3, 0.6], dates)
    begun, closed, mask = dates, None, None
    if polder is not None:
        after, size, where = polder
        begun, turn, half = int(np.ceil(after * dates)), rng.uniform(0, 6.3), np.sqrt(size * 1e4) / 2
        at_y, at_x = where * radius * np.sin(turn), where * radius * np.cos(turn)
        closed = (np.abs(y - at_y) < half) & (np.abs(x - at_x) < half)
        mask = closed.reshape(n, sub, n, sub).mean((1, 3)) >= 0.5
    codes, area = np.empty((dates, n, n), np.uint8), np.empty(dates)
    for t in range(dates):
        wet = ground < level[t]
        if closed is not None and t >= begun:
            wet &= ~closed
        area[t] = wet.sum() * (CELL_M / sub) ** 2
        seen = wet.reshape(n, sub, n, sub).mean((1, 3)) >= 0.5
        seen ^= rng.random((n, n)) < 0.002
        codes[t] = seen
        if cover[t]:
            blobs = ndimage.gaussian_filter(rng.normal(size=(300, 300)), rng.uniform(5, 12))
            hidden = blobs > np.quantile(blobs, 1 - cover[t])
            r, c = rng.integers(0, 150, 2)
            scale = max(n / 150, 1.0)
            part = ndimage.zoom(hidden[r : r + 150, c : c + 150].astype(np.uint8), scale, order=0)
            codes[t][part[:n, :n] > 0] = 253
    times = [datetime(2015, 1, 1, 3, tzinfo=UTC) + timedelta(days=int(d)) for d in day]
    return Decade(ArrayStack(codes, times), area, level, cover, mask, begun)


def found_bodies(stack: ArrayStack) -> tuple[ArrayFrequency, WaterBodies]:
    wet, clear = np.zeros(stack.shape, np.uint16), np.zeros(stack.shape, np.uint16)

    def write(window, values) -> None:
        cut = (slice(window[0], window[0] + window[2]), slice(window[1], window[1] + window[3]))
        wet[cut], clear[cut] = values["wet"], values["clear"]

    water_frequency(stack, rules(), write)
    source = ArrayFrequency(wet, clear)
    # Cells of 10 m at 30° N.
    cell = Affine(CELL_M / 96486.3, 0, 113.0, 0, -CELL_M / 110852.4, 30 + stack.shape[0] * CELL_M / 2 / 110852.4)
    return source, find_bodies(source, GeoBox(stack.shape, cell, "EPSG:4490"), rules())


@cache
def watched(seed: int, hectares: float, **more) -> tuple[Decade, WaterBodies, ArrayFrequency, WatchedBodies]:
    made = decade(seed, hectares, **more)
    source, bodies = found_bodies(made.stack)
    largest = int(bodies.frame["area_m2"].to_numpy().argmax())
    return made, bodies, source, watch_bodies(made.stack, bodies, source, rules(), numbers=[largest])


LAKES = ((1, 10.0), (2, 30.0), (3, 100.0), (4, 400.0))


@pytest.mark.parametrize(("seed", "hectares"), LAKES)
def test_area_of_a_synthetic_decade(seed: int, hectares: float) -> None:
    made, _, _, found = watched(seed, hectares, sub=3 if hectares < 300 else 2)
    series = found.series[0].frame
    error = np.abs(series["area_m2"].to_numpy() / made.area_m2 - 1)
    inside = (series["area_low_m2"] <= made.area_m2) & (series["area_high_m2"] >= made.area_m2)
    assert error[made.cover == 0].max() <= 0.02
    # Cloud over the body itself; under 30 % of the scene a small lake may be hidden whole.
    assert error[series["seen_share"] >= 0.7].max() <= 0.05
    assert np.quantile(error[made.cover <= 0.3], 0.95) <= 0.05
    assert series["area_m2"].notna().mean() >= 0.80
    assert inside.mean() >= 0.90
    # An interval that covers by being wide says nothing.
    width = (series["area_high_m2"] - series["area_low_m2"]) / made.area_m2
    assert width[made.cover <= 0.3].median() <= 0.05
    assert found.event_frame.empty


POLDERS = (
    (11, 15.0, (0.50, 2.0, 0.2)), (12, 30.0, (0.40, 2.0, 0.5)), (13, 40.0, (0.30, 2.5, 0.6)), (14, 60.0, (0.60, 3.0, 0.7)),
)  # fmt: skip


@pytest.mark.parametrize(("seed", "hectares", "polder"), POLDERS)
def test_every_planted_reclamation_is_found_within_two_clear_looks(seed, hectares, polder) -> None:
    made, _, _, found = watched(seed, hectares, polder=polder)
    assert len(found.losses) == 1
    frame = found.losses[0].frame
    assert len(frame) == 1
    covered = found.losses[0].cells > 0
    r, c, h, w = found.losses[0].window
    planted = made.polder[r : r + h, c : c + w]
    assert (covered & planted).sum() / (covered | planted).sum() >= 0.7
    # Looks at nine tenths of the polygon, at whatever level.
    looks = made.begun + np.flatnonzero((made.stack.codes[made.begun :, made.polder] < 250).mean(axis=1) >= 0.9)
    days = [o.day for o in observations(made.stack.dates)]
    assert frame["confirmed"].iloc[0] <= days[looks[1]]
    assert frame["first_missed"].iloc[0] >= days[made.begun]
    # What the event shows: the last clear look with water, the first clear one that confirms.
    assert frame["before"].iloc[0] < days[made.begun] <= frame["first_missed"].iloc[0] < frame["after"].iloc[0]
    assert frame["after"].iloc[0] in {days[t] for t in looks}
    # The alert of that very day: nothing of what came after is known.
    stack = ArrayStack(made.stack.codes[: looks[1] + 1], made.stack.dates[: looks[1] + 1])
    source, then = found_bodies(stack)
    number = int(then.frame["area_m2"].to_numpy().argmax())
    assert len(watch_bodies(stack, then, source, rules(), numbers=[number]).losses) == 1
    event = found.event_frame.set_index("kind").loc["reclaimed"]
    assert event["two_observations"]
    assert "lost" not in set(found.event_frame["kind"])


def test_polder_does_not_blur_the_filled_areas() -> None:
    made, _, _, found = watched(13, 40.0, polder=(0.30, 2.5, 0.6))
    error = np.abs(found.series[0].frame["area_m2"].to_numpy() / made.area_m2 - 1)
    assert np.nanmax(error[made.cover <= 0.1]) <= 0.02
    assert np.nanquantile(error[made.cover == 0.3], 0.95) <= 0.05


def test_a_plot_given_back_is_a_gain_at_equal_level() -> None:
    """The decade of a polder played backwards: dry at first, water from some day on."""
    made = decade(13, 40.0, polder=(0.55, 2.5, 0.6))
    codes = np.ascontiguousarray(made.stack.codes[::-1])
    # Time runs backwards too, so that a season stays one.
    first, last = made.stack.dates[0], made.stack.dates[-1]
    stack = ArrayStack(codes, [first + (last - at) for at in reversed(made.stack.dates)])
    source, bodies = found_bodies(stack)
    number = int(bodies.frame["area_m2"].to_numpy().argmax())
    found = watch_bodies(stack, bodies, source, rules(), numbers=[number])
    assert [event.kind for event in found.events] == ["restored"]
    frame = found.gains[0].frame
    opened = len(codes) - made.begun
    days = [o.day for o in observations(stack.dates)]
    assert days[opened] <= frame["first_missed"].iloc[0]
    assert (frame["confirmed"].iloc[0] - frame["first_missed"].iloc[0]).days >= rules().gain.least_days
    r, c, h, w = found.gains[0].window
    planted, covered = made.polder[r : r + h, c : c + w], found.gains[0].cells > 0
    assert (covered & planted).sum() / (covered | planted).sum() >= 0.7
    assert found.events[0].last_wet is None
    assert found.events[0].before < days[opened] <= found.events[0].after


def test_gauge_matches_levels_too() -> None:
    made, bodies, _, found = watched(12, 30.0, polder=(0.40, 2.0, 0.5))
    number = found.series[0].number
    gauge = 20 + 5 * made.level
    losses, _ = body_changes(
        made.stack,
        bodies,
        number,
        observations(made.stack.dates),
        rules(),
        level_index=(gauge * np.nan, gauge * np.nan),
        gauge_m=gauge,
    )
    assert losses.frame["basis"].tolist() == ["gauge"]
    unknown, _ = body_changes(
        made.stack,
        bodies,
        number,
        observations(made.stack.dates),
        rules(),
        level_index=(gauge * np.nan, gauge * np.nan),
    )
    assert (len(unknown.frame), unknown.compared) == (0, 0)
    with pytest.raises(InvalidParameter, match="one each"):
        body_changes(
            made.stack,
            bodies,
            number,
            observations(made.stack.dates),
            rules(),
            level_index=(gauge, gauge),
            gauge_m=gauge[:3],
        )


def test_columns_of_de_africa_and_exact_counts() -> None:
    made, bodies, _, found = watched(2, 30.0)
    one = found.series[0]
    table = pd.read_csv(StringIO(one.csv()))
    assert list(table.columns) == list(COLUMNS)
    inside = bodies.paint(0, 0, *made.stack.shape) == one.number + 1
    for t in (0, 40, 119):
        codes = made.stack.codes[t][inside]
        row = one.frame.iloc[t]
        assert row["px_wet"] == ((codes == 1) | (codes == 2)).sum()
        assert row["px_invalid"] == (codes >= 250).sum()
        assert row["px_wet"] + row["px_dry"] + row["px_invalid"] == inside.sum()
        assert row["area_wet_m2"] + row["area_dry_m2"] + row["area_invalid_m2"] == pytest.approx(one.extent_m2)
        assert row["pc_wet"] + row["pc_dry"] + row["pc_invalid"] == pytest.approx(100)
    assert (one.frame["valid"] == (one.frame["flag"] == "observed")).all()
    assert set(one.frame["flag"]) <= {"observed", "filled", "prior", "none"}


def test_blocks_and_threads_change_no_count() -> None:
    made, bodies, source, _ = watched(1, 10.0)
    one = count_bodies(made.stack, bodies, source, rules())
    two = count_bodies(made.stack, bodies, source, rules(), block=13, threads=2)
    for name in ("cells", "areas_dm2", "seen", "wet", "strata", "bin", "totals"):
        assert np.array_equal(getattr(one, name), getattr(two, name)), name


def test_few_clear_dates_give_no_prior() -> None:
    made, bodies, source, _ = watched(1, 10.0)
    stack = ArrayStack(
        np.where(np.arange(120)[:, None, None] % 30 == 0, made.stack.codes, np.uint8(253)), made.stack.dates
    )
    frame = body_series(stack, bodies, source, rules())[0].frame
    assert set(frame["flag"]) <= {"observed", "none"}
    assert frame.loc[frame["flag"] == "none", "area_m2"].isna().all()


def test_bad_input() -> None:
    made, bodies, source, _ = watched(1, 10.0)
    with pytest.raises(GridMismatch):
        count_bodies(ArrayStack(made.stack.codes[:, :-1], made.stack.dates), bodies, source, rules())
    with pytest.raises(InvalidParameter, match="no body number"):
        count_bodies(made.stack, bodies, source, rules(), numbers=[99])
    naive = ArrayStack(made.stack.codes, [d.replace(tzinfo=None) for d in made.stack.dates])
    with pytest.raises(InvalidParameter, match="time zone"):
        count_bodies(naive, bodies, source, rules())


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.integers(8, 20), st.floats(0.0, 0.8))
def test_filled_values_lie_between_seen_water_and_all_water(seed: int, dates: int, hidden: float) -> None:
    rng = np.random.default_rng(seed)
    bins, cells = 10, 4
    total = rng.integers(5, 60, bins * cells)
    bin_of, cell = np.tile(np.arange(bins), cells), np.repeat(np.arange(cells), bins)
    level = rng.uniform(0, 1, dates)
    truth = (bin_of[None, :] / bins >= level[:, None]) * total
    share = rng.random((dates, bins * cells)) >= hidden
    share[: dates // 2 + 4] = True
    seen, wet = share * total, share * truth
    counts = StrataCounts(
        seen,
        wet,
        total,
        bin_of,
        cell,
        np.zeros(total.size, bool),
        np.arange(dates) * 10,
        seen.sum(axis=1) / total.sum(),
    )
    found = fill(counts, rules().series)
    known = np.isfinite(found.cells)
    assert (found.low[known] <= found.cells[known]).all()
    assert (found.cells[known] <= found.high[known]).all()
    used = np.isin(found.flag, ["observed", "filled"])
    assert (found.cells[used] >= wet.sum(axis=1)[used] - 1e-6).all()
    assert (found.cells[used] <= (total.sum() - (seen - wet).sum(axis=1))[used] + 1e-6).all()
    whole = (seen == total).all(axis=1)
    assert found.cells[whole] == pytest.approx(truth.sum(axis=1)[whole])


def test_rising_by_hand() -> None:
    assert rising(np.array([1.0, 0.0, 1.0]), np.array([1.0, 3.0, 1.0])).tolist() == [0.25, 0.25, 1.0]
    assert np.isnan(rising(np.array([1.0]), np.array([0.0]))).all()


def made_series(areas, flags=None, start=date(2018, 1, 10), step=30, extent=100.0, spread=2.0) -> BodySeries:
    areas = np.asarray(areas, float)
    days = [start + timedelta(days=step * i) for i in range(areas.size)]
    frame = pd.DataFrame(
        {
            "date": days, "flag": flags or ["observed"] * areas.size, "area_m2": areas,
            "area_low_m2": np.maximum(areas - spread, 0), "area_high_m2": areas + spread,
        }
    )  # fmt: skip
    return BodySeries("b", None, 0, frame, extent, areas.size)


def kinds(series: BodySeries, **more) -> list[tuple[str, bool, bool]]:
    return [(e.kind, e.confirmed is not None, e.ended is not None) for e in series_events(series, rules(), **more)]


YEAR = [60, 65, 70, 80, 90, 95, 100, 95, 90, 80, 70, 65]


@pytest.mark.parametrize(
    ("areas", "flags", "expected"),
    [
        (YEAR * 8, None, []),
        # Dry for good, after seven years: lost, seen twice.
        (YEAR * 7 + [1] * 12, None, [("lost", True, False)]),
        # Only the last look shows it: it waits for a second one.
        ([*YEAR * 7, 1], None, [("lost", False, False)]),
        # Dry for a summer, then water again.
        (YEAR * 7 + [0, 0, 0] + YEAR[3:] + YEAR, None, [("dried", True, True)]),
        # One bad look among good ones is nothing.
        ([*YEAR * 7, 60, 0, 70, 80], None, []),
        # Clouds: what was hardly seen makes no event, however little water it shows.
        (YEAR * 7 + [0] * 12, ["observed"] * 84 + ["prior"] * 12, []),
        # Three tenths smaller than ever in its season, for two years: the first of them is no reference for the second.
        (YEAR * 6 + [v * 0.7 for v in YEAR * 2], None, [("shrunk", True, False)]),
        # Nothing for two years, then a full pond.
        ([0] * 24 + [90] * 24, None, [("new", True, False)]),
        # Full for three months of every year, seen or not in the first two: fields under water, not a new lake.
        (
            ([0] * 5 + [90] * 3 + [0] * 4) * 4,
            (["observed"] * 5 + ["prior"] * 3 + ["observed"] * 4) * 2 + ["observed"] * 24,
            [],
        ),
        # Full since three months: it is not said yet.
        ([0] * 24 + [90] * 4, None, []),
    ],
)
def test_events_by_hand(areas, flags, expected) -> None:
    # 365-day years, so that a month is the same day of the year each time.
    series = made_series(areas, flags, step=30)
    days = [date(2012 + i // 12, i % 12 + 1, 10) for i in range(len(areas))]
    series.frame["date"] = days
    assert kinds(series) == expected


def test_what_is_not_announced_has_a_reason() -> None:
    held: list[Withheld] = []
    series = made_series([0] * 24 + [90] * 4)
    assert series_events(series, rules(), withheld=held) == []
    assert [(w.kind, w.area_m2) for w in held] == [("new", 90.0)]
    assert "天" in held[0].reason.zh
    # The same series of a lake, a pond or a paddy: only the paddy's events are explained by its kind.
    lost = series_events(made_series(YEAR * 7 + [1] * 12), rules())
    held = []
    assert settled_events(lost, "pond", held) == lost
    assert settled_events(lost, "paddy", held) == []
    assert held[0].kind == "lost"
    assert "水田" in held[0].reason.zh


def test_an_event_of_a_series_has_its_days_before_and_after() -> None:
    series = made_series(YEAR * 7 + [1] * 12, ["observed"] * 83 + ["filled"] + ["filled"] + ["observed"] * 11)
    (lost,) = series_events(series, rules())
    days = list(series.frame["date"])
    # The last observed date with water (the filled one after it was not seen well), and the first observed confirmed one.
    assert (lost.last_wet, lost.before) == (days[82], days[82])
    assert lost.first == days[84]
    assert lost.after == days[85]
    (new,) = series_events(made_series([0] * 24 + [90] * 24), rules())
    assert (new.before, new.first) == (days[23], days[24])
    assert new.last_wet is None
    assert new.after >= new.confirmed


def test_drawdown_at_a_lower_level_is_no_shrinking() -> None:
    level = np.array([20.0 + 0.1 * v for v in YEAR * 8])
    areas = np.array([10 * (v - 19.0) for v in level])
    series = made_series(areas, extent=110.0, spread=0.5)
    drawn = areas.copy()
    drawn[-12:] -= 20  # two metres lower, on the same curve
    low = level.copy()
    low[-12:] -= 2.0
    assert [k for k, *_ in kinds(made_series(drawn, extent=110.0, spread=0.5), gauge_m=low) if k == "shrunk"] == []
    # The same areas at the old levels are a loss.
    taken = made_series(np.where(np.arange(96) >= 84, areas * 0.7, areas), extent=110.0, spread=0.5)
    assert ("shrunk", True, False) in kinds(taken, gauge_m=level)
    assert kinds(series, gauge_m=level) == []


def test_events_as_features() -> None:
    import geopandas as gpd
    from shapely import box

    bodies = gpd.GeoDataFrame({"id": ["b"]}, geometry=[box(113, 30, 113.1, 30.1)], crs="EPSG:4490")
    series = made_series(YEAR * 7 + [1] * 12)
    frame = event_frame(series_events(series, rules()), bodies)
    assert frame["kind"].tolist() == ["lost"]
    assert frame["event_id"].is_unique
    assert str(frame["first"].dtype).startswith("datetime64")
    assert frame["evidence_zh"].str.contains("上限").all()
    assert len(event_frame([], bodies)) == 0


def test_level_area_storage_and_equal_level() -> None:
    level = np.linspace(20, 24, 41)
    curve = fit_level_area(level, 1e6 * (level - 18), datum="吴淞")
    assert curve.area(22.0) == pytest.approx(4e6, rel=0.02)
    assert np.isnan(curve.area(25.0))
    # ∫ 10⁶ (h − 18) dh from 21 to 23 = 8·10⁶.
    assert storage_change(curve, 21, 23) == pytest.approx(8e6, rel=0.01)
    assert storage_change(curve, 23, 21) == -storage_change(curve, 21, 23)
    with pytest.raises(OutsideExtent, match="extrapolated"):
        storage_change(curve, 19, 23)
    with pytest.raises(InvalidParameter, match="datum"):
        fit_level_area(level, level, datum="")
    with pytest.raises(InvalidParameter, match="too few"):
        fit_level_area(level[:2], level[:2], datum="1985")
    # Lower water, same curve: no change at equal level. A tenth less at the same levels: shrunk.
    area = 1e6 * (level - 18)
    assert not change_at_equal_level(level, area, level[:20], area[:20], datum="1985").shrunk
    found = change_at_equal_level(level, area, level[5:30], 0.9 * area[5:30], datum="1985")
    assert found.shrunk
    assert found.range_m == (level[5], level[29])
    with pytest.raises(InvalidParameter, match="zone"):
        levels_on([datetime(2024, 1, 1)], [datetime(2024, 1, 1, tzinfo=UTC)], np.array([1.0]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(10, 30), st.floats(0, 1e8)), min_size=4, max_size=40))
def test_level_area_never_falls(pairs) -> None:
    level, area = np.array(pairs).T
    if np.ptp(level) < 0.2:
        return
    curve = fit_level_area(level, area, datum="1985")
    assert (np.diff(curve.level_m) > 0).all() or len(curve.level_m) == 1
    assert (np.diff(curve.area_m2) >= -1e-6).all()


def test_lake_card() -> None:
    series = made_series(YEAR * 8, start=date(2018, 1, 10))
    rule = rules().lake_card
    line = ProtectionLine(101.0, range_m2=200.0)
    card = lake_card(series, 2019, rule, protection=line, natural_shore_share=0.75)
    assert card.not_reduced is True  # 100 ± 2 against 101
    assert card.surface_ratio == pytest.approx(card.mean_m2 / 200)
    values = {i.id: i for i in card.indicators}
    assert values["natural_shore"].points == 80
    assert values["shrinkage"].value == pytest.approx(100 * (1 - 100 / 101))
    assert set(card.not_assessed) == set(INDICATORS) - {"natural_shore", "shrinkage"}
    assert lake_card(series, 2019, rule, protection=ProtectionLine(120.0)).not_reduced is False
    unjudged = lake_card(series, 2019, rule)
    assert unjudged.not_reduced is None
    assert "无法判定" in unjudged.kept.reason.zh
    cloudy = lake_card(made_series(YEAR * 2, ["filled"] * 24), 2018, rule, protection=ProtectionLine(100.0))
    assert cloudy.not_reduced is None
    # Readings of the gauge above and below the least ecological level.
    level = ProtectionLine(101.0, ecological_level_m=20.5)
    met = lake_card(series, 2019, rule, protection=level, readings_m=np.array([20.0, 20.5, 21.0, np.nan]))
    assert {i.id: i.value for i in met.indicators}["ecological_level"] == pytest.approx(200 / 3)
    for wrong in ({"natural_shore_share": 75.0}, {"protection": ProtectionLine(-1.0)}, {"given": {"magic": (1.0, "")}}):
        with pytest.raises(InvalidParameter):
            lake_card(series, 2019, rule, **wrong)
    with pytest.raises(InvalidParameter, match="1999"):
        lake_card(series, 1999, rule)


def leveled(taken_from: int | None = None, share: float = 0.0) -> tuple[BodySeries, np.ndarray]:
    """A lake of 1 km² more for each metre over 18 m, level by the season; `share` of it is taken from a year on."""
    level = np.array([20.0 + 0.02 * v for v in YEAR * 8])
    areas = 1e6 * (level - 18.0)
    if taken_from is not None:
        areas[12 * taken_from :] *= 1 - share
    days = [date(2016 + i // 12, i % 12 + 1, 10) for i in range(len(areas))]
    series = made_series(areas, extent=5e6, spread=5e3)
    series.frame["date"] = days
    return series, level


@pytest.mark.parametrize(
    ("line", "year", "taken", "verdict"),
    [
        (None, 2020, 0.0, "unknown"),
        (ProtectionLine(3.4e6, 21.4), 2020, 0.0, "kept"),
        # At the line's level a twentieth is missing, though high water covers as much as the line asks for.
        (ProtectionLine(3.4e6, 21.4), 2023, 0.05, "reduced"),
        (ProtectionLine(3.4e6, 21.4), 2020, 0.05, "kept"),
        # Half a percent lies within the tolerance: not decided against the lake.
        (ProtectionLine(3.4e6, 21.4), 2023, 0.005, "kept"),
        # Far above all levels seen: nothing is extrapolated.
        (ProtectionLine(8.0e6, 26.0), 2020, 0.0, "unknown"),
    ],
)
def test_area_is_compared_at_the_level_of_the_line(line, year, taken, verdict) -> None:
    series, level = leveled(6, taken)
    found = area_kept(series, year, line, rules().lake_card, level_m=level)
    assert found.verdict == verdict
    assert found.reason.zh.startswith("无法判定") is (verdict == "unknown")
    if verdict == "kept" and taken == 0:
        assert found.area_m2 == pytest.approx(3.4e6, rel=0.01)
    if line is not None:
        without = area_kept(series, year, line, rules().lake_card)
        assert without.verdict == "unknown"
        assert "没有水位资料" in without.reason.zh


def test_what_lies_within_the_interval_is_neither_kept_nor_reduced() -> None:
    """2 % less than the line asks for: beyond the tolerance of 1 %, so the width of the interval decides."""
    verdicts = {}
    for name, half in (("narrow", 5e3), ("wide", 8e4)):
        series, level = leveled(6, 0.02)
        series.frame["area_low_m2"] = series.frame["area_m2"] - half
        series.frame["area_high_m2"] = series.frame["area_m2"] + half
        found = area_kept(series, 2023, ProtectionLine(3.4e6, 21.4), rules().lake_card, level_m=level)
        verdicts[name] = found.verdict
        assert found.reason.zh.startswith("无法判定") is (name == "wide")
    assert verdicts == {"narrow": "reduced", "wide": "unknown"}


@settings(max_examples=40, deadline=None)
@given(st.floats(21.25, 21.95), st.floats(0.5, 8.0))
def test_a_larger_protected_area_never_turns_reduced_into_kept(level_m: float, water_km2: float) -> None:
    series, level = leveled(6, 0.05)
    order = {"kept": 0, "unknown": 1, "reduced": 2}
    one, more = (
        area_kept(series, 2023, ProtectionLine(area * 1e6, level_m), rules().lake_card, level_m=level)
        for area in (water_km2, water_km2 * 1.1)
    )
    assert order[one.verdict] <= order[more.verdict]


def test_protection_lines_are_checked_when_read() -> None:
    import geopandas as gpd
    from shapely import box

    def frame(**columns) -> gpd.GeoDataFrame:
        return gpd.GeoDataFrame(columns, geometry=[box(0, 0, 1, 1)] * len(columns["name"]), crs="EPSG:4490")

    good = frame(name=["甲湖", "甲湖"], zone=["protection", "control"], water_km2=[2.0, np.nan], level_m=[20.0, np.nan])
    assert protection_lines(good) == {"甲湖": ProtectionLine(2e6, 20.0)}
    assert protection_lines(None) == {}
    for wrong, said in (
        (frame(name=["甲湖"], area=[1.0]), "water_km2"),
        (frame(name=["甲湖", "甲湖"], water_km2=[1.0, 2.0]), "more than one"),
        (frame(name=["甲湖"], water_km2=[0.0]), "positive"),
    ):
        with pytest.raises(InvalidParameter, match=said):
            protection_lines(wrong)


def test_natural_share_of_the_shore_by_length() -> None:
    import geopandas as gpd
    from shapely import LineString, box

    from analyses.water.watch.cards import natural_shore_of

    rule, lake = rules().lake_card, box(113.0, 30.0, 113.1, 30.1)

    def line(y: float, length: float) -> LineString:
        return LineString([(112.99, y), (112.99 + length, y)])

    shore = gpd.GeoDataFrame(
        {"shore": ["natural", "artificial", "unknown", "artificial"]},
        geometry=[line(30.01, 0.03), line(30.02, 0.01), line(30.03, 0.01), line(35.0, 0.03)],
        crs="EPSG:4490",
    )
    share, told = natural_shore_of(shore, lake, rule)
    assert share == pytest.approx(0.75, abs=1e-3)
    assert "80%" in told.en
    # More unknown than assessed: no share is given.
    assert (
        natural_shore_of(shore.assign(shore=["natural", "unknown", "unknown", "natural"]).iloc[1:], lake, rule)[0]
        is None
    )
    assert natural_shore_of(None, lake, rule)[0] is None
    with pytest.raises(InvalidParameter, match="shore"):
        natural_shore_of(shore.drop(columns="shore"), lake, rule)


def test_partial_water_beside_water_counts_by_a_share() -> None:
    """A lake of 20 × 20 cells with one column of partial water on its shore, and partial water that touches no water."""
    from spatial.grid import cell_areas

    codes = np.zeros((10, 40, 40), np.uint8)
    codes[:, 10:30, 10:30] = 1
    codes[:, 10:30, 30] = 4
    codes[:, 2:5, 2:5] = 3
    dates = [datetime(2020, 1 + k, 5, 3, tzinfo=UTC) for k in range(10)]
    grid = GeoBox.from_bbox((114.0, 30.0, 114.0 + 40 / 3600, 30.0 + 40 / 3600), crs="EPSG:4490", shape=(40, 40))
    counts = ((codes == 1).sum(axis=0).astype(np.uint16), np.full((40, 40), 10, np.uint16))
    loose = rules()
    relaxed = loose.model_copy(update={"bodies": loose.bodies.model_copy(update={"least_clear": 1})})
    stack, source = ArrayStack(codes, dates), ArrayFrequency(*counts)
    bodies = find_bodies(source, grid, relaxed)
    (one,) = body_series(stack, bodies, source, relaxed)
    column = float(np.asarray(cell_areas(grid))[10:30].sum())
    assert np.allclose(one.frame["area_partial_m2"], column, rtol=1e-6)
    wet = one.frame["area_wet_m2"].to_numpy(float)
    assert np.allclose(one.frame["area_m2"] - wet, 0.5 * column, rtol=1e-3)
    assert (one.frame["area_high_m2"] >= wet + column - 1e-6).all()
    assert (one.frame["area_low_m2"] <= wet + 1e-6).all()
    again = body_series(stack, bodies, source, relaxed, block=11)[0]
    assert again.frame.equals(one.frame)
