"""Tiles and chips of a scene on the fly (影像瓦片与切片即时绘制): any index of any scene from one COG a band.

    .venv/bin/python benchmarks/scene_tiles.py                       # prints JSON; a whole tile, 10,980² cells at 10 m
    .venv/bin/python benchmarks/scene_tiles.py --json benchmarks/scene_tiles.json
    .venv/bin/python benchmarks/scene_tiles.py --side 2196           # a small one, to try

One seeded synthetic Sentinel-2 scene in UTM: blue, green, red, NIR at 10 m, red edge and SWIR at 20 m, uint16 COGs with
overviews. Every index of ``layers/rules/scene_indices.yml`` is drawn at every zoom that a map shows, each tile at a place of its
own; GDAL's cache of blocks is next to nothing, so each tile reads, decodes, computes and encodes. «first» opens the files too.
Peer in the same run: the same bands read for the same tiles by rio-tiler (GDAL's warp), without index and encoding.
Goal: any tile ≤ 60 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# Before GDAL is loaded: no block of one tile is found again by the next.
os.environ["GDAL_CACHEMAX"] = "1"

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
GOAL_MS = 60.0
SIDE = 10_980
LEFT, TOP, UTM = 200_000, 3_400_020, "EPSG:32650"
BANDS = {"blue": 10, "green": 10, "red": 10, "nir": 10, "rededge1": 20, "swir1": 20}
ZOOMS = (8, 9, 10, 11, 12, 13, 14, 15, 16)
SETS = ("WebMercatorQuad", "CGCS2000Quad")
TILES = 6
"""Tiles of an index at a zoom of a set."""
CHIPS = 40


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def _write(path: Path, side: int, cell: int, seed: int) -> None:
    """One band: fields and water with noise that does not compress away."""
    import rasterio
    from rasterio.transform import Affine
    from scipy import ndimage

    random = np.random.default_rng(seed)
    part = min(side, 2_196)
    fields = ndimage.gaussian_filter(random.standard_normal((part, part)).astype("float32"), 12, mode="wrap")
    values = 1_500 + 900 * fields / fields.std() + 120 * random.standard_normal((part, part)).astype("float32")
    one = np.clip(np.rint(values), 1, 10_000).astype("uint16")
    times = -(-side // part)
    whole = np.tile(one, (times, times))[:side, :side]
    profile = {
        "driver": "COG", "dtype": "uint16", "count": 1, "height": side, "width": side, "crs": UTM, "nodata": 0,
        "transform": Affine(cell, 0, LEFT, 0, -cell, TOP), "compress": "deflate", "predictor": 2, "blocksize": 512,
        "num_threads": "all_cpus", "overview_resampling": "nearest",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(whole, 1)


def scene(folder: Path, side: int) -> Any:
    """The collection with its one scene."""
    from rasterio.warp import transform_bounds

    from spatial.scenes.collection import open_collection

    place = folder / "bench"
    (place / "items").mkdir(parents=True)
    (place / "data").mkdir()
    assets = {}
    for number, (band, cell) in enumerate(BANDS.items()):
        say(f"{band} …")
        path = place / "data" / f"{band}.tif"
        _write(path, side * 10 // cell, cell, number)
        assets[band] = {"href": f"../data/{band}.tif", "raster:bands": [{"scale": 1e-4, "offset": 0.0}]}
    box = transform_bounds(UTM, "EPSG:4326", LEFT, TOP - side * 10, LEFT + side * 10, TOP)
    properties = {"datetime": "2024-07-01T03:00:00Z", "platform": "synthetic", "gsd": 10}
    document = {"id": "s2", "bbox": list(box), "properties": properties, "assets": assets}
    (place / "items" / "s2.json").write_text(json.dumps(document))
    made = {"seed": 0, "recipe": {"zh": "基准", "en": "benchmark"}}
    (place / "collection.json").write_text(json.dumps({"id": "bench", "title": "bench", "onemap:synthetic": made}))
    return open_collection(folder, "bench")


def _places(item: Any, tms: str, zoom: int, random: Any, count: int) -> list[Any]:
    """Different tiles that lie in the scene, as far as there are so many."""
    from spatial.grid import tile_matrix_set
    from tiles.matrix import Address

    west, south, east, north = item.bbox
    matrices = tile_matrix_set(tms)
    found: dict[tuple[int, int], Any] = {}
    for _ in range(count * 8):
        x, y = random.uniform(0.05, 0.95, 2)
        tile = matrices.tile(west + x * (east - west), south + y * (north - south), zoom)
        found.setdefault((tile.x, tile.y), Address(tms, zoom, tile.x, tile.y))
        if len(found) == count:
            break
    return list(found.values())


def _ms(work: Any) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _figures(times: list[float]) -> dict[str, Any]:
    return {
        "n": len(times),
        "p50_ms": round(float(np.percentile(times, 50)), 1),
        "p95_ms": round(float(np.percentile(times, 95)), 1),
        "worst_ms": round(max(times), 1),
    }


def measure(folder: Path, side: int) -> dict[str, Any]:
    """Every index at every zoom, the peer on the same tiles, and chips."""
    from rio_tiler.io import Reader

    from tiles import scene_pixels
    from tiles.scene_chips import draw_chip
    from tiles.scene_indices import scene_indices
    from tiles.scene_tiles import scene_tile

    collection = scene(folder, side)
    item = collection.items[0]
    indices = [i for i in scene_indices(ROOT / "layers") if all(b in item.assets for b in i.bands)]
    random = np.random.default_rng(7)
    warm = _places(item, "WebMercatorQuad", 12, random, 3)
    for address in warm:
        for index in indices:
            scene_tile(item, index, address, ext="webp")
    first: list[float] = []
    by_index: dict[str, list[float]] = {index.id: [] for index in indices}
    by_zoom: dict[int, list[float]] = {zoom: [] for zoom in ZOOMS}
    empty = 0
    spent: list[float] = []
    say("tiles …")
    for index in indices:
        scene_pixels._files = scene_pixels._Files()  # nothing is open
        first.append(_ms(lambda index=index: scene_tile(item, index, warm[0], ext="webp")))
        for tms in SETS:
            for zoom in ZOOMS:
                for address in _places(item, tms, zoom, random, TILES):
                    start, cpu = time.perf_counter(), time.thread_time()
                    empty += scene_tile(item, index, address, ext="webp") is None
                    took = (time.perf_counter() - start) * 1000
                    spent.append((time.thread_time() - cpu) * 1000)
                    by_index[index.id].append(took)
                    by_zoom[zoom].append(took)
    every = [t for times in by_index.values() for t in times]
    say("peer …")
    ours, peer = [], []
    colour = next(index for index in indices if index.id == "true-color")
    readers = [Reader(str(item.assets[band].path)) for band in colour.bands]
    for zoom in ZOOMS:
        for address in _places(item, "WebMercatorQuad", zoom, random, TILES):
            ours.append(_ms(lambda a=address: [scene_pixels.read_band(item.assets[b], a, 256) for b in colour.bands]))
            peer.append(_ms(lambda a=address: [r.tile(a.x, a.y, a.z, tilesize=256) for r in readers]))
    say("chips …")
    chips = []
    west, south, east, north = item.bbox
    import shapely

    for _ in range(CHIPS):
        x, y = west + random.uniform(0.2, 0.8) * (east - west), south + random.uniform(0.2, 0.8) * (north - south)
        reach = float(random.choice([0.003, 0.01, 0.03]))
        shape = shapely.Point(x, y).buffer(reach / 2)
        box = (x - reach, y - reach, x + reach, y + reach)
        chips.append(
            _ms(lambda b=box, s=shape: draw_chip(collection, item, colour, b, size=256, outline=s, ext="webp"))
        )
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "side": side,
        "cores": os.cpu_count(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "goal_ms": GOAL_MS,
        "bytes": sum(asset.path.stat().st_size for asset in item.assets.values()),
        "all": _figures(every),
        "cpu": _figures(spent),
        "within_goal_share": round(sum(t <= GOAL_MS for t in every) / len(every), 4),
        "empty": empty,
        "first": _figures(first),
        "indices": {name: _figures(times) for name, times in by_index.items()},
        "zooms": {str(zoom): _figures(times) for zoom, times in by_zoom.items() if times},
        "read_true_color": _figures(ours),
        "read_rio_tiler": _figures(peer),
        "ratio_p50": round(float(np.median(peer) / np.median(ours)), 2),
        "chips": _figures(chips),
    }


def table(found: dict[str, Any]) -> str:
    """The result as the table of the README."""
    rows = [("任一指数任一级 / any index, any zoom", found["all"], GOAL_MS)]
    rows += [(f"{name}", figures, GOAL_MS) for name, figures in found["indices"].items()]
    rows += [(f"{zoom} 级 / zoom {zoom}", figures, None) for zoom, figures in found["zooms"].items()]
    rows.append(("首块，含打开文件 / first tile, opening the files", found["first"], GOAL_MS))
    rows.append(("切片 256 px，含外框与说明 / chip, 256 px", found["chips"], GOAL_MS))
    rows.append(("只读三波段 / reading three bands only", found["read_true_color"], None))
    rows.append(("同，rio-tiler / the same, rio-tiler", found["read_rio_tiler"], None))
    lines = [
        f"{found['date']}：{found['side']}² 像元，{found['cores']} 核，开始时负载 {found['load_at_start']}；"
        f"瓦片不缓存；处理器时间 p50 {found['cpu']['p50_ms']} ms，最大 {found['cpu']['worst_ms']} ms；"
        f"读波段 rio-tiler ÷ 本系统 = {found['ratio_p50']} / "
        f"{found['side']}² cells, {found['cores']} cores, load at the start {found['load_at_start']}; no tile from a cache; "
        f"CPU p50 {found['cpu']['p50_ms']} ms, worst {found['cpu']['worst_ms']} ms; "
        f"reading by rio-tiler ÷ ours = {found['ratio_p50']}",
        "",
        "| | n | p50 ms | p95 ms | 最慢 / worst ms | 达到 ≤ 60 / reached |",
        "|---|---:|---:|---:|---:|---|",
    ]
    for name, f, goal in rows:
        reached = "" if goal is None else "是 / yes" if f["worst_ms"] <= goal else "否 / no"
        lines.append(f"| {name} | {f['n']} | {f['p50_ms']} | {f['p95_ms']} | {f['worst_ms']} | {reached} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=SIDE, help="cells of a side at 10 m")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="scene-tiles-") as folder:
        found = measure(Path(folder), given.side)
    text = json.dumps(found, ensure_ascii=False, indent=1)
    if given.json:
        given.json.write_text(text + "\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
