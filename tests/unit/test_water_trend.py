"""Trends, shifts, alerts and the corridor: hand values, scipy, an independent implementation, laws, bad input."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import geopandas
import numpy as np
import pandas
import pytest
import rasterio
import shapely
import yaml
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from pyproj import Geod
from scipy import stats

from analyses.landcover.classifier import cross_validate, grouped_folds
from analyses.landcover.samples import Samples, on_grid, training_cells
from analyses.water.series.alerts import confirmed_alerts
from analyses.water.series.change_point import page_cusum, pettitt
from analyses.water.series.rules import change_rules
from analyses.water.series.trend import mann_kendall, season_matched, seasonal_mann_kendall, theil_sen, trend_of
from analyses.water.shore.corridor_change import corridor_change, geodesic_buffer
from spatial.errors import GridMismatch, InvalidParameter, LayerDefinitionInvalid
from spatial.grid import cell_areas
from spatial.units import geodesic_areas

ROOT = Path(__file__).parents[2]
RULE_FILE = ROOT / "layers" / "rules" / "change_alerts.yml"
RULES = change_rules({"change_alerts": yaml.safe_load(RULE_FILE.read_text("utf-8"))})

RISING = [3.1, 2.9, 3.4, 3.6, 3.3, 3.8, 4.1, 3.9, 4.4, 4.2, 4.0, 4.6, 4.9, 4.7, 5.2, 5.0, 5.1, 5.5, 5.3, 5.8]
# An autoregressive series (0.8 a step) with a slope of 0.02, seeded once.
SLUGGISH = [
    0.0, 0.842, 1.028, -0.453, 0.575, 0.942, 0.257, 0.831, 1.077, 1.208, 1.051, 1.447, 0.485, 0.293, -0.175, 0.535, 0.547,
    0.229, -0.51, -0.573, -0.355, -0.459, 1.031, 1.939, -1.048, -2.611, -2.144, -2.013, -1.269, -0.666, 1.721, 0.405, 0.09,
    2.263, 2.609, 2.906, 1.971, 0.093, 0.41, 0.609,
]  # fmt: skip
MONTHLY = [
    -1.227, 0.775, 2.492, 2.108, 2.71, 1.991, 0.579, -1.419, -1.517, -1.861, -2.356, -2.715, 0.972, 1.197, 3.684, 2.221,
    3.962, 2.115, -0.465, -0.986, -1.816, -2.24, -3.419, -2.764, 0.68, 1.472, 3.28, 4.292, 1.639, 2.63, 2.248, -0.73,
    -2.441, -1.52, -1.943, -0.521, 0.375, 0.696, 3.174, 3.327, 4.303, 2.809, -0.367, -1.388, -0.507, -1.353, -2.597, -1.178,
    1.406, 2.887, 4.401, 4.269, 3.673, 2.597, 2.559, -2.203, -1.289, -1.76, -3.142, -0.604,
]  # fmt: skip


def test_mann_kendall_by_hand() -> None:
    found = mann_kendall([1, 2, 3, 4, 5], hamed_rao=False)
    assert (found.s, found.tau) == (10, 1.0)
    assert found.variance == pytest.approx(5 * 4 * 15 / 18)
    assert found.z == pytest.approx(9 / math.sqrt(50 / 3))
    # With ties: [1, 2, 2, 3] has S = 5 and Var = (4·3·13 − 2·1·9)/18.
    tied = mann_kendall([1, 2, 2, 3], hamed_rao=False)
    assert tied.s == 5
    assert tied.variance == pytest.approx((156 - 18) / 18)


@pytest.mark.parametrize("values", [RISING, SLUGGISH, [1, 2, 2, 3, 5, 4, 4, 8]])
def test_tau_is_that_of_scipy(values: list[float]) -> None:
    found = mann_kendall(values, hamed_rao=False)
    assert found.tau == pytest.approx(stats.kendalltau(np.arange(len(values)), values).statistic)


def test_as_an_independent_implementation_has_it() -> None:
    """pyMannKendall 1.4.3 on the same series."""
    plain = mann_kendall(RISING, hamed_rao=False)
    assert (plain.s, plain.variance) == (166, pytest.approx(950.0))
    assert plain.z == pytest.approx(5.353306897315163)
    assert plain.p == pytest.approx(8.636119064320269e-08, rel=1e-6)
    slow = mann_kendall(SLUGGISH, hamed_rao=False)
    assert (slow.s, slow.variance, slow.p) == (-18, pytest.approx(7366.666666666667), pytest.approx(0.842992183820956))
    corrected = mann_kendall(SLUGGISH)
    assert corrected.variance == pytest.approx(14016.551829268292, rel=1e-9)
    assert corrected.z == pytest.approx(-0.14359136624255858, rel=1e-9)
    # Here residuals tie up to rounding, which it ranks apart: 532.5 there, 538.5 here.
    assert mann_kendall(RISING).variance == pytest.approx(532.53, rel=0.02)
    monthly, seasons = seasonal_mann_kendall(MONTHLY, np.arange(60) % 12)
    assert (monthly.s, monthly.tau, seasons) == (36, pytest.approx(0.3), 12)
    assert monthly.variance == pytest.approx(200.0)
    assert monthly.z == pytest.approx(2.4748737341529163)


def test_autocorrelation_makes_the_test_honest() -> None:
    """Series without trend but with memory: the plain test cries wolf, the corrected one much less."""
    rng = np.random.default_rng(20)
    plain = corrected = 0
    for _ in range(150):
        x = np.zeros(40)
        for k in range(1, 40):
            x[k] = 0.6 * x[k - 1] + rng.normal()
        plain += mann_kendall(x, hamed_rao=False).p < 0.05
        corrected += mann_kendall(x).p < 0.05
    assert plain / 150 > 0.15
    assert corrected < 0.75 * plain


def test_missing_values_keep_their_place() -> None:
    gappy = [*RISING]
    gappy[5] = gappy[11] = float("nan")
    found = mann_kendall(gappy)
    assert found.n == 18
    assert found.p < 0.001
    with pytest.raises(InvalidParameter, match="at least 4"):
        mann_kendall([1.0, float("nan"), 2.0, 3.0])


def test_a_flat_series_has_no_trend() -> None:
    found = mann_kendall([2.0] * 12)
    assert (found.s, found.p) == (0, 1.0)
    assert math.isnan(found.tau)


def test_theil_sen_by_hand_and_by_scipy() -> None:
    slope, start, low, high = theil_sen([0, 1, 2, 3], [1.0, 3.0, 5.0, 100.0])
    assert slope == 17.5
    assert start == pytest.approx(4.0 - 17.5 * 1.5)
    t = np.arange(20) / 12
    slope, start, low, high = theil_sen(t, RISING)
    oracle = stats.theilslopes(RISING, t)
    assert (slope, low, high) == pytest.approx((oracle.slope, oracle.low_slope, oracle.high_slope))
    assert start == pytest.approx(oracle.intercept)
    with pytest.raises(InvalidParameter, match="two different times"):
        theil_sen([1, 1], [1.0, 2.0])


@given(st.lists(st.floats(-100, 100, allow_nan=False), min_size=6, max_size=20), st.floats(0.01, 50))
def test_a_steeper_line_never_lowers_the_slope(values: list[float], more: float) -> None:
    t = np.arange(len(values), dtype=float)
    base = theil_sen(t, values)[0]
    assert theil_sen(t, np.asarray(values) + more * t)[0] == pytest.approx(base + more, abs=1e-6)


@given(st.permutations(list(range(9))))
def test_reversing_time_reverses_the_test(order: list[int]) -> None:
    there, back = mann_kendall(order, hamed_rao=False), mann_kendall(order[::-1], hamed_rao=False)
    assert (there.s, there.p) == (-back.s, pytest.approx(back.p))


def test_trend_of_monthly_data_compares_months_with_months() -> None:
    times = pandas.date_range("2019-01-15", periods=60, freq="MS", tz="UTC")
    season = 10 * np.sin(2 * np.pi * np.arange(60) / 12)
    rng = np.random.default_rng(2)
    values = season + 0.5 * np.arange(60) / 12 + rng.normal(0, 0.3, 60)
    found = trend_of(list(times), values, RULES.trend)
    assert found.direction == "increasing"
    assert found.slope_per_year == pytest.approx(0.5, abs=0.15)
    assert "seasonal" in found.method
    flat = trend_of(list(times), season + rng.normal(0, 0.3, 60), RULES.trend)
    assert flat.direction == "none"
    few = trend_of(list(times[:6]), values[:6], RULES.trend)
    assert (few.direction, few.slope_per_year) == ("not_assessed", None)
    assert few.reason == "6 < 10 observations"


def test_season_matched_pairs() -> None:
    days = np.array(["2020-01-02", "2020-07-01", "2020-12-28", "2021-07-11", "2023-06-25"], dtype="datetime64[D]")
    # 2 January and 28 December are five days apart in the season; July meets July.
    assert season_matched(days, 30) == [(0, 2), (1, 3), (3, 4)]
    assert season_matched(days[:1], 30) == []


# Shifts


def test_page_cusum_by_hand() -> None:
    # Reference of eight: median 0, MAD 1/1.4826 → spread 1.
    unit = 1 / 1.4826
    reference = [unit, -unit] * 4
    found = page_cusum([*reference, 2.0, 2.0, 2.0, 2.0, 0.0], RULES.cusum, reference=8)
    assert (found.centre, found.spread) == pytest.approx((0.0, 1.0))
    assert found.upper[8:12] == pytest.approx(np.array([1.5, 3.0, 4.5, 6.0]))
    assert [(s.signalled, s.began, s.upward) for s in found.shifts] == [(11, 8, True)]
    assert found.upper[12] == 0.0  # the sum starts anew


def test_page_cusum_finds_a_planted_shift_and_leaves_noise_alone() -> None:
    rng = np.random.default_rng(5)
    delay, start, false = [], [], 0
    for _ in range(40):
        noise = rng.normal(0, 1, 60)
        moved = noise.copy()
        moved[40:] -= 3.0
        moved[45] = np.nan
        # Signals before the shift are counted below as false ones.
        late = [s for s in page_cusum(moved, RULES.cusum, reference=24).shifts if s.signalled >= 40 and not s.upward]
        assert late
        delay.append(late[0].signalled - 40)
        start.append(abs(late[0].began - 40))
        false += bool(page_cusum(noise[:40], RULES.cusum, reference=24).shifts)
    assert np.median(delay) <= 2
    assert np.median(start) <= 2
    assert false <= 8  # 16 values after an estimated reference


def test_cusum_refuses_a_reference_that_says_nothing() -> None:
    with pytest.raises(InvalidParameter, match="at least 8"):
        page_cusum([1.0, 2.0, 3.0], RULES.cusum)
    with pytest.raises(InvalidParameter, match="flatline"):
        page_cusum([1.0] * 20 + [2.0], RULES.cusum)


def test_pettitt_by_hand_and_on_a_shift() -> None:
    at, k, p = pettitt([1, 2, 1, 2, 9, 8, 9, 8])
    assert (at, k) == (4, 16)
    assert p == pytest.approx(2 * math.exp(-6 * 256 / (512 + 64)))
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, 40)
    x[25:] += 3
    at, _, p = pettitt(x)
    assert abs(at - 25) <= 1
    assert p < 0.01
    with pytest.raises(InvalidParameter):
        pettitt([1.0, float("nan"), 2.0, 3.0])


# Alerts


def days(*offsets: int) -> list[datetime]:
    return [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=k) for k in offsets]


def test_one_observation_is_a_suspicion_two_are_an_alert() -> None:
    times = days(0, 10, 20, 30, 40, 50)
    found = confirmed_alerts(times, [1, 9, 1, 9, 8, 1], 5, RULES.confirmation)
    assert [(a.state, a.observations, a.peak) for a in found] == [("dismissed", 1, 9.0), ("ended", 2, 9.0)]
    assert found[1].began == times[3]
    assert found[1].confirmed == times[4]
    assert found[1].ended == times[5]


def test_a_cloud_neither_confirms_nor_ends() -> None:
    found = confirmed_alerts(days(0, 10, 20, 30), [9, float("nan"), 9, float("nan")], 5, RULES.confirmation)
    assert [(a.state, a.observations) for a in found] == [("confirmed", 2)]
    assert confirmed_alerts(days(0, 10), [9, float("nan")], 5, RULES.confirmation)[0].state == "suspected"


def test_two_observations_too_far_apart_do_not_confirm() -> None:
    found = confirmed_alerts(days(0, 96), [9, 9], 5, RULES.confirmation)
    assert [a.state for a in found] == ["suspected", "suspected"]
    assert confirmed_alerts(days(0, 95), [9, 9], 5, RULES.confirmation)[0].state == "confirmed"


def test_below_a_threshold() -> None:
    found = confirmed_alerts(days(0, 10, 20), [4.0, 2.0, 3.0], 5, RULES.confirmation, above=False)
    assert found[0].peak == 2.0
    assert found[0].as_dict()["state"] == "confirmed"
    assert confirmed_alerts(days(0), [5.0], 5, RULES.confirmation, above=False) == ()  # the threshold itself is within


@pytest.mark.parametrize(
    ("times", "values", "match"),
    [
        (days(0, 0), [1, 2], "rise strictly"),
        (days(10, 0), [1, 2], "rise strictly"),
        (days(0), [1, 2], "shape"),
        ([datetime(2024, 1, 1)], [1], "without a zone"),
    ],
)
def test_bad_series_of_alerts(times: list[datetime], values: list[float], match: str) -> None:
    with pytest.raises(InvalidParameter, match=match):
        confirmed_alerts(times, values, 5, RULES.confirmation)


@given(st.lists(st.floats(0, 10), min_size=1, max_size=20), st.floats(0, 10), st.floats(0, 5))
def test_a_higher_threshold_never_confirms_more_observations(values: list[float], low: float, more: float) -> None:
    times = days(*range(len(values)))

    def confirmed(threshold: float) -> int:
        found = confirmed_alerts(times, values, threshold, RULES.confirmation)
        return sum(a.observations for a in found if a.confirmed is not None)

    assert confirmed(low + more) <= confirmed(low)


# The corridor


def test_the_buffer_is_geodesic_wherever_and_however_long() -> None:
    geod = Geod(ellps="GRS80")
    line = shapely.LineString([(111.0, 30.3), (113.4, 29.6), (116.1, 29.8)])  # 500 km of the Yangtze
    zone = geodesic_buffer(line, 1000)
    rng = np.random.default_rng(1)
    for share in rng.uniform(0.01, 0.99, 40):
        near = line.interpolate(share, normalized=True)
        before, after = line.interpolate(share - 1e-4, normalized=True), line.interpolate(share + 1e-4, normalized=True)
        azimuth = geod.inv(before.x, before.y, after.x, after.y)[0] + 90
        assert zone.contains(shapely.Point(geod.fwd(near.x, near.y, azimuth, 998)[:2]))
        if abs(share - line.project(shapely.Point(113.4, 29.6), normalized=True)) > 0.02:
            assert not zone.contains(shapely.Point(geod.fwd(near.x, near.y, azimuth, 1002)[:2]))
    point = geodesic_areas([geodesic_buffer(shapely.Point(114.3, 30.6), 1000)])[0]
    assert point == pytest.approx(math.pi * 1e6, rel=2e-3)


def test_a_polygon_keeps_its_inside() -> None:
    lake = shapely.box(114.0, 30.0, 114.2, 30.2)
    zone = geodesic_buffer(lake, 1000)
    assert zone.contains(lake)
    geod = Geod(ellps="GRS80")
    length = geod.geometry_length(lake.exterior)
    ring = geodesic_areas([zone])[0] - geodesic_areas([lake])[0]
    assert ring == pytest.approx(length * 1000 + math.pi * 1e6, rel=1e-3)


@pytest.mark.parametrize("distance", [0, -5, 100_001, float("nan")])
def test_a_distance_that_is_none_is_refused(distance: float) -> None:
    with pytest.raises(InvalidParameter, match="buffer distance"):
        geodesic_buffer(shapely.Point(114, 30), distance)


def test_corridor_change_by_hand() -> None:
    """A river along a row of cells of about 1 km: its row and one on each side are the corridor."""
    step = 0.009
    grid = GeoBox((9, 20), Affine(step, 0, 114.0, 0, -step, 30.0 + 9 * step), "EPSG:4490")
    row = 30.0 + 4.5 * step
    river = shapely.LineString([(113.9, row), (114.3, row)])
    earlier, later = np.full((9, 20), 1, np.uint8), np.full((9, 20), 1, np.uint8)
    later[3, :5] = 12
    later[0, :] = 12  # far away: does not count
    later[5, 7] = 0
    found = corridor_change(earlier, later, grid, river, 1000, (1, 12))
    assert found.transitions.cells.tolist() == [[54, 5], [0, 0]]
    area = cell_areas(grid)
    assert found.corridor_m2 == pytest.approx(20 * area[3:6].sum())
    assert found.valid_share == pytest.approx(1 - area[5] / (20 * area[3:6].sum()))
    with pytest.raises(InvalidParameter, match="axis order"):
        corridor_change(earlier, later, grid, shapely.LineString([(30.04, 84.0), (30.05, 84.2)]), 1000, (1, 12))
    with pytest.raises(GridMismatch):
        corridor_change(earlier[:-1], later[:-1], grid, river, 1000, (1, 12))


@settings(max_examples=15, deadline=None)
@given(st.floats(300, 4000), st.floats(1.0, 3.0))
def test_a_wider_corridor_never_holds_less(distance: float, more: float) -> None:
    line = shapely.LineString([(114.0, 30.0), (114.1, 30.05)])
    narrow, wide = (geodesic_areas([geodesic_buffer(line, d)])[0] for d in (distance, distance * more))
    assert wide >= narrow * (1 - 1e-9)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda d: d["trend"].update(alpha=0.6),
        lambda d: d["confirmation"].pop("source"),
        lambda d: d["corridor"].update(width_m=-1),
        lambda d: d.pop("cusum"),
    ],
)
def test_a_broken_rule_file_is_refused(break_it) -> None:
    document = yaml.safe_load(RULE_FILE.read_text("utf-8"))
    break_it(document)
    with pytest.raises(LayerDefinitionInvalid, match=r"change_alerts\.yml"):
        change_rules({"change_alerts": document})


# Real data


def test_land_cover_of_north_carolina_by_whole_polygons(reference_data: Path) -> None:
    """Unshuffled folds by polygon: the floor of 0.69 that the corridor's land cover rests on."""
    folder = reference_data / "water" / "nc_landsat_lulc"
    if not folder.is_dir():
        pytest.skip(f"没有参考数据 / no reference data: {folder.name}")
    bands = []
    for number in (10, 20, 30, 40, 50, 70):
        with rasterio.open(folder / f"lsat7_2000_{number}.tif") as scene:
            values = scene.read(1).astype(np.float32)
            values[values == scene.nodata] = np.nan
            bands.append(values)
            grid = GeoBox(scene.shape, scene.transform, scene.crs)
    polygons = on_grid(geopandas.read_file(folder / "landsat96_polygons.shp"), grid, layer="landsat96")
    cells = training_cells(polygons.geometry.array, polygons["id"].to_numpy(), grid, all_touched=True)
    rows, cols = grid.shape
    on = (cells.row >= 0) & (cells.row < rows) & (cells.col >= 0) & (cells.col < cols)
    x = np.full((cells.row.size, 6), np.nan, np.float32)
    x[on] = np.stack([b[cells.row[on], cells.col[on]] for b in bands], axis=1)
    samples = Samples(x, cells.label, cells.group).valid(partial=False)
    found = cross_validate(
        samples, grouped_folds(samples), method="random_forest", trees=100, threads=2, importance=False
    )
    assert found.accuracy >= 0.69
    assert found.kappa >= 0.59
