"""The HTML pages of the OGC API in a real browser: map, copy buttons, filter, narrow screen, no script; lines that run."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

GROUND = np.array([0xF2, 0xEF, 0xE9])
"""Ground of the map without anything on it."""


class Visit:
    """A browser page on the pages of the API, with what it asked and complained about."""

    def __init__(self, browser: Browser, server: str, **context: Any) -> None:
        self.server = server
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.asked: list[tuple[int, str]] = []
        self.context = browser.new_context(
            **({"viewport": {"width": 1280, "height": 900}, "locale": "zh-CN"} | context)
        )
        self.context.on("request", self._asking)  # noted, not routed: a route would switch the cache off
        self.page: Page = self.context.new_page()
        self.page.on("console", lambda m: m.type in {"error", "warning"} and self.complaints.append(m.text))
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("response", lambda answer: self.asked.append((answer.status, answer.url)))

    def _asking(self, request: Any) -> None:
        address = urlsplit(request.url)
        if address.hostname != "127.0.0.1" and address.scheme not in {"data", "blob", "about"}:
            self.outside.append(request.url)

    def open(self, path: str) -> Page:
        self.page.goto(f"{self.server}{path}")
        return self.page

    def map(self) -> np.ndarray:
        """Picture of the map once it has drawn, uint8 (rows, cols, 3)."""
        from PIL import Image

        box = self.page.locator(".map[data-shown]")
        expect(box).to_have_attribute("aria-busy", "false", timeout=30_000)
        self.page.wait_for_timeout(200)
        return np.asarray(Image.open(io.BytesIO(box.screenshot())).convert("RGB")).astype(int)

    def fits(self) -> bool:
        """True if nothing reaches beyond the right edge of the window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


@pytest.fixture
def visit(browser: Browser, server: str) -> Iterator[Any]:
    """Opens visits; at the end none may have asked another host or complained."""
    opened: list[Visit] = []

    def start(**context: Any) -> Visit:
        opened.append(Visit(browser, server, **context))
        return opened[-1]

    yield start
    for one in opened:
        one.context.close()
        assert one.outside == []
        assert one.complaints == []


def drawn(picture: np.ndarray) -> float:
    """Share of the map that is not bare ground."""
    return float((np.abs(picture - GROUND).sum(axis=2) > 30).mean())


def test_a_vector_collection_is_drawn_over_our_own_base(visit: Any) -> None:
    one = visit()
    page = one.open("/ogc/collections/ecological-redline?f=html&lang=zh")
    picture = one.map()
    assert drawn(picture) > 0.1
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 200
    tiles = [status for status, url in one.asked if "/tiles/ecological-redline/CGCS2000Quad/" in url]
    assert tiles
    assert set(tiles) <= {200, 204}
    assert any("/tiles/province/" in url for _, url in one.asked)
    expect(page.locator("canvas.watermark")).to_be_visible()
    expect(page.get_by_text("合成示例数据，不是真实管控成果")).to_be_visible()


def test_a_raster_collection_is_drawn(visit: Any) -> None:
    one = visit()
    one.open("/ogc/collections/dem?f=html&lang=en")
    assert drawn(one.map()) > 0.3
    assert any("/tiles/dem/CGCS2000Quad/" in url and status == 200 for status, url in one.asked)


