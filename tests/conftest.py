"""Fixtures for every test: real stores, a real browser, and no network but this machine.

Nothing here skips because a program is missing: a missing program fails the test with the line that installs it.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "deploy"))

ONE_PROCESS = (
    ("tests/conformance/",),
    # The demo.
    (
        "tests/portal/test_analysis.py",
        "tests/portal/test_first_paint.py",
        "tests/portal/test_layers.py",
        "tests/portal/test_map_clients.py",
        "tests/portal/test_ogc_pages.py",
        "tests/portal/test_query.py",
        "tests/portal/test_use.py",
    ),
    # The small lake.
    ("tests/portal/test_water.py", "tests/portal/test_water_card.py"),
)
"""Files that share a server which takes long to start: with several test processes, all of a group run in the same one."""

LONGEST = (
    "tests/conformance/",
    "tests/faults/test_jobs.py",
    "tests/api/test_processes_dual_evaluation.py",
    "tests/api/test_landcover_processes.py",
    "tests/unit/test_notebooks.py",
    "tests/unit/test_cli.py",
    "tests/unit/test_water_watch.py",
    "tests/unit/test_landcover_analysis.py",
    "tests/unit/test_blocks.py",
    "tests/portal/test_analysis.py",
    "tests/portal/test_water.py",
    "tests/portal/test_water_flood.py",
)
"""Files, or first files of a group, that take longest; they begin first: begun last, one would go on alone."""

REAL_CONNECT = socket.socket.connect
REAL_CONNECT_EX = socket.socket.connect_ex


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Scheduler of ``--dist loadfile`` that knows `ONE_PROCESS` and `LONGEST`; nothing for other ways to distribute."""
    from xdist.scheduler import LoadFileScheduling

    named = {name for group in ONE_PROCESS for name in group} | set(LONGEST)
    if gone := [name for name in sorted(named) if not (ROOT / name).exists()]:
        raise pytest.UsageError(f"tests/conftest.py names files that are gone: {', '.join(gone)}")

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((group[0] for group in ONE_PROCESS if nodeid.startswith(group)), super()._split_scope(nodeid))

        def _assign_work_unit(self, node: Any) -> None:
            if first := next((name for name in LONGEST if name in self.workqueue), None):
                self.workqueue.move_to_end(first, last=False)
            super()._assign_work_unit(node)

    return Files(config, log) if config.getoption("dist") == "loadfile" else None


class OutsideNetwork(AssertionError):
    """A test reached for an address that is not this machine."""


def refuse_outside(family: int, address: Any) -> None:
    """Raise `OutsideNetwork` unless the address is the loopback, a Unix socket or a local name."""
    if family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = str(address[0])
    try:
        is_local = ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        is_local = host in ("localhost", "")
    if not is_local:
        raise OutsideNetwork(f"测试不得访问外部网络：{host}:{address[1]} / tests must not leave this machine: {host}")


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse connections of this process to other machines (native libraries such as libpq are not seen)."""

    def connect(self: socket.socket, address: Any) -> None:
        refuse_outside(self.family, address)
        return REAL_CONNECT(self, address)

    def connect_ex(self: socket.socket, address: Any) -> int:
        refuse_outside(self.family, address)
        return REAL_CONNECT_EX(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket.socket, "connect_ex", connect_ex)


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def reference_data() -> Path:
    """Real data that the repository does not hold: ``ONEMAP_REFERENCE_DATA`` or ``../shared/data``."""
    folder = Path(os.environ.get("ONEMAP_REFERENCE_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("仓库之外的参考数据不在本机 / reference data outside the repository: set ONEMAP_REFERENCE_DATA")
    return folder


class Kept:
    """What is made once a process, by name, and lasts until its end.

    pytest makes a fixture with parameters anew whenever another parameter comes, so for every file on every store. What only
    reads, or lets tests add things of their own names, asks for it here instead.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, ...], Any] = {}
        self._opened = ExitStack()

    def get(self, *name: str, make: Callable[[], Any]) -> Any:
        """The thing of that name, made at the first call."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]

    def enter(self, *name: str, make: Callable[[], AbstractContextManager[Any]]) -> Any:
        """What a context gives; it is left when the session ends."""
        return self.get(*name, make=lambda: self._opened.enter_context(make()))

    def close(self) -> None:
        """Leave every context, the newest first."""
        self._opened.close()
        self._made.clear()


@pytest.fixture(scope="session")
def kept() -> Iterator[Kept]:
    """Things that last as long as the session."""
    found = Kept()
    yield found
    found.close()


@pytest.fixture
def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on."""
    from postgis_cluster import free_port

    return free_port()


