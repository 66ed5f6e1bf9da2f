"""Samples, classifier, area of applicability, change and model files: hand oracles, laws, real data, bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from analyses.landcover.applicability import applicability
from analyses.landcover.change import Transitions, class_codes
from analyses.landcover.classifier import (
    Classifier,
    cross_validate,
    entropy,
    grouped_folds,
    random_folds,
    train,
)
from analyses.landcover.model_file import load_classifier, save_classifier
from analyses.landcover.rules import SAME_GROUP, UNCHANGED, land_cover_rules
from analyses.landcover.samples import Samples, labels, labels_of, on_grid, thinned, training_cells
from spatial.errors import (
    CRSMismatch,
    GridMismatch,
    InvalidParameter,
    LayerDefinitionInvalid,
    QualityViolation,
    SourceUnreadable,
)

RULE_FILE = Path(__file__).parents[2] / "layers" / "rules" / "landcover.yml"
GRID = GeoBox.from_bbox((110, 30, 110.06, 30.06), crs="EPSG:4490", resolution=0.01)


def cells(row: int, col: int, height: int, width: int) -> shapely.Polygon:
    return shapely.box(110 + col * 0.01, 30.06 - (row + height) * 0.01, 110 + (col + width) * 0.01, 30.06 - row * 0.01)


def blobs(
    polygons: int = 12, per: int = 25, features: int = 4, classes: int = 3, seed: int = 5, spread: float = 0.02
) -> Samples:
    """Polygons that differ among each other more than their cells do, as fields do."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(polygons), per)
    y = group % classes + 1
    centre = rng.normal(0, spread, (polygons, features)) + 0.08 * (np.arange(polygons) % classes)[:, None] + 0.1
    x = centre[group] + rng.normal(0, 0.004, (group.size, features))
    return Samples(x.astype(np.float32), y.astype(np.int64), group)


# Samples


def test_cells_by_hand() -> None:
    found = training_cells([cells(0, 0, 2, 2), cells(1, 1, 2, 2), shapely.Point(110.055, 30.005)], [1, 1, 2], GRID)
    # The cell (1, 1) lies under both polygons of class 1 and belongs to the first.
    assert list(zip(found.row.tolist(), found.col.tolist(), found.group.tolist(), strict=True)) == [
        (0, 0, 0),
        (0, 1, 0),
        (1, 0, 0),
        (1, 1, 0),
        (1, 2, 1),
        (2, 1, 1),
        (2, 2, 1),
        (5, 5, 2),
    ]
    assert found.conflicts == 0


def test_cells_under_two_classes_are_left_out() -> None:
    found = training_cells([cells(0, 0, 2, 2), cells(1, 1, 2, 2)], [1, 2], GRID)
    assert found.conflicts == 1
    assert (1, 1) not in set(zip(found.row.tolist(), found.col.tolist(), strict=True))


def test_touched_cells_and_small_polygons() -> None:
    wide = cells(1, 1, 1, 1).buffer(0.001)
    assert training_cells([wide], [1], GRID).row.size == 1
    assert training_cells([wide], [1], GRID, all_touched=True).row.size == 9
    tiny = shapely.box(110.001, 30.001, 110.002, 30.002)  # holds no centre
    assert training_cells([tiny], [1], GRID).row.tolist() == [5]
    assert training_cells([shapely.Polygon(), None], [1, 2], GRID).row.size == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3))
def test_cells_do_not_depend_on_the_window(row: int, col: int) -> None:
    shapes = [cells(0, 0, 3, 2), cells(4, 3, 2, 3)]
    whole = training_cells(shapes, [1, 2], GRID)
    part = training_cells(shapes, [1, 2], GRID[row : row + 2, col : col + 2])
    assert np.array_equal(part.row + row, whole.row)
    assert np.array_equal(part.col + col, whole.col)


def test_samples_in_another_crs_are_reprojected() -> None:
    frame = geopandas.GeoDataFrame({"class": [1]}, geometry=[cells(2, 2, 2, 2)], crs="EPSG:4490")
    moved = on_grid(frame.to_crs("EPSG:4546"), GRID, layer="s")  # 3° Gauss–Krüger, central meridian 111°
    assert moved.geometry.iloc[0].symmetric_difference(frame.geometry.iloc[0]).area < 1e-9
    with pytest.raises(CRSMismatch, match="s"):
        on_grid(frame.set_crs(None, allow_override=True), GRID, layer="s")


