"""Flood and drought: datums, surfaces, strips, connectivity, dikes, series, grades, exposure, HAND; oracles by hand and laws."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import yaml
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from analyses.water.flood.connectivity import connect
from analyses.water.flood.crest import spill_by_blocks, spill_heights
from analyses.water.flood.datum import canonical_datum, refer_level
from analyses.water.flood.dikes import Breach, breach_cells, crest_cells
from analyses.water.flood.duration import flood_days
from analyses.water.flood.exposure import AreaTally, line_lengths, points_in_water
from analyses.water.flood.hand import drainage
from analyses.water.flood.inundation import Ground, LevelField, probability_wet
from analyses.water.flood.parameters import FloodRehearsalParameters, GivenOffset
from analyses.water.flood.plans import area_measures, certainty
from analyses.water.flood.precision import judge_precision
from analyses.water.flood.rules import flood_rules
from analyses.water.flood.series import check_series
from analyses.water.flood.start import offset_rows, offsets_of
from analyses.water.flood.strips import Cells, nearest_node, river_cells, river_nodes
from analyses.water.flood.surface import RatedProfiles, surface_by_distance, surface_by_quantile
from analyses.water.flood.warning import flood_grade
from spatial.errors import InvalidParameter, LayerDefinitionInvalid, QualityViolation
from spatial.jobs.registry import check_parameters

ROOT = Path(__file__).parents[2]
DOCUMENT = yaml.safe_load((ROOT / "layers" / "rules" / "flood.yml").read_text("utf-8"))
RULES = flood_rules({"flood": DOCUMENT})
EIGHT = np.ones((3, 3))
STEP = 1 / 3600
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def reached(depth: np.ndarray, seeds: Cells, **options: Any) -> tuple[Any, np.ndarray]:
    out = np.zeros(depth.shape, bool)

    def put(row: int, col: int, d: Any, part: Any) -> None:
        if part is not None:
            out[row : row + part.shape[0], col : col + part.shape[1]] = part

    def window(row: int, col: int, height: int, width: int) -> np.ndarray:
        return np.ascontiguousarray(depth[row : row + height, col : col + width], np.float32)

    found = connect(window, depth.shape, seeds, np.full(depth.shape[0], 900.0), put=put, **options)
    return found, out


def seed(row: int, col: int) -> Cells:
    return Cells.of(np.array([row]), np.array([col]), np.array([1]))


# --- datum -----------------------------------------------------------------------------------------------------------


def test_hankou_comes_to_1985_with_its_uncertainty() -> None:
    found = refer_level(27.30, station="汉口", datum="吴淞", target="1985", offsets=RULES.offsets.list)
    assert found.level_m == pytest.approx(25.50)
    assert (found.offset_m, found.uncertainty_m) == (-1.80, 0.10)
    assert "mem" in found.source, "what nobody checked says so"
    back = refer_level(
        found.level_m, station="汉口", datum="1985国家高程基准", target="吴淞", offsets=RULES.offsets.list
    )
    assert back.level_m == pytest.approx(27.30)


def test_the_same_datum_needs_no_offset() -> None:
    found = refer_level(20.0, station="x", datum="1985", target="1985国家高程基准", offsets=())
    assert (found.level_m, found.offset_m, found.uncertainty_m) == (20.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("station", "datum", "target"),
    [
        ("宜昌", "吴淞", "1985"),  # no offset of this station
        ("汉川", "未注明", "1985"),
        ("汉口", None, "1985"),
        ("汉口", float("nan"), "1985"),
        ("汉口", "", "1985"),
        ("汉口", "some datum", "1985"),
        ("汉口", "吴淞", None),
        ("汉口", "吴淞", "EGM96"),
    ],
)
def test_a_missing_datum_or_offset_is_refused_by_name(station: str, datum: object, target: object) -> None:
    with pytest.raises(QualityViolation) as caught:
        refer_level(27.3, station=station, datum=datum, target=target, offsets=RULES.offsets.list)
    assert caught.value.details["reason"] == "datum-missing"
    assert caught.value.details["station"] == station
    assert "flood.yml" in str(caught.value) or "datum" in str(caught.value)


def test_the_refusal_says_how_to_give_an_offset() -> None:
    with pytest.raises(QualityViolation) as caught:
        refer_level(45.0, station="沙市", datum="吴淞", target="1985", offsets=RULES.offsets.list)
    for told in (caught.value.zh, caught.value.en):
        assert all(word in told for word in ("offsets", "add_m", "uncertainty_m", "source", "沙市"))
    assert caught.value.details["parameter"] == "offsets"


def test_an_offset_given_for_a_run_comes_first_and_is_marked() -> None:
    given = GivenOffset(
        station="汉口", datum="吴淞", target="1985", add_m=-1.904, uncertainty_m=0.05, source="某水文局 2026 年函"
    )
    found = refer_level(27.30, station="汉口", datum="吴淞", target="1985", offsets=offsets_of((given,), RULES))
    assert (found.level_m, found.uncertainty_m) == (pytest.approx(25.396), 0.05)
    assert found.source.startswith("本次运行给出")
    rows = offset_rows((given,), RULES, {"汉口"})
    assert [(row["add_m"], row["given_for_run"]) for row in rows] == [(-1.904, True), (-1.80, False)]


@pytest.mark.parametrize(
    "bad", [{"source": ""}, {"source": "  x   "}, {"uncertainty_m": 0}, {"add_m": 500}, {"uncertainty_m": None}]
)
def test_an_offset_without_source_or_uncertainty_is_refused(bad: dict[str, Any]) -> None:
    good = {
        "station": "沙市",
        "datum": "吴淞",
        "target": "1985",
        "add_m": -2.1,
        "uncertainty_m": 0.1,
        "source": "某水文局 2026 年函",
    }
    check_parameters(FloodRehearsalParameters, {"offsets": [good]}, process="flood-rehearsal")
    row = {key: value for key, value in (good | bad).items() if value is not None}
    with pytest.raises(InvalidParameter):
        check_parameters(FloodRehearsalParameters, {"offsets": [row]}, process="flood-rehearsal")


def test_names_of_datums() -> None:
    assert {canonical_datum(n) for n in ("吴淞", "吴淞高程", "Wusong")} == {"wusong"}
    assert {canonical_datum(n) for n in ("1985", "1985国家高程基准", " 1985 ")} == {"1985"}


# --- surface ---------------------------------------------------------------------------------------------------------


def test_surface_between_and_beyond_gauges() -> None:
    s = surface_by_distance([(1000, 20.0), (3000, 19.0)], start_m=0, end_m=4000, slope=1e-4)
    assert s.at(np.array([0.0, 1000, 2000, 3000, 4000])).round(6).tolist() == [20.1, 20.0, 19.5, 19.0, 18.9]
    assert np.isnan(s.at(np.array([-1.0, 4001.0]))).all()


@pytest.mark.parametrize(
    "bad", [[], [(0, float("nan"))], [(0, 1.0), (0, 2.0)]], ids=["no gauge", "no number", "one chainage twice"]
)
def test_bad_gauges_are_refused(bad: list[tuple[float, float]]) -> None:
    with pytest.raises(InvalidParameter):
        surface_by_distance(bad, start_m=0, end_m=10)


def profiles() -> RatedProfiles:
    return RatedProfiles(
        np.array([0.0, 1000, 2000]), ("low", "mean", "high"), np.array([[10, 11, 14], [9, 10, 13.0], [8, 9, 12]])
    )


def test_quantile_surface_by_hand() -> None:
    # 10.5 at 0 is place 0.5, 10.5 at 2000 is place 1.5; at 1000 place 1 is 10.
    s = surface_by_quantile(profiles(), [(0, 10.5), (2000, 10.5)])
    assert s.level_m.tolist() == [10.5, 10.0, 10.5]
    assert surface_by_quantile(profiles(), [(1000, 13.0)]).level_m.tolist() == [14, 13, 12]


def test_a_level_outside_the_profiles_is_refused() -> None:
    with pytest.raises(QualityViolation, match="outside"):
        surface_by_quantile(profiles(), [(0, 14.1)])
    with pytest.raises(QualityViolation):
        RatedProfiles(np.array([0.0, 1.0]), ("a", "b"), np.array([[2.0, 1.0], [1.0, 2.0]]))


# --- strips ----------------------------------------------------------------------------------------------------------


@QUICK
@given(data=st.data(), rows=st.integers(2, 30), cols=st.integers(2, 40))
def test_strips_are_the_nearest_node_of_every_cell(data: Any, rows: int, cols: int) -> None:
    count = data.draw(st.integers(1, min(8, rows * cols)))
    at = data.draw(
        st.lists(st.integers(0, rows * cols - 1), min_size=count, max_size=count, unique=True), label="river cells"
    )
    r, c = np.divmod(np.array(at), cols)
    affine = Affine(STEP, 0, 114.0, 0, -STEP, 30.6)
    limit = data.draw(st.sampled_from([100.0, 400.0, 1e5]))
    found = np.zeros((rows, cols), np.int32)
    nearest_node(
        Cells.of(r, c, np.arange(1, count + 1)), affine, (rows, cols), limit_m=limit, rows=7, threads=2,
        put=lambda top, part: found.__setitem__(slice(top, top + len(part)), part),
    )  # fmt: skip
    from analyses.terrain import metres_per_degree

    y = 30.6 - (np.arange(rows) + 0.5) * STEP
    mx, my = metres_per_degree(y)[0] * STEP, float(metres_per_degree(30.6 - rows * STEP / 2)[1]) * STEP
    down, right = np.arange(rows)[:, None, None] - r, np.arange(cols)[None, :, None] - c
    away = np.hypot(down * my, right * mx[:, None, None])
    best = away.min(axis=2)
    assert ((found == 0) == (best > limit)).all()
    hit = found > 0
    chosen = np.take_along_axis(away, np.maximum(found - 1, 0)[..., None], 2)[..., 0]
    assert np.allclose(chosen[hit], best[hit]), "a tie may go either way"


def test_river_cells_hang_together_and_know_their_chainage() -> None:
    line = shapely.LineString([(114.0, 30.6), (114.02, 30.59), (114.03, 30.60)])
    nodes = river_nodes([line], [5000.0], [9000.0], step_m=100)
    assert (nodes.chainage_m[0], nodes.chainage_m[-1]) == (5000, 9000)
    assert (np.diff(nodes.chainage_m) > 0).all()
    cells = river_cells(nodes, Affine(STEP, 0, 113.99, 0, -STEP, 30.61), (100, 200))
    mask = np.zeros((100, 200), bool)
    mask[cells.row, cells.col] = True
    assert ndimage.label(mask, EIGHT)[1] == 1


def test_no_river_in_the_extent_is_an_error() -> None:
    with pytest.raises(InvalidParameter, match="centre line"):
        nearest_node(
            Cells.of(np.empty(0), np.empty(0), np.empty(0)),
            Affine.identity(),
            (4, 4),
            limit_m=1,
            put=lambda top, part: None,
        )


# --- connectivity ----------------------------------------------------------------------------------------------------


@QUICK
@given(
    wet=arrays(bool, st.tuples(st.integers(1, 25), st.integers(1, 25))),
    block=st.integers(1, 30),
    threads=st.integers(1, 3),
    data=st.data(),
)
def test_connectivity_is_that_of_one_labelling_whatever_the_blocks(
    wet: Any, block: int, threads: int, data: Any
) -> None:
    depth = np.where(wet, 1.25, -1.0).astype(np.float32)
    row, col = data.draw(st.integers(0, wet.shape[0] - 1)), data.draw(st.integers(0, wet.shape[1] - 1))
    labels, count = ndimage.label(wet, EIGHT)
    truth = wet & (labels == labels[row, col]) & (labels[row, col] > 0)
    found, out = reached(depth, seed(row, col), block=block, threads=threads)
    assert (out == truth).all()
    assert found.parts == count
    assert found.area_m2 == 900.0 * truth.sum()
    assert found.below_area_m2 == 900.0 * wet.sum()
    assert found.basins.cells.sum() == (wet & ~truth).sum()
    assert found.area_m2 + found.basins.area_m2.sum() == found.below_area_m2
    whole, _ = reached(depth, seed(row, col), block=64)
    assert whole.basins.first_cell.tolist() == found.basins.first_cell.tolist()


@QUICK
@given(
    ground=arrays(np.float32, (12, 14), elements=st.floats(0, 8, width=16)),
    low=st.floats(0, 8),
    rise=st.floats(0, 3),
)
def test_extent_is_monotone_in_the_level(ground: Any, low: float, rise: float) -> None:
    a = reached((low - ground).astype(np.float32), seed(6, 7))
    b = reached((low + rise - ground).astype(np.float32), seed(6, 7))
    assert (b[1] >= a[1]).all()
    assert b[0].area_m2 >= a[0].area_m2


@QUICK
@given(
    ground=arrays(
        np.float32, st.tuples(st.integers(1, 14), st.integers(1, 14)), elements=st.integers(0, 6).map(np.float32)
    ),
    data=st.data(),
)
def test_no_block_or_thread_changes_a_controlling_crest(ground: Any, data: Any) -> None:
    holes = data.draw(arrays(bool, ground.shape, elements=st.booleans()))
    source = data.draw(arrays(bool, ground.shape, elements=st.booleans())) & data.draw(arrays(bool, ground.shape))
    z = np.where(holes & ~source & (ground > 4), np.float32(np.nan), ground)
    whole = spill_heights(z, source)
    block, threads = data.draw(st.integers(1, 15)), data.draw(st.integers(1, 3))
    out, label = np.empty(z.shape, np.float32), np.empty(z.shape, np.uint16)

    def read(row: int, col: int, height: int, width: int) -> Any:
        cut = (slice(row, row + height), slice(col, col + width))
        return (z[cut], source[cut]) if np.isfinite(z[cut]).any() else None

    spill_by_blocks(read, out, label, block=block, threads=threads)
    assert np.array_equal(out, whole, equal_nan=True)


@QUICK
@given(ground=arrays(np.float32, (9, 11), elements=st.integers(0, 6)), level=st.integers(0, 6))
def test_spill_height_says_when_water_comes(ground: Any, level: int) -> None:
    """A cell is reached at a level exactly if the level is at least its spill height from the river's cell."""
    source = np.zeros(ground.shape, bool)
    source[4, 5] = True
    need = np.maximum(spill_heights(ground, source), ground[4, 5])
    _, out = reached((level - ground).astype(np.float32), seed(4, 5))
    assert (out == (need <= level)).all()


