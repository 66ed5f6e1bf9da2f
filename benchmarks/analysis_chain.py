"""Slope, five classes and a weighted overlay of six layers, from files to a file (坡度—分级—加权叠加), beside its peers.

    .venv/bin/python benchmarks/analysis_chain.py                 # 12,000², five rounds; writes analysis_chain.json
    .venv/bin/python benchmarks/analysis_chain.py --size 3000 --rounds 1 --print-only

Peers: gdaldem + gdal_calc (Debian: gdal-bin, python3-gdal), GRASS (grass-core), dask + xarray-spatial (an environment of its
own under ``benchmarks/.peers/``), and reading and writing the same files with nothing in between. Every round runs each
program once, one after the other. Python programs are timed inside, after imports and a warm-up on a small file; commands
as a whole. The first of the six layers is the grade of the slope; inputs are six float32 rasters in tiles of 512, cache warm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = ROOT / "var" / "bench" / "chain"
RESULTS = HERE / "analysis_chain.json"
EDGES = (3.0, 8.0, 15.0, 25.0)
GRADES = (5.0, 4.0, 3.0, 2.0, 1.0)
WEIGHTS = (0.25, 0.15, 0.15, 0.15, 0.15, 0.15)
THREADS = 2
TILES = ["TILED=YES", "BLOCKXSIZE=512", "BLOCKYSIZE=512"]
NAMES = {
    "ours": "本系统 / ours",
    "raw": "只读写 / only reading and writing",
    "gdal": "gdaldem + gdal_calc",
    "grass": "GRASS r.slope.aspect + r.mapcalc",
    "dask": "dask + xarray-spatial",
}
BARS = {"gdal": 3.0, "grass": 8.0, "dask": 1.7}
"""Peer → least ratio of its time to ours."""
MOST_OF_RAW, MOST_GB = 1.3, 2.0


def folder(size: int, compress: str) -> Path:
    return FOLDER / f"{size}-{compress}"


def inputs(where: Path) -> list[Path]:
    return [where / "dem.tif", *(where / f"layer{n}.tif" for n in range(1, 6))]


def make(size: int, compress: str) -> None:
    """The six inputs, the same every time."""
    import rasterio
    from rasterio.transform import from_origin
    from scipy.ndimage import map_coordinates

    where = folder(size, compress)
    where.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "float32", "nodata": -9999}
    profile |= {"crs": "EPSG:4547", "transform": from_origin(500_000, 3_500_000, 30, 30), "tiled": True}
    profile |= {"blockxsize": 512, "blockysize": 512, "bigtiff": "IF_SAFER"}
    if compress != "none":
        profile |= {"compress": compress, "predictor": 3, "num_threads": 2}
    for number, path in enumerate(inputs(where)):
        if path.is_file():
            continue
        rng = np.random.default_rng(number)
        scales = [(2000, 900.0), (300, 160.0), (40, 18.0)] if number == 0 else [(700, 1.2), (60, 0.5)]
        fields = [(rng.normal(size=(size // cell + 4,) * 2), cell, height) for cell, height in scales]
        aside = path.with_suffix(".part")
        with rasterio.open(aside, "w", **profile) as file:
            for top in range(0, size, 512):
                rows = np.arange(top, min(top + 512, size))
                values = np.zeros((rows.size, size))
                for field, cell, height in fields:
                    at = np.meshgrid(rows / cell + 1, np.arange(size) / cell + 1, indexing="ij")
                    values += height * map_coordinates(field, at, order=1)
                # To 1/64 as factor rasters are kept; white noise would make deflate a measure of nothing.
                values = values + 1000 if number == 0 else np.clip(values + 3, 1, 5)
                file.write(
                    (np.round(values * 64) / 64).astype(np.float32), 1, window=((top, top + rows.size), (0, size))
                )
        os.replace(aside, path)


def run_ours(where: Path, out: Path, compress: str) -> None:
    from analyses.overlay import slope_overlay

    slope_overlay(
        inputs(where)[0],
        inputs(where)[1:],
        out,
        slope_edges=EDGES,
        grades=GRADES,
        weights=WEIGHTS,
        threads=THREADS,
        compress=None if compress == "none" else compress,
    )


def result(where: Path) -> np.ndarray:
    """What `ours` wrote, for `raw` to write again: another array would compress otherwise."""
    import rasterio

    with rasterio.open(where / "out-ours.tif") as file:
        return np.asarray(file.read(1))


def run_raw(where: Path, out: Path, compress: str, values: np.ndarray) -> None:
    """Decode every input and encode the result, in as many threads; nothing else."""
    import rasterio

    more = {} if compress == "none" else {"compress": compress, "num_threads": THREADS}
    with rasterio.Env(GDAL_CACHEMAX=64 * 2**20), rasterio.open(inputs(where)[0]) as dem:
        rows, cols = dem.shape
        profile = {"driver": "GTiff", "height": rows, "width": cols, "count": 1, "dtype": "float32", "crs": dem.crs}
        profile |= {"transform": dem.transform, "tiled": True, "blockxsize": 512, "blockysize": 512} | more
        lock = threading.Lock()
        with rasterio.open(out, "w", **profile) as target:

            def work(tops: Any) -> None:
                sources = [rasterio.open(path) for path in inputs(where)]
                buffer = np.empty((512, 512), np.float32)
                for top in tops.tolist():
                    for left in range(0, cols, 512):
                        part = buffer[: min(512, rows - top), : min(512, cols - left)]
                        window = ((top, top + part.shape[0]), (left, left + part.shape[1]))
                        for source in sources:
                            source.read(1, window=window, out=part)
                        with lock:
                            target.write(values[slice(*window[0]), slice(*window[1])], 1, window=window)
                for source in sources:
                    source.close()

            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(work, np.array_split(np.arange(0, rows, 512), THREADS)))


DASK = """
import json, sys, threading, time
import dask, rioxarray, xarray as xr
from xrspatial import slope
dask.config.set(scheduler="threads", num_workers={threads})
def run(paths, out, compress):
    arrays = [rioxarray.open_rasterio(p, chunks=dict(x=2048, y=2048), lock=False)[0] for p in paths]
    s = slope(arrays[0])
    grade = 5.0 - (s >= 3).astype("f4") - (s >= 8).astype("f4") - (s >= 15).astype("f4") - (s >= 25).astype("f4")
    total = 0.25 * grade.where(s == s)
    for layer in arrays[1:]:
        total = total + 0.15 * layer
    more = dict() if compress == "none" else dict(compress=compress, num_threads={threads})
    total = total.astype("float32").rio.write_crs(arrays[0].rio.crs).rio.write_nodata(float("nan"))
    total.rio.to_raster(out, tiled=True, blockxsize=512, blockysize=512, lock=threading.Lock(), **more)