def test_labels() -> None:
    known = {1: "", 10: ""}
    assert labels(["10", 1, 1.0], {}, known, layer="s").tolist() == [10, 1, 1]
    assert labels(["rice", "lake"], {"rice": 1, "lake": 10}, known, layer="s").tolist() == [1, 10]
    for wrong in ([7], [None], [float("nan")], ["rice"], [1.5]):
        with pytest.raises(QualityViolation, match="class_mapping"):
            labels(wrong, {}, known, layer="s")
    with pytest.raises(QualityViolation, match="class_mapping"):
        labels(["rice"], {"rice": 99}, known, layer="s")
    frame = geopandas.GeoDataFrame({"kind": [1]}, geometry=[cells(0, 0, 1, 1)], crs="EPSG:4490")
    with pytest.raises(QualityViolation, match="kind"):
        labels_of(frame, "class", {}, known, layer="s")


def test_thinning_keeps_every_polygon_and_other_classes() -> None:
    samples = blobs()
    few = thinned(samples, 10, 1)
    assert [int((few.y == c).sum()) for c in (1, 2, 3)] == [10, 10, 10]
    assert set(few.group) == set(samples.group)
    assert np.array_equal(thinned(samples, 10, 1).x, few.x)
    # More samples of class 1 do not change what is drawn of class 2.
    more = Samples(
        np.vstack([samples.x, samples.x[samples.y == 1]]),
        np.append(samples.y, samples.y[samples.y == 1]),
        np.append(samples.group, samples.group[samples.y == 1]),
    )
    assert np.array_equal(thinned(more, 10, 1).only((2,)).x, few.only((2,)).x)


# Classifier


@pytest.mark.parametrize("method", ["random_forest", "gradient_boosting"])
def test_prediction_does_not_depend_on_blocks_threads_or_the_machine(method: str) -> None:
    samples = blobs()
    names = ("a", "b", "c", "d")
    fitted = train(samples, names, method=method, trees=20)
    x = np.random.default_rng(1).uniform(0, 0.4, (20_000, 4)).astype(np.float32)
    x[5] = np.nan
    whole = fitted.probabilities(x)
    assert np.isnan(whole[5]).all()
    assert np.array_equal(whole, fitted.probabilities(x, threads=4), equal_nan=True)
    parts = np.vstack([fitted.probabilities(x[k : k + 6_007]) for k in range(0, len(x), 6_007)])
    assert np.array_equal(whole, parts, equal_nan=True)
    assert np.array_equal(whole[[7]], fitted.probabilities(x[7:8]))
    from threadpoolctl import threadpool_limits

    with threadpool_limits(4):  # trained on a larger machine
        other = train(samples, names, method=method, trees=20, threads=4)
    assert np.array_equal(whole, other.probabilities(x), equal_nan=True)
    assert whole[~np.isnan(whole[:, 0])].sum(axis=1) == pytest.approx(1)


def test_only_boosting_takes_cells_with_gaps() -> None:
    samples = blobs()
    x = samples.x[:2].copy()
    x[0, 1] = np.nan
    forest, boosting = (
        train(samples, ("a", "b", "c", "d"), method=m, trees=10) for m in ("random_forest", "gradient_boosting")
    )
    assert np.isnan(forest.probabilities(x)).all(axis=1).tolist() == [True, False]
    assert np.isfinite(boosting.probabilities(x)).all()


def test_folds_keep_polygons_together() -> None:
    samples = blobs()
    fold = grouped_folds(samples)
    assert np.unique(fold).size == 5
    assert all(np.unique(fold[samples.group == g]).size == 1 for g in np.unique(samples.group))
    assert np.unique(grouped_folds(blobs(polygons=3))).size == 3
    with pytest.raises(QualityViolation, match="polygon"):
        grouped_folds(blobs(polygons=1, classes=1))


def test_random_cells_overstate_what_whole_polygons_show() -> None:
    samples = blobs(polygons=18, spread=0.06)
    grouped = cross_validate(samples, grouped_folds(samples), method="random_forest", trees=50, importance=False)
    random = cross_validate(samples, random_folds(samples), method="random_forest", trees=50, importance=False)
    assert random.accuracy > 0.97
    assert grouped.accuracy < random.accuracy


def test_a_class_with_one_polygon_is_named_and_counts_as_errors() -> None:
    samples = blobs()
    samples.y[samples.group == 4] = 9
    assert samples.single == (9,)
    found = cross_validate(samples, grouped_folds(samples), method="random_forest", trees=20, importance=False)
    assert found.untested == (9,)
    k = found.classes.index(9)
    assert found.matrix[k, k] == 0
    assert found.matrix[:, k].sum() == 25
    assert found.accuracy < found.accuracy_learnable


