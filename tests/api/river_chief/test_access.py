"""Who may write, what a crash or a missing layer does, and the description of the interface."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

B = "/api/v1/river-chief"
ROOT = Path(__file__).resolve().parents[3]
STATES = ["issued", "checked", "judged", "rectifying", "reviewed", "closed"]


def test_writing_follows_the_setting_of_editing(desk: Any, desk_settings: Any, hand_made: Any) -> None:
    from pydantic import SecretStr
    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    body = {"actor": "甲", "geometry": desk.free()}
    off = create_app(desk_settings.model_copy(update={"edit": "off"}))
    with TestClient(off, base_url="http://onemap.test", raise_server_exceptions=False) as web:
        assert web.get(f"{B}/cases").status_code == 200
        answer = web.post(f"{B}/cases", json=body)
        assert desk.refused(answer, 405)
        assert answer.headers["allow"] == "GET, HEAD"
        desk.refused(web.post(f"{B}/patrols", json=desk.patrol()), 405)
    key = desk_settings.model_copy(update={"edit": "key", "edit_key": SecretStr("0123456789abcdef")})
    with TestClient(create_app(key), base_url="http://onemap.test", raise_server_exceptions=False) as web:
        desk.refused(web.post(f"{B}/cases", json=body), 401)
        basic = "Basic " + base64.b64encode("合成-键盘:0123456789abcdef".encode()).decode()
        made = web.post(f"{B}/cases", json={"geometry": desk.free()}, headers={"Authorization": basic})
        assert made.status_code == 201, made.text
        event = made.json()["events"][0]
        assert (event["actor"], event["principal"]) == ("合成-键盘", "合成-键盘")
        strange = {"Authorization": basic, "Origin": "http://elsewhere.example"}
        desk.refused(web.post(f"{B}/cases", json=body, headers=strange), 403)


def test_a_crash_between_photo_and_row_leaves_nothing(
    web: Any, desk: Any, desk_app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spatial.river_chief import desk as desk_module
    from spatial.store.case_store import CaseStore
    from spatial.store.editing import Editor
    from spatial.store.picture_files import sweep

    case = desk.issue(web).json()["id"]
    before = web.get(f"{B}/cases/{case}").json()
    datastore = desk_app.state.datastore
    own = desk_module.Desk(datastore)
    sweep(own.folder, own.store.hashes, older_than_s=-1)

    def files() -> set[str]:
        return {path.name for path in own.folder.rglob("*") if path.is_file()}

    held = files()

    def die(*_: Any, **__: Any) -> None:
        raise RuntimeError("the disk went away")

    def upload() -> None:
        own.add_case_photo(case, desk.jpeg(), "image/jpeg", "field", "x.jpg", "甲", Editor(None, None))

    # After the file and before the row; inside the transaction, after the row of the photo; while the file is written.
    for target, name in (
        (CaseStore, "change"),
        (desk_module, "CaseEvent"),
        ("spatial.store.picture_files.os", "fsync"),
    ):
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
    assert sweep(own.folder, own.store.hashes) == []  # young files may be about to get their row
    assert set(sweep(own.folder, own.store.hashes, older_than_s=-1)) == orphans
    assert files() == held
    upload()
    assert len(web.get(f"{B}/cases/{case}").json()["photos"]) == 1


def test_a_layer_that_could_not_be_shown_is_shown_by_the_next_change(
    web: Any, desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spatial.errors import StoreUnavailable
    from spatial.river_chief import case_layer

    desk.issue(web)

    def away(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("不在", "away")

    with monkeypatch.context() as patch:
        patch.setattr(case_layer, "edit_feature", away)
        answer = desk.issue(web, title="迟到的图斑")
    case = answer.json()["id"]
    assert answer.headers["onemap-layer"] == "behind"
    item = f"/ogc/collections/river-cases/items/{case}?f=json"
    assert web.get(item).status_code == 404
    desk.issue(web)
    assert web.get(item).json()["properties"]["title"] == "迟到的图斑"


def test_what_is_not_published_makes_its_comparison_unknown_never_a_pass(
    desk: Any, desk_settings: Any, tmp_path: Path, hand_made: Any
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
        found = desk.issue(web).json()["properties"]
        assert set(found["flags"]) == {"range_unknown", "permits_unknown", "reach_unknown"}
        assert found["checks"]["range"]["status"] == "unknown"
        assert "无法判定" in found["checks"]["range"]["reason"]["zh"]
        desk.refused(web.get(f"{B}/waters"), 503)


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
    root = web.get(B).json()
    assert [state["id"] for state in root["states"]] == STATES
    assert root["editing"] == "open"
