"""Generalised tables keep every area, length and point, and keep tiles light."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from spatial.catalog import Layer
from spatial.store.generalise import SQUARES, TILE_BYTES, generalise, pixel_size
from spatial.store.published_frame import prepare, table_name


def layer_of(**changes):
    text = {"zh": "测试", "en": "test"}
    source = {"uri": "x", "version": "1", "sha256": "0" * 64, "licence": "CC0", "attribution": text, "origin": "test"}
    fields = [{"name": n, "type": "string", "title": text} for n in ("kind", "code")]
    document = {
        "id": "x",
        "title": text,
        "description": text,
        "theme": ["base"],
        "kind": "vector",
        "source": source,
        "fields": fields,
        "style": {},
        "class_field": "kind",
    }
    return Layer.model_validate(document | changes)


def frame_of(shapes, rng):
    kinds = np.where(rng.random(len(shapes)) < 0.05, None, rng.choice(["林地", "水域"], len(shapes)))
    columns = {"kind": kinds, "code": [f"c{i}" for i in range(len(shapes))]}
    return gpd.GeoDataFrame(columns, geometry=shapes, crs=4490, index=range(1, len(shapes) + 1))


@pytest.fixture(scope="module")
def parcels():
    rng = np.random.default_rng(7)
    step = 0.002
    cells = np.unique(np.floor(rng.normal([114.3, 30.6], 0.2, (20_000, 2)) / step).astype(int), axis=0)
    size = step * rng.uniform(0.2, 0.49, (len(cells), 2))
    centre = (cells + 0.5) * step
    shapes = shapely.box(*(centre - size).T, *(centre + size).T)
    shapes = np.append(shapes, [shapely.Point(112, 31).buffer(0.3), shapely.box(110, 30, 110.0005, 30.0005)])
    layer = layer_of()
    prepared = prepare(layer, frame_of(shapes, rng))
    return prepared, generalise(layer, prepared)


def areas_by_class(columns, geometry):
    return pd.Series(shapely.area(geometry)).groupby(columns["kind"].fillna("-")).sum()


def test_no_area_is_lost_in_any_class(parcels):
    prepared, tables = parcels
    wanted = areas_by_class(prepared.columns, prepared.geometry_3857)
    outline = shapely.length(prepared.geometry_3857[-2])
    assert [t.zoom for t in tables] == list(range(tables[0].zoom, -1, -1))
    for table in tables:
        drawn = areas_by_class(table.columns, table.geometry_3857)
        # Simplification may cut at most a pixel along the one large outline; merging cuts nothing.
        assert (drawn >= wanted - outline * pixel_size(table.zoom)).all(), table.zoom
        if table.zoom >= 4:
            assert drawn.sum() <= 1.12 * wanted.sum(), table.zoom


def test_merged_squares_are_valid_where_they_are_larger_than_their_cell():
    """Strips of many small polygons whose common area exceeds the cell of their centres overlap their neighbours."""
    rng = np.random.default_rng(5)
    layer = layer_of(class_field=None)
    at = np.repeat(rng.integers(0, 60, (1200, 2)), 12, axis=0) * 0.0105 + [113.5, 30.2]
    at = at + rng.normal(0, 1e-4, at.shape)
    half = np.array([0.006, 0.002])
    shapes = shapely.box(*(at - half).T, *(at + half).T)
    tables = generalise(layer, prepare(layer, frame_of(shapes, rng)))
    assert tables
    for table in tables:
        merged = table.geometry_3857[pd.isna(table.fids)]
        assert shapely.is_valid(merged).all(), table.zoom


def test_merged_squares_are_visible_and_near_their_polygons(parcels):
    prepared, tables = parcels
    for table in tables:
        pixel = pixel_size(table.zoom)
        merged = table.geometry_3857[pd.isna(table.fids)]
        bounds = shapely.bounds(shapely.get_parts(merged))
        assert (bounds[:, 2] - bounds[:, 0]).min() >= pixel / 13
        assert (bounds[:, 3] - bounds[:, 1]).min() >= pixel / 13
        everything = shapely.STRtree(prepared.geometry_3857)
        corners = shapely.points((bounds[:, :2] + bounds[:, 2:]) / 2)
        _, distance = everything.query_nearest(corners, return_distance=True, all_matches=False)
        assert distance.max() <= 9 * pixel


def test_the_lonely_small_polygon_is_in_every_table(parcels):
    _, tables = parcels
    place = shapely.Point(*prepare_point(110.00025, 30.00025))
    for table in tables:
        assert shapely.distance(table.geometry_3857, place).min() < 9 * pixel_size(table.zoom)


def prepare_point(lon, lat):
    from spatial.crs import transformer

    return transformer(4490, 3857).transform(lon, lat)


def test_large_polygons_keep_id_and_attributes_and_half_a_pixel(parcels):
    prepared, tables = parcels
    large = len(prepared.fids) - 1
    for table in tables:
        if table.zoom < 5:
            continue
        at = list(table.fids).index(large)
        assert table.columns["code"].iloc[at] == f"c{large - 1}"
        apart = shapely.hausdorff_distance(table.geometry_3857[at], prepared.geometry_3857[large - 1])
        assert apart <= 1.01 * pixel_size(table.zoom)


def test_no_tile_holds_too_much(parcels):
    _, tables = parcels
    for table in tables:
        width = 256 * pixel_size(table.zoom)
        merged = pd.isna(table.fids)
        parts = shapely.get_coordinates(shapely.centroid(shapely.get_parts(table.geometry_3857[merged])))
        tiles = np.unique(np.floor(parts / width), axis=0, return_counts=True)[1]
        assert tiles.max() <= SQUARES * 2
        kept = shapely.get_coordinates(shapely.centroid(table.geometry_3857[~merged]))
        if len(kept):
            assert np.unique(np.floor(kept / width), axis=0, return_counts=True)[1].max() * 30 < TILE_BYTES


def test_light_layers_have_no_tables():
    rng = np.random.default_rng(1)
    layer = layer_of()
    few = frame_of(shapely.box(*(rng.uniform(113, 114, (2, 500))), *(rng.uniform(114, 115, (2, 500)))), rng)
    assert generalise(layer, prepare(layer, few)) == []
    points = frame_of(shapely.points(rng.uniform([113, 30], [114, 31], (50_000, 2))), rng)
    assert generalise(layer, prepare(layer, points)) == []


def test_points_are_counted_not_thinned():
    rng = np.random.default_rng(2)
    layer = layer_of()
    prepared = prepare(layer, frame_of(shapely.points(rng.normal([114, 30.5], 0.3, (60_000, 2))), rng))
    tables = generalise(layer, prepared)
    assert len(tables) > 3
    for table in tables:
        assert table.counts.sum() == 60_000
        by_class = pd.Series(table.counts).groupby(table.columns["kind"].fillna("-")).sum()
        assert dict(by_class) == dict(prepared.columns["kind"].fillna("-").value_counts())
        alone = ~pd.isna(table.fids)
        assert (table.counts[alone] == 1).all()
        assert (table.counts[~alone] > 1).all()
        mean = np.average(shapely.get_coordinates(table.geometry_3857), axis=0, weights=table.counts)
        np.testing.assert_allclose(mean, shapely.get_coordinates(prepared.geometry_3857).mean(axis=0), atol=1e-3)


def test_short_lines_are_joined_not_dropped():
    rng = np.random.default_rng(3)
    layer = layer_of()
    start = rng.normal([114, 30.5], 0.1, (30_000, 2))
    lines = shapely.linestrings(np.stack([start, start + rng.normal(0, 0.001, (30_000, 2))], axis=1))
    prepared = prepare(layer, frame_of(lines, rng))
    tables = generalise(layer, prepared)
    wanted = shapely.length(prepared.geometry_3857).sum()
    for table in tables:
        assert shapely.get_num_geometries(table.geometry_3857).sum() == 30_000
        assert shapely.length(table.geometry_3857).sum() >= 0.999 * wanted


def test_coverages_stay_coverages():
    rng = np.random.default_rng(4)
    edges = np.linspace(113, 115, 41)
    wiggle = np.cumsum(rng.normal(0, 1e-4, (41, 4001)), axis=1)
    y = np.linspace(30, 31, 4001)
    sides = edges[:, None] + wiggle
    sides.sort(axis=0)
    shapes = [shapely.Polygon(np.r_[np.c_[sides[i], y], np.c_[sides[i + 1], y][::-1]]) for i in range(40)]
    layer = layer_of(quality={"coverage": True})
    prepared = prepare(layer, frame_of(shapes, rng))
    tables = generalise(layer, prepared)
    assert tables
    for table in tables[:3]:
        union = shapely.area(shapely.union_all(table.geometry_3857))
        assert union == pytest.approx(shapely.area(table.geometry_3857).sum(), rel=1e-9)


def test_table_names_are_short_and_distinct():
    names = {table_name("a" * 51, v) for v in ("1" * 41, "1" * 40 + "2", "x")}
    assert len(names) == 3
    assert max(len(n) for n in names) <= 55
