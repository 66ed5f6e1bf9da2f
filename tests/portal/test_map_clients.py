"""OpenLayers and MapLibre, as they come from npm, on the documents of the server, from a page of another origin.

The page (``map_clients.html``) knows nothing but the address of a document: tile set, WMTS capabilities, style, TileJSON.
Tests say what must lie at which place: a county, a class of land cover, a lake; wrong axes would show another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

WUHAN = (114.27, 30.63)
SIZE = (768, 512)
PIXEL_AT_8 = 180 / 256 / 2**8
"""Degrees a pixel at level 8 of CGCS2000Quad, about 270 m."""
PROJECTIONS = {
    "CGCS2000Quad": "EPSG:4490",
    "WorldCRS84Quad": "CRS:84",
    "WebMercatorQuad": "EPSG:3857",
    "c": "EPSG:4490",
    "w": "EPSG:3857",
    "CGCS2000_3GK_CM114": "EPSG:4547",
}
ZONE = "CGCS2000_3GK_CM114"
READBACK = "Canvas2D: Multiple readback operations"
"""What Chromium remarks when OpenLayers looks for the feature below a pixel."""

Colour = tuple[int, ...]


class Place(NamedTuple):
    """A place, and what is there."""

    lon: float
    lat: float
    what: int


class Client:
    """The page in a browser, with what it asked of the server and what it complained about."""

    def __init__(self, browser: Browser, page_address: str, server: str) -> None:
        self.server = server
        self.complaints: list[str] = []
        self.answers: list[tuple[int, str]] = []
        self.context = browser.new_context(viewport={"width": SIZE[0], "height": SIZE[1]})
        self.page: Page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("response", self._answered)
        self.page.on("requestfailed", lambda request: self.complaints.append(f"{request.url}: {request.failure}"))
        self.page.goto(page_address)
        self.page.wait_for_function("window.clients")

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(READBACK):
            self.complaints.append(f"{message.type}: {message.text}")

    def _answered(self, answer: Any) -> None:
        if answer.url.startswith(self.server):
            self.answers.append((answer.status, answer.url.removeprefix(self.server)))

    def ask(self, verb: str, arguments: list[Any], question: str, places: list[Place] | None = None) -> list[Any]:
        """Show a map, and ask it at every place: ``features`` or ``colour``."""
        script = """async ([verb, args, question, places]) => {
            const shown = await clients[verb](...args);
            try { return places.map((place) => shown[question](place)); } finally { shown.close(); }
        }"""
        at = [[p.lon, p.lat] for p in places or []]
        return list(self.page.evaluate(script, [verb, [self._full(a) for a in arguments], question, at]))

    def _full(self, argument: Any) -> Any:
        return f"{self.server}{argument}" if isinstance(argument, str) and argument.startswith("/") else argument

    def tiles(self, part: str) -> list[int]:
        """Statuses of the tiles whose address has a part in it."""
        return [status for status, url in self.answers if part in url]


@pytest.fixture(scope="module")
def drawing_browser(browser: Browser, chromium_path: Path, chromium_args: list[str]) -> Iterator[Browser]:
    """A Chromium that draws WebGL without a graphics card."""
    own = [a for a in chromium_args if a != "--disable-gpu"] + [
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--ignore-gpu-blocklist",
    ]
    chromium = browser.browser_type.launch(executable_path=str(chromium_path), args=own)
    yield chromium
    chromium.close()


@pytest.fixture(scope="module")
def opened(drawing_browser: Browser, client_pages: str, server: str) -> Iterator[Client]:
    """The page, open for all tests."""
    found = Client(drawing_browser, f"{client_pages}/map_clients.html", server)
    yield found
    found.context.close()


@pytest.fixture
def client(opened: Client) -> Iterator[Client]:
    """The page; at the end no tile may have failed and nothing may have been complained about."""
    opened.complaints.clear()
    opened.answers.clear()
    yield opened
    assert opened.complaints == []
    assert {status for status, _ in opened.answers} <= {200, 204}


@pytest.fixture(scope="module")
def county_places(project_root: Path) -> list[Place]:
    """The middle of every county of the view about Wuhan that has room for it, with the county's code."""
    import pyogrio
    import shapely

    frame = pyogrio.read_dataframe(project_root / "data-samples/base/counties.gpkg", layer="counties")
    places = []
    for code, shape in zip(frame["code"], frame.geometry, strict=True):
        circle = shapely.maximum_inscribed_circle(shape)
        place = Place(*circle.coords[0], int(code))
        if in_view(place) and circle.length > 6 * PIXEL_AT_8:
            places.append(place)
    assert len(places) >= 8
    return places