def test_importance_finds_the_feature_that_matters() -> None:
    samples = blobs()
    samples.x[:, 1:] = np.random.default_rng(2).normal(0.2, 0.05, samples.x[:, 1:].shape)
    found = cross_validate(samples, grouped_folds(samples), method="random_forest", trees=30)
    assert found.importance.argmax() == 0
    assert (found.importance >= 0).all()


def test_one_class_is_refused_and_so_are_other_features() -> None:
    with pytest.raises(QualityViolation, match="two classes"):
        train(blobs(classes=1), ("a", "b", "c", "d"), method="random_forest", trees=10)
    fitted = train(blobs(), ("a", "b", "c", "d"), method="random_forest", trees=10)
    with pytest.raises(InvalidParameter, match="4 features"):
        fitted.probabilities(np.zeros((2, 3), np.float32))


@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=8))
def test_entropy_laws(rows: list[list[float]]) -> None:
    p = np.array(rows) + 1e-9
    p /= p.sum(axis=1, keepdims=True)
    found = entropy(p)
    assert ((found >= 0) & (found <= 1)).all()
    assert entropy(p[:, ::-1]) == pytest.approx(found)
    assert entropy(np.full((1, 3), 1 / 3))[0] == pytest.approx(1)
    assert entropy(np.ones((2, 1))).tolist() == [0, 0]


# Area of applicability


def test_dissimilarity_by_hand() -> None:
    # Two features, the second of no importance. σ of 0, 1, 2, 5 is 2.1602; pairs 1, 2, 5, 1, 4, 3 have mean 8/3.
    x = np.array([[0, 9], [1, -4], [2, 0], [5, 1]], np.float32)
    found = applicability(x, np.array([0, 0, 1, 1]), np.array([0.3, 0.0]))
    assert found.mean_distance * 2.160247 / 0.3 == pytest.approx(8 / 3, rel=1e-6)
    # To the nearest of the other fold: 2, 1, 1, 4 (over 8/3); quartiles 1 and 2.5, limit 4.75: the largest is 4.
    assert found.training_index == pytest.approx(np.array([2, 1, 1, 4]) * 3 / 8)
    assert found.threshold == pytest.approx(1.5)
    index = found.index(np.array([[1.5, 100], [9, 0], [np.nan, 0]], np.float32))
    assert index[:2] == pytest.approx([0.5 * 3 / 8, 4 * 3 / 8])
    assert found.inside(index).tolist() == [True, True, False]
    assert not found.inside(found.index(np.array([[9.01, 0]], np.float32)))[0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 5))
def test_training_samples_lie_inside(seed: int, folds: int) -> None:
    samples = blobs(polygons=2 * folds, per=6, seed=seed)
    fold = grouped_folds(samples, folds)
    found = applicability(samples.x, fold, np.array([0.4, 0.1, 0.0, 0.2]))
    assert found.inside(found.index(samples.x)).all()
    assert (found.index(samples.x) == 0).all()
    # Ten spreads away is outside; the index does not depend on the unit of a feature.
    far = samples.x.mean(axis=0, keepdims=True) + 10 * samples.x.std(axis=0)
    assert not found.inside(found.index(far.astype(np.float32))).any()
    other = applicability(samples.x * np.float32(1024), fold, np.array([0.4, 0.1, 0.0, 0.2]))
    assert other.index(far.astype(np.float32) * np.float32(1024)) == pytest.approx(found.index(far.astype(np.float32)))


def test_applicability_refuses() -> None:
    x = np.arange(8, dtype=np.float32).reshape(4, 2)
    fold = np.array([0, 0, 1, 1])
    for wrong in ([1.0], [1.0, -1.0], [1.0, np.nan]):
        with pytest.raises(InvalidParameter):
            applicability(x, fold, np.array(wrong))
    with pytest.raises(QualityViolation, match="folds"):
        applicability(x, np.zeros(4, int), np.ones(2))
    with pytest.raises(QualityViolation, match="same"):
        applicability(np.ones((4, 2), np.float32), fold, np.ones(2))
    # No feature matters: they count alike.
    assert applicability(x, fold, np.zeros(2)).threshold == applicability(x, fold, np.ones(2)).threshold


# Model file


@pytest.mark.parametrize("method", ["random_forest", "gradient_boosting"])
@pytest.mark.parametrize("classes", [2, 3])
def test_a_saved_classifier_predicts_the_same(tmp_path: Path, method: str, classes: int) -> None:
    samples = blobs(classes=classes)
    fitted = train(samples, ("a", "b", "c", "d"), method=method, trees=10)
    path = tmp_path / "model.skops"
    save_classifier(fitted, path)
    back = load_classifier(path)
    assert (back.classes, back.features, back.method) == (fitted.classes, fitted.features, fitted.method)
    assert np.array_equal(back.probabilities(samples.x), fitted.probabilities(samples.x))
    assert [p.name for p in tmp_path.iterdir()] == ["model.skops"]


