"""Maps: what a pixel shows lies where it is, in every CRS."""

import asyncio
import io
import math
import time

import numpy as np
import pytest
from PIL import Image

MAPS = "ogcapi-maps-1/1.0"

RED, GREEN, NOTHING = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 0)

A, F = 6378137.0, 1 / 298.257222101

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


# --- the oracle itself ----------------------------------------------------------------------------------------------------


def test_the_series_gives_the_published_arc_of_the_meridian(gauss_kruger):
    east, north = gauss_kruger(114, 30, 114)
    assert east == 500000
    assert north == pytest.approx(3320113.398, abs=0.01)  # meridian arc of 30° on this ellipsoid


# --- pixels ---------------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(MAPS, "/req/core/map-op", "/req/collection-map/map-operation", "/req/crs/map-success")
@pytest.mark.requirement(MAPS, "/req/spatial-subsetting/map-success")
@pytest.mark.parametrize(
    ("crs", "bbox", "order"),
    [
        (CRS84, "111.5,29.5,114.5,31.5", "xy"),
        (EPSG + "4326", "29.5,111.5,31.5,114.5", "yx"),
        (EPSG + "4490", "29.5,111.5,31.5,114.5", "yx"),
        ("[EPSG:4490]", "29.5,111.5,31.5,114.5", "yx"),
        (EPSG + "3857", "12412123,3440000,12746080,3695000", "xy"),
        (EPSG + "4547", "3260000,250000,3490000,560000", "yx"),
        (EPSG + "4546", "3260000,530000,3490000,850000", "yx"),
        (EPSG + "4526", "3260000,38250000,3490000,38560000", "yx"),
    ],
)
def test_every_crs_puts_places_where_they_are(drawn, crs, bbox, order, at, gauss_kruger, squares):
    values = [float(v) for v in bbox.split(",")]
    extent = values if order == "xy" else [values[1], values[0], values[3], values[2]]
    picture = drawn.picture("/ogc/collections/squares/map", crs=crs, bbox=bbox, bbox_crs=crs, width="600", height="450")
    assert picture.shape == (450, 600, 4)

    def place(lon, lat):
        if crs.endswith("3857"):
            return math.radians(lon) * A, math.asinh(math.tan(math.radians(lat))) * A
        if "45" in crs[-4:-1] and not crs.endswith("4490]"):
            east, north = gauss_kruger(lon, lat, 111 if crs.endswith("4546") else 114)
            return east + (38_000_000 if crs.endswith("4526") else 0), north
        return lon, lat

    step = 0.012  # degrees: two pixels of the coarsest map
    for lon in (112, 112.5, 113, 113.4, 113.5, 113.6, 114):
        for lat in (30, 30.4, 30.5, 30.6, 31):
            for dx, dy in ((-step, -step), (step, -step), (-step, step), (step, step)):
                expected = squares(lon + dx, lat + dy)
                assert at(picture, extent, *place(lon + dx, lat + dy)) == expected, (lon + dx, lat + dy)


@pytest.mark.requirement(MAPS, "/req/crs/map-success")
def test_gauss_kruger_is_reprojected_to_the_metre(drawn, gauss_kruger):
    # The north edge of the squares is a parallel: in the grid it bends by 150 m between 113° and 114° E.
    east, north = gauss_kruger(113, 31, 114)
    _, on_meridian = gauss_kruger(114, 31, 114)
    assert 400 < north - on_meridian < 450
    for x, y in ((east + 30, north), (499_990, on_meridian)):
        bbox = f"{y - 50},{x - 50},{y + 50},{x + 50}"
        picture = drawn.picture(
            "/ogc/collections/squares/map",
            crs=EPSG + "4547",
            bbox=bbox,
            bbox_crs=EPSG + "4547",
            width="100",
            height="100",
        )
        column = 50 if x > 499_000 else 80
        column = 40 if x > 499_000 else column
        green = np.flatnonzero(picture[:, column, 1] == 255)
        assert abs(green[0] - 50) <= 1  # a pixel is a metre
        assert len(green) == 100 - green[0]


@pytest.mark.parametrize("crs", ["4490", "3857", "4547", "4545"])
def test_cells_of_a_raster_lie_where_they_are(drawn, crs, at, box, gauss_kruger):
    uri = EPSG + crs
    answer = drawn.get(
        "/ogc/collections/codes/map",
        params={"crs": uri, "bbox": "111.9,29.9,114.1,32.1", "width": "800", "height": "800", "f": "png"},
    )
    picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    wire = box(answer)
    extent = wire if crs == "3857" else [wire[1], wire[0], wire[3], wire[2]]
    for row in range(4):
        for col in range(4):
            for dx, dy in ((0.01, -0.01), (0.49, -0.49), (0.25, -0.25)):
                lon, lat = 112 + 0.5 * col + dx, 32 - 0.5 * row + dy
                x, y = lon, lat
                if crs == "3857":
                    x, y = math.radians(lon) * A, math.asinh(math.tan(math.radians(lat))) * A
                elif crs != "4490":
                    x, y = gauss_kruger(lon, lat, {"4547": 114, "4545": 108}[crs])
                assert at(picture, extent, x, y) == (*drawn.codes[4 * row + col], 255), (lon, lat)


