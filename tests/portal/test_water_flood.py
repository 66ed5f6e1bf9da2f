"""洪旱四预 in the portal: a forecast played lead time by lead time, its plan list and downloads, low water with intakes."""

from __future__ import annotations

import json
import os
import subprocess
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
LAYERS = (
    "province", "prefectures", "counties", "river-gauges", "hankou-terrain", "hankou-river", "hankou-dikes", "hankou-land",
    "hankou-works", "polders", "detention-areas", "roads", "river-forecast", "low-water-levels", "low-water-lines",
    "water-intakes",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server and a worker of their own with the layers of Hankou."""
    import uvicorn

    from spatial.asgi import PORTAL, create_app
    from spatial.intake.publication import publish_layer
    from spatial.settings import Settings

    if not (PORTAL / "index.html").is_file():
        pytest.fail(
            "门户未构建，请运行 / the portal is not built, run:\n    cd portal && npm ci && npm run build",
            pytrace=False,
        )
    folder = tmp_path_factory.mktemp("flood")
    own = {"layers_dir": ROOT / "layers", "var_dir": folder / "var", "scenes_path": folder / "scenes"}
    app = create_app(Settings.model_validate(own))
    store = app.state.datastore
    catalog = store.snapshot().catalog
    for name in LAYERS:
        publish_layer(store, catalog[name])
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
    yield f"http://127.0.0.1:{port}"
    worker.terminate()
    try:
        worker.wait(20)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait(10)
    running.should_exit = True
    thread.join(20)


def _open(portal: Any) -> Page:
    page: Page = portal.open("v=1&lang=zh&b=none&p=water")
    page.locator("#water-tab-flood").click()
    expect(page.locator("#water-mode-flood")).to_have_attribute("aria-pressed", "true")
    return page


def _flooded(page: Page) -> float:
    return float(page.locator("#water-figures tbody td").first.inner_text().split()[0].replace(",", ""))


def test_a_forecast_played_and_its_plan_list(portal: Any) -> None:
    page = _open(portal)
    page.locator("#water-source-forecast").click()
    expect(page.locator("#water-level-slider")).to_have_count(0)
    page.locator("#water-rehearse").click()
    now = page.locator("#water-horizon-now")
    expect(now).to_contain_text("+24 h", timeout=180_000)
    expect(now).to_contain_text("27.32 ± 0.10 m")
    expect(page.locator("#water-horizon-grade")).to_contain_text("超警戒水位")
    expect(page.locator("#water-horizons")).to_contain_text("预见期")
    portal.settle()
    first = _flooded(page)
    picture = portal.picture()
    # The slider by keyboard: another lead time, another map; two lead times share the map of the higher level.
    page.locator("#water-horizon").focus()
    page.keyboard.press("End")
    expect(now).to_contain_text("+120 h")
    expect(page.locator("#water-horizon-grade")).to_contain_text("图按 29.60 m")
    expect(page.locator("#water-figures caption")).to_contain_text("29.60")
    assert _flooded(page) > first
    portal.settle()
    assert (portal.picture() != picture).any(axis=2).mean() > 0.002
    # Play begins anew at the end and goes on by itself.
    page.locator("#water-horizon-play").click()
    expect(page.locator("#water-horizon-play")).to_have_attribute("aria-pressed", "true")
    expect(now).to_contain_text("+48 h", timeout=20_000)
    page.locator("#water-horizon-play").click()
    stopped = now.inner_text()
    page.wait_for_timeout(2000)
    assert now.inner_text() == stopped
    # The plan list: in the order of time, what the crest reaches only within the uncertainty is marked.
    rows = page.locator("#water-schedule li")
    assert [row.get_attribute("data-area") for row in rows.all()] == [
        "白沙滩垸", "天心洲垸", "北湖蓄滞洪区", "江咀垸", "西滩蓄滞洪区",
    ]  # fmt: skip
    assert [row.get_attribute("data-certainty") for row in rows.all()] == [
        "sure", "sure", "within_uncertainty", "within_uncertainty", "possible",
    ]  # fmt: skip
    expect(rows.nth(2)).to_contain_text("29.50 m")
    expect(rows.nth(2)).to_contain_text("07/31 16:00")
    expect(rows.nth(2)).to_contain_text("仅在不确定度内达到")
    expect(rows.nth(2)).to_contain_text("江岸区")
    with page.expect_download() as download:
        page.locator("#water-schedule .csv").click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    assert text.count("\n") == 6
    assert "预备：落实转移路线" in text
    assert "within_uncertainty" in text
    with page.expect_download() as download:
        page.locator("#water-schedule-json").click()
    plan = json.loads(Path(download.value.path()).read_text("utf-8"))
    assert [row["lead_h"] for row in plan["horizons"]] == [24, 48, 72, 96, 120]
    assert plan["offsets"][0]["station"] == "汉口"
    assert plan["provenance"]["parameters"]["forecast"] == "river-forecast"
    word = page.locator("#water-schedule-word").get_attribute("href")
    assert word is not None
    answer = page.request.get(word)
    assert answer.ok
    assert answer.body()[:2] == b"PK"
    expect(page.locator("#water-rehearsal")).to_contain_text("合成示例 SYNTHETIC")


def test_low_water_with_intakes_and_reasons(portal: Any) -> None:
    page = _open(portal)
    page.locator("#water-mode-low").click()
    expect(page.locator("#water-mode-low")).to_be_focused()
    page.locator("#water-low-run").click()
    gauges = page.locator("#water-low-gauges tbody tr")
    expect(gauges).to_have_count(5, timeout=120_000)
    hankou = page.locator('#water-low-gauges [data-station="汉口"]')
    expect(hankou).to_contain_text("13.57")
    expect(hankou).to_contain_text("低于旱限水位")
    expect(hankou).to_contain_text("38 / 0")
    expect(hankou).to_contain_text("低于生态水位 11-27")
    expect(page.locator("#water-low-chart svg")).to_contain_text("旱限水位")
    expect(page.locator("#water-low-lines")).to_contain_text("首日 2024-10-14")
    expect(page.locator("#water-low-lines")).to_contain_text("航道水深")
    page.locator('#water-low-gauges [data-station="黄石"] button').click()
    expect(page.locator("#water-low-lines caption")).to_have_text("黄石")
    intakes = page.locator("#water-low-intakes tbody tr")
    assert [row.get_attribute("data-state") for row in intakes.all()] == [
        "dry", "dry", "dry", "threatened", "uncertain", "uncertain", "not_assessed",
    ]  # fmt: skip
    # What has no datum or offset is not assessed, and the reason says how to give one.
    page.locator("#water-low-refused summary").click()
    expect(page.locator("#water-low-refused")).to_contain_text("仙桃")
    expect(page.locator("#water-low-refused")).to_contain_text("offsets")
    expect(page.locator("#water-low")).to_contain_text("合成示例 SYNTHETIC")
    expect(page.locator('[data-picture="water-flood"]')).to_have_count(0)
    assert any(layer.endswith("-intakes") for layer in portal.active())
    page.locator("#language").click()
    expect(page.locator("#water-low h3")).to_have_text("Low water")
    nameless = page.locator("#water").evaluate(
        """root => [...root.querySelectorAll("input, select, textarea, button")]
        .filter(e => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())).map(e => e.outerHTML)"""
    )
    assert nameless == []
