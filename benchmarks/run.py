"""Ratios in one run (性能对比): OneMap beside stock pygeoapi, tipg and the raw SQL, all on the same rows of one PostGIS.

    make bench                                    # the whole measurement; rewrites results.json and README.md
    .venv/bin/python benchmarks/run.py --quick    # a tenth of the data, fewer rounds; prints only

Needs PostGIS on this machine (`deploy/postgis_cluster.py` says how) and, the first time, a package index for the peers.
Everything listens on 127.0.0.1 only and is stopped at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "deploy"))

import peers  # noqa: E402
import psycopg  # noqa: E402
import report  # noqa: E402
from cells import OURS_POINTS, Cell, cells, statements  # noqa: E402
from client import Connection, load  # noqa: E402
from data import parcels, parcels_layer, points, points_layer  # noqa: E402
from postgis_cluster import PrivateCluster, running_pid  # noqa: E402
from processes import Server, cpu_seconds  # noqa: E402

CLIENTS = 4


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    parcels: int
    points: int
    rounds: int
    load_rounds: int
    share: float
    """Share of the requests of `Cell.load`."""


FULL = Size(200_000, 1_000_000, 5, 3, 1.0)
QUICK = Size(20_000, 100_000, 2, 1, 0.5)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)


def publish(size: Size, environment: dict[str, str], admin: psycopg.Connection[Any]) -> tuple[Any, dict[str, Any]]:
    """Load everything once, through our own publication; the parcels, and how long each publication took."""
    from spatial.settings import Settings
    from spatial.store.datastore import DataStore

    for name in [n for n in os.environ if n.startswith("ONEMAP_")]:
        del os.environ[name]
    os.environ.update(environment)
    store = DataStore.open(Settings())
    times: dict[str, Any] = {}
    try:
        say(f"生成数据 / making {size.parcels:,} parcels and {size.points:,} points")
        frames = {"parcels": (parcels_layer(), parcels(size.parcels)), "points": (points_layer(), points(size.points))}
        for name, (layer, frame) in frames.items():
            started = time.perf_counter()
            table = store.publish_vector(layer, frame)
            took = time.perf_counter() - started
            times[name] = {"count": table.count, "seconds": took, "generalised": sorted(table.generalised)}
            say(f"发布 / published {name}: {took:.1f} s")
    finally:
        store.close()
    say("对照服务的副本 / the copy for the peers")
    admin.execute(peers.COPY_SQL.encode())
    # Frozen, every page counts as visible to all, so that a count reads the index only. A plain VACUUM here left the
    # peers' table unmarked (as measured), which made each of their counts read the whole table.
    admin.execute("VACUUM (FREEZE, ANALYZE)")
    admin.execute("CHECKPOINT")
    return frames["parcels"][1], times


def our_server(environment: dict[str, str], port: int, folder: Path) -> Server:
    """Ours, with two processes, as the peers."""
    # The settings of `peers.uvicorn`, with the HTTP protocol of `onemap serve`.
    program = (
        "import uvicorn; uvicorn.run('spatial.asgi:create_app', factory=True, host='127.0.0.1', "
        f"port={port}, workers=2, loop='uvloop', http='spatial.ready_protocol:ReadyProtocol', log_level='warning', "
        "access_log=False)"
    )
    command = [sys.executable, "-c", f"if __name__ == '__main__':\n    {program}"]
    return Server("ours", command, {**environment, "ONEMAP_PORT": str(port)}, port, "/ready", folder)


class Raw:
    """The raw SQL over one connection, its statements prepared at their first use."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=0)
        self._statements = {name: text.encode() for name, text in statements().items()}

    def rows(self, cell: Cell, number: int) -> list[Any]:
        """First column of the answer."""
        cursor = psycopg.RawCursor(self._connection)
        cursor.execute(self._statements[cell.statement], cell.values[number % len(cell.values)], binary=cell.tile)
        return [row[0] for row in cursor.fetchall()]

    def close(self) -> None:
        """Close."""
        self._connection.close()


