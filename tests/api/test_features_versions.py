"""A reader keeps the version that he began with, while a new one is published; old versions stay reachable."""

from __future__ import annotations

import pytest


@pytest.fixture
def republished(datastore, hand_made):
    """Publish a layer of 30 points; give the function that publishes its next version with 40."""
    import uuid

    from spatial.catalog import Layer

    layer_id = f"moving-{uuid.uuid4().hex[:8]}"

    def publish(version, count):
        definition = hand_made.layer_definition(
            layer_id, fields=[{"name": "row", "type": "integer", "title": {"zh": "行", "en": "Row"}}]
        )
        definition["source"] = {**definition["source"], "version": version}
        datastore.publish_vector(Layer.model_validate(definition), hand_made.grid_points_frame(count))

    publish("2024a", 30)
    return layer_id, publish


def test_next_links_stay_on_their_version(client, republished):
    layer_id, publish = republished
    first = client.get(f"/ogc/collections/{layer_id}/items?limit=20").json()
    tag = client.get(f"/ogc/collections/{layer_id}/items").headers["etag"]
    publish("2024b", 40)
    following = next(link["href"] for link in first["links"] if link["rel"] == "next")
    second = client.get(following).json()
    assert [f["id"] for f in second["features"]] == list(range(21, 31))
    assert not [link for link in second["links"] if link["rel"] == "next"]
    newest = client.get(f"/ogc/collections/{layer_id}/items", headers={"If-None-Match": tag})
    assert newest.status_code == 200
    assert newest.json()["numberMatched"] == 40
    old = client.get(f"/ogc/collections/{layer_id}/items?version=2024a").json()
    assert old["numberMatched"] == 30
    assert client.get(f"/ogc/collections/{layer_id}/items/35").status_code == 200
    assert client.get(f"/ogc/collections/{layer_id}/items/35?version=2024a").status_code == 404
    assert client.get(f"/ogc/collections/{layer_id}").json()["version"] == "2024b"
