"""HTML pages of any JSON document: readable, escaped, with a map where it lies somewhere, and lines to copy that are safe."""

from __future__ import annotations

import shlex
from types import SimpleNamespace
from typing import Any

import pytest

from spatial.pages import Page, html_response, page_of, wants_html
from spatial.pages.corner import corner
from spatial.pages.listing import by_standard, half, type_of
from spatial.pages.reading import map_of, parsed, safe, shown_links, template_for


def request(path: str, query: str = "", **headers: str) -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request

    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": query.encode(),
        "headers": [(b"host", b"onemap.test"), *named],
        "scheme": "http",
        "server": ("onemap.test", 80),
        "root_path": "",
        "app": Starlette(),
    }
    return Request(scope)


def page(path: str = "/ogc/things/one", query: str = "", **headers: str) -> Page:
    return page_of(request(path, query, **headers))


def text_of(document: Any, path: str = "/ogc/things/one", query: str = "lang=en") -> str:
    return bytes(html_response(page(path, query), "document.html", {"document": document}).body).decode()


@pytest.mark.parametrize(
    ("query", "accept", "html"),
    [
        ("", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("", "application/json, text/html;q=0.5", False),
        ("", "*/*", False),
        ("", "", False),
        ("", "image/png", False),
        ("", "text/html;q=0, */*", False),
        ("", "text/html;q=x, application/json;q=0.1", False),
        ("f=html", "application/json", True),
        ("f=json", "text/html", False),
    ],
)
def test_who_wants_html(query: str, accept: str, html: bool) -> None:
    assert wants_html(request("/ogc", query, accept=accept)) is html


@pytest.mark.parametrize(
    ("query", "header", "language"),
    [("", "", "zh"), ("", "en-GB,zh;q=0.5", "en"), ("lang=zh", "en", "zh"), ("lang=EN", "zh", "en"), ("", "fr", "zh")],
)
def test_language(query: str, header: str, language: str) -> None:
    assert page("/ogc", query, accept_language=header).language == language


@pytest.mark.parametrize(
    ("path", "root"), [("/ogc", "./"), ("/ogc/", "../"), ("/ogc/collections/a/items", "../../../"), ("/stac", "./")]
)
def test_files_are_found_from_every_depth(path: str, root: str) -> None:
    from urllib.parse import urljoin

    assert page(path).root == root
    assert urljoin(f"http://onemap.test/below{path}", root + "assets/x.js") == "http://onemap.test/below/assets/x.js"


def test_breadcrumb_names_and_links_the_way() -> None:
    crumbs = page("/ogc/collections/tiles/map/tiles/w", "lang=en").crumbs()
    assert [text for _, text in crumbs] == ["Service", "Collections", "tiles", "Map", "Tilesets", "w"]
    assert crumbs[2][0] == "http://onemap.test/ogc/collections/tiles?lang=en"
    assert crumbs[3][0] is None, "the map is a picture, no page"
    assert crumbs[-1][0] is None


def test_a_hostile_document_is_text() -> None:
    evil = "</td><script>alert(1)</script>"
    text = text_of(
        {
            "title": evil,
            evil: evil,
            "list": [{evil: evil, "href": "x"}, {"b": '" onmouseover="x'}],
            "deep": {"a": {"b": {"c": {"d": {"e": evil}}}}},
            "bbox": [1, 2, 3, 4],
            "links": [
                {"href": "javascript:alert(1)", "rel": "next", "title": "bad"},
                {"href": " javascript:alert(1)", "rel": "related", "title": "bad"},
                {"href": "data:text/html,x", "rel": "related", "title": "bad"},
                {"href": "https://example.cn/'\"><b>", "rel": "related", "title": evil},
            ],
        },
        query="lang=en&x=%22%3E%3Cscript%3E",
    )
    assert "<script>" not in text
    assert "javascript:" not in text.lower()
    assert 'href="data:' not in text
    assert 'onmouseover="x' not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize(
    "document", [None, [], {}, "", "plain text", 7, 1.5, True, [1, [2, [3]]], {"a": None}, [[], {}]]
)
def test_any_json_value_is_a_page(document: Any) -> None:
    text = text_of(document)
    assert text.lstrip().startswith("<!doctype html>")
    assert text.count("<h1>") == 1


def test_json_text_is_read() -> None:
    assert parsed('{"a": 1}') == {"a": 1}
    assert parsed("no json") == "no json"
    assert "<code>a</code>" in text_of('{"a": 1}')


def test_long_lists_are_cut_and_say_so() -> None:
    text = text_of({"rows": [{"id": i} for i in range(1000)]})
    assert text.count("<tr>") < 220
    assert "The first 200 of 1000" in text


@pytest.mark.parametrize(
    ("href", "fine"),
    [
        ("https://a.cn/x", True),
        ("/ogc", True),
        ("?a=b", True),
        ("JaVaScRiPt:alert(1)", False),
        ("vbscript:x", False),
        ("\tjavascript:x", False),
        ("", False),
        (None, False),
        ("relative", False),
    ],
)
def test_which_addresses_are_links(href: Any, fine: bool) -> None:
    assert safe(href) is fine


def test_templates_and_posts_are_no_links() -> None:
    links = shown_links(
        [
            {"href": "http://a/{z}", "rel": "item", "title": "t"},
            {"href": "http://a/execution", "rel": "http://www.opengis.net/def/rel/ogc/1.0/execute"},
            {"href": "http://a/self", "rel": "self"},
            {"href": "http://a/b", "rel": "x"},
            {"href": "http://a/b", "rel": "y"},
            "nonsense",
        ]
    )
    assert [(link["href"], link["templated"]) for link in links] == [
        ("http://a/{z}", True),
        ("http://a/execution", True),
        ("http://a/b", False),
    ]


POINT = {"type": "Feature", "id": 7, "geometry": {"type": "Point", "coordinates": [114, 30]}, "properties": {"a": 1}}


@pytest.mark.parametrize(
    ("document", "query", "expected"),
    [
        ({"extent": {"spatial": {"bbox": [[108, 29, 116, 33]]}}}, "", {"bbox": [108, 29, 116, 33], "layer": "dem"}),
        ({"bbox": [108, 29, -5, 116, 33, 5]}, "", {"bbox": [108, 29, 116, 33], "layer": "dem"}),
        ({"bbox": [29, 108, 33, 116]}, "", None),
        ({"bbox": [1, 2]}, "", None),
        ({"bbox": "1,2,3,4"}, "", None),
        (
            {"boundingBox": {"lowerLeft": [108, 29], "upperRight": [116, 33], "crs": "http://x/CRS84"}},
            "",
            {"bbox": [108, 29, 116, 33], "layer": "dem"},
        ),
        ({"boundingBox": {"lowerLeft": [29, 108], "upperRight": [33, 116], "crs": "http://x/EPSG/0/4490"}}, "", None),
        ({"domain": {"axes": {"x": {"values": [110, 111]}, "y": {"start": 31, "stop": 30, "num": 5}}}}, "",
         {"bbox": [110, 30, 111, 31], "layer": "dem"}),
        (POINT, "crs=http://www.opengis.net/def/crs/EPSG/0/4490", None),
        ({"type": "FeatureCollection", "features": []}, "", None),
        ({"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None}]}, "", None),
        (["x"], "", None),
    ],
)  # fmt: skip
def test_where_a_document_lies(document: Any, query: str, expected: Any) -> None:
    assert map_of(document, page("/ogc/collections/dem/position", query)) == expected


def test_geojson_is_drawn_without_its_attributes() -> None:
    found = map_of(POINT, page("/stac/search"))
    assert found == {"geojson": {"type": "FeatureCollection", "features": [POINT | {"properties": {}}]}}
    huge = {"type": "LineString", "coordinates": [[114.123456, 30.123456]] * 30_000}
    assert map_of({"type": "Feature", "geometry": huge}, page()) is None


def test_templates_by_shape() -> None:
    assert template_for({"jobControlOptions": [], "inputs": {}}) == "process.html"
    assert template_for({"jobID": "a", "status": "running"}) == "job.html"
    assert template_for({"tileMatrices": []}) == "matrixset.html"
    assert template_for({"status": "running"}) == "document.html"


@pytest.mark.parametrize(
    ("text", "zh", "en"),
    [
        ("要素 / features", "要素", "features"),
        ("地块：a / b / Parcels: a / b", "地块：a / b", "Parcels: a / b"),
        ("km / h", "km / h", "km / h"),
        ("武汉 / 黄石", "武汉 / 黄石", "武汉 / 黄石"),
        ("只有中文", "只有中文", "只有中文"),
        (None, "", ""),
    ],
)
def test_halves_of_bilingual_texts(text: str | None, zh: str, en: str) -> None:
    assert half(text, page(query="lang=zh")) == zh
    assert half(text, page(query="lang=en")) == en


def test_classes_by_standard() -> None:
    classes = ["http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core", "https://api.stacspec.org/v1.0.0/core"]
    assert by_standard(classes)[0] == ("ogcapi-features-1 1.0", [(classes[0], "core")])


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"enum": ["a", "b"]}, "a | b"),
        ({"type": "boolean", "default": True}, "boolean, default true"),
        ({"oneOf": [{"type": "string"}, {"$ref": "#/components/schemas/bbox"}]}, "string | bbox"),
        ({"type": ["number", "null"], "minimum": 0}, "number | null ≥ 0"),
        (None, ""),
    ],
)
def test_schemas_in_words(schema: Any, text: str) -> None:
    assert type_of(schema) == text


