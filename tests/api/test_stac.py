"""The STAC API: what it lists, how it searches, its files, and the registration of results."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BASE = "http://onemap.test"
SUITE = "stac-api/1.0.0"


@pytest.fixture(scope="module")
def data_dir(hand_made: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder: one good raster, one without nodata, one that is no raster, a link that leads out of it."""
    import rasterio

    folder = tmp_path_factory.mktemp("stac") / "data"
    (folder / "inbox").mkdir(parents=True)
    good = hand_made.write_relief(folder / "inbox" / "good.tif")
    with rasterio.open(good) as source:
        profile = {**source.profile, "nodata": None}
        with rasterio.open(folder / "inbox" / "no-nodata.tif", "w", **profile) as target:
            target.write(source.read())
    (folder / "inbox" / "text.tif").write_text("no raster")
    outside = hand_made.write_relief(folder.parent / "outside.tif")
    (folder / "inbox" / "link.tif").symlink_to(outside)
    return folder


@pytest.fixture(scope="module")
def app(hand_made: Any, data_dir: Path) -> Any:
    """An application where everybody may register results; ``relief`` has two versions, ``scene`` a period."""
    from spatial.asgi import create_app
    from spatial.catalog import Layer
    from spatial.settings import Settings

    relief = hand_made.definitions["relief"]
    second = relief | {"source": relief["source"] | {"version": "2026.2"}}
    scene = relief | {
        "id": "scene",
        "title": {"zh": "影像", "en": "Scene"},
        "period": ["2019-01-01", "2019-12-31"],
        "source": relief["source"] | {"licence": "GPL-3.0 (package); not verified"},
        "synthetic": {"seed": 1, "recipe": {"zh": "手工", "en": "by hand"}},
    }
    folder = data_dir.parent
    layers = hand_made.write_layers(folder / "layers", {"relief": second, "scene": scene})
    found = create_app(
        Settings(store="duckdb", var_dir=folder / "var", layers_dir=layers, data_dir=data_dir, edit="open")
    )
    for definition in (relief, second, scene):
        found.state.datastore.publish_raster(Layer.model_validate(definition), data_dir / "inbox" / "good.tif")
    return found


