"""Flood map of the province at 30 m (全省 30 m 洪水淹没图): strips once, then level → depth → connectivity → two COGs.

    .venv/bin/python benchmarks/water_flood.py                  # 28,400 × 15,500 cells
    .venv/bin/python benchmarks/water_flood.py --share 0.25     # a quarter of each side
    .venv/bin/python benchmarks/water_flood.py --json out.json
    .venv/bin/python benchmarks/water_flood.py --analysis       # the whole analysis flood-rehearsal on that grid: memory

Terrain: the 30″ sample drawn at 1″ with noise; rivers: the main rivers of the samples, water 7 m above the terrain at the line,
never rising downstream. Beside the map the same run prints what it costs to decode the terrain once and to decode and encode
the same two rasters by GDAL with as many threads (the raw cost).
Goal: map ≤ 60 s with the strips prepared once.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "data-samples"
WEST, NORTH, COLS, ROWS = 108.30, 33.30, 28_400, 15_500
GOAL_S = 60
BLOCK = 1024


def say(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def terrain(path: Path, rows: int, cols: int) -> None:
    """Write the terrain as a tiled GeoTIFF, float32, 1/16 m."""
    import rasterio
    from rasterio.transform import Affine
    from scipy import ndimage

    with rasterio.open(SAMPLES / "base" / "dem.tif") as source:
        coarse, of = source.read(1).astype("float32"), source.transform
    random = np.random.default_rng(42)
    # A tile of noise that repeats: what matters is that it does not compress away.
    noise = ndimage.gaussian_filter(random.standard_normal((BLOCK, BLOCK)).astype("float32"), 3, mode="wrap")
    noise *= 0.5 / noise.std()
    affine = Affine(1 / 3600, 0, WEST, 0, -1 / 3600, NORTH)
    profile = {
        "driver": "GTiff", "count": 1, "height": rows, "width": cols, "dtype": "float32", "crs": "EPSG:4490",
        "transform": affine, "nodata": -9999.0, "compress": "zstd", "zstd_level": 1, "predictor": 3, "tiled": True,
        "blockxsize": 512, "blockysize": 512, "num_threads": 2, "bigtiff": "yes",
    }  # fmt: skip
    x = (WEST + (np.arange(cols) + 0.5) / 3600 - of.c) / of.a - 0.5
    with rasterio.open(path, "w", **profile) as target:
        for top in range(0, rows, BLOCK):
            high = min(BLOCK, rows - top)
            y = (NORTH - (np.arange(top, top + high) + 0.5) / 3600 - of.f) / of.e - 0.5
            a, b = np.clip(np.floor(y).astype(int), 0, coarse.shape[0] - 2), y - np.floor(y)
            part = coarse[a] * (1 - b[:, None]) + coarse[a + 1] * b[:, None]
            c, d = np.clip(np.floor(x).astype(int), 0, coarse.shape[1] - 2), (x - np.floor(x)).astype("float32")
            z = part[:, c] * (1 - d) + part[:, c + 1] * d
            z += np.tile(noise, (1, -(-cols // BLOCK)))[:high, :cols]
            target.write((np.rint(z * 16) / 16).astype("float32"), 1, window=((top, top + high), (0, cols)))


class Reader:
    """The terrain by window; every thread has the file open for itself."""

    def __init__(self, path: Path) -> None:
        self.path, self._open = path, threading.local()

    def __call__(self, row: int, col: int, height: int, width: int) -> Any:
        import rasterio

        if not hasattr(self._open, "file"):
            self._open.file = rasterio.open(self.path)
        return self._open.file.read(1, window=((row, row + height), (col, col + width)))


def rivers(path: Path, rows: int, cols: int) -> tuple[Any, Any]:
    """Nodes of the main rivers and the level at each (``[0]`` NaN)."""
    import geopandas
    import rasterio
    import shapely

    from analyses.water.flood.strips import river_nodes

    frame = geopandas.read_file(SAMPLES / "base" / "rivers.gpkg")
    frame = frame[frame["rank"] == "main"]
    parts = [part for geometry in frame.geometry for part in shapely.get_parts(geometry) if part.length > 0.02]
    nodes = river_nodes(parts, [0.0] * len(parts), [part.length * 1e5 for part in parts], step_m=100)
    col = np.clip(((nodes.lon - WEST) * 3600).astype(int), 0, cols - 1)
    row = np.clip(((NORTH - nodes.lat) * 3600).astype(int), 0, rows - 1)
    with rasterio.open(path) as file:
        z = np.array(
            [v[0] for v in file.sample(zip(WEST + (col + 0.5) / 3600, NORTH - (row + 0.5) / 3600, strict=True))]
        )
    level = np.full(nodes.size + 1, np.nan)
    for number in np.unique(nodes.river):
        mine = np.flatnonzero(nodes.river == number)
        down = z[mine] if z[mine][:20].mean() >= z[mine][-20:].mean() else z[mine][::-1]
        fall = np.minimum.accumulate(down) + 7.0
        level[1 + mine] = fall if z[mine][:20].mean() >= z[mine][-20:].mean() else fall[::-1]
    return nodes, level


def measure(share: float, threads: int, folder: Path) -> dict[str, Any]:
    """Prepare, map, and the raw cost beside it."""
    import rasterio
    from odc.geo.geobox import GeoBox
    from rasterio.transform import Affine

    from analyses.masks import release, scratch_array
    from analyses.water.flood.connectivity import connect
    from analyses.water.flood.inundation import BELOW, DRY, FLOODED, NODATA, Ground, LevelField
    from analyses.water.flood.result import depth_bands, extent_bands
    from analyses.water.flood.strips import nearest_node, river_cells
    from spatial.catalog import Text
    from spatial.grid import cell_areas
    from spatial.jobs.outputs import BlockOutputs

    rows, cols = round(ROWS * share), round(COLS * share)
    affine = Affine(1 / 3600, 0, WEST, 0, -1 / 3600, NORTH)
    grid = GeoBox((rows, cols), affine, "EPSG:4490")
    path = folder / "terrain.tif"
    say("terrain …")
    terrain(path, rows, cols)
    nodes, level = rivers(path, rows, cols)
    seeds = river_cells(nodes, affine, (rows, cols))
    strip = scratch_array(str(folder), "strips", (rows, cols), np.uint16)
    read = Reader(path)

    def put(top: int, part: Any) -> None:
        strip[top : top + part.shape[0]] = part
        release(strip)

    small = (min(rows, 600), min(cols, 600))
    nearest_node(seeds, affine, small, limit_m=4e4, put=lambda top, part: None, dtype=np.uint16)  # compile
    say("strips …")
    start = time.perf_counter()
    nearest_node(seeds, affine, (rows, cols), limit_m=4e4, put=put, dtype=np.uint16, threads=threads)
    strips_s = time.perf_counter() - start
    field = LevelField(Ground(read), strip, level)
    areas = cell_areas(grid)

    def flood(shape: tuple[int, int], into: Path) -> Any:
        outputs = BlockOutputs(GeoBox(shape, affine, "EPSG:4490"), into)
        extent = outputs.raster(
            "extent",
            bands=extent_bands([1.0]),
            dtype="uint8",
            nodata=NODATA,
            title=Text(zh="范围", en="extent"),
            style={},
        )
        depth = outputs.raster(
            "depth",
            bands=depth_bands([1.0]),
            dtype="float32",
            nodata=np.nan,
            title=Text(zh="水深", en="depth"),
            style={},
        )

        def settle(row: int, col: int, d: Any, reached: Any) -> None:
            if d is None:
                return
            code = np.where(np.isnan(d), NODATA, DRY).astype(np.uint8)
            code[d >= 0] = BELOW
            if reached is not None:
                code[reached] = FLOODED
                depth.put(depth.encoder(row, col, np.where(reached, np.rint(d * 100) / 100, np.nan).astype(np.float32)))
            extent.put(extent.encoder(row, col, code))
            release(strip)

        found = connect(
            field.depth, shape, seeds, areas[: shape[0]], put=settle, block=BLOCK, threads=threads, minimum_m2=1e4
        )
        for raster in outputs.close():
            raster.to_cog(into / f"{raster.name}.tif")
        return found

    (folder / "warm").mkdir()
    flood(small, folder / "warm")
    say("map …")
    (folder / "map").mkdir()
    start, cpu = time.perf_counter(), time.process_time()
    with rasterio.Env(GDAL_CACHEMAX=128 * 1024 * 1024):
        found = flood((rows, cols), folder / "map")
    map_s, map_cpu_s = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say("raw cost …")
    start = time.perf_counter()
    _raw(read, folder / "map", (rows, cols), threads)
    raw_s = time.perf_counter() - start
    return {
        "cells": rows * cols,
        "threads": threads,
        "strips_s": round(strips_s, 1),
        "map_s": round(map_s, 1),
        "map_cpu_s": round(map_cpu_s, 1),
        "goal_s": GOAL_S,
        "peak_rss_mb": round(peak),
        "raw_io_s": round(raw_s, 1),
        "map_over_raw": round(map_s / raw_s, 2),
        "flooded_km2": round(found.area_m2 / 1e6, 1),
        "below_km2": round(found.below_area_m2 / 1e6, 1),
        "parts": found.parts,
        "basins_listed": int(found.basins.cells.size),
    }


class GridInput:
    """The terrain as an input of an analysis, on the run's grid."""

    layer = None
    layer_id, version, unit, bands = "province", "1", "m", ("elevation",)

    def __init__(self, path: Path) -> None:
        self._read = Reader(path)

    def read(self, row: int, col: int, height: int, width: int, *, band: int = 1) -> Any:
        """float32, NaN = no data."""
        return self._read(row, col, height, width)


