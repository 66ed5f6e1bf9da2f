"""``sortby`` (Features P5 sortables, P8), ``q``, ``ids`` and the selection of properties, over both stores."""

from __future__ import annotations

import itertools
from datetime import datetime

import pytest

FEATURES_5, FEATURES_8 = "ogcapi-features-5/1.0", "ogcapi-features-8/1.0"
NAMES = ["b桥", "B桥", "a桥", None, "武汉", "ｂ桥", "", "武汉", "Ｚ", "z"]
LEVELS = [3.0, None, 1.5, 3.0, -2.0, None, 1.5, 1e20, 0.0, 3.0]
CODES = [7, 7, None, 2**62, 7, -1, 0, None, 7, 1]
DAYS = [
    "2024-01-02",
    None,
    "2024-01-01",
    "2024-01-02",
    "1900-01-01",
    None,
    "2024-05-01",
    "2024-01-02",
    None,
    "2024-01-01",
]
TIMES = [None, "2024-07-01T00:00:00.000001Z", "2024-07-01T00:00:00Z", None, "1969-12-31T23:59:59Z"] * 2
FLAGS = [True, False, None, True, None, False, False, True, True, None]
TEXTS = [
    "100%",
    "a_b",
    "c\\d",
    "It's",
    "Yangtze Bridge 长江大桥",
    "ＹＡＮＧＴＺＥ　ｂｒｉｄｇｅ",
    "É1",
    "长江",
    None,
    "axb",
]
FIELDS = {
    "name": ("string", NAMES), "level": ("number", LEVELS), "code": ("integer", CODES), "day": ("date", DAYS),
    "time": ("datetime", TIMES), "flag": ("boolean", FLAGS), "note": ("string", TEXTS),
}  # fmt: skip
FIRST = 11
"""Feature ids are 11 … 20."""


def _frame():
    import geopandas
    import pandas as pd
    import shapely

    index = pd.Index(range(FIRST, FIRST + 10), name="fid")
    columns = {
        "name": NAMES,
        "level": LEVELS,
        "code": pd.array(CODES, dtype="Int64"),
        "day": pd.to_datetime(pd.Series(DAYS)).to_numpy(),
        "time": pd.to_datetime(pd.Series(TIMES), utc=True, format="ISO8601").array,
        "flag": pd.array(FLAGS, dtype="boolean"),
        "note": TEXTS,
    }
    points = [shapely.Point(114 + i / 10, 30) for i in range(10)]
    return geopandas.GeoDataFrame(columns, geometry=points, index=index, crs="EPSG:4490")


@pytest.fixture(scope="module")
def bridges(datastore, hand_made):
    """Address of a layer whose fields have ties, gaps, odd letters and every type."""
    from spatial.catalog import Layer

    fields = [{"name": n, "type": t, "title": {"zh": n, "en": n}} for n, (t, _) in FIELDS.items()]
    layer = Layer.model_validate(hand_made.layer_definition("bridges", fields=fields, time_field="time"))
    datastore.publish_vector(layer, _frame())
    return "/collections/bridges/items"


def fids(document):
    return [feature["id"] for feature in document["features"]]


def expected(*keys):
    """Feature ids by the rule of the documentation: text by code point, gaps last in both directions, then fid."""
    order = list(range(10))
    for key in reversed(keys):
        values = FIELDS[key.lstrip("+-")][1]
        present = [i for i in order if values[i] is not None]
        gaps = [i for i in order if values[i] is None]
        present.sort(key=lambda i: datetime.fromisoformat(values[i]) if key.endswith("time") else values[i])
        if key.startswith("-"):
            # Stable among equals, so reversing whole groups of equal values.
            groups = [list(g) for _, g in itertools.groupby(present, key=lambda i: values[i])]
            present = [i for group in reversed(groups) for i in group]
        order = present + gaps
    return [FIRST + i for i in order]


@pytest.mark.requirement(FEATURES_8, "/req/core/rc-sortby-response", "/req/features-sorting/response")
@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("sign", ["", "+", "-"])
def test_every_type_sorts_both_ways_with_gaps_last(get, bridges, field, sign):
    assert fids(get(bridges, sortby=f"{sign}{field}")) == expected(f"{sign}{field}")


@pytest.mark.parametrize(
    "keys",
    [("-level", "name"), ("flag", "-code"), ("name", "level", "-day"), ("-day", "-time", "flag"), ("code", "note")],
    ids=",".join,
)
@pytest.mark.parametrize("limit", [1, 3])
def test_next_links_walk_the_whole_order_once(client, get, bridges, keys, limit):
    seen, address = [], f"/ogc{bridges}?limit={limit}&sortby={'%2C'.join(keys)}"
    while address:
        document = client.get(address).json()
        assert document["numberMatched"] == 10
        seen += fids(document)
        address = next((link["href"] for link in document["links"] if link["rel"] == "next"), None)
        assert address is None or "version=1" in address
    assert seen == expected(*keys) == fids(get(bridges, sortby=",".join(keys)))


def test_a_sorted_page_keeps_filters_batches_and_properties(client, get, bridges, monkeypatch):
    from spatial.ogc import features

    monkeypatch.setattr(features, "BATCH", 2)
    document = get(bridges, sortby="-code", filter="code < 10", properties="name", limit=5, offset=1, crs="EPSG:4547")
    rest = [fid for fid in expected("-code") if (CODES[fid - FIRST] or 99) < 10 or CODES[fid - FIRST] == 0]
    assert fids(document) == rest[1:6]
    assert set(document["features"][0]["properties"]) == {"name"}
    assert document["numberReturned"] == 5


