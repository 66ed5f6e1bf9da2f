"""Axis order and transforms on the wire: every served CRS, as the CRS of the answer, of ``bbox`` and of filters.

The numbers are worked out by hand or come from a source other than this code:

- EPSG:4326 and EPSG:4490 are the same degrees, latitude first.
- EPSG:3857: x = R·λ, y = R·ln tan(π/4 + φ/2), R = 6378137.
- CGCS2000 Gauss–Krüger on the central meridian: easting 500000 m (with zone number n: n·10⁶ + 500000), northing the
  length of the meridian arc, 3320113.398 m at 30° N on this ellipsoid (series of GB/T 17278 / Krüger, to 1 mm).
"""

from __future__ import annotations

import math

import pytest

R = 6378137.0
ARC_30 = 3320113.398
BASE = "http://www.opengis.net/def/crs"


def epsg(code):
    return f"{BASE}/EPSG/0/{code}"


def mercator(lon, lat):
    return R * math.radians(lon), R * math.log(math.tan(math.pi / 4 + math.radians(lat) / 2))


# Gauge i stands at (110 + i, 30). Zones of 3°: 37 → 111°, 38 → 114°; 36 → 108°, 39 → 117° lie beside.
CASES = [
    (f"{BASE}/OGC/1.3/CRS84", 1, (111.0, 30.0), 1e-9),
    (epsg(4326), 1, (30.0, 111.0), 1e-9),
    (epsg(4490), 1, (30.0, 111.0), 1e-9),
    (epsg(3857), 1, mercator(111.0, 30.0), 1e-3),
    (epsg(4525), 1, (ARC_30, 37_500_000.0), 2e-3),
    (epsg(4526), 4, (ARC_30, 38_500_000.0), 2e-3),
    (epsg(4546), 1, (ARC_30, 500_000.0), 2e-3),
    (epsg(4547), 4, (ARC_30, 500_000.0), 2e-3),
]


def point(document, fid):
    return next(f["geometry"]["coordinates"] for f in document["features"] if f["id"] == fid)


@pytest.mark.requirement(
    "ogcapi-features-2/1.0",
    "/req/crs/fc-crs-definition",
    "/req/crs/fc-crs-action",
    "/req/crs/fc-crs-default-value",
    "/req/crs/ogc-crs-header",
    "/req/crs/ogc-crs-header-value",
    "/req/crs/geojson",
)
@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/crs84")
@pytest.mark.parametrize(("crs", "fid", "expected", "tolerance"), CASES)
def test_coordinates_of_the_answer(client, crs, fid, expected, tolerance):
    answer = client.get("/ogc/collections/gauges/items", params={"crs": crs})
    assert answer.headers["content-crs"] == f"<{crs}>"
    assert point(answer.json(), fid) == pytest.approx(expected, abs=tolerance)
    single = client.get(f"/ogc/collections/gauges/items/{fid}", params={"crs": crs})
    assert single.headers["content-crs"] == f"<{crs}>"
    assert single.json()["geometry"]["coordinates"] == point(answer.json(), fid)


@pytest.mark.parametrize("code", [4524, 4527, 4545, 4548])
def test_the_outer_zones(client, code):
    """3° from the central meridian: the easting lies 289,500 m beside it, west for 39, east for 36; arc of a parallel."""
    fid = 1 if code in (4524, 4545) else 4
    document = client.get("/ogc/collections/gauges/items", params={"crs": epsg(code)}).json()
    northing, easting = point(document, fid)
    zone = {4524: 36_000_000, 4527: 39_000_000}.get(code, 0)
    beside = easting - zone - 500_000
    # Along the parallel: 3° · N·cos φ = 289,579 m; the projected distance is longer by about 0.01 %.
    n = R / math.sqrt(1 - 0.00669438002290 * math.sin(math.radians(30)) ** 2)
    parallel = math.radians(3) * n * math.cos(math.radians(30))
    assert abs(beside) == pytest.approx(parallel, rel=5e-4)
    assert (beside > 0) == (code in (4524, 4545))
    assert ARC_30 < northing < ARC_30 + 5000


@pytest.mark.requirement(
    "ogcapi-features-2/1.0",
    "/req/crs/fc-bbox-crs-definition",
    "/req/crs/fc-bbox-crs-action",
    "/req/crs/fc-bbox-crs-default-value",
)
@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/fc-bbox-definition", "/req/core/fc-bbox-response")
@pytest.mark.parametrize(("crs", "fid", "expected", "tolerance"), CASES)
def test_bbox_in_every_crs(client, crs, fid, expected, tolerance):
    """A box around one point, in the axis order of its CRS, finds this point only; the swapped box never finds it."""
    half = 0.01 if abs(expected[0]) < 200 else 1000.0
    box = [expected[0] - half, expected[1] - half, expected[0] + half, expected[1] + half]
    parameters = {"bbox": ",".join(map(str, box)), "bbox-crs": crs, "crs": crs}
    document = client.get("/ogc/collections/gauges/items", params=parameters).json()
    assert [f["id"] for f in document["features"]] == [fid]
    swapped = [box[1], box[0], box[3], box[2]]
    answer = client.get("/ogc/collections/gauges/items", params={**parameters, "bbox": ",".join(map(str, swapped))})
    assert answer.status_code == 400 or answer.json()["features"] == []


