"""Every operation that offers HTML answers a sound page in both languages, with nothing from outside and nothing inline."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
ENDS_P = {"table", "ul", "ol", "div", "section", "p", "h1", "h2", "h3", "pre", "form", "details", "figure", "nav"}
OURS = "onemap.test"
FILLED = {"tileMatrixSetId": "WebMercatorQuad", "featureId": "1"}
"""Values of path parameters; an operation with another one is left to the tests of its standard."""


class Sound(HTMLParser):
    """Reads a page strictly: balanced, labelled, nothing inline, nothing from another host."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.seen: dict[str, list[dict[str, str]]] = {}
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = {name: value or "" for name, value in attrs}
        self.seen.setdefault(tag, []).append(given)
        if tag in ENDS_P and "p" in self.open:
            self.wrong.append(f"<{tag}> inside <p>")
        if tag not in VOID:
            self.open.append(tag)
        if "id" in given:
            self.ids.append(given["id"])
        for name, value in given.items():
            if name.startswith("on") or name == "style":
                self.wrong.append(f"inline {name} in <{tag}>")
            if name in ("href", "src", "action", "data", "srcset"):
                self.address(tag, name, value)
        if tag == "th" and "scope" not in given:
            self.wrong.append("<th> without scope")
        labelled = "label" in self.open or "aria-label" in given or given.get("type") == "hidden"
        if tag in ("input", "select", "textarea") and not labelled:
            self.wrong.append(f"<{tag} name={given.get('name')}> without a label")

    def address(self, tag: str, name: str, value: str) -> None:
        scheme, host = urlsplit(value).scheme.lower(), urlsplit(value).hostname
        if scheme not in ("", "http", "https"):
            self.wrong.append(f"{name}={value[:60]}")
        elif tag == "a":
            self.links.append(value)
        elif host not in (None, OURS):
            self.wrong.append(f"<{tag}> asks {host}")

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}> closes nothing")


def sound(text: str, language: str) -> Sound:
    """The page read; fails with what is wrong in it."""
    assert text.lstrip().startswith("<!doctype html>")
    found = Sound()
    found.feed(text)
    found.close()
    assert not found.wrong, sorted(set(found.wrong))[:5]
    assert not found.open
    assert len(found.ids) == len(set(found.ids))
    assert found.seen["html"][0]["lang"] == language
    for tag in ("h1", "title", "main"):
        assert len(found.seen[tag]) == 1, tag
    assert len(found.seen["style"]) == 1
    scripts = found.seen.get("script", [])
    assert all(re.fullmatch(r"(\./|(\.\./)*)assets/ogcmap-[\w-]+\.js", script["src"]) for script in scripts)
    return found