def ids_of(document: bytes) -> list[str]:
    """Feature ids of a GeoJSON answer."""
    read = json.loads(document)
    return [str(f["id"]) for f in read.get("features", [read])]


def check(cell: Cell, raw: Raw, servers: dict[str, Server]) -> list[str]:
    """Ask everybody once and compare the answers; what differs, in words. Also notes the sizes."""
    problems = []
    for number in range(min(4, len(cell.values))):
        rows = raw.rows(cell, number)
        cell.sizes["raw"] = max(cell.sizes.get("raw", 0), sum(len(row) for row in rows))
        expected = [] if cell.tile else [str(json.loads(row)["id"]) for row in rows]
        for name, paths in cell.paths.items():
            with contextlib.closing(Connection(servers[name].port)) as connection:
                body = connection.document(paths[number])
            cell.sizes[name] = max(cell.sizes.get(name, 0), len(body))
            if cell.tile:
                if not body:
                    problems.append(f"{cell.key}: {name} gave an empty tile")
                continue
            got = ids_of(body)
            same = sorted(got) == sorted(expected) if cell.exact or name == "ours" else len(got) == len(expected)
            if not same:
                problems.append(
                    f"{cell.key}: {name} gave {len(got)} features, the raw SQL {len(expected)}, or other ones"
                )
    return problems


def latency(every: list[Cell], raw: Raw, servers: dict[str, Server], rounds: int) -> dict[str, dict[str, float]]:
    """p50 in ms at one client; in each round every system answers each cell in turn (A B C D, A B C D …)."""
    found: dict[str, dict[str, list[float]]] = {c.key: {n: [] for n in ("raw", *c.paths)} for c in every}
    for number in range(rounds):
        for cell in every:
            for name, samples in found[cell.key].items():
                samples += _raw_times(cell, raw) if name == "raw" else _times(cell, name, servers[name].port)
        say(f"单客户端 / one client: {number + 1} of {rounds}")
    return {key: {name: statistics.median(values) for name, values in by.items()} for key, by in found.items()}


def _times(cell: Cell, name: str, port: int) -> list[float]:
    # A connection for each series: servers close one that was idle for five seconds. Its first request is not counted.
    paths = cell.paths[name]
    with contextlib.closing(Connection(port)) as connection:
        connection.get(paths[0])
        return [connection.timed(paths[number % len(paths)]) for number in range(cell.samples)]


def _raw_times(cell: Cell, raw: Raw) -> list[float]:
    raw.rows(cell, 0)
    found = []
    for number in range(cell.samples):
        started = time.perf_counter()
        raw.rows(cell, number)
        found.append((time.perf_counter() - started) * 1000)
    return found


def processor(every: list[Cell], servers: dict[str, Server], postmaster: int, size: Size) -> dict[str, Any]:
    """CPU milliseconds a request (application, PostgreSQL) and requests a second, at four clients."""
    found: dict[str, dict[str, list[tuple[float, float, float]]]] = {}
    for number in range(size.load_rounds):
        for cell in (c for c in every if c.load):
            requests = max(CLIENTS, int(cell.load * size.share))
            for name, paths in cell.paths.items():
                load(servers[name].port, paths, CLIENTS, CLIENTS)
                app, database = cpu_seconds(servers[name].pid), cpu_seconds(postmaster)
                rate = load(servers[name].port, paths, requests, CLIENTS)
                time.sleep(0.05)
                app, database = cpu_seconds(servers[name].pid) - app, cpu_seconds(postmaster) - database
                measured = (app * 1000 / requests, database * 1000 / requests, rate)
                found.setdefault(cell.key, {}).setdefault(name, []).append(measured)
        say(f"四客户端 / four clients: {number + 1} of {size.load_rounds}")
    return {
        key: {
            name: dict(zip(("app", "database", "rate"), map(statistics.median, zip(*values, strict=True)), strict=True))
            for name, values in by.items()
        }
        for key, by in found.items()
    }


