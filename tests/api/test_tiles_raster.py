"""Raster tiles over HTTP: the right colour at the right place in every matrix set, and what is refused."""

import io
import json
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

import tiles
from spatial.catalog import Band, Layer, Source, Synthetic
from spatial.errors import SpatialError
from spatial.settings import PROJECT_ROOT, Settings
from spatial.store.datastore import DataStore
from spatial.store.state import State
from tiles.mark import tile_overlay
from tiles.matrix import Address
from tiles.raster import read_pixels

T = {"zh": "试", "en": "test"}
SETS = ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad"]
WEST, NORTH, CELL = 114.0, 32.0, 0.5
CODES = np.arange(16, dtype=np.uint8).reshape(4, 4)  # 0 is nodata
COLOURS = {v: f"#{v * 16:02x}{255 - v * 16:02x}40" for v in range(1, 15)}  # 15 has no class


def definition(layer_id, bands, style, **more):
    source = Source(uri="x.tif", version="1", sha256="0" * 64, licence="CC0-1.0", attribution=T, origin="test")
    given = tuple(Band(name=n, title={"zh": n, "en": n}, unit="m", valid_range=(-1e5, 1e5)) for n in bands)
    parts = {"title": T, "description": T, "theme": ("base", "relief"), "kind": "raster", "source": source}
    return Layer(id=layer_id, bands=given, style=style, **parts, **more)


def write(path, bands, west, north, cell, nodata):
    import rasterio
    from rasterio.transform import from_origin

    profile = {"driver": "GTiff", "crs": "EPSG:4490", "transform": from_origin(west, north, cell, cell)}
    shape = {"height": bands[0].shape[0], "width": bands[0].shape[1], "count": len(bands)}
    with rasterio.open(path, "w", **profile, **shape, dtype=bands[0].dtype, nodata=nodata) as file:
        for i, values in enumerate(bands, start=1):
            file.write(values, i)
    return path


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("raster-tiles")
    (folder / "layers").mkdir()
    (folder / "layers" / "themes.yml").write_text((PROJECT_ROOT / "layers" / "themes.yml").read_text("utf-8"), "utf-8")
    settings = Settings(var_dir=folder / "var", layers_dir=folder / "layers", public_url="https://map.test")
    settings.var_dir.mkdir()
    datastore = DataStore(settings, State(settings.state_address), vectors=None)
    classes = {"type": "classes", "classes": [{"value": v, "color": c, "title": T} for v, c in COLOURS.items()]}
    ramp = {"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 100, "color": "#ffffff"}]}
    datastore.publish_raster(
        definition("codes", ["code"], classes, synthetic=Synthetic(seed=1, recipe=T)),
        write(folder / "a.tif", [CODES], WEST, NORTH, CELL, 0),
    )
    low, high = np.full((4, 4), 20, np.float32), np.full((4, 4), 80, np.float32)
    low[0, 0] = np.nan
    datastore.publish_raster(
        definition("rain", ["jan", "jul"], ramp), write(folder / "b.tif", [low, high], WEST, NORTH, CELL, np.nan)
    )
    rows, columns = np.mgrid[0:540, 0:948]
    waves = (900 + 700 * np.sin(rows / 9) * np.cos(columns / 13) + 200 * np.sin(columns / 3)).astype(np.int16)
    datastore.publish_raster(
        definition("dem", ["elevation"], {"type": "hillshade", "z_factor": 2}),
        write(folder / "c.tif", [waves], 108.3, 33.4, 1 / 120, -32768),
    )
    yield datastore
    datastore.state.close()


@pytest.fixture(scope="module")
def client(store):
    async def problem(request, error):
        document = error.problem()
        return JSONResponse(document, document["status"], media_type="application/problem+json")

    return TestClient(Starlette(routes=tiles.routes(store), exception_handlers={SpatialError: problem}))


def pixel_of(tms, z, lon, lat):
    """Tile column, row and pixel column, row of a point: the textbook formulas, not the code under test."""
    if tms == "WebMercatorQuad":
        across, n = (lon + 180) / 360, 2**z
        down = (1 - math.log(math.tan(math.radians(lat)) + 1 / math.cos(math.radians(lat))) / math.pi) / 2
        x, y = across * n, down * n
    else:
        degrees = 180 / 2**z
        x, y = (lon + 180) / degrees, (90 - lat) / degrees
    return int(x), int(y), int(x % 1 * 256), int(y % 1 * 256)


def picture(response):
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content)).convert("RGBA")


