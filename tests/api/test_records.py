"""The resource catalogue: records, full-text search, filter, facets, order, exports; every expectation is of `DEFINITIONS`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

SUITE = "ogcapi-records-1/1.0"
BASE = "http://onemap.test"
ITEMS = "/collections/catalogue/items"


@pytest.fixture(scope="module")
def client(hand_made: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The application on one store: the catalogue stands in memory and asks no store."""
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.settings import Settings

    folder = tmp_path_factory.mktemp("records")
    layers = hand_made.write_layers(folder / "layers", hand_made.definitions)
    app = create_app(Settings(store="duckdb", var_dir=folder / "var", layers_dir=layers))
    hand_made.publish_all(app.state.datastore, folder)
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as found:
        yield found


@pytest.fixture
def ids(get: Any) -> Any:
    """Ids of the records that a query selects, in their order."""

    def ask(**parameters: Any) -> list[str]:
        page = get(ITEMS, **{"limit": 1000, **{n.replace("_", "-"): v for n, v in parameters.items()}})
        assert page["numberMatched"] == page["numberReturned"] == len(page["features"])
        return [feature["id"] for feature in page["features"]]

    return ask


def rels(document: dict[str, Any], rel: str) -> list[str]:
    return [link["href"] for link in document["links"] if link["rel"].lower() == rel.lower()]


LAYERS = ["gauges", "grid-points", "parcels", "relief"]


@pytest.mark.requirement(
    SUITE,
    "/req/record-collection/mandatory-properties-collection",
    "/req/record-collection/itemType",
    "/req/record-collection/links",
    "/req/record-collection/links-records",
    "/req/record-collection/license",
    "/req/json/catalog-content",
    "/req/records-api/catalog-response",
    "/req/records-api/catalogs-response",
    "/req/searchable-catalog/mandatory-catalog-properties",
)
def test_catalogue_is_a_collection_of_records(get: Any) -> None:
    whole = get("/collections")
    listed = {c["id"]: c for c in whole["collections"]}
    alone = get("/collections/catalogue")
    for document in (listed["catalogue"], alone):
        assert (document["type"], document["itemType"]) == ("Collection", "record")
        assert rels(document, "items")[0] == "http://onemap.test/ogc/collections/catalogue/items"
        assert "http://www.opengis.net/def/profile/OGC/0/ogc-catalog" in rels(document, "profile")
        assert document["extent"]["spatial"]["bbox"] == [[111.0, 30.0, 115.0, 31.5]]
        # From the first time of a gauge to the last.
        assert document["extent"]["temporal"]["interval"] == [["2024-07-01T00:00:00Z", "2024-08-01T00:00:00Z"]]
        assert document["license"] == "Apache-2.0"
        assert rels(document, "license")
    assert rels(alone, "self") == ["http://onemap.test/ogc/collections/catalogue"]
    assert rels(alone, "alternate")
    assert whole["numberReturned"] == len(whole["collections"])


@pytest.mark.requirement(
    SUITE,
    "/req/local-resources-catalog/mandatory-catalog-properties",
    "/req/local-resources-catalog/mandatory-record-properties",
    "/req/local-resources-catalog/discovery",
    "/req/local-resources-catalog/conformance",
    "/req/autodiscovery/links",
    "/req/record-collection/records-array-name",
    "/req/searchable-catalog/conformance",
    "/req/json/conformance",
    "/req/html/conformance",
    "/req/oas30/conformance",
    "/req/searchable-catalog/filtering-conformance",
    "/req/searchable-catalog/sorting-conformance",
)
def test_collections_are_a_catalogue_of_local_resources(get: Any) -> None:
    whole = get("/collections")
    assert (whole["id"], whole["type"], whole["itemType"]) == ("collections", "Collection", "record")
    assert whole["recordsArrayName"] == "collections"
    assert all(c["id"] for c in whole["collections"])
    catalogues = rels(get(""), "http://www.opengis.net/def/rel/ogc/1.0/ogc-catalog")
    assert catalogues == ["http://onemap.test/ogc/collections/catalogue/items", "http://onemap.test/ogc/collections"]
    declared = get("/conformance")["conformsTo"]
    for name in (
        "searchable-catalog",
        "searchable-catalog-filtering",
        "searchable-catalog-sorting",
        "local-resources-catalog",
        "json",
        "html",
        "oas30",
        "autodiscovery",
    ):
        assert f"http://www.opengis.net/spec/ogcapi-records-1/1.0/conf/{name}" in declared