def warm(every: list[Cell], servers: dict[str, Server]) -> None:
    """Reach both processes of every server: connections are dealt out by chance."""
    for cell in every:
        for name, paths in cell.paths.items():
            load(servers[name].port, paths[:1], 8, 8)


def last_page_of_points(port: int, count: int) -> str:
    """Address of the last page of points, from the ``next`` link of the page before it."""
    connection = Connection(port)
    page = json.loads(connection.document(f"{OURS_POINTS}?limit=1000&after={count - 2000}&f=json"))
    connection.close()
    following = next(link["href"] for link in page["links"] if link["rel"] == "next")
    return "/" + str(following).split("/", 3)[3]


def measure(size: Size, first_port: int, database_port: int | None, folder: Path) -> dict[str, Any]:
    """The whole measurement."""
    for name in peers.PACKAGES:
        peers.install(name)
    started_load = os.getloadavg()[0]
    with PrivateCluster(port=database_port) as cluster:
        admin = psycopg.connect(cluster.dsn, autocommit=True)
        admin.execute("CREATE EXTENSION postgis")
        # Nobody is slowed down by the compiler or by a vacuum that comes in between.
        admin.execute("ALTER SYSTEM SET jit = off")
        admin.execute("ALTER SYSTEM SET autovacuum = off")
        admin.execute("SELECT pg_reload_conf()")
        environment = {
            "ONEMAP_STORE": "postgis",
            "ONEMAP_POSTGIS_DSN": cluster.dsn,
            "ONEMAP_VAR_DIR": str(folder / "var"),
        }
        frame, published = publish(size, environment, admin)
        postgis = admin.execute("SELECT postgis_lib_version()").fetchone()
        postmaster = running_pid(cluster.data)
        assert postmaster is not None
        assert cluster.port is not None
        ours = our_server(environment, first_port, folder)
        stock = peers.pygeoapi_server(cluster.port, first_port + 1, folder)
        tipg = peers.tipg_server(cluster.port, first_port + 2, folder)
        servers = {server.name: server for server in (ours, stock, tipg)}
        raw = Raw(cluster.dsn)
        try:
            for server in servers.values():
                server.start()
                say(f"已启动 / started {server.name}")
            every = cells(frame, size.points, last_page_of_points(first_port, size.points))
            problems = [problem for cell in every for problem in check(cell, raw, servers)]
            for problem in problems:
                say(f"答案不同 / answers differ: {problem}")
            if any(": ours " in problem for problem in problems):
                raise SystemExit(1)
            warm(every, servers)
            p50 = latency(every, raw, servers, size.rounds)
            cpu = processor(every, servers, postmaster, size)
        finally:
            raw.close()
            for server in servers.values():
                server.stop()
            admin.close()
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "postgis": postgis[0] if postgis else "",
            "load_before": round(started_load, 2),
        },
        "peers": {name: peers.versions(name) for name in peers.PACKAGES},
        "published": published,
        "cells": [
            {
                "key": c.key,
                "zh": c.zh,
                "en": c.en,
                "tile": c.tile,
                "bytes": c.sizes,
                "p50": p50[c.key],
                "cpu": cpu.get(c.key),
            }
            for c in every
        ],
        "problems": problems,
    }


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="性能对比 / measured ratios against peers")
    parser.add_argument("--quick", action="store_true", help="a tenth of the data, fewer rounds; writes no file")
    parser.add_argument("--first-port", type=int, default=8400, help="first of three ports of the servers")
    parser.add_argument("--database-port", type=int, help="port of PostgreSQL (default: a free one)")
    parser.add_argument("--json", type=Path, help="where the results go (default: benchmarks/results.json)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything started is stopped
    folder = Path(tempfile.mkdtemp(prefix="onemap-bench-"))
    try:
        results = measure(QUICK if options.quick else FULL, options.first_port, options.database_port, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(report.tables(results))
    target = options.json or (None if options.quick else report.RESULTS)
    if target is not None:
        target.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", "utf-8")
    if target == report.RESULTS:
        report.rewrite_readme()
    return 0


if __name__ == "__main__":
    sys.exit(main())
