"""Belts and wetland of a small lake through store and runner, and the page of its site."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
import shapely

from spatial.catalog import load_catalog
from spatial.errors import FeatureNotFound, InvalidParameter
from spatial.intake import publish_layer
from spatial.jobs.result import RunResult
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore
from spatial.units import geodesic_areas
from spatial.wetland.document import site_document, sites_document
from spatial.wetland.rules import read_site_rules

LOST_HA, GAINED_HA = 12.0, 15.0
COLLECTION = "small-wetland-of-clear-dates"
"""The clouds of the sample scenes follow from the length of the name: this one has few."""


def generator() -> Any:
    """The program that makes the sample scenes, as a module."""
    path = PROJECT_ROOT / "data-samples" / "scripts" / "water_scenes.py"
    if "water_scenes" not in sys.modules:
        spec = importlib.util.spec_from_file_location("water_scenes", path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules["water_scenes"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["water_scenes"])
    return sys.modules["water_scenes"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chonghu (崇湖), three scenes a year for six years; a polder of 12 ha from 2018 on, 15 ha given back from 2018-08 on."""
    made = generator()
    lake = made.Lake(
        COLLECTION,
        "小湖（合成）",
        "Small lake (synthetic)",
        "崇湖",
        made._seasons(range(2015, 2021), (1, 7, 10)),
        30.0,
        0.7,
        plots=(
            made.Plot("reclaimed", datetime(2018, 1, 1, tzinfo=UTC), LOST_HA, 0.4),
            made.Plot("restored", datetime(2018, 8, 1, tzinfo=UTC), GAINED_HA, 0.75),
        ),
        bad={1: "all-cloud", 15: "twice"},
    )
    folder = tmp_path_factory.mktemp("scenes")
    made.make(lake, folder)
    return folder


@pytest.fixture(scope="module")
def store(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    settings = Settings(
        layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), scenes_path=scenes, store="duckdb"
    )
    opened = DataStore.open(settings)
    catalog = load_catalog(settings.layers_dir)
    for name in ("lakes", "ramsar-sites", "nature-reserves", "bird-observations"):
        publish_layer(opened, catalog[name])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def wetland(store: DataStore) -> RunResult:
    return run_analysis(
        store,
        "wetland-integrity",
        {"collection": COLLECTION, "site": "崇湖", "current_from": 2019},
        publish=True,
    )


@pytest.fixture(scope="module")
def belts(store: DataStore) -> RunResult:
    return run_analysis(store, "riparian-vegetation", {"collection": COLLECTION, "name": "崇湖"}, publish=True)


def test_planted_loss_and_gain_are_found_with_their_scenes(wetland: RunResult, scenes: Path) -> None:
    truth = json.loads((scenes / COLLECTION / "truth.json").read_text("utf-8"))
    assert {row["kind"] for row in truth["plots"]} == {"reclaimed", "restored"}
    ids = {path.stem for path in (scenes / COLLECTION / "items").glob("*.json")}
    for name, hectares in (("candidates", LOST_HA), ("gains", GAINED_HA)):
        found = wetland.frame(name)
        assert len(found) == 1
        row = found.iloc[0]
        # Strips of half a cell around a polder of 350 m are shared with its bank.
        assert row["area_m2"] / 1e4 == pytest.approx(hectares, rel=0.12)
        assert row["area_m2"] == pytest.approx(float(geodesic_areas(found.geometry.array)[0]), rel=1e-4)
        assert row["scene_collection"] == COLLECTION
        assert {row["scene_before"], row["scene_after"]} <= ids
        assert str(row["date_before"])[:4] <= "2017"
        assert str(row["date_after"])[:4] >= "2019"
    kinds = set(wetland.frame("candidates")["kind"]) | set(wetland.frame("gains")["kind"])
    assert kinds == {"wetland-loss", "wetland-gain"}


def test_wetland_area_is_near_the_truth_and_its_parts_add_up(wetland: RunResult, scenes: Path) -> None:
    row = wetland.tables["totals"][0]
    assert row["verdict"] in {"stable", "increased", "undetermined"}
    assert row["pairs"] >= 3
    assert row["basis"] == "season"
    parts = row["open_water_km2"] + row["plants_km2"] + row["mudflat_km2"]
    assert parts == pytest.approx(row["area_km2"], abs=2e-4)
    # Wetland is what was wet at the highest of the paired levels, less the polder and with the plot that was given back.
    truth = json.loads((scenes / COLLECTION / "truth.json").read_text("utf-8"))
    lake = {entry["time"][:10]: entry["lake_m2"] / 1e6 for entry in truth["areas"]}
    least, most = min(lake.values()), max(lake.values())
    assert least <= row["area_km2"] <= 1.02 * most + GAINED_HA / 100
    areas = wetland.table("areas")
    sums = areas.groupby("period")["area_m2"].sum()
    assert sums["baseline"] == pytest.approx(sums["current"], abs=1.0)
    pairs = wetland.tables["pairs"]
    assert all(pair["season_days"] <= 30 for pair in pairs)


