"""Fixtures of the API tests: a small catalogue with hand-made layers, published in each store in turn, and its application.

Coordinates are simple numbers, so that expectations are computed by hand. Layers:

- ``parcels``: 4 squares of 0.1° in two rows; texts with quotes, Chinese, ``<b>``; a domain; synthetic
- ``gauges``: 5 points with a time field; the first one has no time
- ``grid-points``: 5,000 points at 114 + (i mod 100)/100, 30 + (i div 100)/100, fid = 1 … 5000
- ``relief``: a raster of 4 × 3 cells
- ``draft``: defined, never published
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SHA = "0" * 64
TIMES = [None, "2024-07-01T00:00:00Z", "2024-07-01T12:00:00Z", "2024-07-02T00:00:00Z", "2024-08-01T00:00:00Z"]


def layer_definition(layer_id: str, **changes: Any) -> dict[str, Any]:
    """Definition of a vector layer with harmless defaults."""
    definition: dict[str, Any] = {
        "id": layer_id,
        "title": {"zh": f"图层{layer_id}", "en": f"Layer {layer_id}"},
        "description": {"zh": "测试图层", "en": "A layer of the tests"},
        "theme": ["base"],
        "kind": "vector",
        "source": {
            "uri": f"{layer_id}.geojson",
            "version": "1",
            "sha256": SHA,
            "licence": "CC-BY-4.0",
            "attribution": {"zh": "测试", "en": "Tests"},
            "origin": "made by hand",
        },
        "fields": [{"name": "name", "type": "string", "title": {"zh": "名称", "en": "Name"}}],
        "style": {"type": "single", "fill": "#336699"},
    }
    return definition | changes


def _text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


DEFINITIONS: dict[str, dict[str, Any]] = {
    "parcels": layer_definition(
        "parcels",
        title=_text("地块", "Parcels"),
        fields=[
            {"name": "name", "type": "string", "title": _text("名称", "Name")},
            {
                "name": "use",
                "type": "integer",
                "title": _text("用途", "Use"),
                "domain": {"1": _text("耕地", "Farmland"), "2": _text("林地", "Forest")},
            },
            {"name": "area", "type": "number", "title": _text("面积", "Area"), "unit": "hm²"},
            {"name": "protected", "type": "boolean", "title": _text("受保护", "Protected")},
            {"name": "surveyed", "type": "date", "title": _text("调查日期", "Surveyed")},
        ],
        synthetic={"seed": 7, "recipe": _text("四个方格", "four squares")},
        keywords=["地块", "parcel"],
    ),
    "gauges": layer_definition(
        "gauges",
        title=_text("水位站", "River gauges"),
        kind="stations",
        fields=[
            {"name": "name", "type": "string", "title": _text("站名", "Station")},
            {"name": "level", "type": "number", "title": _text("水位", "Level"), "unit": "m"},
            {"name": "time", "type": "datetime", "title": _text("时间", "Time")},
        ],
        time_field="time",
    ),
    "grid-points": layer_definition(
        "grid-points",
        fields=[{"name": "row", "type": "integer", "title": _text("行", "Row")}],
    ),
    "relief": layer_definition(
        "relief",
        kind="raster",
        fields=[],
        bands=[
            {"name": "elevation", "title": _text("高程", "Elevation"), "unit": "m", "valid_range": [0, 4000]},
        ],
        style={"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 4000, "color": "#ffffff"}]},
    ),
    "draft": layer_definition("draft"),
}


def parcels_frame() -> Any:
    """Squares with corners (114, 30), (114.2, 30), (114, 30.2), (114.2, 30.2); fid 1–4."""
    import geopandas
    import pandas as pd
    import shapely

    corners = [(114.0, 30.0), (114.2, 30.0), (114.0, 30.2), (114.2, 30.2)]
    return geopandas.GeoDataFrame(
        {
            "name": ["武汉一号", 'O\'Brien "地块"', "<b>三号</b>", None],
            "use": pd.array([1, 2, 1, None], dtype="Int64"),
            "area": [1.5, 20.0, 300.25, None],
            "protected": pd.array([True, False, True, None], dtype="boolean"),
            "surveyed": [pd.Timestamp("2024-01-01").date(), pd.Timestamp("2024-06-30").date(), None, None],
        },
        geometry=[shapely.box(x, y, x + 0.1, y + 0.1) for x, y in corners],
        index=pd.Index([1, 2, 3, 4], name="fid"),
        crs="EPSG:4490",
    )


def gauges_frame() -> Any:
    """Points (111, 30), (112, 30) … (115, 30); fid 1–5."""
    import geopandas
    import pandas as pd
    import shapely

    return geopandas.GeoDataFrame(
        {
            "name": [f"站{i}" for i in range(1, 6)],
            "level": [float(i) for i in range(1, 6)],
            "time": pd.to_datetime(pd.Series(TIMES, index=range(1, 6)), utc=True),
        },
        geometry=[shapely.Point(110.0 + i, 30.0) for i in range(1, 6)],
        index=pd.Index(range(1, 6), name="fid"),
        crs="EPSG:4490",
    )


def grid_points_frame(count: int = 5000) -> Any:
    """`count` points on a grid of 0.01°, row by row from (114, 30)."""
    import geopandas
    import numpy as np
    import pandas as pd
    import shapely

    i = np.arange(count)
    xy = np.round(np.column_stack([114 + (i % 100) / 100, 30 + (i // 100) / 100]), 9)
    return geopandas.GeoDataFrame(
        {"row": (i // 100).astype("int64")},
        geometry=shapely.points(xy),
        index=pd.Index(i + 1, name="fid"),
        crs="EPSG:4490",
    )


def write_relief(path: Path) -> Path:
    """Raster of 4 × 3 cells of 0.5° from (112, 31.5) downwards; value = 100 × row + column, lower right is nodata."""
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    values = np.array([[0, 1, 2, 3], [100, 101, 102, 103], [200, 201, 202, -9999]], dtype="int16")
    profile = {
        "driver": "GTiff",
        "width": 4,
        "height": 3,
        "count": 1,
        "dtype": "int16",
        "nodata": -9999,
        "crs": "EPSG:4490",
        "transform": from_origin(112, 31.5, 0.5, 0.5),
    }
    with rasterio.open(path, "w", **profile) as file:
        file.write(values, 1)
    return path


def write_layers(folder: Path, definitions: dict[str, dict[str, Any]]) -> Path:
    """A layer folder: one YAML a layer, a small theme tree, and a schema that leaves the check to the model."""
    import yaml

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "schema.json").write_text(json.dumps({"type": "object"}), "utf-8")
    themes = [
        {"id": "base", "title": {"zh": "基础", "en": "Base"}},
        {"id": "results", "title": _text("成果", "Results")},
    ]
    (folder / "themes.yml").write_text(yaml.safe_dump(themes, allow_unicode=True), "utf-8")
    for layer_id, definition in definitions.items():
        (folder / f"{layer_id}.yml").write_text(yaml.safe_dump(definition, allow_unicode=True), "utf-8")
    return folder


def publish_all(datastore: Any, folder: Path) -> None:
    """Publish every layer of `DEFINITIONS` but ``draft``."""
    from spatial.catalog import Layer

    frames = {"parcels": parcels_frame(), "gauges": gauges_frame(), "grid-points": grid_points_frame()}
    for layer_id, frame in frames.items():
        datastore.publish_vector(Layer.model_validate(DEFINITIONS[layer_id]), frame)
    datastore.publish_raster(Layer.model_validate(DEFINITIONS["relief"]), write_relief(folder / "relief-source.tif"))


@pytest.fixture(scope="session")
def own_databases(store_settings: Any, request: pytest.FixtureRequest) -> Callable[[], dict[str, Any]]:
    """Settings of a schema and a state database of their own where the store is PostGIS; nothing where it is DuckDB."""

    def make() -> dict[str, Any]:
        if store_settings.store != "postgis":
            return {}
        import uuid

        import psycopg
        from psycopg.conninfo import conninfo_to_dict
        from pydantic import SecretStr
        from sqlalchemy import URL

        name = f"state_{uuid.uuid4().hex[:12]}"
        dsn = request.getfixturevalue("postgis_dsn")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        known = conninfo_to_dict(dsn)
        query = {key: str(known[key]) for key in ("host", "port") if key in known}
        url = URL.create("postgresql+psycopg", known.get("user"), known.get("password"), database=name, query=query)
        return {
            "postgis_schema": f"t_{uuid.uuid4().hex[:12]}",
            "state_url": SecretStr(url.render_as_string(hide_password=False)),
        }

    return make


@pytest.fixture(scope="session")
def hand_made() -> Any:
    """The definitions and frames above, for tests that publish more."""
    from types import SimpleNamespace

    return SimpleNamespace(
        definitions=DEFINITIONS,
        layer_definition=layer_definition,
        grid_points_frame=grid_points_frame,
        parcels_frame=parcels_frame,
        gauges_frame=gauges_frame,
        write_relief=write_relief,
        write_layers=write_layers,
        publish_all=publish_all,
    )


@pytest.fixture(scope="session")
def own_place(store_settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Settings of a folder and a schema of their own."""
    import uuid

    def make(name: str) -> dict[str, Any]:
        schema = {"postgis_schema": f"t_{uuid.uuid4().hex[:12]}"} if store_settings.store == "postgis" else {}
        return {"var_dir": tmp_path_factory.mktemp(f"{name}-var")} | schema

    return make


