"""查询统计: identify at a place, coordinates in every usual form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

WUHAN = (114.305, 30.593)


def test_identify_at_wuhan(portal: Any, pick_layer: Any) -> None:
    counties = pick_layer("counties", lambda x: "administrative" in x["theme"] and "count" in x["id"])
    dem = pick_layer(
        "elevation", lambda x: x["kind"] == "raster" and x["style"]["type"] == "ramp" and "relief" in x["theme"]
    )
    page: Page = portal.open(
        f"v=1&c={WUHAN[0]:.5f},{WUHAN[1]:.5f}&z=9.00&t=c&b=plain&l={dem['id']}:100:1,{counties['id']}:60:1"
    )
    portal.click_map(*WUHAN)
    result = page.locator("#identify-result")
    expect(result.locator(".identified")).to_have_count(2)
    expect(result).to_contain_text("EPSG:4526")
    expect(result).to_contain_text("42010")  # codes of the districts of Wuhan
    expect(result).to_contain_text(dem["bands"][0]["unit"])
    expect(result).to_contain_text(dem["version"])
    page.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    page.locator("#copy-json").click()
    expect(page.locator(".toast")).to_be_visible()
    copied = json.loads(page.evaluate("window.copied"))
    assert copied["lon"] == pytest.approx(WUHAN[0], abs=0.005)
    assert copied["lat"] == pytest.approx(WUHAN[1], abs=0.005)
    assert [layer["id"] for layer in copied["layers"]] == [dem["id"], counties["id"]]


def test_identify_without_layers_says_what_to_do(portal: Any) -> None:
    page: Page = portal.open("v=1&c=112.3,31&z=7&t=c&b=plain&l=&p=query")
    page.locator("#identify-centre").click()
    expect(page.locator("#identify-result .empty")).to_contain_text("资源浏览")


@pytest.mark.parametrize(
    ("text", "epsg"),
    [
        ("114.305, 30.593", 4490),
        ("114°18′18″E 30°35′34.8″N", 4490),
        ("38529251.846, 3385891.496", 4526),
        ("3385891.496, 38529251.846", 4526),
    ],
)
def test_coordinates_in(portal: Any, text: str, epsg: int) -> None:
    page: Page = portal.open("v=1&c=112.3,31&z=7&t=c&b=plain&l=&p=query")
    page.fill("#coordinate-input", text)
    page.keyboard.press("Enter")
    expect(page.locator("#locate-message")).to_contain_text(f"EPSG:{epsg}")
    portal.settle()
    centre = [float(v) for v in portal.state()["c"].split(",")]
    assert centre == pytest.approx(WUHAN, abs=2e-5)


def test_metres_without_zone_need_a_zone(portal: Any) -> None:
    page: Page = portal.open("v=1&c=112.3,31&z=7&t=c&b=plain&l=&p=query")
    page.fill("#coordinate-input", "529251.846, 3385891.496")
    page.keyboard.press("Enter")
    expect(page.locator("#locate-message")).to_contain_text("分带")
    assert portal.state()["c"] == "112.30000,31.00000", "nothing is guessed"
    page.select_option("#zone-select", "38")
    page.locator("form button[type=submit]").click()
    expect(page.locator("#locate-message")).to_contain_text("EPSG:4547")
    portal.settle()
    assert [float(v) for v in portal.state()["c"].split(",")] == pytest.approx(WUHAN, abs=2e-5)
