"""Photos and patrols: checked, measured, refused; what dies between a photo and its row leaves nothing."""

from __future__ import annotations

from typing import Any

import pytest

B = "/api/v1/river-chief"


def test_a_photo_with_its_position(web: Any, desk: Any) -> None:
    case = desk.issue(web).json()
    west, south, _, _ = case["bbox"]
    near = desk.photo(web, case["id"], "field", content=desk.jpeg(west + 0.0005, south + 0.0005)).json()
    assert near["distance_m"] == 0
    assert near["warnings"] == []
    assert near["taken"] == "2026-08-01T09:30:00"
    far = desk.photo(web, case["id"], "field", content=desk.jpeg(west, south + 0.1)).json()
    assert far["warnings"] == ["far"]
    assert far["distance_m"] == pytest.approx(10_975, rel=0.01)  # 0.1° less the height of the square
    bare = desk.photo(web, case["id"], "field").json()
    assert bare["warnings"] == ["no_position"]
    answer = web.get(near["href"])
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert web.get(near["href"], headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    import hashlib

    assert hashlib.sha256(answer.content).hexdigest() == near["sha256"]


def test_what_is_no_photo_is_refused(web: Any, desk: Any) -> None:
    case = desk.issue(web).json()["id"]
    desk.refused(desk.photo(web, case, "field", content=b"<svg/>", kind="image/svg+xml"), 415)
    desk.refused(desk.photo(web, case, "field", content=b"<script>", kind="image/jpeg"), 422)
    desk.refused(desk.photo(web, case, "field", content=desk.jpeg()[:-200], kind="image/jpeg"), 422)
    desk.refused(desk.photo(web, case, "field", kind="image/png"), 422)  # a JPEG that says it is a PNG
    desk.refused(desk.photo(web, case, "field", content=b"", kind="image/jpeg"), 422)
    desk.refused(desk.photo(web, case, "nonsense"), 400)
    desk.refused(desk.photo(web, 999999, "field"), 404)
    desk.refused(web.get(f"{B}/photos/999999"), 404)
    desk.refused(web.get(f"{B}/photos/../../etc"), 404)
    assert web.get(f"{B}/cases/{case}").json()["photos"] == []


def _of_size(desk: Any, size: int) -> bytes:
    """A JPEG of exactly so many bytes; what follows its end counts as bytes only."""
    picture: bytes = desk.jpeg()
    return picture + b"\0" * (size - len(picture))


def test_the_rule_of_photos_counts_and_no_other_limit(web: Any, desk: Any, desk_settings: Any) -> None:
    limit = web.get(B).json()["photos"]["max_bytes"]
    assert limit == 8_000_000  # the number of the rule, told before anybody uploads
    case = desk.issue(web).json()["id"]
    day = desk.patrol(started="2026-07-01T09:00:00+08:00", ended="2026-07-01T09:30:00+08:00")
    patrol = web.post(f"{B}/patrols", json=day).json()["id"]
    for owner in (f"cases/{case}", f"patrols/{patrol}"):

        def send(content: Any, owner: str = owner) -> Any:
            return web.post(f"{B}/{owner}/photos", params={"actor": "甲"}, content=content,
                            headers={"Content-Type": "image/jpeg"})  # fmt: skip

        assert desk_settings.max_body_bytes < 3_000_000
        for size in (3_000_000, limit):
            made = send(_of_size(desk, size))
            assert made.status_code == 201, made.text
            assert len(web.get(made.json()["href"]).content) == size
        for size in (limit + 1, 60_000_000):
            told = desk.refused(send(b"\0" * size), 413)
            assert told["limit"] == limit
            assert f"the limit is {limit} bytes" in told["detail_en"]

        undeclared = (b"\0" * 1_000_000 for _ in range(9))  # sent without its length
        assert desk.refused(send(undeclared), 413)["limit"] == limit
        assert len(web.get(f"{B}/{owner}").json()["photos"]) == 2
    # Other bodies of the desk have the general limit.
    big = b" " * (desk_settings.max_body_bytes + 1)
    for path in (f"cases/{case}/steps", "cases", "patrols"):
        answer = web.post(f"{B}/{path}", content=big, headers={"Content-Type": "application/json"})
        assert desk.refused(answer, 413)["limit"] == desk_settings.max_body_bytes


def test_a_patrol_is_measured_and_compared(web: Any, desk: Any) -> None:
    from pyproj import Geod

    day = {"started": "2026-07-15T09:00:00+08:00", "ended": "2026-07-15T09:30:00+08:00"}  # no other test patrols on it
    answer = web.post(f"{B}/patrols", json=desk.patrol(**day))
    assert answer.status_code == 201, answer.text
    found = answer.json()["properties"]
    length = sum(
        Geod(a=6378137.0, rf=298.257222101).inv(114.1 + i * 0.01, 30.0005, 114.1 + (i + 1) * 0.01, 30.0005)[2]
        for i in range(10)
    )
    assert found["length_m"] == pytest.approx(length, abs=0.1)
    assert found["speed_kmh"] == pytest.approx(length / 500, abs=0.01)
    assert (found["reach"], found["water"], found["unit"]) == ("A1", "甲河", "甲县")
    # 0.1° of 0.5°, and 500 m beyond both ends.
    assert found["seen_share"] == pytest.approx(0.2 + 2 * 497 / 48_240, abs=0.01)
    assert found["warnings"] == []
    assert found["started"] == "2026-07-15T01:00:00Z"
    number = answer.json()["id"]
    photo = web.post(f"{B}/patrols/{number}/photos", params={"actor": "甲"}, content=desk.jpeg(114.1, 30.0005),
                     headers={"Content-Type": "image/jpeg"})  # fmt: skip
    assert photo.json()["distance_m"] == pytest.approx(0, abs=0.5)
    assert len(web.get(f"{B}/patrols/{number}").json()["photos"]) == 1
    fast = web.post(f"{B}/patrols", json=desk.patrol(**day | {"ended": "2026-07-15T09:05:00+08:00"})).json()
    assert fast["properties"]["warnings"] == ["too_fast"]
    track = {"type": "LineString", "coordinates": [[114.1, 30], [114.2, 30]]}
    leap = web.post(f"{B}/patrols", json=desk.patrol(track=track, **day)).json()
    assert leap["properties"]["warnings"] == ["gap"]
    listed = web.get(f"{B}/patrols", params={"water": "甲河", "from": "2026-07-15", "to": "2026-07-15"}).json()
    assert listed["numberReturned"] == 3
    ours = {number, fast["id"], leap["id"]}
    assert {patrol["id"] for patrol in listed["features"]} == ours
    later = web.get(f"{B}/patrols", params={"from": "2026-07-16"}).json()
    assert not ours & {patrol["id"] for patrol in later["features"]}
    assert web.get(f"{B}/patrols", params={"from": "2026-07-16", "to": "2026-07-16"}).json()["numberReturned"] == 0


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"ended": "2026-08-01T08:00:00+08:00"}, 400),
        ({"ended": "2999-08-01T08:00:00+08:00"}, 400),
        ({"started": "2026-08-01T09:00:00"}, 400),
        ({"track": {"type": "LineString", "coordinates": [[30, 114], [30.1, 114]]}}, 422),
        ({"track": {"type": "LineString", "coordinates": [[114, 30]]}}, 422),
        ({"track": {"type": "LineString", "coordinates": [[114, 30], [114, 30]]}}, 422),
        ({"track": {"type": "Polygon", "coordinates": []}}, 422),
        ({"cases": [999999]}, 404),
        ({"cases": ["1"]}, 400),
        ({"reach": "Z9"}, 400),
    ],
)
def test_a_wrong_patrol_is_refused(web: Any, desk: Any, more: dict[str, Any], status: int) -> None:
    desk.refused(web.post(f"{B}/patrols", json=desk.patrol(**more)), status)
