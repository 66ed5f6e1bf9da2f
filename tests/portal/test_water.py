"""江河湖库 in the portal: a lake through time with its chart, two days by swipe, an alert to the desk, sections, a rehearsal."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

DAYS = 16


@pytest.fixture(scope="module")
def place(small_lake: Any) -> Any:
    """The small lake of conftest: scenes, a watch and an assessment that ran, everybody may edit."""
    return small_lake


@pytest.fixture(scope="module")
def server(place: Any) -> str:
    """Address of the server."""
    return str(place.address)


def _open(portal: Any, more: str = "") -> Page:
    page: Page = portal.open(f"v=1&lang=zh&b=none&p=water{more}")
    expect(page.locator("#water-chart svg")).to_be_visible()
    portal.settle()
    return page


def _shown(portal: Any) -> list[str]:
    """The parts of ``d`` in the link: collection, scene, picture, water map, earlier scene."""
    return str(portal.state()["d"]).split(":")


def _tiles(portal: Any, part: str) -> set[int]:
    return {status for status, url in portal.responses if part in url}


def test_a_lake_through_time(portal: Any) -> None:
    page = _open(portal)
    expect(page.locator("#water-slider")).to_have_attribute("max", str(DAYS - 1))
    expect(page.locator("#water-body option").first).to_contain_text("沉湖")
    expect(page.locator(".watermark")).to_be_visible()
    expect(page.locator("#water")).to_contain_text("合成示例 SYNTHETIC")
    collection, scene, picture, water, before = _shown(portal)
    assert (collection, picture, water, before) == ("small-scenes", "true-color", "1", "")
    assert _tiles(portal, f"/tiles/scenes/small-scenes/{scene}/true-color/") == {200}
    assert _tiles(portal, f"band=d{scene.rpartition('-')[2]}") <= {200, 204}
    # Another index, without the water map: another picture.
    natural = portal.picture()
    page.locator("#water-map").uncheck()
    page.locator("#water-picture").select_option("mndwi")
    portal.settle()
    assert (portal.picture() != natural).any(axis=2).mean() > 0.1
    # Step and slider by keyboard; the day stands in the link and in what a screen reader hears.
    slider = page.locator("#water-slider")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator("#water-date")).to_contain_text("2015年1月")
    assert "云量" in str(slider.get_attribute("aria-valuetext"))
    page.locator("#water-next").click()
    expect(page.locator("#water-date")).to_contain_text("2015年4月")
    assert "-201504" in _shown(portal)[1]
    # Play goes on by itself and stops when asked.
    page.locator("#water-play").click()
    expect(page.locator("#water-play")).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#water-date")).to_contain_text("2015年7月", timeout=20_000)
    page.locator("#water-play").click()
    stopped = _shown(portal)[1]
    page.wait_for_timeout(1500)
    assert _shown(portal)[1] == stopped
    # A point of the chart, by its table: the same day comes on the map.
    page.locator("#water-table summary").click()
    rows = page.locator("#water-table tbody tr")
    assert rows.count() >= DAYS - 2
    day = rows.nth(1).locator("button").inner_text()
    rows.nth(1).locator("button").click()
    expect(page.locator("#water-date")).to_contain_text(f"{int(day[:4])}年{int(day[5:7])}月")
    box = page.locator("#water-chart").bounding_box()
    assert box is not None
    page.locator("#water-chart").click(position={"x": box["width"] - 60, "y": 120})
    expect(page.locator("#water-date")).to_contain_text("2018年")
    # The link brings everything back.
    link = page.url.partition("#")[2]
    portal.open(link)
    expect(page.locator("#water-picture")).to_have_value("mndwi")
    assert page.url.partition("#")[2] == link


def test_two_days_by_swipe(portal: Any) -> None:
    page = _open(portal)
    portal.settle()
    single = portal.picture()
    page.locator("#water-map").uncheck()
    page.locator("#water-compare").check()
    divider = page.locator(".swipe")
    expect(divider).to_be_visible()
    page.locator("#water-before").select_option("5")  # the day under cloud
    portal.settle()
    both = portal.picture()
    width = both.shape[1]
    white = (both > 180).all(axis=2)
    rows = slice(260, 640)
    assert white[rows, width // 2 - 160 : width // 2 - 40].mean() > 0.6
    assert white[rows, width // 2 + 40 : width // 2 + 160].mean() < 0.2
    divider.focus()
    page.keyboard.press("Home")
    portal.settle()
    assert (portal.picture() > 180).all(axis=2)[rows, width // 2 - 160 : width // 2 - 40].mean() < 0.3
    assert len(_shown(portal)[4]) > 5
    page.locator('[data-picture="water-before"] button').click()
    expect(divider).to_be_hidden()
    expect(page.locator("#water-compare")).not_to_be_checked()
    assert single.shape == both.shape
    page.locator('[data-picture="water-day"] button').click()
    expect(page.locator(".watermark")).to_be_hidden()
    assert np.unique(portal.picture()[300:500, 300:500].reshape(-1, 3), axis=0).shape[0] <= 3


def _photo(name: str) -> dict[str, Any]:
    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise((80, 60), 60).convert("RGB").save(out, "JPEG")
    return {"name": name, "mimeType": "image/jpeg", "buffer": out.getvalue()}


def _loaded(page: Page, selector: str) -> list[int]:
    """Widths of the pictures that a selector finds, once all are there."""
    expect(page.locator(selector).first).to_be_visible()
    page.wait_for_function(
        "selector => [...document.querySelectorAll(selector)].every(i => i.complete && i.naturalWidth)", arg=selector
    )
    widths: list[int] = page.locator(selector).evaluate_all("all => all.map(i => i.naturalWidth)")
    return widths


def _second_look(place: Any) -> str:
    """A layer of alerts with one that was seen at the same place two years after the first."""
    from spatial.catalog import Layer, Text

    store = place.store
    name = next(layer.id for layer in store.snapshot().layers() if layer.id.endswith("-events"))
    table = store.snapshot().vector(name)
    frame = store.vectors.frame(table)
    frame = frame[frame["kind"] == "reclaimed"].iloc[[0]].reset_index(drop=True)
    frame["after_date"] = datetime(2018, 10, 21, tzinfo=UTC).date()
    frame["scene_before"], frame["scene_after"] = "small-20180423", "small-20181021"
    source = table.layer.source.model_copy(update={"uri": "second-look", "version": "1"})
    changes = {"id": "second-look-events", "title": Text(zh="再次观测", en="Second look"), "source": source}
    store.publish_vector(Layer.model_validate(table.layer.model_dump() | changes), frame)
    return "second-look-events"


def test_an_alert_from_orbit_to_closure(portal: Any, place: Any) -> None:
    from openpyxl import load_workbook

    page = _open(portal)
    page.locator('#water-events [data-kind="reclaimed"]').click()
    event = page.locator("#water-events .water-event").first
    expect(event).to_contain_text("围垦疑点")
    expect(event).to_contain_text("沉湖")
    expect(event).to_contain_text("最后有水：2016-")
    # Both scenes that the watch compared, side by side on the card.
    assert _loaded(page, "#water-events .water-event .alert-pair img")[:2] == [256, 256]
    before, after = (f.get_attribute("data-scene") for f in event.locator(".alert-pair figure").all())
    assert str(before).rpartition("-")[2] < "20160801" < str(after).rpartition("-")[2]
    expect(event.locator(".alert-pair")).to_contain_text(f"前 {str(before)[6:10]}-{str(before)[10:12]}")
    # A picture leads to both days on the map, by swipe.
    event.locator(".alert-pair button").first.click()
    portal.settle()
    shown = _shown(portal)
    assert (shown[1], shown[4]) == (after, before)
    expect(page.locator(".swipe")).to_be_visible()
    assert any(layer.endswith("-events") for layer in portal.active())
    # 下发
    event.locator('[data-act="send"]').click()
    page.locator("#water-actor").fill("合成-下发人")
    page.keyboard.press("Enter")
    expect(page.locator("#river-chief-case h3")).to_have_text("沉湖围垦疑点", timeout=30_000)
    state = page.locator("#river-chief-state")
    expect(state).to_contain_text("已下发")
    number = page.locator("#river-chief-case caption").first.inner_text()
    assert len(_loaded(page, "#river-chief-pictures img")) == 2
    expect(page.locator('#river-chief-pictures [data-side="before"]')).to_contain_text("2016-")
    # 核查：没有照片不能办；照片的限制事先说明
    expect(page.locator("#river-chief-steps")).to_contain_text("每张不超过 8.0 MB")
    page.locator("#river-chief-note-check").fill("围堤已成，堤内种植")
    page.locator("#river-chief-step-check").click()
    expect(page.locator('#river-chief-steps [role="alert"]').first).to_contain_text("照片")
    page.locator("#river-chief-file-check").set_input_files(_photo("核查.jpg"))
    expect(page.locator(".rc-photos img")).to_have_count(1)
    page.locator("#river-chief-note-check").fill("围堤已成，堤内种植")
    page.locator("#river-chief-step-check").click()
    expect(state).to_contain_text("已核查")
    # 认定：由预警带来的类型与依据条文
    expect(page.locator("#river-chief-judge-kind")).to_have_value("occupation")
    expect(page.locator("#river-chief-judge-law")).to_contain_text("防洪法第二十二条、第二十三条")
    page.locator("#river-chief-note-judge").fill("围垦湖泊，无许可")
    page.locator("#river-chief-step-judge").click()
    expect(state).to_contain_text("已认定")
    # 整改
    page.locator("#river-chief-note-rectify").fill("限期拆除围堤，退田还湖")
    page.locator("#river-chief-step-rectify").click()
    expect(state).to_contain_text("整改中")
    # 复核
    page.locator("#river-chief-file-review").set_input_files(_photo("整改后.jpg"))
    expect(page.locator(".rc-photos img")).to_have_count(2)
    page.locator("#river-chief-note-review").fill("围堤已拆除")
    page.locator("#river-chief-step-review").click()
    expect(state).to_contain_text("已复核")
    # 销号
    page.locator("#river-chief-note-close").fill("同意销号")
    page.locator("#river-chief-step-close").click()
    expect(state).to_contain_text("已销号")
    expect(page.locator("#river-chief-steps form")).to_have_count(0)
    rows = page.locator("#river-chief-timeline li").all()
    assert [row.get_attribute("data-step") for row in rows] == [
        "issue", "photo", "check", "judge", "rectify", "photo", "review", "close",
    ]  # fmt: skip
    expect(page.locator("#river-chief-timeline")).to_contain_text("围垦湖泊，无许可")
    # 台账
    page.locator("#river-chief-back").click()
    page.locator("#river-chief-state").select_option("closed")
    with page.expect_download() as download:
        page.get_by_role("link", name="台账 Excel").click()
    sheet = load_workbook(io.BytesIO(Path(download.value.path()).read_bytes())).active
    row = next(r for r in range(5, sheet.max_row + 1) if sheet.cell(r, 1).value == number)
    assert [image.anchor._from.row + 1 for image in sheet._images].count(row) == 2
    # The list of events says that it is closed.
    page.locator("#tool-water").click()
    expect(event).to_have_class("water-event closed")
    expect(event.locator(".rc-badge")).to_contain_text(f"已销号 {number}")
    event.locator('[data-act="open-case"]').click()
    expect(page.locator("#river-chief-case caption").first).to_have_text(number)
    # 反弹：a later alert at the same place.
    layer = _second_look(place)
    page.locator("#tool-water").click()
    page.locator("#tool-chief").click()
    page.locator("#river-chief-tab-issue").click()
    page.locator("#river-chief-layer").select_option(layer)
    again = page.locator("#river-chief-issue .rc-row").first
    expect(again.locator(".rc-flag.bad")).to_have_text(f"反弹 {number}")
    assert len(_loaded(page, "#river-chief-issue .rc-row .alert-pair img")) == 2
    expect(again.locator(".alert-pair")).to_contain_text("后 2018-10-21")
    again.locator("button.primary").click()
    expect(state).to_contain_text("反弹")
    expect(page.locator('#river-chief-pictures [data-side="after"]')).to_contain_text("2018-10-21")
    expect(page.locator("#river-chief-case")).to_contain_text(number)
    portal.complaints = [c for c in portal.complaints if "409" not in c]  # the refusal above


def test_sections_by_year_and_month(portal: Any) -> None:
    page = _open(portal)
    page.locator("#water-tab-sections").click()
    table = page.locator("#water-sections")
    expect(table.locator("tbody tr")).to_have_count(12)
    expect(table).to_contain_text("总磷")
    honghu = table.locator('[data-station="洪湖·湖心"]')
    expect(honghu).to_contain_text("未达标")
    honghu.locator("button").click()
    expect(page.locator("#water-station h4")).to_have_text("洪湖·湖心")
    expect(page.locator("#water-station svg")).to_be_visible()
    page.locator("#water-quantity").select_option("tp")
    expect(page.locator("#water-station svg")).to_contain_text("总磷")
    page.locator("#water-period").select_option("2024-07")
    expect(table.locator("caption")).to_contain_text("2024-07")
    expect(table.locator("tbody tr")).to_have_count(12)


def test_the_rehearsal_at_hankou(portal: Any) -> None:
    page = _open(portal)
    page.locator("#water-tab-flood").click()
    for level in ("27.30", "29.73"):
        expect(page.locator(f'[id="water-level-{level}"]')).to_have_attribute("aria-pressed", "true")
    # Two levels closer than the error of the terrain: no map, but the reason.
    page.locator('[id="water-level-29.73"]').click()
    page.locator("#water-level").fill("27.40")
    page.locator("#water-level").press("Tab")
    page.locator("#water-level-add").click()
    page.locator("#water-rehearse").click()
    expect(page.locator("#water-undecidable")).to_contain_text("无法判定", timeout=120_000)
    expect(page.locator("#water-undecidable")).to_contain_text("0.1")
    expect(page.locator("#water-figures")).to_have_count(0)
    page.locator('[id="water-level-27.40"]').click()
    page.locator('[id="water-level-29.73"]').click()
    page.locator("#water-rehearse").click()
    expect(page.locator("#water-figures")).to_contain_text("29.73", timeout=180_000)
    intact = _flooded(page)
    portal.settle()
    page.locator('[id="water-show-27.30"]').click()
    expect(page.locator("#water-figures caption")).to_contain_text("27.30")
    assert _flooded(page) < intact
    expect(page.locator("#water-outcome")).to_contain_text("超警戒水位")
    page.locator("#water-show-depth").click()
    portal.settle()
    assert 200 in _tiles(portal, "-depth/CGCS2000Quad/")
    expect(page.locator("#water-exposure tfoot")).to_contain_text("合计")
    page.locator("#water-scenario-breach").click()
    page.locator("#water-rehearse").click()
    expect(page.locator("#water-outcome")).to_contain_text("口门底高程", timeout=180_000)
    page.locator('[id="water-show-29.73"]').click()
    assert _flooded(page) > 2 * intact


def _flooded(page: Page) -> float:
    return float(page.locator("#water-figures tbody td").first.inner_text().split()[0].replace(",", ""))


def test_english_labels_and_a_phone(portal: Any, phone: Any) -> None:
    page = _open(portal)
    page.locator("#language").click()
    expect(page.locator("#water-tab-time")).to_have_text("Through time")
    for tab in ("time", "sections", "flood"):
        page.locator(f"#water-tab-{tab}").click()
        expect(page.locator(f"#water-tab-{tab}")).to_be_focused()
        page.wait_for_timeout(400)
        nameless = page.locator("#water").evaluate(
            """root => [...root.querySelectorAll("input, select, textarea, button")]
            .filter(e => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())).map(e => e.outerHTML)"""
        )
        assert nameless == []
    small: Page = phone.open()
    small.locator("#tool-water").tap()
    expect(small.locator("#water-chart svg")).to_be_visible()
    assert small.evaluate("document.documentElement.scrollWidth") <= 390