@pytest.mark.requirement(
    SUITE, "/req/record-core/mandatory-properties-record", "/req/records-api/records-op", "/req/json/record-content"
)
def test_one_record_per_layer_process_and_service(ids: Any, get: Any) -> None:
    found = ids()
    assert [i for i in found if "." not in i] == LAYERS  # «draft» is not published
    assert {"process.echo", "service.ogc-api", "service.stac", "service.wmts"} <= set(found)
    assert len(found) == len(set(found))
    assert len([i for i in found if i.startswith("process.")]) == len(get("/processes")["processes"])


@pytest.mark.requirement(
    SUITE,
    "/req/records-api/record-op",
    "/req/records-api/record-response",
    "/req/record-core/links",
    "/req/record-core/license",
    "/req/record-core/contact",
    "/req/record-core/default-mediatype",
    "/req/record-core/templated-link",
    "/req/json/record-response",
)
def test_record_says_everything_about_its_layer(client: Any) -> None:
    answer = client.get(f"/ogc{ITEMS}/parcels")
    assert answer.headers["content-type"] == "application/geo+json"
    record = answer.json()
    properties = record["properties"]
    assert (record["id"], record["type"], properties["type"]) == ("parcels", "Feature", "dataset")
    assert properties["title"] == "地块（合成示例）"
    assert properties["synthetic"] is True
    assert properties["license"] == "CC-BY-4.0"
    assert properties["contacts"][0]["organization"] == properties["department"] == "测试"
    assert properties["themes"][0]["concepts"] == [{"id": "base", "title": "基础"}]
    assert properties["keywords"] == ["地块", "parcel"]
    assert properties["grade"] == "公开"
    assert record["bbox"] == [114.0, 30.0, 114.3, 30.3]
    assert record["geometry"]["coordinates"][0][0] == [114.0, 30.0]
    assert record["time"] is None
    assert rels(record, "collection") == ["http://onemap.test/ogc/collections/catalogue"]
    assert "http://www.opengis.net/def/profile/OGC/0/ogc-record" in rels(record, "profile")
    assert rels(record, "items")
    assert rels(record, "license") == ["https://spdx.org/licenses/CC-BY-4.0.html"]
    ogc, xyz = (template["uriTemplate"] for template in record["linkTemplates"])
    assert ogc.endswith("/ogc/collections/parcels/tiles/{tileMatrixSetId}/{tileMatrix}/{tileRow}/{tileCol}")
    assert xyz.endswith("/tiles/parcels/{tms}/{z}/{x}/{y}.mvt?version=1")
    filled = xyz.format(tms="WebMercatorQuad", z=8, x=209, y=105)
    assert client.get(filled).status_code in (200, 204)
    english = client.get(f"/ogc{ITEMS}/parcels?lang=en").json()["properties"]
    assert (english["title"], english["language"]["code"]) == ("Parcels (synthetic sample)", "en")


@pytest.mark.requirement(
    SUITE, "/req/record-core/time-instant", "/req/record-core/time-interval", "/req/record-core/time-zone"
)
def test_record_time_is_that_of_the_data(get: Any) -> None:
    assert get(f"{ITEMS}/gauges")["time"] == {"interval": ["2024-07-01T00:00:00Z", "2024-08-01T00:00:00Z"]}