def clear_of_mark(i, j, *, keep="i"):
    """The nearest pixel in the same column (or row) that the mark of synthetic data leaves alone."""
    line = tile_overlay(256).mask[:, i] if keep == "i" else tile_overlay(256).mask[j]
    at = j if keep == "i" else i
    nearest = int(min(np.flatnonzero(~line), key=lambda k: abs(k - at)))
    assert abs(nearest - at) <= 12
    return (i, nearest) if keep == "i" else (nearest, j)


@pytest.mark.parametrize("tms", SETS)
@pytest.mark.parametrize("z", [7, 9, 12, 18])
@pytest.mark.parametrize(("row", "col"), [(0, 1), (1, 2), (3, 2), (2, 0)])
def test_a_class_has_its_colour_at_its_cell(client, tms, z, row, col):
    # A little off the centre, so that a swap or a shift by half a cell would show.
    lon, lat = WEST + (col + 0.6) * CELL, NORTH - (row + 0.4) * CELL
    x, y, i, j = pixel_of(tms, z, lon, lat)
    image = picture(client.get(f"/tiles/codes/{tms}/{z}/{x}/{y}.png"))
    assert image.size == (256, 256)
    expected = bytes.fromhex(COLOURS[int(CODES[row, col])][1:])
    assert image.getpixel(clear_of_mark(i, j)) == (*expected, 255)


@pytest.mark.parametrize("tms", SETS)
def test_cell_edges_fall_on_the_right_pixel(client, tms):
    """East of 114.5 the second column begins; its first pixel is the first whose centre lies beyond."""
    x, y, _, j = pixel_of(tms, 11, 114.5, 31.3)
    image = picture(client.get(f"/tiles/codes/{tms}/11/{x}/{y}.png"))
    step = 360 / 2**11 / 256 if tms == "WebMercatorQuad" else 180 / 2**11 / 256
    span = step * 256
    edge = (114.5 - (-180 + x * span)) / step
    first = math.ceil(edge - 0.5)
    left, right = (int(CODES[1, c]) for c in (0, 1))
    free = np.flatnonzero(~tile_overlay(256).mask[:, first - 1 : first + 1].any(axis=1))
    j = int(min(free, key=lambda k: abs(k - j)))
    assert image.getpixel((first - 1, j))[:3] == tuple(bytes.fromhex(COLOURS[left][1:]))
    assert image.getpixel((first, j))[:3] == tuple(bytes.fromhex(COLOURS[right][1:]))


@pytest.mark.parametrize("tms", SETS)
def test_nodata_unlisted_codes_and_outside_are_transparent(client, tms):
    for lon, lat in ((114.2, 31.8), (115.8, 30.2), (113.99, 31.8), (116.01, 31.8), (115, 29.99), (115, 32.01)):
        x, y, i, j = pixel_of(tms, 8, lon, lat)
        image = picture(client.get(f"/tiles/codes/{tms}/8/{x}/{y}.png"))
        beside = clear_of_mark(i, j, keep="i" if 30 < lat < 32 else "j")  # does not leave the side of the edge
        assert image.getpixel(beside)[3] == 0, (lon, lat)


