"""OWSLib and plain ``curl``-like scripts edit the sample layer: create, replace, delete, as their users write it."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
import uuid
from typing import Any

import pytest
from owslib.ogcapi.features import Features

LAYER = "site-marks"


def _mark(name: str, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [114.3, 30.6]},
        "properties": {"name": name, "purpose": "public", "status": "proposed"} | properties,
    }


def _named(client: Features, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.collection_items(LAYER, filter=f"name='{name}'")["features"]
    return found


@pytest.mark.requirement(
    "ogcapi-features-4/1.0", "/req/create-replace-delete/post-op", "/req/create-replace-delete/put-op"
)
@pytest.mark.parametrize("form", [dict, str])
def test_owslib_creates_replaces_and_deletes(ogc: str, form: type) -> None:
    """Features as mappings or as text; with a text OWSLib leaves the media type to its caller."""
    headers = None if form is dict else {"Content-Type": "application/geo+json"}
    client = Features(ogc, timeout=60, headers=headers)
    name = f"OWSLib {uuid.uuid4().hex[:8]}"

    def body(feature: dict[str, Any]) -> Any:
        return feature if form is dict else json.dumps(feature, ensure_ascii=False)

    assert client.collection_item_create(LAYER, body(_mark(name, area_mu=12.5)))
    place = client.response_headers["Location"]
    (made,) = _named(client, name)
    assert place.endswith(f"/{made['id']}")
    fid = str(made["id"])
    try:
        assert made["properties"]["area_mu"] == 12.5
        assert client.collection_item_update(LAYER, fid, body(_mark(name, area_mu=20)))
        assert client.collection_item(LAYER, fid)["properties"]["area_mu"] == 20.0
        with pytest.raises(RuntimeError, match="purpose"):
            client.collection_item_update(LAYER, fid, body(_mark(name, purpose="moon")))
    finally:
        assert client.collection_item_delete(LAYER, fid)
    assert _named(client, name) == []


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _send(method: str, address: str, document: Any = None, **headers: str) -> tuple[int, dict[str, str], str]:
    data = None if document is None else json.dumps(document).encode()
    request = urllib.request.Request(address, data, headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return answer.status, _lower(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, _lower(error.headers), error.read().decode()


def test_the_lines_of_the_guide(ogc: str) -> None:
    """The sequence of docs/how-to/edit-features.md: create, read the tag, change with it, see it in the page, delete."""
    items = f"{ogc}/collections/{LAYER}/items"
    kind = {"Content-Type": "application/geo+json"}
    status, headers, _ = _send("POST", items, _mark(f"guide {uuid.uuid4().hex[:8]}"), **kind)
    assert status == 201
    place = headers["location"]
    status, headers, _ = _send("GET", place)
    tag = headers["etag"]
    patch = {"Content-Type": "application/merge-patch+json", "If-Match": tag}
    assert _send("PATCH", place, {"status": "surveyed"}, **patch)[0] == 204
    status, _, text = _send("PATCH", place, {"status": "approved"}, **patch)
    assert (status, json.loads(text)["title"]) == (412, "PreconditionFailed")
    status, headers, text = _send("GET", place)
    assert json.loads(text)["properties"]["status"] == "surveyed"
    assert _send("DELETE", place, **{"If-Match": headers["etag"]})[0] == 204
    assert _send("POST", f"{ogc}/collections/counties/items", _mark("x"), **kind)[0] == 405
