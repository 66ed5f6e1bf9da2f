"""Rasters and stations for the tests of EDR, on each store."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

START = datetime(2024, 6, 1, tzinfo=UTC)


PLACES = {"甲": (112.0, 30.0), "乙/2": (113.0, 30.0), "丙": (112.0, 31.0)}
"""Stations of ``levels``; one name has a slash."""


def levels_frame() -> Any:
    """Four daily observations a station: level = 10 × number of the station + day; the second has a hole."""
    import geopandas
    import pandas as pd
    import shapely

    rows = []
    for number, (name, place) in enumerate(PLACES.items(), start=1):
        for day in reversed(range(4)):  # not in order of time
            level = None if (number, day) == (2, 1) else 10.0 * number + day
            rows.append((name, START + timedelta(days=day), level, number, shapely.Point(place)))
    frame = pd.DataFrame(rows, columns=["station", "time", "level", "grade", "geometry"])
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    frame["grade"] = frame["grade"].astype("Int64")
    frame["level"] = frame["level"].astype("float64")
    return geopandas.GeoDataFrame(frame, geometry="geometry", crs="EPSG:4490").set_index(
        pd.Index(range(1, len(frame) + 1), name="fid")
    )


def definitions(hand_made: Any) -> dict[str, Any]:
    def text(zh: str, en: str) -> dict[str, str]:
        return {"zh": zh, "en": en}

    return {
        "relief": hand_made.definitions["relief"],
        "cover": hand_made.layer_definition(
            "cover",
            kind="raster",
            fields=[],
            bands=[
                {"name": "kind", "title": text("类", "Kind"), "valid_range": (0, 9),
                 "domain": {"1": text("田", "field"), "2": text("林", "forest"), "3": text("水", "water")}},
                {"name": "rain", "title": text("降水", "Rain"), "unit": "mm", "valid_range": (0, 9000)},
            ],
            period=["2024-01-01", "2024-12-31"],
            synthetic={"seed": 1, "recipe": text("手写", "by hand")},
        ),
        "parcels": hand_made.definitions["parcels"],
        "levels": hand_made.layer_definition(
            "levels",
            title=text("水位", "Levels"),
            kind="stations",
            fields=[
                {"name": "station", "type": "string", "title": text("站名", "Station")},
                {"name": "time", "type": "datetime", "title": text("时间", "Time")},
                {"name": "level", "type": "number", "title": text("水位", "Level"), "unit": "m"},
                {"name": "grade", "type": "integer", "title": text("等级", "Grade")},
            ],
            time_field="time",
            station_field="station",
        ),
    }  # fmt: skip


@contextmanager
def _world(store_settings: Any, tmp_path_factory: pytest.TempPathFactory, hand_made: Any) -> Iterator[SimpleNamespace]:
    """An application on one store with two rasters, a series of three stations and a plain vector layer."""
    import uuid

    import rasterio
    from rasterio.transform import from_origin
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.catalog import Layer

    folder = tmp_path_factory.mktemp("edr")
    wanted = definitions(hand_made)
    changes: dict[str, Any] = {
        "var_dir": folder / "var",
        "layers_dir": hand_made.write_layers(folder / "layers", wanted),
    }
    changes["var_dir"].mkdir()
    if store_settings.store == "postgis":
        changes["postgis_schema"] = f"t_{uuid.uuid4().hex[:12]}"
    app = create_app(store_settings.model_copy(update=changes))
    datastore = app.state.datastore
    datastore.publish_raster(Layer.model_validate(wanted["relief"]), hand_made.write_relief(folder / "relief.tif"))
    values = np.array([[[1, 1, 2], [1, 3, 2]], [[10, 20, 30], [40, 50, 0]]], dtype="uint16")
    profile = {
        "driver": "GTiff", "width": 3, "height": 2, "count": 2, "dtype": "uint16", "nodata": 0, "crs": "EPSG:4490",
        "transform": from_origin(112, 31, 0.5, 0.5),
    }  # fmt: skip
    with rasterio.open(folder / "cover.tif", "w", **profile) as file:
        file.write(values)
    datastore.publish_raster(Layer.model_validate(wanted["cover"]), folder / "cover.tif")
    datastore.publish_vector(Layer.model_validate(wanted["levels"]), levels_frame())
    datastore.publish_vector(Layer.model_validate(wanted["parcels"]), hand_made.parcels_frame())
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as client:
        yield SimpleNamespace(client=client, datastore=datastore, hand_made=hand_made, folder=folder, wanted=wanted)


@pytest.fixture(scope="session")
def world(store_settings: Any, tmp_path_factory: pytest.TempPathFactory, hand_made: Any, kept: Any) -> Any:
    """`_world`, once a store; who publishes in it brings the old values back."""
    return kept.enter("edr", store_settings.store, make=lambda: _world(store_settings, tmp_path_factory, hand_made))


@pytest.fixture
def ask(world: SimpleNamespace) -> Callable[..., Any]:
    """GET below ``/ogc/collections`` that must succeed; CoverageJSON is checked by its model."""

    def get(path: str, **parameters: Any) -> Any:
        from covjson_pydantic.coverage import Coverage, CoverageCollection

        names = {name.replace("_", "-"): value for name, value in parameters.items()}
        answer = world.client.get(f"/ogc/collections/{path}", params=names)
        assert answer.status_code == 200, (answer.status_code, answer.text[:400])
        kind = answer.headers["content-type"]
        if kind == "application/prs.coverage+json":
            model = CoverageCollection if answer.json()["type"] == "CoverageCollection" else Coverage
            model.model_validate_json(answer.content)
            return answer.json()
        if kind.startswith("text/csv"):
            return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        return answer.json()

    return get


def _numbers(document: dict[str, Any], name: str) -> list[Any]:
    found: list[Any] = document["ranges"][name]["values"]
    return found


@pytest.fixture(scope="session")
def numbers() -> Any:
    """`_numbers`."""
    return _numbers
