"""What GDAL and QGIS need of the features, found by running them (`tests/conformance`); the reasons stand with the code."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

_INTEGER = {"fields": [{"name": "row", "type": "integer", "title": {"zh": "行", "en": "Row"}}]}


def link(document, rel, kind=None):
    return next(found["href"] for found in document["links"] if found["rel"] == rel and kind in (None, found["type"]))


def test_the_items_link_can_be_extended_by_an_id(client, get):
    # GDAL asks for feature 2 by putting "/2" behind this address.
    address = urlsplit(link(get("/collections/parcels"), "items", "application/geo+json"))
    assert address.query == ""
    assert client.get(f"{address.path}/2").json()["id"] == 2
    assert (
        client.get(address.path, headers={"Accept": "application/geo+json, application/json"}).json()["numberMatched"]
        == 4
    )


def test_a_number_never_looks_like_an_integer(client):
    text = client.get("/ogc/collections/parcels/items").text
    assert [f'"area":{v}' in text for v in ("1.5", "20.0", "300.25", "null")] == [True] * 4


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0.0"),
        (-2.0, "-2.0"),
        (1e14, "100000000000000.0"),
        (2.5e15, None),
        (1e20, None),
        (-1e-7, None),
        (1 / 3, None),
    ],
)
def test_numbers_of_any_size_keep_value_and_kind(datastore, hand_made, value, text):
    from spatial.catalog import Layer
    from spatial.store.vector import ItemQuery

    frame = hand_made.parcels_frame()
    frame["area"] = value
    definition = hand_made.definitions["parcels"] | {"id": "sizes"}
    table = datastore.vectors.publish(Layer.model_validate(definition), f"v{abs(hash(value)) % 10**9}", frame)
    try:
        feature = datastore.vectors.page(table, ItemQuery(limit=1)).features[0]
    finally:
        datastore.vectors.drop(table)
    found = json.loads(feature)["properties"]["area"]
    assert found == value
    assert isinstance(found, float)
    assert text is None or f'"area":{text},' in feature


def test_the_geojson_schema_gives_the_types(client, get):
    address = link(get("/collections/gauges"), "describedBy", "application/schema+json")
    answer = client.get(urlsplit(address).path)
    assert answer.headers["content-type"].startswith("application/schema+json")
    fields = answer.json()["properties"]["properties"]["properties"]
    assert {name: field["type"] for name, field in fields.items()} == {
        "name": "string",
        "level": "number",
        "time": "string",
    }
    assert fields["time"]["format"] == "date-time"
    page = client.get(urlsplit(address).path, headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert "水位" in page.text


def test_the_geojson_schema_holds_for_every_feature(client, get):
    import jsonschema

    for layer_id in ("parcels", "gauges", "grid-points"):
        schema = client.get(f"/ogc/collections/{layer_id}/schema/geojson").json()
        for feature in get(f"/collections/{layer_id}/items", limit=50)["features"]:
            present = {name: value for name, value in feature["properties"].items() if value is not None}
            jsonschema.validate(feature | {"properties": present}, schema)


def test_integers_beyond_32_bits_are_numbers_there(api_settings, hand_made, tmp_path):
    # GDAL reads "integer" as 32 bits and would clip 420102001001 to 2147483647.
    from starlette.testclient import TestClient

    from spatial.asgi import create_app

    layers = hand_made.write_layers(
        tmp_path / "layers", {name: hand_made.layer_definition(name, **_INTEGER) for name in ("villages", "rows")}
    )
    own = {"var_dir": tmp_path / "var", "layers_dir": layers, "postgis_schema": "wide_integers"}
    app = create_app(api_settings.model_copy(update=own))
    store = app.state.datastore
    frame = hand_made.grid_points_frame(3)
    for name, largest in (("villages", 420_102_001_001), ("rows", 2**31 - 1)):
        frame["row"] = [1, largest, -(2**31)]
        store.publish_vector(store.snapshot().catalog[name], frame)
    with TestClient(app) as client:
        fields = [
            client.get(f"/ogc/collections/{name}/schema/geojson").json()["properties"]["properties"]["properties"][
                "row"
            ]
            for name in ("villages", "rows")
        ]
    assert (fields[0]["type"], fields[0]["multipleOf"]) == ("number", 1)
    assert fields[1]["type"] == "integer"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("surveyed >= '2024-06-30T'", [2]),
        ("surveyed < '2024-06-30T'", [1]),
        ("name ILIKE 'o%BRIEN%'", [2]),
        ("(name ILIKE '%武汉%') AND (use = 1)", [1]),
        ("name NOT ILIKE '%o%'", [1, 3]),
        ("name = 'x ILIKE y'", []),
    ],
)
def test_filters_in_the_draft_that_gdal_writes(get, text, expected):
    found = get("/collections/parcels/items", filter=text, filter_lang="cql-text")
    assert [f["id"] for f in found["features"]] == expected


@pytest.mark.parametrize(
    ("text", "expected"), [("time <= '2024-07-01T12Z'", [2, 3]), ("time > '2024-07-01T12:00Z'", [4, 5])]
)
def test_times_to_the_hour_or_minute(get, text, expected):
    found = get("/collections/gauges/items", filter=text, filter_lang="cql-text")
    assert [f["id"] for f in found["features"]] == expected


def test_ilike_is_of_the_draft_only(problem):
    problem(400, "/collections/parcels/items", filter="name ILIKE '%a%'", filter_lang="cql2-text")
