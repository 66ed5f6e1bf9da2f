"""Cameras and their snapshots over HTTP, on both stores."""

from __future__ import annotations

import io
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

B = "/api/v1/cameras"
_numbers = itertools.count()


def feature(code: str, lon: float = 114.05, lat: float = 30.0, **properties: Any) -> dict[str, Any]:
    own = {"camera": code, "name": f"点{code}", "azimuth_deg": 45.0, "fov_deg": 60.0, "height_m": 8.0}
    return {
        "type": "Feature", "geometry": {"type": "Point", "coordinates": [lon, lat]}, "properties": own | properties,
    }  # fmt: skip


def send(
    bank: Any, code: str, at: datetime | str | None, content: bytes | None = None, kind: str = "image/jpeg"
) -> Any:
    text = at.isoformat() if isinstance(at, datetime) else at
    query = "" if text is None else f"?time={quote(text)}"
    content = bank.picture(colour=f"#{next(_numbers) * 0x9E3779 % 0x1000000:06x}") if content is None else content
    return bank.post(f"{B}/{code}/snapshots{query}", content=content, headers={"content-type": kind})


def keep(bank: Any, code: str, at: datetime) -> None:
    """The work behind the address, whose faults come through."""
    from spatial.observation.rules import read_observation_rules
    from spatial.observation.snapshots import add_snapshot

    rules = read_observation_rules(bank.datastore.settings.layers_dir)
    add_snapshot(bank.datastore, rules, code, bank.picture(size=(90, 70)), "image/jpeg", at)


@pytest.fixture
def camera(bank: Any) -> str:
    """A camera of this test alone."""
    code = f"T{next(_numbers)}"
    answer = bank.post(B, json=feature(code))
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{B}/{code}"
    return code


def test_cameras_and_what_is_not_passed_on(bank: Any) -> None:
    found = {f["properties"]["camera"]: f for f in bank.get(B).json()["features"]}
    assert found["C1"]["properties"]["stream"] == "https://video.example.cn/1"
    assert found["C1"]["geometry"]["coordinates"] == [114.0, 30.0]
    assert found["C2"]["properties"]["stream"] is None
    assert "scheme javascript" in found["C2"]["properties"]["stream_refused"]["en"]
    assert bank.get(f"{B}/C1").json()["properties"]["snapshots"] == 0
    assert bank.get(f"{B}/nobody").status_code == 404