@pytest.mark.parametrize("tms", SETS)
def test_ramp_interpolates_by_band_and_keeps_nan_clear(client, tms):
    x, y, i, j = pixel_of(tms, 9, 115.3, 30.9)
    for query, grey in (("", 51), ("?band=jan", 51), ("?band=jul", 204)):
        image = picture(client.get(f"/tiles/rain/{tms}/9/{x}/{y}.png{query}"))
        assert image.getpixel((i, j)) == (grey, grey, grey, 255)
    x, y, i, j = pixel_of(tms, 9, 114.4, 31.6)  # in the missing cell, close to its corner
    assert picture(client.get(f"/tiles/rain/{tms}/9/{x}/{y}.png")).getpixel((i, j))[3] == 0
    x, y, i, j = pixel_of(tms, 9, 114.55, 31.6)  # beside it: no share of the missing value
    assert picture(client.get(f"/tiles/rain/{tms}/9/{x}/{y}.png")).getpixel((i, j)) == (51, 51, 51, 255)


@pytest.mark.requirement("ogcapi-tiles-1/1.0", "/req/png/content", "/req/jpeg/content")
@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("image/png", "png"),
        ("image/jpeg", "jpeg"),
        ("image/webp", "webp"),
        ("image/gif, image/webp;q=0.5, image/jpeg;q=0.9", "jpeg"),
        ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "png"),
        ("*/*", "png"),
        ("text/html", "png"),
    ],
)
def test_a_map_tile_comes_in_the_encoding_of_the_accept_header(client, accept, kind):
    x, y, _, _ = pixel_of("CGCS2000Quad", 8, 115.3, 30.9)
    path = f"/ogc/collections/rain/map/tiles/CGCS2000Quad/8/{y}/{x}"
    for more in ({}, {"Origin": "https://other.test"}):
        answer = client.get(path, headers={"Accept": accept, **more})
        assert answer.status_code == 200
        assert answer.headers["content-type"] == f"image/{kind}"
        if kind != "png":
            assert answer.headers["vary"].startswith("Accept")
        assert client.get(f"{path}?f=webp", headers={"Accept": accept, **more}).headers["content-type"] == "image/webp"