@pytest.fixture(scope="module")
def client(app: Any) -> Iterator[Any]:
    from starlette.testclient import TestClient

    with TestClient(app, base_url=BASE, raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def search(client: Any) -> Any:
    """Ids of a search by GET, which POST must find too."""

    def ask(**parameters: Any) -> list[str]:
        answer = client.get("/stac/search", params=parameters)
        assert answer.status_code == 200, answer.text
        return [item["id"] for item in answer.json()["features"]]

    return ask


RELIEF = ["relief_2026-2", "relief_1"]


def link(document: dict[str, Any], rel: str, **more: Any) -> dict[str, Any]:
    (found,) = [x for x in document["links"] if x["rel"] == rel and all(x.get(k) == v for k, v in more.items())]
    return dict(found)


# --- documents --------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(SUITE, "core", "collections", "browseable")
def test_landing_page(client: Any) -> None:
    document = client.get("/stac").json()
    assert (document["type"], document["stac_version"]) == ("Catalog", "1.1.0")
    assert "https://api.stacspec.org/v1.0.0/item-search" in document["conformsTo"]
    assert {x["method"] for x in document["links"] if x["rel"] == "search"} == {"GET", "POST"}
    for rel in ("self", "root", "service-desc", "service-doc", "conformance", "data"):
        entry = link(document, rel)
        answer = client.get(entry["href"])
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == entry["type"].partition(";")[0]
    children = [x["href"].rpartition("/")[2] for x in document["links"] if x["rel"] == "child"]
    assert children == ["relief", "scene", "results"]


def test_collections(client: Any) -> None:
    documents = client.get("/stac/collections").json()["collections"]
    relief = next(d for d in documents if d["id"] == "relief")
    assert relief["extent"]["spatial"]["bbox"] == [[112.0, 30.0, 114.0, 31.5]]
    assert relief["title"] == "图层relief / Layer relief"
    assert relief["license"] == "CC-BY-4.0"
    scene = next(d for d in documents if d["id"] == "scene")
    assert scene["license"] == "other"
    assert link(scene, "license")["title"] == "GPL-3.0 (package); not verified"
    assert scene["title"] == "影像（合成示例） / Scene (synthetic sample)"
    assert scene["extent"]["temporal"]["interval"] == [["2019-01-01T00:00:00Z", "2019-12-31T23:59:59Z"]]
    assert client.get("/stac/collections/parcels").status_code == 404  # vector layers are no scenes


@pytest.mark.requirement(SUITE, "ogcapi-features")
def test_item_says_what_the_file_holds(client: Any) -> None:
    import rasterio

    answer = client.get("/stac/collections/relief/items/relief_1")
    assert answer.headers["content-type"] == "application/geo+json"
    item = answer.json()
    properties, asset = item["properties"], item["assets"]["data"]
    assert properties["proj:epsg"] == 4490
    assert (properties["proj:shape"], properties["version"]) == ([3, 4], "1")
    assert asset["raster:bands"][0] == {
        "data_type": "int16",
        "nodata": -9999,
        "statistics": {"minimum": 0, "maximum": 202},
        "unit": "m",
        # 0.5° of longitude on the equator of WGS 84: 0.5 × π/180 × 6,378,137 m.
        "spatial_resolution": pytest.approx(55659.745, abs=0.01),
    }
    data = client.get(asset["href"])
    assert len(data.content) == asset["file:size"]
    with rasterio.MemoryFile(data.content) as file, file.open() as dataset:
        assert list(dataset.transform) == properties["proj:transform"]
        assert dataset.read(1)[1].tolist() == [100, 101, 102, 103]
    assert item["geometry"]["coordinates"][0][0] == [112.0, 30.0]
    assert client.get("/stac/collections/relief/items/relief_9").status_code == 404


def test_files_answer_ranges_and_never_change(client: Any) -> None:
    address = "/stac/files/relief/1.tif"
    whole = client.get(address)
    part = client.get(address, headers={"Range": "bytes=4-11"})
    assert (part.status_code, part.content) == (206, whole.content[4:12])
    assert part.headers["content-range"] == f"bytes 4-11/{len(whole.content)}"
    # A range of compressed bytes would be of no use: pictures are sent as they are.
    packed = client.get(address, headers={"Range": "bytes=4-11", "Accept-Encoding": "gzip, br"})
    assert packed.content == part.content
    assert "content-encoding" not in packed.headers
    assert client.get(address, headers={"Range": "bytes=999999-"}).status_code == 416
    assert client.get(address, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304
    for wrong in ("relief/9.tif", "nothing/1.tif", "relief/..%2f..%2fstate.sqlite.tif"):
        assert client.get(f"/stac/files/{wrong}").status_code == 404


def test_a_file_that_is_gone_is_503_for_itself(app: Any, client: Any, monkeypatch: Any) -> None:
    """The version exists, its file does not: that is the service's fault, not an address that never was."""
    from pathlib import Path

    gone = app.state.datastore.snapshot().raster("relief", "1").path
    is_file = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda path, **how: path != gone and is_file(path, **how))
    answer = client.get("/stac/files/relief/1.tif")
    assert (answer.status_code, answer.json()["title"], answer.json()["layer"]) == (503, "StoreUnavailable", "relief")
    assert client.get("/stac/search").status_code == 200


def test_documents_follow_the_schemas(client: Any) -> None:
    """STAC 1.1 with the schemas that pystac carries; no schema is fetched."""
    import jsonschema
    import pystac
    from pystac.validation.local_validator import get_local_schema_cache
    from referencing import Registry, Resource

    schemas = get_local_schema_cache()
    registry: Any = Registry().with_resources([(uri, Resource.from_contents(s)) for uri, s in schemas.items()])

    def check(kind: str, document: dict[str, Any]) -> None:
        schema = schemas[f"https://schemas.stacspec.org/v1.1.0/{kind}-spec/json-schema/{kind}.json"]
        jsonschema.Draft7Validator(schema, registry=registry).validate(document)

    for item in client.get("/stac/search?limit=100").json()["features"]:
        check("item", item)
        assert pystac.Item.from_dict(item).assets["data"].href.endswith(".tif")
    for collection in client.get("/stac/collections").json()["collections"]:
        check("collection", collection)
        assert pystac.Collection.from_dict(collection).id == collection["id"]
    check("catalog", client.get("/stac").json())


def test_openapi_is_valid_and_complete(client: Any) -> None:
    from openapi_spec_validator import validate

    document = client.get("/stac/api").json()
    validate(document)
    assert all(ref.startswith("#/") for ref in _refs(document))
    assert "post" in document["paths"]["/collections/results/items"]


def _refs(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _refs(value)
    elif isinstance(node, list):
        for value in node:
            yield from _refs(value)


# --- search -----------------------------------------------------------------------------------------------------------

POLYGON = {"type": "Polygon", "coordinates": [[[113, 31], [113.5, 31], [113.5, 31.2], [113, 31.2], [113, 31]]]}


@pytest.mark.requirement(SUITE, "item-search", "item-search#filter", "item-search#sort")
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"collections": "relief"}, RELIEF),
        ({"collections": "relief", "ids": "relief_1,scene_1"}, ["relief_1"]),
        ({"collections": "nothing"}, []),
        ({"collections": "scene", "bbox": "112,30,113,31"}, ["scene_1"]),
        ({"collections": "scene", "bbox": "10,10,11,11"}, []),
        ({"collections": "scene", "intersects": json.dumps(POLYGON)}, ["scene_1"]),
        ({"datetime": "2019-06-01T00:00:00Z"}, ["scene_1"]),
        ({"datetime": "2019-12-31T23:59:59Z/2020-01-01T00:00:00Z"}, ["scene_1"]),
        ({"datetime": "../2018-12-31T23:59:59Z"}, []),
        ({"collections": "relief", "sortby": "+version"}, RELIEF[::-1]),
        ({"collections": "relief", "sortby": "-properties.version"}, RELIEF),
        ({"filter": "synthetic = true"}, ["scene_1"]),
        ({"filter": "collection = 'relief' AND version LIKE '2026%'"}, ["relief_2026-2"]),
        ({"filter": "\"proj:epsg\" = 4490 AND license = 'other'"}, ["scene_1"]),
        ({"filter": "T_DURING(datetime, INTERVAL('2018-01-01', '2020-01-01'))"}, ["scene_1"]),
        ({"filter": "S_WITHIN(geometry, BBOX(100, 20, 120, 40)) AND title LIKE '%影像%'"}, ["scene_1"]),
        ({"filter": '"eo:cloud_cover" < 10'}, []),
    ],
)
def test_search(search: Any, client: Any, parameters: dict[str, str], expected: list[str]) -> None:
    assert search(**parameters) == expected
    body: dict[str, Any] = dict(parameters)
    for name in ("collections", "ids"):
        if name in body:
            body[name] = body[name].split(",")
    if "bbox" in body:
        body["bbox"] = [float(v) for v in body["bbox"].split(",")]
    if "intersects" in body:
        body["intersects"] = POLYGON
    if "sortby" in body:
        direction = "desc" if body["sortby"].startswith("-") else "asc"
        body["sortby"] = [{"field": body["sortby"][1:], "direction": direction}]
    if "filter" in body:
        import cql2

        body |= {"filter": cql2.parse_text(body["filter"]).to_json(), "filter-lang": "cql2-json"}
    answer = client.post("/stac/search", json=body)
    assert [item["id"] for item in answer.json()["features"]] == expected


