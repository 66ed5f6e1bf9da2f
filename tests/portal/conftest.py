"""A real headless Chromium on the real demo server; every host but this machine is blocked, and asking one fails the test."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SMALL_LAKE_LAYERS = (
    "lakes", "province", "prefectures", "water-quality-sections", "river-gauges", "river-reaches", "management-range",
    "works-permits", "hankou-terrain", "hankou-river", "hankou-dikes", "hankou-land", "hankou-works", "polders",
    "detention-areas", "roads",
)  # fmt: skip
SMALL_LAKE_KM2 = 27.1
"""Water that the made protection line of the small lake asks to be kept."""
DESKTOP = {"width": 1440, "height": 900}
DEGREES_AT_LEVEL_0 = 180 / 256
"""Degrees a pixel at level 0 of CGCS2000Quad."""

UNUSED_FEATURES = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup",
    # Playwright's own list in short: of two switches of one name Chromium takes the last.
    "AvoidUnnecessaryBeforeUnloadCheckSync", "DestroyProfileOnBrowserClose", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "OptimizationHints", "PaintHolding", "ThirdPartyStoragePartitioning", "AimEnabled", "PreconnectToSearch",
)  # fmt: skip
"""Parts of Chromium's own window, which every page would get and draw for itself although nobody sees it."""

expect.set_options(timeout=15_000)


def is_local(address: str) -> bool:
    """True if an address lies on this machine or in the page itself."""
    parts = urlsplit(address)
    return parts.hostname in {"127.0.0.1", "localhost"} or parts.scheme in {"data", "blob", "about"}


class Portal:
    """One browser page on the portal, with what it asked and complained about."""

    def __init__(self, context: BrowserContext, server: str) -> None:
        self.server = server
        self.outside: list[str] = []
        self.complaints: list[str] = []
        self.responses: list[tuple[int, str]] = []
        # Noted, not routed: no name but this machine's resolves, and a route would pass every request through the test and
        # switch the cache off, which users have.
        context.on("request", self._asked)
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"page error: {error}"))
        self.page.on("response", lambda answer: self.responses.append((answer.status, answer.url)))

    def _asked(self, request: Request) -> None:
        if not is_local(request.url):
            self.outside.append(request.url)

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
def chromium_args(chromium_args: list[str]) -> list[str]:
    """Without what a window without a user does not need."""
    return [*chromium_args, f"--disable-features={','.join(UNUSED_FEATURES)}"]


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


def _small_scenes(folder: Path) -> Any:
    """Chenhu (沉湖), four clear days a year for four years; a polder of 20 ha from 2016-08 on; one day under cloud.

    Returns the level of the water by time, m.
    """
    spec = importlib.util.spec_from_file_location(
        "portal_water_scenes", ROOT / "data-samples" / "scripts" / "water_scenes.py"
    )
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    lake = made.Lake(
        "small-scenes",
        "小湖（合成）",
        "Small lake (synthetic)",
        "沉湖",
        made._seasons(range(2015, 2019), (1, 4, 7, 10)),
        20.0,
        0.7,
        plots=(made.Plot("reclaimed", datetime(2016, 8, 1, tzinfo=UTC), 20.0, 0.4),),
        bad={5: "all-cloud"},
    )
    made.make(lake, folder)
    return lambda when: made.level(lake, when)


def _small_lake_line(store: Any, level: Any) -> None:
    """Protection line and levels of Chenhu in the place of those of the sample lakes."""
    import geopandas
    import pandas as pd
    import shapely

    catalog = store.snapshot().catalog
    outline = shapely.box(113.75, 30.25, 113.95, 30.40)
    line = {
        "name": ["沉湖"], "zone": ["protection"], "water_km2": [SMALL_LAKE_KM2], "level_m": [20.0],
        "ecological_level_m": [19.5], "area_km2": [30.0],
    }  # fmt: skip
    store.publish_vector(catalog["lake-protection-lines"], geopandas.GeoDataFrame(line, geometry=[outline], crs=4490))
    times = [datetime(2015, 1, 1, tzinfo=UTC) + timedelta(days=10 * k) for k in range(146)]
    readings = {"lake": "沉湖", "time": pd.DatetimeIndex(times), "level_m": [round(level(when), 2) for when in times]}
    points = [shapely.Point(113.85, 30.32)] * len(times)
    store.publish_vector(catalog["lake-levels"], geopandas.GeoDataFrame(readings, geometry=points, crs=4490))


@pytest.fixture(scope="session")
def small_lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A server and a worker of their own: small scenes, a watch and an assessment that ran, everybody may edit."""
    import uvicorn

    from spatial.asgi import PORTAL, create_app
    from spatial.intake.publication import publish_layer
    from spatial.jobs.run import run_analysis
    from spatial.settings import Settings

    if not (PORTAL / "index.html").is_file():
        pytest.fail(
            "门户未构建，请运行 / the portal is not built, run:\n    cd portal && npm ci && npm run build",
            pytrace=False,
        )
    folder = tmp_path_factory.mktemp("water")
    level = _small_scenes(folder / "scenes")
    own = {"layers_dir": ROOT / "layers", "var_dir": folder / "var", "scenes_path": folder / "scenes", "edit": "open"}
    app = create_app(Settings.model_validate(own))
    store = app.state.datastore
    catalog = store.snapshot().catalog
    for name in SMALL_LAKE_LAYERS:
        publish_layer(store, catalog[name])
    _small_lake_line(store, level)
    run_analysis(store, "water-watch", {"collection": "small-scenes", "least_clear": 5}, publish=True)
    run_analysis(store, "station-quality", {}, publish=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEMAP_")}
    environment |= {f"ONEMAP_{name.upper()}": str(value) for name, value in own.items()}
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.05)
    port = running.servers[0].sockets[0].getsockname()[1]
    with (folder / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "spatial.cli", "worker"], env=environment, stdout=log, stderr=log
        )
    yield SimpleNamespace(address=f"http://127.0.0.1:{port}", store=store)
    worker.terminate()
    try:
        worker.wait(20)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait(10)
    running.should_exit = True
    thread.join(20)
