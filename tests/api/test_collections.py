"""Landing page, conformance, collections, queryables and schema, in both languages and both formats."""

from __future__ import annotations

import pytest

CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
REL = "http://www.opengis.net/def/rel/ogc/1.0"


def rels(document):
    return {link["rel"] for link in document["links"]}


@pytest.mark.requirement(
    "ogcapi-features-1/1.0", "/req/core/root-op", "/req/core/root-success", "/req/core/api-definition-op"
)
@pytest.mark.requirement(
    "ogcapi-common-1/1.0",
    "/req/landing-page/root-op",
    "/req/landing-page/root-success",
    "/req/landing-page/api-definition-op",
    "/req/json/content",
)
@pytest.mark.parametrize("path", ["", "/"])
def test_landing_page(client, path):
    answer = client.get(f"/ogc{path}")
    document = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert rels(document) >= {
        "self",
        "alternate",
        "service-desc",
        "service-doc",
        "conformance",
        "data",
        f"{REL}/processes",
    }
    desc = next(link for link in document["links"] if link["rel"] == "service-desc")
    assert desc["type"] == "application/vnd.oai.openapi+json;version=3.0"


def test_every_link_of_the_documents_answers(client):
    """Documents, collections, tiles, legends, files: no link is dead."""
    seen, waiting = set(), ["http://onemap.test/ogc"]
    while waiting:
        address = waiting.pop()
        if address in seen or not address.startswith("http://onemap.test/"):
            continue
        seen.add(address)
        answer = client.get(address)
        # The portal is built by another tool; without it the root says so with 503.
        assert answer.status_code == 200 or address == "http://onemap.test/", (
            address,
            answer.status_code,
            answer.text[:200],
        )
        if "json" in answer.headers["content-type"] and "/tiles" not in address:
            document = answer.json()
            parts = [document, *document.get("collections", [])] if isinstance(document, dict) else []
            for part in parts:
                for found in part.get("links", []):
                    if found["rel"] != "next" and "{" not in found["href"]:
                        waiting.append(found["href"])
        assert len(seen) < 2000
    assert "http://onemap.test/ogc/collections/parcels/items" in seen
    assert "http://onemap.test/ogc/collections/parcels/tiles" in seen
    assert "http://onemap.test/ogc/collections/relief/map/tiles" in seen


@pytest.mark.requirement(
    "ogcapi-features-1/1.0",
    "/req/core/fc-md-op",
    "/req/core/fc-md-success",
    "/req/core/fc-md-links",
    "/req/core/fc-md-items",
)
def test_collections_are_the_published_layers(get):
    document = get("/collections")
    by_id = {c["id"]: c for c in document["collections"]}
    assert {"parcels", "gauges", "grid-points", "relief"} <= set(by_id)
    assert "draft" not in by_id
    assert by_id["parcels"]["title"] == "地块（合成示例）"
    assert by_id["parcels"]["synthetic"] is True
    assert by_id["relief"]["itemType"] == "coverage"
    assert all({"self"} <= rels(c) for c in by_id.values())


@pytest.mark.requirement(
    "ogcapi-features-1/1.0",
    "/req/core/sfc-md-op",
    "/req/core/sfc-md-success",
    "/req/core/fc-md-items-links",
    "/req/core/fc-md-extent",
)
@pytest.mark.requirement(
    "ogcapi-features-2/1.0",
    "/req/crs/fc-md-crs-list",
    "/req/crs/fc-md-storageCrs",
    "/req/crs/fc-md-storageCrs-valid-value",
)
def test_a_vector_collection(get):
    document = get("/collections/gauges")
    assert document["itemType"] == "feature"
    box = {"bbox": [[111.0, 30.0, 115.0, 30.0]], "crs": CRS84, "storageCrsBbox": [[30.0, 111.0, 30.0, 115.0]]}
    assert document["extent"]["spatial"] == box
    assert document["extent"]["temporal"]["interval"] == [["2024-07-01T00:00:00Z", "2024-08-01T00:00:00Z"]]
    assert document["crs"][0] == CRS84
    assert len(document["crs"]) == 12
    assert document["storageCrs"] == "http://www.opengis.net/def/crs/EPSG/0/4490"
    assert document["storageCrs"] in document["crs"]
    assert document["itemCount"] == 5
    assert rels(document) >= {
        "self", "alternate", "items", "license", "root", f"{REL}/queryables", f"{REL}/schema", f"{REL}/tilesets-vector",
    }  # fmt: skip