# --- dikes -----------------------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    corners=st.lists(st.tuples(st.integers(4, 56), st.integers(4, 56)), min_size=3, max_size=9, unique=True),
    shift=st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1 / 3]), st.sampled_from([0.0, 0.25, 0.5, 2 / 3])),
)
def test_no_diagonal_leak_through_a_crest_line(corners: list[tuple[int, int]], shift: tuple[float, float]) -> None:
    """A closed line, whatever its course, keeps 8-connected water out: also where it runs through the corners of cells."""
    hull = shapely.MultiPoint([(x + shift[0], y + shift[1]) for x, y in corners]).convex_hull
    if hull.geom_type != "Polygon" or hull.area < 30:
        return
    star = shapely.LineString([*hull.exterior.coords])
    cells = crest_cells([star], [9.0], [9.0], Affine(1, 0, 0, 0, 1, 0), (60, 60))
    ground = np.zeros((60, 60), np.float32)
    ground[cells.crest.row, cells.crest.col] = 9.0
    x, y = np.meshgrid(np.arange(60) + 0.5, np.arange(60) + 0.5)
    inside = shapely.contains_xy(hull, x, y) & (ground == 0)
    _, out = reached((5.0 - ground).astype(np.float32), seed(0, 0))
    assert not (out & inside).any()
    assert (out == ((ground == 0) & ~inside)).mean() > 0.98


