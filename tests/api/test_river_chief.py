"""The river chief's desk over HTTP, on DuckDB with SQLite and on PostGIS with PostgreSQL."""

from __future__ import annotations

import base64
import io
import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
B = "/api/v1/river-chief"


def _text(zh: str, en: str) -> dict[str, str]:
    return {"zh": zh, "en": en}


def _field(name: str, kind: str = "string") -> dict[str, Any]:
    return {"name": name, "type": kind, "title": _text(name, name)}


def _definitions(hand_made: Any) -> dict[str, dict[str, Any]]:
    made = {"seed": 1, "recipe": _text("手工", "by hand")}
    reach = [*map(_field, ("code", "name", "water", "kind", "unit", "chief")), *(_field(n, "number") for n in ("from_m", "to_m")),
             *(_field(n, "integer") for n in ("check_days", "rectify_days"))]  # fmt: skip
    permit = [
        *map(_field, ("number", "holder", "purpose", "reach")),
        _field("valid_from", "date"),
        _field("valid_to", "date"),
    ]
    return {
        "river-reaches": hand_made.layer_definition("river-reaches", fields=reach),
        "management-range": hand_made.layer_definition(
            "management-range", fields=[*map(_field, ("name", "water", "reach"))]
        ),
        "works-permits": hand_made.layer_definition("works-permits", fields=permit),
        "river-candidates": hand_made.layer_definition(
            "river-candidates", fields=[_field("name"), _field("kind"), _field("after_date", "date")], synthetic=made
        ),
        "water-watch-0f3a9c1e-events": hand_made.layer_definition(
            "water-watch-0f3a9c1e-events",
            fields=[
                _field("name"),
                _field("kind")
                | {"domain": {"new": _text("新增", "new"), "reclaimed": _text("围垦候选", "reclamation candidate")}},
                _field("time", "datetime"),
                _field("evidence_zh"),
            ],
        ),
    }


def _frames() -> dict[str, Any]:
    import geopandas
    import pandas as pd
    import shapely

    def frame(columns: dict[str, Any], shapes: list[Any]) -> Any:
        return geopandas.GeoDataFrame(columns, geometry=shapes, index=pd.RangeIndex(1, len(shapes) + 1), crs=4490)

    day = pd.Timestamp
    return {
        # A river along 30° N from 114° to 115° E in two reaches, its range 0.1° to both sides.
        "river-reaches": frame(
            {"code": ["A1", "A2"], "name": ["甲段", "乙段"], "water": ["甲河", "甲河"], "kind": ["river"] * 2,
             "unit": ["甲县", "乙县"], "chief": ["合成-甲", "合成-乙"], "from_m": [1000.0, 50_000.0],
             "to_m": [50_000.0, 97_000.0], "check_days": pd.array([3, None], dtype="Int64"),
             "rectify_days": pd.array([None, 45], dtype="Int64")},
            [shapely.LineString([(114, 30), (114.5, 30)]), shapely.LineString([(114.5, 30), (115, 30)])],
        ),
        "management-range": frame(
            {"name": ["范围"], "water": ["甲河"], "reach": [None]}, [shapely.box(114, 29.9, 115, 30.1)]
        ),
        "works-permits": frame(
            {"number": ["许1", "许2"], "holder": ["x", "y"], "purpose": ["码头", "桥梁"], "reach": ["A1", "A1"],
             "valid_from": [day("2025-01-01").date(), day("2020-01-01").date()],
             "valid_to": [day("2030-12-31").date(), day("2021-12-31").date()]},
            [shapely.box(114.10, 30.00, 114.12, 30.01), shapely.box(114.20, 30.00, 114.22, 30.01)],
        ),
        "river-candidates": frame(
            {"name": ["候选一", "候选二"], "kind": ["dumping", "??"],
             "after_date": [day("2026-08-01").date(), day("2026-08-02").date()]},
            [shapely.box(114.7, 30.0, 114.71, 30.01), shapely.box(114.8, 30.0, 114.81, 30.01)],
        ),
        "water-watch-0f3a9c1e-events": frame(
            {"name": ["洪湖", "洪湖"], "kind": ["new", "reclaimed"],
             "time": pd.to_datetime(["2026-09-01T02:00:00Z", "2026-08-01T20:00:00Z"]), "evidence_zh": ["", "两次观测"]},
            [shapely.box(114.62, 30.0, 114.63, 30.01), shapely.box(114.64, 30.0, 114.65, 30.01)],
        ),
    }  # fmt: skip


def _state_url(dsn: str) -> Any:
    from psycopg.conninfo import conninfo_to_dict
    from pydantic import SecretStr
    from sqlalchemy import URL

    known = conninfo_to_dict(dsn)
    query = {name: str(known[name]) for name in ("host", "port") if name in known}
    url = URL.create(
        "postgresql+psycopg", known.get("user"), known.get("password"), database=known.get("dbname"), query=query
    )
    return SecretStr(url.render_as_string(hide_password=False))


