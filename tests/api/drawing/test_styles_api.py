"""OGC API Styles: lists, four encodings that say the same, metadata, legends, and what is refused."""

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

STYLES = "ogcapi-styles-1/1.0"
NS = {
    "sld": "http://www.opengis.net/sld",
    "se": "http://www.opengis.net/se",
    "ogc": "http://www.opengis.net/ogc",
}
QML = "application/vnd.qgis.qml"
SLD = "application/vnd.ogc.sld+xml;version=1.1"
MAPBOX = "application/vnd.mapbox.style+json"


@pytest.mark.requirement(
    STYLES, "/req/core/base-resource-link", "/req/core/styles-op", "/req/core/styles-success", "/req/core/style-op"
)
def test_every_listed_style_can_be_fetched_in_every_encoding(drawn):
    for base in ("/ogc", "/ogc/collections/codes", "/ogc/collections/squares"):
        links = drawn.get(base).json()["links"]
        [href] = [v["href"] for v in links if v["rel"] == "http://www.opengis.net/def/rel/ogc/1.0/styles"]
        listed = drawn.get(href).json()
        ids = [s["id"] for s in listed["styles"]]
        assert len(set(ids)) == len(ids)
        assert listed["default"] in ids
        for style in listed["styles"]:
            sheets = [v for v in style["links"] if v["rel"] == "stylesheet"]
            several = base == "/ogc" and style["id"] == "default"
            assert {v["type"] for v in sheets} == {MAPBOX, SLD, "application/json"} | (set() if several else {QML})
            for sheet in sheets:
                answer = drawn.get(sheet["href"])
                assert answer.status_code == 200
                assert answer.headers["content-type"] == sheet["type"]
            [described] = [v for v in style["links"] if v["rel"] == "describedby"]
            assert drawn.get(described["href"]).json()["id"] == style["id"]
    assert [s["id"] for s in drawn.get("/ogc/collections/codes/styles").json()["styles"]] == [
        "default",
        "codes",
        "other",
    ]


@pytest.mark.requirement(STYLES, "/req/core/style-success")
def test_encodings_are_negotiated(drawn):
    path = "/ogc/collections/squares/styles/default"
    assert drawn.get(path).headers["content-type"] == MAPBOX
    for accept, kind in (
        (MAPBOX, MAPBOX),
        ("application/vnd.ogc.sld+xml", SLD),
        (QML, QML),
        ("application/json", MAPBOX),  # as MapLibre asks
        ("application/json, text/plain, */*", MAPBOX),
    ):
        assert drawn.get(path, headers={"Accept": accept}).headers["content-type"] == kind
    assert drawn.get(path, headers={"Accept": "image/png"}).status_code == 406
    assert drawn.get(path, params={"f": "lyr"}).json()["allowed"] == ["mapbox", "sld11", "qml", "json"]
    several = drawn.get("/ogc/styles/default", params={"f": "qml"})
    assert several.status_code == 400
    assert several.json()["allowed"] == ["mapbox", "sld11", "json"]
    assert "styles/default?f=qml" in several.json()["detail_en"]
    assert drawn.get("/ogc/styles/default", headers={"Accept": QML}).status_code == 406
    first = drawn.get(path)
    assert drawn.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304


@pytest.mark.requirement(STYLES, "/req/mapbox-style/content")
def test_maplibre_style_uses_our_tiles_and_draws_each_class(drawn):
    style = drawn.get("/ogc/collections/squares/styles/default?f=mapbox").json()
    assert style["version"] == 8
    [source] = style["sources"].values()
    assert source["type"] == "vector"
    address = source["tiles"][0]
    assert address.startswith("http://")
    assert "{z}/{x}/{y}.mvt?version=1" in address
    assert source["bounds"] == [112, 30, 114, 31]
    fills = {tuple(v["filter"]): v["paint"]["fill-color"] for v in map(_flat, style["layers"])}
    assert fills == {("==", "get kind", 1): "#ff0000", ("==", "get kind", 2): "#00ff00"}
    assert {v["source-layer"] for v in style["layers"]} == {"squares"}
    path = address[address.index("/tiles/") :].replace("{z}", "6").replace("{x}", "52").replace("{y}", "26")
    assert drawn.get(path).headers["content-type"] == "application/vnd.mapbox-vector-tile"
    road = drawn.get("/ogc/collections/road/styles/default").json()["layers"]
    assert [(v["type"], v["paint"]) for v in road] == [("line", {"line-color": "#0000ff", "line-width": 4})]
    dots = drawn.get("/ogc/collections/dots/styles/default").json()["layers"]
    assert [(v["type"], v["paint"]) for v in dots] == [("circle", {"circle-radius": 6, "circle-color": "#000000"})]
    raster = drawn.get("/ogc/collections/codes/styles/other").json()
    assert raster["layers"] == [{"id": "codes", "type": "raster", "source": "codes"}]
    assert "band=other" in raster["sources"]["codes"]["tiles"][0]
    base = drawn.get("/ogc/styles/default").json()
    assert set(base["sources"]) == {"squares", "road", "dots", "specks"}
    assert [v["source"] for v in base["layers"]][-1] == "dots"
    assert base["metadata"]["onemap:synthetic"] is False
    assert drawn.get("/ogc/styles/made").json()["metadata"]["onemap:synthetic"] is True