class Harmful:
    """What a stranger could put into a file; nothing of it may ever be built."""

    made = 0

    def __init__(self) -> None:
        self.value = 1

    def __setstate__(self, state: object) -> None:
        Harmful.made += 1


def test_a_strange_model_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    save_classifier(Classifier(Harmful(), "random_forest", (1, 2), ("a",)), path)
    with pytest.raises(SourceUnreadable, match="Harmful"):
        load_classifier(path)
    assert Harmful.made == 0
    import pickle

    path.write_bytes(pickle.dumps({"format": "x"}))
    with pytest.raises(SourceUnreadable):
        load_classifier(path)
    with pytest.raises(SourceUnreadable):
        load_classifier(tmp_path / "absent.skops")


# Change


def test_transitions_by_hand() -> None:
    earlier = np.array([[1, 1, 2], [10, 0, 2], [12, 12, 1]], np.uint8)
    later = np.array([[1, 12, 2], [1, 10, 0], [12, 12, 10]], np.uint8)
    found = Transitions((1, 2, 10, 12))
    found.add(earlier, later, np.array([900.0, 800.0, 700.0]))
    assert found.cells.tolist() == [[1, 0, 1, 1], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 2]]
    assert (found.area_dm2 / 100).tolist() == [[900, 0, 700, 900], [0, 900, 0, 0], [800, 0, 0, 0], [0, 0, 0, 1400]]
    assert found.earlier_m2.tolist() == [2500, 900, 800, 1400]
    assert found.later_m2.tolist() == [1700, 900, 700, 2300]
    assert (found.only_earlier_dm2, found.only_later_dm2) == (80_000, 80_000)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 12))
