"""Cases: made by hand and of alerts, compared with what is published, refused with their reason."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

B = "/api/v1/river-chief"


def _square(x: float, y: float, size: float = 0.001) -> dict[str, Any]:
    ring = [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def test_a_case_knows_its_place_and_what_it_was_compared_with(web: Any, desk: Any) -> None:
    from pyproj import Geod

    answer = desk.issue(web, geometry=desk.square(114.4, 30.02, 0.002), title="手工图斑")
    case = answer.json()
    found = case["properties"]
    assert answer.headers["location"] == f"{B}/cases/{case['id']}"
    # Oracles: the area of the square and the way along the reach, on the ellipsoid of CGCS2000.
    geod = Geod(a=6378137.0, rf=298.257222101)
    lon, lat = zip(*desk.square(114.4, 30.02, 0.002)["coordinates"][0], strict=True)
    assert found["area_m2"] == pytest.approx(abs(geod.polygon_area_perimeter(lon, lat)[0]), abs=0.06)
    along = geod.inv(114.0, 30.0, 114.401, 30.0)[2]
    assert found["place"]["chainage_m"] == pytest.approx(1000 + along, abs=1.0)
    assert (found["reach"], found["unit"], found["chief"]) == ("A1", "甲县", "合成-甲")
    assert found["place"]["distance_m"] == pytest.approx(geod.inv(114.4, 30.0, 114.4, 30.02)[2], abs=1)
    assert found["checks"]["range"]["status"] == "inside"
    assert found["checks"]["permits"]["status"] == "none"
    assert found["checks"]["range"]["layer"] == "management-range"
    assert found["checks"]["range"]["version"] == "1"
    assert found["flags"] == []
    assert found["state"] == "issued"
    assert [step["step"] for step in case["steps"]] == ["check"]
    assert case["events"][0]["step"] == "issue"
    assert case["events"][0]["at"].endswith("Z")
    # Three days of the reach, at the end of that day in China.
    created = datetime.fromisoformat(found["created"]) + timedelta(hours=8)
    due = datetime.fromisoformat(found["due"]) + timedelta(hours=8)
    assert (due.date() - created.date()).days == 3
    assert due.strftime("%H:%M:%S") == "23:59:59"


@pytest.mark.parametrize(
    ("place", "on", "permit", "extent", "flags"),
    [
        # Wholly on the valid permit; on its half; on the ended one; the valid one before it began; beyond the range.
        ((114.105, 30.002, 0.001), "2026-08-01", "covered", "inside", {"permitted"}),
        ((114.1195, 30.002, 0.001), "2026-08-01", "partly", "inside", {"partly_permitted"}),
        ((114.205, 30.002, 0.001), "2026-08-01", "expired", "inside", {"permit_expired"}),
        ((114.107, 30.002, 0.001), "2024-12-31", "expired", "inside", {"permit_expired"}),
        ((114.5, 30.13, 0.001), "2026-08-01", "none", "outside", {"outside_range", "no_reach"}),
        ((114.5, 30.0995, 0.001), "2026-08-01", "none", "partly", {"partly_outside_range", "no_reach"}),
    ],
)
def test_permits_and_range(web: Any, desk: Any, place: Any, on: str, permit: str, extent: str, flags: set[str]) -> None:
    found = desk.issue(web, geometry=desk.square(*place), after={"date": on}).json()["properties"]
    assert found["checks"]["permits"]["status"] == permit
    assert found["checks"]["range"]["status"] == extent
    assert set(found["flags"]) - {"duplicate"} == flags
    if permit == "partly":
        assert found["checks"]["permits"]["share"] == pytest.approx(0.5, abs=1e-3)
        area = found["area_m2"]
        assert found["checks"]["permits"]["list"][0]["overlap_m2"] == pytest.approx(area / 2, rel=1e-3)
    if permit == "expired":
        assert found["checks"]["permits"]["list"][0]["valid"] is False


def test_a_case_from_an_alert_feature_takes_what_it_says_and_is_made_once(web: Any, desk: Any) -> None:
    waiting = web.get(f"{B}/candidates", params={"layer": "river-candidates"}).json()
    assert waiting["numberMatched"] == 2
    source = {"layer": "river-candidates", "feature": 1}
    made = web.post(f"{B}/cases", json={"actor": "甲", "source": source}).json()["properties"]
    assert (made["title"], made["kind"], made["after"]["date"]) == ("候选一", "dumping", "2026-08-01")
    assert made["source"] == {"layer": "river-candidates", "version": "1", "feature": "1"}
    assert made["synthetic"] is True
    assert "synthetic" in made["flags"]
    assert desk.refused(web.post(f"{B}/cases", json={"actor": "甲", "source": source}), 409)["case"] > 0
    second = web.post(f"{B}/cases", json={"actor": "甲", "source": source | {"feature": 2}}).json()["properties"]
    assert second["kind"] is None  # «??» is no kind
    assert web.get(f"{B}/candidates", params={"layer": "river-candidates"}).json()["numberMatched"] == 0
    desk.refused(web.post(f"{B}/cases", json={"actor": "甲", "source": source | {"feature": 99}}), 404)
    desk.refused(web.post(f"{B}/cases", json={"actor": "甲", "source": {"layer": "works-permits", "feature": 1}}), 400)


def test_an_event_of_the_water_watch_becomes_a_case(web: Any) -> None:
    layer = "water-watch-0f3a9c1e-events"
    assert layer in [row["id"] for row in web.get(B).json()["candidate_layers"]]
    waiting = web.get(f"{B}/candidates", params={"layer": layer}).json()["features"]
    # The reclamation comes first, although the other event is newer: it is a kind of the desk.
    assert [f["label"]["zh"] for f in waiting] == ["洪湖 围垦候选", "洪湖 新增"]
    answer = web.post(f"{B}/cases", json={"actor": "甲", "source": {"layer": layer, "feature": waiting[0]["id"]}})
    made = answer.json()["properties"]
    assert (made["title"], made["kind"], made["description"]) == ("洪湖 围垦候选", "occupation", "两次观测")
    assert made["after"]["date"] == "2026-08-02"  # 20:00 UTC is the next day in China


def test_duplicates_and_rebounds(web: Any, desk: Any) -> None:
    first = desk.issue(web, geometry=desk.square(114.6, 30.05)).json()
    # Half of the square, and a sliver of it: 50 % and 10 % of the smaller area.
    half = desk.issue(web, geometry=desk.square(114.6005, 30.05)).json()["properties"]
    assert [row["case"] for row in half["checks"]["duplicates"]] == [first["id"]]
    assert half["checks"]["duplicates"][0]["share"] == pytest.approx(0.5, abs=1e-3)
    assert "duplicate" in half["flags"]
    sliver = desk.issue(web, geometry=desk.square(114.5991, 30.05)).json()["properties"]
    assert sliver["checks"]["duplicates"] == []
    assert sliver["checks"]["rebounds"] == []
    desk.to(web, first["id"], "closed")
    again = desk.issue(web, geometry=desk.square(114.6002, 30.05)).json()["properties"]
    assert [row["case"] for row in again["checks"]["rebounds"]] == [first["id"]]
    assert again["checks"]["rebounds"][0]["share"] == pytest.approx(0.8, abs=1e-3)
    assert "rebound" in again["flags"]
    listed = web.get(f"{B}/cases", params={"rebound": "true"}).json()
    assert [f["properties"]["number"] for f in listed["features"]] == [again["number"]]


BAD_PLACES = {
    "swapped": (_square(30.03, 114.3), None),
    "swapped within ±90": (_square(30.03, 80.0), None),
    "wrong crs order": (_square(114.3, 30.03), "EPSG:4490"),
    "bow tie": (
        {"type": "Polygon", "coordinates": [[[114.3, 30], [114.4, 30.1], [114.4, 30], [114.3, 30.1], [114.3, 30]]]},
        None,
    ),
    "point": ({"type": "Point", "coordinates": [114.3, 30]}, None),
    "open ring": ({"type": "Polygon", "coordinates": [[[114.3, 30], [114.4, 30]]]}, None),
    "text": ({"type": "Polygon", "coordinates": [[["a", "b"]]]}, None),
    "empty": ({"type": "Polygon", "coordinates": []}, None),
    "height": (
        {"type": "Polygon", "coordinates": [[[114.3, 30, 1], [114.4, 30, 1], [114.4, 30.1, 1], [114.3, 30, 1]]]},
        None,
    ),
}


@pytest.mark.parametrize("name", BAD_PLACES)
def test_wrong_geometry_is_refused(web: Any, desk: Any, name: str) -> None:
    geometry, crs = BAD_PLACES[name]
    before = web.get(f"{B}/cases", params={"limit": 1}).json()["numberMatched"]
    found = desk.refused(
        web.post(f"{B}/cases", json={"actor": "甲", "geometry": geometry} | ({"crs": crs} if crs else {})), 422
    )
    if "swapped" in name or "order" in name:
        assert "轴序" in found["detail_zh"]
    assert web.get(f"{B}/cases", params={"limit": 1}).json()["numberMatched"] == before


def test_a_declared_crs_is_read_in_its_axis_order(web: Any, desk: Any) -> None:
    from spatial.crs import transformer

    lat_first = {"type": "Polygon", "coordinates": [[p[::-1] for p in desk.square(114.45, 29.95)["coordinates"][0]]]}
    case = desk.issue(web, geometry=lat_first, crs="EPSG:4490").json()
    assert case["bbox"] == pytest.approx([114.45, 29.95, 114.451, 29.951])
    move = transformer(4490, 4547).transform
    north_first = [list(move(*p)[::-1]) for p in desk.square(114.46, 29.95)["coordinates"][0]]
    case = desk.issue(web, geometry={"type": "Polygon", "coordinates": [north_first]}, crs="EPSG:4547").json()
    assert case["bbox"] == pytest.approx([114.46, 29.95, 114.461, 29.951], abs=1e-7)


BAD_BODIES: dict[str, tuple[Any, int]] = {
    "no actor": ({"geometry": _square(114.3, 30.03)}, 400),
    "blank actor": ({"actor": "  ", "geometry": _square(114.3, 30.03)}, 400),
    "nothing": ({"actor": "甲"}, 400),
    "both": ({"actor": "甲", "geometry": _square(114.3, 30.03), "source": {"layer": "river-candidates", "feature": 1}}, 400),
    "unknown member": ({"actor": "甲", "geometry": _square(114.3, 30.03), "state": "closed"}, 400),
    "unknown kind": ({"actor": "甲", "geometry": _square(114.3, 30.03), "kind": "chaos"}, 400),
    "unknown crs": ({"actor": "甲", "geometry": _square(114.3, 30.03), "crs": "EPSG:9999"}, 400),
    "another crs inside": (
        {"actor": "甲", "geometry": _square(114.3, 30.03)
         | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4526"}}}}, 400),
    "unknown reach": ({"actor": "甲", "geometry": _square(114.3, 30.03), "reach": "Z9"}, 400),
    "due past": ({"actor": "甲", "geometry": _square(114.3, 30.03), "due": "2020-01-01T00:00:00Z"}, 400),
    "due without zone": ({"actor": "甲", "geometry": _square(114.3, 30.03), "due": "2030-01-01T00:00:00"}, 400),
    "due a number": ({"actor": "甲", "geometry": _square(114.3, 30.03), "due": 1900000000}, 400),
    "dates reversed": (
        {"actor": "甲", "geometry": _square(114.3, 30.03), "before": {"date": "2026-02-01"},
         "after": {"date": "2026-01-01"}}, 400),
    "too small": ({"actor": "甲", "geometry": _square(114.3, 30.03, 0.000005)}, 400),
    "a vector as picture": ({"actor": "甲", "geometry": _square(114.3, 30.03), "after": {"layer": "works-permits"}}, 404),
    "a list": ([1, 2], 400),
    "null byte": ({"actor": "甲\x00", "geometry": _square(114.3, 30.03)}, 400),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_BODIES)
def test_a_wrong_case_is_refused(web: Any, desk: Any, name: str) -> None:
    body, status = BAD_BODIES[name]
    desk.refused(web.post(f"{B}/cases", json=body), status)


def test_bodies_that_are_no_json(web: Any, desk: Any) -> None:
    desk.refused(web.post(f"{B}/cases", content=b"{", headers={"Content-Type": "application/json"}), 400)
    desk.refused(
        web.post(f"{B}/cases", content=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}), 415
    )
