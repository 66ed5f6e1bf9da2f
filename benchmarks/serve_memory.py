"""Memory of the server processes over 100,000 mixed requests (内存): it must not grow.

.venv/bin/python benchmarks/serve.py --steps memory
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import shapely
from client import load
from data import PARCELS, POINTS
from processes import Server

__all__ = ["MARKS", "measure", "mixed_paths"]

MARKS = (0, 20_000, 60_000, 100_000)
"""Requests after which memory is read."""
CLIENTS = 8


def mixed_paths(parcels: Any, raster: Sequence[str], count: int = 4000, seed: int = 11) -> list[str]:
    """Many different addresses, as a day brings them: tiles, pages, filters, features, documents."""
    random = np.random.default_rng(seed)
    centre = shapely.get_coordinates(shapely.centroid(parcels.geometry.values))
    items = f"/ogc/collections/{PARCELS}/items"
    found: list[str] = []
    for lon, lat in centre[random.integers(0, len(centre), count)]:
        kind = random.random()
        if kind < 0.45:
            zoom = int(random.choice((6, 8, 10, 12, 13, 14, 15, 16)))
            x = int((lon + 180) / 360 * 2**zoom)
            y = int((1 - np.arcsinh(np.tan(np.radians(lat))) / np.pi) / 2 * 2**zoom)
            layer = PARCELS if kind < 0.35 else POINTS
            found.append(f"/tiles/{layer}/WebMercatorQuad/{zoom}/{x}/{y}.{'png' if kind < 0.03 else 'mvt'}")
        elif kind < 0.6:
            found.append(str(random.choice(raster)))
        elif kind < 0.8:
            found.append(f"{items}/{random.integers(1, len(centre))}?f=json")
        elif kind < 0.9:
            box = ",".join(f"{v:.5f}" for v in (lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01))
            found.append(f"{items}?bbox={box}&limit=50&f=json")
        elif kind < 0.97:
            found.append(f"{items}?filter={quote(f'quality > {random.uniform(50, 99):.3f}')}&limit=20&f=json")
        else:
            documents = (
                "/ogc?f=json",
                "/ogc/collections?f=json",
                f"/ogc/collections/{PARCELS}?f=html",
                "/api/v1/catalogue",
            )
            found.append(str(random.choice(documents)))
    return found


def workers(root: int) -> list[int]:
    """The processes that answer: those below the root that hold much memory (not its small watchers)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == root and _megabytes(int(entry.name), "Rss") > 40:
                found.append(int(entry.name))
    return sorted(found)


def _megabytes(pid: int, kind: str) -> float:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text("utf-8")
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith(f"{kind}:")), 0.0)


def measure(server: Server, paths: Sequence[str], marks: Sequence[int] = MARKS) -> dict[str, Any]:
    """RSS and PSS of each process (MB) after so many requests."""
    load(server.port, paths[:200], 200, CLIENTS)
    found: list[dict[str, Any]] = []
    sent = 0
    for mark in marks:
        if mark > sent:
            start = sent % len(paths)
            load(server.port, [*paths[start:], *paths[:start]], mark - sent, CLIENTS)
            sent = mark
        processes = workers(server.pid)
        found.append(
            {
                "requests": mark,
                "rss": [round(_megabytes(pid, "Rss"), 1) for pid in processes],
                "pss": [round(_megabytes(pid, "Pss"), 1) for pid in processes],
            }
        )
        print(f"  {found[-1]}", flush=True)
    return {"marks": found}