def test_what_is_copied_cannot_break_out() -> None:
    """A quote in the query neither ends the argument of the shell nor the text of Python."""
    import ast

    evil = page("/ogc/collections/a/items", "name=%27%3B+rm+-rf+%2F%3B%27%22%0Aimport%20os")
    snippets = {s.name: s.text for s in corner("document.html", {"document": {"a": 1}}, evil)}
    assert len(shlex.split(snippets["curl"])) == 2
    assert shlex.split(snippets["curl"])[1] == snippets["URL"]
    tree = ast.parse(snippets["Python"])
    assert [type(node).__name__ for node in tree.body] == ["Import", "Assign", "Expr", "Assign", "Expr"]


def test_a_process_is_started_with_its_example() -> None:
    import ast
    import json

    document = {
        "id": "echo",
        "jobControlOptions": ["async-execute"],
        "inputs": {
            "message": {"schema": {"type": "string", "example": "it's 你好"}},
            "free": {"minOccurs": 0, "schema": {"type": "number"}},
        },
    }
    snippets = corner("process.html", {"document": document}, page("/ogc/processes/echo"))
    curl, python = snippets[1].text, snippets[2].text
    assert json.loads(shlex.split(curl.replace("\\\n", ""))[-1]) == {"inputs": {"message": "it's 你好"}}
    assert ast.literal_eval(python.splitlines()[2].partition(" = ")[2]) == {"inputs": {"message": "it's 你好"}}
    document["inputs"]["list"] = {"schema": {"type": "array"}}
    assert "list" in corner("process.html", {"document": document}, page("/ogc/processes/echo"))[2].name


