"""对比分析: the suitability analysis to its end, bad parameters, stopping; swipe."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

SMALL = "v=1&c=114.30000,30.60000&z=9.50&t=c&b=plain&l=&lang={lang}&p=compare"


def test_run_on_a_small_view_and_see_the_result(portal: Any) -> None:
    page: Page = portal.open(SMALL.format(lang="zh"))
    before = portal.picture()
    page.locator("#run-analysis").click()
    expect(page.locator("#analysis-status .success")).to_be_visible(timeout=180_000)
    portal.settle()
    layer = portal.active()[0]
    assert layer.startswith("urban-suitability-")
    assert 200 in portal.tiles(layer)
    assert set(portal.tiles(layer)) <= {200, 204}
    assert (portal.picture() != before).any(axis=2).mean() > 0.2
    rows = page.locator("#by-county tbody tr")
    assert rows.count() >= 3
    expect(page.locator("#by-county svg")).to_be_visible()
    expect(page.locator("#not-assessed")).to_contain_text("水环境容量")
    expect(page.locator(f'#layer-tree input[data-layer="{layer}"]')).to_have_count(0)  # another panel is open
    # One area in three units: 1 km² = 100 hm² = 1500 亩.
    cell = page.locator("#by-county tfoot td").first
    km2 = _number(cell.inner_text())
    page.locator('#by-county [data-unit="hm2"]').click()
    assert _number(page.locator("#by-county tfoot td").first.inner_text()) == pytest.approx(km2 * 100, rel=1e-3, abs=1)
    page.locator('#by-county [data-unit="mu"]').click()
    assert _number(page.locator("#by-county tfoot td").first.inner_text()) == pytest.approx(
        km2 * 1500, rel=1e-3, abs=15
    )


def test_a_bad_parameter_is_refused_with_a_reason(portal: Any) -> None:
    page: Page = portal.open(SMALL.format(lang="en"))
    page.locator("details.parameters summary").click()
    page.fill("#input-runoff_coefficient", "7")
    page.locator("#run-analysis").click()
    box = page.locator("#analysis-status .error")
    expect(box).to_be_visible()
    expect(box).to_contain_text("0.01")
    expect(page.locator("#input-runoff_coefficient")).to_have_attribute("aria-invalid", "true")


def test_a_view_outside_the_data_is_refused(portal: Any) -> None:
    page: Page = portal.open("v=1&c=100.00000,38.00000&z=9.00&t=c&b=plain&l=&p=compare")
    page.locator("#run-analysis").click()
    expect(page.locator("#analysis-status .error")).to_contain_text("数据范围之外")


def test_a_job_can_be_stopped(portal: Any) -> None:
    page: Page = portal.open("v=1&c=112.30000,31.00000&z=6.50&t=c&b=none&l=&p=compare")
    page.locator("#run-analysis").click()
    page.locator("#dismiss-job").click()
    expect(page.locator("#analysis-status")).to_contain_text("已停止")
    expect(page.locator("#run-analysis")).to_be_enabled()
    assert portal.active() == []


def test_swipe_by_keys_clips_the_layer(portal: Any, pick_layer: Any) -> None:
    layer = pick_layer("ramp", lambda x: x["kind"] == "raster" and x["style"]["type"] == "ramp" and not x["synthetic"])
    page: Page = portal.open(f"v=1&c=112.30000,31.00000&z=7.50&t=c&b=none&l={layer['id']}:100:1&p=compare")
    whole = portal.picture()
    page.select_option("#swipe-layer", layer["id"])
    divider = page.get_by_role("slider", name=re.compile("卷帘"))
    expect(divider).to_have_attribute("aria-valuenow", "50")
    divider.press("ArrowRight")
    expect(divider).to_have_attribute("aria-valuenow", "52")
    assert portal.state()["s"] == f"{layer['id']}:0.52"
    portal.settle()
    half = portal.picture()
    width = whole.shape[1]
    rows = slice(200, 700)
    assert (half[rows, 30 : width // 2 - 40] == whole[rows, 30 : width // 2 - 40]).all(axis=2).mean() > 0.98
    right = slice(width // 2 + 60, width // 2 + 200)
    assert (half[rows, right] != whole[rows, right]).any(axis=2).mean() > 0.8


def _number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))
