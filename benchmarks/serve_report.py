"""Tables of ``serve.json`` (服务速度结果表), and their place in README.md.

.venv/bin/python benchmarks/serve_report.py        # write README.md again from serve.json
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from report import README, _between, _row, _rule

__all__ = ["RESULTS", "bars", "rewrite_readme", "tables"]

RESULTS = Path(__file__).resolve().parent / "serve.json"
Bar = tuple[str, str, float, str, float]
"""Chinese, English, measured, ``≥`` or ``≤``, limit."""
PAGES = {
    "limit1000": ("一页 1,000 个", "page of 1,000"),
    "limit100": ("一页 100 个", "page of 100"),
    "bbox": ("小范围 bbox", "small bbox"),
    "cql2": ("CQL2 过滤", "CQL2 filter"),
}


def _items(items: dict[str, Any]) -> list[Bar]:
    found: list[Bar] = []
    for key, (zh, en) in PAGES.items():
        cell = items[key]
        rate = {name: cell[name]["rate"] for name in ("ours", "pygeoapi", "tipg")}
        found += [
            (f"{zh}，每秒请求 ÷ pygeoapi", f"{en}, req/s ÷ pygeoapi", rate["ours"] / rate["pygeoapi"], "≥", 6),
            (f"{zh}，每秒请求 ÷ tipg", f"{en}, req/s ÷ tipg", rate["ours"] / rate["tipg"], "≥", 4),
            (f"{zh}，p50 ÷ 原始 SQL", f"{en}, p50 ÷ raw SQL", cell["p50"]["ours"] / cell["p50"]["raw"], "≤", 1.4),
        ]
    one = items["item"]
    found += [
        ("单个要素，应用 CPU 毫秒", "single feature, app CPU ms", one["ours"]["app"], "≤", 1.0),
        (
            "单个要素，每秒请求 ÷ tipg",
            "single feature, req/s ÷ tipg",
            one["ours"]["rate"] / one["tipg"]["rate"],
            "≥",
            2,
        ),
    ]
    last, first = items["points_last"]["p50"]["ours"], items["points_first"]["p50"]["ours"]
    return [
        *found,
        ("百万点末页 p50 ÷ 首页", "last page of 1,000,000 points, p50 ÷ first page", last / first, "≤", 1.2),
    ]


def _tiles(tiles: dict[str, Any]) -> list[Bar]:
    found: list[Bar] = []
    for zoom, limit in (("z10", 1.0), ("z12", 1.0), ("z14", 0.75)):
        cell = tiles["uncached"][zoom]
        ratio = cell["ours"]["rate"] / cell["martin"]["rate"]
        found.append(
            (f"{zoom} 矢量瓦片，无缓存，÷ Martin", f"vector tile {zoom}, uncached, ÷ Martin", ratio, "≥", limit)
        )
        p50 = cell["p50"]
        over = p50["ours"] - 1.3 * p50["raw"]
        found.append(
            (f"{zoom} p50 − 1.3 × 原始 ST_AsMVT，毫秒", f"{zoom}, p50 − 1.3 × raw ST_AsMVT, ms", over, "≤", 1.0)
        )
    for zoom, limit in (("z8", 1.0), ("z10", 1.0), ("z12", 1.0), ("z14", 0.6)):
        cell = tiles["cached"][zoom]
        ratio = cell["ours"]["rate"] / cell["martin"]["rate"]
        found.append((f"{zoom} 缓存命中，÷ Martin", f"{zoom} from the cache, ÷ Martin", ratio, "≥", limit))
    for zoom, cell in tiles["unchanged"].items():
        ratio = cell["ours"]["rate"] / cell["tipg"]["rate"]
        found.append((f"{zoom} 未变（304）÷ tipg", f"{zoom} unchanged (304) ÷ tipg", ratio, "≥", 20))
    for zoom, cell in tiles["low"].items():
        found += [
            (f"{zoom} 最密瓦片，无缓存，p50 毫秒", f"{zoom}, densest tile, uncached, p50 ms", cell["p50"], "≤", 30),
            (f"{zoom} 最密瓦片，kB", f"{zoom}, densest tile, kB", cell["bytes"] / 1000, "≤", 300),
            (f"{zoom} ÷ Martin", f"{zoom} ÷ Martin", cell["ours"]["rate"] / cell["martin"]["rate"], "≥", 6),
        ]
    return found


def _raster(raster: dict[str, Any]) -> list[Bar]:
    found: list[Bar] = []
    for key, zh, en in (("rgb", "三波段 RGB PNG", "RGB PNG of three bands"), ("ramp", "色带 PNG", "PNG by a ramp")):
        ours, cached, titiler = (raster[key][name]["rate"] for name in ("ours", "cached", "titiler"))
        found += [
            (f"{zh}，无缓存，÷ TiTiler", f"{en}, uncached, ÷ TiTiler", ours / titiler, "≥", 3),
            (f"{zh}，缓存，÷ TiTiler", f"{en}, cached, ÷ TiTiler", cached / titiler, "≥", 20),
        ]
    return found


def _memory(memory: dict[str, Any]) -> list[Bar]:
    marks = memory["marks"]
    last, before = marks[-1], marks[-2]
    return [
        (
            f"{last['requests']:,} 次请求后每进程 MB",
            f"MB a process after {last['requests']:,} requests",
            max(last["rss"]),
            "≤",
            400,
        ),
        ("最后一段的增长，MB", "growth over the last part, MB", max(last["rss"]) - max(before["rss"]), "≤", 10),
    ]


def bars(results: dict[str, Any]) -> list[Bar]:
    """Every bar of the steps that were measured."""
    parts = {"items": _items, "tiles": _tiles, "raster": _raster, "memory": _memory}
    return [bar for name, part in parts.items() if name in results for bar in part(results[name])]


def _rates(title: str, cells: dict[str, Any], names: tuple[str, ...]) -> list[str]:
    lines = ["", f"**{title}** 每秒请求（应用 / 数据库 CPU 毫秒）。Requests a second (application / database CPU ms)."]
    lines += ["", _row("请求 / request", *names), _rule(len(names) + 1)]
    for key, cell in cells.items():
        shown = []
        for name in names:
            rate = cell.get(name)
            cpu = f" ({rate['app']:.2f} / {rate['database']:.2f})" if rate and "app" in rate else ""
            shown.append(f"{rate['rate']:,.0f}{cpu}" if rate else "–")
        lines.append(_row(key, *shown))
    return lines


def tables(results: dict[str, Any]) -> str:
    """Markdown of everything measured."""
    machine = results["machine"]
    dates = "；".join(
        f"{k} {results[k]['date']}（{results[k]['load_before']}）" for k in results if "date" in results[k]
    )
    lines = [
        f"{machine['cores']} 核，Python {machine['python']}；步骤、日期与开始时负载 / steps, dates, load at the start: {dates}",
        "",
        _row("目标 / goal", "测得 / measured", "界限 / limit", "达到 / reached"),
        _rule(4),
    ]
    for zh, en, value, sign, limit in bars(results):
        reached = value >= limit if sign == "≥" else value <= limit
        lines.append(
            _row(f"{zh}<br>{en}", f"{value:.3g}", f"{sign} {limit:g}", "是 / yes" if reached else "**否 / no**")
        )
    if "items" in results:
        items = {k: v for k, v in results["items"].items() if isinstance(v, dict)}
        lines += _rates("要素 / Features.", items, ("ours", "pygeoapi", "tipg"))
        lines += [f"- {problem}" for problem in results["items"]["problems"]]
    if "tiles" in results:
        tiles = results["tiles"]
        lines += _rates("矢量瓦片，无缓存 / Vector tiles, no cache.", tiles["uncached"], ("ours", "martin", "tipg"))
        lines += _rates("低级别 / Low zooms.", tiles["low"], ("ours", "martin"))
        lines += _rates("缓存 / From the cache.", tiles["cached"], ("ours", "martin"))
        lines += _rates("未变 / Unchanged (304).", tiles["unchanged"], ("ours", "tipg"))
    if "raster" in results:
        rasters = {key: results["raster"][key] for key in ("rgb", "ramp")}
        lines += _rates("栅格 PNG / Raster PNG.", rasters, ("ours", "cached", "titiler"))
    if "memory" in results:
        lines += ["", "**内存 / Memory**, MB", "", _row("请求数 / requests", "RSS", "PSS"), _rule(3)]
        for mark in results["memory"]["marks"]:
            lines.append(
                _row(f"{mark['requests']:,}", *(" / ".join(f"{v:.0f}" for v in mark[k]) for k in ("rss", "pss")))
            )
    return "\n".join(lines)


def rewrite_readme() -> None:
    """Put the tables between their markers."""
    text = _between(README.read_text("utf-8"), "serve", tables(json.loads(RESULTS.read_text("utf-8"))))
    README.write_text(text, "utf-8")


if __name__ == "__main__":
    rewrite_readme()
