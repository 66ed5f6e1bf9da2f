"""四源 in the portal: flights by date, cameras with sector and snapshots, sensors with their series."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("lakes", "province", "prefectures", "cameras", "bank-sensors")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own with the sample observations."""
    import uvicorn

    from spatial.asgi import PORTAL, create_app
    from spatial.intake.publication import publish_layer
    from spatial.settings import Settings

    if not (PORTAL / "index.html").is_file():
        pytest.fail(
            "门户未构建，请运行 / the portal is not built, run:\n    cd portal && npm ci && npm run build",
            pytrace=False,
        )
    app = create_app(Settings(layers_dir=ROOT / "layers", var_dir=tmp_path_factory.mktemp("observation"), edit="open"))
    store = app.state.datastore
    catalog = store.snapshot().catalog
    for name in LAYERS:
        publish_layer(store, catalog[name])
    sys.path.insert(0, str(ROOT / "data-samples" / "scripts"))
    try:
        import observation_samples

        made = observation_samples.add_samples(store)
        assert made == {"flights": 2, "snapshots": 12, "readings": 1344}
        assert observation_samples.add_samples(store) == {"flights": 0, "snapshots": 0, "readings": 0}
    finally:
        sys.path.pop(0)
    program = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=program.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 30
    while not program.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{program.servers[0].sockets[0].getsockname()[1]}"
    program.should_exit = True
    thread.join(15)


def _open(portal: Any, more: str = "") -> Page:
    page: Page = portal.open(f"v=1&lang=zh&b=none&p=water{more}")
    page.locator("#water-tab-observation").click()
    expect(page.locator("#obs-chart svg")).to_be_visible()
    portal.settle()
    return page


def test_flights_are_shown_by_date(portal: Any) -> None:
    page = _open(portal, "&c=113.358,29.9326&z=15&t=c")
    buttons = page.locator("#obs-flights [data-flight]")
    expect(buttons).to_have_text(["2026-04-12", "2026-09-18"])
    expect(page.locator("#observation .tag.synthetic").first).to_be_visible()
    before = portal.picture()
    pictures = []
    for number in (0, 1):
        buttons.nth(number).click()
        expect(buttons.nth(number)).to_have_attribute("aria-pressed", "true")
        portal.settle()
        pictures.append(portal.picture())
    assert any("/tiles/uav-honghu-north/" in url and "20260918T020000Z" in url for _, url in portal.responses)
    assert np.mean(np.any(before != pictures[0], axis=2)) > 0.2, "a flight covers part of the map"
    assert np.mean(np.any(pictures[0] != pictures[1], axis=2)) > 0.01, "two flights differ"
    buttons.nth(1).click()
    expect(buttons.nth(1)).to_have_attribute("aria-pressed", "false")
    portal.settle()
    assert np.mean(np.any(before != portal.picture(), axis=2)) < 0.9


def test_a_camera_has_snapshots_through_time(portal: Any) -> None:
    page = _open(portal)
    expect(page.locator("[data-camera]")).to_have_count(6)
    page.locator('[data-camera="HH-01"]').click()
    card = page.locator("#obs-camera")
    expect(card.get_by_role("link", name="打开实时画面")).to_have_attribute("rel", "noopener noreferrer")
    shots = card.locator("[data-shot] img")
    expect(shots).to_have_count(2)
    expect(card.locator("figcaption")).to_have_text(["2026-09-18 09:00", "2026-08-18 09:00"])
    for k in range(2):
        shots.nth(k).scroll_into_view_if_needed()
        expect(shots.nth(k)).to_have_js_property("complete", True)
        assert shots.nth(k).evaluate("image => image.naturalWidth") == 320
    card.locator("[data-shot]").first.click()
    large = page.locator(".obs-lightbox")
    expect(large.locator("img")).to_have_attribute("alt", "洪湖北岸围堤 2026-09-18 09:00")
    page.keyboard.press("ArrowLeft")
    expect(large.locator("img")).to_have_attribute("alt", "洪湖北岸围堤 2026-08-18 09:00")
    expect(large.get_by_role("button", name="较早一张")).to_be_disabled()
    page.keyboard.press("Escape")
    expect(large).to_have_count(0)


def test_a_camera_is_chosen_on_the_map(portal: Any) -> None:
    page = _open(portal)
    page.locator('[data-camera="HK-01"]').click()
    expect(page.locator("#obs-camera")).to_contain_text("HK-01")
    portal.settle()
    with_sectors = portal.picture()
    page.locator('[data-camera="HH-04"]').click()
    expect(page.locator("#obs-camera")).to_contain_text("rtsp://10.0.0.14:554/stream1")
    expect(page.locator("#obs-camera a[href^='rtsp']")).to_have_count(0)
    page.locator('[data-camera="HK-01"]').click()
    portal.settle()
    page.locator('[data-camera="HK-01"]').click()  # closes it; the map stays where it is
    expect(page.locator("#obs-camera")).to_have_count(0)
    portal.click_map(114.2905, 30.5690)
    expect(page.locator('[data-camera="HK-01"]')).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#water")).to_be_visible()
    page.locator("#obs-sectors").uncheck()
    portal.settle()
    assert np.mean(np.any(with_sectors != portal.picture(), axis=2)) > 0.005, "the sector is gone"
    page.locator("#obs-sectors").check()


def test_a_sensor_has_a_series_with_flags(portal: Any) -> None:
    page = _open(portal)
    page.locator("#obs-station").select_option("HK-S1")
    expect(page.locator("#obs-flags")).to_contain_text(re.compile(r"孤立尖峰 1.*平直线 29|平直线 29.*孤立尖峰 1"))
    expect(page.locator("#obs-newest")).to_contain_text("2026-10-08 07:00")
    expect(page.locator("#obs-chart svg path").first).to_be_attached()
    with page.expect_download() as caught:
        page.locator("#obs-sensors").get_by_role("link", name=re.compile("CSV|下载")).click()
    lines = Path(caught.value.path()).read_text("utf-8").splitlines()
    assert lines[0] == "station,time,value,unit,field,flag"
    assert len(lines) == 337


def test_english(portal: Any) -> None:
    page = _open(portal)
    page.locator("#obs-station").select_option("HK-S1")
    page.locator("#language").click()
    expect(page.locator("#obs-flights h3")).to_have_text("Drone orthophotos")
    expect(page.locator("#obs-sensors")).to_contain_text("Readings with a flag")
    expect(page.locator("#obs-flights")).to_contain_text("north bank of Honghu")
