"""Features Part 4: what a feature must be: properties, geometry, bodies, ids, coverage."""

from __future__ import annotations

from typing import Any

import pytest

P4 = "ogcapi-features-4/1.0"
GEOJSON = {"Content-Type": "application/geo+json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
MARKS = "/ogc/collections/marks/items"
BAD_PROPERTIES = [
    ({"name": None}, "name", "required"),
    ({"name": 5}, "name", "text"),
    ({"use": 3}, "use", "domain"),
    ({"use": "1"}, "use", "integer"),
    ({"use": 1.5}, "use", "integer"),
    ({"use": True}, "use", "integer"),
    ({"area": "1"}, "area", "number"),
    ({"open": 1}, "open", "true or false"),
    ({"day": "01.07.2026"}, "day", "date"),
    ({"day": "2026-02-30"}, "day", "date"),
    ({"seen": "2026-07-01T08:00:00"}, "seen", "zone"),
    ({"nothing": 1}, "nothing", "no property"),
    ({"name": "甲"}, "name", "unique"),
]
BAD_GEOMETRIES = [
    (None, "required"),
    ({"type": "LineString", "coordinates": [[114, 30], [115, 30]]}, "must be a Point"),
    ({"type": "Point", "coordinates": []}, "coordinates"),
    ({"type": "Point", "coordinates": ["a", 30]}, "GeoJSON"),
    ({"type": "Point", "coordinates": [114, 30, 25]}, "heights"),
    ({"type": "Point", "coordinates": [10, 50]}, "window"),
    ({"type": "Point", "coordinates": [1e300, 50]}, "longitude"),
    ({"type": "Circle", "coordinates": [114, 30]}, "must be a GeoJSON Point"),
    ("POINT (114 30)", "must be a GeoJSON Point"),
]


@pytest.mark.requirement(P4, "/req/features/schema")
@pytest.mark.parametrize(("wrong", "name", "says"), BAD_PROPERTIES, ids=lambda v: str(v)[:24])
def test_bad_properties(web: Any, edits: Any, wrong: dict[str, Any], name: str, says: str) -> None:
    before = web.get("/ogc/collections/marks").json()["version"]
    for answer in (
        web.post(MARKS, json=edits.mark(**wrong), headers=GEOJSON),
        web.put(f"{MARKS}/2", json=edits.mark(**wrong), headers=GEOJSON),
        web.patch(f"{MARKS}/2", json=wrong, headers=MERGE),
    ):
        problems = edits.refused(answer, 422)["problems"]
        assert [p["property"] for p in problems] == [name]
        assert says in problems[0]["detail_en"]
        assert problems[0]["detail_zh"]
    assert web.get("/ogc/collections/marks").json()["version"] == before  # nothing is half-written


@pytest.mark.parametrize(("geometry", "says"), BAD_GEOMETRIES, ids=lambda v: str(v)[:24])
def test_bad_geometries(web: Any, edits: Any, geometry: Any, says: str) -> None:
    for answer in (
        web.post(MARKS, json=edits.mark() | {"geometry": geometry}, headers=GEOJSON),
        web.put(f"{MARKS}/2", json=edits.mark() | {"geometry": geometry}, headers=GEOJSON),
    ):
        problems = edits.refused(answer, 422)["problems"]
        assert [p["property"] for p in problems] == ["geometry"]
        assert says in problems[0]["detail_en"]


def test_every_fault_is_told_at_once(web: Any, edits: Any) -> None:
    sent = edits.mark(use=9, area="x", who=1) | {"geometry": None}
    del sent["properties"]["name"]
    problems = edits.refused(web.post(MARKS, json=sent, headers=GEOJSON), 422)["problems"]
    assert {p["property"] for p in problems} == {"name", "use", "area", "who", "geometry"}


def test_schema_is_that_of_the_edits(web: Any) -> None:
    import jsonschema

    schema = web.get("/ogc/collections/marks/schema").json()
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["geometry", "name"]
    assert schema["properties"]["fid"]["readOnly"] is True
    properties = {k: v for k, v in schema["properties"].items() if k not in {"fid", "geometry"}}
    jsonschema.Draft202012Validator({"properties": properties}).validate({"use": 1, "area": 2.5, "day": "2026-07-01"})


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"type": "FeatureCollection", "features": []}, GEOJSON, 400),
        ({"type": "Point", "coordinates": [114, 30]}, GEOJSON, 400),
        ([1], GEOJSON, 400),
        ({}, GEOJSON, 400),
        ({"type": "Feature", "geometry": None, "properties": [1]}, GEOJSON, 400),
        ({"type": "Feature"}, {"Content-Type": "text/plain"}, 415),
        ({"type": "Feature"}, GEOJSON | {"Content-Encoding": "gzip"}, 415),
        ({"type": "Feature"}, {"Content-Type": "application/xml"}, 415),
        ({"type": "Feature"}, {"Content-Type": "application/merge-patch+json"}, 415),
    ],
)
def test_bad_bodies(web: Any, edits: Any, body: Any, headers: dict[str, str], status: int) -> None:
    edits.refused(web.post(MARKS, json=body, headers=headers), status)