def _resolved(document: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    for step in part["$ref"].split("/")[1:] if "$ref" in part else ():
        document = document[step]
    return document if "$ref" in part else part


def pages(document: dict[str, Any], expanded: Any) -> list[str]:
    """Paths of the operations that offer HTML."""
    found = []
    for path, item in expanded(document):
        if "get" not in item:
            continue
        answer = _resolved(document, item["get"]["responses"]["200"])
        if "text/html" not in answer.get("content", {}):
            continue
        filled = re.sub(r"\{(\w+)\}", lambda m: FILLED.get(m[1], m[0]), path)
        if "{" not in filled:
            found.append("/ogc" + filled.rstrip("/"))
    return found


@pytest.fixture(scope="module")
def offered(client: Any, expanded: Any, hand_made: Any) -> list[str]:
    """Every page of the small catalogue that needs no further knowledge; layers that other tests have added are left out."""
    known = {*hand_made.definitions, "catalogue"}
    found = pages(client.get("/ogc/openapi").json(), expanded)
    found = [path for path in found if not path.startswith("/ogc/collections/") or path.split("/")[3] in known]
    tiles = [f"/ogc/collections/{c}/{kind}/tiles" for c, kind in (("relief", "map"), ("parcels", "map"))]
    tiles += ["/ogc/collections/parcels/tiles", "/ogc/tileMatrixSets"]
    tiles += [f"{path}/CGCS2000Quad" for path in tiles]
    return list(dict.fromkeys([*found, "/ogc/openapi", *tiles]))


@pytest.mark.requirement("ogcapi-common-1/1.0", "/req/html/definition")
@pytest.mark.requirement("ogcapi-common-1/1.0", "/req/html/content")
@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/html/definition")
@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/html/content")
def test_every_offered_page_is_sound(client: Any, offered: list[str]) -> None:
    assert len(offered) > 30
    asked = {path.removeprefix("/ogc") for path in offered}
    assert {"", "/collections", "/conformance", "/collections/parcels/items", "/collections/parcels/items/1",
            "/collections/relief", "/processes", "/processes/echo", "/jobs"} <= asked  # fmt: skip
    wrong = []
    for path in offered:
        for language, tag in (("zh", "zh-CN"), ("en", "en")):
            # The same templates: one layer more shows nothing new.
            if "grid-points" in path or ("gauges" in path and language == "en"):
                continue
            answer = client.get(path, params={"f": "html", "lang": language})
            try:
                check_page(answer, tag)
            except AssertionError as error:
                wrong.append(f"{path} ({language}): {str(error).splitlines()[0]}")
    assert wrong == []


def check_page(answer: Any, tag: str) -> None:
    """The answer is a guarded, sound page in one language with a corner to copy from."""
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-language"] == tag
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'; script-src 'self'; connect-src 'self'" in policy
    assert len(sound(answer.text, tag).seen["figure"]) >= 3


def test_every_link_of_a_page_leads_somewhere(client: Any) -> None:
    """From the landing page on, as a browser asks; pages of one vector and one raster layer, two links deep from there."""
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8", "Accept-Language": "en"}
    start = [
        "/ogc", "/ogc/collections", "/ogc/collections/parcels", "/ogc/collections/relief", "/ogc/tileMatrixSets",
        "/ogc/collections/parcels/items?limit=2", "/ogc/collections/parcels/items/1", "/ogc/collections/parcels/tiles",
        "/ogc/collections/parcels/tiles/WebMercatorQuad", "/ogc/collections/relief/map/tiles", "/ogc/processes/echo",
        "/ogc/collections/parcels/queryables", "/ogc/jobs", "/ogc/collections/catalogue/items", "/ogc/openapi?f=html",
        "/ogc/styles/default/metadata",
    ]  # fmt: skip
    tried: dict[str, str] = {}
    for path in start:
        answer = client.get(path, headers=browser)
        read = sound(answer.text, "en")
        for href in read.links:
            address = urljoin(f"http://{OURS}{path}", href)
            # Of the API documentation the operations of two layers: the others are the same.
            other = "openapi" in path and not re.search(r"/collections/(parcels|relief|catalogue)\b", address)
            if urlsplit(address).hostname == OURS and not urlsplit(href).fragment and not other:
                tried.setdefault(address.partition("#")[0], path)
    broken = []
    for address, path in tried.items():
        status = client.get(address, headers=browser).status_code
        # The portal is built or says how to build it.
        if status >= 400 and urlsplit(address).path != "/":
            broken.append(f"{status} {address} on {path}")
    assert len(tried) > 40
    assert broken == []


def test_the_catalogue_leads_to_its_records_and_searches_itself(client: Any) -> None:
    text = client.get("/ogc/collections/catalogue/items?f=html&lang=zh").text
    assert 'href="http://onemap.test/ogc/collections/catalogue/items/parcels?lang=zh"' in text
    form = re.search(r'<form method="get" action="([^"]+)" role="search">', text)
    assert form is not None
    found = client.get(urlsplit(form[1]).path, params={"f": "html", "lang": "zh", "q": "parcels"})
    assert found.status_code == 200
    assert "items/parcels?lang=zh" in found.text


def test_long_lists_of_conditions_are_folded(client: Any) -> None:
    """A catalogue of many sources names the twelve most frequent; no condition is longer than a line."""
    from starlette.requests import Request

    from spatial.pages import page_of, render

    scope = {"type": "http", "method": "GET", "path": "/ogc/collections/catalogue/items", "query_string": b"", "headers": [],
             "server": ("onemap.test", 80), "scheme": "http", "app": client.app}  # fmt: skip
    buckets = [{"value": f"部门 {n} " + "很长的署名" * 30, "count": 1} for n in range(30)]
    values = {"path": "/ogc/collections/catalogue/items", "resources": [], "matched": 0, "offset": 0, "parameters": {},
              "facets": [("department", {"buckets": buckets})], "theme_titles": {}, "type_titles": {},
              "here": lambda changes: "?", "links": []}  # fmt: skip
    text = render("records.html", page_of(Request(scope), language="en"), values)
    assert "<summary>18 more</summary>" in text
    assert "Department or source" in text
    shown = re.findall(r">(部门 [^<]*)</a>", text)
    assert len(shown) == 30
    assert max(map(len, shown)) <= 48
    sound(text, "en")


def test_numbers_and_units_are_printed_as_people_write_them(client: Any) -> None:
    """No float noise, no unit «1», squares as squares; the exact numbers are in the JSON."""
    from spatial.pages import reading

    for path in ("/ogc/collections/relief", "/ogc/collections/parcels", "/ogc/collections/parcels/items/1"):
        text = client.get(f"{path}?f=html&lang=en").text
        main = re.sub(r"<[^>]+>", " ", text[text.index("<main") : text.index('class="corner"')])
        assert re.findall(r"\d\.\d{9,}", main) == [], path
        assert re.findall(r"\b(?:km|hm|m)[23]\b", re.sub(r"[a-z]+_\w+", "", main)) == [], path
    assert [reading.unit(name) for name in ("1", "m2", "hm2", "MJ·mm/(hm2·h·a)", "%", "mg/m3")] == [
        "", "m²", "hm²", "MJ·mm/(hm²·h·a)", "%", "mg/m³"]  # fmt: skip


def test_lists_whose_entries_have_pages_show_no_nested_tables(client: Any) -> None:
    for path in ("/ogc/tiles", "/stac/collections", "/ogc/collections/gauges/instances"):
        text = client.get(f"{path}?f=html&lang=zh").text
        assert "facts-table" not in text[text.index("<h2>") : text.index('class="corner"')], path


def test_the_services_that_the_portal_names_answer(client: Any) -> None:
    from spatial.settings import PROJECT_ROOT

    source = (PROJECT_ROOT / "portal" / "src" / "ui" / "sharepanel.ts").read_text("utf-8")
    paths = re.findall(r'^  \["[^"]+", "(/[^"]+)"\],$', source, re.MULTILINE)
    assert len(paths) >= 7
    assert [path for path in paths if client.get(path, headers={"Accept": "text/html,*/*"}).status_code != 200] == []


def test_sortables_are_called_so(client: Any) -> None:
    assert (
        "可排序字段"
        in re.search(r"<h1>.*?</h1>", client.get("/ogc/collections/parcels/sortables?f=html&lang=zh").text)[0]
    )


def test_hostile_names_are_text(client: Any) -> None:
    for path in ("/ogc/collections/parcels/items", "/ogc/collections/parcels/items/3"):
        text = client.get(path, params={"f": "html"}).text
        assert "<b>" not in text
        assert "&lt;b&gt;三号&lt;/b&gt;" in text
    evil = '"><script>alert(1)</script>'
    for path, name in (
        ("/ogc/collections/parcels/items", "name"),
        ("/ogc/collections", "no"),
        ("/ogc/collections/<b>", "no"),
    ):
        text = client.get(path, params={name: evil, "lang": "en"}, headers={"Accept": "text/html"}).text
        assert "<script>alert" not in text
        assert "<b>" not in text
        sound(text, "en")


def test_synthetic_layers_bear_their_mark(client: Any) -> None:
    for path in ("", "/items", "/items/1", "/queryables", "/schema", "/tiles", "/tiles/WebMercatorQuad"):
        text = client.get(f"/ogc/collections/parcels{path}?f=html&lang=en").text
        assert "synthetic sample" in text, path
        assert "合成" in client.get(f"/ogc/collections/parcels{path}?f=html&lang=zh").text, path


def test_licence_grade_and_attribution_are_shown(client: Any) -> None:
    text = client.get("/ogc/collections/parcels?f=html&lang=zh").text
    for shown in ("CC-BY-4.0", "公开", "测试", "密级"):
        assert shown in text


def test_collections_stand_below_their_theme(client: Any) -> None:
    text = client.get("/ogc/collections?f=html&lang=zh").text
    assert text.index("<h2>基础") < text.index("/ogc/collections/parcels?lang=zh")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/ogc/collections/nothing", 404, "nothing"),
        ("/ogc/nowhere", 404, "/ogc/nowhere"),
        ("/ogc/collections/parcels/items?bbox=1,2", 400, "bbox"),
        ("/ogc/collections/parcels/tiles?nothing=1", 400, "nothing"),
        ("/ogc/tileMatrixSets/Unknown", 404, "Unknown"),
        ("/api/v1/nowhere", 404, "/api/v1/nowhere"),
    ],
)
def test_errors_are_pages_for_a_browser_and_problems_for_programs(
    client: Any, path: str, status: int, says: str
) -> None:
    page = client.get(path, headers={"Accept": "text/html", "Accept-Language": "en"})
    assert page.status_code == status
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert says in page.text
    sound(page.text, "en")
    for headers in ({}, {"Accept": "application/json"}, {"Accept": "*/*"}):
        problem = client.get(path, headers=headers)
        assert problem.status_code == status
        assert problem.headers["content-type"] == "application/problem+json"
        assert problem.json()["status"] == status