@pytest.fixture(scope="session")
def postgis_server() -> Iterator[str]:
    """DSN of a PostGIS server: ``ONEMAP_TEST_POSTGIS``, else a private cluster that ends with the session."""
    if named := os.environ.get("ONEMAP_TEST_POSTGIS"):
        yield named
        return
    from postgis_cluster import ClusterError, PrivateCluster

    cluster = PrivateCluster()
    try:
        dsn = cluster.start()
    except ClusterError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield dsn
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def postgis_dsn(postgis_server: str, kept: Kept) -> Iterator[str]:
    """A fresh database with PostGIS for this session.

    In the private cluster its collation is Chinese (ICU ``zh-Hans-CN``), as databases here are: an ``ORDER BY`` without
    ``COLLATE "C"`` sorts otherwise than DuckDB and its test fails.
    """
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    name = f"onemap_test_{uuid.uuid4().hex[:12]}"
    create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
    if not os.environ.get("ONEMAP_TEST_POSTGIS"):
        create += sql.SQL(" LOCALE_PROVIDER icu ICU_LOCALE 'zh-Hans-CN'")
    with psycopg.connect(postgis_server, autocommit=True) as connection:
        connection.execute(create)
    dsn = make_conninfo(postgis_server, dbname=name)
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION postgis")
        yield dsn
    finally:
        kept.close()  # before its database goes
        with psycopg.connect(postgis_server, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session", params=["duckdb", "postgis"])
def store_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Settings of each store in turn, with a ``var_dir`` (and, in PostGIS, a schema) of its own."""
    from spatial.settings import Settings

    var_dir = tmp_path_factory.mktemp(f"var-{request.param}")
    if request.param == "duckdb":
        return Settings(store="duckdb", var_dir=var_dir)
    return Settings(
        store="postgis",
        var_dir=var_dir,
        postgis_dsn=request.getfixturevalue("postgis_dsn"),
        postgis_schema=f"t_{uuid.uuid4().hex[:12]}",
    )


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """A real Chromium: ``ONEMAP_TEST_CHROMIUM``, else of the distribution."""
    from system_packages import find_chromium, install_line

    found = find_chromium()
    if found is None:
        line = install_line(["chromium", "fonts-noto-cjk"])
        pytest.fail(f"没有可用的 Chromium，请运行 / no working Chromium, run:\n    {line}", pytrace=False)
    return found


@pytest.fixture(scope="session")
def chromium_args() -> list[str]:
    """Arguments for a headless Chromium that asks no host but this machine."""
    return [
        "--no-sandbox",  # root in a container has no user namespace
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
    ]


@pytest.fixture(scope="session")
def start_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start ``onemap demo`` (server and worker, all sample layers) in its own process and folder; gives its address.

    Arguments are settings: ``start_demo(store="postgis", postgis_dsn=…)``. Everything started ends with the session.
    """
    from postgis_cluster import free_port

    started: list[subprocess.Popen[bytes]] = []

    def start(**settings: str) -> str:
        folder = tmp_path_factory.mktemp("demo")
        port = free_port()
        # A folder of scenes that is named is not filled with the sample scenes, which take a minute.
        scenes = {"scenes_path": str(folder / "scenes")}
        own = {"host": "127.0.0.1", "port": str(port), "var_dir": str(folder / "var")} | scenes | settings
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ONEMAP_")}
        environment |= {f"ONEMAP_{name.upper()}": value for name, value in own.items()}
        with (folder / "log").open("wb") as log:
            command = [sys.executable, "-m", "spatial.cli", "demo"]
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
        started.append(process)
        address = f"http://127.0.0.1:{port}"
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            try:
                with direct.open(f"{address}/ready", timeout=30):
                    return address
            except OSError:
                time.sleep(0.3)
        pytest.fail(f"onemap demo did not start:\n{(folder / 'log').read_text('utf-8')[-3000:]}", pytrace=False)

    yield start
    for process in started:
        process.terminate()
    for process in started:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


@pytest.fixture(scope="session")
def demo_server(start_demo: Callable[..., str]) -> str:
    """Address of a running server over DuckDB with all sample layers."""
    return start_demo(store="duckdb")
