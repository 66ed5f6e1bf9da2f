"""``report``: the report of a job or of a result layer that was published."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatial.cli.console import Json, emit, open_store, say, table
from spatial.errors import InvalidParameter, JobNotFound, LayerNotFound, ResultNotReady

if TYPE_CHECKING:
    from spatial.store.datastore import DataStore

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(help=say("取出任务或结果图层的报告", "Get the report of a job or of a result layer"))(report)


def report(
    source: Annotated[
        str, typer.Argument(metavar="JOB|LAYER", help="任务或结果图层的 id / id of a job or a result layer")
    ],
    out: Annotated[Path | None, typer.Option(help="复制到此文件或目录 / copy to this file or folder")] = None,
    as_json: Json = False,
) -> None:
    """Where the report of a run is; with ``--out`` a copy of it (a file name chooses the kind by its ending)."""
    with open_store() as store:
        files = _found(store, source)
    if out is not None:
        files = _copied(files, source, out)
    rows = {path.suffix.lstrip("."): str(path) for path in files}
    emit(rows, as_json, lambda: table(source, (say("格式", "kind"), say("文件", "file")), rows.items()))


def _found(store: DataStore, source: str) -> list[Path]:
    from spatial.jobs import queue
    from spatial.jobs.reporting import MEDIA_TYPES
    from spatial.jobs.run import documents_folder, results_folder

    folders = []
    try:
        job = queue.get(store.state, source)
        folders.append(documents_folder(store, job.id, (job.result or {}).get("layers", {})))
    except JobNotFound:
        folders += [results_folder(store, source)] if _is_plain(source) else []
        folders += _of_layer(store, source)
    found = [folder / f"report{ending}" for folder in folders for ending in MEDIA_TYPES]
    found = [path for path in found if path.is_file()]
    if not found:
        raise ResultNotReady(
            f"{source} 没有报告：用 onemap run <分析> --report 运行可得报告",
            f"there is no report of {source}: run it with onemap run ANALYSIS --report",
            source=source,
        )
    return found


def _is_plain(name: str) -> bool:
    return name not in {"", ".", ".."} and Path(name).name == name


def _of_layer(store: DataStore, layer_id: str) -> list[Path]:
    """Folders of the layers of the run that made a layer; a layer that does not exist names near ones in its error."""
    snapshot = store.snapshot()
    try:
        job = (snapshot.catalog[layer_id].provenance or {}).get("job")
    except LayerNotFound:
        if (store.settings.var_dir / "results" / layer_id).is_dir():
            return []
        raise
    made = [layer.id for layer in snapshot.layers() if job and (layer.provenance or {}).get("job") == job]
    return [store.raster_dir / name for name in made]


def _copied(files: list[Path], source: str, out: Path) -> list[Path]:
    if out.is_dir():
        targets = [(path, out / f"{source}-{path.name}") for path in files]
    else:
        chosen = [path for path in files if path.suffix == out.suffix.lower()]
        if not chosen or not out.resolve().parent.is_dir():
            raise InvalidParameter(
                f"--out {out} 应为已有目录，或以 {'、'.join(p.suffix for p in files)} 结尾、所在目录已有的文件",
                f"--out {out}: give a folder, or a file ending in {', '.join(p.suffix for p in files)} in a folder that exists",
                parameter="out",
            )
        targets = [(chosen[0], out)]
    for path, target in targets:
        aside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(path, aside)
            os.replace(aside, target)
        finally:
            aside.unlink(missing_ok=True)
    return [target for _, target in targets]