@pytest.mark.parametrize(
    "parameters",
    [
        {"bbox": "1,2,3"},
        {"bbox": "1,5,3,2"},
        {"bbox": "a,b,c,d"},
        {"bbox": "1,2,3,4", "intersects": json.dumps(POLYGON)},
        {"intersects": "POINT(1 2)"},
        {"intersects": '{"type":"Point"}'},
        {"intersects": "[" * 5000},
        {"datetime": "1985-04-12"},
        {"datetime": "1985-12-12T23:20:50.52"},
        {"datetime": "../.."},
        {"datetime": "2020-01-01T00:00:00Z/2019-01-01T00:00:00Z"},
        {"limit": "0"},
        {"limit": "-1"},
        {"limit": "many"},
        {"token": "x"},
        {"token": "bm90aGluZy9oZXJl"},
        {"filter": "colour = 1"},
        {"filter": "title = 1"},
        {"filter": "("},
        {"filter": "NOT " * 5000 + "synthetic = true"},
        {"sortby": "colour"},
        {"f": "xml"},
        {"bbbox": "1,2,3,4"},
    ],
)
def test_bad_search_is_told(client: Any, parameters: dict[str, str]) -> None:
    answer = client.get("/stac/search", params=parameters)
    assert answer.status_code == 400, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail_zh"]


