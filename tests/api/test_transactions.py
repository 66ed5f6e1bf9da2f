"""Features Part 4: create, replace, update and delete, over HTTP, on both stores."""

from __future__ import annotations

import base64
import itertools
from typing import Any

import pytest

P4 = "ogcapi-features-4/1.0"
GEOJSON = {"Content-Type": "application/geo+json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
MARKS = "/ogc/collections/marks/items"


def _text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def _definitions(hand_made: Any) -> dict[str, dict[str, Any]]:
    fields = [
        {"name": "name", "type": "string", "title": _text("名称", "Name"), "nullable": False},
        {"name": "use", "type": "integer", "title": _text("用途", "Use"),
         "domain": {"1": _text("耕地", "Farmland"), "2": _text("林地", "Forest")}},
        {"name": "area", "type": "number", "title": _text("面积", "Area")},
        {"name": "open", "type": "boolean", "title": _text("开放", "Open")},
        {"name": "day", "type": "date", "title": _text("日期", "Day")},
        {"name": "seen", "type": "datetime", "title": _text("时间", "Seen")},
    ]  # fmt: skip
    marks = hand_made.layer_definition("marks", fields=fields, editable=True, time_field="seen")
    coded = [
        {"name": "code", "type": "integer", "title": _text("编号", "Code"), "nullable": False},
        {"name": "name", "type": "string", "title": _text("名称", "Name")},
    ]
    return {
        "marks": marks | {"quality": {"unique": ["name"]}},
        "strict": hand_made.layer_definition("strict", editable=True, locking="required"),
        "plots": hand_made.layer_definition("plots", fields=coded, id_field="code", editable=True)
        | {"quality": {"coverage": True, "min_features": 2}},
        "frozen": hand_made.layer_definition("frozen"),
    }


def _frames() -> dict[str, Any]:
    import geopandas
    import pandas as pd
    import shapely

    index = pd.Index([1, 2, 3], name="fid")
    points = shapely.points([[114.0, 30.0], [114.5, 30.5], [115.0, 31.0]])
    marks = {
        "name": ["甲", "乙", "丙"],
        "use": pd.array([1, 2, None], dtype="Int64"),
        "area": [1.5, None, 3.0],
        "open": pd.array([True, False, None], dtype="boolean"),
        "day": [pd.Timestamp("2026-01-01").date(), None, pd.Timestamp("2026-03-01").date()],
        "seen": pd.to_datetime(["2026-01-01T00:00:00.250Z", "2026-02-01T00:00:00Z", None], utc=True, format="ISO8601"),
    }
    squares = [shapely.box(x, 30, x + 0.1, 30.1) for x in (114.0, 114.1, 114.2)]
    return {
        "marks": geopandas.GeoDataFrame(marks, geometry=points, index=index, crs=4490),
        "strict": geopandas.GeoDataFrame({"name": ["a", "b", "c"]}, geometry=points, index=index, crs=4490),
        "plots": geopandas.GeoDataFrame(
            {"code": [11, 12, 13], "name": ["x", "y", "z"]},
            geometry=[shapely.multipolygons([s]) for s in squares],
            index=pd.Index([11, 12, 13], name="fid"),
            crs=4490,
        ),
        "frozen": geopandas.GeoDataFrame({"name": ["a", "b", "c"]}, geometry=points, index=index, crs=4490),
    }


@pytest.fixture(scope="module")
def edit_settings(store_settings: Any, hand_made: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Settings of one store, where everybody may edit."""
    import uuid

    folder = hand_made.write_layers(tmp_path_factory.mktemp("layers"), _definitions(hand_made))
    (folder / "rules").mkdir()
    (folder / "rules" / "intake.yml").write_text("window: {west: 107.5, south: 28.5, east: 117, north: 34}\n", "utf-8")
    own = {"layers_dir": folder, "var_dir": tmp_path_factory.mktemp("var"), "edit": "open"}
    return store_settings.model_copy(update=own | {"postgis_schema": f"t_{uuid.uuid4().hex[:12]}"})


@pytest.fixture(scope="module")
def edit_app(edit_settings: Any, hand_made: Any) -> Any:
    """The application over hand-made editable layers."""
    from spatial.asgi import create_app
    from spatial.catalog import Layer

    app = create_app(edit_settings)
    definitions = _definitions(hand_made)
    for layer_id, frame in _frames().items():
        app.state.datastore.publish_vector(Layer.model_validate(definitions[layer_id]), frame)
    return app


@pytest.fixture(scope="module")
def web(edit_app: Any) -> Any:
    """An HTTP client of it."""
    from starlette.testclient import TestClient

    with TestClient(edit_app, base_url="http://onemap.test", raise_server_exceptions=False) as found:
        yield found


_names = itertools.count(1)


def _mark(x: float = 114.25, y: float = 30.75, **properties: Any) -> dict[str, Any]:
    """A feature that fits ``marks``; its name is new."""
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "properties": {"name": f"标注{next(_names)}"} | properties,
    }


@pytest.fixture
def fresh(web: Any) -> str:
    """Address of a new mark at 114.25, 30.75."""
    answer = web.post(MARKS, json=_mark(use=1, area=2.5), headers=GEOJSON)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def _as(name: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:".encode()).decode()}


def _refused(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, (answer.status_code, answer.text[:400])
    document: dict[str, Any] = answer.json()
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert document["detail_zh"]
    assert document["detail_en"]
    return document


# -- create, replace, update, delete -----------------------------------------------------------------------------------


@pytest.mark.requirement(
    P4,
    "/req/create-replace-delete/post-op",
    "/req/create-replace-delete/post-body",
    "/req/create-replace-delete/post-content-type",
    "/req/create-replace-delete/post-response",
    "/req/create-replace-delete/post-response-rid",
    "/req/features/resources-endpoint",
    "/req/features/default-crs",
)
def test_create(web: Any) -> None:
    before = web.get(MARKS, params={"limit": 1000}).json()
    sent = _mark(114.123456789, 30.5, use=2, area=7.25, open=True, day="2026-07-01", seen="2026-07-01T08:00:00.5+08:00")
    answer = web.post(MARKS, json=sent | {"id": 1}, headers=GEOJSON)
    assert answer.status_code == 201
    assert answer.headers["location"].startswith("http://onemap.test/ogc/collections/marks/items/")
    found = web.get(answer.headers["location"])
    feature = found.json()
    assert feature["id"] not in [f["id"] for f in before["features"]]  # not the 1 that was sent
    assert feature["geometry"] == sent["geometry"]
    assert feature["properties"] == sent["properties"] | {"seen": "2026-07-01T00:00:00.5Z"}
    assert answer.headers["etag"] == found.headers["etag"]
    assert web.get(MARKS).json()["numberMatched"] == before["numberMatched"] + 1


@pytest.mark.requirement(
    P4,
    "/req/create-replace-delete/put-op",
    "/req/create-replace-delete/put-body",
    "/req/create-replace-delete/put-content-type",
    "/req/create-replace-delete/put-response",
    "/req/create-replace-delete/put-rid",
    "/req/features/resource-endpoint",
    "/req/features/geojson-create-replace",
)
def test_replace(web: Any, fresh: str) -> None:
    sent = _mark(114.5, 31.0, open=False)
    answer = web.put(fresh, json=sent | {"id": 999_999}, headers=GEOJSON)
    assert answer.status_code == 204
    assert answer.content == b""
    feature = web.get(fresh).json()
    assert str(feature["id"]) == fresh.rpartition("/")[2]
    assert feature["geometry"] == sent["geometry"]
    everything = {"use": None, "area": None, "open": False, "day": None, "seen": None}  # what is left out becomes null
    assert feature["properties"] == sent["properties"] | everything


@pytest.mark.requirement(
    P4,
    "/req/update/methods",
    "/req/update/update-patch-op",
    "/req/update/update-patch-body",
    "/req/update/update-patch-response",
    "/req/update/rid",
    "/req/features/update-json-merge-patch",
)
@pytest.mark.parametrize(
    ("patch", "headers"),
    [
        ({"area": 9, "use": None}, MERGE),  # as the schema of the collection has it
        ({"properties": {"area": 9, "use": None}}, MERGE),
        ({"type": "Feature", "id": 4711, "properties": {"area": 9, "use": None}}, GEOJSON),
    ],
)
def test_update_changes_what_it_names(web: Any, fresh: str, patch: dict[str, Any], headers: dict[str, str]) -> None:
    before = web.get(fresh).json()
    answer = web.patch(fresh, json=patch, headers=headers)
    assert answer.status_code == 204
    after = web.get(fresh).json()
    assert after["properties"] == before["properties"] | {"area": 9.0, "use": None}
    assert after["geometry"] == before["geometry"]
    assert after["id"] == before["id"]


def test_update_of_the_geometry(web: Any, fresh: str) -> None:
    moved = {"geometry": {"coordinates": [114.75, 30.25]}}  # RFC 7396: the type stays as it is
    assert web.patch(fresh, json=moved, headers=MERGE).status_code == 204
    assert web.get(fresh).json()["geometry"] == {"type": "Point", "coordinates": [114.75, 30.25]}
    kept = _refused(web.patch(fresh, json={"fid": 999}, headers=MERGE), 400)  # the id cannot be changed
    assert kept["parameter"] == "fid"
    assert (
        _refused(web.patch(fresh, json={"geometry": None}, headers=MERGE), 422)["problems"][0]["property"] == "geometry"
    )


@pytest.mark.requirement(P4, "/req/create-replace-delete/delete-op", "/req/create-replace-delete/delete-response")
def test_delete(web: Any, fresh: str) -> None:
    count = web.get(MARKS).json()["numberMatched"]
    assert web.delete(fresh).status_code == 204
    assert web.get(fresh).status_code == 404
    assert web.get(MARKS).json()["numberMatched"] == count - 1
    assert web.delete(fresh).status_code == 404
    again = web.post(MARKS, json=_mark(), headers=GEOJSON).headers["location"]
    assert int(again.rpartition("/")[2]) > int(fresh.rpartition("/")[2])  # an id is never used again


@pytest.mark.requirement(P4, "/req/create-replace-delete/put-rid-exception")
def test_what_does_not_exist(web: Any) -> None:
    for fid in ("99999", "x", "99999999999999999999"):
        assert _refused(web.put(f"{MARKS}/{fid}", json=_mark(), headers=GEOJSON), 404)["title"] == "FeatureNotFound"
        matched = GEOJSON | {"If-Match": '"a-b"'}
        assert _refused(web.put(f"{MARKS}/{fid}", json=_mark(), headers=matched), 412)["title"] == "PreconditionFailed"
        assert web.patch(f"{MARKS}/{fid}", json={}, headers=MERGE).status_code == 404
    assert _refused(web.post("/ogc/collections/none/items", json=_mark(), headers=GEOJSON), 404)


def test_prefer_sends_the_feature_back_as_get_does(web: Any) -> None:
    crs = "http://www.opengis.net/def/crs/EPSG/0/4490"
    headers = GEOJSON | {"Prefer": "return=representation", "Content-Crs": f"<{crs}>"}
    answer = web.post(MARKS, json=_mark(30.25, 114.5), headers=headers)
    assert answer.status_code == 201
    assert answer.headers["preference-applied"] == "return=representation"
    assert answer.headers["content-crs"] == f"<{crs}>"
    seen = web.get(answer.headers["content-location"])
    assert answer.content == seen.content  # a strong tag names bytes
    assert answer.headers["etag"] == seen.headers["etag"]
    assert answer.json()["geometry"]["coordinates"] == [30.25, 114.5]
    answer = web.patch(
        answer.headers["location"], json={"area": 1}, headers=MERGE | {"Prefer": "return=representation"}
    )
    assert answer.status_code == 200
    assert answer.content == web.get(answer.headers["content-location"]).content
    minimal = web.patch(
        answer.headers["content-location"], json={"area": 2}, headers=MERGE | {"Prefer": "return=minimal"}
    )
    assert (minimal.status_code, minimal.headers["preference-applied"]) == (204, "return=minimal")


# -- coordinates -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(P4, "/req/features/content-crs-header", "/req/features/crs-other-crs")
@pytest.mark.parametrize(
    "code", ["OGC:CRS84", *(f"EPSG:{c}" for c in (4326, 4490, 3857, *range(4524, 4528), *range(4545, 4549)))]
)
def test_content_crs(web: Any, code: str) -> None:
    """What GET gives in a CRS can be sent back in it; the oracle is PROJ with the authority's axis order."""
    from pyproj import Transformer

    x, y = 114.25, 30.75
    first, second = (x, y) if code == "OGC:CRS84" else Transformer.from_crs("OGC:CRS84", code).transform(x, y)
    digits = 9 if code in {"OGC:CRS84", "EPSG:4326", "EPSG:4490"} else 4
    authority, _, number = code.partition(":")
    uri = f"http://www.opengis.net/def/crs/{authority}/{'1.3' if authority == 'OGC' else '0'}/{number}"
    sent = _mark(round(first, digits), round(second, digits))
    place = web.post(MARKS, json=sent, headers=GEOJSON | {"Content-Crs": f"<{uri}>"}).headers["location"]
    assert web.get(place).json()["geometry"]["coordinates"] == pytest.approx([x, y], abs=2e-9)
    again = web.get(place, params={"crs": uri}).json()
    assert again["geometry"]["coordinates"] == pytest.approx(sent["geometry"]["coordinates"], abs=2e-4)
    if code in {"EPSG:4490", "EPSG:4547"}:  # a merge patch too, over a geometry in the CRS of the request
        change = {"geometry": {"coordinates": again["geometry"]["coordinates"]}}
        assert web.patch(place, json=change, headers=MERGE | {"Content-Crs": uri}).status_code == 204
        assert web.get(place).json()["geometry"]["coordinates"] == pytest.approx([x, y], abs=2e-9)


def test_wrong_axis_order_and_crs_are_told(web: Any) -> None:
    swapped = _refused(web.post(MARKS, json=_mark(30.75, 114.25), headers=GEOJSON), 422)
    assert "longitude, latitude" in swapped["problems"][0]["detail_en"]
    headers = GEOJSON | {"Content-Crs": "<http://www.opengis.net/def/crs/EPSG/0/4490>"}
    assert (
        "latitude, longitude"
        in _refused(web.post(MARKS, json=_mark(), headers=headers), 422)["problems"][0]["detail_en"]
    )
    other = GEOJSON | {"Content-Crs": "<http://www.opengis.net/def/crs/EPSG/0/2000>"}
    assert _refused(web.post(MARKS, json=_mark(), headers=other), 400)["parameter"] == "Content-Crs"
    old = _mark() | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}}
    assert _refused(web.post(MARKS, json=old, headers=GEOJSON), 400)["parameter"] == "crs"
    same = _mark() | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}
    assert web.post(MARKS, json=same, headers=GEOJSON).status_code == 201


