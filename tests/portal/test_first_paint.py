"""The first map: Hubei, where it belongs, with no host outside and within the budget."""

from __future__ import annotations

import gzip
import json
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

OUTLINE = np.array([0x5B, 0x2A, 0x86])
"""Colour of the province outline of the base map."""


def test_first_paint_is_not_blank(portal: Any) -> None:
    portal.open()
    picture = portal.picture()
    colours = np.unique(picture.reshape(-1, 3), axis=0)
    assert len(colours) > 500, "a map with relief has many colours"
    ground = (picture == picture[-2, 2]).all(axis=2).mean()
    assert ground < 0.75, f"{ground:.0%} of the map is empty ground"
    statuses = {status for status, url in portal.responses if "/tiles/" in url}
    assert statuses <= {200, 204, 304}


def test_first_view_holds_the_whole_province(portal: Any, catalogue: dict[str, Any]) -> None:
    portal.open()
    box = portal.page.locator("#map").bounding_box()
    west, south, east, north = 108.37, 29.03, 116.13, 33.27
    for lon, lat in ((west, south), (east, north)):
        x, y = portal.pixel(lon, lat)
        assert 0 <= x <= box["width"]
        assert 0 <= y <= box["height"]
    assert portal.state()["t"] == "c", "the first view is CGCS2000"


def test_the_province_outline_is_where_it_should_be(portal: Any, server: str, pick_layer: Any) -> None:
    import shapely

    province = pick_layer("province", lambda x: "administrative" in x["theme"] and "province" in x["id"])
    with urllib.request.urlopen(f"{server}{province['items']}?limit=1", timeout=60) as answer:
        collection = json.load(answer)
    ring = shapely.geometry.shape(collection["features"][0]["geometry"])
    line = max(shapely.get_parts(ring), key=lambda part: part.area).exterior
    portal.open("v=1&c=112.30000,31.10000&z=6.50&t=c&b=plain&l=&lang=zh&p=share")
    portal.page.locator("#side-toggle").click()
    picture = portal.picture().astype(int)
    (left, top), (right, low) = portal.pixel(0, 0), portal.pixel(1, 1)  # degrees to pixels is linear in this view

    def pixel(lon: float, lat: float) -> tuple[float, float]:
        return left + lon * (right - left), top + lat * (low - top)

    close = np.abs(picture - OUTLINE).sum(axis=2) < 150
    met = 0
    samples = [line.interpolate(share, normalized=True) for share in np.linspace(0, 1, 120, endpoint=False)]
    inside = 0
    for point in samples:
        x, y = (round(v) for v in pixel(point.x, point.y))
        if not (4 <= x < picture.shape[1] - 4 and 60 <= y < picture.shape[0] - 4):
            continue
        inside += 1
        met += bool(close[y - 3 : y + 4, x - 3 : x + 4].any())
    assert inside > 90
    assert met / inside > 0.9, f"{met} of {inside} points of the boundary are drawn within 3 pixels"
    far = np.ones_like(close)
    for share in np.linspace(0, 1, 6000, endpoint=False):
        point = line.interpolate(share, normalized=True)
        x, y = (round(v) for v in pixel(point.x, point.y))
        far[max(y - 8, 0) : y + 9, max(x - 8, 0) : x + 9] = False
    far[:60] = False
    assert close[far].mean() < 0.01, "the outline colour stands where no boundary is"


def test_a_place_lies_alike_in_both_projections(portal: Any) -> None:
    page: Page = portal.open("v=1&c=114.30500,30.59300&z=10.00&t=c&b=plain&l=&lang=zh&p=browse")
    page.locator("#set-WebMercatorQuad").click()
    portal.settle()
    state = portal.state()
    assert state["t"] == "w"
    assert float(state["z"]) == pytest.approx(11.0)
    assert [float(v) for v in state["c"].split(",")] == pytest.approx([114.305, 30.593], abs=1e-4)
    assert any("/WebMercatorQuad/" in url and status == 200 for status, url in portal.responses)
    page.locator("#set-CGCS2000Quad").click()
    portal.settle()
    assert [float(v) for v in portal.state()["c"].split(",")] == pytest.approx([114.305, 30.593], abs=1e-4)


def test_pointer_shows_coordinates(portal: Any) -> None:
    page: Page = portal.open("v=1&c=114.30500,30.59300&z=12.00&t=c&b=plain&l=&lang=zh&p=browse")
    box = page.locator("#map").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(page.locator("#pointer")).to_contain_text("114.30")
    expect(page.locator("#pointer")).to_contain_text("EPSG:4526")
    text = page.locator("#pointer").inner_text()
    easting, northing = (float(v) for v in (text.split("E ")[-1].split()[0], text.split("N ")[-1].split()[0]))
    assert easting == pytest.approx(38529251.8, abs=60)
    assert northing == pytest.approx(3385891.5, abs=60)


def test_another_host_is_noticed_and_never_reached(portal: Any) -> None:
    """What every other test relies on: a name or a number outside has no address here, and asking one is on the list."""
    hosts = ["http://example.org/", "http://192.0.2.7/", "https://tiles.example.org/1.png", "http://[2001:db8::1]/"]
    failed: dict[str, Any] = {}
    portal.page.on("requestfailed", lambda request: failed.update({request.url: request.failure}))
    ask = "address => fetch(address, { mode: 'no-cors' }).then(() => true, () => false)"
    assert [portal.page.evaluate(ask, host) for host in hosts] == [False] * 4
    assert portal.outside == hosts
    assert failed == dict.fromkeys(hosts, "net::ERR_NAME_NOT_RESOLVED")
    portal.outside.clear()
    portal.complaints.clear()


def test_javascript_budget(project_root: Path) -> None:
    assets = project_root / "spatial" / "static" / "portal" / "assets"
    total = sum(len(gzip.compress(path.read_bytes())) for path in assets.glob("*.js"))
    assert 0 < total <= 450_000


def test_page_needs_no_inline_script(server: str) -> None:
    with urllib.request.urlopen(f"{server}/", timeout=30) as answer:
        policy = answer.headers["Content-Security-Policy"]
        page = answer.read().decode()
    assert "default-src 'self'" in policy
    assert "unsafe-eval" not in policy
    script = policy.partition("script-src")[2].partition(";")[0]
    assert "unsafe-inline" not in script
    assert page.count("<script") == page.count('<script type="module" crossorigin src=')
    assert "http://" not in page.replace(server, "")
    assert "https://" not in page
