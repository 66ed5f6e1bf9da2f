"""Speed of serving (服务速度): the bars of the service beside pygeoapi, tipg, Martin and TiTiler, in one run.

    .venv/bin/python benchmarks/serve.py                          # everything; about ten minutes, on a quiet machine
    .venv/bin/python benchmarks/serve.py --steps tiles raster     # some steps; the others stay as they were measured
    .venv/bin/python benchmarks/serve.py --quick                  # a tenth of the data, one short round; prints only

Steps: ``items``, ``tiles``, ``raster``, ``memory``. Each writes its part of ``serve.json`` when it is done, and the tables of
README.md are written anew. Two processes a server, four clients (wrk) on the same machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "deploy"))

import peers  # noqa: E402
import psycopg  # noqa: E402
import serve_memory  # noqa: E402
import serve_peers  # noqa: E402
import serve_report  # noqa: E402
from cells import Cell, cells, tiles_of  # noqa: E402
from client import Connection, load  # noqa: E402
from postgis_cluster import PrivateCluster, running_pid  # noqa: E402
from processes import Server, cpu_seconds  # noqa: E402
from run import FULL, QUICK, Raw, check, last_page_of_points, our_server, publish, say  # noqa: E402
from serve_raster import ELEVATION, PICTURE, publish_rasters, raster_tiles  # noqa: E402
from wrk import require_wrk, wrk  # noqa: E402

STEPS = ("items", "tiles", "raster", "memory")
ITEMS = ("limit100", "limit1000", "bbox", "cql2", "item", "points_first", "points_last")
NO_CACHE = {"ONEMAP_TILE_CACHE_MB": "0", "ONEMAP_TILE_MEMORY_MB": "0"}


class Bench:
    """What the steps share: the database, the servers that run, and how one thing is measured."""

    def __init__(
        self, folder: Path, cluster: PrivateCluster, environment: dict[str, str], port: int, quick: bool
    ) -> None:
        assert cluster.port is not None
        self.folder = folder
        self.cluster = cluster
        self.database_port: int = cluster.port
        self.environment = environment
        self.port = port
        self.rounds, self.seconds = (1, 1.0) if quick else (3, 2.0)
        postmaster = running_pid(cluster.data)
        assert postmaster is not None
        self.postmaster = postmaster

    @contextlib.contextmanager
    def running(self, *servers: Server) -> Iterator[dict[str, Server]]:
        """Start servers, and stop them."""
        try:
            for server in servers:
                server.start()
                say(f"已启动 / started {server.name}")
            yield {server.name: server for server in servers}
        finally:
            for server in servers:
                server.stop()

    def ours(self, name: str, offset: int, more: dict[str, str]) -> Server:
        """Ours, with further settings."""
        found = our_server({**self.environment, **more}, self.port + offset, self.folder)
        found.name = name
        return found

    def rates(
        self, what: str, asked: dict[str, tuple[Server, list[str]]], headers: dict[str, dict[str, str]] | None = None
    ) -> dict[str, dict[str, float]]:
        """Requests a second and CPU ms a request (application, PostgreSQL); the servers take turns."""
        found: dict[str, list[tuple[float, ...]]] = {name: [] for name in asked}
        for server, paths in asked.values():
            if headers is None:
                load(server.port, paths, max(8, min(len(paths), 40)), 8)
        for _ in range(self.rounds):
            for name, (server, paths) in asked.items():
                app, database = cpu_seconds(server.pid), cpu_seconds(self.postmaster)
                run = wrk(server.port, paths, seconds=self.seconds, headers=(headers or {}).get(name))
                app, database = cpu_seconds(server.pid) - app, cpu_seconds(self.postmaster) - database
                per = 1000 / run.requests
                found[name].append((run.rate, app * per, database * per, run.p50, run.p99))
        keys = ("rate", "app", "database", "p50", "p99")
        middle = {
            name: dict(zip(keys, map(statistics.median, zip(*runs, strict=True)), strict=True))
            for name, runs in found.items()
        }
        say(f"{what}: " + ", ".join(f"{name} {m['rate']:,.0f}/s {m['app']:.2f} ms" for name, m in middle.items()))
        return middle

    def p50(self, port: int, paths: list[str], count: int) -> float:
        """Median ms at one client."""
        with contextlib.closing(Connection(port)) as connection:
            connection.get(paths[0])
            return statistics.median(connection.timed(paths[n % len(paths)]) for n in range(count))

    def raw_p50(self, raw: Raw, cell: Cell, count: int) -> float:
        """The same of the raw SQL."""
        import time

        raw.rows(cell, 0)
        taken = []
        for number in range(count):
            started = time.perf_counter()
            raw.rows(cell, number)
            taken.append((time.perf_counter() - started) * 1000)
        return statistics.median(taken)

    def beside_raw(self, raw: Raw, cell: Cell, server: Server, count: int) -> dict[str, float]:
        """p50 at one client of the raw SQL and of a server, in turns."""
        pairs = [
            (self.raw_p50(raw, cell, count), self.p50(server.port, cell.paths["ours"], count))
            for _ in range(max(3, self.rounds))
        ]
        return {"raw": statistics.median(p for p, _ in pairs), "ours": statistics.median(p for _, p in pairs)}


def measure_items(bench: Bench, frame: Any, point_count: int) -> dict[str, Any]:
    """Pages and single features beside pygeoapi and tipg."""
    ours = bench.ours("ours", 0, {})
    stock = peers.pygeoapi_server(bench.database_port, bench.port + 1, bench.folder)
    tipg = peers.tipg_server(bench.database_port, bench.port + 2, bench.folder)
    with bench.running(ours, stock, tipg) as servers, contextlib.closing(Raw(bench.cluster.dsn)) as raw:
        last = last_page_of_points(bench.port, point_count)
        every = {cell.key: cell for cell in cells(frame, point_count, last)}
        found: dict[str, Any] = {"problems": []}
        for key in ITEMS:
            cell = every[key]
            found["problems"] += check(cell, raw, servers)
            one = bench.beside_raw(raw, cell, ours, 40 if key == "item" else 15)
            wanted = ("ours",) if key.startswith("points") else tuple(cell.paths)
            found[key] = {"p50": one, **bench.rates(key, {n: (servers[n], cell.paths[n]) for n in wanted})}
    return found


def measure_tiles(bench: Bench, frame: Any) -> dict[str, Any]:
    """Vector tiles: computed, from the cache, unchanged."""
    bare = bench.ours("ours", 0, NO_CACHE)
    martin = serve_peers.martin_server("martin", bench.database_port, bench.port + 1, bench.folder, cache_mb=0)
    tipg = peers.tipg_server(bench.database_port, bench.port + 2, bench.folder)
    cached = bench.ours("ours_cached", 3, {"ONEMAP_VAR_DIR": bench.environment["ONEMAP_VAR_DIR"]})
    kept = serve_peers.martin_server("martin_cached", bench.database_port, bench.port + 4, bench.folder, cache_mb=512)
    every = {zoom: tiles_of(frame, zoom) for zoom in (5, 6, 7, 8, 10, 12, 14)}
    paths = {
        zoom: {**cell.paths, "martin": [f"/parcels/{z}/{x}/{y}" for z, x, y in cell.values]}
        for zoom, cell in every.items()
    }
    found: dict[str, Any] = {"uncached": {}, "cached": {}, "unchanged": {}, "low": {}}
    with bench.running(bare, martin, tipg) as servers, contextlib.closing(Raw(bench.cluster.dsn)) as raw:
        tipg_rates = {}
        for zoom in (10, 12, 14):
            one = bench.beside_raw(raw, every[zoom], bare, 48)
            rates = bench.rates(f"z{zoom}", {n: (servers[n], paths[zoom][n]) for n in ("ours", "martin", "tipg")})
            tipg_rates[zoom] = rates["tipg"]["rate"]
            found["uncached"][f"z{zoom}"] = {"p50": one, **rates}
        for zoom in (5, 6, 7, 8):
            with contextlib.closing(Connection(bare.port)) as connection:
                size = len(connection.get(paths[zoom]["ours"][0]))
            one_ours = bench.p50(bare.port, paths[zoom]["ours"], 20)
            # Martin draws every parcel: a few answers in a row tell its rate.
            many = 12 if bench.seconds > 1 else 4
            load(martin.port, paths[zoom]["martin"], 2, 2)
            theirs = load(martin.port, paths[zoom]["martin"], many, 4)
            rate = bench.rates(f"z{zoom}", {"ours": (bare, paths[zoom]["ours"])})["ours"]
            found["low"][f"z{zoom}"] = {"p50": one_ours, "bytes": size, "ours": rate, "martin": {"rate": theirs}}
    with bench.running(cached, kept) as servers:
        for zoom in (8, 10, 12, 14):
            asked = {
                "ours": (servers["ours_cached"], paths[zoom]["ours"]),
                "martin": (servers["martin_cached"], paths[zoom]["martin"]),
            }
            found["cached"][f"z{zoom}"] = bench.rates(f"z{zoom} 缓存 / cached", asked)
        for zoom in (10, 12, 14):
            path = paths[zoom]["ours"][0]
            held = {"ours": {"If-None-Match": _etag(cached.port, path)}}
            rate = bench.rates(f"z{zoom} 304", {"ours": (cached, [path])}, held)["ours"]
            found["unchanged"][f"z{zoom}"] = {"ours": rate, "tipg": {"rate": tipg_rates[zoom]}}
    return found


def _etag(port: int, path: str) -> str:
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}{path}") as answer:
        return str(answer.headers["ETag"])


def measure_raster(bench: Bench) -> dict[str, Any]:
    """Picture tiles of two rasters beside TiTiler, each from the same file: one band by a ramp, three bands as they are."""
    bare = bench.ours("ours", 0, NO_CACHE)
    titiler = serve_peers.titiler_server(bench.port + 1, bench.folder)
    cached = bench.ours("ours_cached", 2, {})
    found: dict[str, Any] = {}
    with bench.running(bare, titiler, cached) as servers:
        for key, layer in (("ramp", ELEVATION), ("rgb", PICTURE)):
            ours, theirs = raster_tiles(bench.environment, layer)
            part = found[key] = {}
            for name, port, paths in (("ours", bare.port, ours), ("titiler", titiler.port, theirs)):
                with contextlib.closing(Connection(port)) as connection:
                    part[f"{name}_bytes"] = statistics.mean(len(connection.get(path)) for path in paths)
            asked = {"ours": (bare, ours), "titiler": (servers["titiler"], theirs), "cached": (cached, ours)}
            part.update(bench.rates(f"{layer} PNG", asked))
    return found


def measure_memory(bench: Bench, frame: Any, quick: bool) -> dict[str, Any]:
    """Memory of the processes over many mixed requests."""
    server = bench.ours("ours", 0, {})
    mixed = serve_memory.mixed_paths(frame, raster_tiles(bench.environment)[0])
    marks = (0, 2_000, 4_000) if quick else serve_memory.MARKS
    with bench.running(server):
        return serve_memory.measure(server, mixed, marks)


def prepare(bench_folder: Path, cluster: PrivateCluster, size: Any, steps: list[str]) -> tuple[dict[str, str], Any]:
    """Publish what the steps need."""
    admin = psycopg.connect(cluster.dsn, autocommit=True)
    admin.execute("CREATE EXTENSION postgis")
    for setting in ("jit", "autovacuum"):
        admin.execute(f"ALTER SYSTEM SET {setting} = off")
    admin.execute("SELECT pg_reload_conf()")
    environment = {
        "ONEMAP_STORE": "postgis",
        "ONEMAP_POSTGIS_DSN": cluster.dsn,
        "ONEMAP_VAR_DIR": str(bench_folder / "var"),
    }
    frame, _ = publish(size, environment, admin)
    admin.execute(serve_peers.TILES_COPY_SQL.encode())
    admin.execute("VACUUM (FREEZE, ANALYZE)")
    admin.execute("CHECKPOINT")
    admin.close()
    if {"raster", "memory"} & set(steps):
        publish_rasters(environment, bench_folder, small=size is QUICK)
    return environment, frame


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="服务速度 / speed of serving beside its peers")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="which steps (default: all)")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, one short round; writes no file")
    parser.add_argument("--first-port", type=int, default=8480, help="first of six ports of the servers")
    parser.add_argument("--json", type=Path, help="where the results go (default: benchmarks/serve.json)")
    options = parser.parse_args()
    require_wrk()
    if "tiles" in options.steps:
        serve_peers.install_martin()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    target: Path | None = options.json or (None if options.quick else serve_report.RESULTS)
    results: dict[str, Any] = {}
    if target is not None and target.is_file():
        results = json.loads(target.read_text("utf-8"))
    size = QUICK if options.quick else FULL
    with tempfile.TemporaryDirectory(prefix="onemap-serve-") as name, PrivateCluster() as cluster:
        folder = Path(name)
        before = os.getloadavg()[0]
        environment, frame = prepare(folder, cluster, size, options.steps)
        bench = Bench(folder, cluster, environment, options.first_port, options.quick)
        steps: dict[str, Callable[[], dict[str, Any]]] = {
            "items": lambda: measure_items(bench, frame, size.points),
            "tiles": lambda: measure_tiles(bench, frame),
            "raster": lambda: measure_raster(bench),
            "memory": lambda: measure_memory(bench, frame, options.quick),
        }
        for step in STEPS:
            if step not in options.steps:
                continue
            results[step] = {**steps[step](), "date": f"{datetime.now(UTC):%Y-%m-%d}", "load_before": round(before, 2)}
            results["machine"] = {"cores": os.cpu_count(), "python": platform.python_version()}
            if target is not None:
                target.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", "utf-8")
    print(serve_report.tables(results))
    if target == serve_report.RESULTS:
        serve_report.rewrite_readme()
    return 0


if __name__ == "__main__":
    sys.exit(main())
