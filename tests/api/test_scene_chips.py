"""Chips of scenes over HTTP: where a pixel lies, the outline, the caption, and every wrong question."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pyproj import Transformer

LON, LAT = 114.10, 30.10
STEP = 1 / 3600
COLS, ROWS = 360, 360
UTM = "EPSG:32650"
WEST, NORTH = LON - COLS / 2 * STEP, LAT + ROWS / 2 * STEP
BOX = [WEST, NORTH - ROWS * STEP, WEST + COLS * STEP, NORTH]
CHIPS = "/tiles/scenes/lake"


def _colours(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Red west of the middle, green east of it; blue is none; no data in the south-east corner."""
    hollow = (x > LON + 0.03) & (y < LAT - 0.03)
    bands = {"red": np.where(x < LON, 2500, 1), "green": np.where(x < LON, 1, 2500), "blue": np.ones(x.shape)}
    return {name: np.where(hollow, 0, values).astype(np.uint16) for name, values in bands.items()}


def _write(folder: Path, name: str, crs: str, affine: Affine, bands: dict[str, np.ndarray], time: str) -> None:
    assets = {}
    for band, values in bands.items():
        path = folder / "data" / name / f"{band}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {"driver": "COG", "dtype": "uint16", "count": 1, "crs": crs, "transform": affine, "nodata": 0}
        with rasterio.open(path, "w", height=values.shape[0], width=values.shape[1], blocksize=128, **profile) as file:
            file.write(values, 1)
        assets[band] = {"href": f"../data/{name}/{band}.tif", "raster:bands": [{"scale": 1e-4, "offset": 0.0}]}
    (folder / "items").mkdir(exist_ok=True)
    properties = {"datetime": time, "platform": "synthetic", "gsd": 30}
    document = {"id": name, "bbox": BOX, "properties": properties, "assets": assets}
    (folder / "items" / f"{name}.json").write_text(json.dumps(document))


def _lake(folder: Path) -> None:
    made = {"seed": 1, "recipe": {"zh": "手工", "en": "by hand"}}
    folder.mkdir(parents=True)
    (folder / "collection.json").write_text(
        json.dumps({"id": "lake", "title": "湖", "license": "CC0-1.0", "onemap:synthetic": made})
    )
    x, y = np.meshgrid(WEST + (np.arange(COLS) + 0.5) * STEP, NORTH - (np.arange(ROWS) + 0.5) * STEP)
    # 20:00 UTC is the next day in China.
    degrees = Affine(STEP, 0, WEST, 0, -STEP, NORTH)
    _write(folder, "degrees", "EPSG:4490", degrees, _colours(x, y), "2024-07-01T20:00:00Z")
    to_utm = Transformer.from_crs("EPSG:4326", UTM, always_xy=True)
    left, top = to_utm.transform(WEST, NORTH)
    e, n = np.meshgrid(left - 900 + (np.arange(420) + 0.5) * 30, top + 900 - (np.arange(460) + 0.5) * 30)
    affine = Affine(30, 0, left - 900, 0, -30, top + 900)
    metres = _colours(*to_utm.transform(e, n, direction="INVERSE"))
    _write(folder, "metres", UTM, affine, metres, "2025-07-01T03:00:00Z")


