"""OGC API Maps: pixels by hand in every CRS, sizes and scales, background, several collections, time, what is refused."""

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


def gauss_kruger(lon, lat, meridian):
    """Easting and northing by the series of the Gauss–Krüger projection (GB/T 17798), without PROJ; to a few mm."""
    e2 = F * (2 - F)
    ep2 = e2 / (1 - e2)
    phi, dl = math.radians(lat), math.radians(lon - meridian)
    n = F / (2 - F)
    arc = A / (1 + n) * (
        (1 + n**2 / 4 + n**4 / 64) * phi
        - (3 / 2 * n - 3 / 16 * n**3) * math.sin(2 * phi)
        + (15 / 16 * n**2 - 15 / 64 * n**4) * math.sin(4 * phi)
        - 35 / 48 * n**3 * math.sin(6 * phi)
    )  # fmt: skip
    radius = A / math.sqrt(1 - e2 * math.sin(phi) ** 2)
    t, eta, m = math.tan(phi), ep2 * math.cos(phi) ** 2, dl * math.cos(phi)
    north = arc + radius * t * (
        m**2 / 2 + (5 - t**2 + 9 * eta + 4 * eta**2) * m**4 / 24 + (61 - 58 * t**2 + t**4) * m**6 / 720
    )
    east = radius * (m + (1 - t**2 + eta) * m**3 / 6 + (5 - 18 * t**2 + t**4 + 14 * eta - 58 * t**2 * eta) * m**5 / 120)
    return 500000 + east, north


def at(picture, extent, x, y):
    """Colour of the pixel that holds a place; the extent is x first."""
    west, south, east, north = extent
    height, width = picture.shape[:2]
    return tuple(picture[int((north - y) / (north - south) * height), int((x - west) / (east - west) * width)].tolist())


def box(answer):
    """Content-Bbox as numbers, in wire order."""
    return [float(v) for v in answer.headers["content-bbox"].split(",")]


def squares(lon, lat):
    """Colour of ``squares`` at a place, by the definition of the layer."""
    if not (112 < lon < 114 and 30 < lat < 31) or (113.4 < lon < 113.6 and 30.4 < lat < 30.6):
        return NOTHING
    return RED if lon < 113 else GREEN


# --- the oracle itself ----------------------------------------------------------------------------------------------------


def test_the_series_gives_the_published_arc_of_the_meridian():
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
def test_every_crs_puts_places_where_they_are(drawn, crs, bbox, order):
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
def test_gauss_kruger_is_reprojected_to_the_metre(drawn):
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
def test_cells_of_a_raster_lie_where_they_are(drawn, crs):
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
def test_a_ramp_is_linear_between_the_middles_of_cells(drawn, crs):
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


# --- headers, sizes, scales -----------------------------------------------------------------------------------------------


@pytest.mark.requirement(
    MAPS, "/req/core/map-response", "/req/spatial-subsetting/bbox-definition", "/req/spatial-subsetting/bbox-crs"
)
def test_the_default_crs_is_the_storage_crs_and_headers_say_so(drawn):
    collection = drawn.get("/ogc/collections/squares").json()
    answer = drawn.get("/ogc/collections/squares/map", params={"bbox": "112,30,113,31", "width": "50"})
    assert answer.headers["content-crs"] == f"<{collection['storageCrs']}>" == f"<{EPSG}4490>"
    assert box(answer) == [30, 112, 31, 113]  # latitude first
    answer = drawn.get("/ogc/collections/squares/map", params={"bbox": "112,30,113,31", "crs": CRS84, "width": "50"})
    assert "content-crs" not in answer.headers
    assert box(answer) == [112, 30, 113, 31]
    answer = drawn.get(
        "/ogc/collections/squares/map",
        params={"bbox": "30,112,31,113", "bbox-crs": EPSG + "4326", "crs": CRS84, "width": "50"},
    )
    assert box(answer) == [112, 30, 113, 31]