def test_snapshots_through_time(bank: Any, camera: str) -> None:
    times = [datetime(2026, 5, day, 1, tzinfo=UTC) for day in (2, 1, 3)]
    made = [send(bank, camera, at) for at in times]
    assert [m.status_code for m in made] == [201] * 3, made[0].text
    document = bank.get(f"{B}/{camera}/snapshots").json()
    assert [s["time"] for s in document["snapshots"]] == [f"2026-05-0{d}T01:00:00Z" for d in (3, 2, 1)]
    one = document["snapshots"][0]
    whole = bank.get(one["href"])
    assert whole.headers["content-type"] == "image/jpeg"
    assert len(whole.content) == one["bytes"]
    assert bank.get(one["href"], headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    within = bank.get(f"{B}/{camera}/snapshots?from=2026-05-02T00:00:00Z&to=2026-05-02T12:00:00%2B08:00").json()
    assert [s["time"] for s in within["snapshots"]] == ["2026-05-02T01:00:00Z"]
    paged = bank.get(f"{B}/{camera}/snapshots?limit=1&offset=1").json()
    assert (paged["numberMatched"], paged["snapshots"][0]["time"]) == (3, "2026-05-02T01:00:00Z")
    shown = bank.get("/ogc/collections/cameras/items", params={"camera": camera}).json()["features"][0]["properties"]
    assert (shown["snapshot"], shown["snapshot_time"]) == (one["id"], "2026-05-03T01:00:00Z")


def test_an_edr_location_has_the_series_of_snapshots(bank: Any, camera: str) -> None:
    for day in (1, 2):
        send(bank, camera, datetime(2026, 4, day, tzinfo=UTC))
    features = bank.get("/ogc/collections/cameras/locations").json()["features"]
    [place] = [f for f in features if f["id"] == camera]
    assert place["properties"]["observations"] == 2
    assert place["properties"]["snapshots"].endswith(f"/api/v1/cameras/{camera}/snapshots")
    lines = bank.get(
        f"/ogc/collections/cameras/locations/{camera}", params={"f": "csv", "parameter-name": "azimuth_deg,snapshot"}
    ).text.splitlines()
    assert [line.split(",")[3:5] for line in lines[1:]] == [[f"2026-04-0{d}T00:00:00Z", "45.0"] for d in (1, 2)]
    assert bank.get(f"/api/v1/snapshots/{lines[-1].split(',')[-1]}").status_code == 200


def test_a_thumbnail_is_small_and_whole(bank: Any, camera: str) -> None:
    from PIL import Image

    made = send(bank, camera, "2026-05-01T09:00:00+08:00", bank.picture("PNG", (1600, 900)), "image/png").json()
    for _ in range(2):
        answer = bank.get(made["thumbnail"])
        with Image.open(io.BytesIO(answer.content)) as small:
            assert (small.format, small.size) == ("JPEG", (320, 180))


def test_the_oldest_go_when_there_are_too_many(bank: Any, camera: str) -> None:
    folder = bank.datastore.settings.var_dir / "observation" / "snapshots"
    start = datetime(2026, 3, 1, tzinfo=UTC)
    made = [send(bank, camera, start + timedelta(hours=k)).json() for k in range(3)]
    bank.get(made[0]["thumbnail"])
    files = set(folder.glob("*/*"))
    made.append(send(bank, camera, start + timedelta(hours=3)).json())
    left = bank.get(f"{B}/{camera}/snapshots").json()["snapshots"]
    assert [s["id"] for s in left] == [m["id"] for m in reversed(made[1:])]
    assert bank.get(made[0]["href"]).status_code == 404
    assert bank.get(made[0]["thumbnail"]).status_code == 404
    assert len(files - set(folder.glob("*/*"))) == 2, "its file and its thumbnail are gone"


def test_the_same_picture_of_two_moments_outlives_the_first(bank: Any, camera: str) -> None:
    same = bank.picture(colour="#123456", size=(80, 60))
    start = datetime(2026, 2, 1, tzinfo=UTC)
    for k in (0, 3):
        assert send(bank, camera, start + timedelta(hours=k), same).status_code == 201
    for k in (1, 2):
        send(bank, camera, start + timedelta(hours=k))
    newest = bank.get(f"{B}/{camera}/snapshots").json()["snapshots"]
    assert len(newest) == 3
    assert bank.get(newest[0]["href"]).content == same


def test_snapshots_survive_a_republication(bank: Any) -> None:
    made = send(bank, "C1", datetime(2026, 5, 4, tzinfo=UTC)).json()
    bank.republish("cameras", "2")
    assert made["id"] in [s["id"] for s in bank.get(f"{B}/C1/snapshots").json()["snapshots"]]
    assert bank.get(made["href"]).status_code == 200


def test_a_crash_between_file_and_row_shows_nothing(bank: Any, camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial.store.observation_store import ObservationStore
    from spatial.store.picture_files import sweep

    folder = bank.datastore.settings.var_dir / "observation" / "snapshots"
    before = set(folder.glob("*/*"))

    def dies(*_: Any, **__: Any) -> None:
        raise RuntimeError("power is out")

    at = datetime(2026, 5, 5, tzinfo=UTC)
    with monkeypatch.context() as patched:
        patched.setattr(ObservationStore, "add_snapshot", dies)
        with pytest.raises(RuntimeError, match="power"):
            keep(bank, camera, at)
    assert bank.get(f"{B}/{camera}/snapshots").json()["numberMatched"] == 0
    [orphan] = set(folder.glob("*/*")) - before
    store = ObservationStore(bank.datastore.state)
    assert sweep(folder, store.hashes) == [], "a young file may be about to get its row"
    assert sweep(folder, store.hashes, older_than_s=-1) == [orphan.name]
    assert set(folder.glob("*/*")) == before
    assert send(bank, camera, at).status_code == 201


def test_a_crash_while_the_file_is_written_leaves_no_part(
    bank: Any, camera: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    folder = bank.datastore.settings.var_dir / "observation" / "snapshots"
    before = set(folder.glob("*/*"))

    def dies(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", dies)
        with pytest.raises(OSError, match="No space"):
            keep(bank, camera, datetime(2026, 5, 6, tzinfo=UTC))
    assert set(folder.glob("*/*")) == before
    assert bank.get(f"{B}/{camera}/snapshots").json()["numberMatched"] == 0


def test_a_moment_has_one_snapshot(bank: Any, camera: str) -> None:
    at = datetime(2026, 5, 7, tzinfo=UTC)
    assert send(bank, camera, at).status_code == 201
    again = send(bank, camera, "2026-05-07T08:00:00+08:00")
    assert again.status_code == 409
    assert again.json()["duplicates"][0]["camera"] == camera


JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 200
GOOD_TIME = "2026-05-08T08:00:00+08:00"


@pytest.mark.parametrize(
    ("time", "content", "kind", "status", "words"),
    [
        (None, None, "image/jpeg", 400, "time is missing"),
        ("2026-05-08T08:00:00", None, "image/jpeg", 400, "has no zone"),
        ("yesterday", None, "image/jpeg", 400, "no RFC 3339"),
        ("2126-05-08T08:00:00Z", None, "image/jpeg", 400, "after now"),
        (GOOD_TIME, b"no picture", "image/jpeg", 422, "no whole picture"),
        (GOOD_TIME, JPEG, "image/jpeg", 422, "no whole picture"),
        (GOOD_TIME, b"", "image/jpeg", 422, "no whole picture"),
        (GOOD_TIME, b"GIF89a" + b"\0" * 60, "image/gif", 415, "image/jpeg, image/png"),
        (GOOD_TIME, b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/svg+xml", 415, "image/jpeg, image/png"),
        (GOOD_TIME, b"x" * 5_000_001, "image/jpeg", 413, "the limit is 5000000"),
        (GOOD_TIME, b"x" * 20_000_000, "image/jpeg", 413, "exceeds"),
    ],
)
def test_wrong_snapshots(
    bank: Any, time: str | None, content: bytes | None, kind: str, status: int, words: str
) -> None:
    answer = send(bank, "C2", time, content, kind)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail_en"]
    assert bank.get(f"{B}/C2/snapshots").json()["numberMatched"] == 0


def test_a_picture_of_another_type_than_it_claims(bank: Any) -> None:
    assert send(bank, "C2", GOOD_TIME, bank.picture("PNG"), "image/jpeg").status_code == 422
    half = bank.picture(size=(300, 300))
    assert send(bank, "C2", GOOD_TIME, half[: len(half) // 2]).status_code == 422
    assert send(bank, "nobody", GOOD_TIME).status_code == 404
    assert bank.get("/api/v1/snapshots/999999").status_code == 404
    assert bank.get("/api/v1/snapshots/..%2f..%2fetc").status_code == 404


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        ({"lon": 30.0, "lat": 114.05}, 422, "geometry"),
        ({"lon": 10.0}, 422, "geometry"),
        ({"azimuth_deg": 360.0}, 422, "azimuth_deg"),
        ({"azimuth_deg": -1.0}, 422, "azimuth_deg"),
        ({"fov_deg": 0.0}, 422, "fov_deg"),
        ({"height_m": -2.0}, 422, "height_m"),
        ({"status": "broken"}, 422, "status"),
        ({"stream": "http://video.example.cn"}, 422, "scheme http"),
        ({"stream": "https://u:p@video.example.cn"}, 422, "password"),
        ({"owner": "x"}, 422, "owner"),
        ({"camera": "a b"}, 422, "camera"),
        ({"camera": "C1"}, 409, "exists"),
        ({"name": ""}, 422, "name"),
    ],
)
def test_wrong_cameras(bank: Any, changes: dict[str, Any], status: int, words: str) -> None:
    document = feature("NEW", **changes) if "camera" not in changes else feature(changes["camera"])
    answer = bank.post(B, json=document)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail_en"]
    assert "NEW" not in [f["properties"]["camera"] for f in bank.get(B).json()["features"]]


def test_a_camera_is_changed_but_not_its_code(bank: Any, camera: str) -> None:
    moved = {"geometry": {"type": "Point", "coordinates": [30.2, 114.2]}, "crs": "EPSG:4490"}
    changed = bank.patch(f"{B}/{camera}", json=moved | {"properties": {"azimuth_deg": 10.5, "status": "offline"}})
    assert changed.status_code == 200, changed.text
    assert changed.json()["geometry"]["coordinates"] == [114.2, 30.2]
    assert changed.json()["properties"]["azimuth_deg"] == 10.5
    assert changed.json()["properties"]["name"] == f"点{camera}"
    assert bank.patch(f"{B}/{camera}", json={"properties": {"camera": "other"}}).status_code == 422
    assert bank.patch(f"{B}/{camera}", json={"properties": {"stream": "ftp://x.example.cn"}}).status_code == 422
    assert bank.patch(f"{B}/{camera}", json={"title": "x"}).status_code == 400
    assert bank.patch(f"{B}/nobody", json={"properties": {}}).status_code == 404


def test_features_part_4_does_not_change_cameras(bank: Any) -> None:
    assert bank.post("/ogc/collections/cameras/items", json=feature("NEW")).status_code == 405


@pytest.mark.parametrize(("setting", "key", "status"), [("off", None, 405), ("key", None, 401), ("key", "x" * 16, 201)])
def test_who_may_write(bank_settings: Any, bank: Any, setting: str, key: str | None, status: int) -> None:
    from pydantic import SecretStr
    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    changes = {"edit": setting, "edit_key": SecretStr("x" * 16) if setting == "key" else None}
    headers = {"content-type": "image/jpeg"} | ({"authorization": f"Bearer {key}"} if key else {})
    at = quote(datetime(2026, 5, 9, tzinfo=UTC).isoformat())
    with TestClient(create_app(bank_settings.model_copy(update=changes)), raise_server_exceptions=False) as client:
        answer = client.post(f"{B}/C1/snapshots?time={at}", content=bank.picture(), headers=headers)
        assert answer.status_code == status, answer.text
        elsewhere = headers | {"origin": "https://evil.example"}
        found = client.post(f"{B}/C1/snapshots?time={at}", content=bank.picture(), headers=elsewhere)
        assert found.status_code == (405 if setting == "off" else 403)
        assert client.get(f"{B}/C1").status_code == 200


def test_the_description_is_valid_and_names_every_route(bank: Any) -> None:
    from openapi_spec_validator import validate

    document = bank.get("/api/v1/observation/api").json()
    validate(document)
    described = {(f"/api/v1{path}", verb.upper()) for path, item in document["paths"].items() for verb in item}
    served = {
        (route.path, method)
        for route in bank.app.routes
        if getattr(route, "path", "").startswith(
            ("/api/v1/observation", "/api/v1/cameras", "/api/v1/snapshots", "/api/v1/sensors")
        )
        for method in route.methods - {"HEAD"}
    }
    assert described == served - {("/api/v1/observation/api", "GET")}
