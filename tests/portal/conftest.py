"""A real headless Chromium on the real demo server; every host but this machine is blocked, and asking one fails the test."""

from __future__ import annotations

import io
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

HERE = Path(__file__).parent
DESKTOP = {"width": 1440, "height": 900}
DEGREES_AT_LEVEL_0 = 180 / 256
"""Degrees a pixel at level 0 of CGCS2000Quad."""

expect.set_options(timeout=15_000)


class Portal:
    """One browser page on the portal, with what it asked and complained about."""

    def __init__(self, context: BrowserContext, server: str) -> None:
        self.server = server
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.responses: list[tuple[int, str]] = []
        context.route("**/*", self._local_only)
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("response", lambda answer: self.responses.append((answer.status, answer.url)))

    def _local_only(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.hostname in {"127.0.0.1", "localhost"} or address.scheme in {"data", "blob"}:
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def _console(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def open(self, state: str = "") -> Page:
        """Open the portal with a state (the part of the link behind ``#``) and wait until the map has drawn."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.server}/{'#' + state if state else ''}")
        expect(self.page.locator("#map[data-revision]")).to_be_attached()
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until the map has nothing to load."""
        self.page.wait_for_timeout(250)
        expect(self.page.locator("#map")).to_have_attribute("aria-busy", "false", timeout=30_000)
        self.page.wait_for_timeout(150)

    def state(self) -> dict[str, str]:
        """What the address says."""
        return dict(part.split("=", 1) for part in urlsplit(self.page.url).fragment.split("&"))

    def active(self) -> list[str]:
        """Ids of the active layers as the list shows them, top first."""
        rows = self.page.locator("#workbench .active-layer")
        return [str(row.get_attribute("data-layer")) for row in rows.all()]

    def tiles(self, layer: str) -> list[int]:
        """Statuses of the tiles of a layer so far."""
        return [status for status, url in self.responses if f"/tiles/{layer}/" in url and "/legend" not in url]

    def picture(self) -> np.ndarray:
        """The map as uint8 (rows, cols, 3)."""
        from PIL import Image

        png = self.page.locator("#map").screenshot()
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))

    def pixel(self, lon: float, lat: float) -> tuple[float, float]:
        """Where a place lies in the map (CGCS2000Quad view), pixels from its upper left corner."""
        box = self.page.locator("#map").bounding_box()
        assert box is not None
        state = self.state()
        assert state["t"] == "c"
        centre = [float(v) for v in state["c"].split(",")]
        resolution = DEGREES_AT_LEVEL_0 / 2 ** float(state["z"])
        return box["width"] / 2 + (lon - centre[0]) / resolution, box["height"] / 2 - (lat - centre[1]) / resolution

    def click_map(self, lon: float, lat: float) -> None:
        """Click a place."""
        x, y = self.pixel(lon, lat)
        self.page.locator("#map").click(position={"x": x, "y": y})

    def check(self) -> None:
        """Nothing was asked outside, nothing went wrong in the console."""
        assert self.outside == [], f"hosts outside were asked: {self.outside}"
        assert self.complaints == []


@pytest.fixture(scope="session")
def client_pages(project_root: Path) -> Iterator[str]:
    """Address of pages of another origin: what stands in this folder, and below ``npm/`` the portal's packages."""
    packages = project_root / "portal" / "node_modules"
    if not (packages / "maplibre-gl").is_dir():
        pytest.fail("缺少 npm 包，请运行 / npm packages are missing, run:\n    cd portal && npm ci", pytrace=False)

    class Files(SimpleHTTPRequestHandler):
        extensions_map = {**SimpleHTTPRequestHandler.extensions_map, ".mjs": "text/javascript"}  # noqa: RUF012
        protocol_version = "HTTP/1.1"

        def translate_path(self, path: str) -> str:
            wanted = urlsplit(path).path
            inside = packages / wanted.removeprefix("/npm/") if wanted.startswith("/npm/") else HERE / wanted[1:]
            return str(inside)

        def log_message(self, *_: Any) -> None:
            pass

    pages = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    yield f"http://localhost:{pages.server_port}"
    pages.shutdown()


@pytest.fixture(scope="session")
def demo_server(start_demo: Callable[..., str], client_pages: str) -> str:
    """The demo server as for every test, but pages of one other origin may call it."""
    return start_demo(store="duckdb", cors_origins=json.dumps([client_pages]))


@pytest.fixture(scope="session")
def server(demo_server: str) -> str:
    """Address of the demo server, which serves the built portal."""
    address = demo_server.rstrip("/")
    with urllib.request.urlopen(f"{address}/", timeout=30) as answer:
        page = answer.read().decode()
    if 'id="app"' not in page:
        pytest.fail(
            "门户未构建，请运行 / the portal is not built, run:\n    cd portal && npm ci && npm run build",
            pytrace=False,
        )
    return address


@pytest.fixture(scope="session")
def catalogue(server: str) -> dict[str, Any]:
    """The catalogue document of the server."""
    with urllib.request.urlopen(f"{server}/api/v1/catalogue", timeout=30) as answer:
        return dict(json.load(answer))


@pytest.fixture(scope="session")
def pick_layer(catalogue: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """The first layer of the catalogue that fits."""

    def pick(what: str, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        found = next((layer for layer in catalogue["layers"] if fits(layer)), None)
        assert found is not None, f"the catalogue has no {what}"
        return dict(found)

    return pick


@pytest.fixture(scope="session")
def browser(chromium_path: Path, chromium_args: list[str]) -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(chromium_path), args=chromium_args)
        yield chromium
        chromium.close()


@pytest.fixture
def portal(browser: Browser, server: str) -> Iterator[Portal]:
    """The portal in a desktop window; checked at the end of each test."""
    context = browser.new_context(viewport=DESKTOP, locale="zh-CN", accept_downloads=True)
    opened = Portal(context, server)
    yield opened
    context.close()
    opened.check()


@pytest.fixture
def phone(browser: Browser, server: str) -> Iterator[Portal]:
    """The portal on a phone."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, device_scale_factor=2, is_mobile=True, has_touch=True, locale="zh-CN"
    )
    opened = Portal(context, server)
    yield opened
    context.close()
    opened.check()
