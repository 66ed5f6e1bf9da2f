"""Pages of wetlands and reserves over HTTP: both languages, the mark of synthetic data, problems, nothing from outside."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from spatial.intake import publish_layer
from spatial.settings import PROJECT_ROOT, Settings

PATH = "/api/v1/wetlands"
LAYERS = ("ramsar-sites", "nature-reserves", "lakes", "bird-observations", "bird-surveys")


@pytest.fixture(scope="module")
def wetlands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    folder = tmp_path_factory.mktemp("wetlands")
    own = {
        "layers_dir": PROJECT_ROOT / "layers",
        "var_dir": folder,
        "scenes_path": folder / "scenes",
        "store": "duckdb",
    }
    app = create_app(Settings.model_validate(own))
    store = app.state.datastore
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as client:
        client.unpublished = client.get(PATH)
        for name in LAYERS:
            publish_layer(store, store.snapshot().catalog[name])
        yield client


def test_without_the_lists_it_says_what_to_publish(wetlands: Any) -> None:
    answer = wetlands.unpublished
    assert answer.status_code == 404 or answer.status_code == 503
    assert "onemap layers publish ramsar-sites nature-reserves" in answer.json()["detail"]


def test_the_list_names_every_site_with_its_page(wetlands: Any) -> None:
    sites = wetlands.get(PATH).json()["sites"]
    assert [site["name"] for site in sites if site["kind"] == "ramsar"] == [
        "洪湖", "沉湖", "神农架大九湖", "网湖", "公安崇湖", "仙桃沙湖",
    ]  # fmt: skip
    for site in sites:
        answer = wetlands.get(site["href"])
        assert answer.status_code == 200
        assert answer.json()["id"] == site["id"]
    assert wetlands.get(PATH, params={"f": "html"}).text.count("<tr><td>") == len(sites) == 28


@pytest.mark.parametrize(
    ("language", "words"),
    [
        (
            "zh",
            (
                "洪湖国际重要湿地",
                "名录事实",
                "水面面积",
                "湿地面积与完整性",
                "滨岸带植被",
                "鸟类观测",
                "未评价",
                "白鹤",
            ),
        ),
        (
            "en",
            (
                "Hubei Honghu Wetlands",
                "Facts of the list",
                "Water area",
                "Not assessed",
                "Siberian crane",
                "Alerts here",
            ),
        ),
    ],
)
def test_page_in_both_languages(wetlands: Any, language: str, words: tuple[str, ...]) -> None:
    answer = wetlands.get(f"{PATH}/ramsar-1729", params={"f": "html", "lang": language})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-language"].startswith(language)
    text = answer.text
    assert all(word in text for word in words)
    # Synthetic observations are marked, and the legal boundary is not claimed.
    assert ("合成示例" in text) if language == "zh" else ("synthetic" in text)
    assert ("不是湿地或保护区的法定边界" in text) if language == "zh" else ("not the legal boundary" in text)
    if language == "en":
        body = re.sub(r"<(script|style|pre|figure).*?</\1>", "", text.partition("<main")[2], flags=re.S)
        # What is left in Chinese are names.
        assert len(re.findall(r"[\u4e00-\u9fff]", re.sub(r"<[^>]+>", "", body))) < 60


def test_a_page_needs_nothing_from_outside(wetlands: Any) -> None:
    answer = wetlands.get(f"{PATH}/ramsar-1729", params={"f": "html"})
    sources = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert all(not url.startswith(("http", "//")) or url.startswith("http://onemap.test") for url in sources)
    assert " style=" not in answer.text  # the policy would refuse it
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_browsers_get_a_page_and_programs_the_document(wetlands: Any) -> None:
    assert wetlands.get(f"{PATH}/洪湖", headers={"Accept": "text/html"}).text.startswith("<!doctype html>")
    document = wetlands.get(f"{PATH}/洪湖").json()
    assert document["id"] == "ramsar-1729"
    assert document["synthetic"]
    assert {layer["id"] for layer in document["synthetic_layers"]} == {"bird-observations"}
    assert document["birds"]["grade_1"] == 5
    assert document["birds"]["by_season"][0]["season"] == "winter"
    assert document["water"]["run"].startswith("onemap run water-watch")
    assert all(wetlands.get(link["href"]).status_code == 200 for link in document["links"])
    west, south, east, north = document["place"]["bbox"]
    assert 113.19 < west < 113.3 < east < 113.5
    assert 29.7 < south < 29.9 < north < 30.0


def test_unknown_site_and_parameters_are_problems(wetlands: Any) -> None:
    answer = wetlands.get(f"{PATH}/太湖")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert "ramsar-1729 洪湖" in problem["allowed"]
    assert "reserve-石首麋鹿" in problem["detail"]
    page = wetlands.get(f"{PATH}/<script>", headers={"Accept": "text/html"})
    assert page.status_code == 404
    assert "<script>'" not in page.text
    assert wetlands.get(f"{PATH}/ramsar-1729?bbox=1").status_code == 400
    assert wetlands.get(f"{PATH}/ramsar-1729?f=xml").status_code == 400
    assert wetlands.post(f"{PATH}/ramsar-1729").status_code == 405


def test_a_site_without_an_outline_says_so(wetlands: Any) -> None:
    document = wetlands.get(f"{PATH}/{quote('神农架大九湖')}").json()
    assert document["waters"] == []
    assert document["water"] == {
        "assessed": False, "reason": document["water"]["reason"], "run": None,
    }  # fmt: skip
    assert "轮廓" in document["water"]["reason"]["zh"]
    assert document["place"]["area_km2"] == pytest.approx(78.5, rel=0.01)  # π · 5²


def test_birds_are_features_and_their_surveys_a_series(wetlands: Any) -> None:
    items = "/ogc/collections/bird-observations/items"
    found = wetlands.get(items, params={"scientific_name": "Grus monacha", "site": "洪湖", "limit": 100}).json()
    assert found["numberMatched"] > 0
    for feature in found["features"]:
        lon, lat = feature["geometry"]["coordinates"]
        assert (lon / 0.05 - 0.5) == pytest.approx(round(lon / 0.05 - 0.5), abs=1e-4)
        assert (lat / 0.05 - 0.5) == pytest.approx(round(lat / 0.05 - 0.5), abs=1e-4)
        assert feature["properties"]["coordinate_uncertainty_m"] > 3000
    in_2023 = wetlands.get(items, params={"datetime": "2023-01-01/2023-12-31", "limit": 1}).json()
    assert 0 < in_2023["numberMatched"] < 547
    collection = wetlands.get("/ogc/collections/bird-observations").json()
    assert "合成示例" in collection["title"]
    locations = wetlands.get("/ogc/collections/bird-surveys/locations").json()
    assert len(locations["features"]) == 6
    series = wetlands.get(f"/ogc/collections/bird-surveys/locations/{quote('洪湖')}").json()
    assert len(str(series)) > 500
    assert "grade_1_individuals" in str(series)