def test_pages_are_guarded() -> None:
    answer = html_response(page(), "document.html", {"document": {}}, headers={"ETag": "x"})
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self'" in policy
    assert answer.headers["etag"] == "x"
    assert answer.headers["vary"] == "Accept, Accept-Language"


def test_layers_that_are_pinned_keep_their_version() -> None:
    from spatial.pages.reading import layer_map

    layer = SimpleNamespace(id="a", synthetic=None)
    table = SimpleNamespace(extent=(108.12345678912, 29, 116, 33), version="1")
    found = layer_map(
        "items.html", {"layer": layer, "table": table}, page("/ogc/collections/a/items", "crs=x&limit=3&f=html")
    )
    assert found["version"] == "1"
    assert found["bbox"] == [108.1234568, 29, 116, 33]
    assert found["features"] == "?limit=3&f=json"


def test_features_are_a_table_with_a_map() -> None:
    link = {"rel": "self", "href": "http://onemap.test/stac/items/7"}
    text = text_of({"type": "FeatureCollection", "features": [POINT | {"links": [link]}, POINT | {"properties": None}]})
    assert "data-map=" in text
    assert '<a href="http://onemap.test/stac/items/7?lang=en">7</a>' in text
    assert '<th scope="col" title="a">a</th>' in text


def test_pages_of_every_shape() -> None:
    described = {"title": "T", "schema": {"type": "number"}}
    process = text_of({"id": "x", "title": "X", "jobControlOptions": ["sync-execute"], "inputs": {"a": described}})
    assert "<strong>T</strong>" in process
    job = text_of({"jobID": "j", "status": "running", "progress": 40, "message": None})
    assert '<progress max="100" value="40"' in job
    matrix = {"id": "0", "cellSize": 0.703125, "pointOfOrigin": [90.0, -180.0], "matrixWidth": 2, "matrixHeight": 1}
    assert "90, -180" in text_of({"id": "c", "tileMatrices": [matrix]})
    operation = {"tags": ["t"], "summary": "查 / look", "responses": {"200": {}}}
    operation["parameters"] = [{"$ref": "#/components/parameters/f"}, {"name": "own", "in": "query", "schema": {}}]
    shared = {"f": {"name": "f", "in": "query", "schema": {"enum": ["json"]}}}
    document = {
        "openapi": "3.0.3",
        "info": {"title": "一 / One", "version": "1"},
        "servers": [{"url": "http://onemap.test/below/ogc"}],
        "paths": {"/": {"get": operation}, "/a/{id}": {"get": operation, "post": operation}},
        "components": {"parameters": shared},
    }
    text = text_of(document)
    assert text.count("<h2><code>") == 3
    assert 'href="http://onemap.test/below/ogc"' in text
    assert '<tr id="p-f">' in text
    assert "<code>f</code>" in text


def test_entries_without_a_page_show_their_links() -> None:
    rows = [{"id": "a", "links": [{"href": "http://a/x.sld", "rel": "stylesheet", "title": "样式 / SLD"}]}]
    assert '<td><a href="http://a/x.sld">SLD</a></td>' in text_of({"styles": rows})
