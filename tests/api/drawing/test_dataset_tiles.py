"""Tiles of the dataset, and matrix sets of our own."""

import pytest

RED, GREEN, NOTHING = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 0, 0)

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"


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


def test_a_map_tile_of_several_collections_shows_them_in_order(drawn, at):
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


def test_gauss_kruger_tiles_are_those_of_their_definition(drawn, at, gauss_kruger):
    definition = drawn.get("/ogc/tileMatrixSets/CGCS2000_3GK_CM114").json()
    # X and Y, as EPSG calls northing and easting, are easting and northing to every client.
    assert definition["orderedAxes"] == ["N", "E"]
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
