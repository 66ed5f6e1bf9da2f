"""QGIS reads every collection, vector tiles and WMTS in a project that is saved and opened again (`read_with_qgis.py`)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer

pytestmark = pytest.mark.clients

PYTHON = "/usr/bin/python3"
TYPES = {"string": {"String"}, "number": {"Real"}, "date": {"Date"}, "datetime": {"DateTime"}}
BOX = (114.0, 30.0, 115.0, 31.0)


@pytest.fixture(scope="module")
def read(published_server, tmp_path_factory):
    """What the saved project holds, as QGIS sees it."""
    from system_packages import has_qgis, install_line

    if not has_qgis():
        line = install_line(["qgis", "python3-qgis"])
        pytest.fail(f"没有 QGIS，请运行 / QGIS is missing, run:\n    {line}", pytrace=False)
    folder = tmp_path_factory.mktemp("qgis")
    project = folder / "onemap.qgz"
    environment = {
        k: v for k, v in os.environ.items() if "proxy" not in k.lower() and not k.startswith(("PYTHON", "VIRTUAL"))
    }
    # A profile of its own: what a developer has set in his QGIS does not matter, nor does this test change it.
    environment |= {
        "QT_QPA_PLATFORM": "offscreen",
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "LC_ALL": "C.UTF-8",
    }
    script = Path(__file__).with_name("read_with_qgis.py")
    done = subprocess.run(
        [PYTHON, str(script), published_server, str(project)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert project.stat().st_size > 1000
    return json.loads(done.stdout)


def test_the_project_holds_every_vector_layer(read, samples):
    assert set(samples.vectors) <= set(read["collections"])


def test_every_collection_is_valid_and_complete(read, samples):
    for layer_id in samples.vectors:
        found, expected = read["collections"][layer_id], samples.frame(layer_id)
        assert found["valid"], layer_id
        assert found["counted"] == len(found["features"]) == len(expected), layer_id
        # QGIS calls CRS84 so, and draws x first.
        assert found["crs"] in ("EPSG:4326", "OGC:CRS84")
        assert found["geometry"].removeprefix("Multi") == expected.geom_type.iloc[0].removeprefix("Multi"), layer_id
        for name in ("extent", "declared_extent"):
            np.testing.assert_allclose(found[name], expected.total_bounds, atol=1e-6, err_msg=layer_id)


def test_titles_say_what_is_synthetic(read, samples):
    for layer_id in samples.vectors:
        title = read["collections"][layer_id]["title"]
        assert samples.layers[layer_id]["title"]["zh"] in title
        assert ("合成" in title) == ("synthetic" in samples.layers[layer_id])


def test_geometry_and_attributes_equal_the_source(read, samples):
    for layer_id in samples.vectors:
        found, expected = read["collections"][layer_id], samples.frame(layer_id)
        names = [field["name"] for field in samples.layers[layer_id]["fields"]]
        assert found["names"] == names
        kept = {field["name"] for field in samples.fields(layer_id)}
        places = [i for i, name in enumerate(names) if name in kept]
        names = [names[i] for i in places]
        # QGIS does not promise an order; the geometry and attributes together identify a feature.
        ours = shapely.normalize(shapely.from_wkb([wkb for _, wkb in found["features"]]))
        theirs = shapely.normalize(np.asarray(expected.geometry.array))
        kinds = {field["name"]: field["type"] for field in samples.layers[layer_id]["fields"]}
        rows_ours = [_row([values[i] for i in places], names, kinds) for values, _ in found["features"]]
        rows_theirs = [_row(values, names, kinds) for values in expected[names].itertuples(index=False)]
        order_ours, order_theirs = _order(rows_ours, ours), _order(rows_theirs, theirs)
        assert [rows_ours[i] for i in order_ours] == [rows_theirs[i] for i in order_theirs], layer_id
        a, b = (shapely.get_coordinates(g[o]) for g, o in ((ours, order_ours), (theirs, order_theirs)))
        assert a.shape == b.shape, layer_id
        assert np.abs(a - b).max() < 1e-6, layer_id


def _row(values, names, kinds):
    import pandas as pd

    found = []
    for name, value in zip(names, values, strict=True):
        if value is None or value is pd.NA or value != value:
            found.append("")
        elif kinds[name] in ("integer", "number", "boolean"):
            # A field without a value on the first page is text to QGIS 3.22; the values are right nevertheless.
            found.append(f"{float(value):.9g}")
        elif kinds[name] == "date":
            found.append(str(value)[:10])
        elif kinds[name] == "datetime":
            # Times of a GeoPackage are UTC by its standard; a column without a zone is read without one.
            stamp = pd.Timestamp(value)
            found.append((stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")).isoformat())
        else:
            found.append(str(value))
    return found


def _order(rows, geometries):
    centres = np.round(shapely.get_coordinates(shapely.centroid(geometries)), 5)
    return sorted(range(len(rows)), key=lambda i: (rows[i], *centres[i]))


def test_field_types(read, samples):
    for layer_id in samples.vectors:
        first = samples.frame(layer_id).head(10)
        for field in samples.layers[layer_id]["fields"]:
            wanted = TYPES.get(field["type"])
            if wanted and first[field["name"]].notna().any():
                assert read["collections"][layer_id]["fields"][field["name"]] in wanted, (layer_id, field["name"])


def test_a_rectangle_selects_what_intersects_it(read, samples):
    for layer_id in samples.vectors:
        expected = samples.frame(layer_id).intersects(shapely.box(*BOX)).sum()
        assert read["collections"][layer_id]["in_box"] == expected, layer_id


def test_attribute_filters(read, samples):
    gauges = samples.frame("river-gauges")
    expected = {
        "\"river\" = '长江'": gauges.river == "长江",
        "\"name\" LIKE '%口%'": gauges["name"].str.contains("口"),
        "\"valid_from\" >= '2023-01-01'": gauges.valid_from >= "2023-01-01",
    }
    for expression, chosen in expected.items():
        found = read["filters"][expression]
        assert found["accepted"]
        assert sorted(found["names"]) == sorted(gauges["name"][chosen]), expression


@pytest.mark.parametrize(
    ("name", "crs"),
    [
        ("WebMercatorQuad", "EPSG:3857"),
        ("WorldCRS84Quad", "EPSG:4326"),
        ("CGCS2000Quad", "EPSG:4490"),
        ("c", "EPSG:4490"),
        ("CGCS2000_3GK_CM114", "EPSG:4547"),
    ],
)
def test_wmts_draws_the_right_classes(read, samples, name, crs):
    import rasterio

    found = read["pictures"][f"wmts-landcover-{name}"]
    assert found["valid"]
    assert found["crs"] == crs
    assert found["errors"] == []
    assert found["drawn"] == 1.0
    layer = samples.layers["landcover"]
    with rasterio.open(samples.root / layer["source"]["uri"]) as file:
        lon, lat = (114.3, 30.8)
        if crs == "EPSG:3857":
            lon, lat = 12724000 / 20037508.342789244 * 180, np.degrees(np.arctan(np.sinh(3587500 / 6378137)))
        if crs == "EPSG:4547":
            lon, lat = Transformer.from_crs(4547, 4490, always_xy=True).transform(528500, 3408500)
        row, col = file.index(lon, lat)
        near = file.read(1, window=((row - 1, row + 2), (col - 1, col + 2)))
        bounds = file.bounds
    colours = {c["value"]: tuple(bytes.fromhex(c["color"][1:7])) for c in layer["style"]["classes"]}
    assert tuple(found["middle"][:3]) in {colours[int(v)] for v in near.ravel() if int(v) in colours}
    if crs not in {"EPSG:3857", "EPSG:4547"}:
        np.testing.assert_allclose(found["extent"], bounds, atol=1e-6)


def test_vector_tiles_are_drawn(read):
    found = read["pictures"]["tiles-counties"]
    assert found["valid"]
    assert found["errors"] == []
    assert found["drawn"] > 0.95


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4490", "EPSG:3857", "EPSG:4547"])
def test_the_identify_tool_finds_what_a_wms_layer_shows(read, samples, crs):
    import rasterio

    place = shapely.Point(114.3, 30.6)
    counties = samples.frame("counties")
    [expected] = counties[counties.contains(place)].to_dict("records")
    asked = {key.rpartition(" ")[2]: v for key, v in read["identified"].items() if key.startswith(f"counties {crs} ")}
    [county] = asked["feature"]["features"]
    assert county["holds"]  # the axes of the geometry stand in their places
    assert county["properties"] == {k: v for k, v in expected.items() if k != "geometry"}
    for form in ("html", "text"):
        [text] = asked[form]["texts"]
        assert expected["name"] in text
        assert expected["prefecture"] in text
    [river] = read["identified"][f"rivers {crs} feature"]["features"]
    assert river["properties"]["name"] == "长江"
    assert river["near"] < 0.01
    [pixel] = read["identified"][f"landcover {crs} feature"]["features"]
    with rasterio.open(samples.root / samples.layers["landcover"]["source"]["uri"]) as file:
        [[value]] = file.sample([(place.x, place.y)])
    assert pixel["properties"]["igbp"] == value
    assert pixel["near"] < 1e-6