@pytest.fixture(scope="module")
def desk_settings(
    store_settings: Any, hand_made: Any, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Settings of one store and its kind of state database, where everybody may edit."""
    import shutil
    import uuid

    folder = hand_made.write_layers(tmp_path_factory.mktemp("layers"), _definitions(hand_made))
    (folder / "rules").mkdir()
    for name in ("intake", "river_chief"):
        shutil.copy(ROOT / "layers" / "rules" / f"{name}.yml", folder / "rules")
    own = {"layers_dir": folder, "var_dir": tmp_path_factory.mktemp("var"), "edit": "open"}
    if store_settings.store == "postgis":
        import psycopg

        name = f"state_{uuid.uuid4().hex[:12]}"
        dsn = request.getfixturevalue("postgis_dsn")
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        own |= {
            "postgis_schema": f"t_{uuid.uuid4().hex[:12]}",
            "state_url": _state_url(psycopg.conninfo.make_conninfo(dsn, dbname=name)),
        }
    return store_settings.model_copy(update=own)


@pytest.fixture(scope="module")
def desk_app(desk_settings: Any, hand_made: Any) -> Any:
    from spatial.asgi import create_app
    from spatial.catalog import Layer

    app = create_app(desk_settings)
    definitions = _definitions(hand_made)
    for layer_id, frame in _frames().items():
        app.state.datastore.publish_vector(Layer.model_validate(definitions[layer_id]), frame)
    return app


@pytest.fixture(autouse=True)
def _copies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of the cases as a layer is made only where a test looks at it."""
    if "layer" not in request.node.name:
        from spatial.river_chief.desk import Desk

        monkeypatch.setattr(Desk, "show", lambda self: True)


@pytest.fixture(scope="module")
def web(desk_app: Any) -> Any:
    from starlette.testclient import TestClient

    with TestClient(desk_app, base_url="http://onemap.test", raise_server_exceptions=False) as found:
        yield found


_places = itertools.count()


def _square(x: float, y: float, size: float = 0.001) -> dict[str, Any]:
    ring = [[x, y], [x + size, y], [x + size, y + size], [x, y + size], [x, y]]
    return {"type": "Polygon", "coordinates": [ring]}


def _free() -> dict[str, Any]:
    """A square that no other test uses, inside the range, off every permit."""
    n = next(_places)
    return _square(114.3 + (n % 80) * 0.002, 30.03 + (n // 80) * 0.002)


def _issue(web: Any, **more: Any) -> Any:
    body = {"actor": "合成-下发人", "geometry": _free()} | more
    answer = web.post(f"{B}/cases", json=body)
    assert answer.status_code == 201, answer.text
    return answer


def _jpeg(lon: float | None = None, lat: float | None = None, size: int = 12) -> bytes:
    from PIL import Image
    from PIL.TiffImagePlugin import IFDRational

    picture = Image.effect_noise((size, size), 80).convert("RGB")
    exif = Image.Exif()
    if lon is not None and lat is not None:

        def parts(value: float) -> tuple[IFDRational, ...]:
            return (
                IFDRational(int(value)),
                IFDRational(0),
                IFDRational(round((value - int(value)) * 3600 * 1000), 1000),
            )

        exif[0x8825] = {1: "N", 2: parts(lat), 3: "E", 4: parts(lon)}
        exif[0x0132] = "2026:08:01 09:30:00"
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif)
    return out.getvalue()


def _photo(web: Any, case: int, role: str, **more: Any) -> Any:
    return web.post(
        f"{B}/cases/{case}/photos", params={"role": role, "actor": "合成-核查员", "name": "现场.jpg"},
        content=more.get("content", _jpeg()), headers={"Content-Type": more.get("kind", "image/jpeg")},
    )  # fmt: skip


def _step(web: Any, case: int, step: str, tag: str | None = None, **more: Any) -> Any:
    tag = tag or web.get(f"{B}/cases/{case}").headers["etag"]
    body = {"step": step, "actor": "合成-办理人", "note": "情况属实"} | more
    return web.post(f"{B}/cases/{case}/steps", json=body, headers={"If-Match": tag})


def _refused(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status_code == status, (answer.status_code, answer.text[:500])
    assert answer.headers["content-type"].startswith("application/problem+json")
    document: dict[str, Any] = answer.json()
    assert document["detail_zh"]
    assert document["detail_en"]
    return document


def _to(web: Any, case: int, state: str) -> None:
    """Take a case straight on to a state."""
    way = {
        "checked": lambda: (_photo(web, case, "field"), _step(web, case, "check")),
        "judged": lambda: (_step(web, case, "judge", problem=True, kind="occupation"),),
        "rectifying": lambda: (_step(web, case, "rectify"),),
        "reviewed": lambda: (_photo(web, case, "rectified"), _step(web, case, "review", passed=True)),
        "closed": lambda: (_step(web, case, "close"),),
    }
    for name, go in way.items():
        for answer in go():
            assert answer.status_code in (200, 201), answer.text
        if name == state:
            return


# -- issuing and matching ----------------------------------------------------------------------------------------------


def test_a_case_knows_its_place_and_what_it_was_compared_with(web: Any) -> None:
    from pyproj import Geod

    answer = _issue(web, geometry=_square(114.4, 30.02, 0.002), title="手工图斑")
    case = answer.json()
    found = case["properties"]
    assert answer.headers["location"] == f"{B}/cases/{case['id']}"
    # Oracles: the area of the square and the way along the reach, on the ellipsoid of CGCS2000.
    geod = Geod(a=6378137.0, rf=298.257222101)
    lon, lat = zip(*_square(114.4, 30.02, 0.002)["coordinates"][0], strict=True)
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
def test_permits_and_range(web: Any, place: Any, on: str, permit: str, extent: str, flags: set[str]) -> None:
    found = _issue(web, geometry=_square(*place), after={"date": on}).json()["properties"]
    assert found["checks"]["permits"]["status"] == permit
    assert found["checks"]["range"]["status"] == extent
    assert set(found["flags"]) - {"duplicate"} == flags
    if permit == "partly":
        assert found["checks"]["permits"]["share"] == pytest.approx(0.5, abs=1e-3)
        area = found["area_m2"]
        assert found["checks"]["permits"]["list"][0]["overlap_m2"] == pytest.approx(area / 2, rel=1e-3)
    if permit == "expired":
        assert found["checks"]["permits"]["list"][0]["valid"] is False


def test_a_case_from_an_alert_feature_takes_what_it_says_and_is_made_once(web: Any) -> None:
    waiting = web.get(f"{B}/candidates", params={"layer": "river-candidates"}).json()
    assert waiting["numberMatched"] == 2
    source = {"layer": "river-candidates", "feature": 1}
    made = web.post(f"{B}/cases", json={"actor": "甲", "source": source}).json()["properties"]
    assert (made["title"], made["kind"], made["after"]["date"]) == ("候选一", "dumping", "2026-08-01")
    assert made["source"] == {"layer": "river-candidates", "version": "1", "feature": "1"}
    assert made["synthetic"] is True
    assert "synthetic" in made["flags"]
    assert _refused(web.post(f"{B}/cases", json={"actor": "甲", "source": source}), 409)["case"] > 0
    second = web.post(f"{B}/cases", json={"actor": "甲", "source": source | {"feature": 2}}).json()["properties"]
    assert second["kind"] is None  # «??» is no kind
    assert web.get(f"{B}/candidates", params={"layer": "river-candidates"}).json()["numberMatched"] == 0
    _refused(web.post(f"{B}/cases", json={"actor": "甲", "source": source | {"feature": 99}}), 404)
    _refused(web.post(f"{B}/cases", json={"actor": "甲", "source": {"layer": "works-permits", "feature": 1}}), 400)


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


def test_duplicates_and_rebounds(web: Any) -> None:
    first = _issue(web, geometry=_square(114.6, 30.05)).json()
    # Half of the square, and a sliver of it: 50 % and 10 % of the smaller area.
    half = _issue(web, geometry=_square(114.6005, 30.05)).json()["properties"]
    assert [row["case"] for row in half["checks"]["duplicates"]] == [first["id"]]
    assert half["checks"]["duplicates"][0]["share"] == pytest.approx(0.5, abs=1e-3)
    assert "duplicate" in half["flags"]
    sliver = _issue(web, geometry=_square(114.5991, 30.05)).json()["properties"]
    assert sliver["checks"]["duplicates"] == []
    assert sliver["checks"]["rebounds"] == []
    _to(web, first["id"], "closed")
    again = _issue(web, geometry=_square(114.6002, 30.05)).json()["properties"]
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
def test_wrong_geometry_is_refused(web: Any, name: str) -> None:
    geometry, crs = BAD_PLACES[name]
    before = web.get(f"{B}/cases", params={"limit": 1}).json()["numberMatched"]
    found = _refused(
        web.post(f"{B}/cases", json={"actor": "甲", "geometry": geometry} | ({"crs": crs} if crs else {})), 422
    )
    if "swapped" in name or "order" in name:
        assert "轴序" in found["detail_zh"]
    assert web.get(f"{B}/cases", params={"limit": 1}).json()["numberMatched"] == before


def test_a_declared_crs_is_read_in_its_axis_order(web: Any) -> None:
    from spatial.crs import transformer

    lat_first = {"type": "Polygon", "coordinates": [[p[::-1] for p in _square(114.45, 29.95)["coordinates"][0]]]}
    case = _issue(web, geometry=lat_first, crs="EPSG:4490").json()
    assert case["bbox"] == pytest.approx([114.45, 29.95, 114.451, 29.951])
    move = transformer(4490, 4547).transform
    north_first = [list(move(*p)[::-1]) for p in _square(114.46, 29.95)["coordinates"][0]]
    case = _issue(web, geometry={"type": "Polygon", "coordinates": [north_first]}, crs="EPSG:4547").json()
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
def test_a_wrong_case_is_refused(web: Any, name: str) -> None:
    body, status = BAD_BODIES[name]
    _refused(web.post(f"{B}/cases", json=body), status)


def test_bodies_that_are_no_json(web: Any) -> None:
    _refused(web.post(f"{B}/cases", content=b"{", headers={"Content-Type": "application/json"}), 400)
    _refused(web.post(f"{B}/cases", content=b"a=1", headers={"Content-Type": "application/x-www-form-urlencoded"}), 415)


# -- the workflow ------------------------------------------------------------------------------------------------------


def test_from_issue_to_closure_with_a_review_that_fails(web: Any) -> None:
    case = _issue(web).json()["id"]
    missing = _refused(_step(web, case, "check"), 409)
    assert (missing["allowed"], missing["role"]) == (["photo"], "field")
    assert _photo(web, case, "field").status_code == 201
    assert _step(web, case, "check").json()["properties"]["state"] == "checked"
    judged = _step(web, case, "judge", problem=True, kind="building", severity="serious").json()
    assert judged["properties"]["severity"] == "serious"
    assert judged["events"][-1]["details"]["suggested_severity"] == "major"  # the square has 10,000 m²
    started = _step(web, case, "rectify", unit="乙县水利局").json()
    # Reach A1 has no days of its own for this: those of the severity.
    due = datetime.fromisoformat(started["properties"]["due"]) + timedelta(hours=8)
    assert (due.date() - (datetime.now(UTC) + timedelta(hours=8)).date()).days == 60
    failed = _step(web, case, "review", passed=False, note="未拆除").json()
    assert (failed["properties"]["state"], failed["properties"]["round"]) == ("rectifying", 2)
    _photo(web, case, "rectified")
    assert _step(web, case, "review", passed=True).json()["properties"]["state"] == "reviewed"
    assert _step(web, case, "return", note="上级抽查不合格").json()["properties"]["round"] == 3
    # The photo of the second round does not serve the third.
    assert _refused(_step(web, case, "review", passed=True), 409)["allowed"] == ["photo"]
    _photo(web, case, "rectified")
    _step(web, case, "review", passed=True)
    closed = _step(web, case, "close", note="").json()
    assert (closed["properties"]["state"], closed["properties"]["outcome"]) == ("closed", "rectified")
    assert closed["properties"]["due"] is None
    assert closed["steps"] == []
    order = [
        "issue",
        "photo",
        "check",
        "judge",
        "rectify",
        "review",
        "photo",
        "review",
        "return",
        "photo",
        "review",
        "close",
    ]
    assert [event["step"] for event in closed["events"]] == order
    assert [event["version"] for event in closed["events"]] == list(range(1, 13))
    assert all(event["actor"].startswith("合成-") and event["at"].endswith("Z") for event in closed["events"])
    assert _refused(_step(web, case, "check"), 409)["allowed"] == []
    _refused(_photo(web, case, "other"), 409)


def test_not_a_problem_closes_with_its_reason(web: Any) -> None:
    case = _issue(web).json()["id"]
    _to(web, case, "checked")
    _refused(_step(web, case, "judge", problem=False, note=""), 400)
    closed = _step(web, case, "judge", problem=False, note="已有许可的护岸").json()
    assert (closed["properties"]["state"], closed["properties"]["outcome"]) == ("closed", "not_a_problem")
    assert closed["events"][-1]["note"] == "已有许可的护岸"


STATES = {
    "issued": ["check"], "checked": ["judge"], "judged": ["rectify"], "rectifying": ["review"],
    "reviewed": ["close", "return"], "closed": [],
}  # fmt: skip
EVERY = ("check", "judge", "rectify", "review", "close", "return")


@pytest.mark.parametrize("state", STATES)
def test_every_other_step_is_refused_and_the_allowed_ones_are_named(web: Any, state: str) -> None:
    case = _issue(web).json()["id"]
    if state != "issued":
        _to(web, case, state)
    before = web.get(f"{B}/cases/{case}").json()
    for step in EVERY:
        if step not in STATES[state]:
            words = {"judge": {"problem": True}, "review": {"passed": True}}.get(step, {})
            found = _refused(_step(web, case, step, **words), 409)
            assert found["allowed"] == STATES[state]
            assert found["state"] == state
    after = web.get(f"{B}/cases/{case}").json()
    assert after["events"] == before["events"]
    assert after["properties"]["version"] == before["properties"]["version"]


@pytest.mark.parametrize(
    "body",
    [
        {"step": "judge", "problem": None}, {"step": "judge", "problem": "yes"}, {"step": "judge", "problem": True, "kind": "x"},
        {"step": "judge", "problem": True}, {"step": "judge", "problem": True, "kind": "dumping", "severity": "x"},
        {"step": "judge", "problem": True, "kind": "dumping", "passed": True},
        {"step": "judge", "problem": False, "kind": "dumping"},
        {"step": "judge", "problem": True, "kind": "dumping", "note": " "}, {"step": "fly"}, {"step": 3}, {},
        {"step": "judge", "problem": True, "kind": "dumping", "due": "2020-01-01T00:00:00Z"},
        {"step": "judge", "problem": True, "kind": "dumping", "version": 9},
    ],
)  # fmt: skip
def test_a_step_that_lacks_its_words_is_refused(web: Any, checked_case: int, body: dict[str, Any]) -> None:
    answer = web.get(f"{B}/cases/{checked_case}")
    whole = {"actor": "甲", "note": "理由"} | body
    found = web.post(f"{B}/cases/{checked_case}/steps", json=whole, headers={"If-Match": answer.headers["etag"]})
    _refused(found, 400)
    assert web.get(f"{B}/cases/{checked_case}").headers["etag"] == answer.headers["etag"]


@pytest.fixture(scope="module")
def checked_case(web: Any) -> int:
    """A checked case without a kind, that nobody takes further."""
    case = int(_issue(web).json()["id"])
    _to(web, case, "checked")
    return case


def test_optimistic_locking(web: Any, desk_settings: Any) -> None:
    case = _issue(web).json()["id"]
    _photo(web, case, "field")
    tag = web.get(f"{B}/cases/{case}", headers={"Accept-Encoding": "gzip"}).headers["etag"]
    assert tag.startswith('"')  # a weak tag would never match
    body = {"step": "check", "actor": "甲", "note": "n"}
    _refused(web.post(f"{B}/cases/{case}/steps", json=body), 428)
    _refused(_step(web, case, "check", tag="nonsense"), 400)
    _refused(_step(web, case, "check", tag=f"W/{tag}"), 412)
    assert web.get(f"{B}/cases/{case}", headers={"If-None-Match": tag}).status_code == 304
    _photo(web, case, "field")  # somebody else adds a photo
    _refused(_step(web, case, "check", tag=tag), 412)
    assert _step(web, case, "check").status_code == 200
    _refused(web.post(f"{B}/cases/999999/steps", json=body, headers={"If-Match": '"1"'}), 404)


def test_of_many_who_read_the_same_version_one_gets_through(web: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    case = _issue(web).json()["id"]
    _photo(web, case, "field")
    tag = web.get(f"{B}/cases/{case}").headers["etag"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: _step(web, case, "check", tag=tag, actor=f"合成-{n}").status_code, range(6)))
    assert sorted(answers) == [200, 412, 412, 412, 412, 412]
    events = web.get(f"{B}/cases/{case}").json()["events"]
    assert [event["step"] for event in events] == ["issue", "photo", "check"]


def test_deadlines_and_overdue(web: Any, desk_app: Any) -> None:
    from sqlalchemy import update

    from spatial.store.case_store import Case

    case = _issue(web, unit="逾期县").json()["id"]
    _photo(web, case, "field")
    past = datetime.now(UTC) - timedelta(days=1)
    with desk_app.state.datastore.state.session() as session:
        session.execute(update(Case).where(Case.id == case).values(due=past))
    listed = web.get(f"{B}/cases", params={"overdue": "true"}).json()
    assert [f["id"] for f in listed["features"]] == [case]
    assert "overdue" in listed["features"][0]["properties"]["flags"]
    assert case not in [f["id"] for f in web.get(f"{B}/cases", params={"overdue": "false"}).json()["features"]]
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    done = _step(web, case, "check", due=later).json()
    assert done["events"][-1]["late"] is True
    assert done["properties"]["late_steps"] == 1
    assert datetime.fromisoformat(done["properties"]["due"]) == datetime.fromisoformat(later)
    assert done["properties"]["overdue"] is False


def test_history_photos_and_patrols_cannot_be_changed_in_the_database(web: Any, desk_app: Any) -> None:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError

    from spatial.errors import StoreUnavailable

    case = _issue(web).json()["id"]
    _photo(web, case, "field")
    state = desk_app.state.datastore.state
    for statement in (
        "UPDATE river_event SET note = 'x'", "DELETE FROM river_event", "UPDATE river_photo SET name = 'x'",
        "DELETE FROM river_photo",
    ):  # fmt: skip
        with pytest.raises((DBAPIError, StoreUnavailable)), state.session() as session:
            session.execute(text(statement))
    assert len(web.get(f"{B}/cases/{case}").json()["events"]) == 2


# -- photos ------------------------------------------------------------------------------------------------------------


def test_a_photo_with_its_position(web: Any) -> None:
    case = _issue(web).json()
    west, south, _, _ = case["bbox"]
    near = _photo(web, case["id"], "field", content=_jpeg(west + 0.0005, south + 0.0005)).json()
    assert near["distance_m"] == 0
    assert near["warnings"] == []
    assert near["taken"] == "2026-08-01T09:30:00"
    far = _photo(web, case["id"], "field", content=_jpeg(west, south + 0.1)).json()
    assert far["warnings"] == ["far"]
    assert far["distance_m"] == pytest.approx(10_975, rel=0.01)  # 0.1° less the height of the square
    bare = _photo(web, case["id"], "field").json()
    assert bare["warnings"] == ["no_position"]
    answer = web.get(near["href"])
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert web.get(near["href"], headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    import hashlib

    assert hashlib.sha256(answer.content).hexdigest() == near["sha256"]


def test_what_is_no_photo_is_refused(web: Any, desk_settings: Any) -> None:
    case = _issue(web).json()["id"]
    _refused(_photo(web, case, "field", content=b"<svg/>", kind="image/svg+xml"), 415)
    _refused(_photo(web, case, "field", content=b"<script>", kind="image/jpeg"), 422)
    _refused(_photo(web, case, "field", content=_jpeg()[:-200], kind="image/jpeg"), 422)
    _refused(_photo(web, case, "field", kind="image/png"), 422)  # a JPEG that says it is a PNG
    _refused(_photo(web, case, "field", content=b"", kind="image/jpeg"), 422)
    _refused(_photo(web, case, "nonsense"), 400)
    _refused(_photo(web, 999999, "field"), 404)
    _refused(_photo(web, case, "field", content=b"x" * (desk_settings.max_body_bytes + 1)), 413)
    _refused(web.get(f"{B}/photos/999999"), 404)
    _refused(web.get(f"{B}/photos/../../etc"), 404)
    assert web.get(f"{B}/cases/{case}").json()["photos"] == []


# -- patrols -----------------------------------------------------------------------------------------------------------


def _patrol(**more: Any) -> dict[str, Any]:
    # Along reach A1 from 114.1 to 114.2 in half an hour.
    track = {"type": "LineString", "coordinates": [[114.1 + i * 0.01, 30.0005] for i in range(11)]}
    body = {
        "actor": "合成-巡河员",
        "track": track,
        "started": "2026-08-01T09:00:00+08:00",
        "ended": "2026-08-01T09:30:00+08:00",
    }
    return body | more


def test_a_patrol_is_measured_and_compared(web: Any) -> None:
    from pyproj import Geod

    answer = web.post(f"{B}/patrols", json=_patrol())
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
    assert found["started"] == "2026-08-01T01:00:00Z"
    number = answer.json()["id"]
    photo = web.post(f"{B}/patrols/{number}/photos", params={"actor": "甲"}, content=_jpeg(114.1, 30.0005),
                     headers={"Content-Type": "image/jpeg"})  # fmt: skip
    assert photo.json()["distance_m"] == pytest.approx(0, abs=0.5)
    assert len(web.get(f"{B}/patrols/{number}").json()["photos"]) == 1
    fast = web.post(f"{B}/patrols", json=_patrol(ended="2026-08-01T09:05:00+08:00")).json()["properties"]
    assert fast["warnings"] == ["too_fast"]
    leap = _patrol(track={"type": "LineString", "coordinates": [[114.1, 30], [114.2, 30]]})
    assert web.post(f"{B}/patrols", json=leap).json()["properties"]["warnings"] == ["gap"]
    listed = web.get(f"{B}/patrols", params={"water": "甲河", "from": "2026-08-01", "to": "2026-08-01"}).json()
    assert listed["numberReturned"] == 3
    assert web.get(f"{B}/patrols", params={"from": "2026-08-02"}).json()["numberReturned"] == 0


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
def test_a_wrong_patrol_is_refused(web: Any, more: dict[str, Any], status: int) -> None:
    _refused(web.post(f"{B}/patrols", json=_patrol(**more)), status)


# -- reading: list, register, assessment, ledger, layer ----------------------------------------------------------------


def test_lists_filter_and_page(web: Any) -> None:
    made = [_issue(web, unit="列表县", title=f"第{i}处 100%").json()["id"] for i in range(3)]
    own = {"unit": "列表县"}
    first = web.get(f"{B}/cases", params=own | {"limit": 2}).json()
    assert [f["id"] for f in first["features"]] == made[:0:-1]
    assert first["numberMatched"] == 3
    following = next(link["href"] for link in first["links"] if link["rel"] == "next")
    assert [f["id"] for f in web.get(following).json()["features"]] == made[:1]
    assert web.get(f"{B}/cases", params=own | {"q": "第1处 100%"}).json()["numberMatched"] == 1
    assert web.get(f"{B}/cases", params=own | {"state": "closed"}).json()["numberMatched"] == 0
    box = ",".join(str(v) for v in first["features"][0]["bbox"])
    assert web.get(f"{B}/cases", params=own | {"bbox": box}).json()["numberMatched"] == 1
    assert web.get(f"{B}/cases", params=own | {"water": "甲河", "reach": "A1"}).json()["numberMatched"] == 3
    for bad in (
        {"state": "x"},
        {"overdue": "1"},
        {"limit": "0"},
        {"offset": "-1"},
        {"bbox": "1,2,3"},
        {"bbox": "a,b,c,d"},
        {"x": "1"},
    ):
        _refused(web.get(f"{B}/cases", params=bad), 400)


def test_the_file_of_a_river(web: Any) -> None:
    listed = web.get(f"{B}/waters").json()
    assert [w["name"] for w in listed["waters"]] == ["甲河"]
    assert listed["waters"][0]["reaches"] == 2
    before = web.get(f"{B}/waters/甲河").json()
    _issue(web, geometry=_square(114.9, 30.04))
    found = web.get(f"{B}/waters/甲河").json()
    second = found["reaches"][1]
    assert (second["from"], second["to"], second["chief"], second["unit"]) == ("K50+000", "K97+000", "合成-乙", "乙县")
    assert (second["check_days"], second["rectify_days"]) == (7, 45)
    assert second["cases"] == before["reaches"][1]["cases"] + 1
    assert found["figures"]["cases"] == before["figures"]["cases"] + 1
    assert found["permits"]["count"] == 2
    assert found["permits"]["valid"] == 1
    assert found["range"]["area_km2"] == pytest.approx(2 * 0.1 * 110.8 * 96.5, rel=0.01)
    _refused(web.get(f"{B}/waters/乙河"), 404)


def test_assessment_by_unit(web: Any, desk_app: Any) -> None:
    from spatial.store.case_store import Case

    unit = {"unit": "考核县"}
    done, late, plain, waiting = (_issue(web, **unit).json()["id"] for _ in range(4))
    _to(web, done, "closed")
    _to(web, late, "closed")
    _to(web, plain, "checked")
    _step(web, plain, "judge", problem=False)
    with desk_app.state.datastore.state.session() as session:
        # Two, four and three days for the closed ones; one of them late; the open one overdue.
        for case, days in ((done, 2), (late, 4), (plain, 3)):
            row = session.get(Case, case)
            row.created = row.closed - timedelta(days=days)
            row.late_steps = int(case == late)
        session.get(Case, waiting).due = datetime.now(UTC) - timedelta(days=1)
    web.post(f"{B}/patrols", json=_patrol(**unit))
    row = next(row for row in web.get(f"{B}/assessment").json()["units"] if row["unit"] == "考核县")
    expected = {
        "cases": 4, "open": 1, "overdue": 1, "rectified": 2, "not_a_problem": 1, "closed_in_time": 2, "rebounds": 0,
        "patrols": 1,
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert row["share_closed_in_time"] == pytest.approx(2 / 3, abs=1e-4)
    assert row["mean_days"] == pytest.approx(3.0, abs=0.01)
    none = web.get(f"{B}/assessment", params={"to": "2020-01-01"}).json()
    assert none["total"]["cases"] == 0
    assert none["total"]["share_closed_in_time"] is None
    _refused(web.get(f"{B}/assessment", params={"from": "yesterday"}), 400)


def test_the_ledger_as_excel_and_word(web: Any) -> None:
    from docx import Document
    from openpyxl import load_workbook

    title = '=HYPERLINK("http://example.org";"x")'
    case = _issue(web, unit="台账县", title=title).json()["properties"]
    answer = web.get(f"{B}/ledger.xlsx", params={"unit": "台账县"})
    assert "attachment" in answer.headers["content-disposition"]
    sheet = load_workbook(io.BytesIO(answer.content)).active
    assert sheet["A5"].value == case["number"]
    assert sheet["B5"].value == title
    assert sheet["B5"].data_type == "s"  # a text, no formula
    assert sheet["J5"].value == pytest.approx(case["area_m2"])
    assert sheet["K5"].value == "已下发"
    assert sheet.max_row == 5
    assert sheet["A3"].value is None
    word = Document(io.BytesIO(web.get(f"{B}/ledger.docx", params={"unit": "台账县"}).content))
    cells = [cell.text for cell in word.tables[0].rows[1].cells]
    assert case["number"] in cells
    assert title in cells
    everything = load_workbook(io.BytesIO(web.get(f"{B}/ledger.xlsx").content)).active
    assert everything.max_row - 4 == web.get(f"{B}/cases", params={"limit": 1}).json()["numberMatched"]


def test_cases_are_a_layer_that_features_cannot_edit(web: Any) -> None:
    answer = _issue(web, title="图层可见")
    case = answer.json()["id"]
    assert answer.headers["onemap-layer"] == "current"
    item = f"/ogc/collections/river-cases/items/{case}"
    assert web.get(item, headers={"Accept": "application/geo+json"}).json()["properties"]["state"] == "issued"
    old = web.get("/ogc/collections/river-cases", headers={"Accept": "application/json"}).json()
    _to(web, case, "checked")
    assert web.get(item, headers={"Accept": "application/geo+json"}).json()["properties"]["state"] == "checked"
    found = web.get(
        "/ogc/collections/river-cases/items",
        params={"f": "json", "filter": f"state = 'checked' AND id = {case}"},
    ).json()
    assert found["numberMatched"] == 1
    assert old["id"] == "river-cases"
    _refused(web.delete(item), 405)
    _refused(web.patch(item, json={"state": "closed"}, headers={"Content-Type": "application/merge-patch+json"}), 405)
    assert any(layer["id"] == "river-cases" for layer in web.get("/api/v1/catalogue").json()["layers"])


# -- who may, and what dies in between ---------------------------------------------------------------------------------


def test_writing_follows_the_setting_of_editing(desk_settings: Any, hand_made: Any) -> None:
    from pydantic import SecretStr
    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    body = {"actor": "甲", "geometry": _free()}
    off = create_app(desk_settings.model_copy(update={"edit": "off"}))
    with TestClient(off, base_url="http://onemap.test", raise_server_exceptions=False) as web:
        assert web.get(f"{B}/cases").status_code == 200
        answer = web.post(f"{B}/cases", json=body)
        assert _refused(answer, 405)
        assert answer.headers["allow"] == "GET, HEAD"
        _refused(web.post(f"{B}/patrols", json=_patrol()), 405)
    key = desk_settings.model_copy(update={"edit": "key", "edit_key": SecretStr("0123456789abcdef")})
    with TestClient(create_app(key), base_url="http://onemap.test", raise_server_exceptions=False) as web:
        _refused(web.post(f"{B}/cases", json=body), 401)
        basic = "Basic " + base64.b64encode("合成-键盘:0123456789abcdef".encode()).decode()
        made = web.post(f"{B}/cases", json={"geometry": _free()}, headers={"Authorization": basic})
        assert made.status_code == 201, made.text
        event = made.json()["events"][0]
        assert (event["actor"], event["principal"]) == ("合成-键盘", "合成-键盘")
        strange = {"Authorization": basic, "Origin": "http://elsewhere.example"}
        _refused(web.post(f"{B}/cases", json=body, headers=strange), 403)


def test_a_crash_between_photo_and_row_leaves_nothing(web: Any, desk_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial.river_chief import desk as desk_module
    from spatial.river_chief.photos import sweep
    from spatial.store.case_store import CaseStore
    from spatial.store.editing import Editor

    case = _issue(web).json()["id"]
    before = web.get(f"{B}/cases/{case}").json()
    datastore = desk_app.state.datastore
    desk = desk_module.Desk(datastore)
    sweep(desk.folder, desk.store, older_than_s=-1)

    def files() -> set[str]:
        return {path.name for path in desk.folder.rglob("*") if path.is_file()}

    held = files()

    def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("the disk went away")

    def upload() -> None:
        desk.add_case_photo(case, _jpeg(), "image/jpeg", "field", "x.jpg", "甲", Editor(None, None))

    # After the file and before the row; inside the transaction, after the row of the photo; while the file is written.
    for target, name in ((CaseStore, "change"), (desk_module, "CaseEvent"), ("spatial.river_chief.photos.os", "fsync")):
        with monkeypatch.context() as patch:
            if isinstance(target, str):
                patch.setattr(f"{target}.{name}", die)
            else:
                patch.setattr(target, name, die)
            with pytest.raises(RuntimeError, match="disk"):
                upload()
    after = web.get(f"{B}/cases/{case}").json()
    assert after["photos"] == before["photos"] == []
    assert after["events"] == before["events"]
    assert after["properties"]["version"] == before["properties"]["version"]
    orphans = files() - held
    assert len(orphans) == 2
    assert not any(name.endswith(".part") for name in orphans)
    assert sweep(desk.folder, desk.store) == []  # young files may be about to get their row
    assert set(sweep(desk.folder, desk.store, older_than_s=-1)) == orphans
    assert files() == held
    upload()
    assert len(web.get(f"{B}/cases/{case}").json()["photos"]) == 1


def test_a_layer_that_could_not_be_shown_is_shown_by_the_next_change(web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial.errors import StoreUnavailable
    from spatial.river_chief import case_layer

    _issue(web)

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("不在", "away")

    with monkeypatch.context() as patch:
        patch.setattr(case_layer, "edit_feature", away)
        answer = _issue(web, title="迟到的图斑")
    case = answer.json()["id"]
    assert answer.headers["onemap-layer"] == "behind"
    item = f"/ogc/collections/river-cases/items/{case}?f=json"
    assert web.get(item).status_code == 404
    _issue(web)
    assert web.get(item).json()["properties"]["title"] == "迟到的图斑"


def test_what_is_not_published_makes_its_comparison_unknown_never_a_pass(
    desk_settings: Any, tmp_path: Path, hand_made: Any
) -> None:
    import shutil

    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    folder = hand_made.write_layers(tmp_path / "layers", {})
    (folder / "rules").mkdir()
    for name in ("intake", "river_chief"):
        shutil.copy(ROOT / "layers" / "rules" / f"{name}.yml", folder / "rules")
    settings = desk_settings.model_copy(
        update={"layers_dir": folder, "var_dir": tmp_path / "var", "state_url": None, "store": "duckdb"}
    )
    with TestClient(create_app(settings), base_url="http://onemap.test", raise_server_exceptions=False) as web:
        found = _issue(web).json()["properties"]
        assert set(found["flags"]) == {"range_unknown", "permits_unknown", "reach_unknown"}
        assert found["checks"]["range"]["status"] == "unknown"
        assert "无法判定" in found["checks"]["range"]["reason"]["zh"]
        _refused(web.get(f"{B}/waters"), 503)


def test_the_description_is_valid_openapi_and_names_every_route(web: Any, desk_app: Any) -> None:
    from openapi_spec_validator import validate

    document = web.get(f"{B}/api").json()
    validate(document)
    described = {(path, method.upper()) for path, item in document["paths"].items() for method in item}
    served = {
        (route.path, method)
        for route in desk_app.routes
        if getattr(route, "path", "").startswith(B)
        for method in route.methods - {"HEAD"}
    }
    assert described == served - {(f"{B}/api", "GET")}
    desk = web.get(B).json()
    assert [state["id"] for state in desk["states"]] == list(STATES)
    assert desk["editing"] == "open"