def test_bodies_that_are_no_json(web: Any, edits: Any) -> None:
    for content in (b"", b"{", b'{"type": "Feature", "geometry": NaN}', b"\xff\xfe"):
        assert edits.refused(web.post(MARKS, content=content, headers=GEOJSON), 400)["parameter"] == "body"
    deep = b'{"a":' * 3000 + b"1" + b"}" * 3000
    assert web.post(MARKS, content=deep, headers=GEOJSON).status_code in {400, 422}
    for depth in (900, 1000):  # as deep as the JSON parser lets pass
        nested = b"[" * depth + b"1" + b"]" * depth
        sent = b'{"type":"Feature","geometry":{"type":"Point","coordinates":%s},"properties":{"name":%s}}' % (
            nested,
            nested,
        )
        assert web.post(MARKS, content=sent, headers=GEOJSON).status_code in {400, 422}
        assert web.patch(f"{MARKS}/2", content=b'{"geometry":%s}' % nested, headers=MERGE).status_code in {400, 422}
        nested = b'{"a":' * depth + b"1" + b"}" * depth
        assert web.patch(
            f"{MARKS}/2", content=b'{"geometry":%s,"name":%s}' % (nested, nested), headers=MERGE
        ).status_code in {400, 422}
    assert web.post(MARKS, content=b"1" * 2_100_000, headers=GEOJSON).status_code == 413
    assert edits.refused(web.post(MARKS, params={"f": "json", "x": 1}, json=edits.mark(), headers=GEOJSON), 400)


def test_ids_that_are_a_field(web: Any, edits: Any) -> None:
    items = "/ogc/collections/plots/items"
    square = {"type": "Polygon", "coordinates": [[[114.3, 30], [114.4, 30], [114.4, 30.1], [114.3, 30.1], [114.3, 30]]]}
    taken = {"type": "Feature", "geometry": square, "properties": {"code": 12}}
    assert edits.refused(web.post(items, json=taken, headers=GEOJSON), 422)["problems"][0]["property"] == "code"
    given = web.post(items, json=taken | {"properties": {"code": 40}}, headers=GEOJSON)
    assert given.headers["location"].endswith("/40")
    assert web.get(given.headers["location"]).json()["geometry"]["type"] == "MultiPolygon"
    assert web.get(items, params={"limit": 1}).json()["features"][0]["geometry"]["type"] == "MultiPolygon"
    changed = web.patch(given.headers["location"], json={"code": 41}, headers=MERGE)
    assert edits.refused(changed, 422)["problems"][0]["property"] == "code"
    # Polygons of this layer may not overlap; beside each other they may stand.
    over = {
        "type": "Polygon",
        "coordinates": [[[114.35, 30], [114.5, 30], [114.5, 30.1], [114.35, 30.1], [114.35, 30]]],
    }
    beside = {"type": "Polygon", "coordinates": [[[114.4, 30], [114.5, 30], [114.5, 30.1], [114.4, 30.1], [114.4, 30]]]}
    overlap = web.post(items, json=taken | {"geometry": over, "properties": {"name": "o"}}, headers=GEOJSON)
    assert "overlaps" in edits.refused(overlap, 422)["problems"][0]["detail_en"]
    new = web.post(items, json=taken | {"geometry": beside, "properties": {"name": "o"}}, headers=GEOJSON)
    assert new.headers["location"].endswith("/41")
    assert web.get(new.headers["location"]).json()["properties"] == {"code": 41, "name": "o"}
    bow = {"type": "Polygon", "coordinates": [[[115, 30], [115.1, 30.1], [115.1, 30], [115, 30.1], [115, 30]]]}
    crossed = web.post(items, json=taken | {"geometry": bow, "properties": {}}, headers=GEOJSON)
    assert "not valid" in edits.refused(crossed, 422)["problems"][0]["detail_en"]
    for fid in (40, 41, 13):
        assert web.delete(f"{items}/{fid}").status_code == 204
    assert edits.refused(web.delete(f"{items}/12"), 422)["title"] == "QualityViolation"  # two must be left
