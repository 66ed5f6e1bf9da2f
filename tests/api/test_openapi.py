"""The OpenAPI document: valid, complete in itself, and true: every address and parameter that it names answers."""

from __future__ import annotations

import re

import pytest


@pytest.fixture(scope="module")
def document(client):
    answer = client.get("/ogc/openapi")
    assert answer.headers["content-type"] == "application/vnd.oai.openapi+json;version=3.0"
    return answer.json()


@pytest.mark.parametrize("kind", ["vector", "stations"])
def test_the_document_grows_by_little_with_every_layer(client, datastore, hand_made, kind):
    """What is the same for all collections is described once: parsers on SnakeYAML read 3 MiB of text and no more.

    A layer of stations, with its seven EDR queries, adds no more than another: 18 kB each were 7 MB at three hundred.
    """
    from spatial.catalog import Layer

    before = client.get("/ogc/openapi").content
    definition = hand_made.layer_definition(f"one-more-{kind}", kind=kind, fields=[
        {"name": "row", "type": "integer", "title": {"zh": "行", "en": "Row"}}])  # fmt: skip
    datastore.publish_vector(Layer.model_validate(definition), hand_made.grid_points_frame(3))
    after = client.get("/ogc/openapi").content
    assert after.count(f'"one-more-{kind}"'.encode()) > 2
    assert len(after) - len(before) < 4_000


def test_the_collections_of_a_path_are_those_that_answer_it(client, document, expanded, describing):
    """Each collection has the paths of its kind, whatever form they are described in, and no others."""
    described = {path for path, _ in expanded(document)}
    for collection in client.get("/ogc/collections").json()["collections"]:
        if collection["id"] == "catalogue":
            continue
        path, vector = f"/collections/{collection['id']}", collection["itemType"] == "feature"
        for suffix, expected in (
            ("", True), ("/schema", True), ("/map", True), ("/styles", True), ("/map/tiles", True),
            ("/items", vector), ("/queryables", vector), ("/sortables", vector), ("/tiles", vector),
            ("/coverage", not vector), ("/coverage/domainset", not vector),
            *((f"/{query}", query in collection.get("data_queries", {})) for query in ("position", "locations", "cube")),
        ):  # fmt: skip
            assert (path + suffix in described) is expected, path + suffix
            assert bool(describing(document, path + suffix)) is expected, path + suffix


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


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/oas30/oas-definition")
@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/oas30/oas-definition-1")
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


@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/oas30/oas-definition-2")
@pytest.mark.requirement("ogcapi-edr-1/1.1", "/req/oas30/oas-definition-2")
@pytest.mark.requirement("ogcapi-common-1/1.0", "/req/oas30/oas-definition-1", "/req/oas30/oas-definition-2")
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


VALUES = {
    "featureId": "1", "tileMatrixSetId": "WebMercatorQuad", "tileMatrix": "0", "tileRow": "0", "tileCol": "0",
    "jobId": "nothing", "output": "x",
}  # fmt: skip
EDITS = {"POST", "PUT", "PATCH", "DELETE"}


def harmless(parameter):
    """A value that a parameter takes, as its document says."""
    schema = parameter["schema"]
    found = parameter.get("example", schema.get("example", schema.get("default", (schema.get("enum") or [None])[0])))
    if found is not None:
        return ",".join(map(str, found)) if isinstance(found, list) else str(found)
    return VALUES.get(parameter["name"])


def segments(path):
    return [part for part in path.split("/") if part]


def describes(document, described, operation, route):
    """Whether a path of the document stands for a route of the application."""
    theirs, ours = segments(described), segments(route)
    if len(theirs) != len(ours):
        return False
    parameters = {p["name"]: p for p in (resolve(document, found) for found in operation["parameters"])}
    for name, part in zip(theirs, ours, strict=True):
        if part.startswith("{") or name == part:
            continue
        # A fixed segment where the document has a variable: its values must include it.
        allowed = parameters.get(name[1:-1], {}).get("schema", {}).get("enum") if name.startswith("{") else []
        if allowed is not None and part not in allowed:
            return False
    return True


