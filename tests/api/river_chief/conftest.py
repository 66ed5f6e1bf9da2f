"""The river chief's desk over HTTP, on DuckDB with SQLite and on PostGIS with PostgreSQL: one application for all tests of this
folder, and what they do again and again."""

from __future__ import annotations

import io
import itertools
import shutil
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
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


@pytest.fixture(scope="session")
def desk_settings(
    store_settings: Any, hand_made: Any, own_databases: Any, kept: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Settings of one store and its kind of state database, where everybody may edit."""

    def make() -> Any:
        folder = hand_made.write_layers(tmp_path_factory.mktemp("layers"), _definitions(hand_made))
        (folder / "rules").mkdir()
        for name in ("intake", "river_chief"):
            shutil.copy(ROOT / "layers" / "rules" / f"{name}.yml", folder / "rules")
        own = {"layers_dir": folder, "var_dir": tmp_path_factory.mktemp("var"), "edit": "open"}
        return store_settings.model_copy(update=own | own_databases())

    return kept.get("desk settings", store_settings.store, make=make)


@pytest.fixture(scope="session")
def desk_app(desk_settings: Any, hand_made: Any, kept: Any) -> Any:
    def make() -> Any:
        from spatial.asgi import create_app
        from spatial.catalog import Layer

        app = create_app(desk_settings)
        definitions = _definitions(hand_made)
        for layer_id, frame in _frames().items():
            app.state.datastore.publish_vector(Layer.model_validate(definitions[layer_id]), frame)
        return app

    return kept.get("desk app", desk_settings.store, make=make)


@pytest.fixture(autouse=True)
def _copies(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of the cases as a layer is made only where a test looks at it."""
    if "layer" not in request.node.name:
        from spatial.river_chief.desk import Desk

        monkeypatch.setattr(Desk, "show", lambda self: True)


@pytest.fixture(scope="session")
def web(desk_app: Any, desk_settings: Any, open_client: Any, kept: Any) -> Any:
    return kept.enter("desk client", desk_settings.store, make=lambda: open_client(desk_app))


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


@pytest.fixture(scope="session")
def desk() -> Any:
    """What tests of the desk do again and again."""
    from types import SimpleNamespace

    return SimpleNamespace(
        square=_square, free=_free, issue=_issue, jpeg=_jpeg, photo=_photo, step=_step, refused=_refused, to=_to,
        patrol=_patrol,
    )  # fmt: skip
