"""Vector tiles over HTTP on both stores: a known point at the right place, the same bytes from every address."""

import io
import json
import math

import geopandas
import mapbox_vector_tile
import pytest
import shapely
from PIL import Image
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.testclient import TestClient

import tiles
from spatial.catalog import Attribute, Layer, Source
from spatial.errors import SpatialError
from spatial.settings import PROJECT_ROOT
from spatial.store.datastore import DataStore

T = {"zh": "试", "en": "test"}
SETS = ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad"]
DEEPEST = {"WebMercatorQuad": 24, "WorldCRS84Quad": 23, "CGCS2000Quad": 20}
WUHAN = (114.3, 30.6)


def definition(layer_id, fields, **more):
    source = Source(uri="x.gpkg", version="1", sha256="0" * 64, licence="CC0-1.0", attribution=T, origin="test")
    style = {"type": "single", "fill": "#ff0000"}
    given = tuple(Attribute(name=n, type=t, title=T, unit=u) for n, t, u in fields)
    parts = {"title": T, "description": T, "theme": ("base", "places"), "kind": "vector", "source": source}
    return Layer(id=layer_id, fields=given, style=style, **parts, **more)


@pytest.fixture(scope="module")
def store(store_settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vector-tiles")
    (folder / "layers").mkdir()
    (folder / "layers" / "themes.yml").write_text((PROJECT_ROOT / "layers" / "themes.yml").read_text("utf-8"), "utf-8")
    update = {"var_dir": folder / "var", "layers_dir": folder / "layers", "public_url": "https://map.test"}
    update["grades"] = ("公开", "内部")
    if store_settings.store == "postgis":
        update["postgis_schema"] = f"{store_settings.postgis_schema}_tiles"
    settings = store_settings.model_copy(update=update)
    settings.var_dir.mkdir()
    datastore = DataStore.open(settings)
    towns = geopandas.GeoDataFrame(
        {"name": ["武汉", "宜昌"], "people": [13_000_000, 4_000_000], "code": ["420100", "420500"]},
        geometry=[shapely.Point(WUHAN), shapely.Point(111.29, 30.69)],
        crs=4490,
        index=[7, 9],
    )
    fields = [("name", "string", None), ("people", "integer", "人"), ("code", "string", None)]
    datastore.publish_vector(definition("towns", fields, tile_fields=("name", "people")), towns)
    ring = shapely.box(113.0, 30.0, 115.0, 31.0) - shapely.box(113.9, 30.4, 114.1, 30.6)
    zones = geopandas.GeoDataFrame({"name": ["甲"]}, geometry=[ring], crs=4490, index=[1])
    datastore.publish_vector(definition("zones", [("name", "string", None)], grade="内部"), zones)
    yield datastore
    datastore.close()


@pytest.fixture(scope="module")
def client(store):
    async def problem(request, error):
        return JSONResponse(error.problem(), error.problem()["status"], media_type="application/problem+json")

    app = Starlette(routes=tiles.routes(store), exception_handlers={SpatialError: problem})
    with TestClient(app) as one_loop:  # one event loop for all requests, as a server has
        yield one_loop


def place(tms, z, lon, lat):
    """Column, row, and position inside the tile in 1/4096: the textbook formulas, not the code under test."""
    if tms == "WebMercatorQuad":
        phi = math.radians(lat)
        x = (lon + 180) / 360 * 2**z
        y = (1 - math.log(math.tan(phi) + 1 / math.cos(phi)) / math.pi) / 2 * 2**z
    else:
        degrees = 180 / 2**z
        x, y = (lon + 180) / degrees, (90 - lat) / degrees
    return int(x), int(y), x % 1 * 4096, y % 1 * 4096


def decode(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    return mapbox_vector_tile.decode(response.content, default_options={"y_coord_down": True})


@pytest.mark.requirement("ogcapi-tiles-1/1.0", "/req/core/tc-success", "/req/mvt/content")
@pytest.mark.parametrize("tms", SETS)
@pytest.mark.parametrize("z", [0, 5, 8, 12, 16, 20])
def test_wuhan_is_where_it_is(client, tms, z):
    x, y, i, j = place(tms, z, *WUHAN)
    decoded = decode(client.get(f"/tiles/towns/{tms}/{z}/{x}/{y}.mvt"))
    assert list(decoded) == ["towns"]
    layer = decoded["towns"]
    assert layer["extent"] == 4096
    found = {f["id"]: f for f in layer["features"]}
    column, row = found[7]["geometry"]["coordinates"]
    assert abs(column - i) <= 1
    assert abs(row - j) <= 1
    assert found[7]["properties"] == {"name": "武汉", "people": 13_000_000}


@pytest.mark.parametrize("tms", SETS)
def test_overzoom_is_served_to_the_end_of_the_matrix(client, tms):
    z = DEEPEST[tms]
    x, y, _, _ = place(tms, z, *WUHAN)
    assert client.get(f"/tiles/towns/{tms}/{z}/{x}/{y}.mvt").status_code == 200
    assert client.get(f"/tiles/towns/{tms}/{z + 1}/{2 * x}/{2 * y}.mvt").status_code == 404


@pytest.mark.requirement(
    "ogcapi-tiles-1/1.0",
    "/req/core/tc-op",
    "/req/core/tc-tilecol-definition",
    "/req/core/tc-tilerow-definition",
    "/req/core/tc-tilematrix-definition",
)
@pytest.mark.parametrize("tms", SETS)
def test_ogc_address_is_row_then_column_and_gives_the_same_bytes(client, tms):
    x, y, _, _ = place(tms, 9, *WUHAN)
    plain = client.get(f"/tiles/towns/{tms}/9/{x}/{y}.mvt")
    for path in (
        f"/ogc/collections/towns/tiles/{tms}/9/{y}/{x}",
        f"/ogc/collections/towns/tiles/{tms}/9/{y}/{x}?f=mvt",
        f"/tiles/towns/{tms}/9/{x}/{y}.pbf",
    ):
        other = client.get(path)
        assert other.content == plain.content
        assert other.headers["etag"] == plain.headers["etag"]
    assert client.get(f"/ogc/collections/towns/tiles/{tms}/9/{x}/{y}").status_code in {204, 404}


@pytest.mark.requirement("ogcapi-tiles-1/1.0", "/req/core/tc-error", "/req/core/tc-success")
@pytest.mark.parametrize("tms", SETS)
def test_nothing_there_is_204_and_outside_is_404(client, tms):
    x, y, _, _ = place(tms, 9, 112.8, 30.6)  # between the towns, inside the layer's extent
    empty = client.get(f"/tiles/towns/{tms}/9/{x}/{y}.mvt")
    assert (empty.status_code, empty.content) == (204, b"")
    assert client.get(f"/tiles/towns/{tms}/9/0/0.mvt").status_code == 204
    for wrong in (f"9/{2**11}/0", f"9/0/{2**9}", "25/0/0", "9/x/0", "9/-1/0"):
        assert client.get(f"/tiles/towns/{tms}/{wrong}.mvt").status_code == 404


def test_a_feature_is_not_lost_at_the_border_of_the_layer(client):
    """Tiles that only touch the extent, or hold it by their buffer, agree with their neighbours."""
    for tms in SETS:
        x, y, _, _ = place(tms, 12, 115.0, 30.5)
        for column in (x - 1, x):
            assert client.get(f"/tiles/zones/{tms}/12/{column}/{y}.mvt").status_code == 200


def test_a_polygon_keeps_its_hole(client):
    x, y, i, j = place("CGCS2000Quad", 6, 114.0, 30.5)
    layer = decode(client.get(f"/tiles/zones/CGCS2000Quad/6/{x}/{y}.mvt"))["zones"]
    shapes = [shapely.geometry.shape(f["geometry"]) for f in layer["features"]]
    assert not any(s.contains(shapely.Point(i, j)) for s in shapes)
    _, _, i, j = place("CGCS2000Quad", 6, 113.8, 30.5)
    assert any(s.contains(shapely.Point(i, j)) for s in shapes)


def test_304_before_the_store_is_asked(store, client, monkeypatch):
    path = "/tiles/towns/CGCS2000Quad/9/837/168.mvt"
    first = client.get(path)
    assert first.status_code == 200

    async def asked(*_):
        pytest.fail("the store was asked")

    monkeypatch.setattr(store.vectors, "atile", asked)
    again = client.get(path, headers={"if-none-match": f"W/{first.headers['etag']}"})
    assert (again.status_code, again.content) == (304, b"")
    assert "max-age=60" in again.headers["cache-control"]
    pinned = client.get(f"{path}?version=1", headers={"if-none-match": first.headers["etag"]})
    assert pinned.status_code == 304
    assert pinned.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_layers_that_are_not_public_are_not_kept_by_shared_caches(client):
    x, y, _, _ = place("CGCS2000Quad", 9, 113.5, 30.5)
    response = client.get(f"/tiles/zones/CGCS2000Quad/9/{x}/{y}.mvt")
    assert response.headers["cache-control"].startswith("private")


def test_a_new_version_changes_tag_and_bytes_and_the_old_one_stays(store, client):
    path = "/tiles/moving/CGCS2000Quad/9/837/168.mvt"
    layer = definition("moving", [("name", "string", None)])
    first = geopandas.GeoDataFrame({"name": ["旧"]}, geometry=[shapely.Point(WUHAN)], crs=4490, index=[1])
    store.publish_vector(layer, first)
    old = client.get(path)
    newer = layer.model_copy(update={"source": layer.source.model_copy(update={"version": "2"})})
    store.publish_vector(newer, first.assign(name="新"))
    new = client.get(path, headers={"if-none-match": old.headers["etag"]})
    assert decode(new)["moving"]["features"][0]["properties"] == {"name": "新"}
    assert client.get(f"{path}?version=1").content == old.content
    missing = client.get(f"{path}?version=3")
    assert missing.status_code == 404
    assert missing.json()["allowed"] == ["2", "1"]


@pytest.mark.requirement("ogcapi-tiles-1/1.0", "/req/core/tc-error")
@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/tiles/town/CGCS2000Quad/9/837/168.mvt", 404, "did you mean towns"),
        ("/tiles/towns/cgcs2000quad/9/837/168.mvt", 404, "CGCS2000Quad"),
        ("/tiles/towns/CGCS2000Quad/9/837/168.gif", 400, "mvt"),
        ("/tiles/towns/CGCS2000Quad/9/837/168@2x.mvt", 400, "@2x"),
        ("/tiles/towns/CGCS2000Quad/9/837/168.mvt?band=x", 400, "no bands"),
        ("/tiles/towns/CGCS2000Quad/9/837/168.mvt?limit=1", 400, "band, version"),
        ("/ogc/collections/towns/tiles/CGCS2000Quad/9/168/837?f=png", 400, "mvt"),
        ("/ogc/collections/towns/tiles/CGCS2000Quad/9/168/837?bbox=1,2,3,4", 400, "f, version"),
        ("/ogc/collections/towns/map/tiles/CGCS2000Quad/9/168/837?f=mvt", 400, "png"),
        ("/tiles/towns/CGCS2000Quad/9/837/168.png?band=x", 400, "no bands"),
        ("/ogc/collections/towns/tiles/CGCS2000Quad/9/168/837?f=mvt&f=mvt", 400, "f is given twice"),
        ("/ogc/collections/towns/tiles?f=json&f=html", 400, "f is given twice"),
        ("/ogc/collections/town/tiles", 404, "did you mean towns"),
        ("/ogc/collections/towns/tiles/Nope", 404, "CGCS2000Quad"),
        ("/ogc/collections/towns/map/tiles/Nope", 404, "CGCS2000_3GK_CM114"),
        ("/ogc/collections/towns/map/tiles/w/9/209/105", 404, "CGCS2000_3GK_CM114"),
        ("/ogc/collections/towns/tiles/w/9/209/105", 404, "WorldCRS84Quad, CGCS2000Quad"),
        ("/ogc/tileMatrixSets/Nope", 404, "CGCS2000_3GK_CM114"),
        ("/tiles/towns/Nope/9/837/168.png", 404, "CGCS2000Quad, w, c"),
    ],
)
def test_refusals_name_what_is_allowed(client, path, status, words):
    response = client.get(path)
    assert response.status_code == status, response.text
    assert words in response.json()["detail_en"]


