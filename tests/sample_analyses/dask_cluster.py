"""A Dask scheduler and workers, each a program of its own with a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).parent
BIN = Path(sys.executable).parent


def environment() -> dict[str, str]:
    return os.environ | {
        "PYTHONPATH": str(FOLDER),
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "30s",
    }


def start_worker(address: str, folder: Path) -> subprocess.Popen[bytes]:
    folder.mkdir()
    options = ["--nthreads", "1", "--no-dashboard", "--local-directory", str(folder / "local"), "--host", "127.0.0.1"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [BIN / "dask", "worker", address, *options],
            cwd=folder,
            env=environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "scheduler").mkdir()
        file = folder / "scheduler.json"
        options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file)]
        self.programs = [
            subprocess.Popen(
                [BIN / "dask", "scheduler", *options],
                cwd=folder / "scheduler",
                env=environment(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        ]
        deadline = time.monotonic() + 60
        while not file.is_file() or not file.stat().st_size:
            assert time.monotonic() < deadline, "the Dask scheduler did not start"
            time.sleep(0.05)
        self.address: str = json.loads(file.read_text())["address"]
        self.started = 0

    def add_workers(self, count: int) -> None:
        """Start workers and wait until the cluster has them all."""
        import distributed

        for _ in range(count):
            self.programs.append(start_worker(self.address, self.folder / f"worker{self.started}"))
            self.started += 1
        with distributed.Client(self.address, set_as_default=False) as client:
            client.wait_for_workers(self.started, timeout=60)

    def close(self) -> None:
        for program in reversed(self.programs):  # with the processes that it started
            os.killpg(program.pid, signal.SIGKILL)
            program.wait(15)
