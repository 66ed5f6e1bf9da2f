"""The OpenAPI document: valid, complete in itself, and true: every address and parameter that it names answers."""

from __future__ import annotations

import re

import pytest


@pytest.fixture(scope="module")
def document(client):
    answer = client.get("/ogc/openapi")
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
    return answer.json()


def walk(node):
    yield node
    children = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    for child in children:
        yield from walk(child)


def resolve(document, found):
    return document["components"]["parameters"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found


def test_the_alias_is_the_same(client, document):
    assert client.get("/ogc/api").json() == document


def test_every_reference_is_local_and_resolves(document):
    count = 0
    for node in walk(document):
        if isinstance(node, dict) and "$ref" in node:
            reference = node["$ref"]
            assert reference.startswith("#/components/")
            target = document
            for part in reference[2:].split("/"):
                target = target[part]
            count += 1
    assert count > 100


def test_it_is_openapi_30(document):
    """Rules of the specification that a meta-schema checks, and those that break code generators in practice."""
    assert document["openapi"] == "3.0.3"
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in document["tags"]}
    for path, operations in document["paths"].items():
        inside = set(re.findall(r"{(\w+)}", path))
        for operation in operations.values():
            assert set(operation["tags"]) <= tags
            assert operation["summary"]
            parameters = [resolve(document, p) for p in operation["parameters"]]
            keys = [(p["in"], p["name"]) for p in parameters]
            assert len(keys) == len(set(keys)), path
            assert {name for place, name in keys if place == "path"} == inside, path
            assert all(p["required"] for p in parameters if p["in"] == "path")
            assert operation["responses"]
            for parameter in parameters:
                assert "additionalProperties" not in parameter["schema"], "no free-form parameters"
    for node in walk(document):
        if isinstance(node, dict):
            assert node.get("enum") != []
            assert node.get("type") != "null"
            assert not isinstance(node.get("type"), list)
            assert not {"$defs", "const", "prefixItems"} & set(node)
            assert not (
                isinstance(node.get("exclusiveMinimum"), (int, float))
                and not isinstance(node["exclusiveMinimum"], bool)
            )
            if node.get("type") == "array":
                assert "items" in node


def test_it_passes_the_validator(document):
    try:
        from openapi_spec_validator import validate
    except ImportError:
        pytest.fail(
            "缺少 openapi-spec-validator，请运行 / missing, run: uv pip install openapi-spec-validator", pytrace=False
        )
    validate(document)


def test_every_collection_declares_its_parameters(document):
    for layer_id, fields in {
        "parcels": {"name", "use", "area"},
        "gauges": {"level", "time"},
        "grid-points": {"row"},
    }.items():
        operation = document["paths"][f"/collections/{layer_id}/items"]["get"]
        parameters = {p["name"]: p for p in (resolve(document, q) for q in operation["parameters"])}
        assert {"limit", "bbox", "datetime", "crs", "bbox-crs", "filter", "filter-lang", "filter-crs"} | fields <= set(
            parameters
        )
        bbox = parameters["bbox"]
        assert (bbox["style"], bbox["explode"], bbox["schema"]["type"]) == ("form", False, "array")
        limit = parameters["limit"]["schema"]
        assert (limit["type"], limit["minimum"], limit["default"]) == ("integer", 1, 10)
        assert parameters["datetime"]["schema"] == {"type": "string"}
    assert "/collections/relief/items" not in document["paths"]
    assert "/collections/draft/items" not in document["paths"]


def test_every_get_address_answers(client, document):
    """Each GET path, its variables filled in, gives an answer that the document declares."""
    values = {
        "featureId": "1", "tileMatrixSetId": "WebMercatorQuad", "tileMatrix": "0", "tileRow": "0", "tileCol": "0",
        "jobId": "nothing", "output": "x",
    }  # fmt: skip
    for path, operations in document["paths"].items():
        if "get" in operations:
            answer = client.get("/ogc" + path.format(**values))
            assert answer.status_code in ({404} if "{jobId}" in path else {200, 204}), (
                path,
                answer.status_code,
                answer.text[:200],
            )
            assert str(answer.status_code) in operations["get"]["responses"]


def test_every_declared_query_parameter_is_accepted(client, document):
    """A parameter with a harmless value never is «unknown»."""
    samples = {"bbox": "110,20,120,40", "filter": "1 = 1", "after": "0", "version": "1", "properties": ""}
    for path, operations in document["paths"].items():
        if "get" not in operations or "{" in path or path.split("/")[2:3] not in ([], ["parcels"], ["gauges"]):
            continue
        for found in operations["get"]["parameters"]:
            parameter = resolve(document, found)
            schema = parameter["schema"]
            value = samples.get(parameter["name"])
            if value is None:
                value = schema.get("default", (schema.get("enum") or ["1"])[0])
            if schema.get("format") == "date-time" or parameter["name"] == "datetime":
                value = "2024-07-01T00:00:00Z"
            if schema.get("format") == "date":
                value = "2024-07-01"
            text = str(value).lower() if isinstance(value, bool) or schema["type"] == "boolean" else str(value)
            text = "true" if schema["type"] == "boolean" and text not in ("true", "false") else text
            if schema["type"] == "array" and parameter["name"] not in samples:
                text = (schema["items"].get("enum") or ["x"])[0]
            answer = client.get(f"/ogc{path}", params={parameter["name"]: text})
            assert answer.status_code == 200, (path, parameter["name"], text, answer.text[:300])


def test_processes_show_their_inputs(document):
    body = document["paths"]["/processes/urban-suitability/execution"]["post"]["requestBody"]
    inputs = body["content"]["application/json"]["schema"]["properties"]["inputs"]
    assert inputs["properties"]["bbox"]["type"] == "array"
    assert inputs["additionalProperties"] is False
    assert "/jobs/{jobId}/results" in document["paths"]


def test_the_page_lists_every_operation(client, document):
    text = client.get("/ogc/openapi?f=html").text
    assert text.count("<h2><code>") == sum(len(operations) for operations in document["paths"].values())


def test_a_publication_changes_the_document(client, datastore, hand_made):
    from spatial.catalog import Layer

    tag = client.get("/ogc/openapi").headers["etag"]
    layer = Layer.model_validate(hand_made.layer_definition("late", fields=[
        {"name": "row", "type": "integer", "title": {"zh": "行", "en": "Row"}}]))  # fmt: skip
    datastore.publish_vector(layer, hand_made.grid_points_frame(3))
    answer = client.get("/ogc/openapi", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert "/collections/late/items" in answer.json()["paths"]