@pytest.mark.parametrize("tms", SETS)
def test_tilejson_lists_fields_in_the_tiles(client, tms):
    document = client.get(f"/tiles/towns/tilejson.json?tms={tms}").json()
    (layer,) = document["vector_layers"]
    assert layer["id"] == "towns"
    assert set(layer["fields"]) == {"name", "people"}
    assert "人" in layer["fields"]["people"]
    west, south, east, north = document["bounds"]
    assert (west, south, east, north) == pytest.approx((111.29, 30.6, 114.3, 30.69))
    x, y, _, _ = place(tms, 9, *WUHAN)
    url = document["tiles"][0].removeprefix("https://map.test").format(z=9, x=x, y=y)
    assert "immutable" in client.get(url).headers["cache-control"]


@pytest.mark.requirement(
    "ogcapi-tiles-1/1.0",
    "/req/tileset/description",
    "/req/tilesets-list/tileset-links",
    "/req/tilesets-list/tileset-path",
    "/req/geodata-tilesets/operation",
    "/req/geodata-tilesets/desc-links",
)
def test_tilesets_lead_to_the_tile(client):
    listed = client.get("/ogc/collections/towns/tiles").json()["tilesets"]
    for entry in listed:
        own = next(e["href"] for e in entry["links"] if e["rel"] == "self").removeprefix("https://map.test")
        document = client.get(own).json()
        assert document["dataType"] == "vector"
        assert document["layers"][0]["geometryDimension"] == 0
        assert set(document["layers"][0]["propertiesSchema"]["properties"]) == {"name", "people"}
        scheme = next(e["href"] for e in document["links"] if e["rel"].endswith("/tiling-scheme"))
        definition = client.get(scheme.removeprefix("https://map.test")).json()
        x, y, _, _ = place(definition["id"], 9, *WUHAN)
        item = next(e["href"] for e in document["links"] if e["rel"] == "item").removeprefix("https://map.test")
        url = item.replace("{tileMatrix}", "9").replace("{tileRow}", str(y)).replace("{tileCol}", str(x))
        assert client.get(url).status_code == 200
        limits = document["tileMatrixSetLimits"][9]
        assert limits["minTileRow"] <= y <= limits["maxTileRow"]
        assert limits["minTileCol"] <= x <= limits["maxTileCol"]


