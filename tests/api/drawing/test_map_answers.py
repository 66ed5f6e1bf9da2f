"""Maps: sizes, scales, background, formats, caching."""

import io

import numpy as np
import pytest
from PIL import Image

MAPS = "ogcapi-maps-1/1.0"

RED, GREEN, NOTHING = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 0)

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


# --- headers, sizes, scales -----------------------------------------------------------------------------------------------


@pytest.mark.requirement(
    MAPS, "/req/core/map-response", "/req/spatial-subsetting/bbox-definition", "/req/spatial-subsetting/bbox-crs"
)
def test_the_default_crs_is_the_storage_crs_and_headers_say_so(drawn, box):
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
def test_a_map_around_a_centre(drawn, box, gauss_kruger):
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
def test_subset_is_a_bbox_by_axes(drawn, box, gauss_kruger):
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


def test_a_box_across_the_antimeridian_shows_both_sides(drawn, at, box):
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
