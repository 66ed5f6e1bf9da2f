"""The pair of pictures of a case: drawn from the scenes of its alert, kept when they are gone, shown in the ledger."""

from __future__ import annotations

import hashlib
import io
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

B = "/api/v1/river-chief"
ROOT = Path(__file__).resolve().parents[3]
ALERTS = "water-watch-0f3a9c1e-events"
LATER = "water-watch-aaaaaaaa-events"
PLACE = (114.20, 30.00)


def _scenes(folder: Path) -> None:
    """Two scenes of 120 × 120 cells around the place: blue before, brown after."""
    import numpy as np
    import rasterio
    from affine import Affine

    step = 1 / 3600
    west, north = PLACE[0] - 60 * step, PLACE[1] + 60 * step
    folder.mkdir(parents=True)
    made = {"seed": 1, "recipe": {"zh": "手工", "en": "by hand"}}
    (folder / "collection.json").write_text(json.dumps({"id": "lake", "title": "湖", "onemap:synthetic": made}))
    (folder / "items").mkdir()
    for name, day, colours in (
        ("s1", "2026-05-01T03:00:00Z", (100, 300, 2000)),
        ("s2", "2026-07-01T20:00:00Z", (2000, 1500, 500)),
    ):
        assets = {}
        for band, value in zip(("red", "green", "blue"), colours, strict=True):
            path = folder / "data" / name / f"{band}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            profile = {"driver": "COG", "dtype": "uint16", "count": 1, "crs": "EPSG:4490", "nodata": 0}
            affine = Affine(step, 0, west, 0, -step, north)
            with rasterio.open(path, "w", height=120, width=120, transform=affine, **profile) as file:
                file.write(np.full((120, 120), value, np.uint16), 1)
            assets[band] = {"href": f"../data/{name}/{band}.tif", "raster:bands": [{"scale": 1e-4, "offset": 0.0}]}
        box = [west, north - 120 * step, west + 120 * step, north]
        document = {"id": name, "bbox": box, "properties": {"datetime": day, "gsd": 30}, "assets": assets}
        (folder / "items" / f"{name}.json").write_text(json.dumps(document))


def _square(x: float, y: float, size: float = 0.004) -> Any:
    import shapely

    return shapely.box(x, y, x + size, y + size)


def _events(rows: list[dict[str, Any]]) -> Any:
    import geopandas
    import pandas as pd

    names = ("name", "kind", "scene_collection", "scene_before", "scene_after")
    columns = {name: [row.get(name, "") for row in rows] for name in names}
    columns["time"] = pd.to_datetime([row["time"] for row in rows], utc=True)
    index = pd.RangeIndex(1, len(rows) + 1)
    return geopandas.GeoDataFrame(columns, geometry=[row["shape"] for row in rows], index=index, crs=4490)


