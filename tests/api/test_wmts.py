"""WMTS: numbers of the matrices by hand, OWSLib as a client, and 天地图's numbering."""

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from owslib.util import ServiceException
from owslib.wmts import WebMapTileService
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

T = {"zh": "试 <&>", "en": "test"}
NS = {"w": "http://www.opengis.net/wmts/1.0", "o": "http://www.opengis.net/ows/1.1"}


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    import rasterio
    from rasterio.transform import from_origin

    folder = tmp_path_factory.mktemp("wmts")
    (folder / "layers").mkdir()
    (folder / "layers" / "themes.yml").write_text((PROJECT_ROOT / "layers" / "themes.yml").read_text("utf-8"), "utf-8")
    settings = Settings(var_dir=folder, layers_dir=folder / "layers", public_url="https://map.test")
    store = DataStore(settings, State(settings.state_address), vectors=None)
    source = Source(uri="x.tif", version="1", sha256="0" * 64, licence="CC0-1.0", attribution=T, origin="test")
    layer = Layer(
        id="rain",
        title=T,
        description=T,
        theme=("base", "climate"),
        kind="raster",
        source=source,
        bands=tuple(Band(name=n, title=T, valid_range=(0, 100)) for n in ("jan", "jul")),
        style={"type": "ramp", "stops": [{"value": 0, "color": "#000000"}, {"value": 100, "color": "#ffffff"}]},
        synthetic=Synthetic(seed=1, recipe=T),
        keywords=("雨",),
    )
    profile = {"driver": "GTiff", "crs": "EPSG:4490", "transform": from_origin(114, 32, 0.5, 0.5), "dtype": "uint8"}
    with rasterio.open(folder / "a.tif", "w", **profile, height=4, width=4, count=2, nodata=255) as file:
        file.write(np.full((4, 4), 20, np.uint8), 1)
        file.write(np.full((4, 4), 80, np.uint8), 2)
    store.publish_raster(layer, folder / "a.tif")

    async def problem(request, error):
        return JSONResponse(error.problem(), error.problem()["status"])

    yield TestClient(Starlette(routes=tiles.routes(store), exception_handlers={SpatialError: problem}))
    store.state.close()


@pytest.fixture(scope="module")
def document(client):
    response = client.get("/tiles/wmts", params={"SERVICE": "WMTS", "Request": "GetCapabilities"})
    assert response.headers["content-type"].startswith("application/xml")
    return response.content


def beside_mark(body):
    """Red, green, blue of the pixels in the middle of a tile that the mark of synthetic data leaves alone."""
    middle = np.s_[112:144, 112:144]
    return np.asarray(Image.open(io.BytesIO(body)).convert("RGB"))[middle][~tile_overlay(256).mask[middle]]


def test_key_value_and_resource_address_give_one_document(client, document):
    assert client.get("/tiles/wmts/1.0.0/WMTSCapabilities.xml").content == document


@pytest.mark.parametrize(
    ("name", "matrix", "crs", "corner", "scale", "size"),
    [
        # scale = cell in metres / 0.28 mm; a degree is a·π/180 = 111319.4908 m
        ("WebMercatorQuad", "0", "EPSG::3857", (-20037508.342789244, 20037508.342789244), 559082264.0287178, (1, 1)),
        ("WebMercatorQuad", "10", "EPSG::3857", (-20037508.342789244, 20037508.342789244), 545978.7734655, (1024,) * 2),
        ("WorldCRS84Quad", "0", "OGC:1.3:CRS84", (-180, 90), 279541132.0143589, (2, 1)),
        ("CGCS2000Quad", "0", "EPSG::4490", (90, -180), 279541132.0143589, (2, 1)),
        ("CGCS2000Quad", "9", "EPSG::4490", (90, -180), 545978.7734655447, (1024, 512)),
        ("c", "1", "EPSG::4490", (90, -180), 279541132.0143589, (2, 1)),
        ("c", "10", "EPSG::4490", (90, -180), 545978.7734655447, (1024, 512)),
        ("w", "10", "EPSG::3857", (-20037508.342789244, 20037508.342789244), 545978.7734655, (1024, 1024)),
        # Northing first; 1:8,000,000 is 2240 m a pixel.
        ("CGCS2000_3GK_CM114", "0", "EPSG::4547", (4000000, -500000), 8000000, (4, 3)),
        ("CGCS2000_3GK_CM108", "3", "EPSG::4545", (4000000, -500000), 1000000, (28, 21)),
    ],
)
def test_matrices_by_hand(document, name, matrix, crs, corner, scale, size):
    root = ET.fromstring(document)
    found = {e.findtext("o:Identifier", namespaces=NS): e for e in root.findall("w:Contents/w:TileMatrixSet", NS)}
    assert found[name].findtext("o:SupportedCRS", namespaces=NS) == f"urn:ogc:def:crs:{crs}"
    items = {e.findtext("o:Identifier", namespaces=NS): e for e in found[name].findall("w:TileMatrix", NS)}
    item = items[matrix]
    read = [float(v) for v in item.findtext("w:TopLeftCorner", namespaces=NS).split()]
    assert read == pytest.approx(corner, abs=1e-6)
    assert float(item.findtext("w:ScaleDenominator", namespaces=NS)) == pytest.approx(scale, rel=1e-9)
    shape = [int(item.findtext(f"w:{n}", namespaces=NS)) for n in ("MatrixWidth", "MatrixHeight", "TileWidth")]
    assert shape == [*size, 256]
    assert ("0" in items) == (name != "c")