# -- optimistic locking ------------------------------------------------------------------------------------------------


@pytest.mark.requirement(
    P4,
    "/req/optimistic-locking-etags/get-etag-response",
    "/req/optimistic-locking-etags/put-etag-response",
    "/req/optimistic-locking-etags/patch-etag-response",
    "/req/optimistic-locking-etags/ifmatch-put-op",
    "/req/optimistic-locking-etags/ifmatch-put-eval",
    "/req/optimistic-locking-etags/ifmatch-patch-op",
    "/req/optimistic-locking-etags/ifmatch-patch-eval",
)
def test_two_editors(web: Any, fresh: str) -> None:
    tag = web.get(fresh).headers["etag"]
    assert tag.startswith('"')
    assert web.get(fresh, headers={"If-None-Match": tag}).status_code == 304
    first = web.put(fresh, json=_mark(area=1), headers=GEOJSON | _as("甲") | {"If-Match": tag})
    assert first.status_code == 204
    assert first.headers["etag"] == web.get(fresh).headers["etag"] != tag
    for method, body, kind in (("PUT", _mark(area=2), GEOJSON), ("PATCH", {"area": 2}, MERGE), ("DELETE", None, {})):
        late = web.request(method, fresh, json=body, headers=kind | _as("乙") | {"If-Match": tag})
        assert _refused(late, 412)["title"] == "PreconditionFailed"
    assert web.get(fresh).json()["properties"]["area"] == 1.0
    new = web.get(fresh, headers={"If-None-Match": tag})
    assert new.status_code == 200
    changed = web.patch(
        fresh, json={"area": 3}, headers=MERGE | _as("乙") | {"If-Match": f'"other", {new.headers["etag"]}'}
    )
    assert changed.status_code == 204
    assert changed.headers["etag"] == web.get(fresh).headers["etag"]