for paths, out in json.loads(sys.argv[1]):
    started, used = time.perf_counter(), time.process_time()
    run(paths, out, sys.argv[2])
print(time.perf_counter() - started, time.process_time() - used)
"""


def measured(command: list[str], *, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Wall and CPU seconds and peak memory of a program with its children; it may print its inner time last."""
    started = time.perf_counter()
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    out, err = program.stdout, program.stderr
    assert out is not None
    assert err is not None
    drained: list[bytes] = []
    reader = threading.Thread(target=lambda: drained.append(err.read()))
    reader.start()
    text = out.read().decode()
    reader.join()
    _, status, used = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(status)
    if program.returncode:
        raise SystemExit(f"{command[0]} failed: {drained[0].decode()[-2000:]}")
    wall = time.perf_counter() - started
    cpu = used.ru_utime + used.ru_stime
    last = text.strip().rpartition("\n")[2]
    with contextlib.suppress(ValueError):
        wall, cpu = (float(part) for part in last.split())
    return {"wall": wall, "cpu": cpu, "gb": used.ru_maxrss / 2**20}


def run_one(name: str, size: int, compress: str) -> dict[str, Any]:
    where, small = folder(size, compress), folder(600, compress)
    out = where / f"out-{name}.tif"
    out.unlink(missing_ok=True)
    if name in {"ours", "raw"}:
        return measured([sys.executable, __file__, "--inside", name, "--size", str(size), "--compress", compress])
    if name == "dask":
        jobs = [([str(p) for p in inputs(w)], str(w / f"out-{name}.tif")) for w in (small, where)]
        code = DASK.format(threads=THREADS)
        return measured([str(dask_python()), "-c", code, json.dumps(jobs), compress])
    if name == "gdal":
        return run_gdal(where, out, compress)
    return run_grass(where)


