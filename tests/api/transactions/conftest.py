"""Features Part 4 over HTTP on both stores: one application with editable layers for all tests of this folder, and what they
do again and again."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest

GEOJSON = {"Content-Type": "application/geo+json"}
MARKS = "/ogc/collections/marks/items"


def _text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def _definitions(hand_made: Any) -> dict[str, dict[str, Any]]:
    fields = [
        {"name": "name", "type": "string", "title": _text("名称", "Name"), "nullable": False},
        {"name": "use", "type": "integer", "title": _text("用途", "Use"),
         "domain": {"1": _text("耕地", "Farmland"), "2": _text("林地", "Forest")}},
        {"name": "area", "type": "number", "title": _text("面积", "Area")},
        {"name": "open", "type": "boolean", "title": _text("开放", "Open")},
        {"name": "day", "type": "date", "title": _text("日期", "Day")},
        {"name": "seen", "type": "datetime", "title": _text("时间", "Seen")},
    ]  # fmt: skip
    marks = hand_made.layer_definition("marks", fields=fields, editable=True, time_field="seen")
    coded = [
        {"name": "code", "type": "integer", "title": _text("编号", "Code"), "nullable": False},
        {"name": "name", "type": "string", "title": _text("名称", "Name")},
    ]
    return {
        "marks": marks | {"quality": {"unique": ["name"]}},
        "strict": hand_made.layer_definition("strict", editable=True, locking="required"),
        "plots": hand_made.layer_definition("plots", fields=coded, id_field="code", editable=True)
        | {"quality": {"coverage": True, "min_features": 2}},
        "frozen": hand_made.layer_definition("frozen"),
    }


def _frames() -> dict[str, Any]:
    import geopandas
    import pandas as pd
    import shapely

    index = pd.Index([1, 2, 3], name="fid")
    points = shapely.points([[114.0, 30.0], [114.5, 30.5], [115.0, 31.0]])
    marks = {
        "name": ["甲", "乙", "丙"],
        "use": pd.array([1, 2, None], dtype="Int64"),
        "area": [1.5, None, 3.0],
        "open": pd.array([True, False, None], dtype="boolean"),
        "day": [pd.Timestamp("2026-01-01").date(), None, pd.Timestamp("2026-03-01").date()],
        "seen": pd.to_datetime(["2026-01-01T00:00:00.250Z", "2026-02-01T00:00:00Z", None], utc=True, format="ISO8601"),
    }
    squares = [shapely.box(x, 30, x + 0.1, 30.1) for x in (114.0, 114.1, 114.2)]
    return {
        "marks": geopandas.GeoDataFrame(marks, geometry=points, index=index, crs=4490),
        "strict": geopandas.GeoDataFrame({"name": ["a", "b", "c"]}, geometry=points, index=index, crs=4490),
        "plots": geopandas.GeoDataFrame(
            {"code": [11, 12, 13], "name": ["x", "y", "z"]},
            geometry=[shapely.multipolygons([s]) for s in squares],
            index=pd.Index([11, 12, 13], name="fid"),
            crs=4490,
        ),
        "frozen": geopandas.GeoDataFrame({"name": ["a", "b", "c"]}, geometry=points, index=index, crs=4490),
    }


@pytest.fixture(scope="session")
def edit_settings(
    store_settings: Any, hand_made: Any, own_place: Any, kept: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Settings of one store, where everybody may edit."""

    def make() -> Any:
        folder = hand_made.write_layers(tmp_path_factory.mktemp("layers"), _definitions(hand_made))
        (folder / "rules").mkdir()
        window = "window: {west: 107.5, south: 28.5, east: 117, north: 34}\n"
        (folder / "rules" / "intake.yml").write_text(window, "utf-8")
        return store_settings.model_copy(update={"layers_dir": folder, "edit": "open"} | own_place("edit"))

    return kept.get("edit settings", store_settings.store, make=make)


@pytest.fixture(scope="session")
def edit_app(edit_settings: Any, hand_made: Any, kept: Any) -> Any:
    """The application over hand-made editable layers."""

    def make() -> Any:
        from spatial.asgi import create_app
        from spatial.catalog import Layer

        app = create_app(edit_settings)
        definitions = _definitions(hand_made)
        for layer_id, frame in _frames().items():
            app.state.datastore.publish_vector(Layer.model_validate(definitions[layer_id]), frame)
        return app

    return kept.get("edit app", edit_settings.store, make=make)


@pytest.fixture(scope="session")
def web(edit_app: Any, edit_settings: Any, open_client: Any, kept: Any) -> Any:
    """An HTTP client of it."""
    return kept.enter("edit client", edit_settings.store, make=lambda: open_client(edit_app))


_names = itertools.count(1)


def _mark(x: float = 114.25, y: float = 30.75, **properties: Any) -> dict[str, Any]:
    """A feature that fits ``marks``; its name is new."""
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "properties": {"name": f"标注{next(_names)}"} | properties,
    }


@pytest.fixture
def fresh(web: Any) -> str:
    """Address of a new mark at 114.25, 30.75."""
    answer = web.post(MARKS, json=_mark(use=1, area=2.5), headers=GEOJSON)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def _as(name: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:".encode()).decode()}


def _refused(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, (answer.status_code, answer.text[:400])
    document: dict[str, Any] = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert document["detail_zh"]
    assert document["detail_en"]
    return document


@pytest.fixture(scope="session")
def edits() -> Any:
    """What tests of editing do again and again."""
    from types import SimpleNamespace

    return SimpleNamespace(mark=_mark, by=_as, refused=_refused)
