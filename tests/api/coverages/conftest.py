"""A catalogue of rasters for the coverages' tests: an application, how to ask it, how to open what it sends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

WEST, NORTH, CELL, ROWS, COLS = 112.0, 31.5, 1 / 64, 96, 128
"""Grid of ``terrain``: 1/64°, an exact number in binary, so that borders are exact."""


def _band(name: str, zh: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "title": {"zh": zh, "en": name}, "valid_range": (-100_000, 100_000), **more}


def terrain_values() -> np.ndarray[Any, Any]:
    """Bands height (with holes), slope, cover (classes 1–4)."""
    rows, cols = np.mgrid[0:ROWS, 0:COLS].astype(np.float32)
    height = 100 * np.sin(rows / 9) + cols * 1.25 + 0.1
    height[10:14, 20:30] = np.nan
    slope = (rows * COLS + cols) / 7
    cover = 1 + ((rows // 6 + cols // 5) % 4)
    cover[-1, -1] = np.nan
    return np.stack([height, slope, cover]).astype(np.float32)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, hand_made: Any) -> Iterator[SimpleNamespace]:
    """An application with three rasters: ``terrain`` (float, 3 bands, synthetic), ``packed`` (scale and offset), ``relief``."""
    import rasterio
    from rasterio.transform import from_origin
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.catalog import Layer
    from spatial.settings import Settings

    folder = tmp_path_factory.mktemp("coverages")
    definitions = {
        "relief": hand_made.definitions["relief"],
        "parcels": hand_made.definitions["parcels"],
        "terrain": hand_made.layer_definition(
            "terrain",
            kind="raster",
            fields=[],
            bands=[
                _band("height", "高程", unit="m"),
                _band("slope", "坡度", unit="degree"),
                _band("cover", "覆盖", domain={str(k): {"zh": f"类{k}", "en": f"class {k}"} for k in range(1, 5)}),
            ],
            synthetic={"seed": 1, "recipe": {"zh": "公式", "en": "a formula"}},
            period=["2024-01-01", "2024-12-31"],
        ),
        "packed": hand_made.layer_definition(
            "packed", kind="raster", fields=[], bands=[_band("warmth", "气温", unit="degC")]
        ),
    }
    app = create_app(
        Settings(
            store="duckdb", var_dir=folder / "var", layers_dir=hand_made.write_layers(folder / "layers", definitions)
        )
    )
    datastore = app.state.datastore
    values = terrain_values()
    profile = {
        "driver": "GTiff", "width": COLS, "height": ROWS, "count": 3, "dtype": "float32", "nodata": float("nan"),
        "crs": "EPSG:4490", "transform": from_origin(WEST, NORTH, CELL, CELL), "photometric": "minisblack",
    }  # fmt: skip
    with rasterio.open(folder / "terrain.tif", "w", **profile) as file:
        file.write(values)
    packed = np.array([[0, 100], [-32768, 250]], dtype="int16")
    small = profile | {
        "width": 2, "height": 2, "count": 1, "dtype": "int16", "nodata": -32768, "transform": from_origin(110, 30, 1, 1)
    }  # fmt: skip
    with rasterio.open(folder / "packed.tif", "w", **small) as file:
        file.write(packed, 1)
        file.scales, file.offsets = (0.1,), (-5.0,)
    datastore.publish_raster(Layer.model_validate(definitions["terrain"]), folder / "terrain.tif")
    datastore.publish_raster(Layer.model_validate(definitions["packed"]), folder / "packed.tif")
    datastore.publish_raster(Layer.model_validate(definitions["relief"]), hand_made.write_relief(folder / "relief.tif"))
    datastore.publish_vector(Layer.model_validate(definitions["parcels"]), hand_made.parcels_frame())
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as client:
        yield SimpleNamespace(
            client=client, app=app, datastore=datastore, values=values, folder=folder, published=datastore.snapshot()
        )


@pytest.fixture
def ask(world: SimpleNamespace) -> Callable[..., Any]:
    """GET ``/coverage`` of a layer that must succeed."""

    def get(layer: str, query: str = "", **more: Any) -> Any:
        answer = world.client.get(f"/ogc/collections/{layer}/coverage{query}", **more)
        assert answer.status_code == 200, answer.text
        return answer

    return get


def _opened(answer: Any) -> SimpleNamespace:
    """A GeoTIFF answer: array, bounds, profile, names."""
    from rasterio.io import MemoryFile

    with MemoryFile(answer.content) as memory, memory.open() as file:
        return SimpleNamespace(
            array=file.read(), bounds=tuple(file.bounds), profile=file.profile, names=file.descriptions,
            units=file.units, tags=file.tags(), scales=file.scales, offsets=file.offsets, crs=file.crs,
            overviews=file.overviews(1), structure=file.tags(ns="IMAGE_STRUCTURE"), transform=file.transform,
        )  # fmt: skip


def _problem(world: SimpleNamespace, status: int, layer: str, query: str) -> dict[str, Any]:
    answer = world.client.get(f"/ogc/collections/{layer}/coverage{query}")
    assert answer.status_code == status, (answer.status_code, answer.text[:300])
    document: dict[str, Any] = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert document["detail_zh"]
    assert document["detail_en"]
    return document


@pytest.fixture(scope="session")
def opened() -> Any:
    """`_opened`."""
    return _opened


@pytest.fixture(scope="session")
def problem() -> Any:
    """`_problem`."""
    return _problem
