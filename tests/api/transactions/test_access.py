"""Features Part 4: who may edit: layers, settings, keys, pages of other sites."""

from __future__ import annotations

import base64
from typing import Any

import pytest

P4 = "ogcapi-features-4/1.0"
GEOJSON = {"Content-Type": "application/geo+json"}
MARKS = "/ogc/collections/marks/items"


@pytest.mark.requirement(
    P4, "/req/core/methods", "/req/create-replace-delete/options-op", "/req/create-replace-delete/options-response"
)
def test_options_and_layers_that_are_not_editable(web: Any, edits: Any) -> None:
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
        assert "not editable" in edits.refused(answer, 405)["detail_en"]
        assert set(answer.headers["allow"].split(", ")) == read
    # A method that an address never takes: Allow names those of the layer, not those of one route.
    for method, path, more in (
        ("PUT", MARKS, {"POST"}),
        ("DELETE", MARKS, {"POST"}),
        ("POST", f"{MARKS}/1", {"PUT", "PATCH", "DELETE"}),
        ("PATCH", "/ogc/collections/frozen/items", set()),
        ("POST", "/ogc/collections/frozen/items/1", set()),
    ):
        answer = web.request(method, path)
        assert method in edits.refused(answer, 405)["detail_en"]
        assert set(answer.headers["allow"].split(", ")) == read | more
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


def test_editing_is_off_by_default(server: Any, edits: Any) -> None:
    from spatial.settings import Settings

    assert Settings.model_fields["edit"].default == "off"
    with server(edit="off") as web:
        answer = web.post(MARKS, json=edits.mark(), headers=GEOJSON)
        assert "ONEMAP_EDIT" in edits.refused(answer, 405)["detail_en"]
        assert web.options(MARKS).headers["allow"] == "GET, HEAD, OPTIONS"
        assert edits.refused(web.get("/api/v1/audit"), 403)
        paths = web.get("/ogc/openapi").json()["paths"]
        assert set(paths["/collections/marks/items"]) == {"get"}


@pytest.mark.requirement("ogcapi-common-1/1.0", "/req/oas30/security")
@pytest.mark.requirement("ogcapi-edr-1/1.1", "/req/oas30/security")
@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/oas30/security")
def test_editing_with_a_key(server: Any, edits: Any) -> None:
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
            answer = web.post(MARKS, json=edits.mark(), headers=GEOJSON | header)
            assert edits.refused(answer, 401)["title"] == "NotAuthenticated"
            assert "Basic" in answer.headers["www-authenticate"]
            assert web.get("/api/v1/audit", headers=header).status_code == 401
        assert (
            web.post(MARKS, json=edits.mark(), headers=GEOJSON | {"Authorization": f"Bearer {key}"}).status_code == 201
        )
        assert (
            web.post(MARKS, json=edits.mark(), headers=GEOJSON | {"Authorization": f"Basic {named}"}).status_code == 201
        )
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


def test_pages_of_other_sites_may_not_edit(web: Any, edits: Any) -> None:
    evil = web.post(MARKS, json=edits.mark(), headers=GEOJSON | {"Origin": "https://evil.example"})
    assert edits.refused(evil, 403)["title"] == "Forbidden"
    assert web.post(MARKS, json=edits.mark(), headers=GEOJSON | {"Origin": "http://onemap.test"}).status_code == 201
