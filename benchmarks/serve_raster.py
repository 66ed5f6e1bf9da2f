"""The rasters of the serving benchmark (栅格基准): seeded elevations over Hubei at 3″, coloured by a ramp, and a picture of
three bands made of three such grids; both published through our own publication.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from data import SEED

__all__ = ["ELEVATION", "PICTURE", "publish_rasters", "raster_tiles"]

ELEVATION, PICTURE = "bench-elevation", "bench-picture"
CHANNELS = (("red", "红"), ("green", "绿"), ("blue", "蓝"))
WEST, NORTH, CELL = 108.0, 33.5, 1 / 1200
STOPS = ((0, "#0a5c36"), (400, "#e5d27a"), (1200, "#9c5b2d"), (2500, "#ffffff"))
ZOOMS = (10, 12, 14)
TILES_A_ZOOM = 24


def elevation(rows: int, columns: int, seed: int = SEED) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Hills of many sizes with a metre of noise, so that a PNG has something to compress; int16, m."""
    random = np.random.default_rng(seed)
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


def publish_rasters(environment: dict[str, str], folder: Path, *, small: bool = False) -> None:
    """Write the two GeoTIFFs and publish them."""
    from spatial.settings import Settings
    from spatial.store.datastore import DataStore

    side = 2048 if small else 8192
    os.environ.update(environment)
    store = DataStore.open(Settings())
    try:
        for layer, bands, dtype in ((ELEVATION, 1, "int16"), (PICTURE, 3, "uint8")):
            source = folder / f"{layer}.tif"
            _write(source, side, bands, dtype)
            store.publish_raster(_layer(layer), source)
            source.unlink()
    finally:
        store.close()


def _write(source: Path, side: int, bands: int, dtype: str) -> None:
    """Elevations in metres, or three grids of other seeds brought to 1–255."""
    import rasterio
    from rasterio.transform import from_origin

    profile = {
        "driver": "GTiff", "width": side, "height": side // 2, "count": bands, "dtype": dtype,
        "nodata": -9999 if bands == 1 else 0, "crs": "EPSG:4490", "transform": from_origin(WEST, NORTH, CELL, CELL),
        "tiled": True,
    }  # fmt: skip
    with rasterio.open(source, "w", **profile) as file:
        for band in range(bands):
            values = elevation(side // 2, side, SEED + band)
            file.write(values if bands == 1 else (1 + values // 12).astype(np.uint8), band + 1)


def _layer(layer_id: str) -> Any:
    from spatial.catalog import Layer

    text = {"zh": "基准栅格（合成）", "en": "Benchmark raster (synthetic)"}
    if layer_id == ELEVATION:
        bands = [{"name": "elevation", "title": text, "unit": "m", "valid_range": [-100, 9000]}]
        style: dict[str, Any] = {"type": "ramp", "stops": [{"value": v, "color": c} for v, c in STOPS]}
    else:
        bands = [{"name": en, "title": {"zh": zh, "en": en}, "valid_range": [1, 255]} for en, zh in CHANNELS]
        style = {"type": "picture", "channels": [en for en, _ in CHANNELS]}
    return Layer.model_validate(
        {
            "id": layer_id,
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
            "bands": bands,
            "style": style,
            "synthetic": {"seed": SEED, "recipe": text},
        }
    )


def raster_tiles(environment: dict[str, str], layer: str = ELEVATION) -> tuple[list[str], list[str]]:
    """Addresses of the same tiles at ours and at TiTiler, RGB PNG, bilinear: colours of one band, or three bands."""
    path = next((Path(environment["ONEMAP_VAR_DIR"]) / "raster" / layer).glob("*.tif"))
    import rasterio

    with rasterio.open(path) as file:
        west, south, east, north = file.bounds
    random = np.random.default_rng(7)
    ours, theirs = [], []
    low, high = STOPS[0][0], STOPS[-1][0]
    colours = f"rescale={low},{high}&colormap_name=terrain" if layer == ELEVATION else "bidx=1&bidx=2&bidx=3"
    query = f"url={quote(str(path))}&{colours}&resampling=bilinear&reproject=bilinear"
    for zoom in ZOOMS:
        margin = 1.2 * 360 / 2**zoom  # whole tiles inside the data, or JPEG-like edges would be compared
        for lon, lat in random.uniform(
            (west + margin, south + margin), (east - margin, north - margin), (TILES_A_ZOOM, 2)
        ):
            x = int((lon + 180) / 360 * 2**zoom)
            y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
            ours.append(f"/tiles/{layer}/WebMercatorQuad/{zoom}/{x}/{y}.png")
            theirs.append(f"/cog/tiles/WebMercatorQuad/{zoom}/{x}/{y}.png?{query}")
    order = random.permutation(len(ours))
    return [ours[i] for i in order], [theirs[i] for i in order]