@pytest.mark.parametrize(
    "body",
    [
        {"limit": "5"},
        {"limit": True},
        {"ids": [1]},
        {"ids": ["a"] * 1001},
        {"bbox": [1, 2, 3, "4"]},
        {"intersects": {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}},
        {"datetime": 5},
        {"filter": 5},
        {"filter": "synthetic = true", "filter-lang": "ecql"},
        {"sortby": ["title"]},
        {"fields": None},
        {"fields": {"include": "id"}},
        {"conf": 1},
    ],
)
def test_bad_body_is_told(client: Any, body: dict[str, Any]) -> None:
    assert client.post("/stac/search", json=body).status_code == 400


def test_body_of_another_kind(client: Any) -> None:
    assert client.post("/stac/search", content=b"x", headers={"Content-Type": "text/xml"}).status_code == 415
    assert client.post("/stac/search", content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert client.post("/stac/search", content=b"[]", headers={"Content-Type": "application/json"}).status_code == 400


def test_pages_by_token(client: Any) -> None:
    whole = [item["id"] for item in client.get("/stac/search?limit=100").json()["features"]]
    page = client.get("/stac/search?limit=1").json()
    seen = [item["id"] for item in page["features"]]
    while any(x["rel"] == "next" for x in page["links"]):
        page = client.get(link(page, "next")["href"]).json()
        seen += [item["id"] for item in page["features"]]
    assert seen == whole
    posted = client.post("/stac/search", json={"limit": 1, "bbox": [100, 20, 120, 40]}).json()
    following = link(posted, "next")
    assert following["method"] == "POST"
    assert following["body"]["bbox"] == [100, 20, 120, 40]
    second = client.post(following["href"], json=following["body"]).json()
    assert second["features"][0]["id"] == whole[1]
    assert posted["numberMatched"] == len(whole)


@pytest.mark.requirement(SUITE, "item-search#query")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"collection": {"eq": "relief"}}, RELIEF),
        ({"collection": {"eq": "relief"}, "properties.version": {"neq": "1"}}, ["relief_2026-2"]),
        ({"collection": {"in": ["scene", "nothing"]}}, ["scene_1"]),
        ({"version": {"startsWith": "2026"}, "collection": {"eq": "relief"}}, ["relief_2026-2"]),
        ({"id": {"endsWith": "_1"}, "collection": {"contains": "cen"}}, ["scene_1"]),
        ({"collection": {"contains": "%"}}, []),
        ({"collection": {"contains": "_"}}, []),
        ({"proj:epsg": {"gte": 4490, "lte": 4490}, "license": {"eq": "other"}}, ["scene_1"]),
        ({"synthetic": {"eq": True}}, ["scene_1"]),
        ({"start_datetime": {"lt": "2019-06-01T00:00:00Z"}}, ["scene_1"]),
        ({"bands": {"contains": "elevation"}, "version": {"eq": "1"}}, ["relief_1", "scene_1"]),
        ({}, None),
    ],
)
def test_query(search: Any, client: Any, query: dict[str, Any], expected: list[str] | None) -> None:
    answer = client.post("/stac/search", json={"query": query})
    assert answer.status_code == 200, answer.text
    found = [item["id"] for item in answer.json()["features"]]
    assert found == (search() if expected is None else expected)
    assert search(query=json.dumps(query)) == found


@pytest.mark.parametrize(
    "query",
    [
        [], "x", {"version": "1"}, {"nothing": {"eq": 1}}, {"version": {"like": "1"}}, {"version": {"in": "1"}},
        {"version": {"in": []}}, {"version": {"eq": ["1"]}}, {"version": {"eq": None}}, {"version": {"eq": {}}},
        {"version": {"startsWith": 1}}, {"created": {"lt": "yesterday"}}, {"created": {"lt": 5}},
        {"proj:epsg": {"lt": "x"}}, {"geometry": {"eq": "x"}}, {"version": {"in": ["1"] * 1001}},
        {f"{'properties.' * n}version": {"eq": "1"} for n in range(2)} | {"a": {f"eq{n}": 1 for n in range(100)}},
    ],
)  # fmt: skip
def test_a_wrong_query_is_refused(client: Any, query: Any) -> None:
    for answer in (
        client.post("/stac/search", json={"query": query}),
        client.get("/stac/search", params={"query": json.dumps(query)}),
    ):
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail_en"]
    assert client.get("/stac/search", params={"query": "{"}).status_code == 400


