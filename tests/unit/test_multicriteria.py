"""Multi-criteria evaluation: hand oracles, laws, the same bits for every block, and bad input."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from odc.geo.geobox import GeoBox

from analyses.combination import orness, owa, topsis, wlc
from analyses.criteria import MultiCriteriaParameters
from analyses.multicriteria import MultiCriteria
from analyses.weights import Moments, ahp_rules, ahp_weights, critic_weights, entropy_weights, quantise
from spatial.catalog import Band, Layer, Source, Text
from spatial.errors import InvalidParameter, LayerEmpty, QualityViolation
from spatial.jobs.contract import Inputs
from spatial.jobs.registry import check_parameters

RULES = {
    "multi_criteria": yaml.safe_load(
        (Path(__file__).parents[2] / "layers" / "rules" / "multi_criteria.yml").read_text("utf-8")
    )
}
TABLE = np.array(
    [
        [0.25, 0.5, 0.75, 1.0],
        [0.5, 0.5, 0.5, 0.125],
        [1.0, 0.25, 0.0, 0.5],
        [0.0, 1.0, 0.25, 0.75],
        [0.75, 0.0, 1.0, 0.0],
    ]
)
"""Five alternatives by four criteria; what scikit-criteria 0.10 answers for it stands in the tests."""
AHP4 = [[1, 3, 5, 7], [1 / 3, 1, 2, 4], [1 / 5, 1 / 2, 1, 2], [1 / 7, 1 / 4, 1 / 2, 1]]


def moments(table: np.ndarray) -> Moments:
    found = Moments(table.shape[1])
    found.add(table.T)
    return found


# --- weights --------------------------------------------------------------------------------------------------------


def test_entropy_weights_agree_with_scikit_criteria() -> None:
    # skcriteria.preprocessing.weighters.entropy_weights(TABLE)
    expected = [0.23646404261062084, 0.2413613643855768, 0.23646404261062084, 0.2857105503931815]
    assert entropy_weights(moments(TABLE), "abcd") == pytest.approx(expected, abs=1e-12)


def test_critic_weights_agree_with_scikit_criteria() -> None:
    # skcriteria.preprocessing.weighters.critic_weights(TABLE, [1, 1, 1, 1])
    expected = [0.29672071766914193, 0.2269351155777962, 0.25011757010520946, 0.2262265966478524]
    assert critic_weights(moments(TABLE), "abcd") == pytest.approx(expected, abs=1e-12)


def test_entropy_and_critic_by_hand() -> None:
    # Shares 1/4 and 3/4: E = −(¼ ln ¼ + ¾ ln ¾)/ln 2 = 0.811278; 1/2 and 1/2: E = 1, weight 0.
    table = np.array([[0.25, 0.5], [0.75, 0.5]])
    assert entropy_weights(moments(table), "ab") == (1.0, 0.0)
    # Columns scaled to their extremes: σ = √(2/9) ≈ 0.4714 and 0.5/√1.5 ≈ 0.4082 …
    table = np.array([[0.0, 0.0], [0.0, 0.5], [0.5, 0.25]])
    sigma = np.std(table / 0.5, axis=0)
    r = np.corrcoef(table.T)[0, 1]
    content = sigma * (1 - r)
    assert critic_weights(moments(table), "ab") == pytest.approx(content / content.sum(), abs=1e-12)


def test_ahp_by_hand() -> None:
    """A consistent matrix gives back the ratios that it was made from."""
    w = np.array([0.5, 0.3, 0.2])
    weights, found = ahp_weights((w[:, None] / w[None, :]).tolist(), ahp_rules(RULES))
    assert weights == pytest.approx(w, abs=1e-14)
    assert found.lambda_max == pytest.approx(3, abs=1e-12)
    assert found.cr == pytest.approx(0, abs=1e-12)
    assert found.consistent


def test_ahp_agrees_with_the_eigenvector_and_with_xarray_spatial() -> None:
    weights, found = ahp_weights(AHP4, ahp_rules(RULES))
    values, vectors = np.linalg.eig(np.array(AHP4))
    top = np.argmax(values.real)
    vector = np.abs(vectors[:, top].real)
    assert weights == pytest.approx(vector / vector.sum(), abs=1e-13)
    # xrspatial.mcda.ahp_weights of the same judgements (0.10.20)
    assert found.lambda_max == pytest.approx(4.028317868011804, abs=1e-12)
    assert found.ci == pytest.approx(0.009439289337268045, abs=1e-12)
    assert found.cr == pytest.approx(0.010488099263631161, abs=1e-12)


def test_an_inconsistent_matrix_is_refused_unless_accepted() -> None:
    circular = [[1, 5, 1 / 5], [1 / 5, 1, 5], [5, 1 / 5, 1]]
    with pytest.raises(QualityViolation, match=r"CR = 2\.\d+ > 0\.1") as caught:
        ahp_weights(circular, ahp_rules(RULES))
    assert "accept_inconsistent" in caught.value.zh
    weights, found = ahp_weights(circular, ahp_rules(RULES), accept_inconsistent=True)
    assert weights == pytest.approx([1 / 3] * 3)
    assert not found.consistent


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, (3, 12), elements=st.floats(0, 1)), st.permutations(range(12)), st.integers(1, 12))
def test_weights_from_data_do_not_depend_on_order_or_block(table: np.ndarray, order: list[int], cut: int) -> None:
    table = quantise(table)
    table[:, :2] = [[0.0, 1.0]] * 3
    table[0, 2], table[1, 2] = 0.25, 0.75
    whole, parts = Moments(3), Moments(3)
    whole.add(table)
    parts.add(table[:, order[:cut]])
    parts.add(table[:, order[cut:]])
    for weigh in (entropy_weights, critic_weights):
        assert weigh(whole, "abc") == weigh(parts, "abc")


@pytest.mark.parametrize("weigh", [entropy_weights, critic_weights])
def test_weights_that_the_data_do_not_determine_are_an_error(weigh: Any) -> None:
    with pytest.raises(QualityViolation):
        weigh(moments(np.full((4, 2), 0.5)), ["a[1]", "b[1]"])
    with pytest.raises(QualityViolation, match=r"b\[1\]"):
        weigh(moments(np.array([[0.5, 0.0], [0.25, 0.0]])), ["a[1]", "b[1]"])


# --- combination ----------------------------------------------------------------------------------------------------

WEIGHTS = [0.4, 0.3, 0.2, 0.1]
shares = hnp.arrays(np.float64, (4, 7), elements=st.floats(0, 1))
some_weights = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any).map(lambda w: [v / sum(w) for v in w])


def test_topsis_agrees_with_scikit_criteria() -> None:
    # skcriteria.agg.topsis.topsis(TABLE, [1, 1, 1, 1], WEIGHTS)
    expected = [0.42916164657905825, 0.4877226634113516, 0.5733133534329926, 0.422635567239875, 0.520869628449301]
    best, worst = TABLE.max(axis=0), TABLE.min(axis=0)
    assert topsis(TABLE.T, WEIGHTS, best, worst) == pytest.approx(expected, abs=1e-14)


def test_wlc_and_owa_by_hand() -> None:
    # First row: 0.4·0.25 + 0.3·0.5 + 0.2·0.75 + 0.1·1
    assert wlc(TABLE.T, WEIGHTS)[0] == pytest.approx(0.5)
    v = [0.4, 0.3, 0.2, 0.1]
    # Sorted 1, 0.75, 0.5, 0.25.
    assert owa(TABLE.T, [0.25] * 4, v)[0] == pytest.approx(0.4 + 0.225 + 0.1 + 0.025)
    # With criterion weights: u = 0.1, 0.2, 0.3, 0.4 in that order; Q(0.1) = 0.16, Q(0.3) = 0.4 + 0.05·1.2 = 0.46,
    # Q(0.6) = 0.7 + 0.1·0.8 = 0.78, Q(1) = 1; ω = 0.16, 0.3, 0.32, 0.22.
    assert owa(TABLE.T, WEIGHTS, v)[0] == pytest.approx(0.16 + 0.3 * 0.75 + 0.32 * 0.5 + 0.22 * 0.25)
    assert orness(v) == pytest.approx((3 * 0.4 + 2 * 0.3 + 0.2) / 3)


@given(shares)
def test_owa_with_equal_order_weights_is_the_mean(values: np.ndarray) -> None:
    assert owa(values, [0.25] * 4, [0.25] * 4) == pytest.approx(values.mean(axis=0))


@given(shares, some_weights)
def test_owa_with_equal_order_weights_is_wlc(values: np.ndarray, weights: list[float]) -> None:
    assert owa(values, weights, [0.25] * 4) == pytest.approx(wlc(values, weights), abs=1e-12)


@given(shares, some_weights)
def test_owa_lies_between_worst_and_best_and_reaches_them(values: np.ndarray, order: list[float]) -> None:
    found = owa(values, [0.25] * 4, order)
    assert (found >= values.min(axis=0) - 1e-12).all()
    assert (found <= values.max(axis=0) + 1e-12).all()
    assert owa(values, [0.25] * 4, [1, 0, 0, 0]) == pytest.approx(values.max(axis=0))
    assert owa(values, [0.25] * 4, [0, 0, 0, 1]) == pytest.approx(values.min(axis=0))


@given(shares, some_weights, some_weights, st.permutations(range(4)))
def test_the_order_of_the_criteria_does_not_matter(
    values: np.ndarray, weights: list[float], order: list[float], places: list[int]
) -> None:
    moved = [weights[k] for k in places]
    assert owa(values[places], moved, order) == pytest.approx(owa(values, weights, order), abs=1e-12)


@given(shares, st.integers(0, 3), st.floats(0, 1), some_weights, some_weights)
def test_a_better_criterion_never_lowers_a_score(
    values: np.ndarray, k: int, more: float, weights: list[float], order: list[float]
) -> None:
    better = values.copy()
    better[k] = np.minimum(1, better[k] + more)
    assert (wlc(better, weights) >= wlc(values, weights) - 1e-12).all()
    assert (owa(better, weights, order) >= owa(values, weights, order) - 1e-12).all()
    one, nought = [1.0] * 4, [0.0] * 4
    low, high = topsis(values, weights, one, nought), topsis(better, weights, one, nought)
    assert ((low >= 0) & (low <= 1)).all()
    assert (high >= low - 1e-12).all()


@given(hnp.arrays(np.float64, (4, 6), elements=st.floats(0, 1)))
def test_topsis_never_puts_a_dominated_alternative_above(values: np.ndarray) -> None:
    values[:, 0], values[:, 1] = 0.0, 1.0
    values[:, 2] = values[:, 3] * 0.5
    found = topsis(values, WEIGHTS, values.max(axis=1), values.min(axis=1))
    assert found[2] <= found[3] + 1e-12
    assert (found[0], found[1]) == (0.0, 1.0)


# --- the analysis ---------------------------------------------------------------------------------------------------


class Array:
    version = "1"

    def __init__(self, layer_id: str, *bands: np.ndarray, unit: str | None = "m", classes: bool = False) -> None:
        self.layer_id, self.values, self.unit = layer_id, bands, unit
        title = Text(zh=layer_id, en=layer_id)
        self.layer = Layer(
            id=layer_id,
            title=title,
            description=title,
            theme=("base",),
            kind="raster",
            source=Source(uri="x.tif", version="1", sha256="0" * 64, licence="CC0", attribution=title, origin="test"),
            bands=tuple(
                Band(
                    name=f"b{k}",
                    title=title,
                    unit=unit,
                    valid_range=(-1e6, 1e6),
                    domain={0: title, 1: title} if classes else None,
                )
                for k in range(len(bands))
            ),
            style={"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 1, "color": "#ffffff"}]},
        )

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        return self.values[band - 1][row : row + height, col : col + width].astype(np.float32)


class Memory:
    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self.bands = shape, {}

    def raster(self, name: str, *, bands: Any, dtype: str, nodata: float, title: Any, style: Any) -> Any:
        store = np.full((len(bands), *self.shape), nodata, dtype=dtype)
        self.bands[name] = store

        class Writer:
            def write(self, row: int, col: int, values: np.ndarray, *, band: int = 1) -> None:
                store[band - 1, row : row + values.shape[0], col : col + values.shape[1]] = values

        return Writer()


def run(
    tmp_path: Path, layers: dict[str, Array], *, frames: dict[str, Any] | None = None, block: int = 64, **given: Any
) -> tuple[dict[str, np.ndarray], Any]:
    parameters = check_parameters(MultiCriteriaParameters, given, process="multi-criteria")
    specs = MultiCriteria.inputs_of(parameters)
    shape = next(iter(layers.values())).values[0].shape
    grid = GeoBox.from_bbox((110, 30, 110 + shape[1] * 0.01, 30 + shape[0] * 0.01), crs="EPSG:4490", shape=shape)
    inputs = Inputs(
        grid,
        {s.role: layers[s.layer] for s in specs if s.kind == "raster"},
        {s.role: (frames or {})[s.layer] for s in specs if s.kind == "vector"},
        RULES,
        {},
        str(tmp_path),
    )
    out = Memory(shape)
    return out.bands, MultiCriteria(block).run(inputs, parameters, out, lambda share, text: None)


NAN = np.nan
LAYERS = {
    "height": Array("height", np.array([[0.0, 50.0, 100.0], [200.0, NAN, 25.0]])),
    "cover": Array("cover", np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]), unit=None, classes=True),
}
HEIGHT = {"layer": "height", "range": [0, 100], "direction": "cost"}
COVER = {"layer": "cover", "scores": {"0": 0.5, "1": 1.0}}
TWO = {"criteria": [HEIGHT, COVER], "weighting": "given", "weights": [0.5, 0.5]}


def test_a_run_by_hand(tmp_path: Path) -> None:
    bands, result = run(tmp_path, LAYERS, **TWO)
    # height: 1, 0.5, 0 / 0 (beyond the range), no data, 0.75; cover 0.5 or 1.
    expected = np.array([[0.75, 0.75, 0.5], [0.25, NAN, 0.875]])
    assert np.array_equal(bands["score"][0], expected.astype(np.float32), equal_nan=True)
    assert bands["status"][0].tolist() == [[1, 1, 1], [1, 0, 1]]
    assert bands["criteria"][:, 0, 1].tolist() == [0.5, 1.0]
    weights = result.tables["weights"]
    assert [row["weight"] for row in weights] == [0.5, 0.5]
    assert (weights[0]["minimum"], weights[0]["maximum"]) == (0, 200)
    assert [f.assessed for f in result.factors] == [True, True]
    scored = sum(row["km2"] for row in result.tables["by_score"])
    from spatial.grid import cell_areas

    areas = cell_areas(GeoBox.from_bbox((110, 30, 110.03, 30.02), crs="EPSG:4490", shape=(2, 3)))
    assert scored == pytest.approx((3 * areas[0] + 2 * areas[1]) / 1e6, abs=1e-5)


def test_constraints_exclude_and_say_which(tmp_path: Path) -> None:
    redline = geopandas.GeoDataFrame(geometry=[shapely.box(110, 30.01, 110.01, 30.02)], crs="EPSG:4490")
    bands, result = run(
        tmp_path,
        LAYERS,
        frames={"redline": redline},
        **TWO,
        constraints=[{"layer": "redline", "features": "inside"}, {"layer": "height", "range": [0, 100]}],
    )
    assert bands["status"][0].tolist() == [[2, 1, 1], [3, 0, 1]]
    assert np.isnan(bands["score"][0][[0, 1], [0, 0]]).all()
    assert all(row["km2"] > 0 for row in result.tables["excluded"])
    bands, _ = run(
        tmp_path, LAYERS, frames={"redline": redline}, **TWO, constraints=[{"layer": "redline", "features": "outside"}]
    )
    assert bands["status"][0].tolist() == [[1, 2, 2], [2, 2, 2]]


SEVERAL = {
    "a": Array("a", np.random.default_rng(1).uniform(0, 9, (23, 17))),
    "b": Array("b", np.random.default_rng(2).normal(0, 3, (23, 17)), np.random.default_rng(3).uniform(0, 1, (23, 17))),
}
CHOSEN = [
    {"layer": "a", "range": [1, 8], "direction": "benefit"},
    {"layer": "b", "observed": True, "direction": "cost"},
    {"layer": "b", "band": 2, "points": [[0.2, 0], [0.5, 1], [0.9, 0.3]]},
]


@pytest.mark.parametrize("weighting", ["entropy", "critic"])
@pytest.mark.parametrize("method", ["wlc", "owa", "topsis"])
def test_no_bit_depends_on_the_block(tmp_path: Path, weighting: str, method: str) -> None:
    asked = {"criteria": CHOSEN, "weighting": weighting, "method": method}
    if method == "owa":
        asked["order_weights"] = [0.2, 0.5, 0.3]
    whole, first = run(tmp_path, SEVERAL, **asked)
    for block in (1, 5, 16):
        parts, second = run(tmp_path, SEVERAL, block=block, **asked)
        for name, values in whole.items():
            assert np.array_equal(values, parts[name], equal_nan=True), name
        assert first.tables == second.tables


def test_observed_extremes_are_the_ends(tmp_path: Path) -> None:
    bands, _ = run(tmp_path, SEVERAL, criteria=CHOSEN, weighting="given", weights=[0, 1, 0])
    values = SEVERAL["b"].values[0].astype(np.float32)
    assert bands["score"][0].flat[values.argmin()] == 1
    assert bands["score"][0].flat[values.argmax()] == 0


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"weights": [0.5, 0.4]}, InvalidParameter, "0.9"),
        ({"weights": [0.5, 0.25, 0.25]}, InvalidParameter, "3 weights for 2 criteria"),
        ({"weights": [1.5, -0.5]}, InvalidParameter, "0–1"),
        ({"weights": None}, InvalidParameter, "weighting = given"),
        ({"weighting": "critic"}, InvalidParameter, "plays no part"),
        ({"weighting": "ahp", "weights": None, "pairwise": [[1, 2]]}, InvalidParameter, "2×2"),
        ({"weighting": "ahp", "weights": None, "pairwise": [[1, 2], [2, 1]]}, InvalidParameter, "1/2"),
        ({"weighting": "ahp", "weights": None, "pairwise": [[2, 2], ["1/2", 1]]}, InvalidParameter, "a11"),
        ({"weighting": "ahp", "weights": None, "pairwise": [[1, 12], ["1/12", 1]]}, InvalidParameter, "scale"),
        ({"weighting": "ahp", "weights": None, "pairwise": [[1, -2], [-0.5, 1]]}, InvalidParameter, "positive"),
        ({"method": "owa"}, InvalidParameter, "order_weights"),
        ({"method": "owa", "order_weights": [0.5, 0.6]}, InvalidParameter, "1.1"),
        ({"criteria": [HEIGHT]}, InvalidParameter, "criteria"),
        ({"criteria": [HEIGHT, HEIGHT]}, InvalidParameter, "twice"),
        ({"criteria": [HEIGHT, COVER | {"direction": "cost"}]}, InvalidParameter, "direction"),
        ({"criteria": [HEIGHT, {"layer": "cover"}]}, InvalidParameter, "exactly one"),
        ({"criteria": [HEIGHT | {"direction": None}, COVER]}, InvalidParameter, "benefit"),
        ({"criteria": [HEIGHT | {"range": [100, 0]}, COVER]}, InvalidParameter, "rise"),
        ({"criteria": [HEIGHT, COVER | {"band": 2}]}, InvalidParameter, "no band 2"),
        ({"criteria": [HEIGHT, COVER | {"scores": {"0": 1.0}}]}, QualityViolation, "without a score: 1"),
        ({"criteria": [HEIGHT, COVER | {"scores": {"0": 1.5, "1": 0}}]}, InvalidParameter, "memberships"),
        (
            {"criteria": [HEIGHT, {"layer": "cover", "range": [0, 1], "direction": "cost"}]},
            InvalidParameter,
            "classes",
        ),
        ({"criteria": [HEIGHT | {"range": [5000, 9000]}, COVER]}, QualityViolation, "check the unit"),
        ({"criteria": [HEIGHT | {"unit": "km"}, COVER]}, QualityViolation, "the parameter says km"),
        ({"constraints": [{"layer": "height", "range": [900, 901]}]}, LayerEmpty, "no cell"),
        ({"constraints": [{"layer": "height"}]}, InvalidParameter, "exactly one"),
        ({"criteria": [HEIGHT | {"resampling": "bilinear"}, COVER]}, InvalidParameter, "exact"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, change: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        run(tmp_path, LAYERS, **(TWO | change))
    assert says in caught.value.en or says in caught.value.zh
    assert any("\u4e00" <= c <= "\u9fff" for c in caught.value.zh)


def test_a_fraction_may_be_written_as_text(tmp_path: Path) -> None:
    _, result = run(tmp_path, LAYERS, **(TWO | {"weighting": "ahp", "weights": None, "pairwise": [[1, 3], ["1/3", 1]]}))
    assert [row["weight"] for row in result.tables["weights"]] == pytest.approx([0.75, 0.25])
    assert result.tables["consistency"][0]["cr"] == 0


def test_the_schema_of_the_parameters_is_readable() -> None:
    schema = MultiCriteriaParameters.model_json_schema()
    assert {"criteria", "weighting"} == set(schema["required"])
    from spatial.jobs.contract import parameter_texts

    for name, field in MultiCriteriaParameters.model_fields.items():
        for text in parameter_texts(name, field):
            assert any("\u4e00" <= c <= "\u9fff" for c in text.zh), name
            assert not any("\u4e00" <= c <= "\u9fff" for c in text.en), name