def run_gdal(where: Path, out: Path, compress: str) -> dict[str, Any]:
    options = [*TILES, *([] if compress == "none" else [f"COMPRESS={compress}", f"NUM_THREADS={THREADS}"])]
    slope = where / "gdal-slope.tif"
    slope.unlink(missing_ok=True)
    first = measured(
        ["gdaldem", "slope", "-q", str(inputs(where)[0]), str(slope), *(x for o in options for x in ("-co", o))]
    )
    letters = "BCDEF"
    grade = "(5-(A>=3).astype(float32)-(A>=8)-(A>=15)-(A>=25)).astype(float32)"
    expression = f"float32(0.25)*{grade}" + "".join(f"+float32(0.15)*{x}" for x in letters)
    second = measured(
        [
            "gdal_calc.py",
            "--quiet",
            "-A",
            str(slope),
            *(x for letter, path in zip(letters, inputs(where)[1:], strict=True) for x in (f"-{letter}", str(path))),
            f"--outfile={out}",
            f"--calc={expression}",
            "--type=Float32",
            *(f"--co={o}" for o in options),
        ]
    )
    return {
        "wall": first["wall"] + second["wall"],
        "cpu": first["cpu"] + second["cpu"],
        "gb": max(first["gb"], second["gb"]),
    }


def run_grass(where: Path) -> dict[str, Any]:
    """Maps are linked, not imported; the location is made before the clock starts."""
    location = where / "grass"
    env = os.environ | {"GRASS_OVERWRITE": "1", "GRASS_VERBOSE": "0", "GRASS_MESSAGE_FORMAT": "silent"}
    if not location.is_dir():
        links = "\n".join(f"r.external -o input={p} output={p.stem}" for p in inputs(where))
        script = where / "prepare.sh"
        script.write_text(f"set -e\n{links}\ng.region raster=dem\n")
        dem = str(inputs(where)[0])
        subprocess.run(["grass", "-c", dem, str(location), "--exec", "true"], env=env, check=True, capture_output=True)
        subprocess.run(
            ["grass", f"{location}/PERMANENT", "--exec", "bash", str(script)], env=env, check=True, capture_output=True
        )
    layers = "+".join(f"0.15*layer{n}" for n in range(1, 6))
    grade = "if(s>=25,1,if(s>=15,2,if(s>=8,3,if(s>=3,4,5))))"
    script = where / "run.sh"
    script.write_text(
        f"set -e\nr.slope.aspect elevation=dem slope=s\nr.mapcalc 'result = float(0.25*{grade}+{layers})'\n"
    )
    return measured(["grass", f"{location}/PERMANENT", "--exec", "bash", str(script)], env=env)


def dask_python() -> Path:
    import peers

    peers.PACKAGES["xarray-spatial"] = ("dask[array]", "rioxarray", "xarray-spatial")
    return peers.install("xarray-spatial")


def require(names: list[str]) -> None:
    needed = {"gdal": ("gdaldem", "gdal-bin"), "grass": ("grass", "grass-core")}
    for name in names:
        if name in needed and shutil.which(needed[name][0]) is None:
            raise SystemExit(
                f"缺少 {needed[name][0]}：apt-get install {needed[name][1]} / missing: apt-get install {needed[name][1]}"
            )
    if "gdal" in names and shutil.which("gdal_calc.py") is None:
        raise SystemExit("缺少 gdal_calc.py：apt-get install python3-gdal / missing: apt-get install python3-gdal")
    if "dask" in names:
        dask_python()


