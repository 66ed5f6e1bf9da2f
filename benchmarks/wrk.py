"""Requests a second with wrk (负载工具): it costs a hundredth of a Python client, so that quick servers are not held back.

apt-get install -y --no-install-recommends wrk
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Rate", "require_wrk", "wrk"]

SCRIPT = """
local paths = {%s}
local at = 0
request = function()
  at = at %% #paths + 1
  return wrk.format("GET", paths[at], %s)
end
done = function(summary, latency)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout
  io.write(string.format("RESULT %%d %%d %%d %%d %%f %%f\\n", summary.requests, summary.duration, summary.errors.status, bad,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
"""


@dataclass(frozen=True)
class Rate:
    """What one run gave: requests, requests a second, p50 and p99 in ms."""

    requests: int
    rate: float
    p50: float
    p99: float


def require_wrk() -> None:
    """Say how to install wrk if it is not there."""
    if shutil.which("wrk") is None:
        raise SystemExit(
            "需要 wrk，请运行：apt-get install -y --no-install-recommends wrk\n"
            "wrk is missing; run: apt-get install -y --no-install-recommends wrk"
        )


def wrk(
    port: int, paths: Sequence[str], *, seconds: float, clients: int = 4, headers: dict[str, str] | None = None
) -> Rate:
    """Ask for the paths in turn, over and over.

    Raises
    ------
    RuntimeError
        An answer was an error, or none came.
    """
    listed = ", ".join(json.dumps(path) for path in paths)
    given = "{" + ", ".join(f"[{json.dumps(k)}] = {json.dumps(v)}" for k, v in (headers or {}).items()) + "}"
    with tempfile.TemporaryDirectory(prefix="onemap-wrk-") as folder:
        script = Path(folder) / "paths.lua"
        script.write_text(SCRIPT % (listed, given), "utf-8")
        command = ["wrk", "-t1", f"-c{clients}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
        done = subprocess.run(
            [*command, "-s", str(script), f"http://127.0.0.1:{port}"], capture_output=True, text=True, check=True
        )
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+)", done.stdout)
    if found is None:
        raise RuntimeError(f"wrk: {done.stdout[-500:]}{done.stderr[-500:]}")
    requests, micros, bad_status, bad = (int(v) for v in found.groups()[:4])
    if not requests and not bad_status and not bad and seconds < 30:
        return wrk(
            port, paths, seconds=seconds * 5, clients=clients, headers=headers
        )  # slower than the time that it had
    if bad_status or bad or not requests:
        raise RuntimeError(
            f"{port}{paths[0]}: {requests} requests, {bad_status} error answers, {bad} broken connections"
        )
    return Rate(requests, requests / (micros / 1e6), float(found[5]), float(found[6]))
