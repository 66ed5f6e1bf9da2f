"""EDR 1.1 on rasters: position, area, radius, trajectory, corridor, cube."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

EPSG = "http://www.opengis.net/def/crs/EPSG/0/"

SUITE = "ogcapi-edr-1/1.1"


@pytest.mark.requirement(SUITE, "/req/queries/position", "/req/edr/point-coords-response")
def test_position_gives_the_cell_of_the_point(ask: Any, numbers: Any) -> None:
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
def test_every_border_point_agrees_with_the_identify_rule(world: SimpleNamespace, ask: Any, numbers: Any) -> None:
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
def test_crs_says_the_axis_order_of_coords_and_answer(ask: Any, numbers: Any) -> None:
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
def test_area_takes_every_cell_it_covers_and_weighs_it(ask: Any, numbers: Any) -> None:
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


def test_nodata_is_null_and_has_no_weight(ask: Any, numbers: Any) -> None:
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
def test_trajectory_samples_at_corners_and_no_further_apart_than_a_cell(ask: Any, numbers: Any) -> None:
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
def test_cube_is_the_grid_of_the_box(world: SimpleNamespace, ask: Any, numbers: Any) -> None:
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


def test_area_in_a_projected_crs_keeps_the_values_of_the_cells(ask: Any, numbers: Any) -> None:
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