def test_a_method_that_is_not_allowed_is_a_page_too(client: Any) -> None:
    answer = client.request("PUT", "/ogc/conformance", headers={"Accept": "text/html"})
    assert answer.status_code == 405
    assert answer.headers["content-type"].startswith("text/html")


def test_tile_documents_are_json_unless_html_is_wanted(client: Any) -> None:
    path = "/ogc/collections/parcels/tiles/WebMercatorQuad"
    plain = client.get(path)
    assert plain.headers["content-type"] == "application/json"
    assert "Accept" in plain.headers["vary"]
    assert [link["type"] for link in plain.json()["links"] if link["rel"] == "alternate"] == ["text/html"]
    page = client.get(path, headers={"Accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["etag"] != plain.headers["etag"]
    again = client.get(path, headers={"Accept": "text/html", "If-None-Match": page.headers["etag"]})
    assert again.status_code == 304
    assert client.get(f"{path}?f=xml").status_code == 400
    assert client.get(f"{path}?lang=fr").status_code == 400


def test_the_map_reads_crs84_whatever_the_page_was_asked_in(client: Any) -> None:
    import html
    import json

    crs = "http://www.opengis.net/def/crs/EPSG/0/4490"
    text = client.get("/ogc/collections/parcels/items", params={"f": "html", "crs": crs, "limit": 2}).text
    spec = json.loads(html.unescape(re.search(r'data-map="([^"]*)"', text)[1]))
    assert spec["layer"] == "parcels"
    assert spec["bbox"] == [114.0, 30.0, 114.3, 30.3]
    assert spec["synthetic"] is True
    features = client.get("/ogc/collections/parcels/items" + spec["features"])
    assert features.headers["content-type"] == "application/geo+json"
    assert "CRS84" in features.headers["content-crs"]
    assert len(features.json()["features"]) == 2


def test_filter_forms_keep_the_other_conditions(client: Any) -> None:
    text = client.get("/ogc/collections/parcels/items?f=html&use=1&limit=2&after=1").text
    form = next(part for part in text.split("<form")[1:] if 'name="name"' in part)
    assert '<input type="hidden" name="use" value="1">' in form
    assert 'name="after"' not in form
    assert "use = 1" in text
    assert client.get("/ogc/collections/parcels/items?f=html&use=1&name=x&limit=2").status_code == 200


def test_a_page_changes_with_the_script_of_the_map(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who holds a page from before a new build of the portal must not be told 304: its script is gone."""
    from spatial.pages import rendering

    tag = client.get("/ogc?f=html").headers["etag"]
    monkeypatch.setattr(rendering, "_script", lambda: "assets/ogcmap-new.js")
    answer = client.get("/ogc?f=html", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert 'src="./assets/ogcmap-new.js"' in answer.text


def test_pages_are_complete_without_the_script(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial.pages import rendering

    monkeypatch.setattr(rendering, "_script", lambda: None)
    text = client.get("/ogc/collections/parcels/items?f=html").text
    assert "<script" not in text
    assert "地图需要 JavaScript" in text
    assert "武汉一号" in text
    sound(text, "zh-CN")