def test_line_exactly_on_the_diagonal_takes_both_corners() -> None:
    cells = crest_cells([shapely.LineString([(0, 0), (4, 4)])], [1.0], [3.0], Affine(1, 0, 0, 0, 1, 0), (4, 4))
    mask = np.zeros((4, 4), bool)
    mask[cells.crest.row, cells.crest.col] = True
    assert mask.sum() == 10, "four on the diagonal, six beside its three inner corners"
    assert ndimage.label(~mask, EIGHT)[1] == 2


def test_crest_is_linear_along_the_line_and_missing_heights_are_refused() -> None:
    line = shapely.LineString([(0.5, 0.5), (9.5, 0.5)])
    cells = crest_cells([line], [10.0], [19.0], Affine(1, 0, 0, 0, 1, 0), (1, 10))
    assert cells.crest.value.round(6).tolist() == [10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.5, 17.5, 18.5, 19.0]
    with pytest.raises(QualityViolation, match="crest height"):
        crest_cells([line], [float("nan")], [19.0], Affine.identity(), (1, 10))


def polder(level: float, crest: float, cut: Breach | None = None) -> np.ndarray:
    """Water in the west, a dike along a meridian, low ground behind it."""
    affine = Affine(STEP, 0, 114.0, 0, -STEP, 30.6)
    ground = np.full((40, 40), 18.0, np.float32)
    ground[:, :10] = 10.0
    x = 114.0 + 20.5 * STEP
    line = shapely.LineString([(x, 30.601), (x, 30.6 - 41 * STEP)])
    dike = crest_cells([line], [crest], [crest], affine, ground.shape)

    def read(row: int, col: int, height: int, width: int) -> np.ndarray:
        return ground[row : row + height, col : col + width]

    cuts = ()
    if cut is not None:
        cells, sill, _ = breach_cells(cut, [line], affine, ground.shape, read, reach_m=60, snap_m=200)
        assert sill == (18.0 if cut.sill_m is None else cut.sill_m)
        cuts = (cells,)
    field = LevelField(Ground(read, (dike.crest,), cuts), np.ones(ground.shape, np.int32), np.array([np.nan, level]))
    out = np.zeros(ground.shape, bool)

    def put(row: int, col: int, d: Any, part: Any) -> None:
        if part is not None:
            out[row : row + part.shape[0], col : col + part.shape[1]] = part

    connect(field.depth, ground.shape, seed(20, 3), np.ones(40), put=put, block=16)
    return out[:, 22:]


