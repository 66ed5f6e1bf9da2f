"""The yearly lake card in the portal: verdict by year, figures, what is not assessed, print, a phone; zones of events."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(small_lake: Any) -> str:
    """Address of the server with the small lake."""
    return str(small_lake.address)


@pytest.fixture(scope="module")
def rows(small_lake: Any) -> dict[int, dict[str, Any]]:
    """What the watch published, by year."""
    snapshot = small_lake.store.snapshot()
    name = next(layer.id for layer in snapshot.layers() if re.fullmatch(r"water-watch-[0-9a-f]{8}-cards", layer.id))
    frame = small_lake.store.vectors.frame(snapshot.vector(name)).drop(columns="geometry")
    return {int(row["year"]): row for row in frame.to_dict("records")}


def _open(portal: Any, lang: str = "zh") -> Page:
    page: Page = portal.open(f"v=1&lang={lang}&b=none&p=water")
    expect(page.locator("#lake-card")).to_be_visible()
    return page


def _verdict(page: Page) -> str:
    return str(page.locator("#water-card-verdict").get_attribute("data-verdict"))


def test_the_card_says_what_was_published(portal: Any, rows: dict[int, dict[str, Any]]) -> None:
    page = _open(portal)
    assert {row["verdict"] for row in rows.values()} >= {"kept", "doubtful", "unknown"}
    for year, row in rows.items():
        page.locator("#water-card-year").select_option(str(year))
        expect(page.locator("#lake-card h4")).to_contain_text(f"沉湖 · {year} 年")
        assert _verdict(page) == row["verdict"]
        verdict = page.locator("#water-card-verdict")
        expect(verdict).to_contain_text(str(row["not_reduced_reason_zh"]).removeprefix("无法判定："))
        at_level = page.locator('[data-figure="cardAtLevel"]')
        if row["at_level_km2"] == row["at_level_km2"]:
            expect(at_level).to_contain_text(f"{row['at_level_km2']:.2f} ± {row['at_level_half_km2']:.2f} km²")
            share = 100 * (row["at_level_km2"] / row["protection_km2"] - 1)
            expect(page.locator('[data-figure="cardLine"]')).to_contain_text(f"{share:+.2f} %")
            expect(page.locator('[data-figure="cardRatio"]')).to_contain_text(f"{100 * row['surface_ratio']:.1f} %")
        else:
            expect(at_level).to_contain_text("未评价")
            expect(page.locator('[data-figure="cardRatio"]')).to_contain_text("未评价")
        expect(page.locator('[data-figure="cardLine"]')).to_contain_text("27.10 km² (20.00 m)")
        met = page.locator('[data-figure="cardEcological"]')
        expect(met).to_contain_text(f"{row['ecological_level_percent']:.1f} %")
        # Nobody gave a layer of the shore: said so with what to run.
        expect(page.locator('[data-figure="cardNaturalShore"]')).to_contain_text("未评价")
        expect(page.locator('[data-figure="cardNaturalShore"]')).to_contain_text("shoreline-watch")
        health = page.locator("#water-card-health")
        expect(health).to_contain_text(f"已评价 {row['assessed']} / 20")
        expect(health).to_contain_text("未核对标准原文")
    expect(page.locator("#lake-card")).to_contain_text("合成")
    storage = next(row["storage_change_m3"] for row in rows.values() if row["storage_change_m3"] > 0)
    years = page.locator("#water-card-years tbody tr")
    expect(years).to_have_count(len(rows))
    expect(page.locator("#water-card-chart svg")).to_be_visible()
    year = next(year for year, row in rows.items() if row["storage_change_m3"] == storage)
    # By keyboard: a row of the table leads to its year, and the focus goes to the selector.
    years.nth(sorted(rows).index(year)).locator("button").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#water-card-year")).to_be_focused()
    expect(page.locator("#water-card-year")).to_have_value(str(year))
    expect(page.locator('[data-figure="cardStorage"]')).to_contain_text(f"+{storage / 1e4:,.1f} 万 m³")


def test_it_prints_alone(portal: Any) -> None:
    page = _open(portal)
    page.evaluate(
        "() => { window.print = () => { window.printed = document.querySelector('.print-sheet').textContent; }; }"
    )
    page.locator("#water-card-print").click()
    printed = str(page.evaluate("window.printed"))
    assert "一湖一档年度卡" in printed
    assert "自然岸线保有率" in printed
    page.emulate_media(media="print")
    expect(page.locator(".print-sheet .lake-card")).to_be_visible()
    expect(page.locator("#water")).to_be_hidden()
    assert page.locator("#lake-card").count() == 1, "the copy must not double the ids"
    page.emulate_media(media="screen")
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    expect(page.locator(".print-sheet")).to_have_count(0)
    expect(page.locator("#lake-card")).to_be_visible()


def test_a_water_without_a_card_says_what_to_run(portal: Any) -> None:
    # The layer of cards is not in the catalogue that the browser gets.
    def without(route: Any) -> None:
        answer = route.fetch()
        document = answer.json()
        document["layers"] = [layer for layer in document["layers"] if not layer["id"].endswith("-cards")]
        route.fulfill(response=answer, json=document)

    portal.page.route("**/api/v1/catalogue*", without)
    page = portal.open("v=1&lang=zh&b=none&p=water")
    none = page.locator("#water-card-none")
    expect(none).to_contain_text("未评价")
    expect(none).to_contain_text("onemap run water-watch --collection small-scenes")
    expect(page.locator("#water-chart svg")).to_be_visible()


def test_events_name_their_zone_in_english_too(portal: Any) -> None:
    page = _open(portal, "en")
    event = page.locator("#water-events .water-event").first
    expect(event.locator("[data-zone]")).to_have_attribute("data-zone", "protection")
    expect(event.locator("[data-zone]")).to_contain_text("in: protection zone")
    expect(event).to_contain_text("last wet: 2016-")
    page.locator("#water-card-year").select_option("2017")
    expect(page.locator("#water-card-verdict")).to_contain_text("kept, candidates to be looked at")
    card = page.locator("#lake-card").inner_text()
    assert not re.search(r"[\u4e00-\u9fff]", card.replace("沉湖", "")), card


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_the_tabs_stand_in_one_line_and_the_card_fits_a_phone(portal: Any, phone: Any, lang: str) -> None:
    portal.page.set_viewport_size({"width": 1280, "height": 900})
    phone.open(f"v=1&lang={lang}&b=none")
    phone.page.locator("#tool-water").tap()
    expect(phone.page.locator("#lake-card")).to_be_visible()
    for page in (_open(portal, lang), phone.page):
        heights = page.locator(".pages button").evaluate_all("all => all.map(b => [b.offsetHeight, b.offsetTop])")
        assert len(heights) == 5
        assert len({tuple(one) for one in heights}) == 1
        assert heights[0][0] <= 44
        tabs = page.locator(".pages").evaluate("row => [row.scrollWidth, row.clientWidth]")
        assert tabs[0] <= tabs[1]
        card = page.locator("#lake-card").evaluate("one => [one.scrollWidth, one.clientWidth]")
        assert card[0] <= card[1]
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 390
