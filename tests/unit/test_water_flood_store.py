"""Flood rehearsal, prepared strips and HAND through a real store: results become layers with their mark."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

from analyses.water.flood.inundation import FLOODED, RELEASED, WATERS
from spatial.catalog import load_catalog
from spatial.errors import InvalidParameter
from spatial.intake import publish_layer
from spatial.jobs.run import run_analysis
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore
from tiles.styles import style_of

DATA = PROJECT_ROOT / "data-samples" / "thematic"
WET = (FLOODED, RELEASED, WATERS)


@cache
def behind() -> np.ndarray:
    """Cells behind the main dikes, away from the dike itself: each side of the river by its dike and the box."""
    lines = geopandas.read_file(DATA / "hankou-dikes.gpkg")
    main = shapely.line_merge(shapely.union_all(lines[lines.kind == "main"].geometry.array))
    with rasterio.open(DATA / "hankou-terrain.tif") as file:
        (rows, cols), a = file.shape, file.transform
    box = shapely.box(a.c, a.f + rows * a.e, a.c + cols * a.a, a.f)
    pieces = shapely.get_parts(shapely.polygonize([shapely.union_all([main, box.exterior])]))
    stream = shapely.union_all(geopandas.read_file(DATA / "hankou-river.gpkg").geometry.array)
    dry = [p for p in pieces if not p.intersects(stream)]
    assert len(dry) == 3, "汉口、汉阳、武昌"
    mask = rasterio.features.rasterize([(p.buffer(-0.0012), 1) for p in dry], (rows, cols), transform=a)
    return mask > 0


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DataStore]:
    found = Settings(layers_dir=PROJECT_ROOT / "layers", var_dir=tmp_path_factory.mktemp("var"), store="duckdb")
    opened = DataStore.open(found)
    catalog = load_catalog(found.layers_dir)
    for layer in ("hankou-terrain", "hankou-river", "river-gauges", "hankou-dikes", "polders", "dem"):
        publish_layer(opened, catalog[layer])
    yield opened
    opened.close()


def test_a_run_becomes_layers(store: DataStore) -> None:
    result = run_analysis(store, "flood-rehearsal", {}, publish=True, job_id="f100d000-0000", report=False)
    assert set(result.layers) == {"extent", "depth", "probability", "dikes", "basins", "plans"}
    snapshot = store.snapshot()
    for name in ("extent", "depth", "probability"):
        layer = snapshot.raster(result.layers[name]).layer
        style_of(layer)
        assert "合成" in layer.display_title().zh, "the inputs are synthetic, so is the result"
    assert result.tables["levels"][1]["between_dikes_km2"] == pytest.approx(61.88, abs=0.1)
    assert {i["layer"] for i in result.provenance["inputs"]} >= {"hankou-terrain", "hankou-dikes", "river-gauges"}
    with rasterio.open(result.rasters["extent"]) as file:
        assert file.count == 2
        assert not np.isin(file.read(2)[behind()], WET).any()


def test_strips_become_a_layer_and_a_run_takes_it(store: DataStore) -> None:
    strips = run_analysis(store, "flood-strips", {}, publish=True, job_id="57a1b500-0000")
    layer = strips.layers["strips"]
    own = run_analysis(store, "flood-rehearsal", {"land": None})
    taken = run_analysis(store, "flood-rehearsal", {"land": None, "strips": layer})
    assert taken.tables == own.tables
    assert layer in {i["layer"] for i in taken.provenance["inputs"]}
    # On a window of the grid the strips of the whole are checked and hold as well.
    box = [114.20, 30.52, 114.40, 30.68]
    part = run_analysis(store, "flood-rehearsal", {"land": None, "strips": layer, "bbox": box, "levels_m": [27.3]})
    assert "prepared" in next(f for f in part.factors if f["id"] == "strips")["note"]["en"]


def test_the_30_second_terrain_cannot_carry_a_rehearsal(store: DataStore) -> None:
    result = run_analysis(
        store, "flood-rehearsal", {"terrain": "dem", "land": None}, publish=True, job_id="f100d000-0001", report=False
    )
    assert result.layers == {}
    assert result.tables["verdict"][0]["verdict"]["zh"] == "无法判定"


def test_hand_of_the_province_and_its_limits(store: DataStore, tmp_path: Path) -> None:
    """On the 30″ terrain a stage of 10 m floods the plain and spares the mountains; 5 m is less than its error."""
    box = [112.0, 29.6, 115.0, 31.2]
    result = run_analysis(store, "flood-hand", {"bbox": box, "stage_m": 10}, out=tmp_path / "hand.tif")
    with rasterio.open(result.rasters["hand"]) as file:
        hand = file.read(1)
    with rasterio.open(result.rasters["depth"]) as file:
        depth = file.read(1)
    wet = np.isfinite(depth)
    assert (hand[wet] <= 10).all()
    assert np.allclose((hand + depth)[wet], 10, atol=0.011)
    assert 0.2 < wet.mean() < 0.95
    assert result.tables["totals"][0]["flooded_km2"] > 5000
    low = run_analysis(store, "flood-hand", {"bbox": box, "stage_m": 5})
    assert low.rasters == {}
    assert "undecidable" in low.tables["verdict"][0]["reason"]["en"]
    with pytest.raises(InvalidParameter, match="smaller threshold"):
        run_analysis(store, "flood-hand", {"bbox": box, "stream_km2": 1e6})
