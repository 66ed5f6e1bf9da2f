"""The raster of the serving benchmark (栅格基准): seeded elevations over Hubei at 3″, published through our own publication."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from data import SEED

__all__ = ["OURS", "publish_raster", "raster_tiles"]

OURS = "bench-elevation"
WEST, NORTH, CELL = 108.0, 33.5, 1 / 1200
STOPS = ((0, "#0a5c36"), (400, "#e5d27a"), (1200, "#9c5b2d"), (2500, "#ffffff"))
ZOOMS = (10, 12, 14)
TILES_A_ZOOM = 24


def elevation(rows: int, columns: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Hills of many sizes with a metre of noise, so that a PNG has something to compress; int16, m."""
    random = np.random.default_rng(SEED)
    total = np.full((rows, columns), 700, np.float32)
    for size, height in ((1024, 500), (256, 200), (64, 80), (16, 25), (4, 6)):
        coarse = random.normal(0, height, (rows // size + 2, columns // size + 2)).astype(np.float32)
        down = np.interp(np.arange(rows) / size, np.arange(len(coarse)), np.arange(len(coarse)))
        along = np.arange(columns) / size
        left, across = along.astype(int), (along % 1).astype(np.float32)
        wide = coarse[:, left] * (1 - across) + coarse[:, left + 1] * across
        top, share = down.astype(int), (down % 1).astype(np.float32)[:, None]
        below = np.minimum(top + 1, len(coarse) - 1)
        for start in range(0, rows, 512):
            part = slice(start, min(start + 512, rows))
            total[part] += wide[top[part]] * (1 - share[part]) + wide[below[part]] * share[part]
    total += random.standard_normal(total.shape, np.float32)
    return np.clip(total, 0, 3000).astype(np.int16)


def publish_raster(environment: dict[str, str], folder: Path, *, small: bool = False) -> None:
    """Write the GeoTIFF and publish it."""
    import rasterio
    from rasterio.transform import from_origin

    from spatial.catalog import Layer
    from spatial.settings import Settings
    from spatial.store.datastore import DataStore

    side = 2048 if small else 8192
    source = folder / "elevation.tif"
    profile = {
        "driver": "GTiff", "width": side, "height": side // 2, "count": 1, "dtype": "int16", "nodata": -9999,
        "crs": "EPSG:4490", "transform": from_origin(WEST, NORTH, CELL, CELL), "tiled": True,
    }  # fmt: skip
    with rasterio.open(source, "w", **profile) as file:
        file.write(elevation(side // 2, side), 1)
    text = {"zh": "基准高程（合成）", "en": "Benchmark elevation (synthetic)"}
    layer = Layer.model_validate(
        {
            "id": OURS,
            "title": text,
            "description": text,
            "theme": ["base"],
            "kind": "raster",
            "source": {
                "uri": "benchmarks/serve_raster.py",
                "version": "1",
                "sha256": "0" * 64,
                "licence": "CC0-1.0",
                "attribution": {"zh": "基准合成数据", "en": "synthetic benchmark data"},
                "origin": f"benchmarks/serve_raster.py, seed {SEED}",
            },
            "bands": [{"name": "elevation", "title": text, "unit": "m", "valid_range": [-100, 9000]}],
            "style": {"type": "ramp", "stops": [{"value": v, "color": c} for v, c in STOPS]},
            "synthetic": {"seed": SEED, "recipe": text},
        }
    )
    os.environ.update(environment)
    store = DataStore.open(Settings())
    try:
        store.publish_raster(layer, source)
    finally:
        store.close()
    source.unlink()


def raster_tiles(environment: dict[str, str]) -> tuple[list[str], list[str]]:
    """Addresses of the same tiles at ours and at TiTiler: colours of one band, RGB PNG, bilinear."""
    path = next((Path(environment["ONEMAP_VAR_DIR"]) / "raster" / OURS).glob("*.tif"))
    import rasterio

    with rasterio.open(path) as file:
        west, south, east, north = file.bounds
    random = np.random.default_rng(7)
    ours, theirs = [], []
    low, high = STOPS[0][0], STOPS[-1][0]
    query = f"url={quote(str(path))}&rescale={low},{high}&colormap_name=terrain&resampling=bilinear&reproject=bilinear"
    for zoom in ZOOMS:
        margin = 1.2 * 360 / 2**zoom  # whole tiles inside the data, or JPEG-like edges would be compared
        for lon, lat in random.uniform(
            (west + margin, south + margin), (east - margin, north - margin), (TILES_A_ZOOM, 2)
        ):
            x = int((lon + 180) / 360 * 2**zoom)
            y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
            ours.append(f"/tiles/{OURS}/WebMercatorQuad/{zoom}/{x}/{y}.png")
            theirs.append(f"/cog/tiles/WebMercatorQuad/{zoom}/{x}/{y}.png?{query}")
    order = random.permutation(len(ours))
    return [ours[i] for i in order], [theirs[i] for i in order]
