"""The analyses at 30 m for a whole province (全省 30 m 分析): time, memory, linearity, workers, and the same bits.

    .venv/bin/python benchmarks/analysis_province.py                      # everything; writes analysis_province.json
    .venv/bin/python benchmarks/analysis_province.py --steps kernels urban --print-only
    .venv/bin/python benchmarks/analysis_province.py --sizes 3.6e7 --steps urban workers --print-only

The benchmark province stands in ``var/bench/province``: a 1″ grid of 28,400 × 15,500 cells whose elevation and land use are
the sample's, made finer with seeded detail (synthetic; it stands for no real place); climate, soil and the rest stay coarse
as they are. The three sizes are windows of it (``bbox``). Peak memory is the sum over all processes, shared pages divided
among them (PSS), sampled once a second: reading it stops the process for milliseconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = ROOT / "var" / "bench" / "province"
RESULTS = HERE / "analysis_province.json"
ROWS, COLS = 15_500, 28_400
CELL = 1 / 3600
WEST, NORTH = 108.30, 33.33
SIZES = {"3.6e7": (6_000, 6_000), "1.44e8": (12_000, 12_000), "4.4e8": (ROWS, COLS)}
STEPS = ("kernels", "location", "urban", "workers", "dual")
VERSION = "bench-1"
_SAMPLE_S = 1.0


def bbox(size: str) -> list[float] | None:
    """A window around the middle of the province; None for the whole."""
    rows, cols = SIZES[size]
    if (rows, cols) == (ROWS, COLS):
        return None
    top, left = (ROWS - rows) // 2, (COLS - cols) // 2
    north, west = NORTH - top * CELL, WEST + left * CELL
    return [west, north - rows * CELL, west + cols * CELL, north]


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


# ---- data


def make_rasters() -> dict[str, Path]:
    """Elevation and land use on the 1″ grid, strip by strip, the same every time."""
    import rasterio
    from rasterio.transform import from_origin
    from scipy.ndimage import map_coordinates, maximum_filter, minimum_filter

    FOLDER.mkdir(parents=True, exist_ok=True)
    paths = {"dem": FOLDER / "dem.tif", "land-use": FOLDER / "land-use.tif"}
    if all(path.is_file() for path in paths.values()):
        return paths
    sources = {}
    for name in paths:
        with rasterio.open(ROOT / "data-samples" / "base" / f"{name}.tif") as file:
            sources[name] = (file.read(1), file.transform, file.nodata)
    coarse, affine, none = sources["dem"]
    hollow = coarse == none
    heights = np.where(hollow, 0, coarse).astype(np.float64)
    ruggedness = (maximum_filter(heights, 3) - minimum_filter(heights, 3)) * 0.12
    rng = np.random.default_rng(20_240_101)
    noise = {cell: rng.normal(size=(ROWS // cell + 4, COLS // cell + 4)) for cell in (96, 24, 8, 4)}
    profile = {"driver": "GTiff", "height": ROWS, "width": COLS, "count": 1, "crs": "EPSG:4490", "tiled": True}
    profile |= {"blockxsize": 512, "blockysize": 512, "transform": from_origin(WEST, NORTH, CELL, CELL)}
    profile |= {"compress": "ZSTD", "zstd_level": 1, "predictor": 2, "num_threads": 2, "bigtiff": "IF_SAFER"}
    aside = {name: path.with_suffix(".part") for name, path in paths.items()}
    with (
        rasterio.open(aside["dem"], "w", dtype="int16", nodata=none, **profile) as dem,
        rasterio.open(aside["land-use"], "w", dtype="uint8", nodata=sources["land-use"][2], **profile) as use,
    ):
        for top in range(0, ROWS, 512):
            rows = np.arange(top, min(top + 512, ROWS))
            lat, lon = NORTH - (rows + 0.5) * CELL, WEST + (np.arange(COLS) + 0.5) * CELL
            at = np.meshgrid((lat - affine.f) / affine.e - 0.5, (lon - affine.c) / affine.a - 0.5, indexing="ij")
            detail = np.zeros((rows.size, COLS))
            for cell, field in noise.items():
                where = np.meshgrid(rows / cell + 1, np.arange(COLS) / cell + 1, indexing="ij")
                detail += map_coordinates(field, where, order=1) * {96: 0.6, 24: 0.35, 8: 0.15, 4: 0.08}[cell]
            height = map_coordinates(heights, at, order=1, mode="nearest")
            height += detail * (0.8 + map_coordinates(ruggedness, at, order=1, mode="nearest"))
            near = [np.clip(np.rint(a).astype(int), 0, n - 1) for a, n in zip(at, coarse.shape, strict=True)]
            height[hollow[near[0], near[1]]] = none
            window = ((top, top + rows.size), (0, COLS))
            dem.write(np.rint(height).astype(np.int16), 1, window=window)
            # Borders of land use wander by up to a cell of the sample.
            values = sources["land-use"][0]
            aside_by = (0.5 * detail, -0.5 * detail)
            moved = [
                np.clip(np.rint(a + by).astype(int), 0, n - 1)
                for a, by, n in zip(at, aside_by, values.shape, strict=True)
            ]
            use.write(values[moved[0], moved[1]], 1, window=window)
    for name, path in paths.items():
        os.replace(aside[name], path)
    return paths


def settings(**more: Any) -> Any:
    from spatial.settings import Settings

    return Settings(var_dir=FOLDER / "store", layers_dir=ROOT / "layers", data_dir=ROOT, **more)


def make_store() -> None:
    """A data store of its own with every layer of the analyses, elevation and land use on the 1″ grid."""
    from spatial.catalog import load_catalog
    from spatial.intake import publish_layer
    from spatial.jobs.registry import analysis
    from spatial.store.datastore import DataStore

    paths = make_rasters()
    store = DataStore.open(settings())
    try:
        catalog = load_catalog(ROOT / "layers")
        have = store.published_checksums()
        wanted = {spec.layer for name in ("urban-suitability", "dual-evaluation") for spec in analysis(name).inputs}
        for layer_id in sorted(wanted):
            version = have.get(layer_id, ("", None))[0]
            if layer_id in paths and version != VERSION:
                say(f"发布 publishing {layer_id}")
                layer = catalog[layer_id]
                source = layer.source.model_copy(update={"version": VERSION, "uri": paths[layer_id].name})
                store.publish_raster(layer.model_copy(update={"source": source}), paths[layer_id])
            elif layer_id not in paths and not version and layer_id in set(catalog):
                publish_layer(store, catalog[layer_id])
    finally:
        store.close()


# ---- measuring


class Memory:
    """Peak of the memory of processes and their children, GB, while the block runs."""

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self.peak = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_SAMPLE_S):
            self.peak = max(self.peak, sum(pss(pid) for pid in family(self._pids)) / 2**20)


def family(pids: tuple[int, ...]) -> list[int]:
    import psutil

    found = list(pids)
    for pid in pids:
        try:
            found += [child.pid for child in psutil.Process(pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    return found


def pss(pid: int) -> int:
    """Proportional set size, kB."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)


