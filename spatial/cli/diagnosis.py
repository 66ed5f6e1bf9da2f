"""``doctor``: is everything here that the programs need?"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from spatial.cli.console import Json, emit, say, table
from spatial.errors import InvalidParameter, LayerDefinitionInvalid, ServiceUnavailable, SpatialError

__all__ = ["checks", "register"]

_LEAST_DISK_GB = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=say("检查运行环境", "Check the environment"))(doctor)


def doctor(
    subject: Annotated[
        str | None,
        typer.Argument(
            help="不填：运行环境；dual-evaluation：双评价结果与现实对照 / "
            "nothing: the environment; dual-evaluation: its result against reality"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check the environment (exit code 1 if something necessary is missing), or a result against reality (3)."""
    if subject is not None:
        if subject != "dual-evaluation":
            raise InvalidParameter(
                f"doctor 只能检查 dual-evaluation 或（不填）运行环境，收到 {subject!r}",
                f"doctor checks dual-evaluation or (without a name) the environment, got {subject!r}",
                parameter="subject",
                allowed=["dual-evaluation"],
            )
        from spatial.cli.reality import check_dual_evaluation

        check_dual_evaluation(as_json)
        return
    rows = []
    for name, needed, check in checks():
        try:
            state, detail = "ok", check()
        except SpatialError as error:
            state, detail = "failed" if needed else "warning", say(error.zh, error.en)
        except Exception as error:
            state, detail = "failed" if needed else "warning", f"{type(error).__name__}: {error}"
        rows.append({"check": name, "state": state, "detail": detail})
    columns = (say("检查", "check"), say("结果", "state"), say("说明", "detail"))
    emit(rows, as_json, lambda: table("doctor", columns, (r.values() for r in rows)))
    failed = [r["check"] for r in rows if r["state"] == "failed"]
    if failed:
        raise ServiceUnavailable(f"未通过：{'、'.join(failed)}", f"failed: {', '.join(failed)}", checks=failed)


def checks() -> list[tuple[str, bool, Callable[[], str]]]:
    """Name, necessary or not, and the check itself, which returns a detail or raises."""
    return [
        ("python", True, _python),
        ("gdal-proj", True, _gdal),
        ("spatial-extension", True, _extension),
        ("settings", True, _settings),
        ("layers", True, _layers),
        ("analyses", True, _analyses),
        ("store", True, _store),
        ("worker", False, _worker),
        ("portal", False, _portal),
        ("fonts", False, _fonts),
        ("report", False, _report),
        ("disk", False, _disk),
    ]


def _trouble(zh: str, en: str) -> ServiceUnavailable:
    return ServiceUnavailable(zh, en)


def _python() -> str:
    version = ".".join(map(str, sys.version_info[:3]))
    if not (3, 12) <= sys.version_info[:2] < (3, 15):
        raise _trouble(
            f"Python {version} 不受支持，需 3.12–3.14", f"Python {version} is not supported; use 3.12 to 3.14"
        )
    return version


def _gdal() -> str:
    import pyproj
    import rasterio

    from spatial.crs import transformer

    x, _ = transformer(4490, 4547).transform(114.3, 30.6)
    if abs(x - 532_877) > 10_000:
        raise _trouble("PROJ 换算结果不对", "PROJ gives wrong coordinates")
    return f"GDAL {rasterio.__gdal_version__}, PROJ {pyproj.proj_version_str}"


def _extension() -> str:
    import duckdb
    import duckdb_extension_spatial

    return f"duckdb {duckdb.__version__}, {Path(duckdb_extension_spatial.__file__).parent.name}"


def _settings() -> str:
    from spatial.settings import settings

    chosen = settings()
    return f"store={chosen.store} url={chosen.url}"


def _layers() -> str:
    from spatial.cli.data import read_definitions
    from spatial.settings import settings

    catalog, broken = read_definitions(settings().layers_dir)
    if broken:
        raise LayerDefinitionInvalid(
            f"{len(broken)} 个图层文件有误：{'；'.join(e.zh for e in broken)}",
            f"{len(broken)} layer files are broken: {'; '.join(e.en for e in broken)}",
            files=[e.details["file"] for e in broken],
        )
    return say("{} 个图层", "{} layers").format(len(catalog))


def _analyses() -> str:
    from spatial.jobs.registry import analysis, analysis_ids

    names = analysis_ids()
    for name in names:
        analysis(name)
    return say("{} 个分析", "{} analyses").format(len(names))


def _store() -> str:
    from spatial.cli.console import open_store

    with open_store() as store:
        store.vectors.ping()
        snapshot = store.snapshot()
        return say("修订 {}，已发布 {} 个图层", "revision {}, {} layers published").format(
            snapshot.revision, len(snapshot.layers())
        )


def _worker() -> str:
    from spatial.jobs.queue import worker_alive
    from spatial.settings import settings
    from spatial.store.state import State

    state = State(settings().state_address)
    try:
        if not worker_alive(state, lost_after_s=settings().job_lost_after_s):
            raise _trouble("没有任务执行程序在运行：onemap worker", "no worker is running: onemap worker")
    finally:
        state.close()
    return say("在运行", "running")


def _portal() -> str:
    # The same place as `spatial.asgi` serves; that module is not imported here because it loads the whole server.
    page = Path(__file__).resolve().parents[1] / "static" / "portal" / "index.html"
    if not page.is_file():
        raise _trouble("门户尚未构建：make portal", "the portal is not built: make portal")
    return say("已构建", "built")


def _fonts() -> str:
    from matplotlib import font_manager

    wanted = ("Noto Sans CJK", "Noto Serif CJK", "Source Han", "WenQuanYi", "SimHei", "SimSun", "Microsoft YaHei")
    names = sorted({f.name for f in font_manager.fontManager.ttflist if f.name.startswith(wanted)})
    if not names:
        raise _trouble(
            "没有中文字体，报告与专题图会缺字：apt install fonts-noto-cjk",
            "no Chinese font; reports and maps will miss characters: apt install fonts-noto-cjk",
        )
    return names[0]


def _report() -> str:
    from spatial.report.run_report import RunReport

    RunReport().require()
    return say("Word 与 PDF", "Word and PDF")


def _disk() -> str:
    from spatial.settings import settings

    folder = settings().var_dir
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free / 1e9
    if free < _LEAST_DISK_GB:
        raise _trouble(f"磁盘只剩 {free:.1f} GB", f"only {free:.1f} GB of disk left")
    return f"{free:.0f} GB"
