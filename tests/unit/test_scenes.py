"""Collections of scenes: what is read from STAC documents, and cells read on the grid of a run."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from spatial.errors import InvalidParameter, LayerNotFound, SourceUnreadable
from spatial.scenes.collection import collection_ids, open_collection
from spatial.scenes.reading import SceneReader, grid_of

STEP = 1 / 3600
AFFINE = Affine(STEP, 0, 113.25, 0, -STEP, 29.95)
SHAPE = (40, 60)


def item(
    folder: Path, name: str, *, epsg: int = 4490, nodata: int | None = 0, bands: int = 1, **changed: object
) -> Path:
    values = np.arange(1, SHAPE[0] * SHAPE[1] + 1, dtype=np.uint16).reshape(SHAPE)
    path = folder / "data" / name / "green.tif"
    path.parent.mkdir(parents=True)
    profile = {"driver": "GTiff", "dtype": "uint16", "count": bands, "crs": f"EPSG:{epsg}", "transform": AFFINE}
    with rasterio.open(path, "w", height=SHAPE[0], width=SHAPE[1], nodata=nodata, **profile) as file:
        for band in range(1, bands + 1):
            file.write(values, band)
    document = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": name,
        "bbox": [113.25, 29.95 - 40 * STEP, 113.25 + 60 * STEP, 29.95],
        "properties": {"datetime": "2024-07-01T03:00:00Z", "platform": "sentinel-2a", "gsd": 30},
        "assets": {
            "B03": {
                "href": f"../data/{name}/green.tif",
                "eo:bands": [{"common_name": "green"}],
                "raster:bands": [{"scale": 1e-4}],
            }
        },
    }
    for key, value in changed.items():
        document["properties"][key] = value  # type: ignore[index]
    target = folder / "items" / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(json.dumps(document))
    return target


@pytest.fixture
def scenes(tmp_path: Path) -> Path:
    place = tmp_path / "scenes" / "lake"
    place.mkdir(parents=True)
    (place / "collection.json").write_text(json.dumps({"type": "Collection", "id": "lake", "license": "CC0-1.0"}))
    return tmp_path / "scenes"


def test_cells_come_as_they_are_stored(scenes: Path) -> None:
    item(scenes / "lake", "one")
    collection = open_collection(scenes, "lake")
    grid = grid_of(collection, None)
    assert grid.shape.yx == SHAPE
    assert grid.affine.almost_equals(AFFINE)
    reader = SceneReader(collection, grid)
    assert reader.items[0].time == datetime(2024, 7, 1, 3, tzinfo=UTC)
    assert reader.items[0].assets["green"].scale == 1e-4
    block = reader.read(0, "green", -1, -2, 3, 4)
    assert block.dtype == np.uint16
    assert block.tolist() == [[0, 0, 0, 0], [0, 0, 1, 2], [0, 0, 61, 62]]
    again = pickle.loads(pickle.dumps(reader))
    assert again.read(0, "green", 39, 59, 1, 1).item() == 2400
    reader.close()


def test_a_window_has_the_cells_of_the_whole(scenes: Path) -> None:
    item(scenes / "lake", "one")
    collection = open_collection(scenes, "lake")
    part = grid_of(collection, (113.25 + 10.4 * STEP, 29.95 - 20 * STEP, 113.25 + 30 * STEP, 29.95 - 5 * STEP))
    assert part.shape.yx == (15, 20)
    assert SceneReader(collection, part).read(0, "green", 0, 0, 1, 2).tolist() == [[5 * 60 + 11, 5 * 60 + 12]]


def test_a_scene_in_another_crs_is_read_at_its_place(scenes: Path) -> None:
    from rasterio.warp import transform

    folder = scenes / "lake"
    path = item(folder, "utm")
    rows = np.arange(200, dtype=np.uint16)[:, np.newaxis] * 300 + np.arange(300, dtype=np.uint16) + 1
    (x,), (y,) = transform("EPSG:4326", "EPSG:32649", [113.26], [29.94])
    affine = Affine(30, 0, round(x) - 3000, 0, -30, round(y) + 3000)
    with rasterio.open(
        folder / "data" / "utm" / "green.tif",
        "w",
        driver="GTiff",
        dtype="uint16",
        count=1,
        crs="EPSG:32649",
        nodata=0,
        transform=affine,
        height=200,
        width=300,
    ) as file:
        file.write(rows, 1)
    assert path.is_file()
    collection = open_collection(scenes, "lake")
    grid = grid_of(collection, None)
    reader = SceneReader(collection, grid)
    for row, col in ((3, 4), (20, 30), (37, 55)):
        lon, lat = grid.affine * (col + 0.5, row + 0.5)
        (px,), (py,) = transform("EPSG:4326", "EPSG:32649", [lon], [lat])
        inverse = ~affine
        expected = rows[int((inverse * (px, py))[1]), int((inverse * (px, py))[0])]
        assert reader.read(0, "green", row, col, 1, 1).item() == expected


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"datetime": "2024-07-01T03:00:00"}, "no zone"),
        ({"datetime": "yesterday"}, "not RFC 3339"),
    ],
)
def test_items_that_cannot_be_used_are_named(scenes: Path, changed: dict[str, str], said: str) -> None:
    item(scenes / "lake", "good")
    item(scenes / "lake", "bad", **changed)
    collection = open_collection(scenes, "lake")
    assert [i.id for i in collection.items] == ["good"]
    assert said in collection.refused[0].en
    assert "bad.json" in collection.refused[0].en


def test_a_swapped_box_and_a_path_outside_are_refused(scenes: Path) -> None:
    good = item(scenes / "lake", "good")
    for name, change in (
        ("swapped", {"bbox": [29.9, 113.2, 29.95, 113.3]}),
        ("outside", {"assets": {"green": {"href": "../../../etc/secret.tif"}}}),
        ("bandless", {"assets": {}}),
    ):
        (good.parent / f"{name}.json").write_text(json.dumps(json.loads(good.read_text()) | {"id": name} | change))
    refused = {e.details["file"]: e.en for e in open_collection(scenes, "lake").refused}
    assert "wrong order" in refused["swapped.json"]
    assert "outside the collection" in refused["outside.json"]
    assert "no GeoTIFF" in refused["bandless.json"]


@pytest.mark.parametrize(("options", "said"), [({"nodata": None}, "nodata"), ({"bands": 2}, "2 bands")])
def test_files_that_cannot_be_read_safely(scenes: Path, options: dict[str, object], said: str) -> None:
    item(scenes / "lake", "one", **options)  # type: ignore[arg-type]
    collection = open_collection(scenes, "lake")
    with pytest.raises(SourceUnreadable, match=said):
        SceneReader(collection, grid_of(collection, None)).read(0, "green", 0, 0, 1, 1)


def test_unknown_names_and_empty_windows(scenes: Path, tmp_path: Path) -> None:
    item(scenes / "lake", "one")
    assert collection_ids(scenes) == ["lake"]
    assert collection_ids(tmp_path / "nothing") == []
    with pytest.raises(LayerNotFound, match="lake"):
        open_collection(scenes, "../lake")
    collection = open_collection(scenes, "lake")
    with pytest.raises(InvalidParameter, match="does not touch"):
        grid_of(collection, (29.9, 113.2, 30.0, 113.3))
    with pytest.raises(InvalidParameter, match="no band nir"):
        SceneReader(collection, grid_of(collection, None)).read(0, "nir", 0, 0, 1, 1)


def test_a_damaged_file_names_its_scene(scenes: Path) -> None:
    item(scenes / "lake", "one")
    file = scenes / "lake" / "data" / "one" / "green.tif"
    file.write_bytes(file.read_bytes()[:200])
    collection = open_collection(scenes, "lake")
    with pytest.raises(SourceUnreadable, match="scene one, band green"):
        SceneReader(collection, grid_of(collection, None)).read(0, "green", 0, 0, 40, 60)


def test_adding_a_collection_copies_what_is_new(scenes: Path, tmp_path: Path) -> None:
    from spatial.scenes.adding import add_collection

    item(scenes / "lake", "one")
    item(scenes / "lake", "bad", datetime="2024-07-01T03:00:00")
    target = tmp_path / "var"
    first = add_collection(scenes / "lake", target, collection_id="my-lake")
    assert (first["added"], first["known"], len(first["refused"])) == (["one"], [], 1)
    item(scenes / "lake", "two")
    second = add_collection(scenes / "lake", target, collection_id="my-lake")
    assert (second["added"], second["known"]) == (["two"], ["one"])
    found = open_collection(target, "my-lake")
    assert [i.id for i in found.items] == ["one", "two"]
    assert all(asset.path.is_file() for i in found.items for asset in i.assets.values())
    for wrong in ("My Lake", "my-lake\n"):
        with pytest.raises(InvalidParameter, match="cannot name"):
            add_collection(scenes / "lake", target, collection_id=wrong)


def test_a_failed_copy_leaves_no_scene(scenes: Path, tmp_path: Path) -> None:
    from spatial.scenes.adding import add_collection

    item(scenes / "lake", "one")
    (scenes / "lake" / "data" / "one" / "green.tif").unlink()
    with pytest.raises(FileNotFoundError):
        add_collection(scenes / "lake", tmp_path / "var")
    assert not (tmp_path / "var" / "lake" / "collection.json").is_file()
    assert not list((tmp_path / "var").rglob("*.json"))


def test_a_cube_is_lazy_and_scaled(scenes: Path) -> None:
    from spatial.errors import LayerEmpty
    from spatial.scenes.cube import open_cube

    item(scenes / "lake", "one", datetime="2024-07-01T03:00:00Z")
    item(scenes / "lake", "two", datetime="2024-07-17T03:00:00Z")
    collection = open_collection(scenes, "lake")
    cube = open_cube(collection)
    assert dict(cube.sizes) == {"time": 2, "latitude": 40, "longitude": 60}
    assert cube.green.chunks is not None
    assert float(cube.green.isel(time=1)[3, 7]) == pytest.approx((3 * 60 + 8) * 1e-4)
    assert open_cube(collection, time=("2024-07-10", "2024-07-17")).sizes["time"] == 1
    assert int(open_cube(collection, scaled=False).green.isel(time=0)[0, 0]) == 1
    with pytest.raises(LayerEmpty):
        open_cube(collection, time=("2020-01-01", "2020-12-31"))
    with pytest.raises(InvalidParameter, match="all have green"):
        open_cube(collection, bands=["nir"])
    with pytest.raises(InvalidParameter, match="no time zone"):
        open_cube(collection, time=("2024-07-01T00:00:00", "2024-07-02"))