def test_every_representation_has_its_tag_and_each_may_be_sent(web: Any, fresh: str) -> None:
    plain = web.get(fresh).headers["etag"]
    turned = web.get(fresh, params={"crs": "EPSG:4490"}).headers["etag"]
    english = web.get(fresh, headers={"Accept-Language": "en"}).headers["etag"]
    assert len({plain, turned, english}) == 3
    state = plain.partition("-")[0]
    assert turned.startswith(state)
    assert english.startswith(state)
    assert web.get(fresh, params={"f": "html"}).headers["etag"].startswith("W/")
    assert web.patch(fresh, json={"area": 5}, headers=MERGE | {"If-Match": turned}).status_code == 204


def test_conditions(web: Any, fresh: str) -> None:
    tag = web.get(fresh).headers["etag"]
    assert (
        web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-Match": f"W/{tag}"}).status_code == 412
    )  # RFC 9110 §13.1.1
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-None-Match": tag}).status_code == 412
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-None-Match": "*"}).status_code == 412
    assert (
        _refused(web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-Match": "abc"}), 400)["parameter"]
        == "If-Match"
    )
    assert web.get(fresh).headers["etag"] == tag
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-Match": "*"}).status_code == 204


def test_tags_survive_compression(web: Any) -> None:
    """A compressed answer would have a weak tag, which no If-Match can use."""
    place = web.post(MARKS, json=_mark(name="长" * 2000), headers=GEOJSON).headers["location"]
    packed = web.get(place, headers={"Accept-Encoding": "br, gzip"})
    assert len(packed.content) > 5000
    assert "content-encoding" not in packed.headers
    assert web.patch(place, json={"area": 1}, headers=MERGE | {"If-Match": packed.headers["etag"]}).status_code == 204


def test_without_if_match_nobody_undoes_the_work_of_another(
    web: Any, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | _as("甲")).status_code == 428  # made by an address
    tag = web.get(fresh).headers["etag"]
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | _as("甲") | {"If-Match": tag}).status_code == 204
    assert web.patch(fresh, json={"area": 2}, headers=MERGE | _as("甲")).status_code == 204  # one's own work
    assert _refused(web.delete(fresh, headers=_as("乙")), 428)["title"] == "PreconditionRequired"
    import spatial.store.editing as editing

    monkeypatch.setattr(editing, "GUARD", editing.timedelta(0))
    assert web.delete(fresh, headers=_as("乙")).status_code == 204


