"""Environmental Data Retrieval 1.1 (环境数据检索) on rasters and station series, with expectations computed by hand.

Stations are tested on both stores. Requirement ids as in OGC 19-086r6.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"
SUITE = "ogcapi-edr-1/1.1"
START = datetime(2024, 6, 1, tzinfo=UTC)
PLACES = {"甲": (112.0, 30.0), "乙/2": (113.0, 30.0), "丙": (112.0, 31.0)}
"""Stations of ``levels``; one name has a slash."""


def levels_frame() -> Any:
    """Four daily observations a station: level = 10 × number of the station + day; the second has a hole."""
    import geopandas
    import pandas as pd
    import shapely

    rows = []
    for number, (name, place) in enumerate(PLACES.items(), start=1):
        for day in reversed(range(4)):  # not in order of time
            level = None if (number, day) == (2, 1) else 10.0 * number + day
            rows.append((name, START + timedelta(days=day), level, number, shapely.Point(place)))
    frame = pd.DataFrame(rows, columns=["station", "time", "level", "grade", "geometry"])
    frame["time"] = pd.to_datetime(frame["time"], utc=True)
    frame["grade"] = frame["grade"].astype("Int64")
    frame["level"] = frame["level"].astype("float64")
    return geopandas.GeoDataFrame(frame, geometry="geometry", crs="EPSG:4490").set_index(
        pd.Index(range(1, len(frame) + 1), name="fid")
    )


def definitions(hand_made: Any) -> dict[str, Any]:
    def text(zh: str, en: str) -> dict[str, str]:
        return {"zh": zh, "en": en}

    return {
        "relief": hand_made.definitions["relief"],
        "cover": hand_made.layer_definition(
            "cover",
            kind="raster",
            fields=[],
            bands=[
                {"name": "kind", "title": text("类", "Kind"), "valid_range": (0, 9),
                 "domain": {"1": text("田", "field"), "2": text("林", "forest"), "3": text("水", "water")}},
                {"name": "rain", "title": text("降水", "Rain"), "unit": "mm", "valid_range": (0, 9000)},
            ],
            period=["2024-01-01", "2024-12-31"],
            synthetic={"seed": 1, "recipe": text("手写", "by hand")},
        ),
        "parcels": hand_made.definitions["parcels"],
        "levels": hand_made.layer_definition(
            "levels",
            title=text("水位", "Levels"),
            kind="stations",
            fields=[
                {"name": "station", "type": "string", "title": text("站名", "Station")},
                {"name": "time", "type": "datetime", "title": text("时间", "Time")},
                {"name": "level", "type": "number", "title": text("水位", "Level"), "unit": "m"},
                {"name": "grade", "type": "integer", "title": text("等级", "Grade")},
            ],
            time_field="time",
            station_field="station",
        ),
    }  # fmt: skip


@pytest.fixture(scope="module")
def world(store_settings: Any, tmp_path_factory: pytest.TempPathFactory, hand_made: Any) -> Iterator[SimpleNamespace]:
    """An application on one store with two rasters, a series of three stations and a plain vector layer."""
    import uuid

    import rasterio
    from rasterio.transform import from_origin
    from starlette.testclient import TestClient

    from spatial.asgi import create_app
    from spatial.catalog import Layer

    folder = tmp_path_factory.mktemp("edr")
    wanted = definitions(hand_made)
    changes: dict[str, Any] = {
        "var_dir": folder / "var",
        "layers_dir": hand_made.write_layers(folder / "layers", wanted),
    }
    changes["var_dir"].mkdir()
    if store_settings.store == "postgis":
        changes["postgis_schema"] = f"t_{uuid.uuid4().hex[:12]}"
    app = create_app(store_settings.model_copy(update=changes))
    datastore = app.state.datastore
    datastore.publish_raster(Layer.model_validate(wanted["relief"]), hand_made.write_relief(folder / "relief.tif"))
    values = np.array([[[1, 1, 2], [1, 3, 2]], [[10, 20, 30], [40, 50, 0]]], dtype="uint16")
    profile = {
        "driver": "GTiff", "width": 3, "height": 2, "count": 2, "dtype": "uint16", "nodata": 0, "crs": "EPSG:4490",
        "transform": from_origin(112, 31, 0.5, 0.5),
    }  # fmt: skip
    with rasterio.open(folder / "cover.tif", "w", **profile) as file:
        file.write(values)
    datastore.publish_raster(Layer.model_validate(wanted["cover"]), folder / "cover.tif")
    datastore.publish_vector(Layer.model_validate(wanted["levels"]), levels_frame())
    datastore.publish_vector(Layer.model_validate(wanted["parcels"]), hand_made.parcels_frame())
    with TestClient(app, base_url="http://onemap.test", raise_server_exceptions=False) as client:
        yield SimpleNamespace(client=client, datastore=datastore, hand_made=hand_made, folder=folder, wanted=wanted)


@pytest.fixture
def ask(world: SimpleNamespace) -> Callable[..., Any]:
    """GET below ``/ogc/collections`` that must succeed; CoverageJSON is checked by its model."""

    def get(path: str, **parameters: Any) -> Any:
        from covjson_pydantic.coverage import Coverage, CoverageCollection

        names = {name.replace("_", "-"): value for name, value in parameters.items()}
        answer = world.client.get(f"/ogc/collections/{path}", params=names)
        assert answer.status_code == 200, (answer.status_code, answer.text[:400])
        kind = answer.headers["content-type"]
        if kind == "application/prs.coverage+json":
            model = CoverageCollection if answer.json()["type"] == "CoverageCollection" else Coverage
            model.model_validate_json(answer.content)
            return answer.json()
        if kind.startswith("text/csv"):
            return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
        return answer.json()

    return get


def numbers(document: dict[str, Any], name: str) -> list[Any]:
    found: list[Any] = document["ranges"][name]["values"]
    return found


# -- rasters -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement(SUITE, "/req/queries/position", "/req/edr/point-coords-response")
def test_position_gives_the_cell_of_the_point(ask: Any) -> None:
    document = ask("relief/position", coords="POINT(112.6 30.7)")
    assert document["domain"]["domainType"] == "Point"
    assert numbers(document, "elevation") == [101]
    assert document["parameters"]["elevation"]["unit"]["symbol"] == {
        "value": "m",
        "type": "http://www.opengis.net/def/uom/UCUM/",
    }
    # A point on a border belongs to the cell east and south of it, as in the identify tool.
    assert numbers(ask("relief/position", coords="POINT(112.5 31)"), "elevation") == [101]
    assert numbers(ask("relief/position", coords="POINT(112 31.5)"), "elevation") == [0]


@pytest.mark.requirement(SUITE, "/req/edr/point-coords-response")
def test_every_border_point_agrees_with_the_identify_rule(world: SimpleNamespace, ask: Any) -> None:
    from spatial.store.raster import sample

    raster = world.datastore.snapshot().raster("relief")
    points = [(x, y) for x in (112.0, 112.5, 113.0, 113.5, 113.99) for y in (31.5, 31.0, 30.5, 30.01)]
    text = ",".join(f"({x} {y})" for x, y in points)
    document = ask("relief/position", coords=f"MULTIPOINT({text})")
    assert numbers(document, "elevation") == [sample(raster, x, y)[0] for x, y in points]


@pytest.mark.requirement(SUITE, "/req/edr/query_type/no-data")
def test_no_data_is_204(world: SimpleNamespace) -> None:
    for path in (
        "relief/position?coords=POINT(1 1)",
        "relief/position?coords=POINT(114 30.2)",  # the east edge is outside
        "relief/area?coords=POLYGON((1 1,2 1,2 2,1 1))",
        "relief/cube?bbox=1,1,2,2",
        "relief/radius?coords=POINT(1 1)&within=1&within-units=km",
        "relief/trajectory?coords=LINESTRING(1 1,2 2)",
        "relief/corridor?coords=LINESTRING(1 1,2 2)&corridor-width=1&width-units=km",
        "cover/position?coords=POINT(112.1 30.9)&datetime=2020-01-01",
        "levels/area?coords=POLYGON((1 1,2 1,2 2,1 1))",
        "levels/position?coords=POINT(1 1)",
        "levels/locations/甲?datetime=2030-01-01/..",
    ):
        answer = world.client.get(f"/ogc/collections/{path}")
        assert answer.status_code == 204, (path, answer.status_code, answer.text[:200])
        assert answer.content == b""


@pytest.mark.requirement(SUITE, "/req/edr/REQ_rc-crs-response", "/req/core/crs")
def test_crs_says_the_axis_order_of_coords_and_answer(ask: Any) -> None:
    document = ask("relief/position", coords="POINT(30.7 112.6)", crs=f"{EPSG}4326")
    assert numbers(document, "elevation") == [101]
    assert document["domain"]["axes"]["x"]["values"] == [112.6]
    assert document["domain"]["referencing"][0]["coordinates"] == ["y", "x"]
    from pyproj import Transformer

    e, n = Transformer.from_crs(4490, 4547, always_xy=True).transform(112.6, 30.7)
    grid = ask("relief/position", coords=f"POINT({n} {e})", crs=f"{EPSG}4547", f="GeoJSON")
    assert grid["features"][0]["properties"]["elevation"] == 101
    assert grid["features"][0]["geometry"]["coordinates"] == [pytest.approx(n), pytest.approx(e)]


@pytest.mark.requirement(SUITE, "/req/edr/parameter-name-response", "/req/edr/rc-parameters")
def test_parameter_name_selects_bands(ask: Any) -> None:
    every = ask("cover/position", coords="POINT(112.6 30.7)")
    assert list(every["ranges"]) == ["kind", "rain"]
    one = ask("cover/position", coords="POINT(112.6 30.7)", parameter_name="rain")
    assert list(one["ranges"]) == ["rain"]
    assert list(one["parameters"]) == ["rain"]
    kind = every["parameters"]["kind"]
    assert "unit" not in kind
    assert [c["label"]["en"] for c in kind["observedProperty"]["categories"]] == ["field", "forest", "water"]
    assert list(kind["categoryEncoding"].values()) == [1, 2, 3]
    assert "合成" in every["title"]["zh"]


@pytest.mark.requirement(SUITE, "/req/edr/rc-area", "/req/edr/polygon-coords-response")
def test_area_takes_every_cell_it_covers_and_weighs_it(ask: Any) -> None:
    """112.25–113 × 30.25–31 covers cells (1,0) half, (1,1) whole, (2,0) a quarter, (2,1) half."""
    square = "POLYGON((112.25 30.25,113 30.25,113 31,112.25 31,112.25 30.25))"
    document = ask("relief/area", coords=square)
    assert document["domain"]["axes"]["x"] == {"start": 112.25, "stop": 112.75, "num": 2}
    assert numbers(document, "elevation") == [100, 101, 200, 201]
    rows = ask("relief/area", coords=square, f="CSV")
    assert [float(row["fraction"]) for row in rows] == [0.5, 1.0, 0.25, 0.5]
    from spatial.units import cell_row_areas

    upper, lower = cell_row_areas(31.0, 0.5, 0.5, 2)
    weights = np.array([upper / 2, upper, lower / 4, lower / 2])
    mean = float(np.average([100, 101, 200, 201], weights=weights))
    found = ask("relief/area", coords=square, f="GeoJSON")["features"][0]["properties"]
    assert found["elevation"] == pytest.approx(mean, rel=1e-12)
    assert found["area_m2"] == pytest.approx(weights.sum(), abs=0.02)
    assert (found["elevation_min"], found["elevation_max"], found["cells"]) == (100, 201, 4)


def test_area_statistics_add_up_to_the_area_of_the_polygon_on_the_ellipsoid(ask: Any) -> None:
    import shapely

    from spatial.units import geodesic_areas

    hole = "POLYGON((112.1 30.1,113.3 30.3,113.2 31.3,112.1 30.1),(112.9 30.5,113 30.5,113 30.6,112.9 30.5))"
    found = ask("relief/area", coords=hole, f="GeoJSON")["features"][0]["properties"]
    # Straight in degrees is not quite geodesic: a thousandth is allowed.
    expected = geodesic_areas(shapely.segmentize(shapely.from_wkt(hole), 0.01))[0]
    assert found["area_m2"] == pytest.approx(expected, rel=1e-3)


def test_nodata_is_null_and_has_no_weight(ask: Any) -> None:
    whole = "POLYGON((113 30,114 30,114 31,113 31,113 30))"
    document = ask("relief/area", coords=whole)
    assert numbers(document, "elevation") == [102, 103, 202, None]
    found = ask("relief/area", coords=whole, f="GeoJSON")["features"][0]["properties"]
    assert found["elevation_max"] == 202
    assert found["elevation_valid_area_m2"] < found["area_m2"]


def test_classes_get_their_areas_and_no_mean(ask: Any) -> None:
    found = ask("cover/area", coords="POLYGON((112 30.5,113 30.5,113 31,112 31,112 30.5))", f="GeoJSON")
    properties = found["features"][0]["properties"]
    assert properties["kind"] == 1
    assert list(properties["kind_class_area_m2"]) == ["1"]
    assert properties["rain"] == pytest.approx(15.0)
    wide = ask("cover/area", coords="POLYGON((112 30,113.5 30,113.5 31,112 31,112 30))", f="GeoJSON")
    areas = wide["features"][0]["properties"]["kind_class_area_m2"]
    assert sum(areas.values()) == pytest.approx(wide["features"][0]["properties"]["area_m2"], abs=0.05)


def test_a_polygon_smaller_than_a_cell_has_that_cell(ask: Any) -> None:
    rows = ask("relief/area", coords="POLYGON((112.6 30.6,112.61 30.6,112.61 30.61,112.6 30.6))", f="CSV")
    assert [row["elevation"] for row in rows] == ["101"]


@pytest.mark.requirement(
    SUITE, "/req/queries/radius", "/req/edr/REQ_rc-within-response", "/req/edr/REQ_rc-within-units-response"
)
def test_radius_is_metres_on_the_ellipsoid(ask: Any) -> None:
    from pyproj import Geod

    from spatial.ogc.edr.geometry import circle

    geod = Geod(ellps="GRS80")
    ring = np.array(circle(113.0, 30.75, 20_000).exterior.coords)
    _, _, distance = geod.inv(np.full(len(ring), 113.0), np.full(len(ring), 30.75), ring[:, 0], ring[:, 1])
    np.testing.assert_allclose(distance, 20_000, atol=0.01)
    rows = ask("relief/radius", coords="POINT(113 30.75)", within="20", within_units="km", f="CSV")
    assert [row["elevation"] for row in rows] == ["101", "102"]
    assert sum(float(row["area_m2"]) for row in rows) == pytest.approx(np.pi * 20_000**2, rel=1e-3)
    same = ask("relief/radius", coords="POINT(113 30.75)", within="20000", within_units="m", f="CSV")
    assert [row["area_m2"] for row in same] == [row["area_m2"] for row in rows]


@pytest.mark.requirement(SUITE, "/req/edr/rc-trajectory", "/req/edr/linestring-coords-response")
def test_trajectory_samples_at_corners_and_no_further_apart_than_a_cell(ask: Any) -> None:
    rows = ask("relief/trajectory", coords="LINESTRING(112.1 30.1,112.1 31.4)", f="CSV")
    assert [row["elevation"] for row in rows] == ["200", "100", "100", "0"]
    from pyproj import Geod

    _, _, length = Geod(ellps="GRS80").inv(112.1, 30.1, 112.1, 31.4)
    assert float(rows[-1]["along_m"]) == pytest.approx(length, abs=0.02)
    document = ask("relief/trajectory", coords="LINESTRING(112.1 30.1,113.9 30.1)")
    assert document["domain"]["domainType"] == "MultiPoint"
    assert numbers(document, "elevation")[-1] is None  # the last cell is nodata


def test_a_line_far_beyond_the_raster_costs_what_lies_on_it(ask: Any, world: SimpleNamespace) -> None:
    rows = ask("relief/trajectory", coords="LINESTRING(-179 30.25,179 30.25)", f="CSV")
    # 716 cells of 0.5°; between the two ends, which have no data, the points on the raster (112 … 114).
    step = 358 / 716
    expected = [-179 + k * step for k in range(1, 716) if 112 <= -179 + k * step <= 114]
    assert [float(row["x"]) for row in rows] == pytest.approx([-179, *expected, 179])
    inside = {int(float(row["x"]) * 2 - 224): row["elevation"] for row in rows[1:-1] if float(row["x"]) < 114}
    assert inside == {0: "200", 1: "201", 2: "202", 3: ""}
    assert (rows[0]["elevation"], rows[-1]["elevation"]) == ("", "")
    # The same in a CRS of metres, northing first.
    line = "LINESTRING(3350000 -4000000,3350000 5000000)"
    metres = ask("relief/trajectory", coords=line, crs=EPSG + "4547", f="CSV")
    assert 5 <= len(metres) <= 10
    assert {row["elevation"] for row in metres} == {"200", "201", "202", ""}
    # Along a border, beside the raster, and a path that touches nothing.
    border = ask("relief/trajectory", coords="LINESTRING(112 0.25,112 80.25)", f="CSV")
    assert [row["elevation"] for row in border] == ["", "200", "100", "0", ""]
    for nothing in ("LINESTRING(111.9 0,111.9 80)", "LINESTRING(100 31,112 45)"):
        answer = world.client.get("/ogc/collections/relief/trajectory", params={"coords": nothing})
        assert answer.status_code == 204, nothing


def test_the_way_along_a_path_of_several_parts_leaves_out_the_gaps(ask: Any) -> None:
    one = ask("relief/trajectory", coords="LINESTRING(112.1 30.1,112.4 30.1)", f="CSV")
    two = ask("relief/trajectory", coords="MULTILINESTRING((112.1 30.1,112.4 30.1),(113.1 31.1,113.4 31.1))", f="CSV")
    alone = ask("relief/trajectory", coords="LINESTRING(113.1 31.1,113.4 31.1)", f="CSV")
    first, second = float(one[-1]["along_m"]), float(alone[-1]["along_m"])
    assert [float(row["along_m"]) for row in two] == pytest.approx([0, first, first, first + second], abs=0.02)


def test_a_path_of_too_many_points_is_refused_before_any_is_made(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spatial.ogc.edr import geometry as edr_geometry
    from spatial.ogc.edr import rasters as edr_rasters

    monkeypatch.setattr(edr_geometry, "MAX_PATH_POINTS", 5)
    path = "/ogc/collections/cover/trajectory?coords=LINESTRING(112.1 30.1,113.4 30.1)"
    assert world.client.get(path).status_code == 200
    zigzag = ",".join(["112.1 30.1", "113.4 30.1"] * 3)
    refused = world.client.get(f"/ogc/collections/cover/trajectory?coords=LINESTRING({zigzag})")
    assert (refused.status_code, refused.json()["limit"]) == (413, 5)
    monkeypatch.setattr(edr_rasters, "MAX_VALUES", 4)
    refused = world.client.get(path)
    assert (refused.status_code, refused.json()["limit"]) == (413, 4)
    assert "parameter-name" in refused.json()["detail_en"]
    assert world.client.get(path + "&parameter-name=rain").status_code == 200


@pytest.mark.requirement(SUITE, "/req/edr/rc-corridor", "/req/edr/REQ_rc-corridor-width-response")
def test_corridor_is_half_its_width_to_each_side(ask: Any) -> None:
    line = "LINESTRING(112.25 30.6,112.25 30.9)"
    rows = ask("relief/corridor", coords=line, corridor_width="4", width_units="km", f="CSV")
    assert [row["elevation"] for row in rows] == ["100"]
    from pyproj import Geod

    _, _, length = Geod(ellps="GRS80").inv(112.25, 30.6, 112.25, 30.9)
    expected = length * 4000 + np.pi * 2000**2
    assert float(rows[0]["area_m2"]) == pytest.approx(expected, rel=2e-3)
    # 2 km to each side: the cell border at 112.5 is 24 km away, at 49 km total width it is reached.
    wide = ask("relief/corridor", coords=line, corridor_width="49", width_units="km", f="CSV",
               corridor_height="1", height_units="m")  # fmt: skip
    assert {"100", "101"} <= {row["elevation"] for row in wide}


@pytest.mark.requirement(SUITE, "/req/edr/rc-cube", "/req/core/rc-bbox-response")
def test_cube_is_the_grid_of_the_box(world: SimpleNamespace, ask: Any) -> None:
    document = ask("relief/cube", bbox="112.6,30.6,113.4,31.2")
    assert numbers(document, "elevation") == [1, 2, 101, 102]
    assert document["ranges"]["elevation"]["axisNames"] == ["y", "x"]
    turned = ask("relief/cube", bbox="30.6,112.6,31.2,113.4", crs=f"{EPSG}4490")
    assert numbers(turned, "elevation") == [1, 2, 101, 102]
    coarse = ask("relief/cube", bbox="112,30,114,31.5", resolution_x="2", resolution_y="0")
    assert coarse["ranges"]["elevation"]["shape"] == [3, 2]
    rows = ask("relief/cube", bbox="112.6,30.6,113.4,31.2", f="CSV")
    assert next((row["x"], row["y"], row["elevation"]) for row in rows) == ("112.75", "31.25", "1")
    answer = world.client.get("/ogc/collections/relief/cube?bbox=112.6,30.6,113.4,31.2&f=NetCDF")
    import xarray as xr

    path = world.folder / "cube.nc"
    path.write_bytes(answer.content)
    with xr.open_dataset(path, engine="h5netcdf") as data:
        np.testing.assert_array_equal(data.elevation.values, [[1, 2], [101, 102]])


def test_area_in_a_projected_crs_keeps_the_values_of_the_cells(ask: Any) -> None:
    from pyproj import Transformer

    forward = Transformer.from_crs(4490, 4547, always_xy=True).transform
    corners = [forward(x, y) for x, y in ((112.3, 30.3), (112.4, 30.3), (112.4, 30.4), (112.3, 30.3))]
    text = ",".join(f"{n} {e}" for e, n in corners)
    document = ask("relief/area", coords=f"POLYGON(({text}))", crs=f"{EPSG}4547")
    assert numbers(document, "elevation") == [200]
    x, y = document["domain"]["axes"]["x"]["values"][0], document["domain"]["axes"]["y"]["values"][0]
    assert (x, y) == pytest.approx(forward(112.25, 30.25), abs=1e-3)


def test_heads_of_csv_in_three_languages(world: SimpleNamespace) -> None:
    base = "/ogc/collections/relief/position?coords=POINT(112.6 30.7)&f=CSV"
    assert world.client.get(base).text.splitlines()[0] == "x,y,elevation"
    assert world.client.get(f"{base}&header=en").text.splitlines()[0] == "longitude,latitude,Elevation (m)"
    chinese = world.client.get(f"{base}&header=zh").content
    assert chinese.startswith(b"\xef\xbb\xbf")
    assert chinese.decode("utf-8-sig").splitlines()[0] == "经度,纬度,高程 (m)"


# -- stations ----------------------------------------------------------------------------------------------------------


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


# -- instances, documents ----------------------------------------------------------------------------------------------


@pytest.mark.requirement(SUITE, "/req/instances/rc-md-op", "/req/instances/rc-md-success", "/req/instances/src-md-op")
def test_every_version_is_an_instance(world: SimpleNamespace, ask: Any) -> None:
    import rasterio

    from spatial.catalog import Layer

    newer = world.hand_made.write_relief(world.folder / "newer.tif")
    with rasterio.open(newer, "r+") as file:
        values = file.read()
        file.write(np.where(values == -9999, values, values + 1))
    source = {**world.wanted["relief"]["source"], "version": "2"}
    world.datastore.publish_raster(Layer.model_validate(world.wanted["relief"] | {"source": source}), newer)
    document = ask("relief/instances")
    assert {i["id"] for i in document["instances"]} == {"1", "2"}
    one = ask("relief/instances/1")
    assert one["id"] == "1"
    assert one["data_queries"]["position"]["link"]["href"].endswith("/relief/instances/1/position")
    assert numbers(ask("relief/instances/1/position", coords="POINT(112.6 30.7)"), "elevation") == [101]
    assert numbers(ask("relief/instances/2/position", coords="POINT(112.6 30.7)"), "elevation") == [102]
    assert world.client.get("/ogc/collections/relief/instances/9").status_code == 404
    assert len(ask("levels/instances/1/locations")["features"]) == 3
    # Back to the values that the other tests know.
    again = {**world.wanted["relief"]["source"], "version": "3"}
    world.datastore.publish_raster(
        Layer.model_validate(world.wanted["relief"] | {"source": again}),
        world.hand_made.write_relief(world.folder / "third.tif"),
    )


@pytest.mark.requirement(
    SUITE, "/req/edr/rc-collection-info", "/req/edr/rc-data-queries", "/req/edr/rc-common-query-type",
    "/req/edr/rc-common-variables", "/req/edr/rc-radius-variables", "/req/edr/rc-corridor-variables",
    "/req/edr/rc-cube-variables", "/req/core/rc-md-query-links", "/req/core/rc-extent", "/req/edr/rc-items",
    "/req/edr/rc-items-variables",
)  # fmt: skip
def test_collection_documents_say_what_can_be_asked(world: SimpleNamespace, ask: Any) -> None:
    documents = {d["id"]: d for d in world.client.get("/ogc/collections").json()["collections"]}
    relief, levels, parcels = documents["relief"], documents["levels"], documents["parcels"]
    assert set(relief["data_queries"]) == {"position", "radius", "area", "cube", "trajectory", "corridor"}
    assert set(levels["data_queries"]) == {"position", "radius", "area", "cube", "corridor", "locations", "items"}
    assert set(parcels["data_queries"]) == {"items"}
    for document in (relief, levels, parcels):
        for query, entry in document["data_queries"].items():
            link = entry["link"]
            assert link["href"].endswith(f"/{document['id']}/{query}")
            assert link["rel"] == "data"
            assert link["variables"]["query_type"] == query
            default = link["variables"].get("default_output_format")
            assert default is None or default in link["variables"]["output_formats"]
        assert [link for link in document["links"] if link["rel"] == "data"]
        assert document["crs"][0].endswith("CRS84")
        assert document["output_formats"]
    assert relief["data_queries"]["radius"]["link"]["variables"]["within_units"] == ["m", "km"]
    assert relief["data_queries"]["corridor"]["link"]["variables"]["height_units"]
    elevation = relief["parameter_names"]["elevation"]
    assert elevation["type"] == "Parameter"
    assert elevation["unit"]["symbol"]["value"] == "m"
    assert elevation["observedProperty"]["id"]
    assert list(levels["parameter_names"]) == ["level", "grade"]
    assert relief["extent"]["temporal"]["interval"] == [[None, None]]
    single = ask("relief")
    assert {k: single[k] for k in ("id", "title", "description", "extent")} == {
        k: relief[k] for k in ("id", "title", "description", "extent")
    }


def test_the_extent_of_a_collection_can_be_asked_back_as_it_is_written(ask: Any) -> None:
    """Clients copy the interval, also the open ends ``null``."""
    document = ask("relief/position", coords="POINT(112.6 30.7)", datetime="null/null")
    assert numbers(document, "elevation") == [101]


@pytest.mark.requirement(SUITE, "/req/core/conformance", "/req/core/conformance-success")
def test_conformance(world: SimpleNamespace) -> None:
    declared = world.client.get("/ogc/conformance").json()["conformsTo"]
    for name in ("core", "collections", "covjson", "edr-geojson", "queries"):
        assert f"http://www.opengis.net/spec/ogcapi-edr-1/1.1/conf/{name}" in declared


@pytest.mark.requirement(
    SUITE, "/req/edr/coords-definition", "/req/edr/REQ_rc-crs-definition", "/req/edr/rc-f-definition",
    "/req/edr/REQ_rc-parameter-name-definition", "/req/core/datetime-definition", "/req/edr/within-definition",
    "/req/edr/corridor-width-definition", "/req/core/rc-bbox-definition",
)  # fmt: skip
def test_openapi_is_what_is_read(world: SimpleNamespace, describing: Any) -> None:
    from spatial.ogc.edr.queries import parameters_of_query

    document = world.client.get("/ogc/openapi").json()

    def resolve(found: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in found:
            _, _, section, name = found["$ref"].split("/")
            found = document["components"][section][name]
        return found

    for layer, raster in (("relief", True), ("levels", False)):
        for base, extra in (
            (f"/collections/{layer}", set[str]()),
            (f"/collections/{layer}/instances/{{instanceId}}", {"instanceId"}),
        ):
            extra |= {"collectionId"} if raster else set()
            queries = ["position", "radius", "area", "cube", "corridor"] + (["trajectory"] if raster else [])
            for query in queries:
                operation = describing(document, f"{base}/{query}")["get"]
                found = {p["name"]: p for p in map(resolve, operation["parameters"])}
                assert set(found) == {*parameters_of_query(query, raster=raster), *extra}  # type: ignore[arg-type]
                if "coords" in found:
                    assert found["coords"]["required"]
                    assert found["coords"]["schema"]["type"] == "string"
                assert found["parameter-name"]["schema"]["type"] == "array"
                assert not found["datetime"]["required"]
                assert {"200", "204", "400", "413"} <= set(operation["responses"])
    assert "/collections/levels/locations/{locationId}" in document["paths"]
    assert not describing(document, "/collections/parcels/position")
    operations = [o["operationId"] for item in document["paths"].values() for o in item.values() if "operationId" in o]
    assert len(operations) == len(set(operations))


# -- bad input ---------------------------------------------------------------------------------------------------------


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
