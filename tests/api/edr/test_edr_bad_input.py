"""EDR 1.1: bad input, limits, caching."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

SUITE = "ogcapi-edr-1/1.1"


@pytest.mark.parametrize(
    ("path", "status", "parameter"),
    [
        ("position", 400, "coords"),
        ("position?coords=", 400, "coords"),
        ("position?coords=POINT()", 400, "coords"),
        ("position?coords=POINT EMPTY", 400, "coords"),
        ("position?coords=POINT(a b)", 400, "coords"),
        ("position?coords=POINT(112 30 5)", 400, "coords"),
        ("position?coords=POINT Z(112 30 5)", 400, "coords"),
        ("position?coords=POINT(30 112)", 400, "coords"),
        ("position?coords=POINT(1e400 30)", 400, "coords"),
        ("position?coords=LINESTRING(112 30,113 31)", 400, "coords"),
        ("position?coords=POINT(112 30)&z=10", 400, "z"),
        ("position?coords=POINT(112 30)&crs=EPSG:9999", 400, "crs"),
        ("position?coords=POINT(112 30)&f=GRIB", 400, "f"),
        ("position?coords=POINT(112 30)&parameter-name=nothing", 400, "parameter-name"),
        ("position?coords=POINT(112 30)&datetime=never", 400, "datetime"),
        ("position?coords=POINT(112 30)&datetime=2024-02-01/2024-01-01", 400, "datetime"),
        ("position?coords=POINT(112 30)&header=fr", 400, "header"),
        ("position?coords=POINT(112 30)&foo=1", 400, "foo"),
        ("position?coords=POINT(112 30)&coords=POINT(112 30)", 400, "coords"),
        ("radius?coords=POINT(112 30)", 400, "within"),
        ("radius?coords=POINT(112 30)&within=5", 400, "within-units"),
        ("radius?coords=POINT(112 30)&within=5&within-units=parsec", 400, "within-units"),
        ("radius?coords=POINT(112 30)&within=-5&within-units=km", 400, "within"),
        ("radius?coords=POINT(112 30)&within=0&within-units=km", 400, "within"),
        ("radius?coords=POINT(112 30)&within=nan&within-units=km", 400, "within"),
        ("radius?coords=POINT(112 30)&within=5000&within-units=km", 400, "within"),
        ("radius?coords=MULTIPOINT(112 30)&within=5&within-units=km", 400, "coords"),
        ("area?coords=POLYGON()", 400, "coords"),
        ("area?coords=POLYGON((112 30,113 31))", 400, "coords"),
        ("area?coords=POLYGON((112 30,113 31,113 30,112 31,112 30))", 400, "coords"),
        ("area?coords=POINT(112 30)", 400, "coords"),
        ("cube", 400, "bbox"),
        ("cube?bbox=112,30,113", 400, "bbox"),
        ("cube?bbox=112,31,113,30", 400, "bbox"),
        ("cube?bbox=112,30,113,31&resolution-x=-1", 400, "resolution-x"),
        ("cube?bbox=112,30,113,31&resolution-x=5000&resolution-y=5000", 413, None),
        ("trajectory?coords=LINESTRING(112 30)", 400, "coords"),
        ("trajectory?coords=LINESTRING Z(112 30 1,113 31 2)", 400, "coords"),
        ("trajectory?coords=LINESTRINGM(112 30 1,113 31 2)", 400, "coords"),
        ("trajectory?coords=LINESTRINGZM(112 30 1 1,113 31 2 2)", 400, "coords"),
        ("corridor?coords=LINESTRING(112 30,113 31)", 400, "corridor-width"),
        ("corridor?coords=LINESTRING(112 30,113 31)&corridor-width=5&width-units=mile", 400, "width-units"),
        (
            "corridor?coords=LINESTRING(112 30,113 31)&corridor-width=5&width-units=km&corridor-height=1",
            400,
            "height-units",
        ),
        ("corridor?coords=LINESTRING(-170 -80,170 80)&corridor-width=5&width-units=km", 413, None),
        ("locations", 404, None),
        ("locations/x", 404, None),
    ],
)
@pytest.mark.requirement(
    SUITE, "/req/edr/REQ_rc-f-response", "/req/edr/width-units-response", "/req/edr/height-units-response"
)
def test_bad_input(world: SimpleNamespace, path: str, status: int, parameter: str | None) -> None:
    answer = world.client.get(f"/ogc/collections/relief/{path}")
    assert answer.status_code == status, (answer.status_code, answer.text[:300])
    document = answer.json()
    assert document["detail_zh"]
    assert document["detail_en"]
    if parameter is not None:
        assert document["parameter"] == parameter


def test_a_polygon_of_a_million_vertices_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTP servers refuse such a line themselves; the reader must not rely on that."""
    import shapely

    from spatial.crs import CRS84
    from spatial.errors import PayloadTooLarge
    from spatial.ogc.edr.request import read_wkt

    def parse(text: str) -> Any:
        raise AssertionError("parsed")

    monkeypatch.setattr(shapely, "from_wkt", parse)
    ring = ",".join(["112 30"] * 1_000_000)
    with pytest.raises(PayloadTooLarge) as caught:
        read_wkt({"coords": f"POLYGON(({ring}))"}, ("POLYGON",), CRS84)
    assert caught.value.problem()["limit"] == 20_000


def test_unknown_stations_parameters_and_queries(world: SimpleNamespace) -> None:
    for path, status in (
        ("levels/locations/none", 404),
        ("levels/position?coords=POINT(112 30)&parameter-name=station", 400),
        ("levels/trajectory?coords=LINESTRING(112 30,113 30)", 404),
        ("levels/locations?f=CSV", 400),
        ("parcels/position?coords=POINT(114 30)", 404),
        ("nowhere/position?coords=POINT(114 30)", 404),
    ):
        answer = world.client.get(f"/ogc/collections/{path}")
        assert answer.status_code == status, (path, answer.status_code)
        assert answer.json()["detail_en"]


def test_too_many_observations_are_refused_with_a_remedy(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spatial.ogc.edr import stations as edr_stations

    monkeypatch.setattr(edr_stations, "MAX_ROWS", 5)
    answer = world.client.get("/ogc/collections/levels/cube?bbox=110,29,114,32")
    assert answer.status_code == 413
    assert "datetime" in answer.json()["detail_en"]


def test_unchanged_is_304(world: SimpleNamespace) -> None:
    path = "/ogc/collections/levels/locations/%E7%94%B2?f=CSV"
    first = world.client.get(path)
    again = world.client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
