"""What the conformance declaration says of CQL2, asked over HTTP on both stores; and nothing a client sends is a 5xx."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SQUARE = "POLYGON((112.5 29.5, 114.5 29.5, 114.5 30.5, 112.5 30.5, 112.5 29.5))"

# gauges: fid i at (110 + i, 30), level i, name 站i; times: none, 1 July 0 h, 1 July 12 h, 2 July 0 h, 1 August 0 h (2024, UTC)
GAUGES = [
    # basic-cql2
    ("level = 3", [3]), ("level <> 3", [1, 2, 4, 5]), ("level >= 2 AND level < 4", [2, 3]), ("level < 2 OR level > 4", [1, 5]),
    ("NOT level = 3", [1, 2, 4, 5]), ("time IS NULL", [1]), ("time IS NOT NULL", [2, 3, 4, 5]),
    ("time = TIMESTAMP('2024-07-01T12:00:00Z')", [3]), ("time > TIMESTAMP('2024-07-01T20:00:00+08:00')", [4, 5]),
    # advanced-comparison-operators
    ("name LIKE '站%'", [1, 2, 3, 4, 5]), ("name LIKE '_3'", [3]), ("name NOT LIKE '%2'", [1, 3, 4, 5]),
    ("level BETWEEN 2 AND 3", [2, 3]), ("level NOT BETWEEN 2 AND 4", [1, 5]), ("level IN (1, 5, 9)", [1, 5]),
    ("name NOT IN ('站1')", [2, 3, 4, 5]),
    # case- and accent-insensitive
    ("CASEI(name) = CASEI('站4')", [4]), ("ACCENTI(name) = ACCENTI('站4')", [4]),
    # property-property, arithmetic
    ("level = level", [1, 2, 3, 4, 5]), ("level * 2 + 1 = 7", [3]), ("level - 1 > 3", [5]), ("level / 2 = 1", [2]),
    # spatial functions
    ("S_INTERSECTS(geometry, POINT(113 30))", [3]), (f"S_INTERSECTS(geometry, {SQUARE})", [3, 4]),
    (f"S_WITHIN(geometry, {SQUARE})", [3, 4]), (f"S_DISJOINT(geometry, {SQUARE})", [1, 2, 5]),
    ("S_EQUALS(geometry, POINT(112 30))", [2]), ("S_TOUCHES(geometry, LINESTRING(111 30, 113 30.5))", [1]),
    ("S_INTERSECTS(geometry, LINESTRING(110 30, 112.5 30))", [1, 2]),
    ("S_INTERSECTS(geometry, MULTIPOINT((111 30), (115 30)))", [1, 5]),
    # temporal functions
    ("T_AFTER(time, TIMESTAMP('2024-07-01T12:00:00Z'))", [4, 5]), ("T_BEFORE(time, TIMESTAMP('2024-07-01T12:00:00Z'))", [2]),
    ("T_EQUALS(time, TIMESTAMP('2024-07-02T00:00:00Z'))", [4]),
    ("T_DURING(time, INTERVAL('2024-06-30T00:00:00Z', '2024-07-02T00:00:00Z'))", [2, 3]),
    ("T_INTERSECTS(time, INTERVAL('2024-07-01T12:00:00Z', '..'))", [3, 4, 5]),
]  # fmt: skip


@pytest.mark.requirement(
    "cql2/1.0",
    "/req/basic-cql2/cql2-filter",
    "/req/basic-cql2/binary-comparison-predicate",
    "/req/basic-cql2/null-predicate",
    "/req/basic-cql2/property",
    "/req/advanced-comparison-operators/between-predicate",
    "/req/advanced-comparison-operators/in-predicate",
    "/req/advanced-comparison-operators/like-predicate",
    "/req/basic-spatial-operators/spatial-predicate",
    "/req/basic-spatial-functions/spatial-functions",
    "/req/cql2-text/basic-cql2",
    "/req/cql2-json/basic-cql2",
    "/req/cql2-text/advanced-comparison-operators",
    "/req/cql2-json/advanced-comparison-operators",
    "/req/cql2-text/basic-spatial-functions",
    "/req/cql2-json/basic-spatial-functions",
)
@pytest.mark.requirement(
    "ogcapi-features-3/1.0", "/req/filter/filter-lang-param", "/req/features-filter/filter-lang-param"
)
@pytest.mark.parametrize(("text", "expected"), GAUGES, ids=[text for text, _ in GAUGES])
def test_cql2_text_and_json_mean_the_same(get, text, expected):
    import cql2

    found = get("/collections/gauges/items", filter=text, filter_lang="cql2-text")
    assert [f["id"] for f in found["features"]] == expected
    as_json = json.dumps(cql2.parse_text(text).to_json())
    found = get("/collections/gauges/items", filter=as_json, filter_lang="cql2-json")
    assert [f["id"] for f in found["features"]] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("S_CONTAINS(geometry, POINT(114.05 30.05))", [1]),
        (
            "S_OVERLAPS(geometry, POLYGON((114.05 30.05, 114.25 30.05, 114.25 30.08, 114.05 30.08, 114.05 30.05)))",
            [1, 2],
        ),
        ("S_CROSSES(geometry, LINESTRING(113.9 30.05, 114.05 30.05))", [1]),
        ("protected = TRUE", [1, 3]),
        ("surveyed = DATE('2024-01-01')", [1]),
        ("name = 'O''Brien \"地块\"'", [2]),
        ("CASEI(name) LIKE CASEI('O''BRIEN%')", [2]),
        ("protected", [1, 3]),
    ],
)
def test_cql2_on_polygons_and_other_types(get, text, expected):
    assert [f["id"] for f in get("/collections/parcels/items", filter=text)["features"]] == expected


# Each function of two intervals [a, A] and [b, B], as tables 8 and 9 of OGC 21-065r2 define it.
TEMPORAL = {
    "t_after": lambda a, e, b, f: a > f, "t_before": lambda a, e, b, f: e < b,
    "t_contains": lambda a, e, b, f: a < b and e > f, "t_disjoint": lambda a, e, b, f: e < b or a > f,
    "t_during": lambda a, e, b, f: a > b and e < f, "t_equals": lambda a, e, b, f: (a, e) == (b, f),
    "t_finishedBy": lambda a, e, b, f: a < b and e == f, "t_finishes": lambda a, e, b, f: a > b and e == f,
    "t_intersects": lambda a, e, b, f: a <= f and e >= b, "t_meets": lambda a, e, b, f: e == b,
    "t_metBy": lambda a, e, b, f: a == f, "t_overlappedBy": lambda a, e, b, f: b < a < f < e,
    "t_overlaps": lambda a, e, b, f: a < b < e < f, "t_startedBy": lambda a, e, b, f: a == b and e > f,
    "t_starts": lambda a, e, b, f: a == b and e < f,
}  # fmt: skip
MOMENTS = {2: "2024-07-01T00:00:00Z", 3: "2024-07-01T12:00:00Z", 4: "2024-07-02T00:00:00Z", 5: "2024-08-01T00:00:00Z"}
END = "2024-09-01T00:00:00Z"
SPANS = [
    ("2024-06-01T00:00:00Z", "2024-07-01T12:00:00Z"), ("2024-06-01T00:00:00Z", END), (MOMENTS[3], END),
    (MOMENTS[2], "2024-07-20T00:00:00Z"), (MOMENTS[3], "2024-10-01T00:00:00Z"), (MOMENTS[4], MOMENTS[5]),
    ("2024-06-01T00:00:00Z", "2024-07-15T00:00:00Z"), (END, "2024-10-01T00:00:00Z"),
    ("2024-06-01T00:00:00Z", "2024-06-02T00:00:00Z"), ("2024-06-01T00:00:00Z", "2024-10-01T00:00:00Z"),
    ("2024-10-01T00:00:00Z", "2024-11-01T00:00:00Z"),
]  # fmt: skip


@pytest.mark.requirement(
    "cql2/1.0",
    "/req/temporal-functions/temporal-functions",
    "/req/temporal-operators/temporal-predicates",
    "/req/cql2-text/temporal-functions",
    "/req/cql2-json/temporal-functions",
)
@pytest.mark.parametrize("name", TEMPORAL)
def test_every_temporal_function_on_intervals(get, name):
    """The interval of a gauge runs from its time to 1 September. The first gauge has no time: its interval is half unknown."""
    seen = set()
    for first, last in SPANS:
        true = [fid for fid, start in MOMENTS.items() if TEMPORAL[name](start, END, first, last)]
        false = [fid for fid in MOMENTS if fid not in true]
        seen |= {bool(true), not false}
        call = f"{name.upper()}(INTERVAL(time, '{END}'), INTERVAL('{first}', '{last}'))"
        arguments = [{"interval": [{"property": "time"}, END]}, {"interval": [first, last]}]
        condition = json.dumps({"op": name, "args": arguments})
        for text, language, expected in ((condition, "cql2-json", true), (f"NOT {call}", "cql2-text", false)):
            found = get("/collections/gauges/items", filter=text, filter_lang=language)["features"]
            assert [f["id"] for f in found if f["id"] in MOMENTS] == expected, (text, expected)
    assert True in seen, "no span for which the function holds"


@pytest.mark.requirement("cql2/1.0", "/req/temporal-operators/temporal-predicates")
@pytest.mark.parametrize(
    "call", ["T_AFTER(time, TIMESTAMP('2000-01-01T00:00:00Z'))", "T_INTERSECTS(time, INTERVAL('..', '..'))"]
)
def test_a_predicate_of_a_missing_time_is_neither_true_nor_false(get, call):
    assert [f["id"] for f in get("/collections/gauges/items", filter=call)["features"]] == [2, 3, 4, 5]
    assert get("/collections/gauges/items", filter=f"NOT {call}")["features"] == []


@pytest.mark.requirement("cql2/1.0", "/req/cql2-text/property-property", "/req/cql2-json/property-property")
@pytest.mark.parametrize(
    ("text", "expected"),
    [("3 = level", [3]), ("'站3' = name", [3]), ("2 < level", [3, 4, 5]), ("6 - level = level", [3]),
     ("S_WITHIN(POINT(112 30), geometry)", [2]), ("T_BEFORE(TIMESTAMP('2024-07-15T00:00:00Z'), time)", [5])],
)  # fmt: skip
def test_literals_may_stand_first_and_properties_second(get, text, expected):
    import cql2

    for condition, language in ((text, "cql2-text"), (json.dumps(cql2.parse_text(text).to_json()), "cql2-json")):
        found = get("/collections/gauges/items", filter=condition, filter_lang=language)["features"]
        assert [f["id"] for f in found] == expected


NAMES = ["limit", "offset", "after", "bbox", "bbox-crs", "crs", "datetime", "filter", "filter-crs", "properties", "version",
         "skipGeometry", "resulttype", "f", "lang", "name", "use", "area", "protected", "surveyed", "x"]  # fmt: skip
PIECES = st.sampled_from(
    ["use", "=", "1", "'", '"', "(", ")", ",", " AND ", "NOT ", "POINT(1 2)", "geometry", "S_INTERSECTS(", "..", "/",
     "2024-01-01", "T00:00:00Z", "-", "1e999", "nan", "武", "%", "\\", "{", "[", ":",
     "DATE('", "IN (", "BETWEEN", "LIKE", "POLYGON((", "NULL"]
)  # fmt: skip
VALUES = st.one_of(st.text(st.characters(codec="utf-8"), max_size=40), st.lists(PIECES, max_size=12).map("".join))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=3))
def test_no_query_is_a_server_error(client, query):
    answer = client.get("/ogc/collections/parcels/items", params=query)
    assert answer.status_code in {200, 400, 404}, (query, answer.status_code, answer.text[:300])


@pytest.mark.parametrize(
    "raw", ["name=%ff%fe", "name=%00", "%ff=1", "&&=&", "filter=%F0%28%8C%28", "bbox=%E2%80%93", "a=b;c=d", "=1", "f"]
)
def test_raw_bytes_in_the_query_are_no_server_error(client, raw):
    assert client.get(f"/ogc/collections/parcels/items?{raw}").status_code in {200, 400}


@pytest.mark.parametrize("path", ["%ff", "..%2f..", "parcels%00", "a" * 3000, "地块", "parcels'--"])
def test_strange_collection_names_are_404(client, path):
    answer = client.get(f"/ogc/collections/{path}")
    assert answer.status_code == 404
    assert len(answer.content) < 20_000