def test_a_raster_collection(get):
    document = get("/collections/relief")
    assert (document["width"], document["height"]) == (4, 3)
    assert document["layerDataType"] == "Raster"
    assert document["extent"]["spatial"]["bbox"] == [[112.0, 30.0, 114.0, 31.5]]
    assert "items" not in rels(document)
    assert rels(document) >= {f"{REL}/tilesets-map", "enclosure"}


@pytest.mark.parametrize(
    ("lang", "header", "title", "tag"),
    [
        (None, None, "地块（合成示例）", "zh-CN"),
        ("zh", None, "地块（合成示例）", "zh-CN"),
        ("zh-CN", "en", "地块（合成示例）", "zh-CN"),
        ("en", None, "Parcels (synthetic sample)", "en"),
        ("en-US", "zh", "Parcels (synthetic sample)", "en"),
        (None, "en-GB,en;q=0.9,zh;q=0.5", "Parcels (synthetic sample)", "en"),
        (None, "fr, zh;q=0.8, en;q=0.7", "地块（合成示例）", "zh-CN"),
        (None, "zh;q=0, en", "Parcels (synthetic sample)", "en"),
        (None, ";;,q=,en;q=abc", "地块（合成示例）", "zh-CN"),
    ],
)
def test_languages(client, lang, header, title, tag):
    parameters = {} if lang is None else {"lang": lang}
    headers = {} if header is None else {"Accept-Language": header}
    answer = client.get("/ogc/collections/parcels", params=parameters, headers=headers)
    assert answer.json()["title"] == title
    assert answer.headers["content-language"] == tag
    assert "Accept-Language" in answer.headers["vary"]


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json;q=0.9, text/html;q=0.2", "application/json"),
        ("image/png", "application/json"),
    ],
)
def test_formats_by_accept(client, accept, kind):
    assert client.get("/ogc/collections", headers={"Accept": accept}).headers["content-type"].startswith(kind)


