"""Sensitivity of a chain: draws, probabilities and areas against a count by hand, laws, blocks, bad input."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from analyses.chain import Chain, Station
from analyses.perturbation import Spread, draw, one_at_a_time
from analyses.sensitivity import SensitivityParameters, SuitabilitySensitivity
from analyses.weighted import Weighted
from spatial.catalog import Band, Layer, Source, Text
from spatial.errors import InvalidParameter, LayerEmpty, LayerNotFound
from spatial.grid import cell_areas
from spatial.jobs.contract import Inputs
from spatial.jobs.registry import check_parameters


def station(name: str, kind: str, edges: tuple[float, ...], table: Any = None, **more: Any) -> Station:
    levels = tuple(range(1, len(edges) + 2))
    return Station(
        id=name,
        title=Text(zh=name, en=name),
        kind=kind,
        factor=name,
        edges=edges,
        closed=("below",) * len(edges),
        levels=levels,
        table=table or (levels,) * 6,
        compare=(1,) * 6,
        source="hand",
        tag="own",
        **more,
    )


MATRIX = ((0,) * 5, *(tuple(min(5, max(i, j)) for j in range(1, 6)) for i in range(1, 6)))
CLASSES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 3}
CHAIN = Chain(
    id="hand",
    title=Text(zh="例", en="example"),
    stations=(
        station("mask", "stop", (0.5,), tuple((g, 5) for g in range(6)), stops=(2,), required=False),
        station("slope", "start", (3, 8, 15, 25)),
        station("water", "matrix", (10, 20, 30, 40), MATRIX),
        station("patch", "correction", (1, 2, 3, 4), tuple((g,) * 5 for g in range(6)), required=False),
    ),
    classes=CLASSES,
    class_titles={1: Text(zh="适宜", en="suitable")},
)
SLOPE_ONLY = Chain(
    id="s", title=Text(zh="坡", en="slope"), stations=(station("slope", "start", (3, 8, 15, 25)),), classes=CLASSES
)


class Factors:
    """A factors raster in memory that carries its chain."""

    layer_id, version, unit = "x-factors", "1", None

    def __init__(self, chain: Chain | None, provenance: dict[str, Any] | None = None, **bands: np.ndarray) -> None:
        self.values = [np.asarray(v, dtype=np.float32) for v in bands.values()]
        title = Text(zh="因子", en="factors")
        record = {} if chain is None else {"chain": chain.document()}
        self.layer = Layer(
            id=self.layer_id,
            title=title,
            description=title,
            theme=("results",),
            kind="raster",
            source=Source(uri="x.tif", version="1", sha256="0" * 64, licence="CC0", attribution=title, origin="test"),
            bands=tuple(Band(name=name, title=title, valid_range=(-1e6, 1e6)) for name in bands),
            style={"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 1, "color": "#ffffff"}]},
            provenance=record | (provenance or {}),
        )

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> np.ndarray:
        return self.values[band - 1][row : row + height, col : col + width]


class Memory:
    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape, self.bands = shape, {}

    def raster(self, name: str, *, bands: Any, dtype: str, nodata: float, title: Any, style: Any) -> Any:
        store = np.full((len(bands), *self.shape), nodata, dtype=dtype)
        self.bands |= {band.name: store[k] for k, band in enumerate(bands)}

        class Writer:
            def write(self, row: int, col: int, values: np.ndarray, *, band: int = 1) -> None:
                store[band - 1, row : row + values.shape[0], col : col + values.shape[1]] = values

        return Writer()


def grid_of(shape: tuple[int, int]) -> GeoBox:
    return GeoBox.from_bbox((110, 30, 110 + shape[1] * 0.01, 30 + shape[0] * 0.01), crs="EPSG:4490", shape=shape)


def run(
    tmp_path: Path, raster: Factors, *, block: int = 64, beside: Factors | None = None, **given: Any
) -> tuple[dict[str, np.ndarray], Any]:
    parameters = check_parameters(SensitivityParameters, {"layer": "x-factors"} | given, process="x")
    shape = raster.values[0].shape
    rasters = {"factors": raster} | ({} if beside is None else {"result": beside})
    inputs = Inputs(grid_of(shape), rasters, {}, {}, {}, str(tmp_path))
    out = Memory(shape)
    result = SuitabilitySensitivity(block).run(inputs, parameters, out, lambda share, text: None)
    return out.bands, result


def landscape(rows: int = 19, cols: int = 23, seed: int = 5) -> Factors:
    rng = np.random.default_rng(seed)
    slope = rng.uniform(0, 30, (rows, cols))
    slope[0, :3] = np.nan
    return Factors(CHAIN, mask=rng.random((rows, cols)) < 0.1, slope=slope, water=rng.uniform(0, 50, (rows, cols)))


# --- draws ----------------------------------------------------------------------------------------------------------


def test_a_draw_belongs_to_its_simulation() -> None:
    spread = Spread(seed=3)
    edges = [draw(CHAIN, spread, s).station("slope").edges for s in range(4)]
    assert len(set(edges)) == 4
    assert draw(CHAIN, Spread(seed=4), 0).station("slope").edges != edges[0]
    # Fixed for ever: a map that was published can be made again.
    assert edges[0] == pytest.approx([2.5895868291725934, 7.426720089050599, 16.26927340929341, 25.51856900559065])
    # A stream of its own for each kind of change.
    assert draw(CHAIN, Spread(seed=3, matrix=0.5), 0).station("slope").edges == edges[0]


def test_normal_draws_have_the_stated_spread() -> None:
    drawn = np.array([draw(SLOPE_ONLY, Spread(relative=0.1), s).stations[0].edges for s in range(2000)])
    assert drawn.mean(axis=0) == pytest.approx([3, 8, 15, 25], rel=0.01)
    assert drawn.std(axis=0) == pytest.approx([0.3, 0.8, 1.5, 2.5], rel=0.05)
    assert (np.abs(drawn / [3, 8, 15, 25] - 1) <= 0.3 + 1e-12).all()


def test_uniform_draws_stay_in_their_range() -> None:
    spread = Spread(distribution="uniform", absolute={"slope": 1.0})
    drawn = np.array([draw(SLOPE_ONLY, spread, s).stations[0].edges for s in range(500)])
    assert (np.abs(drawn - [3, 8, 15, 25]) <= 1).all()
    assert np.abs(drawn - [3, 8, 15, 25]).max() > 0.95


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**31 - 1), st.floats(0, 30), st.floats(0, 1))
def test_limits_keep_rising_and_matrices_stay_monotone(seed: int, width: float, share: float) -> None:
    # `with_edges` and `with_matrix` refuse anything else.
    spread = Spread(seed=seed, absolute={"slope": width, "water": width}, matrix=share)
    found = draw(CHAIN, spread, 0)
    cells = np.array(found.station("water").table[1:])
    assert np.abs(cells - np.array(MATRIX[1:])).max() <= 1
    assert list(found.station("slope").edges) == sorted(found.station("slope").edges)
    assert found.station("mask").edges == (0.5,)


def test_weights_are_scaled_to_one_again() -> None:
    found = draw(CHAIN, Spread(weights={"slope": 0.6, "water": 0.4}, weight=0.2), 1)
    assert isinstance(found, Weighted)
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.weights["slope"] != 0.6


def test_one_at_a_time_stops_half_way_to_the_neighbour() -> None:
    found = one_at_a_time(SLOPE_ONLY, Spread(absolute={"slope": 6.0}))
    assert [(v.number, v.used) for v in found] == [
        (1, -3), (1, 5.5), (2, 5.5), (2, 11.5), (3, 11.5), (3, 20), (4, 20), (4, 31),
    ]  # fmt: skip


# --- probabilities and areas ----------------------------------------------------------------------------------------


def test_probability_of_a_cell_by_hand(tmp_path: Path) -> None:
    """Class 1 up to 8°, 2 up to 25°, 3 above: each cell's class in each draw, by the drawn limits alone."""
    slopes = np.array([[2.0, 7.5, 8.5], [20.0, 24.0, 40.0]])
    count = 400
    bands, result = run(tmp_path, Factors(SLOPE_ONLY, slope=slopes), simulations=count, relative_percent=10, seed=9)
    edges = np.array([draw(SLOPE_ONLY, Spread(seed=9), s).stations[0].edges for s in range(count)])
    first = (slopes[..., None] <= edges[:, 1]).mean(axis=-1)
    third = (slopes[..., None] > edges[:, 3]).mean(axis=-1)
    assert bands["p1"] == pytest.approx(first)
    assert bands["p3"] == pytest.approx(third)
    assert bands["p2"] == pytest.approx(1 - first - third, abs=1e-6)
    # 7.5 is 0.625 standard deviations (0.8) below 8: Φ(0.625) = 0.734.
    assert bands["p1"][0, 1] == pytest.approx(0.734, abs=0.05)
    p = np.stack([first, 1 - first - third, third])
    entropy = -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1)), 0), axis=0) / np.log(3)
    assert bands["entropy"] == pytest.approx(entropy, abs=1e-6)
    assert bands["likely"].tolist() == [[1, 1, 2], [2, 2, 3]]
    assert bands["recorded"].tolist() == [[1, 1, 2], [2, 2, 3]]

    # Area of class 1 in each draw, from the drawn limit alone.
    area = cell_areas(grid_of((2, 3)))[:, None] * np.ones((2, 3)) / 1e6
    simulated = ((slopes[..., None] <= edges[:, 1]) * area[..., None]).sum(axis=(0, 1))
    row = result.tables["areas"][0]
    assert row["recorded_km2"] == pytest.approx(area[0, :2].sum(), abs=1e-6)
    assert row["mean_km2"] == pytest.approx(simulated.mean(), abs=1e-5)
    assert row["sd_km2"] == pytest.approx(simulated.std(ddof=1), abs=1e-5)
    assert (row["p5_km2"], row["p95_km2"]) == pytest.approx(np.percentile(simulated, [5, 95]), abs=1e-5)
    assert [r["class_1_km2"] for r in result.tables["simulations"]] == pytest.approx(simulated, abs=1e-5)


