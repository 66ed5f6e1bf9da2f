"""Features Part 4: create, replace, update and delete one feature."""

from __future__ import annotations

from typing import Any

import pytest

P4 = "ogcapi-features-4/1.0"
GEOJSON = {"Content-Type": "application/geo+json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
MARKS = "/ogc/collections/marks/items"


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
def test_create(web: Any, edits: Any) -> None:
    before = web.get(MARKS, params={"limit": 1000}).json()
    sent = edits.mark(
        114.123456789, 30.5, use=2, area=7.25, open=True, day="2026-07-01", seen="2026-07-01T08:00:00.5+08:00"
    )
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
def test_replace(web: Any, edits: Any, fresh: str) -> None:
    sent = edits.mark(114.5, 31.0, open=False)
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


def test_update_of_the_geometry(web: Any, edits: Any, fresh: str) -> None:
    moved = {"geometry": {"coordinates": [114.75, 30.25]}}  # RFC 7396: the type stays as it is
    assert web.patch(fresh, json=moved, headers=MERGE).status_code == 204
    assert web.get(fresh).json()["geometry"] == {"type": "Point", "coordinates": [114.75, 30.25]}
    kept = edits.refused(web.patch(fresh, json={"fid": 999}, headers=MERGE), 400)  # the id cannot be changed
    assert kept["parameter"] == "fid"
    assert (
        edits.refused(web.patch(fresh, json={"geometry": None}, headers=MERGE), 422)["problems"][0]["property"]
        == "geometry"
    )


@pytest.mark.requirement(P4, "/req/create-replace-delete/delete-op", "/req/create-replace-delete/delete-response")
def test_delete(web: Any, edits: Any, fresh: str) -> None:
    count = web.get(MARKS).json()["numberMatched"]
    assert web.delete(fresh).status_code == 204
    assert web.get(fresh).status_code == 404
    assert web.get(MARKS).json()["numberMatched"] == count - 1
    assert web.delete(fresh).status_code == 404
    again = web.post(MARKS, json=edits.mark(), headers=GEOJSON).headers["location"]
    assert int(again.rpartition("/")[2]) > int(fresh.rpartition("/")[2])  # an id is never used again


@pytest.mark.requirement(P4, "/req/create-replace-delete/put-rid-exception")
def test_what_does_not_exist(web: Any, edits: Any) -> None:
    for fid in ("99999", "x", "99999999999999999999"):
        assert (
            edits.refused(web.put(f"{MARKS}/{fid}", json=edits.mark(), headers=GEOJSON), 404)["title"]
            == "FeatureNotFound"
        )
        matched = GEOJSON | {"If-Match": '"a-b"'}
        assert (
            edits.refused(web.put(f"{MARKS}/{fid}", json=edits.mark(), headers=matched), 412)["title"]
            == "PreconditionFailed"
        )
        assert web.patch(f"{MARKS}/{fid}", json={}, headers=MERGE).status_code == 404
    assert edits.refused(web.post("/ogc/collections/none/items", json=edits.mark(), headers=GEOJSON), 404)


def test_prefer_sends_the_feature_back_as_get_does(web: Any, edits: Any) -> None:
    crs = "http://www.opengis.net/def/crs/EPSG/0/4490"
    headers = GEOJSON | {"Prefer": "return=representation", "Content-Crs": f"<{crs}>"}
    answer = web.post(MARKS, json=edits.mark(30.25, 114.5), headers=headers)
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
