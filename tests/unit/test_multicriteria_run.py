"""Multi-criteria evaluation and sensitivity as runs on a real store: chosen inputs, published layers, provenance."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

sys.path.insert(0, str(Path(__file__).parents[1] / "sample_analyses"))
import sample_analyses as sample

from analyses.chain import Chain, Station
from spatial.catalog import Band, Layer
from spatial.errors import GridMismatch, InvalidParameter, LayerNotFound
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore

CHAIN = Chain(
    id="hand",
    title=sample.Text(zh="例", en="example"),
    stations=(
        Station(
            id="slope",
            title=sample.Text(zh="坡度", en="slope"),
            kind="start",
            factor="slope",
            unit="degree",
            edges=(3, 8, 15, 25),
            closed=("below",) * 4,
            levels=(1, 2, 3, 4, 5),
            table=((1, 2, 3, 4, 5),) * 6,
            compare=(1,) * 6,
            source="hand",
            tag="own",
        ),
    ),
    classes={1: 1, 2: 1, 3: 2, 4: 2, 5: 3},
)
CRITERIA = [
    {"layer": "elevation", "range": [0, 300], "direction": "cost", "unit": "m"},
    {"layer": "rain", "observed": True, "direction": "benefit", "resampling": "bilinear"},
]


def slopes() -> np.ndarray:
    return np.random.default_rng(4).uniform(0, 40, (40, 60)).astype(np.float32)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    folder = tmp_path_factory.mktemp("multicriteria")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sample.environment(folder).items():
            patch.setenv(name, value)
        rules = folder / "layers" / "rules"
        rules.mkdir()
        text = (PROJECT_ROOT / "layers" / "rules" / "multi_criteria.yml").read_text("utf-8")
        (rules / "multi_criteria.yml").write_text(text, "utf-8")
        found = DataStore.open(Settings())
    sample.publish_inputs(found, folder)
    plain = sample.layer("example-factors")
    band = Band(name="slope", title=plain.title, unit="degree", valid_range=(0, 90))
    factors: Layer = plain.model_copy(update={"bands": (band,), "provenance": {"chain": CHAIN.document()}})
    found.publish_raster(factors, sample.write_raster(folder / "factors.tif", slopes(), 0.01))
    yield found
    found.close()


def evaluate(store: DataStore, **changes: Any) -> Any:
    asked = {"criteria": CRITERIA, "weighting": "given", "weights": [0.75, 0.25]} | changes
    return run_analysis(store, "multi-criteria", asked, publish=True)


def test_layers_are_chosen_by_parameter_and_stand_in_the_provenance(store: DataStore) -> None:
    result = evaluate(store)
    assert [(i["role"], i["layer"]) for i in result.provenance["inputs"]] == [
        ("criterion-1", "elevation"),
        ("criterion-2", "rain"),
    ]
    assert result.provenance["synthetic"] is True
    assert result.provenance["parameters"]["weights"] == [0.75, 0.25]
    layer = store.snapshot().catalog[result.layers["score"]]
    assert layer.derived_from == ("elevation", "rain")
    assert [b.name for b in store.snapshot().catalog[result.layers["criteria"]].bands] == ["elevation_1", "rain_1"]
    with rasterio.open(result.rasters["score"]) as score, rasterio.open(result.rasters["criteria"]) as criteria:
        values = criteria.read()
        assert score.read(1) == pytest.approx(0.75 * values[0] + 0.25 * values[1], abs=1e-6, nan_ok=True)
        z = sample.elevation()
        known = np.isfinite(values[0])
        assert values[0][known] == pytest.approx(1 - z[known].astype(float) / 300, abs=1e-5)
        assert not known[3, 4]


def test_the_first_criterion_sets_the_grid_and_others_must_fit(store: DataStore) -> None:
    coarse = [CRITERIA[1] | {"resampling": "exact"}, CRITERIA[0]]
    with pytest.raises(GridMismatch, match="elevation"):
        evaluate(store, criteria=coarse)
    with pytest.raises(LayerNotFound, match="soil"):
        evaluate(store, criteria=[CRITERIA[0], CRITERIA[1] | {"layer": "soil"}])
    with pytest.raises(InvalidParameter, match="不相交"):
        evaluate(store, bbox=[0, 0, 1, 1])


def test_sensitivity_of_a_published_layer(store: DataStore) -> None:
    result = run_analysis(
        store, "suitability-sensitivity", {"layer": "example-factors", "simulations": 30, "seed": 2}, publish=True
    )
    assert set(result.layers) == {"probability", "likely"}
    with rasterio.open(result.rasters["probability"]) as dataset:
        assert dataset.descriptions == ("p1", "p2", "p3", "entropy")
        assert dataset.read([1, 2, 3]).sum(axis=0) == pytest.approx(np.ones((40, 60)), abs=1e-6)
    with rasterio.open(result.rasters["likely"]) as dataset:
        assert np.array_equal(dataset.read(2), CHAIN.run({"slope": slopes()}).suitability)
    assert result.provenance["inputs"][0]["layer"] == "example-factors"
    assert result.tables["one_at_a_time"][0]["rank"] == 1
    again = run_analysis(store, "suitability-sensitivity", {"layer": "example-factors", "simulations": 30, "seed": 2})
    assert again.tables == result.tables
    with pytest.raises(LayerNotFound, match="no chain"):
        run_analysis(store, "suitability-sensitivity", {"layer": "elevation"})


def test_a_sample_has_tables_and_no_map(store: DataStore) -> None:
    result = run_analysis(store, "suitability-sensitivity", {"layer": "example-factors", "sample": 4}, publish=True)
    assert (result.rasters, result.layers) == ({}, {})
    assert len(result.tables["areas"]) == 3