@pytest.fixture(scope="session")
def api_settings(store_settings: Any, own_place: Any, kept: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Settings of one store over the catalogue of these tests."""

    def make() -> Any:
        folder = write_layers(tmp_path_factory.mktemp("layers"), DEFINITIONS)
        return store_settings.model_copy(update={"layers_dir": folder} | own_place("api"))

    return kept.get("api settings", store_settings.store, make=make)


@pytest.fixture(scope="session")
def api_app(api_settings: Any, kept: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole application, with its layers published."""

    def make() -> Any:
        from spatial.asgi import create_app

        app = create_app(api_settings)
        publish_all(app.state.datastore, tmp_path_factory.mktemp("sources"))
        return app

    return kept.get("api app", api_settings.store, make=make)


@pytest.fixture(scope="session")
def open_client() -> Callable[[Any], Any]:
    """`_client`."""
    return _client


def _client(app: Any) -> Any:
    """An HTTP client of an application, as a context."""
    from starlette.testclient import TestClient

    return TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def client(api_app: Any, kept: Any) -> Any:
    """An HTTP client of the application; one event loop for the whole session, as in a server."""
    return kept.enter("api client", api_app.state.datastore.settings.store, make=lambda: _client(api_app))


@pytest.fixture(scope="session")
def datastore(api_app: Any) -> Any:
    """The data of the application."""
    return api_app.state.datastore


def _names(parameters: dict[str, Any]) -> dict[str, Any]:
    """Parameter names with their hyphen, which a Python name cannot have."""
    hyphened = {"bbox_crs": "bbox-crs", "filter_crs": "filter-crs", "filter_lang": "filter-lang"}
    return {hyphened.get(name, name): value for name, value in parameters.items()}


def path_item(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Path item of an OpenAPI document that describes an address, given with names for its other variables.

    As the specification says: a path without variables goes before one with them. A variable with listed values stands for
    those only. Empty where none describes it.
    """
    if path in document["paths"]:
        return dict(document["paths"][path])
    parts = path.split("/")

    def values(item: dict[str, Any], name: str) -> Any:
        for operation in item.values():
            for found in operation.get("parameters", ()):
                known = (
                    document["components"]["parameters"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
                )
                if (known["in"], known["name"]) == ("path", name):
                    return known["schema"].get("enum")
        return []

    for described, item in document["paths"].items():
        theirs = described.split("/")
        if len(theirs) == len(parts) and all(
            a == b or (a[:1] == "{" and b[:1] != "{" and ((v := values(item, a[1:-1])) is None or b in v))
            for a, b in zip(theirs, parts, strict=True)
        ):
            return dict(item)
    return {}


def path_items(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path items of an OpenAPI document, one for each collection that a path stands for."""
    for path, item in document["paths"].items():
        first = next(iter(item.values()))
        names = [p["$ref"].rpartition("/")[2] for p in first["parameters"] if "$ref" in p]
        known = [document["components"]["parameters"][name] for name in names]
        values = next((k["schema"]["enum"] for k in known if k["name"] == "collectionId"), None)
        for value in values if "{collectionId}" in path else [None]:
            yield path.replace("{collectionId}", str(value)), item


@pytest.fixture(scope="session")
def expanded() -> Callable[[dict[str, Any]], Iterator[tuple[str, dict[str, Any]]]]:
    """`path_items`."""
    return path_items


@pytest.fixture(scope="session")
def describing() -> Callable[[dict[str, Any], str], dict[str, Any]]:
    """`path_item`."""
    return path_item


@pytest.fixture
def get(client: Any) -> Any:
    """GET below ``/ogc`` that must succeed; gives the JSON."""

    def ask(path: str, **parameters: Any) -> Any:
        names = {
            name.replace("_", "-") if name in {"bbox_crs", "filter_crs", "filter_lang"} else name: value
            for name, value in parameters.items()
        }
        answer = client.get(f"/ogc{path}", params=names)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


@pytest.fixture
def problem(client: Any) -> Any:
    """GET below ``/ogc`` that must fail with a status; gives the problem document."""

    def ask(status: int, path: str, **parameters: Any) -> Any:
        names = {
            name.replace("_", "-") if name in {"bbox_crs", "filter_crs", "filter_lang"} else name: value
            for name, value in parameters.items()
        }
        answer = client.get(f"/ogc{path}", params=names)
        assert answer.status_code == status, (answer.status_code, answer.text[:500])
        assert answer.headers["content-type"].startswith("application/problem+json")
        document = answer.json()
        assert document["status"] == status
        assert document["detail_zh"]
        assert document["detail_en"]
        return document

    return ask
