"""Features Part 4: what others see of an edit: versions, extent, audit, documents."""

from __future__ import annotations

from typing import Any

GEOJSON = {"Content-Type": "application/geo+json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
MARKS = "/ogc/collections/marks/items"


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


def test_extent_and_time_follow(web: Any, edits: Any) -> None:
    def extent() -> Any:
        found = web.get("/ogc/collections/marks").json()["extent"]
        return found["spatial"]["bbox"][0], found["temporal"]["interval"][0]

    before = extent()
    far = edits.mark(116.5, 33.5, seen="2030-01-01T00:00:00Z")
    place = web.post(MARKS, json=far, headers=GEOJSON).headers["location"]
    assert extent()[0][2:] == [116.5, 33.5]
    assert extent()[1][1] == "2030-01-01T00:00:00Z"
    assert web.get(MARKS, params={"datetime": "2029-01-01/.."}).json()["numberMatched"] == 1
    assert web.get(MARKS, params={"bbox": "116,33,117,34"}).json()["numberMatched"] == 1
    assert web.delete(place).status_code == 204
    assert extent() == before


def test_audit(web: Any, edits: Any, fresh: str) -> None:
    fid = int(fresh.rpartition("/")[2])
    tag = web.get(fresh).headers["etag"]
    web.patch(fresh, json={"area": 4}, headers=MERGE | edits.by("张三") | {"If-Match": tag})
    web.delete(fresh, headers=edits.by("张三"))
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
    assert edits.refused(web.get("/api/v1/audit", params={"layer": "none"}), 404)
    assert edits.refused(web.get("/api/v1/audit", params={"who": "x"}), 400)
    assert edits.refused(web.get("/api/v1/audit", params={"limit": "0"}), 400)


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
