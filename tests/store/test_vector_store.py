"""What a store promises, on both stores and against the published frame itself."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import geopandas as gpd
import mapbox_vector_tile
import numpy as np
import pandas as pd
import pytest
import shapely

from spatial.crs import CRS84, SERVED, parse_crs, transformer
from spatial.errors import (
    CRSMismatch,
    FeatureNotFound,
    InvalidParameter,
    LayerDefinitionInvalid,
    LayerEmpty,
    QualityViolation,
    StoreUnavailable,
    UnknownProperty,
)
from spatial.grid import tile_bounds, tile_matrix_set
from spatial.store.published_frame import prepare
from spatial.store.tile_grid import coarsest_grid, in_degrees
from spatial.store.vector import Interval, ItemQuery, open_vector_store


def properties_of(row, layer):
    out = {}
    for name, kind in ((f.name, f.type) for f in layer.fields):
        value = row[name]
        if pd.isna(value):
            out[name] = None
        elif kind == "date":
            out[name] = value.strftime("%Y-%m-%d")
        elif kind == "datetime":
            text = value.strftime("%Y-%m-%dT%H:%M:%S.%f").rstrip("0").rstrip(".")
            out[name] = text + "Z"
        else:
            out[name] = {"integer": int, "number": float, "boolean": bool, "string": str}[kind](value)
    return out


def test_publication_describes_what_was_written(published):
    table = published.table
    assert table.count == 300
    assert table.geometry_type == "MultiPolygon"
    assert table.extent == tuple(published.frame.total_bounds)
    seen = published.frame["seen"]
    assert table.time_extent == (seen.min(), seen.max())
    assert table.generalised == {}


def test_pages_hold_every_feature_once_in_the_order_of_ids_with_typed_properties(published):
    store, table, frame = published.store, published.table, published.frame
    features, after = [], None
    while True:
        page = store.page(table, ItemQuery(limit=70, after=after))
        features += map(json.loads, page.features)
        assert [f["id"] for f in features[-len(page.fids) :]] == page.fids
        after = page.fids[-1]
        if not page.more:
            break
    assert [f["id"] for f in features] == list(frame.index)
    for feature, (_, row) in zip(features, frame.iterrows(), strict=True):
        assert feature["type"] == "Feature"
        assert feature["properties"] == properties_of(row, table.layer)
        kinds = {name: type(value) for name, value in feature["properties"].items() if value is not None}
        assert kinds.get("pop", int) is int
        assert kinds.get("open", bool) is bool
        expected = row.geometry if row.geometry.geom_type == "MultiPolygon" else shapely.MultiPolygon([row.geometry])
        expected = shapely.orient_polygons(
            expected
        )  # the right-hand rule of RFC 7946; the frame has discs that turn clockwise
        assert shapely.from_geojson(json.dumps(feature["geometry"])).equals_exact(expected, 0)


@pytest.mark.parametrize("crs", SERVED.values(), ids=lambda c: c.name)
def test_coordinates_in_every_crs_and_axis_order(published, crs):
    store, table, frame = published.store, published.table, published.frame
    page = store.page(table, ItemQuery(limit=5, crs=crs))
    for text, geometry in zip(page.features, frame.geometry, strict=False):
        found = shapely.get_coordinates(shapely.from_geojson(json.dumps(json.loads(text)["geometry"])))
        x, y = shapely.get_coordinates(shapely.orient_polygons(geometry)).T
        if crs.projected:
            x, y = transformer(4490, crs.srid).transform(x, y)
        wire = np.column_stack((y, x) if crs.latitude_first else (x, y))
        np.testing.assert_allclose(found, wire, atol=6e-5 if crs.projected else 0, rtol=0)


def test_async_answers_equal_sync_answers(published):
    store, table = published.store, published.table
    queries = [ItemQuery(limit=9), ItemQuery(limit=9, crs=parse_crs("EPSG:4547")), ItemQuery(limit=4, offset=50)]

    async def ask():
        pages = [await store.apage(table, q) for q in queries]
        fid = int(published.frame.index[3])
        tile = await store.atile(table, "WebMercatorQuad", 9, 418, 209)
        return pages, await store.acount(table, ItemQuery()), await store.aitem(table, fid, CRS84), tile

    async def run():
        try:
            return await ask()
        finally:
            if hasattr(store, "_async_pools"):
                await store._async_pools.pop(asyncio.get_running_loop()).close()

    pages, count, item, tile = asyncio.run(run())
    assert pages == [store.page(table, q) for q in queries]
    assert count == 300
    assert item == store.item(table, int(published.frame.index[3]), CRS84)
    assert tile == store.tile(table, "WebMercatorQuad", 9, 418, 209)


def test_selected_properties_without_geometry(published):
    page = published.store.page(published.table, ItemQuery(limit=1, properties=("open", "name"), skip_geometry=True))
    feature = json.loads(page.features[0])
    assert feature["geometry"] is None
    assert list(feature["properties"]) == ["name", "open"]
    with pytest.raises(UnknownProperty, match="nope"):
        published.store.page(published.table, ItemQuery(properties=("nope",)))


def test_area_is_exact_intersection(published):
    area = shapely.Point(114.3, 30.6).buffer(0.1)
    expected = list(published.frame.index[published.frame.intersects(area)])
    assert 5 < len(expected) < 100
    query = ItemQuery(limit=1000, area=area)
    assert published.store.page(published.table, query).fids == expected
    assert published.store.count(published.table, query) == len(expected)


def test_interval_and_equals(published):
    store, table, frame = published.store, published.table, published.frame
    interval = Interval(datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 2, 10, tzinfo=UTC))
    expected = list(frame.index[frame["seen"].between(interval.start, interval.end)])
    assert store.page(table, ItemQuery(limit=1000, interval=interval)).fids == expected
    assert store.count(table, ItemQuery(interval=Interval(None, None))) == 300
    for name in ("it's", 'say "hi"', "50%", "a\\b", "", "'; DROP TABLE x; --"):
        expected = list(frame.index[frame["name"] == name])
        assert store.page(table, ItemQuery(limit=1000, equals={"name": name})).fids == expected
    assert store.count(table, ItemQuery(equals={"kind": None})) == frame["kind"].isna().sum()
    with pytest.raises(UnknownProperty):
        store.count(table, ItemQuery(equals={'name" OR 1=1 --': "x"}))
    for name, value in {"pop": "7", "open": 1, "built": "2024-01-01", "name": 3}.items():
        with pytest.raises(InvalidParameter, match=name):
            store.count(table, ItemQuery(equals={name: value}))


def test_missing_feature(published):
    with pytest.raises(FeatureNotFound, match="test-plots"):
        published.store.item(published.table, 11, CRS84)


@pytest.mark.parametrize("tms", ["WebMercatorQuad", "WorldCRS84Quad", "CGCS2000Quad"])
def test_tile_coordinates_decode_to_the_place(published, tms):
    store, table, frame = published.store, published.table, published.frame
    fid = int(frame.index[5])
    lon, lat = shapely.get_coordinates(frame.geometry[fid].centroid)[0]
    zoom = 10
    matrix = tile_matrix_set(tms).tileMatrices[zoom]
    if tms == "WebMercatorQuad":
        x, y = transformer(4490, 3857).transform(lon, lat)
        west, north = -20037508.342789244, 20037508.342789244
    else:
        x, y, west, north = lon, lat, -180.0, 90.0
    size = matrix.cellSize * 256
    column, row = int((x - west) // size), int((north - y) // size)
    tile = store.tile(table, tms, zoom, column, row)
    decoded = mapbox_vector_tile.decode(tile, default_options={"y_coord_down": True})
    assert list(decoded) == ["test-plots"]
    features = {f["id"]: f for f in decoded["test-plots"]["features"]}
    found = shapely.geometry.shape(features[fid]["geometry"])
    left, top = west + column * size, north - row * size
    inside = shapely.transform(
        found, lambda xy: np.column_stack([left + xy[:, 0] * size / 4096, top - xy[:, 1] * size / 4096])
    )
    assert inside.buffer(size / 1000).contains(shapely.Point(x, y))
    expected = {k: v for k, v in properties_of(frame.loc[fid], table.layer).items() if v is not None}
    assert features[fid]["properties"] == expected


def _shown(tile, layer):
    decoded = mapbox_vector_tile.decode(tile, default_options={"y_coord_down": True})
    return {f["id"]: (f["properties"], shapely.geometry.shape(f["geometry"])) for f in decoded[layer]["features"]}


def _rounding(west, north, scale):
    return lambda xy: np.rint((xy - (west, north)) * (scale, -scale))


@pytest.mark.parametrize("store_settings", ["postgis"], indirect=True)
@pytest.mark.parametrize("tms", ["WebMercatorQuad", "CGCS2000Quad"])
def test_what_is_only_moved_into_a_tile_is_what_clipping_would_give(make_layer, store_settings, tms):
    """PostGIS, once with the short way of polygons that bear the grid and once all through ST_AsMVTGeom."""
    rng = np.random.default_rng(11)
    turns = 2 * np.pi * (np.arange(24) + rng.uniform(-0.2, 0.2, (400, 24))) / 24
    radii = [0.002 * rng.uniform(0.6, 1, 24) for _ in turns]
    places = rng.uniform((114.1, 30.1), (114.2, 30.2), (400, 2))
    shapes = [
        shapely.Polygon(np.column_stack([x + r * np.cos(a), y + r * np.sin(a)]))
        for (x, y), a, r in zip(places, turns, radii, strict=True)
    ]
    shapes[0] = shapes[0] - shapely.box(*places[0] - 0.0004, *places[0] + 0.0004)  # a hole
    shapes[1] = shapely.MultiPolygon([shapes[1], shapely.box(*places[1] + 0.003, *places[1] + 0.004)])
    shapes[2] = shapely.Polygon([(114.1, 30.1), (114.12, 30.12), (114.12, 30.1), (114.1, 30.12)])  # crosses itself
    layer = make_layer("test-grid", {"name": "string"})
    names = [str(n) for n in range(400)]
    frame = gpd.GeoDataFrame({"name": names}, geometry=shapes, crs=4490, index=range(1, 401))
    store = open_vector_store(store_settings)
    table = store.publish(layer, "1", frame)
    prepared = prepare(layer, frame)
    metres = coarsest_grid(prepared.geometry_3857)
    mercator = tms == "WebMercatorQuad"
    plane = prepared.geometry_3857 if mercator else prepared.geometry
    bears = metres if mercator else in_degrees(metres, plane)
    only_moved = []
    try:
        for tile in tile_matrix_set(tms).tiles(114.1, 30.1, 114.2, 30.2, [11, 12, 13]):
            zoom = tile.z
            west, _, east, north = tile_bounds(tms, zoom, tile.x, tile.y)
            scale = 4096 / (east - west)
            rounded = shapely.transform(plane, _rounding(west, north, scale))
            quick = _shown(store.tile(table, tms, zoom, tile.x, tile.y), "test-grid")
            clipped = _shown(store.tile(replace(table, tile_grid=False), tms, zoom, tile.x, tile.y), "test-grid")
            assert quick.keys() == clipped.keys()
            for fid, (properties, shape) in quick.items():
                assert properties == clipped[fid][0]
                assert shape.is_valid
                # Clipping also thins by half a unit and rounds; a moved polygon is rounded only.
                assert shapely.hausdorff_distance(shape, clipped[fid][1]) <= 2
                moved = rounded[fid - 1]
                box = shapely.bounds(moved)
                if bears[fid - 1] * scale >= 1 and box.min() >= -63 and box.max() <= 4096 + 63:
                    shape = shapely.multipolygons(shapely.get_parts([shape]))  # a single part decodes as a polygon
                    assert shapely.normalize(shape).equals_exact(shapely.normalize(moved))
                    only_moved.append(fid)
    finally:
        store.drop(table)
        store.close()
    assert len(set(only_moved)) > 300
    assert {1, 2} <= set(only_moved)
    assert 3 not in only_moved


def test_tile_of_nothing_is_empty(published):
    assert published.store.tile(published.table, "WebMercatorQuad", 10, 3, 3) == b""


@pytest.mark.parametrize("tms", ["WebMercatorQuad", "CGCS2000Quad"])
def test_a_polygon_that_crosses_itself_does_not_take_the_tile_away(make_layer, store_settings, tms):
    """Parts that overlap, and a bow tie: DuckDB's clipping ends the whole statement at such a one."""
    box = shapely.box
    shapes = [
        shapely.MultiPolygon([box(114.0, 30.5, 114.1, 30.6), box(114.05, 30.55, 114.15, 30.65)]),
        shapely.Polygon([(114.2, 30.5), (114.3, 30.6), (114.3, 30.5), (114.2, 30.6)]),
        box(114.2, 30.62, 114.3, 30.68),
    ]
    layer = make_layer("test-crossing", {"name": "string"})
    frame = gpd.GeoDataFrame({"name": ["重叠", "蝴蝶结", "方"]}, geometry=shapes, crs=4490, index=[1, 2, 3])
    store = open_vector_store(store_settings)
    table = store.publish(layer, "1", frame)
    try:
        x, y = {"WebMercatorQuad": (26, 13), "CGCS2000Quad": (52, 10)}[tms]
        tile = store.tile(table, tms, 5, x, y)
        features = mapbox_vector_tile.decode(tile, default_options={"y_coord_down": True})["test-crossing"]["features"]
        found = {f["id"]: (f["properties"]["name"], shapely.geometry.shape(f["geometry"])) for f in features}
    finally:
        store.drop(table)
        store.close()
    assert {fid: name for fid, (name, _) in found.items()} == {1: "重叠", 2: "蝴蝶结", 3: "方"}
    assert all(shape.is_valid and shape.area > 0 for _, shape in found.values())
    plain = found[3][1].area / 60  # of the box 0.1° × 0.06°, for 0.001 square degrees
    assert found[2][1].area == pytest.approx(plain * 50, rel=0.1)
    assert 140 * plain <= found[1][1].area <= 180 * plain  # the common part counts once or not at all