def test_a_layer_may_require_if_match(web: Any) -> None:
    place = "/ogc/collections/strict/items/2"
    assert "If-Match" in _refused(web.patch(place, json={"name": "b2"}, headers=MERGE), 428)["detail_en"]
    assert _refused(web.delete(place), 428)
    tag = web.get(place).headers["etag"]
    assert web.patch(place, json={"name": "b2"}, headers=MERGE | {"If-Match": tag}).status_code == 204
    new = web.post("/ogc/collections/strict/items", json=_mark(), headers=GEOJSON)  # nothing to undo
    assert new.status_code == 201


# -- what a feature must be --------------------------------------------------------------------------------------------

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
def test_bad_properties(web: Any, wrong: dict[str, Any], name: str, says: str) -> None:
    before = web.get("/ogc/collections/marks").json()["version"]
    for answer in (
        web.post(MARKS, json=_mark(**wrong), headers=GEOJSON),
        web.put(f"{MARKS}/2", json=_mark(**wrong), headers=GEOJSON),
        web.patch(f"{MARKS}/2", json=wrong, headers=MERGE),
    ):
        problems = _refused(answer, 422)["problems"]
        assert [p["property"] for p in problems] == [name]
        assert says in problems[0]["detail_en"]
        assert problems[0]["detail_zh"]
    assert web.get("/ogc/collections/marks").json()["version"] == before  # nothing is half-written