def test_every_link_of_a_record_answers(get: Any, client: Any) -> None:
    for record in ("parcels", "relief", "process.echo", "service.wmts"):
        for link in get(f"{ITEMS}/{record}")["links"]:
            # Files of data are proved where they are made; queries of EDR need a place.
            document = (
                any(word in link["type"] for word in ("json", "html", "xml")) and "geopackage" not in link["type"]
            )
            if (
                document
                and link["href"].startswith(BASE)
                and not link["rel"].endswith(("/execute", "data", "coverage"))
            ):
                answer = client.get(link["href"])
                assert answer.status_code == 200, (record, link, answer.text[:200])


def test_layer_links_to_its_record(get: Any) -> None:
    described = [link for link in get("/collections/parcels")["links"] if link["rel"] == "describedby"]
    assert described[0]["href"] == "http://onemap.test/ogc/collections/catalogue/items/parcels"


@pytest.mark.requirement(
    SUITE,
    "/req/record-core-query-parameters/q-definition",
    "/req/record-core-query-parameters/q-response",
)
@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("地块", ["parcels"]),
        ("块", ["parcels"]),
        ("水位", ["gauges"]),
        ("水位测站", []),  # one pair of three stands in the record
        ("河流水位站", []),
        ("合成 示例", ["parcels"]),  # «合成示例» in the text: Chinese is written without spaces
        ("合成　示例", ["parcels"]),
        ("示例 合成", []),  # in this order only
        ("PARCEL", ["parcels"]),
        ("parcels", ["parcels"]),
        ("ｐａｒｃｅｌ", ["parcels"]),
        ("river gauges", ["gauges"]),
        ("gauges river", []),  # words in this order only
        ("地块,高程", ["parcels", "relief"]),
        ("地块，高程", ["parcels", "relief"]),
        ("elevation", ["relief"]),  # a band
        ("没有这种东西", []),
    ],
)
def test_full_text(ids: Any, q: str, expected: list[str]) -> None:
    found = ids(q=q, type="dataset")
    assert sorted(found) == expected


def test_chinese_terms_match_by_pairs_of_characters() -> None:
    from types import SimpleNamespace

    from spatial.catalog import Text
    from spatial.ogc.records.search import rank, read_terms

    def resource(zh: str, en: str = "x") -> Any:
        empty = Text(zh="无", en="none")
        return SimpleNamespace(
            title=Text(zh=zh, en=en), keywords=(), theme=(), department=empty, description=empty, more_words=()
        )

    redline = resource("生态保护红线", "Ecological protection red line")
    # 生态, 态红, 红线: two of three pairs.
    assert rank(redline, read_terms("生态红线")) == pytest.approx(8 * 0.6 * 2 / 3)
    assert rank(redline, read_terms("生态保护")) == 8
    assert rank(redline, read_terms("生态农业")) == 0
    assert rank(redline, read_terms("red line")) == 8
    assert rank(redline, read_terms("protection line")) == 0
    # Only two pairs: both must stand there.
    assert rank(redline, read_terms("保护区")) == 0


def test_better_matches_come_first(ids: Any) -> None:
    # In the title of the service and only in the description of others.
    assert ids(q="STAC")[0] == "service.stac"
    assert ids(q="水位")[0] == "gauges"


@pytest.mark.parametrize("q", ["", " , ", "!!!", "词" * 201, ",".join(["a"] * 21)])
def test_empty_or_endless_search_is_refused(problem: Any, q: str) -> None:
    assert problem(400, ITEMS, q=q)["parameter"] == "q"


@pytest.mark.requirement(
    SUITE,
    "/req/record-core-query-parameters/type-definition",
    "/req/record-core-query-parameters/type-response",
    "/req/record-core-query-parameters/ids-definition",
    "/req/record-core-query-parameters/ids-response",
    "/req/record-core-query-parameters/externalIds-definition",
    "/req/record-core-query-parameters/externalIds-response",
    "/req/records-api/query-params",
    "/req/records-api/mandatory-params",
)
def test_parameters_select_and_all_must_hold(ids: Any) -> None:
    assert ids(type="dataset") == LAYERS
    assert set(ids(type="dataset,service")) > set(LAYERS)
    assert ids(ids="relief,gauges,nothing") == ["gauges", "relief"]
    assert ids(externalIds="layer:relief") == ["relief"]
    assert ids(externalIds="relief") == ["relief"]
    assert ids(externalIds="process:relief") == []
    assert "process.echo" in ids(externalIds="process:")
    assert ids(ids="relief,gauges", type="dataset", q="水位") == ["gauges"]
    assert ids(ids="relief", type="service") == []


