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
from itertools import pairwise
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
def api_settings(store_settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Settings of one store over the catalogue of these tests."""
    folder = write_layers(tmp_path_factory.mktemp("layers"), DEFINITIONS)
    return store_settings.model_copy(update={"layers_dir": folder})


@pytest.fixture(scope="session")
def api_app(api_settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The whole application, with its layers published."""
    from spatial.asgi import create_app

    app = create_app(api_settings)
    publish_all(app.state.datastore, tmp_path_factory.mktemp("sources"))
    return app


@pytest.fixture(scope="session")
def client(api_app: Any) -> Iterator[Any]:
    """An HTTP client of the application; one event loop for the whole session, as in a server."""
    from starlette.testclient import TestClient

    with TestClient(api_app, base_url="http://onemap.test", raise_server_exceptions=False) as found:
        yield found


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


# -- results of an evaluation, for what-if and explain -----------------------------------------------------------------

EVALUATED = {"west": 114.0, "north": 31.0, "cell": 1 / 256, "rows": 48, "cols": 64}
"""Cells of 1/256°, so that cell edges are exact numbers; the last row has no slope."""


def evaluation_chain(chain_id: str = "urban") -> Any:
    """Water surface (mask), slope (start), relief (steps), water (matrix), patch concentration (correction, not local)."""
    from types import SimpleNamespace

    from analyses import chain as chains
    from analyses.grading import Correction, GradeTable, Matrix, StepTable
    from spatial.catalog import Text

    def about(zh: str, en: str, unit: str | None = None) -> Any:
        return SimpleNamespace(title=Text(zh=zh, en=en), unit=unit, source=f"试验规则 {en}", tag="own")

    def rising(*edges: float) -> Any:
        rows: list[dict[str, float]] = [{"grade": 1, "to": edges[0]}]
        rows += [{"grade": n, "over": a, "to": b} for n, (a, b) in enumerate(pairwise(edges), 2)]
        return GradeTable.model_validate({"grades": [*rows, {"grade": 5, "over": edges[-1]}]})

    lines = tuple(Correction.model_validate({"grade": 5, "when": [1, 2, 3, 4], "add": 1}) for _ in range(1))
    cells = Matrix.model_validate({"rows": [[max(r, c) for c in range(1, 6)] for r in range(1, 6)]})
    relief = StepTable.model_validate({"steps": [{"over": 100, "to": 200, "add": 1}, {"over": 200, "add": 2}]})
    return chains.Chain(
        id=chain_id,
        title=Text(zh=f"试验评价 {chain_id}", en=f"Trial evaluation {chain_id}"),
        stations=(
            chains.stop("water-surface", "surface", about("水域", "water surface"), 5),
            chains.start("slope", "slope", rising(3, 8, 15, 25), about=about("坡度", "slope", "degree")),
            chains.steps("relief", "relief", relief, about=about("起伏度", "relief", "m")),
            chains.matrix("water", "water", rising(10, 20, 30, 40), cells, about=about("水资源", "water", "mm")),
            chains.correction(
                "patch", "patch", rising(1, 2, 3, 4), lines, about=about("集中连片度", "patches"), required=False
            ),
        ),
        classes={1: 1, 2: 2, 3: 2, 4: 2, 5: 3},
        class_titles={
            1: {"zh": "适宜", "en": "suitable"},
            2: {"zh": "一般", "en": "fair"},
            3: {"zh": "不适宜", "en": "not"},
        },
    )


def evaluation_values(seed: int = 5) -> dict[str, Any]:
    """Factor values of every cell by name; edges of the tables among them."""
    import numpy as np

    shape = (EVALUATED["rows"], EVALUATED["cols"])
    rng = np.random.default_rng(seed)
    values = {
        "surface": (rng.random(shape) < 0.1).astype(np.float32),
        "slope": rng.choice(np.float32([0, 3, 3.25, 8, 15, 15.5, 25, 26]), shape),
        "relief": rng.choice(np.float32([0, 100, 150, 200, 201]), shape),
        "water": rng.choice(np.float32([5, 10, 15, 25, 40, 41]), shape),
        "patch": rng.integers(1, 6, shape).astype(np.float32),
    }
    values["slope"][-1, :] = np.nan
    values["water"][0, :5] = np.nan
    return values


def publish_evaluation(datastore: Any, folder: Path, chain_id: str, job: str, seed: int) -> None:
    """Factors and class raster of one chain, as a run publishes them: ``{chain}-factors`` and ``{chain}-classes``."""
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    from spatial.catalog import Layer

    chain, values = evaluation_chain(chain_id), evaluation_values(seed)
    names = [name for name in values if name != "patch"]
    graded = chain.run(values)
    patch = np.where(graded.grade > 0, values["patch"], 0).astype(np.uint8)
    colours = {1: "#1a9850", 2: "#fee08b", 3: "#d73027"}
    parts = {
        "factors": ([values[n] for n in names], names, "float32", float("nan"), (-1e6, 1e6)),
        "classes": (
            [graded.suitability, graded.grade, graded.reason, patch],
            ["class", "grade", "reason", "patch"],
            "uint8",
            0,
            (0, 127),
        ),
    }
    ids = {"factors": f"{chain_id}-factors", "classes": f"{chain_id}-classes"}
    styles = {
        "factors": {
            "type": "ramp",
            "band": "slope",
            "stops": [{"value": 0, "color": "#000000"}, {"value": 45, "color": "#ffffff"}],
        },
        "classes": {
            "type": "classes",
            "band": "class",
            "classes": [{"value": n, "color": c, "title": chain.class_titles[n].model_dump()} for n, c in colours.items()],
        },
    }  # fmt: skip
    records = {
        "factors": {"job": job, "chain": chain.document(), "result_layer": ids["classes"]},
        "classes": {"job": job, "factors_layer": ids["factors"]},
    }
    for part, (arrays, bands, dtype, nodata, span) in parts.items():
        path = folder / f"{ids[part]}.tif"
        profile = {
            "driver": "GTiff", "width": EVALUATED["cols"], "height": EVALUATED["rows"], "count": len(arrays),
            "dtype": dtype, "nodata": nodata, "crs": "EPSG:4490", "photometric": "minisblack",
            "transform": from_origin(EVALUATED["west"], EVALUATED["north"], EVALUATED["cell"], EVALUATED["cell"]),
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as file:
            for number, array in enumerate(arrays, start=1):
                file.write(array.astype(dtype), number)
        domain = {"1": _text("一", "one")} if dtype == "uint8" else None
        definition = layer_definition(
            ids[part],
            kind="raster",
            theme=["results"],
            fields=[],
            bands=[
                {"name": n, "title": _text(n, n), "valid_range": span, "domain": domain}
                for n in bands
            ],
            style=styles[part],
            provenance=records[part],
        )  # fmt: skip
        datastore.publish_raster(Layer.model_validate(definition), path)


@pytest.fixture(scope="session")
def evaluated_app(store_settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An application of its own with two evaluations of one run (urban, agriculture) and a plain raster."""
    import uuid

    from spatial.asgi import create_app
    from spatial.catalog import Layer

    folder = tmp_path_factory.mktemp("evaluated")
    changes: dict[str, Any] = {
        "var_dir": folder / "var",
        "layers_dir": write_layers(folder / "layers", {"relief": DEFINITIONS["relief"]}),
    }
    changes["var_dir"].mkdir()
    if store_settings.store == "postgis":
        changes["postgis_schema"] = f"t_{uuid.uuid4().hex[:12]}"
    app = create_app(store_settings.model_copy(update=changes))
    datastore = app.state.datastore
    datastore.publish_raster(Layer.model_validate(DEFINITIONS["relief"]), write_relief(folder / "relief.tif"))
    job = "0f3a9c1e-0000-4000-8000-000000000000"
    publish_evaluation(datastore, folder, "urban", job, 5)
    publish_evaluation(datastore, folder, "agriculture", job, 6)
    return app


@pytest.fixture(scope="session")
def evaluated(evaluated_app: Any) -> Iterator[Any]:
    """An HTTP client of the application above, with its chain, values and grid."""
    from types import SimpleNamespace

    from starlette.testclient import TestClient

    with TestClient(evaluated_app, base_url="http://onemap.test", raise_server_exceptions=False) as found:
        yield SimpleNamespace(
            get=found.get,
            post=found.post,
            datastore=evaluated_app.state.datastore,
            chain=evaluation_chain(),
            values=evaluation_values(5),
            **EVALUATED,
        )


# -- layers that are easy to see, for maps, styles and WMS -----------------------------------------------------------------

CODE_COLOURS = [f"#{40 * (i % 4) + 20:02x}{60 * (i // 4) + 10:02x}c8" for i in range(16)]
"""Colour of the codes 1–16 of ``codes``, row by row."""
_KINDS = [(1, "#ff0000", "red"), (2, "#00ff00", "green")]


def drawn_definitions() -> dict[str, dict[str, Any]]:
    """``squares``, ``road``, ``dots`` (with times), ``specks`` (2,116), ``made`` (synthetic), ``codes``, ``height``."""
    kind = {"name": "kind", "type": "integer", "title": _text("类别", "Kind")}
    steps = [{"value": 0, "color": "#000000"}, {"value": 1000, "color": "#ffffff"}]
    bands = [
        {"name": n, "title": _text(n, n), "valid_range": [0, 20], "domain": {"1": _text("一", "one")}}
        for n in ("codes", "other")
    ]
    colours = [
        {"value": n + 1, "color": c, "title": _text(f"类{n + 1}", f"class {n + 1}")} for n, c in enumerate(CODE_COLOURS)
    ]
    other = [{"value": 1, "color": "#123456", "title": _text("其他", "other")}]
    categories = [{"value": v, "fill": c, "title": _text(c, name)} for v, c, name in _KINDS]
    return {
        "squares": layer_definition(
            "squares",
            title=_text("方格 <&>", "Squares <&>"),
            fields=[kind],
            style={"type": "categories", "field": "kind", "classes": categories},
        ),
        "road": layer_definition("road", style={"type": "single", "stroke": "#0000ff", "width": 4}),
        "dots": layer_definition(
            "dots",
            kind="stations",
            fields=[
                {"name": "level", "type": "number", "title": _text("水位", "Level"), "unit": "m"},
                {"name": "time", "type": "datetime", "title": _text("时间", "Time")},
            ],
            time_field="time",
            style={"type": "single", "fill": "#000000", "radius": 6},
        ),
        "specks": layer_definition("specks", style={"type": "single", "fill": "#ff00ff"}),
        "made": layer_definition(
            "made",
            style={"type": "single", "fill": "#ffff00"},
            synthetic={"seed": 1, "recipe": _text("一格", "one box")},
        ),
        "codes": layer_definition(
            "codes",
            kind="raster",
            fields=[],
            bands=bands,
            style={"type": "classes", "band": "codes", "classes": colours, "bands": {"other": other}},
        ),
        "height": layer_definition(
            "height",
            kind="raster",
            fields=[],
            bands=[{"name": "height", "title": _text("高程", "Height"), "unit": "m", "valid_range": [0, 1000]}],
            style={"type": "ramp", "stops": steps},
        ),
    }


def _drawn_frames() -> dict[str, Any]:
    import geopandas
    import numpy as np
    import pandas as pd
    import shapely

    def frame(columns: dict[str, Any], geometry: Any) -> Any:
        index = pd.Index(range(1, len(geometry) + 1), name="fid")
        return geopandas.GeoDataFrame(columns, geometry=geometry, index=index, crs="EPSG:4490")

    hole = shapely.box(113, 30, 114, 31) - shapely.box(113.4, 30.4, 113.6, 30.6)
    i = np.arange(2_116)
    x, y = 112 + (i % 46) * 0.004, 29 + (i // 46) * 0.004
    # 33 vertices each, so that a tile of all of them would be too heavy and generalised tables are made.
    specks = shapely.segmentize(shapely.box(x, y, x + 0.002, y + 0.002), 0.00025)
    times = pd.to_datetime(["2024-07-01T00:00:00Z", None, "2024-08-01T00:00:00Z"], utc=True)
    return {
        "squares": frame({"kind": np.array([1, 2])}, [shapely.box(112, 30, 113, 31), hole]),
        "road": frame({"name": ["路"]}, [shapely.LineString([(112, 31.5), (114, 31.5)])]),
        "dots": frame(
            {"level": [1.5, 2.5, 3.5], "time": times}, [shapely.Point(lon, 29.5) for lon in (112.5, 113.0, 113.5)]
        ),
        "specks": frame({"name": [""] * 2_116}, specks),
        "made": frame({"name": ["合成"]}, [shapely.box(112, 30, 114, 32)]),
    }


@pytest.fixture(scope="session")
def drawn_app(store_settings: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An application of its own with the layers of `drawn_definitions`."""
    import uuid

    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    from spatial.asgi import create_app
    from spatial.catalog import Layer

    folder = tmp_path_factory.mktemp("drawn")
    definitions = drawn_definitions()
    changes: dict[str, Any] = {"var_dir": folder / "var", "layers_dir": write_layers(folder / "layers", definitions)}
    changes["var_dir"].mkdir()
    if store_settings.store == "postgis":
        changes["postgis_schema"] = f"t_{uuid.uuid4().hex[:12]}"
    app = create_app(store_settings.model_copy(update=changes))
    for layer_id, found in _drawn_frames().items():
        app.state.datastore.publish_vector(Layer.model_validate(definitions[layer_id]), found)
    codes = np.arange(1, 17, dtype="uint8").reshape(4, 4)
    rasters = {
        "codes": ([codes, np.ones_like(codes)], 0, from_origin(112, 32, 0.5, 0.5)),
        # 10 × 10 cells of 0.2°; the height in the middle of a cell is 500 m for each degree east of 112°.
        "height": ([np.tile(np.arange(50, 1000, 100, dtype="int16"), (10, 1))], -1, from_origin(112, 32, 0.2, 0.2)),
    }
    for layer_id, (bands, nodata, transform) in rasters.items():
        path = folder / f"{layer_id}.tif"
        profile = {
            "driver": "GTiff", "width": bands[0].shape[1], "height": bands[0].shape[0], "count": len(bands),
            "dtype": bands[0].dtype, "nodata": nodata, "crs": "EPSG:4490", "transform": transform,
            "photometric": "minisblack",
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as file:
            for number, values in enumerate(bands, start=1):
                file.write(values, number)
        app.state.datastore.publish_raster(Layer.model_validate(definitions[layer_id]), path)
    return app


@pytest.fixture(scope="session")
def drawn(drawn_app: Any) -> Iterator[Any]:
    """An HTTP client of the application above: ``get``, ``picture`` (RGBA array) and the colours of the codes."""
    import io
    from types import SimpleNamespace

    import numpy as np
    from PIL import Image
    from starlette.testclient import TestClient

    with TestClient(drawn_app, base_url="http://onemap.test", raise_server_exceptions=False) as found:

        def picture(path: str, **parameters: Any) -> Any:
            answer = found.get(path, params={k.replace("_", "-"): v for k, v in parameters.items()})
            assert answer.status_code == 200, (answer.status_code, answer.text[:600])
            assert answer.headers["content-type"].startswith("image/"), answer.text[:600]
            return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))

        yield SimpleNamespace(
            get=found.get,
            picture=picture,
            datastore=drawn_app.state.datastore,
            codes=[tuple(bytes.fromhex(c[1:])) for c in CODE_COLOURS],
        )
