"""``orthophoto`` and ``observations``: flights of drones, snapshots of cameras, readings of sensors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatial.cli.console import Json, emit, note, open_store, say, table

if TYPE_CHECKING:
    from spatial.catalog import Text
    from spatial.store.datastore import DataStore

__all__ = ["register", "samples_missing", "samples_program"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    photos = typer.Typer(
        help=say("无人机正射影像", "Orthophotos of drones"), no_args_is_help=True, rich_markup_mode=None
    )
    photos.command("add", help=say("检查并发布一个架次", "Check and publish one flight"))(add)
    photos.command("list", help=say("列出架次", "List the flights"))(list_flights)
    app.add_typer(photos, name="orthophoto")
    seen = typer.Typer(
        help=say("视频抓拍与传感器读数", "Snapshots of cameras, readings of sensors"),
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    seen.command("readings", help=say("写入读数（CSV）", "Append readings from a CSV"))(readings)
    seen.command("snapshot", help=say("存入一张抓拍", "Keep one snapshot"))(snapshot)
    seen.command("samples", help=say("生成合成的四源示例", "Make the synthetic samples"))(samples)
    seen.command(
        "tidy", help=say("清除无登记的抓拍文件，补写最新值", "Remove files without a row, show newest values")
    )(tidy)
    app.add_typer(seen, name="observations")


def _bilingual(text: str | None) -> Text | None:
    """``中文/English`` as a text; one language stands for both."""
    from spatial.catalog import Text

    if not text:
        return None
    zh, _, en = text.partition("/")
    return Text(zh=zh.strip(), en=en.strip() or zh.strip())


def add(
    file: Annotated[Path, typer.Argument(help="GeoTIFF，8 位 RGB(A) / GeoTIFF, 8-bit RGB(A)")],
    layer: Annotated[str, typer.Option(help="图层编号，一地一个 / id of the layer, one a place")],
    date: Annotated[
        str | None,
        typer.Option(help="航摄时间，带时区 / when it was flown, with its zone: 2026-03-05T10:00:00+08:00"),
    ] = None,
    platform: Annotated[str, typer.Option(help="平台 / platform")] = "unknown",
    title: Annotated[
        str | None, typer.Option(help="名称 中文/English，首个架次必填 / needed by the first flight")
    ] = None,
    sensor: Annotated[str | None, typer.Option(help="传感器 / sensor")] = None,
    nodata: Annotated[
        int | None, typer.Option(min=0, max=255, help="空白值，文件未声明时 / margin, where the file declares none")
    ] = None,
    licence: Annotated[str, typer.Option(help="授权 / licence")] = "internal use",
    attribution: Annotated[str | None, typer.Option(help="署名 中文/English / attribution")] = None,
    synthetic: Annotated[bool, typer.Option(help="合成影像，处处带水印 / a made picture, marked everywhere")] = False,
    as_json: Json = False,
) -> None:
    """Check a delivered orthophoto and publish it as a dated version of its layer."""
    from spatial.catalog import Synthetic, Text
    from spatial.observation.orthophoto import Flight, add_orthophoto, read_moment

    flight = Flight(
        layer=layer,
        time=read_moment(date),
        platform=platform,
        title=_bilingual(title),
        sensor=sensor,
        nodata=nodata,
        licence=licence,
        attribution=_bilingual(attribution),
        synthetic=Synthetic(seed=0, recipe=Text(zh="交付者标明为合成影像", en="marked as made by who delivered it"))
        if synthetic
        else None,
    )
    with open_store() as store:
        made = add_orthophoto(store, file, flight)
        current = store.snapshot().raster(layer).version
    assert made.layer.observed is not None
    document = {
        "layer": layer,
        "version": made.version,
        "time": made.layer.observed.time.isoformat(),
        "gsd_m": made.layer.observed.gsd_m,
        "extent": list(made.extent),
        "width": made.width,
        "height": made.height,
        "current": current == made.version,
    }
    emit(
        document,
        as_json,
        lambda: note(
            f"{layer} {made.version}：{document['gsd_m']:g} 米，{made.width}×{made.height}"
            + ("" if document["current"] else f"（当前仍为更新的架次 {current}）"),
            f"{layer} {made.version}: {document['gsd_m']:g} m, {made.width} × {made.height}"
            + ("" if document["current"] else f" (the later flight {current} stays current)"),
        ),
    )


def list_flights(as_json: Json = False) -> None:
    """Every flight, oldest first."""
    from spatial.observation.flights import flight_rows

    with open_store() as store:
        rows = [row | {"time": row["time"].isoformat()} for row in flight_rows(store)]
    columns = (say("图层", "layer"), say("时间", "time"), "gsd m", say("平台", "platform"), say("版本", "version"))
    emit(
        rows,
        as_json,
        lambda: table(
            say("架次", "flights"),
            columns,
            ((r["site"], r["time"], f"{r['gsd_m']:g}", r["platform"], r["version"]) for r in rows),
        ),
    )


def readings(
    file: Annotated[Path, typer.Argument(help="CSV：station,time,value,unit[,field]")],
    layer: Annotated[str, typer.Option(help="传感器图层 / layer of sensors")],
    duplicates: Annotated[str, typer.Option(help="refuse | keep | replace")] = "refuse",
    as_json: Json = False,
) -> None:
    """Check the readings of a CSV and append them, all or none."""
    from spatial.errors import InvalidParameter, SourceUnreadable
    from spatial.observation.readings import append_readings, read_csv_rows

    try:
        content = file.read_bytes()
    except OSError as error:
        raise SourceUnreadable(
            f"{file.name} 不能读取：{error.strerror}", f"{file.name} cannot be read: {error.strerror}", file=file.name
        ) from error
    with open_store() as store:
        match duplicates:
            case "refuse" | "keep" | "replace":
                done = append_readings(
                    store, layer, read_csv_rows(content), duplicates=duplicates, principal="command line"
                )
            case _:
                raise InvalidParameter(
                    "duplicates 应为 refuse、keep 或 replace",
                    "duplicates must be refuse, keep or replace",
                    parameter="duplicates",
                )
    emit(
        done,
        as_json,
        lambda: note(
            f"写入 {done['accepted']} 条，更正 {done['replaced']}，略过 {done['kept']}，带质量标识 {len(done['flagged'])}",
            f"{done['accepted']} written, {done['replaced']} corrected, {done['kept']} passed over, "
            f"{len(done['flagged'])} with a flag",
        ),
    )


def snapshot(
    file: Annotated[Path, typer.Argument(help="JPEG 或 PNG / JPEG or PNG")],
    camera: Annotated[str, typer.Option(help="视频点编号 / code of the camera")],
    time: Annotated[str | None, typer.Option(help="拍摄时刻，带时区 / when it was taken, with its zone")] = None,
    as_json: Json = False,
) -> None:
    """Check a picture and keep it as a snapshot of a camera."""
    from spatial.errors import SourceUnreadable
    from spatial.observation.orthophoto import read_moment
    from spatial.observation.rules import read_observation_rules
    from spatial.observation.snapshots import add_snapshot

    at = read_moment(time, parameter="time")
    kind = "image/png" if file.suffix.lower() == ".png" else "image/jpeg"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise SourceUnreadable(
            f"{file.name} 不能读取：{error.strerror}", f"{file.name} cannot be read: {error.strerror}", file=file.name
        ) from error
    with open_store() as store:
        rules = read_observation_rules(store.settings.layers_dir)
        made = add_snapshot(store, rules, camera, content, kind, at, name=file.name)
    document: dict[str, Any] = {
        "id": made.id,
        "camera": made.camera,
        "time": made.at.isoformat(),
        "sha256": made.sha256,
    }
    emit(document, as_json, lambda: note(f"抓拍 {made.id} 已保存", f"snapshot {made.id} is kept"))


def tidy(as_json: Json = False) -> None:
    """Remove files of snapshots that no row names, bring the copies of newest values and flights up to date."""
    from spatial.observation.flights import show_flights
    from spatial.observation.newest import show_newest
    from spatial.observation.snapshots import pictures_dir
    from spatial.store.observation_store import ObservationStore
    from spatial.store.picture_files import sweep

    with open_store() as store:
        gone = sweep(pictures_dir(store), ObservationStore(store.state).hashes)
        shown = {layer.id: show_newest(store, layer.id) for layer in store.snapshot().layers() if layer.series}
        show_flights(store)
    emit(
        {"removed": gone, "shown": shown},
        as_json,
        lambda: note(f"清除 {len(gone)} 个文件", f"{len(gone)} files removed"),
    )


def samples_program() -> list[str]:
    """The program that makes the samples."""
    from spatial.settings import PROJECT_ROOT

    return [sys.executable, str(PROJECT_ROOT / "data-samples" / "scripts" / "observation_samples.py")]


def samples_missing(store: DataStore) -> bool:
    """Whether the sample layers are there and nothing was observed yet."""
    from spatial.store.observation_store import ObservationStore

    published = {layer.id for layer in store.snapshot().layers()}
    return {"cameras", "bank-sensors"} <= published and ObservationStore(store.state).stamp("cameras") == 0


def samples(as_json: Json = False) -> None:
    """Add the synthetic flights, snapshots and readings that are not there yet."""
    import json

    done = subprocess.run(samples_program(), check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    emit(
        found,
        as_json,
        lambda: note(
            f"架次 {found['flights']}，抓拍 {found['snapshots']}，读数 {found['readings']}",
            f"{found['flights']} flights, {found['snapshots']} snapshots, {found['readings']} readings",
        ),
    )