def _flat(layer):
    operator, (get, name), value = layer["filter"]
    return layer | {"filter": [operator, f"{get} {name}", value]}


@pytest.mark.requirement(STYLES, "/req/sld-11/content")
def test_sld_says_the_same_with_filters_and_colours(drawn):
    text = drawn.get("/ogc/collections/squares/styles/default?f=sld11").content
    assert b"DOCTYPE" not in text
    root = ET.fromstring(text)
    assert root.tag == f"{{{NS['sld']}}}StyledLayerDescriptor"
    assert root.get("version") == "1.1.0"
    assert root.findtext("sld:NamedLayer/se:Name", namespaces=NS) == "squares"
    rules = root.findall(".//se:Rule", NS)
    found = {
        rule.findtext("ogc:Filter/ogc:PropertyIsEqualTo/ogc:Literal", namespaces=NS): rule.findtext(
            "se:PolygonSymbolizer/se:Fill/se:SvgParameter[@name='fill']", namespaces=NS
        )
        for rule in rules
    }
    assert found == {"1": "#ff0000", "2": "#00ff00"}
    assert root.findtext(".//ogc:PropertyName", namespaces=NS) == "kind"
    assert "方格 <&>" in root.findtext("sld:NamedLayer/se:Description/se:Title", namespaces=NS)
    road = ET.fromstring(drawn.get("/ogc/collections/road/styles/default?f=sld").content)
    stroke = road.find(".//se:LineSymbolizer/se:Stroke", NS)
    assert [(p.get("name"), p.text) for p in stroke] == [("stroke", "#0000ff"), ("stroke-width", "4")]
    dots = ET.fromstring(drawn.get("/ogc/collections/dots/styles/default?f=sld").content)
    assert dots.findtext(".//se:PointSymbolizer/se:Graphic/se:Size", namespaces=NS) == "12"


def test_sld_of_rasters_gives_each_code_its_colour(drawn):
    root = ET.fromstring(drawn.get("/ogc/collections/codes/styles/default?f=sld11").content)
    raster = root.find(".//se:RasterSymbolizer", NS)
    assert raster.findtext("se:ChannelSelection/se:GrayChannel/se:SourceChannelName", namespaces=NS) == "1"
    categorize = raster.find("se:ColorMap/se:Categorize", NS)
    assert set(categorize.keys()) == {"fallbackValue"}  # a threshold belongs to what follows, unless it is said
    parts = list(categorize)[1:]
    values = [p.text for p in parts if p.tag.endswith("Value")]
    thresholds = [float(p.text) for p in parts if p.tag.endswith("Threshold")]

    def colour(value):
        return values[sum(1 for t in thresholds if t <= value)]

    assert colour(0) == colour(17) == "#ffffff00"
    for code in range(1, 17):
        assert bytes.fromhex(colour(code)[1:7]) == bytes(drawn.codes[code - 1])
    other = ET.fromstring(drawn.get("/ogc/collections/codes/styles/other?f=sld11").content)
    assert other.findtext(".//se:SourceChannelName", namespaces=NS) == "2"
    ramp = ET.fromstring(drawn.get("/ogc/collections/height/styles/default?f=sld11").content)
    points = ramp.findall(".//se:Interpolate/se:InterpolationPoint", NS)
    assert [(p.findtext("se:Data", namespaces=NS), p.findtext("se:Value", namespaces=NS)) for p in points] == [
        ("0", "#000000"),
        ("1000", "#ffffff"),
    ]


