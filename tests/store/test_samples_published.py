"""The synthetic layers of dual evaluation and land cover go through intake into each store and come back as in the files."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio

from spatial.catalog import load_catalog
from spatial.intake.publication import publish_layer
from spatial.store.datastore import DataStore
from spatial.store.vector import ItemQuery

ROOT = Path(__file__).resolve().parents[2]
RASTERS = (
    "humidity-monthly", "wind", "land-use", "soil", "soil-quality", "carbonate", "meteorological-hazards", "geohazard",
    "surface-reflectance", "surface-reflectance-2024",
)  # fmt: skip
VECTORS = ("hazard-points", "county-capacity", "landcover-samples", "landcover-reference")


@pytest.fixture(scope="module")
def published(store_settings, tmp_path_factory):
    """A data store over the session's database with the layer definitions and files of the repository."""
    settings = store_settings.model_copy(
        update={
            "layers_dir": ROOT / "layers",
            "data_dir": ROOT,
            "var_dir": tmp_path_factory.mktemp("samples"),
            "postgis_schema": f"{store_settings.postgis_schema}_samples",
        }
    )
    opened = DataStore.open(settings)
    catalog = load_catalog(ROOT / "layers")
    for name in (*RASTERS, *VECTORS):
        publish_layer(opened, catalog[name])
    yield opened
    opened.close()


@pytest.mark.parametrize("name", RASTERS)
def test_a_raster_is_published_with_its_values(published, name):
    layer = load_catalog(ROOT / "layers")[name]
    raster = published.snapshot().raster(name)
    with rasterio.open(ROOT / layer.source.path) as source, rasterio.open(raster.path) as served:
        assert served.crs.to_epsg() == 4490
        assert served.transform.almost_equals(source.transform)
        np.testing.assert_array_equal(served.read(), source.read())


@pytest.mark.parametrize("name", VECTORS)
def test_a_vector_layer_is_published_with_its_features(published, name):
    layer = load_catalog(ROOT / "layers")[name]
    table = published.snapshot().vector(name)
    frame = gpd.read_file(ROOT / layer.source.path)
    assert table.count == len(frame)
    assert len(published.vectors.page(table, ItemQuery(limit=1000)).features) == len(frame)


def test_whole_numbers_of_the_county_table_stay_exact(published):
    table = published.snapshot().vector("county-capacity")
    rows = [json.loads(text)["properties"] for text in published.vectors.page(table, ItemQuery(limit=200)).features]
    assert sum(row["water_total_m3"] for row in rows) == 36_741_000_000
    assert sum(row["population"] for row in rows) == 57_750_000
    assert all(isinstance(row["water_total_m3"], int) for row in rows)