@pytest.mark.requirement(
    SUITE,
    "/req/record-core-query-parameters/bbox",
    "/req/record-core-query-parameters/datetime",
    "/req/record-core-query-parameters/limit",
)
def test_place_and_time(ids: Any, get: Any) -> None:
    assert ids(bbox="112,31.2,113,31.4", type="dataset") == ["relief"]
    # Latitude first, as EPSG:4490 says.
    box = {"bbox": "31.2,112,31.4,113", "bbox_crs": "http://www.opengis.net/def/crs/EPSG/0/4490"}
    assert ids(**box, type="dataset") == ["relief"]
    # What has no place or no time is not shut out (Features P1, fc-bbox-response, fc-time-response).
    assert "process.echo" in ids(bbox="0,0,1,1")
    assert "gauges" not in ids(bbox="0,0,1,1")
    assert "gauges" not in ids(datetime="../2024-06-30")
    assert {"gauges", "parcels"} <= set(ids(datetime="2024-07-15T00:00:00Z"))
    page = get(ITEMS, limit=2)
    assert (page["numberReturned"], len(page["features"])) == (2, 2)


@pytest.mark.requirement(
    SUITE,
    "/req/features-filter/filter-param",
    "/req/record-filter/filter-lang-param",
    "/req/record-filter/filter-crs-param",
    "/req/record-filter/response",
    "/req/searchable-catalog/filtering",
)
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("theme = 'base' AND kind = 'raster'", ["relief"]),
        ("grade = '公开' AND synthetic = true", ["parcels"]),
        ("synthetic AND type = 'dataset'", ["parcels"]),
        ("title LIKE '%块%'", ["parcels"]),
        ("CASEI(id) LIKE CASEI('GRID%')", ["grid-points"]),
        ("kind IN ('stations', 'raster')", ["gauges", "relief"]),
        ("A_CONTAINS(keywords, ('地块', 'parcel'))", ["parcels"]),
        ("keywords = 'parcel'", ["parcels"]),
        ("format = 'COG'", ["relief"]),
        ("department = '测试' AND NOT (kind = 'vector' OR kind = 'stations')", ["relief"]),
        ("updated > TIMESTAMP('2020-01-01T00:00:00Z') AND kind = 'raster'", ["relief"]),
        ("updated < DATE('2020-01-01')", []),
        ("S_INTERSECTS(geometry, BBOX(112, 31.2, 113, 31.4)) AND type <> 'service'", ["relief"]),
        ("T_INTERSECTS(time, INTERVAL('2024-07-10', '..'))", ["gauges"]),
        ("T_AFTER(time, DATE('2024-08-01'))", []),
        ("time IS NULL AND type = 'dataset'", ["grid-points", "parcels", "relief"]),
    ],
)
def test_cql2(ids: Any, condition: str, expected: list[str]) -> None:
    assert ids(filter=condition) == expected


def test_cql2_json_and_crs(ids: Any) -> None:
    point = '{"op":"s_intersects","args":[{"property":"geometry"},{"type":"Point","coordinates":[31.3,112.5]}]}'
    crs = "http://www.opengis.net/def/crs/EPSG/0/4490"
    assert ids(filter=point, filter_lang="cql2-json", filter_crs=crs, type="dataset") == ["relief"]


