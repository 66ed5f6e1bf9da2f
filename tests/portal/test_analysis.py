"""对比分析: analyses to their end and over a reload, bad parameters, stopping; swipe."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

pytestmark = pytest.mark.browser

SMALL = "v=1&c=114.30000,30.60000&z=9.50&t=c&b=plain&l=&lang={lang}&p=compare"


def test_the_dual_evaluation_of_a_small_view_to_its_end(portal: Any, server: str) -> None:
    page: Page = portal.open(SMALL.format(lang="zh"))
    expect(page.locator("#process option").first).to_have_text("双评价")
    expect(page.locator("#process")).to_have_value("dual-evaluation")
    assert "urban-suitability" in _values(page.locator("#process option"))
    assert not {"echo", "multi-criteria"} & set(_values(page.locator("#process option")))
    before = portal.picture()
    page.locator("#run-analysis").click()
    expect(page.locator("#dismiss-job")).to_be_focused()
    page.wait_for_function("() => Object.keys(sessionStorage).length > 0")
    # The panel comes back after a reload, with the same job.
    page.reload()
    expect(page.locator("#job-progress, #analysis-status .success").first).to_be_visible()
    expect(page.locator("#analysis-status .success")).to_be_visible(timeout=300_000)
    portal.settle()
    job = re.findall("dual-evaluation-([0-9a-f]{8})-", page.url)[0]
    names = ["ecology", "agriculture", "urban", "livestock", "fishery", "conflicts"]
    assert portal.active() == [f"dual-evaluation-{job}-{name}" for name in names]
    assert set(portal.tiles(f"dual-evaluation-{job}-ecology")) <= {200, 204}
    assert 200 in portal.tiles(f"dual-evaluation-{job}-ecology")
    ecology = portal.picture()
    assert (ecology != before).any(axis=2).mean() > 0.2
    # One map at a time, and the list of layers keeps in step.
    page.locator(f'[data-result="dual-evaluation-{job}-urban"]').press("Enter")
    expect(page.locator(f'[data-result="dual-evaluation-{job}-urban"]')).to_be_focused()
    expect(page.locator(f'[data-result="dual-evaluation-{job}-ecology"]')).to_have_attribute("aria-pressed", "false")
    portal.settle()
    assert 200 in portal.tiles(f"dual-evaluation-{job}-urban")
    assert (portal.picture() != ecology).any(axis=2).mean() > 0.2
    _reports_answer(page, server)
    _areas_agree(page)
    _capacity_sorts(page)
    expect(page.locator("#conflicts tbody tr")).to_have_count(6)
    expect(page.locator("#not-assessed")).to_contain_text("水环境容量")
    page.locator("#assessed summary").click()
    expect(page.locator("#assessed")).to_contain_text("水土流失敏感性")
    page.locator("#language").click()
    expect(page.locator("#documents")).to_contain_text("Report (PDF)")
    expect(page.locator("#not-assessed")).to_contain_text("Water environment")
    # A layer that the user took off stays off when the page is loaded anew; the result is there again.
    page.locator("#workbench .active-layer").first.get_by_role("button", name="Remove").click()
    page.reload()
    expect(page.locator("#analysis-status .success")).to_be_visible()
    assert len(portal.active()) == len(names) - 1


def _reports_answer(page: Page, server: str) -> None:
    kinds = {
        "pdf": ("application/pdf", b"%PDF-"),
        "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"PK"),
    }
    for kind, (media, start) in kinds.items():
        address = str(page.locator(f'#documents [data-document="{kind}"]').get_attribute("href"))
        assert address.startswith(server)
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert answer.status == 200
            assert answer.headers.get_content_type() == media
            assert answer.read(8).startswith(start)


def _areas_agree(page: Page) -> None:
    """Every assessment of land has the same total; 1 km² = 100 hm² = 1500 亩; the units add up to the total."""
    totals = {
        name: sum(_number(row.locator("td").nth(1).inner_text()) for row in rows)
        for name in ("ecology", "agriculture", "agriculture_2020", "urban", "urban_2020")
        if (rows := page.locator(f'#totals tr[data-assessment="{name}"]').all())
    }
    assert len(totals) == 5
    assert max(totals.values()) - min(totals.values()) < 0.1
    assert totals["ecology"] > 100
    expect(page.locator("#totals svg")).to_be_visible()
    page.select_option("#assessment", "urban")
    assert page.locator("#by-county tbody tr").count() >= 3
    expect(page.locator("#by-county svg")).to_be_visible()
    cells = page.locator("#by-county tfoot td")
    km2 = [_number(text) for text in cells.all_inner_texts()]
    assert sum(km2) == pytest.approx(totals["urban"], abs=0.1)
    for unit, factor in (("hm2", 100), ("mu", 1500)):
        page.locator(f'#areas [data-unit="{unit}"]').click()
        shown = [_number(text) for text in cells.all_inner_texts()]
        assert shown == pytest.approx([v * factor for v in km2], rel=1e-3, abs=factor / 100)


def _capacity_sorts(page: Page) -> None:
    table = page.locator("#capacity table")
    expect(
        table.locator('[data-colour="red"] i, [data-colour="orange"] i, [data-colour="yellow"] i').first
    ).to_be_visible()
    table.locator('[data-sort="agri_index"]').press("Enter")
    expect(page.locator('#capacity [data-sort="agri_index"]')).to_be_focused()
    expect(page.locator('#capacity th[aria-sort="descending"]')).to_contain_text("耕地指数")
    texts = page.locator("#capacity tbody tr td:nth-child(4)").all_inner_texts()
    values = [float(text) for text in texts if text != "—"]
    assert len(values) > 50
    assert values == sorted(values, reverse=True)
    page.locator('#capacity [data-level="capacity_prefecture"]').click()
    expect(page.locator("#capacity tbody tr")).to_have_count(17)
    with page.expect_download() as download:
        page.locator("#capacity .csv").click()
    content = Path(download.value.path()).read_text("utf-8")
    assert content.startswith("\ufefflevel,code,name")
    assert len(content.splitlines()) == 18
    assert download.value.suggested_filename.endswith("-capacity-prefecture.csv")


def test_another_analysis_is_chosen_and_run(portal: Any) -> None:
    page: Page = portal.open(SMALL.format(lang="zh"))
    page.select_option("#process", "urban-suitability")
    page.locator("details.parameters summary").click()
    page.locator("#input-apply_location").uncheck()
    with page.expect_request("**/execution") as sent:
        page.locator("#run-analysis").click()
    inputs = sent.value.post_data_json["inputs"]
    assert set(inputs) == {"bbox", "apply_location"}  # what stays as it was is not sent
    assert inputs["apply_location"] is False
    expect(page.locator("#analysis-status .success")).to_be_visible(timeout=180_000)
    portal.settle()
    layer = portal.active()[0]
    assert layer.startswith("urban-suitability-")
    assert 200 in portal.tiles(layer)
    assert page.locator("#by-county tbody tr").count() >= 3
    expect(page.locator("#not-assessed")).to_contain_text("区位")
    page.locator("#tables > summary").click()
    page.locator("#tables summary", has_text="by_reason").click()
    expect(page.locator("#tables table")).to_contain_text("无限制")


def test_a_number_out_of_range_is_refused_before_it_is_sent(portal: Any) -> None:
    page: Page = portal.open(SMALL.format(lang="en"))
    page.locator("details.parameters summary").click()
    page.fill("#input-runoff_coefficient", "7")
    page.locator("details.parameters summary").click()
    page.locator("#run-analysis").click()
    box = page.locator("#analysis-status .error")
    expect(box).to_be_visible()
    expect(box).to_contain_text("0.01")
    expect(page.locator("#input-runoff_coefficient")).to_have_attribute("aria-invalid", "true")
    expect(page.locator("#input-runoff_coefficient")).to_be_focused()


def test_what_the_server_refuses_is_told_in_the_language_of_the_reader(portal: Any) -> None:
    page: Page = portal.open(SMALL.format(lang="zh"))
    page.locator("details.parameters summary").click()
    page.fill("#input-sensitivity_breaks", "nonsense")
    page.locator("#run-analysis").click()
    box = page.locator("#analysis-status .error")
    expect(box).to_contain_text("没有敏感性分级 'nonsense'，可用：code、guide_2017", timeout=60_000)
    expect(box).not_to_contain_text("there are")
    page.locator("#language").click()
    expect(box).to_contain_text("there are no sensitivity breaks 'nonsense'; use one of code, guide_2017")
    expect(page.locator("#input-sensitivity_breaks")).to_have_value("nonsense")
    page.reload()
    expect(page.locator("#run-analysis")).to_be_enabled()
    expect(page.locator("#analysis-status")).to_be_empty()
    _forget_refusals(portal)


def test_arrays_and_objects_are_left_to_the_api(portal: Any) -> None:
    page: Page = portal.open(SMALL.format(lang="zh"))
    page.select_option("#process", "suitability-sensitivity")
    expect(page.locator("details.parameters")).to_have_attribute("open", "")  # a field of it is required
    expect(page.locator("#left-out")).to_contain_text("绝对变幅")
    expect(page.locator("#input-spreads")).to_have_count(0)
    assert page.locator("#layers-layer option").count() > 20
    page.locator("#run-analysis").click()
    expect(page.locator("#analysis-status .error")).to_contain_text("因子图层")
    page.fill("#input-layer", "dem")
    page.locator("#run-analysis").click()
    expect(page.locator("#analysis-status .error")).to_contain_text("dem", timeout=60_000)
    _forget_refusals(portal)


def test_a_view_outside_the_data_is_refused(portal: Any) -> None:
    page: Page = portal.open("v=1&c=100.00000,38.00000&z=9.00&t=c&b=plain&l=&p=compare")
    page.locator("#run-analysis").click()
    expect(page.locator("#analysis-status .error")).to_contain_text("数据范围之外")


def test_a_run_over_the_province_can_be_stopped(portal: Any) -> None:
    page: Page = portal.open("v=1&c=112.30000,31.00000&z=6.50&t=c&b=none&l=&p=compare")
    page.locator("#extent-whole").press("Enter")
    expect(page.locator("#extent-whole")).to_be_focused()
    with page.expect_request("**/execution") as sent:
        page.locator("#run-analysis").click()
    assert sent.value.post_data_json["inputs"] == {}
    page.wait_for_function("() => Object.keys(sessionStorage).length > 0")
    page.locator("#dismiss-job").press("Enter")
    expect(page.locator("#analysis-status")).to_contain_text("已停止")
    expect(page.locator("#run-analysis")).to_be_focused()
    assert portal.active() == []
    page.reload()
    expect(page.locator("#run-analysis")).to_be_enabled()
    expect(page.locator("#analysis-status")).to_be_empty()


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


def _forget_refusals(portal: Any) -> None:
    """The browser itself reports a refused request in its console, as it should."""
    assert portal.complaints
    assert all("status of 4" in text for text in portal.complaints)
    portal.complaints.clear()


def _number(text: str) -> float:
    return float(re.sub(r"[^\d.]", "", text))


def _values(options: Locator) -> list[str]:
    return [str(option.get_attribute("value")) for option in options.all()]
