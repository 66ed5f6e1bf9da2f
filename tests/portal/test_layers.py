"""资源浏览: tree, search, active layers, legend, watermark, metadata card, addresses."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser


def _ramp(layer: dict[str, Any]) -> bool:
    return bool(layer["kind"] == "raster" and layer["style"]["type"] == "ramp" and not layer["synthetic"])


def _counties(layer: dict[str, Any]) -> bool:
    return "administrative" in layer["theme"] and "count" in layer["id"]


def test_the_tree_holds_every_layer(portal: Any, catalogue: dict[str, Any]) -> None:
    page: Page = portal.open()
    shown = {box.get_attribute("data-layer") for box in page.locator("#layer-tree input[data-layer]").all()}
    assert shown == {layer["id"] for layer in catalogue["layers"]}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_search(portal: Any, pick_layer: Any, language: str) -> None:
    layer = pick_layer("ramp", _ramp)
    page: Page = portal.open(f"v=1&lang={language}")
    page.fill("#layer-search", layer["title"]["en" if language == "zh" else "zh"])
    expect(page.locator(f'#layer-tree input[data-layer="{layer["id"]}"]')).to_be_visible()
    page.fill("#layer-search", layer["id"].upper())
    expect(page.locator(f'#layer-tree input[data-layer="{layer["id"]}"]')).to_be_visible()
    page.fill("#layer-search", "qqqq-nothing")
    expect(page.locator("#layer-tree input[data-layer]")).to_have_count(0)
    expect(page.locator("#layer-tree .empty")).to_contain_text("qqqq-nothing")


def test_toggle_loads_tiles_and_legend(portal: Any, pick_layer: Any) -> None:
    raster, vector = pick_layer("ramp", _ramp), pick_layer("counties", _counties)
    page: Page = portal.open()
    before = portal.picture()
    for layer in (raster, vector):
        page.locator(f'#layer-tree input[data-layer="{layer["id"]}"]').check()
        portal.settle()
        statuses = portal.tiles(layer["id"])
        assert statuses
        assert set(statuses) <= {200, 204}
        assert 200 in statuses
        row = page.locator(f'#workbench [data-layer="{layer["id"]}"]')
        expect(row.locator(".legend")).to_be_visible()
    assert (portal.picture() != before).any(axis=2).mean() > 0.1
    assert portal.active() == [vector["id"], raster["id"]]
    page.locator(f'#layer-tree input[data-layer="{raster["id"]}"]').uncheck()
    assert portal.active() == [vector["id"]]


def test_a_tile_with_nothing_on_it_is_no_failure(portal: Any, pick_layer: Any) -> None:
    layer = pick_layer("ramp", _ramp)
    page = portal.page
    tiles = re.compile(f"/tiles/{layer['id']}/.*png")
    page.route(tiles, lambda route: route.fulfill(status=204))
    portal.open(f"v=1&c=112.30000,31.00000&z=7.00&t=c&b=none&l={layer['id']}:100:1&p=browse")
    page.wait_for_timeout(500)
    assert 204 in portal.tiles(layer["id"])
    expect(page.locator("#workbench .box.error")).to_have_count(0)
    page.unroute(tiles)
    page.route(tiles, lambda route: route.fulfill(status=503))
    portal.open(f"v=1&c=112.30000,31.00000&z=8.00&t=c&b=none&l={layer['id']}:100:1&p=browse")
    expect(page.locator("#workbench .box.error")).to_contain_text("瓦片加载失败")
    assert all("503" in text for text in portal.complaints)
    portal.complaints.clear()


def test_order_opacity_and_removal(portal: Any, pick_layer: Any) -> None:
    low, high = pick_layer("ramp", _ramp)["id"], pick_layer("counties", _counties)["id"]
    page: Page = portal.open(f"v=1&t=c&b=none&l={high}:100:1,{low}:100:1")
    assert portal.active() == [high, low]
    page.locator(f'#workbench [data-focus="down {high}"]').click()
    assert portal.active() == [low, high]
    assert portal.state()["l"] == f"{low}:100:1,{high}:100:1"
    page.locator(f'#workbench [data-layer="{high}"] .drag').drag_to(page.locator(f'#workbench [data-layer="{low}"]'))
    assert portal.active() == [high, low]
    opaque = portal.picture()
    slider = page.locator(f'#workbench [data-focus="opacity {low}"]')
    slider.fill("20")
    portal.settle()
    assert portal.state()["l"] == f"{high}:100:1,{low}:20:1"
    assert portal.picture().mean() > opaque.mean() + 2, "a layer of 20 % on pale ground is paler"
    page.locator(f'#workbench [data-focus="eye {low}"]').click()
    assert portal.state()["l"] == f"{high}:100:1,{low}:20:0"
    page.locator(f'#workbench [data-layer="{low}"] .active-head button').last.click()
    assert portal.active() == [high]


def test_synthetic_layers_are_marked_wherever_they_show(portal: Any, pick_layer: Any) -> None:
    layer = pick_layer("synthetic layer", lambda x: x["synthetic"])
    page: Page = portal.open("v=1&t=c&b=plain&l=&p=browse")
    box = page.locator(f'#layer-tree input[data-layer="{layer["id"]}"]')
    expect(box.locator("xpath=..")).to_contain_text("合成")
    expect(page.locator("canvas.watermark")).to_be_hidden()
    before = portal.picture()
    box.check()
    portal.settle()
    expect(page.locator("canvas.watermark")).to_be_visible()
    assert page.evaluate(
        "document.querySelector('canvas.watermark').getContext('2d').getImageData(0, 0, 900, 600).data.some(v => v)"
    )
    assert (portal.picture() != before).any()
    expect(page.locator(f'#workbench [data-layer="{layer["id"]}"]')).to_contain_text("SYNTHETIC")
    page.locator(f'#workbench [data-focus="eye {layer["id"]}"]').click()
    expect(page.locator("canvas.watermark")).to_be_hidden()


def test_metadata_card_and_addresses_work(portal: Any, pick_layer: Any) -> None:
    layer = pick_layer("counties", _counties)
    page: Page = portal.open()
    page.get_by_role("button", name=f"图层说明：{layer['title']['zh']}", exact=True).click()
    dialog = page.locator("dialog")
    for text in (layer["attribution"]["zh"], layer["licence"], layer["version"], layer["id"]):
        expect(dialog).to_contain_text(text)
    lines = dialog.locator(".api-line pre").all_inner_texts()
    addresses = [line for line in lines if line.startswith("http") and "{z}" not in line]
    assert len(addresses) >= 2
    for address in addresses:
        assert page.request.get(address).status == 200, address
    tile = next(line for line in lines if "{z}" in line)
    assert page.request.get(tile.format(z=6, x=104, y=21)).status in {200, 204}
    assert any(re.match(r"curl -s ", line) for line in lines)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_a_link_to_a_layer_that_is_gone_says_so(portal: Any) -> None:
    page: Page = portal.open("v=1&l=no-such-layer:100:1")
    expect(page.locator("#workbench")).to_contain_text("no-such-layer")