@pytest.mark.requirement(
    MAPS, "/req/scaling/width-definition", "/req/scaling/height-definition", "/req/scaling/scale-denominator-definition"
)
def test_sizes_follow_from_what_is_given(drawn):
    def size(**more):
        picture = drawn.picture("/ogc/collections/squares/map", **more)
        return picture.shape[1], picture.shape[0]

    degrees = {"bbox": "112,30,114,31", "crs": CRS84}
    assert size(**degrees, width="300", height="300") == (300, 300)
    # On the ground 2° of longitude at 30.5° N are 191.9 km, 1° of latitude 110.9 km.
    ratio = 2 * 95.96 / 110.86
    width, height = size(**degrees, width="300")
    assert width == 300
    assert height == pytest.approx(300 / ratio, abs=1)
    width, height = size(**degrees, height="300")
    assert width == pytest.approx(300 * ratio, abs=1)
    assert max(size(**degrees)) == 1024
    # 1:1,000,000 with pixels of 0.28 mm: 280 m a pixel.
    width, height = size(**degrees, scale_denominator="1000000")
    assert (width, height) == (pytest.approx(191_920 / 280, abs=2), pytest.approx(110_860 / 280, abs=2))
    width, _ = size(**degrees, scale_denominator="1000000", mm_per_pixel="0.14")
    assert width == pytest.approx(191_920 / 140, abs=3)


@pytest.mark.requirement(
    MAPS,
    "/req/spatial-subsetting/center-definition",
    "/req/spatial-subsetting/center-crs",
    "/req/spatial-subsetting/width-height",
)
def test_a_map_around_a_centre(drawn):
    query = {"center": "113,30.5", "scale-denominator": "500000", "width": "400", "height": "200", "crs": EPSG + "4547"}
    answer = drawn.get("/ogc/collections/squares/map", params=query)
    south, west, north, east = box(answer)
    # 140 m a pixel: 56 km × 28 km around the place.
    assert (east - west, north - south) == (pytest.approx(56_000), pytest.approx(28_000))
    middle = gauss_kruger(113, 30.5, 114)
    assert ((west + east) / 2, (south + north) / 2) == pytest.approx(middle, abs=0.02)
    x, y = middle
    swapped = {**query, "center": f"{y},{x}", "center-crs": EPSG + "4547"}
    assert box(drawn.get("/ogc/collections/squares/map", params=swapped)) == pytest.approx(
        [south, west, north, east], abs=0.05
    )


@pytest.mark.requirement(
    MAPS,
    "/req/spatial-subsetting/subset-definition",
    "/req/spatial-subsetting/subset-crs",
    "/req/spatial-subsetting/subset-response",
)
def test_subset_is_a_bbox_by_axes(drawn):
    path = "/ogc/collections/squares/map"
    by_box = drawn.get(path, params={"bbox": "112.5,30.2,113.5,30.8", "width": "200", "f": "png"})
    for query in (
        [("subset", "Lat(30.2:30.8),Lon(112.5:113.5)")],
        [("subset", "Lat(30.2:30.8)"), ("subset", "Lon(112.5:113.5)")],
        [("subset", "Lon(112.5:113.5),Lat(30.2:30.8)"), ("subset-crs", EPSG + "4490")],
    ):
        answer = drawn.get(path, params=[*query, ("width", "200"), ("f", "png")])
        assert answer.status_code == 200, answer.text
        assert answer.content == by_box.content
    x, y = gauss_kruger(113, 30.5, 114)
    query = {
        "subset": f"E({x - 500}:{x + 500}),N({y - 500}:{y + 500})",
        "subset-crs": EPSG + "4547",
        "crs": EPSG + "4547",
    }
    assert box(drawn.get(path, params=query)) == pytest.approx([y - 500, x - 500, y + 500, x + 500], abs=0.01)


