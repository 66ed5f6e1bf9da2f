"""The river chief's desk in the portal: an alert taken through its workflow to closure, by mouse, by keyboard, on a phone."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
LAYERS = (
    "river-reaches", "management-range", "works-permits", "river-candidates", "surface-reflectance",
    "surface-reflectance-2024", "province", "prefectures", "hillshade",
)  # fmt: skip
B = "/api/v1/river-chief"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own with the layers of the desk: other tests expect the catalogue to stay as it is."""
    import uvicorn

    from spatial.asgi import PORTAL, create_app
    from spatial.intake.publication import publish_layer
    from spatial.settings import Settings

    if not (PORTAL / "index.html").is_file():
        pytest.fail(
            "门户未构建，请运行 / the portal is not built, run:\n    cd portal && npm ci && npm run build",
            pytrace=False,
        )
    folder = tmp_path_factory.mktemp("desk")
    (folder / "layers" / "rules").mkdir(parents=True)
    for name in ("schema.json", "themes.yml", *(f"{layer}.yml" for layer in LAYERS)):
        shutil.copy(ROOT / "layers" / name, folder / "layers")
    for name in ("intake", "river_chief"):
        shutil.copy(ROOT / "layers" / "rules" / f"{name}.yml", folder / "layers" / "rules")
    app = create_app(Settings(layers_dir=folder / "layers", var_dir=folder / "var", edit="open"))
    for layer in app.state.datastore.snapshot().catalog.values():
        publish_layer(app.state.datastore, layer)
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not running.started and time.monotonic() < deadline:
        time.sleep(0.05)
    port = running.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    thread.join(20)