@pytest.mark.parametrize(
    ("parameters", "word"),
    [
        ({"filter": "colour = 'red'"}, "colour"),
        ({"filter": "title ="}, "filter"),
        ({"filter": "title = 5"}, "string"),
        ({"filter": "NOT " * 101 + "synthetic = true"}, "100"),
        ({"filter": "title LIKE '" + "%a" * 30 + "'"}, "%"),
        ({"filter": "S_INTERSECTS(title, BBOX(1,2,3,4))"}, "title"),
        ({"filter": "synthetic = true", "filter-lang": "ecql"}, "ecql"),
        ({"bbox": "1,2,3"}, "bbox"),
        ({"bbox": "1,5,3,2"}, "bbox"),
        ({"datetime": "yesterday"}, "datetime"),
        ({"limit": "0"}, "limit"),
        ({"offset": "-1"}, "offset"),
        ({"sortby": "colour"}, "sortby"),
        ({"sortby": "+-title"}, "sortby"),
        ({"facets": "colour"}, "facets"),
        ({"facets": "theme:value_asc"}, "facets"),
        ({"synthetic": "maybe"}, "synthetic"),
        ({"f": "xml"}, "f"),
        ({"qq": "x"}, "qq"),
    ],
)
def test_bad_input_is_told(problem: Any, parameters: dict[str, str], word: str) -> None:
    document = problem(400, ITEMS, **parameters)
    assert word in document["detail_en"]


def test_parameter_twice_is_refused(client: Any) -> None:
    assert client.get(f"/ogc{ITEMS}?q=a&q=b").status_code == 400


def test_unknown_record(problem: Any) -> None:
    assert problem(404, f"{ITEMS}/draft")["record"] == "draft"


@pytest.mark.requirement(
    SUITE,
    "/req/sorting/sortby-param",
    "/req/sorting/sortby-response",
    "/req/sorting/defaultSortOrder-definition",
    "/req/searchable-catalog/sorting",
)
def test_order(ids: Any, get: Any) -> None:
    assert get("/collections/catalogue")["defaultSortOrder"] == [{"field": "id", "direction": "asc"}]
    assert ids() == sorted(ids())
    assert ids(type="dataset", sortby="-id") == LAYERS[::-1]
    by_kind = ids(type="dataset", sortby="kind,-id")
    assert by_kind == ["relief", "gauges", "parcels", "grid-points"]
    # Without a value last, in both directions.
    assert ids(sortby="-updated")[-1].partition(".")[0] in {"process", "service"}
    assert ids(sortby="updated")[-1].partition(".")[0] in {"process", "service"}


@pytest.mark.requirement(SUITE, "/req/sorting/get-sortables-op", "/req/sorting/get-sortables-success")
def test_sortables_and_queryables(get: Any) -> None:
    document = get("/collections/catalogue")
    for name in ("sortables", "queryables"):
        (address,) = rels(document, f"http://www.opengis.net/def/rel/ogc/1.0/{name}")
        found = get(address.removeprefix("http://onemap.test/ogc"))
        assert found["$id"] == address
        assert found["type"] == "object"
        assert found["additionalProperties"] is False
        assert all("type" in p for n, p in found["properties"].items() if n != "geometry")


@pytest.mark.requirement(SUITE, "/req/searchable-catalog/mandatory-queryables")
def test_every_queryable_can_be_asked(get: Any, client: Any) -> None:
    queryables = get("/collections/catalogue/queryables")["properties"]
    assert {"id", "type", "title", "theme", "department", "grade", "updated", "language", "synthetic"} <= set(
        queryables
    )
    assert set(queryables["grade"]["enum"]) == {"公开"}
    for name in queryables:
        assert client.get(f"/ogc{ITEMS}", params={"filter": f"{name} IS NULL"}).status_code == 200


def test_pages_by_next(get: Any, client: Any) -> None:
    address, seen = f"http://onemap.test/ogc{ITEMS}?limit=3", []
    for _ in range(100):
        page = client.get(address).json()
        seen += [feature["id"] for feature in page["features"]]
        following = rels(page, "next")
        if not following:
            break
        address = following[0]
    assert seen == [f["id"] for f in get(ITEMS, limit=1000)["features"]]
    assert rels(page, "prev")


