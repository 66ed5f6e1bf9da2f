"""Features Part 4: coordinates of a sent feature: reference systems, and what a wrong axis order is told."""

from __future__ import annotations

from typing import Any

import pytest

P4 = "ogcapi-features-4/1.0"
GEOJSON = {"Content-Type": "application/geo+json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
MARKS = "/ogc/collections/marks/items"


@pytest.mark.requirement(P4, "/req/features/content-crs-header", "/req/features/crs-other-crs")
@pytest.mark.parametrize(
    "code", ["OGC:CRS84", *(f"EPSG:{c}" for c in (4326, 4490, 3857, *range(4524, 4528), *range(4545, 4549)))]
)
def test_content_crs(web: Any, edits: Any, code: str) -> None:
    """What GET gives in a CRS can be sent back in it; the oracle is PROJ with the authority's axis order."""
    from pyproj import Transformer

    x, y = 114.25, 30.75
    first, second = (x, y) if code == "OGC:CRS84" else Transformer.from_crs("OGC:CRS84", code).transform(x, y)
    digits = 9 if code in {"OGC:CRS84", "EPSG:4326", "EPSG:4490"} else 4
    authority, _, number = code.partition(":")
    uri = f"http://www.opengis.net/def/crs/{authority}/{'1.3' if authority == 'OGC' else '0'}/{number}"
    sent = edits.mark(round(first, digits), round(second, digits))
    place = web.post(MARKS, json=sent, headers=GEOJSON | {"Content-Crs": f"<{uri}>"}).headers["location"]
    assert web.get(place).json()["geometry"]["coordinates"] == pytest.approx([x, y], abs=2e-9)
    again = web.get(place, params={"crs": uri}).json()
    assert again["geometry"]["coordinates"] == pytest.approx(sent["geometry"]["coordinates"], abs=2e-4)
    if code in {"EPSG:4490", "EPSG:4547"}:  # a merge patch too, over a geometry in the CRS of the request
        change = {"geometry": {"coordinates": again["geometry"]["coordinates"]}}
        assert web.patch(place, json=change, headers=MERGE | {"Content-Crs": uri}).status_code == 204
        assert web.get(place).json()["geometry"]["coordinates"] == pytest.approx([x, y], abs=2e-9)


def test_wrong_axis_order_and_crs_are_told(web: Any, edits: Any) -> None:
    swapped = edits.refused(web.post(MARKS, json=edits.mark(30.75, 114.25), headers=GEOJSON), 422)
    assert "longitude, latitude" in swapped["problems"][0]["detail_en"]
    headers = GEOJSON | {"Content-Crs": "<http://www.opengis.net/def/crs/EPSG/0/4490>"}
    assert (
        "latitude, longitude"
        in edits.refused(web.post(MARKS, json=edits.mark(), headers=headers), 422)["problems"][0]["detail_en"]
    )
    other = GEOJSON | {"Content-Crs": "<http://www.opengis.net/def/crs/EPSG/0/2000>"}
    assert edits.refused(web.post(MARKS, json=edits.mark(), headers=other), 400)["parameter"] == "Content-Crs"
    old = edits.mark() | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}}
    assert edits.refused(web.post(MARKS, json=old, headers=GEOJSON), 400)["parameter"] == "crs"
    same = edits.mark() | {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}
    assert web.post(MARKS, json=same, headers=GEOJSON).status_code == 201