@pytest.mark.parametrize("crs", ["4490", "4547"])
def test_a_ramp_is_linear_between_the_middles_of_cells(drawn, crs, at, box, gauss_kruger):
    answer = drawn.get(
        "/ogc/collections/height/map",
        params={"crs": EPSG + crs, "bbox": "112,30.5,114,31.5", "width": "500", "height": "250", "f": "png"},
    )
    picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    south, west, north, east = box(answer)
    for lon in (112.3, 112.77, 113.0, 113.5):
        x, y = (lon, 31) if crs == "4490" else gauss_kruger(lon, 31, 114)
        grey = at(picture, (west, south, east, north), x, y)[0]
        assert abs(grey - 255 * 500 * (lon - 112) / 1000) <= 2


def test_lines_and_points_have_their_width_and_radius(drawn):
    # 100 pixels a degree: the road is 4 pixels high, a dot 12 pixels wide.
    picture = drawn.picture(
        "/ogc/map", collections="road,dots", bbox="112,29,114,32", crs=CRS84, width="200", height="300"
    )
    assert (picture[:, 100, 2] == 255).sum() == 4
    dot = np.flatnonzero(picture[250, :80, 3] > 127)
    assert abs(len(dot) - 12) <= 1
    assert abs(dot.mean() - 49.5) <= 0.5


@pytest.mark.requirement(MAPS, "/req/display-resolution/map-success", "/req/display-resolution/mm-per-pixel-definition")
def test_finer_pixels_make_symbols_of_the_same_size_in_millimetres(drawn):
    area = {"bbox": "112,31,114,32", "crs": CRS84, "width": "200", "height": "100"}
    assert (drawn.picture("/ogc/collections/road/map", **area)[:, 100, 2] == 255).sum() == 4
    assert (drawn.picture("/ogc/collections/road/map", mm_per_pixel="0.14", **area)[:, 100, 2] == 255).sum() == 8


def test_a_large_map_is_the_same_as_its_strips_and_has_no_seams(drawn):
    whole = drawn.picture(
        "/ogc/map", collections="codes,squares,road", bbox="112,30,114,32", crs=CRS84, width="1000", height="1000"
    )
    assert (whole[..., 3] == 255).all()
    # The strips end every 262 rows; a row there looks like its neighbours where nothing changes.
    for row in (260, 261, 262, 263, 523, 524):
        if row < 500:
            assert tuple(whole[row, 900].tolist()) == (*drawn.codes[4 * (row // 250) + 3], 255)
        else:
            assert tuple(whole[row, 900].tolist()) == GREEN


def test_a_map_whose_client_left_is_not_drawn_to_its_end(drawn, monkeypatch):
    """Six maps of eight megapixels that nobody waits for held the two threads, and with them every map, for a minute."""
    from tiles.maps import picture
    from tiles.maps.request import read_map
    from tiles.raster import TilePool

    strips = []

    def slow(*_):
        strips.append(time.perf_counter())
        time.sleep(0.03)

    monkeypatch.setattr(picture, "raster_colours", slow)
    layer = picture.MapLayer(drawn.datastore.snapshot().published("codes"))
    wanted = read_map({"width": "4000", "height": "2000", "bbox": "112,30,114,31"}, (112, 30, 114, 32))

    async def leave():
        pool = TilePool(1)
        drawing = asyncio.create_task(picture.drawn_map(drawn.datastore, pool, [layer], wanted, "png"))
        while len(strips) < 2:
            await asyncio.sleep(0.005)
        drawing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drawing
        return await pool.run(lambda: len(strips))

    assert asyncio.run(leave()) <= 5  # of 31


def test_a_small_scale_reads_the_generalised_table(drawn, monkeypatch):
    seen = []
    store = drawn.datastore.vectors
    plain = type(store).ashapes

    async def watched(self, table, query, *, zoom, most):
        rows = await plain(self, table, query, zoom=zoom, most=most)
        seen.append((zoom, len(rows)))
        return rows

    monkeypatch.setattr(type(store), "ashapes", watched)
    far = drawn.picture("/ogc/collections/specks/map", bbox="110,28,114,31", crs=CRS84, width="400", height="300")
    near = drawn.picture(
        "/ogc/collections/specks/map", bbox="112.0,29.0,112.01,29.01", crs=CRS84, width="400", height="400"
    )
    (far_zoom, few), (near_zoom, some) = seen
    assert far_zoom < 9 < near_zoom
    assert few < 1000  # of 2,116
    # 0.18° × 0.18°, a quarter of it covered: colour on 18 × 18 pixels, and nowhere else.
    assert 80 <= far[..., 3].sum() / 255 <= 400
    assert not far[:180].any()
    assert not far[:, 240:].any()
    assert 9 <= some <= 16
    # 0.006° of 0.01° along each side; the pen may add half a pixel to each edge.
    assert 0.35 <= (near[..., 3] > 0).mean() <= 0.38