def test_an_intact_dike_protects_overtopping_and_a_breach_do_not() -> None:
    gap = Breach(114.0 + 20.5 * STEP, 30.6 - 20 * STEP, 100.0)
    assert not polder(24.99, 25.0).any()
    assert polder(25.01, 25.0).all()
    assert polder(24.99, 25.0, gap).all()
    assert not polder(20.0, 25.0, Breach(gap.lon, gap.lat, 100.0, sill_m=21.0)).any()


@pytest.mark.parametrize(
    ("lon", "width", "parameter"),
    [(114.05, 100.0, "breach"), (114.0 + 20.5 * STEP, 0.0, "breach")],
    ids=["far", "width"],
)
def test_bad_breaches_are_refused(lon: float, width: float, parameter: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        polder(20.0, 25.0, Breach(lon, 30.6 - 20 * STEP, width))
    assert caught.value.details["parameter"] == parameter


# --- probability, exposure, days -------------------------------------------------------------------------------------


def test_probability_is_phi_of_depth_over_sigma() -> None:
    assert probability_wet(np.array([0.0, 0.27, -0.27]), 0.27) == pytest.approx([0.5, 0.841345, 0.158655], abs=1e-5)
    assert np.isnan(probability_wet(np.array([np.nan]), 1.0)).all()


def test_exposure_by_hand_and_by_blocks() -> None:
    depth = np.array([[0.2, 0.7, np.nan], [1.5, -0.1, 4.0]], np.float32)
    land = np.array([[1, 12, 1], [2, 1, 1]])
    density = np.array([[100.0, 1000, 5], [np.nan, 7, 200]])
    areas = np.array([1e6, 2e6])
    whole = AreaTally(areas, (0.5, 1.0, 2.0, 3.0), frozenset({1, 2}), frozenset({12}))
    whole.add(0, depth, land, density)
    rows = {row["depth_m"]: row for row in whole.rows(land=True, people=True)}
    assert (rows["0–0.5"]["area_km2"], rows["0–0.5"]["cropland_km2"], rows["0–0.5"]["people"]) == (1.0, 1.0, 100)
    assert (rows["0.5–1"]["built_km2"], rows["0.5–1"]["people"]) == (1.0, 1000)
    assert (rows["all"]["area_km2"], rows["all"]["cropland_km2"], rows["all"]["cropland_mu"]) == (6.0, 5.0, 7500.0)
    assert rows["all"]["people"] == 1500
    parts = AreaTally(areas, (0.5, 1.0, 2.0, 3.0), frozenset({1, 2}), frozenset({12}))
    for row in (1, 0):
        parts.add(row, depth[row : row + 1], land[row : row + 1], density[row : row + 1])
    assert parts.rows(land=True, people=True) == whole.rows(land=True, people=True)
    assert whole.rows(land=False, people=False)[0]["people"] is None


def test_roads_and_works_in_water() -> None:
    affine = Affine(0.01, 0, 114.0, 0, -0.01, 30.02)
    depth = np.array([[np.nan, 0.7], [np.nan, 2.5]], np.float32)
    road = shapely.LineString([(114.0, 30.015), (114.02, 30.015)])
    rows = line_lengths([road], ["national"], depth, affine, (0.5, 1.0))
    lengths = {row["depth_m"]: row["length_km"] for row in rows}
    assert lengths["0.5–1"] == pytest.approx(0.9646, abs=0.002), "half of it: 0.01° along the parallel"
    assert lengths["0–0.5"] == lengths["≥1"] == 0
    points = [shapely.Point(114.015, 30.005), shapely.Point(114.005, 30.005), shapely.Point(115, 30)]
    assert points_in_water(points, depth, affine)[0] == 2.5
    assert np.isnan(points_in_water(points, depth, affine)[1:]).all()


@QUICK
@given(
    z=arrays(np.float32, (4, 5), elements=st.floats(0, 5, width=16)),
    levels=st.lists(st.floats(0, 5), min_size=1, max_size=12),
)
def test_flood_days_are_the_sum_of_the_days(z: Any, levels: list[float]) -> None:
    rounded = [np.ceil(np.round(v / 0.01, 6)) * 0.01 for v in levels]
    days = flood_days(levels, lambda level: z <= level + 1e-9, z.shape)
    assert (days == sum((z <= v + 1e-9).astype(int) for v in rounded)).all()
    assert days.max() <= len(levels)


# --- HAND ------------------------------------------------------------------------------------------------------------


def test_hand_of_a_valley_is_the_height_above_its_floor() -> None:
    """A V-shaped valley that falls to the south: HAND is the rise of the slope, and depth follows the stage."""
    rows, cols = 60, 41
    across = np.abs(np.arange(cols) - 20.0)
    z = (100 - 0.05 * np.arange(rows)[:, None] + 2.0 * across).astype(np.float32)
    found = drainage(z, Affine(STEP, 0, 114.0, 0, -STEP, 30.6))
    hand = found.hand(z, 0.05)
    streams = found.upstream_km2 >= 0.05
    assert (hand[streams] == 0).all()
    assert (hand[np.isfinite(hand)] >= 0).all()
    # The steepest way leads down both axes: k columns cost k rows as well.
    assert np.allclose(hand[20, :], 2.05 * across, atol=0.01)
    low, high = found.flooded(z, 0.05, 3.0), found.flooded(z, 0.05, 5.0)
    assert (np.isfinite(high) >= np.isfinite(low)).all()
    assert np.nanmax(high) == pytest.approx(5.0)
    assert found.upstream_km2.max() <= 60 * 41 * 900 / 1e6
    with pytest.raises(InvalidParameter, match="threshold"):
        found.hand(z, 1e9)


@settings(max_examples=15, deadline=None)
@given(z=arrays(np.float32, (12, 13), elements=st.integers(0, 40)), lift=st.integers(1, 30))
def test_hand_does_not_know_the_datum(z: Any, lift: int) -> None:
    """Adding a height everywhere changes nothing; a stream cell has 0 and no cell lies below its stream."""
    affine = Affine(STEP, 0, 114.0, 0, -STEP, 30.6)
    a, b = drainage(z, affine), drainage(z + np.float32(lift), affine)
    one, two = a.hand(z, 0.003), b.hand(z + np.float32(lift), 0.003)
    assert np.array_equal(one, two, equal_nan=True)
    assert (one[a.upstream_km2 >= 0.003] == 0).all()
    assert np.nanmin(one) >= 0


# --- series ----------------------------------------------------------------------------------------------------------

T0 = datetime(2024, 7, 1, tzinfo=UTC)


def hours(count: int) -> list[datetime]:
    return [T0 + timedelta(hours=h) for h in range(count)]


def flags(found: Any) -> list[str]:
    return [flag for _, flag, _ in found.flagged]


@pytest.mark.parametrize(
    ("times", "levels", "kept", "expected"),
    [
        (hours(4), [20.0, 20.1, 20.2, 20.3], 4, []),
        (hours(4), [20.0, 27.0, 20.1, 20.2], 3, ["spike"]),
        (hours(4), [20.0, 13.0, 20.1, 20.2], 3, ["spike"]),
        (hours(4), [20.0, 22.0, 24.0, 26.0], 4, []),  # a steep rise is none
        ([T0, T0, T0 + timedelta(hours=1)], [20.0, 20.0, 20.1], 2, ["duplicate"]),
        ([T0, T0, T0 + timedelta(hours=1)], [20.0, 21.0, 20.1], 1, ["conflict", "conflict"]),
        ([datetime(2024, 7, 1), T0], [20.0, 20.1], 1, ["no_zone"]),
        ([None, T0], [20.0, 20.1], 1, ["no_zone"]),
        (hours(3), [20.0, float("nan"), 20.1], 2, ["missing"]),
        (hours(3), [20.0, 99.0, 20.1], 2, ["range"]),
        ([T0 + timedelta(days=d) for d in range(8)], [20.0] * 8, 1, ["flatline"] * 7),
        (hours(8), [20.0] * 8, 8, []),  # eight equal hours are none
    ],
)
def test_doubtful_values_are_flagged_and_left_out(times: Any, levels: Any, kept: int, expected: list[str]) -> None:
    found = check_series("汉口", times, levels, RULES.series, plausible_m=(5.0, 40.0))
    assert (len(found.times), flags(found)) == (kept, expected)
    assert len(found.rows()) == len(expected)
    assert len(found.times) + len(found.flagged) == len(levels)


def test_zones_are_brought_to_utc_and_order_does_not_matter() -> None:
    china = timezone(timedelta(hours=8))
    times = [datetime(2024, 7, 1, 9, tzinfo=china), datetime(2024, 7, 1, 0, tzinfo=UTC)]
    found = check_series("x", times, [20.1, 20.0], RULES.series)
    assert found.levels_m.tolist() == [20.0, 20.1]
    assert found.times[1] == datetime(2024, 7, 1, 1, tzinfo=UTC)


# --- grades, plans, precision, rules -----------------------------------------------------------------------------------

HANKOU = {"name": "汉口", "datum": "吴淞", "alert_m": 25.0, "warning_m": 27.3, "guarantee_m": 29.73}


@pytest.mark.parametrize(
    ("level", "grade", "above", "left"),
    [
        (24.99, "normal", None, 0.01),
        (25.0, "alert", 0.0, 2.3),
        (27.3, "warning", 0.0, 2.43),
        (29.73, "guarantee", 0.0, None),
    ],
)
def test_grades_of_hankou(level: float, grade: str, above: float | None, left: float | None) -> None:
    found = flood_grade(level, HANKOU, RULES.warning)
    assert (found["grade"], found["above_m"], found["to_next_m"]) == (grade, above, left)


def test_a_line_that_is_missing_is_named_and_one_out_of_order_refused() -> None:
    found = flood_grade(24.9, HANKOU | {"alert_m": None}, RULES.warning)
    assert (found["grade"], found["missing"]) == ("normal", ["alert_m"])
    assert flood_grade(24.9, {"name": "x"}, RULES.warning)["grade"] is None
    with pytest.raises(QualityViolation, match="ascend"):
        flood_grade(24.9, HANKOU | {"warning_m": 24.0}, RULES.warning)


def test_how_sure_a_line_is_reached() -> None:
    """k = 1.645: 0.33 m for a standard deviation of 0.2 m."""
    k = RULES.plans.certain_k
    found = [certainty(v, 29.5, 0.2, k) for v in (29.83, 29.82, 29.5, 29.49, 29.18, 29.17)]
    assert found == ["sure", "within_uncertainty", "within_uncertainty", "possible", "possible", "unlikely"]
    assert certainty(30.0, 29.5, None, k) is None, "an unknown uncertainty is not zero"
    assert certainty(29.5, 29.5, 0.0, k) == "sure"


def test_measures_of_areas() -> None:
    areas = [
        {"name": "a", "station": "汉口", "operation_m": 28.0},
        {"name": "b", "station": "汉口", "operation_m": 28.4},
        {"name": "c", "station": "汉口", "operation_m": 29.0},
        {"name": "d", "station": "汉口", "operation_m": None},
        {"name": "e", "station": "宜昌", "operation_m": 20.0},
    ]
    rows = area_measures(areas, "polder", {"汉口": 28.0}, RULES.plans)
    assert [row["status"] for row in rows] == ["operate", "prepare", "none", "not_assessed", "not_assessed"]
    rows = area_measures(areas, "polder", {"汉口": 28.0}, RULES.plans, 0.3)
    assert [row.get("certainty") for row in rows] == ["within_uncertainty", "possible", "unlikely", None, None]


def test_a_terrain_too_coarse_is_undecidable() -> None:
    fine, coarse = RULES.terrains.of("hankou-terrain"), RULES.terrains.of("dem")
    good = judge_precision([27.30, 29.73], HANKOU, fine, RULES)
    assert good.decidable
    assert good.sigma_m == pytest.approx((0.25**2 + 0.10**2) ** 0.5)
    bad = judge_precision([27.30, 29.73], HANKOU, coarse, RULES)
    assert not bad.decidable
    assert "无法判定" in bad.reason.zh
    assert "2.43" in bad.reason.en
    assert not judge_precision([27.30, 27.50], HANKOU, fine, RULES).decidable, "0.20 m is less than 0.25 m"
    assert not judge_precision([27.30], HANKOU, coarse, RULES).decidable, "one level against the others of the gauge"
    with pytest.raises(QualityViolation, match="error of terrain"):
        RULES.terrains.of("somewhere")


def test_a_forecast_beside_a_flood_level_still_has_its_map() -> None:
    fine, coarse = RULES.terrains.of("hankou-terrain"), RULES.terrains.of("dem")
    assert not judge_precision([27.20], HANKOU, fine, RULES).decidable, (
        "asked for on purpose: 0.10 m from the warning level"
    )
    assert judge_precision([27.20], HANKOU, fine, RULES, forecast=True).decidable
    assert not judge_precision([27.20], HANKOU, coarse, RULES, forecast=True).decidable, "nothing can be told apart"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("depth", "edges_m"), [1.0, 0.5]),
        (("precision", "k"), 0),
        (("offsets", "list"), [{"station": "汉口", "datum": "吴淞", "target": "1985", "add_m": -1.8, "source": "x"}]),
        (("terrains", "list"), [{"layer": "x", "datum": "1985", "sigma_m": 0, "source": "x"}]),
        (("surface", "source"), ""),
    ],
)
def test_a_broken_rule_file_is_refused(path: tuple[str, str], value: object) -> None:
    broken = DOCUMENT | {path[0]: DOCUMENT[path[0]] | {path[1]: value}}
    with pytest.raises(LayerDefinitionInvalid, match=r"layers/rules/flood\.yml"):
        flood_rules({"flood": broken})
