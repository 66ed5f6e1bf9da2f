"""What is asked of every server (测量项目): the same questions to the raw SQL, to us and to the peers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import geopandas
import numpy as np
import shapely
from data import OWNERS, PARCELS, POINTS

__all__ = ["Cell", "cells", "statements", "tiles_of"]

SQL_FILE = Path(__file__).with_name("raw.sql")
OURS = f"/ogc/collections/{PARCELS}/items"
OURS_POINTS = f"/ogc/collections/{POINTS}/items"
PEER = {"pygeoapi": "/collections/parcels/items", "tipg": "/collections/peers.parcels/items"}
PEER_POINTS = {"pygeoapi": "/collections/points/items", "tipg": "/collections/peers.points/items"}
FORMAT = {"pygeoapi": "f=json", "tipg": "f=geojson"}
ZOOMS = (8, 10, 12, 14)


def statements() -> dict[str, str]:
    """The statements of ``raw.sql`` by name."""
    parts = re.split(r"^-- name: (\w+)\n", SQL_FILE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {name: text.strip().rstrip(";") for name, text in zip(parts[::2], parts[1::2], strict=True)}


@dataclass
class Cell:
    """One kind of request; entry `n` of every list asks for the same thing.

    Attributes
    ----------
    statement : str
        Name in ``raw.sql``.
    values : list of tuples
        Values for its placeholders.
    paths : mapping
        Server → addresses.
    samples : int
        Requests a round at one client.
    load : int
        Requests a round at four clients, for the CPU; 0 is none.
    exact : bool
        Every server must give the same feature ids; else only as many (without ``ORDER BY`` any rows are right).
    """

    key: str
    zh: str
    en: str
    statement: str
    values: list[tuple[Any, ...]]
    paths: dict[str, list[str]]
    samples: int
    load: int = 0
    exact: bool = False
    tile: bool = False
    sizes: dict[str, int] = field(default_factory=dict)


def cells(parcels: geopandas.GeoDataFrame, point_count: int, last_page: str, seed: int = 7) -> list[Cell]:
    """Every cell, for these parcels.

    Parameters
    ----------
    parcels : GeoDataFrame
    point_count : int
    last_page : str
        Our address of the last page of points, as a ``next`` link gives it.
    seed : int
    """
    random = np.random.default_rng(seed)
    count = len(parcels)
    centre = shapely.get_coordinates(shapely.centroid(parcels.geometry.values))

    def everywhere(query: str, peer_query: str | None = None) -> dict[str, list[str]]:
        asked = peer_query or query
        return {
            "ours": [f"{OURS}?{query}&f=json"],
            **{name: [f"{PEER[name]}?{asked}&{FORMAT[name]}"] for name in PEER},
        }

    def joined(each: list[dict[str, list[str]]]) -> dict[str, list[str]]:
        return {name: [path for one in each for path in one[name]] for name in each[0]}

    boxes = _boxes(random, parcels, centre)
    owners = [str(name) for name in random.choice(OWNERS, 8, replace=False)]
    limits = [float(value) for value in (80, 85, 90, 95)]
    texts = [quote(f"(landuse = '0101' OR landuse = '0301') AND quality > {v:g} AND grade <= 5") for v in limits]
    fids = [int(fid) for fid in random.choice(parcels.index.to_numpy(), 50, replace=False)]
    last = point_count - 1000
    found = [
        Cell("limit100", "一页 100 个要素", "page of 100", "page", [(100,)], everywhere("limit=100"), 15, 160),
        Cell("limit1000", "一页 1,000 个要素", "page of 1,000", "page", [(1000,)], everywhere("limit=1000"), 8, 48),
        Cell(
            "bbox",
            "小范围 bbox（300–1,000 个）",
            "small bbox (300–1,000)",
            "bbox",
            boxes,
            joined([everywhere(f"limit=1000&bbox={','.join(map(str, box))}") for box in boxes]),
            12,
            80,
            exact=True,
        ),
        Cell(
            "property",
            "属性等于，100 个",
            "property filter, 100",
            "property",
            [(owner,) for owner in owners],
            joined([everywhere(f"limit=100&owner={quote(owner)}") for owner in owners]),
            12,
        ),
        Cell(
            "cql2",
            "CQL2 过滤，100 个",
            "CQL2 filter, 100",
            "cql2",
            [(value,) for value in limits],
            joined([everywhere(f"limit=100&filter-lang=cql2-text&filter={text}") for text in texts]),
            12,
        ),
        Cell(
            "item",
            "单个要素",
            "single feature",
            "item",
            [(fid,) for fid in fids],
            {
                "ours": [f"{OURS}/{fid}?f=json" for fid in fids],
                **{name: [f"{PEER[name]}/{fid}?{FORMAT[name]}" for fid in fids] for name in PEER},
            },
            50,
            600,
            exact=True,
        ),
        Cell(
            "points_first",
            f"{point_count:,} 个点的第一页",
            f"first page of {point_count:,} points",
            "points",
            [(0,)],
            {
                "ours": [f"{OURS_POINTS}?limit=1000&f=json"],
                **{name: [f"{PEER_POINTS[name]}?limit=1000&{FORMAT[name]}"] for name in PEER},
            },
            5,
        ),
        Cell(
            "points_last",
            f"{point_count:,} 个点的最后一页",
            f"last page of {point_count:,} points",
            "points",
            [(last,)],
            {
                "ours": [last_page],
                **{name: [f"{PEER_POINTS[name]}?limit=1000&offset={last}&{FORMAT[name]}"] for name in PEER},
            },
            5,
        ),
    ]
    return found + [_tiles(random, centre, zoom, count) for zoom in ZOOMS]


def _boxes(random: np.random.Generator, parcels: Any, centre: Any) -> list[tuple[float, float, float, float]]:
    """Boxes that hold 300 to 999 parcels."""
    tree = shapely.STRtree(parcels.geometry.values)
    boxes: list[tuple[float, float, float, float]] = []
    for _ in range(2000):
        x, y = centre[random.integers(len(centre))]
        half = float(random.uniform(0.04, 0.1))
        west, south, east, north = (round(float(v), 6) for v in (x - half, y - half, x + half, y + half))
        if 300 <= len(tree.query(shapely.box(west, south, east, north), "intersects")) < 1000:
            boxes.append((west, south, east, north))
        if len(boxes) == 12:
            return boxes
    raise RuntimeError("too few parcels for the boxes")


def tiles_of(parcels: geopandas.GeoDataFrame, zoom: int, seed: int = 7) -> Cell:
    """The tiles of one zoom alone; up to 8 the heaviest one."""
    centre = shapely.get_coordinates(shapely.centroid(parcels.geometry.values))
    return _tiles(np.random.default_rng(seed), centre, zoom, len(parcels))


def _tiles(random: np.random.Generator, centre: Any, zoom: int, count: int) -> Cell:
    """Tiles of a zoom: up to 8 the heaviest one; below, tiles of parcels drawn by chance, so dense ones come more often."""
    columns = np.floor((centre[:, 0] + 180) / 360 * 2**zoom).astype(int)
    rows = np.floor((1 - np.arcsinh(np.tan(np.radians(centre[:, 1]))) / np.pi) / 2 * 2**zoom).astype(int)
    addresses = np.column_stack([columns, rows])
    if zoom <= 8:
        unique, held = np.unique(addresses, axis=0, return_counts=True)
        chosen = unique[[int(np.argmax(held))]]
        note_zh, note_en = f"（最密一片，{held.max():,} 个地块）", f" (densest tile, {held.max():,} parcels)"
    else:
        chosen = addresses[random.choice(count, 12, replace=False)]
        note_zh, note_en = "", ""
    tiles = [(zoom, int(x), int(y)) for x, y in chosen]
    paths = {
        "ours": [f"/tiles/{PARCELS}/WebMercatorQuad/{z}/{x}/{y}.mvt" for z, x, y in tiles],
        "tipg": [f"/collections/peers.parcels/tiles/WebMercatorQuad/{z}/{x}/{y}" for z, x, y in tiles],
    }
    samples = {10: 12, 12: 24, 14: 48}.get(zoom, 3)
    load = {10: 60, 12: 240, 14: 480}.get(zoom, 16)
    return Cell(f"z{zoom}", f"z{zoom}{note_zh}", f"z{zoom}{note_en}", "tile", tiles, paths, samples, load, tile=True)