@pytest.mark.parametrize(("geometry", "says"), BAD_GEOMETRIES, ids=lambda v: str(v)[:24])
def test_bad_geometries(web: Any, geometry: Any, says: str) -> None:
    for answer in (
        web.post(MARKS, json=_mark() | {"geometry": geometry}, headers=GEOJSON),
        web.put(f"{MARKS}/2", json=_mark() | {"geometry": geometry}, headers=GEOJSON),
    ):
        problems = _refused(answer, 422)["problems"]
        assert [p["property"] for p in problems] == ["geometry"]
        assert says in problems[0]["detail_en"]


def test_every_fault_is_told_at_once(web: Any) -> None:
    sent = _mark(use=9, area="x", who=1) | {"geometry": None}
    del sent["properties"]["name"]
    problems = _refused(web.post(MARKS, json=sent, headers=GEOJSON), 422)["problems"]
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
        ({"type": "Feature"}, {"Content-Type": "application/xml"}, 415),
        ({"type": "Feature"}, {"Content-Type": "application/merge-patch+json"}, 415),
    ],
)
def test_bad_bodies(web: Any, body: Any, headers: dict[str, str], status: int) -> None:
    _refused(web.post(MARKS, json=body, headers=headers), status)


def test_bodies_that_are_no_json(web: Any) -> None:
    for content in (b"", b"{", b'{"type": "Feature", "geometry": NaN}', b"\xff\xfe"):
        assert _refused(web.post(MARKS, content=content, headers=GEOJSON), 400)["parameter"] == "body"
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
    assert _refused(web.post(MARKS, params={"f": "json", "x": 1}, json=_mark(), headers=GEOJSON), 400)


