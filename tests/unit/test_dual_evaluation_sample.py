"""The dual evaluation on the sample data of Hubei, through store and runner: what open and synthetic data can carry.

The bounds hold for towns (real terrain, synthetic roads). Farming and cropland by slope are printed, not bounded: the
elevation model has 30″ cells and the land use is synthetic (docs/methods/dual-evaluation.md, §8).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from analyses.chain import Chain
from analyses.dual_evaluation import DualEvaluation
from spatial.catalog import load_catalog
from spatial.intake import publish_layer
from spatial.jobs.result import RunResult
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore

TOWN = 12
ASSESSMENTS = ("ecology", "agriculture", "urban")
# 湖北省第三次全国国土调查主要数据公报 (2021-12): share of cropland by slope, %.
SURVEY = {"≤ 2°": 59.08, "2–6°": 17.31, "6–15°": 14.64, "15–25°": 6.66, "> 25°": 2.31}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    settings = Settings(layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), store="duckdb")
    opened = DataStore.open(settings)
    catalog = load_catalog(settings.layers_dir)
    for layer in {spec.layer for spec in DualEvaluation.inputs} & set(catalog):
        publish_layer(opened, catalog[layer])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def result(store: DataStore, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    out = tmp_path_factory.mktemp("out") / "x.tif"
    return run_analysis(store, "dual-evaluation", {"units": "county"}, out=out, publish=True, report=False)


def band(result: RunResult, raster: str, name: str) -> np.ndarray:
    with rasterio.open(result.rasters[raster]) as file:
        values: np.ndarray = file.read(file.descriptions.index(name) + 1)
    return values


def land_share(rows: pd.DataFrame) -> float:
    """Share of 不适宜 on land, %, of these units."""
    water = rows["water_surface_km2"].sum()
    return float(100 * (rows["unsuitable_km2"].sum() - water) / (rows["assessed_km2"].sum() - water))


def on_grid_of(result: RunResult, store: DataStore, layer: str) -> np.ndarray:
    """A class raster on the grid of the result, by the cell that holds each centre."""
    raster = store.snapshot().raster(layer)
    with rasterio.open(result.rasters["urban"]) as base, rasterio.open(raster.path) as file:
        cols, rows = np.arange(base.width) + 0.5, np.arange(base.height) + 0.5
        x, y = base.transform.c + base.transform.a * cols, base.transform.f + base.transform.e * rows
        j = np.floor((x - file.transform.c) / file.transform.a).astype(int)
        i = np.floor((y - file.transform.f) / file.transform.e).astype(int)
        values = file.read(1)
        inside = ((i >= 0) & (i < file.height))[:, None] & ((j >= 0) & (j < file.width))[None, :]
        found: np.ndarray = np.where(inside, values[np.ix_(i.clip(0, file.height - 1), j.clip(0, file.width - 1))], 0)
    return found


def test_mountains_are_unsuitable_for_towns_and_the_plain_is_not(result: RunResult, store: DataStore) -> None:
    import geopandas

    source = store.snapshot().catalog["counties"].source
    units = geopandas.read_file(store.settings.data_dir / source.path, layer=source.container_layer)
    rows = result.table("urban_by_unit").set_index("code")
    share = {name: land_share(rows.loc[group["code"].astype(str)]) for name, group in units.groupby("prefecture")}
    print(
        "不适宜 for towns, % of land:", {name: round(v, 1) for name, v in sorted(share.items(), key=lambda kv: -kv[1])}
    )
    assert share["神农架林区"] >= 65
    assert share["恩施土家族苗族自治州"] >= 30
    assert share["荆州市"] <= 2


def test_towns_stand_on_better_land_than_the_province(result: RunResult, store: DataStore) -> None:
    """Existing towns two ways: the real settlements, and the towns of the (synthetic) land use."""
    import geopandas

    totals = result.table("urban_totals").iloc[0]
    fit = totals["suitable_percent"] + totals["moderate_percent"]
    classes = band(result, "urban", "class")
    source = store.snapshot().catalog
    name = "seats" if "settlements" not in source else "settlements"
    towns = geopandas.read_file(
        store.settings.data_dir / source[name].source.path, layer=source[name].source.container_layer
    )
    with rasterio.open(result.rasters["urban"]) as raster:
        points = zip(towns.geometry.x, towns.geometry.y, strict=True)
        at_points = np.array([values[0] for values in raster.sample(points, indexes=1)])
    at_points = at_points[at_points > 0]
    in_use = classes[(on_grid_of(result, store, "land-use") == TOWN) & (classes > 0)]
    shares = {"settlements": 100 * (at_points < 3).mean(), "land use": 100 * (in_use < 3).mean()}
    print(f"适宜 and 一般适宜: province {fit:.1f} %, towns", {k: round(v, 1) for k, v in shares.items()})
    assert at_points.size > 900
    assert shares["settlements"] >= fit + 10
    assert shares["land use"] >= fit + 10


def test_cropland_by_slope_is_printed_with_its_gap(result: RunResult, store: DataStore) -> None:
    """No bound: 30″ slopes are too gentle, and the sample's cropland is drawn on the gentlest cells."""
    slope = band(result, "agriculture_factors", "slope")
    crops = np.isin(on_grid_of(result, store, "land-use"), [1, 2]) & np.isfinite(slope)
    counts, _ = np.histogram(slope[crops], [0, 2, 6, 15, 25, 90])
    for (name, survey), count in zip(SURVEY.items(), counts, strict=True):
        share = 100 * count / crops.sum()
        print(f"cropland {name}: {share:5.1f} %, survey {survey} %, gap {share - survey:+.1f}")
    assert crops.sum() > 10_000