def test_qgis_style_has_a_rule_a_class_and_a_colour_a_code(drawn):
    root = ET.fromstring(drawn.get("/ogc/collections/squares/styles/default?f=qml").content)
    assert root.tag == "qgis"
    [heading] = root.findall("renderer-v2/rules/rule")
    assert heading.get("label").startswith("方格 <&>")
    colours = {s.get("name"): s.find("layer/Option/Option[@name='color']").get("value") for s in root.iter("symbol")}
    assert {r.get("filter"): colours[r.get("symbol")] for r in heading} == {
        '"kind" = 1': "255,0,0,255",
        '"kind" = 2': "0,255,0,255",
    }
    codes = ET.fromstring(drawn.get("/ogc/collections/codes/styles/default?f=qml").content)
    renderer = codes.find("pipe/rasterrenderer")
    assert (renderer.get("type"), renderer.get("band")) == ("paletted", "1")
    found = {int(e.get("value")): bytes.fromhex(e.get("color")[1:]) for e in codes.iter("paletteEntry")}
    assert found == {code: bytes(drawn.codes[code - 1]) for code in range(1, 17)}
    other = ET.fromstring(drawn.get("/ogc/collections/codes/styles/other?f=qml").content)
    assert other.find("pipe/rasterrenderer").get("band") == "2"
    height = ET.fromstring(drawn.get("/ogc/collections/height/styles/default?f=qml").content)
    assert [(i.get("value"), i.get("color")) for i in height.iter("item")] == [
        ("0.0", "#000000"),
        ("1000.0", "#ffffff"),
    ]


def test_our_own_encoding_is_the_block_of_the_layer(drawn):
    found = drawn.get("/ogc/collections/codes/styles/other?f=json").json()
    definition = drawn.datastore.snapshot().catalog["codes"]
    assert found["layers"][0]["style"] == definition.style
    assert found["layers"][0]["band"] == "other"


@pytest.mark.requirement(STYLES, "/req/core/style-md-op", "/req/core/style-md-success")
def test_metadata_names_title_licence_sheets_and_attributes(drawn):
    zh = drawn.get("/ogc/collections/squares/styles/default/metadata").json()
    en = drawn.get("/ogc/collections/squares/styles/default/metadata", params={"lang": "en"}).json()
    assert (zh["title"], en["title"]) == ("方格 <&>", "Squares <&>")
    assert zh["license"] == "CC-BY-4.0"
    assert {s["link"]["type"] for s in zh["stylesheets"]} == {MAPBOX, SLD, QML, "application/json"}
    assert zh["layers"][0]["type"] == "polygons"
    assert [a["id"] for a in zh["layers"][0]["attributes"]] == ["kind"]
    for link in zh["links"]:
        assert drawn.get(link["href"]).status_code == 200, link


def test_legend_pictures_follow_the_style(drawn):
    def shown(path):
        answer = drawn.get(path)
        assert answer.headers["content-type"] == "image/png"
        return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).reshape(-1, 3)

    own = {tuple(c) for c in shown("/ogc/collections/codes/styles/default/legend").tolist()}
    assert set(drawn.codes) <= own
    other = {tuple(c) for c in shown("/ogc/collections/codes/styles/other/legend").tolist()}
    assert (0x12, 0x34, 0x56) in other
    assert not set(drawn.codes) & other
    assert drawn.get("/ogc/collections/codes/styles/default/legend?f=gif").status_code == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ogc/styles/none", 404),
        ("/ogc/styles/none/metadata", 404),
        ("/ogc/collections/none/styles", 404),
        ("/ogc/collections/codes/styles/none", 404),
        ("/ogc/collections/codes/styles/none/legend", 404),
        ("/ogc/collections/codes/styles?limit=1", 400),
        ("/ogc/collections/codes/styles/default?lang=zh", 400),
        ("/ogc/styles?f=xml", 400),
        ("/ogc/styles?lang=fr", 400),
        ("/ogc/styles?lang=zh&lang=en", 400),
    ],
)
def test_what_is_refused(drawn, path, status):
    answer = drawn.get(path)
    assert answer.status_code == status, answer.text[:300]
    assert answer.json()["detail_zh"]


def test_the_documents_name_the_styles(drawn, describing):
    declared = drawn.get("/ogc/conformance").json()["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-styles-1/1.0/conf/core" in declared
    document = drawn.get("/ogc/openapi").json()
    assert {"/styles", "/styles/{styleId}"} <= set(document["paths"])
    assert "get" in describing(document, "/collections/codes/styles/default/legend")
