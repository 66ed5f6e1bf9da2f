"""湿地 in the portal: the list of wetlands, what is known of one, the way to its page from the panel and from a click."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("ramsar-sites", "nature-reserves", "lakes", "bird-observations", "province")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own without any result: figures must read as not assessed."""
    import uvicorn

    from spatial.asgi import PORTAL, create_app
    from spatial.intake.publication import publish_layer
    from spatial.settings import Settings

    if not (PORTAL / "index.html").is_file():
        pytest.fail(
            "门户未构建，请运行 / the portal is not built, run:\n    cd portal && npm ci && npm run build",
            pytrace=False,
        )
    folder = tmp_path_factory.mktemp("wetland")
    own = {
        "layers_dir": ROOT / "layers",
        "var_dir": folder / "var",
        "scenes_path": folder / "scenes",
        "store": "duckdb",
    }
    app = create_app(Settings.model_validate(own))
    store = app.state.datastore
    for name in LAYERS:
        publish_layer(store, store.snapshot().catalog[name])
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join(20)


def test_a_wetland_and_its_page(portal: Any) -> None:
    page = portal.open("v=1&lang=zh&b=none&p=water")
    page.locator("#water-tab-wetland").click()
    site = page.locator("#wetland-site")
    expect(site).to_contain_text("洪湖国际重要湿地")
    expect(site).to_contain_text("未评价")
    expect(site).to_contain_text("onemap run water-watch")
    expect(site).to_contain_text("不是湿地或保护区的法定边界")
    page.locator("#wetland-select").select_option("ramsar-2186")
    expect(site).to_contain_text("神农架大九湖")
    with page.expect_popup() as opened:
        page.locator("#wetland-open").click()
    expect(opened.value.locator("h1")).to_contain_text("神农架大九湖国际重要湿地")
    expect(opened.value.locator(".map.ready canvas").first).to_be_visible()


def test_a_click_on_a_listed_site_leads_to_its_page(portal: Any) -> None:
    page = portal.open("v=1&lang=en&b=none&p=query&l=ramsar-sites:100:1&c=113.83000,30.33000&z=11&t=c")
    page.locator("#identify-centre").click()
    link = page.locator("#identify-result a", has_text="Open its page")
    expect(link).to_be_visible()
    assert "/api/v1/wetlands/ramsar-2184?f=html&lang=en" in str(link.get_attribute("href"))