def picture(response):
    assert response.status_code == 200, response.text
    return Image.open(io.BytesIO(response.content)).convert("RGBA")


@pytest.mark.requirement("ogcapi-tiles-1/1.0", "/req/png/content")
@pytest.mark.parametrize("tms", SETS)
def test_drawn_polygons_have_their_fill_their_hole_and_no_seam(client, tms):
    for z in (6, 9, 12):
        for lon, lat, colour in (
            (113.5, 30.7, (255, 0, 0, 255)),
            (114.0, 30.5, (0, 0, 0, 0)),
            (112.99, 30.5, (0, 0, 0, 0)),
        ):
            if z == 6 and lon == 112.99:
                continue
            x, y, i, j = place(tms, z, lon, lat)
            response = client.get(f"/tiles/zones/{tms}/{z}/{x}/{y}.png")
            if response.status_code == 204:
                assert colour[3] == 0
                continue
            assert picture(response).getpixel((int(i / 16), int(j / 16))) == colour, (z, lon, lat)
    x, y, _, _ = place(tms, 10, 113.5, 30.7)
    inner = picture(client.get(f"/tiles/zones/{tms}/10/{x}/{y}.png"))
    assert inner.getcolors() == [(65536, (255, 0, 0, 255))]


@pytest.mark.parametrize("tms", SETS)
def test_drawn_points_stand_on_their_place_across_tiles(client, tms):
    for z in (7, 11, 15):
        x, y, i, j = place(tms, z, *WUHAN)
        image = picture(client.get(f"/tiles/towns/{tms}/{z}/{x}/{y}.png"))
        assert image.getpixel((min(255, round(i / 16 - 0.5)), min(255, round(j / 16 - 0.5))))[:3] == (255, 0, 0)
        assert image.getbbox()[2] - image.getbbox()[0] <= 10


