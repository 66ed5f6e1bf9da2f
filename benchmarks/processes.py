"""Servers under measurement: started, waited for, stopped, and their CPU time read from ``/proc``."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Server", "cpu_seconds"]

TICKS = os.sysconf("SC_CLK_TCK")
START_S = 120.0


def cpu_seconds(root: int) -> float:
    """CPU time (user + system) of a process and everything below it, ended children included, seconds."""
    below: dict[int, list[int]] = {}
    used: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text("utf-8", "replace")
        except OSError:
            continue
        values = text.rpartition(")")[2].split()
        below.setdefault(int(values[1]), []).append(int(entry.name))
        used[int(entry.name)] = sum(int(v) for v in values[11:15])  # utime, stime, cutime, cstime
    total, waiting = 0, [root]
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0)
        waiting.extend(below.get(pid, []))
    return total / TICKS


def _end_with_parent() -> None:
    """Have the kernel send SIGTERM when the measuring process is gone, even if it was killed (Linux)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1 is PR_SET_PDEATHSIG


@dataclass
class Server:
    """One server: how it is started, and where it answers."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    port: int
    ready: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id of its root."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until it answers; its output goes to a file of its name."""
        log = self.folder / f"{self.name}.log"
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ONEMAP_", "PYTHON", "PG", "VIRTUAL_ENV"))}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                list(self.command),
                cwd=self.folder,
                env={**kept, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + START_S
        while time.monotonic() < until and self.process.poll() is None:
            try:
                with opener.open(f"http://127.0.0.1:{self.port}{self.ready}", timeout=30) as answer:
                    answer.read()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        self.stop()
        raise RuntimeError(f"{self.name} did not start:\n{log.read_text('utf-8', 'replace')[-3000:]}")

    def stop(self) -> None:
        """Stop it and its workers."""
        if self.process is None:
            return
        for number, patience in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            try:
                self.process.wait(patience)
            except subprocess.TimeoutExpired:
                continue
            time.sleep(0.2)  # what its workers need to follow; then the second signal is for those that did not
        self.process.wait(10)
        self.process = None