@pytest.fixture(scope="module")
def client(hand_made: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.catalog import Layer
    from spatial.settings import PROJECT_ROOT, Settings

    folder = tmp_path_factory.mktemp("chips")
    _lake(folder / "var" / "scenes" / "lake")
    layers = hand_made.write_layers(folder / "layers", hand_made.definitions)
    (layers / "rules").mkdir(exist_ok=True)
    for name in ("scene_indices", "intake"):
        (layers / "rules" / f"{name}.yml").write_text(
            (PROJECT_ROOT / "layers" / "rules" / f"{name}.yml").read_text("utf-8"), "utf-8"
        )
    app = create_app(Settings(store="duckdb", var_dir=folder / "var", layers_dir=layers, data_dir=folder))
    parcels = Layer.model_validate(hand_made.definitions["parcels"])
    app.state.datastore.publish_vector(parcels, hand_made.parcels_frame())
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as found:
        yield found


def _chip(client: Any, scene: str = "degrees", ext: str = "png", **query: Any) -> np.ndarray:
    answer = client.get(f"{CHIPS}/{scene}/chip.{ext}", params={k.replace("_", "-"): v for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))


@pytest.mark.parametrize("scene", ["degrees", "metres"])
def test_pixels_lie_where_their_place_is(client: Any, scene: str) -> None:
    # The border of red and green stands a quarter of the width from the left; 0.04° × cos 30.1° : 0.02° → 128 : 74.
    found = _chip(client, scene, bbox=f"{LON - 0.01},{LAT - 0.01},{LON + 0.03},{LAT + 0.01}", size=128)
    assert found.shape[1] == 128
    picture = found[:74]
    assert np.unique(picture[:, :31].reshape(-1, 3), axis=0).tolist() == [[255, 0, 0]]
    assert np.unique(picture[:, 33:].reshape(-1, 3), axis=0).tolist() == [[0, 255, 0]]
    assert found.shape[0] > 74 + 30  # mark, day and scene stand below and cover nothing
    assert (found[78:, :] != 255).any()


def test_the_axis_order_of_the_box(client: Any) -> None:
    plain = _chip(client, bbox=f"{LON - 0.01},{LAT - 0.01},{LON + 0.02},{LAT + 0.01}")
    swapped = _chip(client, bbox=f"{LAT - 0.01},{LON - 0.01},{LAT + 0.01},{LON + 0.02}", bbox_crs="EPSG:4490")
    assert (plain == swapped).all()
    answer = client.get(f"{CHIPS}/degrees/chip.png", params={"bbox": f"{LAT - 0.01},{LON - 0.01},{LAT + 0.01},{LON}"})
    assert answer.status_code == 400
    assert "114.1" in answer.json()["detail_en"] or "latitude" in answer.json()["detail_en"]


def test_no_data_is_grey_and_the_outline_is_drawn(client: Any) -> None:
    found = _chip(client, bbox=f"{LON + 0.02},{LAT - 0.04},{LON + 0.04},{LAT - 0.02}", size=200)
    side = 200  # higher than wide: 0.02° of longitude are shorter
    assert found[side - 20, -20].tolist() == [208, 208, 208]
    assert found[20, 20].tolist() == [0, 255, 0]
    # Parcel 1 has its edges at 114.0 and 114.1 E, 30.0 and 30.1 N: its corner is the middle of this box.
    bare = _chip(client, bbox=f"{LON - 0.01},{LAT - 0.01},{LON + 0.01},{LAT + 0.01}", size=200)
    lined = _chip(
        client, bbox=f"{LON - 0.01},{LAT - 0.01},{LON + 0.01},{LAT + 0.01}", size=200, layer="parcels", feature=1
    )
    changed = (bare != lined).any(axis=2)
    rows, cols = np.nonzero(changed)
    width = bare.shape[1]
    assert rows.max() < side
    assert {abs(int(r) - side // 2) <= 3 or abs(int(c) - width // 2) <= 3 for r, c in zip(rows, cols, strict=True)} == {
        True
    }
    assert cols.min() == 0  # the northern edge goes on to the west, the eastern one to the south
    assert rows.max() == side - 1


def test_the_caption_says_day_and_mark(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import ImageDraw

    said: list[str] = []
    real = ImageDraw.ImageDraw.text

    def spy(self: Any, place: Any, text: str, **more: Any) -> None:
        said.append(text)
        real(self, place, text, **more)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    box = f"{LON - 0.01},{LAT - 0.01},{LON + 0.01},{LAT + 0.011}"
    for ext in ("png", "webp", "jpg"):
        _chip(client, ext=ext, bbox=box)
    assert "SYNTHETIC" in said[0]
    assert said[1] == "2024-07-02"
    assert said[2] in ("真彩色", "True colour")  # the scene has no other bands
    assert "degrees" in said[3]


def test_the_same_chip_is_not_drawn_twice(client: Any) -> None:
    place = {"bbox": f"{LON - 0.01},{LAT - 0.01},{LON + 0.01},{LAT + 0.01}"}
    first = client.get(f"{CHIPS}/degrees/chip.png", params=place)
    again = client.get(f"{CHIPS}/degrees/chip.png", params=place, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    other = client.get(f"{CHIPS}/degrees/chip.png", params=place | {"size": 300})
    assert other.headers["etag"] != first.headers["etag"]


HERE = f"{LON - 0.01},{LAT - 0.01},{LON + 0.01},{LAT + 0.01}"
WRONG: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "unknown scene": ("nowhere/chip.png", {"bbox": HERE}, 404, "nowhere"),
    "unknown ending": ("degrees/chip.gif", {"bbox": HERE}, 400, "gif"),
    "no place": ("degrees/chip.png", {}, 400, "bbox"),
    "three numbers": ("degrees/chip.png", {"bbox": "1,2,3"}, 400, "4 (or 6)"),
    "letters": ("degrees/chip.png", {"bbox": "a,b,c,d"}, 400, "four"),
    "outside": ("degrees/chip.png", {"bbox": "110,30,110.1,30.1"}, 400, "outside scene degrees"),
    "no data": ("degrees/chip.png", {"bbox": f"{LON + 0.04},{LAT - 0.045},{LON + 0.045},{LAT - 0.04}"}, 400, "no data"),
    "too large": ("degrees/chip.png", {"bbox": "113,29,115,31"}, 400, "tiles of the scene"),
    "no area": ("degrees/chip.png", {"bbox": f"{LON},{LAT},{LON},{LAT}"}, 400, "no area"),
    "a line": ("degrees/chip.png", {"bbox": f"{LON},{LAT},{LON + 0.05},{LAT + 0.0001}"}, 400, "narrow"),
    "size too large": ("degrees/chip.png", {"bbox": HERE, "size": "4000"}, 400, "1024"),
    "size a word": ("degrees/chip.png", {"bbox": HERE, "size": "big"}, 400, "whole number"),
    "unknown picture": ("degrees/chip.png", {"bbox": HERE, "picture": "x"}, 400, "true-color"),
    "band missing": ("degrees/chip.png", {"bbox": HERE, "picture": "mndwi"}, 400, "lacks swir1"),
    "unknown crs": ("degrees/chip.png", {"bbox": HERE, "bbox-crs": "EPSG:9"}, 400, "EPSG"),
    "unknown parameter": ("degrees/chip.png", {"bbox": HERE, "zoom": "3"}, 400, "zoom"),
    "feature without layer": ("degrees/chip.png", {"bbox": HERE, "feature": "1"}, 400, "layer"),
    "unknown layer": ("degrees/chip.png", {"layer": "nothing", "feature": "1"}, 404, "nothing"),
    "not published": ("degrees/chip.png", {"layer": "gauges", "feature": "1"}, 503, "gauges"),
    "unknown feature": ("degrees/chip.png", {"layer": "parcels", "feature": "99"}, 404, "99"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_question_is_told(client: Any, name: str) -> None:
    path, query, status, word = WRONG[name]
    answer = client.get(f"{CHIPS}/{path}", params=query)
    assert answer.status_code == status, answer.text
    found = answer.json()
    assert word in found["detail_en"]
    assert found["detail_zh"]
    assert "/tmp" not in answer.text


def test_a_missing_file_is_told_without_its_folder(client: Any, tmp_path: Path) -> None:
    from spatial.errors import SourceUnreadable
    from spatial.scenes.collection import Asset
    from tiles.scene_pixels import read_box

    with pytest.raises(SourceUnreadable) as caught:
        read_box(Asset(tmp_path / "gone.tif", 0), (114.0, 30.0, 114.1, 30.1), 64, 64)
    assert "gone.tif" in caught.value.en
    assert str(tmp_path) not in caught.value.en
