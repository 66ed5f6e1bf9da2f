"""GDAL reads the tiles: WMTS in every matrix set, and vector tiles decoded at a known point."""

from __future__ import annotations

import json
import math
import urllib.request

import mapbox_vector_tile
import numpy as np
import pytest
import shapely

SETS = ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad", "w", "c"]
MERCATOR_HALF = 20037508.342789244
YICHANG = (111.28, 30.70)


def dataset(server, layer, tms):
    return f"WMTS:{server}/tiles/wmts/1.0.0/WMTSCapabilities.xml,layer={layer},tilematrixset={tms},style=default"


def colour(run_gdal, name, lon, lat):
    """Colour of a pixel of the finest level, asked by longitude and latitude."""
    text = run_gdal("gdallocationinfo", "-wgs84", "-valonly", name, str(lon), str(lat)).text
    return tuple(int(v) for v in text.split())


@pytest.fixture(scope="module")
def class_colours(samples):
    """Class value → colour of the land cover layer, from its YAML."""
    classes = samples.layers["landcover"]["style"]["classes"]
    return {c["value"]: tuple(bytes.fromhex(c["color"][1:7])) for c in classes}


@pytest.fixture(scope="module")
def known_places(samples):
    """Points in the middle of a 3 × 3 block of one land cover class: (lon, lat, class), one for each of the commoner ones."""
    import rasterio

    with rasterio.open(samples.root / samples.layers["landcover"]["source"]["uri"]) as file:
        values = file.read(1)
        places = {}
        for row in range(1, file.height - 1):
            for col in range(1, file.width - 1):
                block = values[row - 1 : row + 2, col - 1 : col + 2]
                value = int(block[1, 1])
                if value not in places and value != file.nodata and (block == value).all():
                    places[value] = (*file.xy(row, col), value)
    assert len(places) >= 2
    return list(places.values())


def test_capabilities_list_every_layer_in_every_matrix_set(published_server, run_gdal, samples):
    text = run_gdal("gdalinfo", f"WMTS:{published_server}/tiles/wmts/1.0.0/WMTSCapabilities.xml").text
    for layer_id in samples.layers:
        for tms in SETS:
            assert f"layer={layer_id},tilematrixset={tms}" in text


@pytest.mark.parametrize(("meridian", "epsg"), [(108, 4545), (111, 4546), (114, 4547), (117, 4548)])
def test_zones_have_northing_and_easting_in_their_places(published_server, run_gdal, meridian, epsg):
    name = dataset(published_server, "dem", f"CGCS2000_3GK_CM{meridian}")
    info = json.loads(run_gdal("gdalinfo", "-json", name).text)
    assert f'ID["EPSG",{epsg}]' in info["coordinateSystem"]["wkt"]
    x, dx, _, y, _, dy = info["geoTransform"]
    assert dx == pytest.approx(0.14)  # 1:500 at 0.28 mm
    assert dy == pytest.approx(-0.14)
    assert -500000 <= x < 1500000
    assert 3600000 < y < 4000000
    west = info["wgs84Extent"]["coordinates"][0][0][0]
    assert 107 < west < 109


@pytest.mark.parametrize("tms", SETS)
def test_matrix_set_has_the_right_origin_axes_and_resolution(published_server, run_gdal, samples, tms):
    import rasterio

    info = json.loads(run_gdal("gdalinfo", "-json", dataset(published_server, "dem", tms)).text)
    _, dx, _, _, _, dy = info["geoTransform"]
    assert dx == pytest.approx(-dy)
    # The finest matrix halves the whole width (or the height of 180 degrees) a whole number of times.
    level = math.log2((2 * MERCATOR_HALF if tms in ("WebMercatorQuad", "w") else 180) / 256 / dx)
    assert level == pytest.approx(round(level), abs=1e-6)
    with rasterio.open(samples.root / samples.layers["dem"]["source"]["uri"]) as file:
        bounds = file.bounds
    ring = np.array(info["wgs84Extent"]["coordinates"][0])
    np.testing.assert_allclose([*ring.min(axis=0), *ring.max(axis=0)], bounds, atol=1e-5)
    code = {"WebMercatorQuad": "3857", "w": "3857", "CGCS2000Quad": "4490", "c": "4490"}.get(tms)
    assert code is None or f'ID["EPSG",{code}]' in info["coordinateSystem"]["wkt"]


@pytest.mark.parametrize("tms", [*SETS, "CGCS2000_3GK_CM111", "CGCS2000_3GK_CM114"])
def test_a_known_pixel_has_the_colour_of_its_class(published_server, run_gdal, class_colours, known_places, tms):
    for lon, lat, value in known_places[:4]:
        found = colour(run_gdal, dataset(published_server, "landcover", tms), lon, lat)
        assert found[:3] == class_colours[value], (lon, lat, value)


def test_a_vector_layer_as_picture(published_server, run_gdal, samples):
    farmland = samples.frame("permanent-farmland")
    largest = farmland.geometry.iloc[int(np.argmax(shapely.area(farmland.geometry.array)))]
    inside = shapely.maximum_inscribed_circle(largest).coords[0]
    name = "permanent-farmland"
    found = {tms: colour(run_gdal, dataset(published_server, name, tms), *inside) for tms in SETS}
    assert all(c[3] > 0 for c in found.values()), found
    assert len(set(found.values())) == 1