def cpu_of(pids: list[int]) -> float:
    import psutil

    total = 0.0
    for pid in family(tuple(pids)):
        try:
            used = psutil.Process(pid).cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += used.user + used.system
    return total


def measured(inside: dict[str, Any], *, workers: tuple[int, ...] = ()) -> dict[str, Any]:
    """Run one step in a process of its own; its answer with peak memory and, where there are workers, their CPU."""
    program = subprocess.Popen(
        [sys.executable, str(HERE / "analysis_province.py"), "--inside", json.dumps(inside)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    before = cpu_of(list(workers))
    with Memory(program.pid, *workers) as memory:
        text, _ = program.communicate()
    if program.returncode:
        raise SystemExit(f"{inside} failed")
    answer: dict[str, Any] = json.loads(text.strip().rpartition("\n")[2])
    answer["gb"] = memory.peak
    answer["cpu"] += cpu_of(list(workers)) - before
    say(f"{inside} { ({k: round(v, 2) if isinstance(v, float) else v for k, v in answer.items() if k != 'sha256'}) }")
    return answer


def inside_run(
    analysis: str, size: str, parameters: dict[str, Any], threads: int, scheduler: str | None
) -> dict[str, Any]:
    """One run of an analysis through the runner, unpublished."""
    from spatial.jobs.run import run_analysis
    from spatial.store.datastore import DataStore

    store = DataStore.open(settings(run_workers=threads, dask_scheduler=scheduler))
    out = FOLDER / f"out-{os.getpid()}" / "result.tif"
    shutil.rmtree(out.parent, ignore_errors=True)
    out.parent.mkdir(parents=True)
    said: list[tuple[float, float, str]] = []

    def progress(share: float, text: str) -> None:
        if not said or said[-1][2] != text:
            said.append((time.perf_counter(), time.process_time(), text))

    started, used = time.perf_counter(), time.process_time()
    more = {"report": False} if "report" in run_analysis.__kwdefaults__ else {}
    result = run_analysis(store, analysis, parameters | {"bbox": bbox(size)}, progress=progress, out=out, **more)
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    store.close()
    said.append((time.perf_counter(), time.process_time(), ""))
    digest = hashlib.sha256()
    for name in sorted(result.rasters):
        digest.update(cells(result.rasters[name]))
    shutil.rmtree(out.parent)
    parts = [(b[2], round(n[0] - b[0], 2), round(n[1] - b[1], 2)) for b, n in pairwise(said)]
    return {"wall": wall, "cpu": cpu, "parts": parts, "sha256": digest.hexdigest()}


def cells(path: Path) -> bytes:
    """Digest of the cells of a raster; files may differ in the order of their tiles."""
    import rasterio

    digest = hashlib.sha256()
    with rasterio.open(path) as file:
        for band in range(1, file.count + 1):
            for top in range(0, file.height, 1024):
                rows = min(1024, file.height - top)
                digest.update(file.read(band, window=((top, top + rows), (0, file.width))).tobytes())
    return digest.digest()


def inside_kernels(size: str) -> dict[str, Any]:
    """CPU seconds of the kernels alone on the window, in one thread."""
    import rasterio

    from analyses.patches import patch_areas
    from analyses.terrain import cell_size, local_relief, slope_horn

    rows, cols = SIZES[size]
    top, left = (ROWS - rows) // 2, (COLS - cols) // 2
    used = dict.fromkeys(("decode", "slope", "relief", "patches", "levels"), 0.0)
    grades = np.memmap(FOLDER / "grades.dat", dtype=np.uint8, mode="w+", shape=(rows, cols))

    def clock(name: str, call: Any, *given: Any, **more: Any) -> Any:
        started = time.process_time()
        answer = call(*given, **more)
        used[name] += time.process_time() - started
        return answer

    started = time.perf_counter()
    with rasterio.Env(GDAL_CACHEMAX=128 * 2**20), rasterio.open(FOLDER / "dem.tif") as dem:
        for first in (True, False):  # once on a corner, so that nothing below compiles
            used = dict.fromkeys(used, 0.0)
            for row in range(0, 100 if first else rows, 1024):
                for col in range(0, 100 if first else cols, 1024):
                    h, w = min(1024, rows - row), min(1024, cols - col)
                    window = ((top + row, top + row + h), (left + col, left + col + w))
                    z = clock("decode", dem.read, 1, window=window).astype(np.float32)
                    around = np.pad(z, 7, mode="edge")
                    size_m = cell_size(NORTH, CELL, CELL, top + row, h)
                    slope = clock("slope", slope_horn, around[6:-6, 6:-6], size_m, step=1 / 64)
                    clock("relief", local_relief, around, 15)
                    grades[row : row + h, col : col + w] = np.digitize(slope, [2, 6, 15, 25]) + 1
            areas = np.full(rows, 81_600)
            part = (grades[:100, :100], areas[:100]) if first else (grades, areas)
            found = clock("patches", patch_areas, *part)
            for row in range(0, part[0].shape[0], 1024):
                for col in range(0, part[0].shape[1], 1024):
                    h, w = min(1024, part[0].shape[0] - row), min(1024, part[0].shape[1] - col)
                    clock("levels", found.levels, row, col, h, w, [10**7, 3 * 10**7, 10**8])
    del grades
    (FOLDER / "grades.dat").unlink()
    return {"wall": time.perf_counter() - started, "cpu": sum(used.values()), "each": used}


def inside_location(coarsen: int, threads: int) -> dict[str, Any]:
    """Travel time over the whole province; the minutes are kept for `grade_difference`."""
    from odc.geo.geobox import GeoBox
    from rasterio.transform import from_origin

    from analyses.location import centres, travel_time
    from analyses.rules import urban_rules
    from spatial.jobs.inputs import load_rules
    from spatial.store.datastore import DataStore

    store = DataStore.open(settings())
    snapshot = store.snapshot()
    frames = {
        name: store.vectors.frame(snapshot.vector(name), None) for name in ("counties", "roads", "seats", "lakes")
    }
    store.close()
    rules = urban_rules(load_rules(ROOT / "layers" / "rules")[0])
    row = rules.location.rows["county"]
    scratch = FOLDER / f"location-{coarsen}"
    scratch.mkdir(exist_ok=True)
    started, used = time.perf_counter(), time.process_time()
    found = travel_time(
        GeoBox((ROWS, COLS), from_origin(WEST, NORTH, CELL, CELL), "EPSG:4490"),
        seats=centres(frames["seats"], row.centres, "seats"),
        roads=frames["roads"],
        road_layer="roads",
        speeds_kmh=rules.speeds.roads,
        offroad_kmh=20.0,
        barriers=[frames["lakes"]],
        extent=[frames["counties"], frames["roads"], frames["seats"]],
        cover_window=False,
        scratch=str(scratch),
        coarsen=coarsen,
        threads=threads,
    )
    wall, cpu = time.perf_counter() - started, time.process_time() - used
    about = {"shape": found.minutes.shape, "origin": found.origin}
    (scratch / "shape.json").write_text(json.dumps(about), "utf-8")
    share = grade_difference(found, row) if coarsen > 1 else None
    return {"wall": wall, "cpu": cpu, "cells": float(found.minutes.size), "other_grade": share}


def grade_difference(coarse: Any, row: Any) -> float | None:
    """Share of the province's cells whose grade of location differs from that on the small cells, in the same run."""
    from analyses.location import TravelTime

    path = FOLDER / "location-1" / "minutes.dat"
    if not path.is_file():
        return None
    # Both domains start where the same features do; the coarse one may begin up to two cells earlier.
    rows = coarse.minutes.shape[0] * coarse.coarsen
    fine_shape = json.loads((FOLDER / "location-1" / "shape.json").read_text("utf-8"))
    fine = TravelTime(np.memmap(path, np.float32, "r", shape=tuple(fine_shape["shape"])), tuple(fine_shape["origin"]))
    other = known = 0
    for top in range(0, min(rows, ROWS), 2048):
        a, b = (t.read(top, 0, 2048, COLS) for t in (fine, coarse))
        both = np.isfinite(a) & np.isfinite(b)
        known += int(both.sum())
        other += int((row.grade(a)[both] != row.grade(b)[both]).sum())
    return other / known


@contextmanager
def dask_workers(count: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A Dask scheduler and `count` workers of one thread, each a program with a folder of its own."""
    import distributed

    binaries = Path(sys.executable).parent
    folder = FOLDER / "dask"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    file = folder / "scheduler.json"
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
    programs = [subprocess.Popen([binaries / "dask", "scheduler", *options], cwd=folder, **quiet)]
    try:
        while not (file.is_file() and file.stat().st_size):
            time.sleep(0.1)
        address = json.loads(file.read_text("utf-8"))["address"]
        for number in range(count):
            (folder / str(number)).mkdir()
            options = ["--nthreads", "1", "--no-dashboard", "--no-nanny", "--host", "127.0.0.1", "--memory-limit", "0"]
            programs.append(
                subprocess.Popen([binaries / "dask", "worker", address, *options], cwd=folder / str(number), **quiet)
            )
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)
        yield address, tuple(program.pid for program in programs)
    finally:
        for program in reversed(programs):
            os.killpg(program.pid, signal.SIGKILL)
            program.wait(15)


# ---- the steps

NO_LOCATION: dict[str, Any] = {"apply_location": False}
PASSES = ("单项评价与判别 factors and chain", "集成 integration")
"""Parts of a run that are computed by blocks."""


def step_kernels(sizes: list[str]) -> dict[str, Any]:
    return {size: measured({"kind": "kernels", "size": size}) for size in sizes}


def step_location(sizes: list[str]) -> dict[str, Any]:
    return {f"{30 * coarsen} m": measured({"kind": "location", "coarsen": coarsen, "threads": 2}) for coarsen in (1, 3)}


def step_urban(sizes: list[str]) -> dict[str, Any]:
    """Without location at each size; with it (90 m) on the largest."""
    found = {size: run_of("urban-suitability", size, NO_LOCATION) for size in sizes}
    found["90 m"] = run_of("urban-suitability", sizes[-1], {"location_coarsen": 3})
    return found


def step_dual(sizes: list[str]) -> dict[str, Any]:
    return {size: run_of("dual-evaluation", size, {"location_coarsen": 3}) for size in sizes}


def step_workers(sizes: list[str]) -> dict[str, Any]:
    """The same run in one and two threads and on one, two and four Dask workers; all must have the same bits.

    The speed-up is taken on the largest size: new workers spend seconds on loading the libraries.
    """
    middle, whole = sizes[min(1, len(sizes) - 1)], sizes[-1]
    found = {f"{n} thread": run_of("urban-suitability", middle, NO_LOCATION, threads=n) for n in (1, 2)}
    for size, count in [(middle, n) for n in (1, 2, 4)] + [(whole, n) for n in (1, 2) if whole != middle]:
        with dask_workers(count) as (address, pids):
            found[f"{count} worker" if size == middle else f"{size}, {count} worker"] = measured(
                {
                    "kind": "run",
                    "analysis": "urban-suitability",
                    "size": size,
                    "parameters": NO_LOCATION,
                    "threads": 1,
                    "scheduler": address,
                },
                workers=pids,
            )
    found["two processes"] = two_processes()
    return found


def two_processes() -> dict[str, Any]:
    """What two programs that share nothing do here beside one: the most that a second worker could add."""
    program = (
        "import time, zstandard, numpy as np\n"
        "data = np.cumsum(np.random.default_rng(0).normal(size=4_000_000)).astype(np.float32).tobytes()\n"
        "begin = time.perf_counter()\n"
        "for _ in range(40): zstandard.ZstdCompressor(level=1).compress(data)\n"
        "print(time.perf_counter() - begin)"
    )

    def longest(count: int) -> float:
        started = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(count)]
        return max(float(one.communicate()[0]) for one in started)

    alone = longest(1)
    both = longest(2)
    return {"wall": both, "cpu": 2 * both, "gb": 0.0, "times": 2 * alone / both}


def run_of(analysis: str, size: str, parameters: dict[str, Any], *, threads: int = 2) -> dict[str, Any]:
    return measured(
        {
            "kind": "run",
            "analysis": analysis,
            "size": size,
            "parameters": parameters,
            "threads": threads,
            "scheduler": None,
        }
    )


def table(document: dict[str, Any]) -> str:
    lines = [
        "；".join(f"{step} {date}" for step, date in document["dates"].items()),
        "",
        f"{document['cores']} 核，开始时负载 {document['load_before']:.1f} / {document['cores']} cores, "
        f"load at the start {document['load_before']:.1f}",
        "",
        "| | s | CPU s | GB |",
        "|---|---:|---:|---:|",
    ]
    titles = {
        "kernels": "单个算子 / kernels",
        "location": "通行时间 / travel time",
        "urban": "城镇建设适宜性 / urban suitability",
        "dual": "双评价 / dual evaluation",
        "workers": "城镇适宜性，无区位 / urban suitability without location",
    }
    for step, title in titles.items():
        for name, run in document.get(step, {}).items():
            lines.append(f"| {title}: {name} | {run['wall']:.1f} | {run['cpu']:.1f} | {run['gb']:.2f} |")
            if step == "kernels":
                each = ", ".join(f"{k} {v:.1f}" for k, v in run["each"].items())
                lines.append(f"| &nbsp;&nbsp;{each} | | | |")
    lines += ["", "| 目标 / goal | 测得 / measured | 界限 / limit | 达到 / reached |", "|---|---:|---:|---:|"]
    for text, value, limit, reached in bars(document):
        lines.append(f"| {text} | {value:.3g} | {limit} | {'是 / yes' if reached else '**否 / no**'} |")
    return "\n".join(lines)


def bars(document: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """Goals, as far as they were measured: text, measured, limit, reached."""
    found: list[tuple[str, float, str, bool]] = []

    def at_most(text: str, value: float, limit: float) -> None:
        found.append((text, value, f"≤ {limit:g}", value <= limit))

    urban, dual, workers = (document.get(step, {}) for step in ("urban", "dual", "workers"))
    if "4.4e8" in urban:
        at_most("城镇适宜性，无区位 / urban, no location, s", urban["4.4e8"]["wall"], 50)
        at_most("&nbsp;&nbsp;内存峰值 / peak memory, GB", urban["4.4e8"]["gb"], 3)
    for name, limit in (("90 m", 40), ("30 m", 180)):
        if name in document.get("location", {}):
            at_most(f"通行时间 / travel time, {name}, s", document["location"][name]["wall"], limit)
    if "4.4e8" in dual:
        at_most("双评价 / dual evaluation, s", dual["4.4e8"]["wall"], 480)
        at_most("&nbsp;&nbsp;内存峰值 / peak memory, GB", dual["4.4e8"]["gb"], 4)
    for name, runs in (("城镇适宜性 / urban", urban), ("双评价 / dual", dual)):
        if "3.6e7" in runs and "4.4e8" in runs:
            each = [runs[size]["cpu"] / np.prod(SIZES[size]) for size in ("3.6e7", "4.4e8")]
            at_most(f"{name}：每像元 CPU，4.4e8 ÷ 3.6e7 / CPU a cell", float(each[1] / each[0]), 1.1)
    if "1 worker" in workers:
        one, two = (workers.get(f"{list(SIZES)[-1]}, {n} worker", workers[f"{n} worker"]) for n in (1, 2))
        speedup = one["wall"] / two["wall"]
        found.append(("2 个 Dask 进程的加速 / speed-up of 2 Dask workers", speedup, "≥ 1.7", speedup >= 1.7))
        passes = [sum(part[1] for part in run["parts"] if part[0] in PASSES) for run in (one, two)]
        shared = passes[0] / passes[1]
        found.append(("&nbsp;&nbsp;其中两遍分块 / of that the two passes", shared, "≥ 1.7", shared >= 1.7))
        if "two processes" in workers:
            ideal = workers["two processes"]["times"]
            found.append(("&nbsp;&nbsp;本机两个互不相干的进程 / two unrelated processes here", ideal, "–", True))
        same_size = [run for name, run in workers.items() if "," not in name and "sha256" in run]
        different = len({run["sha256"] for run in same_size})
        found.append(("结果不同的数目 / different results", different, "= 1", different == 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="*", default=list(STEPS), choices=STEPS)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--print-only", action="store_true", help="do not write analysis_province.json")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        given = json.loads(options.inside)
        calls: dict[str, Any] = {"run": inside_run, "kernels": inside_kernels, "location": inside_location}
        print(json.dumps(calls[given.pop("kind")](**given)))
        return
    make_store()
    document: dict[str, Any] = json.loads(RESULTS.read_text("utf-8")) if RESULTS.is_file() else {}
    document |= {"cores": os.cpu_count(), "load_before": os.getloadavg()[0]}
    for step in options.steps:  # steps that are not asked for keep what they had, with their date
        document[step] = globals()[f"step_{step}"](options.sizes)
        document.setdefault("dates", {})[step] = f"{datetime.now(UTC):%Y-%m-%d}"
    if not options.print_only:
        RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(table(document))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