@pytest.mark.requirement(SUITE, "item-search#fields")
def test_fields(client: Any) -> None:
    def first(text: str) -> dict[str, Any]:
        return dict(client.get("/stac/search", params={"ids": "relief_1", "fields": text}).json()["features"][0])

    assert set(first("id")) == {"id", "type", "stac_version", "collection"}
    assert "geometry" not in first("-geometry")
    assert first("properties.version,-properties")["properties"] == {"version": "1"}
    assert set(first("")["properties"]) == {"datetime"}


# --- registration -----------------------------------------------------------------------------------------------------


def trial(item_id: str, href: str = "inbox/good.tif", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "geometry": None,
        "properties": {"title": "试验 / Trial", "datetime": "2024-05-01T06:07:08Z", **properties},
        "assets": {"data": {"href": href}},
        "links": [{"rel": "derived_from", "href": f"{BASE}/stac/collections/scene/items/scene_1"}],
    }


ADDRESS = "/stac/collections/results/items"


@pytest.mark.requirement(SUITE, "ogcapi-features/extensions/transaction")
def test_result_is_registered_changed_and_withdrawn(client: Any) -> None:
    made = client.post(ADDRESS, json=trial("trial", **{"eo:cloud_cover": 12.5}))
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"{BASE}{ADDRESS}/trial"
    item = client.get(f"{ADDRESS}/trial").json()
    assert item["properties"]["datetime"] == "2024-05-01T06:07:08Z"
    assert item["properties"]["eo:cloud_cover"] == 12.5
    assert item["properties"]["derived_from"] == ["scene"]
    # What is made from a synthetic layer is synthetic, and says so.
    assert item["properties"]["synthetic"] is True
    assert item["properties"]["title"].startswith("试验（合成示例） / Trial (synthetic sample)")
    assert link(item, "derived_from")["href"].endswith("/scene/items/scene_1")
    assert item["assets"]["data"]["raster:bands"][0]["statistics"] == {"minimum": 0, "maximum": 202}
    # It is a layer like any other.
    assert client.get("/ogc/collections/trial").status_code == 200
    assert client.get("/ogc/collections/catalogue/items/trial").json()["properties"]["type"] == "result"
    assert client.get("/stac/search", params={"filter": '"eo:cloud_cover" > 12'}).json()["numberMatched"] == 1

    tag = made.headers["etag"]
    assert client.get(f"{ADDRESS}/trial").headers["etag"] == tag
    changed = client.patch(f"{ADDRESS}/trial", json={"properties": {"eo:cloud_cover": 3}}, headers={"If-Match": tag})
    assert (changed.status_code, changed.content) == (204, b"")
    again = client.get(f"{ADDRESS}/trial").json()["properties"]
    assert (again["eo:cloud_cover"], again["version"], again["datetime"]) == (3, "2", "2024-05-01T06:07:08Z")
    stale = client.delete(f"{ADDRESS}/trial", headers={"If-Match": tag})
    assert stale.status_code == 412
    whole = trial("trial", title="新 / New")
    assert client.put(f"{ADDRESS}/trial", json=whole).status_code == 204
    replaced = client.get(f"{ADDRESS}/trial").json()["properties"]
    assert replaced["title"].startswith("新（合成示例） / New")
    assert "eo:cloud_cover" not in replaced

    assert client.delete(f"{ADDRESS}/trial").status_code == 204
    assert client.get(f"{ADDRESS}/trial").status_code == 404
    assert client.get("/ogc/collections/trial").status_code == 404
    assert client.delete(f"{ADDRESS}/trial").status_code == 404
    assert client.post(ADDRESS, json=trial("trial")).status_code == 201
    assert client.delete(f"{ADDRESS}/trial").status_code == 204


