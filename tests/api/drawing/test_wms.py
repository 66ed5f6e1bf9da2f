"""WMS 1.3.0 and 1.1.1: axis order by pixels, feature info, legends, capabilities, exceptions, and OWSLib as a client."""

import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import shapely
from PIL import Image

RED, GREEN = (255, 0, 0), (0, 255, 0)
WMS = {"w": "http://www.opengis.net/wms", "x": "http://www.w3.org/1999/xlink"}
OGC = "{http://www.opengis.net/ogc}"


def ask(drawn, **query):
    names = {"service": "WMS", "version": "1.3.0"} | query
    return drawn.get("/tiles/wms", params=names)


def get_map(drawn, **query):
    defaults = {"request": "GetMap", "layers": "squares", "styles": "", "width": "200", "height": "100"}
    answer = ask(drawn, **({"format": "image/png"} | defaults | query))
    assert answer.headers["content-type"].startswith("image/"), answer.text
    return np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))


def report(answer):
    """Code, locator and text of a service exception."""
    root = ET.fromstring(answer.content)
    assert root.tag.endswith("ServiceExceptionReport")
    [one] = list(root)
    return one.get("code"), one.get("locator"), one.text


# The squares: red from 112° to 113° E, green from 113° to 114°, between 30° and 31° N.
GK_SOUTH_WEST, GK_NORTH_EAST = (3325000, 306500), (3428000, 500000)  # EPSG:4547 inside both squares


@pytest.mark.parametrize(
    "query",
    [
        {"crs": "CRS:84", "bbox": "112,30,114,31"},
        {"crs": "EPSG:4326", "bbox": "30,112,31,114"},
        {"crs": "EPSG:4490", "bbox": "30,112,31,114"},
        {"crs": "EPSG:3857", "bbox": "12467782.97,3503549.84,12690421.95,3632749.14"},
        {"crs": "EPSG:4547", "bbox": "3325000,306500,3428000,500000"},
        {"version": "1.1.1", "srs": "EPSG:4326", "bbox": "112,30,114,31"},
        {"version": "1.1.1", "srs": "EPSG:4490", "bbox": "112,30,114,31"},
        {"version": "1.1.1", "srs": "EPSG:4547", "bbox": "306500,3325000,500000,3428000"},
        {"version": "1.1.0", "srs": "EPSG:4326", "bbox": "112,30,114,31"},
        {"crs": "CRS:84", "bbox": "472,30,474,31"},
    ],
)
def test_the_axis_order_of_each_version_and_crs(drawn, query):
    picture = get_map(drawn, **query)
    assert picture.shape == (100, 200, 4)
    assert tuple(picture[20, 40, :3].tolist()) == RED
    assert tuple(picture[20, 160, :3].tolist()) == GREEN
    assert (picture[10:90, 20:80, :3] == RED).all()


def test_the_wrong_order_shows_nothing_of_it(drawn):
    picture = get_map(drawn, crs="EPSG:4490", bbox="112,30,114,31", transparent="TRUE")
    assert not picture.any()  # 112° north does not exist


def test_order_of_layers_styles_and_background(drawn):
    area = {"crs": "CRS:84", "bbox": "112,30,113,31", "width": "100", "height": "100"}
    assert (get_map(drawn, layers="codes,squares", **area)[2:-2, 2:-2, :3] == RED).all()
    under = get_map(drawn, layers="squares,codes", **area)
    assert tuple(under[75, 25, :3].tolist()) == drawn.codes[12]
    other = get_map(drawn, layers="squares,codes", styles=",other", **area)
    assert (other[..., :3] == (0x12, 0x34, 0x56)).all()
    out = {"crs": "CRS:84", "bbox": "100,20,101,21"}
    assert (get_map(drawn, **out) == 255).all()
    assert not get_map(drawn, transparent="true", **out).any()
    assert tuple(get_map(drawn, bgcolor="0x102030", **out)[0, 0].tolist()) == (16, 32, 48, 255)
    jpeg = ask(drawn, request="GetMap", layers="codes", styles="", format="image/jpeg", **area)
    assert jpeg.headers["content-type"] == "image/jpeg"


