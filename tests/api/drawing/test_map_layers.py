"""Maps: several collections, styles, time, and what is refused."""

import pytest

MAPS = "ogcapi-maps-1/1.0"

RED, GREEN, NOTHING = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 0)

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"


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