def test_ids_that_are_a_field(web: Any) -> None:
    items = "/ogc/collections/plots/items"
    square = {"type": "Polygon", "coordinates": [[[114.3, 30], [114.4, 30], [114.4, 30.1], [114.3, 30.1], [114.3, 30]]]}
    taken = {"type": "Feature", "geometry": square, "properties": {"code": 12}}
    assert _refused(web.post(items, json=taken, headers=GEOJSON), 422)["problems"][0]["property"] == "code"
    given = web.post(items, json=taken | {"properties": {"code": 40}}, headers=GEOJSON)
    assert given.headers["location"].endswith("/40")
    assert web.get(given.headers["location"]).json()["geometry"]["type"] == "MultiPolygon"
    assert web.get(items, params={"limit": 1}).json()["features"][0]["geometry"]["type"] == "MultiPolygon"
    changed = web.patch(given.headers["location"], json={"code": 41}, headers=MERGE)
    assert _refused(changed, 422)["problems"][0]["property"] == "code"
    # Polygons of this layer may not overlap; beside each other they may stand.
    over = {
        "type": "Polygon",
        "coordinates": [[[114.35, 30], [114.5, 30], [114.5, 30.1], [114.35, 30.1], [114.35, 30]]],
    }
    beside = {"type": "Polygon", "coordinates": [[[114.4, 30], [114.5, 30], [114.5, 30.1], [114.4, 30.1], [114.4, 30]]]}
    overlap = web.post(items, json=taken | {"geometry": over, "properties": {"name": "o"}}, headers=GEOJSON)
    assert "overlaps" in _refused(overlap, 422)["problems"][0]["detail_en"]
    new = web.post(items, json=taken | {"geometry": beside, "properties": {"name": "o"}}, headers=GEOJSON)
    assert new.headers["location"].endswith("/41")
    assert web.get(new.headers["location"]).json()["properties"] == {"code": 41, "name": "o"}
    bow = {"type": "Polygon", "coordinates": [[[115, 30], [115.1, 30.1], [115.1, 30], [115, 30.1], [115, 30]]]}
    crossed = web.post(items, json=taken | {"geometry": bow, "properties": {}}, headers=GEOJSON)
    assert "not valid" in _refused(crossed, 422)["problems"][0]["detail_en"]
    for fid in (40, 41, 13):
        assert web.delete(f"{items}/{fid}").status_code == 204
    assert _refused(web.delete(f"{items}/12"), 422)["title"] == "QualityViolation"  # two must be left


# -- what others see ---------------------------------------------------------------------------------------------------


def test_an_edit_makes_a_version_and_leaves_the_old_one(web: Any, fresh: str) -> None:
    collection = web.get("/ogc/collections/marks").json()
    old, fid = collection["version"], fresh.rpartition("/")[2]
    page = web.get(MARKS, params={"limit": 1})
    count = page.json()["numberMatched"]
    following = next(link["href"] for link in page.json()["links"] if link["rel"] == "next")
    tile = "/tiles/marks/WebMercatorQuad/0/0/0.mvt"
    tiles = web.get(tile)
    assert web.delete(fresh).status_code == 204
    new = web.get("/ogc/collections/marks").json()
    assert new["version"] != old
    assert new["itemCount"] == count - 1
    assert web.get(fresh, params={"version": old}).status_code == 200
    assert web.get(fresh).status_code == 404
    assert web.get(MARKS, params={"version": old}).json()["numberMatched"] == count
    seen = []
    while following:  # a reader who began before the edit sees what was then
        answer = web.get(following).json()
        seen += [str(f["id"]) for f in answer["features"]]
        following = next((link["href"] for link in answer["links"] if link["rel"] == "next"), None)
    assert fid in seen
    assert len(seen) == count - 1
    assert web.get(MARKS, params={"limit": 1}, headers={"If-None-Match": page.headers["etag"]}).status_code == 200
    assert web.get(tile, headers={"If-None-Match": tiles.headers["etag"]}).status_code == 200
    assert web.get(tile).content != tiles.content