def test_features_of_the_page_lie_where_they_should(visit: Any) -> None:
    """Items asked in EPSG:4490 (latitude first) are drawn in longitude, latitude, and the pointer says both orders."""
    one = visit()
    crs = "http://www.opengis.net/def/crs/EPSG/0/4490"
    page = one.open(f"/ogc/collections/counties/items/420102?f=html&lang=en&crs={crs}")
    orange = np.abs(one.map() - np.array([0xBF, 0x43, 0x00])).sum(axis=2) < 90
    rows, cols = np.nonzero(orange)
    height, width = orange.shape
    assert orange.sum() > 300
    # The view is fitted to the feature: its outline spans the map in one direction and lies about its middle.
    assert max(np.ptp(rows) / height, np.ptp(cols) / width) > 0.6
    box = page.locator(".map").bounding_box()
    page.mouse.move(box["x"] + float(cols.mean()), box["y"] + float(rows.mean()))
    text = page.locator(".pointer").inner_text()
    lon, lat = (float(v) for v in re.search(r"CRS84: ([\d.]+),([\d.]+)", text).groups())
    assert f"EPSG:4490 and 4326: {lat:.5f},{lon:.5f}" in text
    assert 114.1 < lon < 114.4
    assert 30.5 < lat < 30.8


def test_rows_and_features_are_marked_together(visit: Any) -> None:
    one = visit()
    page = one.open("/ogc/collections/prefectures/items?f=html&lang=zh&limit=3")
    before = one.map()
    page.locator("tr[data-fid]").first.hover()
    page.wait_for_timeout(300)
    expect(page.locator("tr[data-fid]").first).to_have_class("hit")
    assert (np.abs(one.map() - before).sum(axis=2) > 30).mean() > 0.005


def test_the_map_asks_for_what_it_shows(visit: Any) -> None:
    one = visit()
    page = one.open("/ogc/collections/settlements/items?f=html&lang=zh&limit=5")
    one.map()
    with page.expect_navigation():
        page.get_by_role("button", name="查询当前地图范围").click()
    query = parse_qs(urlsplit(page.url).query)
    west, south, east, north = (float(v) for v in query["bbox"][0].split(","))
    assert 105 < west < east < 120
    assert 27 < south < north < 35
    assert query["limit"] == ["5"]
    expect(page.locator(".chip")).to_contain_text("bbox")
    one.map()


def test_keys_move_the_map_and_a_passing_wheel_does_not(visit: Any) -> None:
    one = visit()
    page = one.open("/ogc/collections/counties?f=html&lang=zh")
    before = one.map()
    page.mouse.move(640, 380)
    page.mouse.wheel(0, 300)
    page.wait_for_timeout(400)
    assert page.evaluate("window.scrollY") > 100, "the wheel scrolls the page"
    page.evaluate("window.scrollTo(0, 0)")
    page.locator(".map").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        page.wait_for_timeout(150)
    page.keyboard.press("+")
    page.wait_for_timeout(500)
    assert (np.abs(one.map() - before).sum(axis=2) > 30).mean() > 0.02
    expect(page.locator(".pointer")).to_contain_text("中心")


def test_copy_buttons(visit: Any) -> None:
    one = visit(permissions=["clipboard-read", "clipboard-write"])
    page = one.open("/ogc/collections/counties/items?f=html&lang=zh&limit=2")
    figure = page.locator("figure.copy").filter(has=page.get_by_text("curl", exact=True))
    figure.get_by_role("button", name="复制 curl").click()
    expect(figure.get_by_role("button")).to_have_text("已复制")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == figure.locator("code").inner_text()
    assert shlex.split(copied)[1] == f"{one.server}/ogc/collections/counties/items?f=json&limit=2"


def test_filter_boxes(visit: Any) -> None:
    one = visit()
    page = one.open("/ogc/collections?f=html&lang=zh")
    page.get_by_role("searchbox").fill("红线")
    expect(page.get_by_role("link", name="生态保护红线")).to_be_visible()
    expect(page.get_by_role("link", name="县级行政区")).to_be_hidden()
    page = one.open("/ogc/openapi?f=html&lang=en")
    page.get_by_role("searchbox").fill("echo execution")
    expect(page.locator(".operation:visible")).to_have_count(1)


