"""A private PostGIS cluster for tests and benchmarks: own folder, own port, 127.0.0.1 only, gone afterwards.

    python deploy/postgis_cluster.py start --dir /tmp/pg --port 54999     # prints the DSN
    python deploy/postgis_cluster.py stop --dir /tmp/pg

Or, in Python, ``with PrivateCluster() as cluster: connect(cluster.dsn)``. Not for data that matter: nothing is synced to disk.
"""

from __future__ import annotations

import argparse
import atexit
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": "512MB",
    "work_mem": "32MB",
    "max_connections": "100",
    # As a server in China is set up, so that a query that leans on the server's time zone fails here and not there.
    "timezone": "Asia/Shanghai",
}
LONGEST_SOCKET_PATH = 90  # the kernel's limit is 107 bytes with the name of the socket


class ClusterError(RuntimeError):
    """PostgreSQL is missing or did not start; the message says what to do."""


def find_postgis() -> Path | None:
    """The ``bin`` folder of the newest PostgreSQL here that has PostGIS, or None."""
    found = []
    for initdb in Path("/usr/lib/postgresql").glob("*/bin/initdb"):
        version = initdb.parent.parent.name
        if version.isdigit() and Path("/usr/share/postgresql", version, "extension/postgis.control").is_file():
            found.append((int(version), initdb.parent))
    if found:
        return max(found)[1]
    tool = shutil.which("pg_config")  # other systems than Debian's family
    if tool:
        shares, binaries = (
            Path(subprocess.run([tool, option], stdout=subprocess.PIPE).stdout.decode().strip())
            for option in ("--sharedir", "--bindir")
        )
        if (shares / "extension/postgis.control").is_file() and (binaries / "initdb").is_file():
            return binaries
    return None