@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/oas30/completeness", "/req/oas30/oas-impl")
@pytest.mark.requirement("ogcapi-edr-1/1.1", "/req/oas30/completeness", "/req/oas30/oas-impl")
@pytest.mark.requirement("ogcapi-common-1/1.0", "/req/oas30/completeness", "/req/oas30/oas-impl")
def test_every_route_is_described(api_app, document):
    """No route below ``/ogc`` is hidden; operations on features are described for editable layers only."""
    hidden = []
    for route in api_app.routes:
        path = getattr(route, "path", "")
        if path != "/ogc" and not path.startswith("/ogc/"):
            continue
        for method in sorted((route.methods or set()) - {"HEAD", "OPTIONS"}):
            if method in EDITS and path.startswith("/ogc/collections/{collection}/items"):
                continue
            found = (
                describes(document, described, operations[method.lower()], path.removeprefix("/ogc"))
                for described, operations in document["paths"].items()
                if method.lower() in operations
            )
            if not any(found):
                hidden.append((method, path))
    assert not hidden


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/api-definition-success")
@pytest.mark.requirement("ogcapi-processes-1/1.0", "/req/oas30/exceptions-codes")
@pytest.mark.requirement("ogcapi-edr-1/1.1", "/req/oas30/exceptions-codes")
@pytest.mark.requirement("ogcapi-common-1/1.0", "/req/oas30/exceptions-codes")
def test_every_get_address_answers(client, document, expanded):
    """Each GET path, its variables filled in, gives an answer that the document declares."""
    wrong = []
    for path, operations in expanded(document):
        if "get" not in operations:
            continue
        parameters = [resolve(document, p) for p in operations["get"]["parameters"]]
        inside = VALUES | {p["name"]: harmless(p) or "nothing" for p in parameters if f"{{{p['name']}}}" in path}
        query = {p["name"]: harmless(p) or "?" for p in parameters if p["in"] == "query" and p.get("required")}
        answer = client.get("/ogc" + path.format(**inside), params=query)
        expected = {200, 204}
        if "{jobId}" in path or "nothing" in inside.values() or "{recordId}" in path:
            expected |= {404}
        if "?" in query.values():
            expected |= {400}
        declared = str(answer.status_code) in operations["get"]["responses"]
        if answer.status_code not in expected or not declared:
            wrong.append((path, answer.status_code, declared, answer.text[:200]))
    assert not wrong


def test_every_declared_query_parameter_is_accepted(client, document, expanded):
    """No declared parameter is «unknown», and a value of its schema is not refused for its form."""
    samples = {
        "bbox": "110,20,120,40", "filter": "1 = 1", "after": "0", "version": "1", "properties": "", "ids": "1",
        "datetime": "2024-07-01T00:00:00Z", "sortby": "", "profile": "", "center": "114,30",
    }  # fmt: skip
    wrong = []
    for path, operations in expanded(document):
        if "get" not in operations or "{" in path or path.split("/")[2:3] not in ([], ["parcels"], ["gauges"]):
            continue
        parameters = [resolve(document, p) for p in operations["get"]["parameters"]]
        if any(p.get("required") for p in parameters):
            continue
        for parameter in parameters:
            schema, name = parameter["schema"], parameter["name"]
            text = samples.get(name, harmless(parameter))
            if text is None:
                text = {"boolean": "true", "integer": "1", "number": "1"}.get(schema.get("type"), "x")
                if schema.get("format") == "date":
                    text = "2024-07-01"
                if schema.get("format") == "date-time":
                    text = "2024-07-01T00:00:00Z"
                if schema.get("type") == "array":
                    text = (schema["items"].get("enum") or ["1" if schema["items"].get("type") != "string" else "x"])[0]
            text = text.lower() if schema.get("type") == "boolean" else text
            answer = client.get(f"/ogc{path}", params={name: text})
            if answer.status_code not in (200, 204) and not (
                answer.status_code in (400, 404, 406)
                and answer.json()["title"] != "UnknownParameter"
                and text in ("x", "")
            ):
                wrong.append((path, name, text, answer.status_code, answer.text[:200]))
    assert not wrong


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