def test_one_at_a_time_by_hand(tmp_path: Path) -> None:
    slopes = np.array([[7.5, 8.5, 8.6], [20.0, 24.0, 40.0]])
    _, result = run(tmp_path, Factors(SLOPE_ONLY, slope=slopes), simulations=0, relative_percent=10)
    area = cell_areas(grid_of((2, 3))) / 1e6
    rows = {row["edge"]: row for row in result.tables["one_at_a_time"]}
    # 8 → 7.2 takes one cell from class 1, 8 → 8.8 gives it two; 25 → 22.5 moves 24 to class 3; 3 and 15 change no class.
    assert rows[2]["minus_class_1_km2"] == pytest.approx(-area[0], abs=1e-6)
    assert rows[2]["plus_class_1_km2"] == pytest.approx(2 * area[0], abs=1e-6)
    assert rows[4]["minus_class_3_km2"] == pytest.approx(area[1], abs=1e-6)
    assert rows[4]["plus_changed_km2"] == 0
    assert [(row["rank"], row["edge"]) for row in result.tables["one_at_a_time"]] == [(1, 2), (2, 4), (3, 1), (4, 3)]
    assert result.tables["one_at_a_time"][0]["changed_km2"] == pytest.approx(2 * area[0], abs=1e-6)


def test_probabilities_sum_to_one(tmp_path: Path) -> None:
    raster = landscape()
    bands, result = run(tmp_path, raster, simulations=37, matrix_percent=30)
    total = bands["p1"] + bands["p2"] + bands["p3"]
    known = np.isfinite(total)
    assert total[known] == pytest.approx(1, abs=1e-6)
    assert np.array_equal(known, bands["likely"] > 0)
    # Slope is missing in three cells; where the mask ends the chain first, they are assessed all the same.
    assert np.array_equal(known, np.isfinite(raster.values[1]) | (raster.values[0] > 0))
    for number in (1, 2, 3):
        row = result.tables["areas"][number - 1]
        weights = cell_areas(grid_of(total.shape))[:, None] * np.nan_to_num(bands[f"p{number}"].astype(float))
        assert row["mean_km2"] == pytest.approx(weights.sum() / 1e6, rel=1e-5)


