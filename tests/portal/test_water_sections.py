"""断面水质 in the portal: station and satellite on one chart, matchups, flagged points, what to run where there is none."""

from __future__ import annotations

import importlib.util
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
LAYERS = ("lakes", "province", "prefectures", "water-quality-sections", "outfalls", "water-sources", "river-reaches")


def _scenes(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "portal_optical_scenes", ROOT / "data-samples" / "scripts" / "lake_optical_scenes.py"
    )
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    made.make(made.HONGHU, folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own: sections assessed, the scenes of Honghu judged."""
    import uvicorn

    from spatial import asgi
    from spatial.intake.publication import publish_layer
    from spatial.jobs.run import run_analysis
    from spatial.settings import Settings

    if not (asgi.PORTAL / "index.html").is_file():
        pytest.fail(
            "门户未构建，请运行 / the portal is not built, run:\n    cd portal && npm ci && npm run build",
            pytrace=False,
        )
    folder = tmp_path_factory.mktemp("sections")
    _scenes(folder / "scenes")
    own = {"layers_dir": ROOT / "layers", "var_dir": folder / "var", "scenes_path": folder / "scenes"}
    app = asgi.create_app(Settings.model_validate(own))
    store = app.state.datastore
    catalog = store.snapshot().catalog
    for name in LAYERS:
        publish_layer(store, catalog[name])
    run_analysis(store, "water-quality-scenes", {"maps": "none"}, publish=True)
    run_analysis(store, "station-quality", {}, publish=True)
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{running.servers[0].sockets[0].getsockname()[1]}"
    running.should_exit = True
    thread.join(20)


def _sections(portal: Any) -> Page:
    page: Page = portal.open("v=1&lang=zh&b=none&p=water")
    page.locator("#water-tab-sections").click()
    expect(page.locator("#water-sections")).to_be_visible()
    return page


def test_station_and_satellite_on_one_chart(portal: Any) -> None:
    page = _sections(portal)
    page.locator('#water-sections [data-station="洪湖·湖心"] button').click()
    place = page.locator("#water-station")
    expect(place.locator("h4")).to_have_text("洪湖·湖心")
    page.locator("#water-quantity").select_option("chl_a")
    chart = place.locator(".water-chart svg")
    expect(chart).to_contain_text("叶绿素")
    expect(chart).to_contain_text("卫星 NDCI")
    note = page.locator("#water-satellite")
    expect(note).to_contain_text("3×3 像元")
    expect(note).to_contain_text("合成")
    # Cloud stood over the station twice; the day of the two scenes counts once; January has no sample within two days.
    expect(note).to_contain_text("2 期未见")
    pairs = page.locator("#water-pairs")
    expect(pairs).to_contain_text("星地匹配")
    pairs.locator("summary").click()
    days = [row.inner_text() for row in pairs.locator("tbody th").all()]
    assert "2024-08-08" in days
    assert 6 <= len(days) <= 11
    hours = [float(row.inner_text()) for row in pairs.locator("tbody td:last-child").all()]
    assert max(hours) <= 48
    # Another quantity of the satellite; the whole period.
    page.locator("#water-satellite-quantity").select_option("fai")
    expect(chart).to_contain_text("卫星 FAI")
    page.locator("#water-narrow").uncheck()
    expect(place.locator(".water-chart svg")).to_contain_text("2021")
    portal.check()


def test_a_station_without_a_satellite_series_says_what_to_run(portal: Any) -> None:
    page = _sections(portal)
    page.locator('#water-sections [data-station="长江·汉口"] button').click()
    note = page.locator("#water-satellite")
    expect(note).to_contain_text("没有长江的卫星水质序列")
    expect(note).to_contain_text("water-quality-scenes")
    expect(page.locator("#water-satellite-run")).to_be_visible()
    portal.check()


def test_outfalls_of_a_section_and_the_sources(portal: Any) -> None:
    page = _sections(portal)
    page.locator('#water-sections [data-station="洪湖·湖心"] button').click()
    expect(page.locator("#water-outfalls")).to_contain_text("排污口 9 个")
    sources = page.locator("#water-sources")
    expect(sources.locator("summary")).to_have_text("饮用水水源地 24 处")
    sources.locator("summary").click()
    expect(sources).to_contain_text("已划定保护区 24/24 处")
    sources.get_by_role("button", name="在地图上显示").click()
    portal.settle()
    assert any(name.endswith("-sources") for name in portal.active())
    portal.check()