def test_drawn_tiles_are_the_same_from_every_address(client):
    x, y, _, _ = place("CGCS2000Quad", 9, 113.5, 30.7)
    plain = client.get(f"/tiles/zones/CGCS2000Quad/9/{x}/{y}.png")
    ogc = client.get(f"/ogc/collections/zones/map/tiles/CGCS2000Quad/9/{y}/{x}")
    wmts = client.get(
        f"/tiles/wmts?request=GetTile&layer=zones&tilematrixset=c&tilematrix=10&tilerow={y}&tilecol={x}&format=tiles"
    )
    assert plain.content == ogc.content == wmts.content
    assert plain.headers["etag"] != client.get(f"/tiles/zones/CGCS2000Quad/9/{x}/{y}.mvt").headers["etag"]
    assert b"<ows:Identifier>zones</ows:Identifier>" in client.get("/tiles/wmts?request=GetCapabilities").content
    assert client.get("/ogc/collections/zones/map/tiles/CGCS2000Quad").json()["dataType"] == "map"


@pytest.fixture(scope="module")
def api(store):
    """The provider inside pygeoapi 0.24's own functions."""
    from pygeoapi.api import API

    from tiles import pygeoapi_provider

    patch = pytest.MonkeyPatch()
    patch.setattr(pygeoapi_provider, "_datastore", lambda: store)
    provider = {
        "type": "tile",
        "name": "tiles.pygeoapi_provider.StoreTileProvider",
        "data": "towns",
        "format": {"name": "mvt", "mimetype": "application/vnd.mapbox-vector-tile"},
        "options": {"zoom": {"min": 0, "max": 16}},
    }
    text = {"en": "Towns"}
    config = {
        "server": {
            "bind": {"host": "127.0.0.1", "port": 5000},
            "url": "http://localhost:5000",
            "mimetype": "application/json",
            "encoding": "utf-8",
            "languages": ["en-US"],
            "limits": {"default_items": 10, "max_items": 50},
            "map": {"url": "https://map.test", "attribution": "none"},
        },
        "logging": {"level": "ERROR"},
        "metadata": {
            "identification": {
                "title": text,
                "description": text,
                "keywords": {"en": []},
                "url": "https://map.test",
            },
            "license": {"name": "x"},
            "provider": {"name": "x"},
            "contact": {"name": "x"},
        },
        "resources": {
            "towns": {
                "type": "collection",
                "title": text,
                "description": text,
                "keywords": {"en": ["x"]},
                "extents": {
                    "spatial": {"bbox": [111, 30, 115, 31], "crs": "http://www.opengis.net/def/crs/OGC/1.3/CRS84"}
                },
                "links": [],
                "providers": [provider],
            }
        },
    }
    yield API(config, {"openapi": "3.0.2", "info": {}, "paths": {}})
    patch.undo()