@pytest.mark.parametrize("code", [3857, *range(4524, 4528), *range(4545, 4549)])
def test_a_bbox_made_from_served_coordinates_holds_its_corners(client, code):
    """Served metres are rounded to 0.1 mm; the box from a point to itself must not miss the point by the rounding."""
    every = client.get("/ogc/collections/gauges/items", params={"crs": epsg(code)}).json()["features"]
    assert every
    for feature in every:
        x, y = feature["geometry"]["coordinates"]
        found = client.get(
            "/ogc/collections/gauges/items", params={"bbox": f"{x},{y},{x},{y}", "bbox-crs": epsg(code)}
        ).json()
        assert [f["id"] for f in found["features"]] == [feature["id"]]
        a_millimetre_off = f"{x + 0.001},{y},{x + 0.001},{y}"
        missed = client.get(
            "/ogc/collections/gauges/items", params={"bbox": a_millimetre_off, "bbox-crs": epsg(code)}
        ).json()
        assert missed["features"] == []


@pytest.mark.requirement(
    "ogcapi-features-3/1.0",
    "/req/filter/filter-crs-param",
    "/req/filter/filter-crs-wgs84",
    "/req/features-filter/filter-crs-param",
)
@pytest.mark.parametrize(("crs", "fid", "expected", "tolerance"), CASES)
def test_filter_geometries_in_every_crs(client, crs, fid, expected, tolerance):
    half = 0.01 if abs(expected[0]) < 200 else 1000.0
    (a, b), (c, d) = [v - half for v in expected], [v + half for v in expected]
    polygon = f"POLYGON(({a} {b}, {c} {b}, {c} {d}, {a} {d}, {a} {b}))"
    parameters = {"filter": f"S_INTERSECTS(geometry, {polygon})", "filter-crs": crs}
    document = client.get("/ogc/collections/gauges/items", params=parameters).json()
    assert [f["id"] for f in document["features"]] == [fid]


@pytest.mark.requirement("ogcapi-features-2/1.0", "/req/crs/crs-uri")
@pytest.mark.parametrize(
    "spelling",
    ["EPSG:4490", "[EPSG:4490]", "urn:ogc:def:crs:EPSG::4490", "https://www.opengis.net/def/crs/EPSG/0/4490"],
)
def test_spellings_of_a_crs(client, spelling):
    answer = client.get("/ogc/collections/gauges/items", params={"crs": spelling})
    assert answer.headers["content-crs"] == f"<{epsg(4490)}>"


def test_bbox_with_another_answer_crs(client):
    """The CRS of the question and of the answer are independent."""
    parameters = {"bbox": "29.9,110.9,30.1,111.1", "bbox-crs": epsg(4490), "crs": epsg(3857)}
    document = client.get("/ogc/collections/gauges/items", params=parameters).json()
    assert point(document, 1) == pytest.approx(mercator(111, 30), abs=1e-3)


@pytest.mark.requirement("ogcapi-features-1/1.0", "/req/core/fc-bbox-response")
def test_a_box_across_the_antimeridian(client):
    """West greater than east: everything but the strip between; all gauges lie outside of that strip or inside it."""
    all_round = client.get("/ogc/collections/gauges/items", params={"bbox": "116,20,110.5,40"}).json()
    assert all_round["features"] == []
    nearly = client.get("/ogc/collections/gauges/items", params={"bbox": "114.5,20,111.5,40"}).json()
    assert [f["id"] for f in nearly["features"]] == [1, 5]


def test_polygons_keep_their_rings_in_every_axis_order(client):
    plain = client.get("/ogc/collections/parcels/items/1").json()["geometry"]
    swapped = client.get("/ogc/collections/parcels/items/1", params={"crs": epsg(4490)}).json()["geometry"]

    def flat(part):
        return [tuple(part)] if isinstance(part[0], (int, float)) else [p for q in part for p in flat(q)]

    assert [p[::-1] for p in flat(swapped["coordinates"])] == flat(plain["coordinates"])
    assert set(flat(plain["coordinates"])) == {(114.0, 30.0), (114.1, 30.0), (114.1, 30.1), (114.0, 30.1)}