def test_transition_laws(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    codes = (1, 4, 10, 12)
    earlier, later = (rng.choice([0, *codes], (9, 12)).astype(np.uint8) for _ in range(2))
    area = rng.uniform(700, 900, 9)
    whole, parts, back = Transitions(codes), Transitions(codes), Transitions(codes)
    whole.add(earlier, later, area)
    back.add(later, earlier, area)
    for row in range(0, 9, height):
        for col in range(0, 12, width):
            window = (slice(row, row + height), slice(col, col + width))
            parts.add(earlier[window], later[window], area[row : row + height])
    assert np.array_equal(whole.area_dm2, parts.area_dm2)
    assert (whole.only_earlier_dm2, whole.only_later_dm2) == (parts.only_earlier_dm2, parts.only_later_dm2)
    assert np.array_equal(whole.area_dm2.T, back.area_dm2)
    # Rows sum to the earlier areas and columns to the later ones, over common cells.
    common = (earlier > 0) & (later > 0)
    dm2 = np.rint(area * 100).astype(np.int64)[:, None]
    for k, code in enumerate(codes):
        assert whole.area_dm2[k].sum() == ((common & (earlier == code)) * dm2).sum()
        assert whole.area_dm2[:, k].sum() == ((common & (later == code)) * dm2).sum()


def test_change_refuses() -> None:
    with pytest.raises(GridMismatch):
        Transitions((1,)).add(np.ones((2, 2), np.uint8), np.ones((2, 3), np.uint8), np.ones(2))
    for wrong in (14.0, -1.0, 1.5, 255.0, 1e9):
        with pytest.raises(QualityViolation, match="m"):
            class_codes(np.array([[1.0, wrong]]), [1, 2], layer="m")


# Rules


def test_rules_cover_every_pair_of_classes() -> None:
    rules = land_cover_rules({"landcover": yaml.safe_load(RULE_FILE.read_text("utf-8"))})
    assert sorted(rules.by_code) == list(range(1, 14))
    inner = rules.kinds[1:14, 1:14]
    assert (inner > 0).all()
    assert (np.diag(inner) == UNCHANGED).all()
    assert (rules.kinds[0] == 0).all()
    paddy, dry, forest, water, wetland, town = 1, 2, 6, 10, 11, 12
    assert rules.kinds[paddy, dry] == SAME_GROUP
    assert rules.kinds[paddy, town] == 2
    assert rules.kinds[water, paddy] == rules.kinds[wetland, town] == 3
    assert rules.kinds[forest, town] == 4
    assert rules.kinds[town, paddy] == 6
    assert rules.kinds[water, wetland] == 12
    assert np.flatnonzero(rules.flag("cropland")).tolist() == [1, 2]
    assert np.flatnonzero(rules.flag("built")).tolist() == [12]
    assert np.flatnonzero(rules.flag("water")).tolist() == [10]
    assert np.flatnonzero(rules.flag("natural")).tolist() == [4, 5, 6, 7, 8, 9, 10, 11, 13]
    assert rules.by_code[1].is_cropland
    assert rules.by_code[12].is_built


def test_classes_mean_the_same_in_every_rule_file() -> None:
    """The map can stand in for the layer land-use only if all read its codes alike."""

    def read(path: Path) -> Any:
        return yaml.safe_load(path.read_text("utf-8"))

    folder = RULE_FILE.parent
    rules = land_cover_rules({"landcover": read(RULE_FILE)})
    layer = read(folder.parent / "land-use.yml")
    assert {c: (t["zh"], t["en"]) for c, t in layer["bands"][0]["domain"].items()} == {
        c: (row.title.zh, row.title.en) for c, row in rules.by_code.items()
    }
    ecology = read(folder / "ecological_importance.yml")
    assert ecology["runoff"]["land_use"] == {c: r.runoff for c, r in rules.by_code.items() if r.runoff is not None}
    cover = ecology["cover_management"]
    told = dict(cover["land_use"]) | dict.fromkeys(cover["fixed"], "fixed")
    told |= dict.fromkeys(cover["dryland"]["codes"], "dryland")
    assert told == {c: row.c_factor for c, row in rules.by_code.items()}
    capacity = read(folder / "carrying_capacity.yml")["land_use"]["codes"]
    assert {c: group for group, codes in capacity.items() for c in codes} == {
        c: row.group for c, row in rules.by_code.items()
    }


def test_broken_rules_are_refused() -> None:
    with pytest.raises(LayerDefinitionInvalid, match="missing"):
        land_cover_rules({})
    for break_it in (
        lambda d: d["classes"]["list"].append(d["classes"]["list"][0]),
        lambda d: d["changes"]["list"].pop(),
        lambda d: d["changes"]["list"][0].update(code=SAME_GROUP),
        lambda d: d["indices"]["list"][0].update(a="thermal"),
        lambda d: d["scene"].pop("source"),
    ):
        document = yaml.safe_load(RULE_FILE.read_text("utf-8"))
        break_it(document)
        with pytest.raises(LayerDefinitionInvalid, match=r"landcover\.yml"):
            land_cover_rules({"landcover": document})


# Real data


@pytest.fixture(scope="module")
def north_carolina(reference_data: Path) -> Samples:
    """Landsat 7, Wake County 2000; polygons of 1996, cells touched. Digital numbers: bands only, no indices."""
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
    found = training_cells(polygons.geometry.array, polygons["id"].to_numpy(), grid, all_touched=True)
    rows, cols = grid.shape
    on = (found.row >= 0) & (found.row < rows) & (found.col >= 0) & (found.col < cols)
    x = np.full((found.row.size, 6), np.nan, np.float32)
    x[on] = np.stack([b[found.row[on], found.col[on]] for b in bands], axis=1)
    every = Samples(x, found.label, found.group)
    return every.valid(partial=False)


def test_accuracy_on_real_polygons(north_carolina: Samples) -> None:
    """Random cells say 0.82, whole polygons 0.70: the second is what a user of the map will meet."""
    samples = north_carolina
    grouped, drawn = grouped_folds(samples), random_folds(samples)
    found = {
        (method, name): cross_validate(samples, fold, method=method, trees=100, threads=2, importance=False)
        for method in ("random_forest", "gradient_boosting")
        for name, fold in (("grouped", grouped), ("random", drawn))
    }
    expected = {
        ("random_forest", "random"): 0.823,
        ("random_forest", "grouped"): 0.695,
        ("gradient_boosting", "random"): 0.812,
        ("gradient_boosting", "grouped"): 0.663,
    }
    for key, accuracy in expected.items():
        assert found[key].accuracy == pytest.approx(accuracy, abs=0.03), key
    assert found["random_forest", "random"].kappa == pytest.approx(0.767, abs=0.03)
    assert found["random_forest", "grouped"].kappa == pytest.approx(0.600, abs=0.03)


def test_the_class_that_cannot_be_learnt_is_named_on_real_data(north_carolina: Samples) -> None:
    # The one polygon of class 2 (agriculture) lies where the scene has no data.
    assert north_carolina.lost == (2,)
    assert north_carolina.classes == (1, 3, 4, 5, 6, 7)
    assert north_carolina.dropped == 495