def test_a_box_across_the_antimeridian_shows_both_sides(drawn):
    answer = drawn.get(
        "/ogc/collections/squares/map",
        params={"bbox": "100,20,-170,40", "crs": CRS84, "width": "900", "height": "200", "f": "png"},
    )
    assert box(answer) == [100, 20, -170, 40]
    picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
    extent = (100, 20, 190, 40)
    assert at(picture, extent, 112.5, 30.5) == RED
    assert at(picture, extent, 113.8, 30.5) == GREEN
    assert at(picture, extent, 179, 30.5) == NOTHING
    west = drawn.picture("/ogc/collections/codes/map", bbox="-170,20,113,40", crs=CRS84, width="566", height="40")
    assert west[..., 3].any()


# --- background, formats, caching -----------------------------------------------------------------------------------------


@pytest.mark.requirement(
    MAPS,
    "/req/background/bgcolor-definition",
    "/req/background/transparent-definition",
    "/req/background/void-color-definition",
    "/req/background/void-transparent-definition",
    "/req/background/map-success",
)
def test_background(drawn):
    path, area = (
        "/ogc/collections/squares/map",
        {"bbox": "111,30,113,31", "crs": CRS84, "width": "200", "height": "100"},
    )

    def corner(**more):
        return tuple(drawn.picture(path, **area, **more)[50, 20].tolist())

    assert corner() == NOTHING
    assert corner(bgcolor="0x102030") == (16, 32, 48, 255)
    assert corner(bgcolor="#102030") == (16, 32, 48, 255)
    assert corner(bgcolor="LightBlue") == (173, 216, 230, 255)
    assert corner(transparent="false") == (255, 255, 255, 255)
    assert corner(bgcolor="0x102030", transparent="true")[3] == 0
    assert tuple(drawn.picture(path, **area, bgcolor="red")[50, 150].tolist()) == RED
    # Web Mercator 1,000 km beyond the antimeridian is no place on the map.
    beyond = {"crs": EPSG + "3857", "bbox-crs": EPSG + "3857", "bbox": "19037508,0,21037508,1000000", "width": "200"}
    answer = drawn.get(path, params={**beyond, "bgcolor": "white", "void-color": "black", "f": "png"})
    row = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[10]
    assert row[10].tolist() == [255, 255, 255, 255]
    assert row[190].tolist() == [0, 0, 0, 255]
    answer = drawn.get(path, params={**beyond, "bgcolor": "white", "void-transparent": "true", "f": "png"})
    row = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[10]
    assert (row[10, 3], row[190, 3]) == (255, 0)


@pytest.mark.requirement(MAPS, "/req/png/content", "/req/jpeg/content")
def test_formats_by_parameter_and_by_accept(drawn):
    path, area = "/ogc/collections/codes/map", {"bbox": "112,30,114,32", "width": "64", "height": "64"}
    kinds = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg"}
    for name, kind in kinds.items():
        for answer in (
            drawn.get(path, params={**area, "f": name}),
            drawn.get(path, params=area, headers={"Accept": f"{kind},image/*;q=0.1"}),
        ):
            assert answer.headers["content-type"] == kind
            assert "Accept" in answer.headers["vary"]
            picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))[..., :3]
            assert np.abs(picture[8, 8].astype(int) - drawn.codes[0]).max() <= 6
    # JPEG has no transparency: its ground is white.
    answer = drawn.get("/ogc/collections/squares/map", params={"bbox": "100,20,101,21", "f": "jpeg", "width": "16"})
    assert np.asarray(Image.open(io.BytesIO(answer.content))).min() == 255
    assert drawn.get(path, headers={"Accept": "application/pdf"}).status_code == 406


def test_an_unchanged_map_is_304_and_another_style_or_size_is_not(drawn):
    path = "/ogc/collections/codes/map"
    first = drawn.get(path, params={"width": "50"})
    tag = first.headers["etag"]
    assert drawn.get(path, params={"width": "50"}, headers={"If-None-Match": tag}).status_code == 304
    assert drawn.get(path, params={"width": "51"}, headers={"If-None-Match": tag}).status_code == 200
    other = drawn.get("/ogc/collections/codes/styles/other/map", params={"width": "50"}, headers={"If-None-Match": tag})
    assert other.status_code == 200


