"""情景试算 and «为什么？»: sliders change the picture at once, the link keeps the scenario, the popup tells the chain."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

WEST, NORTH, CELL, SIDE = 114.0, 31.0, 1 / 256, 256
GREEN, YELLOW, RED = (0x1A, 0x98, 0x50), (0xFE, 0xE0, 0x8B), (0xD7, 0x30, 0x27)


def text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def chain() -> Any:
    """Slope (start), water (matrix), patch concentration (not local)."""
    from analyses import chain as chains
    from analyses.grading import Correction, GradeTable, Matrix
    from spatial.catalog import Text

    def about(zh: str, en: str, unit: str | None = None) -> Any:
        return SimpleNamespace(title=Text(zh=zh, en=en), unit=unit, source="试验规则 §1", tag="own")

    def table(a: float, b: float, c: float, d: float) -> Any:
        edges = [{"grade": 2, "over": a, "to": b}, {"grade": 3, "over": b, "to": c}, {"grade": 4, "over": c, "to": d}]
        return GradeTable.model_validate({"grades": [{"grade": 1, "to": a}, *edges, {"grade": 5, "over": d}]})

    cells = Matrix.model_validate({"rows": [[max(r, c) for c in range(1, 6)] for r in range(1, 6)]})
    line = Correction.model_validate({"grade": 5, "when": [1, 2, 3, 4], "add": 1})
    return chains.Chain(
        id="urban",
        title=Text(zh="城镇建设适宜性", en="Urban suitability"),
        stations=(
            chains.start("slope", "slope", table(3, 8, 15, 25), about=about("坡度", "Slope", "degree")),
            chains.matrix("water", "water", table(10, 20, 30, 40), cells, about=about("水资源", "Water", "mm")),
            chains.correction(
                "patch", "patch", table(1, 2, 3, 4), (line,), about=about("集中连片度", "Patches"), required=False
            ),
        ),
        classes={1: 1, 2: 2, 3: 2, 4: 2, 5: 3},
        class_titles={1: text("适宜", "Suitable"), 2: text("一般适宜", "Fair"), 3: text("不适宜", "Unsuitable")},
    )


def publish(var: Path, folder: Path) -> None:
    """A result of 1° × 1°: slope grows from 0 to 30° eastwards, water is good; the layers carry what a run records."""
    import rasterio
    from rasterio.transform import from_origin

    from spatial.catalog import Layer
    from spatial.settings import Settings
    from spatial.store.datastore import DataStore
    from spatial.store.state import State

    settings = Settings(store="duckdb", var_dir=var)
    datastore = DataStore(settings, State(settings.state_address), vectors=None)  # type: ignore[arg-type]
    rules = chain()
    slope = np.tile(np.linspace(0, 30, SIDE, dtype=np.float32), (SIDE, 1))
    values = {"slope": slope, "water": np.full_like(slope, 5), "patch": np.ones_like(slope)}
    graded = rules.run(values)
    bands = {
        "urban-factors": ([slope, values["water"]], ["slope", "water"], "float32", float("nan")),
        "urban-classes": (
            [graded.suitability, graded.grade, graded.reason, values["patch"]],
            ["class", "grade", "reason", "patch"],
            "uint8",
            0,
        ),
    }
    records = {
        "urban-factors": {"job": "1", "chain": rules.document(), "result_layer": "urban-classes"},
        "urban-classes": {"job": "1", "factors_layer": "urban-factors"},
    }
    styles: dict[str, Any] = {
        "urban-factors": {
            "type": "ramp",
            "stops": [{"value": 0, "color": "#000000"}, {"value": 45, "color": "#ffffff"}],
        },
        "urban-classes": {
            "type": "classes",
            "band": "class",
            "classes": [
                {"value": n, "color": "#" + bytes(c).hex(), "title": rules.class_titles[n].model_dump()}
                for n, c in enumerate((GREEN, YELLOW, RED), start=1)
            ],
        },
    }
    for layer_id, (arrays, names, dtype, nodata) in bands.items():
        path = folder / f"{layer_id}.tif"
        profile = {
            "driver": "GTiff", "width": SIDE, "height": SIDE, "count": len(arrays), "dtype": dtype, "nodata": nodata,
            "crs": "EPSG:4490", "transform": from_origin(WEST, NORTH, CELL, CELL), "photometric": "minisblack",
        }  # fmt: skip
        with rasterio.open(path, "w", **profile) as file:
            for number, array in enumerate(arrays, start=1):
                file.write(array.astype(dtype), number)
        title = text("适宜性结果", "Suitability result") if "classes" in layer_id else text("单项因子", "Factors")
        source = {"uri": path.name, "version": "1", "sha256": "0" * 64, "licence": "CC0-1.0", "origin": "test"}
        domain = {"1": text("一", "one")} if dtype == "uint8" else None
        definition = {
            "id": layer_id,
            "title": title,
            "description": title,
            "theme": ["analysis"],
            "kind": "raster",
            "source": source | {"attribution": text("测试", "Tests")},
            "bands": [{"name": n, "title": text(n, n), "valid_range": [0, 1e4], "domain": domain} for n in names],
            "style": styles[layer_id],
            "provenance": records[layer_id],
        }
        datastore.publish_raster(Layer.model_validate(definition), path)
    datastore.state.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own with one published result."""
    folder = tmp_path_factory.mktemp("whatif")
    var = folder / "var"
    var.mkdir()
    publish(var, folder)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEMAP_")}
    environment |= {"ONEMAP_VAR_DIR": str(var), "ONEMAP_STORE": "duckdb"}
    command = [sys.executable, "-m", "spatial.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + 120
    while True:
        try:
            direct.open(f"{address}/ready", timeout=10).close()
            break
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                pytest.fail(
                    f"onemap serve did not start:\n{(folder / 'log').read_text('utf-8')[-3000:]}", pytrace=False
                )
            time.sleep(0.2)
    yield address
    process.terminate()
    process.wait(30)


STATE = "v=1&c=114.50000,30.50000&z=8.00&t=c&b=none&l=urban-classes:100:1&lang={lang}&p=compare"


def colour(portal: Any, lon: float, lat: float = 30.5) -> tuple[int, int, int]:
    """Colour of the map at a place."""
    x, y = portal.pixel(lon, lat)
    return tuple(int(v) for v in portal.picture()[round(y), round(x)])  # type: ignore[return-value]


def wait_for_colour(portal: Any, lon: float, wanted: tuple[int, int, int]) -> None:
    """Old tiles stay until the new ones are there, so the map is never «busy» without a picture: look until it changes."""
    for _ in range(60):
        if colour(portal, lon) == wanted:
            return
        portal.page.wait_for_timeout(250)
    assert colour(portal, lon) == wanted


def what_if_tiles(portal: Any) -> list[str]:
    """Addresses of what-if tiles that came with a picture."""
    return [url for status, url in portal.responses if "/whatif/" in url and status == 200]


def set_edge(page: Page, edge: str, value: str) -> None:
    page.locator(f'[data-number="{edge}"]').fill(value)
    expect(page.locator("#workbench .tag.scenario")).to_be_visible()


def test_a_slider_changes_the_map_and_reset_brings_it_back(portal: Any) -> None:
    page: Page = portal.open(STATE.format(lang="zh"))
    panel = page.locator("#what-if")
    expect(panel.locator("#what-if-left-out")).to_contain_text("集中连片度")
    assert panel.locator("fieldset.station").count() == 2  # the patches have no slider
    assert colour(portal, 114.05) == GREEN  # 1.5°
    assert colour(portal, 114.5) == YELLOW  # 15.06°
    assert not what_if_tiles(portal)
    set_edge(page, "slope 0", "20")
    wait_for_colour(portal, 114.5, GREEN)
    assert colour(portal, 114.95) == RED  # 28.5°
    # The other limits gave way, so that they still rise.
    edges = [float(page.locator(f'[data-number="slope {i}"]').input_value()) for i in range(4)]
    assert edges == sorted(set(edges))
    assert edges[0] == 20
    slider = page.locator('[data-edge="slope 0"]')
    slider.press("ArrowRight")
    assert float(page.locator('[data-number="slope 0"]').input_value()) > 20
    assert len(what_if_tiles(portal)) > 0
    page.locator("#what-if-reset").click()
    expect(page.locator("#workbench .tag.scenario")).to_have_count(0)
    wait_for_colour(portal, 114.5, YELLOW)


def test_grades_limiting_factors_and_stations_off(portal: Any) -> None:
    page: Page = portal.open(STATE.format(lang="zh"))
    page.locator("#what-if-show-reason").click()
    expect(page.locator("#what-if-legend")).to_contain_text("坡度")
    expect(page.locator("#what-if-show-reason")).to_have_attribute("aria-pressed", "true")
    wait_for_colour(portal, 114.5, (0x88, 0xCC, 0xEE))
    page.locator("#what-if-show-grade").click()
    expect(page.locator("#what-if-legend")).to_contain_text("5 级")
    with page.expect_response(lambda r: "off=water" in r.url and "band=grade" in r.url and ".png" in r.url) as answer:
        page.locator('[data-off="water"]').uncheck()
    assert answer.value.status == 200
    expect(page.locator('[data-station="water"]')).to_have_class("station off")


def test_the_link_keeps_the_scenario(portal: Any) -> None:
    page: Page = portal.open(STATE.format(lang="zh"))
    set_edge(page, "slope 0", "20")
    scenario = urllib.parse.unquote(portal.state()["w"])
    assert scenario.startswith("urban-classes:edges.slope=20,")
    page = portal.open(page.url.split("#", 1)[1])
    expect(page.locator('[data-number="slope 0"]')).to_have_value("20")
    wait_for_colour(portal, 114.5, GREEN)


def test_a_matrix_that_is_refused_is_told_and_not_drawn(portal: Any) -> None:
    portal_page: Page = portal.open(STATE.format(lang="zh"))
    portal_page.locator("#what-if details.matrix summary").click()
    portal_page.locator("#what-if details.matrix input").first.fill("5")  # then better to the right
    expect(portal_page.locator("#what-if .error")).to_contain_text("矩阵")
    assert not what_if_tiles(portal)
    assert any("status of 400" in c for c in portal.complaints)
    portal.complaints.clear()  # the browser reports the refused request, as it should


def test_why_tells_the_chain_and_follows_the_scenario(portal: Any) -> None:
    page: Page = portal.open(STATE.format(lang="en"))
    portal.click_map(114.5, 30.5)
    why = page.locator('[data-why="urban-classes"]')
    expect(why.locator('tr[data-station="slope"]')).to_contain_text("15 < v ≤ 25")
    row = why.locator('tr[data-station="slope"]')
    expect(row).to_contain_text("15.058824 °")
    expect(row).to_contain_text("grade 4")
    expect(why).to_contain_text("试验规则 §1")
    expect(why.locator(".verdict")).to_contain_text("Fair")
    expect(why.locator(".verdict")).to_contain_text("Limiting factor: Slope")
    expect(why).to_contain_text("matrix row 4, column 1")
    expect(why).to_contain_text("from the whole map of this run")
    page.locator("#tool-compare").click()
    set_edge(page, "slope 0", "20")
    page.locator("#tool-query").click()
    expect(why.locator(".tag.scenario")).to_be_visible()
    expect(why.locator('tr[data-station="slope"]')).to_contain_text("v ≤ 20")


def test_the_workbench_opens_the_panel(portal: Any) -> None:
    page: Page = portal.open(STATE.format(lang="en").replace("p=compare", "p=browse"))
    page.locator('[data-whatif="urban-classes"]').click()
    expect(page.locator("#what-if h3")).to_have_text("What if")
    expect(page.locator('[data-number="slope 3"]')).to_have_value("25")
