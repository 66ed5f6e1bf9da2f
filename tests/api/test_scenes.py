"""Scenes over HTTP: the list of them, and tiles of their indices, for files in degrees and in a projected CRS."""

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

LON, LAT = 113.30, 29.85
STEP = 1 / 3600
ROWS, COLS = 600, 700
UTM = "EPSG:32649"


def _write(folder: Path, name: str, crs: str, affine: Affine, bands: dict[str, np.ndarray], box: list[float]) -> None:
    assets = {}
    for band, values in bands.items():
        path = folder / "data" / name / f"{band}.tif"
        path.parent.mkdir(parents=True, exist_ok=True)
        profile = {"driver": "COG", "dtype": "uint16", "count": 1, "crs": crs, "transform": affine, "nodata": 0}
        with rasterio.open(path, "w", height=values.shape[0], width=values.shape[1], blocksize=256, **profile) as file:
            file.write(values, 1)
        assets[band] = {"href": f"../data/{name}/{band}.tif", "raster:bands": [{"scale": 1e-4, "offset": 0.0}]}
    (folder / "items").mkdir(exist_ok=True)
    properties = {"datetime": "2024-07-01T03:00:00Z", "platform": "synthetic", "gsd": 30, "eo:cloud_cover": 0}
    document = {"id": name, "bbox": box, "properties": properties, "assets": assets}
    (folder / "items" / f"{name}.json").write_text(json.dumps(document))