def test_units_add_up_to_the_province_exactly(result: RunResult) -> None:
    for name in (*ASSESSMENTS, "agriculture_2020", "urban_2020"):
        rows, total = result.table(f"{name}_by_unit"), result.table(f"{name}_totals").iloc[0]
        assert len(rows) == 103
        for column in (c for c in rows if c.endswith("_km2")):
            # Whole dm² underneath; each of the 103 rows is rounded to 1 m² when it is shown.
            assert rows[column].sum() == pytest.approx(total[column], abs=103 * 0.5e-6), (name, column)
        assert total["assessed_km2"] + total["not_assessed_km2"] == pytest.approx(185_900, rel=0.002)
    urban = result.table("urban_totals").iloc[0]
    assert urban["not_assessed_km2"] == 0  # also where no road leads


def test_capacity_adds_up(result: RunResult) -> None:
    county, prefecture, province = (result.table(f"capacity_{level}") for level in ("county", "prefecture", "province"))
    assert (len(county), len(prefecture), len(province)) == (103, 17, 1)
    for column in ("water_total_m3", "agri_land_km2", "urban_land_km2", "agri_current_km2", "unit_km2"):
        whole = province[column].iloc[0]
        assert county[column].sum() == pytest.approx(whole, rel=1e-6), column
        assert prefecture[column].sum() == pytest.approx(whole, rel=1e-6), column
    for kind in ("agri", "urban"):
        least = county[[f"{kind}_water_km2", f"{kind}_land_km2"]].min(axis=1)
        assert county[f"{kind}_capacity_km2"].to_numpy() == pytest.approx(least.to_numpy(), abs=1e-4)
    assert province["agri_current_km2"].iloc[0] == pytest.approx(47_686, rel=1e-3)  # the official figure
    row = province.iloc[0]
    assert 0.7 < row["agri_index"] < 1.3, "a unit error would be a factor of 15 or 10,000"
    print({k: row[k] for k in province if k.endswith(("capacity_km2", "_index", "current_km2"))})


def test_towns_are_those_of_urban_suitability_bit_for_bit(result: RunResult, store: DataStore, tmp_path: Path) -> None:
    alone = run_analysis(store, "urban-suitability", {}, out=tmp_path / "u.tif")
    for theirs, ours in (("class", "urban"), ("factors", "urban_factors")):
        with rasterio.open(alone.rasters[theirs]) as one, rasterio.open(result.rasters[ours]) as other:
            assert other.descriptions[: one.count] == one.descriptions
            assert np.array_equal(one.read(), other.read(list(range(1, one.count + 1))), equal_nan=True)


@pytest.mark.parametrize("name", ASSESSMENTS)
def test_the_explanation_of_a_cell_is_the_map(result: RunResult, store: DataStore, name: str) -> None:
    """`Chain.trace`, with the chain that travels with the published layer, on what stands in the files of the result."""
    catalog = store.snapshot().catalog
    factors = catalog[result.layers[f"{name}_factors"]]
    assert catalog[result.layers[name]].provenance["factors_layer"] == factors.id
    chain = Chain.model_validate(factors.provenance["chain"])
    with rasterio.open(result.rasters[f"{name}_factors"]) as file:
        bands = dict(zip(file.descriptions, file.read(), strict=True))
    if name != "ecology":
        bands["patch"] = band(result, name, "patch")
    classes, grade, reason = (band(result, name, b) for b in ("class", "grade", "reason"))
    inside = np.argwhere(classes > 0)
    for row, col in inside[np.random.default_rng(4).integers(0, len(inside), 400)]:
        told = chain.trace({factor: float(bands[factor][row, col]) for factor in chain.factors})
        assert (told["class"], told["grade"]) == (classes[row, col], grade[row, col])
        code = int(reason[row, col])
        assert told["reason"] == (None if code < 2 else chain.stations[code - 2].id)


def test_what_was_not_assessed_is_said(result: RunResult) -> None:
    missing = set(result.not_assessed)
    assert {
        "water-environment",
        "agriculture.salinity",
        "ecology.biodiversity",
        "capacity-warning-pollutant",
    } <= missing
    assert not missing & {"slope", "location", "geohazard", "ecology.water_conservation", "agriculture.patch"}
    assert result.provenance["synthetic"] is True