@pytest.mark.parametrize(
    "path",
    ["", "/conformance", "/collections", "/collections/parcels", "/collections/relief", "/collections/parcels/queryables",
     "/collections/parcels/schema", "/openapi", "/processes", "/jobs"],
)  # fmt: skip
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_pages_need_nothing_from_outside(client, path, lang):
    import re

    answer = client.get(f"/ogc{path}?f=html&lang={lang}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert f'<html lang="{"zh-CN" if lang == "zh" else "en"}">' in answer.text
    fetched = re.findall(r'(?:src|<link[^>]*href)="([^"]*)"', answer.text)
    assert all(re.fullmatch(r"[./]+(assets/ogcmap-[\w-]+\.js|favicon\.svg)", address) for address in fetched)
    assert answer.text.count("<script") <= 1
    assert "style-src 'sha256-" in answer.headers["content-security-policy"]


def test_the_style_hash_of_the_policy_is_that_of_the_page(client):
    import base64
    import hashlib
    import re

    answer = client.get("/ogc?f=html")
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in answer.headers["content-security-policy"]


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/conformance-op", "/req/core/conformance-success")
@pytest.mark.requirement(
    "ogcapi-common-1/1.0", "/req/landing-page/conformance-op", "/req/landing-page/conformance-success"
)
def test_conformance_is_declared(get):
    classes = get("/conformance")["conformsTo"]
    for wanted in (
        "ogcapi-features-1/1.0/conf/core", "ogcapi-features-1/1.0/conf/geojson", "ogcapi-features-1/1.0/conf/oas30",
        "ogcapi-features-2/1.0/conf/crs", "ogcapi-features-3/1.0/conf/filter", "cql2/1.0/conf/basic-cql2",
        "ogcapi-tiles-1/1.0/conf/core", "ogcapi-processes-1/1.0/conf/core", "ogcapi-processes-1/1.0/conf/job-list",
    ):  # fmt: skip
        assert f"http://www.opengis.net/spec/{wanted}" in classes
    assert len(classes) == len(set(classes))


@pytest.mark.requirement(
    "ogcapi-features-3/1.0",
    "/req/queryables/get-queryables-op",
    "/req/queryables/get-queryables-response",
    "/req/features-filter/get-queryables-op",
)
@pytest.mark.requirement(
    "ogcapi-features-5/1.0", "/req/queryables/get-queryables-op", "/req/queryables/get-queryables-response-json"
)
def test_queryables(client):
    answer = client.get("/ogc/collections/parcels/queryables?lang=en")
    document = answer.json()
    assert answer.headers["content-type"] == "application/schema+json"
    assert document["$id"] == "http://onemap.test/ogc/collections/parcels/queryables"
    properties = document["properties"]
    assert properties["use"]["enum"] == [1, 2]
    assert properties["use"]["x-enum-titles"] == {"1": "Farmland", "2": "Forest"}
    assert properties["area"] | {} == {"type": "number", "title": "Area", "x-ogc-unit": "hm²", "x-ogc-propertySeq": 3}
    assert properties["surveyed"]["format"] == "date"
    assert properties["geometry"]["format"].startswith("geometry-")
    assert document["additionalProperties"] is False


@pytest.mark.requirement("ogcapi-features-3/1.0", "/req/queryables/expression-construction")
def test_every_queryable_can_be_queried(get):
    for name, schema in get("/collections/gauges/queryables")["properties"].items():
        if "type" in schema:
            assert get("/collections/gauges/items", filter=f"{name} IS NOT NULL")["numberMatched"] >= 4


@pytest.mark.requirement(
    "ogcapi-features-5/1.0",
    "/req/schemas/schema-op",
    "/req/schemas/schema-definition",
    "/req/schemas/properties",
    "/req/core-roles-features/id",
    "/req/core-roles-features/geometry",
)
def test_schema_fits_the_features(get):
    import jsonschema

    document = get("/collections/parcels/schema")
    assert document["properties"]["fid"]["x-ogc-role"] == "id"
    for feature in get("/collections/parcels/items")["features"]:
        properties = {k: v for k, v in feature["properties"].items() if v is not None}
        own = {"type": "object", "properties": {k: v for k, v in document["properties"].items() if k in properties}}
        jsonschema.validate(properties, own)
    assert get("/collections/gauges/schema")["properties"]["time"]["x-ogc-role"] == "primary-instant"


DOCUMENTS = ["", "/conformance", "/collections", "/collections/parcels", "/openapi", "/collections/parcels/schema"]


@pytest.mark.parametrize("path", DOCUMENTS)
def test_documents_are_revalidated(client, path):
    answer = client.get(f"/ogc{path}")
    tag = answer.headers["etag"]
    assert client.get(f"/ogc{path}", headers={"If-None-Match": tag}).status_code == 304
    assert client.get(f"/ogc{path}?f=html", headers={"If-None-Match": tag}).status_code == 200
    assert client.get(f"/ogc{path}?nothing=1").status_code == 400


def test_links_use_the_public_address(api_app, api_settings):
    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    app = create_app(api_settings.model_copy(update={"public_url": "https://map.example.cn/"}))
    with TestClient(app, base_url="http://inside:8000") as client:
        document = client.get("/ogc/collections/parcels/items?limit=1").json()
        assert all(link["href"].startswith("https://map.example.cn/ogc/") for link in document["links"])
        assert client.get("/ogc/openapi").json()["servers"][0]["url"] == "https://map.example.cn/ogc"