def test_without_spread_the_class_is_sure_and_that_of_the_batch(tmp_path: Path) -> None:
    raster = landscape()
    bands, result = run(tmp_path, raster, simulations=5, relative_percent=0)
    batch = CHAIN.without("patch").run(dict(zip(("mask", "slope", "water"), raster.values, strict=True))).suitability
    assert np.array_equal(bands["likely"], batch)
    assert np.array_equal(bands["recorded"], batch)
    for number in (1, 2, 3):
        assert np.array_equal(bands[f"p{number}"][batch > 0], (batch[batch > 0] == number).astype(np.float32))
    assert (bands["entropy"][batch > 0] == 0).all()
    assert np.isnan(bands["p1"][batch == 0]).all()
    row = result.tables["areas"][0]
    assert row["p5_km2"] == row["p95_km2"] == row["recorded_km2"]
    assert {r["kind"] for r in result.tables["one_at_a_time"]} == {"off"}


@pytest.mark.parametrize("weights", [{}, {"slope": 0.7, "water": 0.3}])
def test_no_bit_depends_on_the_block(tmp_path: Path, weights: dict[str, float]) -> None:
    raster = landscape()
    asked = {"simulations": 12, "matrix_percent": 20.0, "weights": weights}
    whole, first = run(tmp_path, raster, **asked)
    for block in (1, 4, 16):
        parts, second = run(tmp_path, raster, block=block, **asked)
        for name, values in whole.items():
            assert np.array_equal(values, parts[name], equal_nan=True), name
        assert first.tables == second.tables