def test_extent_and_time_follow(web: Any) -> None:
    def extent() -> Any:
        found = web.get("/ogc/collections/marks").json()["extent"]
        return found["spatial"]["bbox"][0], found["temporal"]["interval"][0]

    before = extent()
    far = _mark(116.5, 33.5, seen="2030-01-01T00:00:00Z")
    place = web.post(MARKS, json=far, headers=GEOJSON).headers["location"]
    assert extent()[0][2:] == [116.5, 33.5]
    assert extent()[1][1] == "2030-01-01T00:00:00Z"
    assert web.get(MARKS, params={"datetime": "2029-01-01/.."}).json()["numberMatched"] == 1
    assert web.get(MARKS, params={"bbox": "116,33,117,34"}).json()["numberMatched"] == 1
    assert web.delete(place).status_code == 204
    assert extent() == before


def test_audit(web: Any, fresh: str) -> None:
    fid = int(fresh.rpartition("/")[2])
    tag = web.get(fresh).headers["etag"]
    web.patch(fresh, json={"area": 4}, headers=MERGE | _as("张三") | {"If-Match": tag})
    web.delete(fresh, headers=_as("张三"))
    page = web.get("/api/v1/audit", params={"layer": "marks", "fid": fid, "limit": 2}).json()
    assert [c["action"] for c in page["changes"]] == ["delete", "update"]
    last, change = page["changes"]
    assert (change["principal"], change["layer"], change["fid"]) == ("张三", "marks", fid)
    assert change["before"]["properties"]["area"] == 2.5
    assert change["after"]["properties"]["area"] == 4.0
    assert change["after_hash"] == last["before_hash"]
    assert tag.startswith(f'"{change["before_hash"]}-')
    assert (last["after"], last["base_version"]) == (None, change["version"])
    following = web.get(page["links"][0]["href"]).json()
    assert [(c["action"], c["before"], c["address"]) for c in following["changes"]] == [("create", None, "testclient")]
    assert following["links"] == []
    assert _refused(web.get("/api/v1/audit", params={"layer": "none"}), 404)
    assert _refused(web.get("/api/v1/audit", params={"who": "x"}), 400)
    assert _refused(web.get("/api/v1/audit", params={"limit": "0"}), 400)


# -- who may -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(
    P4, "/req/core/methods", "/req/create-replace-delete/options-op", "/req/create-replace-delete/options-response"
)
def test_options_and_layers_that_are_not_editable(web: Any) -> None:
    def allow(path: str) -> set[str]:
        answer = web.options(path)
        assert answer.status_code == 200
        return set(answer.headers["allow"].split(", "))

    read = {"GET", "HEAD", "OPTIONS"}
    assert allow(MARKS) == read | {"POST"}
    assert allow(f"{MARKS}/1") == read | {"PUT", "PATCH", "DELETE"}
    assert allow("/ogc/collections/frozen/items") == allow("/ogc/collections/frozen/items/1") == read
    for method, path in (("POST", ""), ("PUT", "/1"), ("PATCH", "/1"), ("DELETE", "/1")):
        answer = web.request(method, f"/ogc/collections/frozen/items{path}")
        assert "not editable" in _refused(answer, 405)["detail_en"]
        assert set(answer.headers["allow"].split(", ")) == read
    assert web.get("/ogc/collections/marks").json()["editable"] is True
    assert "editable" not in web.get("/ogc/collections/frozen").json()


@pytest.fixture
def server(edit_app: Any) -> Any:
    """A client of the same data under other settings."""
    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    store = edit_app.state.datastore

    def make(**changes: Any) -> Any:
        settings = store.settings.model_copy(update=changes)
        return TestClient(create_app(settings), base_url="http://onemap.test", raise_server_exceptions=False)

    return make


