"""Candidates of 四乱, vessels that stay and nets: laws on small arrays, and the planted truth of the synthetic reach at Wuhan."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from analyses.water.extent.rules import water_extent_rules
from analyses.water.shore.candidate_rules import (
    BARE,
    BUILT,
    DARK,
    PILE,
    SPARSE,
    UNSEEN,
    VEGETATION,
    WATER,
    TableRule,
    candidate_rules,
)
from analyses.water.shore.candidates_analysis import _shares
from analyses.water.shore.disturbance import LevelCounts, Looks, changed_cells
from analyses.water.shore.dredgers import Target, bright_targets, vessel_places
from analyses.water.shore.enclosure_nets import high_pass, net_patches
from analyses.water.shore.patches import find_patches
from analyses.water.shore.radar_looks import search_radar
from analyses.water.shore.surfaces import change_features, surface_classes
from spatial.catalog import load_catalog
from spatial.errors import InvalidParameter, LayerEmpty
from spatial.intake import publish_layer
from spatial.jobs.contract import SceneBand, SceneRecord
from spatial.jobs.inputs import load_rules
from spatial.jobs.result import RunResult
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore

ALL_RULES = load_rules(PROJECT_ROOT / "layers" / "rules")[0]
RULES = candidate_rules(ALL_RULES)
EXTENT = water_extent_rules(ALL_RULES)
SIDES = (10.27, 8.87)
CELL = 1 / 3600 / 3
AFFINE = Affine(CELL, 0, 114.3, 0, -CELL, 30.6)


def generator() -> Any:
    """The program that makes the sample scenes, as a module."""
    path = PROJECT_ROOT / "data-samples" / "scripts" / "corridor_scenes.py"
    if "corridor_scenes" not in sys.modules:
        spec = importlib.util.spec_from_file_location("corridor_scenes", path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["corridor_scenes"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["corridor_scenes"])
    return sys.modules["corridor_scenes"]


SPECTRA = generator().SPECTRA


def spectrum(*names: str) -> dict[str, np.ndarray]:
    """Reflectance of the named covers, one cell each."""
    values = np.array([SPECTRA[name] for name in names], dtype=np.float32).T
    return dict(zip(generator().BANDS, values[:, None, :], strict=True))


# --- surfaces and single cells ------------------------------------------------------------------------------------------

COVER = {WATER: "river", VEGETATION: "forest", BARE: "bare", BUILT: "town", PILE: "sand", DARK: "mud", SPARSE: "straw"}
FEATURES = {code: change_features(spectrum(name))[:, 0, 0] for code, name in COVER.items()} | {
    UNSEEN: np.full(4, np.nan, np.float32)
}
"""Looks every second month: a year before, a year after."""
DAYS = np.array([19_000 + 61 * k for k in range(12)])
LOOKS = Looks(DAYS, (15 + 61 * np.arange(12)) % 365 + 1, np.arange(12) < 6)


def test_surfaces_of_hand_made_spectra() -> None:
    names = ("river", "lake", "forest", "grass", "bare", "beach", "town", "sand", "mud", "paddy")
    codes = surface_classes(spectrum(*names), None, RULES.surface, EXTENT)[0].tolist()
    assert codes == [
        WATER,
        WATER,
        VEGETATION,
        VEGETATION,
        BARE,
        BARE,
        BUILT,
        PILE,
        DARK,
        WATER,
    ]  # a flooded paddy is water
    bands = spectrum("river", "sand")
    bands["nir"][0, 0] = np.nan
    assert surface_classes(bands, np.array([[0, 253]], np.uint8), RULES.surface, EXTENT).tolist() == [[UNSEEN, UNSEEN]]


def features_of(codes: np.ndarray) -> np.ndarray:
    table = np.stack([FEATURES[code] for code in range(8)])
    return np.moveaxis(table[codes], -1, 1).astype(np.float32)


def judge(rows: list[list[int]], *, levels: list[float] | None = None, least: float | None = None) -> dict[str, Any]:
    """Histories of single cells, one a list of codes over the looks."""
    codes = np.array(rows, dtype=np.uint8).T[:, None, :]
    group = np.ones(codes.shape[1:], np.uint16)
    index = np.tile(np.array(levels if levels else [0.5] * 12, np.float32), (2, 1))
    return changed_cells(codes, features_of(codes), group, index, LOOKS, RULES, least_change=least)


W, V, B, U, P, D, S, X = WATER, VEGETATION, BARE, BUILT, PILE, DARK, SPARSE, UNSEEN


@pytest.mark.parametrize(
    ("history", "row"),
    [
        ([V] * 6 + [U] * 6, "built"),
        ([V, B, V, V, B, V] + [U] * 6, "built"),
        ([B] * 6 + [P] * 6, "heap"),
        ([V] * 6 + [P] * 6, "heap"),
        ([V] * 6 + [B] * 6, "cleared"),
        ([W] * 6 + [B] * 6, "fill"),
        ([W] * 6 + [V] * 6, "reclaimed"),
        ([W] * 6 + [U] * 6, "platform"),
        ([V] * 6 + [D] * 6, "pit"),
        ([B] * 6 + [W] * 6, "pit"),
        ([V] * 6 + [U, X, U, X, X, U], "built"),
    ],
)
def test_what_was_done_is_named(history: list[int], row: str) -> None:
    number = int(judge([history])["row"][0, 0])
    assert RULES.table.rows[number - 1].id == row


@pytest.mark.parametrize(
    ("history", "levels"),
    [
        ([V] * 12, None),
        ([V, B, V, V, B, V] * 2, None),  # a field
        ([V, S, V, V, S, V] + [B] * 6, None),  # thin in winter: bare ground proves nothing
        ([V] * 6 + [X] * 6, None),  # cloud
        ([X] * 6 + [U] * 6, None),  # never seen before
        ([V, V, X, X, X, X] + [U] * 6, None),  # too seldom seen before
        ([V] * 6 + [U, U, U, V, V, V], None),  # taken away again
        ([W] * 6 + [B] * 6, [0.6] * 6 + [0.2] * 6),  # drawdown below every level before
        ([W, B, W, W, B, W] + [B] * 6, None),  # a beach
        ([V] * 6 + [W] * 6, [0.4] * 6 + [0.9] * 6),  # a flood above every level before
        ([U] * 6 + [B] * 6, None),  # pulled down
        ([B] * 6 + [V] * 6, None),  # overgrown
    ],
)
def test_what_is_no_disturbance(history: list[int], levels: list[float] | None) -> None:
    assert judge([history], levels=levels)["row"].tolist() == [[0]]


def test_a_season_that_was_never_seen_before_is_not_judged() -> None:
    winter = Looks(DAYS, np.array([20, 25, 30, 35, 28, 22, 200, 210, 205, 20, 200, 200]), LOOKS.before)
    codes = np.array([[V] * 6 + [B] * 3 + [X] * 3]).T[:, None, :].astype(np.uint8)
    levels = np.full((2, 12), 0.5, np.float32)
    group = np.ones((1, 1), np.uint16)
    assert changed_cells(codes, features_of(codes), group, levels, winter, RULES)["row"].tolist() == [[0]]
    codes[9] = B  # the winter after
    assert changed_cells(codes, features_of(codes), group, levels, winter, RULES)["row"].tolist() != [[0]]


def test_dates_of_a_change() -> None:
    found = judge([[V] * 6 + [V, X, U, U, X, U]])
    assert [int(found[name][0, 0]) for name in ("normal", "first", "last", "run")] == [7, 9, 12, 3]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 3), st.floats(0, 3))
def test_a_lower_threshold_never_removes_a_candidate(seed: int, one: float, other: float) -> None:
    random = np.random.default_rng(seed)
    codes = np.repeat(np.repeat(random.choice([X, W, V, V, B, U, P, D], (12, 4, 4)), 5, axis=1), 5, axis=2).astype(
        np.uint8
    )
    codes[:6, ::2] = V
    features = features_of(codes) + random.normal(0, 0.1, (12, 4, 20, 20)).astype(np.float32)
    group, levels = np.ones((20, 20), np.uint16), np.full((2, 12), 0.5, np.float32)
    cell_m2 = np.full(20, 91.0)
    masks = []
    for least in sorted((one, other)):
        found = changed_cells(codes, features, group, levels, LOOKS, RULES, least_change=least)
        mask = np.zeros((20, 20), bool)
        for patch in find_patches(found, LOOKS, cell_m2, AFFINE, RULES):
            height, width = patch.cells.shape
            mask[patch.row0 : patch.row0 + height, patch.col0 : patch.col0 + width] |= patch.cells
        masks.append((found["row"] > 0, mask))
    assert not (masks[1][0] & ~masks[0][0]).any()
    assert not (masks[1][1] & ~masks[0][1]).any()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.9))
def test_clouds_never_make_a_candidate(seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    still = random.choice([W, V, B, U, P, D, S], (15, 15))
    codes = np.tile(still, (12, 1, 1)).astype(np.uint8)
    codes[random.random(codes.shape) < share] = UNSEEN
    counts = LevelCounts(1, 12)
    group = np.ones((15, 15), np.uint16)
    counts.add(codes, group)
    found = changed_cells(codes, features_of(codes), group, counts.index(), LOOKS, RULES)
    assert not found["row"].any()


def test_levels_are_ordered_without_a_gauge_and_through_cloud() -> None:
    random = np.random.default_rng(3)
    bank = np.tile(np.linspace(0, 1, 200), (60, 1))
    true = random.uniform(0.1, 0.9, 12)
    codes = np.where(bank[None] < true[:, None, None], W, B).astype(np.uint8)
    codes[random.random(codes.shape) < 0.5] = UNSEEN
    counts = LevelCounts(1, 12)
    counts.add(codes, np.ones((60, 200), np.uint16))
    index = counts.index()[1]
    assert np.array_equal(np.argsort(index), np.argsort(true))
    lake = np.full((12, 50, 50), W, np.uint8)
    lake[:, :, :10] = V
    still = LevelCounts(1, 12)
    still.add(lake, np.ones((50, 50), np.uint16))
    assert np.ptp(still.index()[1]) == 0


# --- patches --------------------------------------------------------------------------------------------------------------


def patch_stack(kinds: np.ndarray) -> dict[str, Any]:
    """Cells that were plants and are `kinds` from look 7 on (0 = nothing happened)."""
    codes = np.full((12, *kinds.shape), V, np.uint8)
    codes[6:, kinds > 0] = kinds[kinds > 0]
    group, levels = np.ones(kinds.shape, np.uint16), np.full((2, 12), 0.5, np.float32)
    return changed_cells(codes, features_of(codes), group, levels, LOOKS, RULES)


def test_patches_by_size_width_and_kind() -> None:
    kinds = np.zeros((60, 60), np.uint8)
    kinds[2:8, 2:8] = U  # 36 cells
    kinds[2:5, 20:23] = P  # 9 cells: too small
    kinds[20, 2:30] = B  # one cell wide: a shore that moved
    kinds[30:36, 2:8] = D
    kinds[30:36, 11:17] = P  # three cells from the pit: its spoil
    kinds[50:56, 40:46] = P  # a heap of its own
    kinds[40:46, 40:46] = U
    kinds[40:46, 46:52] = P  # two kinds that touch, half each
    found = find_patches(patch_stack(kinds), LOOKS, np.full(60, 91.0), AFFINE, RULES)
    counts = pd.Series([f"{patch.kind}/{patch.subject}" for patch in found]).value_counts().to_dict()
    assert counts == {"building/built": 2, "extraction/pit": 1, "extraction/spoil": 1, "dumping/heap": 2}
    assert {round(patch.area_m2) for patch in found} == {36 * 91}
    assert all(patch.confirmed and patch.looks == 6 and patch.first == 6 and patch.normal == 5 for patch in found)


def test_one_look_is_listed_but_not_confirmed() -> None:
    codes = np.full((12, 20, 20), V, np.uint8)
    codes[11, 5:12, 5:12] = P
    group, levels = np.ones((20, 20), np.uint16), np.full((2, 12), 0.5, np.float32)
    found = changed_cells(codes, features_of(codes), group, levels, LOOKS, RULES)
    (patch,) = find_patches(found, LOOKS, np.full(20, 91.0), AFFINE, RULES)
    assert (patch.confirmed, patch.looks, patch.first, patch.normal) == (False, 1, 11, 10)


def test_nothing_common_is_an_error() -> None:
    codes = np.full((12, 8, 8), V, np.uint8)
    codes[6:] = UNSEEN
    group = np.ones((8, 8), np.uint16)
    found = changed_cells(codes, features_of(codes), group, np.full((2, 12), 0.5, np.float32), LOOKS, RULES)
    with pytest.raises(LayerEmpty, match="both before and after"):
        _shares(found, group, np.full(8, 91.0), SimpleNamespace(collection="c"))  # type: ignore[arg-type]


def test_a_pair_of_surfaces_stands_in_one_row_only() -> None:
    table = ALL_RULES["corridor_candidates"]["table"]
    with pytest.raises(ValueError, match="two rows"):
        TableRule.model_validate(table | {"rows": [*table["rows"], table["rows"][0] | {"id": "again"}]})
    with pytest.raises(ValueError, match="no surface lava"):
        TableRule.model_validate(table | {"rows": [table["rows"][0] | {"to": ["lava"]}]})


# --- vessels --------------------------------------------------------------------------------------------------------------


def sea(seed: int, shape: tuple[int, int] = (120, 120)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return tuple(  # type: ignore[return-value]
        (mean + 10 * np.log10(random.gamma(4.4, 1 / 4.4, shape))).astype(np.float32) for mean in (-19.0, -26.0)
    )


def test_no_target_on_plain_water_and_none_on_land() -> None:
    water = np.ones((120, 120), bool)
    assert sum(len(bright_targets(*sea(seed), water, SIDES, RULES.dredgers)) for seed in range(10)) == 0
    vv, vh = sea(1)
    vv[40:60, 40:60] = vh[40:60, 40:60] = 0.0
    assert bright_targets(vv, vh, water, SIDES, RULES.dredgers) == []  # 3.6 ha: no ship
    water[40:60, 40:60] = False
    assert bright_targets(vv, vh, water, SIDES, RULES.dredgers) == []
    assert bright_targets(vv, None, np.zeros_like(water), SIDES, RULES.dredgers) == []
    assert bright_targets(np.full_like(vv, np.nan), vh, water, SIDES, RULES.dredgers) == []
    with pytest.raises(InvalidParameter, match="vv"):
        bright_targets(None, None, water, SIDES, RULES.dredgers)


def test_a_ship_is_found_where_it_is() -> None:
    vv, vh = sea(5)
    vv[60:63, 80:88] = 5.0
    vh[60:63, 80:88] = -4.0
    for pair in ((vv, vh), (vv, None), (None, vh)):
        (ship,) = bright_targets(*pair, np.ones((120, 120), bool), SIDES, RULES.dredgers)
        assert np.hypot(ship.x_m - 84 * SIDES[1], ship.y_m + 61.5 * SIDES[0]) < 6
        assert ship.area_m2 == pytest.approx(24 * SIDES[0] * SIDES[1], rel=0.1)


def test_places_pass_stay_or_are_fixed() -> None:
    def at(x: float, y: float, *looks: int, drift: float = 0.0) -> list[Target]:
        random = np.random.default_rng(int(x))
        return [Target(k, x + random.normal(0, drift + 1e-9), y, 900.0, 9.0) for k in looks]

    targets = at(0, 0, *range(12)) + at(2000, 0, 2, 3, 4, 5, 6, drift=25) + at(4000, 0, 1) + at(5000, 0, 7, 8)
    places = vessel_places(targets, 12, 6e6, RULES.dredgers)
    assert [(place.kind, len(place.looks)) for place in places] == [
        ("fixed", 12),
        ("staying", 5),
        ("passing", 2),
        ("passing", 1),
    ]
    # So many passing ships on so little water that three of them at one place prove nothing.
    random = np.random.default_rng(4)
    crowd = [Target(k, *random.uniform(0, 1000, 2), area_m2=900.0, deviation=9.0) for k in range(12) for _ in range(25)]
    busy = vessel_places([*crowd, *at(500, 500, 1, 2, 3)], 12, 1e6, RULES.dredgers)
    assert {place.kind for place in busy} == {"passing"}
    assert vessel_places([], 12, 1e6, RULES.dredgers) == []


def test_radar_scenes_with_a_fault_are_listed() -> None:
    shape = (60, 60)
    vv, vh = sea(2, shape)
    good = {"vv": SceneBand(None, 1.0, 0.0, "dB"), "vh": SceneBand(None, 1.0, 0.0, "dB")}
    bands = [good, {"blue": SceneBand(0)}, {"vv": SceneBand(None, 1.0, 0.0, None)}, good]
    when = datetime(2024, 5, 1, tzinfo=UTC)
    records = tuple(SceneRecord(f"r{k}", when, "synthetic", one, {}) for k, one in enumerate(bands))

    def read(scene: int, band: str, *window: int) -> Any:
        return (vv if band == "vv" else vh) + (100 if scene == 3 else 0)

    series = SimpleNamespace(records=records, refused=(("坏", "bad"),), layer=SimpleNamespace(id="r"), read=read)
    grid = GeoBox(shape, AFFINE, "EPSG:4490")
    found = search_radar(series, np.ones(shape, bool), grid, np.full(60, 91.0), RULES.dredgers, EXTENT)  # type: ignore[arg-type]
    assert [row["used"] for row in found.scenes] == [True, False, False, False, False]
    said = [row["reason_en"] for row in found.scenes]
    assert "neither vv nor vh" in said[1]
    assert "state its unit" in said[2]
    assert "is not in dB" in said[3]
    assert found.looks == 1


def test_false_targets_on_a_real_flooded_plain(reference_data: Path) -> None:
    """No ships there: what stands out of the water (trees, roofs, banks) makes at most two targets on 2 km²."""
    import rasterio
    from scipy import ndimage

    folder = reference_data / "water" / "sen1floods11_spain"
    if not folder.is_dir():
        pytest.skip(f"no {folder.name} in the reference data (ONEMAP_REFERENCE_DATA)")
    with rasterio.open(folder / "Spain_7370579_S1Hand.tif") as file:
        vv, vh = file.read().astype(np.float32)
    with rasterio.open(folder / "Spain_7370579_LabelHand.tif") as file:
        water = file.read(1) == 1
    sides = (11.1, 7.9)
    searched = ndimage.distance_transform_edt(water, sampling=sides) > RULES.dredgers.shore_m
    assert searched.sum() * sides[0] * sides[1] == pytest.approx(1.97e6, rel=0.02)
    assert len(bright_targets(vv, vh, water, sides, RULES.dredgers)) <= 2


# --- nets -----------------------------------------------------------------------------------------------------------------


def lake_looks(pattern: np.ndarray | None, looks: int = 8, *, only: int | None = None) -> np.ndarray:
    """Deviations of a lake of 140 × 140 cells, with a brightening of 0.004 where `pattern` is 1."""
    water = np.ones((140, 140), bool)
    found = []
    for k in range(looks):
        random = np.random.default_rng([9, k])
        slow = np.kron(random.normal(0, 0.004, (7, 7)), np.ones((20, 20)))
        from scipy import ndimage

        light = 0.03 + ndimage.gaussian_filter(slow, 12) + random.normal(0, 0.003, water.shape)
        if pattern is not None and (only is None or k == only):
            light = light + 0.004 * pattern * (4 if only is not None else 1)
        found.append(high_pass(light.astype(np.float32), water, SIDES, RULES.nets))
    return np.stack(found)


def lines(angles: dict[float, int], spacing: float = 70, length: float = 330) -> np.ndarray:
    """Straight lines through the middle of the lake, `angles` degrees → number of them."""
    rows, cols = np.indices((140, 140))
    east, north = (cols - 70) * SIDES[1], -(rows - 70) * SIDES[0]
    found = np.zeros((140, 140))
    for degrees, count in angles.items():
        turn = np.deg2rad(degrees)
        along, across = east * np.cos(turn) + north * np.sin(turn), -east * np.sin(turn) + north * np.cos(turn)
        for k in range(count):
            shift = (k - (count - 1) / 2) * spacing
            found[(np.abs(across - shift) < 5.5) & (np.abs(along) < length / 2)] = 1
    return found


@pytest.mark.parametrize(
    ("angles", "pattern"),
    [({25: 5, 115: 5}, "grid"), ({0: 4, 90: 4}, "grid"), ({50: 5, 140: 3}, "grid"), ({70: 6}, "rows")],
)
def test_nets_are_found(angles: dict[float, int], pattern: str) -> None:
    (net,) = net_patches(lake_looks(lines(angles)), np.ones((140, 140), bool), SIDES, RULES.nets)
    assert net.pattern == pattern
    main = max(angles, key=lambda a: angles[a])
    assert min(abs(net.direction_deg - a) for a in angles) <= 5
    assert net.lines[0] >= angles[main] - 1
    assert net.persist >= 0.9


@pytest.mark.parametrize(
    "looks",
    [
        lake_looks(None),
        lake_looks(lines({30: 1})),  # a boom or a wake that stays
        lake_looks(lines({30: 1, 75: 1})),  # two lines that cross at 45°
        lake_looks(lines({25: 5, 115: 5}), only=3),  # once: waves, ice, a pattern of one day
        lake_looks(lines({25: 5, 115: 5}))[:3],  # too few looks
    ],
    ids=["plain", "one line", "no right angle", "one look", "few looks"],
)
def test_no_net(looks: np.ndarray) -> None:
    assert net_patches(looks, np.ones((140, 140), bool), SIDES, RULES.nets) == []


def test_paddies_are_no_nets() -> None:
    """Bunds make a grid, but paddies are not water on every date: they are no lake."""
    water = np.ones((140, 140), bool)
    water[30:110, 30:110] = False
    assert net_patches(lake_looks(lines({0: 5, 90: 5})), water, SIDES, RULES.nets) == []


# --- the whole way, against the planted truth ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corridor")
    generator().make(folder)
    return folder


@pytest.fixture(scope="module")
def store(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    chosen = Settings(
        layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), scenes_path=scenes, store="duckdb"
    )
    opened = DataStore.open(chosen)
    catalog = load_catalog(chosen.layers_dir)
    for name in ("management-range", "works-permits", "river-reaches", "shoreline-zones"):
        publish_layer(opened, catalog[name])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def result(store: DataStore) -> RunResult:
    return run_analysis(store, "corridor-candidates", {}, publish=True)


@pytest.fixture(scope="module")
def truth(scenes: Path) -> dict[str, Any]:
    return dict(json.loads((scenes / "corridor-scenes" / "truth.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def matched(result: RunResult, truth: dict[str, Any]) -> tuple[pd.DataFrame, gpd.GeoDataFrame]:
    """The planted plots with the candidate that fits each best; all candidates of the four kinds."""
    found = result.frame("candidates")
    found = found[~found["subject"].isin(["dredger", "net"])].reset_index(drop=True)
    rows = []
    for plot in truth["plots"]:
        shape = shapely.geometry.shape(plot["geometry"])
        fits = [shape.intersection(g).area / shape.union(g).area for g in found.geometry]
        best = int(np.argmax(fits))
        rows.append({**plot, "iou": fits[best], "found": best if fits[best] > 0 else None})
    return pd.DataFrame(rows), found


def test_every_planted_disturbance_is_found_with_its_kind(matched: tuple[pd.DataFrame, gpd.GeoDataFrame]) -> None:
    plots, found = matched
    wanted = plots[plots["expected"].isin(["found", "unconfirmed"])]
    assert len(wanted) >= 14
    assert (wanted["iou"] >= 0.75).all(), wanted[["id", "iou"]]
    got = found.iloc[wanted["found"].astype(int)]
    assert got["kind"].tolist() == wanted["kind"].tolist()
    assert got["confirmed"].tolist() == (wanted["expected"] == "found").tolist()
    assert set(got["kind"]) == {"occupation", "extraction", "dumping", "building"}


def test_no_false_candidate(matched: tuple[pd.DataFrame, gpd.GeoDataFrame]) -> None:
    """Outside the range, too small, taken away, bare every winter, drawdown, flood, paddies, fields, cloud: nothing."""
    plots, found = matched
    assert set(plots["expected"]) == {"found", "unconfirmed", "outside", "small", "removed", "seasonal"}
    assert plots.loc[~plots["expected"].isin(["found", "unconfirmed"]), "found"].isna().all()
    assert set(plots["found"].dropna().astype(int)) == set(range(len(found)))


def test_dates_scenes_permits_zones_and_places(matched: tuple[pd.DataFrame, gpd.GeoDataFrame]) -> None:
    plots, found = matched
    for plot in plots[plots["found"].notna()].itertuples():
        row = found.iloc[int(plot.found)]
        since = date.fromisoformat(plot.since)
        before, after = (pd.Timestamp(row[f"{name}_date"]).date() for name in ("before", "after"))
        assert before < since <= after
        assert row["scene_collection"] == "corridor-scenes"
        assert row["scene_before"] == f"corridor-{before:%Y%m%d}"
        assert row["scene_after"] == f"corridor-{after:%Y%m%d}"
        assert row["permit"] == plot.permit
        assert pd.notna(row["permit_number"]) == (plot.permit != "none")
        assert row["area_m2"] == pytest.approx(plot.hectares * 1e4, rel=0.25)
        if plot.id == "O3":
            assert row["reach"] == "DH01"
            assert row["zone_verdict"] == "undetermined"
        else:
            assert row["reach"] == "CJ05"
            assert 734_427 <= row["chainage_m"] <= 856_146
            assert row["zone_verdict"] in {"forbidden", "review", "conditional", "conform"}
        assert (row["water_edge_m"] == 0) == (plot.id in {"B5", "O1", "O3"})
    along = found[found["reach"] == "CJ05"].merge(plots.assign(row=plots["found"]), left_index=True, right_on="row")
    left = along[along["bank"] < 0]
    assert left.sort_values("chainage_m")["bank"].is_monotonic_decreasing  # downstream on the left bank


def test_ships_are_found_and_those_that_stay_are_named(result: RunResult, truth: dict[str, Any]) -> None:
    vessels = result.frame("vessels")
    day = pd.to_datetime(vessels["time"]).dt.date.astype(str)
    hit: set[int] = set()
    missed = 0
    behaviour: dict[str, set[str]] = {}
    for ship in truth["ships"]:
        away = np.hypot((vessels.geometry.x - ship["lon"]) * 95_800, (vessels.geometry.y - ship["lat"]) * 110_900)
        away = away.where(day == ship["date"], np.inf)
        if away.min() < 40:
            hit.add(int(away.idxmin()))
            behaviour.setdefault(ship["ship"], set()).add(str(vessels.loc[away.idxmin(), "behaviour"]))
        else:
            missed += 1
    assert missed <= 0.02 * len(truth["ships"])
    assert len(vessels) - len(hit) <= 0.02 * len(vessels)
    staying = result.frame("candidates").query("subject == 'dredger'")
    assert len(staying) == 3
    assert set(staying["confidence"]) <= {"low", "medium"}
    assert not staying["confirmed"].any()
    assert all(behaviour[name] == {"staying"} for name in ("S1", "S2", "S3"))
    assert behaviour["P1"] == {"fixed"}


def test_the_nets_are_found(result: RunResult, truth: dict[str, Any]) -> None:
    (net,) = result.frame("candidates").query("subject == 'net'").itertuples()
    shape = shapely.geometry.shape(truth["nets"])
    assert shape.intersection(net.geometry).area / shape.union(net.geometry).area >= 0.8
    assert net.reach == "DH01"


def test_what_is_published_is_read_by_the_desk(store: DataStore, result: RunResult) -> None:
    from spatial.river_chief.rules import read_desk_rules

    desk = read_desk_rules(store.settings.layers_dir)
    layer_id = result.layers["candidates"]
    assert desk.is_candidate_layer(layer_id)
    assert not desk.is_candidate_layer(result.layers["vessels"])
    layer = store.snapshot().catalog[layer_id]
    assert layer.synthetic is not None
    frame = store.vectors.frame(store.snapshot().vector(layer_id))
    fields = desk.layers.fields
    for names in (fields.title, fields.description, fields.kind, fields.after_date):
        assert frame[next(name for name in names if name in frame.columns)].notna().all()
    assert all(desk.kind(kind) is not None for kind in frame["kind"])
    totals = result.tables["totals"][0]
    assert totals["valid_percent"] > 90
    assert totals["permitted"] == 1
    assert len(totals["before"]) >= 5


def test_without_the_optional_layers_the_answer_is_that_it_cannot_be_told(store: DataStore) -> None:
    window = {"bbox": [114.318, 30.612, 114.328, 30.620]}
    none = dict.fromkeys(("radar", "permits", "reaches", "zones"))
    found = run_analysis(store, "corridor-candidates", window | none)
    frame = found.frame("candidates")
    assert len(frame) >= 1
    assert set(frame["permit"]) == {"unknown"}
    assert set(frame["zone_verdict"]) == {"undetermined"}
    assessed = {factor["id"]: factor["assessed"] for factor in found.factors}
    assert assessed == {
        "disturbance": True, "vessels": False, "nets": False, "permits": False, "zones": False, "reaches": False
    }  # fmt: skip


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"bbox": [114.345, 30.600, 114.355, 30.606]}, "does not meet the scenes"),
        ({"changed_after": "2023-03-01"}, "needed are 3 before"),
        ({"changed_after": "2026-01-01"}, "0 after"),
    ],
)
def test_bad_choices_are_told(store: DataStore, parameters: dict[str, Any], said: str) -> None:
    window = {"bbox": [114.318, 30.612, 114.322, 30.616]}
    with pytest.raises(InvalidParameter, match=said):
        run_analysis(store, "corridor-candidates", window | parameters)


def test_scenes_without_a_band_are_refused_with_the_reason(store: DataStore, scenes: Path) -> None:
    lame = scenes / "lame-scenes"
    shutil.copytree(scenes / "corridor-scenes", lame, copy_function=os.link)
    for path in (lame / "items").glob("*.json"):
        document = json.loads(path.read_text("utf-8"))
        del document["assets"]["swir1"]
        path.unlink()
        path.write_text(json.dumps(document), "utf-8")
    try:
        with pytest.raises(LayerEmpty, match="swir1"):
            run_analysis(
                store, "corridor-candidates", {"collection": "lame-scenes", "bbox": [114.318, 30.612, 114.322, 30.616]}
            )
    finally:
        shutil.rmtree(lame)
