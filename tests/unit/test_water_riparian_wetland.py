"""Wetlands: measures of the pattern by hand, pairs at equal level, kinds, verdicts, patches; observations of species."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import yaml
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from odc.geo.geobox import GeoBox
from pyproj import Geod

from analyses.water.riparian.landscape import CellSides, cell_sides, landscape_measures
from analyses.water.riparian.observations import generalise, generalised_frame, season_of, species_counts
from analyses.water.riparian.rules import RiparianRules, riparian_rules
from analyses.water.riparian.wetland import (
    MUDFLAT,
    NOT_WETLAND,
    OPEN_WATER,
    PLANTS,
    UNKNOWN,
    change_cells,
    connected_wetland,
    judge,
    match_scenes,
    wetland_kinds,
)
from analyses.water.riparian.wetland_parameters import WetlandIntegrityParameters
from spatial.errors import InvalidParameter
from spatial.grid import cell_areas
from spatial.settings import PROJECT_ROOT

GEOD = Geod(ellps="GRS80")
SQUARE = CellSides(np.full(5, 100.0), np.full(6, 10.0), np.full(5, 10.0))
"""Cells of 10 m."""


@pytest.fixture(scope="module")
def rules() -> RiparianRules:
    text = (PROJECT_ROOT / "layers" / "rules" / "riparian_wetland.yml").read_text("utf-8")
    return riparian_rules({"riparian_wetland": yaml.safe_load(text)})


def _cells(*rows: str) -> np.ndarray:
    return np.array([[c == "#" for c in row] for row in rows])


# --- pattern -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "connect_m", "expected"),
    [
        # One block of 2 × 3: 8 of its 10 sides lie inside the grid; two are the border, which does not count.
        (("###..", "###..", ".....", ".....", "....."), 15, (1, 600.0, 24.0, 50.0, float("nan"), 144.0)),
        # Touching corners are one patch.
        (("#....", ".#...", ".....", ".....", "....."), 15, (1, 200.0, 8.0, 60.0, float("nan"), 16.0)),
        # Three patches in a row, 20 m between the centres of neighbours: joined 1–2 and 2–3, not 1–3.
        (("#.#.#", ".....", ".....", ".....", "....."), 25, (3, 100.0, 4.0, 70.0, 200 / 3, 12.0)),
        (("#.#.#", ".....", ".....", ".....", "....."), 40, (3, 100.0, 4.0, 70.0, 100.0, 12.0)),
        (("#.#.#", ".....", ".....", ".....", "....."), 15, (3, 100.0, 4.0, 70.0, 0.0, 12.0)),
        ((".....", ".....", ".....", ".....", "....."), 15, (0, float("nan"), 0.0, 0.0, float("nan"), 0.0)),
        (("#####",) * 5 , 15, (1, 2500.0, 100.0, 0.0, float("nan"), 2500.0)),
    ],
)  # fmt: skip
def test_measures_of_grids_computed_by_hand(
    rows: tuple[str, ...], connect_m: float, expected: tuple[float, ...]
) -> None:
    cells = _cells(*rows)
    found = landscape_measures(cells, np.ones_like(cells), SQUARE, connect_m=connect_m)
    patches, mean, largest, edge, connect, mesh = expected
    assert found.patches == patches
    assert found.mean_patch_m2 == pytest.approx(mean, nan_ok=True)
    assert found.largest_patch_percent == pytest.approx(largest)
    assert found.edge_m == pytest.approx(edge)
    assert found.edge_density_m_ha == pytest.approx(edge / 0.25)
    assert found.connect_percent == pytest.approx(connect, nan_ok=True)
    assert found.effective_mesh_m2 == pytest.approx(mesh)


def test_unknown_cells_are_no_landscape_and_make_no_edge() -> None:
    cells = _cells("##...", "##...", ".....", ".....", ".....")
    known = np.ones_like(cells)
    known[:, 2:] = False
    found = landscape_measures(cells, known, SQUARE, connect_m=15)
    assert (found.landscape_m2, found.wetland_m2, found.edge_m) == (1000.0, 400.0, 20.0)
    with pytest.raises(InvalidParameter, match="像元"):
        landscape_measures(cells, np.zeros_like(cells), SQUARE, connect_m=15)
    with pytest.raises(InvalidParameter, match="不符"):
        landscape_measures(cells[:3], known[:3], SQUARE, connect_m=15)


def test_small_patches_are_not_counted_but_their_area_is() -> None:
    cells = _cells("##..#", "##...", ".....", ".....", ".....")
    found = landscape_measures(cells, np.ones_like(cells), SQUARE, least_patch_m2=200, connect_m=15)
    assert (found.patches, found.mean_patch_m2, found.wetland_m2) == (1, 400.0, 500.0)


def test_cells_of_a_grid_have_their_true_sides() -> None:
    step = 1 / 3600
    grid = GeoBox((50, 40), Affine(step, 0, 113.3, 0, -step, 29.9), "EPSG:4490")
    sides = cell_sides(grid)
    assert sides.area_m2 == pytest.approx(cell_areas(grid))
    assert sides.across_m[10] == pytest.approx(GEOD.inv(113.3, 29.9 - 10 * step, 113.3 + step, 29.9 - 10 * step)[2])
    # A small cell is a trapezoid to a part in 10⁷.
    assert (sides.across_m[:-1] + sides.across_m[1:]) / 2 * sides.along_m == pytest.approx(sides.area_m2, rel=1e-6)


@settings(max_examples=40, deadline=None)
@given(arrays(bool, (5, 5)), arrays(bool, (5, 5)))
def test_laws_of_the_measures(cells: np.ndarray, known: np.ndarray) -> None:
    known[2, 2] = True
    found = landscape_measures(cells, known, SQUARE, connect_m=25)
    assert 0 <= found.largest_patch_percent <= 100
    assert found.wetland_m2 == pytest.approx(100.0 * (cells & known).sum())
    assert found.effective_mesh_m2 <= found.wetland_m2 + 1e-9
    assert np.isnan(found.connect_percent) or 0 <= found.connect_percent <= 100
    if found.patches:
        assert found.mean_patch_m2 * found.patches == pytest.approx(found.wetland_m2)
    turned = landscape_measures(cells[::-1, ::-1], known[::-1, ::-1], SQUARE, connect_m=25)
    assert turned.patches == found.patches
    assert turned.edge_m == pytest.approx(found.edge_m)
    other = landscape_measures(~cells, known, SQUARE, connect_m=25)
    assert other.edge_m == pytest.approx(found.edge_m)


# --- two periods ---------------------------------------------------------------------------------------------------------


def _day(year: int, month: int, day: int = 10) -> datetime:
    return datetime(year, month, day, 3, tzinfo=UTC)


def test_pairs_are_of_equal_level_or_of_equal_season(rules: RiparianRules) -> None:
    before = [_day(2015, 1), _day(2015, 7), _day(2015, 10)]
    after = [_day(2022, 1, 25), _day(2022, 8, 20), _day(2022, 10, 1)]
    by_season = match_scenes(before, after, None, None, rules.matching)
    assert [(p.before, p.after, p.basis) for p in by_season] == [(0, 0, "season"), (2, 2, "season")]
    # A level allows 60 days of the year, but a metre of difference forbids the very same day.
    by_level = match_scenes(before, after, [20.0, 21.0, 20.5], [20.1, 21.1, 21.5], rules.matching)
    assert [(p.before, p.after, p.basis, p.level_difference_m) for p in by_level] == [
        (0, 0, "level", 0.1), (1, 1, "level", 0.1),
    ]  # fmt: skip
    assert match_scenes([], after, None, None, rules.matching) == []
    year_end = match_scenes([_day(2015, 12, 30)], [_day(2022, 1, 5)], None, None, rules.matching)
    # 30 December is day 364, 5 January day 5; a year is taken as 366 days.
    assert [p.season_days for p in year_end] == [7.0]


def test_every_scene_is_used_once_and_as_many_pairs_as_can_be(rules: RiparianRules) -> None:
    """The nearest first would pair 0 with 0 and leave 1 alone."""
    before, after = [_day(2015, 5, 1), _day(2015, 4, 5)], [_day(2022, 4, 28), _day(2022, 5, 29)]
    pairs = match_scenes(before, after, None, None, rules.matching)
    assert sorted((p.before, p.after) for p in pairs) == [(0, 1), (1, 0)]


def test_kinds_on_both_sides_of_each_threshold(rules: RiparianRules) -> None:
    looks = np.full((1, 6), 20)
    water = np.array([[15, 14, 14, 1, 2, 2]])
    wet = np.array([[15, 14, 14, 1, 2, 2]])
    green = np.array([[0.9, 0.30, 0.29, 0.9, 0.9, np.nan]], np.float32)
    kinds = wetland_kinds(looks, wet, water, green, rules.kinds, least_looks=2)
    assert kinds.tolist() == [[OPEN_WATER, PLANTS, MUDFLAT, NOT_WETLAND, PLANTS, MUDFLAT]]
    seldom = wetland_kinds(np.ones((1, 6), int), wet, water, green, rules.kinds, least_looks=2)
    assert set(seldom.ravel().tolist()) == {UNKNOWN}


def test_fields_under_water_beyond_the_outline_do_not_count() -> None:
    kinds = np.full((6, 8), NOT_WETLAND, np.uint8)
    kinds[:, :3] = OPEN_WATER  # the lake
    kinds[2, 3] = PLANTS  # its reed, beyond the outline
    kinds[:2, 5:7] = PLANTS  # a paddy
    kinds[4:, 5:] = OPEN_WATER  # a polder that was given back
    inside = np.zeros((6, 8), bool)
    inside[:, :3] = True
    dry = np.where(np.arange(8) >= 5, NOT_WETLAND, kinds).astype(np.uint8)
    found = connected_wetland(kinds, inside, np.full(6, 900.0), 4000.0, dry)
    assert found[2, 3] == PLANTS
    assert (found[:2, 5:7] == NOT_WETLAND).all()
    assert (found[4:, 5:] == OPEN_WATER).all()  # new water of 5,400 m²
    assert (connected_wetland(kinds, inside, np.full(6, 900.0), 6000.0, dry)[4:, 5:] == NOT_WETLAND).all()
    # A pond that was there in the other period too, or of which nothing is known, is none of this wetland.
    for other in (kinds, None):
        assert (connected_wetland(kinds, inside, np.full(6, 900.0), 4000.0, other)[4:, 5:] == NOT_WETLAND).all()


@pytest.mark.parametrize(
    ("now", "others", "code"),
    [
        (90.0, [(100.0, 92.0), (98.0, 90.0)], "reduced"),
        (110.0, [(100.0, 105.0)], "increased"),
        (98.0, [(100.0, 95.0)], "stable"),
        (98.0, [(100.0, 94.9)], "undetermined"),
        (97.9, [(100.0, 97.0)], "reduced"),
        (90.0, [(100.0, 100.0)], "undetermined"),
        (110.0, [(100.0, 99.0)], "undetermined"),
    ],
)
def test_verdicts(rules: RiparianRules, now: float, others: list[tuple[float, float]], code: str) -> None:
    found = judge(100.0, now, others, rules.change)
    assert found.code == code
    assert (found.reason is not None) == (code == "undetermined")
    assert found.low is not None
    assert found.low <= found.change <= found.high  # type: ignore[operator]


def test_no_wetland_in_the_baseline_gives_no_verdict(rules: RiparianRules) -> None:
    assert judge(0.0, 5.0, [], rules.change).code == "undetermined"


@settings(max_examples=40, deadline=None)
@given(arrays(np.uint8, (7, 7), elements=st.integers(0, 4)), arrays(np.uint8, (7, 7), elements=st.integers(0, 4)))
def test_loss_of_one_way_is_gain_of_the_other(before: np.ndarray, after: np.ndarray) -> None:
    loss, gain = change_cells(before, after, 0)
    back, forth = change_cells(after, before, 0)
    assert (loss == forth).all()
    assert (gain == back).all()
    assert not (loss & gain).any()
    assert not (loss & ((before == UNKNOWN) | (after == UNKNOWN))).any()
    opened, _ = change_cells(before, after, 1)
    assert not (opened & ~loss).any()


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"baseline_layer": "a", "baseline_raster": "b", "baseline_codes": [1]}, "exclude"),
        ({"baseline_raster": "b"}, "baseline_codes"),
        ({"baseline_months": [0], "baseline_layer": "a"}, "1 to 12"),
        ({"baseline_from": 2020, "baseline_to": 2015}, "end before"),
        ({"current_from": 1800}, "1972"),
        ({"site": ""}, "site"),
    ],
)
def test_parameters_that_do_not_fit(given: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        WetlandIntegrityParameters.model_validate(given)


# --- observations --------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.floats(108, 117), st.floats(29, 34), st.sampled_from([0.01, 0.05, 0.1]))
def test_a_generalised_place_lies_within_its_uncertainty_and_stays(lon: float, lat: float, degrees: float) -> None:
    one = generalise([lon], [lat], degrees)
    away = GEOD.inv(lon, lat, one.lon[0], one.lat[0])[2]
    assert away <= one.uncertainty_m[0] * 1.001
    again = generalise(one.lon, one.lat, degrees)
    assert (again.lon[0], again.lat[0]) == (one.lon[0], one.lat[0])


def test_swapped_axes_and_an_empty_cell_are_refused() -> None:
    with pytest.raises(InvalidParameter, match="经纬度"):
        generalise([30.0], [114.0], 0.05)
    with pytest.raises(InvalidParameter, match="网格"):
        generalise([114.0], [30.0], 0.0)


def test_protected_species_keep_nothing_of_their_place(rules: RiparianRules) -> None:
    import shapely

    points = [shapely.Point(113.31234, 29.83123)] * 3
    frame = gpd.GeoDataFrame({"protection_grade": ["1", "2", None]}, geometry=points, crs=4490)
    found = generalised_frame(frame, rules.observations)
    assert [(round(p.x, 6), round(p.y, 6)) for p in found.geometry] == [
        (113.325, 29.825), (113.325, 29.825), (113.315, 29.835),
    ]  # fmt: skip
    assert found["coordinate_uncertainty_m"].tolist()[0] > 3000 > found["coordinate_uncertainty_m"].tolist()[2]
    assert found["data_generalizations"].str.contains("0.05").tolist() == [True, True, False]
    assert frame.geometry.iloc[0].x == 113.31234


def test_counts_of_several_days_are_never_added() -> None:
    def row(name: str, count: int, day: date, grade: str | None = None) -> dict[str, Any]:
        return {
            "scientific_name": name, "vernacular_name_zh": "鸟", "vernacular_name_en": "bird", "protection_grade": grade,
            "individual_count": count, "event_date": day, "survey": day.isoformat(),
        }  # fmt: skip

    rows = [
        row("Fulica atra", 100, date(2023, 12, 10)), row("Fulica atra", 40, date(2023, 12, 10)),
        row("Fulica atra", 90, date(2024, 1, 10)), row("Grus grus", 3, date(2024, 1, 10), "2"),
    ]  # fmt: skip
    crane, coot = species_counts(rows)
    assert (crane["scientific_name"], coot["scientific_name"]) == ("Grus grus", "Fulica atra")
    assert (coot["most"], coot["mean"], coot["surveys"], coot["last_seen"]) == (140, 115.0, 2, "2024-01-10")
    assert (coot["winter_most"], coot["spring_most"]) == (140, None)
    assert season_of(date(2023, 12, 1)) == season_of(date(2024, 2, 29)) == ("winter", 2024)


def test_the_sample_layer_holds_generalised_places_only(rules: RiparianRules) -> None:
    frame = gpd.read_file(PROJECT_ROOT / "data-samples" / "thematic" / "bird-observations.gpkg")
    again = generalised_frame(frame, rules.observations)
    assert np.abs(again.geometry.x - frame.geometry.x).max() < 1e-6
    assert np.abs(again.geometry.y - frame.geometry.y).max() < 1e-6
    assert frame["occurrence_id"].is_unique
    assert frame.groupby("scientific_name")["protection_grade"].nunique(dropna=False).eq(1).all()
    surveys = gpd.read_file(PROJECT_ROOT / "data-samples" / "thematic" / "bird-surveys.gpkg")
    assert surveys["individuals"].sum() == frame["individual_count"].sum()