@pytest.mark.parametrize(
    "href",
    [
        "http://169.254.169.254/latest.tif",
        "file:///etc/passwd.tif",
        "/vsicurl/http://example.org/x.tif",
        "/etc/passwd",
        "../outside.tif",
        "inbox/../../outside.tif",
        "inbox\\good.tif",
        "inbox/good.vrt",
        "C:/x.tif",
        "",
        5,
    ],
)
def test_files_outside_the_data_folder_are_refused(client: Any, href: Any) -> None:
    before = client.get("/stac/search?limit=100").json()["numberMatched"]
    answer = client.post(ADDRESS, json=trial("outside", href))
    assert answer.status_code == 400, answer.text
    assert client.get("/stac/search?limit=100").json()["numberMatched"] == before


@pytest.mark.parametrize(
    ("href", "error"),
    [
        ("inbox/link.tif", "SourceUnreadable"),
        ("inbox/missing.tif", "SourceUnreadable"),
        ("inbox/text.tif", "SourceUnreadable"),
        ("inbox/no-nodata.tif", "NodataMissing"),
    ],
)
def test_files_that_break_a_rule_are_refused(client: Any, href: str, error: str) -> None:
    answer = client.post(ADDRESS, json=trial("broken", href))
    assert (answer.status_code, answer.json()["title"]) == (422, error)
    assert client.get(f"{ADDRESS}/broken").status_code == 404


@pytest.mark.parametrize(
    "change",
    [
        {"id": "Trial"},
        {"id": "relief"},
        {"id": "results"},
        {"id": None},
        {"type": "FeatureCollection"},
        {"stac_version": "0.9.0"},
        {"properties": []},
        {"collection": "relief"},
        {"links": {}},
        {"links": [{"rel": "derived_from", "href": "http://elsewhere.test/item"}]},
        {"properties": {"datetime": "2024-05-01T00:00:00"}},
        {"properties": {"datetime": "spring"}},
        {"properties": {"datetime": "0001-01-01T00:00:00+08:00"}},
        {"properties": {"grade": "涉密"}},
        {"properties": {"grade": "敏感"}},
        {"properties": {"derived_from": ["nothing"]}},
        {"properties": {"keywords": "x"}},
        {"assets": {"data": {"href": "inbox/good.tif", "bands": [{}, {}]}}},
        {"assets": {}},
    ],
)
def test_items_that_are_none_are_refused(client: Any, change: dict[str, Any]) -> None:
    item = copy.deepcopy(trial("faulty")) | change
    answer = client.post(ADDRESS, json=item)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail_zh"]


def test_values_outside_the_range_that_the_item_says(client: Any) -> None:
    item = trial("ranges")
    item["assets"]["data"]["bands"] = [{"name": "height", "statistics": {"minimum": 0, "maximum": 100}}]
    answer = client.post(ADDRESS, json=item)
    assert (answer.status_code, answer.json()["title"]) == (422, "QualityViolation")


def test_only_results_take_items(client: Any) -> None:
    assert client.post("/stac/collections/relief/items", json=trial("x")).status_code == 405
    assert client.delete("/stac/collections/relief/items/relief_1").status_code == 405
    assert client.post("/stac/collections/nothing/items", json=trial("x")).status_code == 404
    other_site = client.post(ADDRESS, json=trial("x"), headers={"Origin": "http://evil.test"})
    assert other_site.status_code == 403


@pytest.mark.parametrize(("edit", "key", "status"), [("off", None, 405), ("key", None, 401), ("key", "k" * 16, 201)])
def test_registration_is_guarded(app: Any, edit: str, key: str | None, status: int, monkeypatch: Any) -> None:
    from pydantic import SecretStr
    from starlette.testclient import TestClient

    store = app.state.datastore
    changes = {"edit": edit, "edit_key": SecretStr("k" * 16)}
    monkeypatch.setattr(store, "settings", store.settings.model_copy(update=changes))
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    client = TestClient(app, base_url=BASE, raise_server_exceptions=False)
    answer = client.post(ADDRESS, json=trial(f"guarded-{edit}"), headers=headers)
    assert answer.status_code == status, answer.text
    declared = client.get("/stac").json()["conformsTo"]
    assert any(c.endswith("extensions/transaction") for c in declared) is (edit != "off")
    if status == 201:
        assert client.delete(f"{ADDRESS}/guarded-{edit}", headers=headers).status_code == 204
