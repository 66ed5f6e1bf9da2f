"""Tables of the results (结果表), and the README that quotes them and ``raw.sql``.

.venv/bin/python benchmarks/report.py         # write README.md again from results.json and raw.sql
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "bars", "rewrite_readme", "tables"]

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
README = HERE / "README.md"


def bars(results: dict[str, Any]) -> list[tuple[str, str, float, float, bool]]:
    """Goals: Chinese, English, measured, limit, reached."""
    cell = {c["key"]: c for c in results["cells"]}
    app = {name: used["app"] for name, used in cell["limit1000"]["cpu"].items()}
    page, z12, z8 = (cell[key]["p50"] for key in ("limit1000", "z12", "z8"))
    found = [
        (
            "1,000 个一页，应用 CPU 与 pygeoapi 之比",
            "app CPU of a page of 1,000 / pygeoapi's",
            app["ours"] / app["pygeoapi"],
            1 / 6,
        ),
        (
            "1,000 个一页，应用 CPU 与 tipg 之比",
            "app CPU of a page of 1,000 / tipg's",
            app["ours"] / app["tipg"],
            1 / 5,
        ),
        ("1,000 个一页，p50 与原始 SQL 之比", "p50 of a page of 1,000 / raw SQL", page["ours"] / page["raw"], 1.5),
        (
            "z12 矢量瓦片，p50 与原始 ST_AsMVT 之比",
            "p50 of vector tiles z12 / raw ST_AsMVT",
            z12["ours"] / z12["raw"],
            1.5,
        ),
        ("z8 最密瓦片，无缓存，p50（毫秒）", "p50 of the densest z8 tile, uncached, ms", z8["ours"], 60.0),
    ]
    return [(zh, en, value, limit, value <= limit) for zh, en, value, limit in found]


def _row(*values: str) -> str:
    return "| " + " | ".join(values) + " |"


def _rule(count: int) -> str:
    return "|---|" + "---:|" * (count - 1)


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _times(value: float) -> str:
    return f"{value:.0f}×" if value >= 10 else f"{value:.2f}×" if value < 2 else f"{value:.1f}×"


def _beside(p50: dict[str, float], name: str) -> str:
    return f"{_ms(p50[name])} ({_times(p50[name] / p50['ours'])})" if name in p50 else "–"


def _kilobytes(sizes: dict[str, int]) -> str:
    return " / ".join(
        f"{sizes[name] / 1000:,.0f}" if name in sizes else "–" for name in ("raw", "ours", "pygeoapi", "tipg")
    )


def tables(results: dict[str, Any]) -> str:
    """Markdown of everything measured."""
    machine, published = results["machine"], results["published"]
    count, points = published["parcels"]["count"], published["points"]["count"]
    stock, tipg = (f"{name} {results['peers'][name]}" for name in ("pygeoapi", "tipg"))
    lines = [
        f"{results['date']}：{machine['cores']} 核，Python {machine['python']}，PostGIS {machine['postgis']}，开始时负载 "
        f"{machine['load_before']}；{count:,} 个地块，{points:,} 个点。",
        f"{results['date']}: {machine['cores']} cores, Python {machine['python']}, PostGIS {machine['postgis']}, "
        f"load at the start {machine['load_before']}; {count:,} parcels, {points:,} points.",
        "",
        _row("目标 / goal", "测得 / measured", "上限 / limit", "达到 / reached"),
        _rule(4),
        *(
            _row(f"{zh}<br>{en}", f"{value:.3g}", f"{limit:.3g}", "是 / yes" if ok else "**否 / no**")
            for zh, en, value, limit, ok in bars(results)
        ),
        "",
        "**单客户端 p50，毫秒 / p50 at one client, ms.** 括号内：本系统为原始 SQL 的倍数；对照为本系统的倍数。"
        "In brackets: ours as a multiple of the raw SQL, peers as a multiple of ours.",
        "",
        _row("请求 / request", "原始 SQL / raw SQL", "本系统 / ours", stock, tipg, "kB: raw / ours / pygeoapi / tipg"),
        _rule(6),
    ]
    for c in results["cells"]:
        p50 = c["p50"]
        ours = f"{_ms(p50['ours'])} ({_times(p50['ours'] / p50['raw'])})"
        title = f"{'矢量瓦片 ' if c['tile'] else ''}{c['zh']}<br>{'vector tile ' if c['tile'] else ''}{c['en']}"
        lines.append(
            _row(title, _ms(p50["raw"]), ours, _beside(p50, "pygeoapi"), _beside(p50, "tipg"), _kilobytes(c["bytes"]))
        )
    lines += [
        "",
        "**四客户端，每请求 CPU 毫秒：应用 / PostgreSQL，括号内为每秒请求数 / CPU ms a request at four clients: application / "
        "PostgreSQL, in brackets requests a second.**",
        "",
        _row("请求 / request", "本系统 / ours", stock, tipg, "应用 CPU，对照÷本系统 / app CPU, peer ÷ ours"),
        _rule(5),
    ]
    for c in results["cells"]:
        used = c["cpu"]
        if not used:
            continue
        shown = [
            f"{_ms(u['app'])} / {_ms(u['database'])} ({u['rate']:,.0f})" if (u := used.get(name)) else "–"
            for name in ("ours", "pygeoapi", "tipg")
        ]
        ours_app = max(used["ours"]["app"], 0.01)
        ratio = " / ".join(_times(used[n]["app"] / ours_app) if n in used else "–" for n in ("pygeoapi", "tipg"))
        title = f"{'矢量瓦片 ' if c['tile'] else ''}{c['zh']}<br>{'vector tile ' if c['tile'] else ''}{c['en']}"
        lines.append(_row(title, *shown, ratio))
    lines += [
        "",
        "**发布 / publication**",
        "",
        _row("图层 / layer", "要素 / features", "秒 / s", "概化层级 / generalised zooms"),
        _rule(4),
    ]
    lines += [
        _row(name, f"{p['count']:,}", f"{p['seconds']:.1f}", ", ".join(map(str, p["generalised"])) or "–")
        for name, p in published.items()
    ]
    if results["problems"]:
        lines += ["", "答案不同 / answers that differ:", "", *(f"- {problem}" for problem in results["problems"])]
    return "\n".join(lines)


def _between(text: str, name: str, content: str) -> str:
    pattern = re.compile(rf"(<!-- {name} begin -->\n).*?(<!-- {name} end -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"README.md has no markers for {name}")
    return pattern.sub(lambda m: f"{m[1]}{content}\n{m[2]}", text)


def rewrite_readme() -> None:
    """Put the tables of ``results.json`` and the text of ``raw.sql`` between their markers."""
    text = README.read_text("utf-8")
    if RESULTS.is_file():
        text = _between(text, "results", tables(json.loads(RESULTS.read_text("utf-8"))))
    sql = (HERE / "raw.sql").read_text("utf-8").strip()
    README.write_text(_between(text, "raw.sql", f"```sql\n{sql}\n```"), "utf-8")


if __name__ == "__main__":
    rewrite_readme()