def test_a_page_behind_an_unknown_feature_is_400(problem, bridges):
    assert problem(400, bridges, sortby="name", after=999)["parameter"] == "after"


@pytest.mark.requirement(FEATURES_8, "/req/sorting/sortby-definition")
@pytest.mark.requirement(FEATURES_5, "/req/sortables/response")
@pytest.mark.parametrize(
    "value", ["", "nothing", "name,name", "-name,name", "--name", "name,", "geometry", "fid", "THIS IS NOT A KEY", "name desc"]
)  # fmt: skip
def test_a_bad_sort_key_is_400(problem, bridges, value):
    assert problem(400, bridges, sortby=value)["parameter"] == "sortby"


@pytest.mark.requirement(FEATURES_5, "/req/sortables/link", "/req/sortables/op", "/req/sortables/response")
def test_sortables(client, get, bridges):
    collection = get("/collections/bridges")
    address = [link["href"] for link in collection["links"] if link["rel"].endswith("/rel/ogc/1.0/sortables")]
    assert address == ["http://onemap.test/ogc/collections/bridges/sortables"]
    answer = client.get("/ogc/collections/bridges/sortables", headers={"Accept": "application/schema+json"})
    assert answer.headers["content-type"].startswith("application/schema+json")
    document = answer.json()
    assert document["$id"] == address[0]
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert document["additionalProperties"] is False
    assert set(document["properties"]) == set(FIELDS)
    assert all(p["type"] in {"string", "number", "integer", "boolean"} for p in document["properties"].values())
    assert client.get("/ogc/collections/bridges/sortables?f=html").status_code == 200
    assert (
        client.get("/ogc/collections/bridges/sortables", headers={"If-None-Match": answer.headers["etag"]}).status_code
        == 304
    )


@pytest.mark.requirement(
    FEATURES_5,
    "/req/returnables-and-receivables/link",
    "/req/returnables-and-receivables/op",
    "/req/returnables-and-receivables/response",
)
def test_the_schema_names_everything_that_is_returned(client, get, bridges):
    collection = get("/collections/bridges")
    address = [
        link["href"] for link in collection["links"] if link["rel"] == "http://www.opengis.net/def/rel/ogc/1.0/schema"
    ]
    assert address == ["http://onemap.test/ogc/collections/bridges/schema"]
    answer = client.get("/ogc/collections/bridges/schema", headers={"Accept": "application/schema+json"})
    assert answer.headers["content-type"].startswith("application/schema+json")
    declared = set(answer.json()["properties"])
    for feature in get(bridges)["features"]:
        assert set(feature["properties"]) | {"fid", "geometry"} == declared


def test_the_classes_are_declared(get):
    declared = set(get("/conformance")["conformsTo"])
    spec = "http://www.opengis.net/spec"
    assert {
        f"{spec}/{FEATURES_5}/conf/sortables",
        f"{spec}/{FEATURES_5}/conf/returnables-and-receivables",
        f"{spec}/{FEATURES_8}/conf/sorting",
        f"{spec}/{FEATURES_8}/conf/features-sorting",
    } <= declared


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("桥", [11, 12, 13, 15, 16]),
        ("b桥", [11, 12, 16]),
        ("Ｂ桥", [11, 12, 16]),
        ("yangtze bridge", [15, 16]),
        ("BRIDGE yangtze", [15, 16]),
        ("武汉 长江", [15, 18]),  # in two fields of one feature
        ("100%", [11]),
        ("%", [11]),
        ("_", [12]),
        ("a_b", [12]),
        ("\\", [13]),
        ("c\\D", [13]),
        ("it's", [14]),
        ("é1", [17]),
        ("长江,100%", [11, 15, 18]),
        ("武汉 长江大桥,axb", [15, 20]),
        ("ｚ", [15, 16, 19, 20]),
        ("nothing", []),
        ("'; DROP TABLE x --", []),
    ],
)
def test_text_search(get, bridges, q, expected):
    document = get(bridges, q=q)
    assert fids(document) == expected
    assert document["numberMatched"] == len(expected)
    assert get(bridges, q=q, resulttype="hits")["numberMatched"] == len(expected)


def test_text_search_goes_with_everything_else(get, bridges):
    document = get(bridges, q="桥", sortby="-level", filter="level IS NOT NULL", limit=2)
    assert fids(document) == [11, 13]
    # A layer without text has nothing to find.
    assert get("/collections/grid-points/items", q="1")["numberMatched"] == 0


@pytest.mark.parametrize("q", ["", " ", ",", "x" * 201, " ".join("abcdefghijk"), "a\x00b"])
def test_a_bad_search_is_400(problem, bridges, q):
    assert problem(400, bridges, q=q)["parameter"] == "q"


def test_ids(get, problem, bridges):
    assert fids(get(bridges, ids="18,11,18,99")) == [11, 18]
    assert get(bridges, ids="18,11", q="长江")["numberMatched"] == 1
    for bad in ("", "x", "1,", "1.5", ",".join(map(str, range(1001)))):
        assert problem(400, bridges, ids=bad)["parameter"] == "ids"


def test_properties_can_be_left_out(get, problem, bridges):
    kept = get(bridges, limit=1, **{"exclude-properties": "note,time"})["features"][0]["properties"]
    assert list(kept) == ["name", "level", "code", "day", "flag"]
    assert problem(400, bridges, **{"exclude-properties": "nothing"})["parameter"] == "exclude-properties"
    assert (
        problem(400, bridges, properties="name", **{"exclude-properties": "note"})["parameter"] == "exclude-properties"
    )
    assert get(bridges, limit=1, properties="")["features"][0]["properties"] == {}
