"""Tables of the water benchmarks (水体性能结果表), put into README.md from their JSON files.

.venv/bin/python benchmarks/water_report.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import report  # noqa: E402
import scene_tiles  # noqa: E402
import water_extent  # noqa: E402

__all__ = ["rewrite_readme", "tables"]

MISSING = "尚未在安静的机器上测量。Not measured on a quiet machine yet."
SCENE_TILES = HERE / "scene_tiles.json"
FREQUENCY, FLOOD = HERE / "water_frequency.json", HERE / "water_flood.json"


def _row(name: str, wall: float, cpu: float | None, gb: float | None, goal: str, *, reached: bool | None) -> str:
    said = "" if reached is None else "是 / yes" if reached else "否 / no"
    numbers = " | ".join("–" if v is None else f"{v:.2f}" for v in (wall, cpu, gb))
    return f"| {name} | {numbers} | {goal} | {said} |"


def _works() -> str:
    lines = [
        "| | s | CPU s | GB | 目标 / goal | 达到 / reached |",
        "|---|---:|---:|---:|---|---:|",
    ]
    if FREQUENCY.is_file():
        found: dict[str, Any] = json.loads(FREQUENCY.read_text("utf-8"))
        results, goals = found["results"], found["goals"]

        def add(name: str, part: str, goal: str, *, reached: bool | None) -> None:
            row = results[part]
            lines.append(_row(name, row["wall"], row["cpu"], row["gb"], goal, reached=reached))

        classes, bands, bodies = results["classes"], results["bands"], results["bodies"]
        add(
            "200 × 2000² 分类 → 频率 / class rasters to frequency",
            "classes",
            "≤ 5 s",
            reached=classes["wall"] <= goals["classes"],
        )
        share = classes["gb"] / results["classes_50"]["gb"]
        add("同，50 景 / the same, 50 scenes", "classes_50", f"内存 200 : 50 景 / memory = {share:.2f}", reached=None)
        add("同，只解码 / only decoding", "decode", "", reached=None)
        add(
            "200 × 2000² 六波段 → 频率 / six bands to frequency",
            "bands",
            "≤ 60 s",
            reached=bands["wall"] <= goals["bands"],
        )
        well = bodies["wall"] <= goals["bodies"] and bodies["gb"] <= goals["bodies_gb"]
        add(f"20000² 频率 → {bodies['bodies']} 个图斑 / bodies", "bodies", "≤ 40 s, ≤ 4 GB", reached=well)
    if FLOOD.is_file():
        flood = json.loads(FLOOD.read_text("utf-8"))
        lines.append(
            _row(
                f"{flood['cells'] / 1e8:.1f}·10⁸ 像元淹没图 / flood map",
                flood["map_s"],
                flood["map_cpu_s"],
                flood["peak_rss_mb"] / 1000,
                "≤ 60 s",
                reached=flood["map_s"] <= flood["goal_s"],
            )
        )
        lines.append(_row("同，只读写 / only reading and writing", flood["raw_io_s"], None, None, "", reached=None))
        lines.append(_row("断面条带，一次 / strips, prepared once", flood["strips_s"], None, None, "", reached=None))
    return "\n".join(lines)


def tables() -> dict[str, str]:
    """Marker → table."""
    there = water_extent.RESULTS.is_file()
    extent = water_extent.table(json.loads(water_extent.RESULTS.read_text("utf-8"))) if there else MISSING
    there = SCENE_TILES.is_file()
    tiles = scene_tiles.table(json.loads(SCENE_TILES.read_text("utf-8"))) if there else MISSING
    return {"water-extent": extent, "water-works": _works(), "scene-tiles": tiles}


def rewrite_readme() -> None:
    """Put each table between its markers."""
    text = report.README.read_text("utf-8")
    for name, content in tables().items():
        text = report._between(text, name, content)
    report.README.write_text(text, "utf-8")


if __name__ == "__main__":
    rewrite_readme()