@pytest.fixture(scope="module")
def place(hand_made: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """An application with two scenes and two layers of alerts."""
    from types import SimpleNamespace

    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.catalog import Layer
    from spatial.settings import Settings

    folder = tmp_path_factory.mktemp("evidence")
    _scenes(folder / "scenes" / "lake")

    def field(name: str, kind: str = "string") -> dict[str, Any]:
        return {"name": name, "type": kind, "title": {"zh": name, "en": name}}

    names = ("name", "kind", "scene_collection", "scene_before", "scene_after")
    fields = [*(field(name) for name in names), field("time", "datetime")]
    definitions = {name: hand_made.layer_definition(name, fields=fields) for name in (ALERTS, LATER)}
    layers = hand_made.write_layers(folder / "layers", definitions)
    (layers / "rules").mkdir()
    for name in ("intake", "river_chief", "scene_indices"):
        shutil.copy(ROOT / "layers" / "rules" / f"{name}.yml", layers / "rules")
    app = create_app(
        Settings(store="duckdb", layers_dir=layers, var_dir=folder / "var", scenes_path=folder / "scenes", edit="open")
    )
    scenes = {"scene_collection": "lake", "scene_before": "s1", "scene_after": "s2"}
    seen = "2026-06-20T03:00:00Z"
    rows = [
        scenes | {"name": "甲湖", "kind": "reclaimed", "time": seen, "shape": _square(114.200, 30.000)},
        {"name": "乙湖", "kind": "reclaimed", "time": seen, "shape": _square(114.190, 30.000)},
        scenes
        | {"name": "丙湖", "kind": "new", "time": seen, "shape": _square(114.190, 29.990), "scene_before": "gone"},
        scenes | {"name": "丁湖", "kind": "new", "time": seen, "shape": _square(114.210, 29.990), "scene_after": ""},
    ]
    later = [
        {"name": "甲湖", "kind": "reclaimed", "time": seen, "shape": _square(114.200, 30.000)},
        {"name": "甲湖", "kind": "reclaimed", "time": "2026-09-01T03:00:00Z", "shape": _square(114.2005, 30.000)},
        {"name": "戊湖", "kind": "reclaimed", "time": seen, "shape": _square(114.300, 30.100)},
    ]
    store = app.state.datastore
    store.publish_vector(Layer.model_validate(definitions[ALERTS]), _events(rows))
    store.publish_vector(Layer.model_validate(definitions[LATER]), _events(later))
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as web:
        yield SimpleNamespace(web=web, folder=folder, app=app)


def _issue(web: Any, feature: int, layer: str = ALERTS, **more: Any) -> Any:
    answer = web.post(f"{B}/cases", json={"actor": "合成-甲", "source": {"layer": layer, "feature": feature}} | more)
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def first(place: Any) -> Any:
    """The case of the alert that names both of its scenes."""
    return _issue(place.web, 1)


def test_both_scenes_become_pictures_of_the_case(place: Any, first: Any) -> None:
    from PIL import Image

    photos = {photo["role"]: photo for photo in first["photos"]}
    assert {role: (p["scene"], p["date"], p["picture"]) for role, p in photos.items()} == {
        "before": ("s1", "2026-05-01", "true-color"),
        "after": ("s2", "2026-07-02", "true-color"),  # 20:00 UTC is the next day in China
    }
    p = first["properties"]
    assert (p["before"]["date"], p["after"]["date"]) == ("2026-05-01", "2026-07-02")
    assert (p["before"]["scene"], p["before"]["collection"], p["before"]["reason"]) == ("s1", "lake", None)
    assert p["synthetic"] is True
    assert first["events"][0]["details"]["pictures"] == {role: photo["sha256"] for role, photo in photos.items()}
    answer = place.web.get(photos["before"]["href"])
    assert hashlib.sha256(answer.content).hexdigest() == photos["before"]["sha256"]
    picture = Image.open(io.BytesIO(answer.content)).convert("RGB")
    # (r, g, b) = (0.01, 0.03, 0.20) of 0.25, drawn to 255.
    assert picture.getpixel((5, 5)) == (10, 31, 204)
    # Two thirds of the height are the place; at 30° N a degree of longitude is cos 30° as wide.
    half = picture.width / 3 * math.cos(math.radians(30))
    row = [picture.getpixel((x, picture.width // 2)) for x in range(picture.width)]
    red = [x for x, colour in enumerate(row) if colour == (255, 31, 31)]
    assert min(red) == pytest.approx(picture.width / 2 - half, abs=3)
    assert max(red) == pytest.approx(picture.width / 2 + half, abs=3)


def test_the_pictures_stay_when_the_scenes_are_gone(place: Any, first: Any) -> None:
    from docx import Document
    from openpyxl import load_workbook

    aside = place.folder / "aside"
    shutil.move(place.folder / "scenes" / "lake", aside)
    try:
        for photo in first["photos"]:
            answer = place.web.get(photo["href"])
            assert hashlib.sha256(answer.content).hexdigest() == photo["sha256"]
        sheet = load_workbook(io.BytesIO(place.web.get(f"{B}/ledger.xlsx").content)).active
        names = [cell.value.split("\n")[0] for cell in sheet[4]]
        assert names[-2:] == ["前时相", "后时相"]
        row = next(r for r in range(5, sheet.max_row + 1) if sheet.cell(r, 1).value == first["properties"]["number"])
        assert sheet.cell(row, len(names) - 1).value == "2026-05-01"
        anchors = {(image.anchor._from.row + 1, image.anchor._from.col + 1) for image in sheet._images}
        assert {(row, len(names) - 1), (row, len(names))} <= anchors
        word = Document(io.BytesIO(place.web.get(f"{B}/ledger.docx").content))
        assert len(word.inline_shapes) >= 2
        texts = [cell.text for table in word.tables[1:] for cells in table.rows for cell in cells.cells]
        assert any("2026-07-02 s2" in text for text in texts)
    finally:
        shutil.move(aside, place.folder / "scenes" / "lake")


def test_an_alert_without_scenes_has_no_pictures_and_no_fault(place: Any) -> None:
    found = _issue(place.web, 2)
    assert found["photos"] == []
    assert found["properties"]["before"]["scene"] is None
    assert found["properties"]["before"]["reason"] is None
    assert found["properties"]["after"]["date"] == "2026-06-20"


def test_a_scene_that_cannot_be_drawn_never_stops_the_case(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = _issue(place.web, 3)
    assert [photo["role"] for photo in found["photos"]] == ["after"]
    reason = found["properties"]["before"]["reason"]
    assert "gone" in reason["zh"]
    assert "gone" in reason["en"]
    # A fault of the renderer itself, and a disk that is full.
    monkeypatch.setattr("spatial.river_chief.evidence.store_picture", lambda *_: 1 / 0)
    found = _issue(place.web, 4)
    assert found["photos"] == []
    assert (
        "失败" in found["properties"]["before"]["reason"]["zh"]
        or "出错" in found["properties"]["before"]["reason"]["zh"]
    )
    assert found["properties"]["after"]["scene"] is None


def test_a_place_by_hand_may_name_its_scenes(place: Any, desk: Any) -> None:
    body = {"actor": "甲", "geometry": desk.square(114.205, 29.995), "after": {"collection": "lake", "scene": "s2"}}
    found = place.web.post(f"{B}/cases", json=body).json()
    assert [photo["scene"] for photo in found["photos"]] == ["s2"]
    late = body | {"before": {"date": "2026-08-01"}, "geometry": desk.square(114.215, 29.995)}
    desk.refused(place.web.post(f"{B}/cases", json=late), 400)  # later than the scene after it


def test_alerts_know_how_far_they_are(place: Any, first: Any, desk: Any) -> None:
    web = place.web

    def state(layer: str, feature: int) -> Any:
        found = web.get(f"{B}/alerts", params={"layer": layer}).json()["features"]
        return next((row for row in found if row["feature"] == feature), None)

    own = state(ALERTS, 1)
    assert (own["case"]["case"], own["case"]["state"]) == (first["id"], "issued")
    assert [row["case"] for row in state(LATER, 1)["open"]] == [first["id"]]
    assert state(LATER, 3) is None
    desk.to(web, first["id"], "closed")
    assert state(ALERTS, 1)["case"]["state"] == "closed"
    # The same change in another run is handled; the one seen after it is a rebound.
    assert [row["case"] for row in state(LATER, 1)["repeats"]] == [first["id"]]
    assert state(LATER, 1)["rebounds"] == []
    again = state(LATER, 2)
    assert [row["case"] for row in again["rebounds"]] == [first["id"]]
    assert again["rebounds"][0]["share"] == pytest.approx(0.875, abs=1e-3)
    assert again["repeats"] == []
    assert "rebound" not in _issue(web, 1, LATER)["properties"]["flags"]
    assert "rebound" in _issue(web, 2, LATER)["properties"]["flags"]
    desk.refused(web.get(f"{B}/alerts", params={"layer": "works-permits"}), 400)
    desk.refused(web.get(f"{B}/alerts"), 400)