@pytest.fixture(scope="module")
def class_places(project_root: Path) -> tuple[list[Place], dict[int, Colour]]:
    """Places about Wuhan in the middle of 3 × 3 cells of one land cover class, and the colour of each class."""
    import rasterio
    import yaml

    layer = yaml.safe_load((project_root / "layers/landcover.yml").read_text("utf-8"))
    colours = {c["value"]: tuple(bytes.fromhex(c["color"][1:7])) for c in layer["style"]["classes"]}
    with rasterio.open(project_root / layer["source"]["uri"]) as file:
        values = file.read(1)
        row, col = file.index(*WUHAN)
        found: dict[int, Place] = {}
        for i in range(max(row - 40, 1), min(row + 40, file.height - 1)):
            for j in range(max(col - 40, 1), min(col + 40, file.width - 1)):
                value, place = int(values[i, j]), Place(*file.xy(i, j), int(values[i, j]))
                if value in colours and (values[i - 1 : i + 2, j - 1 : j + 2] == value).all() and in_view(place):
                    found.setdefault(value, place)
    assert len(found) >= 2, "land cover about Wuhan has more classes"
    return list(found.values()), colours


def in_view(place: Place) -> bool:
    """True if a place is seen at level 8, not at the very edge."""
    return all(abs(v - c) < 0.4 * n * PIXEL_AT_8 for v, c, n in zip(place[:2], WUHAN, SIZE, strict=True))


def view(tms: str) -> dict[str, Any]:
    """What OpenLayers shows: about Wuhan, at a level of the matrix set."""
    metres = {"EPSG:3857": 156543.03392804097 / 2**9, "EPSG:4547": 280.0}
    resolution = metres.get(PROJECTIONS[tms], PIXEL_AT_8)
    return {"projection": PROJECTIONS[tms], "centre": WUHAN, "resolution": resolution}


def near(found: Any, colour: Colour) -> bool:
    """True if a pixel is opaque and of a colour, within what a browser rounds."""
    return found[3] == 255 and int(np.abs(np.subtract(found[:3], colour)).max()) <= 2


def options(tms: str) -> dict[str, str]:
    """OpenLayers knows the other systems by the address that the documents name."""
    return {"projection": PROJECTIONS[tms]} if PROJECTIONS[tms] in {"EPSG:4490", "EPSG:4547"} else {}


OGC_SETS = ["CGCS2000Quad", "WorldCRS84Quad", "WebMercatorQuad"]


@pytest.mark.parametrize("tms", OGC_SETS)
def test_openlayers_vector_tiles(client: Client, county_places: list[Place], tms: str) -> None:
    path = f"/ogc/collections/counties/tiles/{tms}"
    found = client.ask("ogcVectorTiles", [path, view(tms)], "features", county_places)
    assert [[f["code"] for f in here] for here in found] == [[p.what] for p in county_places]
    assert all(f["id"] == f["code"] for here in found for f in here)
    assert {f["name"] for here in found for f in here} >= {"江岸区", "洪山区"}
    assert client.tiles(f"{path}/8/" if tms != "WebMercatorQuad" else f"{path}/9/").count(200) >= 4