def test_frame_gives_back_what_was_published(published):
    found = published.store.frame(published.table)
    assert found.crs.to_epsg() == 4490
    assert list(found.index) == list(published.frame.index)
    assert found["pop"].dtype == "Int64"
    assert found["count"].dtype == np.int64
    assert str(found["seen"].dtype) == "datetime64[us, UTC]"
    wanted = published.frame.geometry
    assert all(a.equals(b) for a, b in zip(found.geometry, wanted, strict=True))
    part = published.store.frame(published.table, ItemQuery(equals={"kind": "林地"}, properties=("pop",)))
    assert list(part.columns) == ["pop", "geometry"]
    assert len(part) == (published.frame["kind"] == "林地").sum()


def test_many_threads_get_their_own_rows(published):
    store, table = published.store, published.table
    fids = [int(f) for f in published.frame.index]

    def ask(i):
        fid = fids[i % len(fids)]
        page = store.page(table, ItemQuery(limit=3, after=fid - 1))
        return page.fids[0] == fid and json.loads(store.item(table, fid, CRS84))["id"] == fid

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(400)))


def test_publishing_beside_a_reader_and_dropping(store_settings, published, make_layer, make_frame):
    layer, frame = make_layer("test-second"), make_frame(20)
    writer = open_vector_store(store_settings)
    first = writer.publish(layer, "1", frame)
    second = writer.publish(layer, "2", frame.iloc[:5])
    assert published.store.count(first, ItemQuery()) == 20
    assert published.store.count(second, ItemQuery()) == 5
    writer.drop(first)
    writer.drop(first)
    with pytest.raises(StoreUnavailable, match="test-second"):
        writer.page(first, ItemQuery())
    assert writer.count(second, ItemQuery()) == 5
    writer.drop(second)
    writer.close()