def test_facets_count_what_was_found(get: Any) -> None:
    page = get(ITEMS, type="dataset", facets="kind,grade:1:value_asc,theme", limit=1)
    counts = {row["value"]: row["count"] for row in page["facets"]["kind"]["buckets"]}
    assert counts == {"vector": 2, "stations": 1, "raster": 1}
    assert page["facets"]["grade"]["buckets"] == [{"value": "公开", "count": 4}]
    assert page["facets"]["theme"]["buckets"] == [{"value": "base", "count": 4}]
    assert "facets" not in get(ITEMS, limit=1)
    whole = get("/collections/catalogue/facets", q="地块")
    assert whole["facets"]["department"]["buckets"] == [{"value": "测试", "count": 1}]
    assert whole["facets"]["theme"]["buckets"][0] == {"value": "base", "count": 1, "title": "基础"}


def test_hidden_grades_leave_no_trace(tmp_path: Any, hand_made: Any) -> None:
    """A layer of a grade that is not shown is in no list, no search, no count, no export and no STAC."""
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.catalog import Layer
    from spatial.settings import Settings

    definitions = {
        name: hand_made.definitions["relief"] | {"id": name, "grade": grade, "title": {"zh": f"{word}图", "en": word}}
        for name, grade, word in (("open-map", "公开", "春江"), ("secret-map", "敏感", "秋山"))
    }
    folder = hand_made.write_layers(tmp_path / "layers", definitions)
    app = create_app(Settings(store="duckdb", layers_dir=folder, var_dir=tmp_path / "var"))
    source = hand_made.write_relief(tmp_path / "relief.tif")
    for definition in definitions.values():
        app.state.datastore.publish_raster(Layer.model_validate(definition), source)
    with TestClient(app, base_url="http://onemap.test") as client:
        assert client.get(f"/ogc{ITEMS}?q=春江").json()["numberMatched"] == 1
        assert client.get(f"/ogc{ITEMS}?q=秋山").json()["numberMatched"] == 0
        assert client.get(f"/ogc{ITEMS}/secret-map").status_code == 404
        addresses = ("/ogc/collections/catalogue/facets", "/ogc/catalogue.jsonld", "/stac", "/stac/search",
                     "/stac/collections", "/stac/queryables", "/ogc/collections/catalogue/queryables")  # fmt: skip
        for path in (*addresses, f"/ogc{ITEMS}?limit=1000"):
            text = client.get(path).text
            assert "secret-map" not in text, path
            assert "秋山" not in text, path
        assert client.get("/stac/collections/secret-map").status_code == 404
        assert client.get("/stac/files/secret-map/1.tif").status_code == 404


GMD = "{http://www.isotc211.org/2005/gmd}"
GCO = "{http://www.isotc211.org/2005/gco}"


@pytest.mark.parametrize("record", ["parcels", "relief", "gauges", "process.echo", "service.wmts"])
@pytest.mark.parametrize("language", ["zh", "en"])
def test_iso19139(client: Any, record: str, language: str) -> None:
    from owslib.etree import etree
    from owslib.iso import MD_Metadata

    answer = client.get(f"/ogc{ITEMS}/{record}?f=iso19139&lang={language}")
    assert answer.headers["content-type"] == "application/vnd.iso.19139+xml"
    found = MD_Metadata(etree.fromstring(answer.content))
    record_document = client.get(f"/ogc{ITEMS}/{record}?lang={language}").json()
    assert found.identifier == record
    assert found.languagecode == ("chi" if language == "zh" else "eng")
    about = found.identification[0]
    assert about.title == record_document["properties"]["title"]
    assert about.abstract == record_document["properties"]["description"]
    assert found.contact[0].organization == record_document["properties"]["department"]
    if "bbox" in record_document:
        box = about.bbox
        values = [float(v) for v in (box.minx, box.miny, box.maxx, box.maxy)]
        assert values == record_document["bbox"]
    links = [online.url for online in found.distribution.online]
    assert links
    assert len(links) == len(set(links))