@pytest.mark.parametrize(("ext", "kind"), [("png", "PNG"), ("webp", "WEBP"), ("jpg", "JPEG")])
def test_formats_and_double_size(client, ext, kind):
    x, y, i, j = pixel_of("CGCS2000Quad", 8, 115.3, 30.9)
    for suffix, size in (("", 256), ("@2x", 512)):
        response = client.get(f"/tiles/rain/CGCS2000Quad/8/{x}/{y}{suffix}.{ext}")
        image = Image.open(io.BytesIO(response.content))
        assert (image.format, image.size) == (kind, (size, size))
        red = image.convert("RGB").getpixel((i * size // 256, j * size // 256))[0]
        assert abs(red - 51) <= (0 if ext == "png" else 3)
    corner = Image.open(io.BytesIO(client.get(f"/tiles/rain/CGCS2000Quad/3/13/2.{ext}").content))
    pixel = corner.convert("RGBA").getpixel((0, 0))
    assert pixel == (255, 255, 255, 255) if ext == "jpg" else pixel[3] == 0


@pytest.mark.parametrize("tms", SETS)
def test_ogc_address_is_row_then_column_and_gives_the_same_bytes(client, tms):
    x, y, _, _ = pixel_of(tms, 9, 115.3, 30.9)
    for ext, f in (("png", ""), ("webp", "?f=webp"), ("jpg", "?f=jpeg"), ("png", "?f=image/png")):
        plain = client.get(f"/tiles/rain/{tms}/9/{x}/{y}.{ext}")
        ogc = client.get(f"/ogc/collections/rain/map/tiles/{tms}/9/{y}/{x}{f}")
        assert plain.status_code == ogc.status_code == 200
        assert plain.content == ogc.content
        assert plain.headers["etag"] == ogc.headers["etag"]
        assert plain.headers["content-type"] == ogc.headers["content-type"]
    turned = client.get(f"/ogc/collections/rain/map/tiles/{tms}/9/{x}/{y}")
    assert turned.status_code == 404 or not np.asarray(Image.open(io.BytesIO(turned.content)).convert("RGBA")).any()


def test_nothing_there_is_an_empty_picture_and_outside_the_matrix_is_404(client):
    """What loads tiles as images takes 204 for a failure, so that a picture always comes."""
    for path in ("/tiles/codes/CGCS2000Quad/5/0/0.", "/ogc/collections/codes/map/tiles/CGCS2000Quad/5/0/0?f="):
        for ext, kind in (("png", "image/png"), ("webp", "image/webp"), ("jpg", "image/jpeg")):
            answer = client.get(path + ext)
            assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
            colours = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
            assert colours.shape == (256, 256, 4)
            assert (colours == (255 if ext == "jpg" else 0)).all() or (ext == "webp" and not colours[..., 3].any())
    assert Image.open(io.BytesIO(client.get("/tiles/codes/CGCS2000Quad/5/0/0@2x.png").content)).size == (512, 512)
    for place in ("0/2/0", "0/0/1", "21/0/0", "99/0/0", "5/-1/0", "5/a/0", "5/1.0/0", f"{'9' * 5000}/0/0", "٣/0/0"):
        response = client.get(f"/tiles/codes/CGCS2000Quad/{place}.png")
        assert response.status_code == 404, place
        assert len(response.content) < 3000


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/tiles/codex/CGCS2000Quad/7/209/41.png", 404, "did you mean codes"),
        ("/tiles/codes/CGCS2000/7/209/41.png", 404, "CGCS2000Quad"),
        ("/tiles/codes/CGCS2000Quad/7/209/41.gif", 400, "webp"),
        ("/tiles/codes/CGCS2000Quad/7/209/41.mvt", 404, ".png"),
        ("/tiles/codes/CGCS2000Quad/7/209/41@3x.png", 400, "@2x"),
        ("/tiles/codes/CGCS2000Quad/7/209/41.png?version=9", 404, "there are 1"),
        ("/tiles/rain/CGCS2000Quad/7/209/41.png?band=feb", 400, "jan, jul"),
        ("/tiles/rain/CGCS2000Quad/7/209/41.png?band=b1/b2", 400, "jan, jul"),
        ("/tiles/rain/CGCS2000Quad/7/209/41.png?url=/etc/passwd", 400, "band, version"),
        ("/tiles/rain/CGCS2000Quad/7/209/41.png?expression=b1", 400, "band, version"),
        ("/ogc/collections/rain/map/tiles/CGCS2000Quad/7/41/209?f=gif", 400, "jpeg"),
        ("/ogc/collections/rain/tiles/CGCS2000Quad/7/41/209", 404, "map/tiles"),
        ("/ogc/collections/rain/tiles", 404, "map/tiles"),
        ("/ogc/collections/rain/map/tiles/c/7/41/209", 404, "CGCS2000Quad"),
        ("/ogc/tileMatrixSets/EuropeanETRS89", 404, "CGCS2000Quad"),
        ("/tiles/rain/tilejson.json?tms=w", 404, "WebMercatorQuad"),
        ("/tiles/rain/tilejson.json?band=dec", 400, "jan, jul"),
        ("/tiles/rain/legend.png?lang=fr", 400, "en"),
    ],
)
def test_refusals_name_what_is_allowed(client, path, status, words):
    response = client.get(path)
    assert response.status_code == status
    document = response.json()
    assert words in document["detail_en"]
    assert document["detail_zh"]


@pytest.mark.parametrize(
    "layer", ["..", "%2e%2e", "..%2f..%2fetc", "%2fetc%2fpasswd", "codes%00", "/vsicurl/x", "VRT:x"]
)
def test_paths_cannot_be_smuggled_in(client, layer):
    response = client.get(f"/tiles/{layer}/CGCS2000Quad/7/209/41.png")
    assert response.status_code == 404


def test_only_geotiff_is_opened_whatever_the_file_holds(store, client):
    """A published path that turns into a VRT, which could name other files, is not read."""
    published = store.snapshot().raster("rain")
    kept = published.path.read_bytes()
    try:
        published.path.write_text(
            f'<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
            f"<SourceFilename>{store.snapshot().raster('codes').path}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
        )
        _forget_open_files()
        response = client.get("/tiles/rain/CGCS2000Quad/7/209/41.png")
        assert response.status_code == 503
        assert response.json()["layer"] == "rain"
        assert str(published.path.parent) not in response.text
    finally:
        published.path.write_bytes(kept)
    assert client.get("/tiles/rain/CGCS2000Quad/7/209/41.png").status_code == 200