# --- vector tiles ---------------------------------------------------------------------------------------------------------


def tile_of(tms, z, lon, lat):
    """Column, row, and bounds of the tile that holds a point, computed here from the definition of the set."""
    if tms == "WebMercatorQuad":
        size = 2 * MERCATOR_HALF / 2**z
        x = math.radians(lon) * 6378137.0
        y = math.log(math.tan(math.pi / 4 + math.radians(lat) / 2)) * 6378137.0
        col, row = int((x + MERCATOR_HALF) / size), int((MERCATOR_HALF - y) / size)
        west, north = -MERCATOR_HALF + col * size, MERCATOR_HALF - row * size
        return col, row, (west, north - size, west + size, north), (x, y)
    size = 180 / 2**z
    col, row = int((lon + 180) / size), int((90 - lat) / size)
    west, north = -180 + col * size, 90 - row * size
    return col, row, (west, north - size, west + size, north), (lon, lat)


@pytest.mark.parametrize("tms", ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad"])
@pytest.mark.parametrize("z", [4, 9, 14])
@pytest.mark.parametrize("layer_id", ["river-gauges", "airports"])
def test_a_known_point_decodes_to_its_place(published_server, samples, tms, z, layer_id):
    frame = samples.frame(layer_id)
    feature = frame.index[0]
    lon, lat = frame.geometry.loc[feature].coords[0]
    col, row, (west, south, east, north), (x, y) = tile_of(tms, z, lon, lat)
    bodies = []
    for path in (
        f"/tiles/{layer_id}/{tms}/{z}/{col}/{row}.mvt",
        f"/ogc/collections/{layer_id}/tiles/{tms}/{z}/{row}/{col}",
    ):
        with urllib.request.urlopen(published_server + path, timeout=60) as answer:
            bodies.append(answer.read())
    assert bodies[0] == bodies[1]
    layer = mapbox_vector_tile.decode(bodies[0], default_options={"y_coord_down": True})[layer_id]
    found = {f["id"]: f for f in layer["features"]}[feature]
    px, py = found["geometry"]["coordinates"]
    extent = layer["extent"]
    got = (west + px / extent * (east - west), north - py / extent * (north - south))
    # Half a unit of the tile is as near as an integer can be; one unit leaves room for rounding either way.
    assert got == pytest.approx((x, y), abs=(east - west) / extent)
    assert found["properties"]["name"] == frame.loc[feature, "name"]


def test_gdal_reads_vector_tiles_by_tilejson(published_server, run_gdal, samples, tmp_path):
    z = 7
    lon, lat = samples.frame("river-gauges").geometry.iloc[0].coords[0]
    col, row, _, _ = tile_of("WebMercatorQuad", z, lon, lat)
    with urllib.request.urlopen(f"{published_server}/tiles/river-gauges/WebMercatorQuad/{z}/{col}/{row}.mvt") as answer:
        # GDAL takes the number of a tile from its path.
        folder = tmp_path / str(z) / str(col)
        folder.mkdir(parents=True)
        (folder / f"{row}.mvt").write_bytes(answer.read())
    text = run_gdal(
        "ogrinfo", "-q", "-al", f"MVT:{folder / f'{row}.mvt'}", "-oo", "CLIP=NO", "-oo", "METADATA_FILE="
    ).text
    assert f"name (String) = {samples.frame('river-gauges')['name'].iloc[0]}" in text
    place = next(line for line in text.splitlines() if "POINT" in line).split("(")[1].rstrip(")").split()
    radius = 6378137.0
    got = (
        math.degrees(float(place[0]) / radius),
        math.degrees(2 * math.atan(math.exp(float(place[1]) / radius)) - math.pi / 2),
    )
    assert any(
        got == pytest.approx((p.x, p.y), abs=360 / 2**z / 4096 * 1.5) for p in samples.frame("river-gauges").geometry
    )


def test_gdal_reads_vector_tiles_by_the_ogc_api(published_server, samples):
    """The GDAL of pyogrio's wheel; Debian's 3.6 knows only version 1.0 of the tile matrix sets (docs: maps and styles)."""
    import pyogrio

    counties = samples.frame("counties")
    place = counties.geometry.loc[420102].representative_point()
    found = pyogrio.read_dataframe(
        f"OGCAPI:{published_server}/ogc/collections/counties",
        API="TILES",
        layer="Zoom level 8",
        bbox=(place.x - 0.01, place.y - 0.01, place.x + 0.01, place.y + 0.01),
    )
    assert "CRS84" in str(found.crs)
    here = found[found.intersects(place)]
    assert set(here["code"]) == {420102}
    assert set(here["name"]) == {counties.loc[420102, "name"]}
    # Clipped to its tiles, the county is where it is, within two units of a tile.
    whole = shapely.union_all(here.geometry.array)
    assert counties.geometry.loc[420102].buffer(180 / 2**8 / 4096 * 2).covers(whole)