def test_openlayers_vector_tiles_of_several_collections(client: Client, county_places: list[Place]) -> None:
    chosen = {"collections": ["prefectures", "counties"]}
    asked = ["/ogc/tiles/WebMercatorQuad", view("WebMercatorQuad"), chosen]
    found = client.ask("ogcVectorTiles", asked, "features", county_places)
    for here, place in zip(found, county_places, strict=True):
        # OpenLayers takes features of one id for one: a county that is its own prefecture comes once.
        own = place.what // 1000 == 429
        expected = {place.what} if own else {place.what, place.what // 100 * 100}
        assert {f["code"] for f in here} == expected
        assert own or {f["layer"] for f in here} == {"counties", "prefectures"}


@pytest.mark.parametrize(
    ("tms", "media_type"), [*((tms, None) for tms in OGC_SETS), ("CGCS2000Quad", "image/png"), (ZONE, None)]
)
def test_openlayers_map_tiles(client: Client, class_places: Any, tms: str, media_type: str | None) -> None:
    places, colours = class_places
    given = options(tms) | ({"mediaType": media_type} if media_type else {})
    path = f"/ogc/collections/landcover/map/tiles/{tms}"
    found = client.ask("ogcMapTiles", [path, view(tms), given], "colour", places)
    for colour, place in zip(found, places, strict=True):
        assert near(colour, colours[place.what]), (place, colour)
    assert client.tiles(f"{path}/").count(200) >= 6


def test_openlayers_chooses_a_format_with_transparency(client: Client) -> None:
    """Beyond the features a map tile shows what lies below it, in the format that OpenLayers takes by itself."""
    outside = Place(115.9, 29.2, 0)
    wide = {"projection": "EPSG:4490", "centre": [115.5, 29.6], "resolution": PIXEL_AT_8}
    path = "/ogc/collections/province/map/tiles/CGCS2000Quad"
    [colour] = client.ask("ogcMapTiles", [path, wide, options("CGCS2000Quad")], "colour", [outside])
    assert colour[3] == 0
    assert 200 in client.tiles(f"{path}/8/")


@pytest.mark.parametrize("tms", ["CGCS2000Quad", "c", "WorldCRS84Quad", "WebMercatorQuad", "w", ZONE])
@pytest.mark.parametrize("encoding", ["REST", "KVP"])
def test_openlayers_wmts(client: Client, class_places: Any, tms: str, encoding: str) -> None:
    places, colours = class_places
    rest = encoding == "REST"
    capabilities = f"/tiles/wmts{'/1.0.0/WMTSCapabilities.xml' if rest else '?SERVICE=WMTS&REQUEST=GetCapabilities'}"
    asked = [capabilities, "landcover", tms, view(tms), {"requestEncoding": encoding}]
    found = client.ask("wmts", asked, "colour", places)
    for colour, place in zip(found, places, strict=True):
        assert near(colour, colours[place.what]), (place, colour)
    assert client.tiles("/tiles/wmts/1.0.0/landcover/" if rest else "Request=GetTile").count(200) >= 6


@pytest.mark.parametrize(
    "path", ["/ogc/collections/functional-zones/styles/default", "/ogc/styles/functional-zones?f=mapbox"]
)
def test_maplibre_draws_a_vector_style(
    client: Client, county_places: list[Place], path: str, project_root: Path
) -> None:
    import yaml

    style = yaml.safe_load((project_root / "layers/functional-zones.yml").read_text("utf-8"))["style"]
    fills = {c["value"]: bytes.fromhex(c["fill"][1:]) for c in style["classes"]}
    seen = {"centre": WUHAN, "zoom": 8}
    found = client.ask("mapLibre", [path, seen], "features", county_places)
    for here, place in zip(found, county_places, strict=True):
        assert {f["code"] for f in here} == {place.what}
        assert {f["id"] for f in here} == {place.what}
    kinds = [here[0][style["field"]] for here in found]
    for colour, kind in zip(client.ask("mapLibre", [path, seen], "colour", county_places), kinds, strict=True):
        *paint, alpha = fills[kind]
        # The canvas holds colours multiplied by their opacity.
        assert np.abs(np.subtract(colour, [*(v * alpha / 255 for v in paint), alpha])).max() <= 2
    assert client.tiles("/tiles/functional-zones/WebMercatorQuad/").count(200) >= 4


def test_maplibre_draws_a_raster_style(client: Client, class_places: Any) -> None:
    places, colours = class_places
    asked = ["/ogc/collections/landcover/styles/default", {"centre": WUHAN, "zoom": 8}]
    found = client.ask("mapLibre", asked, "colour", places)
    for colour, place in zip(found, places, strict=True):
        assert near(colour, colours[place.what]), (place, colour)
    assert client.tiles("/tiles/landcover/WebMercatorQuad/").count(200) >= 6


def test_maplibre_draws_the_base_map(client: Client, project_root: Path) -> None:
    import pyogrio
    import shapely

    lakes = pyogrio.read_dataframe(project_root / "data-samples/base/lakes.gpkg")
    largest = lakes.geometry.iloc[int(np.argmax(shapely.area(lakes.geometry.array)))]
    (lon, lat), _ = shapely.maximum_inscribed_circle(largest).coords
    asked = ["/ogc/styles/default", {"centre": [lon, lat], "zoom": 9}]
    [here] = client.ask("mapLibre", asked, "features", [Place(lon, lat, 0)])
    assert any(f["drawn"].startswith("lakes-") for f in here)


def test_maplibre_reads_tilejson(client: Client, county_places: list[Place], class_places: Any) -> None:
    style = {
        "version": 8,
        "sources": {
            "cover": {"type": "raster", "url": f"{client.server}/tiles/landcover/tilejson.json", "tileSize": 256},
            "counties": {"type": "vector", "url": f"{client.server}/tiles/counties/tilejson.json"},
        },
        "layers": [
            {"id": "cover", "type": "raster", "source": "cover", "paint": {"raster-fade-duration": 0}},
            {
                "id": "counties",
                "type": "fill",
                "source": "counties",
                "source-layer": "counties",
                "paint": {"fill-opacity": 0.01},
            },
        ],
    }
    found = client.ask("mapLibre", [style, {"centre": WUHAN, "zoom": 8}], "features", county_places)
    assert [[f["code"] for f in here] for here in found] == [[p.what] for p in county_places]
    places, colours = class_places
    drawn = client.ask("mapLibre", [style, {"centre": WUHAN, "zoom": 8}], "colour", places)
    assert all(np.abs(np.subtract(c[:3], colours[p.what])).max() <= 5 for c, p in zip(drawn, places, strict=True))


def test_maplibre_takes_tiles_with_nothing_on_them(client: Client) -> None:
    """Inside the bounds of a source there are tiles without any data: neither an error nor anything drawn."""
    corner = Place(115.9, 33.0, 0)
    pictures = {"type": "raster", "url": f"{client.server}/tiles/functional-zones/tilejson.json?f=png", "tileSize": 256}
    drawn = {"version": 8, "sources": {"p": pictures}, "layers": [
        {"id": "p", "type": "raster", "source": "p", "paint": {"raster-fade-duration": 0}}]}  # fmt: skip
    for style in ("/ogc/collections/functional-zones/styles/default", drawn):
        [colour] = client.ask("mapLibre", [style, {"centre": corner[:2], "zoom": 11}], "colour", [corner])
        assert colour == [0, 0, 0, 0]
    assert {status for status, url in client.answers if ".mvt" in url} >= {204}
    assert {status for status, url in client.answers if ".png" in url} == {200}


def test_openlayers_takes_tiles_with_nothing_on_them(client: Client) -> None:
    corner = Place(115.9, 33.0, 0)
    wide = {"projection": "EPSG:4490", "centre": corner[:2], "resolution": PIXEL_AT_8 / 8}
    path = "/ogc/collections/counties"
    given = options("CGCS2000Quad")
    [colour] = client.ask("ogcMapTiles", [f"{path}/map/tiles/CGCS2000Quad", wide, given], "colour", [corner])
    assert colour[3] == 0
    [here] = client.ask("ogcVectorTiles", [f"{path}/tiles/CGCS2000Quad", wide], "features", [corner])
    assert here == []
    assert 204 in client.tiles(f"{path}/tiles/CGCS2000Quad/11/")
