"""The mark of synthetic data in picture tiles: every format and address, on both stores; beside it each pixel is as it was.

Each layer is published twice, with and without ``synthetic``: the twin tells what a tile would be without its mark.
"""

import io
import uuid

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from tiles.mark import MARK, marked_map, marked_palette, tile_overlay

LAYERS = ("parts", "codes", "many", "height", "photo")
SYNTHETIC = {"seed": 1, "recipe": {"zh": "示例", "en": "sample"}}
PLACES = {"WebMercatorQuad": (8, 208, 105), "WorldCRS84Quad": (8, 418, 84), "CGCS2000Quad": (8, 418, 84)}
"""A tile of each matrix set in which every layer has pixels."""
FORMATS = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
MASK = tile_overlay(256).mask


def _text(text):
    return {"zh": text, "en": text}


def _definitions(hand_made):
    def raster(bands, style, span):
        found = [{"name": n, "title": _text(n), "valid_range": span} for n in bands]
        return {"kind": "raster", "fields": [], "bands": found, "style": style}

    def classes(count):
        listed = [
            {"value": n, "color": f"#{n * 6:02x}{250 - n * 6:02x}40", "title": _text(str(n))} for n in range(1, count)
        ]
        return raster(["code"], {"type": "classes", "classes": listed}, [0, 40])

    ramp = {"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 1000, "color": "#ffffff"}]}
    given = {
        "parts": {"style": {"type": "single", "fill": "#336699"}},
        "codes": classes(9),
        "many": classes(39),  # too many colours for a palette with the mark
        "height": raster(["height"], ramp, [0, 1000]),
        "photo": raster(["red", "green", "blue"], {"type": "picture", "channels": ["red", "green", "blue"]}, [0, 255]),
    }
    found = {}
    for name, changes in given.items():
        found[name] = hand_made.layer_definition(name, **changes)
        found[f"{name}-made"] = hand_made.layer_definition(f"{name}-made", synthetic=SYNTHETIC, **changes)
    return found


@pytest.fixture(scope="module")
def client(store_settings, hand_made, tmp_path_factory):
    import geopandas
    import rasterio
    import shapely
    from rasterio.transform import from_origin

    from spatial.asgi import create_app
    from spatial.catalog import Layer

    folder = tmp_path_factory.mktemp("marked")
    definitions = _definitions(hand_made)
    changes = {"layers_dir": hand_made.write_layers(folder / "layers", definitions), "var_dir": folder / "var"}
    changes["var_dir"].mkdir()
    if store_settings.store == "postgis":
        changes["postgis_schema"] = f"t_{uuid.uuid4().hex[:12]}"
    app = create_app(store_settings.model_copy(update=changes))
    store = app.state.datastore
    cells = [shapely.box(x, y, x + 0.05, y + 0.05) for x in np.arange(113, 115, 0.1) for y in np.arange(30, 32, 0.1)]
    frame = geopandas.GeoDataFrame({"name": [""] * len(cells)}, geometry=cells, crs="EPSG:4490").rename_axis("fid")
    frame.index += 1
    rows, columns = np.mgrid[0:40, 0:40]
    arrays = {
        "codes": [(columns + rows) % 9],
        "many": [(columns + 7 * rows) % 39],
        "height": [(25 * columns) % 1000],
        "photo": [6 * rows, 6 * columns, 3 * (rows + columns)],
    }
    for layer_id, definition in definitions.items():
        layer = Layer.model_validate(definition)
        name = layer_id.removesuffix("-made")
        if name == "parts":
            store.publish_vector(layer, frame)
            continue
        bands = arrays[name]
        profile = {"driver": "GTiff", "width": 40, "height": 40, "count": len(bands), "dtype": "int16", "nodata": -1}
        profile |= {"crs": "EPSG:4490", "transform": from_origin(113, 32, 0.05, 0.05), "photometric": "minisblack"}
        with rasterio.open(folder / f"{layer_id}.tif", "w", **profile) as file:
            for number, values in enumerate(bands, start=1):
                file.write(values.astype(np.int16), number)
        store.publish_raster(layer, folder / f"{layer_id}.tif")
    with TestClient(app, base_url="http://onemap.test") as found:
        yield found


def four_addresses(layer, tms, ext):
    """XYZ, WMTS by key–value pairs and by resource, OGC map tile."""
    z, x, y = PLACES[tms]
    keywords = f"service=WMTS&request=GetTile&version=1.0.0&layer={layer}&style=default&format={FORMATS[ext]}"
    return [
        f"/tiles/{layer}/{tms}/{z}/{x}/{y}.{ext}",
        f"/tiles/wmts?{keywords}&tilematrixset={tms}&tilematrix={z}&tilerow={y}&tilecol={x}",
        f"/tiles/wmts/1.0.0/{layer}/default/{tms}/{z}/{y}/{x}.{ext}",
        f"/ogc/collections/{layer}/map/tiles/{tms}/{z}/{y}/{x}?f={FORMATS[ext]}",
    ]


def body(client, path):
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.content


def pixels(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA")).astype(int)


@pytest.mark.parametrize("ext", FORMATS)
@pytest.mark.parametrize("tms", PLACES)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_synthetic_layer_bears_its_mark_in_every_format_from_every_address(client, layer, tms, ext):
    found = {body(client, path) for path in four_addresses(f"{layer}-made", tms, ext)}
    assert len(found) == 1
    marked = pixels(found.pop())
    plain = pixels(body(client, four_addresses(layer, tms, ext)[0]))
    assert plain.any()
    change = np.abs(marked - plain)
    assert change[MASK].max(axis=-1).mean() > 25
    if ext == "png":
        assert not change[~MASK].any()
        # What is under it follows from the mark of a map of this size, but for its tones.
        expected = marked_map(plain.astype(np.uint8), 1.0).astype(int)
        seen = marked[..., :3] * marked[..., 3:] / 255, expected[..., :3] * expected[..., 3:] / 255
        assert np.abs(seen[0] - seen[1])[MASK].mean() < 5
    else:
        # Far from the mark the tile differs by no more than what the encoding changes anyway.
        exact = pixels(body(client, four_addresses(layer, tms, "png")[0]))[..., :3]
        far = [*range(48), *range(208, 256)]
        seen = plain[far][..., 3:] > 0
        lost = (np.abs(plain[..., :3] - exact)[far] * seen).mean()
        assert (change[far][..., :3] * seen).mean() <= max(lost, 0.1)
        assert not change[far][..., 3].any()


@pytest.mark.parametrize("size", [256, 512])
def test_the_mark_is_whole_and_alone_in_the_middle(client, size):
    mask = tile_overlay(size).mask
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    for found in (rows, columns):
        assert found[0] >= size // 16
        assert found[-1] < size - size // 16
        assert abs(found[0] + found[-1] - size) <= size // 64
    assert columns[-1] - columns[0] > size * 0.7  # as wide as the tile allows
    z, x, y = PLACES["CGCS2000Quad"]
    scale = "@2x" if size == 512 else ""
    marked, plain = (
        pixels(body(client, f"/tiles/{layer}/CGCS2000Quad/{z}/{x}/{y}{scale}.png")) for layer in ("codes-made", "codes")
    )
    changed = (marked != plain).any(axis=-1)
    assert not (changed & ~mask).any()
    assert (changed & mask).sum() > 0.9 * mask.sum()


def test_values_can_be_read_under_the_mark():
    """Two classes stay as far apart under the mark as their colours allow: at least half."""
    index = (np.indices((256, 256)).sum(axis=0) % 2).astype(np.uint8)
    palette = np.array([[0, 0, 0, 255], [255, 255, 255, 255]], np.uint8)
    marked, colours = marked_palette(index, palette)
    grey = colours[marked][..., :3].mean(axis=-1)
    assert grey[MASK & (index == 1)].mean() - grey[MASK & (index == 0)].mean() > 127
    assert MASK.mean() < 0.08


def test_a_tile_without_anything_stays_empty(client):
    for layer in LAYERS:
        for ext in FORMATS:
            # Far away, and a pixel-less place between the parcels or beside the raster.
            for place in ("8/10/10", f"14/{(113 + 180) * 2**14 // 180 - 1}/{(90 - 31) * 2**14 // 180}"):
                made, real = (body(client, f"/tiles/{n}/CGCS2000Quad/{place}.{ext}") for n in (f"{layer}-made", layer))
                assert made == real
                assert not pixels(made)[..., 3].any() or ext == "jpg"
    clear = np.zeros((1, 4), np.uint8)
    index = np.zeros((256, 256), np.uint8)
    assert marked_palette(index, clear)[0] is index


def test_a_tile_with_one_small_parcel_bears_the_whole_mark(client):
    """On the parcel alone no word could be read."""
    x, y = int((113 + 180) * 2**9 / 180), int((90 - 30.001) * 2**9 / 180)
    marked, plain = (pixels(body(client, f"/tiles/{n}/CGCS2000Quad/9/{x}/{y}.png")) for n in ("parts-made", "parts"))
    assert (plain[..., 3] > 0).mean() < 0.3
    assert (marked[MASK][:, 3] > 0).all()


def test_real_layers_never_meet_the_mark(client, monkeypatch):
    def fail(*_):
        pytest.fail("a real layer was marked")

    monkeypatch.setattr("tiles.render.marked_tile", fail)
    monkeypatch.setattr("tiles.render.marked_palette", fail)
    z, x, y = PLACES["CGCS2000Quad"]
    for layer in LAYERS:
        for ext in FORMATS:
            body(client, f"/tiles/{layer}/CGCS2000Quad/{z + 1}/{2 * x}/{2 * y}.{ext}")


def test_numbers_are_never_marked(client):
    """Vector tiles, coverages and positions of a synthetic layer are those of its twin."""
    import mapbox_vector_tile
    import rasterio

    z, x, y = PLACES["CGCS2000Quad"]
    made, real = (
        mapbox_vector_tile.decode(body(client, f"/tiles/{n}/CGCS2000Quad/{z}/{x}/{y}.mvt"))
        for n in ("parts-made", "parts")
    )
    assert made["parts-made"]["features"] == real["parts"]["features"]
    for layer in LAYERS[1:]:
        arrays = []
        for name in (f"{layer}-made", layer):
            content = body(client, f"/ogc/collections/{name}/coverage?f=tiff")
            with rasterio.io.MemoryFile(content) as memory, memory.open() as file:
                arrays.append(file.read())
        assert (arrays[0] == arrays[1]).all()


def test_what_turns_synthetic_gets_new_tiles_and_tags(client, hand_made):
    import geopandas
    import shapely

    from spatial.catalog import Layer

    store = client.app.state.datastore
    frame = geopandas.GeoDataFrame({"name": [""]}, geometry=[shapely.box(113, 30, 115, 32)], crs="EPSG:4490")
    frame.index = frame.index.rename("fid") + 1
    z, x, y = PLACES["CGCS2000Quad"]
    path = f"/tiles/turned/CGCS2000Quad/{z}/{x}/{y}.png"
    found = []
    for version, synthetic in (("1", None), ("2", SYNTHETIC), ("3", None)):
        definition = hand_made.layer_definition("turned", synthetic=synthetic)
        definition["source"] |= {"version": version}
        store.publish_vector(Layer.model_validate(definition), frame)
        answer = client.get(path, headers={"if-none-match": found[-1][0]} if found else {})
        assert answer.status_code == 200, version
        assert client.get(path).content == answer.content
        found.append((answer.headers["etag"], answer.content))
    assert len({tag for tag, _ in found}) == 3
    assert found[0][1] == found[2][1] != found[1][1]


def test_the_mark_says_it_in_both_languages():
    assert MARK == "合成示例 SYNTHETIC"