def test_time_and_resolution(drawn):
    area = {"layers": "dots", "crs": "CRS:84", "bbox": "112,29,114,30", "transparent": "TRUE"}
    shown = get_map(drawn, time="2024-08-01T00:00:00Z", **area)
    assert [bool(shown[50, x, 3]) for x in (50, 150)] == [False, True]
    # What is asked about is what the map of that time shows.
    for column, count in ((50, 0), (150, 1)):
        asked = {"time": "2024-08-01T00:00:00Z", "query_layers": "dots", "i": str(column), "j": "50", **area}
        assert len(info(drawn, "application/json", **asked).json()["features"]) == count
    wide = {**area, "layers": "road", "bbox": "112,31,114,32"}
    assert (get_map(drawn, **wide)[:, 100, 2] == 255).sum() == 4
    assert (get_map(drawn, dpi="192", **wide)[:, 100, 2] == 255).sum() == 8


def test_a_synthetic_layer_bears_its_mark(drawn):
    picture = get_map(drawn, layers="made", crs="CRS:84", bbox="112,30,114,32", width="300", height="300")
    assert not (picture[..., :3] == (255, 255, 0)).all()
    title = ET.fromstring(ask(drawn, request="GetCapabilities").content)
    names = {v.findtext("w:Name", namespaces=WMS): v for v in title.iter(f"{{{WMS['w']}}}Layer")}
    assert "合成示例" in names["made"].findtext("w:Title", namespaces=WMS)


# --- feature info ---------------------------------------------------------------------------------------------------------


def info(drawn, form, **query):
    defaults = {"request": "GetFeatureInfo", "styles": "", "width": "200", "height": "100", "info_format": form}
    names = {"crs": "EPSG:4490", "bbox": "30,112,31,114", "layers": "squares,codes", "query_layers": "squares,codes"}
    answer = ask(drawn, **(defaults | names | query))
    assert answer.status_code == 200, answer.text
    return answer


def test_feature_info_of_a_raster_whose_file_is_gone_is_the_fault_of_the_service(drawn):
    path = drawn.datastore.snapshot().published("codes").path
    aside = path.rename(path.with_suffix(".gone"))
    try:
        query = {"request": "GetFeatureInfo", "layers": "codes", "query_layers": "codes", "styles": ""}
        place = {"crs": "EPSG:4490", "bbox": "30,112,31,114", "width": "200", "height": "100", "i": "50", "j": "20"}
        answer = ask(drawn, **query, **place, info_format="application/json")
        assert answer.status_code == 503
        assert "layer codes" in report(answer)[2]
        assert info(drawn, "application/json", layers="squares", query_layers="squares", i="50", j="20").json()[
            "features"
        ]
    finally:
        aside.rename(path)


def test_feature_info_names_features_and_raster_values(drawn):
    found = info(drawn, "application/json", i="50", j="20").json()
    assert [f["id"] for f in found["features"]] == ["squares.1", "codes.pixel"]
    assert found["features"][0]["properties"] == {"kind": 1}
    # Pixel (50, 20) is 112.505° E, 30.795° N: third row, second column.
    assert found["features"][1]["properties"]["codes"] == 10
    assert found["features"][1]["properties"]["other_class"] == "一 / one"
    old = info(
        drawn, "application/json", version="1.1.1", srs="EPSG:4490", bbox="112,30,114,31", x="150", y="20"
    ).json()
    assert [f["id"] for f in old["features"]] == ["squares.2", "codes.pixel"]
    hole = info(drawn, "application/json", i="150", j="50").json()
    assert [f["id"] for f in hole["features"]] == ["codes.pixel"]


def test_points_are_hit_nearby(drawn):
    area = {"layers": "dots", "query_layers": "dots", "bbox": "29,112,30,114"}
    assert info(drawn, "application/json", i="54", j="46", **area).json()["features"][0]["id"] == "dots.1"
    assert info(drawn, "application/json", i="75", j="50", **area).json()["features"] == []