def test_a_sample_estimates_the_same_whatever_the_block(tmp_path: Path) -> None:
    raster = landscape(60, 60)
    tables = [run(tmp_path, raster, simulations=20, sample=3, block=block)[1].tables for block in (7, 16, 64)]
    assert tables[0] == tables[1] == tables[2]
    bands, full = run(tmp_path, raster, simulations=20)
    assert bands
    assert run(tmp_path, raster, simulations=20, sample=3)[0] == {}
    for estimate, exact in zip(tables[0]["areas"], full.tables["areas"], strict=True):
        assert estimate["mean_km2"] == pytest.approx(exact["mean_km2"], rel=0.25)


def test_a_wider_spread_gives_a_wider_interval(tmp_path: Path) -> None:
    raster = landscape(40, 40)
    widths = []
    for percent in (2, 8, 20):
        row = run(tmp_path, raster, simulations=60, relative_percent=percent)[1].tables["areas"][0]
        widths.append(row["p95_km2"] - row["p5_km2"])
    assert all(a < b for a, b in itertools.pairwise(widths))


def test_a_factor_that_is_not_local_is_named_and_left_out(tmp_path: Path) -> None:
    _, result = run(tmp_path, landscape(), simulations=2)
    assert {f.id: f.assessed for f in result.factors} == {"mask": True, "slope": True, "water": True, "patch": False}
    assert any("patch" in note.en for note in result.notes)


def test_a_result_layer_holds_what_needs_the_whole_map(tmp_path: Path) -> None:
    worse = tuple(tuple(min(5, g + level - 1) if g else 0 for level in range(1, 6)) for g in range(6))
    chain = CHAIN.model_copy(
        update={"stations": (*CHAIN.stations[:3], station("patch", "correction", (1, 2, 3, 4), worse, required=False))}
    )
    plain = landscape()
    raster = Factors(chain, **dict(zip(("mask", "slope", "water"), plain.values, strict=True)))
    patch = np.random.default_rng(8).integers(1, 5, plain.values[0].shape)
    beside = Factors(None, {"factors_layer": "x-factors"}, **{"class": patch * 0 + 1, "patch": patch})
    beside.layer_id = "x"
    bands, result = run(tmp_path, raster, beside=beside, result="x", simulations=6)
    names = ("mask", "slope", "water", "patch")
    batch = chain.run(dict(zip(names, [*raster.values, beside.values[1]], strict=True))).suitability
    assert np.array_equal(bands["recorded"], batch)
    assert all(f.assessed for f in result.factors)
    assert not [r for r in result.tables["one_at_a_time"] if r["station"] == "patch" and r["kind"] == "edge"]
    with pytest.raises(InvalidParameter, match="does not belong"):
        run(tmp_path, raster, beside=Factors(None, {"factors_layer": "z"}, patch=patch), result="x")
    with pytest.raises(InvalidParameter, match="patch"):
        run(tmp_path, raster, beside=beside, result="x", spreads={"patch": 1})


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"spreads": {"slop": 1}}, InvalidParameter, "slope"),
        ({"spreads": {"mask": 1}}, InvalidParameter, "mask"),
        ({"spreads": {"slope": -1}}, InvalidParameter, "spreads"),
        ({"weights": {"slope": 0.7, "water": 0.2}}, InvalidParameter, "0.9"),
        ({"weights": {"mask": 1.0}}, InvalidParameter, "mask"),
        ({"simulations": 0, "one_at_a_time": False}, InvalidParameter, "nothing to do"),
        ({"simulations": 5000}, InvalidParameter, "2000"),
        ({"relative_percent": 90}, InvalidParameter, "30"),
        ({"matrix_percent": float("nan")}, InvalidParameter, "matrix_percent"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, given: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error) as caught:
        run(tmp_path, landscape(), **given)
    assert says in caught.value.en


def test_a_layer_without_a_chain_is_refused(tmp_path: Path) -> None:
    bare = Factors(None, slope=np.ones((2, 2)))
    with pytest.raises(LayerNotFound, match="no chain"):
        run(tmp_path, bare)
    named = Factors(None, {"factors_layer": "y-factors"}, slope=np.ones((2, 2)))
    with pytest.raises(LayerNotFound, match="y-factors"):
        run(tmp_path, named)
    empty = Factors(SLOPE_ONLY, slope=np.full((2, 2), np.nan))
    with pytest.raises(LayerEmpty):
        run(tmp_path, empty)


def test_parameters_have_texts_in_both_languages() -> None:
    from spatial.jobs.contract import parameter_texts

    for name, field in SensitivityParameters.model_fields.items():
        for text in parameter_texts(name, field):
            assert any("\u4e00" <= c <= "\u9fff" for c in text.zh), name
            assert not any("\u4e00" <= c <= "\u9fff" for c in text.en), name
