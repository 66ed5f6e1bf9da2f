"""Outfalls above sections and the protection of drinking-water sources: by hand, and on the samples through the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import geopandas
import numpy as np
import pytest
import shapely
import yaml
from pyproj import Geod

from analyses.water.quality.outfalls import chainages, outfall_rows, source_rows
from analyses.water.quality.station_rules import surface_water_rules
from spatial.catalog import load_catalog
from spatial.intake import publish_layer
from spatial.jobs.result import RunResult
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore

TEXT = (PROJECT_ROOT / "layers" / "rules" / "surface_water_class.yml").read_text("utf-8")
RULE = surface_water_rules({"surface_water_class": yaml.safe_load(TEXT)}).influence
GEOD = Geod(ellps="GRS80")


def east(km: float, north_km: float = 0.0) -> shapely.Point:
    """A place some kilometres down a river that runs east from 114° E, 30° N."""
    lon, lat, _ = GEOD.fwd(114.0, 30.0, 90, km * 1000)
    return shapely.Point(lon, lat + north_km / 110.85)


REACHES = geopandas.GeoDataFrame(
    {
        "water": ["江", "江", "湖"],
        "kind": ["river", "river", "lake"],
        "from_m": [60_000.0, 0, 0],
        "to_m": [120_000.0, 60_000, 9],
    },
    geometry=[
        shapely.LineString([east(60), east(120)]),
        shapely.LineString([east(0), east(30), east(60)]),
        shapely.LineString([(113, 29), (113.1, 29)]),
    ],
    crs=4490,
)
OUTFALLS = geopandas.GeoDataFrame(
    {
        "name": ["上5", "上49", "上51", "下1", "他江", "湖口"],
        "water_body": ["江", "江", "江", "江", "别江", "湖"],
        "status": ["done", "todo", "todo", "todo", "todo", "doing"],
        "kind": ["industry"] * 6,
    },
    geometry=[east(95, 0.5), east(51), east(49), east(101), east(95), shapely.Point(113.05, 29.0)],
    crs=4490,
)
SECTIONS: dict[str, tuple[str | None, bool, Any]] = {
    "江·丙": ("江", False, east(100, -0.3)),
    "湖·心": ("湖", True, shapely.Point(113.0, 29.1)),
    "无名·甲": ("无名河", False, east(10)),
}


def test_upstream_is_told_by_chainage_within_the_distance() -> None:
    rivers = chainages(REACHES)
    assert set(rivers) == {"江"}
    assert rivers["江"].metres[0] == 0
    assert np.all(np.diff(rivers["江"].metres) >= 0)
    rows, unknown = outfall_rows(SECTIONS, OUTFALLS, rivers, RULE)
    assert unknown == ["无名·甲"]
    mine = [(row["outfall"], row["km"]) for row in rows if row["station"] == "江·丙"]
    assert [name for name, _ in mine] == ["上5", "上49"]
    assert [km for _, km in mine] == pytest.approx([5, 49], abs=0.05)
    lake = [row for row in rows if row["station"] == "湖·心"]
    assert [(row["outfall"], row["km"]) for row in lake] == [("湖口", None)]


def test_without_reaches_no_river_section_is_judged() -> None:
    rows, unknown = outfall_rows(SECTIONS, OUTFALLS, chainages(None), RULE)
    assert unknown == ["无名·甲", "江·丙"]
    assert {row["station"] for row in rows} == {"湖·心"}


def test_a_source_has_zone_outfalls_and_the_nearest_section() -> None:
    sources = geopandas.GeoDataFrame(
        {
            "name": ["近", "远", "地下", "未划定"],
            "kind": ["river", "river", "groundwater", "river"],
            "zone_km2": [3.2, 3.2, 1.0, np.nan],
            "target_class": [3, 3, 3, 2],
        },
        geometry=[east(95.0), east(200), east(100), east(100)],
        crs=4490,
    )
    # The circle of 3.2 km² has a radius of 1,009 m; the outfalls «上5» and «他江» lie 500 and 0 m away, «下1» 6 km.
    rows = {r["source"]: r for r in source_rows(sources, SECTIONS, {"江·丙": 3}, OUTFALLS, RULE)}
    near = rows["近"]
    assert (near["protection"], near["outfalls_inside"], near["outfalls"]) == ("delimited", 2, "上5、他江")
    assert (near["section"], near["class"], near["quality"]) == ("江·丙", 3, True)
    assert near["section_km"] == pytest.approx(5.0, abs=0.05)
    assert (rows["远"]["section"], rows["远"]["quality"]) == (None, None)
    assert (rows["地下"]["section"], rows["地下"]["quality"]) == (None, None)
    assert (rows["未划定"]["protection"], rows["未划定"]["outfalls_inside"]) == ("none", None)
    assert rows["未划定"]["quality"] is False
    no_class = source_rows(sources.iloc[:1], SECTIONS, {"江·丙": None}, None, RULE)[0]
    assert (no_class["quality"], no_class["outfalls_inside"]) == (None, None)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    settings = Settings(layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), store="duckdb")
    opened = DataStore.open(settings)
    catalog = load_catalog(settings.layers_dir)
    for name in ("water-quality-sections", "outfalls", "water-sources", "river-reaches"):
        publish_layer(opened, catalog[name])
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def result(store: DataStore) -> RunResult:
    return run_analysis(store, "station-quality", {}, publish=True)


def test_on_the_samples_outfalls_and_sources_are_layers_and_tables(store: DataStore, result: RunResult) -> None:
    assert set(result.layers) == {"sections", "series", "sources"}
    sections = result.frame("sections").set_index("station")
    counted: dict[str, int] = {}
    for row in result.tables["outfalls"]:
        counted[row["station"]] = counted.get(row["station"], 0) + 1
        assert row["km"] is None or 0 <= row["km"] <= 50
    assert sections["outfalls"].to_dict() == {name: counted.get(name, 0) for name in sections.index}
    assert (sections["outfalls_open"] <= sections["outfalls"]).all()
    assert counted["洪湖·湖心"] == 9  # every outfall of the lake
    assert len(result.tables["sources"]) == 24
    assert all(row["protection"] == "delimited" for row in result.tables["sources"])
    judged = [row for row in result.tables["sources"] if row["quality"] is not None]
    assert 0 < len(judged) < 24
    assert all(row["section_km"] <= 20 for row in judged)
    assert {f["id"]: f["assessed"] for f in result.factors}["outfalls"]
    assert "合成" in store.snapshot().vector(result.layers["sources"]).layer.display_title().zh


def test_the_share_that_reaches_its_target_is_that_of_the_sections(result: RunResult) -> None:
    year = result.tables["targets"][-1]
    rows = result.tables["sections"]
    reached = sum(row["reached"] is True for row in rows)
    assert year["reached"] == reached
    assert year["reached_percent"] == pytest.approx(100 * reached / year["with_target"], abs=0.05)