def test_iso19139_escapes_what_a_layer_says(client: Any) -> None:
    text = client.get(f"/ogc{ITEMS}/parcels?f=iso19139").text
    root = ElementTree.fromstring(text)
    classification = root.find(f".//{GMD}MD_ClassificationCode")
    assert classification is not None
    assert classification.get("codeListValue") == "unclassified"
    assert root.find(f".//{GMD}fileIdentifier/{GCO}CharacterString").text == "parcels"  # type: ignore[union-attr]


def test_dcat(client: Any) -> None:
    answer = client.get("/ogc/catalogue.jsonld")
    assert answer.headers["content-type"] == "application/ld+json"
    catalogue = answer.json()
    assert catalogue["@type"] == "dcat:Catalog"
    assert [found["dct:identifier"] for found in catalogue["dcat:dataset"]] == [
        "parcels",
        "gauges",
        "grid-points",
        "relief",
    ] or {found["dct:identifier"] for found in catalogue["dcat:dataset"]} == set(LAYERS)
    # Complete in itself: every prefix is in the context, which names no other host to ask.
    assert all(isinstance(value, str) for value in catalogue["@context"].values())
    relief = client.get(f"/ogc{ITEMS}/relief?f=dcat").json()
    assert relief["@context"] == catalogue["@context"]
    titles = {text["@language"]: text["@value"] for text in relief["dct:title"]}
    assert titles == {"zh": "图层relief", "en": "Layer relief"}
    downloads = [d["dcat:downloadURL"]["@id"] for d in relief["dcat:distribution"] if "dcat:downloadURL" in d]
    assert "http://onemap.test/api/v1/layers/relief/file" in downloads
    echo = client.get(f"/ogc{ITEMS}/process.echo?f=dcat").json()
    assert echo["@type"] == "dcat:DataService"
    assert echo["dcat:endpointURL"]["@id"].endswith("/ogc/processes/echo/execution")


@pytest.mark.requirement(SUITE, "/req/html/definition", "/req/html/content")
def test_pages(client: Any) -> None:
    for path in ("/collections/catalogue", ITEMS, f"{ITEMS}/parcels", "/collections/catalogue/facets"):
        for language, word in (("zh", "资源目录"), ("en", "atalogue")):
            answer = client.get(f"/ogc{path}?f=html&lang={language}")
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/html")
            assert "http://onemap.test" in answer.text
            assert word in answer.text
    page = client.get(f"/ogc{ITEMS}", params={"f": "html", "q": "<script>alert(1)</script>地块"}).text
    assert "<script>alert" not in page
    found = client.get(f"/ogc{ITEMS}?f=html&q=地块").text
    assert "地块（合成示例）" in found
    assert "合成示例数据" in client.get(f"/ogc{ITEMS}/parcels?f=html").text


@pytest.mark.requirement(SUITE, "/req/oas30/oas-common")
def test_openapi_names_every_address(get: Any) -> None:
    paths = get("/openapi")["paths"]
    for path in ("", "/items", "/items/{recordId}", "/queryables", "/sortables", "/schema", "/facets"):
        assert "get" in paths[f"/collections/catalogue{path}"]
    names = {p.get("name", p.get("$ref", "").rpartition("/")[2]) for p in paths[ITEMS]["get"]["parameters"]}
    assert {"q", "type", "ids", "externalIds", "bbox", "datetime", "limit", "filter", "sortby", "facets"} <= names


def test_unchanged_page_is_not_sent_again(client: Any) -> None:
    first = client.get(f"/ogc{ITEMS}?q=地块")
    again = client.get(f"/ogc{ITEMS}?q=地块", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert client.get(f"/ogc{ITEMS}?q=水位", headers={"If-None-Match": first.headers["etag"]}).status_code == 200