def differences(size: int, compress: str, names: list[str]) -> dict[str, float]:
    """Share of cells, away from the outer edge, where a peer's answer is another grade than ours."""
    import rasterio

    where = folder(size, compress)
    found = {}
    window = ((size // 2, size // 2 + 1024), (1, size - 1))
    with rasterio.open(where / "out-ours.tif") as file:
        ours = file.read(1, window=window)
    for name in names:
        path = where / f"out-{name}.tif"
        if name in {"gdal", "dask"} and path.is_file():
            with rasterio.open(path) as file:
                found[name] = float((np.abs(file.read(1, window=window) - ours) > 0.01).mean())
    return found


def compare(size: int, compress: str, rounds: int, names: list[str]) -> dict[str, Any]:
    for side in (600, size):
        make(side, compress)
    for path in inputs(folder(size, compress)):  # into the page cache
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else names[::-1]:
            runs[name].append(run_one(name, size, compress))
            print(
                compress,
                number + 1,
                name,
                {k: round(v, 2) for k, v in runs[name][-1].items()},
                file=sys.stderr,
                flush=True,
            )
    middle = {
        name: {key: statistics.median(run[key] for run in found) for key in ("wall", "cpu", "gb")}
        for name, found in runs.items()
    }
    return {"median": middle, "other_grade": differences(size, compress, names)}


def table(document: dict[str, Any]) -> str:
    lines = [
        f"{document['date']}：{document['size']}² 像元，{document['rounds']} 轮的中位数，{document['cores']} 核 / "
        f"{document['size']}² cells, median of {document['rounds']} rounds, {document['cores']} cores",
        "",
        "| | 未压缩 s / none | CPU s | GB | 倍数 / ratio | deflate s | CPU s | 倍数 / ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    plain, packed = document["none"]["median"], document.get("deflate", {}).get("median", {})
    for name in plain:
        a, b = plain[name], packed.get(name)
        more = f"{b['wall']:.2f} | {b['cpu']:.1f} | {b['wall'] / packed['ours']['wall']:.2f}×" if b else "– | – | –"
        ratio = a["wall"] / plain["ours"]["wall"]
        lines.append(f"| {NAMES[name]} | {a['wall']:.2f} | {a['cpu']:.1f} | {a['gb']:.2f} | {ratio:.2f}× | {more} |")
    lines += ["", "| 目标 / goal | 测得 / measured | 界限 / limit | 达到 / reached |", "|---|---:|---:|---:|"]
    for text, value, limit, reached in bars(document):
        lines.append(f"| {text} | {value:.2f} | {limit:.2f} | {'是 / yes' if reached else '**否 / no**'} |")
    return "\n".join(lines)


def bars(document: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """Goals of the uncompressed comparison: text, measured, limit, reached."""
    found = document["none"]["median"]
    ours = found["ours"]["wall"]
    goals = [
        (f"{NAMES[name]} ÷ 本系统 / ours, ≥", found[name]["wall"] / ours, limit, found[name]["wall"] / ours >= limit)
        for name, limit in BARS.items()
        if name in found
    ]
    if "raw" in found:
        share = ours / found["raw"]["wall"]
        goals.append((f"本系统 ours ÷ {NAMES['raw']}, ≤", share, MOST_OF_RAW, share <= MOST_OF_RAW))
    goals.append(("内存峰值 / peak memory, GB, ≤", found["ours"]["gb"], MOST_GB, found["ours"]["gb"] <= MOST_GB))
    return goals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=12_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="*", default=["raw", "gdal", "grass", "dask"], choices=list(NAMES))
    parser.add_argument("--compressions", nargs="*", default=["none", "deflate"])
    parser.add_argument("--print-only", action="store_true", help="do not write analysis_chain.json")
    parser.add_argument("--inside", choices=["ours", "raw"], help=argparse.SUPPRESS)
    parser.add_argument("--compress", default="none", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        run: Any = {"ours": run_ours, "raw": run_raw}[options.inside]
        for where in (folder(600, options.compress), folder(options.size, options.compress)):
            more = (result(where),) if options.inside == "raw" else ()
            started, used = time.perf_counter(), time.process_time()
            run(where, where / f"out-{options.inside}.tif", options.compress, *more)
        print(time.perf_counter() - started, time.process_time() - used)
        return
    require(options.peers)
    names = ["ours", *options.peers]
    document: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "size": options.size,
        "rounds": options.rounds,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "load_before": os.getloadavg()[0],
    }
    for compress in options.compressions:
        document[compress] = compare(options.size, compress, options.rounds, names)
    if not options.print_only:
        RESULTS.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(table(document))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