def test_text_and_html_are_readable_and_escaped(drawn):
    text = info(drawn, "text/plain", i="50", j="20").text
    assert "方格 <&>" in text
    assert "类别 / Kind = 1" in text
    page = info(drawn, "text/html", i="50", j="20").text
    assert "方格 &lt;&amp;&gt;" in page
    assert "<td>1</td>" in page
    assert (
        "1.5 m"
        in info(drawn, "text/plain", layers="dots", query_layers="dots", bbox="29,112,30,114", i="50", j="50").text
    )


@pytest.mark.parametrize("form", ["application/vnd.ogc.gml", "application/vnd.ogc.gml/3.1.1", "text/xml"])
@pytest.mark.parametrize(
    ("query", "epsg", "centre"),
    [
        ({"crs": "CRS:84", "bbox": "112,30,114,31", "i": "50", "j": "20"}, 4326, (112.5, 30.5)),
        ({"crs": "EPSG:4326", "bbox": "30,112,31,114", "i": "50", "j": "20"}, 4326, (112.5, 30.5)),
        ({"crs": "EPSG:4490", "bbox": "30,112,31,114", "i": "50", "j": "20"}, 4490, (112.5, 30.5)),
        ({"crs": "EPSG:4547", "bbox": "3325000,306500,3428000,500000", "i": "50", "j": "20"}, 4547, None),
        ({"version": "1.1.1", "srs": "EPSG:4490", "bbox": "112,30,114,31", "x": "50", "y": "20"}, 4490, (112.5, 30.5)),
    ],
)
def test_gml_has_attributes_and_geometry_in_the_crs_of_the_map(drawn, tmp_path, form, query, epsg, centre):
    import pyogrio

    answer = info(drawn, form, **{"layers": "squares", "query_layers": "squares"} | query)
    kind = answer.headers["content-type"]
    assert kind == ("text/xml; charset=utf-8" if form == "text/xml" else form)
    path = tmp_path / "info.gml"
    path.write_bytes(answer.content)
    # GDAL turns an axis order that the name of the CRS implies into x first.
    [row] = pyogrio.read_dataframe(path).itertuples()
    assert row.kind == 1
    assert row.geometry.is_valid
    if centre is not None:
        assert (round(row.geometry.centroid.x, 3), round(row.geometry.centroid.y, 3)) == centre
    else:
        from pyproj import Transformer

        expected = Transformer.from_crs(4490, epsg, always_xy=True).transform(112.5, 30.5)
        assert row.geometry.centroid.distance(shapely.Point(expected)) < 1000
    first = ET.fromstring(answer.content).find(".//{*}coordinates" if "3.1.1" not in form else ".//{*}posList").text
    if "3.1.1" not in form:
        assert first.split(" ")[0].count(",") == 1
    elif epsg == 4490:
        assert float(first.split()[0]) < 40 < float(first.split()[1])  # latitude first


def test_gml_of_points_rasters_and_nothing(drawn, tmp_path):
    import pyogrio

    area = {"layers": "dots,codes", "query_layers": "dots,codes", "i": "50", "j": "50"}
    for form in ("application/vnd.ogc.gml", "text/xml; subtype=gml/3.1.1"):
        for bbox, layer in (("29,112,30,114", "dots"), ("30,112,31,114", "codes")):
            path = tmp_path / f"{layer}-{len(form)}.gml"
            path.write_bytes(info(drawn, form, bbox=bbox, **area).content)
            frame = pyogrio.read_dataframe(path, layer=layer)
            assert len(frame) == 1
            assert frame.geometry.iloc[0].geom_type in {"Point", "MultiPoint"}
            assert 112 < frame.geometry.iloc[0].centroid.x < 113
            assert 29 < frame.geometry.iloc[0].centroid.y < 31
    empty = ET.fromstring(info(drawn, "application/vnd.ogc.gml", bbox="40,112,41,114", **area).content)
    assert list(empty) == []
    listed = ET.fromstring(ask(drawn, request="GetCapabilities").content)
    formats = [f.text for f in listed.findall(".//w:GetFeatureInfo/w:Format", WMS)]
    assert {"application/vnd.ogc.gml", "application/vnd.ogc.gml/3.1.1", "text/xml", "text/html"} <= set(formats)