def test_owslib_reads_layers_sets_and_addresses(document):
    service = WebMapTileService("https://map.test/tiles/wmts", xml=document)
    layer = service["rain"]
    assert "合成" in layer.title
    assert "synthetic" in layer.title
    assert layer.boundingBoxWGS84 == (114.0, 30.0, 116.0, 32.0)
    zones = {f"CGCS2000_3GK_CM{meridian}" for meridian in (108, 111, 114, 117)}
    assert set(layer.tilematrixsetlinks) == {"WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad", "w", "c"} | zones
    assert layer.formats == ["image/png", "image/webp", "image/jpeg"]
    assert layer.styles["default"]["legend"] == "https://map.test/tiles/rain/legend.png"
    assert service.tilematrixsets["c"].tilematrix["8"].matrixwidth == 256
    assert service.getOperationByName("GetTile").methods[0]["url"] == "https://map.test/tiles/wmts?"


def test_owslib_fetches_a_tile_over_a_socket(client, document, free_port):
    import threading
    import time

    import uvicorn

    server = uvicorn.Server(uvicorn.Config(client.app, port=free_port, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    try:
        here = f"http://127.0.0.1:{free_port}"
        service = WebMapTileService(f"{here}/tiles/wmts", xml=document.replace(b"https://map.test", here.encode()))
        tile = service.gettile(
            layer="rain", tilematrixset="CGCS2000Quad", tilematrix="8", row=84, column=419, format="image/png"
        )
        assert (beside_mark(tile.read()) == 51).all()
        with pytest.raises(ServiceException, match="TileOutOfRange"):
            service.gettile(layer="rain", tilematrixset="c", tilematrix="9", row=999, column=1, format="image/png")
    finally:
        server.should_exit = True
        thread.join(10)


def test_tianditu_request_as_its_clients_send_it(client):
    ask = {
        "SERVICE": "WMTS",
        "REQUEST": "GetTile",
        "VERSION": "1.0.0",
        "LAYER": "rain",
        "STYLE": "default",
        "FORMAT": "tiles",
        "TILEMATRIXSET": "c",
        "TILEMATRIX": "9",
        "TILEROW": "84",
        "TILECOL": "419",
        "tk": "0123",
    }
    got = client.get("/tiles/wmts", params=ask)
    plain = client.get("/tiles/rain/CGCS2000Quad/8/419/84.png")
    assert got.status_code == plain.status_code == 200
    assert got.content == plain.content == client.get("/tiles/rain/c/9/419/84.png").content
    assert (
        client.get("/tiles/rain/w/8/209/105.png").content
        == client.get("/tiles/rain/WebMercatorQuad/8/209/105.png").content
    )
    assert client.get("/tiles/rain/c/0/0/0.png").status_code == 404


def test_resource_template_of_every_set_gives_the_tile(client, document):
    root = ET.fromstring(document)
    templates = [e.get("template") for e in root.iter(f"{{{NS['w']}}}ResourceURL")]
    assert len(templates) == 3
    for name, z, row, col in (
        ("WebMercatorQuad", 8, 105, 209),
        ("WorldCRS84Quad", 8, 84, 419),
        ("CGCS2000Quad", 8, 84, 419),
        ("w", 8, 105, 209),
        ("c", 9, 84, 419),
    ):
        url = templates[0].removeprefix("https://map.test")
        for key, value in (("Style", "default"), ("TileMatrixSet", name), ("TileMatrix", z), ("TileRow", row)):
            url = url.replace(f"{{{key}}}", str(value))
        url = url.replace("{TileCol}", str(col)).replace("{band}", "jul")
        response = client.get(url)
        assert response.status_code == 200, url
        assert (beside_mark(response.content) == 204).all()


def test_empty_tiles_are_pictures_for_wmts(client):
    ask = "/tiles/wmts?service=WMTS&request=GetTile&layer=rain&tilematrixset=c&tilematrix=9&tilerow=0&tilecol=0"
    response = client.get(ask)
    assert response.status_code == 200
    assert Image.open(io.BytesIO(response.content)).convert("RGBA").getextrema()[3] == (0, 0)
    jpeg = client.get(f"{ask}&format=image/jpeg")
    assert Image.open(io.BytesIO(jpeg.content)).getextrema() == ((255, 255),) * 3


TILE = "request=GetTile&layer=rain&tilematrixset=c&tilematrix=9&tilerow=1&tilecol=1"


@pytest.mark.parametrize(
    ("query", "status", "code", "locator", "words"),
    [
        ("service=WMS&request=GetCapabilities", 400, "InvalidParameterValue", "Service", "WMTS"),
        ("service=WMTS", 400, "MissingParameterValue", "Request", "GetCapabilities"),
        ("service=WMTS&request=GetFeatureInfo", 501, "OperationNotSupported", "GetFeatureInfo", "GetTile"),
        ("request=GetCapabilities&acceptversions=2.0.0", 400, "VersionNegotiationFailed", "AcceptVersions", "1.0.0"),
        (f"{TILE}&version=1.3.0", 400, "InvalidParameterValue", "Version", "1.0.0"),
        (
            "service=WMTS&request=GetTile&layer=rain",
            400,
            "MissingParameterValue",
            "TileMatrixSet",
            "tilematrixset, tilematrix, tilerow, tilecol",
        ),
        (TILE.replace("&tilerow=1", ""), 400, "MissingParameterValue", "TileRow", "tilerow"),
        (f"{TILE}&format=image/gif", 400, "InvalidParameterValue", "Format", "image/png"),
        (f"{TILE}&band=feb", 400, "InvalidParameterValue", "band", "jan"),
        (TILE.replace("rain", "x"), 400, "InvalidParameterValue", "Layer", "no layer"),
        (TILE.replace("rain", "%3Cx%3E%00%F0%9F%98%80"), 400, "InvalidParameterValue", "Layer", "<x>"),
        (TILE.replace("set=c", "set=d"), 400, "InvalidParameterValue", "TileMatrixSet", "CGCS2000Quad"),
        (TILE.replace("matrix=9", "matrix=99"), 400, "InvalidParameterValue", "TileMatrix", "out of range"),
        (TILE.replace("matrix=9", "matrix=0"), 400, "InvalidParameterValue", "TileMatrix", "start at 1"),
        (TILE + "&style=none", 400, "InvalidParameterValue", "Style", "use one of default"),
        (TILE.replace("row=1", "row=a"), 400, "InvalidParameterValue", "TileRow", "integers"),
        (TILE.replace("row=1", "row=256"), 400, "TileOutOfRange", "TileRow", "out of range"),
        (TILE.replace("col=1", "col=512"), 400, "TileOutOfRange", "TileCol", "out of range"),
    ],
)
def test_refusals_of_key_value_requests_are_exception_reports(client, query, status, code, locator, words):
    response = client.get(f"/tiles/wmts?{query}")
    assert response.status_code == status
    assert response.headers["content-type"].startswith("application/xml")
    root = ET.fromstring(response.content)
    assert root.tag == f"{{{NS['o']}}}ExceptionReport"
    assert root.get("version") == "1.0.0"
    (exception,) = root.findall("o:Exception", NS)
    assert (exception.get("exceptionCode"), exception.get("locator")) == (code, locator)
    text = exception.findtext("o:ExceptionText", namespaces=NS)
    assert words in text
    assert any("\u4e00" <= c <= "\u9fff" for c in text)


def test_a_style_is_a_band_and_the_default_is_the_default(client):
    def red(query):
        inside = TILE.replace("row=1", "row=83").replace("col=1", "col=419")
        answer = client.get(f"/tiles/wmts?{inside}{query}")
        assert answer.status_code == 200, answer.text
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"))[..., 0].max()

    assert red("") == red("&style=") == red("&style=default") == red("&style=jan")
    assert red("&style=jul") == red("&style=default&band=jul") != red("")


def test_an_absent_store_is_no_fault_of_the_request():
    from spatial.errors import StoreUnavailable
    from tiles.wmts import exception_report

    body, status = exception_report(StoreUnavailable("数据库断开", "the database is away"))
    assert status == 503
    assert b'exceptionCode="NoApplicableCode"' in body


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/tiles/wmts/1.0.0/x/default/c/9/1/1.png", 404),
        ("/tiles/wmts/1.0.0/rain/default/c/9/256/1.png", 404),
        ("/tiles/wmts/1.0.0/rain/none/c/9/1/1.png", 404),
        ("/tiles/rain/c/9/1/256.png", 404),
    ],
)
def test_other_addresses_keep_their_problem_documents(client, path, status):
    response = client.get(path)
    assert response.status_code == response.json()["status"] == status
