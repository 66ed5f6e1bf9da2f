"""Features Part 4: optimistic locking: of two editors the later one is told, never overruled in silence."""

from __future__ import annotations

from typing import Any

import pytest

P4 = "ogcapi-features-4/1.0"
GEOJSON = {"Content-Type": "application/geo+json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
MARKS = "/ogc/collections/marks/items"


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
def test_two_editors(web: Any, edits: Any, fresh: str) -> None:
    tag = web.get(fresh).headers["etag"]
    assert tag.startswith('"')
    assert web.get(fresh, headers={"If-None-Match": tag}).status_code == 304
    first = web.put(fresh, json=edits.mark(area=1), headers=GEOJSON | edits.by("甲") | {"If-Match": tag})
    assert first.status_code == 204
    assert first.headers["etag"] == web.get(fresh).headers["etag"] != tag
    for method, body, kind in (
        ("PUT", edits.mark(area=2), GEOJSON),
        ("PATCH", {"area": 2}, MERGE),
        ("DELETE", None, {}),
    ):
        late = web.request(method, fresh, json=body, headers=kind | edits.by("乙") | {"If-Match": tag})
        assert edits.refused(late, 412)["title"] == "PreconditionFailed"
    assert web.get(fresh).json()["properties"]["area"] == 1.0
    new = web.get(fresh, headers={"If-None-Match": tag})
    assert new.status_code == 200
    changed = web.patch(
        fresh, json={"area": 3}, headers=MERGE | edits.by("乙") | {"If-Match": f'"other", {new.headers["etag"]}'}
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


def test_conditions(web: Any, edits: Any, fresh: str) -> None:
    tag = web.get(fresh).headers["etag"]
    assert (
        web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-Match": f"W/{tag}"}).status_code == 412
    )  # RFC 9110 §13.1.1
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-None-Match": tag}).status_code == 412
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-None-Match": "*"}).status_code == 412
    assert (
        edits.refused(web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-Match": "abc"}), 400)["parameter"]
        == "If-Match"
    )
    assert web.get(fresh).headers["etag"] == tag
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | {"If-Match": "*"}).status_code == 204


def test_tags_survive_compression(web: Any, edits: Any) -> None:
    """A compressed answer would have a weak tag, which no If-Match can use."""
    place = web.post(MARKS, json=edits.mark(name="长" * 2000), headers=GEOJSON).headers["location"]
    packed = web.get(place, headers={"Accept-Encoding": "br, gzip"})
    assert len(packed.content) > 5000
    assert "content-encoding" not in packed.headers
    assert web.patch(place, json={"area": 1}, headers=MERGE | {"If-Match": packed.headers["etag"]}).status_code == 204


def test_without_if_match_nobody_undoes_the_work_of_another(
    web: Any, edits: Any, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | edits.by("甲")).status_code == 428  # made by an address
    tag = web.get(fresh).headers["etag"]
    assert web.patch(fresh, json={"area": 1}, headers=MERGE | edits.by("甲") | {"If-Match": tag}).status_code == 204
    assert web.patch(fresh, json={"area": 2}, headers=MERGE | edits.by("甲")).status_code == 204  # one's own work
    assert edits.refused(web.delete(fresh, headers=edits.by("乙")), 428)["title"] == "PreconditionRequired"
    import spatial.store.editing as editing

    monkeypatch.setattr(editing, "GUARD", editing.timedelta(0))
    assert web.delete(fresh, headers=edits.by("乙")).status_code == 204


def test_a_layer_may_require_if_match(web: Any, edits: Any) -> None:
    place = "/ogc/collections/strict/items/2"
    assert "If-Match" in edits.refused(web.patch(place, json={"name": "b2"}, headers=MERGE), 428)["detail_en"]
    assert edits.refused(web.delete(place), 428)
    tag = web.get(place).headers["etag"]
    assert web.patch(place, json={"name": "b2"}, headers=MERGE | {"If-Match": tag}).status_code == 204
    new = web.post("/ogc/collections/strict/items", json=edits.mark(), headers=GEOJSON)  # nothing to undo
    assert new.status_code == 201
