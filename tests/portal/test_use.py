"""Language, share link, phone, keyboard, layout export, and what is said when the server does not answer."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

pytestmark = pytest.mark.browser

CJK = re.compile(r"[\u4e00-\u9fff]")


def test_language_switch(portal: Any, pick_layer: Any) -> None:
    layer = pick_layer("layer", lambda x: not x["synthetic"])
    page: Page = portal.open()
    expect(page.locator("#tool-browse")).to_have_text("资源浏览")
    page.locator("#language").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("#layer-tree")).to_contain_text(layer["title"]["en"])
    for tool in ("browse", "query", "compare", "carto", "share"):
        if tool != "browse":
            page.locator(f"#tool-{tool}").click()
        expect(page.locator("#panel h2")).not_to_have_text(CJK)
        if tool == "compare":
            expect(page.locator("#run-analysis")).to_be_visible()
        text = page.locator("#panel").inner_text()
        assert not CJK.search(text), f"Chinese in the English panel {tool}: {text}"
    page.locator("#language").click()
    expect(page.locator("#tool-browse")).to_have_text("资源浏览")


def test_share_link_round_trip(portal: Any, pick_layer: Any) -> None:
    low = pick_layer("ramp", lambda x: x["kind"] == "raster" and x["style"]["type"] == "ramp")["id"]
    high = pick_layer("counties", lambda x: "administrative" in x["theme"] and "count" in x["id"])["id"]
    link = f"v=1&c=113.50000,30.20000&z=8.25&t=w&b=plain&l={high}:40:1,{low}:75:0&lang=en&p=share"
    page: Page = portal.open(link)
    assert page.url.partition("#")[2] == link
    shared = page.locator("#share-link").input_value()
    assert shared == page.url
    portal.open(shared.partition("#")[2])
    assert page.url.partition("#")[2] == link
    assert portal.active() == [high, low]
    expect(page.locator(f'#workbench [data-focus="opacity {high}"]')).to_have_value("40")
    expect(page.locator("#set-WebMercatorQuad")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#tool-share")).to_have_attribute("aria-pressed", "true")


def test_phone(phone: Any, pick_layer: Any) -> None:
    layer = pick_layer("counties", lambda x: "administrative" in x["theme"] and "count" in x["id"])
    page: Page = phone.open()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out"
    for button in page.locator(".tools button").all():
        box = button.bounding_box()
        assert box["height"] >= 44
        assert box["width"] >= 44
    page.locator("#tool-browse").tap()
    page.locator(f'#layer-tree input[data-layer="{layer["id"]}"]').locator("xpath=..").tap()
    phone.settle()
    assert 200 in phone.tiles(layer["id"])
    page.locator("#tool-browse").tap()
    expect(page.locator("#panel")).to_be_hidden()
    x, y = phone.pixel(114.305, 30.593)
    page.locator("#map").tap(position={"x": x, "y": y})
    expect(page.locator("#identify-result .identified")).to_have_count(1)
    expect(page.locator("#identify-result")).to_contain_text("42")


def test_keyboard_only(portal: Any, pick_layer: Any) -> None:
    layer = pick_layer("counties", lambda x: "administrative" in x["theme"] and "count" in x["id"])
    page: Page = portal.open()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    _tab_to(page, "tool-browse")
    _tab_to(page, "layer-search")
    page.keyboard.type(layer["id"])
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.layer") == layer["id"]:
            break
    page.keyboard.press("Space")
    assert portal.active() == [layer["id"]]
    assert page.evaluate("document.activeElement.dataset.layer") == layer["id"], "the focus stays where it was"
    _tab_to(page, "map")
    zoom = float(portal.state()["z"])
    page.keyboard.press("+")
    page.wait_for_timeout(600)
    assert float(portal.state()["z"]) > zoom
    centre = portal.state()["c"]
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(600)
    assert portal.state()["c"] != centre
    page.keyboard.press("Enter")
    expect(page.locator("#identify-result .identified")).to_have_count(1)


def _tab_to(page: Page, element: str, most: int = 60) -> None:
    for _ in range(most):
        if page.evaluate("document.activeElement.id") == element:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not reach #{element}")


def test_map_export(portal: Any, pick_layer: Any) -> None:
    from PIL import Image

    layer = pick_layer("synthetic layer", lambda x: x["synthetic"] and x["kind"] == "vector")
    page: Page = portal.open(f"v=1&c=112.30000,31.00000&z=6.50&t=c&b=relief&l={layer['id']}:100:1&p=carto")
    page.fill("#map-title", "测试图")
    with page.expect_download() as download:
        page.locator("#export-map").click()
    picture = np.asarray(Image.open(io.BytesIO(download.value.path().read_bytes())).convert("RGB"))
    box = page.locator("#map").bounding_box()
    assert picture.shape[0] > box["height"]
    assert picture.shape[1] > box["width"]
    body = picture[64 : 64 + int(box["height"]), 28 : 28 + int(box["width"])]
    assert len(np.unique(body.reshape(-1, 3), axis=0)) > 500, "the map is on the sheet"
    red = (body[..., 0].astype(int) - body[..., 1] > 40) & (body[..., 0].astype(int) - body[..., 2] > 40)
    assert red.mean() > 0.003, "the watermark is on the sheet"


def test_the_server_does_not_answer(portal: Any) -> None:
    page = portal.page
    broken = [True]

    def fail(route: Route) -> None:
        if broken[0]:
            route.fulfill(
                status=503,
                content_type="application/problem+json",
                body='{"status":503,"detail":"x","detail_zh":"数据库没有应答","detail_en":"no answer"}',
            )
        else:
            route.fallback()

    page.route("**/api/v1/catalogue", fail)
    page.goto(f"{portal.server}/")
    box = page.locator("#layer-tree .error")
    expect(box).to_contain_text("数据库没有应答")
    expect(box).to_contain_text("503")
    broken[0] = False
    box.get_by_role("button").click()
    expect(page.locator("#layer-tree input[data-layer]").first).to_be_attached()
    # The browser itself reports the failed request; nothing else may be reported.
    assert all("503" in text for text in portal.complaints)
    portal.complaints.clear()


def test_contrast_of_texts(portal: Any) -> None:
    """Text and ground of the main parts differ by at least 4.5 : 1 (WCAG AA)."""
    page: Page = portal.open("v=1&p=query")
    pairs = page.evaluate(
        """() => {
          const ground = (e) => {
            for (; e; e = e.parentElement) {
              const c = getComputedStyle(e).backgroundColor;
              if (c && !c.endsWith(', 0)') && c !== 'transparent') return c;
            }
            return 'rgb(255, 255, 255)';
          };
          const wanted = '#panel h2, #panel h3, #panel .hint, #panel .button, .side-head, .badge, ' +
            '.status span, .segmented button';
          return [...document.querySelectorAll(wanted)]
            .filter((e) => e.textContent.trim())
            .map((e) => [e.textContent.trim().slice(0, 30), getComputedStyle(e).color, ground(e)]);
        }"""
    )
    assert len(pairs) > 10
    for text, ink, ground in pairs:
        assert _contrast(ink, ground) >= 4.5, f"{text}: {ink} on {ground}"


def _contrast(a: str, b: str) -> float:
    def luminance(colour: str) -> float:
        channels = [float(v) / 255 for v in re.findall(r"[\d.]+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)