def test_the_page_shows_what_was_found(store: DataStore, wetland: RunResult, belts: RunResult) -> None:
    rules = read_site_rules(store.settings.layers_dir)
    page = site_document(store, rules, "ramsar-2507")
    assert page["name"] == "公安崇湖"
    assert page["wetland"]["assessed"]
    assert page["wetland"]["layer"] == wetland.layers["site"]
    assert page["wetland"]["area_km2"] == pytest.approx(wetland.tables["totals"][0]["area_km2"], abs=1e-3)
    assert [belt["belt"] for belt in page["vegetation"]["belts"]] == ["0-200", "200-500", "500-1000"]
    total = belts.frame("belts")["area_m2"].sum() / 1e4
    assert sum(belt["area_hm2"] for belt in page["vegetation"]["belts"]) == pytest.approx(total, abs=0.2)
    # No watch was run: told, with the command that would do it.
    assert not page["water"]["assessed"]
    assert page["water"]["run"] == f"onemap run water-watch --param collection={COLLECTION} --publish"
    loss = wetland.frame("candidates").iloc[0]
    assert [(a["kind"], a["area_hm2"]) for a in page["alerts"]] == [("wetland-loss", round(loss["area_m2"] / 1e4, 2))]
    assert page["birds"]["species_count"] > 5
    assert page["synthetic"]
    assert page["scenes"][0]["id"] == COLLECTION
    # The waters with their margin of 1 km hold the belts.
    assert page["place"]["area_km2"] == pytest.approx(11.25 + total / 100, rel=0.01)


def test_baseline_of_a_layer_needs_its_level_or_months(store: DataStore) -> None:
    asked = {"collection": COLLECTION, "site": "崇湖", "baseline_layer": "lakes"}
    refused = run_analysis(store, "wetland-integrity", asked)
    row = refused.tables["totals"][0]
    assert (row["verdict"], row["baseline_km2"], row["loss_m2"]) == ("undetermined", None, None)
    assert "baseline_level_m" in row["reason_zh"]
    assert row["area_km2"] > 5  # now is told all the same
    assert len(refused.frame("candidates")) == 0
    known = run_analysis(
        store, "wetland-integrity", asked | {"baseline_months": [1, 7, 10], "current_from": 2019}
    ).tables["totals"][0]
    assert known["baseline_km2"] == pytest.approx(11.25, rel=0.02)
    assert known["loss_m2"] / 1e4 == pytest.approx(LOST_HA, rel=0.12)


def test_too_few_pairs_cannot_be_decided(store: DataStore) -> None:
    """One of the three scenes of 2015 is all cloud, so that two pairs are the most; the page shows the newest result."""
    asked = {"collection": COLLECTION, "site": "崇湖", "baseline_to": 2015, "current_from": 2020}
    result = run_analysis(store, "wetland-integrity", asked, publish=True)
    found = result.tables["totals"][0]
    assert set(result.layers) == {"wetland", "site"}  # no patch of change, no layer of it
    assert (found["verdict"], found["pairs"], found["baseline_km2"]) == ("undetermined", 0, None)
    assert "对" in found["reason_zh"]
    assert "pairs" in found["reason_en"]
    page = site_document(store, read_site_rules(store.settings.layers_dir), "公安崇湖")
    assert page["wetland"]["verdict_title"]["zh"] == "无法判定"
    assert page["wetland"]["reason_zh"] == found["reason_zh"]
    half = asked | {"baseline_to": 2017, "current_from": 2019, "bbox": (112.2, 29.87, 112.28, 29.99)}
    found = run_analysis(store, "wetland-integrity", half).tables["totals"][0]
    assert found["verdict"] == "undetermined"
    assert 0.2 < found["covered_share"] < 0.7
    assert "%" in found["reason_zh"]
    with pytest.raises(InvalidParameter, match="崇湖"):
        run_analysis(store, "wetland-integrity", {"collection": COLLECTION, "site": "东湖"})


def test_belts_of_the_lake_hold_no_trend_where_none_was_planted(belts: RunResult, store: DataStore) -> None:
    rows = belts.tables["belts"]
    assert [row["belt"] for row in rows] == ["0-200", "200-500", "500-1000"]
    assert all(row["direction"] == "none" for row in rows)
    assert all(row["greening_share"] + row["browning_share"] < 0.02 for row in rows)
    lake = gpd.read_file(PROJECT_ROOT / "data-samples" / "base" / "lakes.gpkg")
    shape = lake[lake["name"] == "崇湖"].geometry.iloc[0]
    frame = belts.frame("belts")
    assert shapely.union_all(frame.geometry.array).intersection(shape).area < 1e-10
    left = {row["scene"] for row in belts.tables["left_out"]}
    assert any(name.endswith("-b") for name in left)
    layers = belts.layers
    assert set(layers) == {"trend", "belts", "series"}
    published = store.snapshot().catalog[layers["series"]]
    assert (published.kind, published.station_field, published.time_field) == ("stations", "zone", "time")
    assert published.synthetic is not None


def test_every_listed_site_has_a_page(store: DataStore) -> None:
    rules = read_site_rules(store.settings.layers_dir)
    listed = sites_document(store, rules)["sites"]
    assert len(listed) == 28
    assert {site["kind"] for site in listed} == {"ramsar", "reserve"}
    for name in ("ramsar-2186", "reserve-石首麋鹿", "洪湖"):
        page = site_document(store, rules, name)
        assert not page["water"]["assessed"]
        assert page["water"]["reason"]["zh"]
    assert site_document(store, rules, "洪湖")["id"] == "ramsar-1729"
    known = {(site.layer, site.name) for site in rules.sites.list}
    assert known <= {(site["layer"], site["name"]) for site in listed}
    with pytest.raises(FeatureNotFound, match="ramsar-1729"):
        site_document(store, rules, "no-such-site")