def ask(path, **query):
    from pygeoapi.api import APIRequest
    from starlette.datastructures import QueryParams

    class Bare:
        args = QueryParams(query)
        path_info = path
        headers: dict = {}  # noqa: RUF012
        method = "GET"

    return APIRequest(Bare(), ["en-US"])


@pytest.mark.parametrize("tms", SETS)
def test_pygeoapi_serves_the_tiles_of_the_service(api, client, tms):
    from pygeoapi.api.tiles import get_collection_tiles_data

    x, y, _, _ = place(tms, 9, *WUHAN)
    headers, status, content = get_collection_tiles_data(
        api, ask("/collections/towns/tiles", f="mvt"), "towns", tms, "9", str(y), str(x)
    )
    assert status == 200
    assert headers["Content-Type"] == "application/vnd.mapbox-vector-tile"
    assert content == client.get(f"/tiles/towns/{tms}/9/{x}/{y}.mvt").content


@pytest.mark.parametrize(
    ("where", "status"), [(("9", "0", "0"), 204), (("9", "512", "0"), 404), (("99", "0", "0"), 404)]
)
def test_pygeoapi_empty_and_outside(api, where, status):
    from pygeoapi.api.tiles import get_collection_tiles_data

    answer = get_collection_tiles_data(api, ask("/collections/towns/tiles", f="mvt"), "towns", "CGCS2000Quad", *where)
    assert answer[1] == status


def test_pygeoapi_lists_and_metadata(api):
    from pygeoapi.api.tiles import get_collection_tiles, get_collection_tiles_metadata

    _, status, body = get_collection_tiles(api, ask("/collections/towns/tiles", f="json"), "towns")
    assert status == 200
    assert len(json.loads(body)["tilesets"]) == 3
    for form, key in (("json", "tileMatrixSetLimits"), ("tilejson", "vector_layers")):
        _, status, body = get_collection_tiles_metadata(
            api, ask("/collections/towns/tiles/CGCS2000Quad", f=form), "towns", "CGCS2000Quad"
        )
        assert status == 200
        assert key in json.loads(body)


def test_pygeoapi_pages_and_openapi(api):
    from pygeoapi.api.tiles import get_collection_tiles, get_collection_tiles_metadata, get_oas_30

    _, status, body = get_collection_tiles(api, ask("/collections/towns/tiles", f="html"), "towns")
    assert (status, "CGCS2000Quad" in body) == (200, True)
    _, status, body = get_collection_tiles_metadata(
        api, ask("/collections/towns/tiles/CGCS2000Quad", f="html"), "towns", "CGCS2000Quad"
    )
    assert status == 200
    assert "/collections/towns/tiles" in get_oas_30(api.config, "en")[1]["paths"]