def test_a_synthetic_layer_bears_its_mark_and_only_where_it_is_drawn(drawn):
    area = {"bbox": "112,30,114,32", "crs": CRS84, "width": "400", "height": "400"}
    marked = drawn.picture("/ogc/collections/made/map", **area)
    plain = (marked == (255, 255, 0, 255)).all(axis=-1)
    assert 0.5 < plain.mean() < 0.97
    # The middle of the picture lies in a mark, whatever its size.
    for size in (400, 120, 64):
        small = drawn.picture("/ogc/collections/made/map", **(area | {"width": str(size), "height": str(size)}))
        middle = small[size // 2 - size // 8 : size // 2 + size // 8, size // 4 : -size // 4]
        assert not (middle == (255, 255, 0, 255)).all()
    assert (drawn.picture("/ogc/collections/squares/map", **area)[250:, :190] == RED).all()
    # A tile shows one whole mark and no ends of others, which would be cut at its edges.
    tile = drawn.picture("/ogc/collections/made/map", **(area | {"width": "256", "height": "256"}))
    assert (tile[[*range(20), *range(-20, 0)]] == (255, 255, 0, 255)).all()
    away = drawn.picture("/ogc/map", collections="squares,made", bbox="100,20,101,21", width="300", height="300")
    assert not away.any()
    together = drawn.picture("/ogc/map", collections="made,squares", **area)
    assert not (together[250:, :190] == RED).all()  # the mark is above everything


# --- several collections, styles, time ------------------------------------------------------------------------------------


@pytest.mark.requirement(
    MAPS,
    "/req/dataset-map/operation",
    "/req/dataset-map/landingpage",
    "/req/dataset-map/desc-crs",
    "/req/dataset-map/desc-extent",
    "/req/collection-map/desc-crs",
    "/req/collections-selection/collections-parameter",
    "/req/collections-selection/collections-response",
)
def test_the_first_collection_lies_at_the_bottom(drawn):
    area = {"bbox": "112,30,113,31", "crs": CRS84, "width": "100", "height": "100"}
    over = drawn.picture("/ogc/map", collections="codes,squares", **area)
    under = drawn.picture("/ogc/map", collections="squares,codes", **area)
    assert (over[2:-2, 2:-2] == RED).all()
    assert tuple(under[75, 25].tolist()) == (*drawn.codes[12], 255)
    full = drawn.picture("/ogc/map", collections="http://onemap.test/ogc/collections/codes,squares", **area)
    assert (full == over).all()
    alone = drawn.picture("/ogc/map", **area)  # the base map: vector layers that are not synthetic
    assert (alone[20:80, 20:80] == RED).all()
    landing = drawn.get("/ogc").json()
    links = [link for link in landing["links"] if link["rel"].endswith("/map")]
    assert links[0]["href"] == "http://onemap.test/ogc/map"
    assert landing["extent"]["spatial"]["bbox"] == [[112, 29, 114, 32]]
    assert landing["extent"]["spatial"]["storageCrsBbox"] == [[29, 112, 32, 114]]
    assert landing["storageCrs"] in landing["crs"]
    for name in ("squares", "codes"):
        found = drawn.get(f"/ogc/collections/{name}").json()
        west, south, east, north = found["extent"]["spatial"]["bbox"][0]
        assert found["extent"]["spatial"]["storageCrsBbox"] == [[south, west, north, east]]
        assert found["storageCrs"] in found["crs"]


@pytest.mark.requirement(
    MAPS, "/req/styled-map/map-operation", "/req/styled-map/desc-links", "/req/collection-map/desc-links"
)
def test_styled_maps(drawn):
    area = {"bbox": "112,30,114,32", "crs": CRS84, "width": "80", "height": "80"}
    default = drawn.picture("/ogc/collections/codes/map", **area)
    assert (drawn.picture("/ogc/collections/codes/styles/default/map", **area) == default).all()
    assert (drawn.picture("/ogc/styles/codes/map", **area) == default).all()
    other = drawn.picture("/ogc/collections/codes/styles/other/map", **area)
    assert (other == (0x12, 0x34, 0x56, 255)).all()
    for path in ("/ogc/styles", "/ogc/collections/codes/styles"):
        for style in drawn.get(path).json()["styles"]:
            [link] = [v for v in style["links"] if v["rel"].endswith("/map")]
            assert drawn.get(link["href"], params={"width": "8", "height": "8"}).status_code == 200
    assert drawn.get("/ogc/collections/codes/styles/none/map").status_code == 404
    rels = {link["rel"] for link in drawn.get("/ogc/collections/codes").json()["links"]}
    assert {"http://www.opengis.net/def/rel/ogc/1.0/map", "http://www.opengis.net/def/rel/ogc/1.0/styles"} <= rels


@pytest.mark.requirement(
    MAPS,
    "/req/datetime/datetime-definition",
    "/req/datetime/datetime-response",
    "/req/datetime/map-success",
    "/req/datetime/axis",
    "/req/datetime/subset-definition",
    "/req/datetime/subset-response",
)
def test_time_chooses_features_and_the_header_says_which(drawn):
    path, area = "/ogc/collections/dots/map", {"bbox": "112,29,114,30", "crs": CRS84, "width": "200", "height": "100"}

    def shown(**more):
        picture = drawn.picture(path, **area, **more)
        return [bool(picture[50, x, 3]) for x in (50, 100, 150)]

    assert shown() == [True, True, True]
    assert shown(datetime="2024-07-01T00:00:00Z")[0::2] == [True, False]
    assert shown(datetime="2024-07-15T00:00:00Z/..")[0::2] == [False, True]
    assert shown(datetime="../2024-07")[0::2] == [True, False]
    assert shown(subset='time("2024-08-01T00:00:00Z")')[0::2] == [False, True]
    assert shown(subset='time(*:"2024-07-31")')[0::2] == [True, False]
    assert shown(subset="time(*)")[0::2] == [False, True]
    # A layer without time matches every time.
    one = drawn.picture("/ogc/collections/squares/map", bbox="112,30,113,31", datetime="1999-01-01", width="10")
    assert (one[2:-2, 2:-2] == RED).all()
    assert (
        drawn.get(path, params={"width": "9"}).headers["content-datetime"]
        == "2024-07-01T00:00:00Z/2024-08-01T00:00:00Z"
    )
    part = drawn.get(path, params={"datetime": "2024-07-15T00:00:00Z/..", "width": "9"})
    assert part.headers["content-datetime"] == "2024-07-15T00:00:00Z/2024-08-01T00:00:00Z"


# --- what is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("width=0", "width"),
        ("width=1.5", "width"),
        ("width=9000", "width"),
        ("width=4000&height=4000", "width"),
        ("height=-1", "height"),
        ("height=", "height"),
        ("bbox=112,30,113", "bbox"),
        ("bbox=112,30,nan,31", "bbox"),
        ("bbox=112,30,112,31", "bbox"),
        ("bbox=112,31,113,30", "bbox"),
        ("bbox=30,112,31,113", "bbox"),
        ("bbox=112,30,113,31&bbox-crs=EPSG:9999", "bbox-crs"),
        ("bbox=112,30,113,31&scale-denominator=1000&width=10", "scale-denominator"),
        ("bbox=112,30,113,31&scale-denominator=1", "width"),
        ("bbox=112,30,113,31&center=113,30", "bbox"),
        ("bbox=112,30,113,31&subset=Lat(30:31),Lon(112:113)", "bbox"),
        ("center=113,30&subset=Lat(30:31),Lon(112:113)", "center"),
        ("center=30,113,1", "center"),
        ("center=30.5,113", "center"),
        ("bbox=170,30,-170,31&crs=EPSG:4547", "bbox"),
        ("scale-denominator=0", "scale-denominator"),
        ("scale-denominator=-5", "scale-denominator"),
        ("scale-denominator=1e12", "scale-denominator"),
        ("mm-per-pixel=0", "mm-per-pixel"),
        ("crs=EPSG:32649", "crs"),
        ("subset=Lat(30:31)", "subset"),
        ("subset=E(1:2),N(1:2)", "subset"),
        ("subset=Lat(30:31),Lat(30:31)", "subset"),
        ("subset=Lat[30:31]", "subset"),
        ("subset=time(yesterday)", "subset"),
        ('subset=time("2024-01-01")&datetime=2024-01-01', "datetime"),
        ("datetime=yesterday", "datetime"),
        ("datetime=2024-08-01/2024-07-01", "datetime"),
        ("bgcolor=nocolour", "bgcolor"),
        ("bgcolor=0x12345", "bgcolor"),
        ("transparent=yes", "transparent"),
        ("f=gif", "f"),
        ("widht=100", "widht"),
        ("width=100&width=200", "width"),
    ],
)
def test_bad_requests_name_the_parameter(drawn, query, parameter):
    answer = drawn.get(f"/ogc/collections/squares/map?{query}")
    assert answer.status_code == 400, (answer.status_code, answer.headers["content-type"])
    problem = answer.json()
    assert problem["parameter"] == parameter
    assert problem["detail_zh"] != problem["detail_en"]