def rehearse(share: float, threads: int, folder: Path) -> dict[str, Any]:
    """The analysis as a run calls it: one level, no dikes, no land use; depth, probability, controlling crests."""
    import geopandas
    import rasterio
    import yaml
    from odc.geo.geobox import GeoBox
    from rasterio.transform import Affine
    from shapely import Point, get_parts

    from analyses.water.flood.parameters import FloodRehearsalParameters
    from analyses.water.flood.rehearsal import FloodRehearsal
    from spatial.jobs.contract import Inputs
    from spatial.jobs.outputs import BlockOutputs

    rows, cols = round(ROWS * share), round(COLS * share)
    affine = Affine(1 / 3600, 0, WEST, 0, -1 / 3600, NORTH)
    grid = GeoBox((rows, cols), affine, "EPSG:4490")
    path = folder / "terrain.tif"
    say("terrain …")
    terrain(path, rows, cols)
    frame = geopandas.read_file(SAMPLES / "base" / "rivers.gpkg")
    frame = frame[frame["name"] == "长江"]
    parts = [part for geometry in frame.geometry for part in get_parts(geometry) if part.length > 0.02]
    lines = geopandas.GeoDataFrame(
        {"name": ["长江"] * len(parts), "from_km": 0.0, "to_km": [part.length * 100 for part in parts], "joins": None,
         "joins_km": None}, geometry=parts, crs=4490,
    )  # fmt: skip
    hankou = Point(114.29, 30.58)
    line = min(parts, key=lambda part: part.distance(hankou))
    place = line.interpolate(line.project(hankou))
    with rasterio.open(path) as file:
        level = float(next(file.sample([(place.x, place.y)]))[0]) + 7.0
    gauges = geopandas.GeoDataFrame(
        {"name": ["站"], "river": ["长江"], "datum": ["1985"], "alert_m": [level - 3], "warning_m": [level],
         "guarantee_m": [level + 3]}, geometry=[place], crs=4490,
    )  # fmt: skip
    rules = {
        name: yaml.safe_load((ROOT / "layers" / "rules" / f"{name}.yml").read_text("utf-8"))
        for name in ("flood", "landcover")
    }
    rules["flood"]["terrains"]["list"].append(
        {"layer": "province", "datum": "1985", "sigma_m": 0.25, "source": "benchmark"}
    )
    parameters = FloodRehearsalParameters(
        station="站", levels_m=(level,), terrain="province", dikes=None, land=None, gauges="gauges", river="rivers"
    )
    scratch = folder / "scratch"
    scratch.mkdir()
    given = Inputs(
        grid, {"terrain": GridInput(path)}, {"river": lines, "gauges": gauges}, rules, {}, str(scratch), threads
    )
    outputs = BlockOutputs(grid, folder)
    seen: list[tuple[float, str]] = []

    def progress(done: float, text: str) -> None:
        if not seen or seen[-1][1] != text:
            seen.append((time.perf_counter(), text))
            say(f"{done:5.0%} {time.perf_counter() - start:6.0f} s  {text}")

    start, cpu = time.perf_counter(), time.process_time()
    with rasterio.Env(GDAL_CACHEMAX=128 * 1024 * 1024):
        result = FloodRehearsal().run(given, parameters, outputs, progress)
    return {
        "cells": rows * cols,
        "threads": threads,
        "rehearsal_s": round(time.perf_counter() - start, 1),
        "rehearsal_cpu_s": round(time.process_time() - cpu, 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "levels": result.tables["levels"],
        "basins": len(result.tables["basins"]),
    }


def _raw(read: Reader, made: Path, shape: tuple[int, int], threads: int) -> None:
    """Decode the terrain once; decode both results and encode them again as tiled GeoTIFF."""
    from concurrent.futures import ThreadPoolExecutor

    import rasterio

    from spatial.store.tile_pyramid import ZSTD_LEVEL

    places = [
        (r, c, min(BLOCK, shape[0] - r), min(BLOCK, shape[1] - c))
        for r in range(0, shape[0], BLOCK)
        for c in range(0, shape[1], BLOCK)
    ]
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda place: read(*place).shape, places):
            pass
    for name in ("extent", "depth"):
        with rasterio.open(made / f"{name}.tif") as file:
            keep = ("count", "height", "width", "dtype", "crs", "transform", "nodata")
            profile = {k: v for k, v in file.profile.items() if k in keep}
            profile |= {"driver": "GTiff", "tiled": True, "blockxsize": 512, "blockysize": 512, "bigtiff": "yes"}
            profile |= {
                "compress": "zstd",
                "zstd_level": ZSTD_LEVEL,
                "predictor": 2 if file.dtypes[0] == "uint8" else 3,
            }
            with rasterio.open(made / f"{name}-raw.tif", "w", num_threads=threads, **profile) as target:
                for r, c, h, w in places:
                    window = ((r, r + h), (c, c + w))
                    target.write(file.read(1, window=window), 1, window=window)


def main() -> None:
    """Run and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="share of each side of the province")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the temporary files lie (4 GB)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--analysis", action="store_true", help="the whole analysis instead: time and memory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        found = (rehearse if given.analysis else measure)(given.share, given.threads, Path(folder))
    text = json.dumps(found, ensure_ascii=False, indent=1)
    print(text)
    if given.json:
        given.json.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