def _bands(x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Water (MNDWI 0.8) west of 113.30° E, land (−0.5) east of it; the south-west corner of it without data."""
    water = x < LON
    green = np.where(water, 900, 500)
    swir1 = np.where(water, 100, 1500)
    hollow = (x < LON - 0.05) & (y < LAT - 0.03)
    return {
        "green": np.where(hollow, 0, green).astype(np.uint16),
        "swir1": np.where(hollow, 0, swir1).astype(np.uint16),
    }


@pytest.fixture(scope="module")
def client(hand_made: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.settings import PROJECT_ROOT, Settings

    folder = tmp_path_factory.mktemp("scenes")
    lake = folder / "var" / "scenes" / "lake"
    lake.mkdir(parents=True)
    made = {"seed": 1, "recipe": {"zh": "手工", "en": "by hand"}}
    (lake / "collection.json").write_text(
        json.dumps({"id": "lake", "title": "湖", "license": "CC0-1.0", "onemap:synthetic": made})
    )
    west, north = LON - COLS / 2 * STEP, LAT + ROWS / 2 * STEP
    affine = Affine(STEP, 0, west, 0, -STEP, north)
    x, y = np.meshgrid(west + (np.arange(COLS) + 0.5) * STEP, north - (np.arange(ROWS) + 0.5) * STEP)
    box = [west, north - ROWS * STEP, west + COLS * STEP, north]
    _write(lake, "degrees", "EPSG:4490", affine, _bands(x, y), box)
    to_utm = Transformer.from_crs("EPSG:4326", UTM, always_xy=True)
    left, top = (round(v, -2) for v in to_utm.transform(west, north))
    affine = Affine(30, 0, left, 0, -30, top)
    e, n = np.meshgrid(left + (np.arange(640) + 0.5) * 30, top - (np.arange(620) + 0.5) * 30)
    _write(lake, "metres", UTM, affine, _bands(*to_utm.transform(e, n, direction="INVERSE")), box)
    layers = hand_made.write_layers(folder / "layers", hand_made.definitions)
    (layers / "rules").mkdir(exist_ok=True)
    rule = PROJECT_ROOT / "layers" / "rules" / "scene_indices.yml"
    (layers / "rules" / rule.name).write_text(rule.read_text("utf-8"), "utf-8")
    app = create_app(Settings(store="duckdb", var_dir=folder / "var", layers_dir=layers, data_dir=folder))
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as found:
        yield found


def test_the_list_says_what_there_is(client: Any) -> None:
    found = client.get("/api/v1/scenes").json()["collections"]
    assert [(c["id"], c["count"], c["synthetic"]) for c in found] == [("lake", 2, True)]
    assert found[0]["title"]["zh"] == "湖（合成示例）"
    one = client.get("/api/v1/scenes/lake").json()
    assert [s["id"] for s in one["scenes"]] == ["degrees", "metres"]
    assert one["scenes"][0]["bands"] == ["green", "swir1"]
    assert {"mndwi", "true-color"} <= {i["id"] for i in client.get("/tiles/scenes/indices.json").json()["indices"]}


def _picture(client: Any, scene: str, tms: str, z: int, x: int, y: int) -> np.ndarray:
    answer = client.get(f"/tiles/scenes/lake/{scene}/mndwi/{tms}/{z}/{x}/{y}.png")
    assert answer.status_code == 200, answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


@pytest.mark.parametrize("scene", ["degrees", "metres"])
@pytest.mark.parametrize(("tms", "z"), [("WebMercatorQuad", 12), ("WebMercatorQuad", 9), ("CGCS2000Quad", 11)])
def test_water_lies_west_and_land_east(client: Any, scene: str, tms: str, z: int) -> None:
    from spatial.grid import tile_matrix_set
    from tiles.mark import tile_overlay
    from tiles.matrix import Address
    from tiles.raster import pixel_centres

    tile = tile_matrix_set(tms).tile(LON, LAT, z)
    picture = _picture(client, scene, tms, z, tile.x, tile.y)
    longitudes, latitudes = pixel_centres(Address(tms, z, tile.x, tile.y), 256, 0)
    near = np.abs(latitudes - LAT) < 0.02
    west = (
        near[:, None]
        & ((longitudes > LON - 0.04) & (longitudes < LON - 2.5 * (longitudes[1] - longitudes[0])))[None, :]
    )
    east = (
        near[:, None]
        & ((longitudes < LON + 0.04) & (longitudes > LON + 2.5 * (longitudes[1] - longitudes[0])))[None, :]
    )
    clear = ~tile_overlay(256).mask  # the scenes are synthetic
    west, east = west & clear, east & clear
    assert west.any()
    assert east.any()
    # Stops of the rule file: 0.8 is the last one; −0.5 is a sixth of the way from (140, 109, 49) to (247, 247, 247).
    assert np.unique(picture[west], axis=0).tolist() == [[8, 81, 156, 255]]
    assert np.unique(picture[east], axis=0).tolist() == [[158, 132, 82, 255]]
    outside = (latitudes < LAT - 0.11)[:, None] & (longitudes == longitudes)[None, :] & clear
    assert not picture[outside][..., 3].any()


@pytest.mark.parametrize(("tms", "z"), [("WebMercatorQuad", 8), ("WebMercatorQuad", 13), ("CGCS2000Quad", 12)])
def test_positions_between_control_points_are_those_of_proj(tms: str, z: int) -> None:
    from spatial.grid import tile_matrix_set
    from tiles.matrix import Address
    from tiles.raster import pixel_centres
    from tiles.scene_pixels import _positions

    tile = tile_matrix_set(tms).tile(LON, LAT, z)
    address = Address(tms, z, tile.x, tile.y)
    x, y = _positions(rasterio.crs.CRS.from_string(UTM).to_wkt(), address, 256)
    longitudes, latitudes = pixel_centres(address, 256, 0)
    exact = Transformer.from_crs("EPSG:4326", UTM, always_xy=True).transform(*np.meshgrid(longitudes, latitudes))
    pixel = abs(exact[0][0, 1] - exact[0][0, 0])
    assert np.hypot(x - exact[0], y - exact[1]).max() < 0.05 * pixel


def test_hollow_cells_are_clear(client: Any) -> None:
    from spatial.grid import tile_matrix_set

    tile = tile_matrix_set("WebMercatorQuad").tile(LON - 0.07, LAT - 0.05, 14)
    assert not _picture(client, "degrees", "WebMercatorQuad", 14, tile.x, tile.y)[..., 3].any()


def test_a_tile_is_not_sent_twice(client: Any) -> None:
    address = "/tiles/scenes/lake/degrees/mndwi/WebMercatorQuad/9/417/211.webp"
    first = client.get(address)
    assert first.headers["content-type"] == "image/webp"
    again = client.get(address, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("address", "status", "said"),
    [
        ("sea/degrees/mndwi/WebMercatorQuad/9/417/211.png", 404, "lake"),
        ("lake/nothing/mndwi/WebMercatorQuad/9/417/211.png", 404, "nothing"),
        ("lake/degrees/wetness/WebMercatorQuad/9/417/211.png", 400, "mndwi"),
        ("lake/degrees/ndvi/WebMercatorQuad/9/417/211.png", 400, "nir"),
        ("lake/degrees/mndwi/WebMercatorQuad/9/417/211.gif", 400, "png"),
        ("lake/degrees/mndwi/WebMercatorQuad/9/4170/211.png", 404, "0–511"),
        ("lake/degrees/mndwi/Nowhere/9/417/211.png", 404, "WebMercatorQuad"),
        ("lake/degrees/mndwi/WebMercatorQuad/9/417/211.png?band=1", 400, "band"),
    ],
)
def test_bad_addresses_say_what_is_wrong(client: Any, address: str, status: int, said: str) -> None:
    answer = client.get(f"/tiles/scenes/{address}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.text


def test_a_broken_file_harms_its_scene_only(client: Any, tmp_path: Path) -> None:
    assert client.get("/api/v1/scenes/%2E%2E").status_code == 404
    assert client.get("/api/v1/scenes/lake?x=1").status_code == 400


def test_scenes_are_stac_items_with_a_file_a_band(client: Any) -> None:
    collections = {c["id"]: c for c in client.get("/stac/collections").json()["collections"]}
    assert collections["lake"]["item_assets"].keys() == {"green", "swir1"}
    found = client.get("/stac/search", params={"collections": "lake", "datetime": "2024-07-01T00:00:00Z/.."}).json()
    assert sorted(item["id"] for item in found["features"]) == ["degrees", "metres"]
    item = next(i for i in found["features"] if i["id"] == "degrees")
    assert item["properties"]["synthetic"] is True
    assert item["properties"]["eo:cloud_cover"] == 0
    assert item["assets"]["green"]["raster:bands"] == [{"scale": 1e-4, "offset": 0.0}]
    address = item["assets"]["green"]["href"].removeprefix("http://onemap.test")
    part = client.get(address, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content[:2]) == (206, b"II")
    assert client.get(address.replace("green", "nir")).status_code == 404
    none = client.get("/stac/search", params={"filter": "eo:cloud_cover > 10", "collections": "lake"})
    assert none.json()["features"] == []


def test_pystac_client_walks_to_the_scenes(client: Any) -> None:
    import pystac

    document = client.get("/stac/collections/lake/items/metres").json()
    item = pystac.Item.from_dict(document)
    assert item.datetime is not None
    assert item.datetime.isoformat() == "2024-07-01T03:00:00+00:00"
    assert set(item.assets) == {"green", "swir1"}


def test_a_new_scene_is_listed_at_once(client: Any) -> None:
    folder = client.app.state.datastore.settings.scenes_dir / "lake"
    source = json.loads((folder / "items" / "degrees.json").read_text())
    before = client.get("/stac/search", params={"collections": "lake"}).json()["numberMatched"]
    new = folder / "items" / "later.json"
    new.write_text(
        json.dumps(source | {"id": "later", "properties": source["properties"] | {"datetime": "2024-08-01T03:00:00Z"}})
    )
    try:
        after = client.get("/stac/search", params={"collections": "lake"}).json()
        assert (before, after["numberMatched"], after["features"][0]["id"]) == (2, 3, "later")
    finally:
        new.unlink()
