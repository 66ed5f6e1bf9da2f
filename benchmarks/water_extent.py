"""Water extent of a full Sentinel-2 tile, from COGs to COGs (整景水体提取), beside its peers.

    .venv/bin/python benchmarks/water_extent.py                       # 10,980², five rounds; writes water_extent.json
    .venv/bin/python benchmarks/water_extent.py --size 2196 --rounds 1 --print-only

The tile is seeded and synthetic: six bands (three of 10 m, three of 20 m), a scene classification; uint16 COGs, tiles of 1024,
deflate, as large as those of a real scene (about 800 MB). Results: class, bits and confidence as COGs with overviews.

Peers, run one after the other in every round, each in a process of its own, timed inside after imports and a warm-up on a small
tile, cache warm: a plain numpy and rasterio script (whole arrays, 20 m bands read at 10 m); and only decoding every input and
then encoding the three results (`raw`), in as many threads, by GDAL. `codec` is `raw` with our own encoder in place of GDAL's.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FOLDER = ROOT / "var" / "bench" / "water-extent"
RESULTS = HERE / "water_extent.json"
FULL, SMALL = 10_980, 1_098
THREADS = 2
SEED = 7
FINE, COARSE = ("blue", "green", "red"), ("nir", "swir1", "swir2")
NAMES = {
    "ours": "本系统 / ours",
    "plain": "普通 numpy + rasterio 脚本 / plain numpy + rasterio",
    "raw": "先解码、后编码（GDAL）/ decoding, then encoding (GDAL)",
    "codec": "先解码、后编码（本系统编码）/ decoding, then encoding (our encoder)",
}
MOST_SECONDS, MOST_GB, LEAST_OF_PLAIN, MOST_OF_RAW = 20.0, 2.0, 2.5, 1.0
SURFACES = {
    "water": (700, 800, 650, 350, 180, 120),
    "plants": (400, 700, 450, 3200, 1800, 900),
    "soil": (900, 1200, 1500, 2300, 2900, 2300),
}
OUTPUTS = ("class", "bits", "confidence")


def folder(size: int) -> Path:
    return FOLDER / str(size)


def file_of(size: int, name: str) -> Path:
    return folder(size) / f"{name}.tif"


# -- the tile ----------------------------------------------------------------------------------------------------------


def smooth(fields: list[tuple[np.ndarray, int, float]], first: int, last: int, size: int) -> np.ndarray:
    """Rows of a sum of bilinear noises: (values, cells a node, height)."""
    total = np.zeros((last - first, size), np.float32)
    for values, cell, height in fields:
        row, col = np.arange(first, last) / cell, np.arange(size) / cell
        r, c = row.astype(int), col.astype(int)
        fr, fc = (row - r).astype(np.float32)[:, None], (col - c).astype(np.float32)
        upper = values[r][:, c] * (1 - fc) + values[r][:, c + 1] * fc
        lower = values[r + 1][:, c] * (1 - fc) + values[r + 1][:, c + 1] * fc
        total += height * (upper * (1 - fr) + lower * fr)
    return total


def make(size: int) -> None:
    """The tile, the same every time: lakes and rivers, fields, a few clouds, a corner without data."""
    import rasterio
    from rasterio.transform import from_origin

    if file_of(size, "scl").is_file():
        return
    folder(size).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(SEED)

    def noise(*parts: tuple[int, float]) -> list[tuple[np.ndarray, int, float]]:
        return [(rng.normal(size=(size // cell + 3,) * 2).astype(np.float32), cell, height) for cell, height in parts]

    water, cloud, cover = (
        noise((900, 1.0), (160, 0.45), (30, 0.2)),
        noise((700, 1.0), (90, 0.4)),
        noise((60, 1.0), (12, 0.6)),
    )
    bands = {name: np.empty((size, size), np.uint16) for name in FINE}
    bands |= {name: np.empty((size // 2, size // 2), np.uint16) for name in COARSE}
    scl = np.empty((size // 2, size // 2), np.uint8)
    for first in range(0, size, 1024):
        last = min(first + 1024, size)
        height = smooth(water, first, last, size)
        wet = (height < -0.6) | (np.abs(height - 0.3) < 0.02)
        green = 1 / (1 + np.exp(-smooth(cover, first, last, size)))
        white = smooth(cloud, first, last, size) > 1.1
        for k, name in enumerate((*FINE, *COARSE)):
            values = green * SURFACES["plants"][k] + (1 - green) * SURFACES["soil"][k]
            values = np.where(wet, SURFACES["water"][k] * (1 + 0.15 * height), values)
            values *= 1 + rng.normal(0, 0.06, values.shape).astype(np.float32)
            values += rng.normal(0, 25, values.shape).astype(np.float32)
            values = np.clip(np.where(white, 0.3 * values + 4500, values) + 1000, 1, 20_000)
            if name in FINE:
                bands[name][first:last] = values
            else:
                mean = values.reshape(values.shape[0] // 2, 2, size // 2, 2).mean(axis=(1, 3))
                bands[name][first // 2 : last // 2] = mean + rng.normal(0, 15, mean.shape)
        classes = np.where(white, 9, np.where(wet, 6, np.where(green > 0.5, 4, 5)))
        scl[first // 2 : last // 2] = classes[::2, ::2]
    row, col = np.ogrid[: size // 2, : size // 2]
    empty = row + 3 * col < size // 6
    scl[empty] = 0
    for name, values in (*bands.items(), ("scl", scl)):
        k = size // values.shape[0]
        if name != "scl":
            values[empty if k == 2 else empty.repeat(2, axis=0).repeat(2, axis=1)] = 0
        profile = {
            "driver": "COG",
            "count": 1,
            "dtype": values.dtype,
            "height": values.shape[0],
            "width": values.shape[0],
        }
        profile |= {"crs": "EPSG:32649", "transform": from_origin(499_980, 3_400_020, 10 * k, 10 * k), "nodata": 0}
        profile |= {"compress": "DEFLATE", "predictor": 2, "blocksize": 1024, "num_threads": THREADS}
        aside = file_of(size, name).with_suffix(".part")
        with rasterio.open(
            aside, "w", overview_resampling="average" if name != "scl" else "nearest", **profile
        ) as file:
            file.write(values, 1)
        os.replace(aside, file_of(size, name))


# -- the programs ------------------------------------------------------------------------------------------------------


def run_ours(size: int, out: Path) -> None:
    import yaml

    from analyses.water.extent.reflectance import OPTICAL_BANDS, calibration
    from analyses.water.extent.rules import water_extent_rules
    from spatial.watch.scene_extent import scene_extent
    from spatial.watch.scene_files import OpticalScene

    rules = water_extent_rules(
        {"water_extent": yaml.safe_load((ROOT / "layers" / "rules" / "water_extent.yml").read_text("utf-8"))}
    )
    how = calibration(rules, "sentinel-2-l2a", baseline="05.10", provider="esa")
    scene = OpticalScene({name: file_of(size, name) for name in OPTICAL_BANDS}, how, file_of(size, "scl"))
    found = scene_extent(scene, out, rules, threads=THREADS)
    if not found.check.usable:
        raise SystemExit(f"the tile was excluded: {found.document()}")


def write_cog(path: Path, values: np.ndarray, like: Any, resampling: str) -> None:
    """A result as GDAL writes it, in the form of ours."""
    import rasterio

    profile = {"driver": "COG", "count": 1, "dtype": "uint8", "height": values.shape[0], "width": values.shape[1]}
    profile |= {"crs": like.crs, "transform": like.transform, "nodata": 255, "compress": "ZSTD", "level": 1}
    profile |= {"predictor": 2, "blocksize": 256, "num_threads": THREADS, "overview_resampling": resampling}
    with rasterio.open(path, "w", **profile) as target:
        target.write(values, 1)


def run_plain(size: int, out: Path) -> None:
    """As one writes it in a notebook: whole arrays, one line a test."""
    import rasterio

    out.mkdir()
    r, hollow = {}, np.zeros((size, size), bool)
    for name in (*FINE, *COARSE):
        with rasterio.open(file_of(size, name)) as source:
            numbers = source.read(1, out_shape=(size, size))
        hollow |= numbers == 0
        r[name] = numbers.astype("float32") * np.float32(1e-4) - np.float32(0.1)
    with rasterio.open(file_of(size, "scl")) as source:
        scl = source.read(1, out_shape=(size, size))
    with np.errstate(invalid="ignore", divide="ignore"):
        mndwi = (r["green"] - r["swir1"]) / (r["green"] + r["swir1"])
        ndvi = (r["nir"] - r["red"]) / (r["nir"] + r["red"])
    awesh = r["blue"] + 2.5 * r["green"] - 1.5 * (r["nir"] + r["swir1"]) - 0.25 * r["swir2"]
    t1 = mndwi > 0.124
    t2 = r["green"] + r["red"] > r["nir"] + r["swir1"]
    t3 = awesh > 0
    t4 = (mndwi > -0.44) & (r["swir1"] < 0.09) & (r["nir"] < 0.15) & (ndvi < 0.7)
    t5 = (mndwi > -0.5) & (r["blue"] < 0.1) & (r["swir1"] < 0.3) & (r["swir2"] < 0.1) & (r["nir"] < 0.25)
    bits = np.zeros((size, size), "uint8")
    for place, test in enumerate((t1, t2, t3, t4, t5)):
        bits |= test.astype("uint8") << place
    count = sum(test.astype("uint8") for test in (t1, t2, t3, t4, t5))
    classes = np.zeros((size, size), "uint8")
    classes[count >= 4] = 1
    classes[count == 3] = 2
    classes[(count == 2) | (bits == 0b10000)] = 4
    classes[bits == 0b11000] = 3
    confidence = 20 * np.maximum(count, 5 - count)
    for codes, mask in (((11,), 252), ((3, 8, 9, 10), 253), ((0, 1), 255)):
        found = np.isin(scl, codes)
        classes[found] = mask
        bits[found] = confidence[found] = 255
    classes[hollow] = bits[hollow] = confidence[hollow] = 255
    with rasterio.open(file_of(size, "green")) as like:
        for name, values in (("class", classes), ("bits", bits), ("confidence", confidence)):
            write_cog(out / f"{name}.tif", values, like, "nearest" if name == "confidence" else "mode")


def decode(size: int) -> None:
    """Every tile of every input once, in threads, and nothing kept."""
    import rasterio

    jobs = []
    for name in (*FINE, *COARSE, "scl"):
        side = size if name in FINE else size // 2
        jobs += [(name, top, left, side) for top in range(0, side, 1024) for left in range(0, side, 1024)]
    mine = threading.local()

    def work(job: tuple[str, int, int, int]) -> None:
        name, top, left, side = job
        with rasterio.Env(GDAL_CACHEMAX=64 * 2**20):
            opened = mine.__dict__.setdefault("opened", {})
            if name not in opened:
                opened[name] = rasterio.open(file_of(size, name))
            opened[name].read(1, window=((top, min(top + 1024, side)), (left, min(left + 1024, side))))

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, jobs))


def results(size: int) -> list[np.ndarray]:
    """What `ours` wrote: other arrays would compress otherwise."""
    import rasterio

    found = []
    for name in OUTPUTS:
        with rasterio.open(folder(size) / "out-ours" / f"{name}.tif") as source:
            found.append(source.read(1))
    return found


def run_raw(size: int, out: Path, values: list[np.ndarray]) -> None:
    import rasterio

    out.mkdir()
    decode(size)
    with rasterio.open(file_of(size, "green")) as like:
        for name, array in zip(OUTPUTS, values, strict=True):
            write_cog(out / f"{name}.tif", array, like, "nearest" if name == "confidence" else "mode")


def run_codec(size: int, out: Path, values: list[np.ndarray]) -> None:
    import rasterio

    from spatial.store.cog import assemble, creation_options
    from spatial.store.tile_pyramid import BlockEncoder, TilePyramid

    out.mkdir()
    decode(size)
    for name, array in zip(OUTPUTS, values, strict=True):
        encoder = BlockEncoder((size, size), "uint8", 255, name != "confidence")
        pyramid = TilePyramid(out / f"{name}.tiles", encoder, 1)
        corners = [(top, left) for top in range(0, size, 2048) for left in range(0, size, 2048)]

        def encode(corner: tuple[int, int], encoder: Any = encoder, array: np.ndarray = array) -> Any:
            return encoder(*corner, array[corner[0] : corner[0] + 2048, corner[1] : corner[1] + 2048])

        with ThreadPoolExecutor(THREADS) as pool:
            for block in pool.map(encode, corners):
                pyramid.put(block, 1)
        pyramid.close()
        with rasterio.open(file_of(size, "green")) as like:
            profile = {"count": 1, "dtype": "uint8", "nodata": 255, "crs": like.crs, "transform": like.transform}
        empty = out / f"{name}.empty.tif"
        with rasterio.open(empty, "w", height=size, width=size, **profile, **creation_options()):
            pass
        assemble(out / f"{name}.tif", pyramid, empty)


# -- the comparison ----------------------------------------------------------------------------------------------------


def inside(name: str, size: int) -> None:
    """Warm up on the small tile, run, print wall and CPU seconds."""
    run: Callable[..., None] = {"ours": run_ours, "plain": run_plain, "raw": run_raw, "codec": run_codec}[name]
    used = (0.0, 0.0)
    for side in (SMALL, size):
        out = folder(side) / f"out-{name}"
        shutil.rmtree(out, ignore_errors=True)
        more = (results(side),) if name in {"raw", "codec"} else ()
        started, cpu = time.perf_counter(), time.process_time()
        run(side, out, *more)
        used = time.perf_counter() - started, time.process_time() - cpu
    print(*used)


def differences(size: int) -> float:
    """Share of cells where the plain script has another class (it divides, and takes negative values as they are)."""
    import rasterio

    window = ((0, size), (size // 4, size // 2))
    found = []
    for name in ("ours", "plain"):
        with rasterio.open(folder(size) / f"out-{name}" / "class.tif") as source:
            found.append(source.read(1, window=window))
    return float((found[0] != found[1]).mean())


def compare(size: int, rounds: int, names: list[str]) -> dict[str, Any]:
    from analysis_chain import measured

    for side in (SMALL, size):
        # In a process of its own: the peak of a program counts from the memory of the one that starts it.
        subprocess.run([sys.executable, __file__, "--make", "--size", str(side)], check=True)
    bytes_in = 0
    for path in folder(size).glob("*.tif"):  # into the page cache
        bytes_in += path.stat().st_size
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(rounds):
        # `raw` encodes what `ours` wrote, so ours runs first; the others change places.
        for name in ["ours", *(names[1:] if number % 2 == 0 else names[:0:-1])]:
            runs[name].append(measured([sys.executable, __file__, "--inside", name, "--size", str(size)]))
            print(number + 1, name, {k: round(v, 2) for k, v in runs[name][-1].items()}, file=sys.stderr, flush=True)
    median = {
        name: {key: statistics.median(run[key] for run in found) for key in ("wall", "cpu", "gb")}
        for name, found in runs.items()
    }
    other = differences(size) if "plain" in names else None
    return {"input_mb": round(bytes_in / 1e6), "median": median, "other_class": other}


def bars(document: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """Goals: text, measured, limit, reached."""
    found = document["median"]
    ours = found["ours"]
    goals = [
        ("秒 / seconds, ≤", ours["wall"], MOST_SECONDS, ours["wall"] <= MOST_SECONDS),
        ("内存峰值 / peak memory, GB, ≤", ours["gb"], MOST_GB, ours["gb"] <= MOST_GB),
    ]
    if "plain" in found:
        ratio = found["plain"]["wall"] / ours["wall"]
        goals.append((f"{NAMES['plain']} ÷ 本系统 / ours, ≥", ratio, LEAST_OF_PLAIN, ratio >= LEAST_OF_PLAIN))
    if "raw" in found:
        share = ours["wall"] / found["raw"]["wall"]
        goals.append((f"本系统 / ours ÷ {NAMES['raw']}, ≤", share, MOST_OF_RAW, share <= MOST_OF_RAW))
    return goals


def table(document: dict[str, Any]) -> str:
    lines = [
        f"{document['date']}：{document['size']}² 像元，{document['rounds']} 轮的中位数，{document['cores']} 核，开始时负载 "
        f"{document['load_before']:.2f} / {document['size']}² cells, median of {document['rounds']} rounds, "
        f"{document['cores']} cores, load at the start {document['load_before']:.2f}",
        "",
        "| | s | CPU s | GB | 倍数 / ratio |",
        "|---|---:|---:|---:|---:|",
    ]
    found = document["median"]
    for name, row in found.items():
        ratio = row["wall"] / found["ours"]["wall"]
        lines.append(f"| {NAMES[name]} | {row['wall']:.2f} | {row['cpu']:.1f} | {row['gb']:.2f} | {ratio:.2f}× |")
    lines += ["", "| 目标 / goal | 测得 / measured | 界限 / limit | 达到 / reached |", "|---|---:|---:|---:|"]
    for text, value, limit, reached in bars(document):
        lines.append(f"| {text} | {value:.2f} | {limit:.2f} | {'是 / yes' if reached else '**否 / no**'} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=FULL, help="cells on a side at 10 m; even")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="*", default=["plain", "raw", "codec"], choices=list(NAMES)[1:])
    parser.add_argument("--print-only", action="store_true", help="do not write water_extent.json")
    parser.add_argument("--make", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--inside", choices=list(NAMES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.size)
        return
    if options.inside:
        inside(options.inside, options.size)
        return
    document: dict[str, Any] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "size": options.size,
        "rounds": options.rounds,
        "seed": SEED,
        "threads": THREADS,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "load_before": os.getloadavg()[0],
    }
    document |= compare(options.size, options.rounds, ["ours", *options.peers])
    if not options.print_only:
        RESULTS.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
    print(table(document))


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