class PrivateCluster:
    """One PostgreSQL server of our own, with trust authentication on the loopback address.

    Parameters
    ----------
    folder
        Where it lives; default a new folder under ``/tmp`` that ``stop`` removes.
    port
        Port on 127.0.0.1; default a free one.
    guard
        Stop it when this process ends, however it ends (a small watching process outlives a ``kill -9``).

    Raises
    ------
    ClusterError
        No PostGIS on this machine, the folder is in use, or the server did not start (its log is in the message).
    """

    def __init__(self, folder: Path | None = None, port: int | None = None, *, guard: bool = True) -> None:
        self.folder = folder
        self.port = port
        self._temporary = folder is None
        self._guard = guard
        self._watcher: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """Libpq address of the maintenance database."""
        return f"host=127.0.0.1 port={self.port} user=postgres dbname=postgres"

    @property
    def data(self) -> Path:
        """The data directory."""
        assert self.folder is not None
        return self.folder / "data"

    def start(self) -> str:
        """Make and start the cluster; returns the DSN once it answers."""
        binaries = find_postgis()
        if binaries is None:
            raise ClusterError(
                "没有 PostGIS。请运行：apt-get install -y --no-install-recommends postgresql-15-postgis-3，"
                "或用 ONEMAP_TEST_POSTGIS 指定一个数据库\n"
                "no PostGIS here. Run: apt-get install -y --no-install-recommends postgresql-15-postgis-3, "
                "or name a database in ONEMAP_TEST_POSTGIS"
            )
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="onemap-pg-", dir="/tmp"))
        self.folder = self.folder.absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.data.exists():
            raise ClusterError(
                f"{self.folder} 已有数据库集群，请先停止\n{self.folder} already holds a cluster: stop it first"
            )
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(str(self.folder), owner.pw_uid, owner.pw_gid)
        try:
            self._initialise(binaries)
            self._launch(binaries)
        except BaseException:
            self.stop()
            raise
        return self.dsn

    def _initialise(self, binaries: Path) -> None:
        done = as_database_user(
            [
                str(binaries / "initdb"),
                "--pgdata",
                str(self.data),
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            ],
            self.folder,
        )
        if done.returncode != 0:
            raise ClusterError("initdb: {}".format(done.stdout.decode("utf-8", "replace")))
        (self.data / "pg_hba.conf").write_text(
            "local all all trust\nhost all all 127.0.0.1/32 trust\n", encoding="utf-8"
        )
        with (self.data / "postgresql.conf").open("a", encoding="utf-8") as file:
            for name, value in SETTINGS.items():
                file.write(f"{name} = '{value}'\n")
            short = len(str(self.folder)) < LONGEST_SOCKET_PATH
            file.write("unix_socket_directories = '{}'\n".format(self.folder if short else ""))

    def _launch(self, binaries: Path) -> None:
        wanted = self.port
        log = self.data / "server.log"
        for _ in range(3):  # another process may take the free port before PostgreSQL does
            self.port = wanted or free_port()
            done = as_database_user(
                [
                    str(binaries / "pg_ctl"),
                    "start",
                    "--wait",
                    "--timeout=60",
                    "--silent",
                    "--pgdata",
                    str(self.data),
                    "--log",
                    str(log),
                    "-o",
                    f"-p {self.port}",
                ],
                self.folder,
            )
            if done.returncode == 0:
                break
            if wanted:
                break
        if done.returncode != 0:
            text = (
                log.read_text("utf-8", "replace")[-2000:] if log.is_file() else done.stdout.decode("utf-8", "replace")
            )
            raise ClusterError(f"PostgreSQL 未能启动 / did not start (port {self.port}):\n{text}")
        if self._guard:
            atexit.register(self.stop)
            # The pipe closes when this process is gone, whatever ended it; then the watcher stops the server.
            self._watcher = subprocess.Popen(
                [sys.executable, str(Path(__file__).resolve()), "watch", "--dir", str(self.folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stop the server if it runs and remove what was made; safe to call twice."""
        if self.folder is None:
            return
        stop_server(self.data)
        shutil.rmtree(str(self.folder if self._temporary else self.data), ignore_errors=True)
        if self._watcher is not None and self._watcher.stdin is not None:
            self._watcher.stdin.close()
            self._watcher.wait(timeout=30)
            self._watcher = None
        atexit.unregister(self.stop)

    def __enter__(self) -> PrivateCluster:
        """Start."""
        self.start()
        return self

    def __exit__(self, *details: object) -> None:
        """Stop, also after an error."""
        self.stop()


def as_database_user(command: Sequence[str], folder: Path | None) -> subprocess.CompletedProcess[bytes]:
    """Run a PostgreSQL tool; as the user postgres when root, which the tools refuse to run as."""
    switch: dict[str, Any] = {}
    if os.geteuid() == 0:
        switch = {"user": "postgres", "group": "postgres", "extra_groups": []}
    # Output to a file, not a pipe: the server inherits it and a pipe would never close.
    with tempfile.TemporaryFile() as output:
        done = subprocess.run(
            list(command),
            cwd=str(folder),
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            **switch,
        )
        output.seek(0)
        return subprocess.CompletedProcess(done.args, done.returncode, output.read())


def running_pid(data: Path) -> int | None:
    """Process id of the server of this data directory, or None; a stale pid file of another process does not count."""
    try:
        lines = (data / "postmaster.pid").read_text("utf-8").splitlines()
        pid = int(lines[0])
        os.kill(pid, 0)
    except (OSError, ValueError, IndexError):
        return None
    try:
        command = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], stdout=subprocess.PIPE).stdout.decode(
            "utf-8", "replace"
        )
    except OSError:
        command = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").replace("\0", " ")
    return pid if re.search(r"postgres|postmaster", command) and str(data) in command else None


def stop_server(data: Path) -> None:
    """Stop the server of a data directory at once (its data are thrown away), and wait until it is gone."""
    pid = running_pid(data)
    if pid is None:
        return
    os.kill(pid, signal.SIGQUIT)  # PostgreSQL's "immediate shutdown"
    for waited in range(200):
        if running_pid(data) is None:
            return
        if waited == 100:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; see the head of this file."""
    parser = argparse.ArgumentParser(description="私有 PostGIS 集群 / a private PostGIS cluster")
    parser.add_argument("action", choices=["start", "stop", "watch"])
    parser.add_argument("--dir", type=Path, required=True, help="folder of the cluster")
    parser.add_argument("--port", type=int, help="port on 127.0.0.1 (default: a free one)")
    options = parser.parse_args(arguments)
    folder: Path = options.dir.absolute()
    try:
        if options.action == "start":
            print(PrivateCluster(folder, options.port, guard=False).start())
        elif options.action == "stop":
            PrivateCluster(folder, guard=False).stop()
        else:
            sys.stdin.buffer.read()
            stop_server(folder / "data")
            shutil.rmtree(str(folder / "data"), ignore_errors=True)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    except ClusterError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