def test_what_is_not_there(drawn):
    assert drawn.get("/ogc/collections/none/map").status_code == 404
    assert drawn.get("/ogc/map?collections=none").status_code == 404
    assert drawn.get("/ogc/collections/squares/map?subset=Lat(91:95),Lon(1:2)").status_code == 404
    assert drawn.get("/ogc/collections/squares/map?version=9").status_code == 404
    for text in ("", "squares,,codes", "squares,squares", ",".join(f"x{i}" for i in range(30))):
        assert drawn.get("/ogc/map", params={"collections": text}).status_code == 400, text
    out = drawn.picture("/ogc/collections/squares/map", bbox="10,50,11,51", width="20")
    assert not out.any()  # beyond the data there is nothing, and that is no error


@pytest.mark.requirement(
    MAPS, "/req/core/conformance-success", "/req/api-operations/completeness", "/req/api-operations/operation-id"
)
def test_the_documents_name_the_maps(drawn, describing):
    declared = drawn.get("/ogc/conformance").json()["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-maps-1/1.0/conf/core" in declared
    document = drawn.get("/ogc/openapi").json()
    assert describing(document, "/collections/squares/map")["get"]["operationId"].endswith(".getMap")
    assert not describing(document, "/collections/nothing/map")
    assert "/map" in document["paths"]
    assert "get" in describing(document, "/collections/codes/styles/default/map")


# --- tiles of the dataset, and our own matrix sets ------------------------------------------------------------------------

TILES = "ogcapi-tiles-1/1.0"


@pytest.mark.requirement(
    TILES,
    "/req/dataset-tilesets/landingpage",
    "/req/dataset-tilesets/operation",
    "/req/collections-selection/query-collections",
    "/req/collections-selection/collections-response",
    "/req/tileset/description",
    "/req/tilesets-list/tileset-links",
)
def test_dataset_tilesets_lead_to_their_tiles(drawn):
    import mapbox_vector_tile

    links = drawn.get("/ogc").json()["links"]
    for kind, media in (("vector", "application/vnd.mapbox-vector-tile"), ("map", "image/png")):
        [start] = [v["href"] for v in links if v["rel"].endswith(f"tilesets-{kind}")]
        listed = drawn.get(start, params={"collections": "squares,road"}).json()
        assert len(listed["tilesets"]) == (3 if kind == "vector" else 7)
        for one in listed["tilesets"]:
            [own] = [v["href"] for v in one["links"] if v["rel"] == "self"]
            document = drawn.get(own).json()
            assert [v["id"] for v in document["layers"]] == ["squares", "road"]
            assert document["boundingBox"]["lowerLeft"] == [112, 30]
            [scheme] = [v["href"] for v in document["links"] if v["rel"].endswith("tiling-scheme")]
            definition = drawn.get(scheme).json()
            limit = document["tileMatrixSetLimits"][3]
            assert definition["tileMatrices"][3]["id"] == limit["tileMatrix"]
            item = next(v for v in document["links"] if v["rel"] == "item")
            assert item["templated"] is True
            address = item["href"].replace("{tileMatrix}", "3")
            address = address.replace("{tileRow}", str(limit["minTileRow"])).replace(
                "{tileCol}", str(limit["minTileCol"])
            )
            answer = drawn.get(address)
            assert answer.status_code == 200, address
            assert answer.headers["content-type"] == media
            if kind == "vector":
                assert list(mapbox_vector_tile.decode(answer.content)) == ["squares", "road"]
    outside = drawn.get("/ogc/tiles/WebMercatorQuad/10/0/0?collections=squares")
    assert outside.status_code == 404, "outside the limits that the tile set tells (20-057, /req/core/tc-error)"
    assert drawn.get("/ogc/tiles/WebMercatorQuad/2/9/0?collections=squares").status_code == 404
    assert drawn.get("/ogc/tiles/None/2/0/0?collections=squares").status_code == 404
    assert drawn.get("/ogc/tiles/WebMercatorQuad/2/0/0?collections=codes").status_code == 404
    assert drawn.get("/ogc/tiles/CGCS2000_3GK_CM114/2/0/0?collections=squares").status_code == 404


def test_a_map_tile_of_several_collections_shows_them_in_order(drawn):
    side = 180 / 2**6
    col, row = int((113 + 180) / side), int((90 - 30.5) / side)
    west, north = -180 + col * side, 90 - row * side
    picture = drawn.picture(
        f"/ogc/map/tiles/WorldCRS84Quad/6/{row}/{col}", collections="codes,squares", bgcolor="black"
    )
    extent = (west, north - side, west + side, north)
    assert picture.shape == (256, 256, 4)
    assert at(picture, extent, 112.95, 30.5) == RED
    # The hole of the second square shows the code of the third row, third column beneath it.
    assert at(picture, extent, 113.49, 30.51) == (*drawn.codes[4 * 2 + 2], 255)
    assert at(picture, extent, 113.05, 30.5) == GREEN
    assert at(picture, extent, 114.5, 30.5) == (0, 0, 0, 255)


def test_gauss_kruger_tiles_are_those_of_their_definition(drawn):
    definition = drawn.get("/ogc/tileMatrixSets/CGCS2000_3GK_CM114").json()
    assert definition["crs"] == EPSG + "4547"
    matrix = definition["tileMatrices"][4]
    assert matrix["scaleDenominator"] == 500_000
    assert matrix["cellSize"] == 140
    top, left = matrix["pointOfOrigin"]  # northing, easting
    side = matrix["cellSize"] * 256
    for lon, lat, colour in ((112.9, 30.5, RED), (113.1, 30.5, GREEN), (113.5, 30.5, NOTHING), (113.99, 30.01, GREEN)):
        x, y = gauss_kruger(lon, lat, 114)
        col, row = int((x - left) / side), int((top - y) / side)
        extent = (left + col * side, top - (row + 1) * side, left + (col + 1) * side, top - row * side)
        for path in ("/ogc/collections/squares/map/tiles", "/ogc/map/tiles"):
            query = {"collections": "squares"} if path == "/ogc/map/tiles" else {}
            picture = drawn.picture(f"{path}/CGCS2000_3GK_CM114/4/{row}/{col}", **query)
            assert at(picture, extent, x, y) == colour, (lon, lat, path)
    ids = [s["id"] for s in drawn.get("/ogc/tileMatrixSets").json()["tileMatrixSets"]]
    assert {"CGCS2000_3GK_CM108", "CGCS2000_3GK_CM111", "CGCS2000_3GK_CM114", "CGCS2000_3GK_CM117"} <= set(ids)
    assert drawn.get("/ogc/collections/squares/map/tiles/CGCS2000_3GK_CM114/4/9999/0").status_code == 404
    document = drawn.get("/ogc/collections/squares/map/tiles/CGCS2000_3GK_CM114").json()
    assert document["style"]["links"][0]["href"].endswith("/ogc/collections/squares/styles/default?f=mapbox")
