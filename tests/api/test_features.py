"""OGC API Features P1 and P3 over both stores: pages, links, counts, filters, single features."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

ITEMS = "/collections/parcels/items"


def fids(document):
    return [feature["id"] for feature in document["features"]]


def links(document, rel):
    return [link for link in document["links"] if link["rel"] == rel]


@pytest.mark.requirement(
    "ogcapi-features-1/1.0",
    "/req/core/fc-op",
    "/req/core/fc-response",
    "/req/core/fc-links",
    "/req/core/fc-rel-type",
    "/req/core/fc-timeStamp",
    "/req/core/fc-numberMatched",
    "/req/core/fc-numberReturned",
    "/req/geojson/content",
)
def test_a_page_has_features_counts_time_and_links(client):
    answer = client.get(f"/ogc{ITEMS}")
    document = answer.json()
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
    assert fids(document) == [1, 2, 3, 4]
    assert (document["type"], document["numberMatched"], document["numberReturned"]) == ("FeatureCollection", 4, 4)
    assert document["timeStamp"].endswith("Z")
    assert links(document, "self")[0]["href"] == f"http://onemap.test/ogc{ITEMS}"
    assert links(document, "alternate")[0]["href"] == f"http://onemap.test/ogc{ITEMS}?f=html"
    assert links(document, "collection")[0]["href"] == "http://onemap.test/ogc/collections/parcels"
    assert not links(document, "next")
    first = document["features"][0]
    assert first["geometry"]["type"] in {"Polygon", "MultiPolygon"}
    assert first["properties"] == {
        "name": "武汉一号", "use": 1, "area": 1.5, "protected": True, "surveyed": "2024-01-01",
    }  # fmt: skip


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/fc-links", "/req/core/fc-limit-response-1")
def test_next_links_reach_every_feature_once(client):
    seen, address, pages = [], "/ogc/collections/grid-points/items?limit=700", 0
    while address:
        document = client.get(address).json()
        assert document["numberMatched"] == 5000
        seen += fids(document)
        following = links(document, "next")
        address = following[0]["href"] if following else None
        pages += 1
    assert seen == list(range(1, 5001))
    assert pages == 8


def test_next_links_keep_the_rest_of_the_query(get):
    document = get("/collections/grid-points/items", limit=2, crs="EPSG:4490", filter="row = 3", properties="row")
    query = parse_qs(urlsplit(links(document, "next")[0]["href"]).query)
    assert query == {
        "limit": ["2"], "crs": ["EPSG:4490"], "filter": ["row = 3"], "properties": ["row"], "after": ["302"], "version": ["1"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "offset", "expected"),
    [(3, 0, range(1, 4)), (2, 4997, range(4998, 5000)), (5, 4998, range(4999, 5001)), (5, 6000, range(0))],
)
def test_offset_skips(get, limit, offset, expected):
    document = get("/collections/grid-points/items", limit=limit, offset=offset)
    assert fids(document) == list(expected)
    assert document["numberReturned"] == len(expected)


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/fc-limit-definition", "/req/core/fc-limit-response-1")
def test_a_limit_above_the_largest_page_is_lowered(client, datastore, get):
    document = get("/collections/grid-points/items", limit=10**9)
    assert document["numberReturned"] == min(5000, datastore.settings.max_page)


def test_a_long_page_is_sent_in_batches_and_is_whole(client, monkeypatch):
    from spatial.ogc import features

    monkeypatch.setattr(features, "BATCH", 300)
    with client.stream("GET", "/ogc/collections/grid-points/items?limit=1000&offset=50") as answer:
        pieces = list(answer.iter_bytes())
    document = json.loads(b"".join(pieces))
    assert fids(document) == list(range(51, 1051))
    assert document["numberReturned"] == 1000
    assert links(document, "next")[0]["href"].endswith("after=1050&version=1")


def test_long_features_are_sent_in_pieces(client, monkeypatch):
    from spatial.ogc import features

    monkeypatch.setattr(features, "WRITE_BYTES", 500)
    document = client.get("/ogc/collections/grid-points/items?limit=200").json()
    assert fids(document) == list(range(1, 201))


@pytest.mark.requirement(
    "ogcapi-features-3/1.0",
    "/req/filter/filter-param",
    "/req/filter/filter-lang-param",
    "/req/filter/response",
    "/req/filter/mixing-expressions",
    "/req/features-filter/filter-param",
    "/req/features-filter/response",
    "/req/queryables-query-parameters/parameters",
)
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"bbox": "114.02,30.02,114.05,30.05"}, [1]),
        ({"bbox": "114.05,30.05,114.25,30.25"}, [1, 2, 3, 4]),
        ({"bbox": "114.05,30.05,0,114.25,30.06,9"}, [1, 2]),
        ({"bbox": "113,29,113.5,29.5"}, []),
        ({"name": "武汉一号"}, [1]),
        ({"name": 'O\'Brien "地块"'}, [2]),
        ({"use": "1"}, [1, 3]),
        ({"area": "300.25"}, [3]),
        ({"protected": "true"}, [1, 3]),
        ({"surveyed": "2024-06-30"}, [2]),
        ({"filter": "area BETWEEN 10 AND 400"}, [2, 3]),
        ({"filter": "name LIKE '武汉%'"}, [1]),
        ({"filter": "name IS NULL"}, [4]),
        ({"filter": "use IN (1, 5) AND NOT area > 100"}, [1]),
        ({"filter": "surveyed >= DATE('2024-02-01')"}, [2]),
        ({"filter": "S_INTERSECTS(geometry, POINT(114.25 30.25))"}, [4]),
        ({"filter": "S_INTERSECTS(geometry, BBOX(114.22,30.0,114.3,30.3))"}, [2, 4]),
        ({"filter": '{"op": "=", "args": [{"property": "use"}, 2]}', "filter_lang": "cql2-json"}, [2]),
        ({"filter": "use = 2", "filter_lang": "cql-text"}, [2]),
        ({"bbox": "114,30,114.1,30.3", "filter": "use = 1", "protected": "true"}, [1, 3]),
    ],
)
def test_filters(get, parameters, expected):
    document = get(ITEMS, **parameters)
    assert fids(document) == expected
    assert document["numberMatched"] == len(expected)
    assert get(ITEMS, resulttype="hits", **parameters)["numberMatched"] == len(expected)


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/fc-time-definition", "/req/core/fc-time-response")
@pytest.mark.parametrize(
    ("datetime", "expected"),
    [
        ("2024-07-01T12:00:00Z", [3]),
        ("2024-07-01T20:00:00%2B08:00", [3]),
        ("2024-07-01T20:00:00+08:00", [3]),
        ("2024-07-01", [2, 3]),
        ("2024-07-01T12:00:00Z/2024-07-02T00:00:00Z", [3, 4]),
        ("2024-07-02/..", [4, 5]),
        ("../2024-07-01T00:00:00Z", [2]),
        ("/2024-07-01", [2, 3]),
        ("../..", [1, 2, 3, 4, 5]),
    ],
)
def test_datetime(client, datetime, expected):
    """An instant names its zone; one without was read as UTC, a guess that is eight hours off for a caller in China.

    A date is the whole day in UTC.
    """
    encoded = datetime if "%" in datetime else datetime.replace("+", "%2B")
    document = client.get(f"/ogc/collections/gauges/items?datetime={encoded}").json()
    answer = fids(document)
    # A feature without a time may match any time (P1) or none; the stores leave it out of closed questions.
    assert [f for f in answer if f != 1] == [f for f in expected if f != 1]


DATETIME_ADDRESSES = [
    "/ogc/collections/gauges/items?datetime={}",
    "/ogc/collections/gauges/items?resulttype=hits&datetime={}",
    "/ogc/collections/parcels/items?datetime={}",
    "/ogc/collections/gauges/items?time={}",
    "/ogc/collections/catalogue/items?datetime={}",
    "/ogc/collections/relief/coverage?datetime={}",
    "/ogc/collections/relief/position?coords=POINT(112.6%2030.7)&datetime={}",
    "/ogc/collections/gauges/map?width=8&datetime={}",
    "/ogc/collections/gauges/map?width=8&subset=time(%22{}%22)",
    "/ogc/jobs?datetime={}",
    "/stac/search?datetime={}",
    "/ogc/collections/gauges/items?filter=time%20=%20TIMESTAMP('{}')",
    "/ogc/collections/gauges/items?filter=T_AFTER(time,TIMESTAMP('{}'))",
    "/ogc/collections/catalogue/items?filter=time%20=%20TIMESTAMP('{}')",
]


@pytest.mark.parametrize("address", DATETIME_ADDRESSES)
def test_a_time_without_a_zone_is_refused_by_every_address(client, address):
    """One answer wherever a time is asked for: 400 with what to write; an unencoded + is recognised."""
    answers = {}
    for text in ("2024-07-01T12:00:00", "2024-07-01T12:00:00+08:00", "2024-07-01T12:00:00%2B08:00"):
        answers[text] = client.get(address.format(text))
    naive, space, encoded = answers.values()
    for answer in (naive, space):
        assert answer.status_code == 400, answer.text[:300]
        told = answer.json()
        assert "2024-07-01T12:00:00" in told["detail_zh"]
        assert "%2B" in told["detail_zh"]
        assert "%2B" in told["detail_en"]
    assert "空格" in space.json()["detail_zh"]
    assert encoded.status_code in (200, 204), encoded.text[:300]


def test_a_date_is_the_day_in_utc_however_it_is_asked(client):
    """12:00Z on the 1st is the 1st, midnight UTC on the 2nd (08:00 in China) is the 2nd: the same by every way to ask."""
    for query in ("datetime=2024-07-01", "time=2024-07-01", "filter=time=DATE('2024-07-01')",
                  "filter=T_INTERSECTS(time,INTERVAL('2024-07-01','2024-07-01'))",
                  "filter=level>-1&time=2024-07-01"):  # fmt: skip
        document = client.get(f"/ogc/collections/gauges/items?{query}").json()
        assert [f for f in fids(document) if f != 1] == [2, 3], query


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/fc-time-response")
def test_datetime_does_nothing_on_a_layer_without_time(get):
    assert get(ITEMS, datetime="1900-01-01T00:00:00Z")["numberMatched"] == 4


def test_hits_have_no_features(get):
    document = get("/collections/grid-points/items", resulttype="hits")
    assert (document["features"], document["numberMatched"], document["numberReturned"]) == ([], 5000, 0)


def test_an_expensive_count_is_left_out(client, datastore, monkeypatch):
    small = datastore.settings.model_copy(update={"count_exact_below": 10})
    monkeypatch.setattr(datastore, "settings", small)
    page = client.get("/ogc/collections/grid-points/items?row=3&limit=10").json()
    assert "numberMatched" not in page
    assert client.get("/ogc/collections/grid-points/items?limit=10").json()["numberMatched"] == 5000
    assert client.get("/ogc/collections/grid-points/items?row=3&resulttype=hits").json()["numberMatched"] == 100
    # The last page of a filtered answer knows its count without asking.
    assert client.get("/ogc/collections/grid-points/items?row=3&limit=100").json()["numberMatched"] == 100


def test_properties_and_skip_geometry(get):
    document = get(ITEMS, properties="use,name", skipGeometry="true", limit=1)
    feature = document["features"][0]
    assert feature["geometry"] is None
    assert feature["properties"] == {"name": "武汉一号", "use": 1}


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/f-op", "/req/core/f-success", "/req/core/f-links")
def test_one_feature(client):
    answer = client.get(f"/ogc{ITEMS}/2")
    feature = answer.json()
    assert answer.headers["content-type"] == "application/geo+json"
    assert (feature["type"], feature["id"]) == ("Feature", 2)
    assert feature["properties"]["name"] == 'O\'Brien "地块"'
    assert {link["rel"] for link in feature["links"]} >= {"self", "alternate", "collection"}


@pytest.mark.parametrize("fid", ["99", "-1", "x", "1.0", "+1", "9" * 30, "1%20", "%27%20OR%201=1"])
def test_an_unknown_feature_is_404(problem, fid):
    assert problem(404, f"{ITEMS}/{fid}")["title"] == "FeatureNotFound"


BAD = [
    ("limit", "0"), ("limit", "-1"), ("limit", "ten"), ("limit", "1.5"), ("limit", ""), ("limit", "9" * 400),
    ("offset", "-1"), ("offset", "x"), ("offset", "9" * 30),
    ("after", "x"), ("after", "9" * 30),
    ("bbox", ""), ("bbox", "1,2,3"), ("bbox", "1,2,3,4,5"), ("bbox", "a,b,c,d"), ("bbox", "nan,0,1,1"), ("bbox", "inf,0,1,1"),
    ("bbox", "114,31,115,30"), ("bbox", "181,0,182,1"), ("bbox", "1 2 3 4"), ("bbox", "30,114,31,115"),
    ("bbox-crs", "EPSG:9999"), ("bbox-crs", ""), ("crs", "http://www.opengis.net/def/crs/EPSG/0/2154"), ("crs", "x"),
    ("datetime", ""), ("datetime", "yesterday"), ("datetime", "2024-13-01"), ("datetime", "2024-07-02/2024-07-01"),
    ("datetime", "2024-07-01T25:00:00Z"), ("datetime", "a/b"), ("datetime", "2024-07-01/2024-07-02/2024-07-03"),
    ("datetime", "0000-00-00T00:00:00Z"), ("datetime", "10000-01-01T00:00:00Z"), ("datetime", "９999-01-01"),
    ("filter", ""), ("filter", "use ="), ("filter", "use = 1 AND"), ("filter", "nothing = 1"), ("filter", "pg_sleep(9) = 1"),
    ("filter", "use = 1; DROP TABLE x"), ("filter", "\x00"),
    ("filter-lang", "sql"), ("filter-crs", "EPSG:1"),
    ("use", "one"), ("use", "1.5"), ("use", "9" * 30), ("area", "nan"), ("area", "x"), ("protected", "maybe"),
    ("surveyed", "1.1.2024"),
    ("name", "\x00"),
    ("properties", "nothing"), ("skipGeometry", "perhaps"), ("resulttype", "all"), ("f", "xml"), ("lang", "fr"),
    ("bbbox", "1,2,3,4"), ("FILTER", "use = 1"), ("api_key", "1"),
]  # fmt: skip


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/query-param-invalid")
@pytest.mark.requirement(
    "ogcapi-features-2/1.0",
    "/req/crs/fc-crs-valid-value",
    "/req/crs/crs-exception",
    "/req/crs/bbox-crs-exception",
    "/req/crs/fc-bbox-crs-valid-value",
)
@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_parameter_is_400(client, name, value):
    answer = client.get(f"/ogc{ITEMS}", params={name: value})
    assert answer.status_code == 400, (answer.status_code, answer.text[:300])
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert len(answer.content) < 6000
    document = answer.json()
    assert document["detail_zh"]
    assert document["detail_en"]


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/query-param-unknown")
def test_an_unknown_parameter_names_those_that_there_are(problem):
    document = problem(400, ITEMS, bbbox="1,2,3,4")
    assert document["title"] == "UnknownParameter"
    assert {"bbox", "filter", "use"} <= set(document["allowed"])


def test_a_parameter_given_twice_is_400(client):
    assert client.get(f"/ogc{ITEMS}?limit=1&limit=2").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/collections/parcel/items",
        "/collections/parcel",
        "/collections/parcel/queryables",
        "/collections/parcel/schema",
    ],
)
def test_an_unknown_collection_is_404_with_near_names(problem, path):
    assert problem(404, path)["near"] == ["parcels"]


def test_an_unknown_version_is_404(problem):
    assert problem(404, ITEMS, version="9")["title"] == "VersionNotFound"
    assert problem(404, f"{ITEMS}/1", version="9")["title"] == "VersionNotFound"


def test_items_of_a_raster_are_404_and_say_why(problem):
    assert "栅格" in problem(404, "/collections/relief/items")["detail_zh"]


@pytest.mark.parametrize("path", ["", "/items", "/items/1", "/queryables", "/schema"])
def test_an_unpublished_layer_is_503(problem, path):
    assert problem(503, f"/collections/draft{path}")["title"] == "LayerNotPublished"


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("use = 1 OR " * 300_000 + "use = 1", "cql2-text"),
        ("(" * 5000 + "use = 1" + ")" * 5000, "cql2-text"),
        ("NOT " * 5000 + "use = 1", "cql2-text"),
        ("area = " + "-" * 30_000 + "1", "cql2-text"),
        ("area = 1" + " + 1" * 5000, "cql2-text"),
        ("area = 1" + "^1" * 5000, "cql2-text"),
        ('{"op":"not","args":[' * 5000 + "true" + "]}" * 5000, "cql2-json"),
        ("[" * 20_000, "cql2-json"),
        ("not json", "cql2-json"),
        ("[]", "cql2-json"),
        ("1", "cql2-json"),
    ],
    ids=range(11),
)
def test_a_huge_or_deep_filter_is_refused_before_parsing(client, hand_made, text, lang):
    # Straight into the reader too: an HTTP client refuses an address of some length before it sends it.
    from spatial.catalog import Layer
    from spatial.errors import InvalidFilter
    from spatial.ogc.parameters import read_items

    layer = Layer.model_validate(hand_made.definitions["parcels"])
    with pytest.raises(InvalidFilter):
        read_items(layer, {"filter": text, "filter-lang": lang}, max_page=100)
    if len(text) < 60_000:
        answer = client.get("/ogc/collections/parcels/items", params={"filter": text, "filter-lang": lang})
        assert answer.status_code == 400


def test_a_page_is_not_sent_again(client):
    first = client.get(f"/ogc{ITEMS}?limit=2")
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    again = client.get(f"/ogc{ITEMS}?limit=2", headers={"If-None-Match": f'"other", {tag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == tag
    assert client.get(f"/ogc{ITEMS}?limit=3", headers={"If-None-Match": tag}).status_code == 200
    assert client.get(f"/ogc{ITEMS}?limit=2&lang=en", headers={"If-None-Match": tag}).status_code == 200
    assert client.get(f"/ogc{ITEMS}/1").headers["etag"] != client.get(f"/ogc{ITEMS}/2").headers["etag"]


def test_an_unchanged_page_asks_no_store(client, datastore, monkeypatch):
    tag = client.get(f"/ogc{ITEMS}").headers["etag"]

    async def broken(*_):
        raise AssertionError("the store was asked")

    for name in ("apage", "acount", "aitem"):
        monkeypatch.setattr(datastore.vectors, name, broken)
    assert client.get(f"/ogc{ITEMS}", headers={"If-None-Match": tag}).status_code == 304


def test_a_broken_source_harms_only_itself(client, datastore, monkeypatch):
    from spatial.errors import StoreUnavailable

    real = datastore.vectors.apage

    async def broken(table, query):
        if table.layer.id == "parcels":
            raise StoreUnavailable("数据文件缺失", "the file is away", layer="parcels")
        return await real(table, query)

    monkeypatch.setattr(datastore.vectors, "apage", broken)
    answer = client.get(f"/ogc{ITEMS}")
    assert (answer.status_code, answer.json()["layer"]) == (503, "parcels")
    assert client.get("/ogc/collections/gauges/items").status_code == 200
    assert client.get("/ogc/collections").status_code == 200


def test_head_has_the_headers_of_get(client):
    answer = client.head(f"/ogc{ITEMS}")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/geo+json"


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/html/content")
def test_html_is_escaped_and_bilingual(client):
    answer = client.get(f"/ogc{ITEMS}?f=html")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<b>三号" not in answer.text
    assert "&lt;b&gt;三号&lt;/b&gt;" in answer.text
    assert "合成" in answer.text
    english = client.get(f"/ogc{ITEMS}?f=html&lang=en").text
    assert "synthetic sample" in english
    evil = client.get(f"/ogc{ITEMS}", params={"f": "html", "name": "'><script>alert(1)</script>"})
    assert evil.status_code == 200
    assert "<script>alert" not in evil.text
    one = client.get(f"/ogc{ITEMS}/3?f=html").text
    assert "<b>三号" not in one


def test_html_pages_are_followed_by_next(client):
    answer = client.get("/ogc/collections/grid-points/items?f=html&limit=3")
    assert "after=3&amp;version=1" in answer.text