def _forget_open_files():
    from tiles import raster

    raster._local = None


def test_etag_answers_304_before_any_file_is_read(store, client, monkeypatch):
    path = "/tiles/codes/CGCS2000Quad/8/419/82.png"
    first = client.get(path)
    assert first.status_code == 200
    tag = first.headers["etag"]
    monkeypatch.setattr("tiles.maker.raster_tile", lambda *a, **k: pytest.fail("the store was asked"))
    for given in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        again = client.get(path, headers={"if-none-match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    others = [
        client.get(p, headers={"if-none-match": "*"}).headers["etag"]
        for p in (path.replace("419", "418"), path.replace("png", "webp"))
    ]
    assert len({tag, *others}) == 3


def test_caching_is_long_only_for_a_pinned_version(client):
    path = "/tiles/codes/CGCS2000Quad/8/419/82.png"
    assert "stale-while-revalidate=60" in client.get(path).headers["cache-control"]
    assert "max-age=60" in client.get(path).headers["cache-control"]
    assert "max-age=86400" in client.get(f"{path}?version=1").headers["cache-control"]
    assert client.get(path).content == client.get(f"{path}?version=1").content


WARP = """
import sys, json, numpy, rasterio
from rio_tiler.io import Reader
path, out, epsg, boxes = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
with rasterio.open(path) as dataset, Reader(None, dataset=dataset) as reader:
    crs = rasterio.crs.CRS.from_epsg(epsg) if epsg else dataset.crs
    options = dict(dst_crs=crs, bounds_crs=crs, width=256, height=256)
    options |= dict(resampling_method="bilinear", reproject_method="bilinear")
    numpy.save(out, [reader.part(box, **options).array.data[0] for box in boxes])
"""


@pytest.mark.parametrize("tms", SETS)
def test_values_are_those_of_a_gdal_warp(store, tms, tmp_path):
    """rio-tiler, which warps with GDAL, is the oracle (it rounds to the integers of the file, hence half a metre).

    In a process of its own: GDAL warps through virtual rasters, which the store forbids in its own process.
    """
    from spatial.grid import tile_bounds

    raster = store.snapshot().raster("dem")
    addresses = [Address(tms, z, *pixel_of(tms, z, 112.3, 31.2)[:2]) for z in (9, 11, 14)]
    boxes = json.dumps([tile_bounds(a.tms, a.z, a.x, a.y) for a in addresses])
    epsg = "3857" if tms == "WebMercatorQuad" else "0"
    out = tmp_path / "warped.npy"
    subprocess.run([sys.executable, "-c", WARP, raster.path, out, epsg, boxes], check=True)
    for address, warped in zip(addresses, np.load(out), strict=True):
        ours = read_pixels(raster, 1, address, size=256, border=0, method="bilinear", classes=False).values
        inner = np.s_[4:-4, 4:-4]
        assert np.abs(ours[inner] - warped[inner]).max() <= 0.6
        assert ours.std() > 1


def test_hillshade_has_no_seams(store):
    """Neighbours compute the pixels that they share from the same numbers, at every level, across and down."""
    raster = store.snapshot().raster("dem")
    ask = {"size": 256, "border": 1, "method": "cubic", "classes": False}
    for tms, z, lon, lat in [(t, z, 112.3, 31.2) for t in SETS for z in (6, 7, 8, 10, 13)]:
        x, y, _, _ = pixel_of(tms, z, lon, lat)
        here = read_pixels(raster, 1, Address(tms, z, x, y), **ask)
        for beyond, ours, theirs in (
            (Address(tms, z, x + 1, y), np.s_[:, -2:], np.s_[:, :2]),
            (Address(tms, z, x, y + 1), np.s_[-2:, :], np.s_[:2, :]),
        ):
            other = read_pixels(raster, 1, beyond, **ask)
            if other is None:
                continue
            a, b = here.values[ours], other.values[theirs]
            both = ~(here.mask[ours] | other.mask[theirs])
            assert (here.mask[ours] == other.mask[theirs]).all()
            np.testing.assert_allclose(a[both], b[both], atol=0.02)


@pytest.mark.parametrize("tms", SETS)
def test_hillshade_pictures_continue_over_the_edge(client, tms):
    x, y, _, _ = pixel_of(tms, 9, 112.3, 31.2)
    left, right = (
        np.asarray(picture(client.get(f"/tiles/dem/{tms}/9/{c}/{y}.png")))[..., 0].astype(int) for c in (x, x + 1)
    )
    across = np.abs(right[:, 0] - left[:, -1]).max()
    inside = max(np.abs(np.diff(left, axis=1)).max(), np.abs(np.diff(right, axis=1)).max())
    assert across <= inside
    assert left.std() > 5


def test_hillshade_agrees_with_a_plane_on_the_ground(store, client):
    """A plane of known slope, in metres on the ellipsoid, has the cosine of the textbook in every matrix set."""
    from pyproj import Geod

    geod = Geod(ellps="GRS80")
    lat, cell = 30.0, 0.01
    width = geod.inv(114, lat, 114 + cell, lat)[2]
    rise = math.tan(math.radians(30)) * width  # to the east, 30°
    plane = np.tile(np.arange(60, dtype=np.float32) * np.float32(rise), (60, 1))
    path = write(store.settings.var_dir / "plane.tif", [plane], 113.7, lat + 0.3, cell, -9999.0)
    layer = definition("plane", ["z"], {"type": "hillshade", "azimuth": 270, "altitude": 45})
    store.publish_raster(layer, path)
    expected = 255 * math.cos(math.radians(15))  # sun 45° high in the west, slope facing west at 30°
    for tms in SETS:
        x, y, i, j = pixel_of(tms, 11, 114.0, lat)
        value = picture(client.get(f"/tiles/plane/{tms}/11/{x}/{y}.png")).getpixel((i, j))[0]
        assert abs(value - expected) <= 2, (tms, value, expected)


def test_low_zooms_average_over_the_whole_raster(store, client):
    """A chessboard far below a pixel is grey, not black or white by chance."""
    board = (np.indices((1200, 1200)).sum(axis=0) % 2 * 100).astype(np.float32)
    path = write(store.settings.var_dir / "board.tif", [board], 110.0, 33.0, 1 / 400, -1.0)
    ramp = {"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 100, "color": "#ffffff"}]}
    store.publish_raster(definition("board", ["v"], ramp), path)
    for tms in SETS:
        for z in (2, 4, 6):
            x, y, i, j = pixel_of(tms, z, 111.5, 31.5)
            assert abs(picture(client.get(f"/tiles/board/{tms}/{z}/{x}/{y}.png")).getpixel((i, j))[0] - 128) <= 3


@pytest.mark.parametrize("tms", SETS)
def test_tilejson_addresses_work_and_are_pinned(client, tms):
    document = client.get(f"/tiles/codes/tilejson.json?tms={tms}").json()
    assert document["tilejson"] == "3.0.0"
    assert document["bounds"] == [114.0, 30.0, 116.0, 32.0]
    assert "合成" in document["name"]
    assert "synthetic" in document["name"]
    assert document["tile_matrix_set"] == tms
    x, y, _, _ = pixel_of(tms, 8, 115.3, 30.9)
    url = document["tiles"][0].format(z=8, x=x, y=y)
    assert url.startswith("https://map.test/tiles/codes/")
    assert url.endswith("?version=1")
    assert client.get(url.removeprefix("https://map.test")).status_code == 200


def test_tileset_lists_rows_and_columns_of_the_data(client):
    listed = client.get("/ogc/collections/codes/map/tiles").json()["tilesets"]
    assert len(listed) == 7  # with the four Gauss–Krüger sets
    assert {s["dataType"] for s in listed} == {"map"}
    for tms in SETS:
        document = client.get(f"/ogc/collections/codes/map/tiles/{tms}").json()
        limits = {e["tileMatrix"]: e for e in document["tileMatrixSetLimits"]}
        x, y, _, _ = pixel_of(tms, 9, 114.0001, 31.9999)
        x2, y2, _, _ = pixel_of(tms, 9, 115.9999, 30.0001)
        assert limits["9"] == {"tileMatrix": "9", "minTileCol": x, "maxTileCol": x2, "minTileRow": y, "maxTileRow": y2}
        items = {e["type"]: e["href"] for e in document["links"] if e["rel"] == "item"}
        assert set(items) == {"image/png", "image/webp", "image/jpeg"}
        url = items["image/webp"].format(tileMatrix=9, tileRow=y2, tileCol=x2 - 1).removeprefix("https://map.test")
        assert client.get(url).headers["content-type"] == "image/webp"


def test_matrix_sets_are_the_published_definitions(client):
    listed = {e["id"]: e for e in client.get("/ogc/tileMatrixSets").json()["tileMatrixSets"]}
    assert set(listed) == {*SETS, *(f"CGCS2000_3GK_CM{m}" for m in (108, 111, 114, 117))}
    cgcs = client.get("/ogc/tileMatrixSets/CGCS2000Quad").json()
    assert cgcs["crs"] == "http://www.opengis.net/def/crs/EPSG/0/4490"
    assert cgcs["orderedAxes"] == ["Lat", "Lon"]
    first = cgcs["tileMatrices"][0]
    assert first["pointOfOrigin"] == [90, -180]
    assert (first["matrixWidth"], first["matrixHeight"], first["cellSize"]) == (2, 1, 0.703125)


def test_each_band_of_a_class_raster_has_its_own_colours_and_legend(store, client):
    """Code 2 of one band is a class, of another a limiting factor: `bands` of the style tells them apart."""
    reasons = [{"value": 2, "color": "#332288", "title": {"zh": "坡度", "en": "slope"}}]
    style = {
        "type": "classes",
        "band": "class",
        "classes": [{"value": 2, "color": "#fee08b", "title": T}],
        "bands": {"reason": reasons},
    }
    twos = np.full((4, 4), 2, np.uint8)
    path = write(store.settings.var_dir / "bands.tif", [twos, twos, twos], WEST, NORTH, CELL, 0)
    store.publish_raster(definition("suited", ["class", "reason", "other"], style), path)
    x, y, i, j = pixel_of("CGCS2000Quad", 9, WEST + 0.5 * CELL, NORTH - 0.5 * CELL)
    for query, colour in (("", "#fee08b"), ("?band=class", "#fee08b"), ("?band=reason", "#332288")):
        image = picture(client.get(f"/tiles/suited/CGCS2000Quad/9/{x}/{y}.png{query}"))
        assert image.getpixel((i, j)) == (*bytes.fromhex(colour[1:]), 255), query
        (entry,) = client.get(f"/tiles/suited/legend.json{query}").json()["entries"]
        assert entry["color"] == colour
    document = client.get("/tiles/suited/legend.json?band=reason").json()
    assert (document["band"], document["entries"][0]["label"]["en"]) == ("reason", "slope")
    assert client.get("/tiles/suited/legend.png?band=reason").headers["content-type"] == "image/png"
    assert client.get("/tiles/suited/legend.json?band=reasons").status_code == 400


def test_legend_addresses(client):
    document = client.get("/tiles/codes/legend.json").json()
    assert [e["color"] for e in document["entries"]] == list(COLOURS.values())
    assert document["synthetic"] is True
    response = client.get("/tiles/codes/legend.png")
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).height > 14 * 20


def test_a_missing_file_is_503_with_the_layer_and_no_path(store, client):
    path = write(store.settings.var_dir / "gone.tif", [CODES.astype(np.int16)], WEST, NORTH, CELL, -1)
    ramp = {"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 9, "color": "#ffffff"}]}
    published = store.publish_raster(definition("gone", ["v"], ramp), path)
    published.path.unlink()
    response = client.get("/tiles/gone/CGCS2000Quad/7/209/41.png")
    assert response.status_code == 503
    assert "gone" in response.json()["detail_zh"]
    assert str(published.path) not in response.text
