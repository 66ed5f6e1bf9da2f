"""The same small layer, published once in each store; its frame is the oracle of the tests."""

from dataclasses import dataclass
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from spatial.catalog import Layer
from spatial.settings import Settings
from spatial.store.vector import PublishedTable, VectorStore, open_vector_store

FIELDS = {
    "name": "string",
    "kind": "string",
    "pop": "integer",
    "height": "number",
    "open": "boolean",
    "built": "date",
    "seen": "datetime",
    "fid": "string",  # a field may have the name of a column of ours
    "count": "integer",
}


def _layer(layer_id: str = "test-plots", fields: dict[str, str] = FIELDS, **changes: Any) -> Layer:
    text = {"zh": "测试", "en": "test"}
    document = {
        "id": layer_id,
        "title": text,
        "description": text,
        "theme": ["base"],
        "kind": "vector",
        "source": {
            "uri": "x.gpkg",
            "version": "1",
            "sha256": "0" * 64,
            "licence": "CC0",
            "attribution": text,
            "origin": "test",
        },
        "fields": [{"name": n, "type": t, "title": text} for n, t in fields.items()],
        "style": {"type": "single"},
    }
    return Layer.model_validate(document | changes)


def _frame(count: int = 300) -> gpd.GeoDataFrame:
    """Polygons around Wuhan with gaps in every field, odd names and ids that are neither 1, 2, 3 nor in order."""
    rng = np.random.default_rng(42)
    names = [
        "武汉市",
        "it's",
        'say "hi"',
        "50%",
        "a_b",
        "a\\b",
        "ÉCOLE",
        "école",
        "Ｗｕ",
        "<b>&",
        "",
        "Zürich",
        "换\n行",
        "z",
    ]
    gaps = rng.random((count, 6)) < 0.1
    seen = pd.Timestamp("2024-01-01T00:00:00Z") + pd.to_timedelta(rng.integers(0, 90 * 86_400_000, count), "ms")
    frame = pd.DataFrame(
        {
            "name": np.where(gaps[:, 0], None, rng.choice(names, count)),
            "kind": np.where(gaps[:, 1], None, rng.choice(["林地", "水域", "耕地"], count)),
            "pop": pd.array(np.where(gaps[:, 2], None, rng.integers(-5, 60, count)), dtype="Int64"),
            "height": np.where(gaps[:, 3], np.nan, rng.integers(-8, 80, count) / 4),
            "open": pd.array(np.where(gaps[:, 4], None, rng.random(count) < 0.5), dtype="boolean"),
            "built": pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 90, count), "D")).mask(
                gaps[:, 5]
            ),
            "seen": pd.Series(seen),
            "fid": [f"f{i}" for i in range(count)],
            "count": rng.integers(0, 9, count),
        }
    )
    frame.index = rng.permutation(np.arange(10, 10 + 7 * count, 7))
    x, y = rng.uniform(113.7, 114.9, count), rng.uniform(30.1, 31.2, count)
    size = rng.uniform(0.001, 0.05, (count, 2))
    shapes = [shapely.Point(a, b).buffer(s[0], quad_segs=3) for a, b, s in zip(x, y, size, strict=True)]
    shapes[:150] = shapely.box(x - size[:, 0], y - size[:, 1], x + size[:, 0], y + size[:, 1])[:150]
    shapes[0] = shapely.MultiPolygon([shapely.box(114, 30, 114.25, 30.5), shapely.box(114.5, 30.5, 114.75, 31)])
    return gpd.GeoDataFrame(frame, geometry=shapes, crs=4490)


@dataclass(frozen=True)
class Published:
    store: VectorStore
    table: PublishedTable
    frame: gpd.GeoDataFrame
    """What was published, in the order of the ids, rounded as stored."""


@pytest.fixture(scope="session")
def make_layer() -> Any:
    """A layer definition by id and fields."""
    return _layer


@pytest.fixture(scope="session")
def make_frame() -> Any:
    """A frame that fits it, by number of features."""
    return _frame


@pytest.fixture(scope="session")
def published(store_settings: Settings) -> Any:
    store = open_vector_store(store_settings)
    frame = _frame()
    layer = _layer(class_field="kind", time_field="seen")
    table = store.publish(layer, "2024.1-A", frame)
    oracle = frame.sort_index()
    oracle = oracle.set_geometry(shapely.transform(oracle.geometry.values, lambda xy: np.round(xy, 9)), crs=4490)
    yield Published(store, table, oracle)
    store.drop(table)
    store.close()