def test_legend_graphic(drawn):
    for style, colour in (("", drawn.codes[0]), ("other", (0x12, 0x34, 0x56))):
        answer = ask(drawn, request="GetLegendGraphic", layer="codes", style=style, format="image/png")
        picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB")).reshape(-1, 3)
        assert colour in {tuple(c) for c in picture.tolist()}


# --- capabilities ---------------------------------------------------------------------------------------------------------


def test_capabilities_of_1_3_0(drawn):
    answer = ask(drawn, request="GetCapabilities")
    assert answer.headers["content-type"].startswith("text/xml")
    root = ET.fromstring(answer.content)
    assert root.tag == f"{{{WMS['w']}}}WMS_Capabilities"
    assert root.get("version") == "1.3.0"
    top = root.find("w:Capability/w:Layer", WMS)
    assert {"CRS:84", "EPSG:4326", "EPSG:4490", "EPSG:3857", "EPSG:4547"} <= {e.text for e in top.findall("w:CRS", WMS)}
    layers = {v.findtext("w:Name", namespaces=WMS): v for v in root.iter(f"{{{WMS['w']}}}Layer")}
    squares = layers["squares"]
    box = squares.find("w:EX_GeographicBoundingBox", WMS)
    assert [float(e.text) for e in box] == [112, 114, 30, 31]
    boxes = {
        b.get("CRS"): [float(b.get(k)) for k in ("minx", "miny", "maxx", "maxy")]
        for b in squares.findall("w:BoundingBox", WMS)
    }
    assert boxes["CRS:84"] == [112, 30, 114, 31]
    assert boxes["EPSG:4490"] == [30, 112, 31, 114]
    assert boxes["EPSG:4547"][3] == 500000  # easting second: the meridian 114° E
    assert [s.findtext("w:Name", namespaces=WMS) for s in layers["codes"].findall("w:Style", WMS)] == [
        "default",
        "codes",
        "other",
    ]
    legend = layers["codes"].find("w:Style/w:LegendURL", WMS)
    picture = drawn.get(legend.find("w:OnlineResource", WMS).get(f"{{{WMS['x']}}}href"))
    assert Image.open(io.BytesIO(picture.content)).size == (int(legend.get("width")), int(legend.get("height")))
    assert layers["dots"].find("w:Dimension", WMS).text == "2024-07-01T00:00:00Z/2024-08-01T00:00:00Z/PT1S"
    order = ["Name", "Title", "Abstract", "KeywordList", "CRS", "EX_GeographicBoundingBox", "BoundingBox", "Dimension",
             "Attribution", "MetadataURL", "Style", "Layer"]  # fmt: skip
    for layer in layers.values():
        tags = [order.index(child.tag.rpartition("}")[2]) for child in layer]
        assert tags == sorted(tags)  # the sequence of the schema
    assert ask(drawn, request="GetCapabilities").headers["etag"] == answer.headers["etag"]


def test_capabilities_of_1_1_1(drawn):
    root = ET.fromstring(ask(drawn, version="1.1.1", request="GetCapabilities").content)
    assert root.tag == "WMT_MS_Capabilities"
    resources = list(root.iter("OnlineResource"))
    assert resources
    assert all(e.get(f"{{{WMS['x']}}}href").startswith("http") for e in resources)
    # The DTD of 1.1.1 knows the name space of links on these elements only.
    assert b'<WMT_MS_Capabilities version="1.1.1">' in ask(drawn, version="1.1.1", request="GetCapabilities").content
    assert {"EPSG:4326", "EPSG:4490"} <= {e.text for e in root.findall("Capability/Layer/SRS")}
    assert "CRS:84" not in {e.text for e in root.iter("SRS")}
    [squares] = [v for v in root.iter("Layer") if v.findtext("Name") == "squares"]
    boxes = {b.get("SRS"): float(b.get("minx")) for b in squares.findall("BoundingBox")}
    assert boxes["EPSG:4490"] == 112


@pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
def test_owslib_reads_and_draws(drawn, version, monkeypatch):
    from owslib.wms import WebMapService

    text = ask(drawn, version=version, request="GetCapabilities").content
    service = WebMapService("http://onemap.test/tiles/wms", version=version, xml=text)
    assert set(service.contents) == {"squares", "road", "dots", "specks", "made", "codes", "height"}
    assert service["squares"].boundingBoxWGS84 == (112, 30, 114, 31)
    assert service["codes"].styles["other"]["legend"].startswith("http://onemap.test/tiles/wms?")
    assert service["squares"].queryable == 1


# --- exceptions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"request": "Describe"}, "OperationNotSupported"),
        ({"request": ""}, "MissingParameterValue"),
        ({"service": "WFS", "request": "GetMap"}, "InvalidParameterValue"),
        ({"layers": "none"}, "LayerNotDefined"),
        ({"layers": ""}, "MissingParameterValue"),
        ({"layers": ",".join(["squares"] * 21)}, "InvalidParameterValue"),
        ({"styles": "none"}, "StyleNotDefined"),
        ({"styles": "default,default"}, "StyleNotDefined"),
        ({"crs": "EPSG:32649"}, "InvalidCRS"),
        ({"crs": ""}, "MissingParameterValue"),
        ({"bbox": "31,112,30,114"}, "InvalidParameterValue"),
        ({"bbox": "30,112,31"}, "InvalidParameterValue"),
        ({"width": "0"}, "InvalidParameterValue"),
        ({"width": "8000", "height": "8000"}, "InvalidParameterValue"),
        ({"format": "image/tiff"}, "InvalidFormat"),
        ({"transparent": "maybe"}, "InvalidParameterValue"),
        ({"bgcolor": "blueish"}, "InvalidParameterValue"),
        ({"time": "yesterday"}, "InvalidParameterValue"),
        ({"request": "GetFeatureInfo", "query_layers": "codes", "i": "1", "j": "1"}, "LayerNotQueryable"),
        ({"request": "GetFeatureInfo", "query_layers": "squares", "i": "500", "j": "1"}, "InvalidPoint"),
        (
            {"request": "GetFeatureInfo", "query_layers": "squares", "i": "1", "j": "1", "info_format": "x"},
            "InvalidFormat",
        ),
        ({"request": "GetLegendGraphic", "layer": "none"}, "LayerNotDefined"),
    ],
)
def test_errors_are_service_exceptions(drawn, query, code):
    good = {"request": "GetMap", "layers": "squares", "styles": "", "crs": "EPSG:4490", "bbox": "30,112,31,114"}
    answer = ask(drawn, **(good | {"width": "20", "height": "10"} | query))
    assert answer.status_code == 200  # desktop programs show the text only then
    assert answer.headers["content-type"].startswith("text/xml")
    assert answer.headers["cache-control"] == "no-store"
    found, _, text = report(answer)
    assert found == code, text
    assert " / " in text
    assert ET.fromstring(answer.content).tag == f"{OGC}ServiceExceptionReport"


def test_old_clients_get_old_reports_and_pictures_where_they_ask_for_them(drawn):
    answer = ask(
        drawn, version="1.1.1", request="GetMap", layers="none", srs="EPSG:4326", bbox="1,2,3,4", width="9", height="9"
    )
    assert answer.headers["content-type"] == "application/vnd.ogc.se_xml"
    for name in ("INIMAGE", "application/vnd.ogc.se_inimage", "BLANK"):
        answer = ask(
            drawn, request="GetMap", layers="none", width="200", height="80", format="image/png", exceptions=name
        )
        picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA"))
        assert picture.shape == (80, 200, 4)
        assert (picture[..., :3].min() < 200) == (name != "BLANK")


def test_names_of_parameters_have_no_case_and_strange_ones_are_ignored(drawn):
    answer = drawn.get(
        "/tiles/wms?SeRvIcE=wms&REQUEST=getmap&VERSION=1.3.0&Layers=squares&STYLES&CRS=CRS:84&BBOX=112,30,114,31"
        "&WIDTH=20&HEIGHT=10&FORMAT=image/png&tiled=true&_olsalt=0.4"
    )
    assert answer.headers["content-type"] == "image/png"