def _ask(server: str, path: str, body: Any = None, **headers: str) -> Any:
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} | {k.replace("_", "-"): v for k, v in headers.items()}
    request = urllib.request.Request(f"{server}{B}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer), answer.headers


def _photo() -> dict[str, Any]:
    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise((80, 60), 60).convert("RGB").save(out, "JPEG")
    return {"name": "现场.jpg", "mimeType": "image/jpeg", "buffer": out.getvalue()}


def _open(portal: Any, lang: str = "zh") -> Page:
    page: Page = portal.open(f"v=1&lang={lang}&p=chief")
    actor = page.locator("#river-chief-actor")
    expect(actor).to_be_visible()
    actor.fill("合成-巡查员")
    return page


def _issue(server: str, feature: int) -> int:
    case, _ = _ask(
        server, "/cases", {"actor": "合成-下发人", "source": {"layer": "river-candidates", "feature": feature}}
    )
    return int(case["id"])


def test_an_alert_is_taken_through_its_workflow(portal: Any, server: str) -> None:
    page = _open(portal)
    page.locator("#river-chief-tab-issue").click()
    page.locator('#river-chief-issue [data-feature="1"] button.primary').click()
    expect(page.locator("#river-chief-case h3")).to_have_text("武汉江滩疑似堆场")
    expect(page.locator("#river-chief-state")).to_contain_text("已下发")
    # Both dates have a picture, with the place drawn over it.
    pictures = page.locator(".rc-pictures img")
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") == 360
    expect(page.locator(".rc-picture svg path")).to_have_count(2)
    assert "river-cases" in portal.active()
    # Without a photo the server refuses the check and says what is missing.
    page.locator("#river-chief-note-check").fill("现场有砂石堆")
    page.locator("#river-chief-step-check").click()
    expect(page.locator('#river-chief-steps [role="alert"]').first).to_contain_text("照片")
    page.locator("#river-chief-file-check").set_input_files(_photo())
    expect(page.locator(".rc-photos img")).to_have_count(1)
    page.locator("#river-chief-note-check").fill("现场有砂石堆")
    page.locator("#river-chief-step-check").click()
    expect(page.locator("#river-chief-state")).to_contain_text("已核查")
    expect(page.locator("#river-chief-judge-kind")).to_have_value("dumping")
    expect(page.locator("#river-chief-judge-severity")).to_have_value("major")
    page.locator("#river-chief-note-judge").fill("未经许可")
    page.locator("#river-chief-step-judge").click()
    page.locator("#river-chief-note-rectify").fill("限期清运")
    page.locator("#river-chief-step-rectify").click()
    expect(page.locator("#river-chief-state")).to_contain_text("整改中")
    page.locator("#river-chief-passed-false").check()
    page.locator("#river-chief-note-review").fill("仍有残留")
    page.locator("#river-chief-step-review").click()
    expect(page.locator('#river-chief-timeline [data-step="review"]')).to_have_count(1)
    expect(page.locator("#river-chief-state")).to_contain_text("整改中")
    page.locator("#river-chief-file-review").set_input_files(_photo())
    expect(page.locator(".rc-photos img")).to_have_count(2)
    page.locator("#river-chief-note-review").fill("已清运")
    page.locator("#river-chief-step-review").click()
    page.locator("#river-chief-step-close").click()
    expect(page.locator("#river-chief-state")).to_contain_text("已销号")
    expect(page.locator("#river-chief-steps form")).to_have_count(0)
    steps = [row.get_attribute("data-step") for row in page.locator("#river-chief-timeline li").all()]
    assert steps == ["issue", "photo", "check", "judge", "rectify", "review", "photo", "review", "close"]
    portal.settle()
    # The map shows the version of the layer in which the case is closed.
    item = f"{server}/ogc/collections/river-cases/items/1?f=json"
    with urllib.request.urlopen(item, timeout=30) as answer:
        assert json.load(answer)["properties"]["state"] == "closed"
    assert 200 in portal.tiles("river-cases")
    portal.complaints = [c for c in portal.complaints if "409" not in c]  # the refusal above


def test_list_filters_exports_and_the_other_pages(portal: Any, server: str) -> None:
    _issue(server, 3)
    page = _open(portal)
    rows = page.locator("#river-chief-list .rc-row")
    page.locator("#river-chief-state").select_option("issued")
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("洪湖疑似围垦")
    with page.expect_download() as download:
        page.get_by_role("link", name="台账 Excel").click()
    from openpyxl import load_workbook

    sheet = load_workbook(io.BytesIO(Path(download.value.path()).read_bytes())).active
    assert sheet.max_row == 5  # the filter of the list holds for the export
    assert "合成" in sheet["A3"].value
    page.locator("#river-chief-tab-register").click()
    page.locator("#river-chief-water").select_option("洪湖")
    expect(page.locator('[data-reach="HH01"]')).to_contain_text("K0+000–K43+065")
    expect(page.locator('[data-reach="HH01"]')).to_contain_text("合成-")
    page.locator("#river-chief-tab-patrols").click()
    page.get_by_text("登记巡河").first.click()
    page.locator("#river-chief-started").fill("2026-08-01T09:00")
    page.locator("#river-chief-ended").fill("2026-08-01T11:00")
    line = {"type": "LineString", "coordinates": [[113.30 + i * 0.005, 29.90] for i in range(9)]}
    page.locator("#river-chief-track").fill(json.dumps(line))
    page.locator("#river-chief-patrols form button.primary").click()
    from pyproj import Geod

    km = Geod(a=6378137.0, rf=298.257222101).line_length([113.30 + i * 0.005 for i in range(9)], [29.90] * 9) / 1000
    expect(page.locator("#river-chief-patrols .rc-row")).to_contain_text(f"{km:.2f} km")
    page.locator("#river-chief-tab-assessment").click()
    expect(page.locator(".rc-figures tbody tr").first).to_be_visible()
    expect(page.locator(".rc-figures tfoot")).to_contain_text("合计")


def test_somebody_else_was_faster(portal: Any, server: str) -> None:
    case = _issue(server, 8)
    _ask(server, f"/cases/{case}/photos?role=field&actor=x", _photo()["buffer"], Content_Type="image/jpeg")
    page = _open(portal)
    page.locator(f'[data-case="{case}"] .rc-open').click()
    expect(page.locator(".rc-flag.good")).to_have_text("有有效许可")
    page.locator("#river-chief-note-check").fill("我也在办")
    _, headers = _ask(server, f"/cases/{case}")
    _ask(
        server,
        f"/cases/{case}/steps",
        {"step": "check", "actor": "合成-他人", "note": "先办"},
        If_Match=headers["etag"],
    )
    page.locator("#river-chief-step-check").click()
    expect(page.locator('#river-chief-steps [role="alert"]').first).to_contain_text("重新读取")
    expect(page.locator("#river-chief-note-check")).to_have_value("我也在办")  # what was typed is not lost
    portal.complaints = [c for c in portal.complaints if "412" not in c]


def test_keyboard_labels_and_english(portal: Any, server: str) -> None:
    case = _issue(server, 10)
    page = _open(portal, lang="en")
    expect(page.locator("#river-chief-tab-cases")).to_have_text("Cases")
    row = page.locator(f'[data-case="{case}"] .rc-open')
    row.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#river-chief-case h3")).to_be_focused()
    expect(page.locator("#river-chief-case")).to_contain_text("Outside the range")
    page.locator("#river-chief-back").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#river-chief-list")).to_be_visible()
    for tab in ("cases", "issue", "register", "patrols", "assessment"):
        page.locator(f"#river-chief-tab-{tab}").click()
        expect(page.locator(f"#river-chief-tab-{tab}")).to_be_focused()
        expect(page.locator(f"#river-chief-tab-{tab}")).to_have_attribute("aria-pressed", "true")
        page.wait_for_timeout(300)
        nameless = page.locator("#river-chief").evaluate(
            """root => [...root.querySelectorAll("input, select, textarea, button")]
            .filter(e => !(e.labels?.length || e.getAttribute("aria-label") || e.textContent.trim())).map(e => e.outerHTML)"""
        )
        assert nameless == []


def test_phone(phone: Any, server: str) -> None:
    page: Page = phone.open()
    for button in page.locator(".tools button").all():
        box = button.bounding_box()
        assert box["width"] >= 44
        assert box["height"] >= 44
    page.locator("#tool-chief").tap()
    expect(page.locator("#river-chief-list .rc-row").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#river-chief-list .rc-open").first.tap()
    expect(page.locator("#river-chief-case h3")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
