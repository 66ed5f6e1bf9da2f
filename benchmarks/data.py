"""Seeded synthetic data of the benchmark (基准合成数据): parcels that never overlap, and points, inside Hubei.

Nothing here is real. Parcels stand in the cells of one lattice, each inside the circle of its own cell, so no two can
touch; the occupied cells are drawn around cluster centres, half of them on the Jianghan plain, as settlements are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import shapely

from spatial.catalog import Layer

__all__ = ["OWNERS", "PARCELS", "POINTS", "parcels", "parcels_layer", "points", "points_layer"]

ROOT = Path(__file__).resolve().parents[1]
PARCELS, POINTS = "bench-parcels", "bench-points"
SEED = 20260101
CELL = 0.004
"""Side of a lattice cell, degrees."""
SPREAD = 0.07
"""Standard deviation of a cluster, degrees."""
PLAIN = (113.6, 30.5)
"""Longitude and latitude around which half of the clusters lie."""
LANDUSE = ("0101", "0102", "0201", "0301", "0401", "0601", "0602", "0701", "0702", "1001", "1101", "1201")
OWNERS = tuple(f"权属单位{number:02d}" for number in range(50))
_FIELDS = (
    ("code", "string", "编号", "Code"),
    ("county", "string", "片区", "Area"),
    ("landuse", "string", "地类", "Land use"),
    ("owner", "string", "权属", "Owner"),
    ("grade", "integer", "等别", "Grade"),
    ("year", "integer", "年份", "Year"),
    ("price", "number", "价格", "Price"),
    ("quality", "number", "质量", "Quality"),
    ("slope", "number", "坡度", "Slope"),
    ("protected", "boolean", "保护", "Protected"),
    ("surveyed", "date", "调查日期", "Date of survey"),
)
_POINT_FIELDS = (
    ("name", "string", "名称", "Name"),
    ("kind", "string", "类别", "Kind"),
    ("value", "number", "值", "Value"),
)


def _province() -> Any:
    frame = geopandas.read_file(ROOT / "data-samples" / "base" / "province.gpkg")
    return shapely.union_all(frame.geometry.values).simplify(0.01).buffer(-0.02)


def _centres(random: np.random.Generator, province: Any, count: int) -> np.ndarray:
    west, south, east, north = province.bounds
    found = np.empty((0, 2))
    while len(found) < count:
        wide = random.uniform((west, south), (east, north), (count, 2))
        plain = random.normal(PLAIN, (0.45, 0.35), (count, 2))
        drawn = np.where(random.random((count, 1)) < 0.5, plain, wide)
        found = np.vstack([found, drawn[shapely.contains_xy(province, drawn)]])
    return found[:count]


def parcels(count: int, seed: int = SEED) -> geopandas.GeoDataFrame:
    """Parcels (地块): star-shaped polygons of 22–38 vertices with 11 attributes; index = fid, neighbours together.

    Parameters
    ----------
    count : int
    seed : int

    Returns
    -------
    GeoDataFrame, EPSG:4490, coordinates of 9 decimals
    """
    random = np.random.default_rng(seed)
    province = _province()
    shapely.prepare(province)
    centres = _centres(random, province, max(4, count // 700))
    cells = np.empty((0, 2), np.int64)
    clusters = np.empty(0, np.int64)
    while len(cells) < count:
        cluster = random.integers(0, len(centres), count)
        spot = random.normal(centres[cluster], SPREAD)
        cell = np.floor(spot / CELL).astype(np.int64)
        inside = shapely.contains_xy(province, (cell + 0.5) * CELL)
        cells = np.vstack([cells, cell[inside]])
        clusters = np.concatenate([clusters, cluster[inside]])
        _, first = np.unique(cells, axis=0, return_index=True)
        first = np.sort(first)
        cells, clusters = cells[first], clusters[first]
    cells, clusters = cells[:count], clusters[:count]
    order = np.lexsort((cells[:, 0], cells[:, 1], clusters))
    cells, clusters = cells[order], clusters[order]

    sides = random.integers(22, 39, count)
    owner = np.repeat(np.arange(count), sides)
    step = np.arange(len(owner)) - np.repeat(np.cumsum(sides) - sides, sides)
    angle = 2 * np.pi * (step + random.uniform(0, 0.7, len(owner))) / sides[owner]
    radius = CELL / 2 * random.uniform(0.6, 0.97, len(owner))
    middle = (cells[owner] + 0.5) * CELL
    vertices = np.round(middle + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]), 9)
    geometry = shapely.polygons(shapely.linearrings(vertices, indices=owner))

    index = pd.RangeIndex(1, count + 1, name="fid")
    columns = {
        "code": [f"42{number:010d}" for number in range(1, count + 1)],
        "county": [f"片区{number:03d}" for number in clusters],
        "landuse": np.array(LANDUSE, dtype=object)[random.integers(0, len(LANDUSE), count)],
        "owner": np.array(OWNERS, dtype=object)[random.integers(0, len(OWNERS), count)],
        "grade": random.integers(1, 16, count),
        "year": random.integers(2000, 2026, count),
        "price": np.round(random.gamma(2.0, 500.0, count), 2),
        "quality": np.round(random.uniform(0, 100, count), 3),
        "slope": np.round(random.uniform(0, 25, count), 1),
        "protected": random.random(count) < 0.2,
        "surveyed": np.datetime64("2015-01-01") + random.integers(0, 3650, count).astype("timedelta64[D]"),
    }
    return geopandas.GeoDataFrame(columns, index=index, geometry=geometry, crs=4490)


def points(count: int, seed: int = SEED) -> geopandas.GeoDataFrame:
    """Points (兴趣点) around cluster centres with 3 attributes; index = fid."""
    random = np.random.default_rng(seed + 1)
    province = _province()
    shapely.prepare(province)
    centres = _centres(random, province, max(4, count // 2000))
    found = np.empty((0, 2))
    while len(found) < count:
        drawn = random.normal(centres[random.integers(0, len(centres), count)], SPREAD)
        found = np.vstack([found, drawn[shapely.contains_xy(province, drawn)]])
    spots = np.round(found[:count], 9)
    columns = {
        "name": [f"点位{number}" for number in range(1, count + 1)],
        "kind": np.array(["学校", "医院", "监测站", "泵站"], dtype=object)[random.integers(0, 4, count)],
        "value": np.round(random.uniform(0, 1000, count), 2),
    }
    index = pd.RangeIndex(1, count + 1, name="fid")
    return geopandas.GeoDataFrame(columns, index=index, geometry=shapely.points(spots), crs=4490)


def _layer(layer_id: str, zh: str, en: str, fields: tuple[tuple[str, str, str, str], ...], **more: Any) -> Layer:
    text = {"zh": zh, "en": en}
    return Layer.model_validate(
        {
            "id": layer_id,
            "title": text,
            "description": text,
            "theme": ["base"],
            "kind": "vector",
            "source": {
                "uri": "benchmarks/data.py",
                "version": "1",
                "sha256": "0" * 64,
                "licence": "CC0-1.0",
                "attribution": {"zh": "基准合成数据", "en": "synthetic benchmark data"},
                "origin": f"benchmarks/data.py, seed {SEED}",
            },
            "fields": [{"name": n, "type": t, "title": {"zh": z, "en": e}} for n, t, z, e in fields],
            "style": {"type": "single", "stroke": "#336699", "fill": "#33669933", "radius": 3},
            "synthetic": {"seed": SEED, "recipe": text},
            **more,
        }
    )


def parcels_layer() -> Layer:
    """Layer of the parcels; small ones are merged by land use in low zooms."""
    return _layer(PARCELS, "基准地块（合成）", "Benchmark parcels (synthetic)", _FIELDS, class_field="landuse")


def points_layer() -> Layer:
    """Layer of the points."""
    return _layer(POINTS, "基准点（合成）", "Benchmark points (synthetic)", _POINT_FIELDS)