def test_refused_frames(store_settings, make_layer, make_frame):
    store = open_vector_store(store_settings)
    layer, frame = make_layer("test-bad"), make_frame(10)
    bad = {
        CRSMismatch: frame.to_crs(3857),
        LayerEmpty: frame.iloc[:0],
        LayerDefinitionInvalid: frame.drop(columns="pop"),
        QualityViolation: frame.set_index(np.zeros(10, dtype=int)),
    }
    for error, data in bad.items():
        with pytest.raises(error, match="test-bad"):
            store.publish(layer, "1", data)
    text_where_number = frame.assign(pop=["x"] * 10)
    with pytest.raises(LayerDefinitionInvalid, match="pop"):
        store.publish(layer, "1", text_where_number)
    store.close()


def test_naive_times_are_local_and_become_utc(store_settings, make_layer, make_frame):
    store = open_vector_store(store_settings)
    frame = make_frame(3).assign(seen=pd.to_datetime(["2024-01-01 08:00", "2024-01-01 00:00", None]))
    table = store.publish(make_layer("test-times"), "1", frame)
    texts = [json.loads(t)["properties"]["seen"] for t in store.page(table, ItemQuery()).features]
    assert sorted(texts, key=str) == ["2023-12-31T16:00:00Z", "2024-01-01T00:00:00Z", None]
    store.drop(table)
    store.close()
