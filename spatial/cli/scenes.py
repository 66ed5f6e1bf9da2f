"""``scenes``: collections of satellite scenes (影像集) that analyses read."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial.cli.console import Json, emit, note, open_store, progress_bar, say, table
from spatial.errors import SpatialError

if TYPE_CHECKING:
    from spatial.watch.schedule import WatchReport

__all__ = ["register", "sample_command"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    scenes = typer.Typer(help=say("影像集", "Collections of scenes"), no_args_is_help=True, rich_markup_mode=None)
    scenes.command("list", help=say("列出影像集", "List the collections"))(list_scenes)
    scenes.command("add", help=say("加入一个 STAC 影像集", "Add the scenes of a STAC collection"))(add)
    scenes.command("samples", help=say("生成合成的十年湖泊影像", "Make the synthetic decade of three lakes"))(samples)
    app.add_typer(scenes, name="scenes")
    app.command(help=say("有新影像时运行水体监测并报告新事件", "Run the water watch when scenes arrive"))(watch)


def list_scenes(as_json: Json = False) -> None:
    """Every collection with its number of scenes, first and last day."""
    from spatial.scenes.collection import collection_ids, open_collection
    from spatial.settings import settings

    folder = settings().scenes_dir
    rows: list[dict[str, Any]] = []
    for name in collection_ids(folder):
        found = open_collection(folder, name)
        rows.append(
            {
                "id": name,
                "title": found.layer.display_title().model_dump(),
                "scenes": len(found.items),
                "first": found.items[0].time.date().isoformat(),
                "last": found.items[-1].time.date().isoformat(),
                "refused": [{"zh": error.zh, "en": error.en} for error in found.refused],
            }
        )
    columns = ("id", say("标题", "title"), say("景数", "scenes"), say("首日", "first"), say("末日", "last"))
    emit(
        rows,
        as_json,
        lambda: table(
            say("影像集", "scenes"),
            columns,
            ((r["id"], say(r["title"]["zh"], r["title"]["en"]), r["scenes"], r["first"], r["last"]) for r in rows),
        ),
    )


def add(
    folder: Annotated[Path, typer.Argument(help="含 collection.json 的文件夹 / folder with collection.json")],
    collection: Annotated[str | None, typer.Option(help="影像集编号 / id of the collection")] = None,
    as_json: Json = False,
) -> None:
    """Copy the scenes of a collection that are not there yet."""
    from spatial.scenes.adding import add_collection
    from spatial.settings import settings

    found = add_collection(folder, settings().scenes_dir, collection_id=collection)
    for reason in found["refused"]:
        note(reason["zh"], reason["en"])
    emit(
        found,
        as_json,
        lambda: note(
            f"{found['collection']}：新增 {len(found['added'])} 景，已有 {len(found['known'])} 景",
            f"{found['collection']}: {len(found['added'])} scenes added, {len(found['known'])} were there",
        ),
    )


def watch(
    collection: Annotated[list[str] | None, typer.Argument(help="影像集，默认全部 / collections, default all")] = None,
    every: Annotated[
        float | None, typer.Option(min=10, help="每隔多少秒再看一次，默认只看一次 / look again after so many seconds")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at the collections once, or again and again until Ctrl-C; one line of JSON a run with ``--json``."""
    from spatial.watch.schedule import watch_collection

    while True:
        with open_store() as store:
            for name in collection or _watched(store.settings.scenes_dir):
                with progress_bar(name) as progress:
                    try:
                        report = watch_collection(store, name, progress=progress)
                    except SpatialError as error:
                        if every is None:
                            raise
                        # One collection with a fault must not stop the watch over the others.
                        note(error.zh, error.en)
                        continue
                _tell(report, as_json)
        if every is None:
            return
        time.sleep(every)


def _watched(folder: Path) -> list[str]:
    """Collections whose document names no other analysis than the water watch; one that cannot be read tells so when it runs."""
    from spatial.scenes.collection import collection_ids, open_collection

    def water(name: str) -> bool:
        try:
            return open_collection(folder, name).analysis == "water-watch"
        except SpatialError:
            return True

    return [name for name in collection_ids(folder) if water(name)]


def _tell(report: WatchReport, as_json: bool) -> None:
    def show() -> None:
        if not report.ran:
            note(f"{report.collection}：没有新影像", f"{report.collection}: no new scene")
            return
        note(
            f"{report.collection}：新影像 {len(report.new_scenes)} 景，新事件 {len(report.alerts)} 个，"
            f"待确认 {report.waiting} 个",
            f"{report.collection}: {len(report.new_scenes)} new scenes, {len(report.alerts)} alerts, {report.waiting} waiting",
        )
        columns = (say("事件", "event"), say("类别", "kind"), say("水体", "body"), say("日期", "date"), "ha")
        rows = ((a["event"], a["kind"], a["name"] or a["body"], a["confirmed"], a["area_ha"]) for a in report.alerts)
        if report.alerts:
            table(say("新事件", "alerts"), columns, rows)

    emit(report.document(), as_json, show)


def sample_command() -> list[str]:
    """The program that makes the sample scenes, and where they go."""
    from spatial.settings import PROJECT_ROOT, settings

    script = PROJECT_ROOT / "data-samples" / "scripts" / "sample_scenes.py"
    return [sys.executable, str(script), str(settings().scenes_dir)]


def samples(as_json: Json = False) -> None:
    """Make the sample scenes that are not there yet; about a minute."""
    from spatial.scenes.collection import collection_ids
    from spatial.settings import settings

    subprocess.run(sample_command(), check=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    found = collection_ids(settings().scenes_dir)
    emit(found, as_json, lambda: note(f"影像集：{'、'.join(found)}", f"collections: {', '.join(found)}"))
