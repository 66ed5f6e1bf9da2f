"""Water frequency of 200 scenes of 2,000², from class rasters and from bands, and water bodies of 20,000² (水体频率与图斑).

    .venv/bin/python benchmarks/water_frequency.py                     # writes water_frequency.json
    .venv/bin/python benchmarks/water_frequency.py --size 500 --bodies 2000 --print-only

Seeded data in a temporary folder: uint8 COGs (tiles of 512, deflate) of lakes under blob clouds; six int16 bands a scene, of
which ten scenes are made and read in turn; a frequency raster of lakes and ponds at several scales. Each part runs in a
process of its own, twice: the second time counts, compiled and with a warm file cache. Beside it the raw cost in the same
run: decoding the same files; for the bodies GDAL's polygonize of the whole raster (``--peers``).
Goals: class rasters 5 s, bands 60 s, the same memory for 50 and 200 scenes; bodies 40 s and 4 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "water_frequency.json"
SCENES, THREADS, DISTINCT = 200, 2, 10
BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
GOALS = {"classes": 5.0, "bands": 60.0, "bodies": 40.0, "bodies_gb": 4.0}
TIFF = {
    "driver": "GTiff",
    "crs": "EPSG:4490",
    "tiled": True,
    "blockxsize": 512,
    "blockysize": 512,
    "compress": "deflate",
}


def smooth(rng: np.random.Generator, size: int, cell: int) -> np.ndarray:
    """Noise of a given scale, about normal."""
    from scipy.ndimage import zoom

    coarse = rng.normal(size=(size // cell + 3,) * 2).astype(np.float32)
    return np.asarray(zoom(coarse, cell, order=1)[:size, :size])


def dates(number: int) -> list[datetime]:
    # Ten years, however many scenes: the annual counts go with the years.
    return [datetime(2015, 1, 4, 3, tzinfo=UTC) + timedelta(days=3600 // number * i) for i in range(number)]


def write(path: Path, bands: list[np.ndarray], predictor: int = 1) -> None:
    import rasterio
    from rasterio.transform import from_origin

    height, width = bands[0].shape
    profile = TIFF | {
        "height": height,
        "width": width,
        "count": len(bands),
        "dtype": bands[0].dtype,
        "predictor": predictor,
    }
    with rasterio.open(path, "w", **profile, transform=from_origin(113, 31, 9e-5, 9e-5), interleave="band") as file:
        for number, values in enumerate(bands, 1):
            file.write(values, number)


def make_classes(folder: Path, size: int) -> None:
    rng = np.random.default_rng(1)
    ground = smooth(rng, size, 250) + 0.4 * smooth(rng, size, 40)
    for scene in range(SCENES):
        level = -0.8 + 0.4 * np.cos(2 * np.pi * scene * 18 / 365.25)
        codes = (ground < level).astype(np.uint8)
        codes ^= (rng.random(codes.shape) < 0.003).astype(np.uint8)
        codes[smooth(rng, size, 120) > rng.choice([0.3, 0.9, 1.6])] = 253
        write(folder / f"class{scene:03}.tif", [codes])


def make_bands(folder: Path, size: int) -> None:
    rng = np.random.default_rng(2)
    ground = smooth(rng, size, 250) + 0.4 * smooth(rng, size, 40)
    land, water = (900, 1100, 1000, 3000, 2400, 1500), (700, 800, 600, 400, 200, 150)
    for scene in range(DISTINCT):
        wet = ground < -0.8 + 0.05 * scene
        for name, dry_value, wet_value in zip(BANDS, land, water, strict=True):
            values = np.where(wet, wet_value, dry_value) * (1 + 0.05 * rng.normal(size=wet.shape))
            write(folder / f"{name}{scene}.tif", [np.clip(values, 1, 10000).astype(np.int16)], predictor=2)


def make_frequency(folder: Path, size: int) -> None:
    """Lakes, and ponds of about fifty cells, in strips of rows, so that the maker needs little memory."""
    import rasterio
    from rasterio.transform import from_origin

    rng = np.random.default_rng(3)
    profile = TIFF | {"height": size, "width": size, "count": 2, "dtype": "uint16", "predictor": 2, "num_threads": 2}
    big = smooth(rng, size // 16 + 8, 40) + 0.5 * smooth(rng, size // 16 + 8, 10)
    with rasterio.open(
        folder / "frequency.tif", "w", **profile, transform=from_origin(113, 31, 9e-5, 9e-5), interleave="band"
    ) as file:
        for top in range(0, size, 512):
            height = min(512, size - top)
            lakes = np.kron(
                big[top // 16 : top // 16 + height // 16 + 1, : size // 16 + 1], np.ones((16, 16), np.float32)
            )
            lakes = lakes[:height, :size]
            ponds = np.kron(
                rng.normal(size=(height // 8 + 1, size // 8 + 1)).astype(np.float32), np.ones((8, 8), np.float32)
            )
            share = np.clip((lakes - 1.2) * 120, 0, 100) + np.where(ponds[:height, :size] > 2.5, 80, 0)
            share += np.where(share > 0, rng.normal(0, 3, share.shape), 0)
            clear = np.full(share.shape, 120, np.uint16)
            wet = np.clip(share * 1.2, 0, 120).astype(np.uint16)
            file.write(np.stack([wet, clear]), window=((top, top + height), (0, size)))


def rules() -> Any:
    import yaml

    from analyses.water.bodies.rules import water_body_rules

    text = (HERE.parent / "layers" / "rules" / "water_bodies.yml").read_text(encoding="utf-8")
    return water_body_rules({"water_bodies": yaml.safe_load(text)})


class BandStack:
    """Scenes classified as they are read: six bands, the vote of five tests; `DISTINCT` scenes in turn."""

    def __init__(self, folder: Path, size: int, number: int) -> None:
        from threading import local

        import yaml

        from analyses.water.extent.dswx import vote_tables
        from analyses.water.extent.rules import water_extent_rules

        text = (HERE.parent / "layers" / "rules" / "water_extent.yml").read_text(encoding="utf-8")
        extent = water_extent_rules({"water_extent": yaml.safe_load(text)})
        self.tables = vote_tables(extent)
        self.folder, self.shape, self.dates, self._open = folder, (size, size), dates(number), local()

    def read(self, index: int, row: int, col: int, height: int, width: int) -> np.ndarray:
        import rasterio

        from analyses.water.extent.kernels import vote

        handles = self._open.__dict__.setdefault("handles", {})
        window = ((row, row + height), (col, col + width))
        values = []
        for name in BANDS:
            key = (name, index % DISTINCT)
            if key not in handles:
                handles[key] = rasterio.open(self.folder / f"{name}{index % DISTINCT}.tif")
            values.append(handles[key].read(1, window=window))
        out = np.empty((3, height, width), np.uint8)
        vote(
            np.stack(values[:3]), np.stack(values[3:]), np.zeros((height, width), np.uint8),
            scale=np.full(6, 1e-4, np.float32), offset=np.zeros(6, np.float32), tables=self.tables, out=out,
        )  # fmt: skip
        return out[0]


def counted(stack: Any) -> float:
    from analyses.water.occurrence.frequency import water_frequency

    total = 0.0

    def settle(window: Any, arrays: Any) -> None:
        nonlocal total
        total += float(np.nansum(arrays["frequency"]))

    water_frequency(stack, rules(), settle, threads=THREADS)
    return total


def inside(part: str, folder: Path, size: int, number: int) -> dict[str, float]:
    """One part, in this process; the second of two runs counts."""
    import rasterio

    os.environ.setdefault("GDAL_CACHEMAX", "64")
    found: dict[str, float] = {}
    for _ in range(2):
        started, used = time.perf_counter(), time.process_time()
        if part == "classes":
            from analyses.water.occurrence.stack import RasterStack

            counted(RasterStack.of([folder / f"class{i:03}.tif" for i in range(number)], dates(number)))
        elif part == "decode":
            from concurrent.futures import ThreadPoolExecutor

            def decode(i: int) -> int:
                with rasterio.open(folder / f"class{i:03}.tif") as file:
                    return int(file.read(1).shape[0])

            with ThreadPoolExecutor(THREADS) as pool:
                list(pool.map(decode, range(number)))
        elif part == "bands":
            counted(BandStack(folder, size, number))
        elif part == "bodies":
            from affine import Affine
            from odc.geo.geobox import GeoBox

            from analyses.water.bodies.delineation import RasterFrequency, find_bodies

            source = RasterFrequency.of(folder / "frequency.tif")
            grid = GeoBox(source.shape, Affine(9e-5, 0, 113, 0, -9e-5, 31), "EPSG:4490")
            made = find_bodies(source, grid, rules(), threads=THREADS)
            found["bodies"], found["runs"] = len(made.frame), int(made.runs.row.size)
        elif part == "polygonize":
            from rasterio.features import shapes

            with rasterio.open(folder / "frequency.tif") as file:
                wet, clear = file.read()
                mask = wet >= 0.05 * clear
                found["bodies"] = sum(1 for _ in shapes(mask.view(np.uint8), mask, transform=file.transform))
        found["wall"], found["cpu"] = time.perf_counter() - started, time.process_time() - used
        if part == "polygonize":
            break
    found["gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return found


def run(part: str, folder: Path, size: int, number: int) -> dict[str, float]:
    command = [
        sys.executable,
        __file__,
        "--inside",
        part,
        "--folder",
        str(folder),
        "--size",
        str(size),
        "--number",
        str(number),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{part} failed: {done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.strip().rpartition("\n")[2]))


def note(rows: list[Any], row: tuple[str, str, dict[str, float], str]) -> None:
    """Keep and print a result."""
    rows.append(row)
    _, title, found, goal = row
    more = f", {found['bodies']:,.0f} bodies" if "bodies" in found else ""
    figures = f"{found['wall']:7.2f} s  CPU {found['cpu']:7.2f} s  {found['gb']:5.2f} GB"
    print(f"{title:60} {figures}  {goal}{more}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2000)
    parser.add_argument("--bodies", type=int, default=20_000)
    parser.add_argument("--peers", action="store_true", help="also GDAL's polygonize of the whole raster (slow, 5 GB)")
    parser.add_argument(
        "--only", nargs="*", choices=["classes", "bands", "bodies"], default=["classes", "bands", "bodies"]
    )
    parser.add_argument("--print-only", action="store_true")
    parser.add_argument("--inside")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--number", type=int, default=SCENES)
    args = parser.parse_args()
    if args.inside:
        print(json.dumps(inside(args.inside, args.folder, args.size, args.number)))
        return
    rows: list[tuple[str, str, dict[str, float], str]] = []
    with tempfile.TemporaryDirectory(prefix="onemap-bench-") as name:
        folder = Path(name)
        if "classes" in args.only:
            make_classes(folder, args.size)
            note(
                rows,
                (
                    "decode",
                    f"只解码 / only decoding, {SCENES} × {args.size}²",
                    run("decode", folder, args.size, SCENES),
                    "",
                ),
            )
            few, many = (run("classes", folder, args.size, n) for n in (50, SCENES))
            note(rows, ("classes_50", f"频率，分类图 / from class rasters, 50 × {args.size}²", few, ""))
            note(rows, ("classes", f"频率，分类图 / from class rasters, {SCENES} × {args.size}²", many, "≤ 5 s"))
            for path in folder.glob("class*.tif"):
                path.unlink()
        if "bands" in args.only:
            make_bands(folder, args.size)
            note(
                rows,
                (
                    "bands",
                    f"频率，六波段 / from six bands, {SCENES} × {args.size}²",
                    run("bands", folder, args.size, SCENES),
                    "≤ 60 s",
                ),
            )
        if "bodies" in args.only:
            make_frequency(folder, args.bodies)
            note(
                rows,
                ("bodies", f"图斑 / bodies, {args.bodies}²", run("bodies", folder, args.size, 1), "≤ 40 s, ≤ 4 GB"),
            )
            if args.peers:
                note(rows, ("polygonize", "GDAL polygonize", run("polygonize", folder, args.size, 1), ""))
    by_name = {key: found for key, _, found, _ in rows}
    if {"classes", "classes_50"} <= set(by_name):
        print(f"内存 / memory, {SCENES} : 50 scenes = {by_name['classes']['gb'] / by_name['classes_50']['gb']:.2f} : 1")
    if not args.print_only:
        document = {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
        }
        document |= {"size": args.size, "bodies_size": args.bodies, "goals": GOALS, "results": by_name}
        RESULTS.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