def test_pages_fit_a_narrow_screen(visit: Any) -> None:
    one = visit(viewport={"width": 360, "height": 740}, device_scale_factor=2, is_mobile=True, has_touch=True)
    for path, lang in (
        ("/ogc", "en"),
        ("/ogc/collections", "zh"),
        ("/ogc/collections/dem", "en"),
        ("/ogc/collections/counties/items", "zh"),
        ("/ogc/processes/echo", "en"),
        ("/ogc/collections/counties/tiles/CGCS2000Quad", "zh"),
        ("/ogc/tileMatrixSets/CGCS2000Quad", "en"),
        ("/ogc/conformance", "zh"),
    ):
        one.open(f"{path}?f=html&lang={lang}")
        assert one.fits(), path


def test_without_script_the_page_is_complete(visit: Any) -> None:
    one = visit(java_script_enabled=False)
    page = one.open("/ogc/collections/counties/items?f=html&lang=zh&limit=2")
    expect(page.get_by_text("地图需要 JavaScript")).to_be_visible()
    expect(page.locator(".map")).to_be_hidden()
    expect(page.locator("tr[data-fid]")).to_have_count(2)
    page.get_by_text("按字段、范围或 CQL2 筛选").click()
    form = page.locator("form").filter(has=page.locator("input[name=name]"))
    form.locator("input[name=name]").fill("江岸区")
    form.get_by_role("button").click()
    expect(page.locator("tr[data-fid]")).to_have_count(1)


def test_an_error_is_a_page(visit: Any) -> None:
    one = visit()
    page = one.open("/ogc/collections/nothing?lang=en")
    expect(page.get_by_role("alert")).to_contain_text("nothing")
    # A browser reports every 404 of a page itself.
    one.complaints = [text for text in one.complaints if "404" not in text]


def corner(server: str, path: str) -> dict[str, str]:
    """What the corner of a page offers, by name."""
    import html

    with urllib.request.urlopen(f"{server}{path}", timeout=60) as answer:
        text = answer.read().decode()
    found = re.findall(r"<figcaption>(.*?)</figcaption><pre[^>]*><code[^>]*>(.*?)</code>", text, re.DOTALL)
    return {name: html.unescape(code) for name, code in found}


@pytest.mark.parametrize(
    ("path", "prints"),
    [
        ("/ogc?f=html", "links"),
        ("/ogc/collections/counties?f=html", "100 {"),
        ("/ogc/collections/counties/items?f=html&limit=3", "geometry"),
        ("/ogc/collections/counties/items/420102?f=html", "420102"),
        ("/ogc/collections/dem?f=html", "EPSG:4490"),
        ("/ogc/processes/echo?f=html", "201 http"),
        ("/ogc/collections/counties/tiles/CGCS2000Quad?f=html", "tileMatrixSetLimits"),
    ],
)
def test_the_python_lines_run(server: str, path: str, prints: str) -> None:
    code = corner(server, path)["Python"]
    assert len(code.splitlines()) <= 5
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, path, "exec"), {})
    assert prints in printed.getvalue()


def test_the_shell_lines_run(server: str, tmp_path: Any) -> None:
    lines = corner(server, f"/ogc/collections/prefectures/items?f=html&limit=2&name={quote('武汉市')}")
    found = subprocess.run([*shlex.split(lines["curl"]), "-sS"], capture_output=True, timeout=60, check=True)
    assert b'"numberReturned":1' in found.stdout.replace(b" ", b"")
    subprocess.run(shlex.split(lines["GDAL"]), cwd=tmp_path, capture_output=True, timeout=120, check=True)
    assert (tmp_path / "prefectures.gpkg").stat().st_size > 10_000
    started = corner(server, "/ogc/processes/echo?f=html")["curl"]
    answer = subprocess.run(
        ["sh", "-c", f"{started} -sS -w '%{{http_code}}'"], capture_output=True, timeout=60, check=True
    )
    assert answer.stdout.endswith(b"201")
    picture = corner(server, "/ogc/collections/dem?f=html")["GDAL"]
    known = subprocess.run(shlex.split(picture), capture_output=True, timeout=60, check=True)
    assert b"Driver: GTiff" in known.stdout
