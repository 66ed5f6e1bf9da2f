"""EDR 1.1 on stations: locations, series, shapes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"

SUITE = "ogcapi-edr-1/1.1"

PLACES = {"甲": (112.0, 30.0), "乙/2": (113.0, 30.0), "丙": (112.0, 31.0)}
"""Stations of ``levels``; one name has a slash."""


@pytest.mark.requirement(SUITE, "/req/edr/rc-locations", "/req/edr-geojson/content")
def test_locations_list_every_station_with_its_span(world: SimpleNamespace, ask: Any) -> None:
    document = ask("levels/locations", f="GeoJSON")
    assert {f["id"]: tuple(f["geometry"]["coordinates"]) for f in document["features"]} == PLACES
    for feature in document["features"]:
        properties = feature["properties"]
        assert properties["datetime"] == "2024-06-01T00:00:00Z/2024-06-04T00:00:00Z"
        assert properties["parameter-name"] == ["level", "grade"]
        assert properties["observations"] == 4
        assert world.client.get(properties["edrqueryendpoint"]).status_code == 200
    assert ask("levels/locations", datetime="2025-01-01/..")["features"] == []
    assert [c for f in ask("levels/locations", crs=f"{EPSG}4490")["features"] for c in f["geometry"]["coordinates"]][
        :2
    ] == [
        31.0,
        112.0,
    ]


@pytest.mark.requirement(SUITE, "/req/edr/rc-locations", "/req/core/datetime-response")
def test_a_location_gives_its_series_in_order_of_time(ask: Any) -> None:
    document = ask("levels/locations/甲")
    (series,) = document["coverages"]
    assert series["domain"]["domainType"] == "PointSeries"
    assert series["domain"]["axes"]["t"]["values"][0] == "2024-06-01T00:00:00Z"
    assert series["ranges"]["level"]["values"] == [10.0, 11.0, 12.0, 13.0]
    assert series["ranges"]["grade"]["dataType"] == "integer"
    cut = ask("levels/locations/甲", datetime="2024-06-02/2024-06-03", parameter_name="level")
    assert cut["coverages"][0]["ranges"]["level"]["values"] == [11.0, 12.0]
    hole = ask(f"levels/locations/{quote('乙/2', safe='')}")
    assert hole["coverages"][0]["ranges"]["level"]["values"] == [20.0, None, 22.0, 23.0]


@pytest.mark.requirement(SUITE, "/req/queries/position")
def test_position_takes_the_nearest_station_and_says_how_far(ask: Any) -> None:
    from pyproj import Geod

    document = ask("levels/position", coords="POINT(112.9 30.1)")
    (series,) = document["coverages"]
    assert series["id"] == "乙/2"
    _, _, expected = Geod(ellps="GRS80").inv(112.9, 30.1, 113.0, 30.0)
    assert series["onemap:distance_m"] == pytest.approx(expected, abs=0.06)


@pytest.mark.requirement(SUITE, "/req/edr/REQ_rc-within-response", "/req/edr/within-units-definition")
def test_radius_holds_stations_by_geodesic_distance(ask: Any) -> None:
    from pyproj import Geod

    _, _, east = Geod(ellps="GRS80").inv(112.0, 30.0, 113.0, 30.0)  # 96.5 km; the north neighbour is 110.9 km away
    for metres, names in ((east - 1, ["甲"]), (east + 1, ["甲", "乙/2"]), (112_000, ["甲", "乙/2", "丙"])):
        document = ask("levels/radius", coords="POINT(112 30)", within=f"{metres}", within_units="m")
        assert [c["id"] for c in document["coverages"]] == names


def test_shapes_hold_stations_on_their_border_too(ask: Any) -> None:
    rows = ask("levels/area", coords="POLYGON((112 29,114 29,114 30,112 30,112 29))", f="CSV")
    assert {row["station"] for row in rows} == {"甲", "乙/2"}
    assert len(rows) == 8
    box = ask("levels/cube", bbox="111.5,29.5,112.5,31.5", f="CSV", datetime="2024-06-04")
    assert [(row["station"], row["level"]) for row in box] == [("丙", "33.0"), ("甲", "13.0")]
    path = ask(
        "levels/corridor", coords="LINESTRING(111.9 30.005,113.1 30.005)", corridor_width="4", width_units="km",
        f="GeoJSON", datetime="2024-06-01",
    )  # fmt: skip
    assert {f["properties"]["label"] for f in path["features"]} == {"甲", "乙/2"}


def test_a_layer_without_station_field_has_a_station_a_feature(client: Any) -> None:
    """``gauges`` of the shared catalogue: five features, the first without a time."""
    answer = client.get("/ogc/collections/gauges/locations")
    assert [f["id"] for f in answer.json()["features"]] == ["1", "2", "3", "4", "5"]
    untimed = client.get("/ogc/collections/gauges/locations/1").json()["coverages"][0]
    assert untimed["domain"]["domainType"] == "Point"
    assert untimed["ranges"]["level"]["values"] == [1.0]