def test_editing_is_off_by_default(server: Any) -> None:
    from spatial.settings import Settings

    assert Settings.model_fields["edit"].default == "off"
    with server(edit="off") as web:
        answer = web.post(MARKS, json=_mark(), headers=GEOJSON)
        assert "ONEMAP_EDIT" in _refused(answer, 405)["detail_en"]
        assert web.options(MARKS).headers["allow"] == "GET, HEAD, OPTIONS"
        assert _refused(web.get("/api/v1/audit"), 403)
        paths = web.get("/ogc/openapi").json()["paths"]
        assert set(paths["/collections/marks/items"]) == {"get"}


@pytest.mark.requirement("ogcapi-common-1/1.0", "/req/oas30/security")
@pytest.mark.requirement("ogcapi-edr-1/1.1", "/req/oas30/security")
@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/oas30/security")
def test_editing_with_a_key(server: Any) -> None:
    from pydantic import SecretStr, ValidationError

    from spatial.settings import Settings

    with pytest.raises(ValidationError, match="ONEMAP_EDIT_KEY"):
        Settings(edit="key")
    key = "correct horse battery"
    with server(edit="key", edit_key=SecretStr(key)) as web:
        named = base64.b64encode(f"李四:{key}".encode()).decode()
        wrong = base64.b64encode(b"x:wrong").decode()
        for header in (
            {},
            {"Authorization": "Bearer wrong"},
            {"Authorization": f"Basic {wrong}"},
            {"Authorization": "Basic %"},
        ):
            answer = web.post(MARKS, json=_mark(), headers=GEOJSON | header)
            assert _refused(answer, 401)["title"] == "NotAuthenticated"
            assert "Basic" in answer.headers["www-authenticate"]
            assert web.get("/api/v1/audit", headers=header).status_code == 401
        assert web.post(MARKS, json=_mark(), headers=GEOJSON | {"Authorization": f"Bearer {key}"}).status_code == 201
        assert web.post(MARKS, json=_mark(), headers=GEOJSON | {"Authorization": f"Basic {named}"}).status_code == 201
        audit = web.get("/api/v1/audit?limit=2", headers={"Authorization": f"Bearer {key}"}).json()["changes"]
        assert [c["principal"] for c in audit] == ["李四", None]
        assert key not in str(audit)
        document = web.get("/ogc/openapi").json()
        schemes = document["components"]["securitySchemes"]
        assert {found["scheme"] for found in schemes.values()} == {"bearer", "basic"}
        for path, item in document["paths"].items():
            for method, operation in item.items():
                edits = "/items" in path and method != "get"
                assert operation.get("security", []) == ([{name: []} for name in schemes] if edits else []), path


def test_pages_of_other_sites_may_not_edit(web: Any) -> None:
    evil = web.post(MARKS, json=_mark(), headers=GEOJSON | {"Origin": "https://evil.example"})
    assert _refused(evil, 403)["title"] == "Forbidden"
    assert web.post(MARKS, json=_mark(), headers=GEOJSON | {"Origin": "http://onemap.test"}).status_code == 201


# -- documents ---------------------------------------------------------------------------------------------------------


def test_conformance_and_openapi(web: Any) -> None:
    classes = web.get("/ogc/conformance").json()["conformsTo"]
    for name in ("create-replace-delete", "update", "optimistic-locking-etags", "features"):
        assert f"http://www.opengis.net/spec/ogcapi-features-4/1.0/conf/{name}" in classes
    from openapi_spec_validator import OpenAPIV30SpecValidator

    document = web.get("/ogc/openapi").json()
    OpenAPIV30SpecValidator(document).validate()
    assert {"get", "post"} <= set(document["paths"]["/collections/marks/items"])
    item = document["paths"]["/collections/marks/items/{featureId}"]
    assert {"get", "put", "patch", "delete"} <= set(item)
    assert set(item["patch"]["requestBody"]["content"]) == {"application/merge-patch+json", "application/geo+json"}
    assert "412" in item["put"]["responses"]
    assert set(document["paths"]["/collections/frozen/items"]) == {"get"}
    schema = document["components"]["schemas"]["marks-feature"]["properties"]["properties"]
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False
